"""Where contrast is the signal, and where it is not: a small network on digits in full and in faint ink."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..data import DIGIT, batches, load
from ..networks.conv import conv, conv_backward
from ..networks.layers import cross_entropy, linear, linear_backward
from ..norms.core import normalize, normalize_backward
from ..norms.statistics import Array, Axes

Found = dict[str, Array]

EPS = 1e-5
CHANNELS, BATCH, STEPS, RATE, HEAVY, MOMENTUM = 8, 32, 100, 0.1, 0.9, 0.9
FAINT = 0.5  # ink of a faint digit, where that is what is asked
INKS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08)  # of the digits in a test
AXES: dict[str, Axes] = {"instance": (2, 3), "batch": (1, 2, 3)}  # of (R, N, H, W, C), those that share


class Network(NamedTuple):
    """R networks: convolution 3 x 3, norm, ReLU, linear layer. Arrays are (R, rows, columns)."""

    kernel: Array  # (R, 9, CHANNELS)
    gamma: Array  # (R, 1, CHANNELS)
    beta: Array
    weight: Array  # (R, 64 CHANNELS, 10)
    bias: Array  # (R, 1, 10)


def started(seeds: Sequence[int]) -> Network:
    """Return networks before training: He's scale in the convolution, half its variance above it."""
    pixels, replicas = DIGIT[0] * DIGIT[1] * CHANNELS, len(seeds)
    drawn = [np.random.default_rng((seed, 20)) for seed in seeds]
    kernel = np.stack([np.sqrt(2 / 9) * rng.standard_normal((9, CHANNELS)) for rng in drawn])
    weight = np.stack([np.sqrt(1 / pixels) * rng.standard_normal((pixels, 10)) for rng in drawn])
    one, zero = np.ones((replicas, 1, CHANNELS)), np.zeros((replicas, 1, CHANNELS))
    return Network(kernel, one, zero, weight, np.zeros((replicas, 1, 10)))


def look(net: Network, x: Array, norm: str, running: Array | None = None) -> tuple[Array, tuple[Any, ...]]:
    """Return the logits (R, N, 10) of images x (R, N, 64), and what `gradients` needs.

    running : mean and variance (2, R, 1, CHANNELS) that batch norm has in eval(); None: in train()
    """
    z, below = conv(x.reshape(*x.shape[:2], *DIGIT), net.kernel)
    gamma, beta = net.gamma[:, :, None, None], net.beta[:, :, None, None]
    cache = None
    if norm == "none":
        y = z + beta
    elif running is None or norm != "batch":
        y, cache = normalize(z, AXES[norm], gamma, beta, EPS)
    else:
        mean, var = running[:, :, :, None, None]
        y = gamma * (z - mean) / np.sqrt(var + EPS) + beta
    a = np.maximum(y, 0)
    logits, top = linear(a.reshape(*a.shape[:2], -1), net.weight, net.bias)
    return logits, (below, cache, y, top)


def gradients(net: Network, dlogits: Array, kept: tuple[Any, ...]) -> Network:
    """Return the gradient of every parameter; without a norm, gamma's is 0."""
    below, cache, y, top = kept
    found = Network(*(np.zeros_like(own) for own in net))
    back: Any = linear_backward(dlogits, top, found.weight, found.bias)
    dy = back.reshape(y.shape) * (y > 0)
    if cache is None:
        dz = dy
        found.beta[:] = dy.sum(axis=(1, 2, 3))[:, None]
    else:
        dz, dgamma, dbeta = normalize_backward(dy, cache)
        found.gamma[:], found.beta[:] = (np.asarray(own).reshape(net.beta.shape) for own in (dgamma, dbeta))
    conv_backward(dz, below, found.kernel, need_dx=False)
    return found


@lru_cache(maxsize=8)
def trained(seed: int, replicas: int, norm: str, asked: str) -> tuple[Network, Array]:
    """Train on digits; ``asked``: "digit" which one it is, "ink" whether its ink is full or FAINT.

    Returns the networks and batch norm's running mean and variance (2, R, 1, CHANNELS). SGD with heavy-ball
    momentum HEAVY, the rate falling along half a cosine; each seed has weights, batches and inks of its own.
    """
    seeds = tuple(range(seed, seed + replicas))
    net = started(seeds)
    velocity = Network(*(np.zeros_like(own) for own in net))
    running = np.stack([np.zeros_like(net.beta), np.ones_like(net.beta)])
    numbers = BATCH * DIGIT[0] * DIGIT[1]
    for step, (x, labels) in enumerate(batches(load("digits"), seeds, 0, BATCH, STEPS)):
        if asked == "ink":
            labels = np.stack([np.random.default_rng((s, 22, step)).integers(2, size=BATCH) for s in seeds])
            x = x * np.where(labels == 1, 1.0, FAINT)[:, :, None]
        logits, kept = look(net, x, norm)
        slopes = gradients(net, cross_entropy(logits, labels)[1], kept)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        for own, moving, slope in zip(net, velocity, slopes, strict=True):
            moving *= HEAVY
            moving += slope
            own -= rate * moving
        if norm == "batch":
            cache = kept[1]
            seen = np.stack([cache.mean[:, :, 0, 0], cache.var[:, :, 0, 0] * numbers / (numbers - 1)])
            running = MOMENTUM * running + (1 - MOMENTUM) * seen
    return net, running


def right(net: Network, running: Array, norm: str, x: Array, labels: Array) -> Array:
    """Return the share of images x (N, 64) that are answered rightly in eval(), (R,)."""
    logits, _ = look(net, np.broadcast_to(x, (len(net.kernel), *x.shape)), norm, running)
    share: Array = (logits.argmax(axis=2) == labels).mean(axis=1)
    return share


def of_ink(seed: int, replicas: int, norm: str) -> Found:
    """Train networks to tell full from faint ink, and test them on validation digits.

    Return ``right`` (R,), and ``leak`` (R,): how far any logit moves when a full digit becomes a faint one.
    """
    net, running = trained(seed, replicas, norm, "ink")
    digits = load("digits").x_val
    labels = np.arange(len(digits)) % 2
    share = right(net, running, norm, digits * np.where(labels == 1, 1.0, FAINT)[:, None], labels)
    both = np.broadcast_to(digits, (replicas, *digits.shape))
    full, faint = (look(net, ink * both, norm, running)[0] for ink in (1.0, FAINT))
    return {"right": share, "leak": np.abs(full - faint).max(axis=(1, 2))}


def of_digits(seed: int, replicas: int, norm: str) -> Found:
    """Train networks on digits in full ink, and test them with the INKS.

    Return ``right`` (R, inks), and ``paper`` (R,): right answers where the ink is 0.5 on paper of 0.5.
    """
    net, running = trained(seed, replicas, norm, "digit")
    data = load("digits")
    share = [right(net, running, norm, ink * data.x_val, data.y_val) for ink in INKS]
    return {
        "right": np.stack(share, axis=1),
        "paper": right(net, running, norm, 0.5 + 0.5 * data.x_val, data.y_val),
    }
