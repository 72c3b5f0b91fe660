"""What a race shows at one moment, in words, computed from the pictures on the screen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnlib import RunConfig
from bnlib.recordings import Recording

NAMES = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "group": "group norm", "rms": "RMS norm"}


def verdict(configs: list[RunConfig], recordings: list[Recording], step: int) -> str:
    """Who is ahead at ``step``, by the latest validation up to then.

    A lead counts as such only when the lanes' seed ranges do not overlap.
    """
    accuracy = [latest_accuracy(recording, step) for recording in recordings]
    if not configs or any(not len(values) for values in accuracy):
        return "Nothing has been recorded yet."
    parts, living = [], []
    for config, values in zip(configs, accuracy, strict=True):
        name = NAMES[config.norm]
        left = values[np.isfinite(values)]
        if not len(left):
            parts.append(f"{name} has diverged")
            continue
        living.append((float(left.mean()), float(left.min()), float(left.max()), name))
        lost = len(values) - len(left)
        fate = f", {lost} of {len(values)} seeds diverged" if lost else ""
        spread = f" [{left.min():.1%} to {left.max():.1%}]" if len(left) > 1 else ""
        parts.append(f"{name} {left.mean():.1%}{spread}{fate}")
    text = f"Validation accuracy at step {step}: " + "; ".join(parts) + "."
    return text + " " + _comparison(living, len(accuracy[0]))


def latest_accuracy(recording: Recording, step: int) -> NDArray[np.floating]:
    """Each seed's latest validation accuracy up to ``step`` (R,), NaN where it has diverged by then."""
    every = recording.run.config.record_every
    blocks = recording.between(0, step // every + 1)
    if not blocks:
        return np.zeros(0)
    accuracy = np.concatenate([block["val_accuracy"] for block in blocks], axis=1)
    validated = blocks[-1]["step"][-1] // recording.run.config.validate_every
    values = accuracy[:, validated * recording.run.config.validate_every // every].copy()
    values[~np.isfinite(blocks[-1]["train_loss"][:, -1])] = np.nan
    return values


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
