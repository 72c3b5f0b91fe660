import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { unpack } from "../channel.js";

// Packed in Python: tests/shared/test_message.py keeps it up to date.
const MESSAGE = JSON.parse(readFileSync(new URL("../../tests/shared/message.json", import.meta.url), "utf-8"));

/** A message as a WebSocket brings it, in a buffer of its own. */
const packed = () => new Uint8Array(Buffer.from(MESSAGE.base64, "base64")).buffer;

test("the header comes out as Python put it in", () => {
  const { kind, id, text, figures } = unpack(packed());
  assert.deepEqual({ kind, id, text }, { kind: "view", id: 7, text: MESSAGE.header.text });
  assert.deepEqual(figures.batch.layout, MESSAGE.header.figures.batch.layout);
});

test("arrays have their names and all of their numbers", () => {
  const { arrays } = unpack(packed());
  assert.deepEqual(Object.keys(arrays ?? {}).sort(), Object.keys(MESSAGE.arrays).sort());
  for (const [name, array] of Object.entries(arrays ?? {})) {
    assert.ok(name === "3" ? array instanceof Uint8Array : array instanceof Float32Array);
    assert.deepEqual([...array], MESSAGE.arrays[name], name);
  }
});

test("figures have their arrays where the header has their numbers", () => {
  const [dots, cells, photo] = unpack(packed()).figures.batch.data;
  assert.deepEqual(dots, {
    type: "scatter",
    name: "x",
    x: new Float32Array(MESSAGE.arrays[0]),
    y: new Float32Array(MESSAGE.arrays[1]),
  });
  assert.deepEqual(cells.z, [new Float32Array([1, 2, 3]), new Float32Array([4, 5, 6])], "a list of rows");
  assert.deepEqual(photo.z, [new Uint8Array([0, 128, 255]), new Uint8Array([1, 2, 3])], "red, green and blue in turn");
});

test("a message that ends too early is not taken for a whole one", () => {
  assert.throws(() => unpack(packed().slice(0, -4)), RangeError);
});
