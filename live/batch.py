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
    mean, var = float(cache.mean[0]), float(cache.var[0])
    numbers = {
        "mean": mean,
        "std": float(np.sqrt(var)),
        "y_mean": float(arrays["y"].mean()),
        "y_std": float(arrays["y"].std()),
        "largest": float(np.abs(arrays["normalized"]).max()),
        "bound": float(np.sqrt(len(x) - 1)),
    }
    return {"numbers": numbers, "text": describe(len(x), numbers)}, arrays | histograms


def histogram(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts per bin of EDGES, what lies beyond in the outermost bins."""
    return np.histogram(np.clip(x, EDGES[0], EDGES[-1]), EDGES)[0].astype(np.float64)


def describe(size: int, numbers: dict[str, float]) -> str:
    """What happened to the batch, in words, from the numbers that came out."""
    # Rounding noise such as 3e-17 is shown as the 0 that it stands for; minus is written as printers do.
    shown = {k: f"{0.0 if abs(v) < 1e-9 else v:.3g}".replace("-", "−") for k, v in numbers.items()}
    if size == 1:
        return (
            f"A batch of one is its own mean: x̂ is 0 whatever x is, and y = β = {shown['y_mean']}. "
            "PyTorch refuses to train on it."
        )
    return (
        f"{size} numbers with mean {shown['mean']} and standard deviation {shown['std']} leave with mean "
        f"{shown['y_mean']} and standard deviation {shown['y_std']}. No x̂ can be farther from 0 than "
        f"√({size}−1) = {shown['bound']}; the farthest now is {shown['largest']}."
    )
