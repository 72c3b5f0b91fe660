// Links to what the page shows: its address as it is, or as it was before its question was answered.

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
