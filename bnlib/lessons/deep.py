"""Depth: gradients and samples on their way through networks of many layers, and which of them train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import theory
from ..experiments.probes.passes import back, next_batch, watch
from ..networks.config import RunConfig
from ..networks.layers import cross_entropy
from ..networks.network import by_batch_statistics
from ..norms.statistics import Array
from ..training.train import Run, advance, start

Found = dict[str, Array]

QUIET = 10**6  # record nothing
ARMS: dict[str, dict[str, Any]] = {
    "none": {"norm": "none"},
    "batch": {"norm": "batch"},
    "layer": {"norm": "layer"},
    "skip": {"norm": "batch", "residual": "pre"},
    "skip_layer": {"norm": "layer", "residual": "pre"},
    "skip_none": {"norm": "none", "residual": "pre"},
}


def network(arm: str, layers: int, config: RunConfig) -> RunConfig:
    """Return ``config`` with so many layers of one kind.

    With skip connections a layer is a block h + W relu(norm(h)). The stream h begins with a linear map of
    the inputs, and the last norm stands behind the last sum: one weight matrix and one norm more.
    """
    return replace(config, depth=layers + ("residual" in ARMS[arm]), **ARMS[arm])


def layers_of(config: RunConfig) -> int:
    """Return how many layers `network` was asked for."""
    return config.depth - (config.residual != "none")


# ---- one pass --------------------------------------------------------------------------------------------


def gradients(run: Run) -> Array:
    """Return the norm of the gradient by what enters each layer's ReLU (R, layers), from the next batch.

    The first layer comes first. The last norm of a network with skip connections is left out: it divides by
    the size of the whole sum.
    """
    x, labels = next_batch(run)
    _, _, dz = back(run.config, run.flat, x, lambda logits: cross_entropy(logits, labels)[1])
    return _norms(dz, layers_of(run.config))


def profile(config: RunConfig) -> Found:
    """Send the first batch forward and its gradient back, before any training.

    Returns
    -------
    gradient : (R, layers), as `gradients` returns it
    size : (R, layers) root mean square of what leaves each ReLU
    sigma : (R, layers) root mean square, over units, of the standard deviation that each norm divides by;
        without a norm 1
    similarity : (R, layers) mean cosine between two samples of the batch, of what leaves each ReLU
    expected : (R, layers) the same as `similarities` expects it
    """
    run = start(config)
    x, labels = next_batch(run)
    _, traces, dz = back(config, run.flat, x, lambda logits: cross_entropy(logits, labels)[1])
    traces = traces[: layers_of(config)]
    leaving = [trace.a.astype(float) for trace in traces]
    one = np.ones((config.replicas, 1))
    sigmas = [one if trace.norm is None else trace.norm.var.reshape(config.replicas, -1) for trace in traces]
    return {
        "gradient": _norms(dz, len(traces)),
        "size": np.stack([np.sqrt(np.square(a).mean(axis=(1, 2))) for a in leaving], axis=1),
        "sigma": np.stack([np.sqrt(var.mean(axis=1, dtype=float)) for var in sigmas], axis=1),
        "similarity": np.stack([_mean_off_diagonal(_cosines(a)) for a in leaving], axis=1),
        "expected": similarities(_cosines(x.astype(float)), len(traces)),
    }


def ratio(gradient: Array) -> Array:
    """Return the first layer's gradient over the last one's: (..., layers) gives (...)."""
    found: Array = gradient[..., 0] / gradient[..., -1]
    return found


def typical(ratios: Array) -> float:
    """Return the geometric mean: what most seeds are near to where a ratio has many factors."""
    return float(np.exp(np.log(ratios).mean()))


def _norms(arrays: Sequence[Array], layers: int) -> Array:
    """Return the L2 norms (R, layers) of the first arrays (R, N, units)."""
    return np.stack([np.sqrt(np.square(a, dtype=float).sum(axis=(1, 2))) for a in arrays[:layers]], axis=1)


def _cosines(x: Array) -> Array:
    """Return the cosines between samples: (R, N, units) gives (R, N, N). One that is 0 has cosine 0."""
    length = np.linalg.norm(x, axis=2, keepdims=True)
    unit = np.divide(x, length, out=np.zeros_like(x), where=length > 0)
    found: Array = np.clip(unit @ unit.mT, -1.0, 1.0)
    return found


def _mean_off_diagonal(square: Array) -> Array:
    count = square.shape[-1]
    trace = np.trace(square, axis1=-2, axis2=-1)
    mean: Array = (square.sum(axis=(-2, -1)) - trace) / (count * (count - 1))
    return mean


# ---- what theory expects ---------------------------------------------------------------------------------


def similarities(cosines: Array, layers: int) -> Array:
    """Return the mean cosine behind each of so many ReLU layers (R, layers), from those of inputs (R, N, N).

    Wide layers, He's weights, no norm or layer norm: a cosine c becomes (√(1 − c²) + (π − arccos c) c) / π,
    the arc-cosine kernel of Cho & Saul 2009, and ends at 1.
    """
    found = []
    for _ in range(layers):
        angle = np.arccos(cosines)
        cosines = np.minimum((np.sin(angle) + (np.pi - angle) * cosines) / np.pi, 1.0)
        found.append(_mean_off_diagonal(cosines))
    return np.stack(found, axis=1)


def expected_gradients(arm: str, layers: int, scale: float, samples: int, variance: float = 1.0) -> Array:
    """Return the gradient norm by layer (layers,) in units of the last one's.

    Wide layers before any training. Without a norm each layer multiplies by ``scale``, the weights' in units
    of He's. Batch norm: `theory.gradient_growth_relu`; layer norm keeps the norm; skip connections with
    batch norm: `theory.residual_gradient_growth`. ``variance``: of the inputs, the mean over features.
    """
    back_to = np.arange(layers - 1, -1, -1.0)  # layers behind each one
    squares: Array = np.ones(layers)
    if arm == "none":
        squares = scale ** (2 * back_to)
    elif arm == "batch":
        squares = theory.gradient_growth_relu(samples) ** back_to
    elif arm == "skip":
        begin = 2 * variance * theory.RELU_GROWTH
        growth = [theory.residual_gradient_growth(samples, block, begin) for block in range(layers, 1, -1)]
        squares = np.cumprod([1.0, *growth])[::-1]
    norms: Array = np.sqrt(squares)
    return norms


def expected_sigma(arm: str, layers: int, variance: float = 1.0) -> Array:
    """Return what each norm divides by (layers,), at He's scale; it is proportional to the weights'.

    Wide layers before any training. A ReLU's output has second moment 1 / 2 and, without its mean, variance
    (1 - 1/pi) / 2; He's weights double both. Batch norm takes the variance over samples, layer norm that over
    units, whose mean is 0 with random weights. With skip connections the variances of what has been added up
    add; the stream begins with that of ``variance`` of the inputs. Meant for layers behind the first.
    """
    branch = 1 - 1 / np.pi
    if arm == "skip":
        squares: Array = 2 * variance + branch * np.arange(layers, dtype=float)
    else:
        squares = np.full(layers, branch if arm == "batch" else 1.0)
    norms: Array = np.sqrt(squares)
    return norms


# ---- many networks, and training ---------------------------------------------------------------------------


def row(config: RunConfig, scales: tuple[float, ...]) -> Found:
    """Return `profile`'s gradient and size for each of the initial scales: (scales, R, layers)."""
    found = [profile(replace(config, init_scale=scale)) for scale in scales]
    return {name: np.stack([one[name] for one in found]) for name in ("gradient", "size")}


def margin(scales: Sequence[float], ratios: Array, limit: float) -> float:
    """Return by what factor the scale may miss before a ratio is ``limit`` times smaller or larger than 1.

    ratios : (scales,), rising with the scales. Between two scales logarithms are taken as linear; where the
    limit isn't reached, the last scale stands. The factors down and up are averaged.
    """
    x, y = np.log(scales), np.log(ratios)
    down, up = (float(np.interp(level, y, x)) for level in (-np.log(limit), np.log(limit)))
    return float(np.exp((up - down) / 2))


def learning(config: RunConfig, steps: int, every: int) -> Found:
    """Train, and ask validation samples on the way.

    Returns ``step`` (n,), 0 and every so many, and ``right`` (R, n), the share of right answers there, with
    statistics of batches as large as in training. A network that has diverged stays as it was before.
    """
    quiet = replace(config, record_every=QUIET, validate_every=QUIET)
    data, size = config.data(), config.batch_size
    whole = len(data.x_val) // size * size
    x, labels = data.x_val[:whole], data.y_val[:whole]
    shares, at = [], []
    for run in watch(quiet, steps, every):
        with np.errstate(all="ignore"):  # of a network that diverges
            said = by_batch_statistics(quiet, run.layers, x, size).argmax(axis=2)
        shares.append((said == labels).mean(axis=1))
        at.append(run.step)
    return {"step": np.array(at), "right": np.stack(shares, axis=1)}


def ratios_after(config: RunConfig, steps: tuple[int, ...]) -> Array:
    """Return the ratio of the gradients after so many steps of training, rising: (R, len(steps))."""
    run, found = start(replace(config, record_every=QUIET, validate_every=QUIET)), []
    for step in steps:
        run = advance(run, step - run.step)
        found.append(ratio(gradients(run)))
    return np.stack(found, axis=1)


def twins(config: RunConfig, steps: int, change: float) -> Array:
    """Train two copies of each network whose weights differ by a relative ``change`` at the start.

    Returns their distance over the length of the parameters after 0 to ``steps`` steps (R, steps + 1).
    """
    one = start(replace(config, record_every=QUIET, validate_every=QUIET))
    rng = np.random.default_rng((config.seed, 7))
    flat = one.flat * (1 + change * rng.standard_normal(one.flat.shape))
    other, found = replace(one, flat=flat.astype(config.dtype)), []
    for step in range(steps + 1):
        if step:
            one, other = advance(one, 1), advance(other, 1)
        distance = np.linalg.norm(one.flat - other.flat, axis=1)
        found.append(distance / np.linalg.norm(one.flat, axis=1))
    return np.stack(found, axis=1)
