import assert from "node:assert/strict";
import { test } from "node:test";
import { others } from "../lineup.js";

const RATES = Array.from({ length: 61 }, (_, i) => Number((10 ** (i / 12 - 4)).toPrecision(2))); // as lr's stops

test("a learning rate of a lane's own begins ten times as large, or as small", () => {
  assert.deepEqual(others({ choices: [], stops: RATES }, 0.1).slice(0, 2), [1, 0.01]);
  assert.equal(others({ choices: [], stops: RATES }, 5.6)[0], 0.56);
});

test("a setting of few stops begins at the next one, and at the end of them at the one before", () => {
  const sizes = { choices: [], stops: [1, 2, 4, 8] };
  assert.deepEqual(others(sizes, 2), [4, 1, 8]);
  assert.deepEqual(others(sizes, 8), [4, 2, 1]);
});

test("what is switched off is switched on", () => {
  assert.equal(others({ choices: [], stops: [0, 1e-6, 1e-3, 1] }, 0)[0], 1e-3);
});

test("a choice begins with the next one and never with the shared one", () => {
  const choices = { choices: ["relu", "tanh", "gelu"], stops: [] };
  assert.deepEqual(others(choices, "tanh"), ["gelu", "relu"]);
  assert.deepEqual(others(choices, "gelu"), ["relu", "tanh"]);
});

test("a value between two stops has other values than itself, each once", () => {
  const found = others({ choices: [], stops: RATES }, 0.123);
  assert.equal(new Set(found).size, found.length);
  assert.equal(found.length, RATES.length);
});
