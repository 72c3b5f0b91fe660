"""The norms that are a choice of axes, as public functions.

All take and return float32 or float64 arrays with the channels on axis 1, ``(N, C, *spatial)`` with any
number of spatial axes. No argument is changed, and a cache refers to none: all may be changed before the
backward pass. They raise ValueError with the received value, the rule and a likely fix when a shape, a
dtype or an option is wrong. Where ``var + eps`` is 0, that is, for a constant feature and ``eps=0``, x-hat
and the gradients are 0 by convention.

They are relatives:

>>> import numpy as np
>>> x = np.random.default_rng(0).standard_normal((4, 6, 5))
>>> centred = x - x.mean((1, 2), keepdims=True)
>>> for one, other in (
...     (group_norm(x, groups=1), layer_norm(x)),
...     (group_norm(x, groups=6), instance_norm(x)),
...     (layer_norm(x, axis=2), instance_norm(x)),
...     (layer_norm(x, axis=(0, 2)), batch_norm(x)),
...     (rms_norm(centred), layer_norm(x)),
...     (ghost_batch_norm(x, size=4), batch_norm(x)),
... ):
...     assert np.allclose(one[0], other[0])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .axes import layout
from .checks import (
    checked,
    checked_axes,
    checked_cache,
    checked_divisor,
    checked_gradient,
    checked_input,
    checked_mask,
    checked_statistics,
)
from .core import Cache, normalize, normalize_backward
from .given import frozen, frozen_backward, masked, masked_backward
from .statistics import Affine, Array, Shape
from .table import NORMS, Norm


class NormCache(NamedTuple):
    """What a public norm leaves for `norm_backward`.

    mean, var : what it used; the variance is biased
    count : elements behind each mean, for `RunningStats.update`; with a mask, an array of the shape of mean
    """

    mean: Array
    var: Array
    count: int | Array  # type: ignore[assignment]  # hides the method of tuples
    core: Cache
    undo: Callable[[Array, Cache], tuple[Array, Affine, Affine]]  # the backward pass of `core`
    shape: Shape  # of x
    affine_shape: Shape
    dtype: np.dtype[Any]


def norm_backward(dy: Array, cache: NormCache) -> tuple[Array, Affine, Affine]:
    """Return the gradients of a norm with respect to x, gamma and beta, from that of its y.

    dy has the shape and dtype of x, as has dx; dgamma and dbeta have the shape of gamma and beta, or are None
    for one that wasn't given. The cache is as the forward function returned it; it stays so, and can be used
    again. ValueError if dy is of another shape or dtype, or the cache of another function.

    Ioffe & Szegedy (2015), section 3; `core.normalize_backward` has the formula.
    """
    name, shape = "norm_backward", checked_cache("norm_backward", cache, NormCache).shape
    dy = checked_gradient(name, dy, shape, cache.dtype)
    dx, dgamma, dbeta = cache.undo(dy.reshape(cache.core.xhat.shape), cache.core)
    dgamma, dbeta = (None if d is None else d.reshape(cache.affine_shape) for d in (dgamma, dbeta))
    return dx.reshape(cache.shape), dgamma, dbeta


def by_axes(
    name: str, x: Array, letters: str, shape: Shape, shared: str, gamma: Affine, beta: Affine, eps: float,
    mask: Array | None = None, affine: Shape | None = None, centre: bool = True, given: Any = None,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Normalize x by a choice of axes, as the public function `name`.

    letters, shape, shared : those of `axes.layout`; axes without a letter are positions
    affine : the shape that gamma and beta must have; None: one number for each channel
    given : mean and variance of each channel, instead of those of x
    """
    how = layout(letters.ljust(len(shape), "P"), shape, shared)
    affine = x.shape[1:2] if affine is None else affine
    gamma, beta = (
        None if a is None else checked(name, label, a, x, affine, x.dtype).reshape(how.affine)
        for label, a in (("gamma", gamma), ("beta", beta))
    )
    keep = checked_mask(name, x, mask)
    kept = tuple(n for axis, n in enumerate(how.shape) if axis not in how.reduced)
    undo: Any = normalize_backward
    count: Any = x.size // prod(kept)
    arguments = x.reshape(how.shape), how.reduced, gamma, beta, float(eps)
    with np.errstate(over="ignore", invalid="ignore"):  # `normalize` repeats what overflows, scaled
        if given is not None:
            mean, var = checked_statistics(name, x, *given)
            y, core = frozen(*arguments, mean.reshape(how.affine), var.reshape(how.affine))
            undo = frozen_backward
        elif keep is None:
            y, core = normalize(*arguments, centre)
        else:
            keep = keep.reshape(how.shape)
            y, core, count = masked(*arguments, centre, keep)
            undo = partial(masked_backward, keep=keep, count=count)
            count = count.reshape(kept)
    statistics = core.mean.reshape(kept), core.var.reshape(kept), count
    return y.reshape(x.shape), NormCache(*statistics, core, undo, x.shape, affine, x.dtype)


def batch_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5, mask: Array | None = None
) -> tuple[Array, NormCache]:
    """Normalize every channel over the batch and all positions.

    Parameters
    ----------
    x : ndarray of shape (N, C, *spatial), float32 or float64
    gamma, beta : ndarray of shape (C,), dtype of x, optional
        Scale and shift; None means 1 and 0.
    eps : float >= 0
        Added to the variance, in units of x squared.
    mask : ndarray of bool, optional
        True where an element counts, the opposite of PyTorch's ``key_padding_mask``. It has the axes of x,
        each of length 1 or that of x: (N, 1, T) for padded sequences (N, C, T). Means, variances, dgamma and
        dbeta are over the elements that count; y and dx are 0 at the others, which may be NaN. If none
        counts, mean and variance are 0. It takes several times the time of a call without a mask.

    Returns
    -------
    y : ndarray of the shape of x
    cache : NormCache
        For `norm_backward`. `cache.mean` and the biased `cache.var` have shape (C,). `cache.count` is the
        number of elements behind each mean, as `RunningStats.update` takes it: an int, with a mask an array.

    Raises
    ------
    ValueError
        If a shape, a dtype or eps breaks the above.

    Notes
    -----
    Ioffe & Szegedy (2015), Algorithm 1. With one element per channel y is exactly beta, and dx is 0.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = batch_norm(np.array([[1.0], [2.0], [3.0], [4.0]]), eps=0.0)
    >>> y.ravel().round(6).tolist(), cache.var.tolist()
    ([-1.341641, -0.447214, 0.447214, 1.341641], [1.25])
    >>> mask = np.array([[True], [True], [True], [False]])
    >>> batch_norm(np.array([[1.0], [2.0], [3.0], [np.nan]]), mask=mask)[1].mean.tolist()
    [2.0]
    """
    x = checked_input("batch_norm", x, eps, has_mask=True)
    return by_axes("batch_norm", x, "NC", x.shape, "NP", gamma, beta, eps, mask)


def layer_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *,
    eps: float = 1e-5, axis: int | Sequence[int] = 1, mask: Array | None = None,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Normalize every sample over its axes from `axis` to the last, or over any set of axes.

    As `batch_norm`, except that gamma and beta have the shape of x along the axes that `axis` means, mean and
    var that along the others. An int means all axes from this one on, and ``x.shape[axis:]``; it may be
    negative, but axis 0 is the batch and raises ValueError. A tuple means its axes alone, whatever their
    order: ``(1,)`` the channels of each position (ConvNeXt), ``(0, 1, 2)`` everything in an x of three axes
    (ONNX's axis 0).

    Ba, Kiros & Hinton (2016), equation 3; gamma is their gain, beta their bias.
    """
    return _by_features("layer_norm", x, axis, gamma, beta, eps, mask)


def rms_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *,
    eps: float = 1e-5, axis: int | Sequence[int] = 1, mask: Array | None = None,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Divide every sample by the root mean square of its axes from `axis` to the last, or of any set of axes.

    As `layer_norm`, except that the mean is 0 and var the mean square: Zhang & Sennrich (2019), equation 4,
    with eps inside the root. Theirs has no beta.
    """
    return _by_features("rms_norm", x, axis, gamma, beta, eps, mask, centre=False)


def group_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *,
    groups: int, eps: float = 1e-5, mask: Array | None = None,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Normalize every sample over each of `groups` runs of neighbouring channels and all positions.

    As `batch_norm`, except that mean and var have shape (N, groups). ValueError also if groups doesn't divide
    C: 1 shares statistics as `layer_norm`, C as `instance_norm` does. Wu & He (2018), equation 7.
    """
    name = "group_norm"
    x = checked_input(name, x, eps, has_mask=True)
    groups = checked_divisor(name, "groups", groups, x.shape[1], "channels")
    split = (len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return by_axes(name, x, "NcC", split, "PC", gamma, beta, eps, mask)


def instance_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5, mask: Array | None = None
) -> tuple[Array, NormCache]:
    """Normalize every channel of every sample over its positions.

    As `batch_norm`, except that mean and var have shape (N, C). Without spatial axes every mean has one
    element, and y is beta. Ulyanov, Vedaldi & Lempitsky (2016).
    """
    x = checked_input("instance_norm", x, eps, has_mask=True)
    return by_axes("instance_norm", x, "NC", x.shape, "P", gamma, beta, eps, mask)


def ghost_batch_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *,
    size: int, eps: float = 1e-5, mask: Array | None = None,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Normalize every channel over `size` samples at a time, and all positions.

    As `batch_norm`, except that mean and var have shape (N / size, C), a row for each ghost batch: samples i,
    i + N / size, i + 2 N / size and so on are ghost batch i. ValueError also if size doesn't divide N.

    Hoffer, Hubara & Soudry (2017). In their code a ghost batch is a run of neighbouring samples instead.
    """
    name = "ghost_batch_norm"
    x = checked_input(name, x, eps, has_mask=True)
    size = checked_divisor(name, "size", size, len(x), "samples")
    split = (size, len(x) // size, *x.shape[1:])
    return by_axes(name, x, "NnC", split, "NP", gamma, beta, eps, mask)


def frozen_batch_norm(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5
) -> tuple[Array, NormCache]:
    """Normalize every channel with given statistics, which the backward pass takes as constants.

    What PyTorch calls frozen batch norm: training goes on, but statistics stay as they are. As `batch_norm`,
    except that N may be 0, there is no mask, and mean and var, ndarrays of shape (C,) and ``var >= 0``, are
    running statistics or any others. They may be float64 beside an x of float32, as `RunningStats` keeps
    them. With the cache `norm_backward` gives ``dx = dy * gamma / sqrt(var + eps)``.

    Ioffe & Szegedy (2015), Algorithm 2, step 11.
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
    return by_axes(name, x, "NC", x.shape, "NP", gamma, beta, eps, given=(mean, var))


def _by_features(
    name: str, x: Array, axis: int | Sequence[int], gamma: Affine, beta: Affine, eps: float,
    mask: Array | None, centre: bool = True,
) -> tuple[Array, NormCache]:  # fmt: skip
    """Normalize x over the axes that `axis` means, all of which gamma and beta have."""
    x = checked_input(name, x, eps, has_mask=True)
    axes = checked_axes(name, x, axis)
    letters = "".join("C" if a in axes else "N" for a in range(x.ndim))
    affine = tuple(x.shape[a] for a in axes)
    return by_axes(name, x, letters, x.shape, "C", gamma, beta, eps, mask, affine, centre)


NORMS |= {
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
        use="Use it in transformers instead of layer norm: there is no mean to take. It doesn’t undo a shift "
        "that all features share.",
    ),
    "ghost": Norm(
        ghost_batch_norm, "ghost batch norm", "each channel, over a part of the batch and all positions",
        "NP", options=("eps", "norm_batch"), running=True, together=8,
        about="Batch norm of parts of the batch: each part has a mean and a standard deviation of its own.",
        use="Use it with large batches, where noisier statistics can regularize. In this lab’s experiments "
        "it reduced errors clearly only under label noise.",
    ),
}  # fmt: skip
