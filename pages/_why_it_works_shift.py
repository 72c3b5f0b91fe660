"""The scene "Two measures of shift": how far gradients shift, by length and by angle."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib.experiments.intervals import Interval, paired
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import average, over_seeds, progress
from book.controls import Values
from book.figure import INK, Figure, Trace
from book.words import brief
from pages._why_it_works_parts import (
    NAMES,
    SEEDS_HINT,
    SHORT,
    TINTS,
    degrees,
    difference_text,
    factor_text,
    times,
)

EVERY = 5  # steps between looks
WORDS = {"tanh": "tanh", "relu": "ReLU"}


def chord(found: Any) -> Any:
    """Return how far a gradient of this length moves if it turns by this angle and keeps its length."""
    return 2 * np.sin(np.radians(degrees(found)) / 2) * found["length"]


def _angles(found: Found, activation: str) -> Figure:
    """Draw the angle between G and G' over training."""
    ticks = (0, 15, 30, 45, 60) if activation == "tanh" else (0, 30, 60, 90, 120)
    data: list[Trace] = []
    told = []
    for norm in ("none", "batch"):
        own = found.get(f"{activation} {norm}")
        if own is not None:
            data += over_seeds(own["step"], degrees(own), NAMES[norm], TINTS[norm])
            told.append(f"{NAMES[norm]} {average(degrees(own)):.0f}° on average")
    return fig.figure(
        data, f"By angle: between G and G′, {WORDS[activation]}",
        f"Curves over steps. {', '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, SHORT + 2, "step"),
        fig.axis(0, ticks[-1], "angle", ticks, words=[f"{tick}°" for tick in ticks]),
        showlegend=True, hint=f"0°: the same direction. {SEEDS_HINT}",
    )  # fmt: skip


def _lengths(found: Found, activation: str) -> Figure:
    """Draw the length of G - G' over training, and what the angle alone makes of the gradient's length."""
    ends = (0.01, 0.1, 1) if activation == "tanh" else (0.01, 0.1, 1, 10)
    data: list[Trace] = []
    told = []
    for norm in ("none", "batch"):
        own = found.get(f"{activation} {norm}")
        if own is not None:
            data += over_seeds(own["step"], own["distance"], NAMES[norm], TINTS[norm])
            turned = chord(own).mean(axis=0)
            data.append(fig.line(
                own["step"], turned, "if only turned" if norm == "batch" else "", INK, dash="dash", width=1.5,
                showlegend=norm == "batch",
            ))  # fmt: skip
            told.append(f"{NAMES[norm]} {brief(average(own['distance']))} on average")
    return fig.figure(
        data, f"By length: ‖G − G′‖, {WORDS[activation]}",
        f"Curves over steps. {', '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, SHORT + 2, "step"), fig.log_axis(ends[0], ends[-1], "length", ends), showlegend=True,
        hint=f"{SEEDS_HINT} Dashed: 2 sin(θ/2) · ‖G‖, what the angle θ makes of the gradient’s length.",
    )  # fmt: skip


def measures(values: Values, found: Found) -> View:
    """Measure the shift of gradients twice: by angle and by length."""
    hide = values["open"]
    activation = "tanh" if hide else values["activation"]
    figures = {"angle": _angles(found, activation)}
    if not hide:
        figures["length"] = _lengths(found, activation)
    none, batch = (found.get(f"{activation} {norm}") for norm in ("none", "batch"))
    if none is None or batch is None:
        return View(figures=figures, waiting=progress(found))
    turned = {norm: degrees(own).mean(axis=1) for norm, own in (("none", none), ("batch", batch))}
    less = paired(turned["batch"] - turned["none"])
    said = difference_text(less, "degrees")
    text = f"{WORDS[activation]}: by the angle, the shift with batch norm minus that without is {said}."
    if hide:
        return View({"none_angle": average(turned["none"])}, text, figures)
    waiting = progress(found)
    if waiting:
        return View(figures=figures, text=text, waiting=waiting)
    factor = by_length(none, batch)
    text += f" By length it is {factor_text(factor)} times that without."
    numbers: Numbers = {
        "factor": factor.mean, "factor_low": factor.low, "factor_high": factor.high,
        "none_angle": average(turned["none"]), "batch_angle": average(turned["batch"]),
        "none_distance": average(none["distance"]), "batch_distance": average(batch["distance"]),
        "none_length": average(none["length"]), "batch_length": average(batch["length"]),
        "longer": average(batch["length"]) / average(none["length"]),
        "early": by_length(none, batch, none["step"] <= 20).mean,
        "late": by_length(none, batch, none["step"] > 50).mean,
        "sixty": 2 * float(np.sin(np.radians(60) / 2)),
    }  # fmt: skip
    for kind in ("tanh", "relu"):
        pair = [found[f"{kind} {norm}"] for norm in ("none", "batch")]
        numbers[f"{kind}_factor"] = by_length(*pair).mean
        numbers[f"{kind}_none_angle"], numbers[f"{kind}_batch_angle"] = (
            average(degrees(one)) for one in pair
        )
    table = {"step": np.asarray(none["step"])}
    for norm, own in (("none", none), ("batch", batch)):
        table |= {
            f"{norm}_distance": own["distance"].mean(axis=0),
            f"{norm}_angle": degrees(own).mean(axis=0),
        }
    return View(numbers, text, figures, table)


def by_length(none: Any, batch: Any, when: Any = slice(None)) -> Interval:
    """Return how many times as far gradients shift by length with batch norm; ``when``: in which looks."""
    return times(batch["distance"][:, when].mean(axis=1), none["distance"][:, when].mean(axis=1))
