// How long a wait will be: from the rate at which frames come, and before any has come from what a step costs.

const WINDOW_MS = 8000; // frames come in portions: of a shorter time the rate would jump
const LEAST_MS = 300; // a shorter time tells nothing about a rate
const PROCESSES = 2; // compute side by side on the server (live/desk.py)
const FIRST_STEPS = 3; // a lane's first step is recorded and validated, too: it takes as long as so many

/** @typedef {{name: string, missing: boolean, cost?: number}} Lane cost: seconds a step takes */

// The rate at which a race's steps arrive.
export class Rate {
  constructor() {
    /** @type {[time: number, step: number][]} */
    this.seen = [];
  }

  // Nothing was asked for until now: the time before is no part of a rate.
  /** @param {number} now @param {number} step the latest that all lanes have */
  begin(now, step) {
    this.seen = [[now, step]];
  }

  /** @param {number} now @param {number} step */
  note(now, step) {
    // What comes at once was computed before.
    const [first] = this.seen;
    if (first && this.seen.length === 1 && first[1] < 0) this.seen = [];
    this.seen.push([now, step]);
    while (this.seen.length > 2 && now - this.seen[1][0] > WINDOW_MS) this.seen.shift();
  }

  // Steps a second; undefined while too little has come to tell.
  /** @returns {number | undefined} */
  get pace() {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    if (!first || !last || last[0] - first[0] < LEAST_MS || last[1] <= first[1]) return undefined;
    return (1000 * (last[1] - first[1])) / (last[0] - first[0]);
  }
}

/**
 * How long it takes until the lanes that have nothing yet have their first step.
 *
 * @param {Lane[]} lanes
 * @param {number} waited seconds since they were asked for
 * @param {number} arrived seconds after which the latest of the others had its first step
 * @returns {number | undefined}
 */
export function untilFirst(lanes, waited, arrived) {
  const missing = lanes.filter((lane) => lane.missing);
  const there = lanes.length - missing.length;
  if (there) return Math.max(1, arrived + (arrived / there) * missing.length - waited);
  if (missing.some(({ cost }) => cost === undefined)) return undefined;
  const seconds = missing.reduce((sum, { cost = 0 }) => sum + cost, 0) / Math.min(PROCESSES, missing.length);
  return Math.max(1, FIRST_STEPS * seconds - waited);
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds > 90) return `${Math.round(seconds / 60)} min`;
  if (seconds > 10) return `${5 * Math.round(seconds / 5)} s`;
  return `${Math.max(1, Math.round(seconds))} s`;
}

/**
 * The words for a wait; empty where there is none.
 *
 * @param {object} state
 * @param {Lane[]} state.lanes
 * @param {number} state.waited seconds since the race was asked for
 * @param {number} state.arrived seconds after which the latest lane with frames had its first
 * @param {number} state.reached the latest step that all lanes have; -1 before the first
 * @param {number} state.wanted
 * @param {number | undefined} state.pace steps a second
 * @param {number} state.speed steps a second at which it is played; 0 while it isn't
 * @param {number} [state.sharing] how many networks the server computes in turn, these too
 */
export function words({ lanes, waited, arrived, reached, wanted, pace, speed, sharing = 0 }) {
  if (!lanes.length) return "the race is being set up";
  const shared = sharing > lanes.length ? `; ${sharing} networks share this server` : "";
  const missing = lanes.filter((lane) => lane.missing);
  if (missing.length) {
    const seconds = untilFirst(lanes, waited, arrived);
    const names =
      missing.length < lanes.length || lanes.length === 1 ? listed(missing.map(({ name }) => name)) : "all lanes";
    const wait = seconds === undefined ? `${duration(waited)} so far` : `about ${duration(seconds)}`;
    return `first step of ${names}: ${wait}${shared}`;
  }
  if (speed) {
    if (pace === undefined || pace > 0.9 * speed || reached > wanted) return "";
    const steps = pace < 1 ? Number(pace.toPrecision(1)) : Math.round(pace);
    return `computing limits this to about ${steps} step${steps === 1 ? "" : "s"} a second${shared}`;
  }
  if (reached >= wanted) return "";
  const each = lanes.every(({ cost }) => cost !== undefined)
    ? lanes.reduce((sum, { cost = 0 }) => sum + cost, 0) / Math.min(PROCESSES, lanes.length)
    : undefined;
  const a = pace ?? (each && 1 / each);
  const left = a ? `, about ${duration((wanted - reached) / a)} left` : "";
  return `computing step ${reached + 1} of ${wanted}${left}${shared}`;
}

/** @param {string[]} names */
function listed(names) {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}
