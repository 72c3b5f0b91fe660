"""The WebSocket route: a thin shell around a session, which checks size and rate; and the health route."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from bnlib.data import load

from .check import Checks
from .desk import Desk
from .gate import is_near
from .race import LabSession
from .scheduler import Gone
from .session import PRESENT
from .sockets import EXTENSION, POLICY_VIOLATION, TOO_BIG, Allowance, Framed, Guarded
from .track import Track
from .wire import MAX_MESSAGE

log = logging.getLogger(__name__)

# A finger asks 60 times a second; twice that leaves room for bursts and stops a loop gone wild.
MESSAGES_PER_SECOND, BURST = 120, 240
# What a socket raises when its page has left, perhaps in mid-answer.
LEFT = (WebSocketDisconnect, RuntimeError, OSError)


class Channel:
    """Serves sockets, each with a session of its own."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.track = Track(desk, Checks(desk.past))
        self.open_sockets = 0
        load("digits")  # now, and not while somebody's question waits in the event loop

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket from its opening to its end."""
        await websocket.accept()
        self.open_sockets += 1

        deliver = _delivery(websocket)

        async def send(message: str | bytes) -> None:
            try:
                await deliver(message)
            except LEFT as error:
                raise Gone(str(error)) from error

        line = websocket.scope.get("extensions", {}).get(EXTENSION)
        session = LabSession(self.track, send, line.is_here if isinstance(line, Guarded) else PRESENT)
        try:
            await _listen(websocket, session)
        except Gone as error:
            log.debug("socket ended: %s", error)
        finally:
            self.open_sockets -= 1
            await session.close()

    async def health(self, request: Request) -> JSONResponse:
        """Say that the server is alive; its figures are for its own machine, or BNLAB_FIGURES=all."""
        answer: dict[str, int] = {"alive": True}
        if os.environ.get("BNLAB_FIGURES") == "all" or is_near(request):
            answer |= {"recordings": len(self.desk.recordings), "bytes": self.desk.recordings.nbytes}
            answer |= {"computed_steps": self.desk.computed_steps, "sockets": self.open_sockets}
            answer |= {"unread": Guarded.watch.unread()}
        return JSONResponse(answer, headers={"cache-control": "no-store"})


def _delivery(websocket: WebSocket) -> Callable[[str | bytes], Awaitable[None]]:
    """Return the quickest way to the page: our own server's, or any server's."""
    line = websocket.scope.get("extensions", {}).get(EXTENSION)
    if isinstance(line, Guarded):
        return line.deliver
    sending = asyncio.Lock()

    async def deliver(message: str | bytes) -> None:
        plain = message.message if isinstance(message, Framed) else message
        async with sending:
            await (websocket.send_text(plain) if isinstance(plain, str) else websocket.send_bytes(plain))

    return deliver


async def _listen(websocket: WebSocket, session: LabSession) -> None:
    """Hand over messages until the page leaves, or sends too much."""
    allowance = Allowance(MESSAGES_PER_SECOND, BURST, time.monotonic())
    while True:
        try:
            message = await websocket.receive()
        except LEFT as error:
            raise Gone(str(error)) from error
        if message["type"] == "websocket.disconnect":
            return
        if not allowance.take(1, time.monotonic()):
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
