"""E24: which depth trains, with and without skip connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ... import theory
from ...networks.config import RunConfig
from ...norms.statistics import Array
from ..findings import Findings, Picture, Results, Series, at_others_best, band, check, mean
from ..intervals import Interval, paired
from ..model import NAMES, QUIET, Arms, Cells, Experiment, Race, Sides
from ..nulls import exchanged, same
from ..probes import Cell

_E24 = RunConfig(inputs="standardized", batch_size=64, replicas=4)
_ARMS: Arms = {"batch": {}, "none": {"norm": "none"}, "residual": {"residual": "pre"}}
_WORDS = NAMES | {"residual": "batch norm in a residual network"}
_RATES: dict[
    str, dict[int, tuple[float, ...]]
] = {  # of an arm at each depth; where there is one, nothing is chosen
    "batch": {10: (0.3, 0.1), 20: (0.3, 0.1), 40: (0.3, 0.03), 60: (0.3, 0.03)},
    "none": {10: (0.1, 0.03), 20: (0.03, 0.01), 40: (0.03, 0.01), 60: (0.03, 0.01)},
    "residual": dict.fromkeys((10, 20, 40, 60), (0.3,)),
}
_STEPS = 250
_FAILS = 50  # %; guessing errs by 90%


def _e24_cells(full: bool) -> Cells:
    """Return cells by arm, depth, and which of the learning rates."""
    some = [("batch", 20, 0), ("batch", 40, 0), ("none", 20, 0), ("residual", 40, 0)]
    every = [(arm, depth, i) for arm in _ARMS for depth, own in _RATES[arm].items() for i in range(len(own))]
    config = replace(_E24, replicas=4 if full else 2, **QUIET)
    found: Cells = {}
    for arm, depth, i in every if full else some:
        own = replace(config, depth=depth, lr=_RATES[arm][depth][i], **_ARMS[arm])
        steps = _STEPS if full or depth == 20 else 150
        found[arm, depth, i] = Cell("learning", own, steps, (("precise", True),))
    return found


def _e24_read(results: Results) -> Findings:
    errors: dict[tuple[str, int], dict[float, Array]] = {}
    for (arm, depth, i), found in results.items():
        tried = errors.setdefault((arm, depth), {})
        tried[_RATES[arm][depth][i]] = np.nan_to_num(found["final_precise"], nan=90.0)
    final = {label: at_others_best(list(tried.values())) for label, tried in errors.items()}
    arms = {arm: [depth for own, depth in final if own == arm] for arm in _ARMS}
    worst = np.max([final["residual", depth] for depth in arms["residual"]], axis=0)
    checks = [
        check("error, batch norm, 20 layers, %", final["batch", 20], most=12,
              seeds=4, null=20, name="shallow"),
        *(check(f"error, batch norm, {depth} layers, %", final["batch", depth], _FAILS,
                seeds=4, null=30, name="deep")
          for depth in arms["batch"] if depth >= 40),
        check(f"highest error at any depth, {_WORDS['residual']}, %", worst, most=8,
              seeds=4, null=_FAILS, name="skips"),
    ]  # fmt: skip
    behind = {d: final["none", d] - final["batch", d] for d in arms["none"]}
    if 60 in behind:
        checks.append(check("no norm − batch norm, 60 layers, points", behind[60], most=5, name="deep"))
    checks += [
        check(f"error, {_WORDS[arm]}, {depth} layers, %", values)
        for (arm, depth), values in final.items()
        if arm != "batch" or depth < 20
    ]
    growth = theory.gradient_growth_relu(_E24.batch_size)
    limit = theory.trainable_depth(growth)
    by_depth = ", ".join(f"{mean(final['batch', depth]):.0f}% at {depth}" for depth in arms["batch"])
    gained = {d: paired(final["batch", d] - final["residual", d]) for d in arms["residual"]}
    notes = [
        f"By the rule of thumb, 16/ln λ with λ = {growth:.3f} at a batch of {_E24.batch_size}, about "
        f"{limit:.0f} layers can be trained. Here batch norm’s error is {by_depth} layers.",
        f"Batch norm’s error without skip connections − with them: {_by_depth(gained)}.",
        f"No norm − batch norm: {_by_depth({d: paired(gap) for d, gap in behind.items()})}.",
    ]
    deep = [mean(final["none", depth]) for depth in arms["none"] if depth >= 40]
    if deep and min(deep) >= _FAILS:
        notes.append(
            "Without a norm gradients start level (E4), and 40 and 60 layers fail all the same: gradients "
            "that explode are not all that makes depth hard."
        )
    tuned = [
        f"{_WORDS[arm]} {', '.join(f'{_best(errors[arm, d]):g} at {d}' for d in arms[arm])}"
        for arm in ("batch", "none")
    ]
    notes.append(f"Better of the learning rates over all seeds: {'; '.join(tuned)} layers.")
    series = [
        band(_WORDS[arm], depths, np.stack([final[arm, depth] for depth in depths], axis=1))
        for arm, depths in arms.items()
    ]
    series.append(Series("16/ln λ of batch norm", (limit, limit), (0.0, 90.0), theory=True))
    picture = Picture(
        "Which depth trains", "hidden layers", f"validation error after {_STEPS} steps, %", tuple(series)
    )
    return Findings((picture,), tuple(checks), tuple(notes))


def _by_depth(gaps: Mapping[int, Interval]) -> str:
    """Say at each depth which side a difference is on, if it is certain."""
    said = (f"{gap.text()} at {d} layers{'' if gap.clear else ' (no evidence)'}" for d, gap in gaps.items())
    return "; ".join(said)


def _best(tried: Mapping[float, Array]) -> float:
    return min(tried, key=lambda lr: float(tried[lr].mean()))


E24 = Experiment(
    name="E24",
    title="In 250 steps batch norm trains 20 layers; 40 and more only with skip connections",
    claims={"depth": Sides(shows=("shallow", "deep", "skips"))},
    setup=f"""
        Digits, standardized, 10, 20, 40 and 60 layers of 64 ReLU units with He’s initial weights, batch 64,
        plain SGD, {_STEPS} steps, 4 seeds: batch norm, no norm, and batch norm in a pre-activation residual
        network. Learning rates: batch norm 0.1 and 0.3, at 40 and 60 layers 0.03 and 0.3; no norm 0.01 and
        0.03, at 10 layers 0.03 and 0.1; each seed is judged at the rate that is better on the other seeds.
        The residual network has 0.3 everywhere. Validation with statistics computed anew on the training
        samples, so that late running averages (E13) play no part.
    """,
    theory="""
        At initialization batch norm multiplies the squared gradient by λ in each layer (E3). By a rule of
        thumb a network trains if it grows by no more than e¹⁶ in all. Skip connections keep λ near 1 (E4).
    """,
    accepted=f"""
        Batch norm errs by at most 12% at 20 layers and by at least {_FAILS}% at 40 and 60. At 60 it is better
        than no norm by at most 5 points. In a residual network it errs by at most 8% at all depths.
    """,
    sources=("Yang et al. 2019, Theorem 8, and its rule of thumb for trainable depth",),
    contested="""
        The rule is made for the gradient at initialization, and Yang et al. also report that one step brings
        gradients to a stable balance; in their experiments about 50 layers train, of which the rule says 42
        for large batches.
    """,
    caveat=f"""
        It is a limit of {_STEPS} steps, on digits: with more of them 40 layers learn more, with a norm or
        without. Two learning rates an arm are a coarse
        grid. The lab’s race has running averages and one rate for all seeds, so its numbers differ.
    """,
    cells=_e24_cells,
    read=_e24_read,
    races=lambda: (
        Race(
            "20 layers without skip connections: no norm, batch norm",
            (
                replace(_E24, depth=20, replicas=8, norm="none", lr=0.03),
                replace(_E24, depth=20, replicas=8, lr=0.3),
            ),
            _STEPS,
        ),
    ),
    nulls=(
        same("batch norm is like no norm", {"batch": "none"}),
        exchanged("batch", "none", "batch norm and no norm are exchanged"),
        same("depth plays no role", {40: 20, 60: 20}),
        same("skip connections play no role", {"residual": "batch"}),
    ),
)
