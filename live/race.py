"""The training lab's side of a session: a race is watched, judged, measured, checked and taken away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from functools import partial
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
from .check import Checks, Waiting
from .judge import Race
from .limits import heavy, refusal
from .once import Once, Packs
from .scheduler import ComputationError, Gone, Scheduler, Viewer, joined
from .session import Session, Shelf, settings, whole
from .torch_process import CheckError, TooMuch
from .wire import pack

log = logging.getLogger(__name__)

MOST_VERDICTS = 512
MOST_PACKED = 16 * 2**20  # bytes
MOST_COSTS = 512
# The arrays of a recording that go to the page.
SENT = ("step", "picture", "surface", "cloud")
SENT_OF_GHOSTS = ("step", "picture")
MOST_FILES = 4  # kept for those who take the same
OPEN = "the question of this race is open: answer it or skip it first"
UNSAID: dict[str, Any] = {
    "text": "", "because": "", "change": "", "read": [], "leader": None, "story": None, "experiment": None,
}  # fmt: skip


class Track(Shelf):
    """What sessions of the lab share besides the chapters: verdicts, costs, checks."""

    def __init__(self, scheduler: Scheduler):
        super().__init__(scheduler)
        self.files = Once(MOST_FILES)
        self.checks = Checks()
        self.verdicts = Once(MOST_VERDICTS)
        self.packs = Packs(MOST_PACKED)
        self._costs: dict[RunConfig, tuple[int, float]] = {}
        # What is measured side by side takes longer; light lanes don't wait for heavy ones.
        self._measuring = {slow: asyncio.Semaphore(1) for slow in (False, True)}

    async def verdict(self, race: Race, step: int) -> str:
        """Say how a race stands at ``step`` and why, as the rest of a message; all who watch it share it."""

        async def say() -> str:
            lanes, ghosts = await asyncio.gather(self.course(race, step), self.before(race, step))
            said: dict[str, Any] = judge.said(race, lanes, ghosts, step)._asdict()
            said |= {"story": None, "experiment": judge.evidence(race, step)}
            if race.scene and step >= race.until:
                said["story"] = judge.story(race, await self.numbers(race), step)
                said["read"] = SCENES[race.scene].read
                if step == race.until:  # the scene's own reason is enough there
                    said |= {"because": "", "change": ""}
            return spoken(step, said)

        return await self.verdicts.get((race.key, step), say)

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

        return await self.results.get(("scene", race.scene, *race.configs), measure)

    async def cost(self, config: RunConfig) -> tuple[int, float]:
        """How many parameters a lane's network has, and the seconds that a step of all its seeds takes."""
        alike, slow = worker.cost_alike(config), heavy(config)
        async with self._measuring[slow]:
            known = self._costs.get(alike)
            if known is None:
                known = await self.scheduler.run(worker.cost, alike, heavy=slow)
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
        self.sharing = 0  # as it was told last

    async def lab(self, message: dict[str, Any]) -> None:
        """Watch a race, its ghost, and no other."""
        values, problems = read(lab.LAB_CONTROLS, settings(message))
        number, until = whole(message, "id"), whole(message, "until")
        draft, narrow = message.get("draft") is True, message.get("narrow") is True
        await self.end()
        self.race = race = Race.of(values, draft)
        refused = refusal(values)

        def answer() -> bytes:
            header, arrays = described(race, values, narrow)
            header |= {"problems": problems, "refused": refused and refused._asdict()}
            return pack({"kind": "lab", "id": number} | header, arrays)

        # All who follow one link are answered with the same bytes.
        asked = json.dumps([number, draft, narrow, settings(message)], sort_keys=True)
        await self.send(self.shelf.packs.get(asked, answer))
        if refused:
            self.race = None
            return
        shown = [(lane, config, False) for lane, config in enumerate(race.configs)]
        shown += [(lane, config, True) for lane, config in race.ghosts.items()]
        for lane, config, ghost in shown:
            viewer = Viewer(race.horizon(until))
            self.viewers.append(viewer)
            self.tasks.append(asyncio.create_task(self.feed(config, viewer, number, lane, ghost)))
        if not draft:
            self.tasks.append(asyncio.create_task(self.costs(race, number)))
        self.sharing = 0
        await self.tell_line(number)

    async def tell_line(self, number: int) -> None:
        """Tell among how many recordings the server is shared, if that has changed by much."""
        waiting = self.shelf.scheduler.waiting
        sharing = waiting if waiting > len(self.viewers) else 0
        if abs(sharing - self.sharing) > self.sharing // 8:
            self.sharing = sharing
            await self.send(json.dumps({"kind": "line", "id": number, "sharing": sharing}))

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
        try:
            async with contextlib.aclosing(self.shelf.scheduler.watch(config, viewer)) as coming:
                async for blocks in coming:
                    first, count = int(blocks[0]["step"][0]), sum(len(block["step"]) for block in blocks)
                    pack_them = partial(packed_frames, blocks, lane, ghost)
                    message = self.shelf.packs.get((config, lane, ghost, first, count), pack_them)
                    del blocks, pack_them  # a thousand who wait hold none of it
                    await self.send(message)
                    del message
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
        """Say in words how the race stands (while its question is open: nothing), to the latest question."""
        number, step = whole(message, "id"), min(whole(message, "step"), lab.LAB_STEPS)
        if self.race is None:
            raise ValueError("there is no race to judge; ask for one with a lab message")
        await self.tell_line(number)
        if self.speaking is not None:
            self.speaking.cancel()
            self.speaking = None
        known = spoken(step, UNSAID) if self.race.open else self.shelf.verdicts.known((self.race.key, step))
        if known is not None:
            await self.send(verdict_message(number, known))
            return
        self.speaking = asyncio.create_task(self.speak(self.race, number, step))

    async def speak(self, race: Race, number: int, step: int) -> None:
        """Send the verdict on ``step`` once its frames are there."""
        try:
            await self.send(verdict_message(number, await self.shelf.verdict(race, step)))
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
        if refused := refusal(wanted.values):
            raise ValueError(refused.text)
        self.one_file_at_a_time()
        write = partial(files.written, wanted, self.shelf.scheduler, self.shelf.outbox)
        written = partial(self.shelf.files.get, repr(wanted), write)
        self.taking = asyncio.create_task(self.hand_over(number, wanted.name, written))

    async def check(self, message: dict[str, Any]) -> None:
        """Compare each lane at a step with PyTorch, one visitor's at a time."""
        number, step, values = whole(message, "id"), whole(message, "step"), settings(message)
        raced, problems = read(lab.LAB_CONTROLS, values)
        if problems:
            raise ValueError("; ".join(problems))
        if is_open(raced):
            raise ValueError(OPEN)
        if refused := refusal(raced):
            raise ValueError(refused.text)
        if self.checking is not None and not self.checking.done():
            raise ValueError("one check at a time: the one before is still on its way")
        race = Race.of(raced)
        self.checking = asyncio.create_task(self.compare(race, number, min(step, lab.LAB_STEPS)))

    async def compare(self, race: Race, number: int, step: int) -> None:
        """Send what PyTorch says, or why it isn't asked, lane by lane; while one waits, its place in line."""

        async def tell(answer: dict[str, Any], waiting: Waiting) -> None:
            await self.send(json.dumps(answer | {"waiting": waiting._asdict()}))

        with contextlib.suppress(Gone):
            for lane, (name, config) in enumerate(zip(race.names, race.configs, strict=True)):
                answer = {"kind": "check", "id": number, "lane": lane, "of": len(race.names), "name": name}
                try:
                    found = await self.shelf.checks.report(config, step, partial(tell, answer))
                    text = json.dumps(answer | {"report": found}, allow_nan=False)
                except Gone:
                    raise
                except TooMuch as error:  # of this lane
                    text = json.dumps(answer | {"refused": str(error)})
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


def packed_frames(blocks: list[Frame], lane: int, ghost: bool) -> bytes:
    """Return the "frames" message of some blocks of a lane's recording that follow one another."""
    block = joined(blocks, SENT_OF_GHOSTS if ghost else SENT)
    header: dict[str, Any] = {"kind": "frames", "lane": lane, "ghost": ghost}
    rows = block["picture"][0]
    arrays = {"rows": rows[:, : frames.CURVE_COLUMNS] if ghost else rows}
    for name in ("surface", "cloud"):
        if name in block:
            first = block[name][0].reshape(len(block["step"]), -1)  # of the first seed
            known = np.isfinite(first[:, 0])
            arrays[f"{name}s"] = first[known]
            header[f"{name}_steps"] = block["step"][known].tolist()
    return pack(header, arrays)


def spoken(step: int, said: dict[str, Any]) -> str:
    """Return what a verdict says as JSON, without what comes before it in a message."""
    return json.dumps({"step": step} | said)[1:]


def verdict_message(number: int, said: str) -> str:
    """Return the answer to one session's question for a verdict; ``said``: what `spoken` returned."""
    return f'{{"kind": "verdict", "id": {number}, {said}'


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
