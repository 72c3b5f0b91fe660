"""What a page asks for when it opens, and may ask next: as assets/chapter.js, race.js and exchange.js do.

`tests/browser` compares with what a browser sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from book.chapter import Chapter, Page
from book.controls import Control, read
from book.race.asking import SKIPPED, is_open, scene_of
from book.race.scenes import SCENES
from book.race.settings import LAB_CONTROLS

Json = dict[str, Any]
Opening = Mapping[str, Any]  # what `live.messages.opening` returns, as JSON

WIDTHS = (False, True)  # whether the figure is narrow
LEVEL = -1  # the last answer on offer: no lane is ahead
# Where a race waits, a page asks for one step more than it shows, and of one that was changed for BENT;
# where it plays, for AHEAD.
BENT, AHEAD = 200, 120


class Ask(NamedTuple):
    """A message without its number.

    further : up to which step its race is recorded in any case
    predicted : whether a question was just answered, so that its reveal is asked for next
    """

    message: Json
    further: int = 0
    predicted: bool = False


Group = list[Ask]  # questions of which either all are recorded or none


def groups(page: Page, openings: Mapping[str, Opening]) -> Iterator[Group]:
    """Yield what a page may ask, the most likely first; the first group is what it opens with.

    openings : by address, the bare one first
    """
    first, *others = openings.values()
    asked = _view if isinstance(page, Chapter) else _race
    yield asked(first)
    if isinstance(page, Chapter):
        yield from _predicted(first)
        yield from map(_view, others)
        yield from _sliders(page, first)
    else:
        yield _answered(first)
        yield from map(_race, others)


# ---- chapters --------------------------------------------------------------------------------------------


def entered(opening: Opening) -> Json:
    """Return the settings with which a chapter opens: an untouched scene begins at its start."""
    values, defaults = opening["values"], opening["defaults"]
    scene = _scene(opening)
    plain = all(values[name] == defaults[name] for name in defaults if name not in ("scene", "guesses"))
    return {**values, **scene["start"]} if scene and plain and not _guessed(opening) else dict(values)


def _scene(opening: Opening) -> Json | None:
    name = opening["values"].get("scene")
    return next((scene for scene in opening["story"] if scene["name"] == name), None)


def _guessed(opening: Opening) -> bool:
    values = opening["values"]
    return any(name == values["scene"] for name, _ in values.get("guesses", ()))


def _view(opening: Opening, changes: Mapping[str, Any] | None = None) -> Group:
    values = entered(opening) | dict(changes or {})
    message = {"kind": "view", "chapter": opening["chapter"], "values": values, "draft": False}
    return [Ask(message | {"narrow": narrow}) for narrow in WIDTHS]


def _predicted(opening: Opening) -> Iterator[Group]:
    """Yield what is asked once the question with which a chapter opens is answered, whichever way."""
    scene = _scene(opening)
    if scene and scene["choices"] and not _guessed(opening):
        for choice in range(len(scene["choices"])):
            guess = {"guesses": [[scene["name"], choice]]}
            yield [ask._replace(predicted=True) for ask in _view(opening, guess)]


def revealed(ask: Ask, story: Mapping[str, Any]) -> Ask:
    """Return what is asked after a prediction: the reveal that ``story`` names, `book.predictions.told`."""
    return Ask(ask.message | {"values": ask.message["values"] | story["reveal"]}, predicted=True)


def _sliders(page: Chapter, opening: Opening) -> Iterator[Group]:
    """Yield for each control the states in which it alone is moved; while a question is open none can be.

    What is drawn in full also answers what is asked while a finger moves. Of chapters whose views take long,
    nothing: it would be the build that waits.
    """
    scene = _scene(opening)
    if page.has_waits or page.slow or (scene and scene["choices"] and not _guessed(opening)):
        return
    for control in page.controls:
        if scene is None or control.name in scene["controls"]:
            reset = {name: opening["defaults"][name] for name in control.resets}
            moved = [_view(opening, {control.name: place} | reset) for place in _places(control)]
            yield [ask for group in moved for ask in group]


def _places(control: Control) -> tuple[Any, ...]:
    """Return where a control can be put with one movement."""
    if control.kind == "choice":
        return control.choices if control.group != "hidden" else ()
    if control.kind == "next":
        return (control.default + 1,)
    if control.kind == "step" and not control.stops:
        return tuple(range(int(control.low), int(control.high) + 1))
    return control.stops


# ---- the training lab ------------------------------------------------------------------------------------


def _race(opening: Opening, guess: int | None = None, further: int = 0) -> Group:
    """Return the question for a race as it opens, or as it begins once its question is answered."""
    values, _ = read(LAB_CONTROLS, opening["values"])
    name = scene_of(values)
    if not name or not is_open(values):
        raise ValueError(f"{opening['values']} is no race whose question is open: record those only")
    changes = {} if guess is None else {"guess": guess}
    message = {
        "kind": "lab", "values": opening["values"] | {"preset": name, "step": 0} | changes, "draft": False,
        "until": BENT if values["edits"] or values["before"] else 1,
    }  # fmt: skip
    return [Ask(message | {"narrow": narrow}, further) for narrow in WIDTHS]


def _answered(opening: Opening) -> Group:
    """Return the questions for a race that is played, whatever was answered."""
    values, _ = read(LAB_CONTROLS, opening["values"])
    scene = SCENES[scene_of(values)]
    guesses = (*range(len(scene.scene.choices) - 1), LEVEL, SKIPPED)
    return [ask for guess in guesses for ask in _race(opening, guess, min(AHEAD, scene.until))]
