"""What a visitor feels of an attack: one watches the default race while others do their worst.

Each attack goes to a server of its own on this machine; no other host can be attacked. A visitor watches as
the page does, others come newly, one a second, with a race of their own. The columns:

    wait        the longest that the visitor's picture stood still
    verdict     the longest that a verdict took
    newcomer    the longest until somebody new saw a first picture, and how many did
    MiB         memory of the server and its processes: before, highest, and ten seconds after
    worked      seconds after the attackers left until the processes were as busy as before

What hasn't ended counts with its age. The attackers share the machine's cores, at a lower priority than the
server.

    PYTHONPATH=. .venv/bin/python benchmarks/attack.py                       # all, some minutes
    PYTHONPATH=. .venv/bin/python benchmarks/attack.py uploads odd_requests  # some
    PYTHONPATH=. .venv/bin/python benchmarks/attack.py --house PATH          # the server of another checkout
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event as EventType
from pathlib import Path
from typing import Any

import psutil

from benchmarks import _attacks as questions
from benchmarks import _attacks_wire as wire
from benchmarks._command import command
from benchmarks._gauge import MIB, Gauge
from benchmarks._sockets import LEFT, Target
from benchmarks._streamlit import run_script
from benchmarks._watching import Seen, Watch
from tests.server import ROOT, Server

Attack = Callable[[Target], Awaitable[None]]
Outcome = tuple[float, dict[str, int]]  # when the attackers had left, and what is worth telling
ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        questions.one_heavy_race, questions.many_heavy_races, questions.heaviest_races,
        questions.unread_files, questions.unread_pongs, questions.unread_answers, wire.uploads,
        wire.long_messages, wire.endless_fragments, wire.odd_frames_sent, wire.silent_sockets,
        wire.slow_handshakes, wire.slow_requests, wire.foreign_hosts, wire.odd_requests,
        questions.heavy_checks, questions.resets, questions.killed_workers, questions.slider_floods,
        questions.question_floods, questions.hostile_settings, questions.cost_questions,
    )
}  # fmt: skip
PREPARATIONS: dict[str, Attack] = {"unread_files": questions.record_races, "uploads": run_script}
# `--reduced` shows that the command runs; `tests/live/test_attacks.py` tries all of them.
FEW = ("one_heavy_race", "unread_pongs", "uploads", "odd_frames_sent", "foreign_hosts", "hostile_settings")
FIGURES = tuple(name.replace("_", " ") for name in FEW)  # what its lines of results begin with
LONGER = {  # whose harm takes so many times longer
    "heavy_checks": 4, "one_heavy_race": 3, "many_heavy_races": 3, "unread_files": 2, "killed_workers": 2,
}  # fmt: skip
SECONDS, AFTER, USUAL = 10.0, 10.0, 2.0  # of an attack, after it, and before it
REDUCED = (0.5, 0.2, 0.2)
PREPARING = 60.0
NICE = 10


@dataclass
class Result:
    """What came of an attack: see above. Memory in bytes, times in seconds."""

    seen: Seen
    before: int
    highest: int
    after: int
    worked: float
    notes: dict[str, int]
    left: float  # when the attackers had left

    def line(self, name: str) -> str:
        """Return the figures as a line."""
        seen = self.seen
        waits = [f"{1000 * seconds:8.0f}" for seconds in (seen.still, seen.verdict, seen.newcomer)]
        memory = [f"{size / MIB:8.0f}" for size in (self.before, self.highest, self.after)]
        notes = [f"{what} {count}" for what, count in self.notes.items()]
        if seen.errors:
            notes.append(f"the visitor's errors {len(seen.errors)}: {seen.errors[0][:60]}")
        title = name.replace("_", " ")
        return (
            f"{title:<18}{''.join(waits)} ({seen.newcomers:2d}){''.join(memory)} {self.worked:7.1f}  "
            f"{', '.join(notes)}"
        )


HEAD = "                   wait ms verdict newcomer         MiB highest   after  worked"


def run(attack: Attack, url: str, pid: int, seconds: float, small: bool, counted: str) -> Outcome:
    """Attack until the stop, or for so many seconds; return when it was over, and what is worth telling.

    Where something must be ``counted``, the stop waits for it. A function for a process of its own, which
    `prepare` has made ready.
    """
    target = Target(url, pid, seconds, small)

    async def stopped() -> None:
        while not (_stop.is_set() and (not counted or target.notes[counted])):
            await asyncio.sleep(0.02)

    async def bounded() -> None:
        work, stop = asyncio.ensure_future(attack(target)), asyncio.create_task(stopped())
        try:
            await asyncio.wait([work, stop], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                with contextlib.suppress(*LEFT):
                    work.result()
        finally:
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)
            target.leave()

    asyncio.run(bounded())
    return time.monotonic(), {what: count for what, count in target.notes.items() if count}


_stop: EventType


def prepare(stop: EventType) -> None:
    """Leave the cores to the server, and know what stops an attack."""
    global _stop
    _stop = stop
    with contextlib.suppress(OSError):
        os.nice(NICE)


class Field:
    """A server, a visitor who watches, and a process for the attackers."""

    def __init__(self, server: Server, small: bool):
        self.server, self.small = server, small
        spawn = get_context("spawn")
        self.over = spawn.Event()
        self.watch = Watch(server.url, 0.25 if small else 1.0)
        self.attackers = ProcessPoolExecutor(1, spawn, prepare, (self.over,))
        self.attackers.submit(os.getpid).result()  # they are there

    def attack(
        self, name: str, seconds: float, after: float, usual: float, patience: float = 0.0, counted: str = ""
    ) -> Result:
        """Have an attack go on while the visitor watches.

        With ``patience`` it goes on until everybody has got something, and the attackers have ``counted``
        something, for so many seconds at most.
        """
        self.over.clear()
        if name in PREPARATIONS:
            self._start(PREPARATIONS[name], PREPARING).result()
        gauge = Gauge(self.server.process.pid)
        gauge.start()
        try:
            self.watch.go()
            time.sleep(usual)
            begin = time.monotonic()
            usually = gauge.share(begin - usual, begin)
            work = self._start(ATTACKS[name], seconds + patience, counted)
            time.sleep(seconds)
            self.watch.served(begin, patience)
            self.over.set()
            left, notes = work.result()
            time.sleep(after / 10)
            seen = self.watch.stop(begin)
            time.sleep(max(0.0, left + after - time.monotonic()))
            memory = (gauge.memory(begin), gauge.highest(begin), gauge.look().memory)
        finally:
            gauge.stop()
        return Result(seen, *memory, gauge.worked(left, usually), notes, left)

    def _start(
        self, attack: Attack, seconds: float, counted: str = ""
    ) -> Future[tuple[float, dict[str, int]]]:
        pid = self.server.process.pid
        return self.attackers.submit(run, attack, self.server.url, pid, seconds, self.small, counted)

    def close(self) -> None:
        """End the visitor and the attackers; the server stays."""
        self.over.set()
        self.watch.close()
        self.attackers.shutdown(cancel_futures=True)


@contextmanager
def field(house: Path = ROOT, small: bool = False) -> Iterator[Field]:
    """Start a server and everybody; end them all."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "log", house)
        everybody = None
        try:
            everybody = Field(server, small)
            yield everybody
            report(server)
        finally:
            if everybody is not None:
                everybody.close()
            server.kill()


def report(server: Server) -> None:
    """Say what is wrong with a server after attacks, if anything."""
    if server.process.poll() is not None:
        print("  the server has ended")
    assert server.log is not None
    text = server.log.read_text(errors="replace")
    if "Traceback" in text:
        errors = Counter(re.findall(r"^[A-Za-z_.]+(?:Error|Exception|Disconnect\w*).*", text, re.MULTILINE))
        found = "; ".join(f"{count} x {line[:90]}" for line, count in errors.most_common(3))
        print(f"  its log has {text.count('Traceback')} tracebacks: {found}")


def main() -> None:
    """Run what the command line names."""
    parser = command(__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *ATTACKS], help="attacks; without names all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each goes on")
    parser.add_argument("--house", type=Path, default=ROOT, help="the checkout whose server is attacked")
    asked = parser.parse_args()
    names: list[Any] = asked.names or list(FEW if asked.reduced else ATTACKS)
    print(f"{psutil.cpu_count()} cores, load average before {psutil.getloadavg()[0]:.1f}")
    print(HEAD, flush=True)
    if asked.reduced:
        with field(asked.house, small=True) as everybody:
            for name in names:
                print(everybody.attack(name, *REDUCED).line(name), flush=True)
        return
    for name in names:
        with field(asked.house) as everybody:
            seconds = LONGER.get(name, 1) * asked.seconds
            print(everybody.attack(name, seconds, AFTER, USUAL).line(name), flush=True)


if __name__ == "__main__":
    main()
