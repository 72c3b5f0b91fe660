"""The one schema: settings in addresses and messages, and the messages themselves."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from book.chapter import packed_figures
from book.controls import MAX_UNKNOWN, SHOWN, shown
from book.registry import chapters
from live import messages
from live.messages import CONTROLS, read, write
from tests.live.drawn import addresses_of, broken_settings, settings_of

EVERY = [
    pytest.param(page, control, id=f"{page}-{control.name}")
    for page in CONTROLS
    for control in CONTROLS[page]
]
HOME = CONTROLS["home"]


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
    values, problems = read(HOME, {"beta": "-0.0", "moved": "3:-0.0"})
    assert problems == [] and math.copysign(1, values["beta"]) == math.copysign(1, values["moved"][0][1]) == 1


BROKEN = [
    ("home", "batch_size", "0", "is outside 1 to 256"),
    ("home", "batch_size", "257", "is outside 1 to 256"),
    ("home", "batch_size", "2.5", "is not a whole number"),
    ("home", "batch_size", "many", "is not a whole number"),
    ("home", "batch_size", "", "is not a whole number"),
    ("home", "batch_size", True, "is not a whole number"),
    ("home", "batch_size", None, "is not a whole number"),
    ("home", "batch_size", [32], "is not a whole number"),
    ("home", "batch_size", 10**400, "is not a whole number"),
    ("home", "gamma", "1,5", "is not a number"),
    ("home", "gamma", "nan", "is outside -4 to 4"),
    ("home", "gamma", "inf", "is outside -4 to 4"),
    ("home", "gamma", float("nan"), "is outside -4 to 4"),
    ("home", "gamma", {}, "is not a number"),
    ("home", "eps", "-1e-9", "is outside 0 to 1"),
    ("home", "eps", "1e999", "is outside 0 to 1"),
    ("home", "moved", "3", "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", "3:", "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", "3:1:2", "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", "1.5:2", "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", [[1.5, 2]], "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", [[True, 2]], "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", {"35": 1}, "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", ["35"], "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", 7, "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", None, "must be pairs such as 3:2.5,7:-1"),
    ("home", "moved", "256:1", "needs point numbers 0 to 255 and values within a million"),
    ("home", "moved", "-1:1", "needs point numbers 0 to 255 and values within a million"),
    ("home", "moved", "3:1e7", "needs point numbers 0 to 255 and values within a million"),
    ("home", "moved", "3:nan", "needs point numbers 0 to 255 and values within a million"),
    ("home", "moved", "0:0,1:0,2:0,3:0,4:0,5:0,6:0,7:0,8:0", "moves 9 points, at most 8 can be"),
    (
        "lab",
        "lanes",
        "nonsense",
        "must be a norm, such as none; there are none, batch, ",
    ),
    ("lab", "lanes", "", "must be a norm, such as batch; there are none, batch, "),
    ("lab", "lanes", "Batch", "must be a norm, such as batch; there are"),
    ("lab", "lanes", "\u202ebatch", "must be a norm, such as batch; there are"),
    ("lab", "lanes", [["none", "x"]], "needs pairs such as lr:1"),
    ("lab", "lanes", [[["none"], []]], "must be a norm, such as batch; there are"),
    ("lab", "lanes", [[None, []]], "must be a norm, such as batch; there are"),
    ("lab", "lanes", [["none", 7]], "must be a norm and what differs, such as batch or batch~lr:1"),
    ("lab", "lanes", [["none", [], []]], "must be a norm and what differs, such as batch or batch~lr:1"),
    ("lab", "lanes", {"none": []}, "must name norms, such as none,batch or batch,batch~lr:1"),
    ("lab", "lanes", 7, "must name norms, such as none,batch or batch,batch~lr:1"),
    ("lab", "lanes", None, "must name norms, such as none,batch or batch,batch~lr:1"),
    ("lab", "lanes", [], "must name one to 4 lanes, such as none,batch"),
    ("lab", "lanes", "none~lr", "needs pairs such as lr:1"),
    ("lab", "lanes", "none~lr:1:2", "needs pairs such as lr:1"),
    ("lab", "lanes", "none~", "needs pairs such as lr:1"),
    ("lab", "lanes", [["none", [[["lr"], 1]]]], "needs pairs such as lr:1"),
    ("lab", "lanes", [["none", [None]]], "needs pairs such as lr:1"),
    ("lab", "lanes", "none~lr:0", "gives lr a value that is outside 0.0001 to 10"),
    ("lab", "lanes", "none~lr:nan", "gives lr a value that is outside 0.0001 to 10"),
    ("lab", "lanes", "none~depth:2.5", "gives depth a value that is not a whole number"),
    ("lab", "lanes", [["none", [["depth", True]]]], "gives depth a value that is not a whole number"),
    ("lab", "lanes", [["none", [["width", 10**400]]]], "gives width a value that is not a whole number"),
    ("lab", "lanes", [["none", [["optimizer", ["sgd"]]]]], "gives optimizer a value that is not one of sgd"),
    ("lab", "lanes", "batch~seed:3", "can't set seed; it can set network, depth, width, "),
    ("lab", "lanes", "batch~edits:1", "can't set edits; it can set network, depth, "),
    ("lab", "lanes", "none~\u202e\u0000:1", "can't set   ; it can set network, depth, "),
    ("lab", "lanes", f"none~{'9' * 200}:1", f"can't set {'9' * 20}; it can set network, depth, "),
    ("lab", "lanes", [["none", [[10**5000, 1]]]], "can't set a int; it can set network, depth, "),
    ("lab", "edits", "120:lr", "must be changes such as 120:lr:0.5"),
    ("lab", "edits", "120:lr:0.5:1", "must be changes such as 120:lr:0.5"),
    ("lab", "edits", "now:lr:0.5", "must be changes such as 120:lr:0.5"),
    ("lab", "edits", [[120, ["lr"], 0.5]], "must be changes such as 120:lr:0.5"),
    ("lab", "edits", [[True, "lr", 0.5]], "must be changes such as 120:lr:0.5"),
    ("lab", "edits", [[10**400, "lr", 0.5]], "must be changes such as 120:lr:0.5"),
    ("lab", "edits", [120, "lr", 0.5], "must be changes such as 120:lr:0.5"),
    ("lab", "edits", {"lr": 1}, "must be changes such as 120:lr:0.5"),
    ("lab", "edits", 7, "must be changes such as 120:lr:0.5"),
    ("lab", "edits", "0:lr:0.5", "needs steps that are whole numbers from 1 to 2000"),
    ("lab", "edits", "2001:lr:0.5", "needs steps that are whole numbers from 1 to 2000"),
    ("lab", "edits", "1.5:lr:0.5", "needs steps that are whole numbers from 1 to 2000"),
    ("lab", "edits", "nan:lr:0.5", "needs steps that are whole numbers from 1 to 2000"),
    ("lab", "edits", "inf:lr:0.5", "needs steps that are whole numbers from 1 to 2000"),
    (
        "lab",
        "edits",
        "9:depth:3",
        "can't change depth in mid-run; it can change batch_size, lr, eps, gamma, beta, momentum, ",
    ),
    ("lab", "edits", "9:init_scale:3", "can't change init_scale in mid-run; it can change batch_size, lr, "),
    ("lab", "edits", "9:\u202e\u0000:3", "can't change    in mid-run; it can change batch_size, lr, "),
    ("lab", "edits", [[9, None, 3]], "can't change None in mid-run; it can change batch_size, lr, "),
    ("lab", "edits", "9:lr:0", "gives lr a value that is outside 0.0001 to 10"),
    ("lab", "edits", [[9, "batch_size", [2]]], "gives batch_size a value that is not a whole number"),
    ("lab", "before", "lr", "needs pairs such as lr:1"),
    ("lab", "before", "lr:1:2", "needs pairs such as lr:1"),
    ("lab", "before", {"lr": 1}, "needs pairs such as lr:1"),
    ("lab", "before", [[["lr"], 1]], "needs pairs such as lr:1"),
    ("lab", "before", 7, "needs pairs such as lr:1"),
    ("lab", "before", None, "needs pairs such as lr:1"),
    ("lab", "before", "lanes:rms", "can't set lanes; it can set dataset, data_noise, network, "),
    ("lab", "before", "edits:1", "can't set edits; it can set dataset, data_noise, network, "),
    ("lab", "before", "step:1", "can't set step; it can set dataset, data_noise, network, "),
    ("lab", "before", "\U0001f4a5" * 90 + ":1", "can't set " + "\U0001f4a5" * 20 + "; it can set"),
    ("lab", "before", "depth:99", "gives depth a value that is outside 1 to 20"),
    ("lab", "before", "dataset:mnist", "gives dataset a value that is not one of digits, circles, "),
    ("lab", "preset", "deeper", "is not one of "),
    ("lab", "guess", "4", "is outside -3 to 3"),
    ("lab", "ghost", "", "is not one of on, off"),
    ("lab", "activation", "swish", "is not one of relu, tanh, sigmoid, gelu"),
    ("lab", "activation", ["relu"], "is not one of relu, tanh, sigmoid, gelu"),
    ("lab", "seed", "-1", "is outside 0 to 9999"),
    ("lab", "step", "2001", "is outside -1 to 2000"),
]
USED = {
    "batch_size": "32",
    "gamma": "1.0",
    "eps": "1e-05",
    "moved": "none",
    "lanes": "none,batch",
    "edits": "none",
    "before": "none",
    "activation": "relu",
    "seed": "0",
    "step": "0",
    "preset": "none",
    "guess": "none",
    "ghost": "on",
}


@pytest.mark.parametrize(("page", "name", "raw", "rule"), BROKEN)
def test_a_broken_field_falls_back_alone_and_says_why(page, name, raw, rule):
    fine = {"home": ("beta", "2.5", 2.5), "lab": ("depth", "7", 7)}[page]
    values, (problem,) = read(CONTROLS[page], {name: raw, fine[0]: fine[1]})
    default = {control.name: control.default for control in CONTROLS[page]}
    assert values == default | {fine[0]: fine[2]}
    assert problem.startswith(f"{name}={shown(raw)} {rule}") and problem.endswith(f"; {USED[name]} is used")
    assert len(problem) < 250 and problem.isprintable()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2.5", "2.5"),
        (None, "None"),
        ("x" * 1000, "x" * SHOWN + "…"),
        ("\u202ea\u0000b\n\ud800", " a b  "),
        ([10**5000], "a list"),
        (10**5000, "a int"),
        ([1, "a"], "[1, 'a']"),
    ],
    ids=["text", "none", "long", "unprintable", "a long number within", "a long number", "list"],
)
def test_what_was_received_is_shown_short_and_printable(raw, expected):
    assert shown(raw) == expected and shown(raw).isprintable()


def test_unknown_fields_are_named_but_not_without_end():
    values, problems = read(HOME, {"momentun": "0.9", "gamma": "2"})
    assert problems == ["momentun is no setting of this page and is ignored"] and values["gamma"] == 2
    _, problems = read(HOME, {f"x{n}": "1" for n in range(1000)})
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


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("home", ("batch_size", "gamma", "moved")),
        ("lab", ("lanes", "edits", "before", "activation", "seed")),
    ],
)
def test_values_nested_without_end_are_only_broken_values(page, names):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for name in names:
        for raw in (deep, [deep, deep], [["none", deep]], [[1, "lr", deep]], [["lr", deep]]):
            values, (problem,) = read(CONTROLS[page], {name: raw})
            assert problem.startswith(f"{name}=a list ")
            assert values[name] == read(CONTROLS[page], {})[0][name]


AT_ONCE = [name for name, chapter in chapters().items() if not (chapter.has_waits or chapter.slow)]


@pytest.mark.parametrize("name", AT_ONCE)
@given(data=st.data())
def test_whatever_was_read_is_a_view_that_can_be_sent(name, data):
    """Headers are JSON, which has no NaN: none may come up, however far the points are moved."""
    chapter = chapters()[name]
    values, _ = read(chapter.table, data.draw(broken_settings(chapter.table) | addresses_of(chapter.table)))
    view = chapter.view(values)
    figures, arrays = packed_figures(view.figures)
    header = {
        "figures": figures,
        "text": view.text,
        "equations": [equation.describe() for equation in view.equations],
        "lights": view.lights,
        "meters": view.meters,
    }
    sent, received = messages.unpack(messages.pack(header, arrays))
    assert sent["text"] == view.text and len(received) == len(arrays)
    assert all(math.isfinite(number) for number in view.numbers.values())
    assert not any(np.isinf(array).any() for array in received.values())


# --- messages -------------------------------------------------------------------------------------------


def test_controls_are_plain_json_for_the_browser():
    for page in CONTROLS.values():
        described = json.loads(json.dumps(messages.describe(page), allow_nan=False))
        assert [row["name"] for row in described] == [control.name for control in page]


@pytest.mark.parametrize("page", CONTROLS)
def test_what_a_picture_is_given_when_it_opens_is_plain_json(page):
    values = read(CONTROLS[page], {})[0]
    given = messages.opening(page, values, "A title")
    plain = json.loads(json.dumps(given, allow_nan=False))
    assert (plain["picture"], plain["title"]) == (page, "A title")
    assert plain["values"] == plain["defaults"] == json.loads(json.dumps(values))
    assert [row["name"] for row in plain["controls"]] == [control.name for control in CONTROLS[page]]
    if page == "lab":
        assert plain["scenes"] and plain["experiments"] and "story" not in plain
        return
    chapter = chapters()[page]
    assert plain["chapter"] == page and plain["ending"] == list(chapter.ending)
    assert [scene["name"] for scene in plain["story"]] == [scene.name for scene in chapter.scenes]
    for told, scene in zip(plain["story"], chapter.scenes, strict=True):
        assert told["choices"] == [choice.label for choice in scene.choices]
        assert read(chapter.table, told["start"])[1] == [], "a start is settings that can be chosen"
        for kept in (scene.said, scene.because, scene.but):
            assert not kept or kept not in json.dumps(plain, ensure_ascii=False), "not before an answer"


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


@given(shape=st.tuples(st.integers(0, 3), st.integers(0, 3), st.just(3)), after=st.integers(0, 3))
def test_bytes_stay_bytes_and_what_follows_begins_at_a_multiple_of_4(shape, after):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    packed = messages.pack({}, {"photo": pixels, "x": np.arange(after, dtype=np.float32)})
    sent, received = messages.unpack(packed)
    assert sent["arrays"] == [["photo", list(shape), "u1"], ["x", [after]]]
    assert received["photo"].dtype == np.uint8 and received["photo"].tolist() == pixels.tolist()
    assert received["x"].tolist() == list(range(after)) and len(packed) % 4 == 0


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
