"""E25: equal epochs, what is judged, and what is said of it."""

import numpy as np
import pytest

from bnlib.data import TRAIN_SIZES
from bnlib.experiments import find
from tests.bnlib.claims import failed, read

ERRORS = {
    "none": {8: 3.0, 32: 4.0, 128: 7.0, 512: 22.0, "long": 5.0, "standardized": 19.0},
    "batch": {8: 2.2, 32: 2.2, 128: 2.4, 512: 3.7, "long": 2.6, "standardized": 4.8},
}


def numbers(full=True, seeds=8, **changes):
    """Numbers of E25, the same for all seeds and rates: `norm`_`batch size or kind` is an error."""
    found = {}
    for (norm, size, kind, i), cell in find("E25").cells(full).items():
        where = size if kind == "equal" else kind
        error = changes.get(f"{norm}_{where}", ERRORS[norm][where])
        found[norm, size, kind, i] = {
            "final_precise": np.full(seeds, error), "steps": np.array([cell.steps]),
        }  # fmt: skip
    return found


@pytest.mark.parametrize("full", [True, False])
def test_epochs_are_equal_and_both_arms_have_the_same_rates(full):
    cells = find("E25").cells(full)
    for (norm, size, kind, i), cell in cells.items():
        epochs = cell.steps * size / TRAIN_SIZES["digits"]
        expected = 10 if kind != "long" else 80 if full else 40
        assert epochs == pytest.approx(expected, rel=0.02), "whole steps"
        assert cell.config.cosine_steps == cell.steps and dict(cell.options) == {"precise": True}
        assert (cell.config.norm, cell.config.batch_size) == (norm, size)
        assert (cell.config.inputs == "standardized") == (kind == "standardized")
        other = cells["batch" if norm == "none" else "none", size, kind, i]
        assert other.config.lr == cell.config.lr and other.steps == cell.steps


@pytest.mark.parametrize(
    ("changes", "fails", "stances"),
    [
        ({}, "", ("qualifies", "qualifies")),
        ({"none_512": 11.8}, "", ("qualifies", "qualifies")),
        ({"none_512": 11.6}, "batch 512, equal epochs", ("speaks against", "qualifies")),
        ({"none_8": 3.6}, "", ("qualifies", "qualifies")),
        ({"none_8": 3.8}, "batch 8, equal epochs", ("supports", "supports")),
        ({"none_8": 0.8}, "", ("qualifies", "qualifies")),
        ({"none_8": 0.6}, "batch 8, equal epochs", ("supports", "supports")),
        ({"none_long": 3.7}, "", ("qualifies", "qualifies")),
        ({"none_long": 3.5}, "batch 512, long training", ("qualifies", "speaks against")),
        ({"none_32": 90.0, "none_128": 1.0, "none_standardized": 1.0}, "", ("qualifies", "qualifies")),
    ],
)
def test_gains_are_judged_by_bounds(changes, fails, stances):
    measured = numbers(**changes)
    wrong = failed("E25", measured)
    assert len(wrong) == bool(fails) and all(fails in what for what in wrong)
    assert read("E25", measured, "full").stances == dict(zip(("faster", "accuracy"), stances, strict=True))


def test_few_seeds_never_widen_the_bounds_to_what_is_much_or_nothing():
    """At reduced size; with seeds that differ as much as can be."""
    measured = numbers(full=False, seeds=3)
    for (norm, *_), found in measured.items():
        if norm == "none":
            found["final_precise"] = found["final_precise"] + np.array([-30.0, 0.0, 30.0])
    large, little, left = (one for one in read("E25", measured).findings.checks if not one.reported)
    assert (large.least - large.slack, left.least - left.slack) == (1.5, 0.0)
    assert (little.least - little.slack, little.most + little.slack) == (-8.0, 8.0)


def test_sentences_follow_the_numbers():
    def said(measured):
        return " ".join(read("E25", measured).findings.notes)

    usual = said(numbers())
    assert "at batch 8 +0.8 points (95% interval +0.8 to +0.8, 8 seeds); at batch 32 +1.8" in usual
    assert "it gains 18.3 points in 25 steps, and +2.4 points" in usual and "in 203." in usual
    assert "With standardized inputs it gains, at batch 512, +14.2 points" in usual
    assert "no evidence" not in usual
    noisy = numbers()
    for i in range(4):
        noisy["none", 8, "equal", i]["final_precise"] = 2.2 + np.array([1.0, -1.0] * 4)
    assert "at batch 8 +0.0 points" in said(noisy) and "8 seeds), no evidence for either; at" in said(noisy)
    assert "With standardized" not in said(numbers(full=False, seeds=3))


def test_each_is_compared_at_its_best_batch_size_too():
    """No norm is best at 8, batch norm at 32, on all seeds but one, which is judged there all the same."""
    measured = numbers(none_8=3.0, batch_32=2.0)
    for i in range(4):
        measured["none", 8, "equal", i]["final_precise"][0] = 6.0
    notes = read("E25", measured).findings.notes
    (said,) = (note for note in notes if "best batch size" in note)
    assert f"{(4.0 + 7 * 1.0) / 8:+.1f} points" in said


def test_best_rates_and_their_ratio_are_found():
    measured = numbers()
    measured["none", 512, "equal", 1]["final_precise"] -= 2  # 0.3
    measured["batch", 512, "equal", 3]["final_precise"] -= 1  # 3
    assert "0.3 and 3 at batch 512 (ratio 10)" in " ".join(read("E25", measured).findings.notes)
