// The bar of a race: one slim row that stays in sight with play, single steps and the slider, and a row below it with
// the start, the speed, the ghost, and how long a wait will be.
import { button, choice, element, ICONS, listenToFingers } from "./controls.js";
import { explain } from "./explain.js";
import { digit } from "./keys.js";

/** @import { Race } from "./race.js" */

const FAST = 10; // steps of an arrow with Shift
const FEWER = "Show 1 seed only";

export class Bar {
  /** @param {HTMLElement} parent @param {Race} race */
  constructor(parent, race) {
    this.race = race;
    /** @type {boolean | undefined} */
    this.drawn = undefined;
    this.box = element(parent, "div", "bar", { role: "group", "aria-label": "Playback" });
    const { box } = this;
    const more = element(parent, "div", "bar-more", { role: "group", "aria-label": "Start, speed, ghost" });
    this.play = button(box, "", "Play", () => race.setPlaying(!race.playing));
    this.play.classList.add("main");
    /** @param {HTMLElement} row @param {string} label @param {string} title @param {() => number} to */
    const step = (row, label, title, to) => button(row, label, title, () => race.goTo(to(), true));
    this.steps = [
      step(more, "", "Reset to the identical initial weights", () => 0),
      step(box, "−1", "One step back", () => race.step() - 1),
      step(box, "+1", "One step", () => race.step() + 1),
    ];
    this.steps[0].innerHTML = ICONS.reset;
    this.scrub = element(box, "input", "scrub", {
      ...{ type: "range", min: 0, max: race.horizon(), step: 1 },
      ...{ "aria-label": "Step of training", "data-control": "step" },
    });
    const follow = () => race.input("step", this.scrub.valueAsNumber);
    const settle = () => race.change();
    const mayFollow = listenToFingers(this.scrub, follow, settle);
    this.scrub.addEventListener("input", () => {
      if (mayFollow()) follow();
    });
    // A finger that returns to where it began has let go, too, but there is no "change" then.
    for (const end of ["change", "pointerup", "pointercancel", "blur"]) {
      this.scrub.addEventListener(end, () => setTimeout(settle));
    }
    this.clock = element(box, "output", "clock");
    const speed = race.table("speed");
    /** @type {(value: any) => void} */
    this.showSpeed = choice(
      more,
      { ...speed, choices: speed.stops, hint: "steps/s", about: "" },
      { onInput: (value) => race.look("speed", value), onChange: () => race.commit() },
    ).show;
    this.ghost = element(more, "div", "ghost");
    const label = element(this.ghost, "label");
    this.ghostBox = element(label, "input", "", { type: "checkbox", "data-control": "ghost" });
    element(label, "span", "", {}, "ghost");
    const { ghost } = race.data.terms;
    if (ghost) explain(this.ghost, "the ghost", ghost);
    this.ghostBox.addEventListener("change", () => race.haunt(this.ghostBox.checked));
    this.busy = element(more, "span", "busy hint", { "aria-live": "off" });
    this.words = element(this.busy, "span");
    this.busy.append(" ");
    this.fewer = button(this.busy, "", "", () => {
      race.apply({ ...race.values, replicas: 1 });
      race.commit();
    });
    this.fewer.hidden = true;
    this.held = element(more, "span", "held hint", { role: "status" });
  }

  show() {
    const { race } = this;
    const { values, open } = race;
    this.showSpeed(values.speed);
    this.ghostBox.checked = values.ghost === "on";
    this.ghost.hidden = !values.before.length && !values.edits.length;
    for (const control of [this.play, ...this.steps, this.scrub]) control.disabled = open;
    this.held.hidden = !open;
    this.busy.hidden = open;
    this.held.textContent = open ? "Answer the question or skip it: then the race can be played." : "";
  }

  // Slider, clock and pictures are at one step.
  draw() {
    const { race } = this;
    const step = race.step();
    this.scrub.max = String(race.horizon());
    if (!race.held) this.scrub.value = String(step);
    this.scrub.setAttribute("aria-valuetext", `step ${step}`);
    this.clock.textContent = `step ${step}`;
    this.drawPlay();
  }

  // Only on a change: an icon that is replaced under a pressed finger takes the click with it.
  drawPlay() {
    const { playing } = this.race;
    if (this.drawn === playing) return;
    this.drawn = playing;
    this.play.innerHTML = playing ? ICONS.pause : ICONS.play;
    this.play.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.play.title = playing ? "Pause (space)" : "Play (space)";
  }

  // Once fewer seeds are offered, they are until the wait has an end.
  /** @param {string} words @param {boolean} [long] whether fewer seeds are worth a thought */
  wait(words, long = false) {
    if (this.words.textContent !== words) this.words.textContent = words;
    const offered = words !== "" && (long || !this.fewer.hidden) && this.race.values.replicas > 1;
    if (offered === !this.fewer.hidden) return;
    this.fewer.hidden = !offered;
    this.fewer.textContent = offered ? FEWER : "";
    this.fewer.title = `${FEWER}, not ${this.race.values.replicas}: the curves come sooner, and have no band`;
    this.fewer.setAttribute("aria-label", this.fewer.title);
  }
}

/**
 * What keys do in the lab.
 *
 * @param {Race} race
 * @returns {Pick<import("./keys.js").Frame, "known" | "act">}
 */
export function keysOf(race) {
  return {
    known: () =>
      race.open
        ? [[`1 – ${race.scene?.choices.length}`, "answer the question"]]
        : [
            ["space", "play, pause"],
            ["← →", `one step back, one step; with Shift ${FAST}`],
            ["Home, End", "the first step, the furthest that was shown"],
            ["Tab", "reach a control or a figure; arrows move what is chosen"],
          ],
    act: (key, { shiftKey }) => {
      const answer = digit(key);
      if (race.open) {
        if (answer !== undefined) race.races.answer(answer);
        return answer !== undefined;
      }
      const step = shiftKey ? FAST : 1;
      const to = {
        ArrowLeft: race.step() - step,
        ArrowRight: race.step() + step,
        Home: 0,
        End: race.head.furthest,
      }[key];
      if (to !== undefined) {
        race.goTo(to, false);
        race.commitSoon();
      } else if (key === " ") race.setPlaying(!race.playing);
      else return false;
      return true;
    },
  };
}
