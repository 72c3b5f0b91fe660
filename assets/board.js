// Findings side by side: a table in words, whose cells say for or against what, and may be links.
import { element } from "./controls.js";
import { keepSession } from "./links.js";

/**
 * @typedef {[text: string, level: string, address: string]} Cell
 * @typedef {[columns: string[], rows: [name: string, cells: Cell[]][]]} Table
 */

/** @type {Record<string, string>} what a level says to those who don't see its colour */
const MEANS = { good: "supports it: ", warning: "speaks against it: " };

export class Board {
  /** @param {HTMLElement} parent @param {string} base what addresses begin with */
  constructor(parent, base) {
    this.base = base;
    this.box = element(parent, "div", "board");
    this.box.hidden = true;
    this.told = "";
    keepSession(this.box);
  }

  /** @param {Table | null} table */
  show(table) {
    const told = JSON.stringify(table);
    if (told === this.told) return; // a link that has the focus keeps it
    this.told = told;
    this.box.replaceChildren();
    this.box.hidden = !table;
    if (!table) return;
    const [columns, rows] = table;
    const whole = element(this.box, "table", "");
    const head = element(element(whole, "thead", ""), "tr", "");
    for (const name of ["", ...columns]) element(head, name ? "th" : "td", "", name ? { scope: "col" } : {}, name);
    const body = element(whole, "tbody", "");
    for (const [name, cells] of rows) {
      const row = element(body, "tr", "");
      element(row, "th", "", { scope: "row" }, name);
      for (const [place, cell] of cells.entries()) this.cell(row, columns[place], cell);
    }
  }

  /** @param {HTMLElement} row @param {string} column @param {Cell} cell */
  cell(row, column, [text, level, address]) {
    const node = element(row, "td", level, { "data-column": column });
    if (level) element(node, "span", "hidden", {}, MEANS[level]);
    if (address) element(node, "a", "", { href: `${this.base}/${address}` }, text);
    else element(node, "span", "", {}, text);
  }
}
