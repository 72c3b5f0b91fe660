"""What the scenes of "One batch" measure beside the transform itself, and the theory to hold it against."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from bnlib import batch_norm, norm_backward
from bnlib.theory import gradient_share, output_spread, xhat_cdf

from .batch import EDGES, SIZES, SOURCES, Array, Numbers, brief, histogram
from .controls import Values

# Shape: so many numbers in batches of one size; a bar of the histograms is FINE places wide.
POOLED, FINE = 16384, 5
PLACES = np.linspace(EDGES[0], EDGES[-1], FINE * (len(EDGES) - 1) + 1)
KOLMOGOROV = 1.36  # / sqrt(n): what the distance of n independent numbers stays under, 19 times in 20
GRADIENTS = 8192  # numbers in the random gradients sent back, at least 64 gradients
STDS = np.logspace(-9, 1, 121)
LAMP = 0.1

Arrays = dict[str, Array]
Measured = tuple[Numbers, str, Arrays]


@lru_cache(maxsize=32)
def _many_batches(source: str, size: int) -> Array:
    """Seeded batches of a source: (size, batches)."""
    return SOURCES[source](np.random.default_rng([97, size]), size, max(1, POOLED // size))


@lru_cache(maxsize=512)
def _pooled(source: str, size: int, scale: float, eps: float) -> tuple[Array, float]:
    """The x̂ of many batches: counts between PLACES (beyond them are hardly any), and their kurtosis."""
    normalized, _ = batch_norm(_many_batches(source, size) * scale, eps=eps)
    squares = np.square(normalized)  # their mean over a batch is all there is to centre
    spread = float(squares.mean())
    return histogram(normalized, PLACES), float(np.square(squares).mean()) / max(spread**2, 1e-300)


def shape(values: Values, numbers: Numbers, arrays: Arrays) -> Measured:
    """How x̂ is distributed over many batches like this one, and how it would be for a Gaussian source."""
    size, source = values["batch_size"], values["source"]
    counts, kurtosis = _pooled(source, size, values["scale"], values["eps"])
    total = _many_batches(source, size).size
    expected = xhat_cdf(PLACES, size)
    distance = float(np.abs(np.cumsum(counts) / total - expected[1:]).max())
    chance = KOLMOGOROV / math.sqrt(total)
    agree = distance <= chance
    words = (
        f"{total // size:,} batches of {size}: the share of x̂ below any point is within {distance:.1%} of "
        f"theory; chance alone gives up to {chance:.1%}. "
    )
    if source == "gaussian":
        words += "They agree." if agree else "They differ: theory has no ε."
    else:
        words += "Theory assumes Gaussian numbers; these are not, " + (
            "but it holds." if agree else "and it shows."
        )
    half = FINE // 2
    window = np.pad(expected, half, mode="edge")  # as a histogram with our bars would show it
    curves = {
        "pooled": size * counts.reshape(-1, FINE).sum(axis=1) / total,
        "theory": size * (window[FINE:] - window[:-FINE]),
    }
    found = {"kurtosis": kurtosis, "distance": distance, "chance": chance}
    return found, words, curves


@lru_cache(maxsize=32)
def _gradients(size: int) -> Array:
    return np.random.default_rng([83, size]).normal(size=(size, max(64, GRADIENTS // size)))


def share(values: Values, numbers: Numbers, arrays: Arrays) -> Measured:
    """How much of a random gradient passes back through this batch, and how much should."""
    size, eps, var = values["batch_size"], values["eps"], numbers["x_var"]
    upstream = _gradients(size)
    x = np.repeat(arrays["x"][:, None], upstream.shape[1], axis=1)
    _, cache = batch_norm(x, eps=eps)
    back, _, _ = norm_backward(upstream, cache)
    passed = np.square(back * numbers["root"]).sum(axis=0) / np.square(upstream).sum(axis=0)
    measured, theory = float(passed.mean()), gradient_share(size, var, eps)
    plain = f"({size}−2)/{size}" if size > 1 else "0"
    words = (
        f"{upstream.shape[1]:,} random gradients: {measured:.1%} of their energy gets through; "
        f"theory: {plain} = {gradient_share(size, 1, 0):.1%}"
    )
    if theory - gradient_share(size, 1, 0) >= 5e-4:
        words += f", {theory:.1%} with this ε"
    curve = {
        "share_x": np.array(SIZES, dtype=float),
        "share_y": np.array([gradient_share(m, 1, 0) for m in SIZES]),
    }
    return {"share": measured, "share_theory": theory}, words + ".", curve


def spread(values: Values, numbers: Numbers, arrays: Arrays) -> Measured:
    """How far x̂ spreads, against σ."""
    theory = float(output_spread(np.array(numbers["x_std"]), values["eps"]))
    words = (
        f"σ = {brief(numbers['x_std'])} and √ε = {brief(math.sqrt(values['eps']))}: "
        f"x̂ spreads {numbers['normalized_std']:.2f}; σ / √(σ² + ε) = {theory:.2f}."
    )
    return (
        {"spread_theory": theory},
        words,
        {"spread_x": STDS, "spread_y": output_spread(STDS, values["eps"])},
    )


def undo(values: Values, numbers: Numbers, arrays: Arrays) -> Measured:
    """How far y is from x, and whether the lamp is on."""
    root, away = numbers["root"], math.sqrt(float(np.mean(np.square(arrays["y"] - arrays["x"]))))
    distance = min(away / root, 999.0) if root else 0.0 if away == 0 else 999.0
    lit = distance <= LAMP
    words = f"On average y is {brief(round(distance, 3))} σ away from x; the lamp needs {LAMP:g} or less."
    return {"undo_distance": distance, "lamp": float(lit)}, words, {}


MEASURES: dict[str, Callable[[Values, Numbers, Arrays], Measured]] = {
    "shape": shape,
    "share": share,
    "spread": spread,
    "undo": undo,
}
