"""What is taken away from any chapter: CSV that other programs read back to the same numbers."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from book.chapter import Chapter, View
from book.controls import Control
from book.export import csv_text, file_name, script_text

CONTROLS = (Control("size", "whole", 4, "size", "", 1, 9),)
CHAPTER = Chapter("two_words", "Two", "How many?", controls=CONTROLS, script=lambda values: "print(1)\n")
TABLE = {
    "step": np.array([0, 1]),
    "loss": np.array([1 / 3, np.nan]),
    "name": ['with "marks", and commas', "b"],
}


def test_numbers_keep_their_digits_and_what_is_missing_is_empty() -> None:
    lines = csv_text(CHAPTER, {"size": 5}, View(table=TABLE)).splitlines()
    assert lines[0] == "# How many? From BatchNorm Lab" and lines[2].endswith("?size=5")
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [float(row["loss"]) for row in rows[:1]] == [1 / 3] and rows[1]["loss"] == ""
    assert [row["name"] for row in rows] == TABLE["name"] and [row["step"] for row in rows] == ["0", "1"]


def test_columns_of_other_lengths_are_no_table() -> None:
    with pytest.raises(ValueError):
        csv_text(CHAPTER, {"size": 4}, View(table={"a": [1, 2], "b": [1]}))


def test_files_are_named_after_their_chapter() -> None:
    assert [file_name(CHAPTER, what) for what in ("csv", "python")] == [
        "batchnorm-two-words.csv",
        "batchnorm-two-words.py",
    ]


def test_a_script_says_where_it_comes_from() -> None:
    text = script_text(CHAPTER, {"size": 7})
    assert text.startswith('"""How many?') and "?size=7" in text and text.endswith("print(1)\n")
    compile(text, "script", "exec")
    with pytest.raises(ValueError, match="has no script"):
        script_text(Chapter("bare", "Bare", "What?"), {})
