"""Batch statistics and their moving averages."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import bnlib
from bnlib.norms.running import RunningStats
from bnlib.norms.statistics import averager, moments

AXES = [
    ((7,), (0,)),
    ((5, 3), (0,)),
    ((5, 3), (1,)),
    ((5, 3), (0, 1)),
    ((4, 3, 5), (1,)),
    ((4, 3, 5), (0,)),
    ((4, 3, 5), (0, 2)),
    ((4, 3, 5), ()),
    ((2, 3, 4, 5), (1, 3)),
    ((2, 3, 4, 5), (1,)),
    ((2, 3, 4, 5, 2), (1, 3, 4)),
    ((2, 3, 4, 5, 2), (0, 2)),
]


@pytest.mark.parametrize(("shape", "axes"), AXES)
def test_averages_and_moments_are_those_of_numpy(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape) + 3
    before = x.copy()
    average = averager(shape, axes, x.dtype)(x)
    np.testing.assert_allclose(average, x.mean(axes, keepdims=True), atol=1e-14)
    mean, var = moments(x, axes)
    np.testing.assert_allclose(mean, x.mean(axes), atol=1e-14)
    np.testing.assert_allclose(var, x.var(axes), atol=1e-14)
    assert (x == before).all()


def test_moments_keep_their_digits_in_float32() -> None:
    x = (np.random.default_rng(1).standard_normal((500, 4)) + 1e4).astype(np.float32)
    mean, var = moments(x, (0,))
    assert mean.dtype == var.dtype == np.float32
    np.testing.assert_allclose(mean, x.astype(float).mean(0), rtol=1e-7)
    np.testing.assert_allclose(var, x.astype(float).var(0), rtol=1e-5)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(1, 300), st.floats(-1e6, 1e6), st.sampled_from([np.float32, np.float64]))
def test_equal_elements_have_variance_zero(m: int, value: float, dtype: type) -> None:
    mean, var = moments(np.full((m, 2), value, dtype), (0,))
    assert (mean == dtype(value)).all()
    assert (var == 0).all()


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4), (3, 3, 2, 2)])
def test_parity_with_torch(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    running_mean, running_var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    stats = RunningStats.zeros(3)
    for step in range(5):
        x = 2 * rng.standard_normal(shape) + 1
        F.batch_norm(torch.tensor(x), running_mean, running_var, training=True, momentum=0.1)
        _, cache = bnlib.batch_norm(x)
        stats = stats.update(cache.mean, cache.var, x.size // 3)
        np.testing.assert_allclose(cache.var, x.var((0, *range(2, x.ndim))), atol=1e-12)  # biased
        np.testing.assert_allclose(stats.mean, running_mean.numpy(), atol=1e-12)
        np.testing.assert_allclose(stats.var, running_var.numpy(), atol=1e-12)  # unbiased
        assert stats.steps == step + 1
    y = bnlib.batch_norm_inference(x, stats.mean, stats.var)
    expected = F.batch_norm(torch.tensor(x), running_mean, running_var)
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-12)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 60), st.floats(0, 0.99), st.integers(2, 9))
def test_constant_batches_give_the_closed_form(steps: int, momentum: float, count: int) -> None:
    # mean_t = (1 - momentum^t) mean; var_t = momentum^t + (1 - momentum^t) var m / (m - 1)
    mean, var = np.array([2.0, -3.0]), np.array([0.5, 7.0])
    stats = RunningStats.zeros(2, momentum=momentum)
    for _ in range(steps):
        stats = stats.update(mean, var, count)
    left = momentum**steps
    np.testing.assert_allclose(stats.mean, (1 - left) * mean, atol=1e-10)
    np.testing.assert_allclose(stats.var, left + (1 - left) * var * count / (count - 1), atol=1e-10)
    assert stats.steps == steps


def test_one_element_updates_the_mean_alone() -> None:
    stats = RunningStats.zeros(2).update(np.array([1.0, 2.0]), np.zeros(2), 1)
    np.testing.assert_allclose(stats.mean, [0.1, 0.2])
    np.testing.assert_array_equal(stats.var, [1, 1])
    assert stats.steps == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes_stay_and_the_old_value_too(dtype: type) -> None:
    start = RunningStats.zeros((3, 4), momentum=0.5, dtype=dtype)
    mean, var = np.ones((2, 3, 4))
    later = start.update(mean, var, 8)
    assert later.mean.shape == later.var.shape == (3, 4)
    assert later.mean.dtype == later.var.dtype == dtype
    assert (start.mean == 0).all()
    assert (start.var == 1).all()
    assert start.steps == 0
    assert (mean == 1).all()
    assert later.momentum == 0.5
    with pytest.raises(AttributeError):
        start.steps = 3
    copy = pickle.loads(pickle.dumps(later))
    np.testing.assert_array_equal(copy.mean, later.mean)


def test_momentum_zero_keeps_the_latest_batch() -> None:
    stats = RunningStats.zeros(1, momentum=0).update(np.array([4.0]), np.array([3.0]), 4)
    assert (stats.mean[0], stats.var[0]) == (4.0, 4.0)


@pytest.mark.parametrize("dtype", [int, "float16", None, np.zeros(3)], ids=str)
def test_statistics_are_float32_or_float64(dtype: Any) -> None:
    with pytest.raises(ValueError, match="must be float32 or float64; try np.float64"):
        RunningStats.zeros(3, dtype=dtype)


@pytest.mark.parametrize("momentum", [-0.1, 1, 1.5, float("nan")])
def test_momentum_outside_its_range(momentum: float) -> None:
    with pytest.raises(ValueError, match=r"momentum=.*must lie in \[0, 1\).*PyTorch's 0.1"):
        RunningStats.zeros(3, momentum=momentum)


@pytest.mark.parametrize(
    ("shape", "count", "message"),
    [
        ((4,), 8, r"mean \(4,\) and var \(4,\) must have shape \(3,\); start from"),
        ((1, 3), 8, r"mean \(1, 3\)"),
        ((), 8, r"mean \(\)"),
        ((3,), 0, "count=0 must be at least 1"),
        ((3,), -2, "count=-2"),
    ],
)
def test_bad_updates(shape: tuple[int, ...], count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunningStats.zeros(3).update(np.zeros(shape), np.ones(shape), count)
