"""One batch through batch norm: what the picture of it needs, from its settings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnlib import batch_norm

from .messages import Values

EDGES = np.linspace(-6, 6, 61)


def transform(
    source: NDArray[np.float64], values: Values
) -> tuple[dict[str, object], dict[str, NDArray[np.float64]]]:
    """Batch norm over the first ``batch_size`` numbers of ``source``, some of them moved.

    Returns the numbers of the equations with a sentence about them, and the arrays x, x̂, y with their
    histograms (counts per bin of EDGES; the outermost bins also hold what lies beyond).
    """
    x = source[: values["batch_size"]].copy()
    for index, moved in values["moved"]:
        if index < len(x):
            x[index] = moved
    eps = values["eps"]
    normalized, cache = batch_norm(x[:, None], eps=eps)
    y, _ = batch_norm(x[:, None], np.array([values["gamma"]]), np.array([values["beta"]]), eps=eps)
    arrays = {"x": x, "normalized": normalized[:, 0], "y": y[:, 0]}
    histograms = {f"{name}_histogram": histogram(array) for name, array in arrays.items()}
    numbers = {"x_mean": float(cache.mean[0]), "x_std": float(np.sqrt(cache.var[0]))}
    for name in ("normalized", "y"):
        numbers |= {f"{name}_mean": float(arrays[name].mean()), f"{name}_std": float(arrays[name].std())}
    numbers |= {"largest": float(np.abs(normalized).max()), "bound": float(np.sqrt(len(x) - 1))}
    return {"numbers": numbers, "text": describe(len(x), numbers)}, arrays | histograms


def histogram(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts per bin of EDGES, what lies beyond in the outermost bins."""
    return np.histogram(np.clip(x, EDGES[0], EDGES[-1]), EDGES)[0].astype(np.float64)


def describe(size: int, numbers: dict[str, float]) -> str:
    """What happened to the batch, in words, from the numbers that came out."""
    shown = {name: brief(number) for name, number in numbers.items()}
    if size == 1:
        return (
            f"A batch of one is its own mean: x̂ is 0 whatever x is, and y = β = {shown['y_mean']}. "
            "PyTorch refuses to train on it."
        )
    return (
        f"{size} numbers with mean {shown['x_mean']} and standard deviation {shown['x_std']} leave with mean "
        f"{shown['y_mean']} and standard deviation {shown['y_std']}. However far a dot is pulled, "
        f"its x̂ stays within √({size}−1) = {numbers['bound']:.2f} of 0; the farthest now is "
        f"{numbers['largest']:.2f}."
    )


def brief(number: float) -> str:
    """Three digits, a real minus, thousands in full, and 0 for rounding noise such as 3e-17."""
    size = abs(number)
    digits = "0" if size < 1e-9 else f"{size:,.0f}" if size >= 1000 else f"{size:.3g}"
    return f"−{digits}" if number < 0 and digits != "0" else digits
