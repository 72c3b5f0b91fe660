"""Norms that are more than a choice of axes, as pairs and as public functions.

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

from math import inf, isfinite
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .checks import (
    checked,
    checked_cache,
    checked_gradient,
    checked_input,
    checked_momentum,
    checked_statistics,
    is_number,
    plain_array,
)
from .core import Cache, normalize, normalize_backward
from .given import OVER, total
from .statistics import Affine, Array, Shape, affine, averager, centre, rsqrt
from .table import NORMS, Norm

Named = dict[str, Array]
TanhCache = tuple[Array, Array, Array, Array]  # x, tanh, gamma, alpha


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
    dy = checked_gradient(name, dy, checked_cache(name, cache, RelativeCache).shape, cache.dtype)
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
        if array is None and label in NEUTRAL:
            array = np.full(x.shape[1], NEUTRAL[label], x.dtype)
        else:
            array = plain_array(name, label, array)
            shape = x.shape[1:2] if label != "alpha" else (1,) if array.shape == (1,) else ()
            array = checked(name, label, array, x, shape, x.dtype)
            given[label] = shape
        full[label] = array.reshape(1, 1, 1, -1)
    if running:
        running = tuple(a.astype(x.dtype).reshape(1, 1, 1, -1) for a in checked_statistics(name, x, *running))
    y, core = NORMS[key].pair[0](_inward(x), full, SimpleNamespace(**options), running)
    mean, var = (core.mean.ravel(), core.var.ravel()) if running else (None, None)
    return _outward(y, x.shape), RelativeCache(mean, var, core, key, x.shape, x.dtype, given)


def _inward(a: Array) -> Array:
    """Bring (N, C, *spatial) to (1, N, P, C), in memory of its own: caches may refer to it."""
    return np.moveaxis(a.reshape(*a.shape[:2], -1), 1, 2)[None].copy()


def _outward(a: Array, shape: Shape) -> Array:
    """Bring (1, N, P, C) back to (N, C, *spatial)."""
    return np.ascontiguousarray(np.moveaxis(a[0], 2, 1)).reshape(shape)


class RenormCache(NamedTuple):
    """What `renorm_forward` leaves for `renorm_backward`."""

    mean: Array
    var: Array
    core: Cache  # of the batch norm inside: its gamma is gamma * r
    r: Array
    d: Array


def renorm_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, RenormCache]:
    """Return ``gamma * (xhat * r + d) + beta`` and a cache (Ioffe 2017).

    r and d turn the batch's statistics into the running ones, but not further than `r_max` and `d_max` allow.
    """
    y, core = normalize(x, OVER, None, None, options.eps)
    rstd = rsqrt(running[1], options.eps)
    r = np.sqrt(core.var + options.eps) * rstd
    np.clip(r, 1 / options.r_max, options.r_max, out=r)
    d = (core.mean - running[0]) * rstd
    np.clip(d, -options.d_max, options.d_max, out=d)
    scale, shift = learned["gamma"] * r, learned["gamma"] * d + learned["beta"]
    affine(y, scale, shift, out=y)
    return y, RenormCache(core.mean, core.var, core._replace(gamma=scale, beta=shift), r, d)


def renorm_backward(dy: Array, cache: RenormCache) -> tuple[Array, Named]:
    """Return gradients with r and d as constants: those of batch norm with ``gamma * r`` for gamma."""
    dx, dscale, dshift = normalize_backward(dy, cache.core)
    assert dscale is not None and dshift is not None
    return dx, {"gamma": dscale * cache.r + dshift * cache.d, "beta": dshift}


class RunningCache(NamedTuple):
    """What `running_forward` leaves for `running_backward`."""

    mean: Array
    var: Array  # as `running_forward` says
    xhat: Array
    scale: Array  # gamma / sqrt(running variance + eps)


def running_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, RunningCache]:
    """Normalize by running statistics, as batch norm does at inference.

    ``cache.var`` is ``var_batch + momentum * (mean_batch - mean_running)**2``, so that the usual update,
    ``momentum * var_running + (1 - momentum) * cache.var``, is the variance of everything seen so far under
    exponentially decaying weights (Finch 2009; for one sample a step, Chiley et al. 2019).
    """
    mean, var = running
    rstd = rsqrt(var, options.eps)
    xhat = x - mean
    y, moved = centre(xhat, OVER)
    np.square(y, out=y)
    spread = averager(y.shape, OVER, y.dtype)(y) + options.momentum * np.square(moved)
    xhat *= rstd
    affine(xhat, learned["gamma"], learned["beta"], out=y)
    return y, RunningCache(mean + moved, spread, xhat, learned["gamma"] * rstd)


def running_backward(dy: Array, cache: RunningCache) -> tuple[Array, Named]:
    """Return gradients with the running statistics as constants, as `frozen_backward` does."""
    return dy * cache.scale, {"gamma": total(dy * cache.xhat), "beta": total(dy)}


class ResponseCache(NamedTuple):
    """What `response_forward` leaves for `response_backward`."""

    xhat: Array
    scale: Array  # gamma / sqrt(mean square + eps)
    kept: Array  # bool: where y is above the threshold, or at it


def response_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, ResponseCache]:
    """Return ``max(gamma * x / sqrt(mean(x**2) + eps) + beta, tau)`` and a cache (Singh & Krishnan 2020).

    The mean is over the positions of one channel of one sample.
    """
    axes = (2,) if x.shape[2] > 1 else ()
    y, core = normalize(x, axes, learned["gamma"], learned["beta"], options.eps, centre=False)
    kept = y >= learned["tau"]
    np.maximum(y, learned["tau"], out=y)
    return y, ResponseCache(core.xhat, core.rstd * learned["gamma"], kept)


def response_backward(dy: Array, cache: ResponseCache) -> tuple[Array, Named]:
    """Return gradients; where y is at the threshold exactly, they go to x, gamma and beta, not to tau."""
    xhat, scale, kept = cache
    g = dy * kept
    product = g * xhat
    gradients = {"gamma": total(product), "beta": total(g), "tau": total(dy - g)}
    if product.shape[2] > 1:
        product = averager(dy.shape, (2,), dy.dtype)(product)
    g -= xhat * product
    g *= scale
    return g, gradients


def tanh_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, TanhCache]:
    """Return ``gamma * tanh(alpha * x) + beta``, one alpha per layer, and a cache (Zhu et al. 2025)."""
    gamma, alpha = learned["gamma"], learned["alpha"]
    tanh = x * alpha
    np.tanh(tanh, out=tanh)
    return affine(tanh, gamma, learned["beta"]), (x, tanh, gamma, alpha)


def tanh_backward(dy: Array, cache: TanhCache) -> tuple[Array, Named]:
    """Return gradients; that of alpha, (R, 1, 1, 1), is summed over the whole layer."""
    x, tanh, gamma, alpha = cache
    product = dy * tanh
    gradients = {"gamma": total(product), "beta": total(dy)}
    product *= tanh
    np.subtract(dy, product, out=product)  # dy * (1 - tanh**2)
    # First within each channel, then over channels: in one product over (N, P, C) the last bit of a sum would
    # depend on the number of replicas.
    gradients["alpha"] = total(gamma * total(product * x), (3,))
    product *= alpha * gamma
    return product, gradients


def batch_renorm(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *,
    r_max: float = 3.0, d_max: float = 5.0, eps: float = 1e-5,
) -> tuple[Array, RelativeCache]:  # fmt: skip
    """Normalize as batch norm does, corrected towards the running statistics from before this batch.

    As `batch_norm`, but without a mask, and with running statistics as in `frozen_batch_norm`, rounded to the
    dtype of x. The cache is for `relative_backward`; its mean and biased var, of shape (C,), are the batch's.

    The scale is corrected by a factor of at most r_max >= 1, the shift by at most d_max >= 0 running standard
    deviations: 1 and 0 are batch norm, infinity gives what inference gives. ValueError if they are less.

    Ioffe (2017). The corrections are constants in the backward pass. The paper trains with 1 and 0 for 5000
    steps, and relaxes r_max to 3 until step 40000 and d_max to 5 until step 25000.
    """
    x = checked_input("batch_renorm", x, eps)
    for label, value, least, usual in (("r_max", r_max, 1, 3.0), ("d_max", d_max, 0, 5.0)):
        if not (is_number(value) and value >= least):
            raise ValueError(f"batch_renorm: {label}={value!r} must be at least {least}; try {usual}")
    options = {"eps": float(eps), "r_max": float(r_max), "d_max": float(d_max)}
    return by_pair("renorm", "batch_renorm", x, {"gamma": gamma, "beta": beta}, options, mean, var)


def running_norm(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *,
    momentum: float = 0.9, eps: float = 1e-5,
) -> tuple[Array, RelativeCache]:  # fmt: skip
    """Normalize by running statistics in training, too: it needs no more than one sample at a time.

    As `batch_renorm`, except for `momentum`, the weight of the OLD value in [0, 1): 0.9 is PyTorch's 0.1.
    ``momentum * var + (1 - momentum) * cache.var`` is the exponentially weighted variance, without a factor
    m / (m - 1).

    The gradient knows nothing of the statistics, so that a step can undo the normalization it counts on: what
    Ioffe & Szegedy (2015), section 2, and Ioffe (2017) warn of.
    """
    x = checked_input("running_norm", x, eps)
    options = {"eps": float(eps), "momentum": checked_momentum("running_norm", momentum)}
    return by_pair("running", "running_norm", x, {"gamma": gamma, "beta": beta}, options, mean, var)


def filter_response_norm(
    x: Array, tau: Affine = None, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-6
) -> tuple[Array, RelativeCache]:
    """Divide every channel of every sample by its root mean square, then apply a threshold.

    x, gamma, beta, eps, y and errors as in `batch_norm`; tau is an ndarray of shape (C,) and the dtype of x.
    y is nowhere below it; None means no threshold, 0 the ReLU that training starts from. Without spatial axes
    every mean has one element, and for a small `eps` y depends on little but the sign of x. The cache is for
    `relative_backward`; it has no mean and no var.

    Singh & Krishnan (2020): filter response normalization and its thresholded linear unit.
    """
    x = checked_input("filter_response_norm", x, eps)
    learned = {"gamma": gamma, "beta": beta, "tau": tau}
    return by_pair("frn", "filter_response_norm", x, learned, {"eps": float(eps)})


def dynamic_tanh(
    x: Array, alpha: Any = 0.5, gamma: Affine = None, beta: Affine = None
) -> tuple[Array, RelativeCache]:
    """Return ``gamma * tanh(alpha * x) + beta``: no statistics at all.

    x, gamma, beta, y and errors as in `batch_norm`; alpha, a float or an ndarray of shape () or (1,) and the
    dtype of x, is one for the whole layer, and its gradient has the same shape. The cache is for
    `relative_backward`; it has no mean and no var.

    Zhu et al. (2025), as a replacement of layer norm in transformers; there alpha starts at 0.5.
    """
    x = checked_input("dynamic_tanh", x, 0)
    if is_number(alpha) or alpha is None:
        if alpha is None or not isfinite(alpha):
            raise ValueError(f"dynamic_tanh: alpha={alpha!r} must be finite; try 0.5")
        alpha = np.array(alpha, x.dtype)
    return by_pair("dyt", "dynamic_tanh", x, {"gamma": gamma, "beta": beta, "alpha": alpha}, {})


NORMS |= {
    "renorm": Norm(
        batch_renorm, "batch renorm", "each channel, over the batch, corrected towards those before it",
        pair=(renorm_forward, renorm_backward), options=("eps", "r_max", "d_max"), running=True,
        about="Batch norm whose mean and standard deviation are corrected towards the running ones, as far "
        "as r max and d max allow.",
        use="Use it with batches of 4 to 16; of two numbers in a dense layer its gradient is zero as well. "
        "Its limits have to be chosen; its authors raise them in the course of training.",
    ),
    "running": Norm(
        running_norm, "running-average norm", "each channel, over the batches before",
        pair=(running_forward, running_backward), options=("eps", "momentum"), running=True, weighted=True,
        about="Each channel is normalized with running averages over earlier batches, in training as at "
        "inference.",
        use="Use it where samples come one at a time. No gradient flows through the statistics, so a step "
        "can undo the normalization and training can diverge.",
    ),
    "frn": Norm(
        filter_response_norm, "filter response norm",
        "each channel of each sample, over its positions, uncentred",
        pair=(response_forward, response_backward), learned=("gamma", "beta", "tau"), activates=True,
        about="Each channel of each sample is divided by its root mean square over the positions; a learned "
        "threshold τ replaces the activation.",
        use="Use it in convolutional networks with small batches. Without positions little more than the "
        "sign of each number is left.",
    ),
    "dyt": Norm(
        dynamic_tanh, "dynamic tanh", "nothing: each number goes through a tanh by itself",
        pair=(tanh_forward, tanh_backward), learned=("gamma", "beta", "alpha"), scalars=("alpha",),
        options=(),
        about="No statistics: each number x becomes γ · tanh(α x) + β, with one learned α per layer.",
        use="Use it to replace layer norm in transformers. The start value of α has to suit, and a later "
        "preprint reports that it helps only where data are scarce.",
    ),
}  # fmt: skip
