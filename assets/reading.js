// Reads a figure: what is under a pixel, and its exact values in words.
import { BLUE } from "./marks.js";
import { written } from "./numbers.js";
import { at, axesOf, barBox, cellAt, isShown, place, points, size } from "./plotting.js";

/**
 * @import { Axis, Figure, Geometry, Trace } from "./plotting.js"
 * @typedef {{colour: string, name: string, text: string, px: number, py: number, trace: number, point: number}} Row
 * @typedef {{title: string, rows: Row[], guide: number | undefined, axis: Axis}} Readout guide: pixel of the x they share
 */

const READ = 24,
  SHARED = 12; // pixels: how near a dot must be to be read; how far from the guide a curve's point may be

/**
 * The point, bar or cell next to a pixel.
 * @param {Figure} figure @param {Geometry} places @param {number} px @param {number} py
 * @param {{trace?: number, reach?: number}} [only] the trace to look at; how far away it may be
 * @returns {{trace: number, point: number, distance: number} | undefined}
 */
export function nearest(figure, places, px, py, { trace: only, reach = 28 } = {}) {
  /** @type {{trace: number, point: number, distance: number} | undefined} */
  let best;
  figure.data.forEach((trace, index) => {
    if (!isShown(trace) || (only ?? index) !== index) return;
    const offer = (/** @type {number} */ point, /** @type {number} */ distance) => {
      if (distance < (best?.distance ?? reach)) best = { trace: index, point, distance };
    };
    if (trace.type === "scatter") {
      const all = points(trace, places);
      for (let i = 0; i < all.count; i += 1) offer(i, Math.hypot(all.px[i] - px, all.py[i] - py));
    } else if (trace.type === "bar") {
      for (let i = 0; i < size(trace); i += 1) {
        const { left, right, top, bottom } = barBox(trace, places, i);
        offer(i, Math.hypot(Math.max(left - px, 0, px - right), Math.max(top - py, 0, py - bottom)));
      }
    } else if (trace.type === "heatmap" && cellAt(trace, places, px, py) >= 0) offer(cellAt(trace, places, px, py), 0);
  });
  return best;
}

/**
 * The exact values under a pixel: of a cell, of the nearest dot, of all curves and bars at this x.
 * @param {Figure} figure @param {Geometry} places @param {number} px @param {number} py
 * @returns {Readout | undefined}
 */
export function readout(figure, places, px, py) {
  /** @type {{trace: number, point: number, px: number, py: number, away: number}[]} */
  const found = [];
  figure.data.forEach((trace, index) => {
    const [x, y] = axesOf(trace, places);
    if (!isShown(trace) || trace.hoverinfo === "skip") return;
    if (px < x.left - 8 || px > x.right + 8 || py < y.top - 8 || py > y.bottom + 8) return;
    const [point, away] = hit(figure, places, index, px, py);
    if (point < 0) return;
    const { left, right, top, bottom } = place(figure, places, index, point);
    const tip = trace.type === "heatmap" ? (top + bottom) / 2 : trace.y?.[point] < 0 ? bottom : top;
    found.push({ trace: index, point, px: (left + right) / 2, py: tip, away });
  });
  if (!found.length) return undefined;
  const lead = found.reduce((a, b) => (b.away < a.away ? b : a)),
    { title } = words(figure, places, lead.trace, lead.point);
  const cells = figure.data[lead.trace].type === "heatmap",
    [axis] = axesOf(figure.data[lead.trace], places);
  const told = figure.data[lead.trace].meta?.says?.[lead.point]; // where Python has words for it, those
  if (told) return { title: told, rows: [], guide: undefined, axis };
  const rows = found
    .filter((each) => Math.abs(each.px - lead.px) <= SHARED)
    .map((each) => {
      const own = figure.data[each.trace],
        [x, y] = axesOf(own, places);
      const elsewhere = Math.abs(each.px - lead.px) > 0.5 ? ` at ${worded(x, coordinateOf(own, x, each.point))}` : "";
      return {
        ...each,
        colour: tint(own, each.point),
        name: own.name ?? "",
        text: said(own, y, each.point) + elsewhere,
      };
    });
  return { title, rows, guide: cells ? undefined : lead.px, axis };
}

/**
 * One point, bar or cell in words: where it is, and what is read there.
 * @param {Figure} figure @param {Geometry} places @param {number} index @param {number} point
 */
export function words(figure, places, index, point) {
  const trace = figure.data[index],
    axes = axesOf(trace, places);
  const title = axes.slice(0, trace.type === "heatmap" ? 2 : 1).map((axis) => {
    const name = axis.says.title?.text;
    return `${name ? `${name}: ` : ""}${worded(axis, coordinateOf(trace, axis, point))}`;
  });
  return { title: title.join(", "), text: said(trace, axes[1], point) };
}

// Which point of a trace is meant by a pixel (or -1), and how far it is: dots come before curves.
/** @param {Figure} figure @param {Geometry} places @param {number} index @param {number} px @param {number} py */
function hit(figure, places, index, px, py) {
  const trace = figure.data[index];
  if (trace.type === "heatmap") {
    const cell = cellAt(trace, places, px, py),
      columns = trace.z[0].length;
    const empty = cell >= 0 && Number.isNaN(trace.z[Math.floor(cell / columns)][cell % columns]) && !trace.meta?.says;
    return [empty ? -1 : cell, 0];
  }
  if (trace.fill === "toself") {
    // Outlines lie above each other: the nearest one is meant, however far it is.
    const corner = nearest(figure, places, px, py, { trace: index, reach: Number.POSITIVE_INFINITY });
    return corner ? [corner.point, corner.distance / READ] : [-1, 0];
  }
  if (trace.type === "scatter" && !(trace.mode ?? "lines").includes("lines")) {
    const dot = nearest(figure, places, px, py, { trace: index, reach: READ });
    return dot ? [dot.point, dot.distance / READ] : [-1, 0];
  }
  let best = -1,
    distance = Number.POSITIVE_INFINITY;
  const all = trace.type === "scatter" && points(trace, places);
  for (let i = 0; i < size(trace); i += 1) {
    const { left, right, top } = all ? { left: all.px[i], right: all.px[i], top: all.py[i] } : barBox(trace, places, i);
    const away = Math.max(left - px, px - right, 0);
    if (!Number.isNaN(top) && away < distance) [best, distance] = [i, away];
  }
  return trace.type === "bar" && distance > 0 ? [-1, 0] : [best, distance];
}

/** @param {Trace} trace @param {Axis} axis @param {number} point */
function coordinateOf({ type, z, ...trace }, { id }, point) {
  const columns = z?.[0].length,
    i = type !== "heatmap" ? point : id[0] === "x" ? point % columns : Math.floor(point / columns);
  return trace[id[0]] ? trace[id[0]][i] : i;
}

// A value of an axis in words: those of its tick, where it is one.
/** @param {Axis} axis @param {any} value */
function worded({ says, position }, value) {
  const tick = [...says.tickvals].findIndex((each) => position(each) === position(value));
  return (tick >= 0 && says.ticktext[tick]) || (typeof value === "number" ? written(value) : String(value));
}

/** @param {Trace} trace @param {number} point */
const tint = ({ mode = "lines", line, marker }, point) =>
  (mode.includes("lines") && line?.color) || at(marker?.color, point) || line?.color || BLUE;

// What is read of a point: the trace's own words for it, or its value.
/** @param {Trace} trace @param {Axis} axis @param {number} point */
function said(trace, axis, point) {
  const { z, hovertemplate, text, customdata, mode = "" } = trace,
    columns = z?.[0].length;
  const value = z ? z[Math.floor(point / columns)][point % columns] : undefined;
  if (!hovertemplate)
    return !mode.includes("text") && at(text, point)
      ? String(at(text, point))
      : z
        ? written(value)
        : worded(axis, trace.y[point]);
  const parts = {
    x: trace.x?.[point],
    y: trace.y?.[point],
    z: value,
    text: at(text, point),
    customdata: customdata?.[point],
  };
  const words = String(at(hovertemplate, point))
    .replace(/<extra>.*<\/extra>/, "")
    .replace(/<br>/g, ", ");
  return words.replace(/%\{(\w+)(?:\[(\d+)\])?(?::[,]?\.?(\d*)([fge%]?))?\}/g, (_, name, k, digits, kind) => {
    const part = /** @type {Record<string, any>} */ (parts)[name],
      one = k === undefined ? part : part[k];
    if (typeof one !== "number" || !kind) return typeof one === "number" ? written(one) : String(one ?? "");
    return kind === "f"
      ? one.toFixed(digits || 6)
      : kind === "%"
        ? `${(100 * one).toFixed(digits || 6)}%`
        : written(one);
  });
}
