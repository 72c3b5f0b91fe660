"""Worlds without an effect: what was measured, given to other arms, so that a check can be seen to fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..norms.statistics import Array
from .findings import Label
from .model import Null


def same(words: str, instead: Mapping[Any, Any]) -> Null:
    """Return the world in which an arm is as another: labels have their parts replaced by `instead`.

    {"batch": "none"} gives the numbers of ("none", 5) to ("batch", 5); {"batch": "none", "none": "batch"}
    exchanges the two. A label whose counterpart wasn't measured keeps its own numbers.
    """

    def counterpart(label: Label) -> Label:
        parts = label if isinstance(label, tuple) else (label,)
        there = tuple(instead.get(part, part) for part in parts)
        return there if isinstance(label, tuple) else there[0]

    return Null(words, lambda results: {one: results.get(counterpart(one), results[one]) for one in results})


def exchanged(first: Any, second: Any, words: str = "") -> Null:
    """Return the world in which two arms have changed places."""
    return same(words or f"{first} and {second} exchanged", {first: second, second: first})


def changed(words: str, change: Callable[[Label, dict[str, Array]], Mapping[str, Array]]) -> Null:
    """Return the world in which some quantities of a cell are others: what `change` makes of its numbers."""
    return Null(
        words, lambda results: {one: {**found, **change(one, dict(found))} for one, found in results.items()}
    )
