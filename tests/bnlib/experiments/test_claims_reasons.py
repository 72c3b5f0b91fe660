"""E5, E6, E7: what unsteady inputs are, and that judgements and sentences follow the numbers."""

from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.experiments import find
from bnlib.experiments.probes import MEASURES
from bnlib.training.evaluation import error
from tests.bnlib.claims import failed, measured_of, notes, read

TINY = RunConfig(
    depth=1, width=8, batch_size=16, replicas=2, activation="tanh", dtype="float64", record_every=10**6,
    validate_every=10**6,
)  # fmt: skip


# --- measures -----------------------------------------------------------------------------------------------


def test_noise_moves_normalized_inputs_as_its_distribution_says():
    """Behind x-hat a scale of U(1, 1.25) and N(0, 0.1), a shift of U(-0.5, 0.5) and U(-0.1, 0.1)."""
    config = replace(TINY, width=300, batch_size=64, lr=0.0, norm_noise=1.0, eps=0.0, depth=2)
    each = 0.2**2 / 12
    moved = 2 * (1 / 12 + (0.1**2 + each) / 64)
    var = 1.125**2 + 0.25**2 / 12 + 0.1**2 + each
    found = MEASURES["unsteadiness"](config, 20, every=1)["moved"]
    np.testing.assert_allclose(found, np.sqrt(moved / var), rtol=0.02)
    assert MEASURES["unsteadiness"](replace(config, norm_noise=0.0), 20, every=5)["moved"].max() < 1e-12


def test_without_noise_inputs_move_with_the_weights():
    config = replace(TINY, norm="none", lr=0.5)
    found = MEASURES["unsteadiness"](config, 6, every=3)["moved"]
    x = config.data().x_train[:16]
    for replica in range(2):
        own = [{k: v[replica] for k, v in advance(start(config), n).parameters.items()} for n in (0, 3, 6)]
        z = np.array([x @ p["weight0"] + p["bias0"] for p in own])
        moved = np.square(np.diff(z.mean(axis=1), axis=0)).mean()
        assert found[replica] == pytest.approx(np.sqrt(moved / z.var(axis=1).mean()))


def test_drift_is_watched_together_with_the_error():
    found = MEASURES["input_drift"](replace(TINY, lr=1.0), 20, every=10)["val_error"]
    for column, steps in enumerate((0, 10, 20)):
        np.testing.assert_array_equal(found[:, column], error(advance(start(replace(TINY, lr=1.0)), steps)))


# --- E5 -----------------------------------------------------------------------------------------------------


def test_the_gap_is_judged_at_its_step_and_at_both_learning_rates(store):
    measured = measured_of("E5", store)
    expected = {"faster": "qualifies", "initialization": "supports", "shift": "qualifies"}
    assert read("E5", measured).stances == expected
    for lr, changed, what in (
        (0.1, 5, "accuracy gained after 500 steps, points"),
        (0.1, 10, "accuracy gained after 1,000 steps, points"),
        (2.0, 5, "accuracy gained after 500 steps at learning rate 2, points"),
    ):
        measured = measured_of("E5", store)
        errors = measured["none", lr]["val_error"] = measured["none", lr]["val_error"].copy()
        errors[:, changed] = measured["batch", lr]["val_error"][:, changed] + (5 if lr == 2 else 2)
        assert failed("E5", measured) == [what]
        assert read("E5", measured, "full").stances["faster"] == ("supports" if lr == 2 else "speaks against")


def test_one_of_two_networks_at_guessing_is_not_enough(store):
    for norm, wrong in (("none", 70.0), ("batch", 12.0)):
        measured = measured_of("E5", store)
        measured[norm, "tiny"]["final"] = measured[norm, "tiny"]["final"] * 0 + wrong
        assert len(failed("E5", measured)) == 1
        assert read("E5", measured).stances["initialization"] == "does not show"


# --- E6 -----------------------------------------------------------------------------------------------------


def test_noise_speaks_against_steadiness_only_where_it_is_strong_and_unsteady(store):
    assert read("E6", measured_of("E6", store)).stances == {"shift": "speaks against"}
    moved = {("moved", "noisy batch norm"): {"moved": np.full(3, 0.1)}}
    noiseless = {"noisy standard": measured_of("E6", store)["standard"]}
    behind = {"noisy batch norm": measured_of("E6", store)["noisy standard"]}
    for changes in (moved, noiseless, behind):
        assert read("E6", measured_of("E6", store) | changes).stances == {"shift": "does not show"}


def shifted(measured, distance, cosine):
    """Give batch norm so much more of each in the three seeds, with ReLU."""
    none, batch = (measured["shift", "relu", 0.1, norm] for norm in ("none", "batch"))
    for name, gap in (("distance", distance), ("cosine", cosine)):
        batch[name] = none[name] + np.array(gap)[:, None]


def test_a_shift_of_gradients_is_said_where_its_interval_leaves_out_0(store):
    def said(distance, cosine):
        sentence = notes("E6", store, lambda measured: shifted(measured, distance, cosine))
        return {
            word: sentence.split(f"{word} for ")[1].split(";")[0] if f"{word} for " in sentence else ""
            for word in ("smaller", "larger", "undecided")
        }

    clear, flips = (0.1, 0.11, 0.12), (0.1, -0.1, 0.12)
    both = said(clear, clear)  # a large cosine is a small shift
    assert "ReLU at 0.1 by distance" in both["larger"] and "ReLU at 0.1 by cosine" in both["smaller"]
    turned = said(np.negative(clear), np.negative(clear))
    assert "ReLU at 0.1 by distance" in turned["smaller"] and "ReLU at 0.1 by cosine" in turned["larger"]
    neither = said(flips, flips)
    assert "ReLU" not in neither["smaller"] + neither["larger"]
    assert "ReLU at 0.1 by cosine, +0.04 (95% interval" in neither["undecided"]


def test_relu_is_told_with_its_interval(store):
    def losses(*noisy):
        def change(measured):
            measured["relu", "standard"] = {"train_loss": np.full((3, 400), 1.0)}
            measured["relu", "noisy batch norm"] = {"train_loss": np.array(noisy)[:, None] * np.ones(400)}

        return notes("E6", store, change)

    ahead = losses(0.5, 0.6, 0.55)
    gap = "standard − noisy batch norm: +0.45 (95% interval +0.33 to +0.57, 3 seeds)."
    assert f"steps 50 to 99, {gap}" in ahead and f"steps 350 to 399, {gap}" in ahead
    assert losses(0.5, 1.6, 0.55).count("3 seeds), no evidence for either.") == 2
    assert "ReLU, loss" not in notes("E6", store)  # not measured at reduced size


# --- E7 -----------------------------------------------------------------------------------------------------


def test_rougher_is_judged_by_the_mean_of_logarithms(store):
    measured = measured_of("E7", store)
    assert read("E7", measured).stances == {"smooth": "qualifies", "depth": "supports"}
    none, batch = (measured["start", 20, norm] for norm in ("none", "batch"))
    batch["smoothness"] = none["smoothness"] * np.array([[1e5], [1e-3], [1e-3]])  # far rougher on average
    assert [what.split(",")[0] for what in failed("E7", measured)] == ["β at the start"]
    assert read("E7", measured, "full").stances == {"smooth": "supports", "depth": "does not show"}


def test_sentences_of_roughness_have_intervals(store):
    def rough(*factors):
        def change(measured):
            none, batch = (measured["start", 2, norm] for norm in ("none", "batch"))
            batch["smoothness"] = none["smoothness"] * np.array(factors)[:, None]

        return notes("E7", store, change)

    assert "0.5 at depth 2 (95% interval 0.5 to 0.5)" in rough(0.5, 0.5, 0.5)
    assert "1 at depth 2 (95% interval 0.18 to 5.6, no evidence for either)" in rough(0.5, 1.0, 2.0)


def test_the_race_of_noise_has_the_arms_that_are_judged():
    cells = find("E6").cells(True)
    (race,) = find("E6").races()
    judged = [cells[name].config for name in ("batch norm", "noisy batch norm", "standard", "noisy standard")]
    assert list(race.configs) == judged
