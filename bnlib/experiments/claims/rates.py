"""E8: which learning rates train, and what the larger ones gain."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import exp, log
from typing import Any

import numpy as np

from ...networks.config import RunConfig
from ...norms.statistics import Array
from ..findings import (
    Check,
    Findings,
    Picture,
    Results,
    at_others_best,
    band,
    check,
    compared,
    times,
)
from ..intervals import paired
from ..model import NAMES, Cells, Experiment, Race, Sides
from ..nulls import exchanged, same
from ..probes import Cell
from ..probes.arithmetic import Measured

_LEARNS = 0.5  # training loss; guessing has 2.30


_RATES = (0.01, 0.018, 0.03, 0.055, 0.1, 0.18, 0.3, 0.55, 1.0, 3.0, 5.5)
_WINDOW = 20  # steps over which losses are averaged
_E8 = RunConfig(inputs="standardized", batch_size=64)
_GAINS: dict[int, dict[str, Any]] = {5: {"most": 2.5, "name": "shallow"}, 20: {"least": 3.0, "name": "deep"}}


def _e8_cells(full: bool) -> Cells:
    grid = {5: (0.018, 0.3, 3.0), 20: (0.018, 0.3)}
    if full:  # what lies between the smallest rate and the best ones is left out
        grid = {5: (_RATES[0], *_RATES[4:]), 10: (_RATES[0], *_RATES[3:]), 20: _RATES}
    config = replace(_E8, replicas=8 if full else 3, record_every=4, validate_every=10**6)
    steps = 300 if full else 240
    return {
        (depth, norm, lr): Cell("learning", replace(config, depth=depth, norm=norm, lr=lr), steps)
        for depth, rates in grid.items()
        for norm, lr in product(("none", "batch"), rates)
    }


def _reached(found: Measured) -> Array:
    """Return the step (R,) at which the loss of _WINDOW steps is below _LEARNS, all steps if it never is."""
    every = int(found["step"][0][1])
    loss = np.nan_to_num(found["train_loss"], nan=log(10))
    recent = np.lib.stride_tricks.sliding_window_view(loss, _WINDOW // every, axis=1).mean(axis=2)
    below = recent < _LEARNS
    step = every * below.argmax(axis=1) + _WINDOW
    reached: Array = np.where(below.any(axis=1), step, found["steps"][0])
    return reached


def _median(found: Check, values: Array) -> Check:
    return replace(found, measured=float(np.median(values)))


def _e8_read(results: Results) -> Findings:
    checks, pictures, notes, gains, losses = [], [], [], {}, {}
    steps = int(next(iter(results.values()))["steps"][0])
    for depth in sorted({depth for depth, _, _ in results}):
        where, rates = f"depth {depth}", [lr for d, norm, lr in results if (d, norm) == (depth, "none")]
        arms = {norm: [results[depth, norm, lr] for lr in rates] for norm in ("none", "batch")}
        loss = {norm: np.stack([found["final_loss"] for found in arm]) for norm, arm in arms.items()}
        largest = {}
        for norm, values in loss.items():
            learned = np.where(values.T < _LEARNS, rates, 0.0).max(axis=1)
            if failed := int((learned == 0).sum()):
                seeds = f"{failed} of {len(learned)} seeds"
                notes.append(f"Depth {depth}, {NAMES[norm]}: {seeds} learn at no rate.")
            # A seed that learns at no rate counts as if it did at the smallest, in favour of no norm.
            largest[norm] = np.maximum(learned, rates[0])
        ended = {norm: at_others_best(np.nan_to_num(values, nan=log(10))) for norm, values in loss.items()}
        sooner = {norm: at_others_best([_reached(found) for found in arm]) for norm, arm in arms.items()}
        error = {
            norm: at_others_best([np.nan_to_num(found["final"], nan=90.0) for found in arm])
            for norm, arm in arms.items()
        }
        gains[where], losses[where] = error["none"] - error["batch"], ended["batch"] / ended["none"]
        words = f"batch norm / no norm, {where}"
        checks += [
            times(f"largest rate that learns, {words}", largest["batch"] / largest["none"],
                  least=3 if depth == 5 else 10, seeds=8, name="rates"),
            times(f"steps to a training loss below {_LEARNS}, {words}", sooner["batch"] / sooner["none"],
                  most=0.8, seeds=8, name="sooner"),
            times(f"training loss at learning rate {rates[0]:g}, {words}", loss["batch"][0] / loss["none"][0],
                  least=1.4, seeds=8, name="slow"),
        ]  # fmt: skip
        # In a mean, a seed that diverges at the rate that is best for all others would outweigh them.
        if depth < 20:
            what = f"training loss, median of seeds, {words}"
            checks.append(_median(times(what, losses[where], least=2, seeds=8, name="ended"), losses[where]))
        if depth in _GAINS:
            what = f"accuracy gained, median of seeds, {where}, points"
            checks.append(_median(check(what, gains[where], **_GAINS[depth]), gains[where]))
        for what, each in (
            ("largest rate that learns", largest), (f"steps to a training loss below {_LEARNS}", sooner),
            ("training loss", ended), ("error, %", error),
        ):  # fmt: skip
            checks += [check(f"{what}, {NAMES[norm]}, {where}", each[norm]) for norm in arms]
        curves = (
            band(NAMES[norm], rates, np.where(np.isnan(values).any(axis=1), np.nan, values.T))
            for norm, values in loss.items()
        )
        pictures.append(Picture(
            f"Training loss after {steps} steps, depth {depth}; a line ends where a seed diverges",
            "learning rate", "training loss", tuple(curves), log_x=True,
        ))  # fmt: skip
    ratios = []
    for where, values in losses.items():
        gap = paired(np.log(values))
        low, middle, high = (f"{exp(value):.2g}" for value in (gap.low, gap.mean, gap.high))
        sign = "" if gap.clear else ", no evidence for either"
        ratios.append(f"{middle} at {where} (95% interval {low} to {high}{sign})")
    notes += [
        f"Training loss after {steps} steps, batch norm’s over no norm’s, each at its own rate: "
        f"{'; '.join(ratios)}.",
        compared("Error without a norm against batch norm’s, each at its own rate", gains),
        "A run that diverges counts as guessing: a loss of 2.30, an error of 90%.",
    ]
    return Findings(tuple(pictures), tuple(checks), tuple(notes))


E8 = Experiment(
    name="E8",
    title="Higher learning rates, and what they gain",
    claims={
        "rates": Sides(shows=("rates",)),
        "faster": Sides(shows=("sooner",), limits=("slow", "ended")),
        "accuracy": Sides(shows=("deep",), limits=("shallow",)),
    },
    setup=f"""
        Digits, standardized, ReLU, 5, 10 and 20 layers of 64 units, SGD, batch 64, 300 steps, learning
        rates from 0.01 to 5.5, 8 seeds. Losses are means over {_WINDOW} steps; a rate learns if the last is
        below {_LEARNS}. A network’s own rate is, for each seed, the one that is best on average over the
        other seven.
    """,
    theory="",
    accepted=f"""
        The largest rate that learns is at least 3 times higher with batch norm at depth 5, 10 times at 10
        and 20. Each at its own rate, batch norm needs at most 0.8 times as many steps to a loss below
        {_LEARNS}; but after 300 steps its loss is at least 1.4 times as high at learning rate 0.01, and at
        least twice as high at depths 5 and 10, each at its own rate. Accuracy gained: at least 3 points at
        depth 20, at most 2.5 at depth 5. Ratios are geometric means over seeds. Losses at own rates, and
        accuracies, are medians of seeds: one seed that diverges can’t turn them.
    """,
    sources=("Ioffe & Szegedy 2015, section 3.3", "Bjorck et al. 2018"),
    contested="""
        Bjorck et al. see no difference at a learning rate of 1e-4. A wider range of rates is not yet
        faster training: that depends on how well the other network was tuned, and on whether the first or
        the last steps count. E25 compares accuracies after equal numbers of epochs.
    """,
    cells=_e8_cells,
    read=_e8_read,
    races=lambda: tuple(
        Race(
            f"Depth {depth}: learning rate {low} and {high}",
            tuple(
                replace(_E8, depth=depth, replicas=3, norm=norm, lr=lr)
                for norm, lr in product(("none", "batch"), (low, high))
            ),
            300,
        )
        for depth, low, high in ((5, 0.1, 3.0), (20, 0.01, 1.0))
    ),
    nulls=(
        same("batch norm is like no norm", {"batch": "none"}),
        exchanged("batch", "none", "batch norm and no norm are exchanged"),
        same("depth plays no role", {5: 20, 10: 20}),
    ),
)
