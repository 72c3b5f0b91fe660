import assert from "node:assert/strict";
import { test } from "node:test";

import { words } from "../check.js";

const lane = { lane: 1, of: 4, name: "batch norm" };

/** @param {number} place @param {number} seconds */
const waits = (place, seconds) => words(40, { ...lane, waiting: { place, seconds } }, "");

test("who waits is told how many checks are before, and about how long they take", () => {
  assert.equal(waits(3, 12), "Step 40, lane 2 of 4: 3 checks are before yours, about 10 s …");
  assert.equal(waits(1, 1), "Step 40, lane 2 of 4: 1 check is before yours, about 1 s …");
  assert.equal(waits(200, 400), "Step 40, lane 2 of 4: 200 checks are before yours, about 7 min …");
  assert.equal(waits(0, 6), "Step 40, lane 2 of 4: it is your turn, about 6 s …");
});

test("a lane alone isn't numbered", () => {
  const alone = { lane: 0, of: 1, name: "no norm", waiting: { place: 2, seconds: 5 } };
  assert.equal(words(7, alone, ""), "Step 7: 2 checks are before yours, about 5 s …");
});

test("lanes are counted as they are done, checked or refused", () => {
  assert.equal(words(40, { ...lane, refused: "too long" }, ""), "Step 40: lane 2 of 4 is done …");
});

test("at the end the version that has answered is named, if one has", () => {
  const last = { ...lane, lane: 3, refused: "too long" };
  assert.equal(words(40, last, "2.9"), "Step 40, PyTorch 2.9:");
  assert.equal(words(40, last, ""), "Step 40:");
});
