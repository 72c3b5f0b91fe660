"""Which elements share a mean and a variance: the layout of every norm, public and in training."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from .statistics import Axes, Shape
from .table import NORMS


class Layout(NamedTuple):
    """How a norm sees an array.

    shape : what the array is brought to
    reduced : the axes whose elements share a mean and a variance
    affine : shape of gamma and beta, of length 1 along the axes on which they don't depend
    """

    shape: Shape
    reduced: Axes
    affine: Shape


@lru_cache(maxsize=1024)
def layout(letters: str, shape: Shape, shared: str) -> Layout:
    """Return the layout of an array whose axes have these letters, a length in `shape` for each.

    Samples "N", positions "P", channels "C"; a lowercase letter for a part of such an axis that is never
    averaged over, as the number of groups is "c"; "R" for replicas. `shared` has the letters of what shares a
    mean and a variance.

    >>> layout("NcCP", (2, 3, 4, 5), "PC")  # group norm: three groups of four channels
    Layout(shape=(2, 3, 4, 5), reduced=(2, 3), affine=(1, 3, 4, 1))
    """
    reduced = tuple(axis for axis, letter in enumerate(letters) if letter in shared)
    affine = tuple(n if letter in "Cc" else 1 for n, letter in zip(shape, letters, strict=True))
    return Layout(shape, reduced, affine)


@lru_cache(maxsize=512)
def in_training(norm: str, shape: Shape, groups: int, norm_batch: int) -> Layout:
    """Return how a norm that is a choice of axes, a name of `NORMS`, sees activations in training.

    Their shape is (R, N, *positions, C): replicas, samples, positions, channels. `groups` is of group norm.
    So many samples as `norm_batch` says share their statistics: samples 0, N / norm_batch, 2 N / norm_batch,
    ... the first ones; 0: all of a batch.
    """
    row, (replicas, samples, *_, channels) = NORMS[norm], shape
    positions = prod(shape[2:-1])
    parts = [("R", replicas), ("N", samples), ("P", positions), ("C", channels)]
    if row.shared == "NP" and norm_batch:
        parts[1:2] = [("N", norm_batch), ("n", samples // norm_batch)]
    elif row.shared == "NP":
        parts[1:3] = [("N", samples * positions)]
    elif "groups" in row.options:
        parts[3:] = [("c", groups), ("C", channels // groups)]
    if positions == 1 and row.shared != "P":  # a dense layer has none
        parts = [part for part in parts if part[0] != "P"]
    letters, lengths = zip(*parts, strict=True)
    return layout("".join(letters), lengths, row.shared)
