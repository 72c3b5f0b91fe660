"""Both editions in a real Chromium: the one with a server, and the static one that computes in the browser.

Bytes and seconds of a first visit, with a profile that is new ("cold"), and of later visits with the same
profile, in the same browser; pictures a second under the finger; training steps a second. The static edition
comes from a host of files that compresses as docs/publishing.md advises. "First" is the first picture; "live"
is when the page says that it computes. Bytes are counted on a relay in front of either edition: all that the
host sends, headers, sockets, workers and the service worker included. The slow line is the same relay, held
to a pace that all connections share; it delays nothing else. Browser, servers and pool share this machine's cores.

    PYTHONPATH=. .venv/bin/python benchmarks/edition.py --reduced    # home and the dense network, for moments
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from playwright.async_api import BrowserContext, Page, Playwright, async_playwright

from benchmarks._command import command
from benchmarks.page import RECORD, dragged, drawn, figures
from book.controls import write
from book.race.settings import DEFAULTS, LAB_CONTROLS, LAB_STEPS, NEEDS, RUN, STARTS
from tests.dist import built
from tests.server import CHROMIUM_FLAGS, Server, chromium_path

MEGA = 1e6
PATIENCE_MS = 180_000
CHUNK = 2**14
QUIET = 1.5  # seconds without a byte: nothing more comes
SLOW = 10e6 / 8  # bytes a second
SEED = 9100  # of races that nobody has recorded
PACKED = {".html", ".css", ".js", ".json", ".wasm"}
PLACES = {"home": "", "gradients": "gradients", "training lab": "training-lab"}
VISITS = ("cold", "second", "third")
SLIDERS = ("gamma", "batch_size")
EDITIONS = ("served", "static")
NETWORKS = {RUN["network"].called(name): name for name in RUN["network"].choices}
FIGURES = (
    "home, cold, until live", "home, cold, in all", "home, second, in all", "home, cold, first",
    "home, cold, live", "home, second, live", "10 Mbit/s, home, cold, first", "10 Mbit/s, home, cold, live",
    "gamma, served", "gamma, static", "dense",
)  # fmt: skip

SHOWN = ".lab:is([data-shown], [data-step])"
LIVE = "#progress:has-text('Everything is computed in your browser.')"
KEPT = "() => navigator.serviceWorker.ready.then(() => true)"  # the service worker has all files
TOLD = "() => document.getElementById('pace').textContent"
# A way from page to page that keeps Python, as a link inside a picture.
GO = """(address) => document.dispatchEvent(
  new CustomEvent("bnlab:go", { detail: new URL(address, document.baseURI).href, cancelable: true }))"""


@dataclass(frozen=True)
class Size:
    """How much is measured: profiles, places, visits with each, seconds of dragging and of computing."""

    profiles: int = 3
    places: tuple[str, ...] = tuple(PLACES)
    visits: tuple[str, ...] = VISITS
    sliders: tuple[str, ...] = SLIDERS
    drag: float = 2
    networks: tuple[str, ...] = tuple(NETWORKS)
    computing: float = 10


REDUCED = Size(1, ("home",), VISITS[:2], SLIDERS[:1], 0.3, ("dense",), 1)


class Seconds(NamedTuple):
    """When a visit has its first picture, and when it is live; the served edition is with the first."""

    first: float
    live: float


class Bytes(NamedTuple):
    """What a visit has fetched when it is live, and when nothing more comes."""

    live: int
    everything: int


# ---- hosts -------------------------------------------------------------------------------------------------


class Files(SimpleHTTPRequestHandler):
    """A host of files, some of them compressed beforehand, that says how long they are kept."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        """Say what a host says that is set up for the edition."""
        path = urlsplit(self.path).path
        if path.endswith("/") or Path(path).suffix in PACKED:
            self.send_header("Content-Encoding", "gzip")
        lasting = path.count("/") > 1 and (Path(self.directory) / path.split("/")[1] / "frame").is_dir()
        self.send_header("Cache-Control", "max-age=31536000, immutable" if lasting else "no-cache")
        super().end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def hosted(folder: Path) -> Iterator[int]:
    """Serve a copy of the static edition, compressed where it pays; give the port."""
    with tempfile.TemporaryDirectory() as beside:
        copy = Path(beside) / "edition"
        shutil.copytree(folder, copy)
        for path in copy.rglob("*"):
            if path.suffix in PACKED:
                path.write_bytes(gzip.compress(path.read_bytes(), 6))
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(copy)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


class Relay:
    """A line to a port of this machine: it counts what comes from there, and may hold it to a pace."""

    def __init__(self, port: int, pace: float = float("inf")) -> None:
        self._to, self._pace = port, pace
        self._free = 0.0  # when the line is
        self.last = 0.0  # when something came
        self.bytes = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Give the line's own address."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer, counted=True))

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: bool = False
    ) -> None:
        try:
            while part := await reader.read(CHUNK):
                if counted:
                    await self._take(len(part))
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass  # the page has left
        finally:
            writer.close()

    async def _take(self, count: int) -> None:
        self.bytes += count
        self.last = time.monotonic()
        self._free = max(self._free, self.last) + count / self._pace
        await asyncio.sleep(self._free - self.last)

    async def quiet(self) -> None:
        """Wait until nothing more comes."""
        while (left := self.last + QUIET - time.monotonic()) > 0:
            await asyncio.sleep(left)


# ---- visits ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def profile(playwright: Playwright) -> AsyncIterator[BrowserContext]:
    """Open a browser that nobody has used."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        context = await playwright.chromium.launch_persistent_context(
            folder, executable_path=chromium_path(), args=CHROMIUM_FLAGS,
            viewport={"width": 1440, "height": 900},
        )  # fmt: skip
        context.set_default_timeout(PATIENCE_MS)
        try:
            yield context
        finally:
            await context.close()


def path_of(place: str, edition: str) -> str:
    """Return the path of a page; in a folder of files it is a folder."""
    return f"/{PLACES[place]}" + ("/" if edition == "static" and PLACES[place] else "")


async def visit(page: Page, url: str, edition: str) -> Seconds:
    """Open a page and wait until it is live."""
    began = time.perf_counter()
    await page.goto(url, wait_until="commit")
    await page.locator(SHOWN).wait_for()
    first = time.perf_counter() - began
    if edition == "static":
        await page.locator(LIVE).wait_for(state="attached")
    return Seconds(first, time.perf_counter() - began if edition == "static" else first)


async def timed(context: BrowserContext, url: str, edition: str) -> Seconds:
    """Visit, and leave when the browser has kept what it keeps."""
    page = await context.new_page()
    seconds = await visit(page, url, edition)
    if edition == "static":
        await page.wait_for_function(KEPT)
    await asyncio.sleep(QUIET)
    await page.close()
    return seconds


async def counted(context: BrowserContext, url: str, edition: str, relay: Relay) -> Bytes:
    """Visit, and count until nothing more comes."""
    page, before = await context.new_page(), relay.bytes
    await visit(page, url, edition)
    live = relay.bytes - before
    if edition == "static":
        await page.wait_for_function(KEPT)
    await relay.quiet()
    everything = relay.bytes - before
    await page.close()
    return Bytes(live, everything)


# ---- what is printed ---------------------------------------------------------------------------------------


def beside(label: str, served: float, static: float, form: str) -> None:
    """Print a figure of both editions, and the ratio."""
    print(f"  {label:<38} {served:{form}}   {static:{form}}   {static / served:8.2f}", flush=True)


def head(title: str, width: int) -> None:
    """Print a title, and what the columns are."""
    print(f"\n{title}\n  {'':<38} {'served':>{width}}   {'static':>{width}}   {'static / served':>8}")


async def bytes_of_visits(playwright: Playwright, ports: dict[str, int], size: Size) -> None:
    """Bytes of home, with a new profile and with the same one again."""
    seen: dict[str, list[Bytes]] = {}
    for edition, port in ports.items():
        relay = Relay(port)
        async with relay.open() as url, profile(playwright) as context:
            seen[edition] = [await counted(context, url + "/", edition, relay) for _ in size.visits]
    head("Bytes over the network, MB", 8)
    for kind, served, static in zip(size.visits, *seen.values(), strict=True):
        beside(f"home, {kind}, until live", served.live / MEGA, static.live / MEGA, "8.3f")
        beside(f"home, {kind}, in all", served.everything / MEGA, static.everything / MEGA, "8.3f")


async def seconds_of_visits(playwright: Playwright, ports: dict[str, int], size: Size) -> None:
    """Seconds to the first picture and to a page that computes."""
    head(f"Seconds from opening, median of {size.profiles}; the served edition is live with the first", 8)
    for place in size.places:
        seen: dict[str, list[list[Seconds]]] = {edition: [] for edition in ports}
        for _ in range(size.profiles):
            for edition, port in ports.items():
                url = f"http://127.0.0.1:{port}" + path_of(place, edition)
                async with profile(playwright) as context:
                    seen[edition].append([await timed(context, url, edition) for _ in size.visits])
        for number, kind in enumerate(size.visits):
            served, static = ([row[number] for row in seen[edition]] for edition in EDITIONS)
            for name in Seconds._fields:
                times = [median(getattr(one, name) for one in those) for those in (served, static)]
                beside(f"{place}, {kind}, {name}", *times, "8.2f")


async def slow_line(playwright: Playwright, ports: dict[str, int]) -> None:
    """Seconds of a first visit over a slow line."""
    seen = []
    for edition, port in ports.items():
        async with Relay(port, SLOW).open() as url, profile(playwright) as context:
            page = await context.new_page()
            seen.append(await visit(page, url + "/", edition))
    head("Seconds from opening over a line of 10 Mbit/s, one visit each", 8)
    for name, served, static in zip(Seconds._fields, *seen, strict=True):
        beside(f"10 Mbit/s, home, cold, {name}", served, static, "8.2f")


async def drag_home(playwright: Playwright, ports: dict[str, int], size: Size) -> None:
    """Pictures a second while a slider of home moves at 60 positions a second."""
    print("\nDragging over home's histograms")
    for edition, port in ports.items():
        async with profile(playwright) as context:
            page = await context.new_page()
            await visit(page, f"http://127.0.0.1:{port}/?batch_size=256", edition)
            await page.locator(".lab").evaluate(RECORD)
            for slider in size.sliders:
                await page.locator(f"input[data-control={slider}]").scroll_into_view_if_needed()
                log, inputs = await dragged(page, slider, size.drag)
                print(
                    f"  {slider + ', ' + edition:<20} {figures(log)}   {len(log) / inputs:.0%} of the inputs"
                )


def race(network: str, number: int) -> str:
    """Return the address of a race at its last step: it is computed at once, as fast as can be."""
    chosen: dict[str, Any] = {"network": network, "seed": SEED + 10 * number, "step": LAB_STEPS}
    values = DEFAULTS | chosen | STARTS.get(network, {}) | NEEDS.get(network, {})
    return "?" + urlencode(write(LAB_CONTROLS, values))


async def pace(page: Page, seconds: float) -> float:
    """Return how many steps a second come in, once all lanes have their first, in so many seconds at most."""
    await page.locator(".lab[data-step]").wait_for()
    await page.locator(".lab").evaluate(RECORD)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if await page.locator(f".lab[data-step='{LAB_STEPS}']").count():
            break
        await asyncio.sleep(0.1)
    log, _ = await drawn(page)
    rising = [row for row, after in zip(log, log[1:], strict=False) if after[1] > row[1]]
    (began, first), (ended, last) = rising[0], log[len(rising)]
    return 1000 * (last - first) / (ended - began)


async def train(playwright: Playwright, ports: dict[str, int], size: Size) -> None:
    """Training steps a second of the lab's races, with as many lanes and seeds as it starts with."""
    seen: dict[str, list[float]] = {edition: [] for edition in ports}
    said = ""
    for edition, port in ports.items():
        async with profile(playwright) as context:
            page, url = await context.new_page(), f"http://127.0.0.1:{port}"
            lab = url + path_of("training lab", edition)
            await visit(page, lab, edition)
            if edition == "static":  # then both of its workers are there
                said = str(await (await page.wait_for_function(TOLD)).json_value())
            for number, network in enumerate(size.networks):
                address = lab + race(NETWORKS[network], number)
                if edition == "static":
                    await page.evaluate(GO, url + "/")
                    await page.locator(".lab[data-shown]").wait_for()
                    await page.evaluate(GO, address)
                else:
                    await page.goto(address, wait_until="commit")
                seen[edition].append(await pace(page, size.computing))
    head(
        "Training steps a second of all lanes, 2 lanes x 4 seeds, computed for a page that waits for the last",
        8,
    )
    for network, served, static in zip(size.networks, *seen.values(), strict=True):
        beside(network, served, static, "8.1f")
    print(f"  The static edition says of one lane: {said}")


async def main() -> None:
    """Print every figure."""
    size = REDUCED if command(__doc__).parse_args().reduced else Size()
    with ExitStack() as running:
        server = Server()
        running.callback(server.stop)
        ports = {"served": server.port, "static": running.enter_context(hosted(built()))}
        async with async_playwright() as playwright:
            await bytes_of_visits(playwright, ports, size)
            await seconds_of_visits(playwright, ports, size)
            await slow_line(playwright, ports)
            await drag_home(playwright, ports, size)
            await train(playwright, ports, size)


if __name__ == "__main__":
    asyncio.run(main())
