// The equations with the live numbers in them. A touched number opens its arithmetic, computed on the server.
import { brief, element, rounded } from "./controls.js";
import { OPERATIONS } from "./rows.js";

const HINT = "Touch a number above: its arithmetic opens here.";
const FIRST = 4, LAST = 1; // of a long sum

const over = (top, bottom) => `<span class="frac"><span>${top}</span><span>${bottom}</span></span>`;
const rooted = (inside) => `<span class="root">√<span>${inside}</span></span>`;
// A number; one that has lost digits is marked, and no sign beside it is an "=".
const exact = (value) => Math.fround(rounded(Math.abs(value))) === Math.fround(Math.abs(value));
const told = (value) => (exact(value) ? brief(value) : `<span class="rounded">${brief(value)}</span>`);
const bracketed = (value) => (value < 0 ? `(${told(value)})` : told(value));
const sign = (...parts) => (parts.some((part) => part.includes('"rounded"')) ? "≈" : "=");
const link = (key, value) => `<button type="button" data-opens="${key}" class="number">${value}</button>`;

// How it is written and called, the operations that it belongs to and from which one on it is known, its
// number, and where that comes from.
const EQUATIONS = {
  mean: {
    formula: `μ = ${over("Σ x<sub>i</sub>", "N")}`,
    name: "the mean μ",
    known: "mean",
    operations: ["mean", "centred"],
    value: ({ numbers }) => numbers.x_mean,
    steps: ({ arrays, numbers, size }) => [
      "μ", over(sum(arrays.x, bracketed), size), over(told(numbers.x_sum), size), told(numbers.x_mean),
    ],
  },
  variance: {
    formula: `σ² = ${over("Σ (x<sub>i</sub> − μ)²", "N")}`,
    name: "the variance σ²",
    known: "variance",
    operations: ["variance"],
    value: ({ numbers }) => numbers.x_var,
    steps: ({ arrays, numbers, size }) => [
      "σ²", over(sum(arrays.centred, (value) => `${bracketed(value)}²`), size), over(told(numbers.squares_sum), size),
      told(numbers.x_var),
    ],
  },
  root: {
    formula: rooted("σ² + ε"),
    name: "the divisor, the root of σ² + ε",
    known: "root",
    operations: ["root"],
    value: ({ numbers }) => numbers.root,
    steps: ({ numbers, values }) => [
      rooted("σ² + ε"), rooted(`${link("variance", told(numbers.x_var))} + ${told(values.eps)}`), told(numbers.root),
    ],
  },
  normalized: {
    formula: `x̂ = ${over("x − μ", rooted("σ² + ε"))}`,
    name: "x̂ of the chosen dot",
    known: "divide",
    operations: ["divide"],
    value: ({ arrays, chosen }) => arrays.normalized[chosen],
    steps: ({ arrays, numbers, chosen }) => [
      `x̂<sub>${chosen + 1}</sub>`,
      over(`${told(arrays.x[chosen])} − ${link("mean", bracketed(numbers.x_mean))}`, link("root", told(numbers.root))),
      over(told(arrays.centred[chosen]), told(numbers.root)),
      numbers.root ? told(arrays.normalized[chosen]) : "undefined; bnlib returns 0. An ε above 0 is there to prevent this.",
    ],
  },
  y: {
    formula: "y = <span data-part=gamma>γ · x̂</span> <span data-part=beta>+ β</span>",
    name: "y of the chosen dot",
    known: "beta",
    operations: ["gamma", "beta"],
    value: ({ arrays, chosen }) => arrays.y[chosen],
    steps: ({ arrays, values, chosen }) => [
      `y<sub>${chosen + 1}</sub>`,
      `${told(values.gamma)} · ${link("normalized", bracketed(arrays.normalized[chosen]))} + ${bracketed(values.beta)}`,
      `${told(arrays.scaled[chosen])} + ${bracketed(values.beta)}`, told(arrays.y[chosen]),
    ],
  },
};

// A sum of many numbers: the first few, an ellipsis, the last.
function sum(numbers, written) {
  const all = [...numbers];
  if (all.length <= FIRST + LAST + 1) return all.map(written).join(" + ");
  return [...all.slice(0, FIRST).map(written), "…", ...all.slice(-LAST).map(written)].join(" + ");
}

export class Equations {
  constructor(parent) {
    const strip = element(parent, "div", "equations", { role: "group", "aria-label": "The equations with the numbers of this batch" });
    this.cards = {};
    for (const [key, { formula, name }] of Object.entries(EQUATIONS)) {
      const card = element(strip, "div", "equation", { "data-equation": key });
      element(card, "span", "formula", { "aria-hidden": "true" }).innerHTML = formula;
      const equals = element(card, "span", "", { "aria-hidden": "true" }, "=");
      const number = element(card, "button", "number", {
        type: "button", "data-opens": key, "aria-expanded": "false", "aria-controls": "arithmetic",
        title: "Touch: how it comes about",
      });
      this.cards[key] = { card, equals, number, name };
    }
    this.arithmetic = element(parent, "div", "arithmetic", { id: "arithmetic" });
    for (const part of [strip, this.arithmetic]) {
      part.addEventListener("click", (event) => {
        const key = event.target.closest("[data-opens]")?.dataset.opens;
        if (key) this.open(part === strip && key === this.opened ? undefined : key);
      });
    }
    this.open(undefined);
  }

  open(key) {
    this.opened = key;
    for (const [name, { number }] of Object.entries(this.cards)) number.setAttribute("aria-expanded", String(name === key));
    this.tell();
  }

  // state: what the server answered (arrays, numbers), the settings asked for, the chosen dot; on the walk
  // through the transform also the operation that is reached: what comes later isn't known yet.
  show(state, operation) {
    this.state = state;
    this.reached = operation === undefined ? OPERATIONS.length : OPERATIONS.indexOf(operation);
    for (const [key, { card, equals, number, name }] of Object.entries(this.cards)) {
      const { value, operations } = EQUATIONS[key];
      const written = this.knows(key) ? brief(value(state)) : "?";
      equals.textContent = this.knows(key) && !exact(value(state)) ? "≈" : "=";
      number.disabled = !this.knows(key);
      if (number.textContent !== written) {
        number.textContent = written;
        number.setAttribute("aria-label", `${name}: ${written}`);
      }
      card.classList.toggle("active", operations.includes(operation));
      for (const part of card.querySelectorAll("[data-part]")) part.classList.toggle("active", part.dataset.part === operation);
    }
    this.tell();
  }

  knows(key) {
    return OPERATIONS.indexOf(EQUATIONS[key].known) <= this.reached;
  }

  tell() {
    const opened = this.state && this.opened && this.knows(this.opened);
    const parts = opened ? EQUATIONS[this.opened].steps(this.state) : [HINT];
    const written = parts.map((part, i) => `${i ? `<span>${sign(parts[i - 1], part)}</span>` : ""}<span>${part}</span>`).join("");
    if (written === this.written) return;
    this.written = written;
    this.arithmetic.innerHTML = written;
    this.arithmetic.classList.toggle("hint", !opened);
  }
}
