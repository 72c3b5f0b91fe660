"""One batch through batch norm: what the picture of it needs, from its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnlib import batch_norm
from book.controls import EPS_STOPS, Codec, Control, Values, even_stops, log_stops, number

BATCH_LIMIT = 256
MAX_MOVED = 8
DRAW_LIMIT = 9999

# Bars of the histograms; 0, where a batch of one ends up, is in the middle of one.
EDGES = np.linspace(-6.125, 6.125, 50)
UNDEFINED = "0/0, which is undefined (bnlib returns 0); an ε above 0 is there to prevent this"

Array = NDArray[np.float64]
Numbers = dict[str, float]

# What one unit receives from every digit of the training set, kept ready: `worker.digits_batch`.
DIGITS: Array = np.load(Path(__file__).parent.parent / "assets" / "digits_batch.npy")


def _parse_moved(raw: Any) -> tuple[tuple[int, float], ...]:
    """Points dragged away from where they were, as pairs of index and value."""
    try:
        if isinstance(raw, str):
            raw = [(int(index), value) for index, value in (p.split(":") for p in raw.split(",") if p)]
        moved = {_index(index): number(value) for index, value in raw}
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be pairs such as 3:2.5,7:-1") from None
    if len(moved) > MAX_MOVED:
        raise ValueError(f"moves {len(moved)} points, at most {MAX_MOVED} can be")
    for index, value in moved.items():
        if not 0 <= index < BATCH_LIMIT or not abs(value) <= 1e6:
            raise ValueError(f"needs point numbers 0 to {BATCH_LIMIT - 1} and values within a million")
    return tuple(sorted(moved.items()))


def _write_moved(moved: tuple[tuple[int, float], ...]) -> str:
    return ",".join(f"{index}:{value!r}" for index, value in moved)


def _index(raw: Any) -> int:
    if type(raw) is not int:
        raise TypeError
    return raw


# Every size where one more matters, then ever fewer.
SIZES = (*range(1, 33), *range(34, 65, 2), *range(68, 129, 4), *range(136, BATCH_LIMIT + 1, 8))

BATCH_CONTROLS = (
    Control("batch_size", "whole", 32, "batch size", "", 1, BATCH_LIMIT, SIZES),
    Control("gamma", "number", 1.0, "γ gamma", "scale after normalizing", -4, 4, even_stops(-4, 4, 160)),
    Control("beta", "number", 0.0, "β beta", "shift after normalizing", -4, 4, even_stops(-4, 4, 160)),
    Control("eps", "number", 1e-5, "ε eps", "added to the variance", 0, 1, EPS_STOPS),
    Control("moved", "moved", (), "moved points", unset="none", codec=Codec(_parse_moved, _write_moved)),
)

# A source's samples, any number of batches at once: (generator, batch size, batches) -> (size, batches).
SOURCES: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "digits": lambda rng, size, batches: DIGITS[rng.integers(len(DIGITS), size=(size, batches))],
    "gaussian": lambda rng, size, batches: rng.normal(1, 1, (size, batches)),
    "skewed": lambda rng, size, batches: rng.exponential(1.5, (size, batches)),
    "outlier": lambda rng, size, batches: np.where(
        np.arange(size)[:, None] == 0, 5.5, rng.normal(0, 1, (size, batches))
    ),
}

SOURCE_CONTROLS = (
    Control("source", "choice", "digits", "the numbers", choices=tuple(SOURCES)),
    Control("draw", "whole", 0, "which batch", "", 0, DRAW_LIMIT),
    Control("scale", "number", 1.0, "scale", "x is multiplied by it", 1e-8, 1, log_stops(-8, 0, 20)),
)

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_DEFAULTS: Values = {control.name: control.default for control in SOURCE_CONTROLS}

# The transform, one operation after the other, and what there is to be seen from when on.
OPERATIONS = ("x", "mean", "centred", "variance", "root", "divide", "gamma", "beta")


@lru_cache(maxsize=256)
def sample(source: str, draw: int) -> tuple[Array, Array]:
    """Batch number ``draw`` of a source, in full length, and of digits their numbers in the training set.

    Smaller batches are its first numbers. The first batch of digits holds the first digits.
    """
    rng = np.random.default_rng([list(SOURCES).index(source), draw])
    if source != "digits":
        return SOURCES[source](rng, BATCH_LIMIT, 1)[:, 0], np.empty(0)
    order = rng.permutation(len(DIGITS)) if draw else np.arange(len(DIGITS))
    return DIGITS[order[:BATCH_LIMIT]], order[:BATCH_LIMIT].astype(float)


def batch_of(values: Values) -> Array:
    """The batch of a picture's settings: (batch_size,)."""
    x: Array = sample(values["source"], values["draw"])[0][: values["batch_size"]] * values["scale"]
    for index, moved in values["moved"]:
        if index < len(x):
            x[index] = moved
    return x


def transform(values: Values) -> tuple[dict[str, Any], dict[str, Array]]:
    """Batch norm over one batch, one operation after the other.

    Returns the numbers of the equations with a sentence about them, and the arrays x, x − μ, x̂, γx̂, y;
    of x and y also their histograms (counts per bin of EDGES), of x̂ one that ends at the walls
    (`wall_edges`), and in the header how many lie beyond EDGES on either side. Where x is tiny its histogram
    is that of x times ``magnified``. A picture that offers no choice of source shows the default one.
    """
    values = _DEFAULTS | values
    x, eps = batch_of(values), values["eps"]
    gamma, beta = np.array([values["gamma"]]), np.array([values["beta"]])
    normalized, cache = batch_norm(x[:, None], eps=eps)
    scaled, _ = batch_norm(x[:, None], gamma, eps=eps)
    y, _ = batch_norm(x[:, None], gamma, beta, eps=eps)
    mean, var = float(cache.mean[0]), float(cache.var[0])
    arrays = {
        "x": x,
        "centred": x - mean,
        "normalized": normalized[:, 0],
        "scaled": scaled[:, 0],
        "y": y[:, 0],
    }
    numbers: Numbers = {"x_mean": _average(x), "x_std": math.sqrt(var), "x_sum": float(x.sum()), "x_var": var}
    numbers |= {"squares_sum": float(np.square(arrays["centred"]).sum()), "root": math.sqrt(var + eps)}
    for name in ("centred", "normalized", "scaled", "y"):
        numbers |= {f"{name}_mean": _average(arrays[name]), f"{name}_std": float(arrays[name].std())}
    numbers |= {"largest": float(np.abs(normalized).max()), "bound": math.sqrt(len(x) - 1)}
    magnified = max(1.0, 0.5 / values["scale"])
    edges = wall_edges(len(x))
    header: dict[str, Any] = {"numbers": numbers, "magnified": magnified, "beyond": {}}
    header["wall_histogram_ends"] = float(edges[-1])
    header["text"] = describe(len(x), numbers)
    for name, factor in (("x", magnified), ("normalized", 1.0), ("y", 1.0)):
        shown = arrays[name] * factor
        inside = name == "normalized"
        arrays[f"{name}_histogram"] = wall_histogram(shown, edges) if inside else histogram(shown)
        header["beyond"][name] = [int(np.sum(shown < EDGES[0])), int(np.sum(shown >= EDGES[-1]))]
    arrays["digits"] = sample(values["source"], values["draw"])[1][: len(x)]
    return header, arrays


def histogram(x: Array, edges: Array = EDGES) -> Array:
    """Counts per bin of equal width; what lies beyond is in none."""
    bins = len(edges) - 1
    place = np.floor((np.ravel(x) - edges[0]) * (bins / (edges[-1] - edges[0])))
    place = place[(place >= 0) & (place < bins)]
    return np.bincount(place.astype(np.intp), minlength=bins).astype(np.float64)


def wall_edges(size: int) -> Array:
    """Edges of a histogram of x̂: equal bins, an odd number, from wall to wall where EDGES reach that far."""
    bound = math.sqrt(size - 1)
    if not 0 < bound < EDGES[-1]:
        return EDGES
    bins = 2 * round(bound / (EDGES[1] - EDGES[0]) - 0.5) + 1
    return np.linspace(-bound, bound, bins + 1)


def wall_histogram(normalized: Array, edges: Array) -> Array:
    """Counts of x̂ per bin of `wall_edges`; those that rounding puts on a wall or beyond are inside."""
    bound = math.sqrt(len(normalized) - 1) * (1 - 1e-9)
    return histogram(np.clip(normalized, -bound, bound), edges)


def _average(x: Array) -> float:
    """The mean, 0 where it is nothing but rounding."""
    mean = float(x.mean())
    return mean if abs(mean) > 1e-12 * float(np.abs(x).max()) else 0.0


def describe(size: int, numbers: Numbers) -> str:
    """What happened to the batch, in words, from the numbers that came out."""
    shown = {name: brief(number) for name, number in numbers.items()}
    if size == 1:
        normalized = "is 0 whatever x is" if numbers["root"] else f"is {UNDEFINED}"
        return (
            f"A batch of one is its own mean: x̂ {normalized}. So y = β = {shown['y_mean']}. "
            "PyTorch refuses to train on it."
        )
    if not numbers["root"]:
        return (
            f"{size} equal numbers: σ is 0 and so is ε, and every x̂ is {UNDEFINED}. "
            f"So y = β = {shown['y_mean']}."
        )
    return (
        f"{size} numbers with mean {shown['x_mean']} and standard deviation {shown['x_std']} leave with mean "
        f"{shown['y_mean']} and standard deviation {shown['y_std']}. However far a dot is pulled, "
        f"its x̂ stays within √({size}−1) = {numbers['bound']:.2f} of 0; the farthest now is "
        f"{numbers['largest']:.2f}."
    )


def brief(number: float) -> str:
    """Three digits, a real minus, thousands in full, a power of ten for what is tiny: −1,000, 3×10⁻⁶."""
    size = abs(number)
    if size == 0 or size >= 1e-4:
        digits = f"{size:,.0f}" if size >= 1000 else f"{size:.3g}"
    else:
        mantissa, exponent = f"{size:.2e}".split("e")
        power = f"10{str(int(exponent)).translate(_RAISED)}"
        digits = power if float(mantissa) == 1 else f"{float(mantissa):g}×{power}"
    return f"−{digits}" if number < 0 else digits
