"""Settings for hypothesis to draw: any that a page can have, and many that are broken."""

from hypothesis import strategies as st

from bnlib.config import LAYER_NORMS
from live.batch import BATCH_LIMIT, MAX_MOVED
from book.controls import write
from live.lab import EDIT_FIELDS, LAB_STEPS, LANE_FIELDS, MAX_EDITS, MAX_LANES, RUN_CONTROLS
from live.scenes import SCENES

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


def moved():
    numbers = st.floats(-1e6, 1e6).map(lambda x: x + 0.0)
    points = st.dictionaries(st.integers(0, BATCH_LIMIT - 1), numbers, max_size=MAX_MOVED)
    return points.map(lambda found: tuple(sorted(found.items())))


def guesses():
    asked = {name: st.integers(0, len(s.choices) - 1) for name, s in SCENES.items() if s.choices}
    drawn = st.fixed_dictionaries({}, optional=asked)
    return drawn.map(lambda found: tuple((name, found[name]) for name in SCENES if name in found))


SPECIAL = {
    "lanes": lanes,
    "edits": edits,
    "before": lambda: pairs_of(tuple(RUN)),
    "moved": moved,
    "guesses": guesses,
}


def values_of(control):
    """Any value that the control can have."""
    if control.codec is not None:
        return SPECIAL[control.kind]()
    if control.kind == "choice":
        return st.sampled_from(control.choices)
    if control.kind == "whole":
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
