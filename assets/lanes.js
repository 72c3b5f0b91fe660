// @ts-nocheck: the lab's own files have no types
// The frames of a race, one row of numbers a step and lane, in the server's layout.

export const CURVES = { accuracy: "val_accuracy", training: "train_loss", validation: "val_loss" };

export class Lanes {
  constructor({
    lanes,
    ghosts = [],
    every,
    validate_every: validateEvery,
    edges,
    notes,
    settings,
    network,
    guessing,
    window,
    draft,
    arrays,
  }) {
    Object.assign(this, { every, validateEvery, edges, notes, settings, network, guessing, window, draft, ghosts });
    this.points = arrays?.points;
    this.labels = arrays?.labels;
    this.lanes = lanes.map(({ norm, name, depth, rings, layout }) => {
      const fields = {};
      let width = 0,
        curves = 0;
      for (const [field, shape] of layout) {
        if (shape.length > 1) curves ||= width;
        fields[field] = width;
        width += shape.reduce((a, b) => a * b, 1);
      }
      return {
        norm,
        name,
        depth,
        rings,
        fields,
        rows: new Rows(width),
        ghost: new Rows(curves),
        surfaces: [],
        clouds: [],
      };
    });
    this.depth = Math.max(0, ...this.lanes.map((lane) => lane.depth));
    this.extents = {};
  }

  append({ lane: number, ghost, arrays, surface_steps: surfaceSteps = [], cloud_steps: cloudSteps = [] }) {
    const lane = this.lanes[number];
    (ghost ? lane.ghost : lane.rows).append(arrays.rows);
    keep(lane.surfaces, surfaceSteps, arrays.surfaces);
    keep(lane.clouds, cloudSteps, arrays.clouds);
  }

  // The latest step that every lane has; -1 before the first.
  reached() {
    return this.lanes.length ? (Math.min(...this.lanes.map((lane) => lane.rows.count)) - 1) * this.every : -1;
  }

  // How far a lane's ghost is known; -1 where it has none.
  haunted(lane) {
    return (this.lanes[lane].ghost.count - 1) * this.every;
  }

  // Smallest and largest positive number of a field in all lanes up to a step: axes that grow with time,
  // and are the same whenever that step is shown.
  extent(name, perLayer, step) {
    this.extents[name] ??= [[Infinity, -Infinity]];
    const known = this.extents[name];
    const last = Math.floor(Math.min(step, this.reached()) / this.every);
    for (let frame = known.length - 1; frame <= last; frame += 1) {
      let [smallest, largest] = known[frame];
      this.lanes.forEach(({ depth }, lane) => {
        for (let index = 0; index < 3 * (perLayer ? depth : 1); index += 1) {
          const value = this.at(lane, frame * this.every, name, index);
          if (!(value > 0) || value === Infinity) continue;
          smallest = Math.min(smallest, value);
          largest = Math.max(largest, value);
        }
      });
      known[frame + 1] = [smallest, largest];
    }
    return known[last + 1];
  }

  at(lane, step, name, index = 0) {
    const { rows, fields } = this.lanes[lane];
    return rows.at(Math.floor(step / this.every), fields[name] + index);
  }

  ghostAt(lane, step, name, index = 0) {
    const { ghost, fields } = this.lanes[lane];
    return ghost.at(Math.floor(step / this.every), fields[name] + index);
  }

  // A curve's mean at a step, or at the latest validation before it; kind as in `drawCurves`.
  reading(lane, step, kind) {
    const every = kind === "training" ? this.every : this.validateEvery;
    const value = this.at(lane, Math.floor(step / every) * every, CURVES[kind], 0);
    const words = !Number.isFinite(value)
      ? "–"
      : kind === "accuracy"
        ? `${(100 * value).toFixed(1)}%`
        : String(Number(value.toPrecision(3)));
    return { value, words };
  }

  // The decision surface of the latest validation up to a step.
  surface(lane, step) {
    return this.lanes[lane].surfaces.findLast((surface) => surface.step <= step)?.values;
  }

  // The samples of the latest validation up to a step, x and y in turn.
  cloud(lane, step) {
    return this.lanes[lane].clouds.findLast((cloud) => cloud.step <= step)?.values;
  }
}

function keep(list, steps, numbers) {
  steps.forEach((step, i) => {
    const size = numbers.length / steps.length;
    list.push({ step, values: numbers.subarray(i * size, (i + 1) * size) });
  });
}

class Rows {
  constructor(width) {
    this.width = width;
    this.count = 0;
    this.values = new Float32Array(64 * width);
  }

  append(rows) {
    const start = this.count * this.width;
    if (start + rows.length > this.values.length) {
      const larger = new Float32Array(2 * (start + rows.length));
      larger.set(this.values.subarray(0, start));
      this.values = larger;
    }
    this.values.set(rows, start);
    this.count += rows.length / this.width;
  }

  at(frame, index) {
    return frame < this.count ? this.values[frame * this.width + index] : NaN;
  }
}
