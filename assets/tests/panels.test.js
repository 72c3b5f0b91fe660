import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

// As much of a page as panels need. Canvases are 0 pixels wide: nothing is painted.
class Node {
  /** @param {string} tag */
  constructor(tag) {
    this.tag = tag;
    this.className = this.value = this.own = "";
    this.hidden = false;
    this.clientWidth = this.clientHeight = 0;
    this.style = {};
    this.ownerDocument = globalThis.document;
    /** @type {Record<string, string>} */
    this.attributes = {};
    /** @type {Node[]} */
    this.children = [];
    /** @type {Node | null} */
    this.parentElement = null;
    /** @type {Record<string, (event: any) => void>} */
    this.listeners = {};
    this.moved = 0;
  }

  /** @returns {string} */
  get textContent() {
    return this.own || this.children.map((child) => child.textContent).join("");
  }

  set textContent(text) {
    this.own = text;
  }

  get firstElementChild() {
    return this.children[0] ?? null;
  }

  get nextElementSibling() {
    const { children } = /** @type {Node} */ (this.parentElement);
    return children[children.indexOf(this) + 1] ?? null;
  }

  get selectedOptions() {
    return this.children.filter(({ attributes }) => attributes.value === this.value);
  }

  setAttribute(/** @type {string} */ name, /** @type {string} */ value) {
    this.attributes[name] = value;
  }

  getAttribute(/** @type {string} */ name) {
    return this.attributes[name] ?? null;
  }

  removeAttribute(/** @type {string} */ name) {
    delete this.attributes[name];
  }

  addEventListener(/** @type {string} */ type, /** @type {(event: any) => void} */ listen) {
    this.listeners[type] = listen;
  }

  removeEventListener(/** @type {string} */ type) {
    delete this.listeners[type];
  }

  append(/** @type {(Node | string)[]} */ ...parts) {
    for (const part of parts) {
      if (typeof part === "string") this.own += part;
      else this.insertBefore(part, null);
    }
  }

  appendChild(/** @type {Node} */ child) {
    this.insertBefore(child, null);
  }

  insertBefore(/** @type {Node} */ child, /** @type {Node | null} */ next) {
    child.remove();
    const at = next ? this.children.indexOf(next) : this.children.length;
    this.children.splice(at, 0, child);
    child.parentElement = this;
    child.moved += 1;
  }

  before(/** @type {Node} */ other) {
    this.parentElement?.insertBefore(other, this);
  }

  remove() {
    const { parentElement: parent } = this;
    if (parent) parent.children = parent.children.filter((child) => child !== this);
    this.parentElement = null;
  }

  /** @param {string} tag @returns {Node | undefined} */
  querySelector(tag) {
    return (
      this.children.find((child) => child.tag === tag) ?? this.children.flatMap((c) => c.querySelector(tag) ?? [])[0]
    );
  }
}
const page = new Node("document");
Reflect.set(page, "createElement", (/** @type {string} */ tag) => new Node(tag));
Reflect.set(globalThis, "document", page);
const { Panels } = await import("../panels.js");
const { Lanes } = await import("../frames.js");

const AXIS = { type: "linear", range: [0, 1], tickvals: [], ticktext: [] };
/** @param {string} title @param {any} [more] */
const panel = (title, more = {}) => ({
  ...{ title, hint: "", about: `What ${title} is.`, choice: "", spoils: true },
  figure: {
    data: [],
    layout: { xaxis: AXIS, yaxis: AXIS, meta: { title, hint: "", alt: "" }, shapes: [{ x0: { "~": "step" } }] },
  },
  ...more,
});
const PANELS = {
  accuracy: panel("Accuracy", { spoils: false }),
  loss: panel("Loss", { spoils: false, choice: "loss" }),
  ridges: panel("Histograms"),
  time: panel("Over time", { choice: "layer" }),
  flow: panel("Flow"),
};
const CONTROLS = [
  { name: "loss", label: "loss", choices: ["training", "validation"], names: ["training batches", ""], stops: [] },
  { name: "layer", label: "layer", choices: [], stops: [] },
];
const lanes = (depth = 2, network = "mlp") =>
  new Lanes({
    ...{ every: 1, validate_every: 1, network },
    lanes: [{ name: "batch norm", norm: "batch", depth, colour: "", dash: "", layout: [["seeds_left", [1]]] }],
  });

/** @type {any} */
let race;
/** @type {Node} */
let parent;
/** @type {any} */
let panels;
/** @type {any[]} */
let said = [];
beforeEach(() => {
  said = [];
  race = {
    ...{
      values: { loss: "training", layer: 0, step: 3 },
      controls: CONTROLS,
      shown: lanes(),
      playing: false,
      open: false,
    },
    ...{ step: () => 3, horizon: () => 10, ghost: () => undefined, input: () => {}, change: () => {} },
    view: (/** @type {any[]} */ ...given) => said.push(given),
    explore: (/** @type {string} */ name, /** @type {any} */ figure) => said.push([name, figure.layout.shapes[0].x0]),
  };
  parent = new Node("div");
  panels = new Panels(/** @type {any} */ (parent), race);
  panels.take(PANELS);
});
const names = () => parent.children.map((node) => node.attributes["data-figure"]);
/** @param {string} name @returns {any} */
const figure = (name) => parent.children.find((node) => node.attributes["data-figure"] === name);
const options = (/** @type {string} */ name) =>
  figure(name)
    .querySelector("select")
    .children.map((/** @type {Node} */ option) => option.textContent);
const shownAt = () => [...panels.all].map(([name, { plot }]) => [name, plot.shown?.layout.shapes[0].x0]);

test("panels are on the page in the order in which they are declared, and those that stay aren't moved", () => {
  assert.deepEqual(names(), Object.keys(PANELS));
  const before = [...parent.children],
    moved = before.map((node) => node.moved);
  panels.take(structuredClone(PANELS));
  assert.deepEqual([parent.children, before.map((node) => node.moved)], [before, moved]);
  const { accuracy, loss, flow } = PANELS;
  panels.take({ accuracy, loss, flow });
  assert.deepEqual(names(), ["accuracy", "loss", "flow"]);
  panels.take(PANELS);
  panels.draw({});
  assert.deepEqual(names(), Object.keys(PANELS));
  assert.equal(figure("flow"), before[4]);
  assert.deepEqual(
    panels.listed().map((/** @type {any} */ taken) => taken.title),
    ["Accuracy", "Loss: training batches", "Histograms", "Over time: last layer", "Flow"],
  );
});

test("a panel that stays gets the new title and what is explained of it", () => {
  panels.take({ ...PANELS, flow: panel("Discriminator’s flow") });
  panels.draw({});
  const told = figure("flow").querySelector("figcaption"),
    buttons = told.children.filter((/** @type {Node} */ node) => node.tag === "button");
  assert.deepEqual(
    buttons.map((/** @type {Node} */ node) => node.attributes["aria-label"]),
    ["What is Discriminator’s flow?", "Explore: Discriminator’s flow"],
  );
  const about = told.children.find((/** @type {Node} */ node) => node.className === "about");
  assert.equal(about.textContent, "What Discriminator’s flow is.");
});

test("a new template is filled from the next frame on", () => {
  panels.draw({});
  const { figure: old, ...flow } = PANELS.flow;
  const shapes = [{ x0: { "~": "horizon" } }];
  panels.take({ ...PANELS, flow: { ...flow, figure: { ...old, layout: { ...old.layout, shapes } } } });
  panels.draw({});
  assert.deepEqual(shownAt().slice(-2), [
    ["time", 3],
    ["flow", 10],
  ]);
});

test("what gives an answer away is hidden while the question is open", () => {
  const visible = () => parent.children.filter((node) => !node.hidden).length;
  race.open = true;
  panels.draw({});
  assert.equal(visible(), 2);
  assert.equal(panels.listed().length, 2);
  race.open = false;
  panels.draw({});
  assert.equal(visible(), 5);
});

test("while it plays curves are drawn at every frame, the other pictures at every third", () => {
  panels.draw({});
  race.playing = true;
  /** @type {Record<string, number>} */
  const counts = { accuracy: 0, loss: 0, ridges: 0, time: 0, flow: 0 };
  for (let frame = 10; frame < 22; frame += 1) {
    race.step = () => frame;
    panels.draw({});
    for (const [name, step] of shownAt()) if (step === frame) counts[String(name)] += 1;
  }
  assert.deepEqual(counts, { accuracy: 12, loss: 12, ridges: 4, time: 4, flow: 4 });
  race.playing = false;
  panels.draw({});
  assert.deepEqual(new Set(shownAt().map(([, step]) => step)), new Set([21]));
});

test("a caption offers its choice: as many layers as the deepest lane has, and what a GAN's losses are called", () => {
  assert.deepEqual(options("time"), ["last layer", "layer 1", "layer 2"]);
  assert.deepEqual(options("loss"), ["training batches", "validation"]);
  assert.equal(figure("flow").querySelector("select"), undefined);
  race.values.layer = 3; // of a deeper race
  race.shown = lanes(4, "gan");
  panels.take(PANELS);
  assert.deepEqual(options("time"), ["last layer", "layer 1", "layer 2", "layer 3", "layer 4"]);
  assert.equal(figure("time").querySelector("select").value, "3");
  assert.deepEqual(options("loss"), ["discriminator", "generator"]);
  race.shown = lanes(1);
  panels.take(PANELS);
  assert.equal(figure("time").querySelector("select").value, "0");
  const select = figure("time").querySelector("select");
  select.value = "1";
  select.listeners.change({});
  assert.deepEqual(said, [["layer", 1]]);
});

test("Explore opens the figure that is shown", () => {
  panels.draw({});
  const caption = figure("flow").querySelector("figcaption");
  caption.children.find((/** @type {Node} */ node) => node.className === "explore").listeners.click({});
  assert.deepEqual(said, [["flow", 3]]);
});
