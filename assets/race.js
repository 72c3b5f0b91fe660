// The race: lanes of networks that differ in their norm, in step with one playhead.
import { ICONS, button, choice, element, slider } from "./controls.js";
import { NORMS, swatch, theme } from "./draw.js";
import { drawCurves, drawFlow, drawRidges } from "./panels.js";

const GROUPS = { network: "Network", training: "Training", norm: "Norm" };
const CHOICES = {
  activation: { relu: "ReLU", tanh: "tanh", sigmoid: "sigmoid", gelu: "GELU" },
  histogram: { activation: "activations", preactivation: "pre-activations" },
};
const HORIZONS = [200, 500, 1000, 2000];
const PATIENCE_MS = 900; // how long the old picture stays while a new race catches up
const BUSY_AFTER_MS = 250;
const REST_MS = 600;
const VERDICT_EVERY_MS = 500;

export class Race {
  constructor(container, data, { commit, ask }) {
    this.container = container;
    this.defaults = data.defaults;
    this.send = ask;
    this.report = commit;
    this.values = { ...data.values };
    this.number = 0;
    this.place = Math.max(0, this.values.step);
    this.playing = !data.paused && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build(data);
    this.loop = (now) => this.tick(now);
    this.frame = requestAnimationFrame(this.loop);
  }

  // ---- the page -----------------------------------------------------------------------------------

  build(data) {
    const bar = element(this.container, "div", "bar", { role: "group", "aria-label": "Playback" });
    this.play = button(bar, "", "Play", () => this.setPlaying(!this.playing));
    this.play.classList.add("main");
    button(bar, "", "Reset to the identical initial weights", () => this.goTo(0, true)).innerHTML = ICONS.reset;
    button(bar, "−1", "One step back", () => this.goTo(Math.floor(this.place) - 1, true));
    button(bar, "+1", "One step", () => this.goTo(Math.floor(this.place) + 1, true));
    this.scrub = element(bar, "input", "scrub", {
      type: "range", min: 0, max: HORIZONS[0], step: 1, "aria-label": "Step of training", "data-control": "step",
    });
    this.scrub.addEventListener("input", () => {
      this.setPlaying(false, false);
      this.goTo(this.scrub.valueAsNumber, false);
    });
    this.scrub.addEventListener("change", () => this.commit());
    this.clock = element(bar, "output", "clock");
    this.busy = element(bar, "span", "busy hint", { "aria-live": "off" });
    const speed = data.controls.find((control) => control.name === "speed");
    this.shows = [];
    this.buildGroup(bar, [{ ...speed, choices: speed.stops, hint: "steps/s" }]);

    const body = element(this.container, "div", "race");
    const panel = element(body, "div", "panel");
    this.buildLanes(panel, data.controls.find((control) => control.kind === "lanes"));
    for (const [group, title] of Object.entries(GROUPS)) {
      const details = element(panel, "details", "group");
      details.open = matchMedia("(min-width: 800px)").matches;
      element(details, "summary", "", {}, title);
      this.buildGroup(details, data.controls.filter((control) => control.group === group));
    }
    button(panel, "Start over", "Put every setting back to how the lab starts", () => {
      this.apply({ ...this.defaults });
      this.commit();
    });

    const pictures = element(body, "div", "pictures");
    this.words = element(pictures, "p", "verdict", { role: "status" });
    const figure = (title, hint) => {
      const made = element(pictures, "figure", title.split(" ")[0].toLowerCase());
      const caption = element(made, "figcaption");
      element(caption, "strong", "", {}, title);
      const note = element(caption, "span", "hint", {}, hint);
      return { canvas: element(made, "canvas", "", { role: "img", "aria-label": title }), caption, note };
    };
    this.accuracy = figure("Validation accuracy",
      "line: running statistics · rings: batch statistics");
    this.loss = figure("Training loss", "of each step’s batch · faint: computed ahead");
    this.ridges = figure("Histograms per layer", "height: square root of the share");
    this.buildGroup(this.ridges.caption, data.controls.filter((control) => control.name === "histogram"));
    this.flow = figure("Gradient flow", "length of ∂loss/∂(pre-activations), log scale");
    this.showValues();
  }

  buildLanes(parent, control) {
    const set = element(parent, "fieldset", "lanes");
    element(set, "legend", "", {}, "Race two to four norms");
    this.boxes = control.choices.map((norm) => {
      const label = element(set, "label", "lane");
      const box = element(label, "input", "", { type: "checkbox", "data-control": `lane-${norm}` });
      box.swatch = element(label, "canvas", "swatch", { "aria-hidden": "true" });
      element(label, "span", "", {}, NORMS[norm].name);
      box.addEventListener("change", () => {
        this.values.lanes = control.choices.filter((_, i) => this.boxes[i].checked);
        this.showValues();
        this.ask();
        this.commit();
      });
      box.norm = norm;
      return box;
    });
  }

  buildGroup(parent, controls) {
    for (const control of controls) {
      const make = control.choices.length ? choice : slider;
      const made = make(parent, control, {
        onInput: (value) => {
          this.values[control.name] = value;
          if (control.group in GROUPS) this.askDraft();
          else this.stale = true;
        },
        onChange: () => {
          if (control.group in GROUPS) this.ask();
          this.commit();
        },
      }, CHOICES[control.name]);
      this.shows.push([control.name, made.show]);
    }
  }

  showValues() {
    for (const [name, show] of this.shows) show(this.values[name]);
    const chosen = this.values.lanes;
    for (const box of this.boxes) {
      box.checked = chosen.includes(box.norm);
      box.disabled = box.checked ? chosen.length <= 2 : chosen.length >= 4;
      box.title = !box.disabled ? "" : box.checked ? "A race needs two" : "Four at most: take one out first";
    }
  }

  apply(values) {
    this.values = { ...values };
    if (values.step >= 0) {
      this.place = values.step;
      this.setPlaying(false, false);
    } else this.place = 0;
    this.showValues();
    this.ask();
  }

  commit() {
    this.values.step = this.playing ? -1 : Math.floor(this.place);
    this.report({ ...this.values });
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
    this.until = draft ? Math.max(1, Math.floor(this.place)) : this.wanted();
    const { step, ...values } = this.values;
    const sent = this.send({ kind: "lab", id: ++this.number, values, until: this.until, draft });
    this.coming = sent ? new Lanes({ lanes: [], layout: [], draft }) : undefined;
    this.askedAt = performance.now();
    this.words.classList.add("old");
  }

  wanted() {
    const ahead = this.playing ? Math.max(60, 4 * this.values.speed) : 1;
    return Math.min(HORIZONS.at(-1), Math.floor(this.place) + ahead);
  }

  askFurther() {
    const wanted = this.wanted();
    if (wanted === this.until || (this.playing && wanted < this.until) || (this.playing && wanted < this.until + 2 * this.values.speed && this.place < this.reached() - 5)) return;
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
    if (message.kind === "problem") this.words.textContent = message.message;
    if (message.id !== this.number) return;
    if (message.kind === "lab") this.coming = new Lanes({ ...message, draft: this.coming.draft });
    else if (message.kind === "verdict") this.say(message.text);
    else if (message.kind === "frames") {
      (this.coming ?? this.shown)?.append(message.lane, message.arrays.rows);
      this.stale = true;
    }
  }

  say(words) {
    const waiting = !this.playing && this.place === 0 ? "Press ▶ to start the race. " : "";
    this.words.textContent = waiting + words;
    this.words.classList.remove("old");
  }

  // ---- the playhead -------------------------------------------------------------------------------

  // The latest step that all lanes have shown.
  reached() {
    return this.shown ? Math.max(0, this.shown.reached()) : 0;
  }

  step() {
    return Math.max(0, Math.min(Math.floor(this.place), this.reached()));
  }

  setPlaying(playing, commit = true) {
    if (playing === this.playing) return;
    this.playing = playing;
    if (!playing) this.place = this.step();
    this.last = undefined;
    if (commit) this.commit();
    this.stale = true;
  }

  goTo(step, commit) {
    if (this.playing) this.setPlaying(false, false);
    this.place = Math.max(0, Math.min(step, HORIZONS.at(-1)));
    this.askFurther();
    if (commit) this.commit();
    this.stale = true;
  }

  tick(now) {
    this.frame = requestAnimationFrame(this.loop);
    this.takeOver(now);
    this.refine(now);
    if (this.playing && this.shown && !this.coming) {
      const seconds = Math.min(0.1, (now - (this.last ?? now)) / 1000);
      this.last = now;
      const before = Math.floor(this.place);
      this.place = Math.min(this.place + seconds * this.values.speed, Math.max(this.reached(), before));
      if (Math.floor(this.place) !== before) this.stale = true;
      if (this.place >= HORIZONS.at(-1)) this.setPlaying(false);
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
    const busy = exchanged || (!this.shown?.draft && Math.floor(this.place) > this.reached());
    this.busySince = busy ? (this.busySince ?? now) : undefined;
    const shown = busy && now - this.busySince > BUSY_AFTER_MS;
    if (shown === this.busyShown && !shown) return;
    this.busyShown = shown;
    this.busy.textContent = shown ? `computing ${(exchanged ? this.coming : this.shown).reached() + 1} of ${Math.floor(this.place) + 1} steps` : "";
    this.container.classList.toggle("exchanged", Boolean(shown && exchanged));
  }

  // A new race replaces the one on the screen when it has come as far, or when that takes too long.
  takeOver(now) {
    const { coming } = this;
    if (!coming) return;
    const waited = now - this.askedAt;
    const wanted = Math.floor(this.place);
    const enough = coming.draft ? wanted - (wanted % coming.every) : Math.min(wanted, this.furthest ?? 0);
    const late = waited > PATIENCE_MS;
    if (coming.reached() >= 0 && (coming.reached() >= enough || late || !this.shown)) {
      this.shown = coming;
      this.coming = undefined;
      this.stale = true;
    }
    if (this.draftDue && (!this.coming || late)) this.askDraft();
  }

  // A finger that rests gets the race in full, also when it returns to where it began: no "change" then.
  refine(now) {
    if (this.shown?.draft && !this.coming && now - this.askedAt > REST_MS) this.ask();
  }

  // ---- the pictures -------------------------------------------------------------------------------

  repaint() {
    this.colours = undefined;
    this.draw();
  }

  draw() {
    this.stale = false;
    const { shown } = this;
    this.play.innerHTML = this.playing ? ICONS.pause : ICONS.play;
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.play.title = this.playing ? "Pause" : "Play";
    this.words.setAttribute("aria-live", this.playing ? "off" : "polite");
    if (!shown || !this.loss.canvas.clientWidth) return;
    const step = this.step();
    const furthest = Math.max(step, Math.floor(this.place));
    const horizon = HORIZONS.find((end) => end >= furthest) ?? HORIZONS.at(-1);
    this.scrub.max = horizon;
    if (this.container.getRootNode().activeElement !== this.scrub || this.playing) this.scrub.value = furthest;
    this.furthest = step;
    const colours = (this.colours ??= theme(this.container));
    if (this.painted !== colours.colours.join() + colours.page) {
      this.painted = colours.colours.join() + colours.page;
      for (const box of this.boxes) swatch(box.swatch, colours, box.norm);
    }
    this.clock.textContent = `step ${step}`;
    this.scrub.setAttribute("aria-valuetext", `step ${step}`);
    drawCurves(this.accuracy.canvas, colours, shown, { step, horizon, kind: "accuracy" });
    drawCurves(this.loss.canvas, colours, shown, { step, horizon, kind: "loss" });
    drawRidges(this.ridges.canvas, colours, shown, { step, histogram: `${this.values.histogram}_histogram` });
    drawFlow(this.flow.canvas, colours, shown, { step });
    if (!this.playing) this.describe(step);
    this.container.dataset.step = step;
    this.container.dispatchEvent(new CustomEvent("bnlab:picture", { detail: step }));
  }

  // The pictures in words, for those who don't see them.
  describe(step) {
    const say = (lane, field, layer) => {
      const value = this.shown.at(lane, step, field, 3 * layer);
      return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "none";
    };
    const each = (words) => this.shown.names.map((norm, lane) => `${NORMS[norm].name}: ${words(lane)}`).join("; ");
    const layers = (lane, field) =>
      Array.from({ length: this.shown.depth }, (_, layer) => say(lane, field, layer)).join(", ");
    const label = ({ canvas }, words) => canvas.setAttribute("aria-label", words);
    label(this.loss, `Training loss at step ${step}. ${each((lane) => say(lane, "train_loss", 0))}`);
    label(this.accuracy, `Validation accuracy up to step ${step}; the sentence above has the numbers`);
    label(this.ridges, `Spread of the activations, first to last layer, at step ${step}. ${each((lane) => layers(lane, "activation_std"))}`);
    label(this.flow, `Gradient flow, first to last layer, at step ${step}. ${each((lane) => layers(lane, "gradient_norm"))}`);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
  }
}

// The frames of all lanes, one row of numbers a step, in the server's layout.
class Lanes {
  constructor({ lanes, depth, replicas, layout, edges, every, validate_every: validateEvery, draft }) {
    Object.assign(this, { names: lanes, depth, replicas, edges, every, validateEvery, draft });
    this.fields = {};
    this.width = 0;
    for (const [name, shape] of layout) {
      this.fields[name] = this.width;
      this.width += shape.reduce((a, b) => a * b, 1);
    }
    this.rows = lanes.map(() => new Float32Array(64 * this.width));
    this.counts = lanes.map(() => 0);
    this.extents = {};
  }

  append(lane, rows) {
    const start = this.counts[lane] * this.width;
    if (start + rows.length > this.rows[lane].length) {
      const larger = new Float32Array(2 * (start + rows.length));
      larger.set(this.rows[lane].subarray(0, start));
      this.rows[lane] = larger;
    }
    this.rows[lane].set(rows, start);
    this.counts[lane] += rows.length / this.width;
  }

  // The latest step that every lane has; -1 before the first.
  reached() {
    return this.counts.length ? (Math.min(...this.counts) - 1) * this.every : -1;
  }

  // Smallest and largest positive number of a field in all lanes up to a step: axes that grow with time,
  // and are the same whenever that step is shown.
  extent(name, count, step) {
    const known = (this.extents[name] ??= [[Infinity, -Infinity]]);
    const last = Math.floor(Math.min(step, this.reached()) / this.every);
    for (let frame = known.length - 1; frame <= last; frame += 1) {
      let [smallest, largest] = known[frame];
      for (let lane = 0; lane < this.names.length; lane += 1) {
        for (let index = 0; index < count; index += 1) {
          const value = this.at(lane, frame * this.every, name, index);
          if (!(value > 0) || value === Infinity) continue;
          smallest = Math.min(smallest, value);
          largest = Math.max(largest, value);
        }
      }
      known[frame + 1] = [smallest, largest];
    }
    return known[last + 1];
  }

  at(lane, step, name, index = 0) {
    return this.rows[lane][Math.floor(step / this.every) * this.width + this.fields[name] + index];
  }
}
