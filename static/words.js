// Words with formulas and code among them, and programs in colour. What draws them is loaded when it is needed first.
import { element } from "../assets/controls.js";

/** @typedef {{text: string, kind: "words" | "maths" | "code"}} Piece */

const SPECIAL = /\$([^$]+)\$|`([^`]+)`/g;

/**
 * A line as Python writes it: maths between dollars, code between backticks.
 *
 * @param {string} line
 * @returns {Piece[]}
 */
export function pieces(line) {
  /** @type {Piece[]} */
  const found = [];
  let end = 0;
  for (const match of line.matchAll(SPECIAL)) {
    if (match.index > end) found.push({ text: line.slice(end, match.index), kind: "words" });
    const [all, maths, code] = match;
    found.push(maths === undefined ? { text: code, kind: "code" } : { text: maths, kind: "maths" });
    end = match.index + all.length;
  }
  if (end < line.length) found.push({ text: line.slice(end), kind: "words" });
  return found;
}

/** @type {Map<string, Promise<any>>} */
const loaded = new Map();

/** @param {string} path @returns {Promise<any>} undefined where it can't be had: it is shown plainly then */
function load(path) {
  const known = loaded.get(path);
  if (known) return known;
  const coming = import(new URL(path, import.meta.url).href).catch(() => {
    loaded.delete(path); // the next time it is tried again
    return undefined;
  });
  loaded.set(path, coming);
  return coming;
}

async function painter() {
  const [core, python] = await Promise.all([load("highlight/core.js"), load("highlight/python.js")]);
  if (!core || !python) return undefined;
  core.default.registerLanguage("python", python.default);
  return core.default;
}

/** @param {HTMLElement} parent @param {string} line */
export function write(parent, line) {
  for (const { text, kind } of pieces(line)) {
    if (kind === "words") parent.append(text);
    else formula(element(parent, kind === "code" ? "code" : "span", kind === "maths" ? "maths" : "", {}, text), kind);
  }
}

/** @param {HTMLElement} node @param {Piece["kind"]} kind */
async function formula(node, kind) {
  if (kind !== "maths") return;
  await load("katex.js");
  const katex = Reflect.get(globalThis, "katex");
  if (katex) node.innerHTML = katex.renderToString(node.textContent, { output: "mathml", throwOnError: false });
}

const COPIED_MS = 2000;

/**
 * A program, with a button that copies it.
 *
 * @param {HTMLElement} parent
 * @param {string} source
 */
export function program(parent, source) {
  const box = element(parent, "div", "program");
  const pre = element(box, "pre", "", { tabindex: 0 });
  const code = element(pre, "code", "", {}, source);
  const copy = element(box, "button", "", { type: "button", "aria-label": "Copy the program" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source);
      copy.textContent = "Copied";
    } catch {
      getSelection()?.selectAllChildren(code); // no clipboard without https: it can be copied by hand
      copy.textContent = "Selected";
    }
    setTimeout(() => {
      copy.textContent = "Copy";
    }, COPIED_MS);
  });
  colour(code, source);
  return box;
}

/** @param {HTMLElement} code @param {string} source */
async function colour(code, source) {
  const paint = await painter();
  if (paint) code.innerHTML = paint.highlight(source, { language: "python" }).value;
}
