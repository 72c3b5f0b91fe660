"""The norms over weights against PyTorch, central differences, the SVD and what their papers say of them."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as classic_spectral_norm

from bnlib import NORMS
from bnlib.norms.weights import (
    spectral_norm,
    spectral_norm_backward,
    weight_norm,
    weight_norm_backward,
    weight_standardization,
    weight_standardization_backward,
)
from tests.bnlib.checks import check_differences

OPTIONS = SimpleNamespace(iterations=2, eps=1e-3)
SHAPES = [(1, 1), (1, 5), (4, 1), (3, 7), (6, 4), (3, 2, 5), (4, 3, 3, 3)]
WEIGHTS = {name: row for name, row in NORMS.items() if row.weights}
names = pytest.mark.parametrize("name", list(WEIGHTS))
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def arrays(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> tuple[np.ndarray, ...]:
    """A weight, a vector with an element for each row (g, gain or u) and a random gradient."""
    rng = np.random.default_rng(seed)
    weight, vector, dw = rng.standard_normal(shape), rng.standard_normal(shape[0]), rng.standard_normal(shape)
    return tuple(array.astype(dtype) for array in (2 * weight + 0.5, vector, dw))


def call(name: str, weight: np.ndarray, vector: np.ndarray, dw: np.ndarray) -> tuple[np.ndarray, ...]:
    """The public pair of a row of the table: the normalized weight and all gradients."""
    if name == "spectral":
        w = spectral_norm(weight, vector, iterations=2)[0]
        return w, spectral_norm_backward(dw, weight, vector, iterations=2)
    if name == "weight":
        w, cache = weight_norm(weight, vector)
        return w, *weight_norm_backward(dw, cache)
    w, cache = weight_standardization(weight, vector, eps=1e-3)
    return w, *weight_standardization_backward(dw, cache)


def core(
    name: str, weight: np.ndarray, vector: np.ndarray, dw: np.ndarray, options: Any = OPTIONS
) -> tuple[Any, ...]:
    """The same by the core: arrays (R, I, O), (R, O), (R, I, O)."""
    row = WEIGHTS[name]
    w, u, cache = row.pair[0](weight, vector[:, None] if row.start else None, vector, options)
    return w, u, *row.pair[1](dw, cache)


def stacked(replicas: int, rows: int, columns: int, dtype: Any = np.float64) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(replicas)
    weight, dw = rng.standard_normal((2, replicas, rows, columns)).astype(dtype)
    return weight, rng.standard_normal((replicas, columns)).astype(dtype), dw


def singular(*values: float, shape: tuple[int, int] = (4, 3)) -> np.ndarray:
    """A matrix with these singular values."""
    rng = np.random.default_rng(9)
    left, right = (np.linalg.qr(rng.standard_normal((n, len(values))))[0] for n in shape)
    return (left * values) @ right.T


# --- against PyTorch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("shape", [(3, 7), (6, 4), (4, 3, 3, 3)], ids=str)
def test_spectral_norm_agrees_with_torch_step_by_step(shape: tuple[int, ...], iterations: int) -> None:
    # The classic one updates v first, as the paper does; the new one starts with u, on the transpose.
    weight, u, dw = arrays(shape)
    rows = weight.reshape(len(weight), -1)
    classic = torch.nn.Linear(*rows.T.shape, bias=False, dtype=torch.float64)
    classic = classic_spectral_norm(classic, n_power_iterations=iterations, eps=0.0)
    new = torch.nn.Linear(*rows.T.shape, bias=False, dtype=torch.float64)
    new = parametrizations.spectral_norm(new, n_power_iterations=iterations, dim=1, eps=0.0)
    classic.weight_u.copy_(torch.tensor(u))
    new.parametrizations.weight[0]._v.copy_(torch.tensor(u))
    for step in range(4):
        rows = weight.reshape(len(weight), -1)
        original = (classic.weight_orig, new.parametrizations.weight.original)
        with torch.no_grad():
            for parameter in original:
                parameter.copy_(torch.tensor(rows))
        classic(torch.ones(1, rows.shape[1], dtype=torch.float64))
        results = (classic.weight, new.weight)
        w_hat, sigma, next_u = spectral_norm(weight, u, iterations=iterations)
        dweight = spectral_norm_backward(dw, weight, u, iterations=iterations)
        for theirs, parameter in zip(results, original, strict=True):
            (gradient,) = torch.autograd.grad(theirs, parameter, torch.tensor(dw.reshape(rows.shape)))
            np.testing.assert_allclose(w_hat.reshape(rows.shape), theirs.detach(), rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(dweight.reshape(rows.shape), gradient, rtol=1e-10, atol=1e-12)
        for vector in (classic.weight_u, new.parametrizations.weight[0]._v):
            np.testing.assert_allclose(next_u, vector, rtol=1e-12, atol=1e-13)
        assert sigma == pytest.approx(float((original[0] / classic.weight)[0, 0].detach()), rel=1e-12)
        weight, u = weight - 0.3 * dweight, next_u
        dw = arrays(shape, seed=step + 1)[2]


@shapes
def test_weight_norm_agrees_with_torch(shape: tuple[int, ...]) -> None:
    v, g, dw = arrays(shape)
    layer = torch.nn.Linear(1, 1)
    layer.weight = torch.nn.Parameter(torch.tensor(v))
    layer = parametrizations.weight_norm(layer)
    weights = layer.parametrizations.weight
    inputs = (weights.original1, weights.original0)
    for given in (None, g):
        if given is not None:
            with torch.no_grad():
                weights.original0.copy_(torch.tensor(g).reshape(weights.original0.shape))
        w, cache = weight_norm(v, given)
        theirs = torch.autograd.grad(layer.weight, inputs, torch.tensor(dw))
        np.testing.assert_allclose(w, layer.weight.detach(), rtol=1e-12)
        for ours, gradient in zip(weight_norm_backward(dw, cache), theirs, strict=True):
            np.testing.assert_allclose(ours, gradient.reshape(ours.shape), rtol=1e-10, atol=1e-12)


@shapes
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_weight_standardization_agrees_with_autograd(shape: tuple[int, ...], eps: float) -> None:
    weight, gain, dw = arrays(shape)
    given = [torch.tensor(array, requires_grad=True) for array in (weight, gain)]
    axes, column = tuple(range(1, len(shape))), (-1, *(1,) * (len(shape) - 1))
    mean = given[0].mean(axes, keepdim=True)
    variance = ((given[0] - mean) ** 2).mean(axes, keepdim=True)
    standard = (given[0] - mean) / torch.sqrt(variance + eps)
    for scale in (gain, None):
        expected = standard if scale is None else standard * given[1].reshape(column)
        w, cache = weight_standardization(weight, scale, eps=eps)
        gradients = weight_standardization_backward(dw, cache)
        inputs = given[:1] if scale is None else given
        theirs = torch.autograd.grad(expected, inputs, torch.tensor(dw), retain_graph=True)
        np.testing.assert_allclose(w, expected.detach(), rtol=1e-10, atol=1e-10)
        assert (gradients[1] is None) == (scale is None)
        for ours, gradient in zip(gradients, theirs, strict=False):
            np.testing.assert_allclose(ours, gradient, rtol=1e-9, atol=1e-9)


def test_default_eps_takes_half_a_percent_off_weights_of_variance_a_thousandth() -> None:
    weight = arrays((3, 40))[0]
    weight *= np.sqrt(1e-3) / weight.std(1, keepdims=True)
    w = weight_standardization(weight)[0]
    np.testing.assert_allclose(w.std(1), 1 / np.sqrt(1 + 1e-2), rtol=1e-12)
    assert (w == weight_standardization(weight, eps=1e-5)[0]).all()


# --- against central differences ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 5), (4, 1), (3, 4), (2, 2, 3)], ids=str)
@pytest.mark.parametrize("name", ["weight", "standard"])
def test_gradients_agree_with_central_differences(name: str, shape: tuple[int, ...]) -> None:
    weight, vector, dw = arrays(shape, seed=3)
    gradients = call(name, weight, vector, dw)[1:]
    for array, gradient in zip((weight, vector), gradients, strict=True):
        check_differences(lambda: np.vdot(dw, call(name, weight, vector, dw)[0]), array, gradient)


@pytest.mark.parametrize("iterations", [0, 1, 4])
@pytest.mark.parametrize("shape", [(1, 5), (4, 1), (3, 4), (5, 2), (2, 2, 3)], ids=str)
def test_spectral_gradient_holds_u_and_v_constant(shape: tuple[int, ...], iterations: int) -> None:
    weight, u, dw = arrays(shape, seed=4)
    u /= np.linalg.norm(u)
    gradient = spectral_norm_backward(dw, weight, u, iterations=iterations)
    rows = weight.reshape(len(weight), -1)
    left = u
    for _ in range(max(iterations, 1)):
        right = rows.T @ left / np.linalg.norm(rows.T @ left)
        if iterations:
            left = rows @ right / np.linalg.norm(rows @ right)

    def loss() -> float:
        return float(np.vdot(dw, weight / (left @ rows @ right)))

    assert loss() == pytest.approx(np.vdot(dw, spectral_norm(weight, u, iterations=iterations)[0]), rel=1e-12)
    check_differences(loss, weight, gradient)


def test_converged_spectral_gradient_is_that_of_the_largest_singular_value() -> None:
    # Then u and v maximize u'Wv, and that they move with W changes nothing: equation 12 as it stands.
    weight = singular(3.0, 1.0, 0.5)
    dw = arrays(weight.shape)[2]
    gradient = spectral_norm_backward(dw, weight, iterations=60)
    check_differences(lambda: np.vdot(dw, weight / np.linalg.svd(weight)[1][0]), weight, gradient)


# --- what each does -------------------------------------------------------------------------------------


def test_one_iteration_is_that_of_the_paper() -> None:
    weight, u, dw = arrays((4, 6))
    w_hat, sigma, new = spectral_norm(weight, u)
    v = weight.T @ u
    v /= np.linalg.norm(v)
    expected = weight @ v / np.linalg.norm(weight @ v)
    np.testing.assert_allclose(new, expected, rtol=1e-13)
    assert sigma == pytest.approx(expected @ weight @ v, rel=1e-13)
    np.testing.assert_allclose(w_hat, weight / sigma, rtol=1e-13)
    once = spectral_norm_backward(dw, weight, u, iterations=1)
    assert (spectral_norm_backward(dw, weight, u) == once).all()
    thrice = spectral_norm(weight, spectral_norm(weight, new)[2])
    for ours, theirs in zip(spectral_norm(weight, u, iterations=3), thrice, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 5), (4, 1), (3, 7), (6, 4), (4, 3, 3, 3)], ids=str)
def test_converged_sigma_is_the_largest_singular_value(shape: tuple[int, ...]) -> None:
    weight = arrays(shape)[0]
    left, values, _ = np.linalg.svd(weight.reshape(len(weight), -1))
    w_hat, sigma, u = spectral_norm(weight, iterations=400)
    assert sigma == pytest.approx(values[0], rel=1e-12)
    assert abs(u @ left[:, 0]) == pytest.approx(1, abs=1e-12)
    assert np.linalg.norm(w_hat.reshape(len(weight), -1), 2) == pytest.approx(1, abs=1e-12)


def test_sigma_comes_from_below_and_never_falls() -> None:
    for seed in range(20):
        weight = arrays((6, 5), seed=seed)[0]
        largest, u, before = np.linalg.norm(weight, 2), None, 0.0
        for _ in range(8):
            w_hat, sigma, u = spectral_norm(weight, u, seed=seed)
            assert before <= sigma * (1 + 1e-14)
            assert sigma <= largest * (1 + 1e-14)
            assert np.linalg.norm(w_hat, 2) >= 1 - 1e-14
            before = sigma


@pytest.mark.parametrize("ratio", [0.9, 0.6])
def test_error_of_sigma_falls_by_the_fourth_power_of_the_gap(ratio: float) -> None:
    weight, u, errors = singular(2.0, 2 * ratio, shape=(2, 2)), None, []
    for _ in range(40):
        _, sigma, u = spectral_norm(weight, u)
        errors.append(2 - sigma)
    small = [i for i in range(39) if 1e-9 < errors[i] < 1e-4][:8]
    assert small
    for i in small:
        assert errors[i + 1] / errors[i] == pytest.approx(ratio**4, rel=1e-3)


def test_no_iteration_leaves_u_as_it_is() -> None:
    weight = arrays((4, 6))[0]
    _, sigma, u = spectral_norm(weight, iterations=2)
    w_hat, again, same = spectral_norm(weight, u, iterations=0)
    assert (same == u).all()
    v = weight.T @ u
    assert again == pytest.approx(u @ weight @ v / np.linalg.norm(v), rel=1e-13)
    assert sigma < again < np.linalg.norm(weight, 2)
    np.testing.assert_allclose(w_hat, weight / again, rtol=1e-13)
    same *= 0  # it is the caller's
    assert u.any()


def test_first_u_comes_from_the_seed() -> None:
    weight = arrays((4, 6))[0]
    first, second = spectral_norm(weight, seed=3), spectral_norm(weight, seed=3)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert (spectral_norm(weight)[2] == spectral_norm(weight, seed=0)[2]).all()
    assert (spectral_norm(weight, seed=4)[2] != first[2]).any()
    gaussian = np.random.default_rng(3).standard_normal(4)
    np.testing.assert_allclose(spectral_norm(weight, gaussian)[2], first[2], rtol=1e-13)
    np.testing.assert_allclose(spectral_norm(weight.astype(np.float32), seed=3)[2], first[2], rtol=1e-5)
    assert np.linalg.norm(spectral_norm(0 * weight, seed=3)[2]) == pytest.approx(1)
    dw = arrays((4, 6))[2]
    expected = spectral_norm_backward(dw, weight, gaussian / np.linalg.norm(gaussian))
    assert (spectral_norm_backward(dw, weight, seed=3) == expected).all()


@dtypes
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_zeros_have_no_direction(dtype: Any, iterations: int) -> None:
    zeros, dw = np.zeros((3, 4), dtype), np.ones((3, 4), dtype)
    u = np.array([0.6, 0, -0.8], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        w_hat, sigma, new = spectral_norm(zeros, u, iterations=iterations)
        gradient = spectral_norm_backward(dw, zeros, u, iterations=iterations)
    assert sigma == 0
    assert (w_hat == 0).all()
    assert (new == u).all()
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", ["weight", "standard"])
def test_a_row_of_zeros_stays_and_leaves_the_others_alone(name: str) -> None:
    weight, vector, dw = arrays((3, 4))
    weight[1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name == "weight":
            w, cache = weight_norm(weight, vector)
            gradients = weight_norm_backward(dw, cache)
            start = weight_norm(weight)[0]
        else:
            w, cache = weight_standardization(weight, vector, eps=0.0)
            gradients = weight_standardization_backward(dw, cache)
            start = w
    assert not w[1].any() and not start[1].any() and not any(gradient[1].any() for gradient in gradients)
    assert np.isfinite(w).all() and w[[0, 2]].all() and gradients[0][[0, 2]].all()


def test_weight_norm_sets_lengths_and_its_gradient_is_orthogonal_to_v() -> None:
    v, g, dw = arrays((4, 3, 3, 3))
    w, cache = weight_norm(v, g)
    dv, dg = weight_norm_backward(dw, cache)
    flat, unit, upstream = (a.reshape(4, -1) for a in (w, v, dw))
    np.testing.assert_allclose(np.linalg.norm(flat, axis=1), abs(g), rtol=1e-13)
    np.testing.assert_allclose((v * dv).sum((1, 2, 3)), 0, atol=1e-13)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(dg, (unit * upstream).sum(1), rtol=1e-12)
    np.testing.assert_allclose(weight_norm(v)[0], v, rtol=1e-13)
    own = np.linalg.norm(v.reshape(4, -1), axis=1)
    for ours, given in zip(
        *(weight_norm_backward(dw, weight_norm(v, a)[1]) for a in (None, own)), strict=True
    ):
        np.testing.assert_allclose(ours, given, rtol=1e-12, atol=1e-13)


def test_weight_standardization_sets_moments_and_its_gradient_is_orthogonal() -> None:
    weight, gain, dw = arrays((4, 3, 3, 3))
    w, cache = weight_standardization(weight, gain, eps=0.0)
    np.testing.assert_allclose(w.mean((1, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(w.std((1, 2, 3)), abs(gain), rtol=1e-13)
    dweight = weight_standardization_backward(dw, cache)[0]
    np.testing.assert_allclose(dweight.sum((1, 2, 3)), 0, atol=1e-13)
    np.testing.assert_allclose((dweight * weight).sum((1, 2, 3)), 0, atol=1e-13)
    shift = np.arange(4.0).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(weight_standardization(weight + shift, gain, eps=0.0)[0], w, atol=1e-12)


@names
def test_scale_of_the_weight_does_not_matter(name: str) -> None:
    weight, vector, dw = arrays((4, 6))
    if name == "spectral":
        results = [(spectral_norm(a * weight, vector)[0], None) for a in (1.0, 7.0)]
    elif name == "weight":
        results = [weight_norm(a * weight, vector) for a in (1.0, 7.0)]
    else:
        results = [weight_standardization(a * weight, vector, eps=0.0) for a in (1.0, 7.0)]
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-12)
    if name != "spectral":
        backward = weight_norm_backward if name == "weight" else weight_standardization_backward
        (once, of_gain), (scaled, of_same) = (backward(dw, cache) for _, cache in results)
        np.testing.assert_allclose(scaled, once / 7, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(of_same, of_gain, rtol=1e-11)
    else:
        once, scaled = (spectral_norm_backward(dw, a * weight, vector) for a in (1.0, 7.0))
        np.testing.assert_allclose(scaled, once / 7, rtol=1e-11, atol=1e-13)
        assert spectral_norm(7 * weight, vector)[1] == pytest.approx(7 * spectral_norm(weight, vector)[1])


# --- shapes, dtypes, and what is left alone -------------------------------------------------------------


@names
@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (3, 2, 5)], ids=str)
def test_a_kernel_is_its_flat_matrix(name: str, shape: tuple[int, ...]) -> None:
    weight, vector, dw = arrays(shape)
    matrix = (shape[0], -1)
    flat = call(name, weight.reshape(matrix), vector, dw.reshape(matrix))
    for ours, theirs in zip(call(name, weight, vector, dw), flat, strict=True):
        assert (ours.ravel() == theirs.ravel()).all()


@names
@dtypes
@shapes
def test_shapes_and_dtypes_are_those_of_the_weight(name: str, shape: tuple[int, ...], dtype: Any) -> None:
    given = arrays(shape, dtype)
    results = call(name, *given)
    assert [result.dtype for result in results] == [np.dtype(dtype)] * len(results)
    assert [result.shape for result in results] == [shape, shape, shape[:1]][: len(results)]
    exact = call(name, *(array.astype(np.float64) for array in given))
    for ours, theirs in zip(results, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    if name == "spectral":
        _, sigma, u = spectral_norm(given[0])
        assert (sigma.dtype, u.dtype, sigma.shape, u.shape) == (dtype, dtype, (), shape[:1])
    else:
        start = (weight_norm if name == "weight" else weight_standardization)(given[0])[0]
        assert (start.dtype, start.shape) == (dtype, shape)


@names
def test_arguments_stay_unchanged_and_the_cache_can_be_used_again(name: str) -> None:
    given = arrays((4, 6))
    before = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    first = call(name, *given)
    kept = [array.copy() for array in first]
    for array in first:
        array *= 0  # results belong to the caller
    assert all((a == b).all() for a, b in zip(call(name, *given), kept, strict=True))
    weight, vector, dw = (given[0].T[None], given[1][None], given[2].T[None])
    row = WEIGHTS[name]
    w, _, cache = row.pair[0](weight, vector[:, None], vector, OPTIONS)
    w *= 0
    first_gradient = row.pair[1](dw, cache)[0].copy()
    assert (row.pair[1](dw, cache)[0] == first_gradient).all()
    np.testing.assert_allclose(first_gradient[0].T, kept[1], rtol=1e-12)
    assert all((a == b).all() for a, b in zip(given, before, strict=True))


@names
def test_memory_order_does_not_matter(name: str) -> None:
    weight, vector, dw = arrays((4, 3, 3, 3))
    other = call(name, np.asfortranarray(weight), np.repeat(vector, 2)[::2], np.asfortranarray(dw))
    for ours, theirs in zip(other, call(name, weight, vector, dw), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


# --- the cores, with the replica axis of the training engine ---------------------------------------------


@names
@pytest.mark.parametrize("shape", [(5, 4), (4, 5), (1, 3), (3, 1)], ids=str)
def test_core_does_to_each_replica_what_the_public_function_does(name: str, shape: tuple[int, int]) -> None:
    weight, vector, dw = stacked(3, *shape)
    w, u, dweight, dgain = core(name, weight, vector, dw)
    for r in range(3):
        one = call(name, weight[r].T, vector[r], dw[r].T)
        np.testing.assert_allclose(w[r].T, one[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(dweight[r].T, one[1], rtol=1e-11, atol=1e-12)
        if name == "spectral":
            expected = spectral_norm(weight[r].T, vector[r], iterations=2)[2]
            np.testing.assert_allclose(u[r], expected, rtol=1e-12)
        else:
            np.testing.assert_allclose(dgain[r, 0], one[2], rtol=1e-11, atol=1e-12)
    assert (dgain is None) == (WEIGHTS[name].start is None)
    assert u.shape == vector.shape and (u is vector) == (name != "spectral")


@names
@dtypes
@pytest.mark.parametrize("shape", [(64, 64), (33, 7), (5, 64), (1, 3), (17, 1)], ids=str)
def test_replicas_side_by_side_are_the_same_to_the_last_bit(name: str, shape: Any, dtype: Any) -> None:
    weight, vector, dw = stacked(4, *shape, dtype=dtype)
    together = core(name, weight, vector, dw)
    start = WEIGHTS[name].start
    for r in (slice(0, 1), slice(2, 3), slice(1, 4)):
        alone = core(name, weight[r].copy(), vector[r].copy(), dw[r].copy())
        for ours, one in zip(together, alone, strict=True):
            assert (ours is None and one is None) or (ours[r] == one).all()
        assert start is None or (start(weight)[r] == start(weight[r].copy())).all()


@names
def test_a_diverged_or_empty_replica_leaves_the_others_alone(name: str) -> None:
    given = stacked(3, 6, 4)
    good = core(name, *given)
    for value in (np.nan, 0.0):
        bad = given[0].copy()
        bad[1] = value
        with np.errstate(invalid="ignore"):
            results = core(name, bad, *given[1:])
        for ours, theirs in zip(results, good, strict=True):
            assert ours is None or (ours[[0, 2]] == theirs[[0, 2]]).all()
        assert np.isnan(results[0][1]).any() == np.isnan(value)


@names
def test_options_are_all_that_a_core_reads(name: str) -> None:
    given, row = stacked(2, 5, 4), WEIGHTS[name]
    only = SimpleNamespace(**{option: getattr(OPTIONS, option) for option in row.options})
    for ours, theirs in zip(core(name, *given, only), core(name, *given), strict=True):
        assert (ours is None and theirs is None) or (ours == theirs).all()
    for option in row.options:
        changed = SimpleNamespace(**{**vars(only), option: 5})
        assert (core(name, *given, changed)[0] != core(name, *given)[0]).any()


@names
def test_training_starts_near_the_given_weights(name: str) -> None:
    weight = stacked(3, 50, 4)[0]
    row = WEIGHTS[name]
    if row.start is None:
        assert name == "spectral"
        return
    gain = row.start(weight)
    assert gain.shape == (3, 1, 4)
    w = row.pair[0](weight, gain, None, SimpleNamespace(eps=1e-12))[0]
    centred = weight - weight.mean(1, keepdims=True) if name == "standard" else weight
    np.testing.assert_allclose(w, centred, rtol=1e-10, atol=1e-12)
    assert row.pair[0](weight, None, None, SimpleNamespace(eps=0.0))[1] is None


def test_rows_of_the_table_describe_themselves() -> None:
    assert list(WEIGHTS) == ["spectral", "weight", "standard"]
    labels = [row.label for row in WEIGHTS.values()]
    assert labels == ["spectral norm", "weight norm", "weight standardization"]
    assert [row.options for row in WEIGHTS.values()] == [("iterations",), (), ("eps",)]
    assert len({row.summary for row in WEIGHTS.values()}) == 3


# --- bad input ------------------------------------------------------------------------------------------

W = np.arange(12.0).reshape(3, 4)
ONES = np.ones(3)
U = ONES / np.sqrt(3)
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "ints": (
        lambda: spectral_norm(W.astype("i8")),
        r"^spectral_norm: weight has dtype int64, not float32 .*; try np.asarray\(weight, np.float64\)$",
    ),
    "half": (
        lambda: weight_norm(W.astype("f2")),
        r"^weight_norm: v has dtype float16.*asarray\(v, np.float32",
    ),
    "one axis": (
        lambda: weight_standardization(W[0]),
        r"^weight_standardization: weight has shape \(4,\), but needs \(O, I.*; try np.reshape\(weight",
    ),
    "no axis": (lambda: weight_norm(1.0), r"v has shape \(\), but needs \(O, I"),
    "empty": (lambda: spectral_norm(W[:, :0]), r"has shape \(3, 0\), but needs .* none of them 0"),
    "no rows": (lambda: spectral_norm(W[:0], np.ones(0)), r"has shape \(0, 4\), but"),
    "axis": (
        lambda: weight_norm(W, axis=2),
        r"^weight_norm: axis=2 is no axis of v, whose shape is \(3, 4\); try 0, or 1 for a transposed",
    ),
    "axis float": (lambda: spectral_norm(W, axis=1.0), r"^spectral_norm: axis=1\.0 is no axis of weight"),
    "u shape": (
        lambda: spectral_norm(W, np.ones(4)),
        r"^spectral_norm: u has shape \(4,\), but must have shape \(3,\); try axis=1 if output features are",
    ),
    "u long shape": (
        lambda: spectral_norm(W, np.ones(5)),
        r"u has shape \(5,\), .*; pass one number for each of the 3 output features on axis 0 of the weight$",
    ),
    "u column": (lambda: spectral_norm(W, ONES[:, None]), r"u has shape \(3, 1\).*; try np.ravel\(u\)$"),
    "u dtype": (
        lambda: spectral_norm(W, ONES.astype("f4")),
        "u has dtype float32, but must have float64; try",
    ),
    "u zero": (lambda: spectral_norm(W, 0 * ONES), "u has length 0, not positive and finite; pass one"),
    "u zero, no iteration": (lambda: spectral_norm(W, 0 * ONES, iterations=0), "u has length 0"),
    "u long": (
        lambda: spectral_norm(W, 2 * U, iterations=0),
        "^spectral_norm: u has length 2, not 1 for iterations=0; .* returned, or iterations=1 without u$",
    ),
    "u short": (lambda: spectral_norm(W, 0.9 * U, iterations=0), "u has length 0.9, not 1 for"),
    "no u": (
        lambda: spectral_norm(W, iterations=0),
        "^spectral_norm: iterations=0 needs a u; pass one that was returned, or iterations=1$",
    ),
    "iterations negative": (lambda: spectral_norm(W, iterations=-1), "iterations=-1 must .* 0; try 1$"),
    "iterations float": (lambda: spectral_norm(W, iterations=1.5), "iterations=1.5 must be an integer"),
    "seed negative": (lambda: spectral_norm(W, seed=-3), "^spectral_norm: seed=-3 must be an integer"),
    "seed None": (lambda: spectral_norm(W, seed=None), "seed=None must be an integer"),
    "u orthogonal": (
        lambda: spectral_norm(np.diag([1.0, 0, 0]), np.eye(3)[1]),
        "^spectral_norm: u is orthogonal to all columns of weight; pass iterations=1 without u$",
    ),
    "dw_hat shape": (
        lambda: spectral_norm_backward(W.T, W),
        r"^spectral_norm_backward: dw_hat has shape \(4, 3\), but.* \(3, 4\); pass the gradient of w_hat",
    ),
    "dw_hat dtype": (
        lambda: spectral_norm_backward(W.astype("f4"), W),
        "dw_hat has dtype float32.*have float64",
    ),
    "backward u": (lambda: spectral_norm_backward(W, W, np.ones(2)), r"^spectral_norm_backward: u has"),
    "backward weight": (lambda: spectral_norm_backward(W, W[0]), "^spectral_norm_backward: weight has"),
    "g shape": (
        lambda: weight_norm(W, np.ones(5)),
        r"^weight_norm: g has shape \(5,\), but must have shape \(3,\); pass one number for each of the",
    ),
    "g dtype": (lambda: weight_norm(W, ONES.astype("f4")), "g has dtype float32, but must have float64"),
    "g number": (lambda: weight_norm(W, 2.0), r"g has shape \(\), .*; try np.full\(3, g, np.float64\)$"),
    "gain shape": (
        lambda: weight_standardization(W, ONES[:, None]),
        r"^weight_standardization: gain has shape \(3, 1\).*\(3,\); try np.ravel\(gain\)$",
    ),
    "gain dtype": (
        lambda: weight_standardization(W.astype("f4"), ONES),
        r"gain has dtype float64, but must have float32; try np.asarray\(gain, np.float32\)$",
    ),
    "eps negative": (
        lambda: weight_standardization(W, eps=-1e-5),
        "^weight_standardization: eps=-1e-05 must be finite and not negative; try 1e-5$",
    ),
    "eps nan": (lambda: weight_standardization(W, eps=float("nan")), "eps=nan"),
    "eps inf": (lambda: weight_standardization(W, eps=float("inf")), "eps=inf"),
    "eps None": (lambda: weight_standardization(W, eps=None), "eps=None"),
    "dw shape": (
        lambda: weight_norm_backward(W[:2], weight_norm(W)[1]),
        r"^weight_norm_backward: dw has shape \(2, 4\), but must have shape \(3, 4\); pass the gradient of w",
    ),
    "dw dtype": (
        lambda: weight_standardization_backward(W, weight_standardization(W.astype("f4"))[1]),
        "^weight_standardization_backward: dw has dtype float64, but must have float32",
    ),
    "no cache": (
        lambda: weight_norm_backward(W, weight_norm(W)),
        r"^weight_norm_backward: cache is of tuple, not weight norm; try w, cache = weight_norm\(...\)$",
    ),
    "other cache": (
        lambda: weight_norm_backward(W, weight_standardization(W)[1]),
        "cache is of weight standardization, not weight norm",
    ),
}


@pytest.mark.parametrize("what", ERRORS)
def test_bad_input_says_what_came_what_is_right_and_what_to_try(what: str) -> None:
    call_it, message = ERRORS[what]
    with pytest.raises(ValueError, match=message):
        call_it()
