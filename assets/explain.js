// The "?" beside a name: it shows what the name means, in place, for a mouse, a finger and keys alike.
import { element } from "./controls.js";

let ids = 0;

/**
 * Appends a button "?" that shows and hides an explanation.
 *
 * @param {HTMLElement} parent where the button goes
 * @param {string} label what is explained: "What is <label>?"
 * @param {string | Node} text the explanation
 * @param {HTMLElement} room where the explanation appears, at the end; the button's own parent unless there is no room
 * @returns {{ button: HTMLButtonElement, about: HTMLElement }}
 */
export function explain(parent, label, text, room = parent) {
  ids += 1;
  const id = `about-${ids}`;
  const button = element(parent, "button", "what", {
    type: "button",
    "aria-label": `What is ${label}?`,
    "aria-expanded": false,
    "aria-controls": id,
  });
  element(button, "span", "", { "aria-hidden": "true" }, "?");
  const about = element(room, "div", "about", { id, role: "note", "aria-label": label });
  about.hidden = true;
  about.append(text);

  /** @param {boolean} open */
  const show = (open) => {
    about.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", (event) => {
    event.preventDefault(); // a "?" in a summary or a label does nothing else
    event.stopPropagation();
    show(about.hidden === true);
  });
  for (const part of /** @type {HTMLElement[]} */ ([button, about])) {
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || about.hidden) return;
      event.stopPropagation(); // what is around it stays open
      show(false);
      button.focus();
    });
  }
  return { button, about };
}

/**
 * A list of terms, each with what it means, for an explanation that has several.
 *
 * @param {[term: string, meaning: string][]} terms
 */
export function glossary(terms) {
  const list = element(null, "dl", "glossary");
  for (const [term, meaning] of terms) {
    element(list, "dt", "", {}, term);
    element(list, "dd", "", {}, meaning);
  }
  return list;
}
