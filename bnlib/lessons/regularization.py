"""Regularization: the noise of batch norm, what it keeps from being learned, and dropout beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..data import batches
from ..experiments.probes.passes import watch as engine
from ..networks.config import RunConfig
from ..networks.inference import averaging_weights, inference_layers
from ..networks.layers import cross_entropy, linear, linear_backward
from ..networks.network import forward as passes
from ..networks.parameters import Layer, in_layers, plan
from ..norms.core import normalize, normalize_backward
from ..norms.statistics import Array
from ..training.evaluation import error, precise
from ..training.optimizer import gradient_to_update
from ..training.train import Run, start
from .inference import with_statistics
from .small import unit_numbers

Found = dict[str, Array]

DRAWS = 2000  # batches that a digit is put into
PINNED = 40  # digits, each of which is put into them
MOST = 128  # digits in one of them
MASKS = 12  # the stream of dropout's masks, beside those of weights (0) and batches (1)
Rates = tuple[float, ...]  # of dropout behind each hidden layer


# ---- the same digit in other company ---------------------------------------------------------------------


@lru_cache(maxsize=16)
def standard(seed: int, unit: int) -> Array:
    """Return what a unit of an untrained network gets from the training digits (N,): mean 0, variance 1."""
    x = unit_numbers(seed, unit)
    scaled: Array = (x - x.mean()) / x.std()
    return scaled


def company(seed: int, unit: int, m: int) -> Array:
    """Return x-hat of the first PINNED digits in DRAWS batches each, (DRAWS, PINNED).

    A digit's m - 1 companions are drawn with replacement from the other digits, the same for each of them. A
    ValueError if m is not from 2 to MOST.
    """
    if not 2 <= m <= MOST:
        raise ValueError(f"company: m={m!r} must lie in 2 to {MOST}; a digit alone has no company")
    x = standard(seed, unit)
    chosen = np.random.default_rng((seed, 13)).integers(PINNED, len(x), size=(m - 1, DRAWS))
    others, own = x[chosen], x[:PINNED]
    mean = (others.sum(axis=0)[:, None] + own) / m
    var = (np.square(others).sum(axis=0)[:, None] + own**2) / m - mean**2
    xhat: Array = (own - mean) / np.sqrt(np.maximum(var, 0) + 1e-5)
    return xhat


def noise_shares(seeds: tuple[int, ...], unit: int, sizes: tuple[int, ...]) -> Found:
    """Measure ``share`` (R, sizes): of the mean square of x-hat, the part that changes with the company."""
    found = [[company(seed, unit, m) for m in sizes] for seed in seeds]
    return {"share": np.array([[x.var(axis=0).mean() / np.square(x).mean() for x in own] for own in found])}


def spread_law(z: Any, m: int) -> tuple[Array, Array]:
    """Return mean and standard deviation of x-hat of a number z among m - 1 Gaussian companions.

    With W ~ N(z sqrt(m - 1), 1) and S ~ chi-squared with m - 2 degrees of freedom, independent,
    x-hat = sqrt(m - 1) W / sqrt(m S + W^2): z minus the batch's mean is (m - 1)/m times z minus the
    companions' mean, and S is their sum of squares. By sums over a grid; to first order the deviation is
    sqrt((1 + z^2 / 2) / m). z : numbers of any shape, m : 2 or more, eps is 0.
    """
    z, free = np.asarray(z, float)[..., None, None], m - 2
    away = np.linspace(-6, 6, 200)
    bell = np.exp(-(away**2) / 2)
    low, high = max(0.0, free**0.5 - 6), free**0.5 + 6
    root = low + (high - low) * (np.arange(120) + 0.5) / 120 if free else np.zeros(1)
    logs = (free - 1) * np.log(root) - root**2 / 2 if free else root
    weight = np.exp(logs - logs.max())
    w = z * np.sqrt(m - 1) + away[:, None]
    xhat = w * np.sqrt(m - 1) / np.sqrt(m * root**2 + w**2 + 1e-18)
    both = bell[:, None] * weight / bell.sum() / weight.sum()
    mean = (both * xhat).sum(axis=(-2, -1))
    return mean, np.sqrt(np.maximum((both * xhat**2).sum(axis=(-2, -1)) - mean**2, 0))


def noise_law(sizes: tuple[int, ...]) -> Found:
    """Return ``share`` (sizes,), the variance of `spread_law` averaged over Gaussian z: about 1.5 / m."""
    z = np.linspace(-4.5, 4.5, 31)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    return {"share": np.array([weight @ spread_law(z, m)[1] ** 2 for m in sizes])}


# ---- a network with noise behind its norms and dropout behind its activations ----------------------------


class Seen(NamedTuple):
    """What a layer leaves for its backward pass.

    norm : cache of the norm, of (R, samples of a norm batch, norm batches, C), whose shape is ``grouped``
    scale : the factor of the noise, or None; xhat, y : (R, N, C), x-hat with noise; what enters the ReLU
    """

    linear: Any
    norm: Any
    grouped: tuple[int, ...]
    scale: Array | None
    xhat: Array
    y: Array


def forward(
    config: RunConfig, layers: list[Layer], x: Array, noise: int = 0, masks: Any = None
) -> tuple[Array, list[Seen], Any]:
    """Compute logits (R, N, classes) of a dense network with batch norm before each ReLU.

    noise : x-hat gets mean 0 and variance 1 in each group of so many samples by factors and shifts that count
        as constants: forward as norm batches of that size, backward as those of ``config``. 0: nothing
    masks : per layer, what leaves the activation is multiplied by, (R, N, C), or None
    """
    seen = []
    for number, layer in enumerate(layers[:-1]):
        z, kept = linear(x, layer.weight)
        parts = z.reshape(len(z), config.statistics_of or z.shape[1], -1, z.shape[2])
        xhat, cache = normalize(parts, (1,), None, None, config.eps)
        scale = None
        if noise:
            xhat = xhat.reshape(len(z), noise, -1, z.shape[2])
            eps = config.eps * cache.rstd.mean(axis=2, keepdims=True) ** 2
            scale = np.tile(1 / np.sqrt(xhat.var(axis=1, keepdims=True) + eps), (1, noise, 1, 1))
            xhat = (xhat - xhat.mean(axis=1, keepdims=True)) * scale
        xhat = xhat.reshape(z.shape)
        y = layer.gamma * xhat + layer.beta
        x = np.maximum(y, 0)
        if masks is not None:
            x *= masks[number]
        seen.append(Seen(kept, cache, parts.shape, scale, xhat, y))
    logits, top = linear(x, layers[-1].weight, layers[-1].bias)
    return logits, seen, top


def backward(
    layers: list[Layer], gradients: list[Layer], dlogits: Array, seen: list[Seen], top: Any, masks: Any = None
) -> None:
    """Write the gradient of every parameter into ``gradients``: `forward` the other way."""
    dx: Any = linear_backward(dlogits, top, gradients[-1].weight, gradients[-1].bias)
    for number in range(len(seen) - 1, -1, -1):
        one, layer, gradient = seen[number], layers[number], gradients[number]
        if masks is not None:
            dx = dx * masks[number]
        dy = dx * (one.y > 0)
        np.add.reduce(dy * one.xhat, axis=1, keepdims=True, out=gradient.gamma)
        np.add.reduce(dy, axis=1, keepdims=True, out=gradient.beta)
        dy *= layer.gamma
        if one.scale is not None:
            dy *= one.scale.reshape(dy.shape)
        dz = normalize_backward(dy.reshape(one.grouped), one.norm)[0].reshape(dy.shape)
        dx = linear_backward(dz, one.linear, gradient.weight, need_dx=number > 0)


def dropout_masks(config: RunConfig, seeds: tuple[int, ...], step: int, rates: Rates) -> Any:
    """Draw the masks of inverted dropout per layer, (R, N, C): 0, or 1 / (1 - p)."""
    shape = (config.depth, config.batch_size, config.width)
    drawn = np.stack([np.random.default_rng((seed, MASKS, step)).random(shape) for seed in seeds], axis=1)
    return [((u >= p) / (1 - p)).astype(config.dtype) for u, p in zip(drawn, rates, strict=True)]


def watch(
    config: RunConfig, steps: int, every: int, noise: int = 0, rates: Rates = ()
) -> Iterator[tuple[Run, Array]]:
    """Train; return the run and the latest loss (R,) at step 0 and each so many; ``noise``: see `forward`."""
    begin, the_plan = start(config), plan(config)
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    flat, gradient = begin.flat.copy(), np.zeros_like(begin.flat)
    moments = tuple(np.zeros_like(flat) for _ in begin.optimizer_state)
    statistics = np.stack([begin.running.mean, begin.running.var], axis=1)
    layers, gradients = (in_layers(config, the_plan.views(array)) for array in (flat, gradient))
    keep, take = averaging_weights(config)
    yield begin, np.full(config.replicas, np.log(config.data().classes))
    for step, (x, labels) in enumerate(batches(config.data(), seeds, 0, config.batch_size, steps), start=1):
        masks = dropout_masks(config, seeds, step, rates) if rates else None
        logits, seen, top = forward(config, layers, x, noise, masks)
        loss, dlogits = cross_entropy(logits, labels)
        backward(layers, gradients, dlogits, seen, top, masks)
        gradient_to_update(config, the_plan, flat, gradient, moments, step - 1)
        flat -= gradient
        pairs = [[array.mean(axis=(1, 2)) for array in (one.norm.mean, one.norm.var)] for one in seen]
        statistics = keep * statistics + take * np.concatenate([np.stack(p, axis=1) for p in pairs], axis=2)
        if step % every == 0:
            run = replace(begin, flat=flat.copy(), step=step)
            yield with_statistics(run, statistics[:, 0], statistics[:, 1]), loss


# ---- wrong labels ----------------------------------------------------------------------------------------


def followed(config: RunConfig, steps: int, every: int, noise: int = 0, rates: Rates = ()) -> Found:
    """Train as `watch` does, or as the engine without batch norm; look with precise statistics.

    Returns ``step`` (n,), and (R, n) each: ``loss`` of a look's batch in training, NaN without batch norm;
    ``val``, the error on validation samples in per cent; ``repeated`` and ``undone``, the shares of training
    samples with a wrong label that are given that label, or their true class, NaN where there are none.
    """
    data, truth = config.data(), replace(config, label_noise=0.0).data().y_train
    wrong, rows = data.y_train != truth, []
    other = ((run, np.full(config.replicas, np.nan)) for run in engine(config, steps, every))
    for run, loss in watch(config, steps, every, noise, rates) if config.norm == "batch" else other:
        layers = inference_layers(config, run.layers, precise(run).running)
        images = (data.x_val, data.x_train[wrong])
        val, said = (passes(config, layers, x, keep=False)[0].argmax(axis=2) for x in images)
        hits = (said == data.y_train[wrong], said == truth[wrong])
        shares = [hit.mean(axis=1) if wrong.any() else np.nan * loss for hit in hits]
        rows.append([loss, 100 * (val != data.y_val).mean(axis=1), *shares])
    found = dict(zip(("loss", "val", "repeated", "undone"), np.stack(rows, axis=2), strict=True))
    return found | {"step": np.arange(0, steps + 1, every)}


# ---- dropout ---------------------------------------------------------------------------------------------


def dropped(config: RunConfig, steps: int, rates: Rates) -> Found:
    """Train with dropout; compare running variances with what arrives in inference.

    Returns (R, layers): ``ratio``, the running variance over the one that arrives, of training samples, and
    ``expected``, by `variance_ratio` for dropout in front of this layer alone; (R,): ``val`` and ``anew``,
    errors in inference in per cent, and those with statistics computed again, dropout off.
    """
    run = list(watch(config, steps, steps, rates=rates))[-1][0]
    again = precise(run)
    running = run.running.var.reshape(config.replicas, config.depth, -1).mean(axis=2)
    ratio = running / np.stack([var.mean(axis=1) for _, var in _arriving(run)], axis=1)
    behind = (0.0, *rates[:-1])  # the dropout in front of each layer
    expected = [
        variance_ratio(run.layers[n].weight, a, behind[n]) for n, (a, _) in enumerate(_arriving(again))
    ]
    return {"ratio": ratio, "expected": np.stack(expected, axis=1), "val": error(run), "anew": error(again)}


def variance_ratio(weight: Array, a: Array, p: float) -> Array:
    """Return the variance of W (mask a) / (1 - p) over that of W a, mean variances of a layer's units, (R,).

    Over samples and masks it is Var(W a) + p / (1 - p) sum w^2 E[a^2]: what the masks add is independent from
    unit to unit. weight : (R, I, O), a : (R, N, I) or (N, I), p : the share that is dropped.
    """
    added = np.square(weight).sum(axis=2) * np.square(a).mean(axis=-2)
    ratio: Array = 1 + p / (1 - p) * added.sum(axis=1) / (a @ weight).var(axis=1).sum(axis=1)
    return ratio


def _arriving(run: Run) -> Iterator[tuple[Array, Array]]:
    """Return what enters each hidden layer in inference, and the variance that enters its norm (R, C)."""
    a, layers = run.config.data().x_train, inference_layers(run.config, run.layers, run.running)
    for layer, folded in zip(run.layers[:-1], layers, strict=False):
        yield a, (a @ layer.weight).var(axis=1)
        a = np.maximum(a @ folded.weight + folded.bias, 0)
