// One figure on the page: its caption, what is explained of it, the canvas, "Explore", and what answers to touch.
import { button, element } from "./controls.js";
import { explain } from "./explain.js";
import { attach } from "./interact.js";
import { paint } from "./painter.js";

/**
 * @import { Options } from "./interact.js"
 * @import { State } from "./painter.js"
 * @import { Figure, Geometry } from "./plotting.js"
 * @import { Theme } from "./scheme.js"
 * @typedef {Omit<Options, "getFigure" | "getGeometry" | "repaint">} Answers what the reader's gestures do
 * @typedef {{name: string, title: string, about?: string, place: string, onExplore: () => void, hands: Answers}} Made
 */

export class Plot {
  /**
   * @param {HTMLElement} parent
   * @param {Made} made about: the explanation behind its "?"; place: its class
   */
  constructor(parent, { name, title, about = "", place, onExplore, hands }) {
    this.figure = element(parent, "figure", place, { "data-figure": name });
    this.caption = element(this.figure, "figcaption");
    this.title = element(this.caption, "span", "caption", {}, title);
    this.explained = about ? explain(this.caption, title, about) : undefined;
    this.hint = element(this.caption, "span", "hint");
    this.explore = button(this.caption, "⤢", `Explore: ${title}`, onExplore);
    this.explore.className = "explore";
    this.room = element(this.figure, "div", "plot");
    this.canvas = element(this.room, "canvas", name, { role: "img" });
    /** @type {Figure | undefined} */
    this.shown = undefined;
    /** @type {Geometry | undefined} */
    this.geometry = undefined;
    /** @type {Theme | undefined} */
    this.theme = undefined;
    /** @type {State} */
    this.state = {};
    this.hands = attach(this.room, {
      ...hands,
      getFigure: () => this.shown,
      getGeometry: () => this.geometry,
      repaint: (state) => {
        this.state = state;
        this.draw();
      },
    });
  }

  // The same place on the page for another figure: what is explained behind its "?" and what its buttons are called.
  /** @param {string} title @param {string} about */
  rename(title, about) {
    const label = `Explore: ${title}`;
    if (this.explore.title !== label) {
      this.explore.title = label;
      this.explore.setAttribute("aria-label", label);
      this.explained?.button.setAttribute("aria-label", `What is ${title}?`);
      this.explained?.about.setAttribute("aria-label", title);
    }
    if (this.explained && this.explained.about.textContent !== about) this.explained.about.textContent = about;
  }

  /** @param {Figure} figure @param {Theme} theme */
  show(figure, theme) {
    this.shown = figure;
    this.theme = theme;
    const { title, hint = "" } = figure.layout.meta,
      { height } = figure.layout;
    if (this.title.textContent !== title) this.title.textContent = title;
    if (this.hint.textContent !== hint) this.hint.textContent = hint;
    if (height && this.room.style.height !== `${height}px`) this.room.style.height = `${height}px`;
    this.hands.follow();
    this.draw();
  }

  draw() {
    if (this.shown && this.theme && this.canvas.clientWidth)
      this.geometry = paint(this.canvas, this.shown, this.theme, this.state);
  }

  // In words, for those who don't see it: of the figure as a whole, and of what in it can be focused.
  describe() {
    if (!this.shown) return;
    const { title, alt } = this.shown.layout.meta,
      words = `${title}. ${alt}`;
    if (this.canvas.getAttribute("aria-label") !== words) this.canvas.setAttribute("aria-label", words);
    this.hands.update();
  }

  /** @returns {import("./take.js").Taken} what can be taken away, as it is now */
  taken() {
    const figure = /** @type {Figure} */ (this.shown),
      { title, hint } = figure.layout.meta;
    const draw = (/** @type {any} */ sheet, /** @type {any} */ colours) => paint(sheet, figure, colours, {});
    return { title, hint, width: this.canvas.clientWidth, height: this.canvas.clientHeight, draw };
  }

  destroy() {
    this.hands.destroy();
    this.figure.remove();
  }
}
