"""Running statistics: the moving averages that stand in for a batch's own at inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from .statistics import Array


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
