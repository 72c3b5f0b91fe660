"""Batch norm of several shards that share their statistics: synchronized batch norm.

Here all shards are in one place. Where processes have one each, only two small sums cross between them: mean,
variance and count before `combine_moments`, dgamma and dbeta before dx, see `sharded_backward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from .checks import (
    checked_cache,
    checked_counts,
    checked_gradient,
    checked_input,
    checked_variance,
    expected,
    float_array,
)
from .given import weighted_mean
from .public import NormCache, by_axes, norm_backward
from .statistics import Affine, Array, Shape


class ShardedCache(NamedTuple):
    """What `sharded_batch_norm` leaves for `sharded_backward`."""

    mean: Array
    var: Array
    count: Array  # type: ignore[assignment]  # hides the method of tuples
    whole: NormCache  # of all shards as one array
    shards: list[Shape]


def combine_moments(
    means: Sequence[Array] | Array, variances: Sequence[Array] | Array, counts: Sequence[int] | Array
) -> tuple[Array, Array, Array]:
    """Return mean, biased variance and count of S batches taken together, 0 where nothing counts.

    means and variances are S arrays of one shape and dtype, float32 or float64, which the results have,
    counts S integers >= 0 or an array of them of the shape of all means: the elements behind each mean. A
    batch of 0 elements adds nothing, whatever its mean and variance. Anything else raises ValueError.

    Chan, Golub & LeVeque (1983), equation 2.1, for any number of batches.

    >>> import numpy as np
    >>> mean, var, count = combine_moments(np.array([[1.0], [4.0]]), np.array([[0.0], [1.0]]), [1, 2])
    >>> mean.tolist(), var.round(6).tolist(), count.tolist()
    ([3.0], [2.666667], [3])
    """
    name = "combine_moments"
    means, variances = float_array(name, "means", means), float_array(name, "variances", variances)
    weights = checked_counts(name, "counts", counts)
    if means.ndim == 0 or len(means) == 0 or means.shape != variances.shape or means.dtype != variances.dtype:
        raise ValueError(
            f"{name}: means are {means.dtype} of shape {means.shape}, variances {variances.dtype} of shape "
            f"{variances.shape}, but must be alike; pass cache.mean and cache.var of each shard"
        )
    if weights.shape not in (means.shape, means.shape[:1]):
        raise ValueError(
            f"{name}: counts have shape {weights.shape}, means {means.shape}; pass {len(means)} integers"
        )
    weights = np.broadcast_to(weights.T, means.T.shape).T  # one number a batch belongs to axis 0
    within = checked_variance(name, np.where(weights > 0, variances, 0)).astype(np.float64)
    mean, centred, count = weighted_mean(means.astype(np.float64), weights, (0,))
    var = np.add.reduce(weights * (within + np.square(centred)), 0) / np.maximum(count[0], 1)
    return mean[0].astype(means.dtype), var.astype(means.dtype), count[0]


def sharded_batch_norm(
    xs: Sequence[Array], gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> tuple[list[Array], ShardedCache]:
    """Normalize every channel over all shards of a batch, as `batch_norm` does over the whole batch.

    xs is a list of ndarrays of shape (N, C, *spatial), of one dtype. N and the positions may differ, and N
    may be 0, though not for all of them. The cache is for `sharded_backward`; mean, biased var and count, of
    shape (C,), are those of all shards. The rest is as in `batch_norm`; ValueError also if shards don't fit
    each other.

    Synchronized batch norm (Peng et al. 2018, section 3.3). Each process can compute its own part:

    >>> import numpy as np
    >>> from bnlib.norms import batch_norm, frozen_batch_norm
    >>> xs = np.split(np.random.default_rng(0).standard_normal((8, 3)), [5])
    >>> caches = [batch_norm(x)[1] for x in xs]
    >>> mean, var, _ = combine_moments(*zip(*[(c.mean, c.var, c.count) for c in caches]))
    >>> for x, y in zip(xs, sharded_batch_norm(xs)[0], strict=True):
    ...     assert np.allclose(frozen_batch_norm(x, mean, var)[0], y)
    """
    name = "sharded_batch_norm"
    if not isinstance(xs, tuple | list) or not xs:
        raise ValueError(f"{name}: xs is a {type(xs).__name__}, not a list of arrays; try [xs] for one shard")
    shards = [checked_input(name, x, eps, least=0) for x in xs]
    channels, dtype = shards[0].shape[1], shards[0].dtype
    for i, x in enumerate(shards):
        alike = len(x), channels, *x.shape[2:]
        expected(name, f"xs[{i}]", x, alike, dtype, "pass shards of one batch", ("xs[0] needs", "xs[0] has"))
    if not any(map(len, shards)):
        raise ValueError(f"{name}: no shard has a sample; leave out batches without any")
    rows, shapes = _joined(shards), [x.shape for x in shards]
    y, whole = by_axes(name, rows, "NC", rows.shape, "N", gamma, beta, eps)
    count = np.full(channels, len(rows))
    return _divided(y, shapes), ShardedCache(whole.mean, whole.var, count, whole, shapes)


def sharded_backward(dys: Sequence[Array], cache: ShardedCache) -> tuple[list[Array], Affine, Affine]:
    """Return the gradients of `sharded_batch_norm`, also of the statistics that its shards share.

    dys and dxs are lists with an ndarray of the shape and dtype of each shard; dgamma and dbeta, sums over
    all shards, have shape (C,) or are None for one that wasn't given. The cache stays as it is and can be
    used again. ValueError if it is of another function, or dys don't match its shards.

    Ioffe & Szegedy (2015), section 3; with dgamma, dbeta and count of all shards, the dx of one of them is
    ``gamma / sqrt(var + eps) * (dy - (dbeta + xhat * dgamma) / count)``.
    """
    name = "sharded_backward"
    shapes = checked_cache(name, cache, ShardedCache).shards
    if not isinstance(dys, tuple | list) or len(dys) != len(shapes):
        count = len(dys) if isinstance(dys, tuple | list) else f"a {type(dys).__name__}, not a list"
        raise ValueError(f"{name}: dys has {count}, but there are {len(shapes)} shards; pass one for each")
    dtype, pairs = cache.whole.dtype, zip(dys, shapes, strict=True)
    dy = _joined([checked_gradient(name, dy, shape, dtype) for dy, shape in pairs])
    dx, dgamma, dbeta = norm_backward(dy, cache.whole)
    return _divided(dx, shapes), dgamma, dbeta


def _joined(shards: Sequence[Array]) -> Array:
    """Bring shards (N, C, *spatial) to the rows of one array (M, C)."""
    return np.concatenate([np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]) for x in shards])


def _divided(rows: Array, shapes: Sequence[Shape]) -> list[Array]:
    """Bring the rows of one array back to shards of these shapes."""
    ends = np.cumsum([prod(shape) // shape[1] for shape in shapes])
    parts = zip(np.split(rows, ends[:-1]), shapes, strict=True)
    return [np.moveaxis(part.reshape(n, *spatial, c), -1, 1).copy() for part, (n, c, *spatial) in parts]
