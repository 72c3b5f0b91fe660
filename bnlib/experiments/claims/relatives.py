"""E18, E22: batch norm among its relatives, and in recurrent networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, log
from typing import Any

import numpy as np

from ... import theory
from ...networks.config import RunConfig
from ...norms.statistics import Array
from ...norms.table import NORMS
from ..findings import Findings, Picture, Results, band, check, mean, near, points, predicted
from ..intervals import paired
from ..model import NAMES, QUIET, Cells, Experiment, Null, Race, Sides
from ..nulls import exchanged
from ..probes import Cell

# Ba et al. 2016, Table 1: which norms don't notice. RMS norm isn't in it.
_TABLE = {
    "weights_scaled": ("all weights × a", {"batch", "weight", "layer", "rms"}),
    "weights_shifted": ("all weights + a vector", {"layer"}),
    "unit_scaled": ("one unit’s weights × a", {"batch", "weight"}),
    "data_scaled": ("data × a", {"batch", "layer", "rms"}),
    "data_shifted": ("data + a vector", {"batch"}),
    "sample_scaled": ("one sample × a", {"layer", "rms"}),
}
_ROWS = {norm: NORMS[norm].label for norm in ("batch", "weight", "layer", "rms")}
_EXACT = 1e-10
_SPEEDS: dict[str, tuple[str, str, Callable[[float], float]]] = {  # of what, formula, by s₂/s₁
    "ratio": ("σ’s", "(s₂/s₁)⁴", lambda share: theory.power_iteration_ratio(1.0, share)),
    "vector": (
        "the vector’s",
        "(s₂/s₁)²",
        lambda share: theory.power_iteration_ratio(1.0, share, vector=True),
    ),
}


def _e18_cells(full: bool) -> Cells:
    config = RunConfig(width=48, replicas=8 if full else 3, dtype="float64")
    found: Cells = {norm: Cell("invariances", replace(config, norm=norm)) for norm in _ROWS}
    for share in (0.5, 0.7, 0.9, 0.97) if full else (0.5, 0.9):  # all others are soon forgotten
        values = tuple(3 * value for value in (1.0, share, share / 10, share / 20))
        found[share] = Cell("power_iteration", config, 250 if full else 120, (("values", values),))
    return found


def _e18_read(results: Results) -> Findings:
    checks, notes, unnoticed = [], [], []
    for norm, label in _ROWS.items():
        for name, (words, invariant) in _TABLE.items():
            bounds: dict[str, Any] = {"least": 1e-2, "exact": True}
            if norm in invariant:
                bounds = {"most": _EXACT, "expected": 0.0, "worst": True, "exact": True}
            checks.append(check(f"change of the output, {label}, {words}", results[norm][name], **bounds))
        same = [words for name, (words, _) in _TABLE.items() if results[norm][name].max() <= _EXACT]
        unnoticed.append(f"{label}: {', '.join(same) or 'nothing'}")
    notes.append(f"What leaves the output as it is: {'; '.join(unnoticed)}.")
    moved = mean(results["weight"]["data_scaled"])
    side = "the table is right, not the text" if moved > _EXACT else "the text is right, not the table"
    notes.append(f"Scaled data change weight norm’s output by {moved:.2g} of its largest value: {side}.")
    shares = [share for share in results if isinstance(share, float)]
    for share in shares:
        words, found = f"s₂/s₁ = {share:g}", results[share]
        for name, (what, _, form) in _SPEEDS.items():
            label = f"{what} error after an iteration / before, {words}"
            checks.append(near(label, found[name], form(share), 1e-3, exact=True))
        checks.append(
            check(
                f"most by which σ is too large, {words}", found["excess"], most=1e-12, worst=True, exact=True
            )
        )
        steps = [ceil(log(0.1) / log(mean(found[name]))) for name in _SPEEDS]
        notes.append(
            f"With {words} a tenth of σ’s error is left after {steps[0]} iteration{'s' * (steps[0] > 1)}, of "
            f"the vector’s after {steps[1]}."
        )
    names = [words for words, _ in _TABLE.values()]
    table = Picture(
        "What a norm doesn’t notice: changes of the size of rounding", "what is changed",
        "largest change / largest output",
        tuple(
            band(label, names, np.stack([results[norm][name] for name in _TABLE], axis=1))
            for norm, label in _ROWS.items()
        ),
        log_y=True,
    )  # fmt: skip
    speed = Picture(
        "What an iteration of spectral norm leaves of an error", "second / first singular value, s₂/s₁",
        "error after / before",
        tuple(
            series
            for name, (what, formula, form) in _SPEEDS.items()
            for series in (
                points(what, results, {share: share for share in shares}, name),
                predicted(f"{what}, theory {formula}", np.linspace(shares[0], shares[-1], 40).tolist(), form),
            )
        ),
    )  # fmt: skip
    return Findings((table, speed), tuple(checks), tuple(notes))


E18 = Experiment(
    name="E18",
    title="Invariances, and how fast spectral norm converges",
    claims={},
    setup="""
        A linear layer from 64 inputs to 48 units, 32 samples, all Gaussian, ε = 0, float64, 8 seeds: one
        thing is scaled by a random factor from 2 to 5 or shifted by a random vector. Spectral norm, one
        iteration a call, on random 48 × 64 matrices of rank four with given singular values; the third is a
        tenth of the second.
    """,
    theory="""
        That the scale of the weights doesn’t matter is common to all four norms; batch norm shares one
        unit’s scale with weight norm, and the shift of the data with none. An iteration of spectral norm
        multiplies the error of the singular vector, a sine, by (s₂/s₁)², that of σ by (s₂/s₁)⁴, and σ is
        never too large.
    """,
    accepted="""
        Where the table has an invariance the output changes by at most 1e-10 of its largest value, elsewhere
        by at least 1e-2; ratios of errors within 1e-3; σ at most 1e-12 above the largest singular value.
    """,
    sources=("Ba et al. 2016, Table 1", "Zhang & Sennrich 2019 (RMS norm)", "Miyato et al. 2018"),
    contested="""
        The text of Ba et al. 2016 calls all normalization methods invariant to scaled data; their table has
        weight norm as the exception. The note says which of them is right.
    """,
    caveat="""
        Exact without ε, which is a scale of its own. And the same output is not the same training: the
        weights’ length remains a learning rate (E9).
    """,
    cells=_e18_cells,
    read=_e18_read,
    races="It is arithmetic of one layer: nothing is trained.",
)


_GUESSING = 90.0  # percent of ten classes
_E22 = RunConfig(network="rnn", activation="tanh", depth=1, init_scale=0.7, replicas=16)
_E22_STEPS = {32: 300, 2: 600}  # by batch size
_E22_RATES = {32: (0.1, 0.3, 1.0), 2: (0.003, 0.01, 0.03, 0.1)}
_E22_NORMS = ("none", "batch", "layer")


def _e22_cells(full: bool) -> Cells:
    config = replace(_E22, replicas=16 if full else 4, **QUIET)
    rates = _E22_RATES if full else {32: (0.3,), 2: (0.01,)}
    return {
        (norm, size, lr): Cell("learning", replace(config, norm=norm, batch_size=size, lr=lr), steps)
        for size, steps in _E22_STEPS.items()
        for norm in _E22_NORMS
        for lr in rates[size]
    }


def _e22_read(results: Results) -> Findings:
    errors = {label: np.nan_to_num(found["final"], nan=_GUESSING) for label, found in results.items()}
    rates = {size: [lr for norm, m, lr in results if (norm, m) == ("none", size)] for size in _E22_STEPS}
    half = len(errors["none", 2, rates[2][0]]) // 2  # these seeds choose, the others are judged
    best = {
        (norm, size): min(rates[size], key=lambda lr: float(errors[norm, size, lr][:half].mean()))
        for size in _E22_STEPS
        for norm in _E22_NORMS
    }
    final = {arm: errors[*arm, lr][half:] for arm, lr in best.items()}
    apart = {(norm, size): final["batch", size] - final[norm, size] for norm, size in final}
    checks = [
        check("batch norm − layer norm at batch 32, points", apart["layer", 32], most=3, seeds=8,
              name="level"),
        check("error of batch norm at batch 32, %", final["batch", 32], most=15, name="level"),
        check("batch norm − layer norm at batch 2, points", apart["layer", 2], least=30, name="fails"),
        check("error of batch norm at batch 2, %", final["batch", 2], least=40, name="fails"),
        check("batch norm, batch 2 − batch 32, points", final["batch", 2] - final["batch", 32], least=30,
              name="smaller"),
    ]  # fmt: skip
    checks += [
        check(f"error, {NAMES[norm]}, batch {size}, learning rate {best[norm, size]:g}, %", values)
        for (norm, size), values in final.items()
    ]
    trained = results["batch", 2, best["batch", 2]]["final_batch"][half:]
    checks.append(check("batch norm, batch 2: error with batch statistics, %", trained))
    ends = [
        f"{NAMES[norm]}, batch {m}" for (norm, m), lr in best.items() if lr in (rates[m][0], rates[m][-1])
    ]
    notes = [
        f"At batch {size} batch norm’s error minus layer norm’s is {_told(apart['layer', size])}; minus that "
        f"without a norm {_told(apart['none', size])}. Each has its own rate."
        for size in _E22_STEPS
    ]
    notes += [
        f"Best at an end of the rates that were tried: {'; '.join(ends) or 'none'}.",
        "A run that diverges counts as guessing, 90%.",
    ]
    pictures = tuple(
        Picture(
            f"Digits read row by row, batches of {size}", "learning rate",
            f"validation error after {steps} steps, %",
            tuple(
                band(NAMES[norm], grid, np.stack([errors[norm, size, lr] for lr in grid], axis=1))
                for norm in _E22_NORMS
            ),
            log_x=True,
        )
        for (size, steps), grid in zip(_E22_STEPS.items(), rates.values(), strict=True)
    )  # fmt: skip
    return Findings(pictures, tuple(checks), tuple(notes))


def _told(difference: Array) -> str:
    interval = paired(difference)
    return interval.text() + ("" if interval.clear else ", no evidence of a difference")


def _e22_as_at_two(results: Results) -> Results:
    return {(norm, size, lr): results[norm, 2, 0.01 if size == 32 else lr] for norm, size, lr in results}


E22 = Experiment(
    name="E22",
    title="Recurrent networks: statistics at every step",
    claims={
        "recurrent": Sides(shows=("fails",), limits=("level",)),
        "small": Sides(shows=("fails", "smaller")),
    },
    setup="""
        Digits read row by row, 8 steps, 64 recurrent tanh units, initial weights 0.7 × He’s, SGD: 300 steps
        at batch 32, 600 at batch 2, 16 seeds. Every arm’s learning rate is the best of 0.1, 0.3 and 1 (batch
        2: 0.003, 0.01, 0.03 and 0.1) on the first half of the seeds; the other half is judged. Batch norm
        has statistics of its own at each time step.
    """,
    theory="Of two samples no gradient passes batch norm at ε=0 (E2), at whatever time step.",
    accepted="""
        At batch 32 batch norm errs by at most 15%, and by at most 3 points more than layer norm. At batch 2
        it errs by 40% or more, by at least 30 points more than layer norm, and by at least 30 points more
        than at batch 32.
    """,
    sources=("Cooijmans et al. 2017", "Ba et al. 2016", "Laurent et al. 2016"),
    contested="""
        Laurent et al. see no help from batch norm in the recurrent part; Cooijmans et al. do, with statistics
        for each time step. Ba et al. argue for layer norm, since sequences differ in length.
    """,
    caveat="""
        All sequences here have eight steps. What remains is another length in inference: of steps that were
        never seen there are no statistics, and Cooijmans et al. take the last step’s. They normalize what
        comes from the input and from the state apart, in LSTMs, and start γ at 0.1; here it is their sum,
        and 1.
    """,
    cells=_e22_cells,
    read=_e22_read,
    races=lambda: tuple(
        Race(
            f"Batches of {size}, learning rate {lr:g}: no norm, batch norm, layer norm",
            tuple(
                replace(_E22, norm=n, batch_size=size, lr=lr, seed=8, replicas=8) for n in _E22_NORMS
            ),  # the seeds that are judged
            _E22_STEPS[size],
        )
        for size, lr in ((32, 0.3), (2, 0.01))
    ),
    nulls=(
        exchanged("batch", "layer", "batch norm and layer norm are exchanged"),
        Null("the batch size plays no role", _e22_as_at_two),
    ),
)
