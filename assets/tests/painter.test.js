import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { geometry, nearest, paint, palette, place, readout, validate, words } from "../painter.js";
import schema from "../schema.json" with { type: "json" };

/** @typedef {import("../plotting.js").Figure} Figure */

const LIGHT = {
  text: "#1b2430",
  page: "#ffffff",
  line: "#d5dbe3",
  primary: "#0b5cad",
  colours: [
    "#0072b2",
    "#d55e00",
    "#21a17e",
    "#865a76",
    "#222222",
    "#e69f00",
    "#56b4e9",
    "#5d500e",
    "#4d235a",
    "#adadad",
  ],
  font: "13px sans",
  small: "12px sans",
};
const DARK = {
  ...LIGHT,
  text: "#e4e8ee",
  page: "#0c1016",
  line: "rgb(47, 57, 69)",
  colours: LIGHT.colours.map((_, i) => `#0000${i}0`),
};
const CALLS = [
  "setTransform",
  "clearRect",
  "save",
  "restore",
  "beginPath",
  "moveTo",
  "lineTo",
  "closePath",
  "rect",
  "arc",
  "clip",
];
const MORE = [
  "fill",
  "stroke",
  "fillRect",
  "strokeRect",
  "fillText",
  "strokeText",
  "setLineDash",
  "translate",
  "scale",
  "rotate",
  "drawImage",
];

// A pen that writes down [call, arguments, settings at that time].
class Pen {
  constructor() {
    /** @type {[string, any[], Record<string, any>][]} */
    this.log = [];
    /** @type {Record<string, any>} */
    this.now = { globalAlpha: 1, fillStyle: "", strokeStyle: "", lineWidth: 1, dash: [] };
    /** @type {Record<string, any>[]} */
    this.stack = [];
    for (const name of [...CALLS, ...MORE]) {
      Reflect.set(this, name, (/** @type {any[]} */ ...given) => {
        if (name === "save") this.stack.push({ ...this.now });
        if (name === "restore") this.now = this.stack.pop() ?? this.now;
        if (name === "setLineDash") this.now.dash = given[0];
        this.log.push([name, given, { ...this.now }]);
      });
    }
    for (const name of Object.keys(this.now).concat(
      "font",
      "textAlign",
      "textBaseline",
      "lineJoin",
      "imageSmoothingEnabled",
    )) {
      Object.defineProperty(this, name, {
        get: () => this.now[name],
        set: (value) => {
          this.now[name] = value;
        },
      });
    }
  }

  /** @param {number} width @param {number} height */
  createImageData(width, height) {
    return { width, height, data: new Uint8ClampedArray(4 * width * height) };
  }

  /** @param {any} image */
  putImageData(image) {
    this.log.push(["putImageData", [image], {}]);
  }

  /** @param {string} name */
  calls(name) {
    return this.log.filter(([call]) => call === name);
  }

  texts() {
    return this.calls("fillText").map(([, [text]]) => text);
  }
}

/** @type {any[]} */
let sheets = [];
class Sheet {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    Object.assign(this, { width, height, clientWidth: width, clientHeight: height });
    this.pen = new Pen();
    sheets.push(this);
  }

  getContext() {
    return this.pen;
  }
}
Reflect.set(globalThis, "OffscreenCanvas", Sheet);
beforeEach(() => {
  sheets = [];
});

/** @param {Figure} figure @param {any} [state] @param {any} [look] @param {number} [width] @returns {Pen} */
function drawn(figure, state = {}, look = LIGHT, width = 640) {
  const canvas = new Sheet(width, 360);
  paint(/** @type {any} */ (canvas), figure, look, state);
  return canvas.pen;
}

const axis = (/** @type {number} */ low, /** @type {number} */ high, /** @type {any} */ more = {}) => {
  const ticks = more.tickvals ?? [low, (low + high) / 2, high];
  return {
    type: "linear",
    range: [low, high],
    tickvals: ticks,
    ticktext: ticks.map(String),
    title: { text: "" },
    ...more,
  };
};
const figure = (/** @type {any[]} */ data, /** @type {any} */ layout = {}) => ({
  data,
  layout: { xaxis: axis(0, 10), yaxis: axis(0, 1), margin: { l: 56, r: 14, t: 10, b: 44 }, ...layout },
});
const curve = (/** @type {any} */ more = {}) => ({
  type: "scatter",
  mode: "lines",
  name: "a curve",
  x: [0, 5, 10],
  y: [0, 1, 0.5],
  line: { color: "#d55e00", width: 2 },
  ...more,
});

// ---- what is refused ----------------------------------------------------------------------------------------------

for (const [what, wrong, named] of /** @type {[string, Figure, RegExp][]} */ ([
  ["a misspelt attribute of a trace", figure([curve({ colour: "#000000" })]), /data\[0\]\.colour/],
  ["one inside another", figure([curve(), curve({ line: { colour: "#000000" } })]), /data\[1\]\.line\.colour/],
  ["another kind of trace", figure([curve({ type: "violin" })]), /data\[0\]\.type.*violin/],
  [
    "an attribute of another kind of trace",
    figure([{ type: "bar", x: [1], y: [1], fill: "tozeroy" }]),
    /data\[0\]\.fill/,
  ],
  ["a value that isn't listed", figure([curve({ line: { shape: "spline" } })]), /line\.shape.*spline.*linear, hv/],
  ["a value of the wrong kind", figure([curve({ opacity: "0.5" })]), /opacity.*"0\.5" is no number/],
  ["an attribute of an axis", figure([curve()], { xaxis: axis(0, 1, { nticks: 4 }) }), /layout\.xaxis\.nticks/],
  ["an axis without its range", figure([curve()], { yaxis: { tickvals: [], ticktext: [] } }), /layout\.yaxis\.range/],
  ["an axis that isn't there", figure([curve({ yaxis: "y2" })]), /data\[0\]\.yaxis.*yaxis2/],
  ["an attribute of the layout", figure([], { hovermode: "x" }), /layout\.hovermode/],
  ["an attribute of a shape", figure([], { shapes: [{ type: "line", label: {} }] }), /layout\.shapes\[0\]\.label/],
  ["an arrow", figure([], { annotations: [{ text: "a", showarrow: true }] }), /annotations\[0\]\.showarrow/],
  ["a part of the figure", /** @type {any} */ ({ ...figure([]), frames: [] }), /figure\.frames/],
])) {
  test(`refused by its name: ${what}`, () => {
    assert.throws(() => drawn(wrong), named);
  });
}

test("every attribute of the table passes", () => {
  /** @type {Record<string, any>} */
  const samples = {
    text: "x",
    number: 1,
    flag: true,
    colour: "#0072b2",
    list: [],
    cells: [[1]],
    pixels: [[1, 2, 3]],
    numbers: 1,
    colours: "#0072b2",
    any: 1,
  };
  /** @type {(rule: any) => any} */
  const sample = (rule) => (typeof rule === "string" ? samples[rule] : Array.isArray(rule) ? rule[0] : filled(rule));
  /** @type {(table: any) => any} */
  const filled = (table) => Object.fromEntries(Object.entries(table).map(([name, rule]) => [name, sample(rule)]));
  const traces = Object.entries(schema.traces)
    .filter(([type]) => type !== "every")
    .map(([type, own]) => ({
      ...filled(schema.traces.every),
      ...filled(own),
      type,
      xaxis: "x",
      yaxis: "y",
    }));
  const layout = { ...filled(schema.layout), xaxis: filled(schema.axes), yaxis: filled(schema.axes) };
  validate({
    data: traces,
    layout: { ...layout, shapes: [filled(schema.shapes)], annotations: [filled(schema.annotations)] },
  });
  assert.equal(traces.length, 4);
});

// ---- places -------------------------------------------------------------------------------------------------------

test("a linear axis: range to pixels and back", () => {
  const { x, y } = geometry(figure([curve()]), 640, 360).axes;
  assert.deepEqual([x.left, x.right, y.top, y.bottom], [56, 626, 10, 316]);
  assert.deepEqual([x.scale(0), x.scale(5), x.scale(10), y.scale(0), y.scale(1)], [56, 341, 626, 316, 10]);
  assert.equal(x.invert(341), 5);
  assert.ok(Math.abs(y.invert(y.scale(0.3)) - 0.3) < 1e-12);
});

test("a logarithmic axis: the range is said in exponents; what has no logarithm has no place", () => {
  const { y } = geometry(figure([], { yaxis: axis(-2, 2, { type: "log", tickvals: [0.01, 1, 100] }) }), 640, 360).axes;
  assert.equal(y.scale(1), (y.top + y.bottom) / 2);
  assert.ok(Math.abs(y.invert(y.scale(30)) - 30) < 1e-9);
  assert.ok(Number.isNaN(y.scale(0)) && Number.isNaN(y.scale(-1)));
});

test("categories: by name in the order of the list, by index, and newcomers behind them", () => {
  const names = axis(-0.5, 2.5, { type: "category", categoryarray: ["b", "a"], tickvals: ["b", "a", "c"] });
  const { x } = geometry(figure([{ type: "bar", x: ["a", "c"], y: [1, 2] }], { xaxis: names }), 640, 360).axes;
  assert.deepEqual(["b", "a", "c"].map(x.scale), [0, 1, 2].map(x.scale));
  assert.equal(x.scale("b"), 56 + 570 / 6);
  assert.ok(Number.isNaN(x.scale("z")));
});

test("a reversed range, and domains beside and above each other", () => {
  const layout = {
    xaxis: axis(0, 1, { domain: [0, 0.4] }),
    xaxis2: axis(0, 1, { domain: [0.6, 1], anchor: "y2" }),
    yaxis: axis(1, 0, { domain: [0.5, 1] }),
    yaxis2: axis(0, 1, { domain: [0, 0.4], anchor: "x2" }),
  };
  const { x, x2, y, y2 } = geometry(figure([], layout), 640, 360).axes;
  assert.ok(x.right < x2.left && y.bottom < y2.top);
  assert.ok(y.scale(0) === y.top && y.scale(1) === y.bottom);
  assert.deepEqual([x2.top, x2.bottom], [y2.top, y2.bottom]);
});

test("with a scale in common a unit is as long on both axes, in the middle of the figure", () => {
  const square = { range: [-1, 1], tickvals: [], ticktext: [], type: "linear", constrain: "domain" };
  const even = figure([], { xaxis: square, yaxis: { ...square, scaleanchor: "x" } });
  const wide = geometry(even, 640, 360).axes;
  assert.equal(Math.abs(wide.x.slope), Math.abs(wide.y.slope));
  assert.deepEqual([wide.y.from, wide.y.to], [316, 10], "y has all of its room");
  assert.equal((wide.x.from + wide.x.to) / 2, (56 + 626) / 2);
  assert.deepEqual([wide.y.left, wide.y.right], [wide.x.from, wide.x.to], "the subplot's edges are those of both");
  const tall = geometry({ ...even }, 300, 640).axes;
  assert.equal(Math.abs(tall.x.slope), Math.abs(tall.y.slope));
  assert.deepEqual([tall.x.from, tall.x.to], [56, 286]);
});

test("labels that would touch are thinned, evenly and around zero; ticks outside the range are left out", () => {
  const ticks = Array.from({ length: 25 }, (_, i) => i - 12);
  const wide = (/** @type {number} */ width) =>
    geometry(figure([], { xaxis: axis(-10, 10, { tickvals: ticks }) }), width, 360).axes.x.ticks;
  assert.equal(wide(900).length, 21);
  assert.ok(wide(900).every(({ shown }) => shown));
  for (const width of [500, 390, 300, 200]) {
    const shown = wide(width).filter((tick) => tick.shown),
      steps = shown.slice(1).map((tick, i) => tick.value - shown[i].value);
    assert.ok(shown.length > 1 && shown.some(({ value }) => value === 0), String(width));
    assert.equal(new Set(steps).size, 1);
    shown.slice(1).forEach((tick, i) => {
      assert.ok(tick.at - shown[i].at > (6 * (tick.text.length + shown[i].text.length)) / 2, `${width}: ${tick.text}`);
    });
  }
});

test("margins are kept, but wide labels make room for themselves", () => {
  const big = axis(0, 2e6, { tickvals: [0, 2e6], ticktext: ["0", "2,000,000"], title: { text: "parameters" } });
  assert.ok(geometry(figure([], { yaxis: big }), 640, 360).axes.y.left > 75);
  assert.equal(geometry(figure([], { margin: { l: 150 } }), 390, 360).axes.y.left, 150);
});

test("the legend has rows below the plot, and names only what is to be named", () => {
  const traces = ["first", "second", "third", "fourth"].map((name) => curve({ name: `the ${name} curve` }));
  const named = figure([...traces, curve({ showlegend: false }), curve({ name: "" }), curve({ visible: false })], {
    showlegend: true,
  });
  const { legend, axes } = geometry(named, 390, 360);
  assert.deepEqual(
    legend.map(({ trace }) => trace),
    [0, 1, 2, 3],
  );
  assert.equal(new Set(legend.map(({ y }) => y)).size, 2);
  assert.ok(legend.every(({ x, y, width }) => y > axes.x.bottom + 30 && y < 360 && x + width < 390));
  assert.deepEqual(geometry(figure(traces), 390, 360).legend, []);
});

// ---- what is drawn ------------------------------------------------------------------------------------------------

const runs = (/** @type {Pen} */ pen, /** @type {string} */ colour) => {
  /** @type {number[][][]} */
  const paths = [];
  let path = [];
  for (const [call, given, now] of pen.log) {
    if (call === "beginPath") path = [];
    if (call === "moveTo" || call === "lineTo") path.push([call === "moveTo" ? 1 : 0, ...given]);
    if (call === "stroke" && now.strokeStyle === colour) paths.push(path);
  }
  return paths;
};

test("a curve is one path in the reader's colour and breaks where there is no value", () => {
  const broken = curve({
    x: [0, 2, 4, 6, 8],
    y: [0, 1, Number.NaN, 1, 0],
    line: { color: "#d55e00", width: 3, dash: "dash" },
  });
  const pen = drawn(figure([broken]), {}, DARK);
  const [path] = runs(pen, DARK.colours[1]);
  assert.deepEqual(
    path.map(([start]) => start),
    [1, 0, 1, 0],
  );
  assert.deepEqual(path[0], [1, 56, 316]);
  const stroke = pen.calls("stroke").find(([, , now]) => now.strokeStyle === DARK.colours[1]);
  assert.deepEqual([stroke?.[2].lineWidth, stroke?.[2].dash.length], [3, 2]);
});

test("on a logarithmic axis a curve leaves the plot towards zero, and breaks where there is no value", () => {
  const logarithmic = { yaxis: axis(-2, 0, { type: "log", tickvals: [0.01, 1] }) };
  const [path] = runs(drawn(figure([curve({ x: [0, 2, 4, 6, 8], y: [1, 0, 1, null, 1] })], logarithmic)), "#d55e00");
  assert.deepEqual(
    path.map(([start, , y]) => [start, y > 1000]),
    [
      [1, false],
      [0, true],
      [0, false],
      [1, false],
    ],
  );
});

test("steps hold their value until the next one", () => {
  const [path] = runs(
    drawn(figure([curve({ x: [0, 5], y: [0, 1], line: { color: "#d55e00", shape: "hv" } })])),
    "#d55e00",
  );
  assert.deepEqual(path, [
    [1, 56, 316],
    [0, 341, 316],
    [0, 341, 10],
  ]);
});

test("thousands of points: every pixel column keeps its lowest and highest, and not more than four points", () => {
  const n = 20_000,
    x = new Float32Array(n),
    y = new Float32Array(n);
  for (let i = 0; i < n; i += 1) [x[i], y[i]] = [(10 * i) / (n - 1), 0.5 + 0.01 * Math.sin(i / 3000)];
  y[7777] = 0.9;
  y[3333] = 0.1;
  const pen = drawn(figure([curve({ x, y })])),
    points = runs(pen, "#d55e00").flat();
  assert.ok(points.length < 4.2 * 571, String(points.length));
  const { y: scale } = geometry(figure([]), 640, 360).axes;
  for (const value of [0.9, 0.1])
    assert.ok(
      points.some(([, , py]) => Math.abs(py - scale.scale(value)) < 0.01),
      String(value),
    );
});

test("a jagged curve is drawn column by column, from its lowest to its highest value, with gaps", () => {
  const n = 2000,
    x = new Float32Array(n),
    y = new Float32Array(n);
  for (let i = 0; i < n; i += 1) [x[i], y[i]] = [(10 * i) / (n - 1), i % 2 ? 0.2 : 0.8];
  for (let i = 1000; i < 1200; i += 1) y[i] = Number.NaN;
  const pen = drawn(figure([curve({ x, y })])),
    bars = pen.calls("fillRect").filter(([, , now]) => now.fillStyle === "#d55e00");
  assert.ok(bars.length > 500 && bars.length < 520, String(bars.length)); // 570 columns without a tenth of them
  const { y: scale } = geometry(figure([]), 640, 360).axes,
    [top, tall] = [scale.scale(0.8), scale.scale(0.2) - scale.scale(0.8)];
  for (const [, [, from, , height]] of bars.slice(2, 100))
    assert.ok(Math.abs(from - top + 1) < 1e-4 && Math.abs(height - tall - 2) < 1e-3);
  assert.equal(runs(pen, "#d55e00").length, 0);
});

test("with several points in a column little up and down is enough for that, and a smooth curve stays a path", () => {
  const across = (/** @type {number} */ n, /** @type {number} */ noise) => {
    const x = Float32Array.from({ length: n }, (_, i) => (10 * i) / (n - 1));
    const y = x.map((value, i) => 0.9 - 0.08 * value + (i % 2 ? noise : 0));
    const pen = drawn(figure([curve({ x, y })]));
    return pen.calls("fillRect").filter(([, , now]) => now.fillStyle === "#d55e00").length;
  };
  const noise = 2 / 306; // up and down by two pixels
  assert.ok(across(2000, noise) > 500, "2,000 points on 570 pixels");
  assert.equal(across(2000, 0), 0);
  assert.equal(across(400, 3 * noise), 0);
});

test("a band lies between two curves of the same axes", () => {
  const low = curve({ y: [0.1, 0.2, 0.3], line: { width: 0 } }),
    high = curve({ y: [0.5, 0.6, 0.7], line: { width: 0 }, fill: "tonexty", fillcolor: "rgba(0,114,178,0.18)" });
  const pen = drawn(
    figure([low, curve({ yaxis: "y2", line: { width: 0 } }), high], { yaxis2: axis(0, 1, { visible: false }) }),
  );
  const end = pen.log.findIndex(([call, , now]) => call === "fill" && now.fillStyle === "rgba(0,114,178,0.18)");
  const start = pen.log
    .slice(0, end)
    .map(([call]) => call)
    .lastIndexOf("beginPath");
  const corners = pen.log.slice(start + 1, end).map(([, given]) => given);
  const { x, y } = geometry(figure([]), 640, 360).axes;
  const expected = [
    [0, 0.5],
    [5, 0.6],
    [10, 0.7],
    [10, 0.3],
    [5, 0.2],
    [0, 0.1],
  ].map(([a, b]) => [x.scale(a), y.scale(b)]);
  const rounded = (/** @type {number[][]} */ points) =>
    points.map((point) => point.map((pixel) => Number(pixel.toFixed(6))));
  assert.deepEqual(rounded(corners), rounded(expected));
});

test("polygons between gaps are filled each by itself", () => {
  const shape = curve({
    ...{ line: { width: 0 }, fill: "toself", fillcolor: "rgba(0,114,178,0.4)" },
    x: [0, 0, 2, 2, null, 0, 0, 2, 2, null, 4, null],
    y: new Float32Array([0.5, 0.7, 0.7, 0.5, NaN, 0.2, 0.4, 0.4, 0.2, NaN, NaN, NaN]),
  });
  const pen = drawn(figure([shape])),
    { x } = geometry(figure([]), 640, 360).axes;
  const fills = pen.log.flatMap(([call, , now], i) =>
    call === "fill" && now.fillStyle === "rgba(0,114,178,0.4)" ? [i] : [],
  );
  assert.equal(fills.length, 2);
  for (const end of fills) {
    const path = pen.log.slice(end - 5, end);
    assert.deepEqual(
      path.map(([call]) => call),
      ["beginPath", "lineTo", "lineTo", "lineTo", "lineTo"],
    );
    assert.deepEqual(
      path.slice(1).map(([, [px]]) => px),
      [0, 0, 2, 2].map(x.scale),
    );
  }
});

test("an annotation that has nothing to say leaves nothing behind", () => {
  const note = { x: 5, y: 0.5, text: "", showarrow: false, bgcolor: "#ffffff" };
  const said = drawn(figure([], { annotations: [{ ...note, text: "diverged" }] }));
  assert.ok(said.texts().includes("diverged"));
  const quiet = drawn(figure([], { annotations: [note] }));
  assert.equal(said.calls("fillRect").length - quiet.calls("fillRect").length, 1);
  assert.ok(!quiet.texts().includes(""));
});

test("dots: one colour and size each, and those that can be dragged never leave the frame", () => {
  const dots = {
    type: "scatter",
    mode: "markers",
    x: [1, 2, 99],
    y: [0.5, 0.5, 0.5],
    marker: { color: ["#0072b2", "#d55e00", "#0072b2"], size: [4, 8, 10] },
  };
  const circles = (/** @type {any} */ more) => drawn(figure([{ ...dots, ...more }])).calls("arc");
  assert.deepEqual(
    circles({}).map(([, [, , radius], now]) => [radius, now.fillStyle]),
    [
      [2, "#0072b2"],
      [4, "#d55e00"],
      [5, "#0072b2"],
    ],
  );
  assert.ok(circles({})[2][1][0] > 640);
  assert.equal(circles({ meta: { drag: "moved", axis: "x" } })[2][1][0], 626);
});

test("bars stand on their base and are as wide as they say", () => {
  const bars = { type: "bar", x: [2, 4], y: [0.5, 0.25], base: [0, 0.5], width: 2, marker: { color: "#0072b2" } };
  const boxes = drawn(figure([bars]))
    .calls("fillRect")
    .filter(([, , now]) => now.fillStyle === "#0072b2")
    .map(([, given]) => given);
  assert.deepEqual(boxes, [
    [113, 163, 113, 153],
    [227, 86.5, 113, 76.5],
  ]);
});

test("a heat map is one image, its first row at the bottom, gaps transparent", () => {
  const scale = [
      [0, "#ffffff"],
      [1, "#0072b2"],
    ],
    z = [new Float32Array([0, 1]), new Float32Array([Number.NaN, 0.5])];
  const heat = { type: "heatmap", x: [2.5, 7.5], y: [0.25, 0.75], z, zmin: 0, zmax: 1, colorscale: scale };
  const pen = drawn(figure([heat])),
    images = pen.calls("drawImage");
  assert.equal(images.length, 1);
  assert.deepEqual(images[0][1].slice(1), [56, 10, 570, 306]);
  const bytes = [...images[0][1][0].pen.calls("putImageData")[0][1][0].data];
  const expected = [0, 0, 0, 0, 127, 184, 216, 255, 255, 255, 255, 255, 0, 114, 178, 255];
  for (const [i, byte] of bytes.entries()) assert.ok(Math.abs(byte - expected[i]) < 2, `byte ${i} is ${byte}`);
});

test("a picture in colours is one image, its first row where y begins, and has no points", () => {
  const z = [new Uint8Array([255, 0, 0, 0, 255, 0]), new Uint8Array([0, 0, 255, 9, 8, 7])];
  const photo = { type: "image", z, x0: 2.5, y0: 0.25, dx: 5, dy: 0.5, hoverinfo: "skip" };
  const shown = figure([photo]),
    pen = drawn(shown),
    [[, [image, ...box]]] = pen.calls("drawImage");
  assert.deepEqual(box, [0, 0, 570, 306]);
  assert.deepEqual(pen.calls("translate").at(-1)?.[1], [56, 316], "from the bottom, where y is 0");
  assert.deepEqual(pen.calls("scale").at(-1)?.[1], [1, -1], "upwards");
  const bytes = [...image.pen.calls("putImageData")[0][1][0].data];
  assert.deepEqual(bytes, [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 9, 8, 7, 255]);
  const down = drawn(figure([photo], { yaxis: { ...shown.layout.yaxis, range: [1, 0] } }));
  assert.deepEqual(down.calls("scale").at(-1)?.[1], [1, 1]);
  assert.equal(nearest(shown, geometry(shown, 640, 360), 100, 100), undefined);
  assert.equal(readout(shown, geometry(shown, 640, 360), 100, 100), undefined);
});

test("cells that aren't of one size keep their own", () => {
  const heat = {
    type: "heatmap",
    x: [0, 1, 9],
    y: [0, 1],
    z: [
      [0, 1, 0],
      [0, 1, 0],
    ],
    zmin: 0,
    zmax: 1,
    colorscale: [
      [0, "#000000"],
      [1, "#ffffff"],
    ],
  };
  const [[, [image]]] = drawn(figure([heat], { xaxis: axis(-0.5, 13), yaxis: axis(-0.5, 1.5) })).calls("drawImage");
  const row = [...image.pen.calls("putImageData")[0][1][0].data].filter((_, i) => i % 4 === 0).slice(0, image.width);
  const white = row.filter((value) => value === 255).length / row.length;
  assert.ok(Math.abs(white - 4.5 / 13.5) < 0.01, String(white));
});

test("shapes say values and annotations exponents on logarithmic axes; both know domains and the paper", () => {
  const layout = {
    xaxis: axis(0, 2, { type: "log", tickvals: [1, 100] }),
    shapes: [{ type: "rect", x0: 1, x1: 10, y0: 0, y1: 1, yref: "paper", fillcolor: "#e69f00", layer: "below" }],
    annotations: [
      { x: 1, y: 0.5, yref: "y domain", text: "ten" },
      { x: 9, y: 0.5, text: "outside" },
    ],
  };
  const pen = drawn(figure([], layout));
  const rect = pen.calls("rect").at(-1);
  assert.deepEqual(rect?.[1], [56, 316, 285, -306]);
  const [[, [, x, y]]] = pen.calls("fillText").filter(([, [text]]) => text === "ten");
  assert.deepEqual([x, y], [341, 163]);
  assert.ok(!pen.texts().includes("outside"));
});

test("an annotation stays in the figure", () => {
  const long = figure([], { annotations: [{ x: 10, y: 0.5, text: "words that would not end here", xanchor: "left" }] });
  const [[, [, x]]] = drawn(long, {}, LIGHT, 390)
    .calls("fillText")
    .filter(([, [text]]) => text.startsWith("words"));
  assert.ok(x < 390 - 29 * 6, String(x));
});

test("what rests is drawn once: the third picture takes axes from a sheet, and a change draws them again", () => {
  const canvas = new Sheet(640, 360),
    words = () => canvas.pen.texts().length;
  const ends = [1, 1, 1, 2].map((high) => {
    canvas.pen.log = [];
    paint(/** @type {any} */ (canvas), figure([curve({ y: [0, Math.random(), 1] })], { yaxis: axis(0, high) }), LIGHT);
    return [words(), canvas.pen.calls("drawImage").length];
  });
  assert.deepEqual(ends, [
    [6, 0],
    [0, 1],
    [0, 1],
    [6, 0],
  ]);
  assert.equal(sheets.length, 2); // the canvas and one sheet
  canvas.pen.log = [];
  paint(/** @type {any} */ (canvas), figure([curve()], { yaxis: axis(0, 2) }), DARK);
  assert.equal(words(), 6); // the other theme's colours
});

test("colours of the light theme become the reader's, with their opacity; others stay", () => {
  const colour = palette(DARK);
  assert.equal(colour("#D55E00"), DARK.colours[1]);
  assert.equal(colour("#1b2430"), DARK.text);
  assert.equal(colour("rgba(213, 94, 0, 0.5)"), "rgba(0,0,16,0.5)");
  assert.equal(colour("rgba(213,219,227,0.5)"), "rgba(47,57,69,0.5)");
  assert.deepEqual(["#123456", "steelblue"].map(colour), ["#123456", "steelblue"]);
});

// ---- what is read -------------------------------------------------------------------------------------------------

test("the nearest point, bar or cell, within reach and of one trace if asked", () => {
  const shown = figure([curve(), curve({ x: [0, 5, 10], y: [0.5, 0.9, 0.5] })]),
    places = geometry(shown, 640, 360);
  assert.deepEqual(nearest(shown, places, 341, 14), { trace: 0, point: 1, distance: 4 });
  assert.equal(nearest(shown, places, 341, 14, { trace: 1, reach: 40 })?.trace, 1);
  assert.equal(nearest(shown, places, 341, 200), undefined);
  const bars = figure([{ type: "bar", x: [2, 4], y: [0.5, 0.25], width: 2 }]),
    ground = geometry(bars, 640, 360);
  assert.deepEqual(nearest(bars, ground, 284, 300), { trace: 0, point: 1, distance: 0 });
  const cells = figure([
      {
        type: "heatmap",
        x: [2, 6],
        y: [0.2, 0.6],
        z: [
          [1, 2],
          [3, 4],
        ],
      },
    ]),
    field = geometry(cells, 640, 360);
  const { left, right, top, bottom } = place(cells, field, 0, 2);
  assert.equal(nearest(cells, field, (left + right) / 2, (top + bottom) / 2)?.point, 2);
  assert.equal(nearest(cells, field, 600, 20), undefined);
});

test("all curves at one x are read exactly, bands aren't", () => {
  const shown = figure(
    [
      curve({ hoverinfo: "skip", name: "" }),
      curve({ x: new Float32Array([0, 5, 10]), y: new Float32Array([0.1, 0.2, 0.3]), name: "first" }),
      curve({ y: [0.7, Number.NaN, 0.9], name: "second" }),
    ],
    { xaxis: axis(0, 10, { title: { text: "step" } }) },
  );
  const read = readout(shown, geometry(shown, 640, 360), 345, 100);
  assert.equal(read?.title, "step: 5");
  assert.deepEqual(
    read?.rows.map(({ name, text }) => [name, text]),
    [["first", "0.2"]],
  );
  const there = readout(shown, geometry(shown, 640, 360), 620, 100);
  assert.deepEqual(
    there?.rows.map(({ text }) => text),
    ["0.3", "0.9"],
  );
  assert.equal(readout(shown, geometry(shown, 640, 360), 20, 350), undefined);
});

test("templates and texts speak for a point", () => {
  const shown = figure([
    curve({
      hovertemplate: "loss %{y:.2f} of %{customdata[1]}<extra></extra>",
      customdata: [
        [0, "a"],
        [0, "b"],
        [0, "c"],
      ],
    }),
    curve({ text: ["low", "high", "mid"] }),
  ]);
  const places = geometry(shown, 640, 360);
  assert.equal(words(shown, places, 0, 2).text, "loss 0.50 of c");
  assert.equal(words(shown, places, 1, 1).text, "high");
});

test("pointing draws a guide, rings and a box that stays in the figure", () => {
  const shown = figure([curve({ name: "a curve with a long name" }), curve({ y: [0.3, 0.4, 0.5] })]);
  for (const [px, py, width] of [
    [60, 12, 640],
    [620, 12, 640],
    [620, 310, 640],
    [60, 310, 640],
    [120, 200, 240],
  ]) {
    const pen = drawn(shown, { hover: { px, py } }, LIGHT, width),
      [, [left, top, wide, tall]] = pen.calls("strokeRect")[0];
    assert.ok(left >= 0 && top >= 0 && left + wide <= width && top + tall <= 360, `${px} ${py}`);
    assert.equal(pen.calls("arc").length, 2);
  }
  assert.equal(drawn(shown).calls("strokeRect").length, 0);
});

test("the point that keys are at is ringed", () => {
  const ring = drawn(figure([curve()]), { focus: { trace: 0, point: 1 } }).calls("arc");
  assert.deepEqual(
    ring.map(([, [x, y], now]) => [x, y, now.strokeStyle]),
    [[341, 10, LIGHT.primary]],
  );
  drawn(figure([curve()]), { focus: { trace: 0, point: 99 } }); // a figure that has become shorter
  drawn(figure([curve()]), { focus: { trace: 3, point: 0 } }); // or has fewer traces
});

test("a point that Python has words for is read in those words", () => {
  const trace = {
    type: "scatter",
    mode: "markers",
    x: [1, 2],
    y: [0.2, 0.8],
    meta: { says: ["", "C, recomputed: 43%"] },
  };
  const shown = figure([trace]);
  const places = geometry(shown, 640, 360);
  const [x, y] = [places.axes.x.scale(2), places.axes.y.scale(0.8)];
  assert.deepEqual(readout(shown, places, x, y)?.rows, []);
  assert.equal(readout(shown, places, x, y)?.title, "C, recomputed: 43%");
  assert.equal(readout(shown, places, places.axes.x.scale(1), places.axes.y.scale(0.2))?.rows.length, 1);
});

test("words in the page's colour stand on something dark and have no halo", () => {
  const font = (/** @type {string} */ color) => ({ x: 5, y: 0.5, text: "92%", showarrow: false, font: { color } });
  const halos = (/** @type {string} */ colour) =>
    drawn(figure([], { annotations: [font(colour)] }), {}, DARK)
      .calls("strokeText")
      .filter(([, [words]]) => words === "92%").length;
  assert.equal(halos("#ffffff"), 0);
  assert.equal(halos("#1b2430"), 1);
});
