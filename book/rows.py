"""The picture of one batch: rows of dots on one axis with histograms, mean and spread, before and after."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from . import figure as plot
from .batch import HIGH, LOW, OPERATIONS, Array, Batch, bar_edges, bound_words, dot_words, wall_edges
from .figure import Figure, Trace
from .places import NEWEST, ROWS, WALK, Place, Pooled, Row, further_axes, grid, lay_out, main_axis, row_axis
from .words import brief

MOST_THREADS = 64
AT_THE_WALL = 0.985  # share of √(N−1) from which on a dot touches its wall
FILLED = 0.96  # of a bar's place
STICK = 28  # pixels: the mark of a mean
LETTER = 6.6  # pixels, roughly


def rows_figure(
    batch: Batch,
    text: str,
    hint: str,
    *,
    narrow: bool = False,
    walls: bool = True,
    operation: str | None = None,
    pooled: Pooled | None = None,
) -> Figure:
    """Draw a batch before and after, or with an ``operation`` the walk up to it.

    Parameters
    ----------
    text : what the picture shows in words
    walls : whether ±√(N−1) is shown
    pooled : the shape of x̂ over many batches, drawn in the place of this batch's own, and theory's
    """
    walk = operation is not None
    rows = WALK if walk else ROWS
    reached = len(OPERATIONS) + 1 if operation is None else OPERATIONS.index(operation)
    places = lay_out(batch, rows, pooled, narrow)
    # First the numbers that are asked for: who reads the figure as a table meets them before bars and marks.
    first, data = [], _legend(places[0])
    shapes, notes = grid(places, narrow), []
    if walk:
        shapes += _threads(batch, rows, places, NEWEST[reached])
    for row, place in zip(rows, places, strict=True):
        there = reached >= row.since
        notes += _names(row, place, len(rows), narrow, there, pooled)
        if not there:
            data.append(
                plot.dots([np.nan], [np.nan], row.name, showlegend=False, **place.axes)
            )  # keeps its axes
            continue
        if not walk:
            data += _bars(batch, row, place, pooled)
        if row.array == "normalized" and walls and batch.numbers["bound"] > 0:
            more, words = _walls(batch, place, narrow)
            shapes += more
            notes += words
        data += _spread(batch, row, place, reached)
        every, one = _dots(batch, row, place, reached)
        first.append(every)
        data.append(one)
        notes += _outside(batch, row, place, reached, narrow)
    shapes += _thread(batch, [pair for pair in zip(rows, places, strict=True) if reached >= pair[0].since])
    alt = f"{len(rows)} rows of dots on one axis: {', '.join(row.name for row in rows)}. {text} Chosen: "
    return plot.figure(
        first + data,
        "Before and after",
        f"{alt}{dot_words(batch, reached)}.",
        main_axis(places[-1].y),
        row_axis(places[0]),
        **further_axes(places, narrow),
        hint=hint,
        shapes=shapes,
        annotations=notes,
        margin={"l": 30 if narrow else 150, "r": 14, "t": 2, "b": 24},
        barmode="overlay",
        bargap=0,
        showlegend=True,
    )


# ---- what is in a row ------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _boxes(size: int, walls: bool) -> tuple[Array, Array]:
    """Return middles and widths of bars."""
    edges = wall_edges(size) if walls else bar_edges(size)
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges) * FILLED


def _bars(batch: Batch, row: Row, place: Place, pooled: Pooled | None) -> list[Trace]:
    """Draw bars for this batch, or where many are pooled theirs, and theory as a line over either."""
    more: dict[str, Any] = {
        **place.axes,
        "alpha": 0.75,
        "hovertemplate": "%{y} in the bar at %{x}<extra></extra>",
    }
    if pooled is None or row.array != "normalized":
        middles, widths = _boxes(batch.size, False)
        title = f"{row.name}, dots in a bar"
        scaled = middles / place.factor, widths / place.factor
        return [plot.bars(scaled[0], batch.bars[row.array], title, width=scaled[1], showlegend=False, **more)]
    middles, widths = _boxes(batch.size, pooled.counts is not None)
    if pooled.counts is not None:
        drawn = plot.bars(middles, pooled.counts, "many batches", plot.GREEN, width=widths, **more)
    else:
        drawn = plot.bars(
            middles, batch.bars[row.array], "x̂, dots in a bar", width=widths, showlegend=False, **more
        )
    edges = wall_edges(batch.size)
    outline = plot.line(
        np.concatenate((edges[:1], edges, edges[-1:])),
        np.concatenate(([0.0], pooled.theory, pooled.theory[-1:], [0.0])),
        "theory for Gaussian x", plot.INK, shape="hv", hoverinfo="skip", **place.axes,
    )  # fmt: skip
    return [drawn, outline]


def _spread(batch: Batch, row: Row, place: Place, reached: int) -> list[Trace]:
    """Mark the mean, and one standard deviation to either side."""
    mean, std = batch.numbers[f"{row.array}_mean"], batch.numbers[f"{row.array}_std"]
    marks = []
    if reached >= row.mean and place.across(mean) == mean:
        marks.append(_mean([mean], [place.at(place.stick)], False, **place.axes))
    if reached >= row.spread:
        ends, height = [place.across(mean - std), place.across(mean + std)], place.at(place.line)
        marks.append(_sigma(ends, [height, height], False, **place.axes))
    return marks


def _legend(place: Place) -> list[Trace]:
    """Name the marks of all rows, there now or not: a legend that comes and goes would move what is below."""
    return [mark([np.nan], [np.nan], True, **place.axes) for mark in (_one, _mean, _sigma)]


def _one(x: Any, y: Any, named: bool, **more: Any) -> Trace:
    look = {"size": 16, "cliponaxis": False, "legendgroup": "chosen", "showlegend": named}
    return plot.dots(x, y, "chosen dot", plot.ORANGE, **look, **more)


def _mean(x: Any, y: Any, named: bool, **more: Any) -> Trace:
    look = {"symbol": "line-ns", "size": STICK, "edge": plot.BLUE, "hoverinfo": "skip"}
    return plot.dots(x, y, "mean", plot.BLUE, legendgroup="mean", showlegend=named, **look, **more)


def _sigma(x: Any, y: Any, named: bool, **more: Any) -> Trace:
    look = {"width": 4, "legendgroup": "spread", "showlegend": named, "hoverinfo": "skip"}
    return plot.line(x, y, "± σ", plot.BLUE, **look, **more)


def _dots(batch: Batch, row: Row, place: Place, reached: int) -> tuple[Trace, Trace]:
    """Draw all dots and the chosen one; what lies beyond the axis is at its end. Those of x can be dragged.

    Dots that can be dragged keep their values, and whoever draws them keeps them in the frame. Of what is
    said of them there is only the chosen one's sentence, by its number: nobody hears the others.
    """
    values, height = batch.arrays[row.array], place.at(place.dots)
    heights, value = np.full(batch.size, height), float(values[batch.chosen])
    more: dict[str, Any] = {**place.axes, "hovertemplate": f"{row.name} = %{{x}}<extra></extra>"}
    shown, every = values, more | {"showlegend": False}
    if row.array == "x":
        says = {str(batch.chosen): dot_words(batch, reached)}
        every["meta"] = {
            "drag": "moved", "axis": "x", "choose": "chosen", "chosen": batch.chosen, "says": says,
        }  # fmt: skip
    else:
        shown = np.clip(values, LOW, HIGH)
        if (shown != values).any():
            every |= _true(row, values)
    if place.across(value) != value:
        more |= _true(row, [value])
    return (
        plot.dots(shown, heights, f"dots of {row.name}", plot.INK, alpha=0.45, **every),
        _one([place.across(value)], [height], False, **more),
    )


def _true(row: Row, values: Any) -> dict[str, Any]:
    """What is said of dots that are drawn at the axis's end: where they truly are."""
    return {"customdata": values, "hovertemplate": f"{row.name} = %{{customdata}}<extra></extra>"}


def _walls(batch: Batch, place: Place, narrow: bool) -> tuple[list[Any], list[Any]]:
    """Show where no dot of this batch can go: beyond √(N−1)."""
    bound, (words, _) = batch.numbers["bound"], bound_words(batch.numbers)
    height: dict[str, Any] = {"yref": f"{place.y} domain", "xref": "x"}
    top: dict[str, Any] = {"y": 1, "yanchor": "top", "yshift": -3, **height}
    if batch.magnified > 1:  # the ticks of x's own axis are where the row begins
        top = {"y": 0.62, "yanchor": "middle", **height}
    shapes, notes = [], []
    for side in (-1, 1):
        minus = "−" if side < 0 else ""
        if bound > HIGH:
            far: dict[str, Any] = {"xanchor": "left" if side < 0 else "right", **top}
            if side > 0:
                notes.append(plot.label(HIGH, text=f"wall at {words} →", **far))
            elif not narrow:
                notes.append(plot.label(LOW, text=f"← wall at −{words}", **far))
            continue
        touched = side * float(batch.arrays["normalized"][batch.chosen]) > AT_THE_WALL * bound
        colour, at = plot.ORANGE if touched else plot.INK, side * bound
        shade: dict[str, Any] = {"layer": "below", **height}
        shapes.append(
            plot.area(at, 0.03, side * HIGH, 0.97, plot.faded(colour, 0.18 if touched else 0.07), **shade)
        )
        edge = (plot.ORANGE, 4) if touched else (plot.faded(plot.INK, 0.6), 1.5)
        shapes.append(plot.mark(at, 0.03, at, 0.97, *edge, **shade))
        outside = HIGH - bound > (3.6 if narrow else 2.9)  # room for the words there
        if side > 0 or (outside and not narrow):
            anchor = "left" if (side > 0) == outside else "right"
            ends: dict[str, Any] = top | {"xanchor": anchor, "xshift": side * (8 if outside else -8)}
            notes.append(plot.label(at, text=f"{minus}√(N−1) = {minus}{words}", colour=colour, **ends))
    return shapes, notes


def _outside(batch: Batch, row: Row, place: Place, reached: int, narrow: bool) -> list[Any]:
    """Say at the axis's ends what is farther out: the chosen dot, the mean, how many other dots.

    That is above the bars; where there are none, or ticks are above them, just above the dots.
    """
    above = place.floor > 0 and (batch.magnified == 1 or row.array == "x")
    low, high = LOW / place.factor, HIGH / place.factor
    chosen, mean = float(batch.arrays[row.array][batch.chosen]), batch.numbers[f"{row.array}_mean"]
    notes = []
    for side, end in ((-1, low), (1, high)):

        def beyond(value: float, side: int = side, end: float = end) -> bool:
            return side * (value - end) > 0

        others = batch.beyond.get(row.array, (0, 0))[side > 0] - beyond(chosen)
        said = [(brief(chosen), plot.ORANGE)] if beyond(chosen) else []
        said += [(f"mean {brief(mean)}", plot.BLUE)] if beyond(mean) and reached >= row.mean else []
        said += [(f"{others} beyond", plot.INK)] if others > 0 else []
        shift = 0.0
        up: dict[str, Any] = {"yanchor": "middle", "yshift": 17}
        if above:
            below_name = narrow and side < 0
            up = {"yanchor": "top", "yshift": -19 if below_name else -3}
        for words, colour in said:
            shown = f"← {words}" if side < 0 else f"{words} →"
            notes.append(
                plot.label(
                    end, place.at(1 if above else place.dots), shown, colour, xref=place.x, yref=place.y,
                    xshift=-side * shift, xanchor="left" if side < 0 else "right", **up,
                )
            )  # fmt: skip
            shift += len(shown) * LETTER + 10
    return notes


def _names(row: Row, place: Place, count: int, narrow: bool, there: bool, pooled: Pooled | None) -> list[Any]:
    what = row.what
    if place.factor > 1:
        what = "on an axis of its own"
    elif pooled and pooled.counts is not None and row.array == "normalized":
        what = "of many such batches"
    name, quiet = (
        (plot.INK, plot.faded(plot.INK, 0.8))
        if there
        else (plot.faded(plot.INK, 0.4), plot.faded(plot.INK, 0.35))
    )
    more: dict[str, Any] = {"xref": "paper", "yref": f"{place.y} domain", "xanchor": "left"}
    if narrow:
        more |= {"yanchor": "top", "xshift": -26, "yshift": -3}
        return [plot.label(0, 1, f"{row.name}  {what}", name, **more)]
    up = 38 if count == 3 else 10
    more |= {"yanchor": "middle", "xshift": -146}
    return [
        plot.label(0, place.dots, row.name, name, 13, yshift=up, **more),
        plot.label(0, place.dots, what, quiet, yshift=up - 18, **more),
    ]


# ---- threads -----------------------------------------------------------------------------------------------


def _thread(batch: Batch, there: list[tuple[Row, Place]]) -> list[Any]:
    """Draw the way of the chosen dot through the rows."""
    at = [
        (place.under(float(batch.arrays[row.array][batch.chosen])), place.paper(place.dots))
        for row, place in there
    ]
    style: dict[str, Any] = {"xref": "x", "yref": "paper", "dash": "dot"}
    return [plot.mark(*start, *end, plot.ORANGE, **style) for start, end in zip(at, at[1:], strict=False)]


def _threads(batch: Batch, rows: tuple[Row, ...], places: list[Place], newest: int) -> list[Any]:
    """Light the newest row of the walk, and draw the way of all dots into it."""
    row, place = rows[newest], places[newest]
    lit = plot.area(
        0, 0, 1, 1, plot.faded(plot.BLUE, 0.07), xref="paper", yref=f"{place.y} domain", layer="below"
    )
    if not newest or batch.size > MOST_THREADS:
        return [lit]
    before, above = rows[newest - 1], places[newest - 1]
    start, end = above.paper(above.dots), place.paper(place.dots)
    ways = zip(batch.arrays[before.array].tolist(), batch.arrays[row.array].tolist(), strict=True)
    colour, style = plot.faded(plot.INK, 0.25), {"xref": "x", "yref": "paper", "layer": "below"}
    return [lit] + [
        plot.mark(above.under(there), start, place.under(here), end, colour, 1, **style)
        for there, here in ways
    ]
