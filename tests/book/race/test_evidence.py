"""The experiments' races in the lab: the very configurations, and links to them that hold."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import pytest

from bnlib import RunConfig
from bnlib.experiments import EXPERIMENTS, Race
from book.race.asking import is_open, scene_of
from book.race.evidence import RACES, Link, address_of, listed, open_link, race_address, settings_of
from book.race.lanes import instead, lane_configs, lane_names
from book.race.scenes import SCENES
from book.race.settings import DEFAULTS, LAB_CONTROLS, LAB_STEPS, MAX_LANES, MAX_RACES
from live.messages import CONTROLS, LAB, follow, read, write

IDS = [f"{name}-{number}" for name, number in RACES]


@pytest.fixture(params=RACES, ids=IDS)
def place(request):
    """An experiment's name and the number of its race."""
    return request.param


def shown(config):
    """A configuration as the lab shows it: each step recorded."""
    return replace(config, record_every=1, validate_every=5)


# --- the very configurations ----------------------------------------------------------------------------


def test_every_race_of_every_experiment_is_here():
    races = {name: e.races() for name, e in EXPERIMENTS.items() if not isinstance(e.races, str)}
    assert [(name, number + 1) for name in races for number in range(len(races[name]))] == list(RACES)
    assert len(RACES) >= 15 and all(len(races[name]) <= MAX_RACES for name in races)
    (control,) = (control for control in LAB_CONTROLS if control.name == "experiment")
    assert list(control.choices) == ["", *races]


def test_the_lab_runs_the_experiments_configurations(place):
    race = RACES[place][1]
    values = settings_of(race)
    assert lane_configs(values) == [shown(config) for config in race.configs]
    assert 1 <= len(values["lanes"]) <= MAX_LANES
    assert 0 < values["step"] == race.steps <= LAB_STEPS, "the effect is on the screen"
    assert values["replicas"] == race.configs[0].replicas and values["preset"] == ""


def test_lanes_say_what_they_differ_in_and_no_more(place):
    """Without one of a lane's own settings it would be another run."""
    values = settings_of(RACES[place][1])
    configs = lane_configs(values)
    for number, (norm, own) in enumerate(values["lanes"]):
        for pair in own:
            fewer = (norm, tuple(kept for kept in own if kept != pair))
            lanes = [fewer if i == number else lane for i, lane in enumerate(values["lanes"])]
            assert lane_configs(values | {"lanes": tuple(lanes)})[number] != configs[number]
    assert len(set(lane_names(values))) == len(configs)
    assert not any("→" in name for name in lane_names(values))
    assert instead(values) == [], "nothing gives way"


def test_a_setting_that_the_lab_lacks_would_be_noticed():
    race = RACES["E7", 1][1]
    for change in ({"residual": "pre"}, {"learn_affine": False}, {"dtype": "float64"}, {"rest_lr": 0.1}):
        configs = tuple(replace(config, **change) for config in race.configs)
        assert lane_configs(settings_of(replace(race, configs=configs))) != [shown(c) for c in configs]


# --- links ----------------------------------------------------------------------------------------------


def test_a_link_is_spelled_out_and_reads_back(place):
    name, number = place
    values = settings_of(RACES[place][1]) | {"experiment": name, "race": number}
    for query in (
        {"experiment": name, "race": str(number)},
        {"experiment": f" {name.lower()} ", "race": str(number)},
    ):
        link = open_link(query)
        assert link == Link(address_of(name, number), opens=True)
    through_an_address = dict(parse_qsl(urlencode(link.address), strict_parsing=True))
    assert read(LAB_CONTROLS, through_an_address) == (values, [])
    assert write(LAB_CONTROLS, values) == link.address and "step" in link.address
    assert open_link(link.address) == Link(link.address), "spelled out, it stays as it is"


def test_the_first_race_is_meant_where_none_is_named():
    assert open_link({"experiment": "E8"}) == open_link({"experiment": "e8", "race": "1"})
    assert open_link({"experiment": "E8"}).address != open_link({"experiment": "E8", "race": "2"}).address


@pytest.mark.parametrize("name", [n for n, e in EXPERIMENTS.items() if isinstance(e.races, str)])
def test_an_experiment_without_races_says_why(name):
    link = open_link({"experiment": name.lower()})
    assert (link.address, link.problems, link.opens) == ({}, [], False)
    assert EXPERIMENTS[name].title in link.note and EXPERIMENTS[name].races in link.note


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"experiment": "E99"}, "experiment=E99 is none of E5, E6, "),
        ({"experiment": "", "race": "2"}, "experiment= is none of"),
        ({"experiment": "E1\u202e" + "9" * 10_000}, "experiment=E1 999"),
        ({"experiment": "E8", "race": "3"}, "race=3 is no race of experiment E8: it has 1, 2"),
        ({"experiment": "e11", "race": "2"}, "race=2 is no race of experiment E11: it has one, number 1"),
        ({"experiment": "E8", "race": "0"}, "race=0 is no race"),
        ({"experiment": "E8", "race": "-1"}, "race=-1 is no race"),
        ({"experiment": "E8", "race": "1.0"}, "race=1.0 is no race"),
        ({"experiment": "E8", "race": "9" * 10_000}, "race=999"),
        ({"experiment": "E8", "race": ""}, "race= is no race"),
    ],
)
def test_a_link_to_nothing_leads_to_the_lab_and_says_so(query, words):
    link = open_link(query)
    assert (link.address, link.note, link.opens) == ({}, "", False)
    (problem,) = link.problems
    assert words in problem and len(problem) < 250 and problem.isprintable()
    assert problem.endswith("the lab as it starts is shown")


def test_an_unknown_experiment_is_told_those_that_have_races():
    (problem,) = open_link({"experiment": "E99"}).problems
    named = problem.partition(" is none of ")[2].partition(";")[0].split(", ")
    assert named == [name for name, e in EXPERIMENTS.items() if not isinstance(e.races, str)]


@pytest.mark.parametrize("nothing", ["", " "])
def test_an_empty_link_asks_for_nothing(nothing):
    assert open_link({"experiment": nothing}) == Link({})
    assert open_link({"experiment": nothing, "race": "1"}).problems


@pytest.mark.parametrize("query", [{}, {"race": "2"}, {"lr": "1"}, {"experiment": "E8", "depth": "3"}])
def test_other_addresses_stay_as_they_are(query):
    assert open_link(query) == Link(query)


def test_only_the_lab_has_links_to_experiments():
    query = {"experiment": "E8"}
    assert follow("lab", query).opens
    assert all(follow(picture, query) == Link(query) for picture in CONTROLS if picture != "lab")


# --- what the page is told ------------------------------------------------------------------------------


def test_the_page_is_told_what_each_race_is():
    told = LAB["experiments"]
    assert told == listed() and len(told) == len(RACES)
    for entry, ((name, number), (experiment, race)) in zip(told, RACES.items(), strict=True):
        expected = settings_of(race) | {"experiment": name, "race": number}
        assert DEFAULTS | entry["values"] == expected
        assert read(LAB_CONTROLS, json.loads(json.dumps(DEFAULTS | entry["values"]))) == (expected, [])
        assert entry["experiment"] == f"{name} {experiment.title}" and entry["race"] == race.title
    (heading,) = (
        e["heading"] for e in told if e["values"]["experiment"] == "E8" and e["values"].get("race") == 2
    )
    title = EXPERIMENTS["E8"].title
    assert heading == f"E8, {title}. Depth 20: learning rate 0.01 and 1.0, judged at step 300."


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_has_a_short_link(name):
    link = open_link({"preset": name})
    values, problems = read(LAB_CONTROLS, link.address)
    assert scene_of(values) == name and is_open(values) and not problems
    answered = open_link({"preset": name, "guess": "0", "step": "40"})
    values, _ = read(LAB_CONTROLS, answered.address)
    assert (scene_of(values), values["guess"], values["step"]) == (name, 0, 40)
    assert not open_link(answered.address).opens  # it is spelled out already


def test_a_link_to_no_scene_says_which_there_are():
    link = open_link({"preset": "deeep"})
    assert link.address == {} and "preset=deeep is none of opening, " in link.problems[0]


@pytest.mark.parametrize(
    "changes", [{"depth": 40}, {"seed": 80_000}, {"residual": "pre"}, {"lr": 0.1, "rest_lr": 0.2}], ids=str
)
def test_a_race_that_the_lab_cannot_show_has_no_address(changes):
    plain = RunConfig(norm="none", replicas=8, dtype="float64", record_every=10)
    assert race_address(Race("two", (plain, replace(plain, norm="batch")), 60)) is not None
    assert race_address(Race("two", (plain, replace(plain, norm="batch", **changes)), 60)) is None
