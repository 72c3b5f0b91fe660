"""What the scenes about depth share: their networks, names and colours, and curves of gradients."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.lessons import deep
from book import figure as fig
from book.controls import Values, seeds
from book.figure import BLUE, GREEN, INK, ORANGE, PURPLE, Axis, Trace
from book.words import brief

WORDS = {
    "none": "no norm", "batch": "batch norm", "layer": "layer norm", "skip": "batch norm, skip connections",
    "skip_layer": "layer norm, skip connections", "skip_none": "no norm, skip connections",
}  # fmt: skip
LEGEND = WORDS | {"skip": "batch norm, skips"}
SHORT = {"batch": "batch norm", "skip": "with skips"}
COLOURS = {"none": ORANGE, "batch": BLUE, "layer": GREEN, "skip": PURPLE}
SHOWN = tuple(COLOURS)  # the four kinds that are drawn
SAMPLES = 32


def network(values: Values, arm: str, layers: int, **changes: Any) -> RunConfig:
    """Return networks of one kind: digits, each pixel standardized, layers of 64 units, 8 seeds."""
    fields: dict[str, Any] = {"inputs": "standardized", "batch_size": SAMPLES, "dtype": "float64"}
    return deep.network(arm, layers, RunConfig(**{**fields, **seeds(values), **changes}))


@lru_cache(maxsize=1)
def variance() -> float:
    """Return the mean variance of the inputs, over all pixels; a pixel that never changes has 0."""
    return float(RunConfig(inputs="standardized").data().x_train.var(axis=0, dtype=float).mean())


def relative(gradient: Any) -> Any:
    """Return gradients (R, layers) in units of the last layer's."""
    return gradient / gradient[:, -1:]


def over_factors(x: Any, y: Any, name: str, colour: str, **more: Any) -> list[Trace]:
    """Draw the geometric mean over seeds of ``y`` (seeds, len(x)), in a band from lowest to highest."""
    edges = fig.band(x, y.min(axis=0), y.max(axis=0), colour)
    return [*edges, fig.line(x, np.exp(np.log(y).mean(axis=0)), name, colour, **more)]


def closed_form(x: Any, y: Any, first: bool) -> Trace:
    """Draw what theory expects; only the first of a figure has its name in the legend."""
    return fig.line(x, y, "closed form", INK, dash="dash", width=1.5, showlegend=first)


def layer_axis(layers: int) -> Axis:
    """Make the axis of layers, the first one on the left."""
    ticks = [1, *(tick for tick in fig.nice_ticks(1, layers, 6) if tick > 1)]
    return fig.axis(0.5, layers + 0.5, "layer, first to last", [t for t in ticks if t == int(t)])


def power(exponent: float) -> str:
    """Write a power of ten, its exponent rounded."""
    raised = str(round(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if round(exponent) else "1"


def times(ratio: float, digits: int = 3) -> str:
    """Write a ratio; one that is far from 1 as 5×10⁵, one that is very far as the nearest power of ten."""
    if 0.00095 < ratio < 9950:
        return brief(ratio if digits == 3 else float(f"{ratio:.{digits - (ratio < 0.0095)}g}"))
    mantissa, exponent = f"{ratio:.0e}".split("e")
    if abs(int(exponent)) >= 10:
        return power(np.log10(ratio))
    return power(int(exponent)) if mantissa == "1" else f"{mantissa}×{power(int(exponent))}"


def power_axis(most: int, title: str) -> Axis:
    """Make a logarithmic axis from 10^-most to 10^most."""
    every = max(1, -(-most // 4))
    exponents = [k for k in range(-most, most + 1) if k % every == 0]
    words = [power(k) for k in exponents]
    return fig.log_axis(10.0**-most, 10.0**most, title, [10.0**k for k in exponents], words=words)
