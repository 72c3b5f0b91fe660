"""The pair behind every norm: each is a choice of the elements that share a mean and a variance."""

from __future__ import annotations

from functools import lru_cache
from math import inf, sqrt
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
    average = averager(x.shape, axes, x.dtype)
    xhat, mean = statistics.centre(x, axes, average, out[0]) if centre else (np.positive(x, out=out[0]), None)
    y = np.square(xhat, out=out[1])  # y's memory serves twice
    var = average(y)
    rstd = rsqrt(var, eps)
    xhat *= rstd
    affine(xhat, gamma, beta, out=y)
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
    xhat, rstd, _, _, gamma, beta, axes, centre = cache
    if dy.size > blocks.PIECE and 0 not in axes:
        return _backward_pieces(dy, cache)
    if dy.size <= blocks.LARGE or not _in_columns(dy, axes, gamma, beta, centre):
        return _backward(dy, cache, None, into)
    dx, mean_dy, mean_dy_xhat = blocks.backward(dy, xhat, rstd, gamma, axes)
    return dx, _sum(mean_dy_xhat, dy, gamma), _sum(mean_dy, dy, beta)


def _backward(
    dy: Array, cache: Cache, out: Affine = None, into: tuple[Affine, Affine] = (None, None)
) -> tuple[Array, Affine, Affine]:
    xhat, rstd, _, _, gamma, beta, axes, centre = cache
    average = averager(dy.shape, axes, dy.dtype)
    outside, constant = _layout(dy, axes, gamma, beta)
    g, scale = dy, rstd
    dx = np.multiply(dy, xhat, out=out)
    if outside:  # batch, instance: gamma is constant where the means are taken, and can wait
        mean_g, mean_g_xhat = average(dy), average(dx)
        dgamma, dbeta = _sum(mean_g_xhat, dy, gamma, into[0]), _sum(mean_g, dy, beta, into[1])
        if gamma is not None:
            scale = rstd * gamma
    else:  # layer, group, RMS: gamma varies there, and comes first
        over_affine = averager(dy.shape, constant, dy.dtype)
        dgamma, dbeta = _sum(over_affine(dx), dy, gamma, into[0]), _sum(over_affine(dy), dy, beta, into[1])
        if gamma is not None:
            dx *= gamma
            g = dy * gamma
        mean_g, mean_g_xhat = average(g), average(dx)
    np.multiply(xhat, mean_g_xhat, out=dx)
    if centre:
        dx += mean_g
    np.subtract(g, dx, out=dx)
    dx *= scale
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
    return centre and 0 in axes and _layout(x, axes, gamma, beta)[0]


def _layout(x: Array, axes: Axes, gamma: Affine, beta: Affine) -> tuple[bool, Axes]:
    affine = beta if gamma is None else gamma
    return _layout_of(axes, (1,) * x.ndim if affine is None else affine.shape)


@lru_cache(maxsize=512)
def _layout_of(axes: Axes, shape: Shape) -> tuple[bool, Axes]:
    """Return whether an affine parameter of this shape is constant along `axes`, and where it is at all."""
    constant = tuple(a for a, n in enumerate(shape) if n == 1)
    return set(axes) <= set(constant), constant


def _sum(mean: Array, full: Array, affine: Affine, into: Affine = None) -> Affine:
    """Return the sum that `mean` is the mean of, an array like `full`, down to the shape of `affine`."""
    if affine is None:
        return None
    if mean.shape == affine.shape:
        return np.multiply(mean, full.size // mean.size, out=into)
    total = mean * (full.size // mean.size)
    return np.add.reduce(total, _layout_of((), affine.shape)[1], keepdims=True)
