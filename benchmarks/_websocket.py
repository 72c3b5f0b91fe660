"""A WebSocket's client side, as light as it can be: headers are read, arrays passed over without a copy.

Those who watch one race get the same headers, which are read once. It is just enough for a server that keeps
to the rules.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks._sockets import frame, opening

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL = struct.pack(">H", 1000)

# What has been read. All sockets of a process share it: what they keep of it they copy.
ROOM = bytearray(2**18)
VIEW = memoryview(ROOM)
MOST_KNOWN = 2048
_known: dict[bytes, dict[str, Any]] = {}


def header_of(text: bytes) -> dict[str, Any]:
    """Return a message's header; those who watch one race get the same bytes, which are read once."""
    found = _known.get(text)
    if found is None:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        found = _known[text] = json.loads(text)
    return found


class Listener(Protocol):
    """Who is told what a socket hears."""

    def opened(self, socket: Socket) -> None:
        """Hear that the server has agreed."""

    def hear(self, header: dict[str, Any]) -> None:
        """Hear a message's header, once all of the message is there."""

    def lost(self, why: str) -> None:
        """Hear that the socket has ended."""


class Socket(asyncio.BufferedProtocol):
    """One WebSocket."""

    def __init__(self, url: str, listener: Listener, path: str = "/live"):
        self.url, self.path, self.listener = url, path, listener
        self.transport: asyncio.Transport | None = None
        self.shaken = False
        self.rest = b""  # the beginning of a frame
        self.skip = 0  # bytes of arrays that are still to come
        self.header: bytes | None = None  # of the message that they belong to
        self.parts: list[bytes] = []  # of a message in fragments
        self.kind = TEXT  # of that message
        self.messages = 0
        self.why = ""  # it ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(opening(self.path, self.url, urlsplit(self.url).netloc))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to: behind what is left of before."""
        size = len(self.rest)
        if not size:
            return VIEW
        ROOM[:size] = self.rest
        return VIEW[size:]

    def buffer_updated(self, count: int) -> None:
        """Take what has been read."""
        at, end = 0, len(self.rest) + count
        self.rest = b""
        if self.skip:
            at = min(self.skip, end)
            self.skip -= at
            if self.skip:
                return
            self.tell()
        while at < end:
            used = self.frame(at, end) if self.shaken else self.agreed(at, end)
            if not used:
                self.keep(at, end)
                return
            at += used

    def keep(self, at: int, end: int) -> None:
        """Keep the beginning of what has to be read in one piece."""
        if at == 0 and end == len(ROOM):
            self.end(f"a header or text has more than {len(ROOM)} bytes")
        else:
            self.rest = bytes(VIEW[at:end])

    def agreed(self, at: int, end: int) -> int:
        """Read the answer to the handshake; return its size, 0 while it isn't complete."""
        stop = ROOM.find(b"\r\n\r\n", at, end)
        if stop < 0:
            return 0
        status = ROOM[at:stop].split(b"\r\n", 1)[0].decode("latin-1")
        if " 101 " not in status + " ":
            self.end(f"the server answered {status}")
            return end - at
        self.shaken = True
        self.listener.opened(self)
        return stop + 4 - at

    def frame(self, at: int, end: int) -> int:
        """Read a frame, or its beginning and pass over the rest; return its size, 0 if more is needed."""
        if end - at < 2:
            return 0
        first, size, head = ROOM[at], ROOM[at + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            if end - at < head:
                return 0
            (size,) = struct.unpack_from(">H" if head == 4 else ">Q", ROOM, at + 2)
        opcode, body = first & 15, at + head
        if first & 128 and opcode == BINARY:
            return head + taken if (taken := self.binary(body, end, size)) else 0
        if end - body < size:
            return 0
        payload = bytes(VIEW[body : body + size])
        if opcode >= CLOSE:
            self.control(opcode, payload)
        else:
            self.fragment(opcode, payload, bool(first & 128))
        return head + size

    def binary(self, at: int, end: int, size: int) -> int:
        """Read the header of a message with arrays; return how much is done, 0 if more is needed."""
        if end - at < 4:
            return 0
        begin = 4 + int.from_bytes(VIEW[at : at + 4], "little")
        if end - at < begin:
            return 0
        self.header = bytes(VIEW[at + 4 : at + begin])
        done = min(size, end - at)
        self.skip = size - done
        if not self.skip:
            self.tell()
        return done

    def tell(self) -> None:
        """Tell of a message that has come completely."""
        header, self.header = self.header, None
        if header is not None:
            self.messages += 1
            self.listener.hear(header_of(header))

    def fragment(self, opcode: int, payload: bytes, final: bool) -> None:
        """Put a message together: texts, and what comes in fragments."""
        if opcode != CONTINUED:
            self.kind, self.parts = opcode, []
        self.parts.append(payload)
        if not final:
            return
        message, self.parts = b"".join(self.parts), []
        if self.kind == BINARY:
            message = message[4 : 4 + int.from_bytes(message[:4], "little")]
        self.header = message
        self.tell()

    def control(self, opcode: int, payload: bytes) -> None:
        """Answer a ping, and a close."""
        if opcode == PING:
            self.write(payload, PONG)
        elif opcode == CLOSE:
            self.write(payload[:2], CLOSE)
            words = payload[2:].decode(errors="replace")
            code = int.from_bytes(payload[:2], "big") if payload else "none"
            self.end(f"closed by the server, code {code} {words}".strip())

    def write(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send a frame, masked with zeros."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(frame(payload, opcode))

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self.write(json.dumps(message).encode())

    def leave(self) -> None:
        """Close the socket in good manners."""
        self.write(NORMAL, CLOSE)
        self.end("left")

    def end(self, why: str) -> None:
        """Close the connection."""
        self.why = self.why or why
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Say why it has ended."""
        self.listener.lost(self.why or str(error or "the server hung up"))
