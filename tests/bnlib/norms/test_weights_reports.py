"""Folding, norms over weights and convolution where bug reports of other libraries hurt."""

import re
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from bnlib import (
    RunningStats,
    batch_norm_inference,
    convolve,
    convolve_backward,
    fold_batch_norm,
    spectral_norm,
    spectral_norm_backward,
    weight_norm,
    weight_norm_backward,
    weight_standardization,
    weight_standardization_backward,
)
from bnlib.norms.table import NORMS
from tests.bnlib.checks import check_differences

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
Named = dict[str, Any]


def random(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def vectors(outputs: int) -> list[np.ndarray]:
    """bias, mean, var, gamma and beta."""
    given = list(random(5, outputs, seed=1))
    given[2] = given[2] ** 2 + 0.1
    return given


# --- folding: statistics have a dtype of their own ------------------------------------------------------


def test_running_statistics_fold_into_float32_weights() -> None:
    layer, x = random(6, 4, dtype=np.float32), random(50, 4, seed=2, dtype=np.float32)
    z = x @ layer.T
    stats = RunningStats.zeros(6).update(z.mean(0), z.var(0), len(z))
    assert stats.mean.dtype == stats.var.dtype == np.float64
    weight, bias = fold_batch_norm(layer, None, stats.mean, stats.var)
    assert weight.dtype == bias.dtype == np.float32
    expected = batch_norm_inference(z.astype(float), stats.mean, stats.var)
    np.testing.assert_allclose(x @ weight.T + bias, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", range(5))
@dtypes
def test_each_vector_may_have_either_dtype(which: int, dtype: Any) -> None:
    """The result is that of float64, rounded once to the dtype of the weight."""
    weight, given = random(4, 3, 2, dtype=dtype), [array.astype(np.float32) for array in vectors(4)]
    given[which] = vectors(4)[which]
    exact = fold_batch_norm(weight.astype(float), *(array.astype(float) for array in given))
    for ours, theirs in zip(fold_batch_norm(weight, *given), exact, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, theirs.astype(dtype))


@dtypes
def test_a_variance_of_any_size_folds(dtype: Any) -> None:
    limits = np.finfo(dtype)
    for exponent in range(limits.minexp - limits.nmant, limits.maxexp):
        var = np.ldexp(np.array([1.0, 1.5, 1.25], dtype), exponent)
        weight, mean = random(3, 2, dtype=dtype), random(3, seed=1, dtype=dtype)
        folded, shift = fold_batch_norm(weight, None, mean, var, eps=0.0)
        std = np.sqrt(var.astype(np.longdouble))
        close = {"rtol": 4 * limits.eps, "atol": limits.tiny}
        np.testing.assert_allclose(folded, weight / std[:, None], **close)
        np.testing.assert_allclose(shift, -mean / std, **close)


# --- transposed convolutions: weights (I, O, *kernel) ---------------------------------------------------

TRANSPOSED = [(4, 4, 3, 3), (3, 5, 3, 3), (5, 2, 4), (2, 3, 1, 2, 3), (3, 3, 2, 2)]
transposed = pytest.mark.parametrize("shape", TRANSPOSED, ids=str)


def transposing(shape: tuple[int, ...], **options: Any) -> Any:
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[len(shape) - 3]
    outputs = shape[1] * options.get("groups", 1)
    return kind(shape[0], outputs, shape[2:], dtype=torch.float64, **options)


def check_folded(layer: Any, weight: np.ndarray, given: list[np.ndarray], fold: Callable[..., Any]) -> None:
    """A transposed convolution with batch norm behind it, in PyTorch, is the folded one."""
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[weight.ndim - 3](len(given[0])).double().eval()
    places = (layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    x = torch.tensor(random(2, weight.shape[0], *[5] * (weight.ndim - 2), seed=3))
    with torch.no_grad():
        for place, array in zip(places, (weight, *given), strict=True):
            place.copy_(torch.tensor(array))
        expected = norm(layer(x))
        for place, array in zip(places, fold(weight, *given), strict=False):
            place.copy_(torch.tensor(array))
        np.testing.assert_allclose(layer(x), expected, rtol=1e-11, atol=1e-11)


@transposed
def test_batch_norm_folds_into_a_transposed_convolution(shape: tuple[int, ...]) -> None:
    layer = transposing(shape, stride=2)
    check_folded(layer, random(*shape), vectors(shape[1]), lambda *all: fold_batch_norm(*all, axis=1))


def test_groups_of_a_transposed_convolution_fold_one_by_one() -> None:
    def fold(weight: np.ndarray, *given: np.ndarray) -> list[np.ndarray]:
        with pytest.raises(ValueError, match="give each of the 2 groups of a transposed convolution a call"):
            fold_batch_norm(weight, *given, axis=1)
        parts = [
            fold_batch_norm(weight[at], *(array[to] for array in given), axis=1)
            for at, to in ((slice(2), slice(3)), (slice(2, 4), slice(3, 6)))
        ]
        return [np.concatenate(both) for both in zip(*parts, strict=True)]

    check_folded(transposing((4, 3, 3, 3), groups=2), random(4, 3, 3, 3), vectors(6), fold)


def differentiated(layer: Any, original: Any, dw: np.ndarray) -> tuple[np.ndarray, ...]:
    weight = layer.weight
    return weight.detach().numpy(), *(
        gradient.numpy() for gradient in torch.autograd.grad(weight, original, torch.tensor(dw))
    )


@transposed
def test_spectral_norm_of_a_transposed_convolution_is_that_of_torch(shape: tuple[int, ...]) -> None:
    weight, dw = random(*shape), random(*shape, seed=1)
    start = random(int(np.prod(shape)) // shape[1], seed=2)  # theirs updates u first, from v
    layer = transposing(shape)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
    layer = parametrizations.spectral_norm(layer, dim=1, n_power_iterations=2, eps=0.0)
    inner = layer.parametrizations.weight
    matrix = np.moveaxis(weight, 1, 0).reshape(shape[1], -1)
    u = matrix @ start / np.linalg.norm(matrix @ start)
    v = matrix.T @ u / np.linalg.norm(matrix.T @ u)
    for step in (inner[0]._v, inner[0]._u):
        step.copy_(torch.tensor(v if step is inner[0]._v else u))
    theirs = differentiated(layer, inner.original, dw)
    # After their two: u, v, u, v from v; ours of iterations=0 from their u is their last step.
    last = inner[0]._u.numpy().copy()
    ours = (
        spectral_norm(weight, last, iterations=0, axis=1)[0],
        spectral_norm_backward(dw, weight, last, iterations=0, axis=1),
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(spectral_norm(weight, u, iterations=2, axis=1)[2], last, rtol=1e-10)
    assert spectral_norm(weight, iterations=300, axis=1)[1] == pytest.approx(np.linalg.norm(matrix, 2))


@transposed
def test_weight_norm_of_a_transposed_convolution_is_that_of_torch(shape: tuple[int, ...]) -> None:
    weight, g, dw = random(*shape), random(shape[1], seed=1), random(*shape, seed=2)
    layer = transposing(shape)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
    layer = parametrizations.weight_norm(layer, dim=1)
    weights = layer.parametrizations.weight
    for given in (None, g):
        if given is not None:
            with torch.no_grad():
                weights.original0.copy_(torch.tensor(g).reshape(weights.original0.shape))
        theirs = differentiated(layer, (weights.original1, weights.original0), dw)
        w, cache = weight_norm(weight, given, axis=1)
        for ours, expected in zip((w, *weight_norm_backward(dw, cache)), theirs, strict=True):
            np.testing.assert_allclose(ours, expected.reshape(ours.shape), rtol=1e-10, atol=1e-12)


@transposed
def test_weight_standardization_of_a_transposed_convolution(shape: tuple[int, ...]) -> None:
    weight, gain, dw = random(*shape), random(shape[1], seed=1), random(*shape, seed=2)
    w, cache = weight_standardization(weight, gain, axis=1)
    axes, at = tuple(a for a in range(len(shape)) if a != 1), (1, -1, *(1,) * (len(shape) - 2))
    centred = weight - weight.mean(axes, keepdims=True)
    std = np.sqrt(weight.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(w, gain.reshape(at) * centred / std, rtol=1e-11, atol=1e-12)
    gradients = weight_standardization_backward(dw, cache)
    for array, gradient in zip((weight, gain), gradients, strict=True):
        assert gradient is not None
        loss = lambda: np.vdot(dw, weight_standardization(weight, gain, axis=1)[0])  # noqa: E731
        check_differences(loss, array, gradient)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2])
def test_any_axis_may_have_the_output_features(axis: int) -> None:
    """As in Keras and Flax, (kernel, I, O)."""
    weight, dw = random(4, 3, 2, 5), random(4, 3, 2, 5, seed=1)
    n = weight.shape[axis]
    vector, rows, dw_rows = random(n, seed=2), np.moveaxis(weight, axis, 0), np.moveaxis(dw, axis, 0)
    u = vector / np.linalg.norm(vector)
    pairs = [
        (weight_norm(weight, vector, axis=axis), weight_norm(rows, vector), weight_norm_backward),
        (
            weight_standardization(weight, axis=axis),
            weight_standardization(rows),
            weight_standardization_backward,
        ),
    ]
    for (w, cache), (expected, other), backward in pairs:
        np.testing.assert_array_equal(np.moveaxis(w, axis, 0), expected)
        ours, theirs = backward(dw, cache), backward(dw_rows, other)
        np.testing.assert_array_equal(np.moveaxis(ours[0], axis, 0), theirs[0])
        assert (ours[1] is None) == (theirs[1] is None)
    for iterations in (0, 2):
        options: Named = {"iterations": iterations}
        w_hat, sigma, new = spectral_norm(weight, u, **options, axis=axis)
        expected, *others = spectral_norm(rows, u, **options)
        np.testing.assert_array_equal(np.moveaxis(w_hat, axis, 0), expected)
        assert sigma == others[0] and (new == others[1]).all()
        dweight = spectral_norm_backward(dw, weight, u, **options, axis=axis)
        theirs = spectral_norm_backward(dw_rows, rows, u, **options)
        np.testing.assert_array_equal(np.moveaxis(dweight, axis, 0), theirs)
    given = vectors(n)
    folded, expected = fold_batch_norm(weight, *given, axis=axis), fold_batch_norm(rows, *given)
    np.testing.assert_array_equal(np.moveaxis(folded[0], axis, 0), expected[0])
    np.testing.assert_array_equal(folded[1], expected[1])


# --- the whole range of a dtype -------------------------------------------------------------------------


def exponents(dtype: Any) -> list[int]:
    limits = np.finfo(dtype)
    every = range(limits.minexp - limits.nmant + 2, limits.maxexp - 2, 1 if dtype == np.float32 else 13)
    return [*every, limits.maxexp - 3]


def drawn(dtype: Any, *shape: int, exponent: int, seed: int) -> np.ndarray:
    """Numbers up to 2**exponent."""
    return np.ldexp(np.random.default_rng(seed).uniform(-1, 1, shape), exponent).astype(dtype)


def close(ours: np.ndarray, exact: np.ndarray, dtype: Any, digits: float = 60) -> None:
    """Beside the largest of its row; beyond the dtype, infinite; as small as subnormals, to the last bit."""
    limits = np.finfo(dtype)
    largest = np.abs(exact).max(-1, keepdims=True)
    inside = np.abs(exact) <= limits.max
    assert ours.dtype == dtype and np.isinf(ours[~inside]).all()
    error = np.abs(ours.astype(np.longdouble) - exact)
    allowed = digits * limits.eps * np.minimum(largest, limits.max) + 4 * limits.smallest_subnormal
    assert (error <= allowed)[inside].all(), (error / allowed)[inside].max()


def exact(
    kind: str, weight: np.ndarray, gain: np.ndarray, dw: np.ndarray, eps: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight norm or standardization in longdouble, of numbers near 1."""
    weight, gain, dw = (array.astype(np.longdouble) for array in (weight, gain[:, None], dw))
    if kind == "weight":
        xhat, scale = weight / np.sqrt((weight**2).sum(1, keepdims=True)), 1
        rstd = 1 / np.sqrt((weight**2).sum(1, keepdims=True))
    else:
        centred, scale = weight - weight.mean(1, keepdims=True), weight.shape[1]
        rstd = 1 / np.sqrt((centred**2).mean(1, keepdims=True) + eps)
        xhat, dw = centred * rstd, dw - 0
    along = (dw * xhat).sum(1, keepdims=True)
    inner = dw if kind == "weight" else dw - dw.mean(1, keepdims=True)
    return gain * xhat, gain * rstd * (inner - xhat * along / scale), along[:, 0]


@dtypes
@pytest.mark.parametrize("kind", ["weight", "standard"])
def test_rows_of_any_size_are_normalized(kind: str, dtype: Any) -> None:
    """Each row of another size; gain and gradient near 1, or of the row's size, as a length is."""
    every = exponents(dtype)
    unit = [drawn(np.float64, len(every), 6, exponent=0, seed=n).astype(np.float32) for n in range(3)]
    weight, gain, dw = unit[0], unit[1][:, 0], unit[2]
    rows = np.array(every)
    small = rows < np.finfo(dtype).minexp + 30  # subnormal, or in the gradient: what is left of their digits
    for follows in (False, True):
        w, dweight, dgain = exact(kind, weight, gain, dw)
        power = rows if follows else 0 * rows
        given = np.ldexp(weight.astype(dtype), rows[:, None])
        given_gain = np.ldexp(gain.astype(dtype), power)
        if small.any():  # what was rounded on the way into the dtype counts
            scaled = np.ldexp(given.astype(np.longdouble), -rows[:, None])
            scaled_gain = np.ldexp(given_gain.astype(np.longdouble), -power)
            w, dweight, dgain = exact(kind, scaled, scaled_gain, dw)
        with np.errstate(over="ignore"):
            if kind == "weight":
                ours, cache = weight_norm(given, given_gain)
                gradients = weight_norm_backward(dw.astype(dtype), cache)
            else:
                ours, cache = weight_standardization(given, given_gain, eps=0.0)
                gradients = weight_standardization_backward(dw.astype(dtype), cache)
        assert gradients[1] is not None
        close(ours, np.ldexp(w, power[:, None]), dtype)
        close(gradients[0], np.ldexp(dweight, (power - rows)[:, None]), dtype, digits=1000)
        np.testing.assert_allclose(gradients[1], dgain, rtol=0, atol=60 * np.finfo(dtype).eps)


@dtypes
def test_lengths_of_any_size_leave_weights_as_they_are(dtype: Any) -> None:
    """Lengths beyond the dtype, too: where only rounding was to be seen, 0 or NaN came out."""
    limits = np.finfo(dtype)
    rows = [[3.0, -4.0, 12.0], [1, 0, 0]]
    weight = np.array([np.array(row) / 16 for row in rows], dtype)
    for exponent in range(limits.minexp - limits.nmant + 5, limits.maxexp + 1):
        given, dw = np.ldexp(weight, exponent), random(2, 3, dtype=dtype)
        w, cache = weight_norm(given)
        np.testing.assert_allclose(w, given, rtol=4 * limits.eps, atol=0)
        dv = weight_norm_backward(dw, cache)[0]
        np.testing.assert_allclose(dv, weight_norm_backward(dw, weight_norm(weight)[1])[0], rtol=1e-5)


@dtypes
def test_gradients_of_any_size_pass(dtype: Any) -> None:
    """One weight is so large beside the others that the RMS norm of its row makes it 14."""
    weight, gain = random(3, 200, dtype=dtype), random(3, seed=1, dtype=dtype)
    weight[:, 0] = 100
    unit = drawn(dtype, 3, 200, exponent=-2, seed=2)
    calls = (
        (weight_norm(weight, gain)[1], weight_norm_backward, 1),
        (weight_standardization(weight, gain)[1], weight_standardization_backward, 6),
    )
    for cache, backward, far in calls:  # from where gradients are beyond the dtype
        expected = backward(unit, cache)
        for exponent in (-np.finfo(dtype).maxexp // 2, -60, 60, np.finfo(dtype).maxexp - far):
            for ours, theirs in zip(backward(np.ldexp(unit, exponent), cache), expected, strict=True):
                assert ours is not None and theirs is not None
                np.testing.assert_allclose(np.ldexp(ours, -exponent), theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("eps", [1e-5, 1e-12, 0.0])
@dtypes
def test_rows_of_very_different_sizes_share_one_eps(dtype: Any, eps: float) -> None:
    sizes = [-140, -90, -40, -20, -3, 0, 3, 20, 40, 90, 120]
    if dtype == np.float64:
        sizes += [-1060, -600, 600, 1000]
    weight = np.stack([drawn(dtype, 7, exponent=size, seed=n) for n, size in enumerate(sizes)])
    dw = random(*weight.shape, dtype=dtype)
    ours, cache = weight_standardization(weight, eps=eps)
    with np.errstate(over="ignore"):
        dweight, _ = weight_standardization_backward(dw, cache)
    for row, size in enumerate(sizes):
        near = np.ldexp(weight[row : row + 1].astype(np.longdouble), -size)
        if size < -900 and not eps:
            continue  # of subnormals, the digits that are left are tested above
        w, gradient, _ = exact(
            "standard", near, np.ones(1), dw[row : row + 1], np.ldexp(np.longdouble(eps), -2 * size)
        )
        tolerance = 1e-5 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(ours[row], w[0], rtol=0, atol=tolerance * max(1, abs(w).max()))
        expected = np.ldexp(gradient[0], -size)
        with np.errstate(over="ignore"):
            inside = np.isfinite(expected.astype(dtype)).all()
        if inside:
            largest = float(np.abs(expected).max())
            np.testing.assert_allclose(dweight[row], expected, rtol=0, atol=100 * tolerance * largest)


@dtypes
def test_equal_weights_are_0_however_large_and_their_gradient_is_that_of_eps(dtype: Any) -> None:
    large = np.finfo(dtype).max
    weight = np.array([[large] * 3, [-large] * 3, [1e-30] * 3, [0] * 3], dtype)
    w, cache = weight_standardization(weight)
    assert not w.any()
    dw = random(4, 3, dtype=dtype)
    expected = (dw - dw.mean(1, keepdims=True)) / np.sqrt(1e-5)
    np.testing.assert_allclose(weight_standardization_backward(dw, cache)[0], expected, rtol=1e-3, atol=1e-3)


@dtypes
def test_a_matrix_of_any_size_has_a_spectral_norm(dtype: Any) -> None:
    weight, u, dw = (drawn(dtype, *shape, exponent=0, seed=4) for shape in ((4, 3), (4,), (4, 3)))
    limits = np.finfo(dtype)
    w_hat, sigma, new = spectral_norm(weight, u)
    gradient = spectral_norm_backward(dw, weight, u)
    tolerance: Named = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}
    for exponent in range(limits.minexp + 3, limits.maxexp + 1):
        given = np.ldexp(weight, exponent)
        with np.errstate(over="ignore"):
            found = spectral_norm(given, u)
            ours = spectral_norm_backward(dw, given, u)
            np.testing.assert_array_equal(found[1], np.ldexp(sigma, exponent))
            expected = np.ldexp(gradient, -exponent)
        np.testing.assert_allclose(found[0], w_hat, **tolerance)
        np.testing.assert_allclose(found[2], new, **tolerance)
        np.testing.assert_allclose(ours, expected, **tolerance)
        inside = np.ldexp(u, exponent)
        np.testing.assert_allclose(spectral_norm(weight, inside)[0], w_hat, **tolerance)


@dtypes
def test_a_gradient_of_any_size_passes_spectral_norm(dtype: Any) -> None:
    """Of so many equal signs that their sum is beyond the dtype, which is divided by sigma."""
    weight, unit = (np.abs(drawn(dtype, 50, 60, exponent=0, seed=n)) for n in range(2))
    u = np.full(50, 50**-0.5, dtype)
    expected = spectral_norm_backward(unit, weight, u)
    for exponent in (-np.finfo(dtype).maxexp // 2, np.finfo(dtype).maxexp - 1):
        ours = spectral_norm_backward(np.ldexp(unit, exponent), weight, u)
        np.testing.assert_allclose(np.ldexp(ours, -exponent), expected, rtol=1e-3, atol=1e-6)


@dtypes
def test_spectral_norm_starts_from_a_direction_that_hardly_stretches(dtype: Any) -> None:
    """W'u was squared to 0 there: sigma and w_hat came out as 0."""
    small = dtype(1e-30 if dtype == np.float32 else 1e-200)
    weight = np.diag(np.array([1, small], dtype))
    w_hat, sigma, u = spectral_norm(weight, np.array([0, 1], dtype))
    assert sigma == small and (u == [0, 1]).all()
    np.testing.assert_allclose(w_hat, [[1 / small, 0], [0, 1]], rtol=1e-6)
    core = NORMS["spectral"].pair[0]
    options = type("Options", (), {"iterations": 1})
    both = np.stack([weight, np.diag(np.array([3, 2], dtype))])
    w, _, cache = core(both, None, np.array([[0, 1], [1, 1]], dtype), options)
    np.testing.assert_allclose(w[0], w_hat)
    np.testing.assert_array_equal(w[1:], core(both[1:], None, np.ones((1, 2), dtype), options)[0])
    assert cache[3].ravel()[0] == small


def test_sums_of_squares_are_exact_in_powers_of_two() -> None:
    """3, 4, 12 have length 13, in fractions and in any unit."""
    for unit in (Fraction(1, 2**140), Fraction(2) ** 120):
        row = np.array([[float(n * unit) for n in (3, 4, 12)]], np.float32)
        w = weight_norm(row, np.array([13], np.float32))[0]
        np.testing.assert_array_max_ulp(w, np.array([[3, 4, 12]], np.float32), 2)


@dtypes
def test_zeros_stay_zeros_among_rows_of_any_size(dtype: Any) -> None:
    limits = np.finfo(dtype)
    weight = np.array([[0, 0], [limits.max, -limits.max], [limits.tiny, 0], [1, 2]], dtype)
    dw = random(4, 2, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for g in (None, np.ones(4, dtype)):
            w, cache = weight_norm(weight, g)
            assert not w[0].any() and w[1:, 0].all() and np.isfinite(w).all()
            with np.errstate(over="ignore"):
                gradients = weight_norm_backward(dw, cache)
            assert not any(gradient[0].any() for gradient in gradients if gradient is not None)
        w = weight_standardization(weight, eps=0.0)[0]
        assert not w[0].any()
        np.testing.assert_allclose(w[1:], [[1, -1], [1, -1], [-1, 1]], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_seen_in_its_row_alone(bad: float) -> None:
    weight = random(3, 4)
    weight[1, 2] = bad
    with np.errstate(invalid="ignore"):
        for result in (weight_norm(weight)[0], weight_standardization(weight)[0]):
            assert np.isnan(result[1]).any() and np.isfinite(result[[0, 2]]).all()
        assert np.isnan(spectral_norm(weight)[0]).any()


# --- arguments that change after the call ---------------------------------------------------------------


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("samples", [1, 40])
@pytest.mark.parametrize("channels", [1, 5])
def test_convolve_does_not_care_what_becomes_of_its_arguments(
    samples: int, channels: int, kernel: int
) -> None:
    given = [random(samples, channels, 6, 7), random(4, channels, kernel, kernel, seed=1), random(4, seed=2)]
    y, cache = convolve(*given)
    dy = random(*y.shape, seed=3)
    expected = convolve_backward(dy, cache)
    y *= 0
    for array in given:
        array *= 2
    for ours, theirs in zip(convolve_backward(dy, cache), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(4, 6), (300, 400)])
@pytest.mark.parametrize("name", ["weight", "standard"])
def test_norms_of_weights_do_not_care_what_becomes_of_theirs(name: str, shape: tuple[int, int]) -> None:
    forward, backward = {
        "weight": (weight_norm, weight_norm_backward),
        "standard": (weight_standardization, weight_standardization_backward),
    }[name]
    weight, gain, dw = random(*shape), random(shape[0], seed=1), random(*shape, seed=2)
    w, cache = forward(weight, gain)
    expected = backward(dw, cache)
    for array in (w, weight, gain):
        array *= 3
    for ours, theirs in zip(backward(dw, cache), expected, strict=True):
        assert ours is not None and theirs is not None
        np.testing.assert_array_equal(ours, theirs)


# --- what can't be right ends in a sentence, and the sentence helps ------------------------------------

W, V, U = random(3, 4), random(3, seed=1), random(3, seed=2) / np.linalg.norm(random(3, seed=2))
POSITIVE = np.abs(V) + 0.1
FOLD: Named = {"weight": W, "bias": V, "mean": V, "var": POSITIVE, "gamma": V, "beta": V}
X, K, B = random(2, 3, 5, 5), random(4, 3, 3, 3, seed=1), random(4, seed=2)
CONVOLVE: Named = {"x": X, "weight": K, "bias": B}
IN_32 = {name: array.astype(np.float32) for name, array in CONVOLVE.items()}


def backward_of(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """The backward function of a call with these arguments, and the gradient `dy`."""
    return lambda dy, **given: backward(dy, forward(**given)[1])


CB = backward_of(convolve, convolve_backward)
# A call, what is right, and what was passed instead.
HELPED: list[tuple[Callable[..., Any], Named, Named]] = [
    # another shape
    (fold_batch_norm, {"weight": W[:1], "bias": None, "mean": V[:1], "var": POSITIVE[:1]}, {"weight": W[0]}),
    *((fold_batch_norm, FOLD, {name: FOLD[name][:, None]}) for name in FOLD if name != "weight"),
    *((fold_batch_norm, FOLD | {name: np.full(3, 2.0)}, {name: 2.0}) for name in FOLD if name != "weight"),
    *((fold_batch_norm, FOLD | {name: np.full(3, 2.0)}, {name: [2]}) for name in FOLD if name != "weight"),
    (fold_batch_norm, FOLD | {"weight": W.T, "axis": 1}, {"axis": 0}),
    (weight_norm, {"v": W[:1]}, {"v": W[0]}),
    (weight_norm, {"v": W, "g": V}, {"g": V[None]}),
    (weight_norm, {"v": W, "g": np.full(3, 2.0)}, {"g": 2}),
    (weight_norm, {"v": W.T, "g": V, "axis": 1}, {"axis": 0}),
    (weight_norm, {"v": W, "g": V, "axis": 0}, {"axis": 2}),
    (weight_norm, {"v": W, "g": V, "axis": 0}, {"axis": None}),
    (weight_standardization, {"weight": W[:1]}, {"weight": W[0]}),
    (weight_standardization, {"weight": W, "gain": V}, {"gain": V[:, None]}),
    (weight_standardization, {"weight": W.T, "gain": V, "axis": 1}, {"axis": 0}),
    (spectral_norm, {"weight": W[:1]}, {"weight": W[0]}),
    (spectral_norm, {"weight": W, "u": U}, {"u": U[None]}),
    (spectral_norm, {"weight": W.T, "u": U, "axis": 1}, {"axis": 0}),
    (convolve, CONVOLVE | {"x": X[:1]}, {"x": X[0]}),
    (convolve, CONVOLVE, {"weight": K.swapaxes(0, 1)}),
    (convolve, CONVOLVE, {"bias": B[None]}),
    (convolve, CONVOLVE | {"bias": np.full(4, 1.0)}, {"bias": 1}),
    # another dtype
    (fold_batch_norm, FOLD | {"weight": W.astype(np.float16).astype(np.float32)},
     {"weight": W.astype(np.float16)}),
    *((fold_batch_norm, FOLD | {name: np.array([1.0, 2, 3])}, {name: given}) for name in FOLD
      if name != "weight" for given in ([1, 2, 3], np.array([1, 2, 3]), np.array([1, 2, 3 + 0j]))),
    (weight_norm, {"v": np.arange(1.0, 7).reshape(2, 3)}, {"v": [[1, 2, 3], [4, 5, 6]]}),
    (weight_norm, {"v": W.astype(np.float32), "g": V.astype(np.float32)}, {"g": V}),
    (weight_norm, {"v": W, "g": V.astype(np.float32).astype(float)}, {"g": V.astype(np.float32)}),
    (weight_norm, {"v": W, "g": np.array([1.0, 2, 3])}, {"g": [1, 2, 3]}),
    (weight_norm, {"v": W, "g": V}, {"g": V + 0j}),
    (weight_standardization, {"weight": W.astype(np.float16).astype(np.float32)},
     {"weight": W.astype(np.float16)}),
    (weight_standardization, {"weight": W, "gain": np.ones(3)}, {"gain": [True, True, True]}),
    (spectral_norm, {"weight": W}, {"weight": W.astype(complex)}),
    (spectral_norm, {"weight": W.astype(np.float32), "u": U.astype(np.float32)}, {"u": U}),
    (CB, CONVOLVE | {"dy": np.ones((2, 4, 3, 3))}, {"dy": np.ones((2, 4, 3, 3), np.float32)}),
    (spectral_norm_backward, {"weight": W, "dw_hat": np.ones((3, 4))}, {"dw_hat": np.ones((3, 4), int)}),
    (convolve, CONVOLVE | {"x": np.round(X)}, {"x": np.round(X).astype(int)}),
    (convolve, IN_32, {"weight": K}),
    (convolve, IN_32, {"bias": B}),
    (convolve, CONVOLVE, {"x": X.astype(">f8")}),
    # another number
    (fold_batch_norm, FOLD | {"eps": 1e-5}, {"eps": -1}),
    (weight_standardization, {"weight": W, "eps": 1e-5}, {"eps": "small"}),
    (spectral_norm, {"weight": W, "iterations": 1}, {"iterations": 1.5}),
    (spectral_norm, {"weight": W, "seed": 1}, {"seed": None}),
    (spectral_norm, {"weight": W, "iterations": 1}, {"iterations": 0}),
    (spectral_norm, {"weight": W, "iterations": 1, "u": None}, {"iterations": 0, "u": 2 * U}),
    (spectral_norm, {"weight": W, "iterations": 1, "u": None}, {"iterations": 0, "u": 2.0**-300 * U}),
    (spectral_norm, {"weight": W, "iterations": 1, "u": None}, {"u": 0 * U}),
    (spectral_norm, {"weight": W, "iterations": 1, "u": None}, {"u": np.nan * U}),
    (spectral_norm, {"weight": np.diag([1.0, 0]), "iterations": 1, "u": None}, {"u": np.array([0.0, 1])}),
    (convolve, CONVOLVE | {"stride": 1}, {"stride": 0}),
    (convolve, CONVOLVE | {"padding": 0}, {"padding": -1}),
    (convolve, CONVOLVE | {"weight": random(4, 3, 8, 8), "padding": 2}, {"padding": 0}),
]  # fmt: skip


def follow(advice: str, arguments: Named) -> Named:
    """The arguments that a message leads to: ``try np.ravel(g)``, ``try axis=1 if ...``, ``without u``."""
    advice = advice.removeprefix("try ").removeprefix("pass one that was returned, or ").removeprefix("pass ")
    if advice.endswith(" without u"):
        arguments, advice = arguments | {"u": None}, advice.removesuffix(" without u")
    advice = re.split(r",? (?:if|for|or) ", advice)[0]
    if re.match(r"\w+=", advice):
        return arguments | eval(f"dict({advice})", {"np": np})
    if re.fullmatch(r"[\d.e-]+", advice):  # of the number that the message begins with
        return arguments | {"number": eval(advice)}
    (label,) = (name for name in arguments if re.search(rf"\b{name}\b", advice))
    return arguments | {label: eval(advice, {"np": np}, arguments)}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", range(len(HELPED)))
def test_following_the_advice_gives_the_right_answer(number: int) -> None:
    function, right, wrong = HELPED[number]
    arguments, steps = right | wrong, 0
    while True:
        try:
            found = function(**arguments)
            break
        except ValueError as error:
            message = str(error)
            name, _, said = message.partition(": ")
            assert re.fullmatch(r"[a-z_]+", name), message
            assert "; " in said and (steps := steps + 1) < 15, message
            arguments = follow(said.rsplit("; ", 1)[1], arguments)
            if "number" in arguments:
                label = said.partition("=")[0]
                arguments = arguments | {label: arguments.pop("number")}
    assert steps, "something was wrong"
    expected = function(**right)
    found, expected = (result if isinstance(result, tuple) else (result,) for result in (found, expected))
    for ours, theirs in zip(found, expected, strict=True):
        if isinstance(theirs, np.ndarray | np.floating):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (fold_batch_norm, FOLD),
        (weight_norm, {"v": W, "g": V}),
        (weight_standardization, {"weight": W, "gain": V}),
        (spectral_norm, {"weight": W, "u": U}),
        (spectral_norm_backward, {"weight": W, "u": U, "dw_hat": W}),
        (lambda dw: weight_norm_backward(dw, weight_norm(W)[1]), {"dw": W}),
        (lambda dw: weight_standardization_backward(dw, weight_standardization(W, V)[1]), {"dw": W}),
        (convolve, CONVOLVE),
        (CB, CONVOLVE | {"dy": np.ones((2, 4, 3, 3))}),
    ],
)
def test_odd_arrays_are_taken_as_they_are_or_refused_in_words(
    function: Callable[..., Any], right: Named
) -> None:
    expected = function(**right)
    for label, array in right.items():
        masked = np.ma.masked_array(array, np.arange(array.size).reshape(array.shape) == 1)
        for odd in (masked, "text", {}, array.astype(str), [[1.0], [2.0, 3.0]], array.astype(object)):
            with pytest.raises(ValueError, match=rf"^\w+: {label} .*; "):
                function(**right | {label: odd})
        if label not in ("g", "gain", "u", "bias", "gamma", "beta"):
            with pytest.raises(ValueError, match=rf"^\w+: {label} .*; "):
                function(**right | {label: None})
        for same in (array.tolist(), torch.tensor(array), array[::-1].copy()[::-1]):
            for ours, theirs in zip(function(**right | {label: same}), expected, strict=True):
                if isinstance(theirs, np.ndarray):
                    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


BACKWARD = {
    "weight": (weight_norm_backward, W, weight_norm(W)[1]),
    "standard": (weight_standardization_backward, W, weight_standardization(W)[1]),
    "convolve": (convolve_backward, np.ones((2, 4, 3, 3)), convolve(X, K)[1]),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_backward_functions_want_their_own_cache(name: str) -> None:
    backward, dy, own = BACKWARD[name]
    backward(dy, own)
    for cache in (*(cache for other, (_, _, cache) in BACKWARD.items() if other != name), None, (1, 2)):
        with pytest.raises(ValueError, match=rf"^{backward.__name__}: cache is .*; try \w+, cache = \w+\("):
            backward(dy, cache)
    for other in (dy[:1], dy[..., None], 1.0):
        with pytest.raises(
            ValueError, match=rf"^{backward.__name__}: d[yw] has shape .*together with the cache"
        ):
            backward(other, own)
