"""E13, E14, E15: who shares statistics in evaluation; judgements and sentences follow the numbers."""

from dataclasses import replace

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.experiments import find
from bnlib.experiments.probes import MEASURES
from bnlib.training.evaluation import error
from tests.bnlib.claims import failed, measured_of, notes, read

CONFIG = RunConfig(
    depth=2, width=12, batch_size=80, norm_batch=8, lr=0.5, replicas=2, dtype="float64", batch_order="sorted",
    record_every=10**6, validate_every=10**6,
)  # fmt: skip


def batch_normed(x, parameters, config):
    """Logits of one norm batch, from the formula."""
    for layer in range(config.depth):
        z = x @ parameters[f"weight{layer}"]
        xhat = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + config.eps)
        x = np.maximum(xhat * parameters[f"gamma{layer}"] + parameters[f"beta{layer}"], 0)
    return x @ parameters[f"weight{config.depth}"] + parameters[f"bias{config.depth}"]


def test_composition_sorts_validation_batches_as_training_does():
    found = MEASURES["composition"](CONFIG, 30)
    run, data = advance(start(CONFIG), 30), CONFIG.data()
    np.testing.assert_array_equal(found["running"], error(run))
    for replica in range(2):
        parameters = {name: array[replica] for name, array in run.parameters.items()}
        order = np.random.default_rng((replica, 1, 0)).permutation(500)  # the stream's first epoch
        wrong = {"own": 0, "mixed": 0}
        for batch in order[:480].reshape(6, 80):
            by_class = batch[np.argsort(data.y_val[batch], kind="stable")].reshape(10, 8)
            for name, groups in (("own", by_class), ("mixed", batch.reshape(8, 10).T)):
                for group in groups:
                    logits = batch_normed(data.x_val[group], parameters, CONFIG)
                    wrong[name] += np.count_nonzero(logits.argmax(axis=1) != data.y_val[group])
        for name, count in wrong.items():
            assert found[name][replica] == pytest.approx(100 * count / 480)
    assert (found["own"] > found["mixed"] + 10).all()
    layer = MEASURES["composition"](replace(CONFIG, norm="layer"), 30)
    np.testing.assert_array_equal(layer["own"], layer["mixed"])


def test_averages_are_told_with_what_is_left_of_their_start_and_with_lag(store):
    def level(measured):
        for found in measured.values():
            found["step"] = found["step"] * 0
            found["corrected"] = found["precise"] + np.array([[1], [-1], [0]])

    said, turned = notes("E13", store), notes("E13", store, level)
    assert "8% of the average is still its start" in said and "79% of the average" in said
    assert turned.count("100% of the average is still its start") == 2
    none = "gain +0.0 points (95% interval -2.5 to +2.5, 3 seeds): that is lag, no evidence of any."
    assert turned.count(none) == 2


def test_late_averages_are_judged_after_both_epochs(store):
    for momentum, epoch in ((0.9, 0), (0.99, 0), (0.99, -1)):
        measured = measured_of("E13", store)
        running = measured[momentum]["running"] = measured[momentum]["running"].copy()
        running[:, epoch] = measured[momentum]["precise"][:, epoch] + 9
        (what,) = failed("E13", measured)
        assert f"after the {'last' if epoch else 'first'} epoch, momentum {momentum}," in what
        assert read("E13", measured, "full").stances == {"discrepancy": "does not show"}


def test_norm_batches_of_one_class_are_judged_against_mixed_ones_layer_norm_and_inference(store):
    assert read("E14", measured_of("E14", store)).stances == {"discrepancy": "supports"}
    for changes in (
        {("batch", "shuffled"): {"running": 12.0}},
        {("layer", "sorted"): {"running": 16.0}},
        {("batch", "sorted"): {"own": 30.0}},
    ):
        measured = measured_of("E14", store)
        for label, values in changes.items():
            for name, value in values.items():
                measured[label][name] = measured[label][name] * 0 + value
        assert len(failed("E14", measured)) == 1, changes
        assert read("E14", measured, "full").stances == {"discrepancy": "does not show"}


def test_what_one_class_removes_is_said_of_statistics_as_in_training(store):
    def alike(measured):
        measured["batch", "sorted"]["own"] = measured["batch", "sorted"]["mixed"]

    assert "one class removes signal" in notes("E14", store)
    assert "no class removes signal" in notes("E14", store, alike)


@pytest.mark.parametrize(
    ("label", "name", "by", "stance"),
    [
        (("batch", "grouped"), "grouped", -0.2, "speaks against"),
        (("batch", "grouped"), "shuffled", 0.2, "speaks against"),
        (("batch", "shuffled"), "running", 0.05, "supports"),
        (("batch", "shuffled"), "running", -0.05, "supports"),
        (("layer", "grouped"), "running", 0.1, "supports"),
    ],
)
def test_a_leak_and_its_harm_are_judged_apart(label, name, by, stance, store):
    measured = measured_of("E15", store)
    assert read("E15", measured).stances == {"discrepancy": "qualifies"}
    measured[label][name] = measured[label][name] + by
    assert failed("E15", measured)
    assert read("E15", measured, "full").stances == {"discrepancy": stance}


def test_harm_is_told_with_its_interval(store):
    def harmed(measured):
        measured["batch", "shuffled"]["running"] = measured["batch", "grouped"]["running"] + 0.1

    assert "in inference by +0.100 (95% interval +0.100 to +0.100, 3 seeds)" in notes("E15", store, harmed)


def test_orders_of_norm_batches_are_those_of_the_race():
    (race,) = find("E14").races()
    cells = find("E14").cells(True)
    assert [c.batch_order for c in race.configs] == [order for norm, order in cells if norm == "batch"]
