// What a view shows: figures, equations, lamps, meters, notes, the text. It draws what Python sent, nothing else.
import { button, element } from "./controls.js";
import { theme } from "./draw.js";
import { Equations } from "./equations.js";
import { attach } from "./interact.js";
import { paint } from "./painter.js";

const WORDS_EVERY_MS = 100; // nobody reads faster, and new text costs the browser more than new dots
export const NARROW = 600; // pixels: below, Python leaves small margins

/**
 * @typedef {import("./plotting.js").Figure} Figure
 * @typedef {{name: string, on: boolean, text: string, level: string}} Light
 * @typedef {{name: string, title: string, value: number, expected: number, text: string}} Meter
 * @typedef {{kind: "view", id: number, figures: Record<string, Figure>, text: string, notes: Record<string, string>,
 *   waiting: string, growing: boolean, equations: import("./equations.js").Equation[], lights: Light[],
 *   meters: Meter[], story?: any, problems: string[]}} View
 * @typedef {{figure: HTMLElement, title: HTMLElement, hint: HTMLElement, plot: HTMLElement,
 *   canvas: HTMLCanvasElement, hands: any, geometry: any, state: Record<string, any>}} Frame
 */

export class Stage {
  /**
   * @param {HTMLElement} left where figures and text are
   * @param {HTMLElement} panel where what is small is
   * @param {import("./chapter.js").Chapter} chapter
   */
  constructor(left, panel, chapter) {
    this.chapter = chapter;
    this.main = element(left, "div", "figures");
    this.side = element(panel, "div", "measures");
    this.equations = new Equations(left);
    this.words = element(left, "p", "verdict", { role: "status" });
    /** @type {Record<string, Frame>} */
    this.frames = {};
    /** @type {Record<string, HTMLElement>} */
    this.boxes = {};
    /** @type {View | undefined} */
    this.view = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.telling = undefined;
    /** @type {ReturnType<typeof theme> | undefined} */
    this.theme = undefined;
    this.place = ""; // the scene, and whether it is narrow, that boxes keep their room for
  }

  get narrow() {
    return this.main.clientWidth < NARROW;
  }

  /** @param {View} view */
  show(view) {
    this.view = view;
    for (const name of Object.keys(this.frames)) {
      if (name in view.figures) continue;
      this.frames[name].hands.destroy();
      this.frames[name].figure.remove();
      delete this.frames[name];
    }
    for (const [name, figure] of Object.entries(view.figures)) this.frames[name] ??= this.build(name, figure);
    this.draw();
    this.showMeters();
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.tell();
    }, WORDS_EVERY_MS);
  }

  /** @param {string} name @param {Figure} shown @returns {Frame} */
  build(name, shown) {
    const { place, title } = shown.layout.meta;
    const parent = place === "side" ? this.box(name) : this.main;
    const figure = element(parent, "figure", place, { "data-figure": name });
    if (place === "side") parent.prepend(figure);
    const caption = element(figure, "figcaption");
    const words = element(caption, "span", "caption", {}, title);
    const hint = element(caption, "span", "hint");
    button(caption, "⤢", `Explore: ${title}`, () => this.chapter.explore(name)).className = "explore";
    const plot = element(figure, "div", "plot");
    const canvas = element(plot, "canvas", name, { role: "img" });
    /** @type {Frame} */
    const frame = { figure, title: words, hint, plot, canvas, hands: undefined, geometry: undefined, state: {} };
    frame.hands = attach(plot, {
      getFigure: () => this.view?.figures[name],
      getGeometry: () => frame.geometry,
      getControls: () => this.chapter.data.controls,
      getValues: () => this.chapter.values,
      onInput: (/** @type {string} */ control, /** @type {any} */ value, /** @type {number} */ time) =>
        this.chapter.input(control, value, time),
      onChange: () => this.chapter.release(),
      isLocked: () => this.chapter.locked,
      repaint: (/** @type {any} */ state) => {
        if (state) frame.state = state;
        this.drawOne(name);
      },
    });
    return frame;
  }

  // What is told of one measure stays together: its figure, its lamp, its meter, its note.
  /** @param {string} name */
  box(name) {
    this.boxes[name] ??= element(this.side, "div", `measure ${name}`);
    return this.boxes[name];
  }

  draw() {
    for (const name of Object.keys(this.frames)) this.drawOne(name);
  }

  /** @param {string} name */
  drawOne(name) {
    const figure = this.view?.figures[name],
      frame = this.frames[name];
    if (!figure || !frame) return;
    const { title, hint, height } = { ...figure.layout.meta, height: figure.layout.height };
    if (frame.title.textContent !== title) frame.title.textContent = title;
    if (frame.hint.textContent !== hint) frame.hint.textContent = hint;
    if (height && frame.plot.style.height !== `${height}px`) frame.plot.style.height = `${height}px`;
    if (!frame.canvas.clientWidth) return;
    this.theme ??= theme(this.main);
    frame.geometry = paint(frame.canvas, figure, this.theme, frame.state);
  }

  repaint() {
    this.theme = undefined;
    this.draw();
  }

  // In words: below the figures, beside them, and for those who don't see them.
  tell() {
    const { view } = this;
    if (!view) return;
    this.chapter.container.dataset.told = String(view.id);
    const words = view.waiting || view.text;
    if (this.words.textContent !== words) this.words.textContent = words;
    this.equations.show(view.equations);
    this.showLights(view.lights);
    for (const [name, text] of Object.entries(view.notes)) {
      const box = this.box(name);
      const note = box.querySelector(".note") ?? element(box, "p", "note");
      if (note.textContent !== text) note.textContent = text;
    }
    for (const [name, box] of Object.entries(this.boxes)) {
      if (!(name in view.notes)) box.querySelector(".note")?.remove();
    }
    this.keepRoom();
    for (const [name, { canvas, hands }] of Object.entries(this.frames)) {
      canvas.setAttribute(
        "aria-label",
        `${view.figures[name].layout.meta.title}. ${view.figures[name].layout.meta.alt}`,
      );
      hands.update();
    }
  }

  // What is beside the figures keeps the room that it once took in this scene: what is below it, the sliders, stays
  // under the finger however long a sentence becomes.
  keepRoom() {
    const place = `${this.chapter.values.scene} ${this.narrow}`;
    const again = place === this.place;
    this.place = place;
    for (const box of Object.values(this.boxes)) {
      const before = again ? Number.parseFloat(box.style.minHeight) || 0 : 0;
      box.style.minHeight = "0";
      box.hidden = !before && !box.childElementCount;
      box.style.minHeight = `${Math.max(before, box.offsetHeight)}px`;
    }
  }

  /** @param {Light[]} lights */
  showLights(lights) {
    for (const { name, on, text, level } of lights) {
      const box = this.box(name);
      const lamp = box.querySelector(".lamp") ?? element(box, "p", "lamp", { role: "status" });
      lamp.className = `lamp ${level}${on ? " lit" : ""}`;
      if (lamp.textContent !== text) lamp.textContent = text;
      if (box.firstElementChild !== lamp && !box.querySelector("figure")) box.prepend(lamp);
    }
    const named = lights.map(({ name }) => name);
    for (const [name, box] of Object.entries(this.boxes))
      if (!named.includes(name)) box.querySelector(".lamp")?.remove();
  }

  showMeters() {
    const meters = this.view?.meters ?? [];
    for (const { name, title, value, expected, text } of meters) {
      const box = this.box(name);
      let gauge = /** @type {HTMLElement | null} */ (box.querySelector(".gauge"));
      if (!gauge) {
        gauge = element(box, "div", "gauge", {
          role: "meter",
          "aria-label": title,
          "aria-valuemin": 0,
          "aria-valuemax": 1,
        });
        element(gauge, "span", "fill");
        element(gauge, "span", "mark", { title: "theory" });
        element(gauge, "span", "words");
      }
      const [fill, mark, words] = /** @type {HTMLElement[]} */ ([...gauge.children]);
      fill.style.transform = `scaleX(${value})`;
      mark.style.left = `${100 * expected}%`;
      if (words.textContent !== text) words.textContent = text;
      gauge.setAttribute("aria-valuenow", value.toFixed(3));
      gauge.setAttribute("aria-valuetext", text);
    }
    const named = meters.map(({ name }) => name);
    for (const [name, box] of Object.entries(this.boxes))
      if (!named.includes(name)) box.querySelector(".gauge")?.remove();
  }

  // What can be taken away: [{title, hint, width, height, draw(canvas, colours)}].
  figures() {
    return Object.entries(this.frames).map(([name, { canvas }]) => {
      const figure = /** @type {Figure} */ (this.view?.figures[name]);
      const { title, hint } = figure.layout.meta;
      const draw = (/** @type {any} */ sheet, /** @type {any} */ colours) => paint(sheet, figure, colours, {});
      return { title, hint, width: canvas.clientWidth, height: canvas.clientHeight, draw };
    });
  }

  destroy() {
    clearTimeout(this.telling);
    for (const { hands } of Object.values(this.frames)) hands.destroy();
  }
}
