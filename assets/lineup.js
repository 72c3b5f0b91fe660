// The lanes of a race: their norms, what each of them differs in, and what their norms are for.
import { button, choice, element, slider } from "./controls.js";
import { explain, glossary } from "./explain.js";
import { paintSwatch, swatch } from "./theme.js";

/**
 * @import { Control } from "./controls.js"
 * @import { Theme } from "./scheme.js"
 * @import { Lane, Norm, Race, Tables } from "./settings.js"
 */

const MOST_LANES = 4;
const FINE = 40; // stops: of so many the next one would hardly be another value

export class Lineup {
  /**
   * @param {HTMLElement} parent
   * @param {Race} race
   * @param {Tables} tables
   * @param {(name: string, lane: Lane) => boolean} concerns whether a setting does anything in a lane
   */
  constructor(parent, race, tables, concerns) {
    this.race = race;
    this.tables = tables;
    this.concerns = concerns;
    this.set = element(parent, "fieldset", "lanes");
    this.shown = ""; // the lanes that have their controls here
    /** @type {SVGSVGElement[]} */
    this.swatches = [];
    /** @type {HTMLButtonElement[]} */
    this.asked = []; // the "?" of each lane's norm
    /** @type {HTMLElement | undefined} */
    this.note = undefined;
    /** @type {Theme | undefined} */
    this.colours = undefined;
  }

  /** @param {Lane[]} lanes */
  show(lanes) {
    const key = JSON.stringify(lanes);
    if (this.shown === key) return;
    this.shown = key;
    const root = /** @type {Document | ShadowRoot} */ (this.set.getRootNode());
    const focused = this.set.contains(root.activeElement) ? root.activeElement : null;
    const open = this.asked.map((what) => what.ariaExpanded === "true");
    this.build(lanes);
    this.asked.forEach((what, i) => {
      if (open[i]) what.click();
    });
    if (!focused) return;
    // Who was on something that is built anew stays there; if it has gone, on the first lane.
    const again = `[data-control="${focused.getAttribute("data-control")}"]`;
    /** @type {HTMLElement | null} */ (this.set.querySelector(again) ?? this.set.querySelector("select"))?.focus();
  }

  /** @param {Lane[]} lanes */
  build(lanes) {
    const { norms, terms } = this.tables;
    this.set.replaceChildren();
    const legend = element(this.set, "legend", "", {}, "Lanes");
    if (terms?.lane) explain(legend, "a lane", terms.lane, this.set);
    this.swatches = [];
    this.asked = [];
    for (const [number, lane] of lanes.entries()) this.buildLane(lanes, lane, number);
    const others = norms.filter(({ norm }) => !lanes.some(([taken, differs]) => taken === norm && !differs.length));
    const full = lanes.length >= MOST_LANES;
    const row = element(this.set, "div", "more-lanes");
    const more = button(row, full ? "four lanes at most" : "+ lane", "Another lane, with the next norm", () => {
      this.race.replaceLanes([...this.race.values.lanes, [others[0]?.norm ?? "none", []]]);
    });
    more.disabled = full;
    if (norms.some(({ about }) => about)) {
      element(row, "span", "hint", {}, "all norms");
      const list = glossary(norms.map((norm) => [norm.name, [norm.about, norm.use].filter(Boolean).join(" ")]));
      const { about } = explain(row, "each norm", list, this.set);
      about.classList.add("long");
      about.tabIndex = 0; // it scrolls
    }
    this.note = element(this.set, "p", "hint");
    if (this.colours) this.paint(this.colours);
    this.say(this.race.shown?.notes);
  }

  /** @param {Lane[]} lanes @param {Lane} lane @param {number} number */
  buildLane(lanes, [norm, differs], number) {
    // What a lane is now: its own sliders may have changed it since its controls were made.
    const now = () => /** @type {Lane[]} */ (this.race.values.lanes);
    const replaced = (/** @type {Lane} */ lane) => now().map((old, i) => (i === number ? lane : old));
    const free = (/** @type {Lane} */ lane) =>
      !now().some((old, i) => i !== number && JSON.stringify(old) === JSON.stringify(lane));
    // A lane with another norm keeps what does something there, too.
    const withNorm = (/** @type {string} */ value) => {
      const [, own] = now()[number];
      return /** @type {Lane} */ ([value, own.filter(([name]) => this.concerns(name, [value, own]))]);
    };
    const box = element(this.set, "div", "lane-box");
    const row = element(box, "div", "lane");
    this.swatches.push(swatch(row));
    const select = element(row, "select", "", {
      "aria-label": `Norm of lane ${number + 1}`,
      "data-control": `lane-${number}`,
    });
    for (const { norm: value, name } of this.tables.norms) {
      element(select, "option", "", { value }, name).disabled = !free(withNorm(value));
    }
    select.value = norm;
    select.addEventListener("change", () => this.race.replaceLanes(replaced(withNorm(select.value))));
    const chosen = this.tables.norms.find((one) => one.norm === norm);
    if (chosen?.about) this.asked.push(explain(row, chosen.name, told(chosen), box).button);
    for (const [name, value] of differs) {
      const made = this.buildOwn(box, number, name);
      made.show(value);
      button(made.own, "✕", `Lane ${number + 1} as the others: ${this.control(name).label}`, () => {
        /** @type {Lane} */
        const left = [norm, now()[number][1].filter(([kept]) => kept !== name)];
        this.race.replaceLanes(free(left) ? replaced(left) : now().filter((_, i) => i !== number));
      });
    }
    const more = element(box, "div", "lane-more");
    this.offer(more, [norm, differs], number, (/** @type {string} */ name) => {
      const { differing } = this.tables; // the server's order, so that it is known again when it comes back
      const lanes = others(this.control(name), this.race.values[name]).map((value) => {
        /** @type {[string, any][]} */
        const longer = [...now()[number][1], [name, value]];
        longer.sort(([a], [b]) => differing.indexOf(a) - differing.indexOf(b));
        return /** @type {Lane} */ ([norm, longer]);
      });
      const lane = lanes.find(free);
      if (lane) this.race.replaceLanes(replaced(lane));
    });
    if (lanes.length > 1) {
      button(more, "✕", `Take lane ${number + 1} out`, () =>
        this.race.replaceLanes(now().filter((_, i) => i !== number)),
      );
    }
  }

  // What a lane can differ in besides.
  /** @param {HTMLElement} parent @param {Lane} lane @param {number} number @param {(name: string) => void} differ */
  offer(parent, [norm, differs], number, differ) {
    const more = element(parent, "select", "more", {
      "aria-label": `Let lane ${number + 1} differ in`,
      "data-control": `lane-${number}-more`,
    });
    element(more, "option", "", { value: "" }, differs.length ? "differs also in …" : "differs in …");
    for (const name of this.tables.differing) {
      if (!this.concerns(name, [norm, differs]) || differs.some(([taken]) => taken === name)) continue;
      element(more, "option", "", { value: name }, this.control(name).label);
    }
    more.addEventListener("change", () => differ(more.value));
  }

  // A setting of a lane's own.
  /** @param {HTMLElement} parent @param {number} number @param {string} name */
  buildOwn(parent, number, name) {
    const own = element(parent, "div", "own");
    const control = { ...this.control(name), name: `lane-${number}-${name}`, hint: "", about: "" };
    const made = (control.choices.length ? choice : slider)(own, control, {
      onInput: (changed) => this.race.changeLane(number, name, changed),
      onChange: () => this.race.settle(),
    });
    const input = own.querySelector("input, select");
    input?.setAttribute("aria-label", `${control.label} of lane ${number + 1}`);
    return { own, show: made.show };
  }

  /** @param {string} name @returns {Control} */
  control(name) {
    const found = this.tables.controls.find((control) => control.name === name);
    if (!found) throw new Error(`there is no setting ${name}`);
    return found;
  }

  // What the lanes don't share because of what they differ in, as the server says.
  /** @param {string[]} [notes] */
  say(notes = []) {
    if (this.note) this.note.textContent = notes.join(" ");
  }

  // As the server says that the lanes look; new ones get their looks when it has answered.
  /** @param {Theme} colours */
  paint(colours) {
    this.colours = colours;
    this.swatches.forEach((svg, i) => {
      const lane = this.race.shown?.lanes[i];
      if (lane) paintSwatch(svg, lane, colours);
    });
  }
}

/** @param {Norm} norm */
function told({ about = "", use = "" }) {
  const box = document.createDocumentFragment();
  element(box, "p", "", {}, about);
  if (use) {
    const line = element(box, "p");
    element(line, "b", "", {}, "When to use it: ");
    line.append(use);
  }
  return box;
}

/**
 * What a lane may start to differ with: other values than the shared one, the most telling first.
 *
 * @param {Pick<Control, "choices" | "stops">} control
 * @param {any} value the shared one
 * @returns {any[]}
 */
export function others({ choices, stops }, value) {
  if (choices.length) {
    const at = choices.indexOf(value);
    return [...choices.slice(at + 1), ...choices.slice(0, Math.max(0, at))];
  }
  const at = stops.reduce((best, stop, i) => (Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best), 0);
  const off = value === 0 && at === 0; // what is switched off is switched on: the smallest value would show nothing
  const leap = stops.length > FINE ? Math.round(stops.length / 5) : 1; // of the learning rate: by a factor of ten
  const first = off ? [stops.length >> 1] : [at + leap, at - leap];
  const rest = stops.flatMap((_, i) => [at + i, at - i]);
  const found = [...first, ...rest].map((i) => stops[i]).filter((stop) => stop !== undefined && stop !== value);
  return [...new Set(found)];
}
