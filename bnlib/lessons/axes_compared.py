"""What the chapter on axes measures of norms side by side: groups, company in the batch, what is multiplied.

All are of the feature maps of `axes.maps`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..data import load
from ..norms.public import (
    batch_norm,
    batch_norm_inference,
    group_norm,
    instance_norm,
    layer_norm,
    norm_backward,
    rms_norm,
)
from ..norms.statistics import Array
from ..norms.weights import weight_norm
from .axes import CHANNELS, EPS, IMAGES, SHAPE, maps, maps_of

GROUPS = (1, 2, 3, 6)
ORDERS = 16  # of channels, over which groups are averaged
HALF = 3  # groups of group norm beside others

NORMS: dict[str, Callable[..., Any]] = {
    "batch": batch_norm, "layer": layer_norm, "group": partial(group_norm, groups=HALF),
    "instance": instance_norm, "rms": rms_norm,
}  # fmt: skip
SCALED = ("image", "batch", "channel", "weights")


def between(y: Array) -> Array:
    """Return the variance between the channel means of each image, (N,)."""
    found: Array = y.mean(axis=(2, 3)).var(axis=1)
    return found


@lru_cache(maxsize=64)
def grouped(seed: int, groups: int) -> tuple[float, float, float]:
    """Return how far group norm is from layer and from instance norm, and what it leaves between channels.

    Distances are root mean squares; what is left is the variance `between` channel means, a mean of images.
    Which channels are neighbours is arbitrary: all are means over `ORDERS` orders of the channels, that of
    the maps first, the others drawn from ``(seed, 13)``.
    """
    rng, x = np.random.default_rng((seed, 13)), maps(seed).x
    orders = [np.arange(CHANNELS), *(rng.permutation(CHANNELS) for _ in range(ORDERS - 1))]
    x = np.concatenate([x[:, order] for order in orders])
    y = group_norm(x, groups=groups)[0]
    ends = (layer_norm(x)[0], instance_norm(x)[0])
    to = [float(np.sqrt(np.square(y - end).mean())) for end in ends]
    return to[0], to[1], float(between(y).mean())


@lru_cache(maxsize=64)
def standing(seed: int) -> tuple[Array, Array]:
    """Return mean and variance of each channel over the feature maps of all validation digits, (C,) each."""
    x = maps_of(load("digits").x_val, maps(seed).weight)
    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))


def in_company(norm: str, seed: int, mate: int) -> Array:
    """Return what a norm makes of the feature maps; "eval": batch norm with the statistics of all digits."""
    x = maps(seed, mate).x
    if norm == "eval":
        return batch_norm_inference(x, *standing(seed), eps=EPS)
    y: Array = NORMS[norm](x, eps=EPS)[0]
    return y


@lru_cache(maxsize=512)
def company(norm: str, seed: int, mate: int) -> tuple[float, float]:
    """Return how far the first image's output moves with the last image, and what the last one learns of it.

    First the largest change of an output of the first image, when the last digit is exchanged. Then the
    largest gradient of the last image's numbers over the first image's own, of a loss of the first image: a
    random gradient of its outputs.
    """
    moved = np.abs(in_company(norm, seed, mate)[0] - in_company(norm, seed, 0)[0]).max()
    x = maps(seed).x
    dy = np.zeros(SHAPE)
    dy[0] = np.random.default_rng((seed, 12)).standard_normal(SHAPE[1:])
    if norm == "eval":
        return float(moved), 0.0  # a fixed map of each number
    dx = norm_backward(dy, NORMS[norm](x, eps=EPS)[1])[0]
    return float(moved), float(np.abs(dx[-1]).max() / np.abs(dx[0]).max())


@lru_cache(maxsize=4096)
def scaled(norm: str, seed: int, what: str, factor: float, eps: float) -> float:
    """Return how far a norm's outputs move when something is multiplied by ``factor``: largest over largest.

    what : "image", the second digit; "batch", all digits; "channel", the third filter; "weights", all filters
    norm : of `NORMS`, or "weight": filters of length 1, and no norm of their outputs
    """
    images, weight, _ = maps(seed)
    bright, long = np.ones((IMAGES, 1, 1, 1)), np.ones((CHANNELS, 1, 1, 1))
    if what in ("image", "batch"):
        bright[1 if what == "image" else slice(None)] = factor
    else:
        long[2 if what == "channel" else slice(None)] = factor
    before = _output(norm, images, weight, eps)
    after = _output(norm, images * bright, weight * long, eps)
    return float(np.abs(after - before).max() / np.abs(before).max())


def _output(norm: str, images: Array, weight: Array, eps: float) -> Array:
    if norm == "weight":
        return maps_of(images, weight_norm(weight, np.ones(CHANNELS))[0])
    y: Array = NORMS[norm](maps_of(images, weight), eps=eps)[0]
    return y
