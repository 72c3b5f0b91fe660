"""A visitor who watches a race and keeps to the rules, others who come newly, and how long they wait.

The visitor plays at the lab's default speed: asks for more steps in time, and for a verdict twice a second.
The playhead moves on by the clock as long as the frames of all lanes are there, and stands still where they
aren't, as on the page. Who is sent away comes back, as the page does. When a race is over another one begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from benchmarks._sockets import LEFT, PATIENCE, Page, page

SPEED = 30  # steps a second
AHEAD, SOON = 4 * SPEED, 2 * SPEED  # how far the page asks ahead, and when it asks again
LAST = 2000
SEEDS, LINK = 9999, 7
BACK = 0.25  # seconds until who was sent away comes back
AT_ONCE = 8  # newcomers that wait
LOOK = 0.25  # seconds between two looks at a picture

Span = tuple[float, float]  # when a wait began, and how long it was: both in seconds


@dataclass
class Waits:
    """Waits of one kind, and those that haven't ended."""

    ended: list[Span] = field(default_factory=list)
    open: dict[int, float] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def begin(self, now: float) -> int:
        """Begin to wait; return the wait's number."""
        number = next(self.numbers)
        self.open[number] = now
        return number

    def end(self, number: int, now: float) -> None:
        """Count a wait."""
        began = self.open.pop(number)
        self.ended.append((began, now - began))

    def since(self, moment: float, now: float) -> list[Span]:
        """Return the waits after a moment, as much of them as lies there; an open one has its age."""
        spans = self.ended + [(began, now - began) for began in self.open.values()]
        cut = [(max(began, moment), began + seconds) for began, seconds in spans]
        return [(began, end - began) for began, end in cut if end > moment]


class Watcher:
    """One who watches."""

    def __init__(self, url: str, seed: int, values: dict[str, Any] | None = None):
        self.url, self.values, self.seed = url, dict(values or {}), seed
        self.still, self.verdicts = Waits(), Waits()
        self.errors: list[str] = []
        self.frames: list[int] = []  # of each lane
        self.standing: int | None = None  # the wait that it is
        self.verdict: tuple[int, int] | None = None  # the question's number, and the wait's
        self.shown = asyncio.Event()  # a picture, for the first time

    async def watch(self) -> None:
        """Watch one race after another, for ever."""
        self.open_race(time.monotonic())
        while True:
            try:
                async with page(self.url) as visit:
                    await self.ask(visit)
                    async with asyncio.TaskGroup() as both:
                        both.create_task(self.look(visit))
                        both.create_task(self.read(visit))
            except* LEFT as group:
                self.errors += [f"{type(error).__name__}: {error}"[:200] for error in group.exceptions]
            self.stand(time.monotonic())
            self.frames, self.verdict = [], None
            self.verdicts.open.clear()
            await asyncio.sleep(BACK)

    def open_race(self, now: float) -> None:
        """Begin at step 0, without a picture."""
        self.frames, self.verdict = [], None
        self.place, self.at, self.until = 0.0, now, AHEAD
        self.standing, self.number = self.still.begin(now), -1

    async def ask(self, visit: Page) -> None:
        """Ask for the race."""
        values = self.values | {"seed": self.seed % SEEDS}
        self.number = visit.number + 1
        await visit.send("lab", values=values, until=self.until)

    def move(self, now: float) -> None:
        """Let the playhead go on to where it is now; frames haven't changed since it last did."""
        reached = min(self.frames, default=0) - 1
        if reached >= 0:
            before = self.place
            self.place = max(before, min(before + (now - self.at) * SPEED, float(reached)))
            if self.place >= reached:
                self.stand(max(self.at, self.at + (reached - before) / SPEED))
        self.at = now

    def stand(self, now: float) -> None:
        """Begin to stand still."""
        if self.standing is None:
            self.standing = self.still.begin(now)

    async def look(self, visit: Page) -> None:
        """Look at the clock, ask for more steps, and at every other look for a verdict."""
        for number in itertools.count():
            now = time.monotonic()
            self.move(now)
            if self.place >= LAST:
                self.seed += 1
                if self.standing is not None:  # the end is no wait
                    del self.still.open[self.standing]
                self.verdicts.open.clear()
                self.open_race(now)
                await self.ask(visit)
            wanted = min(math.floor(self.place) + AHEAD, LAST + 1)
            if wanted >= min(self.until + SOON, LAST + 1) > self.until:
                self.until = wanted
                await visit.send("until", step=wanted)
            if min(self.frames, default=0) > 0 and number % 2 == 0 and self.verdict is None:
                wait = self.verdicts.begin(now)
                self.verdict = (await visit.send("verdict", step=math.floor(self.place) // 5 * 5), wait)
            await asyncio.sleep(LOOK)

    async def read(self, visit: Page) -> None:
        """Take what comes."""
        while True:
            header, arrays = await visit.answer()
            now, kind = time.monotonic(), header["kind"]
            if kind == "problem":
                self.errors.append(header["message"])
                if header["of"] == "verdict":
                    self.verdict = None
                    self.verdicts.open.clear()
            elif kind == "verdict" and self.verdict and header["id"] == self.verdict[0]:
                self.verdicts.end(self.verdict[1], now)
                self.verdict = None
            elif kind == "lab" and header["id"] == self.number:
                self.frames = [0] * len(header["lanes"])
            elif kind == "frames" and header["id"] == self.number and not header["ghost"]:
                self.arrive(now, header["lane"], len(arrays["rows"]))

    def arrive(self, now: float, lane: int, count: int) -> None:
        """Count frames of a lane; the picture moves on once all lanes have them."""
        self.move(now)
        before = min(self.frames)
        self.frames[lane] += count
        reached = min(self.frames)
        if self.standing is not None and reached > before and reached - 1 >= self.place:
            self.still.end(self.standing, now)
            self.standing = None
            self.shown.set()

    def latencies(self, moment: float, now: float) -> list[float]:
        """Return how long four looks a second had to wait for a new step, in seconds."""
        spans = self.still.since(moment, now)
        found, at = [], moment
        while at < now:
            waits = [began + seconds - at for began, seconds in spans if began <= at < began + seconds]
            found.append(max(waits, default=0.0) + 1 / SPEED)
            at += LOOK
        return found


async def come(url: str, waits: Waits, every: float) -> None:
    """Have somebody new open a race of their own every so many seconds, and leave once they see it."""
    seeds = itertools.count(int(time.time() * 7) % SEEDS)
    going: set[asyncio.Task[None]] = set()

    async def arrive() -> None:
        number = waits.begin(time.monotonic())
        while number in waits.open:
            with contextlib.suppress(*LEFT):
                async with asyncio.timeout(PATIENCE), page(url) as visit:
                    header = await visit.played(0, until=AHEAD, values={"seed": next(seeds) % SEEDS})
                    if header["kind"] == "lab" and not header.get("refused"):
                        waits.end(number, time.monotonic())
            await asyncio.sleep(BACK)

    while True:
        if len(going) < AT_ONCE:
            task = asyncio.create_task(arrive())
            going.add(task)
            task.add_done_callback(going.discard)
        await asyncio.sleep(every)


@dataclass
class Seen:
    """What visitors had to wait for at most, in seconds, and what they got."""

    still: float
    verdict: float
    newcomer: float
    newcomers: int  # who came, and got their picture
    verdicts: int
    steps: float  # that were played
    errors: list[str]

    @property
    def served(self) -> bool:
        """Whether everybody got something."""
        return self.steps >= 1 and self.verdicts > 0 and self.newcomers > 0


class Watch:
    """A process in which one visitor watches the default race, and others come."""

    def __init__(self, url: str, every: float = 1.0):
        here, there = get_context("spawn").Pipe()
        self.pipe = here
        self.process = get_context("spawn").Process(target=_serve, args=(there, url, every), daemon=True)
        self.process.start()

    def go(self) -> None:
        """Begin to watch, and return once there is a picture."""
        self._ask("go")

    def served(self, since: float, patience: float) -> Seen:
        """Return what came since a moment, once everybody got something, or patience has ended."""
        found: Seen = self._ask("served", since, patience)
        return found

    def stop(self, since: float) -> Seen:
        """Have everybody leave; return what came since a moment."""
        found: Seen = self._ask("stop", since)
        return found

    def _ask(self, *question: Any) -> Any:
        self.pipe.send(question)
        if not self.pipe.poll(2 * PATIENCE):
            raise TimeoutError(f"the visitors' process didn't answer {question[0]!r} in {2 * PATIENCE:.0f} s")
        return self.pipe.recv()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()


class _Visitors:
    """Those who are in that process."""

    def __init__(self, url: str, every: float, seed: int):
        self.watcher, self.newcomers = Watcher(url, seed), Waits()
        self.tasks = [
            asyncio.create_task(self.watcher.watch()),
            asyncio.create_task(come(url, self.newcomers, every)),
        ]

    def seen(self, since: float) -> Seen:
        """Return what came since a moment."""
        now, watcher = time.monotonic(), self.watcher
        watcher.move(now)
        kinds = (watcher.still, watcher.verdicts, self.newcomers)
        still, verdict, newcomer = (
            max((seconds for _, seconds in kind.since(since, now)), default=0.0) for kind in kinds
        )
        verdicts, came = (sum(began >= since for began, _ in kind.ended) for kind in kinds[1:])
        moves = now - since - sum(seconds for _, seconds in watcher.still.since(since, now))
        return Seen(still, verdict, newcomer, came, verdicts, SPEED * moves, watcher.errors)

    async def served(self, since: float, patience: float) -> Seen:
        """Wait until everybody got something, or patience has ended."""
        end = time.monotonic() + patience
        while not (seen := self.seen(since)).served and time.monotonic() < end:
            await asyncio.sleep(0.02)
        return seen

    async def leave(self) -> None:
        """End them all."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _serve(pipe: Connection, url: str, every: float) -> None:
    """Be that process."""
    asyncio.run(_answer(pipe, url, every))


async def _answer(pipe: Connection, url: str, every: float) -> None:
    asked, visitors = asyncio.Event(), None
    asyncio.get_running_loop().add_reader(pipe.fileno(), asked.set)
    for number in itertools.count():
        while not pipe.poll():
            asked.clear()
            await asked.wait()
        what, *arguments = pipe.recv()
        answer = None
        if what == "go":
            visitors = _Visitors(url, every, LINK + 100 * number)
            shown = asyncio.create_task(visitors.watcher.shown.wait())
            await asyncio.wait([shown, *visitors.tasks], return_when=asyncio.FIRST_COMPLETED)
        elif visitors is not None:
            answer = await visitors.served(*arguments) if what == "served" else visitors.seen(*arguments)
            if what == "stop":
                await visitors.leave()
        if visitors is not None and what != "stop":
            for task in visitors.tasks:
                if task.done():
                    task.result()  # what a visitor stumbles over is not for others to wait for
        pipe.send(answer)
