// Native inputs from the server's table of controls: keyboard, touch and screen readers come with them.
import { explain } from "./explain.js";
import { written } from "./numbers.js";

/**
 * A row of the server's table (book/controls.py).
 *
 * @typedef {object} Control
 * @property {string} name
 * @property {string} label
 * @property {string} [hint]
 * @property {string} [about] what it means, behind a "?"
 * @property {number[]} stops where a slider stops
 * @property {string[]} [shown] how Python writes each of them
 * @property {number[]} [marks] which of them have a mark
 * @property {(string | number)[]} choices of what else a choice is made
 * @property {string[]} [names] how each of them is called
 */

/**
 * What is told of a control: onInput(value) while the finger moves, onChange() when it lets go.
 *
 * @typedef {object} Listener
 * @property {(value: any, time: number) => void} onInput
 * @property {() => void} onChange
 */

/** @param {string} path */
const icon = (path) =>
  `<svg viewBox="0 0 24 24" width="20" height="20" fill="currentColor" aria-hidden="true"><path d="${path}"/></svg>`;
export const ICONS = {
  play: icon("M7 4v16l13-8z"),
  pause: icon("M6 4h4v16H6zM14 4h4v16h-4z"),
  reset: icon("M5 4h3v16H5zM20 4v16L9 12z"),
};

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {ParentNode | null | undefined} parent
 * @param {Tag} tag
 * @param {string} [className]
 * @param {Record<string, string | number | boolean>} [attributes]
 * @param {string | number} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(parent, tag, className = "", attributes = {}, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  if (text) node.textContent = String(text);
  parent?.append(node);
  return node;
}

/**
 * @param {ParentNode | null | undefined} parent
 * @param {string} label
 * @param {string} title
 * @param {(event: MouseEvent) => void} onClick
 */
export function button(parent, label, title, onClick) {
  const node = element(parent, "button", "", { type: "button", title, "aria-label": title }, label);
  node.addEventListener("click", onClick);
  return node;
}

/**
 * @param {ParentNode} parent
 * @param {Control} control
 * @param {Listener} listener
 */
export function slider(parent, control, { onInput, onChange }) {
  const row = element(parent, "label", "control");
  const head = element(row, "span", "head");
  element(head, "span", "name", {}, control.label);
  if (control.hint) element(head, "span", "hint", {}, control.hint);
  const output = element(head, "output");
  // Room for the longest of them: what stands beside it doesn't move while the value changes.
  const longest = Math.max(...(control.shown ?? []).map((words) => words.length), 0);
  output.style.minWidth = `min(${0.8 * longest}ch, 45vw)`;
  output.style.textAlign = "right";
  row.classList.toggle("wordy", longest > WORDY);
  const input = element(row, "input", "", {
    type: "range",
    min: 0,
    max: control.stops.length - 1,
    step: 1,
    "data-control": control.name,
    "aria-label": control.hint ? `${control.label}: ${control.hint}` : control.label,
  });
  let moved = false;
  const settle = () => {
    if (!moved) return;
    moved = false;
    onChange();
  };
  /** @param {Event} event */
  const follow = (event) => {
    const value = control.stops[input.valueAsNumber];
    moved = true;
    show(value, false);
    onInput(value, event.timeStamp);
  };
  const mayFollow = listenToFingers(input, follow, settle);
  input.addEventListener("input", (event) => {
    if (mayFollow()) follow(event);
  });
  input.addEventListener("change", settle);
  // A finger that returns to where it began has moved too, but there is no "change" then.
  for (const end of ["pointerup", "pointercancel", "blur"]) input.addEventListener(end, () => setTimeout(settle));

  /**
   * @param {number} value
   * @param {boolean} place whether the slider has to be put there
   */
  function show(value, place = true) {
    const words = called(control, value);
    output.textContent = words;
    input.setAttribute("aria-valuetext", words);
    if (!place) return;
    let nearest = 0; // an address may hold a value between two stops
    control.stops.forEach((stop, i) => {
      if (Math.abs(stop - value) < Math.abs(control.stops[nearest] - value)) nearest = i;
    });
    input.value = String(nearest);
  }
  if (control.marks?.length) {
    const marks = element(row, "span", "marks", { "aria-hidden": "true" });
    for (const mark of control.marks) {
      const share = control.stops.indexOf(mark) / (control.stops.length - 1);
      element(marks, "span", "", { style: `left: ${100 * share}%` }, written(mark));
    }
  }
  return { row: explained(row, control), show };
}

const WORDY = 10; // characters: beside longer values there is no room for a hint
const SURE = 8; // pixels after which it is clear where a finger wants to go

/**
 * A browser moves a slider to wherever a finger touches it, even if the finger then scrolls the page. Here it follows
 * once the finger has moved sideways; if it lifts without having moved, the slider goes to where it was.
 *
 * @param {HTMLInputElement} input
 * @param {(event: Event) => void} follow
 * @param {() => void} settle
 * @returns {() => boolean} whether the slider may go where the browser has put it; if not, it is back already
 */
export function listenToFingers(input, follow, settle) {
  /** @type {{ x: number, y: number, kept: string, touched: string, way: "" | "across" | "along" } | undefined} */
  let finger;
  input.addEventListener(
    "touchstart",
    ({ targetTouches: [{ clientX: x, clientY: y }] }) => {
      finger ??= { x, y, kept: input.value, touched: input.value, way: "" };
    },
    { passive: true },
  );
  input.addEventListener(
    "touchmove",
    ({ targetTouches: [{ clientX, clientY }] }) => {
      if (!finger || finger.way) return;
      const [along, across] = [Math.abs(clientX - finger.x), Math.abs(clientY - finger.y)];
      if (Math.max(along, across) >= SURE) finger.way = along > across ? "along" : "across";
    },
    { passive: true },
  );
  for (const end of /** @type {const} */ (["touchend", "touchcancel"])) {
    input.addEventListener(end, (event) => {
      if (!finger || event.targetTouches.length) return;
      const { way, kept, touched } = finger;
      finger = undefined;
      if (end === "touchcancel" || way || touched === kept) return;
      input.value = touched;
      follow(event);
      setTimeout(settle);
    });
  }
  return () => {
    if (!finger || finger.way === "along") return true;
    finger.touched = input.value;
    input.value = finger.kept;
    return false;
  };
}

/**
 * @param {ParentNode} parent
 * @param {Control} control
 * @param {Listener} listener
 */
export function choice(parent, control, { onInput, onChange }) {
  const row = element(parent, "label", "control choice");
  const head = element(row, "span", "head");
  element(head, "span", "name", {}, control.label);
  const select = element(row, "select", "", { "data-control": control.name, "aria-label": control.label });
  control.choices.forEach((value, i) => {
    element(select, "option", "", { value }, (control.names?.[i] || value) + (control.hint ? ` ${control.hint}` : ""));
  });
  select.addEventListener("change", (event) => {
    onInput(
      control.choices.find((value) => String(value) === select.value),
      event.timeStamp,
    );
    onChange();
  });
  return {
    row: explained(row, control),
    /** @param {string | number} value */
    show: (value) => {
      select.value = String(value);
    },
  };
}

/**
 * A value as the control shows it: a choice by its name.
 *
 * @param {Control} control
 * @param {any} value
 */
export function called({ choices, names, stops, shown }, value) {
  return names?.[choices.indexOf(value)] || shown?.[stops.indexOf(value)] || written(value);
}

/**
 * A control's row with its "?" beside it. A label holds one control only: the button stays outside of it.
 *
 * @param {HTMLElement} label
 * @param {Control} control
 * @returns {HTMLElement} what stands for the control in the page
 */
export function explained(label, { label: name, about }) {
  if (!about) return label;
  const row = element(null, "div", "explained");
  label.replaceWith(row);
  row.append(label);
  explain(row, name, about);
  return row;
}
