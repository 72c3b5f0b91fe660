"""The learner of single samples: it predicts first, learns then, and is a value."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.data import batch_indices, load
from bnlib.networks.config import LAYER_NORMS
from bnlib.networks.network import forward
from bnlib.networks.parameters import in_layers, normalize_weights
from bnlib.training.streaming import learn

SMALL = RunConfig(width=12, depth=2, groups=3, lr=0.02, replicas=2, seed=3, norm_batch=0)


@pytest.mark.parametrize("network", ["mlp", "cnn", "rnn"])
@pytest.mark.parametrize("norm", [norm for norm in LAYER_NORMS if norm != "ghost"])
def test_every_sample_is_predicted_before_it_is_learned_from(norm, network):
    config = replace(SMALL, norm=norm, network=network)
    stream = learn(config, 6)
    data, single = load("digits", dtype="float32"), replace(config, batch_size=1)
    run = start(single)
    for sample in range(6):
        layers = in_layers(single, run.parameters, run.running, run.power)
        used, _ = normalize_weights(single, layers)
        indices = batch_indices(1297, (3, 4), sample, 1)
        logits, _, _ = forward(single, used, data.x_train[indices])
        right = (logits.argmax(axis=2) == data.y_train[indices])[:, 0]
        np.testing.assert_array_equal(stream.right[:, sample], right)
        run = advance(run, 1)
    np.testing.assert_array_equal(stream.run.flat, run.flat)
    assert stream.run.samples == 6


def test_a_stream_is_a_value_however_it_is_divided():
    whole = learn(SMALL, 40)
    first = learn(SMALL, 15)
    kept = pickle.dumps(first)
    rest = learn(pickle.loads(kept), 25)
    assert pickle.dumps(first) == kept, "what is learned from is a copy"
    np.testing.assert_array_equal(rest.right, whole.right)
    np.testing.assert_array_equal(rest.run.flat, whole.run.flat)
    assert learn(SMALL, 0).right.shape == (2, 0) and whole.right.shape == (2, 40)


def test_a_sample_comes_once_before_any_comes_again():
    (indices,) = batch_indices(1297, (3,), 0, 1297)
    assert sorted(indices) == list(range(1297))


@pytest.mark.parametrize("memory", [1.0, 0.9])
def test_online_accuracy_fades(memory):
    stream = learn(SMALL, 30)
    ages = np.arange(30)[:, None] - np.arange(30)  # of sample j after sample i
    weights = np.where(ages >= 0, memory**ages, 0.0)
    expected = stream.right @ weights.T / weights.sum(axis=1)
    np.testing.assert_allclose(stream.online_accuracy(memory), expected, atol=1e-12)


@pytest.mark.parametrize("memory", [0.0, -1.0, 1.1, float("nan")])
def test_memory_is_a_share(memory):
    with pytest.raises(ValueError, match="memory=.*try 0.99"):
        learn(SMALL, 1).online_accuracy(memory)


@pytest.mark.parametrize("samples", [-1, 1.5, True, None, "3"])
def test_samples_are_counted(samples):
    with pytest.raises(ValueError, match="samples=.*whole number"):
        learn(SMALL, samples)


def test_a_ghost_batch_needs_more_than_one_sample():
    with pytest.raises(ValueError, match="norm_batch=8 does not divide batch_size=1"):
        learn(replace(SMALL, norm="ghost"), 1)


def test_a_diverged_learner_knows_nothing():
    stream = learn(replace(SMALL, norm="none", lr=1000.0), 30)
    assert (stream.run.diverged_at >= 0).all()
    assert not stream.right[:, stream.run.diverged_at.max() :].any()


def test_batch_norm_learns_nothing_from_single_samples_and_running_averages_do():
    config = RunConfig(depth=3, lr=0.01, momentum=0.99, replicas=2)
    share = {
        norm: learn(replace(config, norm=norm), 600).right[:, 400:].mean(axis=1)
        for norm in ("batch", "running", "layer")
    }
    assert (
        (share["batch"] < 0.25).all() and (share["running"] > 0.6).all() and (share["layer"] > 0.6).all()
    ), share
