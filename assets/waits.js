// How long a wait will be: from the rate at which frames come, and before any has come from what a step costs.

const WINDOW_MS = 8000; // frames come in portions: of a shorter time the rate would jump
const LEAST_MS = 300; // a shorter time tells nothing about a rate
const PROCESSES = 2; // compute side by side on the server (live/desk.py)
const LONG = 30; // seconds
const FIRST_STEPS = 3; // a lane's first step is recorded and validated, too: it takes as long as so many

/**
 * @typedef {{name: string, missing: boolean, cost?: number}} Lane cost: seconds a step takes
 * @typedef {object} State
 * @property {Lane[]} lanes
 * @property {number} waited seconds since the race was asked for
 * @property {number} arrived seconds after which the latest lane with frames had its first
 * @property {number} reached the latest step that all lanes have; -1 before the first
 * @property {number} wanted
 * @property {number | undefined} pace steps a second
 * @property {number} speed steps a second at which it is played; 0 while it isn't
 * @property {number} [sharing] how many networks the server computes in turn, these too
 */

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

/** The words for a wait; empty where there is none. @param {State} state */
export function words({ lanes, waited, arrived, reached, wanted, pace, speed, sharing = 0 }) {
  if (!lanes.length) return "the race is being set up";
  const shared = sharing > lanes.length ? `; ${sharing} networks are computed in turn` : "";
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
  const steps = paceOf(lanes, pace);
  const left = steps ? `, about ${duration((wanted - reached) / steps)} left` : "";
  return `computing step ${reached + 1} of ${wanted}${left}${shared}`;
}

/**
 * Whether so many steps take so long that fewer seeds are worth a thought.
 *
 * @param {Pick<State, "lanes" | "pace">} state
 * @param {number} steps
 */
export function isLong({ lanes, pace }, steps) {
  const a = paceOf(lanes, pace);
  return a !== undefined && steps / a > LONG;
}

// Steps a second, by what a step costs where none has been seen.
/** @param {Lane[]} lanes @param {number | undefined} pace */
function paceOf(lanes, pace) {
  if (pace !== undefined || !lanes.length || lanes.some(({ cost }) => cost === undefined)) return pace;
  const cost = lanes.reduce((sum, { cost = 0 }) => sum + cost, 0);
  return cost ? Math.min(PROCESSES, lanes.length) / cost : undefined;
}

/** @param {string[]} names */
function listed(names) {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}
