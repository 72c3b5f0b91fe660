"""What is true of every norm, for any input: identities between norms, and what they don't respond to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bnlib
from bnlib import norms
from bnlib.norms import blocks
from bnlib.norms.statistics import moments
from tests.bnlib.checks import CHOICES_OF_AXES

examples = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
names = st.sampled_from(list(CHOICES_OF_AXES))
few = st.integers(1, 5)


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def call(name: str, x: np.ndarray, *affine: np.ndarray, eps: float = 0.0) -> tuple[np.ndarray, Any]:
    """The norm `name`, with a number of groups that always divides."""
    groups = {"groups": x.shape[1] // 2 if x.shape[1] % 2 == 0 else 1} if name == "group" else {}
    return CHOICES_OF_AXES[name].forward(x, *affine, eps=eps, **groups)


@st.composite
def batches(draw: st.DrawFn, least: int = 3) -> np.ndarray:
    """Arrays (N, C) or (N, C, L), N >= least, away from 0 and of any scale."""
    shape = (
        draw(st.integers(least, 9)),
        draw(st.integers(3, 6)),
        *draw(st.lists(st.integers(3, 4), max_size=1)),
    )
    scale, shift = draw(st.sampled_from([1e-2, 1.0, 30.0])), draw(st.sampled_from([0.0, 5.0, -70.0]))
    return scale * random(draw(seeds), *shape) + shift


@contextmanager
def in_blocks() -> Iterator[None]:
    """Work through arrays of any size in blocks of one or two samples."""
    with mock.patch.multiple(blocks, LARGE=0, BLOCK_BYTES=100, PIECE=20):
        yield


# --- 1, 2: the Jacobian is a projection -----------------------------------------------------------------


def jacobian(x: np.ndarray, eps: float) -> np.ndarray:
    """dy_i / dx_j of batch norm on one feature, row i from the upstream gradient e_i."""
    _, cache = bnlib.batch_norm(x[:, None], eps=eps)
    return np.array([bnlib.norm_backward(e[:, None], cache)[0][:, 0] for e in np.eye(len(x))])


@examples
@given(st.integers(3, 12), seeds)
def test_jacobian_projects_away_the_mean_and_x_hat(m: int, seed: int) -> None:
    x = random(seed, m)
    xhat = bnlib.batch_norm(x[:, None], eps=0.0)[0][:, 0]
    projection = jacobian(x, 0.0) * x.std()
    ones = np.ones(m)
    np.testing.assert_allclose(
        projection, np.eye(m) - np.outer(ones, ones) / m - np.outer(xhat, xhat) / m, atol=1e-10
    )
    np.testing.assert_allclose(projection @ projection, projection, atol=1e-10)
    assert np.trace(projection) == pytest.approx(m - 2, abs=1e-10)
    assert np.linalg.matrix_rank(projection, tol=1e-8) == m - 2


@examples
@given(st.integers(2, 12), seeds, st.floats(1e-6, 10))
def test_eps_lets_a_little_of_x_hat_through(m: int, seed: int, eps: float) -> None:
    x = random(seed, m)
    eigenvalues = np.linalg.eigvalsh(jacobian(x, eps) * np.sqrt(x.var() + eps))
    np.testing.assert_allclose(
        np.sort(eigenvalues), np.sort([0, eps / (x.var() + eps), *[1] * (m - 2)]), atol=1e-10
    )


@examples
@given(batches(), names, st.sampled_from([0.0, 1e-5, 0.3]), seeds, st.booleans())
def test_gradient_has_no_mean_and_only_eps_of_x_hat(
    x: np.ndarray, name: str, eps: float, seed: int, divided: bool
) -> None:
    dy = random(seed, *x.shape)
    if divided:
        with in_blocks():
            dx = bnlib.norm_backward(dy, call(name, x, eps=eps)[1])[0]
    else:
        dx = bnlib.norm_backward(dy, call(name, x, eps=eps)[1])[0]
    _, cache = call(name, x, eps=eps)
    xhat, rstd, axes = cache.core.xhat, cache.core.rstd, cache.core.axes
    dx, g = dx.reshape(xhat.shape), dy.reshape(xhat.shape)
    assert not (dx * (rstd == 0)).any(), "what has no spread, with eps = 0, has no gradient"
    dx = np.divide(dx, rstd, out=np.zeros_like(dx), where=rstd != 0)
    if CHOICES_OF_AXES[name].centre:
        np.testing.assert_allclose(dx.sum(axes), 0, atol=1e-10)
    # The mean square of x-hat is v / (v + eps): the part of g along x-hat is damped by eps / (v + eps).
    share = eps * rstd**2
    along, expected = (dx * xhat).sum(axes), (share * (g * xhat).sum(axes, keepdims=True)).squeeze(axes)
    if name == "instance" and x.ndim == 2:
        expected = np.zeros_like(along)
    np.testing.assert_allclose(along, expected, atol=1e-9)


# --- 3: what a norm doesn't see -------------------------------------------------------------------------


@examples
@given(batches(), names, st.floats(0.01, 50), st.booleans(), st.floats(-30, 30))
def test_scale_and_shift_of_the_input_leave_only_a_sign(
    x: np.ndarray, name: str, scale: float, flip: bool, shift: float
) -> None:
    a = -scale if flip else scale
    c = shift if CHOICES_OF_AXES[name].centre else 0.0
    expected = call(name, x)[0] * np.sign(a)
    np.testing.assert_allclose(call(name, a * x + c)[0], expected, atol=1e-7)
    with in_blocks():
        np.testing.assert_allclose(call(name, a * x + c)[0], expected, atol=1e-7)


@examples
@given(batches(), seeds)
def test_a_bias_before_batch_norm_has_no_gradient_and_weights_meet_theirs_at_a_right_angle(
    x: np.ndarray, seed: int
) -> None:
    features = x.reshape(-1, x.shape[1])
    assume(len(features) >= 4)
    weight, bias = random(seed, features.shape[1], 3), random(seed + 1, 3)
    y, cache = bnlib.batch_norm(features @ weight + bias, eps=0.0)
    dz, _, _ = bnlib.norm_backward(random(seed + 2, *y.shape), cache)
    scale = np.abs(dz).sum() + 1
    np.testing.assert_allclose(dz.sum(0) / scale, 0, atol=1e-10)
    gradient = features.T @ dz
    size = np.linalg.norm(gradient) * np.linalg.norm(weight) + 1
    np.testing.assert_allclose((weight * gradient).sum(0) / size, 0, atol=1e-8)


@examples
@given(st.integers(4, 9), seeds, st.floats(0.1, 10))
def test_gradient_shrinks_as_the_weights_grow(n: int, seed: int, a: float) -> None:
    x, weight, dy = random(seed, n, 5), random(seed + 1, 5, 3), random(seed + 2, n, 3)

    def gradient(w: np.ndarray) -> np.ndarray:
        return x.T @ bnlib.norm_backward(dy, bnlib.batch_norm(x @ w, eps=0.0)[1])[0]

    np.testing.assert_allclose(gradient(a * weight) * a, gradient(weight), rtol=1e-7, atol=1e-9)


# --- 4: the norms are relatives -------------------------------------------------------------------------


@examples
@given(batches(1), seeds, st.sampled_from([0.0, 1e-5, 0.3]))
def test_one_group_is_layer_norm_with_gamma_per_channel(x: np.ndarray, seed: int, eps: float) -> None:
    gamma, beta = random(seed, 2, x.shape[1])
    whole = (x.shape[1], *(1,) * (x.ndim - 2))
    per_feature = [np.broadcast_to(p.reshape(whole), x.shape[1:]) for p in (gamma, beta)]
    y, cache = bnlib.group_norm(x, gamma, beta, groups=1, eps=eps)
    same, same_cache = bnlib.layer_norm(x, *per_feature, eps=eps)
    np.testing.assert_allclose(y, same, atol=1e-9)
    dy = random(seed + 1, *x.shape)
    dx, dgamma, _ = bnlib.norm_backward(dy, cache)
    same_dx, same_dgamma, _ = bnlib.norm_backward(dy, same_cache)
    np.testing.assert_allclose(dx, same_dx, atol=1e-8)
    np.testing.assert_allclose(dgamma, same_dgamma.reshape(len(gamma), -1).sum(1), atol=1e-8)


@examples
@given(batches(1), seeds, st.sampled_from([1e-5, 0.3]))
def test_a_group_per_channel_is_instance_norm(x: np.ndarray, seed: int, eps: float) -> None:
    affine = random(seed, 2, x.shape[1])
    y, cache = bnlib.group_norm(x, *affine, groups=x.shape[1], eps=eps)
    same, same_cache = bnlib.instance_norm(x, *affine, eps=eps)
    np.testing.assert_allclose(y, same, atol=1e-10)
    dy = random(seed + 1, *x.shape)
    for ours, theirs in zip(bnlib.norm_backward(dy, cache), bnlib.norm_backward(dy, same_cache), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)


@examples
@given(few, st.integers(2, 6), seeds, st.sampled_from([1e-5, 0.3]))
def test_batch_norm_of_one_image_is_instance_norm(channels: int, length: int, seed: int, eps: float) -> None:
    x, affine, dy = (
        random(seed, 1, channels, length),
        random(seed, 2, channels),
        random(seed + 1, 1, channels, length),
    )
    for one, other in zip(
        _all(bnlib.batch_norm, x, affine, dy, eps), _all(bnlib.instance_norm, x, affine, dy, eps), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-9)


def _all(forward: Any, x: np.ndarray, affine: np.ndarray, dy: np.ndarray, eps: float) -> list[np.ndarray]:
    y, cache = forward(x, *affine, eps=eps)
    return [y, *bnlib.norm_backward(dy, cache)]


@examples
@given(batches(1), seeds, st.sampled_from([0.0, 1e-5, 0.3]))
def test_layer_norm_is_rms_norm_after_centring(x: np.ndarray, seed: int, eps: float) -> None:
    axes = tuple(range(1, x.ndim))
    centred = x - x.mean(axes, keepdims=True)
    gamma = random(seed, *x.shape[1:])
    y, cache = bnlib.layer_norm(x, gamma, eps=eps)
    same, same_cache = bnlib.rms_norm(centred, gamma, eps=eps)
    np.testing.assert_allclose(y, same, atol=1e-9)
    dy = random(seed + 1, *x.shape)
    dx, dgamma, _ = bnlib.norm_backward(dy, cache)
    same_dx, same_dgamma, _ = bnlib.norm_backward(dy, same_cache)
    np.testing.assert_allclose(dx, same_dx - same_dx.mean(axes, keepdims=True), atol=1e-8)
    np.testing.assert_allclose(dgamma, same_dgamma, atol=1e-8)


@examples
@given(batches(1))
def test_layer_norm_has_length_sqrt_d_and_rms_norm_is_a_rescaled_direction(x: np.ndarray) -> None:
    flat = x.reshape(len(x), -1)
    d = flat.shape[1]
    np.testing.assert_allclose(np.square(bnlib.layer_norm(flat, eps=0.0)[0]).sum(1), d, rtol=1e-10)
    directions = np.sqrt(d) * flat / np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(bnlib.rms_norm(flat, eps=0.0)[0], directions, atol=1e-10)


@examples
@given(st.integers(2, 30), seeds)
def test_no_sample_stands_out_by_more_than_the_root_of_the_others(m: int, seed: int) -> None:
    y, _ = bnlib.batch_norm(random(seed, m, 3) ** 3, eps=0.0)
    assert np.abs(y).max() <= np.sqrt(m - 1) * (1 + 1e-12)
    assert np.abs(bnlib.batch_norm(np.eye(m), eps=0.0)[0]).max() == pytest.approx(np.sqrt(m - 1))


# --- 5: statistics that add up, maps that fold ----------------------------------------------------------


@examples
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), seeds)
def test_statistics_of_uneven_shards_are_those_of_the_whole_batch(shards: list[int], seed: int) -> None:
    x = random(seed, sum(shards), 3, 2) + 2
    parts = np.split(x, np.cumsum(shards)[:-1])
    means, variances = (np.array(s) for s in zip(*(moments(part, (0, 2)) for part in parts), strict=True))
    share = np.array(shards)[:, None] / sum(shards)
    mean = (share * means).sum(0)
    var = (share * (variances + means**2)).sum(0) - mean**2
    _, cache = bnlib.batch_norm(x)
    np.testing.assert_allclose(mean, cache.mean, atol=1e-10)
    np.testing.assert_allclose(var, cache.var, atol=1e-10)


@examples
@given(few, few, few, seeds, st.sampled_from([1e-5, 0.3]))
def test_inference_folds_into_the_linear_layer_before_it(
    n: int, inputs: int, outputs: int, seed: int, eps: float
) -> None:
    x, weight = random(seed, n, inputs), random(seed + 1, inputs, outputs)
    bias, mean, gamma, beta = random(seed + 2, 4, outputs)
    var = np.abs(random(seed + 3, outputs))
    scale = gamma / np.sqrt(var + eps)
    folded = x @ (weight * scale) + (bias - mean) * scale + beta
    y = bnlib.batch_norm_inference(x @ weight + bias, mean, var, gamma, beta, eps=eps)
    np.testing.assert_allclose(y, folded, rtol=1e-9, atol=1e-9)


@examples
@given(batches(1), seeds, st.sampled_from([1e-5, 0.3]))
def test_inference_with_the_batch_statistics_is_training(x: np.ndarray, seed: int, eps: float) -> None:
    affine = random(seed, 2, x.shape[1])
    y, cache = bnlib.batch_norm(x, *affine, eps=eps)
    np.testing.assert_allclose(
        bnlib.batch_norm_inference(x, cache.mean, cache.var, *affine, eps=eps), y, atol=1e-8
    )


@examples
@given(batches(2), seeds)
def test_renormalization_without_limits_is_inference(x: np.ndarray, seed: int) -> None:
    mean, eps = random(seed, x.shape[1]), 0.1
    var = np.abs(random(seed + 1, x.shape[1])) + 0.1
    xhat, cache = bnlib.batch_norm(x, eps=eps)
    view = (1, -1, *(1,) * (x.ndim - 2))
    r = np.sqrt((cache.var + eps) / (var + eps))  # Batch Renormalization's correction, unclipped
    d = (cache.mean - mean) / np.sqrt(var + eps)
    expected = bnlib.batch_norm_inference(x, mean, var, eps=eps)
    np.testing.assert_allclose(xhat * r.reshape(view) + d.reshape(view), expected, rtol=1e-9, atol=1e-7)


# --- 6: who depends on whom -----------------------------------------------------------------------------


@examples
@given(batches(2), st.sampled_from([name for name in CHOICES_OF_AXES if name != "batch"]), seeds)
def test_only_batch_norm_mixes_samples(x: np.ndarray, name: str, seed: int) -> None:
    dy = random(seed, *x.shape)
    y, cache = call(name, x, eps=1e-5)
    alone, alone_cache = call(name, x[:1], eps=1e-5)
    np.testing.assert_allclose(y[:1], alone, atol=1e-10)
    dx, dx_alone = (bnlib.norm_backward(d, c)[0] for d, c in ((dy, cache), (dy[:1], alone_cache)))
    np.testing.assert_allclose(dx[:1], dx_alone, rtol=1e-8, atol=1e-8)
    mixed = bnlib.batch_norm(x, eps=1e-5)[0][:1] - bnlib.batch_norm(x[:1], eps=1e-5)[0]
    assert np.abs(mixed).max() > 1e-3


@examples
@given(batches(2), names, seeds)
def test_order_of_the_samples_does_not_matter(x: np.ndarray, name: str, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(x))
    dy = random(seed, *x.shape)
    y, cache = call(name, x, eps=1e-5)
    shuffled, shuffled_cache = call(name, x[order], eps=1e-5)
    np.testing.assert_allclose(shuffled, y[order], atol=1e-9)
    dx = bnlib.norm_backward(dy, cache)[0]
    np.testing.assert_allclose(
        bnlib.norm_backward(dy[order], shuffled_cache)[0], dx[order], rtol=1e-7, atol=1e-7
    )


# --- the blocks of large arrays -------------------------------------------------------------------------


@examples
@given(batches(1), seeds, st.sampled_from([0.0, 1e-5, 0.3]), st.booleans(), st.booleans())
def test_blocks_change_nothing(x: np.ndarray, seed: int, eps: float, scaled: bool, shifted: bool) -> None:
    gamma, beta = random(seed, 2, x.shape[1])
    affine = (gamma if scaled else None, beta if shifted else None)
    dy = random(seed + 1, *x.shape)
    y, cache = bnlib.batch_norm(x, *affine, eps=eps)
    with in_blocks():
        same, same_cache = bnlib.batch_norm(x, *affine, eps=eps)
        gradients = bnlib.norm_backward(dy, same_cache)
    np.testing.assert_allclose(same, y, atol=1e-8)
    for ours, theirs in zip(gradients, bnlib.norm_backward(dy, cache), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)


def test_no_blocks_where_gamma_varies_along_them() -> None:
    x, gamma, dy = random(0, 3, 9, 4)
    y, cache = norms.normalize(x, (0, 1), gamma, None, 0.1)
    with in_blocks():
        same, same_cache = norms.normalize(x, (0, 1), gamma, None, 0.1)
        gradients = norms.normalize_backward(dy, same_cache)
    np.testing.assert_array_equal(same, y)
    for ours, theirs in zip(gradients[:2], norms.normalize_backward(dy, cache)[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_blocks_of_a_batch_sorted_by_value_keep_their_digits_in_float32() -> None:
    x = np.sort(np.random.default_rng(0).standard_normal((40_000, 8)).astype(np.float32), axis=0) + 1e4
    x = x.astype(np.float32)
    assert x.size > blocks.LARGE
    y, cache = bnlib.batch_norm(x)
    exact, exact_cache = bnlib.batch_norm(x.astype(np.float64))
    np.testing.assert_allclose(cache.var, exact_cache.var, rtol=1e-4)
    np.testing.assert_allclose(y, exact, atol=1e-4)
