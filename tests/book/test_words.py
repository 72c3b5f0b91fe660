"""Numbers in words: the vectors are shared with the browser's own formats (assets/tests/numbers.test.js)."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from book.words import brief

VECTORS = json.loads((Path(__file__).parents[1] / "shared" / "numbers.json").read_text("utf-8"))


@pytest.mark.parametrize(("value", "text"), VECTORS)
def test_a_number_is_written_as_in_the_browser(value: float, text: str) -> None:
    assert brief(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "not a number"), (math.inf, "∞"), (-math.inf, "−∞"), (-0.0, "0")]
)
def test_what_json_has_no_number_for(value: float, text: str) -> None:
    assert brief(value) == text
