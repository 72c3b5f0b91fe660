"""The front desk of the recordings: one computation per configuration, however many watch it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import ParamSpec, TypeVar

from bnlib import Run, RunConfig
from bnlib.telemetry import Frame
from bnlib.workers import WorkerContext

from . import worker
from .recordings import Recording, Recordings, base_of
from .scheduler import ComputationError, Viewer, joined

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

# The server and a browser on the same machine keep a core; a race has at most four lanes.
WORKERS = max(2, min(4, (os.cpu_count() or 1) - 1))
# A turn is long enough that handing over costs little, short enough that a picture is never far. The more
# recordings wait, the shorter, down to a shortest: then a round over all of them takes ROUND_SECONDS.
TURN_SECONDS, SHORTEST_TURN, ROUND_SECONDS = 0.06, 0.008, 0.5
PATIENT = 4  # so many times longer where frames lie far apart: a draft is shown when all of it is there
LARGEST_CHUNK = 200
TRIES = 3
MOST_PACES = 256
FADING = 0.7  # how much of a recording's pace is that of the turns before the last


class _Show:
    """One recording's audience, and the task that extends it while somebody waits."""

    def __init__(self, config: RunConfig, pace: float) -> None:
        self.config = config
        self.viewers: list[Viewer] = []
        self.task: asyncio.Task[None] | None = None
        self.preparing = False  # the task is having the base of a branch computed
        self.pace = pace  # steps a second while it computes; infinite: not known yet
        self.known = pace < math.inf  # from others that cost as much
        # Steps of the next turn: one at first, which is the first picture. A draft is shown when all of it
        # is there: where its pace is known, nothing is gained by a short turn.
        self.most = LARGEST_CHUNK if self.known and config.record_every > 1 else 1
        self.handing = 0.0  # seconds that its last turn took besides computing
        self.steps = self.seconds = 0.0  # of its latest turns, the time in which it waited for them too

    def waiting(self) -> list[Viewer]:
        """Who hasn't seen all that they want."""
        return [viewer for viewer in self.viewers if viewer.next <= viewer.step // self.config.record_every]

    def wanted(self) -> tuple[int, int]:
        """The first frame and the number of steps that those who wait need; (0, 0) if nobody does."""
        waiting = self.waiting()
        if not waiting:
            return 0, 0
        return min(viewer.next for viewer in waiting), max(viewer.step for viewer in waiting) + 1

    def count(self, steps: int, computing: float, seconds: float) -> None:
        """Learn from a turn of so many steps, which took ``seconds`` with the wait for it."""
        self.pace = steps / computing
        self.most = LARGEST_CHUNK if self.known else max(4 * steps, self.config.record_every)
        self.steps, self.seconds = FADING * self.steps + steps, FADING * self.seconds + seconds

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
        self.recordings = Recordings(max_bytes, worker.thinned)
        self.computed_steps = 0
        self._workers = workers
        self._pool: Executor | None = None
        self._open = False
        self._turn = asyncio.Semaphore(workers)
        self._retry = asyncio.Lock()
        self._shows: dict[RunConfig, _Show] = {}
        self._paces: OrderedDict[RunConfig, float] = OrderedDict()  # of recordings that cost alike

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

    async def watch(
        self, config: RunConfig, viewer: Viewer, names: Collection[str] | None = None
    ) -> AsyncGenerator[Frame, None]:
        """The recording's blocks of frames in order, as far as ``viewer`` wants, as they come.

        ``names``: the arrays that are wanted; None: all. Endless: it waits for more until it is closed. What
        no viewer waits for is not computed.

        Raises
        ------
        ComputationError
            If the recording can't be extended. Whoever asks again has it tried again.
        """
        show = self._shows.get(config)
        if show is None:
            show = self._shows[config] = _Show(
                config, self._paces.get(worker.recorded_alike(config), math.inf)
            )
        show.viewers.append(viewer)
        try:
            while True:
                viewer.news.clear()
                recording = self.recordings.open(config, viewer.next)
                stop = min(viewer.step // config.record_every + 1, viewer.next + LARGEST_CHUNK)
                if blocks := recording.between(viewer.next, stop):
                    viewer.next += sum(len(block["step"]) for block in blocks)
                    yield joined([{n: b[n] for n in names} for b in blocks] if names else blocks)
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
        async with contextlib.aclosing(self.watch(config, viewer, names)) as blocks:
            async for block in blocks:
                found.append(block)
                if viewer.next >= numbers.stop:
                    break
        return joined(found)

    def first(self, config: RunConfig) -> int:
        """Return the number of the first frame that is kept; 0 if nothing is: it comes from the start."""
        return self.recordings.first(config)

    def turn_seconds(self, config: RunConfig, handing: float = 0.0) -> float:
        """How long a recording's turn may last, given how many others wait for theirs.

        Not less than its ``handing`` over takes: a server that is out of breath gets fewer turns, not more.
        """
        waiting = sum(show.task is not None for show in self._shows.values())
        longest = TURN_SECONDS * min(config.record_every, PATIENT)
        fair = min(longest, ROUND_SECONDS * self._workers / max(1, waiting))
        return max(SHORTEST_TURN, fair, min(handing, ROUND_SECONDS))

    def pace(self, config: RunConfig) -> float | None:
        """Steps a second at which a recording grows now, waiting for its turns too; None: it doesn't grow."""
        show = self._shows.get(config)
        if show is not None and show.preparing:
            show = self._shows.get(base_of(config))
        return show.steps / show.seconds if show is not None and show.task and show.seconds else None

    async def _extend(self, show: _Show) -> None:
        """Extend a recording, chunk by chunk and in turn with others, until nobody waits."""
        config, error, prepared = show.config, "", 0
        try:
            while True:
                # Once: if the past is evicted before it is used, the branch computes it as its own.
                if (due := self._lacking(show)) > prepared:
                    prepared, show.preparing = due, True
                    await self._have_past(show, due)
                    show.preparing = False
                began = time.perf_counter()
                async with self._turn:
                    first, stop = show.wanted()
                    recording = self.recordings.open(config, first)
                    if stop <= recording.step:
                        break
                    run, block = await self._turn_of(show, recording, stop - recording.step, began)
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

    async def _turn_of(
        self, show: _Show, recording: Recording, wanted: int, asked: float
    ) -> tuple[Run, Frame]:
        """Compute what a recording's turn has time for; ``asked``: when it began to wait for it."""
        config = show.config
        due = show.pace * self.turn_seconds(config, show.handing)
        steps = max(1, int(min(wanted, show.most, LARGEST_CHUNK, due)))
        began = time.perf_counter()
        self.computed_steps += steps
        turn = await self.run(worker.timed, worker.extend, recording.run or config, steps)
        found, seconds = turn
        now = time.perf_counter()
        show.handing = now - began - seconds
        show.count(steps, seconds, now - asked)
        alike = worker.recorded_alike(config)
        self._paces[alike] = show.pace
        self._paces.move_to_end(alike)
        if len(self._paces) > MOST_PACES:
            self._paces.popitem(last=False)
        return found

    def _lacking(self, show: _Show) -> int:
        """The steps that a branch shares with its base and that aren't there yet: up to which; 0 if none."""
        if not show.config.edits:
            return 0
        first, stop = show.wanted()
        stop = min(stop, show.config.edits[-1][0])
        return stop if self.recordings.open(show.config, first).step < stop else 0

    async def _have_past(self, show: _Show, stop: int) -> None:
        """Have the steps before ``stop`` that a branch shares with its base.

        They are recorded as the base's, so that all its branches share them. The run at the very step where
        they branch off is kept, so that it is come by once.
        """
        config, base = show.config, base_of(show.config)
        last = (stop - 1) // config.record_every
        known = self.recordings.open(config, show.wanted()[0]).stop
        viewer = Viewer(last * config.record_every, first=min(known, last))
        async with contextlib.aclosing(self.watch(base, viewer)) as blocks:
            async for _ in blocks:
                show.tell()  # what there is of the past is shown
                if viewer.next > last:
                    break
        recording = self.recordings.open(config, show.wanted()[0])
        if recording.step >= stop:
            return
        run: Run | None = recording.run and replace(recording.run, config=base)
        step, fork, pace = recording.step, config.edits[-1][0], 0.0
        while step < fork:
            async with self._turn:
                steps = min(fork - step, max(1, int(pace * self.turn_seconds(config))), LARGEST_CHUNK)
                self.computed_steps += steps
                later, seconds = await self.run(worker.timed, worker.skip, run or base, steps)
                run, step, pace = later, later.step, steps / seconds
        if run is not None:
            self.recordings.fork(run)

    def _close(self, show: _Show) -> None:
        """Forget a show that nobody watches; not before its task has ended, lest there be two."""
        if not show.viewers and show.task is None and self._shows.get(show.config) is show:
            del self._shows[show.config]
        elif not show.viewers and show.task is not None and show.preparing:
            show.task.cancel()
