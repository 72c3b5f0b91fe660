// Light or dark: as the reader's system has it, or as they choose here. The colours themselves are in theme.css.
import { element } from "../assets/controls.js";

const KEY = "batchnorm-lab.scheme"; // static/chosen.js reads it, too
const DARK = "(prefers-color-scheme: dark)";
/** @type {Record<string, string>} */
const PATHS = {
  auto: "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20zM12 4v16a8 8 0 0 0 0-16z",
  light:
    "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM11 1h2v4h-2zM11 19h2v4h-2zM1 11h4v2H1zM19 11h4v2h-4zM3.5 4.9l1.4-1.4 2.9 2.9-1.4 1.4zM16.2 17.6l1.4-1.4 2.9 2.9-1.4 1.4zM3.5 19.1l2.9-2.9 1.4 1.4-2.9 2.9zM16.2 6.4l2.9-2.9 1.4 1.4-2.9 2.9z",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
};
/** @type {Record<string, string>} */
const WORDS = { auto: "as the system has them", light: "light", dark: "dark" };
const WAYS = Object.keys(WORDS);

/** @param {string} way @returns {string} the one after it */
export const following = (way) => WAYS[(WAYS.indexOf(way) + 1) % WAYS.length];

/** @returns {string} "auto", "light" or "dark" */
function chosen() {
  try {
    const kept = localStorage.getItem(KEY) ?? "auto";
    return WAYS.includes(kept) ? kept : "auto";
  } catch {
    return document.documentElement.dataset.theme ?? "auto";
  }
}

/** @param {string} way */
function keep(way) {
  try {
    if (way === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, way);
  } catch {
    // It holds for this visit.
  }
}

/**
 * A button that goes through the three ways.
 *
 * @param {HTMLElement} parent
 * @param {() => void} changed called whenever other colours are in force
 */
export function chooseTheme(parent, changed) {
  let way = chosen();
  const button = element(parent, "button", "scheme", { type: "button" });
  const show = () => {
    if (way === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = way;
    button.innerHTML = `<svg viewBox="0 0 24 24" width="20" height="20" fill="currentColor" fill-rule="evenodd" aria-hidden="true"><path d="${PATHS[way]}"/></svg>`;
    const words = `Colours: ${WORDS[way]}`;
    button.title = `${words}. Change to: ${WORDS[following(way)]}`;
    button.setAttribute("aria-label", words);
  };
  button.addEventListener("click", () => {
    way = following(way);
    keep(way);
    show();
    changed();
  });
  matchMedia(DARK).addEventListener("change", changed);
  show();
}
