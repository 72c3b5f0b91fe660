import assert from "node:assert/strict";
import { test } from "node:test";
import { Recorded } from "../recorded.js";
import { Transport } from "../transport.js";
import { soon, started } from "./fake.js";
import { file, packed } from "./recording.js";

const view = (/** @type {object} */ more = {}) => ({ kind: "view", values: { draw: 1 }, draft: false, ...more });
const lab = (/** @type {object} */ more = {}) => ({ kind: "lab", values: { guess: 0 }, until: 120, ...more });
const text = (/** @type {object} */ message) => JSON.stringify(message);

const FIGURES = {
  dots: { layout: { meta: { place: "main" } } },
  small: { layout: { meta: { place: "contents" } } },
};

const RECORDED = () =>
  new Recorded(
    file({
      replies: [
        {
          ask: view(),
          says: [packed({ kind: "view", id: 0, text: "recorded", growing: false, figures: FIGURES }, [1])],
        },
        { ask: lab(), says: [text({ kind: "lab", id: 0 }), text({ kind: "frames", lane: 0 })], reached: 60 },
        { ask: { kind: "verdict", step: 5 }, of: 1, says: [text({ kind: "verdict", id: 0, step: 5 })] },
      ],
    }),
  );

/** @param {Recorded} [recorded] */
function opened(recorded = RECORDED()) {
  const { port, session } = started();
  /** @type {any[]} */
  const heard = [];
  /** @type {string[][]} */
  const shown = [];
  const transport = new Transport(session, recorded, {
    onOpen: () => heard.push("open"),
    onMessage: ({ arrays, figures, ...message }) => {
      heard.push(message);
      if (figures) shown.push(Object.keys(figures));
    },
    onState: (state) => heard.push(`state ${state}`),
  });
  return {
    port,
    session,
    transport,
    heard,
    shown,
    line: transport.line,
    ready: () => port.tell({ kind: "ready", seconds: 4 }),
  };
}

test("it is open at once, after its listener has it", async () => {
  const { heard } = opened();
  assert.deepEqual(heard, []);
  await soon();
  assert.deepEqual(heard, ["state open", "open"]);
});

test("a recorded answer comes without Python, never within the question itself", async () => {
  const { transport, heard, port } = opened();
  await soon();
  assert.equal(transport.send(view({ id: 4 })), true);
  assert.equal(heard.length, 2);
  await soon();
  assert.deepEqual(heard.at(-1), { kind: "view", id: 4, text: "recorded", growing: false });
  assert.deepEqual(port.said(1), []);
});

test("a draft is answered by the picture in full, but for the small figures of other pages", async () => {
  const { transport, heard, shown } = opened();
  transport.send(view({ id: 4, draft: true, moves: "draw" }));
  transport.send(view({ id: 5 }));
  await soon();
  assert.equal(heard.at(-1).text, "recorded");
  assert.deepEqual(shown, [["dots"], ["dots", "small"]]);
});

test("of what wasn't recorded the latest of a kind waits for Python", async () => {
  const { transport, port, ready } = opened();
  transport.send(view({ id: 1, values: { draw: 2 } }));
  transport.send({ kind: "take", id: 1, values: {} });
  transport.send(view({ id: 2, values: { draw: 3 } }));
  transport.send({ kind: "take", id: 2, values: {} });
  await soon();
  assert.deepEqual(port.said(1), []);
  ready();
  await soon();
  const said = port.said(1).map(({ kind, id }) => `${kind} ${id}`);
  assert.deepEqual(said, ["take 1", "view 2", "take 2"]);
});

test("a recorded view is computed anew once Python is there, and only its end is shown", async () => {
  const { transport, port, heard, ready } = opened();
  transport.send(view({ id: 4 }));
  await soon();
  ready();
  await soon();
  assert.deepEqual(port.said(1), [view({ id: 4 })]);
  const before = heard.length;
  port.tell({ kind: "said", channel: 1, text: text({ kind: "view", id: 4, growing: true }) });
  assert.equal(heard.length, before, "what grows would take back what is on the screen");
  port.tell({ kind: "said", channel: 1, text: text({ kind: "view", id: 4, growing: false }) });
  port.tell({ kind: "said", channel: 1, text: text({ kind: "story", id: 4 }) });
  assert.deepEqual(
    heard.slice(before).map(({ kind }) => kind),
    ["view", "story"],
  );
  transport.send(view({ id: 5 }));
  assert.equal(port.said(1).at(-1).id, 5, "from then on Python answers alone");
});

test("a page that opens when Python is there has its first picture from the recording, too", async () => {
  const { port, session } = started();
  port.tell({ kind: "ready", seconds: 4 });
  /** @type {any[]} */
  const heard = [];
  const transport = new Transport(session, RECORDED(), {
    onOpen: () => transport.send(view({ id: 1 })),
    onMessage: (message) => heard.push(message.text),
    onState: () => {},
  });
  await soon();
  assert.deepEqual(heard, ["recorded"]);
  assert.deepEqual(port.said(1), [view({ id: 1 })]);
  transport.send(view({ id: 2, values: { draw: 9 } }));
  transport.send(view({ id: 3 }));
  assert.deepEqual(
    port.said(1).map(({ id }) => id),
    [1, 2, 3],
  );
});

test("a recorded race is judged from the recording, as far as it goes", async () => {
  const { transport, heard, port } = opened();
  transport.send(lab({ id: 3, until: 200 }));
  transport.send({ kind: "until", id: 3, step: 60 });
  transport.send({ kind: "verdict", id: 3, step: 5 });
  transport.send({ kind: "verdict", id: 3, step: 70 });
  transport.send({ kind: "until", id: 3, step: 180 });
  await soon();
  assert.deepEqual(
    heard.slice(2).map(({ kind, id }) => `${kind} ${id}`),
    ["lab 3", "frames undefined", "verdict 3"],
  );
  assert.deepEqual(
    transport.waiting.map(({ step }) => step),
    [70, 180],
  );
  assert.deepEqual(port.said(1), []);
});

test("a race goes on once Python has come as far, on a channel of its own", async () => {
  const { transport, heard, port, ready } = opened();
  transport.send(lab({ id: 3 }));
  transport.send({ kind: "until", id: 3, step: 180 });
  await soon();
  ready();
  await soon();
  assert.deepEqual(port.said(2), [lab({ id: 0, until: 60 }), { kind: "verdict", id: 0, step: 60 }]);
  transport.send({ kind: "verdict", id: 3, step: 80 });
  assert.deepEqual(port.said(1), [], "the session knows nothing of this race yet");
  port.tell({ kind: "said", channel: 2, text: text({ kind: "line", id: 0 }) });
  const before = heard.length;
  port.tell({ kind: "said", channel: 2, text: text({ kind: "verdict", id: 0, step: 60 }) });
  assert.deepEqual(heard.slice(before), ["open"], "the picture asks again, as after any interruption");
  assert.deepEqual(port.posted.at(-1), { kind: "close", channel: 2 });
  transport.send(lab({ id: 4 }));
  transport.send({ kind: "until", id: 4, step: 180 });
  assert.deepEqual(
    port.said(1).map(({ kind, id }) => `${kind} ${id}`),
    ["lab 4", "until 4"],
  );
});

test("how far Python has come with a race is told from the slowest lane", async () => {
  const { port, session } = started();
  /** @type {any[]} */
  const told = [];
  const listener = { onOpen: () => {}, onMessage: () => {}, onState: () => {} };
  const transport = new Transport(session, RECORDED(), listener, (distance) => told.push(distance));
  transport.send(lab({ id: 3 }));
  await soon();
  port.tell({ kind: "ready", seconds: 4 });
  await soon();
  const layout = [
    ["step", []],
    ["curve", [3]],
  ];
  const frames = (/** @type {number} */ lane, /** @type {number} */ rows) => {
    const { buffer } = packed({ kind: "frames", lane, ghost: false }, Array(4 * rows).fill(0), "rows");
    port.tell({ kind: "said", channel: 2, bytes: buffer });
  };
  port.tell({ kind: "said", channel: 2, text: text({ kind: "lab", every: 5, lanes: [{ layout }, { layout }] }) });
  frames(0, 7);
  frames(1, 3);
  frames(1, 10);
  port.tell({ kind: "said", channel: 2, text: text({ kind: "verdict", id: 0, step: 60 }) });
  assert.deepEqual(told, [{ step: 0, of: 60 }, { step: 10, of: 60 }, { step: 30, of: 60 }, undefined]);
});

test("a file on its way is not lost when the race goes on", async () => {
  const { transport, heard, port, ready } = opened();
  transport.send(lab({ id: 3 }));
  transport.send({ kind: "take", id: 1, values: {} });
  await soon();
  ready();
  await soon();
  port.tell({ kind: "said", channel: 2, text: text({ kind: "verdict", id: 0, step: 60 }) });
  assert.notEqual(heard.at(-1), "open");
  port.tell({ kind: "said", channel: 1, text: text({ kind: "file", id: 1, start: 0, size: 0 }) });
  assert.equal(heard.at(-1), "open");
});

test("another race, which isn't recorded, is asked for at once", async () => {
  const { transport, port, ready } = opened();
  transport.send(lab({ id: 3 }));
  await soon();
  ready();
  await soon();
  transport.send(lab({ id: 4, values: { guess: 2 } }));
  assert.deepEqual(port.said(1), [lab({ id: 4, values: { guess: 2 } })]);
  assert.ok(port.posted.some(({ kind, channel }) => kind === "close" && channel === 2));
});

test("where Python can't come, what isn't recorded is refused, and the rest stays", async () => {
  const { transport, heard, port } = opened();
  transport.send(view({ id: 1, values: { draw: 2 } }));
  await soon();
  port.tell({ kind: "failed", why: "no" });
  await soon();
  assert.equal(heard.at(-1).kind, "problem");
  assert.equal(heard.at(-1).of, "view");
  assert.match(heard.at(-1).message, /^This is computed/);
  transport.send({ kind: "take", id: 1 });
  await soon();
  assert.match(heard.at(-1).message, /^this is computed/, "it stands behind “Not saved:”");
  transport.send(view({ id: 2 }));
  await soon();
  assert.equal(heard.at(-1).text, "recorded");
});

test("a closed one says and hears nothing", async () => {
  const { transport, heard, port, ready } = opened();
  transport.send(lab({ id: 3 }));
  transport.close();
  ready();
  await soon();
  assert.deepEqual(heard, []);
  assert.equal(transport.send(view()), false);
  assert.deepEqual(port.said(1), []);
});
