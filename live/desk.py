"""The front desk of the recordings: one computation per configuration, however many watch it."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from bnlib import RunConfig
from bnlib.recordings import Recordings

from . import worker

log = logging.getLogger(__name__)
P, T = ParamSpec("P"), TypeVar("T")

WORKERS = 2
# Long enough that handing over costs little, short enough that a picture is never far.
CHUNK_SECONDS = 0.06
FIRST_CHUNK, LARGEST_CHUNK = 4, 200
TRIES = 3


class _WorkerProcess(SpawnProcess):
    """A spawned process that doesn't run the parent's main module again.

    While a page is being made, Streamlit's main module is that page's script: a worker started then
    would run the page.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)  # type: ignore[attr-defined]
        finally:
            sys.modules["__main__"] = main


class _WorkerContext(SpawnContext):
    Process = _WorkerProcess  # type: ignore[assignment]


class Viewer:
    """Somebody who watches one recording, up to ``step``."""

    def __init__(self, step: int):
        self.step = step
        self.news = asyncio.Event()

    def want(self, step: int) -> None:
        """Watch up to ``step`` from now on."""
        self.step = step
        self.news.set()


class _Show:
    """One recording's audience, and the task that extends it while somebody waits."""

    def __init__(self) -> None:
        self.viewers: list[Viewer] = []
        self.task: asyncio.Task[None] | None = None
        self.chunk = FIRST_CHUNK
        self.error = ""

    def wanted(self) -> int:
        return max((viewer.step for viewer in self.viewers), default=-1)


class Desk:
    """Hands out pictures of recordings, and has the pool extend them as far as somebody wants.

    Lives in the server's event loop; nothing in it blocks. ``computed_steps`` counts the steps that the
    pool was asked for.
    """

    def __init__(self, max_bytes: int = 256 * 2**20, workers: int = WORKERS):
        self.recordings = Recordings(max_bytes)
        self.computed_steps = 0
        self._workers = workers
        self._pool: Executor | None = None
        self._turn = asyncio.Semaphore(workers)
        self._shows: dict[RunConfig, _Show] = {}

    def start(self) -> None:
        """Start the pool; its processes warm up on their own."""
        self._pool = ProcessPoolExecutor(
            self._workers,
            mp_context=_WorkerContext(),
            initializer=worker.warm_up,
        )
        for _ in range(self._workers):
            self._pool.submit(worker.ready)

    def stop(self) -> None:
        """End the pool and everything that waits for it."""
        for show in self._shows.values():
            if show.task is not None:
                show.task.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def run(self, function: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        """``function(*arguments)`` in the pool; a pool that lost a process is replaced."""
        for attempt in range(TRIES):
            if self._pool is None:
                self.start()
            pool = self._pool
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
            except BrokenProcessPool:
                log.warning("a worker process ended unexpectedly (try %d of %d)", attempt + 1, TRIES)
                if self._pool is pool:
                    self._pool = None
        raise RuntimeError(f"the computation failed {TRIES} times; try a smaller network or fewer seeds")

    async def watch(self, config: RunConfig, viewer: Viewer) -> AsyncIterator[worker.Picture]:
        """Pictures of the recording's frames in order, as far as ``viewer`` wants, as they come.

        Endless: it waits for more until it is closed. What no viewer wants is not computed.
        """
        show = self._shows.setdefault(config, _Show())
        show.viewers.append(viewer)
        sent = 0
        try:
            while True:
                viewer.news.clear()
                recording = self.recordings.open(config)
                stop = viewer.step // config.record_every + 1
                for block in recording.between(sent, stop):
                    sent += len(block["step"])
                    yield block["picture"][0]
                if show.error:
                    raise RuntimeError(show.error)
                if sent < stop and (show.task is None or show.task.done()):
                    show.task = asyncio.create_task(self._extend(config, show))
                if not viewer.news.is_set():
                    await viewer.news.wait()
        finally:
            show.viewers.remove(viewer)
            if not show.viewers:
                self._shows.pop(config, None)

    async def _extend(self, config: RunConfig, show: _Show) -> None:
        try:
            while (run := self.recordings.open(config).run).step <= show.wanted():
                async with self._turn:
                    began = time.perf_counter()
                    steps = show.chunk
                    self.computed_steps += steps
                    run, block = await self.run(worker.extend, run, steps)
                    pace = CHUNK_SECONDS / (time.perf_counter() - began)
                    show.chunk = max(1, min(LARGEST_CHUNK, 4 * steps, round(steps * pace)))
                self.recordings.extend(config, run, block)
                for viewer in show.viewers:
                    viewer.news.set()
        except Exception as error:
            log.exception("extending a recording failed")
            show.error = str(error)
            for viewer in show.viewers:
                viewer.news.set()
