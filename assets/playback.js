// The controls that Python's table asks for: sliders, choices, rows of buttons, a button for the next one, and a
// playhead that plays; and what erases painted cells.
import { button, choice, element, explained, ICONS, slider } from "./controls.js";

const STEPS_A_SECOND = 30,
  LONGEST = 12; // seconds that playing takes

/**
 * @typedef {Record<string, any> & {name: string, kind: string, label: string, choices: string[], stops: number[]}} Control
 * @typedef {{onInput: (value: any, time: number) => void, onChange: () => void}} Listener
 * @typedef {{row: HTMLElement, show: (value: any) => void, stop?: () => void, toggle?: () => void,
 *   restart?: () => void}} Made
 */

/**
 * Builds what a setting is chosen with; nothing for a setting that figures or scenes change.
 *
 * @param {HTMLElement} parent
 * @param {Control} control
 * @param {Listener} listener
 * @returns {Made | undefined}
 */
export function build(parent, control, listener) {
  if (control.kind === "step") return playhead(parent, control, listener);
  if (control.kind === "next") return next(parent, control, listener);
  if (control.kind === "cells") return cells(parent, control, listener);
  if (control.kind === "choice" && control.look === "buttons") return row(parent, control, listener);
  if (control.kind === "choice" && control.group !== "hidden") return choice(parent, control, listener);
  return control.stops.length ? slider(parent, control, listener) : undefined;
}

/** @param {HTMLElement} parent @param {Control} control @param {Listener} listener @returns {Made} */
function next(parent, control, { onInput, onChange }) {
  let now = control.default;
  const node = button(
    parent,
    control.label,
    control.hint ? `${control.label}: ${control.hint}` : control.label,
    (event) => {
      onInput(now < control.high ? now + 1 : control.low, event.timeStamp);
      onChange();
    },
  );
  node.dataset.control = control.name;
  return {
    row: explained(node, /** @type {any} */ (control)),
    show: (value) => {
      now = value;
    },
  };
}

// How many cells are painted in a figure, and a button that erases all of them.
/** @param {HTMLElement} parent @param {Control} control @param {Listener} listener @returns {Made} */
function cells(parent, control, { onInput, onChange }) {
  const group = element(parent, "div", "control painted", { role: "group", "aria-label": control.label });
  const head = element(group, "span", "head");
  element(head, "span", "name", {}, control.label);
  element(head, "span", "hint", {}, control.hint);
  const count = element(head, "output");
  const erase = button(group, "Erase all", `${control.label}: erase all`, (event) => {
    onInput([], event.timeStamp);
    onChange();
  });
  erase.dataset.control = control.name;
  const show = (/** @type {number[]} */ value) => {
    count.textContent = String(value.length);
    erase.disabled = !value.length;
  };
  return { row: explained(group, /** @type {any} */ (control)), show };
}

/** @param {HTMLElement} parent @param {Control} control @param {Listener} listener @returns {Made} */
function row(parent, control, { onInput, onChange }) {
  const group = element(parent, "div", "control switch", {
    role: "radiogroup",
    "aria-label": control.label,
    "data-control": control.name,
  });
  const head = element(group, "span", "head");
  element(head, "span", "name", {}, control.label);
  if (control.hint) element(head, "span", "hint", {}, control.hint);
  const box = element(group, "span", "options");
  const options = control.choices.map((value, i) => {
    const option = element(
      box,
      "button",
      "",
      { type: "button", role: "radio", "data-value": value },
      control.names[i] ?? value,
    );
    option.addEventListener("click", (event) => {
      onInput(value, event.timeStamp);
      onChange();
    });
    return option;
  });
  group.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = options.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    if (!way || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const to = options[(at + way + options.length) % options.length];
    to.focus();
    to.click();
  });
  const show = (/** @type {string} */ value) =>
    options.forEach((option, i) => {
      const on = control.choices[i] === value;
      option.setAttribute("aria-checked", String(on));
      option.tabIndex = on ? 0 : -1;
    });
  return { row: explained(group, /** @type {any} */ (control)), show };
}

/** @param {HTMLElement} parent @param {Control} control @param {Listener} listener @returns {Made} */
function playhead(parent, control, { onInput, onChange }) {
  const box = element(parent, "div", "playhead", { role: "group", "aria-label": control.label });
  let now = control.default,
    playing = 0,
    began = 0,
    from = 0;
  const play = button(box, "", "Play", () => toggle());
  play.innerHTML = ICONS.play;
  const step = (/** @type {string} */ label, /** @type {string} */ title, /** @type {number} */ by) =>
    button(box, label, title, (event) => {
      stop();
      go(now + by, event.timeStamp);
      onChange();
    });
  step("−1", "One step back", -1);
  step("+1", "One step on", 1);
  const stops = control.stops.length
    ? control.stops
    : Array.from({ length: control.high - control.low + 1 }, (_, i) => control.low + i);
  const scrub = slider(box, /** @type {any} */ ({ ...control, stops }), {
    onInput: (value, time) => {
      stop();
      onInput(value, time);
    },
    onChange,
  });

  function go(/** @type {number} */ value, /** @type {number} */ time) {
    onInput(Math.min(Math.max(value, control.low), control.high), time);
  }
  function frame(/** @type {number} */ time) {
    const rate = Math.max(STEPS_A_SECOND, (control.high - control.low) / LONGEST);
    const value = Math.min(control.high, from + Math.floor(((time - began) / 1000) * rate));
    if (value !== now) go(value, time);
    if (value >= control.high) return stop(true);
    playing = requestAnimationFrame(frame);
  }
  function toggle() {
    if (playing) return stop(true);
    from = now >= control.high ? control.low : now;
    began = performance.now();
    playing = requestAnimationFrame(frame);
    face();
  }
  function stop(tell = false) {
    if (!playing) return;
    cancelAnimationFrame(playing);
    playing = 0;
    face();
    if (tell) onChange();
  }
  // From the beginning, for those who don't mind that it moves.
  function restart() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    go(control.low, performance.now());
    toggle();
  }
  function face() {
    play.innerHTML = playing ? ICONS.pause : ICONS.play;
    play.title = playing ? "Pause" : "Play";
    play.setAttribute("aria-label", play.title);
  }
  return {
    row: box,
    show: (value) => {
      now = value;
      scrub.show(value);
    },
    stop,
    toggle,
    restart,
  };
}
