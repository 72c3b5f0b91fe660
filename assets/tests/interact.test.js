import assert from "node:assert/strict";
import { test } from "node:test";
import { attach } from "../interact.js";
import { geometry } from "../painter.js";
import { painted, rectangle, stepped, turned, valueAt, withPoint } from "../values.js";

// As much of a page's node as a figure's hands need.
class Node {
  /** @param {string} tag @param {any} [owner] */
  constructor(tag, owner) {
    this.tag = tag;
    this.ownerDocument = owner;
    this.className = this.textContent = "";
    /** @type {Record<string, string>} */
    this.attributes = {};
    /** @type {Node[]} */
    this.children = [];
    /** @type {any} */
    this.parent = undefined;
    this.style = { cursor: "" };
    /** @type {Record<string, ((event: any) => void)[]>} */
    this.listeners = {};
    this.captured = -1;
  }

  get id() {
    return this.attributes.id;
  }

  createElement(/** @type {string} */ tag) {
    return new Node(tag, this);
  }

  querySelector(/** @type {string} */ tag) {
    return this.children.find((child) => child.tag === tag);
  }

  appendChild(/** @type {Node} */ child) {
    this.children.push(child);
    child.parent = this;
  }

  remove() {
    this.parent.children = this.parent.children.filter((/** @type {Node} */ child) => child !== this);
  }

  getAttribute(/** @type {string} */ name) {
    return this.attributes[name] ?? null;
  }

  setAttribute(/** @type {string} */ name, /** @type {string} */ value) {
    this.attributes[name] = value;
  }

  removeAttribute(/** @type {string} */ name) {
    delete this.attributes[name];
  }

  addEventListener(/** @type {string} */ type, /** @type {(event: any) => void} */ listen) {
    this.listeners[type] = [...(this.listeners[type] ?? []), listen];
  }

  removeEventListener(/** @type {string} */ type, /** @type {(event: any) => void} */ listen) {
    this.listeners[type] = (this.listeners[type] ?? []).filter((other) => other !== listen);
  }

  setPointerCapture(/** @type {number} */ id) {
    this.captured = id;
  }

  focus() {
    this.fire("focus");
  }

  /** @param {string} type @param {Record<string, any>} [event] @returns {boolean} whether the default is prevented */
  fire(type, event = {}) {
    let prevented = false;
    const whole = {
      timeStamp: 7,
      button: 0,
      pointerId: 3,
      pointerType: "mouse",
      composedPath: () => [],
      preventDefault: () => {
        prevented = true;
      },
      ...event,
    };
    for (const listen of this.listeners[type] ?? []) listen(whole);
    return prevented;
  }
}

const axis = (/** @type {number} */ low, /** @type {number} */ high, /** @type {any} */ more = {}) => ({
  type: "linear",
  range: [low, high],
  tickvals: [],
  ticktext: [],
  ...more,
});
const figure = (/** @type {any[]} */ data, /** @type {any} */ layout = {}) => ({
  data,
  layout: { xaxis: axis(-6.125, 6.125), yaxis: axis(0, 1), margin: { l: 56, r: 14, t: 10, b: 44 }, ...layout },
});
const dots = (/** @type {any} */ meta = {}, /** @type {any} */ more = {}) => ({
  type: "scatter",
  mode: "markers",
  name: "x",
  x: new Float32Array([-2, 0, 0.5, 3]),
  y: [0.5, 0.5, 0.5, 0.5],
  meta: { drag: "moved", axis: "x", choose: "chosen", ...meta },
  ...more,
});
const CONTROLS = [
  { name: "moved", kind: "points" },
  { name: "chosen", kind: "whole" },
  { name: "level", kind: "number", stops: [0, 0.25, 0.5, 1], shown: ["none", "a quarter", "half", "all"] },
  { name: "norm", kind: "choice", choices: ["none", "batch", "layer"] },
  { name: "bin", kind: "whole" },
  { name: "steps", kind: "range" },
  { name: "mask", kind: "cells", stops: [] },
  { name: "angle", kind: "number", stops: [0, 90, 180, 270] },
  { name: "length", kind: "number", stops: [1, 2, 4] },
];

/** @param {any} shown @param {Record<string, any>} [values] */
function play(shown, values = {}) {
  const document = new Node("document"),
    host = new Node("div", document),
    canvas = new Node("canvas", document);
  host.appendChild(canvas);
  /** @type {any[]} */
  const said = [];
  const page = {
    document,
    host,
    canvas,
    said,
    figure: shown,
    locked: false,
    state: /** @type {any} */ ({}),
    repaints: 0,
    values: /** @type {Record<string, any>} */ ({
      moved: [],
      chosen: -1,
      level: 0.5,
      norm: "batch",
      bin: 0,
      steps: null,
      ...values,
    }),
    at: () => geometry(page.figure, 640, 360),
    node: (/** @type {number} */ k = 0) => host.children[1 + k],
    key: (/** @type {string} */ key, /** @type {any} */ more = {}, /** @type {number} */ k = 0) =>
      page.node(k).fire("keydown", { key, ...more }),
    drain: () => said.splice(0),
    hands: /** @type {any} */ (undefined),
  };
  page.hands = attach(/** @type {any} */ (host), {
    getFigure: () => page.figure,
    getGeometry: () => page.at(),
    getControls: () => CONTROLS,
    getValues: () => page.values,
    onInput: (control, value, time) => {
      assert.equal(time, 7);
      page.values = { ...page.values, [control]: value };
      said.push([control, value]);
    },
    onChange: () => said.push("change"),
    isLocked: () => page.locked,
    repaint: (state) => {
      page.state = state;
      page.repaints += 1;
    },
  });
  page.hands.update();
  return page;
}
const place = (/** @type {any} */ page, /** @type {number} */ x, /** @type {number} */ y) => {
  const { axes } = page.at();
  return { offsetX: axes.x.scale(x), offsetY: axes.y.scale(y) };
};

// ---- numbers ------------------------------------------------------------------------------------------------------

test("beyond the frame a pixel is worth more and more, on either side", () => {
  const { x } = geometry(figure([]), 640, 360).axes;
  assert.equal(valueAt(x, x.scale(0)), 0);
  assert.ok(Math.abs(valueAt(x, x.right + 40) - 6.125 * Math.E) < 1e-9);
  assert.ok(Math.abs(valueAt(x, x.left - 80) + 6.125 * Math.E ** 2) < 1e-9);
  const { y } = geometry(figure([], { yaxis: axis(0, 10) }), 640, 360).axes;
  assert.ok(Math.abs(valueAt(y, y.top - 40) - 10 * Math.E) < 1e-9);
  assert.ok(valueAt(y, y.bottom + 10) < 0); // zero can't grow: the axis goes on
});

test("a key is a tenth of a unit, with Shift a unit, and grows with the distance outside the frame", () => {
  const { x } = geometry(figure([]), 640, 360).axes;
  assert.ok(Math.abs(stepped(x, 1, 1, false) - 1.1) < 1e-12);
  assert.ok(Math.abs(stepped(x, 1, -1, true)) < 1e-12);
  assert.ok(Math.abs(stepped(x, 100, 1, false) - 110) < 1e-9);
  assert.ok(Math.abs(stepped(x, -100, 1, true)) < 1e-9);
  const { x: tiny } = geometry(figure([], { xaxis: axis(-0.06125, 0.06125) }), 640, 360).axes;
  assert.ok(Math.abs(stepped(tiny, 0.01, 1, false) - 0.011) < 1e-12);
});

test("around a circle the next stop may lie behind its end; a half turn begins again earlier", () => {
  assert.equal(turned([0, 90, 180, 270], 359), 0);
  assert.equal(turned([0, 90, 180, 270], -80), 270);
  assert.equal(turned([0, 45, 90, 135], 170, 180), 0);
  assert.equal(turned([0, 45, 90, 135], -50, 180), 135);
});

test("a rectangle has the cells between its corners, whichever come first", () => {
  assert.deepEqual(rectangle(7, 2, 4), [2, 3, 6, 7]);
  assert.deepEqual(rectangle(5, 5, 4), [5]);
  assert.deepEqual(painted([9, 3], [3, 4], true), [3, 4, 9]);
  assert.deepEqual(painted([9, 3], [3, 4], false), [9]);
});

test("eight points are kept, in order of their number, with four digits and within a million", () => {
  const eight = /** @type {[number, number][]} */ (Array.from({ length: 8 }, (_, i) => [i, i]));
  assert.deepEqual(withPoint(eight, 20, 1.23456), [...eight.slice(1), [20, 1.235]]);
  assert.deepEqual(
    withPoint(
      [
        [5, 1],
        [2, 1],
      ],
      3,
      1e9,
    ),
    [
      [2, 1],
      [3, 1e6],
      [5, 1],
    ],
  );
  assert.deepEqual(withPoint([[5, 1]], 5, 2), [[5, 2]]);
});

// ---- dragging -----------------------------------------------------------------------------------------------------

test("a dot is taken within 28 pixels, chosen, and follows the pointer until it is let go", () => {
  const page = play(figure([dots()]));
  const { offsetX, offsetY } = place(page, 3, 0.5);
  assert.equal(page.canvas.fire("pointerdown", { offsetX: offsetX + 27, offsetY: offsetY - 28 }), true);
  assert.equal(page.canvas.captured, 3);
  page.canvas.fire("pointermove", place(page, 4, 0.9));
  page.canvas.fire("pointerup", place(page, 4, 0.9));
  assert.deepEqual(page.drain(), [["chosen", 3], ["moved", [[3, 4]]], "change"]);
  page.canvas.fire("pointermove", place(page, 5, 0.5));
  for (const [dx, dy] of [
    [28, 0],
    [0, 29],
  ]) {
    const spot = { offsetX: offsetX + dx, offsetY: offsetY + dy };
    assert.equal(page.canvas.fire("pointerdown", spot), false);
    page.canvas.fire("pointerup", spot);
  }
  assert.deepEqual(page.drain(), []);
});

test("near the chosen dot it is that one that is taken, by a finger from farther away", () => {
  const shown = figure([dots({}, { x: [0, 0.2, 3, 4] })]),
    { x } = geometry(shown, 640, 360).axes;
  const apart = x.scale(0.2) - x.scale(0);
  for (const [pointerType, reach] of /** @type {[string, number][]} */ ([
    ["mouse", 10],
    ["pen", 14],
    ["touch", 20],
  ])) {
    for (const [away, taken] of [
      [reach - 0.5, 0],
      [reach + 0.5, 1],
    ]) {
      const page = play(shown, { chosen: 0 }),
        spot = place(page, 0, 0.5);
      assert.ok(apart < 10);
      page.canvas.fire("pointerdown", { pointerType, offsetX: spot.offsetX + away, offsetY: spot.offsetY });
      assert.deepEqual(page.drain(), taken ? [["chosen", 1]] : [], `${pointerType} ${away}`);
    }
  }
});

test("a dot that has left the frame waits at its edge", () => {
  const page = play(figure([dots({}, { x: [-2, 0, 0.5, 5000] })]));
  page.canvas.fire("pointerdown", place(page, 6.1, 0.5));
  assert.deepEqual(page.drain(), [["chosen", 3]]);
});

test("points have numbers of their own where the figure says so", () => {
  const page = play(figure([dots({ ids: [40, 30, 20, 10] })]), { chosen: 30 });
  assert.match(page.node().attributes["aria-valuetext"], /^point 2 of 4/);
  page.canvas.fire("pointerdown", place(page, -2, 0.5));
  page.canvas.fire("pointermove", place(page, -1, 0.5));
  assert.deepEqual(page.drain(), [
    ["chosen", 40],
    ["moved", [[40, -1]]],
  ]);
});

test("a number takes the nearest of its stops, up and down, and a finger doesn't scroll meanwhile", () => {
  const handle = dots({ drag: "level", axis: "y", choose: undefined, index: 0 }, { x: [0], y: [0.5] });
  const page = play(figure([handle])),
    spot = { ...place(page, 0, 0.5), pointerType: "touch" };
  assert.equal(page.canvas.fire("touchstart"), false);
  page.canvas.fire("pointerdown", spot);
  assert.equal(page.canvas.fire("touchstart"), true);
  page.canvas.fire("pointermove", place(page, 3, 0.3));
  page.canvas.fire("pointercancel");
  assert.deepEqual(page.drain(), [["level", 0.25], "change"]);
  const across = play(figure([dots()]));
  across.canvas.fire("pointerdown", { ...place(across, 0, 0.5), pointerType: "touch" });
  assert.equal(across.canvas.fire("touchstart"), false); // a swipe up or down still scrolls the page
});

test("keys: arrows move, Page Up and Down choose, letting go commits", () => {
  const page = play(figure([dots()]), { chosen: 1 });
  assert.ok(page.key("ArrowRight"));
  assert.ok(page.key("ArrowRight", { shiftKey: true })); // from what was asked for, not from what is still shown
  page.node().fire("keyup", { key: "ArrowRight" });
  assert.deepEqual(page.drain(), [["moved", [[1, 0.1]]], ["moved", [[1, 1.1]]], "change"]);
  page.key("PageDown");
  page.key("PageDown");
  page.node().fire("keyup", { key: "PageDown" });
  assert.deepEqual(page.drain(), [["chosen", 0], ["chosen", 3], "change"]);
  page.node().fire("keyup", { key: "PageDown" });
  for (const key of ["ArrowUp", "a", "Tab"]) assert.equal(page.key(key), false, key);
  assert.equal(page.key("ArrowRight", { ctrlKey: true }), false);
  assert.deepEqual(page.drain(), []);
});

test("without a control that names it, the point at hand is remembered", () => {
  const page = play(figure([dots({ choose: undefined })]), { moved: [[2, 0.5]] });
  page.key("ArrowRight"); // the one that was moved
  page.key("PageUp");
  page.key("ArrowRight");
  assert.deepEqual(
    page.drain().map(([, value]) => value),
    [
      [[2, 0.6]],
      [
        [2, 0.6],
        [3, 3.1],
      ],
    ],
  );
});

test("keys of a number go from stop to stop", () => {
  const page = play(figure([dots({ drag: "level", choose: undefined, index: 0 })]), { level: 0.5 });
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "Home", "End", "PageDown"]) page.key(key);
  assert.deepEqual(
    page.drain().map(([, value]) => value),
    [1, 1, 0.5, 0, 1, 0],
  );
});

// ---- clicks and brushes -------------------------------------------------------------------------------------------

const names = axis(-0.5, 2.5, { type: "category", categoryarray: ["none", "batch", "layer"] });
const bars = figure(
  [
    {
      type: "bar",
      name: "accuracy",
      x: ["none", "batch", "layer"],
      y: [0.9, 0.7, 0.8],
      width: 0.8,
      meta: { click: "norm" },
    },
  ],
  { xaxis: names },
);

test("a click on a bar chooses its category; a swipe over it doesn't", () => {
  const page = play(bars),
    spot = place(page, /** @type {any} */ ("layer"), 0.4);
  assert.equal(page.canvas.fire("pointerdown", spot), false);
  page.canvas.fire("pointerup", spot);
  assert.deepEqual(page.drain(), [["norm", "layer"], "change"]);
  page.canvas.fire("pointerdown", spot);
  page.canvas.fire("pointermove", { ...spot, offsetY: spot.offsetY + 20 });
  page.canvas.fire("pointerup", { ...spot, offsetY: spot.offsetY + 20 });
  page.canvas.fire("pointerdown", { ...spot, pointerType: "touch" });
  page.canvas.fire("pointercancel"); // the browser scrolls
  page.canvas.fire("pointerup", spot);
  assert.deepEqual(page.drain(), []);
});

test("values speak for points and cells; without them it is the x", () => {
  const cells = {
    type: "heatmap",
    x: [-3, 3],
    y: [0.25, 0.75],
    z: [
      [1, 2],
      [3, 4],
    ],
    zmin: 0,
    zmax: 4,
    colorscale: [],
  };
  for (const [meta, value] of [
    [{ click: "bin", values: [5, 6, 7, 8] }, 8],
    [{ click: "bin" }, 3],
  ]) {
    const page = play(figure([{ ...cells, meta }]));
    page.canvas.fire("pointerdown", place(page, 2, 0.8));
    page.canvas.fire("pointerup", place(page, 2, 0.8));
    assert.deepEqual(page.drain(), [["bin", value], "change"]);
  }
  const page = play(figure([dots({ drag: undefined, click: "bin" }, { x: new Float32Array([0.1, 2, 4, 6]) })]));
  page.canvas.fire("pointerdown", place(page, 0.1, 0.5));
  page.canvas.fire("pointerup", place(page, 0.1, 0.5));
  assert.deepEqual(page.drain(), [["bin", 0.1], "change"]); // not 0.10000000149
});

test("keys go from bar to bar and over a heat map's cells as they lie, Enter and Space choose", () => {
  const page = play(bars);
  page.key("ArrowRight");
  assert.deepEqual(page.state.focus, { trace: 0, point: 2 }); // from the one that is chosen
  page.key("ArrowRight");
  page.key("Enter");
  page.key("Home");
  page.key(" ");
  assert.deepEqual(page.drain(), [["norm", "layer"], "change", ["norm", "none"], "change"]);
  const z = [
      [1, 2, 3],
      [4, 5, 6],
    ],
    cells = { type: "heatmap", x: [-4, 0, 4], y: [0.25, 0.75], z, meta: { click: "bin", values: [0, 1, 2, 3, 4, 5] } };
  const field = play(figure([cells]), { bin: 1 });
  const walked = ["ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowRight"].map((key) => {
    field.key(key);
    return field.state.focus.point;
  });
  assert.deepEqual(walked, [4, 5, 5, 2, 2, 2]);
});

test("a pointer drawn across cells chooses each one under it; a finger that scrolls the page none", () => {
  const z = [new Float32Array([0, 1, 2]), new Float32Array([3, 4, 5])],
    meta = { click: "bin", values: [5, 6, 7, 8, 9, 10], sweep: true },
    page = play(figure([{ type: "heatmap", x: [-4, 0, 4], y: [0.25, 0.75], z, meta }]), { bin: 5 });
  page.canvas.fire("pointerdown", place(page, -4, 0.25));
  assert.equal(page.canvas.captured, 3);
  page.canvas.fire("pointermove", place(page, -3.8, 0.25));
  for (const [x, y] of [
    [0, 0.25],
    [0.5, 0.3],
    [4, 0.75],
    [900, 0.75],
  ])
    page.canvas.fire("pointermove", place(page, x, y));
  page.canvas.fire("pointerup", place(page, 4, 0.75));
  assert.deepEqual(page.drain(), [["bin", 6], ["bin", 10], "change"]);
  page.canvas.fire("pointermove", place(page, 0, 0.25));
  page.canvas.fire("pointerdown", { ...place(page, 0, 0.25), pointerType: "touch" });
  page.canvas.fire("pointercancel", {});
  assert.deepEqual(page.drain(), [], "let go");
});

// Six cells in two rows, the lower one first; the numbers of the cells are their own.
const canvasOfCells = (/** @type {any} */ meta = {}) => {
  const z = [new Float32Array([0, 1, 2]), new Float32Array([3, 4, 5])];
  return figure([
    { type: "heatmap", x: [-4, 0, 4], y: [0.25, 0.75], z, name: "cells", meta: { paint: "mask", ...meta } },
  ]);
};

test("a stroke paints the rectangle from its first cell, also beyond the edge, and lets go of what it leaves", () => {
  const page = play(canvasOfCells({ ids: [10, 11, 12, 20, 21, 22] }), { mask: [12] });
  assert.ok(page.canvas.fire("pointerdown", place(page, -4, 0.25)), "the page isn't scrolled or selected");
  assert.equal(page.canvas.captured, 3);
  page.canvas.fire("pointermove", place(page, 900, 40));
  page.canvas.fire("pointermove", place(page, 0, 0.75));
  page.canvas.fire("pointerup", place(page, 0, 0.75));
  assert.deepEqual(page.drain(), [
    ["mask", [10, 12]],
    ["mask", [10, 11, 12, 20, 21, 22]],
    ["mask", [10, 11, 12, 20, 21]],
    "change",
  ]);
  page.canvas.fire("pointermove", place(page, 4, 0.75));
  assert.deepEqual(page.drain(), [], "let go");
});

test("a stroke that begins on a painted cell erases, but from the cell at home it paints", () => {
  const page = play(canvasOfCells({ home: 2 }), { mask: [0, 1, 2, 4] });
  page.canvas.fire("pointerdown", place(page, 0, 0.25));
  page.canvas.fire("pointermove", place(page, 0, 0.75));
  page.canvas.fire("pointerup", place(page, 0, 0.75));
  assert.deepEqual(page.values.mask, [0, 2]);
  page.canvas.fire("pointerdown", place(page, 4, 0.25));
  page.canvas.fire("pointermove", place(page, 4, 0.75));
  page.canvas.fire("pointerup", place(page, 4, 0.75));
  assert.deepEqual(page.values.mask, [0, 2, 5]);
});

test("a finger that paints doesn't scroll the page; one that has nothing to paint does", () => {
  const page = play(canvasOfCells(), { mask: [] });
  page.canvas.fire("pointerdown", { ...place(page, 0, 0.25), pointerType: "touch" });
  assert.ok(page.canvas.fire("touchstart"));
  page.canvas.fire("pointercancel");
  assert.deepEqual(page.drain(), [["mask", [1]], "change"]);
  page.canvas.fire("pointerdown", { offsetX: 5, offsetY: 355, pointerType: "touch" });
  assert.ok(!page.canvas.fire("touchstart"));
});

test("keys paint: arrows go from cell to cell, with Shift they take along what lies between, Space is one cell", () => {
  const page = play(canvasOfCells({ home: 1 }), { mask: [] });
  page.key("ArrowLeft");
  assert.deepEqual(page.drain(), []);
  page.key(" ");
  assert.deepEqual(page.drain(), [["mask", [0]], "change"]);
  page.key("ArrowUp");
  page.key("ArrowRight", { shiftKey: true });
  page.key("ArrowRight", { shiftKey: true });
  page.key("ArrowDown", { shiftKey: true });
  page.key("ArrowLeft", { shiftKey: true });
  page.node().fire("keyup", { key: "ArrowLeft" });
  assert.deepEqual(page.drain(), [
    ["mask", [0, 3, 4]],
    ["mask", [0, 3, 4, 5]],
    ["mask", [0, 1, 2, 3, 4, 5]],
    ["mask", [0, 1, 3, 4]],
    "change",
  ]);
  page.key("ArrowLeft");
  page.key("Enter");
  assert.deepEqual(page.values.mask, [1, 3, 4]);
  page.key("ArrowRight", { shiftKey: true });
  assert.deepEqual(page.values.mask, [0, 1, 3, 4]);
  page.key("ArrowUp");
  page.key("ArrowRight", { shiftKey: true });
  assert.deepEqual(page.values.mask, [0, 1, 3], "a new stroke begins where the keys are, here on a painted cell");
});

test("what can be painted is a list in which several are chosen, in Python's words", () => {
  const page = play(canvasOfCells({ says: ["a", "b", "c", "d", "e", "f"], home: 1 }), { mask: [1] });
  const option = () => page.node().children.find(({ id }) => id === page.node().attributes["aria-activedescendant"]);
  assert.equal(page.node().attributes.role, "listbox");
  assert.equal(page.node().attributes["aria-multiselectable"], "true");
  assert.equal(option()?.textContent, "b");
  assert.equal(option()?.attributes["aria-selected"], "true");
  page.key("ArrowRight");
  assert.equal(option()?.textContent, "c");
  assert.equal(option()?.attributes["aria-selected"], "false");
});

test("an angle and a distance are those of the pointer around 0, 0; a finger doesn't scroll meanwhile", () => {
  const dot = (/** @type {any} */ meta) => dots({ choose: undefined, ...meta }, { x: [2], y: [0] });
  const round = { yaxis: axis(-6.125, 6.125) };
  const page = play(figure([dot({ drag: "angle", axis: "angle" })], round), { angle: 0 });
  page.canvas.fire("pointerdown", { ...place(page, 2, 0), pointerType: "touch" });
  assert.ok(page.canvas.fire("touchstart"));
  const around = [
    [1, 3],
    [-3, 1],
    [-1, -5],
    [3, -0.1],
  ];
  for (const [x, y] of around) {
    const { axes } = page.at();
    page.canvas.fire("pointermove", { offsetX: axes.x.scale(x), offsetY: axes.y.scale(y) });
  }
  page.canvas.fire("pointerup", {});
  const angles = page.drain().filter((each) => each[0] === "angle");
  assert.deepEqual(
    angles.map(([, value]) => value),
    [90, 180, 270, 0],
  );
  const far = play(figure([dot({ drag: "length", axis: "radius" })], round), { length: 2 });
  far.canvas.fire("pointerdown", place(far, 2, 0));
  const { axes } = far.at();
  far.canvas.fire("pointermove", { offsetX: axes.x.scale(-3), offsetY: axes.y.scale(3) });
  assert.equal(far.values.length, 4);
});

test("a brush selects from where it is pressed to where it is let go; its ends can be moved, two clicks take all", () => {
  const page = play(figure([{ ...dots(), mode: "lines", meta: { brush: "steps" } }]));
  const stroke = (/** @type {number} */ from, /** @type {number} */ to) => {
    page.canvas.fire("pointerdown", place(page, from, 0.2));
    page.canvas.fire("pointermove", place(page, to, 0.3));
    page.canvas.fire("pointerup", place(page, to, 0.3));
    return page.drain();
  };
  assert.deepEqual(stroke(3, -2), [["steps", [-2, 3]], "change"]);
  assert.deepEqual(stroke(3.05, 20), [["steps", [-2, 6.125]], "change"]);
  assert.deepEqual(stroke(-2.05, -4), [["steps", [-4, 6.125]], "change"]);
  assert.deepEqual(stroke(1, 1.01), []);
  page.canvas.fire("dblclick", place(page, 1, 0.2));
  assert.deepEqual(page.drain(), [["steps", [-6.125, 6.125]], "change"]);
  page.values.steps = [-1, 1];
  for (const key of ["ArrowRight", "ArrowUp", "ArrowDown"]) page.key(key, { shiftKey: true });
  assert.deepEqual(
    page.drain().map(([, range]) => range),
    [
      [0.225, 2.225],
      [-1, 3.45],
      [0.225, 2.225],
    ],
  );
  page.hands.update();
  assert.equal(page.node().attributes["aria-valuetext"], "0.225 to 2.225");
});

test("a brush and clicks on the same axes: without a stroke it is a click", () => {
  const page = play(
    figure([
      { ...bars.data[0], x: [-3, 0, 3], width: 2, meta: { click: "bin" } },
      { ...dots(), mode: "lines", meta: { brush: "steps" } },
    ]),
  );
  page.canvas.fire("pointerdown", place(page, 3, 0.2));
  page.canvas.fire("pointerup", place(page, 3, 0.2));
  page.canvas.fire("pointerdown", place(page, 3, 0.2));
  page.canvas.fire("pointermove", place(page, 0, 0.2));
  page.canvas.fire("pointerup", place(page, 0, 0.2));
  assert.deepEqual(page.drain(), [["bin", 3], "change", ["steps", [0, 3]], "change"]);
});

// ---- reading ------------------------------------------------------------------------------------------------------

test("a mouse shows values while it is there, a finger until it is put elsewhere, the keyboard at its point", () => {
  const page = play(bars),
    spot = place(page, /** @type {any} */ ("batch"), 0.4);
  const shown = { px: spot.offsetX, py: spot.offsetY };
  page.canvas.fire("pointermove", spot);
  assert.deepEqual(page.state.hover, shown);
  assert.equal(page.canvas.style.cursor, "pointer");
  page.canvas.fire("pointerleave");
  assert.equal(page.state.hover, undefined);
  page.canvas.fire("pointerdown", { ...spot, pointerType: "touch" });
  page.canvas.fire("pointerup", { ...spot, pointerType: "touch" });
  page.canvas.fire("pointerleave", { pointerType: "touch" });
  assert.deepEqual(page.state.hover, shown);
  page.document.fire("pointerdown", { composedPath: () => [page.host] });
  assert.deepEqual(page.state.hover, shown);
  page.document.fire("pointerdown");
  assert.equal(page.state.hover, undefined);
  page.node().fire("focus");
  assert.equal(page.state.hover.px, spot.offsetX);
  page.node().fire("blur");
  assert.deepEqual([page.state.hover, page.state.focus], [undefined, undefined]);
});

test("a figure without controls can be read with keys, too", () => {
  const page = play(figure([{ ...dots(), mode: "lines", meta: undefined }]));
  assert.equal(page.host.children.length, 2);
  assert.deepEqual([page.node().attributes.role, page.node().attributes["data-control"]], ["slider", undefined]);
  page.key("End");
  assert.equal(page.node().attributes["aria-valuetext"], "3; x: 0.5");
  assert.deepEqual(page.drain(), []);
});

// ---- for those who don't see it -----------------------------------------------------------------------------------

test("one element for each interactive trace, where it is, with true values", () => {
  const says = ["a", "b", "c", "d"].map((name) => `dot ${name}`);
  const page = play(
    figure([dots({ says }), { ...dots({ drag: undefined, click: "bin" }), name: "cloud" }, dots({ drag: undefined })]),
    { chosen: 3 },
  );
  assert.deepEqual(
    page.host.children
      .slice(1)
      .map(({ attributes }) => [
        attributes.role,
        attributes.tabindex,
        attributes["data-control"],
        attributes["aria-label"],
      ]),
    [
      ["slider", "0", "moved", "x"],
      ["listbox", "0", "bin", "cloud"],
    ],
  );
  const now = () => ["min", "max", "now", "text"].map((end) => page.node().attributes[`aria-value${end}`]);
  assert.deepEqual(now(), ["-6.125", "6.125", "3", "dot d"]);
  assert.match(page.node().attributes.style, /^left:56px;top:10px;width:570px;height:306px$/);
  page.figure = figure([dots({}, { x: [-2, 0, 0.5, 5000] })]);
  page.hands.update();
  assert.deepEqual(now(), ["-6.125", "5000", "5000", "point 4 of 4: 5000, 0.5"]);
  assert.equal(page.host.children.length, 2);
  page.hands.destroy();
  assert.equal(page.host.children.length, 1);
  assert.deepEqual(Object.values(page.canvas.listeners).flat(), []);
});

test("stops are said in the control's words; a listbox names the option that keys are at", () => {
  const level = play(figure([dots({ drag: "level", choose: undefined, index: 0 })]), { level: 0.25 });
  assert.deepEqual(
    ["min", "max", "now", "text"].map((end) => level.node().attributes[`aria-value${end}`]),
    ["0", "1", "0.25", "a quarter"],
  );
  const page = play(bars);
  const active = () => page.node().children.find(({ id }) => id === page.node().attributes["aria-activedescendant"]);
  const said = () => [
    active()?.textContent,
    active()?.attributes["aria-selected"],
    active()?.attributes["aria-posinset"],
  ];
  assert.deepEqual(said(), ["batch, 0.7", "true", "2"]);
  const before = active();
  page.key("ArrowRight");
  assert.deepEqual(said(), ["layer, 0.8", "false", "3"]);
  assert.notEqual(active(), before);
  page.key("Enter");
  assert.deepEqual(said(), ["layer, 0.8", "true", "3"]);
});

test("a point that is joined by others becomes a list of options", () => {
  const cloud = (/** @type {any} */ more) => figure([dots({ drag: undefined, choose: undefined, click: "bin" }, more)]);
  const page = play(cloud({ x: [0], y: [0.5] }));
  assert.equal(page.node().attributes.role, "button");
  page.figure = cloud({});
  page.hands.update();
  assert.equal(page.node().attributes.role, "listbox");
  assert.equal(page.node().children.length, 2);
});

test("a locked figure takes no pointer and no key", () => {
  const page = play(figure([dots()]), { chosen: 1 });
  page.locked = true;
  page.hands.update();
  assert.equal(page.node().attributes["aria-disabled"], "true");
  assert.equal(page.canvas.fire("pointerdown", place(page, 0, 0.5)), false);
  page.canvas.fire("pointermove", place(page, 1, 0.5));
  page.canvas.fire("pointerup", place(page, 1, 0.5));
  assert.equal(page.key("ArrowRight"), false);
  page.node().fire("keyup", { key: "ArrowRight" });
  assert.deepEqual(page.drain(), []);
  assert.equal(page.state.hover, undefined);
  page.locked = false;
  page.hands.update();
  assert.equal(page.node().attributes["aria-disabled"], undefined);
});

test("a right button and a second finger change nothing", () => {
  const page = play(figure([dots()]));
  for (const odd of [{ button: 2 }, { isPrimary: false }]) {
    assert.equal(page.canvas.fire("pointerdown", { ...place(page, 0, 0.5), ...odd }), false);
  }
  assert.deepEqual(page.drain(), []);
});

// ---- scrubbing ----------------------------------------------------------------------------------------------------

const curves = (/** @type {number} */ last = 60) => {
  const x = Array.from({ length: last + 1 }, (_, i) => i);
  const curve = (/** @type {string} */ name, /** @type {number} */ level) => ({
    ...{ type: "scatter", mode: "lines", name, x, y: x.map(() => level), meta: { scrub: "step" } },
  });
  const title = { title: "Loss" };
  return figure([curve("no norm", 0.5), curve("batch norm", 0.25)], { xaxis: axis(0, 200), meta: title });
};

test("pressing anywhere on a plot puts what is scrubbed there, and dragging takes it along", () => {
  const page = play(curves(), { step: 60 });
  assert.equal(page.host.children.length, 2, "one thing to focus, however many curves");
  assert.ok(page.canvas.fire("pointerdown", place(page, 40.3, 0.9)));
  assert.equal(page.canvas.captured, 3);
  page.canvas.fire("pointermove", place(page, 40.9, 0.1));
  page.canvas.fire("pointermove", place(page, 900, 0.5));
  page.canvas.fire("pointerup", place(page, 900, 0.5));
  page.canvas.fire("pointermove", place(page, 20, 0.5));
  assert.deepEqual(page.drain(), [["step", 40], ["step", 41], ["step", 200], "change"]);
  assert.equal(page.canvas.style.cursor, "col-resize");
  assert.equal(page.canvas.fire("pointerdown", place(page, -20, 0.5)), false, "beside the plot");
  page.locked = true;
  assert.equal(page.canvas.fire("pointerdown", place(page, 20, 0.5)), false);
  assert.deepEqual(page.drain(), []);
});

test("a finger that swipes up or down scrolls the page: it scrubs when it has moved sideways, or on a tap", () => {
  const page = play(curves(), { step: 60 }),
    spot = { ...place(page, 40, 0.5), pointerType: "touch", buttons: 1 };
  page.canvas.fire("pointerdown", spot);
  page.canvas.fire("pointermove", { ...spot, offsetX: spot.offsetX + 3, offsetY: spot.offsetY + 30 });
  page.canvas.fire("pointercancel", spot);
  assert.deepEqual(page.drain(), []);
  assert.equal(page.canvas.fire("touchstart"), false, "and may go on");
  page.canvas.fire("pointerdown", spot);
  page.canvas.fire("pointerup", spot);
  assert.deepEqual(page.drain(), [["step", 40], "change"]);
  page.canvas.fire("pointerdown", spot);
  page.canvas.fire("pointermove", { ...place(page, 80, 0.4), pointerType: "touch", buttons: 1 });
  page.canvas.fire("pointerup", { ...place(page, 80, 0.4), pointerType: "touch" });
  assert.deepEqual(page.drain(), [["step", 80], "change"]);
});

test("what is scrubbed is a slider: keys go step by step, and its text says what is read there", () => {
  const page = play(curves(), { step: 60 }),
    node = page.node();
  const { "aria-valuetext": text, ...told } = node.attributes;
  assert.deepEqual(
    [told.role, told["aria-label"], told["aria-valuemin"], told["aria-valuemax"], told["aria-valuenow"]].map(String),
    ["slider", "Loss: step", "0", "200", "60"],
  );
  assert.equal(text, "step 60; no norm: 0.5; batch norm: 0.25");
  for (const [key, more, step] of /** @type {[string, any, number][]} */ ([
    ["ArrowRight", {}, 61],
    ["ArrowLeft", {}, 60],
    ["ArrowUp", { shiftKey: true }, 70],
    ["PageUp", {}, 80],
    ["PageDown", {}, 70],
    ["Home", {}, 0],
    ["End", {}, 200],
  ])) {
    assert.ok(page.key(key, more), key);
    assert.deepEqual(page.drain(), [["step", step]], key);
  }
  assert.ok(page.key("ArrowRight"), "the end stays the end");
  assert.equal(page.key("Enter"), false);
  node.fire("keyup", { key: "ArrowRight" });
  assert.deepEqual(page.drain(), ["change"]);
});

test("where nothing was measured at this step, the slider says of which step the values are", () => {
  const shown = curves();
  for (const trace of shown.data) Object.assign(trace, { x: [0, 50, 100], y: [0.1, 0.2, 0.3] });
  const page = play(shown, { step: 60 }),
    text = () => page.node().attributes["aria-valuetext"];
  assert.equal(text(), "step 60; values at 50; no norm: 0.2; batch norm: 0.2");
  page.values = { ...page.values, step: 50 };
  page.hands.update();
  assert.equal(text(), "step 50; no norm: 0.2; batch norm: 0.2");
});

test("with the keyboard's focus the values at the playhead are shown, also when it has moved by itself", () => {
  const page = play(curves(), { step: 60 }),
    { x, y } = page.at().axes;
  page.node().fire("focus");
  assert.deepEqual(page.state.hover, { px: x.scale(60), py: (y.top + y.bottom) / 2 });
  page.values = { ...page.values, step: 80 };
  page.hands.follow();
  assert.equal(page.state.hover.px, x.scale(80));
  page.node().fire("blur");
  page.hands.follow();
  assert.equal(page.state.hover, undefined);
});

test("the ring of the focus is for keys: what a pointer has taken has none until one is pressed", () => {
  const page = play(curves(), { step: 60 }),
    pressed = () => page.node().attributes["data-pressed"];
  page.canvas.fire("pointerdown", place(page, 40, 0.5));
  assert.equal(pressed(), "true");
  page.key("ArrowRight");
  assert.equal(pressed(), undefined);
  page.canvas.fire("pointerdown", place(page, 40, 0.5));
  page.node().fire("blur");
  assert.equal(pressed(), undefined);
});

test("a control with stops is scrubbed from stop to stop", () => {
  const trace = { type: "scatter", mode: "lines", x: [0, 1], y: [0, 1], meta: { scrub: "level" } };
  const page = play(figure([trace], { xaxis: axis(0, 1) }), { level: 0.5 });
  page.canvas.fire("pointerdown", place(page, 0.3, 0.5));
  assert.deepEqual(page.drain(), [["level", 0.25]]);
  page.key("ArrowRight");
  assert.deepEqual(page.drain(), [["level", 0.5]]);
});
