import assert from "node:assert/strict";
import { test } from "node:test";
import { isOpen } from "../picture.js";
import { words as progress } from "../progress.js";
import { words as pace } from "../speed.js";
import { following } from "../theme.js";
import { pieces } from "../words.js";

test("maths and code are told from words", () => {
  assert.deepEqual(pieces("Forward: $z = x W$, norm in `norms.py`."), [
    { text: "Forward: ", kind: "words" },
    { text: "z = x W", kind: "maths" },
    { text: ", norm in ", kind: "words" },
    { text: "norms.py", kind: "code" },
    { text: ".", kind: "words" },
  ]);
  assert.deepEqual(pieces("only words"), [{ text: "only words", kind: "words" }]);
  assert.deepEqual(pieces("a price of $ 5"), [{ text: "a price of $ 5", kind: "words" }]);
});

test("progress is told in megabytes, or in stages", () => {
  assert.equal(
    progress({ done: 6_240_000, of: 15_100_000, what: "Python is loading" }),
    "Python is loading: 6.2 of 15 MB …",
  );
  assert.equal(progress({ done: 15e6, of: 15e6, what: "Python is starting" }), "Python is starting …");
  assert.equal(progress({ done: 2, of: 4, what: "the book is opened" }), "The book is opened …");
});

test("how fast this machine trains is rounded", () => {
  const words = (/** @type {Record<string, number>} */ steps) => pace({ seeds: 4, steps });
  assert.equal(words({}), "");
  const whole = "Training steps a second on this machine, for one lane of 4 seeds: about 480 (dense).";
  assert.equal(words({ dense: 483.2 }), whole);
  assert.match(
    words({ dense: 1234, recurrent: 61.7, GAN: 7.26 }),
    /about 1,200 \(dense\), 62 \(recurrent\), 7 \(GAN\)/,
  );
});

test("colours go through three ways", () => {
  assert.deepEqual(["auto", "light", "dark"].map(following), ["light", "dark", "auto"]);
  assert.equal(following("unknown"), "auto");
});

test("a question is open until it is answered, and only where there is one", () => {
  const story = [
    { name: "tug", choices: ["a", "b"] },
    { name: "free", choices: [] },
  ];
  assert.ok(isOpen(story, { scene: "tug", guesses: [] }));
  assert.ok(!isOpen(story, { scene: "tug", guesses: [["tug", 1]] }));
  assert.ok(isOpen(story, { scene: "tug", guesses: [["undo", 1]] }));
  assert.ok(!isOpen(story, { scene: "free" }));
  assert.ok(!isOpen([], { preset: "deep" }));
});
