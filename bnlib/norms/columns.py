"""A weight as columns, one for each output feature, and powers of two that make them safe to square."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import cast, float_array, is_whole, plain_array
from .statistics import Array, Axes, Shape


def expected(name: str, label: str, value: Any, shape: Shape, dtype: Any, fix: str) -> Array:
    """Return `value` as an ndarray of this shape and dtype; None: float32 or float64.

    `fix` is what to do about another shape.
    """
    array = plain_array(name, label, value)
    if array.shape != shape:
        received = "is None" if value is None else f"has shape {array.shape}"
        raise ValueError(f"{name}: {label} {received}, but must have shape {shape}; {fix}")
    if dtype is None or array.dtype.kind == "c":
        return float_array(name, label, array)
    if array.dtype != dtype:
        fix = f"try {cast(label, dtype)}"
        raise ValueError(f"{name}: {label} has dtype {array.dtype}, but must have {dtype}; {fix}")
    return array


def one_each(name: str, label: str, value: Any, shape: Shape, axis: int, dtype: Any = None) -> Array:
    """Return `value` as a vector with an element for each output feature of a weight of this shape."""
    n, size = shape[axis], plain_array(name, label, value).size
    fix = f"pass one number for each of the {n} output features on axis {axis} of the weight"
    if size == n:
        fix = f"try np.ravel({label})"
    elif size == 1 and value is not None:
        fix = f"try np.full({n}, {label}, np.{dtype or 'float64'})"
    elif axis == 0 and size in shape[1:2]:
        fix = "try axis=1 if output features are there, as in a transposed convolution"
    elif axis == 1 and size % n == 0:
        fix = f"give each of the {size // n} groups of a transposed convolution a call of its own"
    return expected(name, label, value, (n,), dtype, fix)


def checked_weight(name: str, label: str, weight: Any, axis: int) -> tuple[Array, int]:
    """Return a weight as an ndarray, and `axis` from 0 on."""
    weight = float_array(name, label, weight)
    if weight.ndim < 2 or weight.size == 0:
        fix = f"try np.reshape({label}, (1, -1)) for one output feature" if weight.size else "leave it out"
        raise ValueError(
            f"{name}: {label} has shape {weight.shape}, but needs (O, I, *kernel), none of them 0; {fix}"
        )
    if not is_whole(axis) or not -weight.ndim <= axis < weight.ndim:
        raise ValueError(
            f"{name}: axis={axis!r} is no axis of {label}, whose shape is {weight.shape}; "
            "try 0, or 1 for a transposed convolution"
        )
    return weight, int(axis) % weight.ndim


def to_columns(weight: Array, axis: int) -> Array:
    """Return a weight as (1, I, O), the layout of the training engine; axis `axis` has the O features."""
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).T[None]


def from_columns(columns: Array, shape: Shape, axis: int) -> Array:
    """Return a weight of this shape: the inverse of `to_columns`, in C order."""
    rows = columns[0].T.reshape(shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis))


def scaled(a: Array, axes: Axes) -> tuple[Array, Array]:
    """Return ``a / 2**k`` and k, so that the largest elements along `axes` can be squared and inverted.

    k is 0 where they can already. Nothing is rounded but what becomes subnormal, so small beside them.
    """
    size = np.abs(a).max(axes, keepdims=True)
    k = np.frexp(size)[1]  # of inf and NaN, whatever the platform says
    k = np.where(np.isfinite(size) & (abs(k) > np.finfo(a.dtype).maxexp // 4), k, 0)
    return times(a, -k), k


def times(a: Array, k: Array) -> Array:
    """Return ``a 2**k``."""
    product: Array = np.ldexp(a, k) if k.any() else a
    return product
