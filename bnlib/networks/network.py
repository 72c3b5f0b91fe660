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
    config: RunConfig, parameters: Parameters | list[Layer], x: Array, *,
    norm_batch: int = 0, noise: Noise | None = None, keep: bool = True,
) -> tuple[Array, list[Trace], Any]:  # fmt: skip
    """Return logits (R, N, classes), a trace per hidden layer, and the output layer's cache.

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
    phi, kind, shapes = config.nonlinearity, config.kind, config.shapes
    seen = kind.seen(x.shape[-1])
    if len(seen) > 1:
        x = np.broadcast_to(x.reshape(*x.shape[:-1], *seen), (len(layers[0].weight), x.shape[-2], *seen))
    going = None
    if config.padded:
        going = ~np.isnan(x[..., 0])
        x = np.where(going[..., None], x, 0)
    traces = []
    stream = None
    for number, layer in enumerate(layers[:-1]):
        if kind.recurrent:
            x, trace = unroll(config, x, layer, norm_batch, phi, going)
        else:
            z, cache = kind.connect(x, layer.weight, layer.bias, shapes[number])
            if stream is not None:
                np.add(z, stream, out=z)
            if config.residual == "pre":
                stream = z
            here = noise[number] if noise else None
            z, a, x, norm_cache = unit(config, z, layer, norm_batch, phi, here)
            if config.residual == "post":
                stream = z
            trace = Trace(z, a, cache, norm_cache, here and here[0])
        if keep:
            traces.append(trace)
    x, top = kind.top(x)
    logits, output_cache = linear(x, layers[-1].weight, layers[-1].bias)
    return logits, traces, (output_cache, top)


def backward(
    config: RunConfig, gradients: list[Layer], dlogits: Array, traces: list[Trace], output_cache: Any, *,
    need_dx: bool = False,
) -> list[Array]:  # fmt: skip
    """Write the gradient of every learned parameter into ``gradients``.

    Returns, per hidden layer, the gradient with respect to z, what enters the activation, in the shape of z;
    with ``need_dx``, before them the one with respect to what enters the first layer.
    """
    dz_per_layer: list[Array] = []
    dstream: Any = None
    output, top = output_cache
    phi, kind = config.nonlinearity, config.kind
    dx: Any = linear_backward(dlogits, output, gradients[-1].weight, gradients[-1].bias)
    dx = kind.top_back(dx, top)
    for gradient, trace in zip(gradients[-2::-1], traces[::-1], strict=True):
        if kind.recurrent:
            dz, dx = unroll_backward(config, dx, trace, gradient, phi)
        else:
            behind = dstream if config.residual == "post" else None
            dz, ds, affine = unit_backward(config, dx, trace, phi, behind, gradient)
            write(gradient, affine)
            if config.residual != "none":
                dstream = ds = ds + dstream if config.residual == "pre" and dstream is not None else ds
            above = need_dx or trace is not traces[0]
            dx = kind.back(ds, trace.linear, gradient.weight, gradient.bias, need_dx=above)
        dz_per_layer.insert(0, dz)
    return [dx, *dz_per_layer] if need_dx else dz_per_layer


def there_and_back(
    config: RunConfig, layers: list[Layer], gradients: list[Layer], x: Array, top: Callable[[Array], Array],
    norm_batch: int = 0, noise: Noise | None = None,
) -> tuple[Array, list[Trace], list[Array]]:  # fmt: skip
    """Go forward, then back from ``top(logits)``: return logits, traces, dz; fill ``gradients``."""
    used, kept = normalize_weights(config, layers)
    logits, traces, output_cache = forward(config, used, x, norm_batch=norm_batch, noise=noise)
    dz = backward(config, gradients, top(logits), traces, output_cache)
    weights_backward(config, gradients, kept)
    return logits, traces, dz


def by_batch_statistics(config: RunConfig, layers: list[Layer], x: Array, size: int) -> Array:
    """Return logits (R, N, classes) of x (N, features) with statistics of ``size`` samples, as in training.

    The batches are `forward`'s norm batches: ``size`` must divide N.
    """
    if config.on_activations is None or NORMS[config.trains_as].pair is None:
        return forward(config, layers, x, norm_batch=size, keep=False)[0]
    count = len(x) // size  # such a norm takes all of what it gets for one batch
    logits = [forward(config, layers, x[first::count], keep=False)[0] for first in range(count)]
    return np.stack(logits, axis=2).reshape(len(logits[0]), len(x), -1)
