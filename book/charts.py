"""What several chapters draw: bars and curves over seeds, shares as percentages, how far a wait has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import figure as fig
from .figure import BLUE, INK, Axis, Figure, Trace

WAITING = "Networks are being trained."


def average(values: Any) -> float:
    """Return the mean over seeds."""
    return float(np.mean(values))


def percent(low: float = 0.0, title: str = "right answers") -> Axis:
    """Make the axis of a share, ticks in per cent."""
    ticks = [share for share in (0, 0.2, 0.4, 0.6, 0.8, 1.0) if share >= low]
    return fig.axis(low, 1.02, title, ticks, words=[f"{share:.0%}" for share in ticks])


def bars(
    values: Mapping[str, Any], title: str, y: Axis, colours: Sequence[str], narrow: bool = False, **more: Any
) -> Figure:
    """Draw means over seeds as bars, the seeds as dots; what isn't there yet has a place without a bar.

    Parameters
    ----------
    values : by name, an array over seeds, or None
    colours : of the bars, in their order
    more : ``form``, how a mean is written (".0%"), ``what``, of what they are bars; all else is the figure's
    """
    form, what = more.pop("form", ".0%"), more.pop("what", "the share of right answers")
    names = list(values)
    found = [np.full(1, np.nan) if own is None else np.atleast_1d(own) for own in values.values()]
    means = [float(own.mean()) for own in found]
    seeds_x = [name for name, own in zip(names, found, strict=True) for _ in own]
    data = [
        fig.bars(names, means, "mean of the seeds", list(colours), alpha=0.75, width=0.6),
        fig.dots(seeds_x, np.concatenate(found), "one seed", INK, size=5),
    ]
    low, high = y["range"]
    roomy = [mean < low + 0.88 * (high - low) for mean in means]
    above = [
        fig.label(name, mean, f"{mean:{form}}", yshift=12 if room else -14, xshift=-22 if narrow else -30)
        for name, mean, room in zip(names, means, roomy, strict=True)
        if np.isfinite(mean)
    ]
    told = "; ".join(f"{n}: {m:{form}}" for n, m in zip(names, means, strict=True) if np.isfinite(m))
    alt = f"Bars of {what}. {told or 'Nothing is computed yet'}."
    axes = (fig.category_axis(names), y)
    return fig.figure(data, title, alt, *axes, annotations=above, bargap=0, barmode="overlay", **more)


def over_seeds(x: Any, y: Any, name: str, colour: str = BLUE, **more: Any) -> list[Trace]:
    """Draw the mean over seeds of ``y`` (seeds, len(x)), in a band from the lowest to the highest seed."""
    y = np.asarray(y, dtype=float)
    edges = fig.band(x, y.min(axis=0), y.max(axis=0), colour)
    return [*edges, fig.line(x, y.mean(axis=0), name, colour, **more)]


def progress(found: Mapping[str, Any], what: str = "networks are trained") -> str:
    """Say how much of what a view waits for is there; nothing once all of it is."""
    there = sum(one is not None for one in found.values())
    return "" if there == len(found) else f"{there} of {len(found)} {what}."
