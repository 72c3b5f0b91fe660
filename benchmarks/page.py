"""The running app in a real Chromium: from a finger to a picture, and what a viewer costs the server.

Beside it, in the same run, a plain Streamlit page with the same histograms (`_plain_page.py`).
Everything runs on this machine: browser, server and its pool share the cores.

    PYTHONPATH=. .venv/bin/python benchmarks/page.py --reduced    # one of each kind, for moments
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import psutil
import websockets
from playwright.async_api import Browser, Page, async_playwright
from websockets.typing import Origin

from benchmarks._command import command
from live.messages import unpack
from tests.server import CHROMIUM_FLAGS, ROOT, Server, chromium_path, free_port

T = TypeVar("T")

PACE = 1 / 60
FIGURES = (
    "home", "home, 256 dots", "home gamma", "step", "plain page", "default: 2 lanes x 4 seeds, depth 5", "lr",
    "2 viewers", "The store then keeps",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is measured: seconds, how often, and whether all cases or the first of each kind."""

    drag: float = 4
    play: float = 6
    watch: int = 10
    viewers: int = 50
    views: int = 100
    drags: int = 6
    rest: float = 1.5
    everything: bool = True

    def of(self, cases: Iterable[T]) -> list[T]:
        """Return the cases that are measured."""
        found = list(cases)
        return found if self.everything else found[:1]


REDUCED = Size(drag=0.3, play=0.5, watch=1, viewers=2, views=2, drags=1, rest=0, everything=False)

# The bars of a page's Plotly charts, as text.
BARS = """() => [...document.querySelectorAll(".js-plotly-plot .trace.bars path")]
  .map((bar) => bar.getAttribute("d")).join()"""

RECORD = """(lab) => {
  lab.log = [];
  lab.inputs = 0;
  lab.addEventListener("input", () => { lab.inputs += 1; });
  lab.addEventListener("bnlab:picture", (event) => lab.log.push([performance.now(), event.detail]));
}"""

DRAWN = """async (lab) => {
  const end = performance.now() + 30000;
  while (lab.log.length < 2 && performance.now() < end) await new Promise(requestAnimationFrame);
  return [lab.log, lab.inputs];
}"""


async def drag(page: Page, control: str, seconds: float) -> None:
    """Move a slider's thumb to and fro at 60 positions a second, whether the page keeps up or not."""
    box = await page.locator(f"input[data-control={control}]").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + box["width"] / 2, y)
    await page.mouse.down()
    began = due = time.perf_counter()
    moves = []
    while due < began + seconds:
        share = 0.05 + 0.9 * abs((0.5 + due - began) % 2 - 1)  # to and fro at an even pace
        moves.append(asyncio.create_task(page.mouse.move(box["x"] + box["width"] * share, y)))
        due += PACE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.gather(*moves)
    await page.mouse.up()


async def dragged(page: Page, control: str, seconds: float) -> tuple[list[list[float]], int]:
    """Drag a slider that is warm; return what was drawn meanwhile, and how many inputs there were."""
    await drag(page, control, min(1, seconds))
    await page.locator(".lab").evaluate("(lab) => { lab.log.length = lab.inputs = 0; }")
    await drag(page, control, seconds)
    return await drawn(page)


async def drawn(page: Page) -> tuple[list[list[float]], int]:
    """Return the log of a page's pictures, two at least, and the number of inputs."""
    log, inputs = await page.locator(".lab").evaluate(DRAWN)
    return log, inputs


def figures(log: list[list[float]]) -> str:
    """Pictures a second, and the delay from input event to finished drawing."""
    times = np.array([row[0] for row in log])
    delay = times - np.array([row[1] for row in log])
    rate = (len(times) - 1) / (times[-1] - times[0]) * 1000
    return (
        f"{rate:5.1f} pictures/s   input to picture {np.median(delay):5.1f} ms, "
        f"p95 {np.percentile(delay, 95):5.1f} ms   longest gap {np.diff(times).max():5.0f} ms"
    )


async def size_of_a_view(url: str, size: Size) -> None:
    """Bytes of the message that carries one picture, and how long the server takes to answer."""
    print("\nOne view of a chapter: bytes of its message, and from question to answer in this process")
    asked = {
        "home, 256 dots": ("home", {"batch_size": 256}),
        "one batch, 256 dots, all there is": ("one_batch", {"scene": "free", "batch_size": 256}),
        "training and inference": ("inference", {"scene": "free", "step": 200}),
    }
    async with websockets.connect(url.replace("http", "ws") + "/live", origin=Origin(url)) as socket:
        for label, (chapter, values) in size.of(asked.items()):
            question = json.dumps({"kind": "view", "id": 1, "chapter": chapter, "values": values})
            times, message = [], b""
            for _ in range(size.views):
                began = time.perf_counter()
                await socket.send(question)
                while not isinstance(message := await socket.recv(), bytes) or unpack(message)[0]["growing"]:
                    pass
                times.append(1000 * (time.perf_counter() - began))
            spread = f"{np.median(times):5.1f} ms, p95 {np.percentile(times, 95):5.1f} ms"
            print(f"  {label:<34} {len(message) / 1000:6.1f} kB   {spread}")


async def drag_the_chapter(browser: Browser, url: str, size: Size) -> None:
    """Settings of "Training and inference" over curves that are computed meanwhile."""
    print("\nDragging in Training and inference: curves that are recorded again, or looked at again")
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    await page.goto(url + "/inference?scene=free&step=200")
    await page.locator(".lab").evaluate(RECORD)
    await page.locator(".lab[data-shown]").wait_for(timeout=60_000)
    for control in size.of(("step", "momentum", "batch_size", "lr")):
        await page.locator(f"input[data-control={control}]").scroll_into_view_if_needed()
        log, _ = await dragged(page, control, size.drag)
        print(f"  {control:<11} {figures(log)}")
    await page.close()


async def drag_the_batch(browser: Browser, url: str, size: Size) -> None:
    """Gamma, beta and eps over the histograms of a batch of 256."""
    print("\nDragging over the histograms of a batch of 256 (target: p95 <= 25 ms, >= 50 pictures/s)")
    pages = (("home", "/?batch_size=256"), ("one batch", "/one-batch?scene=free&batch_size=256"))
    for label, path in size.of(pages):
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(url + path)
        await page.get_by_text("256 numbers with mean").wait_for()
        await page.locator(".lab").evaluate(RECORD)
        for control in size.of(("gamma", "beta", "eps")):
            log, inputs = await dragged(page, control, size.drag)
            print(f"  {label:<9} {control:<6} {figures(log)}   {len(log) / inputs:.0%} of the inputs drawn")
        await page.close()


@contextmanager
def plain_server() -> Iterator[str]:
    """The plain page, as `streamlit run` serves it."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "benchmarks/_plain_page.py",
        "--server.port",
        str(port),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


async def drag_the_plain_page(browser: Browser, url: str, size: Size) -> None:
    """The same with Streamlit's own slider: pictures while dragging, and the delay after release."""
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    for _ in range(100):
        try:
            await page.goto(url)
            break
        except Exception:
            await asyncio.sleep(0.2)
    await page.locator(".js-plotly-plot").nth(2).wait_for(timeout=60_000)
    box = await page.get_by_role("slider").first.bounding_box()
    assert box is not None
    y, left = box["y"] + box["height"] / 2, box["x"] + box["width"] / 2
    during, delays = 0, []
    for turn in range(size.drags):
        await page.mouse.move(left, y)
        before = await page.evaluate(BARS)
        await page.mouse.down()
        target = left + (120 if turn % 2 == 0 else -120)
        for move in range(1, 31):
            await page.mouse.move(left + (target - left) * move / 30, y)
            await asyncio.sleep(PACE)
        during += await page.evaluate(BARS) != before
        await page.evaluate("() => { window.released = performance.now(); }")
        await page.mouse.up()
        await page.wait_for_function(f"(before) => ({BARS})() !== before", arg=before, polling="raf")
        delays.append(await page.evaluate("() => performance.now() - window.released"))
        left = target
        await asyncio.sleep(0.5)
    print(
        f"  plain page (st.slider, fragment, st.plotly_chart): {during} of {len(delays)} drags "
        f"changed the picture before their release; "
        f"release to picture {np.median(delays):.0f} ms (largest of {len(delays)}: {max(delays):.0f})"
    )
    await page.close()


async def play_the_lab(browser: Browser, url: str, size: Size) -> None:
    """A running lab with all its pictures, computed while it plays."""
    print("\nA running lab, all pictures, recordings computed meanwhile (target: >= 15 updates/s)")
    races = {
        "default: 2 lanes x 4 seeds, depth 5": "?speed=60&seed=101",
        "4 lanes x 4 seeds, depth 5": "?speed=60&seed=102&lanes=none,batch,layer,group",
        "4 lanes x 8 seeds, depth 10": "?speed=60&seed=103&lanes=none,batch,layer,group&replicas=8&depth=10",
    }
    for label, query in size.of(races.items()):
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(url + "/training-lab" + query)
        await page.locator(".lab[data-step]").wait_for(timeout=60_000)
        await page.locator(".lab").evaluate(RECORD)
        await asyncio.sleep(size.play)
        log, _ = await drawn(page)
        steps = (log[-1][1] - log[0][1]) / (log[-1][0] - log[0][0]) * 1000
        gaps = np.diff([row[0] for row in log])
        print(
            f"  {label:<38} {1000 / gaps.mean():5.1f} updates/s, gap p95 {np.percentile(gaps, 95):4.0f} ms, "
            f"{steps:4.0f} steps/s of 60 asked"
        )
        await page.close()


async def bend_the_lab(browser: Browser, url: str, size: Size) -> None:
    """How often the curves of 200 steps bend while a setting is dragged."""
    print(
        "\nDragging a setting of the lab at step 200, 2 lanes x 4 seeds, every tenth step drawn "
        "(target: 10 whole curves/s)"
    )
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    await page.goto(url + "/training-lab?step=200")
    await page.get_by_text("Step 200, validation accuracy").wait_for(timeout=60_000)
    await page.locator(".lab").evaluate(RECORD)
    for control in size.of(("lr", "batch_size", "eps", "gamma", "beta", "init_scale")):
        await page.locator(f"input[data-control={control}]").scroll_into_view_if_needed()
        await page.locator(".lab").evaluate("(lab) => { lab.log.length = 0; }")
        await drag(page, control, size.drag)
        log = await page.locator(".lab").evaluate("(lab) => lab.log.map((row) => row[1])")
        whole = sum(step >= 200 for step in log)
        print(f"  {control:<11} {whole / size.drag:4.1f} whole curves/s")
        await page.wait_for_timeout(1000 * size.rest)
    await page.close()


async def watch(url: str, connected: asyncio.Barrier, seconds: int) -> int:
    """One viewer of a race that is recorded, asking as the page does while it plays at 30 steps/s."""
    seen = 0
    values = {"seed": 101, "speed": 60}
    async with websockets.connect(url.replace("http", "ws") + "/live", origin=Origin(url)) as socket:
        await socket.send(json.dumps({"kind": "lab", "id": 1, "values": values, "until": 1}))
        await connected.wait()

        async def ask() -> None:
            for turn in range(2 * seconds):
                step = 15 * turn
                if turn % 4 == 0:
                    await socket.send(json.dumps({"kind": "until", "id": 1, "step": step + 120}))
                await socket.send(json.dumps({"kind": "verdict", "id": 1, "step": step}))
                await asyncio.sleep(0.5)

        asking = asyncio.create_task(ask())
        while not asking.done():
            try:
                message = await asyncio.wait_for(socket.recv(), 0.5)
            except TimeoutError:
                continue
            if isinstance(message, bytes):
                header, arrays = unpack(message)
                seen += len(arrays["rows"]) if header["kind"] == "frames" else 0
    return seen


async def cost_of_viewers(server: Server, size: Size) -> None:
    """Server time per viewer and second, for a recording that exists."""
    print(
        "\nViewers of an existing recording, 30 frames/s of 2 lanes and 2 verdicts/s each "
        "(target: <= 1 ms of server a second)"
    )
    process = psutil.Process(server.process.pid)
    await watch(server.url, asyncio.Barrier(1), size.watch)  # the recording exists now

    def busy() -> float:
        times = process.cpu_times()
        return times.user + times.system

    idle = busy()
    await asyncio.sleep(size.watch)
    idle = busy() - idle
    connected = asyncio.Barrier(size.viewers + 1)
    watching = asyncio.gather(*(watch(server.url, connected, size.watch) for _ in range(size.viewers)))
    await connected.wait()
    used = busy()
    seen = await watching
    used = busy() - used - idle
    print(
        f"  {size.viewers} viewers, {np.mean(seen):.0f} frames each in {size.watch} s: "
        f"{1000 * used / size.viewers / size.watch:.2f} ms of server time per viewer and second "
        f"(the idle server: {1000 * idle / size.watch:.1f} ms a second)"
    )


async def first_picture(browser: Browser, size: Size) -> None:
    """From starting the server to the first picture on the screen."""
    print("\nFrom starting the server to the first picture")
    places = {"home": "/", "one batch": "/one-batch", "training and inference": "/inference"}
    for label, path in size.of((places | {"training lab": "/training-lab"}).items()):
        began = time.perf_counter()
        server = Server()
        try:
            listening = time.perf_counter() - began
            page = await browser.new_page()
            opened = time.perf_counter()
            await page.goto(server.url + path)
            shown = ".lab[data-step]" if path == "/training-lab" else ".lab[data-shown]"
            await page.locator(shown).wait_for(timeout=60_000)
            done = time.perf_counter()
            parts = f"server listening {listening:.1f} s, page {done - opened:.1f} s"
            print(f"  {label:<22} {done - began:4.1f} s: {parts}")
            await page.close()
        finally:
            server.stop()


async def main() -> None:
    """Print every figure."""
    size = REDUCED if command(__doc__).parse_args().reduced else Size()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        await first_picture(browser, size)
        server = Server()
        try:
            await size_of_a_view(server.url, size)
            await drag_the_batch(browser, server.url, size)
            await drag_the_chapter(browser, server.url, size)
            with plain_server() as plain:
                await drag_the_plain_page(browser, plain, size)
            await play_the_lab(browser, server.url, size)
            await bend_the_lab(browser, server.url, size)
            await cost_of_viewers(server, size)
            kept: Any = json.loads(urllib.request.urlopen(server.url + "/health").read())
            print(f"\nThe store then keeps {kept['recordings']} recordings, {kept['bytes'] / 2**20:.0f} MiB")
        finally:
            server.stop()
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
