// What is told of an address above the picture: where it leads, and what of it could not be used.
import { element } from "../assets/controls.js";

/**
 * @param {HTMLElement} box
 * @param {{note?: string, problems?: string[]}} told
 */
export function notice(box, { note = "", problems = [] }) {
  box.replaceChildren();
  if (note) element(box, "p", "notice info", { role: "status" }, note);
  if (!problems.length) return;
  const warning = element(box, "p", "notice warning", { role: "alert" }, "Part of this address could not be used: ");
  problems.forEach((problem, i) => {
    if (i) warning.append("; ");
    element(warning, "code", "", {}, problem);
  });
}
