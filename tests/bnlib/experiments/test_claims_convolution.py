"""E23: what is judged, what is said, and how many numbers share a mean."""

import re
from dataclasses import replace

import numpy as np
import pytest

from bnlib import start
from bnlib.experiments import find
from bnlib.networks.network import forward
from tests.bnlib.claims import failed, measured_of, notes, read

RISE = "convolutional network: error at m=2 − at m=64, points"
DENSE = "dense network: error at m=2, %"


def changed(store, rise=-0.3, dense=70.0):
    """Return what is measured where m=2 costs so much, with two seeds of one mind."""
    measured = measured_of("E23", store)
    measured["cnn", 2]["final"] = measured["cnn", 64]["final"] + rise
    measured["dense", 2]["final"] = np.full(2, dense)
    return measured


@pytest.mark.parametrize(
    ("change", "lost"),
    [({}, []), ({"rise": 0.9}, []), ({"rise": 1.1}, [RISE]), ({"rise": 11.1}, [RISE]), ({"dense": 41}, []),
     ({"dense": 39}, [DENSE]), ({"rise": -2.0, "dense": 2}, [DENSE])],
)  # fmt: skip
def test_a_convolutional_network_may_not_lose_what_a_dense_one_loses(change, lost, store):
    measured = changed(store, **change)
    assert failed("E23", measured) == lost
    stance = "does not show" if lost else "speaks against"
    assert read("E23", measured, "full").stances == {"small": stance}


def test_sentences_follow_the_changes(store):
    def rises(measured):
        measured["cnn", 2]["final"] = measured["cnn", 64]["final"] + np.array([9.9, 10.1])
        measured["dense", 2]["final"] = measured["dense", 64]["final"] + np.array([1.0, -1.0])
        measured["cnn", 2]["final_train_batch"] = measured["cnn", 64]["final_train_batch"]

    said, turned = notes("E23", store), notes("E23", store, rises)
    assert "in training m=2 is noisier, and inference has no such noise" in said
    assert "m=2 is not seen to be noisier" in turned
    assert re.search(r"error changes by [^;]*, no evidence of a change; the dense", said)
    assert re.search(r"error changes by \+10\.0 points \([^;]*2 seeds\); the dense", turned)
    assert "dense network’s by +0.0 points" in turned and turned.count("no evidence of a change") == 1


def test_what_only_full_size_measures_is_said_there(store):
    measured = changed(store)
    assert "two layers" not in " ".join(read("E23", measured).findings.notes)
    measured |= {("shallow", m): measured["cnn", m] for m in (64, 2)}
    measured["dense", 32], measured["cnn", "group"] = measured["dense", 64], measured["cnn", 64]
    found = read("E23", measured).findings
    assert "two layers instead of three, 16 and 32 channels, the change is -0.3 points" in found.notes[2]
    assert re.search(r"At m=2 at least 32 numbers .* where 32 do, errs by 1\.8%", found.notes[3])
    assert {series.name for series in found.pictures[0].series} >= {"convolutional, group norm"}


def test_the_counts_in_its_theory_are_those_of_the_network():
    config = find("E23").cells(True)["cnn", 2].config
    run = start(replace(config, replicas=1))
    _, trace, _ = forward(run.config, run.parameters, config.data().x_train[:2])
    counts = [layer.z.size // layer.z.shape[-1] for layer in trace]  # numbers of a channel, two samples
    assert counts == [128, 32, 32]
    assert "these are 128, 32 and 32 in the three layers" in find("E23").theory
    assert [layer.z.shape[-1] for layer in trace] == [16, 32, 32]


def test_the_dense_network_is_that_of_e11():
    assert find("E23").cells(True)["dense", 2] == find("E11").cells(True)[2]
