"""Norms, forward and backward: checked ones for everybody, bare ones for training.

To be read in the order of the papers: `plain` (ten lines each way), `statistics`, `core` (normalize, scale
and shift, backward), `public`, `given` (inference, and masks), and what is more than a choice of axes:
`relatives` and `weights`. These two and `public` fill the table, each with its own rows.
"""

# isort: off
# In this order, that of the rows of the table.
from .public import batch_norm, batch_norm_inference, frozen_batch_norm, ghost_batch_norm, group_norm
from .public import instance_norm, layer_norm, norm_backward, rms_norm
from .relatives import batch_renorm, dynamic_tanh, filter_response_norm, relative_backward, running_norm
from .weights import fold_batch_norm, spectral_norm, spectral_norm_backward, weight_norm, weight_norm_backward
from .weights import weight_standardization, weight_standardization_backward
from .core import Cache, normalize, normalize_backward
from .running import RunningStats
from .shards import combine_moments, sharded_backward, sharded_batch_norm
from .table import NORMS, Norm

__all__ = [
    "NORMS", "Cache", "Norm", "RunningStats", "batch_norm", "batch_norm_inference", "batch_renorm",
    "combine_moments", "dynamic_tanh", "filter_response_norm", "fold_batch_norm", "frozen_batch_norm",
    "ghost_batch_norm", "group_norm", "instance_norm", "layer_norm", "norm_backward", "normalize",
    "normalize_backward", "relative_backward", "rms_norm", "running_norm", "sharded_backward",
    "sharded_batch_norm", "spectral_norm", "spectral_norm_backward", "weight_norm", "weight_norm_backward",
    "weight_standardization", "weight_standardization_backward",
]  # fmt: skip
