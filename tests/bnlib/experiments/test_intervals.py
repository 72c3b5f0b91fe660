"""Intervals of paired differences: against SciPy's Student, and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from bnlib.experiments.intervals import LEVEL, Interval, paired, student


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 7, 11, 15, 47, 200])
def test_student_is_scipys(freedom):
    assert student(freedom) == pytest.approx(stats.t.ppf((1 + LEVEL) / 2, freedom), rel=1e-9)
    assert student(freedom, 0.5) == pytest.approx(stats.t.ppf(0.75, freedom), rel=1e-9)


def test_an_interval_is_scipys():
    values = np.random.default_rng(0).normal(1.0, 2.0, 6)
    found = paired(values)
    expected = stats.t.interval(LEVEL, 5, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected) and found.mean == pytest.approx(values.mean())
    assert found.seeds == 6


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = [one.low < 0.3 < one.high for one in (paired(row) for row in rng.normal(0.3, 1.0, (4000, 4)))]
    assert np.mean(held) == pytest.approx(LEVEL, abs=4 * np.sqrt(LEVEL * (1 - LEVEL) / 4000))


def test_what_has_diverged_is_left_out():
    assert paired([1.0, np.nan, 3.0, np.inf]) == paired([1.0, 3.0])


def test_one_seed_has_no_interval_and_none_no_mean():
    one = paired([2.0])
    assert (one.mean, one.low, one.high, one.clear) == (2.0, -np.inf, np.inf, False)
    assert one.text() == "+2.0 points (one seed, no interval)"
    assert np.isnan(paired([]).mean) and not paired([]).clear and paired([]).seeds == 0


def test_a_sign_is_clear_if_the_interval_leaves_out_0():
    assert Interval(1, 0.1, 2, 4).clear and Interval(-1, -2, -0.1, 4).clear
    assert not Interval(1, -0.1, 2, 4).clear
    assert Interval(1, -0.1, 2, 4).text() == "+1.0 points (95% interval -0.1 to +2.0, 4 seeds)"
