"""What the public functions check: every error says what was received, the rule and a likely fix."""

from __future__ import annotations

from itertools import combinations
from math import prod
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from .statistics import Array, Axes, Shape

Kind = TypeVar("Kind")  # of a cache


def plain_array(name: str, label: str, value: Any, has_mask: bool = False) -> Array:
    """Return `value` as an ndarray: anything that `np.asarray` takes, a masked array excepted.

    The mask would be ignored; `has_mask` says that the function has a keyword `mask`, to which the message
    leads. `name` is the public function, `label` its argument.
    """
    if type(value) is np.ndarray:  # the usual case, first
        return value
    if _masked(value):
        array = label if isinstance(value, np.ma.MaskedArray) else f"np.ma.asarray({label})"
        mask = f" and mask=~np.ma.getmaskarray({array})" if has_mask else ""
        fix = f"pass {array}.filled(0){mask}" if has_mask else f"drop them, or pass {array}.filled(...)"
        raise ValueError(f"{name}: {label} has masked elements, which would count like any others; {fix}")
    try:
        return np.asarray(value)
    except Exception as error:  # NumPy's and torch's own, which differ from kind to kind
        raise ValueError(
            f"{name}: {label} is a {type(value).__name__} that NumPy can't take as an array; pass rows of "
            f"equal length, of a torch tensor {label}.detach().cpu().float().numpy()"
        ) from error


def _masked(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_masked, value))
    return isinstance(value, np.ma.MaskedArray)


def float_array(name: str, label: str, value: Any, has_mask: bool = False) -> Array:
    """Return `value` as an ndarray of float32 or float64; anything else raises ValueError."""
    array = plain_array(name, label, value, has_mask)
    if array.dtype not in (np.float32, np.float64):
        wide = np.float32 if array.dtype.itemsize <= 2 else np.float64
        numeric = array.dtype.kind in "biuf" or (array.dtype.kind == "O" and array.ndim > 0)
        numbers = cast(label, wide) if numeric else "an array of numbers"
        fix = f"np.real({label})" if array.dtype.kind == "c" else numbers
        raise ValueError(f"{name}: {label} has dtype {array.dtype}, not float32 or float64; try {fix}")
    return array


def cast(label: str, dtype: DTypeLike) -> str:
    """Return the code that gives an argument another dtype, whether it is an array or a list."""
    return f"np.asarray({label}, np.{np.dtype(dtype)})"


def is_whole(value: Any) -> bool:
    """Tell whether a value is an integer, which True is not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number, which True is not."""
    return type(value) in (float, int) or isinstance(value, Real) and not isinstance(value, bool)


def checked_eps(name: str, eps: float, dtype: DTypeLike) -> float:
    """Return eps, a number of at least 0 that the dtype of x can hold."""
    if not (is_number(eps) and 0 <= eps <= float(np.finfo(dtype).max)):
        raise ValueError(f"{name}: eps={eps!r} must be finite and not negative; try 1e-5")
    return float(eps)


def checked_momentum(name: str, momentum: float) -> float:
    """Return the weight of the old value, in [0, 1)."""
    if not (is_number(momentum) and 0 <= momentum < 1):
        raise ValueError(
            f"{name}: momentum={momentum!r} must lie in [0, 1), and weighs the OLD value; "
            "try 0.9, which is PyTorch's 0.1"
        )
    return float(momentum)


def checked_input(name: str, x: Array, eps: float, has_mask: bool = False, least: int = 1) -> Array:
    """Return x as an array (N, C, *spatial) with at least so many samples; check eps as well."""
    x = float_array(name, "x", x, has_mask)
    if x.ndim < 2:
        fix = "np.reshape(x, (-1, 1)) for one feature, np.reshape(x, (1, -1)) for one sample"
        raise ValueError(f"{name}: x has shape {x.shape}, but needs (N, C, *spatial); try {fix}")
    if len(x) < least or 0 in x.shape[1:]:
        raise ValueError(f"{name}: x has shape {x.shape}, but every axis needs elements; drop empty batches")
    checked_eps(name, eps, x.dtype)
    return x


def checked_axes(name: str, x: Array, axis: Any) -> Axes:
    """Return the axes that `axis` means, ascending: all from an int on, or those of a tuple."""
    last = x.ndim - 1
    if is_whole(axis):
        first = axis + x.ndim if axis < 0 else axis
        if not 1 <= first <= last:
            raise ValueError(
                f"{name}: axis={axis!r} is none of 1 to {last} for x of shape {x.shape}, and axis 0 is the "
                f"batch; try 1 or -1, or axis={tuple(range(x.ndim))} to normalize over all axes"
            )
        return tuple(range(int(first), x.ndim))
    whole = isinstance(axis, tuple | list) and all(map(is_whole, axis))
    axes = sorted(a + x.ndim if a < 0 else a for a in axis) if whole else []
    if not axes or len(set(axes)) < len(axes) or axes[0] < 0 or axes[-1] > last:
        raise ValueError(
            f"{name}: axis={axis!r} must be an integer, or a tuple of different axes of x, whose shape is "
            f"{x.shape}; try 1, or axis=(1,) for the channels alone"
        )
    return tuple(map(int, axes))


def checked_mask(name: str, x: Array, mask: Any) -> Array | None:
    """Return a mask broadcast to the shape of x, True where an element counts; None stays None."""
    if mask is None:
        return None
    mask = plain_array(name, "mask", mask)
    if mask.dtype != bool:
        raise ValueError(f"{name}: mask has dtype {mask.dtype}, not bool; try {cast('mask', bool)}")
    if mask.ndim == x.ndim and all(n in (1, m) for n, m in zip(mask.shape, x.shape, strict=True)):
        return np.broadcast_to(mask, x.shape).copy()
    places = [
        tuple(n if axis in axes else 1 for axis, n in enumerate(x.shape))
        for axes in combinations(range(x.ndim), min(mask.ndim, x.ndim))
        if tuple(x.shape[axis] for axis in axes) == mask.shape
    ]
    fix = " or ".join(f"np.reshape(mask, {shape})" for shape in places)
    raise ValueError(
        f"{name}: mask has shape {mask.shape}, but x of shape {x.shape} needs one of as many axes, each of "
        f"length 1 or that of x; {f'try {fix}' if fix else f'pass one of shape {x.shape}'}"
    )


def checked_divisor(name: str, label: str, value: int, length: int, what: str) -> int:
    """Return a divisor of a length; otherwise the error lists them all."""
    divisors = [n for n in range(1, length + 1) if length % n == 0]
    if not is_whole(value) or value not in divisors:
        likely = " or ".join(", ".join(map(str, divisors)).rsplit(", ", 1))
        raise ValueError(f"{name}: {label}={value!r} does not divide {length} {what}; try {likely}")
    return int(value)


def expected(
    name: str, label: str, value: Any, shape: Shape, dtype: Any, fix: str,
    rules: tuple[str, str] = ("must have shape", "must have"),
) -> Array:  # fmt: skip
    """Return `value` as an ndarray of this shape and dtype (None: float32 or float64).

    Messages have `fix` for another shape; before the right shape and before the right dtype stand `rules`.
    """
    array = plain_array(name, label, value)
    if array.shape != shape:
        received = "is None" if value is None else f"has shape {array.shape}"
        raise ValueError(f"{name}: {label} {received}, but {rules[0]} {shape}; {fix}")
    if dtype is None or array.dtype.kind == "c":
        return float_array(name, label, array)
    if array.dtype != dtype:
        fix = f"try {cast(label, dtype)}"
        raise ValueError(f"{name}: {label} has dtype {array.dtype}, but {rules[1]} {dtype}; {fix}")
    return array


# Which backward function takes which cache, and a forward function that makes one.
BACKWARD = {
    "NormCache": ("norm_backward(dy, cache)", "y, cache = batch_norm(x), or frozen_batch_norm(x, mean, var)"),
    "RelativeCache": ("relative_backward(dy, cache)", "y, cache = dynamic_tanh(x)"),
    "ShardedCache": ("sharded_backward(dys, cache)", "ys, cache = sharded_batch_norm(xs)"),
}


def checked_cache(name: str, cache: Any, kind: type[Kind]) -> Kind:
    """Return a cache of this kind; of another one the error says which function takes it."""
    if not isinstance(cache, kind):
        received = type(cache).__name__
        likely = BACKWARD[received][0] if received in BACKWARD else BACKWARD[kind.__name__][1]
        raise ValueError(f"{name}: cache is a {received}, not a {kind.__name__}; try {likely}")
    return cache


def checked_gradient(name: str, dy: Array, shape: Shape, dtype: Any) -> Array:
    """Return dy as an array of the shape and dtype that x had."""
    fix = "pass the gradient of y together with the cache of the same call"
    return expected(name, "dy", dy, shape, dtype, fix, ("x had", "x had"))


def checked(name: str, label: str, value: Any, x: Array, shape: Shape, dtype: Any) -> Array:
    """Return an argument that belongs to x, of this shape and dtype: a copy, since caches keep it."""
    array, fix = plain_array(name, label, value), "pass an array of that shape"
    if array.size == prod(shape):
        fix = f"try np.reshape({label}, {shape})"
    elif array.size == 1 and array.dtype.kind in "biuf":
        fix = f"try np.full({shape}, {label}, np.{x.dtype})"
    rules = f"x of shape {x.shape} needs", "x has"
    return expected(name, label, value, shape, dtype, fix, rules).copy()


def checked_statistics(name: str, x: Array, mean: Array, var: Array) -> tuple[Array, Array]:
    """Return copies of given statistics (C,), float32 or float64 as they are: running ones are float64."""
    mean = checked(name, "mean", mean, x, x.shape[1:2], None)
    return mean, checked_variance(name, checked(name, "var", var, x, x.shape[1:2], None))


def checked_variance(name: str, var: Array) -> Array:
    """Return var, nowhere negative or infinite; NaN is left to spread."""
    if ((var < 0) | (var == np.inf)).any():
        worst = var.min() if (var < 0).any() else np.inf
        raise ValueError(f"{name}: var contains {worst}, but must not be negative or inf; pass a variance")
    return var


def checked_counts(name: str, label: str, counts: Any) -> Array:
    """Return numbers of elements: one of at least 1 for all means, or for each one of at least 0."""
    array = plain_array(name, label, counts)
    least = 0 if array.ndim else 1
    if array.dtype.kind not in "iu" or (array < least).any():
        raise ValueError(
            f"{name}: {label}={counts!r} must be at least {least}, in integers; it is the number of elements "
            "behind each mean, N * H * W for images"
        )
    return array.astype(np.int64)


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
