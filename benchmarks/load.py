"""How many readers the Training lab bears: sessions on one link, and sessions with a race of their own each.

A session is a WebSocket that behaves as the page does while it plays at its default speed: it asks for the
race, for more steps in time, and for a verdict twice a second. Its playhead moves on by the clock as long as
the frames of all lanes are there, and stands still where they aren't, as on the page.

Update latency: four times a second a session looks at its clock; the latency is the time from then until its
picture next shows a new step. Who plays smoothly has 0 to 33 ms (the steps' own distance); who waits for
frames has to wait until they have come. A look that is never answered counts with its age. Connecting and the
first seconds of playing are left out, except from "first picture", which counts from opening the socket.

Clients, server and its pool share this machine's cores; the clients' own delays are in the figures.

    PYTHONPATH=. .venv/bin/python benchmarks/load.py              # 200 on one link, 40 with their own
    PYTHONPATH=. .venv/bin/python benchmarks/load.py own 10 20 40 60
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import numpy as np
import psutil
import websockets
from websockets.typing import Origin

from live.messages import unpack
from tests.server import Server

SPEED = 30  # steps a second, the lab's default
RAMP, SETTLE, WINDOW = 8.0, 6.0, 20.0  # seconds
LOOKS_PER_SECOND = 4
CLIENTS = 2  # processes
TARGETS = (("link", 200), ("own", 40))


@dataclass
class Seen:
    """What one session noted in its window, in seconds."""

    latency: list[float] = field(default_factory=list)
    standstill: list[float] = field(default_factory=list)
    verdict: list[float] = field(default_factory=list)
    steps: float = 0.0
    first_picture: float = math.inf
    errors: list[str] = field(default_factory=list)


class Session:
    """One page that plays."""

    def __init__(self, window: tuple[float, float]):
        self.window = window
        self.seen = Seen()
        self.frames: list[int] = []  # of each lane
        self.place, self.at = 0.0, 0.0  # the playhead, and when it was there
        self.until = max(60, 4 * SPEED)
        self.stands: float | None = None  # since when the playhead has stood still
        self.waiting: list[float] = []  # looks that no new step has followed yet
        self.asked: dict[int, float] = {}  # verdicts by step

    def inside(self, moment: float) -> bool:
        return self.window[0] <= moment < self.window[1]

    def move(self, now: float) -> None:
        """The playhead goes on to where it is now; frames haven't changed since it last did."""
        reached = min(self.frames, default=0) - 1
        before = self.place
        if reached < 0:
            self.at = now
            return
        self.place = min(before + (now - self.at) * SPEED, float(reached))
        if self.place == reached and self.stands is None:
            self.stands = self.at + (reached - before) / SPEED
        begin, end = (min(max(moment, self.window[0]), self.window[1]) for moment in (self.at, now))
        if now > self.at:
            self.seen.steps += (self.place - before) * (end - begin) / (now - self.at)
        self.at = now

    def look(self, now: float) -> None:
        """When will the picture next show something new?"""
        self.move(now)
        if not self.inside(now):
            return
        if self.stands is None:
            self.seen.latency.append((math.floor(self.place) + 1 - self.place) / SPEED)
        else:
            self.waiting.append(now)

    def arrive(self, now: float, lane: int, count: int) -> None:
        """Frames of a lane have come; the next step is shown when the playhead gets there."""
        self.move(now)
        reached = min(self.frames)
        self.frames[lane] += count
        if min(self.frames) == reached:
            return
        if reached == 0:
            self.stands = None
        if self.stands is not None:
            if self.inside(now):
                self.seen.standstill.append(now - self.stands)
            self.stands = None
        self.seen.latency += [now + 1 / SPEED - look for look in self.waiting]
        self.waiting = []

    def further(self) -> int | None:
        """Up to which step the page would ask now, if at all (`askFurther` in assets/race.js)."""
        wanted = math.floor(self.place) + max(60, 4 * SPEED)
        soon = wanted < self.until + 2 * SPEED and self.place < min(self.frames, default=0) - 6
        if wanted <= self.until or soon:
            return None
        self.until = wanted
        return wanted

    async def play(self, url: str, values: dict[str, Any], begin: float) -> Seen:
        """From opening the socket to the end of the window."""
        await asyncio.sleep(begin - time.monotonic())
        try:
            async with websockets.connect(
                url.replace("http", "ws") + "/live", origin=Origin(url), max_size=2**25, open_timeout=60
            ) as socket:
                await socket.send(json.dumps({"kind": "lab", "id": 1, "values": values, "until": self.until}))
                clock = asyncio.create_task(self.clock(socket))
                while time.monotonic() < self.window[1]:
                    try:
                        message = await asyncio.wait_for(socket.recv(), self.window[1] - time.monotonic())
                    except TimeoutError:
                        break
                    self.receive(message, begin)
                clock.cancel()
        except Exception as error:
            self.seen.errors.append(f"{type(error).__name__}: {error}")
        end = self.window[1]
        self.move(end)
        self.seen.latency += [end - look for look in self.waiting]
        if self.stands is not None:
            self.seen.standstill.append(end - max(self.stands, self.window[0]))
        return self.seen

    def receive(self, message: str | bytes, begin: float) -> None:
        now = time.monotonic()
        if isinstance(message, bytes):
            header, arrays = unpack(message)
            if header["kind"] == "lab":
                lanes: Any = header["lanes"]
                self.frames = [0] * len(lanes)
            else:
                lane: Any = header["lane"]
                self.arrive(now, lane, len(arrays["rows"]))
                if min(self.frames) and self.seen.first_picture == math.inf:
                    self.seen.first_picture = now - begin
            return
        answer = json.loads(message)
        if answer["kind"] == "problem":
            self.seen.errors.append(answer["message"])
        elif self.inside(now) and answer["id"] in self.asked:
            self.seen.verdict.append(now - self.asked.pop(answer["id"]))

    async def clock(self, socket: websockets.ClientConnection) -> None:
        """Looks, questions for more steps, and at every other look one for a verdict."""
        due = time.monotonic()
        for number in range(10**6):
            now = time.monotonic()
            self.look(now)
            step = self.further()
            if step is not None:
                await socket.send(json.dumps({"kind": "until", "id": 1, "step": step}))
            if self.frames and min(self.frames) and number % 2 == 0:
                self.asked = {number: now}  # the latest question is answered
                validated = math.floor(self.place) // 5 * 5
                await socket.send(json.dumps({"kind": "verdict", "id": number, "step": validated}))
            due += 1 / LOOKS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def client(url: str, seeds: list[int], begins: list[float], end: float) -> tuple[list[Seen], float]:
    """Sessions of one process, and the share of a core that it used in the window."""
    process, window = psutil.Process(), (end - WINDOW, end)

    async def share() -> float:
        await asyncio.sleep(window[0] - time.monotonic())
        before = busy(process)
        await asyncio.sleep(window[1] - time.monotonic())
        return (busy(process) - before) / WINDOW

    async def all_of_them() -> tuple[list[Seen], float]:
        plays = [Session(window).play(url, {"seed": s}, b) for s, b in zip(seeds, begins, strict=True)]
        used = asyncio.create_task(share())
        return await asyncio.gather(*plays), await used

    return asyncio.run(all_of_them())


def busy(process: psutil.Process) -> float:
    """Processor seconds so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def warm_up(url: str) -> None:
    """Until the pool's processes have started and answered."""
    socket_url, number = url.replace("http", "ws") + "/live", 0
    async with websockets.connect(socket_url, origin=Origin(url)) as socket:
        await socket.send(json.dumps({"kind": "lab", "id": 1, "values": {"seed": 99}, "until": 30}))
        while number < 2 * 31:
            header, arrays = unpack(bytes(await socket.recv(decode=False)))
            number += len(arrays["rows"]) if header["kind"] == "frames" else 0


def line(name: str, values: list[float], unit: float = 1000) -> str:
    """Median, 95th percentile and maximum."""
    if not values:
        return f"  {name:<44} none"
    p50, p95, most = unit * np.percentile(values, (50, 95, 100))
    return f"  {name:<44} {p50:7.0f} {p95:7.0f} {most:7.0f}"


def measure(kind: str, sessions: int) -> None:
    """One scenario on a server of its own."""
    server = Server()
    try:
        seeds = [7] * sessions if kind == "link" else [100 + number for number in range(sessions)]
        asyncio.run(warm_up(server.url))
        now = time.monotonic() + 5  # until the client processes have started
        begins = [now + RAMP * number / sessions for number in range(sessions)]
        end = now + RAMP + SETTLE + WINDOW
        processes = [psutil.Process(server.process.pid), *server.workers()]
        with ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn")) as pool:
            parts = [
                pool.submit(client, server.url, seeds[n::CLIENTS], begins[n::CLIENTS], end)
                for n in range(CLIENTS)
            ]
            time.sleep(end - WINDOW - time.monotonic())
            before = [busy(process) for process in processes]
            time.sleep(end - time.monotonic())
            used = [(busy(process) - then) / WINDOW for process, then in zip(processes, before, strict=True)]
            results = [part.result() for part in parts]
        seen = [one for part, _ in results for one in part]
        shares = " and ".join(f"{share:.0%}" for _, share in results)
        health = server.health()
    finally:
        server.stop()
    where = "on one link" if kind == "link" else "with a race of their own each"
    print(f"\n{sessions} sessions {where}, {WINDOW:.0f} s" + " " * 16 + "median     p95     max")
    print(line("update latency, ms", [x for one in seen for x in one.latency]))
    print(line("longest standstill of a session, ms", [max(one.standstill, default=0.0) for one in seen]))
    print(line("verdict, question to answer, ms", [x for one in seen for x in one.verdict]))
    print(line("first picture, ms", [one.first_picture for one in seen if one.first_picture < math.inf]))
    steps = [one.steps / WINDOW for one in seen]
    print(f"  steps a second, {SPEED} asked: median {np.median(steps):.1f}, slowest session {min(steps):.1f}")
    errors = [error for one in seen for error in one.errors]
    dark = sum(one.first_picture == math.inf for one in seen)
    print(
        f"  share of a core: server {used[0]:.0%}, pool {sum(used[1:]):.0%}, clients {shares}; "
        f"recordings {health['recordings']}, {health['bytes'] / 2**20:.0f} MiB"
    )
    print(f"  errors {len(errors)}{': ' + errors[0] if errors else ''}; sessions without a picture {dark}")


def main() -> None:
    """Print every figure."""
    kind, *counts = sys.argv[1:] or [""]
    scenarios = [(kind, int(count)) for count in counts] or TARGETS
    print(f"{psutil.cpu_count()} cores, load average before {psutil.getloadavg()[0]:.1f}")
    for kind, sessions in scenarios:
        measure(kind, sessions)


if __name__ == "__main__":
    main()
