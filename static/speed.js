// How fast this machine trains, in words.

/** @param {Record<string, number>} steps a second, by network */
export function words(steps) {
  const said = Object.entries(steps).map(([name, pace]) => `${rounded(pace)} (${name})`);
  return said.length ? `Training steps a second on this machine: about ${said.join(", ")}.` : "";
}

/** @param {number} pace */
const rounded = (pace) => Number(pace.toPrecision(pace < 10 ? 1 : 2)).toLocaleString("en");
