"""How the public functions call a norm's pair: into its layout and back, forward and backward.

The pairs work in the layout of the training engine, ``x`` of shape (R, N, P, C): R independent replicas, N
samples, P positions (1 in dense layers), C channels::

    y, cache = forward(x, learned, options, running)
    dx, gradients = backward(dy, cache)

``learned`` and ``gradients`` map names to arrays, gamma, beta and tau (R, 1, 1, C), alpha (R, 1, 1, 1).
``options`` has eps and the like as attributes. ``running`` is the running mean and variance before this step,
(R, 1, 1, C) each, or None. A cache with statistics of the batch has them as ``mean`` and ``var``. Pairs check
nothing, change no argument, and never mix replicas. A cache may refer to x, which must then stay unchanged
until the backward pass.

"""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .axes import layout
from .checks import checked
from .core import Cache, normalize, normalize_backward
from .statistics import Affine, Array, Shape, averager
from .table import NORMS

Named = dict[str, Array]
OVER = (1, 2)  # of (R, N, P, C): the batch and all positions


def mean_of(a: Array) -> Array:
    """Average a (R, N, P, C) over the batch and all positions."""
    return averager(a.shape, OVER, a.dtype)(a)


def total(a: Array) -> Array:
    """Sum a (R, N, P, C) over the batch and all positions."""
    found: Array = mean_of(a) * (a.shape[1] * a.shape[2])
    return found


class NormCache(NamedTuple):
    """What a public norm leaves for `norm_backward`; `mean` and biased `var` are what it used."""

    mean: Array
    var: Array
    core: Cache
    split: Shape  # the shape of x inside the core
    shape: Shape  # of x
    affine_shape: Shape


def norm_backward(dy: Array, cache: NormCache) -> tuple[Array, Affine, Affine]:
    """The gradients of every norm above, from the gradient of its y.

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
        If dy doesn't have the shape and dtype of x.

    Notes
    -----
    Ioffe & Szegedy (2015), section 3; `normalize_backward` has the formula.
    """
    if not isinstance(cache, NormCache):
        kind = type(cache).__name__
        raise ValueError(f"norm_backward: cache is a {kind}, not a NormCache; try y, cache = batch_norm(x)")
    dy, dtype = np.asarray(dy), cache.var.dtype
    if dy.shape != cache.shape:
        raise ValueError(
            f"norm_backward: dy has shape {dy.shape}, but x had {cache.shape}; "
            "pass the gradient of y together with the cache of the same call"
        )
    if dy.dtype != dtype:
        raise ValueError(
            f"norm_backward: dy has dtype {dy.dtype}, but x had {dtype}; try dy.astype(np.{dtype})"
        )
    dx, dgamma, dbeta = normalize_backward(dy.reshape(cache.split), cache.core)
    dgamma, dbeta = (None if d is None else d.reshape(cache.affine_shape) for d in (dgamma, dbeta))
    return dx.reshape(cache.shape), dgamma, dbeta


def by_axes(
    name: str, x: Array, letters: str, shape: Shape, shared: str, gamma: Affine, beta: Affine,
    affine: Shape, eps: float, centre: bool = True,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Normalize x by a choice of axes, as the public function `name`.

    `affine` is the shape that gamma and beta must have; letters, shape and shared are those of `axes.layout`.
    """
    how = layout(letters, shape, shared)
    gamma, beta = (
        None if array is None else checked(name, label, array, x, affine).reshape(how.affine)
        for label, array in (("gamma", gamma), ("beta", beta))
    )
    y, core = normalize(x.reshape(how.shape), how.reduced, gamma, beta, float(eps), centre)
    kept = tuple(n for axis, n in enumerate(how.shape) if axis not in how.reduced)
    cache = NormCache(core.mean.reshape(kept), core.var.reshape(kept), core, how.shape, x.shape, affine)
    return y.reshape(x.shape), cache


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
    """The gradients of every norm above but ghost batch norm, from the gradient of its y.

    As `norms.norm_backward`, except that the gradients of learned parameters are a dict, by name ("gamma",
    "beta", "tau", "alpha"), of those that were given.
    """
    if not isinstance(cache, RelativeCache):
        kind = type(cache).__name__
        likely = "norm_backward(dy, cache)" if kind == "NormCache" else "y, cache = dynamic_tanh(x)"
        raise ValueError(f"relative_backward: cache is a {kind}, not a RelativeCache; try {likely}")
    dy = np.asarray(dy)
    if dy.shape != cache.shape:
        raise ValueError(
            f"relative_backward: dy has shape {dy.shape}, but x had {cache.shape}; "
            "pass the gradient of y together with the cache of the same call"
        )
    if dy.dtype != cache.dtype:
        raise ValueError(
            f"relative_backward: dy has dtype {dy.dtype}, but x had {cache.dtype}; "
            f"try dy.astype(np.{cache.dtype})"
        )
    dx, gradients = NORMS[cache.key].pair[1](_inward(dy), cache.core)
    return _outward(dx, cache.shape), {label: gradients[label].reshape(s) for label, s in cache.given.items()}


NEUTRAL = {"gamma": 1.0, "beta": 0.0, "tau": -inf}  # what None means


def by_pair(
    key: str, name: str, x: Array, learned: dict[str, Any], options: dict[str, float], *running: Array
) -> tuple[Array, RelativeCache]:
    """Row `key` of `NORMS` in the layout of the public functions; `running`: mean and var, or nothing."""
    full: Named = {}
    given: dict[str, Shape] = {}
    for label, array in learned.items():
        shape = x.shape[1:2] if label != "alpha" else (1,) if np.shape(array) == (1,) else ()
        if array is None and label in NEUTRAL:
            array = np.full(shape, NEUTRAL[label], x.dtype)
        else:
            array = checked(name, label, array, x, shape)
            given[label] = shape
        full[label] = array.reshape(1, 1, 1, -1)
    statistics = [
        checked(name, label, array, x, x.shape[1:2]).reshape(1, 1, 1, -1)
        for label, array in zip(("mean", "var"), running, strict=False)
    ]
    if statistics and (statistics[1] < 0).any():
        least = statistics[1].min()
        raise ValueError(f"{name}: var contains {least}, but must not be negative; pass a variance")
    y, core = NORMS[key].pair[0](_inward(x), full, SimpleNamespace(**options), statistics or None)
    mean, var = (core.mean.ravel(), core.var.ravel()) if statistics else (None, None)
    return _outward(y, x.shape), RelativeCache(mean, var, core, key, x.shape, x.dtype, given)


def _inward(a: Array) -> Array:
    """(N, C, *spatial) -> (1, N, P, C)"""
    return np.ascontiguousarray(np.moveaxis(a.reshape(*a.shape[:2], -1), 1, 2))[None]


def _outward(a: Array, shape: Shape) -> Array:
    """(1, N, P, C) -> (N, C, *spatial)"""
    return np.ascontiguousarray(np.moveaxis(a[0], 2, 1)).reshape(shape)
