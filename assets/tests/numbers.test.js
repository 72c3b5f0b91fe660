import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { brief, rounded, written } from "../numbers.js";

/** @type {[number, string][]} */
const VECTORS = JSON.parse(readFileSync(new URL("../../tests/shared/numbers.json", import.meta.url), "utf-8"));

for (const [value, text] of VECTORS) {
  test(`${value} is ${text}, as in Python`, () => assert.equal(brief(value), text));
}

test("what JSON has no number for is written, too", () => {
  assert.deepEqual([Number.NaN, 1 / 0, -1 / 0, -0].map(brief), ["not a number", "∞", "−∞", "0"]);
});

test("rounded keeps three digits, or the whole number", () => {
  assert.deepEqual([0, 0.12345, 1.125, 998.6, 1234.5].map(rounded), [0, 0.123, 1.12, 999, 1234]);
});

test("a setting's value has four digits and no commas", () => {
  assert.deepEqual([0, 1, -1.75, 1 / 3, 12345, 12345.6].map(written), ["0", "1", "−1.75", "0.3333", "12345", "12350"]);
});

test("a setting's value has a power of ten where it is tiny or huge", () => {
  assert.deepEqual([1e-5, -2.5e-4, 1e-3, 99999, 1e5, 3e6].map(written), [
    "10⁻⁵",
    "−2.5×10⁻⁴",
    "0.001",
    "99999",
    "10⁵",
    "3×10⁶",
  ]);
});

test("a setting's value may be no number", () => {
  assert.deepEqual(["digits", true, Number.NaN, 1 / 0].map(written), ["digits", "true", "not a number", "∞"]);
});
