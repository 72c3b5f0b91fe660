"""Lanes, changes and earlier settings out of an address: what is right is kept, what is not is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from book.controls import MOST_PARTS, read, write
from book.race.settings import LAB_CONTROLS, MAX_EDITS, MAX_LANES
from tests.live.drawn import lanes


def parsed(name, raw):
    """A setting's value and the problems with it."""
    values, problems = read(LAB_CONTROLS, {name: raw})
    return values[name], problems


@pytest.mark.parametrize(
    ("raw", "kept", "problem"),
    [
        (
            "none,btach",
            "none",
            "lanes: lane 2, “btach”, must be a norm, such as batch; there are none, batch, layer",
        ),
        (
            [["none", []], ["btach", []]],
            "none",
            "lanes: lane 2, “['btach', []]”, must be a norm, such as batch",
        ),
        ("nonsense,rms,layer", "rms,layer", "lanes: lane 1, “nonsense”, must be a norm"),
        (
            "none,batch~lr:0",
            "none",
            "lanes: lane 2, “batch~lr:0”, gives lr a value that is outside 0.0001 to 10",
        ),
        (
            "none,batch~seed:3,rms",
            "none,rms",
            "lanes: lane 2, “batch~seed:3”, can't set seed; it can set network, ",
        ),
        ("none,batch~lr", "none", "lanes: lane 2, “batch~lr”, needs pairs such as lr:1"),
        ("rms~lr:1,rms~lr:1.0,batch", "rms~lr:1,batch", "lanes: lane 2, “rms~lr:1.0”, is there already"),
        (
            "none~eps:0~lr:1,none~lr:1~eps:0",
            "none~eps:0~lr:1",
            "lanes: lane 2, “none~lr:1~eps:0”, is there already",
        ),
        (
            "none,batch,layer,group,rms",
            "none,batch,layer,group",
            "lanes: lane 5, “rms”, is one too many: at most 4",
        ),
    ],
)
def test_one_bad_lane_does_not_drop_the_others(raw, kept, problem):
    value, (said,) = parsed("lanes", raw)
    assert value == parsed("lanes", kept)[0]
    assert said.startswith(problem) and said.endswith("; it is left out") and len(said) < 250


def test_every_bad_lane_is_told_and_the_rest_races():
    value, problems = parsed("lanes", "x,batch~lr:99,rms,batch~depth:no")
    assert value == (("rms", ()),)
    assert [problem.split(",")[0] for problem in problems] == [f"lanes: lane {n}" for n in (1, 2, 4)]


def test_without_a_good_lane_the_lab_starts_with_its_own():
    value, (problem,) = parsed("lanes", "x,y")
    assert value == (("none", ()), ("batch", ()))
    assert problem.startswith("lanes=x,y must be a norm") and problem.endswith("; none,batch is used")


@pytest.mark.parametrize(
    ("name", "raw", "kept", "problem"),
    [
        (
            "edits",
            "5:lr:0.5,9:lr:0",
            "5:lr:0.5",
            "edits: change 2, “9:lr:0”, gives lr a value that is outside",
        ),
        (
            "edits",
            "9:depth:3,7:lr:1",
            "7:lr:1",
            "edits: change 1, “9:depth:3”, can't change depth in mid-run; it can ",
        ),
        (
            "edits",
            "0:lr:1,7:lr:1",
            "7:lr:1",
            "edits: change 1, “0:lr:1”, needs steps that are whole numbers from 1",
        ),
        ("edits", "now,7:lr:1", "7:lr:1", "edits: change 1, “now”, must be changes such as 120:lr:0.5"),
        (
            "before",
            "lr:0.1,depth:99",
            "lr:0.1",
            "before: pair 2, “depth:99”, gives depth a value that is outside",
        ),
        (
            "before",
            "lanes:rms,lr:0.1",
            "lr:0.1",
            "before: pair 1, “lanes:rms”, can't set lanes; it can set dataset",
        ),
    ],
)
def test_a_bad_change_does_not_drop_the_others(name, raw, kept, problem):
    value, (said,) = parsed(name, raw)
    assert value == parsed(name, kept)[0] != ()
    assert said.startswith(problem) and said.endswith("; it is left out")


def test_of_too_many_changes_the_first_are_made():
    raw = ",".join(f"{n}:lr:1" for n in range(1, MAX_EDITS + 2))
    value, (problem,) = parsed("edits", raw)
    assert len(value) == MAX_EDITS and "“13:lr:1”, is one too many: at most 12 changes" in problem
    assert parsed("edits", f"{raw.rsplit(',', 1)[0]},1:lr:2")[1] == [], "a change of a change is none more"


def test_broken_parts_are_named_but_not_without_end():
    _, problems = parsed("lanes", "rms," + ",".join(f"x{n}" for n in range(1000)))
    assert len(problems) == MOST_PARTS + 1 and problems[-1] == "lanes: 996 more are left out"


@given(raced=lanes(), bad=st.text("abcxyz", min_size=9, max_size=9), place=st.integers(0, MAX_LANES))
def test_a_bad_lane_among_good_ones_leaves_them_as_they_are(raced, bad, place):
    (control,) = (control for control in LAB_CONTROLS if control.name == "lanes")
    parts = control.write(raced).split(",")
    value, (problem,) = parsed("lanes", ",".join([*parts[:place], bad, *parts[place:]]))
    assert value == raced and f"“{bad}”" in problem
    assert read(LAB_CONTROLS, write(LAB_CONTROLS, read(LAB_CONTROLS, {"lanes": value})[0]))[1] == []
