// Races worth a prediction: links, a question, and the answer that the race itself gives.
import { button, element } from "./controls.js";

const LEVEL = -1, UNDECIDED = -2; // guesses that are no lane's number; live/verdict.py knows the first, too

export class Question {
  constructor(parent, race, presets) {
    this.race = race;
    this.presets = presets;
    const row = element(parent, "nav", "presets", { "aria-label": "Races to try" });
    element(row, "span", "hint", {}, "Try:");
    this.links = Object.entries(presets).map(([name, { label, address }]) => {
      const link = element(row, "a", "", { href: address }, label);
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        this.open(name);
      });
      return [name, link];
    });
    button(row, "Start over", "Put every setting back to how the lab starts", () => race.startOver());
    this.box = element(parent, "div", "question", { role: "group", "aria-label": "A prediction" });
    this.ask = element(this.box, "p");
    this.answers = element(this.box, "div", "answers");
  }

  // The preset whose race this is; another race can't answer its question.
  get preset() {
    const { values, data } = this.race;
    const preset = this.presets[values.preset];
    const same = (name, wanted) => JSON.stringify(values[name]) === JSON.stringify(wanted);
    return preset && data.run.every((name) => same(name, preset.values[name] ?? data.defaults[name])) ? preset : undefined;
  }

  open(name) {
    this.race.setPlaying(false, false);
    const { speed } = this.race.values; // a pace is the reader's own
    this.race.apply({ ...this.race.data.defaults, ...this.presets[name].values, speed });
    this.race.commit();
  }

  // Other settings than the preset's: its question no longer applies.
  leave() {
    Object.assign(this.race.values, { preset: "", guess: UNDECIDED });
    this.answer = undefined;
    this.show();
  }

  show() {
    const { preset, race } = this;
    for (const [name, link] of this.links) link.setAttribute("aria-current", this.presets[name] === preset);
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
    race.names().forEach((lane, number) => button(this.answers, lane, "", () => this.commit(number)));
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

  // Where a race that is played has to stop: at the step that the question is about.
  stop(step) {
    const { preset, race } = this;
    return preset && race.values.guess !== UNDECIDED && step < preset.until ? preset.until : Infinity;
  }

  judge(step, leader) {
    const { preset, race } = this;
    if (!preset || step !== preset.until) return;
    this.answer = leader;
    this.show();
  }
}
