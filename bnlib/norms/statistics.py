"""Statistics of a batch, and the moving averages that stand in for them at inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Axes = tuple[int, ...]
Shape = tuple[int, ...]
Affine = Array | None  # gamma or beta, or the gradient of one


@lru_cache(maxsize=512)
def averager(shape: tuple[int, ...], axes: Axes, dtype: np.dtype[Any]) -> Callable[[Array], Array]:
    """The function that averages arrays of this shape over `axes` (ascending), keeping them as length 1.

    A product with a constant vector is the fastest sum NumPy has: two to four times faster than
    ``add.reduce``, up to ten times faster than ``mean`` on the small arrays of a training step.
    """
    ndim, k = len(shape), len(axes)
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    m = prod(shape[a] for a in axes)
    weights = np.full(m, 1 / m, dtype)
    if not axes:
        return np.copy
    start, stop = axes[0], axes[-1] + 1
    # Axis 0, which may hold replicas, is never merged with another: the last bit of a sum can depend on
    # how many rows a product has, but must not depend on how many replicas run side by side.
    if stop == ndim and k == stop - start:  # (..., rows, m) @ (m,)
        first = shape[0] if start > 1 else 1
        return lambda a: (a.reshape(first, -1, m) @ weights).reshape(kept)
    if axes == (ndim - 2,):  # (1, m) @ (..., m, columns), as it lies there
        row = weights[None]
        return lambda a: np.matmul(row, a)
    if k == stop - start:  # the same, after folding what lies before, between and behind
        apart, row = (prod(shape[:start]), m, prod(shape[stop:])), weights[None]
        return lambda a: np.matmul(row, a.reshape(apart)).reshape(kept)
    # Axes with others between them: the last ones that lie together first, then what is left.
    last = next(i for i in range(k) if axes[i:] == tuple(range(axes[i], stop)))
    inner, outer = axes[last:], axes[:last]
    within = averager(shape, inner, dtype)
    between = averager(tuple(1 if a in inner else n for a, n in enumerate(shape)), outer, dtype)
    return lambda a: between(within(a))


def centre(x: Array, axes: Axes) -> tuple[Array, Array]:
    """``x`` minus its mean over `axes`, and that mean with `axes` kept as length 1."""
    # Subtracting one element first leaves numbers of the size of the spread: float32 then keeps its
    # digits at any mean, and equal elements give exactly zero.
    origin = x[_first(x.ndim, axes)]
    centred = x - origin
    offset = averager(x.shape, axes, x.dtype)(centred)
    centred -= offset
    return centred, origin + offset


@lru_cache(maxsize=512)
def _first(ndim: int, axes: Axes) -> tuple[slice, ...]:
    return tuple(slice(1) if a in axes else slice(None) for a in range(ndim))


def moments(x: Array, axes: Axes) -> tuple[Array, Array]:
    """Mean and biased variance over `axes`, the variance after centring.

    Parameters
    ----------
    x : ndarray of float32 or float64
    axes : tuple of int, ascending
        The axes whose elements share one mean and one variance.

    Returns
    -------
    mean, var : ndarray
        Shape of `x` without `axes`, dtype of `x`; `var` divides by the number of elements.
    """
    centred, mean = centre(x, axes)
    np.square(centred, out=centred)
    return mean.squeeze(axes), averager(x.shape, axes, x.dtype)(centred).squeeze(axes)


@dataclass(frozen=True, slots=True, eq=False)
class RunningStats:
    """Moving averages of batch means and variances; a value: `update` returns a new one.

    ``new = momentum * old + (1 - momentum) * batch``: `momentum` is the weight of the OLD value, as in
    Keras and Flax. PyTorch's ``momentum=0.1`` weighs the new value and means the same as 0.9 here.

    Attributes
    ----------
    mean, var : ndarray of the shape given to `zeros`
        They start at 0 and 1; `var` averages unbiased variances.
    momentum : float in [0, 1)
    steps : int
        Number of updates so far.
    """

    mean: Array
    var: Array
    momentum: float = 0.9
    steps: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(
                f"RunningStats: momentum={self.momentum!r} must lie in [0, 1); it weighs the OLD value, "
                "so 0.9 here is PyTorch's 0.1"
            )

    @classmethod
    def zeros(
        cls, channels: int | tuple[int, ...], momentum: float = 0.9, dtype: DTypeLike = np.float64
    ) -> RunningStats:
        """Statistics before the first batch: mean 0, variance 1.

        Parameters
        ----------
        channels : int or tuple of int
            Number of channels, or a whole shape such as ``(replicas, channels)``.
        momentum : float in [0, 1), default 0.9
            Weight of the old value; 0 keeps the latest batch alone.
        dtype : dtype, default float64
            Every update keeps it.

        Raises
        ------
        ValueError
            If `momentum` is outside [0, 1).
        """
        return cls(np.zeros(channels, dtype), np.ones(channels, dtype), momentum)

    def update(self, mean: Array, var: Array, count: int) -> RunningStats:
        """The statistics after one more batch.

        Parameters
        ----------
        mean, var : ndarray of the shape of `self.mean`
            Mean and *biased* variance of the batch, as `batch_norm` leaves them in its cache.
        count : int
            Elements behind each mean: N for vectors, N*H*W for images. The variance enters as
            ``var * count / (count - 1)``. One element says nothing about spread, so that for
            ``count == 1`` the mean is averaged in and the variance stays as it was.

        Raises
        ------
        ValueError
            If a shape differs from that of `self.mean`, or `count` is below 1.

        Notes
        -----
        Ioffe & Szegedy (2015), Algorithm 2, step 10: ``Var[x] = m / (m - 1) * E[var_B]``.
        """
        shape, dtype = self.mean.shape, self.mean.dtype
        if np.shape(mean) != shape or np.shape(var) != shape:
            raise ValueError(
                f"RunningStats.update: mean {np.shape(mean)} and var {np.shape(var)} must have shape "
                f"{shape}; start from RunningStats.zeros({np.shape(mean)})"
            )
        if count < 1:
            raise ValueError(
                f"RunningStats.update: count={count!r} must be at least 1; it is the number of elements "
                "behind each mean, N * H * W for images"
            )
        old, new = self.momentum, 1 - self.momentum
        mean = (old * self.mean + new * mean).astype(dtype, copy=False)
        if count > 1:
            var = (old * self.var + new * count / (count - 1) * var).astype(dtype, copy=False)
        else:
            var = self.var
        return RunningStats(mean, var, self.momentum, self.steps + 1)


def rsqrt(var: Array, eps: float) -> Array:
    std = var + eps
    np.sqrt(std, out=std)
    if eps < 1e-37:  # 0 in float32
        return np.divide(1, std, out=np.zeros_like(std), where=std != 0)
    return np.reciprocal(std, out=std)
