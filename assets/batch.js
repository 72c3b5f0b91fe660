// One batch, before and after: three rows of dots and histograms on one axis, and a dot to drag.
import { brief, button, element, slider } from "./controls.js";
import { theme } from "./draw.js";
import { HIGH, LEGEND_LINE, ROWS, drawMarks, drawRows, place } from "./rows.js";
import { TakeAway } from "./take.js";

const REACH = 28;
const CHOSEN = { mouse: 10, pen: 14, touch: 20 }; // how near the chosen dot it is the one that is taken
const MOST_MOVED = 8;
const FARTHEST = 1e6;
const WORDS_EVERY_MS = 100; // nobody reads faster, and new text costs the browser more than new dots

export class OneBatch {
  constructor(container, data, { commit, ask }) {
    this.container = container;
    this.data = data;
    this.send = ask;
    this.commit = () => commit(this.values);
    this.values = { ...data.values };
    this.selected = this.values.moved[0]?.[0] ?? 0;
    this.number = 0;
    this.waiting = false; // one question under way, the latest state goes next
    this.askedFor = 0;
    this.build();
    this.listen();
    this.showValues();
  }

  build() {
    const frame = element(this.container, "div", "batch");
    this.buildFigure(frame);
    const panel = element(frame, "div", "panel");
    this.buildSliders(panel);
    this.equations = element(panel, "p", "equations", { "aria-hidden": "true" });
    this.buildDigit(panel);
    button(panel, "Start over", "Put every dot and slider back", () => {
      this.apply({ ...this.data.defaults });
      this.commit();
    });
    this.words = element(this.container, "p", "verdict", { role: "status" });
    this.buildTake(this.container);
  }

  buildTake(parent) {
    const { picture: name, title } = this.data;
    this.take = new TakeAway(parent, { name, title, picture: this, ask: this.send });
  }

  buildFigure(parent) {
    this.figure = element(parent, "figure");
    this.canvas = element(this.figure, "canvas", "dots", {
      tabindex: 0, role: "slider", "aria-label": this.data.title, "data-control": "point",
    });
    this.legend = element(this.figure, "p", "legend", {});
    this.help = element(this.figure, "p", "help", {},
      "Drag any dot of the top row, out of the frame too. Keys: ← → move the chosen dot (Shift: faster; far out, ever faster), Page Up and Down choose another.");
  }

  buildSliders(panel) {
    this.shows = this.data.controls.filter((control) => control.stops.length).map((control) => {
      const made = slider(panel, control, {
        onInput: (value, at) => {
          this.values[control.name] = value;
          this.ask(at);
        },
        onChange: this.commit,
      });
      return { name: control.name, ...made };
    });
  }

  buildDigit(panel) {
    this.digitRow = element(panel, "div", "digit");
    this.digit = element(this.digitRow, "canvas", "", { width: 8, height: 8, role: "img", "aria-label": "The digit behind the chosen dot" });
    element(this.digitRow, "span", "", {}, "the handwritten digit behind the chosen dot");
    fetch(this.data.assets + "/digits_batch.bin").then((answer) => answer.arrayBuffer()).then((pixels) => {
      this.pixels = new Uint8Array(pixels);
      this.draw();
    });
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      const index = this.nearest(event);
      if (index < 0) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.selected = index;
      this.draw();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.dragging) this.move(this.valueAt(event.offsetX), event.timeStamp);
      else canvas.style.cursor = this.nearest(event) >= 0 ? "grab" : "";
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        if (this.dragging) this.commit();
        this.dragging = false;
      });
    }
    canvas.addEventListener("keydown", (event) => {
      if (!this.picture || this.locked) return;
      const { arrays: { x }, magnified } = this.picture;
      const here = Math.abs(x[this.selected]); // out of the frame, steps grow with the distance
      const far = (event.shiftKey ? 1 : 0.1) * (here > HIGH / magnified ? here : 1 / magnified);
      if (event.key === "ArrowRight") this.move(x[this.selected] + far, event.timeStamp);
      else if (event.key === "ArrowLeft") this.move(x[this.selected] - far, event.timeStamp);
      else if (event.key === "PageUp") this.selected = (this.selected + 1) % x.length;
      else if (event.key === "PageDown") this.selected = (this.selected + x.length - 1) % x.length;
      else return;
      event.preventDefault();
      this.draw();
    });
    canvas.addEventListener("keyup", (event) => {
      if (event.key.startsWith("Arrow") && !this.locked) this.commit();
    });
  }

  nearest({ offsetX: px, offsetY: py, pointerType }) {
    const row = this.places?.rows[0];
    if (!this.picture || this.locked || Math.abs(py - row.dots) > REACH) return -1;
    const disc = place(row, this.picture.arrays.x[this.selected]);
    if (Math.hypot(px - disc, py - row.dots) <= (CHOSEN[pointerType] ?? CHOSEN.mouse)) return this.selected;
    let best = -1, distance = REACH;
    this.picture.arrays.x.forEach((value, i) => {
      const away = Math.abs(place(row, value) - px);
      if (away < distance) [best, distance] = [i, away];
    });
    return best;
  }

  // Beyond the frame a pixel is worth more and more, so that "very far" is within reach.
  valueAt(px) {
    const { across } = this.places.rows[0];
    const left = across(across.low), right = across(across.high);
    if (px > right) return across.high * Math.exp((px - right) / 40);
    if (px < left) return across.low * Math.exp((left - px) / 40);
    return across.invert(px);
  }

  move(value, at) {
    const moved = this.values.moved.filter(([index]) => index !== this.selected);
    const bounded = Math.max(-FARTHEST, Math.min(FARTHEST, Number(value.toPrecision(4))));
    this.values.moved = [...moved, [this.selected, bounded]].slice(-MOST_MOVED).sort((a, b) => a[0] - b[0]);
    this.ask(at);
  }

  ask(at = performance.now()) {
    this.latest = at;
    if (this.waiting) return;
    this.askedFor = at;
    this.latest = undefined;
    this.waiting = this.send({ kind: "batch", id: ++this.number, values: this.asked() });
  }

  asked() {
    return this.values;
  }

  connected() {
    this.waiting = false;
    this.ask();
  }

  receive(message) {
    if (this.take.receive(message)) return;
    if (message.kind === "problem") this.words.textContent = message.message;
    this.waiting = false;
    if (message.kind === "batch") {
      this.picture = message;
      this.draw(); // at once: waiting for the next frame would only show it a frame later
      this.container.dispatchEvent(new CustomEvent("bnlab:picture", { detail: this.askedFor }));
    }
    if (this.latest !== undefined) this.ask(this.latest);
  }

  apply(values) {
    this.values = { ...values };
    this.showValues();
    this.ask();
  }

  showValues() {
    for (const { name, show } of this.shows) show(this.asked()[name]);
  }

  repaint() {
    this.colours = undefined;
    this.draw();
  }

  look() {
    return { rows: ROWS, selected: this.selected };
  }

  draw() {
    if (!this.picture || !this.canvas.clientWidth) return;
    this.colours ??= theme(this.container);
    this.selected = Math.min(this.selected, this.picture.arrays.x.length - 1);
    this.places = drawRows(this.canvas, this.colours, this.picture, this.look());
    this.drawLegend(this.colours);
    this.drawDigit();
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.tell();
    }, WORDS_EVERY_MS);
  }

  // The picture in words: below it, beside it, and for those who don't see it.
  tell() {
    const { arrays, text: words } = this.picture;
    this.words.textContent = words;
    this.showEquations();
    const [x, normalized, y] = ["x", "normalized", "y"].map((name) => arrays[name][this.selected]);
    const { low, high } = this.places.rows[0].across;
    const ends = { valuemin: Math.min(low, x), valuemax: Math.max(high, x) };
    for (const [name, value] of Object.entries({ ...ends, valuenow: x })) {
      this.canvas.setAttribute(`aria-${name}`, Number(value.toPrecision(4)));
    }
    this.canvas.setAttribute("aria-valuetext",
      `dot ${this.selected + 1} of ${arrays.x.length}: x ${brief(x)}, normalized ${brief(normalized)}, y ${brief(y)}`);
  }

  showEquations() {
    const { numbers } = this.picture;
    this.equations.replaceChildren();
    for (const part of [`μ = ${brief(numbers.x_mean)}`, `σ = ${brief(numbers.x_std)}`, `√(N−1) = ${numbers.bound.toFixed(2)}`]) {
      element(this.equations, "span", "", {}, part);
    }
  }

  marks([blue, orange]) {
    return [["●", orange, "the chosen dot"], ["❘", blue, "mean"], ["▬", blue, "one standard deviation to either side"]];
  }

  drawLegend({ colours }) {
    const marks = this.marks(colours);
    if (this.legend.dataset.marks === marks.join()) return;
    this.legend.dataset.marks = marks.join();
    this.legend.replaceChildren();
    for (const [mark, colour, words] of marks) {
      const item = element(this.legend, "span");
      element(item, "span", "", { "aria-hidden": "true" }, `${mark} `).style.color = colour;
      item.append(words);
    }
  }

  drawDigit() {
    const number = this.picture.arrays.digits[this.selected];
    if (!this.pixels || number === undefined) return;
    const pen = this.digit.getContext("2d");
    const image = pen.createImageData(8, 8);
    for (let i = 0; i < 64; i += 1) {
      const ink = 255 - Math.min(255, this.pixels[64 * number + i] * 16);
      image.data.set([ink, ink, ink, 255], 4 * i);
    }
    pen.putImageData(image, 0, 0);
  }

  // What can be taken away.
  figures() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const below = (width < 600 ? 3 : 1) * LEGEND_LINE;
    const draw = (canvas, colours) => {
      drawRows(canvas, colours, this.picture, { ...this.look(), below });
      drawMarks(canvas, colours, this.marks(colours.colours), height);
    };
    return [{ title: "Before and after", width, height: height + below, draw }];
  }

  summary() {
    return this.words.textContent;
  }

  destroy() {
    clearTimeout(this.telling);
  }
}
