// A race's pictures on the page: each a template that Python made, filled at every frame with what was received.
import { choice } from "./controls.js";
import { fill } from "./fill.js";
import { Plot } from "./plot.js";

/**
 * @import { Control } from "./controls.js"
 * @import { Lanes } from "./frames.js"
 * @import { Moment } from "./fill.js"
 * @import { Figure } from "./plotting.js"
 * @import { Theme } from "./scheme.js"
 * @typedef {{title: string, hint: string, about: string, choice: string, spoils: boolean, figure: Figure}} Panel as
 *   Python declares it; figure: a template
 * @typedef {{values: Record<string, any>, shown?: Lanes, playing: boolean, open: boolean, controls: any[],
 *   step: () => number, horizon: () => number, ghost: () => Moment["ghost"],
 *   input: (name: string, value: any) => void, change: () => void, view: (name: string, value: any) => void,
 *   explore: (name: string, figure: Figure) => void}} Race as much of it as its pictures know
 * @typedef {{panel: Panel, plot: Plot, offered: string, select?: ReturnType<typeof choice>}} Shown
 */

const CURVED = ["accuracy", "loss"];
const OTHERS_EVERY = 3; // while it plays: the curves at every frame, the other pictures in turn
const WORDS_EVERY_MS = 100;
// What the choices are called where two networks play against each other.
/** @type {Record<string, string[]>} */
const OF_GAN = { loss: ["discriminator", "generator"] };

export class Panels {
  /** @param {HTMLElement} parent @param {Race} race */
  constructor(parent, race) {
    this.parent = parent;
    this.race = race;
    /** @type {Map<string, Shown>} */
    this.all = new Map();
    this.turn = 0;
    this.told = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.telling = undefined;
  }

  /**
   * Shows these panels, in this order. Those that are there already stay and get the new template.
   *
   * @param {Record<string, Panel>} panels
   */
  take(panels) {
    const known = this.all;
    this.all = new Map();
    for (const [name, { plot }] of known) if (!(name in panels)) plot.destroy();
    /** @type {HTMLElement | undefined} */
    let before;
    for (const [name, panel] of Object.entries(panels)) {
      const made = known.get(name) ?? { panel, plot: this.build(name, panel), offered: "" };
      made.panel = panel;
      made.plot.rename(panel.title, panel.about);
      this.all.set(name, made);
      const { figure } = made.plot;
      const next = before ? before.nextElementSibling : this.parent.firstElementChild;
      if (next !== figure) this.parent.insertBefore(figure, next); // only what is elsewhere: moved nodes lose the focus
      before = figure;
      this.offer(made);
    }
    this.told = false;
  }

  /** @param {string} name @param {Panel} panel */
  build(name, { title, about }) {
    const { race } = this;
    return new Plot(this.parent, {
      ...{ name, title, about, place: "raced" },
      onExplore: () => {
        const figure = this.all.get(name)?.plot.shown;
        // There is room for a legend there.
        if (figure) race.explore(name, { ...figure, layout: { ...figure.layout, showlegend: true } });
      },
      hands: {
        getControls: () => race.controls,
        getValues: () => ({ ...race.values, step: race.step() }),
        onInput: (control, value) => race.input(control, value),
        onChange: () => race.change(),
        isLocked: () => race.open,
      },
    });
  }

  // The choice in a caption, of a layer with as many as the deepest lane has.
  /** @param {Shown} shown */
  offer(shown) {
    const { plot, panel } = shown,
      control = this.race.controls.find(({ name }) => name === panel.choice);
    if (!control) return;
    const offered = this.offered(control),
      key = JSON.stringify([offered.choices, offered.names]);
    if (key !== shown.offered) {
      shown.select?.row.remove();
      shown.select = choice(
        plot.caption,
        { ...offered, hint: "", about: "" }, // what there is to say of it stands behind the panel's own "?"
        { onInput: (value) => this.race.view(control.name, value), onChange: () => {} },
      );
      plot.explore.before(shown.select.row);
      shown.offered = key;
    }
    const value = this.race.values[control.name];
    shown.select?.show(offered.choices.includes(value) ? value : offered.choices[0]);
  }

  /** @param {Control} control @returns {Control} */
  offered(control) {
    const { shown } = this.race;
    if (control.name === "layer") {
      const choices = Array.from({ length: (shown?.depth ?? 0) + 1 }, (_, layer) => layer);
      return { ...control, choices, names: choices.map((layer) => (layer ? `layer ${layer}` : "last layer")) };
    }
    const names = shown?.network === "gan" ? OF_GAN[control.name] : undefined;
    return names ? { ...control, names } : control;
  }

  /** @param {Theme} theme */
  draw(theme) {
    const { race } = this,
      { shown, playing, open } = race;
    if (!shown) return;
    this.turn += 1;
    const moment = { step: race.step(), horizon: race.horizon(), ghost: race.ghost() };
    let i = 0;
    for (const [name, { panel, plot }] of this.all) {
      i += 1;
      const hidden = panel.spoils && open;
      if (plot.figure.hidden !== hidden) plot.figure.hidden = hidden;
      const due = !playing || CURVED.includes(name) || !plot.shown || (this.turn + i) % OTHERS_EVERY === 0;
      if (due && !hidden) plot.show(fill(panel.figure, shown, moment), theme);
    }
    if (playing && this.told) return;
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.describe();
    }, WORDS_EVERY_MS);
  }

  // In words, for those who don't see them.
  describe() {
    for (const { plot } of this.all.values()) if (!plot.figure.hidden) plot.describe();
    this.told = true;
  }

  // What is on the page now, to be drawn elsewhere.
  /** @returns {import("./take.js").Taken[]} */
  listed() {
    const found = [];
    for (const { plot, select } of this.all.values()) {
      if (plot.figure.hidden || !plot.shown) continue;
      const chosen = select?.row.querySelector("select")?.selectedOptions[0]?.textContent;
      const taken = plot.taken();
      found.push(chosen ? { ...taken, title: `${taken.title}: ${chosen}` } : taken);
    }
    return found;
  }

  destroy() {
    clearTimeout(this.telling);
    for (const { plot } of this.all.values()) plot.destroy();
    this.all.clear();
  }
}
