"""One batch through batch norm: its settings, its numbers, and scripts that compute them elsewhere."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnlib import batch_norm

from .controls import EPS_STOPS, Control, Values, even_stops, log_stops, points_control
from .words import brief

BATCH_LIMIT = 256
DRAW_LIMIT = 9999
TEACHES = 1.5  # where nobody has chosen a dot, it is the one that lies nearest to so many σ from the mean

LOW, HIGH = -6.125, 6.125  # of the axis that all dots are drawn on
UNDEFINED = "0/0, which is undefined (bnlib returns 0); an ε above 0 is there to prevent this"
REFUSED = (
    "PyTorch’s BatchNorm1d refuses an input of shape (1, C) in training with a ValueError; "
    "a convolution’s channel with more than one position works."
)

Array = NDArray[np.float64]
Numbers = dict[str, float]

# What one unit of an untrained network receives from every digit of the training set, kept ready.
ASSETS = Path(__file__).parent.parent / "assets"
DIGITS: Array = np.load(ASSETS / "digits_batch.npy")

# Every size where one more matters, then ever fewer.
SIZES = (*range(1, 33), *range(34, 65, 2), *range(68, 129, 4), *range(136, BATCH_LIMIT + 1, 8))

BATCH_CONTROLS = (
    Control(
        "batch_size", "whole", 32, "batch size", "", 1, BATCH_LIMIT, SIZES,
        about="How many numbers share the mean μ and the variance σ². The fewer there are, the more each of "
        "them moves both.",
    ),
    Control(
        "gamma", "number", 1.0, "γ gamma", "scale", -4, 4, even_stops(-4, 4, 160),
        about="The factor that every x̂ is multiplied by. A network learns it. In PyTorch: weight.",
    ),
    Control(
        "beta", "number", 0.0, "β beta", "shift", -4, 4, even_stops(-4, 4, 160),
        about="The number that is added to every γ · x̂. A network learns it. In PyTorch: bias.",
    ),
    Control(
        "eps", "number", 1e-5, "ε eps", "added to σ²", 0, 1, EPS_STOPS,
        about="Added to σ² before the root is taken, so that nothing is divided by 0. Once it is near σ² or "
        "above, x̂ spreads less than 1. In PyTorch: eps.",
    ),
    points_control(
        "moved", "moved points", BATCH_LIMIT,
        about="The dots of x that were dragged, and where to.",
    ),
    Control(
        "chosen", "whole", -1, "chosen dot", "", -1, BATCH_LIMIT - 1, group="view",
        about="The dot whose lines and digit are shown; −1: the one that lies nearest to 1.5 σ from the "
        "mean.",
    ),
)  # fmt: skip

# A source's samples, any number of batches at once: (generator, batch size, batches) -> (size, batches).
SOURCES: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "digits": lambda rng, size, batches: DIGITS[rng.integers(len(DIGITS), size=(size, batches))],
    "gaussian": lambda rng, size, batches: rng.normal(1, 1, (size, batches)),
    "skewed": lambda rng, size, batches: rng.exponential(1.5, (size, batches)),
    "outlier": lambda rng, size, batches: np.where(
        np.arange(size)[:, None] == 0, 5.5, rng.normal(0, 1, (size, batches))
    ),
}
_NAMES = ("real: from digits", "Gaussian", "skewed", "with an outlier")
_ANEW = ("moved", "chosen")  # goes when other numbers come

SOURCE_CONTROLS = (
    Control(
        "source", "choice", "digits", "the numbers", choices=tuple(SOURCES), names=_NAMES, resets=_ANEW,
        about="Where the numbers x come from: what one unit of an untrained network receives from "
        "handwritten digits, or random numbers of a known distribution.",
    ),
    Control(
        "draw", "next", 0, "Next batch", "same source", 0, DRAW_LIMIT, resets=_ANEW,
        about="Another batch from the same source: μ and σ change a little, the more so the smaller it is.",
    ),
    Control(
        "scale", "number", 1.0, "scale", "times x", 1e-8, 1, log_stops(-8, 0, 20),
        about="Every x is multiplied by it. Batch norm undoes that, as long as σ² stays far above ε.",
    ),
)  # fmt: skip
_DEFAULTS: Values = {control.name: control.default for control in SOURCE_CONTROLS}

# The transform, one operation after the other, and what there is to be seen from when on.
OPERATIONS = ("x", "mean", "centred", "variance", "root", "divide", "gamma", "beta")


class Batch(NamedTuple):
    """One batch and what became of it.

    numbers : of the equations
    arrays : x, centred (x − μ), normalized (x̂), scaled (γ x̂), y; (batch_size,) each
    bars : of x, normalized and y, how many lie in each bar of `bar_edges`
    beyond : of the same, how many lie left and right of the axis
    magnified : how many times x is magnified where it is tiny and has an axis of its own, else 1
    digit : the number in the training set of the digit behind the chosen dot, or −1
    """

    values: Values
    numbers: Numbers
    arrays: dict[str, Array]
    bars: dict[str, Array]
    beyond: dict[str, tuple[int, int]]
    magnified: float
    chosen: int
    digit: int

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return len(self.arrays["x"])

    @property
    def table(self) -> dict[str, Any]:
        """Columns for the CSV."""
        x, x_hat, y = (self.arrays[name] for name in ("x", "normalized", "y"))
        return {"index": np.arange(len(x)), "x": x, "x_hat": x_hat, "y": y}

    def column(self, name: str) -> Array:
        """Return a further column: an array's name, or y_minus_x."""
        return self.arrays["y"] - self.arrays["x"] if name == "y_minus_x" else self.arrays[name]


@lru_cache(maxsize=256)
def sample(source: str, draw: int) -> tuple[Array, NDArray[np.intp]]:
    """Return batch number ``draw`` of a source, in full length; of digits, which ones they are.

    Smaller batches are its first numbers. The first batch of digits holds the first digits.
    """
    rng = np.random.default_rng([list(SOURCES).index(source), draw])
    if source != "digits":
        return SOURCES[source](rng, BATCH_LIMIT, 1)[:, 0], np.empty(0, np.intp)
    order = rng.permutation(len(DIGITS)) if draw else np.arange(len(DIGITS))
    return DIGITS[order[:BATCH_LIMIT]], order[:BATCH_LIMIT]


def batch_of(values: Values) -> Array:
    """Return the batch that settings stand for: (batch_size,)."""
    x: Array = sample(values["source"], values["draw"])[0][: values["batch_size"]] * values["scale"]
    for index, moved in values["moved"]:
        if index < len(x):
            x[index] = moved
    return x


def transform(values: Values) -> Batch:
    """Compute batch norm over one batch, one operation after the other.

    A chapter that offers no choice of source shows the default one. The chosen dot is the reader's choice, or
    the first one that was moved, or by rule one whose equation has something in it: not the mean itself, not
    the farthest.
    """
    values = _DEFAULTS | values
    x, eps = batch_of(values), values["eps"]
    gamma, beta = np.array([values["gamma"]]), np.array([values["beta"]])
    column = x[:, None]
    normalized, cache = batch_norm(column, eps=eps)
    scaled, _ = batch_norm(column, gamma, eps=eps)
    y, _ = batch_norm(column, gamma, beta, eps=eps)
    mean, var, size = float(cache.mean[0]), float(cache.var[0]), len(x)
    centred = x - mean
    arrays = {
        "x": x, "centred": centred, "normalized": normalized[:, 0], "scaled": scaled[:, 0], "y": y[:, 0],
    }  # fmt: skip
    numbers: Numbers = {"x_mean": _average(x), "x_std": math.sqrt(var), "x_sum": float(x.sum()), "x_var": var}
    numbers |= {"squares_sum": float(centred @ centred), "root": math.sqrt(var + eps)}
    for name in ("centred", "normalized", "scaled", "y"):
        numbers |= {f"{name}_mean": _average(arrays[name]), f"{name}_std": float(arrays[name].std())}
    numbers |= {"largest": float(np.abs(arrays["normalized"]).max()), "bound": math.sqrt(size - 1)}
    magnified = max(1.0, 0.5 / values["scale"])
    bars, beyond = {}, {}
    for name, factor in (("x", magnified), ("normalized", 1.0), ("y", 1.0)):
        drawn = arrays[name] * factor if factor > 1 else arrays[name]
        bars[name] = histogram(drawn, size)
        beyond[name] = (int(np.count_nonzero(drawn < LOW)), int(np.count_nonzero(drawn > HIGH)))
    chosen, digits = _chosen(values, centred, numbers["x_std"]), sample(values["source"], values["draw"])[1]
    return Batch(
        values, numbers, arrays, bars, beyond, magnified, chosen, int(digits[chosen]) if len(digits) else -1
    )


def _chosen(values: Values, centred: Array, std: float) -> int:
    wanted = [values.get("chosen", -1), *(index for index, _ in values["moved"])]
    given = next((index for index in wanted if 0 <= index < len(centred)), None)
    # In units of σ, so that neither ε nor a scale lets the choice jump from one dot to another.
    return int(np.abs(np.abs(centred) - TEACHES * std).argmin()) if given is None else given


def _average(x: Array) -> float:
    """Return the mean, 0 where it is nothing but rounding."""
    mean = float(x.mean())
    return mean if abs(mean) > 1e-12 * float(np.abs(x).max()) else 0.0


# ---- histograms ------------------------------------------------------------------------------------------


@lru_cache(maxsize=BATCH_LIMIT)
def wall_edges(size: int) -> Array:
    """Return edges for x̂: equal bars, an odd number, from wall to wall where the axis reaches that far."""
    bound = math.sqrt(size - 1)
    if not 0 < bound < HIGH:
        return np.linspace(LOW, HIGH, 50)  # 0, where a batch of one ends up, is in the middle of a bar
    bars = 2 * round(bound / 0.25 - 0.5) + 1
    return np.linspace(-bound, bound, bars + 1)


@lru_cache(maxsize=BATCH_LIMIT)
def bar_edges(size: int) -> Array:
    """Return the edges of every histogram: those of x̂, and on as wide to the axis's ends, where the rest is.

    One binning for all rows: the same numbers have the same bars, and no wall is within a bar.
    """
    inner = wall_edges(size)
    width, end = inner[1] - inner[0], inner[-1]
    if end == HIGH:
        return inner
    more = max(1, round((HIGH - end) / width))
    outer = [*(end + width * np.arange(1, more)), HIGH]
    return np.array([*(-edge for edge in outer[::-1]), *inner, *outer])


def counts(x: Array, end: float, bars: int) -> Array:
    """Count numbers in equal bars from −``end`` to ``end``; what lies beyond is in none."""
    place = np.floor((np.ravel(x) + end) * (bars / (2 * end)))
    place = place[(place >= 0) & (place < bars)]
    return np.bincount(place.astype(np.intp), minlength=bars).astype(np.float64)


def histogram(x: Array, size: int) -> Array:
    """Count the numbers in each bar of `bar_edges`; what rounding puts on a wall or beyond is inside."""
    inner, bars = wall_edges(size), len(bar_edges(size)) - 1
    inside = x[np.abs(x) <= HIGH] * ((1 - 1e-9) / (inner[1] - inner[0]))
    place = np.floor(inside + 0.5).astype(np.intp) + bars // 2
    return np.bincount(np.clip(place, 0, bars - 1), minlength=bars).astype(np.float64)


def wall_histogram(normalized: Array) -> Array:
    """Count the x̂ of many batches, (size, batches), in the bars of `wall_edges`; on a wall is inside."""
    edges = wall_edges(len(normalized))
    bound = math.sqrt(len(normalized) - 1) * (1 - 1e-9)
    return counts(np.clip(normalized, -bound, bound), float(edges[-1]), len(edges) - 1)


# ---- in words --------------------------------------------------------------------------------------------


def bound_words(numbers: Numbers) -> tuple[str, str]:
    """Write √(N−1) and the largest |x̂| with as many decimals, so that no x̂ seems to be beyond."""
    decimals = 2 if numbers["bound"] < 9.995 else 1
    return f"{numbers['bound']:.{decimals}f}", f"{numbers['largest']:.{decimals}f}"


def describe(batch: Batch, given_away: bool = True) -> str:
    """Say what happened to the batch, from what came out; with the bound only if it may be given away."""
    size, numbers = batch.size, batch.numbers
    shown = {name: brief(numbers[name]) for name in ("x_mean", "x_std", "y_mean", "y_std")}
    if size == 1:
        normalized = "is 0 whatever x is" if numbers["root"] else f"is {UNDEFINED}"
        return f"A batch of one is its own mean: x̂ {normalized}. So y = β = {shown['y_mean']}. {REFUSED}"
    if not numbers["root"]:
        return (
            f"{size} equal numbers: σ is 0 and so is ε, and every x̂ is {UNDEFINED}. "
            f"So y = β = {shown['y_mean']}."
        )
    bound, largest = bound_words(numbers)
    words = (
        f"{size} numbers with mean {shown['x_mean']} and standard deviation {shown['x_std']} leave with mean "
        f"{shown['y_mean']} and standard deviation {shown['y_std']}."
    )
    if not given_away:
        return words
    return (
        f"{words} However far a dot is pulled, its x̂ stays within √({size}−1) = {bound} of 0; "
        f"the farthest now is {largest}."
    )


def dot_words(batch: Batch, reached: int = len(OPERATIONS)) -> str:
    """Say where the chosen dot is: of what has been computed after so many operations."""
    parts = [f"dot {batch.chosen + 1} of {batch.size}: x {brief(batch.arrays['x'][batch.chosen])}"]
    for name, word, since in (("normalized", "normalized", "divide"), ("y", "y", "beta")):
        if reached >= OPERATIONS.index(since):
            parts.append(f"{word} {brief(batch.arrays[name][batch.chosen])}")
    return ", ".join(parts)


# ---- what is taken away ----------------------------------------------------------------------------------

_COMPUTED = """
def average(values):
    mean = values.mean()
    return mean if abs(mean) > 1e-12 * np.abs(values).max() else 0.0  # not what is only rounding


shifted = x - x[0]  # equal numbers then differ from their mean by exactly nothing
centred = shifted - shifted.mean()
root = np.sqrt(np.square(centred).mean() + eps)
x_hat = centred / root if root else 0 * x  # 0/0 is undefined; bnlib returns 0
scaled = gamma * x_hat
y = scaled + beta

numbers = {"x_mean": average(x), "x_std": centred.std(), "x_sum": x.sum(), "x_var": centred.var()}
numbers |= {"squares_sum": np.square(centred).sum(), "root": root}
for name, values in (("centred", centred), ("normalized", x_hat), ("scaled", scaled), ("y", y)):
    numbers |= {f"{name}_mean": average(values), f"{name}_std": values.std()}
numbers |= {"largest": np.abs(x_hat).max(), "bound": np.sqrt(len(x) - 1)}
"""

_PRINTED = """
for name, number in numbers.items():
    print(f"{{name}} = {{float(number)!r}}")
print("index,x,x_hat,y{names}")
for index, row in enumerate(zip(x, x_hat, y{values})):
    print(index, *row, sep=",")
"""


def listed(x: Array, digits: int = 17, width: int = 100) -> str:
    """Write the numbers of a batch as the inside of a Python list, by default to the last digit."""
    numbers = ", ".join(repr(v) if digits > 16 else f"{v:.{digits}g}" for v in x.tolist())
    return textwrap.fill(
        numbers, width, initial_indent="    ", subsequent_indent="    ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def script(values: Values, more: str = "", columns: Sequence[str] = ()) -> str:
    """Write a script that computes the batch with NumPy alone.

    ``more`` adds to its ``numbers``, ``columns`` are arrays of the script that its table has besides.
    """
    values = _DEFAULTS | values
    printed = _PRINTED.format(
        names="".join(f",{name}" for name in columns), values="".join(f", {name}" for name in columns)
    )
    return (
        f"import numpy as np\n\nx = np.array([\n{listed(batch_of(values))},\n])\n"
        f"gamma, beta, eps = {values['gamma']!r}, {values['beta']!r}, {values['eps']!r}\n\n"
        f"{_COMPUTED}{more}{printed}"
    )


def pytorch(values: Values, lines: str = "") -> str:
    """Write a PyTorch program: the batch through BatchNorm1d, as ``bn``, and ``lines`` about it."""
    values = _DEFAULTS | values
    eps, note = (values["eps"], "") if values["eps"] else (1e-30, "  # PyTorch takes no ε of 0")
    batch = batch_of(values)
    numbers = listed(batch, digits=7)
    start = f"import torch\n\nx = torch.tensor([\n{numbers},\n], dtype=torch.float64).reshape(-1, 1)\n"
    if len(batch) == 1:
        return start + _ALONE
    if not values["eps"] and np.ptp(batch) == 0:
        return start + _EQUAL
    start += f"bn = torch.nn.BatchNorm1d(1, eps={eps!r}, dtype=torch.float64){note}\n"
    return start + (lines or _AFFINE.format(gamma=values["gamma"], beta=values["beta"]))


_ALONE = """try:
    torch.nn.BatchNorm1d(1, dtype=x.dtype)(x)
except ValueError:  # one number a channel; of an image each position is one: this works
    torch.nn.BatchNorm2d(1)(torch.randn(1, 1, 8, 8))
print("x_mean =", x.mean().item())
"""
_EQUAL = """print("x_mean =", x.mean().item())
print("x_std =", x.std(correction=0).item())  # and with ε 0, x̂ is 0/0: PyTorch takes no ε of 0
"""
_AFFINE = """torch.nn.init.constant_(bn.weight, {gamma!r})  # γ
torch.nn.init.constant_(bn.bias, {beta!r})  # β
y = bn(x)
print("x_mean =", x.mean().item())
print("x_std =", x.std(correction=0).item())
print("y_mean =", round(y.mean().item(), 12))
print("y_std =", y.std(correction=0).item())
"""
