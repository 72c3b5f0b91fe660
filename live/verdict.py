"""What a race shows at one moment, in words, computed from what ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
PATIENCE = 50  # steps before a lack of progress is worth a word
GUESSING = 0.2  # twice the share of right answers that guessing one of ten digits gives

ARRAYS_NEEDED = ("val_accuracy", "train_loss")


class Standing(NamedTuple):
    """A lane's accuracy over the seeds that haven't diverged, in percent as it is printed."""

    name: str
    mean: float
    low: float
    high: float


def verdict(configs: Sequence[RunConfig], frames: Sequence[Frame], step: int) -> str:
    """Who is ahead at ``step``: for each lane, its frames from `frames_needed`.

    Batch norm is compared with the best of the others where it races, else the best with the next. What
    the settings alone decide, such as a batch of one, is said too.
    """
    parts, standings, seeds = [], [], 0
    for config, lane in zip(configs, frames, strict=True):
        name, values = NAMES[config.norm], accuracy(lane)
        left, seeds = values[np.isfinite(values)], len(values)
        if not len(left):
            parts.append(f"{name} diverged")
            continue
        mean, low, high = (round(100 * float(v), 1) for v in (left.mean(), left.min(), left.max()))
        standings.append(Standing(name, mean, low, high))
        spread = f" ({low:.1f}–{high:.1f})" if len(left) > 1 else ""
        fate = f" in the {len(left)} of {seeds} seeds that have not diverged" if len(left) < seeds else ""
        parts.append(f"{name} {mean:.1f}%{spread}{fate}")
    brackets = " (lowest–highest seed)" if seeds > 1 else ""
    text = f"Step {step}, validation accuracy{brackets}: {', '.join(parts)}."
    return " ".join([text, _comparison(standings, seeds), *_hints(configs, standings, step)])


def frames_needed(config: RunConfig, step: int) -> range:
    """Numbers of the frames from the latest validation up to ``step``."""
    validated = step // config.validate_every * config.validate_every
    return range(validated // config.record_every, step // config.record_every + 1)


def accuracy(lane: Frame) -> NDArray[np.floating]:
    """Each seed's validation accuracy in a lane's first frame (R,), NaN where it has diverged by the last."""
    alive = np.isfinite(lane["train_loss"][:, -1])
    return np.where(alive, lane["val_accuracy"][:, 0], np.nan)


def _comparison(standings: list[Standing], seeds: int) -> str:
    if not standings:
        return "Nothing learns at these settings."
    if len(standings) == 1:
        return f"Only {standings[0].name} has not diverged."
    ranked = sorted(standings, key=lambda standing: -standing.mean)
    pair = ranked[:2]
    batch = next((standing for standing in ranked if standing.name == NAMES["batch"]), None)
    if batch is not None and batch not in pair:
        pair = [ranked[0], batch]
    first, second = pair
    points = first.mean - second.mean
    if round(points, 1) == 0:
        return f"{_capital(first.name)} and {second.name} are level."
    lead = f"{_capital(first.name)} is {points:.1f} points ahead of {second.name}"
    if seeds < 2:
        return f"{lead}, with one seed: an anecdote."
    if first.low > second.high:
        return f"{lead}; so is each of its seeds."
    return f"{lead}, but their seeds overlap."


def _hints(configs: Sequence[RunConfig], standings: list[Standing], step: int) -> list[str]:
    hints, size = [], configs[0].batch_size
    if any(config.norm == "batch" for config in configs):
        if size == 1:
            hints.append("A batch of one is its own mean: batch norm gives β whatever comes in.")
        elif size == 2:
            hints.append("In a batch of two every x̂ is close to ±1: all that is left is which one is larger.")
    slow = step >= PATIENCE and configs[0].lr >= 0.1
    if slow and standings and all(s.mean < 100 * GUESSING for s in standings):
        hints.append("Nobody is far from guessing: more steps or a smaller learning rate may help.")
    return hints


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
