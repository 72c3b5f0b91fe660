"""The training lab's side of a session: a race is watched, judged, measured, checked and taken away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.training.recordings import HISTOGRAM_EDGES, Frame
from book.chapter import packed_figures
from book.controls import Values, read
from book.race import frames, lanes, panels
from book.race import settings as lab
from book.race.asking import is_open
from book.race.looks import looks

from . import take as files
from .judge import Race
from .limits import refusal
from .scheduler import CheckError, ComputationError, Gone, TooMuch, Viewer, Waiting, joined
from .session import PRESENT, Session, settings, whole
from .track import Track, spoken
from .wire import pack

log = logging.getLogger(__name__)

# The arrays of a recording that go to the page.
SENT = ("step", "picture", "surface", "cloud")
SENT_OF_GHOSTS = ("step", "picture")
OPEN = "the question of this race is open: answer it or skip it first"
UNSAID: dict[str, Any] = {
    "text": "", "because": "", "change": "", "read": [], "leader": None, "story": None, "experiment": None,
}  # fmt: skip


class LabSession(Session):
    """A visitor of the chapters and of the lab: at most one race is watched, and answers follow questions."""

    shelf: Track

    def __init__(
        self, track: Track, send: Callable[[str | bytes], Awaitable[None]], here: Callable[[], bool] = PRESENT
    ):
        super().__init__(track, send, here)
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

        def answer() -> bytes:
            header: dict[str, Any] = {"kind": "lab", "id": number, "problems": problems}
            if refused:
                header |= {"refused": refused._asdict(), "notes": lanes.notes(values)}
                return pack(header, {})
            about, arrays = described(race, values, narrow)
            return pack(header | {"refused": None} | about, arrays)

        # All who follow one link are answered with the same bytes.
        asked = json.dumps([number, draft, narrow, settings(message)], sort_keys=True)
        async with contextlib.nullcontext() if asked in self.shelf.packs else self.shelf.share:
            self.stay()
            race, refused = Race.of(values, draft), refusal(values)
            answered = self.shelf.packs.get(asked, answer)
        await self.send(answered)
        if refused:
            return
        self.race = race
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
        async with self.shelf.share:
            self.stay()
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
        await self.one_at_a_time(self.taking, "file")
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
        await self.one_at_a_time(self.checking, "check")
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
