"""Scenes of "Which axes?" about what is multiplied, and about two layer norms."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from bnlib import RunConfig, layer_norm
from bnlib.experiments.probes.arithmetic import invariances
from bnlib.lessons import axes
from bnlib.lessons import axes_compared as compared
from bnlib.lessons.axes import CHANNELS, EPS, IMAGES
from bnlib.lessons.axes_compared import NORMS
from book import figure as fig
from book.chapter import Board, Cell, Found, Job, Numbers, Row, View
from book.charts import average
from book.controls import SEEDS, Values
from book.figure import BLUE, COLOURS, INK, PAPER, Figure
from book.words import brief
from pages._axes_parts import (
    GRID_HEIGHT,
    LIMIT,
    NORM_NAMES,
    SIGNS,
    SIGNS_HINT,
    UNNOTICED,
    amount,
    changes,
    every,
    first,
    grid,
    listed,
    pixels,
)

SCALING = (*NORMS, "weight")

# ---- scale -----------------------------------------------------------------------------------------------

WHAT = {"image": "image 2", "batch": "all images", "channel": "filter 3", "weights": "all filters"}
ROWS = ("batch", "weight", "layer", "rms")
COLUMNS = {
    "weights_scaled": "all weights × c", "weights_shifted": "all weights + a vector",
    "unit_scaled": "one unit’s weights × c", "data_scaled": "data × c", "data_shifted": "data + a vector",
    "sample_scaled": "one sample × c",
}  # fmt: skip
PAPER_TABLE = {  # Ba et al. 2016, Table 1: what is the same as before. RMS norm is not in it
    "batch": {"weights_scaled", "unit_scaled", "data_scaled", "data_shifted"},
    "weight": {"weights_scaled", "unit_scaled"},
    "layer": {"weights_scaled", "weights_shifted", "data_scaled", "sample_scaled"},
}
EXACT = 1e-10


def board_of(measured: dict[str, dict[str, float]]) -> tuple[Board, int]:
    """Put the table into words, and count the cells that are not as in the paper."""
    rows, differs = [], 0
    for norm, own in measured.items():
        cells = []
        for name, change in own.items():
            same = change < EXACT
            agrees = norm not in PAPER_TABLE or same == (name in PAPER_TABLE[norm])
            differs += not agrees
            words = "✓ same" if same else f"changes: {amount(change)}"
            level = "warning" if not agrees else "good" if same else ""
            cells.append(Cell(words if agrees else f"{words}; not so in the paper", level))
        rows.append(Row(NORM_NAMES[norm], tuple(cells)))
    return Board(tuple(COLUMNS.values()), tuple(rows)), differs


def table_jobs(seed: int) -> dict[str, Job]:
    """Return what measures each row of the table: a linear layer from 64 inputs to 48 units, eight seeds."""
    config = RunConfig(width=48, replicas=SEEDS, dtype="float64", seed=seed)
    return {norm: Job(invariances, (replace(config, norm=norm), 0), light=True) for norm in ROWS}


def worst(rows: Found) -> dict[str, dict[str, float]]:
    """Return the largest change with any of the seeds, by norm and by what is changed."""
    return {norm: {name: float(rows[norm][name].max()) for name in COLUMNS} for norm in ROWS}


def scale(values: Values, rows: Found) -> View:
    """Multiply something, and see which norms notice.

    rows : by norm, changes of the outputs as `invariances` measures them
    """
    hide, narrow = values["open"], values.get("narrow", False)
    what, eps, seed = values["what"], values["eps"], first(values)
    factor = 1.0 if hide else values["factor"]
    images, weight, x = axes.maps(seed)
    found = {
        norm: np.array([compared.scaled(norm, one, what, factor, eps) for one in every(values)])
        for norm in SCALING
    }
    same = [norm for norm, own in found.items() if average(own) < UNNOTICED]
    numbers: Numbers = {norm: average(own) for norm, own in found.items()}
    numbers |= {f"{norm}_here": float(own[0]) for norm, own in found.items()}
    numbers |= {"same": float(len(same)), "factor": factor, "eps": eps, "all": float(len(SCALING))}
    bright = images * _factors(IMAGES, factor, {"image": 1, "batch": None}.get(what, -1))
    long = weight * _factors(CHANNELS, factor, {"channel": 2, "weights": None}.get(what, -1))
    title = f"Before the norm: {brief(factor)} × {WHAT[what]}"
    figures = {
        "maps": grid(
            axes.maps_of(bright, long), np.clip(bright, 0, 1),
            "Feature maps before the norm" if hide else title,
            f"Feature maps; {WHAT[what]} multiplied by {brief(factor)}.", narrow, home=False,
            limit=2 * float(np.abs(x).max()), hint="Blue: above 0. Orange: below 0.",
        ),
    }  # fmt: skip
    if hide:
        pair = np.stack([images[1, 0], 2 * images[1, 0]])
        figures["digits"] = pixels(
            pair, ("image 2", "2 × image 2"), "Twice the contrast", "A digit, and the same one darker.", 2.0
        )
        return View(numbers, "Nothing is multiplied yet. Blue: above 0. Orange: below 0.", figures)
    figures["changes"] = changes(
        found, "Largest change of an output", "change / largest output", small=narrow,
        height=GRID_HEIGHT[False], hint="Dots: 8 seeds. Dotted: 1%; less counts as unnoticed.",
        shapes=[fig.mark(-0.5, UNNOTICED, len(SCALING) - 0.5, UNNOTICED, INK, 1, dash="dot")],
    )  # fmt: skip
    names = listed([NORM_NAMES[norm] for norm in same])
    text = f"{brief(factor)} × {WHAT[what]}: "
    text += "nothing has changed." if factor == 1 else f"the same outputs, within 1%: {names}."
    table = {
        "norm": [NORM_NAMES[norm] for norm in SCALING],
        "change": np.array([average(own) for own in found.values()]),
    }
    if any(rows.get(norm) is None for norm in ROWS):
        return View(numbers, text, figures, table, waiting=f"{text} A table is being measured.")
    board, differs = board_of(
        {norm: {name: float(rows[norm][name].max()) for name in COLUMNS} for norm in ROWS}
    )
    numbers["differs"] = float(differs)
    text += " The table below is of a linear layer and Gaussian numbers, with ε = 0, 8 seeds: "
    if differs:
        text += f"{differs} cells are not as in Table 1 of Ba et al. (2016)."
    else:
        text += "all as in Table 1 of Ba et al. (2016), which RMS norm isn’t in."
    return View(numbers, text, figures, table, board=board)


def _factors(count: int, factor: float, place: int | None) -> Any:
    """Return factors (count, 1, 1, 1): at one place, everywhere if it is None, nowhere if it is below 0."""
    found = np.ones((count, 1, 1, 1))
    if place is None or place >= 0:
        found[slice(None) if place is None else place] = factor
    return found


# ---- two layer norms -------------------------------------------------------------------------------------

KINDS = {
    "group": "GroupNorm(1, C)", "whole": "LayerNorm([C, H, W])", "position": "LayerNorm(C) at each position",
}  # fmt: skip
LEARNED = {"group": 2 * CHANNELS, "whole": 2 * 96, "position": 2 * CHANNELS}  # γ and β


def layers(x: Any, kind: str) -> Any:
    """Return what one of the layer norms makes of feature maps."""
    return layer_norm(x, eps=EPS, axis=(1,) if kind == "position" else (1, 2, 3))[0]


@lru_cache(maxsize=256)
def apart(seed: int) -> float:
    """Return the root mean square difference between layer norm over an image and at each position."""
    x = axes.maps(seed).x
    return float(np.sqrt(np.square(layers(x, "group") - layers(x, "position")).mean()))


@lru_cache(maxsize=256)
def position_spread(seed: int, kind: str) -> float:
    """Return how far the means of positions, over channels, scatter in an image's outputs."""
    return float(layers(axes.maps(seed).x, kind).mean(axis=1).std(axis=(1, 2)).mean())


def two(values: Values) -> View:
    """Compare layer norm over an image with layer norm at each position."""
    hide, narrow = values["open"], values.get("narrow", False)
    kind, seeds = "group" if hide else values["layer"], every(values)
    images, _, x = axes.maps(first(values))
    y = layers(x, kind)
    lit = {name: axes.sharers(partial(layers, kind=name), x) for name in KINDS}
    shared = int(lit[kind].sum())
    numbers: Numbers = {
        "shared": float(shared), "apart": average([apart(seed) for seed in seeds]),
        "apart_here": apart(seeds[0]), "learned": float(LEARNED[kind]),
        "per_channel": float(LEARNED["group"]), "per_element": float(LEARNED["whole"]),
        "position_spread": average([position_spread(seed, kind) for seed in seeds]),
        "whole_spread": average([position_spread(seed, "group") for seed in seeds]),
        "home": float(y[axes.HOME]), "all": float(x.size),
    }  # fmt: skip
    text = f"{KINDS[kind]}: {shared} numbers share the framed one’s mean."
    figures = {
        "maps": grid(
            x, images, f"{shared} blue numbers share a mean", f"{KINDS[kind]}: {shared} numbers share.",
            narrow, tints=np.where(lit[kind], 0, -1),
            hint="Blue: what changes when the framed number does.",
        ),
        "outputs": grid(
            y, images, f"Outputs of {KINDS[kind]}", f"Outputs of {KINDS[kind]}.", narrow, limit=LIMIT,
            hint=SIGNS_HINT,
        ),
    }  # fmt: skip
    if hide:
        return View(numbers, f"{text} Outputs: {SIGNS_HINT[0].lower()}{SIGNS_HINT[1:]}", figures)
    text += f" Outputs over the image and at each position differ by {brief(numbers['apart'])} (8 seeds)."
    figures["pairs"] = _pairs(layers(x, "group"), layers(x, "position"))
    figures["positions"] = _positions(x)
    figures["learned"] = _learned(kind)
    table = {
        "layer": list(KINDS.values()), "share": [int(own.sum()) for own in lit.values()],
        "learned": list(LEARNED.values()),
    }  # fmt: skip
    return View(numbers, text, figures, table)


def _pairs(whole: Any, position: Any) -> Figure:
    """Draw each output of one layer norm over that of the other."""
    a, b = whole.ravel(), position.ravel()
    says = [f"{brief(one)} and {brief(other)}" for one, other in zip(a, b, strict=True)]
    high = float(np.ceil(np.abs(a).max()))
    data = [
        fig.line([-high, high], [-high, high], "equal", INK, dash="dash", width=1.5, hoverinfo="skip"),
        fig.dots(a, b, "one number", BLUE, size=4, alpha=0.6, meta={"says": says}),
    ]
    return fig.figure(
        data, "The same numbers, both ways", f"{len(a)} dots around the diagonal; on it both would be equal.",
        fig.axis(-high, high, "over the image"), fig.axis(-2.6, 2.6, "at each position", [-2, 0, 2]),
        height=230, hint="Dashed: where both are equal.",
    )  # fmt: skip


def _positions(x: Any) -> Figure:
    """Draw the mean over channels at each position: a row for each of two layer norms, a tile an image."""
    means = [layers(x, kind).mean(axis=1) for kind in ("group", "position")]
    z = np.concatenate([own.transpose(1, 0, 2).reshape(4, -1) for own in means])
    names = ["GroupNorm(1, C)", "LayerNorm(C)"]
    says = [
        f"{names[row // 4]}, image {column // 4 + 1}, row {row % 4 + 1}, column {column % 4 + 1}: "
        + brief(round(float(z[row, column]), 12))
        for row, column in np.ndindex(*z.shape)
    ]
    spreads = [brief(round(float(own.std(axis=(1, 2)).mean()), 12)) for own in means]
    told = "; ".join(f"{name}: {spread}" for name, spread in zip(names, spreads, strict=True))
    lines = [fig.mark(at - 0.5, -0.5, at - 0.5, 7.5, PAPER, 5) for at in range(4, 4 * IMAGES, 4)]
    lines.append(fig.mark(-0.5, 3.5, z.shape[1] - 0.5, 3.5, PAPER, 5))
    centres = [4 * k + 1.5 for k in range(IMAGES)]
    y = fig.axis(7.5, -0.5, "", [1.5, 5.5], words=["Group(1, C)", "Layer(C)"], showgrid=False)
    return fig.figure(
        [fig.cells(z, -1, 1, SIGNS, "means", xgap=1, ygap=1, meta={"says": says})],
        "Mean over channels at each position", f"Standard deviations over positions. {told}.",
        fig.axis(-0.5, z.shape[1] - 0.5, "image", centres, words=["1", "2", "3", "4"], showgrid=False), y,
        shapes=lines, even=True, height=230, margin={"l": 84, "r": 6, "t": 6, "b": 44},
        hint=f"White: 0. Colours are strongest at ±1. Here they scatter by {spreads[0]} and {spreads[1]}.",
    )  # fmt: skip


def _learned(kind: str) -> Figure:
    """Draw how many numbers each of the layer norms learns."""
    names = [name.replace(" at each position", "") for name in KINDS.values()]
    counts = list(LEARNED.values())
    colours = [BLUE if one == kind else COLOURS[9] for one in KINDS]
    notes = [fig.label(name, count, str(count), yshift=11) for name, count in zip(names, counts, strict=True)]
    told = [f"{name}: {count}" for name, count in zip(names, counts, strict=True)]
    short = {"ticktext": ["Group(1, C)", "[C, H, W]", "C"]}
    return fig.figure(
        [fig.bars(names, counts, "γ and β", colours, width=0.6, meta={"says": told})],
        "How many numbers γ and β have", f"Bars. {'; '.join(told)}.",
        fig.category_axis(names) | short, fig.axis(0, 240, "numbers", [0, 100, 200]), annotations=notes,
        place="side", height=180, bargap=0,
    )  # fmt: skip
