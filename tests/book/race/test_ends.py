"""Every scene and every experiment's race ends in a reason, which fits its numbers and turns with them."""

import math
import re
from functools import cache

import pytest

from bnlib import NORMS
from book.race.evidence import RACES, settings_of
from book.race.lanes import lane_names
from book.race.reasons import reasons
from book.race.runs import lane_configs
from book.race.scenes import SCENES
from book.race.settings import DEFAULTS
from book.race.verdict import LEVEL, numbers, verdict
from book.words import brief
from tests.book.race.raced import seldom, whole
from tests.book.race.sentences import Measured, amount, claims, leads_somewhere, legible, marked, unfounded
from tests.once import once

SEEDS, STEPS = 4, 400  # of an experiment's race: more seeds, and two thousand steps, cost more than they show
MOST_WORDS = 65
LABELS = {"no norm", *(norm.label for norm in NORMS.values())}
CHANCE = {"E7.1", "E24.1", "E25.1"}  # differences whose sign hangs on the seeds
# What each race shows, in words of its reason.
ABOUT = {
    "opening": "gradient reaches the first layer", "shallow": "gradient reaches the first layer",
    "fast": "diverged at step", "accuracy": "the difference is on other data", "deep": "times He’s size",
    "large": "diverged at step", "flow": "slope is at most ¼", "shift": "an update is",
    "noise": "labels are wrong",
    "pairs": "two numbers share a mean", "images": "8 × 8 = 128 numbers", "one": "which is its own mean",
    "recurrent": "each time step has its own", "late": "the averages’ start",
    "mend": "two numbers share a mean", "ring": "normalized apart",
    "relu": "gradient reaches the first layer", "sigmoid": "the norm makes their mean 0",
    "eps": "ε of 1 is added", "gamma": "γ of 0.05",
    "E5.1": "slope is at most ¼", "E5.2": "gradient reaches the first layer", "E6.1": "inputs unsteady",
    "E7.1": "may be chance", "E7.2": "an update is", "E8.1": "diverged", "E8.2": "diverged",
    "E11.1": "two numbers share a mean", "E12.1": "has learned from", "E13.1": "the averages’ start",
    "E14.1": "of nearly one class", "E17.1": "labels are wrong", "E19.1": "times He’s size",
    "E19.2": "no update is made", "E20.1": "which is its own mean", "E22.1": "learned about as much",
    "E22.2": "two numbers share a mean", "E23.1": "8 × 8 = 128 numbers", "E24.1": "may be chance",
    "E25.1": "may be chance", "E25.2": "an update is", "E29.1": "two numbers share a mean",
}  # fmt: skip


def setups():
    """By name the settings of every race, and the step up to which it is run."""
    found = {name: (DEFAULTS | one.scene.start, one.until) for name, one in SCENES.items()}
    for (name, number), (_, race) in RACES.items():
        values = settings_of(race)
        fewer = {"replicas": min(SEEDS, values["replicas"])}
        found[f"{name}.{number}"] = values | fewer, min(race.steps, STEPS)
    return found


SETUPS = setups()


@cache
def race(name):
    """The names, configurations and frames of a race's lanes, and the step."""
    values, step = SETUPS[name]
    configs = lane_configs(values)
    return lane_names(values), configs, [once(whole, seldom(config, step), step) for config in configs], step


def turned(name):
    """The same race with the frames of each lane given to the one before it."""
    names, configs, frames, step = race(name)
    assert len({config.depth for config in configs}) == 1, "frames can be exchanged"
    return names, configs, [*frames[1:], frames[0]], step


def test_each_race_is_listed_with_what_it_shows():
    assert set(ABOUT) == set(SETUPS)


def first_sentence(names, because):
    return re.split(r"(?<=[.]) ", marked(names, because))[0]


@pytest.mark.parametrize("name", SETUPS)
def test_a_race_ends_in_a_reason_that_can_be_read(name):
    found, said = reasons(*race(name)), verdict(*race(name))
    legible(found)
    assert found.change and found.read, "what would change it, and where to read on"
    assert len(found.because.split()) <= MOST_WORDS
    assert len(re.findall(r"\. [A-Z]", said.text)) <= 2 and not re.search(r"nan|inf\b|∞|  ", said.text)
    for _, address in (*found.read, *(SCENES[name].read if name in SCENES else ())):
        assert leads_somewhere(address), address
    assert ABOUT[name] in found.because and "no single cause" not in found.because
    assert "may be chance" not in found.because or name in CHANCE


@pytest.mark.parametrize("name", SETUPS)
def test_numbers_in_a_reason_are_those_of_the_run(name):
    names, configs, frames, step = race(name)
    lanes = [Measured(config, frame, step) for config, frame in zip(configs, frames, strict=True)]
    assert unfounded(names, lanes, reasons(names, configs, frames, step).because) == []
    text = marked(names, verdict(names, configs, frames, step).text)
    listed = re.findall(r"«(\d)» (\d+\.\d)% \((\d+\.\d)–(\d+\.\d)\)", text.split(". ")[0])
    assert len(listed) == sum(lane.alive.sum() > 1 for lane in lanes)
    for number, *shown in listed:
        assert [float(part) for part in shown] == pytest.approx(lanes[int(number)].accuracies[:3], abs=0.0501)


def test_a_wrong_number_in_a_reason_would_be_found():
    """A third more in one number, in every place in turn."""
    seen = missed = 0
    for name in SETUPS:
        names, configs, frames, step = race(name)
        because = reasons(names, configs, frames, step).because
        lanes = [Measured(config, frame, step) for config, frame in zip(configs, frames, strict=True)]
        for text in {one.text for one in claims(names, because) if amount(one.text)}:
            place = rf"(?<![\d.,]){re.escape(text)}(?!\d|[,.]\d)"
            seen += 1
            missed += not unfounded(names, lanes, re.sub(place, brief(1.37 * amount(text)), because))
    assert seen > 150 and missed < 0.05 * seen, (seen, missed)


@pytest.mark.parametrize("name", SETUPS)
def test_lanes_that_are_named_are_there_and_the_leader_leads(name):
    for names, configs, frames, step in (race(name), turned(name)):
        found, said = reasons(names, configs, frames, step), verdict(names, configs, frames, step)
        measured = numbers(names, configs, frames, step)
        for text in (found.because, said.text):
            rest = re.sub("«.»", "", marked(names, text)).lower()
            assert not [label for label in LABELS if re.search(rf"\b{re.escape(label.lower())}\b", rest)], (
                rest
            )
        assert said.leader == measured["leader"]
        ahead = re.search(r"«(\d)» is (\d+\.\d) points ahead of «(\d)»", marked(names, said.text))
        ranked = [one for one in measured if one.startswith("accuracy") and not math.isnan(measured[one])]
        assert bool(ahead) == (said.leader != LEVEL and len(ranked) > 1)
        if ahead:
            assert int(ahead[1]) == said.leader and float(ahead[2]) == measured["lead"] > 0
            behind = measured[f"accuracy_{said.leader}"] - measured[f"accuracy_{ahead[3]}"]
            assert behind == pytest.approx(measured["lead"])
        blamed = re.match(r"With «(\d)»|.*slower with «(\d)»", first_sentence(names, found.because))
        assert not blamed or int(blamed[1] or blamed[2]) != said.leader, "the leader has done nothing wrong"


@pytest.mark.parametrize("name", SETUPS)
def test_numbers_turned_round_change_the_reason(name):
    names, *rest = race(name)
    before, after = reasons(names, *rest), reasons(*turned(name))
    leaders = [verdict(*each).leader for each in (race(name), turned(name))]
    expected = LEVEL if leaders[0] == LEVEL else (leaders[0] - 1) % len(names)
    assert leaders[1] == expected
    assert before.because != after.because
    if leaders[0] != LEVEL:
        masked = [re.sub(r"(?<!«)\d[\d.,]*", "#", marked(names, each.because)) for each in (before, after)]
        assert masked[0] != masked[1], "the same said of the same lanes"
    legible(after)
