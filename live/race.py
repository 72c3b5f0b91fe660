"""The training lab's side of a session: a race is watched, judged, measured, checked and taken away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.telemetry import HISTOGRAM_EDGES, Frame
from book.chapter import packed_figures
from book.controls import Values, read
from book.race import frames, lanes, panels, verdict
from book.race import settings as lab
from book.race.asking import is_open
from book.race.looks import looks
from book.race.scenes import SCENES

from . import judge, worker
from . import take as files
from .check import CheckError, Checks
from .judge import Race, Said
from .scheduler import ComputationError, Gone, Scheduler, Viewer
from .session import Session, Shelf, settings, whole
from .wire import pack, problem

log = logging.getLogger(__name__)

MOST_VERDICTS = 512
MOST_COSTS = 512
FILES_AT_ONCE = 2  # a long one takes a hundred megabytes while it is written
OPEN = "the question of this race is open: answer it or skip it first"
UNSAID: dict[str, Any] = {"text": "", "because": "", "change": "", "read": [], "leader": None}


class Track(Shelf):
    """What sessions of the lab share besides the chapters: verdicts, costs, checks."""

    def __init__(self, scheduler: Scheduler):
        super().__init__(scheduler)
        self.writing = asyncio.Semaphore(FILES_AT_ONCE)
        self.checks = Checks()
        self._verdicts: dict[tuple[Any, ...], Said] = {}
        self._costs: dict[RunConfig, tuple[int, float]] = {}
        self._measuring = asyncio.Semaphore(1)  # what is measured side by side takes longer

    async def verdict(self, race: Race, step: int) -> Said:
        """Say how a race stands at ``step`` and why; those who watch one race share it."""
        key = (tuple(race.names), tuple(race.configs), tuple(race.ghosts.items()), race.here, step)
        known = self._verdicts.get(key)
        if known is None:
            lanes, ghosts = await asyncio.gather(self.course(race, step), self.before(race, step))
            known = judge.said(race, lanes, ghosts, step)
            while len(self._verdicts) >= MOST_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[key] = known
        return known

    async def course(self, race: Race, step: int) -> list[Frame]:
        """What a race's lanes have recorded up to ``step``: all of it where it is kept.

        What the store has dropped isn't computed again for a sentence: then it is what a verdict needs.
        """
        asked = []
        for config in race.configs:
            needed = verdict.frames_needed(config, step)
            first = 0 if self.scheduler.first(config) == 0 else needed.start
            asked.append(self.scheduler.frames(config, range(first, needed.stop), judge.NEEDED))
        return list(await asyncio.gather(*asked))

    async def before(self, race: Race, step: int) -> dict[int, Frame]:
        """What a verdict needs of a race's ghosts, by lane."""
        asked = [
            self.scheduler.frames(config, verdict.frames_needed(config, step), judge.NEEDED_OF_GHOSTS)
            for config in race.ghosts.values()
        ]
        return dict(zip(race.ghosts, await asyncio.gather(*asked), strict=True))

    async def numbers(self, race: Race) -> dict[str, float]:
        """What was measured where a scene's race is judged; measured once for all who ask."""

        async def measure() -> dict[str, float]:
            return judge.numbers(race, await self.course(race, race.until), race.until)

        return await self.once(("scene", race.scene, *race.configs), measure)

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
        self.sent = asyncio.Event()

    async def lab(self, message: dict[str, Any]) -> None:
        """Watch a race, its ghost, and no other."""
        values, problems = read(lab.LAB_CONTROLS, settings(message))
        number, until = whole(message, "id"), whole(message, "until")
        draft, narrow = message.get("draft") is True, message.get("narrow") is True
        await self.end()
        self.race = race = Race.of(values, draft)
        header, arrays = described(race, values, narrow)
        await self.send(pack({"kind": "lab", "id": number, "problems": problems} | header, arrays))
        shown = [(lane, config, False) for lane, config in enumerate(race.configs)]
        shown += [(lane, config, True) for lane, config in race.ghosts.items()]
        for lane, config, ghost in shown:
            viewer = Viewer(race.horizon(until))
            self.viewers.append(viewer)
            self.tasks.append(asyncio.create_task(self.feed(config, viewer, number, lane, ghost)))
        if not draft:
            self.tasks.append(asyncio.create_task(self.costs(race, number)))

    async def panels(self, message: dict[str, Any]) -> None:
        """Make the pictures' templates again: a race is looked at in another way."""
        values, _ = read(lab.LAB_CONTROLS, settings(message))
        number, narrow = whole(message, "id"), message.get("narrow") is True
        made, arrays = packed_figures(panels.described(values, narrow))
        await self.send(pack({"kind": "panels", "id": number, "panels": made}, arrays))

    async def costs(self, race: Race, number: int) -> None:
        """Send what each lane costs, measured while none of them waits for frames."""
        try:
            for lane, config in enumerate(race.configs):
                await self.at_rest(race.configs[0].record_every)
                parameters, seconds = await self.shelf.cost(config)
                answer = {"kind": "cost", "id": number, "lane": lane, "parameters": parameters}
                await self.send(json.dumps(answer | {"seconds": seconds}))
        except (ComputationError, Gone) as error:
            log.debug("the costs of a race were not measured: %s", error)

    async def at_rest(self, every: int) -> None:
        """Wait until all that is wanted of the race has been sent; it has a frame ``every`` so many steps."""
        while any(viewer.next * every <= viewer.step for viewer in self.viewers):
            self.sent.clear()
            await self.sent.wait()

    async def feed(self, config: RunConfig, viewer: Viewer, number: int, lane: int, ghost: bool) -> None:
        """Send a lane's frames as they come; of a ghost the curves are enough."""
        header: dict[str, Any] = {"kind": "frames", "id": number, "lane": lane, "ghost": ghost}
        try:
            async with contextlib.aclosing(self.shelf.scheduler.watch(config, viewer)) as blocks:
                async for block in blocks:
                    rows = block["picture"][0]
                    arrays = {"rows": rows[:, : frames.CURVE_COLUMNS] if ghost else rows}
                    steps: dict[str, Any] = {"pace": self.shelf.scheduler.pace(config)}
                    for name in ("surface", "cloud"):
                        if name in block and not ghost:
                            first = block[name][0].reshape(len(block["step"]), -1)  # of the first seed
                            known = np.isfinite(first[:, 0])
                            arrays[f"{name}s"] = first[known]
                            steps[f"{name}_steps"] = block["step"][known].tolist()
                    await self.send(pack(header | steps, arrays))
                    self.sent.set()
        except ComputationError as error:
            with contextlib.suppress(Gone):
                await self.tell("lab", str(error), number)
        except Gone as error:
            log.debug("a lane ended: %s", error)

    async def until(self, message: dict[str, Any]) -> None:
        """Go on to a later step."""
        step = whole(message, "step")
        for viewer in self.viewers:
            viewer.want(self.race.horizon(step) if self.race else 0)

    async def verdict(self, message: dict[str, Any]) -> None:
        """Say in words how the race stands: the latest question is answered, once the frames are there."""
        number, step = whole(message, "id"), min(whole(message, "step"), lab.LAB_STEPS)
        if self.race is None:
            raise ValueError("there is no race to judge; ask for one with a lab message")
        if self.speaking is not None:
            self.speaking.cancel()
        self.speaking = asyncio.create_task(self.speak(self.race, number, step))

    async def speak(self, race: Race, number: int, step: int) -> None:
        """Send the verdict on ``step``; while the question is open, one that says nothing."""
        answer = {"kind": "verdict", "id": number, "step": step, "story": None, "experiment": None}
        try:
            if race.open:
                answer |= UNSAID
            else:
                answer |= (await self.shelf.verdict(race, step))._asdict()
                answer["experiment"] = judge.evidence(race, step)
                if race.scene and step >= race.until:
                    answer["story"] = judge.story(race, await self.shelf.numbers(race), step)
                    answer["read"] = SCENES[race.scene].read
                    if step == race.until:  # the scene's own reason is enough there
                        answer |= {"because": "", "change": ""}
            await self.send(json.dumps(answer))
        except ComputationError as error:
            with contextlib.suppress(Gone):
                await self.tell("verdict", str(error), number)
        except Gone as error:
            log.debug("a verdict ended: %s", error)
        except Exception:
            log.exception("a verdict failed")
            with contextlib.suppress(Gone):
                await self.tell("verdict", "how the race stands could not be said", number)

    async def take(self, message: dict[str, Any]) -> None:
        """Write a file of what is on the screen, one at a time; other questions needn't wait for it."""
        if message.get("picture") != "lab":
            await super().take(message)
            return
        number, step, values = whole(message, "id"), whole(message, "step"), settings(message)
        wanted = files.wanted(message.get("what"), values, step)
        if is_open(wanted.values):
            raise ValueError(OPEN)
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
        if is_open(raced):
            raise ValueError(OPEN)
        if self.checking is not None and not self.checking.done():
            raise ValueError("one check at a time: the one before is still on its way")
        race = Race.of(raced)
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
    "panels": LabSession.panels,
    "until": LabSession.until,
    "verdict": LabSession.verdict,
    "take": LabSession.take,
    "check": LabSession.check,
    "stop": LabSession.stop,
}


def described(race: Race, values: Values, narrow: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a page is told of a race before its frames, and the arrays of its pictures' templates."""
    bins = len(HISTOGRAM_EDGES) - 1
    figures, arrays = packed_figures(panels.described(values, narrow))
    first = race.configs[0]
    ways = looks([config.norm for config in race.configs])
    lanes_told = [
        {
            "name": name,
            "norm": config.norm,
            "depth": config.depth,
            "colour": look.colour,
            "dash": look.dash,
            "layout": frames.layout(config, bins),
        }
        for name, config, look in zip(race.names, race.configs, ways, strict=True)
    ]
    return {
        "lanes": lanes_told,
        "ghosts": sorted(race.ghosts),
        "every": first.record_every,
        "validate_every": first.validate_every,
        "network": first.network,
        "measured": figures["accuracy"]["title"],
        "notes": lanes.notes(values, race.open),
        "settings": lanes.settings(values),
        "scene": race.scene,
        "open": race.open,
        "until": race.until,
        "heading": race.heading,
        "panels": figures,
    }, arrays
