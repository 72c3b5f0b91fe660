"""What the first scenes of "Learning rate and initialization" show: large rates, small rates, scales."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from bnlib.experiments.intervals import paired
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import average, over_seeds, progress
from book.controls import Values
from book.figure import INK, Figure, Trace
from book.words import brief
from pages._learning_rate_parts import (
    DIGITS,
    DONE,
    EVERY,
    HALF,
    LARGE,
    MIDDLE,
    NAMES,
    NORMS,
    PARTS,
    RATES,
    ROW,
    SCALES,
    SHADES,
    SHORT,
    SLOW,
    SMALL,
    STEPS,
    TINTS,
    ahead,
    curves,
    final,
    near,
    outcome,
    rate_axis,
    said,
    verdict,
)  # fmt: skip

EARLY = 10  # steps in which a rate that is too large shows
SEEN = 40  # steps whose lengths are drawn
LOST = np.full(8, np.nan)

# ---- large rates -----------------------------------------------------------------------------------------


def cells(found: Found, norm: str) -> dict[float, dict[str, Any] | None]:
    """Return what was trained at each learning rate: arrays (R, steps), or None where it isn't there yet."""
    every: dict[float, dict[str, Any] | None] = {}
    for place, part in enumerate(PARTS):
        own = found.get(f"{norm} {place}")
        for k, lr in enumerate(part):
            every[lr] = None if own is None else {name: array[k] for name, array in own.items()}
    return every


def ends(own: dict[float, dict[str, Any] | None]) -> Any:
    """Return right answers at the end (rates, R), NaN where nothing is there yet."""
    return np.stack([LOST if cell is None else final(cell["right"]) for cell in own.values()])


def largest(right: Any, stops: tuple[float, ...] = RATES) -> float:
    """Return the largest rate at which half of the answers are right, mean of the seeds (rates, R)."""
    return max((lr for lr, own in zip(stops, right, strict=True) if own.mean() >= HALF), default=stops[0])


def rate(values: Values, found: Found) -> View:
    """Show right answers over the learning rate, and how training goes at one of them."""
    hide, lr = values["open"], near(values["lr"], RATES)
    shown = ("none",) if hide else NORMS
    every = {norm: cells(found, norm) for norm in NORMS}
    right = {norm: ends(every[norm]) for norm in shown}
    here = {norm: every[norm][lr] for norm in shown}
    figures = {
        "outcome": outcome(
            right, RATES, f"Right answers after {STEPS} steps, ten layers", rate_axis(), lr, "lr"
        ),
        "curves": curves(
            {norm: None if cell is None else cell["right"] for norm, cell in here.items()},
            f"Training at learning rate {brief(lr)}", STEPS,
        ),
    }  # fmt: skip
    if not hide:
        figures["relative"] = _relative(here, lr)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found, DONE))
    numbers = _rate_numbers(every, lr)
    text = f"Learning rate {brief(lr)}: without a norm {numbers['right_none']:.0%} of the answers are right"
    if hide:
        return View(numbers, f"{text}.", figures)
    gap = ahead(final(every["batch"][lr]["right"]), final(every["none"][lr]["right"]))  # type: ignore[index]
    text += f", with batch norm {numbers['right_batch']:.0%}: {said(gap, 'points')}."
    note = (
        f"In {EARLY} steps batch norm’s weights became {numbers['longer']:.2f} times as long. Steps at right "
        f"angles to W give √(1 + r²) for each: {numbers['longer_theory']:.2f} in all, where r is the curve."
    )
    table = {"learning_rate": np.array(RATES)}
    for norm in NORMS:
        table[f"trained_{norm}"] = (right[norm].mean(axis=1) >= HALF).astype(int)
    return View(numbers, text, figures, table, notes={"relative": note})


def _rate_numbers(every: Any, lr: float) -> Numbers:
    none, batch = every["none"][lr], every["batch"][lr]
    reach = {norm: largest(ends(every[norm])) for norm in NORMS}
    step = batch["relative"][:, :EARLY]
    peak = none["loss"][:, :EARLY].max(axis=1)
    return {
        "lr": lr, "largest_none": reach["none"], "largest": reach["batch"],
        "ratio": reach["batch"] / reach["none"],
        "right_none": average(final(none["right"])), "right_batch": average(final(batch["right"])),
        "first": average(batch["relative"][:, 0]),
        "later": average(batch["relative"][:, EARLY : 2 * EARLY]),
        "longer": average(batch["length"][:, EARLY]),
        "longer_theory": average(np.sqrt(np.prod(1 + step**2, axis=1))),
        "longer_one": average(batch["length"][:, 1]), "loss_none": average(none["loss"][:, 0]),
        "peak": float(np.median(peak)), "peak_batch": float(np.median(batch["loss"][:, :EARLY].max(axis=1))),
        "grown": float(np.median(none["relative"][:, :EARLY].max(axis=1) / none["relative"][:, 0])),
        "diverged": float(none["diverged"].sum()), "one_step": sqrt(1 + 0.5**2),
    }  # fmt: skip


def _relative(here: dict[str, Any], lr: float) -> Figure:
    """Draw the length of each step over that of the weights; means of powers of ten."""
    data: list[Trace] = []
    told = []
    for norm, cell in here.items():
        if cell is not None:
            alive = np.maximum(cell["relative"][:, :SEEN], 1e-4)
            middle = np.exp(np.log(alive).mean(axis=0))
            x = np.arange(SEEN)
            data += fig.band(x, alive.min(axis=0), alive.max(axis=0), TINTS[norm])
            data.append(fig.line(x, middle, NAMES[norm], TINTS[norm]))
            told.append(f"{NAMES[norm]}: {brief(middle[0])} at first, {brief(middle[-1])} at the end")
    return fig.figure(
        data, f"Length of a step over that of the weights, rate {brief(lr)}",
        f"lr ‖g‖ / ‖W‖ of the hidden weights over steps. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, SEEN, "step"), fig.log_axis(1e-4, 30, "r", [1e-4, 1e-2, 1]),
        showlegend=True, place="side",
        hint="r = lr ‖g‖ / ‖W‖, geometric mean of 8 seeds. At 1 a step is as long as all hidden weights.",
    )  # fmt: skip


# ---- small rates -----------------------------------------------------------------------------------------


def small(values: Values, found: Found) -> View:
    """Show the loss at a small rate, and what one step gains for its own batch and for other digits."""
    hide, lr = values["open"], near(values["small_lr"], SMALL)
    here = {norm: found.get(f"{norm} {lr:g}") for norm in NORMS}
    figures = {"losses": _losses({norm: here[norm] for norm in (("none",) if hide else NORMS)}, lr)}
    if not hide:
        figures["gain"] = _gain(here, lr)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found, DONE))
    numbers = _small_numbers(found, lr)
    if hide:
        return View(numbers, f"Without a norm the loss ends at {numbers['loss_none']:.2f}.", figures)
    words = {1: "lower", 0: "not clearly different", -1: "higher"}[int(numbers["sooner"])]
    text = (
        f"Learning rate {brief(lr)}: after {SLOW} steps the loss is {numbers['loss_batch']:.2f} with batch "
        f"norm and {numbers['loss_none']:.2f} without: {words}."
    )
    note = (
        f"Bars: what a step lowers the loss by, mean of {SLOW // EVERY + 1} looks. Diamonds: first order, lr "
        "times the inner product ⟨∇L, g⟩ for other digits, lr ‖g‖² for the own batch."
    )
    table = {
        "step": here["none"]["step"],  # type: ignore[index]
        **{f"loss_{norm}": here[norm]["loss"].mean(axis=0) for norm in NORMS},  # type: ignore[index]
        **{f"expected_{norm}": here[norm]["expected"].mean(axis=0) for norm in NORMS},  # type: ignore[index]
    }
    return View(numbers, text, figures, table, notes={"gain": note})


def lead_at(found: Found, lr: float) -> int:
    """Say whether batch norm's loss at the end is clearly lower (1), clearly higher (-1), or neither (0)."""
    loss = {norm: found[f"{norm} {lr:g}"]["loss"][:, -1] for norm in NORMS}
    return verdict(paired(loss["none"] - loss["batch"]))


def _small_numbers(found: Found, lr: float) -> Numbers:
    numbers = {
        "lr": lr,
        "curved": 1 - 20 * lr / 2,
        "sooner": float(lead_at(found, lr)),
        "sooner_large": float(lead_at(found, SMALL[-1])),
    }
    for norm in NORMS:
        own = found[f"{norm} {lr:g}"]
        numbers |= {f"loss_{norm}": average(own["loss"][:, -1])}
        numbers |= {
            f"{name}_{norm}": average(own[name]) for name in ("expected", "fall", "own", "own_fall", "alike")
        }
        numbers[f"large_{norm}"] = average(found[f"{norm} {SMALL[-1]:g}"]["loss"][:, -1])
        numbers[f"raw_{norm}"] = average(found[f"{norm} raw"]["loss"][:, -1])
    numbers["factor"] = numbers["expected_none"] / numbers["expected_batch"]
    numbers["own_factor"] = numbers["own_batch"] / numbers["own_none"]
    return numbers


def _losses(here: dict[str, Any], lr: float) -> Figure:
    data: list[Trace] = []
    told = []
    for norm, own in here.items():
        if own is not None:
            data += over_seeds(own["step"], own["loss"], NAMES[norm], TINTS[norm])
            told.append(f"{NAMES[norm]} ends at {own['loss'][:, -1].mean():.2f}")
    return fig.figure(
        data, f"Loss of {DIGITS} digits at learning rate {brief(lr)}, five layers",
        f"Falling curves. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, SLOW, "step"), fig.axis(0, 4, "loss"), showlegend=True, hint=SHADES,
    )  # fmt: skip


def _gain(here: dict[str, Any], lr: float) -> Figure:
    """Draw what a step gains as bars, and what the first order expects as marks."""
    data: list[Trace] = []
    expected: dict[int, float] = {}
    notes, told, ends = [], [], [1e-3]
    for k, (norm, own) in enumerate((norm, own) for norm, own in here.items() if own is not None):
        at, measured = [2 * k, 2 * k + 1], [average(own["own_fall"]), average(own["fall"])]
        data.append(fig.bars(at, measured, NAMES[norm], TINTS[norm], alpha=0.7, width=0.6))
        expected |= zip(at, (average(own["own"]), average(own["expected"])), strict=True)
        for x, where, bar in zip(at, ("own", "other"), measured, strict=True):
            higher = max(bar, expected[x], 0.0)
            notes.append(fig.label(x, higher, brief(float(f"{bar:.2g}")), yshift=14, size=11))
            told.append(f"{NAMES[norm]}, {where}: {brief(bar)}, expected {brief(expected[x])}")
            ends += [bar, expected[x]]
    data.append(
        fig.dots(list(expected), list(expected.values()), "first order", INK, symbol="diamond", size=9)
    )
    places = list(expected) or [0, 1]
    return fig.figure(
        data, f"What one step lowers the loss by, learning rate {brief(lr)}",
        f"Bars. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(-0.5, places[-1] + 0.5, "digits", places,
                 words=["own", "other"] * (len(places) // 2), showgrid=False),
        fig.axis(1.2 * min(0.0, *ends), 1.2 * max(ends), "loss before minus after"),
        annotations=notes, bargap=0, barmode="overlay", showlegend=True,
        hint=f"Own: the digits of the step’s batch. Other: {DIGITS} training digits.",
    )  # fmt: skip


# ---- scales ----------------------------------------------------------------------------------------------


def scaled(found: Found, norm: str, lr: float = MIDDLE) -> Any:
    """Return right answers at the end over scales (scales, R) at one rate, NaN where nothing is there yet."""
    rows = [found.get(f"{norm} {scale:g}") for scale in SCALES]
    k = ROW.index(lr)
    return np.stack([LOST if own is None else final(own["right"][k]) for own in rows])


def scale(values: Values, found: Found) -> View:
    """Show right answers over the scale of all initial weights, and a run beside its exact twin."""
    hide, at = values["open"], near(values["scale"], SCALES)
    shown = ("none",) if hide else NORMS
    right = {norm: scaled(found, norm) for norm in shown}
    rows = {norm: found.get(f"{norm} {at:g}") for norm in shown}
    k = ROW.index(MIDDLE)
    figures = {
        "outcome": outcome(
            right, SCALES, f"Right answers after {SHORT} steps, learning rate {MIDDLE}",
            rate_axis(SCALES, "initial weights, × He’s"), at, "scale",
        ),
        "curves": curves(
            {norm: None if own is None else own["right"][k] for norm, own in rows.items()},
            f"Training from weights × {brief(at)}", SHORT,
        ),
    }  # fmt: skip
    twin = found.get("twin")
    if not hide and twin is not None:
        figures["twin"] = _twin(twin)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found, DONE))
    place = SCALES.index(at)
    every = {norm: scaled(found, norm) for norm in NORMS}
    means = {norm: own.mean(axis=1) for norm, own in every.items()}
    one = SCALES.index(1.0)
    numbers = {
        "scale": at, "right": float(means["batch"][place]), "right_none": float(means["none"][place]),
        "usual": float(means["batch"][one]), "usual_none": float(means["none"][one]),
        "half_none": float(means["none"][one - 1]), "twice_none": float(means["none"][one + 1]),
        "hidden": average(final(found["hidden"]["right"][0])),
        "hidden_more": average(final(found["hidden"]["right"][1])),
        "difference": float(found["twin"]["loss_difference"].max()),
    }  # fmt: skip
    text = f"Weights × {brief(at)}: without a norm {numbers['right_none']:.0%} right"
    if hide:
        return View(numbers, f"{text}.", figures)
    gap = ahead(every["batch"][place], every["none"][place])
    text += f", with batch norm {numbers['right']:.0%}: {said(gap, 'points')}."
    table = {"init_scale": np.array(SCALES), **{f"right_{norm}": means[norm] for norm in NORMS}}
    note = (
        f"Largest difference of the two losses, over {SHORT} steps and 8 seeds: "
        f"{brief(numbers['difference'])}."
    )
    return View(numbers, text, figures, table, notes={"twin": note})


def _twin(twin: Any) -> Figure:
    """Draw the losses of a run and of its twin, whose weights are ten times as long."""
    x = np.arange(twin["train_loss"].shape[1])
    data = [
        fig.line(x, twin["train_loss"].mean(axis=0), f"W, rate {MIDDLE}", TINTS["batch"], width=3),
        fig.line(
            x, twin["other_loss"].mean(axis=0), f"{LARGE:g} W, rate {MIDDLE * LARGE**2:g}", INK, dash="dash"
        ),
    ]
    return fig.figure(
        data, "Batch norm: hidden weights × 10, their learning rate × 100",
        f"Two curves, one on the other; they differ by at most "
        f"{brief(float(twin['loss_difference'].max()))}.",
        fig.axis(0, SHORT, "step"), fig.axis(0, 3.2, "loss"), showlegend=True, place="side",
        hint="Mean of 8 seeds, eps = 0; all else is trained at the same rate.",
    )  # fmt: skip
