"""What a race's frames say of one lane: means over the seeds that haven't diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bnlib import NORMS, RunConfig
from bnlib.training.recordings import Frame
from book.words import brief

Numbers = NDArray[np.floating]

# What is looked at of each seed: curves, and the per-layer quantities.
CURVES = ("train_loss", "val_loss", "val_accuracy", "val_accuracy_batch")
LAYERS = ("gradient_norm", "activation_std", "saturation", "dead", "update_ratio", "statistics_gap")

RECENT = 20  # steps over which a training loss is averaged: a single batch's is noisy
SMALL_EPS = 1e-3  # below it ε is next to nothing beside the variances of this lab
CERTAIN = 2  # standard errors by which a loss must have fallen

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def mean(values: Numbers, axis: int = 0) -> Numbers:
    """Take the mean of the finite values along ``axis``; NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0).sum(axis=axis, dtype=float)
    found: Numbers = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


@dataclass(frozen=True)
class Lane:
    """One lane at a moment.

    frame : what was recorded up to then, arrays (R, frames, ...); the last one is the present. What isn't
        there counts as not measured
    config : as it ran; `now`: as it is in force at ``step``
    """

    number: int
    name: str
    config: RunConfig
    frame: Frame
    step: int

    @cached_property
    def now(self) -> RunConfig:
        """The configuration in force."""
        return self.config.at(self.step)

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """Which seeds haven't diverged (R,)."""
        known: NDArray[np.bool_] = np.isfinite(self.frame["train_loss"][:, -1])
        return known

    @property
    def seeds(self) -> int:
        """How many networks the lane has."""
        return len(self.alive)

    @property
    def lost(self) -> int:
        """How many of them have diverged."""
        return int((~self.alive).sum())

    @cached_property
    def steps(self) -> NDArray[np.integer]:
        """The steps of the frames; where none are recorded, as if the last one were the present."""
        count, every = self.frame["train_loss"].shape[1], self.config.record_every
        known = self.frame.get("step")
        if known is not None and len(known) == count:
            return known
        return self.step // every * every + every * np.arange(1 - count, 1)

    # ---- one moment ----------------------------------------------------------------------------------

    def _layers(self, name: str) -> Numbers:
        values = self.frame.get(name)
        if values is None:
            values = np.full((*self.frame["train_loss"].shape, self.config.depth), np.nan)
        return values

    def at(self, name: str, number: int = -1) -> Numbers:
        """A per-layer quantity in one frame (layers,), the last one if no other is asked for."""
        values = self._layers(name)[:, number]
        return mean(values[self.alive] if number == -1 else values)

    def start(self, name: str) -> Numbers:
        """A per-layer quantity before the first update (layers,), NaN where that isn't among the frames."""
        return self.at(name, 0) if self.steps[0] == 0 else np.full(self.config.depth, np.nan)

    def usual(self, name: str) -> float:
        """A per-layer quantity on average over layers and all frames; 0 and infinite ones left out."""
        return float(mean(self._layers(name)[self.alive].reshape(-1)))

    def early(self, name: str) -> float:
        """`usual`, over the first tenth of the frames; NaN where the start isn't among them."""
        values = self._layers(name)[self.alive][:, : self._window]
        return float(mean(values.reshape(-1))) if self.steps[0] == 0 else np.nan

    def each(self, name: str) -> Numbers:
        """The latest validation of the seeds (R,): NaN for those that have diverged."""
        values = self.frame.get(name)
        if values is None:
            return np.full(self.seeds, np.nan)
        known = np.flatnonzero(np.isfinite(values[self.alive]).any(axis=0))
        column = int(known[-1]) if len(known) else 0
        found: Numbers = np.where(self.alive, values[:, column].astype(float), np.nan)
        return found

    def value(self, name: str) -> float:
        """The latest validation, on average over seeds."""
        return float(mean(self.each(name)))

    # ---- training loss -------------------------------------------------------------------------------

    @property
    def _window(self) -> int:
        """So many frames are a tenth of all."""
        return max(1, round(len(self.steps) / 10))

    @cached_property
    def _losses(self) -> Numbers:
        """The training loss by frame (frames,), of the seeds that are left."""
        return mean(self.frame["train_loss"][self.alive])

    @property
    def _recent(self) -> int:
        """So many frames, at least one, are recorded of the last RECENT steps."""
        return int((self.steps > self.steps[-1] - RECENT).sum())

    @property
    def loss(self) -> float:
        """The mean training loss of the last RECENT steps, of those that are recorded."""
        return float(mean(self._losses[-self._recent :]))

    @property
    def seed_losses(self) -> Numbers:
        """`loss` of each seed (R,), NaN of those that have diverged."""
        return np.where(self.alive, mean(self.frame["train_loss"][:, -self._recent :], axis=1), np.nan)

    def reached(self, loss: float) -> int:
        """Return the step by which RECENT steps had this training loss on average; -1: never."""
        averages = np.convolve(self._losses, np.ones(self._recent) / self._recent, "valid")
        low = np.flatnonzero(averages <= loss)
        return int(self.steps[int(low[0]) + self._recent - 1]) if len(low) else -1

    @property
    def _span(self) -> int:
        """So many frames are a fifth of all."""
        return max(1, round(len(self.steps) / 5))

    @property
    def fall(self) -> float:
        """The share by which the training loss fell from one fifth to the next: 0 if that may be chance."""
        span, losses = self._span, self._losses
        parts = losses[-2 * span : -span], losses[-span:]
        if len(losses) < 4:
            return 0.0
        before, now = (float(mean(part)) for part in parts)
        one, two = (float(part.std()) / span**0.5 for part in parts)
        return (before - now) / before if before - now > CERTAIN * math.hypot(one, two) else 0.0

    @property
    def window_steps(self) -> int:
        """How many steps a tenth of the frames spans."""
        return self._window * self.config.record_every

    @property
    def span_steps(self) -> int:
        """How many steps a fifth of the frames spans."""
        return self._span * self.config.record_every

    # ---- divergence ----------------------------------------------------------------------------------

    @cached_property
    def ends(self) -> NDArray[np.integer]:
        """Of each seed how many frames it has before it diverges (R,)."""
        known = np.isfinite(self.frame["train_loss"])
        last = known.shape[1] - np.argmax(known[:, ::-1], axis=1)
        return np.where(known.any(axis=1), last, 0)

    # ---- the gradient and the signal through the layers -----------------------------------------------

    @staticmethod
    def _ratio(values: Numbers) -> float:
        """The last layer's value over the first's; NaN where it can't be said."""
        first, last = float(values[0]), float(values[-1])
        return last / first if first > 0 and last > 0 and len(values) > 1 else np.nan

    @property
    def shrink(self) -> float:
        """The last layer's gradient over the first's: above 1 it shrinks toward the input."""
        return self._ratio(self.at("gradient_norm"))

    @property
    def shrink_start(self) -> float:
        """`shrink` before the first update."""
        return self._ratio(self.start("gradient_norm"))

    @property
    def kept(self) -> float:
        """The share of the activations' spread that was left in the last layer before the first update."""
        return self._ratio(self.start("activation_std"))

    # ---- the norm -------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The norm alone, without what else the lane differs in."""
        norm = self.config.norm
        return NORMS[norm].label if norm in NORMS else "no norm"

    @property
    def subject(self) -> str:
        """The name where it comes before a verb: "no norm fits" would say that none does."""
        return self.name.replace("no norm", "the lane without a norm", 1)

    @property
    def learned_from(self) -> int:
        """How many samples it has learned from: none once a cosine has brought the learning rate to 0."""
        return self.now.batch_size * min(self.step, self.now.cosine_steps or self.step)

    def alike(self, other: Lane) -> bool:
        """Whether training losses can be compared: the same noise, or none, is in both."""
        noise = [
            (min(one.shared) if one.of_batch else one.now.norm == "renorm", one.config.norm_noise)
            for one in (self, other)
        ]
        return noise[0] == noise[1]

    # ---- what shares a mean ---------------------------------------------------------------------------

    @cached_property
    def shared(self) -> tuple[int, ...]:
        """By layer, how many numbers share a mean or a mean square; empty: nothing is shared in a batch."""
        return shared(self.now)

    @property
    def divides(self) -> bool:
        """Whether a norm divides by the spread of what comes in."""
        return self.now.on_activations is not None and self.now.norm != "dyt"

    @property
    def scale_free(self) -> bool:
        """Whether such a norm has an ε that is next to nothing: then x̂ has spread 1, whatever comes in."""
        norm = self.now.on_activations
        return self.divides and norm is not None and ("eps" not in norm.options or self.now.eps <= SMALL_EPS)

    @property
    def frozen_since(self) -> int | None:
        """The step whose running statistics are frozen; None where they move."""
        if not self.now.frozen:
            return None
        frozen = [0, *(at for at, name, _ in self.config.edits if name == "frozen" and at <= self.step)]
        return next(at for at in reversed(frozen) if not self.config.at(at - 1).frozen or at == 0)

    @property
    def of_batch(self) -> bool:
        """Whether statistics are taken over the samples of a batch, and aren't frozen."""
        norm = self.now.on_activations
        return bool(norm and "N" in norm.shared and not self.now.frozen)


def shared(config: RunConfig) -> tuple[int, ...]:
    """By layer, how many numbers share a mean (or a mean square) in a batch of ``config``.

    N for a dense layer with batch norm, N·H·W for a convolution; a recurrent network has statistics of its
    own at each of its steps. Empty for norms that look at no batch and no features, and for frozen ones.
    """
    norm = config.on_activations
    kinds = "P" if config.norm == "frn" else norm.shared if norm else ""
    if not kinds or config.frozen:
        return ()
    samples = (config.statistics_of or config.batch_size) if "N" in kinds else 1
    found = []
    for *positions, channels in config.shapes:
        places = int(np.prod(positions)) if "P" in kinds and config.network == "cnn" else 1
        some = channels // (config.groups if config.norm == "group" else 1) if "C" in kinds else 1
        found.append(samples * places * some)
    return tuple(found)


# ---- numbers in sentences ----------------------------------------------------------------------------


def short(names: Sequence[str]) -> list[str]:
    """Cut names such as "batch norm (batch size 2, learning rate 0.1)" to what tells them apart."""

    def cut(name: str, kept: int) -> str:
        head, bracket, rest = name.partition(" (")
        parts = rest.removesuffix(")").split(", ")
        return f"{head} ({', '.join(parts[:kept])})" if bracket and kept < len(parts) else name

    found = []
    for number, name in enumerate(names):
        others = [*names[:number], *names[number + 1 :]]
        lengths = range(1, name.count(", ") + 2)
        found.append(
            next((c for k in lengths if (c := cut(name, k)) not in [cut(o, k) for o in others]), name)
        )
    return found


def joined(names: Sequence[str]) -> str:
    """Write names as a list: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def percent(share: float) -> str:
    """Write a share: 0.0018%, 2.9%, 140%; less than 0.001% where it is next to nothing."""
    if 0 < share < 1e-5:
        return "less than 0.001%"
    return f"{brief(float(f'{100 * share:.2g}'))}%"


def update(log: float) -> str:
    """Write a recorded update:data ratio, a logarithm: how long an update is, as a share of the weights."""
    return percent(10.0**log)


def losses(lane: Lane, ahead: Lane) -> str:
    """Compare two training losses: 0.4, with batch norm 0.2."""
    return f"the training loss is {brief(lane.loss)}, with {ahead.name} {brief(ahead.loss)}"


def fold(times: float) -> str:
    """Write a factor: 500-fold, 2-fold, over a million-fold."""
    return f"{brief(float(f'{times:.2g}'))}-fold" if times < 1e6 else "over a million-fold"


def power(base: float, exponent: int) -> str:
    """Write a power and what it is: 0.5⁹ = 0.00195."""
    return f"{raised(base, exponent)} = {brief(base**exponent)}"


def raised(base: float, exponent: int) -> str:
    """Write a power: 0.5⁹."""
    return f"{brief(base)}{str(exponent).translate(_RAISED)}"


def flow(shrinks: Sequence[tuple[str, float]]) -> str:
    """Say for several lanes what the gradient does: grows 2-fold with a and 3-fold with b."""
    ways: dict[str, list[str]] = {}
    for name, shrink in shrinks:
        verb, _, times = way(shrink).partition(" ")
        ways.setdefault(verb, []).append(f"{times} with {name}")
    return ", and ".join(f"{verb} {joined(parts)}" for verb, parts in ways.items())


def way(shrink: float) -> str:
    """Say what the gradient does toward the input: shrinks 500-fold, grows 2-fold, changes little."""
    if max(shrink, 1 / shrink) < 1.25:
        return "changes little"
    return f"shrinks {fold(shrink)}" if shrink > 1 else f"grows {fold(1 / shrink)}"
