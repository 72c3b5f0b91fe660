// The channel of a picture: recorded answers while Python comes, then a session in the Web Worker. It offers what
// assets/channel.js offers.
import { unpack } from "../assets/channel.js";
import { Ahead } from "./ahead.js";

/**
 * @import { Message } from "../assets/channel.js"
 * @import { Distance } from "./ahead.js"
 * @import { Recorded, Reply } from "./recorded.js"
 * @import { Session } from "./session.js"
 * @typedef {{onOpen: () => void, onMessage: (message: Message) => void, onState: (state: "open" | "away") => void}} Listener
 * @typedef {Record<string, any> & {kind: string, id?: number}} Asked
 */

const NOT_HERE = "This is computed by Python, which could not be loaded; reload the page to try again.";
const WITHIN = NOT_HERE[0].toLowerCase() + NOT_HERE.slice(1); // behind “Not saved:”
const PICTURES = new Set(["view", "lab"]);
const OF_RACE = new Set(["until", "verdict"]); // they say nothing without the race that was asked for before
const LATEST = new Set(["view", "lab", "panels", ...OF_RACE]); // an older one isn't wanted any more

/**
 * @param {Session} session
 * @param {Recorded} [recorded] of the page
 * @param {(distance: Distance | undefined) => void} [onAhead] how far Python has come with a race that is shown from its
 *   recording; undefined: it goes on
 */
export function connector(session, recorded, onAhead) {
  return (/** @type {string} */ _, /** @type {Listener} */ listener) =>
    new Transport(session, recorded, listener, onAhead);
}

export class Transport {
  /**
   * @param {Session} session
   * @param {Recorded | undefined} recorded
   * @param {Listener} listener
   * @param {(distance: Distance | undefined) => void} [onAhead]
   */
  constructor(session, recorded, listener, onAhead = () => {}) {
    this.onAhead = onAhead;
    this.session = session;
    this.recorded = recorded;
    this.listener = listener;
    this.closed = false;
    /** @type {Asked[]} */
    this.waiting = []; // for Python
    /** @type {Asked | undefined} */
    this.shown = undefined; // the view or the race on the screen, if its answer was recorded
    /** @type {Asked | undefined} */
    this.caught = undefined; // what the session was asked for once more
    /** @type {Reply | undefined} */
    this.race = undefined; // that answer, of a race
    /** @type {number | undefined} */
    this.filling = undefined; // the number of a view that is on the screen already while it is computed anew
    /** @type {Set<any>} */
    this.files = new Set(); // the numbers of files on their way
    this.due = false; // Python has come as far with the race as what was recorded
    /** @type {Ahead | undefined} */
    this.ahead = undefined; // while it comes as far
    this.line = session.open((said) => this.hear(said));
    this.later(() => {
      listener.onState("open");
      listener.onOpen();
    });
    this.unsettle = session.settled(() => this.later(() => this.settle()));
  }

  /** @param {() => void} act */
  later(act) {
    queueMicrotask(() => {
      if (!this.closed) act();
    });
  }

  // ---- up ---------------------------------------------------------------------------------------------------------

  /** @param {object} asked @returns {boolean} */
  send(asked) {
    const message = /** @type {Asked} */ (asked);
    if (this.closed) return false;
    if (message.kind === "take") this.files.add(message.id);
    const reply = this.find(message);
    if (reply) this.answer(message, reply);
    else if (this.session.failed) this.refuse(message);
    else if (!this.session.ready || (this.race && OF_RACE.has(message.kind))) this.wait(message);
    else this.say(message);
    return true;
  }

  // A draft is a part of the picture in full: where that was recorded, it is given at once.
  /** @param {Asked} message */
  find(message) {
    const { recorded } = this;
    const found = recorded?.find(message, this.race);
    if (found || !message.draft || message.kind !== "view" || this.session.ready) return found;
    const { moves, ...full } = message;
    return recorded?.find({ ...full, draft: false });
  }

  /** @param {Asked} message @param {Reply} reply */
  answer(message, reply) {
    this.drop(message.kind);
    const { id = 0, kind } = message;
    if (PICTURES.has(kind)) {
      this.shown = message;
      this.race = kind === "lab" ? reply : undefined;
    }
    this.later(() => {
      for (const told of this.recorded?.messages(reply, id) ?? [])
        this.listener.onMessage(message.draft ? drafted(told) : told);
    });
    if (this.session.ready && this.shown === message) this.later(() => this.catchUp());
  }

  /** @param {Asked} message */
  wait(message) {
    this.drop(message.kind);
    if (message.kind === "until" && message.step <= (this.race?.reached ?? -1)) return; // all of it is there
    this.waiting.push(message);
  }

  /** @param {string} kind */
  drop(kind) {
    if (LATEST.has(kind)) this.waiting = this.waiting.filter((one) => one.kind !== kind);
  }

  // From the first picture on that wasn't recorded all of them are computed here.
  /** @param {Asked} message */
  say(message) {
    if (PICTURES.has(message.kind)) this.goLive();
    this.line.say(message);
  }

  goLive() {
    this.shown = undefined;
    this.race = undefined;
    this.recorded = undefined;
    this.filling = undefined;
    this.endAhead();
  }

  // Python can't come, and nobody else knows.
  /** @param {Asked} message */
  refuse({ kind, id }) {
    if (OF_RACE.has(kind)) return;
    const message = PICTURES.has(kind) ? NOT_HERE : WITHIN;
    this.later(() => this.tell({ kind: "problem", of: kind, id, message }));
  }

  // ---- down -------------------------------------------------------------------------------------------------------

  /** @param {{text?: string, bytes?: ArrayBuffer}} said */
  hear({ text, bytes }) {
    this.tell(bytes ? unpack(bytes) : JSON.parse(text ?? ""));
  }

  /** @param {Message} message */
  tell(message) {
    if (this.closed) return;
    if (message.id === this.filling && message.kind === "view") {
      if (message.growing) return; // what is on the screen is further
      this.goLive();
    }
    const { kind, id } = message;
    const ended = kind === "file" && message.start + (message.bytes?.length ?? 0) >= message.size;
    if (ended || (kind === "problem" && message.of === "take")) this.files.delete(id);
    this.listener.onMessage(message);
    if (this.due) this.takeOver();
  }

  // ---- from the recording to Python -------------------------------------------------------------------------------

  settle() {
    const { waiting } = this;
    if (this.session.failed) {
      this.waiting = [];
      for (const message of waiting) this.refuse(message);
      return;
    }
    this.waiting = waiting.filter(({ kind }) => this.race && OF_RACE.has(kind));
    const due = waiting.filter((message) => !this.waiting.includes(message));
    const other = due.some(({ kind }) => PICTURES.has(kind));
    for (const message of due) this.say(message);
    if (!other) this.catchUp();
  }

  // What is on the screen is asked for once more, so that the session knows it: it measures a question's answer ahead.
  catchUp() {
    const { shown, race } = this;
    if (!shown || shown === this.caught) return;
    this.caught = shown;
    if (race) {
      this.comeAsFar(shown, race.reached ?? 0);
      return;
    }
    this.filling = shown.id;
    this.line.say({ ...shown, draft: false });
  }

  // A race goes on where its recording ends once Python has come there. Until then the recording can be looked at;
  // then the picture asks for the race as after any interruption.
  /** @param {Asked} lab @param {number} step */
  comeAsFar(lab, step) {
    this.endAhead();
    this.ahead = new Ahead(this.session, {
      ...{ lab, step, onStep: this.onAhead },
      onEnd: () => {
        this.due = true;
        this.takeOver();
      },
    });
  }

  // A file on its way would be lost: it comes first.
  takeOver() {
    if (this.files.size || this.closed) return;
    this.waiting = [];
    this.goLive();
    this.listener.onOpen();
  }

  endAhead() {
    if (!this.ahead) return;
    this.ahead.close();
    this.ahead = undefined;
    this.due = false;
    this.onAhead(undefined);
  }

  close() {
    this.closed = true;
    this.unsettle();
    this.endAhead();
    this.line.close();
  }
}

// While a finger moves, the small figures of other pages stay as they are.
/** @param {Message} message @returns {Message} */
function drafted(message) {
  if (!message.figures) return message;
  const own = Object.entries(message.figures).filter(([, { layout }]) => layout.meta.place !== "contents");
  return { ...message, figures: Object.fromEntries(own) };
}
