"""bnlib: normalization in neural networks, in NumPy, as readable as the papers.

>>> import numpy as np, bnlib
>>> y, cache = bnlib.batch_norm(np.array([[1.0], [2.0], [3.0], [4.0]]), eps=0.0)
>>> y.ravel().round(3).tolist()
[-1.342, -0.447, 0.447, 1.342]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import theory
from .config import RunConfig
from .conv import convolve, convolve_backward
from .norms import (
    batch_norm,
    batch_norm_inference,
    group_norm,
    instance_norm,
    layer_norm,
    norm_backward,
    rms_norm,
)
from .stats import RunningStats
from .streaming import learn
from .table import NORMS
from .train import Run, advance, start
from .weights import (
    spectral_norm,
    spectral_norm_backward,
    weight_norm,
    weight_norm_backward,
    weight_standardization,
    weight_standardization_backward,
)
from .zoo import (
    batch_renorm,
    dynamic_tanh,
    filter_response_norm,
    ghost_batch_norm,
    relative_backward,
    running_norm,
)

if TYPE_CHECKING:
    from . import experiments
    from .costs import cost, fold_batch_norm

__all__ = [
    "NORMS",
    "Run",
    "RunConfig",
    "RunningStats",
    "advance",
    "batch_norm",
    "batch_norm_inference",
    "batch_renorm",
    "convolve",
    "convolve_backward",
    "cost",
    "dynamic_tanh",
    "experiments",
    "filter_response_norm",
    "fold_batch_norm",
    "ghost_batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "learn",
    "norm_backward",
    "relative_backward",
    "rms_norm",
    "running_norm",
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
    """What is imported when it is asked for: training needs none of it."""
    if name == "experiments":
        return import_module("bnlib.experiments")
    if name in ("cost", "fold_batch_norm"):
        return getattr(import_module("bnlib.costs"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
