// Where things are in a figure: from data and sizes alone, without a page.
import { AXIS, isList, key, validate } from "./scheme.js";

/**
 * @typedef {Record<string, any>} Trace
 * @typedef {{data: Trace[], layout: Record<string, any>}} Figure in Plotly's schema, as far as schema.json goes
 *
 * An axis in its place. pixel = offset + slope * position, and the position of a value is the value itself, its
 * logarithm to base 10 or the index of its category. from and to are the pixels of the range's ends low and high;
 * left, right, top and bottom those of the subplot; first: at the edge of the figure, with labels on that side.
 * scale: value to pixel, NaN where there is none; invert: pixel to value, of categories to an index with a fraction.
 * @typedef {{id: string, type: "linear" | "log" | "category", low: number, high: number, from: number, to: number,
 *   slope: number, offset: number, left: number, right: number, top: number, bottom: number, first: boolean,
 *   side: "left" | "right" | "top" | "bottom", position: (value: any) => number, scale: (value: any) => number,
 *   invert: (pixel: number) => number, ticks: Tick[], says: Record<string, any>}} Axis
 * @typedef {{at: number, text: string, shown: boolean, value: any}} Tick
 * @typedef {{trace: number, x: number, y: number, width: number, text: string}} Entry of the legend; y is its middle
 * @typedef {{left: number, top: number, right: number, bottom: number}} Box
 * @typedef {{axes: Record<string, Axis>, legend: Entry[], box: Box, width: number, height: number}} Geometry
 * @typedef {{count: number, px: Float64Array, py: Float64Array}} Points
 */

export const TEXT = 13,
  SMALL = 12;
const LEGEND_LINE = 22,
  SWATCH = 26,
  GAP = 16;
const FAR = 1e5; // pixels: what is farther out is drawn there

// ---- places -------------------------------------------------------------------------------------------------------

const NARROWEST = /[iIjl.,:;'|!´` ·]/,
  WIDEST = /[mwMW@%—…×→←≥≤]/,
  CAPITALS = /[A-ZΔΣ]/;

/**
 * About how wide a text is, without a page to measure it on; rather too wide than too narrow.
 * @param {string} text @param {number} size
 */
export function breadth(text, size = SMALL) {
  let sum = 0;
  for (const c of text) sum += NARROWEST.test(c) ? 0.31 : WIDEST.test(c) ? 0.92 : CAPITALS.test(c) ? 0.7 : 0.57;
  return sum * size;
}

/** @param {Trace} trace */
export const isShown = (trace) => trace.visible !== false && trace.visible !== "legendonly";

/** @type {WeakMap<Figure, Geometry>} */
const latest = new WeakMap();

/**
 * Where everything is in a figure of that size.
 * @param {Figure} figure @param {number} width @param {number} height @returns {Geometry}
 */
export function geometry(figure, width, height) {
  const known = latest.get(figure);
  if (known && known.width === width && known.height === height) return known;
  validate(figure);
  const { layout } = figure;
  const names = Object.keys(layout).filter((name) => AXIS.test(name));
  const legend = layout.showlegend ? entries(figure, width) : [];
  const rows = new Set(legend.map(({ y }) => y)).size;
  const margin = layout.margin ?? {};
  const edges = { left: 8, right: 14, top: 10, bottom: 8 };
  for (const name of names) {
    const { side, first, room } = demand(layout, name);
    if (first) edges[side] = Math.max(edges[side], room);
  }
  const box = {
    left: Math.max(edges.left, margin.l ?? 0),
    right: width - Math.max(edges.right, margin.r ?? 0),
    top: Math.max(edges.top, margin.t ?? 0),
    bottom: height - Math.max(edges.bottom, margin.b ?? 0) - (rows ? rows * LEGEND_LINE + 6 : 0),
  };
  for (const entry of legend) entry.y += height - rows * LEGEND_LINE - 2;
  /** @type {Record<string, Axis>} */
  const axes = {};
  for (const name of names) {
    const made = axis(figure, name, box);
    axes[made.id] = made;
    made.ticks = ticks(made, width);
  }
  const made = { axes, legend, box, width, height };
  latest.set(figure, made);
  return made;
}

/**
 * The room that an axis needs beside the plots, if it is the first one at the figure's edge; and the axis it stands on.
 * @param {Record<string, any>} layout @param {string} name
 * @returns {{side: Axis["side"], first: boolean, room: number, other: Record<string, any> | undefined}}
 */
function demand(layout, name) {
  const says = layout[name],
    id = name[0] + name.slice(5);
  const side = says.side ?? (id[0] === "x" ? "bottom" : "left");
  const other = layout[key(says.anchor ?? (id[0] === "x" ? "y" : "x"))],
    domain = other?.domain ?? [0, 1];
  const first = side === "bottom" || side === "left" ? domain[0] < 0.02 : domain[1] > 0.98;
  const labels = says.visible !== false && says.showticklabels !== false;
  const titled = says.visible !== false && says.title?.text ? 20 : 0;
  let room = titled + (labels ? 22 : 4);
  if (id[0] === "y") {
    let widest = 0;
    if (labels) for (const text of says.ticktext) widest = Math.max(widest, breadth(String(text)));
    room = 8 * Math.ceil((titled + (labels ? widest + 12 : 4)) / 8); // in steps, so that plots don't tremble
  }
  return { side, first, room, other };
}

/** @param {Figure} figure @param {string} name @param {Box} box @returns {Axis} */
function axis({ data, layout }, name, box) {
  const says = layout[name],
    id = name[0] + name.slice(5),
    across = id[0] === "x";
  const { side, first, other } = demand(layout, name),
    type = says.type ?? "linear";
  const extent = (/** @type {string} */ letter, /** @type {any} */ of) => {
    const [a, b] = of?.domain ?? [0, 1];
    const along = letter === "x" ? box.right - box.left : box.top - box.bottom;
    const start = letter === "x" ? box.left : box.bottom;
    return [start + a * along, start + b * along];
  };
  const { left, right, bottom, top } = evened(
    across ? [says, other] : [other, says],
    extent("x", across ? says : other),
    extent("y", across ? other : says),
  );
  const [from, to] = across ? [left, right] : [bottom, top];
  const [low, high] = [Number(says.range[0]), Number(says.range[1])];
  const slope = (to - from) / (high - low),
    offset = from - slope * low;
  /** @type {Map<any, number>} */
  const places = new Map();
  if (type === "category") {
    for (const each of says.categoryarray ?? []) places.set(each, places.size);
    for (const trace of data) {
      if ((trace[`${id[0]}axis`] ?? id[0]) !== id) continue;
      for (const each of trace[id[0]] ?? [])
        if (typeof each === "string" && !places.has(each)) places.set(each, places.size);
    }
  }
  const position =
    type === "log"
      ? (/** @type {number} */ value) => (value > 0 ? Math.log10(value) : NaN)
      : type === "category"
        ? (/** @type {any} */ value) => places.get(value) ?? (typeof value === "number" ? value : NaN)
        : (/** @type {any} */ value) => (value === null ? NaN : Number(value));
  return {
    id,
    type,
    low,
    high,
    from,
    to,
    slope,
    offset,
    left,
    right,
    top,
    bottom,
    says,
    position,
    first,
    side,
    scale: (value) => offset + slope * position(value),
    invert: (pixel) => (type === "log" ? 10 ** ((pixel - offset) / slope) : (pixel - offset) / slope),
    ticks: [],
  };
}

/**
 * A subplot's edges. Where y has a scaleanchor, a unit is as long on both axes: one of them becomes shorter, around its
 * middle, as in Plotly with constrain = domain.
 * @param {(Record<string, any> | undefined)[]} axes x and y @param {number[]} across @param {number[]} down from the bottom
 */
function evened([x, y], [left, right], [bottom, top]) {
  if (!x || !y?.scaleanchor) return { left, right, bottom, top };
  const [units, others] = [x, y].map(({ range }) => Math.abs(range[1] - range[0]));
  const pixels = Math.min((right - left) / units, (bottom - top) / others);
  const [column, row] = [(left + right) / 2, (bottom + top) / 2];
  const [wide, tall] = [(pixels * units) / 2, (pixels * others) / 2];
  return { left: column - wide, right: column + wide, bottom: row + tall, top: row - tall };
}

/**
 * An axis' ticks inside its range. Labels that would touch each other are thinned: every second, every fourth …
 * @param {Axis} axis @param {number} width
 */
function ticks(axis, width) {
  const { says, from, to } = axis,
    across = axis.id[0] === "x";
  const [start, end] = [Math.min(from, to) - 0.5, Math.max(from, to) + 0.5];
  const found = Array.from(says.tickvals, (/** @type {any} */ value, i) => ({
    value,
    at: axis.scale(value),
    text: String(says.ticktext[i] ?? ""),
    shown: true,
  })).filter(({ at }) => at >= start && at <= end);
  const labelled = found.filter(({ text }) => text).sort((a, b) => a.at - b.at);
  const zero = Math.max(
    0,
    labelled.findIndex(({ value }) => value === 0),
  );
  const extents = labelled.map(({ at, text }) => {
    if (!across) return [at - SMALL / 2, at + SMALL / 2];
    const half = breadth(text) / 2,
      middle = Math.min(Math.max(at, half + 2), width - half - 2);
    return [middle - half, middle + half];
  });
  for (let every = 1; every < 2 * labelled.length; every *= 2) {
    let end = -Infinity,
      fits = true;
    labelled.forEach((tick, i) => {
      tick.shown = i % every === zero % every;
      if (!tick.shown) return;
      fits &&= extents[i][0] >= end + (across ? 7 : 2);
      end = extents[i][1];
    });
    if (fits) break;
  }
  return found;
}

/**
 * The legend's entries in rows; y counts from the top of the legend.
 * @param {Figure} figure @param {number} width
 */
function entries({ data }, width) {
  /** @type {Entry[]} */
  const made = [];
  let x = 8,
    y = LEGEND_LINE / 2;
  data.forEach((trace, i) => {
    if (trace.visible === false || trace.showlegend === false || !trace.name) return;
    const wide = SWATCH + 6 + breadth(trace.name, TEXT);
    if (x > 8 && x + wide > width - 4) [x, y] = [8, y + LEGEND_LINE];
    made.push({ trace: i, x, y, width: Math.min(wide, width - 16), text: trace.name });
    x += wide + GAP;
  });
  return made;
}

/** @param {Trace} trace @param {Geometry} geometry @returns {[Axis, Axis]} */
export const axesOf = (trace, { axes }) => [axes[trace.xaxis ?? "x"], axes[trace.yaxis ?? "y"]];

// Along which axis a trace's points are dragged: there they never leave the frame, so that they can be taken again.
const held = (/** @type {Trace} */ trace) => (trace.meta?.drag ? (trace.meta.axis ?? "x") : "");

/**
 * The pixels of a trace's coordinates along one axis, written into `into`.
 * @param {Trace} trace @param {Axis} axis @param {Float64Array} into @param {number} count
 */
function pixels(trace, axis, into, count) {
  const letter = axis.id[0],
    values = trace[letter];
  const { slope, offset, position, type } = axis;
  const plain = type === "linear" && ArrayBuffer.isView(values);
  const keep = held(trace) === letter;
  const lowest = keep ? Math.min(axis.from, axis.to) : -FAR,
    highest = keep ? Math.max(axis.from, axis.to) : FAR;
  const under = axis.from - 10 * (axis.to - axis.from); // as in Plotly, lines to what has no logarithm leave the plot
  for (let i = 0; i < count; i += 1) {
    const value = values ? /** @type {any} */ (values)[i] : i;
    const pixel =
      type === "log" && value !== null && value <= 0 ? under : offset + slope * (plain ? value : position(value));
    into[i] = Math.min(Math.max(pixel, lowest), highest);
  }
  return into;
}

/** @param {Trace} trace */
export function size({ type, x, y, z }) {
  if (type === "image") return 0; // a picture has no points to read or to take hold of
  return type === "heatmap" ? z.length * (z[0]?.length ?? 0) : Math.min((x ?? y).length, (y ?? x).length);
}

/** @param {any} value @param {number} i */
export const at = (value, i) => (isList(value) ? value[i] : value);

/**
 * The edges of a heat map's cells along an axis, in positions: halfway between their centres.
 * @param {any} centres @param {number} count @param {Axis} axis
 */
export function cellEdges(centres, count, axis) {
  const places = Array.from({ length: centres ? centres.length : count }, (_, i) =>
    centres ? axis.position(centres[i]) : i,
  );
  if (places.length === count + 1) return places;
  if (count === 1) return [places[0] - 0.5, places[0] + 0.5];
  const inner = places.slice(1).map((place, i) => (place + places[i]) / 2);
  return [2 * places[0] - inner[0], ...inner, 2 * places[count - 1] - inner[count - 2]];
}

/**
 * A bar's edges in pixels. Its width is in the axis' own units: of a logarithmic axis in values.
 * @param {Trace} trace @param {Geometry} geometry @param {number} i @returns {Box}
 */
export function barBox(trace, geometry, i) {
  const [x, y] = axesOf(trace, geometry),
    base = at(trace.base, i) ?? 0;
  const middle = x.type === "category" ? x.position(trace.x[i]) : trace.x[i],
    half = (at(trace.width, i) ?? spacing(trace, x)) / 2;
  const [a, b] = [x.scale(middle - half), x.scale(middle + half)],
    end = y.scale(base + Number(trace.y[i]));
  const floor = y.scale(base),
    foot = Number.isNaN(floor) ? y.from : floor; // there is no zero on a logarithmic axis
  return { left: Math.min(a, b), right: Math.max(a, b), top: Math.min(foot, end), bottom: Math.max(foot, end) };
}

/** @type {WeakMap<any, number>} */
const spacings = new WeakMap();

/** @param {Trace} trace @param {Axis} axis */
function spacing({ x }, axis) {
  let least = spacings.get(x) ?? Infinity;
  if (least < Infinity) return least;
  const places = Array.from(x, (value) => (axis.type === "category" ? axis.position(value) : Number(value))).sort(
    (a, b) => a - b,
  );
  for (let i = 1; i < places.length; i += 1)
    if (places[i] > places[i - 1]) least = Math.min(least, places[i] - places[i - 1]);
  spacings.set(x, least < Infinity ? least : 1);
  return least < Infinity ? least : 1;
}

/**
 * The box of a point (which has no extent), bar or cell (counted row by row) in pixels.
 * @param {Figure} figure @param {Geometry} geometry @param {number} index of the trace @param {number} point
 * @returns {Box}
 */
export function place({ data }, geometry, index, point) {
  const trace = data[index],
    [x, y] = axesOf(trace, geometry);
  if (trace.type === "bar") return barBox(trace, geometry, point);
  if (trace.type === "heatmap") {
    const columns = trace.z[0].length,
      pixel = (/** @type {Axis} */ axis) => (/** @type {number} */ at) => axis.offset + axis.slope * at;
    const [a, b] = cellEdges(trace.x, columns, x)
      .slice(point % columns)
      .map(pixel(x));
    const [c, d] = cellEdges(trace.y, trace.z.length, y)
      .slice(Math.floor(point / columns))
      .map(pixel(y));
    return { left: Math.min(a, b), right: Math.max(a, b), top: Math.min(c, d), bottom: Math.max(c, d) };
  }
  const { px, py } = points(trace, geometry);
  return { left: px[point], right: px[point], top: py[point], bottom: py[point] };
}

/**
 * Which cell of a heat map is under a pixel, or -1.
 * @param {Trace} trace @param {Geometry} geometry @param {number} px @param {number} py
 */
export function cellAt(trace, geometry, px, py) {
  const [x, y] = axesOf(trace, geometry),
    columns = trace.z[0].length;
  const find = (
    /** @type {any} */ centres,
    /** @type {number} */ count,
    /** @type {Axis} */ axis,
    /** @type {number} */ pixel,
  ) => {
    const at = (pixel - axis.offset) / axis.slope,
      edges = cellEdges(centres, count, axis);
    return edges.findIndex((edge, i) => i < count && (at - edge) * (at - edges[i + 1]) <= 0);
  };
  const column = find(trace.x, columns, x, px),
    row = find(trace.y, trace.z.length, y, py);
  return column < 0 || row < 0 ? -1 : row * columns + column;
}

const buffers = [new Float64Array(0), new Float64Array(0)];

/**
 * Both coordinates of every point; the arrays are used again by the next call.
 * @param {Trace} trace @param {Geometry} geometry @returns {Points}
 */
export function points(trace, geometry) {
  const count = size(trace),
    [x, y] = axesOf(trace, geometry);
  for (const i of [0, 1]) if (buffers[i].length < count) buffers[i] = new Float64Array(2 * count);
  return { count, px: pixels(trace, x, buffers[0], count), py: pixels(trace, y, buffers[1], count) };
}
