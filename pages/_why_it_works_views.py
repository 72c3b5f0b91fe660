"""The first scenes of "Why does it work?": what is to be explained, steady inputs, and noisy ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib.experiments.intervals import Interval, paired
from bnlib.lessons.why import noise_moves
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import average, over_seeds, percent, progress
from book.controls import Values
from book.figure import COLOURS, INK, Figure, Trace
from book.words import brief
from pages._why_it_works_parts import (
    EARLY,
    LONG,
    LOOK_EVERY,
    NAMES,
    SEEDS_HINT,
    SHORT,
    STRENGTHS,
    TINTS,
    VOTES,
    difference_text,
    early_loss,
    factor_text,
    right,
    times,
)

STEPS = tuple(range(0, LONG + 1, LOOK_EVERY))
BELL = 1.0364333894937898  # 85% of a standard Gaussian lie below it
WORDS = {"tanh": "tanh", "relu": "ReLU"}


# ---- what is to be explained, and inputs that drift ------------------------------------------------------


def _answers(found: Found, rate: str, until: int = LONG) -> Figure:
    """Draw right answers over steps at a learning rate."""
    data: list[Trace] = []
    told = []
    shown = [place for place, step in enumerate(STEPS) if step <= until]
    for norm in ("batch", "none"):
        own = found.get(f"{norm} {rate}")
        if own is None:
            continue
        share = right(own)[:, shown]
        data += over_seeds([STEPS[place] for place in shown], share, NAMES[norm], TINTS[norm])
        told.append(f"{NAMES[norm]} {average(share[:, -1]):.1%}")
    return fig.figure(
        data, f"Right answers on new digits, rate {rate}",
        f"Curves over steps; at step {until}: {', '.join(told) or 'nothing is computed yet'}.",
        fig.axis(0, LONG + 10, "step"), percent(), showlegend=True, hint=SEEDS_HINT,
    )  # fmt: skip


def vote(values: Values, found: Found) -> View:
    """Show what is to be explained; while the question is open, the network without a norm."""
    pair: dict[str, Any] = {norm: found.get(f"{norm} 0.1") for norm in ("batch", "none")}
    if values["open"]:
        figures = {"learned": _answers({"none 0.1": pair["none"]}, "0.1")}
        if pair["none"] is None:
            return View(figures=figures, waiting=progress(found))
        right_none = average(right(pair["none"])[:, -1])
        text = f"Without a norm: right on {right_none:.1%} of the digits after {LONG} steps. A guess: 10%."
        return View({"none_right": right_none}, text, figures)
    figures = {"learned": _answers(found, "0.1")}
    waiting = progress(found)
    if waiting:
        return View(figures=figures, waiting=waiting)
    width = {
        norm: average(own["quantiles"][:, 0, 2] - own["quantiles"][:, 0, 0]) for norm, own in pair.items()
    }
    share = {norm: right(own) for norm, own in pair.items()}
    gap = paired(100 * (share["batch"][:, -1] - share["none"][:, -1]))
    numbers: Numbers = {
        "batch_right": average(share["batch"][:, -1]), "none_right": average(share["none"][:, -1]),
        "gap": gap.mean, "steps": float(LONG), "learned_none": 64.0 * 65, "learned_batch": 64.0 * 66,
        "narrow": width["none"], "wide": width["batch"],
    }  # fmt: skip
    text = (
        f"After {LONG} steps batch norm is right on {numbers['batch_right']:.1%} of the digits, the network "
        f"without a norm on {numbers['none_right']:.1%}: {difference_text(gap)}. Both begin with the same "
        "weights. Why? "
    )
    if values["vote"]:
        text += f"Your vote: {VOTES[values['vote']]}. It stays with you; the last scene comes back to it."
    else:
        text += "Vote first; you can change your vote later."
    table = {"step": np.array(STEPS)} | {norm: one.mean(axis=0) for norm, one in share.items()}
    return View(numbers, text, figures, table)


def _inputs(found: Found, rate: str, narrow: bool) -> Figure:
    """Draw what enters a typical unit of the last layer in the first seed: median, and 15% to 85%."""
    data: list[Trace] = []
    told = []
    for norm in ("none", "batch"):
        own = found.get(f"{norm} {rate}")
        if own is None:
            continue
        low, median, high = np.asarray(own["quantiles"], dtype=float)[0].T
        data += fig.band(STEPS, low, high, TINTS[norm], 0.22)
        data.append(fig.line(STEPS, median, NAMES[norm], TINTS[norm]))
        told.append(
            f"{NAMES[norm]}: the median moves between {brief(median.min())} and {brief(median.max())}"
        )
    shapes = [fig.mark(0, side * BELL, LONG, side * BELL, INK, 1, dash="dot") for side in (-1, 1)]
    notes = [fig.label(LONG, BELL, "±1.04", INK, 11, xanchor="right", yanchor="bottom")]
    return fig.figure(
        data, f"What enters one sigmoid of the last layer, rate {rate}",
        f"Bands over steps. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, LONG + 10, "step"), fig.axis(-6, 6, "input", (-6, -4, -2, 0, 2, 4, 6)), showlegend=True,
        hint="Line: median over 1,297 digits. Shade: 15% to 85%. First seed. Dotted: 15% and 85% of a bell "
        "curve with mean 0 and standard deviation 1.",
        shapes=shapes, annotations=[] if narrow else notes,
    )  # fmt: skip


def steady(values: Values, found: Found) -> View:
    """Show how the inputs of the last sigmoids drift, and what the networks have learned."""
    rate = "0.5" if values["open"] else values["lr"]
    none, batch = (found.get(f"{norm} {rate}") for norm in ("none", "batch"))
    figures = {"inputs": _inputs(found, rate, values.get("narrow", False)), "right": _answers(found, rate)}
    if none is None or batch is None:
        return View(figures=figures, waiting=progress(found))
    drift = times(none["drift"], batch["drift"])
    text = (
        f"Learning rate {rate}: the median input drifts by {average(none['drift']):.2f} without a norm and "
        f"by {average(batch['drift']):.2f} with batch norm, {factor_text(drift)} times as far."
    )
    if values["open"]:
        return View({"drift_half": drift.mean, "bell": BELL}, text, figures)
    waiting = progress(found)
    if waiting:
        return View(figures=figures, text=text, waiting=waiting)
    share = {"none": right(none), "batch": right(batch)}
    half = times(found["none 0.5"]["drift"], found["batch 0.5"]["drift"])
    gap = paired(100 * (share["batch"][:, -1] - share["none"][:, -1]))
    soon = STEPS.index(100)
    numbers: Numbers = {
        "gap": gap.mean, "gap_low": gap.low, "gap_high": gap.high, "drift": drift.mean,
        "drift_half": half.mean,
        "none_drift": average(none["drift"]), "batch_drift": average(batch["drift"]),
        "none_width": average(none["width"]), "batch_width": average(batch["width"]),
        "none_right": average(share["none"][:, -1]), "batch_right": average(share["batch"][:, -1]),
        "none_soon": average(share["none"][:, soon]), "batch_soon": average(share["batch"][:, soon]),
        "still": average(found["none 0.5"]["drift"]), "rate": float(rate), "bell": BELL,
    }  # fmt: skip
    text += f" After {LONG} steps batch norm minus no norm: {difference_text(gap)}."
    table = {"step": np.array(STEPS)} | {norm: one.mean(axis=0) for norm, one in share.items()}
    return View(numbers, text, figures, table)


# ---- noise behind the norm -------------------------------------------------------------------------------


def arms(strength: int) -> dict[str, tuple[str, str, str]]:
    """Return by arm its name, colour and the job that it is drawn from."""
    return {
        "none": (NAMES["none"], TINTS["none"], "none"),
        "batch": (NAMES["batch"], TINTS["batch"], "batch"),
        "noisy": (f"batch norm, noise × {strength}", TINTS["noisy"], f"noise{strength}"),
    }


def _losses(values: Values, found: Found, hide: bool) -> Figure:
    """Draw training losses up to the step that is played."""
    step = SHORT - 1 if hide else values["step"]
    data: list[Trace] = []
    told = []
    for arm, (name, colour, job) in arms(values["strength"]).items():
        own = found.get(job)
        if own is None or (hide and arm == "noisy"):
            continue
        data += over_seeds(range(step + 1), own["loss"][:, : step + 1], name, colour)
        told.append(f"{name} {brief(average(own['loss'][:, step]))}")
    shapes = [fig.area(EARLY, 0.1, SHORT - 1, 4, fig.faded(COLOURS[9], 0.2), layer="below")]
    return fig.figure(
        data, f"Training loss, {WORDS[values['activation']]}, six layers",
        f"Curves over steps; at step {step}: {', '.join(told) or 'nothing is computed yet'}.",
        fig.axis(0, SHORT, "step"), fig.log_axis(0.1, 4, "loss", (0.1, 0.2, 0.5, 1, 2, 4)), showlegend=True,
        hint=f"{SEEDS_HINT} Grey: the steps that are averaged below.", shapes=shapes,
    )  # fmt: skip


def _scatter(values: Values, found: Found, hide: bool) -> Figure:
    """Draw mean loss over how far inputs move in a step; noise strengths can be clicked."""
    known = {arm: own for arm in ("none", "batch") if (own := found.get(arm)) is not None}
    data: list[Trace] = []
    notes, told = [], []
    for arm, own in known.items():
        x, y = max(average(own["moved"]), 1e-4), average(early_loss(own))
        data.append(fig.dots([x], [y], NAMES[arm], TINTS[arm], size=13))
        notes.append(fig.label(np.log10(x), np.log10(y), NAMES[arm], TINTS[arm], 12, yshift=16, xshift=-26))
        told.append(f"{NAMES[arm]}: {brief(x)}, {brief(y)}")
    noisy = [] if hide else [(k, own) for k in STRENGTHS if (own := found.get(f"noise{k}")) is not None]
    if noisy:
        across = [average(own["moved"]) for _, own in noisy]
        up = [average(early_loss(own)) for _, own in noisy]
        data.append(fig.line(across, up, "", TINTS["noisy"], width=1, dash="dot", showlegend=False))
        data.append(fig.dots(
            across, up, "noisy batch norm", TINTS["noisy"], size=14,
            edge=fig.PAPER, meta={"click": "strength", "values": [k for k, _ in noisy]},
        ))  # fmt: skip
        for k, u, v in zip((k for k, _ in noisy), across, up, strict=True):
            chosen = k == values["strength"]
            notes.append(fig.label(np.log10(u), np.log10(v), f"× {k}", TINTS["noisy"], 12, xshift=-26))
            if chosen:
                data.insert(0, fig.dots([u], [v], "drawn on the left", INK, size=20, alpha=0.5))
            told.append(f"noise × {k}: {brief(u)}, {brief(v)}")
    shapes = []
    if "none" in known:
        level, moved = average(early_loss(known["none"])), average(known["none"]["moved"])
        shapes = [
            fig.mark(1e-4, level, 2, level, TINTS["none"], 1, dash="dot"),
            fig.mark(moved, 0.15, moved, 2, TINTS["none"], 1, dash="dot"),
        ]
    return fig.figure(
        data, "Mean loss, and how far inputs move in a step",
        f"Dots, inputs’ move and mean loss. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.log_axis(1e-4, 2, "a mean input’s move in a step",
                     (1e-4, 1e-3, 1e-2, 0.1, 1)),
        fig.log_axis(0.15, 2, f"loss, steps {EARLY} to {SHORT - 1}", (0.2, 0.5, 1, 2)),
        hint="Right: less steady (in standard deviations). Low: learns faster."
        + ("" if hide else " Right of and below the dotted lines: less steady than without a norm, and "
           "faster. Click a strength."),
        shapes=shapes, annotations=notes,
    )  # fmt: skip


def noise(values: Values, found: Found) -> View:
    """Put noise behind batch norm: its inputs are unsteady, and what does it learn?"""
    hide, strength = values["open"], values["strength"]
    figures = {"loss": _losses(values, found, hide), "moved": _scatter(values, found, hide)}
    needed: dict[str, Any] = {name: found.get(name) for name in ("none", "batch", f"noise{strength}")}
    if any(own is None for own in needed.values()):
        return View(figures=figures, waiting=progress(found))
    none, batch, noisy = needed.values()
    if hide:
        text = (
            f"Six tanh layers. Loss over steps {EARLY} to {SHORT - 1}: {average(early_loss(batch)):.2f} with "
            f"batch norm, {average(early_loss(none)):.2f} without a norm. The noise is not switched on yet."
        )
        return View({"none_loss": average(early_loss(none))}, text, figures)
    numbers = noise_numbers(none, batch, noisy, strength)
    ratio, moved = times(early_loss(noisy), early_loss(none)), times(noisy["moved"], none["moved"])
    text = (
        f"{WORDS[values['activation']]}, noise × {strength}: inputs move {factor_text(moved)} times as far "
        f"as without a norm, and the loss is {factor_text(ratio)} times as large. {meaning(ratio, moved)}"
    )
    table = {"step": np.arange(SHORT)} | {
        arm: found[job]["loss"].mean(axis=0) for arm, (_, _, job) in arms(strength).items()
    }
    return View(numbers, text, figures, table, waiting=progress(found))


def meaning(ratio: Interval, moved: Interval) -> str:
    """Say what a loss and a movement, both against no norm, mean for steady inputs."""
    unsteady, better, worse = moved.low > 1, ratio.high < 1, ratio.low > 1
    if unsteady and better:
        return "Less steady, and ahead: steady inputs are not needed for the lead."
    if not unsteady and better:
        return "Its inputs are no less steady than without a norm: this tests nothing."
    if worse:
        return "Now the noise costs more than batch norm gains."
    return "No clear difference in the loss."


def noise_numbers(none: Any, batch: Any, noisy: Any, strength: int) -> Numbers:
    """Return what the scene's sentences are made of."""
    ratio = times(early_loss(noisy), early_loss(none))
    return {
        "ratio": ratio.mean, "ratio_low": ratio.low, "ratio_high": ratio.high,
        "none_loss": average(early_loss(none)), "batch_loss": average(early_loss(batch)),
        "noisy_loss": average(early_loss(noisy)), "strength": float(strength),
        "times": average(noisy["moved"]) / average(none["moved"]),
        "none_moved": average(none["moved"]), "batch_moved": average(batch["moved"]),
        "noisy_moved": average(noisy["moved"]), "law": noise_moves(strength),
    }  # fmt: skip
