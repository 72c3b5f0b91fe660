"""A picture as a Plotly figure, and numbers as readers write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import cycle
from math import ceil, floor, isfinite, log10
from textwrap import wrap
from typing import Any

import numpy as np

from ..norms.statistics import Array
from .findings import Picture, Series

LOOKS = (  # the app's chart colours on a light page and on a dark one, and a marker each
    ("#0072B2", "#56B4E9", "circle"),
    ("#D55E00", "#E69F00", "square"),
    ("#21A17E", "#8DE7C3", "diamond"),
    ("#865A76", "#A9618F", "triangle-up"),
    ("#222222", "#DDE126", "x"),
    ("#E69F00", "#0489D2", "star"),
    ("#56B4E9", "#D55E00", "triangle-down"),
    ("#5D500E", "#FFFFFF", "pentagon"),
    ("#4D235A", "#A6A6A6", "cross"),
    ("#ADADAD", "#A873FC", "hexagon"),
)
NORMS = ("batch norm", "no norm", "layer norm", "group norm")  # they look as in the lab: the first ones
INK, PAPER, GRID = "#767D87", "#FDFDFD", "rgba(128, 128, 128, 0.25)"  # an ink to read on white and on black
# What the page makes of a figure's colours.
DRESS = {
    "light": {INK: "#3C4654"},
    "dark": {INK: "#C3CAD4", PAPER: "#151B23", **{light: dark for light, dark, _ in LOOKS}},
}
FEW, MOST = 4, 400  # with fewer points a range is a bar and no band; of a curve with more some are drawn
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def figure(picture: Picture) -> Any:
    """Draw a picture as a `plotly.graph_objects.Figure`, to be read on a light page and on a dark one.

    Measured are lines with markers and a band from the lowest to the highest seed, bars where there are
    few points; over words, which have nothing between them, markers and bars alone. Theory is dashed, in
    the colour of what it is about.
    """
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise ImportError("figure: the package plotly isn't installed: pip install plotly") from error
    words = any(isinstance(value, str) for series in picture.series for value in series.x)
    ys = [float(v) for series in picture.series for v in (*series.y, *series.low, *series.high)]
    x_axis: dict[str, Any] = {}
    y_axis = _log_axis(ys) if picture.log_y else {}
    if picture.log_x and not words:
        xs, measured = (
            sorted({float(v) for series in picture.series for v in series.x if every or not series.theory})
            for every in (True, False)
        )
        x_axis = _log_axis(xs, measured)
    if words and not picture.log_y and (known := [y for y in ys if isfinite(y)]):
        margin = 0.08 * (max(known) - min(known)) or 1.0  # Plotly's own would start at 0
        y_axis = {"range": [min(known) - margin, max(known) + margin]}
    owners = _owners(picture.series)
    places = _places(picture.series, owners)
    traces: list[dict[str, Any]] = []
    for place, (series, owner) in enumerate(zip(picture.series, owners, strict=True)):
        found = _traces(picture, series, places[owner], words)
        if not series.theory and place in owners[place + 1 :]:  # theory is seen where it agrees, too
            found[0]["line"] |= {"color": f"{found[0]['line']['color']}70", "width": 5}
        traces += found
    traces.sort(key=lambda trace: trace["mode"] != "none")  # bands are behind all lines
    title = wrap(escape(picture.title, quote=False), 62)
    rows = ceil(sum(len(series.name) + 8 for series in picture.series) / 80)
    axis: dict[str, Any] = {"gridcolor": GRID, "linecolor": INK, "zeroline": False, "automargin": "height"}
    top_left = {"x": 0.01, "y": 1, "yanchor": "top", "pad": {"t": 20}}
    layout = {
        "template": "none",
        "title": {"text": "<br>".join(title), "font": {"size": 16}} | top_left,
        "margin": {"l": 68, "r": 20, "t": 30 + 22 * len(title) + 24 * rows, "b": 16},
        "xaxis": axis | x_axis | {"title": escape(picture.x, quote=False)},
        "yaxis": axis | y_axis | {"title": escape(picture.y, quote=False)},
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "showlegend": True,
        "scattermode": "group" if words else "overlay",  # over a word side by side
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": INK, "font": {"color": INK}, "align": "left"},
        "hovermode": "closest",
        "font": {"color": INK, "size": 13, "family": "system-ui, sans-serif"},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
    }
    return go.Figure([go.Scatter(**trace) for trace in traces], layout)


def _owners(series: Sequence[Series]) -> list[int]:
    """Return whose colour each series has: theory that of the measured one it is named after, or follows."""
    owners = []
    for place, one in enumerate(series):
        before = [i for i in range(place) if one.theory and not series[i].theory]
        alike = [i for i in before if one.name.startswith(series[i].name)]
        owners.append(max(alike, key=lambda i: len(series[i].name)) if alike else [place, *before][-1])
    return owners


def _places(series: Sequence[Series], owners: Sequence[int]) -> dict[int, int]:
    """Return where in LOOKS each owner is: a norm at its own place, the rest at those that are left."""
    places = {i: NORMS.index(series[i].name) for i in owners if series[i].name in NORMS}
    free = cycle([place for place in range(len(LOOKS)) if place not in places.values()])
    return places | {i: next(free) for i in dict.fromkeys(owners) if i not in places}


def _traces(picture: Picture, series: Series, place: int, words: bool) -> list[dict[str, Any]]:
    """Return the traces of a series: its line, and its band if it has one."""
    kept = _thinned(np.asarray(series.y, float))
    x = [escape(series.x[i], quote=False) if words else series.x[i] for i in kept]
    colour, _, symbol = LOOKS[place]
    name = escape(series.name, quote=False)
    y, low, high = (np.asarray(row or series.y, float)[kept] for row in (series.y, series.low, series.high))
    line: dict[str, Any] = {
        "name": name,
        "legendgroup": name,
        "x": x,
        "y": _short(y),
        "mode": "lines" if series.theory else "markers" if words else "lines+markers",
        "line": {"color": colour, "width": 2, "dash": "dash" if series.theory else "solid"},
        "marker": {"color": colour, "symbol": symbol, "size": 8, "maxdisplayed": 12},
        "customdata": [_told(picture.x, series, i) for i in kept],
        "hovertemplate": f"<b>{name}</b><br>%{{customdata}}<extra></extra>",
    }
    if series.theory or not series.low:
        return [line]
    if words or len(x) < FEW:
        bars = {"array": _short(high - y), "arrayminus": _short(y - low)}
        return [line | {"error_y": bars | {"color": colour, "thickness": 1.5, "width": 5}}]
    if picture.log_y:
        low = np.where(low <= 0, 1e-12 * y, low)  # 0 is off the picture, but isn't a gap
    band = {"fill": "toself", "mode": "none", "hoverinfo": "skip", "showlegend": False}
    band |= {"name": name, "legendgroup": name, "fillcolor": f"{colour}30"}
    return [line, band | _outline(x, low, high, picture.log_x)]


def _thinned(y: Array) -> list[int]:
    """Choose the points to draw: all, or of each stretch the lowest and the highest, so that peaks stay."""
    if len(y) <= MOST:
        return list(range(len(y)))
    stretches = np.array_split(np.arange(len(y)), MOST // 2)
    ends = {int(part[pick(y[part])]) for part in stretches for pick in (np.argmin, np.argmax)}
    return sorted({0, len(y) - 1} | ends)


def _short(values: Iterable[float]) -> list[float]:
    """Round to six digits: more than a screen can show, in a third of the bytes."""
    return [float(f"{value:.6g}") for value in values]


def _told(axis: str, series: Series, i: int) -> str:
    """Describe a point under the pointer."""
    x = series.x[i] if isinstance(series.x[i], str) else number(series.x[i], 6)
    lines = [f"{axis}: {x}", number(series.y[i])]
    if series.low and not series.theory:
        low, high = number(series.low[i]), number(series.high[i])
        lines[1] = f"{'median' if series.spread else 'mean'} {lines[1]}"
        lines.append(
            f"{series.spread}: {low} to {high}" if series.spread else f"lowest {low}, highest {high}"
        )
    return "<br>".join(escape(line, quote=False) for line in lines)


def _outline(x: list[Any], low: Array, high: Array, log_x: bool) -> dict[str, Any]:
    """Return a band's outline: along the highest, back along the lowest, for each stretch without a gap."""
    known = np.isfinite(low) & np.isfinite(high) & ((np.asarray(x, float) > 0) | (not log_x))
    xs: list[Any] = []
    ys: list[float | None] = []
    for stretch in np.split(np.arange(len(x)), np.flatnonzero(~known)):
        there = [int(i) for i in stretch if known[i]]
        back = there[::-1]
        xs += [*(x[i] for i in there + back), None]
        ys += [*_short(high[there]), *_short(low[back]), None]
    return {"x": xs, "y": ys}


def _log_axis(values: Iterable[float], marks: Sequence[float] = ()) -> dict[str, Any]:
    """Return a logarithmic axis, its ticks at the marks if they are few, else at 1, 2, 5 or powers of ten."""
    logs = [log10(v) for v in values if isfinite(v) and v > 0] or [0.0, 1.0]
    margin = 0.05 * (max(logs) - min(logs)) or 0.2
    low, high = min(logs) - margin, max(logs) + margin
    ticks = [v for v in marks if v > 0]
    if not 1 <= len(ticks) <= 10:
        every = ceil((high - low) / 7)
        digits = [1] if high - low > 2 else [1, 2, 5] if high - low > 0.6 else [1, 1.5, *range(2, 10)]
        powers = [k for k in range(floor(low), ceil(high) + 1) if k % every == 0]
        ticks = [v for k in powers for d in digits if low <= log10(v := d * 10.0**k) <= high]
    labels, last = [], -np.inf
    for value in ticks:  # a label that would touch the one before is left out
        apart = log10(value) - last > 0.055 * (high - low)
        labels.append(number(value) if apart else "")
        last = log10(value) if apart else last
    return {"type": "log", "range": [low, high], "tickvals": ticks, "ticktext": labels, "tickangle": 0}


def plotly_script() -> str:
    """Return the text of plotly.js, to be put into a page."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def number(value: float, digits: int = 4) -> str:
    """Write a number with so many digits that count, and a real minus."""
    return readable(f"{value:.{digits}g}")


def readable(text: str) -> str:
    """Write 1.5e-09 as 1.5·10⁻⁹, and hyphens before digits as minus signs."""
    text = re.sub(
        r"(?<![\w.])(?:1(?=e)|(\d+(?:\.\d+)?))e\+?(-?)0*(\d+)\b",
        lambda m: (f"{m[1]}·" if m[1] else "") + "10" + f"{m[2]}{m[3]}".translate(RAISED),
        text,
    )
    return re.sub(r"(?<![^\s(])-(?=\d)", "−", text)
