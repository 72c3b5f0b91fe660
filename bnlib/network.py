"""A multilayer network built from a RunConfig: where its parameters lie, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .config import RunConfig
from .layers import ACTIVATIONS, LinearCache, linear, linear_backward
from .norms import normalize, normalize_backward
from .stats import Array, RunningStats, averager

# What makes a norm: which axes of (R, N, C) share a mean and a variance, and whether the mean is
# subtracted. Group norm sees its features as (R, N, groups, C / groups).
AXES = {"batch": ((1,), True), "layer": ((2,), True), "group": ((3,), True), "rms": ((2,), False)}

Parameters = dict[str, Array]
Noise = list[tuple[Array, Array]]


class Layer(NamedTuple):
    """A layer's parameters, or their gradients: views of one flat array (R, size), None where there is none.

    weight (R, I, O), bias (R, 1, O); gamma and beta (R, 1, O), in group norm (R, 1, groups, O / groups).
    A layer is normalized where it has a gamma.
    """

    weight: Array
    bias: Any
    gamma: Any = None
    beta: Any = None
    settled: bool = False  # the norm is the affine map of gamma and beta alone


@dataclass(frozen=True)
class Plan:
    """Where each parameter lies in the flat vector that the optimizer sees.

    Weight matrices come first, the output layer's last among them, so that weight decay is one slice.
    ``slots`` maps a name to (start, stop, shape); ``statistics`` is the number of features with running
    statistics, all layers together.
    """

    slots: dict[str, tuple[int, int, tuple[int, int]]]
    size: int
    hidden_size: int
    weight_size: int
    statistics: int

    def views(self, flat: Array) -> Parameters:
        """``flat`` (R, size) as a plain dict of arrays (R, rows, columns) that share its memory."""
        return {
            name: flat[:, start:stop].reshape(len(flat), *shape)
            for name, (start, stop, shape) in self.slots.items()
        }


@lru_cache(maxsize=64)
def plan(config: RunConfig) -> Plan:
    """The plan of ``config``'s network (edits play no role in it)."""
    dataset = config.data()
    sizes = [dataset.x_train.shape[1], *[config.width] * config.depth, dataset.classes]
    shapes = {f"weight{layer}": (sizes[layer], sizes[layer + 1]) for layer in range(config.depth + 1)}
    for layer in range(config.depth + 1):
        # Batch norm right after a linear layer subtracts any bias again: it would be a dead parameter.
        if layer == config.depth or not (config.norm == "batch" and config.placement == "before"):
            shapes[f"bias{layer}"] = (1, sizes[layer + 1])
        if layer < config.depth and config.norm != "none" and config.learn_affine:
            shapes[f"gamma{layer}"] = shapes[f"beta{layer}"] = (1, config.width)
    slots, start = {}, 0
    for name, (rows, columns) in shapes.items():
        slots[name] = (start, start + rows * columns, (rows, columns))
        start += rows * columns
    return Plan(
        slots,
        size=start,
        hidden_size=slots[f"weight{config.depth}"][0],
        weight_size=slots[f"weight{config.depth}"][1],
        statistics=config.width * config.depth if config.norm == "batch" else 0,
    )


def initialize(config: RunConfig) -> Array:
    """The flat parameters (R, size) that training starts from.

    Gaussian weights from a stream that depends on seed and layer shape alone: networks that differ in
    their norm start from the same weights.
    """
    the_plan = plan(config)
    flat = np.zeros((config.replicas, the_plan.size), config.dtype)
    parameters = the_plan.views(flat)
    for replica in range(config.replicas):
        rng = np.random.default_rng((config.seed + replica, 0))
        for layer in range(config.depth + 1):
            weight = parameters[f"weight{layer}"][replica]
            std = np.sqrt(2 / weight.shape[0]) if config.init == "he" else 1.0
            weight[:] = config.init_scale * std * rng.standard_normal(weight.shape)
    set_affine(flat, config, "gamma", "beta")
    return flat


def set_affine(flat: Array, config: RunConfig, *which: str) -> None:
    """Set every learned gamma, beta or both to the configuration's value."""
    for name, array in plan(config).views(flat).items():
        for parameter in which:
            if name.startswith(parameter):
                array[:] = getattr(config, parameter)


def in_layers(config: RunConfig, parameters: Parameters) -> list[Layer]:
    """Parameters (or gradients) by name as a list of layers, the output layer last, sharing their memory.

    A gamma and beta that aren't learned have the configuration's value.
    """
    split = (config.groups, config.width // config.groups) if config.norm == "group" else (config.width,)
    layers = []
    for number in range(config.depth + 1):
        weight, gamma, beta = parameters[f"weight{number}"], None, None
        if number < config.depth and config.norm != "none":
            shape = (len(weight), 1, *split)
            if config.learn_affine:
                gamma, beta = (parameters[f"{name}{number}"].reshape(shape) for name in ("gamma", "beta"))
            else:
                gamma = np.full(shape, config.gamma, weight.dtype)
                beta = np.full(shape, config.beta, weight.dtype)
        layers.append(Layer(weight, parameters.get(f"bias{number}"), gamma, beta))
    return layers


class Trace(NamedTuple):
    """What one hidden layer leaves behind: z enters the activation, a leaves it."""

    z: Array
    a: Array
    linear: LinearCache
    norm: Any
    noise: Any  # what the norm's output was multiplied by


def forward(
    config: RunConfig,
    parameters: Parameters | list[Layer],
    x: Array,
    *,
    norm_batch: int = 0,
    noise: Noise | None = None,
    keep: bool = True,
) -> tuple[Array, list[Trace], LinearCache]:
    """Logits (R, N, classes), a trace per hidden layer, and the output layer's cache.

    Parameters
    ----------
    parameters : by name, or already `in_layers`
    x : ndarray of shape (R, N, features) or (N, features)
    norm_batch : batch norm takes the statistics of so many samples at a time, which must divide N: of
        samples 0, N / norm_batch, 2 N / norm_batch and so on; 0: of all N together
    noise : per hidden layer what the output of its norm, or what stands there without one, is multiplied by
        and then increased by, each (R, N, width)
    keep : without the traces, which are then left out, a layer's memory serves the next
    """
    layers = in_layers(config, parameters) if isinstance(parameters, dict) else parameters
    activation = ACTIVATIONS[config.activation].forward
    before = config.placement == "before"
    trace = []
    stream = None
    for number, layer in enumerate(layers[:-1]):
        here = noise[number] if noise else None
        z, linear_cache = linear(x, layer.weight, layer.bias)
        if config.residual:
            stream = z = z if stream is None else np.add(z, stream, out=z)
        if before:
            z, norm_cache = _norm(config, z, layer, norm_batch, here)
        a = x = activation(z)
        if not before:
            x, norm_cache = _norm(config, a, layer, norm_batch, here)
        if keep:
            trace.append(Trace(z, a, linear_cache, norm_cache, here and here[0]))
    logits, output_cache = linear(x, layers[-1].weight, layers[-1].bias)
    return logits, trace, output_cache


def _norm(
    config: RunConfig, x: Array, layer: Layer, norm_batch: int, noise: tuple[Array, Array] | None
) -> tuple[Array, Any]:
    """What stands where ``layer`` has its norm: the norm, if there is one, and the noise, if there is any."""
    y, cache = x, None
    if layer.settled:
        y = x * layer.gamma + layer.beta
    elif layer.gamma is not None:
        y, cache = _normalize(config, x, layer.gamma, layer.beta, norm_batch)
    if noise is not None:
        y = y * noise[0] + noise[1]
    return y, cache


def _normalize(config: RunConfig, x: Array, gamma: Array, beta: Array, norm_batch: int) -> tuple[Array, Any]:
    axes, centre = AXES[config.norm]
    split = x
    if config.norm == "group":  # (R, N, C) -> (R, N, groups, C / groups)
        split = x.reshape(*x.shape[:2], *gamma.shape[2:])
    elif norm_batch and config.norm == "batch":  # -> (R, norm_batch, N / norm_batch, C)
        split = x.reshape(len(x), norm_batch, -1, x.shape[2])
        gamma, beta = gamma[:, None], beta[:, None]
    y, cache = normalize(split, axes, gamma, beta, config.eps, centre)
    return y if split is x else y.reshape(x.shape), cache


def backward(
    config: RunConfig, gradients: list[Layer], dlogits: Array, trace: list[Trace], output_cache: LinearCache
) -> list[Array]:
    """Write the gradient of every learned parameter into ``gradients``.

    Returns, per hidden layer, the gradient with respect to z, what enters the activation (R, N, width).
    """
    slope = ACTIVATIONS[config.activation].slope
    before = config.placement == "before"
    dz_per_layer: list[Array] = []
    dstream: Any = None
    dx: Any = linear_backward(dlogits, output_cache, gradients[-1].weight, gradients[-1].bias)
    for gradient, layer in zip(gradients[-2::-1], trace[::-1], strict=True):
        if not before:
            dx = _norm_backward(dx, layer, gradient)
        dz = slope(layer.z, layer.a)
        dz *= dx
        dz_per_layer.append(dz)
        if before:
            dz = _norm_backward(dz, layer, gradient)
        if config.residual:
            dstream = dz = dz if dstream is None else dz + dstream
        first = len(dz_per_layer) == len(trace)
        dx = linear_backward(dz, layer.linear, gradient.weight, gradient.bias, need_dx=not first)
    return dz_per_layer[::-1]


def _norm_backward(dy: Array, layer: Trace, gradient: Layer) -> Array:
    if layer.noise is not None:
        dy = dy * layer.noise
    if layer.norm is None:
        return dy
    used = layer.norm.xhat if layer.norm.source is None else layer.norm.source[0]
    gamma, beta = (array.reshape(layer.norm.gamma.shape) for array in (gradient.gamma, gradient.beta))
    dx, gamma[:], beta[:] = normalize_backward(dy.reshape(used.shape), layer.norm)  # by groups, norm batches
    return dx.reshape(dy.shape)


def batch_moments(trace: list[Trace]) -> Array:
    """Means and variances that batch norm used, all layers together: (R, 2, depth * width).

    Of several norm batches it is their average, as if one process after another had updated the running
    statistics with a small weight.
    """
    moments = [layer.norm.mean for layer in trace] + [layer.norm.var for layer in trace]
    if moments[0].ndim > 3:  # (R, 1, norm batches, C)
        moments = [averager(m.shape, (2,), m.dtype)(m) for m in moments]
    return np.concatenate(moments, axis=-1).reshape(len(moments[0]), 2, -1)


def inference_layers(config: RunConfig, layers: list[Layer], running: RunningStats) -> list[Layer]:
    """The network in inference, where batch norm is an affine map and vanishes in its linear neighbour.

    With running mean m and variance v, gamma (x - m) / sqrt(v + eps) + beta = s x + t. Before the
    activation, s and t change the weights and bias that made x; after it, those that x meets next. In a
    residual network x also goes on unnormalized: there the map stays a map of its own.
    Other norms are the same in training and inference: their layers come back as they are.
    """
    if config.norm != "batch":
        return layers
    folded: list[Layer] = []
    scale: Any = None
    shift: Any = None
    for number, (weight, bias, gamma, beta, _) in enumerate(layers):
        if scale is not None and config.placement == "after":
            bias = bias + np.matmul(shift, weight)
            weight = weight * scale.mT
        if gamma is not None:
            here = slice(number * config.width, (number + 1) * config.width)
            std = np.sqrt(running.var[:, None, here] + config.eps)
            scale = np.divide(gamma, std, out=np.zeros_like(std), where=std != 0)
            shift = beta - running.mean[:, None, here] * scale
            if config.placement == "before" and config.residual:
                folded.append(Layer(weight, bias, scale, shift, settled=True))
                continue
            if config.placement == "before":
                weight, bias = weight * scale, shift
        folded.append(Layer(weight, bias))
    return folded
