// @ts-nocheck: the lab's own files have no types
// Races to open: those worth a prediction, with a question and the answer that the race itself gives, and
// those of the named experiments.
import { button, element } from "./controls.js";

const LEVEL = -1,
  UNDECIDED = -2; // guesses that are no lane's number; book/race/verdict.py knows the first, too

export class Question {
  constructor(parent, race, presets, experiments) {
    this.race = race;
    this.presets = presets;
    this.experiments = experiments;
    const row = element(parent, "nav", "presets", { "aria-label": "Races to try" });
    element(row, "span", "hint", {}, "Try:");
    this.links = Object.entries(presets).map(([name, { label, address }]) => {
      const link = element(row, "a", "", { href: address }, label);
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        this.open(this.presets[name].values);
      });
      return [name, link];
    });
    this.chooser = this.offer(row);
    button(row, "Start over", "Put every setting back to how the lab starts", () => race.startOver());
    this.heading = element(parent, "p", "experiment");
    this.box = element(parent, "div", "question", { role: "group", "aria-label": "A prediction" });
    this.ask = element(this.box, "p");
    this.answers = element(this.box, "div", "answers");
  }

  // The experiments' races in one menu, a group an experiment.
  offer(parent) {
    const chooser = element(parent, "select", "", {
      "aria-label": "Races of the experiments",
      "data-control": "experiment",
    });
    element(chooser, "option", "", { value: "" }, "Experiments …");
    const groups = {};
    this.experiments.forEach(({ experiment, race }, number) => {
      groups[experiment] ??= element(chooser, "optgroup", "", { label: experiment });
      element(groups[experiment], "option", "", { value: number }, race);
    });
    chooser.addEventListener("change", () => {
      const chosen = this.experiments[chooser.value];
      if (chosen) this.open(chosen.values);
      else this.show();
    });
    return chooser;
  }

  // The preset whose race this is; another race can't answer its question.
  get preset() {
    const preset = this.presets[this.race.values.preset];
    return preset && this.raced(preset.values) ? preset : undefined;
  }

  // The experiment's race that this is, by its number in the list; -1 where it is none.
  get experiment() {
    const { experiment, race } = this.race.values;
    const { defaults } = this.race.data;
    return this.experiments.findIndex(
      ({ values }) => values.experiment === experiment && (values.race ?? defaults.race) === race && this.raced(values),
    );
  }

  // Whether the settings of the runs are these, and else the defaults.
  raced(settings) {
    const { values, data } = this.race;
    return data.run.every(
      (name) => JSON.stringify(values[name]) === JSON.stringify(settings[name] ?? data.defaults[name]),
    );
  }

  open(settings) {
    this.race.setPlaying(false, false);
    const { speed } = this.race.values; // a pace is the reader's own
    this.race.apply({ ...this.race.data.defaults, ...settings, speed });
    this.race.commit();
  }

  // Other settings than the preset's or the experiment's: what was asked or said of it no longer applies.
  leave() {
    const { experiment, race } = this.race.data.defaults;
    Object.assign(this.race.values, { preset: "", guess: UNDECIDED, experiment, race });
    this.answer = undefined;
    this.show();
  }

  show() {
    const { preset, race, experiment } = this;
    for (const [name, link] of this.links) link.setAttribute("aria-current", this.presets[name] === preset);
    this.chooser.value = experiment < 0 ? "" : experiment;
    this.heading.textContent = this.experiments[experiment]?.heading ?? "";
    this.heading.hidden = experiment < 0;
    this.box.hidden = !preset;
    if (!preset) return;
    const { guess } = race.values;
    const open = guess === UNDECIDED;
    this.ask.textContent = `${preset.about} ${open ? `Predict before you look: who is ahead at step ${preset.until}?` : this.said(guess)}`;
    const lanes = JSON.stringify([race.names(), open]);
    if (this.shown === lanes) return;
    this.shown = lanes;
    this.answers.replaceChildren();
    if (!open) return;
    for (const [number, lane] of race.names().entries()) button(this.answers, lane, "", () => this.commit(number));
    button(this.answers, this.name(LEVEL), "", () => this.commit(LEVEL));
  }

  name(number) {
    return number === LEVEL ? `level (within ${this.race.data.noise} points)` : this.race.names()[number];
  }

  said(guess) {
    if (this.answer === undefined) return `You say: ${this.name(guess)}.`;
    if (this.answer === guess) return `You said ${this.name(guess)}: so it is.`;
    return `You said ${this.name(guess)}; the race says: ${this.name(this.answer)}.`;
  }

  commit(number) {
    this.race.values.guess = number;
    this.answer = undefined;
    this.show();
    this.race.goTo(0, false);
    this.race.setPlaying(true);
    this.race.play.focus();
  }

  // The step that the question is about; 0 where there is none.
  until() {
    return this.preset?.until ?? 0;
  }

  // Where a race that is played has to stop: at that step.
  stop(step) {
    const until = this.until();
    return step < until ? until : Infinity;
  }

  judge(step, leader) {
    const { preset } = this;
    if (!preset || step !== preset.until) return;
    this.answer = leader;
    this.show();
  }
}
