"""The training lab's settings, and the training runs that they stand for."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given

from bnlib import NORMS, advance, start
from bnlib.config import EDITABLE, FIELDS, LAYER_NORMS
from bnlib.data import PLANE, TRAIN_SIZES
from book.race.lanes import ghost_of, lane_configs, lane_names, notes, possible
from book.race.lanes import settings as in_words
from book.race.settings import (
    CONCERNS,
    DEFAULTS,
    EDIT_FIELDS,
    LAB_CONTROLS,
    LAB_STEPS,
    LANE_FIELDS,
    MAX_EDITS,
    MAX_LANES,
    NAMES,
    RUN_CONTROLS,
    SHARED,
    extras,
)
from live.messages import MAX_MESSAGE, read, write
from tests.live.drawn import RUN, addresses_of, broken_settings, lanes
from tests.server import ROOT

GHOST = NORMS["ghost"].together
GIVING_WAY = {
    "label_noise",
    *("dataset", "inputs", "train_samples", "network", "weight_norm", "groups", "norm_noise"),
    *("batch_size", "norm_batch", "batch_order"),
}
NEEDED = {"dataset": ("digits", "ring"), "network": ("mlp", "gan")}  # what other settings make of them
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
                if name == "label_noise":
                    assert used == (0.0 if config.network == "gan" else wanted[name])
                elif name in NEEDED:
                    assert used in (wanted[name], *NEEDED[name])
                elif name == "norm_batch" and norm == "ghost":
                    assert 1 <= used <= (wanted[name] or GHOST)
                else:
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


NUMBERS = (
    *(1.1970020371639084e-174, -1.2345678901234568e-300, 0.00029471054333339146, 0.055603669310086645),
    *(-1.2345678901234567, 1.2345678901234567, 12.345678901234567),
)


def longest(control):
    """The value that takes most characters."""
    if control.kind == "choice":
        return max(control.choices, key=len)
    if control.kind == "whole":
        return int(control.high)
    return max((x for x in NUMBERS if control.low <= x <= control.high), key=lambda x: len(repr(x)))


@pytest.mark.parametrize(
    "envelope",
    [
        {"kind": "lab", "until": LAB_STEPS, "draft": False},
        {"kind": "take", "picture": "lab", "what": "python", "step": LAB_STEPS},
        {"kind": "check", "step": LAB_STEPS},
    ],
    ids=lambda envelope: envelope["kind"],
)
def test_the_longest_state_fits_in_a_message(envelope):
    """All lanes differ in all they can, all edits are made, and everything was something else before."""
    every = {control.name: longest(control) for control in RUN_CONTROLS}
    edited = max(EDIT_FIELDS, key=lambda name: len(f"{name}{every[name]}"))
    values = settings(
        **{control.name: longest(control) for control in LAB_CONTROLS if control.codec is None},
        lanes=[
            [norm, [[name, every[name]] for name in LANE_FIELDS]]
            for norm in sorted(LAYER_NORMS, key=len)[-MAX_LANES:]
        ],
        edits=[[LAB_STEPS - k, edited, every[edited]] for k in range(MAX_EDITS)],
        before=list(every.items()),
    )
    question = {"id": 2**31, "values": values} | envelope
    assert 5000 < len(json.dumps(question, separators=(",", ":"))) <= MAX_MESSAGE


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


# --- the table of norms ---------------------------------------------------------------------------------


def test_every_norm_of_the_table_is_offered_by_its_name():
    (control,) = (control for control in LAB_CONTROLS if control.name == "lanes")
    assert control.choices == LAYER_NORMS == ("none", *NORMS) == tuple(NAMES)
    assert {"none": "no norm"} | {name: norm.label for name, norm in NORMS.items()} == NAMES
    assert set(RUN["weight_norm"].choices) == {"none"} | {
        name for name, norm in NORMS.items() if norm.weights
    }
    told = json.loads(json.dumps(extras()))
    assert told["norms"] == [{"norm": name, "name": NAMES[name]} for name in LAYER_NORMS]
    assert told["concerns"] == CONCERNS


def test_what_a_setting_concerns_is_read_from_the_table():
    weights = {"spectral", "weight", "standard"}
    activations = set(LAYER_NORMS) - weights - {"none"}
    running = {"batch", "ghost", "renorm", "running"}
    assert {name: set(norms) for name, norms in CONCERNS.items()} == {
        "placement": activations - {"frn"},  # before it is after it: it brings its own activation
        "weight_norm": activations | {"none"},
        "eps": set(LAYER_NORMS) - {"none", "spectral", "weight", "dyt"},
        "gamma": activations,
        "beta": activations,
        "momentum": running,
        "groups": {"group"},
        "iterations": {"spectral"},
        "r_max": {"renorm"},
        "d_max": {"renorm"},
        "alpha": {"dyt"},
        "norm_batch": {"batch", "ghost"},
        "batch_order": {"batch", "ghost"},
    }
    assert all(len(set(norms)) == len(norms) for norms in CONCERNS.values())


OF_NORMS = {
    "placement": ("before", "after"),
    "weight_norm": ("none", "weight"),
    "eps": (1e-5, 0.5),
    "gamma": (1.0, 2.0),
    "beta": (0.0, 0.5),
    "momentum": (0.9, 0.5),
    "groups": (4, 2),
    "iterations": (1, 3),
    "r_max": (3.0, 1.0),
    "d_max": (5.0, 0.0),
    "alpha": (0.5, 0.25),
    "norm_batch": (4, 2),
    "batch_order": ("shuffled", "sorted"),
}


@pytest.mark.parametrize("norm", LAYER_NORMS)
def test_a_setting_concerns_the_norms_that_it_changes_the_runs_of(norm):
    assert set(OF_NORMS) == set(CONCERNS)
    fine = {"depth": 2, "width": 16, "batch_size": 16, "replicas": 1, "norm_batch": 4, "init_scale": 1}
    if norm in ("instance", "frn"):  # they need an image
        fine["network"] = "cnn"
    for name, values in OF_NORMS.items():
        ran = []
        for value in values:
            (config,) = lane_configs(settings(**fine | {name: value}, lanes=norm))
            run = advance(start(config), 6)
            ran.append(run.flat.tobytes() + run.history["val_loss"].tobytes())
        assert (ran[0] != ran[1]) == (norm in CONCERNS[name]), name


def test_a_norm_that_is_added_to_the_table_is_in_the_lab_too(tmp_path):
    """Two rows more, and nothing else: they are offered, named, raced, and have their own settings."""
    for room in ("bnlib", "book", "live", "pages", "assets"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "bnlib" / "norms.py").open("a", encoding="utf-8") as module:
        module.write(
            'NORMS["again"] = NORMS["group"]._replace(label="group norm again")\n'
            'NORMS["kept"] = NORMS["batch"]._replace(label="kept norm", options=("eps", "r_max"))\n'
        )
    program = """
import json
from book.race import lanes, settings as lab
from live import messages, worker
values, problems = messages.read(lab.LAB_CONTROLS, {
    "lanes": "again~groups:5,kept,again", "width": "12", "depth": "2", "replicas": "1",
})
blocks = [worker.extend(config, 2)[1] for config in lanes.lane_configs(values)]
print(json.dumps({
    "problems": problems,
    "names": lanes.lane_names(values),
    "notes": lanes.notes(values),
    "groups": [config.groups for config in lanes.lane_configs(values)],
    "losses": [block["train_loss"].min() > 0 for block in blocks],
    "choices": next(control.choices for control in lab.LAB_CONTROLS if control.name == "lanes"),
    "concerns": lab.CONCERNS,
    "told": messages.LAB["norms"],
}, default=bool))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["names"] == ["group norm again (groups 5 → 4)", "kept norm", "group norm again"]
    assert found["notes"] == [
        "5 groups don’t divide all layers’ channels: 4 are used.",
        "8 groups don’t divide all layers’ channels: 6 are used.",
    ]
    assert (found["groups"], found["losses"]) == ([4, 8, 6], [True] * 3)
    assert {"again", "kept"} < set(found["choices"])
    assert {"norm": "kept", "name": "kept norm"} in found["told"]
    having = {name for name, norms in found["concerns"].items() if "again" in norms}
    assert having == {"placement", "weight_norm", "eps", "gamma", "beta", "groups"}
    having = {name for name, norms in found["concerns"].items() if "kept" in norms}
    assert having == {"placement", "weight_norm", "eps", "gamma", "beta", "momentum", "r_max"}


# --- settings that exclude each other -------------------------------------------------------------------


def used_by(values, name):
    return [getattr(config, name) for config in lane_configs(values)]


@pytest.mark.parametrize(
    ("network", "asked", "used", "note"),
    [
        ("cnn", "moons", "digits", "Convolutions look at images: the data set is digits."),
        ("rnn", "ring", "digits", "Recurrent networks read images row by row: the data set is digits."),
        ("gan", "digits", "ring", "The GAN draws points from a ring of Gaussians: the data set is ring."),
        ("gan", "xor", "ring", "The GAN draws points from a ring of Gaussians: the data set is ring."),
        ("cnn", "digits", "digits", None),
        ("gan", "ring", "ring", None),
        ("mlp", "moons", "moons", None),
        ("mlp", "ring", "ring", None),
    ],
)
def test_a_network_has_the_data_that_it_needs(network, asked, used, note):
    values = settings(lanes="none,batch", network=network, dataset=asked)
    assert used_by(values, "dataset") == [used] * 2 and used_by(values, "network") == [network] * 2
    assert notes(values) == ([note] if note else [])
    assert note is None or in_words(values).endswith(note)


def test_a_lane_with_a_network_of_its_own_has_the_data_that_all_share():
    values = settings(lanes="none~network:cnn,batch~network:rnn,layer,rms~network:mlp", dataset="digits")
    assert used_by(values, "network") == ["cnn", "rnn", "mlp", "mlp"]
    other = "Networks of another shape start from other weights."
    assert notes(values) == [other]
    moved = values | {"dataset": "spirals"}
    assert used_by(moved, "network") == ["mlp"] * 4 and used_by(moved, "dataset") == ["spirals"] * 4
    assert notes(moved) == [
        other,
        "Convolutions look at images: convolutional gives way to dense.",
        "Recurrent networks read images row by row: recurrent gives way to dense.",
    ]
    assert lane_names(moved)[:2] == [
        "no norm (network convolutional → dense)",
        "batch norm (network recurrent → dense)",
    ]
    brought = settings(lanes="none,batch~network:mlp,layer~network:rnn", dataset="moons", network="cnn")
    assert used_by(brought, "network") == ["cnn", "mlp", "rnn"], "the digits are there for all"


def test_all_lanes_draw_or_none_does():
    values = settings(lanes="none~network:mlp,batch~network:cnn,layer,rms~network:gan", network="gan")
    assert used_by(values, "network") == ["gan"] * 4 and used_by(values, "dataset") == ["ring"] * 4
    assert notes(values)[1:] == [
        "The GAN draws points from a ring of Gaussians: the data set is ring.",
        "All lanes draw, or none does: dense gives way to GAN.",
        "All lanes draw, or none does: convolutional gives way to GAN.",
    ]
    for network, dataset in (("mlp", "ring"), ("cnn", "digits"), ("mlp", "digits")):
        values = settings(lanes="none,batch~network:gan", network=network, dataset=dataset)
        assert used_by(values, "network") == [network, "mlp"] and used_by(values, "dataset") == [dataset] * 2
        assert notes(values)[1:] == ["All lanes draw, or none does: GAN gives way to dense."]


@pytest.mark.parametrize(("network", "used"), [("mlp", 0.5), ("cnn", 0.0), ("rnn", 0.0), ("gan", 0.0)])
def test_noise_is_for_dense_networks(network, used):
    said = "Noise is injected into dense networks alone."
    values = settings(lanes="none,batch", network=network, norm_noise=0.5)
    assert used_by(values, "norm_noise") == [used] * 2 and (said in notes(values)) == (used == 0)
    values = settings(lanes=f"none,batch~network:{network},layer~norm_noise:0.25", norm_noise=0.5)
    assert used_by(values, "norm_noise")[::2] == [0.5, 0.25]
    assert notes(settings(lanes="none,batch", network=network))[:2] == [
        note for note in notes(settings(lanes="none", network=network)) if note != said
    ]


def test_a_norm_of_weights_stands_alone():
    lanes = "none,batch,spectral,standard~weight_norm:weight"
    values = settings(lanes=lanes, weight_norm="weight")
    assert used_by(values, "weight_norm") == ["weight", "weight", "none", "none"]
    assert [config.on_weights for config in lane_configs(values)] == [
        "weight",
        "weight",
        "spectral",
        "standard",
    ]
    assert notes(values) == [
        "Spectral norm is one of weights already: it stands alone.",
        "Weight standardization is one of weights already: it stands alone.",
    ]
    assert lane_names(values)[3] == "weight standardization (weights weight norm → none)"
    values = settings(lanes="batch~weight_norm:spectral,weight")
    assert used_by(values, "weight_norm") == ["spectral", "none"] and notes(values) == []


@pytest.mark.parametrize(
    ("network", "depth", "width", "wanted", "used"),
    [
        ("mlp", 3, 64, 8, 8),
        ("mlp", 3, 12, 8, 6),
        ("mlp", 3, 9, 64, 9),
        ("mlp", 3, 127, 64, 1),
        ("mlp", 3, 100, 8, 5),
        ("rnn", 3, 12, 5, 4),
        ("cnn", 3, 64, 64, 32),
        ("cnn", 3, 12, 8, 6),
        ("cnn", 3, 13, 8, 1),  # 6 and 13 channels
        ("cnn", 1, 12, 8, 6),  # 6 channels alone
        ("gan", 2, 24, 16, 12),
    ],
)
def test_groups_are_the_most_that_divide_all_layers_channels(network, depth, width, wanted, used):
    dataset = {"gan": "ring"}.get(network, "digits")
    more = {"network": network, "depth": depth, "width": width, "dataset": dataset}
    values = settings(lanes="group,batch", groups=wanted, **more)
    assert used_by(values, "groups") == [used, wanted], "who has no groups doesn't mind"
    said = f"{wanted} groups don’t divide all layers’ channels: {used} are used."
    assert notes(values) == ([said] if used != wanted else [])
    own = settings(lanes=f"group~groups:{wanted},group~groups:1,layer~groups:{wanted}", **more)
    assert used_by(own, "groups") == [used, 1, wanted]
    assert notes(own) == notes(values)
    arrow = f" → {used}" if used != wanted else ""
    assert lane_names(own)[0] == f"group norm (groups {wanted}{arrow})"


@pytest.mark.parametrize(
    ("batch", "wanted", "used"), [(32, 0, 8), (64, 16, 16), (12, 0, 6), (7, 0, 7), (4, 0, 4), (30, 16, 15)]
)
def test_ghost_batch_norm_has_norm_batches_by_itself(batch, wanted, used):
    values = settings(lanes="ghost,batch,layer", batch_size=batch, norm_batch=wanted)
    assert used_by(values, "norm_batch")[0] == used and used_by(values, "norm_batch")[2] == 0
    assert (used_by(values, "norm_batch")[1] == used) == bool(wanted)
    said = f"Norm batches of {wanted or GHOST} don’t fill a batch of {batch}: {used} is used."
    assert notes(values) == ([said] if used != (wanted or GHOST) else [])
    assert [config.statistics_of for config in lane_configs(values)] == used_by(values, "norm_batch")


def test_ghost_batch_norm_has_an_order_without_more_ado():
    values = settings(lanes="ghost,batch", batch_order="pairs")
    assert used_by(values, "batch_order") == ["pairs", "shuffled"]
    (said,) = notes(values)
    assert "pairs needs a norm batch" in said


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
        ("r_max", 1.0),
        ("d_max", 0.0),
        ("alpha", -1.0),
    ],
)
def test_a_race_with_an_edit_is_the_same_up_to_it_and_another_afterwards(name, value):
    assert name in EDIT_FIELDS
    norm = {"r_max": "renorm", "d_max": "renorm", "alpha": "dyt"}.get(name, "batch")
    (base,) = lane_configs(settings(**SMALL, lanes=norm))
    (edited,) = lane_configs(settings(**SMALL, lanes=norm, edits=[[12, name, value]]))
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


def test_a_gan_has_no_wrong_labels():
    values = settings(network="gan", label_noise=0.5)
    assert {config.label_noise for config in lane_configs(values)} == {0.0}
    assert "A GAN has no labels that could be wrong." in notes(values)
    assert {config.label_noise for config in lane_configs(values | {"network": "mlp"})} == {0.5}


def test_lanes_are_called_by_the_words_of_the_menus():
    assert lane_names(settings(lanes="batch~network:cnn~width:16,group~weight_norm:standard"))[0].startswith(
        "batch norm (network convolutional"
    )
    assert "weight standardization" in lane_names(settings(lanes="group~weight_norm:standard"))[0]
