"""A share of the event loop for what is computed in it, so that the rest is left for everybody's messages."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Share:
    """Half of the event loop's time: ``async with`` it, and await nothing inside.

    Who asks waits in line. After each piece of work comes a pause as long as the work was: whatever is asked
    for, and by however many, frames and answers that are ready are sent meanwhile.
    """

    def __init__(self) -> None:
        self._line = asyncio.Lock()
        self._began = self._free = 0.0

    async def __aenter__(self) -> None:
        await self._line.acquire()
        clock = asyncio.get_running_loop().time
        try:
            if (pause := self._free - clock()) > 0:
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            self._line.release()
            raise
        self._began = clock()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now = asyncio.get_running_loop().time()
        self._free = now + (now - self._began)
        self._line.release()
