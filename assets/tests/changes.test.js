import assert from "node:assert/strict";
import { test } from "node:test";

import { Changes } from "../changes.js";

/** A race of which only the settings and what is asked of the server are kept. */
function raced(more = {}) {
  const defaults = { depth: 5, width: 64, lr: 0.1, network: "mlp" };
  /** @type {Record<string, any>} */
  const values = {
    ...{
      ...defaults,
      lanes: [
        ["none", []],
        ["batch", []],
      ],
      edits: [],
      before: [],
      change: "start",
      ghost: "on",
    },
    ...more,
  };
  /** @type {string[]} */
  const done = [];
  const note = (/** @type {string} */ what) => () => done.push(what);
  const race = {
    values,
    data: { defaults, editable: ["lr"], most_edits: 3, starts: { cnn: { depth: 3, width: 16 } } },
    head: { wanted: 40 },
    playing: false,
    races: { leave: note("leave") },
    exchange: { askDraft: note("draft"), ask: note("ask") },
    settings: { keepLanes: note("keep"), forgetLanes: note("forget") },
    verdict: { note: (/** @type {string} */ words) => done.push(words) },
    show: note("show"),
    commit: note("commit"),
    setPlaying: note("pause"),
  };
  return { changes: new Changes(/** @type {any} */ (race)), values, done };
}

test("a change from the start keeps what was before, and leaves the scene", () => {
  const { changes, values, done } = raced();
  changes.change("lr", 0.3);
  changes.change("lr", 0.5);
  assert.equal(values.lr, 0.5);
  assert.deepEqual(values.before, [["lr", 0.1]]);
  changes.settle();
  assert.deepEqual(done, ["leave", "draft", "leave", "draft", "show", "ask", "commit"]);
});

test("a finger that returns to where it began changes nothing", () => {
  const { changes, values } = raced();
  changes.change("lr", 0.3);
  changes.change("lr", 0.1);
  assert.deepEqual(values.before, []);
});

test("a change in mid-run is an edit from its step on, at most one a setting and step", () => {
  const { changes, values, done } = raced({ change: "here" });
  changes.change("lr", 0.3);
  changes.change("lr", 0.5);
  assert.deepEqual(values.edits, [[40, "lr", 0.5]]);
  assert.equal(values.lr, 0.1);
  assert.deepEqual([changes.inForce(39).lr, changes.inForce(40).lr], [0.1, 0.5]);
  changes.settle();
  changes.undo(/** @type {any} */ (values.edits[0]));
  assert.deepEqual(values.edits, []);
  values.edits = [10, 20, 30].map((step) => [step, "lr", 1]);
  changes.forget();
  changes.change("lr", 0.7);
  assert.equal(values.edits.length, 3);
  assert.ok(done.some((words) => words.includes("take one back")));
});

test("what can't change in mid-run changes the race from its start", () => {
  const { changes, values } = raced({ change: "here" });
  changes.change("depth", 8);
  assert.equal(values.depth, 8);
  assert.deepEqual(values.edits, []);
});

test("a slow network starts small, unless its size was chosen", () => {
  const { changes, values } = raced();
  changes.change("network", "cnn");
  assert.deepEqual([values.depth, values.width], [3, 16]);
  assert.deepEqual(values.before, [], "two networks are no ghosts of each other");
  changes.settle();
  changes.change("network", "mlp");
  assert.deepEqual([values.depth, values.width], [5, 64]);
  const chosen = raced({ depth: 8 });
  chosen.changes.change("network", "cnn");
  assert.deepEqual([chosen.values.depth, chosen.values.width], [8, 64]);
});

test("two lanes never become the same", () => {
  const { changes, values, done } = raced({
    lanes: [
      ["batch", [["lr", 0.5]]],
      ["batch", [["lr", 1]]],
    ],
  });
  changes.changeLane(1, "lr", 0.5);
  assert.deepEqual(values.lanes[1], ["batch", [["lr", 1]]]);
  changes.settle();
  assert.ok(done.includes("forget"));
  changes.changeLane(1, "lr", 2);
  assert.deepEqual(values.lanes[1], ["batch", [["lr", 2]]]);
});
