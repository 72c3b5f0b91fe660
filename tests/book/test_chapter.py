"""Chapters as values: answers are measured, guesses are read and written, views are packed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from book import registry
from book.chapter import Chapter, Choice, Page, Scene, View, packed_figures, without
from book.controls import Control, Values, read, write
from book.figure import axis, figure, line
from book.predictions import answer, holds, measured_states, nearest, story, told  # fmt: skip
from book.words import Word, filled


def compute(values: Values) -> View:
    double = 2 * values["x"]
    return View({"double": double, "half": values["x"] / 2, "open": float(values["open"])})


GROW = Scene(
    "grow", "Growing", "How large is the double of 3?",
    choices=(
        Choice("three", 3, "it began there"), Choice("six", 6), Choice("half", "half", "also a factor 2"),
    ),
    measured="double", reveal={"x": 3.0},
    said="It is {double}, before {before_double}.", because="2 × 3 = {double:.1f}.", but="Of {half} not.",
    task="Try x = 5.", controls=("x",),
)  # fmt: skip
BACK = Scene(
    "back", "Back", "And now?", (Choice("a", 0.0), Choice("b", 9.0)), "double",
    start={"x": 4.0}, reveal={"x": "half"}, said="{double}", because="{before_half}", but="but",
)  # fmt: skip
FREE = Scene("free", "Free", start={"x": 2.0, "how": "slow"}, walk={"fast": "at once"})
CHAPTER = Chapter(
    "sums", "Sums", "What is twice as much?", compute=compute, scenes=(GROW, BACK, FREE),
    controls=(
        Control("x", "number", 1.0, "x", low=-10, high=10),
        Control("how", "choice", "fast", "how", choices=("fast", "slow")),
    ),
)  # fmt: skip
PLAIN = Chapter("plain", "Plain", "?", controls=CHAPTER.controls, compute=compute)


def values_of(chapter: Chapter = CHAPTER, **raw: Any) -> Values:
    values, problems = read(chapter.table, raw)
    assert not problems
    return values


# ---- settings and scenes -------------------------------------------------------------------------------


def test_the_table_holds_the_controls_the_scene_and_the_guesses() -> None:
    assert [control.name for control in CHAPTER.table] == ["x", "how", "scene", "guesses"]
    assert CHAPTER.table[2].choices == ("grow", "back", "free") and CHAPTER.table[2].default == "grow"
    assert PLAIN.table == PLAIN.controls


def test_a_scene_is_open_until_it_is_answered() -> None:
    assert CHAPTER.is_open(values_of()) and CHAPTER.is_open(values_of(guesses="back:1"))
    assert not CHAPTER.is_open(values_of(guesses="grow:0"))
    assert not CHAPTER.is_open(values_of(scene="free")), "it asks nothing"
    assert not PLAIN.is_open(values_of(PLAIN)) and PLAIN.scene(values_of(PLAIN)) is None
    assert CHAPTER.scene(values_of(scene="back")) is BACK


def test_a_view_is_told_whether_the_scene_is_open() -> None:
    assert CHAPTER.view(values_of()).numbers["open"] == 1
    assert CHAPTER.view(values_of(guesses="grow:0")).numbers["open"] == 0
    values = values_of()
    CHAPTER.view(values)
    assert "open" not in values, "settings are never modified"


def test_a_chapter_that_waits_is_given_what_was_found() -> None:
    def waits(values: Values, found: Mapping[str, Any]) -> View:
        return View(waiting="" if found.get("job") else "not yet", numbers=dict(found.get("job") or {}))

    for waiting in (
        replace(CHAPTER, compute=waits, jobs=lambda values: {}),
        replace(CHAPTER, compute=waits, runs=lambda values: {}),
    ):
        assert waiting.has_waits and not CHAPTER.has_waits
        assert waiting.view(values_of()).waiting == "not yet"
        assert waiting.view(values_of(), {"job": {"a": 1.0}}).numbers == {"a": 1.0}


def test_settings_of_a_scene_are_its_start_and_what_is_changed() -> None:
    assert CHAPTER.settings(FREE, {}) == {"x": 2.0, "how": "slow", "scene": "free", "guesses": ()}
    assert CHAPTER.settings(GROW, {"x": 5}, answered=True)["guesses"] == (("grow", 0),)
    assert CHAPTER.settings(FREE, {}, answered=True)["guesses"] == (), "it asks nothing"
    with pytest.raises(AssertionError, match="grow: .*x=99 is outside"):
        CHAPTER.settings(GROW, {"x": 99})
    with pytest.raises(AssertionError, match="colour is no setting"):
        CHAPTER.settings(GROW, {"colour": 1})


# ---- guesses -------------------------------------------------------------------------------------------


@given(guesses=st.fixed_dictionaries({}, optional={"grow": st.integers(0, 2), "back": st.integers(0, 1)}))
def test_guesses_come_back_from_an_address_and_from_a_message(guesses: dict[str, int]) -> None:
    values = values_of(guesses=list(map(list, guesses.items())))
    assert dict(values["guesses"]) == guesses
    address = write(CHAPTER.table, values)
    assert values_of(**address) == values
    assert values_of(**json.loads(json.dumps(values))) == values


def test_guesses_are_in_the_order_of_the_scenes() -> None:
    assert values_of(guesses="back:1,grow:2")["guesses"] == (("grow", 2), ("back", 1))
    assert write(CHAPTER.table, values_of(guesses="back:1,grow:2"))["guesses"] == "grow:2,back:1"


@pytest.mark.parametrize(
    "raw",
    ["grow", "grow:3", "grow:-1", "grow:1:2", "free:0", "nonsense:0", "grow:1.5", ":", "grow:x", 7, None, [1],
     [["grow", 1.0]], [["grow", True]], [["grow", [1]]], [[["grow"], 1]], {"grow": 1}, [["grow", 10**400]]],
)  # fmt: skip
def test_broken_guesses_fall_back_and_say_what_they_can_be(raw: Any) -> None:
    values, (problem,) = read(CHAPTER.table, {"guesses": raw})
    assert values["guesses"] == ()
    assert problem.endswith(
        "must be scenes and numbers of their choices, such as grow:2,back:1; none is used"
    )


def test_a_guess_given_twice_is_the_last_one() -> None:
    assert values_of(guesses="grow:0,grow:2")["guesses"] == (("grow", 2),)


# ---- answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "measured", "right"),
    [([1, 2, 3], 1.4, 0), ([1, 2, 3], 1.6, 1), ([1, 2, 3], 99, 2), ([3, 1, 2], -5, 1), ([1, 2], 1.5, 0)],
)
def test_the_choice_nearest_to_what_is_measured_is_right(
    values: list[float], measured: float, right: int
) -> None:
    assert nearest(values, measured) == right


def measured_answer(scene: Scene) -> Any:
    before, reveal = measured_states(CHAPTER, scene)
    numbers = CHAPTER.view(before).numbers
    after = reveal(numbers)
    return answer(scene, numbers, after, CHAPTER.view(after).numbers)


def test_an_answer_is_measured_at_the_reveal_and_told_with_both_numbers() -> None:
    found = measured_answer(GROW)
    assert (found.right, found.said) == (1, "It is 6, before 2.")
    assert (found.because, found.but) == ("2 × 3 = 6.0.", "Of 1.5 not.")
    assert found.reveal == {"x": 3.0, "how": "fast", "scene": "grow"}


def test_a_number_at_the_start_can_be_a_choice_and_a_setting_of_the_reveal() -> None:
    assert measured_answer(BACK).reveal["x"] == 2.0  # half of 4
    scene = replace(
        GROW, start={"x": 8.0}, choices=(Choice("half", "half"), Choice("ten", 10)), reveal={"x": 2.0}
    )
    assert measured_answer(scene).right == 0, "4, half of the x before, is nearest to 2 × 2"


def test_numbers_before_the_answer_are_those_of_an_answered_scene() -> None:
    before, reveal = measured_states(CHAPTER, GROW)
    assert not CHAPTER.is_open(before) and not CHAPTER.is_open(reveal(CHAPTER.view(before).numbers))


def test_what_was_said_holds_at_the_settings_of_the_reveal_only() -> None:
    reveal = measured_answer(GROW).reveal
    there = values_of(x=3, guesses="grow:1")
    assert holds(CHAPTER, there, reveal)
    assert not holds(CHAPTER, there | {"x": 3.1}, reveal) and not holds(
        CHAPTER, there | {"how": "slow"}, reveal
    )
    assert holds(CHAPTER, there | {"scene": "back", "guesses": ()}, reveal), (
        "only the chapter's own settings count"
    )


@pytest.mark.parametrize(("guess", "credit"), [(0, "it began there"), (1, ""), (2, "also a factor 2")])
def test_credit_goes_to_those_who_chose_another_answer(guess: int, credit: str) -> None:
    found = measured_answer(GROW)
    at_reveal = told(CHAPTER, values_of(x=3, guesses=f"grow:{guess}"), found)
    assert (at_reveal["credit"], at_reveal["right"], at_reveal["holds"]) == (credit, 1, True)
    assert at_reveal["said"] == found.said
    elsewhere = told(CHAPTER, values_of(x=4, guesses=f"grow:{guess}"), found)
    assert (elsewhere["said"], elsewhere["holds"]) == (found.said, False)
    json.dumps(at_reveal, allow_nan=False)


def test_what_is_told_beforehand_does_not_give_the_answer_away() -> None:
    (grow, back, free) = told_before = story(CHAPTER)
    assert json.loads(json.dumps(told_before)) == json.loads(json.dumps(told_before, allow_nan=False))
    assert grow["choices"] == ["three", "six", "half"] and grow["start"] == {
        "x": 1.0,
        "how": "fast",
        "scene": "grow",
    }
    assert back["start"]["x"] == 4.0 and free["walk"] == {"fast": "at once"} and free["choices"] == []
    text = json.dumps(told_before)
    for hidden in (GROW.said, GROW.because, GROW.but, "it began there", "measured", "reveal"):
        assert hidden not in text


# ---- words ---------------------------------------------------------------------------------------------


def test_places_are_filled_with_numbers() -> None:
    numbers = {"loss": 0.123456, "steps": 12345.0, "change": -0.25, "tiny": 3e-6}
    sentence = filled("{loss}, {loss:.1f}, {loss:.0%}, {steps}, {change}, {change:+.2f}, {tiny}", numbers)
    assert sentence == "0.123, 0.1, 12%, 12,345, −0.25, −0.25, 3×10⁻⁶"
    assert filled("nothing to fill", {}) == "nothing to fill"


def test_a_place_without_a_number_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError, match="loss"):
        filled("{loss}", {"gain": 1.0})


def test_a_word_is_still_a_number() -> None:
    assert Word(2.0) * 3 == 6 and f"{Word(-1.5):.2f}" == "−1.50" and f"{Word(-1.5)}" == "−1.5"


# ---- packing -------------------------------------------------------------------------------------------


def test_arrays_are_taken_out_of_figures_and_numbered() -> None:
    x, y, z = np.arange(3.0), np.full(3, np.nan), np.eye(2)
    one = figure([line(x, y, "a")], "t", "a", axis(0, 2), axis(0, 1))
    other = {
        "data": [{"type": "heatmap", "z": z, "x": ["a", "b"], "zmin": np.float64(0.5)}],
        "layout": {"p": (1, 2)},
    }
    plain, arrays = packed_figures({"one": one, "other": other})
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["one"]["data"][0]["x"] == {"$": 0} and plain["one"]["data"][0]["y"] == {"$": 1}
    assert plain["other"]["data"][0] == {"type": "heatmap", "z": {"$": 2}, "x": ["a", "b"], "zmin": 0.5}
    assert plain["other"]["layout"] == {"p": [1, 2]}
    assert list(arrays) == ["0", "1", "2"]
    for name, array in zip("012", (x, y, z), strict=True):
        np.testing.assert_array_equal(arrays[name], array)
    assert one["data"][0]["x"].tolist() == [0, 1, 2], "the figure itself is as it was"


def test_figures_can_be_left_out() -> None:
    view = View(figures={"a": {}, "b": {}, "c": {}}, text="kept")
    assert list(without(view, "a", "c", "nothing").figures) == ["b"] and without(view, "a").text == "kept"
    assert list(view.figures) == ["a", "b", "c"]


# ---- the registry --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder of pages: a function that puts one into it."""
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    registry.pages.cache_clear()

    def put(file: str, page: Page | None) -> None:
        (tmp_path / f"{file}.py").touch()
        module = SimpleNamespace() if page is None else SimpleNamespace(CHAPTER=page)
        monkeypatch.setitem(sys.modules, f"pages.{file}", module)

    yield put
    registry.pages.cache_clear()


def test_pages_are_found_in_reading_order(folder: Any) -> None:
    folder("later", Page("later", "Later", "?", order=2.5))
    folder("home", Page("home", "Home", "?", order=0))
    folder("sums", replace(CHAPTER, order=1))
    folder("_parts", None)  # what pages keep to themselves
    assert list(registry.pages()) == ["home", "sums", "later"]
    assert list(registry.chapters()) == ["sums"]
    assert [page.path for page in registry.pages().values()] == ["", "sums", "later"]


def test_a_page_has_the_name_of_its_file(folder: Any) -> None:
    folder("one", Page("one", "One", "?"))
    folder("two", Page("other", "Two", "?"))
    with pytest.raises(ValueError, match=r"\['other', 'two'\].* call each chapter as its file"):
        registry.pages()


def test_two_pages_cannot_have_one_name(folder: Any) -> None:
    folder("one", Page("one", "One", "?"))
    folder("two", Page("one", "Two", "?"))
    with pytest.raises(ValueError, match=r"\['two'\]"):
        registry.pages()


def test_a_file_without_a_chapter_is_named(folder: Any) -> None:
    folder("one", Page("one", "One", "?"))
    folder("empty", None)
    with pytest.raises(ValueError, match=r"pages/empty\.py .*CHAPTER"):
        registry.pages()


def test_an_address_has_hyphens() -> None:
    assert Page("training_and_inference", "T", "?").path == "training-and-inference"
