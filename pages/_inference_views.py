"""What each scene of "Training and inference" shows: a view of what its jobs and runs have found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bnlib.lessons.inference import expected_average, expected_gap, half_life, moving
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import WAITING, average
from book.controls import Values
from book.equations import Equation, bracketed, ref, row, told
from book.figure import BLUE, INK, ORANGE, Figure
from book.words import brief
from pages._inference_clinic import clinic
from pages._inference_company import alone, one_class, roulette
from pages._inference_parts import (
    ANEW,
    EVAL,
    SEEDS,
    STEP_BATCH,
    TRAIN,
    answers,
    bars,
    curves,
    digits,
    gap_light,
    gap_numbers,
    pixels,
    raised,
    start_left,
    unfinished,
)  # fmt: skip


def stale(values: Values, found: Found) -> View:
    """Show what a network says in train() and in eval() while its running averages are young."""
    hide = values["open"]
    modes, momentum, step = found.get("modes"), values["momentum"], values["step"]
    in_eval = values["mode"] == "eval" and not hide
    mode = EVAL if in_eval else TRAIN
    said = None if modes is None else modes["answers_eval" if in_eval else "answers_train"]
    figures = {
        "curves": curves(found.get("run"), values, hide),
        "digits": answers(said, mode, values.get("narrow", False)),
    }
    if modes is None:
        return View(figures=figures, waiting=WAITING)
    gone = float(np.log(0.01) / np.log(momentum)) if momentum else 1.0
    numbers = {
        "right_train": average(modes["train"]), "right_eval": average(modes["eval"]), "left": momentum**step,
        "gone": gone,
        "right": average(modes["eval" if in_eval else "train"]), "slightly": average(modes["train"]) - 0.05,
        "right_anew": average(modes["precise"]), "corrected": average(modes["corrected"]),
        "running_mean": float(modes["running"][0]), "running_var": float(modes["running"][1]),
        "batch_mean": float(modes["batch"][0]), "batch_var": float(modes["batch"][1]), "momentum": momentum,
        "step": float(step), "usual": float(np.log(0.01) / np.log(0.9)),
    }  # fmt: skip
    text = f"Step {step}, {mode}: {numbers['right']:.1%} of the validation digits are right."
    if not hide:
        text += (
            f" {raised(momentum, step)} = {numbers['left']:.1%} of the running averages is still their "
            f"start. In the first layer the variance is {brief(numbers['batch_var'])}; the running average "
            f"is {brief(numbers['running_var'])}."
        )
    equations = () if hide else (start_left(momentum, step),)
    run = found.get("run")
    return View(
        numbers, text, figures, _curves_table(run, hide), equations, waiting=unfinished(run, step)
    )  # fmt: skip


def _curves_table(run: Any, hide: bool) -> dict[str, Any]:
    """Return a row for each step that was validated, and each seed."""
    if run is None or not len(run["step"]):
        return {}
    some = np.isfinite(run["val_accuracy"]).all(axis=0)
    steps, seeds = run["step"][some], np.arange(len(run["val_accuracy"]))
    table = {"step": np.repeat(steps, len(seeds)), "seed": np.tile(seeds, len(steps))}
    table["train"] = run["val_accuracy_batch"][:, some].T.ravel()
    return table if hide else table | {"eval": run["val_accuracy"][:, some].T.ravel()}


def _following(seen: Any, averages: Any, formula: Any, axis: str, colour: str) -> list[fig.Trace]:
    """Draw what batches had, the running average, and its formula."""
    x = np.arange(1, len(seen) + 1)
    place = {"yaxis": axis} | ({"showlegend": False} if axis != "y" else {})
    traces = [fig.dots(x, seen, "a batch", fig.faded(colour, 0.45), size=5, **place)]
    traces.append(fig.line(x, averages, "running average", colour, width=2.5, **place))
    if formula is not None:
        middle, spread = formula
        for edge in fig.band(x, middle - 2 * spread, middle + 2 * spread, INK, 0.12):
            traces.append(edge | {"yaxis": axis})
        traces.append(
            fig.line(x, middle, "formula, ± 2 standard deviations", INK, dash="dash", width=1.5, **place)
        )
    return traces


def _jump(seen: Any, goal: float, unit: int) -> Figure:
    """Draw a jump to predict on: where the running mean starts, and the means that batches have."""
    steps = len(seen)
    low, high = _around(np.append(seen, 0.0))
    data = [
        fig.dots(np.arange(1, steps + 1), seen, "mean of a batch", fig.faded(BLUE, 0.45), size=5),
        fig.dots([0], [0], "running mean at step 0", ORANGE, size=12, symbol="diamond"),
        fig.line([0, steps], [goal / 2] * 2, "half of the way", INK, dash="dash", width=1.5),
    ]
    return fig.figure(
        data, f"Unit {unit} of the first layer: the mean of each batch",
        f"The running mean starts at 0; the means of {steps} batches lie about {brief(goal)}. A dashed line "
        f"marks half of the way, {brief(goal / 2)}.",
        fig.axis(-0.03 * steps, steps * 1.02, "step", fig.nice_ticks(0, steps), anchor="y"),
        fig.axis(low, high, "mean"), showlegend=True, height=420,
    )  # fmt: skip


def lag(values: Values, found: Found) -> View:
    """Follow one unit: batch statistics, their running averages and the formulas of both."""
    hide, momentum, unit = values["open"], values["momentum"], values["unit"]
    seen = found.get("lag")
    half = half_life(momentum)
    if seen is None:
        return View(waiting=WAITING)
    steps, m = len(seen["mean"]), values["batch_size"]
    mean, var = seen["mean"][:, unit], seen["var"][:, unit]
    mu, sigma2 = (float(seen["population"][which, unit]) for which in (0, 1))
    at_rest = values["lr"] == 0
    averages, variances = moving(mean, momentum, 0.0), moving(var, momentum, 1.0)
    every, middle, noise = moving(seen["mean"], momentum, 0.0), None, None
    if at_rest:
        middle = expected_average(steps, momentum, 0.0, mu, float(np.sqrt(sigma2 / STEP_BATCH)))
        left = momentum ** np.arange(1, steps + 1)
        noise = (sigma2 + left * (1 - sigma2), np.zeros(steps))
    low, high = _around(np.concatenate([mean, averages, [0.0]]))
    low2, high2 = _around(np.concatenate([var, variances, [1.0, 0.0]]))
    data = _following(mean, averages, middle, "y", BLUE)
    data += _following(var, variances, noise, "y2", ORANGE)
    alt = (
        f"Above the means, below the variances of unit {unit} in {steps} batches. The running averages end "
        f"at {brief(averages[-1])} and {brief(variances[-1])}."
    )
    picture = _jump(mean, mu, unit) if hide else fig.figure(
        data, f"Unit {unit} of the first layer: batches and running averages", alt,
        fig.axis(0, steps * 1.02, "step", anchor="y2"), fig.axis(low, high, "mean", domain=[0.54, 1]),
        yaxis2=fig.axis(low2, high2, "variance", domain=[0, 0.46], anchor="x"), showlegend=True, height=420,
    )  # fmt: skip
    numbers = {
        "half": half, "ratio": float(np.log(2) / (1 - momentum)), "window": (1 + momentum) / (1 - momentum),
        "running_mean": float(averages[-1]), "batch_mean": float(mean[-1]), "population_mean": mu,
        "before_mean": float(averages[-2]) if steps > 1 else 0.0, "running_var": float(variances[-1]),
        "batch_var": float(var[-1]), "population_var": sigma2, "momentum": momentum, "torch": 1 - momentum,
        "behind": momentum / (1 - momentum), "left": momentum**steps,
        "update": 0.25 * momentum - 0.5 * (1 - momentum),
    }  # fmt: skip
    if at_rest and steps >= 20:
        means, variances_ = seen["population"]
        expected, spread = expected_average(steps, momentum, 0.0, 1.0, 1 / STEP_BATCH**0.5)
        off = every - expected[:, None] * means  # the expected way of every unit, and its noise
        numbers["noise"] = float(np.sqrt((off**2).mean() / np.outer(spread**2, variances_).mean()))
    text = f"The running mean starts at 0. Over all training digits the mean is {brief(mu)}."
    if not hide:
        text = (
            f"With momentum {momentum:g}, half of a jump is made up after {half:.1f} steps. After {steps} "
            f"steps the running mean is {brief(averages[-1])}; over all training digits the mean is now "
            f"{brief(float(seen['now'][0, unit]))}."
        )
        if "noise" in numbers:
            text += (
                f" The running means of all units scatter {numbers['noise']:.2f} times as much as the "
                "formula says."
            )
    table = {"step": np.arange(1, steps + 1), "batch_mean": mean, "batch_var": var}
    if not hide:
        table |= {"running_mean": averages, "running_var": variances}
    lights = () if hide else gap_light(found.get("gap"), momentum)
    return View(
        numbers | gap_numbers(found.get("gap"), momentum), text, {"following": picture}, table,
        () if hide else _update(numbers, m), lights, notes={} if at_rest or hide else {"following": _MOVING},
    )  # fmt: skip


_MOVING = "The formula holds for weights that don’t change; here they do, so it is not drawn."


def _around(numbers: Any) -> tuple[float, float]:
    low, high = float(np.min(numbers)), float(np.max(numbers))
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def _update(numbers: Numbers, m: int) -> tuple[Equation, ...]:
    momentum, old, batch = (numbers[name] for name in ("momentum", "before_mean", "batch_mean"))
    formula = row("m · old + (1 − m) · batch")
    steps = (
        row(
            brief(momentum),
            " · ",
            bracketed(old),
            " + ",
            brief(1 - momentum),
            " · ",
            ref("batch", bracketed(batch)),
        ),
        row(bracketed(momentum * old), " + ", bracketed((1 - momentum) * batch)),
        told(numbers["running_mean"]),
    )
    return (
        Equation("running", "new running mean, m: momentum", formula, numbers["running_mean"], steps),
        Equation("batch", "mean of the batch", row(f"mean over {STEP_BATCH} samples"), batch, (told(batch),)),
        Equation(
            "half", "steps until half of a jump is made up", row("ln ½ / ln m"), numbers["half"],
            (row("ln 0.5 / ln ", brief(momentum)), told(numbers["half"])),
        ),
    )  # fmt: skip


def recalibrate(values: Values, found: Found) -> View:
    """Show eval() with running averages, and with statistics of one pass over the training data."""
    hide, narrow, modes = values["open"], values.get("narrow", False), found.get("modes")
    anew = values["statistics"] == "precise" and not hide
    key = "precise" if anew else "eval"
    shares = {TRAIN: modes and modes["train"], EVAL: modes and modes["eval"]}
    if anew:
        shares[f"{EVAL}, {ANEW}"] = modes and modes["precise"]
    figures = {
        "bars": bars(shares, "Right answers, the same weights each time", narrow),
        "digits": answers(modes and modes[f"answers_{key}"], EVAL, values.get("narrow", False)),
    }
    if modes is None:
        return View(figures=figures, waiting=WAITING)
    train, running, precise = (average(modes[name]) for name in ("train", "eval", "precise"))
    numbers = {
        "right_train": train, "right_eval": running, "right_anew": precise, "right": average(modes[key]),
        "halfway": (train + running) / 2, "corrected": average(modes["corrected"]), "pixel_mean": pixels()[0],
        "running_var": float(modes["running"][1]), "batch_var": float(modes["batch"][1]),
        "images": float(len(digits().x_train) // 64 * 64), "step": float(values["step"]),
        "momentum": values["momentum"],
    }  # fmt: skip
    text = f"eval() with {ANEW if anew else 'running'} statistics: {numbers['right']:.1%} are right."
    table = {"seed": np.arange(SEEDS), "train": modes["train"], "eval": modes["eval"]}
    if anew:
        table["precise"] = modes["precise"]
        text += f" Only means and variances have changed, {3 * 64 * 2} numbers; no weight has."
    # With statistics of a pass nothing lags; the lamp watches what eval() uses.
    gap = modes["gap_precise" if anew else "gap"]
    return View(
        numbers | gap_numbers(gap, values["momentum"]), text, figures, table,
        lights=gap_light(gap, values["momentum"]),
    )  # fmt: skip


def free(values: Values, found: Found) -> View:
    """Show training with both kinds of statistics, and the gap per layer, up to the playhead."""
    run, momentum, step = found.get("run"), values["momentum"], values["step"]
    figures = {"curves": curves(run, values, hide=False), "gap": _gaps(run, momentum, step)}
    if run is None or not len(run["step"]) or not np.isfinite(run["val_accuracy"]).any():
        return View(figures=figures, waiting=unfinished(run, step) or WAITING)
    some = np.isfinite(run["val_accuracy"]).any(axis=0)
    train, running = (
        float(np.nanmean(run[key][:, some][:, -1])) for key in ("val_accuracy_batch", "val_accuracy")
    )
    last = run["statistics_gap"][:, -1]
    numbers = {
        "right_train": train,
        "right_eval": running,
        "difference": running - train,
        "momentum": momentum,
        "step": float(step),
    }
    numbers |= gap_numbers(last, momentum) | {"left": momentum**step, "half": half_life(momentum)}
    numbers = {name: value for name, value in numbers.items() if np.isfinite(value)}
    at, waiting = int(run["step"][some][-1]), unfinished(run, step)
    text = f"Step {at}: {train:.1%} right in train(), {running:.1%} in eval()."
    table = {"step": run["step"][some], "train": run["val_accuracy_batch"].mean(axis=0)[some]}
    table |= {"eval": run["val_accuracy"].mean(axis=0)[some]}
    # The lamp is about the step of the slider: before the recording has reached it, there is none.
    lights = () if waiting else gap_light(last, momentum)
    return View(numbers, text, figures, table, lights=lights, notes={"gap": _NORMAL}, waiting=waiting)


_NORMAL = "Normal: up to twice the gap that sampling makes, √(2 / (64 · (1 + momentum)))."


def _gaps(run: Any, momentum: float, step: int) -> Figure:
    """Draw the gap of batch and running means of each layer, and what sampling alone makes."""
    data, told_, high = [], [], 1.0
    if run is not None and len(run["step"]):
        gaps = run["statistics_gap"].mean(axis=0)
        high = max(1.0, float(np.nanmax(gaps)) * 1.1)
        for number, dash in enumerate(("solid", "dash", "dot")):
            name = f"layer {number + 1}"
            data.append(fig.line(run["step"], gaps[:, number], name, fig.COLOURS[number], dash=dash))
            told_.append(f"{name}: {gaps[-1, number]:.2f}")
    sampling, end = expected_gap(STEP_BATCH, momentum), max(20, step)
    data.append(fig.line([0, end], [sampling] * 2, "sampling alone", INK, dash="dashdot", width=1.5))
    return fig.figure(
        data, "Gap between batch means and running means",
        f"Gap per layer over steps. {'; '.join(told_)}. Sampling alone makes {sampling:.2f}.",
        fig.axis(0, end * 1.04, "step"), fig.axis(0, high, "running σ"), showlegend=True, place="side",
        shapes=[fig.mark(step, 0, step, high, INK, 1, dash="dot")],
    )  # fmt: skip


VIEWS: dict[str, Callable[[Values, Found], View]] = {
    "stale": stale, "lag": lag, "recalibrate": recalibrate, "one_class": one_class, "roulette": roulette,
    "alone": alone, "clinic": clinic, "free": free,
}  # fmt: skip
