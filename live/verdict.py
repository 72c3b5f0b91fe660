"""What a race shows at one moment, in words, computed from the pictures on the screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnlib import RunConfig
from bnlib.telemetry import Frame

NAMES = {
    "none": "no norm",
    "batch": "batch norm",
    "layer": "layer norm",
    "group": "group norm",
    "rms": "RMS norm",
}


def verdict(configs: Sequence[RunConfig], frames: Sequence[Frame], step: int) -> str:
    """Who is ahead at ``step``: for each lane, its frames from `frames_needed`.

    A lead counts as such only when the lanes' seed ranges do not overlap.
    """
    parts, living, seeds = [], [], 0
    for config, lane in zip(configs, frames, strict=True):
        name = NAMES[config.norm]
        values = accuracy(lane)
        seeds = len(values)
        left = values[np.isfinite(values)]
        if not len(left):
            parts.append(f"{name} has diverged")
            continue
        living.append((float(left.mean()), float(left.min()), float(left.max()), name))
        lost = seeds - len(left)
        fate = f", {lost} of {seeds} seeds diverged" if lost else ""
        spread = f" [{left.min():.1%} to {left.max():.1%}]" if len(left) > 1 else ""
        parts.append(f"{name} {left.mean():.1%}{spread}{fate}")
    text = f"Validation accuracy at step {step}: " + "; ".join(parts) + "."
    return text + " " + _comparison(living, seeds)


def frames_needed(config: RunConfig, step: int) -> range:
    """Numbers of the frames from the latest validation up to ``step``."""
    validated = step // config.validate_every * config.validate_every
    return range(validated // config.record_every, step // config.record_every + 1)


def accuracy(lane: Frame) -> NDArray[np.floating]:
    """Each seed's validation accuracy in a lane's first frame (R,), NaN where it has diverged by the last."""
    alive = np.isfinite(lane["train_loss"][:, -1])
    return np.where(alive, lane["val_accuracy"][:, 0], np.nan)


def _comparison(living: list[tuple[float, float, float, str]], seeds: int) -> str:
    if len(living) < 2:
        return f"Only {living[0][3]} still learns." if living else "Nothing learns at these settings."
    (best, low, _, first), (second, _, high, other) = sorted(living, reverse=True)[:2]
    points = 100 * (best - second)
    if seeds < 2:
        return f"{first.capitalize()} leads {other} by {points:.1f} points, with one seed: an anecdote."
    if low > high:
        return f"{first.capitalize()} leads {other} by {points:.1f} points, and no seed contradicts it."
    return f"{first.capitalize()} and {other} differ by {points:.1f} points, less than their seeds differ."
