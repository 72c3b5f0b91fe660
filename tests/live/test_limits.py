"""What one machine shows: all that is in the house, and of what is too heavy something lighter, in words."""

import itertools
import json
import re
from math import prod

import pytest
from hypothesis import given, settings

from bnlib import RunConfig
from bnlib.jobs.forecast import forecast
from book.controls import read, write
from book.race.evidence import RACES
from book.race.evidence import settings_of as settings_of_race
from book.race.lanes import ghost_of, lane_configs
from book.race.scenes import SCENES
from book.race.settings import DEFAULTS, LAB_CONTROLS, RUN_CONTROLS, STARTS
from book.registry import chapters
from live.limits import HEAVY, LONGEST_STEP, MOST_MEMORY, fits, heavy, refusal
from live.session import runs_of
from tests.live.drawn import settings_of

FOUR = (("none", ()), ("batch", ()), ("layer", ()), ("group", ()))
HOSTILE = {"lanes": FOUR, "network": "cnn", "depth": 20, "width": 128, "batch_size": 640, "replicas": 8}


def lab(**values):
    return DEFAULTS | values


def shown(values):
    """Whether a race and its ghost are shown."""
    ghost = ghost_of(values)
    return refusal(values) is None and all(map(fits, lane_configs(ghost) if ghost else []))


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_is_shown(name):
    assert shown(lab(**SCENES[name].scene.start))


@pytest.mark.parametrize("race", RACES, ids=str)
def test_every_race_of_an_experiment_is_shown(race):
    assert shown(settings_of_race(RACES[race][1]))


@pytest.mark.parametrize("network", ["mlp", *STARTS])
def test_every_mark_of_every_slider_is_shown_where_a_network_starts(network):
    start = lab(**STARTS.get(network, {}), network=network, lanes=FOUR)
    for control in RUN_CONTROLS:
        if control.name != "network":
            for value in control.stops or control.choices:
                assert shown(start | {control.name: value}), (control.name, value)


def ends(control):
    """The extremes of a setting, and its default."""
    if control.choices:
        return set(control.choices)
    return {control.default, *control.stops[:1], *control.stops[-1:], *((control.low, control.high))}


def test_every_run_of_every_chapter_is_shown_at_the_extremes_of_its_settings():
    counted = 0
    for chapter in chapters().values():
        if chapter.runs is None:
            continue
        plain = {control.name: control.default for control in chapter.table} | {"narrow": False}
        ranges = {c.name: ends(c) for c in chapter.controls if c.kind not in ("points", "step", "next")}
        if prod(map(len, ranges.values())) <= 5000:
            states = [
                dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values())
            ]
        else:  # two at a time
            pairs = itertools.combinations(ranges, 2)
            states = [{a: x, b: y} for a, b in pairs for x in ranges[a] for y in ranges[b]]
        for state in states:
            for config in runs_of(chapter, plain | state).values():
                counted += 1
                assert fits(config), (chapter.name, state)
    assert counted > 100


def test_light_work_is_light_and_heavy_work_heavy():
    light, wide = lane_configs(lab())[1], lane_configs(lab(network="cnn", depth=10, width=128))[1]
    assert not heavy(light) and heavy(wide)
    assert forecast(light).longest < HEAVY < forecast(wide).longest


def test_a_race_beyond_the_machine_is_refused_in_words():
    values = lab(**HOSTILE)
    assert not any(map(fits, lane_configs(values)))
    found = refusal(values)
    expected = r"8 seeds of this network take about \d+ s and [\d.]+ GiB of memory a step; the limit is "
    expected += r"1 s and 0\.75 GiB\. 1 seed would take about [\d.]+ s and [\d.]+ GiB of memory\. "
    assert re.fullmatch(expected + r"Use fewer seeds(, .+)? or .+\.", found.text), found.text
    assert found.fix["replicas"] == 1 and found.label.startswith("1 seed, batches of ")
    assert refusal(values | found.fix) is None
    # What was said of the longest step and of memory is what is forecast.
    longest = max(forecast(config).longest for config in lane_configs(values))
    assert abs(float(re.search(r"about (\d+) s", found.text)[1]) / longest - 1) < 0.11


def test_fewer_seeds_come_first_and_as_many_are_left_as_fit():
    values = lab(**HOSTILE | {"batch_size": 32, "depth": 8})
    found = refusal(values)
    seeds = found.fix["replicas"]
    assert found.fix.keys() == {"replicas"} and 1 < seeds < 8 and found.label == f"{seeds} seeds"
    assert f". {seeds} seeds would take about " in found.text and found.text.endswith(" Use fewer seeds.")
    assert refusal(values | found.fix) is None
    assert refusal(values | {"replicas": seeds + 1}) is not None


def test_no_more_is_given_up_than_has_to_be():
    """With the next larger value of any setting that gave way, the race is refused again."""
    stops = {control.name: control.stops for control in RUN_CONTROLS}
    for network in ("cnn", "rnn"):
        values = lab(**HOSTILE | {"network": network})
        fixed = values | refusal(values).fix
        for name in {"replicas", "batch_size", "width", "depth"} & refusal(values).fix.keys():
            larger = min(stop for stop in stops[name] if stop > fixed[name])
            assert refusal(fixed | {name: larger}) is not None, (network, name)


def test_what_does_not_help_is_left():
    """Batch renorm that has batches of one validates one sample at a time, however few seeds there are."""
    values = lab(network="cnn", depth=20, width=128, batch_size=1, replicas=1, lanes=(("renorm", ()),))
    found = refusal(values)
    assert found.text.startswith("1 seed of this network takes about ")
    assert "seeds" not in found.text and "batch_size" not in found.fix and "replicas" not in found.fix
    assert found.fix["width"] < 128 and f"width {found.fix['width']}" in found.label
    assert refusal(values | found.fix) is None


def test_memory_alone_can_be_the_reason():
    values = lab(network="rnn", depth=7, width=128, batch_size=640, replicas=4, lanes=(("group", ()),))
    (config,) = lane_configs(values)
    assert forecast(config).longest < LONGEST_STEP and forecast(config).memory > MOST_MEMORY
    found = refusal(values)
    assert re.match(
        r"4 seeds of this network take about [\d.]+ GiB of memory a step; the limit is 0\.75 GiB", found.text
    )
    assert " s " not in found.text.replace("seeds ", "") and refusal(values | found.fix) is None


def test_only_the_lanes_that_are_too_heavy_are_named():
    wide = (("depth", 20), ("width", 128))
    values = lab(network="cnn", depth=3, width=16, lanes=(("none", ()), ("batch", wide)))
    found = refusal(values)
    assert found.text.startswith("Batch norm (depth 20, width 128): 4 seeds of this network take ")
    assert refusal(values | found.fix) is None


def test_a_lane_keeps_what_differs_as_far_as_it_can():
    own = (("batch", (("batch_size", 640),)), ("batch", ()))
    values = lab(network="cnn", depth=20, width=64, batch_size=32, replicas=1, lanes=own)
    found = refusal(values)
    assert found.fix.keys() == {"lanes"}
    ((_, ((_, size),)), other) = found.fix["lanes"]
    assert 32 <= size < 640 and other == ("batch", ()) and found.label == f"batches of {size}"
    assert refusal(values | found.fix) is None


def test_lanes_that_become_alike_are_one():
    large = (("batch", (("batch_size", 639),)), ("batch", (("batch_size", 640),)))
    values = lab(network="cnn", depth=20, replicas=8, lanes=large)
    found = refusal(values)
    assert len(found.fix["lanes"]) == 1
    assert read(LAB_CONTROLS, write(LAB_CONTROLS, values | found.fix))[1] == []


def test_lanes_with_long_names_are_counted():
    own = tuple(
        (norm, (("batch_size", 640), ("init_scale", 0.123456), ("weight_decay", 0.0123456)))
        for norm in ("batch", "layer", "group")
    )
    values = lab(network="cnn", depth=20, width=64, batch_size=1, replicas=1, lanes=(*own, ("none", ())))
    found = refusal(values)
    assert (
        found.text.startswith("3 of 4 lanes: 1 seed of this network takes about ") and len(found.text) < 300
    )


def test_a_larger_batch_in_mid_run_counts():
    edits = ((50, "lr", 0.5), (100, "batch_size", 640))
    values = lab(network="cnn", depth=20, width=100, batch_size=8, replicas=1, lanes=(("layer", ()),))
    assert refusal(values) is None
    found = refusal(values | {"edits": edits})
    ((_, _, lr), (_, _, size)) = found.fix["edits"]
    assert found.fix.keys() == {"edits"} and lr == 0.5 and 8 < size < 640
    assert found.label == f"batches of {size}"
    assert refusal(values | found.fix) is None


@settings(max_examples=300, deadline=None)
@given(settings_of(LAB_CONTROLS))
def test_a_fix_is_legal_and_never_refused(values):
    found = refusal(values)
    if found is None:
        assert all(map(fits, lane_configs(values)))
        return
    fixed = values | found.fix
    assert refusal(fixed) is None and found.label
    assert all(values[name] != value for name, value in found.fix.items())
    assert found.fix.keys() <= {"replicas", "batch_size", "width", "depth", "lanes", "edits"}
    assert read(LAB_CONTROLS, write(LAB_CONTROLS, fixed)) == (fixed, [])
    assert read(LAB_CONTROLS, json.loads(json.dumps(fixed))) == (fixed, [])  # as the page sends it
    assert found.text.isprintable() and len(found.text) < 400


def test_the_heaviest_settings_of_all_have_a_fix():
    """Whatever the norm, the network and what goes with it."""
    for norm, network in itertools.product(
        [lane[0] for lane in FOUR] + ["renorm", "frn"], ["cnn", "rnn", "gan"]
    ):
        for size, iterations in ((1, 20), (640, 1)):
            values = lab(**HOSTILE | {"network": network, "batch_size": size, "lanes": ((norm, ()),)})
            values |= {"iterations": iterations, "weight_norm": "spectral", "optimizer": "adamw"}
            found = refusal(values)
            if found:
                assert refusal(values | found.fix) is None


def test_a_run_config_by_itself_is_judged_as_well():
    assert fits(RunConfig()) and not fits(RunConfig(width=4096, depth=100, replicas=256))
