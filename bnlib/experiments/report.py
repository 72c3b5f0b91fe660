"""Results to look at: a picture as a Plotly figure, and all of them as one page that needs no other file."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from itertools import cycle
from math import ceil, floor, isfinite, log10
from pathlib import Path
from string import Template
from textwrap import wrap
from typing import Any
from urllib.parse import quote

import numpy as np

from ..stats import Array
from ..sweep import library_version
from .findings import Check, Picture, Series
from .model import CLAIMS, EXPLANATIONS, LIMITS, Result

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
MARKS = {"supports": ("holds", "✓"), "qualifies": ("mixed", "±"), "speaks against": ("fails", "✗")}
PAGE = Path(__file__).with_suffix(".html")
FEW, MOST = 4, 400  # with fewer points a range is a bar and no band; of a curve with more some are drawn
LONG, SHOWN = 12, 8  # with more rows a table is folded, all but so many
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# ---- pictures ------------------------------------------------------------------------------------------


def figure(picture: Picture) -> Any:
    """A picture as a `plotly.graph_objects.Figure`, to be read on a light page and on a dark one.

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
    for number, (series, owner) in enumerate(zip(picture.series, owners, strict=True)):
        found = _traces(picture, series, places[owner], words)
        if not series.theory and number in owners[number + 1 :]:  # theory is seen where it agrees, too
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
    """Whose colour each series has: theory that of the measured one whose name it starts with, or follows."""
    owners = []
    for number, one in enumerate(series):
        before = [i for i in range(number) if one.theory and not series[i].theory]
        alike = [i for i in before if one.name.startswith(series[i].name)]
        owners.append(max(alike, key=lambda i: len(series[i].name)) if alike else [number, *before][-1])
    return owners


def _places(series: Sequence[Series], owners: Sequence[int]) -> dict[int, int]:
    """Where in LOOKS each owner is: a norm at its own place, the rest at those that are left."""
    places = {i: NORMS.index(series[i].name) for i in owners if series[i].name in NORMS}
    free = cycle([place for place in range(len(LOOKS)) if place not in places.values()])
    return places | {i: next(free) for i in dict.fromkeys(owners) if i not in places}


def _traces(picture: Picture, series: Series, place: int, words: bool) -> list[dict[str, Any]]:
    """A series' line, and its band if it has one."""
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
    """Which points to draw: all, or of each stretch the lowest and the highest, so that no peak is lost."""
    if len(y) <= MOST:
        return list(range(len(y)))
    stretches = np.array_split(np.arange(len(y)), MOST // 2)
    ends = {int(part[pick(y[part])]) for part in stretches for pick in (np.argmin, np.argmax)}
    return sorted({0, len(y) - 1} | ends)


def _short(values: Iterable[float]) -> list[float]:
    """With six digits: more than a screen can show, in a third of the bytes."""
    return [float(f"{value:.6g}") for value in values]


def _told(axis: str, series: Series, i: int) -> str:
    """What is said of a point under the pointer."""
    x = series.x[i] if isinstance(series.x[i], str) else _number(series.x[i], 6)
    lines = [f"{axis}: {x}", _number(series.y[i])]
    if series.low and not series.theory:
        low, high = _number(series.low[i]), _number(series.high[i])
        lines[1] = f"{'median' if series.spread else 'mean'} {lines[1]}"
        lines.append(
            f"{series.spread}: {low} to {high}" if series.spread else f"lowest {low}, highest {high}"
        )
    return "<br>".join(escape(line, quote=False) for line in lines)


def _outline(x: list[Any], low: Array, high: Array, log_x: bool) -> dict[str, Any]:
    """There along the highest and back along the lowest, once for each stretch without a gap."""
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
    """A logarithmic axis, its ticks at the marks if they are few, else at 1, 2, 5 or at powers of ten."""
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
        labels.append(_number(value) if apart else "")
        last = log10(value) if apart else last
    return {"type": "log", "range": [low, high], "tickvals": ticks, "ticktext": labels, "tickangle": 0}


# ---- the page ------------------------------------------------------------------------------------------


def write(results: Sequence[Result], path: Path, *, lab: str = "http://127.0.0.1:8501") -> None:
    """Write what experiments have found as one HTML file that loads nothing; whole, or not at all.

    Parameters
    ----------
    results : of `run_all`, in the order of the page
    path : the file; one that is there is replaced
    lab : where the training lab is, for links to races

    Raises
    ------
    ValueError
        If there are no results.
    ImportError
        If plotly isn't installed.
    OSError
        If the file can't be written, in words with the file and the system's reason.
    """
    if not results:
        raise ValueError("report: results is empty; there must be one at least")
    page, path = _page(results, lab), Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            part.write_text(page, "utf-8")
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        fix = "make room, or name another file"
        raise OSError(f"report: {path} can't be written ({error.strerror or error}); {fix}") from error


def _page(results: Sequence[Result], lab: str) -> str:
    sections = "".join(_section(result, lab) for result in results)
    from plotly.offline import get_plotlyjs  # the figures have seen that it is there

    page = Template(PAGE.read_text("utf-8"))
    return page.substitute(
        lead=_lead(results),
        benefits=_claims(results, [claim for claim in CLAIMS if claim not in (*EXPLANATIONS, *LIMITS)]),
        explanations=_claims(results, EXPLANATIONS),
        limits=_claims(results, LIMITS),
        contents="".join(f"<li>{_link(result)}</li>" for result in results),
        sections=sections,
        plotly=get_plotlyjs(),
        dress=json.dumps(DRESS),
    )


def _lead(results: Sequence[Result]) -> str:
    """How much was computed and what came out, how, and how to have it again."""
    from . import EXPERIMENTS

    names = [result.experiment.name for result in results]
    checks = [found for result in results for found in result.findings.checks]
    judged = sum(not found.reported for found in checks)
    failing = sum(len(result.failed) for result in results)
    sizes = dict.fromkeys(result.size for result in results)
    command = "python -m bnlib experiments report"
    if set(names) != set(EXPERIMENTS):
        command = " ".join([command, *names])
    if list(sizes) == ["reduced"]:
        command += " --reduced"
    outcome = f"All {judged:,} checks against accepted outcomes hold."
    if failing:
        where = ", ".join(result.experiment.name for result in results if result.failed)
        verb = "fails" if failing == 1 else "fail"
        outcome = f"Of {judged:,} checks against accepted outcomes {failing:,} {verb}, in {where}."
    smaller = " Setups name the full size: here grids, seeds or widths are smaller, accepted ranges wider."
    return (
        f"{len(results)} experiment{'s' * (len(results) > 1)}, computed at {_text(' and '.join(sizes))} "
        f"size.{smaller if 'reduced' in sizes else ''} {_text(outcome)} Numbers that are only reported: "
        f"{len(checks) - judged:,}. Library {library_version()}, NumPy {np.__version__}. "
        f"To compute all of it again: <code>{_text(command)}</code>"
    )


def _claims(results: Sequence[Result], claims: Iterable[str]) -> str:
    """A row a claim: the experiments that bear on it, and where something is contested."""
    from . import EXPERIMENTS

    rows = []
    for claim in claims:
        bearing = [result for result in results if claim in result.experiment.claims]
        here = {result.experiment.name for result in bearing}
        absent = [e.name for e in EXPERIMENTS.values() if claim in e.claims and e.name not in here]
        contested = ", ".join(
            f'<a href="#{_anchor(result)}-contested">{_text(result.experiment.name)}</a>'
            for result in bearing
            if result.experiment.contested
        )
        cell = "".join(f"<li>{_link(result, result.experiment.claims[claim])}</li>" for result in bearing)
        if absent:
            cell += f"<li>not run for this page: {_text(', '.join(absent))}</li>"
        cell = f"<ul>{cell}</ul>" if cell else "no experiment here yet"
        rows.append(f"<tr>{_head(CLAIMS[claim])}<td>{cell}</td><td>{contested or '–'}</td></tr>")
    return "".join(rows)


def _link(result: Result, stance: str = "as accepted") -> str:
    """A link to the experiment, and what it says of a claim: nothing if it didn't come out as accepted."""
    kind, mark = MARKS.get(stance, MARKS["supports"])
    if result.failed:
        kind, mark, stance = "fails", "✗", "not as accepted"
    title = _text(f"{result.experiment.name} {result.experiment.title}")
    return f'<a href="#{_anchor(result)}">{title}</a> <span class="{kind}">{mark} {stance}</span>'


def _anchor(result: Result) -> str:
    return quote(result.experiment.name.lower())


def _section(result: Result, lab: str) -> str:
    experiment, anchor = result.experiment, _anchor(result)
    kind, mark = ("fails", "✗") if result.failed else ("holds", "✓")
    about = {
        "Bearing": f"{experiment.bearing[:1].upper()}{experiment.bearing[1:]}.",
        "Setup": experiment.setup,
        "Theory": experiment.theory,
        "Accepted": experiment.accepted,
    }
    contested = ""
    if experiment.contested:
        contested = f"<h3>Contested</h3><p>{_text(experiment.contested)}</p>"
        contested = f'<aside class="contested" id="{anchor}-contested">{contested}</aside>'
    if isinstance(experiment.races, str):
        links = f"<p>Not in the training lab. {_text(experiment.races)}</p>"
    else:
        address = f"{lab.rstrip('/')}/training-lab?experiment={quote(experiment.name)}&race="
        races = "".join(
            f'<li><a href="{escape(address)}{number}">{_text(race.title)}</a></li>'
            for number, race in enumerate(experiment.races(), start=1)
        )
        links = f"<p>Open in the training lab (<code>make run</code> starts it):</p><ul>{races}</ul>"
    caveat = f"<p>Mind: {_text(experiment.caveat)}</p>" if experiment.caveat else ""
    described = "".join(f"<dt>{name}</dt><dd>{_text(text)}</dd>" for name, text in about.items() if text)
    parts = (
        f"<h2>{_text(experiment.name)} · {_text(experiment.title)}</h2>",
        f'<p class="verdict {kind}"><span aria-hidden="true">{mark}</span> {_text(result.verdict)}</p>',
        *(_figure(result, number) for number in range(len(result.findings.pictures))),
        *(f"<p>{_text(note)}</p>" for note in result.findings.notes),
        contested,
        caveat,
        f"<dl>{described}</dl>",
        _table(result),
        f'<p class="sources">Sources: {_text("; ".join(experiment.sources))}</p>',
        links,
    )
    return f'<section id="{anchor}">{"".join(parts)}</section>'


def _figure(result: Result, number: int) -> str:
    """A picture with its title as a caption, which wraps; its text alternative is the table of checks."""
    title = result.findings.pictures[number].title
    drawn = result.figure(number).update_layout(title=None, margin_t=12)
    label = escape(f"{title}. The table of checks has the numbers.")
    return (
        f"<figure><figcaption>{_text(title)}</figcaption>"
        f'<div class="plot" role="img" aria-label="{label}"></div>'
        f'<script type="application/json">{drawn.to_json()}</script></figure>'
    )


def _table(result: Result) -> str:
    """The checks. Of many, those that fail come first, then those that are judged; the rest is folded."""
    checks, shown = list(result.findings.checks), len(result.findings.checks)
    if shown > LONG:
        checks.sort(key=lambda found: (found not in result.failed, found.reported))
        shown = max(SHOWN, len(result.failed))
    theory = any(found.expected is not None for found in checks)
    table = _rows(checks[:shown], theory)
    if rest := checks[shown:]:
        table += f"<details><summary>{len(rest)} more rows</summary>{_rows(rest, theory)}</details>"
    return f"<h3>Checks</h3>{table}"


def _rows(checks: Sequence[Check], theory: bool) -> str:
    heads = ["Check", *["Theory"] * theory, "Measured", "Lowest to highest", "Accepted", "Outcome"]
    rows = []
    for found in checks:
        kind = "reported" if found.reported else "holds" if found.holds else "fails"
        cells = ["" if found.expected is None else _number(found.expected)] * theory
        spread = "" if found.low == found.high else f"{_number(found.low)} to {_number(found.high)}"
        cells += [_number(found.measured), spread, _text(found.accepted), kind]
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr class="{kind}">{_head(found.what)}{row}</tr>')
    head = "".join(_head(text, "col") for text in heads)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Checks"><table class="checks">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _head(text: str, scope: str = "row") -> str:
    return f'<th scope="{scope}">{_text(text)}</th>'


def _number(value: float, digits: int = 4) -> str:
    return _readable(f"{value:.{digits}g}")


def _text(text: str) -> str:
    """What comes from an experiment, for HTML."""
    return escape(_readable(text))


def _readable(text: str) -> str:
    """1.5e-09 as 1.5·10⁻⁹, and hyphens before digits as minus signs."""
    text = re.sub(
        r"(?<![\w.])(?:1(?=e)|(\d+(?:\.\d+)?))e\+?(-?)0*(\d+)\b",
        lambda m: (f"{m[1]}·" if m[1] else "") + "10" + f"{m[2]}{m[3]}".translate(RAISED),
        text,
    )
    return re.sub(r"(?<![^\s(])-(?=\d)", "−", text)
