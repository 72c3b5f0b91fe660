"""E29: what repairs batches of two samples in a dense network."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ...networks.config import RunConfig
from ..findings import Findings, Picture, Results, band, check, curve, mean
from ..intervals import paired
from ..model import Arms, Cells, Experiment, Race, Sides
from ..nulls import exchanged, same
from ..probes import Cell

_E29 = RunConfig(
    depth=4, batch_size=2, lr=0.1 * 2 / 64, optimizer="momentum", weight_decay=1e-4, cosine_steps=5120,
    groups=4, momentum=0.99, replicas=5, record_every=640, validate_every=640,
)  # fmt: skip
_ARMS: Arms = {
    "batch": {},
    "renorm": {"norm": "renorm"},
    "running": {"norm": "running"},
    "running, 0.9": {"norm": "running", "momentum": 0.9},
    "group": {"norm": "group"},
    "standard": {"norm": "group", "weight_norm": "standard"},
    "none": {"norm": "none"},
}
_WORDS = {
    "batch": "batch norm",
    "renorm": "batch renorm",
    "running": "running averages",
    "running, 0.9": "running averages of momentum 0.9",
    "group": "group norm",
    "standard": "group norm and weight standardization",
    "none": "no norm",
}
_ORDER = ("batch", "renorm", "running", "group")  # from the largest error to the smallest
_LESS = {"renorm": 15, "running": 9, "group": 6}  # at least so many points less than the one before


def _e29_cells(full: bool) -> Cells:
    steps, arms = (5120, _ARMS) if full else (1280, ("batch", "running", "group", "none"))
    config = replace(_E29, cosine_steps=steps, replicas=5 if full else 3)
    more = (("precise", True),)
    return {arm: Cell("learning", replace(config, **_ARMS[arm]), steps, more) for arm in arms}


def _e29_read(results: Results) -> Findings:
    final = {arm: found["final"] for arm, found in results.items()}
    checks = [check("error of batch norm, %", final["batch"], least=40, seeds=5, name="fails")]
    for worse, better in pairwise(arm for arm in _ORDER if arm in results):
        what = f"{_WORDS[worse]} − {_WORDS[better]}, points"
        step = final[worse] - final[better]
        checks.append(check(what, step, least=_LESS[better], seeds=5, null=0, name="repairs"))
    checks.append(
        check("no norm − group norm, points", final["none"] - final["group"], most=1, seeds=5, name="bare")
    )
    checks += [check(f"error of {_WORDS[arm]}, %", values) for arm, values in final.items() if arm != "batch"]
    batch = results["batch"]
    told = {"final_batch": "statistics of the batch", "final_precise": "statistics computed anew"}
    checks += [check(f"error of batch norm with {words}, %", batch[name]) for name, words in told.items()]
    pictures = (
        Picture(
            "Batches of two: error at the end", "norm", "validation error, %",
            (band("validation", [_WORDS[arm] for arm in final], np.stack([*final.values()], axis=1)),),
        ),
        Picture(
            "Batches of two: error in training", "step", "validation error, %",
            tuple(curve(_WORDS[arm], found, "val_error") for arm, found in results.items()), log_y=True,
        ),
    )  # fmt: skip
    return Findings(pictures, tuple(checks), _e29_notes(results))


def _e29_notes(results: Results) -> tuple[str, ...]:
    final = {arm: found["final"] for arm, found in results.items()}
    best = min(final, key=lambda arm: float(final[arm].mean()))
    bare = paired(final["none"] - final["group"])
    anew = paired(results["batch"]["final_precise"] - final["batch"])
    order = [arm for arm in _ORDER if arm in final]
    over = [f"{_WORDS[a]} and {_WORDS[b]}" for a, b in pairwise(order) if final[a].min() <= final[b].max()]
    notes = [
        f"In these seeds errors of {'; of '.join(over)} overlap." if over
        else f"In these seeds errors of {', '.join(_WORDS[arm] for arm in order)} don’t overlap.",
        f"The lowest error, {mean(final[best]):.1f}%, is that of {_WORDS[best]}. No norm − group norm: "
        f"{bare.text()}{'' if bare.clear else ', no evidence for either'}.",
        f"With statistics computed anew batch norm errs by {mean(results['batch']['final_precise']):.0f}%, a "
        f"change of {anew.text()}{'' if anew.clear else ', no evidence of any'}.",
    ]  # fmt: skip
    if "standard" in final:
        more = paired(final["standard"] - final["group"])
        unclear = "" if more.clear else ", no evidence of a change"
        notes.append(f"Weight standardization changes group norm’s error by {more.text()}{unclear}.")
    return tuple(notes)


E29 = Experiment(
    name="E29",
    title="Repairs at batch 2, in a dense network that needs no norm",
    claims={"small": Sides(shows=("fails", "repairs"), limits=("bare",))},
    setup="""
        The dense network of E12 at batch 2: digits, 4 × 64 ReLU units, momentum SGD at learning rate 0.1 ·
        2/64, weight decay 1e-4, cosine over 5,120 steps (8 epochs), 5 seeds. Running averages have momentum
        0.99, in one arm 0.9. Batch renorm has r up to 3 and d up to 5 from the start, group norm 4 groups.
    """,
    theory="""
        Of the gradient, 4ε/(d² + 4ε)^(3/2) passes batch norm of two numbers at distance d (E2): almost
        nothing, but 158 times as much as came where the two are alike (ε=1e-5). Hidden layers get nearly no
        gradient at most steps and a kick at some. The corrections of batch renorm are constants in the
        backward pass, and leave that as it is; they repair that training normalizes otherwise than inference.
        Where running averages normalize in training, the gradient passes, but doesn’t know that a step moves
        them. Group norm looks at one sample at a time, so that the batch plays no role.
    """,
    accepted="""
        Batch norm errs by at least 40%. Errors fall in the order batch norm, batch renorm, running averages,
        group norm, by at least 15, 9 and 6 points. No norm errs by at most 1 point more than group norm.
    """,
    sources=(
        "Ioffe 2017 (batch renorm)",
        "Wu & He 2018 (group norm)",
        "Qiao et al. 2019 (weight standardization; quoted from the abstract and from their code’s notes)",
        "Singh & Shrivastava 2019 (EvalNorm; quoted from the abstract)",
    ),
    contested="""
        Singh & Shrivastava gain 6.18 points at batch 2 on ImageNet by other statistics in evaluation alone;
        what two numbers keep a dense layer from learning, evaluation can’t bring back. Qiao et al. report
        that with weight standardization group norm at 1 image a worker reaches batch norm at large batches;
        here group norm leaves nothing to repair.
    """,
    caveat="""
        Means over seeds are judged: single seeds of batch norm and batch renorm can overlap. In PyTorch group
        norm is nn.GroupNorm. Batch renorm isn’t there. Running averages in training are F.batch_norm(...,
        training=False) with averages that are updated by hand: nn.BatchNorm1d in eval mode doesn’t update
        them. Weight standardization is a parametrization (nn.utils.parametrize) of three lines. No norm
        suffices in four layers with He’s initial weights; E8 has deeper networks.
    """,
    cells=_e29_cells,
    read=_e29_read,
    races=lambda: (
        Race(
            "Batches of two: batch norm and three repairs, up to step 2,000 of 5,120",
            tuple(replace(_E29, replicas=3, **_ARMS[arm]) for arm in _ORDER),
            2000,
        ),
    ),
    nulls=(
        same("batch norm is like no norm", {"batch": "none"}),
        same("no repair changes anything", dict.fromkeys(_ORDER[1:], "batch")),
        exchanged("batch", "none", "batch norm and no norm are exchanged"),
    ),
)
