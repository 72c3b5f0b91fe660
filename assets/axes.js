// @ts-nocheck: the lab's own files have no types
// What the race's pictures share: the box of a plot, its axes, the look of each lane.
import { linear, looks, ready, rule, text } from "./draw.js";

const LABELS = { left: 54, right: 12, top: 8, bottom: 34 };

export function place(canvas, colours) {
  const { pen, width, height } = ready(canvas, colours);
  const box = {
    left: LABELS.left,
    right: width - LABELS.right,
    top: LABELS.top,
    bottom: height - LABELS.bottom,
  };
  return { pen, box };
}

// Where a step of training lies on a canvas with curves, and which step lies under a pixel.
export function clockScale(width, horizon) {
  return linear(0, horizon, LABELS.left, width - LABELS.right);
}

// short: a name without what the lane differs in, where no other lane has the same norm.
export function styles(colours, lanes) {
  const bare = lanes.lanes.map(({ name }) => name.replace(/ \(.*\)$/, ""));
  const alone = (name) => bare.filter((other) => other === name).length === 1;
  return looks(lanes.lanes.map(({ norm }) => norm)).map(({ colour, dash }, i) => ({
    colour: colours.colours[colour],
    dash,
    name: lanes.lanes[i].name,
    short: alone(bare[i]) ? bare[i] : undefined,
  }));
}

// [low, high] widened by decades until [smallest, largest] lies inside.
export function widened([low, high], [smallest, largest]) {
  while (smallest < low && low > 1e-30) low /= 10;
  while (largest > high && high < 1e30) high *= 10;
  return [low, high];
}

export function decades(pen, colours, box, scale, [low, high]) {
  const first = Math.ceil(Math.log10(low) - 1e-9),
    last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.ceil((last - first + 1) / 7);
  for (let exponent = first; exponent <= last; exponent += 1) {
    const y = scale(10 ** exponent);
    rule(pen, colours, box.left, y, box.right, y, { alpha: 0.7 });
    if ((exponent - first) % every) continue;
    const words = exponent >= -2 && exponent <= 2 ? String(Number((10 ** exponent).toPrecision(1))) : `1e${exponent}`;
    text(pen, colours, words, box.left - 6, y, { align: "right", small: true });
  }
}

export function steps(pen, colours, box, scale, horizon) {
  const parts = box.right - box.left < 320 ? 2 : 4;
  for (let part = 0; part <= parts; part += 1) {
    const step = (horizon / parts) * part;
    const align = part === parts ? "right" : part ? "center" : "left";
    text(pen, colours, part === parts ? `step ${step}` : String(step), scale(step), box.bottom + 14, {
      align,
      small: true,
    });
  }
}

// A lane's name in the room that there is. Where its norm alone doesn't tell it from other lanes, what it differs in
// does, in brackets: of that the first setting, and of a setting the end, where its value stands.
export function fitted(pen, { name, short }, room) {
  const fits = (some) => pen.measureText(some).width <= room;
  if (fits(name)) return name;
  const words = short ?? name;
  if (fits(words)) return words;
  const [, differs] = /\((.*)\)/.exec(words) ?? [];
  const settings = differs?.split(", ") ?? [];
  for (let count = settings.length; count > 0; count -= 1) {
    const some = settings.slice(0, count).join(", ") + (count < settings.length ? " …" : "");
    if (fits(some)) return some;
  }
  const whole = settings[0] ?? words;
  for (let left = whole.length - 1; left > 1; left -= 1) {
    const cut = differs ? `…${whole.slice(-left).trimStart()}` : `${whole.slice(0, left)}…`;
    if (fits(cut)) return cut;
  }
  return `${whole.slice(0, 1)}…`;
}
