// Settings on their way from one state to another: over the stops of their sliders, so that a reveal is seen.

const REVEAL_MS = 1600,
  STEP_MS = 700;

export class Transition {
  /** @param {import("./chapter.js").Chapter} chapter */
  constructor(chapter) {
    this.chapter = chapter;
    /** @type {Record<string, any>} */
    this.now = {}; // what is shown instead of the settings, while it moves
    this.running = 0;
  }

  /** @param {Record<string, any>} from @param {Record<string, any>} to */
  play(from, to) {
    this.stop();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const ways = Object.keys(to)
      .map((name) => this.way(name, from[name], to[name]))
      .filter((way) => way !== undefined);
    if (!ways.length) return;
    const walked = this.chapter.walk.control;
    const steps = walked && ways.some(([name]) => name === walked.name) ? walked.choices.length - 1 : 0;
    const began = performance.now(),
      lasts = steps ? STEP_MS * steps : REVEAL_MS;
    const frame = (/** @type {number} */ now) => {
      const time = Math.min((now - began) / lasts, 1),
        share = steps ? time : 1 - (1 - time) ** 3;
      this.now = time < 1 ? Object.fromEntries(ways.map(([name, at]) => [name, at(share)])) : {};
      this.chapter.frame.classList.toggle("moving", time < 1);
      this.chapter.showValues();
      if (time < 1) this.chapter.ask(now);
      else this.chapter.askAtOnce();
      this.running = time < 1 ? requestAnimationFrame(frame) : 0;
    };
    this.chapter.frame.classList.add("moving");
    this.now = Object.fromEntries(ways.map(([name, at]) => [name, at(0)]));
    this.running = requestAnimationFrame(frame);
  }

  // How a setting goes from one value to another; undefined: at once.
  /**
   * @param {string} name
   * @param {any} from
   * @param {any} to
   * @returns {[string, (share: number) => any] | undefined}
   */
  way(name, from, to) {
    if (JSON.stringify(from) === JSON.stringify(to)) return undefined;
    const control = this.chapter.control(name);
    if (control?.kind === "points" && to.length === 1) {
      const [[index, end]] = to,
        start = this.place(name, index);
      return [name, (share) => [[index, start + (end - start) * share ** 3]]];
    }
    const stops = control === this.chapter.walk.control ? control?.choices : control?.stops;
    if (!stops?.length) return undefined;
    const nearest = (/** @type {any} */ value) =>
      typeof value === "string"
        ? stops.indexOf(value)
        : stops.reduce(
            (/** @type {number} */ best, /** @type {number} */ stop, /** @type {number} */ i) =>
              Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best,
            0,
          );
    const [first, last] = [nearest(from), nearest(to)];
    return [name, (share) => stops[Math.round(first + (last - first) * share)]];
  }

  // Where a point that can be dragged is now.
  /** @param {string} name @param {number} index */
  place(name, index) {
    for (const { data } of Object.values(this.chapter.stage.view?.figures ?? {})) {
      const trace = data.find((/** @type {any} */ one) => one.meta?.drag === name);
      if (trace) return trace[trace.meta.axis][index] ?? 0;
    }
    return 0;
  }

  stop() {
    cancelAnimationFrame(this.running);
    this.chapter.frame.classList.remove("moving");
    this.now = {};
  }
}
