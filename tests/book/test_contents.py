"""The table of contents: every question leads to a scene that asks it, and the small figures are real."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import plotly.graph_objects as go
import pytest

from book import contents
from book.chapter import Chapter, Page
from book.controls import read
from book.race.asking import is_open, scene_of
from book.race.settings import LAB_CONTROLS
from book.registry import chapters, pages
from live.messages import follow, opening
from pages import home, training_lab
from tests.figures import problems_of, words_of
from tests.questions import ELEVEN

LISTED = {page.name: page for page in contents.listed()}
ASKED = [(name, asked.scene) for name, page in LISTED.items() for asked in page.answers]
DRAWN = [name for name, page in LISTED.items() if page.thumbnail]


def settings(**raw):
    values, problems = read(home.CHAPTER.table, raw)
    assert problems == []
    return values


def figures(**raw):
    return {name: contents.thumbnails(settings(**raw))[f"contents_{name}"] for name in DRAWN}


def trace(figure, name):
    (found,) = (one for one in figure["data"] if one["name"] == name)
    return found


# ---- what is listed ------------------------------------------------------------------------------------


def test_every_page_but_the_first_is_listed_in_reading_order():
    told = contents.entries()
    assert [one["name"] for one in told] == [name for name in pages() if name != "home"]
    numbers = [one["number"] for one in told if one["number"]]
    assert numbers == list(range(1, len(numbers) + 1))
    for one in told:
        page = LISTED[one["name"]]
        assert bool(one["number"]) == isinstance(page, Chapter)
        assert (one["title"], one["question"], one["address"]) == (page.title, page.question, page.path)
        assert [row["asks"] for row in one["scenes"]] == [bool(scene.choices) for scene in page.scenes]
        assert [row["question"] for row in one["answers"]] == [asked.question for asked in page.answers]
    assert json.loads(json.dumps(told)) == told


def test_pages_of_a_group_are_neighbours():
    groups = [page.group for page in pages().values()]
    runs = [name for place, name in enumerate(groups) if place == 0 or groups[place - 1] != name]
    named = [name for name in runs if name]
    assert len(set(named)) == len(named)


def test_only_the_first_page_is_handed_the_contents():
    values, _ = read(home.CHAPTER.table, {})
    assert opening("home", values, "")["contents"] == contents.entries()
    assert not any("contents" in opening(name, {}, "") for name in ("lab", *chapters()) if name != "home")


@pytest.mark.parametrize("question", ELEVEN)
def test_each_of_the_eleven_questions_is_answered_somewhere(question):
    asked = [one.question for page in LISTED.values() for one in page.answers]
    assert [words for words in asked if re.search(ELEVEN[question], words)]


def test_questions_are_asked_once():
    asked = [one.question for page in LISTED.values() for one in page.answers]
    assert len(set(asked)) == len(asked) and all(words.endswith("?") for words in asked)


@pytest.mark.parametrize(("name", "scene"), ASKED)
def test_a_question_leads_to_a_scene_that_waits_for_an_answer(name, scene):
    page = LISTED[name]
    path, _, query = page.at(scene).partition("?")
    assert path == page.path
    address = dict(parse_qsl(query, strict_parsing=True))
    if isinstance(page, Chapter):
        values, problems = read(page.table, address)
        assert values["scene"] == scene and page.is_open(values)
    else:
        values, problems = read(LAB_CONTROLS, follow("lab", address).address)  # a short link is spelled out
        assert is_open(values) and scene_of(values) == scene
    assert problems == []


# ---- minutes -------------------------------------------------------------------------------------------


def test_minutes_are_those_of_words_and_scenes():
    scene = next(iter(LISTED["one_batch"].scenes))
    bare = replace(scene, question="", choices=(), said="", because="", but="", task="")
    page = Page("some", "Some", "Why?", scenes=(bare,) * 8)
    assert contents.minutes(page) == 6, "eight scenes of three quarters of a minute"
    wordy = replace(bare, because="word " * 180)
    assert contents.minutes(replace(page, scenes=(wordy, *page.scenes[1:]))) == 7, "a minute's words more"
    assert contents.minutes(Page("none", "None", "Why?")) == 1


# ---- small figures -------------------------------------------------------------------------------------

EXTREMES = [
    {}, {"batch_size": 1}, {"batch_size": 1, "eps": 0}, {"batch_size": 2, "eps": 0, "moved": "0:3,1:3"},
    {"batch_size": 256, "gamma": -4, "beta": 4, "eps": 1}, {"moved": "0:1e6,1:-1e6", "gamma": 0},
]  # fmt: skip


@pytest.mark.parametrize("raw", EXTREMES)
def test_small_figures_are_plotlys_at_every_setting(raw):
    for figure in figures(**raw).values():
        assert problems_of(figure) == []
        go.Figure(figure)
        assert figure["layout"]["meta"]["place"] == "contents" and figure["layout"]["meta"]["alt"]
        assert not any(re.search(r"\bnan\b|[{}]", words) for words in words_of(figure))


def test_they_are_drawn_once_for_the_same_settings_and_not_while_a_finger_moves():
    first, again = figures(batch_size=9), figures(batch_size=9)
    assert all(again[name] is figure for name, figure in first.items())
    looks = {"open": False, "narrow": True, "draft": False}
    assert contents.thumbnails(settings(batch_size=9) | looks) == contents.thumbnails(settings(batch_size=9))
    assert contents.thumbnails(settings() | {"draft": True}) == {}


def test_the_batch_is_the_first_pages():
    raw = {"batch_size": 12, "gamma": 2, "beta": -1, "moved": "3:1.5"}
    figure, table = figures(**raw)["one_batch"], home.CHAPTER.view(settings(**raw)).table
    for name in ("x", "y"):
        np.testing.assert_array_equal(trace(figure, name)["x"], table[name])
    joined = trace(figure, "from x to y")["x"].reshape(-1, 3)
    np.testing.assert_array_equal(joined[:, :2], np.column_stack([table["x"], table["y"]]))


@pytest.mark.parametrize("size", [1, 4, 64])
def test_the_running_mean_is_that_of_the_means(size):
    figure = figures(batch_size=size)["inference"]
    means, running = (trace(figure, name)["y"] for name in ("mean of a batch", "running mean"))
    ages = np.arange(len(means))[:, None] - np.arange(len(means))  # the latest weighs a tenth
    weights = np.where(ages >= 0, 0.1 * 0.9 ** np.maximum(ages, 0), 0)
    np.testing.assert_allclose(running, [0, *(weights @ means)], atol=1e-12)
    scatter = means.std() / figures(batch_size=1)["inference"]["data"][0]["y"].std()
    assert scatter == pytest.approx(size**-0.5, rel=0.35)


def test_the_two_networks_of_the_lab_learn():
    figure = figures()["training_lab"]
    for name in training_lab.SMALL:
        losses = trace(figure, name)["y"]
        assert losses[:3].mean() == pytest.approx(np.log(10), abs=0.4), "they begin by guessing"
        assert losses[-5:].mean() < losses[:5].mean() - 0.2
