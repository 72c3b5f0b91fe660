"""Sequences of unequal length: the data, padding that is masked or counted, steps that were never seen."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.data import LONGEST, load, paused
from bnlib.networks.inference import inference_layers
from bnlib.networks.network import forward, there_and_back
from bnlib.networks.parameters import in_layers, plan
from bnlib.training.evaluation import error, precise

PAUSES = {"network": "rnn", "dataset": "pauses", "activation": "tanh", "dtype": "float64"}
SMALL = PAUSES | {"width": 5, "batch_size": 12, "record_every": 5, "validate_every": 5}


def in_steps(x):
    """Sequences (N, features) as (N, steps, 8)."""
    return x.reshape(len(x), -1, 8)


def going(x):
    return ~np.isnan(in_steps(x)[:, :, 0])


# --- the data -----------------------------------------------------------------------------------------------


def test_sequences_are_the_digits_with_pauses():
    digits, found = load("digits"), load("pauses")
    for images, x in ((digits.x_train, found.x_train), (digits.x_val, found.x_val)):
        rows, here = in_steps(x), going(x)
        assert rows.shape == (len(images), LONGEST, 8)
        assert (np.isnan(rows).any(axis=2) == ~here).all() and (np.isnan(rows).all(axis=2) == ~here).all()
        assert (np.diff(here.astype(int), axis=1) <= 0).all(), "padding is behind the end"
        for image, sequence, one in zip(images.reshape(-1, 8, 8), rows, here, strict=True):
            written, read = image[image.any(axis=1)], sequence[one]
            np.testing.assert_array_equal(read[read.any(axis=1)], written)
    np.testing.assert_array_equal(digits.y_train, found.y_train)
    lengths = np.bincount(going(found.x_train).sum(axis=1))
    assert len(lengths) == LONGEST + 1 and not lengths[:8].any()
    expected = len(found.x_train) / (LONGEST - 7)
    assert (np.abs(lengths[8:] - expected) < 5 * np.sqrt(expected)).all(), "every length is as frequent"


def test_pauses_are_anywhere():
    """Of 16 steps every one is a pause in half of the sequences."""
    x = paused(np.ones((4000, 64)), np.full(4000, 16), 16, np.random.default_rng(1))
    np.testing.assert_allclose(in_steps(x)[:, :, 0].mean(axis=0), 0.5, atol=5 * 0.5 / np.sqrt(4000))
    assert (in_steps(x)[:, :, 0].sum(axis=1) == 8).all()


# --- gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("norm", "padding", "placement"),
    [*itertools.product(["batch", "layer", "none"], ["masked", "counted"], ["before", "after"]),
     ("ghost", "counted", "before")],
)  # fmt: skip
def test_gradients(norm, padding, placement):
    """Central differences over every parameter, float64; what comes from above is random, as is all else."""
    config = RunConfig(
        norm=norm, padding=padding, placement=placement, eps=0.05, depth=2, replicas=2, norm_noise=0.0,
        **SMALL | {"width": 3, "batch_size": 8},
    )  # fmt: skip
    rng, the_plan, x = np.random.default_rng(5), plan(config), config.data().x_train[:8]
    flat, top = 0.4 * rng.standard_normal((2, the_plan.size)), rng.standard_normal((2, 8, 10))
    running = start(config).running
    how = {"norm_batch": config.statistics_of}

    def loss(flat):
        layers = in_layers(config, the_plan.views(flat), running)
        return (forward(config, layers, x, **how)[0] * top).sum(axis=(1, 2))

    gradient = np.full_like(flat, np.nan)
    layers, gradients = (in_layers(config, the_plan.views(array), running) for array in (flat, gradient))
    there_and_back(config, layers, gradients, x, lambda logits: top, **how)
    h, numeric = 1e-5, np.empty_like(flat)
    for i in range(the_plan.size):
        step = np.zeros_like(flat)
        step[:, i] = h
        numeric[:, i] = (loss(flat + step) - loss(flat - step)) / (2 * h)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=5e-8)


# --- by the definition --------------------------------------------------------------------------------------


def by_hand(run, x, statistics):
    """The last state of a recurrent layer with batch norm, step by step; ``statistics``: (step, s) -> two."""
    (layer, _), eps = run.layers, run.config.eps
    weight, gamma, beta = layer.weight[0], layer.gamma[0], layer.beta[0]
    state, here = np.zeros((len(x), weight.shape[1])), going(x)
    for step, rows in enumerate(np.nan_to_num(in_steps(x)).swapaxes(0, 1)):
        s = np.concatenate([rows, state], axis=1) @ weight
        mean, var = statistics(step, s)
        new = np.tanh(gamma * (s - mean) / np.sqrt(var + eps) + beta)
        state = np.where(here[:, step, None], new, state)
    return state


def last_state(config, layers, x):
    """What the output layer gets: the logits of one that hands it on."""
    eye = np.eye(config.width)[None]
    return forward(config, [*layers[:-1], layers[-1]._replace(weight=eye, bias=0 * eye[:, :1])], x)[0][0]


@pytest.mark.parametrize("padding", ["masked", "counted"])
def test_statistics_of_a_step_are_those_of_the_sequences_that_count(padding):
    run = advance(start(RunConfig(padding=padding, depth=1, **SMALL)), 20)
    x = run.config.data().x_val[:40]
    here = going(x)

    def statistics(step, s):
        one = s[here[:, step]] if padding == "masked" else s
        return one.mean(axis=0), one.var(axis=0)

    np.testing.assert_allclose(
        last_state(run.config, run.layers, x), by_hand(run, x, statistics), rtol=1e-9, atol=1e-11
    )


def test_an_ended_sequence_is_its_own_whatever_else_is_in_the_batch():
    """Statistics aside: in inference a sequence alone, without its padding, comes out as among others."""
    run = advance(start(RunConfig(depth=2, **SMALL)), 20)
    config, x = run.config, run.config.data().x_val[:30]
    layers = inference_layers(config, run.layers, run.running)
    together = forward(config, layers, x)[0][0]
    for one, logits in zip(x, together, strict=True):
        alone = one[~np.isnan(one)][None]
        np.testing.assert_allclose(forward(config, layers, alone)[0][0, 0], logits, rtol=1e-9, atol=1e-11)


def test_the_last_steps_statistics_serve_at_steps_that_were_never_seen():
    run = advance(start(RunConfig(depth=1, **SMALL)), 60)
    config, images = run.config, load("digits").x_val[:20]
    x = paused(images, np.full(20, 23), 23, np.random.default_rng(2))
    mean, var = (a.reshape(LONGEST, -1) for a in (run.running.mean[0], run.running.var[0]))
    kept = by_hand(run, x, lambda step, s: (mean[min(step, 15)], var[min(step, 15)]))
    layers = inference_layers(config, run.layers, run.running)
    np.testing.assert_allclose(last_state(config, layers, x), kept, rtol=1e-9, atol=1e-11)
    frozen = replace(config, frozen=True)
    np.testing.assert_allclose(last_state(frozen, run.layers, x), kept, rtol=1e-9, atol=1e-11)


def test_masked_running_statistics_learn_only_from_what_is_there():
    """Of one sequence a step has a mean and no spread; steps behind its end keep what they had."""
    config = RunConfig(depth=1, momentum=0.5, **SMALL | {"batch_size": 1})
    run = start(config)
    ended = np.array([], int)
    for _ in range(3):
        before, run = run.running, advance(run, 1)
        mean = [a.reshape(LONGEST, -1) for a in (before.mean[0], run.running.mean[0])]
        changed = (mean[0] != mean[1]).any(axis=1)
        length = int(changed.nonzero()[0].max()) + 1
        assert 8 <= length <= LONGEST and not changed[length:].any()
        ended = np.append(ended, length)
        np.testing.assert_array_equal(run.running.var, before.var)
    assert len(set(ended)) > 1


def test_precise_statistics_are_those_of_all_sequences_that_go_on():
    run = precise(advance(start(RunConfig(depth=1, **SMALL)), 20))
    x = run.config.data().x_train
    found = [a.reshape(LONGEST, -1) for a in (run.running.mean[0], run.running.var[0])]
    here = going(x)

    def statistics(step, s):
        one = s[here[:, step]]
        mean, var = one.mean(axis=0), one.var(axis=0)
        np.testing.assert_allclose(found[0][step], mean, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(found[1][step], var, rtol=0.01)
        return mean, var

    by_hand(run, x, statistics)


@pytest.mark.parametrize(
    ("norm", "padding"), [("batch", "masked"), ("batch", "counted"), ("layer", "masked")]
)
def test_sequences_are_learned_and_recorded(norm, padding):
    config = RunConfig(
        norm=norm, padding=padding, depth=1, **PAUSES | {"dtype": "float32"}, optimizer="adamw", lr=0.003,
        width=32, batch_size=64, record_every=100, validate_every=100, init_scale=0.7,
    )  # fmt: skip
    run = advance(start(config), 301)
    assert all(np.isfinite(array).all() for array in run.history.values())
    assert error(run)[0] < 60
    together = advance(advance(start(config), 100), 201)
    np.testing.assert_array_equal(together.flat, run.flat)
    np.testing.assert_array_equal(together.running.var, run.running.var)
