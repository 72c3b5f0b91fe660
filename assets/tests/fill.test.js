import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fill } from "../fill.js";
import { Lanes } from "../frames.js";

/** @typedef {import("../plotting.js").Figure} Figure */

// Written in Python, with what Python makes of the same templates: tests/book/race/test_fill.py keeps it up to date.
const SHARED = JSON.parse(readFileSync(new URL("../../tests/shared/panels.json", import.meta.url), "utf-8"));

/** @type {(numbers: (number | null)[]) => Float32Array} */
const floats = (numbers) => Float32Array.from(numbers, number);
const number = (/** @type {any} */ value) => (value === null ? Number.NaN : Number(value));

/** @param {any} known @param {number} [block] rows in a message */
function received(known, block = 1000) {
  const lanes = new Lanes(known);
  for (const [from, ghost] of /** @type {[any, boolean][]} */ ([
    [known.rows, false],
    [known.ghosts, true],
  ])) {
    for (const [lane, rows] of Object.entries(from))
      for (let first = 0; first < rows.length; first += block)
        lanes.append({ lane: Number(lane), ghost, arrays: { rows: floats(rows.slice(first, first + block).flat()) } });
  }
  for (const [what, list, steps] of [
    [known.surfaces, "surfaces", "surface_steps"],
    [known.clouds, "clouds", "cloud_steps"],
  ])
    for (const [lane, kept] of Object.entries(what))
      lanes.append({
        lane: Number(lane),
        arrays: { rows: new Float32Array(0), [list]: floats(kept.flatMap((/** @type {any} */ one) => one.values)) },
        [steps]: kept.map((/** @type {any} */ one) => one.step),
      });
  return lanes;
}

// Two figures are the same: texts, flags and names exactly, numbers to a millionth, and nothing is missing.
/** @param {any} made @param {any} expected @param {string} path */
function same(made, expected, path) {
  if (Array.isArray(expected)) {
    assert.equal(made.length, expected.length, `${path}: length`);
    for (const [i, each] of expected.entries()) same(made[i], each, `${path}[${i}]`);
  } else if (typeof expected === "object" && expected !== null) {
    assert.deepEqual(Object.keys(made).sort(), Object.keys(expected).sort(), path);
    for (const [name, each] of Object.entries(expected)) same(made[name], each, `${path}.${name}`);
  } else if (typeof made === "number") {
    const wanted = number(expected);
    if (!Number.isFinite(wanted)) assert.equal(made, wanted, path);
    else assert.ok(Math.abs(made - wanted) <= 1e-6 * Math.max(1e-12, Math.abs(wanted)), `${path}: ${made} ${wanted}`);
  } else assert.equal(made, expected, path);
}

for (const { race, step, horizon, filled } of SHARED.cases) {
  test(`${race} at step ${step} of ${horizon}: what Python makes of it`, () => {
    for (const block of [1000, 2]) {
      const lanes = received(SHARED.races[race], block);
      for (const [name, template] of Object.entries(SHARED.templates))
        same(fill(/** @type {Figure} */ (template), lanes, { step, horizon, ghost: { lanes } }), filled[name], name);
    }
  });
}

test("moments in any order give what each gives alone", () => {
  const cases = SHARED.cases.filter((/** @type {any} */ one) => one.race === "usual"),
    lanes = received(SHARED.races.usual);
  for (const { step, horizon, filled } of [...cases, ...cases.reverse()])
    for (const [name, template] of Object.entries(SHARED.templates))
      same(fill(/** @type {Figure} */ (template), lanes, { step, horizon }), { ...filled[name] }, name);
});

test("a figure stays what it was while the race goes on", () => {
  const { rows, ...known } = SHARED.races.usual,
    lanes = received({ ...known, rows: rows.map((/** @type {any} */ all) => all.slice(0, 4)) });
  const before = fill(SHARED.templates.curves, lanes, { step: 6, horizon: 10 }),
    copy = structuredClone(before);
  rows.forEach((/** @type {any} */ all, /** @type {number} */ lane) => {
    lanes.append({ lane, arrays: { rows: floats(all.slice(4).flat()) } });
  });
  const after = fill(SHARED.templates.curves, lanes, { step: 10, horizon: 10 });
  assert.deepEqual(before, copy);
  assert.ok(after.data[0].y.length > before.data[0].y.length);
});

test("what isn't bound is the template's own, and axes stay the same objects while they say the same", () => {
  const lanes = received(SHARED.races.usual),
    { curves, layers } = SHARED.templates;
  const [one, two] = [4, 5].map((step) => fill(curves, lanes, { step, horizon: 10 }));
  assert.equal(one.data[0].line, curves.data[0].line);
  assert.equal(one.layout.xaxis, two.layout.xaxis);
  assert.equal(one.data[0].y.buffer, two.data[0].y.buffer, "curves are parts of one array");
  assert.equal(fill(layers, lanes, { step: 4, horizon: 10 }).data[0].x, layers.data[0].x);
});

test("the ghost is what was sent of it, another race's own rows, or nothing", () => {
  const lanes = received(SHARED.races.ghosts),
    other = received(SHARED.races.usual);
  const ghosts = (/** @type {any} */ ghost) =>
    fill(SHARED.templates.curves, lanes, { step: 4, horizon: 10, ghost })
      .data.slice(4)
      .map(({ y }) => [...y]);
  const sent = ghosts({ lanes });
  assert.equal(sent[0].length, 5);
  assert.equal(sent[1].length, 0);
  const own = fill(SHARED.templates.curves, other, { step: 4, horizon: 10 }).data;
  assert.deepEqual(ghosts({ lanes: other })[0].length, 5);
  assert.notDeepEqual(ghosts({ lanes: other })[0], sent[0]);
  assert.ok(own[0].y.length > 0);
  assert.deepEqual(ghosts(undefined), [[], []]);
});

test("a binding that nobody knows is named", () => {
  const template = { data: [], layout: { title: { "~": "sum" } } };
  assert.throws(() => fill(template, received(SHARED.races.usual), { step: 0, horizon: 10 }), /sum.*steps, series/);
});

// One lane of two layers; of each of its numbers per layer mean, lowest and highest.
/** @param {number[][]} rows seeds left, loss, flow */
const small = (rows) => {
  const lanes = new Lanes({
    ...{ every: 1, validate_every: 1 },
    lanes: [
      {
        ...{ name: "batch norm", norm: "batch", depth: 2, colour: "", dash: "" },
        layout: [
          ["seeds_left", [1]],
          ["train_loss", [3]],
          ["flow", [2, 3]],
        ],
      },
    ],
  });
  lanes.append({ lane: 0, arrays: { rows: Float32Array.from(rows.flat()) } });
  return lanes;
};
const said = (/** @type {any} */ binding, /** @type {import("../frames.js").Lanes} */ lanes, step = 0) =>
  fill({ data: [], layout: { meta: { "~": "text", ...binding } } }, lanes, { step, horizon: 10 }).layout.meta;

test("a lane has diverged from the step on at which no seed is left", () => {
  const lanes = small([3, 1, 0, 0].map((left) => [left, 1, 1, 1, 1, 1, 1, 1, 1, 1]));
  assert.deepEqual(
    [1, 2, 3].map((step) => said({ of: "diverged", lane: 0 }, lanes, step)),
    ["", "diverged at step 2", "diverged at step 2"],
  );
});

test("only a lowest value of 0 is at the bottom, and only means say whether there is an update", () => {
  const zero = { of: "zero", field: "flow" },
    still = { of: "still", field: "flow" },
    none = Number.NEGATIVE_INFINITY;
  assert.equal(said(zero, small([[3, 1, 1, 1, 0, 1, 1, 1, 1, 0]])), "");
  assert.equal(said(zero, small([[3, 1, 1, 1, 1, 1, 1, 1, 0, 1]])), "at the bottom: exactly 0");
  assert.equal(said(still, small([[3, 1, 1, 1, none, none, 1, none, 0, 1]])), "no update: it is exactly 0");
  assert.equal(said(still, small([[3, 1, 1, 1, none, none, 1, 0, 0, 1]])), "");
  assert.equal(said(still, small([[0, 1, 1, 1, none, none, 1, none, 0, 1]])), "", "a lane without seeds has no update");
});

test("a logarithmic axis widens to whole powers of ten, not below its floor", () => {
  const lanes = small([
    [3, 0.5, 2e-9, 30, 1, 1, 1, 1, 1, 1],
    [3, 0.5, 1e-3, 900, 1, 1, 1, 1, 1, 1],
  ]);
  const yaxis = { "~": "log_axis", fields: ["train_loss"], layers: false, least: [0.1, 4], floor: 1e-4, title: "" };
  const range = (/** @type {number} */ step, more = {}) =>
    fill({ data: [], layout: { yaxis: { ...yaxis, ...more } } }, lanes, { step, horizon: 10 }).layout.yaxis.range;
  assert.deepEqual(range(0), [-4, 2]);
  assert.deepEqual(range(1), [-4, 3]);
  assert.deepEqual(range(0, { floor: 1e-12 }), [-9, 2]);
});
