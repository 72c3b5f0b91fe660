"""Files of what was found at full size, beside the code, for pages that can't wait for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .model import Experiment

Kept = dict[str, dict[str, Any]]  # by experiment


class _Found(Protocol):
    @property
    def experiment(self) -> Experiment: ...
    @property
    def size(self) -> str: ...


def load(path: Path) -> Kept:
    """Return what a file keeps; nothing where there is none."""
    kept: Kept = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return kept


def write(path: Path, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Write it, the experiments in their order."""
    ordered = {name: kept[name] for name in sorted(kept, key=lambda name: int(name.removeprefix("E")))}
    path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", "utf-8")


def refuse_reduced(found: Sequence[_Found], again: str) -> None:
    """Raise a ValueError if something was found at reduced size; `again` says how to have it in full."""
    smaller = [one.experiment.name for one in found if one.size != "full"]
    if smaller:
        raise ValueError(f"keep: {', '.join(smaller)} ran at reduced size; {again} in full")
