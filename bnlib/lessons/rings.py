"""A GAN on the ring of Gaussians: how steep its discriminator is, what it sees, and which rates suit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..networks.config import RunConfig
from ..networks.network import backward, forward
from ..networks.parameters import Layer, in_layers, plan
from ..norms.statistics import Array
from ..training.gan import generator, quality, shown_latents
from ..training.recordings import SHOWN
from ..training.train import Run, advance, start

Found = dict[str, Array]

MOVED = (1.0, 0.5)  # by which all generated points are moved, to see whether the discriminator notices


def made(run: Run) -> Array:
    """Return the points that the generators make as they are now, (R, SHOWN, 2): those that are shown."""
    dense, its = generator(run.config)
    flat = run.flat[:, -its.size :]
    seeds = tuple(range(run.config.seed, run.config.seed + run.config.replicas))
    points: Array = forward(dense, in_layers(dense, its.views(flat)), shown_latents(run.config, seeds))[0]
    return points


def slopes(config: RunConfig, layers: list[Layer], points: Array) -> Array:
    """Return the length of the logit's gradient at each of the points (R, N, 2), an array (R, N).

    With batch norm it is the gradient of the sum of all logits: what each point's change does to the batch.
    """
    logits, trace, cache = forward(config, layers, points)
    its = plan(config)
    scratch = in_layers(config, its.views(np.zeros((len(points), its.size), points.dtype)))
    dx: Array = backward(config, scratch, np.ones_like(logits), trace, cache, need_dx=True)[0]
    lengths: Array = np.sqrt(np.square(dx).sum(axis=2))
    return lengths


def measured(run: Run) -> Found:
    """Measure the discriminator of a run as it is now, arrays (R,).

    steepest : the largest slope at real and generated points, a lower bound of the Lipschitz constant
    bound : product of the layers' largest singular values; with ReLU and without a norm of activations an
        upper one (Miyato et al. 2018, section 2.1). NaN for norms of activations
    noticed : mean change of a generated point's logit when all of them are moved by MOVED
    """
    config, layers = run.config, run.layers
    fake = made(run)
    real = np.broadcast_to(config.data().x_train[:SHOWN], fake.shape).astype(fake.dtype)
    steep = [slopes(config, layers, points).max(axis=1) for points in (real, fake)]
    before, after = (
        forward(config, layers, points, keep=False)[0]
        for points in (fake, fake + np.asarray(MOVED, fake.dtype))
    )
    sizes = [np.linalg.svd(layer.weight, compute_uv=False)[:, 0] for layer in layers]
    product = np.prod(sizes, axis=0) if config.on_activations is None else np.full(len(fake), np.nan)
    return {
        "steepest": np.maximum(*steep),
        "bound": product,
        "noticed": np.abs(after - before).mean(axis=(1, 2)),
    }


def steepness(config: RunConfig, looks: Sequence[int]) -> Found:
    """Train, and measure at each step of ``looks``, in order: arrays (R, looks); NaN once it has diverged."""
    run, found = start(replace(config, record_every=10**6, validate_every=10**6)), list[Found]()
    for step in looks:
        run = advance(run, step - run.step)
        lost = run.diverged_at >= 0
        found.append({name: np.where(lost, np.nan, own) for name, own in measured(run).items()})
    return {name: np.stack([own[name] for own in found], axis=1) for name in found[0]}


def score(near: ArrayLike, covered: ArrayLike) -> Array:
    """Return near x covered: 1 where all points are near a Gaussian and all Gaussians have their share.

    Either alone can be had without the other: a single Gaussian drawn well, or a cloud over all of them. A
    network that diverged has 0.
    """
    product: Array = np.nan_to_num(np.asarray(near, dtype=float) * np.asarray(covered, dtype=float))
    return product


def scored(config: RunConfig, steps: int) -> Array:
    """Train so many steps and return each seed's `score`, (R,)."""
    run = advance(start(replace(config, record_every=10**6, validate_every=10**6)), steps)
    found = score(*quality(made(run), config.data_noise))
    found[run.diverged_at >= 0] = 0.0
    return found


def sweep(config: RunConfig, steps: int, rates: Sequence[float]) -> Array:
    """Return the `score` of each seed at each learning rate, (rates, R)."""
    return np.stack([scored(replace(config, lr=rate), steps) for rate in rates])
