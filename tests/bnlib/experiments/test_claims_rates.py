"""E8, E9, E10, E19: how rates are chosen, where bounds lie, what is said; and what is measured for them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.experiments import find
from bnlib.experiments.claims import rates
from bnlib.experiments.probes import MEASURES
from tests.bnlib.claims import failed, measured_of, notes, read

# --- what readings share ------------------------------------------------------------------------------------


def test_a_loss_is_reached_when_the_mean_of_twenty_steps_is():
    step = np.arange(0, 300, 4)
    late = np.where(step < 100, 1.2, 0.1)
    found = {
        "step": step[None], "steps": np.array([300]),
        "train_loss": np.array([late, late * 0 + 0.6, np.where(step < 40, 2.0, np.nan), late * 0 + 0.1]),
    }  # fmt: skip
    # Five frames, at steps 92 to 108, have a mean of 0.54, those at 96 to 112 of 0.32: step 116 follows.
    assert rates._reached(found).tolist() == [116, 300, 300, 20]


def test_ratios_are_judged_by_geometric_means():
    found = rates.times("ratio", [0.5, 8.0], least=1.9, name="x")
    assert found.measured == pytest.approx(2) and (found.low, found.high) == pytest.approx((0.5, 8))
    assert found.holds and found.name == "x" and found.accepted == "≥ 1.9"
    assert not rates.times("ratio", [0.5, 8.0], least=2.1).holds
    assert not rates.times("ratio", [0.5, 8.0], most=1.9).holds
    assert not rates.times("ratio", [0.5, math.nan], most=1.9).holds
    # Fewer seeds widen the bound by a factor, exp(4 sd sqrt(1/2 - 1/4)), but not past 1.
    ratios = np.exp([1.0, 1.1])
    sd = np.log(ratios).std(ddof=1)
    assert rates.times("ratio", ratios, least=9.0, seeds=4).accepted == f"≥ {9 * math.exp(-2 * sd):.4g}"
    assert rates.times("ratio", ratios, most=0.5, seeds=4).accepted == f"≤ {0.5 * math.exp(2 * sd):.4g}"
    assert rates.times("ratio", [0.1, 10.0], least=2.0, seeds=4).accepted == "≥ 1"
    assert rates.times("ratio", [0.1, 10.0], most=0.8, seeds=4).accepted == "≤ 1"


def test_differences_are_sorted_by_whether_their_sign_is_clear():
    said = rates.compared("A against B", {"here": [3.0, 4.0], "there": [-4.1, -4.0], "up": [9.0, 9.1]})
    assert said.startswith(
        "A against B, in points, with 95% intervals from 2 seeds: clearly higher at up: +9.1"
    )
    assert "; clearly lower at there: -4.0 (-4.7 to -3.4); no clear difference at here: +3.5 (-2.9 to" in said


# --- E8 -----------------------------------------------------------------------------------------------------

LARGEST = {"none": {5: 0.3, 10: 0.1, 20: 0.03}, "batch": {5: 3.0, 10: 3.0, 20: 1.0}}


def learned(**changes):
    """Numbers of E8, alike for all seeds, by `norm`_`depth`: when the loss falls, and which rates learn."""
    is_ = {"slow_none": 0.5, "slow_batch": 1.5}
    for depth in (5, 10, 20):
        is_ |= {f"loss_none_{depth}": 0.01, f"loss_batch_{depth}": 0.1, f"falls_none_{depth}": 200}
        is_ |= {f"falls_batch_{depth}": 100, f"error_none_{depth}": depth + 3.0, f"error_batch_{depth}": 6.0}
        is_ |= {f"rate_{norm}_{depth}": LARGEST[norm][depth] for norm in LARGEST}
    assert set(changes) <= set(is_)
    is_ |= changes
    step, measured = np.arange(0, 300, 4), {}
    for depth, norm, lr in find("E8").cells(True):
        arm, learns = f"{norm}_{depth}", lr <= is_[f"rate_{norm}_{depth}"]
        final = is_["slow_" + norm] if lr == 0.01 else is_["loss_" + arm] if learns else np.nan
        curve = np.where(step < is_["falls_" + arm], 2.3, 0.01 if learns else np.nan)
        error = 30.0 if lr == 0.01 else is_["error_" + arm] if learns else np.nan
        measured[depth, norm, lr] = {
            "step": step[None], "steps": np.array([300]), "train_loss": np.tile(curve, (8, 1)),
            "final_loss": np.full(8, final), "final": np.full(8, error),
        }  # fmt: skip
    return measured


@pytest.mark.parametrize(
    ("changes", "fails", "stances"),
    [
        ({}, "", "supports qualifies qualifies"),
        ({"rate_batch_5": 0.55}, "largest rate that learns", "does not show qualifies qualifies"),
        ({"rate_none_10": 0.3}, "", "supports qualifies qualifies"),
        ({"rate_none_10": 0.55}, "largest rate that learns", "does not show qualifies qualifies"),
        ({"rate_none_20": 0.18}, "largest rate that learns", "does not show qualifies qualifies"),
        ({"falls_batch_5": 170}, "steps to a training loss", "supports speaks against qualifies"),
        ({"falls_none_20": 110}, "steps to a training loss", "supports speaks against qualifies"),
        ({"slow_batch": 0.6}, "training loss at learning rate 0.01", "supports supports qualifies"),
        ({"loss_batch_5": 0.019}, "training loss, median of seeds", "supports supports qualifies"),
        ({"loss_batch_10": 0.019}, "training loss, median of seeds", "supports supports qualifies"),
        ({"loss_batch_10": 0.021, "loss_batch_20": 0.001}, "", "supports qualifies qualifies"),
        (
            {"error_batch_20": 20.1},
            "accuracy gained, median of seeds, depth 20",
            "supports qualifies speaks against",
        ),
        ({"error_batch_20": 19.9}, "", "supports qualifies qualifies"),
        ({"error_batch_5": 5.4}, "accuracy gained, median", "supports qualifies supports"),
        ({"error_batch_5": 5.6}, "", "supports qualifies qualifies"),
        ({"error_batch_10": 50.0}, "", "supports qualifies qualifies"),
    ],
)
def test_what_higher_rates_gain_is_judged_by_bounds(changes, fails, stances):
    measured = learned(**changes)
    found = failed("E8", measured)
    assert bool(found) == bool(fails) and all(one.startswith(fails) for one in found)
    assert " ".join(read("E8", measured, "full").stances.values()) == stances


def test_a_seed_that_diverges_at_the_others_rate_counts_as_guessing_and_turns_no_median():
    measured = learned()
    for quantity, best in (("final", 7.0), ("final_loss", 0.001)):  # the best for all seeds but the last
        measured[5, "none", 0.3][quantity] = np.array([best] * 7 + [np.nan])
    checks = {one.what: one for one in read("E8", measured, "full").findings.checks}
    # The others choose it for the last one alone: to them it is a rate at which one fails.
    error = checks["error, %, no norm, depth 5"]
    assert (error.high, error.low) == (90.0, 8.0) and error.measured == pytest.approx((7 * 8 + 90) / 8)
    assert checks["training loss, no norm, depth 5"].high == pytest.approx(math.log(10))
    assert checks["accuracy gained, median of seeds, depth 5, points"].measured == 2.0
    assert checks["training loss, median of seeds, batch norm / no norm, depth 5"].measured == pytest.approx(
        10
    )
    assert failed("E8", measured) == []


def test_sentences_of_rates_follow_the_numbers():
    def said(measured):
        return " ".join(read("E8", measured, "full").findings.notes)

    plain = said(learned())
    assert "its own rate: 10 at depth 5 (95% interval 10 to 10); 10 at depth 10" in plain
    assert "clearly higher at depth 5: +2.0 (+2.0 to +2.0), at depth 10: +7.0" in plain
    assert "learn at no rate" not in plain
    measured = learned(error_batch_5=9.0)
    for (depth, norm, lr), found in measured.items():
        if (depth, norm) == (10, "batch"):
            found["final"] = found["final"] + np.array([-9, 9, 20, -9, 8, 8, 9, 9])
        if (depth, norm) == (20, "batch"):
            found["final_loss"] = found["final_loss"] * [0.01, 0.02, 5, 0.01, 0.2, 0.1, 0.1, 0.1]
        if (depth, norm) == (20, "none"):
            found["final_loss"][:2] = 0.6
            found["final_loss"][2] = np.where(lr == 0.01, 0.4, 0.6)
    turned = said(measured)
    assert "clearly lower at depth 5: -1.0 (-1.0 to -1.0); no clear difference at depth 10: +1." in turned
    assert "no evidence for either" in turned.split("at depth 20")[1]
    assert "Depth 20, no norm: 2 of 8 seeds learn at no rate." in turned


# --- E9 -----------------------------------------------------------------------------------------------------


def test_the_same_training_is_exact_and_scale_is_a_rate(store):
    measured = measured_of("E9", store)
    assert failed("E9", measured) == [] and read("E9", measured).stances == {"initialization": "qualifies"}
    for label, quantity, change, stance in (
        (("batch", True), "loss_difference", 1e-6, "speaks against"),
        (("batch", True), "recursion", 1e-6, "qualifies"),
        (("none", True), "loss_difference", -3000, "speaks against"),
        (("batch", False), "loss_difference", -1, "supports"),
    ):
        wrong = {m: dict(found) for m, found in measured.items()}
        wrong[label][quantity] = wrong[label][quantity] + change
        assert len(failed("E9", wrong)) == 1
        assert read("E9", wrong).stances == {"initialization": stance}


def test_what_diverges_is_said_and_counted(store):
    def trains(measured):
        measured["none", True]["other_loss"] = measured["none", True]["train_loss"]

    assert "(100η, 10W) diverges in 2 of 2 seeds" in notes("E9", store)
    assert "diverges" not in notes("E9", store, trains)


def test_a_run_that_diverges_differs_by_the_loss_at_which_it_does():
    config = RunConfig(
        depth=2, width=8, batch_size=16, replicas=2, norm="none", dtype="float64", lr=0.1, rest_lr=0.1,
        record_every=1, validate_every=10**6,
    )  # fmt: skip
    found = MEASURES["rescaled"](config, 10, factor=40.0)
    plain = advance(start(config), 10).history["train_loss"]
    assert np.isfinite(plain).all() and np.isnan(found["other_loss"][:, -1]).all()
    np.testing.assert_allclose(found["loss_difference"], 1000 * math.log(10) - plain[:, 2:].min(axis=1))
    calm = MEASURES["rescaled"](config, 10, factor=1.1)  # nothing diverges
    np.testing.assert_allclose(calm["loss_difference"], np.abs(calm["other_loss"] - plain).max(axis=1))


# --- E10 ----------------------------------------------------------------------------------------------------


def test_the_start_that_is_farthest_off_is_judged(store):
    assert failed("E10", measured_of("E10", store)) == []
    for scale in (0.3, 1.0, 3.0):
        for quantity, factor in (("angle", 1.08), ("angle", 0.92), ("norm4", 1.08), ("norm4", 0.9)):
            measured = measured_of("E10", store)
            cell = measured["sgd", 0.5, 0.06, scale]
            cell[quantity] = cell[quantity] / cell[quantity].mean() * factor
            (one,) = failed("E10", measured)
            assert "start farthest off" in one and one.startswith("angle" if quantity == "angle" else "‖W‖⁴")
            assert read("E10", measured).stances == {"initialization": "does not show"}
    measured = measured_of("E10", store)
    heavy = measured["momentum", 0.5, 0.06, 1.0]
    heavy["norm4"] = heavy["norm4"] * 2  # only reported
    assert failed("E10", measured) == []
    heavy["angle"] = heavy["angle"] * 1.1
    assert len(failed("E10", measured)) == 1


def test_the_lengths_of_runs_let_the_start_be_forgotten():
    """By the recursion of ||W||^4 alone, from weights so much too long that the gradient doesn't count."""
    for full in (True, False):
        for (_, lr, decay, scale), cell in find("E10").cells(full).items():
            begins = cell.steps - cell.steps // 4
            assert (lr, decay) == (cell.config.lr, cell.config.weight_decay)
            # ||W||^4 starts at 20,000 times what it ends at, from weights x 3; at most a thousandth is left.
            assert 20_000 / 3**4 * scale**4 * (1 - lr * decay) ** (4 * begins) < 1e-3


def test_sentences_of_the_equilibrium_follow_the_numbers(store):
    def longer(measured):
        for found in measured.values():
            found["norm4"] = found["norm4"] * 0 + 1.25
            found["weight_norm"][:, 0] = 2 * found["weight_norm"][:, -1]

    said = notes("E10", store, longer)
    assert "‖W‖⁴ is 25% above the formula" in said
    last = measured_of("E10", store)["sgd", 0.5, 0.06, 1.0]["step"][0][-1]
    assert f"no more than {15 * math.exp(-4 * 0.03 * 0.75 * last):.1g} of ‖W‖⁴" in said
    assert "below the formula" in notes("E10", store)


# --- E19 ----------------------------------------------------------------------------------------------------


def scaled(**changes):
    """Numbers of E19: `norm`_`scale` is the error of all seeds, else 90 without a norm, and 10 with one."""
    return {
        (norm, s): {"final": np.full(4, changes.get(f"{norm}_{s:g}", 90.0 if norm == "none" else 10.0))}
        for norm, s in find("E19").cells(True)
    }


PRICE = {"batch_10": 18.1}


@pytest.mark.parametrize(
    ("changes", "fails", "stance"),
    [
        (PRICE, 0, "qualifies"),
        ({"batch_10": 17.9}, 1, "supports"),
        ({"none_1": 10.0, **PRICE}, 0, "qualifies"),  # at He's scale there is nothing to win
        ({"none_0.1": 39.0, **PRICE}, 1, "speaks against"),
        ({"none_4": 41.0, **PRICE}, 0, "qualifies"),
        ({"none_2": 39.0}, 2, "does not show"),
        ({"layer_10": 10.0, "layer_0.1": 1.0, **PRICE}, 0, "qualifies"),  # only compared
    ],
)
def test_scales_of_weights_are_judged_by_bounds(changes, fails, stance):
    measured = scaled(**changes)
    assert len(failed("E19", measured)) == fails
    assert read("E19", measured, "full").stances == {"initialization": stance}


def test_sentences_of_scales_follow_the_numbers():
    measured = scaled(**PRICE)
    measured["layer", 0.1]["final"] = np.full(4, np.nan)
    measured["layer", 2.0]["final"] = np.array([0.0, 20.0, 0.0, 30.0])
    measured["none", 1.0]["final"] = np.array([13.0, 14.0, 13.0, 14.0])
    said = " ".join(read("E19", measured, "full").findings.notes)
    assert "clearly higher at × 0.1: +80.0 (+80.0 to +80.0); clearly lower at × 10: -8.1" in said
    assert "no clear difference at × 0.2: +0.0 (+0.0 to +0.0)" in said and "at × 2: +2.5 (" in said
    assert "no norm − batch norm: +3.5 points (95% interval" in said


def test_races_of_scales_and_rates_are_runs_that_are_judged():
    for name in ("E8", "E19"):
        judged = {
            replace(cell.config, replicas=1, record_every=1, validate_every=1)
            for cell in find(name).cells(True).values()
        }
        shown = [config for race in find(name).races() for config in race.configs]
        assert all(replace(one, replicas=1, record_every=1, validate_every=1) in judged for one in shown)
