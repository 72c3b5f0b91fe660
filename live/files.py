"""Files that never change under their address, served from memory: read and compressed once, at first use."""

from __future__ import annotations

import asyncio
import gzip
import mimetypes
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope, Send

FOREVER = b"public, max-age=31536000, immutable"
LEVEL = 6
WORTHWHILE = 0.9  # of its size, or less, must be left of a file that is sent compressed
# Sent in pieces, a long file waits in the server no further than its reader has come.
PIECE = 2**16  # bytes
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("font/woff2", ".woff2")


class _Ready(NamedTuple):
    """A file that is ready to be sent: its bytes, and the headers before them."""

    content: bytes
    headers: list[tuple[bytes, bytes]]


class Files:
    """The files below some folders, and single ones, by their address."""

    def __init__(self, places: Mapping[str, Path]):
        self._paths: dict[str, Path] = {}
        for address, place in places.items():
            for path in place.rglob("*") if place.is_dir() else [place]:
                if path.is_file():
                    below = path.relative_to(place).as_posix()
                    self._paths[address if below == "." else f"{address}/{below}"] = path
        self._ready: dict[tuple[str, bool], asyncio.Future[_Ready]] = {}

    def __contains__(self, address: object) -> bool:
        return address in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def path(self, address: str) -> Path:
        """Return where a file is."""
        return self._paths[address]

    async def __call__(self, address: str, scope: Scope, send: Send) -> None:
        """Answer a GET or HEAD."""
        packed = "gzip" in Headers(scope=scope).get("accept-encoding", "")
        ready = await self._made(address, packed)
        await send({"type": "http.response.start", "status": 200, "headers": ready.headers})
        size = len(ready.content)
        for start in range(0, max(size, 1), PIECE):
            piece = ready.content[start : start + PIECE] if size > PIECE else ready.content
            await send({"type": "http.response.body", "body": piece, "more_body": start + PIECE < size})
            if start + PIECE < size:
                await asyncio.sleep(0)  # others have their turn, and it is seen if the reader has left

    async def _made(self, address: str, packed: bool) -> _Ready:
        future = self._ready.get((address, packed))
        if future is None:
            future = asyncio.ensure_future(asyncio.to_thread(_make, self.path(address), packed))
            self._ready[address, packed] = future
            future.add_done_callback(lambda done: self._settle((address, packed), done))
        return await asyncio.shield(future)

    def _settle(self, key: tuple[str, bool], done: asyncio.Future[_Ready]) -> None:
        """Forget what failed, and files as they are: who doesn't take them compressed is no browser."""
        if not key[1] or done.cancelled() or done.exception() is not None:
            del self._ready[key]


def _make(path: Path, packed: bool) -> _Ready:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    headers = [
        (b"content-type", kind.encode()),
        (b"cache-control", FOREVER),
        (b"vary", b"accept-encoding"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if packed and len(small := gzip.compress(content, LEVEL, mtime=0)) < WORTHWHILE * len(content):
        content = small
        headers.append((b"content-encoding", b"gzip"))
    return _Ready(content, [*headers, (b"content-length", str(len(content)).encode())])
