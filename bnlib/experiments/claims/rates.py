"""E8, E9, E10, E19: learning rates and the scale of weights."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import exp, inf
from typing import Any

import numpy as np

from ...config import RunConfig
from ..findings import Check, Findings, Picture, Results, band, check, curve, mean, near
from ..model import NAMES, QUIET, Cells, Experiment, Race
from ..probes import Cell

_LEARNS = 0.5  # training loss; guessing has 2.30


def times(what: str, ratios: Any, least: float = 0.0, most: float = inf, **rest: Any) -> Check:
    """Return a check of a ratio's geometric mean over seeds; bounds widen by factors, never past 1."""
    with np.errstate(divide="ignore"):
        found = check(what, np.log(ratios), *np.log((least, most)), null=0, **rest)
    factor = exp(found.slack)
    slack = most * (factor - 1) if most < inf else least * (1 - 1 / factor)
    measured, low, high = np.exp((found.measured, found.low, found.high)).tolist()
    bounds = {"least": least if least > 0 else -inf, "most": most, "slack": slack}
    return replace(found, measured=measured, low=low, high=high, **bounds)


def _e8_cells(full: bool) -> Cells:
    rates = (0.003, 0.0055, 0.01, 0.018, 0.03, 0.055, 0.1, 0.18, 0.3, 0.55, 1.0, 1.8, 3.0, 5.5, 10.0)
    depths, seeds = ((5, 10, 20), 3) if full else ((5,), 2)
    config = RunConfig(
        inputs="standardized", batch_size=64, replicas=seeds, record_every=1, validate_every=10**6
    )
    return {
        (depth, norm, lr): Cell("learning", replace(config, depth=depth, norm=norm, lr=lr), 300)
        for depth, norm, lr in product(depths, ("none", "batch"), rates if full else rates[::2])
    }


def _e8_read(results: Results) -> Findings:
    checks, pictures, notes = [], [], []
    slower, lower, gains = [], [], []
    rates = sorted({lr for _, _, lr in results})
    for depth in sorted({depth for depth, _, _ in results}):
        arms = {norm: [results[depth, norm, lr] for lr in rates] for norm in ("none", "batch")}
        loss = {n: np.stack([found["final_loss"] for found in arm], axis=1) for n, arm in arms.items()}
        largest = {}
        for norm, values in loss.items():
            learned = np.where(values < _LEARNS, rates, 0.0).max(axis=1)
            failed = int((learned == 0).sum())
            if failed:
                seeds = f"{failed} of {len(learned)} seeds"
                notes.append(f"Depth {depth}, {NAMES[norm]}: {seeds} learn at no rate.")
            # A seed that learns at no rate counts as if it did at the smallest, in favour of no norm.
            largest[norm] = np.maximum(learned, rates[0])
            checks.append(check(f"largest rate that learns, {NAMES[norm]}, depth {depth}", largest[norm]))
        ratio = largest["batch"] / np.exp(np.log(largest["none"]).mean())
        checks.append(
            check(
                f"largest rate that learns, batch norm / no norm, depth {depth}",
                ratio,
                least=3 if depth == 5 else 10,
            )
        )
        slow = {norm: values[:, rates.index(0.01)] for norm, values in loss.items()}
        if slow["none"].max() < slow["batch"].min():
            slower.append(str(depth))
        best = {norm: np.nanmin([found["final"] for found in arm], axis=0) for norm, arm in arms.items()}
        for norm, values in best.items():
            checks.append(check(f"error at the best rate, {NAMES[norm]}, depth {depth}, %", values))
        lowest = {norm: np.nanmin(values, axis=1) for norm, values in loss.items()}
        for norm, values in lowest.items():
            checks.append(check(f"lowest training loss of any rate, {NAMES[norm]}, depth {depth}", values))
        if lowest["batch"].max() < lowest["none"].min():
            lower.append(str(depth))
        gain = mean(best["none"]) - mean(best["batch"])
        shows = "" if abs(gain) > EVIDENCE else ", no evidence"
        gains.append(f"{gain:+.1f} points (depth {depth}{shows})")
        curves = []
        for norm, values in loss.items():
            whole = np.where(np.isnan(values).any(axis=0), np.nan, values)
            curves.append(band(NAMES[norm], rates, whole))
        pictures.append(Picture(
            f"Training loss after 300 steps, depth {depth}; a line ends where a seed diverges",
            "learning rate", "training loss", tuple(curves), log_x=True,
        ))  # fmt: skip
    if slower:
        notes.append(
            f"At learning rate 0.01 batch norm is slower in every seed, at depth {', '.join(slower)}."
        )
    depths = f"At depth {', '.join(lower)}" if lower else "At no depth"
    verb = "batch norm has" if lower else "has batch norm"
    notes.append(f"{depths} {verb} the lower training loss in every seed, each at its best rate.")
    notes.append(
        f"At each one’s best rate, batch norm changes accuracy by {', '.join(gains)}; the rates were chosen "
        "on the same seeds."
    )
    return Findings(tuple(pictures), tuple(checks), tuple(notes))


E8 = Experiment(
    name="E8",
    title="Higher learning rates",
    claims={},
    setup=f"""
        Digits, standardized, ReLU, 5, 10 and 20 layers of 64 units, SGD, batch 64, 300 steps, learning
        rates from 0.003 to 10, 3 seeds. A rate learns if the training loss over the last 20 steps is
        below {_LEARNS}.
    """,
    theory="",
    accepted="""
        The largest rate that learns is at least 3 times higher with batch norm at depth 5, 10 times at 10
        and 20.
    """,
    sources=("Ioffe & Szegedy 2015, section 3.3", "Bjorck et al. 2018"),
    contested="""
        Bjorck et al. see no difference at a learning rate of 1e-4. A wider range of rates is not yet
        faster training: that depends on how well the other network was tuned, which the notes compare.
    """,
    cells=_e8_cells,
    read=_e8_read,
    races=lambda: tuple(
        Race(
            f"Depth {depth}: learning rate {low} and {high}",
            tuple(
                RunConfig(inputs="standardized", depth=depth, batch_size=64, replicas=3, norm=norm, lr=lr)
                for norm, lr in product(("none", "batch"), (low, high))
            ),
            300,
        )
        for depth, low, high in ((5, 0.1, 3.0), (20, 0.01, 1.0))
    ),
)

_TWO = RunConfig(
    depth=2, width=48, batch_size=32, eps=0.0, lr=0.1, rest_lr=0.1, replicas=4, dtype="float64", **QUIET
)  # fmt: skip


def _e9_cells(full: bool) -> Cells:
    config, steps = replace(_TWO, replicas=4 if full else 2), 200 if full else 60
    return {
        follow: Cell("rescaled", config, steps, (("factor", 10.0), ("follow", follow)))
        for follow in (True, False)
    }


def _e9_read(results: Results) -> Findings:
    follow, stay = results[True], results[False]
    checks = (
        check(
            "largest difference of the loss, (100η, 10W)",
            follow["loss_difference"],
            most=1e-9,
            expected=0.0,
            worst=True,
        ),
        check("error of ‖W⁺‖² = ‖W‖² + η²‖∇‖²", follow["recursion"], most=1e-9, expected=0.0, worst=True),
        check("largest difference of the loss, (η, 10W)", stay["loss_difference"]),
    )
    picture = Picture(
        "Weights ten times as large: the loss follows only if the learning rate grows a hundredfold", "step",
        "training loss",
        (
            curve("η, W", follow, "train_loss"),
            curve("100η, 10W", follow, "other_loss"),
            curve("η, 10W", stay, "other_loss"),
        ),
    )  # fmt: skip
    return Findings((picture,), checks)


E9 = Experiment(
    name="E9",
    title="The scale of weights is a learning rate in disguise",
    claims={},
    setup="""
        Digits, 2 × 48 units with batch norm, ε = 0, float64, batch 32, 200 steps; hidden weights times
        10, their learning rate times 100 or not; all else keeps its rate.
    """,
    theory="""
        The loss doesn’t depend on the weights’ length, so that (η, W) and (a²η, aW) are the same
        training, the gradient is at right angles to W, and ‖W⁺‖² = ‖W‖² + η²‖∇‖².
    """,
    accepted="Differences below 1e-9.",
    sources=("van Laarhoven 2017", "Ioffe & Szegedy 2015, section 3.3"),
    contested="",
    cells=_e9_cells,
    read=_e9_read,
    races="Layers with learning rates of their own, and float64, are not among the lab’s settings.",
)


def _e10_cells(full: bool) -> Cells:
    config = replace(_TWO, rest_lr=0.05, learn_affine=False)
    pairs = ((0.5, 0.01), (0.2, 0.01), (0.5, 0.004), (0.2, 0.025)) if full else ((0.5, 0.01), (0.2, 0.025))
    found: Cells = {}
    for lr, decay in pairs:
        arm = replace(config, lr=lr, weight_decay=decay)
        steps = round(6 / (lr * decay))
        for scale in (0.3, 1.0, 3.0) if full else (1.0,):
            found["sgd", lr, decay, scale] = Cell("equilibrium", arm, steps, (("scale", scale),))
        if full:
            found["momentum", lr, decay, 1.0] = Cell("equilibrium", replace(arm, optimizer="momentum"), steps)
    return found


def _e10_read(results: Results) -> Findings:
    checks = []
    for kind, lr, decay in dict.fromkeys(label[:3] for label in results):
        found = [value for label, value in results.items() if label[:3] == (kind, lr, decay)]
        name = f"{'SGD' if kind == 'sgd' else 'momentum 0.9'}, η={lr}, λ={decay}"
        angle = np.concatenate([value["angle"] for value in found])
        checks.append(
            near(f"angle a step / theory, {name}", angle, 1.0, 0.05, seeds=12 if kind == "sgd" else 4)
        )
        norm4 = np.concatenate([value["norm4"] for value in found])
        if kind == "sgd":
            checks.append(near(f"‖W‖⁴ / theory, {name}", norm4, 1.0, 0.05, seeds=12))
        else:
            checks.append(check(f"‖W‖⁴ / theory, {name}", norm4, expected=1.0))
    shown = [label for label in results if label[:3] == ("sgd", 0.5, 0.01)]
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
    heavy = [found["norm4"] for label, found in results.items() if label[0] == "momentum"]
    notes: tuple[str, ...] = ()
    if heavy:
        off = mean(np.concatenate(heavy)) - 1
        notes = (f"Under momentum ‖W‖⁴ is {abs(off):.0%} {'below' if off < 0 else 'above'} the formula.",)
    return Findings((length, turning), tuple(checks), notes)


E10 = Experiment(
    name="E10",
    title="With weight decay weights turn at a rate set by ηλ, wherever they start",
    claims={},
    setup="""
        As E9, with weight decay λ on the hidden weights (all else at 0.05, without), initial weights ×
        0.3, 1 and 3, 6/(ηλ) steps, of which the last quarter counts, 4 seeds.
    """,
    theory="Angle a step √(2ηλ), or √(2ηλ/(1+μ)) with momentum μ; ‖W‖⁴ = η(‖∇‖‖W‖)²/2λ.",
    accepted="Within 5%; the length under momentum, whose gradients are not independent, is only reported.",
    sources=("van Laarhoven 2017", "Wan et al. 2020"),
    contested="",
    cells=_e10_cells,
    read=_e10_read,
    races="Layers with learning rates of their own, and float64, are not among the lab’s settings.",
)

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 10.0)
_E19 = RunConfig(depth=10, batch_size=64, replicas=4)


def _e19_cells(full: bool) -> Cells:
    config = replace(_E19, replicas=4 if full else 3, **QUIET)
    return {
        (norm, scale): Cell("learning", replace(config, norm=norm, init_scale=scale), 300)
        for norm, scale in product(("none", "layer", "batch"), _SCALES if full else (0.1, 1.0, 10.0))
    }


def _e19_read(results: Results) -> Findings:
    scales = list(dict.fromkeys(scale for _, scale in results))
    checks, series = [], []
    for norm in ("none", "layer", "batch"):
        labels = {scale: (norm, scale) for scale in scales}
        errors = {scale: np.nan_to_num(results[label]["final"], nan=90.0) for scale, label in labels.items()}
        most = 35.0 if norm == "batch" else inf
        checks += [
            check(f"error, {NAMES[norm]}, weights × {s:g}, %", e, most=most, seeds=4)
            for s, e in errors.items()
        ]
        series.append(band(NAMES[norm], scales, np.stack(list(errors.values()), axis=1)))
    failing = sum(y > 50 for y in series[0].y) / len(scales)
    checks.append(
        check("share of scales at which training without a norm fails (error over 50%)", failing, least=0.5)
    )
    picture = Picture(
        "Ten layers from weights of every size", "initial weights, × He et al. 2015",
        "validation error after 300 steps, %",
        tuple(series), log_x=True,
    )  # fmt: skip
    ends = {
        norm: (drawn.y[0], drawn.y[-1])
        for norm, drawn in zip(("none", "layer", "batch"), series, strict=True)
    }
    at_hes = {norm: mean(results[norm, 1.0]["final"]) for norm in ("none", "batch")}
    low, high = ends["batch"]
    notes = (
        f"Batch norm pays, too: it errs by {low:.1f}% from weights × {scales[0]:g} and by {high:.1f}% from "
        f"× {scales[-1]:g}, where large weights are a small learning rate (E9). "
        f"Layer norm: {ends['layer'][0]:.1f}% and {ends['layer'][1]:.1f}%.",
        f"At He’s scale: {at_hes['none']:.1f}% without a norm, {at_hes['batch']:.1f}% with batch norm.",
        "A run that diverges counts as guessing, 90%.",
    )
    return Findings((picture,), tuple(checks), notes)


E19 = Experiment(
    name="E19",
    title="Badly scaled initial weights matter less",
    claims={},
    setup="""
        Digits, 10 × 64 ReLU units, SGD at learning rate 0.1, batch 64, 300 steps, initial weights from a
        tenth to ten times He’s, 4 seeds.
    """,
    theory="A layer’s scale doesn’t reach what follows its norm; it acts as a learning rate (E9).",
    accepted="""
        Batch norm learns (error below 35%) at every scale; training without a norm fails at half of them
        or more.
    """,
    sources=("Ioffe & Szegedy 2015, section 3.3",),
    contested="""
        Initialization by He et al. 2015 solves the same problem: the note has both at its scale.
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
)
