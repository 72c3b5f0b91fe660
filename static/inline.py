"""What computes where nothing else waits: every recording and job at once, in the event loop itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any

from bnlib import Run, RunConfig
from bnlib.training.recordings import Frame
from live import worker
from live.scheduler import Viewer, joined

Call = Callable[..., Any]


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function."""
    return function(*arguments)


class Inline:
    """A scheduler that makes its viewers and callers wait, and keeps all recordings.

    What it yields doesn't depend on how fast the machine is: as much as is wanted, in one block. ``call``:
    what computations are handed to, a function and its arguments.
    """

    waiting = 0

    def __init__(self, call: Call = called) -> None:
        self._call = call
        self._runs: dict[RunConfig, Run | RunConfig] = {}
        self._blocks: dict[RunConfig, list[Frame]] = {}

    async def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[list[Frame], None]:
        """Yield what is wanted, and wait until more is."""
        while True:
            viewer.news.clear()
            stop = viewer.step // config.record_every + 1
            if viewer.next < stop:
                first, viewer.next = viewer.next, stop
                yield [self._between(config, first, stop)]
            await viewer.news.wait()

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Return some arrays of some frames."""
        return joined([self._between(config, numbers.start, numbers.stop)], names)

    def first(self, config: RunConfig) -> int:
        """Return 0: nothing is dropped."""
        return 0

    def past(self, config: RunConfig, step: int) -> Run | None:
        """Return None: runs aren't kept but for their ends."""
        return None

    async def run(self, function: Callable[..., Any], *arguments: Any, heavy: bool = False) -> Any:
        """Return ``function(*arguments)``; who has left meanwhile has it not computed."""
        await asyncio.sleep(0)
        return self._call(function, *arguments)

    def _between(self, config: RunConfig, first: int, stop: int) -> Frame:
        """Return the frames numbered ``first`` up to, but not including, ``stop``."""
        run, blocks = self._runs.get(config, config), self._blocks.setdefault(config, [])
        there = sum(len(block["step"]) for block in blocks)
        if there < stop:
            done = run.step if isinstance(run, Run) else 0
            self._runs[config], block = worker.extend(run, (stop - 1) * config.record_every + 1 - done)
            blocks.append(block)
        part = slice(first, stop)
        return {k: a[part] if k == "step" else a[:, part] for k, a in joined(blocks).items()}
