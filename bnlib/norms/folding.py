"""Batch norm in inference, put into the linear layer before it."""

from __future__ import annotations

from math import isfinite
from numbers import Real

from .checks import checked_weight, matching
from .statistics import Affine, Array, rsqrt


def fold_batch_norm(
    weight: Array, bias: Affine, mean: Array, var: Array, gamma: Affine = None, beta: Affine = None, *,
    eps: float = 1e-5,
) -> tuple[Array, Array]:  # fmt: skip
    """The weight and bias with which a linear layer or convolution is what it was with batch norm behind it.

    weight (O, I, *kernel), float32 or float64, and bias (O,) or None are the layer's in PyTorch's layout;
    the others as in `norms.batch_norm_inference`: mean, ``var >= 0``, gamma and beta (O,), all of one dtype.
    Returns new arrays. Raises ValueError if a shape, a dtype or eps is wrong.

    Notes
    -----
    Batch norm is ``s x + (beta - s mean)`` with ``s = gamma / sqrt(var + eps)`` (Ioffe & Szegedy 2015,
    Algorithm 2): s enters the weight, ``s (b - mean) + beta`` is the bias (Jacob et al. 2018, section 3.2).
    """
    name = "fold_batch_norm"
    weight = checked_weight(name, "weight", weight)
    if not (isinstance(eps, Real) and isfinite(eps) and eps >= 0):
        raise ValueError(f"{name}: eps={eps!r} must be finite and not negative; try 1e-5")
    optional = {"bias": bias, "gamma": gamma, "beta": beta}
    given = {label: array for label, array in optional.items() if array is not None}
    rule = (weight.shape[:1], weight.dtype, f"try np.ones({len(weight)}, weight.dtype)")
    given = {k: matching(name, k, a, *rule) for k, a in ({"mean": mean, "var": var} | given).items()}
    if (given["var"] < 0).any():
        least = given["var"].min()
        raise ValueError(f"{name}: var contains {least}, but must not be negative; pass a variance")
    scale = rsqrt(given["var"], float(eps)) * given.get("gamma", 1)
    shift = (given.get("bias", 0) - given["mean"]) * scale + given.get("beta", 0)
    return weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)), shift
