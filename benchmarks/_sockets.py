"""Sockets that say what they are told, byte by byte: handshakes and frames that no library would send.

They go to the loopback interface of this machine, and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import websockets
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from live.wire import unpack

LIVE, STREAM = "/live", "/_stcore/stream"
CONTINUED, TEXT, BINARY, PING = 0, 1, 2, 9
LEFT = (OSError, TimeoutError, EOFError, WebSocketException)  # a socket that has ended
PATIENCE = 60.0  # seconds
LINGER_NOT = struct.pack("ii", 1, 0)  # closing sends RST


def loopback(url: str) -> tuple[str, int]:
    """Return host and port of a server on this machine; raise ValueError for any other."""
    parts = urlsplit(url)
    try:
        here = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        here = False
    if not here or parts.port is None:
        raise ValueError(f"{url} is no address of this machine; give one such as http://127.0.0.1:8501")
    return str(parts.hostname), parts.port


def frame(payload: bytes, opcode: int = TEXT, fin: bool = True, reserved: int = 0, size: int = -1) -> bytes:
    """Return a frame as a client sends it; ``size`` is what its header claims, if not the truth."""
    size = len(payload) if size < 0 else size
    first = bytes([fin << 7 | reserved << 4 | opcode])
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 2**16:
        length = struct.pack(">BH", 0x80 | 126, size)
    else:
        length = struct.pack(">BQ", 0x80 | 127, size)
    return first + length + bytes(4) + payload  # masked with zeros


class Raw:
    """A TCP connection to the server."""

    def __init__(self, link: socket.socket):
        self.link = link
        self.loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send bytes; raise an error of LEFT once the server has hung up."""
        await self.loop.sock_sendall(self.link, data)

    async def received(self, most: int = 2**16) -> bytes:
        """Return what comes next; empty at the end."""
        return await self.loop.sock_recv(self.link, most)

    async def ended(self, seconds: float) -> bool:
        """Read until the server hangs up; whether it did within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while await self.received():
                    pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    async def answer(self, seconds: float = PATIENCE) -> tuple[int, str]:
        """Return the status of an HTTP answer and its head; 0 if the server hangs up or stays silent."""
        head = b""
        try:
            async with asyncio.timeout(seconds):
                while b"\r\n\r\n" not in head and (more := await self.received(4096)):
                    head += more
        except LEFT:
            pass
        found = re.match(rb"HTTP/1\.1 (\d{3})", head)
        return int(found[1]) if found else 0, head.decode("latin-1")

    async def shake(self, path: str = LIVE, origin: str = "", host: str = "", more: str = "") -> int:
        """Open a WebSocket; return the answer's status, 101 if the server agrees."""
        await self.send(opening(path, origin, host, more))
        return (await self.answer())[0]

    def leave(self) -> None:
        """Close it; who still reads or sends hears no more."""
        if self.link.fileno() >= 0:  # the loop must forget it first: the next socket gets its number
            self.loop.remove_reader(self.link)
            self.loop.remove_writer(self.link)
            self.link.close()

    def reset(self) -> None:
        """Close it as a page does whose machine has died."""
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.leave()


def opening(path: str, origin: str, host: str, more: str = "") -> bytes:
    """Return the request that opens a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    lines += [f"Origin: {origin}"] * bool(origin)
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode()


@dataclass
class Target:
    """The server under attack; how long the attack lasts, and whether it is a small one.

    ``notes`` counts what is worth telling: refused, closed by the server, answered, ...
    """

    url: str
    pid: int
    seconds: float
    small: bool = False
    notes: Counter[str] = field(default_factory=Counter)
    opened: list[Raw] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = loopback(self.url)

    @property
    def host(self) -> str:
        """What the header Host says of it."""
        return f"{self.place[0]}:{self.place[1]}"

    def many(self, count: int, least: int = 2) -> int:
        """So many, or a tenth of it where the attack is small."""
        return max(least, count // 10) if self.small else count

    async def connect(self, buffer: int = 0) -> Raw:
        """Open a connection; ``buffer``: bytes that the system receives for who doesn't read."""
        link = socket.socket()
        link.setblocking(False)
        if buffer:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        raw = Raw(link)
        self.opened.append(raw)
        async with asyncio.timeout(PATIENCE):
            await raw.loop.sock_connect(link, self.place)
        return raw

    async def open(self, path: str = LIVE, buffer: int = 0) -> Raw:
        """Open a WebSocket as our own page would; raise an error of LEFT if it is refused."""
        raw = await self.connect(buffer)
        status = await raw.shake(path, self.url, self.host)
        if status != 101:
            self.notes[f"handshakes answered {status}"] += 1
            raise ConnectionRefusedError(f"{path} was answered {status}")
        return raw

    async def request(
        self, method: str, path: str, head: str = "", body: bytes = b"", wait: float = 10
    ) -> int:
        """Send an HTTP request whatever it is worth; return the answer's status, 0 if there is none."""
        raw = await self.connect()
        text = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n{head}\r\n"
        sending = asyncio.create_task(raw.send(text.encode("latin-1") + body))
        status, _ = await raw.answer(wait)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        raw.leave()
        return status

    def leave(self) -> None:
        """Close every connection that is left."""
        for raw in self.opened:
            raw.leave()
        self.opened.clear()


class Page:
    """A page that keeps to the rules: it asks, and reads what comes."""

    def __init__(self, socket: websockets.ClientConnection):
        self.socket = socket
        self.number = self.race = 0  # of the latest question, and of the race whose frames come

    async def send(self, kind: str, **more: Any) -> int:
        """Ask; return the question's number."""
        self.number += 1
        await self.socket.send(json.dumps({"kind": kind, "id": self.number} | more))
        return self.number

    async def answer(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the next message: its header, and its arrays by name."""
        message = await self.socket.recv()
        header, arrays = (json.loads(message), {}) if isinstance(message, str) else unpack(message)
        if header["kind"] == "lab":
            self.race = header["id"]
        return {"id": self.race} | header, arrays

    async def ask(self, kind: str, **more: Any) -> dict[str, Any]:
        """Ask; return the answer to this question, be it a problem; of several messages the last."""
        number = await self.send(kind, **more)
        while True:
            header, _ = await self.answer()
            if header["id"] == number and header["kind"] in (kind, "file", "problem") and _is_whole(header):
                return header

    async def played(self, step: int, **more: Any) -> dict[str, Any]:
        """Watch a race until every lane has come to a step; return what was said of it first."""
        header = await self.ask("lab", **({"until": step} | more))
        if header["kind"] == "problem" or header.get("refused"):
            return header
        rows = [0] * len(header["lanes"])
        while (min(rows) - 1) * header["every"] < step:
            news, arrays = await self.answer()
            if news["kind"] == "frames" and not news["ghost"]:
                rows[news["lane"]] += len(arrays["rows"])
        return header


def _is_whole(header: dict[str, Any]) -> bool:
    """Whether nothing follows: a file comes in portions, and a check first says how long it waits."""
    if header["kind"] == "file" and "size" in header:
        return int(header["start"]) + len(header["bytes"]) >= int(header["size"])
    return header["kind"] != "check" or "waiting" not in header


@asynccontextmanager
async def page(url: str) -> AsyncIterator[Page]:
    """Open a page's side of the channel."""
    host, port = loopback(url)
    address = f"ws://{host}:{port}{LIVE}"
    async with websockets.connect(
        address, origin=Origin(url), max_size=None, compression=None, open_timeout=PATIENCE, close_timeout=1
    ) as socket:
        yield Page(socket)


async def until_left(*tasks: Any) -> None:
    """Run them all; a socket that ends only ends its own."""
    await asyncio.gather(*(_quietly(task) for task in tasks))


async def _quietly(work: Any) -> None:
    with contextlib.suppress(*LEFT):
        await work
