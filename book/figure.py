"""Figures in Plotly's schema, as dicts with NumPy arrays, kept short by a few helpers.

The browser's painter draws them while they move, and real Plotly opens the same object. Both find every
range and tick in it: nothing is left to a default that the two would choose differently.
``assets/schema.json`` lists the attributes that may be used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .words import brief

Trace = dict[str, Any]
Figure = dict[str, Any]
Axis = dict[str, Any]

# The light theme's colours; the browser exchanges them for the reader's own (assets/schema.json).
INK, PAPER, GRID, PRIMARY = "#1b2430", "#ffffff", "#d5dbe3", "#0b5cad"
COLOURS = (
    "#0072b2", "#d55e00", "#21a17e", "#865a76", "#222222",
    "#e69f00", "#56b4e9", "#5d500e", "#4d235a", "#adadad",
)  # fmt: skip
BLUE, ORANGE, GREEN, PURPLE, BLACK = COLOURS[:5]
GREYS = ((0.0, PAPER), (1.0, INK))
MARGIN = {"l": 56, "r": 14, "t": 10, "b": 44}


def faded(colour: str, alpha: float) -> str:
    """Make a colour of this palette translucent."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def line(x: ArrayLike, y: ArrayLike, name: str = "", colour: str = BLUE, **more: Any) -> Trace:
    """Make a line; ``dash``, ``width`` and ``shape`` are of Plotly's line, all else goes to the trace."""
    style = {"color": colour, "width": more.pop("width", 2)}
    style |= {key: more.pop(key) for key in ("dash", "shape") if key in more}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _array(x),
        "y": _array(y),
        "name": name,
        "line": style,
    } | more


def band(
    x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str = BLUE, alpha: float = 0.18
) -> list[Trace]:
    """Make the area between two curves: two traces without lines."""
    edge: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip", "width": 0}
    fill: dict[str, Any] = {"fill": "tonexty", "fillcolor": faded(colour, alpha)}
    return [line(x, low, colour=colour, **edge), line(x, high, colour=colour, **edge, **fill)]


def dots(x: ArrayLike, y: ArrayLike, name: str = "", colour: Any = BLUE, **more: Any) -> Trace:
    """Make dots; ``size``, ``symbol``, ``alpha``, ``edge`` are of the marker, all else goes to the trace."""
    marker = {"color": colour, "size": more.pop("size", 9), "symbol": more.pop("symbol", "circle")}
    marker["opacity"] = more.pop("alpha", 1)
    if "edge" in more:
        marker["line"] = {"color": more.pop("edge"), "width": 2}
    trace = {"type": "scatter", "mode": "markers", "x": _array(x), "y": _array(y), "name": name}
    return trace | {"marker": marker} | more


def bars(x: ArrayLike, y: ArrayLike, name: str = "", colour: Any = BLUE, **more: Any) -> Trace:
    """Make vertical bars; ``alpha`` is the marker's, ``width`` and ``base`` are the trace's."""
    marker = {"color": colour, "opacity": more.pop("alpha", 1)}
    return {"type": "bar", "x": _array(x), "y": _array(y), "name": name, "marker": marker} | more


def cells(
    z: ArrayLike, low: float, high: float, colours: Sequence[Any] = GREYS, name: str = "", **more: Any
) -> Trace:
    """Make a heat map of ``z`` (rows, columns), coloured from ``low`` to ``high``; row 0 is at y = 0."""
    scale = [[share, colour] for share, colour in colours]
    trace = {"type": "heatmap", "z": np.asarray(z, dtype=float), "zmin": low, "zmax": high, "name": name}
    return trace | {"colorscale": scale, "showscale": False} | more


def picture(
    pixels: ArrayLike,
    name: str = "",
    *,
    x0: float = 0,
    y0: float = 0,
    dx: float = 1,
    dy: float = 1,
    **more: Any,
) -> Trace:
    """Make a picture in colours.

    pixels : (rows, columns, 3) of red, green and blue from 0 to 255; pixel (i, j) has its middle at
        (x0 + j dx, y0 + i dy). On an axis that runs downwards, ``axis(rows - 0.5, -0.5)``, row 0 is on top
    """
    levels = np.asarray(pixels)
    levels = levels if levels.dtype == np.uint8 else np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    trace = {"type": "image", "z": levels, "name": name, "x0": x0, "y0": y0, "dx": dx, "dy": dy}
    return trace | {"hoverinfo": "skip"} | more


def axis(low: float, high: float, title: str = "", ticks: Sequence[float] | None = None, **more: Any) -> Axis:
    """Make a linear axis with its range and its ticks; ``words`` are the ticks' texts."""
    at = list(nice_ticks(min(low, high), max(low, high)) if ticks is None else ticks)
    words = list(more.pop("words", [brief(value) for value in at]))
    return _finished({"type": "linear", "range": [low, high], "tickvals": at, "ticktext": words}, title, more)


def log_axis(
    low: float, high: float, title: str = "", ticks: Sequence[float] | None = None, **more: Any
) -> Axis:
    """Make a logarithmic axis; ``low`` and ``high`` are values, as are ``ticks``."""
    at = list(log_ticks(low, high) if ticks is None else ticks)
    words = list(more.pop("words", [brief(value) for value in at]))
    ends = [math.log10(low), math.log10(high)]
    return _finished({"type": "log", "range": ends, "tickvals": at, "ticktext": words}, title, more)


def category_axis(names: Sequence[str], title: str = "", **more: Any) -> Axis:
    """Make an axis of names."""
    listed = list(names)
    fixed = {"type": "category", "categoryarray": listed, "range": [-0.5, len(listed) - 0.5]}
    return _finished(fixed | {"tickvals": listed, "ticktext": listed}, title, more)


def _finished(given: Axis, title: str, more: Mapping[str, Any]) -> Axis:
    return given | {"title": {"text": title}, "showgrid": True, "zeroline": False} | dict(more)


def figure(data: Sequence[Trace], title: str, alt: str, x: Axis, y: Axis, **more: Any) -> Figure:
    """Put traces and axes together.

    Parameters
    ----------
    title, alt : the caption, and what the figure shows in words, computed like the figure itself
    x, y : axes from `axis`, `log_axis`, `category_axis`; further ones as ``xaxis2=``, ``yaxis2=``
    more : ``hint`` (a small caption), ``place`` ("main" or "side"), ``even`` (a unit is as long on both axes,
        so that a circle is round), and anything of Plotly's layout
    """
    meta = {"title": title, "alt": alt, "hint": more.pop("hint", ""), "place": more.pop("place", "main")}
    layout = {"xaxis": x, "yaxis": y, "margin": dict(MARGIN), "showlegend": False, "meta": meta}
    even = more.pop("even", False)
    return {"data": list(data), "layout": _even(layout | more) if even else layout | more}


def _even(layout: dict[str, Any]) -> dict[str, Any]:
    """Let axes that belong to each other have one scale; the longer one takes less of the figure."""
    made = dict(layout)
    for name in (name for name in layout if name[1:5] == "axis"):
        made[name] = layout[name] | {"constrain": "domain"}
        if name[0] == "y":
            made[name]["scaleanchor"] = layout[name].get("anchor", "x")
    return made


def thumbnail(
    data: Sequence[Trace], title: str, alt: str, x: tuple[float, float], y: tuple[float, float], **more: Any
) -> Figure:
    """Put traces into a small figure without axes, as the first page has one a chapter.

    x, y : (low, high) of the ranges
    """
    hidden: dict[str, Any] = {"ticks": (), "visible": False, "showgrid": False}
    margin = {"l": 4, "r": 4, "t": 4, "b": 4}
    axes = (axis(*x, **hidden), axis(*y, **hidden))
    return figure(data, title, alt, *axes, place="contents", margin=margin, **more)


def label(x: Any, y: Any, text: str, colour: str = INK, size: int = 12, **more: Any) -> dict[str, Any]:
    """Make an annotation without an arrow."""
    font = {"color": colour, "size": size}
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": font} | more


def mark(
    x0: Any, y0: Any, x1: Any, y1: Any, colour: str = INK, width: float = 1.5, **more: Any
) -> dict[str, Any]:
    """Make a straight line as a shape; ``dash`` is the line's."""
    style = {"color": colour, "width": width}
    if "dash" in more:
        style["dash"] = more.pop("dash")
    return {"type": "line", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "line": style} | more


def area(x0: Any, y0: Any, x1: Any, y1: Any, colour: str, **more: Any) -> dict[str, Any]:
    """Make a filled rectangle as a shape, without an outline."""
    return {
        "type": "rect",
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "fillcolor": colour,
        "line": {"width": 0},
    } | more


def nice_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Choose round numbers between ``low`` and ``high``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Choose powers of ten between ``low`` and ``high``, every second or third where there are many."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / most))
    return [10.0**exponent for exponent in range(first, last + 1, every)]


def _array(values: ArrayLike) -> Any:
    """Keep texts as they are; make numbers float64."""
    array = np.asarray(values)
    return list(array.tolist()) if array.dtype.kind in "US" else array.astype(float)
