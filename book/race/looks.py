"""A race as its pictures know it: names, configurations and looks of its lanes; names that are short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bnlib import RunConfig
from book.controls import Values
from book.figure import COLOURS

from .lanes import lane_configs, lane_names
from .settings import RUN


class Look(NamedTuple):
    """The colour and the dash of a lane's lines, in Plotly's words."""

    colour: str
    dash: str


_USUAL = {
    "none": Look(COLOURS[1], "dash"),
    "batch": Look(COLOURS[0], "solid"),
    "layer": Look(COLOURS[2], "dashdot"),
    "group": Look(COLOURS[3], "dash"),
    "rms": Look(COLOURS[4], "dot"),
}
_SPARE = (
    Look(COLOURS[8], "dashdot"),
    Look(COLOURS[7], "dash"),
    Look(COLOURS[5], "solid"),
    Look(COLOURS[6], "dot"),
)
# Shorter words for the settings that lanes differ in most often.
_BRIEF = {
    "learning rate": "lr",
    "batch size": "batch",
    "init scale": "init",
    "power iterations": "iterations",
    "weight decay": "decay",
    "cosine over": "cosine",
    "initial weights": "init",
    "injected noise": "noise",
}


def looks(norms: Sequence[str]) -> list[Look]:
    """Choose a look for each lane: usual norms have their own, others and repeated ones a spare one."""
    spare = iter(_SPARE * (1 + len(norms) // len(_SPARE)))
    return [
        _USUAL[norm] if norm in _USUAL and norms.index(norm) == lane else next(spare)
        for lane, norm in enumerate(norms)
    ]


@dataclass(frozen=True)
class Race:
    """What the pictures have to know of a race, apart from what it recorded.

    edits : steps at which settings change in mid-run, and the changes in words
    """

    names: Sequence[str]
    configs: Sequence[RunConfig]
    looks: Sequence[Look]
    edits: Sequence[tuple[int, str]] = ()

    @classmethod
    def of(cls, values: Values) -> Race:
        """Return the race that a lab's settings stand for."""
        return cls.between(lane_names(values), lane_configs(values))

    @classmethod
    def between(cls, names: Sequence[str], configs: Sequence[RunConfig]) -> Race:
        """Return the race between training runs."""
        changes: dict[int, dict[str, None]] = {}
        for config in configs:
            for step, name, value in config.edits:
                shown = f"{value:g}" if isinstance(value, float) else str(value)
                changes.setdefault(step, {})[f"{RUN[name].label if name in RUN else name} {shown}"] = None
        edits = [(step, ", ".join(words)) for step, words in sorted(changes.items())]
        return cls(names, configs, looks([config.norm for config in configs]), edits)

    @property
    def gan(self) -> bool:
        """Whether two networks play against each other."""
        return self.configs[0].network == "gan"

    @property
    def depth(self) -> int:
        """How many layers the deepest network has."""
        return max(config.depth for config in self.configs)

    def rings(self, lane: int) -> bool:
        """Say whether a lane's network is judged in a second way, which is drawn as rings."""
        norm = self.configs[lane].on_activations
        return self.gan or bool(norm and norm.running)


def headings(names: Sequence[str], room: int) -> list[tuple[str, str]]:
    """Shorten names such as "batch norm (learning rate 2)" to two lines of ``room`` characters each.

    The first line is the norm, the second what the lane differs in. Values are kept whole.
    """
    found = []
    for name in names:
        norm, _, differs = name.partition(" (")
        found.append((_fitted(norm, norm.removesuffix(" norm"), room), _settings(differs[:-1], room)))
    return found


def brief_name(name: str, room: int) -> str:
    """Use shorter words for what a lane differs in, where its name has more than ``room`` characters."""
    norm, bracket, differs = name.partition(" (")
    return name if len(name) <= room else norm + bracket + ", ".join(_brief(differs))


def _brief(differs: str) -> list[str]:
    parts = differs.split(", ")
    for label, brief in _BRIEF.items():
        parts = [brief + part.removeprefix(label) if part.startswith(label) else part for part in parts]
    return parts


def _settings(differs: str, room: int) -> str:
    if len(differs) <= room:
        return differs
    parts = _brief(differs)
    if len(", ".join(parts)) <= room:
        return ", ".join(parts)
    more = ", …" if len(parts) > 1 else ""
    label, _, value = parts[0].rpartition(" ")
    if len(parts[0]) + len(more) > room and label:
        return f"{_cut(label, room - len(value) - len(more) - 1)} {value}{more}"
    return parts[0] + more


def _fitted(name: str, short: str, room: int) -> str:
    return name if len(name) <= room else short if len(short) <= room else _cut(short, room)


def _cut(words: str, room: int) -> str:
    return words if len(words) <= room else words[: max(1, room - 1)].rstrip() + "…"
