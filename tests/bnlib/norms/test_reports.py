"""What users report of norms: odd inputs get the right answer, or a sentence that leads to it."""

import itertools
import pickle
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bnlib import norms
from bnlib.norms import RunningStats, norm_backward, relative_backward
from bnlib.norms.relatives import RelativeCache
from tests.bnlib.checks import CHOICES_OF_AXES, check_differences

RNG = np.random.default_rng


def close(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def same(one: Any, other: Any) -> None:
    """Compare what two calls returned: arrays, caches' statistics, or running statistics."""
    if isinstance(one, RunningStats):
        same((one.mean, one.var), (other.mean, other.var))
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            same(left, right)
    elif isinstance(one, dict):
        same(list(one.values()), [other[name] for name in one])
    elif isinstance(one, np.ndarray):
        close(one, other)


# --- masked arrays, and other things that aren't float arrays -------------------------------------------

X = RNG(0).standard_normal((4, 6, 5))
V = RNG(1).uniform(0.5, 2, 6)
STATS = RunningStats.zeros(6)
FEATURES = RNG(2).standard_normal((6, 5))
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "batch_norm": (norms.batch_norm, {"x": X, "gamma": V, "beta": V}),
    "layer_norm": (norms.layer_norm, {"x": X, "gamma": FEATURES, "beta": FEATURES}),
    "rms_norm": (norms.rms_norm, {"x": X, "gamma": FEATURES, "beta": FEATURES}),
    "group_norm": (lambda **a: norms.group_norm(**a, groups=3), {"x": X, "gamma": V, "beta": V}),
    "instance_norm": (norms.instance_norm, {"x": X, "gamma": V, "beta": V}),
    "ghost_batch_norm": (lambda **a: norms.ghost_batch_norm(**a, size=2), {"x": X, "gamma": V, "beta": V}),
    "batch_norm_inference": (
        norms.batch_norm_inference,
        {"x": X, "mean": V, "var": V, "gamma": V, "beta": V},
    ),
    "frozen_batch_norm": (norms.frozen_batch_norm, {"x": X, "mean": V, "var": V, "gamma": V, "beta": V}),
    "batch_renorm": (norms.batch_renorm, {"x": X, "mean": V, "var": V, "gamma": V, "beta": V}),
    "running_norm": (norms.running_norm, {"x": X, "mean": V, "var": V, "gamma": V, "beta": V}),
    "filter_response_norm": (norms.filter_response_norm, {"x": X, "tau": V, "gamma": V, "beta": V}),
    "dynamic_tanh": (norms.dynamic_tanh, {"x": X, "alpha": V[:1], "gamma": V, "beta": V}),
    "norm_backward": (lambda dy: norm_backward(dy, norms.batch_norm(X)[1]), {"dy": X}),
    "relative_backward": (lambda dy: relative_backward(dy, norms.dynamic_tanh(X)[1]), {"dy": X}),
    "sharded_batch_norm": (lambda x: norms.sharded_batch_norm([x, X]), {"x": X}),
    "sharded_backward": (
        lambda dy: norms.sharded_backward([dy], norms.sharded_batch_norm([X])[1]),
        {"dy": X},
    ),
    "combine_moments": (
        lambda means, variances: norms.combine_moments(means, variances, [2, 3]),
        {"means": np.stack([V, V]), "variances": np.stack([V, V])},
    ),
    "RunningStats": (RunningStats, {"mean": V, "var": V}),
    "RunningStats.update": (lambda mean, var: STATS.update(mean, var, 8), {"mean": V, "var": V}),
}
ARGUMENTS = [(name, label) for name, (_, arguments) in CALLS.items() for label in arguments]
HAS_MASK = ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "ghost_batch_norm")


def outcome(result: Any) -> Any:
    """Arrays alone: what a norm returned, and its gradients."""
    if isinstance(result, tuple) and hasattr(result[1], "core"):
        undo = relative_backward if isinstance(result[1], RelativeCache) else norm_backward
        return [result[0], *undo(result[0], result[1])]
    return result


@pytest.mark.parametrize("name, label", ARGUMENTS)
def test_masked_arrays_are_refused(name: str, label: str) -> None:
    function, arguments = CALLS[name]
    function(**arguments)
    masked = np.ma.array(arguments[label], mask=arguments[label] > 1)
    for odd in (masked, list(masked), np.ma.array(arguments[label])):
        with pytest.raises(ValueError, match=f"{label} has masked elements, which would count like any"):
            function(**arguments | {label: odd})


@pytest.mark.parametrize("name, label", ARGUMENTS)
def test_lists_torch_and_pandas_give_what_arrays_give(name: str, label: str) -> None:
    function, arguments = CALLS[name]
    expected = outcome(function(**arguments))
    plain = arguments[label]
    for odd in (plain.tolist(), torch.tensor(plain), np.asarray(plain, order="F"), plain.astype(object)):
        if isinstance(odd, np.ndarray) and odd.dtype == object:
            with pytest.raises(ValueError, match=f"{label} has dtype object"):
                function(**arguments | {label: odd})
        else:
            same(outcome(function(**arguments | {label: odd})), expected)
    if plain.ndim == 1:
        same(outcome(function(**arguments | {label: pd.Series(plain)})), expected)


@pytest.mark.parametrize("name, label", ARGUMENTS)
@pytest.mark.parametrize(
    "odd", ["int", "half", "complex", "text", "ragged", "gradient", "bfloat16", "missing"]
)
def test_what_is_no_float_array_is_refused_in_words(name: str, label: str, odd: str) -> None:
    function, arguments = CALLS[name]
    plain = arguments[label]
    value = {
        "int": lambda: plain.astype(int),
        "half": lambda: plain.astype(np.float16),
        "complex": lambda: plain + 1j,
        "text": lambda: plain.astype(str),
        "ragged": lambda: [[1.0], [2.0, 3.0]],
        "gradient": lambda: torch.tensor(plain, requires_grad=True),
        "bfloat16": lambda: torch.tensor(plain).to(torch.bfloat16),
        "missing": lambda: [None] * len(plain),
    }[odd]()
    with pytest.raises(ValueError, match=f"{label} (has|is) .*; (try|pass) "):
        function(**arguments | {label: value})


def test_a_mask_is_a_way_out_of_a_masked_array() -> None:
    x = np.ma.array([[0.0], [2.0], [4.0]], mask=[[True], [False], [False]])
    for odd in (x, list(x)):
        with pytest.raises(ValueError) as caught:
            norms.batch_norm(odd)
        array = "x" if odd is x else "np.ma.asarray(x)"
        fix = f"{array}.filled(0) and mask=~np.ma.getmaskarray({array})"
        assert str(caught.value).endswith(f"pass {fix}")
        filled, mask = (eval(code, {"np": np, "x": odd}) for code in fix.split(" and mask="))
        assert norms.batch_norm(filled, mask=mask)[1].mean.tolist() == [3.0]


def test_only_functions_with_a_mask_lead_to_it() -> None:
    for name, (function, arguments) in CALLS.items():
        label = next(iter(arguments))
        with pytest.raises(ValueError) as caught:
            function(**arguments | {label: np.ma.array(arguments[label])})
        assert ("mask=" in str(caught.value)) == (name in HAS_MASK)
        assert (".filled(...)" in str(caught.value)) == (name not in HAS_MASK)


def test_two_readings_of_one_frame() -> None:
    frame = pd.DataFrame(X[:, :, 0])
    same(outcome(norms.batch_norm(frame)), outcome(norms.batch_norm(X[:, :, 0])))
    with pytest.raises(ValueError, match=r"x has dtype object.*np.asarray\(x, np.float64\)"):
        norms.batch_norm(frame.astype("Float64").where(frame > 0))


NORMS_ALONE = {name: call for name, call in CALLS.items() if "x" in call[1] and "inference" not in name}


@pytest.mark.parametrize("name", [name for name in NORMS_ALONE if name != "sharded_batch_norm"])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5), (4, 6, 6000)], ids=str)
def test_arguments_may_be_changed_before_the_backward_pass(name: str, shape: tuple[int, ...]) -> None:
    function, arguments = CALLS[name]
    copies = {label: array.copy() for label, array in arguments.items()}
    copies["x"] = RNG(3).standard_normal(shape)
    if name in ("layer_norm", "rms_norm"):
        copies |= {label: RNG(4).standard_normal(shape[1:]) for label in ("gamma", "beta")}
    y, cache = function(**copies)
    undo = relative_backward if isinstance(cache, RelativeCache) else norm_backward
    before = undo(y, cache), [np.copy(array) for array in (cache.mean, cache.var) if array is not None]
    for array in copies.values():
        array *= 2
    same((undo(y, cache), [array for array in (cache.mean, cache.var) if array is not None]), before)


def test_a_mask_and_shards_may_be_changed_before_the_backward_pass() -> None:
    x, mask, gamma = X.copy(), RNG(3).random(X.shape) < 0.6, V.copy()
    _, cache = norms.batch_norm(x, gamma, mask=mask)
    ys, shards = norms.sharded_batch_norm([x[:1], x[1:]], gamma)
    before = norm_backward(X, cache), norms.sharded_backward(ys, shards)
    x *= 2
    gamma *= 2
    mask ^= True
    same((norm_backward(X, cache), norms.sharded_backward(ys, shards)), before)


# --- padding --------------------------------------------------------------------------------------------

N, C, T = 4, 6, 5
LENGTHS = np.array([5, 3, 1, 2])
MASK = (np.arange(T) < LENGTHS[:, None])[:, None]  # (N, 1, T)
GROUPS, SIZE = 3, 2


def forward(name: str, x: Any, gamma: Any, beta: Any, **options: Any) -> Any:
    if name == "group":
        options["groups"] = GROUPS
    if name == "positions":  # layer norm over the channels of each position
        return norms.layer_norm(x, gamma, beta, axis=(1,), **options)
    if name == "ghost":
        return norms.ghost_batch_norm(x, gamma, beta, size=SIZE, **options)
    return getattr(norms, f"{name}_norm")(x, gamma, beta, **options)


def sets_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Number the sets of elements that share a mean, each element by that of its set."""
    n, c, t = np.indices(shape)
    return {
        "batch": c,
        "layer": n,
        "rms": n,
        "instance": n * shape[1] + c,
        "group": n * GROUPS + c // (shape[1] // GROUPS),
        "positions": n * shape[2] + t,
        "ghost": n % (shape[0] // SIZE) * shape[1] + c,
    }[name]


def affine_of(name: str, seed: int, shape: tuple[int, ...] = (N, C, T)) -> np.ndarray:
    of = shape[1:] if name in ("layer", "rms") else shape[1:2]
    return RNG(seed).standard_normal((2, *of))


MASKED = ("batch", "layer", "rms", "instance", "group", "positions", "ghost")
ANY_MASK = RNG(5).random((N, C, T)) < 0.6
ANY_MASK[1, 2] = ANY_MASK[:, 4] = ANY_MASK[2] = ANY_MASK[3, :, 1] = False
MASKS = {
    "padded": MASK,
    "per element": ANY_MASK,
    "one sample": np.arange(N)[:, None, None] == 2,
    "all": np.ones((1, 1, 1), bool),
}
EVERY_MASK = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def slowly(name: str, x: Any, gamma: Any, beta: Any, dy: Any, mask: Any, eps: float) -> list[np.ndarray]:
    """Normalize set after set, each with its elements that count alone, by PyTorch's own arithmetic."""
    keep, sets = np.broadcast_to(mask, x.shape), sets_of(name, x.shape)
    inputs = [torch.tensor(array, requires_grad=True) for array in (x, gamma, beta)]
    wide = [p if p.ndim > 1 else p[:, None] for p in inputs[1:]]
    xhat = torch.zeros(x.shape, dtype=torch.float64)
    for number in np.unique(sets):
        own = torch.tensor((sets == number) & keep)
        if own.any():
            values = inputs[0][own]
            centred = values if name == "rms" else values - values.mean()
            xhat = xhat.masked_scatter(own, centred / (centred.square().mean() + eps).sqrt())
    y = torch.where(torch.tensor(keep), xhat * wide[0] + wide[1], 0.0)
    found = torch.autograd.grad(y, inputs, torch.tensor(np.where(keep, dy, 0.0)), allow_unused=True)
    return [y.detach().numpy(), *(d.numpy() for d in found)]


@pytest.mark.parametrize("name", MASKED)
@EVERY_MASK
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_padding_does_not_count(name: str, mask: np.ndarray, eps: float) -> None:
    rng = RNG(6)
    x, dy = 3 * rng.standard_normal((N, C, T)) + 5, rng.standard_normal((N, C, T))
    gamma, beta = affine_of(name, 7)
    keep = np.broadcast_to(mask, x.shape)
    expected = slowly(name, x, gamma, beta, dy, mask, eps)
    for junk in (1e9, np.nan, np.inf, -np.inf):
        dirty_x, dirty_dy = np.where(keep, x, junk), np.where(keep, dy, junk)
        y, cache = forward(name, dirty_x, gamma, beta, mask=mask, eps=eps)
        found = norm_backward(dirty_dy, cache)
        for ours, theirs in zip((y, *found), expected, strict=True):
            close(ours, theirs, 1e-9)
        assert (y[~keep] == 0).all()
        assert (found[0][~keep] == 0).all()
    sets = sets_of(name, x.shape)
    for number, (mean, var, count) in enumerate(
        zip(cache.mean.flat, cache.var.flat, cache.count.flat, strict=True)
    ):
        own = x[(sets == number) & keep]
        assert count == len(own)
        if name == "rms":
            close((mean, var), (0, np.square(own).mean() if len(own) else 0))
        else:
            close((mean, var), (own.mean(), own.var()) if len(own) else (0, 0))


@pytest.mark.parametrize("name", MASKED)
def test_gradients_with_padding_agree_with_central_differences(name: str) -> None:
    x, dy = RNG(8).standard_normal((2, 2, 6, 3))
    mask = np.array([[[True, True, False]], [[True, False, False]]])
    gamma, beta = affine_of(name, 9, x.shape)
    found = norm_backward(dy, forward(name, x, gamma, beta, mask=mask, eps=0.3)[1])
    for array, gradient in zip((x, gamma, beta), found, strict=True):
        check_differences(
            lambda: float(np.vdot(dy, forward(name, x, gamma, beta, mask=mask, eps=0.3)[0])), array, gradient
        )


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_of_ones_changes_nothing(name: str, dtype: Any) -> None:
    x, dy = RNG(10).standard_normal((2, N, C, T)).astype(dtype)
    gamma, beta = affine_of(name, 11).astype(dtype)
    for affine in itertools.product((gamma, None), (beta, None)):
        y, cache = forward(name, x, *affine)
        ones, masked = forward(name, x, *affine, mask=np.ones((N, 1, 1), bool))
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        results = (y, cache.mean, cache.var, *norm_backward(dy, cache))
        others = (ones, masked.mean, masked.var, *norm_backward(dy, masked))
        for one, other in zip(results, others, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                close(other, one, tolerance)
                assert other.dtype == dtype and other.shape == one.shape
        assert (masked.count == cache.count).all() and masked.count.shape == cache.mean.shape


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, -1e4 / 3, 0.0])
def test_constant_features_with_padding_give_beta(name: str, dtype: Any, value: float) -> None:
    x = np.where(MASK, dtype(value), np.nan).astype(dtype) * np.ones((N, C, T), dtype)
    gamma, beta = affine_of(name, 12).astype(dtype)
    y, cache = forward(name, x, gamma, beta, mask=MASK, eps=0.0)
    expected = np.broadcast_to(beta if beta.ndim > 1 else beta[:, None], y.shape)
    if name == "rms":
        expected = expected + np.sign(value) * gamma
    np.testing.assert_allclose(y, np.where(MASK, expected, 0), rtol=1e-6, atol=1e-6)
    dx = norm_backward(RNG(0).standard_normal(x.shape).astype(dtype), cache)[0]
    if name != "rms":
        assert (y == np.where(MASK, expected, 0)).all()
        assert (dx == 0).all()


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("dtype, scales", [(np.float32, (1e-23, 1e20)), (np.float64, (1e-170, 1e200))])
def test_padded_arrays_of_any_size_keep_their_digits(
    name: str, dtype: Any, scales: tuple[float, ...]
) -> None:
    x, dy = RNG(13).standard_normal((2, N, C, T)).astype(dtype)
    y, cache = forward(name, x, None, None, mask=MASK, eps=0.0)
    dx = norm_backward(dy, cache)[0]
    for scale in map(dtype, scales):
        large, its_cache = forward(name, x * scale, None, None, mask=MASK, eps=0.0)
        close(large, y, 1e-5 if dtype == np.float32 else 1e-12)
        close(norm_backward(dy, its_cache)[0] * scale, dx, 1e-4 if dtype == np.float32 else 1e-11)


def test_padded_float32_at_mean_1e4_keeps_its_digits() -> None:
    x = (RNG(14).standard_normal((N, C, T)) + 1e4).astype(np.float32)
    y, cache = norms.batch_norm(x, mask=MASK)
    exact, wide = norms.batch_norm(x.astype(float), mask=MASK)
    np.testing.assert_allclose(y, exact, atol=1e-6)
    np.testing.assert_allclose(cache.var, wide.var, rtol=1e-6)


def test_running_statistics_of_padded_sequences() -> None:
    stats = RunningStats.zeros(C)
    x = RNG(15).standard_normal((N, C, T))
    _, cache = norms.batch_norm(x, mask=ANY_MASK)
    after = stats.update(cache.mean, cache.var, cache.count)
    for c in range(C):
        own = x[:, c][ANY_MASK[:, c]]
        if len(own):
            close(after.mean[c], 0.1 * own.mean())
            close(after.var[c], 0.9 + 0.1 * own.var(ddof=1))
        else:
            assert (after.mean[c], after.var[c]) == (0, 1)
    assert (cache.count == 0).any()
    assert after.steps.tolist() == (cache.count > 0).tolist()


def test_padded_batch_norm_is_batch_norm_of_the_sequences_end_to_end() -> None:
    x, dy = RNG(16).standard_normal((2, N, C, T))
    gamma, beta = affine_of("batch", 17)

    def joined(a: np.ndarray) -> np.ndarray:
        return np.concatenate([a[n, :, :length] for n, length in enumerate(LENGTHS)], axis=1)[None]

    inputs = [torch.tensor(a, requires_grad=True) for a in (joined(x), gamma, beta)]
    running = torch.zeros(C, dtype=torch.float64), torch.ones(C, dtype=torch.float64)
    expected = F.batch_norm(inputs[0], *running, *inputs[1:], training=True)
    gradients = torch.autograd.grad(expected, inputs, torch.tensor(joined(dy)))
    y, cache = norms.batch_norm(x, gamma, beta, mask=MASK)
    dx, dgamma, dbeta = norm_backward(dy, cache)
    close(joined(y), expected.detach().numpy())
    for ours, theirs in zip((joined(dx), dgamma, dbeta), gradients, strict=True):
        close(ours, theirs.numpy())
    stats = RunningStats.zeros(C).update(cache.mean, cache.var, cache.count)
    close(stats.mean, running[0].numpy())
    close(stats.var, running[1].numpy())


def test_padding_leaves_arguments_alone_and_the_cache_can_be_used_again() -> None:
    x, dy = RNG(18).standard_normal((2, N, C, T))
    mask, gamma = MASK.copy(), np.ones(C)
    before = [a.copy() for a in (x, dy, mask, gamma)]
    for a in (x, dy, mask, gamma):
        a.flags.writeable = False
    y, cache = norms.batch_norm(x, gamma, mask=mask)
    y *= 0
    first = norm_backward(dy, pickle.loads(pickle.dumps(cache)))
    for one, other in zip(first[:2], norm_backward(dy, cache)[:2], strict=True):
        assert (one == other).all()
    assert all((a == b).all() for a, b in zip((x, dy, mask, gamma), before, strict=True))


# --- any set of axes ------------------------------------------------------------------------------------

AXES = [(1,), (0,), (2,), (0, 1), (0, 2), (1, 3), (0, 2, 3), (2, 3), (0, 1, 2, 3), (3, 1), (-1, -3), [2, 1]]


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("centre", [True, False], ids=["layer", "rms"])
def test_layer_and_rms_norm_over_any_axes_agree_with_torch(axis: Any, centre: bool) -> None:
    x, dy = RNG(20).standard_normal((2, 2, 3, 4, 5)) + 1
    axes = tuple(sorted(a % 4 for a in axis))
    others = tuple(a for a in range(4) if a not in axes)
    shape = tuple(x.shape[a] for a in axes)
    gamma, beta = RNG(21).standard_normal((2, *shape))
    inputs = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    last = inputs[0].permute(*others, *axes)
    if centre:
        expected = F.layer_norm(last, shape, *inputs[1:], 0.1)
    else:
        expected = F.rms_norm(last, shape, inputs[1], 0.1) + inputs[2]
    expected = expected.permute(*np.argsort(others + axes).tolist())
    gradients = torch.autograd.grad(expected, inputs, torch.tensor(dy))
    function = norms.layer_norm if centre else norms.rms_norm
    y, cache = function(x, gamma, beta, eps=0.1, axis=axis)
    close(y, expected.detach().numpy())
    for ours, theirs in zip(norm_backward(dy, cache), gradients, strict=True):
        close(ours, theirs.numpy())
    assert cache.mean.shape == tuple(x.shape[a] for a in others)
    close(cache.mean, x.mean(axes) if centre else 0)
    close(cache.var, x.var(axes) if centre else np.square(x).mean(axes))
    assert cache.count == np.prod(shape)


@pytest.mark.parametrize("shape", [(70, 40, 30), (3, 70_000)], ids=str)
@pytest.mark.parametrize("axis", [(1,), (0, 1), (0,), 1], ids=str)
def test_large_arrays_over_any_axes(shape: tuple[int, ...], axis: Any) -> None:
    x, dy = RNG(22).standard_normal((2, *shape))
    y, cache = norms.layer_norm(x, axis=axis)
    axes = tuple(range(1, x.ndim)) if axis == 1 else axis
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    xhat = (x - mean) / np.sqrt(var + 1e-5)
    close(y, xhat, 1e-9)
    slope = dy - dy.mean(axes, keepdims=True) - xhat * (dy * xhat).mean(axes, keepdims=True)
    close(norm_backward(dy, cache)[0], slope / np.sqrt(var + 1e-5), 1e-9)


# --- running statistics ---------------------------------------------------------------------------------


def test_momentum_None_averages_all_batches_as_torch_does() -> None:
    norm = torch.nn.BatchNorm1d(C, momentum=None, dtype=torch.float64)
    stats = RunningStats.zeros(C, momentum=None)
    batches = 3 * RNG(23).standard_normal((6, 7, C)) + 1
    for x in batches:
        norm(torch.tensor(x))
        _, cache = norms.batch_norm(x)
        stats = stats.update(cache.mean, cache.var, cache.count)
        close(stats.mean, norm.running_mean.numpy())
        close(stats.var, norm.running_var.numpy())
    close(stats.mean, batches.mean((0, 1)))
    close(stats.var, batches.var(1, ddof=1).mean(0))
    assert (stats.steps, stats.weight, stats.var_weight) == (6, 0, 0)
    same(stats.corrected, stats)


def test_momentum_None_goes_on_from_where_another_one_stood() -> None:
    norm = torch.nn.BatchNorm1d(C, momentum=0.1, dtype=torch.float64)
    stats = RunningStats.zeros(C, momentum=0.9)
    for step, x in enumerate(RNG(24).standard_normal((6, 7, C))):
        if step == 3:
            norm.momentum, stats = None, replace(stats, momentum=None)
        norm(torch.tensor(x))
        _, cache = norms.batch_norm(x)
        stats = stats.update(cache.mean, cache.var, cache.count)
        close(stats.mean, norm.running_mean.numpy())
        close(stats.var, norm.running_var.numpy())
    close(stats.weight, 0.9**3 * 3 / 4 * 4 / 5 * 5 / 6)


MOMENTA = st.sampled_from([0.0, 0.3, 0.9, 0.99, None])


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.tuples(MOMENTA, st.integers(1, 5)), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_corrected_statistics_are_weighted_means_of_the_batches_alone(steps: Any, seed: int) -> None:
    rng, stats = RNG(seed), RunningStats.zeros(2)
    shares, var_shares, means, variances = np.zeros(0), np.zeros(0), [], []
    spread = 0
    for number, (momentum, count) in enumerate(steps):
        mean, var = rng.standard_normal(2), rng.uniform(0.5, 2, 2)
        stats = replace(stats, momentum=momentum).update(mean, var, count)
        keep = number / (number + 1) if momentum is None else momentum
        shares, means = np.append(keep * shares, 1 - keep), [*means, mean]
        if count > 1:
            keep = spread / (spread + 1) if momentum is None else momentum
            var_shares, variances = (
                np.append(keep * var_shares, 1 - keep),
                [*variances, var * count / (count - 1)],
            )
            spread += 1
    found = stats.corrected
    close(stats.weight, 1 - shares.sum())
    close(stats.var_weight, 1 - var_shares.sum())
    close(found.mean, shares @ np.array(means) / shares.sum(), 1e-9)
    if variances:
        close(found.var, var_shares @ np.array(variances) / var_shares.sum(), 1e-9)
    else:
        assert (found.var == 1).all()
    same(found.corrected, found)


def test_corrected_statistics_after_another_momentum() -> None:
    stats = RunningStats.zeros(1, momentum=0.99)
    for value in [0.0] * 99 + [1.0]:
        stats = stats if value == 0 else replace(stats, momentum=0.5)
        stats = stats.update(np.array([value]), np.array([1.0]), 10)
    close(stats.weight, 0.99**99 / 2)
    close(stats.corrected.mean, 0.5 / (1 - 0.99**99 / 2))
    close(stats.corrected.var, 10 / 9)


def test_channels_that_saw_nothing_stay_as_they_are() -> None:
    for momentum in (0.9, None):
        stats = RunningStats.zeros(3, momentum=momentum)
        alone = [RunningStats.zeros(1, momentum=momentum) for _ in range(3)]
        for counts in ([4, 0, 1], [2, 0, 3], [0, 0, 5], [3, 0, 0]):
            mean, var = RNG(sum(counts)).uniform(1, 2, (2, 3))
            stats = stats.update(
                np.where(counts, mean, np.nan), np.where(counts, var, np.nan), np.array(counts)
            )
            for c, count in enumerate(counts):
                if count:
                    alone[c] = alone[c].update(mean[c : c + 1], var[c : c + 1], count)
        for one, other in ((stats, alone), (stats.corrected, [single.corrected for single in alone])):
            close(one.mean, [single.mean[0] for single in other])
            close(one.var, [single.var[0] for single in other])
        assert stats.steps.tolist() == [3, 0, 3]
        assert stats.var_steps.tolist() == [3, 0, 2]
        assert (stats.mean[1], stats.var[1]) == (0, 1)
        assert (stats.corrected.mean[1], stats.corrected.var[1]) == (0, 1)


def test_an_update_is_computed_in_the_dtype_of_the_statistics() -> None:
    mean, var = RNG(33).uniform(1, 2, (2, 500)).astype(np.float32)
    stats = RunningStats.zeros(500, 0.9, "f4").update(mean, var, 3)
    assert (stats.mean == np.float32(0.9) * np.float32(0) + np.float32(1 - 0.9) * mean).all()
    assert (stats.var == np.float32(0.9) + np.float32((1 - 0.9) * 3 / 2) * var).all()


def test_an_old_constructor_derives_the_weight() -> None:
    mean, var = RNG(25).uniform(1, 2, (2, 3))
    assert RunningStats(mean, var, 0.9, 7).weight == RunningStats(mean, var, 0.9, 7).var_weight == 0.9**7
    assert RunningStats(mean, var, None, 7).weight == 0 and RunningStats(mean, var, None).weight == 1
    assert RunningStats(mean, var, 0.9, 7).mean is mean, "a view stays a view"
    same(RunningStats(mean, var, 0.9, 0, weight=0).update(mean, var, 2).corrected.mean, mean)
    loaded = pickle.loads(pickle.dumps(RunningStats(mean, var, 0.5, 1)))
    assert (loaded.weight, loaded.momentum, loaded.steps) == (0.5, 0.5, 1)
    rows = RunningStats(np.zeros((2, 3)), np.ones((2, 3)), 0.9, 4, weight=np.array([[0.5], [0.0]]))
    close(replace(rows, var=rows.var * 3).corrected.var, [[5] * 3, [3] * 3])


# --- frozen batch norm ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 6), (7, 6), (4, 6, 5), (2, 6, 3, 4), (0, 6, 2), (3000, 6, 5)], ids=str)
@pytest.mark.parametrize("affine", list(itertools.product([True, False], repeat=2)), ids=str)
def test_frozen_batch_norm_agrees_with_torch_in_eval(shape: tuple[int, ...], affine: Any) -> None:
    rng = RNG(26)
    x, dy = rng.standard_normal((2, *shape))
    mean, *pair = rng.standard_normal((3, 6))
    gamma, beta = (array if use else None for array, use in zip(pair, affine, strict=True))
    inputs = {
        name: torch.tensor(a, requires_grad=True)
        for name, a in (("x", x), ("gamma", gamma), ("beta", beta))
        if a is not None
    }
    expected = F.batch_norm(
        inputs["x"], torch.tensor(mean), torch.tensor(V), inputs.get("gamma"), inputs.get("beta"), eps=0.1
    )
    gradients = torch.autograd.grad(expected, list(inputs.values()), torch.tensor(dy))
    y, cache = norms.frozen_batch_norm(x, mean, V, gamma, beta, eps=0.1)
    close(y, expected.detach().numpy())
    close(norms.batch_norm_inference(x, mean, V, gamma, beta, eps=0.1), y)
    found = [d for d in norm_backward(dy, cache) if d is not None]
    for ours, theirs in zip(found, gradients, strict=True):
        assert ours.shape == tuple(theirs.shape)
        close(ours, theirs.numpy(), 1e-8)
    assert [d is not None for d in norm_backward(dy, cache)] == [True, *affine]
    close(cache.mean, mean)
    close(cache.var, V)
    assert cache.count == x.size // 6


def test_frozen_gradients_agree_with_central_differences() -> None:
    rng = RNG(27)
    x, dy = rng.standard_normal((2, 3, 2, 2))
    mean, gamma, beta = rng.standard_normal((3, 2))
    found = norm_backward(dy, norms.frozen_batch_norm(x, mean, V[:2], gamma, beta)[1])
    for array, gradient in zip((x, gamma, beta), found, strict=True):
        check_differences(
            lambda: float(np.vdot(dy, norms.frozen_batch_norm(x, mean, V[:2], gamma, beta)[0])),
            array,
            gradient,
        )


@pytest.mark.parametrize(
    "name", ["batch_norm_inference", "frozen_batch_norm", "batch_renorm", "running_norm"]
)
def test_running_statistics_in_float64_serve_float32(name: str) -> None:
    x = X.astype(np.float32)
    stats = RunningStats.zeros(6).update(V, V, 8)
    found = outcome(getattr(norms, name)(x, stats.mean, stats.var, V.astype(np.float32)))
    wide = outcome(getattr(norms, name)(X, stats.mean, stats.var, V))
    arrays = zip(found, wide, strict=True) if isinstance(found, list) else [(found, wide)]
    for one, other in arrays:
        if isinstance(one, np.ndarray):
            assert one.dtype == np.float32
            close(one, other, 1e-3)


# --- shards ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(8,), (1, 7), (3, 0, 5), (0, 8), (1,) * 8, (4, 4), (0, 1)], ids=str)
@pytest.mark.parametrize("affine", list(itertools.product([True, False], repeat=2)), ids=str)
@pytest.mark.parametrize("positions", [(), (3,), (2, 3)], ids=str)
def test_shards_are_normalized_as_the_whole_batch(sizes: Any, affine: Any, positions: Any) -> None:
    x, dy = 3 * RNG(28).standard_normal((2, sum(sizes), 6, *positions)) + 5
    gamma, beta = (a if use else None for a, use in zip(RNG(29).standard_normal((2, 6)), affine, strict=True))
    cuts = np.cumsum(sizes)[:-1]
    ys, cache = norms.sharded_batch_norm(np.split(x, cuts), gamma, beta, eps=0.1)
    dxs, *sums = norms.sharded_backward(np.split(dy, cuts), cache)
    y, whole = norms.batch_norm(x, gamma, beta, eps=0.1)
    expected = norm_backward(dy, whole)
    assert [len(part) for part in ys] == [len(part) for part in dxs] == list(sizes)
    close(np.concatenate(ys), y)
    close(np.concatenate(dxs), expected[0])
    for ours, theirs in zip(sums, expected[1:], strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            close(ours, theirs)
    close(cache.mean, whole.mean)
    close(cache.var, whole.var)
    assert (cache.count == whole.count).all()
    same(STATS.update(cache.mean, cache.var, cache.count), STATS.update(whole.mean, whole.var, whole.count))


def test_shards_of_other_sizes_of_image_agree_with_torch() -> None:
    rng = RNG(30)
    shapes = [(2, 6, 3, 4), (1, 6, 7), (0, 6, 5, 5), (5, 6), (1, 6, 1, 1)]
    xs, dys = ([rng.standard_normal(shape) for shape in shapes] for _ in range(2))
    gamma, beta = rng.standard_normal((2, 6))
    inputs = [torch.tensor(a, requires_grad=True) for a in (*xs, gamma, beta)]
    joined = torch.cat(
        [a.reshape(len(a), 6, -1 if len(a) else 1).permute(0, 2, 1).reshape(-1, 6) for a in inputs[:5]]
    )
    expected = F.batch_norm(joined, None, None, *inputs[5:], training=True)
    flat_dy = np.concatenate(
        [np.moveaxis(a.reshape(len(a), 6, -1 if len(a) else 1), 1, 2).reshape(-1, 6) for a in dys]
    )
    gradients = torch.autograd.grad(expected, inputs, torch.tensor(flat_dy))
    ys, cache = norms.sharded_batch_norm(xs, gamma, beta)
    dxs, dgamma, dbeta = norms.sharded_backward(dys, cache)
    for ours, theirs in zip((*dxs, dgamma, dbeta), gradients, strict=True):
        close(ours, theirs.numpy())
    close(np.concatenate([np.moveaxis(y, 1, -1).reshape(-1, 6) for y in ys]), expected.detach().numpy())


def test_shards_in_float32_at_mean_1e4_keep_their_digits() -> None:
    x, dy = RNG(31).standard_normal((2, 9, 6, 5)).astype(np.float32)
    x += np.float32(1e4)
    ys, cache = norms.sharded_batch_norm([x[:2], x[2:]])
    exact, whole = norms.batch_norm(x.astype(float))
    dxs = norms.sharded_backward([dy[:2], dy[2:]], cache)[0]
    assert {a.dtype for a in (*ys, *dxs, cache.mean, cache.var)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.concatenate(ys), exact, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(dxs), norm_backward(dy.astype(float), whole)[0], atol=1e-5)


@pytest.mark.parametrize(
    "dtype, exponents", [(np.float32, range(-40, 38, 6)), (np.float64, range(-300, 300, 20))]
)
def test_shards_of_numbers_of_any_size_keep_their_digits(dtype: Any, exponents: range) -> None:
    x, dy = RNG(32).standard_normal((2, 5, 3, 4))
    y, cache = norms.batch_norm(x, eps=0.0)
    dx = norm_backward(dy, cache)[0]
    for exponent in exponents:
        small = (x * 10.0**exponent).astype(dtype)
        ys, shards = norms.sharded_batch_norm([small[:2], small[2:]], eps=0.0)
        tolerance = 1e-10 if dtype == np.float64 else 1e-4 if exponent > -37 else 1
        close(np.concatenate(ys), y, tolerance)
        dxs, *_ = norms.sharded_backward([dy[:2].astype(dtype), dy[2:].astype(dtype)], shards)
        if -37 < exponent < 37 or dtype == np.float64:
            close(np.concatenate(dxs) * 10.0**exponent, dx, tolerance)
        if dtype == np.float64:
            for eps in (1e-5, 1e-200, 1e-320, 1e300):  # against hypot, which neither over- nor underflows
                expected = np.hypot(x.std((0, 2)) * 10.0**exponent, np.sqrt(eps))
                ys, _ = norms.sharded_batch_norm([small[:2], small[2:]], eps=eps)
                centred = (x - x.mean((0, 2))[:, None]) * 10.0**exponent / expected[:, None]
                np.testing.assert_allclose(np.concatenate(ys), centred, rtol=1e-3 if eps == 1e-320 else 1e-10)
    zeros = norms.sharded_batch_norm([np.zeros((2, 3)), np.zeros((1, 3))], eps=0.0)[0]
    assert (np.concatenate(zeros) == 0).all()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e6]),
)
def test_combined_moments_are_those_of_all(sizes: list[int], seed: int, mean: float) -> None:
    parts = [RNG(seed + i).standard_normal((size, 2, 3)) + mean for i, size in enumerate(sizes)]
    means = [part.mean(0) if len(part) else np.full((2, 3), np.nan) for part in parts]
    variances = [part.var(0) if len(part) else np.full((2, 3), np.nan) for part in parts]
    found = norms.combine_moments(means, variances, sizes)
    each = norms.combine_moments(means, variances, np.array(sizes)[:, None, None] * np.ones((2, 3), int))
    whole = np.concatenate(parts)
    expected = (whole.mean(0), whole.var(0)) if len(whole) else (np.zeros((2, 3)), np.zeros((2, 3)))
    close(found[:2], expected, 1e-9)
    same(found, each)
    assert (found[2] == len(whole)).all()


# --- the advice of every error, followed ----------------------------------------------------------------
# A bad call, what of its message is code, where that code goes, and the call that is right.

INTS, HALF, ROW = (10 * X).astype(int), X.astype(np.float16), X[0, 0]
F4 = X.astype(np.float32)
V4 = V.astype(np.float32)
IMAGES = RNG(40).standard_normal((2, 4, 4, 3))
LONG = MASK[:, 0]
TOKENS = X.tolist()
Advice = tuple[Callable[..., Any], dict[str, Any], str, str, dict[str, Any]]
ADVICE: list[Advice] = [
    (norms.batch_norm, {"x": INTS}, "x", "np.asarray(x, np.float64)", {"x": INTS.astype(float)}),
    (norms.batch_norm, {"x": INTS.tolist()}, "x", "np.asarray(x, np.float64)", {"x": INTS.astype(float)}),
    (norms.batch_norm, {"x": HALF}, "x", "np.asarray(x, np.float32)", {"x": HALF.astype(np.float32)}),
    (norms.batch_norm, {"x": X.astype(object)}, "x", "np.asarray(x, np.float64)", {"x": X}),
    (norms.batch_norm, {"x": X.astype(">f8")}, "x", "np.asarray(x, np.float64)", {"x": X}),
    (norms.batch_norm, {"x": X + 1j}, "x", "np.real(x)", {"x": X}),
    (
        norms.batch_norm,
        {"x": torch.tensor(F4, requires_grad=True)},
        "x",
        "x.detach().cpu().float().numpy()",
        {"x": F4},
    ),
    (
        norms.batch_norm,
        {"x": torch.tensor(F4).bfloat16()},
        "x",
        "x.detach().cpu().float().numpy()",
        {"x": torch.tensor(F4).bfloat16().float().numpy()},
    ),
    (norms.batch_norm, {"x": ROW}, "x", "np.reshape(x, (-1, 1))", {"x": ROW[:, None]}),
    (norms.layer_norm, {"x": ROW.tolist()}, "x", "np.reshape(x, (1, -1))", {"x": ROW[None]}),
    (norms.layer_norm, {"x": np.float64(2)}, "x", "np.reshape(x, (1, -1))", {"x": np.array([[2.0]])}),
    (norms.batch_norm, {"x": X, "eps": -1}, "eps", "1e-5", {"x": X, "eps": 1e-5}),
    (norms.batch_norm, {"x": X, "eps": "1e-5"}, "eps", "1e-5", {"x": X, "eps": 1e-5}),
    (norms.batch_norm, {"x": X, "eps": True}, "eps", "1e-5", {"x": X, "eps": 1e-5}),
    (norms.batch_norm, {"x": F4, "eps": 1e39}, "eps", "1e-5", {"x": F4, "eps": 1e-5}),
    (
        norms.batch_norm,
        {"x": X, "gamma": V4},
        "gamma",
        "np.asarray(gamma, np.float64)",
        {"x": X, "gamma": V4.astype(float)},
    ),
    (
        norms.batch_norm,
        {"x": F4.tolist(), "beta": V4},
        "beta",
        "np.asarray(beta, np.float64)",
        {"x": F4.astype(float), "beta": V4.astype(float)},
    ),
    (
        norms.batch_norm,
        {"x": X, "gamma": V[:, None, None]},
        "gamma",
        "np.reshape(gamma, (6,))",
        {"x": X, "gamma": V},
    ),
    (
        norms.layer_norm,
        {"x": X, "gamma": FEATURES.ravel()},
        "gamma",
        "np.reshape(gamma, (6, 5))",
        {"x": X, "gamma": FEATURES},
    ),
    (
        norms.batch_norm,
        {"x": F4, "gamma": 2.0},
        "gamma",
        "np.full((6,), gamma, np.float32)",
        {"x": F4, "gamma": np.full(6, 2, "f4")},
    ),
    (
        norms.batch_norm_inference,
        {"x": F4, "mean": 0.0, "var": V},
        "mean",
        "np.full((6,), mean, np.float32)",
        {"x": F4, "mean": np.zeros(6), "var": V},
    ),
    (
        norms.batch_norm_inference,
        {"x": X, "mean": V[None], "var": V},
        "mean",
        "np.reshape(mean, (6,))",
        {"x": X, "mean": V, "var": V},
    ),
    (norms.group_norm, {"x": X, "groups": 4}, "groups", "6", {"x": X, "groups": 6}),
    (norms.group_norm, {"x": X, "groups": True}, "groups", "1", {"x": X, "groups": 1}),
    (norms.ghost_batch_norm, {"x": X, "size": 3}, "size", "4", {"x": X, "size": 4}),
    (norms.layer_norm, {"x": X, "axis": 0}, "axis", "(0, 1, 2)", {"x": X, "axis": (0, 1, 2)}),
    (norms.layer_norm, {"x": X, "axis": 0}, "axis", "-1", {"x": X, "axis": 2}),
    (norms.rms_norm, {"x": X, "axis": 3}, "axis", "1", {"x": X, "axis": (1, 2)}),
    (norms.rms_norm, {"x": X, "axis": "1"}, "axis", "1", {"x": X, "axis": (1, 2)}),
    *(
        (norms.layer_norm, {"x": X, "axis": odd}, "axis", "(1,)", {"x": X, "axis": (1,)})
        for odd in ((), (1, 1), (1, -2), (3,), (-4,), (1.0,), {1}, (True,), None, 1.0)
    ),
    (
        norms.batch_norm,
        {"x": X, "mask": MASK * 1},
        "mask",
        "np.asarray(mask, np.bool)",
        {"x": X, "mask": MASK},
    ),
    (
        norms.batch_norm,
        {"x": X, "mask": (MASK * 1.0).tolist()},
        "mask",
        "np.asarray(mask, np.bool)",
        {"x": X, "mask": MASK},
    ),
    (norms.batch_norm, {"x": X, "mask": LONG}, "mask", "np.reshape(mask, (4, 1, 5))", {"x": X, "mask": MASK}),
    (
        norms.batch_norm,
        {"x": X, "mask": LONG[:, 2]},
        "mask",
        "np.reshape(mask, (4, 1, 1))",
        {"x": X, "mask": MASK[:, :, 2:3]},
    ),
    (
        norms.batch_norm,
        {"x": IMAGES, "mask": IMAGES[:, :, 0] > 0},
        "mask",
        "np.reshape(mask, (2, 4, 1, 3)) or np.reshape(mask, (2, 1, 4, 3))",
        {},
    ),
    (norms.batch_norm, {"x": X, "mask": MASK[:2]}, "mask", "pass one of shape (4, 6, 5)", {}),
    (norms.batch_norm, {"x": X, "mask": MASK[None]}, "mask", "pass one of shape (4, 6, 5)", {}),
    (norms.batch_norm_inference, {"x": X, "mean": V, "var": -V}, "var", "pass a variance", {}),
    (norms.frozen_batch_norm, {"x": X, "mean": V, "var": V * np.inf}, "var", "pass a variance", {}),
    (
        norms.batch_renorm,
        {"x": X, "mean": V, "var": V, "r_max": 0.5},
        "r_max",
        "3.0",
        {"x": X, "mean": V, "var": V},
    ),
    (
        norms.batch_renorm,
        {"x": X, "mean": V, "var": V, "d_max": True},
        "d_max",
        "5.0",
        {"x": X, "mean": V, "var": V},
    ),
    (
        norms.running_norm,
        {"x": X, "mean": V, "var": V, "momentum": "0.9"},
        "momentum",
        "0.9",
        {"x": X, "mean": V, "var": V},
    ),
    (norms.dynamic_tanh, {"x": X, "alpha": np.inf}, "alpha", "0.5", {"x": X}),
    (norms.dynamic_tanh, {"x": F4, "alpha": np.array([[0.5]])}, "alpha", "np.reshape(alpha, ())", {}),
    (
        norms.dynamic_tanh,
        {"x": F4, "alpha": np.array(0.5)},
        "alpha",
        "np.asarray(alpha, np.float32)",
        {"x": F4},
    ),
    (norms.dynamic_tanh, {"x": X, "alpha": V}, "alpha", "pass an array of that shape", {}),
    (RunningStats.zeros, {"channels": 3, "momentum": 1}, "momentum", "0.9", {"channels": 3}),
    (RunningStats.zeros, {"channels": 3, "momentum": "0.9"}, "momentum", "0.9", {"channels": 3}),
    *(
        (RunningStats.zeros, {"channels": odd, "x": X}, "channels", "x.shape[1]", {"channels": 6})
        for odd in (-1, 0, 2.0, "6", None, (3, -1), True, X[0, 0])
    ),
    *(
        (RunningStats.zeros, {"channels": 3, "dtype": odd}, "dtype", "np.float64", {"channels": 3})
        for odd in (int, "f2", None, "nonsense")
    ),
    (STATS.update, {"mean": V[:3], "var": V[:3], "count": 8}, "", "RunningStats.zeros((3,))", {}),
    (STATS.update, {"mean": V, "var": V[:3], "count": 8}, "", "pass both from one cache", {}),
    *(
        (
            STATS.update,
            {"mean": V, "var": V, "count": odd},
            "count",
            "the number of elements behind each mean",
            {},
        )
        for odd in (0, -3, 8.0, "8", None, True, [8.0] * 6, [-1] * 6)
    ),
    (STATS.update, {"mean": V, "var": V, "count": [8, 8]}, "count", "cache.count", {}),
    (STATS.update, {"mean": V, "var": -V, "count": 8}, "var", "pass a variance", {}),
    (RunningStats, {"mean": V, "var": V[:3]}, "", "pass one each per channel", {}),
    *(
        (RunningStats, {"mean": V, "var": V, label: odd}, label, "leave it out", {})
        for label, odds in (
            ("steps", (-1, 1.5, "3", True, [1, 2])),
            ("weight", (-0.1, 1.1, "1", [0.5, 0.5], np.nan)),
            ("var_weight", (2,)),
            ("var_steps", (-1,)),
        )
        for odd in odds
    ),
    (
        norms.combine_moments,
        {"means": [V, V], "variances": V, "counts": [1, 2]},
        "",
        "pass cache.mean and cache.var of each shard",
        {},
    ),
    (
        norms.combine_moments,
        {"means": [V, V], "variances": [V, V], "counts": [1, 2, 3]},
        "",
        "pass 2 integers",
        {},
    ),
    (
        norms.combine_moments,
        {"means": [V, V], "variances": [V, V], "counts": [1.0, 2.0]},
        "",
        "must be at least 0, in integers",
        {},
    ),
    (norms.combine_moments, {"means": [V, V], "variances": [V, V], "counts": 3}, "", "pass 2 integers", {}),
    (norms.sharded_batch_norm, {"xs": X}, "xs", "[xs]", {"xs": [X]}),
    (norms.sharded_batch_norm, {"xs": []}, "xs", "not a list of arrays", {}),
    (norms.sharded_batch_norm, {"xs": [X[:0]]}, "xs", "leave out batches without any", {}),
    (norms.sharded_batch_norm, {"xs": [X, X[:, :3]]}, "xs", "pass shards of one batch", {}),
    (
        lambda xs: norms.sharded_batch_norm([X, xs[1]]),
        {"xs": [X, F4]},
        "xs[1]",
        "np.asarray(xs[1], np.float64)",
        {"xs": [X, F4.astype(float)]},
    ),
    (
        norms.sharded_backward,
        {"dys": [X], "cache": norms.sharded_batch_norm([X, X])[1]},
        "",
        "dys has 1, but there are 2 shards; pass one for each",
        {},
    ),
    (
        norms.sharded_backward,
        {"dys": X, "cache": norms.sharded_batch_norm([X] * 4)[1]},
        "",
        "dys has a ndarray, not a list",
        {},
    ),
    (
        norm_backward,
        {"dy": F4, "cache": norms.batch_norm(X)[1]},
        "dy",
        "np.asarray(dy, np.float64)",
        {"dy": F4.astype(float), "cache": norms.batch_norm(X)[1]},
    ),
    (
        norm_backward,
        {"dy": X[:2], "cache": norms.batch_norm(X)[1]},
        "dy",
        "together with the cache of the same call",
        {},
    ),
]


def follow(given: dict[str, Any], label: str, code: str) -> dict[str, Any]:
    """Put what the code says in the place of an argument."""
    value = eval(code, {"np": np, **given})
    if label.endswith("]"):
        name, index = label[:-1].split("[")
        return {name: [*given[name][: int(index)], value, *given[name][int(index) + 1 :]]}
    return {key: value if key == label else old for key, old in given.items()}


@pytest.mark.parametrize("function, given, label, code, right", ADVICE)
def test_following_the_advice_gives_the_right_answer(
    function: Any, given: dict[str, Any], label: str, code: str, right: dict[str, Any]
) -> None:
    extra = {"x"} if function == RunningStats.zeros else set()  # what the code looks at
    with pytest.raises(ValueError) as caught:
        function(**{key: value for key, value in given.items() if key not in extra})
    said = str(caught.value)
    assert code in said.split("; ")[-1] or not right and code in said, said
    assert said.startswith((function.__name__, "RunningStats")) or function.__name__ == "<lambda>"
    if right:
        followed = follow(given, label, code)
        same(
            outcome(function(**{k: v for k, v in followed.items() if k not in extra})),
            outcome(function(**right)),
        )


def test_statistics_of_other_channels_start_anew() -> None:
    with pytest.raises(ValueError) as caught:
        STATS.update(V[:3], V[:3], 8)
    start = eval(str(caught.value).split("start from ")[1], {"RunningStats": RunningStats})
    close(start.update(V[:3], V[:3], 8).mean, 0.1 * V[:3])


CACHES = {
    "norm_backward": (norm_backward, X, norms.batch_norm(X)[1]),
    "relative_backward": (relative_backward, X, norms.dynamic_tanh(X)[1]),
    "sharded_backward": (norms.sharded_backward, [X], norms.sharded_batch_norm([X])[1]),
}


@pytest.mark.parametrize("name, other", list(itertools.permutations(CACHES, 2)))
def test_a_cache_of_another_function_leads_to_its_own(name: str, other: str) -> None:
    function, dy, _ = CACHES[name]
    right, dys, cache = CACHES[other]
    code = f"{other}({'dys' if other == 'sharded_backward' else 'dy'}, cache)"
    with pytest.raises(ValueError, match=rf"^{name}: cache is a .*try {re.escape(code)}$"):
        function(dy, cache)
    same(eval(code, {other: right, "dy": dys, "dys": dys, "cache": cache}), right(dys, cache))


@pytest.mark.parametrize(
    "odd", [None, norms.batch_norm_inference(X, V, V), norms.batch_norm(X)], ids=["None", "y", "pair"]
)
def test_the_backward_pass_of_inference_leads_to_frozen_batch_norm(odd: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^norm_backward: cache is a \w+.*or frozen_batch_norm\(x, mean, var\)$"
    ):
        norm_backward(X, odd)
    y, cache = norms.frozen_batch_norm(X, V, V)
    close(y, norms.batch_norm_inference(X, V, V))
    close(norm_backward(X, cache)[0], X / np.sqrt(V + 1e-5)[:, None])


@pytest.mark.parametrize("name", [name for name, norm in CHOICES_OF_AXES.items() if norm.shared != "P"])
def test_numbers_whose_squares_overflow_are_normalized_without_a_warning(name: str) -> None:
    x = (RNG(5).standard_normal((8, 6)) * 1e20).astype(np.float32)
    groups = {"groups": 2} if name == "group" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, _ = CHOICES_OF_AXES[name].forward(x, **groups)
    exact, _ = CHOICES_OF_AXES[name].forward(x.astype(np.float64), **groups)
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-5)
