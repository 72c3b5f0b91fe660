// Changes of a race's settings: while a finger moves, when it lets go, from the start or in mid-run; and what the race
// was before, which stays as the ghost.

/**
 * @import { Lanes } from "./frames.js"
 * @import { Race } from "./race.js"
 * @import { Edit, Lane } from "./settings.js"
 * @typedef {Record<string, any>} Values
 * @typedef {{what: string, values: Values, at: number}} Gesture
 */

const OTHER_DATA = ["dataset", "data_noise", "network"]; // a ghost with other data can't be compared
const ONE_GESTURE_MS = 1500; // key presses that follow each other so closely are one change

export class Changes {
  /** @param {Race} race */
  constructor(race) {
    this.race = race;
    this.skipped = false; // the finger is where two lanes would be the same
    /** @type {Gesture | undefined} */
    this.gesture = undefined;
    /** @type {Gesture | undefined} */
    this.settled = undefined;
    /** @type {Lanes | undefined} */
    this.before = undefined; // the race that the finger left
  }

  get values() {
    return this.race.values;
  }

  get shown() {
    return this.race.shown;
  }

  forget() {
    this.gesture = undefined;
    this.settled = undefined;
    this.before = undefined;
  }

  // What is in force at a step: the shared settings, and when branching the edits up to there.
  /** @param {number} step @returns {Values} */
  inForce(step) {
    const { values } = this;
    if (values.change !== "here") return values;
    const edits = values.edits.filter((/** @type {Edit} */ [from]) => from <= step);
    return { ...values, ...Object.fromEntries(edits.map((/** @type {Edit} */ [, name, value]) => [name, value])) };
  }

  // While a finger moves. The race as it was when the finger came down stays as the ghost.
  /** @param {string} name @param {any} value */
  change(name, value) {
    const { race } = this;
    const { values } = this.hold(name);
    const step = race.head.wanted;
    if (race.values.change === "here" && step > 0 && race.data.editable.includes(name)) {
      if (!this.edit(values, step, name, value)) return;
    } else {
      if (name === "network") this.start(race.values.network, value);
      race.values[name] = value;
      const before = OTHER_DATA.includes(name) ? [] : [[name, values[name]]];
      race.values.before = value === values[name] ? values.before : before;
    }
    race.races.leave();
    race.exchange.askDraft();
  }

  // In mid-run; false where there are too many changes already.
  /** @param {Values} values as they were @param {number} step @param {string} name @param {any} value */
  edit(values, step, name, value) {
    const { race } = this;
    /** @type {Edit[]} */
    const kept = values.edits.filter(
      (/** @type {Edit} */ [from, field]) => from < step || (from === step && field !== name),
    );
    if (kept.length === race.data.most_edits) {
      race.verdict.note(`There can be ${kept.length} changes in mid-run: take one back first.`);
      return false;
    }
    const before = kept.filter(([, field]) => field === name).at(-1)?.[2] ?? values[name];
    // In the order in which the server writes them, so that it is known again when it comes back.
    /** @type {Edit[]} */
    const longer = [...kept, [step, name, value]];
    longer.sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1));
    race.values.edits = value === before ? kept : longer;
    race.values.before = [];
    if (race.playing) race.setPlaying(false, false);
    return true;
  }

  // A network whose steps take long starts smaller, unless the reader has chosen its size.
  /** @param {string} from @param {string} to */
  start(from, to) {
    const { values, data } = this.race;
    const usual = (/** @type {string} */ network) => ({
      ...{ depth: data.defaults.depth, width: data.defaults.width },
      ...data.starts?.[network],
    });
    const here = usual(from);
    if (values.depth === here.depth && values.width === here.width) Object.assign(values, usual(to));
  }

  /** @param {number} number @param {string} name @param {any} value */
  changeLane(number, name, value) {
    const { race } = this;
    this.hold(`${number} ${name}`);
    /** @type {Lane[]} */
    const lanes = race.values.lanes;
    const [norm, differs] = lanes[number];
    /** @type {Lane} */
    const lane = [norm, differs.map(([field, old]) => [field, field === name ? value : old])];
    this.skipped = lanes.some((other, i) => i !== number && JSON.stringify(other) === JSON.stringify(lane));
    if (this.skipped) return; // two lanes that are the same are no race: the finger passes over
    lanes[number] = lane;
    race.settings.keepLanes();
    race.values.before = [];
    race.races.leave();
    race.exchange.askDraft();
  }

  /** @param {string} what */
  hold(what) {
    if (this.gesture) return this.gesture;
    const { settled, race } = this;
    if (settled?.what === what && performance.now() - settled.at < ONE_GESTURE_MS) {
      this.gesture = settled;
      return settled;
    }
    this.gesture = { what, values: structuredClone(race.values), at: 0 };
    if (race.shown && !race.shown.draft) this.before = race.shown;
    return this.gesture;
  }

  settle() {
    const { race } = this;
    if (this.gesture) this.settled = { ...this.gesture, at: performance.now() };
    this.gesture = undefined;
    if (this.skipped) race.settings.forgetLanes(); // its slider is where it can't be
    this.skipped = false;
    race.show();
    race.exchange.ask();
    race.commit();
  }

  /** @param {Lane[]} lanes */
  replaceLanes(lanes) {
    const { race } = this;
    if (new Set(lanes.map((lane) => JSON.stringify(lane))).size < lanes.length) {
      race.settings.forgetLanes(); // two lanes that are the same are no race: back to what was
      race.show();
      return;
    }
    race.values.lanes = lanes;
    race.values.before = [];
    this.before = undefined;
    race.races.leave();
    this.settle();
  }

  /** @param {string} change */
  mode(change) {
    this.race.values.change = change;
    this.race.show();
    this.race.commit();
  }

  /** @param {Edit} edit */
  undo(edit) {
    const { values } = this.race;
    values.edits = values.edits.filter((/** @type {Edit} */ kept) => kept !== edit);
    values.before = [];
    this.settle();
  }

  // The ghost: what the server sent of it, or, while a finger moves, the race that it left.
  /** @returns {{lanes: Lanes} | undefined} */
  ghost() {
    const { before, shown } = this;
    if (this.values.ghost === "off" || !shown) return undefined;
    if (shown.ghosts.some((lane) => shown.haunted(lane) > 0)) return { lanes: shown };
    return (shown.draft || shown.ghosts.length) && before ? { lanes: before } : undefined;
  }

  // The race that was asked for is more than can be shown: the one on the screen stays, and a button has settings
  // that fit.
  /** @param {any} message */
  refuse({ refused, notes }) {
    const { race } = this;
    race.settings.say(notes);
    race.container.classList.add("refused");
    race.verdict.refuse(refused.text, refused.label, () => {
      race.apply({ ...race.values, ...refused.fix });
      race.commit();
    });
  }
}
