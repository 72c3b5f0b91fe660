"""Norms over weights: what is normalized is a layer's matrix, not what comes out of it.

A norm is a choice of axes here too: weight norm is the RMS norm of the weights of one output feature,
weight standardization their layer norm, both by `norms.normalize`. Spectral norm divides the whole
matrix by its largest singular value.

The public functions take a weight as PyTorch has it, ``(O, I, *kernel)``: a row for each output feature,
its fan-in behind. Everything is float32 or everything float64, results too; arguments are never changed;
ValueError carries the received value, the rule and a likely fix. The cores in `NORMS` are for the
training engine: they check nothing, have a leading replica axis and, as `layers.linear`, a column for each
output feature. Where a divisor is 0 (zeros, or a constant row and ``eps=0``), results and gradients are 0.
"""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .checks import checked_weight, matching
from .core import Cache, normalize, normalize_backward
from .statistics import Affine, Array, Shape
from .table import NORMS, Norm

SpectralCache = tuple[Array, Array, Array, Array]  # weight, u (R, O, 1), v (R, I, 1), sigma (R, 1, 1)


def _divide(a: Array, b: Array) -> Array:
    return a / np.where(b == 0, np.inf, b)


def _spectral(weight: Array, gain: Affine, u: Array, options: Any) -> tuple[Array, Array, SpectralCache]:
    """The cache refers to `weight`, which must stay unchanged until the backward pass."""
    u = u[:, :, None]
    for _ in range(max(1, options.iterations)):
        v = np.matmul(weight, u)
        v = _divide(v, np.sqrt(np.matmul(v.mT, v)))
        image = np.matmul(weight.mT, v)
        if options.iterations:
            length = np.sqrt(np.matmul(image.mT, image))
            u = np.where(length == 0, u, _divide(image, length))  # u = 0 would stay 0 for ever
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


def _weight_backward(dw: Array, cache: Cache) -> tuple[Array, Affine]:
    dweight, dgain, _ = normalize_backward(dw, cache)
    return dweight, None if dgain is None else dgain / dw.shape[1] ** 0.5


def _standard(weight: Array, gain: Affine, u: Affine, options: Any) -> tuple[Array, Affine, Cache]:
    w, cache = normalize(weight, (1,), gain, None, options.eps)
    return w, u, cache


def _standard_backward(dw: Array, cache: Cache) -> tuple[Array, Affine]:
    dweight, dgain, _ = normalize_backward(dw, cache)
    return dweight, dgain


def _deviation(weight: Array, centre: bool = True) -> Array:
    deviation: Array = np.sqrt(normalize(weight, (1,), None, None, 0.0, centre)[1].var)
    return deviation


def _length(weight: Array) -> Array:
    length: Array = _deviation(weight, centre=False) * weight.shape[1] ** 0.5
    return length


def spectral_norm(
    weight: Array, u: Array | None = None, *, iterations: int = 1, seed: int = 0
) -> tuple[Array, Any, Array]:
    """Divide a weight by an estimate of its largest singular value, so that this becomes 1.

    Parameters
    ----------
    weight : ndarray of shape (O, I, *kernel), seen as a matrix W of O rows
    u : ndarray of shape (O,), dtype of weight, optional
        Where the power iteration starts: what the call before returned. None draws it from `seed`.
    iterations : int >= 0
        Rounds of power iteration. 0, for inference, takes the given `u`, of length 1, as it is.
    seed : int >= 0

    Returns
    -------
    w_hat : ndarray of the shape of weight
    sigma : scalar of the dtype of weight, in its units; never above the largest singular value
    u : ndarray of shape (O,), of length 1: the left singular vector so far, for the next call

    Raises
    ------
    ValueError
        If a shape, a dtype or an option breaks the above.

    Notes
    -----
    Miyato et al. (2018), Algorithm 1: ``v = W'u / |W'u|``, ``u = Wv / |Wv|``, ``sigma = u'Wv``. (PyTorch's
    `parametrizations.spectral_norm` updates u before v, which is the same on W'.) A matrix of zeros gives
    ``w_hat = 0``, ``sigma = 0`` and the u that the iteration started from; in PyTorch, w_hat is NaN.
    """
    w_hat, new, cache = _iterated("spectral_norm", weight, u, iterations, seed)
    return _rows(w_hat, np.shape(weight)), cache[3][0, 0, 0], new[0].copy()


def spectral_norm_backward(
    dw_hat: Array, weight: Array, u: Array | None = None, *, iterations: int = 1, seed: int = 0
) -> Array:
    """The gradient with respect to weight, from that of w_hat and the arguments of the forward call.

    `u` is thus the one `spectral_norm` was given, not the one it returned: neither that nor sigma
    determines v, which is computed again, to the same bits.

    Notes
    -----
    ``dW = (dW_hat - <dW_hat, W_hat> u v') / sigma``, with u and v held constant as in PyTorch: Miyato et al.
    (2018), equation 12, where they are the singular vectors.
    """
    core = _iterated("spectral_norm_backward", weight, u, iterations, seed)[2]
    shape = np.shape(weight)
    dw = matching("spectral_norm_backward", "dw_hat", dw_hat, shape, core[0].dtype, "pass that of w_hat")
    return _rows(_spectral_backward(_columns(dw), core)[0], shape)


class WeightCache(NamedTuple):
    """What `weight_norm` and `weight_standardization` leave for their backward functions."""

    key: str  # of NORMS
    core: Cache
    shape: Shape  # of the weight


def weight_norm(v: Array, g: Affine = None) -> tuple[Array, WeightCache]:
    """Give the weights of each output feature the length g, whatever that of v: ``w = g v / |v|``.

    Parameters
    ----------
    v : ndarray of shape (O, I, *kernel)
    g : ndarray of shape (O,), dtype of v, optional
        None takes the lengths of v, from which training starts: w is v up to rounding. The backward
        pass takes g as independent of v then too.

    Returns
    -------
    w : ndarray of the shape of v
    cache : WeightCache, for `weight_norm_backward`

    Raises
    ------
    ValueError
        If a shape or a dtype breaks the above.

    Notes
    -----
    Salimans & Kingma (2016), equation 2. It is the RMS norm of a row times ``g / sqrt(fan-in)``.
    """
    return _apply("weight", "v", v, "g", g, None)


def weight_norm_backward(dw: Array, cache: WeightCache) -> tuple[Array, Affine]:
    """``dv, dg``, of the shapes of v and g, from the gradient of w: Salimans & Kingma (2016), equation 3."""
    return _undo("weight", dw, cache)


def weight_standardization(
    weight: Array, gain: Affine = None, *, eps: float = 1e-5
) -> tuple[Array, WeightCache]:
    """Give the weights of each output feature mean 0 and variance 1, times its gain if there is one.

    As `weight_norm`, with `gain` of shape (O,), None for 1, and `eps >= 0`, added to the biased variance, in
    units of weight squared. Small weights notice: at variance 1e-3 the default takes 0.5 % off.

    Notes
    -----
    Qiao et al. (2019). eps is inside the root, as in `norms`, in timm (1e-6) and in BiT (1e-10); the authors'
    code adds 1e-5 to an unbiased standard deviation. Scaled weight standardization (Brock et al., 2021)
    multiplies by ``gain / sqrt(fan-in)``: pass that as the gain.
    """
    if not (isinstance(eps, Real) and isfinite(eps) and eps >= 0):
        raise ValueError(f"weight_standardization: eps={eps!r} must be finite and not negative; try 1e-5")
    return _apply("standard", "weight", weight, "gain", gain, SimpleNamespace(eps=float(eps)))


def weight_standardization_backward(dw: Array, cache: WeightCache) -> tuple[Array, Affine]:
    """``dweight, dgain``, of the shapes of weight and gain, from the gradient of w; no gain, None."""
    return _undo("standard", dw, cache)


def _columns(weight: Array) -> Array:
    return weight.reshape(len(weight), -1).T[None]


def _rows(columns: Array, shape: Shape) -> Array:
    rows: Array = columns[0].T
    return rows.reshape(shape)


def _iterated(
    name: str, weight: Array, u: Array | None, iterations: int, seed: int
) -> tuple[Array, Array, SpectralCache]:
    weight = checked_weight(name, "weight", weight)
    for label, value in (("iterations", iterations), ("seed", seed)):
        if not isinstance(value, Integral) or value < 0:
            raise ValueError(f"{name}: {label}={value!r} must be an integer of at least 0; try 1")
    if u is None:
        if iterations == 0:
            raise ValueError(f"{name}: iterations=0 needs a u; pass one that was returned, or iterations=1")
        u = np.random.default_rng(seed).standard_normal(len(weight))
        u = (u / np.linalg.norm(u)).astype(weight.dtype)
    u = matching(name, "u", u, weight.shape[:1], weight.dtype, "pass one that was returned, or None")
    length = np.linalg.norm(u)
    if length == 0 or (iterations == 0 and abs(length - 1) > 1e-3):
        rule = "1 for iterations=0" if length else "any but 0"
        raise ValueError(
            f"{name}: u has length {length:.4g}, not {rule}; pass one that was returned, or None"
        )
    return _spectral(_columns(weight), None, u[None], SimpleNamespace(iterations=iterations))


def _apply(
    key: str, label: str, weight: Array, gain_label: str, gain: Affine, options: Any
) -> tuple[Array, WeightCache]:
    row = NORMS[key]
    name = row.label.replace(" ", "_")
    weight = checked_weight(name, label, weight)
    if gain is not None:
        fix = f"try np.ones({len(weight)}, {label}.dtype)"
        gain = matching(name, gain_label, gain, weight.shape[:1], weight.dtype, fix)[None, None]
    w, _, core = row.pair[0](_columns(weight), gain, None, options)
    return _rows(w, weight.shape), WeightCache(key, core, weight.shape)


def _undo(key: str, dw: Array, cache: WeightCache) -> tuple[Array, Affine]:
    row = NORMS[key]
    name = row.label.replace(" ", "_")
    if not isinstance(cache, WeightCache) or cache.key != key:
        kind = NORMS[cache.key].label if isinstance(cache, WeightCache) else type(cache).__name__
        raise ValueError(f"{name}_backward: cache is of {kind}, not {row.label}; try w, cache = {name}(...)")
    dw = matching(f"{name}_backward", "dw", dw, cache.shape, cache.core.var.dtype, "pass that of w")
    dweight, dgain = row.pair[1](_columns(dw), cache.core)
    return _rows(dweight, cache.shape), None if dgain is None else dgain[0, 0]


# Pairs: forward(weight, gain, u, options) -> (w, next u, cache), backward(dw, cache) -> (dweight, dgain).
# Weights are (R, I, O), gains (R, 1, O), u (R, O); None where there is none.
NORMS |= {
    "spectral": Norm(
        spectral_norm, "spectral norm", "the whole weight matrix, by its largest singular value",
        pair=(_spectral, _spectral_backward), learned=(), options=("iterations",), weights=True,
        vector=True,
        about="Each weight matrix is divided by its largest singular value, so that no layer can stretch "
        "its input (of a convolution’s reshaped weights only approximately). Activations are not "
        "normalized.",
        use="Use it in the discriminator of a GAN, to limit how steep it is. Elsewhere the limit can slow "
        "training down.",
    ),
    "weight": Norm(
        weight_norm, "weight norm", "the weights of each output feature, uncentred",
        pair=(_weight, _weight_backward), learned=("gain",), options=(), weights=True, start=_length,
        about="The weights of each output feature are divided by their length and multiplied by a learned "
        "gain. Activations are not normalized.",
        use="Use it where the norm must depend on the weights only. A change in the scale of the data "
        "passes through it.",
    ),
    "standard": Norm(
        weight_standardization, "weight standardization", "the weights of each output feature",
        pair=(_standard, _standard_backward), learned=("gain",),
        weights=True, start=_deviation,
        about="The weights of each output feature have their mean subtracted and are divided by their "
        "standard deviation; a learned gain follows.",
        use="Use it together with group norm, for small batches. By itself it leaves the activations "
        "without a norm.",
    ),
}  # fmt: skip

WEIGHT_NORMS = ("none", *(name for name, norm in NORMS.items() if norm.weights))
