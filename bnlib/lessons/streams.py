"""Streams: what one sample leaves of batch norm, and learning from samples that come one at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import sqrt
from typing import NamedTuple

import numpy as np

from ..data import load
from ..networks.config import RunConfig
from ..networks.conv import convolve
from ..networks.inference import batch_moments, inference_layers
from ..networks.network import forward
from ..networks.parameters import in_layers
from ..norms.public import batch_norm, norm_backward
from ..norms.running import RunningStats
from ..norms.statistics import Array
from ..training.streaming import learn
from ..training.train import Run, advance, start

Found = dict[str, Array]

# ---- one sample ----------------------------------------------------------------------------------------

CHANNELS, POSITIONS = 16, 6  # of a 3 x 3 convolution over a digit of 8 x 8 pixels, without padding
SIDES = (6, 3, 2, 1)  # what these positions can be averaged to; 1: global average pooling
MOST = 8  # images in a batch
EPS = 1e-5


class Passed(NamedTuple):
    """Digits (N, 8, 8) from 0 to 1, what enters batch norm, x (N, C, S, S), and what leaves it, y."""

    images: Array
    x: Array
    y: Array


@lru_cache(maxsize=256)
def layer(seed: int, images: int, side: int, digit: int = 0, contrast: float = 1.0) -> Passed:
    """Send digits through a convolution, average pooling and batch norm in training; gamma 1, beta `betas`.

    Digits and He et al.'s weights are drawn from ``(seed, 12)``. digit : which of the others the first one is
    exchanged for; contrast : what its pixels are multiplied by. ValueError if `side` isn't one of `SIDES`.
    """
    if side not in SIDES:
        raise ValueError(f"layer: side={side!r} must be one of {', '.join(map(str, SIDES))}")
    rng, digits = np.random.default_rng((seed, 12)), load("digits").x_val
    order = rng.permutation(len(digits))
    weight = sqrt(2 / 9) * rng.standard_normal((CHANNELS, 1, 3, 3))
    chosen = [order[MOST - 1 + digit] if digit else order[0], *order[1:images]]
    pixels = digits[chosen].reshape(-1, 1, 8, 8).copy()
    pixels[0] *= contrast
    maps = convolve(pixels, weight)[0]
    step = POSITIONS // side
    x = maps.reshape(images, CHANNELS, side, step, side, step).mean(axis=(3, 5))
    y = batch_norm(x, None, betas(), eps=EPS)[0]
    return Passed(pixels[:, 0], x, y)


def betas() -> Array:
    """Return what the layer's beta is, (C,): four values in turn."""
    return np.resize([1.0, -1.0, 0.5, -0.5], CHANNELS)


@lru_cache(maxsize=16)
def gradient_kept(seed: int, side: int, counts: tuple[int, ...], draws: int = 8) -> Array:
    """Measure the share of a random gradient's energy that batch norm passes back, for each batch size.

    In units of 1 / standard deviation, as `theory.gradient_share`; a mean over channels and draws, (counts,).
    """
    rng, found = np.random.default_rng((seed, 13)), []
    for images in counts:
        x = layer(seed, images, side).x
        std = np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + EPS)
        _, cache = batch_norm(x, eps=EPS)
        shares = []
        for _ in range(draws):
            dy = rng.standard_normal(x.shape)
            dx = norm_backward(dy, cache)[0] * std
            shares.append(np.square(dx).sum() / np.square(dy).sum())
        found.append(np.mean(shares))
    return np.array(found)


# ---- a stream to learn from ----------------------------------------------------------------------------


def streamed(config: RunConfig, samples: int) -> Found:
    """Learn from a stream, one sample at a time, each predicted before it is learned from.

    Returns
    -------
    right : bool (R, samples), whether each sample was known before it was learned from
    online : (R, samples), the share of right answers so far, of which the last 100 or so count
        (`training.streaming.Stream.online_accuracy`)
    moved : (R,), how many parameters differ from where they started; total : (), how many there are
    """
    stream = learn(config, samples)
    before = start(stream.run.config).flat
    return {
        "right": stream.right,
        "online": stream.online_accuracy(),
        "moved": (stream.run.flat != before).sum(axis=1),
        "total": np.asarray(before.shape[1]),
    }


# ---- a stream that changes -----------------------------------------------------------------------------


def adapted(
    config: RunConfig,
    steps: int,
    change: tuple[float, float],
    momenta: tuple[float, ...],
    samples: int,
    by_class: bool = False,
) -> Found:
    """Train with batches; then use the network on a stream whose pixels have changed, one sample at a time.

    No weight changes any more. The running averages of mean and variance go on with each momentum, which
    weighs the old value; 1 leaves them as training left them, as eval() does. Norms without running averages
    are asked once, as with 1.

    Parameters
    ----------
    change : what pixels are multiplied by, and what is added then
    by_class : digits come sorted by their class

    Returns
    -------
    right : bool (momenta, R, samples), whether each sample was known; asked before it is averaged in
    unchanged : bool (R, samples), the same for the pixels as they were, and momentum 1
    left : (momenta, R, samples), how far the first layer's averages of means are from the means of the
        changed stream, as a share of how far they are at the start; before each sample
    """
    run, data = advance(start(config), steps), config.data()
    rng = [np.random.default_rng((config.seed + k, 14)) for k in range(config.replicas)]
    order = np.stack([one.permutation(len(data.y_val))[:samples] for one in rng])
    if by_class:
        order = np.take_along_axis(order, data.y_val[order].argsort(axis=1, kind="stable"), axis=1)
    x, labels = data.x_val[order], data.y_val[order]
    changed = (change[0] * x + change[1]).astype(x.dtype)
    norm = config.on_activations
    moving = [momentum for momentum in momenta if momentum < 1 and norm is not None and norm.running]
    right, left = _followed(run, changed, labels, moving) if moving else (None, None)
    still = _asked(run, changed) == labels
    places = [moving.index(momentum) if momentum in moving else -1 for momentum in momenta]
    return {
        "right": np.stack([still if right is None or at < 0 else right[at] for at in places]),
        "left": np.stack([np.ones(labels.shape) if left is None or at < 0 else left[at] for at in places]),
        "unchanged": _asked(run, x) == labels,
    }


def _asked(run: Run, x: Array) -> Array:
    """Return the class that each sample (R, n, features) is given in inference, (R, n)."""
    layers = inference_layers(run.config, run.layers, run.running)
    said: Array = forward(run.config, layers, x, keep=False)[0].argmax(axis=2)
    return said


def _followed(run: Run, x: Array, labels: Array, momenta: list[float]) -> tuple[Array, Array]:
    """Ask about samples (R, n, features) one by one, with each momentum; what `adapted` has of them.

    Variances as in `running_norm`: ``var = momentum * (var + (1 - momentum) * (x - mean)^2)``.
    """
    config = replace(run.config, norm="running", batch_size=1, replicas=len(momenta) * run.config.replicas)
    again = (len(momenta), 1)
    parameters = {name: np.tile(own, (*again, 1)) for name, own in run.parameters.items()}
    keep = np.repeat(momenta, run.config.replicas)[:, None].astype(x.dtype)
    mean, var = np.tile(run.running.mean, again), np.tile(run.running.var, again)
    running = RunningStats(mean, var)
    layers = in_layers(config, parameters, running)  # they see what is written into mean and var
    mean, var = running.mean, running.var
    x, labels = np.tile(x, (*again, 1)), np.tile(labels, again)
    first = slice(run.config.width)
    goal = np.matmul(x.mean(axis=1, keepdims=True), parameters["weight0"])[:, 0]
    far = np.linalg.norm(goal - mean[:, first], axis=1)
    right, left = np.empty(labels.shape, bool), np.empty(labels.shape)
    for sample in range(x.shape[1]):
        left[:, sample] = np.linalg.norm(goal - mean[:, first], axis=1) / far
        logits, trace, _ = forward(config, layers, x[:, sample : sample + 1])
        right[:, sample] = logits[:, 0].argmax(axis=1) == labels[:, sample]
        off = batch_moments(trace)[:, 0] - mean
        var += (1 - keep) * np.square(off)
        var *= keep
        mean += (1 - keep) * off
    shape = (len(momenta), run.config.replicas, -1)
    return right.reshape(shape), left.reshape(shape)
