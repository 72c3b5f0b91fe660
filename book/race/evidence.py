"""The races of the named experiments as the training lab's settings, and the short links to races."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bnlib.experiments import EXPERIMENTS, Experiment, Race
from book.controls import Values, read, shown, write

from .runs import lane_configs
from .scenes import SCENES
from .settings import DEFAULTS, LAB_CONTROLS, LAB_STEPS, LANE_FIELDS, RUN_CONTROLS

_OF_BATCH_NORM = ("norm_batch", "batch_order")  # lanes with another norm have none
_NOT_SHOWN = ("record_every", "validate_every", "dtype", "replicas")
_OF_SCENES = {"preset", "guess", "step", "speed"}  # what a short link to a scene can hold


def settings_of(race: Race) -> Values:
    """The lab's settings that show ``race``, paused at its last step, where what it is about can be seen.

    What the first lane has is shared; the others have of their own what they differ in from it.
    """
    first = race.configs[0]
    common = {control.name: getattr(first, control.name) for control in RUN_CONTROLS}
    lanes = []
    for config in race.configs:
        names = [n for n in LANE_FIELDS if config.norm == "batch" or n not in _OF_BATCH_NORM]
        own = tuple((n, getattr(config, n)) for n in names if getattr(config, n) != common[n])
        lanes.append((config.norm, own))
    return DEFAULTS | common | {"lanes": tuple(lanes), "step": min(race.steps, LAB_STEPS)}


def races() -> dict[tuple[str, int], tuple[Experiment, Race]]:
    """Every race of every experiment, by the experiment's name and the race's number, from 1 on."""
    return {
        (name, number): (experiment, race)
        for name, experiment in EXPERIMENTS.items()
        if not isinstance(experiment.races, str)
        for number, race in enumerate(experiment.races(), start=1)
    }


RACES = races()


def listed() -> list[dict[str, Any]]:
    """The races for the page, which offers them, opens them and says which one it shows."""
    entries = []
    for (name, number), (experiment, race) in RACES.items():
        values = settings_of(race) | {"experiment": name, "race": number}
        entries.append(
            {
                "experiment": f"{name} {experiment.title}",
                "race": race.title,
                "heading": f"{name}, {experiment.title}. {race.title}, judged at step {race.steps}.",
                "values": {key: value for key, value in values.items() if value != DEFAULTS[key]},
            }
        )
    return entries


def address_of(name: str, number: int = 1) -> dict[str, str]:
    """The full address of a race, as texts by setting."""
    _, race = RACES[name, number]
    return write(LAB_CONTROLS, settings_of(race) | {"experiment": name, "race": number})


def race_address(race: Race) -> str | None:
    """Return the query of the address at which the lab shows these networks; None where it can't.

    It can't where a setting is beyond its range, or where one that it doesn't have makes a difference. How
    often the networks are recorded, and with how many digits, doesn't count.
    """
    address = write(LAB_CONTROLS, settings_of(race))
    there, problems = read(LAB_CONTROLS, address)
    if problems:
        return None
    for own, asked in zip(lane_configs(there), race.configs, strict=True):
        if replace(asked, **{name: getattr(own, name) for name in _NOT_SHOWN}) != own:
            return None
    return urlencode(address)


class Link(NamedTuple):
    """Where an address leads.

    address : the settings there
    problems : what is wrong with a short link
    note : what there is to know of an experiment without races
    opens : whether the address was a short one, which is now spelled out
    """

    address: dict[str, str]
    problems: list[str] = []
    note: str = ""
    opens: bool = False


def open_link(query: Mapping[str, str]) -> Link:
    """Spell out a short link: ``experiment=E8&race=2``, or a scene's ``preset=deep``.

    With other settings beside it an address is a full one already, and stays. A link to nothing leads to
    the lab as it starts, and so does an empty one, which asks for nothing.
    """
    if query.get("preset") and set(query) <= _OF_SCENES:
        return _scene_link(query)
    if "experiment" not in query or not set(query) <= {"experiment", "race"}:
        return Link(dict(query))
    name = query["experiment"].strip().upper()
    if not name and len(query) == 1:
        return Link({})
    experiment = EXPERIMENTS.get(name)
    if experiment is None:
        there = ", ".join(dict.fromkeys(of for of, _ in RACES))
        return _nowhere(f"experiment={shown(query['experiment'])} is none of {there}")
    if isinstance(experiment.races, str):
        why = f"{name}, {experiment.title}, has no race in this lab. {experiment.races}"
        return Link({}, note=f"{why} What you see is the lab as it starts.")
    numbers = {str(number): number for of, number in RACES if of == name}
    number = query.get("race", "1").strip()
    if number not in numbers:
        has = f"it has {', '.join(numbers)}" if len(numbers) > 1 else "it has one, number 1"
        return _nowhere(f"race={shown(query['race'])} is no race of experiment {name}: {has}")
    return Link(address_of(name, numbers[number]), opens=True)


def _scene_link(query: Mapping[str, str]) -> Link:
    """Spell out a scene's settings; an address that has them all stays as it is."""
    name = query["preset"].strip().lower()
    if name not in SCENES:
        return _nowhere(f"preset={shown(query['preset'])} is none of {', '.join(SCENES)}")
    full = write(LAB_CONTROLS, DEFAULTS | dict(SCENES[name].scene.start) | {"preset": name})
    address = full | {key: value for key, value in query.items() if key != "preset"}
    return Link(address, opens=address != dict(query))


def _nowhere(why: str) -> Link:
    return Link({}, [f"{why}; the lab as it starts is shown"])
