// What was received of a race: the rows of numbers of each lane and of its ghost. Of curves that are shown columns grow
// with them, so that a series up to a step is a part of an array that is there already.

/**
 * @typedef {[name: string, shape: number[]][]} Layout what a row holds, in order
 * @typedef {{name: string, norm: string, depth: number, colour: string, dash: string, layout: Layout}} LaneHeader
 * @typedef {{lanes: LaneHeader[], ghosts?: number[], every: number, validate_every: number, draft?: boolean,
 *   network?: string, measured?: string, notes?: any, settings?: string, problems?: string[], scene?: string,
 *   open?: boolean, until?: number, heading?: string, panels?: Record<string, any>}} Header of a "lab" message
 * @typedef {{lane: number, ghost?: boolean, arrays: Record<string, Float32Array>, surface_steps?: number[],
 *   cloud_steps?: number[]}} Block a "frames" message
 * @typedef {{step: number, values: Float32Array}} Kept a surface, or the samples of a GAN
 * @typedef {{values: Float32Array<ArrayBuffer>, count: number}} Column one number over time
 * @typedef {{start: number, size: number, shape: number[], apart: number, columns: Map<string, Column>, low: number[],
 *   high: number[], unknown: Float32Array}} Field of a row; apart: the steps between two of its values
 * @typedef {{norm: string, name: string, depth: number, colour: string, dash: string, rows: Rows, ghost: Rows,
 *   surfaces: Kept[], clouds: Kept[], cost?: any}} Lane
 */

const VALIDATED = new Set(["val_loss", "val_accuracy", "val_accuracy_batch"]);
const FIRST = 64; // rows for which there is room at first

export class Lanes {
  /** @param {Header} header */
  constructor(header) {
    const { every, validate_every: validateEvery, lanes, ghosts = [] } = header;
    this.header = header;
    this.every = every;
    this.validateEvery = validateEvery;
    this.ghosts = ghosts;
    this.draft = header.draft ?? false;
    this.network = header.network ?? "";
    this.measured = header.measured ?? "";
    this.notes = header.notes;
    this.settings = header.settings ?? "";
    this.scene = header.scene ?? "";
    this.open = header.open ?? false;
    this.until = header.until ?? 0;
    this.heading = header.heading ?? "";
    this.lanes = lanes.map(({ layout, norm, name, depth, colour, dash }) => {
      const curves = layout.findIndex(([, shape]) => shape.length > 1);
      const rows = new Rows(layout, every, validateEvery);
      const ghost = new Rows(curves < 0 ? layout : layout.slice(0, curves), every, validateEvery);
      /** @type {Lane} */
      const made = { norm, name, depth, colour, dash, rows, ghost, surfaces: [], clouds: [] };
      return made;
    });
    this.depth = Math.max(0, ...this.lanes.map((lane) => lane.depth));
  }

  /** @param {Block} block */
  append({ lane: number, ghost = false, arrays, surface_steps: surfaces = [], cloud_steps: clouds = [] }) {
    const lane = this.lanes[number];
    (ghost ? lane.ghost : lane.rows).append(arrays.rows);
    keep(lane.surfaces, surfaces, arrays.surfaces);
    keep(lane.clouds, clouds, arrays.clouds);
  }

  // The latest step that a lane has, or, without a number, that every lane has; -1 before the first.
  /** @param {number} [lane] */
  reached(lane) {
    if (lane !== undefined) return this.lanes[lane].rows.reached();
    return this.lanes.length ? Math.min(...this.lanes.map(({ rows }) => rows.reached())) : -1;
  }

  // How far a lane's ghost is known; -1 where it has none.
  /** @param {number} lane */
  haunted(lane) {
    return this.lanes[lane].ghost.reached();
  }

  // One number at a step, or at the latest one recorded before it; NaN where there is none.
  /** @param {number} lane @param {number} step @param {string} name @param {number} [index] */
  at(lane, step, name, index = 0) {
    return this.lanes[lane].rows.at(step, name, index);
  }

  /** @param {number} lane @param {number} step @param {string} name @param {number} [index] */
  ghostAt(lane, step, name, index = 0) {
    return this.lanes[lane].ghost.at(step, name, index);
  }

  // Smallest and largest positive number of a field in all lanes up to a step: axes that grow with time, and are the
  // same whenever that step is shown.
  /** @param {string} name @param {number} step @returns {[number, number]} */
  extent(name, step) {
    let [smallest, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const { rows } of this.lanes) {
      const [low, high] = rows.extent(name, step);
      smallest = Math.min(smallest, low);
      largest = Math.max(largest, high);
    }
    return [smallest, largest];
  }

  // The decision surface of the latest validation up to a step.
  /** @param {number} lane @param {number} step */
  surface(lane, step) {
    return latest(this.lanes[lane].surfaces, step);
  }

  // The samples of the latest validation up to a step, x and y in turn.
  /** @param {number} lane @param {number} step */
  cloud(lane, step) {
    return latest(this.lanes[lane].clouds, step);
  }
}

/** @param {Kept[]} list @param {number[]} steps @param {Float32Array} numbers */
function keep(list, steps, numbers) {
  steps.forEach((step, i) => {
    const size = numbers.length / steps.length;
    list.push({ step, values: numbers.subarray(i * size, (i + 1) * size) });
  });
}

/** @param {Kept[]} list @param {number} step */
function latest(list, step) {
  let i = list.length - 1;
  while (i >= 0 && list[i].step > step) i -= 1;
  return list[i]?.values;
}

// The rows of a lane or of its ghost.
export class Rows {
  /** @param {Layout} layout @param {number} every @param {number} validateEvery */
  constructor(layout, every, validateEvery) {
    this.every = every;
    this.count = 0;
    this.width = 0;
    this.lost = Number.POSITIVE_INFINITY; // the first recorded step without a seed left
    /** @type {Map<string, Field>} */
    this.fields = new Map();
    for (const [name, shape] of layout) {
      const size = shape.reduce((a, b) => a * b, 1);
      this.fields.set(name, {
        ...{ start: this.width, size, shape, apart: VALIDATED.has(name) ? validateEvery : every },
        ...{ columns: new Map(), low: [], high: [], unknown: new Float32Array(size).fill(Number.NaN) },
      });
      this.width += size;
    }
    this.values = new Float32Array(FIRST * this.width);
  }

  /** @param {Float32Array} rows */
  append(rows) {
    const { width } = this,
      start = this.count * width,
      added = rows.length / width;
    this.values = roomy(this.values, start, rows.length);
    this.values.set(rows, start);
    const left = this.fields.get("seeds_left")?.start;
    for (let row = 0; row < added && left !== undefined && this.lost === Number.POSITIVE_INFINITY; row += 1)
      if (rows[row * width + left] === 0) this.lost = (this.count + row) * this.every;
    this.count += added;
  }

  // The latest recorded step; negative before the first.
  reached() {
    return (this.count - 1) * this.every;
  }

  /** @param {string} name */
  field(name) {
    const found = this.fields.get(name);
    if (!found) throw new Error(`there is no ${name} in a row; there are ${[...this.fields.keys()].join(", ")}`);
    return found;
  }

  // All numbers of a field at a step, or at the latest before it at which it is measured; NaN where there is none.
  /** @param {number} step @param {string} name */
  part(step, name) {
    const { apart, start, size, unknown } = this.field(name);
    const frame = Math.floor((Math.floor(step / apart) * apart) / this.every);
    if (!(frame >= 0 && frame < this.count)) return unknown;
    const from = frame * this.width + start;
    return this.values.subarray(from, from + size);
  }

  /** @param {number} step @param {string} name @param {number} index */
  at(step, name, index) {
    return this.part(step, name)[index];
  }

  // A curve: its values up to a step, of a number of steps `sparse` the first one.
  /** @param {string} name @param {number} index @param {number} last @param {number} [sparse] */
  series(name, index, last, sparse = 1) {
    const { columns, apart, start } = this.field(name),
      key = `${index} ${sparse}`,
      every = apart * sparse;
    const column = columns.get(key) ?? { values: new Float32Array(FIRST), count: 0 };
    columns.set(key, column);
    const due = Math.floor(this.reached() / every) + 1;
    column.values = roomy(column.values, column.count, due - column.count);
    for (; column.count < due; column.count += 1) {
      const frame = Math.floor((column.count * every) / this.every);
      column.values[column.count] = this.values[frame * this.width + start + index];
    }
    return column.values.subarray(0, this.howMany(every, last));
  }

  // The steps to which these values belong.
  /** @param {string} name @param {number} last @param {number} [sparse] */
  steps(name, last, sparse = 1) {
    const every = this.field(name).apart * sparse;
    return clock(every, this.howMany(every, last));
  }

  /** @param {number} every @param {number} last */
  howMany(every, last) {
    return Math.max(0, Math.floor(Math.min(last, this.reached()) / every) + 1);
  }

  // Smallest and largest positive number of a field up to a step.
  /** @param {string} name @param {number} step @returns {[number, number]} */
  extent(name, step) {
    const { start, size, low, high } = this.field(name),
      last = Math.min(Math.floor(step / this.every), this.count - 1);
    for (let frame = low.length; frame <= last; frame += 1) {
      let smallest = low[frame - 1] ?? Number.POSITIVE_INFINITY,
        largest = high[frame - 1] ?? Number.NEGATIVE_INFINITY;
      const from = frame * this.width + start;
      for (let i = from; i < from + size; i += 1) {
        const value = this.values[i];
        if (!(value > 0) || value === Number.POSITIVE_INFINITY) continue;
        smallest = Math.min(smallest, value);
        largest = Math.max(largest, value);
      }
      low[frame] = smallest;
      high[frame] = largest;
    }
    return [low[last] ?? Number.POSITIVE_INFINITY, high[last] ?? Number.NEGATIVE_INFINITY];
  }
}

// The array itself, or a larger one with the same beginning: parts of the old one stay what they are.
/** @param {Float32Array<ArrayBuffer>} values @param {number} used @param {number} more */
function roomy(values, used, more) {
  if (used + more <= values.length) return values;
  const larger = new Float32Array(2 * (used + more));
  larger.set(values.subarray(0, used));
  return larger;
}

/** @type {Map<number, Float32Array>} */
const clocks = new Map();

// 0, every, 2 every, …
/** @param {number} every @param {number} count */
function clock(every, count) {
  let known = clocks.get(every);
  if (!known || known.length < count) {
    known = Float32Array.from({ length: Math.max(FIRST, 2 * count) }, (_, i) => i * every);
    clocks.set(every, known);
  }
  return known.subarray(0, count);
}
