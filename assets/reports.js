// What the picture reports to the page, and which of the settings that the page hands over are news to it.

/**
 * @typedef {Record<string, any>} Values
 * @typedef {{session?: string, arrival: number, values: Values}} Handed session: of the page on the server; arrival:
 *   how often the address changed otherwise than by the picture
 */

export class Reports {
  /** @param {Handed} handed what came with the picture @param {(values: Values) => void} send */
  constructor(handed, send) {
    this.handed = handed;
    this.send = send;
    /** @type {Values | undefined} */
    this.said = undefined; // what was reported last, until the page hands it over
    this.revision = 0;
  }

  /** @param {Values} values */
  report(values) {
    this.said = structuredClone(values);
    this.tell();
  }

  // Each has a number of its own: the page is told of changes only.
  tell() {
    this.revision += 1;
    this.send({ ...this.said, revision: this.revision });
  }

  /**
   * Hear what the page hands over.
   *
   * @param {Handed} next
   * @returns {Values | undefined} settings from elsewhere: another link, the way back
   */
  hear(next) {
    const { handed } = this;
    const another = next.session !== handed.session;
    this.handed = next;
    if (equal(next.values, this.said)) this.said = undefined;
    if (another && equal(next.values, handed.values)) {
      // The server was restarted and knows the address alone: what was reported meanwhile is told again.
      if (this.said) this.tell();
      return undefined;
    }
    if (!another && next.arrival === handed.arrival) return undefined;
    this.said = undefined;
    return next.values;
  }
}

/** @param {any} a @param {any} b */
const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
