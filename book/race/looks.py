"""A race as its pictures know it: names, configurations and looks of its lanes; names that are short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    "norm placed before activation": "before",
    "norm placed after activation": "after",
    "learning rate": "lr",
    "batch size": "batch",
    "init scale": "init",
    "power iterations": "iterations",
    "weight decay": "decay",
    "cosine over": "cosine",
    "initial weights": "init",
    "injected noise": "noise",
}
# Norms whose names don't get short by leaving out "norm"; the capitals are those of their papers.
_SHORT = {
    "batch renorm": "renorm",
    "ghost batch norm": "ghost",
    "running-average norm": "running",
    "filter response norm": "FRN",
    "dynamic tanh": "DyT",
    "weight standardization": "WS",
}
HEADING = 12  # the painter's font size, in pixels


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
                if isinstance(value, bool) and value == getattr(config.at(step - 1), name):
                    continue  # nothing to freeze in this lane
                shown = f"{value:g}" if isinstance(value, float) else RUN[name].called(value)
                changes.setdefault(step, {})[f"{RUN[name].label} {shown}"] = None
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


def breadth(text: str) -> float:
    """Estimate the pixels that a heading takes, as the painter does (assets/plotting.js)."""
    return HEADING * sum(
        0.31 if letter in "iIjl.,:;'|!´` ·" else 0.92 if letter in "mwMW@%—…×→←≥≤"
        else 0.7 if letter.isascii() and letter.isupper() or letter in "ΔΣ" else 0.57
        for letter in text
    )  # fmt: skip


def headings(names: Sequence[str], room: float) -> list[tuple[str, str]]:
    """Shorten names such as "batch norm (learning rate 2)" to two lines of ``room`` pixels each.

    The first line is the norm, the second what the lane differs in. Values are kept whole.
    """
    found = []
    for name in names:
        norm, _, differs = name.partition(" (")
        short = _SHORT.get(norm, norm if norm == "no norm" else norm.removesuffix(" norm"))
        found.append((_first((norm, short, *_cuts(short)), room), _settings(differs[:-1], room)))
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


def _settings(differs: str, room: float) -> str:
    parts = _brief(differs)
    label, _, value = parts[0].rpartition(" ")
    ends = (", …", "") if len(parts) > 1 else ("",)
    shorter = [f"{words} {value}{end}" for end in ends for words in (label, *_cuts(label)) if words]
    alone = [value + end for end in ends]
    return _first((differs, ", ".join(parts), *shorter, *alone, *_cuts(value)), room)


def _cuts(words: str) -> list[str]:
    """Leave out more and more of the end."""
    return [words[:kept].rstrip() + "…" for kept in range(len(words) - 1, 0, -1)]


def _first(texts: Iterable[str], room: float) -> str:
    """Return the first text that fits, or the last one."""
    text = ""
    for text in texts:
        if breadth(text) <= room:
            break
    return text
