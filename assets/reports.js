// What the picture reports to the page, and which of the settings that the page hands over are news to it.

/**
 * @typedef {Record<string, any>} Values
 * @typedef {{session?: string, arrival: number, values: Values, query?: Record<string, string>, page?: string}} Handed
 *   session: of the page on the server; arrival: how often the address changed otherwise than by the picture; query: of
 *   the address that the settings were read from
 */

/** @type {{handed?: Handed, values?: Values}} */
let kept = {}; // what the last picture on this page was handed, and what it reported since

export class Reports {
  /**
   * @param {Handed} handed what came with the picture
   * @param {(values: Values) => void} send
   * @param {() => string} [search] the query of the browser's address
   */
  constructor(handed, send, search = () => location.search) {
    const { handed: before, values } = kept;
    // What the page hands a picture that it puts up anew may be older than the last report: where nothing has come from
    // elsewhere, the picture goes on where the one before was.
    const origin = ({ session, arrival, page } = handed) => JSON.stringify([session, arrival, page]);
    const anew = handed.session && origin(before) === origin();
    this.send = send;
    this.search = search;
    /** @type {Values | undefined} */
    this.last = anew ? values : undefined; // what was reported last, unless other settings have come since
    this.begun = this.last ?? handed.values;
    this.handed = handed;
    this.keep();
    /** @type {Values | undefined} */
    this.said = undefined; // what was reported last, until the page hands it over
    this.revision = 0;
  }

  /** @param {Values} values */
  report(values) {
    this.said = structuredClone(values);
    this.last = this.said;
    this.keep();
    this.tell();
  }

  keep() {
    kept = { handed: this.handed, values: this.last };
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
    this.keep();
    if (equal(next.values, this.said)) this.said = undefined;
    if (another && equal(next.values, handed.values)) {
      // The server was restarted and knows the address alone: what was reported meanwhile is told again.
      if (this.said) this.tell();
      return undefined;
    }
    if (!another && next.arrival === handed.arrival) return undefined;
    if (!another && this.last && !this.isHere(next.query)) {
      // The page was run with an address that the browser has left meanwhile: it is told what is shown.
      this.said = this.last;
      this.tell();
      return undefined;
    }
    this.said = undefined;
    this.last = undefined;
    this.keep();
    return next.values;
  }

  // Whether the browser's address has this query; how the page is embedded is not for the server.
  /** @param {Record<string, string>} [query] */
  isHere(query) {
    if (!query) return true;
    const here = Object.fromEntries(new URLSearchParams(this.search()));
    const names = Object.keys(here).filter((name) => !name.startsWith("embed"));
    return names.length === Object.keys(query).length && names.every((name) => here[name] === query[name]);
  }
}

/** @param {any} a @param {any} b */
const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
