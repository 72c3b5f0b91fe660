"""What the scenes of "Regularization" are drawn with, and the networks that they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.experiments.intervals import Interval
from bnlib.lessons.regularization import spread_law
from book import figure as fig
from book.charts import over_seeds
from book.controls import Values, seeds
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, PURPLE, Axis, Figure, Trace

SIZES = (2, 4, 8, 16, 32, 64, 128)  # of the batches that a digit is put into
UNIT = 5  # of the untrained network's first layer
STEP_BATCH, TRAINED = 64, 640  # samples of a step, and of all training
LABEL_SIZES = (2, 4, 8, 16, 64)  # norm batches of trained networks
SMALL = 4  # the norm batch that regularizes
STEPS, EVERY, RATE = 200, 20, 0.05
WRONG = (0.0, 0.1, 0.3)  # shares of labels that are wrong
DROPOUT = 0.34  # as large a share of noise as norm batches of 4 make
SLOW = 0.1  # of the learning rate
SUSPECTS = {  # by name: what it is called, and its colour
    "noise": ("noise of 4, gradient of 64", GREEN),
    "dropout": (f"dropout p = {DROPOUT:g}", PURPLE),
    "slow": ("a tenth of the learning rate", COLOURS[7]),
    "stop": ("stopped at its best step", COLOURS[5]),
}
ARMS = {"small": (f"m = {SMALL}", ORANGE), **SUSPECTS, "whole": (f"m = {STEP_BATCH}", BLUE)}
REPEATED = ("whole", "dropout", "slow")  # arms that other programs find again: rounding errors don't grow
RATES = (0.2, 0.5, 0.7)  # p of dropout
ORDERS = {"before": "in front of norms 2 and 3", "behind": "behind the last norm only"}
DROP_STEPS = 150
SHADES = "Lines: mean of 8 seeds. Shades: lowest to highest."


def dense(values: Values, m: int = STEP_BATCH, **more: Any) -> RunConfig:
    """Return eight networks as in experiment E17: 640 digits, 3 of 10 labels wrong, m share statistics."""
    fields: dict[str, Any] = {
        "depth": 3, "batch_size": STEP_BATCH, "train_samples": TRAINED, "label_noise": 0.3, "lr": RATE,
        "optimizer": "momentum", "norm_batch": m if m < STEP_BATCH else 0, "dtype": "float64",
        "record_every": 10**6, "validate_every": 10**6, **seeds(values),
    }  # fmt: skip
    return RunConfig(**(fields | more))


def rates_of(order: str, p: float) -> tuple[float, float, float]:
    """Return the rates of dropout behind each of the three layers."""
    return (p, p, 0.0) if order == "before" else (0.0, 0.0, p)


def near(value: float, grid: Sequence[float]) -> Any:
    """Return the nearest value that was computed; sizes are compared by their ratio."""
    if min(grid) >= 2:
        return min(grid, key=lambda one: abs(np.log(one / value)))
    return min(grid, key=lambda one: abs(one - value))


def tabled(m: int) -> tuple[int, ...]:
    """Return the norm batches of a table: 4, 64, and 8 or 16 between them, whichever is shown."""
    return SMALL, (16 if m == 16 else 8), STEP_BATCH


@lru_cache(maxsize=64)
def law_of(z: float, m: int) -> tuple[float, float]:
    """Return mean and standard deviation of x̂ of a number z among Gaussian companions."""
    mean, std = spread_law(z, m)
    return float(mean), float(std)


def said(gain: Interval, ahead: str, behind: str) -> str:
    """Write a difference in points, and what its sign means where the interval leaves out 0."""
    clear = ahead if gain.mean > 0 else behind
    return f"{gain.text().replace('-', '−')}{clear if gain.clear else ': no clear difference'}"


def of(cell: Any, key: str) -> Any:
    """Return an array of what a job found; None if it isn't there yet."""
    return None if cell is None else cell[key]


# ---- figures ---------------------------------------------------------------------------------------------


def wrong_axis(high: float = 60.0, title: str = "wrong answers") -> Axis:
    """Make the axis of an error, ticks in per cent."""
    ticks = [tick for tick in range(0, 101, 10 if high <= 60 else 20) if tick <= high]
    return fig.axis(0, high, title, ticks, words=[f"{tick}%" for tick in ticks])


Curve = tuple[str, str, Any, str]  # name, colour, (R, n) or None, dash


def over_steps(curves: Sequence[Curve], title: str, y: Axis, scale: float = 1.0, **more: Any) -> Figure:
    """Draw curves over training steps, each the mean of its seeds in a band; what isn't there is left out."""
    data: list[Trace] = []
    told = []
    for name, colour, values, dash in curves:
        if values is not None:
            steps = np.arange(values.shape[1]) * EVERY
            data += over_seeds(steps, values, name, colour, dash=dash)
            told.append(f"{name} ends at {scale * values[:, -1].mean():.1f}%")
    alt = f"Curves over steps. {'; '.join(told) or 'Nothing is computed yet'}."
    hint = more.pop("hint", SHADES)
    return fig.figure(
        data, title, alt, fig.axis(0, 1.02 * STEPS, "step"), y, showlegend=True, hint=hint, **more
    )


def by_size(found: Mapping[Any, Any], name: str, colour: str, **more: Any) -> list[Trace]:
    """Draw values (R,) over sizes or rates: the mean in a band, and a dot at each."""
    if not found:
        return []
    x = sorted(found)
    y = np.stack([np.asarray(found[one], dtype=float) for one in x], axis=1)
    dots = fig.dots(x, y.mean(axis=0), name, colour, size=6, showlegend=False)
    return [*over_seeds(x, y, name, colour, **more), dots]


def marker(at: float, height: float, control: str, name: str) -> Trace:
    """Draw the large dot that is dragged to another setting."""
    meta = {"drag": control, "axis": "x"}
    return fig.dots([at], [height], name, INK, size=15, alpha=0.55, showlegend=False, meta=meta)


# ---- the first page's small picture ----------------------------------------------------------------------


def thumbnail(values: Values) -> Figure:
    """Draw where x̂ of a digit lands in other batches of the size that is set: the spread of the law."""
    m = max(2, int(values["batch_size"]))
    mean, std = law_of(1.0, m)
    x = np.linspace(-1, 3, 121)
    bell = np.exp(-(((x - mean) / max(std, 1e-3)) ** 2) / 2)
    data = [
        *fig.band(x, np.zeros_like(x), bell, ORANGE, 0.3),
        fig.line(x, bell, colour=ORANGE),
        fig.line([1, 1], [0, 1.08], colour=INK, dash="dot", width=1.5),
    ]
    alt = f"A bell around a dotted line: a digit’s x̂ in other batches of {m} scatters by {std:.2f}."
    return fig.thumbnail(data, "The same digit in other company", alt, (-1, 3), (0, 1.12))
