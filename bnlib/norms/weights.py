"""Norms over weights: what is normalized is a layer's matrix, not what comes out of it.

A norm is a choice of axes here too: weight norm is the RMS norm of the weights of one output feature, weight
standardization their layer norm, both by `core.normalize`. Spectral norm divides the whole matrix by its
largest singular value. Batch norm in inference is one of weights, once it is folded into them.

Everything is float32 or everything float64, results too; weights of any size are brought to one that can be
squared, by powers of two; arguments are never changed, and may change after the call. Where a divisor is 0
(zeros, or a constant row and ``eps=0``), results and gradients are 0.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .checks import checked_eps, checked_variance, checked_weight, expected, is_whole, one_each
from .core import Cache, normalize, normalize_backward
from .statistics import Affine, Array, Shape, rsqrt, scaled, times
from .table import NORMS, Norm

SpectralCache = tuple[Array, Array, Array, Array]  # weight, u (R, O, 1), v (R, I, 1), sigma (R, 1, 1)


def to_columns(weight: Array, axis: int) -> Array:
    """Return a weight as (1, I, O), the layout of the training engine; axis `axis` has the O features."""
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).T[None]


def from_columns(columns: Array, shape: Shape, axis: int) -> Array:
    """Return a weight of this shape: the inverse of `to_columns`, in C order."""
    rows = columns[0].T.reshape(shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis))


def _divide(a: Array, b: Array) -> Array:
    return a / np.where(b == 0, np.inf, b)


def _unit(a: Array) -> Array:
    """Return ``a / |a|`` of vectors (R, n, 1); one of zeros stays."""
    length: Array = np.sqrt(np.matmul(a.mT, a))
    if all(1e-9 < n < 1e9 for n in length.ravel().tolist()):
        return a / length
    a = scaled(a, (1, 2))[0]
    return _divide(a, np.sqrt(np.matmul(a.mT, a)))


def _spectral(weight: Array, gain: Affine, u: Array, options: Any) -> tuple[Array, Array, SpectralCache]:
    """Divide by sigma. The cache refers to `weight`, which must stay unchanged until the backward pass."""
    u = u[:, :, None]
    for _ in range(max(1, options.iterations)):
        v = _unit(np.matmul(weight, u))
        image = np.matmul(weight.mT, v)
        if options.iterations:
            new = _unit(image)
            u = np.where(new.any(1, keepdims=True), new, u)  # u = 0 would stay 0 for ever
    sigma = np.matmul(u.mT, image)
    return _divide(weight, sigma), u[:, :, 0], (weight, u, v, sigma)


def _spectral_backward(dw: Array, cache: SpectralCache) -> tuple[Array, None]:
    weight, u, v, sigma = cache
    inner = np.matmul(dw.reshape(len(dw), 1, -1), weight.reshape(len(dw), -1, 1))
    dweight = _divide(inner, sigma) * v * u.mT
    np.subtract(dw, dweight, out=dweight)
    return _divide(dweight, sigma), None


def _weight(weight: Array, gain: Affine, u: Affine, options: Any) -> tuple[Array, Affine, Cache]:
    gain = _length(weight) if gain is None else gain
    w, cache = normalize(weight, (1,), gain / weight.shape[1] ** 0.5, None, 0.0, centre=False)
    return w, u, cache


def _standard(weight: Array, gain: Affine, u: Affine, options: Any) -> tuple[Array, Affine, Cache]:
    w, cache = normalize(weight, (1,), gain, None, options.eps)
    return w, u, cache


def _backward(dw: Array, cache: Cache) -> tuple[Array, Affine]:
    dweight, dgain, _ = normalize_backward(dw, cache)
    if dgain is not None and not cache.centre:  # of weight norm: `_weight` divides the gain
        dgain /= dw.shape[1] ** 0.5
    return dweight, dgain


def _deviation(weight: Array, centre: bool = True) -> Array:
    deviation: Array = np.sqrt(normalize(weight, (1,), None, None, 0.0, centre)[1].var)
    return deviation


def _length(weight: Array) -> Array:
    length: Array = _deviation(weight, centre=False) * weight.shape[1] ** 0.5
    return length


def spectral_norm(
    weight: Array, u: Array | None = None, *, iterations: int = 1, seed: int = 0, axis: int = 0
) -> tuple[Array, Any, Array]:
    """Divide a weight by an estimate of its largest singular value, so that this becomes 1.

    weight is an ndarray of shape (O, I, *kernel), seen as a matrix W of O rows. `axis` is that of output
    features: 1 for a transposed convolution's weight (I, O, *kernel). If it has groups, (I, O / groups,
    *kernel), each group's part of axis 0 needs a call of its own: on the whole, one output feature of each
    group would count as a single one.

    u, an ndarray of shape (O,) and the dtype of weight, is where the power iteration starts: what the call
    before returned. None draws it from `seed`, an int >= 0. There are ``iterations >= 0`` rounds; 0, for
    inference, takes the given u, of length 1, as it is.

    Returns w_hat, of the shape of weight, sigma, a scalar in its units, and for the next call u (O,), of
    length 1, the left singular vector so far. sigma is never above the largest singular value; it is inf
    where it is beyond the dtype, which w_hat survives. ValueError if a shape, a dtype or an option breaks the
    above, or u is orthogonal to all columns of W.

    Miyato et al. (2018), Algorithm 1: ``v = W'u / |W'u|``, ``u = Wv / |Wv|``, ``sigma = u'Wv``. (PyTorch's
    `parametrizations.spectral_norm` updates u before v, which is the same on W'.) A matrix of zeros gives
    ``w_hat = 0``, ``sigma = 0`` and the u that the iteration started from; in PyTorch, w_hat is NaN.
    """
    back, k, w_hat, new, cache = _iterated("spectral_norm", weight, u, iterations, seed, axis)
    return from_columns(w_hat, *back), times(cache[3], k)[0, 0, 0], new[0].copy()


def spectral_norm_backward(
    dw_hat: Array, weight: Array, u: Array | None = None, *, iterations: int = 1, seed: int = 0, axis: int = 0
) -> Array:
    """Return the gradient with respect to weight, from that of w_hat and the arguments of the forward call.

    `u` is thus the one `spectral_norm` was given, not the one it returned: neither that nor sigma determines
    v, which is computed again, to the same bits. Gradients have the shape and dtype of weight; errors are
    those of `spectral_norm`, and for a dw_hat of another shape or dtype.

    ``dW = (dW_hat - <dW_hat, W_hat> u v') / sigma``, with u and v held constant as in PyTorch: Miyato et al.
    (2018), equation 12, where they are the singular vectors.
    """
    name = "spectral_norm_backward"
    (shape, axis), k, _, _, core = _iterated(name, weight, u, iterations, seed, axis)
    fix = "pass the gradient of w_hat, and the arguments of the same call"
    dw = expected(name, "dw_hat", dw_hat, shape, core[0].dtype, fix)
    columns, m = scaled(to_columns(dw, axis), (1, 2))
    return from_columns(times(_spectral_backward(columns, core)[0], m - k), shape, axis)


class WeightCache(NamedTuple):
    """What `weight_norm` and `weight_standardization` leave for their backward functions."""

    key: str  # of NORMS
    core: Cache
    exponent: Array  # (1, 1, O): what the weight's gradient is a power of two of, from the core's
    shape: Shape  # of the weight
    axis: int  # of output features


def weight_norm(v: Array, g: Affine = None, *, axis: int = 0) -> tuple[Array, WeightCache]:
    """Give the weights of each output feature the length g, whatever that of v: ``w = g v / |v|``.

    v, axis, w and errors are as weight, axis, w_hat and errors of `spectral_norm`; the cache is for
    `weight_norm_backward`. g is an ndarray of shape (O,) and the dtype of v. None takes the lengths of v,
    from which training starts: w is v up to rounding. The backward pass takes g as independent of v then too.

    Salimans & Kingma (2016), equation 2. It is the RMS norm of a row times ``g / sqrt(fan-in)``.
    """
    return _apply("weight", "v", v, "g", g, axis)


def weight_norm_backward(dw: Array, cache: WeightCache) -> tuple[Array, Affine]:
    """Return the gradients of v and g, of their shapes, from that of w and the cache of `weight_norm`.

    The cache stays as it is and can be used again. ValueError if dw doesn't have the shape and dtype of w, or
    the cache is another's. Salimans & Kingma (2016), equation 3.
    """
    return _undo("weight", dw, cache)


def weight_standardization(
    weight: Array, gain: Affine = None, *, eps: float = 1e-5, axis: int = 0
) -> tuple[Array, WeightCache]:
    """Give the weights of each output feature mean 0 and variance 1, times its gain if there is one.

    As `weight_norm`, except that a gain of None is 1, and that eps >= 0 is added to the biased variance, in
    units of weight squared. Small weights notice: at variance 1e-3 the default takes 0.5 % off.

    Qiao et al. (2019). eps is inside the root, as in `batch_norm`, in timm (1e-6) and in BiT (1e-10); the
    authors' code adds 1e-5 to an unbiased standard deviation. Scaled weight standardization (Brock et al.,
    2021) multiplies by ``gain / sqrt(fan-in)``: pass that as the gain.
    """
    return _apply("standard", "weight", weight, "gain", gain, axis, eps)


def weight_standardization_backward(dw: Array, cache: WeightCache) -> tuple[Array, Affine]:
    """Return the gradients of weight and gain, None for a gain that wasn't given.

    As `weight_norm_backward`, from dw and the cache of `weight_standardization`.
    """
    return _undo("standard", dw, cache)


def _iterated(
    name: str, weight: Array, u: Array | None, iterations: int, seed: int, axis: int
) -> tuple[tuple[Shape, int], Array, Array, Array, SpectralCache]:
    """Return shape and axis of a weight, k and what `_spectral` makes of the weight over ``2**k``."""
    weight, axis = checked_weight(name, "weight", weight, axis)
    for label, value in (("iterations", iterations), ("seed", seed)):
        if not is_whole(value) or value < 0:
            raise ValueError(f"{name}: {label}={value!r} must be an integer of at least 0; try 1")
    if u is None:
        if iterations == 0:
            raise ValueError(f"{name}: iterations=0 needs a u; pass one that was returned, or iterations=1")
        drawn: Array = np.random.default_rng(int(seed)).standard_normal(weight.shape[axis : axis + 1])
        u = (drawn / np.linalg.norm(drawn)).astype(weight.dtype)
    u, power = scaled(one_each(name, "u", u, weight.shape, axis, weight.dtype), (0,))
    length = np.linalg.norm(u)
    if not (0 < length < np.inf if iterations else power == 0 and abs(length - 1) < 1e-3):
        rule = "positive and finite" if iterations else "1 for iterations=0"
        fix = "pass one that was returned, or iterations=1 without u"
        received = f"{length:.4g}" + (f" * 2**{power[0]}" if power else "")
        raise ValueError(f"{name}: u has length {received}, not {rule}; {fix}")
    columns, k = scaled(to_columns(weight, axis), (1, 2))
    w, new, cache = _spectral(columns, None, u[None], SimpleNamespace(iterations=iterations))
    if cache[3] == 0 and weight.any():
        raise ValueError(f"{name}: u is orthogonal to all columns of weight; pass iterations=1 without u")
    return (weight.shape, axis), k, w, new, cache


def _apply(
    key: str, label: str, weight: Array, gain_label: str, gain: Affine, axis: int, eps: float = 0.0
) -> tuple[Array, WeightCache]:
    """Normalize output features as row `key` of `NORMS` does."""
    row = NORMS[key]
    name = row.label.replace(" ", "_")
    weight, axis = checked_weight(name, label, weight, axis)
    eps = checked_eps(name, eps, weight.dtype)
    columns, k = to_columns(weight, axis), np.zeros((1, 1, 1), int)
    if eps == 0:  # else `normalize` does it, and scales eps, too
        columns, k = scaled(columns, (1,))
    power = 0 * k if row.centre else k
    if gain is not None:
        gain = one_each(name, gain_label, gain, weight.shape, axis, weight.dtype).copy()
        gain, power = scaled(gain[None, None], (0, 1))
    with np.errstate(over="ignore", invalid="ignore"):  # `normalize` repeats what overflows, scaled
        w, _, core = row.pair[0](columns, gain, None, SimpleNamespace(eps=eps))
    w = from_columns(times(w, power), weight.shape, axis)
    return w, WeightCache(key, core, power - k, weight.shape, axis)


def _undo(key: str, dw: Array, cache: WeightCache) -> tuple[Array, Affine]:
    row = NORMS[key]
    name = row.label.replace(" ", "_")
    if not isinstance(cache, WeightCache) or cache.key != key:
        kind = NORMS[cache.key].label if isinstance(cache, WeightCache) else type(cache).__name__
        raise ValueError(f"{name}_backward: cache is of {kind}, not {row.label}; try w, cache = {name}(...)")
    fix = "pass the gradient of w together with the cache of the same call"
    dw = expected(f"{name}_backward", "dw", dw, cache.shape, cache.core.var.dtype, fix)
    columns, k = scaled(to_columns(dw, cache.axis), (1,))
    dweight, dgain = row.pair[1](columns, cache.core)
    dweight = from_columns(times(dweight, k + cache.exponent), cache.shape, cache.axis)
    return dweight, None if dgain is None else times(dgain, k)[0, 0]


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


# Pairs, which check nothing: forward(weight, gain, u, options) -> (w, next u, cache), and backward(dw, cache)
# -> (dweight, dgain). Weights are (R, I, O), gains (R, 1, O), u (R, O); None where there is none.
NORMS |= {
    "spectral": Norm(
        spectral_norm, "spectral norm", "the whole weight matrix, by its largest singular value",
        pair=(_spectral, _spectral_backward), learned=(), options=("iterations",), weights=True,
        vector=True,
        about="Each weight matrix is divided by its largest singular value, so that no layer can stretch its "
        "input (of a convolution’s reshaped weights only approximately). Activations are not normalized.",
        use="Use it in the discriminator of a GAN, to limit how steep it is. Elsewhere the limit can slow "
        "training down.",
    ),
    "weight": Norm(
        weight_norm, "weight norm", "the weights of each output feature, uncentred",
        pair=(_weight, _backward), learned=("gain",), options=(), weights=True, start=_length,
        centre=False,
        about="The weights of each output feature are divided by their length and multiplied by a learned "
        "gain. Activations are not normalized.",
        use="Use it where the norm must depend on the weights only. A change in the scale of the data passes "
        "through it.",
    ),
    "standard": Norm(
        weight_standardization, "weight standardization", "the weights of each output feature",
        pair=(_standard, _backward), learned=("gain",),
        weights=True, start=_deviation,
        about="The weights of each output feature have their mean subtracted and are divided by their "
        "standard deviation; a learned gain follows.",
        use="Use it together with group norm, for small batches. By itself it leaves the activations without "
        "a norm.",
    ),
}  # fmt: skip

WEIGHT_NORMS = ("none", *(name for name, norm in NORMS.items() if norm.weights))
