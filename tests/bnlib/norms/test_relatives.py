"""The relatives of batch norm: against PyTorch's autograd, central differences, and what relates them."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import bnlib
from bnlib import NORMS
from bnlib.norms import relatives as zoo
from bnlib.norms.public import NormCache, ghost_batch_norm
from bnlib.norms.relatives import (
    batch_renorm,
    dynamic_tanh,
    filter_response_norm,
    relative_backward,
    running_norm,
)
from tests.bnlib.checks import check_differences

EPSILONS = (1e-5, 0.3)
SHAPES = [(1, 2, 1, 3), (1, 5, 1, 4), (2, 3, 6, 2), (3, 2, 6, 1), (1, 1, 6, 2), (2, 1, 1, 2)]
PUBLIC = {
    "renorm": batch_renorm,
    "running": running_norm,
    "frn": filter_response_norm,
    "dyt": dynamic_tanh,
}
RELATIVES = {key: row for key, row in NORMS.items() if row.pair and not row.weights}
KEYS = pytest.mark.parametrize("key", RELATIVES)
Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """One call of a pair. Running statistics differ enough for r and d to be clipped here and there."""

    key: str
    x: np.ndarray
    learned: Arrays
    options: SimpleNamespace
    running: tuple[np.ndarray, np.ndarray] | None
    dy: np.ndarray

    def forward(self) -> tuple[np.ndarray, Any]:
        return RELATIVES[self.key].pair[0](self.x, self.learned, self.options, self.running)

    def backward(self, cache: Any) -> tuple[np.ndarray, Arrays]:
        return RELATIVES[self.key].pair[1](self.dy, cache)

    def results(self) -> Arrays:
        """All that the pair returns, by name."""
        y, cache = self.forward()
        dx, gradients = self.backward(cache)
        found = {"y": y, "dx": dx, **gradients}
        if RELATIVES[self.key].running:
            found |= {"mean": cache.mean, "var": cache.var}
        return found

    def replica(self, r: int) -> "Case":
        here = slice(r, r + 1)
        running = self.running and (self.running[0][here], self.running[1][here])
        learned = {name: array[here] for name, array in self.learned.items()}
        return self._replace(x=self.x[here], learned=learned, running=running, dy=self.dy[here])


def case(key: str, shape: tuple[int, ...], eps: float = 1e-5, dtype: Any = np.float64, seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    channels = (shape[0], 1, 1, shape[3])
    x, dy = 2 * rng.standard_normal(shape) + 0.4, rng.standard_normal(shape)
    learned = {
        name: rng.standard_normal((shape[0], 1, 1, 1) if name == "alpha" else channels)
        for name in RELATIVES[key].learned
    }
    running = None
    if RELATIVES[key].running:
        running = (rng.standard_normal(channels).astype(dtype), rng.uniform(0.5, 9, channels).astype(dtype))
    values = {"eps": eps, "r_max": 1.5, "d_max": 0.4, "momentum": 0.8}
    options = SimpleNamespace(**{name: values[name] for name in RELATIVES[key].options})
    learned = {name: array.astype(dtype) for name, array in learned.items()}
    return Case(key, x.astype(dtype), learned, options, running, dy.astype(dtype))


def close(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


# --- against PyTorch ------------------------------------------------------------------------------------


def torch_forward(it: Case, x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    """The formulas of the papers, as they stand there."""
    o = it.options
    if it.key == "dyt":
        return p["gamma"] * torch.tanh(p["alpha"] * x) + p["beta"]
    if it.key == "frn":
        nu2 = (x**2).mean(2, keepdim=True)
        return torch.maximum(p["gamma"] * x / torch.sqrt(nu2 + o.eps) + p["beta"], p["tau"])
    assert it.running is not None
    mean, var = map(torch.tensor, it.running)
    sigma = torch.sqrt(var + o.eps)
    if it.key == "running":
        return p["gamma"] * (x - mean) / sigma + p["beta"]
    batch_mean = x.mean((1, 2), keepdim=True)
    batch_sigma = torch.sqrt(x.var((1, 2), correction=0, keepdim=True) + o.eps)
    r = (batch_sigma / sigma).clamp(1 / o.r_max, o.r_max).detach()
    d = ((batch_mean - mean) / sigma).clamp(-o.d_max, o.d_max).detach()
    return p["gamma"] * ((x - batch_mean) / batch_sigma * r + d) + p["beta"]


@KEYS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("eps", EPSILONS)
def test_pairs_agree_with_autograd(key: str, shape: tuple[int, ...], eps: float) -> None:
    it = case(key, shape, eps, seed=1)
    y, cache = it.forward()
    dx, gradients = it.backward(cache)
    x = torch.tensor(it.x, requires_grad=True)
    p = {name: torch.tensor(array, requires_grad=True) for name, array in it.learned.items()}
    expected = torch_forward(it, x, p)
    theirs = torch.autograd.grad(expected, [x, *p.values()], torch.tensor(it.dy))
    close(y, expected.detach().numpy())
    close(dx, theirs[0].numpy(), 1e-9)
    assert list(gradients) == list(it.learned)
    for name, gradient in zip(p, theirs[1:], strict=True):
        close(gradients[name], gradient.numpy(), 1e-9)


def test_cases_reach_both_sides_of_every_bound() -> None:
    """Otherwise the tests above would say nothing of clipping and thresholds."""
    cache = case("renorm", (2, 5, 6, 8)).forward()[1]
    for values, low, high in ((cache.r, 1 / 1.5, 1.5), (cache.d, -0.4, 0.4)):
        assert (values == low).any()
        assert (values == high).any()
        assert ((values > low) & (values < high)).any()
    kept = case("frn", (2, 5, 6, 8)).forward()[1].kept
    assert kept.any() and not kept.all()


# --- against central differences ------------------------------------------------------------------------


@KEYS
@pytest.mark.parametrize("n, p", [(1, 1), (2, 1), (3, 1), (1, 6), (2, 6)])
@pytest.mark.parametrize("eps", EPSILONS)
def test_backward_agrees_with_central_differences(key: str, n: int, p: int, eps: float) -> None:
    it = case(key, (2, n, p, 2), eps, seed=6)
    cache = it.forward()[1]
    dx, gradients = it.backward(cache)

    def loss() -> float:
        if key != "renorm":
            return float(np.vdot(it.dy, it.forward()[0]))
        mean, var = it.x.mean((1, 2), keepdims=True), it.x.var((1, 2), keepdims=True)  # r and d stay
        xhat = (it.x - mean) / np.sqrt(var + eps)
        y = it.learned["gamma"] * (xhat * cache.r + cache.d) + it.learned["beta"]
        return float(np.vdot(it.dy, y))

    for array, gradient in [(it.x, dx), *((it.learned[name], gradients[name]) for name in it.learned)]:
        check_differences(loss, array, gradient, h=1e-6, rel=1e-5, within=1e-6)


# --- what every pair leaves alone -----------------------------------------------------------------------


@KEYS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_and_shapes(key: str, shape: tuple[int, ...], dtype: Any) -> None:
    it = case(key, shape, dtype=dtype)
    results = it.results()
    assert {array.dtype for array in results.values()} == {np.dtype(dtype)}
    assert results["y"].shape == results["dx"].shape == shape
    for name, array in it.learned.items():
        assert results[name].shape == array.shape
    wide = case(key, shape)
    exact = wide.results()
    for name, array in results.items():
        close(array, exact[name], 1e-12 if dtype == np.float64 else 2e-4)


@KEYS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arguments_stay_unchanged_and_the_cache_can_be_used_again(key: str, shape: tuple[int, ...]) -> None:
    it = case(key, shape)
    arrays = [it.x, it.dy, *it.learned.values(), *(it.running or ())]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    y, cache = it.forward()
    y *= 0  # y belongs to the caller, who may use up its memory
    dx, gradients = it.backward(cache)
    first = [dx, *gradients.values()]
    kept = [array.copy() for array in first]
    for array in first:
        array *= 0
    dx, gradients = it.backward(cache)
    assert all((a == b).all() for a, b in zip(kept, [dx, *gradients.values()], strict=True))
    assert all((a == b).all() for a, b in zip(arrays, before, strict=True))


@KEYS
@pytest.mark.parametrize(
    "n, p, c", [(7, 1, 33), (128, 1, 128), (5, 6, 7), (61, 1, 1), (9, 49, 1), (16, 16, 12)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_replicas_side_by_side_are_the_same_to_the_last_bit(
    key: str, n: int, p: int, c: int, dtype: Any
) -> None:
    together = case(key, (5, n, p, c), dtype=dtype, seed=3)
    for r in range(5):
        alone = together.replica(r).results()
        for name, array in together.results().items():
            assert (array[r : r + 1] == alone[name]).all(), name


@KEYS
def test_a_diverged_replica_leaves_the_others_alone(key: str) -> None:
    it = case(key, (3, 8, 6, 4))
    good = it.results()
    it.x[1, 2, 3, 0] = np.nan
    with np.errstate(all="ignore"):
        bad = it.results()
    for name, array in bad.items():
        assert (array[[0, 2]] == good[name][[0, 2]]).all(), name
    assert np.isnan(bad["y"][1]).any()


@pytest.mark.parametrize("key", ["renorm", "running"])
@pytest.mark.parametrize("p", [1, 6])
def test_float32_at_mean_1e4_keeps_its_digits(key: str, p: int) -> None:
    it = case(key, (2, 7, p, 3), dtype=np.float32)
    assert it.running is not None
    shifted = it._replace(x=it.x + np.float32(1e4), running=(it.running[0] + np.float32(1e4), it.running[1]))
    wide = shifted._replace(
        x=shifted.x.astype(float),
        dy=it.dy.astype(float),
        learned={name: array.astype(float) for name, array in it.learned.items()},
        running=tuple(array.astype(float) for array in shifted.running or ()),
    )
    exact = wide.results()
    # d of batch renorm is a difference of two means, each with the digits of a float32 of its size: 5e-4
    atol = {"running": 1e-4, "renorm": 1e-3}[key]
    for name, array in shifted.results().items():
        np.testing.assert_allclose(array, exact[name], rtol=1e-6 if name == "mean" else 1e-4, atol=atol)


# --- the table ------------------------------------------------------------------------------------------


@KEYS
def test_a_row_says_what_its_pair_uses(key: str) -> None:
    row, it = RELATIVES[key], case(key, (2, 3, 6, 2))
    assert row.label and row.summary and row.label == row.label.strip()
    assert set(PUBLIC) == set(RELATIVES)
    results = it.results()  # with no other option, and without running statistics if it keeps none
    assert set(results) == {"y", "dx", *row.learned, *(("mean", "var") if row.running else ())}
    for name in row.options:
        rest = {other: value for other, value in vars(it.options).items() if other != name}
        with pytest.raises(AttributeError, match=name):
            it._replace(options=SimpleNamespace(**rest)).forward()
    for name in row.learned:
        with pytest.raises(KeyError, match=name):
            it._replace(learned={k: v for k, v in it.learned.items() if k != name}).forward()
    assert row.activates == (key == "frn")


@pytest.mark.parametrize("key", ["renorm", "running"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_caches_have_the_batch_statistics(key: str, shape: tuple[int, ...]) -> None:
    it = case(key, shape)
    assert it.running is not None
    cache = it.forward()[1]
    mean, var = it.x.mean((1, 2), keepdims=True), it.x.var((1, 2), keepdims=True)
    close(cache.mean, mean)
    close(cache.var, var if key == "renorm" else var + 0.8 * (mean - it.running[0]) ** 2)


# --- identities, through the public functions -----------------------------------------------------------


class Public(NamedTuple):
    """Arguments of a public function; `mean` serves as tau, `var[0]` as alpha."""

    x: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    dy: np.ndarray


def public(shape: tuple[int, ...], seed: int = 0, dtype: Any = np.float64) -> Public:
    rng = np.random.default_rng(seed)
    x, dy = 2 * rng.standard_normal((2, *shape)) + 0.5
    gamma, beta, mean = rng.standard_normal((3, shape[1]))
    var = rng.uniform(0.2, 9, shape[1])
    return Public(*(array.astype(dtype) for array in (x, gamma, beta, mean, var, dy)))


PUBLIC_SHAPES = pytest.mark.parametrize("shape", [(1, 3), (6, 2), (4, 3, 5), (2, 3, 4, 2)], ids=str)


def place(name: str) -> str:
    return "mean" if name == "tau" else name


def call(key: str, it: Public, without: tuple[str, ...] = ()) -> tuple[np.ndarray, Any]:
    """The public function with everything learned but what is left out."""
    learned = {name: None if name in without else getattr(it, name) for name in ("gamma", "beta")}
    if key in ("renorm", "running"):
        return PUBLIC[key](it.x, it.mean, it.var, **learned)
    if key == "frn":
        return filter_response_norm(it.x, None if "tau" in without else it.mean, **learned)
    return dynamic_tanh(it.x, it.var[0], **learned)


@KEYS
@PUBLIC_SHAPES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_public_functions_are_the_pairs_with_channels_on_axis_1(key: str, shape: Any, dtype: Any) -> None:
    it = public(shape, dtype=dtype)
    y, cache = call(key, it)
    dx, gradients = relative_backward(it.dy, cache)

    def inward(array: np.ndarray) -> np.ndarray:
        return array.reshape(*shape[:2], -1).transpose(0, 2, 1)[None]

    learned = {"gamma": it.gamma, "beta": it.beta, "tau": it.mean, "alpha": it.var[:1]}
    learned = {name: learned[name].reshape(1, 1, 1, -1) for name in RELATIVES[key].learned}
    defaults = SimpleNamespace(eps=1e-6 if key == "frn" else 1e-5, r_max=3.0, d_max=5.0, momentum=0.9)
    running = (it.mean.reshape(1, 1, 1, -1), it.var.reshape(1, 1, 1, -1))
    core = Case(key, inward(it.x), learned, defaults, running, inward(it.dy)).results()
    tolerance = 1e-12 if dtype == np.float64 else 2e-4
    close(inward(y), core["y"], tolerance)
    close(inward(dx), core["dx"], tolerance)
    assert y.shape == dx.shape == shape
    assert set(gradients) == set(RELATIVES[key].learned)
    for name, gradient in gradients.items():
        assert gradient.shape == (() if name == "alpha" else shape[1:2])
        close(gradient, core[name].reshape(gradient.shape), tolerance)
    assert {array.dtype for array in (y, dx, *gradients.values())} == {np.dtype(dtype)}
    if RELATIVES[key].running:
        assert cache.mean.shape == cache.var.shape == shape[1:2]
        close(cache.mean, core["mean"].ravel(), tolerance)
        close(cache.var, core["var"].ravel(), tolerance)
    else:
        assert cache.mean is None and cache.var is None


@KEYS
@PUBLIC_SHAPES
def test_what_is_left_out_is_neutral(key: str, shape: Any) -> None:
    it = public(shape)
    ones = np.ones(shape[1])
    neutral = {"gamma": ones, "beta": 0 * ones, "tau": -1e9 * ones}
    names = [name for name in RELATIVES[key].learned if name != "alpha"]
    for count in range(len(names) + 1):
        for without in itertools.combinations(names, count):
            filled = it._replace(**{place(name): neutral[name] for name in without})
            (y, cache), (full, full_cache) = call(key, it, without), call(key, filled)
            close(y, full)
            (dx, gradients), (full_dx, all_gradients) = (
                relative_backward(it.dy, c) for c in (cache, full_cache)
            )
            close(dx, full_dx)
            assert set(gradients) == set(RELATIVES[key].learned) - set(without)
            for name, gradient in gradients.items():
                close(gradient, all_gradients[name])


@KEYS
def test_public_functions_leave_their_arguments_alone(key: str) -> None:
    for shape in ((5, 3), (2, 3, 4, 2)):
        it = public(shape)
        before = [array.copy() for array in it]
        for array in it:
            array.flags.writeable = False
        y, cache = call(key, it)
        y *= 0
        dx, gradients = relative_backward(it.dy, cache)
        kept = [array.copy() for array in (dx, *gradients.values())]
        for array in (dx, *gradients.values()):
            array *= 0
        dx, gradients = relative_backward(it.dy, cache)
        assert all((a == b).all() for a, b in zip(kept, (dx, *gradients.values()), strict=True))
        assert all((a == b).all() for a, b in zip(it, before, strict=True))
        other = call(key, it._replace(x=np.asfortranarray(it.x)))[0]
        close(other, call(key, it)[0])


@PUBLIC_SHAPES
@pytest.mark.parametrize("eps", EPSILONS)
def test_unclipped_batch_renorm_is_inference(shape: Any, eps: float) -> None:
    it = public(shape)
    y, cache = batch_renorm(*it[:1], it.mean, it.var, it.gamma, it.beta, r_max=np.inf, d_max=np.inf, eps=eps)
    expected = bnlib.batch_norm_inference(it.x, it.mean, it.var, it.gamma, it.beta, eps=eps)
    close(y, expected)
    # but it has the gradient of batch norm, in units of the running standard deviation
    ours = relative_backward(it.dy, cache)[0]
    _, batch = bnlib.batch_norm(it.x, it.gamma, it.beta, eps=eps)
    theirs = bnlib.norm_backward(it.dy, batch)[0]
    ratio = np.sqrt((batch.var + eps) / (it.var + eps)).reshape(1, -1, *(1,) * (len(shape) - 2))
    close(ours, theirs * ratio)


@PUBLIC_SHAPES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_renorm_without_corrections_is_batch_norm(shape: Any, dtype: Any) -> None:
    it = public(shape, dtype=dtype)
    y, cache = batch_renorm(it.x, it.mean, it.var, it.gamma, it.beta, r_max=1, d_max=0)
    expected, batch = bnlib.batch_norm(it.x, it.gamma, it.beta)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    close(y, expected, tolerance)
    dx, gradients = relative_backward(it.dy, cache)
    expected = bnlib.norm_backward(it.dy, batch)
    for ours, theirs in zip((dx, gradients["gamma"], gradients["beta"]), expected, strict=True):
        close(ours, theirs, tolerance)


def test_batch_renorm_of_one_sample_passes_no_gradient() -> None:
    it = public((1, 3))
    y, cache = batch_renorm(it.x, it.mean, it.var, it.gamma, it.beta)
    assert (relative_backward(it.dy, cache)[0] == 0).all()
    d = np.clip((it.x - it.mean) / np.sqrt(it.var + 1e-5), -5, 5)
    close(y, it.gamma * d + it.beta)  # and yet y isn't constant


@PUBLIC_SHAPES
def test_running_norm_is_inference_with_its_gradient(shape: Any) -> None:
    it = public(shape)
    y, cache = running_norm(it.x, it.mean, it.var, it.gamma, it.beta, eps=0.3)
    close(y, bnlib.batch_norm_inference(it.x, it.mean, it.var, it.gamma, it.beta, eps=0.3))
    scale = (it.gamma / np.sqrt(it.var + 0.3)).reshape(1, -1, *(1,) * (len(shape) - 2))
    close(relative_backward(it.dy, cache)[0], it.dy * scale)


def test_running_norm_with_the_batch_statistics_is_batch_norm_but_for_its_gradient() -> None:
    it = public((6, 3, 4))
    expected, batch = bnlib.batch_norm(it.x, it.gamma, it.beta)
    y, cache = running_norm(it.x, batch.mean, batch.var, it.gamma, it.beta)
    close(y, expected)
    close(cache.var, batch.var)
    ours, theirs = relative_backward(it.dy, cache)[0], bnlib.norm_backward(it.dy, batch)[0]
    assert (np.abs(ours.sum((0, 2))) > 0.1).all()
    close(theirs.sum((0, 2)), 0)
    assert not np.allclose(ours, theirs, atol=0.1)


@pytest.mark.parametrize("n, p", [(1, 1), (4, 1), (3, 6)])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_running_variance_is_the_exponentially_weighted_variance(n: int, p: int, momentum: float) -> None:
    rng = np.random.default_rng(4)
    steps, c = 7, 3
    batches = rng.standard_normal((steps, 1, n, p, c)) + np.linspace(0, 5, steps).reshape(-1, 1, 1, 1, 1)
    start = mean, var = np.full((1, 1, 1, c), -2.0), np.full((1, 1, 1, c), 0.7)
    ones, options = np.ones((1, 1, 1, c)), SimpleNamespace(eps=1e-5, momentum=momentum)
    for x in batches:
        cache = zoo.running_forward(x, {"gamma": ones, "beta": ones}, options, (mean, var))[1]
        if n * p == 1:  # Chiley et al. (2019): sigma^2 <- a sigma^2 + a (1 - a) (x - mu)^2
            chiley = momentum * var + momentum * (1 - momentum) * (x - mean) ** 2
        mean = momentum * mean + (1 - momentum) * cache.mean
        var = momentum * var + (1 - momentum) * cache.var
        if n * p == 1:
            close(var, chiley)
    # Directly: each sample with its weight, and the start as a distribution with what weight is left.
    weights = (1 - momentum) * momentum ** np.arange(steps - 1, -1, -1.0) / (n * p)
    rest = momentum**steps
    assert rest + weights.sum() * n * p == pytest.approx(1)
    expected_mean = rest * start[0] + np.einsum("t,trnpc->c", weights, batches)
    close(mean, expected_mean)
    spread = np.einsum("t,trnpc->c", weights, (batches - expected_mean) ** 2)
    close(var, rest * (start[1] + (start[0] - expected_mean) ** 2) + spread)


@PUBLIC_SHAPES
def test_filter_response_norm_forgets_a_positive_scale(shape: Any) -> None:
    it = public(shape)
    y = filter_response_norm(it.x, it.mean, it.gamma, it.beta, eps=0.0)[0]
    scales = np.random.default_rng(0).uniform(0.1, 10, (*shape[:2], *(1,) * (len(shape) - 2)))
    close(filter_response_norm(it.x * scales, it.mean, it.gamma, it.beta, eps=0.0)[0], y)
    flipped = filter_response_norm(-it.x, it.mean, it.gamma, it.beta, eps=0.0)[0]
    assert not np.allclose(flipped, y)


def test_filter_response_norm_of_single_elements_is_a_smoothed_sign() -> None:
    x = np.array([[2.0, -0.5], [0.01, 3.0]])
    y, cache = filter_response_norm(x, eps=0.04)
    close(y, x / np.sqrt(x**2 + 0.04))
    close(relative_backward(np.ones((2, 2)), cache)[0], 0.04 / (x**2 + 0.04) ** 1.5)
    close(filter_response_norm(x, eps=0.0)[0], np.sign(x))


def test_filter_response_norm_is_rms_norm_of_one_channel() -> None:
    it = public((4, 1, 5))
    y, cache = filter_response_norm(it.x, eps=0.1)
    expected, rms = bnlib.rms_norm(it.x, eps=0.1)
    close(y, expected)
    close(relative_backward(it.dy, cache)[0], bnlib.norm_backward(it.dy, rms)[0])


def test_filter_response_norm_at_the_threshold() -> None:
    zero = np.zeros(1)
    y, cache = filter_response_norm(np.array([[0.0], [-1.0], [1.0]]), zero, np.ones(1), zero, eps=1.0)
    assert (y >= 0).all()
    dx, gradients = relative_backward(np.array([[2.0], [3.0], [5.0]]), cache)
    close(dx, [[2.0], [0.0], [5 / 2**1.5]])  # the tie goes to x and beta ...
    close(gradients["beta"], [7.0])
    close(gradients["tau"], [3.0])  # ... and not to tau


def test_filter_response_norm_of_zeros_without_eps() -> None:
    x = np.zeros((2, 3, 4))
    y, cache = filter_response_norm(x, eps=0.0)
    assert (y == 0).all()
    assert (relative_backward(np.ones_like(x), cache)[0] == 0).all()


def test_dynamic_tanh_is_bounded_and_linear_at_0() -> None:
    it = public((6, 3, 4))
    y, _ = dynamic_tanh(100 * it.x, 0.7, it.gamma, it.beta)
    bound = (np.abs(it.gamma) + np.abs(it.beta))[:, None]
    assert (np.abs(y) <= bound + 1e-12).all()
    assert (np.abs(y) > 0.9 * bound).any()
    at_0, cache = dynamic_tanh(np.zeros((1, 3)), 0.7, it.gamma, it.beta)
    close(at_0[0], it.beta)
    close(relative_backward(np.ones((1, 3)), cache)[0][0], it.gamma * 0.7)
    close(dynamic_tanh(it.x)[0], np.tanh(it.x / 2))  # alpha starts at 0.5


def test_alpha_is_a_number_or_an_array_of_one() -> None:
    it = public((6, 3, 4), dtype=np.float32)
    for alpha, shape in ((0.25, ()), (1, ()), (np.float64(0.25), ()), (np.float32([0.25]), (1,))):
        y, cache = dynamic_tanh(it.x, alpha)
        dx, gradients = relative_backward(it.dy, cache)
        assert y.dtype == dx.dtype == gradients["alpha"].dtype == np.float32
        assert gradients["alpha"].shape == shape
        slope = float(np.sum(it.dy * it.x / np.cosh(it.x * np.float32(alpha)) ** 2))
        assert float(gradients["alpha"].sum()) == pytest.approx(slope, rel=1e-4)
    zero = dynamic_tanh(it.x, 0.0)[1]
    assert (relative_backward(it.dy, zero)[0] == 0).all()
    assert relative_backward(it.dy, zero)[1]["alpha"] == pytest.approx(float(np.vdot(it.dy, it.x)), rel=1e-4)


# --- ghost batch norm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 2), (6, 3, 5), (6, 2, 3, 4), (3000, 6, 5)], ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("affine", [True, False])
def test_ghost_batch_norm_is_batch_norm_of_each_ghost_batch(shape: Any, size: int, affine: bool) -> None:
    it = public(shape)
    gamma, beta = (it.gamma, it.beta) if affine else (None, None)
    y, cache = ghost_batch_norm(it.x, gamma, beta, size=size, eps=0.1)
    assert isinstance(cache, NormCache)
    dx, dgamma, dbeta = bnlib.norm_backward(it.dy, cache)
    ghosts = shape[0] // size
    assert cache.mean.shape == cache.var.shape == (ghosts, shape[1])
    sums = np.zeros((2, shape[1]))
    for i in range(0, ghosts, max(1, ghosts // 6)) if not affine else range(ghosts):
        one, one_cache = bnlib.batch_norm(it.x[i::ghosts], gamma, beta, eps=0.1)
        close(y[i::ghosts], one)
        close(cache.mean[i], one_cache.mean)
        close(cache.var[i], one_cache.var)
        one_dx, *learned = bnlib.norm_backward(it.dy[i::ghosts], one_cache)
        close(dx[i::ghosts], one_dx)
        if affine:
            sums += learned
    if affine:
        close(dgamma, sums[0], 1e-8)
        close(dbeta, sums[1], 1e-8)
    else:
        assert dgamma is None and dbeta is None


@PUBLIC_SHAPES
def test_one_ghost_batch_of_all_is_batch_norm(shape: Any) -> None:
    it = public(shape, dtype=np.float32)
    y, cache = ghost_batch_norm(it.x, it.gamma, it.beta, size=shape[0])
    expected, batch = bnlib.batch_norm(it.x, it.gamma, it.beta)
    close(y, expected, 1e-5)
    assert y.dtype == cache.var.dtype == np.float32
    for ours, theirs in zip(
        bnlib.norm_backward(it.dy, cache), bnlib.norm_backward(it.dy, batch), strict=True
    ):
        close(ours, theirs, 1e-4)
        assert ours.dtype == np.float32


def test_ghost_batches_of_one_vector_leave_beta() -> None:
    it = public((6, 3))
    y, cache = ghost_batch_norm(it.x, it.gamma, it.beta, size=1)
    assert (y == it.beta).all()
    assert (bnlib.norm_backward(it.dy, cache)[0] == 0).all()


# --- bad input ------------------------------------------------------------------------------------------

X = np.ones((4, 3))
ONES = np.ones(3)
STATISTICS: dict[str, Callable[..., Any]] = {"batch_renorm": batch_renorm, "running_norm": running_norm}
OTHERS: dict[str, Callable[..., Any]] = {
    "filter_response_norm": filter_response_norm,
    "dynamic_tanh": dynamic_tanh,
    "ghost_batch_norm": lambda x, *args, **options: ghost_batch_norm(x, *args, **{"size": 2, **options}),
}
ALL = {name: lambda x, f=f, **o: f(x, ONES, ONES, **o) for name, f in STATISTICS.items()} | OTHERS
ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: batch_renorm(X, ONES, ONES, r_max=0.5), "^batch_renorm: r_max=0.5 must be at least 1; try 3.0$"),
    (lambda: batch_renorm(X, ONES, ONES, r_max=float("nan")), "r_max=nan must be at least 1"),
    (lambda: batch_renorm(X, ONES, ONES, r_max="3"), "r_max='3' must be at least 1"),
    (lambda: batch_renorm(X, ONES, ONES, d_max=-1), "^batch_renorm: d_max=-1 must be at least 0; try 5.0$"),
    (lambda: batch_renorm(X, ONES, ONES, d_max=None), "d_max=None must be at least 0"),
    (lambda: running_norm(X, ONES, ONES, momentum=1), r"^running_norm: momentum=1 must lie in \[0, 1\).*OLD"),
    (lambda: running_norm(X, ONES, ONES, momentum=-0.1), "momentum=-0.1 .* PyTorch's 0.1$"),
    (lambda: running_norm(X, ONES, ONES, momentum=None), "momentum=None"),
    (lambda: filter_response_norm(X, ONES[:2]), r"^filter_response_norm: tau has shape \(2,\).*needs \(3,\)"),
    (lambda: filter_response_norm(X, ONES.astype("f4")), "tau has dtype float32, but x has float64"),
    (lambda: dynamic_tanh(X, float("nan")), "^dynamic_tanh: alpha=nan must be finite; try 0.5$"),
    (lambda: dynamic_tanh(X, ONES), r"dynamic_tanh: alpha has shape \(3,\).*needs \(\)"),
    (
        lambda: dynamic_tanh(X, ONES[:1].astype("f4")),
        r"alpha has dtype float32.*np.asarray\(alpha, np.float64\)",
    ),
    (lambda: dynamic_tanh(X, None), "alpha=None must be finite; try 0.5"),
    (
        lambda: ghost_batch_norm(np.ones((12, 3)), size=5),
        "^ghost_batch_norm: size=5 does not divide 12 samples; try 1, 2, 3, 4, 6 or 12$",
    ),
    (lambda: ghost_batch_norm(X, size=0), "size=0 does not divide 4 samples; try 1, 2 or 4"),
    (lambda: ghost_batch_norm(X, size=2.0), "size=2.0 does not divide"),
    (lambda: ghost_batch_norm(X[:1], size=2), "size=2 does not divide 1 samples; try 1$"),
    (
        lambda: relative_backward(X[:1], dynamic_tanh(X)[1]),
        r"^relative_backward: dy has shape \(1, 3\), but x had \(4, 3\); pass the gradient of y",
    ),
    (
        lambda: relative_backward(X.astype("f4"), dynamic_tanh(X)[1]),
        r"dy has dtype float32, but x had float64; try np.asarray\(dy, np.float64\)",
    ),
    (lambda: relative_backward(X, dynamic_tanh(X)), "cache is a tuple, not a RelativeCache; try y, cache = "),
    (
        lambda: relative_backward(X, ghost_batch_norm(X, size=2)[1]),
        r"a NormCache.*try norm_backward\(dy, cache\)",
    ),
]
for _name, _call in ALL.items():
    ERRORS += [
        (lambda f=_call: f(X.astype("i8")), rf"^{_name}: x has dtype int64.*np.asarray\(x, np.float64\)"),
        (lambda f=_call: f(X[0]), rf"^{_name}: x has shape \(3,\).*np.reshape\(x, \(-1, 1\)\)"),
        (lambda f=_call: f(X[:0]), rf"^{_name}: x has shape \(0, 3\).*drop empty"),
        (lambda f=_call: f(X, gamma=ONES[:2]), rf"^{_name}: gamma has shape \(2,\).*needs \(3,\); pass"),
        (lambda f=_call: f(X, gamma=ONES[:, None]), rf"^{_name}: gamma has shape \(3, 1\)"),
        (lambda f=_call: f(X, beta=ONES[:1]), rf"^{_name}: beta has shape \(1,\)"),
        (
            lambda f=_call: f(X, beta=ONES.astype("f4")),
            rf"^{_name}: beta has dtype float32.*np.asarray\(beta, np.float64\)",
        ),
    ]
    if _name != "dynamic_tanh":
        ERRORS += [
            (lambda f=_call, eps=eps: f(X, eps=eps), rf"^{_name}: eps={eps!r} must be finite.*try 1e-5")
            for eps in (-1e-5, float("inf"), None)
        ]
for _name, _call in STATISTICS.items():
    ERRORS += [
        (lambda f=_call: f(X, ONES[:2], ONES), rf"^{_name}: mean has shape \(2,\).*needs \(3,\)"),
        (lambda f=_call: f(X, ONES, ONES[:, None]), rf"^{_name}: var has shape \(3, 1\)"),
        (lambda f=_call: f(X, ONES.astype("f2"), ONES), rf"^{_name}: mean has dtype float16"),
        (
            lambda f=_call: f(X, ONES, -ONES),
            rf"^{_name}: var contains -1.0, but must not be negative or inf; pass",
        ),
    ]


@pytest.mark.parametrize("call, message", ERRORS, ids=[message for _, message in ERRORS])
def test_bad_input_says_what_came_what_is_right_and_what_to_try(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
