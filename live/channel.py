"""The WebSocket route: a thin shell around a session, which checks origin, size and rate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect

from bnlib.data import load

from .desk import Desk
from .race import LabSession, Track
from .scheduler import Gone
from .wire import MAX_MESSAGE

log = logging.getLogger(__name__)

# A finger asks 60 times a second; twice that leaves room for bursts and stops a loop gone wild.
MESSAGES_PER_SECOND, BURST = 120, 240
POLICY_VIOLATION, TOO_BIG = 1008, 1009
LEFT = (
    WebSocketDisconnect,
    RuntimeError,
)  # what a socket raises when its page has left, perhaps in mid-answer


class Channel:
    """Serves sockets, each with a session of its own."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.track = Track(desk)
        self.open_sockets = 0
        load("digits")  # now, and not while somebody's question waits in the event loop

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket from its opening to its end."""
        if not same_origin(websocket):
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        self.open_sockets += 1

        sending = asyncio.Lock()

        async def send(message: str | bytes) -> None:
            try:
                async with sending:
                    if isinstance(message, str):
                        await websocket.send_text(message)
                    else:
                        await websocket.send_bytes(message)
            except LEFT as error:
                raise Gone(str(error)) from error

        session = LabSession(self.track, send)
        try:
            await _listen(websocket, session)
        except Gone as error:
            log.debug("socket ended: %s", error)
        finally:
            self.open_sockets -= 1
            await session.close()


async def _listen(websocket: WebSocket, session: LabSession) -> None:
    """Hand over messages until the page leaves, or sends too much."""
    allowance, last = float(BURST), time.monotonic()
    while True:
        try:
            message = await websocket.receive()
        except LEFT as error:
            raise Gone(str(error)) from error
        if message["type"] == "websocket.disconnect":
            return
        now = time.monotonic()
        allowance, last = min(BURST, allowance + (now - last) * MESSAGES_PER_SECOND) - 1, now
        if allowance < 0:
            await session.tell("channel", f"more than {MESSAGES_PER_SECOND} messages a second; goodbye")
            await _close(websocket, POLICY_VIOLATION)
            return
        text = message.get("text") or ""
        size = len(text) + len(message.get("bytes") or b"")
        if size > MAX_MESSAGE:
            await session.tell("channel", f"a message of {size} characters exceeds {MAX_MESSAGE}; goodbye")
            await _close(websocket, TOO_BIG)
            return
        await session.handle(text)


async def _close(websocket: WebSocket, code: int) -> None:
    with contextlib.suppress(*LEFT):
        await websocket.close(code)


def same_origin(websocket: WebSocket) -> bool:
    """Whether the page that opened the socket is ours (or one named in BNLAB_ORIGINS)."""
    origin = websocket.headers.get("origin", "")
    if origin in os.environ.get("BNLAB_ORIGINS", "").split():
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(host) and host.lower() == websocket.headers.get("host", "").lower()
