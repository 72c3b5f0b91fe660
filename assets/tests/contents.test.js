import assert from "node:assert/strict";
import { test } from "node:test";

import { progress, total, wayOn } from "../contents.js";

/** @param {string} name @param {string[]} asking @param {number} number */
const entry = (name, asking, number) => ({
  ...{ name, number, title: `The ${name}`, question: `What about ${name}?`, address: name, group: "", minutes: 5 },
  ...{ figure: "", answers: [] },
  scenes: [...asking, "free"].map((scene) => ({
    ...{ name: scene, title: `Scene ${scene}`, address: `${name}?scene=${scene}`, asks: scene !== "free" },
  })),
});

const BOOK = [entry("first", ["a", "b", "c"], 1), entry("second", ["a", "b"], 2)];

/** @param {Record<string, [number, number?]>} answers */
const kept = (answers) =>
  new Map(
    Object.entries(answers).map(([where, [guess, right]]) => [
      where,
      right === undefined ? { guess } : { guess, right },
    ]),
  );

test("progress counts the scenes that ask, and what was right of what was judged", () => {
  const answers = kept({
    "first/a": [0, 0],
    "first/c": [1, 2],
    "second/a": [1],
    "third/a": [0, 0],
    "first/free": [0, 0],
  });
  const { next, ...counts } = progress(BOOK[0], answers);
  assert.deepEqual(counts, { made: 2, of: 3, right: 1 });
  assert.equal(next?.name, "b");
  assert.deepEqual(total(BOOK, answers), { made: 3, of: 5, right: 1 });
  assert.deepEqual(total(BOOK, new Map()), { made: 0, of: 5, right: 0 });
});

test("the way into the book is its first page, then the page that was begun, then the next one", () => {
  const way = (/** @type {string[]} */ ...done) =>
    wayOn(BOOK, kept(Object.fromEntries(done.map((where) => [where, [0]]))));
  assert.deepEqual(way(), { words: "Begin: What about first?", address: "first" });
  assert.deepEqual(way("first/a"), { words: "Go on: Scene b", address: "first?scene=b" });
  assert.deepEqual(way("second/b"), { words: "Go on: Scene a", address: "second?scene=a" });
  assert.deepEqual(way("first/a", "first/b", "first/c"), { words: "Go on: What about second?", address: "second" });
  assert.equal(way("first/a", "first/b", "first/c", "second/a", "second/b"), undefined);
});
