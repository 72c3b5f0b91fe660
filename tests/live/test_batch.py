"""One batch through batch norm: the numbers of the picture against their closed forms."""

import math

import numpy as np
import pytest

from live import batch, messages
from live.messages import BATCH_CONTROLS

SOURCE = np.random.default_rng(0).normal(0.7, 1.9, messages.BATCH_LIMIT)


def transformed(**settings):
    values, problems = messages.read(BATCH_CONTROLS, settings)
    assert problems == []
    header, arrays = batch.transform(SOURCE, values)
    return header["numbers"], header["text"], arrays


def test_the_numbers_are_those_of_the_equations():
    numbers, text, arrays = transformed(batch_size=20, gamma=-1.5, beta=0.25, eps=0.01, moved="3:2.5,19:-4")
    x = SOURCE[:20].copy()
    x[3], x[19] = 2.5, -4
    mean, var = math.fsum(x) / 20, math.fsum((v - math.fsum(x) / 20) ** 2 for v in x) / 20
    normalized = (x - mean) / math.sqrt(var + 0.01)
    shrunk = math.sqrt(var / (var + 0.01))
    np.testing.assert_array_equal(arrays["x"], x)
    np.testing.assert_allclose(arrays["normalized"], normalized, rtol=1e-12)
    np.testing.assert_allclose(arrays["y"], -1.5 * normalized + 0.25, rtol=1e-12)
    assert numbers == pytest.approx(
        {
            "x_mean": mean,
            "x_std": math.sqrt(var),
            "normalized_mean": 0,
            "normalized_std": shrunk,
            "y_mean": 0.25,
            "y_std": 1.5 * shrunk,
            "largest": max(abs(normalized)),
            "bound": math.sqrt(19),
        },
        rel=1e-12,
        abs=1e-12,
    )
    assert text.startswith(
        f"20 numbers with mean {mean:.3g} and standard deviation {math.sqrt(var):.3g} leave"
    )


def test_points_beyond_the_batch_stay_unmoved():
    moved, _, arrays = transformed(batch_size=8, moved="7:1,8:100,255:1e6")
    np.testing.assert_array_equal(arrays["x"][:7], SOURCE[:7])
    assert len(arrays["x"]) == 8 and arrays["x"][7] == 1
    np.testing.assert_array_equal(SOURCE, np.random.default_rng(0).normal(0.7, 1.9, messages.BATCH_LIMIT))


@pytest.mark.parametrize("size", [2, 3, 17, 256])
@pytest.mark.parametrize("far", [1e6, -1e6])
def test_a_point_pulled_away_reaches_the_bound_and_no_more(size, far):
    """|x̂| = sqrt(N - 1) is what one point gets whose distance dwarfs all others."""
    near, _, _ = transformed(batch_size=size, eps=0, moved=f"0:{far / 1e5}")
    numbers, text, arrays = transformed(batch_size=size, eps=0, moved=f"0:{far}")
    assert numbers["bound"] == math.sqrt(size - 1)
    assert near["largest"] <= numbers["largest"] * (1 + 1e-9)
    assert numbers["largest"] == pytest.approx(numbers["bound"], rel=1e-4)
    assert numbers["largest"] <= numbers["bound"] * (1 + 1e-12)
    assert arrays["normalized"][0] * far > 0
    assert f"√({size}−1) = {numbers['bound']:.2f}" in text


@pytest.mark.parametrize("eps", [0, 1e-5, 1])
def test_a_batch_of_one_is_its_own_mean(eps):
    numbers, text, arrays = transformed(batch_size=1, beta=-0.75, gamma=3, eps=eps, moved="0:1e6")
    assert arrays["normalized"].tolist() == [0] and arrays["y"].tolist() == [-0.75]
    assert (numbers["x_mean"], numbers["x_std"], numbers["bound"], numbers["largest"]) == (1e6, 0, 0, 0)
    assert "batch of one" in text and "y = β = −0.75" in text


def test_a_batch_of_two_has_only_two_places():
    for moved in ("0:1,1:5", "0:-1e6,1:1e6", "0:3,1:3.001"):
        numbers, _, arrays = transformed(batch_size=2, eps=0, moved=moved)
        np.testing.assert_allclose(arrays["normalized"], [-1, 1], rtol=1e-9)
    numbers, text, arrays = transformed(batch_size=2, eps=0, moved="0:3,1:3")
    assert arrays["normalized"].tolist() == [0, 0] and numbers["x_std"] == 0


def test_histograms_count_every_point_once():
    _, _, arrays = transformed(batch_size=50, moved="0:1e6,1:-1e6,2:6,3:-6,4:0.1", gamma=4)
    for name in ("x", "normalized", "y"):
        counts, inside = arrays[f"{name}_histogram"], np.clip(arrays[name], -6, 6)
        assert counts.sum() == 50 and len(counts) == len(batch.EDGES) - 1
        for k, count in enumerate(counts):
            upper = inside <= batch.EDGES[k + 1] if k == len(counts) - 1 else inside < batch.EDGES[k + 1]
            assert count == np.count_nonzero((inside >= batch.EDGES[k]) & upper)
    assert arrays["x_histogram"][0] >= 2 and arrays["x_histogram"][-1] >= 2


def test_words_have_no_rounding_noise():
    _, text, _ = transformed(batch_size=32)
    assert "mean 0 and standard deviation 1." in text and "e-" not in text
