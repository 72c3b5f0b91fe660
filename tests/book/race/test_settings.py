"""The training lab's settings: one truth with the runs, the table of norms, and what the page is told."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import parse_qsl

import pytest
from hypothesis import given

from bnlib import NORMS, advance, start
from bnlib.networks.config import EDITABLE, FIELDS, LAYER_NORMS
from book.controls import describe
from book.race.lanes import ghost_of, lane_configs, lane_names
from book.race.scenes import SCENES
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
from book.registry import chapters
from live.messages import MAX_MESSAGE, read
from tests.book.race.chosen import settings
from tests.live.drawn import RUN, addresses_of, broken_settings
from tests.server import ROOT

GHOST = NORMS["ghost"].together
GIVING_WAY = {
    "label_noise",
    *("dataset", "inputs", "train_samples", "network", "weight_norm", "groups", "norm_noise"),
    *("batch_size", "norm_batch", "batch_order", "last_batch", "frozen"),
}
NEEDED = {"dataset": ("digits", "ring"), "network": ("mlp", "gan")}  # what other settings make of them


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
        assert set(control.choices) <= set(rule.get("choices", (False, True)))
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
            possible = norm in CONCERNS["frozen"]
            asked = [
                (step, name, value if possible or name != "frozen" else False) for step, name, value in asked
            ]
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
        return max(control.choices, key=lambda choice: len(str(choice)))
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


# --- the table of norms ---------------------------------------------------------------------------------


def test_every_norm_of_the_table_is_offered_by_its_name():
    (control,) = (control for control in LAB_CONTROLS if control.name == "lanes")
    assert control.choices == LAYER_NORMS == ("none", *NORMS) == tuple(NAMES)
    assert {"none": "no norm"} | {name: norm.label for name, norm in NORMS.items()} == NAMES
    assert set(RUN["weight_norm"].choices) == {"none"} | {
        name for name, norm in NORMS.items() if norm.weights
    }
    told = json.loads(json.dumps(extras()))
    assert [(row["norm"], row["name"]) for row in told["norms"]] == [(n, NAMES[n]) for n in LAYER_NORMS]
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
        "frozen": running,
        "decay_affine": activations,
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
    "frozen": (False, True),
    "decay_affine": (False, True),
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
    fine = {"depth": 2, "width": 16, "batch_size": 16, "replicas": 1, "norm_batch": 4, "weight_decay": 0.01}
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
    with (tmp_path / "bnlib" / "norms" / "public.py").open("a", encoding="utf-8") as module:
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
        "With kept norm each mean and variance is taken over 32 samples.",
        "5 groups don’t divide the channels of every layer: 4 are used.",
        "8 groups don’t divide the channels of every layer: 6 are used.",
    ]
    assert (found["groups"], found["losses"]) == ([4, 8, 6], [True] * 3)
    assert {"again", "kept"} < set(found["choices"])
    (row,) = (row for row in found["told"] if row["norm"] == "kept")
    assert (row["name"], row["use"]) == ("kept norm", NORMS["batch"].use)
    having = {name for name, norms in found["concerns"].items() if "again" in norms}
    assert having == {"placement", "weight_norm", "eps", "gamma", "beta", "decay_affine", "groups"}
    having = {name for name, norms in found["concerns"].items() if "kept" in norms}
    own = {"momentum", "frozen", "r_max"}
    assert having == {"placement", "weight_norm", "eps", "gamma", "beta", "decay_affine", *own}


# --- explanations ---------------------------------------------------------------------------------------

MOST_CHARACTERS = 400  # of an explanation


def plain_sentences(text):
    """Whether a text is made of one to three sentences that end."""
    return 1 <= len(re.findall(r"[.?](?= |$)", text)) <= 4 and text[-1] == "." and text == text.strip()


@pytest.mark.parametrize("norm", LAYER_NORMS)
def test_every_norm_says_what_it_does_and_when_to_use_it(norm):
    (row,) = (row for row in extras()["norms"] if row["norm"] == norm)
    assert plain_sentences(row["about"]) and plain_sentences(row["use"])
    assert row["use"].startswith("Use it ") and max(map(len, (row["about"], row["use"]))) <= 200
    others = [other for other in extras()["norms"] if other["norm"] != norm]
    assert not any(row["about"] == other["about"] or row["use"] == other["use"] for other in others)


def test_terms_of_the_lab_are_explained():
    terms = extras()["terms"]
    assert set(terms) >= {
        "lane", "ghost", "branch", "seed band", "norm batch", "injected noise", "running statistics",
        "batch statistics", "parameters", "cost", "cosine", "r max", "dead unit", "ring", "update : data",
    }  # fmt: skip
    for term, text in terms.items():
        assert plain_sentences(text) and len(text) <= MOST_CHARACTERS, term


TABLES = {name: chapter.table for name, chapter in chapters().items()} | {"lab": LAB_CONTROLS}
EVERY = [
    pytest.param(control, id=f"{page}-{control.name}") for page, table in TABLES.items() for control in table
]


@pytest.mark.parametrize("control", EVERY)
def test_every_control_of_every_page_is_explained(control):
    assert plain_sentences(control.about) and len(control.about) <= MOST_CHARACTERS
    (row,) = describe([control])
    assert row["about"] == control.about, "the browser is told"


@pytest.mark.parametrize("control", EVERY)
def test_every_choice_of_every_page_has_a_name_of_its_own(control):
    if control.choices == control.names == ():
        return
    assert len(control.names) == len(control.choices) == len(set(control.names))
    for choice, name in zip(control.choices, control.names, strict=True):
        assert control.called(choice) == name and name.strip()


def test_names_of_choices_are_words_not_keys():
    unsaid = {
        "pairs",
        "sorted",
        "mlp",
        "cnn",
        "rnn",
        "gan",
        "sgd",
        "adamw",
        "relu",
        "gelu",
        "xor",
        "he",
        "standard",
    }
    assert not unsaid & {name for control in LAB_CONTROLS for name in control.names}


def test_what_differs_from_pytorch_is_named():
    """Parameters of torch that are spelt otherwise, or mean something else."""
    names = {
        "lr": "lr", "eps": "eps", "gamma": "weight", "beta": "bias", "groups": "num_groups",
        "iterations": "n_power_iterations", "weight_decay": "weight_decay",
    }  # fmt: skip
    for control, torch_name in names.items():
        assert f"In PyTorch: {torch_name}." in RUN[control].about
    torch = 1 - RUN["momentum"].default
    assert math.isclose(torch, 0.1) and "1 minus this" in RUN["momentum"].about


def test_the_lab_starts_with_hes_weights():
    assert DEFAULTS["init_scale"] == 1 and DEFAULTS["init"] == "he"


# --- what the page is told ------------------------------------------------------------------------------


def test_networks_that_take_long_start_small():
    starts = extras()["starts"]
    (network,) = (control for control in RUN_CONTROLS if control.name == "network")
    assert set(starts) == set(network.choices) - {"mlp"}
    for kind, sizes in starts.items():
        (smaller,), (usual,) = (
            lane_configs(settings(network=kind, lanes="batch", **more)) for more in (sizes, {})
        )
        assert multiplications(smaller) < 0.3 * multiplications(usual)


def multiplications(config):
    """How many a sample's way through the hidden layers takes; what it costs beyond them is alike."""
    count, before = 0, 1
    for *places, channels in config.shapes:
        kernel = 9 * before if config.network == "cnn" else channels
        count += math.prod(places) * kernel * channels
        before = channels
    return count


def test_scenes_are_told_without_their_answers():
    for told, (name, one) in zip(extras()["scenes"], SCENES.items(), strict=True):
        assert set(told) == {"name", "title", "group", "question", "choices", "until", "values", "address"}
        assert told["name"] == told["values"]["preset"] == name and told["values"]["step"] == 0
        values, problems = read(LAB_CONTROLS, dict(parse_qsl(told["address"][1:])))
        assert problems == [] and values == DEFAULTS | told["values"]
        for kept in (one.scene.said, one.scene.because, one.scene.but):
            assert not kept or kept not in json.dumps(told, ensure_ascii=False)


def test_the_page_is_told_what_may_differ_and_what_may_change():
    told = json.loads(json.dumps(extras(), allow_nan=False))
    assert told["editable"] == list(EDIT_FIELDS) and told["differing"] == list(LANE_FIELDS)
    assert told["most_edits"] == MAX_EDITS and told["run"] == ["lanes", "edits", *RUN]
