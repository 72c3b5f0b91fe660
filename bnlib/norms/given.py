"""Normalization where more is given than x: the statistics, or which elements count and which are padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .core import Cache
from .statistics import Affine, Array, Axes, affine, averager, rsqrt

OVER = (1, 2)  # the batch and all positions of (R, N, P, C), the layout of `relatives`


def total(a: Array, axes: Axes = OVER) -> Array:
    """Sum an array, which may be empty, over axes that stay with length 1."""
    if not a.size:
        return np.add.reduce(a, axes, keepdims=True)
    mean = averager(a.shape, axes, a.dtype)(a)
    found: Array = mean * (a.size // mean.size)
    return found


def _sum_like(a: Array, affine: Affine) -> Affine:
    """Sum an array down to the shape and the dtype of gamma or beta; None stays None."""
    if affine is None:
        return None
    return total(a, tuple(axis for axis, n in enumerate(affine.shape) if n == 1)).astype(affine.dtype)


def frozen(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: Any, mean: Array, var: Array
) -> tuple[Array, Cache]:
    """Do what `core.normalize` does with the statistics that are given."""
    rstd = rsqrt(var, eps)
    xhat = ((x - mean) * rstd).astype(x.dtype, copy=False)
    return affine(xhat, gamma, beta), Cache(xhat, rstd.astype(x.dtype), mean, var, gamma, beta, axes, False)


def frozen_backward(dy: Array, cache: Cache) -> tuple[Array, Affine, Affine]:
    """Return gradients with the statistics as constants: ``dx = dy * gamma / sqrt(var + eps)``."""
    dx = dy * (cache.rstd if cache.gamma is None else cache.rstd * cache.gamma)
    dgamma = None if cache.gamma is None else total(dy * cache.xhat, cache.axes)
    return dx, dgamma, None if cache.beta is None else total(dy, cache.axes)


def masked(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: float, centre: bool, keep: Array
) -> tuple[Array, Cache, Array]:
    """Do what `core.normalize` does with the elements where `keep` is true; y and x-hat are 0 elsewhere.

    Behind the cache comes the number of elements that count, for each mean. Slower than `core`, and in
    float64 inside: sets of different sizes share no product of matrices.
    """
    mean, centred, count = weighted_mean(x.astype(np.float64), keep, axes)
    if not centre:
        mean, centred = np.zeros_like(mean), np.where(keep, x, 0).astype(np.float64)
    # Divided by the largest, squares neither overflow nor vanish.
    largest = np.max(np.abs(centred), axes, keepdims=True)
    largest[largest == 0] = 1
    square = np.add.reduce(np.square(centred / largest), axes, keepdims=True) / np.maximum(count, 1)
    root = largest * np.sqrt(square)
    std = np.hypot(root, np.sqrt(eps))
    std[std == 0] = np.inf
    xhat = centred / std
    y = np.where(keep, affine(xhat, gamma, beta), 0).astype(x.dtype)
    mean, var = mean.astype(x.dtype), np.square(root).astype(x.dtype)
    return y, Cache(xhat, 1 / std, mean, var, gamma, beta, axes, centre), count


def masked_backward(dy: Array, cache: Cache, keep: Array, count: Array) -> tuple[Array, Affine, Affine]:
    """Return gradients as `core.normalize_backward` does; that of x is 0 where masked."""
    xhat, axes, n = cache.xhat, cache.axes, np.maximum(count, 1)
    g = np.where(keep, dy, 0).astype(np.float64)
    dgamma, dbeta = _sum_like(g * xhat, cache.gamma), _sum_like(g, cache.beta)
    if cache.gamma is not None:
        g *= cache.gamma
    dx = g - xhat * np.add.reduce(g * xhat, axes, keepdims=True) / n
    if cache.centre:
        dx -= np.add.reduce(g, axes, keepdims=True) / n
    return np.where(keep, dx * cache.rstd, 0).astype(dy.dtype), dgamma, dbeta


def weighted_mean(x: Array, weights: Array, axes: Axes) -> tuple[Array, Array, Array]:
    """Return the mean of x over `axes`, x minus it, and the sum of the weights, `axes` kept as length 1.

    weights : of the shape of x, 0 or more. What has weight 0 is never looked at, even if it is NaN, and comes
    out as 0, as does the mean of no elements at all.
    """
    used = weights > 0
    count = np.add.reduce(weights, axes, np.int64, keepdims=True)
    # Subtracting an element first gives exactly 0 where all are equal, as `statistics.centre` does.
    origin = np.min(x, axes, keepdims=True, initial=np.inf, where=used)
    origin = np.where(count > 0, origin, 0)
    centred = np.where(used, x, origin) - origin
    offset = np.add.reduce(weights * centred, axes, keepdims=True) / np.maximum(count, 1)
    return origin + offset, np.where(used, centred - offset, 0), count
