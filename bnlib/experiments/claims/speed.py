"""E25: what batch norm gains at small and large batches, each at its own learning rate and equal epochs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from ...data import TRAIN_SIZES
from ...networks.config import RunConfig
from ...norms.statistics import Array
from ..findings import Findings, Picture, Results, at_others_best, band, check, mean
from ..intervals import paired
from ..model import NAMES, QUIET, Cells, Experiment, Race, Sides
from ..nulls import exchanged, same
from ..probes import Cell

_E25 = RunConfig(depth=4, replicas=8)
_RATES = {  # by batch size, for both arms
    8: (0.03, 0.1, 0.3, 1.0),
    32: (0.1, 0.3, 1.0, 3.0),
    128: (0.1, 0.3, 1.0, 3.0, 10.0),
    512: (0.1, 0.3, 1.0, 3.0, 10.0),
}
_EPOCHS = {"equal": 10, "long": 80, "standardized": 10}  # by how an arm is trained
_LITTLE, _MUCH, _LEFT = 1.5, 8, 1  # points


def _config(norm: str, size: int, kind: str, lr: float, epochs: int) -> RunConfig:
    steps = round(epochs * TRAIN_SIZES["digits"] / size)
    inputs = "standardized" if kind == "standardized" else "raw"
    return replace(_E25, norm=norm, batch_size=size, lr=lr, cosine_steps=steps, inputs=inputs)


def _e25_cells(full: bool) -> Cells:
    """Return cells by norm, batch size, how it is trained, and which of the learning rates."""
    rates = {size: range(len(own)) for size, own in _RATES.items()} if full else {8: (1,), 512: (1, 3)}
    arms = [("equal", size) for size in rates] + [("long", 512)] + [("standardized", 512)] * full
    found = {}
    for norm, (kind, size) in product(("none", "batch"), arms):
        for i in rates[size]:
            epochs = _EPOCHS[kind] if full or kind == "equal" else 40
            config = _config(norm, size, kind, _RATES[size][i], epochs)
            config = replace(config, replicas=8 if full else 3, **QUIET)
            found[norm, size, kind, i] = Cell("learning", config, config.cosine_steps, (("precise", True),))
    return found


def _e25_read(results: Results) -> Findings:
    errors: dict[tuple[str, int, str], dict[float, Array]] = {}
    for (norm, size, kind, i), found in results.items():
        tried = errors.setdefault((norm, size, kind), {})
        tried[_RATES[size][i]] = np.nan_to_num(found["final_precise"], nan=90.0)
    final = {arm: at_others_best(list(tried.values())) for arm, tried in errors.items()}
    best = {arm: min(tried, key=lambda lr: float(tried[lr].mean())) for arm, tried in errors.items()}
    gain = {
        (size, kind): final["none", size, kind] - final["batch", size, kind]
        for norm, size, kind in final if norm == "none"
    }  # fmt: skip
    sizes = [size for size, kind in gain if kind == "equal"]
    checks = [
        check("gain at batch 512, equal epochs, points", gain[512, "equal"], _MUCH,
              seeds=8, null=_LITTLE, name="large"),
        check("gain at batch 8, equal epochs, points", gain[8, "equal"], -_LITTLE, _LITTLE,
              seeds=8, null=-_MUCH, name="little"),
        check("gain at batch 512, long training, points", gain[512, "long"], _LEFT,
              seeds=8, null=0, name="left"),
    ]  # fmt: skip
    words = {"equal": "", "long": ", long training", "standardized": ", standardized inputs"}
    checks += [
        check(f"error, {NAMES[norm]}, batch {size}{words[kind]}, %", values)
        for (norm, size, kind), values in final.items()
    ]
    overall = {
        norm: at_others_best([
            error for arm, tried in errors.items() if arm[::2] == (norm, "equal") for error in tried.values()
        ])
        for norm in ("none", "batch")
    }  # fmt: skip
    tuned = {size: [best[norm, size, "equal"] for norm in ("none", "batch")] for size in sizes}
    steps = {kind: int(results["none", 512, kind, 1]["steps"][0]) for kind in ("equal", "long")}
    by_size = "; ".join(f"at batch {size} {_side(gain[size, 'equal'])}" for size in sizes)
    ratios = "; ".join(
        f"{a:g} and {b:g} at batch {size} (ratio {b / a:.2g})" for size, (a, b) in tuned.items()
    )
    notes = [
        f"Batch norm gains, at equal epochs, {by_size}.",
        f"At batch 512 it gains {mean(gain[512, 'equal']):.1f} points in {steps['equal']} steps, and "
        f"{_side(gain[512, 'long'])} in {steps['long']}.",
        f"Each at its best batch size and learning rate, at equal epochs, batch norm gains "
        f"{_side(overall['none'] - overall['batch'])}.",
        f"Best learning rates over all seeds, no norm and batch norm: {ratios}.",
    ]
    if (512, "standardized") in gain:
        notes.append(f"With standardized inputs it gains, at batch 512, {_side(gain[512, 'standardized'])}.")
    notes.append("A run that diverges counts as guessing, 90%.")
    sized = Picture(
        "Equal epochs, each at its own learning rate", "batch size", "validation error, %",
        tuple(
            band(NAMES[norm], sizes, np.stack([final[norm, size, "equal"] for size in sizes], axis=1))
            for norm in ("none", "batch")
        ),
        log_x=True, log_y=True,
    )  # fmt: skip
    rated = Picture(
        f"Batches of 512, {steps['equal']} steps and {steps['long']}", "learning rate", "validation error, %",
        tuple(
            band(f"{NAMES[norm]}{words[kind]}", tried, np.stack(list(tried.values()), axis=1))
            for (norm, size, kind), tried in errors.items() if size == 512 and kind != "standardized"
        ),
        log_x=True, log_y=True,
    )  # fmt: skip
    return Findings((sized, rated), tuple(checks), tuple(notes))


def _side(difference: Array) -> str:
    """Say a gain with its interval, and whether its sign is certain."""
    found = paired(difference)
    return f"{found.text()}{'' if found.clear else ', no evidence for either'}"


E25 = Experiment(
    name="E25",
    title="At equal epochs batch norm gains much at batch 512 and little at batch 8",
    claims={
        "faster": Sides(shows=("large",), limits=("little",)),
        "accuracy": Sides(shows=("left",), limits=("little",)),
    },
    setup="""
        Digits, 4 × 64 ReLU units as in E11, plain SGD on half a cosine, 8 seeds, batch norm and no norm. 10
        epochs at every batch size: 1,621 steps at batch 8, 405 at 32, 101 at 128 and 25 at 512; at 512 also
        80 epochs, 203 steps. Learning rates, the same for both: 0.03 to 1 at batch 8, 0.1 to 3 at 32,
        0.1 to 10 at 128 and 512, each about 3 times the one before. Each seed is judged at the rate that is
        best on the other seeds. Validation with statistics computed anew on the training samples, so that
        late running averages (E13) play no part.
    """,
    theory="""
        At equal epochs large batches have few steps, and few steps have to be large. A network without a norm
        has no large learning rates (E8); in small batches it doesn’t need them.
    """,
    accepted=f"""
        After 10 epochs batch norm gains at least {_MUCH} points at batch 512, and between −{_LITTLE} and
        {_LITTLE} points at batch 8. After 80 epochs at batch 512 it gains at least {_LEFT} point.
    """,
    sources=("De & Smith 2020 (quoted from the abstract: little benefit in small batches)",),
    contested="""
        Batch norm is said to train faster and better as such. After De & Smith and Bjorck et al. 2018 it
        allows large learning rates, so that the gain depends on whether these are needed.
    """,
    caveat="""
        How large the gain is depends on the network and its inputs; the notes have it with standardized ones.
        The lab’s races have running averages and one rate for all
        seeds, so their numbers differ. Intervals are over seeds: the 500 validation samples are always the
        same.
    """,
    cells=_e25_cells,
    read=_e25_read,
    races=lambda: tuple(
        Race(
            f"Batches of {size}, 10 epochs: no norm at {rates[0]:g}, batch norm at {rates[1]:g}",
            tuple(
                _config(norm, size, "equal", lr, 10)
                for norm, lr in zip(("none", "batch"), rates, strict=True)
            ),
            round(10 * TRAIN_SIZES["digits"] / size),
        )
        for size, rates in ((8, (0.1, 0.3)), (512, (0.3, 3.0)))
    ),
    nulls=(
        same("batch norm is like no norm", {"batch": "none"}),
        exchanged("batch", "none", "batch norm and no norm are exchanged"),
        same("the batch size plays no role", {8: 512}),
    ),
)
