"""Causes that lie in training itself: divergence, its pace, what is fitted; a GAN's two networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bnlib.experiments.intervals import paired
from bnlib.networks.layers import ACTIVATIONS
from bnlib.training.optimizer import DIVERGENCE_RATIO
from book.words import brief

from ._finding import Finding
from ._lane import Lane, fold, losses, mean, percent, power, update
from .verdict import LEARNED, capital, guessing

WORSE = 1.1  # a training loss so many times as high is higher
SLOWER = 0.3  # of log10 update : data: half as large
DOUBLE = 0.3  # log10 update : data: an update twice as large as the weights
LARGE = -1.0  # log10 update : data: a tenth of the weights in one step
FALLING = 0.05  # share of the loss between one fifth of the frames and the next
FITTED = 0.8
SMALL = 0.05  # a training loss at which there is little left to fit
GUESS = math.log(2)  # a discriminator's loss when it guesses
TOLD = 0.9  # of it


def diverged(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find seeds whose loss has passed all bounds."""
    if not lane.lost or (ahead and ahead.lost >= lane.lost):
        return None
    ends = lane.ends[~lane.alive]
    seeds = "" if lane.lost == lane.seeds else f" in {lane.lost} of {lane.seeds} seeds"
    bound = f"{DIVERGENCE_RATIO:,.0f} times that of guessing"
    if ends.max() == 0:
        return _from_the_start(lane, ahead, seeds, bound)
    steps = sorted({int(lane.steps[min(end, len(lane.steps) - 1)]) for end in ends})
    when = f"at step {steps[0]}" if len(steps) == 1 else f"between steps {steps[0]} and {steps[-1]}"
    rate = f" at learning rate {brief(lane.now.lr)}" if "learning rate" not in lane.name else ""
    main = f"With {lane.name} training diverged {when}{rate}{seeds}: the loss passed {bound}."
    if detail := _too_large(lane, ahead):
        change = "Init scale 1, He’s weights, or a smaller learning rate."
        return Finding(main, detail, change, ("E19", "large", "fast"))
    if detail := _unheld(lane, ahead, ends):
        return Finding(
            main, detail, f"Statistics that follow the batches again. {_gentler(lane, ahead)}", ("lag", "E8")
        )
    return Finding(main, _before(lane, ahead, ends), _gentler(lane, ahead), ("fast", "E8"))


def _from_the_start(lane: Lane, ahead: Lane | None, seeds: str, bound: str) -> Finding:
    main = f"With {lane.name} the loss of the initial weights is more than {bound}{seeds}: no update is made."
    change = "With init scale 1, He’s weights, training can begin."
    return Finding(main, _too_large(lane, ahead), change, ("E19", "large"))


def _too_large(lane: Lane, ahead: Lane | None) -> str:
    """Say what initial weights larger than He's do to the signal of a ReLU network without a norm."""
    config = lane.config
    dense = config.nonlinearity is ACTIVATIONS["relu"] and config.network == "mlp"
    if not (dense and config.norm == "none" and config.init == "he" and config.init_scale > 1):
        return ""
    text = (
        f"Initial weights of {brief(config.init_scale)} times He’s size multiply the signal by about that in "
        f"each layer: {power(config.init_scale, config.depth)} after {config.depth} layers"
    )
    return f"{text}; with {ahead.name} this factor cancels." if ahead and ahead.scale_free else f"{text}."


def _unheld(lane: Lane, ahead: Lane | None, ends: np.ndarray[Any, Any]) -> str:
    """Say how far the spread of the activations has grown that a norm with frozen statistics doesn't see."""
    since, spread = lane.frozen_since, lane.frame.get("activation_std")
    if since is None or spread is None or (ahead and ahead.frozen_since is not None):
        return ""
    first = int(np.searchsorted(lane.steps, since))
    seeds = [
        (spread[seed, first, -1], spread[seed, end - 1, -1])
        for seed, end in zip(np.flatnonzero(~lane.alive), ends, strict=True)
        if end - 1 > first
    ]
    if not seeds:
        return ""
    begun, grown = (float(mean(np.array(part))) for part in zip(*seeds, strict=True))
    if not grown > 2 * begun:
        return ""
    return (
        f"Its statistics have been frozen since step {since}, so that the norm no longer divides by the "
        f"spread that it gets: in layer {lane.config.depth} the spread of the activations grew from "
        f"{brief(begun)} to {brief(grown)} just before."
    )


def _before(lane: Lane, ahead: Lane | None, ends: np.ndarray[Any, Any]) -> str:
    """Say how large the updates were in the last frame before, and what became of them in the better lane."""
    values = lane.frame.get("update_ratio")
    if values is None:
        return ""
    last = mean(
        np.array(
            [
                values[seed, end - 1]
                for seed, end in zip(np.flatnonzero(~lane.alive), ends, strict=True)
                if end
            ]
        )
    )
    if not np.isfinite(last).any() or np.nanmax(last) < LARGE:
        return ""
    layer = int(np.nanargmax(last))
    size = float(last[layer])
    large = update(size) if size < DOUBLE else fold(10**size).replace("-fold", " times")
    text = f"Just before, an update was {large} as long as the weights of layer {layer + 1}"
    if ahead is None:
        return f"{text}."
    there = ahead.at("update_ratio")
    begin, now = float(mean(ahead.start("update_ratio"))), float(mean(there))
    if math.isfinite(begin) and math.isfinite(now) and now < begin - SLOWER:
        text += f"; with {ahead.name} updates fell from {update(begin)} to {update(now)} (mean over layers)"
        return f"{text}."
    return (
        f"{text}; with {ahead.name} it is {update(now)} now (mean over layers)."
        if math.isfinite(now)
        else f"{text}."
    )


def _gentler(lane: Lane, ahead: Lane | None) -> str:
    slower = f"A smaller learning rate, such as {brief(float(f'{lane.now.lr / 10:.1g}'))}"
    if ahead and ahead.now.lr >= lane.now.lr and ahead.config.norm != lane.config.norm:
        floor, reached, rate = guessing(ahead.config), ahead.value("val_accuracy"), brief(ahead.now.lr)
        if not floor or reached >= floor + LEARNED:
            return f"{slower}; with {ahead.label} training hasn’t diverged at {rate} so far."
        return (
            f"{slower}. {capital(ahead.label)} doesn’t diverge at {rate}, but it doesn’t learn either: "
            f"{100 * reached:.1f}%, guessing has about {percent(floor)}."
        )
    return f"{slower}."


# ---- a GAN -------------------------------------------------------------------------------------------


def unseen(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a discriminator that can't see where points lie, since a norm takes their mean and spread away."""
    if lane.config.network != "gan" or not lane.of_batch or (ahead and ahead.of_batch):
        return None
    near = lane.value("val_accuracy")
    if near > (0.2 if ahead is None else 0.5 * ahead.value("val_accuracy")):
        return None
    return Finding(
        f"With {lane.name} real and generated points are normalized apart, each to mean 0"
        f"{' and spread 1' * lane.scale_free}: the discriminator can’t see where they lie.",
        f"Its loss is {brief(lane.loss)}; guessing has log 2 = 0.693.",
        (_fair(lane, ahead) if ahead else "")
        or "Spectral norm, which looks at no batch, or no norm in the discriminator.",
        ("ring",),
    )


def told(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a discriminator that tells real from generated more easily than the better lane's."""
    if lane.config.network != "gan" or ahead is None or not lane.loss < TOLD * ahead.loss:
        return None
    main = (
        f"With {lane.name} the discriminator tells real from generated points more easily: its loss is "
        f"{brief(lane.loss)}, with {ahead.name} {brief(ahead.loss)} (guessing: 0.693); cause and effect "
        "can’t be separated here."
    )
    detail = ""
    if ahead.config.on_weights == "spectral":
        detail = (
            "Spectral norm keeps the largest singular value of each weight matrix at 1, so that the "
            "discriminator’s slope is at most 1 (closed form)."
        )
    return Finding(
        main,
        detail,
        _fair(lane, ahead) or "Another balance of the two networks, such as a smaller learning rate.",
        ("ring",),
    )


# ---- what is fitted ----------------------------------------------------------------------------------


def fitted(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a lane that fits the training data more closely and does worse on others."""
    if ahead is None:
        return None
    wrong, closer = lane.config.label_noise, lane.loss < FITTED * ahead.loss
    here, there = lane.value("val_loss"), ahead.value("val_loss")
    if not closer:
        if not (max(lane.loss, ahead.loss) < SMALL and here > WORSE * there):
            return None
        return Finding(
            f"Both fit their training data, with losses of {brief(lane.loss)} and {brief(ahead.loss)}; the "
            f"difference is on other data: the validation loss is {brief(here)} with {lane.name}, "
            f"{brief(there)} with {ahead.name}.",
            change=_fair(lane, ahead)
            or "More training samples, weight decay or fewer steps can narrow the difference.",
            read=("E17", "E8"),
        )
    if wrong:
        main = (
            f"{percent(wrong)} of the training labels are wrong, and {lane.subject} fits them more closely "
            f"than {ahead.subject}: {losses(lane, ahead)}."
        )
        detail = ""
        if (
            ahead.of_batch
            and min(ahead.shared) > 1
            and (not lane.of_batch or min(lane.shared) > min(ahead.shared))
        ):
            m = min(ahead.shared)
            detail = (
                f"Means over {m} numbers scatter by 1/√{m} = {percent(1 / math.sqrt(m))} of σ; with this "
                "noise single samples are harder to fit."
            )
        return Finding(
            main, detail, "Fewer wrong labels or fewer steps; smaller norm batches regularize more.", ("E17",)
        )
    if not here > there:
        return None
    main = (
        f"With {lane.name} the training loss is lower, {brief(lane.loss)} against {brief(ahead.loss)}, and "
        f"the validation loss higher, {brief(here)} against {brief(there)}."
    )
    if not lane.alike(ahead):
        noisy = ahead if ahead.of_batch or not lane.of_batch else lane
        kind = "its batch statistics" if noisy.of_batch else "its training"
        main = (
            f"The training loss of {noisy.name} includes the noise of {kind}; the validation losses are "
            f"{brief(here)} with {lane.name} and {brief(there)} with {ahead.name}."
        )
    return Finding(
        main,
        change=_fair(lane, ahead)
        or "More training samples, weight decay or fewer steps can narrow the difference.",
        read=("E17",),
    )


def closest(finding: Finding, lane: Lane, lanes: Sequence[Lane]) -> Finding:
    """Add to what `fitted` found which lane fits wrong labels most closely, if another one does."""
    best = min((one for one in lanes if one.alive.any()), key=lambda one: one.loss)
    if not lane.config.label_noise or best is lane or best.loss >= FITTED * lane.loss:
        return finding
    main = f"{finding.main[:-1]}; {best.subject} fits them most closely (loss {brief(best.loss)})."
    return finding._replace(main=main)


def noise(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find noise that was injected behind the norms."""
    if (
        ahead is None
        or not lane.config.norm_noise > ahead.config.norm_noise
        or not lane.loss > WORSE * ahead.loss
    ):
        return None
    return Finding(
        f"With {lane.name} each layer’s values are multiplied and shifted at random in every step; "
        f"{losses(lane, ahead)}.",
        change="Less noise; or compare lanes of the same noise, as E6 does.",
        read=("E6",),
    )


def unsteady(level: Sequence[Lane], behind: Sequence[Lane]) -> Finding | None:
    """Find noise behind a norm that leaves its lane in front, ahead of no norm: E6's point."""
    for noisy in level:
        strength = noisy.config.norm_noise
        calm = [one for one in level if one.config == replace(noisy.config, norm_noise=0.0)]
        bare = [one for one in behind if one.config.norm == "none" and not one.config.norm_noise]
        bare = [one for one in bare if one.alive.any()]
        if strength and noisy.divides and calm and bare:
            times = noisy.loss / calm[0].loss
            slower = times > WORSE
            though = f", though its training loss is {times:.2g} times as high" if slower else ""
            ahead = paired(bare[0].seed_losses - noisy.seed_losses).low > 0
            lead = (
                f"the lead in training loss over {bare[0].name} ({brief(noisy.loss)} against "
                f"{brief(bare[0].loss)})."
            )
            return Finding(
                f"Noise behind each norm makes the next layer’s inputs unsteady; {noisy.name} is level "
                f"with {calm[0].name} in validation accuracy{though}.",
                f"The noise costs {'some speed, not ' if slower else 'nothing of '}{lead}" if ahead else "",
                f"Stronger noise with {noisy.name}.",
                ("E6", "E7"),
            )
    return None


def decay(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find weights that decay so fast that the training loss stays high."""
    rate, other = lane.now.lr * lane.now.weight_decay, ahead.now.lr * ahead.now.weight_decay if ahead else 0.0
    if ahead is None or not rate > 2 * other or not lane.loss > WORSE * ahead.loss:
        return None
    return Finding(
        f"With {lane.name} weight decay takes η·λ = {percent(rate)} off every weight in each step; "
        f"{losses(lane, ahead)}.",
        change="A smaller weight decay.",
    )


# ---- pace --------------------------------------------------------------------------------------------


def pace(lane: Lane, ahead: Lane | None) -> Finding | None:
    """Find a lane that learns more slowly: smaller updates, a smaller rate, a loss that is still falling."""
    if ahead is None or lane.config.network == "gan" or not lane.loss > WORSE * ahead.loss:
        return None
    if at_rest(lane) and not at_rest(ahead):
        return Finding(
            f"With {lane.name} the learning rate has come down to 0, and its training loss stays near "
            f"{brief(lane.loss)}; with {ahead.name}, whose rate is {brief(ahead.now.lr)}, it is "
            f"{brief(ahead.loss)}.",
            change=_more(lane),
        )
    slow, when = _slower(lane, ahead), ""
    if not slow:
        slow, when = _slower(lane, ahead, early=True), f"in the first {lane.window_steps} steps "
    rates = lane.now.lr, ahead.now.lr
    if slow:
        one, two = slow
        if "learning rate" in lane.name and rates[0] != rates[1]:
            how = f"With {lane.name} {when}an update is {update(one)} as long as the weights "
            how += f"instead of {update(two)}"
        elif rates[0] == rates[1]:
            how = f"At the same learning rate, {when}an update is {update(one)} as long as the weights with "
            how += f"{lane.name}, {update(two)} with {ahead.name}"
        else:
            how = f"With {lane.name} the learning rate is {brief(rates[0])}, not {brief(rates[1])}, and "
            how += f"{when}an update is {update(one)} as long as the weights instead of {update(two)}"
        main = f"{how}; {losses(lane, ahead)}."
    elif lane.fall > FALLING:
        main = f"Training is slower with {lane.name}: {_sooner(lane, ahead)}."
    else:
        return None
    detail = ""
    if lane.fall > FALLING:
        span = f"over the last {lane.span_steps} steps"
        detail = f"With {lane.name} the loss is still falling: by {percent(lane.fall)} {span}."
    return Finding(main, detail, _fair(lane, ahead) or _more(lane), ("fast", "E8"))


def _slower(lane: Lane, ahead: Lane, early: bool = False) -> tuple[float, float] | None:
    """Compare the updates (log10 of update : data, over all layers and frames): None unless half as large."""
    one, two = ((each.early if early else each.usual)("update_ratio") for each in (lane, ahead))
    return (one, two) if math.isfinite(one) and math.isfinite(two) and one < two - SLOWER else None


def _fair(lane: Lane, ahead: Lane) -> str:
    if lane.config.norm == ahead.config.norm or lane.now.lr == ahead.now.lr:
        return ""
    rates = f"{brief(lane.now.lr)} and {brief(ahead.now.lr)}"
    return f"One learning rate for both lanes, which have {rates}: at one rate the norms alone are compared."


def _sooner(lane: Lane, ahead: Lane) -> str:
    """Say when the better lane's loss was where the other's is now."""
    step = ahead.reached(lane.loss)
    if not 0 < step < lane.step:
        return losses(lane, ahead)
    now = f"at step {lane.step} its loss is {brief(lane.loss)}"
    return f"{now}, and with {ahead.name} it was as low by step {step}"


def _more(lane: Lane) -> str:
    if at_rest(lane):
        return "More steps change nothing, since its learning rate is 0; a longer cosine would."
    return "More steps, or a larger learning rate if training stays stable."


def at_rest(lane: Lane) -> bool:
    """Say whether the learning rate is 0."""
    return lane.now.lr == 0 or 0 < lane.now.cosine_steps <= lane.step


# ---- nothing of the kind -----------------------------------------------------------------------------


def unexplained(lane: Lane, ahead: Lane) -> Finding:
    """Say that no single cause is seen, and what differs most."""
    kinds: dict[str, tuple[float, float]] = {
        "the discriminator’s loss" if lane.config.network == "gan" else "the training loss": (
            lane.loss,
            ahead.loss,
        ),
        "the gradient in layer 1": _pair(lane, ahead, "gradient_norm", 0),
        "the spread of the activations in the last layer": _pair(lane, ahead, "activation_std", -1),
        "the length of an update, as a share of layer 1’s weights": tuple(
            10**log for log in _pair(lane, ahead, "update_ratio", 0)
        ),  # type: ignore[dict-item]
    }
    apart = {
        what: abs(math.log(one / two))
        for what, (one, two) in kinds.items()
        if one > 0 and two > 0 and math.isfinite(one) and math.isfinite(two)
    }
    main = "The recorded numbers give no single cause for this difference."
    if not apart:
        return Finding(main)
    what = max(apart, key=apart.__getitem__)
    one, two = kinds[what]
    detail = f"Most different is {what}: {brief(one)} with {lane.name}, {brief(two)} with {ahead.name}."
    return Finding(
        main,
        detail,
        "Let the lanes differ in one setting at a time, and watch which of their numbers follow.",
    )


def _pair(lane: Lane, ahead: Lane, name: str, layer: int) -> tuple[float, float]:
    return float(lane.at(name)[layer]), float(ahead.at(name)[layer])
