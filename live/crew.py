"""The worker processes, and the line of those who wait for one.

What one of them loses is its own work alone. Heavy work never holds the last one, so that light work
always finds one that is soon free. What nobody waits for any more is ended.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, ParamSpec, TypeVar

from .scheduler import ComputationError

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

GRACE = 1.0  # seconds that a call has left once nobody waits for it
LONGEST = 20.0  # seconds of a call
TRIES = 3
SMALLER = "use fewer seeds, a smaller batch or a narrower network"
GOING_AWAY = "the server is going away"
TOO_LARGE = f"this needs more memory than a worker process has; {SMALLER}"
BROKEN_OFF = f"the computation was broken off {TRIES} times; {SMALLER}"

_Kind = Literal["light", "heavy", "heavy once"]
LIGHT: _Kind = "light"
HEAVY: _Kind = "heavy"
HEAVY_ONCE: _Kind = "heavy once"


class Lost(Exception):
    """A hand ended before it had answered."""


class Hand(ABC):
    """Does one call at a time beside the event loop, as a process does; once lost, it is replaced."""

    def __init__(self) -> None:
        self._starting: asyncio.Task[Exception | None] | None = None
        self._ended = False  # for good; `end` sets it

    @property
    @abstractmethod
    def is_warm(self) -> bool:
        """Return whether a call begins at once."""

    def begin(self) -> None:
        """Get ready in the background, if it isn't."""
        if not self.is_warm and self._starting is None:
            self._starting = asyncio.create_task(self._started())

    async def ready(self) -> None:
        """Get ready if it isn't, and wait until it is.

        Raises
        ------
        ComputationError
            If it can't.
        Lost
            If it ended.
        """
        if self._ended:
            raise ComputationError(GOING_AWAY)
        self.begin()
        if self._starting is not None and (error := await asyncio.shield(self._starting)) is not None:
            raise error

    @abstractmethod
    async def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Return what ``function`` returns, or raise what it raises. Cancelled, it breaks the call off.

        Raises
        ------
        Lost
            If the hand ended before it had answered.
        """

    @abstractmethod
    def end(self) -> None:
        """End, for good."""

    @abstractmethod
    async def _start(self) -> Exception | None:
        """Get ready; return why it can't."""

    async def _started(self) -> Exception | None:
        try:
            return await self._start()
        finally:
            self._starting = None


def too_long(seconds: float) -> str:
    """Say that a call was ended after so many seconds."""
    return f"this took longer than {seconds:.0f} s and was ended; {SMALLER}"


class Turn:
    """A hand in use: one call after another, until the turn is over.

    A call may last for ``longest`` seconds, and for ``grace`` more once nobody waits for it.
    """

    def __init__(self, hand: Hand, longest: float, grace: float):
        self._hand = hand
        self._longest, self._grace = longest, grace
        self._work: asyncio.Task[Any] | None = None
        self._seconds = longest
        self._limit: asyncio.Timeout | None = None
        self._given_up = False

    async def run(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Return ``function(*arguments)``. A lost process is replaced, and the work done again.

        Cancelled, it leaves the call its grace to end by itself; no other turn has the hand meanwhile.

        Raises
        ------
        ComputationError
            If it takes too long or too much memory, or processes are lost again and again.
        """
        for _ in range(TRIES):
            self._work = asyncio.create_task(self._call(function, arguments, keywords))
            try:
                found: T = await asyncio.shield(self._work)
                return found
            except Lost:
                log.warning("a worker process ended unexpectedly; its work is done again")
            except asyncio.CancelledError:
                self.limit(self._grace)
                self._given_up = True
                raise
            except MemoryError as error:
                log.warning("a computation needs too much memory: %s", error)
                raise ComputationError(TOO_LARGE) from None
        raise ComputationError(BROKEN_OFF)

    def limit(self, seconds: float) -> None:
        """Give what is being called, or about to be, so many seconds from now on."""
        self._seconds = seconds
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def then(self, over: Callable[[], None]) -> None:
        """Call ``over`` when the hand is free: now, or after a call that was given up."""
        if self._work is None or self._work.done():
            over()
            return

        def ended(work: asyncio.Task[Any]) -> None:
            if not work.cancelled() and (error := work.exception()) is not None:
                log.debug("what was given up ended: %s", error)
            over()

        self._work.add_done_callback(ended)

    async def _call(self, function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
        await self._hand.ready()
        if self._given_up:
            return None
        limit = self._limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                return await self._hand.call(function, arguments, keywords)
        except TimeoutError:
            if not limit.expired():  # a function's own
                raise
            self._hand.begin()  # in place of the process that was killed
            raise ComputationError(too_long(self._longest)) from None
        finally:
            self._limit = None


class Crew:
    """So many hands, and who waits for them; lives in an event loop and never blocks it.

    A call may last for ``longest`` seconds, and for ``grace`` once nobody waits for it: then its hand is
    ended, and begins anew, which takes its time too.
    """

    def __init__(self, hands: int, make: Callable[[], Hand], longest: float = LONGEST, grace: float = GRACE):
        self.hands = [make() for _ in range(hands)]
        self.longest, self.grace = longest, grace
        self._open = False
        self._free: list[Hand] = []
        self._heavy = 0  # hands that do heavy work
        self._lines: dict[_Kind, OrderedDict[int, asyncio.Future[Hand]]] = {
            kind: OrderedDict() for kind in (LIGHT, HEAVY, HEAVY_ONCE)
        }
        self._numbers = itertools.count()
        self._last = HEAVY  # of the heavy kinds that which had a hand last

    @property
    def most_heavy(self) -> int:
        """Return how many hands heavy work may hold: all but one."""
        return max(1, len(self.hands) - 1)

    def start(self) -> None:
        """Open, and let the processes warm up on their own."""
        self._open, self._free = True, list(self.hands)
        for hand in self.hands:
            hand.begin()

    def stop(self) -> None:
        """End the processes and everything that waits for them, for good."""
        self._open, self._free = False, []
        for line in self._lines.values():
            while line:
                _, future = line.popitem()
                if not future.done():
                    future.set_exception(ComputationError(GOING_AWAY))
        for hand in self.hands:
            hand.end()

    def join(self, hand: Hand) -> None:
        """Take one more hand."""
        self.hands.append(hand)
        if self._open:
            self._free.append(hand)
            self._hand_out()

    async def run(self, function: Callable[..., T], *arguments: Any, heavy: bool = False) -> T:
        """Wait for a hand and have it do ``function(*arguments)``."""
        async with self._turn(HEAVY_ONCE if heavy else LIGHT) as turn:
            return await turn.run(function, *arguments)

    def turn(self, heavy: bool = False) -> AbstractAsyncContextManager[Turn]:
        """Wait for a hand and use it; who is cancelled while waiting leaves the line.

        For those who come again and again. What is heavy and `run` once has a line of its own, so that it
        needn't wait for all of them.

        Raises
        ------
        ComputationError
            If the crew has stopped.
        """
        return self._turn(HEAVY if heavy else LIGHT)

    @asynccontextmanager
    async def _turn(self, kind: _Kind) -> AsyncIterator[Turn]:
        hand = await self._wait(kind)
        turn = Turn(hand, self.longest, self.grace)
        try:
            yield turn
        finally:
            turn.then(lambda: self._give_back(hand, kind))

    async def _wait(self, kind: _Kind) -> Hand:
        if not self._open:
            raise ComputationError(GOING_AWAY)
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        self._lines[kind][number] = future
        self._hand_out()
        try:
            hand: Hand = await future
            return hand
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._give_back(future.result(), kind)
            raise
        finally:
            self._lines[kind].pop(number, None)

    def _hand_out(self) -> None:
        """Give free hands to those who have waited longest and may have one."""
        while self._free:
            first = {kind: next(iter(line)) for kind, line in self._lines.items() if line}
            if self._heavy >= self.most_heavy:
                first = {kind: number for kind, number in first.items() if kind == LIGHT}
            elif HEAVY in first and HEAVY_ONCE in first:
                del first[self._last]
            if not first:
                return
            kind = min(first, key=first.__getitem__)
            _, future = self._lines[kind].popitem(last=False)
            if future.done():  # cancelled, and about to leave the line
                continue
            hand = next((hand for hand in self._free if hand.is_warm), self._free[0])
            self._free.remove(hand)
            if kind != LIGHT:
                self._heavy, self._last = self._heavy + 1, kind
            future.set_result(hand)

    def _give_back(self, hand: Hand, kind: _Kind) -> None:
        self._heavy -= kind != LIGHT
        if self._open:
            self._free.append(hand)
            self._hand_out()
