"""What the page itself asks Python: where an address leads, what stands beside a picture, how fast it is."""

import json

import pytest

from book.beside import beside
from book.controls import read, write
from book.race.table import RUN
from book.registry import chapters, pages
from live import messages
from static import shell as shell_module
from static.shell import FAILED, address, arrive
from tests.static.shells import with_shell

PICTURES = {name: name for name in chapters()} | {"training_lab": "lab"}


def plain(value):
    """Say it as JSON and back, as it reaches the page."""
    return json.loads(json.dumps(value))


def asked(name, **arguments):
    """Ask as the page does."""
    answers = []

    async def scenario(shell, page, workers):
        question = json.dumps({"name": name, "arguments": arguments})
        answers.append(json.loads(await shell.answer(question)))

    with_shell(scenario)
    return answers[0]


@pytest.mark.parametrize("page", PICTURES)
def test_a_bare_address_opens_a_page_as_the_served_edition_does(page):
    picture = PICTURES[page]
    values, _ = read(messages.CONTROLS[picture], {})
    found = asked("arrive", page=page, query={})["value"]
    assert found["opening"] == plain(messages.opening(picture, values, pages()[page].question))
    assert found["values"] == plain(values) == found["opening"]["values"]
    assert found["address"] == found["written"] == {} and found["problems"] == []
    assert (found["note"], found["paused"], found["opens"]) == ("", False, False)


def test_an_address_is_read_and_what_is_broken_in_it_is_named():
    found = arrive("home", {"gamma": "2.5", "beta": "x", "moved": "3:1"})
    assert found["values"]["gamma"] == 2.5 and found["written"] == {"gamma": "2.5", "moved": "3:1.0"}
    assert found["problems"] == ["beta=x is not a number; 0.0 is used"]
    assert arrive("training_lab", {"step": "5"})["paused"]


def test_a_short_link_is_spelled_out():
    found = arrive("training_lab", {"experiment": "E11"})
    assert found["opens"] and found["address"]["experiment"] == "E11" and found["paused"]
    assert found["written"] == found["address"]
    note = arrive("training_lab", {"experiment": "e9"})
    assert "E9" in note["note"] and not note["opens"] and note["address"] == {}


@pytest.mark.parametrize("page", PICTURES)
def test_settings_are_written_as_the_address_that_they_come_from(page):
    controls = messages.CONTROLS[PICTURES[page]]
    for scene in pages()[page].scenes:
        query = {"preset" if page == "training_lab" else "scene": scene.name}
        found = plain(arrive(page, query))
        assert found["problems"] == []
        again = address(page, found["values"])
        assert again == found["written"] and write(controls, read(controls, again)[0]) == again


def test_settings_that_nobody_can_choose_have_their_default():
    assert address("home", {"gamma": "x", "beta": 2, "revision": 3}) == {"beta": "2.0"}


@pytest.mark.parametrize("page", PICTURES)
def test_what_stands_beside_a_picture_is_what_the_served_edition_shows(page):
    values, _ = read(messages.CONTROLS[PICTURES[page]], {})
    assert asked("beside", page=page, values=plain(values))["value"] == plain(
        beside(pages()[page], values).told()
    )


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("arrive", {"page": "nowhere", "query": {}}, "page=nowhere must be one of home, "),
        ("arrive", {"page": ["home"], "query": {}}, "page=['home'] must be one of home, "),
        ("arrive", {"query": {}}, "page=None must be one of home, "),
        ("arrive", {"page": "home", "query": {"gamma": 1}}, "must be an object of texts"),
        ("arrive", {"page": "home"}, "query=None must be an object of texts"),
        ("address", {"page": "home", "values": 3}, "values=3 must be an object of settings"),
        ("beside", {"page": "home"}, "values=None must be an object of settings"),
        ("dance", {}, "ask=dance must be one of arrive, address, beside, speed"),
        (None, {}, "ask=None must be one of arrive, address, beside, speed"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_is_wrong(name, arguments, words):
    answer = asked(name, **arguments)
    assert list(answer) == ["problem"] and words in answer["problem"]


@pytest.mark.parametrize(
    "question", ["{", "[]", "{}", '{"name": "arrive"}', '{"name": "arrive", "arguments": 3}']
)
def test_a_question_that_is_none_is_answered_too(question):
    async def scenario(shell, page, workers):
        assert list(json.loads(await shell.answer(question))) == ["problem"]

    with_shell(scenario)


def test_an_answer_that_fails_ends_nothing(monkeypatch, caplog):
    def broken(page, values):
        raise ZeroDivisionError

    monkeypatch.setattr(shell_module, "beside", broken)
    assert asked("beside", page="home", values={}) == {"problem": FAILED}
    assert "ZeroDivisionError" in caplog.text


def seconds(config):
    return 0.0 if config.network == "gan" else 0.0123456


def test_how_fast_each_network_trains_is_measured(monkeypatch):
    monkeypatch.setattr("live.worker.shown_step_seconds", seconds)
    found = asked("speed")["value"]
    steps = found["steps"]
    assert found["seeds"] == 4
    assert list(steps) == [name for name in RUN["network"].names if name != "GAN"] and steps["dense"] == 81.0
