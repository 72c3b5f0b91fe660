// The lab's settings beside its pictures: the lanes, what they share, and changes in mid-run.
import { button, called, choice, element, slider } from "./controls.js";
import { explain } from "./explain.js";
import { Lineup } from "./lineup.js";

/**
 * @import { Control } from "./controls.js"
 * @import { Lanes } from "./frames.js"
 * @import { Theme } from "./scheme.js"
 */

/**
 * @typedef {[norm: string, differs: [name: string, value: any][]]} Lane
 * @typedef {[step: number, name: string, value: any]} Edit
 * @typedef {{ norm: string, name: string, about?: string, use?: string }} Norm
 */

/**
 * What Python tells of the settings: book/race/settings.py, extras.
 *
 * @typedef {object} Tables
 * @property {(Control & { group: string, default: any })[]} controls
 * @property {string[]} editable what can change in mid-run
 * @property {string[]} differing what lanes can differ in, in the order in which Python writes it
 * @property {Record<string, string[]>} concerns by setting, the norms it does something for
 * @property {Record<string, string>} needs by network, the data it needs
 * @property {Norm[]} norms
 * @property {Record<string, string>} [terms] what the words of the lab mean
 */

/**
 * The race as the settings know it.
 *
 * @typedef {object} Race
 * @property {Record<string, any>} values
 * @property {Lanes} [shown]
 * @property {(step: number) => Record<string, any>} inForce the settings at a step
 * @property {(name: string, value: any) => void} change while a finger moves
 * @property {(lane: number, name: string, value: any) => void} changeLane while a finger moves
 * @property {() => void} settle the gesture has ended
 * @property {(lanes: Lane[]) => void} replaceLanes
 * @property {(edit: Edit) => void} undo
 * @property {(change: string) => void} mode where changes begin
 */

const GROUPS = { training: "Training", norm: "Norm", network: "Network", data: "Data", more: "More settings" };
const SELDOM = "more"; // closed until one of its settings is used
const PLANE_ONLY = "data_noise"; // digits have no such noise
const DIGITS_ONLY = "inputs"; // what lies in the plane is centred already
const OF_DIGITS = (/** @type {Record<string, any>} */ { dataset, network }) =>
  ["cnn", "rnn"].includes(network) || (dataset === "digits" && network !== "gan");
const WIDE = "(min-width: 901px)";

export class Settings {
  /** @param {HTMLElement} parent @param {Race} race @param {Tables} tables */
  constructor(parent, race, tables) {
    this.race = race;
    this.tables = tables;
    /** @type {Record<string, Control & { group: string, default: any }>} */
    this.byName = Object.fromEntries(tables.controls.map((control) => [control.name, control]));
    this.panel = element(parent, "div", "panel");
    this.lineup = new Lineup(this.panel, race, tables, (name, lane) => this.concerns(name, lane));
    this.edits = document.createElement("ul");
    this.modes = this.buildMode();
    /** @type {[name: string, show: (value: any) => void][]} */
    this.shows = [];
    /** @type {Record<string, HTMLElement>} */
    this.rows = {};
    /** @type {HTMLDetailsElement | undefined} */
    this.seldom = undefined;
    this.seldomUsed = false;
    this.shownEdits = "";
    for (const [group, title] of Object.entries(GROUPS)) {
      const details = element(this.panel, "details", `group ${group}`);
      details.open = group !== SELDOM && matchMedia(WIDE).matches;
      if (group === SELDOM) this.seldom = details;
      element(details, "summary", "", {}, title);
      this.build(
        details,
        tables.controls.filter((control) => control.group === group),
      );
    }
  }

  /** @param {HTMLElement} parent @param {Control[]} controls */
  build(parent, controls) {
    for (const control of controls) {
      const made = (control.choices.length ? choice : slider)(parent, control, {
        onInput: (value) => this.race.change(control.name, value),
        onChange: () => this.race.settle(),
      });
      this.rows[control.name] = made.row;
      this.shows.push([control.name, made.show]);
    }
  }

  // Where a change of a setting begins: a new race, or a branch of this one.
  buildMode() {
    const set = element(this.panel, "fieldset", "mode");
    const legend = element(set, "legend", "", {}, "A change applies");
    const { branch } = this.tables.terms ?? {};
    if (branch) explain(legend, "a branch", branch, set);
    const one = (/** @type {string} */ value, /** @type {string} */ words) => {
      const label = element(set, "label");
      const radio = element(label, "input", "", {
        type: "radio",
        name: "change",
        value,
        "data-control": `change-${value}`,
      });
      element(label, "span", "", {}, words);
      radio.addEventListener("change", () => this.race.mode(value));
      return radio;
    };
    const modes = { start: one("start", "from the start"), here: one("here", "from here on: a branch") };
    this.edits = element(this.panel, "ul", "edits");
    return modes;
  }

  /** @param {number} step */
  show(step) {
    const { values } = this.race;
    const inForce = this.race.inForce(step);
    for (const [name, show] of this.shows) show(inForce[name]);
    for (const [name, row] of Object.entries(this.rows)) {
      const restarts = values.change === "here" && step > 0 && !this.tables.editable.includes(name);
      row.classList.toggle("restarts", restarts);
      const own = this.isOwn(name, values.lanes);
      row.title = own ? "Each lane has a value of its own" : restarts ? "Changes the race from its start" : "";
      const input = row.querySelector("input, select");
      if (input) /** @type {HTMLInputElement} */ (input).disabled = own;
    }
    // What no lane's norm has anything to do with isn't offered.
    for (const name of Object.keys(this.tables.concerns)) {
      this.rows[name].hidden = !values.lanes.some((/** @type {Lane} */ lane) => this.concerns(name, lane));
    }
    // A network that needs certain data has them.
    const needed = this.tables.needs[values.network];
    const data = this.rows.dataset.querySelector("select");
    if (data) {
      data.disabled = Boolean(needed);
      if (needed) data.value = needed;
    }
    this.rows.label_noise.hidden = values.network === "gan";
    this.rows[PLANE_ONLY].hidden = OF_DIGITS(values);
    this.rows[DIGITS_ONLY].hidden = !OF_DIGITS(values);
    this.showSeldom(values);
    this.modes.start.checked = values.change !== "here";
    this.modes.here.checked = values.change === "here";
    this.lineup.show(values.lanes);
    this.showEdits(values.edits);
  }

  // Whether every lane that a setting concerns has a value of its own: the shared one does nothing then.
  /** @param {string} name @param {Lane[]} lanes */
  isOwn(name, lanes) {
    const concerned = lanes.filter((lane) => this.concerns(name, lane));
    return concerned.length > 0 && concerned.every(([, differs]) => differs.some(([field]) => field === name));
  }

  // Whether a setting does anything in a lane: of norms' settings, in those that have them.
  /** @param {string} name @param {Lane} lane */
  concerns(name, [norm, differs]) {
    const norms = this.tables.concerns[name];
    const ofWeights = Object.fromEntries(differs).weight_norm ?? this.race.values.weight_norm;
    return !norms || norms.includes(norm) || (norms.includes(ofWeights) && name !== "weight_norm");
  }

  // Settings that few races need are in sight as soon as one of them counts; who closes them has them closed.
  /** @param {Record<string, any>} values */
  showSeldom(values) {
    const used = this.tables.controls.some(({ group, name }) => {
      return group === SELDOM && values[name] !== this.byName[name].default;
    });
    if (used && !this.seldomUsed && this.seldom && matchMedia(WIDE).matches) this.seldom.open = true;
    this.seldomUsed = used;
  }

  /** @param {Edit[]} edits */
  showEdits(edits) {
    const key = JSON.stringify(edits);
    if (this.shownEdits === key) return;
    this.shownEdits = key;
    this.edits.replaceChildren();
    for (const edit of edits) {
      const [step, name, value] = edit;
      const item = element(this.edits, "li");
      const words = `step ${step}: ${this.byName[name].label} ${called(this.byName[name], value)}`;
      element(item, "span", "", {}, words);
      button(item, "✕", `Take back: ${words}`, () => this.race.undo(edit));
    }
  }

  // The lanes have to be built anew at the next show: what the finger did to them didn't count.
  forgetLanes() {
    this.lineup.shown = "";
  }

  // The lanes are as their sliders show them: they keep the sliders that the finger is on.
  keepLanes() {
    this.lineup.shown = JSON.stringify(this.race.values.lanes);
  }

  // What the lanes don't share because of what they differ in, as the server says.
  /** @param {string[]} [notes] */
  say(notes) {
    this.lineup.say(notes);
  }

  /** @param {Theme} colours */
  paint(colours) {
    this.lineup.paint(colours);
  }
}
