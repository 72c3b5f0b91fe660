"""bnlib: normalization in neural networks, in NumPy, as readable as the papers.

>>> import numpy as np, bnlib
>>> y, cache = bnlib.batch_norm(np.array([[1.0], [2.0], [3.0], [4.0]]), eps=0.0)
>>> y.ravel().round(3).tolist()
[-1.342, -0.447, 0.447, 1.342]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import theory
from .networks.config import RunConfig
from .networks.conv import convolve, convolve_backward
from .norms import (
    NORMS,
    RunningStats,
    batch_norm,
    batch_norm_inference,
    batch_renorm,
    combine_moments,
    dynamic_tanh,
    filter_response_norm,
    fold_batch_norm,
    frozen_batch_norm,
    ghost_batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    norm_backward,
    relative_backward,
    rms_norm,
    running_norm,
    sharded_backward,
    sharded_batch_norm,
    spectral_norm,
    spectral_norm_backward,
    weight_norm,
    weight_norm_backward,
    weight_standardization,
    weight_standardization_backward,
)
from .training.streaming import learn
from .training.train import Run, advance, start

if TYPE_CHECKING:
    from . import experiments
    from .experiments.probes.costs import cost

__all__ = [
    "NORMS",
    "Run",
    "RunConfig",
    "RunningStats",
    "advance",
    "batch_norm",
    "batch_norm_inference",
    "batch_renorm",
    "combine_moments",
    "convolve",
    "convolve_backward",
    "cost",
    "dynamic_tanh",
    "experiments",
    "filter_response_norm",
    "fold_batch_norm",
    "frozen_batch_norm",
    "ghost_batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "learn",
    "norm_backward",
    "relative_backward",
    "rms_norm",
    "running_norm",
    "sharded_backward",
    "sharded_batch_norm",
    "spectral_norm",
    "spectral_norm_backward",
    "start",
    "theory",
    "weight_norm",
    "weight_norm_backward",
    "weight_standardization",
    "weight_standardization_backward",
]


def __getattr__(name: str) -> Any:
    """Return what is imported when it is asked for, and the public function of any row of the table."""
    if name == "experiments":
        return import_module("bnlib.experiments")
    if name == "cost":
        return import_module("bnlib.experiments.probes.costs").cost
    for row in NORMS.values():
        if row.forward.__name__ == name:
            return row.forward
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return all names of the library, those of norms that were added to the table, too."""
    return sorted({*globals(), *__all__, *(row.forward.__name__ for row in NORMS.values())})
