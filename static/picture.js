// The live picture on the page: the same component as in the edition with a server, in a shadow root with its styles.
import { mount } from "../assets/component.js";
import { element } from "../assets/controls.js";
import { connector } from "./transport.js";

/**
 * @import { Arrived, Recorded } from "./recorded.js"
 * @import { Session } from "./session.js"
 * @typedef {Record<string, any>} Values
 * @typedef {object} Around what a picture is told of the page
 * @property {string} page
 * @property {string} base the path of the book's folder, without a slash at its end
 * @property {string} plotly where it is
 */

const REVISION = "revision"; // counts reports; it is no setting

/**
 * The styles of all pictures, once.
 *
 * @param {URL} folder
 * @param {string[]} names
 */
export async function styles(folder, names) {
  const texts = await Promise.all(
    names.map(async (name) => {
      const answer = await fetch(new URL(name, folder));
      if (!answer.ok) throw new Error(`${name} could not be loaded`);
      return answer.text();
    }),
  );
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(texts.join("\n"));
  return sheet;
}

export class Picture {
  /**
   * @param {HTMLElement} parent
   * @param {object} given
   * @param {Arrived} given.arrived
   * @param {Around} given.around
   * @param {Session} given.session
   * @param {Recorded} [given.recorded]
   * @param {CSSStyleSheet} given.sheet
   * @param {(values: Values) => void} given.onCommit a gesture has ended
   * @param {(distance: import("./ahead.js").Distance | undefined) => void} given.onAhead see static/transport.js
   */
  constructor(parent, { arrived, around, session, recorded, sheet, onCommit, onAhead }) {
    this.host = element(parent, "div", "live");
    const root = this.host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    element(root, "div", "lab", { "aria-busy": "true" });
    const { opening, values, paused } = arrived;
    /** @type {Record<string, any>} */
    this.data = { ...opening, ...around, values, paused, arrival: 0 };
    this.mounted = mount(root, this.data, connector(session, recorded, onAhead));
    this.report = (/** @type {string} */ _, /** @type {any} */ reported) => {
      const { [REVISION]: __, ...said } = reported;
      onCommit(said);
    };
    this.repaint();
  }

  /** What is asked of the reader, of a chapter; a picture whose question is open gives no answer away. */
  get story() {
    return this.data.story ?? [];
  }

  // Settings from elsewhere: another link, the way back.
  /** @param {Arrived} arrived */
  arrive({ opening, values, paused }) {
    this.data = { ...this.data, ...opening, values, paused, arrival: this.data.arrival + 1 };
    this.repaint();
  }

  // The colours may have changed.
  repaint() {
    this.mounted.update(this.data, this.report);
  }

  destroy() {
    this.mounted.destroy();
    this.host.remove();
  }
}

/**
 * Whether a scene's question waits for an answer.
 *
 * @param {{name: string, choices: string[]}[]} story
 * @param {Values} values
 */
export function isOpen(story, { scene, guesses = [] }) {
  const shown = story.find(({ name }) => name === scene);
  return Boolean(shown?.choices.length) && !guesses.some((/** @type {[string, number]} */ [name]) => name === scene);
}
