// One batch, before and after: three rows of dots and histograms on one axis, and a dot to drag.
import { brief, button, element, slider } from "./controls.js";
import { linear, ready, rule, text, theme } from "./draw.js";

const LOW = -6, HIGH = 6;
const ROWS = [
  { array: "x", name: "x", what: "what arrives" },
  { array: "normalized", name: "x̂", what: "(x − μ) / √(σ² + ε)" },
  { array: "y", name: "y", what: "γ · x̂ + β" },
];
const REACH = 28;
const MOST_MOVED = 8;
const WORDS_EVERY_MS = 100; // nobody reads faster, and new text costs the browser more than new dots

export class OneBatch {
  constructor(container, data, { commit, ask }) {
    this.container = container;
    this.send = ask;
    this.commit = () => commit(this.values);
    this.values = { ...data.values };
    this.selected = this.values.moved[0]?.[0] ?? 0;
    this.number = 0;
    this.waiting = false; // one question under way, the latest state goes next
    this.askedFor = 0;
    this.build(data);
  }

  build(data) {
    const frame = element(this.container, "div", "batch");
    const figure = element(frame, "figure");
    this.canvas = element(figure, "canvas", "dots", {
      tabindex: 0, role: "slider", "aria-label": data.title, "aria-valuemin": LOW, "aria-valuemax": HIGH,
      "data-control": "point",
    });
    this.legend = element(figure, "p", "legend", {});
    element(figure, "p", "help", {},
      "Drag any dot of the top row, out of the frame too. Keys: ← → move the chosen dot (Shift: faster), Page Up and Page Down choose another.");
    const panel = element(frame, "div", "panel");
    this.shows = data.controls.filter((control) => control.stops.length).map((control) => {
      const made = slider(panel, control, {
        onInput: (value, at) => {
          this.values[control.name] = value;
          this.ask(at);
        },
        onChange: this.commit,
      });
      return [control.name, made.show];
    });
    this.equations = element(panel, "p", "equations", { "aria-hidden": "true" });
    const digit = element(panel, "div", "digit");
    this.digit = element(digit, "canvas", "", { width: 8, height: 8, role: "img", "aria-label": "The digit behind the chosen dot" });
    element(digit, "span", "", {}, "the handwritten digit behind the chosen dot");
    fetch(data.assets + "/digits_batch.bin").then((answer) => answer.arrayBuffer()).then((pixels) => {
      this.pixels = new Uint8Array(pixels);
      this.draw();
    });
    this.reset = button(panel, "Start over", "Put every dot and slider back", () => {
      this.apply({ ...data.defaults });
      this.commit();
    });
    this.words = element(this.container, "p", "verdict", { role: "status" });
    this.listen();
    this.showValues();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      const index = this.nearest(event.offsetX, event.offsetY);
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
      else canvas.style.cursor = this.nearest(event.offsetX, event.offsetY) >= 0 ? "grab" : "";
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        if (this.dragging) this.commit();
        this.dragging = false;
      });
    }
    canvas.addEventListener("keydown", (event) => {
      if (!this.picture) return;
      const x = this.picture.arrays.x;
      const far = event.shiftKey ? 1 : 0.1;
      if (event.key === "ArrowRight") this.move(x[this.selected] + far, event.timeStamp);
      else if (event.key === "ArrowLeft") this.move(x[this.selected] - far, event.timeStamp);
      else if (event.key === "PageUp") this.selected = (this.selected + 1) % x.length;
      else if (event.key === "PageDown") this.selected = (this.selected + x.length - 1) % x.length;
      else return;
      event.preventDefault();
      this.draw();
    });
    canvas.addEventListener("keyup", (event) => {
      if (event.key.startsWith("Arrow")) this.commit();
    });
  }

  nearest(px, py) {
    const { across, rows } = this.places ?? {};
    if (!this.picture || Math.abs(py - rows[0].dots) > REACH) return -1;
    let best = -1, distance = REACH;
    this.picture.arrays.x.forEach((value, i) => {
      const away = Math.abs(across(Math.min(Math.max(value, LOW), HIGH)) - px);
      if (away < distance) [best, distance] = [i, away];
    });
    return best;
  }

  // Beyond the frame a pixel is worth more and more, so that "very far" is within reach.
  valueAt(px) {
    const { across } = this.places;
    const left = across(LOW), right = across(HIGH);
    if (px > right) return HIGH * Math.exp((px - right) / 40);
    if (px < left) return LOW * Math.exp((left - px) / 40);
    return across.invert(px);
  }

  move(value, at) {
    const moved = this.values.moved.filter(([index]) => index !== this.selected);
    const bounded = Math.max(-1e6, Math.min(1e6, Number(value.toPrecision(4))));
    this.values.moved = [...moved, [this.selected, bounded]].slice(-MOST_MOVED).sort((a, b) => a[0] - b[0]);
    this.ask(at);
  }

  ask(at = performance.now()) {
    this.latest = at;
    if (this.waiting) return;
    this.askedFor = at;
    this.latest = undefined;
    this.waiting = this.send({ kind: "batch", id: ++this.number, values: this.values });
  }

  connected() {
    this.waiting = false;
    this.ask();
  }

  receive(message) {
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
    for (const [name, show] of this.shows) show(this.values[name]);
  }

  repaint() {
    this.colours = undefined;
    this.draw();
  }

  draw() {
    if (!this.picture || !this.canvas.clientWidth) return;
    const colours = (this.colours ??= theme(this.container));
    const { pen, width, height } = ready(this.canvas, colours);
    const across = linear(LOW, HIGH, width < 600 ? 30 : 150, width - 14);
    const tall = (height - 26) / 3;
    const { arrays, numbers } = this.picture;
    const rows = ROWS.map((row, i) => ({ ...row, top: i * tall, dots: (i + 1) * tall - 16 }));
    this.places = { across, rows };
    this.selected = Math.min(this.selected, arrays.x.length - 1);
    this.drawAxis(pen, colours, across, height);
    const most = Math.max(...ROWS.flatMap((row) => [...arrays[`${row.array}_histogram`]]), 4);
    for (const row of rows) {
      this.drawHistogram(pen, colours, across, row, arrays[`${row.array}_histogram`], tall, most);
      this.drawDots(pen, colours, across, row, arrays[row.array], width);
    }
    for (const row of rows) this.drawSpread(pen, colours, across, row, numbers);
    this.drawThread(pen, colours, across, rows, arrays);
    this.drawLegend(colours);
    this.drawDigit();
    this.telling ??= setTimeout(() => this.tell(), WORDS_EVERY_MS);
  }

  // The picture in words: below it, beside it, and for those who don't see it.
  tell() {
    this.telling = undefined;
    const { arrays, numbers, text: words } = this.picture;
    this.words.textContent = words;
    this.equations.replaceChildren();
    for (const part of [`μ = ${brief(numbers.x_mean)}`, `σ = ${brief(numbers.x_std)}`, `√(N−1) = ${numbers.bound.toFixed(2)}`]) {
      element(this.equations, "span", "", {}, part);
    }
    const value = arrays.x[this.selected];
    this.canvas.setAttribute("aria-valuenow", value.toFixed(2));
    this.canvas.setAttribute("aria-valuetext",
      `dot ${this.selected + 1} of ${arrays.x.length}: x ${value.toFixed(2)}, normalized ${arrays.normalized[this.selected].toFixed(2)}, y ${arrays.y[this.selected].toFixed(2)}`);
  }

  drawAxis(pen, colours, across, height) {
    for (let tick = LOW; tick <= HIGH; tick += 1) {
      rule(pen, colours, across(tick), 4, across(tick), height - 20, { alpha: tick ? 0.35 : 1 });
      if (tick % 2 === 0) text(pen, colours, String(tick), across(tick), height - 9, { align: "center", small: true });
    }
  }

  drawHistogram(pen, colours, across, row, counts, tall, most) {
    const floor = row.dots - 12, room = tall - 40;
    const bin = (HIGH - LOW) / counts.length;
    pen.fillStyle = colours.colours[0];
    pen.globalAlpha = 0.75;
    counts.forEach((count, i) => {
      if (!count) return;
      const left = across(LOW + i * bin), right = across(LOW + (i + 1) * bin);
      pen.fillRect(left + 0.5, floor, right - left - 1, -room * (count / most));
    });
    pen.globalAlpha = 1;
    const wide = across(LOW) > 100;
    text(pen, colours, row.name, 4, wide ? floor - 26 : row.top + 12, {});
    if (wide) text(pen, colours, row.what, 4, floor - 8, { alpha: 0.8, small: true });
    else text(pen, colours, row.what, 22, row.top + 12, { alpha: 0.8, small: true });
  }

  drawDots(pen, colours, across, row, values, width) {
    pen.fillStyle = colours.text;
    pen.globalAlpha = 0.45;
    pen.beginPath(); // one path: hundreds of single fills would cost the frame rate
    for (const value of values) {
      const x = across(Math.min(Math.max(value, LOW), HIGH));
      pen.moveTo(x, row.dots);
      pen.arc(x, row.dots, 4.5, 0, 2 * Math.PI);
    }
    pen.fill();
    pen.globalAlpha = 1;
    const value = values[this.selected];
    const inside = Math.min(Math.max(value, LOW), HIGH);
    pen.beginPath();
    pen.arc(across(inside), row.dots, 8, 0, 2 * Math.PI);
    pen.fillStyle = colours.colours[1];
    pen.fill();
    if (inside !== value) {
      const words = value > 0 ? `${brief(value)} →` : `← ${brief(value)}`;
      text(pen, colours, words, across(inside) + (value > 0 ? -14 : 14), row.dots - 14,
        { align: value > 0 ? "right" : "left", colour: colours.colours[1] });
    }
    rule(pen, colours, across(LOW), row.dots + 12, width - 14, row.dots + 12, { alpha: 0.6 });
  }

  // Mean and one standard deviation to either side.
  drawSpread(pen, colours, across, row, numbers) {
    const mean = numbers[`${row.array}_mean`], std = numbers[`${row.array}_std`];
    const within = (value) => across(Math.min(Math.max(value, LOW), HIGH));
    const y = row.dots + 12;
    rule(pen, colours, within(mean - std), y, within(mean + std), y, { colour: colours.colours[0], width: 4 });
    if (Math.abs(mean) <= HIGH) {
      rule(pen, colours, across(mean), y - 30, across(mean), y + 3, { colour: colours.colours[0], width: 2 });
    }
  }

  drawLegend(colours) {
    if (this.legend.dataset.colours === colours.colours.join()) return;
    this.legend.dataset.colours = colours.colours.join();
    this.legend.replaceChildren();
    const [blue, orange] = colours.colours;
    for (const [mark, colour, words] of [["●", orange, "the chosen dot"], ["❘", blue, "mean"], ["▬", blue, "one standard deviation to either side"]]) {
      const item = element(this.legend, "span");
      element(item, "span", "", { "aria-hidden": "true" }, `${mark} `).style.color = colour;
      item.append(words);
    }
  }

  drawDigit() {
    if (!this.pixels) return;
    const pen = this.digit.getContext("2d");
    const image = pen.createImageData(8, 8);
    for (let i = 0; i < 64; i += 1) {
      const ink = 255 - Math.min(255, this.pixels[64 * this.selected + i] * 16);
      image.data.set([ink, ink, ink, 255], 4 * i);
    }
    pen.putImageData(image, 0, 0);
  }

  drawThread(pen, colours, across, rows, arrays) {
    const at = rows.map((row) => [
      across(Math.min(Math.max(arrays[row.array][this.selected], LOW), HIGH)), row.dots,
    ]);
    for (let i = 0; i < 2; i += 1) {
      rule(pen, colours, ...at[i], ...at[i + 1], { colour: colours.colours[1], dash: [4, 4], width: 1.5 });
    }
  }

  destroy() {
    clearTimeout(this.telling);
  }
}
