"""Data sets: handwritten digits and seeded two-dimensional sets, split once and for all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .norms.statistics import Array

PLANE = ("circles", "moons", "spirals", "xor", "blobs", "ring")  # the two-dimensional sets
DIGIT = (8, 8, 1)  # height, width and channels of an image
DATASETS = ("digits", *PLANE, "groups", "pauses")
TRAIN_SIZES = dict.fromkeys(DATASETS, 1024) | {"digits": 1297, "groups": 2000, "pauses": 1297}
LONGEST = 16  # steps of a sequence of "pauses"
ORDERS = ("shuffled", "sorted", "pairs", "grouped")  # what RunConfig's batch_order can be
LAST_BATCHES = ("straddle", "drop", "keep")  # what RunConfig's last_batch can be

MODES = 8  # Gaussians of the ring

_SPLIT_SEED = 123
_VALIDATION = dict.fromkeys(DATASETS, 512) | {"digits": 500, "groups": 2000, "pauses": 500}
_GROUP, _GROUP_FEATURES, _GROUP_OFFSET, _GROUP_SIGNAL = 8, 16, 2.4, 2.6
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


def load(
    name: str,
    noise: float = 0.1,
    dtype: str = "float64",
    label_noise: float = 0.0,
    samples: int = 0,
    standardized: bool = False,
) -> Dataset:
    """Return the data set ``name`` as read-only arrays, the same ones at every call.

    "digits" are the 1797 images of 8 x 8 pixels that ship with scikit-learn (UCI "Optical Recognition
    of Handwritten Digits", Alpaydin & Kaynak 1998), pixels scaled to [0, 1], 1297 for training and 500
    for validation. The two-dimensional sets have 1024 and 512 samples; ``noise`` is the standard
    deviation of the Gaussian added to each of their coordinates, in units of the figure's radius. The
    figure and the direction of each sample's noise don't depend on it. "groups" are 16 Gaussian features in
    groups of eight neighbours that share an offset of standard deviation 2.4; one of each eight, class 1, is
    moved by 2.6 along one direction (after the leakage of Wu & Johnson 2021). "pauses" are the digits as
    sequences of 8 to LONGEST steps (see `paused`).

    ``label_noise`` is the share of training labels that are replaced by another class, the same ones at
    every call; ``samples``: so many of the training samples, 0: all. ``standardized``: every feature has
    mean 0 and variance 1 over those; one that is the same in all of them is 0.

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    if name not in DATASETS:
        raise ValueError(f"load: dataset={name!r} is unknown; choose one of {', '.join(DATASETS)}")
    noise = float(noise) if name in PLANE else 0.0
    return _load(name, noise, dtype, float(label_noise), samples, standardized)


@lru_cache(maxsize=16)
def _load(
    name: str, noise: float, dtype: str, label_noise: float, samples: int, standardized: bool
) -> Dataset:
    rng = np.random.default_rng(_SPLIT_SEED)
    train = TRAIN_SIZES[name]
    if name in ("digits", "pauses"):
        table = _digits()
        table = table[rng.permutation(len(table))]
        x, y = table[:, :64] / 16.0, table[:, 64]
        if name == "pauses":
            lengths = rng.integers(DIGIT[0], LONGEST + 1, len(x))
            x = paused(x, lengths, LONGEST, rng)
    elif name == "groups":
        x, y = _groups(rng, train + _VALIDATION[name])
    else:
        x, y = _FIGURES[name](rng, train + _VALIDATION[name])
        order = rng.permutation(len(y))
        x, y = x[order], y[order]
        x = x + noise * rng.standard_normal(x.shape)
    kept = samples or train
    if standardized:
        std = x[:kept].std(axis=0)
        x = np.divide(x - x[:kept].mean(axis=0), std, out=np.zeros_like(x), where=std > 0)
    x, y = x.astype(dtype), y.astype(np.intp)
    classes = int(y.max()) + 1
    if label_noise:
        # Whose label is wrong at a lower share is so at a higher one, too.
        rng = np.random.default_rng((_SPLIT_SEED, 1))
        wrong = rng.random(train) < label_noise
        y[:train] = (y[:train] + wrong * rng.integers(1, classes, train)) % classes
    for array in (x, y):
        array.setflags(write=False)
    return Dataset(x[:kept], y[:kept], x[train:], y[train:], classes)


def paused(images: Array, lengths: Array, steps: int, rng: np.random.Generator) -> Array:
    """Return images (N, 64) as sequences of rows with pauses between them, (N, steps * 8).

    A sequence of length L, 8 to ``steps``, has the image's rows at 8 of its steps, drawn at random, in order,
    and zeros at the others. Behind its end there is padding: NaN.
    """
    rows, columns, _ = DIGIT
    place = np.where(np.arange(steps) < lengths[:, None], rng.random((len(images), steps)), np.inf)
    place = np.sort(np.argsort(place, axis=1)[:, :rows], axis=1)
    found = np.where(np.arange(steps) < lengths[:, None], 0.0, np.nan)[:, :, None].repeat(columns, axis=2)
    np.put_along_axis(found, place[:, :, None], images.reshape(-1, rows, columns), axis=1)
    return found.reshape(len(images), -1)


@lru_cache(maxsize=1)
def _digits() -> Array:
    """Parse the digits' pixels and labels, a row each; this takes longer than all else here."""
    return np.loadtxt(digits_file(), delimiter=",")


def digits_file() -> Path:
    """Return where the digits are: beside this file, or with scikit-learn, which isn't imported for it."""
    if (beside := Path(__file__).with_name("digits.csv.gz")).is_file():
        return beside
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


def _ring(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = np.arange(n) % MODES
    return ring_centres()[y], y


def ring_centres() -> Array:
    """Return the means of the MODES Gaussians of "ring", (MODES, 2)."""
    angle = 2 * np.pi * np.arange(MODES) / MODES
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


_FIGURES = {
    "circles": _circles, "moons": _moons, "spirals": _spirals, "xor": _xor, "blobs": _blobs, "ring": _ring,
}  # fmt: skip


def _groups(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = np.arange(n) % _GROUP == 0
    offset = _GROUP_OFFSET * rng.standard_normal((n // _GROUP, _GROUP_FEATURES)).repeat(_GROUP, axis=0)
    direction = np.full(_GROUP_FEATURES, _GROUP_FEATURES**-0.5)
    x = offset + rng.standard_normal((n, _GROUP_FEATURES)) + _GROUP_SIGNAL * y[:, None] * direction
    return x, y


@lru_cache(maxsize=32)
def _epoch_orders(samples: int, seeds: tuple[int, ...], epoch: int, together: int) -> Array:
    starts = [np.random.default_rng((seed, 1, epoch)).permutation(samples // together) for seed in seeds]
    orders = together * np.stack(starts).astype(np.intp, copy=False)[:, :, None] + np.arange(together)
    return orders.reshape(len(seeds), -1)


def batch_indices(
    samples: int, seeds: tuple[int, ...], position: int, count: int, together: int = 1
) -> Array:
    """Return which training samples come next, from ``position`` of the endless sample stream.

    The stream is one random permutation of the data set after another, an order of its own for each
    seed; with ``together``, of its runs of so many neighbours, into which it must divide. A pure function
    of its arguments, so a run can be resumed anywhere, and the batch size can change in mid-run. Returns
    integers of shape (seeds, count).
    """
    first, start = divmod(position, samples)
    last = (position + count - 1) // samples
    orders = [_epoch_orders(samples, seeds, epoch, together) for epoch in range(first, last + 1)]
    order = orders[0] if first == last else np.concatenate(orders, axis=1)
    return order[:, start : start + count]


def spans(samples: int, position: int, size: int, last: str) -> Iterator[tuple[int, int]]:
    """Yield where each batch begins in the sample stream, from ``position`` on, and its number of samples.

    Where fewer than ``size`` of the epoch's ``samples`` are left, ``last`` decides: a batch goes on into the
    next epoch ("straddle"), begins with it ("drop"), or has fewer samples ("keep").
    """
    while True:
        left = samples - position % samples
        if last == "drop" and left < size:
            position += left
        count = min(size, left) if last == "keep" else size
        yield position, count
        position += count


def position_after(samples: int, position: int, size: int, steps: int, last: str) -> int:
    """Return the position in the sample stream after so many batches."""
    if last == "straddle":
        return position + steps * size
    for start, count in islice(spans(samples, position, size, last), steps):
        position = start + count
    return position


def batches(
    dataset: Dataset,
    seeds: tuple[int, ...],
    position: int,
    size: int,
    steps: int,
    order: str = "shuffled",
    norm_batch: int = 0,
    last: str = "straddle",
) -> Iterator[tuple[Array, Array]]:
    """Yield ``steps`` batches from ``position`` on: x (seeds, size, features), labels (seeds, size).

    They are views of larger blocks, since fetching many small batches one by one would cost more. With
    another ``order`` than "shuffled", samples are laid out so that those which it brings together meet in a
    norm batch, which is every (size / norm_batch)th sample (see `network.forward`). ``last``: see `spans`.
    """
    samples, together = len(dataset.y_train), norm_batch if order == "grouped" else 1
    per_block = max(1, _BLOCK // (size * max(1, len(seeds))))
    walk = spans(samples, position, size, last)
    for first in range(0, steps, per_block):
        block = list(islice(walk, min(per_block, steps - first)))
        begin, end = block[0][0], sum(block[-1])
        indices = batch_indices(samples, seeds, begin, end - begin, together)
        parts = [slice(start - begin, start - begin + count) for start, count in block]
        if order != "shuffled":
            indices = indices.copy()
            for part in parts:
                indices[:, part] = _arranged(dataset, indices[:, part], order, norm_batch)
        x, labels = dataset.x_train.take(indices, axis=0), dataset.y_train.take(indices)
        for part in parts:
            yield x[:, part], labels[:, part]


def _arranged(dataset: Dataset, rows: Array, order: str, norm_batch: int) -> Array:
    """Return the indices of a batch (seeds, size) in the order in which `batches` lays them out."""
    if order != "grouped":
        labels = dataset.y_train.take(rows) // (2 if order == "pairs" else 1)
        rows = np.take_along_axis(rows, labels.argsort(axis=1, kind="stable"), axis=1)
    return rows.reshape(len(rows), -1, norm_batch).mT.reshape(rows.shape)
