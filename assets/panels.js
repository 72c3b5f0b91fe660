// The race's four pictures. Each draws one moment of what the server sent; none keeps state.
import { NORMS, band, linear, logarithmic, polyline, ready, rule, text } from "./draw.js";

const LABELS = { left: 54, right: 12, top: 8, bottom: 34 };

function place(canvas, colours) {
  const { pen, width, height } = ready(canvas, colours);
  const box = {
    left: LABELS.left, right: width - LABELS.right, top: LABELS.top, bottom: height - LABELS.bottom,
  };
  return { pen, box };
}

function look(colours, norm) {
  const { colour, dash, name } = NORMS[norm];
  return { colour: colours.colours[colour], dash, name };
}

// [low, high] widened by decades until [smallest, largest] lies inside.
function widened([low, high], [smallest, largest]) {
  while (smallest < low && low > 1e-30) low /= 10;
  while (largest > high && high < 1e30) high *= 10;
  return [low, high];
}

function decades(pen, colours, box, scale, [low, high]) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.ceil((last - first + 1) / 7);
  for (let exponent = first; exponent <= last; exponent += 1) {
    const y = scale(10 ** exponent);
    rule(pen, colours, box.left, y, box.right, y, { alpha: 0.7 });
    if ((exponent - first) % every) continue;
    const words = exponent >= -2 && exponent <= 2 ? String(Number((10 ** exponent).toPrecision(1))) : `1e${exponent}`;
    text(pen, colours, words, box.left - 6, y, { align: "right", small: true });
  }
}

function steps(pen, colours, box, scale, horizon) {
  const parts = box.right - box.left < 320 ? 2 : 4;
  for (let part = 0; part <= parts; part += 1) {
    const step = (horizon / parts) * part;
    const align = part === parts ? "right" : part ? "center" : "left";
    text(pen, colours, part === parts ? `step ${step}` : String(step), scale(step), box.bottom + 14, { align, small: true });
  }
}

export function drawCurves(canvas, colours, lanes, { step, horizon, kind }) {
  const { pen, box } = place(canvas, colours);
  const across = linear(0, horizon, box.left, box.right);
  const reached = lanes.reached();
  const accuracy = kind === "accuracy";
  let up;
  if (accuracy) {
    up = linear(0, 1, box.bottom, box.top);
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      rule(pen, colours, box.left, up(share), box.right, up(share), { alpha: 0.7 });
      text(pen, colours, `${100 * share}%`, box.left - 6, up(share), { align: "right", small: true });
    }
    rule(pen, colours, box.left, up(0.1), box.right, up(0.1), { dash: [2, 4], colour: colours.text, alpha: 0.5 });
    const early = step < horizon / 2; // the lanes' names stand beside the playhead
    text(pen, colours, "guessing", early ? box.right : box.left + 4, up(0.1) + 9,
      { align: early ? "right" : "left", small: true, alpha: 0.8 });
  } else {
    const [smallest, largest] = lanes.extent("train_loss", 3, step);
    const range = widened([0.1, 4], [Math.max(1e-4, smallest), largest]);
    up = logarithmic(range[0], range[1], box.bottom, box.top);
    decades(pen, colours, box, up, range);
  }
  steps(pen, colours, box, across, horizon);
  const name = accuracy ? "val_accuracy" : "train_loss";
  const every = accuracy ? lanes.validateEvery : lanes.every * Math.ceil((reached + 1) / lanes.every / 700);
  const ends = [];
  pen.save();
  pen.beginPath();
  pen.rect(box.left, box.top - 4, box.right - box.left + 1, box.bottom - box.top + 4);
  pen.clip(); // what lies ahead may leave the axis, which fits what has been played
  lanes.names.forEach((norm, lane) => {
    const style = look(colours, norm);
    const points = (field, last) => {
      const found = [];
      for (let i = 0; i <= last; i += every) {
        const [mean, low, high] = [0, 1, 2].map((index) => lanes.at(lane, i, field, index));
        found.push([across(i), up(mean), up(low), up(high)]);
      }
      return found;
    };
    polyline(pen, points(name, Math.min(reached, horizon)), { ...style, alpha: 0.3, width: 1.5 });
    const past = points(name, step);
    band(pen, past.map(([x, , low, high]) => [x, low, high]), style);
    polyline(pen, past, style);
    const end = past.findLast(([, y]) => Number.isFinite(y));
    const lost = !lanes.at(lane, step, "seeds_left");
    if (end) ends.push({ ...style, y: end[1], name: lost ? `${style.name} ✕ diverged` : style.name });
    if (end && lost) text(pen, colours, "✕", end[0], end[1], { align: "center", colour: style.colour });
    if (accuracy && norm === "batch") {
      const rings = points("val_accuracy_batch", step);
      const apart = Math.max(1, Math.ceil(rings.length / 40));
      rings.forEach(([x, y], i) => {
        if (i % apart || !Number.isFinite(y)) return;
        pen.beginPath();
        pen.arc(x, y, 3, 0, 2 * Math.PI);
        pen.strokeStyle = style.colour;
        pen.lineWidth = 1.3;
        pen.stroke();
      });
    }
  });
  pen.restore();
  rule(pen, colours, across(step), box.top, across(step), box.bottom, { colour: colours.text, alpha: 0.6 });
  nameLanes(pen, colours, box, across(step), ends);
}

// Names beside the lines' ends, kept apart.
function nameLanes(pen, colours, box, x, ends) {
  pen.font = colours.font;
  const widest = Math.max(0, ...ends.map(({ name }) => pen.measureText(name).width));
  const rightwards = x + 9 + widest < box.right;
  ends.sort((a, b) => a.y - b.y);
  const apart = 15;
  let free = box.top + 6;
  for (const end of ends) free = apart + (end.at = Math.max(end.y, free));
  free = box.bottom - 6;
  for (const end of [...ends].reverse()) free = (end.at = Math.min(end.at, free)) - apart;
  for (const { name, colour, at } of ends) {
    const from = rightwards ? x + 7 : x - 7;
    const align = rightwards ? "left" : "right";
    pen.save();
    pen.strokeStyle = colours.page;
    pen.lineWidth = 4;
    pen.font = colours.font;
    pen.textAlign = align;
    pen.textBaseline = "middle";
    pen.strokeText(name, from, at);
    pen.restore();
    text(pen, colours, name, from, at, { align, colour });
  }
}

export function drawRidges(canvas, colours, lanes, { step, histogram }) {
  const { pen, box } = place(canvas, colours);
  const bins = lanes.edges.length - 1;
  const gap = 14;
  const wide = (box.right - box.left - gap * (lanes.names.length - 1)) / lanes.names.length;
  const top = box.top + 14;
  const tall = (box.bottom - top) / lanes.depth;
  const every = Math.ceil(13 / tall);
  const overlap = lanes.depth > 8 ? 2 : 1; // many thin rows reach into the one above, as ridges do
  for (let layer = 0; layer < lanes.depth; layer += 1) {
    if (layer % every) continue;
    text(pen, colours, lanes.depth < 9 && tall > 13 ? `layer ${layer + 1}` : String(layer + 1), box.left - 6, top + (layer + 0.75) * tall, { align: "right", small: true });
  }
  lanes.names.forEach((norm, lane) => {
    const { colour, name } = look(colours, norm);
    const left = box.left + lane * (wide + gap);
    const across = linear(lanes.edges[0], lanes.edges[bins], left, left + wide);
    text(pen, colours, name, left + wide / 2, box.top + 2, { align: "center", colour });
    for (const tick of wide < 120 ? [0] : [-4, -2, 0, 2, 4]) {
      rule(pen, colours, across(tick), top, across(tick), box.bottom, { alpha: 0.5 });
      if (Math.abs(tick) < 4) text(pen, colours, String(tick).replace("-", "−"), across(tick), box.bottom + 12, { align: "center", small: true });
    }
    for (let layer = 0; layer < lanes.depth; layer += 1) {
      const floor = top + (layer + 1) * tall;
      rule(pen, colours, left, floor, left + wide, floor, { alpha: 0.7 });
      pen.beginPath();
      pen.moveTo(left, floor);
      for (let bin = 0; bin < bins; bin += 1) {
        const share = lanes.at(lane, step, histogram, layer * bins + bin);
        const y = floor - Math.sqrt(Number.isFinite(share) ? share : 0) * (tall - 2) * overlap;
        pen.lineTo(across(lanes.edges[bin]), y);
        pen.lineTo(across(lanes.edges[bin + 1]), y);
      }
      pen.lineTo(left + wide, floor);
      pen.fillStyle = colour;
      pen.globalAlpha = 0.45;
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = colour;
      pen.lineWidth = 1;
      pen.stroke();
    }
    if (!lanes.at(lane, step, "seeds_left")) text(pen, colours, "diverged", left + wide / 2, top + tall / 2, { align: "center" });
  });
}

export function drawFlow(canvas, colours, lanes, { step }) {
  const { pen, box } = place(canvas, colours);
  const range = widened([1e-2, 1], lanes.extent("gradient_norm", 3 * lanes.depth, step));
  const vanished = lanes.names.some((_, lane) =>
    Array.from({ length: lanes.depth }, (_, layer) => lanes.at(lane, step, "gradient_norm", 3 * layer + 1)).includes(0));
  const up = logarithmic(range[0], range[1], box.bottom, box.top);
  decades(pen, colours, box, up, range);
  if (vanished) text(pen, colours, "on the floor: exactly 0", box.right, box.bottom - 8, { align: "right", small: true });
  const across = linear(0.6, lanes.depth + 0.4, box.left, box.right);
  const every = Math.ceil(lanes.depth / 10);
  for (let layer = 1; layer <= lanes.depth; layer += every) {
    text(pen, colours, String(layer), across(layer), box.bottom + 10, { align: "center", small: true });
  }
  text(pen, colours, "← toward the input · layer · toward the output →", (box.left + box.right) / 2, box.bottom + 26, { align: "center", small: true, alpha: 0.8 });
  lanes.names.forEach((norm, lane) => {
    const style = look(colours, norm);
    const points = [];
    for (let layer = 0; layer < lanes.depth; layer += 1) {
      const [mean, low, high] = [0, 1, 2].map((index) => lanes.at(lane, step, "gradient_norm", 3 * layer + index));
      points.push([across(layer + 1), up(mean), up(low), up(high)]);
    }
    band(pen, points.map(([x, , low, high]) => [x, low, high]), style);
    polyline(pen, points, style);
    for (const [x, y] of points) {
      if (!Number.isFinite(y)) continue;
      pen.beginPath();
      pen.arc(x, y, 3.5, 0, 2 * Math.PI);
      pen.fillStyle = style.colour;
      pen.fill();
    }
  });
}
