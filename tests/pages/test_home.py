"""The home page: its picture, equations and small figures, and that its links keep their meaning."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest

from book.batch import DIGITS
from book.contents import listed
from book.controls import read, write
from pages import home
from tests.figures import problems_of, words_of

CHAPTER = home.CHAPTER


def view(**raw):
    values, problems = read(CHAPTER.table, raw)
    assert problems == []
    return CHAPTER.view(values)


def test_links_from_before_open_the_same_picture():
    link = {"batch_size": "7", "gamma": "-1.5", "beta": "0.25", "eps": "0.01", "moved": "3:2.75"}
    values, problems = read(CHAPTER.table, link)
    assert problems == [] and write(CHAPTER.table, values) == link
    shown = CHAPTER.view(values)
    x = DIGITS[:7].copy()
    x[3] = 2.75
    np.testing.assert_array_equal(shown.table["x"], x)
    x_hat = (x - x.mean()) / math.sqrt(x.var() + 0.01)
    np.testing.assert_allclose(shown.table["y"], -1.5 * x_hat + 0.25)
    assert shown.text.startswith("7 numbers with mean")


def test_short_equations_are_those_of_the_batch():
    shown = view(batch_size=10, moved="0:7")
    x = shown.table["x"]
    told = {one.key: one.describe() for one in shown.equations}
    assert list(told) == ["mean", "std"]
    assert [one.value for one in shown.equations] == pytest.approx([x.mean(), x.std()])
    assert told["std"]["shown"] == f"{x.std():.3g}"
    assert all(one["known"] and one["steps"] for one in told.values())


@pytest.mark.parametrize("size", [1, 2, 5, 32, 99, 256])
@pytest.mark.parametrize("narrow", [False, True])
def test_how_far_a_dot_can_get_is_left_to_chapter_one(size, narrow):
    """What is said of the farthest dot is what came out, and only once one was dragged."""
    for moved in ("", "0:1000", "200:1000" if size < 200 else ""):
        values, _ = read(CHAPTER.table, {"batch_size": size, "moved": moved})
        shown = CHAPTER.view(values | {"narrow": narrow})
        words = [shown.text, *(words for one in shown.figures.values() for words in words_of(one))]
        words += [str(one.describe()) for one in shown.equations]
        assert not any("wall" in one or "(N−1)" in one or f"√({size}−1)" in one for one in words)
        farthest = np.abs(shown.table["x_hat"]).max()
        said = f"The farthest x̂ is {farthest:.{2 if size < 101 else 1}f} away from 0."
        assert (said in shown.text) == (moved == "0:1000" and size > 1)
        assert ("farthest" in shown.text) == (moved == "0:1000" and size > 1)


@pytest.mark.parametrize("size", [1, 2, 32, 256])
@pytest.mark.parametrize(
    "extreme", [{}, {"eps": 0, "moved": "0:3,1:3"}, {"moved": "0:1e6,1:-1e6", "gamma": -4}]
)
@pytest.mark.parametrize("narrow", [False, True])
def test_every_picture_is_plotlys(size, extreme, narrow):
    values, _ = read(CHAPTER.table, {"batch_size": size, **extreme})
    shown = CHAPTER.view(values | {"narrow": narrow})
    assert list(shown.figures)[:2] == ["dots", "digit"]
    for figure in shown.figures.values():
        assert problems_of(figure) == []
        go.Figure(figure)
        assert not any("nan" in words for words in words_of(figure))
    assert all(type(value) is float and math.isfinite(value) for value in shown.numbers.values())


def test_below_the_picture_is_a_small_figure_of_each_page():
    """While a finger moves there is none: the browser keeps the last ones."""
    values, _ = read(CHAPTER.table, {"batch_size": 20})
    drawn = [f"contents_{page.name}" for page in listed() if page.thumbnail]
    assert len(drawn) >= 3 and list(CHAPTER.view(values).figures) == ["dots", "digit", *drawn]
    assert list(CHAPTER.view(values | {"draft": True}).figures) == ["dots", "digit"]
    others = [one for name, one in CHAPTER.view(values).figures.items() if name not in drawn]
    assert not any(one["layout"]["meta"]["place"] == "contents" for one in others)
    assert not CHAPTER.scenes and CHAPTER.path == ""
