// @ts-nocheck: the lab's own files have no types
// The race: lanes of networks on the same data, in step with one playhead.

import { Check } from "./check.js";
import { button, choice, element, ICONS } from "./controls.js";
import { theme } from "./draw.js";
import { Figures } from "./figures.js";
import { Lanes } from "./lanes.js";
import { Question } from "./question.js";
import { CHOICES, Settings } from "./settings.js";
import { Standing } from "./standing.js";
import { TakeAway } from "./take.js";

const OTHER_DATA = ["dataset", "data_noise", "network"]; // their races have nothing to say about each other
const HORIZONS = [200, 500, 1000, 2000];
const PATIENCE_MS = 900; // how long the old picture stays while a new race catches up
const LONG_PATIENCE_MS = 8000;
const ONE_GESTURE_MS = 1500; // key presses that follow each other so closely are one change
const BUSY_AFTER_MS = 250;
const REST_MS = 600;
const VERDICT_EVERY_MS = 500;
const LONGEST_FRAME = 0.25; // seconds of play a frame: a page that was hidden doesn't leap
const BEND_MS = 90; // a bending curve is drawn so often, with as many steps as can be had in that time
const LEAST_BEND = 20;

export class Race {
  constructor(container, data, { commit, ask }) {
    this.container = container;
    this.data = data;
    this.send = ask;
    this.report = commit;
    this.values = structuredClone(data.values);
    this.number = 0;
    this.bend = HORIZONS[0];
    this.place = Math.max(0, this.values.step);
    this.playing = !data.paused && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build(data);
    this.loop = (now) => this.tick(now);
    this.frame = requestAnimationFrame(this.loop);
  }

  // ---- the page -----------------------------------------------------------------------------------

  build(data) {
    this.question = new Question(this.container, this, data.presets, data.experiments);
    const bar = element(this.container, "div", "bar", { role: "group", "aria-label": "Playback" });
    this.play = button(bar, "", "Play", () => this.setPlaying(!this.playing));
    this.play.classList.add("main");
    button(bar, "", "Reset to the identical initial weights", () => this.goTo(0, true)).innerHTML = ICONS.reset;
    button(bar, "−1", "One step back", () => this.goTo(Math.floor(this.place) - 1, true));
    button(bar, "+1", "One step", () => this.goTo(Math.floor(this.place) + 1, true));
    this.scrub = element(bar, "input", "scrub", {
      type: "range",
      min: 0,
      max: HORIZONS[0],
      step: 1,
      "aria-label": "Step of training",
      "data-control": "step",
    });
    this.scrub.addEventListener("input", () => this.goTo(this.scrub.valueAsNumber, false));
    this.scrub.addEventListener("change", () => this.commit());
    this.clock = element(bar, "output", "clock");
    this.busy = element(bar, "span", "busy hint", { "aria-live": "off" });
    this.views = {};
    this.view(bar, { ...this.table("speed"), choices: this.table("speed").stops, hint: "steps/s" });
    this.ghostBox = this.buildGhost(bar);

    const body = element(this.container, "div", "race");
    this.settings = new Settings(body, this, data);
    this.pictures = element(body, "div", "pictures");
    this.words = element(this.pictures, "p", "verdict", { role: "status" });
    this.standing = new Standing(this.pictures, this);
    this.figured = new Figures(this.pictures, this);
    this.check = new Check(this.pictures, this, this.send);
    this.take = new TakeAway(this.pictures, { name: "lab", title: data.title, picture: this, ask: this.send });
    this.showValues();
  }

  table(name) {
    return this.data.controls.find((control) => control.name === name);
  }

  // A choice of what is looked at: nothing is computed anew.
  view(parent, control) {
    const made = choice(
      parent,
      control,
      {
        onInput: (value) => {
          this.values[control.name] = value;
          this.stale = true;
        },
        onChange: () => this.commit(),
      },
      CHOICES[control.name],
    );
    this.views[control.name] = made.show;
  }

  buildGhost(parent) {
    const label = element(parent, "label", "ghost");
    const box = element(label, "input", "", { type: "checkbox", "data-control": "ghost" });
    element(label, "span", "", {}, "ghost");
    label.title = "The race before the last change stays, dotted";
    box.addEventListener("change", () => {
      this.values.ghost = box.checked ? "on" : "off";
      this.ask();
      this.commit();
    });
    return { label, box };
  }

  showValues() {
    for (const [name, show] of Object.entries(this.views)) show(this.values[name]);
    this.ghostBox.box.checked = this.values.ghost === "on";
    this.ghostBox.label.hidden = !this.values.before.length && !this.values.edits.length;
    this.figured.show();
    this.settings.show(Math.floor(this.place));
    this.question.show();
  }

  apply(values) {
    this.values = structuredClone(values);
    this.gesture = this.settled = this.before = undefined;
    if (values.step >= 0) {
      this.place = values.step;
      this.setPlaying(false, false);
    } else this.place = 0;
    this.showValues();
    this.ask();
  }

  startOver() {
    this.apply({ ...this.data.defaults, step: 0 });
    this.commit();
  }

  commit() {
    this.values.step = this.playing ? -1 : Math.floor(this.place);
    this.report(structuredClone(this.values));
  }

  // ---- changes ------------------------------------------------------------------------------------

  // What is in force at a step: the shared settings, and when branching the edits up to there.
  inForce(step) {
    if (this.values.change !== "here") return this.values;
    const edits = this.values.edits.filter(([from]) => from <= step).map(([, name, value]) => [name, value]);
    return { ...this.values, ...Object.fromEntries(edits) };
  }

  // While a finger moves. The race as it was when the finger came down stays as the ghost.
  change(name, value) {
    this.hold(name);
    const { values } = this.gesture;
    const step = Math.floor(this.place);
    if (this.values.change === "here" && step > 0 && this.data.editable.includes(name)) {
      const kept = values.edits.filter(([from, field]) => from < step || (from === step && field !== name));
      const before = kept.findLast(([, field]) => field === name)?.[2] ?? values[name];
      if (kept.length === this.data.most_edits) {
        this.words.textContent = `${kept.length} changes in mid-run are the most there can be: take one back first.`;
        return;
      }
      // In the order in which the server writes them, so that it is known again when it comes back.
      this.values.edits =
        value === before ? kept : [...kept, [step, name, value]].sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1));
      this.values.before = [];
      if (this.playing) this.setPlaying(false, false);
    } else {
      this.values[name] = value;
      const comparable = !OTHER_DATA.includes(name);
      this.values.before = value === values[name] ? values.before : comparable ? [[name, values[name]]] : [];
    }
    this.question.leave();
    this.askDraft();
  }

  changeLane(number, name, value) {
    this.hold(`${number} ${name}`);
    const [norm, differs] = this.values.lanes[number];
    const lane = [norm, differs.map(([field, old]) => [field, field === name ? value : old])];
    this.skipped = this.values.lanes.some((other, i) => i !== number && JSON.stringify(other) === JSON.stringify(lane));
    if (this.skipped) return; // two lanes that are the same are no race: the finger passes over
    this.values.lanes[number] = lane;
    this.settings.shownLanes = JSON.stringify(this.values.lanes); // the finger is on it: no new sliders now
    this.values.before = [];
    this.question.leave();
    this.askDraft();
  }

  hold(what) {
    if (this.gesture) return;
    const { settled } = this;
    if (settled?.what === what && performance.now() - settled.at < ONE_GESTURE_MS) {
      this.gesture = settled;
      return;
    }
    this.gesture = { what, values: structuredClone(this.values) };
    if (this.shown && !this.shown.draft) this.before = this.shown;
  }

  settle() {
    if (this.gesture) this.settled = { ...this.gesture, at: performance.now() };
    this.gesture = undefined;
    if (this.skipped) this.settings.shownLanes = undefined; // its slider stands where it can't
    this.skipped = false;
    this.showValues();
    this.ask();
    this.commit();
  }

  replaceLanes(lanes) {
    if (new Set(lanes.map((lane) => JSON.stringify(lane))).size < lanes.length) {
      this.settings.shownLanes = undefined; // two lanes that are the same are no race: back to what was
      this.showValues();
      return;
    }
    this.values.lanes = lanes;
    this.values.before = [];
    this.before = undefined;
    this.question.leave();
    this.settle();
  }

  mode(change) {
    this.values.change = change;
    this.showValues();
    this.commit();
  }

  undo(edit) {
    this.values.edits = this.values.edits.filter((kept) => kept !== edit);
    this.values.before = [];
    this.settle();
  }

  // The ghost: what the server sent of it, or, while a finger moves, the race that it left.
  ghost() {
    if (this.values.ghost === "off" || !this.shown) return undefined;
    const { shown, before } = this;
    if (shown.ghosts.some((lane) => shown.haunted(lane) > 0)) {
      return { lanes: shown, at: (...what) => shown.ghostAt(...what), reached: (lane) => shown.haunted(lane) };
    }
    const due = shown.draft || shown.ghosts.length;
    return due && before
      ? { lanes: before, at: (...what) => before.at(...what), reached: () => before.reached() }
      : undefined;
  }

  // ---- the channel --------------------------------------------------------------------------------

  connected() {
    this.ask();
  }

  // While a slider moves: the same race at every tenth step, one after another as fast as they come.
  askDraft() {
    this.draftDue = true;
    if (this.coming?.draft && performance.now() - this.askedAt < PATIENCE_MS) return;
    this.draftDue = false;
    this.ask(true);
  }

  ask(draft = false) {
    if (!draft) this.draftDue = false;
    this.until = draft ? Math.max(this.bend, Math.floor(this.place)) : this.wanted();
    const { step, ...values } = this.values;
    const sent = this.send({ kind: "lab", id: ++this.number, values, until: this.until, draft });
    this.coming = sent ? new Lanes({ lanes: [], draft }) : undefined;
    this.askedAt = performance.now();
    this.words.classList.add("old");
  }

  wanted() {
    const ahead = this.playing ? Math.max(60, 4 * this.values.speed) : 1;
    // What has bent under the finger stays on the screen, and so it is in the link.
    const least = this.values.before.length || this.values.edits.length ? HORIZONS[0] : 0;
    return Math.min(HORIZONS.at(-1), Math.max(least, Math.floor(this.place) + ahead));
  }

  // Asking for a little more at every frame would be many messages: it is asked in larger portions.
  askFurther() {
    const wanted = this.wanted();
    const soon = wanted < this.until + 2 * this.values.speed && this.place < this.reached() - 5;
    if (wanted === this.until || (this.playing && (wanted < this.until || soon))) return;
    this.until = wanted;
    this.send({ kind: "until", id: this.number, step: wanted });
  }

  // While it plays, the latest validation is what there is to say: all who watch then ask the same.
  askVerdict() {
    if (!this.shown || this.coming || this.shown.draft) return;
    const every = this.playing ? this.shown.validateEvery : 1;
    const step = Math.floor(this.step() / every) * every;
    this.verdictAt = performance.now();
    this.verdictFor = `${this.number}:${this.step()}`;
    this.send({ kind: "verdict", id: this.number, step });
  }

  receive(message) {
    if (this.take.receive(message) || this.check.receive(message)) return;
    if (message.kind === "problem") this.words.textContent = message.message;
    if (message.id !== this.number) return;
    if (message.kind === "lab") this.coming = new Lanes({ ...message, draft: this.coming.draft });
    else if (message.kind === "verdict") this.say(message);
    else if (message.kind === "cost") {
      const lanes = this.coming ?? this.shown;
      lanes.lanes[message.lane].cost = message;
      this.stale = true;
    } else if (message.kind === "frames") {
      (this.coming ?? this.shown)?.append(message);
      this.stale = true;
    }
  }

  say({ text, step, leader }) {
    const waiting = !this.playing && this.place === 0 && !this.values.preset ? "Press ▶ to start the race. " : "";
    this.words.textContent = waiting + text;
    this.words.classList.remove("old");
    this.question.judge(step, leader);
  }

  // ---- the playhead -------------------------------------------------------------------------------

  // The latest step that all lanes have shown.
  reached() {
    return this.shown ? Math.max(0, this.shown.reached()) : 0;
  }

  step() {
    return Math.max(0, Math.min(Math.floor(this.place), this.reached()));
  }

  horizon() {
    const furthest = Math.max(this.step(), Math.floor(this.place), this.question.until());
    return HORIZONS.find((end) => end >= furthest) ?? HORIZONS.at(-1);
  }

  setPlaying(playing, commit = true) {
    if (playing === this.playing) return;
    this.playing = playing;
    if (!playing) this.place = this.step();
    this.settings.show(Math.floor(this.place));
    this.last = undefined;
    if (commit) this.commit();
    this.stale = true;
  }

  goTo(step, commit) {
    if (this.playing) this.setPlaying(false, false);
    this.place = Math.max(0, Math.min(step, HORIZONS.at(-1)));
    this.askFurther();
    this.settings.show(Math.floor(this.place));
    if (commit) this.commit();
    this.stale = true;
  }

  tick(now) {
    this.frame = requestAnimationFrame(this.loop);
    this.takeOver(now);
    this.refine(now);
    if (this.playing && this.shown && !this.coming) {
      const seconds = Math.min(LONGEST_FRAME, (now - (this.last ?? now)) / 1000);
      this.last = now;
      const before = Math.floor(this.place);
      const stop = this.question.stop(before);
      this.place = Math.min(this.place + seconds * this.values.speed, Math.max(this.reached(), before), stop);
      if (Math.floor(this.place) !== before) this.stale = true;
      if (this.place >= Math.min(stop, HORIZONS.at(-1))) this.setPlaying(false);
      this.askFurther();
      if (now - (this.verdictAt ?? 0) > VERDICT_EVERY_MS) this.askVerdict();
    } else {
      this.last = undefined;
      if (this.verdictFor !== `${this.number}:${this.step()}`) this.askVerdict();
    }
    this.showBusy(now);
    if (this.stale) this.draw();
  }

  // Waiting is shown, not guessed: a new race that isn't there yet, or a step that is being computed.
  showBusy(now) {
    const exchanged = this.coming && !this.coming.draft;
    const busy = exchanged || (this.shown && !this.shown.draft && Math.floor(this.place) > this.reached());
    this.busySince = busy ? (this.busySince ?? now) : undefined;
    const shown = busy && now - this.busySince > BUSY_AFTER_MS;
    if (shown === this.busyShown && !shown) return;
    this.busyShown = shown;
    this.busy.textContent = shown
      ? `computing ${(exchanged ? this.coming : this.shown).reached() + 1} of ${Math.floor(this.place) + 1} steps`
      : "";
    this.container.classList.toggle("exchanged", Boolean(shown && exchanged));
  }

  // A new race replaces the one on the screen when it has come as far, or when that takes too long.
  takeOver(now) {
    const { coming } = this;
    if (!coming) return;
    const waited = now - this.askedAt;
    const wanted = Math.floor(this.place);
    const least = coming.draft ? Math.max(wanted, this.bend) : Math.min(wanted, this.furthest ?? 0);
    // A draft of these very settings is no old picture: it stays until the race in full has come as far.
    const late = waited > (this.shown?.draft && !coming.draft ? LONG_PATIENCE_MS : PATIENCE_MS);
    if (coming.reached() >= 0 && (coming.reached() > least - coming.every || late || !this.shown)) {
      if (coming.draft)
        this.bend = Math.min(
          HORIZONS[0],
          Math.max(LEAST_BEND, Math.round(this.bend * Math.min(1.2, Math.max(0.5, BEND_MS / waited)))),
        );
      this.shown = coming;
      this.coming = undefined;
      this.stale = true;
      this.settings.say(coming.notes);
      this.question.show();
    }
    if (this.draftDue && (!this.coming || late)) this.askDraft();
  }

  // A finger that rests gets the race in full, also when it returns to where it began: no "change" then.
  refine(now) {
    if (this.shown?.draft && !this.coming && now - this.askedAt > REST_MS) this.ask();
  }

  // ---- the pictures -------------------------------------------------------------------------------

  redraw() {
    this.stale = true;
  }

  // Only on a change: an icon that is replaced under a pressed finger takes the click with it.
  drawPlay() {
    if (this.drawnPlaying === this.playing) return;
    this.drawnPlaying = this.playing;
    this.play.innerHTML = this.playing ? ICONS.pause : ICONS.play;
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.play.title = this.playing ? "Pause" : "Play";
    this.words.setAttribute("aria-live", this.playing ? "off" : "polite");
  }

  repaint() {
    this.colours = undefined;
    this.draw();
  }

  draw() {
    this.stale = false;
    const { shown } = this;
    this.drawPlay();
    if (!shown || !this.scrub.clientWidth) return;
    const step = this.step();
    const furthest = Math.max(step, Math.floor(this.place));
    this.scrub.max = this.horizon();
    if (this.container.getRootNode().activeElement !== this.scrub || this.playing) this.scrub.value = furthest;
    this.furthest = step;
    this.colours ??= theme(this.container);
    const { colours } = this;
    if (this.painted !== colours.colours.join() + colours.page) {
      this.painted = colours.colours.join() + colours.page;
      this.settings.paint(colours);
    }
    this.clock.textContent = `step ${step}`;
    this.scrub.setAttribute("aria-valuetext", `step ${step}`);
    this.standing.draw(colours);
    this.figured.draw(colours);
    if (this.values.change === "here") this.settings.show(Math.floor(this.place));
    this.container.dataset.step = step;
    this.container.dataset.reached = Math.min(this.reached(), ...shown.ghosts.map((lane) => shown.haunted(lane)));
    this.container.dispatchEvent(new CustomEvent("bnlab:picture", { detail: step }));
  }

  names() {
    return (this.shown?.lanes ?? []).map(({ name }) => name);
  }

  // ---- to take away -------------------------------------------------------------------------------

  figures() {
    return this.figured.listed();
  }

  summary() {
    return `${this.words.textContent} ${this.shown?.settings ?? ""}`;
  }

  destroy() {
    cancelAnimationFrame(this.frame);
  }
}
