"""What a server and its processes use, looked at several times a second: memory, and the processor."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psutil

EVERY = 0.2  # seconds
BUSY, IDLE = 0.6, 0.1  # shares of a core, more than before
MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """One look: the moment, all processes' resident bytes, the share of a core since the last look."""

    at: float
    memory: int
    server: int  # of them, the server's own
    busy: float
    processes: int


class Gauge(threading.Thread):
    """Looks at a process and its descendants until it is stopped."""

    def __init__(self, pid: int, every: float = EVERY):
        super().__init__(daemon=True)
        self.server, self.every = psutil.Process(pid), every
        self.samples: list[Sample] = []
        self._used: dict[int, float] = {}
        self._over = threading.Event()
        self.look()

    def run(self) -> None:
        """Look, again and again."""
        while not self._over.wait(self.every):
            self.look()

    def look(self) -> Sample:
        """Look once."""
        memory, own, used = 0, 0, {}
        try:
            family = [self.server, *self.server.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        for process in family:
            try:
                with process.oneshot():
                    resident = process.memory_info().rss
                    memory, own = memory + resident, resident if process is self.server else own
                    times = process.cpu_times()
                    used[process.pid] = times.user + times.system
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        now = time.monotonic()
        gone = now - self.samples[-1].at if self.samples else self.every
        more = sum(max(0.0, seconds - self._used.get(pid, 0.0)) for pid, seconds in used.items())
        self._used = used
        busy = more / max(gone, 1e-3) if self.samples else 0.0
        sample = Sample(now, memory, own, busy, len(used))
        self.samples.append(sample)
        return sample

    def stop(self) -> None:
        """End."""
        self._over.set()
        self.join()

    def memory(self, moment: float) -> int:
        """Return the bytes at the last look before a moment."""
        return next((s.memory for s in reversed(self.samples) if s.at <= moment), self.samples[0].memory)

    def highest(self, since: float) -> int:
        """Return the most bytes since a moment."""
        return max((s.memory for s in self.samples if s.at >= since), default=self.samples[-1].memory)

    def share(self, since: float, until: float) -> float:
        """Return the share of a core between two moments."""
        shares = [s.busy for s in self.samples if since <= s.at <= until]
        return sum(shares) / len(shares) if shares else 0.0

    def worked(self, since: float, usual: float) -> float:
        """Return how many seconds after a moment they were last busier than usual; half a second counts."""
        last = since
        for first, second, third in zip(self.samples, self.samples[1:], self.samples[2:], strict=False):
            if third.at > since and (first.busy + second.busy + third.busy) / 3 > usual + BUSY:
                last = third.at
        return last - since
