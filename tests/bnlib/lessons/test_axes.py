"""Which axes: what the lesson measures, against PyTorch and closed forms."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from bnlib import batch_norm, ghost_batch_norm, group_norm, instance_norm, layer_norm
from bnlib.lessons import axes
from bnlib.lessons import axes_compared as compared
from bnlib.lessons.axes import CHANNELS, EPS, HOME, SHAPE

X = axes.maps(0).x
T = torch.tensor(X)
RUNS = [(n, c, h, w) for n in (1, 2, 4) for c in (1, 2, 3, 6) for h in (1, 2, 4) for w in (1, 2, 4)]
NAMED: dict[tuple[int, ...], str] = {
    (4, 1, 4, 4): "batch", (1, 6, 4, 4): "layer", (1, 1, 4, 4): "instance", (1, 2, 4, 4): "group",
    (1, 3, 4, 4): "group", (2, 1, 4, 4): "ghost", (4, 3, 4, 4): "mixed", (4, 2, 4, 4): "mixed",
    (4, 6, 4, 4): "everything", (1, 6, 1, 1): "position", (4, 1, 1, 1): "flat", (1, 1, 1, 1): "alone",
}  # fmt: skip
MODULES: dict[tuple[int, ...], Any] = {
    (4, 1, 4, 4): lambda x: torch.nn.BatchNorm2d(6, dtype=x.dtype)(x),
    (1, 6, 4, 4): lambda x: torch.nn.LayerNorm([6, 4, 4], dtype=x.dtype)(x),
    (1, 1, 4, 4): lambda x: torch.nn.InstanceNorm2d(6, dtype=x.dtype)(x),
    (1, 2, 4, 4): lambda x: torch.nn.GroupNorm(3, 6, dtype=x.dtype)(x),
    (1, 3, 4, 4): lambda x: torch.nn.GroupNorm(2, 6, dtype=x.dtype)(x),
    (2, 1, 4, 4): lambda x: torch.cat([F.batch_norm(half, None, None, training=True) for half in x.split(2)]),
    (1, 6, 1, 1): lambda x: F.layer_norm(x.permute(0, 2, 3, 1), [6]).permute(0, 3, 1, 2),
    (4, 1, 1, 1): lambda x: torch.nn.BatchNorm1d(96, dtype=x.dtype)(x.flatten(1)).reshape(x.shape),
    (4, 6, 4, 4): lambda x: F.layer_norm(x, list(SHAPE)),
    (1, 1, 1, 1): torch.zeros_like,
}


def test_feature_maps_are_those_of_pytorch() -> None:
    found, digits = axes.maps(3), load_digits().images / 16
    image = torch.tensor(found.images)
    assert any(np.array_equal(found.images[0, 0], digit) for digit in digits)
    expected = F.conv2d(image, torch.tensor(found.weight), stride=2, padding=1)
    np.testing.assert_allclose(found.x, expected.numpy(), atol=1e-12)
    assert found.x.shape == SHAPE and not found.x.flags.writeable
    assert np.ptp(found.x.mean(axis=(0, 2, 3))) > 0.1, "channels have means of their own"
    other = axes.maps(3, 5)
    assert np.array_equal(found.x[:3], other.x[:3]) and not np.array_equal(found.x[3], other.x[3])


# ---- sets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", RUNS)
def test_a_block_is_moved_until_it_fills_the_tensor(runs: tuple[int, ...]) -> None:
    how = axes.partition(axes.pattern(runs))
    assert how.runs == runs and how.sets[HOME] == 0 and not how.obstacle
    assert set(np.bincount(how.sets.ravel())) == {prod(runs)}
    for number in range(how.sets.max() + 1):  # each set is a block as large as the painted one
        sides = [np.unique(where) for where in np.nonzero(how.sets == number)]
        assert tuple(len(side) for side in sides) == runs
        assert all(side[-1] - side[0] + 1 == len(side) for side in sides)
    for axis in range(4):  # neighbours differ, so that five colours tell them apart
        shifted = np.diff(how.blocks, axis=axis)
        assert np.array_equal(shifted % 5 != 0, np.diff(how.sets, axis=axis) != 0)


@pytest.mark.parametrize(
    ("cells", "obstacle", "axis"),
    [
        ((0, 5, 100), "shape", 0),
        (tuple(cell for cell in axes.pattern((4, 1, 4, 4)) if cell != 33), "shape", 0),
        (tuple(range(1, 384)), "shape", 0),
        (axes.pattern((1, 1, 4, 4)) + tuple(range(96 + 48, 96 + 48 + 48)), "length", 1),  # channels 3 to 6
        (tuple(range(96 + 16, 96 + 48)), "start", 1),  # channels 2 and 3
    ],
)
def test_what_can_not_be_moved_leaves_the_rest(cells: tuple[int, ...], obstacle: str, axis: int) -> None:
    how = axes.partition(cells)
    assert (how.runs, how.obstacle, how.axis) == (None, obstacle, axis)
    expected = np.ones(SHAPE, dtype=int)
    expected.flat[list(cells)] = 0
    expected[HOME] = 0
    assert np.array_equal(how.sets, expected)
    y = axes.normalized(X, how)
    for number in (0, 1):
        own = X[how.sets == number]
        np.testing.assert_allclose(y[how.sets == number], (own - own.mean()) / np.sqrt(own.var() + EPS))


def test_home_is_painted_whatever_an_address_says() -> None:
    assert axes.partition(()).runs == (1, 1, 1, 1) and axes.partition((0,)).sets[HOME] == 0


@pytest.mark.parametrize("runs", RUNS)
def test_names_belong_to_their_sets(runs: tuple[int, ...]) -> None:
    assert axes.named(runs) == NAMED.get(runs, "")


def test_what_is_no_block_has_no_name() -> None:
    assert axes.named(None) == ""


# ---- outputs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", MODULES)
def test_outputs_are_those_of_pytorchs_modules(runs: tuple[int, ...]) -> None:
    y = axes.normalized(X, axes.partition(axes.pattern(runs)))
    np.testing.assert_allclose(y, MODULES[runs](T).detach().numpy(), atol=1e-10)


@pytest.mark.parametrize("runs", RUNS)
def test_outputs_are_those_of_means_over_reshaped_axes(runs: tuple[int, ...]) -> None:
    split = [part for n, run in zip(SHAPE, runs, strict=True) for part in (n // run, run)]
    over: Any = {"dim": (1, 3, 5, 7), "keepdim": True}
    parts = T.reshape(split)
    y = (parts - parts.mean(**over)) / (parts.var(correction=0, **over) + EPS).sqrt()
    found = axes.normalized(X, axes.partition(axes.pattern(runs)))
    np.testing.assert_allclose(found, y.reshape(SHAPE).numpy(), atol=1e-10)


def test_outputs_are_those_of_the_librarys_norms() -> None:
    swapped = X[[0, 2, 1, 3]]  # ghost batches of the library are samples 1 and 3, 2 and 4
    norms = {
        (4, 1, 4, 4): batch_norm(X)[0], (1, 6, 4, 4): layer_norm(X)[0], (1, 1, 4, 4): instance_norm(X)[0],
        (1, 3, 4, 4): group_norm(X, groups=2)[0], (1, 6, 1, 1): layer_norm(X, axis=(1,))[0],
        (2, 1, 4, 4): ghost_batch_norm(swapped, size=2)[0][[0, 2, 1, 3]],
    }  # fmt: skip
    for runs, y in norms.items():
        np.testing.assert_allclose(axes.normalized(X, axes.partition(axes.pattern(runs))), y, atol=1e-12)


def test_moments_are_those_of_each_set() -> None:
    how = axes.partition(axes.pattern((2, 3, 4, 2)))
    count, mean, std = axes.moments(X, how.sets)
    for number in range(len(count)):
        own = X[how.sets == number]
        assert (count[number], mean[number]) == (own.size, pytest.approx(own.mean()))
        assert std[number] == pytest.approx(own.std())


@pytest.mark.parametrize(("axis", "shared"), [((1,), 6), ((1, 2, 3), 96), ((0, 2, 3), 64), ((2, 3), 16)])
def test_as_many_outputs_change_as_share_a_mean(axis: tuple[int, ...], shared: int) -> None:
    lit = axes.sharers(lambda x: layer_norm(x, axis=axis)[0], X)
    assert lit.sum() == shared and lit[HOME]


# ---- groups, company, scale --------------------------------------------------------------------------------


def test_between_layer_and_instance_norm() -> None:
    assert compared.grouped(4, 1)[0] == pytest.approx(0, abs=1e-12)
    assert max(compared.grouped(4, 6)[1:]) == pytest.approx(0, abs=1e-12)
    assert compared.grouped(4, 1)[1] == pytest.approx(compared.grouped(4, 6)[0], rel=1e-12)


def test_groups_are_averaged_over_orders_of_the_channels() -> None:
    x = axes.maps(2).x
    rng = np.random.default_rng((2, 13))
    orders = [np.arange(6)] + [rng.permutation(6) for _ in range(15)]
    found = []
    for order in orders:
        y = F.group_norm(torch.tensor(x[:, order]), 3)
        found.append(y.mean((2, 3)).var(1, correction=0).mean().item())
    assert compared.grouped(2, 3)[2] == pytest.approx(np.mean(found), rel=1e-9)


@pytest.mark.parametrize("groups", compared.GROUPS)
def test_of_channels_that_spread_alike_groups_leave_what_counting_says(groups: int) -> None:
    x = np.random.default_rng(7).standard_normal((20_000, CHANNELS, 4, 4))
    whole = compared.between(group_norm(x, groups=1)[0]).mean()
    share = compared.between(group_norm(x, groups=groups)[0]).mean() / whole
    assert share == pytest.approx((CHANNELS - groups) / (CHANNELS - 1), abs=0.02)


def module(norm: str, seed: int) -> torch.nn.Module:
    found = {
        "batch": torch.nn.BatchNorm2d(6), "layer": torch.nn.GroupNorm(1, 6),
        "group": torch.nn.GroupNorm(3, 6), "instance": torch.nn.InstanceNorm2d(6),
        "rms": torch.nn.RMSNorm([6, 4, 4], eps=EPS), "eval": torch.nn.BatchNorm2d(6),
    }[norm].double()  # fmt: skip
    if norm == "eval":
        mean, var = compared.standing(seed)
        found.running_mean, found.running_var = torch.tensor(mean), torch.tensor(var)
        found.eval()
    return found


@pytest.mark.parametrize("norm", [*compared.NORMS, "eval"])
def test_company_is_that_of_pytorchs_modules(norm: str) -> None:
    seed, mate = 5, 2
    layer = module(norm, seed)
    before, after = torch.tensor(axes.maps(seed).x), torch.tensor(axes.maps(seed, mate).x)
    moved = (layer(after)[0] - layer(before)[0]).abs().max().item()
    loss = torch.tensor(np.random.default_rng((seed, 12)).standard_normal(SHAPE[1:]))
    before.requires_grad_()
    (layer(before)[0] * loss).sum().backward()
    assert before.grad is not None
    pulled = (before.grad[3].abs().max() / before.grad[0].abs().max()).item()
    found = compared.company(norm, seed, mate)
    np.testing.assert_allclose(found, (moved, pulled), rtol=1e-9)
    assert (found[0] > 0.01) == (found[1] > 0.01) == (norm == "batch")


@pytest.mark.parametrize("what", compared.SCALED)
@pytest.mark.parametrize("norm", [*compared.NORMS, "weight"])
def test_changes_by_a_factor_are_those_of_pytorch(norm: str, what: str) -> None:
    seed, factor = 6, 2.0
    images, weight, _ = axes.maps(seed)

    def output(pixels: torch.Tensor, filters: torch.Tensor) -> Any:
        if norm == "weight":
            layer = torch.nn.Conv2d(1, 6, 3, 2, 1, bias=False).double()
            layer.weight.data = filters
            layer = torch.nn.utils.parametrizations.weight_norm(layer)
            layer.parametrizations.weight.original0.data.fill_(1)  # the lengths
            return layer(pixels).detach()
        return module(norm, seed)(F.conv2d(pixels, filters, stride=2, padding=1)).detach()

    pixels, filters = torch.tensor(images), torch.tensor(weight)
    before = output(pixels, filters)
    changed = {"image": pixels[1], "batch": pixels, "channel": filters[2], "weights": filters}
    changed[what] *= factor
    expected = ((output(pixels, filters) - before).abs().max() / before.abs().max()).item()
    found = compared.scaled(norm, seed, what, factor, EPS)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)
    notices = {
        "image": {"batch", "weight"}, "batch": {"weight"}, "channel": {"layer", "group", "rms"},
        "weights": set(),
    }  # fmt: skip
    assert (found > 1e-2) == (norm in notices[what])
