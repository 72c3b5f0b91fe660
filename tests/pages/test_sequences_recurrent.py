"""What is particular about the recurrent scenes: networks and statistics against PyTorch, few sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bnlib import RunConfig
from bnlib.data import LONGEST, load
from bnlib.experiments.intervals import paired
from bnlib.lessons import sequences
from bnlib.training.evaluation import error
from bnlib.training.train import advance, start
from book.controls import Values
from book.registry import chapters
from pages import _sequences_longer as longer
from pages import _sequences_padding as padding
from pages import _sequences_recurrent as nets
from pages import _sequences_steps as steps
from pages._sequences_rscripts import RECURRENT

CHAPTER = chapters()["sequences"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}
LENGTH = sequences.LENGTHS.index(20)


def settings(name: str, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, True)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[dict[str, Any]]:
    """The names that the script to take away defines."""
    names: dict[str, Any] = {}
    before = torch.get_default_dtype(), torch.get_num_threads()
    exec(RECURRENT, names)
    torch.set_num_threads(before[1])
    yield names
    torch.set_default_dtype(before[0])


def short(arm: str, batch: int = 16) -> RunConfig:
    """Return an arm's networks, two of them, as the script has them for 12 steps."""
    config = nets.config_of(settings("padding", sequences=batch), arm)
    return replace(config, replicas=2, cosine_steps=12)


# ---- the same in PyTorch ---------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["none", "layer", "counted", "masked"])
def test_training_is_pytorchs(arm: str, elsewhere: dict[str, Any]) -> None:
    """Few steps: rounding grows in the course of a training."""
    found = sequences.learned(short(arm), 12, 4)
    net = elsewhere["Recurrent"]([0, 1], arm, 16, 0.01, 12, nets.WIDTH).train()
    wrong = 100 * net.wrong().mean(1).numpy()
    np.testing.assert_allclose(found["val"][:, -1], wrong)
    assert list(found["step"]) == [0, 4, 8, 12]
    x = elsewhere["paused"](elsewhere["images"][1297:], np.full(500, 20), 20, np.random.default_rng((20, 11)))
    np.testing.assert_allclose(found["longer"][:, LENGTH], 100 * net.wrong(x).mean(1).numpy())
    if arm in ("counted", "masked"):
        np.testing.assert_allclose(found["mean"], net.mean.numpy(), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found["var"], net.var.numpy(), rtol=1e-6, atol=1e-9)


def test_one_module_in_a_loop_is_pytorchs_batchnorm1d() -> None:
    """After many passes over 16 steps with unchanging statistics a module has kept what is said."""
    rng = np.random.default_rng(3)
    batches = torch.tensor(
        rng.normal(rng.normal(size=(16, 1, 5)), rng.uniform(0.5, 2, (16, 1, 5)), (16, 9, 5))
    )
    module = torch.nn.BatchNorm1d(5, dtype=torch.float64)
    for _ in range(30):
        for batch in batches:
            module(batch)
    mean, var = batches.mean(1).numpy()[None], batches.var(1).numpy()[None]
    found = sequences.statistics_of(mean, var, "module")
    for own, kept in zip(found, (module.running_mean, module.running_var), strict=True):
        assert own.shape == (1, 16, 5) and kept is not None
        np.testing.assert_allclose(own[0, 3], kept.numpy(), rtol=1e-9)
    for name, step in (("first", 0), ("last", 15)):
        np.testing.assert_array_equal(sequences.statistics_of(mean, var, name)[0][0, 7], mean[0, step])
        np.testing.assert_array_equal(sequences.statistics_of(mean, var, name)[1][0, 7], var[0, step])


def test_errors_with_a_steps_own_statistics_are_those_of_inference() -> None:
    run = advance(start(short("counted")), 12)
    np.testing.assert_array_equal(error(sequences.with_statistics(run, "own")), error(run))
    found = sequences.learned(short("counted"), 12, 4)
    np.testing.assert_array_equal(found["precise"], error(run, statistics="precise"))
    assert (found["precise"] != found["val"][:, -1]).any()
    other = sequences.with_statistics(run, "first")
    mean = other.running.mean.reshape(2, LONGEST, -1)
    np.testing.assert_array_equal(mean, np.broadcast_to(mean[:, :1], mean.shape))


def test_how_statistics_fit_is_what_the_definition_says() -> None:
    """At step 1 the state is 0: x-hat is of the row alone. Behind step 16 the statistics are step 16's."""
    run = advance(start(short("counted")), 12)
    found = sequences.fit(run)
    assert found["spread"].shape == found["offset"].shape == (2, 24)
    rows = sequences.all_of(24).reshape(500, 24, 8)
    mean, var = (a.reshape(2, LONGEST, -1) for a in (run.running.mean, run.running.var))
    layer = run.layers[0]
    for replica in range(2):
        state = np.zeros((500, nets.WIDTH))
        for step in range(24):
            s = np.concatenate([rows[:, step], state], axis=1) @ layer.weight[replica]
            at = min(step, 15)
            xhat = (s - mean[replica, at]) / np.sqrt(var[replica, at] + 1e-5)
            offset, spread = np.sqrt((xhat.mean(0) ** 2).mean()), np.sqrt(xhat.var(0).mean())
            assert found["offset"][replica, step] == pytest.approx(offset, rel=1e-6)
            assert found["spread"][replica, step] == pytest.approx(spread, rel=1e-6)
            state = np.tanh(layer.gamma[replica] * xhat + layer.beta[replica])


# ---- few sequences ---------------------------------------------------------------------------------------


def test_who_is_left_is_counted_from_the_lengths() -> None:
    batch = sequences.padded(3, 16)
    lengths = (~np.isnan(batch.sequences[:, :, 0])).sum(axis=1)
    assert (np.diff(lengths) <= 0).all() and lengths.min() >= 8
    counts = [int((lengths >= step).sum()) for step in range(1, 17)]
    every = sequences.left((3,), 16, sequences.LOOKED)[0].tolist()
    assert counts[-2:] == [2, 1] and counts == next(one for one in every if one[-2:] == [2, 1])
    whole = sequences.padded(3, len(load("pauses").x_train)).sequences
    assert len(whole) == 1297, "where no batch ends so, it is the first"
    # Every length from 8 to 16 is as frequent: at step 8 + k the share 1 - k/9 goes on.
    mean = sequences.left(tuple(range(8)), 16, 400).mean(axis=(0, 1))
    np.testing.assert_allclose(mean[7:], 16 * (1 - np.arange(9) / 9), atol=0.7)
    data = load("pauses")
    here = [
        row for row in data.x_train if np.array_equal(row.reshape(16, 8), batch.sequences[0], equal_nan=True)
    ]
    assert here, "the sequences are those of training"


def test_of_one_sequence_nothing_is_left_and_of_two_only_signs() -> None:
    seen = set()
    for seed in range(12):
        counts = sequences.going(sequences.padded(seed, 16).sequences.reshape(16, -1)).sum(axis=0)
        assert counts[-2:].tolist() == [2, 1], "the gesture meets both"
        xhat = padding.untrained(seed, 16)
        for step, count in enumerate(counts):
            if count == 1:
                assert not xhat[0, step].any()
            if count == 2:
                assert np.quantile(np.abs(xhat[:2, step]), 0.5) == pytest.approx(1, abs=0.01)
                np.testing.assert_allclose(xhat[0, step], -xhat[1, step], atol=1e-9)
            assert np.abs(xhat[:count, step]).max(initial=0) <= np.sqrt(max(count - 1, 0)) + 1e-9
            seen.add(int(count))
    assert {1, 2} <= seen


def test_what_counts_as_a_difference() -> None:
    assert padding.ahead(paired([20, 22, 24.0])) == 1 and padding.ahead(paired([-20, -22, -24.0])) == -1
    assert padding.ahead(paired([-20, 22, 4.0])) == 0
    assert longer.side(paired([20, 22, 24.0])) == 1 and longer.side(paired([1, 2, 3.0])) == 0


def test_shares_of_batches_with_few_are_those_of_batches_with_any() -> None:
    counts = np.array([[[3, 2, 1, 0], [4, 4, 2, 1]]])
    np.testing.assert_allclose(padding._few(counts), [0, 0.5, 1, 1])


def test_one_modules_mean_of_1_to_16_is_pytorchs() -> None:
    names: dict[str, Any] = {}
    exec(steps.pytorch({}), names)
    assert pytest.approx(names["one"].running_mean.item(), rel=1e-6) == steps.MODULE_MEAN


def test_nothing_is_trained_while_a_finger_moves_over_what_trainings_depend_on() -> None:
    values = {"sequences": 16, "rate": 0.01, "seed": 0, "draft": True}
    for moves in ("sequences", "rate"):
        assert padding.jobs(values | {"moves": moves}) == {}
    assert (
        len(padding.jobs(values | {"moves": "moment"})) == len(padding.jobs(values | {"draft": False})) == 5
    )
