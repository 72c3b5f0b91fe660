"""What is particular about the stream that changes in "Sequences and streams": averages that go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bnlib import RunConfig
from bnlib.lessons import streams
from bnlib.training.train import advance, start
from book.registry import chapters
from pages import _sequences_drift as drift

SMALL = RunConfig(depth=1, width=16, replicas=2, dtype="float64", record_every=10**6, validate_every=10**6)


def test_averages_that_go_on_are_those_of_torchs_layer() -> None:
    samples, momentum = 30, 0.9
    found = streams.adapted(SMALL, 40, (1.0, 0.5), (momentum, 1.0), samples)
    run, data = advance(start(SMALL), 40), SMALL.data()
    for k in range(2):
        own = {name: torch.tensor(array[k]) for name, array in run.parameters.items()}
        order = np.random.default_rng((k, 14)).permutation(500)[:samples]
        mean, var = torch.tensor(run.running.mean[k]), torch.tensor(run.running.var[k])
        start_mean, goal = mean, torch.tensor(data.x_val[order].mean(axis=0) + 0.5) @ own["weight0"]
        for place, sample in enumerate(order):
            z = torch.tensor(data.x_val[sample] + 0.5) @ own["weight0"]
            left = (goal - mean).norm() / (goal - start_mean).norm()
            assert found["left"][0, k, place] == pytest.approx(float(left), rel=1e-9)
            h = torch.nn.functional.batch_norm(
                z[None], mean, var, own["gamma0"][0], own["beta0"][0], training=False, eps=SMALL.eps
            ).relu()
            said = int((h @ own["weight1"] + own["bias1"]).argmax())
            assert found["right"][0, k, place] == (said == data.y_val[sample])
            off = z - mean
            mean, var = mean + (1 - momentum) * off, momentum * (var + (1 - momentum) * off**2)


def test_a_momentum_of_1_is_eval_and_layer_norm_has_no_averages() -> None:
    found = streams.adapted(SMALL, 40, (1.0, 0.0), (0.99, 1.0), 50)
    np.testing.assert_array_equal(found["right"][1], found["unchanged"])
    np.testing.assert_array_equal(found["left"][1], 1)
    layer = streams.adapted(RunConfig(norm="layer", replicas=2, dtype="float64"), 5, (1.0, 0.5), (1.0,), 50)
    assert layer["right"].shape == (1, 2, 50)


def test_the_law_of_the_averages_is_drawn_where_something_has_changed() -> None:
    chapter = chapters()["sequences"]
    scene = next(one for one in chapter.scenes if one.name == "drift")
    for change, law in (("brighter", True), ("none", False)):
        values = chapter.settings(scene, {"change": change, "momentum": 0.9}, True) | {"open": False}
        run = streams.adapted(SMALL, 5, drift.CHANGES[change], drift.MOMENTA, drift.SAMPLES)
        layer = streams.adapted(replace(SMALL, norm="layer"), 5, (1.0, 0.0), (1.0,), drift.SAMPLES)
        view = drift.view(values, {"batch": run, "layer": layer, "sorted": run, "inverted": run})
        names = [trace.get("name") for trace in view.figures["lag"]["data"]]
        assert ("law ρⁿ" in names) == law and "ρ = 0.99" in names
