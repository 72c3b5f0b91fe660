import assert from "node:assert/strict";
import { test } from "node:test";

import { Exchange } from "../exchange.js";
import { Playhead } from "../playhead.js";

const LAYOUT = [
  ["step", [1]],
  ["seeds_left", [1]],
  ["val_accuracy", [3]],
];
const LANE = { norm: "none", depth: 1, colour: "1", dash: "solid", layout: LAYOUT };

/** A race that keeps the messages that it would send. */
function raced(place = 0, playing = false) {
  /** @type {any[]} */
  const sent = [];
  const head = new Playhead();
  head.begin(place, 0);
  head.playing = playing;
  /** @type {any} */
  const race = {
    values: { step: -1, speed: 30, before: [], edits: [] },
    ...{ head, last: 2000, playing, open: false, narrow: false, drawn: 0, taken: 0, said: "" },
    send: (/** @type {any} */ message) => sent.push(message) > 0,
    verdict: { fade() {} },
    bar: { wait: (/** @type {string} */ words) => Object.assign(race, { said: words }) },
    container: { classList: { toggle() {} } },
    redraw() {},
    take: () => {
      race.taken += 1;
    },
    reached: () => Math.max(0, exchange.shown?.reached() ?? 0),
    step: () => Math.min(head.wanted, race.reached()),
  };
  const exchange = new Exchange(race);
  race.exchange = exchange;
  const answer = () =>
    exchange.receive({
      ...{ kind: "lab", every: 1, validate_every: 5, panels: {} },
      lanes: ["no norm", "batch norm"].map((name) => ({ ...LANE, name })),
    });
  /** @param {number} lane @param {number} from @param {number} to */
  const frames = (lane, from, to) => {
    const rows = Array.from({ length: to - from }, (_, i) => [from + i, 4, 0.5, 0.4, 0.6]).flat();
    exchange.receive({ kind: "frames", lane, arrays: { rows: new Float32Array(rows) } });
  };
  return { race, exchange, sent, answer, frames };
}

test("settings that are asked for are never those of a bare address", () => {
  const { exchange, sent } = raced(7);
  exchange.ask();
  assert.equal(sent[0].values.step, 7);
  assert.equal(sent[0].until, 8);
});

test("the first race is shown as soon as one of its lanes has a frame", () => {
  const { race, exchange, answer, frames } = raced(100);
  exchange.ask();
  const now = performance.now();
  assert.equal(exchange.takeOver(now), false);
  answer();
  assert.equal(exchange.takeOver(now), false);
  frames(1, 0, 1);
  assert.equal(exchange.takeOver(now), true);
  assert.equal(race.taken, 1);
  assert.match(exchange.waiting(now), /^first step of no norm/);
  frames(0, 0, 1);
  assert.equal(exchange.waiting(now), "computing step 1 of 100");
});

test("another race waits until it has come as far as the one on the screen, but not for long", () => {
  const { race, exchange, answer, frames } = raced(50);
  exchange.ask();
  answer();
  for (const lane of [0, 1]) frames(lane, 0, 51);
  exchange.takeOver(performance.now());
  race.drawn = 50;
  exchange.ask();
  answer();
  for (const lane of [0, 1]) frames(lane, 0, 20);
  const now = performance.now();
  assert.equal(exchange.takeOver(now), false);
  for (const lane of [0, 1]) frames(lane, 20, 51);
  assert.equal(exchange.takeOver(now), true);
  exchange.ask();
  answer();
  frames(0, 0, 1);
  assert.equal(exchange.takeOver(performance.now()), false);
  assert.equal(exchange.takeOver(performance.now() + 1000), true);
});

/** A race of which forty steps are on the screen's side, at a step. */
function watched(/** @type {number} */ place) {
  const made = raced(place);
  const { race, exchange, sent, answer, frames } = made;
  /** @type {number[]} */
  const told = [];
  race.say = (/** @type {any} */ { step }) => told.push(step);
  exchange.ask();
  answer();
  for (const lane of [0, 1]) frames(lane, 0, 60);
  exchange.takeOver(performance.now());
  const asked = () => sent.filter(({ kind }) => kind === "verdict").map(({ step }) => step);
  return { ...made, told, asked };
}

test("a verdict is asked for each step that is shown, once, and not behind a question", () => {
  const { race, exchange, asked, told } = watched(23);
  race.open = true;
  exchange.askVerdict(1000);
  assert.deepEqual(asked(), []);
  race.open = false;
  exchange.askVerdict(1000);
  exchange.askVerdict(1001);
  assert.deepEqual(asked(), [23]);
  race.head.go(24);
  exchange.askVerdict(1002);
  exchange.receive({ kind: "verdict", step: 23 });
  exchange.tell();
  assert.deepEqual(told, [], "another step is shown by now");
  exchange.receive({ kind: "verdict", step: 24 });
  exchange.tell();
  exchange.tell();
  assert.deepEqual(told, [24]);
});

test("while it plays, the verdict on a validation ahead is told when that step is shown", () => {
  const { race, exchange, asked, told } = watched(0);
  race.playing = true;
  race.head.playing = true;
  exchange.askVerdict(1000);
  assert.deepEqual(asked(), [15]);
  exchange.receive({ kind: "verdict", step: 15 });
  race.head.go(14);
  exchange.tell();
  assert.deepEqual(told, []);
  exchange.askVerdict(1600);
  assert.deepEqual(asked(), [15], "one at a time");
  race.head.go(15);
  exchange.askVerdict(1700);
  assert.deepEqual(asked(), [15], "the last one isn't told yet");
  exchange.tell();
  assert.deepEqual(told, [15]);
  exchange.askVerdict(1700);
  assert.deepEqual(asked(), [15, 30]);
  race.head.go(37);
  exchange.tell();
  exchange.receive({ kind: "verdict", step: 30 });
  exchange.tell();
  assert.deepEqual(told, [15, 30], "late is better than never");
});

test("frames have no number: they are of the latest answer", () => {
  const { exchange } = raced();
  exchange.ask();
  exchange.ask();
  assert.equal(exchange.isDueTo({ kind: "lab", id: 1 }), false);
  assert.equal(exchange.isDueTo({ kind: "frames" }), false, "of the race before");
  assert.equal(exchange.isDueTo({ kind: "lab", id: 2 }), true);
  assert.equal(exchange.isDueTo({ kind: "frames" }), true);
  assert.equal(exchange.isDueTo({ kind: "cost", id: 1 }), false);
});

test("while it plays all who watch ask for the same portions", () => {
  for (const place of [0, 1, 59.5, 61]) {
    const { exchange, race } = raced(place, true);
    assert.equal(exchange.wanted() % 60, 0);
    assert.ok(exchange.wanted() >= place + 120);
    race.values.speed = 120;
    assert.equal(exchange.wanted() % 240, 0);
  }
  assert.equal(raced(1990, true).exchange.wanted(), 2000);
  assert.equal(raced(61).exchange.wanted(), 62, "who rests needs no more than the next step");
});

test("a race that is refused leaves the one on the screen, says so, and has no verdict", () => {
  const { race, exchange, asked } = watched(23);
  /** @type {any[]} */
  const refused = [];
  race.changes = { refuse: (/** @type {any} */ message) => refused.push(message.refused.label) };
  exchange.ask();
  exchange.receive({ kind: "lab", refused: { text: "too heavy", fix: { replicas: 1 }, label: "1 seed" } });
  const now = performance.now() + 5000;
  assert.equal(exchange.takeOver(now), false);
  exchange.askVerdict(now);
  assert.deepEqual([refused, asked()], [["1 seed"], []]);
  assert.equal(exchange.shown?.reached(), 59);
  assert.match(exchange.waiting(now), /nothing is computed/);
  exchange.ask();
  assert.equal(exchange.refused, false);
});

test("a race that can't come isn't waited for, and one that has begun goes on", () => {
  const { race, exchange, answer, frames } = raced(5);
  exchange.ask();
  assert.equal(exchange.waiting(performance.now()), "the race is being set up");
  exchange.receive({ kind: "problem", of: "lab", message: "Python could not be loaded" });
  assert.equal(exchange.waiting(performance.now()), "");
  exchange.ask();
  answer();
  exchange.receive({ kind: "problem", of: "lab", message: "a lane could not be computed" });
  frames(1, 0, 20);
  exchange.takeOver(performance.now());
  assert.equal(race.taken, 1);
});

test("how many share the server is said while the race waits for it", () => {
  const { exchange, answer, frames } = raced(100);
  exchange.ask();
  answer();
  exchange.receive({ kind: "line", sharing: 80 });
  assert.match(exchange.waiting(performance.now()), /^first step of all lanes: .*; 80 networks are computed in turn$/);
  for (const lane of [0, 1]) frames(lane, 0, 1);
  assert.match(exchange.waiting(performance.now()), /^computing step 1 .*; 80 networks are computed in turn$/);
  exchange.receive({ kind: "line", sharing: 0 });
  assert.doesNotMatch(exchange.waiting(performance.now()), /share/);
});
