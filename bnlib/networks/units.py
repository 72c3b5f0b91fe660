"""The norm of a layer, with noise behind it, and its activation, in either order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..norms.axes import in_training
from ..norms.core import Cache, normalize, normalize_backward
from ..norms.given import masked, masked_backward
from ..norms.statistics import Array
from ..norms.table import NORMS
from .config import RunConfig
from .layers import Activation
from .parameters import Layer


class Trace(NamedTuple):
    """What one hidden layer leaves behind: z enters the activation, a leaves it.

    Of a recurrent layer ``linear`` and ``norm`` hold one entry for each of its steps.
    """

    z: Array
    a: Array
    linear: Any
    norm: Any
    noise: Any  # what the norm's output was multiplied by
    going: Any = None  # of sequences of unequal length, where each has not ended (R, N, T)


class Masked(NamedTuple):
    """What a norm leaves behind whose statistics leave padding out: also what it keeps, and of how many."""

    cache: Cache
    keep: Array
    counts: Array


def unit(
    config: RunConfig,
    s: Array,
    layer: Layer,
    norm_batch: int,
    phi: Activation,
    noise: tuple[Array, Array] | None = None,
    keep: Array | None = None,
) -> tuple[Array, Array, Array, Any]:
    """Apply norm and activation to s: return what enters and leaves the activation, the output, a cache.

    keep : (R, N, 1), the samples whose statistics count; None: all
    """
    if config.placement == "before":
        z, cache = normed(config, s, layer, norm_batch, noise, keep)
        a = phi.forward(z)
        return z, a, a, cache
    a = phi.forward(s)
    y, cache = normed(config, a, layer, norm_batch, noise, keep)
    return s, a, y, cache


def normed(
    config: RunConfig,
    x: Array,
    layer: Layer,
    norm_batch: int,
    noise: tuple[Array, Array] | None,
    keep: Array | None = None,
) -> tuple[Array, Any]:
    """Apply the layer's norm, then the injected noise; either may be absent."""
    y, cache = x, None
    if layer.settled:
        shape = (len(x), *(1,) * (x.ndim - 2), -1)
        y = x * layer.gamma.reshape(shape) + layer.beta.reshape(shape)
    elif layer.gamma is not None:
        y, cache = _normalize(config, x, layer, norm_batch, keep)
    if noise is not None:
        y = y * noise[0] + noise[1]
    return y, cache


def _normalize(
    config: RunConfig, x: Array, layer: Layer, norm_batch: int, keep: Array | None
) -> tuple[Array, Any]:
    norm = NORMS[config.trains_as]
    if norm.pair is not None:
        replicas, samples, channels = *x.shape[:2], x.shape[-1]
        seen = x.reshape(replicas, samples, -1, channels)
        learned = {"gamma": layer.gamma, "beta": layer.beta, **(layer.extra or {})}
        learned = {name: array[:, :, None] for name, array in learned.items()}
        running = layer.running and tuple(array[:, :, None] for array in layer.running)
        y, cache = norm.pair[0](seen, learned, config, running)
        return y.reshape(x.shape), cache
    how = in_training(config.norm, x.shape, config.groups, norm_batch)
    if how.shape == x.shape and keep is None:
        return normalize(x, how.reduced, layer.gamma, layer.beta, config.eps, norm.centre, guarded=False)
    gamma, beta = (a if a is None else a.reshape(len(x), *how.affine[1:]) for a in (layer.gamma, layer.beta))
    seen = x.reshape(how.shape)
    if keep is not None:
        keep = np.broadcast_to(keep, x.shape).reshape(how.shape)
        y, cache, counts = masked(seen, how.reduced, gamma, beta, config.eps, norm.centre, keep)
        return y.reshape(x.shape), Masked(cache, keep, counts)
    y, cache = normalize(seen, how.reduced, gamma, beta, config.eps, norm.centre, guarded=False)
    return y.reshape(x.shape), cache


def unit_backward(
    config: RunConfig,
    dy: Array,
    layer: Trace,
    phi: Activation,
    dstream: Array | None = None,
    into: Layer | None = None,
) -> tuple[Array, Array, dict[str, Array]]:
    """Return the gradients of z, of s and of the norm's parameters, by name, from that of `unit`'s output.

    ``dstream`` is the gradient of what else z goes into.
    """
    affine: dict[str, Array] = {}
    before = config.placement == "before"
    if not before:
        dy, affine = _norm_backward(config, dy, layer, into)
    dz = phi.slope(layer.z, layer.a)
    dz *= dy
    if dstream is not None:
        dz += dstream
    if not before:
        return dz, dz, affine
    ds, affine = _norm_backward(config, dz, layer, into)
    return dz, ds, affine


def _norm_backward(
    config: RunConfig, dy: Array, layer: Trace, into: Layer | None
) -> tuple[Array, dict[str, Any]]:
    if layer.noise is not None:
        dy = dy * layer.noise
    if layer.norm is None:
        return dy, {}
    if isinstance(layer.norm, Masked):
        cache, keep, counts = layer.norm
        dx, dgamma, dbeta = masked_backward(dy.reshape(cache.xhat.shape), cache, keep, counts)
        return dx.reshape(dy.shape), {"gamma": dgamma, "beta": dbeta}
    if not isinstance(layer.norm, Cache):
        dx, affine = NORMS[config.trains_as].pair[1](dy.reshape(*dy.shape[:2], -1, dy.shape[-1]), layer.norm)
        return dx.reshape(dy.shape), affine
    cache = layer.norm
    if into is not None and dy.shape == cache.xhat.shape:  # gamma and beta are as they lie there
        dx, dgamma, dbeta = normalize_backward(dy, cache, (into.gamma, into.beta))
    else:
        dx, dgamma, dbeta = normalize_backward(dy.reshape(cache.xhat.shape), cache)
        dx = dx.reshape(dy.shape)
    return dx, {"gamma": dgamma, "beta": dbeta}


def write(gradient: Layer, affine: dict[str, Array]) -> None:
    """Write a norm's gradients, by name, where they belong."""
    for name, array in affine.items():
        place = getattr(gradient, name) if name in ("gamma", "beta") else gradient.extra[name]
        if array is place:
            continue
        place[:] = array if array.shape == place.shape else array.reshape(place.shape)
