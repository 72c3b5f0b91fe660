// Equations with live numbers, as Python describes them (book/equations.py). A touched number opens its arithmetic.
import { element } from "./controls.js";

const HINT = "Choose a number above: its arithmetic opens here.";

/**
 * A part of an equation: text, or a list whose first entry says how the rest is set.
 *
 * @typedef {string | any[]} Node
 * @typedef {{key: string, name: string, formula: Node, active: boolean, shown: string, sign: string, known: boolean,
 *   steps: Node[]}} Equation
 */

/** @type {Record<string, (parent: HTMLElement, parts: any[]) => void>} */
const SETTERS = {
  row(parent, parts) {
    for (const part of parts) set(parent, part);
  },
  frac(parent, [top, bottom]) {
    const box = element(parent, "span", "frac");
    set(element(box, "span"), top);
    set(element(box, "span"), bottom);
  },
  root(parent, [inside]) {
    const box = element(parent, "span", "root", {}, "√");
    set(element(box, "span"), inside);
  },
  sub(parent, [base, index]) {
    set(parent, base);
    set(element(parent, "sub"), index);
  },
  ref(parent, [key, inside]) {
    set(element(parent, "button", "number", { type: "button", "data-opens": key }), inside);
  },
  part(parent, [name, active, inside]) {
    set(element(parent, "span", active ? "active" : "", { "data-part": name }), inside);
  },
};

/** @param {HTMLElement} parent @param {Node} node */
function set(parent, node) {
  if (typeof node === "string") parent.append(node);
  else SETTERS[node[0]](parent, node.slice(1));
}

export class Equations {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.strip = element(parent, "div", "equations", {
      role: "group",
      "aria-label": "The equations with their numbers",
    });
    this.arithmetic = element(parent, "div", "arithmetic", { id: "arithmetic" });
    /** @type {Record<string, {card: HTMLElement, formula: HTMLElement, equals: HTMLElement, number: HTMLButtonElement}>} */
    this.cards = {};
    /** @type {Equation[]} */
    this.equations = [];
    /** @type {string | undefined} */
    this.opened = undefined;
    this.written = "";
    for (const box of [this.strip, this.arithmetic]) {
      box.addEventListener("click", (event) => {
        const target = /** @type {HTMLElement} */ (event.target);
        const key = target.closest("[data-opens]")?.getAttribute("data-opens") ?? undefined;
        if (key) this.open(box === this.strip && key === this.opened ? undefined : key);
      });
    }
  }

  /** @param {string | undefined} key */
  open(key) {
    this.opened = key;
    for (const [name, { number }] of Object.entries(this.cards))
      number.setAttribute("aria-expanded", String(name === key));
    this.tell();
  }

  /** @param {Equation[]} equations */
  show(equations) {
    this.equations = equations;
    const keys = equations.map(({ key }) => key);
    if (keys.join() !== Object.keys(this.cards).join()) this.build(equations);
    this.strip.hidden = this.arithmetic.hidden = !equations.length;
    for (const equation of equations) {
      const { card, formula, equals, number } = this.cards[equation.key];
      const written = JSON.stringify(equation.formula);
      if (card.dataset.written !== written) {
        card.dataset.written = written;
        formula.replaceChildren();
        set(formula, equation.formula);
      }
      card.classList.toggle("active", equation.active);
      equals.textContent = equation.sign;
      number.disabled = !equation.known;
      if (number.textContent === equation.shown) continue;
      number.textContent = equation.shown;
      number.setAttribute("aria-label", `${equation.name}: ${equation.shown}`);
    }
    this.tell();
  }

  /** @param {Equation[]} equations */
  build(equations) {
    this.strip.replaceChildren();
    this.cards = {};
    for (const { key } of equations) {
      const card = element(this.strip, "div", "equation", { "data-equation": key });
      const formula = element(card, "span", "formula", { "aria-hidden": "true" });
      const equals = element(card, "span", "", { "aria-hidden": "true" }, "=");
      const number = element(card, "button", "number", {
        type: "button",
        "data-opens": key,
        "aria-expanded": "false",
        "aria-controls": "arithmetic",
        title: "Touch: how it comes about",
      });
      this.cards[key] = { card, formula, equals, number };
    }
  }

  tell() {
    const found = this.equations.find(({ key, known }) => key === this.opened && known);
    const written = JSON.stringify(found?.steps ?? HINT);
    if (written === this.written) return;
    this.written = written;
    this.arithmetic.replaceChildren();
    this.arithmetic.classList.toggle("hint", !found);
    for (const step of found?.steps ?? [HINT]) set(element(this.arithmetic, "span"), step);
  }
}
