// A chapter's frame: its settings, its scenes, and everything that follows the finger, as Python declares it.
import { judge, remember } from "./answers.js";
import { button, element } from "./controls.js";
import { digit, Keys } from "./keys.js";
import { Late } from "./late.js";
import { build } from "./playback.js";
import { Scenes } from "./scenes.js";
import { Stage } from "./stage.js";
import { TakeAway } from "./take.js";
import { Transition } from "./transition.js";
import { trouble } from "./trouble.js";
import { Walk } from "./walk.js";

/**
 * @import { Made } from "./playback.js"
 * @import { Scene, Story } from "./scenes.js"
 * @typedef {Record<string, any>} Values
 */

const same = (/** @type {any} */ one, /** @type {any} */ other) => JSON.stringify(one) === JSON.stringify(other);

export class Chapter {
  /**
   * @param {HTMLElement} container
   * @param {Record<string, any>} data what Python hands over: live/messages.py, opening
   * @param {{commit: (values: Values) => void, ask: (message: any) => boolean}} page
   */
  constructor(container, data, { commit, ask }) {
    this.container = container;
    this.data = data;
    this.send = ask;
    this.commit = () => commit(this.values);
    /** @type {Values} */
    this.values = structuredClone(data.values);
    /** @type {Values | undefined} */
    this.asked = undefined; // the settings of the latest question
    /** @type {Values} */
    this.shown = data.defaults; // the last settings that gave a picture
    /** @type {Record<string, Story>} */
    this.stories = {}; // what is known of answered scenes
    this.number = 0;
    this.waiting = false; // one question under way, the latest state goes next
    this.askedFor = 0;
    /** @type {number | undefined} */
    this.latest = undefined;
    this.due = ""; // the scene whose answer has just been given: its reveal is played when it is measured
    this.jump = false; // to the reveal of a scene answered earlier, as soon as it is known
    this.dragging = false;
    this.touched = ""; // the setting that was changed last
    this.drafted = false;
    /** @type {boolean | undefined} */
    this.wasNarrow = undefined;

    this.frame = element(container, "div", "chapter", { "data-chapter": data.chapter });
    this.late = new Late(this.frame);
    this.scenes = data.story.length ? new Scenes(this.frame, this, data.story) : undefined;
    const stage = element(this.frame, "div", "stage");
    const left = element(stage, "div", "left");
    const panel = element(stage, "div", "panel");
    this.motion = new Transition(this);
    this.walk = new Walk(panel, this);
    this.stage = new Stage(left, panel, this);
    this.controls = element(panel, "fieldset", "controls");
    this.shows = this.buildControls();
    // What the chapter leaves a reader with stands below its last scene.
    this.ending = element(container, "ul", "ending", { "aria-label": "What you take from this chapter" });
    for (const sentence of data.ending) element(this.ending, "li", "", {}, sentence);
    this.ending.hidden = true;
    this.take = new TakeAway(left, { name: data.chapter, title: data.title, picture: this, ask, chapter: true });
    this.keys = new Keys({
      room: this.scenes?.box ?? this.frame,
      help: this.scenes?.help,
      known: () => this.keysKnown(),
      act: (key) => this.press(key),
    });
    this.enter();
    this.showValues();
  }

  /** @returns {({name: string} & Made)[]} */
  buildControls() {
    element(this.controls, "legend", "hidden", {}, "Settings");
    const shows = [];
    for (const control of this.data.controls) {
      if (control.name === "scene" || control.name === "guesses") continue;
      const made = build(this.controls, control, {
        onInput: (value, time) => this.input(control.name, value, time),
        onChange: () => this.release(),
      });
      if (made) shows.push({ name: control.name, ...made });
    }
    if (this.scenes) return shows;
    button(this.controls, "Start over", "Put everything back", () => {
      this.apply(this.data.defaults);
      this.commit();
    });
    return shows;
  }

  // ---- settings ------------------------------------------------------------------------------------------------

  /** @returns {Scene | undefined} */
  get scene() {
    return this.data.story.find((/** @type {Scene} */ scene) => scene.name === this.values.scene);
  }

  /** @param {string} [name] @returns {number | undefined} */
  guess(name = this.values.scene) {
    return this.values.guesses?.find((/** @type {[string, number]} */ [scene]) => scene === name)?.[1];
  }

  // Whether the scene asks and hasn't been answered; nothing can be tried out then.
  get open() {
    return Boolean(this.scene?.choices.length) && this.guess() === undefined;
  }

  /** @param {string} name */
  control(name) {
    return this.data.controls.find((/** @type {any} */ one) => one.name === name);
  }

  /** @param {string} name @param {any} value @param {number} [time] */
  input(name, value, time) {
    if (this.open) return;
    const { plays, resets } = this.control(name);
    this.motion.stop();
    this.dragging = true;
    this.touched = name;
    this.values[name] = value;
    for (const other of resets) this.values[other] = structuredClone(this.data.defaults[other]);
    if (plays) {
      this.played(plays)?.stop?.();
      this.values[plays] = this.control(plays).high; // all of it is seen until the gesture ends
    }
    this.showValues();
    this.ask(time);
  }

  // The gesture has ended: the address follows, and what was drafted is drawn in full.
  release() {
    const { plays } = this.control(this.touched) ?? {};
    this.touched = "";
    this.dragging = false;
    this.commit();
    if (plays) this.played(plays)?.restart?.();
    if (this.drafted && !this.dragging) this.askAtOnce();
  }

  /** @param {string} name of a playhead */
  played(name) {
    return this.shows.find((one) => one.name === name);
  }

  // New settings from elsewhere: another link, the way back.
  /** @param {Values} values */
  apply(values) {
    this.halt();
    this.values = structuredClone(values);
    this.due = "";
    this.jump = false;
    this.enter();
    this.showValues();
    this.ask();
  }

  // A scene whose question is open, and that nobody has given other settings, begins at its start.
  enter() {
    const { defaults } = this.data;
    const plain = Object.keys(defaults).every(
      (name) => ["scene", "guesses"].includes(name) || same(this.values[name], defaults[name]),
    );
    if (this.scene && plain && this.guess() === undefined)
      Object.assign(this.values, structuredClone(this.scene.start));
    this.showScene();
  }

  // A new state of the chapter: shown, asked for and written into the address.
  settle() {
    this.dragging = false;
    this.showScene();
    this.showValues();
    this.askAtOnce();
    this.commit();
  }

  showValues() {
    const values = { ...this.values, ...this.motion.now };
    for (const { name, show } of this.shows) show(values[name]);
    this.walk.show(values);
  }

  halt() {
    this.motion.stop();
    for (const { stop } of this.shows) stop?.();
  }

  // ---- scenes --------------------------------------------------------------------------------------------------

  showScene() {
    const { scene, open } = this;
    this.controls.disabled = open;
    if (!scene || !this.scenes) return;
    this.frame.dataset.scene = scene.name;
    this.frame.classList.toggle("open", open);
    this.ending.hidden = open || scene !== this.data.story.at(-1);
    for (const { name, row } of this.shows) row.hidden = !scene.controls.includes(name);
    this.scenes.show(scene);
  }

  // The settings that a scene begins with, or is revealed at, without those that stay as they are.
  /** @param {Values} [settings] */
  beginning(settings = {}) {
    const kept = this.data.controls.filter((/** @type {any} */ one) => one.keeps);
    const names = kept.map((/** @type {any} */ one) => one.name);
    return structuredClone(Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name))));
  }

  /** @param {number} way */
  move(way) {
    const { story } = this.data;
    const to = story[story.indexOf(this.scene) + way];
    if (to) this.go(to.name);
  }

  /** @param {string} name */
  go(name) {
    this.halt();
    const scene = this.data.story.find((/** @type {Scene} */ one) => one.name === name);
    const answered = this.guess(name) !== undefined;
    const known = answered ? this.stories[name]?.reveal : undefined;
    this.values = { ...this.values, ...this.beginning(known ?? scene.start), scene: name };
    this.due = "";
    this.jump = answered && !known;
    this.settle();
  }

  startOver() {
    this.halt();
    const guesses = this.values.guesses.filter((/** @type {[string, number]} */ [name]) => name !== this.values.scene);
    this.values = { ...this.values, ...this.beginning(this.scene?.start), guesses };
    this.settle();
  }

  /** @param {number} number */
  predict(number) {
    const { scene } = this;
    if (!scene || !this.open || number >= scene.choices.length) return;
    const names = this.data.story.map((/** @type {Scene} */ one) => one.name);
    const guesses = [...this.values.guesses, [scene.name, number]];
    this.values.guesses = guesses.sort((one, other) => names.indexOf(one[0]) - names.indexOf(other[0]));
    this.due = scene.name;
    this.frame.classList.add("moving"); // from now on until what was measured is shown
    const known = this.stories[scene.name];
    remember(this.data.page, scene.name, number, known?.right);
    if (known) this.reveal(known);
    else this.settle();
    this.scenes?.said.focus({ preventScroll: true }); // the answers can't be used any more; what is said is read next
  }

  // What was measured is played: the settings go from where they are to those of the reveal.
  /** @param {Story} story */
  reveal(story) {
    this.due = "";
    const from = this.values;
    this.values = { ...this.values, ...this.beginning(story.reveal) };
    this.motion.play(from, this.values);
    this.settle();
  }

  /** @param {string} name @param {Story} story */
  learn(name, story) {
    // On its way to the reveal a picture is other than it, but nobody has chosen anything else.
    this.stories[name] = this.motion.running ? { ...story, holds: true } : story;
    judge(this.data.page, name, story.right);
    if (name !== this.values.scene || this.guess() === undefined) return;
    if (this.due === name) this.reveal(story);
    else if (this.jump) {
      this.jump = false;
      this.values = { ...this.values, ...this.beginning(story.reveal) };
      this.settle();
    } else if (this.scene) this.scenes?.tell(this.scene);
  }

  // ---- keys ----------------------------------------------------------------------------------------------------

  get playhead() {
    return this.shows.find(({ row, toggle }) => toggle && !row.hidden);
  }

  get paints() {
    const kind = (/** @type {string} */ name) =>
      this.data.controls.find((/** @type {any} */ one) => one.name === name)?.kind;
    return this.shows.some(({ name, row }) => kind(name) === "cells" && !row.hidden);
  }

  /** @returns {[keys: string, what: string][]} */
  keysKnown() {
    const what = this.walk.control ? "operation" : "scene";
    /** @type {[string | false, string][]} */
    const keys = [
      [this.open && `1 – ${this.scene?.choices.length}`, "answer the question"],
      [this.data.story.length > 0 && "← →", `${what} before, next ${what}`],
      [this.playhead !== undefined && "space", "play, pause"],
      [this.paints && "Shift and arrows, space", "paint the cells between two, or one"],
      ["Tab, ← →, Page Up, Page Down", "reach a figure, a slider; move what is chosen; choose another"],
    ];
    return keys.filter((row) => row[0]).map(([key, what]) => [String(key), what]);
  }

  /** @param {string} key */
  press(key) {
    const answer = digit(key);
    if (answer !== undefined && this.open) this.predict(answer);
    else if (key === "ArrowRight" || key === "ArrowLeft") {
      const way = key === "ArrowRight" ? 1 : -1;
      if (this.walk.control && !this.open) this.walk.go(way);
      else if (this.data.story.length) this.move(way);
      else return false;
    } else if (key === " " && this.playhead?.toggle && !this.open) this.playhead.toggle();
    else return false;
    return true;
  }

  // ---- questions and answers -----------------------------------------------------------------------------------

  // A new state, or the end of a gesture: what was asked before, such as a draft that takes its time, is given up.
  askAtOnce() {
    this.waiting = false;
    this.ask();
  }

  ask(at = performance.now()) {
    this.latest = at;
    if (this.waiting) return;
    this.late.asked();
    this.askedFor = at;
    this.latest = undefined;
    this.drafted = this.dragging;
    this.asked = { ...this.values, ...this.motion.now };
    this.number += 1;
    this.container.dataset.asked = String(this.number);
    this.waiting = this.send({
      kind: "view",
      id: this.number,
      chapter: this.data.chapter,
      values: this.asked,
      narrow: this.stage.narrow,
      draft: this.dragging,
      ...(this.dragging && { moves: this.touched }),
    });
  }

  connected() {
    this.waiting = false;
    this.take.connected();
    this.ask();
  }

  /** @param {any} message */
  receive(message) {
    if (this.take.receive(message)) return;
    if (message.kind === "story") return this.learn(message.scene, message.story);
    if (typeof message.id === "number" && message.id !== this.number) return; // of a question no longer asked
    if (message.kind === "problem") this.showProblem(message.message);
    this.waiting = false;
    if (message.kind === "view") this.showView(message);
    if (this.latest !== undefined) this.ask(this.latest);
  }

  /** @param {import("./stage.js").View} view */
  showView(view) {
    this.late.answered();
    this.shown = this.asked ?? this.shown;
    this.trouble?.remove();
    this.stage.show(view); // at once: waiting for the next frame would only show it a frame later
    this.frame.classList.toggle("growing", view.growing);
    Object.assign(this.container.dataset, { shown: String(view.id), told: "" }); // the words follow a little later
    this.container.dispatchEvent(new CustomEvent("bnlab:picture", { detail: this.askedFor }));
    if (view.story) this.learn(this.values.scene, view.story);
  }

  /** @param {string} words */
  showProblem(words) {
    this.late.answered();
    this.trouble?.remove();
    const before = this.shown;
    this.trouble = trouble(this.container, words, () => {
      this.apply(before);
      this.commit();
    });
  }

  // ---- what others ask of a frame ------------------------------------------------------------------------------

  /** @param {string} name */
  async explore(name) {
    const { explore } = await import("./explore.js");
    const figure = this.stage.view?.figures[name];
    if (figure)
      explore(this.container, figure, {
        plotly: this.data.plotly,
        name: `batchnorm-${this.data.chapter.replaceAll("_", "-")}-${name}`,
      });
  }

  figures() {
    return this.stage.figures();
  }

  summary() {
    return this.stage.words.textContent ?? "";
  }

  draw() {
    if (this.wasNarrow !== undefined && this.stage.narrow !== this.wasNarrow) this.ask();
    this.wasNarrow = this.stage.narrow;
    this.stage.draw();
  }

  repaint() {
    this.stage.repaint();
  }

  destroy() {
    this.halt();
    this.late.answered();
    this.keys.destroy();
    this.scenes?.destroy();
    this.stage.destroy();
  }
}
