"""How many readers the training lab bears: visitors on one link, and visitors with a race of their own.

A visitor is a WebSocket that asks as the page does while it plays at its default speed: for the race, for
more steps in time, and for verdicts. Its playhead moves on by the clock as long as the frames of all lanes
are there, and stands still where they aren't, as on the page.

Update latency: four times a second a visitor looks at its clock; the latency is the time from then until its
picture next shows a new step. Who plays smoothly has 0 to 33 ms (the steps' own distance); who waits for
frames has to wait until they have come, and who has no picture yet has waited since it came. What is never
answered, be it a look, a standstill or a verdict, counts with its age. Coming and the first seconds of
playing are left out, except from "first picture", which counts from opening the socket.

Clients, server and its workers share this machine's cores; the clients' own delays are in the figures.

    PYTHONPATH=. .venv/bin/python benchmarks/load.py                 # 1,000 on one link, 100 with their own
    PYTHONPATH=. .venv/bin/python benchmarks/load.py own 10 20 40    # one kind, several numbers of visitors
    PYTHONPATH=. .venv/bin/python benchmarks/load.py --reduced       # a few seconds
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
import psutil

from benchmarks._visitor import SPEED, Seen, Visitor, visit
from tests.server import Server

CLIENTS = 2  # processes
LINK, OWN, WARM = 7, 100, 99  # seeds
MIB = 2**20
TARGETS = (("link", 1000), ("own", 100))
REDUCED = (("link", 10), ("own", 4))
FIGURES = (
    "update latency, ms", "longest standstill of a visitor, ms", "verdict, question to answer, ms",
    "first picture, ms", "verdicts answered", "visitors without a picture", "steps a second",
    "share of a core", "memory, MiB", "errors",
)  # fmt: skip


@dataclass(frozen=True)
class Phases:
    """Seconds: visitors come, play, are measured, and wait for answers to what they asked meanwhile."""

    ramp: float = 8.0
    settle: float = 6.0
    window: float = 20.0
    grace: float = 2.0


@dataclass(frozen=True)
class Told:
    """What a client process says at the end."""

    seen: list[Seen]
    share: float  # of a core, in the window
    seconds: float  # of processor time a message, in the window


@dataclass(frozen=True)
class Used:
    """What the server's processes have used so far: seconds of processors, and bytes."""

    server: float
    workers: dict[int, float]
    memory: int
    workers_memory: int


def busy(process: psutil.Process) -> float:
    """Return processor seconds so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def used(server: Server) -> Used:
    """Look at the server and its workers; one that has just ended counts as nothing."""
    process, workers, memory = psutil.Process(server.process.pid), {}, 0
    for worker in server.workers():
        try:
            workers[worker.pid] = busy(worker)
            memory += worker.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return Used(busy(process), workers, process.memory_info().rss, memory)


def client(pipe: Connection, url: str, kind: str, numbers: range, total: int, phases: Phases) -> None:
    """Be a process with visitors: wait for the moment at which to begin, and say what they saw."""
    more_sockets()
    pipe.send("ready")
    begin: float = pipe.recv()
    pipe.send(asyncio.run(play(url, kind, numbers, total, phases, begin)))


async def play(url: str, kind: str, numbers: range, total: int, phases: Phases, begin: float) -> Told:
    """Have visitors come and play, to the end of the grace."""
    first = begin + phases.ramp + phases.settle
    window = (first, first + phases.window)
    visitors = [Visitor({"seed": LINK if kind == "link" else OWN + n}, window) for n in numbers]
    coming = [(begin + phases.ramp * n / total, one) for n, one in zip(numbers, visitors, strict=True)]

    def messages() -> int:
        return sum(one.socket.messages for one in visitors if one.socket is not None)

    async def share() -> tuple[float, float]:
        process = psutil.Process()
        await asyncio.sleep(window[0] - time.monotonic())
        before, heard = busy(process), messages()
        await asyncio.sleep(window[1] - time.monotonic())
        seconds = busy(process) - before
        return seconds / phases.window, seconds / max(1, messages() - heard)

    (shared, seconds), _ = await asyncio.gather(share(), visit(url, coming, window[1] + phases.grace))
    now = time.monotonic()
    return Told([one.leave(now) for one in visitors], shared, seconds)


async def warm_up(url: str) -> None:
    """Wait until the workers have started and answered."""
    now = time.monotonic()
    visitor = Visitor({"seed": WARM}, (now, now))
    await visitor.come(url)
    while visitor.reached < 30:
        if visitor.seen.errors:
            raise RuntimeError(f"the server refused the first visitor: {visitor.seen.errors[0]}")
        await asyncio.sleep(0.02)
    visitor.leave(time.monotonic())
    await asyncio.sleep(0.1)


def more_sockets() -> None:
    """Allow as many open sockets as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def clients(
    url: str, kind: str, visitors: int, phases: Phases, count: int = CLIENTS
) -> Iterator[list[Connection]]:
    """Start the client processes; they wait to be told when to begin."""
    context, pipes, processes = get_context("spawn"), [], []
    for number in range(count):
        here, there = context.Pipe()
        mine = range(number, visitors, count)
        arguments = (there, url, kind, mine, visitors, phases)
        process = context.Process(target=client, args=arguments, daemon=True)
        process.start()
        there.close()  # so that reading ends when the process does
        pipes.append(here)
        processes.append(process)
    try:
        yield pipes
    finally:
        for process in processes:
            process.kill()
            process.join()


def sleep_until(moment: float) -> None:
    """Sleep until then."""
    time.sleep(max(0.0, moment - time.monotonic()))


def measure(kind: str, visitors: int, phases: Phases) -> None:
    """Measure one scenario on a server of its own, and print its figures."""
    server = Server()
    try:
        asyncio.run(warm_up(server.url))
        with clients(server.url, kind, visitors, phases) as pipes:
            for pipe in pipes:
                pipe.recv()
            looks, begin = [used(server)], time.monotonic() + 0.2
            for pipe in pipes:
                pipe.send(begin)
            for moment in (phases.ramp + phases.settle, phases.ramp + phases.settle + phases.window):
                sleep_until(begin + moment)
                looks.append(used(server))
            told: list[Told] = [pipe.recv() for pipe in pipes]
        health = server.health()
    finally:
        server.stop()
    where = "on one link" if kind == "link" else "with a race of their own each"
    report(f"{visitors} visitors {where}, {phases.window:.0f} s", told, looks, phases)
    print(f"recordings {health['recordings']}, {health['bytes'] / MIB:.0f} MiB", flush=True)


def report(title: str, told: list[Told], looks: list[Used], phases: Phases) -> None:
    """Print the figures; ``looks`` at the server: before, and at both ends of the window."""
    seen = [one for part in told for one in part.seen]
    print(f"\n{title:<46} median     p95     max")
    print(row("update latency, ms", [x for one in seen for x in one.latency]))
    print(row("longest standstill of a visitor, ms", [max(one.standstill, default=0.0) for one in seen]))
    asked = [x for one in seen for x in one.verdicts + one.unanswered]
    print(row("verdict, question to answer, ms", asked))
    print(row("first picture, ms", [one.first_picture for one in seen]))
    answered = sum(len(one.verdicts) for one in seen)
    print(f"verdicts answered {answered} of {len(asked)}, unanswered {len(asked) - answered}")
    dark, queued = sum(one.dark for one in seen), sum(one.queued for one in seen)
    print(f"visitors without a picture {dark} of {len(seen)}; told their place in the line {queued}")
    steps = [one.steps / phases.window for one in seen]
    print(f"steps a second, {SPEED} asked: median {np.median(steps):.1f}, slowest visitor {min(steps):.1f}")
    before, first, last = looks
    workers = sum(seconds - first.workers.get(pid, 0.0) for pid, seconds in last.workers.items())
    shares = " and ".join(f"{part.share:.0%}" for part in told)
    print(
        f"share of a core: server {(last.server - first.server) / phases.window:.0%}, "
        f"workers {workers / phases.window:.0%}, clients {shares}, "
        f"{1e6 * np.mean([part.seconds for part in told]):.0f} µs a message"
    )
    print(
        f"memory, MiB, before and at the end: server {before.memory / MIB:.0f}, {last.memory / MIB:.0f}; "
        f"workers {before.workers_memory / MIB:.0f}, {last.workers_memory / MIB:.0f}"
    )
    errors = [error for one in seen for error in one.errors]
    print(f"errors {len(errors)}{': ' + errors[0] if errors else ''}")


def row(name: str, seconds: list[float]) -> str:
    """Return median, 95th percentile and maximum, in milliseconds."""
    if not seconds:
        return f"{name:<46} none"
    p50, p95, most = 1000 * np.percentile(seconds, (50, 95, 100))
    return f"{name:<46} {p50:6.0f} {p95:7.0f} {most:7.0f}"


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("kind", nargs="?", choices=("link", "own"))
    parser.add_argument("visitors", nargs="*", type=int)
    parser.add_argument("--reduced", action="store_true", help="few visitors, for a few seconds")
    asked = parser.parse_args()
    targets = [
        (kind, number)
        for kind, usual in (REDUCED if asked.reduced else TARGETS)
        for number in asked.visitors or [usual]
        if asked.kind in (None, kind)
    ]
    phases = Phases(ramp=0.5, settle=1.0, window=3.0, grace=0.5) if asked.reduced else Phases()
    more_sockets()
    print(f"{psutil.cpu_count()} cores, load average before {psutil.getloadavg()[0]:.1f}")
    for kind, visitors in targets:
        measure(kind, visitors, phases)


if __name__ == "__main__":
    main()
