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

test("settings of an address that the browser has left are no news, and the page is told what is shown", () => {
  /** @type {any[]} */
  const sent = [];
  let search = "?gamma=1";
  const reports = new Reports(
    handed(1),
    (values) => sent.push(values),
    () => search,
  );
  reports.report({ gamma: 2 });
  reports.hear(handed(2));
  search = "?gamma=2&embed=true";
  assert.equal(reports.hear({ ...handed(1, 1), query: { gamma: "1" } }), undefined);
  assert.deepEqual(sent[1], { gamma: 2, revision: 2 });
  assert.equal(reports.hear({ ...handed(1, 2), query: {} }), undefined);
  assert.equal(reports.hear({ ...handed(2, 3), query: { gamma: "2", beta: "9" } }), undefined);
  assert.equal(sent.length, 4);
  search = "?gamma=5";
  assert.deepEqual(reports.hear({ ...handed(5, 4), query: { gamma: "5" } }), { gamma: 5 });
  search = "?gamma=6"; // nothing was reported since
  assert.deepEqual(reports.hear({ ...handed(5, 5), query: { gamma: "5" } }), { gamma: 5 });
});

test("a picture that is put on the page anew goes on where the last one was, unless other settings have come", () => {
  /** @param {ReturnType<typeof handed> & {page?: string}} what */
  const begun = (what) => new Reports(what, () => {}).begun;
  const { reports } = opened();
  reports.hear(handed(1, 0, "another"));
  assert.deepEqual(begun(handed(1)), { gamma: 1 });
  const again = () => {
    const { reports } = opened();
    reports.report({ gamma: 2 });
    return reports;
  };
  again();
  assert.deepEqual(begun(handed(1)), { gamma: 2 });
  assert.deepEqual(begun(handed(1)), { gamma: 2 }, "once more, and nothing was said in between");
  assert.deepEqual(begun(handed(7, 1)), { gamma: 7 }, "a link");
  again();
  assert.deepEqual(begun(handed(7, 0, "two")), { gamma: 7 }, "another session");
  again();
  assert.deepEqual(begun({ ...handed(7), page: "another" }), { gamma: 7 });
  again().hear(handed(5, 1));
  assert.deepEqual(begun(handed(1, 1)), { gamma: 1 }, "nothing was reported since");
});

test("what was said before another link isn't told again", () => {
  const { reports, sent } = opened();
  reports.report({ gamma: 2 });
  reports.hear(handed(5, 1));
  assert.equal(reports.hear(handed(5, 0, "two")), undefined);
  assert.equal(sent.length, 1);
});
