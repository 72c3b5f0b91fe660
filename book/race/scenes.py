"""Races worth a prediction: each claim about batch norm as a race, with its reason and its limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ._scene import GROUPS, LabScene, settings_of
from ._scenes_benefits import BENEFITS
from ._scenes_limits import LIMITS
from ._scenes_others import OTHERS

__all__ = ["GROUPS", "OPENING", "SCENES", "LabScene", "settings_of", "titled"]

OPENING = "opening"  # the scene of an address that asks for nothing
_BY_GROUP = sorted((*BENEFITS, *LIMITS, *OTHERS), key=lambda one: GROUPS.index(one.group))
_TITLES = {f"training-lab?preset={one.scene.name}": f"Race: {one.scene.title}" for one in _BY_GROUP}


def titled(read: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return links whose words, where they lead to a scene, are those of the menu."""
    return tuple((_TITLES.get(address, words), address) for words, address in read)


SCENES: dict[str, LabScene] = {one.scene.name: replace(one, read=titled(one.read)) for one in _BY_GROUP}
