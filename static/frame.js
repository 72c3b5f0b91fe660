// The frame of the edition without a server: the page that its address names, the way between pages, and Python, which
// comes once and stays while the reader goes from page to page.
import { element } from "../assets/controls.js";
import { Below } from "./below.js";
import { followed, Navigation } from "./navigation.js";
import { notice } from "./notices.js";
import { keepOffline } from "./offline.js";
import { Pages, same } from "./pages.js";
import { isOpen, Picture, styles } from "./picture.js";
import { Progress } from "./progress.js";
import { fetchRecorded } from "./recorded.js";
import { Session } from "./session.js";
import { words as paces } from "./speed.js";
import { chooseTheme } from "./theme.js";

/**
 * @import { Book, Query } from "./pages.js"
 * @import { Arrived, Recorded } from "./recorded.js"
 * @typedef {{name: string, recorded?: Recorded, picture?: Picture, told: number}} Visit a page that is shown; told: how
 *   often its settings have changed
 */

const NAME = "BatchNorm Lab";
const COMING = "Your browser computes this picture once Python has loaded.";
const NOT_COMING =
  "Python, which computes this picture, could not be loaded. Without its settings the page has one that was prepared:";

const PACE_MS = 4000; // a race that has just been opened comes first

const html = (/** @type {Element | null} */ node) => /** @type {HTMLElement} */ (node);
const at = (/** @type {string} */ id) => html(document.getElementById(id));

export class Frame {
  /** @param {Book} book @param {URL} folder of this version */
  constructor(book, folder) {
    this.book = book;
    this.folder = folder;
    this.pages = new Pages(book.pages, new URL("../", folder));
    this.session = new Session(() => worker(new URL("frame/worker.js", folder)));
    this.progress = new Progress([...document.querySelectorAll("p.progress")].map(html), at("told"));
    this.session.onProgress = (coming) => this.progress.show(coming);
    this.navigation = new Navigation(at("chapters"), {
      groups: book.groups,
      pages: this.pages,
      onSkip: () => this.read(),
    });
    chooseTheme(at("top"), () => this.visit?.picture?.repaint());
    this.below = new Below(at("below"), (address) => this.pages.link(address));
    this.sheet = styles(new URL("assets/", folder), book.styles);
    /** @type {Visit | undefined} */
    this.visit = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.pacing = undefined;
    at("edition").textContent = book.edition.what;
    history.scrollRestoration = "manual";
    document.addEventListener("click", (event) => this.click(event));
    document.addEventListener("bnlab:go", (event) => {
      event.preventDefault(); // from a link inside a picture: assets/links.js
      this.go(/** @type {CustomEvent} */ (event).detail);
    });
    addEventListener("popstate", (event) => this.follow(location.href, event.state?.top ?? 0));
    this.session.settled((state) => this.settle(state));
  }

  async begin() {
    at("plain").remove();
    const found = this.pages.find(location.href);
    await this.show(found?.name ?? this.book.here, found?.query ?? {});
    this.start();
  }

  // After the first picture: both need the network and the processor.
  start() {
    this.session.start({
      python: new URL("python/", this.folder).href,
      hand: new URL("frame/hand_worker.js", this.folder).href,
    });
  }

  /** @param {"coming" | "ready" | "failed"} state */
  async settle(state) {
    if (state === "failed") this.progress.fail(this.session.why);
    else this.progress.ready();
    this.tellPace();
    await keepOffline(this.pages.root);
  }

  // Beside races it is said how fast this machine trains; it is measured while it has nothing else to do.
  tellPace(busy = false) {
    clearTimeout(this.pacing);
    const lab = this.book.pages[this.visit?.name ?? ""]?.picture === "lab";
    if (!lab || busy || !this.session.ready || at("pace").textContent) return;
    this.pacing = setTimeout(async () => {
      try {
        at("pace").textContent = paces(await this.session.ask("speed", {}));
      } catch {
        // It isn't said.
      }
    }, PACE_MS);
  }

  // ---- from page to page ------------------------------------------------------------------------------------------

  /** @param {MouseEvent} event */
  click(event) {
    const link = followed(event);
    const found = link && this.pages.find(link.href);
    if (!link || !found) return;
    event.preventDefault();
    this.navigation.close();
    if (link.hasAttribute("aria-current")) this.read();
    else this.go(link.href);
  }

  /** @param {string} address */
  async go(address) {
    const found = this.pages.find(address);
    if (!found) {
      location.assign(address);
      return;
    }
    history.replaceState({ ...history.state, top: scrollY }, "");
    const { name, query } = found;
    const url = this.pages.address(name, query, location.search).href;
    if (url !== location.href) history.pushState(null, "", url);
    if (await this.follow(location.href, 0)) this.read();
  }

  /**
   * Shows what an address names.
   *
   * @param {string} address
   * @param {number} top how far the page is scrolled
   * @returns {Promise<boolean>} whether it is another page than before
   */
  async follow(address, top) {
    const found = this.pages.find(address);
    if (!found) return false;
    const { name, query } = found;
    if (name !== this.visit?.name || !this.visit.picture) {
      await this.show(name, query);
      scrollTo(0, top);
      if (document.activeElement === document.body) this.read(); // what had the focus is gone
      return true;
    }
    if (!same(query, this.pages.saved.get(name))) await this.change(this.visit, query);
    return false;
  }

  read() {
    at("title").focus({ preventScroll: true });
  }

  /** @param {string} name @param {Query} asked */
  async show(name, asked) {
    const { pages } = this;
    const query = pages.restored(name, asked);
    if (query !== asked) this.write("replaceState", name, query);
    this.visit?.picture?.destroy();
    /** @type {Visit} */
    const visit = { name, told: 0 };
    this.visit = visit;
    this.head(name);
    visit.recorded = await fetchRecorded(new URL(`first/${name}.bin`, this.folder));
    const arrived = visit === this.visit ? await this.arrive(visit, query) : undefined;
    const sheet = await this.sheet;
    if (!arrived || visit !== this.visit) return;
    this.take(visit, arrived, query);
    at("picture").replaceChildren();
    visit.picture = new Picture(at("picture"), {
      arrived,
      around: { page: name, base: pages.base, plotly: new URL("plotly.min.js", this.folder).pathname },
      session: this.session,
      recorded: visit.recorded,
      sheet,
      onCommit: (values) => this.commit(visit, values),
      onAhead: (distance) => {
        this.progress.ahead(distance);
        this.tellPace(distance !== undefined);
      },
    });
    document.body.classList.add("shown");
  }

  // What a page is called, and what stands above its picture.
  /** @param {string} name */
  head(name) {
    const { title, question, lead, sources } = this.book.pages[name];
    document.title = title === NAME ? NAME : `${title} · ${NAME}`;
    at("title").textContent = question;
    at("lead").innerHTML = lead;
    this.navigation.mark(name);
    this.navigation.close();
    notice(at("notices"), {});
    at("picture").replaceChildren();
    this.below.clear(sources);
    for (const box of [at("lead"), at("below")]) {
      for (const link of box.querySelectorAll("a[href^='/']")) {
        link.setAttribute("href", this.pages.link(link.getAttribute("href") ?? ""));
      }
    }
    this.tellPace();
  }

  // ---- addresses --------------------------------------------------------------------------------------------------

  /**
   * @param {Visit} visit
   * @param {Query} query
   * @returns {Promise<Arrived | undefined>} undefined where nobody knows, which is said
   */
  async arrive(visit, query) {
    const recorded = visit.recorded?.opening(query);
    if (recorded) return recorded;
    if (!visit.picture && !this.session.ready) element(at("picture"), "p", "instead", { role: "status" }, COMING);
    if (!visit.picture) this.start();
    try {
      return await this.session.ask("arrive", { page: visit.name, query });
    } catch {
      if (visit === this.visit && !visit.picture) this.cannot(visit.name);
      return undefined;
    }
  }

  /** @param {string} name */
  cannot(name) {
    const box = element(null, "p", "instead", { role: "status" }, `${NOT_COMING} `);
    element(box, "a", "", { href: this.pages.address(name).href }, this.book.pages[name].question);
    at("picture").replaceChildren(box);
  }

  // Settings from elsewhere on the page that is shown: another link, the way back.
  /** @param {Visit} visit @param {Query} query */
  async change(visit, query) {
    visit.told += 1;
    const { told } = visit;
    const known = this.pages.saved.get(visit.name);
    const arrived = await this.arrive(visit, query);
    if (!arrived || visit !== this.visit || told !== visit.told) return;
    this.take(visit, arrived, query);
    if (!same(arrived.address, known)) visit.picture?.arrive(arrived);
  }

  /** @param {Visit} visit @param {Arrived} arrived @param {Query} query */
  take(visit, arrived, query) {
    const { address, opening, values, beside } = arrived;
    this.pages.saved.set(visit.name, address);
    notice(at("notices"), arrived);
    if (arrived.opens && !same(address, query)) this.write("replaceState", visit.name, address);
    if (isOpen(opening.story ?? [], values)) this.below.hold();
    if (beside) this.below.show(beside);
    else this.tellBeside(visit, values);
  }

  // A gesture has ended: the address follows, and what is told below.
  /** @param {Visit} visit @param {Record<string, any>} values */
  async commit(visit, values) {
    visit.told += 1;
    const { told, name } = visit;
    if (visit === this.visit && isOpen(visit.picture?.story ?? [], values)) this.below.hold();
    this.tellBeside(visit, values);
    try {
      const address = await this.session.ask("address", { page: name, values });
      const other = visit !== this.visit;
      if (told !== visit.told || (other && name === this.visit?.name)) return;
      const before = this.pages.saved.get(name);
      this.pages.saved.set(name, address);
      if (other) return;
      notice(at("notices"), {});
      if (!same(address, before)) this.write("pushState", name, address);
    } catch {
      // Without Python the address stays as it is.
    }
  }

  /** @param {Visit} visit @param {Record<string, any>} values */
  async tellBeside(visit, values) {
    const { told } = visit;
    try {
      const beside = await this.session.ask("beside", { page: visit.name, values });
      if (visit === this.visit && told === visit.told) this.below.show(beside);
    } catch {
      // Nothing is told of these settings.
    }
  }

  /** @param {"pushState" | "replaceState"} how @param {string} name @param {Query} query */
  write(how, name, query) {
    history[how](null, "", this.pages.address(name, query, location.search));
  }
}

/**
 * A worker whose script is a module; an old browser takes it for a plain one, and must not.
 *
 * @param {URL} script
 */
function worker(script) {
  let known = false;
  const options = {
    get type() {
      known = true;
      return /** @type {"module"} */ ("module");
    },
  };
  const made = new Worker(script, options);
  if (known) return made;
  made.terminate();
  throw new Error("workers can't be modules here");
}
