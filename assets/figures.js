// @ts-nocheck: the lab's own files have no types
// The race's pictures on the page: what each shows, which choices go with it, and what touching one does.
import { clockScale } from "./axes.js";
import { element } from "./controls.js";
import { theme } from "./draw.js";
import { drawLayers, drawRidges, drawTime } from "./layers.js";
import { drawCurves } from "./panels.js";
import { CHOICES } from "./settings.js";
import { drawSurfaces } from "./surface.js";

// What the pictures are called that mean something else where two networks play against each other.
const CAPTIONS = {
  classifier: {
    accuracy: ["Validation accuracy", "line: running statistics · rings: batch statistics"],
    loss: ["Loss", "faint: computed ahead"],
    surface: ["Decision surface", "first seed, running statistics"],
    ridges: ["Histograms", "per layer · √share · outer bars: beyond ±4"],
    flow: ["Gradient flow", "‖∂loss / ∂pre-activations‖ per layer, log scale"],
  },
  gan: {
    accuracy: ["Samples near a Gaussian", "line: within 3 σ · rings: Gaussians reached"],
    loss: ["Loss", "faint: computed ahead"],
    surface: ["Generated samples", "first seed, over real samples (faint)"],
    ridges: ["Histograms", "of the discriminator, as all below · √share"],
    flow: ["Gradient flow", "discriminator: ‖∂loss / ∂pre-activations‖ per layer"],
  },
};
const CURVED = ["accuracy", "loss"];
const OTHERS_EVERY = 3; // while it plays: the curves every frame, the other pictures in turn

export class Figures {
  // race: values, shown, playing, step(), horizon(), reached(), ghost(), goTo(step, commit), commit(),
  // view(parent, control), table(name), redraw()
  constructor(parent, race) {
    this.race = race;
    this.parent = parent;
    this.turn = 0;
    const curves = (kind) => ({
      kind,
      step: race.step(),
      horizon: race.horizon(),
      ghost: race.ghost(),
      hover: this.hover,
      edits: race.values.edits.map(([step]) => step),
    });
    const moment = (more) => ({ step: race.step(), histogram: `${race.values.histogram}_histogram`, ...more });
    this.all = [
      this.figure("accuracy", "", "", drawCurves, () => curves("accuracy")),
      this.figure("loss", "", "", drawCurves, () => curves(race.values.loss)),
      this.figure("surface", "", "", drawSurfaces, moment),
      this.figure("ridges", "", "", drawRidges, moment),
      this.figure("time", "Over time", "histograms of one layer · steps run down", drawTime, () =>
        moment({ horizon: race.horizon(), layer: race.values.layer }),
      ),
      this.figure("flow", "", "", drawLayers, () => moment({ field: "gradient_norm", scale: "log" })),
      this.figure("ratio", "Update : data", "log₁₀ ‖update‖ / ‖weights‖ · dashed: −3", drawLayers, () =>
        moment({ field: "update_ratio", scale: "ratio" }),
      ),
      this.figure("saturation", "Saturation", "on the activation’s flat part · rings: dead units", drawLayers, () =>
        moment({ field: "saturation", scale: "share", beside: "dead" }),
      ),
    ];
    const by = Object.fromEntries(this.all.map((made) => [made.name, made]));
    this.by = by;
    race.view(by.loss.caption, race.table("loss"));
    race.view(by.ridges.caption, race.table("histogram"));
    const layer = race.table("layer");
    race.view(by.time.caption, { ...layer, choices: Array.from({ length: layer.high + 1 }, (_, i) => i), hint: "" });
    for (const name of CURVED) this.listen(by[name]);
    this.show();
  }

  figure(name, title, hint, draw, options) {
    const node = element(this.parent, "figure", name);
    const caption = element(node, "figcaption");
    element(caption, "strong", "", {}, title);
    element(caption, "span", "hint", {}, hint);
    const canvas = element(node, "canvas", "", { role: "img", "aria-label": title });
    return {
      name,
      title,
      hint,
      node,
      caption,
      canvas,
      draw: (target, colours) => draw(target, colours, this.race.shown, options()),
    };
  }

  // Curves can be touched: the playhead goes where the finger is, and what lies there is read out.
  listen({ canvas, name }) {
    const { race } = this;
    let held = false;
    const stepAt = (event) => {
      const step = Math.round(clockScale(canvas.clientWidth, race.horizon()).invert(event.offsetX));
      return Math.max(0, Math.min(step, race.horizon()));
    };
    const hover = (step) => {
      this.hover = step;
      canvas.title = step === undefined ? "" : this.reading(name, step);
      race.redraw();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held = true;
      race.goTo(stepAt(event), false);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (held) race.goTo(stepAt(event), false);
      if (event.pointerType === "mouse") hover(Math.min(stepAt(event), race.reached()));
    });
    canvas.addEventListener("pointerleave", () => hover(undefined));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        if (held) race.commit();
        held = false;
      });
    }
  }

  reading(name, step) {
    const { shown, values } = this.race;
    if (!shown) return "";
    const kind = name === "accuracy" ? name : values.loss;
    const one = ({ name: lane }, number) => `${lane} ${shown.reading(number, step, kind).words}`;
    return `step ${step}: ${shown.lanes.map(one).join(" · ")}`;
  }

  // What is measured, and whether there is a plane to look at, depends on the race on the screen.
  show() {
    const { shown } = this.race;
    const kind = shown?.network === "gan" ? "gan" : "classifier";
    this.by.surface.node.hidden = !shown?.window;
    if (this.kind === kind) return;
    this.kind = kind;
    const losses = kind === "gan" ? ["discriminator", "generator"] : Object.values(CHOICES.loss);
    this.by.loss.caption.querySelectorAll("option").forEach((option, i) => {
      option.textContent = losses[i];
    });
    for (const [name, [title, hint]] of Object.entries(CAPTIONS[kind])) {
      const made = this.by[name];
      Object.assign(made, { title, hint });
      made.caption.querySelector("strong").textContent = title;
      made.caption.querySelector(".hint").textContent = hint;
    }
  }

  draw(colours) {
    const { playing, shown } = this.race;
    this.show();
    this.offerLayers(shown.depth);
    this.turn += 1;
    this.all.forEach(({ node, canvas, draw }, i) => {
      const due = !playing || i < 2 || (this.turn + i) % OTHERS_EVERY === 0;
      if (due && !node.hidden) draw(canvas, colours);
    });
    if (!playing) this.describe(this.race.step());
  }

  // The layers that can be looked at over time are those of the deepest lane.
  offerLayers(depth) {
    if (this.offered === depth) return;
    this.offered = depth;
    for (const option of this.by.time.caption.querySelectorAll("option")) option.hidden = Number(option.value) > depth;
  }

  // The pictures in words, for those who don't see them.
  describe(step) {
    const { shown } = this.race;
    const say = (lane, field, layer) => {
      const value = shown.at(lane, step, field, 3 * layer);
      return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "none";
    };
    const each = (words) => shown.lanes.map(({ name }, lane) => `${name}: ${words(lane)}`).join("; ");
    const layers = (field) =>
      each((lane) => Array.from({ length: shown.lanes[lane].depth }, (_, layer) => say(lane, field, layer)).join(", "));
    const label = (name, words) => {
      const { canvas } = this.by[name];
      canvas.setAttribute("aria-label", words);
      if (!CURVED.includes(name)) canvas.title = words;
    };
    label("accuracy", `${this.by.accuracy.title} up to step ${step}; the sentence above has the numbers`);
    label("loss", `Training loss at step ${step}. ${each((lane) => say(lane, "train_loss", 0))}`);
    label(
      "ridges",
      `Histograms; spread of the activations, first to last layer, at step ${step}. ${layers("activation_std")}`,
    );
    label("flow", `Gradient flow, first to last layer, at step ${step}. ${layers("gradient_norm")}`);
    label("ratio", `Logarithm of update to weights, first to last layer, at step ${step}. ${layers("update_ratio")}`);
    label("saturation", `Saturation, first to last layer, at step ${step}. ${layers("saturation")}`);
  }

  // What is on the page now, to be drawn elsewhere.
  listed() {
    const colours = theme(this.parent);
    return this.all
      .filter(({ node }) => !node.hidden)
      .map(({ title, hint, caption, canvas, draw }) => {
        const chosen = caption.querySelector("select")?.selectedOptions[0].textContent;
        return {
          title: chosen ? `${title}: ${chosen}` : title,
          hint,
          width: canvas.clientWidth,
          height: canvas.clientHeight,
          draw: (target) => draw(target, colours),
        };
      });
  }
}
