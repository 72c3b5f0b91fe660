"""E3, E4, E16: growth is judged against closed forms, and stances and sentences follow the numbers."""

import math

import numpy as np
import pytest

from bnlib import RunConfig, theory
from bnlib.experiments import find
from tests.bnlib.claims import failed, measured_of, notes, read

SIZES = (5, 6, 8, 16, 32, 64, 128, 256)


def grown(changes=()):
    """Numbers of E3 at full size: growth as in theory, but for `changes` of growth - 1, factors by label."""
    measured = {}
    for label in find("E3").cells(True):
        kind, m = label
        growth = theory.gradient_growth_relu(m) if kind == "relu" else 1.0
        if kind == "linear":
            growth = (m - 2) / (m - 3) * 510 / 512
        growth = 1 + (growth - 1) * dict(changes).get(label, 1.0)
        measured[label] = {"growth": np.full(3, growth), "width": np.full(3, 512)}
    return measured


@pytest.mark.parametrize(
    ("label", "tolerance"),
    [(("linear", 5), 0.2), (("linear", 16), 0.2), (("linear", 64), 0.5), (("relu", 5), 0.15),
     (("relu", 16), 0.1), (("relu", 32), 0.04), (("relu", 256), 0.04)],
)  # fmt: skip
def test_what_exceeds_1_is_judged(label, tolerance):
    assert failed("E3", grown()) == []
    for sign in (-1, 1):
        assert failed("E3", grown([(label, 1 + sign * (tolerance - 0.005))])) == []
        (what,) = failed("E3", grown([(label, 1 + sign * (tolerance + 0.005))]))
        assert what == f"{'ReLU' if label[0] == 'relu' else 'linear'}, batch {label[1]}, growth − 1"


def test_the_largest_linear_batches_are_only_reported():
    assert failed("E3", grown([(("linear", 128), 5.0), (("linear", 256), 5.0)])) == []
    assert find("E3").cells(True).keys() == {
        *((kind, m) for kind in ("linear", "relu") for m in SIZES), ("64 features", 256)
    }  # fmt: skip


def test_one_growth_that_isnt_theirs_takes_the_stance():
    assert read("E3", grown(), "full").stances == {"depth": "supports"}
    assert read("E3", grown([(("linear", 64), 0.4)]), "full").stances == {"depth": "does not show"}


def test_sentences_of_growth_follow_the_numbers():
    measured = grown()
    measured["linear", 256]["growth"] = np.array([1.002, 1.003, 1.004])
    measured["64 features", 256]["growth"] = np.array([1.01, 1.02, 1.03])
    said = " ".join(find("E3").read(measured).notes)
    assert "at a batch of 256 is +0.0030 a layer (95% interval +0.0005 to +0.0055, 3 seeds)" in said
    assert "0.0040 for infinite width and 0.0000 for 512 units" in said
    assert "no more than 64 of them are linearly independent, and it is +0.0200 a layer" in said
    assert "grows by 1.473 a layer" in said and "about 42 layers" in said


def test_the_residual_networks_theory_is_a_slope_of_blocks(store):
    """Block n divides by the variance of the digits' stream and n - 1 branches of 1 - 1/pi each."""
    (found,) = [one for one in read("E4", measured_of("E4", store)).findings.checks if "residual" in one.what]
    x, branch = RunConfig().data().x_train, 1 - 1 / math.pi
    logs, square = {30: 0.0}, 0.0
    for block in range(30, 1, -1):
        share = branch / (2 * x.var(axis=0).mean() + branch * (block - 1))
        square += math.log(1 + theory.gradient_growth_relu(64) * share)
        logs[block - 1] = square
    layers = np.arange(5, 25)
    slope = np.polyfit(layers, [logs[n] for n in layers], 1)[0]
    assert found.expected == pytest.approx(math.exp(-slope), rel=1e-6)
    assert find("E4").cells(False)["no norm"].options[:2] == (("first", 5), ("last", 24))


@pytest.mark.parametrize(
    ("arm", "growth", "flow", "depth"),
    [
        ("batch norm", 1.3, "supports", "does not show"),
        ("batch norm", 1.7, "supports", "does not show"),
        ("no norm", 1.2, "supports", "does not show"),
        ("layer norm", 0.8, "supports", "does not show"),
        ("batch norm, residual", 1.0, "qualifies", "does not show"),
        ("batch norm, residual", 1.2, "qualifies", "does not show"),
        ("batch norm, weights × ½", 1.0, "speaks against", "supports"),
        ("no norm, weights × ½", 1.0, "speaks against", "supports"),
    ],
)
def test_both_sides_of_gradient_flow_are_judged(arm, growth, flow, depth, store):
    measured = measured_of("E4", store)
    assert read("E4", measured).stances == {"flow": "qualifies", "depth": "supports"}
    measured[arm]["growth"] = measured[arm]["growth"] * 0 + growth
    (what,) = failed("E4", measured)
    assert what == f"growth a layer, {arm}"
    assert read("E4", measured).stances == {"flow": flow, "depth": depth}


def test_the_way_of_a_gradient_is_told_in_powers_of_ten(store):
    def shrinking(measured):
        energy = measured["layer norm"]["energy"]
        measured["layer norm"]["energy"] = energy * 0 + 10.0 ** np.arange(energy.shape[1])

    assert "10^0.0 (layer norm)" in notes("E4", store)
    assert "From layer 24 to layer 5" in notes("E4", store)
    assert "10^-19.0 (layer norm)" in notes("E4", store, shrinking)


def test_a_stream_without_a_norm_is_judged_by_its_geometric_mean(store):
    measured = measured_of("E16", store)
    stream = measured["none"]["stream"] = measured["none"]["stream"].copy()
    stream[:, 30] = 2.0**30 * np.array([0.01, 1.0, 100.0])  # 34 times 2^30 on average
    assert failed("E16", measured) == []
    stream[:, 30] = 1.91**30
    assert failed("E16", measured) == ["no norm, factor per block over 30 blocks"]
    assert read("E16", measured).stances == {"branch": "does not show"}


@pytest.mark.parametrize("block", [5, 10, 30])
def test_a_normalized_stream_grows_by_one(block, store):
    measured = measured_of("E16", store)
    assert read("E16", measured).stances == {"branch": "supports"}
    stream = measured["batch"]["stream"] = measured["batch"]["stream"].copy()
    stream[:, block] = 1.06 * (block + 1)
    assert failed("E16", measured) == [f"batch norm, after {block} blocks"]
    assert read("E16", measured).stances == {"branch": "does not show"}


def test_what_the_last_block_adds_is_told(store):
    def equal(measured):
        for found in measured.values():
            found["stream"] = np.tile(np.r_[np.full(30, 3.0), 4.0], (3, 1))

    assert "is 3." in notes("E16", store) and "% of the stream’s second moment with" in notes("E16", store)
    assert "is 25.0% of the stream’s second moment with batch norm and 25.0% without" in notes(
        "E16", store, equal
    )
