import assert from "node:assert/strict";
import { test } from "node:test";
import { copied, Files, Missing } from "../python.js";

const FOLDER = "https://lab.example/python/";

/** A host with files, which counts how often each is asked for. */
class Host {
  /** @param {Record<string, Uint8Array<ArrayBuffer> | number>} files content, or the status of what is missing */
  constructor(files) {
    this.files = files;
    /** @type {string[]} */
    this.asked = [];
    /** @type {Record<string, string>} */
    this.headers = {};
    this.fetch = async (/** @type {any} */ input) => {
      const name = String(input?.url ?? input).replace(FOLDER, "");
      this.asked.push(name);
      const content = this.files[name];
      if (content === undefined) throw new TypeError("Failed to fetch");
      if (typeof content === "number") return new Response("", { status: content });
      return new Response(content, { headers: { "content-length": `${content.length}`, ...this.headers } });
    };
  }
}

/** @param {number} size */
const bytes = (size) => new Uint8Array(size).map((_, k) => k % 251);

test("a file is fetched once and handed out once, byte by byte", async () => {
  const host = new Host({ "book.zip": bytes(300_000) });
  const files = new Files(FOLDER, host.fetch);
  files.begin("book.zip");
  assert.deepEqual(await files.bytes("book.zip"), bytes(300_000));
  assert.deepEqual(host.asked, ["book.zip"]);
  await files.take(`${FOLDER}book.zip`);
  assert.deepEqual(host.asked, ["book.zip", "book.zip"], "whoever asks again has it fetched");
});

test("it is handed out whichever way it is asked for, and what isn't on its way is fetched", async () => {
  const host = new Host({ a: bytes(1), b: bytes(2), c: bytes(3) });
  const files = new Files(FOLDER, host.fetch);
  files.begin("a");
  files.begin("b");
  await files.take(new URL("a", FOLDER), { integrity: "sha256-x" });
  await files.take(new Request(`${FOLDER}b`));
  await files.take(`${FOLDER}c`);
  assert.deepEqual(host.asked, ["a", "b", "c"]);
});

test("bytes are counted over all files, up to all of them", async () => {
  const host = new Host({ a: bytes(200_000), b: bytes(100_000) });
  /** @type {[number, number, string][]} */
  const told = [];
  const files = new Files(FOLDER, host.fetch, (...progress) => told.push(progress));
  for (const name of ["a", "b"]) files.begin(name);
  await Promise.all([files.bytes("a"), files.bytes("b")]);
  await until(() => told.at(-1)?.[0] === 300_000);
  assert.deepEqual(told.at(-1), [300_000, 300_000, "Python is starting"]);
  assert.ok(told.every(([done, of], k) => done <= of && done >= (told[k - 1]?.[0] ?? 0)));
});

test("a host that packs what it sends doesn't say how much comes: never more than all of it", async () => {
  const host = new Host({ a: bytes(200_000) });
  host.headers = { "content-encoding": "gzip", "content-length": "10" };
  /** @type {number[][]} */
  const told = [];
  const files = new Files(FOLDER, host.fetch, (done, of) => told.push([done, of]));
  files.begin("a");
  await files.bytes("a");
  await until(() => told.at(-1)?.[0] === 200_000);
  assert.ok(told.every(([done, of]) => done <= of));
});

test("WebAssembly is told as such, whatever a host calls it", async () => {
  const host = new Host({ "pyodide.asm.wasm": bytes(9) });
  for (const type of ["application/octet-stream", "application/wasm"]) {
    host.headers = { "content-type": type };
    const files = new Files(FOLDER, host.fetch);
    files.begin("pyodide.asm.wasm");
    const response = await files.take(`${FOLDER}pyodide.asm.wasm`);
    assert.equal(response.headers.get("content-type"), "application/wasm");
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), bytes(9));
  }
});

for (const [what, content] of /** @type {const} */ ([
  ["isn't there", 404],
  ["can't be reached", undefined],
])) {
  test(`a file that ${what} is missed at once, by name`, async () => {
    const host = new Host(content === undefined ? {} : { "book.zip": content });
    const files = new Files(FOLDER, host.fetch);
    files.begin("book.zip");
    await assert.rejects(files.lost, (error) => error instanceof Missing && error.message.startsWith("book.zip: "));
    await assert.rejects(files.bytes("book.zip"));
  });
}

test("a line that breaks in mid-file is missed too", async () => {
  const broken = new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes(10));
      controller.error(new TypeError("network error"));
    },
  });
  const files = new Files(FOLDER, async () => new Response(broken, { headers: { "content-length": "100" } }));
  files.begin("a");
  await assert.rejects(files.lost, Missing);
});

test("bytes of Python's are copied, and given back", () => {
  let released = 0;
  const memory = bytes(8);
  const view = { getBuffer: () => ({ data: memory.subarray(2, 5), release: () => (released += 1) }) };
  const copy = copied(view);
  memory.fill(0);
  assert.deepEqual([...copy], [2, 3, 4]);
  assert.equal(copy.buffer.byteLength, 3);
  assert.equal(released, 1);
});

/** @param {() => boolean} condition */
async function until(condition) {
  while (!condition()) await new Promise((done) => setTimeout(done));
}
