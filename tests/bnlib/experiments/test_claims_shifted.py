"""E28: errors on changed images against the same by hand, how they are judged, and what is said of them."""

import numpy as np
import pytest

from bnlib import RunConfig, advance, start
from bnlib.experiments import find
from bnlib.experiments.probes import MEASURES
from tests.bnlib.claims import failed, read

SHIFT = {"contrast": 0.4, "spread": 0.3, "sizes": (500, 20, 4)}
ONE = RunConfig(
    depth=1, width=12, batch_size=16, replicas=2, seed=5, dtype="float64", record_every=10**6,
    validate_every=10**6,
)  # fmt: skip


def by_hand(config, run, replica, x, size):
    """Error of one layer: with running statistics, or those of samples 0, N/size, 2 N/size ... together."""
    own = {name: array[replica] for name, array in run.parameters.items()}
    z, y = x @ own["weight0"] + own.get("bias0", 0.0), config.data().y_val
    if config.norm == "batch":
        xhat = np.empty_like(z)
        if size:
            for first in range(len(x) // size):
                part = z[first :: len(x) // size]
                assert len(part) == size
                xhat[first :: len(x) // size] = (part - part.mean(0)) / np.sqrt(part.var(0) + config.eps)
        else:
            mean, var = run.running.mean[replica], run.running.var[replica]
            xhat = (z - mean) / np.sqrt(var + config.eps)
        z = own["gamma0"] * xhat + own["beta0"]
    if config.norm == "layer":
        z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + config.eps)
        z = own["gamma0"] * z + own["beta0"]
    return 100 * np.mean((np.maximum(z, 0) @ own["weight1"] + own["bias1"]).argmax(1) != y)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_errors_on_changed_images_are_those_by_hand(norm):
    config = RunConfig(**{**vars(ONE), "norm": norm})
    found = MEASURES["under_shift"](config, 40, **SHIFT)
    run, x = advance(start(config), 40), config.data().x_val
    assert found.keys() == {"clean", "paler", "contrast", "noise"}
    for replica in range(2):
        noise = np.random.default_rng((5 + replica, 8)).standard_normal((500, 64))
        own = np.array([row.mean() for row in x])[:, None]
        images = {"clean": x, "paler": 0.4 * x, "contrast": 0.6 * own + 0.4 * x, "noise": x + 0.3 * noise}
        for name, changed in images.items():
            expected = [by_hand(config, run, replica, changed, size) for size in (0, *SHIFT["sizes"])]
            np.testing.assert_allclose(found[name][replica], expected, atol=1e-9, err_msg=name)
    if norm == "batch":
        assert np.ptp(found["clean"], axis=1).min() > 1, "statistics matter"


def test_a_run_that_has_diverged_has_no_error():
    found = MEASURES["under_shift"](RunConfig(**{**vars(ONE), "norm": "none", "lr": 1000.0}), 40, **SHIFT)
    assert all(np.isnan(errors).all() for errors in found.values())


USUAL = {
    "clean": (4, 4, 5, 8, 32), "paler": (40, 4, 5, 8, 32), "contrast": (40, 5, 5, 8, 32),
    "noise": (30, 28, 28, 32, 50),
}  # fmt: skip


def numbers(**changes):
    """Numbers of E28, the same for all 16 seeds: batch norm's by image, others lose nothing but by noise."""
    batch = {image: np.tile(np.array(errors, float), (16, 1)) for image, errors in (USUAL | changes).items()}
    other = {image: np.full((16, 5), 25.0 if image == "noise" else 5.0) for image in USUAL}
    return {"batch": batch, "layer": dict(other), "none": dict(other)}


@pytest.mark.parametrize(
    ("changes", "fails", "stance"),
    [
        ({}, [], "qualifies"),
        ({"paler": (24.1, 4, 5, 8, 32)}, [], "qualifies"),
        ({"paler": (23.9, 4, 5, 8, 32)}, ["pixels × 0.4: running"], "speaks against"),
        ({"contrast": (40, 21, 21, 8, 32)}, ["contrast × 0.4: running"], "speaks against"),
        ({"paler": (40, 4, 5, 8, 11)}, ["pixels × 0.4, statistics of 4"], "supports"),
        ({"contrast": (40, 4, 5, 8, 11)}, ["contrast × 0.4, statistics of 4"], "supports"),
        ({"noise": (30, 21.9, 28, 32, 50)}, ["noise: running"], "supports"),
        ({"noise": (30, 22.1, 28, 32, 50)}, [], "qualifies"),
        ({"paler": (40, 4.5, 5, 8, 32)}, ["pixels × 0.4 − clean"], "qualifies"),  # no stance rests on it
    ],
)
def test_changed_images_are_judged_by_bounds(changes, fails, stance):
    measured = numbers(**changes)
    found = failed("E28", measured)
    assert len(found) == len(fails) and all(a.startswith(b) for a, b in zip(found, fails, strict=True))
    assert read("E28", measured, "full").stances["repair"] == stance


def test_batch_norm_is_hurt_only_if_no_norm_is_not():
    measured = numbers()
    measured["none"]["paler"] = np.full((16, 5), 26.1)
    (one,) = failed("E28", measured)
    assert one.startswith("pixels × 0.4, running averages: batch norm’s loss − no norm’s")
    measured["none"]["paler"] = np.full((16, 5), 25.9)
    assert failed("E28", measured) == []


def test_sentences_follow_the_numbers():
    def said(measured):
        return " ".join(read("E28", measured, "full").findings.notes)

    usual = said(numbers())
    assert "pixels × 0.4, batch norm +36.0, layer norm +0.0, no norm +0.0" in usual
    assert "noise, batch norm +26.0, layer norm +20.0, no norm +20.0" in usual
    assert "take back +36.0 points" in usual and "which is less" in usual
    assert "Statistics of 4 images take back +8.0 points" in usual and "no evidence" not in usual
    assert "on clean images they err by 32.0%, running averages by 4.0%" in usual
    level = numbers(noise=(64, 28, 28, 32, 50))
    level["batch"]["paler"][:, 4] = 40 + np.tile([-3.0, 3.5], 8)
    level = said(level)
    assert "that it is less isn’t sure" in level and "no evidence for either; on clean images" in level


def test_test_batches_divide_the_validation_samples():
    for full in (True, False):
        for cell in find("E28").cells(full).values():
            assert not any(500 % size for size in dict(cell.options)["sizes"])
