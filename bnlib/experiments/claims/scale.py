"""E9, E10, E19: the scale of weights, which is a learning rate."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import exp

import numpy as np

from ...networks.config import RunConfig
from ...norms.statistics import Array
from ..findings import (
    Findings,
    Label,
    Picture,
    Results,
    band,
    check,
    compared,
    curve,
    near,
)
from ..intervals import paired
from ..model import NAMES, QUIET, Cells, Experiment, Race, Sides
from ..nulls import changed, exchanged, same
from ..probes import Cell
from ..probes.arithmetic import Measured

_TWO = RunConfig(
    depth=2, width=48, batch_size=32, eps=0.0, lr=0.1, rest_lr=0.1, replicas=4, dtype="float64", **QUIET
)  # fmt: skip


def _e9_cells(full: bool) -> Cells:
    config, steps = replace(_TWO, replicas=4 if full else 2), 200 if full else 60
    arms = (("batch", True), ("batch", False), ("none", True))
    return {
        (norm, follow): Cell(
            "rescaled", replace(config, norm=norm), steps, (("factor", 10.0), ("follow", follow))
        )
        for norm, follow in arms
    }


def _e9_read(results: Results) -> Findings:
    follow, stay, bare = (results[label] for label in (("batch", True), ("batch", False), ("none", True)))
    what = "largest difference of the loss"
    checks = (
        check(f"{what}, (100η, 10W), batch norm", follow["loss_difference"], most=1e-9,
              expected=0.0, worst=True, name="same"),
        check(f"{what}, (100η, 10W), no norm", bare["loss_difference"], least=0.1, name="same"),
        check(f"{what}, (η, 10W), batch norm", stay["loss_difference"], least=0.1, name="rate"),
        check("error of ‖W⁺‖² = ‖W‖² + η²‖∇‖², batch norm", follow["recursion"], most=1e-9,
              expected=0.0, worst=True, exact=True),
    )  # fmt: skip
    picture = Picture(
        "Weights ten times as large: the loss follows only if the learning rate grows a hundredfold", "step",
        "training loss",
        (
            curve("η, W", follow, "train_loss"),
            curve("100η, 10W", follow, "other_loss"),
            curve("η, 10W", stay, "other_loss"),
        ),
    )  # fmt: skip
    lost = int(np.isnan(bare["other_loss"]).any(axis=1).sum())
    seeds = len(bare["other_loss"])
    notes = (f"Without a norm (100η, 10W) diverges in {lost} of {seeds} seeds.",) if lost else ()
    return Findings((picture,), checks, notes)


E9 = Experiment(
    name="E9",
    title="The scale of weights is a learning rate in disguise",
    claims={"initialization": Sides(shows=("same",), limits=("rate",))},
    setup="""
        Digits, 2 × 48 units, batch norm with ε = 0 or no norm, float64, batch 32, 200 steps, 4 seeds; hidden
        weights times 10, their learning rate times 100 or not; all else keeps its rate.
    """,
    theory="""
        With batch norm the loss doesn’t depend on the weights’ length, so that (η, W) and (a²η, aW) are the
        same training, the gradient is at right angles to W, and ‖W⁺‖² = ‖W‖² + η²‖∇‖².
    """,
    accepted="""
        With batch norm (100η, 10W) differs from (η, W) by at most 1e-9 in any step’s loss, without a norm by
        at least 0.1; with batch norm (η, 10W) differs by at least 0.1.
    """,
    sources=("van Laarhoven 2017", "Ioffe & Szegedy 2015, section 3.3"),
    contested="",
    caveat="""
        A run that has diverged counts with the loss at which it did, 1,000 times that of guessing. Batch norm
        isn’t the only norm that doesn’t notice the weights’ scale (E18).
    """,
    cells=_e9_cells,
    read=_e9_read,
    races="Layers with learning rates of their own, and float64, are not among the lab’s settings.",
    nulls=(
        exchanged("batch", "none", "batch norm and no norm are exchanged"),
        same("the learning rate plays no role", {False: True}),
    ),
)

_E10 = replace(_TWO, rest_lr=0.05, learn_affine=False)
_STARTS = (0.3, 1.0, 3.0)  # times the initial weights


def _e10_cells(full: bool) -> Cells:
    if full:  # by (η, λ): how many steps, and from which starts
        grid = {
            (0.5, 0.06): (1000, _STARTS), (0.5, 0.01): (2000, _STARTS), (0.2, 0.025): (2000, _STARTS),
            (0.2, 0.01): (4000, (1.0,)), (0.5, 0.001): (20_000, (1.0,)),
        }  # fmt: skip
    else:
        grid = {(0.5, 0.06): (500, _STARTS)}
    found: Cells = {}
    for (lr, decay), (steps, starts) in grid.items():
        arm = replace(_E10, lr=lr, weight_decay=decay)
        for scale in starts:
            found["sgd", lr, decay, scale] = Cell("equilibrium", arm, steps, (("scale", scale),))
        if steps <= 4000:
            found["momentum", lr, decay, 1.0] = Cell("equilibrium", replace(arm, optimizer="momentum"), steps)
    return found


def _e10_read(results: Results) -> Findings:
    checks = []
    for kind, lr, decay in dict.fromkeys(label[:3] for label in results):
        found = [value for label, value in results.items() if label[:3] == (kind, lr, decay)]
        where = f"{'SGD' if kind == 'sgd' else 'momentum 0.9'}, η={lr:g}, λ={decay:g}"
        if len(found) > 1:
            where += ", start farthest off"
        name = "forgotten" if len(found) > 1 else "turning"
        for quantity, words in (("angle", "angle a step / theory"), ("norm4", "‖W‖⁴ / theory")):
            values = max((value[quantity] for value in found), key=lambda one: abs(one.mean() - 1))
            if quantity == "angle" or kind == "sgd":
                checks.append(near(f"{words}, {where}", values, 1.0, 0.05, name=name))
            else:
                checks.append(check(f"{words}, {where}", values, expected=1.0))
    left = max(_left(label, found) for label, found in results.items())
    notes = [
        "By theory what ‖W‖⁴ has too much falls to 1/e in 1/(4ηλ) steps: of the start, no more than "
        f"{left:.1g} of ‖W‖⁴ is left when the last quarter begins."
    ]
    first = next(label[:3] for label in results)
    shown = [label for label in results if label[:3] == first]
    length = Picture(
        "From any start the weights reach the length where decay and gradients balance", "step",
        "‖W‖ of the first hidden layer",
        tuple(curve(f"initial weights × {label[3]:g}", results[label], "weight_norm") for label in shown),
        log_y=True,
    )  # fmt: skip
    turning = Picture(
        "And turn at the same rate", "step", "angle of a step / √(2ηλ)",
        tuple(curve(f"initial weights × {label[3]:g}", results[label], "turning") for label in shown),
        log_y=True,
    )  # fmt: skip
    off = np.concatenate([found["norm4"] for label, found in results.items() if label[0] != "sgd"]).mean() - 1
    notes.append(f"Under momentum ‖W‖⁴ is {abs(off):.0%} {'below' if off < 0 else 'above'} the formula.")
    return Findings((length, turning), tuple(checks), tuple(notes))


def _left(label: Label, found: Measured) -> float:
    """Return what is left of the start at three quarters, by theory, as a share of ‖W‖⁴ at the end."""
    _, lr, decay, _ = label
    length, last = found["weight_norm"], float(found["step"][0][-1])
    above = np.abs((length[:, 0] / length[:, -1]) ** 4 - 1).max()
    return float(above * exp(-4 * lr * decay * 0.75 * last))


def _remembered(label: Label, found: dict[str, Array]) -> dict[str, Array]:
    return {"norm4": found["norm4"] * label[3] ** 4, "angle": found["angle"] / label[3] ** 2}


def _unset(label: Label, found: dict[str, Array]) -> dict[str, Array]:
    _, lr, decay, _ = label
    angle, norm4 = (0.01 / (lr * decay)) ** 0.5, 100 * decay / lr
    return {"angle": found["angle"] * angle, "norm4": found["norm4"] * norm4}


E10 = Experiment(
    name="E10",
    title="With weight decay weights turn at a rate set by ηλ, wherever they start",
    claims={"initialization": Sides(shows=("forgotten", "turning"))},
    setup="""
        As E9, with batch norm and weight decay λ on the hidden weights (all else at learning rate 0.05,
        without), ηλ from 0.0005 to 0.03, 1,000 to 20,000 steps, of which the last quarter counts, 4 seeds;
        at the larger ηλ from initial weights × 0.3, 1 and 3.
    """,
    theory="Angle a step √(2ηλ), or √(2ηλ/(1+μ)) with momentum μ; ‖W‖⁴ = η(‖∇‖‖W‖)²/2λ.",
    accepted="""
        Within 5%, from each start; the length under momentum, whose gradients are not independent, is only
        reported.
    """,
    sources=("van Laarhoven 2017", "Wan et al. 2020"),
    contested="",
    caveat="A start that is far off is forgotten after several times 1/(4ηλ) steps; until then it counts.",
    cells=_e10_cells,
    read=_e10_read,
    races="Layers with learning rates of their own, and float64, are not among the lab’s settings.",
    nulls=(
        changed("the length at the start is kept", _remembered),
        changed("neither angle nor length depends on η and λ", _unset),
    ),
)

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 10.0)
_E19 = RunConfig(depth=10, batch_size=64, replicas=4)


def _e19_cells(full: bool) -> Cells:
    config, steps = replace(_E19, replicas=4 if full else 3, **QUIET), 300 if full else 120
    return {
        (norm, scale): Cell("learning", replace(config, norm=norm, init_scale=scale), steps)
        for norm, scale in product(("none", "layer", "batch"), _SCALES if full else (0.1, 1.0, 10.0))
    }


def _e19_read(results: Results) -> Findings:
    scales = list(dict.fromkeys(scale for _, scale in results))
    errors = {label: np.nan_to_num(found["final"], nan=90.0) for label, found in results.items()}
    checks = [
        check(f"error of no norm − of batch norm, weights × {s:g}, points",
              errors["none", s] - errors["batch", s], least=30, seeds=4, null=0, name="scales")
        for s in scales if s != 1
    ]  # fmt: skip
    largest, own = errors["batch", scales[-1]], errors["batch", 1.0]
    what = f"error of batch norm, weights × {scales[-1]:g} − × 1, points"
    checks.append(check(what, largest - own, least=8, seeds=4, null=0, name="price"))
    checks += [check(f"error, {NAMES[n]}, weights × {s:g}, %", values) for (n, s), values in errors.items()]
    series = [
        band(NAMES[norm], scales, np.stack([errors[norm, scale] for scale in scales], axis=1))
        for norm in ("none", "layer", "batch")
    ]
    picture = Picture(
        "Ten layers from weights of every size", "initial weights, × He et al. 2015",
        "validation error after 300 steps, %",
        tuple(series), log_x=True,
    )  # fmt: skip
    apart = {f"× {s:g}": errors["layer", s] - errors["batch", s] for s in scales}
    notes = (
        compared("Layer norm’s error against batch norm’s", apart),
        f"At He’s scale, no norm − batch norm: {paired(errors['none', 1.0] - own).text()}.",
        "A run that diverges counts as guessing, 90%.",
    )
    return Findings((picture,), tuple(checks), notes)


E19 = Experiment(
    name="E19",
    title="Badly scaled initial weights matter less",
    claims={"initialization": Sides(shows=("scales",), limits=("price",))},
    setup="""
        Digits, 10 × 64 ReLU units, SGD at learning rate 0.1, batch 64, 300 steps, initial weights from a
        tenth to ten times He’s, 4 seeds.
    """,
    theory="A layer’s scale doesn’t reach what follows its norm; it acts as a learning rate (E9).",
    accepted="""
        At every scale but He’s, batch norm’s error is at least 30 points lower than without a norm. Batch
        norm isn’t indifferent: from weights × 10 its error is at least 8 points higher than from He’s.
    """,
    sources=("Ioffe & Szegedy 2015, section 3.3",),
    contested="""
        Initialization by He et al. 2015 solves the same problem: a note has both at its scale. Other norms
        help, too: a note compares layer norm.
    """,
    cells=_e19_cells,
    read=_e19_read,
    races=lambda: tuple(
        Race(
            f"Weights × {scale:g}: no norm, layer norm, batch norm",
            tuple(replace(_E19, norm=n, init_scale=scale) for n in ("none", "layer", "batch")),
            300,
        )
        for scale in (0.1, 4.0)
    ),
    nulls=(
        same("batch norm is like no norm", {"batch": "none"}),
        same("the scale plays no role", dict.fromkeys(_SCALES, 1.0)),
    ),
)
