// "Check against PyTorch": the same tensors through torch, in a process of its own, and the largest difference.
import { button, element } from "./controls.js";
import { brief } from "./numbers.js";
import { duration } from "./waits.js";

/**
 * What the server says of a lane: what PyTorch found, why it isn't asked, or how many checks are before this one
 * and about how many seconds they take; at its turn none, and its own.
 *
 * @typedef {{ lane: number, of: number, name: string, report?: Report, refused?: string, waiting?: { place: number, seconds: number } }} Answer
 *
 * What PyTorch found of a lane; diverged: the step after which there is nothing to compare.
 *
 * @typedef {{ largest: number, where: string, rows: [what: string, difference: number, magnitude: number][] }} Compared
 * @typedef {{ diverged?: number | null, torch: string, agrees: boolean, float32: Compared, float64: Compared }} Report
 */

/**
 * How a check stands, in words.
 *
 * @param {number} step
 * @param {Answer} answer the latest
 * @param {string} torch the version that has answered; "" if none has
 */
export function words(step, { lane, of, waiting }, torch) {
  if (waiting) {
    const { place, seconds } = waiting;
    const here = of > 1 ? `Step ${step}, lane ${lane + 1} of ${of}` : `Step ${step}`;
    if (!place) return `${here}: it is your turn, about ${duration(seconds)} …`;
    return `${here}: ${place} ${place > 1 ? "checks are" : "check is"} before yours, about ${duration(seconds)} …`;
  }
  if (lane + 1 < of) return `Step ${step}: lane ${lane + 1} of ${of} is done …`;
  return torch ? `Step ${step}, PyTorch ${torch}:` : `Step ${step}:`;
}

export class Check {
  /**
   * @param {HTMLElement} parent
   * @param {{ values: Record<string, any>, step: () => number }} race
   * @param {(message: any) => boolean} ask
   */
  constructor(parent, race, ask) {
    this.race = race;
    this.ask = ask;
    this.number = 0;
    this.at = 0;
    this.torch = "";
    const menu = element(parent, "details", "check");
    element(menu, "summary", "", {}, "Check against PyTorch");
    element(
      menu,
      "p",
      "hint",
      {},
      "The first seed of each lane, as it is at the playhead, and its next batch go through PyTorch, too: forward, backward, running statistics, inference. PyTorch repeats this one step, not the way to it.",
    );
    this.start = button(menu, "Check this step", "Compare every lane with PyTorch at this step", () => this.request());
    this.note = element(menu, "p", "hint", { role: "status" });
    this.found = element(menu, "div", "found");
  }

  request() {
    const { values } = this.race;
    this.at = this.race.step();
    this.number += 1;
    this.torch = "";
    const sent = this.ask({ kind: "check", id: this.number, values, step: this.at });
    this.found.replaceChildren();
    this.start.disabled = sent;
    this.note.textContent = sent
      ? `PyTorch is asked about step ${this.at} …`
      : "The server is away; try again when it is back.";
  }

  // The server's answer; true if the message was one.
  /** @param {any} message @returns {boolean} */
  receive(message) {
    if (message.kind === "problem" && message.of === "check") {
      this.note.textContent = `Not checked: ${message.message}`;
      this.start.disabled = false;
      return true;
    }
    if (message.kind !== "check") return false;
    if (message.id !== this.number) return true;
    this.torch ||= message.report?.torch ?? "";
    this.note.textContent = words(this.at, message, this.torch);
    if (message.waiting) return true;
    this.start.disabled = message.lane + 1 < message.of;
    this.show(message);
    return true;
  }

  /** @param {Answer} message */
  show({ name, report, refused }) {
    const item = element(this.found, "details", "lane-check");
    const head = element(item, "summary");
    if (!report) {
      head.textContent = `${name}: not checked: ${refused}`;
      return;
    }
    if (report.diverged !== undefined && report.diverged !== null) {
      head.textContent = `${name}: diverged at step ${report.diverged}, there is nothing to compare`;
      return;
    }
    const { float32, float64, agrees } = report;
    element(head, "strong", "", {}, agrees ? "✓ " : "✗ ");
    head.append(
      `${name}: ${agrees ? "agrees" : "differs"}. Largest difference ${brief(float32.largest)} in the lab’s float32 (${float32.where}), ${brief(float64.largest)} in float64.`,
    );
    const table = element(item, "table");
    const row = element(element(table, "thead"), "tr");
    for (const words of ["float64, first seed", "largest difference", "largest number"])
      element(row, "th", "", { scope: "col" }, words);
    const body = element(table, "tbody");
    for (const [what, difference, magnitude] of float64.rows) {
      const line = element(body, "tr");
      element(line, "th", "", { scope: "row" }, what);
      element(line, "td", "", {}, brief(difference));
      element(line, "td", "", {}, brief(magnitude));
    }
  }
}
