"""Sequences: how many are left at each step of a padded batch, statistics per step, lengths never seen."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..data import LONGEST, batches, load, paused
from ..experiments.probes.passes import watch
from ..networks.config import RunConfig
from ..networks.inference import caches_of, inference_layers
from ..networks.network import forward
from ..norms.statistics import Array
from ..training.evaluation import error
from ..training.train import Run, start

Found = dict[str, Array]

QUIET = 10**6  # record nothing
ROWS = 8  # of a digit, which is read row by row
LOOKED = 400  # batches among which `padded` looks for one
LENGTHS = (8, 12, 16, 20, 24, 28, 32)  # steps of sequences that are tested
ASKED = 24  # steps of the sequences that statistics of training are held against
INSTEAD = ("own", "module", "first", "last")  # statistics in inference, see `statistics_of`


def going(x: Array) -> Array:
    """Return where sequences (..., features) have not ended, (..., T); padding is NaN."""
    return ~np.isnan(x.reshape(*x.shape[:-1], -1, ROWS)[..., 0])


# ---- a padded batch --------------------------------------------------------------------------------------


class Padded(NamedTuple):
    """One batch of `sequences` (N, T, 8), NaN behind their ends, and which digits they are (N,)."""

    sequences: Array
    labels: Array


@lru_cache(maxsize=64)
def padded(seed: int, size: int) -> Padded:
    """Return a batch of a seed's training, the longest sequences first.

    It is the first one of which two sequences are left at the last step but one and one at the last; if there
    is none among `LOOKED`, the first of all.
    """
    every = list(batches(load("pauses"), (seed,), 0, size, LOOKED))
    ends = [going(x[0])[:, -2:].sum(axis=0).tolist() for x, _ in every]
    x, labels = every[ends.index([2, 1]) if [2, 1] in ends else 0]
    order = np.argsort(-going(x[0]).sum(axis=1), kind="stable")
    return Padded(x[0].reshape(size, -1, ROWS)[order], labels[0][order])


@lru_cache(maxsize=64)
def left(seeds: tuple[int, ...], size: int, steps: int) -> Array:
    """Count how many sequences go on at each step of each training batch, (R, steps, T)."""
    every = batches(load("pauses"), seeds, 0, size, steps)
    return np.stack([going(x).sum(axis=1) for x, _ in every], axis=1)


def first_pass(config: RunConfig, sequences: Array) -> Array:
    """Return what a seed's untrained network makes of sequences (N, T, 8) behind its norm: (N, T, C).

    gamma is 1 and beta 0, so that this is x-hat; masked, it is 0 where a sequence has ended.
    """
    run = start(replace(config, replicas=1))
    trace = forward(run.config, run.layers, sequences.reshape(1, len(sequences), -1))[1]
    z: Array = trace[0].z[0]
    return z


# ---- what training leaves --------------------------------------------------------------------------------


def learned(config: RunConfig, steps: int, every: int) -> Found:
    """Train on "pauses" and test.

    Returns
    -------
    step : (n,), every so many of them
    val : (R, n), validation error in per cent
    by_length : (R, T), validation error of the sequences of each length in per cent, NaN where there is none
    longer : (R, len(LENGTHS)), error once every validation digit is a sequence of this length
    mean, var : (R, T, C), running statistics of each step; instead : (R, len(INSTEAD)), error with those of
        INSTEAD; precise : (R,), error with statistics computed anew; offset, spread, anew : see `fit`. All
        of norms with running statistics only
    """
    rows, done = [], []
    quiet = replace(config, record_every=QUIET, validate_every=QUIET)
    for run in watch(quiet, steps, every):
        rows.append(error(run))
        done.append(run.step)
    found = {"step": np.array(done), "val": np.stack(rows, axis=1)}
    found |= {"by_length": by_length(run), "longer": longer(run)}
    norm = config.on_activations
    if norm is not None and norm.running:
        shape = (config.replicas, LONGEST, -1)
        mean, var = (a.reshape(shape) for a in (run.running.mean, run.running.var))
        found |= {"mean": mean, "var": var}
        found["instead"] = np.stack([error(with_statistics(run, name)) for name in INSTEAD], axis=1)
        found |= {"precise": error(run, statistics="precise")} | fit(run)
    return found


def _wrong(run: Run, x: Array, labels: Array) -> Array:
    """Return which samples are answered wrongly in inference, (R, N)."""
    layers = inference_layers(run.config, run.layers, run.running)
    wrong: Array = forward(run.config, layers, x, keep=False)[0].argmax(axis=2) != labels
    return wrong


def by_length(run: Run) -> Array:
    """Return validation errors in per cent of sequences of 1, 2, ... steps, (R, T); NaN: there is none."""
    data = run.config.data()
    wrong, lengths = _wrong(run, data.x_val, data.y_val), going(data.x_val).sum(axis=1)
    found = np.full((run.config.replicas, LONGEST), np.nan)
    for length in np.unique(lengths):
        found[:, length - 1] = 100 * wrong[:, lengths == length].mean(axis=1)
    return found


@lru_cache(maxsize=32)
def all_of(length: int, dtype: str = "float64") -> Array:
    """Return all validation digits as sequences of one length, (N, length * 8)."""
    images = load("digits").x_val
    rng = np.random.default_rng((length, 11))
    return paused(images, np.full(len(images), length), length, rng).astype(dtype)


def longer(run: Run) -> Array:
    """Return errors in per cent once every validation digit has that many steps, (R, len(LENGTHS)).

    At steps that training never had, batch norm takes the running statistics of the last one it had
    (Cooijmans et al. 2017).
    """
    labels = load("digits").y_val
    wrong = [_wrong(run, all_of(length, run.config.dtype), labels).mean(axis=1) for length in LENGTHS]
    return 100 * np.stack(wrong, axis=1)


def fit(run: Run) -> Found:
    """Measure how well running statistics fit sequences of ASKED steps, and what better ones change.

    Returns
    -------
    offset, spread : (R, T), of x-hat in inference at each step the mean and the standard deviation over
        sequences, root mean squares over units; statistics that fit make them 0 and 1
    anew : (R,), error in per cent with statistics of these very sequences at each step
    """
    config, x, labels = run.config, all_of(ASKED, run.config.dtype), load("digits").y_val
    layers = inference_layers(config, run.layers, run.running)
    z, own = forward(config, layers, x)[1][0].z, run.layers[0]
    xhat = (z - own.beta[:, :, None]) / own.gamma[:, :, None]  # (R, N, T, C)
    anew = forward(config, run.layers, x, keep=False)[0].argmax(axis=2) != labels
    return {
        "offset": np.sqrt(np.square(xhat.mean(axis=1)).mean(axis=2)),
        "spread": np.sqrt(xhat.var(axis=1).mean(axis=2)),
        "anew": 100 * anew.mean(axis=1),
    }


def blank(step: int) -> float:
    """Return of the validation sequences the share in per cent whose row at a step, from 1 on, is blank."""
    rows = load("pauses").x_val.reshape(-1, LONGEST, ROWS)[:, step - 1]
    return 100 * float((rows == 0).all(axis=1).mean())


# ---- statistics of each step -----------------------------------------------------------------------------


@lru_cache(maxsize=16)
def untrained(config: RunConfig) -> tuple[Array, Array]:
    """Return mean and variance of each step (T, C), of all validation sequences, before any training."""
    run = start(replace(config, replicas=1))
    caches = caches_of(forward(run.config, run.layers, run.config.data().x_val)[1][0])
    return np.stack([c.mean.reshape(-1) for c in caches]), np.stack([c.var.reshape(-1) for c in caches])


def statistics_of(mean: Array, var: Array, name: str, momentum: float = 0.9) -> tuple[Array, Array]:
    """Return the mean and variance (R, T, C) that inference takes at each step instead of its own.

    name : "own"; "module", those of one module that is called at every step, whose running averages give a
        call's statistics the weight 1 - momentum, so that the last steps weigh most (PyTorch's
        ``BatchNorm1d`` in a loop); "first" and "last", those of one step
    """
    if name == "own":
        return mean, var
    weights = {
        "module": momentum ** np.arange(mean.shape[1])[::-1],
        "first": np.arange(mean.shape[1]) == 0,
        "last": np.arange(mean.shape[1]) == mean.shape[1] - 1,
    }[name].astype(float)
    one = (np.average(array, axis=1, weights=weights) for array in (mean, var))
    common_mean, common_var = (np.broadcast_to(array[:, None], mean.shape) for array in one)
    return common_mean, common_var


def with_statistics(run: Run, name: str) -> Run:
    """Return the run with other running statistics, see `statistics_of`."""
    shape = (run.config.replicas, LONGEST, -1)
    mean, var = (a.reshape(shape) for a in (run.running.mean, run.running.var))
    flat = [a.reshape(run.running.mean.shape).astype(mean.dtype) for a in statistics_of(mean, var, name)]
    return replace(run, running=replace(run.running, mean=flat[0], var=flat[1]))
