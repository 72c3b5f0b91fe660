"""Large arrays, block by block: what `core` does to small ones as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from . import statistics
from .statistics import Affine, Array, Axes, Shape, affine, averager, rsqrt

# Where axis 0 is averaged over: arrays with more elements than LARGE go in blocks of so many bytes.
LARGE = 1 << 18
BLOCK_BYTES = 1 << 19
# Elsewhere: elements of a piece. Smaller ones fit a smaller cache, but each call of NumPy has its price.
PIECE = 1 << 17

Index = tuple[slice, ...]


def pieces(shape: Shape, axes: Axes, affine: Affine) -> Iterator[Index]:
    """Yield indices of pieces of an array of this shape that hold whole means over `axes`, not of axis 0.

    An index of axis 0 is only divided if it can't be a replica, since `affine` has one row for all: sums of
    the gradients of gamma and beta would change their bits.
    """
    each = prod(shape[1:])
    one_for_all = affine is not None and len(affine) < shape[0]
    if each > PIECE and 1 not in axes and one_for_all:
        for first in range(shape[0]):
            for rows in _slices(shape[1], prod(shape[2:])):
                yield slice(first, first + 1), rows
    else:
        for rows in _slices(shape[0], each):
            yield (rows,)


def _slices(length: int, each: int) -> list[slice]:
    """Divide `length` rows of `each` elements; a multiple of 64, where rows are short, for BLAS's kernels."""
    step = max(1, PIECE // each)
    step -= step % 64 if step > 64 else 0
    return [slice(start, start + step) for start in range(0, length, step)]


def part(affine: Affine, at: Index) -> Any:
    """Return the part of gamma or beta that belongs to a piece."""
    if affine is None:
        return None
    return affine[tuple(rows if n > 1 else slice(1) for rows, n in zip(at, affine.shape, strict=False))]


def _blocks(x: Array) -> list[slice]:
    rows = max(1, BLOCK_BYTES * len(x) // x.nbytes)
    return [slice(start, start + rows) for start in range(0, len(x), rows)]


def _wide(block: Array, *small: Affine) -> list[Any]:
    """Each small array written out to a block: NumPy is twice as fast on equal shapes."""
    return [None if array is None else np.broadcast_to(array, block.shape).copy() for array in small]


def forward(
    x: Array, axes: Axes, gamma: Affine, beta: Affine, eps: Any
) -> tuple[Array, Array, Array, Array, Array]:
    """Normalize a large array with axis 0 among `axes`; return y, xhat, 1 / sqrt(var + eps), mean and var.

    The origin, the mean of the first block, is subtracted before squaring, and what it is off by is
    corrected for: ``var = mean((x - origin)**2) - mean(x - origin)**2`` (the corrected two-pass algorithm
    of Chan, Golub & LeVeque, 1983). Rounding grows at most by the number of blocks, whatever the mean.
    """
    blocks = _blocks(x)
    origin = statistics.centre(x[blocks[0]], axes)[1]
    y, xhat = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    (wide_origin,) = _wide(xhat[blocks[0]], origin)
    scratch = np.empty_like(wide_origin)
    offset, square = np.zeros_like(origin), np.zeros_like(origin)
    for rows in blocks:
        n = len(x[rows])
        average = averager(x[rows].shape, axes, x.dtype)
        shifted = np.subtract(x[rows], wide_origin[:n], out=xhat[rows])
        offset += n / len(x) * average(shifted)
        square += n / len(x) * average(np.square(shifted, out=scratch[:n]))
    var = np.maximum(square - np.square(offset), 0)
    rstd = rsqrt(var, eps)
    wide_offset, wide_rstd, wide_gamma, wide_beta = _wide(scratch, offset, rstd, gamma, beta)
    for rows in blocks:
        at = (slice(len(x[rows])),)
        xhat[rows] -= wide_offset[at]
        xhat[rows] *= wide_rstd[at]
        affine(xhat[rows], part(wide_gamma, at), part(wide_beta, at), out=y[rows])
    return y, xhat, rstd, origin + offset, var


def backward(dy: Array, xhat: Array, rstd: Array, gamma: Affine, axes: Axes) -> tuple[Array, Array, Array]:
    """Return dx, mean(dy) and mean(dy xhat) after `forward`."""
    blocks = _blocks(dy)
    dx = np.empty(dy.shape, dy.dtype)
    mean_dy, mean_dy_xhat = np.zeros_like(rstd), np.zeros_like(rstd)
    scratch = np.empty_like(dx[blocks[0]])
    for rows in blocks:
        n = len(dy[rows])
        average = averager(dy[rows].shape, axes, dy.dtype)
        mean_dy += n / len(dy) * average(dy[rows])
        mean_dy_xhat += n / len(dy) * average(np.multiply(dy[rows], xhat[rows], out=scratch[:n]))
    scale = rstd if gamma is None else rstd * gamma
    wide_scale, wide_mean, wide_slope = _wide(scratch, scale, mean_dy, mean_dy_xhat)
    for rows in blocks:
        n = len(dy[rows])
        removed = np.multiply(xhat[rows], wide_slope[:n], out=scratch[:n])
        removed += wide_mean[:n]
        out = np.subtract(dy[rows], removed, out=dx[rows])
        out *= wide_scale[:n]
    return dx, mean_dy, mean_dy_xhat
