"""E29: what is judged, what is said, and what batches of two let pass."""

from dataclasses import replace

import numpy as np
import pytest

from bnlib import advance, start, theory
from bnlib.experiments import find
from tests.bnlib.claims import failed, measured_of, notes, read

ERRORS = {"batch": 60.0, "renorm": 40.0, "running": 20.0, "group": 5.0, "none": 4.0}


def changed(store, **errors):
    """Return what is measured where arms have these errors, in all seeds."""
    measured = measured_of("E29", store)
    measured["renorm"] = dict(measured["running"])
    for arm, error in (ERRORS | errors).items():
        measured[arm]["final"] = np.full(3, error)
    return measured


@pytest.mark.parametrize(
    ("errors", "lost", "stance"),
    [
        ({}, [], "qualifies"),
        ({"none": 5.9}, [], "qualifies"),
        ({"none": 6.1}, ["no norm − group norm, points"], "supports"),
        ({"renorm": 44.9}, [], "qualifies"),
        ({"renorm": 45.1}, ["batch norm − batch renorm, points"], "speaks against"),
        ({"running": 31.1}, ["batch renorm − running averages, points"], "speaks against"),
        ({"running": 10.9}, ["running averages − group norm, points"], "speaks against"),
        ({"batch": 39, "renorm": 21, "running": 11.1}, ["error of batch norm, %"], "speaks against"),
        ({"none": 70}, ["no norm − group norm, points"], "supports"),
    ],
)
def test_every_step_of_the_order_is_judged_alone(errors, lost, stance, store):
    measured = changed(store, **errors)
    assert failed("E29", measured) == lost
    assert read("E29", measured, "full").stances == {"small": stance}


def test_sentences_follow_the_errors(store):
    def overlap(measured):
        measured["running"]["final"] = measured["batch"]["final"] - np.array([20, 10, 30])
        measured["none"]["final"] = measured["group"]["final"] - np.array([2.0, 2.1, 1.9])
        measured["batch"]["final_precise"] = measured["batch"]["final"] - np.array([6.0, 6.1, 5.9])

    said, turned = notes("E29", store), notes("E29", store, overlap)
    assert "errors of batch norm, running averages, group norm don’t overlap" in said
    assert "errors of batch norm and running averages overlap" in turned
    assert "3 seeds), no evidence for either." in said
    assert (
        "that of no norm. No norm − group norm: -2.0 points (95% interval -2.2 to -1.8, 3 seeds)." in turned
    )
    assert "no evidence of any" in said
    assert "errs by 65%, a change of -6.0 points (95% interval -6.2 to -5.8, 3 seeds)." in turned


def test_weight_standardization_is_told_where_it_is_measured(store):
    measured = changed(store)
    measured["standard"] = dict(measured["group"])
    for change, said in ((0.0, "no evidence of a change"), (1.0, "+1.0 points (95% interval +1.0 to +1.0")):
        measured["standard"]["final"] = measured["group"]["final"] + change
        assert said in read("E29", measured).findings.notes[-1]


def test_hidden_layers_get_almost_no_gradient_at_most_steps_and_kicks_at_some():
    """What the theory says of two numbers, at the page's configuration; group norm for comparison."""
    assert theory.pair_slope(np.zeros(1), 1e-5) == pytest.approx(158, abs=0.5)
    assert "158 times" in find("E29").theory
    first = {}
    for arm in ("batch", "renorm", "group"):
        config = replace(
            find("E29").cells(True)[arm].config, replicas=1, record_every=1, validate_every=10**6
        )
        first[arm] = advance(start(config), 500).history["weight_gradient_norm"][0, :, 0]
    for arm in ("batch", "renorm"):
        assert np.median(first[arm]) < np.median(first["group"]) / 1000
        assert first[arm].max() > 5 * first["group"].max()
