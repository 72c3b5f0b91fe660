// The page's own colours and font, for what is drawn; and the lanes' swatches.
import { element } from "./controls.js";
import { palette } from "./scheme.js";

/** @import { Theme } from "./scheme.js" */

const FORCED = "(forced-colors: active)";
const CONTRAST = "(prefers-contrast: more)";

/** @type {Record<string, string>} */
const DASHES = { solid: "", dash: "9 5", dot: "2 3", dashdot: "10 3 2 3" };

/**
 * The colours in force where a node is. Canvases aren't repainted by forced colours, so they take the system's.
 *
 * @param {Element} node
 * @returns {Theme}
 */
export function theme(node) {
  const style = getComputedStyle(node);
  const family = style.fontFamily || "sans-serif";
  const fonts = { font: `13px ${family}`, small: `12px ${family}` };
  if (matchMedia(FORCED).matches) return { ...system(node), ...fonts };
  const variable = (/** @type {string} */ name, /** @type {string} */ otherwise) =>
    style.getPropertyValue(name).trim() || otherwise;
  const text = variable("--st-text-color", "#222");
  return {
    text,
    page: variable("--st-background-color", "#fff"),
    line: matchMedia(CONTRAST).matches ? text : variable("--st-border-color", "#ccc"),
    primary: variable("--st-primary-color", "#0b5cad"),
    colours: variable("--st-chart-categorical-colors", "#0072b2,#d55e00,#21a17e,#865a76,#222")
      .split(",")
      .map((colour) => colour.trim()),
    ...fonts,
  };
}

/**
 * The system's colours as numbers: figures fade them. There are fewer than the theme has: those of lanes with the same
 * dash (book/race/looks.py) stay apart.
 *
 * @param {Element} node
 */
function system(node) {
  const probe = element(/** @type {ParentNode} */ (node.parentNode ?? document.body), "span");
  const [text, page, link] = ["CanvasText", "Canvas", "LinkText"].map((name) => {
    probe.style.color = name;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  const grey = between(text, page, 0.4);
  return {
    text,
    page,
    line: text,
    primary: link,
    colours: [link, text, text, link, text, text, link, grey, link, grey],
  };
}

/** @param {string} one @param {string} other both as rgb(…) @param {number} share of the other */
function between(one, other, share) {
  const [from, to] = [one, other].map((colour) => (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number));
  return `rgb(${from.map((part, i) => Math.round(part + share * (to[i] - part))).join(", ")})`;
}

/**
 * Calls back whenever the reader's system asks for other contrast.
 *
 * @param {() => void} changed
 * @returns {() => void} ends it
 */
export function watchContrast(changed) {
  const queries = [FORCED, CONTRAST].map((query) => matchMedia(query));
  for (const query of queries) query.addEventListener("change", changed);
  return () => {
    for (const query of queries) query.removeEventListener("change", changed);
  };
}

/**
 * A short line as a lane's curves are drawn: their colour and dash. Empty until `paintSwatch`.
 *
 * @param {ParentNode} parent
 * @returns {SVGSVGElement}
 */
export function swatch(parent) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ class: "swatch", viewBox: "0 0 30 10", "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  const line = document.createElementNS(svg.namespaceURI ?? "", "path");
  line.setAttribute("d", "M0 5H30");
  line.setAttribute("stroke-width", "3");
  svg.append(line);
  parent.append(svg);
  return svg;
}

/**
 * @param {SVGSVGElement} svg
 * @param {{ colour: string, dash: string }} look as Python tells it
 * @param {Theme} colours
 */
export function paintSwatch(svg, { colour, dash }, colours) {
  svg.firstElementChild?.setAttribute("stroke", palette(colours)(colour));
  svg.firstElementChild?.setAttribute("stroke-dasharray", DASHES[dash] ?? "");
}
