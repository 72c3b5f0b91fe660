"""The front desk of the recordings: one computation per configuration, however many watch it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import ParamSpec, TypeVar

from bnlib import RunConfig
from bnlib.recordings import Recordings
from bnlib.telemetry import Frame
from bnlib.workers import WorkerContext

from . import worker
from .scheduler import ComputationError, Viewer, joined

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

WORKERS = 2
# A turn is long enough that handing over costs little, short enough that a picture is never far. The more
# recordings wait, the shorter, down to a shortest: then a round over all of them takes ROUND_SECONDS.
TURN_SECONDS, SHORTEST_TURN, ROUND_SECONDS = 0.06, 0.008, 0.5
PATIENT = 4  # so many times longer where frames lie far apart: a draft is shown when all of it is there
LARGEST_CHUNK = 200
TRIES = 3


class _Show:
    """One recording's audience, and the task that extends it while somebody waits."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.viewers: list[Viewer] = []
        self.task: asyncio.Task[None] | None = None
        self.preparing = False  # the task is having the base of a branch computed
        self.most = config.record_every  # steps of the next turn: a frame at first, then growing
        self.pace = math.inf  # steps a second, in the last turn
        self.handing = 0.0  # seconds that its last turn took besides computing

    def waiting(self) -> list[Viewer]:
        """Who hasn't seen all that they want."""
        return [viewer for viewer in self.viewers if viewer.next <= viewer.step // self.config.record_every]

    def tell(self, error: str = "") -> None:
        for viewer in self.viewers:
            viewer.error = viewer.error or error
            viewer.news.set()


class Desk:
    """Hands out frames of recordings, and has the pool extend them as far as somebody wants.

    Lives in the server's event loop; nothing in it blocks. ``computed_steps`` counts the steps that the
    pool was asked for.
    """

    def __init__(self, max_bytes: int = 256 * 2**20, workers: int = WORKERS):
        self.recordings = Recordings(max_bytes)
        self.computed_steps = 0
        self._workers = workers
        self._pool: Executor | None = None
        self._open = False
        self._turn = asyncio.Semaphore(workers)
        self._retry = asyncio.Lock()
        self._shows: dict[RunConfig, _Show] = {}

    def start(self) -> None:
        """Open, and let the pool's processes warm up on their own."""
        self._open = True
        with contextlib.suppress(ComputationError):  # logged; who needs the pool has it tried again
            self._start_pool()

    def _start_pool(self) -> Executor:
        pool = ProcessPoolExecutor(self._workers, mp_context=WorkerContext(), initializer=worker.warm_up)
        try:
            for _ in range(self._workers):  # a process is started when there is something to do
                pool.submit(worker.ready)
        except OSError as error:
            log.exception("the worker processes can't be started")
            pool.shutdown(wait=False, cancel_futures=True)
            raise ComputationError("the server can't start its worker processes; try again later") from error
        self._pool = pool
        return pool

    def stop(self) -> None:
        """End the pool and everything that waits for it, for good."""
        self._open = False
        for show in self._shows.values():
            if show.task is not None:
                show.task.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def run(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """``function(*arguments)`` in the pool; a pool that lost a process is replaced."""
        try:
            return await self._attempt(function, *arguments, **keywords)
        except BrokenProcessPool:
            pass
        for _ in range(TRIES - 1):
            # A lost process takes its neighbours' work with it. Second tries go one by one, so that
            # what keeps killing processes has no neighbours to take along.
            async with self._retry:
                try:
                    return await self._attempt(function, *arguments, **keywords)
                except BrokenProcessPool:
                    continue
        raise ComputationError(
            f"the computation was broken off {TRIES} times; try a smaller network or fewer seeds"
        )

    async def _attempt(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        if not self._open:
            raise ComputationError("the server is going away")
        pool = self._pool
        try:
            pool = pool or self._start_pool()
            return await asyncio.wrap_future(pool.submit(function, *arguments, **keywords))
        except BrokenProcessPool:
            log.warning("a worker process ended unexpectedly; its work is done again")
            if self._pool is pool:
                self._pool = None
            raise

    async def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[Frame, None]:
        """The recording's blocks of frames in order, as far as ``viewer`` wants, as they come.

        Endless: it waits for more until it is closed. What no viewer waits for is not computed.

        Raises
        ------
        ComputationError
            If the recording can't be extended. Whoever asks again has it tried again.
        """
        show = self._shows.setdefault(config, _Show(config))
        show.viewers.append(viewer)
        try:
            while True:
                viewer.news.clear()
                recording = self.recordings.open(config, viewer.next)
                stop = min(viewer.step // config.record_every + 1, viewer.next + LARGEST_CHUNK)
                if blocks := recording.between(viewer.next, stop):
                    block = joined(blocks)
                    viewer.next += len(block["step"])
                    yield block
                    continue
                if viewer.error:
                    raise ComputationError(viewer.error)
                if show.task is None and viewer in show.waiting():
                    show.task = asyncio.create_task(self._extend(show))
                await viewer.news.wait()
        finally:
            show.viewers.remove(viewer)
            self._close(show)

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Some arrays of some frames of a recording, when they are there; they are computed if need be."""
        every = config.record_every
        viewer, found = Viewer((numbers.stop - 1) * every, first=numbers.start), []
        async with contextlib.aclosing(self.watch(config, viewer)) as blocks:
            async for block in blocks:
                found.append(block)
                if viewer.next >= numbers.stop:
                    break
        return joined([{name: block[name] for name in names} for block in found])

    def turn_seconds(self, config: RunConfig, handing: float = 0.0) -> float:
        """How long a recording's turn may last, given how many others wait for theirs.

        Not less than its ``handing`` over takes: a server that is out of breath gets fewer turns, not more.
        """
        waiting = sum(show.task is not None for show in self._shows.values())
        longest = TURN_SECONDS * min(config.record_every, PATIENT)
        fair = min(longest, ROUND_SECONDS * self._workers / max(1, waiting))
        return max(SHORTEST_TURN, fair, min(handing, ROUND_SECONDS))

    async def _have_base(self, config: RunConfig) -> None:
        """Compute what a branch shares with its base as the base's, so that all its branches share it."""
        step = config.edits[-1][0]
        base = replace(config, edits=tuple(edit for edit in config.edits if edit[0] < step))
        last = (step - 1) // config.record_every
        await self.frames(base, range(last, last + 1), ("step",))

    async def _extend(self, show: _Show) -> None:
        """Extend a recording, chunk by chunk and in turn with others, until nobody waits."""
        config, error = show.config, ""
        try:
            if config.edits and config not in self.recordings:
                show.preparing = True
                await self._have_base(config)
                show.preparing = False
            while True:
                async with self._turn:
                    waiting = show.waiting()
                    if not waiting:
                        break
                    recording = self.recordings.open(config, min(viewer.next for viewer in waiting))
                    wanted = max(viewer.step for viewer in waiting) + 1 - recording.step
                    if wanted <= 0:
                        break
                    due = show.pace * self.turn_seconds(config, show.handing)
                    steps = max(1, int(min(wanted, show.most, LARGEST_CHUNK, due)))
                    began = time.perf_counter()
                    self.computed_steps += steps
                    turn = await self.run(worker.timed, worker.extend, recording.run or config, steps)
                    (run, block), seconds = turn
                    show.most, show.pace = 4 * steps, steps / seconds
                    show.handing = time.perf_counter() - began - seconds
                self.recordings.extend(config, run, block)
                show.tell()
        except ComputationError as failure:
            error = str(failure)
        except Exception as failure:
            log.exception("extending a recording failed")
            error = f"the computation failed: {failure}"
        finally:
            show.task, show.preparing = None, False
            show.tell(error)
            self._close(show)

    def _close(self, show: _Show) -> None:
        """Forget a show that nobody watches; not before its task has ended, lest there be two."""
        if not show.viewers and show.task is None and self._shows.get(show.config) is show:
            del self._shows[show.config]
        elif not show.viewers and show.task is not None and show.preparing:
            show.task.cancel()
