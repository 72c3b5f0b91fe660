"""The norms that are a choice of axes, as public functions.

All take and return float32 or float64 arrays with the channels on axis 1, ``(N, C, *spatial)`` with any
number of spatial axes, never change an argument, and raise ValueError with the received value, the rule
and a likely fix when a shape, a dtype or an option is wrong. Where ``var + eps`` is 0, that is, for a
constant feature and ``eps=0``, x-hat and the gradients are 0 by convention.
"""

from __future__ import annotations

from numbers import Integral

from .calls import NormCache, by_axes
from .checks import checked, checked_axis, checked_input
from .statistics import Affine, Array, Shape, rsqrt
from .table import NORMS, Norm


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
    x = checked_input("batch_norm", x, eps)
    return _by_channel("batch_norm", x, "NC", x.shape, "NP", gamma, beta, eps)


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
    x = checked_input("layer_norm", x, eps)
    axis = checked_axis("layer_norm", x, axis)
    return _by_features("layer_norm", x, axis, gamma, beta, eps)


def rms_norm(
    x: Array, gamma: Affine = None, beta: Affine = None, *, eps: float = 1e-5, axis: int = 1
) -> tuple[Array, NormCache]:
    """Divide every sample by the root mean square of its axes from `axis` to the last.

    `layer_norm` without centring, shapes as there: `cache.mean` is 0, `cache.var` the mean square.

    Notes
    -----
    Zhang & Sennrich (2019), equation 4, with eps inside the root. Theirs has no beta.
    """
    x = checked_input("rms_norm", x, eps)
    axis = checked_axis("rms_norm", x, axis)
    return _by_features("rms_norm", x, axis, gamma, beta, eps, centre=False)


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
    x = checked_input("group_norm", x, eps)
    channels = x.shape[1]
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    if not isinstance(groups, Integral) or groups not in divisors:
        likely = " or ".join(", ".join(map(str, divisors)).rsplit(", ", 1))
        raise ValueError(f"group_norm: groups={groups!r} does not divide {channels} channels; try {likely}")
    split = (len(x), int(groups), channels // int(groups), *x.shape[2:])
    return _by_channel("group_norm", x, "NcC", split, "PC", gamma, beta, eps)


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
    x = checked_input("instance_norm", x, eps)
    return _by_channel("instance_norm", x, "NC", x.shape, "P", gamma, beta, eps)


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
    x = checked_input(name, x, eps)
    shape, view = x.shape[1:2], (1, x.shape[1], *(1,) * (x.ndim - 2))
    mean, var = (checked(name, label, array, x, shape) for label, array in (("mean", mean), ("var", var)))
    if (var < 0).any():
        raise ValueError(f"{name}: var contains {var.min()}, but must not be negative; pass a variance")
    scale = rsqrt(var, float(eps))
    if gamma is not None:
        scale *= checked(name, "gamma", gamma, x, shape)
    y = x - mean.reshape(view)
    y *= scale.reshape(view)
    if beta is not None:
        y += checked(name, "beta", beta, x, shape).reshape(view)
    return y


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
    x = checked_input(name, x, eps)
    divisors = [n for n in range(1, len(x) + 1) if len(x) % n == 0]
    if not isinstance(size, Integral) or size not in divisors:
        likely = " or ".join(", ".join(map(str, divisors)).rsplit(", ", 1))
        raise ValueError(f"{name}: size={size!r} does not divide {len(x)} samples; try {likely}")
    split = (int(size), len(x) // int(size), *x.shape[1:])
    return _by_channel(name, x, "NnC", split, "NP", gamma, beta, eps)


def _by_channel(
    name: str, x: Array, letters: str, shape: Shape, shared: str, gamma: Affine, beta: Affine, eps: float
) -> tuple[Array, NormCache]:
    """Normalize x, seen in `shape`, with a gamma and beta for each channel; positions come last."""
    letters += "P" * (x.ndim - 2)
    return by_axes(name, x, letters, shape, shared, gamma, beta, x.shape[1:2], eps)


def _by_features(
    name: str, x: Array, axis: int, gamma: Affine, beta: Affine, eps: float, centre: bool = True
) -> tuple[Array, NormCache]:
    """Normalize every sample over its axes from `axis` on, all of which gamma and beta have."""
    letters = "N" * axis + "C" * (x.ndim - axis)
    return by_axes(name, x, letters, x.shape, "C", gamma, beta, x.shape[axis:], eps, centre)


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
        use="Use it in transformers instead of layer norm: it computes less. It doesn’t undo a shift that "
        "all features share.",
    ),
    "ghost": Norm(
        ghost_batch_norm, "ghost batch norm", "each channel, over a part of the batch and all positions",
        "NP", options=("eps", "norm_batch"), running=True, together=8,
        about="Batch norm of parts of the batch: each part has a mean and a standard deviation of its own.",
        use="Use it with large batches, where noisier statistics can regularize. In this lab’s experiments "
        "it reduced errors clearly only under label noise.",
    ),
}  # fmt: skip
