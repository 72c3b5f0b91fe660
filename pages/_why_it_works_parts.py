"""What the scenes of "Why does it work?" share: the networks, the vote, and how differences are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.experiments.intervals import Interval, paired
from book.chapter import View
from book.controls import Values, seeds
from book.figure import BLUE, GREEN, ORANGE, PURPLE
from book.words import brief

RATES = ("0.1", "0.5", "2")  # of the sigmoid networks
LONG, LOOK_EVERY = 500, 50  # their steps, and steps between looks
SHORT, EARLY = (
    100,
    50,
)  # steps of the tanh, ReLU and landscape networks; from which step on losses are averaged
STRENGTHS = (1, 2, 3)  # of the noise
FULL = 60  # steps with all samples in each
EVERY = 10  # steps between looks along the gradient
BEFORE, AFTER = 60, 60  # steps before and after weights are multiplied
FACTORS = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
TINTS = {"none": ORANGE, "batch": BLUE, "layer": GREEN, "noisy": PURPLE}
NAMES = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "noisy": "noisy batch norm"}
SEEDS_HINT = "Lines: mean of 8 seeds. Shades: lowest to highest."

VOTES = {
    "": "no vote yet", "steady": "steady inputs", "smooth": "smoother loss",
    "length": "length apart from direction", "noise": "noise of the batch",
}  # fmt: skip
TESTS = {"steady": "steady", "noise": "steady", "measures": "steady", "smooth": "smooth", "length": "length"}

# ---- networks --------------------------------------------------------------------------------------------


def quiet(values: Values) -> dict[str, Any]:
    """Return what all networks have in common: eight seeds, and no telemetry that nobody looks at."""
    return {"record_every": 10**6, "validate_every": 10**6, **seeds(values)}


def sigmoid(values: Values, norm: str, rate: str) -> RunConfig:
    """Return eight networks as in Ioffe & Szegedy's figure 1, on digits of 8 x 8 pixels."""
    return RunConfig(
        inputs="standardized", activation="sigmoid", depth=3, batch_size=60, init="normal", init_scale=0.1,
        lr=float(rate), norm=norm, dtype="float64", **quiet(values),
    )  # fmt: skip


def six(values: Values, activation: str, norm: str, strength: float = 0.0) -> RunConfig:
    """Return eight networks of six layers, with noise behind each norm or without."""
    return RunConfig(
        activation=activation, depth=6, batch_size=64, lr=0.06, norm=norm, norm_noise=float(strength),
        init_scale=sqrt(0.5) if activation == "tanh" else 1.0, **quiet(values),
    )  # fmt: skip


def whole(values: Values, norm: str) -> RunConfig:
    """Return such networks that see all of their 256 samples in each step: nothing is left to chance."""
    return replace(six(values, "tanh", norm), batch_size=256, train_samples=256)


def five(values: Values, norm: str) -> RunConfig:
    """Return eight ReLU networks of five layers."""
    return RunConfig(depth=5, batch_size=64, lr=0.1, norm=norm, dtype="float64", **quiet(values))


def two(values: Values, norm: str) -> RunConfig:
    """Return eight ReLU networks of two layers in which identities hold to rounding: eps is 0."""
    return RunConfig(
        depth=2, width=48, batch_size=32, lr=0.1, eps=0.0, norm=norm, dtype="float64", **quiet(values),
    )  # fmt: skip


# ---- what is measured over seeds -------------------------------------------------------------------------


def right(found: Mapping[str, Any]) -> Any:
    """Return the share of right answers (R, looks)."""
    return 1 - np.asarray(found["val_error"], dtype=float) / 100


def early_loss(found: Mapping[str, Any]) -> Any:
    """Return the mean loss of each seed from step `EARLY` on (R,)."""
    return np.asarray(found["loss"], dtype=float)[:, EARLY:].mean(axis=1)


def loss_range(found: Mapping[str, Any]) -> Any:
    """Return between which losses each look ahead goes, highest minus lowest (R, looks)."""
    return np.ptp(found["ahead"], axis=2)


def typical(found: Mapping[str, Any]) -> Any:
    """Return each seed's median over the looks of its loss range (R,)."""
    return np.median(loss_range(found), axis=1)


def degrees(found: Mapping[str, Any]) -> Any:
    """Return the angle between gradients before and after a shift (R, looks)."""
    return np.degrees(np.arccos(np.clip(found["cosine"], -1, 1)))


def times(above: Any, below: Any) -> Interval:
    """Return how many times as large one is as the other, seed by seed: a geometric mean and its interval."""
    found = paired(np.log(np.asarray(above, dtype=float) / np.asarray(below, dtype=float)))
    mean, low, high = (float(np.exp(value)) for value in found[:3])
    return Interval(mean, low, high, found.seeds)


def tells(factor: Interval) -> bool:
    """Say whether a factor's interval leaves out 1."""
    return factor.low > 1 or factor.high < 1


def factor_text(factor: Interval) -> str:
    """Write a factor and its interval."""
    return f"{brief(factor.mean)} (95% interval {brief(factor.low)} to {brief(factor.high)})"


def difference_text(gap: Interval, unit: str = "points", digits: int = 1) -> str:
    """Write a difference and its interval, and that it is none where the interval can't tell."""
    words = gap.text(unit, digits).replace("-", "−").replace("  ", " ").replace(" (", " (", 1)
    return words if gap.clear else f"{words}, no clear difference"


# ---- the vote --------------------------------------------------------------------------------------------


def with_vote(values: Values, view: View) -> View:
    """Add to a view's text what the reader voted for, and whether the scene tests it."""
    vote = VOTES[values["vote"]]
    if values["scene"] not in TESTS or not values["vote"] or not view.text:
        return view
    tested = TESTS[values["scene"]]
    about = "this scene tests it" if tested == values["vote"] else f"this scene tests “{VOTES[tested]}”"
    return replace(view, text=f"{view.text} Your vote: {vote}; {about}.")
