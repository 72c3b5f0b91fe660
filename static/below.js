// What is told below a picture: programs, sources, the ways on, experiments; in the order and the words of ui/page.py.
import { element } from "../assets/controls.js";
import { program, write } from "./words.js";

/**
 * @typedef {object} Beside what static/shell.py answers to "beside"; what a question hides is left out while it is open
 * @property {string | null} pytorch
 * @property {{what: string, source: string}[]} code
 * @property {[words: string, address: string][]} ways addresses below the root
 * @property {{title: string, address: string | null, command: string | null}[]} evidence
 * @property {boolean} open
 */

const CODE =
  "The functions that computed these pictures, read from the running program. Where a norm is among them, a short version of it comes first, for reading.";
/** @type {Record<string, string>} */
const ICONS = {
  terminal: "M3 4h18v16H3zM5 8v10h14V8zM7 9l4 4-4 4-1.4-1.4L8.2 13 5.6 10.4zM12 15h5v2h-5z",
  code: "M8.7 7.7L4.4 12l4.3 4.3-1.4 1.4L1.6 12l5.7-5.7zM15.3 7.7l4.3 4.3-4.3 4.3 1.4 1.4 5.7-5.7-5.7-5.7z",
  book: "M2 5c4-1 7-1 10 1 3-2 6-2 10-1v14c-4-1-7-1-10 1-3-2-6-2-10-1zM4 6.7v10.8c2.6-.4 4.9-.2 7 .7V7.7C8.9 6.6 6.7 6.3 4 6.7zM20 6.7c-2.7-.4-4.9-.1-7 1v10.5c2.1-.9 4.4-1.1 7-.7z",
  flask: "M8 2h8v2h-1v5l5 9.5c.8 1.6 0 3.5-2 3.5H6c-2 0-2.8-1.9-2-3.5L9 9V4H8zM11 4v5.5L8.6 14h6.8L13 9.5V4z",
};

export class Below {
  /** @param {HTMLElement} box @param {(address: string) => string} link makes an address below the root a real one */
  constructor(box, link) {
    this.box = box;
    this.link = link;
    box.replaceChildren();
    this.pytorch = this.fold("In PyTorch", "terminal");
    this.code = this.fold("Show the code", "code");
    this.sources = this.fold("Sources", "book");
    this.ways = element(box, "nav", "onward", { "aria-label": "Where to go on" });
    this.evidence = this.fold("Experiments", "flask");
    /** @type {Beside | undefined} */
    this.told = undefined;
    this.drawn = "";
    /** @type {string | null} */
    this.program = null;
    this.code.box.addEventListener("toggle", () => this.drawCode());
    this.clear();
  }

  /** @param {string} title @param {string} icon */
  fold(title, icon) {
    const box = element(this.box, "details", "fold");
    const summary = element(box, "summary");
    summary.innerHTML = `<svg viewBox="0 0 24 24" width="18" height="18" fill="currentColor" fill-rule="evenodd" aria-hidden="true"><path d="${ICONS[icon]}"/></svg>`;
    summary.append(title);
    return { box, room: element(box, "div", "room") };
  }

  // Another page: nothing is told of it yet.
  /** @param {string} [sources] HTML that the build made */
  clear(sources = "") {
    for (const { box } of [this.pytorch, this.code, this.sources, this.evidence]) box.open = false;
    this.sources.room.innerHTML = sources;
    this.sources.box.hidden = !sources;
    this.box.hidden = true;
    this.told = undefined;
    this.drawn = "";
  }

  // A question has been opened: what is told of the state before would give its answer away.
  hold() {
    const { told } = this;
    const ways = told?.ways.filter(([, address]) => !address.includes("?")) ?? [];
    this.show({ pytorch: null, code: [], ways, evidence: [], open: true });
  }

  /** @param {Beside} told */
  show(told) {
    this.told = told;
    this.box.hidden = false;
    const { pytorch, code, ways, evidence } = told;
    this.pytorch.box.hidden = pytorch === null;
    if (pytorch !== this.program) {
      this.program = pytorch;
      this.pytorch.room.replaceChildren();
      if (pytorch !== null) program(this.pytorch.room, pytorch);
    }
    this.code.box.hidden = !code.length;
    this.drawCode();
    this.ways.hidden = !ways.length;
    this.ways.replaceChildren();
    for (const [words, address] of ways) element(this.ways, "a", "", { href: this.link(address) }, words);
    this.evidence.box.hidden = !evidence.length;
    this.evidence.room.replaceChildren();
    const list = element(this.evidence.room, "ul", "evidence");
    for (const { title, address, command } of evidence) {
      const item = element(list, "li");
      if (address) element(item, "a", "", { href: this.link(address) }, title);
      else item.append(`${title}. `);
      if (command) element(item, "code", "", {}, command);
    }
  }

  // Only while it is open, and only when it has changed: it is long.
  drawCode() {
    const { box, room } = this.code;
    const code = this.told?.code ?? [];
    const key = JSON.stringify(code);
    if (!box.open || this.drawn === key) return;
    this.drawn = key;
    room.replaceChildren();
    element(room, "p", "hint", {}, CODE);
    for (const { what, source } of code) {
      write(element(room, "p"), what);
      program(room, source);
    }
  }
}
