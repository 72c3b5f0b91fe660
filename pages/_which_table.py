"""The scene "All of them": every norm of the table beside the others, two columns of it measured."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bnlib.lessons import which
from bnlib.norms.table import NORMS
from book import figure as fig
from book.chapter import Board, Cell, Choice, Found, Job, Passage, Row, Scene, View
from book.charts import average, progress
from book.controls import SEEDS, Control, Values
from book.figure import BLUE, INK, ORANGE, Figure
from pages._which_scripts import TABLE_SCRIPT, TABLE_TORCH

SAME = 1e-9  # of the largest logit; less is rounding
FLOOR = 1e-17


class Linked(NamedTuple):
    """Where a norm's cells lead: what shares, the use, the trouble; and the trouble in words."""

    shares: str
    use: str
    trouble: str
    at: str


AXES, GROUPS, SCALE = "axes?scene=company", "axes?scene=groups", "axes?scene=scale"
LINKS = {
    "batch": Linked("placement?scene=count", "learning-rate?scene=rate", "Small norm batches fail.",
                    "small-batches?scene=cliff"),
    "ghost": Linked("axes?scene=paint", "regularization?scene=labels",
                    "Without wrong labels there is no clear gain.", "regularization?scene=clean"),
    "renorm": Linked("training-lab?experiment=E29", "small-batches?scene=mend",
                     "Its two limits must be chosen.", "small-batches?scene=mend"),
    "running": Linked("inference?scene=lag", "training-lab?experiment=E20",
                      "A training step can undo the normalization.", "training-lab?experiment=E20"),
    "layer": Linked(AXES, "which?scene=pre", "It removes a sample’s own size.", SCALE),
    "rms": Linked("which?scene=rms", "which?scene=pre", "It doesn’t remove an offset of all features.",
                  "which?scene=rms"),
    "group": Linked(GROUPS, "small-batches?scene=mend", "Groups must divide the channels.", GROUPS),
    "instance": Linked(AXES, "style?scene=light", "It removes contrast that a class may need.",
                       "style?scene=wrong"),
    "frn": Linked("axes?scene=paint", "small-batches?scene=conv",
                  "Without positions it leaves little more than signs.", "training-lab"),
    "dyt": Linked("training-lab", "which?scene=pre", "α needs a suitable initial value.", "training-lab"),
    "spectral": Linked("weights?scene=circle", "weights?scene=gan", "Signals fade in deep networks.",
                       "weights?scene=spread"),
    "weight": Linked("weights?scene=length", "weights?scene=length",
                     "It doesn’t remove the scale of the data.", SCALE),
    "standard": Linked("weights?scene=length", "small-batches?scene=conv",
                       "Activations stay without a norm.", "weights?scene=spread"),
    "none": Linked("gradients?scene=depth", "gradients?scene=trains",
                   "Depth and the scale of weights matter.", "learning-rate?scene=scale"),
}  # fmt: skip
NONE_USE = "Use it in shallow networks with He’s weights, or with SkipInit."
EVERY = tuple(LINKS)
FILTERS = {
    "all": "all", "alone": "no batch-mates needed", "same": "same in inference", "free": "nothing learned",
}  # fmt: skip

CONTROLS = (
    Control(
        "rows", "choice", "all", "show", choices=tuple(FILTERS), names=tuple(FILTERS.values()),
        look="buttons",
        about="Which norms are listed. No batch-mates needed: exchanging the other samples of a batch left a "
        "sample’s output as it was. Same in inference: training and inference gave the same output. Both are "
        "measured.",
    ),
)  # fmt: skip


def label(norm: str) -> str:
    """Return what a norm is called."""
    return NORMS[norm].label if norm in NORMS else "no norm"


def jobs(values: Values) -> dict[str, Job]:
    """Return the measurement of each norm."""
    return {norm: Job(which.traits, (norm, SEEDS * values["seed"])) for norm in EVERY}


def learned(norm: str) -> str:
    """Say what a norm learns: numbers per channel, and those that a layer has one of."""
    if norm not in NORMS:
        return "0"
    row = NORMS[norm]
    channel = len(row.learned) - len(row.scalars)
    return f"{channel}{f' + {len(row.scalars)} a layer' if row.scalars else ''}"


def view(values: Values, found: Found) -> View:
    """Show the table; while the question is open, without what is measured."""
    hide, narrow = values["open"], bool(values.get("narrow"))
    cells: dict[str, Any] = {norm: found.get(norm) for norm in EVERY}
    figures = {"counts": _counts()} if hide else {"changes": _changes(cells, narrow)}
    if any(own is None for own in cells.values()):
        return View(figures=figures, waiting=progress(cells, "norms are measured"))
    alone = [norm for norm, own in cells.items() if own["mates"].max() < SAME]
    same = [norm for norm, own in cells.items() if own["inference"].max() < SAME]
    free = [norm for norm in EVERY if learned(norm) == "0"]
    numbers = {
        "same": float(len(same)), "alone": float(len(alone)), "every": float(len(EVERY)),
        "mates_batch": average(cells["batch"]["mates"]), "gap_batch": average(cells["batch"]["inference"]),
        "per_channel": 2.0,
    }  # fmt: skip
    if hide:
        text = f"{len(EVERY)} rows; what each norm does to one sample is measured once you have answered."
        return View(numbers, text, figures, board=_board(EVERY, None))
    shown = {"all": EVERY, "alone": alone, "same": same, "free": free}[values["rows"]]
    differ = ", ".join(label(norm) for norm in EVERY if norm not in same)
    text = (
        f"{len(same)} of {len(EVERY)} put out the same in training and in inference. Not the same: {differ}. "
        f"{len(shown)} rows are shown, in per cent for the worst of 8 seeds. SyncBatchNorm is batch norm "
        "over all devices. RMS norm has β here; nn.RMSNorm of PyTorch learns one number per channel."
    )
    table = {
        "norm": [label(norm) for norm in EVERY],
        "mates": [int(norm not in alone) for norm in EVERY],
        "differs": [int(norm not in same) for norm in EVERY],
    }  # fmt: skip
    return View(numbers, text, figures, table, board=_board(tuple(shown), cells))


def _board(shown: tuple[str, ...], cells: dict[str, Any] | None) -> Board:
    """Put the norms into words, a row each."""
    rows = []
    for norm in shown:
        row, links = NORMS.get(norm), LINKS[norm]
        first = [Cell((row.summary if row else "nothing").capitalize(), "", links.shares)]
        last = [Cell(f"{learned(norm)}", "", "training-lab?experiment=E21")]
        if cells is None:
            rows.append(Row(label(norm), (*first, *last)))
            continue
        mates, change = (float(cells[norm][name].max()) for name in ("mates", "inference"))
        running = bool(row and row.running)
        measured = [
            Cell("no" if mates < SAME else f"yes, by {mates:.0%}", "" if mates >= SAME else "good", AXES),
            Cell("yes" if change < SAME else f"no, by {change:.0%}", "good" if change < SAME else "warning",
                 "inference?scene=stale" if running else "inference?scene=alone"),
        ]  # fmt: skip
        use = (row.use if row else NONE_USE).split(". ")[0].rstrip(".") + "."
        words = (Cell(use, "", links.use), Cell(links.trouble, "", links.at))
        rows.append(Row(label(norm), (*first, *measured, *last, *words)))
    heads = ("Shares statistics", "Depends on batch-mates", "Same in inference", "Learned per channel",
             "Typical use", "Known trouble")  # fmt: skip
    return Board(heads if cells is not None else (heads[0], heads[3]), tuple(rows))


def _counts() -> Figure:
    """Draw how many numbers each norm learns per channel."""
    names = [label(norm) for norm in EVERY]
    counts = [len(NORMS[n].learned) - len(NORMS[n].scalars) if n in NORMS else 0 for n in EVERY]
    at = list(range(len(names)))[::-1]
    data = [
        fig.line([0, n], [y, y], name, BLUE, width=10) for n, y, name in zip(counts, at, names, strict=True)
    ]
    told = "; ".join(f"{name}: {n}" for name, n in zip(names, counts, strict=True))
    return fig.figure(
        data, "Learned numbers per channel", f"Bars. {told}.", fig.axis(0, 3.2, "numbers", [0, 1, 2, 3]),
        fig.axis(-0.7, len(names) - 0.3, "", at, words=names, showgrid=False), height=330,
        margin={"l": 150, "r": 14, "t": 10, "b": 44}, hint="γ and β, or a gain; FRN has a threshold τ, too.",
    )  # fmt: skip


def _changes(cells: dict[str, Any], narrow: bool) -> Figure:
    """Draw by norm how far one sample's output moves: batch-mates exchanged, and training to inference."""
    rows = list(reversed(EVERY))
    data, told = [], []
    for name, what, tint, lift in (
        ("mates", "batch-mates exchanged", BLUE, 0.16), ("inference", "training to inference", ORANGE, -0.16),
    ):  # fmt: skip
        known = [(y, cells[norm]) for y, norm in enumerate(rows) if cells[norm] is not None]
        x = np.array([max(float(own[name].max()), FLOOR) for _, own in known])
        data.append(fig.dots(x, [y + lift for y, _ in known], what, tint, size=9))
        moved = [label(rows[y]) for (y, _), value in zip(known, x, strict=True) if value >= SAME]
        told.append(f"{what}: {', '.join(moved) or 'none yet'}")
    return fig.figure(
        data, "How far one sample’s output moves", f"Dots, far right where it moves. {'; '.join(told)}.",
        fig.log_axis(1e-18, 10, "largest change / largest logit", [1e-17, 1e-12, 1e-6, 1e-3, 1],
                     words=["0", "10⁻¹²", "10⁻⁶", "0.001", "1"]),
        fig.axis(-0.7, len(rows) - 0.3, "", list(range(len(rows))), words=[label(n) for n in rows]),
        height=380, showlegend=True, margin={"l": 142 if narrow else 160, "r": 14, "t": 10, "b": 44},
        shapes=[fig.mark(SAME, -0.7, SAME, len(rows) - 0.3, INK, 1, dash="dot")],
        hint="Convolutional networks after 5 steps, batches of 8, worst of 8 seeds. Left of the dotted line: "
        "rounding, or exactly 0.",
    )  # fmt: skip


def pytorch(values: Values) -> str:
    """Write the test that tells norms apart, in PyTorch."""
    return TABLE_TORCH


def script(values: Values) -> str:
    """Write a script that puts the norms through the same two tests."""
    return TABLE_SCRIPT.format(seed=SEEDS * values["seed"])


SCENE = Scene(
    "table", "All of them",
    f"The table has {len(EVERY)} rows: {len(NORMS)} norms, and none. A sample goes through a network, once "
    "in training, once in inference, with the same weights. In how many rows does it come out the same?",
    (
        Choice(f"in all {len(EVERY)}", float(len(EVERY)),
               "A norm’s formula is the same. Its statistics may not be."),
        Choice(f"in {len(EVERY) - 1}: all but batch norm", float(len(EVERY) - 1),
               "Batch norm is not alone: its variants take statistics of a batch, too."),
        Choice(f"in {len(EVERY) - 3}", float(len(EVERY) - 3)),
        Choice("in 4: norms of weights, and none", 4.0,
               "These do not see activations. But a sample’s own statistics are there in inference, too."),
    ),
    "same", {"rows": "all"}, {},
    "In {same:.0f} of {every:.0f}.",
    "What takes its statistics from the batch must replace them in inference, by running averages. What "
    "takes them from the sample, from the weights, or from running averages already in training, need not.",
    "The same in inference does not mean better: batch norm’s output moved by {gap_batch:.0%} after 5 steps "
    "(mean of 8 seeds), "
    "and convolutional networks are usually trained with it. A norm by running averages needs no "
    "batch-mates, but samples of earlier steps count.",
    "Show only what needs no batch-mates. Which of these would fit your network?",
    ("rows", "seed"),
)  # fmt: skip

PASSAGES = (Passage("One sample, with other batch-mates and in inference", which.traits),)
