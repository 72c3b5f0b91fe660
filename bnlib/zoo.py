"""Relatives of batch norm that are more than a choice of axes: one pair of functions each, and a row of
`NORMS`.

The pairs work in the layout of the training engine, ``x`` of shape (R, N, P, C): R independent replicas, N
samples, P positions (1 in dense layers), C channels::

    y, cache = forward(x, learned, options, running)
    dx, gradients = backward(dy, cache)

``learned`` and ``gradients`` map names to arrays, gamma, beta and tau (R, 1, 1, C), alpha (R, 1, 1, 1).
``options`` has eps and the like as attributes. ``running`` is the running mean and variance before this step,
(R, 1, 1, C) each, or None. A cache with statistics of the batch has them as ``mean`` and ``var``. Pairs check
nothing, change no argument, and never mix replicas. A cache may refer to x, which must then stay unchanged
until the backward pass.

The public functions below the pairs are made like those of `norms`: channels on axis 1, ``(N, C, *spatial)``.
"""

from __future__ import annotations

from math import inf, isfinite
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from . import stats
from .norms import (
    Affine,
    Cache,
    Norm,
    NormCache,
    Shape,
    _checked,
    _input,
    _rsqrt,
    normalize,
    normalize_backward,
)
from .stats import Array, averager

Named = dict[str, Array]
OVER = (1, 2)  # of (R, N, P, C): the batch and all positions


def _mean(a: Array) -> Array:
    return averager(a.shape, OVER, a.dtype)(a)


def _sum(a: Array) -> Array:
    total: Array = _mean(a) * (a.shape[1] * a.shape[2])
    return total


class RenormCache(NamedTuple):
    mean: Array
    var: Array
    core: Cache  # of the batch norm inside: its gamma is gamma * r
    r: Array
    d: Array


def renorm_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, RenormCache]:
    """``gamma * (xhat * r + d) + beta``: r and d turn the batch's statistics into the running ones, but not
    further than ``r_max`` and ``d_max`` allow (Ioffe 2017)."""
    y, core = normalize(x, OVER, None, None, options.eps)
    rstd = _rsqrt(running[1], options.eps)
    r = np.sqrt(core.var + options.eps) * rstd
    np.clip(r, 1 / options.r_max, options.r_max, out=r)
    d = (core.mean - running[0]) * rstd
    np.clip(d, -options.d_max, options.d_max, out=d)
    scale, shift = learned["gamma"] * r, learned["gamma"] * d + learned["beta"]
    y *= scale
    y += shift
    return y, RenormCache(core.mean, core.var, core._replace(gamma=scale, beta=shift), r, d)


def renorm_backward(dy: Array, cache: RenormCache) -> tuple[Array, Named]:
    """Gradients with r and d as constants: those of batch norm with ``gamma * r`` for gamma."""
    dx, dscale, dshift = normalize_backward(dy, cache.core)
    assert dscale is not None and dshift is not None
    return dx, {"gamma": dscale * cache.r + dshift * cache.d, "beta": dshift}


class RunningCache(NamedTuple):
    mean: Array
    var: Array  # around a point between the old mean and the batch's, see `running_forward`
    xhat: Array
    scale: Array  # gamma / sqrt(running variance + eps)


def running_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, RunningCache]:
    """Batch norm's inference, in training.

    ``cache.var`` is ``var_batch + momentum * (mean_batch - mean_running)**2``, so that the usual update,
    ``momentum * var_running + (1 - momentum) * cache.var``, is the variance of everything seen so far under
    exponentially decaying weights (Finch 2009; for one sample a step, Chiley et al. 2019).
    """
    mean, var = running
    rstd = _rsqrt(var, options.eps)
    xhat = x - mean
    y, moved = stats.centre(xhat, OVER)
    np.square(y, out=y)
    spread = _mean(y) + options.momentum * np.square(moved)
    xhat *= rstd
    np.multiply(xhat, learned["gamma"], out=y)
    y += learned["beta"]
    return y, RunningCache(mean + moved, spread, xhat, learned["gamma"] * rstd)


def running_backward(dy: Array, cache: RunningCache) -> tuple[Array, Named]:
    """Gradients with the running statistics as constants: ``dx`` is ``dy`` scaled."""
    return dy * cache.scale, {"gamma": _sum(dy * cache.xhat), "beta": _sum(dy)}


class ResponseCache(NamedTuple):
    xhat: Array
    scale: Array  # gamma / sqrt(mean square + eps)
    kept: Array  # bool: where y is above the threshold, or at it


def response_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, ResponseCache]:
    """``max(gamma * x / sqrt(mean(x**2) + eps) + beta, tau)``, the mean over the positions of one channel of
    one sample (Singh & Krishnan 2020)."""
    axes = (2,) if x.shape[2] > 1 else ()
    y, core = normalize(x, axes, learned["gamma"], learned["beta"], options.eps, centre=False)
    kept = y >= learned["tau"]
    np.maximum(y, learned["tau"], out=y)
    assert core.xhat is not None
    return y, ResponseCache(core.xhat, core.rstd * learned["gamma"], kept)


def response_backward(dy: Array, cache: ResponseCache) -> tuple[Array, Named]:
    """Gradients. Where y is at the threshold exactly they go to x, gamma and beta, not to tau."""
    xhat, scale, kept = cache
    g = dy * kept
    product = g * xhat
    gradients = {"gamma": _sum(product), "beta": _sum(g), "tau": _sum(dy - g)}
    if product.shape[2] > 1:
        product = averager(dy.shape, (2,), dy.dtype)(product)
    g -= xhat * product
    g *= scale
    return g, gradients


class TanhCache(NamedTuple):
    x: Array
    tanh: Array
    gamma: Array
    alpha: Array


def tanh_forward(x: Array, learned: Named, options: Any, running: Any) -> tuple[Array, TanhCache]:
    """``gamma * tanh(alpha * x) + beta``, one alpha per layer (Zhu et al. 2025)."""
    gamma, alpha = learned["gamma"], learned["alpha"]
    tanh = x * alpha
    np.tanh(tanh, out=tanh)
    y = tanh * gamma
    y += learned["beta"]
    return y, TanhCache(x, tanh, gamma, alpha)


def tanh_backward(dy: Array, cache: TanhCache) -> tuple[Array, Named]:
    x, tanh, gamma, alpha = cache
    product = dy * tanh
    gradients = {"gamma": _sum(product), "beta": _sum(dy)}
    product *= tanh
    np.subtract(dy, product, out=product)  # dy * (1 - tanh**2)
    # First within each channel, then over channels: in one product over (N, P, C) the last bit of a sum would
    # depend on the number of replicas.
    by_channel = gamma * _sum(product * x)
    over_channels = averager(by_channel.shape, (3,), by_channel.dtype)
    gradients["alpha"] = over_channels(by_channel) * by_channel.shape[3]
    product *= alpha * gamma
    return product, gradients


class RelativeCache(NamedTuple):
    """What a public function leaves for `relative_backward`; `mean` and `var` are None without statistics."""

    mean: Affine
    var: Affine
    core: Any
    key: str
    shape: Shape  # of x
    dtype: np.dtype[Any]
    given: dict[str, Shape]  # the learned parameters that were given


def batch_renorm(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *,
    r_max: float = 3.0, d_max: float = 5.0, eps: float = 1e-5,
) -> tuple[Array, RelativeCache]:  # fmt: skip
    """Batch norm, corrected towards the running `mean` and `var` from before this batch.

    As `norms.batch_norm`, except that `relative_backward` takes the cache. `mean` and `var >= 0` have shape
    (C,) and the dtype of x; `cache.mean` and the biased `cache.var` are the batch's. The scale is corrected
    by a factor of at most `r_max >= 1`, the shift by at most `d_max >= 0` running standard deviations: 1 and
    0 are batch norm, infinity gives what inference gives.

    Notes
    -----
    Ioffe (2017). The corrections are constants in the backward pass. The paper trains with 1 and 0 for 5000
    steps, and relaxes r_max to 3 until step 40000 and d_max to 5 until step 25000.
    """
    x = _input("batch_renorm", x, eps)
    for label, value, least, usual in (("r_max", r_max, 1, 3.0), ("d_max", d_max, 0, 5.0)):
        if not (isinstance(value, Real) and value >= least):
            raise ValueError(f"batch_renorm: {label}={value!r} must be at least {least}; try {usual}")
    options = {"eps": float(eps), "r_max": float(r_max), "d_max": float(d_max)}
    return _apply("renorm", "batch_renorm", x, {"gamma": gamma, "beta": beta}, options, mean, var)


def running_norm(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *,
    momentum: float = 0.9, eps: float = 1e-5,
) -> tuple[Array, RelativeCache]:  # fmt: skip
    """Normalize by running statistics in training, too: it needs no more than one sample at a time.

    As `batch_renorm`, except for `cache.var`, which makes ``momentum * var + (1 - momentum) * cache.var``
    the exponentially weighted variance, without a factor m / (m - 1). `momentum` is the weight of the OLD
    value, in [0, 1): 0.9 is PyTorch's 0.1.

    Notes
    -----
    The gradient knows nothing of the statistics, so that a step can undo the normalization it counts on:
    what Ioffe & Szegedy (2015), section 2, and Ioffe (2017) warn of.
    """
    x = _input("running_norm", x, eps)
    if not (isinstance(momentum, Real) and 0 <= momentum < 1):
        raise ValueError(
            f"running_norm: momentum={momentum!r} must lie in [0, 1); it weighs the OLD value, so 0.9 here "
            "is PyTorch's 0.1"
        )
    options = {"eps": float(eps), "momentum": float(momentum)}
    return _apply("running", "running_norm", x, {"gamma": gamma, "beta": beta}, options, mean, var)


def filter_response_norm(
    x: Array, tau: Affine = None, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-6
) -> tuple[Array, RelativeCache]:
    """Divide every channel of every sample by its root mean square, then apply a threshold.

    As `batch_renorm`, without statistics: y is nowhere below `tau`, of shape (C,); None means no threshold,
    0 the ReLU that training starts from. Without spatial axes every mean has one element, and for a small
    `eps` y depends on little but the sign of x.

    Notes
    -----
    Singh & Krishnan (2020): filter response normalization and its thresholded linear unit.
    """
    x = _input("filter_response_norm", x, eps)
    learned = {"gamma": gamma, "beta": beta, "tau": tau}
    return _apply("frn", "filter_response_norm", x, learned, {"eps": float(eps)})


def dynamic_tanh(
    x: Array, alpha: Any = 0.5, gamma: Affine = None, beta: Affine = None
) -> tuple[Array, RelativeCache]:
    """``gamma * tanh(alpha * x) + beta``: no statistics at all.

    As `batch_renorm` otherwise. `alpha`, one for the whole layer, is a number or an array of shape () or
    (1,), which its gradient has, too. The cache refers to x, which must stay unchanged until the backward
    pass.

    Notes
    -----
    Zhu et al. (2025), as a replacement of layer norm in transformers; there alpha starts at 0.5.
    """
    x = _input("dynamic_tanh", x, 0)
    if isinstance(alpha, Real):
        if not isfinite(alpha):
            raise ValueError(f"dynamic_tanh: alpha={alpha!r} must be finite; try 0.5")
        alpha = np.array(alpha, x.dtype)
    return _apply("dyt", "dynamic_tanh", x, {"gamma": gamma, "beta": beta, "alpha": alpha}, {})


def ghost_batch_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, size: int, eps: float = 1e-5
) -> tuple[Array, NormCache]:
    """Batch norm of `size` samples at a time, which must divide N.

    As `norms.batch_norm`, and with `norms.norm_backward`. Samples i, i + N / size, i + 2 N / size and so on
    are ghost batch i, whose statistics are row i of `cache.mean` and `cache.var`, (N / size, C).

    Notes
    -----
    Hoffer, Hubara & Soudry (2017). In their code a ghost batch is a run of neighbouring samples instead.
    """
    name = "ghost_batch_norm"
    x = _input(name, x, eps)
    divisors = [n for n in range(1, len(x) + 1) if len(x) % n == 0]
    if not isinstance(size, Integral) or size not in divisors:
        likely = " or ".join(", ".join(map(str, divisors)).rsplit(", ", 1))
        raise ValueError(f"{name}: size={size!r} does not divide {len(x)} samples; try {likely}")
    split = (int(size), len(x) // int(size), *x.shape[1:])
    view = (1, 1, x.shape[1], *(1,) * (x.ndim - 2))
    gamma, beta = (
        None if array is None else _checked(name, label, array, x, x.shape[1:2]).reshape(view)
        for label, array in (("gamma", gamma), ("beta", beta))
    )
    y, core = normalize(x.reshape(split), (0, *range(3, len(split))), gamma, beta, float(eps))
    mean, var = core.mean.reshape(split[1:3]), core.var.reshape(split[1:3])
    return y.reshape(x.shape), NormCache(mean, var, core, split, x.shape, x.shape[1:2])


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


def _apply(
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
            array = _checked(name, label, array, x, shape)
            given[label] = shape
        full[label] = array.reshape(1, 1, 1, -1)
    statistics = [
        _checked(name, label, array, x, x.shape[1:2]).reshape(1, 1, 1, -1)
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


NORMS = {
    "ghost": Norm(
        ghost_batch_norm, "ghost batch norm", "each channel, over a part of the batch and all positions",
        "NP", options=("eps", "norm_batch"), running=True, together=8,
        about="Batch norm of parts of the batch: each part has a mean and a standard deviation of its own.",
        use="Use it with large batches, where noisier statistics can regularize. In this lab’s experiments "
        "it reduced errors clearly only under label noise.",
    ),
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
        about="Each channel of each sample is divided by its root mean square over the positions; a "
        "learned threshold τ replaces the activation.",
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
