// A walk: a setting whose choices are stepped through, one after another, with words for each.
import { button, element } from "./controls.js";

export class Walk {
  /** @param {HTMLElement} parent @param {import("./chapter.js").Chapter} chapter */
  constructor(parent, chapter) {
    this.chapter = chapter;
    this.box = element(parent, "div", "walk", { role: "group", "aria-label": "Step by step" });
    this.words = element(this.box, "p", "status", { role: "status" });
    const ways = element(this.box, "div", "ways");
    const way = (/** @type {string} */ label, /** @type {string} */ title, /** @type {number} */ by) =>
      button(ways, label, title, () => this.go(by));
    this.steps = [
      way("|◀", "To the beginning", Number.NEGATIVE_INFINITY),
      way("◀ Back", "Back by one operation", -1),
      way("Step ▶", "Step on by one operation", 1),
      way("▶|", "To the end", Number.POSITIVE_INFINITY),
    ];
  }

  // The setting that is walked through: the one whose choices the scene has words for.
  get control() {
    const words = Object.keys(this.chapter.scene?.walk ?? {}).join();
    return words
      ? this.chapter.data.controls.find((/** @type {any} */ one) => one.choices.join() === words)
      : undefined;
  }

  /** @param {number} by */
  go(by) {
    const { control, chapter } = this;
    if (!control || chapter.open) return;
    const at = control.choices.indexOf(chapter.values[control.name]) + by;
    chapter.input(control.name, control.choices[Math.min(Math.max(at, 0), control.choices.length - 1)]);
    chapter.release();
  }

  /** @param {Record<string, any>} values */
  show(values) {
    const { control, chapter } = this;
    this.box.hidden = !control;
    this.box.inert = chapter.open;
    if (!control) return;
    const now = values[control.name],
      at = control.choices.indexOf(now);
    this.words.textContent = chapter.scene?.walk[now] ?? "";
    this.steps.forEach((step, i) => {
      step.setAttribute("aria-disabled", String(i < 2 ? at === 0 : at === control.choices.length - 1));
    });
  }
}
