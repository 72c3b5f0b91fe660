import assert from "node:assert/strict";
import { test } from "node:test";
import { Lanes } from "../frames.js";

/** @type {import("../frames.js").Layout} */
const LAYOUT = [
  ["step", [1]],
  ["seeds_left", [1]],
  ["train_loss", [3]],
  ["val_loss", [3]],
  ["gradient_norm", [2, 3]],
];
const WIDTH = 14,
  CURVES = 8; // numbers in a row, and in one of a ghost

// Rows of steps from one on: train_loss is 100 + step, val_loss 200 + step; where it isn't measured, NaN.
/** @param {number} first @param {number} count @param {{every?: number, width?: number, left?: number}} [how] */
function rows(first, count, { every = 1, width = WIDTH, left = 3 } = {}) {
  const found = new Float32Array(count * width);
  for (let row = 0; row < count; row += 1) {
    const step = (first + row) * every,
      validated = step % 20 === 0 ? 200 + step : Number.NaN;
    const all = [step, left, 100 + step, 99 + step, 101 + step, validated, validated, validated];
    const flow = [step, 0, 2 * step, -1, Number.POSITIVE_INFINITY, Number.NaN];
    found.set([...all, ...flow].slice(0, width), row * width);
  }
  return found;
}

/** @param {any} [more] */
const race = (more) =>
  new Lanes({
    lanes: [0, 1].map((lane) => ({
      ...{ name: `lane ${lane}`, norm: "batch", depth: 2, colour: "#0072b2", dash: "solid", layout: LAYOUT },
    })),
    every: 1,
    validate_every: 20,
    ...more,
  });

test("a race has come as far as its slowest lane", () => {
  const lanes = race();
  assert.equal(lanes.reached(), -1);
  lanes.append({ lane: 0, arrays: { rows: rows(0, 8) } });
  assert.deepEqual([lanes.reached(), lanes.reached(0), lanes.reached(1)], [-1, 7, -1]);
  lanes.append({ lane: 1, arrays: { rows: rows(0, 5) } });
  assert.equal(lanes.reached(), 4);
});

test("a curve is a part of what is there, at its own steps, and stays what it was", () => {
  const lanes = race(),
    { rows: lane } = lanes.lanes[0];
  assert.equal(lane.series("train_loss", 0, 100).length, 0);
  for (let first = 0; first < 300; first += 30) lanes.append({ lane: 0, arrays: { rows: rows(first, 30) } });
  const early = lane.series("train_loss", 0, 40);
  assert.deepEqual([early.length, early[40], lane.steps("train_loss", 40)[40]], [41, 140, 40]);
  assert.equal(lane.series("train_loss", 0, 80).buffer, early.buffer, "nothing is copied");
  assert.deepEqual([...lane.series("val_loss", 1, 59)], [200, 220, 240]);
  assert.deepEqual([...lane.steps("val_loss", 59)], [0, 20, 40]);
  assert.deepEqual([...lane.series("train_loss", 2, 100, 40)], [101, 141, 181], "every 40th");
  assert.deepEqual([...lane.steps("train_loss", 100, 40)], [0, 40, 80]);
  const before = [...lane.series("train_loss", 0, 2000)];
  assert.equal(before.length, 300);
  lanes.append({ lane: 0, arrays: { rows: rows(300, 700) } });
  assert.equal(lane.series("train_loss", 0, 2000).length, 1000);
  assert.deepEqual([...lane.series("train_loss", 0, 299)], before);
});

test("drafts have a row for every tenth step", () => {
  const lanes = race({ every: 10 });
  lanes.append({ lane: 0, arrays: { rows: rows(0, 9, { every: 10 }) } });
  assert.equal(lanes.reached(0), 80);
  assert.deepEqual([...lanes.lanes[0].rows.steps("train_loss", 35)], [0, 10, 20, 30]);
  assert.deepEqual([...lanes.lanes[0].rows.series("val_loss", 0, 45)], [200, 220, 240]);
  assert.equal(lanes.at(0, 39, "train_loss"), 130);
});

test("a number is read where it was measured last, and is not a number where it wasn't", () => {
  const lanes = race();
  assert.ok(Number.isNaN(lanes.at(0, 0, "train_loss")));
  lanes.append({ lane: 0, arrays: { rows: rows(0, 50) } });
  assert.equal(lanes.at(0, 39, "val_loss"), 220);
  assert.equal(lanes.at(0, 39, "gradient_norm", 2), 78);
  assert.ok(Number.isNaN(lanes.at(0, 50, "train_loss")));
  assert.throws(() => lanes.at(0, 1, "gradients"), /no gradients.*gradient_norm/);
});

test("a ghost has rows of its own, which end with the curves", () => {
  const lanes = race();
  assert.equal(lanes.haunted(1), -1);
  lanes.append({ lane: 1, ghost: true, arrays: { rows: rows(0, 6, { width: CURVES }) } });
  assert.deepEqual([lanes.haunted(1), lanes.reached(1), lanes.ghostAt(1, 3, "train_loss")], [5, -1, 103]);
});

test("the extent grows with time, over all lanes, of positive numbers that are finite", () => {
  const lanes = race();
  assert.deepEqual(lanes.extent("gradient_norm", 5), [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  lanes.append({ lane: 0, arrays: { rows: rows(0, 10) } });
  lanes.append({ lane: 1, arrays: { rows: rows(5, 10) } });
  assert.deepEqual(lanes.extent("gradient_norm", 0), [5, 10]);
  assert.deepEqual(lanes.extent("gradient_norm", 9), [1, 28]);
  assert.deepEqual(lanes.extent("gradient_norm", 3), [1, 16]);
  assert.deepEqual(lanes.extent("train_loss", 2000), [99, 115]);
});

test("when the last seed was lost is known, from one block or the next", () => {
  const lanes = race();
  lanes.append({ lane: 0, arrays: { rows: rows(0, 4) } });
  assert.equal(lanes.lanes[0].rows.lost, Number.POSITIVE_INFINITY);
  lanes.append({ lane: 0, arrays: { rows: rows(4, 4, { left: 0 }) } });
  assert.equal(lanes.lanes[0].rows.lost, 4);
});

test("surfaces and samples are those of the latest validation", () => {
  const lanes = race();
  assert.equal(lanes.surface(0, 10), undefined);
  lanes.append({
    ...{ lane: 0, surface_steps: [0, 20], cloud_steps: [20] },
    arrays: { rows: rows(0, 30), surfaces: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), clouds: Float32Array.of(9, 10) },
  });
  assert.deepEqual(
    [19, 20, 500].map((step) => [...(lanes.surface(0, step) ?? [])]),
    [
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [5, 6, 7, 8],
    ],
  );
  assert.equal(lanes.cloud(0, 19), undefined);
  assert.deepEqual([...(lanes.cloud(0, 20) ?? [])], [9, 10]);
});
