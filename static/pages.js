// The pages of the book and their addresses: where each lies below the root, and what its settings were last.

/**
 * @typedef {{name: string, title: string, path: string, question: string, order: number}} Listed
 * @typedef {{title: string, question: string, path: string, picture: string, lead: string, sources: string}} Page
 * @typedef {object} Book the data block of every page
 * @property {string} version
 * @property {string} here the page that was opened
 * @property {[group: string, pages: Listed[]][]} groups
 * @property {Record<string, Page>} pages
 * @property {string[]} styles
 * @property {{what: string}} edition
 * @typedef {Record<string, string>} Query
 */

const FRAMED = /^embed/; // a page in a frame stays one; it is no setting
const FILE = /index\.html?$/;

/**
 * @param {URLSearchParams} params
 * @returns {Query} the settings; of a name that comes twice the last
 */
export function settings(params) {
  return Object.fromEntries([...params].filter(([name]) => !FRAMED.test(name)));
}

/** @param {Query} one @param {Query} [other] */
export function same(one, other) {
  const names = Object.keys(one);
  return other !== undefined && names.length === Object.keys(other).length && names.every((n) => one[n] === other[n]);
}

export class Pages {
  /** @param {Record<string, Page>} pages by name @param {URL} root the folder of the book */
  constructor(pages, root) {
    this.pages = pages;
    this.root = root;
    this.base = root.pathname.replace(/\/$/, "");
    /** @type {Map<string, Query>} by page, as it was last */
    this.saved = new Map();
  }

  /**
   * @param {URL | string} address
   * @returns {{name: string, query: Query, params: URLSearchParams} | undefined} undefined for what is no page of the
   *   book
   */
  find(address) {
    const url = new URL(address);
    if (url.origin !== this.root.origin || !`${url.pathname}/`.startsWith(this.root.pathname)) return undefined;
    const path = url.pathname.slice(this.root.pathname.length).replace(FILE, "").replace(/\/$/, "");
    const name = Object.keys(this.pages).find((one) => this.pages[one].path === path);
    return name === undefined ? undefined : { name, query: settings(url.searchParams), params: url.searchParams };
  }

  /**
   * @param {string} name
   * @param {Query} [query]
   * @param {string} [now] the query of the present address: whether the page is in a frame stays
   */
  address(name, query = {}, now = "") {
    const { path } = this.pages[name];
    const url = new URL(path ? `${path}/` : "./", this.root);
    const framed = [...new URLSearchParams(now)].filter(([key]) => FRAMED.test(key));
    for (const [key, value] of [...Object.entries(query), ...framed]) url.searchParams.append(key, value);
    return url;
  }

  /**
   * An address below the root, as chapters write it.
   *
   * @param {string} below "/training-lab?preset=deep"
   */
  link(below) {
    const url = new URL(below.replace(/^\//, ""), this.root);
    const found = this.find(url);
    return found ? this.address(found.name, found.query).href : url.href;
  }

  // Who comes back to a page finds it as it was left; an address with settings means what it says.
  /** @param {string} name @param {Query} query */
  restored(name, query) {
    return Object.keys(query).length ? query : (this.saved.get(name) ?? query);
  }
}
