"""Checking lanes against PyTorch: in turn, no more than fits into a turn, and shared by all who ask."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from bnlib import Run, RunConfig
from bnlib.jobs.forecast import forecast
from bnlib.torch_check.check import alone

from .scheduler import Checker, CheckError, Told, TooMuch, Waiting
from .torch_process import TorchProcess

FITS = 8.0  # seconds that a check may take, as forecast
HEAVY = 1.0  # seconds from which a check is heavy
SECONDS, START = 20.0, 60.0  # a check that takes longer is given up, and so is a process that isn't ready
IDLE = 60.0  # seconds that a process is kept for the next question
# One for any check, and one for light ones, which so never wait for a heavy one. More would be taken from the
# processes that compute the races; two take as much as two heavy lanes of theirs.
HANDS = 2
EVERY = 0.5  # seconds between two looks at the line
KEPT = 128
FADING = 0.7  # how much of what is known of the machine's speed is from before the last check
# A check makes about ten steps, some of them in float64, and validates four times; PyTorch takes the parts
# of a batch one by one, with so many seconds for each.
STEPS, STEPS_OF_GAN, EACH_PART = 12.0, 18.0, 3e-4

Past = Callable[[RunConfig, int], Run | None]


class Size(NamedTuple):
    """Seconds that a check takes: of a training step on the way, and of the comparison at its end."""

    step: float
    comparison: float


def size(config: RunConfig, step: int) -> Size:
    """Forecast what a check of the first seed at ``step`` takes."""
    edits = tuple(edit for edit in config.edits if edit[0] <= step)
    one = alone(replace(config, edits=edits))
    expected, now = forecast(one), one.at(step)
    steps = STEPS_OF_GAN if now.network == "gan" else STEPS
    parts = now.batch_size // now.statistics_of * now.depth if now.statistics_of else 0
    parts *= 8 if now.network == "rnn" else 1
    return Size(expected.seconds, steps * expected.longest + EACH_PART * parts)


def seconds_from(config: RunConfig, step: int, known: int) -> float:
    """Forecast a check of ``config`` at ``step`` whose run is known up to a step before.

    Raises
    ------
    TooMuch
        If that doesn't fit; the message names a step that does.
    """
    each, comparison = size(config, step)
    seconds = comparison + each * (step - known)
    if seconds <= FITS:
        return seconds
    rule = f"more than the {FITS:.0f} s that a check may take"
    if comparison > FITS:
        raise TooMuch(
            f"comparing a single step of this lane takes about {comparison:.0f} s, {rule}; "
            "try a smaller batch, a narrower network or fewer layers"
        )
    fitting = known + int((FITS - comparison) / each)
    fitting = max(known, fitting - fitting % 10 ** max(0, len(str(fitting)) - 2))
    raise TooMuch(
        f"checking step {step:,} of this lane takes about {seconds:.0f} s, {rule}; "
        f"step {fitting:,} takes less: go there and check again"
    )


@dataclass(eq=False)
class _Job:
    """A check that somebody waits for: in line until its ``turn`` comes."""

    config: RunConfig
    step: int
    seconds: float
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    asking: int = 0
    waiting: Waiting = Waiting(0, 0)

    @property
    def heavy(self) -> bool:
        return self.seconds > HEAVY


class Checks(Checker):
    """The line of those who ask; what was found is kept, since it would be found again.

    Turns go round: a visitor has one lane in line, and puts the next one at its end. Heavy checks don't take
    the last hand. ``past(config, step)`` gives a run of ``config`` at ``step`` or before, if one is known.
    """

    def __init__(self, past: Past = lambda config, step: None):
        self._past = past
        self._found: dict[tuple[RunConfig, int], dict[str, Any]] = {}
        self._jobs: dict[tuple[RunConfig, int], tuple[_Job, asyncio.Task[dict[str, Any]]]] = {}
        self._line: list[_Job] = []
        self._working: list[_Job] = []
        self._moved = False  # since places were counted
        self._idle: dict[TorchProcess, asyncio.Task[None]] = {}
        self._spent = self._forecast = 0.0  # seconds of the latest checks

    async def report(self, config: RunConfig, step: int, told: Told | None = None) -> dict[str, Any]:
        """Wait for a turn, and have a process compare; what was found before is given at once."""
        key = (config, step)
        if key in self._found:
            return self._found[key]
        job, task = self._jobs.get(key) or self._join(key)
        job.asking += 1
        said = Waiting(0, 0)
        try:
            while not task.done():
                now = self._place(job)
                if told is not None and now.place != said.place:
                    said = now
                    await told(now)
                await asyncio.wait({task}, timeout=EVERY)
            return task.result()
        finally:
            job.asking -= 1
            if not job.asking and not task.done():
                del self._jobs[key]  # who asks now begins anew
                task.cancel()

    def _join(self, key: tuple[RunConfig, int]) -> tuple[_Job, asyncio.Task[dict[str, Any]]]:
        """Put a check in line."""
        job = _Job(*key, seconds_from(*key, self._known(*key)))
        task = asyncio.create_task(self._make(job))
        task.add_done_callback(lambda done: self._leave(key, job, done))
        self._jobs[key] = job, task
        self._line.append(job)
        self._call()
        return job, task

    def _leave(self, key: tuple[RunConfig, int], job: _Job, task: asyncio.Task[dict[str, Any]]) -> None:
        """Keep what was found, and make room for others."""
        (self._working if job.turn.is_set() else self._line).remove(job)
        if self._jobs.get(key, (None,))[0] is job:
            del self._jobs[key]
        if not task.cancelled() and task.exception() is None:
            while len(self._found) >= KEPT:
                del self._found[next(iter(self._found))]
            self._found[key] = task.result()
        self._call()

    def _call(self) -> None:
        """Give free hands to the first in line; a heavy one waits while another is at work."""
        self._moved = True
        for job in list(self._line):
            if len(self._working) == HANDS:
                return
            if not (job.heavy and any(other.heavy for other in self._working)):
                self._line.remove(job)
                self._working.append(job)
                job.turn.set()

    def _place(self, job: _Job) -> Waiting:
        """How a check stands in line: light ones wait for light ones, heavy ones for heavy ones."""
        if self._moved:
            self._moved = False
            pace = self._spent / self._forecast if self._forecast else 1.0
            before = {heavy: [job for job in self._working if job.heavy == heavy] for heavy in (False, True)}
            places = {heavy: (len(jobs), sum(job.seconds for job in jobs)) for heavy, jobs in before.items()}
            for other in self._working:
                other.waiting = Waiting(0, math.ceil(pace * other.seconds))
            for other in self._line:
                place, seconds = places[other.heavy]
                other.waiting = Waiting(place, math.ceil(pace * seconds))
                places[other.heavy] = place + 1, seconds + other.seconds
        return job.waiting

    def _known(self, config: RunConfig, step: int) -> int:
        run = self._past(config, step)
        return run.step if run else 0

    async def _make(self, job: _Job) -> dict[str, Any]:
        """Wait for a turn, and ask a process."""
        await job.turn.wait()
        run = self._past(job.config, job.step)
        job.seconds = seconds_from(job.config, job.step, run.step if run else 0)  # may have been dropped
        process = await self._process(job)
        try:
            async with asyncio.timeout(SECONDS):
                return await self._ask(process, job, run)
        except TimeoutError:
            raise TooMuch(
                f"PyTorch took longer than {SECONDS:.0f} s; try an earlier step or a smaller network"
            ) from None

    async def _ask(self, process: TorchProcess, job: _Job, run: Run | None) -> dict[str, Any]:
        """Ask a process, and keep it for others if it is as it was before."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            found = await process.ask(job.config, job.step, run)
        except BaseException:
            await process.end()
            raise
        self._spent = FADING * self._spent + clock() - began
        self._forecast = FADING * self._forecast + job.seconds
        if job.heavy:  # it holds what it has freed
            await process.end()
        else:
            self._idle[process] = asyncio.create_task(self._rest(process))
        return found

    async def _process(self, job: _Job) -> TorchProcess:
        """Return a process that waits, or a new one; for a heavy check, which ends it, always a new one."""
        while self._idle and not job.heavy:
            process, resting = self._idle.popitem()
            resting.cancel()
            if process.alive:
                return process
        try:
            async with asyncio.timeout(START):
                return await TorchProcess.start()
        except TimeoutError:
            raise CheckError(f"PyTorch wasn't ready within {START:.0f} s; try again later") from None

    async def _rest(self, process: TorchProcess) -> None:
        """Keep a process for a while, and end it; at the server's end at once."""
        try:
            await asyncio.sleep(IDLE)
        finally:
            if self._idle.pop(process, None):
                await process.end()
