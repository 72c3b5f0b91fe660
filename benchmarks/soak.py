"""Sixty mixed visitors for ten minutes: does memory stay flat, and does a picture stay smooth?

Twenty watch one link, ten have races of their own, others drag sliders, read chapters, take files away, have
lanes checked in PyTorch, leave and come back, and load pages anew. Each does as its kind does, at random, and
the same at every run. The figures: memory of the server and its processes after a fifth of the time, the
highest from then on, at the end, and its slope over the last four fifths; what the watchers of the link
waited for a new step, four times a second (33 ms is no wait); and what went wrong.

    PYTHONPATH=. .venv/bin/python benchmarks/soak.py               # ten minutes
    PYTHONPATH=. .venv/bin/python benchmarks/soak.py --minutes 2
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks._command import command
from benchmarks._gauge import MIB, Gauge
from benchmarks._sockets import LEFT, Page, Target, page
from benchmarks._streamlit import open_session
from benchmarks._watching import LINK, SEEDS, Watcher
from book.race.settings import LAB_CONTROLS
from book.registry import chapters
from tests.server import Server

MINUTES, REDUCED = 10.0, 5 / 60
EVERY = 10.0  # seconds between two looks at the memory
WARM = 0.2  # of the time
CLIENTS = 2  # processes
FIGURES = ("memory", "watchers of the link", "visits", "errors")
SLIDERS = ("lr", "batch_size", "eps", "gamma", "init_scale", "momentum")
SMALL = {"depth": 2, "width": 16, "batch_size": 16, "replicas": 2}


@dataclass
class Visitor:
    """One of the sixty: where, which chance, what it has done and what went wrong."""

    url: str
    number: int
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    watcher: Watcher | None = None

    def seed(self) -> int:
        """Return the seed of a race that nobody else has."""
        return self.chance.randrange(100, SEEDS)

    async def rest(self, least: float, most: float) -> None:
        """Do nothing for some seconds."""
        await asyncio.sleep(self.chance.uniform(least, most))

    def count(self, header: dict[str, Any], what: str) -> None:
        """Count an answer."""
        if header["kind"] == "problem":
            self.errors.append(f"{what}: {header['message']}")
        else:
            self.done[what] += 1


Kind = Callable[[Visitor], Awaitable[None]]


async def watch_the_link(visitor: Visitor) -> None:
    """Watch the race that twenty watch, to its end, and the next."""
    visitor.watcher = Watcher(visitor.url, LINK)
    await visitor.watcher.watch()


async def race(visitor: Visitor) -> None:
    """Watch a race of one's own for half a minute, leave, and come back with another."""
    watcher = Watcher(visitor.url, visitor.seed())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(visitor.chance.uniform(10, 40)):
            await watcher.watch()
    visitor.errors += watcher.errors
    visitor.done["races"] += 1


async def drag(visitor: Visitor) -> None:
    """Drag a slider of the lab for two seconds, let it rest, and drag another."""
    controls = {control.name: control for control in LAB_CONTROLS}
    async with page(visitor.url) as visit:
        reading = asyncio.create_task(read_on(visit))
        seed = visitor.seed()
        try:
            for _ in range(visitor.chance.randrange(2, 8)):
                name = visitor.chance.choice(SLIDERS)
                stops = controls[name].stops
                start = visitor.chance.randrange(len(stops))
                for stop in stops[start : start + 60]:
                    await visit.send("lab", values={"seed": seed, name: stop}, until=200, draft=True)
                    visitor.done["drafts"] += 1
                    await asyncio.sleep(1 / 30)
                await visit.send("lab", values={"seed": seed, name: stops[start]}, until=120)
                await visitor.rest(1, 4)
        finally:
            reading.cancel()


async def read_on(visit: Page) -> None:
    """Take what comes."""
    with contextlib.suppress(*LEFT):
        while True:
            await visit.answer()


async def read_a_chapter(visitor: Visitor) -> None:
    """Move a chapter's settings, one every second or so."""
    chapter = visitor.chance.choice([*chapters().values()])
    movable = [control for control in chapter.controls if control.stops or control.choices]
    values: dict[str, Any] = {}
    async with page(visitor.url) as visit:
        for _ in range(20):
            control = visitor.chance.choice(movable)
            values[control.name] = visitor.chance.choice(control.stops or control.choices)
            visitor.count(await visit.ask("view", chapter=chapter.name, values=values), "views")
            await visitor.rest(0.2, 2)
        script = chapter.script is not None and visitor.chance.random() < 0.5
        what = "python" if script else "csv"
        visitor.count(await visit.ask("take", chapter=chapter.name, what=what, values=values), "files")


async def take_files(visitor: Visitor) -> None:
    """Play a race of one's own for a while, and take its files."""
    async with page(visitor.url) as visit:
        step = visitor.chance.choice((50, 100, 200))
        values = {"seed": visitor.seed(), "lanes": "none,batch,layer"}
        await visit.played(step, values=values)
        for what in ("csv", "python"):
            visitor.count(
                await visit.ask("take", picture="lab", what=what, values=values, step=step), "files"
            )
        await visitor.rest(2, 8)


async def check(visitor: Visitor) -> None:
    """Have a lane of a small race checked in PyTorch, now and then."""
    await visitor.rest(0, 30)
    async with page(visitor.url) as visit:
        values = SMALL | {"seed": visitor.seed(), "lanes": "batch"}
        visitor.count(await visit.ask("check", values=values, step=visitor.chance.randrange(40)), "checks")
    await visitor.rest(10, 40)


async def come_and_go(visitor: Visitor) -> None:
    """Open the link or a race, look for a second, and leave without a word."""
    async with page(visitor.url) as visit:
        seed = visitor.chance.choice((LINK, visitor.seed()))
        visitor.count(await visit.ask("lab", values={"seed": seed}, until=200), "looks")
        await visitor.rest(0, 2)
        visit.socket.transport.abort()


async def load_pages(visitor: Visitor) -> None:
    """Load a page as the browser does: its files, Streamlit's session, the picture's socket."""
    target = Target(visitor.url, 0, 0.0)
    try:
        for path in ("/", "/_stcore/health", "/_stcore/host-config"):
            await target.request("GET", path)
        session = await open_session(target)
        reading = asyncio.create_task(session.raw.ended(10**6))
        async with page(visitor.url) as opened:
            visitor.count(await opened.ask("view", chapter="home", values={}), "pages")
            await visitor.rest(2, 6)
        reading.cancel()
    finally:
        target.leave()


KINDS: tuple[tuple[Kind, int], ...] = (
    (watch_the_link, 20), (race, 10), (drag, 8), (read_a_chapter, 10), (take_files, 3), (check, 2),
    (come_and_go, 4), (load_pages, 3),
)  # fmt: skip


async def live(visitor: Visitor, kind: Kind) -> None:
    """Do the same over and over, whatever goes wrong."""
    while True:
        try:
            await kind(visitor)
        except* LEFT as group:
            visitor.errors += [f"{kind.__name__}: {type(e).__name__} {e}"[:200] for e in group.exceptions]
            await asyncio.sleep(0.5)


def clients(url: str, numbers: list[int], end: float) -> tuple[Counter[str], list[str], list[float]]:
    """Be some of the visitors until the end; return what they did, errors, and the watchers' waits."""
    everybody = [kind for kind, count in KINDS for _ in range(count)]
    visitors = [(Visitor(url, n, random.Random(n)), everybody[n]) for n in numbers]
    began = time.monotonic()

    async def all_of_them() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(end - time.monotonic()):
                await asyncio.gather(*(live(visitor, kind) for visitor, kind in visitors))

    asyncio.run(all_of_them())
    done, errors, waits = Counter[str](), list[str](), list[float]()
    since = began + WARM * (end - began)
    for visitor, _ in visitors:
        done += visitor.done
        errors += visitor.errors
        if visitor.watcher is not None:
            errors += visitor.watcher.errors
            waits += visitor.watcher.latencies(since, end)
    return done, errors, waits


def ready() -> None:
    """Nothing: a process that has answered is there."""


def slope(gauge: Gauge, since: float) -> float:
    """Return MiB a minute, fitted by least squares."""
    samples = [sample for sample in gauge.samples if sample.at >= since]
    if len(samples) < 2:
        return 0.0
    minutes = np.array([sample.at - since for sample in samples]) / 60
    return float(np.polyfit(minutes, [sample.memory / MIB for sample in samples], 1)[0])


def main() -> None:
    """Run it, and print the memory every ten seconds, then the figures."""
    parser = command(__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    asked = parser.parse_args()
    seconds = 60 * (REDUCED if asked.reduced else asked.minutes)
    sessions = sum(count for _, count in KINDS)
    print(f"{psutil.cpu_count()} cores, load average before {psutil.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        server = Server(log)
        try:
            pools = [ProcessPoolExecutor(1, get_context("spawn")) for _ in range(CLIENTS)]
            for started in [pool.submit(ready) for pool in pools]:
                started.result()
            gauge = Gauge(server.process.pid, 1.0)
            gauge.start()
            begin = time.monotonic()
            end, warm = begin + seconds, begin + WARM * seconds
            parts = [
                pool.submit(clients, server.url, list(range(number, sessions, CLIENTS)), end)
                for number, pool in enumerate(pools)
            ]
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(EVERY, left))
                last = gauge.samples[-1]
                at, size, own = last.at - begin, last.memory / MIB, last.server / MIB
                print(
                    f"  {at:5.0f} s {size:6.0f} MiB, the server {own:.0f}, {last.processes} processes",
                    flush=True,
                )
            memory = [gauge.memory(warm), gauge.highest(warm), gauge.memory(end)]
            grows = slope(gauge, warm)
            results = [part.result() for part in parts]
            for pool in pools:
                pool.shutdown()
            gauge.stop()
            text = log.read_text(errors="replace")
        finally:
            server.kill()
    done = sum((part for part, _, _ in results), Counter[str]())
    errors = [error for _, part, _ in results for error in part]
    waits = [1000 * wait for _, _, part in results for wait in part]
    after, highest, final = (size / MIB for size in memory)
    print(
        f"memory after {WARM * seconds:.0f} s {after:.0f} MiB, highest from then on {highest:.0f}, "
        f"at the end {final:.0f}, slope {grows:+.2f} MiB a minute"
    )
    median, p95, most = np.percentile(waits, (50, 95, 100))
    print(f"watchers of the link: a new step after {median:.0f} ms, p95 {p95:.0f}, longest {most:.0f}")
    print(f"visits of {sessions}: {', '.join(f'{what} {count}' for what, count in sorted(done.items()))}")
    print(f"errors {len(errors)}, tracebacks {text.count('Traceback')}")
    for error, count in Counter(errors).most_common(5):
        print(f"  {count} x {error[:150]}")


if __name__ == "__main__":
    main()
