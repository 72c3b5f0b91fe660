import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf, ordered, share } from "../evidence.js";

/** @import { Row } from "../evidence.js" */

/** @type {(what: string, more?: object) => Row} */
const row = (what, more = {}) => ({
  what,
  expected: null,
  measured: 1.5,
  low: 1,
  high: 2,
  accepted: "at least 1",
  outcome: "holds",
  ...more,
});

const titles = (/** @type {Row[]} */ rows) => columnsOf(rows).map(([title]) => title);
const words = (/** @type {Row} */ one, rows = [one]) => columnsOf(rows).map(([, words]) => words(one));

test("rows of an older file have neither theory nor fresh seeds", () => {
  const old = row("a", { low: 1.5, high: 1.5 });
  assert.deepEqual(titles([old]), ["What", "Measured", "Lowest to highest", "Accepted", "Outcome"]);
  assert.deepEqual(words(old), ["a", "1.5", "–", "at least 1", "holds"]);
});

test("a column appears where one row has something for it", () => {
  const rows = [row("a", { misses: null }), row("b", { misses: 0 }), row("c", { expected: 0.25, misses: 0.003 })];
  assert.equal(titles(rows)[1], "Theory");
  assert.equal(titles(rows).at(-1), "Fails on fresh seeds");
  assert.deepEqual(
    rows.map((one) => words(one, rows).at(-1)),
    ["–", "0%", "0.3%"],
  );
  assert.deepEqual(words(rows[2], rows), ["c", "0.25", "1.5", "1 to 2", "at least 1", "holds", "0.3%"]);
  assert.ok(!titles([row("a", { misses: null })]).includes("Fails on fresh seeds"));
});

test("shares have two digits", () => {
  assert.deepEqual([0, 0.0004, 0.003, 0.0123, 0.5, 1, null, undefined].map(share), [
    ...["0%", "0.04%", "0.3%", "1.2%", "50%", "100%", "–", "–"],
  ]);
});

test("what fails is first, then what claims rest on, then what is exact, then what is reported", () => {
  const rows = [
    row("reported", { outcome: "reported" }),
    row("exact", { exact: true }),
    row("claim", { exact: false }),
    row("old", {}),
    row("failed moment", { exact: true, outcome: "fails" }),
    row("said so", { outcome: undefined, reported: true }),
  ];
  const before = JSON.stringify(rows);
  assert.deepEqual(
    ordered(rows).map(({ what }) => what),
    ["failed moment", "claim", "old", "exact", "reported", "said so"],
  );
  assert.equal(JSON.stringify(rows), before, "the given rows keep their order");
});
