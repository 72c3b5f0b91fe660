import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Late } from "../late.js";

test("a picture that doesn't come is marked, once and until it is there", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const names = new Set();
  const frame = /** @type {any} */ ({
    classList: { add: (/** @type {string} */ name) => names.add(name), remove: names.delete.bind(names) },
  });
  const late = new Late(frame);
  late.asked();
  mock.timers.tick(390);
  late.asked(); // what is asked meanwhile begins no new wait
  assert.equal(names.size, 0);
  mock.timers.tick(20);
  assert.deepEqual([...names], ["late"]);
  late.answered();
  mock.timers.tick(1000);
  assert.equal(names.size, 0);
  mock.timers.reset();
});
