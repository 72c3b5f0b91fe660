"""A network forward and backward.

Each hidden layer is a linear map of the layer before, of patches of it, or of it and the state before, as the
table of networks says (`kinds`); then come a norm and an activation, in either order. Activations are
(R, N, C) in dense networks, (R, N, H, W, C) in convolutional ones, and (R, N, T, C) for the T steps of
recurrent ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..norms.statistics import Array
from ..norms.table import NORMS
from .config import RunConfig
from .layers import linear, linear_backward
from .parameters import Layer, Parameters, in_layers, normalize_weights, weights_backward
from .recurrent import unroll, unroll_backward
from .units import Trace, unit, unit_backward, write

Noise = list[tuple[Array, Array]]


def forward(
    config: RunConfig,
    parameters: Parameters | list[Layer],
    x: Array,
    *,
    norm_batch: int = 0,
    noise: Noise | None = None,
    keep: bool = True,
) -> tuple[Array, list[Trace], Any]:
    """Return logits (R, N, classes), a trace per hidden layer, and the output layer's cache.

    Parameters
    ----------
    parameters : by name, or already `in_layers` with the weights that are used
    x : ndarray of shape (R, N, features) or (N, features)
    norm_batch : batch norm takes the statistics of so many samples at a time, which must divide N: of
        samples 0, N / norm_batch, 2 N / norm_batch and so on; 0: of all N together
    noise : per hidden layer what the output of its norm, or what stands there without one, is multiplied by
        and then increased by, each (R, N, width)
    keep : without the traces, which are then left out, a layer's memory serves the next
    """
    layers = parameters
    if isinstance(layers, dict):
        layers, _ = normalize_weights(config, in_layers(config, layers))
    x = _seen(config, x, len(layers[0].weight))
    phi, kind, shapes = config.nonlinearity, config.kind, config.shapes
    trace = []
    stream = None
    for number, layer in enumerate(layers[:-1]):
        here = noise[number] if noise else None
        if kind.recurrent:
            x, seen = unroll(config, x, layer, norm_batch, phi)
        else:
            z, cache = kind.connect(x, layer.weight, layer.bias, shapes[number])
            if stream is not None:
                np.add(z, stream, out=z)
            if config.residual == "pre":
                stream = z
            z, a, x, norm_cache = unit(config, z, layer, norm_batch, phi, here)
            if config.residual == "post":
                stream = z
            seen = Trace(z, a, cache, norm_cache, here and here[0])
        if keep:
            trace.append(seen)
    top: Any = None
    if kind.top:
        x, top = kind.top(x)
    logits, output_cache = linear(x, layers[-1].weight, layers[-1].bias)
    return logits, trace, (output_cache, top)


def _seen(config: RunConfig, x: Array, replicas: int) -> Array:
    """Return x (R, N, features) or (N, features) in the shape in which the first layer gets it."""
    shape = config.kind.seen(x.shape[-1])
    if len(shape) == 1:
        return x
    x = x.reshape(*x.shape[:-1], *shape)
    return x if x.ndim == len(shape) + 2 else np.broadcast_to(x, (replicas, *x.shape))


def backward(
    config: RunConfig,
    gradients: list[Layer],
    dlogits: Array,
    trace: list[Trace],
    output_cache: Any,
    *,
    need_dx: bool = False,
) -> list[Array]:
    """Write the gradient of every learned parameter into ``gradients``.

    Returns, per hidden layer, the gradient with respect to z, what enters the activation, in the shape of z;
    with ``need_dx``, before them the one with respect to what enters the first layer.
    """
    dz_per_layer: list[Array] = []
    dstream: Any = None
    output, top = output_cache
    phi, kind = config.nonlinearity, config.kind
    dx: Any = linear_backward(dlogits, output, gradients[-1].weight, gradients[-1].bias)
    if kind.top_back:
        dx = kind.top_back(dx, top)
    for gradient, layer in zip(gradients[-2::-1], trace[::-1], strict=True):
        first = len(dz_per_layer) == len(trace) - 1
        if kind.recurrent:
            dz, dx = unroll_backward(config, dx, layer, gradient, phi)
            dz_per_layer.append(dz)
            continue
        behind = dstream if config.residual == "post" else None
        dz, ds, affine = unit_backward(config, dx, layer, phi, behind, gradient)
        write(gradient, affine)
        dz_per_layer.append(dz)
        if config.residual != "none":
            dstream = ds = ds + dstream if config.residual == "pre" and dstream is not None else ds
        dx = kind.back(ds, layer.linear, gradient.weight, gradient.bias, need_dx=need_dx or not first)
    return [dx, *dz_per_layer[::-1]] if need_dx else dz_per_layer[::-1]


def there_and_back(
    config: RunConfig,
    layers: list[Layer],
    gradients: list[Layer],
    x: Array,
    top: Callable[[Array], Array],
    norm_batch: int = 0,
    noise: Noise | None = None,
) -> tuple[Array, list[Trace], list[Array]]:
    """Go forward, then back from ``top(logits)``: return logits, traces, dz; fill ``gradients``."""
    used, kept = normalize_weights(config, layers)
    logits, trace, output_cache = forward(config, used, x, norm_batch=norm_batch, noise=noise)
    dz = backward(config, gradients, top(logits), trace, output_cache)
    weights_backward(config, gradients, kept)
    return logits, trace, dz


def by_batch_statistics(config: RunConfig, layers: list[Layer], x: Array, size: int) -> Array:
    """Return logits (R, N, classes) of x (N, features) with statistics of ``size`` samples, as in training.

    The batches are `forward`'s norm batches: ``size`` must divide N.
    """
    if config.on_activations is None or NORMS[config.trains_as].pair is None:
        return forward(config, layers, x, norm_batch=size, keep=False)[0]
    count = len(x) // size  # such a norm takes all of what it gets for one batch
    logits = [forward(config, layers, x[first::count], keep=False)[0] for first in range(count)]
    return np.stack(logits, axis=2).reshape(len(logits[0]), len(x), -1)
