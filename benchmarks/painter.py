"""The painter in a real Chromium without a graphics card, beside `Plotly.react` with the very same figures.

A picture is 640 x 360 at two device pixels per point. "ms" is the time to draw one, its pixels read back, so
that nothing of it is still to be done; "pictures/s" is what the screen shows if each frame has a new figure.
Each figure comes in several states that take turns, as if something were dragged. Both draw the same objects:
arrays of 32 bits, ranges and ticks sent along. Whatever else runs on the machine shows in the pictures/s; the
first line, frames with nothing to draw, says how many there could be. "--reduced" draws one figure only.
"""

from __future__ import annotations

import base64
import functools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import plotly
from playwright.sync_api import Page, sync_playwright

from benchmarks._command import command
from book.figure import (
    BLUE,
    COLOURS,
    INK,
    ORANGE,
    Figure,
    axis,
    band,
    bars,
    cells,
    dots,
    figure,
    line,
    picture,
)
from tests.server import CHROMIUM_FLAGS, ROOT, chromium_path

STATES, SECONDS, WARM = 12, 3.0, 5
FIGURES = ("nothing", "256 dots")
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
DASHES = ("solid", "dash", "dot", "dashdot", "solid")

PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; font-family: sans-serif; --st-text-color: #1b2430; --st-background-color: #fff;
  --st-border-color: #d5dbe3; --st-primary-color: #0b5cad; }
.place { position: relative; width: 640px; height: 360px; float: left; }
.place canvas { width: 640px; height: 360px; display: block; }
</style><script src="/plotly.min.js"></script><body></body>"""

# What runs in the page: decodes the figures once, draws them with either, and takes the times.
SCRIPT = """async () => {
  const { paint, geometry } = await import("/assets/painter.js");
  const { forPlotly } = await import("/assets/explore.js");
  const { theme } = await import("/assets/theme.js");
  const look = theme(document.body);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const whole = (value) => {
    if (Array.isArray(value)) return value.map(whole);
    if (value === null || typeof value !== "object") return value;
    if (typeof value.$ === "string") {
      const [rows, ...more] = value.shape, wide = more.length && more.reduce((a, b) => a * b);
      const all = value.kind ? bytes(value.$) : new Float32Array(bytes(value.$).buffer);
      return wide ? Array.from({ length: rows }, (_, i) => all.subarray(i * wide, (i + 1) * wide)) : all;
    }
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, whole(each)]));
  };
  const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];
  const frame = () => new Promise(requestAnimationFrame);
  const readBack = (canvas) => canvas.getContext("2d").getImageData(0, 0, 1, 1);
  const places = (count) => {
    document.body.replaceChildren();
    return Array.from({ length: count }, () => {
      const place = document.createElement("div");
      place.className = "place";
      return document.body.appendChild(place);
    });
  };
  // A figure is seen for the first time, each time: the geometry isn't known yet.
  const fresh = (figure) => ({ data: figure.data, layout: figure.layout });
  const canvas = (place) => place.appendChild(document.createElement("canvas"));

  window.painted = async (sets, seconds, warm) => {
    const films = sets.map(whole);
    const one = (on, film, turn) => paint(on, fresh(film[turn % film.length]), look);
    let drawn = places(films.length).map(canvas);
    const draw = (turn) => drawn.forEach((on, i) => one(on, films[i], turn));
    const times = [];
    for (let turn = 0; turn < 60; turn += 1) {
      const began = performance.now();
      draw(turn);
      drawn.forEach(readBack);
      if (turn >= warm) times.push(performance.now() - began);
    }
    drawn = places(films.length).map(canvas); // none that was ever read
    await frame();
    let began = performance.now();
    let turn = 0;
    for (; performance.now() < began + 1000 * seconds; turn += 1) {
      draw(turn);
      await frame();
    }
    const rate = (1000 * turn) / (performance.now() - began);
    const figures = Array.from({ length: 500 }, (_, k) => films.map((film) => fresh(film[k % film.length])));
    began = performance.now();
    for (const figure of figures.flat()) geometry(figure, 640, 360);
    return { ms: median(times), rate, geometry: (performance.now() - began) / 500 };
  };

  window.idle = async (seconds) => {
    const began = performance.now();
    let turn = 0;
    for (; performance.now() < began + 1000 * seconds; turn += 1) await frame();
    return (1000 * turn) / (performance.now() - began);
  };

  // The very same object, once it speaks Plotly; without the template's colours the work is the same.
  window.reacted = async (sets, seconds, warm) => {
    const films = sets.map((set) => whole(set).map((figure) => {
      const { data, layout } = forPlotly(figure, look);
      // Pixels as Plotly reads them; all else is the same object.
      const own = figure.data.map((trace, i) => (trace.type === "image" ? data[i] : trace));
      return { data: own, layout: { ...layout, width: 640, height: 360 } };
    }));
    const drawn = places(films.length), how = { staticPlot: true };
    const draw = (turn) => Promise.all(drawn.map((place, i) => {
      const { data, layout } = films[i][turn % films[i].length];
      return Plotly.react(place, data, layout, how);
    }));
    const times = [];
    for (let turn = 0; turn < 15; turn += 1) {
      const began = performance.now();
      await draw(turn);
      if (turn >= warm) times.push(performance.now() - began);
    }
    await frame();
    const began = performance.now();
    let turn = 0;
    for (; performance.now() < began + 1000 * seconds; turn += 1) {
      await draw(turn);
      await frame();
    }
    const rate = (1000 * turn) / (performance.now() - began);
    drawn.forEach((place) => Plotly.purge(place));
    return { ms: median(times), rate };
  };
}"""


def moving_dots(rng: np.random.Generator) -> Iterator[Figure]:
    """Yield 256 dots in a cloud that is stretched and shrunk, one of them chosen."""
    cloud = rng.standard_normal((2, 256))
    for k in range(STATES):
        x, y = (1 + 0.04 * k) * cloud
        traces = [
            dots(x, y, "the batch", INK, alpha=0.45),
            dots(x[:1], y[:1], "the chosen dot", ORANGE, size=16),
        ]
        yield _figure(traces, axis(-6, 6, "x"), axis(-6, 6, "y"))


def moving_bars(rng: np.random.Generator) -> Iterator[Figure]:
    """Yield a histogram of 64 bars under a curve of theory."""
    edges = np.linspace(-4, 4, 65)
    x = (edges[1:] + edges[:-1]) / 2
    for k in range(STATES):
        counts, _ = np.histogram(rng.standard_normal(4096) * (1 + 0.02 * k), edges)
        theory = 4096 * 0.125 * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
        traces = [bars(x, counts, "counts", BLUE, width=0.125, alpha=0.75), line(x, theory, "theory", INK)]
        yield _figure(traces, axis(-4, 4, "value"), axis(0, 300, "count"))


def moving_cells(rng: np.random.Generator) -> Iterator[Figure]:
    """Yield a heat map of 64 x 64 cells."""
    noise, side = rng.standard_normal((64, 64)), np.linspace(-3, 3, 64)
    scale = [(0, COLOURS[0]), (0.5, "#ffffff"), (1, COLOURS[1])]
    for k in range(STATES):
        z = np.sin(side[None] + 0.1 * k) * np.cos(side[:, None]) + 0.1 * noise
        yield _figure(
            [cells(z, -1, 1, scale, x=side, y=side)], axis(-3.05, 3.05, "a"), axis(-3.05, 3.05, "b")
        )


def moving_pictures(rng: np.random.Generator) -> Iterator[Figure]:
    """Yield three photographs of 64 x 96 pixels side by side, each of them new."""
    x, y = axis(-0.5, 295.5), axis(63.5, -0.5)
    for _ in range(STATES):
        photos = rng.integers(0, 255, (3, 64, 96, 3)).astype(np.uint8)
        yield _figure([picture(photo, x0=100 * k) for k, photo in enumerate(photos)], x, y)


def moving_curves(rng: np.random.Generator) -> Iterator[Figure]:
    """Yield five jagged curves of 2,000 points with bands."""
    noise = 0.12 * rng.standard_normal((5, 2000))
    return _curves(lambda i, _steps: noise[i])


def smooth_curves(_rng: np.random.Generator) -> Iterator[Figure]:
    """Yield five smooth curves of 2,000 points with bands."""
    return _curves(lambda _i, steps: 0.1 * np.sin(steps / 150))


def _curves(more: Callable[[int, Any], Any]) -> Iterator[Figure]:
    steps = np.arange(2000)
    for k in range(STATES):
        traces = []
        for i, (colour, dash) in enumerate(zip(COLOURS, DASHES, strict=False)):
            y = 2.3 * np.exp(-steps / (300 + 200 * i + 10 * k)) + 0.3 * i + more(i, steps)
            traces += band(steps, y - 0.3, y + 0.3, colour)
            traces.append(line(steps, y, f"lane {i + 1}", colour, dash=dash))
        yield _figure(traces, axis(0, 2000, "step"), axis(-0.5, 4.5, "loss"))


FILMS = {
    "256 dots": moving_dots,
    "64 bars": moving_bars,
    "heat map 64 x 64": moving_cells,
    "5 jagged curves of 2,000 points, bands": moving_curves,
    "5 smooth curves of 2,000 points, bands": smooth_curves,
    "3 photographs 64 x 96": moving_pictures,
}
FOUR = list(FILMS)[:4]


def _figure(traces: list[Any], x: Any, y: Any) -> Figure:
    return figure(traces, "a figure", "", x, y, showlegend=True)


def _packed(value: Any) -> Any:
    """Write arrays as bytes or 32-bit floats in base64, everything else as it is."""
    if isinstance(value, np.ndarray):
        kind = "u1" if value.dtype == np.uint8 else ""
        data = np.ascontiguousarray(value, dtype=kind or np.float32).tobytes()
        return {"$": base64.b64encode(data).decode(), "shape": list(value.shape), "kind": kind}
    if isinstance(value, dict):
        return {key: _packed(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(each) for each in value]
    return value


class _Assets(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/":
            self._send(PAGE.encode(), "text/html")
        elif self.path == "/plotly.min.js":
            self._send(PLOTLY.read_bytes(), "text/javascript")
        else:
            super().do_GET()

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the repository's assets on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Assets, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def measure(
    page: Page, films: list[list[Figure]], seconds: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Draw the films at the same time, with the painter and with Plotly."""
    packed = json.dumps([_packed(film) for film in films])
    call = "([name, films]) => window[name](JSON.parse(films), {}, {})"
    arguments = call.format(seconds, WARM)
    return page.evaluate(arguments, ["painted", packed]), page.evaluate(arguments, ["reacted", packed])


def main() -> None:
    """Print every figure."""
    reduced = command(__doc__).parse_args().reduced
    films = {name: list(make(np.random.default_rng(0))) for name, make in FILMS.items()}
    rows = {name: [film] for name, film in films.items()} | {"four at once": [films[name] for name in FOUR]}
    seconds = SECONDS
    if reduced:
        rows, seconds = {"256 dots": rows["256 dots"]}, 0.2
    print("Drawing a new figure each frame, 640 x 360 at two device pixels per point, no graphics card")
    print("(targets: dots, bars, heat map 60 pictures/s; jagged curves < 20 ms; four at once >= 50/s)\n")
    print(f"  {'':<40}{'painter':^31}{'Plotly.react':^25}{'ratio':^17}")
    heads = f"{'ms':>7}{'geometry':>11}{'pictures/s':>13}{'ms':>12}{'pictures/s':>13}{'ms':>9}{'rate':>8}"
    print(f"  {'':<40}{heads}")
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1300, "height": 760}, device_scale_factor=2)
        page.goto(url)
        page.evaluate(SCRIPT)
        print(f"  {'nothing':<40}{page.evaluate('idle', seconds):31.1f}")
        for name, films_of in rows.items():
            ours, theirs = measure(page, films_of, seconds)
            print(
                f"  {name:<40}{ours['ms']:7.1f}{ours['geometry']:11.2f}{ours['rate']:13.1f}"
                f"{theirs['ms']:12.1f}{theirs['rate']:13.1f}"
                f"{theirs['ms'] / ours['ms']:8.1f}x{ours['rate'] / theirs['rate']:7.1f}x"
            )
        browser.close()


if __name__ == "__main__":
    main()
