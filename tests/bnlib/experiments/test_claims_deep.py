"""E24: which cells are compared, what is judged, and what is said of it."""

import numpy as np
import pytest

from bnlib import theory
from bnlib.experiments import find
from bnlib.experiments.findings import at_others_best
from tests.bnlib.claims import failed, read

ERRORS = {
    "batch": {10: 5.0, 20: 8.0, 40: 65.0, 60: 85.0},
    "none": {10: 8.0, 20: 30.0, 40: 75.0, 60: 80.0},
    "residual": dict.fromkeys((10, 20, 40, 60), 4.0),
}


def numbers(**changes):
    """Numbers of E24, the same for all seeds and rates: `arm`_`depth` is an error."""
    return {
        (arm, depth, i): {"final_precise": np.full(4, changes.get(f"{arm}_{depth}", ERRORS[arm][depth]))}
        for arm, depth, i in find("E24").cells(True)
    }


@pytest.mark.parametrize("full", [True, False])
def test_arms_differ_in_norm_skip_connections_depth_and_rate_alone(full):
    for (arm, depth, _), cell in find("E24").cells(full).items():
        config = cell.config
        assert (config.depth, config.norm, config.residual) == (
            depth, "none" if arm == "none" else "batch", "pre" if arm == "residual" else "none",
        )  # fmt: skip
        assert (config.width, config.batch_size, config.optimizer, config.init_scale) == (64, 64, "sgd", 1.0)
    steps = {label[:2]: cell.steps for label, cell in find("E24").cells(full).items()}
    assert all(steps[arm, depth] == steps["batch", depth] for arm, depth in steps), (
        "each depth trains as long"
    )


@pytest.mark.parametrize(
    ("changes", "fails", "stance"),
    [
        ({}, "", "supports"),
        ({"batch_20": 11.9}, "", "supports"),
        ({"batch_20": 12.1}, "20 layers", "does not show"),
        ({"batch_40": 50.1}, "", "supports"),
        ({"batch_40": 49.9}, "40 layers", "does not show"),
        ({"batch_60": 49.9, "none_60": 10.0}, "60 layers", "does not show"),
        ({"none_60": 89.9}, "", "supports"),
        ({"none_60": 90.1}, "no norm − batch norm, 60 layers", "does not show"),
        ({"residual_10": 7.9}, "", "supports"),
        ({"residual_60": 8.1}, "highest error at any depth", "does not show"),
        (
            {"none_10": 90.0, "none_20": 1.0, "none_40": 1.0, "batch_10": 90.0},
            "",
            "supports",
        ),  # only reported
    ],
)
def test_depth_is_judged_by_bounds(changes, fails, stance):
    measured = numbers(**changes)
    wrong = failed("E24", measured)
    assert len(wrong) == bool(fails) and all(fails in what for what in wrong)
    assert read("E24", measured, "full").stances == {"depth": stance}


def test_the_highest_error_is_each_seeds_own():
    """Not the highest of means: each seed fails at another depth."""
    measured = numbers()
    for seed, depth in enumerate((10, 20, 40, 60)):
        measured["residual", depth, 0]["final_precise"][seed] = 9.0
    assert [what[:13] for what in failed("E24", measured)] == ["highest error"]


def test_each_seed_is_judged_where_the_others_are_best():
    errors = [np.array([1.0, 1.0, 9.0, 5.0]), np.array([2.0, 2.0, 2.0, 8.0]), np.full(4, 50.0)]
    judged = at_others_best(errors)
    for seed in range(4):  # by hand
        others = [float(np.mean([e for i, e in enumerate(own) if i != seed])) for own in errors]
        assert judged[seed] == errors[int(np.argmin(others))][seed]
    assert judged.tolist() == [2.0, 2.0, 9.0, 8.0], "the best of their own would be 1, 1, 2 and 5"


def test_a_run_that_diverges_counts_as_guessing():
    measured = numbers()
    for i in (0, 1):
        measured["batch", 20, i]["final_precise"][0] = np.nan
    checks = {one.what: one for one in read("E24", measured).findings.checks}
    assert checks["error, batch norm, 20 layers, %"].measured == (90 + 3 * 8) / 4


def test_sentences_follow_the_numbers():
    def said(measured):
        return " ".join(read("E24", measured).findings.notes)

    usual = said(numbers())
    growth = theory.gradient_growth_relu(64)
    assert f"λ = {growth:.3f} at a batch of 64, about {16 / np.log(growth):.0f} layers" in usual
    assert "5% at 10, 8% at 20, 65% at 40, 85% at 60 layers" in usual
    assert "-5.0 points (95% interval -5.0 to -5.0, 4 seeds) at 60 layers" in usual
    assert "gradients that explode are not all" in usual and "no evidence" not in usual
    assert "not all that makes depth hard" not in said(numbers(none_40=20.0))
    level = numbers()
    for i in (0, 1):
        level["none", 60, i]["final_precise"] = np.array([80.0, 90.0, 80.0, 91.0])
    assert "4 seeds) at 60 layers (no evidence)" in said(level)
    tuned = numbers()
    tuned["batch", 20, 1]["final_precise"] -= 1
    assert "batch norm 0.3 at 10, 0.3 at 20," in usual and "batch norm 0.3 at 10, 0.1 at 20," in said(tuned)


def test_the_picture_has_the_rules_depth():
    (picture,) = read("E24", numbers()).findings.pictures
    rule = picture.series[-1]
    assert rule.theory and rule.x == (theory.trainable_depth(theory.gradient_growth_relu(64)),) * 2
    assert 38 < rule.x[0] < 42
    assert [series.x for series in picture.series[:3]] == [(10, 20, 40, 60)] * 3
