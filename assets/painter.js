// Draws figures in Plotly's schema (schema.json says how much of it) on a canvas, 60 times a second, and reads them.
import { sheet } from "./cells.js";
import { BLUE, drawSymbol, drawTrace, INK, sized, styled } from "./marks.js";
import { at, breadth, geometry, isShown, place, SMALL, size, TEXT } from "./plotting.js";
import { readout } from "./reading.js";
import { palette } from "./scheme.js";
import { SvgCanvas } from "./svg.js";

export { geometry, place } from "./plotting.js";
export { nearest, readout, words } from "./reading.js";
export { palette, validate } from "./scheme.js";

/**
 * @import { Look, Pen } from "./marks.js"
 * @import { Axis, Figure, Geometry, Trace } from "./plotting.js"
 * @import { Readout } from "./reading.js"
 * @import { Theme } from "./scheme.js"
 * @typedef {{hover?: {px: number, py: number}, focus?: {trace: number, point: number}}} State
 */

const MOST_ROWS = 10;

// ---- a picture ----------------------------------------------------------------------------------------------------

/** @type {WeakMap<object, {key: string, theme: Theme, image: any}>} */
const layers = new WeakMap(); // by canvas: axes, ticks, titles and legend as they were last drawn

/**
 * Draws a figure as large as the canvas is; returns where everything is.
 * @param {HTMLCanvasElement | SvgCanvas} canvas
 * @param {Figure} figure never changed afterwards: a change is a new figure
 * @param {Theme} theme @param {State} [state] what the reader points at
 * @returns {Geometry}
 */
export function paint(canvas, figure, theme, state = {}) {
  const { clientWidth: width, clientHeight: height } = canvas,
    svg = canvas instanceof SvgCanvas;
  const ratio = svg ? 1 : globalThis.devicePixelRatio || 1;
  const across = Math.round(width * ratio),
    down = Math.round(height * ratio);
  if (!svg && (canvas.width !== across || canvas.height !== down))
    Object.assign(canvas, { width: across, height: down });
  /** @type {Pen} */
  const pen = canvas.getContext("2d");
  const places = geometry(figure, width, height),
    look = { theme, colour: palette(theme), ratio, svg };
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  still(canvas, pen, figure, places, look);
  const { shapes = [] } = figure.layout;
  for (const shape of shapes) if (shape.layer === "below") drawShape(pen, shape, places, look);
  figure.data.forEach((trace, i) => {
    if (isShown(trace)) drawTrace(pen, figure, places, i, look);
  });
  for (const shape of shapes) if (shape.layer !== "below") drawShape(pen, shape, places, look);
  for (const note of figure.layout.annotations ?? []) drawNote(pen, note, places, look);
  if (state.focus) drawFocus(pen, figure, places, state.focus, look);
  if (state.hover) drawReadout(pen, readout(figure, places, state.hover.px, state.hover.py), state.hover, places, look);
  return places;
}

// What rests is drawn once on a sheet of its own; while it moves, too, it is drawn directly.
/** @param {object} canvas @param {Pen} pen @param {Figure} figure @param {Geometry} places @param {Look} look */
function still(canvas, pen, figure, places, look) {
  const { width, height } = places,
    { ratio, theme } = look;
  if (look.svg) return drawStill(pen, figure, places, look);
  const key = JSON.stringify([
    width,
    height,
    ratio,
    Object.values(places.axes).map(({ says }) => says),
    figure.layout.margin,
    places.legend.map(({ trace, text }) => [trace, text, sample(figure.data[trace])]),
  ]);
  const layer = layers.get(canvas);
  if (layer?.key !== key || layer.theme !== theme) {
    layers.set(canvas, { key, theme, image: undefined });
    return drawStill(pen, figure, places, look);
  }
  if (!layer.image) {
    layer.image = sheet(Math.round(width * ratio), Math.round(height * ratio));
    const own = layer.image.getContext("2d");
    own.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawStill(own, figure, places, look);
  }
  pen.drawImage(layer.image, 0, 0, width, height);
}

/** @param {Pen} pen @param {Figure} figure @param {Geometry} places @param {Look} look */
function drawStill(pen, figure, places, look) {
  const axes = Object.values(places.axes).filter(({ says }) => says.visible !== false);
  for (const axis of axes) drawGrid(pen, axis, look);
  for (const axis of axes) drawLabels(pen, axis, places, look);
  for (const entry of places.legend) drawEntry(pen, entry, figure.data[entry.trace], look);
}

// A line along or across, on whole pixels of the screen.
/** @param {Pen} pen @param {Look} look @param {number} x @param {number} y @param {number} wide @param {number} tall */
function line(pen, { ratio }, x, y, wide, tall) {
  const sharp = (/** @type {number} */ pixel) => Math.round(pixel * ratio) / ratio;
  pen.fillRect(sharp(x), sharp(y), wide || 1, tall || 1);
}

/** @param {Pen} pen @param {Axis} axis @param {Look} look */
function drawGrid(pen, axis, look) {
  const { says, left, right, top, bottom, ticks } = axis,
    across = axis.id[0] === "x";
  pen.fillStyle = look.theme.line;
  const ruled = (/** @type {number} */ at, /** @type {number} */ alpha) => {
    pen.globalAlpha = alpha;
    if (across) line(pen, look, at - 0.5, top, 0, bottom - top);
    else line(pen, look, left, at - 0.5, right - left, 0);
  };
  if (says.showgrid !== false) for (const { at, text } of ticks) ruled(at, text ? 0.75 : 0.4);
  const zero = axis.scale(0);
  if (says.zeroline && (zero - axis.from) * (zero - axis.to) <= 0) for (const alpha of [1, 1]) ruled(zero, alpha);
  pen.globalAlpha = 1;
}

/** @param {Pen} pen @param {Axis} axis @param {Geometry} places @param {Look} look */
function drawLabels(pen, axis, { width, height, box }, look) {
  const { says, side, left, right, top, bottom, ticks, first } = axis,
    { theme } = look;
  const across = axis.id[0] === "x",
    edge = { left, right, top, bottom }[side] ?? 0;
  const out = side === "left" || side === "top" ? -1 : 1;
  pen.globalAlpha = 0.55;
  pen.fillStyle = theme.text;
  if (says.showline ?? across)
    line(
      pen,
      look,
      across ? left : edge - 0.5,
      across ? edge - 0.5 : top,
      across ? right - left : 0,
      across ? 0 : bottom - top,
    );
  if (says.ticks === "outside")
    for (const { at } of ticks) {
      const start = out > 0 ? edge : edge - 4;
      line(pen, look, across ? at - 0.5 : start, across ? start : at - 0.5, across ? 0 : 4, across ? 4 : 0);
    }
  pen.globalAlpha = 1;
  pen.font = theme.small;
  pen.textBaseline = "middle";
  if (says.showticklabels !== false)
    for (const { at, text, shown } of ticks) {
      if (!shown || !text) continue;
      const half = breadth(text) / 2;
      pen.textAlign = across ? "center" : out < 0 ? "right" : "left";
      if (across) pen.fillText(text, Math.min(Math.max(at, half + 2), width - half - 2), edge + out * 14);
      else pen.fillText(text, edge + out * 8, at);
    }
  if (!says.title?.text) return;
  pen.textAlign = "center";
  pen.font = theme.font;
  const labels = says.showticklabels !== false;
  if (across) {
    const words = cut(says.title.text, width - 16),
      half = breadth(words, TEXT) / 2;
    const middle = Math.min(Math.max((left + right) / 2, half + 4), width - half - 4);
    pen.fillText(words, middle, edge + out * (labels ? 33 : 14));
    return;
  }
  const room = first ? height : bottom - top,
    words = cut(says.title.text, room),
    half = breadth(words, TEXT) / 2;
  const widest = labels ? Math.max(0, ...ticks.map(({ text }) => breadth(text))) + 12 : 4;
  const x = first && edge === box.left ? 10 : edge + out * (widest + 8);
  pen.save();
  pen.translate(x, Math.min(Math.max((top + bottom) / 2, half + 2), height - half - 2));
  pen.rotate(-Math.PI / 2);
  pen.fillText(words, 0, 0);
  pen.restore();
}

/** @param {string} words @param {number} room @param {number} [size] */
function cut(words, room, size = TEXT) {
  if (breadth(words, size) <= room) return words;
  let short = words;
  while (short.length > 1 && breadth(`${short}…`, size) > room) short = short.slice(0, -1);
  return `${short.trimEnd()}…`;
}

// ---- legend -------------------------------------------------------------------------------------------------------

// What of a trace the legend shows.
/** @param {Trace} trace */
const sample = ({ type, mode = "lines", line, fill = "none", fillcolor, marker = {}, colorscale }) => ({
  line: type === "scatter" && mode.includes("lines") && line?.width !== 0 && { ...line },
  dot: type === "scatter" &&
    mode.includes("markers") && { ...marker, color: at(marker.color, 0), size: at(marker.size, 0) },
  area:
    type === "scatter" ? fill !== "none" && fillcolor : (colorscale?.[colorscale.length - 1][1] ?? at(marker.color, 0)),
  alpha: marker.opacity ?? 1,
});

/** @param {Pen} pen @param {import("./plotting.js").Entry} entry @param {Trace} trace @param {Look} look */
function drawEntry(pen, { x, y, width, text }, trace, look) {
  const { line, dot, area, alpha } = sample(trace),
    { colour, theme } = look;
  pen.save();
  if (area) {
    pen.globalAlpha = trace.type === "bar" ? alpha : 1;
    pen.fillStyle = colour(area);
    pen.fillRect(x, y - 6, 26, 12);
  }
  pen.globalAlpha = 1;
  if (line) {
    styled(pen, line, look);
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + 26, y);
    pen.stroke();
  }
  if (dot) {
    pen.globalAlpha = Math.max(0.6, alpha);
    pen.fillStyle = colour(dot.color ?? BLUE);
    drawSymbol(pen, dot, x + 13, y, Math.min(7, (dot.size ?? 6) / 2), dot.line?.color ? colour(dot.line.color) : "");
  }
  write(pen, cut(text, width - 31), x + 32, y, { font: theme.font, colour: theme.text });
  pen.restore();
}

/** @param {Pen} pen @param {string} words @param {number} x @param {number} y @param {Record<string, any>} style */
function write(pen, words, x, y, { font, colour, align = "left", baseline = "middle", halo = "" }) {
  Object.assign(pen, { font, textAlign: align, textBaseline: baseline, globalAlpha: 1, fillStyle: colour });
  if (halo) {
    Object.assign(pen, { strokeStyle: halo, lineWidth: 4, lineJoin: "round" });
    pen.strokeText(words, x, y);
  }
  pen.fillText(words, x, y);
}

// ---- shapes and annotations ---------------------------------------------------------------------------------------

// Where a coordinate lies, and between which pixels it may. As in Plotly, shapes on logarithmic axes say values and
// annotations exponents.
/** @param {string} letter @param {string} ref @param {any} value @param {Geometry} places @param {boolean} [exponent] */
function coordinate(letter, ref, value, { axes, box }, exponent = false) {
  const [name, domain] = ref.split(" "),
    axis = axes[name];
  if (!axis && ref !== "paper") throw new Error(`${letter}ref: there is no axis ${ref}`);
  const { from, to } = axis ?? (letter === "x" ? { from: box.left, to: box.right } : { from: box.bottom, to: box.top });
  const share = !axis || domain,
    plain = exponent && axis?.type === "log";
  const at = share ? from + value * (to - from) : plain ? axis.offset + axis.slope * value : axis.scale(value);
  return { at, from: Math.min(from, to), to: Math.max(from, to), share };
}

/** @param {Pen} pen @param {Record<string, any>} shape @param {Geometry} places @param {Look} look */
function drawShape(pen, { type, xref = "x", yref = "y", line, fillcolor, opacity = 1, ...ends }, places, look) {
  const [x0, x1, y0, y1] = ["x0", "x1", "y0", "y1"].map((end) =>
    coordinate(end[0], end[0] === "x" ? xref : yref, ends[end], places),
  );
  if (!Number.isFinite(x0.at + x1.at + y0.at + y1.at)) return;
  pen.save();
  pen.beginPath();
  if (!x0.share || !y0.share) {
    // as Plotly: what hangs on an axis ends with it
    const [across, down] = [
      x0.share ? { from: 0, to: places.width } : x0,
      y0.share ? { from: 0, to: places.height } : y0,
    ];
    pen.rect(across.from, down.from, across.to - across.from, down.to - down.from);
    pen.clip();
    pen.beginPath();
  }
  pen.globalAlpha = opacity;
  if (type === "rect") pen.rect(x0.at, y0.at, x1.at - x0.at, y1.at - y0.at);
  else {
    pen.moveTo(x0.at, y0.at);
    pen.lineTo(x1.at, y1.at);
  }
  styled(pen, { color: INK, ...line }, look);
  if (type === "rect" && fillcolor) {
    pen.fillStyle = look.colour(fillcolor);
    pen.fill();
  }
  if (line?.width !== 0) pen.stroke();
  pen.restore();
}

/** @param {Pen} pen @param {Record<string, any>} note @param {Geometry} places @param {Look} look */
function drawNote(pen, { x, y, xref = "x", yref = "y", text, font = {}, bgcolor, ...note }, places, { theme, colour }) {
  if (!text) return; // nothing to say at this moment
  const across = coordinate("x", xref, x, places, true),
    down = coordinate("y", yref, y, places, true);
  for (const { at, from, to, share } of [across, down]) if (!share && !(at >= from - 1 && at <= to + 1)) return;
  const size = font.size ?? SMALL,
    words = cut(String(text), places.width - 8, size),
    wide = breadth(words, size);
  const third = (/** @type {number} */ at, /** @type {string[]} */ names) => names[at < 1 / 3 ? 0 : at > 2 / 3 ? 2 : 1];
  const anchor = note.xanchor ?? (across.share ? third(x, ["left", "center", "right"]) : "center");
  const rest = note.yanchor ?? (down.share ? third(y, ["bottom", "middle", "top"]) : "middle");
  const before = anchor === "left" ? 0 : anchor === "right" ? wide : wide / 2; // how much of it is left of its place
  const start = across.at + (note.xshift ?? 0) - before;
  const left = Math.min(Math.max(start, 4), places.width - 4 - wide); // on a narrow screen, too, all of it is there
  const middle = down.at - (note.yshift ?? 0) + (rest === "top" ? 1 : rest === "bottom" ? -1 : 0) * (size / 2 + 2);
  const ink = colour(font.color ?? INK);
  if (bgcolor) {
    pen.globalAlpha = 1;
    pen.fillStyle = colour(bgcolor);
    pen.fillRect(left - 3, middle - size / 2 - 3, wide + 6, size + 6);
  }
  write(pen, words, left + before, middle, {
    font: sized(theme.small, size),
    colour: ink,
    align: anchor,
    halo: bgcolor || ink === theme.page ? "" : theme.page, // words in the page's colour stand on something dark
  });
}

// ---- what is pointed at --------------------------------------------------------------------------------------------

/** @param {Pen} pen @param {Figure} figure @param {Geometry} places @param {State["focus"]} focus @param {Look} look */
function drawFocus(pen, figure, places, focus, { theme }) {
  const trace = focus && figure.data[focus.trace]; // a new figure may have fewer
  if (!trace || !(focus.point < size(trace))) return;
  const { left, right, top, bottom } = place(figure, places, focus.trace, focus.point);
  Object.assign(pen, { globalAlpha: 1, strokeStyle: theme.primary, lineWidth: 3 });
  pen.beginPath();
  if (right > left) pen.rect(left - 1, top - 1, right - left + 2, bottom - top + 2);
  else pen.arc(left, top, 11, 0, 2 * Math.PI);
  pen.stroke();
}

/** @param {Pen} pen @param {Readout | undefined} read @param {{px: number, py: number}} pointer @param {Geometry} places @param {Look} look */
function drawReadout(pen, read, { px, py }, { width, height }, { theme, colour, ...look }) {
  if (!read) return;
  const { title, guide, axis } = read,
    rows = read.rows.slice(0, MOST_ROWS),
    more = read.rows.length - rows.length;
  pen.globalAlpha = 0.6;
  pen.fillStyle = theme.text;
  if (guide !== undefined) line(pen, { ...look, theme, colour }, guide - 0.5, axis.top, 0, axis.bottom - axis.top);
  pen.globalAlpha = 1;
  for (const row of read.rows) {
    if (guide === undefined) continue;
    pen.fillStyle = theme.page;
    drawSymbol(pen, { line: { width: 2 } }, row.px, row.py, 4.5, colour(row.colour));
  }
  const lines = rows
    .map(({ name, text }) => (name ? `${name}: ${text}` : text))
    .concat(more > 0 ? `… and ${more} more` : []);
  const wide = Math.min(width - 8, Math.max(1.1 * breadth(title), ...lines.map((each) => breadth(each) + 16)) + 20);
  const tall = 18 * (lines.length + 1) + 10,
    left = px + 16 + wide < width - 4 ? px + 16 : px - 16 - wide;
  const x = Math.min(Math.max(left, 4), width - 4 - wide),
    y = Math.min(Math.max(py - tall - 10, 4), Math.max(4, height - 4 - tall));
  pen.fillStyle = theme.page;
  pen.fillRect(x, y, wide, tall);
  Object.assign(pen, { strokeStyle: theme.text, lineWidth: 1 });
  pen.globalAlpha = 0.5;
  pen.strokeRect(x, y, wide, tall);
  write(pen, cut(title, (wide - 18) / 1.1, SMALL), x + 10, y + 15, { font: `bold ${theme.small}`, colour: theme.text });
  lines.forEach((words, i) => {
    const middle = y + 33 + 18 * i,
      row = rows[i];
    if (row) {
      pen.fillStyle = colour(row.colour);
      pen.fillRect(x + 10, middle - 5, 10, 10);
    }
    write(pen, cut(words, wide - 34, SMALL), x + 26, middle, { font: theme.small, colour: theme.text });
  });
}
