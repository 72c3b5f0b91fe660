// Native inputs from the server's table of controls: keyboard, touch and screen readers come with them.

const icon = (path) => `<svg viewBox="0 0 24 24" width="20" height="20" fill="currentColor" aria-hidden="true"><path d="${path}"/></svg>`;
export const ICONS = {
  play: icon("M7 4v16l13-8z"),
  pause: icon("M6 4h4v16H6zM14 4h4v16h-4z"),
  reset: icon("M5 4h3v16H5zM20 4v16L9 12z"),
};

export function element(parent, tag, className = "", attributes = {}, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  parent?.appendChild(node);
  return node;
}

export function button(parent, label, title, onClick) {
  const node = element(parent, "button", "", { type: "button", title, "aria-label": title }, label);
  node.addEventListener("click", onClick);
  return node;
}

export function written(value) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  const digits = size && (size < 1e-3 || size >= 1e5) ? power(size) : String(Number.isInteger(size) ? size : Number(size.toPrecision(4)));
  return value < 0 ? `−${digits}` : digits;
}

// To three digits, of what is large to the whole number.
export const rounded = (size) => (size >= 1000 ? Math.round(size) : Number(size.toPrecision(3)));

// A number as the sentences write it: three digits, a real minus, thousands and millions in full, what is
// tiny with a power of ten.
export function brief(value) {
  const size = Math.abs(value);
  const plain = size >= 1000 ? rounded(size).toLocaleString("en") : String(rounded(size));
  const digits = size && size < 1e-4 ? power(size) : plain;
  return value < 0 ? `−${digits}` : digits;
}

// As 3.14×10⁻⁵.
function power(size) {
  const [mantissa, exponent] = size.toExponential(2).split("e");
  const ten = `10${[...exponent].map((c) => RAISED[c] ?? "").join("")}`;
  return Number(mantissa) === 1 ? ten : `${Number(mantissa)}×${ten}`;
}
const RAISED = { "-": "⁻", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].map((digit, i) => [i, digit])) };

// onInput(value) while the finger moves, onChange() when it lets go.
export function slider(parent, control, { onInput, onChange }) {
  const row = element(parent, "label", "control");
  const head = element(row, "span", "head");
  element(head, "span", "name", {}, control.label);
  if (control.hint) element(head, "span", "hint", {}, control.hint);
  const output = element(head, "output");
  const input = element(row, "input", "", {
    type: "range", min: 0, max: control.stops.length - 1, step: 1, "data-control": control.name,
    "aria-label": control.hint ? `${control.label}: ${control.hint}` : control.label,
  });
  let moved = false;
  const settle = () => {
    if (!moved) return;
    moved = false;
    onChange();
  };
  input.addEventListener("input", (event) => {
    const value = control.stops[input.valueAsNumber];
    moved = true;
    show(value, false);
    onInput(value, event.timeStamp);
  });
  input.addEventListener("change", settle);
  // A finger that returns to where it began has moved too, but there is no "change" then.
  for (const end of ["pointerup", "pointercancel", "blur"]) input.addEventListener(end, () => setTimeout(settle));

  function show(value, place = true) {
    output.textContent = written(value);
    input.setAttribute("aria-valuetext", written(value));
    if (!place) return;
    let nearest = 0; // an address may hold a value between two stops
    control.stops.forEach((stop, i) => {
      if (Math.abs(stop - value) < Math.abs(control.stops[nearest] - value)) nearest = i;
    });
    input.value = nearest;
  }
  return { row, show };
}

export function choice(parent, control, { onInput, onChange }, names = {}) {
  const row = element(parent, "label", "control choice");
  const head = element(row, "span", "head");
  element(head, "span", "name", {}, control.label);
  const select = element(row, "select", "", { "data-control": control.name, "aria-label": control.label });
  for (const value of control.choices) {
    element(select, "option", "", { value }, (names[value] ?? value) + (control.hint ? ` ${control.hint}` : ""));
  }
  select.addEventListener("change", (event) => {
    onInput(control.choices.find((value) => String(value) === select.value), event.timeStamp);
    onChange();
  });
  return { row, show: (value) => { select.value = value; } };
}
