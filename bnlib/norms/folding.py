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

    Parameters
    ----------
    weight, axis
        As in `spectral_norm`. Fold each part of one that has groups with its part of the vectors.
    bias, gamma, beta : ndarray of shape (O,) or None, for 0, 1 and 0
    mean, var : ndarray of shape (O,)
        Running statistics, ``var >= 0``. These, bias, gamma and beta may each be float32 or float64, whatever
        weight is: `RunningStats` keeps float64.
    eps : float >= 0
        That of the batch norm. Where ``var + eps`` is 0, the layer gives beta.

    Returns
    -------
    weight, bias : ndarray
        New arrays of the shapes (O, I, *kernel) and (O,) and the dtype of weight, computed in float64.

    Raises
    ------
    ValueError
        If a shape, a dtype, axis or eps breaks the above, or var has a negative or infinite element.

    Notes
    -----
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
