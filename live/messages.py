"""The one schema of the live channel: settings, and the messages that carry them.

Settings are what a reader can choose: a table of `Control` rows per picture. The same table reads and
writes the page's address, validates every message of the channel, and tells the browser which controls
to build. `read` never raises: what is broken falls back field by field, with a sentence that says why.

Messages, browser to server (JSON text, at most MAX_MESSAGE characters)::

    {"kind": "batch", "id": n, "values": {...}}                 answered by one "batch"
    {"kind": "lab", "id": n, "values": {...}, "until": step}    answered by "lab", then "frames" as they come;
                                                                "draft": true: every DRAFT_EVERYth step only
    {"kind": "until", "id": n, "step": step}                    go on to that step
    {"kind": "verdict", "id": n, "step": step}                  answered by one "verdict"
    {"kind": "stop"}                                            nothing more is wanted

Messages, server to browser: JSON text for "verdict" and "problem"; else binary: the header's length as
uint32 (little endian), the header as JSON padded with blanks to a multiple of 4, then float32 numbers.
Headers list their arrays as [name, shape] in order.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnlib import RunConfig
from bnlib.config import LAYER_NORMS

MAX_MESSAGE = 4096
LAB_STEPS = 2000
BATCH_LIMIT = 256
MAX_MOVED = 8
SHOWN, MAX_UNKNOWN = 40, 8
# While a finger moves, the race is recorded at every tenth step: the same run, four times sooner.
DRAFT_EVERY, VALIDATE_EVERY = 10, 5

Values = dict[str, Any]


@dataclass(frozen=True)
class Control:
    """One setting: how it is validated, written into the address and shown.

    kind : "number", "whole", "choice", "lanes" (two to four different norms) or "moved" (points dragged
        away from where they were: pairs of index and value)
    stops : what the slider offers, in order; any number between low and high may stand in an address
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

    def parse(self, raw: Any) -> Any:
        """``raw`` (text of an address, or JSON) as a value of this control; ValueError says what's wrong."""
        if self.kind == "choice":
            if raw not in self.choices:
                raise ValueError(f"is not one of {', '.join(self.choices)}")
            return raw
        if self.kind == "lanes":
            return self._parse_lanes(raw)
        if self.kind == "moved":
            return self._parse_moved(raw)
        return self._parse_number(raw)

    def _parse_number(self, raw: Any) -> float | int:
        kind = "a whole number" if self.kind == "whole" else "a number"
        try:
            value = _number(raw)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"is not {kind}") from None
        if not math.isfinite(value) or not self.low <= value <= self.high:
            raise ValueError(f"is outside {self.low:g} to {self.high:g}")
        if self.kind == "whole":
            if value != int(value):
                raise ValueError(f"is not {kind}")
            return int(value)
        return value

    def _parse_lanes(self, raw: Any) -> tuple[str, ...]:
        lanes = tuple(raw.split(",")) if isinstance(raw, str) else tuple(raw) if isinstance(raw, list) else ()
        if not all(isinstance(lane, str) and lane in self.choices for lane in lanes):
            raise ValueError(f"must be norms out of {', '.join(self.choices)}")
        if not 2 <= len(lanes) <= 4 or len(set(lanes)) < len(lanes):
            raise ValueError("must name two to four different norms, such as none,batch")
        return lanes

    def _parse_moved(self, raw: Any) -> tuple[tuple[int, float], ...]:
        try:
            if isinstance(raw, str):
                raw = [(int(index), value) for index, value in (p.split(":") for p in raw.split(",") if p)]
            moved = {_index(index): _number(value) for index, value in raw}
        except (TypeError, ValueError, OverflowError):
            raise ValueError("must be pairs such as 3:2.5,7:-1") from None
        if len(moved) > MAX_MOVED:
            raise ValueError(f"moves {len(moved)} points, at most {MAX_MOVED} can be")
        for index, value in moved.items():
            if not 0 <= index < BATCH_LIMIT or not abs(value) <= 1e6:
                raise ValueError(f"needs point numbers 0 to {BATCH_LIMIT - 1} and values within a million")
        return tuple(sorted(moved.items()))

    def write(self, value: Any) -> str:
        """``value`` as text that `parse` reads back to the same value, to the last digit."""
        if self.kind == "lanes":
            return ",".join(value)
        if self.kind == "moved":
            return ",".join(f"{index}:{number!r}" for index, number in value)
        return value if isinstance(value, str) else repr(value)


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise TypeError
    return float(raw) + 0.0  # -0.0 becomes 0.0, the same number with one way to write it


def _index(raw: Any) -> int:
    if type(raw) is not int:
        raise TypeError
    return raw


def _shown(raw: Any) -> str:
    """What was received, short and printable, for a sentence about it."""
    try:
        text = str(raw)
    except (RecursionError, ValueError):  # nested too deep, a number too long
        text = f"a {type(raw).__name__}"
    cut = "…" if len(text) > SHOWN else ""
    return "".join(c if c.isprintable() else " " for c in text[:SHOWN]) + cut


def _log_stops(low: int, high: int, per_decade: int) -> tuple[float, ...]:
    """From 10^low to 10^high, two digits each."""
    exponents = (k / per_decade for k in range(per_decade * low, per_decade * high + 1))
    return tuple(dict.fromkeys(float(f"{10**exponent:.1e}") for exponent in exponents))


def _even_stops(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(round(low + (high - low) * k / count, 6) for k in range(count + 1))


_EPS_STOPS = (0.0, *_log_stops(-8, 0, 20))
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)

GAMMA = Control("gamma", "number", 1.0, "γ gamma", "scale after normalizing", -4, 4, _even_stops(-4, 4, 160))
BETA = Control("beta", "number", 0.0, "β beta", "shift after normalizing", -4, 4, _even_stops(-4, 4, 160))
EPS = Control("eps", "number", 1e-5, "ε eps", "added to the variance", 0, 1, _EPS_STOPS)

BATCH_CONTROLS = (
    Control("batch_size", "whole", 32, "batch size", "", 1, BATCH_LIMIT, tuple(range(1, BATCH_LIMIT + 1))),
    GAMMA,
    BETA,
    EPS,
    Control("moved", "moved", (), "moved points", unset="none"),
)

LAB_CONTROLS = (
    Control("lanes", "lanes", ("none", "batch"), "lanes", choices=LAYER_NORMS),
    Control("depth", "whole", 5, "depth", "hidden layers", 1, 20, tuple(range(1, 21)), group="network"),
    Control("width", "whole", 64, "width", "units a layer", 8, 128, (8, 16, 32, 64, 128), group="network"),
    Control(
        "activation", "choice", "relu", "activation", choices=("relu", "tanh", "sigmoid", "gelu"),
        group="network",
    ),
    Control(
        "placement", "choice", "before", "norm placed", "the activation", choices=("before", "after"),
        group="network",
    ),
    Control(
        "init_scale", "number", 0.5, "init scale", "× He 2015", 0.05, 5,
        (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0), group="network",
    ),
    Control("batch_size", "whole", 32, "batch size", "", 1, 256, _SIZES, group="training"),
    Control("lr", "number", 0.1, "learning rate", "", 1e-4, 10, _log_stops(-4, 1, 12), group="training"),
    Control("replicas", "whole", 4, "seeds", "networks per norm", 1, 8, tuple(range(1, 9)), group="training"),
    Control("seed", "whole", 0, "first seed", "", 0, 9999, tuple(range(0, 21)), group="training"),
    Control("eps", "number", 1e-5, "ε eps", "added to the variance", 0, 1, _EPS_STOPS, group="norm"),
    Control("gamma", "number", 1.0, "γ gamma", "start value", -4, 4, _even_stops(-4, 4, 80), group="norm"),
    Control("beta", "number", 0.0, "β beta", "start value", -4, 4, _even_stops(-4, 4, 80), group="norm"),
    Control(
        "momentum", "number", 0.9, "momentum", "of the running value; PyTorch’s is 1 − this",
        0, 0.999, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999),
        group="norm",
    ),
    Control(
        "histogram", "choice", "activation", "histograms of", choices=("activation", "preactivation"),
        group="view",
    ),
    Control("speed", "whole", 30, "speed", "steps a second", 1, 240, (5, 15, 30, 60, 120), group="play"),
    Control("step", "whole", -1, "step", "", -1, LAB_STEPS, group="view", unset="0"),
)  # fmt: skip

CONTROLS = {"batch": BATCH_CONTROLS, "lab": LAB_CONTROLS}


def read(controls: Sequence[Control], raw: Mapping[str, Any]) -> tuple[Values, list[str]]:
    """Settings out of an address or a message, and one sentence for each field that fell back.

    Returns
    -------
    values : every control's name with a valid value
    problems : "batch_size=-3 is outside 1 to 256; 32 is used" and the like, empty when all is well
    """
    values: Values = {control.name: control.default for control in controls}
    problems = []
    for control in controls:
        if control.name in raw:
            try:
                values[control.name] = control.parse(raw[control.name])
            except ValueError as error:
                received = _shown(raw[control.name])
                used = control.unset or control.write(control.default)
                problems.append(f"{control.name}={received} {error}; {used} is used")
    unknown = [name for name in raw if name not in values]
    problems += [
        f"{_shown(name)} is no setting of this page and is ignored" for name in unknown[:MAX_UNKNOWN]
    ]
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
    return [asdict(control) for control in controls]


def lane_configs(values: Values, draft: bool = False) -> list[RunConfig]:
    """The training runs of a lab's settings: one configuration per lane, alike but for the norm."""
    not_of_a_run = ("lanes", "histogram", "speed", "step")
    shared = {name: value for name, value in values.items() if name not in not_of_a_run}
    shared |= {
        "groups": math.gcd(8, values["width"]),
        "record_every": DRAFT_EVERY if draft else 1,
        "validate_every": DRAFT_EVERY if draft else VALIDATE_EVERY,
    }
    return [RunConfig(**shared, norm=norm) for norm in values["lanes"]]


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A binary message: header and float32 arrays; see the top of this module."""
    listed = dict(header) | {"arrays": [[name, list(np.shape(a))] for name, a in arrays.items()]}
    text = json.dumps(listed, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = [np.ascontiguousarray(a, "<f4").tobytes() for a in arrays.values()]
    return struct.pack("<I", len(text)) + text + b"".join(body)


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """What `pack` packed."""
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    arrays, start = {}, 4 + length
    for name, shape in header["arrays"]:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(message, "<f4", count, start).reshape(shape)
        start += 4 * count
    return header, arrays


def problem(kind: str, message: str, number: Any = None) -> str:
    """A text message that tells the reader what went wrong."""
    return json.dumps({"kind": "problem", "of": kind, "id": number, "message": message})
