// How fast this machine trains, in words.

/**
 * @param {object} measured
 * @param {number} measured.seeds
 * @param {Record<string, number>} measured.steps a second of a race's lane, by network
 */
export function words({ seeds, steps }) {
  const said = Object.entries(steps).map(([name, pace]) => `${rounded(pace)} (${name})`);
  return said.length
    ? `Training steps a second on this machine, for one lane of ${seeds} seeds: about ${said.join(", ")}.`
    : "";
}

/** @param {number} pace */
const rounded = (pace) => Number(pace.toPrecision(pace < 10 ? 1 : 2)).toLocaleString("en");
