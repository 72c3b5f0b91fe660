"""Measurements on learning rates and initial weights, against the engine, differences and algebra."""

from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig
from bnlib.experiments.probes.passes import gradient_at, next_batch
from bnlib.lessons import rates
from bnlib.networks.parameters import plan
from bnlib.training.train import advance, start

CONFIG = RunConfig(
    inputs="standardized", depth=3, width=16, batch_size=16, replicas=3, dtype="float64",
    record_every=1, validate_every=10**6,
)  # fmt: skip


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_networks_side_by_side_train_as_the_engine_trains_each(norm):
    found = rates.row(replace(CONFIG, norm=norm), (0.05, 0.4), 12)
    for place, lr in enumerate((0.05, 0.4)):
        history = advance(start(replace(CONFIG, norm=norm, lr=lr)), 12).history
        np.testing.assert_allclose(found["loss"][place], history["train_loss"], rtol=1e-9)
        np.testing.assert_allclose(found["right"][place], history["train_accuracy"], rtol=1e-6)
        lengths = np.sqrt(np.square(history["weight_norm"][:, :, :3].astype(float)).sum(axis=2))
        np.testing.assert_allclose(found["length"][place], lengths / lengths[:, :1], rtol=1e-5)
    assert not found["diverged"].any()


def test_a_step_behind_a_norm_makes_weights_longer_by_pythagoras():
    found = rates.row(replace(CONFIG, norm="batch", eps=0.0), (1.0,), 6)
    r, length = found["relative"][0], found["length"][0]
    np.testing.assert_allclose(length[:, 1:] / length[:, :-1], np.sqrt(1 + r[:, :-1] ** 2), rtol=1e-9)


def test_what_diverges_counts_as_guessing_and_disturbs_nobody():
    found = rates.row(replace(CONFIG, norm="none"), (0.05, 1e200), 12)
    alone = rates.row(replace(CONFIG, norm="none"), (0.05,), 12)
    assert found["diverged"].tolist() == [[False] * 3, [True] * 3]
    assert (found["right"][1, :, -1] == 0.1).all() and np.allclose(found["loss"][1, :, -1], np.log(10))
    assert (found["relative"][1, :, -1] == 0).all()
    np.testing.assert_array_equal(found["loss"][0], alone["loss"][0])


def test_hidden_weights_alone_are_multiplied():
    plain, tenfold = (rates.row(replace(CONFIG, eps=0.0), (0.1,), 1, factor) for factor in (1.0, 10.0))
    np.testing.assert_allclose(tenfold["loss"], plain["loss"], rtol=1e-9)  # the norms divide by it
    np.testing.assert_allclose(tenfold["relative"], plain["relative"] / 100, rtol=1e-9)


def test_what_would_not_be_heeded_is_refused():
    with pytest.raises(ValueError, match="momentum.*plain SGD"):
        rates.row(replace(CONFIG, optimizer="momentum"), (0.1,), 1)


def test_first_order_is_what_tiny_steps_gain():
    config = replace(CONFIG, norm="batch", lr=1e-6)
    found = rates.gains(config, 2, 1, 40)
    assert found["step"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(found["fall"], found["expected"], rtol=2e-3, atol=1e-10)
    np.testing.assert_allclose(found["own_fall"], found["own"], rtol=2e-3)
    run = start(config)
    x, y = (array[:40] for array in (config.data().x_train, config.data().y_train))
    shared = (np.broadcast_to(x, (3, *x.shape)), np.broadcast_to(y, (3, 40)))
    g = gradient_at(config, run.flat, *next_batch(run))[1]
    losses = [gradient_at(config, run.flat + side * 1e-6 * g, *shared)[0] for side in (1, -1)]
    np.testing.assert_allclose(found["expected"][:, 0], config.lr * (losses[0] - losses[1]) / 2e-6, rtol=1e-5)
    assert (np.abs(found["alike"]) <= 1).all()


def test_twins_have_the_same_losses_behind_a_norm_only():
    assert rates.twin(CONFIG, 10, 10.0)["loss_difference"].max() < 1e-9
    assert rates.twin(replace(CONFIG, norm="none"), 10, 10.0)["loss_difference"].min() > 1


def test_smoothness_is_the_curvature_along_the_gradient_by_central_differences():
    config = replace(CONFIG, norm="batch", activation="tanh")  # without kinks
    found = rates.line(config, 3, (0.0, 0.01))
    run = advance(start(config), 3)
    x, y = next_batch(run)
    loss, g = gradient_at(config, run.flat, x, y)
    ahead, behind = (gradient_at(config, run.flat + side * 1e-5 * g, x, y)[1] for side in (1, -1))
    curved = np.linalg.norm(ahead - behind, axis=1) / (2e-5 * np.linalg.norm(g, axis=1))
    np.testing.assert_allclose(found["smoothness"], curved, rtol=1e-4)
    assert (found["change"][:, 0] == 0).all()
    moved = gradient_at(config, run.flat - 0.01 * g, x, y)[0]
    np.testing.assert_allclose(found["change"][:, 1], moved - loss, rtol=1e-9)
    weights = plan(config).views(g)["weight1"]
    np.testing.assert_allclose(
        found["layers"][:, 1], np.sqrt(np.square(weights).sum(axis=(1, 2))), rtol=1e-12
    )
