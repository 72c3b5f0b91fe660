import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Session } from "../session.js";
import { FakePort, started } from "./fake.js";

afterEach(() => Reflect.deleteProperty(globalThis, "Worker"));

test("what is said before the worker is started comes after its start, in order", () => {
  Reflect.set(globalThis, "Worker", class {});
  const port = new FakePort();
  const session = new Session(() => port);
  session.open(() => {}).say({ kind: "view" });
  assert.deepEqual(port.posted, []);
  session.start({ python: "p", hand: "h" });
  session.start({ python: "p", hand: "h" });
  assert.deepEqual(port.posted, [
    { kind: "start", python: "p", hand: "h" },
    { kind: "open", channel: 1 },
    { kind: "say", channel: 1, text: '{"kind":"view"}' },
  ]);
});

test("answers find their questions, and problems fail them", async () => {
  const { port, session } = started();
  const [first, second] = [session.ask("speed", {}), session.ask("arrive", { page: "home" })];
  const ids = port.posted.filter(({ kind }) => kind === "ask").map(({ id }) => id);
  port.tell({ kind: "answer", id: ids[1], problem: "there is no such page" });
  port.tell({ kind: "answer", id: ids[0], value: 5 });
  assert.equal(await first, 5);
  await assert.rejects(second, /no such page/);
});

test("each channel hears what is said on it, until it is closed", () => {
  const { port, session } = started();
  /** @type {any[]} */
  const heard = [];
  const one = session.open(({ text }) => heard.push(`one ${text}`));
  session.open(({ text }) => heard.push(`two ${text}`));
  port.tell({ kind: "said", channel: 2, text: "a" });
  port.tell({ kind: "said", channel: 1, text: "b" });
  one.close();
  port.tell({ kind: "said", channel: 1, text: "c" });
  assert.deepEqual(heard, ["two a", "one b"]);
});

test("it is told once that Python is there, those who come later at once", () => {
  const { port, session } = started();
  /** @type {string[]} */
  const told = [];
  session.settled((state) => told.push(`early ${state}`));
  session.settled((state) => told.push(`never ${state}`))();
  port.tell({ kind: "ready", seconds: 4 });
  port.tell({ kind: "failed", why: "too late" });
  session.settled((state) => told.push(`late ${state}`));
  assert.deepEqual(told, ["early ready", "late ready"]);
});

test("a worker that doesn't come fails what was asked, and what is asked", async () => {
  const { port, session } = started();
  const asked = session.ask("speed", {});
  port.onerror({});
  await assert.rejects(asked, /could not be loaded/);
  await assert.rejects(session.ask("speed", {}), /could not be loaded/);
  assert.ok(session.failed);
});

test("an error of a worker that is there is not its end", () => {
  const { port, session } = started();
  port.tell({ kind: "ready", seconds: 4 });
  port.onerror({});
  assert.ok(session.ready);
});

test("a browser that lacks what is needed is told to be too old", () => {
  Reflect.deleteProperty(globalThis, "Worker");
  const session = new Session(() => new FakePort());
  session.start({ python: "p", hand: "h" });
  assert.match(session.why, /too old/);
  Reflect.set(globalThis, "Worker", class {});
  const plain = new Session(() => {
    throw new Error("no module");
  });
  plain.start({ python: "p", hand: "h" });
  assert.match(plain.why, /too old/);
});
