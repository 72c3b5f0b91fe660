"""A scene of the training lab: a race, a question about it, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from book.chapter import Choice, Scene
from book.controls import Values

from .lanes import lane_names
from .table import LANES, RUN
from .verdict import LEVEL

# What a race is about; a group named after the outcome would give it away.
GROUPS = (
    "Depth and initial weights",
    "Learning rate",
    "Samples that share a mean",
    "Other networks",
    "Settings of a norm",
)
LEVEL_LABEL = "no clear lead"


@dataclass(frozen=True)
class LabScene:
    """A race with a question.

    scene : the question and what is said once it is answered; its start is what differs from the lab's
        defaults, its templates are filled with `verdict.numbers` at the step where it is judged
    group : the heading that it is listed under, one of GROUPS
    until : the step at which the race is judged
    read : where to read on, words and address
    """

    scene: Scene
    group: str
    until: int
    read: tuple[tuple[str, str], ...]


def settings_of(start: Mapping[str, Any]) -> Values:
    """Return all that the runs of a scene depend on."""
    defaults = {name: control.default for name, control in RUN.items()}
    return defaults | {"lanes": LANES, "edits": ()} | dict(start)


def lab_scene(
    name: str,
    title: str,
    question: str,
    *,
    group: str,
    until: int,
    start: Mapping[str, Any],
    because: str,
    but: str,
    task: str,
    read: tuple[tuple[str, str], ...],
    said: str = "",
    credits: Mapping[int, str] | None = None,
) -> LabScene:
    """Make a scene: its choices are the lanes and that none leads clearly.

    ``said`` lists every lane's validation accuracy if it isn't given; ``credits``: by choice, what is right
    about it where another one was measured.
    """
    lanes, given = lane_names(settings_of(start)), credits or {}
    choices = [Choice(lane, number, given.get(number, "")) for number, lane in enumerate(lanes)]
    choices.append(Choice(LEVEL_LABEL, LEVEL, given.get(LEVEL, "")))
    found = ", ".join(f"{lane} {{accuracy_{number}:.1f}}%" for number, lane in enumerate(lanes))
    scene = Scene(
        name=name,
        title=title,
        question=question,
        choices=tuple(choices),
        measured="leader",
        start=dict(start),
        reveal={"step": until},
        said=said or f"At step {until}: {found}.",
        because=because,
        but=but,
        task=task,
    )
    return LabScene(scene, group, until, read)
