// The one table of what figures may say and in which colours (schema.json): checks them, and exchanges their colours.
import schema from "./schema.json" with { type: "json" };

/**
 * @import { Figure } from "./plotting.js"
 * @typedef {{text: string, page: string, line: string, primary: string, colours: string[], font: string, small: string}}
 *   Theme what theme() says of the page (theme.js)
 */

// ---- what is allowed ----------------------------------------------------------------------------------------------

/** @type {Record<string, (value: any) => boolean>} */
const KINDS = {
  text: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  flag: (value) => typeof value === "boolean",
  colour: (value) => typeof value === "string",
  list: isList,
  cells: (value) => isList(value) && (!value.length || isList(value[0])),
  pixels: (value) => isList(value) && (!value.length || isList(value[0])),
  numbers: (value) => typeof value === "number" || isList(value),
  colours: (value) => typeof value === "string" || isList(value),
  any: () => true,
};

/** @param {any} value */
export function isList(value) {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/**
 * Throws on the first attribute that isn't in the table.
 * @param {any} given @param {Record<string, any>} table @param {string} path
 */
function check(given, table, path) {
  for (const name in given) {
    const value = given[name],
      rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (rule === undefined) {
      throw new Error(
        `${path}.${name}: figures have no such attribute here; they have ${Object.keys(table).join(", ")}`,
      );
    }
    if (value === null || value === undefined) continue;
    if (typeof rule === "string") {
      if (!KINDS[rule](value)) throw new Error(`${path}.${name}: ${shown(value)} is no ${rule}`);
    } else if (Array.isArray(rule)) {
      if (!rule.includes(value)) throw new Error(`${path}.${name}: ${shown(value)} is not one of ${rule.join(", ")}`);
    } else {
      if (typeof value !== "object" || isList(value)) throw new Error(`${path}.${name}: ${shown(value)} is no object`);
      check(value, rule, `${path}.${name}`);
    }
  }
}

const shown = (/** @type {any} */ value) => (JSON.stringify(value) ?? String(value)).slice(0, 60);

/** @type {Record<string, Record<string, any>>} */
const KNOWN = Object.fromEntries(
  Object.entries(schema.traces).map(([type, own]) => [type, { ...schema.traces.every, ...own }]),
);
export const AXIS = /^[xy]axis([2-9]|[1-9]\d+)?$/;
const valid = new WeakSet(); // figures never change: each arrives once and is drawn once or often

/**
 * Throws an Error that names the attribute, if a figure says anything that schema.json doesn't know.
 * @param {Figure} figure
 */
export function validate(figure) {
  if (valid.has(figure)) return;
  check(figure, { data: "list", layout: "any" }, "figure");
  figure.data.forEach((trace, i) => {
    const table = trace.type !== "every" && KNOWN[trace.type];
    if (!table)
      throw new Error(`data[${i}].type: ${shown(trace.type)} is not one of ${schema.traces.every.type.join(", ")}`);
    check(trace, table, `data[${i}]`);
    for (const letter of ["x", "y"]) {
      const id = trace[`${letter}axis`] ?? letter;
      if (!figure.layout[key(id)]) throw new Error(`data[${i}].${letter}axis: there is no layout.${key(id)}`);
    }
  });
  const [axes, rest] = [true, false].map((wanted) =>
    Object.entries(figure.layout).filter(([name]) => AXIS.test(name) === wanted),
  );
  for (const [name, says] of axes) {
    check(says, schema.axes, `layout.${name}`);
    for (const needed of ["range", "tickvals", "ticktext"]) {
      if (!says[needed]) throw new Error(`layout.${name}.${needed}: must be sent`);
    }
  }
  check(Object.fromEntries(rest), schema.layout, "layout");
  for (const list of /** @type {const} */ (["shapes", "annotations"])) {
    for (const [i, each] of (figure.layout[list] ?? []).entries()) check(each, schema[list], `layout.${list}[${i}]`);
  }
  valid.add(figure);
}

// "x2" is layout.xaxis2
export const key = (/** @type {string} */ id) => `${id[0]}axis${id.slice(1)}`;

// ---- colours ------------------------------------------------------------------------------------------------------

/** @type {Record<string, "text" | "page" | "line" | "primary">} */
const ROLES = {
  "--st-text-color": "text",
  "--st-background-color": "page",
  "--st-border-color": "line",
  "--st-primary-color": "primary",
};
/** @type {WeakMap<Theme, Map<string, string>>} */
const palettes = new WeakMap();

/**
 * What exchanges a figure's colours, those of the light theme, for the reader's.
 * @param {Theme} theme @returns {(colour: string) => string}
 */
export function palette(theme) {
  const known = palettes.get(theme) ?? new Map();
  palettes.set(theme, known);
  return (colour) => {
    if (known.size > 4096) known.clear();
    if (!known.has(colour)) known.set(colour, exchanged(colour, theme));
    return known.get(colour);
  };
}

/** @param {string} colour @param {Theme} theme */
function exchanged(colour, theme) {
  const parts = channels(colour);
  if (!parts) return colour;
  const hex = `#${parts
    .slice(0, 3)
    .map((part) => part.toString(16).padStart(2, "0"))
    .join("")}`;
  const role = /** @type {Record<string, string | number>} */ (schema.colours)[hex];
  if (role === undefined) return colour;
  const own = typeof role === "number" ? theme.colours[role % theme.colours.length] : theme[ROLES[role]];
  const through = channels(own);
  if (parts[3] === 1 || !through) return own;
  return `rgba(${through.slice(0, 3)},${Number((parts[3] * through[3]).toFixed(4))})`;
}

/**
 * Red, green, blue (0 to 255) and opacity (0 to 1); undefined where a colour isn't written in numbers.
 * @param {string} colour
 */
function channels(colour) {
  const hex = /^#([\da-f]{3}|[\da-f]{6})$/i.exec(colour)?.[1];
  const long = hex?.length === 3 ? [...hex].map((c) => c + c).join("") : hex;
  if (long) return [0, 2, 4].map((k) => Number.parseInt(long.slice(k, k + 2), 16)).concat(1);
  const parts = /^rgba?\(\s*(\d+)[,\s]+(\d+)[,\s]+(\d+)(?:[,/\s]+([\d.]+))?\s*\)$/i.exec(colour);
  return parts ? [1, 2, 3].map((k) => Number(parts[k])).concat(Number(parts[4] ?? 1)) : undefined;
}

/** @type {WeakMap<Theme, Map<string, Uint32Array>>} */
const scales = new WeakMap();

/**
 * 256 colours from a scale, as the bytes of an image.
 * @param {[number, string][]} scale @param {Theme} theme
 */
export function shades(scale, theme) {
  const name = JSON.stringify(scale),
    made = scales.get(theme) ?? new Map();
  scales.set(theme, made);
  if (made.has(name)) return made.get(name);
  const stops = scale.map(([share, each]) => ({ share: Number(share), parts: channels(palette(theme)(each)) }));
  const bytes = new Uint8ClampedArray(1024);
  for (let k = 0; k < 256; k += 1) {
    const end = Math.max(
        1,
        stops.findIndex(({ share }) => share >= k / 255),
      ),
      [a, b] = [stops[end - 1], stops[end]];
    if (!a.parts || !b.parts) throw new Error(`colorscale ${name}: write its colours as #rrggbb`);
    const t = (k / 255 - a.share) / (b.share - a.share || 1);
    for (let c = 0; c < 4; c += 1) bytes[4 * k + c] = (a.parts[c] + t * (b.parts[c] - a.parts[c])) * (c < 3 ? 1 : 255);
  }
  made.set(name, new Uint32Array(bytes.buffer));
  return made.get(name);
}
