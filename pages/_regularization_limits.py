"""What the last scenes of "Regularization" show: right labels, and dropout beside the norm."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from bnlib.experiments.intervals import paired
from book import figure as fig
from book.chapter import Found, View
from book.charts import average, over_seeds, progress
from book.controls import Values
from book.figure import BLUE, GREEN, INK, ORANGE, Figure, Trace
from pages._regularization_parts import (
    ARMS,
    DROP_STEPS,
    ORDERS,
    RATES,
    SHADES,
    SMALL,
    STEP_BATCH,
    TRAINED,
    WRONG,
    by_size,
    dense,
    marker,
    near,
    of,
    over_steps,
    said,
    wrong_axis,
)  # fmt: skip

WHOLE = STEP_BATCH

# ---- with right labels -----------------------------------------------------------------------------------


def clean(values: Values, found: Found) -> View:
    """Compare norm batches of 4 and 64 by the share of labels that are wrong."""
    hide = values["open"]
    share = WRONG[-1] if hide else near(values["wrong"], WRONG)
    pairs: dict[float, tuple[Any, Any]] = {
        w: (found.get(f"{WHOLE} {w:g}"), found.get(f"{SMALL} {w:g}")) for w in WRONG
    }
    whole, small = pairs[share]
    curves = [(*ARMS["whole"], of(whole, "val"), "solid"), (*ARMS["small"], of(small, "val"), "solid")]
    title = f"Wrong validation answers in eval(); {share:.0%} wrong labels"
    figures = {"curves": over_steps(curves, title, wrong_axis(50))}
    gains = {
        w: a["val"][:, -1] - b["val"][:, -1]
        for w, (a, b) in pairs.items()
        if a is not None and b is not None and (not hide or w == share)
    }
    if not hide:
        figures["gains"] = _gains(gains, share)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found))
    gain = paired(gains[share])
    ends = [average(cell["val"][:, -1]) for cell in pairs[share]]
    numbers = {
        "wrong_share": share, "gain": gain.mean, "low": gain.low, "high": gain.high,
        "fives": 5.0 * round(gain.mean / 5), "whole": ends[0], "small": ends[1],
        "wrong": float(wrong_count(share)), "lost": max(0.0, -gain.mean),
    }  # fmt: skip
    if not hide:
        numbers |= {f"gain_{w:.0%}".rstrip("%"): average(own) for w, own in gains.items()}
        numbers["loss_small"] = average(small["loss"][:, -1])
        numbers["loss_whole"] = average(whole["loss"][:, -1])
    verdict = said(gain, f", m = {SMALL} has fewer", f", m = {SMALL} has more")
    text = (
        f"{share:.0%} wrong labels: m = {WHOLE} ends with {ends[0]:.1f}% wrong answers, m = {SMALL} with "
        f"{ends[1]:.1f}%. The difference: {verdict}."
    )
    if hide:
        return View(numbers, text, figures)
    table = {
        "wrong_labels": np.array([wrong_count(share)]),
        "whole": np.array([ends[0]]),
        "fives": np.array([5 * round(gain.mean / 5)]),
    }
    return View(numbers, text, figures, table)


def wrong_count(share: float) -> int:
    """Return how many of the training labels are wrong at that share."""
    given = dense({"seed": 0}, label_noise=share).data().y_train
    return int((given != dense({"seed": 0}, label_noise=0.0).data().y_train).sum())


def _gains(gains: dict[float, Any], share: float) -> Figure:
    """Draw by how many points m = 4 is better, with its interval, over the share of wrong labels."""
    data: list[Trace] = [fig.line([-0.03, 0.33], [0, 0], "no difference", INK, width=1.5, dash="dot")]
    told = []
    for w, own in gains.items():
        gain = paired(own)
        told.append(f"{w:.0%} wrong labels: {gain.text().replace('-', '−')}")
        data.append(
            fig.line([w, w], [gain.low, gain.high], "95% interval", ORANGE, width=4, showlegend=w == 0)
        )
    if gains:
        x = sorted(gains)
        data.append(fig.line(x, [average(gains[w]) for w in x], "gain", ORANGE, width=1.5))
    if share in gains:
        data.append(marker(share, average(gains[share]), "wrong", "share of wrong labels"))
    ticks = list(WRONG)
    return fig.figure(
        data, f"Points that m = {SMALL} gains over m = {WHOLE}", f"{'; '.join(told) or 'Nothing yet'}.",
        fig.axis(-0.03, 0.33, "wrong labels", ticks, words=[f"{tick:.0%}" for tick in ticks]),
        fig.axis(-5, 30, "points"), showlegend=True,
        hint="Below 0, m = 4 is worse. Bars: 95% interval over 8 seeds. Drag the large dot.",
    )  # fmt: skip


# ---- dropout ---------------------------------------------------------------------------------------------


def dropout(values: Values, found: Found) -> View:
    """Compare running variances with what arrives in eval(), by order and rate."""
    hide, order, p = values["open"], values["order"], near(values["p"], RATES)
    if hide:
        order = "behind"
    cells: dict[str, dict[float, Any]] = {o: {q: found.get(f"{o} {q:g}") for q in RATES} for o in ORDERS}
    cell = cells[order][p]
    figures = {"ratio": _ratios(cell, order, p, values.get("narrow", False))}
    if not hide:
        figures["errors"] = _dropout_errors(cells[order], order, p)
    if any(one is None for one in found.values()) or cell is None:
        return View(figures=figures, waiting=progress(found))
    layer = [average(cell["ratio"][:, n]) for n in range(3)]
    cost = paired(cell["val"] - cell["anew"])
    numbers = {
        "p": p, "ratio": layer[2], "ratio_2": layer[1], "ratio_1": layer[0],
        "expected_2": average(cell["expected"][:, 1]), "expected_3": average(cell["expected"][:, 2]),
        "val": average(cell["val"]), "anew": average(cell["anew"]), "cost": cost.mean, "low": cost.low,
        "high": cost.high, "untrained": 1 + p / (1 - p) * pi / (pi - 1), "steps": float(DROP_STEPS),
        "samples": float(TRAINED),
    }  # fmt: skip
    text = (
        f"Dropout {ORDERS[order]}, p = {p:g}: the running variance of the last norm is {layer[2]:.2f} times "
    )
    text += "the variance that arrives in eval()."
    if hide:
        return View(numbers, text, figures)
    most = cells["before"][RATES[-1]]
    worst = paired(most["val"] - most["anew"])
    numbers |= {
        "worst": worst.mean, "worst_low": worst.low, "worst_high": worst.high, "worst_p": RATES[-1],
        "behind_val": average(cells["behind"][p]["val"]),
    }  # fmt: skip
    text += (
        f" Wrong answers: {numbers['val']:.1f}%; with statistics computed again, dropout off, "
        f"{numbers['anew']:.1f}%. Running minus recomputed: {said(cost, ', more', ', fewer')}."
    )
    return View(numbers, text, figures, _dropout_table(cells, p))


def _ratios(cell: Any, order: str, p: float, narrow: bool) -> Figure:
    """Draw by layer how many times too large the running variance is, and what one layer's dropout makes."""
    layers = [1, 2, 3]
    data: list[Trace] = [fig.line([0.6, 3.4], [1, 1], "they agree", INK, width=1.5, dash="dot")]
    told = "Nothing is computed yet"
    if cell is not None:
        means = cell["ratio"].mean(axis=0)
        told = "; ".join(f"layer {n}: {mean:.2f}" for n, mean in zip(layers, means, strict=True))
        data += over_seeds(layers, cell["ratio"], "measured", BLUE)
        data.append(fig.dots(layers, means, "measured", BLUE, size=9, showlegend=False))
        name = "formula" if narrow else "formula: dropout in front of this norm alone"
        law = cell["expected"].mean(axis=0)
        data.append(fig.dots(layers, law, name, ORANGE, symbol="diamond", size=10))
    return fig.figure(
        data, f"Running variance / variance in eval(), p = {p:g}",
        f"Dropout {ORDERS[order]}. {told}.", fig.axis(0.6, 3.4, "layer", layers),
        fig.log_axis(0.4, 6, "times", [0.5, 1, 2, 4]), showlegend=True,
        hint=f"Dropout {ORDERS[order]}. At 1 the norm does in eval() what it did in training. {SHADES}",
    )  # fmt: skip


def _dropout_errors(cells: dict[float, Any], order: str, p: float) -> Figure:
    """Draw errors in eval() over p, with running statistics and with those computed again."""
    data: list[Trace] = []
    told = []
    for key, name, colour in (("val", "running statistics", ORANGE), ("anew", "computed again", GREEN)):
        there = {q: cell[key] for q, cell in cells.items() if cell is not None}
        data += by_size(there, name, colour)
        told += [f"{name}, p = {q:g}: {average(own):.1f}%" for q, own in there.items()]
    if cells[p] is not None:
        data.append(marker(p, average(cells[p]["val"]), "p", "p"))
    return fig.figure(
        data, "Wrong validation answers in eval()",
        f"{'; '.join(told) or 'Nothing is computed yet'}.", fig.axis(0.15, 0.75, "p of dropout", RATES),
        wrong_axis(20), showlegend=True,
        hint=f"Dropout {ORDERS[order]}; labels are right. Drag the large dot. {SHADES}",
    )  # fmt: skip


def _dropout_table(cells: dict[str, dict[float, Any]], p: float) -> dict[str, Any]:
    """Return a row for each order, at the p that is shown."""
    rows = [own[p] for own in cells.values()]
    table: dict[str, Any] = {"order": list(cells)}
    for n in range(3):
        table[f"ratio_{n + 1}"] = np.array([average(cell["ratio"][:, n]) for cell in rows])
    for key in ("val", "anew"):
        table[key] = np.array([average(cell[key]) for cell in rows])
    return table
