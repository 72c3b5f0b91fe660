// @ts-nocheck: the lab's own files have no types
// The race's curves over training: each draws one moment of what the server sent; none keeps state.

import { clockScale, decades, fitted, place, steps, styles, widened } from "./axes.js";
import { band, linear, logarithmic, polyline, rule, text } from "./draw.js";
import { CURVES } from "./lanes.js";

// kind: "accuracy", "training" or "validation" (the losses); edits: steps at which something was changed.
export function drawCurves(canvas, colours, lanes, { step, horizon, kind, ghost, edits, hover }) {
  const { pen, box } = place(canvas, colours);
  const across = clockScale(box.right + 12, horizon);
  const reached = lanes.reached();
  const accuracy = kind === "accuracy";
  const name = CURVES[kind];
  let up;
  if (accuracy) {
    up = linear(0, 1, box.bottom, box.top);
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      rule(pen, colours, box.left, up(share), box.right, up(share), { alpha: 0.7 });
      text(pen, colours, `${100 * share}%`, box.left - 6, up(share), { align: "right", small: true });
    }
    if (lanes.guessing) guess(pen, colours, box, up(lanes.guessing), step < horizon / 2);
  } else {
    const [smallest, largest] = lanes.extent(name, false, step);
    const range = widened([0.1, 4], [Math.max(1e-4, smallest), largest]);
    up = logarithmic(range[0], range[1], box.bottom, box.top);
    decades(pen, colours, box, up, range);
  }
  steps(pen, colours, box, across, horizon);
  const every = kind === "training" ? lanes.every * Math.ceil((reached + 1) / lanes.every / 700) : lanes.validateEvery;
  const ends = [];
  pen.save();
  pen.beginPath();
  pen.rect(box.left, box.top - 4, box.right - box.left + 1, box.bottom - box.top + 4);
  pen.clip(); // what lies ahead may leave the axis, which fits what has been played
  styles(colours, lanes).forEach((style, lane) => {
    const points = (field, last) => {
      const found = [];
      for (let i = 0; i <= last; i += every) {
        const [mean, low, high] = [0, 1, 2].map((index) => lanes.at(lane, i, field, index));
        found.push([across(i), up(mean), up(low), up(high)]);
      }
      return found;
    };
    if (ghost)
      polyline(pen, ghostly(ghost, lane, name, horizon, across, up), {
        colour: style.colour,
        dash: [2, 3],
        width: 1.5,
        alpha: 0.75,
      });
    polyline(pen, points(name, Math.min(reached, horizon)), { ...style, alpha: 0.55, width: 1.5 });
    const past = points(name, step);
    band(
      pen,
      past.map(([x, , low, high]) => [x, low, high]),
      style,
    );
    polyline(pen, past, style);
    const end = past.findLast(([, y]) => Number.isFinite(y));
    const lost = !lanes.at(lane, step, "seeds_left");
    if (hover !== undefined) {
      const { value, words } = lanes.reading(lane, hover, kind);
      if (Number.isFinite(value)) ends.push(told(style, up(value), `${words} `, ""));
    } else if (end) ends.push(told(style, end[1], "", lost ? " ✕ diverged" : ""));
    if (end && lost) text(pen, colours, "✕", end[0], end[1], { align: "center", colour: style.colour });
    if (accuracy && lanes.lanes[lane].rings) rings(pen, style, points("val_accuracy_batch", step));
  });
  pen.restore();
  for (const changed of edits) {
    if (changed > horizon) continue;
    rule(pen, colours, across(changed), box.top, across(changed), box.bottom, {
      colour: colours.text,
      dash: [5, 4],
      alpha: 0.6,
    });
    text(pen, colours, "▾", across(changed), box.top - 1, { align: "center", small: true });
  }
  if (hover !== undefined)
    rule(pen, colours, across(hover), box.top, across(hover), box.bottom, { colour: colours.primary, alpha: 0.8 });
  rule(pen, colours, across(step), box.top, across(step), box.bottom, { colour: colours.text, alpha: 0.6 });
  nameLanes(pen, colours, box, across(hover ?? step), ends);
}

// The accuracy of guessing; early: the lanes' names stand beside the playhead.
function guess(pen, colours, box, y, early) {
  rule(pen, colours, box.left, y, box.right, y, { dash: [2, 4], colour: colours.text, alpha: 0.5 });
  text(pen, colours, "guessing", early ? box.right : box.left + 4, y + 9, {
    align: early ? "right" : "left",
    small: true,
    alpha: 0.8,
  });
}

function ghostly(ghost, lane, field, horizon, across, up) {
  const found = [];
  const { lanes, at } = ghost;
  if (lane >= lanes.lanes.length) return found;
  const every = field === "train_loss" ? lanes.every : lanes.validateEvery;
  const last = Math.min(horizon, ghost.reached(lane));
  for (let i = 0; i <= last; i += every) found.push([across(i), up(at(lane, i, field, 0))]);
  return found;
}

// Rings: what validation batches' own statistics give, beside the line of the running statistics.
function rings(pen, style, points) {
  const apart = Math.max(1, Math.ceil(points.length / 40));
  points.forEach(([x, y], i) => {
    if (i % apart || !Number.isFinite(y)) return;
    pen.beginPath();
    pen.arc(x, y, 3, 0, 2 * Math.PI);
    pen.strokeStyle = style.colour;
    pen.lineWidth = 1.3;
    pen.stroke();
  });
}

// A lane's end, with what is said before and behind its name.
function told({ name, short, ...style }, y, before, behind) {
  return { ...style, y, name: before + name + behind, short: short && before + short + behind };
}

// Names beside the lines' ends, kept apart.
function nameLanes(pen, colours, box, x, ends) {
  pen.font = colours.font;
  ends.sort((a, b) => a.y - b.y);
  const apart = 15;
  let free = box.top + 6;
  for (const end of ends) {
    end.at = Math.max(end.y, free);
    free = end.at + apart;
  }
  free = box.bottom - 6;
  for (const end of [...ends].reverse()) {
    end.at = Math.min(end.at, free);
    free = end.at - apart;
  }
  for (const { name, short, colour, at } of ends) {
    const right = box.right - x - 7,
      left = x - 7 - box.left;
    const rightwards = right >= Math.min(left, pen.measureText(name).width);
    const words = fitted(pen, { name, short }, rightwards ? right : left);
    const from = rightwards ? x + 7 : x - 7;
    const align = rightwards ? "left" : "right";
    pen.save();
    pen.strokeStyle = colours.page;
    pen.lineWidth = 4;
    pen.font = colours.font;
    pen.textAlign = align;
    pen.textBaseline = "middle";
    pen.strokeText(words, from, at);
    pen.restore();
    text(pen, colours, words, from, at, { align, colour });
  }
}
