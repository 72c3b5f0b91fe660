"""The lab's scenes: links that restore their race, questions that keep their answer, and claims that hold."""

import re
from urllib.parse import parse_qsl

import numpy as np
import pytest

from bnlib import advance, start
from book.controls import read
from book.predictions import answer
from book.race import settings as lab
from book.race.asking import is_open, scene_in, scene_of
from book.race.lanes import lane_names
from book.race.runs import VALIDATE_EVERY, lane_configs
from book.race.scenes import GROUPS, OPENING, SCENES
from book.race.settings import DEFAULTS, LAB_CONTROLS, LAB_STEPS
from book.race.verdict import LEVEL, numbers
from tests.book.race.raced import configs, frames, judged, measured, settings

LEADERS = {
    "opening": LEVEL, "shallow": LEVEL, "fast": 3, "accuracy": 1, "deep": 1, "large": 1, "flow": 1,
    "shift": 1, "noise": 2, "pairs": 0, "images": 1, "one": 1, "recurrent": 0, "late": 0, "mend": 3,
    "ring": 1, "relu": LEVEL, "sigmoid": 1, "eps": 0, "gamma": 0,
}  # fmt: skip
# Other shapes of dense networks.
SHAPES = {"half the width": ("width", lambda w: w // 2), "two layers more": ("depth", lambda d: d + 2)}
DENSE = [name for name in LEADERS if settings(name)["network"] == "mlp"]


def told(name):
    """What is said of a scene with the seeds that the lab shows, and with others."""
    one = SCENES[name]
    return [
        answer(one.scene, {}, {"step": one.until}, found) for found in measured(settings(name), one.until)
    ]


# --- links and questions --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_a_link_that_reads_back(name):
    offered = next(one for one in lab.scenes() if one["name"] == name)
    values, problems = read(LAB_CONTROLS, dict(parse_qsl(offered["address"][1:], strict_parsing=True)))
    assert problems == [] and values == settings(name, preset=name, step=0)
    assert read(LAB_CONTROLS, offered["values"]) == (values, [])
    assert scene_of(values) == name and is_open(values) and scene_in(values) is SCENES[name]
    assert not any(is_open(values | {"guess": guess}) for guess in (-3, -1, 0, 1)), "answered, or skipped"


@pytest.mark.parametrize("name", SCENES)
def test_a_race_that_was_changed_is_no_scene(name):
    values = settings(name, preset=name)
    for change in ({"seed": 7}, {"lanes": values["lanes"][:1]}, {"edits": ((50, "eps", 0.5),)}):
        assert scene_of(values | change) == "" and not is_open(values | change)
    assert scene_of(values | {"loss": "validation", "speed": 120, "step": 40}) == name, "another way to look"


def test_an_address_that_asks_for_nothing_is_the_opening_scene():
    assert SCENES[OPENING].scene.start == {} and next(iter(SCENES)) == OPENING
    assert scene_of(DEFAULTS) == OPENING and is_open(DEFAULTS)
    for asked in ({"step": 0}, {"experiment": "E8"}, {"lr": 0.2}):
        assert scene_of(DEFAULTS | asked) == ""


def test_scenes_differ_and_are_judged_within_the_lab():
    assert set(LEADERS) == set(SCENES) and all(name == one.scene.name for name, one in SCENES.items())
    assert len({tuple(lane_configs(settings(name))) for name in SCENES}) == len(SCENES)
    titles = [one.scene.title for one in SCENES.values()]
    assert len(set(titles)) == len(titles)
    groups = [one.group for one in SCENES.values()]
    assert sorted(groups, key=GROUPS.index) == groups and set(groups) == set(GROUPS)
    for one in SCENES.values():
        assert 0 < one.until <= LAB_STEPS and one.until % VALIDATE_EVERY == 0
        assert one.read and one.scene.task and one.scene.but and one.scene.because
    assert not any("seed" in one.scene.start for one in SCENES.values())
    assert {settings(name)["replicas"] for name in SCENES} == {4, 8}


def test_links_to_races_lead_to_scenes():
    addresses = [address for one in SCENES.values() for _, address in one.read]
    presets = {found[1] for address in addresses if (found := re.search(r"preset=(\w+)", address))}
    assert presets and presets <= set(SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_choices_cover_whatever_can_come_out(name):
    choices, lanes = SCENES[name].scene.choices, settings(name)["lanes"]
    assert [choice.value for choice in choices] == [*range(len(lanes)), LEVEL]
    labels = [choice.label for choice in choices]
    assert labels[:-1] == lane_names(settings(name)) and labels[-1] == "no clear lead"
    assert len(set(labels)) == len(labels)


TELLING = (
    r"\b(fail|diverg|vanish|explod|satur|dead|stuck|hurt|help|better|worse|mend|repair|trap|noisy|"
    r"too (small|large|high|low)|because|since|therefore|smooth|disadvantage|wins?\b|won\b|ahead|behind)"
)


@pytest.mark.parametrize("name", SCENES)
def test_a_question_gives_nothing_away(name):
    scene = SCENES[name].scene
    before = " ".join([scene.title, scene.question, *(choice.label for choice in scene.choices)])
    assert not re.search(TELLING, before, re.IGNORECASE)
    assert "{" not in before
    for found in told(name):
        results = re.findall(r"\d+\.\d%", found.said)
        assert results and not any(result.rstrip("%") in before for result in results)


# --- what they show -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_seeds_that_nobody_chose_lead_to_the_same_answer(name):
    found = measured(settings(name), SCENES[name].until)
    assert [numbers["leader"] for numbers in found] == [LEADERS[name]] * 2
    labels = [choice.value for choice in SCENES[name].scene.choices]
    assert {labels[one.right] for one in told(name)} == {LEADERS[name]}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DENSE)
def test_networks_of_another_shape_lead_to_the_same_answer(name, shape):
    """On fresh seeds, eight of them."""
    setting, change = SHAPES[shape]
    values, until = settings(name), SCENES[name].until
    other = judged(values | {setting: change(values[setting])}, until, every=until, fresh=True, many=8)
    assert other["leader"] == LEADERS[name], other


@pytest.mark.parametrize("name", SCENES)
def test_what_is_said_has_all_its_numbers(name):
    for one in told(name):
        for text in (one.said, one.because, one.but):
            assert text and not re.search(r"\bnan\b|not a number|[{}]|∞", text)


@pytest.mark.parametrize("name", SCENES)
def test_numbers_the_other_way_round_are_told_the_other_way_round(name):
    one, values = SCENES[name], settings(name)
    names, lanes = lane_names(values), configs(values, one.until, 1, fresh=False)
    found = [frames(config, one.until) for config in lanes]
    leader = LEADERS[name]
    if leader == LEVEL:  # one lane learns nothing
        found[0] = found[0] | {"val_accuracy": np.full_like(found[0]["val_accuracy"], 0.1)}
        expected = 1
    else:
        expected = (leader + 1) % len(names)
        found[leader], found[expected] = found[expected], found[leader]
    turned = answer(one.scene, {}, {}, numbers(names, lanes, found, one.until))
    assert one.scene.choices[turned.right].value == expected
    assert turned.said != told(name)[0].said


def test_the_lab_records_the_same_numbers():
    one, values = SCENES["late"], settings("late")
    configs = lane_configs(values)
    runs = [advance(start(config), one.until + 1).history for config in configs]
    found = numbers(lane_names(values), configs, runs, one.until)
    few = measured(values, one.until)[0]
    assert found.keys() == few.keys()
    assert all(found[key] == pytest.approx(few[key], rel=1e-5) for key in found)


def highest(found, what):
    """The largest number of the first two lanes."""
    return max(found[f"{what}_0"], found[f"{what}_1"])


# What the reasons say of the numbers at the judged step.
REASONS = {
    "opening": lambda n: max(n["shrink_0"], n["shrink_1"]) < 1 and highest(n, "train_loss") < 0.2,
    "shallow": lambda n: highest(n, "train_loss") < 0.05,
    "fast": lambda n: (
        n["train_loss_2"] > 1.2 and n["train_loss_3"] < 0.2 and n["lead"] > 3
        and 0 < n["accuracy_1"] - n["accuracy_0"] < 6
        and n["dead_2"] > n["dead_0"] + 5 > 5 and n["dead_3"] < 0.5
    ),
    "accuracy": lambda n: (
        highest(n, "train_loss") < 0.1 and n["val_loss_1"] < n["val_loss_0"] and 1 < n["lead_low"] < 4
    ),
    "deep": lambda n: n["shrink_0"] > 100 and n["spread_0"] < 0.05 < 0.5 < n["spread_1"] and n["lead"] > 50,
    "large": lambda n: np.isnan(n["accuracy_0"]) and n["lost_1"] == 0 and 0.4 < n["spread_1"] < 0.8,
    "flow": lambda n: n["shrink_0"] > 1000 and n["shrink_1"] < 1 and n["lead"] > 50,
    "shift": lambda n: n["train_loss_1"] < 0.6 * n["train_loss_0"] and n["lead"] > 5,
    "noise": lambda n: (
        n["train_loss_2"] > 2 * max(n["train_loss_0"], n["train_loss_1"]) and n["lead"] > 10
        and n["accuracy_1"] - n["accuracy_0"] < 1 and n["train_loss_1"] < n["train_loss_0"] / 2
    ),
    "pairs": lambda n: n["update_1"] < n["update_0"] - 1.5 and n["update_1"] < -3.5 and n["lead"] > 20,
    "images": lambda n: (
        0.1 < n["shrink_1"] < 10 and n["accuracy_1"] - n["batch_accuracy_1"] > 15
        and n["batch_accuracy_1"] > 40
    ),
    "one": lambda n: abs(n["train_loss_2"] - np.log(10)) < 0.4 and n["accuracy_0"] > 50 and n["high_2"] < 25,
    "recurrent": lambda n: n["train_loss_1"] > 1.5 * n["train_loss_0"] and n["lead"] > 5,
    "late": lambda n: (
        n["train_loss_0"] == n["train_loss_1"] and n["batch_accuracy_0"] == n["batch_accuracy_1"]
        and n["batch_accuracy_1"] - n["accuracy_1"] > 15
    ),
    "mend": lambda n: (
        n["accuracy_0"] + 10 < n["accuracy_2"] < n["accuracy_1"] < n["accuracy_3"] - 10
    ),
    "ring": lambda n: (
        n["batch_accuracy_1"] > n["batch_accuracy_0"] + 15 and n["accuracy_0"] < 20 < n["accuracy_1"]
    ),
    "relu": lambda n: highest(n, "train_loss") < 0.3,
    "sigmoid": lambda n: n["spread_0"] < 0.3 and n["train_loss_1"] < n["train_loss_0"] / 2 and n["lead"] > 4,
    "eps": lambda n: n["spread_1"] < n["spread_0"] / 5 and n["lead"] > 50,
    "gamma": lambda n: n["dead_1"] > 15 > 3 > n["dead_0"] and n["lead"] > 4,
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_reasons_hold_on_other_seeds_too(name):
    for found in measured(settings(name), SCENES[name].until):
        assert REASONS[name](found), found
