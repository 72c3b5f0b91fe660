// Keys on a figure, and what can be focused there: one element per interactive trace, kept true.
import { written } from "./numbers.js";
import { place, readout, words } from "./painter.js";
import { axesOf, isShown, size } from "./plotting.js";
import { amongStops, amongWhole, BACKWARDS, bounded, FORWARDS, nextStop, stepped } from "./values.js";

/**
 * @import { Hands } from "./interact.js"
 * @import { Box, Figure, Geometry, Trace } from "./plotting.js"
 * @typedef {"drag" | "click" | "paint" | "brush" | "scrub" | "read"} Kind scrub: the control is where on x something is
 * @typedef {{key: string, kind: Kind, control: string, index: number, trace: Trace, meta: Record<string, any>}} Hand
 */

const KEYS = /^(Arrow|Page|Home|End)/;
let made = 0; // for ids

/**
 * What the reader can take hold of in a figure; where that is nothing, its values can still be read.
 *
 * @param {Figure} figure
 * @returns {Hand[]}
 */
export function handsOf(figure) {
  /** @type {Hand[]} */
  const found = [];
  figure.data.forEach((trace, index) => {
    if (!isShown(trace)) return;
    for (const kind of /** @type {const} */ (["drag", "click", "paint", "brush", "scrub"])) {
      const control = trace.meta?.[kind];
      if (!control) continue;
      const same = found.filter((hand) => hand.kind === kind && hand.control === control).length;
      if (kind === "scrub" && same) continue; // every curve of a plot says it, for one place to press
      found.push({ key: `${kind} ${control} ${same}`, kind, control, index, trace, meta: trace.meta });
    }
  });
  const index = figure.data.findIndex((trace) => isShown(trace) && trace.hoverinfo !== "skip" && size(trace));
  if (found.length || index < 0) return found;
  return [{ key: "read", kind: "read", control: "", index, trace: figure.data[index], meta: {} }];
}

/** @param {Hand} hand */
const isList = ({ kind, trace }) => kind === "paint" || (kind === "click" && size(trace) > 1);

export class Handles {
  /** @param {HTMLElement} host @param {Hands} hands */
  constructor(host, hands) {
    this.host = host;
    this.hands = hands;
    /** @type {Map<string, HTMLElement>} */
    this.nodes = new Map();
    this.marked = ""; // the hand whose point is marked, because it has the focus of the keyboard
    this.quiet = false; // focused by a pointer: nothing to mark
    /** @type {{key: string, from: number, before: number[]} | undefined} */
    this.stroke = undefined; // cells that are painted with Shift and arrows: where it began
  }

  destroy() {
    for (const node of this.nodes.values()) node.remove();
    this.nodes.clear();
  }

  update() {
    const { figure, geometry, list } = this.hands.all;
    if (!figure || !geometry) return;
    for (const [key, node] of this.nodes) {
      if (list.some((hand) => hand.key === key)) continue;
      node.remove();
      this.nodes.delete(key);
    }
    for (const hand of list) {
      const known = this.nodes.get(hand.key);
      if (known && hand.kind === "click" && isList(hand) !== (known.getAttribute("role") === "listbox")) {
        known.remove(); // its points have become one, or several
        this.nodes.delete(hand.key);
      }
      const node = this.nodes.get(hand.key) ?? this.build(hand);
      const [x, y] = axesOf(hand.trace, geometry);
      const [left, top] = [Math.min(x.from, x.to), Math.min(y.from, y.to)];
      const style = `left:${left}px;top:${top}px;width:${Math.abs(x.to - x.from)}px;height:${Math.abs(y.to - y.from)}px`;
      tell(node, { style, "aria-disabled": this.hands.options.isLocked() || undefined });
      this.describe(hand, node, figure, geometry);
    }
    if (this.marked) this.mark(this.marked);
  }

  /** @param {Hand} hand */
  build(hand) {
    const { key, kind, control } = hand;
    const node = this.host.ownerDocument.createElement("div");
    const several = isList(hand);
    node.className = `handle ${kind}`;
    tell(node, { role: several ? "listbox" : kind === "click" ? "button" : "slider", tabindex: 0 });
    if (kind === "paint") tell(node, { "aria-multiselectable": true });
    tell(node, kind === "read" ? { "aria-readonly": true } : { "data-control": control });
    if (several) {
      // Two that take turns: a screen reader tells of an option when another one becomes the active one.
      for (let k = 0; k < 2; k += 1) {
        const option = this.host.ownerDocument.createElement("span");
        made += 1;
        tell(option, { role: "option", id: `point-${made}` });
        node.appendChild(option);
      }
    }
    node.addEventListener("keydown", (event) => {
      tell(node, { "data-pressed": undefined });
      this.press(event, key);
    });
    node.addEventListener("keyup", (event) => {
      if (KEYS.test(event.key) && !this.hands.options.isLocked()) this.hands.commit();
    });
    node.addEventListener("focus", () => this.quiet || this.mark(key));
    node.addEventListener("blur", () => {
      tell(node, { "data-pressed": undefined });
      this.unmark();
    });
    node.addEventListener("click", (event) => {
      const hand = this.hands.hand(key); // by a screen reader: pointers are taken by the canvas
      if (hand?.kind === "click") this.hands.click(hand, this.hands.at(hand), event.timeStamp);
    });
    this.host.appendChild(node);
    this.nodes.set(key, node);
    return node;
  }

  // Gives a hand the focus after a pointer took it.
  /** @param {string} key */
  focus(key) {
    const node = this.nodes.get(key);
    this.quiet = true;
    if (node) tell(node, { "data-pressed": true }); // no ring around what a pointer is on already
    node?.focus({ preventScroll: true });
    this.quiet = false;
    this.marked = "";
    this.hands.state.focus = undefined;
  }

  // Rings the point that keys are at, and shows its values.
  /** @param {string} key */
  mark(key) {
    const { figure, geometry } = this.hands.all,
      hand = this.hands.hand(key),
      { state } = this.hands;
    if (!figure || !geometry || !hand) return;
    const before = JSON.stringify(state);
    this.marked = key;
    if (hand.kind === "scrub") state.hover = this.hands.head(hand);
    else if (hand.kind !== "brush") {
      const point = this.hands.at(hand),
        middle = centre(place(figure, geometry, hand.index, point));
      state.focus = hand.kind === "read" ? undefined : { trace: hand.index, point };
      state.hover = Number.isNaN(middle.px + middle.py) ? undefined : middle;
    }
    if (JSON.stringify(state) !== before) this.hands.options.repaint(state);
  }

  // What is scrubbed may move by itself: what is read stays beside it.
  follow() {
    const hand = this.marked ? this.hands.hand(this.marked) : undefined;
    if (hand?.kind === "scrub") this.hands.state.hover = this.hands.head(hand);
  }

  unmark() {
    if (!this.marked) return;
    this.marked = "";
    Object.assign(this.hands.state, { focus: undefined, hover: undefined });
    this.hands.options.repaint(this.hands.state);
  }

  // ---- in words ---------------------------------------------------------------------------------------------------

  /** @param {Hand} hand @param {HTMLElement} node @param {Figure} figure @param {Geometry} geometry */
  describe(hand, node, figure, geometry) {
    if (hand.kind === "scrub") {
      this.tellScrub(hand, node, figure, geometry);
      return;
    }
    const { kind, trace, meta, index } = hand,
      point = this.hands.at(hand),
      count = size(trace);
    const said = words(figure, geometry, index, Math.min(point, count - 1)),
      text = meta.says?.[point] ?? `${said.title}, ${said.text}`;
    if (kind === "drag") this.tellDrag(hand, node, point, count, text);
    else if (kind === "brush") this.tellBrush(hand, node);
    else if (kind === "read") {
      const { px, py } = centre(place(figure, geometry, index, point)),
        read = readout(figure, geometry, px, py);
      const rows = read ? read.rows.map(({ name, text: value }) => (name ? `${name}: ${value}` : value)) : [said.text];
      tell(node, { "aria-label": `Values: ${figure.layout.meta?.title ?? trace.name ?? ""}` });
      tell(node, range(1, count, point + 1, [read?.title ?? said.title, ...rows].join("; ")));
    } else if (count > 1) {
      tell(node, { "aria-label": trace.name ?? hand.control });
      const active = node.getAttribute("aria-activedescendant"),
        options = /** @type {HTMLElement[]} */ ([...node.children]);
      const now = options.find(({ id }) => id === active) ?? options[1];
      const same = now.textContent === text && now.getAttribute("aria-posinset") === String(point + 1);
      const next = same ? now : options[now === options[0] ? 1 : 0];
      next.textContent = text;
      const value = this.hands.options.getValues()[hand.control];
      const chosen =
        kind === "paint" ? value?.includes(meta.ids?.[point] ?? point) : this.hands.valueOf(hand, point) === value;
      tell(next, { "aria-posinset": point + 1, "aria-setsize": count, "aria-selected": chosen });
      tell(node, { "aria-activedescendant": next.id });
    } else tell(node, { "aria-label": `${trace.name ?? hand.control}: ${text}` });
  }

  /** @param {Hand} hand @param {HTMLElement} node @param {number} point @param {number} count @param {string} text */
  tellDrag(hand, node, point, count, text) {
    const axis = this.hands.axis(hand),
      row = this.hands.control(hand.control),
      vertical = axis.id[0] === "y";
    tell(node, {
      "aria-label": hand.trace.name ?? hand.control,
      "aria-orientation": vertical ? "vertical" : undefined,
    });
    const stops = row?.kind === "points" ? undefined : row?.stops;
    if (stops?.length) {
      const value = this.hands.options.getValues()[hand.control] ?? stops[0],
        shown = row?.shown?.[stops.indexOf(value)];
      tell(node, range(stops[0], stops[stops.length - 1], value, hand.meta.says?.[point] ?? shown ?? written(value)));
      return;
    }
    const value = Number(hand.trace[axis.id[0]][point]),
      ends = [axis.invert(axis.from), axis.invert(axis.to), value];
    const said = hand.meta.says?.[point] || count === 1 ? text : `point ${point + 1} of ${count}: ${text}`;
    tell(node, range(Math.min(...ends), Math.max(...ends), value, said));
  }

  /** @param {Hand} hand @param {HTMLElement} node @param {Figure} figure @param {Geometry} geometry */
  tellScrub(hand, node, figure, geometry) {
    const [low, high] = this.hands.ends(hand),
      now = this.hands.now(hand),
      { px, py } = this.hands.head(hand),
      label = this.hands.control(hand.control)?.label ?? hand.control;
    const read = readout(figure, geometry, px, py),
      rows = read?.rows.map(({ name, text }) => (name ? `${name}: ${text}` : text)) ?? [];
    const here = !read || read.rows.some(({ trace, point }) => Number(figure.data[trace].x?.[point]) === now);
    const said = [`${label} ${written(now)}`, ...(here ? [] : [`values at ${read?.title}`]), ...rows];
    tell(node, { "aria-label": `${figure.layout.meta?.title ?? ""}: ${label}` });
    tell(node, range(low, high, now, said.join("; ")));
  }

  /** @param {Hand} hand @param {HTMLElement} node */
  tellBrush(hand, node) {
    const axis = this.hands.axis(hand),
      [low, high] = this.hands.options.getValues()[hand.control] ?? [],
      ends = [axis.invert(axis.from), axis.invert(axis.to)];
    const chosen = typeof low === "number" && typeof high === "number";
    const said = chosen ? `${written(low)} to ${written(high)}` : "nothing selected";
    tell(node, { "aria-label": hand.trace.name ?? hand.control });
    tell(node, range(Math.min(...ends), Math.max(...ends), chosen ? (low + high) / 2 : Math.min(...ends), said));
  }

  // ---- keys -------------------------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event @param {string} key */
  press(event, key) {
    const hand = this.hands.hand(key);
    if (!hand || event.ctrlKey || event.metaKey || event.altKey) return;
    const { kind } = hand;
    const used =
      kind === "drag"
        ? this.drag(hand, event)
        : kind === "brush"
          ? this.brush(hand, event)
          : kind === "scrub"
            ? this.scrub(hand, event)
            : kind === "paint"
              ? this.paint(hand, event)
              : this.walk(hand, event);
    if (!used) return;
    event.preventDefault();
    this.mark(key);
    this.update();
  }

  /** @param {Hand} hand @param {KeyboardEvent} event @returns {boolean} */
  drag(hand, { key, shiftKey, timeStamp }) {
    const { hands } = this,
      axis = hands.axis(hand),
      row = hands.control(hand.control),
      point = hands.at(hand),
      count = size(hand.trace);
    const page = key === "PageUp" ? 1 : key === "PageDown" ? -1 : 0;
    if (page && hand.meta.index === undefined && count > 1) {
      hands.choose(hand, (point + page + count) % count, timeStamp);
      return true;
    }
    const way = FORWARDS.includes(key) ? 1 : BACKWARDS.includes(key) ? -1 : 0;
    const value = hands.options.getValues()[hand.control];
    if (row?.kind !== "points" && row?.stops?.length) {
      const next = amongStops(row.stops, value, key, shiftKey);
      if (next !== undefined) hands.input(hand.control, next, timeStamp);
      return next !== undefined;
    }
    const along = axis.id[0] === "x" ? /Right|Left/ : /Up|Down/;
    if (!way || !along.test(key)) return false;
    const id = hand.meta.ids?.[point] ?? point; // what was asked for is newer than what is shown
    const asked = Array.isArray(value) ? value.find(([other]) => other === id)?.[1] : undefined;
    hands.choose(hand, point, timeStamp);
    hands.set(hand, point, stepped(axis, asked ?? Number(hand.trace[axis.id[0]][point]), way, shiftKey), timeStamp);
    return true;
  }

  /** @param {Hand} hand @param {KeyboardEvent} event @returns {boolean} */
  scrub(hand, { key, shiftKey, timeStamp }) {
    const [low, high] = this.hands.ends(hand),
      now = this.hands.now(hand),
      stops = this.hands.control(hand.control)?.stops;
    const next = stops?.length ? amongStops(stops, now, key, shiftKey) : amongWhole(low, high, now, key, shiftKey);
    if (next !== undefined && next !== now) this.hands.input(hand.control, next, timeStamp);
    return next !== undefined;
  }

  // Arrows go from cell to cell; with Shift they paint what lies between, Enter and the space bar a single cell.
  /** @param {Hand} hand @param {KeyboardEvent} event @returns {boolean} */
  paint(hand, event) {
    const { hands } = this,
      { key, shiftKey, timeStamp } = event,
      from = hands.at(hand),
      before = [...(hands.options.getValues()[hand.control] ?? [])];
    if (key === "Enter" || key === " ") {
      this.stroke = undefined;
      hands.paint(hand, from, from, before, timeStamp);
      hands.commit();
      return true;
    }
    if (!this.walk(hand, event)) return false;
    if (!shiftKey) this.stroke = undefined;
    else {
      if (this.stroke?.key !== hand.key) this.stroke = { key: hand.key, from, before };
      hands.paint(hand, this.stroke.from, hands.at(hand), this.stroke.before, timeStamp);
    }
    return true;
  }

  // From point to point; of a heat map's cells up and down, too.
  /** @param {Hand} hand @param {KeyboardEvent} event @returns {boolean} */
  walk(hand, { key, timeStamp }) {
    const { trace, kind } = hand,
      count = size(trace),
      point = this.hands.at(hand);
    if (kind === "click" && (key === "Enter" || key === " ")) {
      this.hands.click(hand, point, timeStamp);
      return true;
    }
    const columns = trace.type === "heatmap" ? trace.z[0].length : 0;
    const [x, y] = axesOf(trace, /** @type {Geometry} */ (this.hands.options.getGeometry()));
    const right = columns ? Math.sign(x.slope) : 1,
      up = columns ? -Math.sign(y.slope) * columns : 1;
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: right, ArrowLeft: -right, ArrowUp: up, ArrowDown: -up, PageUp: 10, PageDown: -10 };
    const ends = { Home: 0, End: count - 1 };
    let next = key === "Home" || key === "End" ? ends[key] : point + (steps[key] ?? Number.NaN);
    if (Number.isNaN(next)) return false;
    const sideways = columns && (key === "ArrowRight" || key === "ArrowLeft");
    if (sideways && Math.floor(next / columns) !== Math.floor(point / columns)) next = point;
    if (columns && (next < 0 || next >= count)) next = point;
    this.hands.picked[hand.key] = Math.min(Math.max(next, 0), count - 1);
    return true;
  }

  // Left and right move what is selected, up and down make it wider and narrower.
  /** @param {Hand} hand @param {KeyboardEvent} event @returns {boolean} */
  brush(hand, { key, shiftKey, timeStamp }) {
    const axis = this.hands.axis(hand),
      row = this.hands.control(hand.control),
      way = FORWARDS.includes(key) ? 1 : BACKWARDS.includes(key) ? -1 : 0;
    if (!way) return false;
    const { left, right } = axis,
      [low, high] = this.hands.options.getValues()[hand.control] ?? [axis.invert(left), axis.invert(right)];
    const by = (/** @type {number} */ value, /** @type {number} */ side) => {
      if (row?.stops?.length) return row.stops.indexOf(value) < 0 ? value : nextStop(row.stops, value, side, shiftKey);
      const pixel = axis.scale(value) + side * (right - left) * (shiftKey ? 0.1 : 0.01);
      return bounded(axis.invert(Math.min(Math.max(pixel, left), right)));
    };
    const wider = key === "ArrowUp" || key === "ArrowDown";
    const next = [by(low, wider ? -way : way), by(high, way)];
    const kept = !wider && (next[0] === low || next[1] === high); // at an end it keeps its width
    if (next[0] < next[1] && !kept) this.hands.input(hand.control, next, timeStamp);
    return true;
  }
}

/** @param {Box} box */
const centre = ({ left, right, top, bottom }) => ({ px: (left + right) / 2, py: (top + bottom) / 2 });

/** @param {number} min @param {number} max @param {number} now @param {string} text */
const range = (min, max, now, text) => ({
  "aria-valuemin": Number(min.toPrecision(4)),
  "aria-valuemax": Number(max.toPrecision(4)),
  "aria-valuenow": Number(now.toPrecision(4)),
  "aria-valuetext": text,
});

// Sets attributes that have changed; undefined takes one away.
/** @param {HTMLElement} node @param {Record<string, any>} attributes */
function tell(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}
