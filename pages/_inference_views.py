"""What each scene of "Training and inference" shows: a view of what its jobs and runs have found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bnlib.inference import expected_average, expected_gap, half_life, moving
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.controls import Values
from book.equations import Equation, bracketed, ref, row, told
from book.figure import BLUE, INK, ORANGE, Figure
from book.words import brief
from pages._inference_clinic import clinic
from pages._inference_parts import (
    ANEW,
    COLOURS,
    DRAWS,
    EVAL,
    SEEDS,
    STEP_BATCH,
    TRAIN,
    WAITING,
    answers,
    average,
    bars,
    corner,
    curves,
    digits,
    gap_light,
    gap_numbers,
    pixels,
    raised,
    start_left,
    tiles,
)  # fmt: skip


def stale(values: Values, found: Found) -> View:
    """Show what a network says in train() and in eval() while its running averages are young."""
    hide, narrow = values["open"], values.get("narrow", False)
    modes, momentum, step = found.get("modes"), values["momentum"], values["step"]
    in_eval = values["mode"] == "eval" and not hide
    mode = EVAL if in_eval else TRAIN
    said = None if modes is None else modes["answers_eval" if in_eval else "answers_train"]
    figures = {"curves": curves(found.get("run"), values, hide), "digits": answers(said, mode, narrow)}
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
            f"says {brief(numbers['running_var'])}."
        )
    seeds = np.arange(len(modes["train"]))
    table = {"seed": seeds, "train": modes["train"]} | ({} if hide else {"eval": modes["eval"]})
    equations = () if hide else (start_left(momentum, step),)
    return View(numbers, text, figures, table, equations)


def _following(seen: Any, averages: Any, formula: Any, axis: str, colour: str, show: bool) -> list[fig.Trace]:
    """Draw what batches had, the running average, and its formula."""
    x = np.arange(1, len(seen) + 1)
    place = {"yaxis": axis} | ({"showlegend": False} if axis != "y" else {})
    traces = [fig.dots(x, seen, "a batch", fig.faded(colour, 0.45), size=5, **place)]
    if show:
        traces.append(fig.line(x, averages, "running average", colour, width=2.5, **place))
    if show and formula is not None:
        middle, spread = formula
        for edge in fig.band(x, middle - 2 * spread, middle + 2 * spread, INK, 0.12):
            traces.append(edge | {"yaxis": axis})
        traces.append(
            fig.line(x, middle, "formula, ± 2 standard deviations", INK, dash="dash", width=1.5, **place)
        )
    return traces


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
    data = _following(mean, averages, middle, "y", BLUE, not hide)
    data += _following(var, variances, noise, "y2", ORANGE, not hide)
    alt = f"Above the means, below the variances of unit {unit} in {steps} batches."
    if not hide:
        alt += f" The running averages end at {brief(averages[-1])} and {brief(variances[-1])}."
    picture = fig.figure(
        data, f"Unit {unit} of the first layer: what each batch had, and its running averages", alt,
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
    text = f"The last batch had a mean of {brief(mean[-1])} and a variance of {brief(var[-1])}."
    if not hide:
        text = (
            f"Momentum {momentum:g} (PyTorch: {1 - momentum:.3g}). Half of a lag is gone after {half:.1f} "
            f"steps. The running mean is {brief(averages[-1])}; over all training digits the mean is now "
            f"{brief(float(seen['now'][0, unit]))}."
        )
        if "noise" in numbers:
            text += f" All units’ running means scatter {numbers['noise']:.2f} times what the formula says."
    table = {"step": np.arange(1, steps + 1), "batch_mean": mean, "batch_var": var}
    if not hide:
        table |= {"running_mean": averages, "running_var": variances}
    lights = () if hide else gap_light(found.get("gap"), momentum)
    return View(
        numbers | gap_numbers(found.get("gap"), momentum), text, {"following": picture}, table,
        () if hide else _update(numbers, m), lights, notes={} if at_rest or hide else {"following": _MOVING},
    )  # fmt: skip


_MOVING = "The weights move now, so that the formula for weights at rest is not drawn."


def _around(numbers: Any) -> tuple[float, float]:
    low, high = float(np.min(numbers)), float(np.max(numbers))
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def _update(numbers: Numbers, m: int) -> tuple[Equation, ...]:
    momentum, old, batch = (numbers[name] for name in ("momentum", "before_mean", "batch_mean"))
    formula = row("momentum · old + (1 − momentum) · batch")
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
        Equation("running", "running mean", formula, numbers["running_mean"], steps),
        Equation("batch", "mean of the batch", row(f"mean over {STEP_BATCH} samples"), batch, (told(batch),)),
        Equation(
            "half", "steps until half of a lag is gone", row("ln ½ / ln momentum"), numbers["half"],
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
        "bars": bars(shares, "Right answers on validation digits, the same weights each time", narrow),
        "digits": answers(modes and modes[f"answers_{key}"], EVAL, narrow),
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


def one_class(values: Values, found: Found) -> View:
    """Compare companions of one class with mixed ones, and batch norm with layer norm."""
    hide, narrow, anew = values["open"], values.get("narrow", False), values["statistics"] == "precise"
    chosen, mixed, layer = (found.get(name) for name in ("grouped", "mixed", "layer"))
    shares = {TRAIN: chosen and chosen["own"], EVAL: chosen and chosen["eval"]}
    if not hide:
        shares[ANEW] = chosen and chosen["precise"]
        shares["mixed company"] = mixed and mixed["eval"]
        shares["layer norm"] = layer and layer["eval"]
    title = f"Right answers, trained with companions of {values['order_name']}"
    hint = (
        "" if hide else "The last two in eval(): trained in mixed company, and with layer norm in this one."
    )
    figures = {"bars": bars(shares, title, narrow, hint=hint)}
    if chosen is None or mixed is None or layer is None:
        return View(figures=figures, waiting=WAITING)
    numbers = {
        "own": average(chosen["own"]), "right_eval": average(chosen["eval"]),
        "right_anew": average(chosen["precise"]),
        "mixed": average(mixed["eval"]), "layer": average(layer["eval"]),
        "classes": float(chosen["classes"][0]),
        "mixed_classes": float(mixed["classes"][0]), "right": average(chosen["precise" if anew else "eval"]),
        "among_others": average(chosen["mixed"]), "mixed_own": average(mixed["own"]),
        "m": float(values["batch_size"]),
    }  # fmt: skip
    numbers["halfway"] = (numbers["right_eval"] + numbers["mixed"]) / 2
    text = (
        f"In a norm batch of {values['batch_size']} meet {numbers['classes']:.1f} classes on average. "
        f"eval() is right for {numbers['right_eval']:.1%}"
    )
    if hide:
        text += "."
    else:
        text += (
            f", with statistics of a pass {numbers['right_anew']:.1%}; trained in mixed company, "
            f"{numbers['mixed']:.1%}. Layer norm: {numbers['layer']:.1%}."
        )
    table = {"seed": np.arange(SEEDS), "own": chosen["own"], "eval": chosen["eval"]}
    if not hide:
        table["precise"] = chosen["precise"]
    numbers |= gap_numbers(found.get("gap"), values["momentum"]) | {"companions": 0.0}
    return View(numbers, text, figures, table, lights=gap_light(found.get("gap"), values["momentum"]))


def roulette(values: Values, found: Found) -> View:
    """Show one digit among companions that change, and what becomes of its class."""
    hide, spun, votes, layer = values["open"], *(found.get(name) for name in ("pinned", "roulette", "layer"))
    data, pinned, m, draws = digits(), values["pin"], values["batch_size"], DRAWS
    if spun is None:
        return View(waiting=WAITING)
    in_eval = values["mode"] == "eval" and not hide
    draw = (values["draw"]) % draws
    companions, shown = spun["companions"][draw], min(m, 16)
    columns = 4 if values.get("narrow", False) else 6
    rows = -(-shown // columns)
    z = tiles(data.x_val[companions[:shown]], columns)
    centres = [(x + 4, y + 4) for x, y in (corner(place, columns, rows) for place in range(shown))]
    own = {
        "type": "rect",
        "x0": 0,
        "x1": 9,
        "y0": z.shape[0] - 10,
        "y1": z.shape[0] - 1,
        "line": {"color": ORANGE, "width": 3},
    }
    hidden: Any = {"visible": False, "showgrid": False}
    title = f"Draw {draw + 1}: the pinned digit (framed) and " + (
        "its companions" if shown == m else f"{shown - 1} of its {m - 1} companions"
    )
    company = fig.figure(
        [
            fig.cells(z, 0, 1, name="digits", hoverinfo="skip"),
            fig.dots(
                [x for x, _ in centres], [y for _, y in centres], "digits to pin", INK, alpha=0, size=30,
                meta={"click": "pin", "values": [int(one) for one in companions[:shown]]},
            ),
        ],
        title, f"{title}. The pinned one is a {data.y_val[pinned]}.",
        fig.axis(-0.5, z.shape[1] - 0.5, ticks=[], **hidden),
        fig.axis(-0.5, z.shape[0] - 0.5, ticks=[], **hidden),
        shapes=[own], margin={"l": 8, "r": 8, "t": 8, "b": 8}, hint="Click a companion to pin it.",
    )  # fmt: skip
    odds = np.tile(spun["eval"], (draws, 1)) if in_eval else spun["odds"]
    upto = draw + 1 if hide else draws
    visible = np.where(np.arange(draws)[:, None] < upto, odds, np.nan)
    said = [int(one) for one in odds.argmax(axis=1)]
    mode = EVAL if in_eval else TRAIN
    chances = fig.figure(
        [fig.cells(visible.T, 0, 1, [(0, "#ffffff"), (1, COLOURS[mode])], "probability", xgap=1, ygap=1)],
        f"What {mode} gives each class of the pinned digit, draw by draw",
        f"In {upto} draws the classes said are {', '.join(map(str, sorted(set(said[:upto]))))}.",
        fig.axis(-0.5, draws - 0.5, "draw", [0, 4, 9, 14, 19], words=["1", "5", "10", "15", "20"]),
        fig.axis(-0.5, 9.5, "class", list(range(10))),
        shapes=[fig.mark(edge, -0.5, edge, 9.5, INK, 1) for edge in (draw - 0.5, draw + 0.5)],
    )  # fmt: skip
    usual, figures = int(spun["eval"].argmax()), {"company": company, "chances": chances}
    text = f"Draw {draw + 1}: {mode} says {said[draw]}. The digit is a {data.y_val[pinned]}."
    if votes is None or layer is None:
        return View(text=text, figures=figures, waiting=WAITING)
    numbers = {
        "changed": average(votes["changed"]), "differs": average(votes["differs"]), "m": float(m),
        "companions": 0.0,
        "others": float(sum(one != usual for one in said)), "classes": float(len(set(said))),
        "draws": float(draws),
        "layer_changed": average(layer["changed"]), "lowest": float(odds[:, usual].min()),
        "highest": float(odds[:, usual].max()), "deviation": m**-0.5,
    }  # fmt: skip
    numbers["right"] = 0.0 if in_eval else numbers["changed"]
    if not hide:
        text += (
            f" In {draws} draws it gets {len(set(said))} different answer{'s' * (len(set(said)) > 1)}. Of "
            f"all {len(data.x_val)} validation digits {numbers['right']:.1%} change their class at least "
            "once."
        )
    table = {} if hide else {"seed": np.arange(SEEDS), "changed": votes["changed"]}
    numbers |= gap_numbers(found.get("gap"), values["momentum"])
    return View(numbers, text, figures, table, lights=gap_light(found.get("gap"), values["momentum"]))


def alone(values: Values, found: Found) -> View:
    """Ask train() about one digit at a time."""
    hide, narrow, asked = values["open"], values.get("narrow", False), found.get("alone")
    kind = values["network"]
    if asked is None:
        return View(waiting=WAITING)
    shown = np.where(hide, np.nan, asked["answers"][0])
    counts = fig.figure(
        [fig.bars(np.arange(10), shown, "answers", BLUE, width=0.7)],
        f"What {int(asked['answers'][0].sum())} digits, asked one at a time in train(), are said to be",
        "Not asked yet." if hide else f"Classes 0 to 9 are said so often: {', '.join(map(str, shown))}.",
        fig.axis(-0.5, 9.5, "class that the first network says", list(range(10))), fig.axis(0, 525, "digits"),
        bargap=0,
    )  # fmt: skip
    shares = {EVAL: asked["eval"]}
    if not hide:
        shares = {f"{TRAIN}, a batch of one": asked["right"]} | shares
        if kind == "cnn":
            taught = found.get("instance")
            shares["instance norm"] = taught and taught["eval"]
    figures = {"answers": counts, "bars": bars(shares, "Right answers", narrow)}
    positions = 64 if kind == "cnn" else 1
    numbers = {
        "distinct": float(asked["distinct"][0]), "right": average(asked["right"]),
        "right_eval": average(asked["eval"]),
        "classes": float((asked["answers"][0] > 0).sum()), "positions": float(positions), "xhat": 0.0,
        "instance": average(found["instance"]["eval"]) if found.get("instance") else 0.0,
    }  # fmt: skip
    text = f"eval() is right for {numbers['right_eval']:.1%}."
    if not hide:
        count = int(numbers["distinct"])
        outputs = f"{count} different outputs" if count > 1 else "all the same output"
        text = (
            f"500 digits, one at a time in train(), get {outputs}: {int(numbers['classes'])} of ten classes, "
            f"{numbers['right']:.1%} right. eval() is right for {numbers['right_eval']:.1%}."
        )
    numbers |= {"refused": 1.0, "from_instance_norm": 0.0} | gap_numbers(found.get("gap"), values["momentum"])
    table = {"class": np.arange(10)} | ({} if hide else {"said": asked["answers"][0]})
    return View(numbers, text, figures, table, lights=gap_light(found.get("gap"), values["momentum"]))


def free(values: Values, found: Found) -> View:
    """Show training with both kinds of statistics, and the gap per layer, up to the playhead."""
    run, momentum, step = found.get("run"), values["momentum"], values["step"]
    figures = {"curves": curves(run, values, hide=False), "gap": _gaps(run, momentum, step)}
    if run is None or not len(run["step"]) or not np.isfinite(run["val_accuracy"]).any():
        return View(figures=figures, waiting=WAITING)
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
    text = f"Step {int(run['step'][some][-1])}: {train:.1%} right in train(), {running:.1%} in eval()."
    table = {"step": run["step"][some], "train": run["val_accuracy_batch"].mean(axis=0)[some]}
    table |= {"eval": run["val_accuracy"].mean(axis=0)[some]}
    return View(numbers, text, figures, table, lights=gap_light(last, momentum))


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
        data, "How far the means of a batch lie from the running means, in running σ",
        f"Gap per layer over steps. {'; '.join(told_)}. Sampling alone makes {sampling:.2f}.",
        fig.axis(0, end * 1.04, "step"), fig.axis(0, high, "gap"), showlegend=True, place="side",
        shapes=[fig.mark(step, 0, step, high, INK, 1, dash="dot")],
    )  # fmt: skip


VIEWS: dict[str, Callable[[Values, Found], View]] = {
    "stale": stale, "lag": lag, "recalibrate": recalibrate, "one_class": one_class, "roulette": roulette,
    "alone": alone, "clinic": clinic, "free": free,
}  # fmt: skip
