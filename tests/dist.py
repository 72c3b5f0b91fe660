"""The edition without a server as it is published: built once for all tests that look at it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from static.build import ROOT, build, inputs, is_current
from static.fetch import SETTING
from tests.once import once


def built() -> Path:
    """Return the folder: dist/ where it is of just these sources, else one that is kept for the tests.

    The first process that asks builds it, and the others wait for it. What chapters compute is what all tests
    have computed, `once`. Where a registry is out of reach, the error says which.
    """
    if is_current(ROOT / "dist", inputs()):
        return ROOT / "dist"
    return build(ROOT / "build" / "dist", numpy=os.environ.get(SETTING, ""), call=shared)


def shared(function: Callable[..., Any], *arguments: Any) -> Any:
    """Compute once for all tests what has a name; all else here."""
    try:
        hash(arguments)
    except TypeError:
        return function(*arguments)
    return once(function, *arguments)
