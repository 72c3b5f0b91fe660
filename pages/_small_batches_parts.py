"""What the scenes of "Small batches" are drawn with, and the networks that they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnlib import RunConfig
from book import figure as fig
from book.charts import over_seeds
from book.controls import Values, seeds
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, PURPLE, Axis, Figure, Trace

SIZES = (2, 4, 8, 16, 32, 64, 128)  # of norm batches, and of batches of numbers
STEP_BATCH, STEPS, EVERY, RATE = 128, 60, 10, 0.05  # dense networks: samples a step, steps, looks
CONV_BATCH, CONV_STEPS, CONV_RATE, CONV_SIZES = 32, 120, 0.2, (2, 8, 32)
EPOCHS, EPOCH_SIZES, EPOCH_RATE = 2, (2, 4, 16, 64), 0.1  # the usual protocol, its rate at 64 samples
EPOCH = 20 * 64  # samples
FAILED, GUESSED = 40.0, 90.0  # per cent wrong: where a network counts as failed, and of a guess
UNIT = 5
SHADES = "Lines: mean of 8 seeds. Shades: lowest to highest."
NORM_COLOURS = {"batch": BLUE, "group": PURPLE, "layer": GREEN, "none": ORANGE}


def dense(values: Values, m: int = 2, **more: Any) -> RunConfig:
    """Return eight networks of four layers whose step has 128 samples, m of which share statistics."""
    fields: dict[str, Any] = {
        "depth": 4, "batch_size": STEP_BATCH, "lr": RATE, "optimizer": "momentum", "cosine_steps": STEPS,
        "norm_batch": m if m < STEP_BATCH else 0, "dtype": "float64", **seeds(values),
    }  # fmt: skip
    return RunConfig(**(fields | more))


def convolutional(values: Values, m: int, **more: Any) -> RunConfig:
    """Return eight convolutional networks whose step has 32 images, m of which share statistics."""
    fields: dict[str, Any] = {
        "network": "cnn", "depth": 3, "width": 16, "batch_size": CONV_BATCH, "lr": CONV_RATE,
        "cosine_steps": CONV_STEPS, "norm_batch": m if m < CONV_BATCH else 0,
    }  # fmt: skip
    return dense(values, **(fields | more))


def epochs(values: Values, norm: str, size: int) -> RunConfig:
    """Return eight networks trained as usual: the step's batch is the norm's, the rate follows it."""
    more: dict[str, Any] = {"norm": norm, "batch_size": size, "lr": EPOCH_RATE * size / 64, "norm_batch": 0}
    return dense(values, **more, cosine_steps=steps_of(size))


def steps_of(size: int) -> int:
    """Return how many steps of so many samples the usual protocol makes."""
    return EPOCHS * EPOCH // size


def errors_of(cell: Mapping[str, Any], key: str = "val", whole: bool = False) -> Any:
    """Return errors at the end (R,), or all along (R, n); what has diverged is wrong as often as a guess."""
    own = np.nan_to_num(np.asarray(cell[key], dtype=float), nan=GUESSED)
    return own if whole or own.ndim == 1 else own[:, -1]


def near(m: int, sizes: Sequence[int]) -> int:
    """Return the size that is nearest to m by its ratio."""
    return min(sizes, key=lambda size: abs(np.log(size / m)))


def nearest_to(m: int, sizes: Sequence[int]) -> str:
    """Write the size that is shown for m, and that it is another one where no network is trained with m."""
    size = near(m, sizes)
    return f"{size}" if size == m else f"{size} (the trained size nearest to {m})"


def wrong_axis(title: str = "wrong answers", high: float = 100.0) -> Axis:
    """Make the axis of an error, ticks in per cent."""
    ticks = [tick for tick in (0, 20, 40, 60, 80, 100) if tick <= high]
    return fig.axis(0, high, title, ticks, words=[f"{tick}%" for tick in ticks])


def log_wrong_axis(title: str = "wrong answers") -> Axis:
    """Make the logarithmic axis of an error."""
    ticks = [2, 5, 10, 20, 50, 100]
    return fig.log_axis(1.5, 120, title, ticks, words=[f"{tick}%" for tick in ticks])


def size_axis(title: str = "norm batch m", sizes: Sequence[int] = SIZES) -> Axis:
    """Make the axis of batch sizes, with ticks at those that were measured."""
    return fig.log_axis(0.8 * min(sizes), 1.25 * max(sizes), title, sorted(sizes))


def of_sizes(found: Sequence[tuple[int, Any]], name: str, colour: str, **more: Any) -> list[Trace]:
    """Draw errors (R,) over sizes: the mean in a band, and a dot at each size."""
    if not found:
        return []
    x = [size for size, _ in found]
    y = np.stack([np.asarray(own, dtype=float) for _, own in found], axis=1)
    return [
        *over_seeds(x, y, name, colour, **more),
        fig.dots(x, y.mean(axis=0), name, colour, size=6, showlegend=False),
    ]


def marker(m: int, height: Any, name: str, colour: str = INK, control: str = "m") -> Trace:
    """Draw the dot that is dragged to another size."""
    meta = {"drag": control, "axis": "x"}
    return fig.dots([m], [height], name, colour, size=15, alpha=0.55, showlegend=False, meta=meta)


def over_steps(curves: Sequence[tuple[str, str, Any, str]], step: Any, title: str) -> Figure:
    """Draw errors (R, n) over training steps: name, colour, errors and dash of each curve."""
    data: list[Trace] = []
    told = []
    for name, colour, errors, dash in curves:
        data += over_seeds(step, errors, name, colour, dash=dash)
        told.append(f"{name} ends at {errors[:, -1].mean():.1f}%")
    alt = f"Wrong validation answers over steps. {'; '.join(told) or 'Nothing is computed yet'}."
    last = float(step[-1]) if len(step) else float(STEPS)
    return fig.figure(
        data, title, alt, fig.axis(0, last * 1.03, "step"), wrong_axis(), showlegend=True, hint=SHADES
    )


# ---- the first page's small picture --------------------------------------------------------------------


def thumbnail(values: Values) -> Figure:
    """Draw the law of a mean of m numbers over the law of one: it narrows as the batch grows."""
    m = values["batch_size"]
    x = np.linspace(-3, 3, 121)
    one, mean = np.exp(-(x**2) / 2), np.exp(-m * x**2 / 2)
    data = [
        fig.line(x, one, colour=COLOURS[9], width=1.5),
        *fig.band(x, np.zeros_like(x), mean, BLUE, 0.25),
        fig.line(x, mean, colour=BLUE),
    ]
    alt = f"A bell curve of single numbers, and one of means of {m}, {1 / np.sqrt(m):.2f} times as wide."
    return fig.thumbnail(data, "How far a mean of a batch is off", alt, (-3, 3), (0, 1.08))
