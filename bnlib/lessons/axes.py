"""What the chapter on axes measures: feature maps of digits, and what shares a mean and a variance in them.

A tensor has 4 images x 6 channels x 4 x 4 positions. A cell is one of its 384 numbers, counted row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from math import prod, sqrt
from typing import NamedTuple

import numpy as np

from ..data import load
from ..networks.conv import convolve
from ..norms.public import layer_norm
from ..norms.statistics import Array

SHAPE = IMAGES, CHANNELS, HEIGHT, WIDTH = 4, 6, 4, 4
HOME = (1, 2, 1, 1)  # the cell that every painted set has
EPS = 1e-5
MATES = 400  # further digits that the last image can be exchanged for


class Maps(NamedTuple):
    """Digits (N, 1, 8, 8) from 0 to 1, filters (C, 1, 3, 3), and the feature maps x (N, C, H, W)."""

    images: Array
    weight: Array
    x: Array


@lru_cache(maxsize=256)
def maps(seed: int, mate: int = 0) -> Maps:
    """Return the feature maps of four validation digits after a convolution of stride 2; read-only.

    Digits and He et al.'s weights are drawn from ``(seed, 11)``. mate : the last digit is exchanged for the
    mate-th of the others.
    """
    rng, digits = np.random.default_rng((seed, 11)), load("digits").x_val
    order = rng.permutation(len(digits))
    weight = sqrt(2 / 9) * rng.standard_normal((CHANNELS, 1, 3, 3))
    chosen = [*order[: IMAGES - 1], order[IMAGES - 1 + mate]]
    found = Maps(digits[chosen].reshape(-1, 1, 8, 8), weight, maps_of(digits[chosen], weight))
    for array in found:
        array.setflags(write=False)
    return found


def maps_of(images: Array, weight: Array) -> Array:
    """Convolve digits (N, 64) or (N, 1, 8, 8) with filters (C, 1, 3, 3): (N, C, 4, 4)."""
    return convolve(images.reshape(-1, 1, 8, 8), weight, stride=2, padding=1)[0]


# ---- painted sets ----------------------------------------------------------------------------------------


class Partition(NamedTuple):
    """How a painted set divides a tensor.

    runs : lengths along N, C, H, W of a pattern that can be shifted, or None
    obstacle : why it can't be: "shape", no run along each axis; "length", a run's doesn't divide its axis;
        "start", a run doesn't begin at a multiple of its length; "" where it can
    axis : which axis that is about
    sets : (N, C, H, W), the number of each cell's set; 0 is the painted one
    blocks : (N, C, H, W), by which two sets side by side differ: the sum of their places along the axes
    """

    runs: tuple[int, ...] | None
    obstacle: str
    axis: int
    sets: Array
    blocks: Array


@lru_cache(maxsize=256)
def partition(cells: tuple[int, ...]) -> Partition:
    """Divide the tensor by the painted ``cells``, to which `HOME` always belongs.

    Where they are a run along each axis that begins at a multiple of its length, and the length divides the
    axis, the other sets are the same pattern, shifted. Else the second set is the rest.
    """
    mask = np.zeros(SHAPE, dtype=bool)
    mask.flat[list(cells)] = True
    mask[HOME] = True
    runs, obstacle, axis = _runs(mask)
    if runs is None:
        sets = (~mask).astype(int)
        return Partition(None, obstacle, axis, sets, sets)
    counts = tuple(n // run for n, run in zip(SHAPE, runs, strict=True))
    place = [np.arange(n) // run for n, run in zip(SHAPE, runs, strict=True)]
    moved = [(p - p[home]) % count for p, home, count in zip(place, HOME, counts, strict=True)]
    sets = np.ravel_multi_index(tuple(np.meshgrid(*moved, indexing="ij")), counts)
    return Partition(runs, "", 0, sets, np.add.reduce(np.meshgrid(*place, indexing="ij")))


def _runs(mask: Array) -> tuple[tuple[int, ...] | None, str, int]:
    """Return the lengths of the runs whose product is painted; or None, the obstacle and its axis."""
    every = [np.flatnonzero(mask.any(axis=tuple(a for a in range(4) if a != axis))) for axis in range(4)]
    runs = tuple(len(where) for where in every)
    if prod(runs) != mask.sum() or any(where[-1] - where[0] + 1 != len(where) for where in every):
        return None, "shape", 0
    for axis, (where, run) in enumerate(zip(every, runs, strict=True)):
        if SHAPE[axis] % run:
            return None, "length", axis
        if where[0] % run:
            return None, "start", axis
    return runs, "", 0


def pattern(runs: Iterable[int]) -> tuple[int, ...]:
    """Return the cells of the set with such runs along N, C, H, W that `HOME` belongs to."""
    sides = [range(home // run * run, home // run * run + run) for home, run in zip(HOME, runs, strict=True)]
    cells = np.ravel_multi_index(tuple(np.meshgrid(*sides, indexing="ij")), SHAPE)
    return tuple(int(cell) for cell in np.sort(cells, axis=None))


def named(runs: tuple[int, ...] | None) -> str:
    """Say which norm has such sets; "" for none with a name in wide use, and for what is no pattern.

    "position" is layer norm at each position; "flat" batch norm of flattened maps; "ghost" that of half of
    the batch; "mixed" groups of channels that all images share.
    """
    if runs is None:
        return ""
    images, channels, *sides = runs
    everywhere, here = sides == [HEIGHT, WIDTH], sides == [1, 1]
    if not (everywhere or here):
        return ""
    some = "one" if channels == 1 else "all" if channels == CHANNELS else "some"
    names = {
        (IMAGES, "one", True): "batch", (1, "all", True): "layer", (1, "one", True): "instance",
        (1, "some", True): "group", (IMAGES // 2, "one", True): "ghost", (IMAGES, "some", True): "mixed",
        (IMAGES, "all", True): "everything", (1, "all", False): "position", (IMAGES, "one", False): "flat",
        (1, "one", False): "alone",
    }  # fmt: skip
    return names.get((images, some, everywhere), "")


def normalized(x: Array, how: Partition, eps: float = EPS) -> Array:
    """Give each set of the partition mean 0 and variance 1, but for eps."""
    if how.runs is None:
        every, mine = (0, 1, 2, 3), how.sets == 0
        return (
            layer_norm(x, eps=eps, axis=every, mask=mine)[0]
            + (layer_norm(x, eps=eps, axis=every, mask=~mine)[0])
        )
    split = [part for n, run in zip(SHAPE, how.runs, strict=True) for part in (n // run, run)]
    y: Array = layer_norm(x.reshape(split), eps=eps, axis=(1, 3, 5, 7))[0]
    return y.reshape(SHAPE)


def moments(x: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return how many numbers each set has, their mean, and their biased standard deviation, (sets,) each."""
    flat, values = labels.ravel(), x.ravel()
    count = np.bincount(flat)
    mean = np.bincount(flat, values) / count
    return count, mean, np.sqrt(np.bincount(flat, np.square(values - mean[flat])) / count)


def sharers(norm: Callable[[Array], Array], x: Array, by: float = 0.5) -> Array:
    """Return which outputs of ``norm`` change when the number at `HOME` does: a mask of the shape of x."""
    nudged = x.copy()
    nudged[HOME] += by * x.std()
    changed: Array = np.abs(norm(nudged) - norm(x)) > 1e-9  # above rounding
    return changed
