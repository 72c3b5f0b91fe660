// How a race stands, in words: what is measured, why, when it would be otherwise, and where to read on.
import { element } from "./controls.js";
import { explain } from "./explain.js";
import { links } from "./scenes.js";

/**
 * @typedef {{step: number, text: string, because: string, change: string, read: [string, string][]}} Said
 */

export class Verdict {
  /** @param {HTMLElement} parent @param {Record<string, string>} terms what its words mean */
  constructor(parent, terms = {}) {
    this.box = element(parent, "section", "verdict", { "aria-label": "How the race stands" });
    const top = element(this.box, "div");
    const clear = terms["clear lead"];
    this.about = clear ? explain(top, "a clear lead", clear, this.box).about : undefined;
    this.text = element(top, "p", "text", { role: "status" });
    this.fix = element(top, "button", "fix", { type: "button", hidden: "" });
    this.reasons = element(this.box, "dl", "reasons");
    this.because = this.row("Why");
    this.change = this.row("What would change this");
    this.read = this.row("Read on");
    for (const cell of [this.because, this.change, this.read]) show(cell, false);
    this.step = -1; // of which the words are
    this.links = "";
    this.tallest = 0;
    this.width = 0;
  }

  /** @param {string} title */
  row(title) {
    const row = element(this.reasons, "div");
    element(row, "dt", "", {}, title);
    return element(row, "dd");
  }

  // What is on its way is another sentence: the old one is grey until then.
  fade() {
    this.box.classList.add("old");
  }

  /** @param {Said} said @param {string} before words in front of it */
  say({ step, text, because, change, read }, before = "") {
    this.step = step;
    this.box.classList.remove("old");
    write(this.text, before + text);
    this.fill(this.because, because);
    this.fill(this.change, change);
    const key = JSON.stringify(read);
    if (this.links !== key) {
      this.links = key;
      this.read.replaceChildren();
      links(this.read, read);
      show(this.read, read.length > 0);
    }
    this.keepRoom();
  }

  /** @param {string} words */
  note(words) {
    this.clear();
    this.allow();
    write(this.text, words);
    this.keepRoom();
  }

  // Why a race isn't computed, and a button with what would make it fit.
  /** @param {string} words @param {string} label @param {() => void} change */
  refuse(words, label, change) {
    this.clear();
    write(this.text, words);
    write(this.fix, `Show it with ${label}`);
    this.fix.onclick = change;
    this.fix.hidden = false;
    this.keepRoom();
  }

  allow() {
    if (this.fix.hidden) return;
    this.fix.hidden = true;
    this.clear();
  }

  /** @param {HTMLElement} cell @param {string} words */
  fill(cell, words) {
    write(cell, words);
    show(cell, words !== "");
  }

  // While the race plays, screen readers aren't told every sentence.
  /** @param {boolean} on */
  live(on) {
    const live = on ? "polite" : "off";
    if (this.text.getAttribute("aria-live") !== live) this.text.setAttribute("aria-live", live);
  }

  // What is below keeps its place, however long the words become.
  keepRoom() {
    const { box } = this;
    if (this.about?.hidden === false) return; // it takes room for a while only
    if (this.width !== box.clientWidth) this.tallest = 0;
    this.width = box.clientWidth;
    box.style.minHeight = "0";
    this.tallest = Math.max(this.tallest, box.offsetHeight);
    box.style.minHeight = `${this.tallest}px`;
  }

  clear() {
    this.say({ step: -1, text: "", because: "", change: "", read: [] });
  }

  // Another race: it needs other room.
  begin() {
    this.step = -1;
    this.tallest = 0;
  }

  get summary() {
    return [this.text.textContent, this.because.textContent].filter(Boolean).join(" ");
  }
}

/** @param {HTMLElement} node @param {string} words */
function write(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

/** @param {HTMLElement} cell @param {boolean} on */
function show(cell, on) {
  if (cell.parentElement) cell.parentElement.hidden = !on;
}
