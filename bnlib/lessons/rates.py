"""Learning rate and initial weights: what trains, what a step gains, what scale does, how rough it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..data import batches
from ..experiments.probes.along import rescaled
from ..experiments.probes.passes import back, gradient_at, next_batch, watch
from ..networks.config import RunConfig
from ..networks.layers import cross_entropy
from ..networks.network import forward
from ..networks.parameters import in_layers, plan
from ..norms.statistics import Array
from ..training.optimizer import DIVERGENCE_RATIO
from ..training.train import advance, start

Found = dict[str, Array]

LOCAL = 1e-7  # of the gradient's length: a step so small that almost no ReLU switches


def row(config: RunConfig, rates: tuple[float, ...], steps: int, hidden: float = 1.0) -> Found:
    """Train with each of ``rates``, all networks side by side, by plain SGD; arrays (rates, R, steps).

    All begin with the same weights and see the same batches. Hidden weights are multiplied by ``hidden``.

    Returns
    -------
    loss, right : of each batch, before its step: cross-entropy, and the share of right answers. From the step
        on at which its loss isn't finite or 1,000 times a guess's, a network counts as guessing
    relative : lr ||g|| / ||W||, the step's length over that of all hidden weights; 0 from there on
    length : ||W|| over its start
    diverged : (rates, R), whether that happened

    Raises
    ------
    ValueError
        If the configuration has another optimizer, decay, edits or noise, which would not be heeded.
    """
    if config.optimizer != "sgd" or config.weight_decay or config.edits or config.norm_noise:
        raise ValueError(
            f"row: optimizer={config.optimizer!r}, weight_decay={config.weight_decay:g}, "
            f"edits={config.edits!r}, norm_noise={config.norm_noise:g}: needs plain SGD; "
            "set optimizer='sgd' and leave out the others"
        )
    first, stop = start(config).flat.copy(), plan(config).hidden_size
    first[:, :stop] *= hidden
    flat = np.tile(first, (len(rates), 1))
    lr = np.repeat(np.array(rates, config.dtype), config.replicas)[:, None]
    live, begin = np.ones(len(flat), bool), np.linalg.norm(flat[:, :stop], axis=1)
    found: dict[str, list[Array]] = {name: [] for name in ("loss", "right", "relative", "length")}
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    guess = np.log(config.data().classes)
    with np.errstate(all="ignore"):  # a divergence is recorded, not warned about
        for x, y in batches(config.data(), seeds, 0, config.batch_size, steps):
            many = np.tile(x, (len(rates), 1, 1)), np.tile(y, (len(rates), 1))
            loss, right, gradient = _pass(config, flat, *many)
            live &= loss < DIVERGENCE_RATIO * guess
            length = np.linalg.norm(flat[:, :stop], axis=1)
            step = np.where(live[:, None], lr * gradient, 0)
            found["loss"].append(np.where(live, loss, guess))
            found["right"].append(np.where(live, right, 1 / config.data().classes))
            found["relative"].append(np.linalg.norm(step[:, :stop], axis=1) / length)
            found["length"].append(length / begin)
            flat -= step
    shape = (len(rates), config.replicas)
    shaped = {name: np.stack(parts, axis=-1).reshape(*shape, -1) for name, parts in found.items()}
    return shaped | {"diverged": ~live.reshape(shape)}


def _pass(config: RunConfig, flat: Array, x: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return loss (R,), share of right answers (R,) and gradient (R, size) at the parameters ``flat``."""
    gradient = np.zeros_like(flat)
    kept: list[tuple[Array, Array]] = []

    def top(logits: Array) -> Array:
        loss, dlogits = cross_entropy(logits, labels)
        kept.append((loss, (logits.argmax(axis=2) == labels).mean(axis=1)))
        return dlogits

    back(config, flat, x, top, gradient)
    return (*kept[0], gradient)


def gains(config: RunConfig, steps: int, every: int, digits: int) -> Found:
    """Train, and at every so many steps see what the next step gains for ``digits`` other samples, (R, n).

    L is the loss of the first ``digits`` training samples, statistics from all of them; g is the gradient of
    the next batch. To first order a step -lr g lowers L by lr <grad L, g>.

    Returns
    -------
    step : (n,)
    loss : L; expected : lr <grad L, g>; fall : what L falls by in that step
    own : lr ||g||^2, the same for the batch's own loss; own_fall : what that falls by
    alike : cosine of the angle between grad L and g
    """
    data, names = config.data(), ("loss", "expected", "fall", "own", "own_fall", "alike")
    shape = (config.replicas, digits)
    x = np.broadcast_to(data.x_train[:digits], (*shape, data.x_train.shape[1]))
    y = np.broadcast_to(data.y_train[:digits], shape)
    found: dict[str, list[Array]] = {name: [] for name in names}
    at = []
    for run in watch(replace(config, record_every=10**6, validate_every=10**6), steps, every):
        batch = next_batch(run)
        loss, g = gradient_at(config, run.flat, *batch)
        whole, gradient = gradient_at(config, run.flat, x, y)
        moved = run.flat - config.lr * g
        inner = (gradient * g).sum(axis=1)
        lengths = np.linalg.norm(gradient, axis=1) * np.linalg.norm(g, axis=1)
        seen = (
            whole, config.lr * inner, whole - loss_at(config, moved, x, y),
            config.lr * np.square(g).sum(axis=1), loss - loss_at(config, moved, *batch), inner / lengths,
        )  # fmt: skip
        for name, value in zip(names, seen, strict=True):
            found[name].append(value)
        at.append(run.step)
    return {"step": np.array(at)} | {name: np.stack(parts, axis=1) for name, parts in found.items()}


def loss_at(config: RunConfig, flat: Array, x: Array, labels: Array) -> Array:
    """Return the loss (R,) at the parameters ``flat``, statistics of the batch."""
    layers = in_layers(config, plan(config).views(flat))
    logits = forward(config, layers, x, norm_batch=config.statistics_of, keep=False)[0]
    return cross_entropy(logits, labels)[0]


def twin(config: RunConfig, steps: int, factor: float) -> Found:
    """Train from hidden weights times ``factor``, their learning rate times its square, beside the original.

    eps is 0, and all that isn't a hidden weight keeps its learning rate: behind a norm both have the same
    losses. Returns ``train_loss`` and ``other_loss`` (R, steps), and ``loss_difference`` (R,), the largest.
    """
    return rescaled(replace(config, eps=0.0, rest_lr=config.lr), steps, factor)


def line(config: RunConfig, steps: int, distances: Sequence[float]) -> Found:
    """Train for so many steps, then look along the gradient of the next batch, at ``distances`` times it.

    Returns
    -------
    change : (R, distances), the batch's loss there, minus that at 0
    smoothness : (R,), ||grad(w - t g) - g|| / (t ||g||) at a step t = LOCAL: how fast the gradient changes,
        the effective beta of Santurkar et al. (2018) close to w
    layers : (R, depth), length of the gradient of each hidden weight matrix
    right : (R,), share of the batch's right answers
    """
    run = advance(start(replace(config, record_every=10**6, validate_every=10**6)), steps)
    x, y = next_batch(run)
    loss, right, g = _pass(config, run.flat, x, y)
    near = gradient_at(config, run.flat - LOCAL * g, x, y)[1] - g
    with np.errstate(all="ignore"):  # far away a loss may overflow
        there = [loss_at(config, run.flat - t * g, x, y) - loss for t in distances]
    views = plan(config).views(g)
    lengths = [np.linalg.norm(views[f"weight{k}"], axis=(1, 2)) for k in range(config.depth)]
    return {
        "change": np.stack(there, axis=1),
        "smoothness": np.linalg.norm(near, axis=1) / (LOCAL * np.linalg.norm(g, axis=1)),
        "layers": np.stack(lengths, axis=1),
        "right": right,
    }
