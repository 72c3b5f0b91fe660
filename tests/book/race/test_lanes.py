"""Lanes in words: what each is called, and sentences about a race that follow its runs."""

import re

import numpy as np
import pytest
from hypothesis import given

from bnlib import NORMS, advance, start
from book.controls import read
from book.race.lanes import idle, instead, lane_names, notes, particulars
from book.race.lanes import settings as in_words
from book.race.runs import lane_configs, possible
from book.race.settings import DEFAULTS, LAB_CONTROLS, LANE_FIELDS, NAMES, RUN
from tests.book.race.chosen import settings
from tests.live.drawn import addresses_of, lanes

# --- names ----------------------------------------------------------------------------------------------


def test_lanes_are_called_by_what_they_differ_in():
    values = settings(
        lanes="none,batch~lr:2~eps:0.001,rms~placement:after~batch_size:2,batch~gamma:-0.5~beta:1~momentum:0"
    )
    assert lane_names(values) == [
        "no norm",
        "batch norm (learning rate 2, ε 0.001)",
        "RMS norm (after activation, batch size 2)",
        "batch norm (γ −0.5, β 1, momentum 0)",
    ]


@given(raced=lanes())
def test_no_two_lanes_have_one_name(raced):
    names = lane_names(DEFAULTS | {"lanes": raced})
    assert len(set(names)) == len(raced)
    assert all(name.startswith(NAMES[norm]) for name, (norm, _) in zip(names, raced, strict=True))
    assert max(map(len, names)) <= 150, "short, whatever they differ in"


@pytest.mark.parametrize(
    ("raced", "names"),
    [
        ("lr:0.1,lr:0.10000001", ("learning rate 0.1", "learning rate 0.10000001")),
        ("lr:0.1,lr:0.10000000000000002", ("learning rate 0.1", "learning rate 0.10000000000000002")),
        ("lr:0.123456,lr:0.123457", ("learning rate 0.123456", "learning rate 0.123457")),
        ("lr:0.123456,lr:0.2", ("learning rate 0.123", "learning rate 0.2")),
        ("norm_batch:5,norm_batch:4", ("norm batch 5 → 4", "norm batch 4")),
        ("gamma:-1,gamma:-1.0001", ("γ −1", "γ −1.0001")),
    ],
)
def test_values_that_print_alike_get_as_many_digits_as_they_need(raced, names):
    raced = ",".join(f"batch~{differs}" for differs in raced.split(","))
    assert lane_names(settings(lanes=raced)) == [f"batch norm ({name})" for name in names]


def test_a_long_list_of_settings_is_cut_and_what_all_lanes_share_goes_first():
    same = "~lr:0.5~batch_size:8~depth:3~gamma:2"
    assert lane_names(settings(lanes=f"batch{same}~beta:1,batch{same}~beta:2")) == [
        "batch norm (β 1, depth 3, batch size 8, 2 more)",
        "batch norm (β 2, depth 3, batch size 8, 2 more)",
    ]
    hidden = [
        "batch~depth:2~width:8~batch_size:4~lr:0.5~gamma:2",
        "batch~depth:2~width:8~batch_size:4~lr:0.5~gamma:3",
    ]
    other = "batch~depth:3~width:16~batch_size:8~lr:1~gamma:4"
    one, two, _ = lane_names(settings(lanes=",".join([*hidden, other])))
    assert two == f"{one} (2)", "the last resort"


def test_lanes_are_called_by_what_is_used_too():
    values = settings(lanes="batch~norm_batch:5,batch~norm_batch:4,layer~norm_batch:8~batch_order:sorted")
    assert lane_names(values) == [
        "batch norm (norm batch 5 → 4)",
        "batch norm (norm batch 4)",
        "layer norm (norm batch 8 → 0, batch order one class each → shuffled)",
    ]


def test_lanes_and_settings_are_called_by_the_words_of_the_menus():
    values = settings(
        lanes="batch~network:cnn~width:16,group~weight_norm:standard,none~optimizer:adamw~activation:gelu"
    )
    assert lane_names(values) == [
        "batch norm (convolutional, width 16)",
        "group norm (weight standardization)",
        "no norm (GELU, AdamW)",
    ]
    values = settings(
        dataset="xor", network="mlp", batch_order="pairs", norm_batch=8, lanes="batch", activation="relu"
    )
    assert in_words(values) == "Settings: data XOR, norm batch 8, batch order two classes each."
    assert in_words(DEFAULTS) == "Settings: the lab’s defaults."


@given(raw=addresses_of(LAB_CONTROLS))
def test_no_key_of_the_table_is_printed(raw):
    values, _ = read(LAB_CONTROLS, raw)
    text = " ".join([*lane_names(values), *notes(values), in_words(values)]).replace(RATES, "")
    assert not re.search(r"\b(mlp|cnn|rnn|gan|sgd|adamw|relu|gelu|xor|sorted|pairs)\b", text)
    assert not any(f" {name} " in f" {text} " for name in (*LANE_FIELDS, *NORMS) if "_" in name)


# --- what is particular ---------------------------------------------------------------------------------


def test_nothing_is_particular_about_networks_without_batch_statistics():
    assert notes(settings(lanes="none,layer")) == notes(settings(lanes="none,layer~gamma:2")) == []


@pytest.mark.parametrize("scale", [0.5, 0.25, 2.0])
def test_initial_weights_that_are_not_hes_are_told_with_what_they_do(scale):
    """The factor that is named is what an untrained network without a norm shows from layer to layer."""
    values = settings(lanes="none,layer", init_scale=scale)
    (said,) = notes(values)
    assert said.startswith(f"Initial weights are {scale:g} times those of He et al. (2015): without a norm")
    told = float(re.search(r"about ([\d.]+)", said)[1]) / (100 if scale < 1 else 1)
    assert ("shrinks" in said) == (scale < 1) and ("grows" in said) == (scale > 1)
    (config, _) = lane_configs(values | {"width": 128})
    spread = advance(start(config), 1).history["activation_std"][:, 0].mean(axis=0)
    assert told == pytest.approx(np.exp(np.diff(np.log(spread)).mean()), rel=0.1)
    assert notes(values, is_open=True) == [f"{said.partition(':')[0]}."], "no reason before the answer"


def test_initial_weights_are_only_compared_where_the_comparison_is_known():
    assert notes(settings(lanes="none", init_scale=0.5, activation="tanh")) == [
        "Initial weights are 0.5 times those of He et al. (2015)."
    ]
    (said,) = notes(settings(lanes="none", init="normal", init_scale=0.2))
    assert said == (
        "Initial weights have standard deviation 0.2 in every layer; after He et al. (2015) it would be "
        "0.177 for 64 inputs."
    )
    assert pytest.approx(0.177, abs=5e-4) == (2 / 64) ** 0.5
    (said, *_) = notes(settings(lanes="none,layer~init_scale:0.5"))
    assert said.startswith("Layer norm (init scale 0.5): initial weights are 0.5 times")


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({}, "32 samples"),
        ({"batch_size": 1}, "1 sample"),
        ({"norm_batch": 4}, "4 samples"),
        ({"lanes": "ghost"}, "8 samples"),
        ({"lanes": "renorm"}, "32 samples"),
        ({"network": "rnn"}, "32 samples"),
        (
            {"network": "cnn", "depth": 3, "batch_size": 2},
            "at least 2 × 4 × 4 = 32 numbers (samples × positions)",
        ),
        (
            {"network": "cnn", "depth": 1, "batch_size": 2},
            "at least 2 × 8 × 8 = 128 numbers (samples × positions)",
        ),
        ({"network": "gan"}, "32 points, real and generated ones apart"),
    ],
)
def test_the_numbers_that_share_a_statistic_are_counted(chosen, count):
    values = settings(**{"lanes": "batch"} | chosen)
    assert f"Each mean and variance is taken over {count}." in notes(values)
    config = lane_configs(values)[0]
    samples = config.statistics_of or config.batch_size
    positions = min(np.prod(shape[:-1]) for shape in config.shapes) if config.network == "cnn" else 1
    assert re.search(r"(\d+)(?: numbers| sample| points)", count)[1] == str(int(samples * positions))


def test_frozen_statistics_are_of_no_batch():
    values = settings(frozen=True, lanes="none,batch")
    told = "With batch norm μ and σ stay at 0 and 1, where running averages start"
    found = notes(values)
    assert any(note.startswith(told) for note in found)
    assert not any("is taken over" in note for note in found)
    assert not any(told in note for note in notes(settings(lanes="none,batch")))
    later = notes(settings(lanes="none,batch", edits="20:frozen:true"))
    assert later == ["With batch norm at first each mean and variance is taken over 32 samples."]


def test_norms_that_look_at_no_batch_have_no_such_number():
    for norm, row in NORMS.items():
        said = [
            note
            for note in notes(settings(lanes=norm, network="cnn", depth=2))
            if "mean and variance" in note
        ]
        assert bool(said) == (norm in ("batch", "ghost", "renorm")), row.label


def test_statistics_of_several_lanes_are_one_sentence():
    values = settings(lanes="none,batch,batch~norm_batch:4", batch_size=64)
    assert particulars(values) == [
        "Each mean and variance is taken over 64 samples with batch norm; 4 samples with batch norm (norm "
        "batch 4)."
    ]
    values = settings(lanes="none,batch", edits="20:batch_size:8")
    assert particulars(values) == [
        "With batch norm at first each mean and variance is taken over 32 samples."
    ]


@pytest.mark.parametrize(
    ("network", "words"), [("gan", "discriminator only"), ("rnn", "in 8 rows"), ("mlp", None)]
)
def test_what_kind_of_network_it_is_is_said(network, words):
    said = " ".join(notes(settings(network=network, lanes="none,layer")))
    assert (words in said) if words else said == ""


# --- fairness -------------------------------------------------------------------------------------------


def test_what_an_unfair_race_does_not_share_is_said():
    (batches,) = notes(settings(lanes="layer,layer~batch_size:2"))
    (weights,) = notes(settings(lanes="none,none~depth:2"))
    assert batches == "Lanes with different batch sizes see different batches."
    assert weights == "Networks of different shapes start from different weights."
    assert not {batches, weights} & set(notes(settings(lanes="none,batch~lr:1~eps:1~gamma:2")))


RATES = "Lanes have different learning rates: this compares pairs of norm and learning rate, not norms alone."


@pytest.mark.parametrize(
    ("raced", "said"),
    [
        ("none,layer~lr:1", True),
        ("none~lr:0.2,none~lr:2,layer~lr:2", True),
        ("none,none~lr:1", False),  # one norm
        ("none,layer,none~lr:1,layer~lr:1", False),  # each norm at each learning rate
        ("none~lr:1,layer~lr:1", False),
    ],
)
def test_different_learning_rates_compare_pairs(raced, said):
    assert (RATES in notes(settings(lanes=raced))) == said


@pytest.mark.parametrize(
    ("raced", "told"),
    [
        (
            "none,layer~width:32",
            "Between no norm and layer norm (width 32) several settings differ (norm and width)",
        ),
        (
            "none,layer~lr:1~optimizer:adamw",
            "Between no norm and layer norm (learning rate 1, AdamW) several settings differ (norm, "
            "learning rate and optimizer)",
        ),
        (
            "none,none~lr:1~depth:2,none~lr:2~depth:3",
            "Several settings differ together (depth and learning rate)",
        ),
        ("none,layer,layer~width:32", None),  # a chain of single differences
        ("none,layer~gamma:2", None),  # gamma belongs to layer norm
        (
            "layer,layer~gamma:2~beta:1",
            "Between layer norm and layer norm (γ 2, β 1) several settings differ (γ and β)",
        ),
        ("batch,ghost", None),  # a norm batch of 8 is what ghost batch norm is
        ("none,layer", None),
        ("none", None),
    ],
)
def test_lanes_that_differ_in_several_settings_cant_tell_which_matters(raced, told):
    said = [note for note in notes(settings(lanes=raced)) if "several" in note.lower()]
    assert said == ([f"{told}: the race can’t tell which of them matters."] if told else [])
    assert not (told and "learning rate" in told and RATES in notes(settings(lanes=raced))), "one of both"


# --- settings without effect ----------------------------------------------------------------------------


def test_a_setting_without_effect_is_said_to_have_none():
    assert notes(settings(lanes="none~gamma:2~lr:1,none")) == ["With no norm, γ has no effect."]
    assert notes(settings(lanes="frn~activation:tanh~placement:after", network="cnn", depth=2)) == [
        "With filter response norm, activation and norm placed have no effect."
    ]
    assert notes(settings(lanes="layer,layer~norm_batch:8")) == [
        "With layer norm, norm batch has no effect.",
        "The lanes layer norm and layer norm (norm batch 8 → 0) are the same run: their lines coincide.",
    ]
    assert notes(settings(lanes="none~weight_norm:spectral~iterations:3")) == [], "it is spectral norm's"


def test_lanes_that_are_the_same_run_are_named():
    same = "are the same run: their lines coincide."
    assert f"The lanes no norm and no norm (ε 0.5) {same}" in notes(settings(lanes="none,none~eps:0.5,layer"))
    said = notes(settings(lanes="layer,layer~lr:0.1"))
    assert said == [f"The lanes layer norm and layer norm (learning rate 0.1) {same}"]
    assert not any("same run" in note for note in notes(settings(lanes="layer,layer~eps:0.5")))


OTHER = {
    "activation": "tanh", "placement": "after", "weight_norm": "weight", "eps": 0.5, "gamma": 2.0,
    "beta": 0.5, "momentum": 0.5, "groups": 2, "iterations": 3, "r_max": 1.0, "d_max": 0.0, "alpha": 0.25,
}  # fmt: skip


@pytest.mark.parametrize("norm", ["none", "frn", "spectral", "batch", "dyt"])
def test_what_is_idle_makes_no_difference_to_a_run(norm):
    fine = {"depth": 2, "width": 16, "batch_size": 16, "replicas": 1, "network": "cnn", "lanes": norm}
    for name, value in OTHER.items():
        ran = []
        for more in ({}, {name: value}):
            values = settings(**fine | more)
            run = advance(start(lane_configs(values)[0]), 6)
            ran.append(run.flat.tobytes() + run.history["val_loss"].tobytes())
        assert (ran[0] == ran[1]) == idle(name, possible(values)[0]), name


@given(raw=addresses_of(LAB_CONTROLS))
def test_notes_are_sentences_said_once(raw):
    values, _ = read(LAB_CONTROLS, raw)
    said = notes(values)
    assert len(set(said)) == len(said) and set(instead(values)) <= set(said)
    for note in said:
        assert note.endswith(".") and note[0] == note[0].upper() and "nan" not in note and "  " not in note
    assert set(RUN) >= set(LANE_FIELDS)
