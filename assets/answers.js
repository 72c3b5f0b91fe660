// What this reader has predicted, kept in this browser and nowhere else. A page that may not keep anything, or finds
// something that isn't ours, goes on as if nothing had been answered.

/**
 * @typedef {{guess: number, right?: number}} Answer the numbers of two choices; right: once it was measured
 * @typedef {Map<string, Answer>} Answers by `place`, the latest last
 */

const KEY = "batchnorm-lab.answers";
const VERSION = 1;
const MOST = 500; // answers; the oldest make room
const LONGEST = 50_000; // characters: what is longer isn't ours
const PLACE = /^[a-z]\w{0,39}\/[a-z]\w{0,39}$/;

/** @param {string} page @param {string} scene */
export const place = (page, scene) => `${page}/${scene}`;

/** @returns {Answers} */
export function remembered() {
  try {
    return read(localStorage.getItem(KEY));
  } catch {
    return new Map(); // there is no storage, or it may not be used
  }
}

/**
 * @param {string | null} text
 * @returns {Answers} what in it is ours
 */
export function read(text) {
  /** @type {Answers} */
  const found = new Map();
  if (!text || text.length > LONGEST) return found;
  /** @type {any} */
  let kept;
  try {
    kept = JSON.parse(text);
  } catch {
    return found;
  }
  if (kept?.version !== VERSION || !Array.isArray(kept.answers)) return found;
  for (const row of kept.answers.slice(-MOST)) {
    if (!Array.isArray(row) || typeof row[0] !== "string" || !PLACE.test(row[0]) || !isChoice(row[1])) continue;
    found.set(row[0], isChoice(row[2]) ? { guess: row[1], right: row[2] } : { guess: row[1] });
  }
  return found;
}

/** @param {any} number */
const isChoice = (number) => Number.isInteger(number) && number >= 0 && number < 10;

/** @param {Answers} answers */
function write(answers) {
  const rows = [...answers].slice(-MOST).map(([where, { guess, right }]) => [where, guess, right ?? null]);
  try {
    localStorage.setItem(KEY, JSON.stringify({ version: VERSION, answers: rows }));
  } catch {
    // It is full, or may not be used: this answer isn't remembered.
  }
}

/**
 * Keeps an answer that this reader has just given. One that stands in a link is somebody else's.
 *
 * @param {string} page
 * @param {string} scene
 * @param {number} guess the number of the choice
 * @param {number} [right] that of the right one, where it is known
 */
export function remember(page, scene, guess, right) {
  const answers = remembered();
  answers.delete(place(page, scene)); // it becomes the latest
  answers.set(place(page, scene), { guess, right });
  write(answers);
}

/**
 * Adds which choice was right to an answer that is kept; of others nothing is kept.
 *
 * @param {string} page
 * @param {string} scene
 * @param {number} right
 */
export function judge(page, scene, right) {
  const answers = remembered();
  const kept = answers.get(place(page, scene));
  if (!kept || kept.right === right) return;
  kept.right = right;
  write(answers);
}

export function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // There is nothing to forget.
  }
}

/**
 * Calls back when another tab has changed what is kept.
 *
 * @param {() => void} changed
 * @returns {() => void} ends it
 */
export function watch(changed) {
  /** @param {StorageEvent} event */
  const hear = ({ key }) => {
    if (key === KEY || key === null) changed(); // null: all was cleared
  };
  addEventListener("storage", hear);
  return () => removeEventListener("storage", hear);
}
