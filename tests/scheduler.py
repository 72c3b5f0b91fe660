"""Schedulers without processes, for tests of what is scheduled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bnlib import RunConfig
from bnlib.training.recordings import Frame
from live.check import Checks
from live.crew import Crew, Hand
from live.desk import Desk
from live.hand import ProcessHand
from live.scheduler import Viewer, joined
from live.track import Track
from static import inline
from tests.once import once


class Inline(inline.Inline):
    """Does at once what a pool would do, and tells what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def recorded(self, config: RunConfig, stop: int) -> Frame:
        """Return a recording's frames below number ``stop``, as the desk would."""
        return self._between(config, 0, stop)

    async def run(self, function: Callable[..., Any], *arguments: Any, heavy: bool = False) -> Any:
        """Call the function, before anything else has its turn."""
        self.ran.append((function, arguments))
        return function(*arguments)


class Sharing(Inline):
    """Does each job and each recording of a chapter once in a run of tests."""

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Return some arrays of some frames, all from the first one on."""
        assert numbers.start == 0 and numbers.step == 1
        return once(frames_of, config, numbers.stop, tuple(names))

    async def run(self, function: Callable[..., Any], *arguments: Any, heavy: bool = False) -> Any:
        """Call the function, unless somebody has, and keep what it returns."""
        self.ran.append((function, arguments))
        return once(function, *arguments)


def frames_of(config: RunConfig, stop: int, names: tuple[str, ...]) -> Frame:
    """Record a run's frames below number ``stop``."""
    return joined([Inline().recorded(config, stop)], names)


class Puppet(inline.Inline):
    """Does what a test says, when it says so; only frames that are asked for are there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.viewers: list[tuple[RunConfig, Viewer]] = []
        self.blocks: dict[RunConfig, asyncio.Queue[Frame | Exception]] = {}
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], asyncio.Future[Any]]] = []
        self.heavy: list[bool] = []  # of each call

    def give(self, config: RunConfig, block: Frame | Exception) -> None:
        """Hand a block of frames, or what goes wrong, to whoever watches."""
        self.blocks.setdefault(config, asyncio.Queue()).put_nowait(block)

    async def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[list[Frame], None]:
        """Yield what is given."""
        self.viewers.append((config, viewer))
        try:
            while True:
                block = await self.blocks.setdefault(config, asyncio.Queue()).get()
                if isinstance(block, Exception):
                    raise block
                viewer.next += len(block["step"])
                yield [block]
        finally:
            self.viewers.remove((config, viewer))

    async def run(self, function: Callable[..., Any], *arguments: Any, heavy: bool = False) -> Any:
        """Wait for what is to be returned: the future of the call."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.heavy.append(heavy)
        self.calls.append((function, arguments, future))
        return await future


class ThreadHand(Hand):
    """A thread for a process: it starts at once, and what it computes can be replaced and looked at."""

    is_warm = True

    def __init__(self) -> None:
        super().__init__()
        self.pool = ThreadPoolExecutor(1)
        self.lost = 0  # calls that would have killed a process

    async def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Call the function in the thread; cancelled, leave it behind for a new one."""
        try:
            return await asyncio.wrap_future(self.pool.submit(function, *arguments, **keywords))
        except asyncio.CancelledError:
            self.lost += 1
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = ThreadPoolExecutor(1)
            raise

    def end(self) -> None:
        """Take nothing more."""
        self._ended = True
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def _start(self) -> None:
        """Have nothing to start."""


class ThreadDesk(Desk):
    """A desk whose crew are threads."""

    def __init__(
        self,
        max_bytes: int = 256 * 2**20,
        workers: int = 2,
        heavy: Callable[[RunConfig], bool] = lambda config: False,
    ) -> None:
        super().__init__(Crew(workers, ThreadHand), max_bytes, heavy)


def process_desk(processes: int = 2) -> Desk:
    """Return a desk as the server has it."""
    return Desk(Crew(processes, ProcessHand))


def shared(scheduler: Any) -> Track:
    """Return what a server's sessions share."""
    return Track(scheduler, Checks(scheduler.past))


PATIENCE = 60


def in_a_loop(make: Callable[[], Any], scenario: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run ``scenario(made)`` in an event loop of its own with a desk or a crew, and stop that in the end."""

    async def run() -> Any:
        made = make()
        made.start()
        try:
            return await asyncio.wait_for(scenario(made), PATIENCE)
        finally:
            made.stop()

    return asyncio.run(run())


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def left(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait until it has ended."""
    task.cancel()
    await asyncio.wait([task])
