"""A hand that is another Web Worker with a Python of its own, and what that one does; or none but this one.

What goes to and fro are the same pickles as between a server and its processes: a function with its arguments
there, whether it succeeded and what it returned or raised back.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from live.crew import GOING_AWAY, Lost
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


class WorkerHand:
    """A Web Worker that does one call at a time, and that is replaced when it is lost.

    ``start`` starts one; ``called`` is told of each call.
    """

    def __init__(self, start: Callable[[], Line], called: Callable[[], None] = lambda: None):
        self._start, self._called = start, called
        self._line: Line | None = None
        self._starting: asyncio.Task[Exception | None] | None = None
        self._ended = False

    @property
    def is_warm(self) -> bool:
        """Return whether a call begins at once."""
        return self._line is not None

    def begin(self) -> None:
        """Start the worker in the background, if there is none."""
        if self._line is None and self._starting is None:
            self._starting = asyncio.create_task(self._bring())

    async def ready(self) -> None:
        """Start the worker if there is none, and wait until it answers.

        Raises
        ------
        ComputationError
            If there can't be one.
        """
        if self._ended:
            raise ComputationError(GOING_AWAY)
        self.begin()
        if self._starting is not None and (error := await asyncio.shield(self._starting)) is not None:
            raise error

    async def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Return what ``function`` returns, or raise what it raises. Cancelled, it ends the worker.

        Raises
        ------
        Lost
            If the worker ended before it had answered.
        """
        message, line = _packed((function, arguments, dict(keywords))), self._line
        if line is None:
            raise Lost
        self._called()
        try:
            answer = (await line.call(message)).to_bytes()
        except BaseException as error:
            self._line = None
            line.end()
            if isinstance(error, Exception):  # of JavaScript's: it was lost
                raise ComputationError(GOING_AWAY) if self._ended else Lost from error
            raise
        succeeded, found = pickle.loads(answer)
        if not succeeded:
            raise found
        return found

    def end(self) -> None:
        """End the worker, for good."""
        self._ended = True
        line, self._line = self._line, None
        if line is not None:
            line.end()

    async def _bring(self) -> Exception | None:
        """Start a worker and wait until it is there; return why there is none."""
        line: Line | None = None
        try:
            line = self._start()
            async with asyncio.timeout(STARTING):
                await line.ready
            if not self._ended:
                self._line = line
                return None
        except Exception as error:  # whatever JavaScript says
            log.warning("a second Python can't be started: %s", error)
        finally:
            self._starting = None
            if self._line is None and line is not None:
                line.end()
        return ComputationError(GOING_AWAY if self._ended else UNABLE)


class InlineHand:
    """No other worker: what is called is computed here, between two messages."""

    is_warm = True

    def begin(self) -> None:
        """Have nothing to start."""

    async def ready(self) -> None:
        """Be ready always."""

    async def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """Return what ``function`` returns, once messages that wait have had their turn."""
        await asyncio.sleep(0)
        return function(*arguments, **keywords)

    def end(self) -> None:
        """Have nothing to end."""


# ---- in the other worker -----------------------------------------------------------------------------------


def warm_up() -> None:
    """Load what a first step would wait for."""
    from bnlib.data import load
    from live import worker

    worker.ready()
    load("digits", dtype="float32")


def answered(call: Packed) -> bytes:
    """Do a call: whether it succeeded, and what it returned or raised, as a message."""
    try:
        function, arguments, keywords = pickle.loads(call.to_bytes())
        return _packed((True, function(*arguments, **keywords)))
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> bytes:
    """What was raised, with where, as a message; in words where it can't be sent as it is."""
    if isinstance(error, MemoryError):
        return _packed((False, MemoryError(str(error))))
    error.add_note("".join(traceback.format_tb(error.__traceback__)))
    try:
        message = _packed((False, error))
        pickle.loads(message)
    except Exception:
        message = _packed((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return message


def _packed(value: Any) -> bytes:
    return pickle.dumps(value, protocol=5)
