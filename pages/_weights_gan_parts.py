"""What the GAN's scene of "Weight and spectral norm" trains, and how its learning rates were chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig
from book.controls import Values, seeds
from book.figure import BLUE, GREEN, ORANGE

SCENE_NAME = "gan"
NORMS = {"none": "no norm", "batch": "batch norm", "spectral": "spectral norm"}
TINTS = {"none": ORANGE, "batch": BLUE, "spectral": GREEN}
STEPS, EVERY, JUDGED = 600, 10, 20  # steps; how often a run is recorded, and its points are judged
LOOKS = (0, 100, 200, 300)  # steps at which discriminators are measured
NOISE = 0.1  # standard deviation of each Gaussian of the ring

# Chosen on seeds that no reader's networks have: mean score of 32 seeds, 100 to 131, at each rate.
# ``{norm: rings.sweep(swept(norm), STEPS, RATES).mean(axis=1) for norm in NORMS}`` makes them again.
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
SWEPT = {
    "none": (0.087, 0.087, 0.108, 0.119, 0.245, 0.007, 0.000, 0.000, 0.000),
    "batch": (0.060, 0.054, 0.049, 0.022, 0.002, 0.000, 0.000, 0.000, 0.000),
    "spectral": (0.057, 0.072, 0.081, 0.083, 0.118, 0.173, 0.342, 0.597, 0.042),
}
BEST = {norm: RATES[int(np.argmax(means))] for norm, means in SWEPT.items()}
COMMON = BEST["none"]
# Of the same seeds: rate, and mean scores after more steps.
LATER = (2000, 4000)
LATE = {"none": (0.03, 0.305, 0.780), "spectral": (3.0, 0.868, 0.910)}


def networks(norm: str, lr: float, **more: Any) -> RunConfig:
    """Return GANs with three layers of 32 ReLU units in each player; the norm is the discriminator's."""
    fields: dict[str, Any] = {
        "network": "gan", "dataset": "ring", "data_noise": NOISE, "norm": norm, "depth": 3, "width": 32,
        "batch_size": 64, "lr": lr, "record_every": EVERY, "validate_every": JUDGED, "dtype": "float64",
    }  # fmt: skip
    return RunConfig(**(fields | more))


def swept(norm: str, **more: Any) -> RunConfig:
    """Return the networks by which the learning rates were chosen."""
    return networks(norm, 0.1, **({"seed": 100, "replicas": 32} | more))


def hidden(values: Values) -> bool:
    """Say whether the scene's question waits for an answer."""
    return SCENE_NAME not in dict(values.get("guesses", ()))


def rates_of(values: Values) -> dict[str, float]:
    """Return each discriminator's learning rate; while the question is open, the one in common."""
    if hidden(values):
        return dict.fromkeys(NORMS, COMMON)
    common: float = values["common_rate"]
    return dict(BEST) if values["rates"] == "own" else dict.fromkeys(NORMS, common)


def runs(values: Values) -> dict[str, RunConfig]:
    """Return the three GANs that are watched, by the discriminator's norm.

    While a finger moves over rates nothing is trained, and the picture follows at once.
    """
    if values.get("draft") and values.get("moves") == "common_rate":
        return {}
    return {norm: networks(norm, lr, **seeds(values)) for norm, lr in rates_of(values).items()}
