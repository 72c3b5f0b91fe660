"""The table of settings: stops, kinds, and points. Addresses and messages: tests/live/test_messages.py."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from book.controls import (
    EPS_STOPS,
    MOST_PARTS,
    Codec,
    Control,
    PartlyBroken,
    cells_control,
    describe,
    even_stops,
    log_stops,
    number,
    points_control,
    read,
    write,
)  # fmt: skip

SIZE = Control("size", "whole", 32, "size", low=1, high=256)
RATE = Control("rate", "number", 0.1, "rate", low=0, high=1, stops=(0.0, 0.5, 1.0))
STEP = Control("step", "step", 0, "step", low=0, high=100)
DRAW = Control("draw", "next", 0, "next", low=0, high=9)
NORM = Control("norm", "choice", "batch", "norm", choices=("batch", "layer", ""))
POINTS = points_control("moved", "moved points", 10, most=3)
CELLS = cells_control("painted", "painted cells", 12)


@pytest.mark.parametrize("control", [SIZE, STEP, DRAW])
@pytest.mark.parametrize(("raw", "value"), [("3", 3), (3, 3), (3.0, 3), ("3.0", 3)])
def test_whole_numbers_are_whole(control: Control, raw: Any, value: int) -> None:
    parsed = control.parse(raw)
    assert parsed == value and type(parsed) is int


@pytest.mark.parametrize("control", [SIZE, STEP, DRAW])
@pytest.mark.parametrize(
    "raw", [2.5, "2.5", "x", "", None, True, [3], {}, "nan", math.nan, math.inf, 10**400, "1e999"]
)
def test_what_is_no_whole_number_is_refused(control: Control, raw: Any) -> None:
    with pytest.raises(ValueError, match="is not a whole number|is outside"):
        control.parse(raw)


@pytest.mark.parametrize("raw", [-1e-9, 1.0000001, "-inf", math.nan])
def test_numbers_keep_to_their_ends(raw: Any) -> None:
    with pytest.raises(ValueError, match="is outside 0 to 1"):
        RATE.parse(raw)
    assert (
        RATE.parse(0) == 0.0 and RATE.parse("1") == 1.0 and RATE.parse(0.123456789012345) == 0.123456789012345
    )


def test_an_empty_choice_is_not_named_among_what_can_be_chosen() -> None:
    assert NORM.parse("") == "" and NORM.parse("layer") == "layer"
    for raw in ("Layer", ["layer"], None, 1, math.nan):
        with pytest.raises(ValueError, match="^is not one of batch, layer$"):
            NORM.parse(raw)


def test_number_takes_text_and_numbers_only() -> None:
    assert number("1e3") == 1000 and number(7) == 7
    assert math.copysign(1, number("-0.0")) == math.copysign(1, number(-0.0)) == 1
    for raw in (True, None, [1], b"1"):
        with pytest.raises(TypeError):
            number(raw)


@pytest.mark.parametrize(("low", "high", "per_decade"), [(-8, 0, 20), (-3, 1, 4), (0, 2, 1)])
def test_logarithmic_stops_rise_evenly(low: int, high: int, per_decade: int) -> None:
    stops = log_stops(low, high, per_decade)
    assert stops[0] == 10.0**low and stops[-1] == 10.0**high and len(stops) == per_decade * (high - low) + 1
    for place, stop in enumerate(stops):
        assert math.log10(stop) == pytest.approx(low + place / per_decade, abs=0.025), "two digits each"
        assert float(f"{stop:.1e}") == stop
    assert list(stops) == sorted(set(stops))


def test_even_stops_reach_both_ends() -> None:
    assert even_stops(-1, 1, 4) == (-1, -0.5, 0, 0.5, 1)
    assert even_stops(0, 0.3, 3) == (0, 0.1, 0.2, 0.3), "no 0.30000000000000004"
    assert EPS_STOPS[0] == 0 and EPS_STOPS[1] == 1e-8 and EPS_STOPS[-1] == 1


@pytest.mark.parametrize(
    ("raw", "moved"),
    [
        ("", ()), ([], ()), ("3:2.5", ((3, 2.5),)), ("7:-1,3:2.5,", ((3, 2.5), (7, -1.0))),
        ([[7, -1], [3, 2.5]], ((3, 2.5), (7, -1.0))), ("3:1,3:2", ((3, 2.0),)), ([["3", 1]], None),
        ("1:0,2:0,3:0", ((1, 0.0), (2, 0.0), (3, 0.0))), ("1:0,2:0,3:0,4:0", None), ("10:0", None),
        ("-1:0", None), ("3:1000001", None), ("3:nan", None), ("3:inf", None), ("3", None), ("x:1", None),
        ([[3, True]], None), ([[3.0, 1]], None), ([[3, None]], None), (3, None), (None, None),
        ({"3": 1}, None),
    ],
)  # fmt: skip
def test_moved_points_are_pairs_in_order(raw: Any, moved: tuple[tuple[int, float], ...] | None) -> None:
    values, problems = read([POINTS], {"moved": raw})
    assert values["moved"] == (moved or ())
    assert (problems == []) == (moved is not None)
    assert POINTS.parse(POINTS.write(values["moved"])) == values["moved"]


def test_a_refusal_names_what_is_wrong_with_moved_points() -> None:
    for raw, words in (
        ("1:0,2:0,3:0,4:0", "moves 4 points, at most 3 can be"),
        ("10:0", "needs point numbers 0 to 9 and values within a million"),
        ("x", "must be pairs such as 3:2.5,7:-1"),
    ):
        with pytest.raises(ValueError, match=words):
            POINTS.parse(raw)


def test_a_codec_of_ones_own_reads_and_writes() -> None:
    def parse(raw: Any) -> tuple[int, ...]:
        if not isinstance(raw, (str, list)):
            raise ValueError("must be digits")
        return tuple(int(digit) for digit in raw)

    digits = Control(
        "digits", "digits", (), "digits", unset="none", codec=Codec(parse, lambda v: "".join(map(str, v)))
    )
    assert read([digits], {"digits": "305"})[0] == {"digits": (3, 0, 5)}
    assert (
        write([digits], {"digits": (3, 0, 5)}) == {"digits": "305"} and write([digits], {"digits": ()}) == {}
    )
    values, (problem,) = read([digits], {"digits": 3})
    assert values == {"digits": ()} and problem == "digits=3 must be digits; none is used"


def test_the_parts_of_a_setting_that_are_right_are_kept() -> None:
    def parse(raw: Any) -> tuple[int, ...]:
        good = tuple(int(part) for part in raw.split(",") if part.isdigit())
        bad = [f"part “{part}” is no number" for part in raw.split(",") if not part.isdigit()]
        if bad:
            raise PartlyBroken(good, bad)
        return good

    listed = Control("listed", "listed", (), "listed", codec=Codec(parse, lambda v: ",".join(map(str, v))))
    assert read([listed], {"listed": "3,5"}) == ({"listed": (3, 5)}, [])
    values, problems = read([listed, SIZE], {"listed": "3,x,5,y", "size": "8"})
    assert values == {"listed": (3, 5), "size": 8}
    assert problems == [f"listed: part “{part}” is no number; it is left out" for part in "xy"]
    _, problems = read([listed], {"listed": ",".join("x" * 9)})
    assert len(problems) == MOST_PARTS + 1 and problems[-1] == f"listed: {9 - MOST_PARTS} more are left out"
    with pytest.raises(ValueError, match="part “x” is no number; part “y” is no number"):
        listed.parse("x,y")


def test_a_choice_is_called_by_its_name() -> None:
    named = Control("norm", "choice", "a", "norm", choices=("a", "b"), names=("layer norm", "batch norm"))
    assert (named.called("a"), named.called("b"), NORM.called("layer"), SIZE.called(32)) == (
        "layer norm", "batch norm", "layer", "32",
    )  # fmt: skip


def test_the_browser_is_told_how_stops_are_written() -> None:
    said = Control("rate", "number", 0.5, "rate", low=0, high=1, stops=(0.0, 0.5), says=lambda v: f"{v:.0%}")
    plain, own, names = describe([RATE, said, NORM])
    assert plain["shown"] == ["0", "0.5", "1"] and own["shown"] == ["0%", "50%"] and names["shown"] == []
    assert (names["choices"], plain["low"], plain["high"]) == (("batch", "layer", ""), 0, 1)
    for row in (plain, own, names):
        assert not {"codec", "says"} & set(row)
        json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(
    ("raw", "cells", "text"),
    [
        ("", (), ""),
        ("0-2,5,11", (0, 1, 2, 5, 11), "0-2,5,11"),
        ("5,0-2,1", (0, 1, 2, 5), "0-2,5"),
        ([3, 1, 2, 3], (1, 2, 3), "1-3"),
        ((), (), ""),
        (list(range(12)), tuple(range(12)), "0-11"),
    ],
)
def test_painted_cells_are_written_as_runs(raw: Any, cells: tuple[int, ...], text: str) -> None:
    assert CELLS.parse(raw) == cells
    assert CELLS.write(cells) == text and CELLS.parse(text) == cells


@pytest.mark.parametrize(
    "raw",
    [
        "x",
        "1-",
        "-1",
        "3-1",
        "0-12",
        "12",
        "0-99999999999999999999",
        "1.5",
        [12],
        [-1],
        [1.0],
        [True],
        [None],
        5,
        None,
    ],
)
def test_what_are_no_cells_is_refused_with_an_example(raw: Any) -> None:
    with pytest.raises(ValueError, match="cells from 0 to 11"):
        CELLS.parse(raw)
