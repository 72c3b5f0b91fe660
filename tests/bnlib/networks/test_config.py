"""RunConfig: what it accepts, what it says about what it doesn't, edits and branches."""

import decimal
import fractions
import pickle
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bnlib
from bnlib import NORMS, RunConfig
from bnlib.data import DATASETS, LONGEST, load
from bnlib.networks.config import EDITABLE, FIELDS, LAST_STEP, TRAIN_SIZES, check_field, conflicts
from bnlib.networks.layers import ACTIVATIONS

HERE = Path(bnlib.__file__).parent
PAUSES = {"network": "rnn", "dataset": "pauses"}
NUMBERS = {name: rule.metadata for name, rule in FIELDS.items() if "low" in rule.metadata}
CHOICES = {name: rule.metadata["choices"] for name, rule in FIELDS.items() if "choices" in rule.metadata}


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


class Incomparable:
    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


JUNK = [
    None,
    "",
    "7",
    "relu ",
    b"relu",
    float("nan"),
    float("inf"),
    -float("inf"),
    10**400,
    -(10**400),
    10**5000,
    1j,
    decimal.Decimal("0.5"),
    [],
    [1],
    {},
    {"lr": 1},
    set(),
    (1, 2),
    np.array([1, 2]),
    np.array(["relu", "tanh"]),
    np.array(1.0),
    np.float64("nan"),
    np.datetime64("2015-02-11"),
    object,
    Unprintable(),
    Incomparable(),
    "x" * 10_000,
]


@pytest.mark.parametrize("value", JUNK, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", FIELDS)
def test_junk_is_a_value_error_that_names_the_field(name, value):
    with pytest.raises(ValueError, match=rf"\b{name}=") as caught:
        RunConfig(**{name: value})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_taken_within_their_range_only(name):
    low, high = NUMBERS[name]["low"], NUMBERS[name]["high"]
    assert check_field(name, low) == low
    assert check_field(name, high) == high
    outside = (
        (low - 1, high + 1) if FIELDS[name].type == "int" else (np.nextafter(low, -np.inf), high * 1.0001)
    )
    for value in (*outside, True, np.True_):
        with pytest.raises(ValueError, match=rf"{name}=.*{low:g} to {high:g}".replace("+", r"\+")):
            check_field(name, value)


@pytest.mark.parametrize("name", [name for name in NUMBERS if FIELDS[name].type == "int"])
def test_whole_numbers_are_whole(name):
    for value in (2.0, 2.5, np.float64(2), fractions.Fraction(5, 2)):
        with pytest.raises(ValueError, match=f"{name}=.*whole"):
            check_field(name, value)


@pytest.mark.parametrize("name", CHOICES)
def test_strings_are_one_of_the_choices(name):
    for choice in CHOICES[name]:
        assert check_field(name, choice) == choice
    with pytest.raises(ValueError, match=f"{name}='nonsense' is not one of {CHOICES[name][0]}"):
        check_field(name, "nonsense")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("depth", np.int64(4), 4),
        ("seed", np.uint8(7), 7),
        ("lr", np.float32(0.5), 0.5),
        ("lr", 1, 1.0),
        ("lr", np.int32(1), 1.0),
        ("lr", fractions.Fraction(1, 4), 0.25),
        ("norm", np.str_("layer"), "layer"),
        ("learn_affine", np.False_, False),
    ],
)
def test_numpy_scalars_become_the_fields_own_type(name, value, expected):
    taken = getattr(RunConfig(**{name: value}), name)
    assert taken == expected
    assert type(taken) is type(expected)


def test_equal_settings_are_one_key():
    one = RunConfig(lr=np.float64(1), depth=np.int32(2), edits=[[3, "lr", 2]])
    other = RunConfig(lr=1, depth=2, edits=((3, "lr", 2.0),))
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == other


def test_unknown_fields():
    for name in ("learning_rate", "", 3, None, ["lr"], np.array(["lr", "eps"])):
        with pytest.raises(ValueError, match="there is no field"):
            check_field(name, 1)


def test_a_configuration_is_frozen():
    with pytest.raises(FrozenInstanceError):
        RunConfig().lr = 1.0


FIFTH = """
NETWORKS["flat"] = NETWORKS["cnn"]._replace(
    label="all at full size", shapes=lambda depth, width: ((*DIGIT[:2], width),) * depth
)
"""
TRAINED = """
import numpy as np
from bnlib import RunConfig, advance, start
from bnlib.jobs.forecast import forecast
from bnlib.jobs.work import maps
from bnlib.torch_check.check import check
config = RunConfig(network="flat", width=4, depth=2, batch_size=8, record_every=1)
run = advance(start(config), 3)
assert np.isfinite(run.history["train_loss"]).all() and forecast(config).seconds > 0
assert [one.positions for one in maps(config)] == [64, 64, 1]
assert run.parameters["weight1"].shape == (1, 36, 4)
assert check(config, 2)["agrees"]
try:
    RunConfig(network="flat", dataset="moons")
except ValueError as error:
    print(error)
"""


def test_a_fifth_network_is_one_row(tmp_path):
    shutil.copytree(HERE, tmp_path / "bnlib", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "bnlib" / "networks" / "kinds.py").open("a", encoding="utf-8") as table:
        table.write(FIFTH)
    done = subprocess.run([sys.executable, "-c", TRAINED], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "RunConfig: network='flat' needs images; choose dataset='digits'\n", done.stderr


def test_every_field_is_documented():
    documented = RunConfig.__doc__
    assert [field.name for field in fields(RunConfig) if field.name not in documented] == []


# --- between fields -----------------------------------------------------------------------------------------


def test_groups_must_divide_the_width():
    with pytest.raises(ValueError, match=r"groups=5 does not divide width=12; try 1, 2, 3, 4, 6 or 12$"):
        RunConfig(norm="group", width=12, groups=5)
    assert RunConfig(norm="layer", width=12, groups=5).groups == 5
    with pytest.raises(ValueError, match=r"groups=3 does not divide width=1; try 1$"):
        RunConfig(norm="group", width=1, groups=3)


def test_groups_must_divide_the_channels_of_every_convolution():
    config = RunConfig(network="cnn", norm="group", width=16, groups=8, depth=4)
    assert config.shapes == ((8, 8, 8), (8, 8, 8), (4, 4, 16), (4, 4, 16))
    with pytest.raises(ValueError, match=r"groups=16 does not divide width=16, whose layers have 8 and more"):
        RunConfig(network="cnn", norm="group", width=16, groups=16)
    assert RunConfig(network="cnn", width=1).shapes == ((8, 8, 1), (4, 4, 1), (4, 4, 1))
    assert RunConfig(network="cnn", depth=1, width=8).shapes == ((8, 8, 4),)
    assert RunConfig(network="rnn", depth=2, width=8).shapes == ((8, 8), (8, 8))
    assert RunConfig(**PAUSES, depth=2, width=8).shapes == ((LONGEST, 8), (LONGEST, 8))
    assert RunConfig(depth=2, width=9).shapes == ((9,), (9,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": "cnn", "dataset": "moons"}, "network='cnn' needs images; choose dataset='digits'"),
        ({"network": "rnn", "dataset": "groups"}, "reads .* row by row; choose dataset='digits' or 'pauses'"),
        ({"dataset": "pauses"}, "dataset='pauses' has sequences of unequal length; choose network='rnn'"),
        ({**PAUSES, "inputs": "standardized"}, "inputs='standardized' would count the padding of .*'raw'"),
        ({"network": "rnn", "padding": "counted"}, "padding='counted' concerns .*; choose dataset='pauses'"),
        (
            {**PAUSES, "norm": "renorm"},
            "norm='renorm' can't leave padding out; choose norm='batch', or padding",
        ),
        ({**PAUSES, "norm_batch": 4}, "norm_batch=4 can't leave padding out; choose padding='counted'"),
        ({"network": "gan"}, "network='gan' draws points of the .*; choose dataset='ring'"),
        ({"network": "cnn", "residual": "pre"}, "residual='pre' is for dense networks; choose network='mlp'"),
        ({"residual": "post", "placement": "after"}, "residual='post' keeps .*; choose placement='before'"),
        ({"skip_init": True}, "skip_init=True multiplies residual branches; choose residual='pre' or 'post'"),
        ({"network": "rnn", "norm_noise": 0.5}, "norm_noise=0.5 is for dense networks"),
        (
            {"norm": "spectral", "weight_norm": "weight"},
            "weight_norm='weight' goes with norms of activations",
        ),
        ({"norm": "ghost", "batch_size": 12}, "norm_batch=8 does not divide batch_size=12; try .* 6 or 12$"),
        ({"norm": "ghost", "norm_batch": 5}, "norm_batch=5 does not divide batch_size=32"),
    ],
)
def test_what_does_not_go_together_says_what_does(fields, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**fields)


def test_a_norm_is_of_activations_or_of_weights():
    both = RunConfig(norm="group", weight_norm="standard")
    assert both.on_activations is NORMS["group"] and both.on_weights == "standard"
    alone = RunConfig(norm="spectral")
    assert alone.on_activations is None and alone.on_weights == "spectral"
    none = RunConfig(norm="none")
    assert none.on_activations is None and none.on_weights == "none"
    assert (RunConfig(norm="ghost").statistics_of, RunConfig(norm="ghost", norm_batch=4).statistics_of) == (
        8,
        4,
    )
    assert (RunConfig().statistics_of, RunConfig(norm_batch=16).statistics_of) == (0, 16)
    for name, norm in NORMS.items():
        config = RunConfig(norm=name, activation="tanh")
        assert (config.nonlinearity is ACTIVATIONS["linear"]) == norm.activates == (name == "frn")


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_batch_fits_the_training_samples(dataset):
    available = len(load(dataset).y_train)
    assert TRAIN_SIZES[dataset] == available
    network = "rnn" if dataset == "pauses" else "mlp"
    assert RunConfig(dataset=dataset, network=network, batch_size=available).batch_size == available
    with pytest.raises(ValueError, match=f"batch_size={available + 1}"):
        RunConfig(dataset=dataset, network=network, batch_size=available + 1)


def test_conflicts_are_sentences():
    assert list(conflicts(RunConfig())) == []


# --- edits --------------------------------------------------------------------------------------------------


def test_edits_take_effect_at_their_step():
    config = RunConfig(lr=0.1, edits=((10, "lr", 0.2), (20, "lr", 0.3), (20, "batch_size", 4)))
    assert [config.at(step).lr for step in (0, 9, 10, 19, 20, 999)] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert config.at(20).batch_size == 4
    assert config.at(20).edits == ()
    assert RunConfig().at(5) == RunConfig()


def test_edits_are_sorted_and_the_later_of_two_counts():
    config = RunConfig(edits=((20, "lr", 1), (10, "eps", 1), (20, "lr", 2), (10, "beta", 0)))
    assert config.edits == ((10, "beta", 0.0), (10, "eps", 1.0), (20, "lr", 2.0))


def test_branching_keeps_what_came_before_and_drops_what_came_after():
    config = RunConfig(edits=((10, "lr", 0.2), (30, "lr", 0.3)))
    assert config.branch(20, eps=0.5, lr=0.9).edits == ((10, "lr", 0.2), (20, "eps", 0.5), (20, "lr", 0.9))
    assert config.branch(10, lr=0.7).edits == ((10, "lr", 0.7),)
    assert config.branch(30).edits == config.edits
    assert replace(config.branch(5), edits=()) == RunConfig()


@pytest.mark.parametrize(
    "edits",
    [value for value in JUNK if not isinstance(value, list) or value]
    + [3, [3], [(1, "lr")], [(1, "lr", 1, 2)], ["abc"]],
    ids=lambda value: type(value).__name__,
)
def test_edits_of_the_wrong_shape(edits):
    with pytest.raises(ValueError, match="edits"):
        RunConfig(edits=edits)


def test_edits_name_what_is_wrong():
    for step in (-1, LAST_STEP + 1, 10**5000, 1.0, True, None, "3", float("nan"), [1]):
        with pytest.raises(ValueError, match="edits: step="):
            RunConfig(edits=((step, "lr", 0.1),))
    for name in set(FIELDS) - set(EDITABLE):
        with pytest.raises(ValueError, match=f"'{name}' can't change"):
            RunConfig(edits=((1, name, getattr(RunConfig(), name)),))
    for name in (None, 3, ["lr"], "edits", np.array(["lr", "eps"])):
        with pytest.raises(ValueError, match="can't change"):
            RunConfig(edits=((1, name, 0.1),))
    for value in (float("nan"), "0.1", None, -1, [0.1]):
        with pytest.raises(ValueError, match="lr="):
            RunConfig(edits=((1, "lr", value),))
    with pytest.raises(ValueError, match=r"edits at step 7: batch_size=1290 exceeds the 1024"):
        RunConfig(dataset="moons", edits=((3, "lr", 1), (7, "batch_size", 1290)))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FIELDS)) | st.text(max_size=4), anything)
def test_any_value_is_taken_or_refused_by_name(name, value):
    try:
        taken = check_field(name, value)
    except ValueError as error:
        assert name in str(error) or repr(name)[:10] in str(error)
    else:
        assert taken == value
        assert getattr(RunConfig(**{name: value}), name) == taken


@settings(max_examples=100, deadline=None)
@given(anything | st.lists(st.tuples(st.integers(-1, 5), st.sampled_from(EDITABLE), anything), max_size=3))
def test_any_edits_are_taken_or_refused(edits):
    try:
        config = RunConfig(edits=edits)
    except ValueError as error:
        assert str(error).startswith("RunConfig: ")
    else:
        assert RunConfig(edits=config.edits) == config
