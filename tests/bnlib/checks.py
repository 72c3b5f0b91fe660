"""What several test files need: central differences, runs compared, one replica, PyTorch's optimizer."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bnlib import NORMS, Run, RunConfig

# Those whose statistics are of whole samples or batches: all but ghost batch norm.
CHOICES_OF_AXES = {name: norm for name, norm in NORMS.items() if norm.shared and name != "ghost"}


def check_differences(
    loss: Callable[[], float],
    array: np.ndarray,
    gradient: np.ndarray,
    h: float = 1e-5,
    rel: float = 1e-6,
    within: float = 1e-7,
) -> None:
    """Each element of ``gradient`` is the central difference of ``loss`` when that of ``array`` is nudged."""
    assert gradient.shape == array.shape
    for index in np.ndindex(array.shape):
        middle = array[index]
        array[index] = middle + h
        above = loss()
        array[index] = middle - h
        below = loss()
        array[index] = middle
        assert gradient[index] == pytest.approx((above - below) / (2 * h), rel=rel, abs=within)


def same_run(one: Run, other: Run) -> bool:
    """Bit for bit, history included."""

    def arrays(run: Run) -> dict[object, np.ndarray]:
        state = [
            run.flat,
            *run.optimizer_state,
            run.running.mean,
            run.running.var,
            run.power,
            run.diverged_at,
        ]
        return {**run.history, **dict(enumerate(state))}

    left, right = arrays(one), arrays(other)
    plain = [
        (run.config, run.step, run.samples, run.running.steps, run.running.momentum) for run in (one, other)
    ]
    return (
        plain[0] == plain[1]
        and left.keys() == right.keys()
        and all(np.array_equal(left[name], right[name], equal_nan=True) for name in left)
    )


def torch_optimizer(named: dict[str, torch.Tensor], config: RunConfig) -> torch.optim.Optimizer:
    """PyTorch's optimizer of these parameters: weight decay is for matrices alone."""
    weights = [parameter for name, parameter in named.items() if "weight" in name]
    others = [parameter for name, parameter in named.items() if "weight" not in name]
    groups = [
        {"params": weights, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9 if config.optimizer == "momentum" else 0.0)
