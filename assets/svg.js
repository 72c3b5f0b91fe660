// A look-alike of a canvas that writes down what is drawn on it, as SVG: the pictures' own drawing
// functions make the file that is taken away. It knows the calls and properties those functions use;
// anything else throws, rather than being missing from the file.

const SVG = "http://www.w3.org/2000/svg";
const ANCHORS = { start: "start", left: "start", center: "middle", right: "end", end: "end" };
let clips = 0; // names that stay apart when several pictures become one file

export class SvgCanvas {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.clientWidth = width;
    this.clientHeight = height;
    this.width = width;
    this.height = height;
    this.pen = new Pen(this);
  }

  /** @param {string} kind */
  getContext(kind) {
    if (kind !== "2d") throw new TypeError(`there is no ${kind} context here`);
    return this.pen;
  }

  // What was drawn, without an <svg> around it: to be placed in a larger picture.
  content() {
    const { defs, marks } = this.pen.written;
    /** @type {{ clip: string, marks: string[] }[]} */
    const groups = [];
    for (const { clip, mark } of marks) {
      const last = groups.at(-1);
      if (last?.clip === clip) last.marks.push(mark);
      else groups.push({ clip, marks: [mark] });
    }
    const body = groups.map(({ clip, marks: inside }) =>
      clip ? `<g clip-path="url(#${clip})">${inside.join("")}</g>` : inside.join(""),
    );
    return (defs.length ? `<defs>${defs.join("")}</defs>` : "") + body.join("\n");
  }
}

class Pen {
  /** @type {any} text; what else a canvas takes is refused when it is used */
  fillStyle = "#000";
  /** @type {any} */
  strokeStyle = "#000";
  globalAlpha = 1;
  lineWidth = 1;
  lineJoin = "miter";
  lineCap = "butt";
  font = "10px sans-serif";
  /** @type {CanvasTextAlign} */
  textAlign = "start";
  /** @type {CanvasTextBaseline} */
  textBaseline = "alphabetic";
  imageSmoothingEnabled = true;
  /** @type {number[]} */
  dash = [];
  clipped = "";
  matrix = new DOMMatrix();

  /** @param {SvgCanvas} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.ruler = sheet(1, 1); // knows fonts and colours
    this.written = empty();
    /** @type {string[]} */
    this.path = []; // in the picture's own coordinates, whatever the transform was
    /** @type {object[]} */
    this.stack = [];
    Object.seal(this); // an unknown property throws, too
  }

  // ---- state --------------------------------------------------------------------------------------

  save() {
    const { canvas, ruler, written, path, stack, ...state } = this;
    stack.push(state);
  }

  restore() {
    Object.assign(this, this.stack.pop() ?? {});
  }

  /** @param {Iterable<number>} dash */
  setLineDash(dash) {
    this.dash = [...dash];
  }

  getLineDash() {
    return [...this.dash];
  }

  /** Device pixels are absorbed: the file has CSS pixels. @param {number[]} matrix */
  setTransform(...matrix) {
    const { canvas } = this;
    const pixels = new DOMMatrix().scale(canvas.clientWidth / canvas.width, canvas.clientHeight / canvas.height);
    this.matrix = pixels.multiply(new DOMMatrix(matrix));
  }

  /** @param {number} x @param {number} y */
  translate(x, y) {
    this.matrix = this.matrix.translate(x, y);
  }

  /** @param {number} x @param {number} y */
  scale(x, y) {
    this.matrix = this.matrix.scale(x, y);
  }

  /** @param {number} angle */
  rotate(angle) {
    this.matrix = this.matrix.rotate((angle * 180) / Math.PI);
  }

  // ---- paths --------------------------------------------------------------------------------------

  beginPath() {
    this.path = [];
  }

  /** @param {number} x @param {number} y */
  moveTo(x, y) {
    this.step("M", x, y);
  }

  /** @param {number} x @param {number} y */
  lineTo(x, y) {
    this.step(this.path.length ? "L" : "M", x, y);
  }

  closePath() {
    if (this.path.length) this.path.push("Z");
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  rect(x, y, width, height) {
    if (![x, y, width, height].every(Number.isFinite)) return;
    this.moveTo(x, y);
    this.lineTo(x + width, y);
    this.lineTo(x + width, y + height);
    this.lineTo(x, y + height);
    this.closePath();
  }

  /** @param {number} x @param {number} y @param {number} radius @param {number} from @param {number} to */
  arc(x, y, radius, from, to, backwards = false) {
    if (![x, y, radius, from, to].every(Number.isFinite)) return;
    const turn = 2 * Math.PI;
    const swept = backwards ? from - to : to - from;
    const sweep = swept >= turn ? turn : ((swept % turn) + turn) % turn;
    /** @param {number} share @returns {[number, number]} */
    const at = (share) => {
      const angle = from + (backwards ? -share : share) * sweep;
      return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
    };
    this.lineTo(...at(0));
    const size = round(radius * this.size());
    for (const share of [0.5, 1]) {
      // an SVG arc can't be a whole circle: two halves always can
      this.path.push(`A${size} ${size} 0 0 ${backwards ? 0 : 1} ${this.place(...at(share))}`);
    }
  }

  /** @param {string} letter @param {number} x @param {number} y */
  step(letter, x, y) {
    if (Number.isFinite(x) && Number.isFinite(y)) this.path.push(letter + this.place(x, y));
  }

  /** @param {number} x @param {number} y */
  place(x, y) {
    const { a, b, c, d, e, f } = this.matrix;
    return `${round(a * x + c * y + e)} ${round(b * x + d * y + f)}`;
  }

  // How much longer lines are than their coordinates say; equal in all directions, so circles stay circles.
  size() {
    const { a, b, c, d } = this.matrix;
    if (Math.hypot(a - d, b + c) > 1e-9) throw new TypeError("only moved, turned and evenly scaled drawings");
    return Math.hypot(a, b);
  }

  clip() {
    clips += 1;
    const id = `clip${clips}`;
    const inside = this.clipped ? ` clip-path="url(#${this.clipped})"` : "";
    this.written.defs.push(`<clipPath id="${id}"${inside}><path d="${this.path.join("")}"/></clipPath>`);
    this.clipped = id;
  }

  // ---- marks --------------------------------------------------------------------------------------

  fill(rule = "nonzero") {
    const evenly = rule === "evenodd" ? ' fill-rule="evenodd"' : "";
    if (this.path.length) this.write(`<path d="${this.path.join("")}"${evenly}${this.paint("fill", this.fillStyle)}/>`);
  }

  stroke() {
    if (this.path.length) this.write(`<path d="${this.path.join("")}" fill="none"${this.outline()}/>`);
  }

  /** @param {[number, number, number, number]} box */
  fillRect(...box) {
    this.aside(
      () => this.rect(...box),
      () => this.fill(),
    );
  }

  /** @param {[number, number, number, number]} box */
  strokeRect(...box) {
    this.aside(
      () => this.rect(...box),
      () => this.stroke(),
    );
  }

  /** Rectangles leave the present path alone. @param {() => void} draw @param {() => void} mark */
  aside(draw, mark) {
    const kept = this.path;
    this.path = [];
    draw();
    mark();
    this.path = kept;
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  clearRect(x, y, width, height) {
    const { clientWidth, clientHeight } = this.canvas;
    if (x > 0 || y > 0 || x + width < clientWidth || y + height < clientHeight) {
      throw new TypeError("only the whole picture can be cleared");
    }
    this.written = empty();
  }

  /** @param {string} words @param {number} x @param {number} y */
  fillText(words, x, y) {
    this.text(words, x, y, this.paint("fill", this.fillStyle));
  }

  /** @param {string} words @param {number} x @param {number} y */
  strokeText(words, x, y) {
    this.text(words, x, y, ` fill="none"${this.outline()}`);
  }

  /** @param {string} words @param {number} x @param {number} y @param {string} paint */
  text(words, x, y, paint) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    // Renderers disagree about baselines; the one at the letters' feet is everywhere the same.
    const here = this.measure(words, this.textBaseline).actualBoundingBoxAscent;
    const feet = this.measure(words, "alphabetic").actualBoundingBoxAscent;
    const parts = /^(.*?)([\d.]+)px\s+(.+)$/.exec(this.ruler.font);
    const [, style, size, family] = /** @type {RegExpExecArray} */ (parts); // as a canvas writes every font
    const slant = /italic|oblique/.test(style) ? ' font-style="italic"' : "";
    const weight = /bold|\d{3}/.exec(style);
    this.write(
      `<text x="${round(x)}" y="${round(y + feet - here)}"${this.moved()} text-anchor="${ANCHORS[this.textAlign]}"` +
        ` font-family="${escaped(family)}" font-size="${size}"${slant}${weight ? ` font-weight="${weight[0]}"` : ""}` +
        `${paint}>${escaped(words)}</text>`,
    );
  }

  /** @param {string} words */
  measureText(words) {
    return this.measure(words, this.textBaseline);
  }

  /** @param {string} words @param {CanvasTextBaseline} baseline */
  measure(words, baseline) {
    this.ruler.font = this.font;
    this.ruler.textAlign = this.textAlign;
    this.ruler.textBaseline = baseline;
    return this.ruler.measureText(words);
  }

  // ---- images -------------------------------------------------------------------------------------

  /** @param {number} width @param {number} height */
  createImageData(width, height) {
    return this.ruler.createImageData(width, height);
  }

  // In pixels of the screen and deaf to every setting, as on a canvas.
  /** @param {ImageData} image @param {number} x @param {number} y */
  putImageData(image, x, y) {
    const { canvas } = this;
    const [across, down] = [canvas.clientWidth / canvas.width, canvas.clientHeight / canvas.height];
    const place = `x="${round(x * across)}" y="${round(y * down)}"`;
    const size = `width="${round(image.width * across)}" height="${round(image.height * down)}"`;
    const pixels = sheet(image.width, image.height);
    pixels.putImageData(image, 0, 0);
    this.written.marks.push({
      clip: "",
      mark: `<image ${place} ${size} preserveAspectRatio="none" href="${pixels.canvas.toDataURL()}"/>`,
    });
  }

  /**
   * drawImage(image, x, y), with width and height, or with a part of the image before them.
   *
   * @param {ImageBitmap | HTMLCanvasElement | HTMLImageElement} image
   * @param {number[]} numbers
   */
  drawImage(image, ...numbers) {
    const [left, top, across, down] = numbers.length === 8 ? numbers : [0, 0, image.width, image.height];
    const [x, y, width = across, height = down] = numbers.length === 8 ? numbers.slice(4) : numbers;
    const pixels = sheet(across, down);
    pixels.drawImage(image, left, top, across, down, 0, 0, across, down);
    const smooth = this.imageSmoothingEnabled ? "" : ' style="image-rendering:pixelated"';
    this.write(
      `<image x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}"` +
        `${this.moved()} opacity="${round(this.globalAlpha)}" preserveAspectRatio="none"${smooth} href="${pixels.canvas.toDataURL()}"/>`,
    );
  }

  // ---- how it is written --------------------------------------------------------------------------

  /** @param {string} mark */
  write(mark) {
    this.written.marks.push({ clip: this.clipped, mark });
  }

  moved() {
    const { a, b, c, d, e, f, isIdentity } = this.matrix;
    return isIdentity
      ? ""
      : ` transform="matrix(${[a, b, c, d, e, f].map((number) => Number(number.toFixed(6))).join(" ")})"`;
  }

  /** @param {"fill" | "stroke"} which @param {unknown} style */
  paint(which, style) {
    const { colour, alpha } = this.colour(style);
    const through = alpha * this.globalAlpha;
    return ` ${which}="${colour}"${through < 1 ? ` ${which}-opacity="${round(through)}"` : ""}`;
  }

  outline() {
    const size = this.size();
    const dash = this.dash.length
      ? ` stroke-dasharray="${this.dash.map((length) => round(length * size)).join(" ")}"`
      : "";
    const cap = this.lineCap === "butt" ? "" : ` stroke-linecap="${this.lineCap}"`;
    return (
      `${this.paint("stroke", this.strokeStyle)} stroke-width="${round(this.lineWidth * size)}"` +
      ` stroke-linejoin="${this.lineJoin}" stroke-miterlimit="10"${cap}${dash}`
    );
  }

  /** Any colour of CSS as #rrggbb and opacity, which every reader of SVG understands. @param {unknown} style */
  colour(style) {
    if (typeof style !== "string") throw new TypeError("only plain colours");
    this.ruler.fillStyle = "#000";
    this.ruler.fillStyle = style;
    const plain = this.ruler.fillStyle;
    const parts = /^rgba\((.*)\)$/.exec(plain)?.[1].split(",").map(Number);
    return parts ? { colour: `rgb(${parts.slice(0, 3)})`, alpha: parts[3] } : { colour: plain, alpha: 1 };
  }
}

/** @returns {{ defs: string[], marks: { clip: string, mark: string }[] }} */
const empty = () => ({ defs: [], marks: [] });

/** @param {number} width @param {number} height */
function sheet(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/** @param {number} number */
export function round(number) {
  return String(Number(number.toFixed(2)));
}

/** @type {Record<string, string>} */
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

// biome-ignore lint/suspicious/noControlCharactersInRegex: XML has no place for just these
const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

/** Text for SVG. @param {unknown} words */
export function escaped(words) {
  return String(words)
    .replace(UNPRINTABLE, "")
    .replace(/[&<>"]/g, (found) => ENTITIES[found]);
}

/** A whole file. @param {number} width @param {number} height @param {string} content */
export function svgFile(width, height, content) {
  return `<svg xmlns="${SVG}" width="${round(width)}" height="${round(height)}" viewBox="0 0 ${round(width)} ${round(height)}">\n${content}\n</svg>\n`;
}
