// "Take it away": the picture as PNG or SVG, drawn here from the very same functions; its numbers and a
// script that computes them again come from Python; links to it.
import { button, element } from "./controls.js";
import { copied, withQuestionOpen } from "./links.js";
import { escaped, SvgCanvas, svgFile } from "./svg.js";
import { theme } from "./theme.js";

const MARGIN = 24,
  GAP = 28,
  WIDEST = 1280;
const SHARPNESS = 2; // pixels of the PNG for each of the screen
const UNANSWERED = -2; // of a race's guess, as in book/race/settings.py
/** @type {Record<string, [label: string, about: string, ending: string]>} */
const KINDS = {
  png: ["PNG", "The picture, for slides", "png"],
  svg: ["SVG", "The picture, for print: sharp at any size", "svg"],
  csv: ["CSV", "The numbers behind the picture, for every seed", "csv"],
  python: ["Python", "A script that computes these numbers again", "py"],
};

/**
 * What can be taken: the settings shown, its figures as they are on the page now, a sentence about them, the scene that
 * it is, and of a race its step.
 *
 * @typedef {{title: string, hint?: string, width: number, height: number, draw: (canvas: any, colours: any) => void}} Taken
 * @typedef {{container: HTMLElement, values: Record<string, any>, scene?: {name: string}, step?: () => number,
 *   summary: () => string, figures: () => Taken[]}} Picture
 */

/** A file on its way from the server, compressed, in portions. */
export class Arrival {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    /** @type {Uint8Array<ArrayBuffer>[]} */
    this.portions = [];
  }

  // Takes a portion; returns how much of the file is there, 1 if it is all.
  /** @param {{start: number, size: number, bytes: Uint8Array<ArrayBuffer>}} portion */
  add({ start, size, bytes }) {
    this.portions.push(bytes);
    return (start + bytes.length) / size;
  }

  /** @returns {Promise<Blob>} the file as it was written */
  unpacked() {
    const type = this.name.endsWith(".csv") ? "text/csv" : "text/x-python";
    const text = new Blob(this.portions).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(text, { headers: { "Content-Type": `${type};charset=utf-8` } }).blob();
  }
}

export class TakeAway {
  /**
   * @param {HTMLElement} parent
   * @param {{name: string, title: string, picture: Picture, ask: (message: any) => boolean, chapter?: boolean}} what
   */
  constructor(parent, { name, title, picture, ask, chapter = false }) {
    this.name = name;
    this.title = title;
    this.picture = picture;
    this.ask = ask;
    this.chapter = chapter;
    this.asked = 0;
    /** @type {Map<number, Arrival>} what the server was asked for, by the number of the question */
    this.coming = new Map();
    const menu = element(parent, "details", "take");
    element(menu, "summary", "", {}, "Take it away");
    const row = element(menu, "div", "files", { role: "group", "aria-label": "Take it away" });
    for (const [kind, [label, about]] of Object.entries(KINDS)) {
      button(row, label, `${label}: ${about[0].toLowerCase()}${about.slice(1)}`, () => this.take(kind));
    }
    const links = element(menu, "div", "links", { role: "group", "aria-label": "Links" });
    button(links, "Copy link", "Copy link: the page as it is now", () => this.copy(location.href, "The link"));
    this.unanswered = button(
      links,
      "Copy link with the question open",
      "Copy link with the question open: for others, who answer it themselves",
      () => this.copy(withQuestionOpen(location.href, this.chapter), "The link with the question open"),
    );
    this.note = element(menu, "p", "hint", { role: "status" });
    // Before anybody can see it, and again before anybody can press it: answers are given while the menu is open.
    for (const way of ["toggle", "pointerenter", "focusin"]) menu.addEventListener(way, () => this.offerLinks());
    this.offerLinks();
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary")?.focus();
    });
  }

  /** @param {string} kind */
  async take(kind) {
    try {
      if (kind === "csv" || kind === "python") this.request(kind);
      else await this.save(kind);
    } catch (error) {
      this.note.textContent = `The ${KINDS[kind][0]} could not be made.`;
      throw error;
    }
  }

  // A link without the answer is another one only where a question was answered.
  offerLinks() {
    const { guess, guesses = [], scene } = this.picture.values;
    const answered = this.chapter
      ? guesses.some((/** @type {[string, number]} */ [name]) => name === scene)
      : this.picture.scene && guess !== UNANSWERED;
    this.unanswered.hidden = !answered;
  }

  /** @param {string} address @param {string} what */
  async copy(address, what) {
    const done = await copied(address);
    this.note.textContent = done
      ? `${what} is copied: ${address}`
      : `The browser doesn’t let pages copy. ${what}: ${address}`;
  }

  // What a file is called: after the page, the scene, and of a race its step.
  /** @param {string} kind */
  fileName(kind) {
    const { name, picture } = this;
    const parts = ["batchnorm", name, picture.scene?.name, ...(picture.step ? ["step", this.step()] : [])];
    return `${parts
      .filter((part) => part !== undefined)
      .join("-")
      .replaceAll("_", "-")}.${KINDS[kind][2]}`;
  }

  /** @param {string} kind */
  async save(kind) {
    const name = this.fileName(kind);
    const drawing = this.drawing();
    const file = new Blob([drawing.text], { type: "image/svg+xml" });
    download(kind === "svg" ? file : await pixels(file, drawing), name);
    this.note.textContent = `Saved as ${name}.`;
  }

  /** @param {string} what */
  request(what) {
    const { name, picture } = this;
    const which = this.chapter ? { chapter: name } : { picture: name, step: this.step() };
    this.asked += 1;
    // Called as the picture is now, whatever it is when the file comes.
    this.coming.set(this.asked, new Arrival(this.fileName(what)));
    const sent = this.ask({ kind: "take", id: this.asked, what, ...which, values: picture.values });
    this.note.textContent = sent ? "The file is being written …" : "The server is away; try again when it is back.";
  }

  // A new connection: a file that was on its way is lost with the one before.
  connected() {
    if (!this.coming.size) return;
    this.coming.clear();
    this.note.textContent = "Not saved: the connection was lost. Take it again.";
  }

  // The server's answer; true if the message was one.
  /** @param {any} message @returns {boolean} */
  receive(message) {
    if (message.kind === "file") this.portion(message);
    else if (message.kind === "problem" && message.of === "take") {
      this.coming.delete(message.id);
      this.note.textContent = `Not saved: ${message.message}`;
    } else return false;
    return true;
  }

  /** @param {any} message */
  portion(message) {
    const file = this.coming.get(message.id);
    if (!file) return;
    if (message.start === 0) this.coming = new Map([[message.id, file]]); // one comes at a time
    const share = file.add(message);
    const note = `Receiving it: ${10 * Math.floor(10 * share)}%`;
    if (share === 1) {
      this.coming.delete(message.id);
      this.keep(file);
    } else if (this.note.textContent !== note) this.note.textContent = note; // it is read out
  }

  /** @param {Arrival} file */
  async keep(file) {
    try {
      download(await file.unpacked(), file.name);
      this.note.textContent = `Saved as ${file.name}.`;
    } catch (error) {
      this.note.textContent = `${file.name} could not be unpacked; take it again.`;
      throw error;
    }
  }

  step() {
    return this.picture.step?.() ?? 0;
  }

  // All figures on one sheet: title, captions, the sentence, the page's address.
  drawing() {
    const colours = theme(this.picture.container);
    const figures = this.picture.figures().filter(({ width, height }) => width && height); // those in sight
    const across = Math.max(...figures.map((figure) => figure.width));
    const columns = Math.max(
      1,
      Math.min(Math.ceil(Math.sqrt(figures.length)), Math.floor((WIDEST + GAP) / (across + GAP))),
    );
    const inner = columns * across + (columns - 1) * GAP;
    const sheet = new SvgCanvas(inner + 2 * MARGIN, 1); // its height follows from what is written
    const pen = sheet.getContext("2d");
    const family = colours.font.replace(/^\S+\s/, "");
    /** @type {string[]} */
    const parts = [];
    let top = MARGIN;

    /**
     * Writes text from a place on, line by line; returns where the next line would begin.
     *
     * @param {string} words
     * @param {{left?: number, from?: number, room?: number, size: number, weight?: string, alpha?: number, anywhere?: boolean}} how
     */
    const write = (
      words,
      { left = MARGIN, from = top, room = inner, size, weight = "", alpha = 1, anywhere = false },
    ) => {
      pen.font = `${weight} ${size}px ${family}`;
      pen.fillStyle = colours.text;
      pen.globalAlpha = alpha;
      return wrapped(pen, words, room, anywhere).reduce((end, line) => {
        pen.fillText(line, left, end + size);
        return end + Math.round(1.35 * size);
      }, from);
    };
    top = write(this.title, { size: 20, weight: "bold" }) + 12;
    for (let first = 0; first < figures.length; first += columns) {
      const row = figures.slice(first, first + columns);
      const places = row.map((_, column) => MARGIN + column * (across + GAP));
      const captions = row.map(({ title, hint = "" }, column) => {
        const place = { left: places[column], room: across };
        const from = write(title, { ...place, size: 14, weight: "bold" });
        return write(hint, { ...place, from, size: 12, alpha: 0.8 });
      });
      top = Math.max(...captions) + 4;
      row.forEach((figure, column) => {
        const canvas = new SvgCanvas(figure.width, figure.height);
        figure.draw(canvas, colours);
        const name = escaped(figure.title);
        parts.push(
          `<g class="figure" role="img" aria-label="${name}" transform="translate(${places[column]} ${top})">\n${canvas.content()}\n</g>`,
        );
      });
      top += Math.max(...row.map((figure) => figure.height)) + 16;
    }
    top = write(this.picture.summary(), { size: 14 }) + 6;
    top = write(location.href, { size: 11, alpha: 0.8, anywhere: true });
    const width = sheet.clientWidth,
      height = top + MARGIN;
    const page = `<rect width="100%" height="100%" fill="${escaped(colours.page)}"/>`;
    const content = [`<title>${escaped(this.title)}</title>`, page, sheet.content(), ...parts].join("\n");
    return { text: svgFile(width, height, content), width, height };
  }
}

// ``words`` in lines no wider than ``room``; ``anywhere``: broken inside words, too, as addresses need it.
/** @param {any} pen @param {string} words @param {number} room */
function wrapped(pen, words, room, anywhere = false) {
  const lines = [""];
  for (const part of anywhere ? words : words.split(/(?<=\s)/)) {
    const longer = lines.at(-1) + part;
    if (lines.at(-1) && pen.measureText(longer.trimEnd()).width > room) lines.push(part);
    else lines[lines.length - 1] = longer;
  }
  return lines.map((line) => line.trimEnd()).filter(Boolean);
}

/** @param {Blob} file @param {{width: number, height: number}} size @returns {Promise<Blob>} */
async function pixels(file, { width, height }) {
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = Math.ceil(SHARPNESS * width);
    canvas.height = Math.ceil(SHARPNESS * height);
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, fail) => {
      canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("the picture is too large"))), "image/png");
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be reading it
}
