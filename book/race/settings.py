"""The training lab's settings: a table, and how they are read and written.

A race is one to four lanes of networks on the same data. Lanes share every setting but their norm and what
the reader chose to let them differ in. Edits change a shared setting in mid-run, from a step on; the race
without the last edit, or before the last change, is the ghost that stays beside the present one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from bnlib import NORMS
from bnlib.config import EDITABLE, LAYER_NORMS
from bnlib.data import PLANE, TRAIN_SIZES
from bnlib.experiments import EXPERIMENTS
from bnlib.table import WEIGHT_NORMS
from book.controls import EPS_STOPS, Codec, Control, Values, even_stops, log_stops, number, shown, write

from .scenes import PRESETS
from .verdict import NOISE

LAB_STEPS = 2000
MAX_LANES, MAX_EDITS = 4, 12
MAX_RACES = 9  # of one experiment
MOST_NAMED = 12  # settings in a sentence about one that doesn't exist

NAMES = {"none": "no norm"} | {name: norm.label for name, norm in NORMS.items()}

_GHOST = NORMS["ghost"].together

Pairs = tuple[tuple[str, Any], ...]  # (setting, value), ...
Lane = tuple[str, Pairs]  # norm, and what else differs
Edit = tuple[int, str, Any]  # (step, setting, value)

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 640)
_NORM_BATCHES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
_COSINES = (0, 100, 160, 200, 240, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000)
_SAMPLES = (0, 32, 64, 128, 256, 512, 640, 768, 1024, 1280)
_SCALES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
_GROUPS = (1, 2, 4, 8, 16, 32, 64)
_MOMENTA = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

# What the runs depend on. Everything here may stand in an address, in a lane or in a ghost.
RUN_CONTROLS = (
    Control("dataset", "choice", "digits", "data", choices=("digits", *PLANE), group="data"),
    Control(
        "data_noise", "number", 0.1, "noise", "of the 2-D sets", 0, 1, even_stops(0, 1, 20), group="data",
    ),
    Control(
        "network", "choice", "mlp", "network", choices=("mlp", "cnn", "rnn", "gan"), group="network",
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
    Control(
        "init_scale", "number", 0.5, "init scale", "× He 2015; normal: σ", 0.05, 5, _SCALES,
        group="network",
    ),
    Control("batch_size", "whole", 32, "batch size", "", 1, 640, _SIZES, group="training"),
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
    Control(
        "groups", "whole", 8, "groups", "of channels that share μ and σ", 1, 64, _GROUPS, group="norm",
    ),
    Control(
        "iterations", "whole", 1, "power iterations", "of spectral norm", 1, 20, (1, 2, 3, 5, 10, 20),
        group="norm",
    ),
    Control(
        "r_max", "number", 3.0, "r max", "how far σ is corrected; 1: not", 1, 100,
        (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0), group="norm",
    ),
    Control(
        "d_max", "number", 5.0, "d max", "how far μ is corrected; 0: not", 0, 100,
        (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 100.0), group="norm",
    ),
    Control(
        "alpha", "number", 0.5, "α alpha", "inside the tanh, start", -4, 4, even_stops(-4, 4, 80),
        group="norm",
    ),
    Control(
        "weight_norm", "choice", "none", "weights", choices=WEIGHT_NORMS, group="more",
    ),
    Control(
        "norm_batch", "whole", 0, "norm batch", f"samples that share μ and σ; 0: all, ghost: {_GHOST}", 0,
        640, _NORM_BATCHES, group="more",
    ),
    Control(
        "batch_order", "choice", "shuffled", "batch order", choices=("shuffled", "pairs", "sorted"),
        group="more",
    ),
    Control(
        "norm_noise", "number", 0.0, "injected noise", "behind each norm", 0, 10,
        even_stops(0, 4, 16), group="more",
    ),
    Control(
        "weight_decay", "number", 0.0, "weight decay", "λ", 0, 1,
        (0.0, *log_stops(-6, 0, 6)), group="more",
    ),
    Control(
        "cosine_steps", "whole", 0, "cosine over", "steps; 0: none", 0, 10_000, _COSINES,
        group="more",
    ),
    Control("init", "choice", "he", "initial weights", choices=("he", "normal"), group="more"),
    Control("inputs", "choice", "raw", "inputs", choices=("raw", "standardized"), group="more"),
    Control(
        "label_noise", "number", 0.0, "label noise", "share that is wrong", 0, 1,
        even_stops(0, 1, 20), group="more",
    ),
    Control(
        "train_samples", "whole", 0, "training samples", "0: all", 0, max(TRAIN_SIZES.values()), _SAMPLES,
        group="more",
    ),
)  # fmt: skip
RUN = {control.name: control for control in RUN_CONTROLS}
# Lanes can't differ in the data and the seeds: it would be no race.
SHARED = ("dataset", "data_noise", "inputs", "label_noise", "train_samples", "replicas", "seed")
LANE_FIELDS = tuple(name for name in RUN if name not in SHARED)
EDIT_FIELDS = tuple(name for name in RUN if name in EDITABLE)


def _concerns(name: str) -> list[str]:
    """The norms that a setting concerns; none: it isn't one of a norm."""
    if name == "weight_norm":
        return ["none", *(norm for norm, row in NORMS.items() if not row.weights)]
    if name == "placement":
        return [norm for norm, row in NORMS.items() if not row.weights and not row.activates]
    if name == "momentum":
        return [norm for norm, row in NORMS.items() if row.running]
    if name == "batch_order":
        name = "norm_batch"
    return [norm for norm, row in NORMS.items() if name in (*row.options, *row.learned)]


# What data a network needs.
NEEDS = {"cnn": "digits", "rnn": "digits", "gan": "ring"}
# By setting, the norms of which one must be in a lane for the setting to do anything.
CONCERNS = {name: norms for name in RUN if (norms := _concerns(name))}


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
        some = ", ".join(allowed[:MOST_NAMED]) + (", …" if len(allowed) > MOST_NAMED else "")
        raise ValueError(f"can't set {shown(unknown[0])[:20]}; it can set {some}")
    return tuple((name, _parse_one(name, pairs[name])) for name in allowed if name in pairs)


def _parse_one(name: str, raw: Any) -> Any:
    try:
        return RUN[name].parse(raw)
    except ValueError as error:
        raise ValueError(f"gives {name} a value that {error}") from None


def _written(pairs: Pairs) -> list[str]:
    return [f"{name}:{RUN[name].write(value)}" for name, value in pairs]


def _parse_before(raw: Any) -> Pairs:
    """``lr:0.1,activation:relu``, or JSON: [["lr", 0.1], ["activation", "relu"]]."""
    if isinstance(raw, str):
        raw = [pair.split(":") for pair in raw.split(",") if pair]
    return _parse_pairs(raw, tuple(RUN))


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
    return ",".join(f"{step}:{name}:{RUN[name].write(value)}" for step, name, value in edits)


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
    Control(
        "experiment", "choice", "", "experiment",
        choices=("", *(name for name, experiment in EXPERIMENTS.items() if callable(experiment.races))),
        unset="none",
    ),
    Control("race", "whole", 1, "race", "of the experiment", 1, MAX_RACES),
    Control("speed", "whole", 30, "speed", "steps a second", 1, 240, (5, 15, 30, 60, 120), group="play"),
    Control("step", "whole", -1, "step", "", -1, LAB_STEPS, group="view", unset="0"),
)  # fmt: skip


DEFAULTS: Values = {control.name: control.default for control in LAB_CONTROLS}


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
        "norms": [{"norm": name, "name": label} for name, label in NAMES.items()],
        "concerns": CONCERNS,
        "needs": NEEDS,
        "run": ("lanes", "edits", *RUN),
        "noise": NOISE,
        "presets": presets,
    }
