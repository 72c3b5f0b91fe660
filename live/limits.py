"""What one machine can show: how heavy a step is before it runs, and what is said where it is too heavy.

A turn can't be shorter than a step, and one race mustn't hold the others up for longer than a moment. So a
step has a longest time and a most memory; a race beyond them isn't begun, and its reader is told why, and
offered settings that fit.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from bnlib import RunConfig
from bnlib.jobs.forecast import forecast
from book.controls import Values
from book.race.lanes import lane_configs, lane_names, listed
from book.race.settings import DEFAULTS
from book.race.table import RUN
from book.race.verdict import capital
from book.words import brief

HEAVY = 0.1  # seconds of a step: above them work is heavy
LONGEST_STEP = 1.0  # seconds
MOST_MEMORY = 768 * 2**20  # bytes
MOST_NAMES = 140  # characters

# What is given up of a race, in this order.
_LEVERS = ("replicas", "batch_size", "width", "depth")
_FEWER = {
    "replicas": "fewer seeds", "batch_size": "a smaller batch", "width": "a narrower network",
    "depth": "fewer layers",
}  # fmt: skip


_COSTING = tuple(name for name in ("lanes", "edits", *RUN) if name != "seed")


class Refusal(NamedTuple):
    """A race that one machine can't show in time.

    text : why not, and what helps, in words
    fix : those settings that change, with values with which it can be shown
    label : the fix in words
    """

    text: str
    fix: dict[str, Any]
    label: str


def heavy(config: RunConfig) -> bool:
    """Whether a run's steps are so long that they must leave room for lighter work."""
    return forecast(config).longest > HEAVY


def fits(config: RunConfig) -> bool:
    """Whether a run can be shown at all."""
    found = forecast(config)
    return found.longest <= LONGEST_STEP and found.memory <= MOST_MEMORY


def refusal(values: Values) -> Refusal | None:
    """Say why the race of a lab's settings can't be shown, and with which settings it can; None: it can.

    Its ghosts are others' races: those that don't fit are left out where ghosts are shown (`fits`).
    """
    return _refusal(tuple(values[name] for name in _COSTING))


@lru_cache(maxsize=1024)
def _refusal(costing: tuple[Any, ...]) -> Refusal | None:
    values = DEFAULTS | dict(zip(_COSTING, costing, strict=True))
    configs = lane_configs(values)
    refused = [lane for lane, config in enumerate(configs) if not fits(config)]
    if not refused:
        return None
    caps = _caps(values)
    fitting = _capped(values, caps)
    fix = {name: value for name, value in fitting.items() if value != values[name]}
    label = ", ".join(_called(name, most) for name, most in caps.items() if most < _most(values, name))
    return Refusal(_text(values, configs, refused, caps), fix, label)


# ---- what fits ---------------------------------------------------------------------------------------------


def _most(values: Values, name: str) -> int:
    """The largest value that a setting has in a race: in lanes of their own, and after changes in mid-run."""
    own = [value for _, differs in values["lanes"] for other, value in differs if other == name]
    later = [value for _, other, value in values["edits"] if other == name]
    most: int = max([values[name], *own, *later])
    return most


def _capped(values: Values, caps: dict[str, int]) -> Values:
    """The settings with no more of each than ``caps`` allow; lanes that become alike are one."""

    def cap(name: str, value: Any) -> Any:
        return min(value, caps[name]) if name in caps else value

    lanes = [
        (norm, tuple((name, cap(name, value)) for name, value in differs))
        for norm, differs in values["lanes"]
    ]
    edits = tuple((step, name, cap(name, value)) for step, name, value in values["edits"])
    return (
        values
        | {name: cap(name, values[name]) for name in caps}
        | {"lanes": tuple(dict.fromkeys(lanes)), "edits": edits}
    )


def _fit(values: Values, caps: dict[str, int]) -> bool:
    return all(map(fits, lane_configs(_capped(values, caps))))


def _caps(values: Values) -> dict[str, int]:
    """How much of each lever a race can have: as little given up as can be, of the first ones before others.

    Each in turn is given up until the race fits, or as far as it goes; then what turns out not to matter is
    given back, the last ones first.
    """
    most = {name: _most(values, name) for name in _LEVERS}
    caps = dict(most)
    for name in _LEVERS:
        if not _fit(values, caps):
            caps[name] = _largest(values, caps, name, most[name]) or int(RUN[name].low)
    for name in reversed(_LEVERS):
        if caps[name] < most[name]:
            caps[name] = _largest(values, caps, name, most[name]) or caps[name]
    return caps


def _largest(values: Values, caps: dict[str, int], name: str, most: int) -> int:
    """The largest value of a lever with which a race fits, the others as they are; 0: none was found.

    Looked for as if a step took the longer, the more there is: of few samples, some norms take longer to
    validate, and a smaller value may be found.
    """
    stops = sorted({most, *(int(stop) for stop in RUN[name].stops if stop < most)})
    return ([0] + stops)[bisect_left(stops, True, key=lambda stop: not _fit(values, caps | {name: stop}))]


# ---- in words ----------------------------------------------------------------------------------------------


def _called(name: str, value: int) -> str:
    if name == "replicas":
        return f"{value} seed{'s' * (value > 1)}"
    return f"batches of {value}" if name == "batch_size" else f"{name} {value}"


def _text(values: Values, configs: Sequence[RunConfig], refused: Sequence[int], caps: dict[str, int]) -> str:
    """Say what the heaviest lane costs, what can be shown, what fewer seeds would do, and what helps."""
    names, seeds = lane_names(values), values["replicas"]
    who = capital(listed([names[lane] for lane in refused]))
    who = who if len(who) <= MOST_NAMES else f"{len(refused)} of {len(names)} lanes"
    who = "" if len(refused) == len(names) else f"{who}: "
    takes = "take" if seeds > 1 else "takes"
    heaviest = [configs[lane] for lane in refused]
    cost, most = _cost(heaviest)
    said = f"{who}{_called('replicas', seeds)} of this network {takes} about {cost} a step; "
    said += f"the limit is {most}"
    if seeds > 1:
        fewer = caps["replicas"] if _fit(values, {"replicas": caps["replicas"]}) else 1
        left, _ = _cost([replace(config, replicas=fewer) for config in heaviest], like=heaviest)
        said += f". {_called('replicas', fewer)} would take about {left}"
    helps = [_FEWER[name] for name in _LEVERS if caps[name] < _most(values, name)]
    return f"{said}. Use {' or '.join(filter(None, [', '.join(helps[:-1]), helps[-1]]))}."


def _cost(configs: Sequence[RunConfig], like: Sequence[RunConfig] = ()) -> tuple[str, str]:
    """What the heaviest lane costs, and what it may: of time and memory what ``like`` have too much of."""
    judged = [forecast(config) for config in like or configs]
    found = [forecast(config) for config in configs]
    costs, most = [], []
    if max(one.longest for one in judged) > LONGEST_STEP:
        costs.append(f"{_rounded(max(one.longest for one in found))} s")
        most.append(f"{brief(LONGEST_STEP)} s")
    if max(one.memory for one in judged) > MOST_MEMORY:
        costs.append(f"{_rounded(max(one.memory for one in found) / 2**30)} GiB of memory")
        most.append(f"{brief(MOST_MEMORY / 2**30)} GiB")
    return " and ".join(costs), " and ".join(most)


def _rounded(number: float) -> str:
    """Two digits, no forecast has more; rounded up, so that what is too much never looks as if it fitted."""
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    return brief(math.ceil(number / step) * step)
