"""Lanes look different, and their names fit."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from bnlib import NORMS
from book.race.looks import breadth, headings, looks
from book.race.panels import templates
from book.race.settings import DEFAULTS, NAMES


def test_lanes_of_a_race_look_different() -> None:
    norms = ["none", *NORMS]
    for first in norms:
        for second in norms:
            four = looks([first, second, second, "frn"])
            assert len({look.colour for look in four}) == 4
    alone = {norm: looks([norm])[0] for norm in ("none", "batch", "layer", "group", "rms")}
    assert len(set(alone.values())) == 5
    assert looks(["batch", "none"])[0] == alone["batch"], "a norm's look doesn't depend on its place"


@pytest.mark.parametrize("room", [54, 72, 105, 150])
def test_headings_fit_and_keep_values(room: int) -> None:
    names = [
        "filter response norm (learning rate 0.25)", "batch norm (width 128, cosine over 1000)",
        "no norm", "instance norm (injected noise 0.25)", "batch norm (momentum 0.999, learning rate 0.0215)",
    ]  # fmt: skip
    for name, (first, second) in zip(names, headings(names, room), strict=True):
        assert max(breadth(first), breadth(second)) <= room, (first, second)
        assert bool(second) == ("(" in name)
        for value in re.findall(r"[\d.]+", name)[:1]:
            assert value in second
    assert headings(names, 500)[0] == ("filter response norm", "learning rate 0.25")


def test_headings_tell_norms_and_placements_apart() -> None:
    names = [name for name, _ in headings(list(NAMES.values()), 54)]
    assert len(set(names)) == len(NAMES) and not any("…" in name for name in names)
    placed = [f"batch norm (norm placed {where} activation)" for where in ("before", "after")]
    assert headings(placed, 54) == [("batch", "before"), ("batch", "after")]


@pytest.mark.parametrize("panel", ["ridges", "time"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_headings_of_columns_do_not_overlap(panel: str, count: int) -> None:
    """Whatever the norms, on the narrowest figure: 300 pixels."""
    longest = sorted(NAMES, key=lambda norm: -len(NAMES[norm]))
    for norms in (("none", "batch", "renorm", "layer"), tuple(longest[:4]), tuple(longest[4:8])):
        lanes = tuple((norm, (("lr", 0.25),)) for norm in norms[:count])
        layout = templates(DEFAULTS | {"lanes": lanes}, narrow=True)[panel]["layout"]
        plotted = 300 - layout["margin"]["l"] - layout["margin"]["r"]
        rows: dict[float, list[tuple[float, float]]] = {}
        for note in layout["annotations"]:
            if isinstance(note["text"], str) and note["yanchor"] == "bottom":
                left, right = layout["xaxis" + note["xref"].split()[0][1:]]["domain"]
                middle, half = plotted * (left + right) / 2, breadth(note["text"]) / 2
                rows.setdefault(note.get("yshift", 0), []).append((middle - half, middle + half))
        assert [len(row) for row in rows.values()] == [count, count]
        for row in rows.values():
            assert all(end + 4 < start for (_, end), (start, _) in pairwise(sorted(row))), norms
            assert min(row)[0] > -layout["margin"]["l"] and max(row)[1] < plotted + layout["margin"]["r"]
