"""What a session needs of whoever computes for it: on a server `live.desk.Desk`, elsewhere something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any, Protocol

import numpy as np

from bnlib import RunConfig
from bnlib.telemetry import Frame


class ComputationError(Exception):
    """What was asked for could not be computed; the message is for the reader."""


class Gone(Exception):
    """The page that a message was for has left."""


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

    def watch(self, config: RunConfig, viewer: Viewer) -> AsyncGenerator[Frame, None]:
        """Yield a recording's blocks of frames in order, as far as ``viewer`` wants, as they come."""
        ...

    async def frames(self, config: RunConfig, numbers: range, names: Collection[str]) -> Frame:
        """Return some arrays of some frames, computed if need be."""
        ...

    def first(self, config: RunConfig) -> int:
        """Return the number of the first frame that is there without computing again what was dropped."""
        ...

    def pace(self, config: RunConfig) -> float | None:
        """Return the steps a second at which a recording grows now, None if it doesn't."""
        ...

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(*arguments)``."""
        ...


def joined(blocks: list[Frame]) -> Frame:
    """Join blocks of frames that follow one another."""
    if len(blocks) == 1:
        return blocks[0]
    return {k: np.concatenate([b[k] for b in blocks], axis=0 if k == "step" else 1) for k in blocks[0]}
