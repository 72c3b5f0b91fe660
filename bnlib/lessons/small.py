"""Small batches: how far statistics of m samples are off, and what that does to training."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..experiments.probes.passes import next_batch, watch
from ..networks.config import RunConfig
from ..networks.inference import inference_layers
from ..networks.layers import cross_entropy
from ..networks.network import forward, there_and_back
from ..networks.parameters import in_layers, one_of, plan
from ..norms.core import normalize_backward
from ..norms.statistics import Array
from ..training.evaluation import error
from ..training.train import Run, advance, start

Found = dict[str, Array]

BATCHES = 4000  # that the law of their means is seen from
MOST = 128  # numbers in one of them
ASKED = 512  # images that a convolutional network is asked about
ROUNDING = 1e-15  # of relative size: about what another order of a sum makes


# ---- statistics of m numbers -----------------------------------------------------------------------------


class Drawn(NamedTuple):
    """Batches of m numbers: means (BATCHES,), as deviations, and standard deviations, in units of sigma."""

    mean: Array
    std: Array


@lru_cache(maxsize=8)
def unit_numbers(seed: int, unit: int) -> Array:
    """Return what one unit of an untrained network's first layer gets from each training digit, (N,)."""
    run = start(RunConfig(seed=seed, dtype="float64"))
    weight = one_of(run.layers, 0)[0].weight[0, :, unit]
    numbers: Array = run.config.data().x_train @ weight
    return numbers


@lru_cache(maxsize=4)
def _choice(count: int, seed: int) -> Array:
    return np.random.default_rng((seed, 10)).integers(count, size=(MOST, BATCHES))


@lru_cache(maxsize=32)
def drawn(seed: int, unit: int, m: int) -> Drawn:
    """Draw BATCHES batches of m digits with replacement; what the unit gets from them, biased as in a norm.

    Raises
    ------
    ValueError
        If m is not from 1 to MOST.
    """
    if not 1 <= m <= MOST:
        raise ValueError(f"drawn: m={m!r} must lie in 1 to {MOST}")
    x = unit_numbers(seed, unit)
    x = (x - x.mean()) / x.std()
    batches = x[_choice(len(x), seed)[:m]]
    mean = batches.mean(axis=0)
    batches -= mean
    return Drawn(mean, np.sqrt(np.square(batches).mean(axis=0)))


def law(seed: int, unit: int, sizes: tuple[int, ...]) -> Found:
    """Measure the laws of `drawn` for each of ``sizes``, arrays (sizes,).

    spread : standard deviation of the batch means; std : mean of the batches' standard deviations; inverse :
    mean of 1 over those that aren't 0, NaN for m below 4, where it has no finite variance. In units of sigma.
    """
    every = [drawn(seed, unit, m) for m in sizes]
    inverse = [(1 / d.std[d.std > 0]).mean() if m > 3 else np.nan for m, d in zip(sizes, every, strict=True)]
    return {
        "spread": np.array([d.mean.std() for d in every]),
        "std": np.array([d.std.mean() for d in every]),
        "inverse": np.array(inverse),
    }


# ---- training --------------------------------------------------------------------------------------------


def learned(config: RunConfig, steps: int, every: int) -> Found:
    """Train, and look on the way and at the end; errors in per cent, of replicas that haven't diverged.

    Returns
    -------
    step : (n,); val, own : (R, n) errors on validation samples, with running statistics and with those of
        batches as in training
    train : (R,) error at the end on training samples, statistics as in training
    passed : (R, layers), `passed` at the end; NaN without a norm over samples
    """
    runs = list(watch(config, steps, every))
    return curve(runs) | {
        "own": np.stack([error(run, statistics="batch") for run in runs], axis=1),
        "train": error(runs[-1], "train", "batch"),
        "passed": passed(runs[-1]),
    }


def curve(runs: list[Run]) -> Found:
    """Return ``step`` (n,) and ``val`` (R, n), the validation error in per cent with running statistics."""
    return {
        "step": np.array([run.step for run in runs]),
        "val": np.stack([error(run) for run in runs], axis=1),
    }


def passed(run: Run) -> Array:
    """Return the share of the gradient's energy that passes each norm on its way back, (R, layers).

    Of the next batch's gradient: the squares behind the norm's backward pass, in units of its standard
    deviation and gamma, over those before it. `theory.gradient_share` is what random gradients keep. NaN for
    norms that don't take the statistics of a batch.
    """
    config = run.config
    if config.norm != "batch":
        return np.full((config.replicas, config.depth), np.nan)
    x, labels = next_batch(run)
    gradients = in_layers(config, plan(config).views(np.zeros_like(run.flat)))
    _, trace, dz = there_and_back(
        config,
        run.layers,
        gradients,
        x,
        lambda logits: cross_entropy(logits, labels)[1],
        config.statistics_of,
    )
    shares = []
    for layer, arrived in zip(trace, dz, strict=True):
        cache = layer.norm
        dy = arrived.reshape(cache.xhat.shape)
        dx = normalize_backward(dy, cache._replace(gamma=None, beta=None))[0] / cache.rstd
        inside = tuple(range(1, dy.ndim))
        shares.append(np.square(dx).sum(axis=inside) / np.square(dy).sum(axis=inside))
    return np.stack(shares, axis=1)


def rounding(config: RunConfig, steps: int) -> Found:
    """Train twice, the second time from weights that differ by ROUNDING, and count changed answers.

    Return ``differs`` (R,), the share of validation samples that get another answer in eval().
    """
    first = start(config)
    runs = [advance(first, steps), advance(replace(first, flat=first.flat * (1 + ROUNDING)), steps)]
    said = [answers(run) for run in runs]
    return {"differs": (said[0] != said[1]).mean(axis=1)}


def answers(run: Run) -> Array:
    """Return the class that each validation sample is given in eval(), (R, N)."""
    layers = inference_layers(run.config, run.layers, run.running)
    said: Array = forward(run.config, layers, run.config.data().x_val, keep=False)[0].argmax(axis=2)
    return said


# ---- convolutions ----------------------------------------------------------------------------------------


def convolved(config: RunConfig, steps: int) -> Found:
    """Train a convolutional network: what `learned` returns at its end, and `worth`."""
    run = advance(start(config), steps)
    return {
        "val": error(run),
        "own": error(run, statistics="batch"),
        "train": error(run, "train", "batch"),
        "passed": passed(run),
        "worth": worth(run),
    }


def worth(run: Run) -> Array:
    """Find how many independent numbers an image is worth for the mean of a channel, (R, layers).

    The mean of so many would scatter as the mean over one image's positions does: the variance over images
    and positions over that of the images' means, each averaged over the layer's channels.
    """
    x = run.config.data().x_train[:ASKED]
    _, trace, _ = forward(replace(run.config, norm_batch=0), run.layers, x)
    found = []
    for layer in trace:
        z = layer.z.reshape(len(layer.z), len(x), -1, layer.z.shape[-1])
        found.append(z.var(axis=(1, 2)).mean(axis=1) / z.mean(axis=2).var(axis=1).mean(axis=1))
    return np.stack(found, axis=1)
