import assert from "node:assert/strict";
import { test } from "node:test";
import { canonical, nameOf, Recorded } from "../recorded.js";
import { file, packed } from "./recording.js";

test("a value has one text, whatever the order of its names", () => {
  assert.equal(canonical({ b: [1, { d: null, c: "x" }], a: 0.1 }), canonical({ a: 0.1, b: [1, { c: "x", d: null }] }));
  assert.notEqual(canonical({ a: [1, 2] }), canonical({ a: [2, 1] }));
  assert.equal(canonical(JSON.parse('{"a": 1.0, "b": 1e-05}')), canonical({ b: 0.00001, a: 1 }));
});

test("an address's name doesn't depend on the order of its settings", () => {
  assert.equal(nameOf({ scene: "tug", draw: "2" }), nameOf({ draw: "2", scene: "tug" }));
  assert.equal(nameOf({}), "");
});

test("an opening is what the bare address has, but for what differs", () => {
  const bare = { opening: { title: "t", values: { scene: "a" } }, values: { scene: "a" }, address: {}, problems: [] };
  const other = { opening: { values: { scene: "b" } }, values: { scene: "b" }, address: { scene: "b" } };
  const recorded = new Recorded(file({ openings: { "": bare, "scene=b": other } }));
  assert.deepEqual(recorded.opening({ scene: "b" }), {
    ...bare,
    ...other,
    opening: { title: "t", values: { scene: "b" } },
  });
  assert.deepEqual(recorded.opening({}), bare);
  assert.equal(recorded.opening({ scene: "b", draw: "1" }), undefined);
});

test("what an opening is given can be changed without changing what is recorded", () => {
  const recorded = new Recorded(file({ openings: { "": { opening: { values: { draw: 1 } } } } }));
  const first = recorded.opening({});
  if (first) first.opening.values.draw = 2;
  assert.equal(recorded.opening({})?.opening.values.draw, 1);
});

test("only the very same question is answered, whatever its number", () => {
  const ask = { kind: "view", values: { draw: 1 }, narrow: false, draft: false };
  const recorded = new Recorded(file({ replies: [{ ask, says: ['{"kind": "story", "id": 0, "scene": "a"}'] }] }));
  const found = recorded.find({ ...ask, id: 7 });
  assert.ok(found);
  assert.deepEqual(recorded.messages(found, 7), [{ kind: "story", id: 7, scene: "a" }]);
  assert.equal(recorded.find({ ...ask, id: 7, narrow: true }), undefined);
  assert.equal(recorded.find({ ...ask, id: 7, values: { draw: 1, other: 0 } }), undefined);
});

test("binary answers are unpacked anew each time, wherever they lie in the file", () => {
  const ask = { kind: "view" };
  const says = ['{"kind":"story"}', packed({ kind: "view", id: 0 }, [0.5, -2])];
  const recorded = new Recorded(file({ replies: [{ ask, says }] }));
  const reply = /** @type {import("../recorded.js").Reply} */ (recorded.find(ask));
  const [story, view] = recorded.messages(reply, 3);
  assert.deepEqual(story, { kind: "story" }, "what has no number gets none");
  assert.equal(view.id, 3);
  assert.deepEqual([...(view.arrays?.numbers ?? [])], [0.5, -2]);
  assert.notEqual(recorded.messages(reply, 3)[1].arrays?.numbers, view.arrays?.numbers);
});

test("all that is recorded of a race comes at once, and a verdict is of its own race", () => {
  const lab = (/** @type {number} */ guess) => ({ kind: "lab", values: { guess }, until: 1 });
  const ask = { kind: "verdict", step: 5 };
  const replies = [
    { ask: lab(0), says: [], reached: 60 },
    { ask: lab(1), says: [], reached: 60 },
    { ask, of: 0, says: ['{"text": "first"}'] },
    { ask, of: 1, says: ['{"text": "second"}'] },
  ];
  const recorded = new Recorded(file({ replies }));
  const race = recorded.find({ ...lab(1), id: 4, until: 120 });
  assert.equal(race?.reached, 60);
  const verdict = /** @type {import("../recorded.js").Reply} */ (recorded.find({ ...ask, id: 4 }, race));
  assert.equal(recorded.messages(verdict, 4)[0].text, "second");
  assert.equal(recorded.find({ ...ask, id: 4 }), undefined, "without a race there is none to judge");
});
