// @ts-nocheck: the lab's own files have no types
// The lab's settings beside its pictures: the lanes, what they share, and changes in mid-run.
import { button, choice, element, slider } from "./controls.js";
import { looks, swatch } from "./draw.js";
import { written } from "./numbers.js";

const GROUPS = { training: "Training", norm: "Norm", network: "Network", data: "Data", more: "More settings" };
const SELDOM = "more"; // closed until one of its settings is used
const PLANE_ONLY = "data_noise"; // digits have no such noise
const DIGITS_ONLY = "inputs"; // what lies in the plane is centred already
const OF_DIGITS = ({ dataset, network }) =>
  ["cnn", "rnn"].includes(network) || (dataset === "digits" && network !== "gan");
export const CHOICES = {
  activation: { relu: "ReLU", tanh: "tanh", sigmoid: "sigmoid", gelu: "GELU" },
  optimizer: { sgd: "SGD", momentum: "momentum SGD", adamw: "AdamW" },
  batch_order: { pairs: "two classes each", sorted: "one class each" },
  dataset: { digits: "handwritten digits" },
  network: { mlp: "dense", cnn: "convolutional", rnn: "recurrent, row by row", gan: "GAN on a ring" },
  weight_norm: { none: "as they are", spectral: "spectral norm", weight: "weight norm", standard: "standardized" },
  init: { he: "He 2015", normal: "σ = init scale" },
  histogram: { activation: "activations", preactivation: "pre-activations" },
  layer: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [i, i ? `layer ${i}` : "last layer"])),
  loss: { training: "training batches", validation: "validation" },
};
const MOST_LANES = 4;
const WIDE = "(min-width: 901px)";

export class Settings {
  // race: values, tables, change(name, value), settle(), replaceLanes(lanes), undo(edit), mode(change)
  constructor(parent, race, tables) {
    this.race = race;
    this.tables = tables;
    this.byName = Object.fromEntries(tables.controls.map((control) => [control.name, control]));
    this.panel = element(parent, "div", "panel");
    this.lanes = element(this.panel, "fieldset", "lanes");
    this.buildMode();
    this.shows = [];
    this.rows = {};
    for (const [group, title] of Object.entries(GROUPS)) {
      const details = element(this.panel, "details", `group ${group}`);
      details.open = group !== SELDOM && matchMedia(WIDE).matches;
      if (group === SELDOM) this.seldom = details;
      element(details, "summary", "", {}, title);
      this.build(
        details,
        tables.controls.filter((control) => control.group === group),
      );
    }
  }

  build(parent, controls) {
    for (const control of controls) {
      const made = (control.choices.length ? choice : slider)(
        parent,
        control,
        {
          onInput: (value) => this.race.change(control.name, value),
          onChange: () => this.race.settle(),
        },
        CHOICES[control.name],
      );
      this.rows[control.name] = made.row;
      this.shows.push([control.name, made.show]);
    }
  }

  // Where a change of a setting begins: a new race, or a branch of this one.
  buildMode() {
    const set = element(this.panel, "fieldset", "mode");
    element(set, "legend", "", {}, "A change applies");
    const one = (value, words) => {
      const label = element(set, "label");
      const radio = element(label, "input", "", {
        type: "radio",
        name: "change",
        value,
        "data-control": `change-${value}`,
      });
      element(label, "span", "", {}, words);
      radio.addEventListener("change", () => this.race.mode(value));
      return radio;
    };
    this.modes = { start: one("start", "from the start"), here: one("here", "from here on: a branch") };
    this.edits = element(this.panel, "ul", "edits");
  }

  show(step) {
    const { values } = this.race;
    const inForce = this.race.inForce(step);
    for (const [name, show] of this.shows) show(inForce[name]);
    for (const [name, row] of Object.entries(this.rows)) {
      row.classList.toggle("restarts", values.change === "here" && step > 0 && !this.tables.editable.includes(name));
      row.title = row.classList.contains("restarts") ? "Changes the race from its start" : "";
    }
    // What no lane's norm has anything to do with isn't offered.
    for (const name of Object.keys(this.tables.concerns)) {
      this.rows[name].hidden = !values.lanes.some((lane) => this.concerns(name, lane));
    }
    // A network that needs certain data has them.
    const needed = this.tables.needs[values.network];
    this.rows.dataset.querySelector("select").disabled = Boolean(needed);
    if (needed) this.rows.dataset.querySelector("select").value = needed;
    this.rows.label_noise.hidden = values.network === "gan";
    this.rows[PLANE_ONLY].hidden = OF_DIGITS(values);
    this.rows[DIGITS_ONLY].hidden = !OF_DIGITS(values);
    this.showSeldom(values);
    this.modes.start.checked = values.change !== "here";
    this.modes.here.checked = values.change === "here";
    const lanes = JSON.stringify(values.lanes);
    if (this.shownLanes !== lanes) this.buildLanes(values.lanes);
    this.shownLanes = lanes;
    this.showEdits(values.edits);
  }

  // Whether a setting does anything in a lane: of norms' settings, in those that have them.
  concerns(name, [norm, differs]) {
    const norms = this.tables.concerns[name];
    const ofWeights = Object.fromEntries(differs).weight_norm ?? this.race.values.weight_norm;
    return !norms || norms.includes(norm) || (norms.includes(ofWeights) && name !== "weight_norm");
  }

  // Settings that few races need are in sight as soon as one of them counts; who closes them has them closed.
  showSeldom(values) {
    const names = this.tables.controls.filter(({ group }) => group === SELDOM).map(({ name }) => name);
    const used = names.some((name) => values[name] !== this.byName[name].default);
    if (used && !this.seldomUsed && matchMedia(WIDE).matches) this.seldom.open = true;
    this.seldomUsed = used;
  }

  showEdits(edits) {
    const key = JSON.stringify(edits);
    if (this.shownEdits === key) return;
    this.shownEdits = key;
    this.edits.replaceChildren();
    for (const edit of edits) {
      const [step, name, value] = edit;
      const item = element(this.edits, "li");
      const words = `step ${step}: ${this.byName[name].label} ${written(value)}`;
      element(item, "span", "", {}, words);
      button(item, "✕", `Take back: ${words}`, () => this.race.undo(edit));
    }
  }

  // ---- lanes --------------------------------------------------------------------------------------

  buildLanes(lanes) {
    this.lanes.replaceChildren();
    element(this.lanes, "legend", "", {}, "Lanes");
    this.swatches = [];
    for (const [number, lane] of lanes.entries()) this.buildLane(lanes, lane, number);
    const others = this.tables.norms
      .map(({ norm }) => norm)
      .filter((norm) => !lanes.some(([taken, differs]) => taken === norm && !differs.length));
    const full = lanes.length >= MOST_LANES;
    button(this.lanes, full ? "four lanes at most" : "+ lane", "Another lane, with the next norm", () => {
      this.race.replaceLanes([...this.race.values.lanes, [others[0] ?? "none", []]]);
    }).disabled = full;
    this.note = element(this.lanes, "p", "hint");
    this.paint(this.colours);
    this.say(this.race.shown?.notes);
  }

  buildLane(lanes, [norm, differs], number) {
    // What a lane is now: its own sliders may have changed it since its controls were made.
    const now = () => this.race.values.lanes;
    const replaced = (lane) => now().map((old, i) => (i === number ? lane : old));
    const free = (lane) => !now().some((old, i) => i !== number && JSON.stringify(old) === JSON.stringify(lane));
    const row = element(this.lanes, "div", "lane");
    this.swatches.push(element(row, "canvas", "swatch", { "aria-hidden": "true" }));
    const select = element(row, "select", "", {
      "aria-label": `Norm of lane ${number + 1}`,
      "data-control": `lane-${number}`,
    });
    for (const { norm: value, name } of this.tables.norms) {
      element(select, "option", "", { value }, name).disabled = !free([value, differs]);
    }
    select.value = norm;
    select.addEventListener("change", () => this.race.replaceLanes(replaced([select.value, now()[number][1]])));
    const more = element(row, "select", "more", {
      "aria-label": `Let lane ${number + 1} differ in`,
      title: "Let this lane differ in something else",
    });
    element(more, "option", "", { value: "" }, "+");
    for (const name of this.tables.differing) {
      const offered = this.concerns(name, [norm, differs]) && !differs.some(([taken]) => taken === name);
      if (offered) element(more, "option", "", { value: name }, this.byName[name].label);
    }
    more.addEventListener("change", () => {
      const { differing } = this.tables; // the server's order, so that it is known again when it comes back
      const longer = [...now()[number][1], [more.value, this.race.values[more.value]]];
      longer.sort(([a], [b]) => differing.indexOf(a) - differing.indexOf(b));
      this.race.replaceLanes(replaced([norm, longer]));
    });
    if (lanes.length > 1) {
      button(row, "✕", `Take lane ${number + 1} out`, () =>
        this.race.replaceLanes(now().filter((_, i) => i !== number)),
      );
    }
    for (const [name, value] of differs) {
      const own = element(this.lanes, "div", "own");
      const control = { ...this.byName[name], name: `lane-${number}-${name}`, hint: `of lane ${number + 1}` };
      if (control.choices.length) control.hint = "";
      const made = (control.choices.length ? choice : slider)(
        own,
        control,
        {
          onInput: (changed) => this.race.changeLane(number, name, changed),
          onChange: () => this.race.settle(),
        },
        CHOICES[name],
      );
      made.show(value);
      button(own, "✕", `Lane ${number + 1} as the others: ${this.byName[name].label}`, () => {
        const left = [norm, now()[number][1].filter(([kept]) => kept !== name)];
        this.race.replaceLanes(free(left) ? replaced(left) : now().filter((_, i) => i !== number));
      });
    }
  }

  // What the lanes don't share because of what they differ in, as the server says.
  say(notes = []) {
    if (this.note) this.note.textContent = notes.join(" ");
  }

  paint(colours) {
    this.colours = colours;
    if (!colours) return;
    const styles = looks(this.race.values.lanes.map(([norm]) => norm));
    for (const [i, canvas] of this.swatches.entries()) swatch(canvas, colours, styles[i]);
  }
}
