"""Running statistics: the moving averages that stand in for a batch's own at inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .checks import checked_counts, checked_momentum, checked_variance, float_array, is_whole, plain_array
from .statistics import Array


@dataclass(frozen=True, slots=True, eq=False)
class RunningStats:
    """Moving averages of batch means and variances; a value: `update` returns a new one.

    ``new = momentum * old + (1 - momentum) * batch``: `momentum` is the weight of the OLD value, as in
    Keras and Flax. PyTorch's ``momentum=0.1`` weighs the new value and means the same as 0.9 here; its
    ``momentum=None`` is None here too: the average of all batches, which weigh the same.

    Attributes
    ----------
    mean, var : ndarray of the shape given to `zeros`, float32 or float64
        They start at 0 and 1; `var` averages unbiased variances. ValueError if they differ in shape.
    momentum : float in [0, 1), or None
    steps, var_steps : int, or ndarray of int
        Updates of mean and of var so far; an array if some channels were left out of an update.
    weight, var_weight : float or ndarray
        What the start, 0 and 1, still weighs in mean and var: 1 at first, times `momentum` at every update;
        by default ``momentum**steps``. For statistics that started elsewhere, pass ``weight=0``.

    Examples
    --------
    >>> import numpy as np
    >>> stats = RunningStats.zeros(1, momentum=0.9).update(np.array([2.0]), np.array([3.0]), count=4)
    >>> stats.mean.round(3).tolist(), stats.var.round(3).tolist(), stats.weight
    ([0.2], [1.3], 0.9)
    >>> stats.corrected.mean.round(3).tolist(), stats.corrected.var.round(3).tolist()
    ([2.0], [4.0])
    """

    mean: Array
    var: Array
    momentum: float | None = 0.9
    steps: Any = 0
    weight: Any = None
    var_weight: Any = None
    var_steps: Any = None

    def __post_init__(self) -> None:
        """Check what was given and fill in what was not."""
        if self.momentum is not None:
            checked_momentum("RunningStats", self.momentum)
        mean, var = (float_array("RunningStats", label, getattr(self, label)) for label in ("mean", "var"))
        if mean.shape != var.shape:
            raise ValueError(
                f"RunningStats: mean has shape {mean.shape}, but var {var.shape}; pass one each per channel"
            )
        steps = self._checked("steps", 0, np.inf, "iu")
        var_steps = self._checked("var_steps", 0, np.inf, "iu", steps)
        left = np.equal(steps, 0) * 1.0 if self.momentum is None else float(self.momentum) ** steps
        weight = self._checked("weight", 0, 1, "iuf", left)
        var_weight = self._checked("var_weight", 0, 1, "iuf", weight)
        found = {"mean": mean, "var": var, "steps": steps, "var_steps": var_steps}
        for label, value in (found | {"weight": weight, "var_weight": var_weight}).items():
            object.__setattr__(self, label, value)

    def _checked(self, label: str, least: float, most: float, kinds: str, default: Any = None) -> Any:
        """Return a field that is one number or one for each channel."""
        value = default if getattr(self, label) is None else getattr(self, label)
        array, shape = plain_array("RunningStats", label, value), np.shape(self.mean)
        pairs = zip(array.shape[::-1], shape[::-1], strict=False)
        fits = array.ndim <= len(shape) and all(n in (1, m) for n, m in pairs)
        if not fits or array.dtype.kind not in kinds or not ((least <= array) & (array <= most)).all():
            what = "integers of at least 0" if "f" not in kinds else "numbers from 0 to 1"
            raise ValueError(
                f"RunningStats: {label}={value!r} must be {what}, one or of shape {shape}; leave it out"
            )
        return array if array.ndim else array.item()

    @classmethod
    def zeros(
        cls, channels: int | Sequence[int], momentum: float | None = 0.9, dtype: DTypeLike = np.float64
    ) -> RunningStats:
        """Return statistics before the first batch: mean 0, variance 1.

        channels is their number, or a whole shape such as ``(replicas, channels)``. A momentum of 0 keeps the
        latest batch alone, None averages all batches. dtype is float32 or float64; every update keeps it.
        Anything else raises ValueError.
        """
        name = "RunningStats.zeros"
        shape = tuple(channels) if isinstance(channels, tuple | list) else (channels,)
        if not all(is_whole(n) and n > 0 for n in shape):
            raise ValueError(
                f"{name}: channels={channels!r} must be an integer of at least 1, or a tuple of them such as "
                "(replicas, channels); try x.shape[1]"
            )
        floats = np.float32, np.float64, "float32", "float64", "f4", "f8"
        if isinstance(dtype, np.ndarray) or dtype not in floats:
            raise ValueError(f"{name}: dtype={dtype!r} must be float32 or float64; try np.float64")
        return cls(np.zeros(shape, dtype), np.ones(shape, dtype), momentum)

    def update(self, mean: Array, var: Array, count: int | Array) -> RunningStats:
        """Return the statistics after one more batch.

        mean and the *biased* var of the batch are ndarrays of the shape of `self.mean`, float32 or float64,
        and count is the number of elements behind each mean, N for vectors, N*H*W for images: an int >= 1, or
        an ndarray of int of that shape. All three as `batch_norm` leaves them in its cache; anything else
        raises ValueError.

        The variance enters as ``var * count / (count - 1)``. One element says nothing about spread, so that
        for ``count == 1`` the mean is averaged in and the variance stays as it was. In an array, channels of
        count 0 stay as they were.

        Ioffe & Szegedy (2015), Algorithm 2, step 10: ``Var[x] = m / (m - 1) * E[var_B]``.
        """
        name, shape, dtype = "RunningStats.update", self.mean.shape, self.mean.dtype
        mean, var = float_array(name, "mean", mean), float_array(name, "var", var)
        if mean.shape != shape or var.shape != shape:
            alike = mean.shape == var.shape
            fix = f"start from RunningStats.zeros({mean.shape})" if alike else "pass both from one cache"
            raise ValueError(f"{name}: mean {mean.shape} and var {var.shape} must have shape {shape}; {fix}")
        n: Any = checked_counts(name, "count", count)
        if n.ndim and n.shape != shape:
            raise ValueError(f"{name}: count has shape {n.shape}, but mean {shape}; pass cache.count")
        n = n if n.ndim else n.item()
        old, old_var = (self.mean, self.steps, self.weight), (self.var, self.var_steps, self.var_weight)
        mean, steps, weight = _averaged(old, mean, self.momentum, n > 0)
        var, unbiased = checked_variance(name, var), (n, n - 1 + (n == 1))  # of one element, unused
        var, var_steps, var_weight = _averaged(old_var, var, self.momentum, n > 1, *unbiased)
        mean, var = mean.astype(dtype, copy=False), var.astype(dtype, copy=False)
        return RunningStats(mean, var, self.momentum, steps, weight, var_weight, var_steps)

    @property
    def corrected(self) -> RunningStats:
        """Return averages of the batches alone, without the start; what has seen no batch stays as it is.

        It is right after any sequence of momenta and counts, since `weight` and `var_weight` know what is
        left of the start. Where batches are few, these estimates are far better. Adam corrects its moments
        like this (Kingma & Ba 2015, section 3), for a momentum that stays the same.
        """
        mean = _without_start(self.mean, self.weight, 0.0)
        var = np.maximum(_without_start(self.var, self.var_weight, 1.0), 0)
        left = self.weight * np.equal(self.weight, 1), self.var_weight * np.equal(self.var_weight, 1)
        return replace(self, mean=mean, var=var, weight=left[0], var_weight=left[1])


def _averaged(
    old: tuple[Array, Any, Any], batch: Array, momentum: float | None, seen: Any, n: Any = 1, divisor: Any = 1
) -> tuple[Array, Any, Any]:
    """Return value, steps and weight after one more batch, times ``n / divisor``, where it was `seen`."""
    value, steps, weight = old
    keep = steps / (steps + 1) if momentum is None else momentum
    new = keep * value + (1 - keep) * n / divisor * batch
    if np.all(seen):
        return new, steps + 1, weight * keep
    return np.where(seen, new, value), steps + np.multiply(seen, 1), np.where(seen, weight * keep, weight)


def _without_start(value: Array, weight: Any, start: float) -> Array:
    rest = np.asarray(1 - weight)
    found = (value - weight * start) / np.where(rest == 0, 1, rest)
    return np.where(rest == 0, value, found).astype(value.dtype)
