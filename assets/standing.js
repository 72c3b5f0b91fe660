// @ts-nocheck: the lab's own files have no types
// How the lanes stand at the playhead, a row each: accuracy, parameters, what a step costs.
import { element } from "./controls.js";
import { looks, swatch } from "./draw.js";

const share = (value) => (100 * value).toFixed(1);

export class Standing {
  // race: shown, step()
  constructor(parent, race) {
    this.race = race;
    this.table = element(parent, "table", "standing");
    const head = element(element(this.table, "thead"), "tr");
    this.heads = ["Lane", "", "Parameters", "Cost of a step"].map((words) =>
      element(head, "th", "", { scope: "col" }, words),
    );
    this.heads[3].title =
      "Processor time of one training step of all seeds, recording left out, measured on the server";
    this.body = element(this.table, "tbody");
  }

  draw(colours) {
    const { shown } = this.race;
    const key = `${JSON.stringify(shown.lanes.map(({ name, norm }) => [name, norm]))} ${colours.page} ${colours.colours}`;
    if (this.key !== key) this.build(shown, colours);
    this.key = key;
    const measured = shown.network === "gan" ? "Near a Gaussian" : "Validation accuracy";
    this.write(this.heads[1], `${measured}, step ${this.step()}`);
    shown.lanes.forEach(({ cost }, lane) => {
      const [accuracy, parameters, time] = this.cells[lane];
      this.write(accuracy, this.accuracy(lane));
      this.write(parameters, cost ? cost.parameters.toLocaleString("en") : "…");
      this.write(time, cost ? `${milliseconds(1000 * cost.seconds)} ms` : "…");
    });
  }

  build(shown, colours) {
    this.body.replaceChildren();
    const styles = looks(shown.lanes.map(({ norm }) => norm));
    this.cells = shown.lanes.map(({ name }, lane) => {
      const row = element(this.body, "tr");
      const head = element(row, "th", "", { scope: "row" });
      swatch(element(head, "canvas", "swatch", { "aria-hidden": "true" }), colours, styles[lane]);
      element(head, "span", "", {}, name);
      return [0, 1, 2].map(() => element(row, "td"));
    });
  }

  accuracy(lane) {
    const { shown } = this.race;
    const [mean, low, high] = [0, 1, 2].map((index) => shown.at(lane, this.step(), "val_accuracy", index));
    const left = shown.at(lane, this.race.step(), "seeds_left"),
      seeds = shown.at(lane, 0, "seeds_left");
    if (!left || !Number.isFinite(mean)) return left === 0 ? "diverged" : "…";
    const some = left < seeds ? `, ${left} of ${seeds} seeds` : "";
    return (low < high ? `${share(mean)}% (${share(low)}–${share(high)})` : `${share(mean)}%`) + some;
  }

  // The latest validation up to the playhead.
  step() {
    const every = this.race.shown.validateEvery;
    return Math.floor(this.race.step() / every) * every;
  }

  write(cell, words) {
    if (cell.textContent !== words) cell.textContent = words;
  }
}

function milliseconds(time) {
  return time >= 10 ? Math.round(time) : time.toPrecision(2);
}
