"""How the server reads and writes its sockets: what a peer may send, and whom it doesn't wait for.

``uvicorn --http live.sockets:Web --ws live.sockets:Guarded`` uses it. It is imported before the app chooses
the number of NumPy's threads, and so must not import NumPy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from asyncio.transports import BaseTransport
from typing import Any, ClassVar, NamedTuple

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from .once import Shared
from .patience import Watch

log = logging.getLogger(__name__)

UNSUPPORTED, INVALID, POLICY_VIOLATION, TOO_BIG = 1003, 1007, 1008, 1009
EXTENSION = "bnlab"  # the protocol itself, for an app that hands its messages over directly

# Read in slices, a flood of tiny frames is seen before all of it is parsed.
SLICE = 2048  # bytes
MOST_FRAGMENTS = 100  # of a message
# Who is refused is told why, and no longer read. Were the line closed at once, the reason might get lost.
LINGER = 3.0  # seconds
LAST_SECONDS = 1.0  # for peers that don't read while the server ends
KERNEL_BUFFER = 2**17  # bytes that the kernel keeps for a peer, or it would be megabytes
# A page holds two lines, and some more while it loads; an idle one costs the server up to 50 KiB.
MOST_LINES = 6000
OTHER_FILES = 1000


class Limits(NamedTuple):
    """What a peer may send."""

    size: int  # bytes of a message
    rate: float  # frames a second, of whatever kind
    burst: int  # frames at once
    text: bool  # whether messages may be text


def limits_of(path: str) -> Limits:
    """Return the limits of a route. A page sends Streamlit one kilobyte now and then."""
    if path.endswith("/live"):
        from .wire import MAX_MESSAGE

        return Limits(4 * MAX_MESSAGE, 240, 480, text=True)
    return Limits(2**16, 60, 240, text=False)


class Allowance:
    """How much may be done now: so much at once, and so much a second after that."""

    def __init__(self, rate: float, burst: float, now: float):
        self.rate, self.burst = rate, burst
        self._left, self._last = burst, now

    def take(self, count: float, now: float) -> bool:
        """Use some of it; False if that was more than there is."""
        self._left = min(self.burst, self._left + (now - self._last) * self.rate) - count
        self._last = now
        return self._left >= 0


class Framed(bytes):
    """A message as the bytes that go over the line, made once for all who are sent it."""

    __slots__ = ()

    @classmethod
    def of(cls, message: str | bytes) -> Framed:
        """Frame a message, one that many are sent once."""
        if isinstance(message, Shared):
            if not isinstance(message.framed, cls):
                message.framed = cls._of(message)
            return message.framed
        return message if isinstance(message, cls) else cls._of(message)

    @classmethod
    def _of(cls, message: str | bytes) -> Framed:
        kind, payload = (0x81, message.encode()) if isinstance(message, str) else (0x82, message)
        if len(payload) < 126:
            header = struct.pack("!BB", kind, len(payload))
        elif len(payload) < 2**16:
            header = struct.pack("!BBH", kind, 126, len(payload))
        else:
            header = struct.pack("!BBQ", kind, 127, len(payload))
        return cls(header + payload)

    @property
    def message(self) -> str | bytes:
        """The message without its frame."""
        payload = self[{126: 4, 127: 10}.get(self[1], 2) :]
        return payload.decode() if self[0] == 0x81 else payload


class Guarded(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket with limits to what is read, and writes that copy nothing."""

    watch: ClassVar[Watch] = Watch()

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.limits = limits_of("")
        self.allowance = Allowance(self.limits.rate, self.limits.burst, self.loop.time())
        self.unfinished: float | None = None
        self._refused = False
        self._sending = asyncio.Lock()
        self._served, self.app = self.app, self._serve

    # ---- the line ----------------------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        """Watch the peer from now on."""
        super().connection_made(transport)
        self.watch.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the peer, and what it has asked last."""
        self.watch.remove(self)
        for event in [self.queue.get_nowait() for _ in range(self.queue.qsize())]:
            if event["type"] != "websocket.receive":
                self.queue.put_nowait(event)
        super().connection_lost(exc)

    def is_here(self) -> bool:
        """Whether the peer hasn't left."""
        return not self._gone()

    def shutdown(self) -> None:
        """End with the server, even where the peer doesn't read or has begun to close."""
        if self.conn.state is State.CONNECTING or self.conn.state is State.OPEN or self.close_sent:
            super().shutdown()
        self.transport.close()
        self.loop.call_later(LAST_SECONDS, self.transport.abort)

    # ---- what comes --------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read frames, as many as the peer may send."""
        for start in range(0, len(data), SLICE):
            if self._refused or self.transport.is_closing():
                return
            self.conn.receive_data(data[start : start + SLICE])
            if self.conn.handshake_exc is not None or self.conn.parser_exc is not None:
                self._broken()
                return
            came = len(self.conn.events)
            now = self.loop.time()
            if not self.allowance.take(came, now):
                self.refuse(POLICY_VIOLATION, f"more than {self.limits.rate:.0f} frames a second; goodbye")
                return
            if came or self.unfinished is None:
                partial = self.conn.reader.buffer or self.conn.current_size is not None
                self.unfinished = now if partial else None
            self.handle_events()

    def handle_connect(self, event: Request) -> None:
        """Begin a session; from here on its route's limits count."""
        self.limits = limits_of(event.path.partition("?")[0])
        self.allowance = Allowance(self.limits.rate, self.limits.burst, self.loop.time())
        self.conn.max_message_size = self.limits.size
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    def handle_cont(self, event: Frame) -> None:
        """Add a fragment to its message."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self.refuse(TOO_BIG, f"a message of more than {MOST_FRAGMENTS} fragments; goodbye")
        elif not self._refused:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping, unless the peer has left so much unread that it won't see the answer soon."""
        if self.writable.is_set() and not self.close_sent:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def send_receive_event_to_app(self) -> None:
        """Hand over a message."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            if not self.limits.text:
                self.refuse(UNSUPPORTED, "messages here are binary; goodbye")
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.refuse(INVALID, "text must be UTF-8; goodbye")
        super().send_receive_event_to_app()

    def refuse(self, code: int, reason: str) -> None:
        """Close the socket, and tell neither the app nor the log more than that."""
        log.debug("socket refused: %s", reason)
        if self.conn.state is State.CLOSING:  # the app has told why, and an abort could overtake that
            self._refused = True
            return
        if self.conn.state is not State.OPEN:
            self.transport.abort()
            return
        self.conn.send_close(code, reason)
        self._close(code)

    def _broken(self) -> None:
        """Send what websockets answers to bytes that are no WebSocket's."""
        log.debug("socket broken: %s", self.conn.handshake_exc or self.conn.parser_exc)
        if self.conn.close_sent is None:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        else:
            self._close(self.conn.close_sent.code)

    def _close(self, code: int) -> None:
        """Send the close frame that is ready, end the app's session, and go once the peer could read it."""
        self._refused = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self.transport.pause_reading()
        self.read_paused = False  # or the app's next look at the queue would resume it
        self.unfinished = None
        self.close_timer = self.loop.call_later(LINGER, self.transport.close)

    # ---- what goes ---------------------------------------------------------------------------------------

    async def deliver(self, message: str | bytes) -> None:
        """Send a message once there is room for it; a `Framed` one goes as it is.

        Raises
        ------
        ClientDisconnected
            If the peer has left.
        """
        frame = Framed.of(message)
        if self.writable.is_set() and not self._sending.locked():
            self._write(frame)
            return
        async with self._sending:  # in turns: what is long and comes in parts keeps nothing else back
            await self.writable.wait()
            self._write(frame)

    def _write(self, frame: Framed) -> None:
        if self._gone() or self.conn.state is not State.OPEN:
            raise ClientDisconnected()
        self.transport.write(frame)

    def _gone(self) -> bool:
        return self.disconnected or self.close_sent or self.transport.is_closing()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the app sends."""
        if self.disconnected or self.close_sent:
            raise ClientDisconnected()
        if message["type"] == "websocket.send" and self.conn.state is not State.CONNECTING:
            content = message.get("bytes")
            await self.deliver(message.get("text") or "" if content is None else content)
        else:
            await super().send(message)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the app; what it trips over when the peer has left is no error."""
        try:
            await self._served(scope, receive, send)
        except Exception as error:
            if not self._gone():
                raise
            log.debug("the peer left in mid-answer: %r", error)
        if self.initial_response is not None:
            self.handshake_complete = True  # by an answer that isn't a WebSocket; uvicorn would complain


class Web(H11Protocol):
    """uvicorn's HTTP, for peers that send their request and read the answer."""

    watch: ClassVar[Watch] = Guarded.watch

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not for ever."""
        with contextlib.suppress(OSError, AttributeError):
            line = transport.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        super().connection_made(transport)
        self._idle = self.loop.time()
        self.watch.add(self)
        if len(self.watch) > MOST_LINES:
            log.debug("a line too many")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the peer."""
        self.watch.remove(self)
        super().connection_lost(exc)

    @property
    def unfinished(self) -> float | None:
        """Since when a request has been waited for; None while one is answered."""
        return None if self.cycle is not None and not self.cycle.response_complete else self._idle

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._idle = self.loop.time()
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the line over to a WebSocket."""
        self.watch.remove(self)
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; where an answer is under way already, go."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.abort()

    def shutdown(self) -> None:
        """End with the server, even where the peer doesn't read."""
        with contextlib.suppress(h11.LocalProtocolError):
            super().shutdown()
        self.loop.call_later(LAST_SECONDS, self.transport.abort)


def make_room() -> None:
    """Raise the number of files that this process may open, where it is lower than a full house needs."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_LINES + OTHER_FILES
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _quiet(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's is worth it: anybody can send what is no request, as often as they like."""
    return record.msg not in ("Invalid HTTP request received.", "Unsupported upgrade request.")


logging.getLogger("uvicorn.error").addFilter(_quiet)
