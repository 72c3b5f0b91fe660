"""Figures from templates: what a race recorded is put where a panel's template has a binding.

A binding is an object with the key "~"; `BINDINGS` lists what may stand there. The browser fills the same
templates while it plays (assets/fill.js); tests/shared/panels.json holds both to the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from book.figure import Axis, Figure, axis, log_axis, log_ticks, nice_ticks
from book.words import brief

from .frames import VALIDATED, Picture

Floats = NDArray[np.float64]
Layout = Sequence[tuple[str, Sequence[int]]]
Binding = Mapping[str, Any]

NOTHING = np.empty((0, 0), np.float32)
DIVERGED, STILL, ZERO = "diverged at step {}", "no update: it is exactly 0", "at the bottom: exactly 0"


@dataclass(frozen=True)
class Frames:
    """What is known of a race.

    names, layouts, rows : by lane its name, what a row holds (`frames.layout`), the rows (frames, numbers)
    every, validate_every : steps between two rows, and between two validations
    surfaces, clouds : by lane what was validated, in order: (step, numbers)
    ghosts : by lane the ghost's rows, which may end with the curves
    """

    names: Sequence[str]
    layouts: Sequence[Layout]
    rows: Sequence[Picture]
    every: int
    validate_every: int
    surfaces: Mapping[int, Sequence[tuple[int, NDArray[Any]]]] = field(default_factory=dict)
    clouds: Mapping[int, Sequence[tuple[int, NDArray[Any]]]] = field(default_factory=dict)
    ghosts: Mapping[int, Picture] = field(default_factory=dict)

    @cached_property
    def places(self) -> list[dict[str, tuple[int, tuple[int, ...]]]]:
        """By lane and field, where it begins in a row, and its shape."""
        found = []
        for layout in self.layouts:
            start, fields = 0, {}
            for name, shape in layout:
                fields[name] = start, tuple(shape)
                start += math.prod(shape)
            found.append(fields)
        return found

    def table(self, lane: int, name: str, ghost: bool = False) -> NDArray[np.float32]:
        """Return a field at all recorded steps, (frames, ...)."""
        start, shape = self.places[lane][name]
        rows = self.ghosts.get(lane, NOTHING) if ghost else self.rows[lane]
        part: NDArray[np.float32] = rows[:, start : start + math.prod(shape)]
        return part.reshape(len(rows), *shape)

    def apart(self, name: str) -> int:
        """Return the steps between two values of a field."""
        return self.validate_every if name in VALIDATED else self.every

    def now(self, lane: int, name: str, step: int) -> Floats:
        """Return a field at ``step``, or the latest value before it; NaN: not recorded yet."""
        apart = self.apart(name)
        row = step // apart * apart // self.every
        table = self.table(lane, name)
        return table[row].astype(float) if row < len(table) else np.full(table.shape[1:], np.nan)


def fill(template: Figure, frames: Frames, step: int, horizon: int) -> Figure:
    """Replace a template's bindings by what ``frames`` hold: a plain figure of the moment ``step``.

    Where nothing is recorded yet, lists of steps, of a series' values and of samples are empty; all else
    keeps its size and holds NaN. Axes reach from step 0 to ``horizon``.
    """
    moment = _Moment(frames, step, max(1, horizon))
    layout = moment.filled(template["layout"])
    data = []
    for trace in template["data"]:
        own = layout["yaxis" + trace.get("yaxis", "y")[1:]]
        moment.bottom = 10.0 ** min(own["range"]) if own.get("type") == "log" else 0.0
        data.append(moment.filled(trace))
    return {"data": data, "layout": layout}


class _Moment:
    """What bindings become at one step."""

    def __init__(self, frames: Frames, step: int, horizon: int):
        self.frames, self.step, self.horizon = frames, step, horizon
        self.bottom = 0.0  # of the y axis on which the present trace is drawn, where that is logarithmic

    def filled(self, value: Any) -> Any:
        """Copy a template's value, with its bindings replaced."""
        if isinstance(value, Mapping):
            if "~" in value:
                return BINDINGS[value["~"]](self, value)
            return {name: self.filled(inside) for name, inside in value.items()}
        if isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
            return [self.filled(one) for one in value]
        return value

    # ---- over time -------------------------------------------------------------------------------------

    def _recorded(self, of: Binding) -> tuple[range, NDArray[np.float32]]:
        """Return the steps that a series shows, and the field's whole table."""
        table = self.frames.table(of["lane"], of["field"], of.get("ghost", False))
        apart = self.frames.apart(of["field"])
        last = min((len(table) - 1) * self.frames.every, self.step if of["to"] == "step" else self.horizon)
        if "most" in of:  # it doesn't change while the race plays
            apart *= math.ceil((self.horizon // apart + 1) / of["most"])
        return range(0, last + 1, apart), table

    def steps(self, of: Binding) -> Floats:
        return np.array(self._recorded(of)[0], dtype=float)

    def series(self, of: Binding) -> Floats:
        steps, table = self._recorded(of)
        rows = np.array(steps, dtype=int) // self.frames.every
        return self._clipped(table[rows][:, of["index"]].astype(float), of)

    def matrix(self, of: Binding) -> Floats:
        table = self.frames.table(of["lane"], of["field"])[:, of["layer"]]
        at = self.matrix_steps(of)
        rows = (at // self.frames.every).astype(int)
        known = (at <= self.step) & (rows < len(table))
        z = np.full((len(at), table.shape[1]), np.nan)
        z[known] = np.sqrt(table[rows[known]].astype(float))
        return z

    def matrix_steps(self, of: Binding) -> Floats:
        rows: int = of["rows"]
        return np.arange(rows) * self.horizon / (rows - 1)

    # ---- at the playhead -------------------------------------------------------------------------------

    def layers(self, of: Binding) -> Floats:
        return self._clipped(self._now(of)[:, of["index"]], of)

    def ridges(self, of: Binding) -> Floats:
        shares = self._now(of)
        floors = np.arange(1.0, len(shares) + 1)[:, None]
        return _outlines(floors - of["tall"] * np.sqrt(shares), floors)

    def shares(self, of: Binding) -> Floats:
        shares = self._now(of)
        return _outlines(shares, np.zeros((len(shares), 1)))

    def surface(self, of: Binding) -> Floats:
        found = self._latest(self.frames.surfaces, of["lane"])
        size = of["size"], of["size"]
        return np.full(size, np.nan) if found is None else found.astype(float).reshape(size)

    def cloud(self, of: Binding) -> Floats:
        found = self._latest(self.frames.clouds, of["lane"])
        return np.empty(0) if found is None else found.astype(float).reshape(-1, 2)[:, of["axis"]]

    def _now(self, of: Binding) -> Floats:
        return self.frames.now(of["lane"], of["field"], self.step)

    def _latest(self, kept: Mapping[int, Sequence[tuple[int, NDArray[Any]]]], lane: int) -> Any:
        return next((found for step, found in reversed(kept.get(lane, ())) if step <= self.step), None)

    def _clipped(self, values: Floats, of: Binding) -> Floats:
        low = self.bottom if of.get("low") == "axis" else of.get("low", -np.inf)
        return np.clip(values, low, of.get("high", np.inf))

    # ---- axes ------------------------------------------------------------------------------------------

    def step_axis(self, of: Binding) -> Axis:
        ticks = nice_ticks(0, self.horizon, of.get("most", 7))
        ends = (self.horizon, 0) if of.get("reversed") else (0, self.horizon)
        return axis(*ends, of["title"], ticks, **of.get("more", {}))

    def log_axis(self, of: Binding) -> Axis:
        low, high = of["least"]
        last = self.step // self.frames.every + 1
        for lane in range(len(self.frames.names)):
            for name in of["fields"]:
                seen = self.frames.table(lane, name)[:last]
                seen = seen[(seen > 0) & (seen < np.inf)]
                if len(seen):
                    low, high = min(low, max(of["floor"], float(seen.min()))), max(high, float(seen.max()))
        # float32 has powers of ten to seven digits
        low = 10.0 ** math.floor(math.log10(low) + 1e-6)
        high = 10.0 ** math.ceil(math.log10(high) - 1e-6)
        return log_axis(low, high, of["title"], log_ticks(low, high, of.get("most", 7)), **of.get("more", {}))

    # ---- words -----------------------------------------------------------------------------------------

    def text(self, of: Binding) -> str:
        return {
            "diverged": self._diverged, "name": self._name, "still": self._still, "zero": self._zero,
            "outside": self._outside,
        }[of["of"]](of)  # fmt: skip

    def alt(self, of: Binding) -> str:
        parts = []
        for lane, name in enumerate(self.frames.names):
            now = self.frames.now(lane, of["field"], self.step)
            values = now[:, 0] if of["layers"] else now[:1]
            words = (brief(float(value)) if math.isfinite(value) else "none" for value in values)
            parts.append(f"{name}: {', '.join(words)}")
        return f"{of['head']} Step {self.step}. {'; '.join(parts)}."

    def _diverged(self, of: Binding) -> str:
        left = self.frames.table(of["lane"], "seeds_left")[: self.step // self.frames.every + 1, 0]
        none_left = np.flatnonzero(left == 0)
        if not len(none_left):
            return ""
        return "diverged" if of.get("brief") else DIVERGED.format(none_left[0] * self.frames.every)

    def _name(self, of: Binding) -> str:
        fate = self._diverged(of)
        return f"{of['name']}, {fate}" if fate else str(of["name"])

    def _still(self, of: Binding) -> str:
        lanes = range(len(self.frames.names))
        known = any(np.isfinite(self.frames.now(lane, of["field"], self.step)[:, 0]).any() for lane in lanes)
        left = any(self.frames.now(lane, "seeds_left", self.step)[0] > 0 for lane in lanes)
        return STILL if left and not known else ""

    def _zero(self, of: Binding) -> str:
        lanes = range(len(self.frames.names))
        zero = any((self.frames.now(lane, of["field"], self.step)[:, 1] == 0).any() for lane in lanes)
        return ZERO if zero else ""

    def _outside(self, of: Binding) -> str:
        points = self._latest(self.frames.clouds, of["lane"])
        if points is None:
            return ""
        inside = (np.abs(points.reshape(-1, 2)) < of["beyond"]).all(axis=1)
        count = int(np.count_nonzero(~inside))
        return f"{count} outside" if count else ""


def _outlines(tops: Floats, floors: Floats) -> Floats:
    """Make closed outlines, a row each: the floor, every bin's top at both of its edges, the floor, a gap."""
    gaps = np.full_like(floors, np.nan)
    return np.concatenate([floors, np.repeat(tops, 2, axis=1), floors, gaps], axis=1).ravel()


BINDINGS: dict[str, Callable[[_Moment, Binding], Any]] = {
    "steps": _Moment.steps,
    "series": _Moment.series,
    "layers": _Moment.layers,
    "ridges": _Moment.ridges,
    "shares": _Moment.shares,
    "matrix": _Moment.matrix,
    "matrix_steps": _Moment.matrix_steps,
    "surface": _Moment.surface,
    "cloud": _Moment.cloud,
    "step": lambda moment, _: moment.step,
    "horizon": lambda moment, _: moment.horizon,
    "step_axis": _Moment.step_axis,
    "log_axis": _Moment.log_axis,
    "text": _Moment.text,
    "alt": _Moment.alt,
}
