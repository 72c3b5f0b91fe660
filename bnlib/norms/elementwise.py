"""Filter response norm and dynamic tanh: norms that bring an elementwise function of their own."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from .calls import Named, RelativeCache, by_pair, total
from .checks import checked_input, is_number
from .core import normalize
from .statistics import Affine, Array, affine, averager
from .table import NORMS, Norm

TanhCache = tuple[Array, Array, Array, Array]  # x, tanh, gamma, alpha


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
    by_channel = gamma * total(product * x)
    over_channels = averager(by_channel.shape, (3,), by_channel.dtype)
    gradients["alpha"] = over_channels(by_channel) * by_channel.shape[3]
    product *= alpha * gamma
    return product, gradients


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
