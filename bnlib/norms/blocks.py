"""Large arrays, block by block: what `core` does to small ones as a whole."""

from __future__ import annotations

import numpy as np

from . import statistics
from .statistics import Affine, Array, Axes, averager, rsqrt

# Arrays with more elements than LARGE are worked through in blocks that stay in a core's L2 cache.
LARGE = 1 << 16
BLOCK_BYTES = 1 << 17

Source = tuple[Array, Array, Array]  # x, origin, offset: mean = origin + offset


def _blocks(x: Array) -> list[slice]:
    rows = max(1, BLOCK_BYTES * len(x) // x.nbytes)
    return [slice(start, start + rows) for start in range(0, len(x), rows)]


def _wide(block: Array, *small: Array) -> list[Array]:
    """Each small array written out to a block: NumPy is twice as fast on equal shapes."""
    return [np.broadcast_to(array, block.shape).copy() for array in small]


def forward(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: float
) -> tuple[Array, Array, Array, Source]:
    """Normalize a large array with axis 0 among `axes`: x is read twice, y written once.

    Returns y, 1 / sqrt(var + eps), var, and what the backward pass needs.

    The origin, the mean of the first block, is subtracted before squaring, and what it is off by is
    corrected for: ``var = mean((x - origin)**2) - mean(x - origin)**2`` (the corrected two-pass algorithm
    of Chan, Golub & LeVeque, 1983). Rounding grows at most by the number of blocks, whatever the mean.
    """
    blocks = _blocks(x)
    origin = statistics.centre(x[blocks[0]], axes)[1]
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
    rstd = rsqrt(var, eps)
    scale = rstd if gamma is None else rstd * gamma
    shift = -offset * scale if beta is None else beta - offset * scale
    wide_scale, wide_shift = _wide(scratch, scale, shift)
    y = np.empty(x.shape, x.dtype)
    for rows in blocks:
        n = len(x[rows])
        out = np.subtract(x[rows], wide_origin[:n], out=y[rows])
        out *= wide_scale[:n]
        out += wide_shift[:n]
    return y, rstd, var, (x, origin, offset)


def backward(dy: Array, source: Source, rstd: Array, gamma: Affine, axes: Axes) -> tuple[Array, Array, Array]:
    """Return dx, mean(dy) and mean(dy xhat) after `forward`; ``xhat = (x - origin - offset) * rstd``."""
    x, origin, offset = source
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
    return dx, mean_dy, mean_dy_xhat
