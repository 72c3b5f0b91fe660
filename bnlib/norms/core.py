"""The pair behind every norm: each is a choice of the elements that share a mean and a variance."""

from __future__ import annotations

from functools import lru_cache
from math import inf, prod, sqrt
from typing import Any, NamedTuple

import numpy as np

from . import blocks, statistics
from .statistics import Affine, Array, Axes, Shape, affine, averager, rsqrt


class Cache(NamedTuple):
    """What `normalize` leaves, nothing of x itself; statistics keep their axes as length 1."""

    xhat: Array
    rstd: Array  # 1 / sqrt(var + eps)
    mean: Array
    var: Array
    gamma: Affine
    beta: Affine
    axes: Axes
    centre: bool


def normalize(
    x: Array,
    axes: Axes,
    gamma: Affine,
    beta: Affine,
    eps: float,
    centre: bool = True,
    guarded: bool = True,
) -> tuple[Array, Cache]:
    """Return ``gamma * (x - mean) / sqrt(var + eps) + beta`` and a cache; `axes` share a mean and a variance.

    The core of every norm. It runs in the innermost loop of training and checks nothing: x is float32 or
    float64, axes ascend, eps >= 0, and gamma and beta, or None, are of one shape that has all axes of x and
    broadcasts against it. Without `centre` the mean is 0, and the variance the mean square.

    y is right over the whole range of the dtype: where squares overflow, or underflow beside `eps`, x is
    scaled by a power of two. (NumPy warns of the overflow; the caller may have it ignored.) `cache.var` is
    inf or 0 where the variance is beyond the dtype. NaN, and infinities in x, make NaN of what shares their
    mean. Networks in training do without this guard (`networks.units`): it costs a tenth of a small norm.

    The bits of a replica, an index of axis 0 with a row of gamma or beta of its own, don't depend on how many
    replicas there are.
    """
    if x.size > blocks.PIECE and 0 not in axes:
        return _normalize_pieces(x, axes, gamma, beta, eps, centre)
    return (_in_range if guarded else _normalize)(x, axes, gamma, beta, eps, centre)


def _normalize(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: Any, centre: bool, out: Any = (None, None)
) -> tuple[Array, Cache]:
    if x.size > blocks.LARGE and _in_columns(x, axes, gamma, beta, centre):
        found = blocks.forward(x, axes, gamma, beta, eps)
        return found[0], Cache(*found[1:], gamma, beta, axes, centre)
    _, average, _, _, wide = _means(x, axes, gamma, beta)
    if centre:
        xhat, mean = statistics.centre(x, axes, average, out[0], wide)
    else:
        xhat, mean = np.positive(x, out[0]), None
    y = np.square(xhat, out[1])  # y's memory serves twice
    var = average(y)
    rstd = rsqrt(var, eps)
    xhat *= wide(rstd)
    affine(xhat, wide(gamma), wide(beta), y)
    if mean is None:
        mean = np.zeros_like(var)
    return y, Cache(xhat, rstd, mean, var, gamma, beta, axes, centre)


def _normalize_pieces(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: float, centre: bool
) -> tuple[Array, Cache]:
    """Normalize piece by piece, each of which holds whole means: x is read, y and xhat are written once."""
    y, xhat = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    rstd, mean, var = np.empty((3, *(1 if a in axes else n for a, n in enumerate(x.shape))), x.dtype)
    for at in blocks.pieces(x.shape, axes, beta if gamma is None else gamma):
        g, b, out = blocks.part(gamma, at), blocks.part(beta, at), (xhat[at], y[at])
        _, one = _in_range(x[at], axes, g, b, eps, centre, out)
        rstd[at], mean[at], var[at] = one.rstd, one.mean, one.var
    return y, Cache(xhat, rstd, mean, var, gamma, beta, axes, centre)


def _in_range(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: float, *rest: Any
) -> tuple[Array, Cache]:
    """Normalize; groups whose squares leave the range of the dtype are divided by powers of two first."""
    y, cache = _normalize(x, axes, gamma, beta, eps, *rest)
    var: Array = cache.var
    least = _least(x.dtype) if eps < 1e-30 else 0.0
    if np.maximum.reduce(var, axis=None) < inf and (not least or np.minimum.reduce(var, axis=None) >= least):
        return y, cache
    extreme = ~((var < inf) & (var + eps >= least))
    if extreme.any():
        peak = np.maximum.reduce(np.abs(x), axis=axes, keepdims=True)
        extreme &= (peak > 0) & (peak < inf)  # inf and NaN stay what they are
    if extreme.any():
        exponent = np.where(extreme, np.frexp(np.maximum(peak, sqrt(eps)))[1], 0)
        scaled_eps = np.ldexp(eps, -2 * exponent).astype(x.dtype)
        y, cache = _normalize(np.ldexp(x, -exponent), axes, gamma, beta, scaled_eps, *rest)
        constant, alone = cache.var == 0, rsqrt(np.zeros_like(var), eps)
        cache = cache._replace(
            rstd=np.where(constant, alone, np.ldexp(cache.rstd, -exponent)),
            mean=np.ldexp(cache.mean, exponent),
            var=np.ldexp(cache.var, 2 * exponent),
        )
    return y, cache


@lru_cache
def _least(dtype: np.dtype[Any]) -> float:
    """Return the least variance whose squares have all their digits."""
    return float(np.finfo(dtype).tiny / np.finfo(dtype).eps)


def normalize_backward(
    dy: Array, cache: Cache, into: tuple[Affine, Affine] = (None, None)
) -> tuple[Array, Affine, Affine]:
    """Return the gradients of x, gamma and beta, those of gamma and beta in their shapes (None stays None).

    With ``g = gamma * dy`` and means taken where the forward pass took them,
    ``dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var + eps)``; without centring, ``mean(g)`` is
    absent. This is the chain rule of Ioffe & Szegedy (2015), section 3, with its terms collected.
    """
    if dy.size > blocks.PIECE and 0 not in cache.axes:
        return _backward_pieces(dy, cache)
    xhat, rstd, _, _, gamma, beta, axes, centre = cache
    if dy.size <= blocks.LARGE or not _in_columns(dy, axes, gamma, beta, centre):
        return _backward(dy, cache, None, into)
    dx, mean_dy, mean_dy_xhat = blocks.backward(dy, xhat, rstd, gamma, axes)
    count = dy.size // rstd.size
    return dx, _sum(mean_dy_xhat, count, gamma), _sum(mean_dy, count, beta)


def _backward(
    dy: Array, cache: Cache, out: Affine = None, into: tuple[Affine, Affine] = (None, None)
) -> tuple[Array, Affine, Affine]:
    xhat, rstd, _, _, gamma, beta, axes, centre = cache
    outside, average, first, count, wide = _means(dy, axes, gamma, beta)
    g, scale = dy, rstd
    dx = np.multiply(dy, xhat, out)
    mean_g, mean_g_xhat = first(dy), first(dx)
    dgamma, dbeta = _sum(mean_g_xhat, count, gamma, into[0]), _sum(mean_g, count, beta, into[1])
    if gamma is not None and outside:  # batch, instance: gamma is constant along the axes, and can wait
        scale = rstd * gamma
    elif gamma is not None:  # layer, group, RMS: gamma varies there, and comes first
        dx *= gamma
        g = dy * gamma
    if not outside:
        mean_g, mean_g_xhat = average(g), average(dx)
    np.multiply(xhat, wide(mean_g_xhat), dx)
    if centre:
        dx += wide(mean_g)
    np.subtract(g, dx, dx)
    dx *= wide(scale)
    return dx, dgamma, dbeta


def _backward_pieces(dy: Array, cache: Cache) -> tuple[Array, Affine, Affine]:
    dx = np.empty(dy.shape, dy.dtype)
    gamma, beta = cache.gamma, cache.beta
    sums = [None if affine is None else np.zeros_like(affine) for affine in (gamma, beta)]
    for at in blocks.pieces(dy.shape, cache.axes, beta if gamma is None else gamma):
        g, b = blocks.part(gamma, at), blocks.part(beta, at)
        one = cache._replace(xhat=cache.xhat[at], rstd=cache.rstd[at], gamma=g, beta=b)
        for total, new in zip(sums, _backward(dy[at], one, dx[at])[1:], strict=True):
            if total is not None:
                blocks.part(total, at)[...] += new
    return dx, sums[0], sums[1]


def _in_columns(x: Array, axes: Axes, gamma: Affine, beta: Affine, centre: bool) -> bool:
    return centre and 0 in axes and _means(x, axes, gamma, beta)[0]


def _means(x: Array, axes: Axes, gamma: Affine, beta: Affine) -> Any:
    affine = beta if gamma is None else gamma
    return _means_of(x.shape, x.dtype, axes, None if affine is None else affine.shape)


@lru_cache(maxsize=512)
def _means_of(shape: Shape, dtype: np.dtype[Any], axes: Axes, affine: Shape | None) -> tuple[Any, ...]:
    """Return whether gamma is constant along `axes`, and four more for an array of this shape.

    What averages it over `axes`; what averages it over `axes` if gamma is constant there, else over all axes
    where it is; over how many elements; and what repeats means along `axes` where NumPy is then faster.
    """
    constant = tuple(a for a in range(len(shape)) if affine is None or affine[a] == 1)
    outside = set(axes) <= set(constant)
    first = axes if outside else constant
    small = prod(shape) <= 1 << 14  # to repeat means to a larger array costs more than it saves
    times = shape[-2] if small and outside and axes == (len(shape) - 2,) else 1
    count = np.array(prod(shape[a] for a in first), dtype)
    averages = averager(shape, axes, dtype), averager(shape, first, dtype)
    return outside, *averages, count, lambda a: a if times == 1 or a is None else a.repeat(times, -2)


def _sum(mean: Array, count: int | Array, affine: Affine, into: Affine = None) -> Affine:
    """Return the sum of which `mean` is a `count`-th, down to the shape of `affine`."""
    if affine is None:
        return None
    if mean.shape == affine.shape:
        return np.multiply(mean, count, into)
    total: Array = mean * count
    return np.add.reduce(total, tuple(a for a, n in enumerate(affine.shape) if n == 1), keepdims=True)
