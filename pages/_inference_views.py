"""What each scene of "Training and inference" shows: a view of what its jobs and runs have found."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from bnlib.data import load
from bnlib.inference import REMEDIES, SHOWN, expected_average, expected_gap, half_life, moving
from book import figure as fig
from book.chapter import Found, Light, Numbers, View
from book.controls import Values
from book.equations import Equation, Term, bracketed, ref, row, told
from book.figure import BLUE, GREEN, INK, ORANGE, PURPLE, Figure
from book.words import brief

STEP_BATCH, SEEDS, DRAWS = 64, 4, 20
WAITING = "Networks are being trained."
TRAIN, EVAL, ANEW = "train()", "eval()", "recomputed"
COLOURS = {TRAIN: BLUE, EVAL: ORANGE, ANEW: GREEN, "layer norm": PURPLE}


# ---- parts -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _digits() -> Any:
    return load("digits", dtype="float64")


@lru_cache(maxsize=1)
def pixels() -> tuple[float, float]:
    """Return mean and unbiased variance of the training images' pixels, each pixel its own, averaged over all."""
    x = _digits().x_train
    return float(x.mean()), float(x.var(axis=0, ddof=1).mean())


def _percent(low: float = 0.0, title: str = "right answers") -> fig.Axis:
    ticks = [share for share in (0, 0.2, 0.4, 0.6, 0.8, 1.0) if share >= low]
    return fig.axis(low, 1.02, title, ticks, words=[f"{share:.0%}" for share in ticks])


def _bars(shares: dict[str, Any], title: str, narrow: bool, **more: Any) -> Figure:
    """Draw means over seeds as bars, the seeds as dots; what isn't there yet has a place without a bar."""
    names = list(shares)
    found = [np.full(1, np.nan) if own is None else np.atleast_1d(own) for own in shares.values()]
    means = [float(own.mean()) for own in found]
    colours = [next((c for word, c in COLOURS.items() if word in name), BLUE) for name in names]
    seeds_x = [name for name, own in zip(names, found, strict=True) for _ in own]
    data = [
        fig.bars(names, means, "mean of the seeds", colours, alpha=0.75, width=0.6),
        fig.dots(seeds_x, np.concatenate(found), "one seed", INK, size=5),
    ]
    above = [
        fig.label(name, mean, f"{mean:.0%}", yshift=12 if mean < 0.9 else -14, xshift=-22 if narrow else -30)
        for name, mean in zip(names, means, strict=True)
        if np.isfinite(mean)
    ]
    told_ = "; ".join(f"{n}: {m:.1%}" for n, m in zip(names, means, strict=True) if np.isfinite(m))
    alt = f"Bars of the share of right answers. {told_ or 'Nothing is computed yet'}."
    axes = (fig.category_axis(names), _percent())
    return fig.figure(data, title, alt, *axes, annotations=above, bargap=0, barmode="overlay", **more)


def _tiles(images: Any, columns: int) -> Any:
    """Lay images (n, 64) out in rows of so many; row 0 is at the bottom."""
    rows = -(-len(images) // columns)
    canvas = np.zeros((rows * 9 + 1, columns * 9 + 1))
    for place, image in enumerate(images):
        y, x = divmod(place, columns)
        canvas[y * 9 + 1 : y * 9 + 9, x * 9 + 1 : x * 9 + 9] = image.reshape(8, 8)
    return canvas[::-1]


def _corner(place: int, columns: int, rows: int) -> tuple[float, float]:
    """Return the lower left corner of a tile in cells."""
    y, x = divmod(place, columns)
    return x * 9 + 0.5, (rows - 1 - y) * 9 + 0.5


def _answers(said: Any, mode: str, narrow: bool) -> Figure:
    """Draw the first validation digits; a wrong answer stands in a frame with what was said."""
    data, columns = _digits(), 8 if narrow else 10
    rows = -(-SHOWN // columns)
    shapes, notes, wrong = [], [], 0
    for place, answer in enumerate([] if said is None else said):
        if answer != data.y_val[place]:
            x, y = _corner(place, columns, rows)
            wrong += 1
            shapes.append(
                {
                    "type": "rect",
                    "x0": x,
                    "y0": y,
                    "x1": x + 8,
                    "y1": y + 8,
                    "line": {"color": ORANGE, "width": 2},
                }
            )
            notes.append(
                fig.label(x + 7.5, y + 0.5, str(int(answer)), ORANGE, 13, xanchor="right", yanchor="bottom")
            )
    z = _tiles(data.x_val[:SHOWN], columns)
    hidden = {"visible": False, "showgrid": False}
    title = (
        f"{SHOWN} of the validation digits in {mode}: {wrong} wrong, with the wrong answer in their corner"
    )
    if said is None:
        title = f"{SHOWN} of the validation digits"
    return fig.figure(
        [fig.cells(z, 0, 1, name="digits", hoverinfo="skip")], title, f"{title}.",
        fig.axis(-0.5, z.shape[1] - 0.5, ticks=[], **hidden), fig.axis(-0.5, z.shape[0] - 0.5, ticks=[], **hidden),
        shapes=shapes, annotations=notes, margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )  # fmt: skip


def _curves(run: Any, values: Values, hide: bool, low: float = 0.0) -> Figure:
    """Draw validation accuracy over training, with batch and with running statistics, and the playhead."""
    data: list[fig.Trace] = []
    step, told_ = values["step"], []
    names = {"val_accuracy_batch": TRAIN} | ({} if hide else {"val_accuracy": EVAL})
    for key, name in names.items():
        if run is None or key not in run:
            continue
        some = np.isfinite(run[key]).all(axis=0)
        x, y = run["step"][some], run[key][:, some]
        if not len(x):
            continue
        colour = COLOURS[name]
        dash = {"dash": "dash"} if name == EVAL else {}
        data += fig.band(x, y.min(axis=0), y.max(axis=0), colour)
        data.append(fig.line(x, y.mean(axis=0), name, colour, **dash))
        told_.append(f"{name} ends at {y[:, -1].mean():.1%} at step {int(x[-1])}")
    high = max(20, step)
    return fig.figure(
        data, "Right answers on validation digits: mean of 4 seeds, shade from lowest to highest",
        f"Curves of accuracy over steps. {'; '.join(told_) or 'Nothing is computed yet'}.",
        fig.axis(0, high * 1.04, "step"), _percent(low), showlegend=True,
        shapes=[fig.mark(step, low, step, 1.02, INK, 1, dash="dot")],
    )  # fmt: skip


def _gap_light(gap: Any, momentum: float) -> tuple[Light, ...]:
    """Light a lamp where running and batch means differ by more than twice what sampling makes."""
    if gap is None:
        return ()
    size, sampling = float(np.mean(gap, axis=0).max()), expected_gap(STEP_BATCH, momentum)
    on = size > 2 * sampling
    text = (
        f"Batch and running means differ by {size:.2f} running σ in the worst layer. Means of 64 samples scatter: "
        f"that alone makes {sampling:.2f}, √(2 / (64 · (1 + momentum))). The lamp is on above twice that."
    )
    return (Light("gap", on, text, "warning"),)


def gap_numbers(gap: Any, momentum: float) -> Numbers:
    """Return the lamp's numbers."""
    if gap is None:
        return {}
    return {"gap": float(np.mean(gap, axis=0).max()), "gap_expected": expected_gap(STEP_BATCH, momentum)}


def raised(number: float, power: int) -> str:
    """Write a power: 0.999²⁰."""
    return f"{number:g}{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _left(momentum: float, steps: int) -> Equation:
    left = momentum**steps
    return Equation(
        "left", "weight of the start", row("momentumᵗ"), left, (row(raised(momentum, steps)), told(left))
    )


def _mean(values: Any) -> float:
    return float(np.mean(values))


# ---- scenes ----------------------------------------------------------------------------------------------


def stale(values: Values, found: Found) -> View:
    """Show what a network says in train() and in eval() while its running averages are young."""
    hide, narrow = values["open"], values.get("narrow", False)
    modes, momentum, step = found.get("modes"), values["momentum"], values["step"]
    in_eval = values["mode"] == "eval" and not hide
    mode = EVAL if in_eval else TRAIN
    said = None if modes is None else modes["answers_eval" if in_eval else "answers_train"]
    figures = {"curves": _curves(found.get("run"), values, hide), "digits": _answers(said, mode, narrow)}
    if modes is None:
        return View(figures=figures, waiting=WAITING)
    gone = float(np.log(0.01) / np.log(momentum)) if momentum else 1.0
    numbers = {
        "right_train": _mean(modes["train"]), "right_eval": _mean(modes["eval"]), "left": momentum**step, "gone": gone,
        "right": _mean(modes["eval" if in_eval else "train"]), "slightly": _mean(modes["train"]) - 0.05,
        "right_anew": _mean(modes["precise"]), "corrected": _mean(modes["corrected"]),
        "running_mean": float(modes["running"][0]), "running_var": float(modes["running"][1]),
        "batch_mean": float(modes["batch"][0]), "batch_var": float(modes["batch"][1]), "momentum": momentum,
        "step": float(step), "usual": float(np.log(0.01) / np.log(0.9)),
    }  # fmt: skip
    text = f"Step {step}, {mode}: {numbers['right']:.1%} of the validation digits are right."
    if not hide:
        text += (
            f" {raised(momentum, step)} = {numbers['left']:.1%} of the running averages is still their start. In the first "
            f"layer the variance is {brief(numbers['batch_var'])}; the running average says "
            f"{brief(numbers['running_var'])}."
        )
    seeds = np.arange(len(modes["train"]))
    table = {"seed": seeds, "train": modes["train"]} | ({} if hide else {"eval": modes["eval"]})
    equations = () if hide else (_left(momentum, step),)
    return View(numbers, text, figures, table, equations)


def _following(seen: Any, averages: Any, formula: Any, axis: str, colour: str, show: bool) -> list[fig.Trace]:
    """Draw what batches had, the running average, and its formula."""
    x = np.arange(1, len(seen) + 1)
    place = {"yaxis": axis} | ({"showlegend": False} if axis != "y" else {})
    traces = [fig.dots(x, seen, "a batch", fig.faded(colour, 0.45), size=5, **place)]
    if show and formula is not None:
        middle, spread = formula
        for edge in fig.band(x, middle - 2 * spread, middle + 2 * spread, INK, 0.12):
            traces.append(edge | {"yaxis": axis})
        traces.append(
            fig.line(x, middle, "formula, ± 2 standard deviations", INK, dash="dash", width=1.5, **place)
        )
    if show:
        traces.append(fig.line(x, averages, "running average", colour, width=2.5, **place))
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
        alt += f" The running mean ends at {brief(averages[-1])}, the running variance at {brief(variances[-1])}."
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
    }  # fmt: skip
    if at_rest and steps > 20 + 5 * half:
        late = every[int(5 * half) + 1 :]
        expected = seen["population"][1] / STEP_BATCH * (1 - momentum) / (1 + momentum)
        numbers["noise"] = float(np.sqrt(late.var(axis=0).mean() / expected.mean()))
    text = f"The last batch had a mean of {brief(mean[-1])} and a variance of {brief(var[-1])}."
    if not hide:
        text = (
            f"Momentum {momentum:g} (PyTorch: {1 - momentum:.3g}). Half of a lag is gone after {half:.1f} steps. The "
            f"running mean is {brief(averages[-1])}; over all training digits the mean is now "
            f"{brief(float(seen['now'][0, unit]))}."
        )
        if "noise" in numbers:
            text += f" Over the layer, running means scatter {numbers['noise']:.2f} times as much as the formula says."
    table = {"step": np.arange(1, steps + 1), "batch_mean": mean, "batch_var": var}
    if not hide:
        table |= {"running_mean": averages, "running_var": variances}
    lights = () if hide else _gap_light(found.get("gap"), momentum)
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
        Equation("batch", "mean of the batch", row(f"mean of what its {STEP_BATCH} samples bring"), batch, (told(batch),)),
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
        "bars": _bars(shares, "Right answers on validation digits, the same weights each time", narrow),
        "digits": _answers(modes and modes[f"answers_{key}"], EVAL, narrow),
    }
    if modes is None:
        return View(figures=figures, waiting=WAITING)
    train, running, precise = (_mean(modes[name]) for name in ("train", "eval", "precise"))
    numbers = {
        "right_train": train, "right_eval": running, "right_anew": precise, "right": _mean(modes[key]),
        "halfway": (train + running) / 2, "corrected": _mean(modes["corrected"]), "pixel_mean": pixels()[0],
        "running_var": float(modes["running"][1]), "batch_var": float(modes["batch"][1]),
        "images": float(len(_digits().x_train)), "step": float(values["step"]), "momentum": values["momentum"],
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
        lights=_gap_light(gap, values["momentum"]),
    )  # fmt: skip


def one_class(values: Values, found: Found) -> View:
    """Compare companions of one class with mixed ones, and batch norm with layer norm."""
    hide, narrow, anew = values["open"], values.get("narrow", False), values["statistics"] == "precise"
    chosen, mixed, layer = (found.get(name) for name in ("grouped", "mixed", "layer"))
    shares = {f"{TRAIN}, such companions": chosen and chosen["own"], EVAL: chosen and chosen["eval"]}
    if not hide:
        shares[f"{EVAL}, {ANEW}"] = chosen and chosen["precise"]
        shares[f"{EVAL}, mixed in training"] = mixed and mixed["eval"]
        shares["layer norm"] = layer and layer["eval"]
    if narrow:
        shares = {name.replace(", ", " "): share for name, share in shares.items()}
    title = f"Right answers, trained with companions of {values['order_name']}"
    figures = {"bars": _bars(shares, title, narrow)}
    if chosen is None or mixed is None or layer is None:
        return View(figures=figures, waiting=WAITING)
    numbers = {
        "own": _mean(chosen["own"]), "right_eval": _mean(chosen["eval"]), "right_anew": _mean(chosen["precise"]),
        "mixed": _mean(mixed["eval"]), "layer": _mean(layer["eval"]), "classes": float(chosen["classes"][0]),
        "mixed_classes": float(mixed["classes"][0]), "right": _mean(chosen["precise" if anew else "eval"]),
        "among_others": _mean(chosen["mixed"]), "mixed_own": _mean(mixed["own"]), "m": float(values["batch_size"]),
    }  # fmt: skip
    numbers["halfway"] = (numbers["right_eval"] + numbers["mixed"]) / 2
    text = (
        f"In a norm batch of {values['batch_size']} meet {numbers['classes']:.1f} classes on average. "
        f"eval() is right about {numbers['right_eval']:.1%}"
    )
    if hide:
        text += "."
    else:
        text += (
            f", with statistics of a pass {numbers['right_anew']:.1%}; trained in mixed company, {numbers['mixed']:.1%}. "
            f"Layer norm: {numbers['layer']:.1%}."
        )
    table = {"seed": np.arange(SEEDS)} | {name.replace(", ", "_"): own for name, own in shares.items()}
    return View(numbers, text, figures, table)


def roulette(values: Values, found: Found) -> View:
    """Show one digit among companions that change, and what becomes of its class."""
    hide, narrow, spun = values["open"], values.get("narrow", False), found.get("roulette")
    data, pinned, m, draws = _digits(), values["pin"], values["batch_size"], DRAWS
    if spun is None:
        return View(waiting=WAITING)
    in_eval = values["mode"] == "eval" and not hide
    draw = (values["draw"]) % draws
    companions, shown = spun["companions"][draw], min(m, 16)
    columns, rows = 4, -(-shown // 4)
    z = _tiles(data.x_val[companions[:shown]], columns)
    centres = [(x + 4, y + 4) for x, y in (_corner(place, columns, rows) for place in range(shown))]
    own = {
        "type": "rect",
        "x0": 0,
        "x1": 9,
        "y0": z.shape[0] - 10,
        "y1": z.shape[0] - 1,
        "line": {"color": ORANGE, "width": 3},
    }
    hidden = {"visible": False, "showgrid": False}
    title = f"Draw {draw + 1}: the pinned digit (framed) and " + (
        "its companions" if shown == m else f"{shown - 1} of its {m - 1} companions"
    )
    company = fig.figure(
        [
            fig.cells(z, 0, 1, name="digits", hoverinfo="skip"),
            fig.dots(
                *np.transpose(centres), "digits to pin", INK, alpha=0, size=30,
                meta={"click": "pin", "values": [int(one) for one in companions[:shown]]},
            ),
        ],
        title, f"{title}. The pinned one is a {data.y_val[pinned]}.",
        fig.axis(-0.5, z.shape[1] - 0.5, ticks=[], **hidden), fig.axis(-0.5, z.shape[0] - 0.5, ticks=[], **hidden),
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
        shapes=[fig.mark(draw - 0.5, -0.5, draw - 0.5, 9.5, INK, 1), fig.mark(draw + 0.5, -0.5, draw + 0.5, 9.5, INK, 1)],
    )  # fmt: skip
    usual = int(spun["eval"].argmax())
    numbers = {
        "changed": _mean(spun["changed"]), "differs": _mean(spun["differs"]), "m": float(m), "pinned": float(pinned),
        "others": float(sum(one != usual for one in said)), "classes": float(len(set(said))),
        "draws": float(draws), "layer_changed": _mean(found["layer"]["changed"]) if found.get("layer") else 0.0,
        "lowest": float(odds[:, usual].min()), "highest": float(odds[:, usual].max()),
    }  # fmt: skip
    numbers["right"] = 0.0 if in_eval else numbers["changed"]
    text = f"Draw {draw + 1}: {mode} says {said[draw]}. The digit is a {data.y_val[pinned]}."
    if not hide:
        text += (
            f" In {draws} draws it gets {len(set(said))} different answer{'s' * (len(set(said)) > 1)}. Of all "
            f"{len(data.x_val)} validation digits {numbers['right']:.1%} change their class at least once."
        )
    kept = range(upto)
    table = {"draw": np.arange(1, upto + 1), "said": [said[k] for k in kept]}
    table |= {f"class_{c}": odds[:upto, c] for c in range(10)}
    return View(numbers, text, {"company": company, "chances": chances}, table)


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
        "Not asked yet." if hide else f"How often each class is said: {', '.join(map(str, asked['answers'][0]))}.",
        fig.axis(-0.5, 9.5, "class that the first network says", list(range(10))), fig.axis(0, 525, "digits"), bargap=0,
    )  # fmt: skip
    shares = {EVAL: asked["eval"]}
    if not hide:
        shares = {f"{TRAIN}, a batch of one": asked["right"]} | shares
        if kind == "cnn":
            taught = found.get("instance")
            shares["trained with instance norm"] = taught and taught["eval"]
    figures = {"answers": counts, "bars": _bars(shares, "Right answers", narrow)}
    positions = 64 if kind == "cnn" else 1
    numbers = {
        "distinct": float(asked["distinct"][0]), "right": _mean(asked["right"]), "right_eval": _mean(asked["eval"]),
        "classes": float((asked["answers"][0] > 0).sum()), "positions": float(positions), "xhat": 0.0,
        "instance": _mean(found["instance"]["eval"]) if found.get("instance") else 0.0,
    }  # fmt: skip
    text = f"eval() is right about {numbers['right_eval']:.1%}."
    if not hide:
        text = (
            f"500 digits, one at a time in train(): {int(numbers['distinct'])} different "
            f"output{'s' * (numbers['distinct'] > 1)}, {int(numbers['classes'])} of the ten classes said, "
            f"{numbers['right']:.1%} right. eval() is right about {numbers['right_eval']:.1%}."
        )
    table = {"class": np.arange(10)} | ({} if hide else {"said": asked["answers"][0]})
    return View(numbers, text, figures, table)


# ---- the clinic ------------------------------------------------------------------------------------------

PATIENTS = ("A", "B", "C")
HISTORIES = {
    "A": "20 steps, momentum 0.999",
    "B": "4 samples a device, momentum 0.1",
    "C": "images in use washed out",
}
FIXES = {
    "training": "recompute: training data", "use": "recompute: data in use", "cumulative": "momentum=None",
    "sync": "SyncBatchNorm", "group": "GroupNorm", "frozen": "frozen",
}  # fmt: skip
SHORT = ("train. data", "data in use", "None", "Sync", "Group", "frozen")
TESTS = {
    "gap": ("gap_training", "gap"),
    "training": ("eval", "eval_training"),
    "batches": ("train_own", "train"),
    "recalibrate": ("eval", "recomputed"),
}
TESTED = {
    "gap": ("from training data", "from data in use"),
    "training": ("eval(), data in use", "eval(), training data"),
    "batches": ("train(), own batches", "train(), batches of 64"),
    "recalibrate": ("eval(), as found", "eval(), recomputed"),
}


def clinic(values: Values, found: Found) -> View:
    """Show three networks that are good in train() and bad in eval(), tests, and what mends each."""
    hide, narrow = values["open"], values.get("narrow", False)
    exams = {name: found.get(f"examine {name}") for name in PATIENTS}
    cured = {(name, fix): found.get(f"{name} {fix}") for name in PATIENTS for fix in REMEDIES}
    for name, exam in exams.items():
        if exam is not None:
            again = cured[name, "training"]
            exams[name] = exam | {"recomputed": again["eval"] if again else np.full(SEEDS, np.nan)}
    test = "training" if hide and values["test"] == "recalibrate" else values["test"]
    figures = {"test": _test(exams, test, narrow)}
    z = np.array(
        [[_mean(c["eval"]) if (c := cured[name, fix]) else np.nan for fix in REMEDIES] for name in PATIENTS]
    )
    cell = values["cell"] if 0 <= values["cell"] < z.size else 0
    patient, fix = PATIENTS[cell // len(FIXES)], list(FIXES)[cell % len(FIXES)]
    if not hide:
        figures["fixes"] = _fixes(z, cell, narrow)
    if any(exam is None for exam in exams.values()) or np.isnan(z).any():
        return View(figures=figures, waiting="The patients are being examined, and every remedy is tried.")
    train, bad = (np.array([_mean(exams[name][key]) for name in PATIENTS]) for key in ("train", "eval"))
    worst = int(z[:, 0].argmin())
    numbers = {
        "uncured": float(worst) if z[worst, 0] < 0.8 * train[worst] else 3.0,
        "right": float(z.flat[cell]),
    }
    for row_, name in enumerate(PATIENTS):
        numbers |= {f"train_{name}": float(train[row_]), f"eval_{name}": float(bad[row_])}
        numbers |= {f"{fix_}_{name}": float(z[row_, k]) for k, fix_ in enumerate(REMEDIES)}
        numbers |= {f"{key}_{name}": _mean(exams[name][key]) for key in ("eval_training", "train_own")}
        numbers[f"gap_{name}"] = float(np.mean(exams[name]["gap"], axis=0).max())
    numbers |= {"pixel_mean": pixels()[0], "pixel_var": pixels()[1], "moved": 0.0, "companions": 0.0}
    text = "; ".join(
        f"{name}: {share:.0%} right in train(), {own:.0%} in eval()"
        for name, share, own in zip(PATIENTS, train, bad, strict=True)
    )
    table: dict[str, Any] = {"patient": list(PATIENTS), "train": train, "eval": bad}
    if not hide:
        text = f"{patient}, {FIXES[fix]}: {z.flat[cell]:.1%} right in eval() afterwards. " + text
        table |= {name: z[:, k] for k, name in enumerate(REMEDIES)}
    return View(numbers, text + ".", figures, table, lights=_watched(exams))


def _test(exams: Any, test: str, narrow: bool) -> Figure:
    """Draw a test's two findings for each patient."""
    first, second = TESTS[test]
    data = []
    told_, heights = [], []
    places = np.arange(len(PATIENTS))
    for key, name, colour, side in zip(
        (first, second), TESTED[test], (BLUE, ORANGE), (-0.2, 0.2), strict=True
    ):
        own = [np.nan if exams[p] is None else _mean(np.asarray(exams[p][key])) for p in PATIENTS]
        if test == "gap":
            own = [
                np.nan if exams[p] is None else float(np.mean(exams[p][key], axis=0).max()) for p in PATIENTS
            ]
        data.append(fig.bars(places + side, own, name, colour, alpha=0.75, width=0.36))
        told_ += [
            f"{p}, {name}: {share:.2f}" for p, share in zip(PATIENTS, own, strict=True) if np.isfinite(share)
        ]
        heights += [h for h in own if np.isfinite(h)]
    words = [p if narrow else f"{p}: {HISTORIES[p]}" for p in PATIENTS]
    high = max([1.0, *heights]) * 1.08
    y = fig.axis(0, high, "running σ") if test == "gap" else _percent()
    title = {"gap": "Distance of the data's means from the running means, worst layer"}.get(
        test, "Right answers"
    )
    alt = f"{title}. {'; '.join(told_) or 'Nothing is computed yet'}."
    x = fig.axis(-0.6, 2.6, "", [0, 1, 2], words=words)
    return fig.figure(data, title, alt, x, y, bargap=0, barmode="overlay", showlegend=True)


def _fixes(z: Any, cell: int, narrow: bool) -> Figure:
    """Draw patients and remedies as a heat map whose cells can be clicked; patient A is on top."""
    names = SHORT if narrow else tuple(FIXES.values())
    order = z[::-1]
    notes = [
        fig.label(x, y, f"{order[y, x]:.0%}", INK if order[y, x] < 0.75 else "#ffffff", 13)
        for y in range(3)
        for x in range(len(names))
        if np.isfinite(order[y, x])
    ]
    y, x = 2 - cell // len(names), cell % len(names)
    frame = {
        "type": "rect",
        "x0": x - 0.5,
        "x1": x + 0.5,
        "y0": y - 0.5,
        "y1": y + 0.5,
        "line": {"color": ORANGE, "width": 3},
    }
    numbers = np.arange(z.size).reshape(z.shape)[::-1].ravel()
    trace = fig.cells(order, 0, 1, [(0, "#ffffff"), (1, "#0072b2")], "remedies", xgap=2, ygap=2)
    done = "; ".join(
        f"{p}: {', '.join(f'{share:.0%}' for share in own)}" for p, own in zip(PATIENTS, z, strict=True)
    )
    return fig.figure(
        [trace | {"meta": {"click": "cell", "values": [int(n) for n in numbers]}}],
        "Right answers in eval() after each remedy, tried on each network",
        f"A table of right answers; columns {', '.join(names)}. {done}.",
        fig.axis(-0.5, len(names) - 0.5, "", list(range(len(names))), words=list(names), showgrid=False),
        fig.axis(-0.5, 2.5, "", [0, 1, 2], words=list(PATIENTS[::-1]), showgrid=False),
        annotations=notes, shapes=[frame], hint="Click a cell: its PyTorch stands below.",
    )  # fmt: skip


def _watched(exams: Any) -> tuple[Light, ...]:
    sampling = 2 * expected_gap(STEP_BATCH, 0.9)
    on = [p for p in PATIENTS if float(np.mean(exams[p]["gap"], axis=0).max()) > sampling]
    text = (
        f"The monitor: means of the data in use differ from the running means by more than {sampling:.2f} running σ, "
        f"twice what batches of 64 scatter, in {', '.join(on) or 'none of them'}."
    )
    return (Light("gap", bool(on), text, "warning"),)


def free(values: Values, found: Found) -> View:
    """Show training with both kinds of statistics, and the gap per layer, up to the playhead."""
    run, momentum, step = found.get("run"), values["momentum"], values["step"]
    figures = {"curves": _curves(run, values, hide=False), "gap": _gaps(run, momentum, step)}
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
    return View(numbers, text, figures, table, lights=_gap_light(last, momentum))


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
