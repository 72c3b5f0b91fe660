"""Closed forms in the reasons that are of x̂ with next to no ε, with β at 0: said where that is so alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, norms, start
from book.race import _reasons_learning as learning
from book.race import _reasons_signal as signal
from book.race import _reasons_statistics as statistics
from book.race._lane import SMALL_EPS, Lane
from book.race.reasons import reasons
from tests.book.race.test_reasons import BATCH, DENSE, GAN, NONE, race

PAIRS = {"batch_size": 64, "lr": 0.2, "norm_batch": 2}


def first(config, name="batch norm"):
    """A lane at step 0."""
    return Lane(0, name, config, advance(start(config), 1).history, 0)


# --- pairs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-5, 1e-2, 1.0])
def test_pairs_follow_the_law_that_is_named(eps):
    pair = np.random.default_rng(0).normal(size=(2, 500))
    y, _ = norms.batch_norm(pair, eps=eps)
    gap = pair[0] - pair[1]
    np.testing.assert_allclose(
        y, [gap / np.sqrt(gap**2 + 4 * eps), -gap / np.sqrt(gap**2 + 4 * eps)], rtol=1e-9
    )


@pytest.mark.parametrize("eps", [1e-5, 1e-3, 1e-2, 0.1, 1.0])
def test_how_close_pairs_are_to_a_sign_is_told_by_the_spread_behind_a_relu(eps):
    """Against every x̂ of the first layer, and never above 1."""
    config = replace(DENSE, norm="batch", norm_batch=2, batch_size=64, eps=eps, depth=1)
    found = statistics._size_of_pairs(first(config))
    data, run = config.data(), start(config)
    z = data.x_train[:1296] @ run.layers[0].weight[0]
    gap = z[0::2] - z[1::2]
    size = np.abs(gap) / np.sqrt(gap**2 + 4 * eps)
    expected = 2 * math.sqrt((size**2).mean() / 2 - size.mean() ** 2 / 4)
    assert found == pytest.approx(expected, rel=0.1) and found <= 1 + 1e-6
    assert (found > 0.97) == (eps < 1e-4)


@pytest.mark.parametrize(("eps", "said"), [(1e-5, "2√ε = 0.00632"), (1e-4, "2√ε = 0.02")])
def test_pairs_are_called_signs_with_the_gap_that_it_takes(eps, said):
    found = reasons(*race(100, PAIRS | {"eps": eps}, BATCH, {"norm": "layer"})).because
    assert f"x̂ = ±gap/√(gap² + 4ε), close to ±1 for gaps well above {said}" in found


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_pairs_are_not_called_signs_where_eps_is_large(activation):
    common = {"batch_size": 2, "lr": 0.05, "eps": 1.0, "activation": activation}
    found = reasons(*race(100, common, BATCH, {"norm": "layer", "eps": 1e-5})).because
    assert "±1" not in found and "share a mean" not in found
    small = reasons(*race(100, common | {"eps": 1e-5}, BATCH, {"norm": "layer"})).because
    assert "close to ±1" in small


def test_batch_renorm_lets_gradients_of_pairs_through_where_eps_is_large():
    names, configs, frames, step = race(
        100, {"batch_size": 2, "lr": 0.05, "depth": 3}, {"norm": "renorm"}, {"norm": "layer"}
    )
    lane, ahead = (Lane(n, names[n], configs[n], frames[n], step) for n in (0, 1))
    assert "hardly any gradient" in statistics.pairs(lane, ahead).main
    assert statistics.pairs(replace(lane, config=replace(lane.config, eps=1.0)), ahead) is None


# --- the size of weights, and what lies behind a norm ---------------------------------------------------


@pytest.mark.parametrize(("eps", "cancels"), [(1e-5, True), (SMALL_EPS, True), (0.1, False)])
def test_the_size_of_weights_cancels_where_eps_is_next_to_nothing(eps, cancels):
    config = replace(DENSE, norm="batch", eps=eps, init_scale=0.5, replicas=1)
    lane = first(config)
    assert lane.scale_free == cancels and bool(signal._like_a_rate(lane)) == cancels
    large = first(replace(config, norm="none", init_scale=2.5), "no norm")
    assert ("cancels" in learning._too_large(large, lane)) == cancels
    assert ("divided by its spread" in signal._repaired(large, lane)) == cancels


def test_what_is_said_to_cancel_does():
    """Weights half as large, at a quarter of the rate, train alike but for ε."""
    base = replace(DENSE, norm="batch", replicas=1, lr=0.1, dtype="float64")

    def apart(eps):
        runs = [advance(start(replace(base, eps=eps, init_scale=scale, lr=lr, record_every=20)), 61)
                for scale, lr in ((1.0, 0.1), (0.5, 0.025))]  # fmt: skip
        spreads = [run.history["activation_std"][0, 0] for run in runs]
        return float(np.abs(spreads[0] / spreads[1] - 1).max())

    assert apart(SMALL_EPS) < 0.1 < 0.3 < apart(0.1)


def test_a_norm_behind_the_activation_makes_the_mean_that_its_beta_is():
    places = ({"norm": "batch", "placement": place} for place in ("before", "after"))
    common = {"activation": "sigmoid"}
    names, configs, frames, step = race(40, common, *places)

    def detail(**changes):
        lanes = [
            Lane(n, name, replace(config, **changes), frame, step)
            for n, (name, config, frame) in enumerate(zip(names, configs, frames, strict=True))
        ]
        return signal.placed(*lanes).detail

    assert "the norm makes their mean 0 and their spread 1, and the first update" in detail()
    assert "the norm makes their mean 0.5 and their spread 2, and" in detail(beta=0.5, gamma=2.0)
    assert "makes their mean" not in detail(eps=0.1) and "the first update is" in detail(eps=0.1)


@pytest.mark.parametrize(
    ("changes", "predicted"), [({}, True), ({"eps": 0.1}, False), ({"beta": 0.5}, False)]
)
def test_the_growth_of_gradients_is_predicted_for_standard_gaussians_alone(changes, predicted):
    names, configs, frames, step = race(10, {"depth": 20, "width": 16}, BATCH, NONE)
    lanes = [Lane(n, name, replace(config, **changes) if n == 0 else config, frame, step)
             for n, (name, config, frame) in enumerate(zip(names, configs, frames, strict=True))]  # fmt: skip
    assert ("predict" in signal.exploding(*lanes).main) == predicted


@pytest.mark.parametrize(("eps", "shown"), [(1e-5, True), (0.1, False)])
def test_how_many_relus_a_beta_keeps_off_is_of_standard_gaussians(eps, shown):
    config = replace(DENSE, norm="batch", beta=-3.0, eps=eps)
    assert ("for Gaussian numbers" in signal.shifted(first(config), None).main) == shown


def test_points_of_a_gan_have_spread_1_where_eps_is_next_to_nothing():
    for eps, said in ((1e-5, "each to mean 0 and spread 1:"), (0.1, "each to mean 0:")):
        names, configs, frames, step = race(20, GAN, BATCH)
        lane = Lane(0, names[0], replace(configs[0], eps=eps), frames[0], step)
        low = replace(lane, frame=frames[0] | {"val_accuracy": np.full_like(frames[0]["val_accuracy"], 0.05)})
        assert said in learning.unseen(low, None).main


def test_a_response_of_one_number_is_a_sign_where_eps_is_next_to_nothing():
    lanes = [first(RunConfig(width=8, depth=2, batch_size=8, norm="frn", eps=eps)) for eps in (1e-5, 1.0)]
    other = first(RunConfig(width=8, depth=2, batch_size=8, norm="layer"))
    assert "its sign is left" in statistics.alone(lanes[0], other).main
    assert statistics.alone(lanes[1], other) is None
