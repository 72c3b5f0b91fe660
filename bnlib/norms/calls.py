"""How the public functions call a norm's pair: into its layout and back, forward and backward.

The pairs work in the layout of the training engine, ``x`` of shape (R, N, P, C): R independent replicas, N
samples, P positions (1 in dense layers), C channels::

    y, cache = forward(x, learned, options, running)
    dx, gradients = backward(dy, cache)

``learned`` and ``gradients`` map names to arrays, gamma, beta and tau (R, 1, 1, C), alpha (R, 1, 1, 1).
``options`` has eps and the like as attributes. ``running`` is the running mean and variance before this step,
(R, 1, 1, C) each, or None. A cache with statistics of the batch has them as ``mean`` and ``var``. Pairs check
nothing, change no argument, and never mix replicas. A cache may refer to x, which the public functions
therefore copy.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .axes import layout
from .checks import checked, checked_affine, checked_mask, checked_statistics, expected, plain_array
from .core import normalize, normalize_backward
from .masked import normalize_masked, normalize_masked_backward
from .statistics import Affine, Array, Shape, averager
from .table import NORMS

Named = dict[str, Array]
Kind = TypeVar("Kind")  # of a cache
OVER = (1, 2)  # of (R, N, P, C): the batch and all positions


def mean_of(a: Array) -> Array:
    """Average a (R, N, P, C) over the batch and all positions."""
    return averager(a.shape, OVER, a.dtype)(a)


def total(a: Array) -> Array:
    """Sum a (R, N, P, C) over the batch and all positions."""
    found: Array = mean_of(a) * (a.shape[1] * a.shape[2])
    return found


class NormCache(NamedTuple):
    """What a public norm leaves for `norm_backward`.

    mean, var : what it used; the variance is biased
    count : elements behind each mean, for `RunningStats.update`; with a mask, an array of the shape of mean
    """

    mean: Array
    var: Array
    count: int | Array  # type: ignore[assignment]  # hides the method of tuples
    core: Any
    undo: Callable[[Array, Any], tuple[Array, Affine, Affine]]  # the backward pass of `core`
    shape: Shape  # of x
    affine_shape: Shape
    dtype: np.dtype[Any]


def norm_backward(dy: Array, cache: NormCache) -> tuple[Array, Affine, Affine]:
    """Return the gradients of a norm with respect to x, gamma and beta, from that of its y.

    Parameters
    ----------
    dy : ndarray of the shape and dtype of x
    cache : NormCache
        As the forward function returned it. It stays as it is and can be used again.

    Returns
    -------
    dx : ndarray of the shape of x
    dgamma, dbeta : ndarray of the shape of gamma and beta, or None for one that wasn't given

    Raises
    ------
    ValueError
        If dy doesn't have the shape and dtype of x, or cache is of another function.

    Notes
    -----
    Ioffe & Szegedy (2015), section 3; `core.normalize_backward` has the formula.
    """
    dy = checked_gradient("norm_backward", dy, checked_cache("norm_backward", cache, NormCache))
    dx, dgamma, dbeta = cache.undo(dy.reshape(cache.core.xhat.shape), cache.core)
    dgamma, dbeta = (None if d is None else d.reshape(cache.affine_shape) for d in (dgamma, dbeta))
    return dx.reshape(cache.shape), dgamma, dbeta


def by_axes(
    name: str, x: Array, letters: str, shape: Shape, shared: str, gamma: Affine, beta: Affine, eps: float,
    mask: Array | None = None, affine: Shape | None = None, centre: bool = True,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Normalize x by a choice of axes, as the public function `name`.

    letters, shape, shared : those of `axes.layout`; axes without a letter are positions
    affine : the shape that gamma and beta must have; None: one number for each channel
    """
    how = layout(letters.ljust(len(shape), "P"), shape, shared)
    affine = x.shape[1:2] if affine is None else affine
    given = checked_affine(name, x, affine, gamma, beta)
    gamma, beta = (None if array is None else array.reshape(how.affine) for array in given)
    options = how.reduced, gamma, beta, float(eps), centre
    keep = checked_mask(name, x, mask)
    kept = tuple(n for axis, n in enumerate(how.shape) if axis not in how.reduced)
    core: Any
    undo: Any = normalize_backward
    count: Any = x.size // prod(kept)
    if keep is None:
        with np.errstate(over="ignore", invalid="ignore"):  # `normalize` repeats what overflows, scaled
            y, core = normalize(x.reshape(how.shape), *options)
    else:
        y, core = normalize_masked(x.reshape(how.shape), keep.reshape(how.shape), *options)
        undo, count = normalize_masked_backward, core.counts.reshape(kept)
    statistics = core.mean.reshape(kept), core.var.reshape(kept), count
    return y.reshape(x.shape), NormCache(*statistics, core, undo, x.shape, affine, x.dtype)


class RelativeCache(NamedTuple):
    """What a public function leaves for `relative_backward`; `mean` and `var` are None without statistics."""

    mean: Affine
    var: Affine
    core: Any
    key: str
    shape: Shape  # of x
    dtype: np.dtype[Any]
    given: dict[str, Shape]  # the learned parameters that were given


def relative_backward(dy: Array, cache: RelativeCache) -> tuple[Array, Named]:
    """Return the gradients of a norm that is more than a choice of axes, from that of its y.

    As `norm_backward`, but with the cache of `batch_renorm`, `running_norm`, `filter_response_norm` or
    `dynamic_tanh`, and with the gradients of the learned parameters that were given as a dict, by name:
    "gamma", "beta", "tau", "alpha".
    """
    name = "relative_backward"
    dy = checked_gradient(name, dy, checked_cache(name, cache, RelativeCache))
    dx, gradients = NORMS[cache.key].pair[1](_inward(dy), cache.core)
    return _outward(dx, cache.shape), {label: gradients[label].reshape(s) for label, s in cache.given.items()}


# Which backward function takes which cache, and a forward function that makes one.
BACKWARD = {
    "NormCache": ("norm_backward(dy, cache)", "y, cache = batch_norm(x), or frozen_batch_norm(x, mean, var)"),
    "RelativeCache": ("relative_backward(dy, cache)", "y, cache = dynamic_tanh(x)"),
    "ShardedCache": ("sharded_backward(dys, cache)", "ys, cache = sharded_batch_norm(xs)"),
}


def checked_cache(name: str, cache: Any, kind: type[Kind]) -> Kind:
    """Return a cache of this kind; of another one the error says which function takes it."""
    if not isinstance(cache, kind):
        received = type(cache).__name__
        likely = BACKWARD[received][0] if received in BACKWARD else BACKWARD[kind.__name__][1]
        raise ValueError(f"{name}: cache is a {received}, not a {kind.__name__}; try {likely}")
    return cache


def checked_gradient(name: str, dy: Array, x: Any) -> Array:
    """Return dy as an array of the shape and dtype that x had, which a cache knows."""
    fix = "pass the gradient of y together with the cache of the same call"
    return expected(name, "dy", dy, x.shape, x.dtype, fix, ("x had", "x had"))


NEUTRAL = {"gamma": 1.0, "beta": 0.0, "tau": -inf}  # what None means


def by_pair(
    key: str, name: str, x: Array, learned: dict[str, Any], options: dict[str, float], *running: Array
) -> tuple[Array, RelativeCache]:
    """Row `key` of `NORMS` in the layout of the public functions; `running`: mean and var, or nothing."""
    full: Named = {}
    given: dict[str, Shape] = {}
    for label, array in learned.items():
        if array is None and label in NEUTRAL:
            array = np.full(x.shape[1], NEUTRAL[label], x.dtype)
        else:
            array = plain_array(name, label, array)
            shape = x.shape[1:2] if label != "alpha" else (1,) if array.shape == (1,) else ()
            array = checked(name, label, array, x, shape, x.dtype)
            given[label] = shape
        full[label] = array.reshape(1, 1, 1, -1)
    statistics = None
    if running:
        given_statistics = checked_statistics(name, x, *running)
        statistics = [array.astype(x.dtype).reshape(1, 1, 1, -1) for array in given_statistics]
    y, core = NORMS[key].pair[0](_inward(x), full, SimpleNamespace(**options), statistics)
    mean, var = (core.mean.ravel(), core.var.ravel()) if statistics else (None, None)
    return _outward(y, x.shape), RelativeCache(mean, var, core, key, x.shape, x.dtype, given)


def _inward(a: Array) -> Array:
    """Bring (N, C, *spatial) to (1, N, P, C), in memory of its own: caches may refer to it."""
    return np.moveaxis(a.reshape(*a.shape[:2], -1), 1, 2)[None].copy()


def _outward(a: Array, shape: Shape) -> Array:
    """Bring (1, N, P, C) back to (N, C, *spatial)."""
    return np.ascontiguousarray(np.moveaxis(a[0], 2, 1)).reshape(shape)
