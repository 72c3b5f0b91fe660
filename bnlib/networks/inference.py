"""Statistics that a network's norms leave in training, and what becomes of them in inference."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..norms.core import Cache
from ..norms.running import RunningStats
from ..norms.statistics import Array, averager
from .config import RunConfig
from .parameters import Layer, features, plan
from .units import Masked, Trace


def caches_of(layer: Trace) -> tuple[Any, ...]:
    """Return the caches that a layer's norm left: one, or in recurrent layers one a step."""
    every = layer.norm if type(layer.norm) is tuple else (layer.norm,)
    return tuple(_known(one) if isinstance(one, Masked) else one for one in every)


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


def _known(masked: Masked) -> Cache:
    """Return the cache with NaN for the mean of no sample, and for the variance of fewer than two.

    A variance is scaled for `averaging_weights`, which take it for one of the whole batch.
    """
    cache, keep, counts = masked
    whole = keep.size // counts.size
    unbiased = counts / np.maximum(counts - 1, 1) * ((whole - 1) / whole)
    mean, var = np.where(counts > 0, cache.mean, np.nan), np.where(counts > 1, cache.var * unbiased, np.nan)
    return cache._replace(mean=mean.astype(cache.mean.dtype), var=var.astype(cache.var.dtype))


def averaging_weights(config: RunConfig, samples: int = 0) -> tuple[Array, Array]:
    """Return what `RunningStats.update` multiplies old and new means and variances with, (2, features) each.

    ``samples`` : in the batch; 0: ``config.batch_size``
    """
    norm, places, momentum = config.on_activations, plan(config).statistics, config.momentum
    keep, take = (np.full((2, features(places)), weight, config.dtype) for weight in (momentum, 1 - momentum))
    if norm is None or norm.weighted:
        return keep, take
    samples = config.statistics_of or samples or config.batch_size
    for shape, here in zip(config.shapes, places, strict=False):
        m = samples * (1 if config.kind.recurrent else prod(shape[:-1]))
        keep[1, here], take[1, here] = (momentum, (1 - momentum) * (m / (m - 1))) if m > 1 else (1.0, 0.0)
    return keep, take


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
    s: Any = None
    t: Any = None
    for number, layer in enumerate(layers):
        weight, bias = layer.weight, layer.bias
        if number and not before and not settled:
            weight, bias = weight * s.mT, bias + np.matmul(t, weight)
        if number < config.depth:
            here = plan(config).statistics[number]
            shape = (len(weight), -1, weight.shape[2])
            mean, var = (a[:, here].reshape(shape) for a in (running.mean, running.var))
            std = np.sqrt(var + config.eps)
            s = np.divide(layer.gamma, std, out=np.zeros_like(std), where=std != 0)
            t = layer.beta - mean * s
            if settled:
                folded.append(Layer(weight, bias, s, t, settled=True))
                continue
            if before:
                weight, bias = weight * s, t
        folded.append(Layer(weight, bias))
    return folded
