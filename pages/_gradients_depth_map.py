"""The scene "A map": initial scale and depth, with and without a norm; a cell opens its network."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np

from bnlib.lessons import deep
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import progress
from book.controls import Values
from book.figure import BLUE, INK, ORANGE, PAPER, Figure
from book.words import brief
from pages._gradients_depth_parts import (
    COLOURS,
    SAMPLES,
    WORDS,
    layer_axis,
    over_factors,
    power,
    power_axis,
    relative,
    times,
    variance,
)  # fmt: skip

SCALES = tuple(2.0 ** (k / 2) for k in range(-4, 5))
DEPTHS = (3, 5, 10, 20, 30, 40)
CELLS = len(SCALES) * len(DEPTHS)
ASKED, LIMIT = 20, 1000.0  # of how many layers the question is, and how much smaller or larger
EARLY = 5  # while the question is open, networks of no more layers are shown
DEFAULT = DEPTHS.index(ASKED) * len(SCALES) + SCALES.index(0.5)


def arms(values: Values) -> tuple[str, ...]:
    """Return the kinds of networks that are computed: two that the reason speaks of, and the one shown."""
    return tuple(dict.fromkeys(("none", "batch", values["arm"])))


def picked(values: Values) -> tuple[int, float]:
    """Return layers and scale of the cell that was clicked."""
    depth, scale = divmod(values["cell"] if values["cell"] >= 0 else DEFAULT, len(SCALES))
    return DEPTHS[depth], SCALES[scale]


def ratios(found: Found, arm: str, hide: bool = False) -> Any:
    """Return the map of log10 of first over last gradient (depths, scales), NaN where nothing is shown."""
    z = np.full((len(DEPTHS), len(SCALES)), np.nan)
    for place, layers in enumerate(DEPTHS):
        row = found.get(f"{arm} {layers}")
        if row is not None and not (hide and layers > EARLY):
            z[place] = np.log10(deep.ratio(row["gradient"])).mean(axis=1)
    return z


def view(values: Values, found: Found) -> View:
    """Show how far apart the first and the last layer's gradients are, by scale and depth."""
    hide, arm, (layers, scale) = values["open"], values["arm"], picked(values)
    z = ratios(found, arm, hide)
    figures = {"map": _map(z, values)}
    row = found.get(f"{arm} {layers}")
    if row is not None and not hide:
        figures["opened"] = _opened(arm, layers, scale, row)
    waiting = progress(found, "rows of the maps are computed")
    if waiting:
        return View(figures=figures, waiting=waiting)
    numbers = _numbers(values, found)
    if hide:
        text = f"Networks of {DEPTHS[0]} and {EARLY} layers without a norm, before any training."
        return View(numbers, text, figures)
    text = (
        f"{WORDS[arm].capitalize()}, {layers} layers, weights {brief(scale)} times He’s: the first layer’s "
        f"gradient is {times(numbers['opened'])} times the last one’s."
    )
    table = {
        "norm": [WORDS[arm].replace(",", " and")] * CELLS,
        "layers": np.repeat(DEPTHS, len(SCALES)),
        "init_scale": np.tile(SCALES, len(DEPTHS)),
        "log10_first_over_last": z.ravel(),
    }
    return View(numbers, text, figures, table)


def _numbers(values: Values, found: Found) -> Numbers:
    asked = deep.ratio(found[f"none {ASKED}"]["gradient"])
    typical = np.exp(np.log(asked).mean(axis=1))
    margins = [deep.margin(SCALES, own, LIMIT) for own in asked.T]
    layers, scale = picked(values)
    opened = deep.ratio(found[f"{values['arm']} {layers}"]["gradient"])[SCALES.index(scale)]
    normed = ratios(found, "batch")
    return {
        "margin": deep.margin(SCALES, typical, LIMIT), "margin_theory": LIMIT ** (1 / (ASKED - 1)),
        "margin_lowest": min(margins), "margin_highest": max(margins),
        "twice": float(typical[SCALES.index(2.0)]), "moved": float(10 ** np.ptp(normed, axis=1).max()),
        "batch_deepest": float(10 ** normed[-1].mean()), "deepest": float(DEPTHS[-1]),
        "opened": deep.typical(opened), "scale": scale, "layers": float(layers),
        "closed": scale ** (layers - 1.0), "unmoved": 1.0,
    }  # fmt: skip


def _map(z: Any, values: Values) -> Figure:
    """Draw the map; its cells can be clicked. Dashed lines are where theory expects the limit."""
    hide, arm = values["open"], values["arm"]
    known = [(y, x) for y in range(len(DEPTHS)) for x in range(len(SCALES)) if np.isfinite(z[y, x])]
    narrow = values.get("narrow", False)
    notes = [_note(x, y, z[y, x], narrow) for y, x in known]
    says = [
        f"{DEPTHS[y]} layers, scale {brief(SCALES[x])}: "
        + (f"gradient × {_cell(z[y, x])}" if np.isfinite(z[y, x]) else "not shown yet")
        for y in range(len(DEPTHS))
        for x in range(len(SCALES))
    ]
    meta = {"click": "cell", "values": list(range(CELLS)), "says": says}
    colours = [(0, BLUE), (0.5, PAPER), (1, ORANGE)]
    data = [fig.cells(z, -6, 6, colours, WORDS[arm], xgap=2, ygap=2, meta=meta)]
    hint, shapes = "Blue: it vanishes. Orange: it explodes.", []
    if not hide:
        layers, scale = picked(values)
        y, x = DEPTHS.index(layers), SCALES.index(scale)
        shapes = [{
            "type": "rect", "x0": x - 0.5, "y0": y - 0.5, "x1": x + 0.5, "y1": y + 0.5,
            "line": {"color": INK, "width": 3},
        }]  # fmt: skip
        hint = f"{hint} Click a cell to open its network."
        if arm == "none":
            data += _limits()
            hint = f"{hint} Beyond dashed lines: over {brief(LIMIT)} times, by theory."
    if narrow:
        hint = f"{hint} Powers of ten are rounded."
    ends = [z[y, x] for y, x in known]
    told = f"from {_cell(min(ends))} to {_cell(max(ends))}" if ends else "nothing is computed yet"
    return fig.figure(
        data, f"{WORDS[arm].capitalize()}: first layer’s gradient over the last one’s",
        f"A heat map over initial scale and depth, {WORDS[arm]}: {told}.",
        fig.axis(-0.5, len(SCALES) - 0.5, "initial weights, × He’s", list(range(len(SCALES))),
                 words=[f"{scale:.2g}" for scale in SCALES], showgrid=False),
        fig.axis(-0.5, len(DEPTHS) - 0.5, "layers", list(range(len(DEPTHS))),
                 words=[str(d) for d in DEPTHS], showgrid=False),
        annotations=notes, shapes=shapes, hint=hint,
    )  # fmt: skip


def _cell(exponent: float) -> str:
    """Write 10^exponent as short as a cell is."""
    return times(10**exponent, 2)


def _note(x: int, y: int, exponent: float, narrow: bool) -> dict[str, Any]:
    """Write a cell's ratio into it; on a narrow screen there is room for the power of ten alone."""
    words = _cell(exponent)
    if narrow and "×" in words:
        words = power(exponent)
    size = 9 if narrow or "×" in words else 11
    return fig.label(x, y, words, INK if abs(exponent) < 3.5 else PAPER, size)


def _limits() -> list[fig.Trace]:
    """Draw between which cells scale^(layers - 1) passes the limit, on both sides."""
    middle = SCALES.index(1.0)
    # Cells within the limit beside the middle one; two cells are a factor of 2.
    within = [min(int(2 * log2(LIMIT) / (layers - 1)), middle) for layers in DEPTHS]
    first = next(row for row, count in enumerate(within) if count < middle)
    away, up = [middle + 0.5], [first - 0.5]
    for row, count in enumerate(within[first:], first):
        away += [count + 0.5] * 2
        up += [row - 0.5, row + 0.5]
    return [
        fig.line(middle + side * np.array(away), up, f"{LIMIT:g} times", INK, dash="dash", width=2)
        for side in (-1, 1)
    ]


def _opened(arm: str, layers: int, scale: float, row: Any) -> Figure:
    """Draw the opened network: each layer's gradient, and the size of what leaves its ReLU."""
    place = SCALES.index(scale)
    x = np.arange(1, layers + 1)
    gradient, size = relative(row["gradient"][place]), row["size"][place] / row["size"][place][:, :1]
    expected = deep.expected_gradients(arm, layers, scale, SAMPLES, variance())
    data = over_factors(x, gradient, "gradient", COLOURS[arm], width=3)
    data += over_factors(x, size, "size behind each ReLU", INK, width=2, dash="dot")
    data.append(fig.line(x, expected, "closed form", INK, dash="dash", width=1.5))
    ends = np.abs(np.log10([gradient.min(), gradient.max(), size.min(), size.max()]))
    behind = " The sum h in front of each norm is not drawn." if arm == "skip" else ""
    title = f"{WORDS[arm].capitalize()}, {layers} layers, scale {brief(scale)}"
    return fig.figure(
        data, title,
        f"{title}, layer by layer: the gradient goes from {times(deep.typical(gradient[:, 0]))} in the first "
        f"layer to 1 in the last, the size behind each ReLU from 1 to {times(deep.typical(size[:, -1]))}.",
        layer_axis(layers), power_axis(max(2, int(np.ceil(ends.max()))), "relative size"), showlegend=True,
        hint=f"Gradient: last layer = 1. Size: first layer = 1.{behind}",
    )  # fmt: skip
