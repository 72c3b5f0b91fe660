"""How numbers are written in sentences: one format for every page."""

from __future__ import annotations

import math
from collections.abc import Mapping

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def brief(number: float) -> str:
    """Write three digits, a real minus, thousands in full, a power of ten for what is tiny: 3×10⁻⁶."""
    size = abs(number)
    if not math.isfinite(size):
        return "not a number" if math.isnan(number) else "−∞" if number < 0 else "∞"
    if size == 0 or size >= 1e-4:
        digits = f"{size:,.0f}" if size >= 999.5 else f"{size:.3g}"
    else:
        mantissa, exponent = f"{size:.2e}".split("e")
        power = f"10{str(int(exponent)).translate(_RAISED)}"
        digits = power if float(mantissa) == 1 else f"{float(mantissa):g}×{power}"
    return f"−{digits}" if number < 0 else digits


def equals(number: float, digits: int, percent: bool = False) -> str:
    """Write ``= 0.75``, or ``≈ 0.67`` where digits were dropped."""
    shown = f"{number:.{digits}{'%' if percent else 'f'}}"
    exact = math.isclose(number, round(number, digits + 2 * percent), abs_tol=1e-9)
    return f"{'=' if exact else '≈'} {shown}"


class Word(float):
    """A number in a sentence: ``{name}`` is brief, ``{name:.1%}`` is what Python makes of it."""

    def __format__(self, spec: str) -> str:
        return float.__format__(self, spec).replace("-", "−") if spec else brief(float(self))


def filled(sentence: str, numbers: Mapping[str, float]) -> str:
    """Put numbers into a sentence's ``{places}``."""
    return sentence.format_map({name: Word(value) for name, value in numbers.items()})
