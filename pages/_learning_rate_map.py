"""The scene "The map": learning rate and initial scale, both networks; a cell's runs play."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import progress
from book.controls import Values
from book.figure import BLUE, INK, ORANGE, PAPER, Figure, Trace
from book.words import brief
from pages._learning_rate_parts import (
    DONE,
    HALF,
    NAMES,
    NORMS,
    ROW,
    SCALES,
    SHORT,
    ahead,
    curves,
    final,
    said,
    verdict,
)  # fmt: skip

COUNT = len(ROW) * len(SCALES)
DEFAULT = SCALES.index(1.0) * len(ROW) + ROW.index(0.1)
SIGNS = {1: "", 0: " =", -1: " <"}


def picked(values: Values) -> tuple[float, float]:
    """Return learning rate and scale of the cell that was chosen."""
    row, column = divmod(values["cell"] if values["cell"] >= 0 else DEFAULT, len(ROW))
    return ROW[column], SCALES[row]


def right_at(found: Found, norm: str, scale: float, step: int = SHORT) -> Any:
    """Return right answers up to a step, of one row (rates, R), or None where it isn't there yet."""
    own = found.get(f"{norm} {scale:g}")
    return None if own is None else final(own["right"][..., : max(step, 1)])


def shown_step(values: Values) -> int:
    """Return how far training is shown: while the question is open, to its end."""
    return SHORT if values["open"] else int(values["step"])


def verdicts(found: Found) -> Any:
    """Say for each cell (scales, rates) if batch norm is clearly ahead (1), behind (-1), or neither (0)."""
    rows = []
    for scale in SCALES:
        batch, none = (right_at(found, norm, scale) for norm in ("batch", "none"))
        rows.append([verdict(ahead(b, n)) for b, n in zip(batch, none, strict=True)])
    return np.array(rows)


def view(values: Values, found: Found) -> View:
    """Show both maps and the runs of one cell, up to the playhead."""
    hide, (lr, scale), step = values["open"], picked(values), shown_step(values)
    complete = not any(one is None for one in found.values())
    signs = verdicts(found) if complete and not hide else None
    rows = {norm: found.get(f"{norm} {scale:g}") for norm in (("none",) if hide else NORMS)}
    runs = curves(
        {norm: None if own is None else own["right"][ROW.index(lr)] for norm, own in rows.items()},
        f"Learning rate {brief(lr)}, weights × {brief(scale)}", SHORT, step,
        place="main" if values.get("narrow") else "side",
    )  # fmt: skip
    # On a phone figures are below one another: between both maps, the runs are in sight from either.
    figures = {"none": _map("none", found, values, signs), "runs": runs}
    if not hide:
        figures["batch"] = _map("batch", found, values, signs)
    if not complete:
        return View(figures=figures, waiting=progress(found, DONE))
    numbers = _numbers(values, found)
    if hide:
        text = (
            f"Without a norm, half of the answers are right in {numbers['train_none']:.0f} of {COUNT} cells."
        )
        return View(numbers, text, figures)
    here = {norm: right_at(found, norm, scale, step)[ROW.index(lr)] for norm in NORMS}
    text = (
        f"Step {step}, learning rate {brief(lr)}, weights × {brief(scale)}: {here['none'].mean():.0%} right "
        f"without a norm, {here['batch'].mean():.0%} with batch norm; "
        f"{said(ahead(here['batch'], here['none']), 'points')}."
    )
    cells = [(s, k) for s in SCALES for k in range(len(ROW))]
    table: dict[str, Any] = {
        "init_scale": np.array([s for s, _ in cells]),
        "learning_rate": np.array([ROW[k] for _, k in cells]),
    }
    for norm in NORMS:
        table[f"trained_{norm}"] = np.array(
            [int(right_at(found, norm, s)[k].mean() >= HALF) for s, k in cells]
        )
    return View(numbers, text, figures, table)


def _numbers(values: Values, found: Found) -> Numbers:
    lr, scale = picked(values)
    signs, k = verdicts(found), ROW.index(lr)
    means = {norm: np.array([right_at(found, norm, s).mean(axis=1) for s in SCALES]) for norm in NORMS}
    usual = SCALES.index(1.0)
    beside = (signs <= 0) & (means["none"] >= HALF)
    bad = (signs <= 0) & (means["none"] < HALF) & (means["batch"] < HALF)
    return {
        "share": float((signs <= 0).mean()), "cells": float((signs <= 0).sum()),
        "behind": float((signs < 0).sum()), "level": float((signs == 0).sum()),
        "both_train": float(beside.sum()), "both_fail": float(bad.sum()),
        "in_row": float((signs[usual] <= 0).sum()), "all": float(COUNT), "he": sqrt(2 / 32),
        **{f"train_{norm}": float((means[norm] >= HALF).sum()) for norm in NORMS},
        **{f"best_{norm}": float(means[norm].max()) for norm in NORMS},
        **{f"here_{norm}": float(means[norm][SCALES.index(scale), k]) for norm in NORMS},
    }  # fmt: skip


def _map(norm: str, found: Found, values: Values, signs: Any) -> Figure:
    """Draw right answers at the playhead; at its end, frame cells where batch norm isn't clearly ahead."""
    z = np.full((len(SCALES), len(ROW)), np.nan)
    lost, step = np.zeros(z.shape, bool), shown_step(values)
    for y, scale in enumerate(SCALES):
        own = found.get(f"{norm} {scale:g}")
        if own is not None:
            z[y] = right_at(found, norm, scale, step).mean(axis=1)
            lost[y] = (own["diverged"].mean(axis=1) > HALF) & (step == SHORT)
    mark = signs if step == SHORT else None
    known = [(y, x) for y in range(len(SCALES)) for x in range(len(ROW)) if np.isfinite(z[y, x])]
    signed = {} if mark is None or norm == "none" else {(y, x): SIGNS[int(mark[y, x])] for y, x in known}
    words = {(y, x): "×" if lost[y, x] else f"{100 * z[y, x]:.0f}{signed.get((y, x), '')}" for y, x in known}
    size = 10 if values.get("narrow") else 12
    notes = [fig.label(x, y, word, PAPER if z[y, x] > 0.62 else INK, size) for (y, x), word in words.items()]
    says = [
        f"rate {brief(ROW[x])}, weights × {brief(SCALES[y])}: "
        + (f"{z[y, x]:.0%} right" if (y, x) in words else "not computed yet")
        for y in range(len(SCALES)) for x in range(len(ROW))
    ]  # fmt: skip
    meta = {"click": "cell", "values": list(range(COUNT)), "says": says, "sweep": True}
    tint = BLUE if norm == "batch" else ORANGE
    data: list[Trace] = [
        fig.cells(z, 0.1, 1, [(0, PAPER), (1, tint)], NAMES[norm], xgap=2, ygap=2, meta=meta)
    ]
    lr, scale = picked(values)
    shapes = [_frame(ROW.index(lr), SCALES.index(scale), INK, 3)]
    hint = "Right answers in per cent; ×: most seeds diverged. Click a cell, or press and draw across."
    if signs is not None:  # on both maps, so that they stay level
        hint += " Framed after all steps: batch norm isn’t clearly ahead (= no clear difference, < behind)."
    if mark is not None:
        shapes = [
            *(_frame(x, y, ORANGE, 2) for y, x in known if mark[y, x] <= 0), shapes[0]
        ]  # fmt: skip
    told = f"from {np.nanmin(z):.0%} to {np.nanmax(z):.0%}" if known else "nothing is computed yet"
    return fig.figure(
        data, f"{NAMES[norm].capitalize()}: right answers after {step} steps, five layers",
        f"A heat map over learning rate and initial scale, {NAMES[norm]}: {told}.",
        fig.axis(-0.5, len(ROW) - 0.5, "learning rate", list(range(len(ROW))),
                 words=[brief(lr) for lr in ROW], showgrid=False),
        fig.axis(-0.5, len(SCALES) - 0.5, "initial weights, × He’s", list(range(len(SCALES))),
                 words=[brief(s) for s in SCALES], showgrid=False),
        annotations=notes, shapes=shapes, hint=hint,
    )  # fmt: skip


def _frame(x: int, y: int, colour: str, width: float) -> dict[str, Any]:
    edge = {"color": colour, "width": width}
    return {"type": "rect", "x0": x - 0.47, "y0": y - 0.47, "x1": x + 0.47, "y1": y + 0.47, "line": edge}
