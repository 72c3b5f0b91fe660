"""Equations: what is set, where digits were lost, and what a browser is told."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from book.equations import (
    Equation,
    Term,
    bracketed,
    frac,
    is_exact,
    part,
    ref,
    root,
    row,
    sub,
    told,
    total,
)  # fmt: skip


@pytest.mark.parametrize(
    "value", [0.0, 1, -2.5, 0.125, 999, 1000, -12345, 1e6, 0.01, 1e-5, float(np.float32(0.1))]
)
def test_numbers_that_three_digits_tell_are_exact(value: float) -> None:
    assert is_exact(value) is True


@pytest.mark.parametrize("value", [1 / 3, 0.1234, -math.pi, 12.34, 999.5, 1000.5, 1.0001, 1e-5 + 1e-8])
def test_numbers_that_lose_digits_are_not(value: float) -> None:
    assert is_exact(value) is False


def test_a_number_knows_whether_it_was_rounded() -> None:
    assert told(0.25) == Term("0.25", False)
    assert told(-1 / 3) == Term("−0.333", True)
    assert bracketed(0.5) == Term("0.5", False) and bracketed(0.0) == Term("0", False)
    assert bracketed(-0.5) == Term("(−0.5)", False)
    assert bracketed(-2 / 3) == Term("(−0.667)", True)


def test_terms_are_lists_of_what_is_inside() -> None:
    assert row("a", told(2.0)).node == ["row", "a", "2"]
    assert frac("1", row("m")).node == ["frac", "1", ["row", "m"]]
    assert root(told(4.0)).node == ["root", "4"]
    assert sub("x", "i").node == ["sub", "x", "i"]
    assert ref("mean", told(0.5)).node == ["ref", "mean", "0.5"]
    assert part("eps", "ε").node == ["part", "eps", False, "ε"]
    assert part("eps", "ε", active=True).node == ["part", "eps", True, "ε"]


@pytest.mark.parametrize(
    "around", [row, root, lambda t: frac(t, "2"), lambda t: frac("2", t), lambda t: sub("x", t),
               lambda t: ref("k", t), lambda t: part("p", t), lambda t: row("a", root(frac("1", t)))],
)  # fmt: skip
def test_what_was_rounded_inside_is_rounded_outside(around: object) -> None:
    assert around(told(1 / 3)).rounded is True  # type: ignore[operator]
    assert around(told(0.5)).rounded is False  # type: ignore[operator]


@pytest.mark.parametrize("count", range(1, 9))
def test_a_sum_shows_the_first_numbers_and_the_last(count: int) -> None:
    numbers = [float(k + 1) for k in range(count)]
    kind, *shown = total(numbers).node
    text = "".join(shown)
    assert kind == "row"
    if count <= 6:
        assert text == " + ".join(f"{number:g}" for number in numbers)
    else:
        assert text == f"1 + 2 + 3 + 4 + … + {count}"


def test_a_sum_sets_negative_numbers_in_brackets_and_squares_each() -> None:
    assert "".join(total([-1.5, 2.0]).node[1:]) == "(−1.5) + 2"
    assert "".join(total([-1.5, 2.0], squared=True).node[1:]) == "(−1.5)² + 2²"
    long = total([-1.0] * 100, squared=True)
    assert "".join(long.node[1:]).count("(−1)²") == 5 and not long.rounded


def test_a_sum_is_rounded_where_a_number_that_is_shown_was() -> None:
    assert total([1 / 3, 1.0]).rounded
    assert not total([1.0, 1.0, 1.0, 1.0, 1 / 3, 1.0, 1.0]).rounded, "the fifth is in the ellipsis"


def test_an_equation_says_where_digits_were_lost() -> None:
    third = told(1 / 3)
    shown = Equation("mean", "the mean", row("μ"), 1 / 3, (row("1 / 3"), third)).describe()
    assert (shown["shown"], shown["sign"], shown["known"]) == ("0.333", "≈", True)
    assert shown["steps"] == [["row", "1 / 3"], "≈", "0.333"]
    shown = Equation("mean", "the mean", row("μ"), 0.5, (row("1 / 2"), told(0.5)), active=True).describe()
    assert (shown["shown"], shown["sign"], shown["active"]) == ("0.5", "=", True)
    assert shown["steps"] == [["row", "1 / 2"], "=", "0.5"]
    chain = Equation("mean", "the mean", row("μ"), 0.5, (told(0.5), third, told(0.5), told(0.5))).describe()
    assert chain["steps"] == ["0.5", "≈", "0.333", "≈", "0.5", "=", "0.5"]


def test_what_is_not_known_yet_has_no_steps() -> None:
    shown = Equation("mean", "the mean", row("μ"), None, (told(0.5), told(1 / 3))).describe()
    assert (shown["shown"], shown["sign"], shown["known"], shown["steps"]) == ("?", "=", False, [])


def test_an_equation_is_plain_json() -> None:
    equation = Equation("v", "variance", frac(total([0.1, 2]), sub("x", "i")), 2.0, (ref("m", told(2)),))
    assert json.loads(json.dumps(equation.describe(), allow_nan=False)) == equation.describe()
