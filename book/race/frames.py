"""What a viewer gets of a run: a row of numbers for each recorded step, over all seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnlib import RunConfig
from bnlib.training.recordings import HISTOGRAMS, Frame

Picture = NDArray[np.float32]

# What a viewer sees of a frame: across a lane's seeds the mean, the lowest and the highest.
CURVES = ("train_loss", "val_loss", "val_accuracy", "val_accuracy_batch")
BANDS = ("gradient_norm", "activation_std", "saturation", "dead", "update_ratio")
VALIDATED = CURVES[1:]  # at each step that validate_every divides
CURVE_COLUMNS = 2 + 3 * len(CURVES)  # a row begins with its step, the seeds left and the curves
POINTS_SHOWN = 300


def points(config: RunConfig) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    """The training points that a picture of two-dimensional data shows: x (n, 2) and class numbers (n,).

    The first POINTS_SHOWN, which are a random choice: the data sets are shuffled.
    """
    dataset = config.data()
    return dataset.x_train[:POINTS_SHOWN], dataset.y_train[:POINTS_SHOWN]


def layout(config: RunConfig, bins: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of what one row of a picture holds, in order."""
    return [
        ("step", (1,)),
        ("seeds_left", (1,)),
        *[(name, (3,)) for name in CURVES],
        *[(name, (config.depth, 3)) for name in BANDS],
        *[(name, (config.depth, bins)) for name in HISTOGRAMS],
    ]


def picture(block: Frame) -> Picture:
    """A history block as float32 rows (frames, numbers), one row a frame, in the order of `layout`."""
    frames = len(block["step"])
    parts = [block["step"][:, None], np.isfinite(block["train_loss"]).sum(axis=0)[:, None]]
    parts += [_band(np.stack([block[name] for name in names], axis=2)) for names in (CURVES, BANDS)]
    parts.append(_mean(np.stack([block[name] for name in HISTOGRAMS], axis=2)))
    return np.concatenate([np.reshape(part, (frames, -1)) for part in parts], axis=1).astype(np.float32)


def _band(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """(R, frames, ...) -> (frames, ..., 3): mean, lowest, highest of the seeds that haven't diverged."""
    some = np.isfinite(values)
    low = np.where(some, values, np.inf).min(axis=0)
    high = np.where(some, values, -np.inf).max(axis=0)
    any_left = some.any(axis=0)
    low, high = np.where(any_left, low, np.nan), np.where(any_left, high, np.nan)
    return np.stack([_mean(values), low, high], axis=-1)


def _mean(values: NDArray[np.floating]) -> NDArray[np.floating]:
    some = np.isfinite(values)
    count = some.sum(axis=0)
    total = np.where(some, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
