"""Equations with live numbers in them, each of which opens into its arithmetic.

A term is plain JSON for the browser (a string, or a list whose first entry says how the rest is set), and
whether a number in it has lost digits: beside such a one stands ≈, not =.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .words import brief

FIRST, LAST = 4, 1  # of a long sum


class Term(NamedTuple):
    """A part of an equation.

    node : a string, or ["frac", top, bottom], ["root", inside], ["ref", key, inside], ["sub", base, index],
        ["part", name, inside], ["row", ...]
    rounded : whether a number in it has lost digits
    """

    node: Any
    rounded: bool = False


Part = Term | str


def is_exact(value: float) -> bool:
    """Whether three digits, or a whole number from 1,000 on, are all that ``value`` has."""
    size = abs(value)
    kept = round(size) if size >= 1000 else float(f"{size:.3g}")
    return bool(np.float32(kept) == np.float32(size))


def told(value: float) -> Term:
    """Write a number."""
    return Term(brief(value), not is_exact(value))


def bracketed(value: float) -> Term:
    """Write a number that may be negative where a sign stands before it."""
    return told(value) if value >= 0 else Term(f"({brief(value)})", not is_exact(value))


def row(*parts: Part) -> Term:
    """Set parts side by side."""
    return _set("row", parts)


def frac(top: Part, bottom: Part) -> Term:
    """Set a fraction."""
    return _set("frac", (top, bottom))


def root(inside: Part) -> Term:
    """Set a square root."""
    return _set("root", (inside,))


def sub(base: Part, index: Part) -> Term:
    """Set an index."""
    return _set("sub", (base, index))


def ref(key: str, inside: Part) -> Term:
    """Set a number that opens the equation ``key``."""
    term = _term(inside)
    return Term(["ref", key, term.node], term.rounded)


def part(name: str, inside: Part, active: bool = False) -> Term:
    """Set a part that can be lit by itself."""
    term = _term(inside)
    return Term(["part", name, active, term.node], term.rounded)


def total(numbers: Sequence[float], squared: bool = False) -> Term:
    """Set a sum: of many numbers the first few, an ellipsis, the last."""
    all_of = list(numbers)
    short = len(all_of) <= FIRST + LAST + 1
    kept = all_of if short else [*all_of[:FIRST], *all_of[-LAST:]]
    terms: list[Part] = []
    for place, value in enumerate(kept):
        if place:
            terms.append(" + ")
        if not short and place == FIRST:
            terms.append("… + ")
        terms.append(bracketed(value))
        if squared:
            terms.append("²")
    return row(*terms)


@dataclass(frozen=True)
class Equation:
    """One quantity: how it is written, what it is now, and how that comes about.

    key, name : what refers to it, and what it is called
    formula : as in the paper
    value : None while it isn't known yet
    steps : from the symbol to the number, joined by = or ≈
    active : whether the walk through the operations is here
    """

    key: str
    name: str
    formula: Term
    value: float | None
    steps: tuple[Term, ...] = ()
    active: bool = False

    def describe(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        known = self.value is not None
        chain: list[Any] = []
        for place, step in enumerate(self.steps if known else ()):
            if place:
                chain.append("≈" if step.rounded or self.steps[place - 1].rounded else "=")
            chain.append(step.node)
        return {
            "key": self.key, "name": self.name, "formula": self.formula.node, "active": self.active,
            "shown": "?" if self.value is None else brief(self.value),
            "sign": "=" if self.value is None or is_exact(self.value) else "≈",
            "known": known, "steps": chain,
        }  # fmt: skip


def _term(part: Part) -> Term:
    return part if isinstance(part, Term) else Term(part)


def _set(kind: str, parts: Sequence[Part]) -> Term:
    terms = [_term(part) for part in parts]
    return Term([kind, *(term.node for term in terms)], any(term.rounded for term in terms))
