// The line under the title: how far Python has come, and that it is there. It has its room from the beginning.
import { button, element } from "../assets/controls.js";

/**
 * @import { Distance } from "./ahead.js"
 * @import { Coming } from "./session.js"
 */

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
  /** @param {HTMLElement} line */
  constructor(line) {
    this.line = line;
    line.replaceChildren();
    this.seen = element(line, "span", "seen", { "aria-hidden": "true" }, "Python is coming …");
    this.bar = element(line, "progress", "", { max: 1, "aria-hidden": "true" });
    this.told = element(line, "span", "hidden", { role: "status" });
    this.what = "";
  }

  /** @param {Coming} coming */
  show(coming) {
    this.seen.textContent = words(coming);
    if (coming.of > 0) this.bar.value = Math.min(1, coming.done / coming.of);
    if (coming.what === this.what) return; // it is read out: not every megabyte
    this.what = coming.what;
    this.told.textContent = `${words({ ...coming, of: 0 })}`;
  }

  ready() {
    this.say(HERE);
  }

  // A race goes on once Python has come as far as its recording.
  /** @param {Distance | undefined} distance */
  ahead(distance) {
    if (!distance) this.say(HERE);
    else if (distance.of)
      this.seen.textContent = `Your browser computes this race: step ${distance.step} of ${distance.of} …`;
  }

  /** @param {string} words */
  say(words) {
    this.bar.remove();
    this.seen.textContent = words;
    if (this.told.textContent !== words) this.told.textContent = words;
  }

  /** @param {string} why */
  fail(why) {
    this.line.classList.add("failed");
    const seen = document.body.classList.contains("shown") ? "; what you see was recorded" : "";
    this.say(`${why.replace(/\.$/, "")}${seen}.`);
    button(this.line, "Reload", "Reload the page", () => location.reload());
  }
}
