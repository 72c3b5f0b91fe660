"""Lanes look different, and their names fit."""

from __future__ import annotations

import re

import pytest

from bnlib import NORMS
from book.race.looks import headings, looks


def test_lanes_of_a_race_look_different() -> None:
    norms = ["none", *NORMS]
    for first in norms:
        for second in norms:
            four = looks([first, second, second, "frn"])
            assert len({look.colour for look in four}) == 4
    alone = {norm: looks([norm])[0] for norm in ("none", "batch", "layer", "group", "rms")}
    assert len(set(alone.values())) == 5
    assert looks(["batch", "none"])[0] == alone["batch"], "a norm's look doesn't depend on its place"


@pytest.mark.parametrize("room", [9, 11, 16, 23])
def test_headings_fit_and_keep_values(room: int) -> None:
    names = [
        "filter response norm (learning rate 0.25)", "batch norm (width 128, cosine over 1000)",
        "no norm", "instance norm (injected noise 0.25)",
    ]  # fmt: skip
    for name, (first, second) in zip(names, headings(names, room), strict=True):
        assert max(len(first), len(second)) <= room, (first, second)
        assert bool(second) == ("(" in name)
        for value in re.findall(r"[\d.]+", name)[:1]:
            assert value in second
    assert headings(names, 80)[0] == ("filter response norm", "learning rate 0.25")
