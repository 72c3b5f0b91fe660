"""Batch norm in inference, put into the linear layer before it."""

from __future__ import annotations

import numpy as np

from .checks import checked_eps, checked_variance, checked_weight, one_each
from .statistics import Affine, Array, rsqrt
from .weights import from_columns, to_columns


def fold_batch_norm(
    weight: Array, bias: Affine, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *,
    eps: float = 1e-5, axis: int = 0,
) -> tuple[Array, Array]:  # fmt: skip
    """Put batch norm in inference into the weight and bias of the linear layer or convolution before it.

    weight and axis are as in `spectral_norm`; fold each part of a weight that has groups with its part of the
    vectors. bias, mean, var >= 0, gamma and beta are ndarrays of shape (O,), None for 0, 1 and 0; each may be
    float32 or float64, whatever weight is: `RunningStats` keeps float64. eps is that of the batch norm; where
    ``var + eps`` is 0, the layer gives beta. The results are new arrays of the shapes (O, I, *kernel) and
    (O,) and the dtype of weight, computed in float64. Anything else raises ValueError.

    Batch norm is ``s x + (beta - s mean)`` with ``s = gamma / sqrt(var + eps)`` (Ioffe & Szegedy 2015,
    Algorithm 2): s enters the weight, ``s (b - mean) + beta`` is the bias (Jacob et al. 2018, section 3.2).
    """
    name = "fold_batch_norm"
    weight, axis = checked_weight(name, "weight", weight, axis)
    eps = checked_eps(name, eps, float)
    given = {"mean": mean, "var": var}
    for label, array in (("bias", bias), ("gamma", gamma), ("beta", beta)):
        given |= {} if array is None else {label: array}
    given = {k: one_each(name, k, a, weight.shape, axis).astype(np.float64) for k, a in given.items()}
    scale = rsqrt(checked_variance(name, given["var"]), eps) * given.get("gamma", 1)
    shift = (given.get("bias", 0) - given["mean"]) * scale + given.get("beta", 0)
    folded = (to_columns(weight, axis) * scale).astype(weight.dtype)
    return from_columns(folded, weight.shape, axis), shift.astype(weight.dtype)
