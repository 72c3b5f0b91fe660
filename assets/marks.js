// Draws traces, shapes and annotations in the reader's colours, on a canvas or on its look-alike for SVG.
import { drawCells, drawPicture } from "./cells.js";
import { at, axesOf, barBox, points, SMALL, size } from "./plotting.js";

/**
 * @import { Axis, Figure, Geometry, Points, Trace } from "./plotting.js"
 * @import { Theme } from "./scheme.js"
 * @typedef {{theme: Theme, colour: (colour: string) => string, ratio: number, svg: boolean}} Look
 * @typedef {any} Pen a canvas' 2-D context, or that of SvgCanvas
 */

/** @type {Record<string, number[]>} */
const DASHES = { solid: [], dash: [9, 5], dot: [2, 3], dashdot: [10, 3, 2, 3] };
const JAGGED = 12, // pixels up and down per pixel across, from which a curve is drawn column by column
  JAGGED_DENSE = 3; // where each column has a point anyway
const MANY = 150; // points
const FLAT = 0.5,
  LEAP = 300; // pixels: a column that is no wider has one value; a line that leaves the plot isn't jagged
const PIECE = 64; // points stroked at once: a longer path costs more than its parts
export const BLUE = "#0072b2",
  INK = "#1b2430"; // where a figure says no colour

// ---- one trace ----------------------------------------------------------------------------------------------------

/** @param {Pen} pen @param {Figure} figure @param {Geometry} geometry @param {number} index @param {Look} look */
export function drawTrace(pen, figure, geometry, index, look) {
  const trace = figure.data[index],
    axes = axesOf(trace, geometry);
  pen.save();
  if (trace.cliponaxis !== false && !trace.meta?.drag) clip(pen, axes);
  pen.globalAlpha = trace.opacity ?? 1;
  if (trace.type === "bar") drawBars(pen, trace, geometry, look);
  else if (trace.type === "heatmap") drawCells(pen, trace, axes, look);
  else if (trace.type === "image") drawPicture(pen, trace, axes);
  else {
    const mode = trace.mode ?? "lines";
    if (trace.fill && trace.fill !== "none") drawFill(pen, figure, geometry, index, look);
    if (mode.includes("lines")) drawLine(pen, trace, geometry, look);
    if (mode.includes("markers")) drawMarkers(pen, trace, geometry, look);
    if (mode.includes("text")) drawTexts(pen, trace, geometry, look);
  }
  pen.restore();
}

/** @param {Pen} pen @param {[Axis, Axis]} axes */
function clip(pen, [x, y]) {
  pen.beginPath();
  pen.rect(x.from, y.to, x.to - x.from, y.from - y.to);
  pen.clip();
}

const known = (/** @type {number} */ pixel) => Math.abs(pixel) >= 0; // not NaN

/**
 * Whether x never goes back, and whether y goes up and down so much that a path would be slow and show no more.
 * @param {Points} points
 */
function form({ count, px, py }) {
  let way = 0,
    forwards = true;
  for (let i = 1; i < count; i += 1) {
    if (px[i] < px[i - 1]) forwards = false;
    const step = Math.abs(py[i] - py[i - 1]);
    if (known(step)) way += Math.min(step, LEAP);
  }
  const across = px[count - 1] - px[0],
    least = count > across ? JAGGED_DENSE : JAGGED;
  return { forwards, jagged: forwards && count > MANY && way > least * across };
}

/**
 * The lowest and highest pixel of a line in each column of pixels; NaN where there is none.
 * @param {Points} points @param {Axis} axis
 */
function columns({ count, px, py }, { left, right }) {
  const first = Math.floor(left),
    wide = Math.ceil(right) - first;
  const low = new Float64Array(wide).fill(Number.NaN),
    high = new Float64Array(wide).fill(Number.NaN);
  const put = (/** @type {number} */ column, /** @type {number} */ y) => {
    if (!(low[column] <= y)) low[column] = y; // instead of NaN, too
    if (!(high[column] >= y)) high[column] = y;
  };
  for (let i = 1; i < count; i += 1) {
    const x0 = px[i - 1] - first,
      y0 = py[i - 1],
      x1 = px[i] - first,
      y1 = py[i];
    if (!known(y1 - y0) || !(x1 >= 0 && x0 < wide)) continue;
    const from = Math.max(0, Math.floor(x0)),
      to = Math.min(wide - 1, Math.floor(x1));
    if (x0 >= 0) put(from, y0);
    if (x1 < wide) put(to, y1);
    for (let column = from; column < to; column += 1) {
      const y = y0 + ((y1 - y0) * (column + 1 - x0)) / (x1 - x0); // where it leaves this column
      put(column, y);
      put(column + 1, y);
    }
  }
  return { first, low, high };
}

/**
 * At most four points of each column of pixels, in place: the first, the lowest, the highest, the last; and gaps.
 * @param {Points} points @param {Axis} axis @returns {Points}
 */
function thinned({ count, px, py }, { left, right }) {
  if (count <= 2 * (right - left)) return { count, px, py };
  let kept = 0;
  for (let start = 0, end = 0; start < count; start = end) {
    let low = start,
      high = start,
      gap = start;
    for (end = start; end === start || (end < count && Math.floor(px[end]) === Math.floor(px[start])); end += 1) {
      if (!known(py[end])) gap = end;
      else if (!(py[end] >= py[low])) low = end;
      else if (!(py[end] <= py[high])) high = end;
    }
    let last = -1;
    const flat = gap === start && py[high] - py[low] < FLAT; // then its first point speaks for the column
    for (const i of flat ? [start] : [start, gap, low, high, end - 1].sort((a, b) => a - b)) {
      if (i === last) continue;
      [px[kept], py[kept], last] = [px[i], py[i], i];
      kept += 1;
    }
  }
  return { count: kept, px, py };
}

/** @param {Pen} pen @param {Trace} trace @param {Geometry} geometry @param {Look} look */
function drawLine(pen, trace, geometry, look) {
  const { width = 2, dash = "solid", shape } = trace.line ?? {};
  if (!width) return;
  const [x] = axesOf(trace, geometry),
    all = points(trace, geometry),
    { forwards, jagged } = form(all);
  const stepped = shape === "hv",
    dashes = DASHES[dash];
  styled(pen, trace.line ?? {}, look);
  if (jagged && !stepped) {
    const wide = pen.globalAlpha === 1 ? width : 1,
      period = dashes.reduce((a, b) => a + b, 0);
    const { first, low, high } = columns(all, x),
      { block, done } = blocks(pen, look);
    for (let i = 0; i < low.length; i += 1) {
      if (!known(low[i]) || (period && !inDash(dashes, i % period))) continue;
      block(first + i + (1 - wide) / 2, low[i] - width / 2, wide, high[i] - low[i] + width);
    }
    done();
    return;
  }
  const { count, px, py } = forwards ? thinned(all, x) : all;
  const whole = look.svg || dashes.length > 0 || pen.globalAlpha < 1;
  pen.beginPath();
  for (let i = 0, drawn = 0; i < count; i += 1) {
    if (!known(px[i] + py[i])) {
      drawn = 0;
      continue;
    }
    if (drawn && stepped) pen.lineTo(px[i], py[i - 1]);
    if (drawn) pen.lineTo(px[i], py[i]);
    else pen.moveTo(px[i], py[i]);
    drawn += 1;
    if (whole || drawn <= PIECE) continue;
    pen.stroke();
    pen.beginPath(); // the next piece begins with this one's last segment, so that the corner between is round
    pen.moveTo(px[i - 1], py[i - 1]);
    if (stepped) pen.lineTo(px[i], py[i - 1]);
    pen.lineTo(px[i], py[i]);
    drawn = 1;
  }
  pen.stroke();
}

/** @param {Pen} pen @param {Record<string, any>} line @param {Look} look */
export function styled(pen, { color = BLUE, width: lineWidth = 2, dash = "solid" }, { colour }) {
  Object.assign(pen, { strokeStyle: colour(color), fillStyle: colour(color), lineWidth, lineJoin: "round" });
  pen.setLineDash(DASHES[dash]);
}

// What fills many blocks: one by one on a canvas, where that is fastest, in one path in a file, where that is shortest.
/** @param {Pen} pen @param {Look} look @returns {{block: (...box: number[]) => void, done: () => void}} */
function blocks(pen, { svg }) {
  if (!svg) return { block: (...box) => pen.fillRect(...box), done: () => {} };
  pen.beginPath();
  return { block: (...box) => pen.rect(...box), done: () => pen.fill() };
}

/** @param {number[]} dashes @param {number} along */
function inDash(dashes, along) {
  let left = along;
  const part = dashes.findIndex((length) => {
    left -= length;
    return left < 0;
  });
  return part % 2 === 0;
}

/** @param {Pen} pen @param {Figure} figure @param {Geometry} geometry @param {number} index @param {Look} look */
function drawFill(pen, { data }, geometry, index, look) {
  const trace = data[index],
    [x, y] = axesOf(trace, geometry);
  pen.fillStyle = look.colour(trace.fillcolor ?? "rgba(0,114,178,0.18)");
  if (trace.fill === "toself") {
    drawPolygons(pen, points(trace, geometry));
    return;
  }
  const copied = (/** @type {Trace} */ of) => {
    const { count, px, py } = points(of, geometry);
    return { count, px: px.slice(0, count), py: py.slice(0, count) };
  };
  const beside = (/** @type {Trace} */ { type, xaxis = "x", yaxis = "y" }) =>
    type === "scatter" && xaxis === x.id && yaxis === y.id;
  const before = trace.fill === "tonexty" && data.slice(0, index).reverse().find(beside);
  const lines = [copied(trace), copied(before || trace)];
  if (!before)
    lines[1].py = lines[1].py.map((pixel) => (known(pixel) ? (y.type === "log" ? y.from : y.scale(0)) : pixel));
  const forms = lines.map(form);
  if (forms.every(({ forwards }) => forwards) && forms.some(({ jagged }) => jagged)) {
    const [a, b] = lines.map((line) => columns(line, x)),
      { block, done } = blocks(pen, look);
    for (let i = 0; i < a.low.length; i += 1) {
      const top = Math.min(a.low[i], b.low[i]),
        bottom = Math.max(a.high[i], b.high[i]);
      if (top <= bottom) block(a.first + i, top, 1, bottom - top);
    }
    done();
    return;
  }
  const [runs, backs] = lines.map((line, k) =>
    unbroken(forms[k].forwards ? thinned(line, x) : line, trace.line?.shape === "hv"),
  );
  runs.slice(0, backs.length).forEach((run, k) => {
    pen.beginPath();
    for (const [px, py] of run) pen.lineTo(px, py);
    for (const [px, py] of backs[k].reverse()) pen.lineTo(px, py);
    pen.fill();
  });
}

// Every part between two gaps is a closed polygon, filled by itself.
/** @param {Pen} pen @param {Points} points */
function drawPolygons(pen, { count, px, py }) {
  for (let i = 0, open = false; i <= count; i += 1) {
    const gap = i === count || !known(px[i] + py[i]);
    if (!gap && !open) pen.beginPath();
    if (!gap)
      pen.lineTo(px[i], py[i]); // the first one moves there
    else if (open) pen.fill();
    open = !gap;
  }
}

/**
 * The parts of a line between its gaps.
 * @param {Points} points @param {boolean} stepped
 */
function unbroken({ count, px, py }, stepped) {
  /** @type {[number, number][][]} */
  const runs = [];
  for (let i = 0, open = false; i < count; i += 1) {
    const gap = !known(px[i] + py[i]);
    if (!gap && !open) runs.push([]);
    else if (!gap && stepped) runs[runs.length - 1].push([px[i], py[i - 1]]);
    if (!gap) runs[runs.length - 1].push([px[i], py[i]]);
    open = !gap;
  }
  return runs;
}

/**
 * A symbol around (x, y): filled, or stroked where it consists of lines. Sizes are Plotly's.
 * @param {Pen} pen @param {Record<string, any>} marker @param {number} x @param {number} y @param {number} radius
 * @param {string} edge colour of its outline, or ""
 */
export function drawSymbol(pen, { symbol = "circle", line }, x, y, radius, edge) {
  const path = (/** @type {number[][]} */ ...corners) => {
    pen.moveTo(x + corners[0][0] * radius, y + corners[0][1] * radius);
    for (const [dx, dy] of corners.slice(1)) pen.lineTo(x + dx * radius, y + dy * radius);
  };
  pen.beginPath();
  if (symbol === "circle") pen.arc(x, y, radius, 0, 2 * Math.PI);
  else if (symbol === "square") path([-1, -1], [1, -1], [1, 1], [-1, 1]);
  else if (symbol === "diamond") path([0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]);
  else if (symbol === "line-ns") path([0, -1.4], [0, 1.4]);
  else if (symbol === "line-ew") path([-1.4, 0], [1.4, 0]);
  else for (const side of [-0.8, 0.8]) path([-0.8, side], [0.8, -side]);
  if (symbol === "x" || symbol.startsWith("line")) {
    pen.strokeStyle = symbol !== "x" && edge ? edge : pen.fillStyle;
    pen.lineWidth = symbol === "x" ? Math.max(2, radius / 2) : line?.width || 2;
    pen.stroke();
    return;
  }
  if (symbol !== "circle") pen.closePath();
  pen.fill();
  if (!line?.width || !edge) return;
  pen.strokeStyle = edge;
  pen.lineWidth = line.width;
  pen.stroke();
}

/** @param {Pen} pen @param {Trace} trace @param {Geometry} geometry @param {Look} look */
function drawMarkers(pen, { marker = {}, ...trace }, geometry, look) {
  const { count, px, py } = points(trace, geometry);
  const edge = marker.line?.color ? look.colour(marker.line.color) : "";
  pen.globalAlpha *= marker.opacity ?? 1;
  for (let i = 0; i < count; i += 1) {
    if (!known(px[i] + py[i])) continue;
    pen.fillStyle = look.colour(at(marker.color, i) ?? BLUE); // each by itself: one path of hundreds takes longer, and what overlaps would not darken
    drawSymbol(pen, marker, px[i], py[i], (at(marker.size, i) ?? 6) / 2, edge);
  }
}

/** @param {Pen} pen @param {Trace} trace @param {Geometry} geometry @param {Look} look */
function drawTexts(pen, { textposition = "middle center", textfont, marker, text, mode, ...trace }, geometry, look) {
  const { count, px, py } = points(trace, geometry),
    [down, across] = textposition.split(" ");
  const away = (mode.includes("markers") ? (at(marker?.size, 0) ?? 6) / 2 : 0) + 4;
  pen.font = sized(look.theme.small, textfont?.size ?? SMALL);
  pen.fillStyle = look.colour(textfont?.color ?? INK);
  pen.textAlign = across === "left" ? "right" : across === "right" ? "left" : "center"; // left of its point, right …
  pen.textBaseline = "middle";
  const dx = across === "left" ? -away : across === "right" ? away : 0;
  const dy = down === "top" ? -away - 5 : down === "bottom" ? away + 5 : 0;
  for (let i = 0; i < count; i += 1) {
    if (known(px[i] + py[i])) pen.fillText(String(at(text, i) ?? ""), px[i] + dx, py[i] + dy);
  }
}

/** @param {string} font @param {number} size */
export const sized = (font, size) => font.replace(/^[\d.]+px/, `${size}px`);

/** @param {Pen} pen @param {Trace} trace @param {Geometry} geometry @param {Look} look */
function drawBars(pen, trace, geometry, { colour, ratio }) {
  const { marker = {} } = trace,
    edge = marker.line?.width ? colour(marker.line.color ?? INK) : "";
  const sharp = (/** @type {number} */ pixel) => Math.round(pixel * ratio) / ratio;
  pen.globalAlpha *= marker.opacity ?? 1;
  for (let i = 0; i < size(trace); i += 1) {
    const { left, right, top, bottom } = barBox(trace, geometry, i);
    if (!known(top + bottom + left)) continue;
    const from = sharp(left),
      wide = sharp(right) - from;
    pen.fillStyle = colour(at(marker.color, i) ?? BLUE);
    pen.fillRect(from, top, edge || wide < 4 ? wide : wide - 1, bottom - top); // a line of page between neighbours
    if (!edge) continue;
    pen.strokeStyle = edge;
    pen.lineWidth = marker.line.width;
    pen.strokeRect(from, top, wide, bottom - top);
  }
}
