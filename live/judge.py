"""A race as a session watches it, and what is said of it at a step: how it stands, why, what that answers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from bnlib import RunConfig
from bnlib.experiments.found import found
from bnlib.training.recordings import Frame
from book.controls import Values
from book.race import lanes, reasons, verdict
from book.race.asking import is_open, scene_of
from book.race.evidence import RACES, settings_of
from book.race.scenes import SCENES
from book.race.settings import LAB_STEPS, RUN
from book.words import filled

from .limits import fits

NEEDED = tuple(dict.fromkeys((*verdict.ARRAYS_NEEDED, *reasons.ARRAYS_NEEDED)))
NEEDED_OF_GHOSTS = ("val_accuracy", "train_loss")


class Race(NamedTuple):
    """What one socket watches.

    ghosts : by lane those that differ from it
    scene, open, guess : the scene that the settings are ("": none), whether its question waits for an answer,
        and what was answered (see `book.race.asking`)
    experiment : the name of the experiment whose race this is, or ""
    until : the step at which the scene or the experiment's race is judged; 0: it is neither
    heading : of an experiment's race
    """

    names: list[str]
    configs: list[RunConfig]
    ghosts: dict[int, RunConfig]
    scene: str = ""
    open: bool = False
    guess: int = 0
    experiment: str = ""
    until: int = 0
    heading: str = ""

    @classmethod
    def of(cls, values: Values, draft: bool = False) -> Race:
        """Return the race of a lab's settings; while it is drafted the page still has the ghost."""
        configs = lanes.lane_configs(values, draft)
        before = None if draft else lanes.ghost_of(values)
        ghosts = lanes.lane_configs(before) if before else []
        differing = {
            lane: ghost
            for lane, (ghost, config) in enumerate(zip(ghosts, configs, strict=False))
            if ghost != config and fits(ghost)
        }
        found = cls(lanes.lane_names(values), configs, differing)
        if scene := scene_of(values):
            asked = {"scene": scene, "open": is_open(values), "guess": values["guess"]}
            return found._replace(**asked, until=SCENES[scene].until)
        return found._replace(**_of_experiment(values))

    @property
    def key(self) -> Hashable:
        """What a verdict depends on, besides the step."""
        answered = self.guess if self.scene else 0
        return (tuple(self.names), tuple(self.configs), tuple(self.ghosts.items()), self.here, answered)

    @property
    def here(self) -> str:
        """The short address of the scene or the experiment's race; "" of any other."""
        if self.scene:
            return f"training-lab?preset={self.scene}"
        return f"training-lab?experiment={self.experiment}" if self.experiment else ""

    def horizon(self, step: int) -> int:
        """Return how far frames may be sent: while the question is open, no further than step 0."""
        return 0 if self.open else min(step, LAB_STEPS)


def _of_experiment(values: Values) -> dict[str, Any]:
    """Return the experiment whose race the settings are; a race that was changed is none of an experiment."""
    name = values["experiment"]
    experiment, race = RACES.get((name, values["race"]), (None, None))
    if experiment is None or race is None:
        return {}
    given = settings_of(race)
    if any(values[setting] != given[setting] for setting in ("lanes", "edits", *RUN)):
        return {}
    until = min(race.steps, LAB_STEPS)
    heading = f"{name}, {experiment.title}. {race.title}, judged at step {until}."
    return {"experiment": name, "until": until, "heading": heading}


class Said(NamedTuple):
    """How a race stands at a step, who leads, why, when it would be otherwise, and where to read on."""

    text: str
    leader: int
    because: str
    change: str
    read: tuple[tuple[str, str], ...]


def said(race: Race, frames: Sequence[Frame], ghosts: Mapping[int, Frame], step: int) -> Said:
    """Say how a race stands at ``step``: ``frames`` of its lanes up to there, and by lane those of ghosts."""
    text, leader = verdict.verdict(race.names, race.configs, frames, step, ghosts)
    because, change, read = reasons.reasons(race.names, race.configs, frames, step, race.here)
    return Said(text, leader, because, change, read)


def numbers(race: Race, frames: Sequence[Frame], step: int) -> dict[str, float]:
    """Return what a scene's sentences are made of."""
    return verdict.numbers(race.names, race.configs, frames, step)


def story(race: Race, measured: Mapping[str, float], step: int) -> dict[str, Any]:
    """Return what is told once a scene's question is answered or skipped, as `book.predictions.told` does.

    ``measured``: the numbers at the step where it is judged.
    """
    scene = SCENES[race.scene].scene
    values = [choice.value for choice in scene.choices]
    right = values.index(measured[scene.measured])
    credit = scene.choices[values.index(race.guess)].credit if race.guess in values else ""
    return {
        "right": right,
        "said": filled(scene.said, measured),
        "credit": "" if race.guess == values[right] else credit,
        "because": filled(scene.because, measured),
        "but": filled(scene.but, measured),
        "holds": step == race.until,
        "reveal": {"step": race.until},
    }


def evidence(race: Race, step: int) -> dict[str, Any] | None:
    """Return what the experiment of a race found at full size, from the step on at which it is judged."""
    return found(race.experiment) if race.experiment and step >= race.until else None
