"""One batch through batch norm: the numbers of the picture against their closed forms."""

import math
import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from bnlib.data import load
from book import batch
from book.arithmetic import equations
from book.batch import BATCH_CONTROLS, HIGH, LOW, SOURCE_CONTROLS, SOURCES, bar_edges, wall_edges
from book.controls import read
from book.figure import INK, ORANGE, faded
from book.measures import PIXELS, digit_figure
from book.places import Pooled
from book.rows import rows_figure
from book.words import brief
from live.worker import digits_batch
from tests.figures import problems_of, words_of

SOURCE = batch.DIGITS[: batch.BATCH_LIMIT]
OPERATIONS = batch.OPERATIONS


def transform(**settings):
    values, problems = read(BATCH_CONTROLS + SOURCE_CONTROLS, settings)
    assert problems == []
    return batch.transform(values)


def transformed(**settings):
    found = transform(**settings)
    return found.numbers, batch.describe(found), found.arrays


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
    _, _, arrays = transformed(batch_size=8, moved="7:1,8:100,255:1e6")
    np.testing.assert_array_equal(arrays["x"][:7], SOURCE[:7])
    assert len(arrays["x"]) == 8 and arrays["x"][7] == 1
    np.testing.assert_array_equal(SOURCE, np.load(batch.ASSETS / "digits_batch.npy")[: batch.BATCH_LIMIT])


@pytest.mark.parametrize("size", [2, 3, 17, 32, 99, 100, 101, 256])
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
    wall, farthest = batch.bound_words(numbers)
    assert f"√({size}−1) = {wall} of 0; the farthest now is {farthest}." in text
    assert float(wall) == pytest.approx(numbers["bound"], abs=0.5 * 10.0 ** -len(wall.partition(".")[2]))


@pytest.mark.parametrize("size", [2, 5, 32, 99, 100, 101, 256])
def test_no_dot_seems_to_lie_beyond_its_wall(size):
    """Whether beside the wall, in the text or in an equation, where digits are fewer."""
    for far in (3, 30, 1e3, 1e6):
        found = transform(batch_size=size, moved=f"0:{far}")
        wall, farthest = map(float, batch.bound_words(found.numbers))
        (shown,) = (one.describe()["shown"] for one in equations(found) if one.key == "normalized")
        assert farthest <= wall and float(shown.replace("−", "-")) <= wall


@pytest.mark.parametrize("eps", [0, 1e-5, 1])
def test_a_batch_of_one_is_its_own_mean(eps):
    numbers, text, arrays = transformed(batch_size=1, beta=-0.75, gamma=3, eps=eps, moved="0:1e6")
    assert arrays["normalized"].tolist() == [0] and arrays["y"].tolist() == [-0.75]
    assert (numbers["x_mean"], numbers["x_std"], numbers["bound"], numbers["largest"]) == (1e6, 0, 0, 0)
    assert "batch of one" in text and "y = β = −0.75" in text
    assert ("is 0/0, which is undefined (bnlib returns 0)" in text) == (eps == 0)
    assert "PyTorch’s BatchNorm1d refuses an input of shape (1, C) in training" in text


def test_what_is_said_of_pytorch_is_true():
    import torch

    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch.nn.BatchNorm1d(3)(torch.ones(1, 3))
    assert torch.nn.BatchNorm2d(3)(torch.ones(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_a_batch_of_two_has_only_two_places():
    for moved in ("0:1,1:5", "0:-1e6,1:1e6", "0:3,1:3.001"):
        _, _, arrays = transformed(batch_size=2, eps=0, moved=moved)
        np.testing.assert_allclose(arrays["normalized"], [-1, 1], rtol=1e-9)
    numbers, text, arrays = transformed(batch_size=2, eps=0, moved="0:3,1:3")
    assert arrays["normalized"].tolist() == [0, 0] and numbers["x_std"] == 0
    assert "every x̂ is 0/0, which is undefined (bnlib returns 0)" in text and "stays within" not in text


def test_words_have_no_rounding_noise():
    _, text, _ = transformed(batch_size=32)
    assert "mean 0 and standard deviation 1." in text and "e-" not in text


def test_the_bound_can_be_kept_back():
    words = batch.describe(transform(batch_size=5), given_away=False)
    assert words.startswith("5 numbers with mean") and "√" not in words and "farthest" not in words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0.0, "0"), (1000.4, "1,000"), (-12345.6, "−12,346"), (0.25, "0.25"), (-1.239, "−1.24"),
        (0.000123, "0.000123"), (1e-6, "10⁻⁶"), (-3.142e-17, "−3.14×10⁻¹⁷"), (9.999e-7, "10⁻⁶"),
    ],
)  # fmt: skip
def test_numbers_in_words(number, words):
    assert brief(number) == words


# --- histograms -----------------------------------------------------------------------------------------


def test_histograms_and_what_lies_beyond_count_every_point_once():
    found = transform(batch_size=50, moved="0:1e6,1:-1e6,2:6,3:-6.2,4:0.1", gamma=4)
    edges = bar_edges(50)
    for name in ("x", "normalized", "y"):
        counts, values = found.bars[name], found.arrays[name]
        below, above = found.beyond[name]
        assert (below, above) == (np.count_nonzero(values < LOW), np.count_nonzero(values > HIGH))
        assert counts.sum() + below + above == 50 and len(counts) == len(edges) - 1
        for k, count in enumerate(counts):
            assert count == np.count_nonzero((values >= edges[k]) & (values < edges[k + 1]))
    assert found.beyond["x"] == (2, 1)


@pytest.mark.parametrize("size", range(1, 257))
def test_bars_fill_the_axis_and_no_wall_is_within_one(size):
    edges, bound = bar_edges(size), math.sqrt(size - 1)
    assert edges[0] == LOW and edges[-1] == HIGH and len(edges) % 2 == 0, "0 is in the middle of a bar"
    np.testing.assert_allclose(edges, -edges[::-1], atol=1e-12)
    widths = np.diff(edges)
    assert (widths > 0).all() and widths.max() < 0.4
    np.testing.assert_allclose(widths[1:-1], widths[len(widths) // 2], rtol=1e-9)
    assert bound == 0 or bound >= HIGH or np.abs(edges - bound).min() < 1e-12


@pytest.mark.parametrize("size", [1, 2, 3, 4, 17, 38, 39, 256])
def test_the_histogram_of_normalized_numbers_ends_at_the_walls(size):
    found = transform(batch_size=size, eps=0, moved="0:1e6")
    bound, walls, edges = math.sqrt(size - 1), wall_edges(size), bar_edges(size)
    end = walls[-1]
    assert end == pytest.approx(bound if 0 < bound < HIGH else HIGH)
    within = (edges[1:] <= end + 1e-9) & (edges[:-1] >= -end - 1e-9)
    counts, inside = found.bars["normalized"], np.abs(found.arrays["normalized"]) <= end * (1 + 1e-9)
    assert counts.sum() == counts[within].sum() == inside.sum()
    assert within.sum() == len(walls) - 1 and within.sum() % 2 == 1, "0 is in the middle of a bar"
    assert 2 * end / within.sum() == pytest.approx(0.25, rel=0.15)
    assert counts[within][-1] == (1 if 1 < size < 39 else 0), "the dot at the wall is in the last bar"


@pytest.mark.parametrize("size", [2, 3, 4, 5, 12, 32, 38, 39, 200])
@pytest.mark.parametrize("moved", ["", "0:1e6", "0:-1e6,1:3"])
def test_the_same_numbers_have_the_same_bars(size, moved):
    """With γ 1 and β 0, y is x̂; and a batch that is normalized already passes as it is."""
    found = transform(batch_size=size, eps=0, moved=moved)
    np.testing.assert_array_equal(found.arrays["normalized"], found.arrays["y"])
    np.testing.assert_array_equal(found.bars["normalized"], found.bars["y"])
    figure = rows_figure(found, "", "")
    drawn = [trace for trace in figure["data"] if trace["type"] == "bar"]
    np.testing.assert_array_equal(drawn[1]["x"], drawn[2]["x"])
    np.testing.assert_array_equal(drawn[1]["y"], drawn[2]["y"])
    np.testing.assert_array_equal(drawn[1]["width"], drawn[2]["width"])


# --- sources --------------------------------------------------------------------------------------------


def test_digits_are_what_a_unit_receives_from_the_training_set():
    np.testing.assert_allclose(batch.DIGITS, digits_batch(len(load("digits").x_train)), rtol=1e-12)


@pytest.mark.parametrize("draw", [0, 1, 77])
def test_every_batch_of_digits_says_which_digits_they_are(draw):
    chosen = [transform(batch_size=200, draw=draw, moved="3:5", chosen=i) for i in range(200)]
    numbers, x = [found.digit for found in chosen], chosen[0].arrays["x"]
    assert len(set(numbers)) == 200, "no digit twice in a batch"
    np.testing.assert_array_equal(np.delete(x, 3), np.delete(batch.DIGITS[numbers], 3))
    assert draw or numbers == list(range(200))
    pixels = load("digits").x_train.reshape(-1, 8, 8)
    drawn = digit_figure(chosen[7])["data"][0]["z"][::-1]
    scale = pixels[numbers[7]].max() / drawn.max()
    np.testing.assert_allclose(drawn * scale, pixels[numbers[7]], atol=1e-6)
    assert len(PIXELS) == len(batch.DIGITS) == len(pixels)


@pytest.mark.parametrize("source", SOURCES)
def test_the_next_batch_is_another_one_and_comes_back(source):
    first, second = (transform(source=source, draw=draw).arrays["x"] for draw in (3, 4))
    assert not np.array_equal(first, second)
    batch.sample.cache_clear()
    np.testing.assert_array_equal(transform(source=source, draw=3).arrays["x"], first)


@pytest.mark.parametrize("source", SOURCES)
def test_a_smaller_batch_is_the_beginning_of_a_larger_one(source):
    large, small = (transform(source=source, batch_size=size).arrays["x"] for size in (256, 9))
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
    found = transform(source="gaussian", scale=scale, batch_size=100)
    plain = transform(source="gaussian", batch_size=100)
    np.testing.assert_allclose(found.arrays["x"], scale * plain.arrays["x"], rtol=1e-12)
    assert found.magnified == pytest.approx(max(1, 0.5 / scale))
    assert np.abs(found.arrays["x"] * found.magnified).max() < 6, "what is drawn stays on the axis"
    assert found.bars["x"].sum() == 100


# --- the chosen dot -------------------------------------------------------------------------------------


def test_the_chosen_dot_is_the_readers_or_the_moved_one():
    assert transform(batch_size=9, chosen=4, moved="2:1").chosen == 4
    assert transform(batch_size=9, moved="2:1,5:3").chosen == 2
    assert transform(batch_size=9, chosen=30, moved="12:1,5:3").chosen == 5, "only what is in the batch"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [3, 12, 32, 256])
def test_where_nobody_chose_it_is_a_dot_whose_equation_teaches(source, size):
    """Neither on the mean nor at the wall; and neither ε nor a scale makes it another one."""
    for draw in range(4):
        found = transform(source=source, batch_size=size, draw=draw)
        away = np.abs(found.arrays["centred"]) / found.numbers["x_std"]
        assert abs(away[found.chosen] - 1.5) == np.abs(away - 1.5).min()
        assert 0.3 < away[found.chosen] < 2.5
        for other in ({"eps": 1.0}, {"scale": 1e-3}, {"gamma": -4.0, "beta": 3.0}):
            assert transform(source=source, batch_size=size, draw=draw, **other).chosen == found.chosen


# --- equations ------------------------------------------------------------------------------------------


def flat(node):
    """A term as plain text."""
    if isinstance(node, str):
        return node
    kind, *parts = node
    if kind == "frac":
        return f"[{flat(parts[0])} / {flat(parts[1])}]"
    if kind == "root":
        return f"√({flat(parts[0])})"
    if kind == "ref":
        return flat(parts[1])
    if kind == "part":
        return flat(parts[2])
    return "".join(map(flat, parts))


def told(found, operation=None):
    return {
        one["key"]: one | {"chain": " ".join(map(flat, one["steps"]))}
        for one in (equation.describe() for equation in equations(found, operation))
    }


def test_equations_open_into_their_arithmetic():
    chains = told(transform(batch_size=3, eps=0.0, moved="0:1,1:2,2:6", gamma=2, beta=-1))
    assert {key: one["chain"] for key, one in chains.items()} == {
        "mean": "μ = [1 + 2 + 6 / 3] = [9 / 3] = 3",
        "variance": "σ² = [(−2)² + (−1)² + 3² / 3] = [14 / 3] ≈ 4.67",
        "root": "√(σ² + ε) ≈ √(4.67 + 0) ≈ 2.16",
        "normalized": "x̂1 ≈ [1 − 3 / 2.16] ≈ [−2 / 2.16] ≈ −0.926",
        "y": "y1 ≈ 2 · (−0.926) + (−1) ≈ −1.85 + (−1) ≈ −2.85",
    }
    assert {key: flat(one["formula"]) for key, one in chains.items()} == {
        "mean": "μ = [Σ xi / N]", "variance": "σ² = [Σ (xi − μ)² / N]", "root": "√(σ² + ε)",
        "normalized": "x̂ = [x − μ / √(σ² + ε)]", "y": "y = γ · x̂ + β",
    }  # fmt: skip


def test_numbers_in_an_equation_open_others():
    def opened(node):
        if isinstance(node, str):
            return set()
        own = {node[1]} if node[0] == "ref" else set()
        return own.union(*(opened(part) for part in node[1:]))

    refs = {key: opened(["row", *one["steps"]]) for key, one in told(transform()).items()}
    assert refs == {
        "mean": set(), "variance": set(), "root": {"variance"}, "normalized": {"mean", "root"},
        "y": {"normalized"},
    }  # fmt: skip


def test_where_digits_are_dropped_nothing_is_said_to_be_equal():
    chains = told(transform(source="gaussian", batch_size=5, moved="2:1000.0"))
    assert all("≈" in one["chain"] and "=" not in one["chain"] for one in chains.values())
    assert chains["normalized"]["sign"] == "≈"


def test_a_division_by_nothing_is_called_undefined():
    chains = told(transform(batch_size=2, eps=0, moved="0:3,1:3"))
    assert chains["normalized"]["chain"].endswith(
        "undefined; bnlib returns 0. An ε above 0 is there to prevent this."
    )
    assert chains["normalized"]["shown"] == "0"


def test_long_sums_are_abbreviated():
    chain = told(transform(batch_size=256))["mean"]["chain"]
    assert chain.count("…") == 1 and chain.count("+") == 5 and "256" in chain


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_walk_knows_no_number_of_a_later_operation(operation):
    found = told(transform(), operation)
    first = {"mean": "mean", "variance": "variance", "root": "root", "normalized": "divide", "y": "beta"}
    about = {
        "x": None, "mean": "mean", "centred": "mean", "variance": "variance", "root": "root",
        "divide": "normalized", "gamma": "y", "beta": "y",
    }  # fmt: skip
    for key, since in first.items():
        known = OPERATIONS.index(operation) >= OPERATIONS.index(since)
        assert found[key]["known"] == known and (found[key]["shown"] == "?") == (not known)
        assert bool(found[key]["steps"]) == known
        assert found[key]["active"] == (about[operation] == key)
    (_, *parts) = found["y"]["formula"]
    assert [part[2] for part in parts if part[0] == "part"] == [operation == "gamma", operation == "beta"]


# --- the figure -----------------------------------------------------------------------------------------

STATES = [
    {}, {"batch_size": 1}, {"batch_size": 2, "eps": 0, "moved": "0:3,1:3"},
    {"batch_size": 5, "moved": "2:1000"}, {"batch_size": 256, "moved": "0:1e6,1:-1e6", "gamma": 4},
    {"scale": 1e-8, "source": "gaussian"}, {"source": "outlier", "beta": -4},
    {"scale": 0.1, "source": "skewed", "batch_size": 64, "moved": "3:1e5"},
]  # fmt: skip


@pytest.mark.parametrize("settings", STATES)
@pytest.mark.parametrize("narrow", [False, True])
def test_figures_are_plotlys(settings, narrow):
    found = transform(**settings)
    bars = len(wall_edges(found.size)) - 1
    several = Pooled(np.full(bars, found.size / bars), np.full(bars, found.size / bars))
    figures = [rows_figure(found, "text", "hint", narrow=narrow, operation=o) for o in (None, *OPERATIONS)]
    figures += [rows_figure(found, "text", "", narrow=narrow, walls=False)]
    figures += [
        rows_figure(found, "text", "", narrow=narrow, pooled=one)
        for one in (several, several._replace(counts=None))
    ]
    figures += [digit_figure(found)] if found.digit >= 0 else []
    for figure in figures:
        assert problems_of(figure) == []
        go.Figure(figure)
        assert not any("nan" in words for words in words_of(figure))


def test_a_pixel_of_the_digit_is_square():
    layout = digit_figure(transform())["layout"]
    room = (Path(__file__).parents[2] / "assets" / "chapter.css").read_text()
    across = int(re.search(r"\[data-figure=digit\] \.plot \{ max-width: (\d+)px", room)[1])
    (left, right), (low, high) = layout["xaxis"]["range"], layout["yaxis"]["range"]
    width = across - layout["margin"]["l"] - layout["margin"]["r"]
    height = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    assert width / (right - left) == height / (high - low)


def axes_of_rows(figure):
    layout = figure["layout"]
    return [layout[name] for name in sorted(layout) if name.startswith("yaxis")]


def trace(figure, name, number=0):
    return [one for one in figure["data"] if one["name"] == name][number]


@pytest.mark.parametrize(("operation", "count"), [(None, 3), ("beta", 5)])
def test_rows_share_the_height_from_the_top(operation, count):
    rows = axes_of_rows(rows_figure(transform(), "", "", operation=operation))
    assert [one["domain"][1] for one in rows] == pytest.approx([1 - k / count for k in range(count)])
    assert [one["domain"][0] for one in rows] == pytest.approx([1 - (k + 1) / count for k in range(count)])


def test_dots_lie_an_eighth_above_the_foot_of_their_row():
    figure = rows_figure(transform(), "", "")
    for name, axis in zip(("x", "x̂", "y"), axes_of_rows(figure), strict=True):
        low, high = axis["range"]
        (height,) = set(trace(figure, f"dots of {name}")["y"].tolist())
        assert (height - low) / (high - low) == pytest.approx(0.125)
        assert height < 0, "below the bars"


def test_dots_of_x_are_dragged_and_say_where_they_are():
    found = transform(batch_size=5, moved="2:1000", source="gaussian")
    dragged = [one for one in rows_figure(found, "", "")["data"] if "meta" in one]
    (only,) = dragged
    np.testing.assert_array_equal(only["x"], found.arrays["x"])
    x, y = (brief(float(found.arrays[name][2])) for name in ("x", "y"))
    said = f"dot 3 of 5: x {x}, normalized {brief(found.arrays['normalized'][2])}, y {y}"
    assert only["meta"] == {
        "drag": "moved", "axis": "x", "choose": "chosen", "chosen": 2, "says": {"2": said},
    }  # fmt: skip
    assert only["marker"]["color"] == INK and only["marker"]["opacity"] == 0.45


def test_what_lies_beyond_the_axis_is_at_its_end_with_a_note():
    found = transform(batch_size=6, moved="0:1000,1:50,2:-300", gamma=4, beta=4)
    figure = rows_figure(found, "", "")
    notes = [note["text"] for note in figure["layout"]["annotations"]]
    assert "1,000 →" in notes and "1 beyond →" in notes and "← 1 beyond" in notes
    assert any(note.startswith("mean ") and note.endswith(" →") for note in notes)
    (chosen,) = trace(figure, "chosen dot", 1)["x"]
    assert chosen == HIGH and trace(figure, "chosen dot", 1)["customdata"] == [1000.0]
    drawn = trace(figure, "dots of y")
    np.testing.assert_array_equal(drawn["customdata"], found.arrays["y"])
    np.testing.assert_array_equal(drawn["x"], np.clip(found.arrays["y"], LOW, HIGH))
    assert drawn["x"].max() == HIGH


def test_tiny_numbers_have_an_axis_of_their_own_with_room_for_its_ticks():
    found = transform(source="gaussian", scale=1e-3, batch_size=100)
    figure = rows_figure(found, "", "")
    layout = figure["layout"]
    assert layout["xaxis2"]["range"] == pytest.approx([LOW / 500, HIGH / 500])
    assert layout["xaxis2"]["anchor"] == "y" and 4 <= len(layout["xaxis2"]["tickvals"]) <= 13
    assert trace(figure, "dots of x")["xaxis"] == "x2" and trace(figure, "dots of y")["xaxis"] == "x"
    assert layout["yaxis"]["domain"][0] - layout["yaxis2"]["domain"][1] > 0.04
    assert "on an axis of its own" in [note["text"] for note in layout["annotations"]]
    bars = [one for one in figure["data"] if one["type"] == "bar"]
    np.testing.assert_allclose(bars[0]["x"], bars[1]["x"] / 500)
    assert bars[0]["y"].sum() == 100


@pytest.mark.parametrize("size", [32, 100])
@pytest.mark.parametrize("narrow", [False, True])
def test_words_about_the_wall_are_below_the_ticks_of_an_own_axis(size, narrow):
    for scale, share in ((1, 1), (1e-3, 0.62)):
        figure = rows_figure(
            transform(source="gaussian", scale=scale, batch_size=size), "", "", narrow=narrow
        )
        notes = [
            one for one in figure["layout"]["annotations"] if "wall at" in one["text"] or "√(N" in one["text"]
        ]
        assert notes and {one["y"] for one in notes} == {share}


@pytest.mark.parametrize("far", [1e3, -1e3])
@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_farther_out_is_said_above_the_bars(far, narrow):
    figure = rows_figure(transform(batch_size=5, moved=f"2:{far}", source="gaussian"), "", "", narrow=narrow)
    notes = [one for one in figure["layout"]["annotations"] if "→" in one["text"] or "←" in one["text"]]
    low, high = figure["layout"]["yaxis"]["range"]
    assert len(notes) == 2 and all(one["yref"] == "y" and one["y"] == pytest.approx(high) for one in notes)
    assert all(one["yshift"] == (-19 if narrow and far < 0 else -3) for one in notes), "below the row's name"
    (bars, *_) = (one for one in figure["data"] if one["type"] == "bar")
    assert (bars["y"].max() - low) / (high - low) < (0.72 if narrow else 0.84), "there is room"


@pytest.mark.parametrize("operation", [None, *OPERATIONS])
def test_the_numbers_that_are_asked_for_come_first(operation):
    names = [one["name"] for one in rows_figure(transform(), "", "", operation=operation)["data"]]
    dots = [name for name in names if name.startswith("dots of ")]
    assert names[: len(dots)] == dots and dots[0] == "dots of x"
    assert names[len(dots) : len(dots) + 3] == ["chosen dot", "mean", "± σ"], "as in the legend"


def walls(figure):
    shapes = figure["layout"]["shapes"]
    return [one for one in shapes if one["type"] == "rect" and one["xref"] == "x"]


def test_walls_are_where_no_dot_can_go():
    figure = rows_figure(transform(batch_size=5, moved="2:1000", source="gaussian"), "", "")
    left, right = walls(figure)
    assert (left["x0"], left["x1"], right["x0"], right["x1"]) == (-2, LOW, 2, HIGH)
    assert right["fillcolor"] != left["fillcolor"], "the one that is touched"
    notes = {note["text"]: note["font"]["color"] for note in figure["layout"]["annotations"]}
    assert notes["√(N−1) = 2.00"] == ORANGE and notes["−√(N−1) = −2.00"] == INK
    far = rows_figure(transform(batch_size=100), "", "")
    assert not walls(far) and "wall at 9.95 →" in [note["text"] for note in far["layout"]["annotations"]]
    none = rows_figure(transform(batch_size=5), "", "", walls=False)
    assert not walls(none) and not any("√(N" in words or "wall" in words for words in words_of(none))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_walk_draws_what_has_been_computed(operation):
    found, reached = transform(batch_size=12), OPERATIONS.index(operation)
    figure = rows_figure(found, "", "", operation=operation)
    drawn = [one["name"].removeprefix("dots of ") for one in figure["data"] if one["name"].startswith("dots")]
    rows = {"x": 0, "x − μ": 2, "x̂": 5, "γ · x̂": 6, "y": 7}
    assert drawn == [name for name, since in rows.items() if reached >= since]
    means = [one for one in figure["data"] if one["name"] == "mean"][1:]
    assert len(means) == sum(reached >= since for since in (1, 2, 5, 6, 7))
    threads = [one for one in figure["layout"]["shapes"] if one.get("line", {}).get("dash") == "dot"]
    assert len(threads) == len(drawn) - 1
    ways = [one for one in figure["layout"]["shapes"] if one.get("line", {}).get("color") == faded(INK, 0.25)]
    assert len(ways) == (0 if reached < 2 else 12), "of every dot into the newest row"
    (says,) = trace(figure, "dots of x")["meta"]["says"].values()
    assert ("normalized" in says, ", y " in says) == (reached >= 5, reached >= 7)


def test_theory_is_a_line_over_the_bars_and_named():
    found = transform(batch_size=4, source="gaussian")
    pooled = Pooled(np.full(13, 0.3), np.full(13, 4 / 13))
    figure = rows_figure(found, "", "", pooled=pooled)
    theory, many = trace(figure, "theory for Gaussian x"), trace(figure, "many batches")
    assert theory["line"]["shape"] == "hv" and theory["line"]["color"] == INK
    np.testing.assert_allclose(np.unique(theory["x"]), wall_edges(4), atol=1e-12)
    assert theory["y"][0] == theory["y"][-1] == 0 and set(theory["y"][1:-1]) == {4 / 13}
    np.testing.assert_array_equal(many["y"], pooled.counts)
    rows = axes_of_rows(figure)
    heights = [one["domain"][1] - one["domain"][0] for one in rows]
    assert heights == pytest.approx([0.25, 0.5, 0.25]), "many batches get twice the height"
