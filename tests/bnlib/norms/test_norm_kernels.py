"""The kernels of the norms: large arrays in pieces, the whole range of a dtype, arguments changed later."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bnlib
from bnlib.norms import blocks
from bnlib.norms.core import normalize, normalize_backward

# Shape of x, axes, shape of gamma and beta, centred or not: what the public functions ask of the core.
CHOICES = {
    "batch": ((24, 6), (0,), (1, 6), True),
    "batch of images": ((9, 4, 5), (0, 2), (1, 4, 1), True),
    "ghost": ((6, 4, 5), (0,), (1, 1, 5), True),
    "layer": ((12, 10), (1,), (1, 10), True),
    "group": ((6, 3, 4, 5), (2, 3), (1, 3, 4, 1), True),
    "instance": ((4, 5, 6), (2,), (1, 5, 1), True),
    "RMS": ((12, 10), (1,), (1, 10), False),
    "channels of a position": ((4, 7, 6), (1,), (1, 7, 1), True),
}
choices = pytest.mark.parametrize("name", CHOICES)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
divided = pytest.mark.parametrize("divided", [False, True], ids=["whole", "divided"])


@contextmanager
def pieces(divided: bool = True) -> Iterator[None]:
    """Work through arrays of any size in blocks and pieces of a few samples, or as a whole."""
    few, whole = {"LARGE": 0, "BLOCK_BYTES": 100, "PIECE": 20}, {"LARGE": 1 << 60, "PIECE": 1 << 60}
    with mock.patch.multiple(blocks, **(few if divided else whole)):
        yield


def arrays(name: str, dtype: Any, seed: int = 0) -> list[np.ndarray]:
    """x with elements in (-1, 1), gamma, beta and dy."""
    shape, _, affine, _ = CHOICES[name]
    rng = np.random.default_rng(seed)
    return [
        array.astype(dtype)
        for array in (
            rng.uniform(-1, 1, shape),
            *rng.standard_normal((2, *affine)),
            rng.standard_normal(shape),
        )
    ]


def call(name: str, x: np.ndarray, gamma: Any, beta: Any, dy: np.ndarray, eps: float) -> tuple[Any, ...]:
    """y, the cache, and the three gradients."""
    _, axes, _, centre = CHOICES[name]
    with np.errstate(over="ignore", invalid="ignore"):
        y, cache = normalize(x, axes, gamma, beta, eps, centre)
    return (y, cache, *normalize_backward(dy, cache))


def reference(name: str, *given: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
    """y and the gradients by the formulas of the papers, with more digits and a wider range."""
    _, axes, _, centre = CHOICES[name]
    x, gamma, beta, dy = (array.astype(np.longdouble) for array in given)
    centred = x - x.mean(axes, keepdims=True) if centre else x
    std = np.sqrt((centred**2).mean(axes, keepdims=True) + np.longdouble(eps))
    rstd = np.divide(1, std, out=np.zeros_like(std), where=std != 0)
    xhat, g = centred * rstd, gamma * dy
    removed = xhat * (g * xhat).mean(axes, keepdims=True)
    if centre:
        removed = removed + g.mean(axes, keepdims=True)
    varying = tuple(axis for axis, n in enumerate(gamma.shape) if n == 1)
    sums = (np.sum(array, varying, keepdims=True) for array in (dy * xhat, dy))
    return (xhat * gamma + beta, (g - removed) * rstd, *sums)


# --- pieces ---------------------------------------------------------------------------------------------


@choices
@dtypes
@pytest.mark.parametrize("given", [(True, True), (True, False), (False, True), (False, False)])
def test_pieces_change_no_digit_that_counts(name: str, dtype: Any, given: tuple[bool, bool]) -> None:
    x, *affine, dy = arrays(name, dtype)
    affine = [array if there else None for array, there in zip(affine, given, strict=True)]
    whole = call(name, x, *affine, dy, 0.1)
    with pieces():
        parts = call(name, x, *affine, dy, 0.1)
    for one, other in zip(
        (parts[0], *parts[1][:4], *parts[2:]), (whole[0], *whole[1][:4], *whole[2:]), strict=True
    ):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.shape == other.shape
            assert one.dtype == dtype
            np.testing.assert_allclose(one, other, rtol=0, atol=40 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(1000, 310), (40, 8, 32, 32), (3, 200, 30, 30), (3, 260, 700)])
def test_pieces_have_the_bits_of_the_whole(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape), dtype=np.float32)
    axes = tuple(range(1 if len(shape) == 2 else 2, len(shape)))
    affine = tuple(n if axis == 1 else 1 for axis, n in enumerate(shape))
    gamma, beta = rng.standard_normal((2, *affine), dtype=np.float32)
    assert x.size > 2 * blocks.PIECE
    y, cache = normalize(x, axes, gamma, beta, 1e-5)
    dx = normalize_backward(dy, cache)[0]
    with pieces(False):
        whole, kept = normalize(x, axes, gamma, beta, 1e-5)
        assert (y == whole).all()
        assert (dx == normalize_backward(dy, kept)[0]).all()


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((5, 300, 100), (2,)), ((3, 500, 300), (2,)), ((3, 2, 300, 300), (3,)), ((7, 90, 300), (1,))],
)
def test_large_replicas_side_by_side_have_the_bits_of_one_alone(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((2, *shape), dtype=np.float32)
    affine = (shape[0], *(1,) * (len(shape) - 2), shape[-1])
    gamma, beta = rng.standard_normal((2, *affine), dtype=np.float32)
    assert x.size > blocks.PIECE
    y, cache = normalize(x, axes, gamma, beta, 1e-5)
    together = (y, *normalize_backward(dy, cache))
    with pieces(False):
        whole, kept = normalize(x, axes, gamma, beta, 1e-5)
        for ours, other in zip(together, (whole, *normalize_backward(dy, kept)), strict=True):
            assert (ours == other).all(), "the size from which there are pieces changes no bit of a run"
    for r in range(shape[0]):
        row = slice(r, r + 1)
        one, one_cache = normalize(x[row], axes, gamma[row], beta[row], 1e-5)
        for ours, alone in zip(together, (one, *normalize_backward(dy[row], one_cache)), strict=True):
            assert (ours[row] == alone).all()


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(1, 40), st.data())
def test_pieces_cover_everything_once_and_no_mean_is_divided(shape: list[int], size: int, data: Any) -> None:
    axes = tuple(a for a in range(1, len(shape)) if data.draw(st.booleans()))
    affine = np.ones([n if data.draw(st.booleans()) else 1 for n in shape])
    seen = np.zeros(shape, int)
    with mock.patch.object(blocks, "PIECE", size):
        for at in blocks.pieces(tuple(shape), axes, affine):
            seen[at] += 1
            assert all(seen[at].shape[a] == shape[a] for a in axes)
            assert seen[at].size <= max(size, np.prod(shape[1:]))
            np.testing.assert_array_equal(
                np.broadcast_to(blocks.part(affine, at), seen[at].shape), np.broadcast_to(affine, shape)[at]
            )
    assert (seen == 1).all()


# --- the whole range of a dtype -------------------------------------------------------------------------


def exponents(dtype: Any) -> list[int]:
    """Powers of two from the smallest subnormal number to the largest number; squares leave the range."""
    limits = np.finfo(dtype)
    least, most = limits.minexp - limits.nmant, limits.maxexp - 1
    return sorted(
        {least, least + 3, least + 20, *range(limits.minexp, most, 1 + (most - limits.minexp) // 24), most}
    )


WIDER = np.finfo(np.longdouble).maxexp > 1024


@choices
@divided
@pytest.mark.parametrize(
    "dtype",
    [np.float32, pytest.param(np.float64, marks=pytest.mark.skipif(not WIDER, reason="no wider reference"))],
)
@pytest.mark.parametrize("eps", [0.0, 2.0**-140, 1e-36, 1e-5])
@pytest.mark.parametrize("mean", [0, 3])
def test_right_over_the_whole_range(name: str, dtype: Any, divided: bool, eps: float, mean: int) -> None:
    for exponent in exponents(dtype):
        x, gamma, beta, dy = arrays(name, dtype, seed=exponent + 2000)
        x = np.ldexp(x + dtype(mean), exponent - 2)
        with np.errstate(all="ignore"):  # a gradient of subnormal numbers may be beyond the dtype
            expected = [array.astype(dtype) for array in reference(name, x, gamma, beta, dy, eps=eps)]
        with pieces(divided), np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")
            y, cache = normalize(x, CHOICES[name][1], gamma, beta, eps, CHOICES[name][3])
        with pieces(divided), np.errstate(all="ignore"):
            gradients = normalize_backward(dy, cache)
        for label, ours, true in zip(("y", "dx", "dgamma", "dbeta"), (y, *gradients), expected, strict=True):
            inside = np.abs(true) < np.finfo(dtype).max / 2**5
            largest = max(np.abs(true[inside]).max(initial=0), 1 if label == "dgamma" else 0)
            within = 500 * np.finfo(dtype).eps * largest + 99 * np.finfo(dtype).smallest_subnormal
            off = np.abs(np.where(inside, ours, 0) - np.where(inside, true, 0)) > within
            # Where 1 / sqrt(var + eps) overflows, so do gradients that needn't; they are never small numbers.
            off &= np.isfinite(ours)
            assert not off.any(), (exponent, label, ours[off], true[off])
            if label != "dx" or exponent > np.finfo(dtype).minexp:
                assert np.isfinite(ours[inside]).all(), (exponent, label)


@choices
@dtypes
@divided
def test_a_power_of_two_without_eps_changes_no_digit(name: str, dtype: Any, divided: bool) -> None:
    x, *rest = arrays(name, dtype)
    limits = np.finfo(dtype)
    with pieces(divided):
        y, cache, dx, *sums = call(name, x, *rest, 0.0)
        for exponent in range(limits.minexp // 2, limits.maxexp - 1, limits.maxexp // 9):
            other, other_cache, other_dx, *other_sums = call(name, np.ldexp(x, exponent), *rest, 0.0)
            np.testing.assert_allclose(other, y, rtol=0, atol=8 * limits.eps)
            np.testing.assert_allclose(np.ldexp(other_dx, exponent), dx, rtol=0, atol=99 * limits.eps)
            np.testing.assert_allclose(
                np.ldexp(other_cache.mean, -exponent), cache.mean, rtol=0, atol=limits.eps
            )
            for one, same in zip(other_sums, sums, strict=True):
                np.testing.assert_allclose(one, same, rtol=0, atol=99 * limits.eps)


@divided
def test_groups_of_another_range_leave_the_others_alone(divided: bool) -> None:
    x, gamma, beta, dy = arrays("layer", np.float32)
    wild = x.copy()
    wild[2], wild[5], wild[7] = wild[2] * np.float32(1e25), wild[5] * np.float32(1e-30), np.float32(1e30)
    for eps in (0.0, 1e-5):
        with pieces(divided):
            tame, others = (call("layer", array, gamma, beta, dy, eps) for array in (x, wild))
        assert (others[0][7] == beta).all(), "a constant feature, of any size"
        for row in set(range(len(x))) - {2, 5, 7}:
            for one, other in zip(
                (*tame[:1], *tame[1][:4], tame[2]), (*others[:1], *others[1][:4], others[2]), strict=True
            ):
                assert (one[row] == other[row]).all()
        np.testing.assert_allclose(others[0][2], tame[0][2], atol=1e-3 if eps else 1e-5)


@divided
@pytest.mark.parametrize(("value", "eps"), [(1e20, 1e-35), (1e20, 1e-5), (1e-25, 1e-35), (1e-40, 1e-5)])
def test_a_constant_feature_of_any_size_has_the_slope_of_eps(divided: bool, value: float, eps: float) -> None:
    x, dy = np.full((4, 3), value, np.float32), arrays("layer", np.float32)[3][:4, :3]
    for axes in ((0,), (1,)):
        with pieces(divided):
            y, cache = normalize(x, axes, None, None, eps)
            dx = normalize_backward(dy, cache)[0]
        assert (y == 0).all()
        np.testing.assert_allclose(dx, (dy - dy.mean(axes, keepdims=True)) / np.sqrt(eps), rtol=1e-4)


@choices
@dtypes
@divided
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_infinite_numbers_and_nan_are_seen_where_they_share_statistics(
    name: str, dtype: Any, divided: bool, bad: float
) -> None:
    _, axes, _, centre = CHOICES[name]
    x, *rest = arrays(name, dtype)
    x[(-1,) * x.ndim] = bad
    with np.errstate(all="ignore"), pieces(divided):
        y, _, dx, *_ = call(name, x, *rest, 1e-5)
    shares = np.zeros_like(x[tuple(slice(1) if a in axes else slice(None) for a in range(x.ndim))])
    shares[(-1,) * x.ndim] = 1
    hit = np.broadcast_to(shares == 1, x.shape)
    assert np.isfinite(y[~hit]).all()
    assert np.isfinite(dx[~hit]).all()
    assert np.isnan(y[(-1,) * x.ndim])
    if centre or np.isnan(bad):  # of an infinite mean square, RMS norm makes 0, as PyTorch does
        assert np.isnan(y[hit]).all()
        assert np.isnan(dx[hit]).all()


def test_a_variance_beyond_the_dtype_is_infinite_and_one_below_it_0() -> None:
    x = np.array([[1.0, -1.0, 3.0]], np.float32)
    for factor, var in ((1e25, np.inf), (1e-30, 0)):
        with np.errstate(over="ignore"):
            y, cache = bnlib.layer_norm(x * np.float32(factor), eps=0.0)
        assert cache.var == var
        np.testing.assert_allclose(cache.mean, factor, rtol=1e-6)
        np.testing.assert_allclose(y, bnlib.layer_norm(x, eps=0.0)[0], atol=1e-6)
        np.testing.assert_allclose(cache.core.rstd * factor, 1 / np.std([1, -1, 3]), rtol=1e-6)


# --- arguments that change later ------------------------------------------------------------------------


@choices
@divided
def test_x_may_change_before_the_backward_pass(name: str, divided: bool) -> None:
    x, *rest = arrays(name, np.float64)
    _, axes, _, centre = CHOICES[name]
    with pieces(divided):
        expected = call(name, x, *rest, 0.1)[2:]
        y, cache = normalize(x, axes, *rest[:2], 0.1, centre)
        x[:], y[:] = 7, 8
        for one, other in zip(normalize_backward(rest[2], cache), expected, strict=True):
            assert (one == other).all()


@pytest.mark.parametrize("shape", [(300, 300), (700, 300), (5, 8, 200, 200)])
@pytest.mark.parametrize("norm", [bnlib.batch_norm, bnlib.layer_norm, bnlib.rms_norm])
def test_x_of_any_size_may_change_before_the_backward_pass(shape: tuple[int, ...], norm: Any) -> None:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape), dtype=np.float32)
    expected = bnlib.norm_backward(dy, norm(x)[1])[0]
    cache = norm(x)[1]
    x *= 2
    assert (bnlib.norm_backward(dy, cache)[0] == expected).all()
