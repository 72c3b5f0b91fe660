// Draws a heat map: one image, with a pixel for each cell; and pictures in colours.
import { cellEdges } from "./plotting.js";
import { shades } from "./scheme.js";

/**
 * @import { Look, Pen } from "./marks.js"
 * @import { Axis, Trace } from "./plotting.js"
 */

const known = (/** @type {number} */ shade) => Math.abs(shade) >= 0; // not NaN

/** @type {Map<string, any>} */
const sheets = new Map(); // images by their size, written anew for every heat map

/** @param {Pen} pen @param {Trace} trace @param {[Axis, Axis]} axes @param {Look} look */
export function drawCells(pen, { z, zmin, zmax, colorscale, xgap = 0, ygap = 0, ...trace }, [x, y], look) {
  const edges = [
    [trace.x, z[0].length, x],
    [trace.y, z.length, y],
  ].map(([centres, count, axis]) =>
    cellEdges(centres, count, axis).map((/** @type {number} */ place) => axis.offset + axis.slope * place),
  );
  // Where cells aren't of one size, the image has as many pixels as the screen shows points.
  const sides = edges.map((side) => {
    const start = side[0],
      whole = side[side.length - 1] - start,
      count = side.length - 1;
    const even = side.every((edge, k) => Math.abs(edge - start - (whole * k) / count) < 0.5);
    const length = even ? count : Math.max(1, Math.round(Math.abs(whole)));
    const cells = Array.from({ length }, (_, k) => {
      const at = start + (whole * (k + 0.5)) / length;
      return even ? k : side.findIndex((edge, i) => (at - edge) * (at - side[i + 1]) <= 0);
    });
    return { cells: whole < 0 ? cells.reverse() : cells, from: Math.min(...side), length: Math.abs(whole) };
  });
  const [across, down] = sides,
    wide = across.cells.length,
    tall = down.cells.length;
  const image = sheets.get(`${wide} ${tall}`) ?? sheet(wide, tall);
  if (sheets.size > 16) sheets.clear();
  sheets.set(`${wide} ${tall}`, image);
  const ink = shades(colorscale, look.theme),
    sharpen = image.getContext("2d"),
    bits = sharpen.createImageData(wide, tall);
  const colours = new Uint32Array(bits.data.buffer),
    step = 255 / (zmax - zmin || 1);
  down.cells.forEach((row, i) => {
    for (let k = 0, values = z[row]; k < wide; k += 1) {
      const shade = Math.round((values[across.cells[k]] - zmin) * step);
      colours[i * wide + k] = known(shade) ? ink[Math.min(255, Math.max(0, shade))] : 0;
    }
  });
  sharpen.putImageData(bits, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, across.from, down.from, across.length, down.length);
  pen.fillStyle = look.theme.page;
  if (xgap) for (const edge of edges[0]) pen.fillRect(edge - xgap / 2, down.from, xgap, down.length);
  if (ygap) for (const edge of edges[1]) pen.fillRect(across.from, edge - ygap / 2, across.length, ygap);
}

/** @type {WeakMap<Uint8Array[], any>} */
const pictures = new WeakMap(); // images by their pixels, which never change

/** @param {Pen} pen @param {Trace} trace @param {[Axis, Axis]} axes */
export function drawPicture(pen, trace, axes) {
  const [x, y] = axes,
    { left, right, top, bottom } = frame(trace, axes);
  const mirrored = x.slope * (trace.dx ?? 1) < 0,
    turned = y.slope * (trace.dy ?? 1) < 0; // in pixels of the screen, y runs downwards
  if (!pictures.has(trace.z)) pictures.set(trace.z, coloured(trace.z));
  pen.save();
  pen.translate(mirrored ? right : left, turned ? bottom : top);
  pen.scale(mirrored ? -1 : 1, turned ? -1 : 1);
  pen.imageSmoothingEnabled = true; // a photograph, unlike cells, is not to be counted
  pen.drawImage(pictures.get(trace.z), 0, 0, right - left, bottom - top);
  pen.restore();
}

/** @param {Uint8Array[]} z rows with red, green and blue in turn */
function coloured(z) {
  const wide = z.length && z[0].length / 3,
    image = sheet(wide, z.length),
    own = image.getContext("2d"),
    bits = own.createImageData(wide, z.length);
  z.forEach((row, i) => {
    for (let k = 0; k < wide; k += 1)
      bits.data.set([row[3 * k], row[3 * k + 1], row[3 * k + 2], 255], 4 * (i * wide + k));
  });
  own.putImageData(bits, 0, 0);
  return image;
}

/**
 * Where a picture lies, in pixels of the screen.
 * @param {Trace} trace @param {[Axis, Axis]} axes
 */
export function frame({ z, x0 = 0, y0 = 0, dx = 1, dy = 1 }, [x, y]) {
  const ends = (
    /** @type {Axis} */ axis,
    /** @type {number} */ from,
    /** @type {number} */ step,
    /** @type {number} */ n,
  ) =>
    [from - step / 2, from + step * (n - 0.5)].map((place) => axis.offset + axis.slope * place).sort((a, b) => a - b);
  const [left, right] = ends(x, x0, dx, (z[0]?.length ?? 0) / 3),
    [top, bottom] = ends(y, y0, dy, z.length);
  return { left, right, top, bottom };
}

/** @param {number} width @param {number} height @returns {any} */
export function sheet(width, height) {
  if (globalThis.OffscreenCanvas) return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement("canvas"), { width, height });
}
