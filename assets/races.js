// Races to open: scenes, each with a question that its own race answers, and the races of the named experiments; the
// question's box, and which of them the race on the screen is.
import { judge, remember } from "./answers.js";
import { button, element } from "./controls.js";
import { Prediction } from "./scenes.js";

/**
 * @import { Race } from "./race.js"
 * @import { Story } from "./scenes.js"
 * @typedef {Record<string, any>} Values
 * @typedef {{name: string, title: string, group: string, question: string, choices: string[], until: number,
 *   address: string, values: Values}} LabScene what Python tells of a scene before it is answered
 * @typedef {{experiment: string, race: string, heading: string, values: Values}} Evidence the race
 *   of an experiment; its step is the one at which it is judged
 */

// Guesses that are no lane's number, as in book/race/settings.py.
export const LEVEL = -1,
  UNANSWERED = -2,
  SKIPPED = -3;
const STAYED = 40; // pixels: who scrolls farther looks at something else
const OPENING = "opening"; // the scene that an address without settings leads to

export class Races {
  /** @param {HTMLElement} parent @param {Race} race @param {{scenes: LabScene[], experiments: Evidence[]}} data */
  constructor(parent, race, { scenes, experiments }) {
    this.race = race;
    this.scenes = scenes;
    this.experiments = experiments;
    /** @type {Story | undefined} */
    this.story = undefined;
    /** @type {{title: string, values: Values} | undefined} */
    this.was = undefined; // the scene or the experiment's race that was left by a change
    /** @type {[words: string, address: string][]} */
    this.read = [];
    /** @type {number | undefined} */
    this.watching = undefined; // where on the screen the race was brought after an answer
    const row = element(parent, "nav", "races", { "aria-label": "Races to try" });
    this.sceneMenu = this.menu(row, "Predict a race", "scene", "Predict …", scenes, ({ group, title }) => [
      group,
      title,
    ]);
    this.experimentMenu = this.menu(
      row,
      "Races of the experiments",
      "experiment",
      "Experiments …",
      experiments,
      // Titles of experiments say what came out: the menu has what is raced.
      ({ values, race: title }) => [values.experiment, `${values.experiment}: ${title}`],
    );
    button(row, "Start over", "Put every setting back to how the lab starts", () => race.startOver());
    this.help = button(row, "?", "Keys", () => race.keys.toggle());
    this.keysRoom = element(parent, "div", "keys-room");
    this.own = element(parent, "p", "own-race", { role: "status" });
    this.ownWords = element(this.own, "span");
    button(this.own, "Back to it", "Back to the race before your changes", () => this.open(this.was?.values));
    this.prediction = new Prediction(parent, (number) => this.answer(number));
    const { ways } = this.prediction;
    this.skip = button(ways, "Skip: just show the race", "Skip the question and show the race", () =>
      this.commit(SKIPPED),
    );
    this.again = button(ways, "Ask again", "Take the answer back and ask again", () => this.open(this.scene?.values));
    this.next = button(ways, "Next race →", "Next race to predict", () => this.open(this.following?.values));
  }

  /**
   * A menu of races, in groups.
   *
   * @template {{values: Values}} Offered
   * @param {HTMLElement} parent
   * @param {string} label
   * @param {string} name
   * @param {string} prompt
   * @param {Offered[]} offered
   * @param {(one: Offered) => [group: string, title: string]} called
   */
  menu(parent, label, name, prompt, offered, called) {
    const menu = element(parent, "select", "", { "aria-label": label, "data-control": name });
    element(menu, "option", "", { value: "" }, prompt);
    /** @type {Record<string, HTMLOptGroupElement>} */
    const groups = {};
    offered.forEach((one, number) => {
      const [group, title] = called(one);
      groups[group] ??= element(menu, "optgroup", "", { label: group });
      element(groups[group], "option", "", { value: number }, title);
    });
    menu.addEventListener("change", () => {
      const chosen = menu.value === "" ? undefined : offered[Number(menu.value)];
      if (chosen) this.open(chosen.values);
      else this.show();
    });
    return menu;
  }

  // ---- which race it is -------------------------------------------------------------------------------------------

  // The scene that these settings are. An address without settings is the opening scene.
  /** @param {Values} values @returns {LabScene | undefined} */
  sceneOf(values) {
    const bare = !values.preset && !values.experiment && values.step < 0 && values.guess === UNANSWERED;
    const scene = this.scenes.find(({ name }) => name === (bare ? OPENING : values.preset));
    return scene && this.raced(values, scene.values) ? scene : undefined;
  }

  get scene() {
    return this.sceneOf(this.race.values);
  }

  get following() {
    const { scene } = this;
    return scene && this.scenes[(this.scenes.indexOf(scene) + 1) % this.scenes.length];
  }

  // Its place in the list of experiments' races; -1 where it is none of them.
  get experiment() {
    const { values, data } = this.race;
    return this.experiments.findIndex(
      (one) =>
        one.values.experiment === values.experiment &&
        (one.values.race ?? data.defaults.race) === values.race &&
        this.raced(values, one.values),
    );
  }

  // Whether the settings of the runs are these, and else the defaults.
  /** @param {Values} values @param {Values} settings */
  raced(values, settings) {
    const { run, defaults } = this.race.data;
    return run.every(
      (/** @type {string} */ name) => JSON.stringify(values[name]) === JSON.stringify(settings[name] ?? defaults[name]),
    );
  }

  // Whether a question keeps the race back.
  get isOpen() {
    return this.scene !== undefined && this.race.values.guess === UNANSWERED;
  }

  // The step at which the race is judged; 0: it isn't.
  get until() {
    const { scene, experiment, experiments } = this;
    return scene?.until ?? experiments[experiment]?.values.step ?? 0;
  }

  // What is asked of an experiment's race; empty where it is none.
  get heading() {
    return this.experiments[this.experiment]?.heading ?? "";
  }

  // ---- opening, leaving -------------------------------------------------------------------------------------------

  /** @param {Values | undefined} settings what differs from the defaults */
  open(settings) {
    if (!settings) return;
    const { race } = this;
    race.setPlaying(false, false);
    const { speed } = race.values; // a pace is the reader's own
    race.apply({ ...race.data.defaults, ...settings, speed });
    race.commit();
  }

  // Settings at which the opening scene is named: they don't become another race when they change.
  /** @param {Values} values @returns {Values} */
  named(values) {
    const scene = this.sceneOf(values);
    return { ...values, preset: scene?.name ?? values.preset };
  }

  // The settings for the address: as short as what they open.
  /** @param {Values} values @returns {Values} */
  written(values) {
    const open = this.isOpen;
    return { ...values, preset: open && values.preset === OPENING ? "" : values.preset, step: open ? -1 : values.step };
  }

  // Other settings than the scene's or the experiment's: what was asked or said of it no longer applies.
  leave() {
    const { experiment, race } = this.race.data.defaults;
    const { values } = this.race; // changed already, but for the names
    const scene = this.scenes.find(({ name }) => name === values.preset);
    const other = this.experiments.find(
      (one) => one.values.experiment === values.experiment && (one.values.race ?? race) === values.race,
    );
    if (scene) this.was = { title: scene.title, values: scene.values };
    else if (other) this.was = { title: `${other.values.experiment}: ${other.race}`, values: other.values };
    Object.assign(this.race.values, { preset: "", guess: UNANSWERED, experiment, race });
    this.forget();
    this.show();
  }

  forget() {
    this.story = undefined;
    this.read = [];
    this.watching = undefined;
  }

  // ---- question and answer ----------------------------------------------------------------------------------------

  /** @param {number} choice */
  answer(choice) {
    const { scene } = this;
    if (!scene || !this.isOpen || choice >= scene.choices.length) return;
    remember(this.race.data.page, scene.name, choice);
    this.commit(choice === scene.choices.length - 1 ? LEVEL : choice);
  }

  /** @param {number} guess */
  commit(guess) {
    this.race.values.guess = guess;
    this.forget();
    this.race.show();
    this.race.reveal();
    this.prediction.said.focus({ preventScroll: true }); // the answers can't be used any more; what is said is read next
    this.watching = this.race.comeIntoSight();
  }

  // What was measured, at the step at which the race is judged.
  /** @param {Story} story @param {[words: string, address: string][]} read */
  learn(story, read) {
    const { scene } = this;
    if (!scene || this.isOpen) return;
    judge(this.race.data.page, scene.name, story.right);
    // Who was taken to the race, and has stayed there, is taken back to what is said of it.
    const { watching, race } = this;
    const stayed = watching !== undefined && Math.abs(watching - race.top()) < STAYED;
    this.watching = undefined;
    this.story = { ...story, holds: true }; // later steps don't change what was measured at the judged one
    this.read = read;
    this.show();
    if (stayed) race.bring(this.prediction.box);
  }

  show() {
    const { scene, experiment, race, isOpen } = this;
    this.sceneMenu.value = scene ? String(this.scenes.indexOf(scene)) : "";
    this.experimentMenu.value = experiment < 0 ? "" : String(experiment);
    this.prediction.box.hidden = !scene;
    this.own.hidden = !this.was || Boolean(scene) || experiment >= 0;
    if (!this.own.hidden)
      this.ownWords.textContent = `This is a race of your own now, no longer “${this.was?.title}”. `;
    if (!scene) return;
    const { guess } = race.values;
    const chosen = guess === LEVEL ? scene.choices.length - 1 : guess >= 0 ? guess : undefined;
    this.prediction.show({
      name: scene.name,
      question: scene.question,
      choices: scene.choices,
      guess: chosen,
      story: this.story,
      read: this.read,
      open: isOpen,
      waiting: isOpen
        ? `Choose an answer; then the race runs to step ${scene.until}.`
        : `The race is judged at step ${scene.until}.`,
      task: "",
    });
    this.skip.hidden = !isOpen;
    this.again.hidden = isOpen;
    this.next.classList.toggle("main", this.story !== undefined);
  }
}
