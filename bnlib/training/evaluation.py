"""How good a run is: its errors with moving, corrected, precise or batch statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import theory
from ..networks.inference import caches_of, inference_layers
from ..networks.network import by_batch_statistics, forward
from ..norms.statistics import Array
from .train import Run

STATISTICS = ("running", "corrected", "precise", "batch")


def precise(run: Run) -> Run:
    """Return the run with its running statistics computed anew: one pass over the training samples.

    Population statistics of Wu & Johnson 2021: the mean of batch means, and the mean of
    ``var_B + mean_B^2`` minus its square, over batches as large as those of training; the variance of the
    batch means counts (an average of batch variances alone leaves it out). Norms that train with running
    statistics, "running" and frozen ones, get mean and variance of all training samples as they then
    enter each norm in inference; those that leave padding out get them of one batch of all. Other norms stay
    as they are.
    """
    config, norm = run.config.at(run.step), run.config.on_activations
    if norm is None or not norm.running:
        return run
    x, size = config.data().x_train, config.statistics_of or config.batch_size
    if norm.weighted or config.frozen:  # with one batch of all samples, each layer gets what it will get
        config = replace(config, norm="batch", norm_batch=0, batch_order="shuffled", frozen=False)
        size = len(x)
    size = len(x) if config.masks else size
    x = x[: len(x) // size * size]
    _, trace, _ = forward(config, run.layers, x, norm_batch=size)
    moments = []
    for cache in (cache for layer in trace for cache in caches_of(layer)):
        shape = (config.replicas, -1, cache.mean.shape[-1])
        mean, var = (array.reshape(shape).swapaxes(0, 1) for array in (cache.mean, cache.var))
        moments.append(theory.precise_stats(mean, var))
    mean, var = (np.concatenate(parts, axis=-1) for parts in zip(*moments, strict=True))
    return replace(run, running=replace(run.running, mean=mean, var=var, weight=0.0, var_weight=0.0))


def corrected(run: Run) -> Run:
    """Return the run with running statistics that are averages of its batches alone, without their start.

    The result is right after any edits of momentum and batch size, and for replicas that diverged: each
    knows what its start still weighs.
    """
    stats, norm = run.running, run.config.on_activations
    if norm is None or not norm.running or np.all(stats.weight == 1):
        return run
    if norm.weighted:  # what is averaged without bias are means and mean squares
        squares = replace(stats, var=stats.var + np.square(stats.mean)).corrected
        var = np.maximum(squares.var - np.square(squares.mean), 0)
        return replace(run, running=replace(squares, var=var))
    return replace(run, running=stats.corrected)


def error(run: Run, split: str = "val", statistics: str = "running") -> Array:
    """Return the share of wrong answers in percent (R,), NaN for a replica that has diverged.

    split : "val" or "train"; statistics : one of STATISTICS; "batch" are those of batches as in training
    """
    config = run.config.at(run.step)
    data = config.data()
    x, labels = (data.x_val, data.y_val) if split == "val" else (data.x_train, data.y_train)
    if statistics == "batch":
        size = min(config.statistics_of or config.batch_size, len(x))
        x, labels = x[: len(x) // size * size], labels[: len(x) // size * size]
        logits = by_batch_statistics(config, run.layers, x, size)
    else:
        used = precise(run) if statistics == "precise" else run
        used = corrected(run) if statistics == "corrected" else used
        logits = forward(config, inference_layers(config, run.layers, used.running), x, keep=False)[0]
    wrong = 100 * (logits.argmax(axis=2) != labels).mean(axis=1)
    return np.where((run.diverged_at < 0) & np.isfinite(logits).all(axis=(1, 2)), wrong, np.nan)
