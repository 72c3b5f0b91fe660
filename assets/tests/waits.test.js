import assert from "node:assert/strict";
import { test } from "node:test";

import { duration, isLong, Rate, untilFirst, words } from "../waits.js";

const two = [
  { name: "no norm", missing: false, cost: 0.01 },
  { name: "batch norm", missing: false, cost: 0.03 },
];
const state = { lanes: two, waited: 3, arrived: 1, reached: 232, wanted: 400, pace: 14, speed: 0 };

test("a rate is that of the last seconds, and unknown at first", () => {
  const rate = new Rate();
  rate.begin(0, -1);
  assert.equal(rate.pace, undefined);
  rate.note(100, 20);
  assert.equal(rate.pace, undefined, "what comes at once was computed before");
  rate.note(200, 30);
  assert.equal(rate.pace, undefined, "too soon to tell");
  rate.note(1100, 30);
  assert.equal(rate.pace, 10);
  for (let time = 1500; time <= 30_000; time += 500) rate.note(time, time / 100);
  assert.ok(Math.abs((rate.pace ?? 0) - 10) < 0.5);
  rate.begin(90_000, 200);
  rate.note(91_000, 230);
  assert.equal(rate.pace, 30, "the time in which nothing was asked for doesn't count");
});

test("a wait for a step says which, and how long", () => {
  assert.equal(words(state), "computing step 233 of 400, about 10 s left");
  assert.equal(words({ ...state, pace: 1 }), "computing step 233 of 400, about 3 min left");
  assert.equal(words({ ...state, reached: 400 }), "");
});

test("before a rate is known, what a step costs tells how long", () => {
  assert.equal(words({ ...state, pace: undefined }), "computing step 233 of 400, about 3 s left");
  const lanes = two.map(({ name, missing }) => ({ name, missing }));
  assert.equal(words({ ...state, lanes, pace: undefined }), "computing step 233 of 400");
});

test("a race that is played faster than it is computed says so, and only then", () => {
  const playing = { ...state, reached: 120, wanted: 120, pace: 6.2, speed: 30 };
  assert.equal(words(playing), "computing limits this to about 6 steps a second");
  assert.equal(words({ ...playing, pace: 0.84 }), "computing limits this to about 0.8 steps a second");
  assert.equal(words({ ...playing, pace: 90 }), "");
  assert.equal(words({ ...playing, reached: 160 }), "", "there are frames ahead");
});

test("lanes without a step are named, with a time if there is anything to tell it by", () => {
  const lanes = [two[0], { name: "layer norm", missing: true }, { name: "group norm", missing: true }];
  assert.equal(words({ ...state, lanes, reached: -1 }), "first step of layer norm and group norm: about 1 s");
  assert.equal(
    words({ ...state, lanes: lanes.map((lane) => ({ ...lane, missing: true, cost: undefined })), reached: -1 }),
    "first step of all lanes: 3 s so far",
  );
  assert.equal(words({ ...state, lanes: [] }), "the race is being set up");
});

test("the first steps that are there tell how long the others take", () => {
  const lanes = [two[0], { name: "layer norm", missing: true }, { name: "group norm", missing: true }];
  assert.equal(untilFirst(lanes, 5, 4), 7);
  const costly = lanes.map((lane) => ({ ...lane, missing: true, cost: 2 }));
  assert.equal(untilFirst(costly, 1, 0), 8);
});

test("times are as exact as they can be", () => {
  assert.deepEqual([0.2, 7.4, 12, 43, 200].map(duration), ["1 s", "7 s", "10 s", "45 s", "3 min"]);
});

test("fewer seeds are worth a thought where the rest takes longer than half a minute", () => {
  assert.equal(isLong(state, 400), false);
  assert.equal(isLong(state, 500), true);
  const unknown = { ...state, pace: undefined };
  assert.equal(isLong(unknown, 1400), false, "two lanes side by side: 0.02 s a step");
  assert.equal(isLong(unknown, 1600), true);
  const lanes = two.map(({ name, missing }) => ({ name, missing }));
  assert.equal(isLong({ lanes, pace: undefined }, 1e6), false, "nothing is known");
  assert.equal(isLong({ lanes: [], pace: undefined }, 1e6), false);
});
