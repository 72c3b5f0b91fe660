// @ts-nocheck: the lab's own files have no types
// Drawing on canvas in the page's own colours.

const LOOKS = {
  none: { colour: 1, dash: [9, 4] },
  batch: { colour: 0, dash: [] },
  layer: { colour: 2, dash: [10, 3, 2, 3] },
  group: { colour: 3, dash: [4, 3] },
  rms: { colour: 4, dash: [1.5, 3] },
};
const SPARE = [8, 7, 5, 6].map((colour, i) => ({
  colour,
  dash: [
    [6, 2, 1, 2],
    [3, 2],
    [12, 3],
    [2, 2],
  ][i],
}));

// A look for each lane, given their norms: those that race most keep their own, all others, and a second lane
// of a norm, get a spare one.
export function looks(norms) {
  let spare = 0;
  return norms.map((norm, i) => (norm in LOOKS && norms.indexOf(norm) === i ? LOOKS[norm] : SPARE[spare++]));
}

// The swatch of a lane's line, for legends: drawn by the same rule as its curve.
export function swatch(canvas, colours, { colour, dash }) {
  const { pen, width, height } = ready(canvas, colours);
  rule(pen, colours, 0, height / 2, width, height / 2, { colour: colours.colours[colour], dash, width: 3 });
}

export function theme(node) {
  const style = getComputedStyle(node);
  const variable = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  return {
    text: variable("--st-text-color", "#222"),
    page: variable("--st-background-color", "#fff"),
    line: variable("--st-border-color", "#ccc"),
    primary: variable("--st-primary-color", "#0b5cad"),
    colours: variable("--st-chart-categorical-colors", "#0072b2,#d55e00,#21a17e,#865a76,#222")
      .split(",")
      .map((colour) => colour.trim()),
    font: `13px ${style.fontFamily || "sans-serif"}`,
    small: `12px ${style.fontFamily || "sans-serif"}`,
  };
}

// A canvas as large as its box and as sharp as the screen, cleared and ready to be drawn on in CSS pixels.
export function ready(canvas, colours) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  const across = Math.round(width * ratio),
    down = Math.round(height * ratio);
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = colours.font;
  pen.lineJoin = "round";
  return { pen, width, height };
}

export function linear(low, high, from, to) {
  const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
  scale.invert = (pixel) => low + ((pixel - from) / (to - from)) * (high - low);
  return scale;
}

export function logarithmic(low, high, from, to) {
  const exponent = linear(Math.log10(low), Math.log10(high), from, to);
  return (value) => exponent(Math.log10(Math.min(Math.max(value, low), high)));
}

export function text(pen, colours, words, x, y, { align = "left", alpha = 1, small = false, colour } = {}) {
  pen.save();
  pen.font = small ? colours.small : colours.font;
  pen.textAlign = align;
  pen.textBaseline = "middle";
  pen.globalAlpha = alpha;
  pen.fillStyle = colour ?? colours.text;
  pen.fillText(words, x, y);
  pen.restore();
}

export function rule(pen, colours, x0, y0, x1, y1, { dash = [], width = 1, colour, alpha = 1 } = {}) {
  pen.save();
  pen.strokeStyle = colour ?? colours.line;
  pen.globalAlpha = alpha;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
  pen.restore();
}

// A line through (x[i], y[i]) that is interrupted where y isn't finite.
export function polyline(pen, points, { colour, dash = [], width = 2, alpha = 1 }) {
  pen.save();
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.globalAlpha = alpha;
  pen.setLineDash(dash);
  pen.beginPath();
  let drawing = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) {
      drawing = false;
      continue;
    }
    if (drawing) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    drawing = true;
  }
  pen.stroke();
  pen.restore();
}

export function band(pen, points, { colour, alpha = 0.18 }) {
  pen.save();
  pen.fillStyle = colour;
  pen.globalAlpha = alpha;
  let run = [];
  const fill = () => {
    if (run.length > 1) {
      pen.beginPath();
      for (const [x, low] of run) pen.lineTo(x, low); // the first one moves there
      for (const [x, , high] of run.reverse()) pen.lineTo(x, high);
      pen.fill();
    }
    run = [];
  };
  for (const point of points) {
    if (Number.isFinite(point[1]) && Number.isFinite(point[2])) run.push(point);
    else fill();
  }
  fill();
  pen.restore();
}
