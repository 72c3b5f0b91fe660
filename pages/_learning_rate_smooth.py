"""The scene "Smooth or rough?": the loss along the gradient, before training and after some steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import theory
from bnlib.experiments.intervals import paired
from bnlib.lessons import rates
from book import figure as fig
from book.chapter import Found, Job, Numbers, View
from book.charts import over_seeds, progress
from book.controls import Values
from book.figure import INK, Figure, Trace
from book.words import brief
from pages._learning_rate_parts import (
    DEPTHS,
    DISTANCES,
    NAMES,
    NORMS,
    TAUGHT,
    TINTS,
    near,
    rough,
    verdict,
)  # fmt: skip

WHEN = {"start": 0, "later": TAUGHT}
WORDS = {"start": "before training", "later": f"after {TAUGHT} steps"}
DEEPEST = DEPTHS[-1]
SAMPLES = 64


def jobs(values: Values) -> dict[str, Job]:
    """Return what the scene needs: both networks, at each depth and both times; the starts first."""
    return {
        f"{norm} {depth} {when}": Job(rates.line, (rough(values, norm, depth), steps, DISTANCES))
        for when, steps in WHEN.items()
        for depth in reversed(DEPTHS)
        for norm in NORMS
    }


def powers(found: Found, depth: int, when: str) -> Any:
    """Return log10 of batch norm's β over that without a norm, (R,)."""
    batch, none = (found[f"{norm} {depth} {when}"]["smoothness"] for norm in ("batch", "none"))
    return np.log10(np.maximum(batch, 1e-9) / np.maximum(none, 1e-9))


def growth(own: Any) -> float:
    """Return how much longer the gradient is a layer further down, inner layers, geometric mean of seeds."""
    lengths = own["layers"]
    inner = lengths[:, 1:-1] if lengths.shape[1] > 3 else lengths
    return float(np.exp(np.log(inner[:, 0] / inner[:, -1]).mean() / (inner.shape[1] - 1)))


def view(values: Values, found: Found) -> View:
    """Show the loss along the gradient, the gradient by layer, and β over depth at both times."""
    hide, when = values["open"], values["when"]
    depth = int(near(values["depth"], DEPTHS))
    shown = ("none",) if hide else NORMS
    here = {norm: found.get(f"{norm} {depth} {when}") for norm in shown}
    figures = {"line": _line(here, depth, when), "beta": _betas(found, shown, depth, hide)}
    if not hide:
        figures["layers"] = _layers(here, depth, when)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found, "measurements are made"))
    numbers = _numbers(found, depth, when)
    text = f"{depth} layers, {WORDS[when]}: without a norm β is {brief(numbers['beta_none'])}"
    if hide:
        return View(numbers, f"{text}.", figures)
    word = {1: "rougher", 0: "no clear difference", -1: "smoother"}[
        verdict(paired(powers(found, depth, when)))
    ]
    text += (
        f", with batch norm {brief(numbers['beta_batch'])}, {brief(numbers['times'])} times as much: {word}."
    )
    table: dict[str, Any] = {"layers": np.array(DEPTHS)}
    for norm in NORMS:
        table[f"growth_{norm}"] = np.array([growth(found[f"{norm} {d} start"]) for d in DEPTHS])
    note = (
        "β is of a tiny step, 10⁻⁷ times the gradient. A step of usual size is another matter (first "
        f"picture). {DEEPEST} layers start so rough that training multiplies rounding errors: after {TAUGHT} "
        "steps another program gets somewhat other values."
    )
    return View(numbers, text, figures, table, notes={"beta": note})


def _numbers(found: Found, depth: int, when: str) -> Numbers:
    typical = {
        (norm, d, w): float(np.exp(np.log(np.maximum(found[f"{norm} {d} {w}"]["smoothness"], 1e-9)).mean()))
        for norm in NORMS for d in DEPTHS for w in WHEN
    }  # fmt: skip
    gap = paired(powers(found, depth, when))
    numbers = {
        "powers": gap.mean, "times": 10**gap.mean, "depth": float(depth),
        "sign": float(verdict(gap)),
        "theory": theory.gradient_growth_relu(SAMPLES) ** 0.5,
        "growth": growth(found[f"batch {depth} {when}"]),
        "multiplied": growth(found[f"batch {depth} {when}"]) ** (depth - 1),
        "growth_none": growth(found[f"none {depth} {when}"]),
        "growth_start": growth(found[f"batch {DEEPEST} start"]),
        "growth_later": growth(found[f"batch {DEEPEST} later"]),
        "beta_none": typical["none", depth, when], "beta_batch": typical["batch", depth, when],
    }  # fmt: skip
    for d in DEPTHS:
        for w in WHEN:
            numbers[f"times_{d}_{w}"] = typical["batch", d, w] / typical["none", d, w]
            numbers[f"sign_{d}_{w}"] = float(verdict(paired(powers(found, d, w))))
    return numbers


def _line(here: dict[str, Any], depth: int, when: str) -> Figure:
    """Draw by how much a step along the gradient changes the loss of its batch: median of the seeds."""
    data: list[Trace] = []
    told = []
    for norm, own in here.items():
        if own is not None:
            change = np.clip(own["change"], -1.8, 1.1)
            middle = np.median(change, axis=0)
            edges = np.quantile(change, (0.25, 0.75), axis=0)
            data += fig.band(DISTANCES, edges[0], edges[1], TINTS[norm])
            data.append(fig.line(DISTANCES, middle, NAMES[norm], TINTS[norm]))
            told.append(f"{NAMES[norm]}: lowest at a rate of {brief(DISTANCES[int(middle.argmin())])}")
    return fig.figure(
        data, f"One step along the gradient, {depth} layers, {WORDS[when]}",
        f"Change of the loss over the step’s learning rate. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.log_axis(DISTANCES[0], DISTANCES[-1], "learning rate of the step"),
        fig.axis(-1.7, 1.0, "change of the loss", [-1.5, -1, -0.5, 0, 0.5, 1]), showlegend=True,
        hint="Below 0 the step helps its batch. Lines: median of 8 seeds. Shades: the middle half.",
    )  # fmt: skip


def _betas(found: Found, shown: tuple[str, ...], depth: int, hide: bool) -> Figure:
    """Draw β over depth: solid before training, dashed after some steps."""
    data: list[Trace] = []
    told = []
    for norm in shown:
        for when in ("start",) if hide else tuple(WHEN):
            there = [d for d in DEPTHS if found.get(f"{norm} {d} {when}") is not None]
            if there:
                own = np.stack([found[f"{norm} {d} {when}"]["smoothness"] for d in there], axis=1)
                own = np.clip(own, 1e-2, 1e7)
                middle = np.exp(np.log(own).mean(axis=0))
                name = f"{NAMES[norm]}, {WORDS[when]}"
                if when == "start":
                    data += over_seeds(there, own, "", TINTS[norm], width=0, showlegend=False)
                data.append(
                    fig.line(there, middle, name, TINTS[norm], dash="solid" if when == "start" else "dash")
                )
                told.append(f"{name}: {brief(middle[0])} to {brief(middle[-1])}")
                if when == "start" and depth in there:
                    meta = {"drag": "depth", "axis": "x"}
                    height = [middle[there.index(depth)]]
                    data.append(
                        fig.dots([depth], height, "", INK, size=15, alpha=0.5, showlegend=False, meta=meta)
                    )
    return fig.figure(
        data, "How fast the gradient changes: β over depth",
        f"Curves over the number of layers. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.log_axis(1.7, 24, "layers", DEPTHS),
        fig.log_axis(0.1, 1e3 if hide else 1e7, "β (large: rough)", [1, 100] if hide else [1, 100, 1e4, 1e6]),
        showlegend=True,
        hint="β: change of the gradient over the distance. Shades: all seeds at the start. Drag a dot.",
    )  # fmt: skip


def _layers(here: dict[str, Any], depth: int, when: str) -> Figure:
    """Draw the gradient's length by layer, the last one's as 1, and batch norm's closed form."""
    x = np.arange(1, depth + 1)
    data: list[Trace] = []
    told = []
    for norm, own in here.items():
        if own is not None:
            relative = np.clip(own["layers"] / own["layers"][:, -1:], 1e-3, 1e3)
            data += over_seeds(x, relative, NAMES[norm], TINTS[norm])
            told.append(f"{NAMES[norm]}: {brief(relative[:, 0].mean())} times in the first layer")
    law = theory.gradient_growth_relu(SAMPLES) ** (0.5 * (depth - x))
    data.append(fig.line(x, law, "closed form (Yang et al.)", INK, dash="dash", width=1.5))
    return fig.figure(
        data, f"Gradient by layer, {depth} layers, {WORDS[when]}",
        f"Length over that of the last layer. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0.5, depth + 0.5, "layer", [1, depth] if depth < 5 else [1, depth // 2, depth]),
        fig.log_axis(0.05, 300, "relative length", [0.1, 1, 10, 100]), showlegend=True, place="side",
        hint="Last hidden layer = 1.",
    )  # fmt: skip
