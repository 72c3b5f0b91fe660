"""Gradients: what scaled weights, a norm's two subtracted terms and weight decay do to them.

The networks are dense, with batch norm before each activation. What a backward pass without one of its terms
does is trained by a loop of its own: the engine's backward pass is right and has no switch for it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ..data import batches
from ..experiments.probes.passes import back, next_batch
from ..networks.config import RunConfig
from ..networks.layers import cross_entropy, linear, linear_backward
from ..networks.parameters import Layer, in_layers, initialize, plan
from ..norms.core import Cache, normalize
from ..norms.statistics import Array
from ..training.train import Run, advance, start

Found = dict[str, Array]

QUIET = 10**6  # record nothing
FEW = 12  # samples of the batch whose gradients are drawn one by one
LAYER = 1  # the hidden layer, counted from 0, whose unit is drawn


@lru_cache(maxsize=8)
def _trained(config: RunConfig, steps: int) -> Run:
    return advance(start(replace(config, record_every=QUIET, validate_every=QUIET)), steps)


# ---- ten times the weights -------------------------------------------------------------------------------


def scaled(config: RunConfig, steps: int, factors: tuple[float, ...], many_eps: tuple[float, ...]) -> Found:
    """Multiply the hidden weights of trained networks, and look at outputs and gradients on one batch.

    Parameters
    ----------
    config : of networks with a norm before each activation
    steps : that they have trained before
    factors, many_eps : what weights are multiplied by, and the eps of all norms while that is looked at

    Returns
    -------
    gradient : (eps, factors, R), length of the gradient of all hidden weights
    change : (eps, factors, R), largest change of a logit from factor 1
    logits : (eps, factors, classes) of the first sample in the first network
    weight, var : (R,), length of the hidden weights; median variance of what enters the first norm, factor 1
    """
    run = _trained(config, steps)
    x, labels = next_batch(run)
    hidden = plan(config).hidden_size
    length, changed, shown = [], [], []
    for eps in many_eps:
        own = replace(config, eps=eps)
        usual = _pass(own, run.flat, x, labels)[0]
        rows = []
        for factor in factors:
            flat = run.flat.copy()
            flat[:, :hidden] *= factor
            rows.append(_pass(own, flat, x, labels))
        length.append([np.linalg.norm(gradient[:, :hidden], axis=1) for _, gradient in rows])
        changed.append([np.abs(logits - usual).max(axis=(1, 2)) for logits, _ in rows])
        shown.append([logits[0, 0] for logits, _ in rows])
    entering = np.matmul(x, run.parameters["weight0"])
    return {
        "gradient": np.array(length), "change": np.array(changed), "logits": np.array(shown),
        "weight": np.linalg.norm(run.flat[:, :hidden], axis=1),
        "var": np.median(entering.var(axis=1), axis=1),
    }  # fmt: skip


def _pass(config: RunConfig, flat: Array, x: Array, labels: Array) -> tuple[Array, Array]:
    """Return logits and the gradient of the loss by all parameters."""
    gradient = np.zeros_like(flat)
    logits, _, _ = back(config, flat, x, lambda told: cross_entropy(told, labels)[1], gradient)
    return logits, gradient


# ---- the two subtracted terms ----------------------------------------------------------------------------


def through_norm(g: Array, cache: Cache, mean_term: bool = True, xhat_term: bool = True) -> Array:
    """Return ``rstd (g - mean(g) - xhat mean(g xhat))``, each subtracted term only if asked for.

    Without the mean term the batch's mean counts as a constant, without the x-hat term its standard
    deviation does: PyTorch's ``detach()``. g, of shape (R, N, C), is gamma times the gradient of the output.
    """
    dx = g - g.mean(axis=1, keepdims=True) if mean_term else g
    if xhat_term:
        dx = dx - cache.xhat * (g * cache.xhat).mean(axis=1, keepdims=True)
    return dx * cache.rstd


def with_biases(config: RunConfig, flat: Array) -> list[Layer]:
    """Return the layers of a network with batch norm, each with a bias in front of its norm, at 0 first."""
    layers = in_layers(config, plan(config).views(flat))
    return [
        layer if layer.bias is not None else layer._replace(bias=np.zeros_like(layer.beta))
        for layer in layers
    ]


def loss_and_gradients(
    layers: list[Layer], x: Array, labels: Array, eps: float, mean_term: bool = True, xhat_term: bool = True
) -> tuple[Array, list[Layer]]:
    """Return the loss (R,) of a ReLU network with batch norm, and what its backward pass says.

    That is the loss's gradient only if both terms are subtracted.
    """
    kept, h = [], x
    for layer in layers[:-1]:
        z, entered = linear(h, layer.weight, layer.bias)
        y, norm = normalize(z, (1,), layer.gamma, layer.beta, eps)
        h = np.maximum(y, 0)
        kept.append((entered, norm, h))
    logits, entered = linear(h, layers[-1].weight, layers[-1].bias)
    loss, dlogits = cross_entropy(logits, labels)
    gradients = [Layer(np.empty_like(layers[-1].weight), np.empty_like(layers[-1].bias))]
    dh: Any = linear_backward(dlogits, entered, *gradients[0][:2])
    for layer, (entered, norm, a) in zip(layers[-2::-1], kept[::-1], strict=True):
        dy = dh * (a > 0)
        dz = through_norm(layer.gamma * dy, norm, mean_term, xhat_term)
        affine = [np.sum(part, axis=1, keepdims=True) for part in (dy * norm.xhat, dy)]
        gradients.append(Layer(np.empty_like(layer.weight), np.empty_like(layer.bias), *affine))
        dh = linear_backward(dz, entered, *gradients[-1][:2])
    return loss, gradients[::-1]


def trained_without(
    config: RunConfig, steps: int, mean_term: bool, xhat_term: bool, every: int = 10
) -> Found:
    """Train with a backward pass that may leave terms out.

    Returns
    -------
    error : (R,), per cent of wrong validation answers, all validation samples being one batch
    step, weight, bias : (n,) and (R, n), length of the first layer's weights and of its bias on the way
    angle : (R,), degrees between what the backward pass says of the first layer's weights in the end, and
        their gradient
    """
    layers = with_biases(config, initialize(config))
    data, looks = config.data(), []
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    for step, (x, labels) in enumerate(batches(data, seeds, 0, config.batch_size, steps + 1)):
        if step % every == 0:
            looks.append([_length(layers[0].weight), _length(layers[0].bias)])
        _, said = loss_and_gradients(layers, x, labels, config.eps, mean_term, xhat_term)
        if step == steps:
            _, right = loss_and_gradients(layers, x, labels, config.eps)
            break
        for layer, gradient in zip(layers, said, strict=True):
            for parameter, slope in zip(layer[:4], gradient[:4], strict=True):
                if parameter is not None:
                    parameter -= config.lr * slope
    h = np.broadcast_to(data.x_val, (config.replicas, *data.x_val.shape))
    for layer in layers[:-1]:
        z, _ = linear(h, layer.weight, layer.bias)
        h = np.maximum(normalize(z, (1,), layer.gamma, layer.beta, config.eps)[0], 0)
    answers = linear(h, layers[-1].weight, layers[-1].bias)[0].argmax(axis=2)
    weight, bias = np.array(looks).transpose(1, 2, 0)
    product = np.sum(said[0].weight * right[0].weight, axis=(1, 2))
    cosine = product / (_length(said[0].weight) * _length(right[0].weight))
    return {
        "error": 100 * (answers != data.y_val).mean(axis=1), "step": np.arange(0, steps + 1, every),
        "weight": weight, "bias": bias, "angle": np.degrees(np.arccos(np.clip(cosine, -1, 1))),
    }  # fmt: skip


def _length(arrays: Array) -> Array:
    length: Array = np.linalg.norm(arrays.reshape(len(arrays), -1), axis=1)
    return length


def arriving(config: RunConfig, steps: int) -> Found:
    """Return what meets at one norm of a trained network, for the first FEW training samples as a batch.

    Returns
    -------
    z, g : (FEW, units) of hidden layer LAYER, the first network: what enters the norm, and gamma times the
        gradient of the loss by what leaves it, times FEW: that of each sample's own loss
    label : (FEW,)
    """
    config = replace(config, replicas=1)
    run, data = _trained(config, steps), config.data()
    x, labels = data.x_train[:FEW], data.y_train[:FEW]
    _, trace, dz = back(config, run.flat, x, lambda told: cross_entropy(told, labels)[1])
    norm = trace[LAYER].norm
    # dz is the gradient of what leaves the norm and enters the activation.
    return {"z": norm.xhat[0] / norm.rstd[0] + norm.mean[0], "g": FEW * (norm.gamma * dz[LAYER])[0],
            "label": labels}  # fmt: skip


# ---- weight decay ----------------------------------------------------------------------------------------


def turning(config: RunConfig, steps: int, every: int) -> Found:
    """Follow how long weights are and how far a step of SGD turns them.

    The gradient is at right angles to weights in front of a norm (eps = 0), and decay only shortens them: the
    tangent of the angle is ``lr |gradient| / ((1 - lr weight_decay) |W|)``.

    Returns
    -------
    step : (n,)
    angle : (R, n), degrees, root mean square over hidden layers
    length : (R, n), of the first hidden layer's weights
    loss : (R, n), of the step's own batch
    """
    history = advance(start(replace(config, record_every=every, validate_every=QUIET)), steps).history
    length, gradient = history["weight_norm"], history["weight_gradient_norm"]
    angle = np.degrees(np.arctan(config.lr * gradient / ((1 - config.lr * config.weight_decay) * length)))
    return {
        "step": history["step"], "angle": np.sqrt(np.square(angle).mean(axis=2)), "length": length[:, :, 0],
        "loss": history["train_loss"],
    }  # fmt: skip
