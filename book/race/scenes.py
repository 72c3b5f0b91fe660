"""Races worth a prediction: each claim about batch norm as a race, with its reason and its limit."""

from __future__ import annotations

from ._scene import GROUPS, LabScene, settings_of
from ._scenes_benefits import BENEFITS
from ._scenes_limits import LIMITS
from ._scenes_others import OTHERS

__all__ = ["GROUPS", "OPENING", "SCENES", "LabScene", "settings_of"]

OPENING = "opening"  # the scene of an address that asks for nothing
SCENES: dict[str, LabScene] = {one.scene.name: one for one in (*BENEFITS, *LIMITS, *OTHERS)}
