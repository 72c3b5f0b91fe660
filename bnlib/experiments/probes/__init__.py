"""What experiments measure: each measure is a function of a configuration, arrays by name come out.

Results have the replica axis first. What follows a run in training is a function of that run between two
calls of `advance`: a run is a value, so looking at it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...networks.config import RunConfig
from .along import covariate_shift, equilibrium, input_drift, landscape, precision, rescaled, unsteadiness
from .arithmetic import Measured, gaussian_batches, invariances, jacobian, power_iteration
from .initial import block_gradients, gradient_growth, residual_stream
from .trained import composition, cost, leakage, learning, under_shift, units_off


class Cell(NamedTuple):
    """One cell of an experiment's grid: what is measured, of which run. A value, with a repr that says all.

    measure : a name in MEASURES
    steps : of training; of `gaussian_batches`, how many batches
    options : keywords of the measure, in order
    """

    measure: str
    config: RunConfig
    steps: int = 0
    options: tuple[tuple[str, Any], ...] = ()


def measure(cell: Cell) -> Measured:
    """Return the measured arrays of a cell, replica axis first. A function for `sweep`."""
    with np.errstate(all="ignore"):  # what diverges is a result
        return MEASURES[cell.measure](cell.config, cell.steps, **dict(cell.options))


MEASURES: dict[str, Callable[..., Measured]] = {
    function.__name__: function
    for function in (
        *(gaussian_batches, jacobian, invariances, power_iteration, gradient_growth, residual_stream),
        *(learning, precision, composition, input_drift, unsteadiness, landscape, covariate_shift, rescaled),
        *(equilibrium, leakage, units_off, under_shift, cost, block_gradients),
    )
}
