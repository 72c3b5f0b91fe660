"""What a few seeds say of a difference: its mean, and an interval that tells it from none."""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from ..theory import xhat_cdf

LEVEL = 0.95  # of all such intervals, this share holds the true mean


class Interval(NamedTuple):
    """A mean over `seeds` seeds, and its interval at LEVEL."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0: the sign doesn't hang on the seeds."""
        return self.low > 0 or self.high < 0

    def text(self, unit: str = "points", digits: int = 1) -> str:
        """Return the mean and its interval in words."""
        if self.seeds < 2:
            return f"{self.mean:+.{digits}f} {unit} (one seed, no interval)"
        span = f"{self.low:+.{digits}f} to {self.high:+.{digits}f}"
        return f"{self.mean:+.{digits}f} {unit} ({LEVEL:.0%} interval {span}, {self.seeds} seeds)"


def paired(values: Any) -> Interval:
    """Return the interval of a mean over seeds, of differences between two arms that share each seed.

    values : (R,), one difference a seed; what isn't finite is left out

    Student's interval, mean ± t sd / sqrt(R) with R - 1 degrees of freedom (Student 1908), which assumes
    differences that are about Gaussian. It is of the seeds alone: the validation samples are always the same.
    From one seed it is infinite, and from none the mean is NaN.
    """
    values = np.asarray(values, float).ravel()
    values = values[np.isfinite(values)]
    n = len(values)
    if n < 2:
        mean = float(values[0]) if n else np.nan
        return Interval(mean, -np.inf, np.inf, n)
    mean, half = float(values.mean()), student(n - 1) * float(values.std(ddof=1)) / sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


@cache
def student(freedom: int, level: float = LEVEL) -> float:
    """Return the t within which Student's t with `freedom` degrees of freedom lies with probability `level`.

    From the law of x-hat: of m = freedom + 2 Gaussian numbers, x-hat sqrt(m-2) / sqrt(m-1 - x-hat^2) is a
    Student t with m-2 degrees of freedom (Thompson 1935); found by halving.
    """
    m = freedom + 2
    low, high = 0.0, sqrt(m - 1)
    for _ in range(60):
        middle = (low + high) / 2
        inside = 2 * float(xhat_cdf(np.asarray(middle), m)) - 1
        low, high = (middle, high) if inside < level else (low, middle)
    return low * sqrt(freedom) / sqrt(m - 1 - low * low)
