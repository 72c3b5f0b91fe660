"""How a race stands at one moment, in words and in numbers, computed from what ran."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnlib import RunConfig
from bnlib.data import load
from bnlib.gan import SHOWN
from bnlib.telemetry import Frame

from ._lane import CURVES, LAYERS, RECENT, Lane, joined, mean, short

# Points of accuracy below which some 500 validation samples are no evidence: twice their standard error.
NOISE = 1.5
LEARNED = 0.1  # above the share of right answers that guessing gives
LEVEL = -1  # the leader of a race that nobody leads

ARRAYS_NEEDED = (*CURVES, *LAYERS)


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
    """A sentence or two, and the number of the lane that is ahead: LEVEL if none is by at least NOISE."""

    text: str
    leader: int


def verdict(
    names: Sequence[str],
    configs: Sequence[RunConfig],
    frames: Sequence[Frame],
    step: int,
    ghosts: Mapping[int, Frame] | None = None,
) -> Verdict:
    """Say who is ahead at ``step``: for each lane, its frames from `frames_needed`, or more of them.

    The best is compared with the next, or with all that are within NOISE of it; and with batch norm where
    that is further behind. Where the latest validation was before ``step``, its own step is named. How the
    ghost stood comes last.
    """
    values = [accuracy(frame) for frame in frames]
    standings = standing(names, configs, frames)
    by_lane = {one.lane: one for one in standings}
    brief, parts, most = short(names), [], max(len(each) for each in values)
    for number, name in enumerate(brief):
        gone = (
            "gives no finite output" if np.isfinite(frames[number]["train_loss"][:, -1]).any() else "diverged"
        )
        parts.append(
            _accuracy(by_lane[number]._replace(name=name), len(values[number]))
            if number in by_lane
            else f"{name} {gone}"
        )
    brackets = " (lowest–highest seed)" if most > 1 else ""
    validated = _validated(configs[0], step)
    when = f" at step {validated}" if validated < step else ""
    sentences = [f"Step {step}, {measured(configs[0])}{when}{brackets}: {', '.join(parts)}."]
    named = [one._replace(name=brief[one.lane]) for one in standings]
    sentences.append(_comparison(named, len(configs), most, samples(configs[0])))
    sentences.append(_ghost(brief, frames, ghosts or {}))
    return Verdict(" ".join(filter(None, sentences)), leader(standings))


def standing(names: Sequence[str], configs: Sequence[RunConfig], frames: Sequence[Frame]) -> list[Standing]:
    """List the lanes that have an accuracy, in the order of the lanes."""
    found = []
    for number, (name, config, frame) in enumerate(zip(names, configs, frames, strict=True)):
        values = accuracy(frame)
        left = values[np.isfinite(values)]
        if len(left):
            average, low, high = (_percent(float(v)) for v in (left.mean(), left.min(), left.max()))
            found.append(Standing(number, name, config.norm, average, low, high, len(values) - len(left)))
    return found


def leader(standings: Sequence[Standing]) -> int:
    """Return the number of the lane that is ahead by at least NOISE, or LEVEL."""
    ranked = ranking(standings)
    if not ranked or (len(ranked) > 1 and lead(*ranked[:2]) < NOISE):
        return LEVEL
    return ranked[0].lane


def ranking(standings: Sequence[Standing]) -> list[Standing]:
    """Sort by accuracy, the best first."""
    return sorted(standings, key=lambda one: -one.mean)


def lead(first: Standing, second: Standing) -> float:
    """Return the difference of two accuracies as it is printed, which is what it is judged by."""
    return round(first.mean - second.mean, 1)


def numbers(
    names: Sequence[str], configs: Sequence[RunConfig], frames: Sequence[Frame], step: int
) -> dict[str, float]:
    """Return what is measured at ``step``, for sentences: see the names below, each with a lane's number.

    Means over the seeds that haven't diverged, NaN where nothing is left. ``lead``: points between the first
    and the second, 0 if there are fewer. accuracy, low, high, batch_accuracy, saturation, dead: percent;
    the two last, as update (log10 of update : data), are means over layers. shrink: the last layer's gradient
    over the first's. gap: the largest over layers. spread: of the activations in the last layer. train_loss:
    the mean over the last RECENT steps, as in `reasons`, or over as many of them as ``frames`` has.
    """
    standings = standing(names, configs, frames)
    ranked, by_lane = ranking(standings), {one.lane: one for one in standings}
    found: dict[str, float] = {
        "leader": leader(standings),
        "lead": lead(*ranked[:2]) if len(ranked) > 1 else 0.0,
    }
    for number, (name, config, frame) in enumerate(zip(names, configs, frames, strict=True)):
        lane, one = Lane(number, name, config, frame, step), by_lane.get(number)
        gradient, gap = lane.at("gradient_norm"), lane.at("statistics_gap")
        own = {
            "accuracy": one.mean if one else np.nan,
            "low": one.low if one else np.nan,
            "high": one.high if one else np.nan,
            "batch_accuracy": 100 * lane.value("val_accuracy_batch"),
            "train_loss": lane.loss,
            "val_loss": lane.value("val_loss"),
            "lost": lane.lost,
            "first_gradient": float(gradient[0]),
            "last_gradient": float(gradient[-1]),
            "shrink": lane.shrink,
            "saturation": 100 * float(mean(lane.at("saturation"))),
            "dead": 100 * float(mean(lane.at("dead"))),
            "gap": float(gap[np.isfinite(gap)].max()) if np.isfinite(gap).any() else np.nan,
            "update": float(mean(lane.at("update_ratio"))),
            "spread": float(lane.at("activation_std")[-1]),
        }
        found |= {f"{name}_{number}": float(value) for name, value in own.items()}
    return found


def measured(config: RunConfig) -> str:
    """Say what the accuracy is of that a race is judged by."""
    return "samples near a Gaussian" if config.network == "gan" else "validation accuracy"


def samples(config: RunConfig) -> str:
    """Say what that accuracy is measured on."""
    if config.network == "gan":
        return f"{SHOWN} samples"
    return f"{len(load(config.dataset).y_val)} validation samples"  # wrong labels are for training alone


def guessing(config: RunConfig) -> float:
    """Return the accuracy of guessing; 0 where there is nothing to guess."""
    return 0.0 if config.network == "gan" else 1 / load(config.dataset).classes


def frames_needed(config: RunConfig, step: int) -> range:
    """Return the numbers of the frames from the latest validation, and from RECENT steps ago, to ``step``."""
    every = config.record_every
    last = step // every
    recent = max(0, (last * every - RECENT) // every + 1)
    return range(min(_validated(config, step) // every, recent), last + 1)


def _validated(config: RunConfig, step: int) -> int:
    """Return the step of the latest validation up to ``step``."""
    return step // config.validate_every * config.validate_every


def accuracy(frame: Frame) -> NDArray[np.floating]:
    """Return each seed's latest validation accuracy (R,), NaN where it has diverged by the last frame."""
    alive = np.isfinite(frame["train_loss"][:, -1])
    values = frame["val_accuracy"]
    known = np.flatnonzero(np.isfinite(values[alive]).any(axis=0))
    return np.where(alive, values[:, int(known[-1]) if len(known) else 0], np.nan)


def _percent(share: float) -> float:
    """Round to one digit, halves up, as the browser rounds."""
    return math.floor(1000 * share + 0.5) / 10


def _accuracy(one: Standing, seeds: int) -> str:
    left = seeds - one.lost
    spread = f" ({one.low:.1f}–{one.high:.1f})" if left > 1 else ""
    have = "has" if left == 1 else "have"
    fate = f" in the {left} of {seeds} seeds that {have} not diverged" if one.lost else ""
    return f"{one.name} {one.mean:.1f}%{spread}{fate}"


def _comparison(standings: Sequence[Standing], lanes: int, seeds: int, samples: str) -> str:
    if lanes == 1:
        return ""
    if not standings:
        return "No lane is left to compare."
    if len(standings) == 1:
        return f"Only {standings[0].name} is left to compare."
    ranked = ranking(standings)
    first = ranked[0]
    close = [one for one in ranked if lead(first, one) < NOISE]
    named = close if len(close) > 1 else ranked[:2]
    if len(close) > 1:
        between = lead(first, close[-1])
        who = capital(joined([one.name for one in sorted(close)]))
        apart = f"{who} differ by {'at most ' * (len(close) > 2)}{between:.1f} points"
        text = f"{apart}: on {samples} that is no evidence." if between else f"{who} are level."
    else:
        text = _ahead(first, ranked[1], seeds)
    batch = [one for one in ranked if one.norm == "batch"]
    if batch and not any(one.norm == "batch" for one in named):
        text += f" {capital(batch[0].name)} is {lead(first, batch[0]):.1f} points behind {first.name}."
    return text


def _ahead(first: Standing, second: Standing, seeds: int) -> str:
    text = f"{capital(first.name)} is {lead(first, second):.1f} points ahead of {second.name}"
    if seeds < 2:
        return f"{text}, with one seed each: other seeds may differ."
    if first.lost or second.lost:
        return f"{text}, but seeds that diverged are left out."
    if first.low > second.high:
        return f"{text} on average, and its lowest seed is above the highest of {second.name}."
    return f"{text} on average, but their seeds overlap."


def _ghost(names: Sequence[str], frames: Sequence[Frame], ghosts: Mapping[int, Frame]) -> str:
    parts = []
    for lane, frame in ghosts.items():
        values = accuracy(frame)
        if np.array_equal(values, accuracy(frames[lane]), equal_nan=True):
            continue  # a branch that hasn't begun yet
        left = values[np.isfinite(values)]
        shown = f"{_percent(float(left.mean())):.1f}%" if len(left) else "diverged"
        parts.append(f"{names[lane]} {shown}")
    return f"The ghost: {', '.join(parts)}." if parts else ""


def capital(name: str) -> str:
    """Begin a sentence with a name."""
    return name[0].upper() + name[1:]
