// The way between the pages: one row of links, and on narrow screens a menu that closes after a choice; the same as
// ui/navigation.py makes for the edition with a server.
import { element } from "../assets/controls.js";

/** @import { Book, Listed, Pages } from "./pages.js" */

export class Navigation {
  /**
   * @param {HTMLElement} nav
   * @param {{groups: Book["groups"], pages: Pages, onSkip: () => void}} book onSkip: to the title
   */
  constructor(nav, { groups, pages, onSkip }) {
    this.nav = nav;
    this.pages = pages;
    /** @type {{name: string, link: HTMLAnchorElement}[]} */
    this.links = [];
    /** @type {{names: string[], menu: HTMLElement}[]} */
    this.groups = [];
    const skip = element(nav, "a", "skip", { href: "#title" }, "Skip the chapters");
    skip.addEventListener("click", (event) => {
      event.preventDefault();
      onSkip();
    });
    const row = element(nav, "ul", "row");
    const menu = element(nav, "details", "menu");
    const opener = element(menu, "summary", "", {}, "Chapters ");
    this.now = element(opener, "span", "now");
    const list = element(menu, "ul");
    for (const [name, listed] of groups) this.add(row, list, name, listed);
    nav.addEventListener(
      "toggle",
      ({ target }) => {
        if (target instanceof HTMLDetailsElement && target.open) this.close(target);
      },
      true,
    );
    document.addEventListener("pointerdown", ({ target }) => {
      if (!nav.contains(/** @type {Node} */ (target))) this.close();
    });
    document.addEventListener("keydown", (event) => this.escape(event));
  }

  /** @param {HTMLElement} row @param {HTMLElement} list @param {string} name @param {Listed[]} listed */
  add(row, list, name, listed) {
    if (!name) {
      this.fill(row, listed);
      this.fill(list, listed);
      return;
    }
    const menu = element(element(row, "li"), "details");
    element(menu, "summary", "", {}, name);
    this.fill(element(menu, "ul"), listed);
    this.groups.push({ names: listed.map((page) => page.name), menu });
    const item = element(list, "li");
    element(item, "b", "", {}, name);
    this.fill(element(item, "ul"), listed);
  }

  /** @param {HTMLElement} list @param {Listed[]} listed */
  fill(list, listed) {
    for (const { name, title } of listed) {
      const link = element(element(list, "li"), "a", "", { href: this.pages.address(name).href }, title);
      this.links.push({ name, link });
    }
  }

  /** @param {string} here the page that is shown */
  mark(here) {
    for (const { name, link } of this.links) {
      if (name === here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    for (const { names, menu } of this.groups) menu.classList.toggle("here", names.includes(here));
    this.now.textContent = this.pages.pages[here].title;
  }

  get open() {
    return [...this.nav.querySelectorAll("details")].filter((menu) => menu.open);
  }

  /** @param {HTMLDetailsElement} [except] */
  close(except) {
    for (const menu of this.open) menu.open = menu === except;
  }

  /** @param {KeyboardEvent} event */
  escape(event) {
    const [menu] = this.open;
    if (event.key !== "Escape" || !menu) return;
    if (menu.contains(document.activeElement)) menu.querySelector("summary")?.focus();
    this.close();
  }
}

/**
 * The address of a link that was clicked plainly, wherever it is; undefined for everything else.
 *
 * @param {MouseEvent} event
 * @returns {HTMLAnchorElement | undefined}
 */
export function followed(event) {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) {
    return undefined;
  }
  const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement);
  if (!(link instanceof HTMLAnchorElement) || !link.href || link.target || link.hasAttribute("download"))
    return undefined;
  return link.getAttribute("href")?.startsWith("#") ? undefined : link;
}
