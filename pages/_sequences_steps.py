"""The scene "A mean for each step": how different statistics of steps are, and whether one would do."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib.data import LONGEST
from bnlib.experiments.intervals import paired
from bnlib.lessons import sequences
from bnlib.lessons.sequences import INSTEAD
from book import charts
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, progress
from book.controls import Control, Values
from book.equations import Equation, frac, row, told
from book.figure import BLUE, GREEN, GREYS, INK, PURPLE, Figure, Trace
from pages import _sequences_recurrent as nets
from pages._sequences_parts import SHADES, SIGNS
from pages._sequences_recurrent import WIDTH
from pages._sequences_rscripts import RECURRENT, STEPS_END, STEPS_TORCH

NAMES = {"own": "own", "module": "module", "first": "step 1", "last": "step 16"}
LONG = {
    "own": "own mean and variance at each step",
    "module": "one BatchNorm1d called at every step",
    "first": "those of step 1 at all steps",
    "last": "those of step 16 at all steps",
}
SHADE = {"own": BLUE, "module": PURPLE, "first": INK, "last": GREEN}

# One module's running mean from 0, once steps 1 to 16 have had the means 1 to 16.
MODULE_MEAN = float(sum(0.1 * 0.9 ** (LONGEST - step) * step for step in range(1, LONGEST + 1)))

CONTROLS = (
    Control(
        "instead", "choice", "own", "in inference", choices=INSTEAD, names=tuple(NAMES.values()),
        look="buttons",
        about="Which running mean and variance inference takes: each step’s own; “module”: what one "
        "torch.nn.BatchNorm1d has kept that was called at every step; or one step’s, at all steps.",
    ),
)  # fmt: skip


def jobs(values: Values) -> dict[str, Job]:
    """Return the training of batch norm whose padding counts, which errs less."""
    return nets.jobs(values, "counted")


def view(values: Values, found: Found) -> View:
    """Show the statistics of each step, and the errors with others in their place."""
    hide, narrow, moment = values["open"], values.get("narrow", False), values["moment"]
    run = found.get("counted")
    if hide or run is None:
        mean, var = sequences.untrained(nets.config_of(values, "counted"))
    else:
        mean, var = run["mean"][0], run["var"][0]
    when = "before training" if hide or run is None else "after training"
    figures = {"means": _map(mean, moment, "mean", when, narrow)}
    if hide:
        text = (
            f"At step {moment} the means of {WIDTH} units lie between {_signed(mean[moment - 1].min())} and "
            f"{_signed(mean[moment - 1].max())}, before training."
        )
        return View(_numbers(run, moment), text, figures, waiting="" if run else progress(found))
    figures["deviations"] = _map(np.sqrt(var), moment, "standard deviation", when, narrow)
    if run is None:
        return View(figures=figures, waiting=progress(found))
    numbers, errors = _numbers(run, moment), _errors(run)
    figures["spread"] = _spread(run, moment)
    figures["wrong"] = charts.bars(
        {NAMES[name]: own for name, own in errors.items()}, "Wrong validation sequences",
        nets.percents(0, 100, (0, 20, 40, 60, 80, 100)),
        [SHADE[name] if name == values["instead"] else fig.faded(SHADE[name], 0.45) for name in INSTEAD],
        narrow, form=".0f", what="errors in per cent", height=230,
        hint="In inference, with these means and variances. Bars: mean of 8 seeds. Dots: seeds.",
    )  # fmt: skip
    chosen = values["instead"]
    gap = paired(errors[chosen] - errors["own"])
    text = (
        f"Step {moment}: standard deviation {numbers['here']:.2f}, mean over units and seeds. With "
        f"{LONG[chosen]}, {average(errors[chosen]):.1f}% are wrong."
    )
    note = (
        "Networks and weights are the same in all bars."
        if chosen == "own"
        else f"{NAMES[chosen].capitalize()} − own: {nets.said(gap)}."
    )
    equation = Equation(
        "ratio", "standard deviation at step 16 over that at step 1", frac(row("σ₁₆"), row("σ₁")),
        numbers["ratio"], (frac(told(numbers["last"]), told(numbers["first"])), told(numbers["ratio"])),
    )  # fmt: skip
    std = np.sqrt(run["var"]).mean(axis=(0, 2))
    table = {"step": np.arange(1, LONGEST + 1), "std": std}
    return View(numbers, text, figures, table, (equation,), notes={"wrong": note})


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _errors(run: Any) -> dict[str, Any]:
    """Return errors over seeds by what inference takes."""
    return {name: run["instead"][:, k] for k, name in enumerate(INSTEAD)}


def _numbers(run: Any, moment: int) -> dict[str, float]:
    """Return standard deviations, means over seeds and units, and errors."""
    if run is None:
        return {}
    std = np.sqrt(run["var"]).mean(axis=(0, 2))
    errors = _errors(run)
    gap = paired(errors["module"] - errors["own"])
    return {
        "first": float(std[0]), "second": float(std[1]), "last": float(std[-1]),
        "here": float(std[moment - 1]), "module_mean": MODULE_MEAN, "blank": sequences.blank(1),
        "ratio": float(std[-1] / std[0]), "rest": float(std[1:].max() / std[1:].min()),
        "gap": gap.mean, "gap_low": gap.low, "gap_high": gap.high,
    } | {f"error_{name}": average(own) for name, own in errors.items()}  # fmt: skip


def _map(values: Any, moment: int, what: str, when: str, narrow: bool) -> Figure:
    """Draw a statistic (T, C) of every unit at every step."""
    order = np.argsort(values[-1])
    low, high, colours = (-0.6, 0.6, SIGNS) if what == "mean" else (0.0, 1.6, GREYS)
    data: list[Trace] = [
        fig.cells(values[:, order].T, low, high, colours, what, x=np.arange(1, LONGEST + 1), hoverinfo="skip")
    ]
    edges = [fig.mark(moment + side, -0.5, moment + side, WIDTH - 0.5, PURPLE, 2.0) for side in (-0.5, 0.5)]
    end = np.abs(values).mean(axis=1)
    hint = (
        "Blue: above 0. Orange: below 0. Strongest at ±0.6."
        if what == "mean"
        else "Faint: near 0. Strong: 1.6 or more."
    )
    return fig.figure(
        data, f"{what.capitalize()} at each step, {when}",
        f"{WIDTH} units over 16 steps. Mean size {end[0]:.2f} at step 1, {end[-1]:.2f} at step 16.",
        fig.axis(0.3, LONGEST + 0.7, "step", [1, 4, 8, 12, 16]),
        fig.axis(-0.7, WIDTH - 0.3, "unit", []), shapes=edges, height=170 if narrow else 200,
        hint=f"{hint} Units in the order of step 16. One of 8 seeds.",
    )  # fmt: skip


def _spread(run: Any, moment: int) -> Figure:
    """Draw standard deviations and sizes of means over the steps; a dot sets the step."""
    x = np.arange(1, LONGEST + 1)
    std = np.sqrt(run["var"]).mean(axis=2)
    size = np.sqrt(np.square(run["mean"]).mean(axis=2))
    height = std.mean(axis=0)[moment - 1]
    meta = {"drag": "moment", "axis": "x", "says": [f"step {moment}: {height:.2f}"]}
    data = [
        *over_seeds(x, std, "standard deviation", BLUE),
        *over_seeds(x, size, "size of the mean (rms)", INK, dash="dash"),
        fig.dots([moment], [height], "step", BLUE, size=16, alpha=0.5, showlegend=False, meta=meta),
    ]
    return fig.figure(
        data, "Over the units", f"Standard deviation {std.mean(axis=0)[0]:.2f} at step 1, "
        f"{std.mean(axis=0)[1]:.2f} at step 2, {std.mean(axis=0)[-1]:.2f} at step 16.",
        fig.axis(0.3, LONGEST + 0.7, "step", [1, 4, 8, 12, 16]), fig.axis(0, 1.6, "of what enters the norm"),
        place="side", showlegend=True, height=220, hint=f"Drag the large dot. {SHADES}",
    )  # fmt: skip


SCENE = Scene(
    "steps", "Mean per step",
    "A recurrent network has the same weights at all 16 steps. Batch norm keeps a running mean and variance "
    "for each step. How large is a unit’s standard deviation at step 16, compared with step 1?",
    (
        Choice("as large: the weights are the same", 1.0,
               "The weights are. But at step 1 the state is still 0; only a row of the digit comes in."),
        Choice("twice as large", 2.0, "It does grow: the state comes in as well."),
        Choice("four times as large, or more", 4.5),
    ),
    "ratio", {}, {},
    "It was {ratio:.1f} times as large: {last:.2f} instead of {first:.2f}.",
    "At step 1 there is no state, and {blank:.0f}% of the rows are blank. From step 2 on the state comes in: "
    "{second:.2f}. With step 1’s statistics at all steps {error_first:.0f}% would be wrong, instead of "
    "{error_own:.0f}%.",
    "From step 2 on the largest is only {rest:.2f} times the smallest. One BatchNorm1d called at every step "
    "leans to the last steps; inference with it changes the errors by {gap:+.1f} points (95% interval "
    "{gap_low:+.1f} to {gap_high:+.1f}).",
    "Choose what inference takes. Then learning rate 0.02: does one module cost more?",
    ("instead", "moment", "sequences", "rate", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Write both ways to have batch norm in a loop."""
    return STEPS_TORCH.format(width=WIDTH)


def script(values: Values) -> str:
    """Train batch norm again, and look at its running statistics."""
    return RECURRENT + nets.given(values) + STEPS_END


PASSAGES = (Passage("Which statistics inference takes", sequences.statistics_of),)
