"""E1, E2: moments and identities of one batch are judged, each alone, and no stance rests on them."""

import numpy as np
import pytest

from bnlib import theory
from bnlib.experiments import find
from tests.bnlib.claims import failed, measured_of, read


@pytest.mark.parametrize("name", ["E1", "E2"])
def test_what_is_exact_takes_no_side(name, store):
    found = read(name, measured_of(name, store))
    assert found.stances == {} and found.claimed == "takes no side"
    assert all(one.exact and not one.reported for one in found.findings.checks)


@pytest.mark.parametrize("errors", [-4.2, -3.8, 3.8, 4.2])
def test_a_moment_is_judged_by_four_of_its_standard_errors(errors, store):
    measured = measured_of("E1", store)
    found = measured[8]
    error = np.sqrt(np.square(found["inverse_s_se"]).sum()) / 2  # of a mean over two seeds
    found["inverse_s"] = found["inverse_s"] * 0 + theory.inverse_std_mean(8) + errors * error
    assert failed("E1", measured) == ["E[1/s], m=8"] * (abs(errors) > 4)


def test_moments_without_a_variance_are_not_judged(store):
    judged = {one.what for one in read("E1", measured_of("E1", store)).findings.checks}
    assert {"E[s], m=2", "E[1/s], m=4", "E[1/s²], m=8"} <= judged
    assert not {"E[1/s], m=3", "E[1/s²], m=4"} & judged


def test_the_shape_is_judged_by_the_worst_seed_and_the_number_of_batches(store):
    limit = 0.008 * np.sqrt(5)  # of 20,000 batches
    for worst, fails in ((0.99 * limit, []), (1.01 * limit, ["shape of x̂, largest gap, m=4"])):
        measured = measured_of("E1", store)
        measured[4]["distance"] = np.array([0.0, worst])
        assert failed("E1", measured) == fails
    measured = measured_of("E1", store)
    measured[3]["largest"] = np.array([1.0, np.sqrt(2) + 1e-8])
    assert failed("E1", measured) == ["largest |x̂|, m=3"]


@pytest.mark.parametrize(
    ("quantity", "words"),
    [("spectrum", "eigenvalues"), ("projector", "projector"), ("santurkar", "4.1"), ("pair", "two numbers")],
)
def test_one_seed_of_one_cell_is_enough_for_an_identity_to_fail(quantity, words, store):
    measured = measured_of("E2", store)
    values = measured[32, 1e-5][quantity] = measured[32, 1e-5][quantity].copy()
    values[1] = 2e-10
    (what,) = failed("E2", measured)
    assert words in what


def test_a_gradient_that_passes_a_batch_of_two_is_seen(store):
    measured = measured_of("E2", store)
    measured[2, 0.0]["gradient"] = measured[2, 0.0]["gradient"] + 1e-9
    assert failed("E2", measured) == ["m=2, ε=0: share of a gradient that passes"]
    assert find("E2").cells(True).keys() == measured.keys()
