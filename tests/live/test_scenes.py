"""The scenes of "One batch": their declarations, and that what they say is what is measured."""

import json

import pytest

from live import scenes
from live.batch import OPERATIONS
from book.controls import read, write
from live.messages import MAX_MESSAGE, pack
from live.scenes import ONE_BATCH_CONTROLS, SCENES, nearest, picture, story

STORY = {told["name"]: told for told in story()}
ASKED = [name for name, scene in SCENES.items() if scene.choices]


@pytest.mark.parametrize("name", ASKED)
def test_a_reveal_measures_its_right_choice(name):
    scene, told = SCENES[name], STORY[name]
    measured = picture(told["reveal"])[0]["numbers"][scene.measured]
    before = picture(told["start"])[0]["numbers"]
    values = [before[value] if isinstance(value, str) else value for _, value in scene.choices]
    distances = [abs(value - measured) for value in values]
    assert distances[told["right"]] == min(distances)
    assert min(distances) < 0.1 * sorted(distances)[1], "what is measured is no close call"
    assert told["choices"] == [label for label, _ in scene.choices]


@pytest.mark.parametrize(
    ("name", "right"),
    [("tug", "at 2"), ("steps", "at 1"), ("shape", "flat"), ("undo", "yes, exactly"), ("cliff", "nothing"),
     ("microscope", "0.3")],
)  # fmt: skip
def test_the_known_answers_come_out(name, right):
    """√(5−1), β, the uniform law of batches of four, the identity, (2−2)/2, and .001/√(.001² + .00001)."""
    assert STORY[name]["choices"][STORY[name]["right"]] == right


@pytest.mark.parametrize(
    ("name", "words"),
    [("tug", "ends at 2."), ("shape", "Batches of four have 1.8"), ("undo", "is 0.000 σ"),
     ("cliff", "0.0% of it"), ("microscope", "spreads 0.302")],
)  # fmt: skip
def test_the_answer_has_the_number_in_it(name, words):
    assert words in STORY[name]["said"] and "{" not in STORY[name]["said"]


def test_another_measurement_has_another_right_choice(monkeypatch):
    monkeypatch.setitem(scenes.MEASURES, "share", lambda *_: ({"share": 0.6}, "", {}))
    told = scenes._told(SCENES["cliff"])
    assert told["choices"][told["right"]] == "half of it" and "60.0% of it" in told["said"]
    assert nearest([1, 0.5, 0], 0.6) == 1


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_shows_settings_and_measures_that_exist(name):
    scene, told = SCENES[name], STORY[name]
    names = {control.name for control in ONE_BATCH_CONTROLS}
    assert {*scene.controls, *scene.start, *scene.reveal} <= names
    for settings in (told["start"], told.get("reveal", told["start"])):
        values, problems = read(ONE_BATCH_CONTROLS, json.loads(json.dumps(settings)))
        assert problems == [] and values["scene"] == name
        header, arrays = picture(values)
        assert set(header["notes"]) == set(scene.measures)
        assert all(note and "nan" not in note for note in header["notes"].values())
        assert len(pack(header, arrays)) < 16_000
    changed = {key for key in told["start"] if told["start"][key] != told.get("reveal", told["start"])[key]}
    assert changed == set(scene.reveal)


def test_settings_of_all_scenes_fit_into_a_message():
    everything = {name: len(SCENES[name].choices) - 1 for name in ASKED}
    values, _ = read(ONE_BATCH_CONTROLS, {"guesses": list(everything.items())})
    message = {"kind": "batch", "id": 2**53, "values": values | {"moved": [[255, -123456.789]] * 8}}
    assert len(json.dumps(message)) < MAX_MESSAGE / 2


@pytest.mark.parametrize("batch_size", [1, 2, 3, 256])
@pytest.mark.parametrize("settings", [{}, {"eps": 0}, {"scale": 1e-8, "eps": 0}, {"moved": "0:1e6,1:-1e6"}])
@pytest.mark.parametrize("name", SCENES)
def test_extremes_are_pictures_too(name, settings, batch_size):
    for source in ("digits", "outlier"):
        values, problems = read(
            ONE_BATCH_CONTROLS, {"scene": name, "batch_size": batch_size, "source": source, **settings}
        )
        header, arrays = picture(values)
        assert problems == [] and pack(header, arrays)  # which takes no NaN


# --- guesses --------------------------------------------------------------------------------------------


def test_guesses_are_kept_in_an_address():
    values, problems = read(ONE_BATCH_CONTROLS, {"guesses": "undo:0,tug:2"})
    assert problems == [] and values["guesses"] == (("tug", 2), ("undo", 0))
    assert write(ONE_BATCH_CONTROLS, values) == {"guesses": "tug:2,undo:0"}
    again, problems = read(ONE_BATCH_CONTROLS, json.loads(json.dumps(values)))
    assert problems == [] and again == values


@pytest.mark.parametrize(
    "raw",
    ["tug", "tug:9", "tug:-1", "tug:x", "tugs:1", "free:0", ":", "tug:1:2", 7, {"tug": 1}, [["tug", 1.0]],
     [["tug", True]], [[[], 1]], [["tug"]], None],
)  # fmt: skip
def test_a_broken_guess_is_named_and_dropped(raw):
    values, (problem,) = read(ONE_BATCH_CONTROLS, {"guesses": raw, "scene": "undo"})
    assert values["guesses"] == () and values["scene"] == "undo"
    assert "must be scenes and numbers of their choices, such as tug:2,undo:0; none is used" in problem


def test_the_walk_tells_what_it_has_come_to_and_no_more():
    said = []
    for operation in OPERATIONS:
        values, _ = read(ONE_BATCH_CONTROLS, {**STORY["steps"]["start"], "operation": operation})
        header, _ = picture(values)
        said.append(header["text"])
    numbers = header["numbers"]
    assert f"μ = −{-numbers['x_mean']:.3g}." in said[1] and f"σ² = {numbers['x_var']:.3g}." in said[3]
    assert "mean 0 and standard deviation 1." in said[5] and "mean 0 and standard deviation 2." in said[6]
    assert said[7].startswith("12 numbers") and len(set(said)) == len(OPERATIONS)
    assert "{" not in "".join(said)


def test_the_walk_says_where_it_would_divide_by_nothing():
    values, _ = read(ONE_BATCH_CONTROLS, {"scene": "steps", "operation": "divide", "batch_size": 1, "eps": 0})
    assert "0/0, which is undefined (bnlib returns 0)" in picture(values)[0]["text"]


def test_operations_are_those_of_the_walk():
    told = STORY["steps"]
    assert (told["start"]["operation"], told["reveal"]["operation"]) == (OPERATIONS[0], OPERATIONS[-1])
