"""What an experiment finds: pictures, checks against accepted outcomes, sentences; and how they are read.

Plain values without a word on how they are drawn: a terminal, a report and a page show the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, sqrt
from typing import Any

import numpy as np

from ..norms.statistics import Array
from .intervals import paired
from .probes.arithmetic import Measured

Label = Any  # what tells the cells of one experiment apart
Results = Mapping[Label, Measured]


@dataclass(frozen=True)
class Series:
    """A curve or a row of points: y, and a range around it, against x (numbers or words).

    low, high : the lowest and highest seed, or what `spread` says
    theory : whether it was predicted, not measured
    """

    name: str
    x: tuple[Any, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    theory: bool = False
    spread: str = ""


@dataclass(frozen=True)
class Picture:
    """What a figure shows, independent of any drawing library: series over axes with titles."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Check:
    """A measured number beside the outcomes that are accepted; with neither bound it is only reported.

    measured : mean over seeds, `low` and `high` the lowest and highest of them
    least, most : the accepted outcomes; `slack` widens them at reduced size
    expected : what theory says, where it says a number
    name : by which a stance rests on it (`model.Sides`); several checks may share one
    exact : whether it is an identity, a moment or a count, on which no stance rests
    """

    what: str
    measured: float
    low: float
    high: float
    least: float = -inf
    most: float = inf
    expected: float | None = None
    slack: float = 0.0
    name: str = ""
    exact: bool = False

    @property
    def reported(self) -> bool:
        """Whether no outcome is accepted or refused."""
        return self.least == -inf and self.most == inf

    @property
    def holds(self) -> bool:
        """Whether what was measured is within the bounds."""
        return self.least - self.slack <= self.measured <= self.most + self.slack

    @property
    def accepted(self) -> str:
        """The accepted outcomes in words."""
        least, most = (f"{bound:.4g}" for bound in (self.least - self.slack, self.most + self.slack))
        if self.reported or least == most:
            return "" if self.reported else least
        if self.most == inf:
            return f"≥ {least}"
        return f"≤ {most}" if self.least == -inf else f"{least} to {most}"


@dataclass(frozen=True)
class Findings:
    """What an experiment has found: pictures, checks, and sentences computed from them."""

    pictures: tuple[Picture, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()


# ---- what readings share -------------------------------------------------------------------------------


def check(
    what: str, values: Any, least: float = -inf, most: float = inf, *,
    expected: float | None = None, seeds: int = 0, null: float | None = None, worst: bool = False,
    name: str = "", exact: bool = False,
) -> Check:  # fmt: skip
    """Check the mean over `values`, one a seed; with `worst`, the largest.

    Fewer than `seeds` of them widen the bounds by four standard errors of the difference between a mean
    of so few and of all, 4 sd sqrt(1/n - 1/seeds), but never past `null`, the value without an effect.
    """
    values = np.atleast_1d(np.asarray(values, float))
    n = len(values)
    slack = 4 * float(values.std(ddof=1)) * sqrt(1 / n - 1 / seeds) if 1 < n < seeds else 0.0
    if not isfinite(slack):
        slack = 0.0
    if null is not None:
        slack = min(slack, max(least - null, 0.0) if least > -inf else max(null - most, 0.0))
    measured = float(values.max() if worst else values.mean())
    low, high = float(values.min()), float(values.max())
    return Check(what, measured, low, high, least, most, expected, slack, name, exact)


def whole_numbers(low: int, high: int) -> list[int]:
    """Return whole numbers from low to high, ever wider apart: where a closed form is drawn."""
    return sorted({round(value) for value in np.geomspace(low, high, 60)})


def level(name: str, x: Iterable[Any], values: Any) -> Series:
    """Draw what doesn't depend on x, the mean of `values`, as a line without a range."""
    x = tuple(x)
    return Series(name, x, (float(np.mean(values)),) * len(x))


def at_others_best(errors: Sequence[Array]) -> Array:
    """Return of errors (settings, R) each seed's, at the setting with the lowest mean over all other seeds.

    So what is chosen is judged on seeds that had no part in the choice.
    """
    table = np.stack(errors)
    others = table.sum(axis=1, keepdims=True) - table
    best: Array = np.take_along_axis(table, others.argmin(axis=0)[None], axis=0)[0]
    return best


def times(what: str, ratios: Any, least: float = 0.0, most: float = inf, **rest: Any) -> Check:
    """Return a check of a ratio's geometric mean over seeds; bounds widen by factors, never past 1."""
    with np.errstate(divide="ignore"):
        found = check(what, np.log(ratios), *np.log((least, most)), null=0, **rest)
    factor = exp(found.slack)
    slack = most * (factor - 1) if most < inf else least * (1 - 1 / factor)
    measured, low, high = np.exp((found.measured, found.low, found.high)).tolist()
    least = least if least > 0 else -inf
    return replace(found, measured=measured, low=low, high=high, least=least, most=most, slack=slack)


def compared(what: str, gaps: Mapping[str, Any]) -> str:
    """Return where differences over seeds, in points, are clearly above 0, clearly below, or neither."""
    found = {where: paired(values) for where, values in gaps.items()}
    kinds: dict[str, list[str]] = {"clearly higher": [], "clearly lower": [], "no clear difference": []}
    for where, gap in found.items():
        kind = "no clear difference" if not gap.clear else f"clearly {'higher' if gap.mean > 0 else 'lower'}"
        kinds[kind].append(f"at {where}: {gap.mean:+.1f} ({gap.low:+.1f} to {gap.high:+.1f})")
    said = "; ".join(f"{kind} {', '.join(places)}" for kind, places in kinds.items() if places)
    seeds = next(iter(found.values())).seeds
    return f"{what}, in points, with 95% intervals from {seeds} seeds: {said}."


def near(what: str, values: Any, expected: float, tolerance: float, **rest: Any) -> Check:
    """Check that a mean is within `tolerance`, a share, of what is expected."""
    return check(
        what, values, expected * (1 - tolerance), expected * (1 + tolerance), expected=expected, **rest
    )


def band(name: str, x: Iterable[Any], values: Array) -> Series:
    """Draw mean, lowest and highest over seeds of (R, n) values, without seeds that have diverged."""
    values = np.asarray(values, float)
    some = np.isfinite(values)
    count = np.maximum(some.sum(axis=0), 1)
    empty = ~some.any(axis=0)
    mean = np.where(some, values, 0).sum(axis=0) / count
    low, high = np.where(some, values, inf).min(axis=0), np.where(some, values, -inf).max(axis=0)
    y, low, high = (tuple(np.where(empty, np.nan, row).tolist()) for row in (mean, low, high))
    return Series(name, tuple(x), y, low, high)


def points(name: str, results: Results, labels: Mapping[Any, Label], quantity: str) -> Series:
    """Draw a quantity (R,) of several cells against what the keys of `labels` say."""
    return band(name, labels, np.stack([results[label][quantity] for label in labels.values()], axis=1))


def curve(name: str, measured: Measured, quantity: str) -> Series:
    """Draw a quantity (R, n) of one cell against its steps, where it is known."""
    known = np.isfinite(measured[quantity]).any(axis=0)
    return band(name, measured["step"][0][known].tolist(), measured[quantity][:, known])


def predicted(name: str, x: Iterable[float], function: Callable[[Any], float]) -> Series:
    """Draw theory: a function of x, as a line without a range."""
    x = tuple(x)
    return Series(name, x, tuple(float(function(value)) for value in x), theory=True)


def mean(values: Any) -> float:
    """Return the mean of what is not NaN."""
    return float(np.nanmean(np.asarray(values, float)))
