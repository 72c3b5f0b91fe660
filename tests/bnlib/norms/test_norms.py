"""The norms against PyTorch's autograd, against central differences and against known numbers."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import bnlib
from bnlib.norms.blocks import LARGE
from bnlib.norms.core import normalize, normalize_backward
from tests.bnlib.checks import CHOICES_OF_AXES, check_differences

EPSILONS = (1e-5, 0.3)


class Case(NamedTuple):
    """One call of a norm, and the same in PyTorch: torch_forward(x, gamma, beta, eps)."""

    name: str
    shape: tuple[int, ...]
    options: dict[str, int]
    torch_forward: Callable[..., torch.Tensor]

    @property
    def affine_shape(self) -> tuple[int, ...]:
        if self.name in ("layer", "rms"):
            return self.shape[self.options.get("axis", 1) :]
        return self.shape[1:2]

    def arrays(self, dtype: Any = np.float64, seed: int = 0) -> tuple[np.ndarray, ...]:
        """x, gamma, beta and a random dy: a constant one would hide most mistakes, since then dx is 0."""
        rng = np.random.default_rng(seed)
        shapes = (self.shape, self.affine_shape, self.affine_shape, self.shape)
        x, gamma, beta, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        return 3 * x + 5, gamma, beta, dy

    def forward(self, *arrays: np.ndarray | None, eps: float) -> tuple[np.ndarray, Any]:
        return CHOICES_OF_AXES[self.name].forward(*arrays, eps=eps, **self.options)


def _torch_layer(axis: int) -> Callable[..., torch.Tensor]:
    return lambda x, gamma, beta, eps: F.layer_norm(x, x.shape[axis:], gamma, beta, eps)


def _torch_rms(x: torch.Tensor, gamma: Any, beta: Any, eps: float) -> torch.Tensor:
    y = F.rms_norm(x, x.shape[1:], gamma, eps)
    return y if beta is None else y + beta


def _torch_batch(x: torch.Tensor, gamma: Any, beta: Any, eps: float) -> torch.Tensor:
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)


def _torch_instance(x: torch.Tensor, gamma: Any, beta: Any, eps: float) -> torch.Tensor:
    return F.instance_norm(x, weight=gamma, bias=beta, eps=eps)


def _torch_group(groups: int) -> Callable[..., torch.Tensor]:
    return lambda x, gamma, beta, eps: F.group_norm(x, groups, gamma, beta, eps)


CASES = [
    *(Case("batch", shape, {}, _torch_batch) for shape in [(2, 3), (7, 1), (5, 4, 3), (3, 4, 2, 5)]),
    Case("batch", (2, 3, 2, 2, 3), {}, _torch_batch),
    Case("batch", (LARGE // 32 + 77, 33), {}, _torch_batch),  # in blocks, the last one incomplete
    Case("batch", (130, 6, 9, 10), {}, _torch_batch),
    *(Case("layer", shape, {}, _torch_layer(1)) for shape in [(1, 5), (6, 2), (3, 4, 5), (2, 3, 4, 2)]),
    Case("layer", (3, 4, 5), {"axis": 2}, _torch_layer(2)),
    Case("layer", (3, 4, 5), {"axis": -1}, _torch_layer(2)),
    *(Case("rms", shape, {}, _torch_rms) for shape in [(1, 1), (1, 5), (6, 2), (2, 3, 4, 2)]),
    *(Case("group", (3, 6), {"groups": groups}, _torch_group(groups)) for groups in (1, 2, 3)),
    Case("group", (1, 4, 2), {"groups": 2}, _torch_group(2)),
    Case("group", (2, 6, 3, 4), {"groups": 3}, _torch_group(3)),
    *(Case("instance", shape, {}, _torch_instance) for shape in [(1, 2, 2), (3, 4, 5), (2, 3, 4, 5)]),
]
SMALL = [case for case in CASES if np.prod(case.shape) < 1000]


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[f"{c.name}-{c.shape}-{c.options}" for c in cases])


# --- against PyTorch ------------------------------------------------------------------------------------


@named(CASES)
@pytest.mark.parametrize("eps", EPSILONS)
def test_forward_and_backward_agree_with_autograd(case: Case, eps: float) -> None:
    x, gamma, beta, dy = case.arrays()
    y, cache = case.forward(x, gamma, beta, eps=eps)
    inputs = [torch.tensor(array, requires_grad=True) for array in (x, gamma, beta)]
    expected = case.torch_forward(*inputs, eps)
    gradients = torch.autograd.grad(expected, inputs, torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(bnlib.norm_backward(dy, cache), gradients, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-9)


@named(CASES)
def test_without_gamma_or_beta_they_are_1_and_0(case: Case) -> None:
    x, gamma, beta, dy = case.arrays()
    one, zero = np.ones_like(gamma), np.zeros_like(beta)
    full = bnlib.norm_backward(dy, case.forward(x, gamma, beta, eps=0.3)[1])
    for g, b in ((None, None), (gamma, None), (None, beta)):
        y, cache = case.forward(x, g, b, eps=0.3)
        filled, full_cache = case.forward(x, one if g is None else g, zero if b is None else b, eps=0.3)
        np.testing.assert_allclose(y, filled, atol=1e-12)
        dx, dgamma, dbeta = bnlib.norm_backward(dy, cache)
        np.testing.assert_allclose(dx, bnlib.norm_backward(dy, full_cache)[0], atol=1e-12)
        assert (dgamma is None, dbeta is None) == (g is None, b is None)
        if g is not None:
            np.testing.assert_allclose(dgamma, full[1], atol=1e-10)
        if b is not None:
            np.testing.assert_allclose(dbeta, full[2], atol=1e-10)


@pytest.mark.parametrize("shape", [(7, 3), (4, 3, 5), (2, 3, 4, 5)])
def test_inference_agrees_with_torch(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    mean, gamma, beta = rng.standard_normal((3, 3))
    var = rng.uniform(0.1, 4, 3)
    y = bnlib.batch_norm_inference(x, mean, var, gamma, beta, eps=0.01)
    expected = F.batch_norm(*map(torch.tensor, (x, mean, var, gamma, beta)), training=False, eps=0.01)
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-12)
    plain = bnlib.batch_norm_inference(x, mean, var)
    np.testing.assert_allclose(plain, F.batch_norm(*map(torch.tensor, (x, mean, var))).numpy(), atol=1e-12)


# --- against central differences ------------------------------------------------------------------------


@named([case for case in SMALL if np.prod(case.shape) <= 40])
@pytest.mark.parametrize("eps", EPSILONS)
def test_backward_agrees_with_central_differences(case: Case, eps: float) -> None:
    differences(case, eps)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("name", list(CHOICES_OF_AXES))
def test_backward_agrees_with_central_differences_for_few_elements(name: str, m: int) -> None:
    shape = (m, 2) if name == "batch" else (2, 2, m) if name in ("instance", "group") else (2, m)
    differences(Case(name, shape, {"groups": 2} if name == "group" else {}, _torch_batch), 0.3)


def differences(case: Case, eps: float) -> None:
    *inputs, dy = case.arrays(seed=2)
    gradients = bnlib.norm_backward(dy, case.forward(*inputs, eps=eps)[1])
    for array, gradient in zip(inputs, gradients, strict=True):
        check_differences(lambda: float(np.vdot(dy, case.forward(*inputs, eps=eps)[0])), array, gradient)


# --- known numbers --------------------------------------------------------------------------------------


def test_golden_vector() -> None:
    y, cache = bnlib.batch_norm(np.array([[1.0], [2.0], [3.0], [4.0]]), eps=0.0)
    assert cache.mean == [2.5]
    assert cache.var == [1.25]
    np.testing.assert_allclose(y[:, 0], [-1.341641, -0.447214, 0.447214, 1.341641], atol=1e-6)
    dx, dgamma, dbeta = bnlib.norm_backward(np.array([[1.0], [0], [0], [0]]), cache)
    np.testing.assert_allclose(dx[:, 0], [0.268328, -0.357771, -0.089443, 0.178885], atol=1e-6)
    assert dgamma is None
    assert dbeta is None


def test_two_elements_are_pushed_to_their_closed_form() -> None:
    # x-hat = d / sqrt(d^2 + 4 eps) with slope 4 eps / (d^2 + 4 eps)^(3/2): no gradient without eps
    for d, eps in ((0.5, 1e-2), (3.0, 0.3), (2.0, 0.0)):
        y, cache = bnlib.batch_norm(np.array([[1 + d], [1.0]]), eps=eps)
        assert y[0, 0] == pytest.approx(d / np.sqrt(d**2 + 4 * eps), abs=1e-12)
        dx = bnlib.norm_backward(np.array([[1.0], [0.0]]), cache)[0]
        assert dx[0, 0] == pytest.approx(4 * eps / (d**2 + 4 * eps) ** 1.5, abs=1e-12)


CENTRED = [name for name, norm in CHOICES_OF_AXES.items() if norm.centre]


# Cases whose means have one element each.
ALONE = [
    Case("batch", (1, 4), {}, _torch_batch),
    Case("layer", (4, 1), {}, _torch_layer(1)),
    Case("group", (3, 4), {"groups": 4}, _torch_group(4)),
    Case("instance", (3, 4), {}, _torch_instance),
    Case("instance", (3, 4, 1), {}, _torch_instance),
]


@named(ALONE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_one_element_gives_exactly_beta_and_no_gradient(case: Case, dtype: Any, eps: float) -> None:
    x, gamma, beta, dy = case.arrays(dtype)
    y, cache = case.forward(x, gamma, beta, eps=eps)
    whole = (1, -1, *(1,) * (x.ndim - 2))
    assert (y == beta.reshape(whole)).all()
    assert (cache.var == 0).all()
    assert (cache.mean.ravel() == x.ravel()).all()
    dx, dgamma, dbeta = bnlib.norm_backward(dy, cache)
    assert (dx == 0).all()
    assert (dgamma == 0).all()
    np.testing.assert_allclose(dbeta, dy.sum(tuple(a for a in range(x.ndim) if a != 1)), rtol=1e-6)


@pytest.mark.parametrize("name", CENTRED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e4 / 3, 1e-40])
def test_constant_feature_without_eps_gives_beta(name: str, dtype: Any, value: float) -> None:
    case = Case(name, (37, 6, 7), {"groups": 2} if name == "group" else {}, _torch_batch)
    _, gamma, beta, dy = case.arrays(dtype)
    x = np.full(case.shape, value, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, cache = case.forward(x, gamma, beta, eps=0.0)
        dx, dgamma, _ = bnlib.norm_backward(dy, cache)
    assert (y == (beta if name == "layer" else beta[:, None])).all()
    assert (cache.var == 0).all()
    np.testing.assert_allclose(cache.mean, x.flat[0])
    assert (dx == 0).all()
    assert (dgamma == 0).all()


def test_constant_feature_beside_others_in_a_large_array() -> None:
    x = np.random.default_rng(3).standard_normal((LARGE // 8, 16)).astype(np.float32)
    x[:, 5] = 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, cache = bnlib.batch_norm(x, eps=0.0)
        dx, _, _ = bnlib.norm_backward(x, cache)
    assert (y[:, 5] == 0).all()
    assert (dx[:, 5] == 0).all()
    assert (cache.var > 0).sum() == 15


def test_rms_norm_of_zeros_without_eps() -> None:
    y, cache = bnlib.rms_norm(np.zeros((2, 3)), eps=0.0)
    assert (y == 0).all()
    assert (bnlib.norm_backward(np.ones((2, 3)), cache)[0] == 0).all()


# --- float32, and what a norm leaves alone --------------------------------------------------------------


@named(CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_shapes_and_statistics(case: Case, dtype: Any) -> None:
    x, gamma, beta, dy = case.arrays(dtype)
    y, cache = case.forward(x, gamma, beta, eps=1e-5)
    results = (y, *bnlib.norm_backward(dy, cache))
    assert [r.dtype for r in (*results, cache.mean, cache.var)] == [np.dtype(dtype)] * 6
    assert [r.shape for r in results] == [x.shape, x.shape, gamma.shape, beta.shape]
    group_of = case.options.get("groups", 0)
    together = x.reshape(len(x), group_of, -1) if group_of else x
    norm = CHOICES_OF_AXES[case.name]
    of = {"N": (0,), "C": (1,), "P": tuple(range(2, together.ndim))}
    axes = (2,) if group_of else tuple(sorted(axis for letter in norm.shared for axis in of[letter]))
    if "axis" in case.options:
        axes = tuple(range(case.options["axis"] % x.ndim, together.ndim))
    mean = together.mean(axes) if case.name != "rms" else np.zeros(len(x))
    var = together.var(axes) if case.name != "rms" else np.square(x).mean(axes)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(cache.mean, mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(cache.var, var, rtol=tolerance, atol=tolerance)


@named([case for case in CASES if case.name != "rms" and np.prod(case.shape) > 8])
def test_float32_at_mean_1e4_keeps_its_digits(case: Case) -> None:
    x, gamma, beta, dy = case.arrays(np.float32)
    x = (x + np.float32(1e4)).astype(np.float32)
    y, cache = case.forward(x, gamma, beta, eps=1e-5)
    wide = [array.astype(np.float64) for array in (x, gamma, beta)]
    exact, exact_cache = case.forward(*wide, eps=1e-5)
    np.testing.assert_allclose(y, exact, atol=2e-5)
    np.testing.assert_allclose(cache.var, exact_cache.var, rtol=1e-5)
    np.testing.assert_allclose(cache.mean, exact_cache.mean, rtol=1e-7)
    expected = bnlib.norm_backward(dy.astype(np.float64), exact_cache)
    for ours, theirs in zip(bnlib.norm_backward(dy, cache), expected, strict=True):
        # Two elements almost cancel: their dx is small against the rounding of its terms.
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max() + 1e-6)


@named(CASES)
def test_arguments_stay_unchanged_and_the_cache_can_be_used_again(case: Case) -> None:
    arrays = case.arrays()
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    *inputs, dy = arrays
    y, cache = case.forward(*inputs, eps=1e-5)
    y *= 0  # y belongs to the caller, who may use up its memory
    first = bnlib.norm_backward(dy, cache)
    kept = [gradient.copy() for gradient in first]
    for gradient in first:
        gradient *= 0
    second = bnlib.norm_backward(dy, cache)
    assert all((a == b).all() for a, b in zip(kept, second, strict=True))
    assert all((a == b).all() for a, b in zip(arrays, before, strict=True))


@named(CASES)
def test_memory_order_does_not_matter(case: Case) -> None:
    x, gamma, beta, dy = case.arrays()
    y, cache = case.forward(x, gamma, beta, eps=1e-5)
    other_y, other_cache = case.forward(np.asfortranarray(x), gamma, beta, eps=1e-5)
    np.testing.assert_allclose(other_y, y, atol=1e-12)
    pairs = zip(
        bnlib.norm_backward(np.asfortranarray(dy), other_cache), bnlib.norm_backward(dy, cache), strict=True
    )
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


# --- the core, with the replica axis of the training engine ---------------------------------------------


@pytest.mark.parametrize("name", ["batch", "layer", "rms", "group"])
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("shared_gamma", [False, True])
def test_core_treats_replicas_apart(name: str, replicas: int, shared_gamma: bool) -> None:
    rng = np.random.default_rng(4)
    split = (2, 3) if name == "group" else (6,)
    x, dy = rng.standard_normal((2, replicas, 5, *split))
    gamma, beta = rng.standard_normal((2, 1 if shared_gamma else replicas, 1, *split))
    axes = {"batch": (1,), "group": (3,)}.get(name, (2,))
    y, cache = normalize(x, axes, gamma, beta, 0.1, centre=name != "rms")
    dx, dgamma, dbeta = normalize_backward(dy, cache)
    assert dgamma.shape == dbeta.shape == gamma.shape
    sums = np.zeros((2, replicas, 6))
    for r in range(replicas):
        g, b = (array[0 if shared_gamma else r].reshape(6) for array in (gamma, beta))
        options = {"groups": 2} if name == "group" else {}
        one, one_cache = CHOICES_OF_AXES[name].forward(x[r].reshape(5, 6), g, b, eps=0.1, **options)
        one_dx, sums[0, r], sums[1, r] = bnlib.norm_backward(dy[r].reshape(5, 6), one_cache)
        np.testing.assert_allclose(y[r].reshape(5, 6), one, atol=1e-12)
        np.testing.assert_allclose(dx[r].reshape(5, 6), one_dx, atol=1e-12)
    if shared_gamma:
        sums = sums.sum(1, keepdims=True)
    np.testing.assert_allclose(dgamma.reshape(-1, 6), sums[0], atol=1e-12)
    np.testing.assert_allclose(dbeta.reshape(-1, 6), sums[1], atol=1e-12)


def test_core_on_images_with_a_replica_axis() -> None:
    rng = np.random.default_rng(5)
    x, dy = rng.standard_normal((2, 2, 3, 4, 5, 6))
    gamma, beta = rng.standard_normal((2, 2, 1, 4, 1, 1))
    y, cache = normalize(x, (1, 3, 4), gamma, beta, 0.1)
    dx, dgamma, _ = normalize_backward(dy, cache)
    for r in range(2):
        one, one_cache = bnlib.batch_norm(x[r], gamma[r].ravel(), beta[r].ravel(), eps=0.1)
        one_dx, one_dgamma, _ = bnlib.norm_backward(dy[r], one_cache)
        np.testing.assert_allclose(y[r], one, atol=1e-12)
        np.testing.assert_allclose(dx[r], one_dx, atol=1e-12)
        np.testing.assert_allclose(dgamma[r].ravel(), one_dgamma, atol=1e-12)


@pytest.mark.parametrize("axes", [(1,), (2,), (3,), (2, 3), (1, 3)])
@pytest.mark.parametrize("affine_axes", [(1,), (1, 3)])
def test_replicas_side_by_side_are_the_same_to_the_last_bit(axes: Any, affine_axes: Any) -> None:
    rng = np.random.default_rng(7)
    x, dy = rng.standard_normal((2, 3, 7, 11, 33), dtype=np.float32)
    shape = tuple(1 if a in affine_axes else n for a, n in enumerate(x.shape))
    gamma, beta = rng.standard_normal((2, *shape), dtype=np.float32)
    y, cache = normalize(x, axes, gamma, beta, 1e-5)
    together = (y, *normalize_backward(dy, cache))
    for r in (slice(0, 1), slice(2, 3)):
        one, one_cache = normalize(x[r], axes, gamma[r], beta[r], 1e-5)
        for ours, alone in zip(together, (one, *normalize_backward(dy[r], one_cache)), strict=True):
            assert (ours[r] == alone).all()


def test_a_diverged_replica_leaves_the_others_alone() -> None:
    x = np.random.default_rng(6).standard_normal((3, 8, 4))
    bad = x.copy()
    bad[1, 2, 3] = np.nan
    gamma = np.ones((3, 1, 4))
    for axes in ((1,), (2,)):
        with np.errstate(all="ignore"):
            y, cache = normalize(bad, axes, gamma, gamma, 1e-5)
            dx = normalize_backward(x, cache)[0]
        good, good_cache = normalize(x, axes, gamma, gamma, 1e-5)
        assert (y[[0, 2]] == good[[0, 2]]).all()
        assert (dx[[0, 2]] == normalize_backward(x, good_cache)[0][[0, 2]]).all()
        assert np.isnan(y[1]).any()


# --- bad input ------------------------------------------------------------------------------------------

X = np.ones((2, 12))
ONES = np.ones(12)
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "ints": (
        lambda: bnlib.batch_norm(X.astype("i8")),
        r"batch_norm: x has dtype int64.*try np.asarray\(x, np.float64\)$",
    ),
    "half": (
        lambda: bnlib.rms_norm(X.astype(np.float16)),
        r"rms_norm: x has dtype float16.*\(x, np.float32\)",
    ),
    "one axis": (lambda: bnlib.batch_norm(X[0]), r"x has shape \(12,\).*np.reshape\(x, \(-1, 1\)\)"),
    "no axis": (lambda: bnlib.layer_norm(X[0, 0]), r"layer_norm: x has shape \(\)"),
    "empty": (lambda: bnlib.batch_norm(X[:0]), r"x has shape \(0, 12\).*drop empty"),
    "eps negative": (lambda: bnlib.instance_norm(X, eps=-1e-5), "instance_norm: eps=-1e-05.*try 1e-5"),
    "eps nan": (lambda: bnlib.group_norm(X, groups=2, eps=float("nan")), "group_norm: eps=nan"),
    "eps inf": (lambda: bnlib.layer_norm(X, eps=float("inf")), "layer_norm: eps=inf"),
    "eps None": (lambda: bnlib.batch_norm(X, eps=None), "eps=None"),
    "gamma shape": (lambda: bnlib.batch_norm(X, ONES[:5]), r"gamma has shape \(5,\).*needs \(12,\); pass"),
    "gamma column": (lambda: bnlib.batch_norm(X, ONES[:, None]), r"gamma has shape \(12, 1\)"),
    "beta shape": (lambda: bnlib.layer_norm(X, ONES, ONES[:1]), r"layer_norm: beta has shape \(1,\)"),
    "gamma dtype": (lambda: bnlib.rms_norm(X, ONES.astype("f4")), "gamma has dtype float32.*x has float64"),
    "beta dtype": (lambda: bnlib.batch_norm(X.astype("f4"), beta=ONES), r"np.asarray\(beta, np.float32\)"),
    "groups": (
        lambda: bnlib.group_norm(X, groups=5),
        "^group_norm: groups=5 does not divide 12 channels; try 1, 2, 3, 4, 6 or 12$",
    ),
    "groups of one": (lambda: bnlib.group_norm(X[:, :1], groups=3), "1 channels; try 1$"),
    "groups zero": (lambda: bnlib.group_norm(X, groups=0), "groups=0 does not divide"),
    "groups float": (lambda: bnlib.group_norm(X, groups=2.5), "groups=2.5 does not divide"),
    "axis zero": (lambda: bnlib.layer_norm(X, axis=0), r"axis=0 is none of 1 to 1.*axis 0 is the batch"),
    "axis large": (lambda: bnlib.rms_norm(X, axis=2), "rms_norm: axis=2 is none of 1 to 1"),
    "axis negative": (lambda: bnlib.layer_norm(X, axis=-2), "axis=-2"),
    "axis float": (lambda: bnlib.layer_norm(X, axis=1.5), "axis=1.5"),
    "mean shape": (lambda: bnlib.batch_norm_inference(X, ONES[:3], ONES), r"mean has shape \(3,\)"),
    "var negative": (lambda: bnlib.batch_norm_inference(X, ONES, -ONES), "var contains -1.0"),
    "var dtype": (lambda: bnlib.batch_norm_inference(X, ONES, ONES.astype("f2")), "var has dtype float16"),
    "dy shape": (
        lambda: bnlib.norm_backward(X[:1], bnlib.batch_norm(X)[1]),
        r"dy has shape \(1, 12\), but x had \(2, 12\)",
    ),
    "dy dtype": (
        lambda: bnlib.norm_backward(X.astype("f4"), bnlib.batch_norm(X)[1]),
        r"dy has dtype float32, but x had float64; try np.asarray\(dy, np.float64\)",
    ),
    "no cache": (lambda: bnlib.norm_backward(X, bnlib.batch_norm(X)), "cache is a tuple.*y, cache = "),
}


@pytest.mark.parametrize("what", ERRORS)
def test_bad_input_says_what_came_what_is_right_and_what_to_try(what: str) -> None:
    call, message = ERRORS[what]
    with pytest.raises(ValueError, match=message):
        call()


# --- the table ------------------------------------------------------------------------------------------


def test_every_norm_of_the_table_is_tested_and_describes_itself() -> None:
    assert {case.name for case in CASES} == set(CHOICES_OF_AXES)
    for name, norm in CHOICES_OF_AXES.items():
        assert norm.forward.__name__ == f"{name}_norm"
        assert norm.forward is getattr(bnlib, f"{name}_norm")
        assert norm.summary
        code = norm.forward.__code__
        keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        assert set(keywords) - {"axis", "mask"} == set(norm.options) - {"norm_batch"}, (
            "what the engine adds itself"
        )
