"""The pair behind every norm: each is a choice of the elements that share a mean and a variance."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from . import blocks, statistics
from .statistics import Affine, Array, Axes, Shape, averager, rsqrt


class Cache(NamedTuple):
    """What `normalize` leaves for `normalize_backward`; statistics keep their axes as length 1."""

    xhat: Array | None  # None where the backward pass computes it again, from `source`
    rstd: Array  # 1 / sqrt(var + eps)
    mean: Array
    var: Array
    gamma: Affine
    beta: Affine
    axes: Axes
    centre: bool
    source: tuple[Array, Array, Array] | None = None  # x, origin, offset: mean = origin + offset


def normalize(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: float, centre: bool = True
) -> tuple[Array, Cache]:
    """``gamma * (x - mean) / sqrt(var + eps) + beta``, mean and variance shared along `axes`.

    The core of every norm. It runs in the innermost loop of training and checks nothing: `axes` ascend;
    `gamma` and `beta` are None, or of one shape that has all axes of `x` and broadcasts against it.
    ``centre=False`` takes 0 for the mean. The cache of a large array refers to `x`, which must then
    stay unchanged until the backward pass.
    """
    if x.size > blocks.LARGE and axes[:1] == (0,) and centre and _layout(x, axes, gamma, beta)[0]:
        y, rstd, var, source = blocks.forward(x, axes, gamma, beta, eps)
        _, origin, offset = source
        return y, Cache(None, rstd, origin + offset, var, gamma, beta, axes, True, source)
    average = averager(x.shape, axes, x.dtype)
    xhat, mean = statistics.centre(x, axes) if centre else (x.copy(), None)
    y = np.square(xhat)  # y's memory serves twice
    var = average(y)
    rstd = rsqrt(var, eps)
    xhat *= rstd
    if gamma is None:
        np.copyto(y, xhat)
    else:
        np.multiply(xhat, gamma, out=y)
    if beta is not None:
        y += beta
    if mean is None:
        mean = np.zeros_like(var)
    return y, Cache(xhat, rstd, mean, var, gamma, beta, axes, centre)


def normalize_backward(dy: Array, cache: Cache) -> tuple[Array, Affine, Affine]:
    """Gradients with respect to x, gamma and beta, the latter in their own shapes (None stays None).

    With ``g = gamma * dy`` and means taken where the forward pass took them,
    ``dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var + eps)``; without centring, ``mean(g)`` is
    absent. This is the chain rule of Ioffe & Szegedy (2015), section 3, with its terms collected.
    """
    xhat, rstd, _, _, gamma, beta, axes, centre, source = cache
    if xhat is None:
        assert source is not None
        dx, mean_dy, mean_dy_xhat = blocks.backward(dy, source, rstd, gamma, axes)
        return dx, _sum(mean_dy_xhat, dy, gamma), _sum(mean_dy, dy, beta)
    average = averager(dy.shape, axes, dy.dtype)
    outside, constant = _layout(dy, axes, gamma, beta)
    g, scale = dy, rstd
    dx = dy * xhat
    if outside:  # batch, instance: gamma is constant where the means are taken, and can wait
        mean_g, mean_g_xhat = average(dy), average(dx)
        dgamma, dbeta = _sum(mean_g_xhat, dy, gamma), _sum(mean_g, dy, beta)
        if gamma is not None:
            scale = rstd * gamma
    else:  # layer, group, RMS: gamma varies there, and comes first
        over_affine = averager(dy.shape, constant, dy.dtype)
        dgamma, dbeta = _sum(over_affine(dx), dy, gamma), _sum(over_affine(dy), dy, beta)
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


def _layout(x: Array, axes: Axes, gamma: Affine, beta: Affine) -> tuple[bool, Axes]:
    affine = beta if gamma is None else gamma
    return _layout_of(axes, (1,) * x.ndim if affine is None else affine.shape)


@lru_cache(maxsize=512)
def _layout_of(axes: Axes, shape: Shape) -> tuple[bool, Axes]:
    """Is an affine parameter of this shape constant along `axes`, and along which axes is it at all?"""
    constant = tuple(a for a, n in enumerate(shape) if n == 1)
    return set(axes) <= set(constant), constant


def _sum(mean: Array, full: Array, affine: Affine) -> Affine:
    """The sum that `mean` is the mean of, an array like `full`, further down to the shape of `affine`."""
    if affine is None:
        return None
    total = mean * (full.size // mean.size)
    if total.shape == affine.shape:
        return total
    return np.add.reduce(total, _layout_of((), affine.shape)[1], keepdims=True)
