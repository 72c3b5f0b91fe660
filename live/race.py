"""The training lab's side of a session: a race is watched, judged, measured, checked and taken away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any, NamedTuple

import numpy as np

from bnlib import RunConfig
from bnlib.data import PLANE
from bnlib.telemetry import HISTOGRAM_EDGES, SURFACE_EDGES
from book.controls import Values, read
from book.race import frames, lanes
from book.race import settings as lab
from book.race import verdict as words

from . import take as files
from . import worker
from .check import CheckError, Checks
from .scheduler import ComputationError, Gone, Scheduler, Viewer
from .session import Session, Shelf, settings, whole
from .wire import pack, problem

log = logging.getLogger(__name__)

MOST_VERDICTS = 512
MOST_COSTS = 512
FILES_AT_ONCE = 2  # a long one takes a hundred megabytes while it is written


class Race(NamedTuple):
    """What one socket watches: the lanes, and by lane the ghosts that differ from them."""

    names: list[str]
    configs: list[RunConfig]
    ghosts: dict[int, RunConfig]

    @classmethod
    def of(cls, values: Values, draft: bool) -> Race:
        """The race of a lab's settings; while it is drafted the page still has the ghost."""
        configs = lanes.lane_configs(values, draft)
        before = None if draft else lanes.ghost_of(values)
        ghosts = lanes.lane_configs(before) if before else []
        differing = {
            lane: ghost
            for lane, (ghost, config) in enumerate(zip(ghosts, configs, strict=False))
            if ghost != config
        }
        return cls(lanes.lane_names(values), configs, differing)


class Track(Shelf):
    """What sessions of the lab share besides the chapters: verdicts, costs, checks."""

    def __init__(self, scheduler: Scheduler):
        super().__init__(scheduler)
        self.writing = asyncio.Semaphore(FILES_AT_ONCE)
        self.checks = Checks()
        self._verdicts: dict[tuple[Any, ...], words.Verdict] = {}
        self._costs: dict[RunConfig, tuple[int, float]] = {}
        self._measuring = asyncio.Semaphore(1)  # what is measured side by side takes longer

    async def verdict(self, race: Race, step: int) -> words.Verdict:
        """The verdict on a race at ``step``; those who watch one race share it."""
        key = (tuple(race.names), tuple(race.configs), tuple(race.ghosts.items()), step)
        known = self._verdicts.get(key)
        if known is None:
            configs = [*race.configs, *race.ghosts.values()]
            frames = self.scheduler.frames
            asked = [frames(c, words.frames_needed(c, step), words.ARRAYS_NEEDED) for c in configs]
            found = await asyncio.gather(*asked)
            lanes, ghosts = found[: len(race.configs)], found[len(race.configs) :]
            before = dict(zip(race.ghosts, ghosts, strict=True))
            known = words.verdict(race.names, race.configs, lanes, step, before)
            while len(self._verdicts) >= MOST_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[key] = known
        return known

    async def cost(self, config: RunConfig) -> tuple[int, float]:
        """How many parameters a lane's network has, and the seconds that a step of all its seeds takes."""
        alike = worker.cost_alike(config)
        async with self._measuring:
            known = self._costs.get(alike)
            if known is None:
                known = await self.scheduler.run(worker.cost, alike)
                while len(self._costs) >= MOST_COSTS:
                    del self._costs[next(iter(self._costs))]
                self._costs[alike] = known
        return known


class LabSession(Session):
    """A visitor of the chapters and of the lab: at most one race is watched, and answers follow questions."""

    shelf: Track

    def __init__(self, track: Track, send: Any):
        super().__init__(track, send)
        self.race: Race | None = None
        self.viewers: list[Viewer] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.speaking: asyncio.Task[None] | None = None
        self.checking: asyncio.Task[None] | None = None

    async def lab(self, message: dict[str, Any]) -> None:
        """Watch a race, its ghost, and no other."""
        values, problems = read(lab.LAB_CONTROLS, settings(message))
        number, until = whole(message, "id"), whole(message, "until")
        draft = message.get("draft") is True
        await self.end()
        self.race = race = Race.of(values, draft)
        bins = len(HISTOGRAM_EDGES) - 1
        header = {
            "kind": "lab",
            "id": number,
            "lanes": [
                {
                    "norm": config.norm,
                    "name": name,
                    "depth": config.depth,
                    "rings": bool(config.network == "gan" or (row := config.on_activations) and row.running),
                    "layout": frames.layout(config, bins),
                }
                for name, config in zip(race.names, race.configs, strict=True)
            ],
            "ghosts": sorted(race.ghosts),
            "every": race.configs[0].record_every,
            "validate_every": race.configs[0].validate_every,
            "edges": HISTOGRAM_EDGES.tolist(),
            "network": race.configs[0].network,
            "guessing": words.guessing(race.configs[0]),
            "notes": lanes.notes(values),
            "settings": lanes.settings(values),
            "problems": problems,
        }
        arrays = {}
        if race.configs[0].dataset in PLANE:
            header["window"] = [float(SURFACE_EDGES[0]), float(SURFACE_EDGES[-1])]
            arrays = dict(zip(("points", "labels"), worker.points(race.configs[0]), strict=True))
        await self.send(pack(header, arrays))
        shown = [(lane, config, False) for lane, config in enumerate(race.configs)]
        shown += [(lane, config, True) for lane, config in race.ghosts.items()]
        for lane, config, ghost in shown:
            viewer = Viewer(min(until, lab.LAB_STEPS))
            self.viewers.append(viewer)
            self.tasks.append(asyncio.create_task(self.feed(config, viewer, number, lane, ghost)))
        if not draft:
            self.tasks.append(asyncio.create_task(self.costs(race, number)))

    async def costs(self, race: Race, number: int) -> None:
        """Send what each lane costs, as it is measured."""
        try:
            for lane, config in enumerate(race.configs):
                parameters, seconds = await self.shelf.cost(config)
                answer = {"kind": "cost", "id": number, "lane": lane, "parameters": parameters}
                await self.send(json.dumps(answer | {"seconds": seconds}))
        except (ComputationError, Gone) as error:
            log.debug("the costs of a race were not measured: %s", error)

    async def feed(self, config: RunConfig, viewer: Viewer, number: int, lane: int, ghost: bool) -> None:
        """Send a lane's frames as they come; of a ghost the curves are enough."""
        header = {"kind": "frames", "id": number, "lane": lane, "ghost": ghost}
        try:
            async with contextlib.aclosing(self.shelf.scheduler.watch(config, viewer)) as blocks:
                async for block in blocks:
                    rows = block["picture"][0]
                    arrays = {"rows": rows[:, : frames.CURVE_COLUMNS] if ghost else rows}
                    steps = {}
                    for name in ("surface", "cloud"):
                        if name in block and not ghost:
                            first = block[name][0].reshape(len(block["step"]), -1)  # of the first seed
                            known = np.isfinite(first[:, 0])
                            arrays[f"{name}s"] = first[known]
                            steps[f"{name}_steps"] = block["step"][known].tolist()
                    await self.send(pack(header | steps, arrays))
        except ComputationError as error:
            with contextlib.suppress(Gone):
                await self.tell("lab", str(error), number)
        except Gone as error:
            log.debug("a lane ended: %s", error)

    async def until(self, message: dict[str, Any]) -> None:
        """Go on to a later step."""
        step = min(whole(message, "step"), lab.LAB_STEPS)
        for viewer in self.viewers:
            viewer.want(step)

    async def verdict(self, message: dict[str, Any]) -> None:
        """Say in words how the race stands: the latest question is answered, once the frames are there."""
        number, step = whole(message, "id"), min(whole(message, "step"), lab.LAB_STEPS)
        if self.race is None:
            raise ValueError("there is no race to judge; ask for one with a lab message")
        if self.speaking is not None:
            self.speaking.cancel()
        self.speaking = asyncio.create_task(self.speak(self.race, number, step))

    async def speak(self, race: Race, number: int, step: int) -> None:
        """Send the verdict on ``step``. What the store has lost since it was shown is computed again."""
        try:
            text, leader = await self.shelf.verdict(race, step)
            answer = {"kind": "verdict", "id": number, "step": step, "text": text, "leader": leader}
            await self.send(json.dumps(answer))
        except ComputationError as error:
            with contextlib.suppress(Gone):
                await self.tell("verdict", str(error), number)
        except Gone as error:
            log.debug("a verdict ended: %s", error)

    async def take(self, message: dict[str, Any]) -> None:
        """Write a file of what is on the screen, one at a time; other questions needn't wait for it."""
        if message.get("picture") != "lab":
            await super().take(message)
            return
        number, step, values = whole(message, "id"), whole(message, "step"), settings(message)
        wanted = files.wanted(message.get("what"), values, step)
        self.one_file_at_a_time()
        self.taking = asyncio.create_task(self.hand_over(wanted, number))

    async def hand_over(self, wanted: files.Wanted, number: int) -> None:
        """Write a file, beside the event loop, and send it."""
        try:
            async with self.shelf.writing:
                text = await files.text(wanted, self.shelf.scheduler.frames)
                answer = await asyncio.to_thread(files.packed, number, wanted.name, text)
        except ComputationError as error:
            answer = problem("take", str(error), number)
        except Exception:
            log.exception("writing a file failed")
            answer = problem("take", "the file could not be written", number)
        with contextlib.suppress(Gone):
            await self.send(answer)

    async def check(self, message: dict[str, Any]) -> None:
        """Compare each lane at a step with PyTorch, one visitor's at a time."""
        number, step, values = whole(message, "id"), whole(message, "step"), settings(message)
        raced, problems = read(lab.LAB_CONTROLS, values)
        if problems:
            raise ValueError("; ".join(problems))
        if self.checking is not None and not self.checking.done():
            raise ValueError("one check at a time: the one before is still on its way")
        race = Race.of(raced, draft=False)
        self.checking = asyncio.create_task(self.compare(race, number, min(step, lab.LAB_STEPS)))

    async def compare(self, race: Race, number: int, step: int) -> None:
        """Send what PyTorch says, lane by lane."""
        with contextlib.suppress(Gone):
            for lane, (name, config) in enumerate(zip(race.names, race.configs, strict=True)):
                answer = {"kind": "check", "id": number, "lane": lane, "of": len(race.names), "name": name}
                try:
                    answer["report"] = await self.shelf.checks.report(config, step)
                    text = json.dumps(answer, allow_nan=False)
                except CheckError as error:
                    await self.tell("check", str(error), number)
                    return
                except Exception:
                    log.exception("a check failed")
                    await self.tell("check", "the check could not be made", number)
                    return
                await self.send(text)

    async def end(self) -> None:
        """Stop watching."""
        await super().end()
        tasks, self.tasks, self.viewers, self.race = self.tasks, [], [], None
        if self.speaking is not None:
            tasks.append(self.speaking)
            self.speaking = None
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("showing a race failed", exc_info=ended)

    async def close(self) -> None:
        """End everything: the page has left."""
        if self.checking is not None:
            self.checking.cancel()
        await super().close()


LabSession.ANSWERS = Session.ANSWERS | {
    "lab": LabSession.lab,
    "until": LabSession.until,
    "verdict": LabSession.verdict,
    "take": LabSession.take,
    "check": LabSession.check,
    "stop": LabSession.stop,
}
