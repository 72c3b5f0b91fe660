"""Both editions in a real Chromium: the one with a server, and the static one that computes in the browser.

Seconds and bytes of a first visit, with a profile that is new ("cold"), and of later visits with the same
profile, in the same browser; pictures a second under the finger; training steps a second. The static edition
comes from a host of files that compresses as docs/publishing.md advises. "First" is the first picture; "live"
is when the page says that it computes, in the served edition the first picture. Either edition is behind a
relay that counts what comes from the host: headers, sockets, workers and the service worker included. The
slow line is such a relay, held to a pace that all connections share; it adds no delay besides. Browser,
servers, relay and pool share this machine's cores.

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
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from playwright.async_api import BrowserContext, Page, Playwright, async_playwright

from benchmarks._command import command
from benchmarks.page import RECORD, dragged, figures
from book.controls import write
from book.race.settings import DEFAULTS, LAB_CONTROLS, LAB_STEPS, NEEDS, RUN, STARTS
from tests.dist import built
from tests.server import CHROMIUM_FLAGS, Server, chromium_path

KILO, MEGA = 1e3, 1e6
PATIENCE = 180  # seconds
CHUNK = 2**14
QUIET = 2.0  # seconds without a byte: nothing more comes
SEED = 9100  # of races that nobody has recorded
PACKED = {".html", ".css", ".js", ".json", ".wasm"}
PLACES = {"home": "", "gradients": "gradients", "training lab": "training-lab"}
VISITS = ("cold", "second", "third")
SLIDERS = ("gamma", "batch_size")
EDITIONS = ("served", "static")
NETWORKS = {RUN["network"].called(name): name for name in RUN["network"].choices}
FIGURES = (
    "home, cold: first", "home, cold: live", "home, cold: kB until live", "home, cold: kB in all",
    "gamma, served", "gamma, static", "dense",
)  # fmt: skip

SHOWN = ".lab:is([data-shown], [data-step])"
LIVE = "#progress:has-text('Everything is computed in your browser.')"
KEPT = "() => navigator.serviceWorker.ready.then(() => true)"  # the service worker has all files
# What a race has shown when so many seconds have passed, or its last step is there; some steps in any case.
COMPUTED = """async (lab, [seconds, last, patience]) => {
  const began = performance.now();
  const steps = () => new Set(lab.log.map((row) => row[1]));
  const past = (some) => performance.now() > began + 1000 * some;
  const over = () => steps().size > 2 && (past(seconds) || steps().has(last));
  while (!over() && !past(patience)) await new Promise((done) => setTimeout(done, 100));
  return lab.log;
}"""
TOLD = "() => document.getElementById('pace').textContent"
# A way from page to page that keeps Python, as a link inside a picture.
GO = """(address) => document.dispatchEvent(
  new CustomEvent("bnlab:go", { detail: new URL(address, document.baseURI).href, cancelable: true }))"""


@dataclass(frozen=True)
class Size:
    """How much is measured: profiles, places and visits; the slow line; what is dragged and computed."""

    profiles: int = 3
    places: tuple[str, ...] = tuple(PLACES)
    visits: tuple[str, ...] = VISITS
    slow: float = 10  # Mbit/s; 0: it isn't tried
    sliders: tuple[str, ...] = SLIDERS
    drag: float = 2
    first: tuple[str, ...] = ("dense",)  # computed, and not counted: then all workers are there
    networks: tuple[str, ...] = tuple(NETWORKS)
    computing: float = 10


REDUCED = Size(1, ("home",), VISITS[:1], 0, SLIDERS[:1], 0.3, (), ("dense",), 1)


class Visit(NamedTuple):
    """Seconds until a page's first picture and until it is live; bytes until then, and until no more come."""

    first: float
    live: float
    fetched: int
    everything: int


class Work(NamedTuple):
    """What a page that is live does: by slider in words and in pictures a second, steps a second by network.

    ``said``: what the static edition itself says of its steps.
    """

    drags: dict[str, str]
    pictures: dict[str, float]
    steps: dict[str, float]
    said: list[str]


# ---- hosts -------------------------------------------------------------------------------------------------


class Files(SimpleHTTPRequestHandler):
    """A host of files, some of them compressed beforehand, that says how long they are kept."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Serve a connection until the browser leaves, which it may do at any time."""
        with suppress(ConnectionError):
            super().handle()

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

    def __init__(self, port: int, pace: float = float("inf")) -> None:  # bytes a second
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
        with suppress(ConnectionError):  # the page has left
            while part := await reader.read(CHUNK):
                if counted:
                    await self._take(len(part))
                writer.write(part)
                await writer.drain()
        writer.close()

    async def _take(self, count: int) -> None:
        self.bytes += count
        self.last = time.monotonic()
        self._free = max(self._free, self.last) + count / self._pace
        await asyncio.sleep(self._free - self.last)

    async def quiet(self) -> None:
        """Wait until nothing more comes."""
        began = time.monotonic()
        while (left := max(began, self.last) + QUIET - time.monotonic()) > 0:
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
        context.set_default_timeout(1000 * PATIENCE)
        try:
            yield context
        finally:
            await context.close()


def address(url: str, place: str, edition: str) -> str:
    """Return the address of a page; in a folder of files it is a folder."""
    return f"{url}/{PLACES[place]}" + ("/" if edition == "static" and PLACES[place] else "")


async def opened(page: Page, url: str, edition: str) -> tuple[float, float]:
    """Open a page; return the seconds until its first picture, and until it is live."""
    began = time.perf_counter()
    await page.goto(url, wait_until="commit")
    await page.locator(SHOWN).wait_for()
    first = time.perf_counter() - began
    if edition == "served":
        return first, first
    await page.locator(LIVE).wait_for(state="attached")
    return first, time.perf_counter() - began


async def visit(context: BrowserContext, url: str, edition: str, relay: Relay) -> Visit:
    """Visit a page, and leave when the browser has kept what it keeps."""
    page, before = await context.new_page(), relay.bytes
    first, live = await opened(page, url, edition)
    fetched = relay.bytes - before
    if edition == "static":
        await page.wait_for_function(KEPT)
    await relay.quiet()
    await page.close()
    return Visit(first, live, fetched, relay.bytes - before)


# ---- what is printed ---------------------------------------------------------------------------------------


def head(title: str) -> None:
    """Print a title, and what the columns are."""
    print(f"\n{title}\n  {'':<38}{'served':>9}{'static':>9}{'static / served':>18}")


def beside(label: str, served: float, static: float, digits: int) -> None:
    """Print a figure of both editions, and the ratio."""
    columns = f"{served:9.{digits}f}{static:9.{digits}f}{static / served:18.2f}"
    print(f"  {label:<38}{columns}", flush=True)


async def visits(playwright: Playwright, ports: dict[str, int], size: Size) -> None:
    """Seconds and bytes of visits: cold, and with the same profile again."""
    head(f"Visits, median of {size.profiles}: seconds from opening, and bytes over the network")
    for place in size.places:
        seen: dict[str, list[list[Visit]]] = {edition: [] for edition in ports}
        for _ in range(size.profiles):
            for edition, port in ports.items():
                relay = Relay(port)
                async with relay.open() as url, profile(playwright) as context:
                    where = address(url, place, edition)
                    seen[edition].append([await visit(context, where, edition, relay) for _ in size.visits])
        for number, kind in enumerate(size.visits):
            served, static = (
                Visit(
                    *(median(figure) for figure in zip(*(row[number] for row in seen[edition]), strict=True))
                )
                for edition in EDITIONS
            )
            label = f"{place}, {kind}:"
            beside(f"{label} first", served.first, static.first, 2)
            beside(f"{label} live", served.live, static.live, 2)
            beside(f"{label} kB until live", served.fetched / KILO, static.fetched / KILO, 1)
            beside(f"{label} kB in all", served.everything / KILO, static.everything / KILO, 1)


async def slow_line(playwright: Playwright, ports: dict[str, int], size: Size) -> None:
    """Seconds of a first visit over a slow line."""
    seen = []
    for edition, port in ports.items():
        async with Relay(port, size.slow * MEGA / 8).open() as url, profile(playwright) as context:
            seen.append(await opened(await context.new_page(), url + "/", edition))
    head(f"Home, cold, over a line of {size.slow} Mbit/s, one visit each: seconds from opening")
    for name, served, static in zip(("first", "live"), *seen, strict=True):
        beside(f"slow line: {name}", served, static, 2)


def rate(log: list[list[float]]) -> float:
    """Return how much a second comes, of what was logged with its time and how far it had come."""
    return 1000 * (log[-1][1] - log[0][1]) / (log[-1][0] - log[0][0])


def chosen(network: str) -> dict[str, Any]:
    """Return the settings of a race with a network, as the lab chooses them."""
    name = NETWORKS[network]
    return DEFAULTS | {"network": name} | ({"dataset": NEEDS[name]} | STARTS[name] if name in NEEDS else {})


def race(network: str, number: int) -> str:
    """Return the query of a race at its last step: all of it is computed, as fast as can be."""
    values = chosen(network) | {"seed": SEED + 10 * number, "step": LAB_STEPS}
    return "?" + urlencode(write(LAB_CONTROLS, values))


async def pace(page: Page, seconds: float) -> float:
    """Return the steps a second that come after all lanes' first, in so many seconds at most."""
    await page.locator(".lab[data-step]").wait_for()
    await page.locator(".lab").evaluate(RECORD)
    log = await page.locator(".lab").evaluate(COMPUTED, [seconds, LAB_STEPS, PATIENCE])
    steps = [step for _, step in log]
    return rate(log[bisect_right(steps, steps[0]) : bisect_left(steps, steps[-1]) + 1])


async def work(playwright: Playwright, url: str, edition: str, size: Size) -> Work:
    """Drag sliders of home, then have races computed."""
    found = Work({}, {}, {}, [])
    async with profile(playwright) as context:
        page = await context.new_page()
        await opened(page, url + "/?batch_size=256", edition)
        await page.locator(".lab").evaluate(RECORD)
        for slider in size.sliders:
            await page.locator(f"input[data-control={slider}]").scroll_into_view_if_needed()
            log, inputs = await dragged(page, slider, size.drag)
            found.pictures[slider] = rate([[row[0], count] for count, row in enumerate(log)])
            found.drags[slider] = f"{figures(log)}   {len(log) / inputs:.0%} of the inputs drawn"
        lab = address(url, "training lab", edition)
        for number, network in enumerate(size.first + size.networks):
            if edition == "served":
                await page.goto(lab + race(network, number), wait_until="commit")
            else:
                await page.evaluate(GO, url + "/")
                await page.locator(".lab[data-shown]").wait_for()
                await page.evaluate(GO, lab + race(network, number))
            found.steps[network] = await pace(page, size.computing)
            if edition == "static" and number < len(size.first):
                found.said.append(str(await (await page.wait_for_function(TOLD)).json_value()))
    return found


async def at_work(playwright: Playwright, ports: dict[str, int], size: Size) -> None:
    """Pictures a second under the finger, and training steps a second."""
    served, static = [
        await work(playwright, f"http://127.0.0.1:{ports[edition]}", edition, size) for edition in EDITIONS
    ]
    print("\nDragging over home's histograms of a batch of 256")
    for slider in size.sliders:
        print(f"  {slider + ', served':<20} {served.drags[slider]}")
        ratio = static.pictures[slider] / served.pictures[slider]
        print(f"  {slider + ', static':<20} {static.drags[slider]}, {ratio:.2f} of the served edition's")
    head("Training steps a second of a race, 2 lanes of 4 seeds, while the page waits for the last step")
    for network in size.networks:
        label = "{}, {depth} x {width}".format(network, **chosen(network))
        beside(label, served.steps[network], static.steps[network], 1)
    for said in static.said:
        print(f"  The lab of the static edition says: {said}")


async def main() -> None:
    """Print every figure."""
    size = REDUCED if command(__doc__).parse_args().reduced else Size()
    with ExitStack() as running:
        server = Server()
        running.callback(server.stop)
        folder = built()
        ports = {"served": server.port, "static": running.enter_context(hosted(folder))}
        whole = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        async with async_playwright() as playwright:
            await visits(playwright, ports, size)
            print(f"  The static edition's files are {whole / MEGA:.1f} MB, sent compressed")
            if size.slow:
                await slow_line(playwright, ports, size)
            await at_work(playwright, ports, size)


if __name__ == "__main__":
    asyncio.run(main())
