import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { unpack } from "../channel.js";
import { Arrival, TakeAway } from "../take.js";

const TEXT = `# μ = −0.25, √ε ≪ σ\r\nlane,seed\n${Array.from({ length: 500 }, (_, i) => `${i},${Math.sin(i)}\n`).join("")}`;
const CONTENT = new Uint8Array(gzipSync(TEXT));

/** The "file" messages that a server sends of `CONTENT`, as live/messages.py describes them. */
function messages(id = 1, portion = 100) {
  const found = [];
  for (let start = 0; start < CONTENT.length; start += portion) {
    const bytes = CONTENT.subarray(start, start + portion);
    const place = { size: CONTENT.length, start, bytes: bytes.length };
    let header = JSON.stringify({ kind: "file", id, name: "there.csv", ...place, arrays: [] });
    header += " ".repeat(-header.length & 3);
    const message = new Uint8Array(4 + header.length + bytes.length);
    new DataView(message.buffer).setUint32(0, header.length, true);
    message.set(new TextEncoder().encode(header), 4);
    message.set(bytes, 4 + header.length);
    found.push(message.buffer);
  }
  return found;
}

/** A page's side without a page: what is asked, said and kept. */
function taker() {
  /** @type {any} */
  const page = Object.create(TakeAway.prototype);
  /** @type {{name: string, text: Promise<string>}[]} */
  const kept = [];
  Object.assign(page, {
    ...{ name: "lab", chapter: false, asked: 0, coming: new Map(), note: { textContent: "" } },
    picture: { values: {}, step: () => 30 },
    ask: () => true,
    keep: (/** @type {Arrival} */ file) =>
      kept.push({ name: file.name, text: file.unpacked().then((blob) => blob.text()) }),
  });
  return { page, kept };
}

test("a portion is as long as its message says", () => {
  const [message] = messages();
  assert.deepEqual(unpack(message).bytes, CONTENT.subarray(0, 100));
  assert.throws(() => unpack(message.slice(0, -1)), RangeError);
});

test("portions become the very file", async () => {
  const file = new Arrival("batchnorm-lab-step-30.csv");
  const shares = messages().map((message) => file.add(/** @type {any} */ (unpack(message))));
  assert.ok(shares.length > 5 && shares.every((share, i) => share > (shares[i - 1] ?? 0)));
  assert.equal(shares.indexOf(1), shares.length - 1);
  const blob = await file.unpacked();
  assert.equal(blob.type, "text/csv;charset=utf-8");
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), new TextEncoder().encode(TEXT));
});

test("a script is one, and an empty text is a file too", async () => {
  const file = new Arrival("batchnorm-lab-step-30.py");
  assert.equal(file.add({ start: 0, size: 20, bytes: new Uint8Array(gzipSync("")) }), 1);
  const blob = await file.unpacked();
  assert.deepEqual([blob.type, blob.size], ["text/x-python;charset=utf-8", 0]);
});

test("a file that lacks a portion is not kept", async () => {
  const file = new Arrival("a.csv");
  for (const message of messages().filter((_, i) => i !== 3)) file.add(/** @type {any} */ (unpack(message)));
  await assert.rejects(file.unpacked());
});

test("a file is called as the picture was when it was asked for, and a refusal of another doesn't end it", async () => {
  const { page, kept } = taker();
  page.request("csv");
  page.picture.step = () => 40;
  page.request("python");
  assert.ok(page.receive({ kind: "problem", of: "take", id: 2, message: "one file at a time" }));
  assert.equal(page.note.textContent, "Not saved: one file at a time");
  for (const message of messages(1)) assert.ok(page.receive(unpack(message)));
  assert.equal(kept.length, 1);
  assert.equal(kept[0].name, "batchnorm-lab-step-30.csv");
  assert.equal(await kept[0].text, TEXT);
});

test("how much is there is said in tenths", () => {
  const { page } = taker();
  page.request("csv");
  const said = new Set(messages().map((message) => page.receive(unpack(message)) && page.note.textContent));
  assert.ok(said.size > 3 && said.size <= 11);
  for (const note of said) assert.match(note, /^Receiving it: \d?0%$/);
});

test("what is left of a lost or given up file is no part of the next one", async () => {
  const { page, kept } = taker();
  const [first, second] = messages(1);
  page.request("csv");
  for (const message of [first, second]) page.receive(unpack(message));
  page.request("csv");
  for (const message of messages(2)) page.receive(unpack(message));
  page.receive(unpack(second));
  assert.equal(page.coming.size, 0);
  page.request("csv");
  page.receive(unpack(messages(3)[0]));
  page.receive({ kind: "problem", of: "take", id: 3, message: "given up" });
  assert.equal(page.coming.size, 0);
  page.request("csv");
  for (const message of messages(4)) page.receive(unpack(message));
  assert.deepEqual(await Promise.all(kept.map(({ text }) => text)), [TEXT, TEXT]);
});

test("a connection that is lost in mid-file is told, once", () => {
  const { page } = taker();
  page.connected();
  assert.equal(page.note.textContent, "");
  page.request("csv");
  page.receive(unpack(messages()[0]));
  page.connected();
  assert.equal(page.note.textContent, "Not saved: the connection was lost. Take it again.");
  assert.equal(page.coming.size, 0);
});
