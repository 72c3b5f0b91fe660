"""Data sets: handwritten digits and seeded two-dimensional sets, split once and for all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .stats import Array

DATASETS = ("digits", "circles", "moons", "spirals", "xor", "blobs")

_SPLIT_SEED = 123
_DIGITS_TRAIN = 1297
_PLANE_TRAIN, _PLANE_VALIDATION = 1024, 512
_BLOCK = 2048  # samples fetched at once


class Dataset(NamedTuple):
    """A data set, split into training and validation samples.

    x_train (N, features) and x_val are floats, y_train (N,) and y_val are class numbers.
    """

    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    classes: int


def load(name: str, noise: float = 0.1, dtype: str = "float64") -> Dataset:
    """The data set ``name`` as read-only arrays, the same ones at every call.

    "digits" are the 1797 images of 8 x 8 pixels that ship with scikit-learn (UCI "Optical Recognition
    of Handwritten Digits", Alpaydin & Kaynak 1998), pixels scaled to [0, 1], 1297 for training and 500
    for validation. The two-dimensional sets have 1024 and 512 samples; ``noise`` is the standard
    deviation of the Gaussian added to each of their coordinates, in units of the figure's radius. The
    figure and the direction of each sample's noise don't depend on it.

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    if name not in DATASETS:
        raise ValueError(f"load: dataset={name!r} is unknown; choose one of {', '.join(DATASETS)}")
    return _load(name, 0.0 if name == "digits" else float(noise), dtype)


@lru_cache(maxsize=16)
def _load(name: str, noise: float, dtype: str) -> Dataset:
    rng = np.random.default_rng(_SPLIT_SEED)
    if name == "digits":
        table = np.loadtxt(_digits_file(), delimiter=",")
        table = table[rng.permutation(len(table))]
        x, y = table[:, :64] / 16.0, table[:, 64]
        train = _DIGITS_TRAIN
    else:
        x, y = _PLANE[name](rng, _PLANE_TRAIN + _PLANE_VALIDATION)
        order = rng.permutation(len(y))
        x, y, train = x[order], y[order], _PLANE_TRAIN
        x = x + noise * rng.standard_normal(x.shape)
    x, y = x.astype(dtype), y.astype(np.intp)
    for array in (x, y):
        array.setflags(write=False)
    return Dataset(x[:train], y[:train], x[train:], y[train:], int(y.max()) + 1)


def _digits_file() -> Path:
    """Where scikit-learn keeps the digits: importing it to read one file would cost each process seconds."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn, which is missing: install scikit-learn")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


def _circles(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = np.arange(n) % 2
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = np.where(y == 0, 1.0, 0.45)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y


def _moons(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = np.arange(n) % 2
    angle = rng.uniform(0, np.pi, n)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(y[:, None] == 0, upper, lower) - np.array([0.5, 0.25]), y


def _spirals(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = np.arange(n) % 3
    radius = np.sqrt(rng.uniform(0.01, 1, n))
    angle = 1.75 * np.pi * radius + y * (2 * np.pi / 3)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y


def _xor(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    x = rng.uniform(-1, 1, (n, 2))
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def _blobs(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = np.arange(n) % 3
    angle = y * (2 * np.pi / 3)
    centre = 0.8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return centre + 0.15 * rng.standard_normal((n, 2)), y


_PLANE = {"circles": _circles, "moons": _moons, "spirals": _spirals, "xor": _xor, "blobs": _blobs}


@lru_cache(maxsize=32)
def _epoch_orders(samples: int, seeds: tuple[int, ...], epoch: int) -> Array:
    orders = [np.random.default_rng((seed, 1, epoch)).permutation(samples) for seed in seeds]
    return np.stack(orders).astype(np.intp, copy=False)


def batch_indices(samples: int, seeds: tuple[int, ...], position: int, count: int) -> Array:
    """Which training samples come next, from ``position`` of the endless sample stream.

    The stream is one random permutation of the data set after another, an order of its own for each
    seed. A pure function of its arguments, so a run can be resumed anywhere, and the batch size can
    change in mid-run. Returns integers of shape (seeds, count).
    """
    first, start = divmod(position, samples)
    last = (position + count - 1) // samples
    orders = [_epoch_orders(samples, seeds, epoch) for epoch in range(first, last + 1)]
    order = orders[0] if first == last else np.concatenate(orders, axis=1)
    return order[:, start : start + count]


def batches(
    dataset: Dataset, seeds: tuple[int, ...], position: int, size: int, steps: int
) -> Iterator[tuple[Array, Array]]:
    """``steps`` batches from ``position`` of the stream on: x (seeds, size, features), labels (seeds, size).

    They are views of larger blocks, since fetching many small batches one by one would cost more.
    """
    per_block = max(1, _BLOCK // (size * max(1, len(seeds))))
    for first in range(0, steps, per_block):
        count = size * min(per_block, steps - first)
        indices = batch_indices(len(dataset.y_train), seeds, position + first * size, count)
        x, labels = dataset.x_train.take(indices, axis=0), dataset.y_train.take(indices)
        for start in range(0, count, size):
            yield x[:, start : start + size], labels[:, start : start + size]
