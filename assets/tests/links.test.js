import assert from "node:assert/strict";
import { test } from "node:test";
import { keepSession, withQuestionOpen } from "../links.js";

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

/** @param {object} keys @param {boolean} heard whether the bar of chapters follows @param {boolean} [link] */
function clicked(keys, heard, link = true) {
  /** @type {string[]} */
  const asked = [];
  const page = new EventTarget();
  page.addEventListener("bnlab:go", (event) => {
    asked.push(/** @type {CustomEvent} */ (event).detail);
    if (heard) event.preventDefault();
  });
  Reflect.set(globalThis, "document", page);
  const box = new EventTarget();
  keepSession(/** @type {any} */ (box));
  const event = Object.assign(new Event("click", { cancelable: true }), { button: 0, ...keys });
  Object.defineProperty(event, "target", { value: { closest: () => (link ? { href: "/one-batch" } : null) } });
  box.dispatchEvent(event);
  return { asked, stopped: event.defaultPrevented };
}

test("a link to another page is followed within the session where the bar of chapters does it", () => {
  assert.deepEqual(clicked({}, true), { asked: ["/one-batch"], stopped: true });
  assert.deepEqual(clicked({}, false), { asked: ["/one-batch"], stopped: false }, "it is a link as ever");
});

test("a click that asks for another tab, or is on no link, is left to the browser", () => {
  for (const keys of [{ ctrlKey: true }, { metaKey: true }, { shiftKey: true }, { altKey: true }, { button: 1 }])
    assert.deepEqual(clicked(keys, true), { asked: [], stopped: false });
  assert.deepEqual(clicked({}, true, false), { asked: [], stopped: false });
});
