"""The front desk of the recordings: one computation per configuration, however many watch it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from bnlib import Run, RunConfig
from bnlib.training.recordings import Frame

from . import limits, worker
from .crew import Crew, Turn
from .recordings import Recording, Recordings, base_of
from .scheduler import ComputationError, Viewer, joined

log = logging.getLogger(__name__)
T = TypeVar("T")

# The server and a browser on the same machine keep a core; a race has at most four lanes.
# A turn is long enough that handing over costs little, short enough that a picture is never far. The more
# recordings wait, the shorter, down to a shortest: then a round over all of them takes ROUND_SECONDS.
TURN_SECONDS, SHORTEST_TURN, ROUND_SECONDS = 0.06, 0.004, 0.5
PATIENT = 4  # so many times longer where frames lie far apart: a draft is shown when all of it is there
LARGEST_CHUNK = 200
MOST_PACES = 256
TICK = 1e-6  # seconds that a turn takes at least: a browser's clock can stand still meanwhile


class _Show:
    """One recording's audience, and the task that extends it while somebody waits."""

    def __init__(self, config: RunConfig, heavy: bool, paces: Mapping[RunConfig, float]) -> None:
        self.config = config
        self.alike = worker.recorded_alike(config)
        self.heavy = heavy
        self.viewers: list[Viewer] = []
        self.task: asyncio.Task[str] | None = None
        self.turn: Turn | None = None  # while something is computed for it
        self.preparing = False  # the task is having the base of a branch computed
        # Steps a second while it computes; infinite: not known yet.
        self.pace = paces.get(self.alike, math.inf)
        self.known = self.pace < math.inf  # from others that cost as much
        # Steps of the next turn: one at first, which is the first picture. A draft is shown when all of it
        # is there: where its pace is known, nothing is gained by a short turn.
        self.most = LARGEST_CHUNK if self.known and config.record_every > 1 else 1
        self.handing = 0.0  # seconds that its last turn took besides computing

    def waiting(self) -> list[Viewer]:
        """Who hasn't seen all that they want."""
        return [viewer for viewer in self.viewers if viewer.next <= viewer.step // self.config.record_every]

    def wanted(self) -> tuple[int, int]:
        """The first frame and the number of steps that those who wait need; (0, 0) if nobody does."""
        waiting = self.waiting()
        if not waiting:
            return 0, 0
        return min(viewer.next for viewer in waiting), max(viewer.step for viewer in waiting) + 1

    def count(self, steps: int, computing: float) -> None:
        """Learn from a turn of so many steps."""
        self.pace = steps / max(computing, TICK)
        self.most = LARGEST_CHUNK if self.known else max(4 * steps, self.config.record_every)

    def tell(self, error: str = "") -> None:
        """Wake those who wait; the others have nothing to see."""
        for viewer in self.waiting():
            viewer.error = viewer.error or error
            viewer.news.set()


class Desk:
    """Hands out frames of recordings, and has the crew extend them as far as somebody wants.

    Lives in the server's event loop; nothing in it blocks. ``computed_steps`` counts the steps that the
    crew was asked for. ``heavy`` says which recordings are so slow that light ones must not wait for them.
    """

    def __init__(
        self,
        crew: Crew,
        max_bytes: int = 256 * 2**20,
        heavy: Callable[[RunConfig], bool] = limits.heavy,
    ):
        self.recordings = Recordings(max_bytes, worker.thinned)
        self.crew = crew
        self.computed_steps = 0
        self._heavy = heavy
        self._shows: dict[RunConfig, _Show] = {}
        self._growing = {False: 0, True: 0}  # how many light and heavy recordings do
        self._paces: OrderedDict[RunConfig, float] = OrderedDict()  # of recordings that cost alike

    @property
    def waiting(self) -> int:
        """How many recordings share the processes now."""
        return sum(self._growing.values())

    def start(self) -> None:
        """Open, and let the processes warm up on their own."""
        self.crew.start()

    def stop(self) -> None:
        """End the processes and everything that waits for them, for good."""
        for show in self._shows.values():
            if show.task is not None:
                show.task.cancel()
        self.crew.stop()

    async def run(self, function: Callable[..., T], *arguments: Any, heavy: bool = False) -> T:
        """Return ``function(*arguments)``, computed by one of the processes.

        ``heavy``: it takes longer than a turn of a recording may, or nobody knows how long.
        """
        return await self.crew.run(function, *arguments, heavy=heavy)

    async def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[list[Frame], None]:
        """Yield the recording's frames in order, as far as ``viewer`` wants: some blocks at a time.

        Endless: it waits for more until it is closed. What no viewer waits for is not computed.

        Raises
        ------
        ComputationError
            If the recording can't be extended. Whoever asks again has it tried again.
        """
        show = self._shows.get(config)
        if show is None:
            show = self._shows[config] = _Show(config, self._heavy(config), self._paces)
        show.viewers.append(viewer)
        if show.turn is not None:
            show.turn.limit(self.crew.longest)
        try:
            while True:
                viewer.news.clear()
                first, wanted = viewer.next, viewer.step // config.record_every + 1
                stop = min(wanted, first + LARGEST_CHUNK)
                blocks = self.recordings.kept(config, first, stop)
                if not blocks and first < wanted:
                    blocks = self.recordings.open(config, first).between(first, stop)
                if blocks:
                    viewer.next += sum(len(block["step"]) for block in blocks)
                    yield blocks
                    del blocks  # who waits holds no recording
                    continue
                if viewer.error:
                    raise ComputationError(viewer.error)
                if show.task is None and first < wanted:
                    self._grow(show)
                await viewer.news.wait()
        finally:
            show.viewers.remove(viewer)
            self._close(show)

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Some arrays of some frames of a recording, when they are there; they are computed if need be."""
        every = config.record_every
        viewer, found = Viewer((numbers.stop - 1) * every, first=numbers.start), []
        async with contextlib.aclosing(self.watch(config, viewer)) as coming:
            async for blocks in coming:
                found += blocks
                if viewer.next >= numbers.stop:
                    break
        return joined(found, names)

    def first(self, config: RunConfig) -> int:
        """Return the number of the first frame that is kept; 0 if nothing is: it comes from the start."""
        return self.recordings.first(config)

    def past(self, config: RunConfig, step: int) -> Run | None:
        """Return the latest run of ``config`` that is kept and isn't past ``step``."""
        return self.recordings.past(config, step)

    def turn_seconds(self, config: RunConfig, handing: float = 0.0) -> float:
        """How long a recording's turn may last, given how many others wait for theirs.

        Not less than its ``handing`` over takes: a server that is out of breath gets fewer turns, not more.
        """
        heavy = self._heavy(config)
        shared = len(self.crew.hands) - min(self._growing[True], self.crew.most_heavy)
        hands = self.crew.most_heavy if heavy else max(1, shared)
        longest = TURN_SECONDS * min(config.record_every, PATIENT)
        fair = min(longest, ROUND_SECONDS * hands / max(1, self._growing[heavy]))
        return max(SHORTEST_TURN, fair, min(handing, ROUND_SECONDS))

    def _grow(self, show: _Show) -> None:
        """Have a recording extended until nobody waits."""

        def ended(task: asyncio.Task[str]) -> None:
            self._growing[show.heavy] -= 1
            show.task, show.preparing = None, False
            show.tell("" if task.cancelled() else task.result())
            self._close(show)

        self._growing[show.heavy] += 1
        show.task = asyncio.create_task(self._extend(show))
        show.task.add_done_callback(ended)

    async def _extend(self, show: _Show) -> str:
        """Extend a recording, chunk by chunk and in turn with others; return what went wrong."""
        config, prepared = show.config, 0
        try:
            while self._lacks(show):
                # Once: if the past is evicted before it is used, the branch computes it as its own.
                if (due := self._lacking(show)) > prepared:
                    prepared, show.preparing = due, True
                    await self._have_past(show, due)
                    show.preparing = False
                async with self._turn(show) as turn:
                    first, stop = show.wanted()
                    recording = self.recordings.open(config, first)
                    if stop <= recording.step:
                        break
                    run, block = await self._turn_of(show, turn, recording, stop - recording.step)
                self.recordings.extend(config, run, block)
                show.tell()
        except ComputationError as failure:
            return str(failure)
        except Exception as failure:
            log.exception("extending a recording failed")
            return f"the computation failed: {failure}"
        return ""

    @contextlib.asynccontextmanager
    async def _turn(self, show: _Show) -> AsyncIterator[Turn]:
        """Wait for the show's turn; what turned out to be slow is heavy too."""
        async with self.crew.turn(show.heavy or show.pace * limits.HEAVY < 1) as turn:
            show.turn = turn
            try:
                yield turn
            finally:
                show.turn = None

    async def _turn_of(self, show: _Show, turn: Turn, recording: Recording, wanted: int) -> tuple[Run, Frame]:
        """Compute what a recording's turn has time for."""
        due = show.pace * self.turn_seconds(show.config, show.handing)
        steps = max(1, int(min(wanted, show.most, LARGEST_CHUNK, due)))
        began = time.perf_counter()
        self.computed_steps += steps
        found, seconds = await turn.run(worker.timed, worker.extend, recording.run or show.config, steps)
        show.handing = time.perf_counter() - began - seconds
        show.count(steps, seconds)
        self._paces[show.alike] = show.pace
        self._paces.move_to_end(show.alike)
        if len(self._paces) > MOST_PACES:
            self._paces.popitem(last=False)
        return found

    def _lacks(self, show: _Show) -> bool:
        """Whether somebody waits for steps that aren't there yet."""
        first, stop = show.wanted()
        return stop > 0 and stop > self.recordings.open(show.config, first).step

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
            async with self._turn(show) as turn:
                steps = min(fork - step, max(1, int(pace * self.turn_seconds(config))), LARGEST_CHUNK)
                self.computed_steps += steps
                later, seconds = await turn.run(worker.timed, worker.skip, run or base, steps)
                run, step, pace = later, later.step, steps / max(seconds, TICK)
        if run is not None:
            self.recordings.fork(run)

    def _close(self, show: _Show) -> None:
        """Forget a show that nobody watches; not before its task has ended, lest there be two."""
        if show.viewers:
            return
        if show.task is None:
            if self._shows.get(show.config) is show:
                del self._shows[show.config]
        elif show.turn is not None:
            show.turn.limit(self.crew.grace)  # whoever comes back meanwhile finds what it makes
        else:
            show.task.cancel()
