import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { forget, judge, read, remember, remembered, watch } from "../answers.js";

const KEY = "batchnorm-lab.answers";

/** @param {any} storage what the browser calls localStorage; an error: using it fails */
function browser(storage) {
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    get() {
      if (storage instanceof Error) throw storage;
      return storage;
    },
  });
}

/** @param {string} [text] what is there already */
function shelf(text) {
  /** @type {Map<string, string>} */
  const kept = new Map(text === undefined ? [] : [[KEY, text]]);
  return {
    kept,
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
    removeItem: (/** @type {string} */ key) => void kept.delete(key),
  };
}

afterEach(() => Reflect.deleteProperty(globalThis, "localStorage"));

test("what was answered is remembered, the latest answer of a scene counts, and all can be forgotten", () => {
  const storage = shelf();
  browser(storage);
  remember("one_batch", "tug", 1);
  remember("inference", "stale", 2, 2);
  remember("one_batch", "tug", 3);
  assert.deepEqual(
    [...remembered()],
    [
      ["inference/stale", { guess: 2, right: 2 }],
      ["one_batch/tug", { guess: 3 }],
    ],
  );
  assert.deepEqual([...storage.kept.keys()], [KEY], "one key");
  forget();
  assert.equal(remembered().size, 0);
  assert.equal(storage.kept.size, 0);
});

test("an answer is judged once it was measured; what wasn't answered here isn't kept then", () => {
  browser(shelf());
  remember("one_batch", "tug", 1);
  judge("one_batch", "tug", 2);
  judge("one_batch", "undo", 0);
  assert.deepEqual([...remembered()], [["one_batch/tug", { guess: 1, right: 2 }]]);
});

test("where nothing can be kept, nothing is, and nobody hears of it", () => {
  const full = { ...shelf(), setItem: () => assert.fail("the quota is exceeded") };
  const gone = { getItem: () => assert.fail("denied"), setItem: full.setItem, removeItem: () => assert.fail("denied") };
  for (const storage of [undefined, null, new Error("denied"), full, gone]) {
    browser(storage);
    remember("one_batch", "tug", 1);
    judge("one_batch", "tug", 1);
    forget();
    assert.equal(remembered().size, 0);
  }
});

test("what isn't ours is ignored, and an answer takes its place", () => {
  const rows = (/** @type {any} */ answers, version = 1) => JSON.stringify({ version, answers });
  const foreign = [
    ...["", "{", "null", "7", "[]", '"text"', "{}", rows({}), rows("x"), rows([["one_batch/tug", 1]], 2)],
    ...[rows([null, 1, "x", [], [1, 2], ["tug", 1], ["one_batch/tug"], ["one_batch/tug", "1"]])],
    ...[rows([["one_batch/tug", 1.5, 1]]), rows([["one_batch/tug", -1]]), rows([["one_batch/tug", 10]])],
    ...[rows([["<b>/tug", 1]]), rows([["one_batch/tug/undo", 1]]), rows([["__proto__/x", 1]])],
    rows([["one_batch/tug", 1]]) + " ".repeat(60_000),
  ];
  for (const text of foreign) {
    browser(shelf(text));
    assert.equal(remembered().size, 0, text.slice(0, 80));
    remember("one_batch", "undo", 0);
    assert.deepEqual([...remembered()], [["one_batch/undo", { guess: 0 }]]);
  }
});

test("of what is partly ours, that part is kept", () => {
  const text = JSON.stringify({ version: 1, answers: [["one_batch/tug", 1, "x"], "?", ["one_batch/undo", 0, 2]] });
  assert.deepEqual(
    [...read(text)],
    [
      ["one_batch/tug", { guess: 1 }],
      ["one_batch/undo", { guess: 0, right: 2 }],
    ],
  );
});

test("it stays small: the oldest answers make room", () => {
  const storage = shelf();
  browser(storage);
  for (let i = 0; i < 600; i += 1) remember("page", `scene${i}`, 1, 1);
  const kept = remembered();
  assert.equal(kept.size, 500);
  assert.ok(!kept.has("page/scene99") && kept.has("page/scene100") && kept.has("page/scene599"));
  assert.ok((storage.kept.get(KEY) ?? "").length < 50_000);
});

test("other tabs are heard, but only of our key", () => {
  const tab = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener"])
    Reflect.set(globalThis, name, Reflect.get(tab, name).bind(tab));
  let heard = 0;
  const end = watch(() => {
    heard += 1;
  });
  const tell = (/** @type {string | null} */ key) => tab.dispatchEvent(Object.assign(new Event("storage"), { key }));
  tell("another");
  assert.equal(heard, 0);
  tell(KEY);
  tell(null);
  assert.equal(heard, 2);
  end();
  tell(KEY);
  assert.equal(heard, 2);
});
