// The book's table of contents on its first page: what each page answers, a small figure that follows the settings
// above, and how much of it was done in this browser.
import { forget, place, remembered, watch } from "./answers.js";
import { button, element } from "./controls.js";
import { keepSession } from "./links.js";
import { paint } from "./painter.js";
import { theme } from "./theme.js";

/**
 * @import { Answers } from "./answers.js"
 * @import { Figure } from "./plotting.js"
 * @typedef {{name: string, title: string, address: string, asks: boolean}} Scene
 * @typedef {{question: string, scene: string, address: string}} Asked
 * @typedef {{name: string, number: number, title: string, question: string, address: string, group: string,
 *   minutes: number, figure: string, scenes: Scene[], answers: Asked[]}} Entry as book/contents.py tells it
 * @typedef {{entry: Entry, canvas?: HTMLCanvasElement, made: HTMLElement, on: HTMLAnchorElement,
 *   ticks: HTMLElement[], drawn: any[]}} Card what of an entry changes; drawn: what its figure was drawn with
 */

// ---- how much is done ---------------------------------------------------------------------------------------------

/** @param {Entry} entry @param {Answers} kept */
export function progress({ name, scenes }, kept) {
  const asking = scenes.filter(({ asks }) => asks);
  const given = asking.map((scene) => kept.get(place(name, scene.name))).filter((answer) => answer !== undefined);
  return {
    made: given.length,
    of: asking.length,
    right: given.filter(({ guess, right }) => guess === right).length,
    next: asking.find((scene) => !kept.has(place(name, scene.name))),
  };
}

/**
 * Where to go on: the first open question of the page that was read last, or of another one that was begun, else the
 * next page.
 *
 * @param {Entry[]} entries
 * @param {Answers} kept
 * @returns {{words: string, address: string} | undefined} undefined: all is answered
 */
export function wayOn(entries, kept) {
  const left = entries.map((entry) => ({ entry, ...progress(entry, kept) })).filter(({ next }) => next);
  const last = [...kept.keys()].reverse().map((where) => where.split("/")[0]);
  const begun = left.find(({ entry, made }) => made > 0 && entry.name === last[0]) ?? left.find(({ made }) => made > 0);
  if (begun?.next) return { words: `Go on: ${begun.next.title}`, address: begun.next.address };
  const [first] = left;
  const untouched = left.length === entries.length;
  return first && { words: `${untouched ? "Begin" : "Go on"}: ${first.entry.question}`, address: first.entry.address };
}

/** @param {Entry[]} entries @param {Answers} kept */
export function total(entries, kept) {
  const sum = { made: 0, of: 0, right: 0 };
  for (const entry of entries) {
    const { made, of, right } = progress(entry, kept);
    sum.made += made;
    sum.of += of;
    sum.right += right;
  }
  return sum;
}

/** @param {number} count @param {string} one */
const counted = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

// ---- on the page --------------------------------------------------------------------------------------------------

export class Contents {
  /**
   * @param {HTMLElement} frame the live picture: the way to the contents is above it
   * @param {HTMLElement} container they are below it
   * @param {{contents: Entry[], base: string}} data
   */
  constructor(frame, container, { contents, base }) {
    this.entries = contents;
    this.base = base;
    /** @type {Record<string, Figure>} */
    this.figures = {};
    /** @type {ReturnType<typeof theme> | undefined} */
    this.theme = undefined;

    const way = element(null, "nav", "way", { "aria-label": "Into the book" });
    this.begin = element(way, "a", "go");
    const questions = contents.reduce((sum, { answers }) => sum + answers.length, 0);
    const chapters = contents.filter(({ number }) => number).length;
    const words = `${counted(questions, "question")} in ${counted(chapters, "chapter")} and a lab ↓`;
    button(way, words, "To the contents", () => this.arrive()).setAttribute("aria-label", `${words} Contents`);
    frame.prepend(way);

    this.box = element(container, "section", "contents", { "aria-labelledby": "contents" });
    this.heading = element(this.box, "h2", "", { id: "contents", tabindex: -1 }, "Contents");
    this.line = element(this.box, "p", "done-so-far");
    this.words = element(this.line, "span", "", { role: "status" });
    this.ask = button(this.line, "Forget them", "Forget the predictions made in this browser", () =>
      this.confirm(true),
    );
    this.sure = element(
      this.line,
      "span",
      "sure",
      { role: "group", "aria-label": "Forget them?" },
      "Forget all of them?",
    );
    button(this.sure, "Yes, forget", "Yes, forget all of them", () => this.forget());
    this.no = button(this.sure, "No, keep", "No, keep them", () => {
      this.confirm(false);
      this.ask.focus();
    });
    this.confirm(false);
    this.cards = this.build();
    for (const box of [way, this.box]) keepSession(box);
    this.unwatch = watch(() => this.tell());
    this.tell();
  }

  /** @returns {Card[]} */
  build() {
    let group = "";
    /** @type {HTMLElement | undefined} */
    let list;
    return this.entries.map((entry) => {
      if (!list || !entry.group || entry.group !== group) {
        element(this.box, "h3", "", {}, entry.group || entry.title);
        list = element(this.box, "ol");
      }
      group = entry.group;
      return this.card(list, entry);
    });
  }

  /** @param {HTMLElement} list @param {Entry} entry @returns {Card} */
  card(list, entry) {
    const item = element(list, "li", "entry", { "data-page": entry.name });
    const canvas = entry.figure ? element(item, "canvas", "small", { role: "img" }) : undefined;
    const about = element(item, "div", "page");
    const title = element(about, "h4");
    if (entry.number) element(title, "span", "number", {}, entry.number);
    element(title, "a", "", { href: this.href(entry.address) }, entry.question);
    const meta = element(about, "p", "meta");
    const named = entry.group ? `${entry.title} · ` : ""; // without a group its title is the heading
    meta.append(`${named}about ${counted(entry.minutes, "minute")} · `);
    const made = element(meta, "span", "made");
    const on = element(element(about, "p", "on"), "a");
    const ticks = entry.answers.length ? this.answers(item, entry) : [];
    return { entry, canvas, made, on, ticks, drawn: [] };
  }

  /** @param {HTMLElement} item @param {Entry} entry */
  answers(item, { title, answers }) {
    const box = element(item, "div", "asked");
    element(box, "p", "", {}, "You will be able to answer:");
    const list = element(box, "ul", "", { "aria-label": `Questions that are answered in: ${title}` });
    return answers.map(({ question, address }) => {
      const row = element(list, "li");
      element(row, "a", "", { href: this.href(address) }, question);
      return element(row, "span", "tick", { role: "img", "aria-label": "answered" }, "✓");
    });
  }

  /** @param {string} address */
  href(address) {
    return `${this.base}/${address}`;
  }

  arrive() {
    this.heading.scrollIntoView({ block: "start" });
    this.heading.focus({ preventScroll: true });
  }

  // ---- what was done in this browser -----------------------------------------------------------------------------

  tell() {
    const kept = remembered();
    for (const { entry, made, on, ticks } of this.cards) {
      const done = progress(entry, kept);
      made.textContent = done.made
        ? `${done.made} of ${counted(done.of, "prediction")} made`
        : counted(done.of, "prediction");
      const next = done.made ? done.next : undefined;
      lead(on, next && { words: `Go on: ${next.title}`, address: this.href(next.address) });
      ticks.forEach((tick, i) => {
        const answer = kept.get(place(entry.name, entry.answers[i].scene));
        const right = answer !== undefined && answer.guess === answer.right;
        tick.hidden = !answer;
        tick.textContent = right ? "✓" : "•";
        tick.setAttribute("aria-label", right ? "answered, right" : "answered");
      });
    }
    const way = wayOn(this.entries, kept);
    lead(this.begin, way && { words: `${way.words} →`, address: this.href(way.address) });
    const { made, of, right } = total(this.entries, kept);
    this.line.hidden = !made;
    this.ask.hidden = !made;
    this.words.textContent =
      `You have made ${made} of ${counted(of, "prediction")}, ${right} of them right. ` +
      "They are kept in this browser only.";
    this.confirm(false);
  }

  /** @param {boolean} on */
  confirm(on) {
    this.sure.hidden = !on;
    this.ask.hidden = on;
    if (on) this.no.focus();
  }

  forget() {
    forget();
    this.tell();
    if (!this.line.hidden) return; // the browser doesn't let go of them
    this.line.hidden = false;
    this.ask.hidden = true;
    this.words.textContent = "Your predictions are forgotten.";
    this.heading.focus({ preventScroll: true });
  }

  // ---- small figures ---------------------------------------------------------------------------------------------

  // Those that aren't among a view's figures stay as they are: while a finger moves, none is.
  /** @param {Record<string, Figure>} figures */
  show(figures) {
    for (const { entry, canvas } of this.cards) {
      const figure = figures[entry.figure];
      if (!figure || !canvas) continue;
      this.figures[entry.figure] = figure;
      const { title, alt } = figure.layout.meta;
      canvas.setAttribute("aria-label", `${title}. ${alt}`);
    }
  }

  // While a finger moves above, they stay as they are.
  draw() {
    if (!this.box.clientWidth) return;
    this.theme ??= theme(this.box);
    for (const card of this.cards) {
      const { canvas, drawn } = card;
      const figure = this.figures[card.entry.figure];
      if (!figure || !canvas?.clientWidth) continue;
      const now = [figure, this.theme, canvas.clientWidth, devicePixelRatio];
      if (now.every((one, i) => one === drawn[i])) continue;
      card.drawn = now;
      paint(canvas, figure, this.theme);
    }
  }

  // The theme may have changed.
  repaint() {
    this.theme = undefined;
  }

  destroy() {
    this.unwatch();
  }
}

/** @param {HTMLAnchorElement} link @param {{words: string, address: string} | undefined} way */
function lead(link, way) {
  link.hidden = !way;
  if (!way) return;
  link.textContent = way.words;
  link.href = way.address;
}
