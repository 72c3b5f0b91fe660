"""What is told beside a picture: all of it once a question is answered, before that nothing that tells."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from bnlib.experiments import EXPERIMENTS
from book.beside import Beside, beside, source
from book.controls import read
from book.race.asking import SKIPPED
from book.race.code import lab_code
from book.race.settings import LAB_CONTROLS
from book.registry import after, chapters, pages

SCENES = [(name, scene.name) for name, chapter in chapters().items() for scene in chapter.scenes]


def at(name, scene, answered):
    chapter = chapters()[name]
    (found,) = (one for one in chapter.scenes if one.name == scene)
    return chapter, chapter.settings(found, {}, answered)


@pytest.mark.parametrize(("name", "scene"), SCENES)
def test_an_open_question_hides_what_would_answer_it(name, scene):
    chapter, values = at(name, scene, answered=False)
    told = beside(chapter, values)
    assert told.open == chapter.is_open(values)
    if told.open:
        assert told.pytorch is None and not told.code and not told.evidence
        assert [way for way in told.ways if way.address.startswith("/training-lab?")] == []
        assert told.ways == beside(replace(chapter, lab=None), values).ways


@pytest.mark.parametrize(("name", "scene"), SCENES)
def test_all_is_told_once_it_is_answered(name, scene):
    chapter, values = at(name, scene, answered=True)
    told = beside(chapter, values)
    assert not told.open and told.code == chapter.code
    assert told.pytorch == (chapter.pytorch(values) if chapter.pytorch else None)
    assert [one.title for one in told.evidence] == [
        f"{name}: {EXPERIMENTS[name].title}" for name in chapter.experiments
    ]
    following = after(chapter)
    if following is not None:
        assert told.ways[0] == (f"Next: {following.question}", f"/{following.path}")
    assert set(chapter.links) <= set(told.ways)


@pytest.mark.parametrize(("name", "scene"), SCENES)
def test_the_way_into_the_lab_shows_these_networks(name, scene):
    chapter, values = at(name, scene, answered=True)
    race = chapter.lab(values) if chapter.lab else None
    ways = [way for way in beside(chapter, values).ways if way.words == "These networks in the training lab"]
    assert len(ways) <= (race is not None)
    for way in ways:
        path, _, query = way.address.partition("?")
        settings, problems = read(LAB_CONTROLS, dict(parse_qsl(query)))
        assert path == "/training-lab" and not problems and settings["step"] == min(race.steps, 10**4)


def test_an_experiment_is_its_race_or_its_command():
    told = [one for name in chapters() for one in beside(*answered(name)).evidence]
    assert told
    for one in told:
        name = one.title.partition(":")[0]
        if isinstance(EXPERIMENTS[name].races, str):
            assert one[1:] == (None, f"python -m bnlib experiments run {name}")
        else:
            assert one[1:] == (f"/training-lab?experiment={name}", None)


def answered(name):
    chapter = chapters()[name]
    return chapter, chapter.settings(chapter.scenes[0], {}, True) if chapter.scenes else read(
        chapter.table, {}
    )[0]


def test_the_lab_shows_the_code_of_its_lanes_and_says_whether_its_question_is_open():
    page = pages()["training_lab"]
    values, _ = read(LAB_CONTROLS, {})
    told = beside(page, values)
    assert told == Beside(code=tuple(lab_code(values)), open=True)
    assert not beside(page, values | {"guess": SKIPPED}).open


@pytest.mark.parametrize("name", pages())
def test_it_is_plain_json(name):
    page, values = answered(name) if name in chapters() else (pages()[name], read(LAB_CONTROLS, {})[0])
    told = beside(page, values)
    plain = json.loads(json.dumps(told.told(), allow_nan=False))
    assert list(plain) == ["pytorch", "code", "ways", "evidence", "open"]
    assert plain["code"] == [{"what": what, "source": source(function)} for what, function in told.code]
    assert plain["ways"] == [list(way) for way in told.ways]
    assert [list(one) for one in plain["evidence"]] == [["title", "address", "command"]] * len(told.evidence)
