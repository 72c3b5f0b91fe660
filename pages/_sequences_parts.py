"""What the scenes of "Sequences and streams" share: names, colours, and the first page's picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from book import figure as fig
from book.controls import SEEDS, Values
from book.figure import BLUE, GREEN, INK, ORANGE, PAPER, PURPLE, Figure

SHADES = "Lines: mean of 8 seeds. Bands: lowest to highest."
SIGNS = ((0.0, ORANGE), (0.5, PAPER), (1.0, BLUE))


def first(values: Values) -> int:
    """Return the first of the eight seeds."""
    return SEEDS * int(values["seed"])


def near(value: float, stops: tuple[Any, ...]) -> Any:
    """Return the stop that is nearest to the value."""
    return min(stops, key=lambda stop: abs(stop - value))


def thumbnail(values: Values) -> Figure:
    """Draw how many numbers share a mean in a stream of batches: the last batch has one sample."""
    size, rng = min(int(values["batch_size"]), 16), np.random.default_rng(3)
    x = np.arange(4 * size + 1)
    y = rng.standard_normal(len(x)) * 0.6
    y[-1] = 1.6
    means = [y[k * size : (k + 1) * size].mean() for k in range(4)]
    data = [fig.dots(x[:-1], y[:-1], "samples", BLUE, size=4)]
    for k, mean in enumerate(means):
        data.append(fig.line([k * size - 0.4, (k + 1) * size - 0.6], [mean, mean], "mean", GREEN, width=3))
    data.append(fig.dots(x[-1:], y[-1:], "alone", PURPLE, size=9))
    data.append(fig.line([x[-1] - 0.5, x[-1] + 0.5], [y[-1]] * 2, "its own mean", INK, width=3))
    alt = f"Four batches of {size} numbers with their means, and one number that is its own mean."
    return fig.thumbnail(data, "One number is its own mean", alt, (-1, len(x)), (-2.2, 2.4))
