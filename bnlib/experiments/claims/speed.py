"""E25: what batch norm gains at small and large batches, each at its own learning rate and equal epochs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from ...config import RunConfig
from ...data import TRAIN_SIZES
from ...intervals import paired
from ...stats import Array
from ..findings import Findings, Picture, Results, band, check, mean
from ..model import NAMES, QUIET, Cells, Experiment, Race, Sides
from ..nulls import exchanged, same
from ..probes import Cell
from .deep import at_others_best

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
    """Label: norm, batch size, how it is trained, which of the learning rates."""
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
              seeds=8, null=0, name="large"),
        check("gain at batch 8, equal epochs, points", gain[8, "equal"], -_LITTLE, _LITTLE,
              seeds=8, name="little"),
        check("gain at batch 512, 8 times the epochs, points", gain[512, "long"], _LEFT,
              seeds=8, null=0, name="left"),
    ]  # fmt: skip
    words = {"equal": "", "long": ", 8 times the epochs", "standardized": ", standardized inputs"}
    checks += [
        check(f"error, {NAMES[norm]}, batch {size}{words[kind]}, %", values)
        for (norm, size, kind), values in final.items()
    ]
    overall = {
        norm: at_others_best(
            [e for arm, tried in errors.items() if arm[::2] == (norm, "equal") for e in tried.values()]
        )
        for norm in ("none", "batch")
    }
    tuned = {size: [best[norm, size, "equal"] for norm in ("none", "batch")] for size in sizes}
    notes = [
        "Gain of batch norm at equal epochs: "
        f"{'; '.join(f'batch {size}: {_side(gain[size, kind])}' for size, kind in gain if kind == 'equal')}.",
        f"At batch 512, 8 times the epochs leave {_side(gain[512, 'long'])}, of "
        f"{mean(gain[512, 'equal']):.1f} points.",
        f"Each at its best batch size and learning rate, batch norm gains "
        f"{_side(overall['none'] - overall['batch'])}.",
        "Best learning rates over all seeds, no norm and batch norm: "
        + "; ".join(
            f"batch {size}: {a:g} and {b:g}, a ratio of {b / a:.2g}" for size, (a, b) in tuned.items()
        )
        + ".",
    ]
    if (512, "standardized") in gain:
        notes.append(f"With standardized inputs the gain at batch 512 is {_side(gain[512, 'standardized'])}.")
    notes.append("A run that diverges counts as guessing, 90%.")
    by_size = Picture(
        "Equal epochs, each at its own learning rate", "batch size", "validation error, %",
        tuple(
            band(NAMES[norm], sizes, np.stack([final[norm, size, "equal"] for size in sizes], axis=1))
            for norm in ("none", "batch")
        ),
        log_x=True, log_y=True,
    )  # fmt: skip
    by_rate = Picture(
        "Batches of 512, 10 epochs and 8 times as many", "learning rate", "validation error, %",
        tuple(
            band(f"{NAMES[norm]}{words[kind]}", tried, np.stack(list(tried.values()), axis=1))
            for (norm, size, kind), tried in errors.items() if size == 512 and kind != "standardized"
        ),
        log_x=True, log_y=True,
    )  # fmt: skip
    return Findings((by_size, by_rate), tuple(checks), tuple(notes))


def _side(difference: Array) -> str:
    """Say a gain with its interval, and whether its sign is certain."""
    found = paired(difference)
    return f"{found.text()}{'' if found.clear else ', no evidence for either'}"


E25 = Experiment(
    name="E25",
    title="At equal epochs batch norm gains much in large batches and little in small ones",
    claims={
        "faster": Sides(shows=("large",), limits=("little",)),
        "accuracy": Sides(shows=("left",), limits=("little",)),
    },
    setup="""
        Digits, 4 × 64 ReLU units (E11’s network), plain SGD on half a cosine, 8 seeds, batch norm and no norm.
        10 epochs at every batch size: 1,621 steps at batch 8, 405 at 32, 101 at 128, 25 at 512; at 512 also
        80 epochs. Learning rates, the same for both: at batch 8 0.03 to 1, at 32 0.1 to 3, above 0.1 to 10, by
        factors of about 3; each seed is judged at the rate that is best on the other seeds. Validation with
        precise statistics, so that late running averages (E13) play no part.
    """,
    theory="""
        At equal epochs large batches have few steps, which have to be large ones: where a network without a
        norm has no large learning rates (E8), batch norm gains. In small batches rates are low anyway.
    """,
    accepted=f"""
        After 10 epochs batch norm gains at least {_MUCH} points at batch 512, and between −{_LITTLE} and
        {_LITTLE} points at batch 8. After 80 epochs at batch 512 at least {_LEFT} point is left.
    """,
    sources=("De & Smith 2020 (quoted from the abstract: little benefit in small batches)",),
    contested="""
        Bjorck et al. 2018 have batch norm’s benefit in large learning rates, as here. That it trains faster or
        better as such is a claim about batches that are large for the number of epochs.
    """,
    caveat="""
        The size of the gain depends on the network and its inputs: a note has it with standardized ones.
        Intervals are over seeds; the 500 validation samples are always the same.
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
