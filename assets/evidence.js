// An experiment's race: what is asked, and from the step on at which it is judged what the experiment found at full size.
import { button, element } from "./controls.js";
import { brief } from "./numbers.js";

const FEW = 6; // rows that are shown before the rest is asked for
/** @type {[title: string, part: "notes" | "contested" | "caveat" | "sources"][]} */
const PARTS = [
  ["Notes", "notes"],
  ["Contested", "contested"],
  ["Caveat", "caveat"],
  ["Sources", "sources"],
];

/**
 * @typedef {{what: string, expected: any, measured: any, low: any, high: any, accepted: any, holds?: boolean | null,
 *   reported?: boolean, outcome?: string, exact?: boolean, misses?: number | null}} Row exact: an identity, a moment or a
 *   count, on which no claim rests; misses: the share of draws of fresh seeds on which the check fails
 * @typedef {{name: string, title: string, verdict: string, accepted: string, claims: string, rows: Row[], notes?: string[], contested?: string,
 *   caveat?: string, sources?: string[], where?: string}} Found
 */

export class Evidence {
  /** @param {HTMLElement} above where the question and its answer are @param {HTMLElement} below where the table is */
  constructor(above, below) {
    this.box = element(above, "section", "evidence", { "aria-label": "The experiment" });
    this.heading = element(this.box, "p", "experiment");
    this.outcome = element(this.box, "p", "outcome", { role: "status" });
    this.found = element(below, "section", "findings", { "aria-label": "Theory beside measured", tabindex: -1 });
    this.shown = "";
    this.hide();
  }

  hide() {
    this.box.hidden = true;
    this.found.hidden = true;
  }

  // What is asked; empty where the race is no experiment's.
  /** @param {string} heading */
  ask(heading) {
    this.box.hidden = !heading;
    if (this.heading.textContent === heading) return;
    this.heading.textContent = heading;
    this.show(null);
  }

  /** @param {Found | null} found */
  show(found) {
    const key = found ? found.name : "";
    this.found.hidden = !found;
    if (this.shown === key) return;
    this.shown = key;
    this.found.replaceChildren();
    this.outcome.replaceChildren();
    if (!found) return;
    element(this.outcome, "b", "", {}, `What ${found.name} expects: `);
    this.outcome.append(`${found.accepted} `);
    element(this.outcome, "b", "", {}, "What it found: ");
    this.outcome.append(`${found.verdict} ${found.claims ? `It ${found.claims}. ` : ""}`);
    button(this.outcome, "Theory beside measured ↓", "Go to the table: theory beside measured", () => {
      this.found.scrollIntoView({ block: "start" });
      this.found.focus({ preventScroll: true });
    });
    element(this.found, "h3", "", {}, `${found.name}, ${found.title}: theory beside measured`);
    this.table(found.rows);
    if (found.where) element(this.found, "p", "hint", {}, found.where);
    this.more(found);
  }

  /** @param {Row[]} rows */
  table(rows) {
    if (!rows.length) return;
    const wide = element(this.found, "div", "wide", { tabindex: 0, role: "region", "aria-label": "What was measured" });
    const table = element(wide, "table", "rows");
    const head = element(element(table, "thead"), "tr");
    const columns = columnsOf(rows);
    for (const [title] of columns) element(head, "th", "", { scope: "col" }, title);
    const body = element(table, "tbody");
    const lines = ordered(rows).map((row) => {
      const line = element(body, "tr", outcome(row).replaceAll(" ", "-"));
      const [what, ...others] = columns.map(([, words]) => words(row));
      element(line, "th", "", { scope: "row" }, what);
      for (const words of others) element(line, "td", "", {}, words);
      return line;
    });
    this.fold(lines);
  }

  // A long table begins with its first rows.
  /** @param {HTMLElement[]} lines */
  fold(lines) {
    const rest = lines.slice(FEW);
    if (!rest.length) return;
    const more = button(this.found, "", "", () => {
      const folded = !rest[0].hidden;
      for (const line of rest) line.hidden = folded;
      face(folded);
    });
    more.className = "more";
    const face = (/** @type {boolean} */ folded) => {
      more.textContent = folded ? `Show all ${lines.length} rows` : `Show the first ${FEW} rows only`;
      more.title = more.textContent;
      more.setAttribute("aria-label", more.textContent);
      more.setAttribute("aria-expanded", String(!folded));
    };
    for (const line of rest) line.hidden = true;
    face(true);
  }

  /** @param {Found} found */
  more(found) {
    const details = element(this.found, "details");
    details.open = true;
    element(details, "summary", "", {}, "Notes, what is contested, and sources");
    for (const [title, part] of PARTS) {
      const said = found[part];
      if (!said?.length) continue;
      element(details, "h4", "", {}, title);
      if (typeof said === "string") element(details, "p", part, {}, said);
      else for (const words of said) element(details, "p", part, {}, words);
    }
    if (details.childElementCount === 1) details.remove();
  }
}

/**
 * The columns of a table of checks: those of theory and of fresh seeds are there where a row has something for them.
 *
 * @param {Row[]} rows
 * @returns {[title: string, words: (row: Row) => string][]}
 */
export function columnsOf(rows) {
  /** @type {[string, (row: Row) => string, boolean?][]} */
  const all = [
    ["What", ({ what }) => what],
    ["Theory", ({ expected }) => cell(expected), rows.some(({ expected }) => isThere(expected))],
    ["Measured", ({ measured }) => cell(measured)],
    ["Lowest to highest", ({ low, high }) => (low !== high ? `${cell(low)} to ${cell(high)}` : "–")],
    ["Accepted", ({ accepted }) => cell(accepted)],
    ["Outcome", outcome],
    ["Fails on fresh seeds", ({ misses }) => share(misses), rows.some(({ misses }) => isThere(misses))],
  ];
  return all.filter(([, , shown = true]) => shown).map(([title, words]) => [title, words]);
}

/**
 * What fails comes first, then what claims rest on, then what is exact, then what is only reported.
 *
 * @param {Row[]} rows
 */
export function ordered(rows) {
  const rank = (/** @type {Row} */ row) => {
    const said = outcome(row);
    if (said === "fails") return 0;
    if (said === "reported") return 3;
    return row.exact ? 2 : 1;
  };
  return [...rows].sort((one, other) => rank(one) - rank(other));
}

/**
 * A share in percent, to two digits; a dash where it isn't known.
 *
 * @param {number | null | undefined} value
 */
export function share(value) {
  return isThere(value) ? `${Number((100 * Number(value)).toPrecision(2))}%` : "–";
}

/** @param {Row} row */
export function outcome({ outcome: said, reported, holds }) {
  if (said) return said;
  if (reported || holds === null || holds === undefined) return "reported";
  return holds ? "holds" : "fails";
}

const isThere = (/** @type {any} */ value) => value !== null && value !== undefined && value !== "";

/** @param {any} value */
export function cell(value) {
  if (!isThere(value)) return "–";
  return typeof value === "number" ? brief(value) : String(value);
}
