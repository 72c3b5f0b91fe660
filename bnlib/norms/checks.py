"""What the public functions check: every error says what was received, the rule and a likely fix."""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from .statistics import Array, Shape


def checked_input(name: str, x: Array, eps: float) -> Array:
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name}: x has dtype {x.dtype}, not float32 or float64; try x.astype(np.float32)")
    if x.ndim < 2:
        raise ValueError(
            f"{name}: x has shape {x.shape}, but needs (N, C, *spatial); "
            "try x[:, None] for one feature, x[None] for one sample"
        )
    if x.size == 0:
        raise ValueError(
            f"{name}: x has shape {x.shape}, but every axis needs an element; drop empty batches"
        )
    if not (isinstance(eps, Real) and isfinite(eps) and eps >= 0):
        raise ValueError(f"{name}: eps={eps!r} must be finite and not negative; try 1e-5")
    return x


def checked_axis(name: str, x: Array, axis: int) -> int:
    first = axis + x.ndim if isinstance(axis, Integral) and axis < 0 else axis
    if not isinstance(axis, Integral) or not 1 <= first < x.ndim:
        raise ValueError(
            f"{name}: axis={axis!r} is none of 1 to {x.ndim - 1} for x of shape {x.shape}, "
            "and axis 0 is the batch; try 1 or -1"
        )
    return int(first)


def checked(name: str, label: str, array: Array, x: Array, shape: Shape) -> Array:
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(
            f"{name}: {label} has shape {array.shape}, but x of shape {x.shape} needs {shape}; "
            f"try np.ones({shape}, x.dtype)"
        )
    if array.dtype != x.dtype:
        raise ValueError(
            f"{name}: {label} has dtype {array.dtype}, but x has {x.dtype}; try {label}.astype(x.dtype)"
        )
    return array


def checked_weight(name: str, label: str, weight: Array) -> Array:
    weight = np.asarray(weight)
    received = f"{name}: {label} is {weight.dtype} of shape {weight.shape}"
    if weight.dtype not in (np.float32, np.float64):
        raise ValueError(f"{received}, not float32 or float64; try {label}.astype(np.float32)")
    if weight.ndim < 2 or weight.size == 0:
        raise ValueError(f"{received}, not (O, I, *kernel) without zeros; try {label}[None] for one row")
    return weight


def matching(name: str, label: str, array: Array, shape: Shape, dtype: Any, fix: str) -> Array:
    array = np.asarray(array)
    if array.shape != shape or array.dtype != dtype:
        received = f"{label} is {array.dtype} of shape {array.shape}"
        raise ValueError(f"{name}: {received}, but must be {dtype} of shape {shape}; {fix}")
    return array
