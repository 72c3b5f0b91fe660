// The chapter "One batch": scenes that begin with a prediction, and everything that follows the finger.
import { OneBatch } from "./batch.js";
import { button, choice, element, slider } from "./controls.js";
import { drawCurve } from "./curves.js";
import { theme } from "./draw.js";
import { Equations } from "./equations.js";
import { OPERATIONS, ROWS, WALK } from "./rows.js";

const REVEAL_MS = 1600, STEP_MS = 700;
const NAMES = {
  source: { digits: "real: from digits", gaussian: "Gaussian", skewed: "skewed", outlier: "with an outlier" },
};
const STEP_WORDS = {
  x: "What arrives",
  mean: "1 of 7: the mean μ",
  centred: "2 of 7: subtract μ",
  variance: "3 of 7: the variance σ²",
  root: "4 of 7: add ε, take the root",
  divide: "5 of 7: divide",
  gamma: "6 of 7: times γ",
  beta: "7 of 7: plus β",
};
const CURVES = {
  share: {
    title: "Share of the gradient that gets through",
    curve: ({ arrays, numbers }) => ({
      x: arrays.share_x, y: arrays.share_y, low: 1, high: 256, percent: true, label: "batch size N",
      ticks: [1, 2, 4, 8, 16, 32, 64, 128, 256].map((n) => [n, String(n)]), point: [arrays.x.length, numbers.share],
    }),
  },
  spread: {
    title: "Standard deviation of x̂",
    curve: ({ arrays, numbers }) => ({
      x: arrays.spread_x, y: arrays.spread_y, low: 1e-9, high: 10, percent: false, label: "σ of the batch",
      ticks: [[1e-8, "10⁻⁸"], [1e-6, "10⁻⁶"], [1e-4, "10⁻⁴"], [1e-2, "10⁻²"], [1, "1"]],
      point: numbers.root ? [numbers.x_std, numbers.normalized_std] : undefined,
    }),
  },
};

export class Chapter extends OneBatch {
  build() {
    this.moving = {}; // what the reveal shows on its way from the start to the settings
    this.frame = element(this.container, "div", "chapter");
    this.buildScenes();
    const middle = element(this.frame, "div", "batch");
    this.left = element(middle, "div", "left");
    this.buildFigure(this.left);
    this.help.textContent = "Drag a dot of x, out of the frame too. Keys: ← → and Page Up, Down.";
    this.panel = element(middle, "div", "panel");
    this.buildWalk();
    this.buildMeasures();
    this.buildControls();
    this.equations = new Equations(this.left);
    this.words = element(this.left, "p", "verdict", { role: "status" });
    this.buildTake(middle);
    this.enter();
  }

  get scene() {
    return this.data.story.find((scene) => scene.name === this.values.scene);
  }

  guess(name = this.values.scene) {
    return this.values.guesses.find(([scene]) => scene === name)?.[1];
  }

  // ---- scenes ----------------------------------------------------------------------------------------

  buildScenes() {
    const nav = element(this.frame, "nav", "scenes", { "aria-label": "Scenes of this chapter" });
    const list = element(nav, "ol");
    this.tabs = this.data.story.map((scene, i) => {
      const tab = element(element(list, "li"), "button", "", { type: "button", "data-scene": scene.name });
      element(tab, "span", "count", {}, String(i + 1));
      element(tab, "span", "title", {}, scene.title);
      tab.addEventListener("click", () => this.go(scene.name));
      return [scene, tab];
    });
    new ResizeObserver(() => this.showTab()).observe(list);
    const box = element(this.frame, "section", "prediction", { "aria-label": "Prediction" });
    this.question = element(box, "h2");
    this.choices = element(box, "div", "choices", { role: "group", "aria-label": "Your prediction" });
    this.said = element(box, "p", "said", { role: "status" });
    const ways = element(box, "div", "ways");
    this.back = button(ways, "← Back", "Back to the scene before", () => this.go(this.neighbour(-1)));
    this.next = button(ways, "Next →", "Next scene", () => this.go(this.neighbour(1)));
    button(ways, "Start over", "Start over with this scene", () => this.startOver());
  }

  neighbour(way) {
    const { story } = this.data;
    return story[story.indexOf(this.scene) + way].name;
  }

  go(name) {
    this.halt();
    const scene = this.data.story.find((one) => one.name === name);
    const settings = this.guess(name) === undefined ? scene.start : scene.reveal;
    this.values = { ...this.values, ...settings };
    this.settle();
  }

  startOver() {
    this.halt();
    const guesses = this.values.guesses.filter(([name]) => name !== this.values.scene);
    this.values = { ...this.values, ...this.scene.start, guesses };
    this.settle();
  }

  predict(number) {
    const { scene } = this;
    if (this.guess() !== undefined) return;
    const guesses = this.data.story.map(({ name }) => [name, name === scene.name ? number : this.guess(name)])
      .filter(([, guess]) => guess !== undefined);
    const from = this.values;
    this.values = { ...this.values, ...scene.reveal, guesses };
    this.reveal(from);
    this.settle();
    this.next.focus({ preventScroll: true }); // the answers can't be used any more
  }

  // A new state of the chapter: shown, asked for and written into the address.
  settle() {
    this.selected = this.values.moved[0]?.[0] ?? 0;
    this.showScene();
    this.showValues();
    this.ask();
    this.commit();
  }

  // A scene whose question is open, and that nobody has given other settings, begins at its start.
  enter() {
    const { defaults } = this.data;
    const plain = Object.keys(defaults).every((name) => name === "scene" || name === "guesses"
      || JSON.stringify(this.values[name]) === JSON.stringify(defaults[name]));
    if (plain && this.guess() === undefined) this.values = { ...this.values, ...this.scene.start };
    this.selected = this.values.moved[0]?.[0] ?? 0;
    this.showScene();
  }

  apply(values) {
    this.halt();
    this.values = { ...values };
    this.enter();
    this.showValues();
    this.ask();
  }

  showScene() {
    const { scene } = this, guess = this.guess();
    const open = scene.choices.length > 0 && guess === undefined;
    this.locked = open;
    this.frame.dataset.scene = scene.name;
    this.frame.classList.toggle("open", open);
    for (const [one, tab] of this.tabs) {
      if (one === scene) tab.setAttribute("aria-current", "step"); else tab.removeAttribute("aria-current");
      const answered = this.guess(one.name) !== undefined;
      tab.classList.toggle("answered", answered);
      tab.setAttribute("aria-label", `${one.title}${answered ? ", answered" : ""}`);
    }
    this.showTab();
    this.question.textContent = scene.question || scene.title;
    this.choices.replaceChildren();
    scene.choices.forEach((label, i) => {
      const answer = button(this.choices, label, label, () => this.predict(i));
      answer.dataset.choice = i;
      if (open) return;
      answer.disabled = true;
      answer.classList.toggle("right", i === scene.right);
      answer.classList.toggle("chosen", i === guess);
      const marks = [i === guess ? "your prediction" : "", i === scene.right ? "measured" : ""].filter(Boolean).join(", ");
      if (marks) answer.setAttribute("aria-label", `${label}: ${marks}`);
    });
    this.tellScene();
    this.back.disabled = scene === this.data.story[0];
    this.next.disabled = scene === this.data.story.at(-1);
    this.next.classList.toggle("main", !open && !this.next.disabled);
    this.controls.disabled = open;
    this.canvas.setAttribute("aria-disabled", String(open));
    for (const { name, row } of this.shows) row.hidden = !scene.controls.includes(name);
    this.nextBatch.hidden = !scene.controls.includes("draw");
    this.walk.hidden = scene.name !== "steps";
    this.walk.inert = open;
    for (const name of Object.keys(this.measures)) this.measures[name].hidden = !scene.measures.includes(name);
    this.digitRow.hidden = this.values.source !== "digits" || scene.measures.length > 1;
  }

  // On a phone the scenes are a row that scrolls: the present one in its middle.
  showTab() {
    const tab = this.tabs.find(([scene]) => scene === this.scene)[1], item = tab.parentElement, list = item.parentElement;
    list.scrollLeft = item.offsetLeft - (list.clientWidth - item.clientWidth) / 2;
  }

  tellScene() {
    const { scene } = this, guess = this.guess();
    this.said.replaceChildren();
    if (guess === undefined) {
      this.said.textContent = scene.choices.length ? "Choose an answer; then it is measured." : scene.task;
      return;
    }
    element(this.said, "b", "", {}, guess === scene.right ? "As you said. " : `You said “${scene.choices[guess]}”, a natural thought. `);
    this.said.append(`${scene.said} `);
    element(this.said, "em", "", {}, scene.task);
  }

  // ---- the reveal: settings on their way -----------------------------------------------------------

  reveal(from) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const to = this.values;
    const ways = Object.keys(this.scene.reveal).map((name) => this.way(name, from[name], to[name])).filter(Boolean);
    const walks = from.operation !== to.operation;
    const began = performance.now(), lasts = walks ? STEP_MS * (OPERATIONS.length - 1) : REVEAL_MS;
    const frame = (now) => {
      const time = Math.min((now - began) / lasts, 1), share = walks ? time : 1 - (1 - time) ** 3;
      this.moving = time < 1 ? Object.fromEntries(ways.map(([name, at]) => [name, at(share)])) : {};
      this.frame.classList.toggle("moving", time < 1);
      this.showValues();
      this.ask(now);
      this.animating = time < 1 ? requestAnimationFrame(frame) : undefined;
    };
    this.frame.classList.add("moving");
    this.moving = Object.fromEntries(ways.map(([name, at]) => [name, at(0)]));
    this.animating = requestAnimationFrame(frame);
  }

  // How a setting goes from one value to another: over the stops of its slider.
  way(name, from, to) {
    if (JSON.stringify(from) === JSON.stringify(to)) return undefined;
    if (name === "operation") return [name, (share) => OPERATIONS[Math.floor(share * (OPERATIONS.length - 1))]];
    if (name === "moved") {
      const [[index, end]] = to, start = this.picture?.arrays.x[index] ?? 0;
      return [name, (share) => [[index, start + (end - start) * share ** 3]]];
    }
    const stops = this.data.controls.find((control) => control.name === name)?.stops;
    if (!stops?.length) return undefined;
    const nearest = (value) => stops.reduce((best, stop, i) => (Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best), 0);
    const [first, last] = [nearest(from), nearest(to)];
    return [name, (share) => stops[Math.round(first + (last - first) * share)]];
  }

  halt() {
    cancelAnimationFrame(this.animating);
    this.frame.classList.remove("moving");
    this.moving = {};
  }

  asked() {
    return { ...this.values, ...this.moving };
  }

  // ---- the panel ---------------------------------------------------------------------------------------

  buildWalk() {
    this.walk = element(this.panel, "div", "walk", { role: "group", "aria-label": "Step through the transform" });
    this.stepWords = element(this.walk, "p", "status", { role: "status" });
    const ways = element(this.walk, "div", "ways");
    const step = (label, title, to) => button(ways, label, title, () => {
      this.halt();
      const now = OPERATIONS.indexOf(this.values.operation);
      this.values.operation = OPERATIONS[Math.min(Math.max(to(now), 0), OPERATIONS.length - 1)];
      this.showValues();
      this.draw();
      this.ask();
      this.commit();
    });
    this.steps = [
      step("|◀", "To the beginning", () => 0), step("◀ Back", "Back by one operation", (now) => now - 1),
      step("Step ▶", "Step on by one operation", (now) => now + 1), step("▶|", "To the end", () => OPERATIONS.length),
    ];
  }

  buildMeasures() {
    this.measures = {};
    this.notes = {};
    this.curves = {};
    for (const name of ["shape", "share", "spread", "undo"]) {
      const box = element(this.panel, "div", `measure ${name}`);
      if (name === "undo") this.lamp = element(box, "p", "lamp", { role: "status" });
      if (CURVES[name]) {
        element(box, "figcaption", "", {}, CURVES[name].title);
        this.curves[name] = element(box, "canvas", "curve", { role: "img" });
      }
      if (name === "share") {
        this.gauge = element(box, "div", "gauge", { role: "meter", "aria-label": CURVES.share.title, "aria-valuemin": 0, "aria-valuemax": 1 });
        this.gaugeFill = element(this.gauge, "span", "fill");
        this.gaugeMark = element(this.gauge, "span", "mark", { title: "theory" });
        this.gaugeWords = element(this.gauge, "span", "words");
      }
      this.notes[name] = element(box, "p", "note");
      this.measures[name] = box;
    }
  }

  buildControls() {
    this.controls = element(this.panel, "fieldset", "controls");
    element(this.controls, "legend", "hidden", {}, "Settings");
    const wanted = this.data.controls.filter((control) => control.stops.length || control.name in NAMES);
    wanted.sort((a, b) => (b.name === "source") - (a.name === "source"));
    this.shows = wanted.map((control) => {
      const handlers = {
        onInput: (value, at) => {
          this.halt();
          this.values[control.name] = value;
          if (control.name === "source") {
            this.values.moved = [];
            this.showScene();
          }
          this.ask(at);
        },
        onChange: this.commit,
      };
      const made = control.choices.length ? choice(this.controls, control, handlers, NAMES[control.name]) : slider(this.controls, control, handlers);
      return { name: control.name, ...made };
    });
    const highest = this.data.controls.find(({ name }) => name === "draw").high;
    this.nextBatch = button(this.controls, "Next batch", "Next batch: other numbers from the same source", () => {
      this.halt();
      this.values = { ...this.values, draw: this.values.draw < highest ? this.values.draw + 1 : 0, moved: [] };
      this.showValues();
      this.ask();
      this.commit();
    });
    this.buildDigit(this.panel);
  }

  showValues() {
    super.showValues();
    const { operation } = this.asked();
    this.stepWords.textContent = STEP_WORDS[operation];
    const now = OPERATIONS.indexOf(operation), last = OPERATIONS.length - 1;
    this.steps.forEach((step, i) => step.setAttribute("aria-disabled", String(i < 2 ? now === 0 : now === last)));
  }

  // ---- drawing -----------------------------------------------------------------------------------------

  look() {
    const walk = this.values.scene === "steps";
    return {
      rows: walk ? WALK : ROWS, selected: this.selected, pool: this.scene.name === "shape" && !this.locked,
      operation: walk ? this.asked().operation : undefined,
    };
  }

  draw() {
    super.draw();
    if (!this.picture || this.locked) return;
    for (const name of Object.keys(this.curves)) {
      if (this.picture.arrays[`${name}_x`] && this.curves[name].clientWidth) {
        drawCurve(this.curves[name], this.colours ??= theme(this.container), CURVES[name].curve(this.picture));
      }
    }
    const { share } = this.picture.numbers;
    if (share !== undefined) this.gaugeFill.style.transform = `scaleX(${share})`;
  }

  tell() {
    super.tell();
    const { notes, numbers } = this.picture;
    for (const [name, note] of Object.entries(this.notes)) note.textContent = notes[name] ?? "";
    for (const [name, canvas] of Object.entries(this.curves)) canvas.setAttribute("aria-label", `${CURVES[name].title}. ${notes[name] ?? ""}`);
    if (numbers.share !== undefined) {
      this.gaugeMark.style.left = `${100 * numbers.share_theory}%`;
      this.gaugeWords.textContent = `${(100 * numbers.share).toFixed(1)}%`;
      this.gauge.setAttribute("aria-valuenow", numbers.share.toFixed(3));
    }
    if (numbers.lamp === undefined) return;
    this.lamp.classList.toggle("lit", numbers.lamp === 1);
    this.lamp.textContent = numbers.lamp ? `The lamp is on: y ${numbers.exact ? "=" : "≈"} x` : "The lamp is off";
  }

  showEquations() {
    const { arrays, numbers } = this.picture;
    const operation = this.values.scene === "steps" ? this.asked().operation : undefined;
    const state = { arrays, numbers, values: this.asked(), size: arrays.x.length, chosen: this.selected };
    this.equations.show(state, operation);
  }

  marks([blue, orange, green]) {
    const marks = [["●", orange, "chosen dot"], ["❘", blue, "mean"], ["▬", blue, "± σ"]];
    if (this.locked || !this.scene.measures.includes("shape")) return marks;
    const pooled = this.look().pool ? [["■", green, "many batches"]] : [];
    return [...marks, ...pooled, ["—", "inherit", "theory (Gaussian)"]];
  }

  figures() {
    const curves = Object.keys(this.curves).filter((name) => this.picture.arrays[`${name}_x`] && !this.locked).map((name) => ({
      title: CURVES[name].title, width: this.curves[name].clientWidth, height: this.curves[name].clientHeight,
      draw: (canvas, colours) => drawCurve(canvas, colours, CURVES[name].curve(this.picture)),
    }));
    return [...super.figures(), ...curves];
  }

  destroy() {
    this.halt();
    super.destroy();
  }
}
