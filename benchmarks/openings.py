"""How many pages a second the server opens, Streamlit's own part included.

A visitor opens the Training lab as a browser with an empty cache does: it fetches all that a real browser was
seen to fetch (over six connections that are kept, gzip accepted), opens Streamlit's stream, has the script
run to its end, fetches the picture's modules, opens the live channel, asks for the default race, and plays it
on. Who comes again has the immutable files, and asks of the others whether they are still what they were.

Pages come evenly, so many a second. "Achieved" is what had a picture, by the time of the last one. What
doesn't come within a minute after the last visitor has its age. Meanwhile a visitor who came before watches
the same race, from a process of its own. Clients and server share this machine's cores.

    PYTHONPATH=. .venv/bin/python benchmarks/openings.py                        # 5, 10 and 17 a second
    PYTHONPATH=. .venv/bin/python benchmarks/openings.py --rates 17 --seconds 60
    PYTHONPATH=. .venv/bin/python benchmarks/openings.py --reduced              # five pages
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import psutil
import websockets
from playwright.sync_api import Response, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.typing import Origin, Subprotocol

from benchmarks._visitor import LAST, LOOK_EVERY, Seen, Visitor, visit
from benchmarks.load import MIB, Used, busy, more_sockets, row, used, warm_up
from tests.server import CHROMIUM_FLAGS, Server, chromium_path

PAGE = "training-lab"
CONNECTIONS = 6
PATIENCE = 60.0  # seconds after the last visitor has come
CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
FIGURES = (
    "pages a second", "from coming to the script's end, ms", "from coming to the first picture, ms",
    "share of a core", "memory, MiB", "who watched meanwhile: update latency, ms", "errors",
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """Something that a browser asks for: where, what it is answered, and when it asks."""

    path: str
    status: int
    etag: str
    immutable: bool
    late: bool  # after Streamlit's stream has been opened

    def request(self, host: str, again: bool) -> bytes:
        """Return the request; ``again``: from somebody who has been here before."""
        known = f"If-None-Match: {self.etag}\r\n" if again and self.etag else ""
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n"
            f"Connection: keep-alive\r\n{known}\r\n"
        ).encode()


def files(url: str) -> list[File]:
    """Open the page in a browser; return what it fetches, in order, the document first."""
    found: list[tuple[Response, bool]] = []
    streams: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(args=CHROMIUM_FLAGS, executable_path=chromium_path())
        page = browser.new_page()
        page.on("websocket", lambda socket: streams.append(socket.url))
        page.on("response", lambda response: found.append((response, bool(streams))))
        page.goto(f"{url}/{PAGE}")
        page.wait_for_selector(".lab[data-step]")
        page.wait_for_load_state("networkidle")
        listed = []
        for response, late in found:
            if response.url.startswith(url):
                head = response.all_headers()
                immutable = "immutable" in head.get("cache-control", "")
                path = response.url.removeprefix(url)
                listed.append(File(path, response.status, head.get("etag", ""), immutable, late))
        browser.close()
    return listed


class Kept:
    """An HTTP connection that is kept, and opened anew when the server has closed it."""

    def __init__(self, url: str):
        self.host = urlsplit(url).netloc
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def get(self, file: File, again: bool) -> None:
        """Fetch a file, and throw it away."""
        fresh = self.writer is None
        try:
            status = await self.ask(file, again)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            if fresh:
                raise
            status = await self.ask(file, again)
        if status not in (file.status, 304):
            raise OSError(f"{file.path} was answered {status}; a browser got {file.status}")

    async def ask(self, file: File, again: bool) -> int:
        """Send a request and read the answer; return its status."""
        if self.reader is None or self.writer is None:
            name, _, port = self.host.partition(":")
            self.reader, self.writer = await asyncio.open_connection(name, int(port))
        self.writer.write(file.request(self.host, again))
        head = await self.reader.readuntil(b"\r\n\r\n")
        if CHUNKED.search(head):
            while size := int(await self.reader.readline(), 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readline()
        elif found := LENGTH.search(head):
            await self.reader.readexactly(int(found[1]))
        return int(head[9:12])

    def close(self) -> None:
        """Close it."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Page(Visitor):
    """A visitor with a browser: before the race comes the page."""

    def __init__(self, listed: Sequence[File], again: bool):
        super().__init__({}, (0.0, 0.0))
        self.files = [file for file in listed if not (again and file.immutable)]
        self.again = again
        self.script: float | None = None  # seconds until it had ended
        self.stream: websockets.ClientConnection | None = None

    async def come(self, url: str) -> None:
        """Open the page."""
        self.begin(time.monotonic())
        connections = [Kept(url) for _ in range(CONNECTIONS)]
        try:
            await connections[0].get(self.files[0], self.again)
            await self.fetch(connections, late=False)
            await self.run_script(url)
            self.script = time.monotonic() - self.came
            await self.fetch(connections, late=True)
            await self.connect(url)
        except (OSError, EOFError, websockets.WebSocketException, ExceptionGroup) as error:
            self.lost(f"{type(error).__name__}: {error}")
        finally:
            for connection in connections:
                connection.close()

    async def fetch(self, connections: Sequence[Kept], late: bool) -> None:
        """Fetch files over several connections, each as soon as one of them is free."""
        due = iter([file for file in self.files[1:] if file.late == late])
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(self.fetch_over(connection, due))

    async def fetch_over(self, connection: Kept, due: Iterator[File]) -> None:
        """Fetch what is due, one after another."""
        for file in due:
            await connection.get(file, self.again)

    async def run_script(self, url: str) -> None:
        """Open Streamlit's stream as its frontend does, and wait until the script has ended."""
        self.stream = await websockets.connect(
            url.replace("http", "ws", 1) + "/_stcore/stream", origin=Origin(url), compression=None,
            subprotocols=[Subprotocol("streamlit")], max_size=None, ping_interval=None, open_timeout=None,
        )  # fmt: skip
        asked = BackMsg()
        asked.rerun_script.page_name = PAGE
        asked.rerun_script.context_info.url = f"{url}/{PAGE}"
        asked.rerun_script.context_info.timezone = "UTC"
        await self.stream.send(asked.SerializeToString())
        message = ForwardMsg()
        while message.WhichOneof("type") != "script_finished":
            message.ParseFromString(await self.stream.recv(decode=False))
            if message.delta.new_element.HasField("exception"):
                raise OSError(f"the script failed: {message.delta.new_element.exception.message}")


@dataclass(frozen=True)
class Opened:
    """What it took to open the pages: the server when all were open, seconds, our own processor's share."""

    after: Used
    lasted: float
    share: float


async def open_pages(url: str, pages: Sequence[Page], rate: float, used_now: Callable[[], Used]) -> Opened:
    """Have visitors come evenly, and wait until all have a picture, or patience has ended."""
    begin, mine = time.monotonic(), busy(psutil.Process())
    coming = [(begin + number / rate, page) for number, page in enumerate(pages)]
    end = coming[-1][0] + PATIENCE
    visiting = asyncio.create_task(visit(url, coming, math.inf))
    while time.monotonic() < end and any(page.seen.dark and not page.seen.errors for page in pages):
        if visiting.done():
            visiting.result()
        await asyncio.sleep(0.05)
    now = time.monotonic()
    opened = Opened(used_now(), now - begin, (busy(psutil.Process()) - mine) / (now - begin))
    visiting.cancel()
    for page in pages:
        page.leave(now)
    return opened


def watch(pipe: Connection, url: str) -> None:
    """Be a process in which one visitor watches the race, until something is said."""
    pipe.send(asyncio.run(watching(pipe, url)))


async def watching(pipe: Connection, url: str) -> list[Seen]:
    """Watch, from the beginning again when it has ended; say so at the first picture."""
    stop = asyncio.Event()
    seen: list[Seen] = []
    asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
    while not stop.is_set():
        visitor = Visitor({}, (time.monotonic(), math.inf))
        await visitor.come(url)
        while not stop.is_set() and visitor.place < LAST:
            visitor.look(time.monotonic())
            if not seen and visitor.place > 0:
                pipe.send("plays")
                seen.append(visitor.seen)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_EVERY)
        last = visitor.leave(time.monotonic())
        seen += [last] * (last is not seen[0])
    return seen


def measure(listed: Sequence[File], rate: float, seconds: float, again: bool) -> None:
    """Open pages on a server of its own, and print the figures."""
    pages = [Page(listed, again) for _ in range(round(rate * seconds))]
    here, there = get_context("spawn").Pipe()
    server = Server()
    watcher = get_context("spawn").Process(target=watch, args=(there, server.url), daemon=True)
    try:
        asyncio.run(warm_up(server.url))
        first = Page(listed, False)  # what a server does but once is no part of the others' figures
        asyncio.run(open_pages(server.url, [first], 1.0, lambda: used(server)))
        watcher.start()
        there.close()
        here.recv()
        before = used(server)
        opened = asyncio.run(open_pages(server.url, pages, rate, lambda: used(server)))
        here.send("stop")
        seen: list[Seen] = here.recv()
    finally:
        if watcher.is_alive():
            watcher.kill()
        server.stop()
    report(f"{len(pages)} pages, {'come back to' if again else 'never seen before'}", pages, opened, before)
    print(f"the server's first page, ms: {1000 * first.seen.first_picture:.0f}")
    print(row("who watched meanwhile: update latency, ms", [x for one in seen for x in one.latency]))
    print(row("  longest standstill, ms", [max(x for one in seen for x in [*one.standstill, 0.0])]))
    errors = [error for one in [*seen, *(page.seen for page in pages)] for error in one.errors]
    print(f"errors {len(errors)}{': ' + errors[0] if errors else ''}", flush=True)


def report(title: str, pages: Sequence[Page], opened: Opened, before: Used) -> None:
    """Print what the pages' visitors saw, and what the server needed for it."""
    shown = [page.came + page.seen.first_picture for page in pages if not page.seen.dark]
    first = pages[0].came
    lasted = max(shown, default=math.inf) - first
    offered = (len(pages) - 1) / (pages[-1].came - first) if len(pages) > 1 else 0.0
    print(f"\n{title:<46} median     p95     max")
    print(
        f"pages a second: offered {offered:.1f}, achieved {len(shown) / lasted:.1f}; "
        f"with a picture {len(shown)} of {len(pages)}"
    )
    ends = first + opened.lasted
    scripts = [ends - page.came if page.script is None else page.script for page in pages]
    print(row("from coming to the script's end, ms", scripts))
    print(row("from coming to the first picture, ms", [page.seen.first_picture for page in pages]))
    server = opened.after.server - before.server
    print(
        f"share of a core: server {server / opened.lasted:.0%}, clients {opened.share:.0%}; "
        f"server's milliseconds a page {1000 * server / len(pages):.0f}"
    )
    grown = opened.after.memory - before.memory
    print(
        f"memory, MiB: server {before.memory / MIB:.0f} before, {opened.after.memory / MIB:.0f} with all; "
        f"{grown / MIB / len(pages):.2f} a page"
    )


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rates", nargs="+", type=float, default=[5, 10, 17], help="pages a second")
    parser.add_argument("--seconds", type=float, default=20, help="for so long visitors come")
    parser.add_argument("--reduced", action="store_true", help="five pages")
    asked = parser.parse_args()
    rates, seconds = ([5.0], 1.0) if asked.reduced else (asked.rates, asked.seconds)
    more_sockets()
    server = Server()
    try:
        listed = files(server.url)
    finally:
        server.stop()
    print(f"{psutil.cpu_count()} cores, load average before {psutil.getloadavg()[0]:.1f}")
    revisited = sum(not file.immutable for file in listed)
    print(f"a browser fetches {len(listed)} files, {revisited} of them again when it comes back")
    for again in (False, True):
        for rate in rates:
            measure(listed, rate, seconds, again)


if __name__ == "__main__":
    main()
