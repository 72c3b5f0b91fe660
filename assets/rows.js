// Rows of dots on one axis, with histograms: a batch before and after. Draws what it is given, on any canvas.
import { brief } from "./controls.js";
import { linear, polyline, ready, rule, text } from "./draw.js";

export const LOW = -6.125, HIGH = 6.125;
export const ROWS = [
  { array: "x", name: "x", what: "what arrives" },
  { array: "normalized", name: "x̂", what: "(x − μ) / √(σ² + ε)" },
  { array: "y", name: "y", what: "γ · x̂ + β" },
];
export const OPERATIONS = ["x", "mean", "centred", "variance", "root", "divide", "gamma", "beta"];
// The rows of the walk through the transform: from which operation on each is there, and its mean and spread.
export const WALK = [
  { array: "x", name: "x", what: "what arrives", from: 0, mean: 1, spread: 9 },
  { array: "centred", name: "x − μ", what: "mean subtracted", from: 2, mean: 2, spread: 3 },
  { array: "normalized", name: "x̂", what: "divided by √(σ² + ε)", from: 5, mean: 5, spread: 5 },
  { array: "scaled", name: "γ · x̂", what: "scaled", from: 6, mean: 6, spread: 6 },
  { array: "y", name: "y", what: "γ · x̂ + β", from: 7, mean: 7, spread: 7 },
];
const NEWEST = [0, 0, 1, 1, 1, 2, 3, 4]; // the row that each operation is about
const MOST_THREADS = 64;
const AT_THE_WALL = 0.985;

export const LEGEND_LINE = 18;

const within = (value, low = LOW, high = HIGH) => Math.min(Math.max(value, low), high);

// picture: the server's answer. look: rows, selected dot, and for the walk the operation that is reached.
// look.below: room kept free at the foot. Returns where things are: the rows, each with its scale `across`
// and the height `dots` of its dots.
export function drawRows(canvas, colours, picture, look) {
  const { pen, width, height: whole } = ready(canvas, colours);
  const height = whole - (look.below ?? 0);
  const { arrays, numbers, magnified, wall_histogram_ends: ends } = picture;
  const own = magnified > 1; // x is tiny and has an axis of its own
  const left = width < 600 ? 30 : 150, right = width - 14, foot = height - 22;
  const scale = (factor) => Object.assign(linear(LOW / factor, HIGH / factor, left, right), { low: LOW / factor, high: HIGH / factor });
  const across = scale(1);
  const shares = look.rows.map((row) => (look.pool && row.array === "normalized" ? 2 : 1)); // of the height
  const unit = (foot - 4 - (own ? 18 : 0)) / shares.reduce((a, b) => a + b);
  const reached = look.operation === undefined ? 9 : OPERATIONS.indexOf(look.operation);
  let next = 2;
  const rows = look.rows.map((row, i) => {
    const top = next, tall = unit * shares[i];
    next += tall + (own && !i ? 18 : 0);
    return {
      ...row, top, tall, dots: top + tall - 16, there: reached >= (row.from ?? 0),
      across: own && row.array === "x" ? scale(magnified) : across,
    };
  });
  const draw = { pen, colours, width, height, left, right, rows, arrays, numbers, look, reached, across, ends };
  drawAxis(draw, across, own ? rows[1].top - 6 : 4, foot);
  if (own) drawOwnAxis(draw, rows[0]);
  const counts = (name) => [...(arrays[`${name}_histogram`] ?? [])];
  draw.most = Math.max(...look.rows.flatMap((row) => counts(row.array)), 4);
  if (look.operation !== undefined) drawThreads(draw, NEWEST[reached]);
  for (const row of rows) {
    drawHistogram(draw, row);
    if (row.array === "normalized" && row.there) drawWall(draw, row);
    drawNames(draw, row, own);
    if (row.there) drawDots(draw, row);
    if (row.there) drawSpread(draw, row);
    if (row.there) drawOutside(draw, row, picture.beyond[row.array]);
  }
  drawThread(draw);
  return { rows, across };
}

function drawAxis({ pen, colours }, across, top, foot) {
  for (let tick = -6; tick <= 6; tick += 1) {
    rule(pen, colours, across(tick), top, across(tick), foot, { alpha: tick ? 0.35 : 1 });
    if (tick % 2 === 0) text(pen, colours, brief(tick), across(tick), foot + 11, { align: "center", small: true });
  }
}

// Ticks at round numbers, as many as there is room for; they move apart while the axis is magnified.
function drawOwnAxis({ pen, colours, left, right }, row) {
  const { low, high } = row.across;
  const rough = (high - low) / (right - left > 500 ? 12 : 6);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((k) => k * power >= rough) * power;
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) {
    const x = row.across(k * step);
    rule(pen, colours, x, row.top, x, row.dots + 12, { alpha: k ? 0.35 : 1 });
    text(pen, colours, brief(k * step), x, row.top + row.tall + 7, { align: "center", small: true });
  }
}

// Bars for this batch; where many batches are pooled, theirs instead, filled, and theory as a line over either.
// Those of x̂ end at the walls.
function drawHistogram({ pen, colours, most, arrays, reached, across, look, left, ends }, row) {
  const counts = arrays[`${row.array}_histogram`];
  if (!counts || reached < 9) return;
  const theory = row.array === "normalized" && arrays.theory;
  const pooled = theory && look.pool && arrays.pooled;
  const floor = row.dots - 12, room = row.tall - (left > 100 ? 40 : 56);
  const highest = pooled ? Math.max(...pooled, ...theory) : Math.max(most, ...(theory || [0]));
  const up = (count) => floor - room * (count / highest);
  const end = row.array === "normalized" ? ends : HIGH;
  const bin = 2 * end / counts.length;
  pen.fillStyle = colours.colours[pooled ? 2 : 0];
  pen.globalAlpha = 0.75;
  (pooled || counts).forEach((count, i) => {
    if (!count) return;
    const from = across(i * bin - end), to = across((i + 1) * bin - end);
    pen.fillRect(from + 0.5, floor, to - from - 1, up(count) - floor);
  });
  pen.globalAlpha = 1;
  if (!theory) return;
  const line = [...theory].flatMap((count, i) => [i, i + 1].map((edge) => [across(edge * bin - end), up(count)]));
  polyline(pen, [[across(-end), floor], ...line, [across(end), floor]], { colour: colours.text, width: 2 });
}

// Where the dots of this batch can't go: beyond √(N−1).
function drawWall({ pen, colours, numbers, arrays, look, across, left }, row) {
  const value = arrays.normalized[look.selected];
  for (const side of [-1, 1]) {
    if (numbers.bound === 0) return;
    const bound = numbers.bound.toFixed(2);
    if (numbers.bound > HIGH) {
      const words = side < 0 ? `← wall at −${bound}` : `wall at ${bound} →`;
      if (side > 0 || left > 100) label(pen, colours, words, across(side * HIGH), row.top + 14, { align: side < 0 ? "left" : "right", small: true });
      continue;
    }
    const x = across(side * numbers.bound), end = across(side * HIGH);
    const touched = side * value > AT_THE_WALL * numbers.bound;
    const colour = touched ? colours.colours[1] : colours.text;
    pen.save();
    pen.fillStyle = colour;
    pen.globalAlpha = touched ? 0.18 : 0.07;
    pen.fillRect(Math.min(x, end), row.top + 4, Math.abs(end - x), row.tall - 8);
    pen.restore();
    rule(pen, colours, x, row.top + 4, x, row.top + row.tall - 4, { colour, width: touched ? 4 : 1.5, alpha: touched ? 1 : 0.6 });
    const outside = Math.abs(x - end) > 100;
    if (side > 0 || (outside && left > 100)) {
      label(pen, colours, `${side < 0 ? "−" : ""}√(N−1) = ${side < 0 ? "−" : ""}${bound}`,
        x + side * (outside ? 8 : -8), row.top + 14, { align: (side > 0) === outside ? "left" : "right", small: true, colour });
    }
  }
}

function drawNames({ pen, colours, left, rows, look }, row, own) {
  const what = own && row.array === "x" ? "on an axis of its own" : look.pool && row.array === "normalized" ? "of many such batches" : row.what;
  const alpha = row.there ? 1 : 0.4;
  if (left > 100) {
    const middle = rows.length > 3 ? row.dots - 10 : row.dots - 38;
    text(pen, colours, row.name, 4, middle, { alpha });
    text(pen, colours, what, 4, middle + 18, { alpha: 0.8 * alpha, small: true });
  } else {
    label(pen, colours, row.name, 4, row.top + 12, { alpha });
    label(pen, colours, what, 8 + pen.measureText(row.name).width, row.top + 12, { alpha: 0.8 * alpha, small: true });
  }
}

function drawDots({ pen, colours, arrays, look }, row) {
  const values = arrays[row.array], { low, high } = row.across;
  pen.fillStyle = colours.text;
  pen.globalAlpha = 0.45;
  pen.beginPath(); // one path: hundreds of single fills would cost the frame rate
  for (const value of values) {
    const x = row.across(within(value, low, high));
    pen.moveTo(x, row.dots);
    pen.arc(x, row.dots, 4.5, 0, 2 * Math.PI);
  }
  pen.fill();
  pen.globalAlpha = 1;
  const value = values[look.selected], inside = within(value, low, high);
  pen.beginPath();
  pen.arc(row.across(inside), row.dots, 8, 0, 2 * Math.PI);
  pen.fillStyle = colours.colours[1];
  pen.fill();
}

// What is farther out than the axis reaches, side by side at its end: the chosen dot, the mean, how many
// other dots.
function drawOutside({ pen, colours, arrays, numbers, look, reached }, row, beyond = [0, 0]) {
  const { low, high } = row.across, chosen = arrays[row.array][look.selected], mean = numbers[`${row.array}_mean`];
  const [blue, orange] = colours.colours;
  for (const side of [-1, 1]) {
    const outside = (value) => (side < 0 ? value < low : value > high);
    const others = beyond[side < 0 ? 0 : 1] - outside(chosen);
    const notes = [
      outside(chosen) && [brief(chosen), orange],
      reached >= (row.mean ?? 0) && outside(mean) && [`mean ${brief(mean)}`, blue],
      others > 0 && [`${others} beyond`, colours.text],
    ].filter(Boolean);
    let x = row.across(side < 0 ? low : high);
    for (const [words, colour] of notes) {
      const shown = side < 0 ? `← ${words}` : `${words} →`;
      label(pen, colours, shown, x, row.dots - 17, { align: side < 0 ? "left" : "right", small: true, colour });
      x -= side * (pen.measureText(shown).width + 10);
    }
  }
}

// Mean and one standard deviation to either side.
function drawSpread({ pen, colours, numbers, left, right, reached }, row) {
  const y = row.dots + 12, { low, high } = row.across;
  rule(pen, colours, left, y, right, y, { alpha: 0.6 });
  const mean = numbers[`${row.array}_mean`], std = numbers[`${row.array}_std`];
  const at = (value) => place(row, value);
  const colour = colours.colours[0];
  if (reached >= (row.spread ?? 0)) rule(pen, colours, at(mean - std), y, at(mean + std), y, { colour, width: 4 });
  if (reached >= (row.mean ?? 0) && mean >= low && mean <= high) {
    rule(pen, colours, at(mean), y - 30, at(mean), y + 3, { colour, width: 2 });
  }
}

// Words that stay readable on bars and lines.
function label(pen, colours, words, x, y, style) {
  pen.save();
  pen.font = style.small ? colours.small : colours.font;
  pen.textAlign = style.align ?? "left";
  pen.textBaseline = "middle";
  pen.strokeStyle = colours.page;
  pen.lineWidth = 4;
  pen.strokeText(words, x, y);
  pen.restore();
  text(pen, colours, words, x, y, style);
}

// Where a row shows a value: at its end what lies beyond it.
export const place = (row, value) => row.across(within(value, row.across.low, row.across.high));

// The way of the chosen dot through the rows.
function drawThread({ pen, colours, rows, arrays, look }) {
  const at = rows.filter((row) => row.there).map((row) => [
    place(row, arrays[row.array][look.selected]), row.dots,
  ]);
  for (let i = 1; i < at.length; i += 1) {
    rule(pen, colours, ...at[i - 1], ...at[i], { colour: colours.colours[1], dash: [4, 4], width: 1.5 });
  }
}

// The way of all dots into the newest row.
function drawThreads({ pen, colours, rows, arrays, left, right }, newest) {
  const row = rows[newest];
  pen.save();
  pen.fillStyle = colours.colours[0];
  pen.globalAlpha = 0.07;
  pen.fillRect(left, row.top + 2, right - left, row.tall - 2);
  pen.restore();
  if (!newest || arrays.x.length > MOST_THREADS) return;
  const before = rows[newest - 1];
  arrays[row.array].forEach((value, i) => {
    const from = place(before, arrays[before.array][i]);
    rule(pen, colours, from, before.dots, place(row, value), row.dots, { alpha: 0.9 });
  });
}

// The legend as part of the picture, from `top` down, in lines of LEGEND_LINE. marks: [sign, colour, words]
export function drawMarks(canvas, colours, marks, top) {
  const pen = canvas.getContext("2d");
  let x = 4, y = top + LEGEND_LINE / 2;
  for (const [sign, colour, words] of marks) {
    const length = pen.measureText(`${sign} ${words}`).width;
    if (x > 4 && x + length > canvas.clientWidth) [x, y] = [4, y + LEGEND_LINE];
    text(pen, colours, sign, x, y, { colour: colour === "inherit" ? colours.text : colour });
    text(pen, colours, words, x + pen.measureText(`${sign} `).width, y);
    x += length + 16;
  }
}
