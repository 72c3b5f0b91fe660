// Python comes as far with a race as what was recorded of it, on a channel of its own; then it goes on from there.
import { unpack } from "../assets/channel.js";

/**
 * @import { Said, Session } from "./session.js"
 * @typedef {{step: number, of: number}} Distance the latest step that all lanes have, and that to come to
 */

const ENDS = new Set(["verdict", "problem"]);

export class Ahead {
  /**
   * @param {Session} session
   * @param {{lab: Record<string, any>, step: number, onStep: (distance: Distance) => void, onEnd: () => void}} race
   */
  constructor(session, { lab, step, onStep, onEnd }) {
    this.of = step;
    this.onStep = onStep;
    this.onEnd = onEnd;
    this.every = 1;
    /** @type {{width: number, rows: number}[]} */
    this.lanes = [];
    this.line = session.open(({ text, bytes }) => this.hear(bytes ? unpack(bytes) : JSON.parse(text ?? "")));
    this.line.say({ ...lab, id: 0, until: step });
    this.line.say({ kind: "verdict", id: 0, step }); // it is said once all lanes have come there
  }

  /** @param {import("../assets/channel.js").Message} message */
  hear(message) {
    const { kind } = message;
    if (kind === "lab") {
      this.every = message.every;
      this.lanes = message.lanes.map((/** @type {any} */ { layout }) => ({ width: width(layout), rows: 0 }));
    } else if (kind === "frames" && !message.ghost) {
      const lane = this.lanes[message.lane];
      lane.rows += (message.arrays?.rows.length ?? 0) / lane.width;
      const rows = Math.min(...this.lanes.map((one) => one.rows));
      this.onStep({ step: Math.max(0, rows - 1) * this.every, of: this.of });
    } else if (ENDS.has(kind)) this.onEnd();
  }

  close() {
    this.line.close();
  }
}

/** @param {import("../assets/frames.js").Layout} layout */
const width = (layout) => layout.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
