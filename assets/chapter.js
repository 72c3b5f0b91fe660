// A chapter's frame: scenes that begin with a prediction, the settings, and everything that follows the finger.
// Which chapter it is, it doesn't know: Python declares it (book/chapter.py), measures the answers and draws up figures.
import { button, element } from "./controls.js";
import { Keys } from "./keys.js";
import { build } from "./playback.js";
import { Stage } from "./stage.js";
import { TakeAway } from "./take.js";
import { Transition } from "./transition.js";

/**
 * @typedef {Record<string, any>} Values
 * @typedef {{name: string, title: string, question: string, choices: string[], task: string, controls: string[],
 *   walk: Record<string, string>, start: Values}} Scene
 * @typedef {{right: number, said: string, credit: string, because: string, but: string, holds: boolean, reveal: Values}} Story
 */

const same = (/** @type {any} */ one, /** @type {any} */ other) => JSON.stringify(one) === JSON.stringify(other);

export class Chapter {
  /**
   * @param {HTMLElement} container
   * @param {Record<string, any>} data
   * @param {{commit: (values: Values) => void, ask: (message: any) => boolean}} page
   */
  constructor(container, data, { commit, ask }) {
    this.container = container;
    this.data = data;
    this.send = ask;
    this.commit = () => commit(this.values);
    /** @type {Values} */
    this.values = structuredClone(data.values);
    /** @type {Values} */
    this.shown = {}; // the last settings that gave a picture
    /** @type {Record<string, Story>} */
    this.stories = {}; // what is known of answered scenes
    this.number = 0;
    this.waiting = false; // one question under way, the latest state goes next
    this.askedFor = 0;
    this.due = ""; // the scene whose answer has just been given: its reveal is played when it is measured
    this.dragging = false;
    this.motion = new Transition(this);
    this.build();
    this.keys = new Keys(this);
    this.enter();
    this.showValues();
  }

  // ---- the page ----------------------------------------------------------------------------------------------

  build() {
    this.frame = element(this.container, "div", "chapter", { "data-chapter": this.data.chapter });
    if (this.data.story.length) this.buildScenes();
    const stage = element(this.frame, "div", "stage");
    this.left = element(stage, "div", "left");
    this.panel = element(stage, "div", "panel");
    this.walk = element(this.panel, "div", "walk", { role: "group", "aria-label": "Step by step" });
    this.stage = new Stage(this.left, this.panel, this);
    this.words = this.stage.words;
    this.buildWalk();
    this.buildControls();
    this.take = new TakeAway(this.left, { name: this.data.chapter, title: this.data.title, picture: this, ask: this.send, chapter: true });
  }

  buildScenes() {
    const nav = element(this.frame, "nav", "scenes", { "aria-label": "Scenes of this chapter" });
    this.list = element(nav, "ol");
    this.tabs = this.data.story.map((/** @type {Scene} */ scene, /** @type {number} */ i) => {
      const tab = element(element(this.list, "li"), "button", "", { type: "button", "data-scene": scene.name });
      element(tab, "span", "count", {}, String(i + 1));
      element(tab, "span", "title", {}, scene.title);
      tab.addEventListener("click", () => this.go(scene.name));
      return [scene, tab];
    });
    new ResizeObserver(() => this.showTab()).observe(this.list);
    const box = element(this.frame, "section", "prediction", { "aria-label": "Prediction" });
    this.question = element(box, "h2");
    this.choices = element(box, "div", "choices", { role: "group", "aria-label": "Your prediction" });
    this.said = element(box, "div", "said", { role: "status" });
    const ways = element(box, "div", "ways");
    this.back = button(ways, "← Back", "Back to the scene before", () => this.step(-1));
    this.next = button(ways, "Next →", "Next scene", () => this.step(1));
    button(ways, "Start over", "Start over with this scene", () => this.startOver());
    this.help = button(ways, "?", "Keys", () => this.keys.toggle());
  }

  buildWalk() {
    this.stepWords = element(this.walk, "p", "status", { role: "status" });
    const ways = element(this.walk, "div", "ways");
    const way = (/** @type {string} */ label, /** @type {string} */ title, /** @type {number} */ by) => button(ways, label, title, () => this.walkBy(by));
    this.steps = [
      way("|◀", "To the beginning", -Infinity), way("◀ Back", "Back by one operation", -1),
      way("Step ▶", "Step on by one operation", 1), way("▶|", "To the end", Infinity),
    ];
  }

  buildControls() {
    this.controls = element(this.panel, "fieldset", "controls");
    element(this.controls, "legend", "hidden", {}, "Settings");
    /** @type {({name: string} & import("./playback.js").Made)[]} */
    this.shows = [];
    for (const control of this.data.controls) {
      if (control.name === "scene" || control.name === "guesses") continue;
      const made = build(this.controls, control, {
        onInput: (value, time) => this.input(control.name, value, time),
        onChange: () => this.release(),
      });
      if (made) this.shows.push({ name: control.name, ...made });
    }
    if (this.data.story.length) return;
    button(this.controls, "Start over", "Put everything back", () => {
      this.apply(structuredClone(this.data.defaults));
      this.commit();
    });
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

  get open() {
    return Boolean(this.scene?.choices.length) && this.guess() === undefined;
  }

  // While the question is open nothing can be tried out.
  get locked() {
    return this.open;
  }

  /** @param {string} name @param {any} value @param {number} [time] */
  input(name, value, time) {
    if (this.locked) return;
    this.motion.stop();
    this.dragging = true;
    this.values[name] = value;
    const control = this.data.controls.find((/** @type {any} */ one) => one.name === name);
    for (const other of control.resets) this.values[other] = structuredClone(this.data.defaults[other]);
    this.showValues();
    this.ask(time);
  }

  // The gesture has ended: the address follows, and what was drafted is drawn in full.
  release() {
    this.dragging = false;
    this.commit();
    if (this.drafted) this.ask();
  }

  // New settings from elsewhere: another link, the way back.
  /** @param {Values} values */
  apply(values) {
    this.motion.stop();
    this.values = structuredClone(values);
    this.due = "";
    this.enter();
    this.showValues();
    this.ask();
  }

  // A scene whose question is open, and that nobody has given other settings, begins at its start.
  enter() {
    const { defaults } = this.data;
    const plain = Object.keys(defaults).every((name) => name === "scene" || name === "guesses" || same(this.values[name], defaults[name]));
    if (this.scene && plain && this.guess() === undefined) this.values = { ...this.values, ...structuredClone(this.scene.start) };
    this.showScene();
  }

  // A new state of the chapter: shown, asked for and written into the address.
  settle() {
    this.dragging = false;
    this.showScene();
    this.showValues();
    this.ask();
    this.commit();
  }

  showValues() {
    const values = { ...this.values, ...this.motion.now };
    for (const { name, show } of this.shows) show(values[name]);
    this.showWalk(values);
  }

  // ---- scenes --------------------------------------------------------------------------------------------------

  /** @param {number} way */
  step(way) {
    const { story } = this.data;
    const to = story[story.indexOf(this.scene) + way];
    if (to) this.go(to.name);
  }

  /** @param {string} name */
  go(name) {
    this.halt();
    const scene = this.data.story.find((/** @type {Scene} */ one) => one.name === name);
    const known = this.guess(name) === undefined ? undefined : this.stories[name]?.reveal;
    this.values = { ...this.values, ...structuredClone(known ?? scene.start), scene: name };
    this.due = "";
    this.jump = this.guess(name) !== undefined && !known; // to the reveal, as soon as it is known
    this.settle();
  }

  startOver() {
    this.halt();
    const guesses = this.values.guesses.filter((/** @type {[string, number]} */ [name]) => name !== this.values.scene);
    this.values = { ...this.values, ...structuredClone(/** @type {Scene} */ (this.scene).start), guesses };
    this.settle();
  }

  /** @param {number} number */
  predict(number) {
    const { scene } = this;
    if (!scene || !this.open || number >= scene.choices.length) return;
    const guessed = [...this.values.guesses, [scene.name, number]];
    const names = this.data.story.map((/** @type {Scene} */ one) => one.name);
    this.values.guesses = guessed.sort((one, other) => names.indexOf(one[0]) - names.indexOf(other[0]));
    this.due = scene.name;
    const known = this.stories[scene.name];
    if (known) return this.reveal(known);
    this.settle();
    this.next?.focus({ preventScroll: true }); // the answers can't be used any more
  }

  // What was measured is played: the settings go from where they are to those of the reveal.
  /** @param {Story} story */
  reveal(story) {
    this.due = "";
    const from = this.values;
    this.values = { ...this.values, ...structuredClone(story.reveal) };
    this.motion.play(from, this.values);
    this.settle();
    this.next?.focus({ preventScroll: true });
  }

  /** @param {string} name @param {Story} story */
  learn(name, story) {
    this.stories[name] = story;
    if (name !== this.values.scene || this.guess() === undefined) return;
    if (this.due === name) this.reveal(story);
    else if (this.jump) {
      this.jump = false;
      this.values = { ...this.values, ...structuredClone(story.reveal) };
      this.settle();
    } else this.tellScene();
  }

  showScene() {
    const { scene, open } = this;
    this.controls.disabled = open;
    this.walk.hidden = !Object.keys(scene?.walk ?? {}).length;
    if (!scene || !this.question) return;
    this.frame.dataset.scene = scene.name;
    this.frame.classList.toggle("open", open);
    for (const [one, tab] of this.tabs) {
      if (one === scene) tab.setAttribute("aria-current", "step");
      else tab.removeAttribute("aria-current");
      const answered = this.guess(one.name) !== undefined;
      tab.classList.toggle("answered", answered);
      tab.setAttribute("aria-label", `${one.title}${answered ? ", answered" : ""}`);
    }
    this.showTab();
    this.question.textContent = scene.question || scene.title;
    this.tellScene();
    this.back.disabled = scene === this.data.story[0];
    this.next.disabled = scene === this.data.story.at(-1);
    this.next.classList.toggle("main", !open && !this.next.disabled);
    for (const { name, row } of this.shows) row.hidden = !scene.controls.includes(name);
    this.walk.inert = open;
  }

  // On a phone the scenes are a row that scrolls: the present one in its middle.
  showTab() {
    const tab = this.tabs.find(([/** @type {Scene} */ scene]) => scene === this.scene)[1];
    const item = tab.parentElement;
    this.list.scrollLeft = item.offsetLeft - (this.list.clientWidth - item.clientWidth) / 2;
  }

  tellScene() {
    const { scene, open } = this, guess = this.guess();
    if (!scene) return;
    const story = guess === undefined ? undefined : this.stories[scene.name];
    const state = JSON.stringify([scene.name, guess, story]);
    if (this.told === state) return;
    this.told = state;
    this.choices.replaceChildren();
    scene.choices.forEach((label, i) => {
      const answer = button(this.choices, label, label, () => this.predict(i));
      answer.dataset.choice = String(i);
      if (open) return;
      answer.disabled = true;
      answer.classList.toggle("right", i === story?.right);
      answer.classList.toggle("chosen", i === guess);
      const marks = [i === guess ? "your prediction" : "", i === story?.right ? "measured" : ""].filter(Boolean).join(", ");
      if (marks) answer.setAttribute("aria-label", `${label}: ${marks}`);
    });
    this.said.replaceChildren();
    if (guess === undefined || !story) {
      element(this.said, "p", "", {}, guess !== undefined ? "It is being measured …" : open ? "Choose an answer; then it is measured." : "");
      if (!scene.choices.length) this.tellEnd(scene);
      return;
    }
    const right = guess === story.right;
    const line = element(this.said, "p");
    element(line, "b", "", {}, right ? "As you said. " : `You said “${scene.choices[guess]}”. `);
    line.append([story.credit, story.said, story.because].filter(Boolean).join(" "));
    if (story.but) {
      const limit = element(this.said, "p", "but");
      element(limit, "b", "", {}, "But: ");
      limit.append(story.but);
    }
    if (scene.task) element(this.said, "p", "task", {}, scene.task);
  }

  // The last scene has no question: what to do there, and what the chapter leaves a reader with.
  /** @param {Scene} scene */
  tellEnd(scene) {
    this.said.replaceChildren();
    element(this.said, "p", "task", {}, scene.task);
    if (scene !== this.data.story.at(-1) || !this.data.ending.length) return;
    const list = element(this.said, "ul", "ending");
    for (const sentence of this.data.ending) element(list, "li", "", {}, sentence);
  }

  halt() {
    this.motion.stop();
    for (const { stop } of this.shows) stop?.();
  }

  // ---- the walk: a choice that is stepped through -----------------------------------------------------------------

  // The setting that is walked through: the one whose values the scene's words belong to.
  get walked() {
    const words = Object.keys(this.scene?.walk ?? {});
    return words.length ? this.data.controls.find((/** @type {any} */ one) => same(one.choices, words)) : undefined;
  }

  /** @param {number} by */
  walkBy(by) {
    const control = this.walked;
    if (!control || this.locked) return;
    const at = control.choices.indexOf(this.values[control.name]);
    this.input(control.name, control.choices[Math.min(Math.max(at + by, 0), control.choices.length - 1)]);
    this.release();
  }

  /** @param {Values} values */
  showWalk(values) {
    const control = this.walked;
    if (!control) return;
    const at = control.choices.indexOf(values[control.name]);
    this.stepWords.textContent = this.scene?.walk[values[control.name]] ?? "";
    this.steps.forEach((step, i) => step.setAttribute("aria-disabled", String(i < 2 ? at === 0 : at === control.choices.length - 1)));
  }

  // ---- questions and answers ---------------------------------------------------------------------------------------

  ask(at = performance.now()) {
    this.latest = at;
    if (this.waiting) return;
    this.askedFor = at;
    this.latest = undefined;
    this.drafted = this.dragging;
    const values = { ...this.values, ...this.motion.now };
    this.number += 1;
    this.asked = values;
    const { chapter } = this.data;
    this.waiting = this.send({ kind: "view", id: this.number, chapter, values, narrow: this.stage.narrow, draft: this.dragging });
  }

  connected() {
    this.waiting = false;
    this.ask();
  }

  /** @param {any} message */
  receive(message) {
    if (this.take.receive(message)) return;
    if (message.kind === "story") return void this.learn(message.scene, message.story);
    if (typeof message.id === "number" && message.id !== this.number) return; // of a question that is no longer asked
    if (message.kind === "problem") this.showProblem(message.message);
    this.waiting = false;
    if (message.kind === "view") {
      this.shown = /** @type {Values} */ (this.asked);
      this.trouble?.remove();
      this.stage.show(message); // at once: waiting for the next frame would only show it a frame later
      this.frame.classList.toggle("growing", message.growing);
      this.container.dataset.shown = String(message.id);
      this.container.dispatchEvent(new CustomEvent("bnlab:picture", { detail: this.askedFor }));
      if (message.story) this.learn(this.values.scene, message.story);
    }
    if (this.latest !== undefined) this.ask(this.latest);
  }

  // What went wrong, and a way back to the last settings that gave a picture.
  /** @param {string} words */
  showProblem(words) {
    this.trouble?.remove();
    this.trouble = element(this.container, "p", "trouble", { role: "alert" }, `${words} `);
    this.container.prepend(this.trouble);
    const before = Object.keys(this.shown).length ? this.shown : this.data.defaults;
    button(this.trouble, "Go back", "Go back to the settings before", () => {
      this.trouble?.remove();
      this.apply(before);
      this.commit();
    });
  }

  // ---- what others ask of a frame ----------------------------------------------------------------------------------

  /** @param {string} name */
  async explore(name) {
    const { explore } = await import("./explore.js");
    const figure = this.stage.view?.figures[name];
    if (figure) explore(this.container, figure, { plotly: this.data.plotly });
  }

  figures() {
    return this.stage.figures();
  }

  summary() {
    return this.words.textContent ?? "";
  }

  draw() {
    const { narrow } = this.stage;
    if (this.wasNarrow !== undefined && narrow !== this.wasNarrow) this.ask();
    this.wasNarrow = narrow;
    this.stage.draw();
  }

  repaint() {
    this.stage.repaint();
  }

  destroy() {
    this.halt();
    this.keys.destroy();
    this.stage.destroy();
  }
}
