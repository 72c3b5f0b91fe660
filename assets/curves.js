// A curve of theory over a logarithmic axis, with the measured point on it.
import { linear, logarithmic, polyline, ready, rule, text } from "./draw.js";

const TICKS = [0, 0.25, 0.5, 0.75, 1];

// x, y: the curve; low, high: ends of the axis; ticks: [value, words]; point: [x, y], measured, if there is one
export function drawCurve(canvas, colours, { x, y, low, high, ticks, percent, label, point }) {
  const { pen, width, height } = ready(canvas, colours);
  const across = logarithmic(low, high, 42, width - 12), up = linear(0, 1, height - 38, 12);
  for (const tick of TICKS) {
    rule(pen, colours, 42, up(tick), width - 12, up(tick), { alpha: tick ? 0.5 : 1 });
    const words = percent ? `${100 * tick}%` : String(tick);
    if (tick !== 0.25 && tick !== 0.75) text(pen, colours, words, 36, up(tick), { align: "right", small: true });
  }
  for (const [value, words] of ticks) {
    rule(pen, colours, across(value), up(0), across(value), up(0) + 4);
    text(pen, colours, words, across(value), up(0) + 13, { align: "center", small: true });
  }
  text(pen, colours, label, (42 + width - 12) / 2, height - 8, { align: "center", small: true, alpha: 0.85 });
  polyline(pen, [...x].map((value, i) => [across(value), up(y[i])]), { colour: colours.text, width: 1.5 });
  if (!point) return;
  const [at, top] = [across(point[0]), up(point[1])];
  rule(pen, colours, at, up(0), at, top, { colour: colours.colours[0], width: 3, alpha: 0.6 });
  pen.beginPath();
  pen.arc(at, top, 6, 0, 2 * Math.PI);
  pen.fillStyle = colours.colours[0];
  pen.fill();
}
