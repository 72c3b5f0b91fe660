// What went wrong, in words, and a way back to the last settings that gave a picture.
import { button, element } from "./controls.js";

/**
 * @param {HTMLElement} container
 * @param {string} words
 * @param {() => void} back
 * @returns {HTMLElement}
 */
export function trouble(container, words, back) {
  const box = element(container, "p", "trouble", { role: "alert" }, `${words} `);
  container.prepend(box);
  button(box, "Go back", "Go back to the settings before", () => {
    box.remove();
    back();
  });
  return box;
}
