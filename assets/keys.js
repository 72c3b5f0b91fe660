// Keys as people expect them; a list of them opens with "?".
import { element } from "./controls.js";

const TAKES_KEYS = "input, select, textarea, [contenteditable], [role=slider], [role=radio], [role=listbox], dialog";

export class Keys {
  /** @param {import("./chapter.js").Chapter} chapter */
  constructor(chapter) {
    this.chapter = chapter;
    this.listen = (/** @type {KeyboardEvent} */ event) => this.press(event);
    document.addEventListener("keydown", this.listen);
    this.list = element(null, "dl", "keys", { "aria-label": "Keys" });
    this.list.hidden = true;
    (chapter.scenes?.box ?? chapter.frame).append(this.list);
  }

  // The keys that do something here.
  /** @returns {[string, string][]} */
  known() {
    const { chapter } = this;
    const answers = chapter.scene?.choices.length ?? 0;
    /** @type {[string | false | undefined, string][]} */
    const keys = [
      [chapter.open && `1 – ${answers}`, "answer the question"],
      [
        chapter.data.story.length > 0 && "← →",
        chapter.walk.control ? "operation before, next operation" : "scene before, next scene",
      ],
      [this.playhead && "space", "play, pause"],
      ["Tab, ← →, Page Up, Page Down", "reach a figure, a slider; move what is chosen; choose another"],
      ["?", "this list; Escape closes it"],
    ];
    return keys.filter((row) => row[0]).map(([key, what]) => [String(key), what]);
  }

  get playhead() {
    return this.chapter.shows.find(({ row, toggle }) => toggle && !row.hidden);
  }

  toggle() {
    this.list.replaceChildren();
    for (const [key, what] of this.known()) {
      element(this.list, "dt", "", {}, key);
      element(this.list, "dd", "", {}, what);
    }
    this.list.hidden = !this.list.hidden;
    this.chapter.scenes?.help.setAttribute("aria-expanded", String(!this.list.hidden));
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = /** @type {Element | undefined} */ (event.composedPath()[0]);
    if (target instanceof Element && target.closest(TAKES_KEYS)) return;
    if (this.act(event.key, target)) event.preventDefault();
  }

  /** @param {string} key @param {Element | undefined} target */
  act(key, target) {
    const { chapter } = this;
    if (key === "?") this.toggle();
    else if (key === "Escape" && !this.list.hidden) this.toggle();
    else if (/^[1-9]$/.test(key) && chapter.open) chapter.predict(Number(key) - 1);
    else if (key === "ArrowRight" || key === "ArrowLeft") {
      const way = key === "ArrowRight" ? 1 : -1;
      if (chapter.walk.control && !chapter.locked) chapter.walk.go(way);
      else if (chapter.data.story.length) chapter.move(way);
      else return false;
    } else if (key === " " && !target?.closest("button, a, summary")) {
      if (!this.playhead?.toggle || chapter.locked) return false;
      this.playhead.toggle();
    } else return false;
    return true;
  }

  destroy() {
    document.removeEventListener("keydown", this.listen);
  }
}
