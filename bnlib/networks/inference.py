"""Statistics that a network's norms leave in training, and what becomes of them in inference."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..norms.running import RunningStats
from ..norms.statistics import Array, averager
from ..norms.table import NORMS
from .config import RunConfig
from .parameters import Layer, features, plan
from .units import Trace


def caches_of(layer: Trace) -> tuple[Any, ...]:
    """Return the caches that a layer's norm left: one, or in recurrent layers one a step."""
    return layer.norm if type(layer.norm) is tuple else (layer.norm,)


def batch_moments(trace: list[Trace]) -> Array:
    """Join the means and variances that norms with running statistics used, all layers: (R, 2, features).

    Of several norm batches it is their average, as if one process after another had updated the running
    statistics with a small weight.
    """
    caches = [cache for layer in trace for cache in caches_of(layer)]
    moments = [cache.mean for cache in caches] + [cache.var for cache in caches]
    if moments[0].ndim > 3:  # (R, 1, norm batches, ..., C)
        moments = [m.reshape(len(m), 1, -1, m.shape[-1]) for m in moments]
        moments = [averager(m.shape, (2,), m.dtype)(m) for m in moments]
    return np.concatenate(moments, axis=-1).reshape(len(moments[0]), 2, -1)


def averaging_weights(config: RunConfig, samples: int = 0) -> tuple[Array, Array]:
    """Return what `RunningStats.update` multiplies old and new means and variances with, (2, features) each.

    ``samples`` : in the batch; 0: ``config.batch_size``
    """
    samples, keep = config.statistics_of or samples or config.batch_size, config.momentum
    take, places = 1 - keep, plan(config).statistics
    weights = np.empty((2, 2, features(places)), config.dtype)
    for shape, here in zip(config.shapes, places, strict=False):
        m = samples * (1 if config.kind.recurrent else prod(shape[:-1]))
        rows = [(keep, take), (keep, take * (m / (m - 1))) if m > 1 else (1.0, 0.0)]
        if NORMS[config.norm].weighted:
            rows[1] = rows[0]
        weights[:, :, here] = np.array(rows).T[:, :, None]
    return weights[0], weights[1]


def inference_layers(config: RunConfig, layers: list[Layer], running: RunningStats) -> list[Layer]:
    """Return the network in inference, where batch norm is an affine map, folded into its linear neighbour.

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
    settled = config.kind.recurrent or (config.residual != "none" if before else config.kind.convolves)
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
