"""What a recording holds: frames by name, joined to arrays with the replica axis first."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import PLANE
from ..networks.config import RunConfig
from ..norms.statistics import Array

HISTOGRAM_EDGES = np.linspace(-4, 4, 65)
# Two-dimensional data: the cells of a square at whose centres the network is asked for the class. With the
# default noise the square holds every sample of every data set.
SURFACE_EDGES = np.linspace(-1.8, 1.8, 33)
MOST_CONFIDENT = 0.998  # below 1 even in half precision
SHOWN = 256  # points of a GAN that are drawn and judged
TRAINED = ("train_loss", "train_accuracy")
VALIDATED = ("val_loss", "val_accuracy", "val_accuracy_batch")
_ACTIVATIONS = ("activation_mean", "activation_std", "saturation", "dead", "statistics_gap")
PER_LAYER = (*_ACTIVATIONS, "gradient_norm", "weight_norm", "weight_gradient_norm", "update_ratio")
HISTOGRAMS = ("activation_histogram", "preactivation_histogram")
Frame = dict[str, Array]


def has_surface(config: RunConfig) -> bool:
    """Tell whether classes of 2-D data are learned, so that a ``decision_surface`` is recorded."""
    return config.dataset in PLANE and not config.kind.adversarial


def block(config: RunConfig, steps: range, live: Array, frames: list[Frame]) -> Frame:
    """Join frames of the ``live`` replicas to read-only arrays (R, frames, ...); NaN: not recorded."""
    shape, bins = (config.replicas, len(steps)), len(HISTOGRAM_EDGES) - 1
    joined = {"step": np.array(steps, dtype=int)}
    joined |= {name: np.full(shape, np.nan, config.dtype) for name in (*TRAINED, *VALIDATED)}
    joined |= {name: np.full((*shape, config.depth), np.nan, config.dtype) for name in PER_LAYER}
    joined |= {name: np.full((*shape, config.depth, bins), np.nan, np.float32) for name in HISTOGRAMS}
    if has_surface(config):
        cells = (len(SURFACE_EDGES) - 1) ** 2
        joined["decision_surface"] = np.full((1, len(steps), cells), np.nan, np.float32)
    if config.kind.adversarial:
        joined["samples"] = np.full((*shape, SHOWN, 2), np.nan, np.float32)
    for name, array in joined.items():
        numbers = [number for number, frame in enumerate(frames) if name in frame]
        if numbers:
            rows: Any = live[:, None] if len(array) == config.replicas else 0
            array[rows, numbers] = np.stack([frames[number][name] for number in numbers], axis=1)
        array.setflags(write=False)
    return joined
