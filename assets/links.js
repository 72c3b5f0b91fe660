// Links to what the page shows, its address as it is, or as it was before its question was answered; and links to
// other pages.

/**
 * The address with the question of its scene unanswered. Only what was answered, or what shows the answer, goes:
 * of a chapter everything but the scene, of a race the guess and the step.
 *
 * @param {string} address
 * @param {boolean} chapter whether it is a chapter's, else the training lab's
 */
export function withQuestionOpen(address, chapter) {
  const url = new URL(address);
  const gone = chapter
    ? [...url.searchParams.keys()].filter((name) => name !== "scene" && !name.startsWith("embed"))
    : ["guess", "step"];
  for (const name of gone) url.searchParams.delete(name);
  return url.href;
}

/**
 * Puts a text on the clipboard; false where the browser doesn't let a page do that.
 *
 * @param {string} text
 */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no clipboard without https, or without the reader's permission
  }
}

/**
 * Has links inside a box followed within the reader's session: a page that is loaded anew would begin another one. The
 * bar of chapters does it (ui/navigation.py); where it doesn't, links are what they always are.
 *
 * @param {HTMLElement} box
 */
export function keepSession(box) {
  box.addEventListener("click", (event) => {
    const link = /** @type {Element} */ (event.target).closest("a");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (!document.dispatchEvent(new CustomEvent("bnlab:go", { detail: link.href, cancelable: true })))
      event.preventDefault();
  });
}
