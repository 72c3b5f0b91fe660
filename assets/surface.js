// @ts-nocheck: the lab's own files have no types
// Data in the plane, one square a lane: where a network decides what, or what it draws.

import { fitted, place, styles } from "./axes.js";
import { linear, text } from "./draw.js";

const GAP = 16,
  HEADING = 18;
const CLASS_COLOURS = [5, 8, 9]; // of the page's palette

export function drawSurfaces(canvas, colours, lanes, { step }) {
  const { pen, box } = place(canvas, colours);
  if (!lanes.window) return; // the race on the screen is still one on other data
  const count = lanes.lanes.length;
  const rows = count > 2 ? 2 : 1,
    columns = Math.ceil(count / rows);
  const width = box.right + 12,
    height = box.bottom + 34;
  const side = Math.min((width - GAP * (columns - 1)) / columns, height / rows - HEADING);
  const indent = (width - columns * side - (columns - 1) * GAP) / 2;
  styles(colours, lanes).forEach((style, lane) => {
    const x0 = indent + (lane % columns) * (side + GAP);
    const top = Math.floor(lane / columns) * (side + HEADING) + HEADING;
    pen.font = colours.font;
    text(pen, colours, fitted(pen, style, side + GAP - 2), x0 + side / 2, top - HEADING / 2, {
      align: "center",
      colour: style.colour,
    });
    if (lanes.network === "gan") {
      drawCloud(pen, colours, lanes, lane, step, { x0, top, side, colour: style.colour });
      return;
    }
    const values = lanes.surface(lane, step);
    if (values && Number.isFinite(values[0])) {
      pen.imageSmoothingEnabled = true;
      pen.drawImage(painted(values, colours), x0, top, side, side);
    } else text(pen, colours, "diverged", x0 + side / 2, top + side / 2, { align: "center" });
    drawPoints(pen, colours, lanes, x0, top, side);
    frame(pen, colours, x0, top, side);
  });
}

function frame(pen, colours, x0, top, side) {
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  pen.strokeRect(x0, top, side, side);
}

// Generated samples over real ones, which are faint.
function drawCloud(pen, colours, lanes, lane, step, { x0, top, side, colour }) {
  const [low, high] = lanes.window;
  const across = linear(low, high, x0, x0 + side),
    up = linear(low, high, top + side, top);
  let outside = 0;
  const dots = (points, radius, look) => {
    pen.fillStyle = look;
    outside = 0;
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = [points[i], points[i + 1]];
      if (!(x > low && x < high && y > low && y < high)) {
        outside += 1;
        continue;
      }
      pen.beginPath();
      pen.arc(across(x), up(y), radius, 0, 2 * Math.PI);
      pen.fill();
    }
  };
  pen.globalAlpha = 0.3;
  dots(lanes.points, side / 70, colours.text);
  pen.globalAlpha = 0.8;
  const cloud = lanes.cloud(lane, step);
  if (cloud) dots(cloud, side / 90, colour);
  pen.globalAlpha = 1;
  if (cloud && outside) text(pen, colours, `${outside} outside`, x0 + 4, top + side - 8, { small: true });
  if (!lanes.at(lane, step, "seeds_left"))
    text(pen, colours, "diverged", x0 + side / 2, top + side / 2, { align: "center" });
  frame(pen, colours, x0, top, side);
}

// A cell's number is its class plus the confidence, below 1; the first row is the lowest.
function painted(values, colours) {
  const side = Math.round(Math.sqrt(values.length));
  const image = new ImageData(side, side);
  const classes = CLASS_COLOURS.map((index) => channels(colours.colours[index]));
  const page = channels(colours.page);
  values.forEach((value, i) => {
    const colour = classes[Math.floor(value) % classes.length];
    const strength = 0.15 + 0.6 * (value - Math.floor(value));
    const row = side - 1 - Math.floor(i / side);
    const at = 4 * (row * side + (i % side));
    for (let k = 0; k < 3; k += 1) image.data[at + k] = page[k] + strength * (colour[k] - page[k]);
    image.data[at + 3] = 255;
  });
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function channels(colour) {
  const hex = colour.replace("#", "");
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function drawPoints(pen, colours, { points, labels, window: [low, high] }, x0, top, side) {
  const across = linear(low, high, x0, x0 + side),
    up = linear(low, high, top + side, top);
  for (let i = 0; i < labels.length; i += 1) {
    const [x, y] = [points[2 * i], points[2 * i + 1]];
    if (x < low || x > high || y < low || y > high) continue;
    pen.beginPath();
    pen.arc(across(x), up(y), side / 90, 0, 2 * Math.PI);
    pen.fillStyle = colours.colours[CLASS_COLOURS[labels[i] % CLASS_COLOURS.length]];
    pen.fill();
    pen.strokeStyle = colours.page;
    pen.lineWidth = 0.5;
    pen.stroke();
  }
}
