"""What the build has measured: results of the long computations with which chapters begin, and their answers.

A phone takes minutes for what eight seeds of a network take here. What a reader changes is computed there.
What every reader meets is computed once, by the very same functions, and comes along.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

from book.chapter import Chapter, Job, Page, Scene
from book.predictions import Answer
from live.scheduler import Checker, Scheduler
from live.track import Track

log = logging.getLogger(__name__)

FILE = "measured.bin"
MOST_RESULTS = 1024  # what comes along, and what a reader adds
LEVEL = 9
# Protocol 5 says how an array lies in memory in a way that an older NumPy, Pyodide's, can't read.
PROTOCOL = 4


async def measure(page: Page, track: Track) -> bytes:
    """Measure a page's scenes, before and after their reveals; return all results of ``track``, packed."""
    if isinstance(page, Chapter):
        for scene in page.scenes:
            await track.complete(page, page.settings(scene, {}))
            if scene.choices:
                await track.answer(page, scene)
    return gzip.compress(pickle.dumps(track.results.kept(), PROTOCOL), LEVEL, mtime=0)


def results_in(content: bytes) -> dict[Any, Any]:
    """Return what is in the files of several pages, one after the other."""
    found: dict[Any, Any] = {}
    stream = io.BytesIO(gzip.decompress(content))
    while stream.tell() < len(stream.getvalue()):
        found |= pickle.load(stream)
    return found


class Measured(Track):
    """A track that has the build's results before it computes any of its own.

    ``fetch`` gets their file; where that fails, everything is computed here.
    """

    def __init__(self, scheduler: Scheduler, checks: Checker, fetch: Callable[[], Awaitable[bytes]]):
        super().__init__(scheduler, checks)
        self.results.most = MOST_RESULTS
        self._fetch = fetch
        self._taking: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None]:
        """Take the results in, in the background, once."""
        if self._taking is None:
            self._taking = asyncio.create_task(self._take())
        return self._taking

    async def job(self, job: Job) -> Any:
        """Return what a job returns."""
        await asyncio.shield(self.begin())
        return await super().job(job)

    async def answer(self, chapter: Chapter, scene: Scene) -> Answer:
        """Say which choice of a scene is right."""
        await asyncio.shield(self.begin())
        return await super().answer(chapter, scene)

    async def _take(self) -> None:
        try:
            for key, result in results_in(await self._fetch()).items():
                self.results.keep(key, result)
        except Exception:
            log.exception("what the build has measured can't be had; it is computed here")
