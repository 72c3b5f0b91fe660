"""What the scenes of "One batch" measure beside the transform itself, and the theory to hold it against."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bnlib import batch_norm, norm_backward
from bnlib.theory import gradient_share, output_spread, xhat_cdf
from book.controls import Values

from .batch import (
    EDGES,
    SIZES,
    SOURCES,
    UNDEFINED,
    Array,
    Numbers,
    brief,
    histogram,
    wall_edges,
    wall_histogram,
)

# Shape: so many numbers in batches of one size, and where their shares are held against theory.
POOLED = 16384
PLACES = np.linspace(EDGES[0], EDGES[-1], 5 * (len(EDGES) - 1) + 1)
KOLMOGOROV = 1.36  # / sqrt(n): what the distance of n independent numbers stays under, 19 times in 20
GRADIENTS = 8192  # numbers in the random gradients sent back, at least 64 gradients
STDS = np.logspace(-9, 1, 121)
LAMP, EXACT = 0.1, 1e-5  # γ and β have six digits

Arrays = dict[str, Array]
Measured = tuple[Numbers, str, Arrays]


@lru_cache(maxsize=32)
def _many_batches(source: str, size: int) -> Array:
    """Seeded batches of a source: (size, batches)."""
    return SOURCES[source](np.random.default_rng([97, size]), size, max(1, POOLED // size))


class Pool(NamedTuple):
    """The x̂ of many batches: counts between PLACES (beyond them are hardly any) and in the bars of
    `wall_edges`, their kurtosis, and the share of them that lies within a hundredth of a wall."""

    counts: Array
    bars: Array
    kurtosis: float
    at_wall: float


@lru_cache(maxsize=512)
def _pooled(source: str, size: int, scale: float, eps: float) -> Pool:
    normalized, _ = batch_norm(_many_batches(source, size) * scale, eps=eps)
    squares = np.square(normalized)  # their mean over a batch is all there is to centre
    spread = float(squares.mean())
    return Pool(
        histogram(normalized, PLACES),
        wall_histogram(normalized, wall_edges(size)),
        float(np.square(squares).mean()) / max(spread**2, 1e-300),
        float(np.mean(np.abs(normalized) > 0.99 * math.sqrt(size - 1))),
    )


@lru_cache(maxsize=256)
def _expected(size: int) -> tuple[Array, Array]:
    """Theory's share of x̂ up to each of PLACES, and within each bar of `wall_edges`."""
    edges = wall_edges(size) * (1 + 1e-9)  # what is on a wall is inside
    return xhat_cdf(PLACES, size), np.diff(xhat_cdf(edges, size))


def shape(values: Values, numbers: Numbers, arrays: Arrays) -> Measured:
    """How x̂ is distributed over many batches like this one, and how it would be for a Gaussian source."""
    size, source = values["batch_size"], values["source"]
    pool = _pooled(source, size, values["scale"], values["eps"])
    total = _many_batches(source, size).size
    expected, bars = _expected(size)
    distance = float(np.abs(np.cumsum(pool.counts) / total - expected[1:]).max())
    chance = KOLMOGOROV / math.sqrt(total)
    words = f"{total // size:,} batches of {size}: "
    kurtosis = 3 * (size - 1) / (size + 1)
    tails = f"kurtosis {pool.kurtosis:.2f}; theory: 3·({size}−1)/({size}+1) {equals(kurtosis, 2)}. "
    if size == 1:
        words += "every x̂ is 0, whatever the source; there is no shape."
    elif size == 2:
        words += f"{tails}Two numbers end at −1 and 1, whatever the source: {pool.at_wall:.1%} of all x̂ are "
        words += "that far out" + (", the others are kept from it by ε." if pool.at_wall < 0.9995 else ".")
    else:
        words += f"{tails}The share of x̂ below any point is within {distance:.1%} of theory; as many "
        words += f"independent values would stray up to {chance:.1%}. {_verdict(source, distance <= chance)}"
    curves = {"pooled": size * pool.bars / total, "theory": size * bars}
    return {"kurtosis": pool.kurtosis, "distance": distance, "chance": chance}, words, curves


def _verdict(source: str, agree: bool) -> str:
    if source == "gaussian":
        return "They agree." if agree else "They differ: theory has no ε."
    return "Theory assumes Gaussian numbers; these are not, " + (
        "but it holds." if agree else "and it shows."
    )


def equals(number: float, digits: int, percent: bool = False) -> str:
    """``= 0.75``, or ``≈ 0.67`` where digits were dropped."""
    shown = f"{number:.{digits}{'%' if percent else 'f'}}"
    exact = math.isclose(number, round(number, digits + 2 * percent), abs_tol=1e-9)
    return f"{'=' if exact else '≈'} {shown}"


@lru_cache(maxsize=32)
def _gradients(size: int) -> Array:
    return np.random.default_rng([83, size]).normal(size=(size, max(64, GRADIENTS // size)))


@lru_cache(maxsize=64)
def _passed(x: bytes, eps: float) -> float:
    """The mean share of random gradients' energy that gets back through the batch ``x`` (float64)."""
    batch = np.frombuffer(x)
    upstream = _gradients(len(batch))
    _, cache = batch_norm(np.repeat(batch[:, None], upstream.shape[1], axis=1), eps=eps)
    back, _, _ = norm_backward(upstream, cache)
    root = math.sqrt(float(cache.var[0]) + eps)
    return float((np.square(back * root).sum(axis=0) / np.square(upstream).sum(axis=0)).mean())


def share(values: Values, numbers: Numbers, arrays: Arrays) -> Measured:
    """How much of a random gradient passes back through this batch, and how much should."""
    size, eps, var = values["batch_size"], values["eps"], numbers["x_var"]
    measured, theory = _passed(arrays["x"].tobytes(), eps), gradient_share(size, var, eps)
    plain, formula = gradient_share(size, 1, 0), f"({size}−2)/{size}"
    if theory - plain >= 5e-4:
        plain, formula = theory, f"({size}−2 + ε²/(σ² + ε)²)/{size}"
    words = f"{_gradients(size).shape[1]:,} random gradients: {measured:.1%} of their energy gets through; "
    if size == 1:
        words += "none can: x̂ is the same whatever x is."
    elif numbers["root"]:
        words += f"theory: {formula} {equals(plain, 1, percent=True)}."
    else:
        theory = 0.0
        words += f"σ² + ε is 0, and theory divides by it: {UNDEFINED}."
    curve = {
        "share_x": np.array(SIZES, dtype=float),
        "share_y": np.array([gradient_share(m, 1, 0) for m in SIZES]),
    }
    return {"share": measured, "share_theory": theory}, words, curve


def spread(values: Values, numbers: Numbers, arrays: Arrays) -> Measured:
    """How far x̂ spreads, against σ."""
    theory = float(output_spread(np.array(numbers["x_std"]), values["eps"]))
    words = f"σ = {brief(numbers['x_std'])} and √ε = {brief(math.sqrt(values['eps']))}: "
    if numbers["root"]:
        words += f"x̂ spreads {numbers['normalized_std']:.2f}; σ / √(σ² + ε) {equals(theory, 2)}."
    else:
        words += f"σ / √(σ² + ε) is {UNDEFINED}. The curve stands for every σ above 0."
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
    words = f"On average y is {distance:.3f} σ away from x; the lamp needs {LAMP:g} or less."
    if not root:
        words = f"σ and ε are 0, no unit to measure in; on average y is {brief(away)} away from x."
    found = {"undo_distance": distance, "lamp": float(lit), "exact": float(distance < EXACT)}
    return found, words, {}


MEASURES: dict[str, Callable[[Values, Numbers, Arrays], Measured]] = {
    "shape": shape,
    "share": share,
    "spread": spread,
    "undo": undo,
}
