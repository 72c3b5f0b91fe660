"""What a race shows at one moment, in words, computed from what ran."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnlib import NORMS, RunConfig
from bnlib.data import load
from bnlib.gan import SHOWN
from bnlib.telemetry import Frame

PATIENCE = 50  # steps before a lack of progress is worth a word
GUESSING = 0.1  # so little above the share of right answers that guessing gives is no progress
# Points of accuracy below which some 500 validation samples are no evidence: twice their standard error.
NOISE = 1.5
LEVEL = -1  # the leader of a race that nobody leads

FADED = 30  # so many times smaller at the input's side, a gradient is worth a word

MILLION = 1e6
# Norms whose statistics are taken over the positions of an image: what they do where there is one position.
LONELY = {
    "instance": "Without an image, instance norm takes the mean of a single number: it gives β whatever "
    "comes in.",
    "frn": "Without an image, filter response norm divides each number by its own size: little more than the "
    "sign is left.",
}

ARRAYS_NEEDED = ("val_accuracy", "train_loss", "gradient_norm")


class Standing(NamedTuple):
    """A lane's accuracy over the seeds that haven't diverged, in percent as it is printed."""

    lane: int
    name: str
    norm: str
    mean: float
    low: float
    high: float
    lost: int  # seeds that have diverged


class Verdict(NamedTuple):
    """A sentence or two, and the number of the lane that is ahead: LEVEL if none is by more than NOISE."""

    text: str
    leader: int


def verdict(
    names: Sequence[str],
    configs: Sequence[RunConfig],
    frames: Sequence[Frame],
    step: int,
    ghosts: Mapping[int, Frame] | None = None,
) -> Verdict:
    """Who is ahead at ``step``: for each lane, its frames from `frames_needed`.

    The best is compared with the next, and with batch norm where that is further behind. What the settings
    alone decide, such as a batch of one, is said too, and how the ghost stood. Where the latest validation
    was before ``step``, its own step is named.
    """
    parts, standings, seeds = [], [], 0
    for number, (name, config, lane) in enumerate(zip(names, configs, frames, strict=True)):
        values = accuracy(lane)
        left, seeds = values[np.isfinite(values)], len(values)
        if not len(left):
            parts.append(f"{name} diverged")
            continue
        mean, low, high = (_percent(float(v)) for v in (left.mean(), left.min(), left.max()))
        standings.append(Standing(number, name, config.norm, mean, low, high, seeds - len(left)))
        spread = f" ({low:.1f}–{high:.1f})" if len(left) > 1 else ""
        fate = f" in the {len(left)} of {seeds} seeds that have not diverged" if len(left) < seeds else ""
        parts.append(f"{name} {mean:.1f}%{spread}{fate}")
    brackets = " (lowest–highest seed)" if seeds > 1 else ""
    validated = _validated(configs[0], step)
    when = f" at step {validated}" if validated < step else ""
    text = f"Step {step}, {measured(configs[0])}{when}{brackets}: {', '.join(parts)}."
    sentences = [text, _comparison(standings, len(configs), seeds, samples(configs[0]))]
    sentences += [_flow(names, frames), *_hints(configs, standings, step, guessing(configs[0]))]
    sentences.append(_ghost(names, frames, ghosts or {}))
    return Verdict(" ".join(filter(None, sentences)), _leader(standings))


def measured(config: RunConfig) -> str:
    """What the accuracy is of that a race is judged by."""
    return "samples near a Gaussian" if config.network == "gan" else "validation accuracy"


def samples(config: RunConfig) -> str:
    """What that accuracy is measured on."""
    if config.network == "gan":
        return f"{SHOWN} samples"
    return f"{len(load(config.dataset).y_val)} validation samples"  # wrong labels are for training alone


def guessing(config: RunConfig) -> float:
    """The accuracy of guessing; 0 where there is nothing to guess."""
    return 0.0 if config.network == "gan" else 1 / load(config.dataset).classes


def frames_needed(config: RunConfig, step: int) -> range:
    """Numbers of the frames from the latest validation up to ``step``."""
    return range(_validated(config, step) // config.record_every, step // config.record_every + 1)


def _validated(config: RunConfig, step: int) -> int:
    """The step of the latest validation up to ``step``."""
    return step // config.validate_every * config.validate_every


def accuracy(lane: Frame) -> NDArray[np.floating]:
    """Each seed's validation accuracy in a lane's first frame (R,), NaN where it has diverged by the last."""
    alive = np.isfinite(lane["train_loss"][:, -1])
    return np.where(alive, lane["val_accuracy"][:, 0], np.nan)


def _percent(share: float) -> float:
    """To one digit, halves up, as the browser rounds."""
    return math.floor(1000 * share + 0.5) / 10


def _leader(standings: list[Standing]) -> int:
    ranked = sorted(standings, key=lambda standing: -standing.mean)
    if not ranked or (len(ranked) > 1 and _lead(*ranked[:2]) < NOISE):
        return LEVEL
    return ranked[0].lane


def _lead(first: Standing, second: Standing) -> float:
    """The difference of two accuracies as it is printed, which is what it is judged by."""
    return round(first.mean - second.mean, 1)


def _comparison(standings: list[Standing], lanes: int, seeds: int, samples: str) -> str:
    if not standings:
        return "Nothing learns at these settings."
    if len(standings) == 1:
        return f"Only {standings[0].name} has not diverged." if lanes > 1 else ""
    ranked = sorted(standings, key=lambda standing: -standing.mean)
    first, second = ranked[:2]
    batch = [standing for standing in ranked[2:] if standing.norm == "batch"]
    behind = [f"{capital(s.name)} is {_lead(first, s):.1f} points behind." for s in batch]
    return " ".join([_ahead(first, second, seeds, samples), *behind])


def _ahead(first: Standing, second: Standing, seeds: int, samples: str) -> str:
    points = _lead(first, second)
    if points == 0:
        return f"{capital(first.name)} and {second.name} are level."
    lead = f"{capital(first.name)} is {points:.1f} points ahead of {second.name}"
    if points < NOISE:
        return f"{lead}: on {samples} that is no evidence."
    if seeds < 2:
        return f"{lead}, with one seed: an anecdote."
    if first.lost or second.lost:
        return f"{lead}, but seeds that diverged are left out."
    if first.low > second.high:
        return f"{lead}; so is each of its seeds."
    return f"{lead}, but their seeds overlap."


def _flow(names: Sequence[str], frames: Sequence[Frame]) -> str:
    """How the gradient shrinks from the last layer to the first where it fades most, and where least."""
    shrinks = {}
    for name, lane in zip(names, frames, strict=True):
        first, last = lane["gradient_norm"][:, -1, 0], lane["gradient_norm"][:, -1, -1]
        known = (first > 0) & (last > 0)
        if known.any():
            shrinks[name] = float(last[known].mean(dtype=float) / first[known].mean(dtype=float))  # as drawn
    if not shrinks or max(shrinks.values()) < FADED:
        return ""
    most, least = max(shrinks, key=shrinks.__getitem__), min(shrinks, key=shrinks.__getitem__)
    text = f"From the last layer to the first the gradient shrinks {_fold(shrinks[most])} with {most}"
    if least != most:
        way = "shrinks" if shrinks[least] >= 1 else "grows"
        text += f", {way} {_fold(max(shrinks[least], 1 / shrinks[least]))} with {least}"
    return f"{text}: see Gradient flow."


def _fold(times: float) -> str:
    return f"{float(f'{times:.2g}'):,.10g}-fold" if times < MILLION else "over a million-fold"


def _ghost(names: Sequence[str], frames: Sequence[Frame], ghosts: Mapping[int, Frame]) -> str:
    parts = []
    for lane, frame in ghosts.items():
        values = accuracy(frame)
        if np.array_equal(values, accuracy(frames[lane]), equal_nan=True):
            continue  # a branch that hasn't begun yet
        left = values[np.isfinite(values)]
        parts.append(f"{names[lane]} {100 * left.mean():.1f}%" if len(left) else f"{names[lane]} diverged")
    return f"The ghost: {', '.join(parts)}." if parts else ""


def _hints(configs: Sequence[RunConfig], standings: list[Standing], step: int, guessing: float) -> list[str]:
    hints = []
    now = [config.at(step) for config in configs]
    # How many samples share a mean, and what such a batch is called.
    sizes = {
        config.norm_batch or config.batch_size: "norm batch" if config.norm_batch else "batch"
        for config in now
        if config.norm in NORMS and "N" in NORMS[config.norm].shared and config.network != "cnn"
    }
    alone = {config.norm for config in now if config.network != "cnn"} & LONELY.keys()
    hints += [LONELY[norm] for norm in sorted(alone)]
    if 1 in sizes:
        hints.append(f"A {sizes[1]} of one is its own mean: batch norm gives β whatever comes in.")
    if 2 in sizes:
        found = (
            f"In a {sizes[2]} of two every normalized value is close to ±1: which is larger is all that is "
            "left."
        )
        other = {"layer", "group"} & {config.norm for config in now}
        more = "" if other else " Layer and group norm don’t look at the batch: try one as a lane."
        hints.append(found + more)
    still = [str(lane) for lane, config in enumerate(now, start=1) if 0 < config.cosine_steps < step]
    if still:
        where = (
            f"lane{'s' * (len(still) > 1)} {' and '.join(still)}" if len(still) < len(now) else "all lanes"
        )
        hints.append(f"The learning rate has come down its cosine to 0 in {where}: the weights rest.")
    rates = [0.0 if 0 < config.cosine_steps <= step else config.lr for config in now]
    slow = step >= PATIENCE and max(rates) >= 0.1
    if slow and standings and all(s.mean < 100 * (guessing + GUESSING) for s in standings):
        where = "Nobody is far from guessing" if guessing else "Hardly a sample is near a Gaussian"
        hints.append(f"{where}: more steps or a smaller learning rate may help.")
    return hints


def capital(name: str) -> str:
    return name[0].upper() + name[1:]
