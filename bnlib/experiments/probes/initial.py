"""Measures of networks before any training; arrays by name come out, the replica axis first."""

from __future__ import annotations

import numpy as np

from ...networks.config import RunConfig
from ...networks.layers import cross_entropy
from ...networks.network import forward, there_and_back
from ...networks.parameters import Layer, in_layers, initialize, plan
from ...norms.statistics import Array
from ...training.train import start
from .arithmetic import Measured
from .passes import back, gradient_at, next_batch


def gradient_growth(config: RunConfig, steps: int, first: int, last: int, source: str = "random") -> Measured:
    """Measure the growth of the squared gradient norm, layer by layer toward the input, before training.

    "growth" (R,): factor per layer, a least-squares line through the logarithms of layers `first` to `last`;
    "energy" (R, depth): the squared norms of the gradient with respect to what enters each activation.
    `source` "random": Gaussian inputs and a Gaussian gradient of the logits; "loss": digits and their loss;
    "isotropic": without the first layer, so that "energy" is (R, depth - 1), samples at right angles, at most
    `width` of them, and a Gaussian gradient of what the last hidden layer puts out.
    """
    flat = initialize(config)
    if source == "isotropic":
        dz = _isotropic(config, flat)
    elif source == "random":
        x, top = _drawn(config)
        _, _, dz = back(config, flat, x, lambda logits: top)
    else:
        x, labels = next_batch(start(config))
        _, _, dz = back(config, flat, x, lambda logits: cross_entropy(logits, labels)[1])
    width = np.full(config.replicas, config.width)
    energy = np.stack([np.square(d, dtype=float).sum(axis=(1, 2)) for d in dz], axis=1)
    layers = np.arange(first, last + 1)
    slope = np.polyfit(layers, np.log(energy[:, first - 1 : last]).T, 1)[0]
    return {"growth": np.exp(-slope), "energy": energy, "width": width, "last": np.full_like(width, last)}


def residual_stream(config: RunConfig, steps: int) -> Measured:
    """Measure E[h^2] after each residual block before training, Gaussian inputs; "stream" (R, depth).

    Inputs are scaled so that the stream begins at 1: column l is after l blocks.
    """
    _, trace, _ = forward(config, plan(config).views(initialize(config)), _drawn(config, np.sqrt(0.5))[0])
    if config.norm == "batch":  # the norm has seen the stream, the activation only what came out
        squares = [layer.norm.mean**2 + layer.norm.var for layer in trace]
    else:
        squares = [layer.z**2 for layer in trace]
    return {"stream": np.stack([s.mean(axis=(1, 2), dtype=float) for s in squares], axis=1)}


def block_gradients(config: RunConfig, steps: int, source: str = "random") -> Measured:
    """Measure the norms of gradients of residual blocks' weights before training.

    "gradient" is (R, depth - 1), the first block's first.

    `source` "random": Gaussian inputs, with which the stream begins at 1, and a Gaussian gradient of the
    logits of length 1; "loss": digits and their loss.
    """
    flat = initialize(config)
    gradient = np.zeros_like(flat)
    if source == "random":
        x, top = _drawn(config, np.sqrt(0.5))
        top /= np.linalg.norm(top, axis=(1, 2), keepdims=True)
        back(config, flat, x, lambda logits: top, gradient)
    else:
        gradient = gradient_at(config, flat, *next_batch(start(config)))[1]
    blocks = [plan(config).views(gradient)[f"weight{block}"] for block in range(1, config.depth)]
    return {"gradient": np.stack([np.linalg.norm(b.astype(float), axis=(1, 2)) for b in blocks], axis=1)}


def _drawn(config: RunConfig, scale: float = 1.0) -> tuple[Array, Array]:
    """Draw Gaussian inputs (R, N, features), and a Gaussian gradient of the logits (R, N, classes)."""
    data, rows = config.data(), []
    for seed in range(config.seed, config.seed + config.replicas):
        rng = np.random.default_rng((seed, 3))
        sizes = (data.x_train.shape[1], data.classes)
        rows.append([rng.standard_normal((config.batch_size, size)) for size in sizes])
    x, top = (np.stack(arrays) for arrays in zip(*rows, strict=True))
    return (x * scale).astype(config.dtype), top.astype(config.dtype)


def _isotropic(config: RunConfig, flat: Array) -> list[Array]:
    """Return gradients with respect to z of all hidden layers but the first, which isn't there.

    The second gets samples at right angles to each other, of length sqrt(width); what comes out of the last
    has a Gaussian gradient.
    """
    drawn = []
    for seed in range(config.seed, config.seed + config.replicas):
        rng = np.random.default_rng((seed, 9))
        basis = np.linalg.qr(rng.standard_normal((config.width, config.batch_size)))[0]
        drawn.append((np.sqrt(config.width) * basis.T, rng.standard_normal(basis.T.shape)))
    x, top = (np.stack(arrays).astype(config.dtype) for arrays in zip(*drawn, strict=True))
    same = np.broadcast_to(np.eye(config.width, dtype=config.dtype), (config.replicas, *(config.width,) * 2))
    hidden, gradients = (
        [*in_layers(config, plan(config).views(array))[1:-1], Layer(last, None)]
        for array, last in ((flat, same), (np.zeros_like(flat), same.copy()))
    )
    return there_and_back(config, hidden, gradients, x, lambda out: top, config.statistics_of)[2]
