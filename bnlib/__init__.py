"""bnlib: normalization in neural networks, in NumPy, as readable as the papers.

>>> import numpy as np, bnlib
>>> y, cache = bnlib.batch_norm(np.array([[1.0], [2.0], [3.0], [4.0]]), eps=0.0)
>>> y.ravel().round(3).tolist()
[-1.342, -0.447, 0.447, 1.342]
"""

from .config import RunConfig
from .norms import (
    NORMS,
    batch_norm,
    batch_norm_inference,
    group_norm,
    instance_norm,
    layer_norm,
    norm_backward,
    rms_norm,
)
from .stats import RunningStats
from .train import Run, advance, start

__all__ = [
    "NORMS",
    "Run",
    "RunConfig",
    "RunningStats",
    "advance",
    "batch_norm",
    "batch_norm_inference",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "norm_backward",
    "rms_norm",
    "start",
]
