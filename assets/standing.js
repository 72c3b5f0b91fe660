// How the lanes stand at the playhead, a row each: accuracy, parameters, what a step costs.
import { element } from "./controls.js";
import { explain } from "./explain.js";
import { paintSwatch, swatch } from "./theme.js";

/**
 * @import { Lane, Lanes } from "./frames.js"
 * @import { Theme } from "./scheme.js"
 */

// Columns, and under which name Python explains each of them.
/** @type {[title: string, term: string][]} */
const COLUMNS = [
  ["Lane", ""],
  ["", "accuracy"],
  ["Parameters", "parameters"],
  ["Cost of a step", "cost"],
];

const share = (/** @type {number} */ value) => (100 * value).toFixed(1);

export class Standing {
  /**
   * @param {HTMLElement} parent
   * @param {{ shown?: Lanes, step: () => number }} race
   * @param {Record<string, string>} terms what the columns mean
   */
  constructor(parent, race, terms = {}) {
    this.race = race;
    const box = element(parent, "div", "standing-box");
    const table = element(box, "table", "standing");
    const head = element(element(table, "thead"), "tr");
    /** @type {HTMLButtonElement | undefined} */
    this.ofAccuracy = undefined;
    this.heads = COLUMNS.map(([title, term]) => {
      const cell = element(head, "th", "", { scope: "col" });
      const words = element(cell, "span", "", {}, title);
      if (!terms[term]) return words;
      const { button } = explain(cell, title || "validation accuracy", terms[term], box);
      if (term === "accuracy") this.ofAccuracy = button;
      return words;
    });
    this.body = element(table, "tbody");
    /** @type {HTMLElement[][]} */
    this.cells = [];
    this.key = "";
  }

  /** @param {Theme} colours */
  draw(colours) {
    const { shown } = this.race;
    if (!shown) return;
    const looks = shown.lanes.map(({ name, colour, dash }) => [name, colour, dash]);
    const key = JSON.stringify([looks, colours]);
    if (this.key !== key) this.build(shown, colours);
    this.key = key;
    const step = this.step(shown);
    if (this.ofAccuracy) this.ofAccuracy.hidden = shown.network === "gan"; // its figure explains what is measured there
    write(this.heads[1], `${shown.measured}, step ${step}`);
    shown.lanes.forEach((lane, number) => {
      const [accuracy, parameters, time] = this.cells[number];
      write(accuracy, this.accuracy(shown, number, step));
      write(parameters, lane.cost ? lane.cost.parameters.toLocaleString("en") : "…");
      write(time, lane.cost ? `${milliseconds(1000 * lane.cost.seconds)} ms` : "…");
    });
  }

  /** @param {Lanes} shown @param {Theme} colours */
  build(shown, colours) {
    this.body.replaceChildren();
    this.cells = shown.lanes.map((lane) => {
      const row = element(this.body, "tr");
      const head = element(row, "th", "", { scope: "row" });
      paintSwatch(swatch(head), lane, colours);
      element(head, "span", "", {}, lane.name);
      return [0, 1, 2].map(() => element(row, "td"));
    });
  }

  /** @param {Lanes} shown @param {number} lane @param {number} step */
  accuracy(shown, lane, step) {
    const [mean, low, high] = [0, 1, 2].map((index) => shown.at(lane, step, "val_accuracy", index));
    const left = shown.at(lane, this.race.step(), "seeds_left"),
      seeds = shown.at(lane, 0, "seeds_left");
    if (!left || !Number.isFinite(mean)) return left === 0 ? "diverged" : "…";
    const some = left < seeds ? `, ${left} of ${seeds} seeds` : "";
    return (low < high ? `${share(mean)}% (${share(low)}–${share(high)})` : `${share(mean)}%`) + some;
  }

  // The latest validation up to the playhead.
  /** @param {Lanes} shown */
  step({ validateEvery }) {
    return Math.floor(this.race.step() / validateEvery) * validateEvery;
  }
}

// Only on a change: new text costs the browser more than a comparison.
/** @param {HTMLElement} cell @param {string} words */
function write(cell, words) {
  if (cell.textContent !== words) cell.textContent = words;
}

/** @param {number} time */
function milliseconds(time) {
  return time >= 10 ? Math.round(time) : time.toPrecision(2);
}
