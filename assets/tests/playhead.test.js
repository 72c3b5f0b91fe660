import assert from "node:assert/strict";
import { test } from "node:test";

import { LAST, Playhead } from "../playhead.js";

/** @param {number} place @param {number} [until] */
function at(place, until = 0) {
  const head = new Playhead();
  head.begin(place, until);
  return head;
}

test("the axis has room for two hundred steps, for the step at which a race is judged, and for going on", () => {
  assert.equal(at(0).horizon, 200);
  assert.equal(at(0, 400).horizon, 400);
  assert.equal(at(180).horizon, 200);
  assert.equal(at(900, 400).horizon, 1000);
  assert.equal(at(1990).horizon, LAST);
});

test("the axis grows by little at a time and never shrinks within a race", () => {
  const head = at(0);
  let before = head.horizon;
  for (let step = 0; step <= LAST; step += 1) {
    head.go(step);
    assert.ok(head.horizon >= before && head.horizon <= before + 2, `from ${before} to ${head.horizon} at ${step}`);
    before = head.horizon;
  }
  head.go(10);
  assert.equal(head.horizon, LAST);
  head.begin(0, 0);
  assert.equal(head.horizon, 200);
});

test("the axis stays while a finger is on it", () => {
  const head = at(100);
  head.hold();
  head.go(200);
  assert.equal(head.horizon, 200);
  head.release();
  assert.equal(head.horizon, 223);
});

test("a race that is played stops at the step at which it is judged, and goes on after it", () => {
  const head = at(0, 100);
  let time = 0;
  const play = () => {
    for (let frame = 0; frame < 600; frame += 1) {
      time += 16;
      if (head.advance(time, 60, LAST)) return true;
    }
    return false;
  };
  assert.ok(play());
  assert.equal(head.wanted, 100);
  head.rest();
  assert.equal(head.stop, LAST);
  assert.equal(play(), false);
  assert.ok(head.wanted > 600);
});

test("it is played at its speed, as far as frames are there, and doesn't leap after a pause", () => {
  const head = at(0);
  for (let time = 0; time <= 1000; time += 10) head.advance(time, 30, LAST);
  assert.equal(head.wanted, 30);
  head.advance(60_000, 30, LAST);
  assert.ok(head.wanted <= 38);
  head.advance(60_200, 30, 35);
  assert.ok(head.wanted <= 38);
});
