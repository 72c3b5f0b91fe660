import assert from "node:assert/strict";
import { test } from "node:test";

import { digit, isTaken } from "../keys.js";

/** @param {string} tag @param {string} [attribute] one that selectors ask for, such as type=range */
function focused(tag, attribute = "") {
  return {
    closest: (/** @type {string} */ selector) =>
      selector
        .replace(/input:not\((.*)\)/, (_, kinds) => (kinds.includes(`[${attribute}]`) ? "never" : "input"))
        .split(",")
        .map((part) => part.trim())
        .some((part) => part === tag || part === `[${attribute}]` || part === `${tag}[${attribute}]`),
  };
}

test("a slider keeps the keys that move it, and no others", () => {
  const slider = focused("input", "type=range");
  for (const key of ["ArrowLeft", "PageUp", "Home", "End"]) assert.ok(isTaken(key, slider), key);
  for (const key of [" ", "1", "?"]) assert.ok(!isTaken(key, slider), key);
});

test("a button keeps the space bar, a menu and a text keep every key, a figure its arrows", () => {
  assert.ok(isTaken(" ", focused("button")));
  assert.ok(!isTaken("ArrowLeft", focused("button")));
  for (const tag of ["select", "textarea", "dialog"]) assert.ok(isTaken("1", focused(tag)), tag);
  assert.ok(isTaken("?", focused("input", "type=text")));
  assert.ok(isTaken("ArrowLeft", focused("div", "role=slider")));
  assert.ok(!isTaken("ArrowLeft", focused("section")));
});

test("digits stand for choices, counted from one", () => {
  assert.deepEqual(["1", "9", "0", "a", " "].map(digit), [0, 8, undefined, undefined, undefined]);
});
