"""A generative adversarial network on the ring of Gaussians, as a run like any other.

Two dense networks (Goodfellow et al. 2014): a generator makes points of the plane from LATENT standard
Gaussians each, and a discriminator gives a point the logit of being real. Both have the configuration's
depth, width and learning rate; its norm concerns the discriminator alone, whose output layer spectral norm
divides as well (Miyato et al. 2018). The generator has ReLUs, He weights and no norm. A step updates both:

1. The discriminator's loss is the mean cross-entropy of "real or not" over N samples and N generated
   points: log 2 when it guesses. The two halves pass through it separately, so that batch norm takes
   statistics of either alone: right behind the first linear layer it hides where a cloud of points lies, and
   how large it is. The running statistics move towards the average of both.
2. The generator's loss, on N fresh latents and before the discriminator as it now is, is the cross-entropy
   of calling its points real, -log D: the non-saturating one (Goodfellow et al. 2014, section 3).

Eight Gaussians on a ring are the test of Metz et al. 2017. A run's history has its usual names, which mean:

train_loss, train_accuracy : of the discriminator on both halves, before the step's updates
val_loss : the generator's loss in that step, where there is validation
val_accuracy : quality, the share of SHOWN points within three standard deviations of the nearest Gaussian's
    mean (Srivastava et al. 2017), before the step's updates; one standard deviation is ``data_noise``
val_accuracy_batch : coverage, the share of Gaussians that have at least a quarter of their fair share of
    points so near, 8 of 256 (to Srivastava et al. one of 2,500 is enough)
samples : these points, (R, frames, SHOWN, 2), from latents that are the same throughout a run
per layer : of the discriminator, both halves together
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..data import MODES, batches, ring_centres
from ..networks.config import RunConfig
from ..networks.inference import averaging_weights, batch_moments
from ..networks.network import backward, forward
from ..networks.parameters import (
    Parameters,
    Plan,
    in_layers,
    keep_power,
    normalize_weights,
    plan,
    slots_of,
    weights_backward,
)
from ..networks.units import Trace
from ..norms.running import RunningStats
from ..norms.statistics import Array
from . import recordings, telemetry
from .optimizer import DIVERGENCE_RATIO, State, gradient_to_update

LATENT = 8
SHOWN = recordings.SHOWN
NEAR = 3.0  # standard deviations
FAIR = 1 / 4  # of its fair share, and a Gaussian is covered

_WEIGHTS, _LATENTS, _SHOWN = 5, 6, 7  # streams of random numbers, beside those of other modules


@lru_cache(maxsize=64)
def generator(config: RunConfig) -> tuple[RunConfig, Plan]:
    """The generator as a dense network that `network.forward` takes, and where its own parameters lie."""
    dense = RunConfig(dataset="ring", norm="none", depth=config.depth, width=config.width, dtype=config.dtype)
    columns = [config.width] * config.depth + [2]
    rows = [LATENT, *columns[:-1]]
    shapes = {f"weight{layer}": shape for layer, shape in enumerate(zip(rows, columns, strict=True))}
    shapes |= {f"bias{layer}": (1, size) for layer, size in enumerate(columns)}
    slots = slots_of(shapes)
    output = slots[f"weight{config.depth}"]
    return dense, Plan(slots, max(stop for _, stop, _ in slots.values()), output[0], output[1], (), ())


def initialize(config: RunConfig) -> Array:
    """The generator's flat parameters (R, size) that training starts from: He weights, biases of 0."""
    _, its = generator(config)
    flat = np.zeros((config.replicas, its.size), config.dtype)
    parameters = its.views(flat)
    for replica in range(config.replicas):
        rng = np.random.default_rng((config.seed + replica, _WEIGHTS))
        for layer in range(config.depth + 1):
            weight = parameters[f"weight{layer}"][replica]
            weight[:] = np.sqrt(2 / len(weight)) * rng.standard_normal(weight.shape)
    return flat


def views(config: RunConfig, flat: Array) -> Parameters:
    """``flat`` (R, size) by name: the discriminator's parameters, and behind them the generator's."""
    own, (_, its) = plan(config), generator(config)
    theirs = its.views(flat[:, own.size :])
    return own.views(flat) | {f"generator_{name}": array for name, array in theirs.items()}


def latents(config: RunConfig, seeds: tuple[int, ...], step: int) -> Array:
    """The latents of ``step``, (R, 2, N, LATENT): for the discriminator's update and for the generator's."""
    shape = (2, config.batch_size, LATENT)
    drawn = [np.random.default_rng((seed, _LATENTS, step)).standard_normal(shape) for seed in seeds]
    return np.array(drawn, config.dtype)


def shown_latents(config: RunConfig, seeds: tuple[int, ...]) -> Array:
    """The latents of the points that are shown, (R, SHOWN, LATENT)."""
    drawn = [np.random.default_rng((seed, _SHOWN)).standard_normal((SHOWN, LATENT)) for seed in seeds]
    return np.array(drawn, config.dtype)


def real_or_not(logits: Array, real: bool) -> tuple[Array, Array]:
    """Mean cross-entropy (R,) of calling points with logits (R, N, 1) real, or not real; and its gradient.

    With D = 1 / (1 + exp(-logit)) it is -log D or -log(1 - D): log(1 + exp(x)) of x = -logit or x = logit.
    """
    sign, samples = -1 if real else 1, logits.shape[1]
    x = sign * logits
    nats = np.logaddexp(np.zeros_like(x), x)
    dlogits = np.exp(x - nats)  # the slope of log(1 + exp(x))
    dlogits *= sign / samples
    return np.add.reduce(nats[:, :, 0], axis=1) / samples, dlogits


def quality(points: Array, noise: float) -> tuple[Array, Array]:
    """Share of points (R, n, 2) near a Gaussian of this deviation, and of Gaussians covered: (R,) each."""
    distance = np.sqrt(np.square(points[:, :, None] - ring_centres().astype(points.dtype)).sum(axis=3))
    near = distance.min(axis=2) <= NEAR * noise
    nearest = distance.argmin(axis=2)
    each = np.stack([np.count_nonzero(near & (nearest == mode), axis=1) for mode in range(MODES)], axis=1)
    return near.mean(axis=1), (each >= FAIR * points.shape[1] / MODES).mean(axis=1)


class Half(NamedTuple):
    """What the discriminator makes of points (R, N, 2) that are all real, or all generated."""

    points: Array
    loss: Array
    logits: Array
    trace: list[Trace]
    dz: list[Array]


def together(real: Half, fake: Half) -> Half:
    """Both halves as one; of traces what `telemetry.measure` looks at."""

    def join(*pair: Array) -> Array:
        return np.concatenate(pair, axis=1)

    pairs = zip(real.trace, fake.trace, strict=True)
    trace = [Trace(join(one.z, other.z), join(one.a, other.a), None, None, None) for one, other in pairs]
    points, logits, *dz = map(
        join, (real.points, real.logits, *real.dz), (fake.points, fake.logits, *fake.dz)
    )
    return Half(points, (real.loss + fake.loss) / 2, logits, trace, dz)


class Players:
    """Both networks on the arrays of a run, and ``gradient``, shaped like ``flat``."""

    def __init__(self, config: RunConfig, flat: Array, running: RunningStats, power: Array) -> None:
        self.config, own, (self.dense, its) = config, plan(config), generator(config)
        self.gradient = np.zeros_like(flat)
        self._own, self._scratch = self.gradient[:, : own.size], np.zeros_like(flat[:, : own.size])
        self.layers = in_layers(config, own.views(flat), running, power)
        self.gradients, self._others = (in_layers(config, own.views(a)) for a in (self._own, self._scratch))
        self.made, self._made_gradients = (
            in_layers(self.dense, its.views(array[:, own.size :])) for array in (flat, self.gradient)
        )

    def judge(self, x: Array, z: Array) -> tuple[Half, Half]:
        """Real x (R, N, 2) and points of latents z (R, 2, N, LATENT): the discriminator's gradient."""
        used, self.kept = normalize_weights(self.config, self.layers)
        halves = []
        for real, gradients in ((True, self.gradients), (False, self._others)):
            points = x if real else forward(self.dense, self.made, z[:, 0], keep=False)[0]
            logits, trace, cache = forward(self.config, used, points, norm_batch=self.config.statistics_of)
            loss, dlogits = real_or_not(logits, real)
            dz = backward(self.config, gradients, dlogits / 2, trace, cache)
            halves.append(Half(points, loss, logits, trace, dz))
        self._own += self._scratch
        weights_backward(self.config, self.gradients, self.kept)
        return halves[0], halves[1]

    def fool(self, z: Array) -> Array:
        """The generator's loss (R,) before the discriminator as it is now; ``gradient`` gets its gradient."""
        points, made_trace, made_cache = forward(self.dense, self.made, z[:, 1])
        used, _ = normalize_weights(self.config, self.layers, iterations=0)
        logits, trace, cache = forward(self.config, used, points, norm_batch=self.config.statistics_of)
        loss, dlogits = real_or_not(logits, True)
        dpoints = backward(self.config, self._others, dlogits, trace, cache, need_dx=True)[0]
        backward(self.dense, self._made_gradients, dpoints, made_trace, made_cache)
        return loss


def play(
    config: RunConfig, seeds: tuple[int, ...], position: int, steps: range, state: State
) -> tuple[int, Array, list[recordings.Frame]]:
    """Train both in place, one batch of the ring a step, from ``position`` of each seed's sample stream on.

    Returns the step where it ended, which replicas had a divergent loss there (R,), and the recorded frames.
    """
    own, (dense, its) = plan(config), generator(config)
    limit = DIVERGENCE_RATIO * np.log(2)
    statistics = state.statistics
    running = RunningStats(statistics[:, 0], statistics[:, 1])  # views: always current
    players = Players(config, state.flat, running, state.power)
    keep, take = averaging_weights(config)
    shown = shown_latents(config, seeds)
    frames: list[recordings.Frame] = []

    def update(the_plan: Plan, here: slice) -> None:
        flat, change = state.flat[:, here], players.gradient[:, here]
        moments = tuple(array[:, here] for array in state.moments)
        gradient_to_update(config, the_plan, flat, change, moments, step)
        flat -= change

    order = (config.batch_order, config.norm_batch)
    stream = batches(config.data(), seeds, position, config.batch_size, len(steps), *order)
    for step, (x, _) in enumerate(stream, start=steps.start):
        z = latents(config, seeds, step)
        real, fake = players.judge(x, z)
        loss = (real.loss + fake.loss) / 2
        if not np.maximum.reduce(loss) < limit:  # so written, NaN counts too
            # Nothing has changed in this step yet: the others repeat it among themselves.
            return step, ~(loss < limit), frames
        moments = statistics
        if own.statistics:
            moments = (batch_moments(real.trace) + batch_moments(fake.trace)) / 2
        recording = step % config.record_every == 0
        validating = recording and step % config.validate_every == 0
        if recording:
            seen, networks = together(real, fake), (players.layers, players.gradients)
            frame = telemetry.measure(config, *networks, seen.trace, seen.dz, moments[:, 0], running)
            right = np.count_nonzero(real.logits > 0, axis=(1, 2))
            right += np.count_nonzero(fake.logits < 0, axis=(1, 2))
            frame |= {"train_loss": loss, "train_accuracy": right / (2 * config.batch_size)}
        if validating:
            frame["samples"] = forward(dense, players.made, shown, keep=False)[0]
            frame["val_accuracy"], frame["val_accuracy_batch"] = quality(frame["samples"], config.data_noise)

        changing = (state.flat, *state.moments, statistics, state.power)
        before = [array.copy() for array in changing]
        update(own, slice(0, own.size))
        if recording:
            update_norm = telemetry.weight_norms(players.gradients)  # they have become the update
            frame["update_ratio"] = np.log10(update_norm / frame["weight_norm"])
        keep_power(players.layers, players.kept)
        if own.statistics:
            statistics *= keep
            moments *= take
            statistics += moments

        loss = players.fool(z)
        if not np.maximum.reduce(loss) < limit:
            for array, old in zip(changing, before, strict=True):
                array[:] = old
            return step, ~(loss < limit), frames
        update(its, slice(own.size, None))
        if validating:
            frame["val_loss"] = loss
        if recording:
            frames.append(frame)
    return steps.stop, np.zeros(len(seeds), bool), frames
