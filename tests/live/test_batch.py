"""One batch through batch norm: the numbers of the picture against their closed forms."""

import math
from pathlib import Path

import numpy as np
import pytest

from bnlib.data import load
from live import batch
from live.batch import BATCH_CONTROLS, EDGES, SOURCE_CONTROLS, SOURCES
from book.controls import read
from live.worker import digits_batch

ASSETS = Path(__file__).parents[2] / "assets"
SOURCE = batch.DIGITS[: batch.BATCH_LIMIT]


def settings_of(**settings):
    values, problems = read(BATCH_CONTROLS + SOURCE_CONTROLS, settings)
    assert problems == []
    return values


def transformed(**settings):
    header, arrays = batch.transform(settings_of(**settings))
    return header["numbers"], header["text"], arrays


def test_the_numbers_are_those_of_the_equations():
    numbers, text, arrays = transformed(batch_size=20, gamma=-1.5, beta=0.25, eps=0.01, moved="3:2.5,19:-4")
    x = SOURCE[:20].copy()
    x[3], x[19] = 2.5, -4
    mean, var = math.fsum(x) / 20, math.fsum((v - math.fsum(x) / 20) ** 2 for v in x) / 20
    normalized = (x - mean) / math.sqrt(var + 0.01)
    shrunk = math.sqrt(var / (var + 0.01))
    np.testing.assert_array_equal(arrays["x"], x)
    np.testing.assert_allclose(arrays["centred"], x - mean, rtol=1e-12)
    np.testing.assert_allclose(arrays["normalized"], normalized, rtol=1e-12)
    np.testing.assert_allclose(arrays["scaled"], -1.5 * normalized, rtol=1e-12)
    np.testing.assert_allclose(arrays["y"], -1.5 * normalized + 0.25, rtol=1e-12)
    assert numbers == pytest.approx(
        {
            "x_mean": mean,
            "x_std": math.sqrt(var),
            "x_sum": math.fsum(x),
            "x_var": var,
            "squares_sum": 20 * var,
            "root": math.sqrt(var + 0.01),
            "centred_mean": 0,
            "centred_std": math.sqrt(var),
            "normalized_mean": 0,
            "normalized_std": shrunk,
            "scaled_mean": 0,
            "scaled_std": 1.5 * shrunk,
            "y_mean": 0.25,
            "y_std": 1.5 * shrunk,
            "largest": max(abs(normalized)),
            "bound": math.sqrt(19),
        },
        rel=1e-12,
        abs=1e-12,
    )
    assert mean < 0 and text.startswith(
        f"20 numbers with mean −{-mean:.3g} and standard deviation {math.sqrt(var):.3g} leave"
    )


def test_points_beyond_the_batch_stay_unmoved():
    moved, _, arrays = transformed(batch_size=8, moved="7:1,8:100,255:1e6")
    np.testing.assert_array_equal(arrays["x"][:7], SOURCE[:7])
    assert len(arrays["x"]) == 8 and arrays["x"][7] == 1
    np.testing.assert_array_equal(SOURCE, np.load(ASSETS / "digits_batch.npy")[: batch.BATCH_LIMIT])


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
    assert ("is 0/0, which is undefined (bnlib returns 0)" in text) == (eps == 0)


def test_a_batch_of_two_has_only_two_places():
    for moved in ("0:1,1:5", "0:-1e6,1:1e6", "0:3,1:3.001"):
        numbers, _, arrays = transformed(batch_size=2, eps=0, moved=moved)
        np.testing.assert_allclose(arrays["normalized"], [-1, 1], rtol=1e-9)
    numbers, text, arrays = transformed(batch_size=2, eps=0, moved="0:3,1:3")
    assert arrays["normalized"].tolist() == [0, 0] and numbers["x_std"] == 0
    assert "every x̂ is 0/0, which is undefined (bnlib returns 0)" in text and "stays within" not in text


def test_histograms_and_what_lies_beyond_count_every_point_once():
    header, arrays = batch.transform(
        settings_of(batch_size=50, moved="0:1e6,1:-1e6,2:6,3:-6.2,4:0.1", gamma=4)
    )
    for name in ("x", "normalized", "y"):
        counts, values = arrays[f"{name}_histogram"], arrays[name]
        below, above = header["beyond"][name]
        assert (below, above) == (np.count_nonzero(values < EDGES[0]), np.count_nonzero(values >= EDGES[-1]))
        assert counts.sum() + below + above == 50 and len(counts) == len(EDGES) - 1
        for k, count in enumerate(counts):
            assert count == np.count_nonzero((values >= EDGES[k]) & (values < EDGES[k + 1]))
    assert header["beyond"]["x"] == [2, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 17, 38, 39, 256])
def test_the_histogram_of_normalized_numbers_ends_at_the_walls(size):
    header, arrays = batch.transform(settings_of(batch_size=size, eps=0, moved="0:1e6"))
    end, bound = header["wall_histogram_ends"], math.sqrt(size - 1)
    assert end == pytest.approx(bound if 0 < bound < EDGES[-1] else EDGES[-1])
    counts, inside = arrays["normalized_histogram"], np.abs(arrays["normalized"]) <= end * (1 + 1e-9)
    assert counts.sum() == inside.sum() and len(counts) % 2 == 1, "0 is in the middle of a bar"
    assert 2 * end / len(counts) == pytest.approx(0.25, rel=0.15)
    assert counts[-1] == (1 if 1 < size < 39 else 0), "the dot at the wall is in the last bar"


def test_words_have_no_rounding_noise():
    _, text, _ = transformed(batch_size=32)
    assert "mean 0 and standard deviation 1." in text and "e-" not in text


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0.0, "0"), (1000.4, "1,000"), (-12345.6, "−12,346"), (0.25, "0.25"), (-1.239, "−1.24"),
        (0.000123, "0.000123"), (1e-6, "10⁻⁶"), (-3.142e-17, "−3.14×10⁻¹⁷"), (9.999e-7, "10⁻⁶"),
    ],
)  # fmt: skip
def test_numbers_in_words(number, words):
    assert batch.brief(number) == words


# --- sources --------------------------------------------------------------------------------------------


def test_digits_are_what_a_unit_receives_from_the_training_set():
    np.testing.assert_allclose(batch.DIGITS, digits_batch(len(load("digits").x_train)), rtol=1e-12)


@pytest.mark.parametrize("draw", [0, 1, 77])
def test_every_batch_of_digits_says_which_digits_they_are(draw):
    _, _, arrays = transformed(batch_size=200, draw=draw, moved="3:5")
    numbers = arrays["digits"].astype(int)
    assert len(set(numbers)) == 200, "no digit twice in a batch"
    np.testing.assert_array_equal(np.delete(arrays["x"], 3), np.delete(batch.DIGITS[numbers], 3))
    assert draw or numbers.tolist() == list(range(200))


@pytest.mark.parametrize("source", SOURCES)
def test_the_next_batch_is_another_one_and_comes_back(source):
    first, second = (transformed(source=source, draw=draw)[2]["x"] for draw in (3, 4))
    assert not np.array_equal(first, second)
    batch.sample.cache_clear()
    np.testing.assert_array_equal(transformed(source=source, draw=3)[2]["x"], first)


@pytest.mark.parametrize("source", SOURCES)
def test_a_smaller_batch_is_the_beginning_of_a_larger_one(source):
    large, small = (transformed(source=source, batch_size=size)[2]["x"] for size in (256, 9))
    np.testing.assert_array_equal(large[:9], small)


@pytest.mark.parametrize(("source", "mean", "std"), [("gaussian", 1, 1), ("skewed", 1.5, 1.5)])
def test_sources_have_the_moments_they_promise(source, mean, std):
    x = np.concatenate([batch.sample(source, draw)[0] for draw in range(40)])
    assert x.mean() == pytest.approx(mean, abs=4 * std / math.sqrt(len(x)))
    assert x.std() == pytest.approx(std, rel=0.06)


def test_the_outlier_is_far_from_all_others():
    for draw in range(20):
        x = batch.sample("outlier", draw)[0]
        assert x[0] == 5.5 and x[1:].max() < 5


@pytest.mark.parametrize("scale", [1.0, 0.5, 1e-3, 1e-8])
def test_scale_multiplies_x_and_its_picture_is_magnified_as_much(scale):
    header, arrays = batch.transform(settings_of(source="gaussian", scale=scale, batch_size=100))
    _, plain = batch.transform(settings_of(source="gaussian", batch_size=100))
    np.testing.assert_allclose(arrays["x"], scale * plain["x"], rtol=1e-12)
    assert header["magnified"] == pytest.approx(max(1, 0.5 / scale))
    assert np.abs(arrays["x"] * header["magnified"]).max() < 6, "what is drawn stays on the axis"
    assert arrays["x_histogram"].sum() == 100
