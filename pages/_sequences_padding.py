"""The scene "Padding": a padded batch, how many sequences are left at each step, and who errs least."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.data import LONGEST
from bnlib.experiments.intervals import Interval, paired
from bnlib.lessons import sequences
from bnlib.norms import given as norms
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, progress
from book.controls import SEEDS, Control, Values
from book.figure import BLUE, COLOURS, INK, PAPER, Figure, Trace
from pages import _sequences_recurrent as nets
from pages._sequences_parts import SIGNS, first, near
from pages._sequences_recurrent import ARMS, EASED, SIZES, STEPS, WIDTH
from pages._sequences_rscripts import PADDING, PADDING_TORCH, RECURRENT

SHOWN = 16  # sequences of a batch that are drawn
FEW = 2
GROUPS = {"8 – 9": (8, 9), "10 – 11": (10, 11), "12 – 13": (12, 13), "14 – 15": (14, 15), "16": (16, 16)}
ORDER = ("none", "layer", "counted", "masked", "eased")

CONTROLS = (
    *nets.CONTROLS,
    Control(
        "moment", "whole", 12, "time step", "of 16", 1, LONGEST,
        tuple(float(step) for step in range(1, LONGEST + 1)), marks=(1, 4, 8, 12, 16),
        about="At which step of the sequences the norm is looked at. A step reads one row of a digit, or a "
        "blank row.",
    ),
)  # fmt: skip


def jobs(values: Values) -> dict[str, Job]:
    """Return a training of each arm."""
    return nets.jobs(values, *ORDER)


@lru_cache(maxsize=16)
def untrained(seed: int, size: int) -> Any:
    """Return x-hat of a batch in an untrained network with masks, (N, T, units), the longest first."""
    config = RunConfig(
        dataset="pauses", network="rnn", depth=1, width=WIDTH, activation="tanh", init_scale=nets.SCALE,
        dtype="float64", seed=seed, batch_size=size,
    )  # fmt: skip
    return sequences.first_pass(config, sequences.padded(seed, size).sequences)


def view(values: Values, found: Found) -> View:
    """Show a padded batch, what masked batch norm makes of a step of it, and the errors."""
    hide, narrow = values["open"], values.get("narrow", False)
    size, moment = near(values["sequences"], SIZES), values["moment"]
    batch = sequences.padded(first(values), size)
    here = sequences.going(batch.sequences.reshape(size, -1)).sum(axis=0)
    counts = sequences.left(tuple(range(first(values), first(values) + SEEDS)), size, STEPS)
    few = _few(counts)
    numbers = {
        "size": float(size), "step": float(moment), "left": float(here[moment - 1]),
        "left_mean": float(counts[:, :, moment - 1].mean()), "left_last": float(counts[:, :, -1].mean()),
        "few": 100 * few[-1], "rate": near(values["rate"], nets.RATES),
    }  # fmt: skip
    figures = {
        "padded": _padded(batch, here, values, hide, narrow),
        "left": _left(here, counts, moment, size),
    }
    shown = {"none": found.get("none")} if hide else {arm: found.get(arm) for arm in ORDER}
    figures["errors"] = nets.curves(shown)
    if not hide:
        figures["lengths"] = _lengths({arm: found.get(arm) for arm in ORDER[:4]})
    text = f"At step {moment}, {_sequences(int(here[moment - 1]))} of {size} in this batch go on."
    if any(found.get(arm) is None for arm in ORDER):
        return View(numbers, text, figures, waiting=progress(found))
    ends = {arm: found[arm]["val"][:, -1] for arm in ORDER}
    gap, eased = paired(ends["masked"] - ends["counted"]), paired(ends["masked"] - ends["eased"])
    plain = paired(ends["counted"] - ends["none"])
    numbers |= {f"error_{arm}": average(end) for arm, end in ends.items()}
    numbers |= {
        "ahead": ahead(gap), "gap": gap.mean, "gap_low": gap.low, "gap_high": gap.high, "eased": eased.mean,
    }  # fmt: skip
    if hide:
        return View(numbers, text, figures)
    text += f" Batch norm, masked − counted: {nets.said(gap)}."
    notes = {
        "errors": f"Masked with eps = 1e-5 − with eps = {EASED:g}: {nets.said(eased)}. Counted "
        f"− no norm: {nets.said(plain)}. All arms have the same sequences and learning rate. The running "
        "averages aren’t to blame: with statistics computed anew, masked has "
        f"{average(found['masked']['precise']):.0f}% wrong.",
        "padded": _note(int(here[moment - 1]), size, untrained(first(values), size)[:, moment - 1]),
    }  # fmt: skip
    table = {"step": np.arange(1, LONGEST + 1), "left": counts.mean(axis=(0, 1)), "few": few}
    return View(numbers, text, figures, table, notes=notes)


def ahead(gap: Interval) -> float:
    """Return 1 if what is subtracted errs less beyond chance, -1 if it errs more, 0 if one can't say."""
    return float(np.sign(gap.mean)) if gap.clear else 0.0


def _sequences(count: int) -> str:
    return "1 sequence" if count == 1 else f"{count} sequences"


def _few(counts: Any) -> Any:
    """Return of the batches with any sequence left the share with one or two, step by step, (T,)."""
    any_left = (counts > 0).sum(axis=(0, 1))
    return ((counts > 0) & (counts <= FEW)).sum(axis=(0, 1)) / np.maximum(any_left, 1)


def _note(left: int, size: int, xhat: Any) -> str:
    """Say what batch norm makes of so few sequences."""
    if not left:
        return "No sequence of this batch goes on: masked batch norm has nothing to take a mean of."
    largest = float(np.abs(xhat[:left]).max())
    if left == 1:
        return "One sequence is left. It is its own mean: x̂ is 0 in every unit. Its digit is forgotten."
    if left == 2:
        return "Two sequences are left: x̂ is +1 in one and −1 in the other (nearly, for ε), in every unit."
    return (
        f"{left} of {size} sequences are left. The largest |x̂| is {largest:.2f}; of {left} numbers none can "
        f"be above √({left} − 1) = {(left - 1) ** 0.5:.2f}."
    )


def _padded(batch: sequences.Padded, here: Any, values: Values, hide: bool, narrow: bool) -> Figure:
    """Draw sequences below each other, a column a step, and x-hat of the chosen step beside them."""
    size, moment = len(batch.labels), values["moment"]
    shown = np.arange(size) if size <= SHOWN else np.arange(0, size, size // SHOWN)
    tall = 9 * len(shown) - 1
    grid = np.full((tall, LONGEST), np.nan)
    for k, n in enumerate(shown):
        grid[9 * k : 9 * k + 8] = np.nan_to_num(batch.sequences[n].T, nan=-1.0)
    scale = ((0.0, COLOURS[9]), (0.499, COLOURS[9]), (0.5, PAPER), (1.0, INK))
    data: list[Trace] = [
        fig.cells(grid, -1, 1, scale, "sequences", x=np.arange(1, LONGEST + 1), hoverinfo="skip")
    ]
    marks = [
        fig.mark(moment - 0.5, -1, moment - 0.5, tall, BLUE, 2.0),
        fig.mark(moment + 0.5, -1, moment + 0.5, tall, BLUE, 2.0),
    ]
    notes = [fig.label(8.5, -5, "steps" if narrow else "steps; a column is one row of a digit")]
    wide = LONGEST + 0.8
    if not hide:
        xhat = untrained(first(values), size)[:, moment - 1]
        grid = np.full((tall, WIDTH), np.nan)
        for k, n in enumerate(shown):
            if n < here[moment - 1]:
                grid[9 * k : 9 * k + 8] = xhat[n]
        x = LONGEST + 2 + 0.5 * np.arange(WIDTH)
        data.append(fig.cells(grid, -2, 2, SIGNS, "x-hat", x=x, hoverinfo="skip"))
        notes.append(
            fig.label(
                LONGEST + 10, -5, f"x̂ at step {moment}" if narrow else f"x̂ of {WIDTH} units at step {moment}"
            )
        )
        wide = LONGEST + 18.5
    alt = (
        f"{len(shown)} sequences of 8 to 16 steps, the longest on top; behind their ends there is padding. "
        f"At step {moment} {int(here[moment - 1])} of {size} go on."
    )
    hint = "Grey bars: padding; a column is one row of a digit. " if narrow else "Grey bars: padding. "
    hint += "" if size <= SHOWN else f"One sequence of {size // SHOWN} is drawn. "
    hint += "" if hide else "Right: x̂ before training, masked. Blue: above 0. Orange: below. Strongest at ±2."
    ticks = [1, 4, 8, 12, 16]
    return fig.figure(
        data, "A padded batch: digits on their side, with pauses", alt,
        fig.axis(0.3, wide, "", ticks, showgrid=False),
        fig.axis(tall + 0.5, -9, "", [], visible=False, showgrid=False),
        shapes=marks, annotations=notes, hint=hint, height=260 if narrow else 330,
        margin={"l": 8, "r": 8, "t": 4, "b": 26},
    )  # fmt: skip


def _left(here: Any, counts: Any, moment: int, size: int) -> Figure:
    """Draw how many sequences go on at each step; a dot sets the step."""
    x = np.arange(1, LONGEST + 1)
    mean = counts.mean(axis=(0, 1))
    low, high = (np.quantile(counts, share, axis=(0, 1)) for share in (0.05, 0.95))
    meta = {
        "drag": "moment", "axis": "x",
        "says": [f"step {moment}: {_sequences(int(here[moment - 1]))}"],
    }  # fmt: skip
    data = [
        *fig.band(x, low, high, INK, 0.12),
        fig.line(x, mean, "mean of all batches", INK, dash="dash", width=1.5),
        fig.dots(x, here, "this batch", BLUE, size=7),
        fig.dots([moment], [here[moment - 1]], "step", BLUE, size=16, alpha=0.5, showlegend=False, meta=meta),
    ]
    return fig.figure(
        data, "Sequences that go on",
        f"{size} up to step 8, then fewer: {mean[-1]:.1f} on average at step 16.",
        fig.axis(0.3, LONGEST + 0.7, "step", [1, 4, 8, 12, 16]), fig.axis(0, size * 1.08, "sequences"),
        place="side", showlegend=True, height=220,
        hint="Drag the large dot. Band: 90% of the batches.",
    )  # fmt: skip


def _lengths(found: dict[str, Any]) -> Figure:
    """Draw the errors of short and long sequences."""
    names, data, told = list(GROUPS), list[Trace](), []
    x = np.arange(len(names))
    for arm, run in found.items():
        if run is not None:
            name, colour, _ = ARMS[arm]
            y = [float(np.nanmean(run["by_length"][:, low - 1 : high])) for low, high in GROUPS.values()]
            data.append(fig.line(x, y, name, colour))
            data.append(fig.dots(x, y, name, colour, size=6, showlegend=False))
            told.append(f"{name}: {y[0]:.0f}% of the shortest, {y[-1]:.0f}% of the longest")
    return fig.figure(
        data, "Wrong, by length", f"Errors by length. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(-0.3, len(names) - 0.7, "steps of the sequence", x.tolist(), words=names),
        nets.percents(0, 100, (0, 20, 40, 60, 80, 100)), place="side", height=220,
        hint="Means of 8 seeds. Colours as in the curves.",
    )  # fmt: skip


SCENE = Scene(
    "padding", "Padding",
    "Sequences of 8 to 16 steps are padded to 16. A recurrent network with batch norm takes a mean and a "
    "variance at each step, in batches of 16. Should sequences that have ended count?",
    (
        Choice("no: masked, fewer answers are wrong", -1.0,
               "In attention, in the loss, and where all steps share one mean, a mask is right. Here it "
               "leaves the last steps with very few sequences."),
        Choice("it makes no difference", 0.0,
               "Inference uses running averages either way. But the networks were trained differently."),
        Choice("yes: counted, fewer answers are wrong", 1.0),
    ),
    "ahead", {}, {"sequences": 16, "rate": 0.01, "moment": LONGEST - 1},
    "Counted: {error_counted:.0f}% wrong. Masked: {error_masked:.0f}%.",
    "At step 16 a batch has {left_last:.1f} sequences left on average; of the batches with any, {few:.0f}% "
    "have one or two. Of one, x̂ is 0; of two it is ±1, and most units get no gradient. Where the two are "
    "alike, the divisor is almost 0 and the gradient is huge. With eps = 0.1, which limits that, masked "
    "batch norm has {error_eased:.0f}% wrong.",
    "Where many sequences are left at every step, a mask is right. Where few are, raise eps, sort sequences "
    "by length, or take layer norm, which needs no other sequence: {error_layer:.0f}%. This network is "
    "shallow: without a norm {error_none:.0f}% are wrong.",
    "Drag the step: what is x̂ of two sequences, of one, of ten? Then choose batches of 32: how far do both "
    "come?",
    ("sequences", "moment", "rate", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Give each step a batch norm of its own, and the sequences that go on."""
    size = near(values["sequences"], SIZES)
    lengths = sequences.going(sequences.padded(first(values), size).sequences.reshape(size, -1)).sum(axis=1)
    return PADDING_TORCH.format(lengths=lengths.tolist(), step=values["moment"], width=WIDTH)


def script(values: Values) -> str:
    """Train both batch norms again, and count who is left."""
    return RECURRENT + nets.given(values) + PADDING.replace("MOMENT", str(values["moment"]))


PASSAGES = (
    Passage("Batch norm of what a mask keeps", norms.masked),
    Passage("Training, and the errors by length", sequences.learned),
)
