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

import numpy as np

from . import telemetry
from .config import RunConfig
from .data import MODES, batches, ring_centres
from .network import Trace, averaging_weights, backward, batch_moments, forward
from .optimizer import DIVERGENCE_RATIO, State, gradient_to_update
from .plan import Parameters, Plan, in_layers, keep_power, normalize_weights, plan, slots_of, weights_backward
from .stats import Array, RunningStats

LATENT = 8
SHOWN = telemetry.SHOWN
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


def play(
    config: RunConfig, seeds: tuple[int, ...], position: int, steps: range, state: State
) -> tuple[int, Array, list[telemetry.Frame]]:
    """Train both in place, one batch of the ring a step, from ``position`` of each seed's sample stream on.

    Returns the step where it ended, which replicas had a divergent loss there (R,), and the recorded frames.
    """
    own, (dense, its) = plan(config), generator(config)
    limit = DIVERGENCE_RATIO * np.log(2)
    gradient = np.zeros_like(state.flat)
    scratch = np.zeros_like(state.flat[:, : own.size])
    statistics = state.statistics
    running = RunningStats(statistics[:, 0], statistics[:, 1])  # views: always current
    layers = in_layers(config, own.views(state.flat), running, state.power)
    gradients, others = (in_layers(config, own.views(array)) for array in (gradient, scratch))
    made, made_gradients = (
        in_layers(dense, its.views(array[:, own.size :])) for array in (state.flat, gradient)
    )
    keep, take = averaging_weights(config)
    together = config.statistics_of
    shown = shown_latents(config, seeds)
    frames: list[telemetry.Frame] = []

    def update(the_plan: Plan, here: slice) -> None:
        flat, change = state.flat[:, here], gradient[:, here]
        moments = tuple(array[:, here] for array in state.moments)
        gradient_to_update(config, the_plan, flat, change, moments, step)
        flat -= change

    order = (config.batch_order, config.norm_batch)
    stream = batches(config.data(), seeds, position, config.batch_size, len(steps), *order)
    for step, (x, _) in enumerate(stream, start=steps.start):
        z = latents(config, seeds, step)
        points = forward(dense, made, z[:, 0], keep=False)[0]
        used, kept = normalize_weights(config, layers)
        real, real_trace, real_cache = forward(config, used, x, norm_batch=together)
        fake, fake_trace, fake_cache = forward(config, used, points, norm_batch=together)
        (loss, dreal), (fake_loss, dfake) = real_or_not(real, True), real_or_not(fake, False)
        loss = (loss + fake_loss) / 2
        if not np.maximum.reduce(loss) < limit:  # so written, NaN counts too
            # Nothing has changed in this step yet: the others repeat it among themselves.
            return step, ~(loss < limit), frames
        dz = backward(config, gradients, dreal / 2, real_trace, real_cache)
        fake_dz = backward(config, others, dfake / 2, fake_trace, fake_cache)
        gradient[:, : own.size] += scratch
        weights_backward(config, gradients, kept)
        moments = statistics
        if own.statistics:
            moments = (batch_moments(real_trace) + batch_moments(fake_trace)) / 2
        recording = step % config.record_every == 0
        validating = recording and step % config.validate_every == 0
        if recording:
            trace, dz = _both(real_trace, fake_trace), _joined(dz, fake_dz)
            frame = telemetry.measure(config, layers, gradients, trace, dz, moments[:, 0], running)
            right = np.count_nonzero(real > 0, axis=(1, 2)) + np.count_nonzero(fake < 0, axis=(1, 2))
            frame |= {"train_loss": loss, "train_accuracy": right / (2 * config.batch_size)}
        if validating:
            frame["samples"] = forward(dense, made, shown, keep=False)[0]
            frame["val_accuracy"], frame["val_accuracy_batch"] = quality(frame["samples"], config.data_noise)

        changing = (state.flat, *state.moments, statistics, state.power)
        before = [array.copy() for array in changing]
        update(own, slice(0, own.size))
        if recording:
            update_norm = telemetry.weight_norms(gradients)  # they have become the update
            frame["update_ratio"] = np.log10(update_norm / frame["weight_norm"])
        keep_power(layers, kept)
        if own.statistics:
            statistics *= keep
            moments *= take
            statistics += moments

        points, made_trace, made_cache = forward(dense, made, z[:, 1])
        used, _ = normalize_weights(config, layers, iterations=0)
        logits, fake_trace, fake_cache = forward(config, used, points, norm_batch=together)
        loss, dlogits = real_or_not(logits, True)
        if not np.maximum.reduce(loss) < limit:
            for array, old in zip(changing, before, strict=True):
                array[:] = old
            return step, ~(loss < limit), frames
        dpoints = backward(config, others, dlogits, fake_trace, fake_cache, need_dx=True)[0]
        backward(dense, made_gradients, dpoints, made_trace, made_cache)
        update(its, slice(own.size, None))
        if validating:
            frame["val_loss"] = loss
        if recording:
            frames.append(frame)
    return steps.stop, np.zeros(len(seeds), bool), frames


def _joined(real: list[Array], fake: list[Array]) -> list[Array]:
    return [np.concatenate(pair, axis=1) for pair in zip(real, fake, strict=True)]


def _both(real: list[Trace], fake: list[Trace]) -> list[Trace]:
    """What `telemetry.measure` looks at, of both halves together."""
    z = _joined([layer.z for layer in real], [layer.z for layer in fake])
    a = _joined([layer.a for layer in real], [layer.a for layer in fake])
    return [Trace(*pair, None, None, None) for pair in zip(z, a, strict=True)]
