"""Normalization: every norm is a choice of the elements that share a mean and a variance.

One pair, `normalize` and `normalize_backward`, computes all of them. The public functions below the
pair check their input, choose the axes and call it; `NORMS` is their table.

All take and return float32 or float64 arrays with the channels on axis 1, ``(N, C, *spatial)`` with any
number of spatial axes, never change an argument, and raise ValueError with the received value, the rule
and a likely fix when a shape, a dtype or an option is wrong. Where ``var + eps`` is 0, that is, for a
constant feature and ``eps=0``, x-hat and the gradients are 0 by convention.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from . import stats
from .stats import Array, Axes, averager

# Arrays with more elements than LARGE are worked through in blocks that stay in a core's L2 cache.
LARGE = 1 << 16
BLOCK_BYTES = 1 << 17

Shape = tuple[int, ...]
Affine = Array | None  # gamma or beta, or the gradient of one


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
    if x.size > LARGE and axes[:1] == (0,) and centre and _layout(x, axes, gamma, beta)[0]:
        return _normalize_in_blocks(x, axes, gamma, beta, eps)
    average = averager(x.shape, axes, x.dtype)
    xhat, mean = stats.centre(x, axes) if centre else (x.copy(), None)
    y = np.square(xhat)  # y's memory serves twice
    var = average(y)
    rstd = _rsqrt(var, eps)
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
    xhat, rstd, _, _, gamma, beta, axes, centre, _ = cache
    if xhat is None:
        return _backward_in_blocks(dy, cache)
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


def _rsqrt(var: Array, eps: float) -> Array:
    std = var + eps
    np.sqrt(std, out=std)
    if eps < 1e-37:  # 0 in float32
        return np.divide(1, std, out=np.zeros_like(std), where=std != 0)
    return np.reciprocal(std, out=std)


def _blocks(x: Array) -> list[slice]:
    rows = max(1, BLOCK_BYTES * len(x) // x.nbytes)
    return [slice(start, start + rows) for start in range(0, len(x), rows)]


def _wide(block: Array, *small: Array) -> list[Array]:
    """Each small array written out to a block: NumPy is twice as fast on equal shapes."""
    return [np.broadcast_to(array, block.shape).copy() for array in small]


def _normalize_in_blocks(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: float
) -> tuple[Array, Cache]:
    """`normalize` for a large array with axis 0 among `axes`: x is read twice, y written once.

    The origin, the mean of the first block, is subtracted before squaring, and what it is off by is
    corrected for: ``var = mean((x - origin)**2) - mean(x - origin)**2`` (the corrected two-pass algorithm
    of Chan, Golub & LeVeque, 1983). Rounding grows at most by the number of blocks, whatever the mean.
    """
    blocks = _blocks(x)
    origin = stats.centre(x[blocks[0]], axes)[1]
    (wide_origin,) = _wide(x[blocks[0]], origin)
    scratch = np.empty_like(wide_origin)
    offset, square = np.zeros_like(origin), np.zeros_like(origin)
    for rows in blocks:
        n = len(x[rows])
        average = averager(x[rows].shape, axes, x.dtype)
        shifted = np.subtract(x[rows], wide_origin[:n], out=scratch[:n])
        offset += n / len(x) * average(shifted)
        np.square(shifted, out=shifted)
        square += n / len(x) * average(shifted)
    var = np.maximum(square - np.square(offset), 0)
    rstd = _rsqrt(var, eps)
    scale = rstd if gamma is None else rstd * gamma
    shift = -offset * scale if beta is None else beta - offset * scale
    wide_scale, wide_shift = _wide(scratch, scale, shift)
    y = np.empty(x.shape, x.dtype)
    for rows in blocks:
        n = len(x[rows])
        out = np.subtract(x[rows], wide_origin[:n], out=y[rows])
        out *= wide_scale[:n]
        out += wide_shift[:n]
    source = (x, origin, offset)
    return y, Cache(None, rstd, origin + offset, var, gamma, beta, axes, True, source)


def _backward_in_blocks(dy: Array, cache: Cache) -> tuple[Array, Affine, Affine]:
    """`normalize_backward` after `_normalize_in_blocks`: ``xhat = (x - origin - offset) * rstd``."""
    assert cache.source is not None
    (x, origin, offset), rstd, gamma, axes = cache.source, cache.rstd, cache.gamma, cache.axes
    blocks = _blocks(x)
    (wide_origin,) = _wide(x[blocks[0]], origin)
    scratch = np.empty_like(wide_origin)
    mean_dy, mean_product = np.zeros_like(rstd), np.zeros_like(rstd)
    for rows in blocks:
        n = len(x[rows])
        average = averager(x[rows].shape, axes, x.dtype)
        mean_dy += n / len(x) * average(dy[rows])
        product = np.subtract(x[rows], wide_origin[:n], out=scratch[:n])
        product *= dy[rows]
        mean_product += n / len(x) * average(product)
    mean_dy_xhat = (mean_product - offset * mean_dy) * rstd
    # dx = scale * (dy - mean_dy - xhat * mean_dy_xhat) = scale * dy - (slope * (x - origin) + level)
    scale = rstd if gamma is None else rstd * gamma
    slope = scale * rstd * mean_dy_xhat
    wide_scale, wide_slope, wide_level = _wide(scratch, scale, slope, scale * mean_dy - slope * offset)
    dx = np.empty(x.shape, x.dtype)
    for rows in blocks:
        n = len(x[rows])
        removed = np.subtract(x[rows], wide_origin[:n], out=scratch[:n])
        removed *= wide_slope[:n]
        removed += wide_level[:n]
        out = np.multiply(dy[rows], wide_scale[:n], out=dx[rows])
        out -= removed
    return dx, _sum(mean_dy_xhat, dy, gamma), _sum(mean_dy, dy, cache.beta)


class NormCache(NamedTuple):
    """What a public norm leaves for `norm_backward`; `mean` and biased `var` are what it used."""

    mean: Array
    var: Array
    core: Cache
    split: Shape  # the shape of x inside the core
    shape: Shape  # of x
    affine_shape: Shape


def batch_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> tuple[Array, NormCache]:
    """Normalize every channel over the batch and all positions.

    Parameters
    ----------
    x : ndarray of shape (N, C, *spatial), float32 or float64
    gamma, beta : ndarray of shape (C,), dtype of x, optional
        Scale and shift; None means 1 and 0.
    eps : float >= 0
        Added to the variance, in units of x squared.

    Returns
    -------
    y : ndarray of the shape of x
    cache : NormCache
        For `norm_backward`. `cache.mean` and the biased `cache.var` have shape (C,). For a large array
        it refers to x, which must then stay unchanged until the backward pass.

    Raises
    ------
    ValueError
        If a shape, a dtype or eps breaks the above.

    Notes
    -----
    Ioffe & Szegedy (2015), Algorithm 1. With one element per channel y is exactly beta, and dx is 0.

    Examples
    --------
    >>> y, cache = batch_norm(np.array([[1.0], [2.0], [3.0], [4.0]]), eps=0.0)
    >>> y.ravel().round(6).tolist(), cache.var.tolist()
    ([-1.341641, -0.447214, 0.447214, 1.341641], [1.25])
    """
    x = _input("batch_norm", x, eps)
    return _apply("batch", x, gamma, beta, eps, x.shape)


def layer_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5, axis: int = 1
) -> tuple[Array, NormCache]:
    """Normalize every sample over its axes from `axis` to the last.

    As `batch_norm`, except that `gamma` and `beta` have shape ``x.shape[axis:]``, and `cache.mean` and
    `cache.var` have ``x.shape[:axis]``. `axis` may be negative; axis 0 is the batch and not allowed.

    Notes
    -----
    Ba, Kiros & Hinton (2016), equation 3; gamma is their gain, beta their bias.
    """
    x = _input("layer_norm", x, eps)
    axis = _axis("layer_norm", x, axis)
    return _apply("layer", x, gamma, beta, eps, x.shape, axis, x.ndim)


def rms_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5, axis: int = 1
) -> tuple[Array, NormCache]:
    """Divide every sample by the root mean square of its axes from `axis` to the last.

    `layer_norm` without centring, shapes as there: `cache.mean` is 0, `cache.var` the mean square.

    Notes
    -----
    Zhang & Sennrich (2019), equation 4, with eps inside the root. Theirs has no beta.
    """
    x = _input("rms_norm", x, eps)
    axis = _axis("rms_norm", x, axis)
    return _apply("rms", x, gamma, beta, eps, x.shape, axis, x.ndim)


def group_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, groups: int, eps: float = 1e-5
) -> tuple[Array, NormCache]:
    """Normalize every sample over each of `groups` runs of neighbouring channels and all positions.

    As `batch_norm`, except that `cache.mean` and `cache.var` have shape (N, groups); `groups` divides C.
    One group shares its statistics as `layer_norm` does, C groups as `instance_norm` does.

    Notes
    -----
    Wu & He (2018), equation 7.
    """
    x = _input("group_norm", x, eps)
    channels = x.shape[1]
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    if not isinstance(groups, Integral) or groups not in divisors:
        likely = " or ".join(", ".join(map(str, divisors)).rsplit(", ", 1))
        raise ValueError(f"group_norm: groups={groups!r} does not divide {channels} channels; try {likely}")
    split = (len(x), int(groups), channels // int(groups), *x.shape[2:])
    return _apply("group", x, gamma, beta, eps, split, stop=3)


def instance_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> tuple[Array, NormCache]:
    """Normalize every channel of every sample over its positions.

    As `batch_norm`, except that `cache.mean` and `cache.var` have shape (N, C). Without spatial axes
    every mean has one element, and y is beta.

    Notes
    -----
    Ulyanov, Vedaldi & Lempitsky (2016).
    """
    x = _input("instance_norm", x, eps)
    return _apply("instance", x, gamma, beta, eps, x.shape)


def batch_norm_inference(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> Array:
    """Batch norm with given statistics: a fixed affine map for every channel.

    As `batch_norm`, with `mean` and `var >= 0` of shape (C,) and the dtype of x: running statistics or
    any others. Returns y alone.

    Notes
    -----
    Ioffe & Szegedy (2015), Algorithm 2, step 11.
    """
    name = "batch_norm_inference"
    x = _input(name, x, eps)
    shape, view = x.shape[1:2], (1, x.shape[1], *(1,) * (x.ndim - 2))
    mean, var = (_checked(name, label, array, x, shape) for label, array in (("mean", mean), ("var", var)))
    if (var < 0).any():
        raise ValueError(f"{name}: var contains {var.min()}, but must not be negative; pass a variance")
    scale = _rsqrt(var, float(eps))
    if gamma is not None:
        scale *= _checked(name, "gamma", gamma, x, shape)
    y = x - mean.reshape(view)
    y *= scale.reshape(view)
    if beta is not None:
        y += _checked(name, "beta", beta, x, shape).reshape(view)
    return y


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


class Norm(NamedTuple):
    """A row of the table of norms. What a norm doesn't have keeps its default.

    forward : the public function
    label, summary : what it is called, and which elements share what
    shared : for a choice of axes, what shares a mean and a variance: samples "N", positions "P", channels "C"
        (those of one group, if it has ``groups``)
    centre : whether the mean is subtracted
    pair : forward and backward of any other norm of activations, in the engine's layout: see `zoo`; of one of
        weights: see `weights`
    learned : names of its learned parameters; those in ``scalars`` a layer has one of, not one a channel
    options : fields of `RunConfig` that are its own: the page shows them only where such a norm is
    running : it keeps running statistics, and is in inference the affine map that batch norm is
    weighted : the variance that it leaves for them is a weighted average's, and isn't made unbiased
    together : so many samples share their statistics where ``norm_batch`` doesn't say; 0: all of a batch
    weights : it normalizes weights, not activations
    vector : of weights: it keeps a vector u, warm from step to step
    activates : it brings an activation of its own, and the network's is left out
    start : of weights: the learned gain that leaves given weights as they are
    about, use : a sentence for the page on what it does, and one on when to use it and where that ends
    """

    forward: Callable[..., Any]
    label: str
    summary: str
    shared: str = ""
    centre: bool = True
    pair: Any = None  # (forward, backward)
    learned: tuple[str, ...] = ("gamma", "beta")
    scalars: tuple[str, ...] = ()
    options: tuple[str, ...] = ("eps",)
    running: bool = False
    weighted: bool = False
    together: int = 0
    weights: bool = False
    vector: bool = False
    activates: bool = False
    start: Callable[[Array], Array] | None = None
    about: str = ""
    use: str = ""


NORMS = {
    "batch": Norm(
        batch_norm, "batch norm", "each channel, over the batch and all positions", "NP",
        options=("eps", "norm_batch"), running=True,
        about="Each unit, or in a convolution each channel, has its mean subtracted and is divided by its "
        "standard deviation, both taken over the batch and all positions.",
        use="Use it in convolutional networks with 16 or more samples per GPU. Smaller batches make its "
        "statistics noisy, and at inference it needs running averages.",
    ),
    "layer": Norm(
        layer_norm, "layer norm", "each sample, over all its features", "PC",
        about="Each sample has the mean of all its features subtracted and is divided by their standard "
        "deviation.",
        use="Use it in transformers and recurrent networks, with batches of any size. In convolutional "
        "networks it is often less accurate than batch norm or group norm.",
    ),
    "group": Norm(
        group_norm, "group norm", "each sample, over groups of channels and all positions", "PC",
        options=("eps", "groups"),
        about="The channels of each sample are divided into groups; each group has a mean and a standard "
        "deviation over its channels and all positions.",
        use="Use it in convolutional networks with small batches. With large batches batch norm is often "
        "slightly more accurate.",
    ),
    "instance": Norm(
        instance_norm, "instance norm", "each channel of each sample, over its positions", "P",
        about="Each channel of each sample has a mean and a standard deviation over its positions.",
        use="Use it to transfer the style of images. It removes each image’s contrast, which a classifier "
        "may need, and without positions it gives β for every input.",
    ),
    "rms": Norm(
        rms_norm, "RMS norm", "each sample, over all its features, uncentred", "PC", centre=False,
        about="Each sample is divided by the root mean square of all its features; no mean is subtracted.",
        use="Use it in transformers instead of layer norm: it computes less. It doesn’t undo a shift that "
        "all features share.",
    ),
}  # fmt: skip


def shared_axes(shared: str, ndim: int, groups: bool = False) -> Axes:
    """Which axes of (N, C, *spatial), in groups of (N, groups, C / groups, *spatial), are `shared`."""
    channel = 1 + groups
    found = {"N": (0,), "C": (channel,), "P": tuple(range(channel + 1, ndim))}
    return tuple(sorted(axis for kind in shared for axis in found[kind]))


def _apply(
    name: str, x: Array, gamma: Affine, beta: Affine, eps: float, split: Shape, axis: int = 1, stop: int = 2
) -> tuple[Array, NormCache]:
    """Row `name` of `NORMS` on x seen in shape `split`, whose axes from `axis` to `stop` gamma has."""
    norm = NORMS[name]
    axes = shared_axes(norm.shared, len(split), len(split) > x.ndim)
    if axis > 1:
        axes = tuple(range(axis, len(split)))
    view = tuple(n if axis <= a < stop else 1 for a, n in enumerate(split))
    shape = x.shape[axis : stop + x.ndim - len(split)]
    gamma, beta = (
        None if array is None else _checked(f"{name}_norm", label, array, x, shape).reshape(view)
        for label, array in (("gamma", gamma), ("beta", beta))
    )
    y, core = normalize(x.reshape(split), axes, gamma, beta, float(eps), norm.centre)
    kept = tuple(n for a, n in enumerate(split) if a not in axes)
    cache = NormCache(core.mean.reshape(kept), core.var.reshape(kept), core, split, x.shape, shape)
    return y.reshape(x.shape), cache


def _input(name: str, x: Array, eps: float) -> Array:
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name}: x has dtype {x.dtype}, not float32 or float64; try x.astype(np.float32)")
    if x.ndim < 2:
        raise ValueError(
            f"{name}: x has shape {x.shape}, but needs (N, C, *spatial); "
            "try x[:, None] for one feature, x[None] for one sample"
        )
    if x.size == 0:
        raise ValueError(
            f"{name}: x has shape {x.shape}, but every axis needs an element; drop empty batches"
        )
    if not (isinstance(eps, Real) and isfinite(eps) and eps >= 0):
        raise ValueError(f"{name}: eps={eps!r} must be finite and not negative; try 1e-5")
    return x


def _axis(name: str, x: Array, axis: int) -> int:
    first = axis + x.ndim if isinstance(axis, Integral) and axis < 0 else axis
    if not isinstance(axis, Integral) or not 1 <= first < x.ndim:
        raise ValueError(
            f"{name}: axis={axis!r} is none of 1 to {x.ndim - 1} for x of shape {x.shape}, "
            "and axis 0 is the batch; try 1 or -1"
        )
    return int(first)


def _checked(name: str, label: str, array: Array, x: Array, shape: Shape) -> Array:
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(
            f"{name}: {label} has shape {array.shape}, but x of shape {x.shape} needs {shape}; "
            f"try np.ones({shape}, x.dtype)"
        )
    if array.dtype != x.dtype:
        raise ValueError(
            f"{name}: {label} has dtype {array.dtype}, but x has {x.dtype}; try {label}.astype(x.dtype)"
        )
    return array
