"""E27: what gamma and beta learn by themselves, on random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ...networks.config import RunConfig
from ...networks.parameters import plan
from ...norms.statistics import Array
from ..findings import Findings, Picture, Results, band, check
from ..intervals import Interval, paired
from ..model import QUIET, Arms, Cells, Experiment, Sides
from ..nulls import same
from ..probes import Cell

_E27 = RunConfig(batch_size=32, replicas=12)
_DEPTHS = (3, 6)
_ARMS: Arms = {  # lr is of hidden weights, rest_lr of all else
    "affine": {"lr": 0.0},
    "output": {"lr": 0.0, "learn_affine": False},
    "biases": {"lr": 0.0, "norm": "none"},
    "shifted": {"lr": 0.0, "placement": "after", "learn_affine": False},
    "all": {},
}
_WORDS = {
    "affine": "γ, β and output layer",
    "output": "output layer alone",
    "biases": "biases and output layer, no norm",
    "shifted": "biases and output layer, norm without γ and β",
    "all": "everything",
}
_BETTER = {  # than which arm, by at least how many points at each depth; the name of these checks
    "output": ({3: 4, 6: 15}, "over the output layer"),
    "biases": ({3: 3, 6: 3}, "over biases"),
}
_BEHIND = 3  # points


def _config(arm: str, depth: int, rate: float) -> RunConfig:
    own: dict[str, Any] = {"lr": rate, "rest_lr": rate}
    return replace(_E27, depth=depth, **(own | _ARMS[arm]))


def _trained(arm: str, depth: int) -> int:
    """Count the numbers that an arm trains."""
    config = _config(arm, depth, 0.1)
    return plan(config).size - (0 if config.lr else plan(config).hidden_size)


def _e27_cells(full: bool) -> Cells:
    rates, steps = ((0.06, 0.2, 0.6, 2.0), 400) if full else ((0.2, 1.0), 160)
    quiet = {"replicas": 12 if full else 4} | QUIET
    return {
        (arm, depth, rate): Cell("units_off", replace(_config(arm, depth, rate), **quiet), steps)
        for arm, depth, rate in product(_ARMS, _DEPTHS, rates)
    }


def _chosen(errors: Mapping[float, Array]) -> tuple[float, float]:
    """Return the rates at which both halves of the seeds are judged: each at the other half's best."""
    half = len(next(iter(errors.values()))) // 2
    first, second = (
        min(errors, key=lambda rate: float(errors[rate][part].mean()))
        for part in (slice(half, None), slice(half))
    )
    return first, second


def _joined(values: Mapping[float, Array], rates: tuple[float, float]) -> Array:
    """Return the first half of the seeds at one rate, the second at another."""
    half = len(values[rates[0]]) // 2
    return np.concatenate([values[rates[0]][:half], values[rates[1]][half:]])


def _e27_read(results: Results) -> Findings:
    grid = list(dict.fromkeys(rate for _, _, rate in results))
    arms = list(product(_ARMS, _DEPTHS))
    errors = {
        arm: {rate: np.nan_to_num(results[*arm, rate]["final"], nan=90.0) for rate in grid} for arm in arms
    }
    rates = {arm: _chosen(errors[arm]) for arm in arms}
    final = {arm: _joined(errors[arm], rates[arm]) for arm in arms}
    checks = []
    for arm, (least, name) in _BETTER.items():
        for depth in _DEPTHS:
            gain = final[arm, depth] - final["affine", depth]
            what = f"{_WORDS[arm]} − {_WORDS['affine']}, depth {depth}, points"
            checks.append(check(what, gain, least=least[depth], seeds=12, null=0, name=name))
    for depth in _DEPTHS:
        behind = final["affine", depth] - final["all", depth]
        what = f"{_WORDS['affine']} − {_WORDS['all']}, depth {depth}, points"
        checks.append(check(what, behind, least=_BEHIND, seeds=12, null=0, name="behind everything"))
    for arm, depth in arms:
        checks.append(check(f"error, {_WORDS[arm]}, depth {depth}, %", final[arm, depth]))
    kept: dict[tuple[str, int], float] = {}
    for name, words in (("off", "hidden units that are never active"), ("small", "γ within 0.1 of 0")):
        for depth in _DEPTHS:
            values = {rate: results["affine", depth, rate][name] for rate in grid}
            shares = _joined(values, rates["affine", depth])
            checks.append(check(f"{words}, {_WORDS['affine']}, depth {depth}, %", shares))
            kept[name, depth] = checks[-1].measured
    fair = {d: paired(final["shifted", d] - final["affine", d]) for d in _DEPTHS}
    ends = [f"{_WORDS[arm]}, depth {d}" for (arm, d), own in rates.items() if {*own} & {grid[0], grid[-1]}]
    used = [
        f"{words} {' and '.join('/'.join(f'{rate:g}' for rate in rates[arm, d]) for d in _DEPTHS)}"
        for arm, words in _WORDS.items()
    ]
    notes = (
        f"Trained numbers at depth 3 and 6: {'; '.join(map(_counted, _ARMS))}.",
        f"Biases with a norm that lacks γ and β, compared with γ and β: {_side(fair)}.",
        f"With γ and β trained, {kept['off', 3]:.1f}% (depth 3) and {kept['off', 6]:.1f}% (depth 6) of the "
        f"hidden units are active for no validation sample, and {kept['small', 3]:.1f}% and "
        f"{kept['small', 6]:.1f}% of γ are within 0.1 of 0: "
        f"{'less than a third' if max(kept.values()) < 100 / 3 else 'a third or more'} is switched off.",
        f"Learning rates of both halves of the seeds at depth 3 and 6: {'; '.join(used)}. At an end of those "
        f"that were tried: {'; '.join(ends) or 'none'}.",
        "A run that diverges counts as guessing, 90%.",
    )
    pictures = tuple(
        Picture(
            f"What is trained on random weights, depth {depth}", "learning rate", "validation error, %",
            tuple(
                band(_WORDS[arm], grid, np.stack([errors[arm, depth][rate] for rate in grid], axis=1))
                for arm in _ARMS
            ),
            log_x=True,
        )
        for depth in _DEPTHS
    )  # fmt: skip
    return Findings(pictures, tuple(checks), notes)


def _counted(arm: str) -> str:
    return f"{_WORDS[arm]} {' and '.join(f'{_trained(arm, depth):,}' for depth in _DEPTHS)}"


def _side(differences: Mapping[int, Interval]) -> str:
    """Say at each depth which of the two errs less."""
    said = []
    for depth, found in differences.items():
        side = "γ and β err less" if found.mean > 0 else "biases err less"
        said.append(f"at depth {depth} {found.text()}, {side if found.clear else 'no evidence for either'}")
    return "; ".join(said)


E27 = Experiment(
    name="E27",
    title="γ and β on random weights: ahead of biases and of the output layer alone, behind everything",
    claims={"affine": Sides(("over the output layer", "over biases"), ("behind everything",))},
    setup="""
        Digits, 3 and 6 × 64 ReLU units, batch 32, SGD, 400 steps, 12 seeds. Hidden weights stay as they are
        drawn (He), and γ, β and the output layer are trained; or the output layer alone; or, without a norm,
        biases and the output layer; or everything. Each arm has the best of the learning rates 0.06, 0.2,
        0.6 and 2: each half of the seeds is judged at the rate that is best on the other half.
    """,
    theory="""
        β is a bias: it moves the threshold of a ReLU. γ is a weight: for γ > 0, max(0, γx̂ + β) is
        γ max(0, x̂ + β/γ), so it scales all that the next layer has from this feature, and at γ = 0 the
        feature is a constant. Two numbers a unit choose among random features and weigh them; its 64
        incoming weights stay random. To the output layer alone all random features come as they are, and
        with each random layer less of the image can be read from them by a linear map.
    """,
    accepted="""
        γ, β and output layer err less than the output layer alone, by at least 4 points at depth 3 and 15
        at depth 6; less than biases and output layer without a norm, by at least 3 points at both; and more
        than everything, by at least 3 points at both.
    """,
    sources=("Frankle et al. 2020 (quoted from the abstract: 82% accuracy on CIFAR-10)",),
    contested="""
        Frankle et al. report (abstract) that about a third of the random features are disabled, in deep
        residual networks; the note says how many are here. They compare with as many randomly chosen
        parameters elsewhere in the network; here the others are biases and the output layer.
    """,
    caveat="""
        Biases without a norm lack two things: γ, and the normalized scale. The note has biases with a norm,
        which stands after the ReLU there, since before it there would be no bias. The output layer is
        trained in all arms.
    """,
    cells=_e27_cells,
    read=_e27_read,
    races="The lab trains all layers of a network: it has no control that leaves weights as they were drawn.",
    nulls=(
        same("γ and β learn no more than the output layer", {"affine": "output"}),
        same("γ and β learn no more than biases", {"affine": "biases"}),
        same("trained weights add nothing to γ and β", {"all": "affine"}),
    ),
)
