"""The training lab's settings, and the training runs that they stand for.

A race is one to four lanes of networks on the same data. Lanes share every setting but their norm and what
the reader chose to let them differ in. Edits change a shared setting in mid-run, from a step on; the race
without the last edit, or before the last change, is the ghost that stays beside the present one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from bnlib import RunConfig
from bnlib.config import EDITABLE, LAYER_NORMS
from bnlib.data import PLANE

from .controls import EPS_STOPS, Codec, Control, Values, even_stops, log_stops, number, shown, write
from .presets import PRESETS
from .verdict import NOISE

LAB_STEPS = 2000
MAX_LANES, MAX_EDITS = 4, 12
VALIDATE_EVERY = 5
# While a finger moves, the race is recorded at every tenth step: the same run, some three times sooner.
DRAFT_EVERY, DRAFT_VALIDATE_EVERY = 10, 20

NAMES = {
    "none": "no norm",
    "batch": "batch norm",
    "layer": "layer norm",
    "group": "group norm",
    "rms": "RMS norm",
}

Pairs = tuple[tuple[str, Any], ...]  # (setting, value), ...
Lane = tuple[str, Pairs]  # norm, and what else differs
Edit = tuple[int, str, Any]  # (step, setting, value)

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SCALES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
_MOMENTA = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

# What the runs depend on. Everything here may stand in an address, in a lane or in a ghost.
RUN_CONTROLS = (
    Control("dataset", "choice", "digits", "data", choices=("digits", *PLANE), group="data"),
    Control(
        "data_noise", "number", 0.1, "noise", "of the 2-D sets", 0, 1, even_stops(0, 1, 20), group="data",
    ),
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
    Control("init_scale", "number", 0.5, "init scale", "× He 2015", 0.05, 5, _SCALES, group="network"),
    Control("batch_size", "whole", 32, "batch size", "", 1, 256, _SIZES, group="training"),
    Control("lr", "number", 0.1, "learning rate", "", 1e-4, 10, log_stops(-4, 1, 12), group="training"),
    Control(
        "optimizer", "choice", "sgd", "optimizer", choices=("sgd", "momentum", "adamw"), group="training"
    ),
    Control("replicas", "whole", 4, "seeds", "networks per lane", 1, 8, tuple(range(1, 9)), group="training"),
    Control("seed", "whole", 0, "first seed", "", 0, 9999, tuple(range(0, 21)), group="training"),
    Control("eps", "number", 1e-5, "ε eps", "added to the variance", 0, 1, EPS_STOPS, group="norm"),
    Control("gamma", "number", 1.0, "γ gamma", "start value", -4, 4, even_stops(-4, 4, 80), group="norm"),
    Control("beta", "number", 0.0, "β beta", "start value", -4, 4, even_stops(-4, 4, 80), group="norm"),
    Control(
        "momentum", "number", 0.9, "momentum", "of the old value; PyTorch: 1 − this", 0, 0.999,
        _MOMENTA, group="norm",
    ),
)  # fmt: skip
_RUN = {control.name: control for control in RUN_CONTROLS}
SHARED = ("dataset", "data_noise", "replicas", "seed")  # lanes can't differ in these: it would be no race
LANE_FIELDS = tuple(name for name in _RUN if name not in SHARED)
EDIT_FIELDS = tuple(name for name in _RUN if name in EDITABLE)


def _parse_lanes(raw: Any) -> tuple[Lane, ...]:
    """``none,batch~lr:1.0``, or JSON: [["none", []], ["batch", [["lr", 1.0]]]]."""
    try:
        if isinstance(raw, str):
            parts = [lane.split("~") for lane in raw.split(",")]
            raw = [(norm, [pair.split(":") for pair in rest]) for norm, *rest in parts]
        lanes = [(norm, list(rest)) for norm, rest in raw]
    except (TypeError, ValueError):
        raise ValueError("must name norms, such as none,batch or batch,batch~lr:1") from None
    if not all(isinstance(norm, str) and norm in LAYER_NORMS for norm, _ in lanes):
        raise ValueError(f"must be norms out of {', '.join(LAYER_NORMS)}")
    if not 1 <= len(lanes) <= MAX_LANES:
        raise ValueError(f"must name one to {MAX_LANES} lanes, such as none,batch")
    found = tuple((norm, _parse_pairs(rest, LANE_FIELDS)) for norm, rest in lanes)
    if len(set(found)) < len(found):
        raise ValueError("names a lane twice; let them differ, such as batch,batch~lr:1")
    return found


def _write_lanes(lanes: tuple[Lane, ...]) -> str:
    return ",".join("~".join([norm, *_written(pairs)]) for norm, pairs in lanes)


def _parse_pairs(raw: Iterable[Any], allowed: tuple[str, ...]) -> Pairs:
    """Settings and their values, each checked by its own control, in the order of the table."""
    try:
        pairs = {name: value for name, value in raw}
        unknown = [name for name in pairs if name not in allowed]
    except (TypeError, ValueError):
        raise ValueError("needs pairs such as lr:1") from None
    if unknown:
        raise ValueError(f"can't set {shown(unknown[0])[:20]}; it can set {', '.join(allowed)}")
    return tuple((name, _parse_one(name, pairs[name])) for name in allowed if name in pairs)


def _parse_one(name: str, raw: Any) -> Any:
    try:
        return _RUN[name].parse(raw)
    except ValueError as error:
        raise ValueError(f"gives {name} a value that {error}") from None


def _written(pairs: Pairs) -> list[str]:
    return [f"{name}:{_RUN[name].write(value)}" for name, value in pairs]


def _parse_before(raw: Any) -> Pairs:
    """``lr:0.1,activation:relu``, or JSON: [["lr", 0.1], ["activation", "relu"]]."""
    if isinstance(raw, str):
        raw = [pair.split(":") for pair in raw.split(",") if pair]
    return _parse_pairs(raw, tuple(_RUN))


def _write_before(pairs: Pairs) -> str:
    return ",".join(_written(pairs))


def _parse_edits(raw: Any) -> tuple[Edit, ...]:
    """``120:lr:0.5,300:eps:0.1``, or JSON: [[120, "lr", 0.5], [300, "eps", 0.1]]."""
    try:
        if isinstance(raw, str):
            raw = [edit.split(":") for edit in raw.split(",") if edit]
        edits = {(number(step), name): value for step, name, value in raw}
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be changes such as 120:lr:0.5") from None
    if len(edits) > MAX_EDITS:
        raise ValueError(f"makes {len(edits)} changes, at most {MAX_EDITS} can be")
    for step, name in edits:
        if not (step.is_integer() and 1 <= step <= LAB_STEPS):
            raise ValueError(f"needs steps that are whole numbers from 1 to {LAB_STEPS}")
        if not isinstance(name, str) or name not in EDIT_FIELDS:
            raise ValueError(f"can change {', '.join(EDIT_FIELDS)} in mid-run")
    return tuple((int(step), name, _parse_one(name, edits[step, name])) for step, name in sorted(edits))


def _write_edits(edits: tuple[Edit, ...]) -> str:
    return ",".join(f"{step}:{name}:{_RUN[name].write(value)}" for step, name, value in edits)


LAB_CONTROLS = (
    Control(
        "lanes", "lanes", (("none", ()), ("batch", ())), "lanes", choices=LAYER_NORMS,
        codec=Codec(_parse_lanes, _write_lanes),
    ),
    *RUN_CONTROLS,
    Control(
        "edits", "edits", (), "changes in mid-run", unset="none", codec=Codec(_parse_edits, _write_edits),
    ),
    Control(
        "change", "choice", "start", "a change applies", choices=("start", "here"), group="view",
    ),
    Control(
        "before", "before", (), "settings before the last change", unset="none",
        codec=Codec(_parse_before, _write_before),
    ),
    Control("ghost", "choice", "on", "ghost", choices=("on", "off"), group="view"),
    Control(
        "histogram", "choice", "activation", "histograms of", choices=("activation", "preactivation"),
        group="view",
    ),
    Control("loss", "choice", "training", "loss on", choices=("training", "validation"), group="view"),
    Control("layer", "whole", 0, "layer", "0: the last", 0, 20, group="view"),
    Control("preset", "choice", "", "question", choices=("", *PRESETS), unset="none"),
    Control(
        "guess", "whole", -2, "prediction", "a lane’s number; −1: level", -2, MAX_LANES - 1, unset="none",
    ),
    Control("speed", "whole", 30, "speed", "steps a second", 1, 240, (5, 15, 30, 60, 120), group="play"),
    Control("step", "whole", -1, "step", "", -1, LAB_STEPS, group="view", unset="0"),
)  # fmt: skip


DEFAULTS: Values = {control.name: control.default for control in LAB_CONTROLS}


def lane_configs(values: Values, draft: bool = False) -> list[RunConfig]:
    """The training runs of a lab's settings, one configuration per lane."""
    every: dict[str, Any] = {
        "record_every": DRAFT_EVERY if draft else 1,
        "validate_every": DRAFT_VALIDATE_EVERY if draft else VALIDATE_EVERY,
    }
    configs = []
    for norm, differs in values["lanes"]:
        own = dict(differs)
        fields = {name: values[name] for name in _RUN} | own
        # A lane keeps to what it was given: edits change what the lanes share.
        edits = tuple(edit for edit in values["edits"] if edit[1] not in own)
        groups = math.gcd(8, fields["width"])
        configs.append(RunConfig(norm=norm, groups=groups, edits=edits, **fields, **every))
    return configs


def lane_names(values: Values) -> list[str]:
    """What each lane is called: its norm, and what else it differs in."""
    differences = [", ".join(map(_difference, differs)) for _, differs in values["lanes"]]
    norms = [NAMES[norm] for norm, _ in values["lanes"]]
    return [f"{n} ({d})" if d else n for n, d in zip(norms, differences, strict=True)]


def _difference(pair: tuple[str, Any]) -> str:
    name, value = pair
    label = _RUN[name].label.removesuffix(f" {name}")  # "ε eps" is called ε
    rounded = isinstance(value, float) and float(f"{value:g}") == value
    return f"{label} {value:g}" if rounded else f"{label} {value}"


def ghost_of(values: Values) -> Values | None:
    """The settings of the race that stays as a ghost: before the last change, or without the last branch."""
    if values["ghost"] == "off":
        return None
    if values["before"]:
        return values | dict(values["before"])
    if values["edits"]:
        last = values["edits"][-1][0]
        return values | {"edits": tuple(edit for edit in values["edits"] if edit[0] < last)}
    return None


def settings(values: Values) -> str:
    """What was set, in words: what differs from how the lab starts, and the changes in mid-run."""
    changed = [(name, values[name]) for name in _RUN if values[name] != DEFAULTS[name]]
    words = [_difference(pair) for pair in changed]
    words += [f"from step {step} on {_difference((name, value))}" for step, name, value in values["edits"]]
    return f"Settings: {', '.join(words)}." if words else "Settings: as the lab starts."


def notes(values: Values) -> list[str]:
    """What lanes don't share because of what they differ in: a fair race has the same start and batches."""
    differing = {name for _, differs in values["lanes"] for name, _ in differs}
    found = []
    if "batch_size" in differing:
        found.append("Lanes with other batch sizes see other batches.")
    if differing & {"depth", "width"}:
        found.append("Networks of another shape start from other weights.")
    return found


def extras() -> dict[str, Any]:
    """What the page has to know besides the table of settings."""
    presets = {
        name: {
            "label": preset.label,
            "about": preset.about,
            "until": preset.until,
            "values": (values := preset.values(name)),
            "address": f"?{urlencode(write(LAB_CONTROLS, DEFAULTS | values))}",
        }
        for name, preset in PRESETS.items()
    }
    return {
        "editable": EDIT_FIELDS,
        "differing": LANE_FIELDS,
        "most_edits": MAX_EDITS,
        "run": ("lanes", "edits", *_RUN),
        "noise": NOISE,
        "presets": presets,
    }
