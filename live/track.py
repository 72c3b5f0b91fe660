"""What sessions of the lab share: how races stand, what lanes cost, checks, files, packed messages."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bnlib import RunConfig
from bnlib.training.recordings import Frame
from book.race import verdict
from book.race.scenes import SCENES

from . import judge, worker
from .judge import Race
from .limits import heavy
from .once import Once, Packs
from .scheduler import Checker, Scheduler
from .session import Shelf

MOST_VERDICTS = 512
MOST_PACKED = 16 * 2**20  # bytes
MOST_COSTS = 512
MOST_FILES = 4  # kept for those who take the same


class Track(Shelf):
    """What sessions of the lab share besides the chapters: verdicts, costs, checks."""

    def __init__(self, scheduler: Scheduler, checks: Checker):
        super().__init__(scheduler)
        self.files = Once(MOST_FILES)
        self.checks = checks
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


def spoken(step: int, said: dict[str, Any]) -> str:
    """Return what a verdict says as JSON, without what comes before it in a message."""
    return json.dumps({"step": step} | said)[1:]
