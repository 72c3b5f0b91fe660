"""E27: that random weights stay random, how rates are chosen, and what is said of it."""

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.experiments import find
from bnlib.experiments.claims import affine
from bnlib.experiments.probes import MEASURES
from tests.bnlib.claims import failed, read

FROZEN = ["affine", "output", "biases", "shifted"]


@pytest.mark.parametrize("arm", [*FROZEN, "all"])
@pytest.mark.parametrize("depth", [3, 6])
def test_hidden_weights_stay_bit_for_bit_and_all_else_is_trained(arm, depth):
    cell = find("E27").cells(False)[arm, depth, 0.2]
    first = start(cell.config)
    last = advance(first, 30)
    for name, before in first.parameters.items():
        moved = before != last.parameters[name]
        hidden = name.startswith("weight") and name != f"weight{depth}"
        if hidden:
            assert moved.any() == (arm == "all"), name
        else:
            assert moved.mean(axis=(1, 2)).min() > 0.5, name  # a unit that is never active learns nothing
    trained = sum(array[0].size for array in first.parameters.values())
    hidden = 64 * 64 * depth
    assert trained - hidden * (arm in FROZEN) == affine._trained(arm, depth)
    own = {"affine": 2 * 64 * depth, "output": 0, "biases": 64 * depth, "shifted": 64 * depth}
    if arm in FROZEN:  # and the output layer's 64 x 10 weights and 10 biases
        assert affine._trained(arm, depth) == own[arm] + 650


def test_full_and_reduced_cells_differ_in_rates_seeds_and_steps_alone():
    for full in (True, False):
        for (arm, depth, rate), cell in find("E27").cells(full).items():
            config = cell.config
            assert (config.rest_lr, config.depth) == (rate, depth)
            assert config.lr == (rate if arm == "all" else 0)
            assert (config.norm == "none") == (arm == "biases")
            assert config.learn_affine == (arm not in ("output", "shifted"))


def test_units_that_are_off_are_counted_by_hand():
    """One layer, 60 numbers of inference by hand; units are switched off by gamma and beta."""
    config = RunConfig(
        depth=1, width=12, batch_size=16, replicas=2, lr=0.0, rest_lr=4.0, dtype="float64",
        record_every=10**6, validate_every=10**6,
    )  # fmt: skip
    found = MEASURES["units_off"](config, 60)
    run, data = advance(start(config), 60), config.data()
    for replica in range(2):
        own = {name: array[replica] for name, array in run.parameters.items()}
        mean, var = run.running.mean[replica], run.running.var[replica]
        z = (data.x_val @ own["weight0"] - mean) / np.sqrt(var + config.eps) * own["gamma0"] + own["beta0"]
        logits = np.maximum(z, 0) @ own["weight1"] + own["bias1"]
        assert found["final"][replica] == pytest.approx(100 * np.mean(logits.argmax(1) != data.y_val))
        assert found["off"][replica] == pytest.approx(100 * np.mean(z.max(axis=0) <= 0))
        assert found["small"][replica] == pytest.approx(100 * np.mean(np.abs(own["gamma0"]) < 0.1))
    assert found["off"].max() > 0 and found["small"].max() > 0, "else nothing was counted"
    silent = MEASURES["units_off"](RunConfig(depth=2, width=8, norm="none", replicas=3), 1)
    assert np.isnan(silent["small"]).all() and silent["off"].shape == (3,)


ERRORS = {"affine": 10.0, "output": 30.0, "biases": 20.0, "shifted": 12.0, "all": 4.0}


def numbers(seeds=12, **changes):
    """Numbers of E27, the same for all seeds, depths and rates: errors by arm, shares of features."""
    errors = ERRORS | changes
    nothing = np.zeros(seeds)
    return {
        (arm, depth, rate): {"final": nothing + errors[arm], "off": nothing + 2.0, "small": nothing + 1.0}
        for arm, depth, rate in find("E27").cells(True)
    }


@pytest.mark.parametrize(
    ("changes", "fails", "stance"),
    [
        ({}, 0, "qualifies"),
        ({"output": 25.1}, 0, "qualifies"),
        ({"output": 24.9}, 1, "speaks against"),  # 15 points at depth 6
        ({"output": 13.9}, 2, "speaks against"),  # and 4 at depth 3
        ({"biases": 13.1}, 0, "qualifies"),
        ({"biases": 12.9}, 2, "speaks against"),
        ({"all": 6.9}, 0, "qualifies"),
        ({"all": 7.1}, 2, "supports"),
        ({"shifted": 1.0}, 0, "qualifies"),  # only reported
        ({"affine": 50.0, "all": 49.0}, 6, "does not show"),
    ],
)
def test_what_gamma_and_beta_learn_is_judged_by_bounds(changes, fails, stance):
    measured = numbers(**changes)
    assert len(failed("E27", measured)) == fails
    assert read("E27", measured, "full").stances == {"affine": stance}


def test_each_half_of_the_seeds_is_judged_at_the_rate_that_the_other_half_chooses():
    measured = numbers(seeds=4)
    for depth in (3, 6):
        measured["output", depth, 0.2]["final"] = np.array([1.0, 1.0, 40.0, 50.0])  # best of the first half
        measured["output", depth, 0.6]["final"] = np.array([60.0, np.nan, 2.0, 2.0])  # best of the second
    found = read("E27", measured).findings
    checks = {one.what: one for one in found.checks}
    judged = checks["error, output layer alone, depth 3, %"]
    assert (judged.measured, judged.low, judged.high) == ((60 + 90 + 40 + 50) / 4, 40, 90)
    assert "output layer alone 0.6/0.2 and 0.6/0.2;" in " ".join(found.notes)
    measured["affine", 3, 2.0] |= {
        "final": np.array([9.0, 9.0, 10.0, 10.0]),
        "off": np.array([0, 0, 8.0, 4.0]),
    }
    checks = {one.what: one for one in read("E27", measured).findings.checks}
    assert checks["hidden units that are never active, γ, β and output layer, depth 3, %"].measured == 4.0


def test_sentences_follow_the_numbers():
    def said(measured):
        return " ".join(read("E27", measured).findings.notes)

    level = numbers()
    for label, found in level.items():
        if label[0] == "shifted":
            found["final"] = found["final"] + np.tile([-4.0, 1.0], 6)  # 0.5 points on average
    usual, reverse = said(numbers()), said(numbers(shifted=7.0))
    assert usual.count("γ and β err less") == 2 and "at depth 3 +2.0 points" in usual
    assert reverse.count("biases err less") == 2 and "at depth 6 -3.0 points" in reverse
    assert said(level).count("no evidence for either") == 2
    assert "γ, β and output layer 1,034 and 1,418; output layer alone 650 and 650" in usual
    assert "everything 13,322 and 25,994" in usual
    assert "2.0% (depth 3) and 2.0% (depth 6)" in usual and "less than a third is switched off" in usual
    off = numbers()
    for found in off.values():
        found["off"] = found["off"] + 32
    assert "a third or more is switched off" in said(off)
    assert "γ, β and output layer, depth 3" in usual.split("At an end")[1], (
        "the first rate of all that are alike"
    )
    inside = numbers()
    for (_, _, rate), found in inside.items():
        found["final"] = found["final"] - (rate == 0.6)
    assert "At an end of those that were tried: none." in said(inside)
