"""The table of all norms. A new one is a pair of functions and a row: see CONTRIBUTING.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .statistics import Array


class Norm(NamedTuple):
    """A row of the table of norms. What a norm doesn't have keeps its default.

    forward : the public function
    label, summary : what it is called, and which elements share what
    shared : for a choice of axes, what shares a mean and a variance: samples "N", positions "P", channels "C"
        (those of one group, if it has ``groups``)
    centre : whether the mean is subtracted
    pair : forward and backward of any other norm, in the engine's layout: see `relatives`, or `weights`
    learned : names of its learned parameters; those in ``scalars`` a layer has one of, not one a channel
    options : fields of `RunConfig` that are its own: the page shows them only where such a norm is
    running : it keeps running statistics, and is in inference the affine map that batch norm is
    weighted : the variance that it leaves for them is a weighted average's, and isn't made unbiased
    together : so many samples share their statistics where ``norm_batch`` doesn't say; 0: all of a batch
    weights, vector : it normalizes weights, not activations; it keeps a vector u, warm from step to step
    activates : it brings an activation of its own, and the network's is left out
    start : of weights: the learned gain that leaves given weights as they are
    about, use : a sentence for the page on what it does, and one on when to use it and where that ends
    """

    forward: Callable[..., Any]
    label: str
    summary: str
    shared: str = ""
    centre: bool = True
    pair: Any = None  # (forward, backward)
    learned: tuple[str, ...] = ("gamma", "beta")
    scalars: tuple[str, ...] = ()
    options: tuple[str, ...] = ("eps",)
    running: bool = False
    weighted: bool = False
    together: int = 0
    weights: bool = False
    vector: bool = False
    activates: bool = False
    start: Callable[[Array], Array] | None = None
    about: str = ""
    use: str = ""


NORMS: dict[str, Norm] = {}  # filled by the modules of this folder, each with its own rows
