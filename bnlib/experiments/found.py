"""What the experiments found at full size, kept in a file for pages that can't wait for it.

`keep` writes the file; `python -m bnlib experiments keep` computes everything and calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from . import audit
from .figures import readable
from .findings import Check
from .kept import Kept, load, refuse_reduced, write
from .model import Result

FILE = Path(__file__).with_suffix(".json")
DIGITS = 5  # of a kept number


def found(name: str) -> dict[str, Any] | None:
    """Return what an experiment found, as plain JSON; None where nothing is kept.

    Returns
    -------
    dict with "name", "title", "verdict" (one sentence), "claims" (what it says of them, computed from its
    checks), "rows", "notes", "setup", "theory", "accepted", "contested", "caveat", "sources", and "where",
    how it was computed. A row is a check: "what", "expected", "measured", "low", "high", "accepted",
    "outcome", which is "holds", "fails" or "reported", "exact" (an identity, a moment or a count) and
    "misses", the share of draws of fresh seeds on which it fails, None where that is unknown. Failing checks
    come first, then those of claims, then exact ones, then what is reported.
    """
    return _kept().get(name)


@cache
def _kept() -> Kept:
    return load(FILE)


def keep(results: Sequence[Result], path: Path = FILE) -> None:
    """Write what experiments have found at full size.

    Raises
    ------
    ValueError
        If a result is of another size.
    """
    refuse_reduced(results, "run them")
    write(path, {result.experiment.name: plain(result) for result in results})
    _kept.cache_clear()


def plain(result: Result) -> dict[str, Any]:
    """Return a result as plain JSON: what `found` returns."""
    experiment = result.experiment
    checks = sorted(
        result.findings.checks, key=lambda one: (one not in result.failed, one.reported, one.exact)
    )
    return {
        "name": experiment.name,
        "title": experiment.title,
        "verdict": readable(result.verdict),
        "rows": [_row(one, audit.misses(experiment.name, one)) for one in checks],
        "notes": [readable(note) for note in result.findings.notes],
        "claims": result.claimed,
        **{
            part: getattr(experiment, part) for part in ("setup", "theory", "accepted", "contested", "caveat")
        },
        "sources": list(experiment.sources),
        "where": f"Computed at {result.size} size with NumPy {np.__version__}: "
        f"python -m bnlib experiments run {experiment.name}",
    }


def _row(one: Check, misses: float | None) -> dict[str, Any]:
    outcome = "reported" if one.reported else "holds" if one.holds else "fails"
    numbers = {name: _number(getattr(one, name)) for name in ("expected", "measured", "low", "high")}
    row = {"what": one.what, **numbers, "accepted": readable(one.accepted), "outcome": outcome}
    return row | {"exact": one.exact, "misses": misses}


def _number(value: float | None) -> float | None:
    """Round to `DIGITS` digits, so that another machine's last digits don't change the file."""
    return float(f"{value:.{DIGITS}g}") if value is not None and isfinite(value) else None
