"""What is made once for all who ask: results that several await, and messages that many are sent."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """Results by key, the least recently used dropped beyond ``most``.

    What fails is forgotten, and what nobody awaits any more is ended: who asks later has it tried again.
    """

    def __init__(self, most: int):
        self.most = most
        self._kept: OrderedDict[Hashable, asyncio.Future[Any]] = OrderedDict()
        self._waiting: dict[asyncio.Future[Any], int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def known(self, key: Hashable) -> Any:
        """Return a result that is there already; None if there is none."""
        future = self._kept.get(key)
        if future is None or not future.done():
            return None
        self._kept.move_to_end(key)
        return future.result()

    def kept(self) -> dict[Hashable, Any]:
        """Return all results that are there."""
        done = {key: future for key, future in self._kept.items() if future.done() and not future.cancelled()}
        return {key: future.result() for key, future in done.items() if future.exception() is None}

    def keep(self, key: Hashable, result: Any) -> None:
        """Take in a result that was computed elsewhere, unless somebody has asked for it already."""
        if key not in self._kept:
            self._kept[key] = future = asyncio.get_running_loop().create_future()
            future.set_result(result)
            self._trim()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Return what ``make()`` returns; who asks for the same meanwhile, or later, shares it."""
        future = self._kept.get(key)
        if future is None:
            future = self._kept[key] = asyncio.ensure_future(make())
            future.add_done_callback(lambda done: self._settle(key, done))
            self._trim()
        else:
            self._kept.move_to_end(key)
        result: T = await self._awaited(key, future)
        return result

    async def _awaited(self, key: Hashable, future: asyncio.Future[Any]) -> Any:
        """Wait for a result; who leaves doesn't take it away from others, and the last one ends it."""
        if future.done():
            return future.result()
        self._waiting[future] = self._waiting.get(future, 0) + 1
        try:
            return await asyncio.shield(future)
        finally:
            self._waiting[future] -= 1
            if not self._waiting[future]:
                del self._waiting[future]
                if not future.done():
                    self._forget(key, future)
                    future.cancel()

    def _settle(self, key: Hashable, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._forget(key, done)

    def _trim(self) -> None:
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def _forget(self, key: Hashable, future: asyncio.Future[Any]) -> None:
        if self._kept.get(key) is future:
            del self._kept[key]


class Shared(bytes):
    """A message that many are sent. ``framed``: as a WebSocket's frame, once somebody has made it."""

    framed: bytes | None = None


class Packs:
    """Messages by key, the least recently used dropped beyond ``most`` bytes."""

    def __init__(self, most: int):
        self.most = most
        self.nbytes = 0
        self._kept: OrderedDict[Hashable, Shared] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable, make: Callable[[], bytes]) -> Shared:
        """Return the message that ``make()`` packs; the same bytes for all who ask."""
        packed = self._kept.get(key)
        if packed is not None:
            self._kept.move_to_end(key)
            return packed
        packed = self._kept[key] = Shared(make())
        self.nbytes += len(packed)
        while self.nbytes > self.most and len(self._kept) > 1:
            self.nbytes -= len(self._kept.popitem(last=False)[1])
        return packed
