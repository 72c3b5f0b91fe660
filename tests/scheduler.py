"""Schedulers without processes, for tests of what is scheduled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any

from bnlib import RunConfig
from bnlib.telemetry import Frame
from live import worker
from live.scheduler import Viewer, joined


class Inline:
    """Does at once, in the event loop, what a pool would do, and keeps the recordings."""

    def __init__(self) -> None:
        self.recordings: dict[RunConfig, tuple[Any, list[Frame]]] = {}
        self.ran: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def recorded(self, config: RunConfig, stop: int) -> Frame:
        """Return a recording's frames below number ``stop``, as the desk would."""
        run, blocks = self.recordings.get(config, (config, []))
        there = sum(len(block["step"]) for block in blocks)
        if there < stop:
            run, block = worker.extend(run, (stop - 1) * config.record_every + 1 - getattr(run, "step", 0))
            self.recordings[config] = run, [*blocks, block]
        block = joined(self.recordings[config][1])
        return {name: array[:stop] if name == "step" else array[:, :stop] for name, array in block.items()}

    async def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[Frame, None]:
        """Yield all that is wanted at once, and wait."""
        while True:
            viewer.news.clear()
            stop = viewer.step // config.record_every + 1
            if viewer.next < stop:
                first, viewer.next = viewer.next, stop
                yield part(self.recorded(config, stop), range(first, stop))
            await viewer.news.wait()

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Return some arrays of some frames."""
        return part({name: self.recorded(config, numbers.stop)[name] for name in names}, numbers)

    def first(self, config: RunConfig) -> int:
        """Keep everything."""
        return 0

    def pace(self, config: RunConfig) -> float | None:
        """Have nothing under way."""
        return None

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function."""
        self.ran.append((function, arguments))
        return function(*arguments)


def part(block: Frame, numbers: range) -> Frame:
    """Return some frames of a block that begins with the first."""
    kept = slice(numbers.start, numbers.stop)
    return {name: array[kept] if name == "step" else array[:, kept] for name, array in block.items()}


class Puppet:
    """Does what a test says, when it says so."""

    def __init__(self) -> None:
        self.viewers: list[tuple[RunConfig, Viewer]] = []
        self.blocks: dict[RunConfig, asyncio.Queue[Frame | Exception]] = {}
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[Any]]] = []

    def give(self, config: RunConfig, block: Frame | Exception) -> None:
        """Hand a block of frames, or what goes wrong, to whoever watches."""
        self.blocks.setdefault(config, asyncio.Queue()).put_nowait(block)

    async def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[Frame, None]:
        """Yield what is given."""
        self.viewers.append((config, viewer))
        try:
            while True:
                block = await self.blocks.setdefault(config, asyncio.Queue()).get()
                if isinstance(block, Exception):
                    raise block
                viewer.next += len(block["step"])
                yield block
        finally:
            self.viewers.remove((config, viewer))

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Return frames at once."""
        return await Inline().frames(config, numbers, names)

    def first(self, config: RunConfig) -> int:
        """Keep everything."""
        return 0

    def pace(self, config: RunConfig) -> float | None:
        """Have nothing under way."""
        return None

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Wait for what is to be returned: the future of the call."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.calls.append((function, arguments, future))
        return await future
