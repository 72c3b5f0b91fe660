"""Chapters each of whose scenes is a module: what a chapter declares, put together from them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from bnlib.experiments.model import Race

from .chapter import Found, Job, View
from .controls import Control, Values


def of_scenes(*modules: ModuleType, more: tuple[Control, ...] = (), light: bool = False) -> dict[str, Any]:
    """Return the fields of a chapter that its scenes' modules make together, in reading order.

    A module has a SCENE, its PASSAGES, ``view(values, found)``, ``pytorch(values)`` and ``script(values)``.
    Where it has them, CONTROLS are its settings, ``jobs(values)`` says what it needs of the pool, and
    ``lab(values)`` which race of the training lab shows the same networks.

    more : controls that several scenes share
    light : while a finger moves only light jobs are asked for
    """
    places: dict[str, Any] = {module.SCENE.name: module for module in modules}

    def compute(values: Values, found: Found) -> View:
        view: View = places[values["scene"]].view(values, found)
        return view

    def jobs(values: Values) -> dict[str, Job]:
        place, given = places[values["scene"]], {"draft": False, **values}
        found: dict[str, Job] = place.jobs(given) if hasattr(place, "jobs") else {}
        return {name: job for name, job in found.items() if job.light or not (light and given["draft"])}

    def lab(values: Values) -> Race | None:
        place = places[values["scene"]]
        race: Race | None = place.lab(values) if hasattr(place, "lab") else None
        return race

    controls = [control for place in places.values() for control in getattr(place, "CONTROLS", ())]
    return {
        "controls": (*controls, *more),
        "compute": compute,
        "jobs": jobs,
        "scenes": tuple(place.SCENE for place in places.values()),
        "code": tuple(passage for place in places.values() for passage in place.PASSAGES),
        "pytorch": lambda values: str(places[values["scene"]].pytorch(values)),
        "script": lambda values: str(places[values["scene"]].script(values)),
        "lab": lab,
    }
