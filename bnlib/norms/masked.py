"""Norms of the elements that count, where others are padding.

Slower than `core`, and in float64 inside: sets of different sizes share no product of matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .statistics import Affine, Array, Axes, affine


class MaskedCache(NamedTuple):
    """What `normalize_masked` leaves for its backward pass; statistics keep their axes as length 1."""

    xhat: Array  # 0 where masked
    std: Array  # sqrt(var + eps)
    mean: Array
    var: Array
    counts: Array  # elements that count behind each mean
    keep: Array  # bool: which elements count
    gamma: Affine
    beta: Affine
    axes: Axes
    centre: bool


def weighted_mean(x: Array, weights: Array, axes: Axes) -> tuple[Array, Array, Array]:
    """Return the mean of x over `axes`, x minus it, and the sum of the weights, `axes` kept as length 1.

    weights : of the shape of x, 0 or more. What has weight 0 is never looked at, even if it is NaN, and comes
    out as 0, as does the mean of no elements at all.
    """
    used = weights > 0
    total = np.add.reduce(weights, axes, np.int64, keepdims=True)
    # Subtracting an element first gives exactly 0 where all are equal, as `statistics.centre` does.
    origin = np.min(x, axes, keepdims=True, initial=np.inf, where=used)
    origin = np.where(total > 0, origin, 0)
    centred = np.where(used, x, origin) - origin
    offset = np.add.reduce(weights * centred, axes, keepdims=True) / np.maximum(total, 1)
    return origin + offset, np.where(used, centred - offset, 0), total


@np.errstate(over="ignore", invalid="ignore")
def normalize_masked(
    x: Array, keep: Array, axes: Axes, gamma: Affine, beta: Affine, eps: float, centre: bool
) -> tuple[Array, MaskedCache]:
    """Do what `core.normalize` does with the elements where `keep` is true; y is 0 elsewhere."""
    mean, centred, count = weighted_mean(x.astype(np.float64), keep, axes)
    if not centre:
        mean, centred = np.zeros_like(mean), np.where(keep, x, 0).astype(np.float64)
    # Divided by the largest, squares neither overflow nor vanish.
    largest = np.max(np.abs(centred), axes, keepdims=True)
    largest[largest == 0] = 1
    square = np.add.reduce(np.square(centred / largest), axes, keepdims=True) / np.maximum(count, 1)
    root = largest * np.sqrt(square)
    std = np.hypot(root, np.sqrt(eps))
    xhat = centred / np.where(std == 0, 1, std)
    y = np.where(keep, affine(xhat, gamma, beta), 0).astype(x.dtype)
    mean, var = mean.astype(x.dtype), np.square(root).astype(x.dtype)
    return y, MaskedCache(xhat, std, mean, var, count, keep, gamma, beta, axes, centre)


def normalize_masked_backward(dy: Array, cache: MaskedCache) -> tuple[Array, Affine, Affine]:
    """Return gradients as `core.normalize_backward` does; that of x is 0 where masked."""
    xhat, std, axes, keep = cache.xhat, cache.std, cache.axes, cache.keep
    g = np.where(keep, dy, 0).astype(np.float64)
    dgamma, dbeta = _sum_like(g * xhat, cache.gamma), _sum_like(g, cache.beta)
    if cache.gamma is not None:
        g *= cache.gamma
    n = np.maximum(cache.counts, 1)
    dx = g - xhat * np.add.reduce(g * xhat, axes, keepdims=True) / n
    if cache.centre:
        dx -= np.add.reduce(g, axes, keepdims=True) / n
    dx = np.where(keep & (std > 0), dx, 0) / np.where(std == 0, 1, std)
    return dx.astype(dy.dtype), dgamma, dbeta


def _sum_like(a: Array, affine: Affine) -> Affine:
    """Sum an array down to the shape and the dtype of gamma or beta; None stays None."""
    if affine is None:
        return None
    axes = tuple(axis for axis, n in enumerate(affine.shape) if n == 1)
    total: Array = np.add.reduce(a, axes, keepdims=True).astype(affine.dtype)
    return total
