// Keys as people expect them, in chapters and in the training lab; a list of them opens with "?".
import { element } from "./controls.js";

// What has the focus keeps the keys that it does something with itself.
const MOVES = /^(Arrow|Page)|^(Home|End)$/;
const ALL = /./;
/** @type {[selector: string, keys: RegExp][]} */
const TAKEN = [
  ["dialog, textarea, select, [contenteditable], [role=listbox]", ALL],
  ["input:not([type=range], [type=checkbox], [type=radio])", ALL],
  ["input[type=range], [role=slider]", MOVES],
  ["input[type=radio], [role=radio]", /^Arrow|^ $/],
  ["input[type=checkbox], button, summary", /^ $/],
];

/**
 * @typedef {object} Frame what keys do where
 * @property {HTMLElement} room where the list of keys is shown
 * @property {HTMLElement} [help] the button that opens it
 * @property {() => [keys: string, what: string][]} known the keys that do something now
 * @property {(key: string, event: KeyboardEvent) => boolean} act whether it did
 */

export class Keys {
  /** @param {Frame} frame */
  constructor(frame) {
    this.frame = frame;
    this.listen = (/** @type {KeyboardEvent} */ event) => this.press(event);
    document.addEventListener("keydown", this.listen);
    this.list = element(frame.room, "dl", "keys", { "aria-label": "Keys" });
    this.list.hidden = true;
    frame.help?.setAttribute("aria-expanded", "false");
  }

  toggle() {
    this.list.replaceChildren();
    for (const [keys, what] of [...this.frame.known(), ["?", "this list; Escape closes it"]]) {
      element(this.list, "dt", "", {}, keys);
      element(this.list, "dd", "", {}, what);
    }
    this.list.hidden = !this.list.hidden;
    this.frame.help?.setAttribute("aria-expanded", String(!this.list.hidden));
    if (!this.list.hidden) this.list.scrollIntoView({ block: "nearest" });
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.composedPath()[0];
    if (target instanceof Element && isTaken(event.key, target)) return;
    if (this.act(event)) event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  act(event) {
    if (event.key === "?") this.toggle();
    else if (event.key === "Escape" && !this.list.hidden) this.toggle();
    else return this.frame.act(event.key, event);
    return true;
  }

  destroy() {
    document.removeEventListener("keydown", this.listen);
  }
}

/**
 * Whether a key belongs to what has the focus.
 *
 * @param {string} key
 * @param {{closest: (selector: string) => any}} target
 */
export function isTaken(key, target) {
  return TAKEN.some(([selector, keys]) => keys.test(key) && target.closest(selector));
}

/**
 * The number of a choice that a digit stands for; undefined where it is no digit.
 *
 * @param {string} key
 */
export function digit(key) {
  return /^[1-9]$/.test(key) ? Number(key) - 1 : undefined;
}
