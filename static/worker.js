// The page's Web Worker: the book's sessions in Python, and what the page asks it. See static/shell.py.
import { copied, loadPython, Missing } from "./python.js";

const FAILED = "Python could not be started in this browser. Reload the page to try again.";
const AWAY = "Python could not be loaded: is the connection there? Reload the page to try again.";

/** @type {any} */
let shell;
/** @type {any[]} what was said before Python was there, in order */
let early = [];

self.onmessage = ({ data }) => {
  if (data.kind === "start") start(data);
  else if (shell) take(data);
  else early.push(data);
};

/** @param {{python: string, hand: string}} where */
async function start({ python, hand }) {
  try {
    const pyodide = await loadPython(python, (done, of, what) =>
      self.postMessage({ kind: "progress", done, of, what }),
    );
    const { begin } = pyodide.pyimport("static.shell");
    const cores = navigator.hardwareConcurrency ?? 1;
    shell = begin(post, () => another(hand, python), filesIn(python), cores);
  } catch (error) {
    console.error(error);
    self.postMessage({ kind: "failed", why: error instanceof Missing ? AWAY : FAILED });
    return;
  }
  self.postMessage({ kind: "ready", seconds: performance.now() / 1000 });
  const due = early;
  early = [];
  for (const message of due) take(message);
  shell.settle();
}

/** @param {any} message */
function take(message) {
  const { kind, channel } = message;
  if (kind === "open") shell.open(channel);
  else if (kind === "say") shell.say(channel, message.text);
  else if (kind === "close") shell.close(channel);
  else if (kind === "ask") answer(message);
}

/** @param {{id: number, name: string, arguments: Record<string, any>}} asked */
async function answer({ id, name, arguments: given }) {
  const text = await shell.answer(JSON.stringify({ name, arguments: given }));
  self.postMessage({ kind: "answer", id, ...JSON.parse(text) });
}

/** @param {number} channel @param {any} message text, or bytes of Python's */
function post(channel, message) {
  if (typeof message === "string") {
    self.postMessage({ kind: "said", channel, text: message });
    return;
  }
  const { buffer } = copied(message);
  self.postMessage({ kind: "said", channel, bytes: buffer }, { transfer: [buffer] });
}

/** @param {string} folder */
function filesIn(folder) {
  return async (/** @type {string} */ name) => {
    const response = await fetch(folder + name);
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  };
}

/**
 * Another worker, which computes for this one: what static/hand.py calls a line.
 *
 * @param {string} address
 * @param {string} python
 */
function another(address, python) {
  const worker = new Worker(address, { type: "module" });
  /** @type {{done: (value: any) => void, fail: (error: Error) => void}} */
  let awaited;
  const next = () => new Promise((done, fail) => (awaited = { done, fail }));
  worker.onmessage = ({ data }) => (data.failed ? awaited.fail(new Error(data.failed)) : awaited.done(data.bytes));
  worker.onerror = ({ message }) => awaited.fail(new Error(message || "its worker could not be loaded"));
  const ready = next();
  ready.catch(() => {}); // Python is told where it waits
  worker.postMessage({ python });
  return {
    ready,
    /** @param {any} packed */
    call(packed) {
      const bytes = copied(packed);
      const answered = next();
      worker.postMessage({ bytes }, [bytes.buffer]);
      return answered;
    },
    end: () => worker.terminate(),
  };
}
