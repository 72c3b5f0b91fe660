"""Scale and shift, the last step of every norm."""

from __future__ import annotations

import numpy as np

from .statistics import Affine, Array


def affine(xhat: Array, gamma: Affine, beta: Affine, out: Array | None = None) -> Array:
    """Return ``gamma * xhat + beta`` in new memory, or in `out`; None means 1 and 0."""
    y = np.multiply(xhat, 1 if gamma is None else gamma, out=out)
    if beta is not None:
        y += beta
    return y
