// The race: lanes of networks on the same data, in step with one playhead.
import { Bar, keysOf } from "./bar.js";
import { Changes } from "./changes.js";
import { Check } from "./check.js";
import { element } from "./controls.js";
import { Evidence } from "./evidence.js";
import { Exchange } from "./exchange.js";
import { Keys } from "./keys.js";
import { Panels } from "./panels.js";
import { LAST, Playhead } from "./playhead.js";
import { Races } from "./races.js";
import { Settings } from "./settings.js";
import { NARROW } from "./stage.js";
import { Standing } from "./standing.js";
import { TakeAway } from "./take.js";
import { theme } from "./theme.js";
import { Verdict } from "./verdict.js";

/**
 * @import { Control } from "./controls.js"
 * @import { Figure } from "./plotting.js"
 * @typedef {Record<string, any>} Values
 */

const SEEN = 0.7; // of the window's height: what begins above can be seen
const KEYS_REST_MS = 400; // after the last key the address follows

export class Race {
  /**
   * @param {HTMLElement} container
   * @param {Record<string, any>} data what Python hands over: live/messages.py, opening
   * @param {{commit: (values: Values) => void, ask: (message: any) => boolean}} page
   */
  constructor(container, data, { commit, ask }) {
    this.container = container;
    this.data = data;
    this.send = ask;
    this.report = commit;
    this.last = LAST;
    /** @type {Values} */
    this.values = structuredClone(data.values);
    this.head = new Playhead();
    this.stale = false;
    this.drawn = 0; // the step of the pictures
    /** @type {boolean | undefined} */
    this.wasNarrow = undefined;
    /** @type {ReturnType<typeof theme> | undefined} */
    this.colours = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.committing = undefined;

    this.exchange = new Exchange(this);
    this.changes = new Changes(this);
    this.races = new Races(container, this, /** @type {any} */ (data));
    const above = element(container, "div");
    this.bar = new Bar(container, this);
    this.body = element(container, "div", "race");
    this.settings = new Settings(this.body, this.changes, /** @type {any} */ (data));
    this.pictures = element(this.body, "div", "pictures");
    this.verdict = new Verdict(this.pictures, data.terms);
    const shown = () => this.shown;
    this.standing = new Standing(
      this.pictures,
      {
        get shown() {
          return shown();
        },
        step: () => this.told(),
      },
      data.terms,
    );
    this.panels = new Panels(element(this.pictures, "div", "panels"), this);
    this.evidence = new Evidence(above, this.pictures);
    this.check = new Check(this.pictures, this, ask);
    this.takeAway = new TakeAway(this.pictures, { name: "lab", title: data.title, picture: this, ask });
    this.keys = new Keys({ room: this.races.keysRoom, help: this.races.help, ...keysOf(this) });

    this.values = this.races.named(this.values);
    this.head.begin(this.open ? 0 : this.values.step, this.races.until);
    this.head.playing = !this.open && !data.paused && !this.calm;
    this.show();
    this.loop = (/** @type {number} */ now) => this.tick(now);
    this.frame = requestAnimationFrame(this.loop);
  }

  // ---- what it is -------------------------------------------------------------------------------------------------

  // Whether an unanswered question keeps the race back.
  get open() {
    return this.races.isOpen;
  }

  get scene() {
    return this.races.scene;
  }

  get shown() {
    return this.exchange.shown;
  }

  get playing() {
    return this.head.playing;
  }

  get held() {
    return this.head.held;
  }

  /** @returns {Control[]} */
  get controls() {
    return this.data.controls;
  }

  get narrow() {
    return this.container.clientWidth < NARROW;
  }

  // Whether the reader wants nothing to move by itself.
  get calm() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  /** @param {string} name @returns {any} */
  table(name) {
    return this.data.controls.find((/** @type {Control} */ control) => control.name === name);
  }

  // The latest step that all lanes have shown.
  reached() {
    return Math.max(0, this.shown?.reached() ?? 0);
  }

  step() {
    return Math.max(0, Math.min(this.head.wanted, this.reached()));
  }

  // The step of the words: while it plays, sentence and table are of one validation.
  told() {
    const { step } = this.verdict;
    return this.playing && step >= 0 && step <= this.step() ? step : this.step();
  }

  horizon() {
    return this.head.horizon;
  }

  ghost() {
    return this.changes.ghost();
  }

  names() {
    return (this.shown?.lanes ?? []).map(({ name }) => name);
  }

  // ---- settings ---------------------------------------------------------------------------------------------------

  show() {
    const { open } = this;
    this.head.until = this.races.until;
    this.container.classList.toggle("open", open);
    this.bar.show();
    this.settings.show(this.head.wanted);
    this.races.show();
    this.evidence.ask(this.races.heading);
    if (open) this.verdict.clear();
    this.redraw();
  }

  // New settings from elsewhere: a menu, another link, the way back.
  /** @param {Values} values */
  apply(values) {
    this.values = this.races.named(structuredClone(values));
    this.changes.forget();
    this.races.forget();
    this.verdict.begin();
    const { open } = this;
    if (open || values.step >= 0) this.setPlaying(false, false);
    this.head.begin(open ? 0 : values.step, this.races.until);
    this.show();
    this.exchange.ask();
  }

  startOver() {
    this.apply(this.data.defaults);
    this.commit();
  }

  // Keys follow each other quickly: the address hears of the last.
  commitSoon() {
    clearTimeout(this.committing);
    this.committing = setTimeout(() => this.commit(), KEYS_REST_MS);
  }

  commit() {
    clearTimeout(this.committing);
    this.values.step = this.playing ? -1 : this.head.wanted;
    this.report(structuredClone(this.races.written(this.values)));
  }

  // What is looked at, and how fast: nothing is computed anew.
  /** @param {string} name @param {any} value */
  look(name, value) {
    this.values[name] = value;
    this.redraw();
  }

  // A view setting of a panel was chosen.
  /** @param {string} name @param {any} value */
  view(name, value) {
    this.look(name, value);
    this.exchange.askPanels();
    this.commit();
  }

  /** @param {boolean} on */
  haunt(on) {
    this.look("ghost", on ? "on" : "off");
    this.exchange.ask();
    this.commit();
  }

  // ---- the playhead -----------------------------------------------------------------------------------------------

  // A finger on the slider or on a figure.
  /** @param {string} name @param {any} value */
  input(name, value) {
    if (name !== "step" || this.open) return;
    this.head.hold();
    this.goTo(value, false);
  }

  // It has let go.
  change() {
    if (!this.head.held) return;
    this.head.release();
    this.redraw();
    this.commit();
  }

  /** @param {boolean} playing */
  setPlaying(playing, commit = true) {
    if (playing === this.playing || (playing && this.open)) return;
    this.head.playing = playing;
    this.head.rest();
    if (!playing) this.head.place = this.step();
    else if (this.head.place >= LAST) this.head.go(0);
    this.settings.show(this.head.wanted);
    if (commit) this.commit();
    this.redraw();
  }

  /** @param {number} step @param {boolean} commit */
  goTo(step, commit) {
    if (this.open) return;
    if (this.playing) this.setPlaying(false, false);
    this.head.go(step);
    this.exchange.askFurther();
    this.settings.show(this.head.wanted);
    if (commit) this.commit();
    this.redraw();
  }

  // A question was answered or skipped: the race is played up to the step at which it is judged.
  reveal() {
    this.exchange.ask();
    if (this.calm) this.goTo(this.head.until, true);
    else this.setPlaying(true);
  }

  // On a small screen the race is below the question: it is brought up. Returns where it then is; undefined: it was in
  // sight.
  comeIntoSight() {
    if (this.top() < window.innerHeight * SEEN) return undefined;
    this.bring(this.bar.box);
    return this.top();
  }

  // Where on the screen the race begins.
  top() {
    return Math.round(this.body.getBoundingClientRect().top);
  }

  /** @param {HTMLElement} box */
  bring(box) {
    box.scrollIntoView({ block: "start" });
  }

  /** @param {number} now */
  tick(now) {
    this.frame = requestAnimationFrame(this.loop);
    const { exchange, head } = this;
    exchange.takeOver(now);
    exchange.refine(now);
    if (this.playing && this.shown && !exchange.coming) {
      const before = head.wanted;
      const ended = head.advance(now, this.values.speed, this.reached());
      if (head.wanted !== before) this.redraw();
      if (ended) this.setPlaying(false);
      exchange.askFurther();
    } else head.rest();
    exchange.tell();
    exchange.askVerdict(now);
    exchange.wait(now);
    if (this.stale) this.draw();
  }

  // ---- the channel ------------------------------------------------------------------------------------------------

  connected() {
    this.takeAway.connected();
    this.exchange.ask();
  }

  /** @param {any} message */
  receive(message) {
    if (this.takeAway.receive(message) || this.check.receive(message)) return;
    if (message.kind === "problem") this.verdict.note(message.message);
    if (this.exchange.isDueTo(message)) this.exchange.receive(message);
  }

  // The race that is on the screen from now on.
  /** @param {Record<string, any>} header */
  take(header) {
    this.settings.say(header.notes);
    this.container.classList.remove("refused");
    this.verdict.allow();
    this.verdict.step = -1; // what it says is of another race
    this.panels.take(header.panels);
    this.colours = undefined; // other lanes have other looks
    this.show();
  }

  /** @param {any} message */
  say(message) {
    if (this.open) return;
    const { story, read } = message;
    const waiting = !this.playing && this.head.place === 0 && !this.scene ? "Press ▶ to start the race. " : "";
    this.verdict.say(story ? { ...message, read: [] } : message, waiting); // the question's box says where to read on
    if (story) this.races.learn(story, read);
    this.evidence.show(message.experiment);
    this.redraw();
  }

  // ---- the pictures -----------------------------------------------------------------------------------------------

  redraw() {
    this.stale = true;
  }

  // The theme may have changed.
  repaint() {
    this.colours = undefined;
    this.draw();
  }

  draw() {
    const { shown, container } = this;
    this.stale = false;
    this.bar.draw();
    if (!shown || !container.clientWidth) return;
    if (this.wasNarrow !== undefined && this.narrow !== this.wasNarrow) this.exchange.askPanels();
    this.wasNarrow = this.narrow;
    if (!this.colours) {
      this.colours = theme(container);
      this.settings.paint(this.colours);
    }
    const step = this.step();
    this.drawn = step;
    this.verdict.live(!this.playing);
    this.standing.draw(this.colours);
    this.panels.draw(this.colours);
    if (this.values.change === "here") this.settings.show(this.head.wanted);
    container.dataset.step = String(step);
    container.dataset.reached = String(Math.min(this.reached(), ...shown.ghosts.map((lane) => shown.haunted(lane))));
    container.dispatchEvent(new CustomEvent("bnlab:picture", { detail: step }));
  }

  /** @param {string} name @param {Figure} figure */
  async explore(name, figure) {
    const { explore } = await import("./explore.js");
    explore(this.container, figure, { plotly: this.data.plotly, name: `batchnorm-lab-${name}-step-${this.step()}` });
  }

  // ---- to take away -----------------------------------------------------------------------------------------------

  figures() {
    return this.panels.listed();
  }

  summary() {
    return `${this.verdict.summary} ${this.shown?.settings ?? ""}`;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.committing);
    this.keys.destroy();
  }
}
