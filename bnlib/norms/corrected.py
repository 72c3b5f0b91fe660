"""Batch norm with running statistics in training: corrected towards them, or with nothing else.

The pairs see activations as `calls` says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .calls import OVER, Named, RelativeCache, by_pair, mean_of, total
from .checks import checked_input, checked_momentum, is_number
from .core import Cache, normalize, normalize_backward
from .statistics import Affine, Array, affine, centre, rsqrt
from .table import NORMS, Norm


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
    var: Array  # around a point between the old mean and the batch's, see `running_forward`
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
    spread = mean_of(y) + options.momentum * np.square(moved)
    xhat *= rstd
    affine(xhat, learned["gamma"], learned["beta"], out=y)
    return y, RunningCache(mean + moved, spread, xhat, learned["gamma"] * rstd)


def running_backward(dy: Array, cache: RunningCache) -> tuple[Array, Named]:
    """Return gradients with the running statistics as constants, as `frozen.frozen_backward` does."""
    return dy * cache.scale, {"gamma": total(dy * cache.xhat), "beta": total(dy)}


def batch_renorm(
    x: Array, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *,
    r_max: float = 3.0, d_max: float = 5.0, eps: float = 1e-5,
) -> tuple[Array, RelativeCache]:  # fmt: skip
    """Normalize as batch norm does, corrected towards the running statistics from before this batch.

    Parameters
    ----------
    x, gamma, beta, eps
        As in `batch_norm`.
    mean, var : ndarray of shape (C,), float32 or float64
        Running statistics, ``var >= 0``, rounded to the dtype of x.
    r_max, d_max : float >= 1 and >= 0
        The scale is corrected by a factor of at most `r_max`, the shift by at most `d_max` running standard
        deviations: 1 and 0 are batch norm, infinity gives what inference gives.

    Returns
    -------
    y : ndarray of the shape of x
    cache : RelativeCache
        For `relative_backward`; `cache.mean` and the biased `cache.var`, of shape (C,), are the batch's.

    Notes
    -----
    Ioffe (2017). The corrections are constants in the backward pass. The paper trains with 1 and 0 for 5000
    steps, and relaxes r_max to 3 until step 40000 and d_max to 5 until step 25000. Anything that breaks the
    above raises ValueError.
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
}  # fmt: skip
