"""Visitors of the training lab, light enough that a thousand share one core with the server.

A visitor asks as the page does while it plays: for the race, for more steps in time, and for a verdict on a
validation ahead, one after another (`assets/exchange.js`). Its playhead moves on by the clock as long as the
frames of all lanes are there, and stands still where they aren't.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks._websocket import Socket

SPEED = 30  # steps a second, the lab's default
PORTION, LAST = 60, 2000  # steps
VERDICT_EVERY, VERDICT_LOST = 0.5, 10.0  # seconds
LOOK_EVERY = 0.25  # seconds
TICK = 0.005  # seconds


@dataclass
class Seen:
    """What one visitor noted in the window, in seconds; what never came has its age at the end."""

    latency: list[float] = field(default_factory=list)
    standstill: list[float] = field(default_factory=list)
    verdicts: list[float] = field(default_factory=list)  # answered
    unanswered: list[float] = field(default_factory=list)
    first_picture: float = 0.0
    dark: bool = True  # there never was a picture
    queued: bool = False  # was told how many share the server
    steps: float = 0.0
    errors: list[str] = field(default_factory=list)


class Visitor:
    """One page that plays."""

    def __init__(self, values: dict[str, Any], window: tuple[float, float], speed: int = SPEED):
        self.values, self.window, self.speed = values, window, speed
        self.seen = Seen()
        self.socket: Socket | None = None
        self.came = math.inf
        self.frames: list[int] = []  # of each lane
        self.every = 5  # steps between two validations
        self.place, self.at = 0.0, 0.0  # the playhead, and when it was there
        self.stands: float | None = None  # since when the playhead has stood still
        self.waiting: list[float] = []  # since when: looks that no new step has followed yet
        self.until = 0
        self.verdict_at, self.verdict_for = -math.inf, -1
        self.judged: int | None = None  # the step of the verdict that was asked for last, until it is told
        self.said: int | None = None  # that step, once the verdict is there
        self.asked: dict[int, float] = {}  # verdicts by step
        self.lasting = True

    # ---- its way in and out ------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Begin to wait for a picture."""
        self.came = self.at = self.stands = now

    async def come(self, url: str) -> None:
        """Come, and open the socket."""
        self.begin(time.monotonic())
        await self.connect(url)

    async def connect(self, url: str) -> None:
        """Open the socket."""
        place = urlsplit(url)
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: Socket(url, self), place.hostname or "", place.port or 80)
        except OSError as error:
            self.lost(f"{type(error).__name__}: {error}")

    def opened(self, socket: Socket) -> None:
        """Ask for the race."""
        self.socket = socket
        self.until = self.wanted()
        socket.send({
            "kind": "lab", "id": 1, "values": self.values | {"step": 0}, "until": self.until,
            "draft": False, "narrow": False,
        })  # fmt: skip

    def lost(self, why: str) -> None:
        """Go on waiting, in vain."""
        self.socket = None
        if self.lasting:
            self.seen.errors.append(why)

    def leave(self, now: float) -> Seen:
        """End the visit: what hasn't come by now has its age."""
        self.lasting = False
        if self.socket is not None:
            self.socket.leave()
        self.move(now)
        seen = self.seen
        seen.latency += [now - since for since in self.waiting]
        if self.stands is not None and self.stands < self.window[1]:
            seen.standstill.append(now - self.stands)
        seen.unanswered += [now - asked for asked in self.asked.values()]
        if seen.dark:
            seen.first_picture = now - self.came
        return seen

    # ---- the playhead ------------------------------------------------------------------------------------

    def inside(self, moment: float) -> bool:
        """Whether a moment counts."""
        return self.window[0] <= moment < self.window[1]

    @property
    def reached(self) -> int:
        """The latest step that all lanes have; -1 before the first."""
        return min(self.frames, default=0) - 1

    def move(self, now: float) -> None:
        """Let the playhead go on to where it is now; frames haven't changed since it last did."""
        reached, before = self.reached, self.place
        if reached >= 0 and now > self.at:
            self.place = max(before, min(before + (now - self.at) * self.speed, float(reached)))
            if self.place >= reached and self.stands is None and reached < LAST:
                self.stands = self.at + (reached - before) / self.speed
            begin, end = (min(max(moment, self.window[0]), self.window[1]) for moment in (self.at, now))
            self.seen.steps += (self.place - before) * (end - begin) / (now - self.at)
        self.at = now

    def look(self, now: float) -> None:
        """See when the picture next shows something new, and ask for what is due."""
        self.move(now)
        if self.inside(now) and self.place < LAST:
            if self.stands is None:
                self.seen.latency.append((math.floor(self.place) + 1 - self.place) / self.speed)
            else:
                self.waiting.append(self.came if self.reached < 0 else now)
        if self.reached >= 0 and self.socket is not None:
            self.ask_further(self.socket)
            self.tell()
            self.ask_verdict(self.socket, now)

    # ---- asking, as assets/exchange.js does --------------------------------------------------------------

    def wanted(self) -> int:
        """Up to which step frames are wanted, in portions that those who watch share."""
        portion, ahead = max(PORTION, 2 * self.speed), max(2 * PORTION, 4 * self.speed)
        return min(LAST, -(-(math.floor(self.place) + ahead) // portion) * portion)

    def ask_further(self, socket: Socket) -> None:
        """Ask for more steps, if it is time."""
        wanted = self.wanted()
        soon = wanted < self.until + 2 * self.speed and self.place < self.reached - 5
        if wanted > self.until and not soon:
            self.until = wanted
            socket.send({"kind": "until", "id": 1, "step": wanted})

    def ask_verdict(self, socket: Socket, now: float) -> None:
        """Ask for a verdict a little ahead, if the one before has been told or lost."""
        waited = now - self.verdict_at
        if waited < VERDICT_EVERY or (self.judged is not None and waited < VERDICT_LOST):
            return
        soon = self.place + self.speed * VERDICT_EVERY
        step = min(LAST, math.ceil(soon / self.every) * self.every)
        if step == self.verdict_for:
            return
        self.verdict_at, self.verdict_for, self.judged, self.said = now, step, step, None
        if self.inside(now):
            self.asked[step] = now
        socket.send({"kind": "verdict", "id": 1, "step": step})

    def tell(self) -> None:
        """Tell the verdict once its step is shown."""
        if self.said is not None and self.place >= self.said:
            self.judged = self.said = None

    # ---- receiving ---------------------------------------------------------------------------------------

    def hear(self, header: dict[str, Any]) -> None:
        """Take a message of the server."""
        now, kind = time.monotonic(), header["kind"]
        if kind == "frames":
            if not header["ghost"]:
                self.arrive(now, header["lane"], header["arrays"][0][1][0])
        elif kind == "lab":
            self.frames, self.every = [0] * len(header["lanes"]), header["validate_every"]
            if header.get("refused"):
                self.seen.errors.append(header["refused"]["text"])
        elif kind == "verdict":
            if header["step"] == self.judged:
                self.said = header["step"]
            if (asked := self.asked.pop(header["step"], None)) is not None:
                self.seen.verdicts.append(now - asked)
        elif kind == "line":
            self.seen.queued = True
        elif kind == "problem":
            self.seen.errors.append(header["message"])

    def arrive(self, now: float, lane: int, count: int) -> None:
        """Take frames of a lane; the next step is shown when the playhead gets there."""
        self.move(now)
        before = self.reached
        self.frames[lane] += count
        if self.reached == before:
            return
        if self.seen.dark:
            self.seen.dark, self.seen.first_picture = False, now - self.came
        shown = now if before < 0 else now + 1 / self.speed
        if self.stands is not None and self.stands < self.window[1] and now >= self.window[0]:
            self.seen.standstill.append(now - self.stands)
        self.stands = None
        self.seen.latency += [shown - since for since in self.waiting]
        self.waiting = []


async def visit(url: str, coming: Iterable[tuple[float, Visitor]], end: float) -> None:
    """Have visitors come, each at its moment, and look at their clocks until the end."""
    newcomers = deque(sorted(coming, key=lambda one: one[0]))
    due: deque[tuple[float, Visitor]] = deque()
    tasks = set()
    while (now := time.monotonic()) < end:
        while newcomers and newcomers[0][0] <= now:
            _, visitor = newcomers.popleft()
            tasks.add(asyncio.create_task(visitor.come(url)))
            due.append((now + LOOK_EVERY, visitor))
        while due and due[0][0] <= now:
            moment, visitor = due.popleft()
            visitor.look(now)
            due.append((moment + LOOK_EVERY, visitor))
        await asyncio.sleep(TICK)
