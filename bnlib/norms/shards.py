"""Batch norm of several shards that share their statistics: synchronized batch norm.

Where processes have a shard each, only two small sums cross between them: mean, variance and count before
`combine_moments`, dgamma and dbeta before `synchronized`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .calls import checked_cache, checked_gradient
from .checks import cast, checked_affine, checked_counts, checked_input, checked_variance, float_array
from .core import Cache
from .frozen import along, by_channel, frozen
from .masked import weighted_mean
from .statistics import Affine, Array, moments, scaled, times


class ShardedCache(NamedTuple):
    """What `sharded_batch_norm` leaves for `sharded_backward`."""

    mean: Array
    var: Array
    count: Array  # type: ignore[assignment]  # hides the method of tuples
    shards: tuple[Cache, ...]


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
    one_axis_each = *weights.shape, *(1,) * (means.ndim - weights.ndim)
    weights = np.broadcast_to(weights.reshape(one_axis_each), means.shape)
    within = checked_variance(name, np.where(weights > 0, variances, 0)).astype(np.float64)
    mean, centred, count = weighted_mean(means.astype(np.float64), weights, (0,))
    var = np.add.reduce(weights * (within + np.square(centred)), 0) / np.maximum(count[0], 1)
    return mean[0].astype(means.dtype), var.astype(means.dtype), count[0]


@np.errstate(over="ignore", invalid="ignore")
def sharded_batch_norm(
    xs: Sequence[Array], gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> tuple[list[Array], ShardedCache]:
    """Normalize every channel over all shards of a batch, as `batch_norm` does over the whole batch.

    xs is a list of ndarrays of shape (N, C, *spatial), of one dtype. N and the positions may differ, and N
    may be 0, though not for all of them. The cache is for `sharded_backward`; mean, biased var and count, of
    shape (C,), are those of all shards. The rest is as in `batch_norm`; ValueError also if shards don't fit
    each other.

    Synchronized batch norm (Peng et al. 2018, section 3.3).
    """
    name = "sharded_batch_norm"
    if not isinstance(xs, tuple | list) or not xs:
        raise ValueError(f"{name}: xs is a {type(xs).__name__}, not a list of arrays; try [xs] for one shard")
    shards = [checked_input(name, x, eps, least=0) for x in xs]
    for i, x in enumerate(shards):
        channels, dtype = shards[0].shape[1], shards[0].dtype
        if x.shape[1] != channels or x.dtype != dtype:
            fix = "pass shards of one batch" if x.dtype == dtype else f"try {cast(f'xs[{i}]', dtype)}"
            received = f"xs[{i}] has {x.shape[1]} channels of {x.dtype}"
            raise ValueError(f"{name}: {received}, but xs[0] {channels} of {dtype}; {fix}")
    if not any(map(len, shards)):
        raise ValueError(f"{name}: no shard has a sample; leave out batches without any")
    given = checked_affine(name, shards[0], shards[0].shape[1:2], gamma, beta)
    wide = [(x.astype(np.float64), (0, *range(2, x.ndim))) for x in shards if len(x)]
    # Float64 holds the squares of all float32; extremes of its own are divided by powers of two first.
    k = scaled(np.array([np.abs(x).max(over) for x, over in wide]), (0,))[1][0]
    if eps > 0:  # which must not overflow where tiny numbers are made larger
        k = np.maximum(k, min(0, np.frexp(eps)[1] // 2))
    parts = [(*moments(times(x, -along(k, x)), over), x.size // x.shape[1]) for x, over in wide]
    mean, var, count = combine_moments(*zip(*parts, strict=True))
    pairs = [frozen(times(x, -along(k, x)), mean, var, *given, np.ldexp(eps, -2 * k)) for x in shards]
    cores = tuple(core._replace(rstd=times(core.rstd, -along(k, core.rstd))) for _, core in pairs)
    used = (times(mean, k).astype(shards[0].dtype), times(var, 2 * k).astype(shards[0].dtype), count)
    return [y for y, _ in pairs], ShardedCache(*used, cores)


def sharded_backward(dys: Sequence[Array], cache: ShardedCache) -> tuple[list[Array], Affine, Affine]:
    """Return the gradients of `sharded_batch_norm`, also of the statistics that its shards share.

    dys and dxs are lists with an ndarray of the shape and dtype of each shard; dgamma and dbeta, sums over
    all shards, have shape (C,) or are None for one that wasn't given. The cache stays as it is and can be
    used again. ValueError if it is of another function, or dys don't match its shards.

    Ioffe & Szegedy (2015), section 3, with the sums over all shards.
    """
    name = "sharded_backward"
    checked_cache(name, cache, ShardedCache)
    if not isinstance(dys, tuple | list) or len(dys) != len(cache.shards):
        count = len(dys) if isinstance(dys, tuple | list) else f"a {type(dys).__name__}, not a list"
        raise ValueError(
            f"{name}: dys has {count}, but there are {len(cache.shards)} shards; pass a gradient for each"
        )
    pairs = zip(dys, cache.shards, strict=True)
    shards = [(checked_gradient(name, dy, core.xhat), core) for dy, core in pairs]
    dgamma, dbeta = np.add.reduce([(by_channel(dy * core.xhat), by_channel(dy)) for dy, core in shards])
    dxs = [synchronized(dy, core, dgamma, dbeta, cache.count) for dy, core in shards]
    first = cache.shards[0]
    return dxs, None if first.gamma is None else dgamma, None if first.beta is None else dbeta


def synchronized(dy: Array, core: Cache, dgamma: Array, dbeta: Array, count: Array) -> Array:
    """Return dx of one shard, from dgamma, dbeta and count of all shards.

    ``dx = gamma / sqrt(var + eps) * (dy - (dbeta + xhat * dgamma) / count)``
    """
    view = core.rstd.shape
    mean_dy, mean_dy_xhat = ((s / count.astype(s.dtype)).reshape(view) for s in (dbeta, dgamma))
    dx: Array = dy - mean_dy
    dx -= core.xhat * mean_dy_xhat
    dx *= core.rstd if core.gamma is None else core.rstd * core.gamma
    return dx
