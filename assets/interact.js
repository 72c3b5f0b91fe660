// Mouse, finger, pen and keys on a figure: what its traces say in `meta` becomes a change of a control.
import { Handles, handsOf } from "./handles.js";
import { nearest, place } from "./painter.js";
import { axesOf, cellAt, points, size } from "./plotting.js";
import { closest, painted, rectangle, turned, valueAt, withPoint } from "./values.js";

/**
 * @import { Hand } from "./handles.js"
 * @import { State } from "./painter.js"
 * @import { Figure, Geometry } from "./plotting.js"
 * @typedef {Record<string, any> & {name: string, kind: string, stops?: number[], shown?: string[]}} Control
 * @typedef {object} Options
 * @property {() => Figure | undefined} getFigure what is shown now
 * @property {() => Geometry | undefined} getGeometry where it is, as `paint` returned it
 * @property {() => Control[]} getControls the server's table
 * @property {() => Record<string, any>} getValues by the controls' names
 * @property {(control: string, value: any, time: number) => void} onInput while a gesture lasts
 * @property {() => void} onChange when it has ended
 * @property {() => boolean} isLocked true: no pointer, no key
 * @property {(state: State) => void} repaint draws the figure with what is pointed at
 *
 * @typedef {{hand: Hand, point: number, x: number, y: number, moved: boolean, anchor?: number, click?: Gesture,
 *   before?: number[]}} Gesture before: the cells that were painted when it began
 */

const REACH = 28; // pixels
/** @type {Record<string, number>} */
const CHOSEN = { mouse: 10, pen: 14, touch: 20 }; // how near the chosen dot it is the one that is taken
const STILL = 6; // pixels that a click may move
/** @type {Record<string, string>} */
const CURSORS = {
  drag: "grab",
  click: "pointer",
  paint: "cell",
  brush: "crosshair",
  scrub: "col-resize",
  read: "",
};

/**
 * Makes the figure on the canvas in `host` answer. Call `update` after each new figure: it keeps what can be focused,
 * and what is said of it to those who don't see it, true.
 *
 * @param {HTMLElement} host positioned, as large as the canvas in it
 * @param {Options} options
 * @returns {{update: () => void, follow: () => void, destroy: () => void, state: State}} follow: call it before a figure
 *   is drawn in which the value that is scrubbed may be another one
 */
export function attach(host, options) {
  const hands = new Hands(host, options);
  const { handles, state } = hands;
  return { update: () => handles.update(), follow: () => handles.follow(), destroy: () => hands.destroy(), state };
}

export class Hands {
  /** @param {HTMLElement} host @param {Options} options */
  constructor(host, options) {
    this.host = host;
    this.options = options;
    this.canvas = /** @type {HTMLCanvasElement} */ (host.querySelector("canvas"));
    /** @type {State} */
    this.state = {};
    /** @type {Record<string, number>} */
    this.picked = {}; // the point that each hand is at
    /** @type {Gesture | undefined} */
    this.gesture = undefined;
    this.changed = false; // since the last onChange
    this.handles = new Handles(host, this);
    /** @type {[EventTarget, string, (event: any) => void, any?][]} */
    this.listening = [
      [this.canvas, "pointerdown", (event) => this.press(event)],
      [this.canvas, "pointermove", (event) => this.move(event)],
      [this.canvas, "pointerup", (event) => this.release(event)],
      [this.canvas, "pointercancel", () => this.cancel()],
      [this.canvas, "pointerleave", (event) => event.pointerType === "touch" || this.point(undefined)],
      [this.canvas, "dblclick", (event) => this.selectAll(event)],
      [this.canvas, "touchstart", (event) => this.holds() && event.preventDefault(), { passive: false }],
      [host.ownerDocument, "pointerdown", (event) => event.composedPath().includes(this.host) || this.point(undefined)],
    ];
    for (const [target, type, listen, how] of this.listening) target.addEventListener(type, listen, how);
  }

  destroy() {
    for (const [target, type, listen] of this.listening) target.removeEventListener(type, listen);
    this.handles.destroy();
  }

  // What is shown.
  get all() {
    const figure = this.options.getFigure();
    return { figure, geometry: this.options.getGeometry(), list: figure ? handsOf(figure) : [] };
  }

  // What is shown, if it may be touched.
  get shown() {
    const { figure, geometry, list } = this.all;
    return figure && geometry && !this.options.isLocked() ? { figure, geometry, hands: list } : undefined;
  }

  /** @param {string} key */
  hand(key) {
    return this.shown?.hands.find((hand) => hand.key === key);
  }

  /** @param {string} name */
  control(name) {
    return this.options.getControls().find((control) => control.name === name);
  }

  // ---- points and their values ------------------------------------------------------------------------------------

  /** @param {Hand} hand */
  axis({ trace, meta }) {
    const [x, y] = axesOf(trace, /** @type {Geometry} */ (this.options.getGeometry()));
    return meta.axis === "y" ? y : x;
  }

  // The point that a hand is at: chosen by the reader or by the figure.
  /** @param {Hand} hand */
  at({ key, kind, trace, meta, control }) {
    const known = (/** @type {any} */ id) => (meta.ids ? meta.ids.indexOf(id) : id);
    const values = this.options.getValues(),
      moved = values[control]?.[0]?.[0];
    const candidates = [
      meta.index,
      kind === "paint" ? (this.picked[key] ?? meta.home) : undefined,
      meta.choose && known(values[meta.choose]),
      meta.choose && known(meta.chosen),
      this.picked[key],
      kind === "drag" && Array.isArray(values[control]) && known(moved),
      kind === "click" && [...(meta.values ?? trace.x ?? [])].indexOf(values[control]),
    ];
    return candidates.find((point) => Number.isInteger(point) && point >= 0 && point < size(trace)) ?? 0;
  }

  /** @param {Hand} hand @param {number} point @param {number} time */
  choose({ key, meta }, point, time) {
    this.picked[key] = point;
    const id = meta.ids?.[point] ?? point;
    if (meta.choose && this.options.getValues()[meta.choose] !== id) this.input(meta.choose, id, time);
  }

  /** @param {string} control @param {any} value @param {number} time */
  input(control, value, time) {
    this.changed = true;
    this.options.onInput(control, value, time);
  }

  commit() {
    if (this.changed) this.options.onChange();
    this.changed = false;
  }

  // Sets what a drag changes: a point in a list, or a number at the stop that is nearest on the axis.
  /** @param {Hand} hand @param {number} point @param {number} value @param {number} time */
  set(hand, point, value, time) {
    const { control, meta } = hand,
      row = this.control(control);
    if (meta.axis === "angle") this.input(control, turned(row?.stops ?? [], value, meta.turn), time);
    else if (row?.kind === "points") {
      this.input(control, withPoint(this.options.getValues()[control] ?? [], meta.ids?.[point] ?? point, value), time);
    } else {
      const axis = meta.axis === "radius" ? undefined : this.axis(hand);
      this.input(control, closest(row?.stops, value, axis), time);
    }
  }

  // What a pointer that drags makes of the control: a place on an axis, or an angle in degrees or a distance around 0, 0.
  /** @param {Hand} hand @param {PointerEvent} event */
  under(hand, { offsetX, offsetY }) {
    const axis = this.axis(hand),
      [x, y] = axesOf(hand.trace, /** @type {Geometry} */ (this.options.getGeometry()));
    const [across, up] = [x.invert(offsetX), y.invert(offsetY)];
    if (hand.meta.axis === "angle") return (Math.atan2(up, across) * 180) / Math.PI;
    if (hand.meta.axis === "radius") return Math.hypot(across, up);
    return valueAt(axis, axis.id[0] === "x" ? offsetX : offsetY);
  }

  // Between which values a control is scrubbed: the ends of the axis.
  /** @param {Hand} hand */
  ends(hand) {
    const { low, high } = this.axis(hand);
    return [Math.min(low, high), Math.max(low, high)].map(Math.round);
  }

  // Where the control that is scrubbed is.
  /** @param {Hand} hand */
  now(hand) {
    const [low, high] = this.ends(hand);
    return Math.min(Math.max(Number(this.options.getValues()[hand.control]) || 0, low), high);
  }

  // The same in pixels, halfway up.
  /** @param {Hand} hand */
  head(hand) {
    const [, y] = axesOf(hand.trace, /** @type {Geometry} */ (this.options.getGeometry()));
    return { px: this.axis(hand).scale(this.now(hand)), py: (y.top + y.bottom) / 2 };
  }

  /** @param {Hand} hand @param {PointerEvent} event */
  scrub(hand, { offsetX, timeStamp }) {
    const axis = this.axis(hand),
      [low, high] = this.ends(hand),
      stops = this.control(hand.control)?.stops;
    const value = Math.min(Math.max(Math.round(axis.invert(offsetX)), low), high);
    this.input(hand.control, stops?.length ? closest(stops, axis.invert(offsetX), axis) : value, timeStamp);
  }

  // A value under a pointer for a click.
  /** @param {Hand} hand @param {number} point */
  valueOf({ trace, meta, control }, point) {
    const across = trace.type === "heatmap" ? point % trace.z[0].length : point;
    const own = meta.values ? meta.values[point] : trace.x ? trace.x[across] : across;
    const row = this.control(control);
    if (typeof own !== "number") return own;
    const plain = Number(own.toPrecision(7)); // without the traces of 32 bits
    if (row?.kind === "choice")
      return row.choices.find((/** @type {any} */ choice) => String(choice) === String(plain)) ?? plain;
    return meta.values ? plain : closest(row?.stops, plain);
  }

  /** @param {Hand} hand @param {number} point @param {number} time */
  click(hand, point, time) {
    this.picked[hand.key] = point;
    const value = this.valueOf(hand, point);
    if (value === undefined) return;
    this.input(hand.control, value, time);
    this.commit();
  }

  // Chooses what is under a pointer that is drawn across cells.
  /** @param {Hand} hand @param {PointerEvent} event */
  sweep(hand, { offsetX, offsetY, timeStamp }) {
    const { figure, geometry } = /** @type {NonNullable<Hands["shown"]>} */ (this.shown);
    const hit = nearest(figure, geometry, offsetX, offsetY, { trace: hand.index, reach: REACH });
    const value = hit && this.valueOf(hand, hit.point);
    if (!hit || value === undefined || value === this.options.getValues()[hand.control]) return;
    this.picked[hand.key] = hit.point;
    this.input(hand.control, value, timeStamp);
  }

  // Paints the cells between two, or erases them where the first one was painted; the cell at home always stays.
  /** @param {Hand} hand @param {number} from @param {number} to @param {number[]} before @param {number} time */
  paint(hand, from, to, before, time) {
    const { trace, meta, control } = hand,
      id = (/** @type {number} */ point) => meta.ids?.[point] ?? point;
    this.picked[hand.key] = to;
    const cells = rectangle(from, to, trace.z[0].length).map(id);
    const value = painted(before, cells, from === meta.home || !before.includes(id(from)));
    if (String(value) !== String(this.options.getValues()[control])) this.input(control, value, time);
  }

  // The cell under a pointer; beyond the edge of the picture the one at the edge.
  /** @param {Hand} hand @param {PointerEvent} event */
  cell({ trace, index }, { offsetX, offsetY }) {
    const { figure, geometry } = /** @type {NonNullable<Hands["shown"]>} */ (this.shown);
    const [a, b] = [0, size(trace) - 1].map((corner) => place(figure, geometry, index, corner));
    const inside = (/** @type {number} */ pixel, /** @type {number} */ low, /** @type {number} */ high) =>
      Math.min(Math.max(pixel, low + 1), high - 1);
    const px = inside(offsetX, Math.min(a.left, b.left), Math.max(a.right, b.right)),
      py = inside(offsetY, Math.min(a.top, b.top), Math.max(a.bottom, b.bottom));
    return cellAt(trace, geometry, px, py);
  }

  // ---- pointers ---------------------------------------------------------------------------------------------------

  // The dot of a draggable trace that a pointer takes.
  /** @param {Hand} hand @param {PointerEvent} event @returns {{point: number, distance: number} | undefined} */
  takes(hand, { offsetX: px, offsetY: py, pointerType }) {
    const { figure, geometry } = /** @type {NonNullable<Hands["shown"]>} */ (this.shown);
    const chosen = this.at(hand),
      { left, top } = place(figure, geometry, hand.index, chosen);
    if (Math.hypot(px - left, py - top) <= (CHOSEN[pointerType] ?? CHOSEN.mouse)) return { point: chosen, distance: 0 };
    const { count, px: xs, py: ys } = points(hand.trace, geometry),
      across = hand.meta.axis === "y";
    let best;
    for (let i = 0; i < count; i += 1) {
      if ((hand.meta.index ?? i) !== i) continue;
      const dx = Math.abs(xs[i] - px),
        dy = Math.abs(ys[i] - py),
        [along, aside] = across ? [dy, dx] : [dx, dy];
      const distance = Math.hypot(dx, dy);
      if (along < REACH && aside <= REACH && distance < (best?.distance ?? Number.POSITIVE_INFINITY))
        best = { point: i, distance };
    }
    return best;
  }

  // What a pointer would take hold of.
  /** @param {PointerEvent} event @returns {Gesture | undefined} */
  find(event) {
    const { shown } = this,
      { offsetX: x, offsetY: y } = event;
    if (!shown) return undefined;
    /** @type {{hand: Hand, point: number, distance: number}[]} */
    const found = [];
    for (const hand of shown.hands) {
      if (hand.kind === "brush" || hand.kind === "scrub" || hand.kind === "read") continue;
      const hit =
        hand.kind === "drag"
          ? this.takes(hand, event)
          : nearest(shown.figure, shown.geometry, x, y, { trace: hand.index, reach: REACH });
      if (hit) found.push({ hand, ...hit, distance: hit.distance + (hand.kind === "drag" ? 0 : REACH * 2) }); // drags first
    }
    const best = found.sort((a, b) => a.distance - b.distance)[0];
    const taken = best && { hand: best.hand, point: best.point, x, y, moved: false };
    const wide = shown.hands.find((hand) => {
      if (hand.kind !== "brush" && hand.kind !== "scrub") return false;
      const box = this.axis(hand),
        [, down] = axesOf(hand.trace, shown.geometry);
      return x >= box.left - 8 && x <= box.right + 8 && y >= down.top && y <= down.bottom;
    });
    if (!wide || taken?.hand.kind === "drag") return taken;
    return { hand: wide, point: 0, x, y, moved: false, click: wide.kind === "brush" ? taken : undefined };
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button || event.isPrimary === false) return;
    const gesture = this.find(event);
    this.point(gesture && ["drag", "paint"].includes(gesture.hand.kind) ? undefined : event);
    if (!gesture) return;
    const { hand, point } = gesture;
    this.gesture = gesture;
    if (hand.kind === "click") {
      if (hand.meta.sweep) this.canvas.setPointerCapture(event.pointerId);
      return; // the page may still be scrolled from here
    }
    event.preventDefault();
    this.handles.focus(hand.key);
    this.canvas.setPointerCapture(event.pointerId);
    if (hand.kind === "drag") {
      this.choose(hand, point, event.timeStamp);
      this.options.repaint(this.state);
      return;
    }
    if (hand.kind === "paint") {
      gesture.before = [...(this.options.getValues()[hand.control] ?? [])];
      this.paint(hand, point, point, gesture.before, event.timeStamp);
      return;
    }
    if (hand.kind === "scrub") {
      if (event.pointerType !== "touch") this.scrub(hand, event); // a finger may be about to scroll the page
      return;
    }
    const [low, high] = this.options.getValues()[hand.control] ?? [],
      axis = this.axis(hand);
    const near = (/** @type {any} */ value) =>
      typeof value === "number" && Math.abs(axis.scale(value) - gesture.x) <= (CHOSEN[event.pointerType] ?? 10);
    gesture.anchor = near(low) ? axis.scale(high) : near(high) ? axis.scale(low) : gesture.x; // the end that stays
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { gesture } = this,
      hand = gesture && this.hand(gesture.hand.key);
    if (!gesture || !hand) {
      if (event.pointerType === "touch" && !event.buttons) return;
      const kind = this.find(event)?.hand.kind;
      this.canvas.style.cursor = kind ? CURSORS[kind] : "";
      this.point(event);
      return;
    }
    const dx = event.offsetX - gesture.x,
      dy = hand.kind === "brush" || hand.kind === "scrub" ? 0 : event.offsetY - gesture.y;
    gesture.moved ||= Math.hypot(dx, dy) > STILL;
    if (hand.kind === "drag") {
      this.set(hand, gesture.point, this.under(hand, event), event.timeStamp);
    } else if (hand.kind === "paint") {
      const to = this.cell(hand, event);
      if (to >= 0) this.paint(hand, gesture.point, to, gesture.before ?? [], event.timeStamp);
    } else if (hand.kind === "brush" && gesture.moved) {
      this.select(hand, gesture.anchor ?? gesture.x, event.offsetX, event.timeStamp);
      this.point(event);
    } else if (hand.kind === "click" && hand.meta.sweep) {
      if (gesture.moved) this.sweep(hand, event);
      this.point(event);
    } else {
      if (hand.kind === "scrub" && (gesture.moved || event.pointerType !== "touch")) this.scrub(hand, event);
      this.point(event);
    }
  }

  /** @param {PointerEvent} event */
  release(event) {
    const { gesture } = this;
    this.gesture = undefined;
    const clicked = gesture?.hand.kind === "click" ? gesture : gesture?.click;
    const hand = clicked && this.hand(clicked.hand.key);
    if (hand && !gesture?.moved) {
      this.handles.focus(hand.key);
      this.click(hand, clicked.point, event.timeStamp);
    } else if (gesture?.hand.kind === "scrub" && !gesture.moved && event.pointerType === "touch") {
      const touched = this.hand(gesture.hand.key);
      if (touched) this.scrub(touched, event);
    }
    this.commit();
  }

  cancel() {
    this.gesture = undefined;
    this.point(undefined);
    this.commit();
  }

  // While a point is dragged up or down, or cells are painted, the page stays where it is.
  holds() {
    const { kind, meta } = this.gesture?.hand ?? { kind: "", meta: {} };
    return kind === "paint" || (kind === "drag" && (meta.axis ?? "x") !== "x");
  }

  /** @param {Hand} hand @param {number} a @param {number} b pixels @param {number} time */
  select({ control, trace, meta }, a, b, time) {
    const axis = this.axis(/** @type {Hand} */ ({ trace, meta })),
      { stops } = this.control(control) ?? {};
    const ends = [a, b].map((pixel) => Math.min(Math.max(pixel, axis.left), axis.right)).sort((c, d) => c - d);
    const range = ends.map((pixel) => closest(stops, axis.invert(pixel), axis)).sort((c, d) => c - d);
    if (range[0] < range[1]) this.input(control, range, time);
  }

  /** @param {MouseEvent} event */
  selectAll(event) {
    const hand = this.find(/** @type {PointerEvent} */ (event))?.hand;
    if (hand?.kind !== "brush") return;
    this.select(hand, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, event.timeStamp);
    this.commit();
  }

  // Shows the values under a place, or no longer.
  /** @param {{offsetX: number, offsetY: number} | undefined} event */
  point(event) {
    const hover = event && this.shown ? { px: event.offsetX, py: event.offsetY } : undefined;
    if (hover === this.state.hover) return;
    this.state.hover = hover;
    this.options.repaint(this.state);
  }
}
