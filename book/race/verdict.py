"""How a race stands at one moment, in words and in numbers, computed from what ran."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnlib import RunConfig
from bnlib.data import load
from bnlib.experiments.intervals import LEVEL as CONFIDENCE
from bnlib.experiments.intervals import Interval, paired
from bnlib.training.recordings import SHOWN, Frame

from ._lane import CURVES, LAYERS, RECENT, Lane, joined, mean, short

# Points of accuracy from which on a lead counts. The interval of a difference is of seeds alone, for the
# validation samples are always the same 500: with others the differences of lanes that have 95 to 98% would
# scatter by 0.2 to 0.5 points (standard error, measured), and a point is about twice as much.
SMALLEST = 1.0
ERRORS = 2  # standard errors of the validation samples: what a lead of one seed has to exceed
LEARNED = 0.1  # above the share of right answers that guessing gives
LEVEL = -1  # the leader of a race that nobody leads

ARRAYS_NEEDED = (*CURVES, *LAYERS)


class Standing(NamedTuple):
    """A lane's accuracy over the seeds that haven't diverged, in percent as it is printed.

    each : of every seed, unrounded, NaN where it has diverged
    samples : how many it is measured on
    """

    lane: int
    name: str
    norm: str
    mean: float
    low: float
    high: float
    lost: int  # seeds that have diverged
    each: tuple[float, ...]
    samples: int


class Lead(NamedTuple):
    """How far one lane is ahead of another, in points of accuracy over the seeds that are left in both.

    points : the difference of what is printed, which is what it is judged by; NaN without such a seed
    interval : of the differences seed by seed, which share weights or batches
    error : the standard error of such a difference on other validation samples, of a single seed
    """

    points: float
    interval: Interval
    error: float

    @property
    def clear(self) -> bool:
        """Whether the seeds show it; of a single seed, whether it is more than its samples' error."""
        if self.interval.seeds < 2:
            return self.points >= max(SMALLEST, ERRORS * self.error)
        return self.interval.low > 0 and self.points >= SMALLEST


class Verdict(NamedTuple):
    """A sentence or two, and the number of the lane that is clearly ahead of all others, or LEVEL."""

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

    The best is compared with the next, or with all that it has no clear lead over; and with batch norm where
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
            each = tuple(100 * float(v) for v in values)
            lost = len(values) - len(left)
            samples = _samples(config)
            found.append(Standing(number, name, config.norm, average, low, high, lost, each, samples))
    return found


def leader(standings: Sequence[Standing]) -> int:
    """Return the number of the lane that is clearly ahead of each other one, or LEVEL."""
    ranked = ranking(standings)
    return ranked[0].lane if ranked and not unclear(ranked) else LEVEL


def unclear(ranked: Sequence[Standing]) -> list[Standing]:
    """List the lanes that the first has no clear lead over."""
    return [one for one in ranked[1:] if not lead(ranked[0], one).clear]


def ranking(standings: Sequence[Standing]) -> list[Standing]:
    """Sort by accuracy, the best first."""
    return sorted(standings, key=lambda one: -one.mean)


def lead(first: Standing, second: Standing) -> Lead:
    """Compare two lanes seed by seed."""
    pairs = np.array([first.each, second.each])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    interval = paired(pairs[0] - pairs[1])
    if not interval.seeds:
        return Lead(math.nan, interval, math.nan)
    means = pairs.mean(axis=1) / 100
    printed = [_percent(float(one)) for one in means]
    if not (first.lost or second.lost):
        printed = [first.mean, second.mean]
    error = 100 * math.sqrt(float((means * (1 - means)).sum()) / first.samples)
    return Lead(round(printed[0] - printed[1], 1), interval, error)


def numbers(
    names: Sequence[str], configs: Sequence[RunConfig], frames: Sequence[Frame], step: int
) -> dict[str, float]:
    """Return what is measured at ``step``, for sentences: see the names below, each with a lane's number.

    Means over the seeds that haven't diverged, NaN where nothing is left. lead: points between the first and
    the second, with its interval from lead_low to lead_high; 0 if there are fewer. accuracy, low, high,
    batch_accuracy, saturation, dead: percent; the two last, as update (log10 of update : data), are means
    over layers. shrink: the last layer's gradient over the first's. gap: the largest over layers. spread: of
    the activations in the last layer. train_loss: the mean over the last RECENT steps, as in `reasons`, or
    over as many of them as ``frames`` has.
    """
    standings = standing(names, configs, frames)
    ranked, by_lane = ranking(standings), {one.lane: one for one in standings}
    points, interval, _ = lead(*ranked[:2]) if len(ranked) > 1 else (0.0, Interval(0.0, 0.0, 0.0, 0), 0.0)
    found: dict[str, float] = {
        "leader": leader(standings),
        "lead": points,
        "lead_low": interval.low,
        "lead_high": interval.high,
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
    return f"{_samples(config)} {'' if config.network == 'gan' else 'validation '}samples"


def _samples(config: RunConfig) -> int:
    return SHOWN if config.network == "gan" else len(load(config.dataset).y_val)


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
    first, open_ = ranked[0], unclear(ranked)
    text = _no_lead(first, open_, seeds, samples) if open_ else _ahead(first, ranked[1], seeds)
    batch = [one for one in ranked if one.norm == "batch"]
    if batch and not any(one.norm == "batch" for one in (first, *(open_ or ranked[1:2]))):
        text += f" {capital(batch[0].name)} is {lead(first, batch[0]).points:.1f} points behind {first.name}."
    return text


def _ahead(first: Standing, second: Standing, seeds: int) -> str:
    found = lead(first, second)
    text = f"{capital(first.name)} is {found.points:.1f} points ahead of {second.name}"
    if found.interval.seeds > 1:
        return f"{text}, {_span(found, seeds)}."
    return f"{text}{_one(seeds)}: other seeds may differ."


def _no_lead(first: Standing, others: Sequence[Standing], seeds: int, samples: str) -> str:
    """Say that the best lane has no clear lead over others, and how far they are."""
    found = [lead(first, one) for one in others]
    if all(one.points == 0 and (seeds < 2 or one.interval.low == one.interval.high) for one in found):
        return f"{capital(joined([one.name for one in sorted((first, *others))]))} are level."
    nearest, *rest = found
    names = [
        f"{name} ({signed(one.points)})" if math.isfinite(one.points) else name
        for name, one in zip([one.name for one in others[1:]], rest, strict=True)
    ]
    nor = f"; nor over {joined(names)}" if names else ""
    text = f"{capital(first.name)} has no clear lead over {others[0].name}: "
    if not nearest.interval.seeds:
        return f"{text}no seed is left in both{nor}."
    text += f"{signed(nearest.points)} points"
    if nearest.interval.seeds > 1:
        small = ": less than a point doesn’t count" if nearest.interval.low > 0 else ""
        return f"{text}, {_span(nearest, seeds)}{small}{nor}."
    error = f"two standard errors on {samples} are {ERRORS * nearest.error:.1f}"
    return f"{text}{_one(seeds)}, where {error}{nor}."


def _one(seeds: int) -> str:
    return ", with one seed each" if seeds < 2 else " in the one seed left in both"


def _span(found: Lead, seeds: int) -> str:
    """Write the interval of a lead, as far as accuracies can differ."""
    _, low, high, left = found.interval
    of = f"{left} seeds" if left == seeds else f"the {left} seeds left in both"
    return f"{CONFIDENCE:.0%} interval {signed(max(-100.0, low))} to {signed(min(100.0, high))} over {of}"


def signed(points: float) -> str:
    """Write a difference with its sign."""
    text = f"{points:+.1f}"
    return "+0.0" if text == "-0.0" else text.replace("-", "−")


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
