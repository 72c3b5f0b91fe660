"""What a session needs of whoever computes and checks for it, and what can go wrong there.

Names no process and no socket: a session also runs where there are none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from typing import Any, NamedTuple, Protocol

import numpy as np

from bnlib import Run, RunConfig
from bnlib.training.recordings import Frame


class ComputationError(Exception):
    """What was asked for could not be computed; the message is for the reader."""


class Gone(Exception):
    """The page that a message was for has left."""


class CheckError(Exception):
    """A check could not be made; the message is for the reader."""


class TooMuch(CheckError):
    """One lane's check needs too much time or memory; others may not."""


class Waiting(NamedTuple):
    """How many checks are before one that waits, and about how many seconds they take; 0: its own."""

    place: int
    seconds: int


Told = Callable[[Waiting], Awaitable[None]]


class Viewer:
    """Somebody who watches one recording up to ``step``, and has yet to see frame number ``next``."""

    def __init__(self, step: int, first: int = 0):
        self.step = step
        self.next = first
        self.news = asyncio.Event()
        self.error = ""

    def want(self, step: int) -> None:
        """Watch up to ``step`` from now on."""
        self.step = step
        self.news.set()


class Scheduler(Protocol):
    """Hands out frames of recordings as they are computed, and runs functions beside the event loop."""

    def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[list[Frame], None]:
        """Yield a recording's frames in order, as far as ``viewer`` wants, as they come.

        Some blocks at a time that follow one another, as they are kept: who keeps them keeps the recording.
        """
        ...

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Return some arrays of some frames, computed if need be."""
        ...

    def first(self, config: RunConfig) -> int:
        """Return the number of the first frame that is there without computing again what was dropped."""
        ...

    def past(self, config: RunConfig, step: int) -> Run | None:
        """Return a run of ``config`` at ``step`` or before that needn't be computed, if there is one."""
        ...

    @property
    def waiting(self) -> int:
        """Return how many recordings share what computes now."""
        ...

    async def run(self, function: Callable[..., Any], *arguments: Any, heavy: bool = False) -> Any:
        """Return ``function(*arguments)``; ``heavy``: it takes long, or nobody knows how long."""
        ...


class Checker(Protocol):
    """Compares a run with PyTorch."""

    async def report(self, config: RunConfig, step: int, told: Told | None = None) -> dict[str, Any]:
        """Return what `bnlib.torch_check.check.check` reports of the first seed of ``config`` at ``step``.

        ``told`` learns the place in line whenever that has changed.

        Raises
        ------
        TooMuch
            If this lane's check is too long, or needs too much memory.
        CheckError
            If PyTorch isn't there, or the check fails.
        """
        ...


def joined(blocks: list[Frame], names: Collection[str] | None = None) -> Frame:
    """Join blocks of frames that follow one another; ``names``: the arrays that are wanted, None: all."""
    kept = [name for name in blocks[0] if names is None or name in names]
    if len(blocks) == 1:
        return {name: blocks[0][name] for name in kept}
    return {k: np.concatenate([b[k] for b in blocks], axis=0 if k == "step" else 1) for k in kept}
