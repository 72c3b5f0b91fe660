// Python beside the page, in a Web Worker: its coming, questions to it, and the channels of its sessions.

/**
 * @typedef {"coming" | "ready" | "failed"} State
 * @typedef {{done: number, of: number, what: string}} Coming
 * @typedef {(said: {text?: string, bytes?: ArrayBuffer}) => void} Hear
 * @typedef {{say: (message: object) => void, close: () => void}} Said
 * @typedef {{postMessage: (message: any) => void, onmessage: any, onerror: any, onmessageerror: any}} Port as much of
 *   a worker as is used
 */

const OLD = "This browser is too old to run Python beside the page: take a newer one, or the edition with a server";
const LOST = "Python could not be loaded: reload the page to try again";

/** What the page asks of a browser before Python is fetched; empty: it has all. */
export function missing() {
  if (typeof WebAssembly !== "object") return OLD;
  if (typeof Worker !== "function") return OLD;
  return "";
}

export class Session {
  /** @param {() => Port} make starts the worker */
  constructor(make) {
    this.make = make;
    /** @type {State} */
    this.state = "coming";
    this.why = "";
    /** @type {Port | undefined} */
    this.port = undefined;
    /** @type {any[]} what is said before the worker is started */
    this.early = [];
    this.asked = 0;
    this.channels = 0;
    /** @type {Map<number, {done: (value: any) => void, fail: (error: Error) => void}>} */
    this.answers = new Map();
    /** @type {Map<number, Hear>} */
    this.hearers = new Map();
    /** @type {Set<(state: State) => void>} */
    this.listeners = new Set();
    /** @type {(coming: Coming) => void} */
    this.onProgress = () => {};
  }

  get ready() {
    return this.state === "ready";
  }

  get failed() {
    return this.state === "failed";
  }

  /** @param {{python: string, hand: string}} where */
  start(where) {
    if (this.port || this.failed) return;
    const lacks = missing();
    if (lacks) {
      this.fail(lacks);
      return;
    }
    try {
      this.port = this.make();
    } catch {
      this.fail(OLD);
      return;
    }
    this.port.onmessage = (/** @type {any} */ { data }) => this.receive(data);
    // A worker that doesn't come says so without a reason; one that is there goes on after an error.
    this.port.onerror = () => {
      if (this.state === "coming") this.fail(LOST);
    };
    this.port.postMessage({ kind: "start", ...where });
    for (const message of this.early) this.port.postMessage(message);
    this.early = [];
  }

  /** @param {any} message */
  post(message) {
    if (this.port) this.port.postMessage(message);
    else this.early.push(message);
  }

  /** @param {any} message */
  receive(message) {
    const { kind } = message;
    if (kind === "said") this.hearers.get(message.channel)?.(message);
    else if (kind === "answer") this.answer(message);
    else if (kind === "progress") this.onProgress(message);
    else if (kind === "ready") this.become("ready");
    else if (kind === "failed") this.fail(message.why);
  }

  /** @param {{id: number, value?: any, problem?: string}} message */
  answer({ id, value, problem }) {
    const asked = this.answers.get(id);
    this.answers.delete(id);
    if (problem === undefined) asked?.done(value);
    else asked?.fail(new Error(problem));
  }

  /** @param {State} state */
  become(state) {
    if (this.state !== "coming") return;
    this.state = state;
    for (const hear of [...this.listeners]) hear(state);
  }

  /** @param {string} why */
  fail(why) {
    if (this.state !== "coming") return;
    this.why = why;
    for (const { fail } of this.answers.values()) fail(new Error(why));
    this.answers.clear();
    this.become("failed");
  }

  /**
   * Calls once when Python is there, or can't come; at once if that is known.
   *
   * @param {(state: State) => void} hear
   * @returns {() => void} ends it
   */
  settled(hear) {
    if (this.state !== "coming") {
      hear(this.state);
      return () => {};
    }
    this.listeners.add(hear);
    return () => this.listeners.delete(hear);
  }

  /**
   * @param {string} name
   * @param {Record<string, any>} given
   * @returns {Promise<any>} fails if Python can't come, or has no answer
   */
  ask(name, given) {
    if (this.failed) return Promise.reject(new Error(this.why));
    this.asked += 1;
    const id = this.asked;
    return new Promise((done, fail) => {
      this.answers.set(id, { done, fail });
      this.post({ kind: "ask", id, name, arguments: given });
    });
  }

  /**
   * A visitor's session of its own.
   *
   * @param {Hear} hear
   * @returns {Said}
   */
  open(hear) {
    this.channels += 1;
    const channel = this.channels;
    this.hearers.set(channel, hear);
    this.post({ kind: "open", channel });
    return {
      say: (message) => this.post({ kind: "say", channel, text: JSON.stringify(message) }),
      close: () => {
        this.hearers.delete(channel);
        this.post({ kind: "close", channel });
      },
    };
  }
}
