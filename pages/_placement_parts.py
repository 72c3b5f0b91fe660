"""What the scenes of "Placement" are drawn with, and the networks that they train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from bnlib import RunConfig
from bnlib.lessons.placement import EDGES
from book import figure as fig
from book.controls import Values, seeds
from book.figure import BLUE, INK, PURPLE, Figure

SIZES = (1, 2, 4, 8, 16, 32, 64)  # of batches
SIDES = ("8", "4", "2", "1", "dense")  # positions across, behind a convolution; or a dense layer
KEPT = 9 * 16, 64  # weights of one channel: of the convolution, of the dense layer
LOOKS = (0, 10, 20, 50, 100, 200)  # training steps that are looked at
RATES = ("0.1", "0.3", "1")
ORDERS = ("before", "after")
ACTIVATIONS = {"relu": "ReLU", "sigmoid": "sigmoid", "tanh": "tanh"}
TINTS = {"before": BLUE, "after": PURPLE}
GAMMAS = (0.0, 0.05, 0.2, 1.0, 2.0)
BETAS = (-2.0, -1.0, 0.0, 1.0, 2.0)
STEPS = 100  # of the networks whose start is changed
DEEP = 10  # layers, where gamma's start is changed
EVERY, UNIT = 10, 5  # of the bias: steps between looks, the unit that is shifted
PHI: dict[str, Callable[[Any], Any]] = {
    "relu": lambda z: np.maximum(z, 0), "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh,
}  # fmt: skip
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


def config_of(values: Values, **more: Any) -> RunConfig:
    """Return eight dense networks with three hidden layers of 64 units."""
    fields: dict[str, Any] = {"dtype": "float64", **seeds(values)}
    return RunConfig(**(fields | more))


def layer_of(values: Values) -> tuple[str, int]:
    """Return which layer the first scene looks at, "cnn" or "mlp", and how many positions it has across."""
    side = values["side"]
    return ("mlp", 1) if side == "dense" else ("cnn", int(side))


def look(step: int) -> int:
    """Return the place of the last look that is not behind ``step``."""
    return max(place for place, there in enumerate(LOOKS) if there <= step)


@lru_cache(maxsize=64)
def passed_on(
    activation: str, order: str, norm: str = "batch", gamma: float = 1.0, beta: float = 0.0
) -> tuple[float, float]:
    """Return mean and standard deviation of what a layer passes on whose linear map puts out a bell curve.

    The map's outputs are standard Gaussian; integrals are sums over 16,001 places from -8 to 8.
    """
    z = np.linspace(-8, 8, 16_001)
    weight = np.exp(-z * z / 2)
    weight /= weight.sum()
    before = order == "before" and norm != "none"
    out = PHI[activation](gamma * z + beta if before else z)
    mean = float(weight @ out)
    std = sqrt(float(weight @ (out - mean) ** 2))
    return (mean, std) if before or norm == "none" else (beta, abs(gamma))


class Panel(NamedTuple):
    """A histogram: shares of numbers by bin of `EDGES`.

    outline : another one, drawn as a line; note, inside : words beside the title, and in the left corner
    """

    title: str
    shares: Any
    colour: str = BLUE
    outline: Any = None
    note: str = ""
    inside: str = ""


def panels(
    columns: Sequence[Sequence[Panel]], title: str, alt: str, x: str = "", narrow: bool = False, **more: Any
) -> Figure:
    """Draw histograms in columns, one below the other, all over the same numbers from -4 to 4."""
    data, notes, axes = [], [], {}
    wide, count = 1 / len(columns), len(columns[0])
    for k, column in enumerate(columns):
        left, right = k * wide + 0.02 * (k > 0), (k + 1) * wide - 0.02 * (k < len(columns) - 1)
        for row, panel in enumerate(column):
            number = k * count + row + 1
            tail = "" if number == 1 else str(number)
            top, bottom = 1 - row / count - 0.07, 1 - (row + 1) / count + 0.025
            ticks = (-4, 0, 4) if narrow else (-4, -2, 0, 2, 4)
            last = row == count - 1
            axes[f"xaxis{tail}"] = fig.axis(
                -4, 4, x if last else "", ticks, domain=[left, right], anchor=f"y{tail}",
                showticklabels=last, words=[str(t).replace("-", "−") for t in ticks],
            )  # fmt: skip
            peak = max(float(np.max(panel.shares, initial=0)), 1e-9)
            if panel.outline is not None:
                peak = max(peak, float(np.max(panel.outline)))
            axes[f"yaxis{tail}"] = fig.axis(
                0, 1.06 * peak, "", (), domain=[bottom, top], anchor=f"x{tail}", showgrid=False
            )
            place = {"xaxis": f"x{tail}", "yaxis": f"y{tail}"}
            data.append(
                fig.bars(CENTRES, panel.shares, panel.title, panel.colour, alpha=0.75, width=0.1) | place
            )
            if panel.outline is not None:
                line = fig.line(CENTRES, panel.outline, "without the bias", INK, width=1.2, dash="dash")
                data.append(line | place)
            at = {"xref": f"x{tail}", "yref": f"y{tail}"}
            notes.append(
                fig.label(-4, 1.06 * peak, panel.title, INK, 12, xanchor="left", yanchor="bottom", **at)
            )
            if panel.note:
                beside = {"xanchor": "right", "yanchor": "bottom"}
                notes.append(fig.label(4, 1.06 * peak, panel.note, INK, 11, **beside, **at))
            if panel.inside:
                corner = {"xanchor": "left", "yanchor": "top"}
                notes.append(fig.label(-4, peak, panel.inside, INK, 11, **corner, **at))
    x1, y1 = axes.pop("xaxis"), axes.pop("yaxis")
    margin = {"l": 14, "r": 14, "t": 10, "b": 44}
    data += more.pop("data", [])
    return fig.figure(
        data, title, alt, x1, y1, annotations=[*notes, *more.pop("annotations", [])], bargap=0,
        barmode="overlay", margin=margin, **axes, **more,
    )  # fmt: skip


def shares_of(values: Any) -> Any:
    """Return the share of numbers in each bin of `EDGES`."""
    clipped = np.clip(np.ravel(values), EDGES[0], EDGES[-1] - 1e-9)
    return np.histogram(clipped, EDGES)[0] / np.size(values)
