"""The small networks of "Which norm?": what stands for the reader's network, and at which learning rates."""

from __future__ import annotations

from typing import Any

from bnlib import RunConfig
from bnlib.lessons import rings, which
from book.chapter import Job
from book.controls import SEEDS, Values, seeds
from book.figure import BLUE, COLOURS, GREEN, ORANGE, PURPLE

STEPS = {1: 1000, 2: 1000, 4: 800, 8: 600, 16: 400, 32: 300, 64: 200}  # by batch size
CONV_STEPS = {**STEPS, 16: 300, 32: 200, 64: 100}
GAN_STEPS = 600
NAMES = {
    "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm", "group": "group norm",
    "instance": "instance norm", "spectral": "spectral norm", "none": "no norm", "lower": "rate / 10",
    "accumulated": "8 batches",
}  # fmt: skip
TINTS = {
    "batch": BLUE, "layer": GREEN, "rms": COLOURS[6], "group": PURPLE, "instance": COLOURS[5],
    "spectral": COLOURS[7], "none": ORANGE, "lower": COLOURS[9], "accumulated": COLOURS[9],
}  # fmt: skip
FIELDS: dict[str, dict[str, Any]] = {
    "dense": {"depth": 4},
    "conv": {"network": "cnn", "depth": 3, "width": 16, "groups": 4},
    "rnn": {"network": "rnn", "depth": 1, "activation": "tanh", "init_scale": 0.7},
    "transformer": {"residual": "pre", "depth": 25, "width": 32},
    "gan": {"network": "gan", "dataset": "ring", "depth": 3, "width": 32},
}
NORMS = {
    "dense": ("batch", "layer", "none"), "conv": ("batch", "group", "instance", "none"),
    "rnn": ("batch", "layer", "none"), "transformer": ("layer", "rms", "batch"),
    "gan": ("none", "batch", "spectral"), "style": ("batch", "layer", "instance", "none"),
}  # fmt: skip
REMEDIES = ("lower", "accumulated")  # of batch norm in a dense network
ACCUMULATED = 8
SMALL = 8  # samples; up to here remedies are tried

# The learning rate with the least mean error of 8 seeds, 100 to 107, which no reader's networks have: for the
# batch sizes in the order of STEPS. `swept` makes a row again.
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BEST: dict[str, dict[str, tuple[float, ...]]] = {
    "dense": {
        "batch": (0.3, 0.01, 0.1, 0.1, 0.1, 0.1, 0.3),
        "layer": (0.01, 0.01, 0.03, 0.03, 0.03, 0.1, 0.3),
        "none": (0.01, 0.03, 0.03, 0.1, 0.1, 0.1, 0.1),
    },
    "conv": {
        "batch": (0.3, 0.3, 0.3, 0.1, 0.3, 1.0, 1.0),
        "group": (0.1, 0.1, 0.3, 0.3, 0.3, 1.0, 0.3),
        "instance": (0.3, 0.3, 1.0, 1.0, 1.0, 1.0, 1.0),
        "none": (0.1, 0.1, 0.3, 0.3, 0.3, 0.3, 1.0),
    },
    "rnn": {
        "batch": (1.0, 0.03, 0.1, 0.1, 0.1, 0.3, 0.3),
        "layer": (0.03, 0.03, 0.1, 0.1, 0.1, 0.3, 0.1),
        "none": (0.01, 0.03, 0.03, 0.1, 0.1, 0.3, 0.3),
    },
    "transformer": {
        "layer": (0.01, 0.03, 0.03, 0.03, 0.1, 0.1, 0.3),
        "rms": (0.01, 0.01, 0.03, 0.03, 0.1, 0.1, 0.1),
        "batch": (0.003, 0.01, 0.1, 0.1, 0.3, 0.3, 1.0),
    },
    "gan": {"none": (0.1,) * 7, "batch": (0.001,) * 7, "spectral": (3.0,) * 7},
}


def steps_of(kind: str, batch: int) -> int:
    """Return how many steps such networks are trained."""
    if kind == "gan":
        return GAN_STEPS
    return (CONV_STEPS if kind == "conv" else STEPS)[batch]


def rate_of(kind: str, norm: str, batch: int) -> float:
    """Return the learning rate of a norm: the best of `RATES` on other seeds."""
    return BEST[kind][norm][list(STEPS).index(batch)]


def config_of(kind: str, norm: str, batch: int, **more: Any) -> RunConfig:
    """Return networks of a kind with a norm, or with a remedy for batch norm."""
    norm_of = "batch" if norm in REMEDIES else norm
    fields = {**FIELDS[kind], "norm": norm_of, "batch_size": batch, "lr": rate_of(kind, norm_of, batch)}
    if norm == "lower":
        fields["lr"] /= 10
    if norm == "accumulated":
        fields |= {"batch_size": ACCUMULATED * batch, "norm_batch": batch}
    return RunConfig(**(fields | {"dtype": "float64"} | more))


def arms_of(kind: str, batch: int) -> tuple[str, ...]:
    """Return which norms are compared, and where few samples share a mean, which remedies."""
    remedies = REMEDIES if kind == "dense" and 1 < batch <= SMALL else ()
    return (*NORMS[kind], *remedies)


def jobs_of(values: Values, kind: str, batch: int) -> dict[str, Job]:
    """Return a training for each arm; of style, where nothing is trained, a measurement."""
    if kind == "style":
        first = SEEDS * values["seed"]
        return {norm: Job(which.contrast_left, (norm, batch, first), light=True) for norm in NORMS[kind]}
    found = {}
    for norm in arms_of(kind, batch):
        config = config_of(kind, norm, batch, **seeds(values))
        if kind == "gan":
            found[norm] = Job(rings.sweep, (config, GAN_STEPS, (config.lr,)))
        else:
            found[norm] = Job(which.ended, (config, steps_of(kind, batch)))
    return found


def chaotic(kind: str, norm: str, batch: int) -> bool:
    """Say whether rounding errors grow so that no other program ends with the same errors."""
    return kind == "transformer" or (norm in ("batch", *REMEDIES) and batch <= 4)


def swept(kind: str, norm: str, batch: int) -> list[float]:
    """Return the mean error of 8 seeds, from 100 on, at each of `RATES`; `BEST` has the best of them."""
    return [
        float(which.ended(config_of(kind, norm, batch, lr=lr, seed=100, replicas=SEEDS, dtype="float32"),
                          steps_of(kind, batch)).mean())
        for lr in RATES
    ]  # fmt: skip
