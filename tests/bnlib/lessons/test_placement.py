"""Placement: each function against PyTorch, which has a bias where the engine has none, or a closed form."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnlib import RunConfig, advance, start
from bnlib.data import load
from bnlib.lessons import placement
from book.torch_script import NETWORKS

SMALL = RunConfig(replicas=2, dtype="float64")
ARMS = {
    "batch": {}, "layer": {"norm": "layer"}, "none": {"norm": "none"}, "after": {"placement": "after"},
    "sigmoid": {"placement": "after", "activation": "sigmoid"},
}  # fmt: skip


@cache
def theirs():
    names = {}
    exec(NETWORKS, names)
    torch.set_default_dtype(torch.float32)
    return SimpleNamespace(**names)


def networks(**fields):
    """The same networks in PyTorch, with a bias in every layer."""
    made = theirs().Networks
    torch.set_default_dtype(torch.float64)
    net = made(range(2), **fields)
    for layer in range(net.depth):
        net.parameters.setdefault(f"bias{layer}", torch.zeros(2, 1, 64, requires_grad=True))
    return net


@pytest.fixture(autouse=True)
def usual_precision():
    yield
    torch.set_default_dtype(torch.float32)


# --- who shares a mean ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "side", "n", "c"),
    [("cnn", 8, 32, 16), ("cnn", 2, 5, 3), ("cnn", 1, 64, 32), ("mlp", 1, 2, 4)],
)
def test_a_number_moves_those_of_its_channel_and_no_others(network, side, n, c):
    moved = placement.sharers(placement.pooled(network, side)[:n, :c], n - 1, c - 1)
    expected = np.zeros((n, c, side, side), dtype=bool)
    expected[:, c - 1] = True
    assert np.array_equal(moved, expected)


def test_a_number_by_itself_moves_nothing():
    assert not placement.sharers(placement.pooled("cnn", 1)[:1], 0, 3).any()


def test_the_convolution_is_pytorchs():
    rng, x = np.random.default_rng((0, 9)), torch.tensor(load("digits").x_val)
    first = torch.tensor(np.sqrt(2 / 9) * rng.standard_normal((16, 1, 3, 3)))
    second = torch.tensor(np.sqrt(2 / 144) * rng.standard_normal((32, 16, 3, 3)))
    z = F.conv2d(F.relu(F.conv2d(x.reshape(-1, 1, 8, 8), first, padding=1)), second, padding=1)
    np.testing.assert_allclose(placement.activations("cnn"), z, atol=1e-12)
    np.testing.assert_allclose(placement.pooled("cnn", 2), F.avg_pool2d(z, 4), atol=1e-12)


def test_means_of_batches_scatter_as_one_over_the_root_of_their_digits():
    found = placement.scatter("cnn", 4, (1, 16, 64), draws=4000)
    law = found["exact"] / np.sqrt([[1], [16], [64]])
    np.testing.assert_allclose(found["measured"], law, rtol=4 / np.sqrt(2 * 4000) + 0.02)
    alone = placement.scatter("mlp", 1, (4,))
    np.testing.assert_allclose(alone["exact"], 1, rtol=1e-12)
    np.testing.assert_allclose(alone["layout"], 0, atol=1e-12)


# --- a bias before a norm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ARMS)
def test_gradients_are_those_of_autograd_with_a_bias_in_every_layer(arm):
    run = advance(start(replace(SMALL, **ARMS[arm])), 3)
    gradients, _, pulls = placement.gradients_with_biases(run)
    expected = networks(**ARMS[arm]).train(3).gradients()
    for layer, own in enumerate(gradients):
        for kind in ("weight", "bias", "gamma", "beta"):
            if (wanted := expected.get(f"{kind}{layer}")) is not None:
                np.testing.assert_allclose(getattr(own, kind), wanted, atol=1e-12, err_msg=f"{kind}{layer}")
    for own, part in zip(gradients, pulls, strict=False):
        np.testing.assert_allclose(part.sum(axis=1, keepdims=True), own.bias, atol=1e-14)


def test_only_in_front_of_batch_norm_a_bias_gets_nothing():
    found = {arm: placement.bias(replace(SMALL, **ARMS[arm]), 20, 10, 5) for arm in ARMS}
    assert found["batch"]["bias"].max() < 1e-15 < 1e-3 < found["batch"]["beta"].min()
    for arm in ("layer", "none", "after"):
        assert (found[arm]["bias"] > 0.1 * found[arm]["weight"]).all(), arm
    one = found["after"]
    assert one["step"].tolist() == [0, 10, 20] and one["pulls"].shape == (32,) and one["z"].shape == (500, 64)
    assert "gamma" not in found["none"] and "own_gamma" not in found["none"]


# --- before or after the activation -------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["batch", "sigmoid", "none"])
def test_stages_and_shares_are_those_of_pytorch(arm):
    config, looks = replace(SMALL, **ARMS[arm]), (0, 20)
    found, net = placement.follow(config, looks), networks(**ARMS[arm])
    for at, look in enumerate(looks):
        net.train(look - net.step)
        np.testing.assert_allclose(found["right"][at], 1 - net.error() / 100, atol=1e-12)
        net.forward(theirs().VAL_X.expand(2, -1, -1), 500)
        for layer, (z, a) in enumerate(zip(net.entered, net.left, strict=True)):
            slope = torch.autograd.functional.jvp(
                torch.sigmoid if arm == "sigmoid" else F.relu, z.detach(), torch.ones_like(z)
            )[1]
            flat = slope < 0.05 * (0.25 if arm == "sigmoid" else 1)
            np.testing.assert_allclose(found["saturated"][at, :, layer], flat.double().mean((1, 2)))
            np.testing.assert_allclose(found["dead"][at, :, layer], flat.all(1).double().mean(1))
            out = net.normalize(a, layer, 500) if config.placement == "after" else a
            np.testing.assert_allclose(found["mean"][at, :, layer], out.mean((1, 2)).detach(), atol=1e-9)
            after = config.placement == "after"
            for place, seen in ((1, a if after else z), (2, out), *([(0, z)] if after else [])):
                own, middles = found["histograms"][at, layer, place], placement.EDGES[:-1] + 0.05
                clipped = seen[0].detach().clamp(-4, 4).mean().item()
                assert own.sum() == pytest.approx(1) and own @ middles == pytest.approx(clipped, abs=0.051)


def test_both_orders_begin_with_the_same_weights_and_numbers():
    before, after = (
        placement.follow(replace(SMALL, placement=order), (0,))["histograms"][0, 0]
        for order in ("before", "after")
    )
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[2], after[2])


# --- starts -------------------------------------------------------------------------------------------------


def test_gamma_0_stops_a_plain_network_and_a_small_one_makes_gradients_as_small():
    deep = replace(SMALL, depth=6, eps=0.0)
    usual = placement.arriving(deep)
    assert not placement.arriving(replace(deep, gamma=0.0)).any()
    np.testing.assert_allclose(placement.arriving(replace(deep, gamma=0.01)) / usual, 0.01, rtol=0.25)
    dead = placement.learned(replace(deep, gamma=0.0), 10)
    assert dead["answers"].tolist() == [1, 1] and (dead["right"] < 0.2).all()
    np.testing.assert_allclose(dead["common"], dead["right"], rtol=1e-12)
    assert placement.learned(deep, 10)["answers"].min() > 400
    expected = networks(depth=6, eps=0.0).gradients()
    lengths = [expected[f"weight{layer}"].square().sum((1, 2)).sqrt() for layer in range(6)]
    np.testing.assert_allclose(usual, np.stack(lengths, axis=1), rtol=1e-9)


def test_what_enters_a_relu_is_the_norms_output_moved_by_beta():
    found, net = placement.entering(replace(SMALL, beta=-1.5)), networks(beta=-1.5)
    net.forward(theirs().VAL_X.expand(2, -1, -1), 500)
    for layer, z in enumerate(net.entered):
        np.testing.assert_allclose(found["active"][:, layer], (z > 0).double().mean((1, 2)))
        np.testing.assert_allclose(found["dead"][:, layer], (z <= 0).all(1).double().mean(1))
    shares = np.histogram((net.entered[0][0] + 1.5).detach(), placement.EDGES)[0] / (500 * 64)
    np.testing.assert_allclose(found["shares"][1:-1], shares[1:-1], atol=2e-4)
