"""The one schema: settings in addresses and messages, and the messages themselves."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnlib.config import FIELDS
from live import batch, messages
from live.messages import BATCH_CONTROLS, CONTROLS, LAB_CONTROLS, MAX_UNKNOWN, lane_configs, read, write

EVERY = [
    pytest.param(page, control, id=f"{page}-{control.name}")
    for page in CONTROLS
    for control in CONTROLS[page]
]


def values_of(control):
    """Any value that the control can have."""
    if control.kind == "choice":
        return st.sampled_from(control.choices)
    if control.kind == "lanes":
        return st.lists(st.sampled_from(control.choices), min_size=2, max_size=4, unique=True).map(tuple)
    if control.kind == "moved":
        index, number = st.integers(0, messages.BATCH_LIMIT - 1), st.floats(-1e6, 1e6).map(lambda x: x + 0.0)
        pairs = st.dictionaries(index, number, max_size=messages.MAX_MOVED)
        return pairs.map(lambda moved: tuple(sorted(moved.items())))
    if control.kind == "whole":
        return st.integers(int(control.low), int(control.high))
    return st.floats(control.low, control.high).map(lambda x: x + 0.0)


def settings_of(controls):
    return st.fixed_dictionaries({control.name: values_of(control) for control in controls})


def addresses_of(controls):
    return settings_of(controls).map(lambda values: write(controls, values))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NEARLY = (
    ANYTHING
    | st.text("0123456789.-e_:,", max_size=12)
    | st.lists(st.sampled_from([*LAB_CONTROLS[0].choices, "instance", ""]), max_size=5).map(",".join)
    | st.lists(st.tuples(st.integers(-2, 300), st.floats()).map(list), max_size=10)
)


def broken_settings(controls):
    names = st.sampled_from([control.name for control in controls]) | st.text(max_size=60)
    return st.dictionaries(names, NEARLY, max_size=4)


# --- addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", CONTROLS)
@given(data=st.data())
def test_an_address_restores_every_setting_to_the_last_digit(page, data):
    controls = CONTROLS[page]
    values = data.draw(settings_of(controls))
    address = write(controls, values)
    again, problems = read(controls, address)
    assert problems == [] and again == values
    assert repr(sorted(again.items())) == repr(sorted(values.items()))  # 1 is not 1.0, -0.0 is not 0.0
    assert all(isinstance(text, str) for text in address.values())
    assert write(controls, again) == address


@pytest.mark.parametrize("page", CONTROLS)
@given(data=st.data())
def test_a_message_restores_every_setting_to_the_last_digit(page, data):
    values = data.draw(settings_of(CONTROLS[page]))
    again, problems = read(CONTROLS[page], json.loads(json.dumps(values)))
    assert problems == [] and repr(sorted(again.items())) == repr(sorted(values.items()))


@pytest.mark.parametrize("page", CONTROLS)
def test_defaults_are_left_out(page):
    values, problems = read(CONTROLS[page], {})
    assert problems == [] and write(CONTROLS[page], values) == {}


@pytest.mark.parametrize(("page", "control"), EVERY)
def test_every_default_and_every_stop_is_a_value_of_its_own_control(page, control):
    for value in (control.default, *control.stops, *control.choices * (control.kind == "choice")):
        assert control.parse(control.write(value)) == value
        assert type(control.parse(control.write(value))) is type(control.default)
    assert list(control.stops) == sorted(set(control.stops))


def test_minus_zero_is_zero():
    values, problems = read(BATCH_CONTROLS, {"beta": "-0.0", "moved": "3:-0.0"})
    assert problems == [] and math.copysign(1, values["beta"]) == math.copysign(1, values["moved"][0][1]) == 1


BROKEN = [
    ("batch", "batch_size", "0", "is outside 1 to 256", "32"),
    ("batch", "batch_size", "257", "is outside 1 to 256", "32"),
    ("batch", "batch_size", "2.5", "is not a whole number", "32"),
    ("batch", "batch_size", "many", "is not a whole number", "32"),
    ("batch", "batch_size", "", "is not a whole number", "32"),
    ("batch", "batch_size", True, "is not a whole number", "32"),
    ("batch", "batch_size", None, "is not a whole number", "32"),
    ("batch", "batch_size", [32], "is not a whole number", "32"),
    ("batch", "batch_size", 10**400, "is not a whole number", "32"),
    ("batch", "gamma", "1,5", "is not a number", "1.0"),
    ("batch", "gamma", "nan", "is outside -4 to 4", "1.0"),
    ("batch", "gamma", "inf", "is outside -4 to 4", "1.0"),
    ("batch", "gamma", float("nan"), "is outside -4 to 4", "1.0"),
    ("batch", "gamma", {}, "is not a number", "1.0"),
    ("batch", "eps", "-1e-9", "is outside 0 to 1", "1e-05"),
    ("batch", "eps", "1e999", "is outside 0 to 1", "1e-05"),
    ("batch", "moved", "3", "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", "3:", "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", "3:1:2", "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", "1.5:2", "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", [[1.5, 2]], "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", [[True, 2]], "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", {"35": 1}, "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", ["35"], "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", 7, "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", None, "must be pairs such as 3:2.5,7:-1", "none"),
    ("batch", "moved", "256:1", "needs point numbers 0 to 255 and values within a million", "none"),
    ("batch", "moved", "-1:1", "needs point numbers 0 to 255 and values within a million", "none"),
    ("batch", "moved", "3:1e7", "needs point numbers 0 to 255 and values within a million", "none"),
    ("batch", "moved", "3:nan", "needs point numbers 0 to 255 and values within a million", "none"),
    ("batch", "moved", "0:0,1:0,2:0,3:0,4:0,5:0,6:0,7:0,8:0", "moves 9 points, at most 8 can be", "none"),
    ("lab", "lanes", "batch", "must name two to four different norms, such as none,batch", "none,batch"),
    (
        "lab",
        "lanes",
        "batch,batch",
        "must name two to four different norms, such as none,batch",
        "none,batch",
    ),
    ("lab", "lanes", "none,batch,layer,group,rms", "must name two to four different norms", "none,batch"),
    ("lab", "lanes", "none,instance", "must be norms out of none, batch, layer, group, rms", "none,batch"),
    ("lab", "lanes", [["none"], "batch"], "must be norms out of none, batch, layer", "none,batch"),
    ("lab", "lanes", 7, "must name two to four different norms", "none,batch"),
    ("lab", "lanes", "", "must be norms out of none, batch, layer, group, rms", "none,batch"),
    ("lab", "activation", "swish", "is not one of relu, tanh, sigmoid, gelu", "relu"),
    ("lab", "activation", ["relu"], "is not one of relu, tanh, sigmoid, gelu", "relu"),
    ("lab", "seed", "-1", "is outside 0 to 9999", "0"),
    ("lab", "step", "2001", "is outside -1 to 2000", "0"),
]


@pytest.mark.parametrize(("page", "name", "raw", "rule", "used"), BROKEN)
def test_a_broken_field_falls_back_alone_and_says_why(page, name, raw, rule, used):
    fine = {"batch": ("beta", "2.5", 2.5), "lab": ("depth", "7", 7)}[page]
    values, (problem,) = read(CONTROLS[page], {name: raw, fine[0]: fine[1]})
    default = {control.name: control.default for control in CONTROLS[page]}
    assert values == default | {fine[0]: fine[2]}
    assert problem.startswith(f"{name}={str(raw)[:40]}") and f" {rule}" in problem
    assert problem.endswith(f"; {used} is used")


def test_unknown_fields_are_named_but_not_without_end():
    values, problems = read(BATCH_CONTROLS, {"momentun": "0.9", "gamma": "2"})
    assert problems == ["momentun is no setting of this page and is ignored"] and values["gamma"] == 2
    _, problems = read(BATCH_CONTROLS, {f"x{n}": "1" for n in range(1000)})
    assert len(problems) == MAX_UNKNOWN + 1 and problems[-1] == "992 more are no settings either"


@pytest.mark.parametrize("page", CONTROLS)
@given(data=st.data())
def test_reading_never_raises_and_always_gives_valid_settings(page, data):
    controls = CONTROLS[page]
    raw = data.draw(broken_settings(controls))
    values, problems = read(controls, raw)
    assert list(values) == [control.name for control in controls]
    again, none = read(controls, write(controls, values))
    assert none == [] and again == values
    assert all(len(problem) < 250 and problem.isprintable() for problem in problems)
    for control in controls:
        if control.name in raw and values[control.name] == control.default:
            continue
        assert not any(problem.startswith(f"{control.name}=") for problem in problems)


def test_values_nested_without_end_are_only_broken_values():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for name in ("batch_size", "gamma", "moved"):
        values, (problem,) = read(BATCH_CONTROLS, {name: deep})
        assert problem.startswith(f"{name}=a list ") and values[name] == read(BATCH_CONTROLS, {})[0][name]


# --- one truth with RunConfig ---------------------------------------------------------------------------


@pytest.mark.parametrize("control", LAB_CONTROLS, ids=lambda control: control.name)
def test_a_control_offers_only_what_a_run_takes(control):
    if control.name not in FIELDS:
        assert control.name in ("lanes", "histogram", "speed", "step")
        return
    rule = FIELDS[control.name].metadata
    if control.kind == "choice":
        assert set(control.choices) <= set(rule["choices"])
    else:
        assert (
            rule["low"]
            <= control.low
            <= min(control.stops)
            <= max(control.stops)
            <= control.high
            <= rule["high"]
        )
        assert FIELDS[control.name].type == ("int" if control.kind == "whole" else "float")


@given(raw=broken_settings(LAB_CONTROLS) | addresses_of(LAB_CONTROLS), draft=st.booleans())
def test_whatever_was_read_is_a_race(raw, draft):
    values, _ = read(LAB_CONTROLS, raw)
    configs = lane_configs(values, draft)
    assert [config.norm for config in configs] == list(values["lanes"])
    for config in configs:
        assert {name: getattr(config, name) for name in values if name in FIELDS} == {
            name: value for name, value in values.items() if name in FIELDS
        }
        assert config.validate_every % config.record_every == 0


@given(raw=broken_settings(BATCH_CONTROLS) | addresses_of(BATCH_CONTROLS), data=st.data())
def test_whatever_was_read_is_a_batch_that_can_be_sent(raw, data):
    """Headers are JSON, which has no NaN: none may come up, however far the points are moved."""
    values, _ = read(BATCH_CONTROLS, raw)
    source = np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=messages.BATCH_LIMIT)
    header, arrays = batch.transform(source, values)
    sent, received = messages.unpack(messages.pack(header, arrays))
    assert all(math.isfinite(number) for number in sent["numbers"].values())
    assert all(np.isfinite(array).all() for array in received.values())


# --- messages -------------------------------------------------------------------------------------------


def test_controls_are_plain_json_for_the_browser():
    for page in CONTROLS.values():
        described = json.loads(json.dumps(messages.describe(page), allow_nan=False))
        assert [row["name"] for row in described] == [control.name for control in page]


ARRAYS = st.dictionaries(
    st.text(max_size=8),
    st.tuples(st.lists(st.integers(0, 4), max_size=3), st.integers(0, 99)),
    max_size=4,
)


@given(header=st.dictionaries(st.text(), st.integers() | st.text(), max_size=4), shapes=ARRAYS)
def test_what_is_packed_comes_out_again(header, shapes):
    header.pop("arrays", None)
    arrays = {
        name: np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        for name, (shape, seed) in shapes.items()
    }
    packed = messages.pack(header, arrays)
    assert int.from_bytes(packed[:4], "little") % 4 == 0, "the browser needs the numbers at a multiple of 4"
    sent, received = messages.unpack(packed)
    assert sent.pop("arrays") == [[name, list(array.shape)] for name, array in arrays.items()]
    assert sent == header
    assert len(packed) == 4 + int.from_bytes(packed[:4], "little") + sum(a.nbytes for a in arrays.values())
    for name, array in arrays.items():
        assert received[name].shape == array.shape and received[name].tobytes() == array.tobytes()


def test_arrays_of_any_layout_are_sent_as_float32():
    array = np.arange(6, dtype=float).reshape(2, 3)
    _, received = messages.unpack(messages.pack({}, {"a": array.T, "nan": np.full(2, np.nan)}))
    assert received["a"].tolist() == array.T.tolist() and received["a"].dtype == np.float32
    assert np.isnan(received["nan"]).all()


def test_a_header_with_nan_is_a_mistake_of_ours():
    with pytest.raises(ValueError):
        messages.pack({"mean": float("nan")}, {})


def test_problems_are_plain_json():
    assert json.loads(messages.problem("lab", "so what", 3)) == {
        "kind": "problem",
        "of": "lab",
        "id": 3,
        "message": "so what",
    }
