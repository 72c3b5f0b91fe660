// What a view shows: figures, equations, lamps, meters, notes, the text. It draws what Python sent, nothing else.
import { Board } from "./board.js";
import { Contents } from "./contents.js";
import { element } from "./controls.js";
import { Equations } from "./equations.js";
import { Plot } from "./plot.js";
import { theme } from "./theme.js";

const WORDS_EVERY_MS = 100; // nobody reads faster, and new text costs the browser more than new dots
export const NARROW = 600; // pixels: below, Python leaves small margins

/**
 * @typedef {import("./plotting.js").Figure} Figure
 * @typedef {{name: string, on: boolean, text: string, level: string}} Light
 * @typedef {{name: string, title: string, value: number, expected: number, text: string}} Meter
 * @typedef {{kind: "view", id: number, figures: Record<string, Figure>, text: string, notes: Record<string, string>,
 *   waiting: string, growing: boolean, board: import("./board.js").Table | null, equations: import("./equations.js").Equation[], lights: Light[],
 *   meters: Meter[], story?: any, problems: string[]}} View
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
    this.board = new Board(left, chapter.data.base);
    /** @type {Record<string, Plot>} */
    this.plots = {};
    /** @type {Record<string, HTMLElement>} */
    this.boxes = {};
    /** @type {View | undefined} */
    this.view = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.telling = undefined;
    /** @type {ReturnType<typeof theme> | undefined} */
    this.theme = undefined;
    // The first page lists all others, each with a small figure.
    const { data, frame, container } = chapter;
    this.contents = data.contents ? new Contents(frame, container, /** @type {any} */ (data)) : undefined;
    this.place = ""; // the scene, and whether it is narrow, that boxes keep their room for
  }

  get narrow() {
    return this.main.clientWidth < NARROW;
  }

  /** @param {View} view */
  show(view) {
    this.view = view;
    this.contents?.show(view.figures);
    const own = Object.entries(view.figures).filter(([, { layout }]) => layout.meta.place !== "contents");
    for (const [name, plot] of Object.entries(this.plots)) {
      if (view.figures[name]?.layout.meta.place === plot.figure.className) continue;
      plot.destroy();
      delete this.plots[name];
    }
    for (const [name, figure] of own) this.plots[name] ??= this.build(name, figure);
    const main = own.filter(([, { layout }]) => layout.meta.place !== "side").map(([name]) => this.plots[name].figure);
    for (const [at, figure] of main.entries()) {
      const there = this.main.children[at] ?? null;
      if (there !== figure) this.main.insertBefore(figure, there); // one that an answer brings may be the first
    }
    this.draw();
    this.showMeters();
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.tell();
    }, WORDS_EVERY_MS);
  }

  /** @param {string} name @param {Figure} shown */
  build(name, shown) {
    const { place, title } = shown.layout.meta;
    const { chapter } = this;
    const parent = place === "side" ? this.box(name) : this.main;
    const made = new Plot(parent, {
      name,
      title,
      place,
      onExplore: () => chapter.explore(name),
      hands: {
        getControls: () => chapter.data.controls,
        getValues: () => chapter.values,
        onInput: (control, value, time) => chapter.input(control, value, time),
        onChange: () => chapter.release(),
        isLocked: () => chapter.open,
      },
    });
    if (place === "side") parent.prepend(made.figure);
    return made;
  }

  // What is told of one measure stays together: its figure, its lamp, its meter, its note.
  /** @param {string} name */
  box(name) {
    this.boxes[name] ??= element(this.side, "div", `measure ${name}`);
    return this.boxes[name];
  }

  draw() {
    if (!this.main.clientWidth) return; // not on the page yet: neither has it colours
    this.theme ??= theme(this.main);
    for (const [name, plot] of Object.entries(this.plots)) {
      const figure = this.view?.figures[name];
      if (figure) plot.show(figure, this.theme);
    }
    this.contents?.draw();
  }

  repaint() {
    this.theme = undefined;
    this.contents?.repaint();
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
    this.board.show(view.board ?? null);
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
    for (const plot of Object.values(this.plots)) plot.describe();
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
      mark.style.left = `clamp(2px, ${100 * expected}%, 100% - 1px)`;
      if (words.textContent !== text) words.textContent = text;
      gauge.setAttribute("aria-valuenow", value.toFixed(3));
      gauge.setAttribute("aria-valuetext", text);
    }
    const named = meters.map(({ name }) => name);
    for (const [name, box] of Object.entries(this.boxes))
      if (!named.includes(name)) box.querySelector(".gauge")?.remove();
  }

  figures() {
    return Object.values(this.plots).map((plot) => plot.taken());
  }

  destroy() {
    clearTimeout(this.telling);
    this.contents?.destroy();
    for (const plot of Object.values(this.plots)) plot.destroy();
  }
}
