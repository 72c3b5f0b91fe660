"""A race's pictures in a real Chromium without a graphics card, as they are drawn while it plays.

Four lanes of a dense network with invented numbers for 2,000 steps; the templates are those of the lab.
"JavaScript" is filling the templates and drawing, "ms" the same with the pixels read back, so that nothing is
still to be done. At each frame accuracy and loss are drawn, of the other pictures every third in turn.
"early" plays from step 0, "late" from step 1,500, where curves have most of their points. "--reduced" plays
one network, for moments.
"""

from __future__ import annotations

import json

from playwright.sync_api import Page, sync_playwright

from benchmarks._command import command
from benchmarks.painter import _packed, served
from bnlib.training.recordings import HISTOGRAM_EDGES
from book.controls import Values
from book.race.frames import layout
from book.race.looks import looks
from book.race.panels import described
from book.race.runs import lane_configs
from book.race.settings import DEFAULTS
from tests.server import CHROMIUM_FLAGS, chromium_path

SECONDS = 4.0
FIGURES = ("8 layers, 1 pixels a point, early", "8 layers, 1 pixels a point, late")
LANES = (("none", ()), ("batch", ()), ("layer", ()), ("group", ()))

STYLE = """
.pictures { display: grid; grid-template-columns: repeat(3, 400px); gap: 12px 22px; }
figure { margin: 0; min-width: 0; }
.plot { width: 400px; }
canvas { width: 100%; height: 100%; }
"""

# What runs in the page: makes the numbers, then plays them.
SCRIPT = """async () => {
  const { Lanes } = await import("/assets/frames.js");
  const { Panels } = await import("/assets/panels.js");
  const { theme } = await import("/assets/theme.js");
  const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const whole = (value) => {
    if (Array.isArray(value)) return value.map(whole);
    if (value === null || typeof value !== "object") return value;
    if (typeof value.$ !== "string")
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, whole(each)]));
    const all = floats(value.$), [rows, wide] = value.shape;
    if (wide === undefined) return all;
    return Array.from({ length: rows }, (_, i) => all.subarray(i * wide, (i + 1) * wide));
  };
  const STEPS = 2001;
  const made = (name, step, lane, i, noise) => {
    const spread = [0, -1, 1][i % 3];
    if (name === "seeds_left") return 4;
    if (name.endsWith("loss"))
      return (2.3 * Math.exp(-step / (300 + 200 * lane)) + 0.02) * (1 + 0.3 * spread + noise / 4);
    if (name.includes("accuracy"))
      return 1 - 0.9 * Math.exp(-step / (200 + 100 * lane)) + (spread * noise) / 20;
    if (name.endsWith("histogram")) return Math.exp(-((((i % 64) - 32) / (8 + 2 * noise)) ** 2)) / 14;
    if (name === "update_ratio") return -3 + noise + 0.3 * spread;
    return 0.1 * (1 + noise) * (1 + 0.3 * spread);
  };
  const frame = () => new Promise(requestAnimationFrame);
  const part = (times, share) => times.sort((a, b) => a - b)[Math.floor(share * times.length)];

  window.played = async (given, seconds) => {
    document.body.replaceChildren();
    const parent = document.body.appendChild(document.createElement("div"));
    parent.className = "pictures";
    const lanes = new Lanes(given);
    let seed = 1;
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    given.lanes.forEach(({ layout }, lane) => {
      const rows = [];
      for (let step = 0; step < STEPS; step += 1)
        for (const [name, shape] of layout) {
          const size = shape.reduce((a, b) => a * b, 1);
          for (let i = 0; i < size; i += 1) rows.push(made(name, step, lane, i, random()));
        }
      lanes.append({ lane, arrays: { rows: Float32Array.from(rows) } });
    });
    let step = 0;
    const nothing = () => {};
    const race = {
      values: given.values, shown: lanes, playing: true, open: false, controls: [], ghost: nothing,
      step: () => step, horizon: () => STEPS - 1, input: nothing, change: nothing, view: nothing,
      explore: nothing,
    };
    const panels = new Panels(parent, race), look = theme(parent);
    panels.take(whole(given.panels));
    const canvases = [...parent.querySelectorAll("canvas")], result = [];
    for (const from of [0, 1500]) {
      const times = [], scripts = [];
      for (let turn = 0; turn < 48; turn += 1) {
        step = from + 2 * turn;
        const began = performance.now();
        panels.draw(look);
        for (const canvas of canvases) canvas.getContext("2d").getImageData(0, 0, 1, 1);
        if (turn >= 9) times.push(performance.now() - began);
      }
      let turn = 0;
      const began = performance.now();
      for (; performance.now() < began + 1000 * seconds; turn += 1) {
        step = from + ((2 * turn) % 480);
        const start = performance.now();
        panels.draw(look);
        scripts.push(performance.now() - start);
        await frame();
      }
      const rate = (1000 * turn) / (performance.now() - began);
      result.push([part(times, 0.5), part(times, 0.95), part(scripts, 0.5), rate]);
    }
    panels.destroy();
    return result;
  };
}"""


def given(values: Values) -> str:
    """Write what a page gets of a race before its frames, as JSON."""
    configs = lane_configs(values)
    lanes = [
        {
            "name": config.norm, "norm": config.norm, "depth": config.depth, "colour": look.colour,
            "dash": look.dash, "layout": layout(config, len(HISTOGRAM_EDGES) - 1),
        }
        for config, look in zip(configs, looks([config.norm for config in configs]), strict=True)
    ]  # fmt: skip
    return json.dumps(
        {
            "lanes": lanes,
            "every": configs[0].record_every,
            "validate_every": configs[0].validate_every,
            "values": {"step": -1},
            "panels": _packed(described(values)),
        }
    )


def measure(page: Page, depth: int, seconds: float) -> list[list[float]]:
    """Play a race of networks that deep, early and late."""
    values = DEFAULTS | {"lanes": LANES, "depth": depth}
    found: list[list[float]] = page.evaluate(f"(text) => played(JSON.parse(text), {seconds})", given(values))
    return found


def main() -> None:
    """Print every figure."""
    reduced = command(__doc__).parse_args().reduced
    ratios, depths, seconds = ((1,), (8,), 0.2) if reduced else ((1, 2), (8, 20), SECONDS)
    print(__doc__)
    heads = ("ms", "p95", "JavaScript", "pictures/s")
    print(f"  {'':<34}" + "".join(f"{head:>12}" for head in heads))
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        for ratio in ratios:
            page = browser.new_page(viewport={"width": 1300, "height": 900}, device_scale_factor=ratio)
            page.goto(url)
            page.add_style_tag(content=STYLE)
            page.evaluate(SCRIPT)
            for depth in depths:
                for when, numbers in zip(("early", "late"), measure(page, depth, seconds), strict=True):
                    name = f"{depth} layers, {ratio} pixels a point, {when}"
                    print(f"  {name:<34}" + "".join(f"{number:12.1f}" for number in numbers))
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
