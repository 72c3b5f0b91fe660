"""The scene "Folded away": batch norm in inference becomes part of the layer before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig, fold_batch_norm
from bnlib.experiments.model import Race
from bnlib.lessons import costs
from book import figure as fig
from book.chapter import Board, Cell, Choice, Found, Job, Passage, Row, Scene, View
from book.charts import average
from book.controls import SEEDS, Control, Values, seeds
from book.equations import Equation, row, told
from book.figure import BLUE, COLOURS, INK, ORANGE, Figure
from book.torch_script import NETWORKS
from book.words import brief
from pages import _cost_parts as parts
from pages._cost_parts import DEPTH
from pages._cost_scripts import FOLD, FOLD_TORCH

STEPS = 200
TYPES = ("float32", "float64")
ROUNDING = 1e-4  # of the logits' spread: what is below is rounding in float32
CASES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("linear → batch norm → ReLU", {}, "into the layer before"),
    ("convolution → batch norm → ReLU", {"network": "cnn"}, "into the layer before"),
    ("linear → ReLU → batch norm", {"placement": "after"}, "into the layer behind"),
    ("convolution → ReLU → batch norm", {"network": "cnn", "placement": "after"},
     "stays: the padding behind it is 0, which isn’t normalized"),
    ("residual, norm inside the branch before ReLU", {"residual": "pre"},
     "stays: the sum also goes on without it"),
    ("recurrent, statistics for each step", {"network": "rnn", "depth": 1, "train_samples": 64},
     "stays: one matrix, another map at each step"),
    ("linear → layer norm → ReLU", {"norm": "layer"}, "stays: each sample has its own mean"),
)  # fmt: skip

CONTROLS = (
    Control(
        "folded", "whole", 0, "layers folded", f"of {DEPTH}", 0, DEPTH, tuple(map(float, range(DEPTH + 1))),
        marks=tuple(range(DEPTH + 1)),
        about="In how many layers, from the first one on, the batch norm is folded into the weights and "
              "the bias "
        "of its linear layer. In PyTorch: torch.nn.utils.fuse_linear_bn_eval, or fuse_conv_bn_eval.",
    ),
)  # fmt: skip


def config_of(values: Values, dtype: str) -> RunConfig:
    """Return eight classifiers with batch norm."""
    chosen: dict[str, Any] = {"depth": DEPTH, **seeds(values)}
    return RunConfig(dtype=dtype, **chosen)


def jobs(values: Values) -> dict[str, Job]:
    """Return trained networks, folded step by step in both precisions, and times in inference.

    While the slider moves they are the same, and there.
    """
    found = {dtype: Job(costs.folding, (config_of(values, dtype), STEPS)) for dtype in TYPES}
    small = RunConfig(depth=DEPTH, batch_size=32)
    found |= {"times": Job(costs.folded_times, (small, values["again"]))}
    return found | {"cases": Job(cases, ())}


def cases() -> tuple[bool, ...]:
    """Fold each of the board's networks and say whether its norms vanished."""
    return tuple(costs.vanishes(RunConfig(**changes)) for _, changes, _ in CASES)


def view(values: Values, found: Found) -> View:
    """Show what folding so many norms changes: operations, times, logits."""
    hide = values["open"]
    folded = 0 if hide else values["folded"]
    found = {name: found.get(name) for name in ("float32", "float64", "times", "cases")}
    timed = found["times"]
    figures = {"inference": _times(timed and timed["ms"], folded, hide)}
    if not hide:
        figures["rounding"] = _rounding(found, folded)
    notes = {"inference": parts.measured_on(timed) + f" {DEPTH} × 64 units, 32 samples, NumPy."}
    text = (
        "In inference batch norm has fixed means and variances: s · x + t for each unit."
        if hide
        else f"{folded} of {DEPTH} norms are folded"
    )
    if any(one is None for one in found.values()):
        text += ("" if hide else ".") + (parts.LATER if values["draft"] else "")
        return View(text=text, figures=figures, notes=notes, waiting=parts.missing(found, values["draft"]))
    single, double = (found[dtype] for dtype in TYPES)
    largest = [float(one["difference"][folded].max()) for one in (single, double)]
    changed = int(single["changed"][folded] + double["changed"][folded])
    times = timed["ms"]
    numbers = {
        "left": float(double["left"][folded]), "single": largest[0], "double": largest[1],
        "size": average(double["size"]),
        "changed": float(double["changed"][folded]), "answers": 500.0 * SEEDS,
        "rounding": float(max(largest) < ROUNDING * min(single["size"].min(), double["size"].min())),
        "unfolded_ms": float(times[0]), "folded_ms": float(times[folded]), "bare_ms": float(times[-1]),
        "unfolded_ratio": float(times[0] / times[-1]), "ratio": float(times[folded] / times[-1]),
        "vanish": float(sum(found["cases"])), "cases": float(len(CASES)),
    }  # fmt: skip
    clocked = ("unfolded_ms", "folded_ms", "bare_ms", "unfolded_ratio", "ratio", "milliseconds")
    if hide:
        return View(numbers, text, figures, notes=notes, clocked=clocked[:-1])
    text += (
        f": {brief(numbers['left'])} operations a unit are left of them. A batch takes "
        f"{numbers['ratio']:.2f} times as long as without a norm. The largest change of a "
        f"logit is {brief(float(f'{largest[0]:.1g}'))} in float32, {brief(float(f'{largest[1]:.1g}'))} in "
        f"float64; {changed} of {2 * 500 * SEEDS:,} answers changed in both together."
    )
    equation = Equation(
        "left", "operations left for a unit, mean of the layers", row("2 · (layers − folded) / layers"),
        numbers["left"],
        (row("2 · (", told(float(DEPTH)), " − ", told(float(folded)), ") / ", told(float(DEPTH))),
         told(numbers["left"])),
    )  # fmt: skip
    table = {
        "folded": list(range(DEPTH + 1)), "left": double["left"],
        "changed": [int(one) for one in double["changed"]], "milliseconds": times[: DEPTH + 1],
    }  # fmt: skip
    return View(
        numbers, text, figures, table, (equation,), notes=notes, board=_board(found["cases"]), clocked=clocked
    )


def _times(times: Any, folded: int, hide: bool) -> Figure:
    """Draw a batch's milliseconds in inference: norms as maps of their own, folded, and without norms."""
    names = [f"{k} folded" for k in range(DEPTH + 1)] + ["no norm"]
    found = np.full(DEPTH + 2, np.nan) if times is None else np.array(times, dtype=float)
    if hide:
        found[1 : DEPTH + 1] = np.nan
    colours = [ORANGE if k == folded else COLOURS[9] for k in range(DEPTH + 1)]
    data = [fig.bars(names[: DEPTH + 1], found[: DEPTH + 1], "with batch norm", colours, width=0.6)]
    there = [(n, t) for n, t in zip(names, found, strict=True) if np.isfinite(t)]
    above = [fig.label(n, t, f"{1e3 * t:.0f} µs", yshift=12) for n, t in there]
    data.append(fig.bars(names[-1:], found[-1:], "without a norm", BLUE, width=0.6))
    if hide:
        above += [fig.label(name, 0, "?", yshift=18, size=22) for name in names[1:-1]]
    else:
        says = [
            f"{n}: {1e3 * t:.0f} µs" if np.isfinite(t) else n for n, t in zip(names[:-1], found, strict=False)
        ]
        data[0]["meta"] = {"click": "folded", "values": list(range(DEPTH + 1)), "says": says}
    top = 1.2 * max([t for _, t in there], default=1.0)
    told_ = "; ".join(f"{n}: {1e3 * t:.0f} µs" for n, t in there)
    return fig.figure(
        data, "A batch in inference", f"Bars. {told_ or 'Nothing is measured yet'}.",
        fig.category_axis(names), fig.axis(0, top, "milliseconds"), annotations=above, bargap=0,
        hint="A map s · x + t costs little beside a matrix product, but it reads and writes each number "
             "again.",
    )  # fmt: skip


def _rounding(found: Any, folded: int) -> Figure:
    """Draw the largest change of a logit over how many norms are folded, all seeds."""
    floor = 1e-17
    data = []
    said = []
    for dtype, colour, unit in zip(TYPES, (ORANGE, BLUE), (1.2e-7, 2.2e-16), strict=True):
        one = found[dtype]
        if one is not None:
            k = np.arange(1, DEPTH + 1)
            y = np.maximum(one["difference"][1:], floor)
            data.append(fig.line(k, y.max(axis=1), dtype, colour))
            data.append(
                fig.dots(np.repeat(k, y.shape[1]), y.ravel(), "one seed", colour, size=4, showlegend=False)
            )
            said.append(f"{dtype}: at most {y.max():.0e}")
        data.append(fig.line([0.7, DEPTH + 0.3], [unit] * 2, f"{dtype}: last digit of 1", colour, dash="dot",
                             width=1.2))  # fmt: skip
    marks = [fig.mark(folded, 1e-17, folded, 10, INK, dash="dot")] if folded else []
    return fig.figure(
        data, "Largest change of a logit", f"Curves over how many norms are folded. {'; '.join(said)}.",
        fig.axis(0.7, DEPTH + 0.3, "norms folded", range(1, DEPTH + 1)),
        fig.log_axis(1e-17, 10, "change", [1e-16, 1e-12, 1e-8, 1e-4, 1]),
        shapes=marks, showlegend=True, place="side", height=300,
        hint=f"{SEEDS} trained networks, 500 validation digits each. Logits are a few units large.",
    )  # fmt: skip


def _board(found: tuple[bool, ...]) -> Board:
    """List which norms vanish when they are folded, as found by folding them."""
    rows = [
        Row(name, (Cell("yes" if gone else "no", "good" if gone else "warning"), Cell(why)))
        for (name, _, why), gone in zip(CASES, found, strict=True)
    ]
    return Board(("can be folded", "where to"), tuple(rows))


SCENE = Scene(
    "fold", "Folded away",
    "In inference, batch norm multiplies each unit by a fixed number and adds another one: two operations "
    "a unit. A linear layer comes before it. At best, how many of the two are left?",
    (
        Choice("both", 2.0, "In eval() PyTorch does compute both: by itself it folds nothing."),
        Choice("one: the factor goes into the weights", 1.0, "It does. And the shift goes into the bias."),
        Choice("none", 0.0),
    ),
    "left", {}, {"folded": DEPTH},
    "Neither is left: s multiplies the weights, t becomes the bias. The network is as large as one without "
    "norms.",
    "gamma · (W x − mean) / √(var + eps) + beta is linear in x: (s W) x + t. {changed:.0f} of "
    "{answers:,.0f} answers changed in float64, and the largest change of a logit, {double}, is rounding.",
    "Only {vanish:.0f} of the {cases:.0f} networks in the table can be folded. And folded weights are for "
    "inference: to train on, keep the unfolded ones.",
    "Fold one layer after another: what does each save? Then measure again: how much do the "
    "times vary?",
    ("folded", "again", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Fold with PyTorch's own function."""
    return FOLD_TORCH


def script(values: Values) -> str:
    """Train the networks again, fold them, and compare answers."""
    return NETWORKS + FOLD.format(
        seed=SEEDS * values["seed"], seeds=SEEDS, steps=STEPS, depth=DEPTH, folded=values["folded"]
    )


def lab(values: Values) -> Race:
    """Return the networks that are folded."""
    return Race("Networks to fold", (config_of(values, "float32"),), 300)


PASSAGES = (
    Passage("gamma, beta and the running statistics become part of weight and bias", fold_batch_norm),
    Passage("Networks folded norm by norm", costs.folding),
)
