import assert from "node:assert/strict";
import { test } from "node:test";
import { withQuestionOpen } from "../links.js";

test("a race's link loses the guess and the step and keeps its settings", () => {
  const address =
    "https://lab.example/training-lab?preset=depth&depth=20&guess=1&lanes=none%2Cbatch&step=400&embed=true";
  const url = new URL(withQuestionOpen(address, false));
  assert.equal(url.pathname, "/training-lab");
  assert.deepEqual(Object.fromEntries(url.searchParams), {
    preset: "depth",
    depth: "20",
    lanes: "none,batch",
    embed: "true",
  });
});

test("a chapter's link leads to the start of its scene", () => {
  const address = "https://lab.example/one-batch?scene=shift&guesses=play%3A0%2Cshift%3A1&beta=2.5&embed=true";
  const url = new URL(withQuestionOpen(address, true));
  assert.deepEqual(Object.fromEntries(url.searchParams), { scene: "shift", embed: "true" });
});

test("a link without an answer stays as it is", () => {
  assert.equal(withQuestionOpen("https://lab.example/training-lab", false), "https://lab.example/training-lab");
});
