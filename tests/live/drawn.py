"""Settings for hypothesis to draw: any that a page can have, and many that are broken."""

from hypothesis import strategies as st

from bnlib.networks.config import LAYER_NORMS
from book.controls import write
from book.race.settings import EDIT_FIELDS, LAB_STEPS, LANE_FIELDS, MAX_EDITS, MAX_LANES, RUN_CONTROLS

RUN = {control.name: control for control in RUN_CONTROLS}
NORMS = LAYER_NORMS


def pairs_of(names):
    """Some of the run's settings with values, in the table's order."""
    drawn = st.fixed_dictionaries({}, optional={name: values_of(RUN[name]) for name in names})
    return drawn.map(lambda values: tuple((name, values[name]) for name in RUN if name in values))


def lanes():
    lane = st.tuples(st.sampled_from(NORMS), pairs_of(LANE_FIELDS))
    return st.lists(lane, min_size=1, max_size=MAX_LANES, unique=True).map(tuple)


def edits():
    places = st.tuples(st.integers(1, LAB_STEPS), st.sampled_from(EDIT_FIELDS))
    edit = places.flatmap(lambda place: st.tuples(*map(st.just, place), values_of(RUN[place[1]])))
    some = st.lists(edit, max_size=MAX_EDITS, unique_by=lambda edit: edit[:2])
    return some.map(lambda found: tuple(sorted(found, key=lambda edit: edit[:2])))


def accepts(control, raw):
    try:
        control.parse(raw)
    except ValueError:
        return False
    return True


def points(control):
    """Moved points: how many, and which, the control itself says."""
    places = [place for place in range(1000) if accepts(control, [[place, 0]])]
    most = max(count for count in range(len(places)) if accepts(control, [[k, 0] for k in places[:count]]))
    numbers = st.floats(-1e6, 1e6).map(lambda x: x + 0.0)
    moved = st.dictionaries(st.sampled_from(places), numbers, max_size=most)
    return moved.map(lambda found: tuple(sorted(found.items())))


def guesses(control):
    """Guesses of the scenes that ask: which these are, and of how many choices, the control itself says."""
    scenes = control.codec.parse.__self__.scenes
    asked = {scene.name: st.integers(0, len(scene.choices) - 1) for scene in scenes if scene.choices}
    drawn = st.fixed_dictionaries({}, optional=asked)
    return drawn.map(
        lambda found: tuple((scene.name, found[scene.name]) for scene in scenes if scene.name in found)
    )


def cells(control):
    """Painted cells, also many of them and none."""
    return st.sets(st.integers(0, int(control.high))).map(lambda found: tuple(sorted(found)))


SPECIAL = {
    "cells": cells,
    "lanes": lambda control: lanes(),
    "edits": lambda control: edits(),
    "before": lambda control: pairs_of(tuple(RUN)),
    "points": points,
    "guesses": guesses,
}


def values_of(control):
    """Any value that the control can have."""
    if control.kind in SPECIAL:
        return SPECIAL[control.kind](control)
    if control.kind == "choice":
        return st.sampled_from(control.choices)
    if control.kind in ("whole", "step", "next"):
        return st.integers(int(control.low), int(control.high))
    return st.floats(control.low, control.high).map(lambda x: x + 0.0)  # -0.0 is 0.0


def settings_of(controls):
    return st.fixed_dictionaries({control.name: values_of(control) for control in controls})


def addresses_of(controls):
    return settings_of(controls).map(lambda values: write(controls, values))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_NAMES = st.sampled_from([*RUN, *NORMS, "nonsense", "colour", "", "\u202e", "1", "300"])
_TEXTS = st.lists(_NAMES | st.text("0123456789.-e_", max_size=6) | ANYTHING.map(str), max_size=4)
NEARLY = (
    ANYTHING
    | st.text("0123456789.-e_:,~", max_size=12)
    | st.lists(st.sampled_from([*NORMS, "nonsense", ""]), max_size=5).map(",".join)
    | st.lists(_TEXTS.map(":".join), max_size=3).map(",".join)
    | st.lists(_TEXTS.map(":".join), max_size=3).map("~".join)
    | st.lists(st.tuples(st.integers(-2, 300), st.floats()).map(list), max_size=10)
    | st.lists(st.tuples(_NAMES | ANYTHING, ANYTHING).map(list), max_size=5)
    | st.lists(st.tuples(_NAMES, st.lists(st.tuples(_NAMES, ANYTHING))).map(list), max_size=5)
    | st.lists(st.tuples(st.integers(-1, 2001) | ANYTHING, _NAMES, ANYTHING).map(list), max_size=15)
)


def broken_settings(controls):
    names = st.sampled_from([control.name for control in controls]) | st.text(max_size=60)
    special = st.sampled_from([c.name for c in controls if c.codec is not None])
    return st.dictionaries(names | special, NEARLY, max_size=4)
