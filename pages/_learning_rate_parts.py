"""What the scenes of "Learning rate and initialization" are drawn with, and the networks that they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.experiments.intervals import Interval, paired
from bnlib.lessons import rates
from book import figure as fig
from book.chapter import Job
from book.charts import over_seeds, percent
from book.controls import Values, seeds
from book.figure import BLUE, INK, ORANGE, PAPER, Axis, Figure, Trace
from book.words import brief

NORMS = ("none", "batch")
NAMES = {"none": "no norm", "batch": "batch norm"}
TINTS = {"none": ORANGE, "batch": BLUE}
LAST = 10  # batches over which right answers are averaged
HALF = 0.5  # of the answers right: the network trains
DONE = "groups of networks are trained"

RATES, DEEP, STEPS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), 10, 100  # the first scene
PARTS = tuple(RATES[k : k + 2] for k in range(0, len(RATES), 2))  # a job each
SMALL, SLOW, EVERY, DIGITS = (0.003, 0.01, 0.1), 300, 30, 320  # the second
ROW, SCALES, SHALLOW, SHORT = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0), 5, 60
MIDDLE, LARGE = 0.1, 10.0  # learning rate, and scale, of the third
DEPTHS, TAUGHT = (2, 5, 10, 20), 50  # the last
DISTANCES = tuple(10.0 ** (k / 4) for k in range(-20, 3))
SHADES = "Lines: mean of 8 seeds. Shades: lowest to highest seed."


def deep(values: Values, norm: str, lr: float = 0.1) -> RunConfig:
    """Return eight networks of ten layers of 32 ReLU units."""
    return _config(values, norm=norm, depth=DEEP, lr=lr)


def shallow(values: Values, norm: str, scale: float = 1.0, lr: float = MIDDLE) -> RunConfig:
    """Return eight networks of five layers, initial weights ``scale`` times He's."""
    return _config(values, norm=norm, depth=SHALLOW, init_scale=scale, lr=lr)


def plain(values: Values, norm: str) -> RunConfig:
    """Return eight networks of five layers that get pixels as they are, at the second scene's rate."""
    return _config(values, norm=norm, depth=SHALLOW, lr=SMALL[1], inputs="raw")


def rough(values: Values, norm: str, depth: int) -> RunConfig:
    """Return eight networks whose gradient is followed, as in experiment E7."""
    return _config(values, norm=norm, depth=depth, lr=0.1, batch_size=64, inputs="raw")


def _config(values: Values, **more: Any) -> RunConfig:
    fields: dict[str, Any] = {
        "inputs": "standardized", "width": 32, "batch_size": 32, "dtype": "float64", **seeds(values),
    }  # fmt: skip
    return RunConfig(**(fields | more))


def grid(values: Values) -> dict[str, Job]:
    """Return the map's jobs, a row each: both networks at one scale, the middle rows first."""
    order = sorted(SCALES, key=lambda scale: abs(np.log(scale)))
    return {
        f"{norm} {scale:g}": Job(rates.row, (shallow(values, norm, scale), ROW, SHORT))
        for scale in order
        for norm in NORMS
    }


def final(right: Any) -> Any:
    """Return the share of right answers in the last batches, (..., steps) to (...)."""
    return np.asarray(right)[..., -LAST:].mean(axis=-1)


def ahead(batch: Any, none: Any) -> Interval:
    """Compare right answers (R,) seed by seed, in points: batch norm's minus those without a norm."""
    return paired(100 * (np.asarray(batch) - np.asarray(none)))


def verdict(gap: Interval) -> int:
    """Return 1 where the first is clearly larger, -1 where it is clearly smaller, 0 where neither shows."""
    return int(np.sign(gap.mean)) if gap.clear else 0


def near(value: float, stops: Sequence[float]) -> float:
    """Return the stop that is nearest by its ratio."""
    return min(stops, key=lambda stop: abs(np.log(stop / value)))


def smooth(right: Any) -> Any:
    """Average right answers (..., steps) over the last batches up to each."""
    right = np.asarray(right)
    sums = np.cumsum(np.concatenate([np.zeros_like(right[..., :1]), right], axis=-1), axis=-1)
    at = np.arange(1, right.shape[-1] + 1)
    begin = np.maximum(at - LAST, 0)
    return (sums[..., at] - sums[..., begin]) / (at - begin)


# ---- figures ---------------------------------------------------------------------------------------------


def rate_axis(stops: Sequence[float] = RATES, title: str = "learning rate") -> Axis:
    """Make the logarithmic axis of learning rates or scales, ticks at those that are trained."""
    return fig.log_axis(0.75 * min(stops), 1.35 * max(stops), title, stops)


def outcome(
    found: Mapping[str, Any], stops: Sequence[float], title: str, x: Axis, at: float, control: str
) -> Figure:
    """Draw right answers at the end over a setting: for each norm an array (stops, R), or None.

    control : the setting that the dots on the curves are dragged by; empty: none is
    """
    data: list[Trace] = []
    told = []
    for norm, own in found.items():
        if own is None:
            continue
        known = np.isfinite(own).all(axis=1)
        at_stops = np.array(stops)[known]
        if not len(at_stops):
            continue
        data += over_seeds(at_stops, own[known].T, NAMES[norm], TINTS[norm])
        told.append(f"{NAMES[norm]}: {own[known].mean(axis=1).max():.0%} at best")
        data.append(
            fig.dots(
                at_stops, own[known].mean(axis=1), "", TINTS[norm], size=6, showlegend=False, hoverinfo="skip"
            )
        )
        if control and known[list(stops).index(at)]:
            height = float(own[list(stops).index(at)].mean())
            meta = {"drag": control, "axis": "x"}
            data.append(
                fig.dots([at], [height], NAMES[norm], INK, size=15, alpha=0.5, showlegend=False, meta=meta)
            )
    hint = f"{'Drag a large dot. ' if control else ''}{SHADES}"
    alt = f"Curves over {x['title']['text']}. {'; '.join(told) or 'Nothing is computed yet'}."
    return fig.figure(data, title, alt, x, percent(), showlegend=True, hint=hint)


def curves(
    found: Mapping[str, Any], title: str, steps: int, upto: int | None = None, place: str = "main"
) -> Figure:
    """Draw right answers (R, steps) along training for each norm, up to a step."""
    data: list[Trace] = []
    told = []
    for norm, right in found.items():
        if right is not None:
            shown = smooth(right)[:, : steps if upto is None else max(upto, 1)]
            data += over_seeds(np.arange(1, shown.shape[1] + 1), shown, NAMES[norm], TINTS[norm])
            told.append(f"{NAMES[norm]} ends at {shown[:, -1].mean():.0%}")
    alt = f"Right answers over training steps. {'; '.join(told) or 'Nothing is computed yet'}."
    hint = f"Right answers in the last {LAST} batches, in train(). {'' if place == 'side' else SHADES}"
    x = fig.axis(0, 1.02 * steps, "step")
    return fig.figure(data, title, alt, x, percent(), showlegend=True, hint=hint, place=place)


def said(gap: Interval, what: str) -> str:
    """Say which network is ahead by ``what``, or that no difference shows."""
    sign = verdict(gap)
    if sign == 0:
        return f"no clear difference in {what}"
    return f"batch norm is {'ahead' if sign > 0 else 'behind'} by {brief(abs(gap.mean))} {what}"


# ---- the first page's small picture --------------------------------------------------------------------


def thumbnail(values: Values) -> Figure:
    """Draw how a step of length r at right angles to W makes W longer, √(1 + r²), so that it turns less."""
    r = np.linspace(0, 3, 61)
    data = [
        fig.line(r, r, colour=ORANGE, width=1.5, dash="dash"),
        fig.line(r, np.arctan(r), colour=BLUE),
        fig.dots([1.0], [np.arctan(1.0)], colour=PAPER, edge=BLUE, size=8),
    ]
    alt = "How far a step turns the weights, over its length: the curve becomes flat, at most a right angle."
    return fig.thumbnail(data, "How far a step turns the weights", alt, (0, 3), (0, 2.2))
