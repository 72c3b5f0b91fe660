"""A hand that is another Web Worker with a Python of its own, and what that one does; or none but this one.

What goes to and fro are the same pickles as between a server and its processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from live import calls
from live.crew import GOING_AWAY, Hand, Lost
from live.scheduler import ComputationError

log = logging.getLogger(__name__)

STARTING = 180.0  # seconds until a new worker answers: what it loads may come over a slow line
UNABLE = "this browser could not start a second Python to compute with; reload the page to try again"


class Packed(Protocol):
    """Bytes of JavaScript's."""

    def to_bytes(self) -> bytes:
        """Return them as Python's."""
        ...


class Line(Protocol):
    """A Web Worker that was started, as JavaScript hands it over. It fails with an error once it is lost."""

    @property
    def ready(self) -> Awaitable[Any]:
        """What to wait for until it can be called."""
        ...

    def call(self, packed: bytes) -> Awaitable[Packed]:
        """Send a call, and wait for its answer."""
        ...

    def end(self) -> None:
        """End it, whatever it does."""
        ...


class WorkerHand(Hand):
    """A Web Worker that does one call at a time, and that is replaced when it is lost.

    ``start`` starts one; ``called`` is told of each call.
    """

    def __init__(self, start: Callable[[], Line], called: Callable[[], None] = lambda: None):
        super().__init__()
        self._new_line, self._called = start, called
        self._line: Line | None = None

    @property
    def is_warm(self) -> bool:
        """Return whether a call begins at once."""
        return self._line is not None

    async def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Return what ``function`` returns, or raise what it raises. Cancelled, it ends the worker.

        Raises
        ------
        Lost
            If the worker ended before it had answered.
        """
        call, line = calls.packed((function, arguments, keywords)).getvalue(), self._line
        if line is None:
            raise Lost
        self._called()
        try:
            answer = (await line.call(call)).to_bytes()
        except BaseException as error:
            self._line = None
            line.end()
            if isinstance(error, Exception):  # of JavaScript's: it was lost
                raise ComputationError(GOING_AWAY) if self._ended else Lost from error
            raise
        return calls.outcome(answer)

    def end(self) -> None:
        """End the worker, for good."""
        self._ended = True
        line, self._line = self._line, None
        if line is not None:
            line.end()

    async def _start(self) -> Exception | None:
        """Start a worker and wait until it is there; return why there is none."""
        line: Line | None = None
        try:
            line = self._new_line()
            async with asyncio.timeout(STARTING):
                await line.ready
            if not self._ended:
                self._line = line
                return None
        except Exception as error:  # whatever JavaScript says
            log.warning("a second Python can't be started: %s", error)
        finally:
            if self._line is None and line is not None:
                line.end()
        return ComputationError(GOING_AWAY if self._ended else UNABLE)


class InlineHand(Hand):
    """No other worker: what is called is computed here, between two messages."""

    is_warm = True

    async def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Return what ``function`` returns, once messages that wait have had their turn."""
        await asyncio.sleep(0)
        return function(*arguments, **keywords)

    def end(self) -> None:
        """Have nothing to end."""

    async def _start(self) -> None:
        """Have nothing to start."""


# ---- in the other worker -----------------------------------------------------------------------------------


def warm_up() -> None:
    """Load what a first step would wait for."""
    from bnlib.data import load
    from live import worker

    from . import products

    products.install()
    worker.ready()
    load("digits", dtype="float32")


def answered(call: Packed) -> bytes:
    """Do a call, and return its answer."""
    return calls.answer(call.to_bytes()).getvalue()
