"""Norms of weights: the singular value spectral norm finds, what size it leaves, how weight norm grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from ..experiments.probes.passes import watch
from ..networks.config import RunConfig
from ..networks.inference import inference_layers
from ..networks.network import forward
from ..networks.parameters import Layer, in_layers
from ..norms.statistics import Array
from ..norms.table import NORMS
from ..training.evaluation import error
from ..training.train import Run, advance, start
from .small import curve

Found = dict[str, Array]

QUIET = 10**6  # record nothing
SHIFTS = 20  # each sample is paired with so many others


def quiet(config: RunConfig) -> RunConfig:
    """Return the configuration without recordings."""
    return replace(config, record_every=QUIET, validate_every=QUIET)


# ---- two dimensions ------------------------------------------------------------------------------------


def plane(first: float, second: float, turn_in: float, turn_out: float) -> Array:
    """Return the matrix (2, 2) that stretches the direction at `turn_in` degrees by `first`.

    It arrives at `turn_out` degrees. The direction at right angles to it is stretched by `second`.
    """
    sides = []
    for turn in (turn_out, turn_in):
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        sides.append(np.array([[cos, -sin], [sin, cos]]))
    return np.asarray(sides[0] @ np.diag([first, second]) @ sides[1].T)


class Path(NamedTuple):
    """A power iteration: vectors v (n + 1, I) of length 1, and the lengths |W v| (n + 1,)."""

    v: Array
    sigma: Array


def iterated(matrix: Array, v: Array, iterations: int) -> Path:
    """Follow power iteration from v: ``u = W v / |W v|``, ``v = W' u / |W' u|`` (Miyato et al. 2018, Alg. 1).

    matrix is (O, I), v (I,). Where a product is 0, v stays as it is.
    """
    step = NORMS["spectral"].pair[0]
    every = [v / np.linalg.norm(v)]
    for _ in range(iterations):
        every.append(step(matrix[None], None, every[-1][None], SimpleNamespace(iterations=1))[1][0])
    vectors = np.stack(every)
    return Path(vectors, np.linalg.norm(vectors @ matrix.T, axis=1))


# ---- large matrices ------------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def settling(share: float, iterations: int, width: int = 64, seed: int = 0) -> Array:
    """Measure by how much sigma is too small after 1, 2, ... power iterations, (iterations,); relative.

    Of a random matrix (width, width) whose singular values are 1, `share` and smaller ones, as in experiment
    E18, from a u that lies halfway between the first two singular vectors.
    """
    rng = np.random.default_rng((seed, 7))
    left, right = (np.linalg.qr(rng.standard_normal((width, 4)))[0] for _ in range(2))
    weight = left * np.array([1, share, share / 10, share / 20]) @ right.T
    u, found = (right[:, 0] + right[:, 1])[None], []
    for _ in range(iterations):
        _, u, cache = NORMS["spectral"].pair[0](weight[None], None, u, SimpleNamespace(iterations=1))
        found.append(1 - cache[3][0, 0, 0])
    return np.array(found)


def followed(config: RunConfig, steps: int, every: int) -> Found:
    """Train with spectral norm and hold its sigma against the true one; of square hidden layers, (R, n, L).

    Returns
    -------
    step : (n,), every so many of them
    kept, fresh : by which share sigma is too small in the next step, with u from the step before, and with
        one iteration from a random u
    share : second singular value over the first
    turned : the angle in degrees by which the next step turns the first singular vector
    needed : (R, L), iterations on the last weights from a random u until sigma is within 1%
    error : (R,), validation error at the end in per cent; a GAN has none
    """
    rows: dict[str, list[Array]] = {name: [] for name in ("kept", "fresh", "share", "turned")}
    done = []
    for run in watch(quiet(config), steps, every):
        here, there = _square(run), _square(advance(run, 1))
        rng = np.random.default_rng((config.seed, 8, run.step))
        row: dict[str, list[Array]] = {name: [] for name in rows}
        for now, later in zip(here, there, strict=True):
            _, values, right = np.linalg.svd(now.weight)
            _, _, after = np.linalg.svd(later.weight)
            one = rng.standard_normal(now.power.shape)
            for name, u, count in (("kept", now.power, config.iterations), ("fresh", one, 1)):
                cache = NORMS["spectral"].pair[0](now.weight, None, u, SimpleNamespace(iterations=count))[2]
                row[name].append(1 - cache[3][:, 0, 0] / values[:, 0])
            row["share"].append(values[:, 1] / values[:, 0])
            along = np.abs(np.vecdot(right[:, 0], after[:, 0]))
            row["turned"].append(np.degrees(np.arccos(np.minimum(along, 1))))
        for name, own in row.items():
            rows[name].append(np.stack(own, axis=1))
        done.append(run.step)
    found = {name: np.stack(own, axis=1) for name, own in rows.items()}
    needed = [until(config.seed, one.weight) for one in here]
    wrong = {} if config.kind.adversarial else {"error": error(run)}
    return found | {"step": np.array(done), "needed": np.stack(needed, axis=1)} | wrong


def until(seed: int, weight: Array, within: float = 0.01, most: int = 400) -> Array:
    """Count power iterations on weights (R, I, O) from random vectors until sigma is that near, (R,)."""
    sigma, u = np.linalg.norm(weight, 2, axis=(1, 2)), np.random.default_rng((seed, 9)).standard_normal
    vectors, counted = u(weight[:, 0].shape), np.ones(len(weight))
    for _ in range(most):
        _, vectors, cache = NORMS["spectral"].pair[0](weight, None, vectors, SimpleNamespace(iterations=1))
        counted += cache[3][:, 0, 0] < (1 - within) * sigma
    return counted


def _square(run: Run) -> list[Layer]:
    """Return the layers with as many inputs as outputs, and a vector u."""
    layers = in_layers(run.config, run.parameters, power=run.power)
    return [one for one in layers if one.power is not None and one.weight.shape[1] == one.weight.shape[2]]


# ---- what spectral norm leaves of the activations ------------------------------------------------------


def spread(config: RunConfig, steps: int) -> Found:
    """Measure how large numbers are, layer by layer, before training and after so many steps: (2, R, L).

    rms : root mean square of what enters each activation, over validation samples and units; statistics of a
        batch are those of all these samples
    gain : largest change of it over the change of the input, of pairs of validation samples
    bound : product of the largest singular values up to the layer, of the weights that are used
    values : (2, R, L, min(I, O)), all singular values of these, descending
    error : (2, R), validation error in per cent
    """
    runs = list(watch(quiet(config), steps, steps))
    found = [_sizes(run) for run in runs]
    return {name: np.stack([one[name] for one in found]) for name in found[0]} | {
        "error": np.stack([error(run) for run in runs])
    }


def _sizes(run: Run) -> Found:
    x = run.config.data().x_val
    _, trace, _ = forward(run.config, run.layers, x)
    rms, gain = [], []
    apart = [np.linalg.norm(x - np.roll(x, shift, axis=0), axis=-1) for shift in range(1, SHIFTS + 1)]
    for layer in trace:
        rms.append(np.sqrt(np.square(layer.z).mean(axis=(1, 2))))
        ratios = [
            (np.linalg.norm(layer.z - np.roll(layer.z, shift, axis=1), axis=-1) / size).max(axis=1)
            for shift, size in enumerate(apart, start=1)
        ]
        gain.append(np.max(ratios, axis=0))
    values = np.stack([np.linalg.svd(one.weight, compute_uv=False) for one in run.layers[:-1]], axis=1)
    return {
        "rms": np.stack(rms, axis=1), "gain": np.stack(gain, axis=1), "values": values,
        "bound": np.cumprod(values[:, :, 0], axis=1),
    }  # fmt: skip


# ---- how weight norm grows -----------------------------------------------------------------------------


def lengthened(config: RunConfig, steps: int, every: int) -> Found:
    """Train with weight norm, and follow the lengths |v| of the hidden units' weights; SGD without decay.

    Returns
    -------
    step : (n,)
    length : (R, n), root mean square of |v| over hidden units
    law : (R, n), the same of ``sqrt(|v_0|^2 + sum of |step|^2)``, as if each step were at right angles
    turned : (R, n), root mean square angle in degrees by which the next step turns v
    grew : (R,), of all steps of all units that move, the share that makes v longer
    gain : (R, n), root mean square of g over hidden units
    val : (R, n), validation error in per cent
    differs : (R,), share of validation samples with another answer once all data are doubled
    """
    rows: dict[str, list[Array]] = {name: [] for name in ("length", "law", "turned", "gain", "val")}
    squares, grew, moved, done = np.zeros(()), np.zeros(()), np.zeros(()), []
    for before, after in _pairs(quiet(config), steps):
        old, new = _joined(before, "weight"), _joined(after, "weight")
        size, step = np.square(old).sum(axis=1), np.square(new - old).sum(axis=1)
        squares = size if before.step == 0 else squares
        if before.step % every == 0:
            angle = np.degrees(np.arctan(np.sqrt(step / size)))
            gains = _joined(before, "gain")[:, 0]
            for name, own in (("length", size), ("law", squares), ("turned", angle**2), ("gain", gains**2)):
                rows[name].append(np.sqrt(own.mean(axis=1)))
            rows["val"].append(error(before))
            done.append(before.step)
        squares = squares + step
        moved = moved + (step > 0).sum(axis=1)
        grew = grew + ((np.square(new).sum(axis=1) > size) & (step > 0)).sum(axis=1)
    found = {name: np.stack(own, axis=1) for name, own in rows.items()}
    return found | {"step": np.array(done), "grew": grew / moved, "differs": differs(after)}


def learned(config: RunConfig, steps: int, every: int) -> Found:
    """Train with any norm: ``step`` (n,), ``val`` (R, n) errors in per cent, ``differs`` as `lengthened`."""
    runs = list(watch(quiet(config), steps, every))
    return curve(runs) | {"differs": differs(runs[-1])}


def differs(run: Run, factor: float = 2.0) -> Array:
    """Return the share of validation samples (R,) with another answer once all data are multiplied.

    Batch norm takes the statistics of all of these samples, as in training.
    """
    layers = inference_layers(run.config, run.layers, run.running)
    layers = run.layers if run.config.on_activations else layers
    x = run.config.data().x_val
    said = [forward(run.config, layers, k * x, keep=False)[0].argmax(axis=2) for k in (1.0, factor)]
    return np.asarray((said[0] != said[1]).mean(axis=1))


def _pairs(config: RunConfig, steps: int) -> Iterator[tuple[Run, Run]]:
    """Yield the run before and after each step, the one after the last too."""
    before = start(config)
    for _ in range(steps + 1):
        after = advance(before, 1)
        yield before, after
        before = after


def _joined(run: Run, name: str) -> Array:
    """Return weights v (R, I, units) or gains (R, 1, units) of all hidden units; layers of one I."""
    layers = in_layers(run.config, run.parameters)[:-1]
    return np.concatenate([getattr(layer, name) for layer in layers], axis=2)
