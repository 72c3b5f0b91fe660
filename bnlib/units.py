"""What follows a layer's linear map: its norm, with noise behind it, and its activation, in either order."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from .config import RunConfig
from .layers import Activation
from .norms import Cache, Shape, normalize, normalize_backward
from .plan import Layer
from .stats import Array, Axes
from .table import NORMS


class Trace(NamedTuple):
    """What one hidden layer leaves behind: z enters the activation, a leaves it.

    Of a recurrent layer ``linear`` and ``norm`` hold one entry for each of its steps.
    """

    z: Array
    a: Array
    linear: Any
    norm: Any
    noise: Any  # what the norm's output was multiplied by


def unit(
    config: RunConfig,
    s: Array,
    layer: Layer,
    norm_batch: int,
    phi: Activation,
    noise: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array, Any]:
    """What follows a linear map: what enters the activation, what leaves it, the layer's output."""
    if config.placement == "before":
        z, cache = _norm(config, s, layer, norm_batch, noise)
        a = phi.forward(z)
        return z, a, a, cache
    a = phi.forward(s)
    y, cache = _norm(config, a, layer, norm_batch, noise)
    return s, a, y, cache


def _norm(
    config: RunConfig, x: Array, layer: Layer, norm_batch: int, noise: tuple[Array, Array] | None
) -> tuple[Array, Any]:
    """What stands where ``layer`` has its norm: the norm, if there is one, and the noise, if there is any."""
    y, cache = x, None
    if layer.settled:
        shape = (len(x), *(1,) * (x.ndim - 2), -1)
        y = x * layer.gamma.reshape(shape) + layer.beta.reshape(shape)
    elif layer.gamma is not None:
        y, cache = _normalize(config, x, layer, norm_batch)
    if noise is not None:
        y = y * noise[0] + noise[1]
    return y, cache


def _normalize(config: RunConfig, x: Array, layer: Layer, norm_batch: int) -> tuple[Array, Any]:
    norm = NORMS[config.norm]
    if norm.pair is not None:
        replicas, samples, channels = *x.shape[:2], x.shape[-1]
        seen = x.reshape(replicas, samples, -1, channels)
        learned = {"gamma": layer.gamma, "beta": layer.beta, **(layer.extra or {})}
        learned = {name: array[:, :, None] for name, array in learned.items()}
        running = layer.running and tuple(array[:, :, None] for array in layer.running)
        y, cache = norm.pair[0](seen, learned, config, running)
        return y.reshape(x.shape), cache
    split, axes, affine = form(config.norm, x.shape[1:], config.groups, norm_batch)
    gamma, beta = layer.gamma, layer.beta
    if affine is not None:
        gamma, beta = gamma.reshape(len(x), *affine), beta.reshape(len(x), *affine)
    seen = x if split is None else x.reshape(len(x), *split)
    y, cache = normalize(seen, axes, gamma, beta, config.eps, norm.centre)
    return y if split is None else y.reshape(x.shape), cache


@lru_cache(maxsize=512)
def form(norm: str, shape: Shape, groups: int, norm_batch: int) -> tuple[Shape | None, Axes, Shape | None]:
    """How a norm that is a choice of axes sees activations of ``shape`` (N, *positions, C) behind the
    replica axis.

    Returns the shape to bring them to, the axes that share a mean and a variance, and the shape of gamma and
    beta; None: as they are.
    """
    row, samples, channels = NORMS[norm], shape[0], shape[-1]
    positions = prod(shape[1:-1])
    parts = {"N": samples, "P": positions, "C": channels}
    if row.shared == "NP" and norm_batch:  # samples 0, N / m, 2 N / m, ... have the first statistics
        parts = {"N": norm_batch, "other N": samples // norm_batch, "P": positions, "C": channels}
    elif row.shared == "NP":
        parts = {"NP": samples * positions, "C": channels}
    elif "groups" in row.options:
        parts = {"N": samples, "P": positions, "other C": groups, "C": channels // groups}
    if positions == 1 and row.shared != "P":
        parts.pop("P", None)
    axes = tuple(axis for axis, part in enumerate(parts, 1) if set(part) <= set(row.shared))
    affine = tuple(size if part in ("C", "other C") else 1 for part, size in parts.items())
    split = tuple(parts.values())
    return None if split == shape else split, axes, None if affine == (1, channels) else affine


def unit_backward(
    config: RunConfig, dy: Array, layer: Trace, phi: Activation, dstream: Array | None = None
) -> tuple[Array, Array, dict[str, Array]]:
    """From the gradient of `unit`'s output: those of z and s, and of the norm's parameters, by name.

    ``dstream`` is the gradient of what else z goes into.
    """
    affine: dict[str, Array] = {}
    before = config.placement == "before"
    if not before:
        dy, affine = _norm_backward(config, dy, layer)
    dz = phi.slope(layer.z, layer.a)
    dz *= dy
    if dstream is not None:
        dz += dstream
    if not before:
        return dz, dz, affine
    ds, affine = _norm_backward(config, dz, layer)
    return dz, ds, affine


def _norm_backward(config: RunConfig, dy: Array, layer: Trace) -> tuple[Array, dict[str, Any]]:
    if layer.noise is not None:
        dy = dy * layer.noise
    if layer.norm is None:
        return dy, {}
    if not isinstance(layer.norm, Cache):
        dx, affine = NORMS[config.norm].pair[1](dy.reshape(*dy.shape[:2], -1, dy.shape[-1]), layer.norm)
        return dx.reshape(dy.shape), affine
    used: Any = layer.norm.xhat if layer.norm.source is None else layer.norm.source[0]
    dx, dgamma, dbeta = normalize_backward(dy.reshape(used.shape), layer.norm)  # by groups, norm batches
    return dx.reshape(dy.shape), {"gamma": dgamma, "beta": dbeta}


def write(gradient: Layer, affine: dict[str, Array]) -> None:
    """Write a norm's gradients, by name, where they belong."""
    for name, array in affine.items():
        place = getattr(gradient, name) if name in ("gamma", "beta") else gradient.extra[name]
        place[:] = array if array.shape == place.shape else array.reshape(place.shape)
