"""Why a race stands as it does: causes that the numbers show, what would change it, where to read on.

Each diagnosis is a small function of a lane that is behind and the lane that is best. It looks at settings
and at measured numbers, and finds nothing where the numbers don't show what it is about. The first that
finds something is told; special causes come before general ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from bnlib import RunConfig
from bnlib.networks.config import FIELDS
from bnlib.training.recordings import Frame
from book.words import brief

from . import _reasons_learning as learning
from . import _reasons_signal as signal
from . import _reasons_statistics as statistics
from ._finding import PLACES, Diagnosis, Finding
from ._lane import RECENT, Lane, flow, joined, mean, percent, short, update, way
from .scenes import titled
from .verdict import (
    ARRAYS_NEEDED,
    LEARNED,
    Standing,
    capital,
    guessing,
    lead,
    ranking,
    standing,
    unclear,
)

__all__ = ["ARRAYS_NEEDED", "PLACES", "Reason", "frames_needed", "reasons"]

# What can be said of any network. Of a GAN nothing more: losses of networks that play against each other
# needn't fall.
OF_GANS: tuple[Diagnosis, ...] = (
    learning.diverged,
    statistics.alone,
    statistics.pairs,
    learning.unseen,
    learning.told,
    signal.large_eps,
    signal.small_gamma,
    signal.shifted,
)
DIAGNOSES: tuple[Diagnosis, ...] = (
    *OF_GANS,
    learning.noise,
    learning.decay,
    statistics.same_weights,
    statistics.frozen,
    statistics.gap,
    statistics.order,
    signal.initial_weights,
    learning.fitted,
    statistics.seen,
    statistics.few,
    signal.placed,
    signal.exploding,
    signal.off,
    signal.vanishing,
    statistics.averaged,
    learning.pace,
)
# What can be said though seeds don't show who is ahead: a seed diverges or doesn't, of means of one number
# nothing is left, and lanes of the same weights differ in nothing else.
CERTAIN: tuple[Diagnosis, ...] = (learning.diverged, statistics.alone, statistics.same_weights)
MOST_READ = 3
NOTABLE = 2.0  # points: a difference without a clear sign is told to be perhaps chance; a smaller one is none
PATIENCE = 50  # steps before a lack of progress is worth a word
STEADY = 10.0  # a gradient that changes less from layer to layer needs no repair
TINY, HUGE = -4.5, -1.0  # log10 update : data


class Reason(NamedTuple):
    """Why a race stands as it does.

    because : one or two sentences, never empty
    change : what would make it otherwise
    read : where to read on, words and address
    """

    because: str
    change: str
    read: tuple[tuple[str, str], ...]


def frames_needed(config: RunConfig, step: int) -> range:
    """Return the numbers of all frames up to ``step``: start, course and present are looked at."""
    return range(step // config.record_every + 1)


def reasons(
    names: Sequence[str], configs: Sequence[RunConfig], frames: Sequence[Frame], step: int, here: str = ""
) -> Reason:
    """Say why the race stands as it does at ``step``: for each lane its frames from `frames_needed`.

    With fewer frames, such as those that `verdict` needs, less is found. ``here``: the address of this race,
    to which nobody is sent.
    """
    lanes = [
        Lane(number, name, config, frame, step)
        for number, (name, config, frame) in enumerate(zip(short(names), configs, frames, strict=True))
    ]
    findings = _findings(lanes, standing(names, configs, frames))
    first = findings[0]
    images = statistics.positions(lanes)
    remark = _edited(lanes) or images
    second = findings[1].main if len(findings) > 1 else remark or first.detail
    # The first place of each cause, then the second of each.
    places = dict.fromkeys(
        key for some in zip_longest(*(finding.read for finding in findings)) for key in some if key
    )
    if second == images and images:
        places = {"images": None} | places
    change = next((finding.change for finding in findings if finding.change), "")
    return Reason(
        " ".join(filter(None, (first.main, second))),
        change,
        titled([PLACES[key] for key in places if PLACES[key][1] != here][:MOST_READ]),
    )


def _findings(lanes: list[Lane], standings: Sequence[Standing]) -> list[Finding]:
    """Find one or two causes: for the lanes that are behind, or for there being no difference."""
    ranked = ranking(standings)
    close = [*ranked[:1], *unclear(ranked)]
    clear = {one.lane for one in ranked if one not in close}
    chance = {one.lane for one in close[1:] if lead(ranked[0], one).points >= NOTABLE}
    # Seeds that diverged are worth a word though the others do as well.
    doubtful = chance | {one.lane for one in close if one.lost > min(other.lost for other in close)}
    level = [lanes[one.lane] for one in ranked if one.lane not in clear | doubtful]
    behind = [lane for lane in lanes if lane.lost == lane.seeds]
    behind += [lanes[one.lane] for one in reversed(ranked) if one.lane in clear | doubtful]
    untouched = lanes[0].step == 0 and not any(lane.lost for lane in lanes)
    if untouched:
        return [Finding("No update has been made yet: the numbers show the initial weights.")]
    unsteady = learning.unsteady(level, behind)
    if unsteady:
        return [unsteady]
    found: list[Finding] = []
    told = set()
    for lane in behind:
        rule, finding = _first(lane, _nearest(lane, level), CERTAIN if lane.number in doubtful else None)
        if finding and rule not in told:
            told.add(rule)
            if rule is learning.fitted:
                finding = learning.closest(finding, lane, lanes)
            found.append(_with_norms(finding, level, [one for one in behind if one.number not in doubtful]))
        if finding:
            doubtful.discard(lane.number)
        if len(found) == 2:
            break
    left = [one for one in reversed(ranked) if one.lane in doubtful & chance]
    if len(found) == 1 and left:
        found.append(Finding(f"The distance of {_subjects(lanes, left)} may be chance."))
    if found:
        return found
    explained = [lane for lane in behind if lane.number in clear]
    if left and not explained:
        also = f"So may that of {_subjects(lanes, left[1:])}." if left[1:] else ""
        return [_chance(lanes, ranked[0], left[0], also)]
    if explained and ranked:
        lane = explained[0]
        return [learning.unexplained(lane, _nearest(lane, level) or level[0])]
    return [_level(lanes, level)]


def _subjects(lanes: Sequence[Lane], some: Sequence[Standing]) -> str:
    return joined([lanes[one.lane].subject for one in some])


def _with_norms(finding: Finding, level: Sequence[Lane], behind: Sequence[Lane]) -> Finding:
    """Add to a change that names the leading norm which other norms are behind, too."""
    ahead = {lane.config.norm for lane in level}
    others = [lane for lane in behind if lane.divides and lane.config.norm not in ahead]
    if not finding.norm or not others:
        return finding
    names = joined(list(dict.fromkeys(lane.label for lane in others)))
    verb = "is" if len({lane.label for lane in others}) == 1 else "are"
    return finding._replace(change=f"{finding.change} {capital(names)} {verb} behind, too.")


def _nearest(lane: Lane, level: Sequence[Lane]) -> Lane | None:
    """Return of the lanes in front, which are level, the one whose settings differ least."""

    def apart(other: Lane) -> int:
        return sum(getattr(lane.config, name) != getattr(other.config, name) for name in FIELDS)

    return min(level, key=apart, default=None)


def _chance(lanes: Sequence[Lane], first: Standing, last: Standing, also: str) -> Finding:
    """Say that a difference needs no cause while its sign isn't clear."""
    found = lead(first, last)
    why = "its 95% interval over seeds includes 0"
    if found.interval.seeds < 2:
        why = "it is within two standard errors of the validation samples"
    return Finding(
        f"The difference of {found.points:.1f} points between {lanes[first.lane].name} and "
        f"{lanes[last.lane].name} may be chance: {why}.",
        also,
        change="More seeds would show whether they differ.",
        read=("opening", "E8"),
    )


def _first(
    lane: Lane, best: Lane | None, rules: Sequence[Diagnosis] | None = None
) -> tuple[Diagnosis | None, Finding | None]:
    """Return the first of ``rules`` that finds something, of all that apply if none are given."""
    for rule in rules or (OF_GANS if lane.config.network == "gan" else DIAGNOSES):
        finding = rule(lane, best)
        if finding:
            return rule, finding
    return None, None


# ---- no difference -----------------------------------------------------------------------------------


def _level(lanes: list[Lane], alive: list[Lane]) -> Finding:
    """Say why nobody is ahead, or what there is to say of a single lane."""
    if not alive:
        return Finding("Nothing was recorded of these lanes.")
    step, floor = lanes[0].step, guessing(lanes[0].config)
    near = all(lane.value("val_accuracy") < floor + LEARNED for lane in alive)
    stuck = near and step >= PATIENCE
    if stuck or len(lanes) == 1:
        for lane in alive:
            _, finding = _first(lane, None)
            if finding:
                return finding
    if stuck:
        return _stuck(alive, floor)
    if near and floor:
        return Finding(
            f"At step {step} no lane is far from guessing ({percent(floor)}) yet.", change="More steps."
        )
    if len(alive) > 1 and all(statistics.trained_alike(lane, alive[0]) for lane in alive[1:]):
        slowest = max(alive, key=lambda lane: lane.now.momentum)
        other = next(lane for lane in alive if lane is not slowest)
        return statistics.same_weights(slowest, other) or _nothing_to_repair(alive)
    if len(lanes) == 1:
        return _single(alive[0])
    if lanes[0].config.network == "gan":
        losses = joined([f"{brief(lane.loss)} with {lane.name}" for lane in alive])
        return Finding(
            f"No lane’s generator is ahead; the discriminator’s loss is {losses} (guessing: 0.693).",
            read=("ring",),
        )
    falling = [lane for lane in alive if lane.fall > learning.FALLING and lane.loss > 0.5]
    if len(falling) == len(alive):
        fell = joined([f"{percent(lane.fall)} with {lane.name}" for lane in alive])
        return Finding(
            f"{_all(alive)} still learning: over the last {alive[0].span_steps} steps the training loss "
            f"fell by {fell}.",
            change="More steps will show whether one of them ends ahead.",
        )
    return _nothing_to_repair(alive)


def _all(alive: list[Lane]) -> str:
    return "Both are" if len(alive) == 2 else "All are"


def _nothing_to_repair(alive: list[Lane]) -> Finding:
    alive = sorted(alive, key=lambda lane: lane.number)
    shrinks = [(lane.name, lane.shrink) for lane in alive if math.isfinite(lane.shrink)]
    losses = joined([f"{brief(lane.loss)} with {lane.name}" for lane in alive])
    change = "A larger learning rate, smaller initial weights or more layers can bring out a difference."
    read = ("fast", "deep", "E8")
    if not shrinks:
        return Finding(
            f"The lanes have learned about as much: the training loss is {losses}.", change=change, read=read
        )
    worst = max(max(shrink, 1 / shrink) for _, shrink in shrinks)
    special = _special(alive)
    if worst <= STEADY:
        return Finding(
            f"Each lane’s gradient reaches the first layer: on its way from the last layer it "
            f"{flow(shrinks)}.",
            special or f"The training loss is {losses}.",
            change,
            read,
        )
    return Finding(
        "The gradients differ, but not what was learned: from the last layer to the first the gradient "
        f"{flow(shrinks)}, and the training loss is {losses}.",
        special,
        change,
        read,
    )


def _special(alive: list[Lane]) -> str:
    """Say what a setting does that makes no difference to the accuracy here."""
    for lane in alive:
        others = [other for other in alive if other is not lane]
        for rule in (signal.large_eps, signal.small_gamma):
            finding = rule(lane, others[0] if others else None)
            if finding:
                return finding.main
    return ""


def _stuck(alive: list[Lane], floor: float) -> Finding:
    where = (
        f"No lane is far from guessing ({percent(floor)})" if floor else "Hardly a sample is near a Gaussian"
    )
    if len(alive) == 1 and floor:
        where = f"It is not far from guessing ({percent(floor)})"
    if all(learning.at_rest(lane) for lane in alive):
        return Finding(
            f"{where}, and the learning rate is 0.", change="A learning rate above 0, or a longer cosine."
        )
    moves = float(mean(np.array([mean(lane.at("update_ratio")) for lane in alive])))
    if not math.isfinite(moves):
        return Finding(f"{where}.", change="More steps, or other settings.")
    main = f"{where}: an update is {update(moves)} as long as the weights (mean over layers)."
    if moves < TINY:
        return Finding(main, change="A larger learning rate.", read=("E8",))
    if moves > HUGE:
        return Finding(main, change="A smaller learning rate.", read=("fast", "E8"))
    return Finding(main, change="More steps.", read=("E8",))


def _single(lane: Lane) -> Finding:
    begun, now = float(mean(lane.frame["train_loss"][:, 0])), lane.loss
    what = "The discriminator’s loss" if lane.config.network == "gan" else "The training loss"
    shrink = lane.shrink
    flow = (
        f", and the gradient {way(shrink)} from the last layer to the first" if math.isfinite(shrink) else ""
    )
    return Finding(
        f"{what} went from {brief(begun)} to {brief(now)}{flow}: no single number stands out.",
        change="Add a lane to compare with.",
        read=("opening",),
    )


# ---- changes in mid-run ------------------------------------------------------------------------------


def _edited(lanes: list[Lane]) -> str:
    """Say what the last change in mid-run was, and what the training loss of the lane did since."""
    for lane in lanes:
        # The loss is of the last RECENT steps: sooner, it is partly of before the change.
        edits = [
            (step, name, value)
            for step, name, value in lane.config.edits
            if step + RECENT <= lane.step and value != getattr(lane.config.at(step - 1), name)
        ]
        if not edits or not lane.alive.any():
            continue
        at = edits[-1][0]
        before = lane.config.at(at - 1)
        changed = joined(
            [_change(name, value, getattr(before, name)) for step, name, value in edits if step == at]
        )
        past = np.flatnonzero(lane.steps < at)
        if not len(past):
            return ""
        window = past[-max(1, len(past) // 10) :]
        loss = float(mean(mean(lane.frame["train_loss"][lane.alive][:, window])))
        return (
            f"Since step {at} {changed}: with {lane.name} the training loss was {brief(loss)} before and is "
            f"{brief(lane.loss)} now."
        )
    return ""


def _change(name: str, value: Any, before: Any) -> str:
    if name == "frozen":
        return f"running mean and variance {'are frozen' if value else 'follow the batches again'}"
    return f"{_label(name)} is {brief(value)} instead of {brief(before)}"


def _label(name: str) -> str:
    words = {"lr": "the learning rate", "batch_size": "the batch size", "eps": "ε", "gamma": "γ", "beta": "β"}
    words |= {"weight_decay": "the weight decay", "r_max": "r max", "d_max": "d max", "alpha": "α"}
    return words.get(name, name)
