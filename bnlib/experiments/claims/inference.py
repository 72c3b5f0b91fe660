"""E13, E14, E15: training and inference differ."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ...networks.config import RunConfig
from ..findings import Findings, Picture, Results, band, check, curve, mean
from ..intervals import paired
from ..model import NAMES, QUIET, Cells, Experiment, Null, Race, Sides
from ..nulls import changed, same
from ..probes import Cell

_E13 = RunConfig(depth=3, batch_size=640, train_samples=1280, lr=1.0, replicas=6)


def _e13_cells(full: bool) -> Cells:
    config = replace(_E13, replicas=6 if full else 3, **QUIET)
    return {m: Cell("precision", replace(config, momentum=m), 24, (("every", 2),)) for m in (0.9, 0.99)}


def _e13_read(results: Results) -> Findings:
    checks = []
    for momentum, found in results.items():
        gap = found["running"] - found["precise"]
        what = f"gain after the first epoch, momentum {momentum}, points"
        checks.append(check(what, gap[:, 0], least=10, seeds=6, null=0, name="late"))
        if momentum == 0.99:
            what = f"gain after the last epoch, momentum {momentum}, points"
            checks.append(check(what, gap[:, -1], least=10, seeds=6, null=0, name="late"))
        for epoch in (0, -1):
            words = "first" if epoch == 0 else "last"
            for name in ("running", "corrected", "precise"):
                checks.append(
                    check(f"error, {words} epoch, {name}, momentum {momentum}, %", found[name][:, epoch])
                )
    series = []
    for momentum, found in results.items():
        series.append(curve(f"running averages, momentum {momentum}", found, "running"))
        series.append(curve(f"the same, start corrected, {momentum}", found, "corrected"))
    series.append(curve("computed anew (precise)", results[0.9], "precise"))
    notes = []
    for momentum, found in results.items():
        steps = int(found["step"][0][-1])
        last = {name: found[name][:, -1] for name in ("running", "corrected", "precise")}
        gain, lag = (paired(last[name] - last["precise"]) for name in ("running", "corrected"))
        sign = "" if lag.clear else ", no evidence of any"
        notes.append(
            f"Momentum {momentum}: after {steps} steps {momentum**steps:.0%} of the average is still its "
            f"start. Error {mean(last['running']):.1f}%; precise statistics gain {gain.text()}. "
            f"With the start corrected they gain {lag.text()}: that is lag{sign}."
        )
    picture = Picture(
        "The same weights, evaluated with different statistics", "step", "validation error, %",
        tuple(series), log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), tuple(notes))


E13 = Experiment(
    name="E13",
    title="Running averages are late; statistics computed anew are not",
    claims={"discrepancy": Sides(shows=("late",))},
    setup="""
        Digits, 3 × 64 ReLU units, two batches of 640 an epoch, learning rate 1, 12 epochs, 6 seeds; after
        each epoch validation with running averages and with statistics from one pass over the training
        samples.
    """,
    theory="""
        A running average of momentum α spans (1+α)/(1−α) batches: 19 for 0.9, 199 for 0.99. After t
        batches αᵗ of it is still where it started, at mean 0 and variance 1; dividing by 1 − αᵗ corrects
        that, and what remains is lag.
    """,
    accepted="""
        Precise statistics gain at least 10 points after the first epoch, and with momentum 0.99 after the
        last one, too.
    """,
    sources=("Wu & Johnson 2021",),
    contested="",
    cells=_e13_cells,
    read=_e13_read,
    races=lambda: (Race("Momentum 0.9 and 0.99", tuple(replace(_E13, momentum=m) for m in (0.9, 0.99)), 24),),
    nulls=(
        changed(
            "running averages are as good as precise ones", lambda _, found: {"running": found["precise"]}
        ),
    ),
)

_E14 = RunConfig(
    depth=3, batch_size=160, norm_batch=8, lr=0.1, optimizer="momentum", cosine_steps=300, replicas=6
)  # fmt: skip
_E14_ORDERS = {"shuffled": "mixed classes", "pairs": "two classes", "sorted": "one class"}


def _e14_cells(full: bool) -> Cells:
    config = replace(_E14, replicas=6 if full else 3, **QUIET)
    return {
        (norm, order): Cell("composition", replace(config, norm=norm, batch_order=order), 300)
        for norm, order in product(("batch", "layer"), _E14_ORDERS if full else ("shuffled", "sorted"))
    }


def _e14_read(results: Results) -> Findings:
    final = {label: found["running"] for label, found in results.items()}
    orders = [order for norm, order in final if norm == "batch"]
    sorted_, parted = final["batch", "sorted"], results["batch", "sorted"]
    checks = [
        check("error in inference, batch norm: one class / mixed",
              sorted_ / final["batch", "shuffled"].mean(), 3, seeds=6, null=1, name="hurts"),
        check("error in inference, one class: batch norm − layer norm, points",
              sorted_ - final["layer", "sorted"], 8, seeds=6, null=0, name="hurts"),
        check("batch norm, one class: error with statistics as in training − in inference, points",
              parted["own"] - sorted_, 20, seeds=6, null=0, name="differ"),
    ]  # fmt: skip
    for (norm, order), found in results.items():
        told = {"running": "in inference", "own": "as in training", "mixed": "with mixed norm batches"}
        for name, words in told.items():
            if name != "running" and (norm == "layer" or order == "shuffled" and name == "mixed"):
                continue  # as before
            checks.append(check(f"error {words}, {NAMES[norm]}, {_E14_ORDERS[order]}, %", found[name]))
    series = [
        band(name, map(_E14_ORDERS.get, orders), np.stack([results[norm, o][kind] for o in orders], axis=1))
        for name, norm, kind in (
            ("batch norm", "batch", "running"),
            ("batch norm, statistics as in training", "batch", "own"),
            ("layer norm", "layer", "running"),
        )
    ]
    picture = Picture(
        "Who meets in a norm batch of eight, and the error", "classes in a norm batch", "validation error, %",
        tuple(series),
    )  # fmt: skip
    what = "one class removes" if paired(parted["own"] - parted["mixed"]).low > 0 else "no class removes"
    notes = (
        "Batches of SGD are the same in all cases; only who shares a mean and a variance differs.",
        f"Trained on norm batches of one class, batch norm has an error of {mean(parted['own']):.1f}% with "
        f"statistics as in training, {mean(parted['mixed']):.1f}% with those of mixed norm batches and "
        f"{mean(sorted_):.1f}% in inference: {what} signal.",
    )
    return Findings((picture,), tuple(checks), notes)


E14 = Experiment(
    name="E14",
    title="Norm batches of one class remove the signal",
    claims={"discrepancy": Sides(shows=("hurts", "differ"))},
    setup="""
        Digits, 3 × 64 ReLU units, batch 160, statistics from 8 samples at a time that are mixed, of two
        classes or of one; momentum SGD at 0.1 on half a cosine, 300 steps, 6 seeds. Validation in inference,
        in norm batches put together as in training, and in mixed ones.
    """,
    theory="""
        Layer norm looks at no other sample: who meets plays no role for it. In a norm batch of one class
        batch norm subtracts that class’s mean, and with it what tells it from others; running averages are
        of all classes.
    """,
    accepted="""
        In inference one class has at least 3 times the error of mixed, and at least 8 points more than layer
        norm. With statistics as in training the error is at least 20 points above that in inference.
    """,
    sources=("Wu & Johnson 2021",),
    contested="",
    caveat="""
        Batches of SGD with few classes hurt every norm, since the network forgets; therefore only the norm
        batches differ here.
    """,
    cells=_e14_cells,
    read=_e14_read,
    races=lambda: (
        Race(
            "Mixed, two classes, one class",
            tuple(replace(_E14, batch_order=order) for order in _E14_ORDERS),
            300,
        ),
    ),
    nulls=(
        same("who meets plays no role", {"sorted": "shuffled"}),
        same("batch norm is like layer norm", {"batch": "layer"}),
        changed("inference is as training", lambda _, found: {"running": found["own"]}),
    ),
)


def _e15_cells(full: bool) -> Cells:
    config = RunConfig(
        dataset="groups", depth=2, width=32, batch_size=64, norm_batch=8, replicas=4 if full else 3, **QUIET
    )
    return {
        (norm, order): Cell("leakage", replace(config, norm=norm, batch_order=order), 600 if full else 300)
        for norm, order in product(("batch", "layer"), ("grouped", "shuffled"))
    }


def _e15_read(results: Results) -> Findings:
    batch, apart = results["batch", "grouped"], results["batch", "shuffled"]
    inference, layer = batch["running"], results["layer", "grouped"]["running"]
    checks = [
        check("AUC, statistics of its group − running", batch["grouped"] - inference, 0.15,
              seeds=4, null=0, name="leak"),
        check("AUC, statistics of its group − of strangers", batch["grouped"] - batch["shuffled"], 0.15,
              seeds=4, null=0, name="leak"),
        check("AUC in inference, trained on groups − on strangers", inference - apart["running"], -0.03, 0.03,
              seeds=4, name="harmless"),
        check("AUC in inference, trained on groups, batch norm − layer norm", inference - layer, -0.03, 0.03,
              seeds=4, name="harmless"),
    ]  # fmt: skip
    trained = {"grouped": "on groups", "shuffled": "on strangers"}
    statistics = {"grouped": "its own group’s", "running": "running averages", "shuffled": "strangers’"}
    for (norm, order), found in results.items():
        for name, words in statistics.items() if norm == "batch" else [("running", "")]:
            what = f"AUC, {NAMES[norm]} trained {trained[order]}"
            checks.append(check(what + (f", statistics: {words}" if words else ""), found[name]))
    notes = (
        "Training on strangers instead of groups changes the AUC in inference by "
        f"{paired(apart['running'] - inference).text('', 3).replace('  ', ' ')}, and with the group’s "
        f"statistics it is {mean(apart['grouped']):.3f} even so.",
    )
    picture = Picture(
        "Groups of eight with one positive each: how well it is found", "statistics in evaluation",
        "area under the ROC curve",
        tuple(
            band(f"{NAMES[norm]}, trained {trained[order]}", statistics.values(),
                 np.stack([found[name] for name in statistics], axis=1))
            for (norm, order), found in results.items()
        ),
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


def _e15_paid(results: Results) -> dict[Any, Any]:
    """Return what would be measured where training on groups costs in inference what the leak gains."""
    label = "batch", "grouped"
    found = results[label]
    strangers = results["batch", "shuffled"]["running"]
    return {**results, label: {**found, "running": 2 * strangers - found["grouped"]}}


E15 = Experiment(
    name="E15",
    title="Batch-mates leak the answer, without harm in inference",
    claims={"discrepancy": Sides(shows=("leak",), limits=("harmless",))},
    setup="""
        Synthetic groups of eight that share an offset, one of each eight is positive; 2 × 32 ReLU units,
        norm batches of eight: a group, or strangers; SGD at 0.1, 600 steps, 4 seeds.
    """,
    theory="""
        Subtracting the group’s mean removes the offset: whoever is normalized with its group stands out.
    """,
    accepted="""
        With the group’s statistics the AUC is at least 0.15 higher than in inference and than with those of
        strangers. In inference training on groups is within 0.03 of training on strangers and of layer norm.
    """,
    sources=("Wu & Johnson 2021",),
    contested="""
        Wu & Johnson report that such a leak hurts inference: that is judged here, too. A network trained on
        strangers may find the answer as well when it is given the group’s statistics.
    """,
    cells=_e15_cells,
    read=_e15_read,
    races="The lab draws accuracies, and here seven of eight samples are negative; it has no ROC curve.",
    nulls=(
        same("batch norm is like layer norm", {"batch": "layer"}),
        Null("training on groups costs in inference what the leak gains", _e15_paid),
    ),
)
