// The line under the title: how far Python has come, and that it is there. It has its room from the beginning.
import { button, element } from "../assets/controls.js";

/**
 * @import { Distance } from "./ahead.js"
 * @import { Coming } from "./session.js"
 */

const COMING = "Python is loading";
const HERE = "Everything is computed in your browser.";
const FEW = 10_000; // what has more parts than that is counted in bytes
const MEGA = 1e6;

/** @param {Coming} coming */
export function words({ done, of, what }) {
  const begin = what[0].toUpperCase() + what.slice(1);
  if (of <= FEW || done >= of) return `${begin} …`;
  return `${begin}: ${megabytes(done)} of ${megabytes(of)} MB …`;
}

/** @param {number} bytes */
const megabytes = (bytes) => (bytes < 10 * MEGA ? (bytes / MEGA).toFixed(1) : String(Math.round(bytes / MEGA)));

export class Progress {
  /**
   * @param {HTMLElement[]} lines one of which is in sight: in the bar where there is room, else under the title
   * @param {HTMLElement} told for those who don't see them
   */
  constructor(lines, told) {
    this.lines = lines;
    this.told = told;
    this.what = "";
    this.show({ done: 0, of: 0, what: COMING });
  }

  /** @param {string} words @param {number} [share] of what is awaited */
  write(words, share) {
    for (const line of this.lines) {
      const seen = line.querySelector(".seen") ?? element(line, "span", "seen");
      seen.textContent = words;
      const bar = line.querySelector("progress");
      if (share === undefined) bar?.remove();
      else (bar ?? element(line, "progress", "", { max: 1 })).value = share;
    }
  }

  /** @param {string} words */
  tell(words) {
    if (this.told.textContent !== words) this.told.textContent = words;
  }

  /** @param {Coming} coming */
  show(coming) {
    const { done, of, what } = coming;
    this.write(words(coming), of > 0 ? Math.min(1, done / of) : 0);
    if (what === this.what) return; // it is read out: not every megabyte
    this.what = what;
    this.tell(words({ ...coming, of: 0 }));
  }

  ready() {
    this.write(HERE);
    this.tell(HERE);
  }

  // A race goes on once Python has come as far as its recording.
  /** @param {Distance | undefined} distance */
  ahead(distance) {
    if (!distance) this.write(HERE);
    else if (distance.of) this.write(`Your browser computes it: step ${distance.step} of ${distance.of} …`);
  }

  /** @param {string} why */
  fail(why) {
    document.body.classList.add("failed");
    const seen = document.body.classList.contains("shown") ? "; what you see was prepared beforehand" : "";
    const sentence = `${why.replace(/\.$/, "")}${seen}.`;
    this.write(sentence);
    this.tell(sentence);
    const line = this.lines.at(-1);
    line?.removeAttribute("aria-hidden");
    if (line) button(line, "Reload", "Reload the page", () => location.reload());
  }
}
