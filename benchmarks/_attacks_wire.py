"""Attacks below the channel's questions: frames, handshakes, requests and uploads.

Each is a coroutine that goes on until it is cancelled, or has done its worst; its first sentence says what it
does. Connections that it leaves open are closed for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

from benchmarks._sockets import (
    BINARY,
    CONTINUED,
    LEFT,
    LIVE,
    PING,
    STREAM,
    TEXT,
    Target,
    frame,
    opening,
    until_left,
)  # fmt: skip
from benchmarks._streamlit import open_session
from live.sockets import LINGER

MIB = 2**20
CLOSED = LINGER + 2.0  # seconds in which a socket is expected to be closed
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")
PATHS = (
    "/", "/lab", "/live", "/health", "/static/", "/_stcore/stream", "/_stcore/health", "/_stcore/metrics",
    "/_stcore/host-config", "/_stcore/script-health-check", "/_stcore/upload_file/a/b", "/media/x",
    "/component/x/y", "/app/static/x", "/oauth2callback", "/auth/login",
)  # fmt: skip
TRICKS = (
    "/../../etc/passwd", "/assets/../app.py", "/assets/%2e%2e/app.py", "/assets/..%2f..%2fetc/passwd", "*",
    "//etc/passwd", "/assets/%00", "/assets//etc/passwd", "/%ff%fe", "/" + "a" * 20_000, "/live/../health",
    "/assets/\\..\\app.py", "http://elsewhere.example/", "/?" + "x=1&" * 5000, "/component/../../app.py",
    "/media/..%2f..%2fapp.py",
)  # fmt: skip


# ---- frames ------------------------------------------------------------------------------------------


async def long_messages(target: Target) -> None:
    """Send messages of 16 MiB and of 1 MiB on 8 sockets, again and again."""

    async def one(path: str, size: int, opcode: int) -> None:
        message = frame(bytes(size) if opcode == BINARY else b" " * size, opcode)
        while True:
            with contextlib.suppress(*LEFT):
                raw = await target.open(path)
                try:
                    await raw.send(message)
                    target.notes["messages sent"] += 1
                    closed = await raw.ended(CLOSED)
                except OSError:
                    closed = True
                target.notes["closed"] += closed
                raw.leave()
            await asyncio.sleep(0.01)

    kinds = itertools.product((LIVE, STREAM), (16 * MIB - 1, MIB), (TEXT, BINARY))
    await until_left(*(one(*kind) for kind in kinds))


async def endless_fragments(target: Target) -> None:
    """Begin messages on 8 sockets that go on in small or empty fragments, and never end."""

    async def one(path: str, piece: bytes) -> None:
        while True:
            with contextlib.suppress(*LEFT):
                raw = await target.open(path)
                await raw.send(frame(b'{"a', TEXT, fin=False))
                while True:
                    await raw.send(frame(piece, CONTINUED, fin=False) * 500)
                    target.notes["fragments"] += 500
                    await asyncio.sleep(0)
            target.notes["closed"] += 1
            await asyncio.sleep(0.01)

    kinds = itertools.product((LIVE, STREAM), (b"", b"x", b"x" * 100, b"x" * 65_000))
    await until_left(*(one(*kind) for kind in kinds))


def odd_frames() -> dict[str, bytes]:
    """Return what no browser sends, by what is odd about it."""
    return {
        "binary": frame(b"\0\1\2" * 50, BINARY),
        "invalid UTF-8": frame(b'{"kind": "\xff\xfe"}'),
        "half a letter": frame(b"\xe2\x82", fin=False) + frame(b"", CONTINUED),
        "reserved bits": frame(b"{}", reserved=7),
        "compressed": frame(b"{}", reserved=4),
        "unknown opcode": frame(b"{}", 5),
        "unmasked": b"\x81\x02{}",
        "a long ping": frame(b"p" * 200, PING),
        "a fragmented ping": frame(b"p", PING, fin=False),
        "nothing to continue": frame(b"{}", CONTINUED),
        "a message within a message": frame(b"{", fin=False) + frame(b"{}"),
        "a bad goodbye": frame(b"\0\1", 8),
        "half a goodbye": frame(b"\3", 8),
        "half a frame": frame(b"{", size=4000),
        "a frame of exabytes": frame(b"{", size=2**62),
        "a negative length": b"\x81\xff" + b"\xff" * 8 + bytes(4) + b"{",
        "an empty message": frame(b""),
        "garbage": bytes(range(256)),
    }


async def odd_frames_sent(target: Target) -> None:
    """Send frames that break the protocol, to the channel and to Streamlit's stream, and leave some open."""

    async def one(path: str, data: bytes) -> None:
        raw = await target.open(path)
        await raw.send(data)
        target.notes["sent"] += 1
        closed = await raw.ended(CLOSED)
        target.notes["closed"] += closed

    while True:
        await until_left(*(one(path, data) for path in (LIVE, STREAM) for data in odd_frames().values()))
        await asyncio.sleep(0.1)


async def silent_sockets(target: Target) -> None:
    """Open 200 sockets that say nothing, and 100 connections that don't even ask for one."""
    await until_left(*(target.open() for _ in range(target.many(200))))
    await until_left(*(target.connect() for _ in range(target.many(100))))
    await asyncio.sleep(target.seconds)


# ---- handshakes and requests -------------------------------------------------------------------------


async def _slowly(target: Target, data: bytes, count: int) -> None:
    """Send the same bytes on many connections, one every second; count those that the server hangs up."""

    async def one() -> None:
        raw = await target.connect()
        ending = asyncio.create_task(raw.ended(10**6))
        try:
            for byte in data:
                await raw.send(bytes([byte]))
                await asyncio.wait([ending], timeout=1.0)
                if ending.done():
                    target.notes["closed"] += 1
                    return
        finally:
            ending.cancel()

    await until_left(*(one() for _ in range(count)))


async def slow_handshakes(target: Target) -> None:
    """Open 50 sockets whose handshakes come as a byte a second."""
    await _slowly(target, opening(LIVE, target.url, target.host), target.many(50))


async def slow_requests(target: Target) -> None:
    """Send 50 requests whose heads come as a byte a second."""
    await _slowly(target, b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 10_000, target.many(50))


async def foreign_hosts(target: Target) -> None:
    """Ask for sockets and pages under names of other hosts, with the same Origin, another, or none."""
    elsewhere = "elsewhere.example"
    names = [
        (elsewhere, f"http://{elsewhere}"), (f"{elsewhere}:{target.place[1]}", f"http://{elsewhere}:{target.place[1]}"),
        (target.host, ""), (target.host, "null"), (target.host, f"http://{elsewhere}"), ("", target.url),
        (f"user@{target.host}", target.url), (f"{target.host}.{elsewhere}", f"http://{target.host}.{elsewhere}"),
    ]  # fmt: skip
    while True:
        for path, (host, origin) in itertools.product((LIVE, STREAM), names):
            with contextlib.suppress(*LEFT):
                raw = await target.connect()
                status = await raw.shake(path, origin, host)
                # Streamlit's stream has no rule against a missing Origin: only other programs leave it out.
                accepted = status == 101 and (path == LIVE or bool(origin))
                target.notes["accepted" if accepted else "refused"] += 1
                raw.leave()
        await asyncio.sleep(0.25)


async def odd_requests(target: Target) -> None:
    """Send every method to every route, tricks with paths, long bodies, and heads of 8 MiB."""
    body = f"Content-Length: {MIB}\r\nContent-Type: application/octet-stream\r\n"
    long = f"X-Long: {'a' * (target.many(8 * MIB))}\r\n"
    kinds: list[tuple[str, str, str, bytes]] = [
        *((method, path, "", b"") for method, path in itertools.product(METHODS, PATHS)),
        *(("GET", path, "", b"") for path in TRICKS),
        *((method, path, body, bytes(MIB)) for method in ("POST", "PUT") for path in PATHS),
        *(("GET", path, long, b"") for path in ("/", "/health", LIVE)),
        ("GET", "/", "X-Many: 1\r\n" * 20_000, b""),
        ("POST", "/", "Transfer-Encoding: chunked\r\n", b"ffffffff\r\n" + bytes(MIB)),
        ("POST", "/", "Content-Length: 5\r\nContent-Length: 6\r\n", b"12345"),
        ("GET", "/", "Content-Length: -1\r\n", b""),
        ("GET", "/", f"Range: bytes={'0-1,' * 5000}\r\n", b""),
    ]

    async def one(which: slice) -> None:
        while True:
            for kind in kinds[which]:
                with contextlib.suppress(*LEFT):
                    status = await target.request(*kind, wait=2)
                    target.notes[f"{status // 100}xx" if status else "hung up"] += 1

    await until_left(*(one(slice(number, None, 4)) for number in range(4)))


# ---- uploads -----------------------------------------------------------------------------------------


async def uploads(target: Target) -> None:
    """Upload 15 files of 20 MB to a session of Streamlit, and post as much to other routes."""
    session = await open_session(target)
    reading = asyncio.create_task(session.raw.ended(10**6))
    limit = "-" * 20
    size = target.many(20 * 10**6)
    body = (
        f'--{limit}\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n'.encode()
        + bytes(size) + f"\r\n--{limit}--\r\n".encode()
    )  # fmt: skip
    head = f"Content-Length: {len(body)}\r\nContent-Type: multipart/form-data; boundary={limit}\r\n"
    head += (
        f"X-Xsrftoken: {session.token}\r\nCookie: _streamlit_xsrf={session.token}\r\nOrigin: {target.url}\r\n"
    )

    async def one(method: str, path: str) -> None:
        status = await target.request(method, path, head, body, wait=30)
        target.notes["accepted" if 200 <= status < 300 else "refused"] += 1

    everything: list[Any] = [
        one("PUT", f"/_stcore/upload_file/{session.name}/{number}") for number in range(target.many(15, 5))
    ]
    everything += [one(method, path) for method in ("POST", "PUT") for path in ("/", "/health", LIVE)]
    await until_left(*everything)
    await reading
