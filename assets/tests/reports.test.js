import assert from "node:assert/strict";
import { test } from "node:test";

import { Reports } from "../reports.js";

/** @param {number} gamma @param {number} [arrival] @param {string} [session] */
const handed = (gamma, arrival = 0, session = "one") => ({ values: { gamma }, arrival, session });

/** @returns {{ reports: Reports, sent: any[] }} */
function opened() {
  /** @type {any[]} */
  const sent = [];
  return { reports: new Reports(handed(1), (values) => sent.push(values)), sent };
}

test("each report has a number of its own, and stays as it was said", () => {
  const { reports, sent } = opened();
  const values = { edits: [1] };
  reports.report(values);
  values.edits.push(2);
  reports.report(values);
  assert.deepEqual(sent, [
    { edits: [1], revision: 1 },
    { edits: [1, 2], revision: 2 },
  ]);
});

test("an echo is no news, a late one neither", () => {
  const { reports } = opened();
  reports.report({ gamma: 2 });
  reports.report({ gamma: 3 });
  assert.equal(reports.hear(handed(2)), undefined);
  assert.equal(reports.hear(handed(3)), undefined);
});

test("another link and the way back are news", () => {
  const { reports, sent } = opened();
  reports.report({ gamma: 2 });
  reports.hear(handed(2));
  assert.deepEqual(reports.hear(handed(1, 1)), { gamma: 1 });
  assert.equal(sent.length, 1);
});

test("a restarted server is told again what it can't know", () => {
  for (const arrival of [0, 1]) {
    const { reports, sent } = opened();
    reports.report({ gamma: 2 }); // nobody hears it
    assert.equal(reports.hear(handed(1, arrival, "two")), undefined);
    assert.deepEqual(sent[1], { gamma: 2, revision: 2 });
    assert.equal(reports.hear(handed(2, arrival, "two")), undefined);
    assert.equal(sent.length, 2);
  }
});

test("a restarted server is told nothing where it knows all", () => {
  const { reports, sent } = opened();
  reports.report({ gamma: 2 });
  reports.hear(handed(2));
  assert.equal(reports.hear(handed(2, 0, "two")), undefined);
  assert.equal(sent.length, 1);
});

test("the way back while the server was away is news", () => {
  const { reports } = opened();
  reports.report({ gamma: 2 });
  reports.hear(handed(2));
  assert.deepEqual(reports.hear(handed(1, 0, "two")), { gamma: 1 });
});

test("what was said before another link isn't told again", () => {
  const { reports, sent } = opened();
  reports.report({ gamma: 2 });
  reports.hear(handed(5, 1));
  assert.equal(reports.hear(handed(5, 0, "two")), undefined);
  assert.equal(sent.length, 1);
});
