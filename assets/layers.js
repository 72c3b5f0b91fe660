// @ts-nocheck: the lab's own files have no types
// The race's pictures per layer, of one moment or over time; none keeps state.

import { decades, fitted, place, styles, widened } from "./axes.js";
import { band, linear, logarithmic, polyline, rule, text } from "./draw.js";

const GAP = 14;
const NO_UPDATE = "no update: it is exactly 0";
const RIDGES = 12,
  TALLEST = 36;

// One column a lane: its left edge, its width, and its heading drawn.
function columns(pen, colours, box, lanes) {
  const count = lanes.lanes.length;
  const wide = (box.right - box.left - GAP * (count - 1)) / count;
  return styles(colours, lanes).map((style, lane) => {
    const left = box.left + lane * (wide + GAP);
    pen.font = colours.font;
    text(pen, colours, fitted(pen, style, wide + GAP - 4), left + wide / 2, box.top + 2, {
      align: "center",
      colour: style.colour,
    });
    return { left, wide, ...style };
  });
}

function binAxis(pen, colours, { left, wide }, edges, top, bottom) {
  const across = linear(edges[0], edges.at(-1), left, left + wide);
  for (const tick of wide < 60 ? [0] : [-4, -2, 0, 2, 4]) {
    rule(pen, colours, across(tick), top, across(tick), bottom, { alpha: 0.5 });
    if (Math.abs(tick) < 4)
      text(pen, colours, String(tick).replace("-", "−"), across(tick), bottom + 12, { align: "center", small: true });
  }
  return across;
}

// A histogram on a floor: its outline, closed; heights are square roots of shares, so that tails show.
function ridge(pen, across, edges, floor, tall, share) {
  pen.beginPath();
  pen.moveTo(across(edges[0]), floor);
  for (let bin = 0; bin < edges.length - 1; bin += 1) {
    const value = share(bin);
    const y = floor - Math.sqrt(Number.isFinite(value) ? value : 0) * tall;
    pen.lineTo(across(edges[bin]), y);
    pen.lineTo(across(edges[bin + 1]), y);
  }
  pen.lineTo(across(edges.at(-1)), floor);
}

export function drawRidges(canvas, colours, lanes, { step, histogram }) {
  const { pen, box } = place(canvas, colours);
  const { edges } = lanes;
  const bins = edges.length - 1;
  const top = box.top + 14;
  const tall = (box.bottom - top) / lanes.depth;
  const every = Math.ceil(13 / tall);
  const overlap = lanes.depth > 8 ? 2 : 1; // many thin rows reach into the one above, as ridges do
  for (let layer = 0; layer < lanes.depth; layer += every) {
    const words = lanes.depth < 9 && tall > 13 ? `layer ${layer + 1}` : String(layer + 1);
    text(pen, colours, words, box.left - 6, top + (layer + 0.75) * tall, { align: "right", small: true });
  }
  columns(pen, colours, box, lanes).forEach(({ left, wide, colour }, lane) => {
    const across = binAxis(pen, colours, { left, wide }, edges, top, box.bottom);
    for (let layer = 0; layer < lanes.lanes[lane].depth; layer += 1) {
      const floor = top + (layer + 1) * tall;
      rule(pen, colours, left, floor, left + wide, floor, { alpha: 0.7 });
      ridge(pen, across, edges, floor, (tall - 2) * overlap, (bin) =>
        lanes.at(lane, step, histogram, layer * bins + bin),
      );
      pen.fillStyle = pen.strokeStyle = colour;
      pen.lineWidth = 1;
      pen.globalAlpha = 0.45;
      pen.fill();
      pen.globalAlpha = 1;
      pen.stroke();
    }
    if (!lanes.at(lane, step, "seeds_left"))
      text(pen, colours, "diverged", left + wide / 2, top + tall / 2, { align: "center" });
  });
}

// One layer's histograms, time running down; the present step is drawn darker. layer 0: the last one.
export function drawTime(canvas, colours, lanes, { step, horizon, layer, histogram }) {
  const { pen, box } = place(canvas, colours);
  const { edges } = lanes;
  const bins = edges.length - 1;
  const apart = Math.max(lanes.every, Math.round(horizon / RIDGES));
  const top = box.top + 14 + TALLEST;
  const down = linear(0, horizon, top, box.bottom);
  const past = [];
  for (let i = 0; i < step; i += apart) past.push(i);
  for (const i of [0, horizon / 2, horizon]) {
    text(pen, colours, String(i), box.left - 6, Math.min(down(i), box.bottom - 4), { align: "right", small: true });
  }
  columns(pen, colours, box, lanes).forEach(({ left, wide, colour }, lane) => {
    const across = binAxis(pen, colours, { left, wide }, edges, box.top + 12, box.bottom);
    const { depth } = lanes.lanes[lane];
    const number = (layer && layer <= depth ? layer : depth) - 1;
    for (const i of [...past, step]) {
      const now = i === step;
      ridge(pen, across, edges, down(i), TALLEST, (bin) => lanes.at(lane, i, histogram, number * bins + bin));
      pen.fillStyle = colours.page;
      pen.globalAlpha = 0.8;
      pen.fill();
      pen.fillStyle = pen.strokeStyle = colour;
      pen.globalAlpha = now ? 0.6 : 0.22;
      pen.fill();
      pen.globalAlpha = now ? 1 : 0.8;
      pen.lineWidth = now ? 2 : 1;
      pen.stroke();
      pen.globalAlpha = 1;
    }
  });
}

// A number per layer, toward the input on the left. scale: "log", "ratio" (log10 already) or "share".
export function drawLayers(canvas, colours, lanes, { step, field, scale, beside }) {
  const { pen, box } = place(canvas, colours);
  const up = SCALES[scale](pen, colours, box, lanes, step, field);
  const across = linear(0.6, lanes.depth + 0.4, box.left, box.right);
  const every = Math.ceil(lanes.depth / 10);
  for (let layer = 1; layer <= lanes.depth; layer += every) {
    text(pen, colours, String(layer), across(layer), box.bottom + 13, { align: "center", small: true });
  }
  text(pen, colours, "← input · layer · output →", (box.left + box.right) / 2, box.bottom + 28, {
    align: "center",
    small: true,
    alpha: 0.8,
  });
  styles(colours, lanes).forEach((style, lane) => {
    const points = (name) =>
      Array.from({ length: lanes.lanes[lane].depth }, (_, layer) => {
        const [mean, low, high] = [0, 1, 2].map((index) => lanes.at(lane, step, name, 3 * layer + index));
        return [across(layer + 1), up(mean), up(low), up(high)];
      });
    const found = points(field);
    band(
      pen,
      found.map(([x, , low, high]) => [x, low, high]),
      style,
    );
    polyline(pen, found, style);
    dots(pen, found, style.colour, true);
    if (beside) dots(pen, points(beside), style.colour, false);
  });
}

function dots(pen, points, colour, filled) {
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) continue;
    pen.beginPath();
    pen.arc(x, y, filled ? 3.5 : 5, 0, 2 * Math.PI);
    if (filled) pen.fill();
    else pen.stroke();
  }
}

const SCALES = {
  log(pen, colours, box, lanes, step, field) {
    const range = widened([1e-2, 1], lanes.extent(field, true, step));
    const up = logarithmic(range[0], range[1], box.bottom, box.top);
    decades(pen, colours, box, up, range);
    const vanished = lanes.lanes.some(({ depth }, lane) =>
      Array.from({ length: depth }, (_, layer) => lanes.at(lane, step, field, 3 * layer + 1)).includes(0),
    );
    if (vanished)
      text(pen, colours, "on the floor: exactly 0", box.right, box.bottom - 8, { align: "right", small: true });
    return up;
  },
  ratio(pen, colours, box, lanes, step, field) {
    const bounded = linear(-6, 0, box.bottom, box.top);
    for (const tick of [-6, -5, -4, -3, -2, -1, 0]) {
      rule(pen, colours, box.left, bounded(tick), box.right, bounded(tick), { alpha: 0.7 });
      text(pen, colours, String(tick).replace("-", "−"), box.left - 6, bounded(tick), { align: "right", small: true });
    }
    rule(pen, colours, box.left, bounded(-3), box.right, bounded(-3), { colour: colours.text, dash: [6, 4] });
    // The logarithm of an update of 0 isn't finite, and a lane that still learns has no other reason for that.
    const known = ({ depth }, lane) =>
      Array.from({ length: depth }, (_, layer) => lanes.at(lane, step, field, 3 * layer)).some(Number.isFinite);
    if (!lanes.lanes.some(known) && lanes.lanes.some((_, lane) => lanes.at(lane, step, "seeds_left") > 0)) {
      text(pen, colours, NO_UPDATE, (box.left + box.right) / 2, bounded(-2.5), { align: "center" });
    }
    return (value) => (Number.isNaN(value) ? NaN : bounded(Math.max(-6, Math.min(0, value))));
  },
  share(pen, colours, box) {
    const up = linear(0, 1, box.bottom, box.top);
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      rule(pen, colours, box.left, up(share), box.right, up(share), { alpha: 0.7 });
      text(pen, colours, `${100 * share}%`, box.left - 6, up(share), { align: "right", small: true });
    }
    return up;
  },
};
