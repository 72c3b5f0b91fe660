"""What is measured beside the transform of one batch, theory to hold it against, small figures of both."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from bnlib import batch_norm, norm_backward
from bnlib.theory import gradient_share, output_spread, xhat_cdf, xhat_kurtosis

from . import figure as plot
from .batch import (
    ASSETS,
    BATCH_LIMIT,
    HIGH,
    LOW,
    SIZES,
    SOURCES,
    UNDEFINED,
    Array,
    Batch,
    Numbers,
    counts,
    wall_edges,
    wall_histogram,
)
from .chapter import Light, Meter
from .figure import Figure
from .places import Pooled
from .words import brief, equals

# Shape: so many numbers in batches of one size, and where their shares are held against theory.
POOLED = 16384
PLACES = np.linspace(LOW, HIGH, 246)
KOLMOGOROV = 1.36  # / sqrt(n): what the distance of n independent numbers stays under, 19 times in 20
GRADIENTS = 8192  # numbers in the random gradients sent back, at least 64 gradients
STDS = np.logspace(-9, 1, 121)
LAMP, EXACT = 0.1, 1e-5  # γ and β have six digits

PIXELS = np.fromfile(ASSETS / "digits_batch.bin", np.uint8).reshape(-1, 8, 8)


class Measured(NamedTuple):
    """What came out: numbers, a note about them, and what is drawn and lit."""

    numbers: Numbers
    note: str
    pooled: Pooled | None = None
    meters: tuple[Meter, ...] = ()
    lights: tuple[Light, ...] = ()
    figure: Figure | None = None


# ---- shape -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _many_batches(source: str, size: int) -> Array:
    """Return seeded batches of a source: (size, batches)."""
    return SOURCES[source](np.random.default_rng([97, size]), size, max(1, POOLED // size))


class Pool(NamedTuple):
    """The x̂ of many batches.

    counts, bars : how many lie between PLACES (beyond them are hardly any), and in the bars of `wall_edges`
    at_wall : the share of them that lies within a hundredth of a wall
    """

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
        counts(normalized, HIGH, len(PLACES) - 1),
        wall_histogram(normalized),
        float(np.square(squares).mean()) / max(spread**2, 1e-300),
        float(np.mean(np.abs(normalized) > 0.99 * math.sqrt(size - 1))),
    )


@lru_cache(maxsize=BATCH_LIMIT)
def _expected(size: int) -> tuple[Array, Array]:
    """Return theory's share of x̂ up to each of PLACES, and within each bar of `wall_edges`."""
    edges = wall_edges(size) * (1 + 1e-9)  # what is on a wall is inside
    return xhat_cdf(PLACES, size), np.diff(xhat_cdf(edges, size))


def shape(batch: Batch) -> Measured:
    """Measure how x̂ is distributed over many batches like this one, against those of a Gaussian source."""
    values, size = batch.values, batch.size
    source, eps = values["source"], values["eps"]
    pool = _pooled(source, size, values["scale"], eps)
    total = _many_batches(source, size).size
    expected, bars = _expected(size)
    distance = float(np.abs(np.cumsum(pool.counts) / total - expected[1:]).max())
    chance = KOLMOGOROV / math.sqrt(total)
    words = f"{total // size:,} batches of {size}: "
    if size > 1:
        kurtosis = equals(xhat_kurtosis(size), 2)
        words += f"kurtosis {pool.kurtosis:.2f}; theory: 3·({size}−1)/({size}+1) {kurtosis}. "
    if size == 1:
        words += "every x̂ is 0, whatever the source; there is no shape."
    elif size == 2:
        words += f"Two numbers end at −1 and 1, whatever the source: {pool.at_wall:.1%} of all x̂ are "
        words += "that far out" + (", the others are kept from it by ε." if pool.at_wall < 0.9995 else ".")
    else:
        words += f"The share of x̂ below any point is within {distance:.1%} of theory; chance "
        words += f"alone would give up to {chance:.1%}. {_verdict(source, distance <= chance)}"
    found = {"kurtosis": pool.kurtosis, "distance": distance, "chance": chance}
    return Measured(found, words, Pooled(size * pool.bars / total, size * bars))


def _verdict(source: str, agree: bool) -> str:
    if source == "gaussian":
        return "They agree." if agree else "They differ: theory has no ε."
    return "Theory assumes Gaussian numbers; these are not, " + (
        "but it holds." if agree else "and it shows."
    )


# ---- share -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _gradients(size: int) -> Array:
    return np.random.default_rng([83, size]).normal(size=(size, max(64, GRADIENTS // size)))


@lru_cache(maxsize=64)
def _passed(x: bytes, eps: float) -> float:
    """Return the mean share of random gradients' energy that gets back through the batch ``x`` (float64).

    Energy is the sum of squares; that all of it is divided by √(σ² + ε) doesn't count.
    """
    batch = np.frombuffer(x)
    upstream = _gradients(len(batch))
    _, cache = batch_norm(np.repeat(batch[:, None], upstream.shape[1], axis=1), eps=eps)
    back, _, _ = norm_backward(upstream, cache)
    root = math.sqrt(float(cache.var[0]) + eps)
    return float((np.square(back * root).sum(axis=0) / np.square(upstream).sum(axis=0)).mean())


def share(batch: Batch) -> Measured:
    """Measure how much of a random gradient passes back through this batch, and how much should."""
    size, eps, var = batch.size, batch.values["eps"], batch.numbers["x_var"]
    measured, theory = _passed(batch.arrays["x"].tobytes(), eps), gradient_share(size, var, eps)
    plain, formula = gradient_share(size, 1, 0), f"({size}−2)/{size}"
    if theory - plain >= 5e-4:
        plain, formula = theory, f"({size}−2 + ε²/(σ² + ε)²)/{size}"
    words = f"{_gradients(size).shape[1]:,} random gradients: {measured:.1%} of their energy gets through; "
    if size == 1:
        words += "none can: x̂ is the same whatever x is."
    elif batch.numbers["root"]:
        words += f"theory: {formula} {equals(plain, 1, percent=True)}."
    else:
        theory = 0.0
        words += f"σ² + ε is 0, and theory divides by it: {UNDEFINED}."
    title = "Energy that gets through"
    meter = Meter("share", title, measured, theory, f"{measured:.1%}")
    ticks = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    drawn = _curve(
        f"{title}. {words}", SHARE_X, SHARE_Y, (float(size), measured),
        plot.log_axis(1, 256, "batch size N", ticks), title, ("0", "", "50%", "", "100%"),
    )  # fmt: skip
    return Measured({"share": measured, "share_theory": theory}, words, meters=(meter,), figure=drawn)


SHARE_X: Array = np.array(SIZES, dtype=float)
SHARE_Y: Array = np.array([gradient_share(m, 1, 0) for m in SIZES])


# ---- spread and undo ---------------------------------------------------------------------------------------


def spread(batch: Batch) -> Measured:
    """Measure how far x̂ spreads, against σ."""
    numbers, eps = batch.numbers, batch.values["eps"]
    theory = float(output_spread(np.array(numbers["x_std"]), eps))
    words = f"σ = {brief(numbers['x_std'])}, √ε = {brief(math.sqrt(eps))}. "
    if numbers["root"]:
        words += f"Standard deviation of x̂: {numbers['normalized_std']:.2f}; "
        words += f"σ / √(σ² + ε) {equals(theory, 2)}."
    else:
        words += f"σ / √(σ² + ε) is {UNDEFINED}. The curve is for every σ above 0."
    at = max(numbers["x_std"], STDS[0]), numbers["normalized_std"]
    ticks = [10.0**exponent for exponent in (-8, -6, -4, -2, 0)]
    across = plot.log_axis(1e-9, 10, "σ of the batch", ticks, words=["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"])
    drawn = _curve(
        f"Standard deviation of x̂ against σ. {words}", STDS, output_spread(STDS, eps),
        at if numbers["root"] else None, across, "Standard deviation of x̂", ("0", "", "0.5", "", "1"),
    )  # fmt: skip
    return Measured({"spread_theory": theory}, words, figure=drawn)


def undo(batch: Batch) -> Measured:
    """Measure how far y is from x, and whether the lamp is on."""
    root = batch.numbers["root"]
    away = math.sqrt(float(np.mean(np.square(batch.arrays["y"] - batch.arrays["x"]))))
    distance = min(away / root, 999.0) if root else 0.0 if away == 0 else 999.0
    lit, exact = distance <= LAMP, distance < EXACT
    words = f"y is {distance:.3f} σ away from x (root mean square); the lamp needs {LAMP:g} or less."
    if not root:
        words = f"σ and ε are 0, no unit to measure in; y is {brief(away)} away from x (root mean square)."
    told = f"The lamp is on: y {'=' if exact else '≈'} x" if lit else "The lamp is off"
    found = {"undo_distance": distance, "lamp": float(lit), "exact": float(exact)}
    return Measured(found, words, lights=(Light("undo", lit, told),))


MEASURES = {"shape": shape, "share": share, "spread": spread, "undo": undo}


# ---- small figures -----------------------------------------------------------------------------------------


def _curve(
    alt: str, x: Array, y: Array, point: tuple[float, float] | None, across: Any, title: str, words: Any
) -> Figure:
    """Draw a curve of theory from 0 to 1, and what is measured on it."""
    data = [plot.line(x, y, "theory", plot.INK, width=1.5)]
    if point:
        at, height = point
        stem = {"width": 3, "showlegend": False, "opacity": 0.6, "hoverinfo": "skip"}
        data += [
            plot.line([at, at], [0, height], "", plot.BLUE, **stem),
            plot.dots([at], [height], "measured", plot.BLUE, size=12),
        ]
    up = plot.axis(0, 1.06, ticks=(0, 0.25, 0.5, 0.75, 1), words=words)
    margin = {"l": 42, "r": 12, "t": 8, "b": 40}
    return plot.figure(
        data, title, alt, across | {"showgrid": False}, up, place="side", height=190, margin=margin
    )


def digit_figure(batch: Batch) -> Figure:
    """Draw the handwritten digit behind the chosen dot: square in a figure 130 pixels wide (chapter.css)."""
    plain: dict[str, Any] = {"ticks": (), "visible": False, "showgrid": False}
    return plot.figure(
        [plot.cells(PIXELS[batch.digit][::-1], 0, 16, name="ink", hoverinfo="skip")],
        "Its digit",
        f"The handwritten digit behind the chosen dot: number {batch.digit + 1} of the training set.",
        plot.axis(-0.5, 11.5, **plain), plot.axis(-0.5, 7.5, **plain),
        place="side", height=90, margin={"l": 8, "r": 14, "t": 10, "b": 8},
    )  # fmt: skip
