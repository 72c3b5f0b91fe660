"""A generative adversarial network on the ring of Gaussians, as a run like any other.

Two dense networks (Goodfellow et al. 2014): a generator makes points of the plane from LATENT standard
Gaussians each, and a discriminator gives a point the logit of being real. Both have the configuration's
depth, width and learning rate; its norm concerns the discriminator alone, whose output layer spectral norm
divides as well (Miyato et al. 2018). The generator has ReLUs, He weights and no norm. A step updates both:

1. The discriminator's loss is the mean cross-entropy of "real or not" over N samples and N generated
   points: log 2 when it guesses. The two halves pass through it separately, so that batch norm takes
   statistics of either alone: right behind the first linear layer it hides where a cloud of points lies, and
   how large it is. The running statistics move towards the average of both. `penalize` may add its gradient.
2. The generator's loss, on N fresh latents and before the discriminator as it now is, is the cross-entropy
   of calling its points real, -log D: the non-saturating one (Goodfellow et al. 2014, section 3).

Eight Gaussians on a ring are the test of Metz et al. 2017. A run's history has its usual names, which mean:

train_loss, train_accuracy : of the discriminator on both halves, before the step's updates, without penalty
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

from ..data import MODES, ring_centres
from ..networks.config import RunConfig
from ..networks.inference import batch_moments
from ..networks.network import backward, forward
from ..networks.parameters import (
    Layer,
    Parameters,
    Plan,
    draw_weights,
    in_layers,
    normalize_weights,
    plan,
    weights_backward,
)
from ..networks.units import Trace
from ..norms.statistics import Array
from .learner import Learner, Seen, State
from .recordings import SHOWN, Frame

LATENT = 8
NEAR = 3.0  # standard deviations
FAIR = 1 / 4  # of its fair share, and a Gaussian is covered

_WEIGHTS, _LATENTS, _SHOWN = 5, 6, 7  # streams of random numbers, beside those of other modules


@lru_cache(maxsize=64)
def generator(config: RunConfig) -> tuple[RunConfig, Plan]:
    """Return the generator as a dense network for `network.forward`, and where its parameters lie."""
    dense = RunConfig(dataset="ring", norm="none", depth=config.depth, width=config.width, dtype=config.dtype)
    columns = [config.width] * config.depth + [2]
    rows = [LATENT, *columns[:-1]]
    shapes = {f"weight{layer}": shape for layer, shape in enumerate(zip(rows, columns, strict=True))}
    shapes |= {f"bias{layer}": (1, size) for layer, size in enumerate(columns)}
    return dense, Plan.of(shapes)


def initialize(config: RunConfig) -> Array:
    """Draw the generator's flat parameters (R, size) before training: He weights, biases of 0."""
    seeds = range(config.seed, config.seed + config.replicas)
    return draw_weights(*generator(config), seeds, _WEIGHTS)


def views(config: RunConfig, flat: Array) -> Parameters:
    """Return ``flat`` (R, size) by name: the discriminator's parameters, then the generator's."""
    own, (_, its) = plan(config), generator(config)
    theirs = its.views(flat[:, own.size :])
    return own.views(flat) | {f"generator_{name}": array for name, array in theirs.items()}


def latents(config: RunConfig, seeds: tuple[int, ...], step: int, samples: int) -> Array:
    """Draw the latents of ``step``, (R, 2, samples, LATENT): for each player's update its own."""
    return _gaussian(config, seeds, (2, samples, LATENT), _LATENTS, step)


def shown_latents(config: RunConfig, seeds: tuple[int, ...]) -> Array:
    """Draw the latents of the points that are shown, (R, SHOWN, LATENT)."""
    return _gaussian(config, seeds, (SHOWN, LATENT), _SHOWN)


def _gaussian(config: RunConfig, seeds: tuple[int, ...], shape: tuple[int, ...], *stream: int) -> Array:
    drawn = [np.random.default_rng((seed, *stream)).standard_normal(shape) for seed in seeds]
    return np.array(drawn, config.dtype)


def real_or_not(logits: Array, real: bool) -> tuple[Array, Array]:
    """Compute the mean cross-entropy (R,) of calling logits (R, N, 1) real, or not; and its gradient.

    With D = 1 / (1 + exp(-logit)) it is -log D or -log(1 - D): log(1 + exp(x)) of x = -logit or x = logit.
    """
    sign, samples = -1 if real else 1, logits.shape[1]
    x = sign * logits
    nats = np.logaddexp(np.zeros_like(x), x)
    dlogits = np.exp(x - nats)  # the slope of log(1 + exp(x))
    dlogits *= sign / samples
    return np.add.reduce(nats[:, :, 0], axis=1) / samples, dlogits


def quality(points: Array, noise: float) -> tuple[Array, Array]:
    """Return the share of points (R, n, 2) near a Gaussian, and of Gaussians covered, (R,) each."""
    distance = np.sqrt(np.square(points[:, :, None] - ring_centres().astype(points.dtype)).sum(axis=3))
    near = distance.min(axis=2) <= NEAR * noise
    nearest = distance.argmin(axis=2)
    each = np.stack([np.count_nonzero(near & (nearest == mode), axis=1) for mode in range(MODES)], axis=1)
    return near.mean(axis=1), (each >= FAIR * points.shape[1] / MODES).mean(axis=1)


def penalize(
    config: RunConfig, layers: list[Layer], gradients: list[Layer], x: Array, trace: list[Trace]
) -> None:
    """Add the gradient of ``gradient_penalty / 2 * mean(|dD/dx|^2)`` to ``gradients``, in place.

    ``layers`` are those of a discriminator D without a norm of activations, with the weights that are used;
    ``trace`` is what `forward` left of x (R, N, 2). R1 of Mescheder et al. (2018), equation 9. With ``u =
    dD/dz`` and ``g = dD/dx``, its gradient is the derivative of D's own gradient when x moves along ``v =
    gradient_penalty g / N``: a pass forward, and one back.
    """
    phi, hidden = config.nonlinearity, layers[:-1]
    slopes = [phi.slope(layer.z, layer.a) for layer in trace]
    above, u = [layers[-1].weight.mT], list[Array]()
    for layer, slope in zip(hidden[::-1], slopes[::-1], strict=True):
        u.insert(0, slope * above[0])
        above.insert(0, np.matmul(u[0], layer.weight.mT))
    moved, bends = config.gradient_penalty / x.shape[1] * above.pop(0), []
    for number, (layer, seen) in enumerate(zip(hidden, trace, strict=True)):
        gradients[number].weight[:] += np.matmul(moved.mT, u[number])
        moved = np.matmul(moved, layer.weight)
        bends.append(moved * above[number] * phi.bend(seen.z, seen.a))
        moved *= slopes[number]
    gradients[-1].weight[:] += moved.sum(axis=1)[:, :, None]
    dz = bends[-1]
    for number in reversed(range(len(hidden))):
        gradients[number].weight[:] += np.matmul((trace[number - 1].a if number else x).mT, dz)
        gradients[number].bias[:] += dz.sum(axis=1, keepdims=True)
        if number:
            dz = bends[number - 1] + slopes[number - 1] * np.matmul(dz, hidden[number].weight.mT)


class Half(NamedTuple):
    """What the discriminator makes of points (R, N, 2) that are all real, or all generated."""

    points: Array
    loss: Array
    logits: Array
    trace: list[Trace]
    dz: list[Array]


def together(real: Half, fake: Half) -> Half:
    """Join both halves; of traces what `telemetry.measure` looks at."""

    def join(*pair: Array) -> Array:
        return np.concatenate(pair, axis=1)

    pairs = zip(real.trace, fake.trace, strict=True)
    trace = [Trace(join(one.z, other.z), join(one.a, other.a), None, None, None) for one, other in pairs]
    points, logits, *dz = map(
        join, (real.points, real.logits, *real.dz), (fake.points, fake.logits, *fake.dz)
    )
    return Half(points, (real.loss + fake.loss) / 2, logits, trace, dz)


class Players(Learner):
    """Both networks: the discriminator is the `Learner`, and ``made`` are the generator's layers."""

    outcomes = 2  # real or not

    def __init__(self, config: RunConfig, seeds: tuple[int, ...], state: State) -> None:
        super().__init__(config, seeds, state)
        self.dense, self.its = generator(config)
        self._scratch = np.zeros_like(self._own[1])
        self._others = in_layers(config, self.plan.views(self._scratch))
        flat, gradient, _ = self._made = self.part(slice(self.plan.size, None))
        self.made = in_layers(self.dense, self.its.views(flat))
        self._made_gradients = in_layers(self.dense, self.its.views(gradient))

    def judge(self, x: Array, z: Array) -> tuple[Half, Half]:
        """Show the discriminator x (R, N, 2) and points of latents z (R, 2, N, LATENT); fill its gradient."""
        used, self.kept = normalize_weights(self.config, self.layers)
        halves = []
        for real, gradients in ((True, self.gradients), (False, self._others)):
            points = x if real else forward(self.dense, self.made, z[:, 0], keep=False)[0]
            logits, trace, cache = forward(self.config, used, points, norm_batch=self.config.statistics_of)
            loss, dlogits = real_or_not(logits, real)
            dz = backward(self.config, gradients, dlogits / 2, trace, cache)
            if real and self.config.gradient_penalty:
                penalize(self.config, used, gradients, points, trace)
            halves.append(Half(points, loss, logits, trace, dz))
        own = self._own[1]
        own += self._scratch
        weights_backward(self.config, self.gradients, self.kept)
        return halves[0], halves[1]

    def fool(self, z: Array) -> Array:
        """Return the generator's loss (R,) before the discriminator as it is now; fill its gradient."""
        points, made_trace, made_cache = forward(self.dense, self.made, z[:, 1])
        used, _ = normalize_weights(self.config, self.layers, iterations=0)
        logits, trace, cache = forward(self.config, used, points, norm_batch=self.config.statistics_of)
        loss, dlogits = real_or_not(logits, True)
        dpoints = backward(self.config, self._others, dlogits, trace, cache, need_dx=True)[0]
        backward(self.dense, self._made_gradients, dpoints, made_trace, made_cache)
        return loss

    def look(self, step: int, x: Array, labels: Array) -> Array:
        """Return the discriminator's loss (R,) of real and generated points; fill ``gradient``."""
        self.z = latents(self.config, self.seeds, step, x.shape[1])
        self.halves = self.judge(x, self.z)
        return (self.halves[0].loss + self.halves[1].loss) / 2

    def seen(self) -> Seen:
        """Return what `telemetry.measure` and a frame need of both halves together."""
        real, fake = self.halves
        both = together(real, fake)
        right = np.concatenate([real.logits > 0, fake.logits < 0], axis=1)
        return Seen(both.trace, both.dz, both.loss, right.mean(axis=(1, 2)))

    def moments(self) -> Array:
        """Return the average (R, 2, features) of the statistics of both halves."""
        real, fake = self.halves
        return (batch_moments(real.trace) + batch_moments(fake.trace)) / 2

    def validate(self) -> Frame:
        """Return points that the generator makes, and their quality and coverage."""
        shown = shown_latents(self.config, self.seeds)
        points = forward(self.dense, self.made, shown, keep=False)[0]
        near, covered = quality(points, self.config.data_noise)
        return {"samples": points, "val_accuracy": near, "val_accuracy_batch": covered}

    def update(self, step: int) -> None:
        """Make the discriminator's update, and remember what was before it."""
        state = self.state
        changing = (state.flat, *state.moments, state.statistics, state.power, state.left)
        self._before = [(array, array.copy()) for array in changing]
        super().update(step)

    def answer(self, step: int, limit: float, frame: Frame) -> Array | None:
        """Make the generator's update; if its loss diverges, take all back and return whose it was (R,)."""
        loss = self.fool(self.z)
        if not np.maximum.reduce(loss) < limit:
            for array, old in self._before:
                array[:] = old
            return ~(loss < limit)
        self.change(self.its, *self._made, step)
        if "samples" in frame:
            frame["val_loss"] = loss
        return None
