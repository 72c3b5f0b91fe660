"""Whom the server doesn't wait for: peers that don't read, and peers that don't finish what they began."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two looks
UNREAD_SECONDS = 10.0  # that a peer may leave all that it is sent unread
UNFINISHED_SECONDS = 10.0  # that a request, or a message, may take
MOST_UNREAD = 64 * 2**20  # bytes that wait for all peers together


class Peer(Protocol):
    """What is watched: a protocol of the server, and its line."""

    @property
    def transport(self) -> asyncio.Transport:
        """The line."""

    @property
    def unfinished(self) -> float | None:
        """Since when the peer has owed the rest of something; None if it owes nothing."""


class _Seen:
    """What was seen of a peer at the last look."""

    __slots__ = ("size", "since")

    def __init__(self, now: float):
        self.size = 0  # bytes that wait for it
        self.since = now  # the latest time at which none did, or fewer than before


class Watch:
    """Looks at all peers of a server, with one timer for all."""

    def __init__(self, most: int = MOST_UNREAD):
        self.most = most
        self._peers: dict[Peer, _Seen] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, peer: Peer) -> None:
        """Watch a peer."""
        loop = asyncio.get_running_loop()
        self._peers[peer] = _Seen(loop.time())
        if self._timer is None:
            self._timer = loop.call_later(EVERY, self._again)

    def remove(self, peer: Peer) -> None:
        """Watch it no more."""
        self._peers.pop(peer, None)
        if not self._peers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        return len(self._peers)

    def unread(self) -> int:
        """Return how many bytes wait for all peers together."""
        return sum(peer.transport.get_write_buffer_size() for peer in self._peers)

    def _again(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(EVERY, self._again)
        self.look(loop.time())

    def look(self, now: float) -> None:
        """Let those go that the server has waited for long enough, and those that are too much for it."""
        waiting = []
        for peer, seen in self._peers.items():
            before, seen.size = seen.size, peer.transport.get_write_buffer_size()
            if not seen.size or seen.size < before:
                seen.since = now
            if now - seen.since >= UNREAD_SECONDS:
                _let_go(peer, f"it left {seen.size} bytes unread")
            elif peer.unfinished is not None and now - peer.unfinished >= UNFINISHED_SECONDS:
                _let_go(peer, "it didn't finish what it began")
            else:
                waiting.append((seen.size, peer))
        total = sum(size for size, _ in waiting)
        for size, peer in sorted(waiting, key=lambda one: -one[0]) if total > self.most else []:
            if total <= self.most:
                break
            total -= size
            _let_go(peer, f"it left {size} bytes unread, more than others, while all had left too many")


def _let_go(peer: Peer, why: str) -> None:
    log.debug("a peer is let go: %s", why)
    peer.transport.abort()
