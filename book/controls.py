"""Settings that a reader can choose: how each is validated, written into an address and shown.

A picture's settings are a table of `Control` rows. The same table reads and writes the page's address,
validates every message of the channel, and tells the browser which controls to build. `read` never
raises: what is broken falls back field by field, with a sentence that says why. Of a setting with parts, such
as a list of lanes, the parts that are right are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from .words import brief

SHOWN, MAX_UNKNOWN = 40, 8
MOST_PARTS = 4  # broken parts of one setting that are named
SEEDS = 8  # that what a chapter says rests on: one seed is an anecdote

Values = dict[str, Any]


class PartlyBroken(ValueError):
    """Some parts of a setting are broken; the others can be used.

    value : the setting without the broken parts
    dropped : what was left out and why, a clause for each part
    """

    def __init__(self, value: Any, dropped: Sequence[str]):
        super().__init__("; ".join(dropped))
        self.value, self.dropped = value, tuple(dropped)


class Codec(NamedTuple):
    """How a setting that is neither a number nor a choice is read and written.

    parse : text of an address, or JSON, to a value; a ValueError says what's wrong, `PartlyBroken` if
        parts of it are right
    write : a value to the text that ``parse`` reads back
    """

    parse: Callable[[Any], Any]
    write: Callable[[Any], str]


@dataclass(frozen=True)
class Control:
    """One setting.

    kind : "number", "whole", "choice"; "step" (a whole number that can be played); "next" (a whole number
        that a button raises); "points" (`points_control`); "cells" (`cells_control`); or any other name for a
        setting with a ``codec``
    stops : what the slider offers, in order; any number between low and high may stand in an address
    marks : which stops have a mark under the slider
    names : of choices, how each is called on the page
    says : how a stop's value is written beside the slider
    resets : settings that go back to their default when this one changes
    keeps : stays as it is when another scene is chosen, or an answer revealed
    plays : a "step" that is played from its beginning once this setting has been changed
    look : "buttons" shows a choice as a row of buttons
    about : the explanation behind its "?": what it is, what happens when it is moved, and its name in PyTorch
        where that differs
    """

    name: str
    kind: str
    default: Any
    label: str
    hint: str = ""
    low: float = 0.0
    high: float = 0.0
    stops: tuple[float, ...] = ()
    choices: tuple[str, ...] = ()
    group: str = ""
    unset: str = ""  # how the default is called where it isn't a value to show
    codec: Codec | None = None
    marks: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    says: Callable[[Any], str] | None = None
    resets: tuple[str, ...] = ()
    keeps: bool = False
    plays: str = ""
    look: str = ""
    about: str = ""

    def called(self, value: Any) -> str:
        """Return the name of a choice on the page."""
        return dict(zip(self.choices, self.names, strict=False)).get(value, str(value))

    def parse(self, raw: Any) -> Any:
        """``raw`` (text of an address, or JSON) as a value of this control; ValueError says what's wrong."""
        if self.codec is not None:
            return self.codec.parse(raw)
        if self.kind == "choice":
            if raw not in self.choices:
                raise ValueError(f"is not one of {', '.join(filter(None, self.choices))}")
            return raw
        return self._parse_number(raw)

    def _parse_number(self, raw: Any) -> float | int:
        whole = self.kind in ("whole", "step", "next")
        kind = "a whole number" if whole else "a number"
        try:
            value = number(raw)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"is not {kind}") from None
        if not math.isfinite(value) or not self.low <= value <= self.high:
            raise ValueError(f"is outside {self.low:g} to {self.high:g}")
        if whole:
            if value != int(value):
                raise ValueError(f"is not {kind}")
            return int(value)
        return value

    def write(self, value: Any) -> str:
        """``value`` as text that `parse` reads back to the same value, to the last digit."""
        if self.codec is not None:
            return self.codec.write(value)
        return value if isinstance(value, str) else repr(value)


def number(raw: Any) -> float:
    """A number out of text or JSON; TypeError or ValueError where there is none."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise TypeError
    return float(raw) + 0.0  # -0.0 becomes 0.0, the same number with one way to write it


def shown(raw: Any) -> str:
    """What was received, short and printable, for a sentence about it."""
    try:
        text = str(raw)
    except (RecursionError, ValueError):  # nested too deep, a number too long
        text = f"a {type(raw).__name__}"
    cut = "…" if len(text) > SHOWN else ""
    return "".join(c if c.isprintable() else " " for c in text[:SHOWN]) + cut


def log_stops(low: int, high: int, per_decade: int) -> tuple[float, ...]:
    """From 10^low to 10^high, two digits each."""
    exponents = (k / per_decade for k in range(per_decade * low, per_decade * high + 1))
    return tuple(dict.fromkeys(float(f"{10**exponent:.1e}") for exponent in exponents))


def even_stops(low: float, high: float, count: int) -> tuple[float, ...]:
    """``count`` equal steps from low to high."""
    return tuple(round(low + (high - low) * k / count, 6) for k in range(count + 1))


EPS_STOPS = (0.0, *log_stops(-8, 0, 20))


def read(controls: Sequence[Control], raw: Mapping[str, Any]) -> tuple[Values, list[str]]:
    """Settings out of an address or a message, and one sentence for each field that fell back.

    Returns
    -------
    values : every control's name with a valid value
    problems : "batch_size=-3 is outside 1 to 256; 32 is used" and the like, empty when all is well; of a
        setting with parts "lanes: lane 2, “btach”, is no norm; it is left out"
    """
    values: Values = {control.name: control.default for control in controls}
    problems = []
    for control in controls:
        if control.name in raw:
            try:
                values[control.name] = control.parse(raw[control.name])
            except PartlyBroken as partly:
                values[control.name] = partly.value
                problems += [
                    f"{control.name}: {clause}; it is left out" for clause in partly.dropped[:MOST_PARTS]
                ]
                if len(partly.dropped) > MOST_PARTS:
                    problems.append(f"{control.name}: {len(partly.dropped) - MOST_PARTS} more are left out")
            except ValueError as error:
                used = control.unset or control.write(control.default)
                problems.append(f"{control.name}={shown(raw[control.name])} {error}; {used} is used")
    unknown = [name for name in raw if name not in values]
    problems += [f"{shown(name)} is no setting of this page and is ignored" for name in unknown[:MAX_UNKNOWN]]
    if len(unknown) > MAX_UNKNOWN:
        problems.append(f"{len(unknown) - MAX_UNKNOWN} more are no settings either")
    return values, problems


def write(controls: Sequence[Control], values: Values) -> dict[str, str]:
    """Settings as the texts of an address, defaults left out."""
    return {
        control.name: control.write(values[control.name])
        for control in controls
        if values[control.name] != control.default
    }


def describe(controls: Sequence[Control]) -> list[dict[str, Any]]:
    """The table as plain JSON, for the browser to build its controls from."""
    names = [field.name for field in fields(Control) if field.name not in ("codec", "says")]
    return [
        {name: getattr(control, name) for name in names}
        | {"shown": [(control.says or brief)(stop) for stop in control.stops]}
        for control in controls
    ]


def points_control(name: str, label: str, count: int, most: int = 8, about: str = "") -> Control:
    """Make the setting of dragged points: at most ``most`` pairs of an index below ``count`` and a value."""

    def parse(raw: Any) -> tuple[tuple[int, float], ...]:
        try:
            if isinstance(raw, str):
                raw = [(int(index), value) for index, value in (p.split(":") for p in raw.split(",") if p)]
            moved = {_index(index): number(value) for index, value in raw}
        except (TypeError, ValueError, OverflowError):
            raise ValueError("must be pairs such as 3:2.5,7:-1") from None
        if len(moved) > most:
            raise ValueError(f"moves {len(moved)} points, at most {most} can be")
        for index, value in moved.items():
            if not 0 <= index < count or not abs(value) <= 1e6:
                raise ValueError(f"needs point numbers 0 to {count - 1} and values within a million")
        return tuple(sorted(moved.items()))

    def write(moved: tuple[tuple[int, float], ...]) -> str:
        return ",".join(f"{index}:{value!r}" for index, value in moved)

    return Control(name, "points", (), label, unset="none", codec=Codec(parse, write), about=about)


def cells_control(name: str, label: str, count: int, about: str = "") -> Control:
    """Make the setting of painted cells: some of the numbers 0 to ``count`` - 1, in order, without repeats.

    An address has them as runs: ``0-15,32`` are the cells 0 to 15, and 32.
    """

    def parse(raw: Any) -> tuple[int, ...]:
        try:
            if isinstance(raw, str):
                runs = [part.split("-", 1) for part in raw.split(",") if part]
                ends = [(int(run[0]), int(run[-1])) for run in runs]
                if any(not 0 <= low <= high < count for low, high in ends):
                    raise ValueError
                raw = [cell for low, high in ends for cell in range(low, high + 1)]
            cells = sorted({_index(cell) for cell in raw})
        except (TypeError, ValueError):
            raise ValueError(f"must be cells from 0 to {count - 1} in runs such as 0-3,8") from None
        if cells and not (cells[0] >= 0 and cells[-1] < count):
            raise ValueError(f"needs numbers of cells from 0 to {count - 1}")
        return tuple(cells)

    def write(cells: tuple[int, ...]) -> str:
        there = set(cells)
        starts = [cell for cell in cells if cell - 1 not in there]
        ends = [cell for cell in cells if cell + 1 not in there]
        return ",".join(
            f"{low}-{high}" if high > low else f"{low}" for low, high in zip(starts, ends, strict=True)
        )

    codec = Codec(parse, write)
    return Control(
        name, "cells", (), label, f"of {count} cells", 0, count - 1, unset="none", codec=codec, about=about
    )


def seed_control() -> Control:
    """Make the button that takes other seeds; `seeds` says which."""
    return Control(
        "seed", "next", 0, "other seeds", f"seeds 0 to {SEEDS - 1} at first", 0, 10_000,
        about=f"Trains {SEEDS} other networks, from other initial weights and with other batches. What "
        "holds for these seeds only was chance.",
    )  # fmt: skip


def seeds(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the seeds of a chapter's networks as fields of a `RunConfig`."""
    return {"seed": SEEDS * values["seed"], "replicas": SEEDS}


def _index(raw: Any) -> int:
    if type(raw) is not int:
        raise TypeError
    return raw
