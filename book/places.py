"""Where things are in the picture of one batch: rows below one another, each with a y axis of its own.

A row's y axis counts the dots in a bar; the dots themselves lie below 0. Heights within a row are shares of
it, so that the picture can be of any size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from . import figure as plot
from .batch import HIGH, LOW, Array, Batch
from .figure import Axis
from .words import brief

GAP = 0.058  # of the height: for the ticks of an axis of its own


class Row(NamedTuple):
    """A row: what it shows, and from which operation of the walk on it, its mean and its spread are there."""

    array: str
    name: str
    what: str
    since: int = 0
    mean: int = 0
    spread: int = 0


ROWS = (
    Row("x", "x", "what arrives"),
    Row("normalized", "x̂", "(x − μ) / √(σ² + ε)"),
    Row("y", "y", "γ · x̂ + β"),
)
WALK = (
    Row("x", "x", "what arrives", 0, 1, 9),
    Row("centred", "x − μ", "mean subtracted", 2, 2, 3),
    Row("normalized", "x̂", "divided by √(σ² + ε)", 5, 5, 5),
    Row("scaled", "γ · x̂", "scaled", 6, 6, 6),
    Row("y", "y", "γ · x̂ + β", 7, 7, 7),
)
NEWEST = (0, 0, 1, 1, 1, 2, 3, 4)  # the row that each operation is about


class Place(NamedTuple):
    """Where a row is.

    x, y : names of its axes
    low, high : of the picture's height
    factor : how many times its x is magnified
    dots, line, floor : heights in it, as shares: of the dots, of the line with their spread, of the bars
    unit : dots in a bar that would be as high as the row
    """

    x: str
    y: str
    low: float
    high: float
    factor: float
    dots: float
    line: float
    floor: float
    unit: float

    def at(self, share: float) -> float:
        """Return a height on the row's y axis."""
        return (share - self.floor) * self.unit

    @property
    def stick(self) -> float:
        """Where the middle of a mean's mark is."""
        return self.line + (0.45 * self.floor or 0.2)

    def paper(self, share: float) -> float:
        """Return a height in the whole picture."""
        return round(self.low + share * (self.high - self.low), 5)  # a tenth of a pixel is not sent

    def across(self, value: float) -> float:
        """Return where a value is drawn: at the axis's end what lies beyond it."""
        return min(max(value, LOW / self.factor), HIGH / self.factor)

    def under(self, value: float) -> float:
        """Return where a value is drawn on the axis that all rows share."""
        return round(self.across(value) * self.factor, 4)

    @property
    def axes(self) -> dict[str, str]:
        """What a trace says of its place."""
        return {"xaxis": self.x, "yaxis": self.y}


class Pooled(NamedTuple):
    """The shape of x̂, dots of one batch in each bar of `wall_edges`: of many batches (or None), of theory."""

    counts: Array | None
    theory: Array


def lay_out(batch: Batch, rows: tuple[Row, ...], pooled: Pooled | None, narrow: bool) -> list[Place]:
    """Lay the rows out from the top; what many batches show gets twice the height."""
    tall = [2 if pooled and pooled.counts is not None and row.array == "normalized" else 1 for row in rows]
    own = batch.magnified > 1
    share = (1 - (GAP if own else 0)) / sum(tall)
    most = max(4.0, *(float(counts.max()) for counts in batch.bars.values()))
    if pooled and pooled.counts is None:
        most = max(most, float(pooled.theory.max()))
    places, top = [], 1.0
    for number, (row, shares) in enumerate(zip(rows, tall, strict=True)):
        low = max(0.0, top - share * shares)
        if len(rows) > 3:
            heights, unit = (0.24, 0.05, 0.0), 1.0
        else:
            heights = (0.125 / shares, 0.03 / shares, 0.23 / shares)
            highest = most
            if shares > 1 and pooled and pooled.counts is not None:
                highest = float(max(pooled.counts.max(), pooled.theory.max()))
            unit = highest / (1 - (0.52 if narrow else 0.4) / shares)
        mine = own and row.array == "x"
        places.append(
            Place(
                "x2" if mine else "x", f"y{number + 1}" if number else "y", low, top,
                batch.magnified if mine else 1.0, *heights, unit,
            )
        )  # fmt: skip
        top = low - (GAP if own and not number else 0)
    return places


def further_axes(places: list[Place], narrow: bool) -> dict[str, Axis]:
    """Return the axes of further rows, and of x where it is tiny."""
    further = {f"yaxis{place.y[1:]}": row_axis(place) for place in places[1:]}
    if places[0].x == "x2":
        factor = places[0].factor
        further["xaxis2"] = _scale(LOW / factor, HIGH / factor, _own_ticks(factor, narrow), "y")
    return further


@lru_cache(maxsize=8)
def main_axis(anchor: str) -> Axis:
    """Return the axis that all rows share, below the last of them."""
    words = [brief(tick) if tick % 2 == 0 else "" for tick in range(-6, 7)]
    return _scale(LOW, HIGH, range(-6, 7), anchor, words=words)


def _scale(low: float, high: float, ticks: Sequence[float], anchor: str, **more: Any) -> Axis:
    return plot.axis(low, high, ticks=ticks, anchor=anchor, side="bottom", showgrid=False, **more)


def row_axis(place: Place) -> Axis:
    """Return a row's own axis, which isn't drawn."""
    ends: dict[str, Any] = {"domain": [place.low, place.high], "anchor": place.x}
    return plot.axis(place.at(0), place.at(1), ticks=(), visible=False, showgrid=False, **ends)


def _own_ticks(factor: float, narrow: bool) -> list[float]:
    """Choose round numbers; they move apart while the axis is magnified."""
    low, high = LOW / factor, HIGH / factor
    rough = (high - low) / (6 if narrow else 12)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def grid(places: list[Place], narrow: bool) -> list[Any]:
    """Rule from top to bottom, through all rows that have one axis; and along, where each one's spread is."""
    first, own = places[0], places[0].x == "x2"
    rules = [_rule(tick, "x", 0, first.low - GAP if own else 1) for tick in range(-6, 7)]
    if own:
        rules += [_rule(tick, "x2", first.low, 1) for tick in _own_ticks(first.factor, narrow)]
    return rules + [
        plot.mark(0, height, 1, height, plot.GRID, 1, xref="paper", yref="paper", layer="below")
        for height in (place.paper(place.line) for place in places)
    ]


def _rule(at: float, of: str, low: float, high: float) -> dict[str, Any]:
    colour, width = (plot.GRID, 1.5) if at == 0 else (plot.faded(plot.GRID, 0.6), 1.0)
    return plot.mark(at, low, at, high, colour, width, xref=of, yref="paper", layer="below")
