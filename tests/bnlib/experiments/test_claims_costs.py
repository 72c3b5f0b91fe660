"""E17, E21: counts of what inference uses, and that judgements and sentences follow the numbers."""

import numpy as np
import pytest

from bnlib import RunConfig
from bnlib.experiments import find
from bnlib.experiments.probes import MEASURES
from tests.bnlib.claims import failed, measured_of, notes, read


@pytest.mark.parametrize(
    ("changes", "folded"),
    [
        ({}, 0),
        ({"placement": "after"}, 0),
        ({"norm": "layer"}, 2),  # gamma and beta stay
        ({"residual": "pre"}, 1),  # gamma and beta instead of a bias
    ],
)
def test_what_inference_uses_is_counted(changes, folded):
    config = RunConfig(**{"depth": 3, "width": 8, "batch_size": 4, "norm": "batch"} | changes)
    np.testing.assert_allclose(MEASURES["cost"](config, 1)["folded"], folded)


def test_a_cost_and_its_limit_are_judged_apart(store):
    assert read("E21", measured_of("E21", store)).stances == {"cost": "qualifies"}
    for quantity, value, stance in (("parameters", 0, "speaks against"), ("folded", 1, "supports")):
        measured = measured_of("E21", store)
        for found in measured.values():
            found[quantity] = np.array([float(value)])
        assert len(failed("E21", measured)) == 1
        assert read("E21", measured, "full").stances == {"cost": stance}


def seeds(measured, **errors):
    """Give these errors to all seeds: m64, none, right4 and so on, relative to whole batches."""
    base = measured[64]["final_precise"]
    right = measured["right labels", 64]["final_precise"]
    for name, more in errors.items():
        label = "none" if name == "none" else ("right labels", 4)
        measured[label]["final_precise"] = (base if name == "none" else right) + np.array(more)


def test_whole_batches_and_right_labels_limit_it(store):
    assert read("E17", measured_of("E17", store)).stances == {"regularization": "qualifies"}
    for errors in ({"none": 9.0}, {"right": -1.5}):
        measured = measured_of("E17", store)
        seeds(measured, **errors)
        assert len(failed("E17", measured)) == 1
        assert read("E17", measured, "full").stances == {"regularization": "supports"}
    measured = measured_of("E17", store)
    measured[4]["final_precise"] = 0.6 * measured[64]["final_precise"]
    assert failed("E17", measured) == ["error at m=4 / at m=64"]


def test_sentences_of_regularization_have_intervals(store):
    def said(**errors):
        return notes("E17", store, lambda measured: seeds(measured, **errors))

    level = said(none=[0.5, -1.0, 1.0], right=[1.0, -1.0, 0.5])
    assert (
        "batch norm gains +0.2 points (95% interval -2.4 to +2.8, 3 seeds) over no norm, no evidence" in level
    )
    assert "over whole ones, no evidence of any: " in level
    helped = said(none=[5.0, 5.1, 4.9], right=[-2.0, -2.1, -1.9])
    assert "gains +5.0 points (95% interval +4.8 to +5.2, 3 seeds) over no norm." in helped
    assert "gain +2.0 points (95% interval +1.8 to +2.2, 3 seeds) over whole ones: " in helped


def test_all_sizes_are_raced_or_measured():
    (race,) = find("E17").races()
    assert {c.norm_batch for c in race.configs if c.norm == "batch"} <= set(find("E17").cells(True))
