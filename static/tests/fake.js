// A worker that answers only what a test tells it to.
import { Session } from "../session.js";

export class FakePort {
  constructor() {
    /** @type {any[]} */
    this.posted = [];
    /** @type {any} */
    this.onmessage = undefined;
    /** @type {any} */
    this.onerror = undefined;
    /** @type {any} */
    this.onmessageerror = undefined;
  }

  /** @param {any} message */
  postMessage(message) {
    this.posted.push(message);
  }

  /** @param {any} data */
  tell(data) {
    this.onmessage({ data });
  }

  // What was said on a channel, without its number.
  /** @param {number} channel */
  said(channel) {
    return this.posted
      .filter((message) => message.kind === "say" && message.channel === channel)
      .map(({ text }) => JSON.parse(text));
  }
}

/** A session with its worker, which has been started; Node has no workers of the browser's kind. */
export function started() {
  Reflect.set(globalThis, "Worker", class {});
  const port = new FakePort();
  const session = new Session(() => port);
  session.start({ python: "p", hand: "h" });
  return { port, session };
}

/** Lets everything happen that was put off. */
export const soon = () => new Promise((done) => setTimeout(done));
