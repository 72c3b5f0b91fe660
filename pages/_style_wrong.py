"""What the last scene of "Style" shows: digits in full and faint ink, where contrast is the signal or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.data import load
from bnlib.experiments.model import Race
from bnlib.lessons import style_digits
from book import charts
from book import figure as fig
from book.chapter import Found, Job, View
from book.charts import average, over_seeds, progress
from book.controls import SEEDS, Values, seeds
from book.figure import GREYS, INK, Figure, Trace
from pages._style_parts import INKS, NORM_NAMES, NORMS, TINTS, ahead, near, signed

SHOWN = 4  # digits
SHADES = "Lines: mean of 8 seeds. Shades: lowest to highest."


def jobs(values: Values) -> dict[str, Job]:
    """Return the networks of the last scene: three norms, two tasks."""
    found = {}
    for asked, function in (("ink", style_digits.of_ink), ("digits", style_digits.of_digits)):
        for norm in NORMS:
            found[f"{asked}_{norm}"] = Job(function, (SEEDS * values["seed"], SEEDS, norm))
    return found


def lab(values: Values) -> Race:
    """Return convolutional networks that learn the digits, where no contrast is needed."""
    fields: dict[str, Any] = {"network": "cnn", "depth": 3, "width": 16, "batch_size": 32, "lr": 0.1}
    lanes = tuple(
        RunConfig(**fields | {"norm": norm} | seeds(values)) for norm in ("instance", "group", "batch")
    )
    return Race("Digits: instance norm, group norm and batch norm", lanes, 600)


def wrong(values: Values, found: Found) -> View:
    """Show networks that are asked for the ink, and networks that meet another ink than in training."""
    hide, ink = values["open"], near(values["ink"])
    shown = [norm for norm in NORMS if not (hide and norm == "instance")]
    asked = {norm: found.get(f"ink_{norm}") for norm in NORMS}
    digits = {norm: found.get(f"digits_{norm}") for norm in NORMS}
    figures = {
        "ink": _bars({norm: asked[norm] if norm in shown else None for norm in NORMS}, values),
        "faint": _curves({norm: digits[norm] for norm in shown}, ink),
        "samples": _samples(ink),
    }
    if any(one is None for one in found.values()) or not found:
        return View(figures=figures, waiting=progress(found, f"trainings are done ({SEEDS} networks each)"))
    at = INKS.index(ink)
    digit = ink * load("digits").x_val[0]
    share = {norm: average(_of(asked[norm], "right")) for norm in NORMS}
    there = {norm: _of(digits[norm], "right")[:, at] for norm in NORMS}
    full = {norm: _of(digits[norm], "right")[:, 0] for norm in NORMS}
    gap, bare = ahead(there["instance"], there["batch"]), ahead(there["none"], there["batch"])
    numbers = {
        "ink": float(ink), "digit_std": float(digit.std()),
        "spread": float(digit.std() / np.sqrt(digit.var() + style_digits.EPS)),
        "leak": float(_of(asked["instance"], "leak").max()),
        "gap": gap.mean, "gap_low": gap.low, "gap_high": gap.high, "bare": bare.mean,
    }  # fmt: skip
    for norm in NORMS:
        numbers |= {
            f"asked_{norm}": share[norm], f"right_{norm}": average(there[norm]),
            f"full_{norm}": average(full[norm]), f"paper_{norm}": average(_of(digits[norm], "paper")),
        }  # fmt: skip
    text = f"Bright or faint? Batch norm is right in {share['batch']:.0%}, no norm in {share['none']:.0%}"
    text += "." if hide else f", instance norm in {share['instance']:.0%}."
    text += (
        f" Which digit, with {ink:.0%} of the ink: batch norm {numbers['right_batch']:.0%}, no norm "
        f"{numbers['right_none']:.0%}"
    )
    if hide:
        return View(numbers, text + ".", figures)
    text += f", instance norm {numbers['right_instance']:.0%}."
    table: dict[str, Any] = {"ink": np.array(INKS)}
    table |= {norm: _of(digits[norm], "right").mean(axis=0) for norm in NORMS}
    notes = {
        "faint": f"Instance norm minus batch norm at {ink:.0%} of the ink: {signed(gap.mean)} points (95% "
        f"interval {signed(gap.low)} to {signed(gap.high)}, 8 seeds).",
    }
    return View(numbers, text, figures, table, notes=notes)


def _of(cell: Any, key: str) -> Any:
    return np.asarray(cell[key], dtype=float)


def _bars(cells: dict[str, Any], values: Values) -> Figure:
    """Draw right answers to the question of bright or faint."""
    shares = {NORM_NAMES[norm]: None if cell is None else _of(cell, "right") for norm, cell in cells.items()}
    return charts.bars(
        shares, "Bright or faint? Right answers", charts.percent(), [TINTS[norm] for norm in NORMS],
        values.get("narrow", False), hint="Bars: mean of 8 seeds. Dots: each seed.",
    )  # fmt: skip


def _curves(cells: dict[str, Any], ink: float) -> Figure:
    """Draw right answers to the question of which digit, over the ink of the test."""
    data: list[Trace] = []
    told = []
    for norm, cell in cells.items():
        if cell is None:
            continue
        right = _of(cell, "right")
        data += over_seeds(INKS, right, NORM_NAMES[norm], TINTS[norm])
        height = float(right[:, INKS.index(ink)].mean())
        told.append(f"{NORM_NAMES[norm]}: {height:.0%}")
        meta = {"drag": "ink", "axis": "x"} if norm == "batch" else {}
        size = 15 if meta else 7
        data.append(
            fig.dots(
                [ink], [height], NORM_NAMES[norm], INK, size=size, alpha=0.55, showlegend=False, meta=meta
            )
        )
    words = [f"{one:.0%}" for one in INKS]
    x = fig.log_axis(0.07, 1.12, "ink of the test digits; training: 100%", INKS, words=words)
    return fig.figure(
        data, "Which digit? Right answers with fainter ink",
        f"Curves over the ink. At {ink:.0%}: {'; '.join(told) or 'nothing is computed yet'}.",
        x, charts.percent(), showlegend=True, hint=f"Drag the large dot. {SHADES}",
    )  # fmt: skip


def _samples(ink: float) -> Figure:
    """Draw validation digits in full ink, and below them in the ink of the test."""
    digits = load("digits").x_val[:SHOWN].reshape(SHOWN, 8, 8)
    data = []
    for row, factor in enumerate((1.0, ink)):
        for column, digit in enumerate(digits):
            x, y = (9 * place + np.arange(8) for place in (column, row))
            data.append(fig.cells(factor * digit, 0, 1, GREYS, "digit", x=x, y=y, hoverinfo="skip"))
    hidden: dict[str, Any] = {"ticks": (), "visible": False, "showgrid": False}
    return fig.figure(
        data, f"Digits in full ink, and below in the test’s: {ink:.0%}",
        "Two rows of the same handwritten digits.",
        fig.axis(-1, 9 * SHOWN - 1, **hidden), fig.axis(17, -1, **hidden), place="side", even=True,
        height=150, margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )  # fmt: skip
