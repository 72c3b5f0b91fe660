"""E13, E14, E15: training and inference differ."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from ...config import RunConfig
from ..findings import Findings, Picture, Results, band, check, curve, mean
from ..model import NAMES, QUIET, Cells, Experiment, Race, Sides
from ..nulls import changed
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
        last = {name: mean(found[name][:, -1]) for name in ("running", "corrected", "precise")}
        notes.append(
            f"Momentum {momentum}: after {steps} steps {momentum**steps:.0%} of the average is still its "
            f"start. Error {last['running']:.1f}%, {last['corrected']:.1f}% with that corrected, "
            f"{last['precise']:.1f}% with precise statistics: the difference of the latter two is lag."
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
    accepted="Precise statistics are better after every epoch, on average over seeds.",
    sources=("Wu & Johnson 2021",),
    contested="",
    cells=_e13_cells,
    read=_e13_read,
    races=lambda: (Race("Momentum 0.9 and 0.99", tuple(replace(_E13, momentum=m) for m in (0.9, 0.99)), 24),),
    nulls=(changed("running averages are as good as precise ones", lambda _, found: {"running": found["precise"]}),),
)

_E14 = RunConfig(
    depth=3, batch_size=160, norm_batch=8, lr=0.1, optimizer="momentum", cosine_steps=300, replicas=6
)  # fmt: skip
_E14_ORDERS = {"shuffled": "mixed classes", "pairs": "two classes", "sorted": "one class"}


def _e14_cells(full: bool) -> Cells:
    config = replace(_E14, replicas=6 if full else 3, **QUIET)
    return {
        (norm, order): Cell("learning", replace(config, norm=norm, batch_order=order), 300)
        for norm, order in product(("batch", "layer"), _E14_ORDERS)
    }


def _e14_read(results: Results) -> Findings:
    final = {label: found["final"] for label, found in results.items()}
    mixed = final["batch", "shuffled"]
    spread = np.stack([final["layer", order] for order in _E14_ORDERS])
    checks = [
        check(
            "batch norm, one class / mixed", final["batch", "sorted"] / mixed.mean(), least=3, seeds=6, null=1
        ),
        check("layer norm, highest − lowest, points", np.ptp(spread, axis=0), most=1.5),
    ]
    checks += [
        check(f"error, {NAMES[norm]}, {_E14_ORDERS[order]}, %", values)
        for (norm, order), values in final.items()
    ]
    checks += [
        check(f"error with batch statistics, batch norm, {words}, %", results["batch", order]["final_batch"])
        for order, words in _E14_ORDERS.items()
    ]
    picture = Picture(
        "Who meets in a norm batch of eight, and the error in inference", "classes in a norm batch",
        "validation error, %",
        tuple(
            band(NAMES[norm], _E14_ORDERS.values(), np.stack([final[norm, o] for o in _E14_ORDERS], axis=1))
            for norm in ("batch", "layer")
        ),
    )  # fmt: skip
    cheated = [mean(results["batch", order]["final_batch"]) for order in ("shuffled", "sorted")]
    rises = cheated[1] - cheated[0] > EVIDENCE
    notes = (
        "Batches of SGD are the same in all cases; only who shares a mean and a variance differs.",
        f"With batch statistics, too, the error is {cheated[0]:.1f}% mixed and {cheated[1]:.1f}% with one "
        "class: " + ("this is removal of signal, not leakage." if rises else "no signal is removed."),
    )
    return Findings((picture,), tuple(checks), notes)


E14 = Experiment(
    name="E14",
    title="Norm batches of one class remove the signal",
    claims={},
    setup="""
        Digits, 3 × 64 ReLU units, batch 160, statistics from 8 samples at a time that are mixed, of two
        classes or of one; momentum SGD at 0.1 on half a cosine, 300 steps, 6 seeds.
    """,
    theory="Layer norm looks at no other sample. In a norm batch of one class batch norm subtracts it.",
    accepted="One class at least 3 times the error of mixed; layer norm flat within 1.5 points.",
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
    batch = results["batch", "grouped"]
    checks = [
        check(
            "AUC, statistics of its group − running",
            batch["grouped"] - batch["running"],
            least=0.15,
            seeds=4,
            null=0,
        ),
        check(
            "AUC, statistics of its group − of strangers",
            batch["grouped"] - batch["shuffled"],
            least=0.15,
            seeds=4,
            null=0,
        ),
    ]
    trained = {"grouped": "on groups", "shuffled": "on strangers"}
    statistics = {"grouped": "its own group’s", "running": "running averages", "shuffled": "strangers’"}
    for (norm, order), found in results.items():
        for name, words in statistics.items() if norm == "batch" else [("running", "")]:
            what = f"AUC, {NAMES[norm]} trained {trained[order]}"
            checks.append(check(what + (f", statistics: {words}" if words else ""), found[name]))
    gain = mean(results["batch", "shuffled"]["running"]) - mean(batch["running"])
    notes = (
        f"Training on strangers instead of groups changes the AUC in inference by {gain:+.3f}, and with the "
        f"group’s statistics it is {mean(results['batch', 'shuffled']['grouped']):.3f} even so.",
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


E15 = Experiment(
    name="E15",
    title="Batch-mates leak the answer",
    claims={},
    setup="""
        Synthetic groups of eight that share an offset, one of each eight is positive; 2 × 32 ReLU units,
        norm batches of eight: a group, or strangers; SGD at 0.1, 600 steps, 4 seeds.
    """,
    theory="""
        Subtracting the group’s mean removes the offset: whoever is normalized with its group stands out.
    """,
    accepted="AUC at least 0.15 higher with the group’s statistics than in inference.",
    sources=("Wu & Johnson 2021",),
    contested="""
        Wu & Johnson report that such a leak hurts inference: the note says by how much here. A network
        trained on strangers may find the answer as well when it is given the group’s statistics.
    """,
    cells=_e15_cells,
    read=_e15_read,
    races="The lab draws accuracies, and here seven of eight samples are negative; it has no ROC curve.",
)
