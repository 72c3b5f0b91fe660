"""Every norm in ten lines forward and ten backward, as in the papers; `core` computes the same faster.

A norm is a choice of axes. Shapes on the right are those of batch norm on a convolution's (N, C, H, W), axes
(0, 2, 3); layer norm takes (1, 2, 3), instance norm (2, 3), and group norm (2, 3, 4) of (N, G, C / G, H, W).
"""

from __future__ import annotations

import numpy as np

from .statistics import Array, Axes

Cache = tuple[Array, Array, Array, Axes, bool]


def forward(
    x: Array, axes: Axes, gamma: Array, beta: Array, eps: float = 1e-5, centre: bool = True
) -> tuple[Array, Cache]:
    """Normalize x over some axes, then scale and shift (Ioffe & Szegedy 2015, Algorithm 1)."""
    mean = x.mean(axes, keepdims=True) if centre else 0  # (1, C, 1, 1); RMS norm has none
    centred = x - mean  # (N, C, H, W)
    var = np.square(centred).mean(axes, keepdims=True)  # (1, C, 1, 1)
    std = np.sqrt(var + eps)  # (1, C, 1, 1)
    xhat = centred / std  # (N, C, H, W)
    y = gamma * xhat + beta  # (N, C, H, W) from gamma and beta (1, C, 1, 1)
    return y, (xhat, std, gamma, axes, centre)


def backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return the gradients of x, gamma and beta (Ioffe & Szegedy 2015, section 3, terms collected)."""
    xhat, std, gamma, axes, centre = cache
    shared = tuple(axis for axis, length in enumerate(gamma.shape) if length == 1)  # (0, 2, 3)
    dgamma = (dy * xhat).sum(shared, keepdims=True)  # (1, C, 1, 1)
    dbeta = dy.sum(shared, keepdims=True)  # (1, C, 1, 1)
    g = gamma * dy  # (N, C, H, W), the gradient of xhat
    along_xhat = (g * xhat).mean(axes, keepdims=True)  # (1, C, 1, 1): what var takes away
    along_ones = g.mean(axes, keepdims=True) if centre else 0  # (1, C, 1, 1): what mean takes away
    dx = (g - along_ones - xhat * along_xhat) / std  # (N, C, H, W)
    return dx, dgamma, dbeta
