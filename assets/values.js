// What a pointer or a key makes of a value: along an axis, in a list of points, from stop to stop.

/** @import { Axis } from "./plotting.js" */

const MOST_MOVED = 8,
  FARTHEST = 1e6;
export const FORWARDS = ["ArrowRight", "ArrowUp"],
  BACKWARDS = ["ArrowLeft", "ArrowDown"];

/** @param {number} value */
export const bounded = (value) => Math.max(-FARTHEST, Math.min(FARTHEST, Number(value.toPrecision(4))));

/**
 * The value of an axis under a pixel. Beyond the frame a pixel is worth more and more: "very far" is within reach.
 *
 * @param {Axis} axis
 * @param {number} pixel
 */
export function valueAt(axis, pixel) {
  const edge = Math.min(Math.max(pixel, Math.min(axis.from, axis.to)), Math.max(axis.from, axis.to));
  const value = axis.invert(edge),
    outwards = Math.sign(value - axis.invert(axis.from + axis.to - edge));
  if (edge === pixel || axis.type !== "linear" || Math.sign(value) !== outwards) return axis.invert(pixel);
  return value * Math.exp(Math.abs(pixel - edge) / 40);
}

/**
 * Where a key takes a value: out of the frame, steps grow with the distance.
 *
 * @param {Axis} axis
 * @param {number} value
 * @param {number} way 1 or -1
 * @param {boolean} fast
 */
export function stepped(axis, value, way, fast) {
  const unit = Math.abs(axis.high - axis.low) / 12.25,
    far = (fast ? 1 : 0.1) * way;
  if (axis.type === "log") return value * 10 ** (far * unit);
  const outside = (value - axis.low) * (value - axis.high) > 0;
  return value + far * (outside ? Math.abs(value) : unit);
}

/**
 * A list of moved points with one more: at most eight, by their number.
 *
 * @param {[number, number][]} moved
 * @param {number} id
 * @param {number} value
 */
export function withPoint(moved, id, value) {
  const others = moved.filter(([other]) => other !== id);
  return [...others, [id, bounded(value)]].slice(-MOST_MOVED).sort((a, b) => a[0] - b[0]);
}

/**
 * The stop that is next to a value, on the axis if there is one; without stops the value itself, to four digits.
 *
 * @param {number[] | undefined} stops
 * @param {number} value
 * @param {Axis} [axis]
 */
export function closest(stops, value, axis) {
  if (!stops?.length) return axis ? bounded(value) : value;
  const place = (/** @type {number} */ each) => (axis ? axis.scale(each) : each),
    here = place(value);
  const away = (/** @type {number} */ stop) => {
    const distance = Math.abs(place(stop) - here);
    return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance; // zero on a logarithmic axis
  };
  return stops.reduce((best, stop) => (away(stop) < away(best) ? stop : best));
}

/**
 * The stop that is next to an angle in degrees, around the circle; after `turn` degrees it begins again.
 * @param {number[]} stops @param {number} angle @param {number} [turn]
 */
export function turned(stops, angle, turn = 360) {
  const away = (/** @type {number} */ stop) => Math.abs(((((stop - angle) % turn) + 1.5 * turn) % turn) - turn / 2);
  return stops.reduce((best, stop) => (away(stop) < away(best) ? stop : best), stops[0]);
}

/**
 * The cells of the rectangle with two corners, counted row by row.
 * @param {number} from @param {number} to @param {number} columns
 */
export function rectangle(from, to, columns) {
  const span = (/** @type {number} */ a, /** @type {number} */ b) =>
    Array.from({ length: Math.abs(a - b) + 1 }, (_, k) => Math.min(a, b) + k);
  const across = span(from % columns, to % columns);
  return span(Math.floor(from / columns), Math.floor(to / columns)).flatMap((row) =>
    across.map((column) => row * columns + column),
  );
}

/**
 * The cells that were painted with others, or without them, in order.
 * @param {number[]} before @param {number[]} cells @param {boolean} add
 */
export function painted(before, cells, add) {
  const own = new Set(before);
  for (const cell of cells) {
    if (add) own.add(cell);
    else own.delete(cell);
  }
  return [...own].sort((a, b) => a - b);
}

/** @param {number[]} stops @param {number} value @param {number} way @param {boolean} fast */
export function nextStop(stops, value, way, fast) {
  const here = stops.indexOf(/** @type {number} */ (closest(stops, value)));
  return stops[Math.min(Math.max(here + way * (fast ? 10 : 1), 0), stops.length - 1)];
}

// As a slider's keys do it; undefined for any other key.
/** @param {number[]} stops @param {number} value @param {string} key @param {boolean} fast */
export function amongStops(stops, value, key, fast) {
  if (key === "Home") return stops[0];
  if (key === "End") return stops[stops.length - 1];
  if (key === "PageUp" || key === "PageDown") return nextStop(stops, value, key === "PageUp" ? 1 : -1, true);
  const way = FORWARDS.includes(key) ? 1 : BACKWARDS.includes(key) ? -1 : 0;
  return way ? nextStop(stops, value, way, fast) : undefined;
}

/**
 * As `amongStops`, of whole numbers between two.
 *
 * @param {number} low @param {number} high @param {number} value @param {string} key @param {boolean} fast
 */
export function amongWhole(low, high, value, key, fast) {
  if (key === "Home") return low;
  if (key === "End") return high;
  const page = key === "PageUp" ? 1 : key === "PageDown" ? -1 : 0;
  const way = FORWARDS.includes(key) ? 1 : BACKWARDS.includes(key) ? -1 : page;
  if (!way) return undefined;
  return Math.min(Math.max(value + way * (fast || page ? 10 : 1), low), high);
}
