"""Files on their way to readers: written a few at a time, sent in portions, counted over all sessions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple

from .wire import pack

MOST_WAITING = 64 * 2**20  # bytes of all files that wait to be sent
SMALL = 2**18  # bytes of a file that is written in no time
LARGE_AT_ONCE = 2  # files above that, which are written
# A reader's frames and verdicts get their turn between two portions.
PORTION = 2**16  # bytes
# Who reads more slowly than this, and has fallen so far behind, gives way to others.
SLOWEST = 2**17  # bytes a second
PATIENCE = 1.0  # seconds
AGAIN = 0.25  # seconds until those who wait for room are looked at again
LEVEL = 1  # higher ones save a tenth, and take three times as long
GZIP = 16 + zlib.MAX_WBITS


class GivenUp(Exception):
    """A file is not sent to its end; the message is for the reader."""


def compressed(parts: Iterable[str]) -> bytes:
    """Compress a text, part by part, to a gzip file; the same text gives the same bytes."""
    zipper = zlib.compressobj(LEVEL, wbits=GZIP)
    found = [zipper.compress(part.encode()) for part in parts]
    return b"".join([*found, zipper.flush()])


def portions(number: int, name: str, content: bytes) -> Iterable[bytes]:
    """Make the "file" messages of a file in order."""
    for start in range(0, len(content), PORTION):
        portion = content[start : start + PORTION]
        place = {"size": len(content), "start": start, "bytes": len(portion)}
        yield pack({"kind": "file", "id": number, "name": name} | place, {}) + portion


class _Sent:
    """A file that is being sent, and how many seconds its reader is behind one who reads at SLOWEST."""

    def __init__(self, content: bytes, limit: asyncio.Timeout, now: float):
        self.content = content
        self._limit = limit
        self._behind, self._since = 0.0, now

    def behind(self, now: float) -> float:
        return self._behind + now - self._since

    def read(self, count: int, now: float) -> None:
        """So many bytes more have been read."""
        self._behind, self._since = max(0.0, self.behind(now) - count / SLOWEST), now

    def give_up(self, now: float) -> None:
        self._limit.reschedule(now)


class _Ticket(NamedTuple):
    """Someone who waits for a file to be begun; small ones come first."""

    size: int
    number: int
    begun: asyncio.Future[None]

    @property
    def large(self) -> bool:
        return self.size > SMALL


class Outbox:
    """What is written and sent, for all sessions.

    No file is begun while there is no room for it. Where there is none, readers who have fallen behind have
    their files given up, those furthest behind first. So who reads is served, whatever others do.
    """

    def __init__(self, most: int = MOST_WAITING):
        self.most = most
        self._sent: set[_Sent] = set()
        self._line: list[_Ticket] = []
        self._begun: list[_Ticket] = []
        self._numbers = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all files that are written or sent; a file that several are sent counts once."""
        contents = {id(file.content): len(file.content) for file in self._sent}
        return sum(contents.values()) + sum(ticket.size for ticket in self._begun)

    @contextlib.asynccontextmanager
    async def writing(self, size: int = SMALL) -> AsyncIterator[None]:
        """Wait until a file of about ``size`` bytes may be written; of large ones only a few at once."""
        ticket = _Ticket(size, next(self._numbers), asyncio.get_running_loop().create_future())
        self._line.append(ticket)
        self._admit()
        try:
            await ticket.begun
            yield
        finally:
            for where in (self._line, self._begun):
                if ticket in where:
                    where.remove(ticket)
            self._admit()

    async def send(
        self, number: int, name: str, content: bytes, send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Send a file, as fast as it is read.

        Raises
        ------
        GivenUp
            If the reader has fallen behind and others need the room.
        """
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(None) as limit:
                sent = _Sent(content, limit, clock())
                self._sent.add(sent)
                try:
                    for portion in portions(number, name, content):
                        await send(portion)
                        sent.read(len(portion), clock())
                finally:
                    self._sent.discard(sent)
                    self._admit()
        except TimeoutError as error:
            raise GivenUp(
                f"{name} came through at less than {SLOWEST // 1024} KiB a second while others waited for "
                "their files, and was given up; take it again, at an earlier step if the line stays slow"
            ) from error

    def _admit(self) -> None:
        """Begin what there is room for, small files first."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for ticket in sorted(self._line):
            if ticket.large and sum(begun.large for begun in self._begun) >= LARGE_AT_ONCE:
                return
            if not self._make_room(ticket.size):
                self._alarm = asyncio.get_running_loop().call_later(AGAIN, self._admit)
                return
            self._line.remove(ticket)
            self._begun.append(ticket)
            if not ticket.begun.done():
                ticket.begun.set_result(None)

    def _make_room(self, size: int) -> bool:
        """Whether ``size`` bytes more fit, once those who are behind have been given up."""
        now = asyncio.get_running_loop().time()
        while (waiting := self.nbytes) and waiting + size > self.most:
            last = max(self._sent, key=lambda file: file.behind(now), default=None)
            if last is None or last.behind(now) < PATIENCE:
                return False
            self._sent.discard(last)
            last.give_up(now)
        return True
