"""What the scenes measure, against closed forms and against computations by hand."""

import math

import numpy as np
import pytest

from live import batch, measures
from live.batch import BATCH_CONTROLS, SOURCE_CONTROLS
from book.controls import read

GAUSSIAN_SIZES = (3, 4, 5, 6, 8, 16, 33, 64, 128, 256)


def measured(name, **settings):
    values, problems = read(BATCH_CONTROLS + SOURCE_CONTROLS, settings)
    assert problems == []
    header, arrays = batch.transform(values)
    return measures.MEASURES[name](values, header["numbers"], arrays)


@pytest.mark.parametrize("size", GAUSSIAN_SIZES)
def test_gaussian_batches_agree_with_theory(size):
    numbers, words, _ = measured("shape", source="gaussian", batch_size=size)
    assert numbers["distance"] <= numbers["chance"] and "They agree." in words
    assert f"batches of {size}:" in words and "independent values would stray up to" in words


def test_batches_of_one_and_two_have_no_distribution_to_compare():
    _, one, _ = measured("shape", source="skewed", batch_size=1)
    _, two, _ = measured("shape", source="skewed", batch_size=2, eps=0)
    _, kept, _ = measured("shape", source="skewed", batch_size=2, eps=0.1)
    assert one == "16,384 batches of 1: every x̂ is 0, whatever the source; there is no shape."
    assert two.endswith("100.0% of all x̂ are that far out.") and "(2+1) = 1.00. " in two
    assert kept.endswith("the others are kept from it by ε.") and "theory of" not in one + two + kept


@pytest.mark.parametrize("size", [2, 3, 4, 5, 16])
def test_pooled_kurtosis_is_that_of_the_closed_form(size):
    numbers, words, _ = measured("shape", source="gaussian", batch_size=size, eps=0)
    assert f"kurtosis {numbers['kurtosis']:.2f}; theory: 3·({size}−1)/({size}+1) " in words
    assert numbers["kurtosis"] == pytest.approx(3 * (size - 1) / (size + 1), rel=0.03)


@pytest.mark.parametrize("source", ["skewed", "outlier"])
def test_other_sources_differ_and_the_page_says_so(source):
    numbers, words, _ = measured("shape", source=source, batch_size=32)
    assert numbers["distance"] > 3 * numbers["chance"]
    assert "assumes Gaussian numbers; these are not, and it shows" in words


def test_a_large_eps_is_seen():
    numbers, words, _ = measured("shape", source="gaussian", batch_size=16, eps=1)
    assert numbers["distance"] > numbers["chance"] and "They differ: theory has no ε." in words


@pytest.mark.parametrize("size", [2, 3, 4, 16, 32])
def test_measured_and_theoretical_bars_have_one_scale(size):
    """Both say how many dots of a batch of this size a bar holds."""
    _, _, arrays = measured("shape", source="gaussian", batch_size=size)
    assert arrays["pooled"].sum() == pytest.approx(size)
    assert arrays["theory"].sum() == pytest.approx(size)
    np.testing.assert_allclose(arrays["pooled"], arrays["theory"], atol=0.025 * size)


def test_batches_of_four_look_like_a_box():
    """Equal bars from wall to wall, in theory exactly; a batch of two fills the bars at its walls."""
    _, _, four = measured("shape", source="gaussian", batch_size=4)
    np.testing.assert_allclose(four["theory"], 4 / len(four["theory"]), rtol=1e-6)
    _, _, two = measured("shape", source="gaussian", batch_size=2, eps=0)
    for bars in (two["theory"], two["pooled"]):
        np.testing.assert_allclose(bars[[0, -1]], 1, atol=0.02)
        assert not bars[1:-1].any()


def test_chance_is_an_upper_bound_of_what_chance_does(monkeypatch):
    """Kolmogorov's limit is for independent numbers; batches under other seeds stay below it as often."""
    for size in (3, 4, 16):
        beyond = 0
        for seed in range(60):
            x = np.random.default_rng([seed, 5]).normal(size=(size, 2048 // size))
            monkeypatch.setattr(measures, "_many_batches", lambda *_, x=x: x)
            measures._pooled.cache_clear()
            numbers, _, _ = measured("shape", source="gaussian", batch_size=size, eps=0)
            beyond += numbers["distance"] > numbers["chance"]
        assert beyond <= 3
    measures._pooled.cache_clear()


@pytest.mark.parametrize("size", [1, 2, 3, 8, 64, 256])
def test_the_gauge_is_the_closed_form(size):
    numbers, words, arrays = measured("share", source="gaussian", batch_size=size)
    theory = max(size - 2, 0) / size
    assert numbers["share_theory"] == pytest.approx(theory, abs=1e-3)
    assert numbers["share"] == pytest.approx(theory, abs=0.01)
    sign = "=" if 1000 * (size - 2) % size == 0 else "≈"
    assert size == 1 or f"theory: ({size}−2)/{size} {sign} {theory:.1%}." in words
    at = arrays["share_x"].tolist()
    assert at[0] == 1 and at[-1] == 256 and at == sorted(at)
    np.testing.assert_allclose(arrays["share_y"], np.maximum(np.array(at) - 2, 0) / at, rtol=1e-12)


def test_eps_lets_part_of_a_gradient_through():
    numbers, words, _ = measured("share", source="gaussian", batch_size=2, eps=1, moved="0:-1,1:1")
    assert numbers["share_theory"] == pytest.approx(0.5**2 / 2)
    assert numbers["share"] == pytest.approx(0.125, rel=0.05)
    assert words.endswith("theory: (2−2 + ε²/(σ² + ε)²)/2 = 12.5%.") and words.count("theory") == 1


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 2, "moved": "0:3,1:3"}])
def test_what_is_divided_by_nothing_is_said_to_be(settings):
    _, words, _ = measured("spread", eps=0, **settings)
    assert "0/0, which is undefined (bnlib returns 0)" in words and "x̂ spreads" not in words
    numbers, words, _ = measured("share", eps=0, **settings)
    assert numbers["share"] == numbers["share_theory"] == 0 and ("0/0" in words or "none can" in words)
    assert "no unit to measure in" in measured("undo", eps=0, **settings)[1]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-8])
def test_the_spread_and_its_curve(scale):
    numbers, words, arrays = measured("spread", source="gaussian", scale=scale, batch_size=64, eps=1e-5)
    std = np.std(batch.sample("gaussian", 0)[0][:64]) * scale
    assert numbers["spread_theory"] == pytest.approx(std / math.sqrt(std**2 + 1e-5), rel=1e-9)
    assert f"x̂ spreads {numbers['spread_theory']:.2f};" in words
    theory = arrays["spread_x"] / np.sqrt(arrays["spread_x"] ** 2 + 1e-5)
    np.testing.assert_allclose(arrays["spread_y"], theory, rtol=1e-9)


def test_the_lamp_is_lit_near_the_undo_and_nowhere_else():
    x = batch.sample("skewed", 0)[0][:32]
    mean, root = x.mean(), math.sqrt(x.var() + 1e-5)
    for gamma, beta, lit in [
        (root, mean, True),
        (1.09 * root, mean, True),
        (1.12 * root, mean, False),
        (root, mean + 0.09 * root, True),
        (root, mean + 0.12 * root, False),
        (-root, mean, False),
    ]:
        numbers, words, _ = measured("undo", source="skewed", gamma=gamma, beta=beta)
        assert numbers["lamp"] == lit
        assert numbers["exact"] == ((gamma, beta) == (root, mean))
        distance = math.hypot(gamma / root - 1, (beta - mean) / root)
        assert numbers["undo_distance"] == pytest.approx(distance, abs=1e-4)
        assert "0.1 or less" in words


def test_a_batch_without_spread_has_no_unit_to_measure_in():
    same = "0:2,1:2"
    away, _, _ = measured("undo", batch_size=2, eps=0, moved=same)
    there, _, _ = measured("undo", batch_size=2, eps=0, moved=same, beta=2)
    assert (away["lamp"], there["lamp"], there["undo_distance"]) == (0, 1, 0)
