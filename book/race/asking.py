"""Which scene a lab's settings are, and whether its question is still to be answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .scenes import OPENING, SCENES, LabScene, settings_of
from .table import RUN

UNANSWERED, SKIPPED = -2, -3  # what "guess" says besides a choice's number

_RUNS = ("lanes", "edits", *RUN)  # what the runs depend on


def scene_of(values: Mapping[str, Any]) -> str:
    """Return the name of the scene that the settings are, "" if they are none.

    A scene is named by the address, and its runs have the scene's settings: a race that was changed isn't
    asked about. An address that asks for nothing is the opening scene.
    """
    name = values["preset"]
    if not name and not values["experiment"] and values["step"] < 0:
        name = OPENING
    if name not in SCENES:
        return ""
    given = settings_of(SCENES[name].scene.start)
    return name if all(values[setting] == given[setting] for setting in _RUNS) else ""


def scene_in(values: Mapping[str, Any]) -> LabScene | None:
    """Return the scene that the settings are, None if they are none."""
    return SCENES.get(scene_of(values))


def is_open(values: Mapping[str, Any]) -> bool:
    """Say whether the settings are a scene whose question was neither answered nor skipped."""
    return values["guess"] == UNANSWERED and bool(scene_of(values))
