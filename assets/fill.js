// Fills a race's templates: what Python declares in book/race/panels.py as a binding ({"~": kind, …}) becomes arrays and
// numbers of what was received. book/race/fill.py does the same; tests/shared/panels.json says what both make of it.
import { brief } from "./numbers.js";

/**
 * @import { Lanes, Rows } from "./frames.js"
 * @import { Figure } from "./plotting.js"
 * @typedef {{step: number, horizon: number, ghost?: {lanes: Lanes}}} Moment ghost: where its rows are; those of these
 *   very lanes, or another race's own
 * @typedef {Record<string, any>} Binding
 * @typedef {{lanes: Lanes, step: number, horizon: number, ghost: {lanes: Lanes} | undefined, bottom: number}} Now
 *   bottom: of the y axis that a trace is drawn on, where that is logarithmic
 * @typedef {(now: Now) => any} Filler
 */

const STILL = "no update: it is exactly 0",
  ZERO = "at the bottom: exactly 0";
const EMPTY = new Float32Array(0);

/** @type {WeakMap<object, {layout: Filler, traces: {filler: Filler, axis: string}[]}>} */
const fillers = new WeakMap();

/**
 * The figure that a template is at a moment of a race. What isn't bound is the template's own and is never copied.
 *
 * @param {Figure} template
 * @param {Lanes} lanes
 * @param {Moment} moment
 * @returns {Figure}
 */
export function fill(template, lanes, { step, horizon, ghost }) {
  let filler = fillers.get(template);
  if (!filler) {
    filler = {
      layout: compiled(template.layout) ?? (() => template.layout),
      traces: template.data.map((trace) => ({
        filler: compiled(trace) ?? (() => trace),
        axis: `yaxis${(trace.yaxis ?? "y").slice(1)}`,
      })),
    };
    fillers.set(template, filler);
  }
  const now = { lanes, step, horizon: Math.max(1, horizon), ghost, bottom: 0 },
    layout = filler.layout(now);
  const data = filler.traces.map((trace) => {
    const { type, range } = layout[trace.axis];
    now.bottom = type === "log" ? 10 ** Math.min(range[0], range[1]) : 0;
    return trace.filler(now);
  });
  return { data, layout };
}

// What fills a part of a template; undefined where nothing in it is bound.
/** @param {any} node @returns {Filler | undefined} */
function compiled(node) {
  if (node === null || typeof node !== "object" || ArrayBuffer.isView(node)) return undefined;
  if ("~" in node) {
    const make = BINDINGS[node["~"]];
    if (!make) throw new Error(`binding ${node["~"]}: there are ${Object.keys(BINDINGS).join(", ")}`);
    return make(node);
  }
  /** @type {[any, Filler][]} */
  const bound = [];
  for (const [name, part] of Object.entries(node)) {
    const filler = compiled(part);
    if (filler) bound.push([name, filler]);
  }
  if (!bound.length) return undefined;
  return (now) => {
    const made = Array.isArray(node) ? [...node] : { ...node };
    for (const [name, filler] of bound) {
      const value = filler(now);
      if (value instanceof Lazy) Object.defineProperty(made, name, { get: value.read, enumerable: true });
      else made[name] = value;
    }
    return made;
  };
}

// A text that is made when somebody reads it: at every frame of playback that would cost more than the rest.
class Lazy {
  /** @param {() => string} make */
  constructor(make) {
    /** @type {string | undefined} */
    let made;
    this.read = () => {
      made ??= make();
      return made;
    };
  }
}

// ---- the bindings -------------------------------------------------------------------------------------------------

/** @type {Record<string, (binding: any) => Filler>} */
const BINDINGS = {
  steps: (binding) => along(binding, (rows, last, sparse) => rows.steps(binding.field, last, sparse)),
  series: (binding) => {
    const { field, index } = binding;
    const clip = clipping(binding);
    return along(binding, (rows, last, sparse, now) => clip(rows.series(field, index, last, sparse), now));
  },
  layers: (binding) => {
    const { lane, field, index } = binding;
    const clip = clipping(binding);
    return (now) => {
      const { rows } = now.lanes.lanes[lane],
        found = rows.part(now.step, field);
      return clip(
        Float32Array.from({ length: rows.field(field).shape[0] }, (_, layer) => found[3 * layer + index]),
        now,
      );
    };
  },
  ridges:
    ({ lane, field, tall }) =>
    ({ lanes, step }) =>
      outlines(lanes.lanes[lane].rows, field, step, (share, floor) => floor - tall * Math.sqrt(share)),
  shares:
    ({ lane, field }) =>
    ({ lanes, step }) =>
      outlines(lanes.lanes[lane].rows, field, step),
  matrix:
    ({ lane, field, layer, rows: count }) =>
    ({ lanes, step, horizon }) => {
      const { rows } = lanes.lanes[lane],
        bins = rows.field(field).shape[1];
      const z = new Float32Array(count * bins).fill(Number.NaN);
      return Array.from({ length: count }, (_, row) => {
        const at = (row * horizon) / (count - 1);
        if (at <= step) {
          const found = rows.part(at, field);
          for (let bin = 0; bin < bins; bin += 1) z[row * bins + bin] = Math.sqrt(found[layer * bins + bin]);
        }
        return z.subarray(row * bins, (row + 1) * bins);
      });
    },
  matrix_steps:
    ({ rows: count }) =>
    ({ horizon }) =>
      Float32Array.from({ length: count }, (_, row) => (row * horizon) / (count - 1)),
  surface: ({ lane, size }) => {
    const unknown = new Float32Array(size * size).fill(Number.NaN);
    return ({ lanes, step }) => {
      const found = lanes.surface(lane, step) ?? unknown;
      return Array.from({ length: size }, (_, row) => found.subarray(row * size, (row + 1) * size));
    };
  },
  cloud:
    ({ lane, axis }) =>
    ({ lanes, step }) => {
      const found = lanes.cloud(lane, step) ?? EMPTY;
      return Float32Array.from({ length: found.length / 2 }, (_, i) => found[2 * i + axis]);
    },
  step:
    () =>
    ({ step }) =>
      step,
  horizon:
    () =>
    ({ horizon }) =>
      horizon,
  step_axis: ({ title, reversed, most, more }) => {
    const made = kept((horizon) =>
      finished("linear", reversed ? [horizon, 0] : [0, horizon], niceTicks(0, horizon, most), title, more),
    );
    return ({ horizon }) => made(horizon);
  },
  log_axis: ({ fields, least, floor, title, most, more }) => {
    const made = kept((low, high) => finished("log", [low, high], logTicks(low, high, most), title, more));
    return ({ lanes, step }) => {
      let [low, high] = least;
      for (const field of fields) {
        const [smallest, largest] = lanes.extent(field, step);
        low = Math.min(low, Math.max(floor, smallest));
        high = Math.max(high, largest);
      }
      // float32 has powers of ten to seven digits
      return made(Math.floor(Math.log10(low) + 1e-6), Math.ceil(Math.log10(high) - 1e-6));
    };
  },
  text: (binding) => TEXTS[binding.of](binding),
  alt:
    ({ head, field, layers }) =>
    ({ lanes, step }) =>
      new Lazy(() => {
        const each = lanes.lanes.map(({ name, rows }) => {
          const found = rows.part(step, field);
          const values = Array.from({ length: layers ? rows.field(field).shape[0] : 1 }, (_, k) => found[3 * k]);
          return `${name}: ${values.map((value) => (Number.isFinite(value) ? brief(value) : "none")).join(", ")}`;
        });
        return `${head} Step ${step}. ${each.join("; ")}.`;
      }),
};

/** @type {Record<string, (binding: any) => Filler>} */
const TEXTS = {
  diverged: (binding) => (now) => diverged(now, binding),
  name: (binding) => (now) => [binding.name, diverged(now, binding)].filter(Boolean).join(", "),
  still:
    ({ field }) =>
    ({ lanes, step }) => {
      const known = lanes.lanes.some(({ rows }) =>
        rows.part(step, field).some((value, i) => i % 3 === 0 && Number.isFinite(value)),
      );
      return !known && lanes.lanes.some(({ rows }) => rows.at(step, "seeds_left", 0) > 0) ? STILL : "";
    },
  zero:
    ({ field }) =>
    ({ lanes, step }) =>
      lanes.lanes.some(({ rows }) => rows.part(step, field).some((value, i) => i % 3 === 1 && value === 0)) ? ZERO : "",
  outside:
    ({ lane, beyond }) =>
    ({ lanes, step }) => {
      const found = lanes.cloud(lane, step) ?? EMPTY;
      let count = 0;
      for (let i = 0; i < found.length; i += 2)
        if (!(Math.abs(found[i]) < beyond && Math.abs(found[i + 1]) < beyond)) count += 1;
      return count ? `${count} outside` : "";
    },
};

/** @param {Now} now @param {Binding} binding brief: without the step */
function diverged({ lanes, step }, { lane, brief: short }) {
  const { lost } = lanes.lanes[lane].rows;
  return lost <= step ? `diverged${short ? "" : ` at step ${lost}`}` : "";
}

/**
 * What follows a curve of a lane, or of its ghost, up to the playhead or as far as it is recorded.
 *
 * @param {Binding} binding most: how many points there are at most; which they are doesn't change while the race plays
 * @param {(rows: Rows, last: number, sparse: number, now: Now) => Float32Array} read
 * @returns {Filler}
 */
function along({ lane, field, to, ghost, most }, read) {
  return (now) => {
    const from = ghost ? now.ghost?.lanes : now.lanes,
      found = from?.lanes[lane],
      rows = ghost && from === now.lanes ? found?.ghost : found?.rows;
    if (!rows?.count) return EMPTY;
    const sparse = most ? Math.ceil((Math.floor(now.horizon / rows.field(field).apart) + 1) / most) : 1;
    return read(rows, to === "step" ? now.step : now.horizon, sparse, now);
  };
}

/**
 * What keeps values between the ends that a binding has, if it has any; NaN stays.
 *
 * @param {Binding} binding low: a number, or "axis", the bottom of the trace's y axis
 * @returns {(values: Float32Array, now: Now) => Float32Array}
 */
function clipping({ low, high = Number.POSITIVE_INFINITY }) {
  if (low === undefined && high === Number.POSITIVE_INFINITY) return (values) => values;
  return (values, { bottom }) => {
    const least = low === "axis" ? bottom : (low ?? Number.NEGATIVE_INFINITY);
    return values.map((value) => Math.min(Math.max(value, least), high));
  };
}

/**
 * Closed outlines of histograms, one a layer: the floor, every bin's top at both of its edges, the floor, a gap.
 *
 * @param {Rows} rows @param {string} field @param {number} step
 * @param {(share: number, floor: number) => number} [top] in place of the shares themselves on a floor of 0
 */
function outlines(rows, field, step, top) {
  const [depth, bins] = rows.field(field).shape,
    shares = rows.part(step, field);
  const y = new Float32Array(depth * (2 * bins + 3));
  for (let layer = 0, at = 0; layer < depth; layer += 1) {
    const floor = top ? layer + 1 : 0;
    y[at] = floor;
    at += 1;
    for (let bin = layer * bins; bin < (layer + 1) * bins; bin += 1, at += 2)
      y[at] = y[at + 1] = top ? top(shares[bin], floor) : shares[bin];
    y[at] = floor;
    y[at + 1] = Number.NaN;
    at += 2;
  }
  return y;
}

// ---- axes, as book/figure.py makes them ---------------------------------------------------------------------------

// The latest result again, as long as the numbers are the same.
/** @template T @param {(...numbers: number[]) => T} make @returns {(...numbers: number[]) => T} */
function kept(make) {
  /** @type {number[]} */
  let known = [];
  /** @type {any} */
  let made;
  return (...numbers) => {
    if (known.length !== numbers.length || numbers.some((number, i) => number !== known[i])) made = make(...numbers);
    known = numbers;
    return made;
  };
}

/**
 * @param {string} type @param {number[]} range @param {number[]} tickvals @param {string} title
 * @param {Record<string, any>} [more] words: the ticks' texts
 */
const finished = (type, range, tickvals, title, { words, ...more } = {}) => ({
  ...{ type, range, tickvals, ticktext: words ?? tickvals.map(brief) },
  ...{ title: { text: title }, showgrid: true, zeroline: false, ...more },
});

/** @param {number} low @param {number} high @param {number} [most] */
function niceTicks(low, high, most = 7) {
  const rough = (high - low) / most,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((k) => k * power >= rough * (1 - 1e-9)) ?? 10);
  const first = Math.ceil(low / step - 1e-9),
    last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
}

/** @param {number} first @param {number} last exponents @param {number} [most] */
function logTicks(first, last, most = 7) {
  const every = Math.max(1, Math.ceil((last - first + 1) / most));
  return Array.from({ length: Math.ceil((last + 1 - first) / every) }, (_, k) => 10 ** (first + k * every));
}
