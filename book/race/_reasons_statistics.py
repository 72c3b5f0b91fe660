"""Causes that lie in the statistics: how many numbers share a mean, which, and what inference uses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bnlib.networks.layers import ACTIVATIONS
from book.words import brief

from ._finding import Finding
from ._lane import Lane, fold, losses, mean, percent, raised, update
from ._reasons_learning import at_rest
from .verdict import capital

FEW = 16  # numbers; with more, a mean scatters by less than a quarter of sigma
EXPLODES = 10.0
WORSE = 1.2  # a training loss so many times as high is higher
SIGN = 0.9  # of pairs, how close x̂ is to ±1 where little more than a sign is left
GAP = 0.05  # share of right answers between the two kinds of statistics that is worth a word
MOVED = 0.5  # running standard deviations between the means of a batch and frozen ones
SLOWER = 0.3  # of log10 update : data: half as large
FADED = 0.01  # a start of which so little is left is no cause
USUAL_MOMENTUM = 0.9

_OTHERS = "a norm over each sample’s own features (layer norm)"


def alone(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find means of a single number: nothing of the input is left."""
    if not lane.shared or max(lane.shared) > 1:
        return None
    spread, first = lane.at("activation_std"), float(lane.at("gradient_norm")[0])
    config = lane.now
    if config.norm == "frn":
        if ahead is None or not lane.scale_free:
            return None
        return Finding(
            f"Without positions {lane.name} divides each number by its own size, so that little more than "
            "its sign is left.",
            change="Filter response norm needs positions: try a convolutional network.",
            read=("alone",),
        )
    if not (first == 0 or spread[-1] < 1e-3):
        return None
    main = (
        f"With {lane.name} each mean is over a single number, which is its own mean: x̂ = 0, and the output "
        "is β whatever comes in."
    )
    detail = "Measured, the gradient in the first layer is exactly 0." if first == 0 else ""
    if lane.of_batch:
        change = f"Batches of 16 or more would give {lane.name} statistics; {_OTHERS} needs no batch."
    else:
        change = f"{capital(lane.name)} needs positions: try a convolutional network, or {_OTHERS}."
    return Finding(main, detail, change, ("alone", "E20") if lane.of_batch else ("alone",))


def pairs(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find means of two numbers: only which is larger is left, and the gradient vanishes or explodes.

    Two numbers that differ by a gap have x̂ = ±gap / √(gap² + 4ε).
    """
    norm, size = lane.now.on_activations, lane.now.statistics_of or lane.now.batch_size
    if lane.now.norm == "renorm" and size == 2 and lane.now.network != "cnn":
        return _renorm(lane, ahead)
    if not lane.shared or max(lane.shared) != 2 or norm is None or not norm.centre or norm.activates:
        return None
    largest = _size_of_pairs(lane)
    if largest < SIGN or not (math.isfinite(largest) or lane.scale_free):
        return None
    shrink, grown = lane.shrink, 1 / lane.shrink_start
    detail = ""
    if shrink >= EXPLODES:
        detail = f"Measured, the gradient shrinks {fold(shrink)} from the last layer to the first."
    elif grown >= EXPLODES:
        detail = f"Measured at step 0, the gradient grew {fold(grown)} from the last layer to the first"
        slope = 1 / (2 * math.sqrt(lane.now.eps)) if lane.now.eps else math.inf
        detail += f": two numbers that nearly agree have a slope of up to 1/(2√ε) = {brief(slope)}."
    elif ahead is None:
        detail = f"The training loss is {brief(lane.loss)} at step {lane.step}."
    elif not lane.loss > WORSE * ahead.loss:
        return None
    else:
        detail = f"{capital(losses(lane, ahead))}."
    ways = ["Larger norm batches" if lane.now.statistics_of else "Larger batches"]
    if lane.now.network == "mlp":
        ways.append("a convolution, whose channels have a number at each position")
    return Finding(
        f"With {lane.name} two numbers share a mean: x̂ = ±gap/√(gap² + 4ε), close to ±1 for gaps well above "
        f"2√ε = {brief(2 * math.sqrt(lane.now.eps))}, and without ε no gradient would pass (closed form).",
        detail,
        f"{'; '.join(ways)}; or {_OTHERS}." if lane.of_batch else "More channels in each group.",
        ("cliff", "pairs", "E11"),
    )


def _size_of_pairs(lane: Lane) -> float:
    """Return how close x̂ is to ±1 at step 0: at most 1, and 1 of ±1 alone; NaN where no spread tells it.

    Of a pair a ReLU passes one number on, and the other becomes 0. The variance of its outputs is half of x̂'s
    mean square less a quarter of the square of |x̂|'s mean: of |x̂| up to 1 it is 1/4 at most.
    """
    config = lane.config
    plain = config.nonlinearity is ACTIVATIONS["relu"] and config.placement == "before"
    if not plain or config.norm_noise or config.residual != "none" or (config.gamma, config.beta) != (1, 0):
        return math.nan
    return 2 * float(mean(lane.start("activation_std")))


def _renorm(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find updates of batch renorm that are small: its r and d count as constants in the gradient."""
    one, two = (float(each.at("update_ratio")[0]) if each else math.inf for each in (lane, ahead))
    if not (lane.scale_free and one < two - SLOWER):
        return None
    against = f", with {ahead.name} {update(two)}" if ahead and math.isfinite(two) else ""
    measured = f"; an update is {update(one)} as long as layer 1’s weights with {lane.name}{against}"
    return Finding(
        "Batch renorm corrects what comes out, not the gradient: of two numbers hardly any gradient gets "
        f"through{measured if math.isfinite(one) else ''}.",
        "In the gradient r and d count as constants.",
        "Batches of 4 or more, or layer norm.",
        ("cliff", "pairs", "E11"),
    )


def few(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find noisy means: few numbers share one, and the training loss is higher."""
    if not lane.of_batch or not 1 < min(lane.shared) <= FEW or ahead is None:
        return None
    m = min(lane.shared)
    if ahead.of_batch and min(ahead.shared) < 2 * m:
        return None
    if not lane.loss > WORSE * ahead.loss:
        return None
    anew = ", and each time step has its own" if lane.now.network == "rnn" else ""
    return Finding(
        f"With {lane.name} a mean over {m} numbers scatters by 1/√{m} = {percent(1 / math.sqrt(m))} of σ"
        f"{anew}; with this noise {losses(lane, ahead)}.",
        change=f"More samples in each norm batch, or {_OTHERS}.",
        read=("roulette", "E11"),
    )


def seen(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a lane that has seen far fewer samples, since its batches are smaller."""
    if ahead is None or "batch_size" in {name for one in (lane, ahead) for _, name, _ in one.now.edits}:
        return None
    here, there = lane.learned_from, ahead.learned_from
    if lane.now.batch_size == ahead.now.batch_size or there < 2 * here or not lane.loss > WORSE * ahead.loss:
        return None
    change = "More steps for the smaller batches: after as many samples the gap may be smaller."
    if at_rest(lane):
        change = "A longer cosine for the smaller batches: after as many samples the gap may be smaller."
    return Finding(
        f"By step {lane.step} {lane.name} has learned from {here:,} samples, {ahead.name} "
        f"from {there:,}; {losses(lane, ahead)}.",
        change=change,
        read=("E12", "E11"),
    )


def averaged(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a leader whose running averages, free of the noise of a batch's statistics, are half its lead."""
    norm = ahead.now.on_activations if ahead else None
    if ahead is None or norm is None or not norm.running or lane.now.network == "gan":
        return None
    (one, two), (other, batch) = (
        [each.value(name) for each in (lane, ahead)] for name in ("val_accuracy", "val_accuracy_batch")
    )
    if not two - batch > max(GAP + max(0.0, one - other), 0.5 * (two - one)):
        return None
    return Finding(
        f"Inference uses running averages, without the noise of a batch’s statistics: {ahead.name} is "
        f"right on {100 * two:.1f}% with them, on {100 * batch:.1f}% with those of a batch; {lane.name} on "
        f"{100 * one:.1f}%.",
        change="More steps, or a larger learning rate if training stays stable.",
        read=("roulette", "lag"),
    )


def same_weights(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find lanes that differ in momentum alone: training is the same, only the running averages differ."""
    if ahead is None or not trained_alike(lane, ahead):
        return None
    batch = 100 * lane.value("val_accuracy_batch")
    main = (
        f"{capital(lane.name)} and {ahead.name} have the same weights (training loss "
        f"{brief(lane.loss)}; both are right on {batch:.1f}% with a batch’s statistics): only the "
        "running averages differ."
    )
    momentum, updates = lane.now.momentum, _updates(lane)
    left = momentum**updates
    anew = "statistics computed anew from the training samples repair it"
    if not (left > FADED and lane.now == lane.config):
        return Finding(main, change=f"{capital(anew)} at once.", read=("lag", "E13"))
    detail = (
        f"Of the averages’ start, mean 0 and variance 1, {raised(momentum, updates)} = {percent(left)} "
        f"is left with {lane.name} after {updates:,} steps."
    )
    return Finding(main, detail, f"{_fades(momentum)[:-1]}; {anew} at once.", ("stale", "E13"))


def trained_alike(lane: Lane, other: Lane) -> bool:
    """Say whether two lanes differ in the momentum of running averages that training doesn't use."""
    norm = lane.now.on_activations
    return (
        norm is not None
        and norm.running
        and lane.config.momentum != other.config.momentum
        and replace(lane.config, momentum=other.config.momentum) == other.config
        and lane.loss == other.loss
        and lane.value("val_accuracy_batch") == other.value("val_accuracy_batch")
    )


def _updates(lane: Lane) -> int:
    """How many updates the running averages had by the latest validation."""
    return lane.step // lane.config.validate_every * lane.config.validate_every


def gap(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find running averages that don't fit: the same weights do better with a batch's statistics."""
    norm = lane.now.on_activations
    if norm is None or not norm.running or lane.now.network == "gan":
        return None
    running, batch = lane.value("val_accuracy"), lane.value("val_accuracy_batch")
    other = max(0.0, ahead.value("val_accuracy_batch") - ahead.value("val_accuracy")) if ahead else 0.0
    if not batch - running > GAP + other:
        return None
    main = (
        f"With {lane.name} the same weights are right on {100 * batch:.1f}% with the statistics of a batch, "
        f"and on {100 * running:.1f}% with the running averages that inference uses."
    )
    momentum = lane.now.momentum
    updates = _updates(lane)
    left = momentum**updates
    if left > FADED and lane.now == lane.config and math.isfinite(left):
        detail = (
            f"Of the averages’ start, mean 0 and variance 1, {raised(momentum, updates)} = {percent(left)} "
            f"is left after {updates:,} steps."
        )
        return Finding(main, detail, _fades(momentum), ("stale", "E13"))
    gaps = lane.at("statistics_gap")
    if not np.isfinite(gaps).any():
        return Finding(main, read=("lag",))
    most = int(np.nanargmax(gaps))
    detail = (
        f"In layer {most + 1} the batch means lie {brief(float(gaps[most]))} running standard deviations "
        "from the running means (root mean square)."
    )
    return Finding(
        main, detail, "Statistics computed again with the present weights would fit.", ("lag", "E13")
    )


def frozen(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find activations that have moved away from the statistics that the norm was frozen with."""
    since, gaps = lane.frozen_since, lane.at("statistics_gap")
    if since is None or (ahead and ahead.frozen_since is not None) or not np.isfinite(gaps).any():
        return None
    most = int(np.nanargmax(gaps))
    if gaps[most] < MOVED:
        return None
    of = f"have been frozen since step {since}" if since else "are those of the start, mean 0 and variance 1"
    main = (
        f"The statistics of {lane.name} {of}: in layer {most + 1} the means of a batch lie "
        f"{brief(float(gaps[most]))} frozen standard deviations away from the frozen ones (root mean square)."
    )
    detail = "So x̂ doesn’t have mean 0 and variance 1 there, and the spread of the activations can grow."
    change = "Statistics that are frozen later, or follow the batches again."
    return Finding(main, detail, change, ("lag", "E13"))


def _fades(momentum: float) -> str:
    gone = math.ceil(math.log(FADED) / math.log(momentum))
    text = f"More steps: after {gone:,} steps 1% of the start is left"
    if momentum <= USUAL_MOMENTUM:
        return f"{text}."
    usual = math.ceil(math.log(FADED) / math.log(USUAL_MOMENTUM))
    return f"{text}; with momentum {USUAL_MOMENTUM:g} after {usual}."


# What is common to a norm batch, and what is lost with its mean.
_ORDERS = {
    "sorted": ("of nearly one class", "what tells this class from others"),
    "pairs": ("of two classes", "what tells these two from others"),
    "grouped": ("that stay together", "what they have in common"),
}


def order(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find norm batches that hold few classes: the mean that is subtracted is what tells classes apart."""
    config = lane.now
    if ahead is None or not lane.of_batch or config.batch_order not in _ORDERS:
        return None
    if ahead.of_batch and ahead.now.batch_order == config.batch_order:
        return None
    kind, lost = _ORDERS[config.batch_order]
    detail = ""
    if lane.loss > WORSE * ahead.loss:
        measured = losses(lane, ahead)
        norm = config.on_activations
        if norm and norm.running:
            detail = (
                "In inference the running averages, over all classes, give it "
                f"{100 * lane.value('val_accuracy'):.1f}%."
            )
    elif lane.value("val_loss") > WORSE * ahead.value("val_loss"):
        measured = (
            f"the validation loss, with statistics of all classes, is {brief(lane.value('val_loss'))}, with "
            f"{ahead.name} {brief(ahead.value('val_loss'))}"
        )
    else:
        return None
    return Finding(
        f"With {lane.name} a mean in training is over {config.statistics_of} samples {kind}, and subtracting "
        f"it removes {lost}: {measured}.",
        detail,
        "Norm batches of mixed classes (batch order shuffled).",
        ("one class", "E14"),
    )


def positions(lanes: list[Lane]) -> str:
    """Say how many numbers share a mean where a small batch of images has many positions."""
    for lane in lanes:
        sizes = lane.shared
        samples = lane.now.statistics_of or lane.now.batch_size
        if lane.now.network == "cnn" and lane.of_batch and samples <= FEW and min(sizes) > 2:
            (height, width, _), last = lane.now.shapes[0], lane.now.shapes[-1]
            first = (
                f"{samples} × {height} × {width} = {sizes[0]}"
                if samples > 1
                else f"{height} × {width} = {sizes[0]}"
            )
            fewer = f", and over {sizes[-1]} in the last layers" if last[:2] != (height, width) else ""
            return (
                f"In batches of {samples} a mean of {lane.name} is over {first} numbers{fewer} ({samples} in "
                "a dense network)."
            )
    return ""
