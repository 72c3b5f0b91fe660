"""The training lab's settings, and the training runs that they stand for."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given

from bnlib import advance, start
from bnlib.config import EDITABLE, FIELDS
from bnlib.data import PLANE, TRAIN_SIZES
from live.lab import (
    DEFAULTS,
    EDIT_FIELDS,
    LAB_CONTROLS,
    LAB_STEPS,
    LANE_FIELDS,
    MAX_EDITS,
    MAX_LANES,
    RUN_CONTROLS,
    SHARED,
    extras,
    ghost_of,
    lane_configs,
    lane_names,
    notes,
    possible,
)
from live.lab import settings as in_words
from live.messages import MAX_MESSAGE, read, write
from tests.live.drawn import RUN, addresses_of, broken_settings, lanes

GIVING_WAY = {"train_samples", "batch_size", "norm_batch", "batch_order", "inputs"}
SMALL = {"dataset": "blobs", "depth": 2, "width": 8, "batch_size": 8, "replicas": 2}


def settings(**chosen):
    """The lab's settings with some chosen, which must all be right."""
    values, problems = read(LAB_CONTROLS, chosen)
    assert problems == []
    return values


# --- one truth with RunConfig ---------------------------------------------------------------------------


def test_what_isnt_of_the_run_is_of_the_page():
    of_the_page = [control.name for control in LAB_CONTROLS if control not in RUN_CONTROLS]
    assert of_the_page == [
        "lanes", "edits", "change", "before", "ghost", "histogram", "loss", "layer", "preset", "guess",
        "experiment", "race", "speed", "step",
    ]  # fmt: skip


@pytest.mark.parametrize("control", RUN_CONTROLS, ids=lambda control: control.name)
def test_a_control_offers_only_what_a_run_takes(control):
    rule = FIELDS[control.name].metadata
    if control.kind == "choice":
        assert set(control.choices) <= set(rule["choices"])
        return
    ends = rule["low"], control.low, min(control.stops), max(control.stops), control.high, rule["high"]
    assert list(ends) == sorted(ends)
    assert FIELDS[control.name].type == ("int" if control.kind == "whole" else "float")


def test_what_can_change_is_what_a_run_can_change():
    assert set(EDIT_FIELDS) == set(EDITABLE) & set(RUN)
    assert set(LANE_FIELDS) == set(RUN) - set(SHARED)
    data = {"dataset", "data_noise", "inputs", "label_noise", "train_samples"}
    assert set(SHARED) == data | {"replicas", "seed"}, "else it is no race"


@given(raw=broken_settings(LAB_CONTROLS) | addresses_of(LAB_CONTROLS))
def test_whatever_was_read_is_a_race(raw):
    values, _ = read(LAB_CONTROLS, raw)
    for draft, every in ((False, (1, 5)), (True, (10, 20))):
        configs = lane_configs(values, draft)
        assert len(configs) == len(lane_names(values)) == len(values["lanes"])
        for config, (norm, differs) in zip(configs, values["lanes"], strict=True):
            wanted = values | dict(differs)
            assert config.norm == norm and (config.record_every, config.validate_every) == every
            for name in set(RUN) - GIVING_WAY:
                assert getattr(config, name) == wanted[name]
            for name in GIVING_WAY:
                used = getattr(config, name)
                assert used in (wanted[name], FIELDS[name].default) or used < wanted[name]
            asked = [edit for edit in values["edits"] if edit[1] not in dict(differs)]
            assert [edit[:2] for edit in config.edits] == [edit[:2] for edit in asked]
            others = [edit for edit in asked if edit[1] != "batch_size"]
            assert [edit for edit in config.edits if edit[1] != "batch_size"] == others
        for name in SHARED:
            assert len({getattr(config, name) for config in configs}) == 1
        changed = [[e for e in c.edits if e[1] == "batch_size"] for c in configs]
        assert len({str(edits) for edits in changed if edits}) <= 1, "lanes that follow see the same batches"
    before = ghost_of(values)
    assert before is None or len(lane_configs(before)) == len(configs)


def test_the_longest_state_fits_in_a_message():
    numbers = {
        "lr": 0.00029471054333339146,
        "data_noise": 3.7933293218643535e-122,
        "beta": -1.2345678901e-300,
    }
    numbers |= {"init_scale": 0.055603669310086645, "gamma": -1.2345678901234567e-300, "beta": -2.5}
    numbers |= {"norm_noise": 1.1970020371639085e-174, "weight_decay": 2.1970020371639085e-174}
    numbers |= {
        "label_noise": 3.1970020371639085e-174,
        "eps": 1.1970020371639085e-274,
        "momentum": 3.9240028152734057e-174,
    }
    longest = {c.name: max(c.choices, key=len) if c.kind == "choice" else int(c.high) for c in RUN_CONTROLS}
    every = longest | numbers
    differs = [[name, every[name]] for name in LANE_FIELDS]
    values = settings(
        **every,
        lanes=[["batch", differs[k:]] for k in range(MAX_LANES)],
        edits=[[LAB_STEPS - k, "momentum", every["momentum"]] for k in range(MAX_EDITS)],
        before=list(every.items()),
        histogram="preactivation",
        preset="shallow",
        experiment="E11",
    )
    question = {"kind": "lab", "id": 2**31, "values": values, "until": LAB_STEPS, "draft": False}
    assert 3500 < len(json.dumps(question, separators=(",", ":"))) <= MAX_MESSAGE


# --- lanes ----------------------------------------------------------------------------------------------


def test_lanes_differ_where_the_reader_says_so():
    values = settings(lanes="batch,none~lr:1~depth:3,batch~eps:0.5~placement:after~width:16", lr="0.3")
    first, second, third = lane_configs(values)
    assert (first.norm, first.lr, first.depth) == ("batch", 0.3, 5)
    assert (second.norm, second.lr, second.depth, second.eps) == ("none", 1.0, 3, 1e-5)
    assert (third.norm, third.lr, third.eps, third.placement, third.width) == ("batch", 0.3, 0.5, "after", 16)


@pytest.mark.parametrize("text", ["rms", "none,batch", "none,batch,layer", "none,batch,layer,group"])
def test_one_to_four_lanes_race(text):
    values = settings(lanes=text)
    assert [config.norm for config in lane_configs(values)] == text.split(",")
    assert values == settings(lanes=[[norm, []] for norm in text.split(",")])


def test_in_an_address_the_order_of_what_differs_does_not_matter():
    one, other = settings(lanes="rms~lr:1~depth:3"), settings(lanes=[["rms", [["depth", 3], ["lr", "1"]]]])
    assert one == other and write(LAB_CONTROLS, one) == {"lanes": "rms~depth:3~lr:1.0"}


@pytest.mark.parametrize("width", [8, 12, 9, 64, 127])
def test_groups_divide_every_width(width):
    (config,) = lane_configs(settings(lanes="group", width=width))
    assert config.width % config.groups == 0 and config.groups <= 8


def test_lanes_are_called_by_what_they_differ_in():
    values = settings(
        lanes="none,batch~lr:2~eps:0.001,rms~placement:after~batch_size:2,batch~gamma:-0.5~beta:1~momentum:0"
    )
    assert lane_names(values) == [
        "no norm",
        "batch norm (learning rate 2, ε 0.001)",
        "RMS norm (norm placed after, batch size 2)",
        "batch norm (γ -0.5, β 1, momentum 0)",
    ]


@given(raced=lanes())
def test_no_two_lanes_have_one_name(raced):
    assert len(set(lane_names(DEFAULTS | {"lanes": raced}))) == len(raced)


def test_lanes_that_differ_in_the_last_digit_are_told_apart():
    one, other = lane_names(settings(lanes="batch~lr:0.1,batch~lr:0.10000000000000002"))
    assert one == "batch norm (learning rate 0.1)" and other.endswith("learning rate 0.10000000000000002)")


def test_what_an_unfair_race_does_not_share_is_said():
    assert notes(settings(lanes="none,batch~lr:1~eps:1~gamma:2~init_scale:1,layer")) == []
    (batches,) = notes(settings(lanes="none,batch~batch_size:2"))
    (weights,) = notes(settings(lanes="none,batch~depth:2,rms~width:8"))
    assert "other batches" in batches and "other weights" in weights
    assert notes(settings(lanes="none,batch~depth:2~batch_size:2")) == [batches, weights]


# --- settings that exclude each other -------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["digits", "moons"])
@pytest.mark.parametrize(
    ("batch", "wanted", "used"),
    [
        (64, 8, 8),
        (64, 64, 64),
        (64, 9, 8),
        (64, 63, 32),
        (60, 8, 6),
        (7, 4, 1),
        (32, 0, 0),
    ],
)
def test_a_norm_batch_is_the_largest_part_of_the_batch_up_to_what_was_asked(dataset, batch, wanted, used):
    values = settings(lanes="batch,group", dataset=dataset, batch_size=batch, norm_batch=wanted)
    batch_lane, group_lane = lane_configs(values)
    assert (batch_lane.norm_batch, batch_lane.batch_size) == (used, batch)
    assert (group_lane.norm_batch, group_lane.batch_size) == (0, batch), "other norms have none"
    said = f"Norm batches of {wanted} don’t fill a batch of {batch}: {used} is used."
    assert notes(values) == ([said] if used != wanted else [])
    assert (said in in_words(values)) == (used != wanted)


@pytest.mark.parametrize("raced", ["batch", "batch,group", "batch,batch~eps:0.1"])
@pytest.mark.parametrize(("batch", "wanted"), [(128, 256), (64, 256), (4, 5), (1, 2)])
def test_a_norm_batch_that_is_more_than_the_batch_is_all_of_it(raced, batch, wanted):
    values = settings(lanes=raced, batch_size=batch, norm_batch=wanted)
    said = f"A norm batch of {wanted} is more than a batch of {batch}: the whole batch shares μ and σ."
    assert {c.norm_batch for c in lane_configs(values) if c.norm == "batch"} == {batch}
    assert notes(values) == [said] and said in in_words(values)
    assert notes(values | {"norm_batch": batch}) == []


def test_a_lane_whose_own_norm_batch_is_more_than_the_batch_says_so():
    said = notes(settings(lanes="batch,batch~norm_batch:256,batch~norm_batch:48", batch_size=64))
    assert said == [
        "A norm batch of 256 is more than a batch of 64: the whole batch shares μ and σ.",
        "Norm batches of 48 don’t fill a batch of 64: 32 is used.",
    ]


def test_the_order_in_a_norm_batch_needs_one():
    values = settings(lanes="batch,batch~norm_batch:8", batch_order="sorted")
    assert [config.batch_order for config in lane_configs(values)] == ["shuffled", "sorted"]
    (said,) = notes(values)
    assert "sorted needs a norm batch" in said
    assert notes(values | {"norm_batch": 8, "batch_order": "pairs"}) == []


def test_norm_batches_of_other_norms_are_said_to_be_none():
    assert notes(settings(lanes="none,batch", norm_batch=8)) == [], "those without batch norm don't mind"
    for raced, more in [
        ("none,batch~norm_batch:8", []),
        ("batch,layer~norm_batch:8", ["Norm batches concern"]),
    ]:
        assert [note[:20] for note in notes(settings(lanes=raced))] == more
    assert notes(settings(lanes="none,layer", norm_batch=8)) == ["Norm batches concern batch norm alone."]


@pytest.mark.parametrize(("dataset", "there"), [("digits", 1297), ("circles", 1024)])
def test_no_more_samples_are_used_than_there_are(dataset, there):
    assert TRAIN_SIZES[dataset] == there
    for wanted, used in [(0, 0), (100, 100), (there, there), (1297, there)]:
        values = settings(
            lanes="batch,layer", dataset=dataset, train_samples=wanted, edits="9:batch_size:640"
        )
        for config in lane_configs(values):
            assert config.train_samples == used and config.batch_size == 32
            assert config.at(9).batch_size == min(640, used or there)
        assert any(f"There are {there} training samples" in note for note in notes(values)) == (
            used != wanted
        )
    values = settings(dataset=dataset, train_samples=48, batch_size=64, norm_batch=32)
    assert {(c.batch_size, c.norm_batch) for c in lane_configs(values)} == {(48, 0), (48, 24)}
    assert notes(values) == [
        "There are no more than 48 training samples: batches of 48 are used.",
        "Norm batches of 32 don’t fill a batch of 48: 24 is used.",
    ]


@pytest.mark.parametrize(("wanted", "used"), [(32, 24), (40, 36), (12, 12), (7, 12), (2, 12), (640, 48)])
def test_a_batch_size_changed_in_mid_run_holds_whole_norm_batches_of_every_lane(wanted, used):
    """What came before the change stays, and lanes that share their batches go on sharing them."""
    lanes = "batch~norm_batch:4,batch~norm_batch:6,layer,batch~batch_size:64"
    values = settings(lanes=lanes, batch_size=48, train_samples=50, edits=[[20, "batch_size", wanted]])
    four, six, layer, own = lane_configs(values)
    assert (four.norm_batch, six.norm_batch, layer.norm_batch) == (4, 6, 0)
    for config in (four, six, layer):
        assert config.batch_size == 48 and config.edits == ((20, "batch_size", used),)
    assert own.edits == () and own.batch_size == 50
    said = any(
        f"From step 20 on batches of {used} are used, not of {wanted}" in note for note in notes(values)
    )
    assert said == (used != wanted)


def test_lanes_are_called_by_what_is_used_too():
    values = settings(lanes="batch~norm_batch:5,batch~norm_batch:4,layer~norm_batch:8~batch_order:sorted")
    assert lane_names(values) == [
        "batch norm (norm batch 5 → 4)",
        "batch norm (norm batch 4)",
        "layer norm (norm batch 8 → 0, batch order sorted → shuffled)",
    ]


@pytest.mark.parametrize("dataset", PLANE)
def test_data_in_the_plane_stay_where_the_square_is_drawn(dataset):
    values = settings(dataset=dataset, inputs="standardized")
    assert {config.inputs for config in lane_configs(values)} == {"raw"} and len(notes(values)) == 1
    assert {config.inputs for config in lane_configs(values | {"dataset": "digits"})} == {"standardized"}


@given(raw=addresses_of(LAB_CONTROLS))
def test_what_is_used_can_be_used(raw):
    """Asking for what was given instead gives the very same, and there is nothing to say about it."""
    values, _ = read(LAB_CONTROLS, raw)
    for used in possible(values):
        lane = used["norm"], ()
        again = values | {name: used[name] for name in (*RUN, "edits")} | {"lanes": (lane,)}
        assert possible(again) == [used]
        assert math.prod(c.batch_size % (c.norm_batch or 1) == 0 for c in lane_configs(again))
        said = [note for note in notes(again) if "concern batch norm" not in note]
        assert said == []


# --- edits are branches ---------------------------------------------------------------------------------


def state(run):
    """All that a run's future depends on, as bytes."""
    return run.flat.tobytes(), run.running.mean.tobytes(), run.running.var.tobytes(), run.samples


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.5),
        ("batch_size", 3),
        ("eps", 0.5),
        ("gamma", 2.0),
        ("beta", -1.0),
        ("momentum", 0.1),
        ("weight_decay", 0.5),
    ],
)
def test_a_race_with_an_edit_is_the_same_up_to_it_and_another_afterwards(name, value):
    assert name in EDIT_FIELDS
    (base,) = lane_configs(settings(**SMALL, lanes="batch"))
    (edited,) = lane_configs(settings(**SMALL, lanes="batch", edits=[[12, name, value]]))
    assert edited == base.branch(12, **{name: value}) and edited.at(12) == replace(base, **{name: value})
    before, after = advance(start(base), 12), advance(start(edited), 12)
    assert state(before) == state(after)
    for key, array in before.history.items():
        assert array.tobytes() == after.history[key].tobytes(), key
    assert state(advance(before, 3)) != state(advance(after, 3))


def test_edits_stand_for_branches_of_branches():
    values = settings(**SMALL, lanes="none,batch", edits="30:eps:0.1,10:lr:0.5,30:batch_size:4,10:lr:0.7")
    assert values["edits"] == ((10, "lr", 0.7), (30, "batch_size", 4), (30, "eps", 0.1)), "the later counts"
    base = lane_configs(values | {"edits": ()})
    expected = [config.branch(10, lr=0.7).branch(30, eps=0.1, batch_size=4) for config in base]
    assert lane_configs(values) == expected
    assert write(LAB_CONTROLS, values)["edits"] == "10:lr:0.7,30:batch_size:4,30:eps:0.1"


def test_a_lane_keeps_its_own_value_against_an_edit():
    values = settings(lanes="none,batch~lr:2,rms~eps:1", edits="50:lr:0.01,60:eps:0.5")
    none, batch, rms = lane_configs(values)
    assert none.edits == ((50, "lr", 0.01), (60, "eps", 0.5))
    assert batch.edits == ((60, "eps", 0.5),) and batch.at(100).lr == 2.0
    assert rms.edits == ((50, "lr", 0.01),) and rms.at(100).eps == 1.0


# --- the ghost ------------------------------------------------------------------------------------------


def test_without_changes_there_is_no_ghost():
    assert ghost_of(DEFAULTS) is None and ghost_of(settings(lr=1, lanes="rms")) is None


def test_the_ghost_of_a_change_from_the_start_is_the_race_before_it():
    values = settings(lr=1, depth=3, edits="10:lr:2", before=[["lr", 0.5], ["replicas", 2]])
    assert ghost_of(values) == values | {"lr": 0.5, "replicas": 2}
    ghosts, now = lane_configs(ghost_of(values)), lane_configs(values)
    assert ghosts == [replace(config, lr=0.5, replicas=2) for config in now]


def test_the_ghost_of_a_branch_is_the_race_without_the_last_one():
    values = settings(edits="10:lr:2,30:eps:0.1,30:lr:1")
    assert ghost_of(values) == values | {"edits": ((10, "lr", 2.0),)}
    assert ghost_of(ghost_of(values)) == values | {"edits": ()}
    assert ghost_of(ghost_of(ghost_of(values))) is None


@pytest.mark.parametrize("changes", [{"before": "lr:0.5"}, {"edits": "10:lr:2"}])
def test_a_ghost_can_be_switched_off(changes):
    assert ghost_of(settings(**changes)) is not None
    assert ghost_of(settings(**changes, ghost="off")) is None


# --- what the page is told ------------------------------------------------------------------------------


def test_the_page_is_told_what_may_differ_and_what_may_change():
    told = json.loads(json.dumps(extras(), allow_nan=False))
    assert told["editable"] == list(EDIT_FIELDS) and told["differing"] == list(LANE_FIELDS)
    assert told["most_edits"] == MAX_EDITS and told["run"] == ["lanes", "edits", *RUN]
