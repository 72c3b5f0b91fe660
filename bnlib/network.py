"""A network forward and backward.

Three kinds, one skeleton: each hidden layer is a linear map of the layer before, of patches of it, or of it
and the state before; then come a norm and an activation, in either order. Activations are (R, N, C) in dense
networks, (R, N, H, W, C) in convolutional ones, and (R, N, T, C) for the T steps of recurrent ones.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from . import conv
from .config import RunConfig
from .data import DIGIT
from .layers import linear, linear_backward
from .plan import (
    KERNEL,
    Layer,
    Parameters,
    features,
    in_layers,
    normalize_weights,
    plan,
    weights_backward,
)
from .recurrent import unroll, unroll_backward
from .stats import Array, RunningStats, averager
from .table import NORMS
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
    """Logits (R, N, classes), a trace per hidden layer, and the output layer's cache.

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
    x = _images(config, x, len(layers[0].weight))
    phi = config.nonlinearity
    trace = []
    stream = None
    for number, layer in enumerate(layers[:-1]):
        here = noise[number] if noise else None
        if config.network == "rnn":
            x, seen = unroll(config, x, layer, norm_batch, phi)
        else:
            z, cache = _connect(config, number, x, layer)
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
    if config.network == "cnn":
        x, top = conv.pool(x)
    elif config.network == "rnn":
        x = x[:, :, -1]
    logits, output_cache = linear(x, layers[-1].weight, layers[-1].bias)
    return logits, trace, (output_cache, top)


def _images(config: RunConfig, x: Array, replicas: int) -> Array:
    """What the first layer gets: features as they are, as an image, or as its rows, one after another."""
    if config.network in ("mlp", "gan"):
        return x
    shape = DIGIT if config.network == "cnn" else (DIGIT[0], x.shape[-1] // DIGIT[0])
    x = x.reshape(*x.shape[:-1], *shape)
    return x if x.ndim == len(shape) + 2 else np.broadcast_to(x, (replicas, *x.shape))


def _connect(config: RunConfig, number: int, x: Array, layer: Layer) -> tuple[Array, Any]:
    """The linear map of hidden layer ``number``."""
    if config.network != "cnn":
        return linear(x, layer.weight, layer.bias)
    stride = x.shape[2] // config.shapes[number][0]
    return conv.conv(x, layer.weight, layer.bias, kernel=KERNEL, stride=stride, padding=KERNEL // 2)


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
    phi = config.nonlinearity
    dx: Any = linear_backward(dlogits, output, gradients[-1].weight, gradients[-1].bias)
    if config.network == "cnn":
        dx = conv.pool_backward(dx, top)
    elif config.network == "rnn":
        last, dx = dx, np.zeros(trace[-1].a.shape, dx.dtype)
        dx[:, :, -1] = last
    for gradient, layer in zip(gradients[-2::-1], trace[::-1], strict=True):
        first = len(dz_per_layer) == len(trace) - 1
        if config.network == "rnn":
            dz, dx = unroll_backward(config, dx, layer, gradient, phi)
            dz_per_layer.append(dz)
            continue
        dz, ds, affine = unit_backward(config, dx, layer, phi, dstream if config.residual == "post" else None)
        write(gradient, affine)
        dz_per_layer.append(dz)
        if config.residual != "none":
            dstream = ds = ds + dstream if config.residual == "pre" and dstream is not None else ds
        back = conv.conv_backward if config.network == "cnn" else linear_backward
        dx = back(ds, layer.linear, gradient.weight, gradient.bias, need_dx=need_dx or not first)
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
    """Forward, then backward from ``top(logits)``: logits, traces and dz; ``gradients`` are filled."""
    used, kept = normalize_weights(config, layers)
    logits, trace, output_cache = forward(config, used, x, norm_batch=norm_batch, noise=noise)
    dz = backward(config, gradients, top(logits), trace, output_cache)
    weights_backward(config, gradients, kept)
    return logits, trace, dz


def by_batch_statistics(config: RunConfig, layers: list[Layer], x: Array, size: int) -> Array:
    """Logits (R, N, classes) of x (N, features) with statistics of ``size`` samples, as in training.

    The batches are `forward`'s norm batches: ``size`` must divide N.
    """
    norm = config.on_activations
    if norm is None or norm.pair is None:
        return forward(config, layers, x, norm_batch=size, keep=False)[0]
    count = len(x) // size  # such a norm takes all of what it gets for one batch
    logits = [forward(config, layers, x[first::count], keep=False)[0] for first in range(count)]
    return np.stack(logits, axis=2).reshape(len(logits[0]), len(x), -1)


# ---- statistics and inference ---------------------------------------------------------------------------


def caches_of(layer: Trace) -> tuple[Any, ...]:
    """The caches that a layer's norm left: one, or in recurrent layers one a step."""
    return layer.norm if type(layer.norm) is tuple else (layer.norm,)


def batch_moments(trace: list[Trace]) -> Array:
    """Means and variances that norms with running statistics used, all layers together: (R, 2, features).

    Of several norm batches it is their average, as if one process after another had updated the running
    statistics with a small weight.
    """
    caches = [cache for layer in trace for cache in caches_of(layer)]
    moments = [cache.mean for cache in caches] + [cache.var for cache in caches]
    if moments[0].ndim > 3:  # (R, 1, norm batches, ..., C)
        moments = [m.reshape(len(m), 1, -1, m.shape[-1]) for m in moments]
        moments = [averager(m.shape, (2,), m.dtype)(m) for m in moments]
    return np.concatenate(moments, axis=-1).reshape(len(moments[0]), 2, -1)


def averaging_weights(config: RunConfig) -> tuple[Array, Array]:
    """What `RunningStats.update` multiplies old and new means and variances with, (2, features) each."""
    samples, keep = config.statistics_of or config.batch_size, config.momentum
    take, places = 1 - keep, plan(config).statistics
    weights = np.empty((2, 2, features(places)), config.dtype)
    for shape, here in zip(config.shapes, places, strict=False):
        m = samples * (prod(shape[:-1]) if config.network == "cnn" else 1)
        rows = [(keep, take), (keep, take * (m / (m - 1))) if m > 1 else (1.0, 0.0)]
        if NORMS[config.norm].weighted:
            rows[1] = rows[0]
        weights[:, :, here] = np.array(rows).T[:, :, None]
    return weights[0], weights[1]


def inference_layers(config: RunConfig, layers: list[Layer], running: RunningStats) -> list[Layer]:
    """The network in inference, where batch norm is an affine map and vanishes in its linear neighbour.

    With running mean m and variance v, gamma (x - m) / sqrt(v + eps) + beta = s x + t. Before the
    activation, s and t change the weights and bias that made x; after it, those that x meets next. The map
    stays a map of its own where it can't vanish: in a residual network x also goes on unnormalized, a
    convolution's padding is 0 whatever t is, and a recurrent layer has another map at each step. Other norms
    are the same in training and inference: their layers come back as they are.
    """
    norm = config.on_activations
    if norm is None or not norm.running:
        return layers
    before = config.placement == "before"
    settled = config.network == "rnn" or (config.residual != "none" if before else config.network == "cnn")
    folded: list[Layer] = []
    scale: Any = None
    shift: Any = None
    places = plan(config).statistics
    for number, layer in enumerate(layers):
        weight, bias = layer.weight, layer.bias
        if scale is not None and not before and not settled:
            bias = bias + np.matmul(shift, weight)
            weight = weight * scale.mT
        if layer.gamma is not None:
            shape = (len(weight), -1, weight.shape[2])
            mean, var = (a[:, places[number]].reshape(shape) for a in (running.mean, running.var))
            std = np.sqrt(var + config.eps)
            scale = np.divide(layer.gamma, std, out=np.zeros_like(std), where=std != 0)
            shift = layer.beta - mean * scale
            if settled:
                folded.append(Layer(weight, bias, scale, shift, settled=True))
                continue
            if before:
                weight, bias = weight * scale, shift
        folded.append(Layer(weight, bias))
    return folded
