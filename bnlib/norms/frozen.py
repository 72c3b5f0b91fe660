"""Batch norm with given statistics: at inference, or frozen in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import NormCache
from .checks import checked_affine, checked_input, checked_statistics
from .core import Cache
from .statistics import Affine, Array, affine, averager, rsqrt


@np.errstate(over="ignore", invalid="ignore")
def frozen(x: Array, mean: Array, var: Array, gamma: Affine, beta: Affine, eps: Any) -> tuple[Array, Cache]:
    """Return ``gamma * (x - mean) / sqrt(var + eps) + beta`` of x (N, C, ...); the others are (C,)."""
    rstd = along(rsqrt(var, eps), x)
    gamma, beta = (None if a is None else along(a, x) for a in (gamma, beta))
    xhat = ((x - along(mean, x)) * rstd).astype(x.dtype, copy=False)
    return affine(xhat, gamma, beta), Cache(xhat, rstd.astype(x.dtype), mean, var, gamma, beta, (), False)


def frozen_backward(dy: Array, cache: Cache) -> tuple[Array, Affine, Affine]:
    """Return gradients with the statistics as constants: ``dx = dy * gamma / sqrt(var + eps)``."""
    dx = dy * (cache.rstd if cache.gamma is None else cache.rstd * cache.gamma)
    dgamma = None if cache.gamma is None else by_channel(dy * cache.xhat)
    return dx, dgamma, None if cache.beta is None else by_channel(dy)


def along(a: Array, x: Array) -> Array:
    """Bring an array (C,) to the axes of x (N, C, ...)."""
    return a.reshape(1, -1, *(1,) * (x.ndim - 2))


def by_channel(a: Array) -> Array:
    """Sum a (N, C, ...) over all axes but that of the channels."""
    if not a.size:
        return np.zeros(a.shape[1], a.dtype)
    axes = (0, *range(2, a.ndim))
    total: Array = averager(a.shape, axes, a.dtype)(a) * (a.size // a.shape[1])
    return total.reshape(-1)


def frozen_batch_norm(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> tuple[Array, NormCache]:
    """Normalize every channel with given statistics, which the backward pass takes as constants.

    What PyTorch calls frozen batch norm: training goes on, but statistics stay as they are. As `batch_norm`,
    except that N may be 0, there is no mask, and mean and var, ndarrays of shape (C,) and ``var >= 0``, are
    running statistics or any others. They may be float64 beside an x of float32, as `RunningStats` keeps
    them. With the cache `norm_backward` gives ``dx = dy * gamma / sqrt(var + eps)``.

    Ioffe & Szegedy (2015), Algorithm 2, step 11.

    Examples
    --------
    >>> import numpy as np
    >>> from bnlib.norms import norm_backward
    >>> x, mean, var = np.array([[1.0], [3.0]]), np.array([2.0]), np.array([4.0])
    >>> y, cache = frozen_batch_norm(x, mean, var, eps=0.0)
    >>> y.ravel().tolist(), norm_backward(np.array([[1.0], [0.0]]), cache)[0].ravel().tolist()
    ([-0.5, 0.5], [0.5, 0.0])
    """
    return _frozen("frozen_batch_norm", x, mean, var, gamma, beta, eps)


def batch_norm_inference(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> Array:
    """Return the y of `frozen_batch_norm`, whose parameters and errors it has: a fixed affine map.

    It leaves no cache; use `frozen_batch_norm` where a backward pass follows.
    """
    return _frozen("batch_norm_inference", x, mean, var, gamma, beta, eps)[0]


def _frozen(
    name: str, x: Array, mean: Array, var: Array, gamma: Affine, beta: Affine, eps: float
) -> tuple[Array, NormCache]:
    x = checked_input(name, x, eps, least=0)
    mean, var = checked_statistics(name, x, mean, var)
    y, core = frozen(x, mean, var, *checked_affine(name, x, mean.shape, gamma, beta), float(eps))
    count = x.size // x.shape[1]
    return y, NormCache(mean, var, count, core, frozen_backward, x.shape, mean.shape, x.dtype)
