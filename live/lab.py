"""The training lab's settings, and the training runs that they stand for.

A race is one to four lanes of networks on the same data. Lanes share every setting but their norm and what
the reader chose to let them differ in. Edits change a shared setting in mid-run, from a step on; the race
without the last edit, or before the last change, is the ghost that stays beside the present one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from bnlib import NORMS, RunConfig
from bnlib.config import EDITABLE, LAYER_NORMS, hidden_shapes
from bnlib.data import PLANE, TRAIN_SIZES
from bnlib.experiments import EXPERIMENTS
from bnlib.table import WEIGHT_NORMS

from .controls import EPS_STOPS, Codec, Control, Values, even_stops, log_stops, number, shown, write
from .presets import PRESETS
from .verdict import NOISE, capital

LAB_STEPS = 2000
MAX_LANES, MAX_EDITS = 4, 12
MAX_RACES = 9  # of one experiment
MOST_NAMED = 12  # settings in a sentence about one that doesn't exist
VALIDATE_EVERY = 5
# While a finger moves, the race is recorded at every tenth step: the same run, some three times sooner.
DRAFT_EVERY, DRAFT_VALIDATE_EVERY = 10, 20

NAMES = {"none": "no norm"} | {name: norm.label for name, norm in NORMS.items()}

_GHOST = NORMS["ghost"].together
_WORDS: dict[Any, str] = {"mlp": "dense", "cnn": "convolutional", "rnn": "recurrent", "gan": "GAN"}
_WORDS |= {name: norm.label for name, norm in NORMS.items() if norm.weights}

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
        "norm_batch", "whole", 0, "norm batch", f"samples that share μ and σ; 0: all, ghost: {_GHOST}", 0, 640,
        _NORM_BATCHES, group="more",
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
_RUN = {control.name: control for control in RUN_CONTROLS}
# Lanes can't differ in the data and the seeds: it would be no race.
SHARED = ("dataset", "data_noise", "inputs", "label_noise", "train_samples", "replicas", "seed")
LANE_FIELDS = tuple(name for name in _RUN if name not in SHARED)
EDIT_FIELDS = tuple(name for name in _RUN if name in EDITABLE)


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


# By setting, the norms of which one must be in a lane for the setting to do anything.
CONCERNS = {name: norms for name in _RUN if (norms := _concerns(name))}


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


def lane_configs(values: Values, draft: bool = False) -> list[RunConfig]:
    """The training runs of a lab's settings, one configuration per lane."""
    every: dict[str, Any] = {
        "record_every": DRAFT_EVERY if draft else 1,
        "validate_every": DRAFT_VALIDATE_EVERY if draft else VALIDATE_EVERY,
    }
    return [RunConfig(**fields, **every) for fields in possible(values)]


def asked(values: Values) -> list[dict[str, Any]]:
    """By lane the fields of its run as they were asked for."""
    lanes = []
    for norm, differs in values["lanes"]:
        own = dict(differs)
        # A lane keeps to what it was given: edits change what the lanes share.
        edits = tuple(edit for edit in values["edits"] if edit[1] not in own)
        lanes.append({name: values[name] for name in _RUN} | own | {"norm": norm, "edits": edits})
    return lanes


def possible(values: Values) -> list[dict[str, Any]]:
    """What was `asked`, or where settings exclude each other what comes closest: no slider is ever wrong.

    Networks that look at images have digits, and those that draw have the ring; a lane's own network gives
    way to what all lanes share. There are no more samples than the data set has. A norm of groups has the
    most that divide all layers' channels and are no more than asked for. A norm batch is the largest part of
    the batch that is no larger than asked for; without it there is no order to speak of. A batch size that
    is changed in mid-run holds whole norm batches of every lane, since what came before the change must stay.
    """
    lanes = asked(values)
    dataset: str = _NEEDS.get(values["network"]) or values["dataset"]
    most = TRAIN_SIZES[dataset]
    samples = min(values["train_samples"], most)
    most = samples or most
    for fields in lanes:
        fields["dataset"] = dataset
        if "gan" in (values["network"], fields["network"]):
            fields["network"] = "gan" if values["network"] == "gan" else "mlp"
        elif _NEEDS.get(fields["network"], dataset) != dataset:
            fields["network"] = "mlp"
        if fields["network"] == "gan":
            fields["label_noise"] = 0.0
        if fields["network"] != "mlp":
            fields["norm_noise"] = 0.0
        if fields["norm"] not in CONCERNS["weight_norm"]:
            fields["weight_norm"] = "none"
        if fields["norm"] in CONCERNS["groups"]:
            channels = math.gcd(*(shape[-1] for shape in hidden_shapes(SimpleNamespace(**fields))))
            fields["groups"] = _part(channels, fields["groups"])
        fields["train_samples"] = samples
        fields["batch_size"] = min(fields["batch_size"], most)
        wanted = _norm_batch(fields)
        own = fields["norm"] in CONCERNS["norm_batch"]
        fields["norm_batch"] = _part(fields["batch_size"], wanted) if own else 0
        if not fields["norm_batch"]:
            fields["batch_order"] = "shuffled"
        if fields["dataset"] in PLANE:
            fields["inputs"] = "raw"  # they are centred, and the square that is drawn is theirs
    following = [fields for fields in lanes if any(name == "batch_size" for _, name, _ in fields["edits"])]
    whole = math.lcm(*(fields["norm_batch"] or 1 for fields in following))
    for fields in following:
        fields["edits"] = tuple(
            (step, name, max(whole, min(value, most) // whole * whole) if name == "batch_size" else value)
            for step, name, value in fields["edits"]
        )
    return lanes


def _norm_batch(fields: dict[str, Any]) -> int:
    """How many samples are wanted to share their statistics; 0: all."""
    norm = NORMS.get(fields["norm"])
    return fields["norm_batch"] or (norm.together if norm else 0)


def _part(whole: int, wanted: int) -> int:
    """The largest divisor of ``whole`` up to ``wanted``; 0 if nothing is wanted."""
    return max((size for size in range(1, wanted + 1) if whole % size == 0), default=0)


def lane_names(values: Values) -> list[str]:
    """What each lane is called: its norm, and what else it differs in."""
    names = []
    for (norm, differs), used in zip(values["lanes"], possible(values), strict=True):
        differences = ", ".join(_difference(name, value, used[name]) for name, value in differs)
        names.append(f"{NAMES[norm]} ({differences})" if differs else NAMES[norm])
    return names


def _difference(name: str, value: Any, used: Any = None) -> str:
    """A setting in words, with the value that is used where it isn't the one asked for."""
    label = _RUN[name].label.removesuffix(f" {name}")  # "ε eps" is called ε
    instead = "" if used is None or used == value else f" → {_plain(used)}"
    return f"{label} {_plain(value)}{instead}"


def _plain(value: Any) -> str:
    rounded = isinstance(value, float) and float(f"{value:g}") == value
    return f"{value:g}" if rounded else _WORDS.get(value, str(value))


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


# What a network needs to look at, and why.
_NEEDS = {"cnn": "digits", "rnn": "digits", "gan": "ring"}
_WHY = {
    "cnn": "Convolutions look at images",
    "rnn": "Recurrent networks read images row by row",
    "gan": "The GAN draws points from a ring of Gaussians",
}


def settings(values: Values) -> str:
    """What was set, in words: what differs from how the lab starts, and the changes in mid-run."""
    words = [_difference(name, values[name]) for name in _RUN if values[name] != DEFAULTS[name]]
    words += [f"from step {step} on {_difference(name, value)}" for step, name, value in values["edits"]]
    said = f"Settings: {', '.join(words)}." if words else "Settings: as the lab starts."
    return " ".join([said, *instead(values)])


def notes(values: Values) -> list[str]:
    """What the page has to say about the lanes.

    What they don't share because of what they differ in, since a fair race has the same start and batches;
    and what is used where that isn't what was asked for.
    """
    differing = {name for _, differs in values["lanes"] for name, _ in differs}
    found = []
    if "batch_size" in differing:
        found.append("Lanes with other batch sizes see other batches.")
    if differing & {"depth", "width", "network"}:
        found.append("Networks of another shape start from other weights.")
    return found + instead(values)


def instead(values: Values) -> list[str]:
    """What is used where settings exclude each other, a sentence each."""
    found = []
    batch = any(norm in CONCERNS["norm_batch"] for norm, _ in values["lanes"])
    for (norm, differs), wanted, used in zip(values["lanes"], asked(values), possible(values), strict=True):
        size, norm_batch = used["batch_size"], used["norm_batch"]
        if used["dataset"] != wanted["dataset"]:
            found.append(f"{_WHY[values['network']]}: the data set is {used['dataset']}.")
        if used["network"] != wanted["network"]:
            draws = "gan" in (used["network"], wanted["network"])
            why = "All lanes draw, or none does" if draws else _WHY[wanted["network"]]
            found.append(f"{why}: {_plain(wanted['network'])} gives way to {_plain(used['network'])}.")
        if used["label_noise"] != wanted["label_noise"]:
            found.append("A GAN has no labels that could be wrong.")
        if used["norm_noise"] != wanted["norm_noise"]:
            found.append("Noise is injected into dense networks alone.")
        if used["weight_norm"] != wanted["weight_norm"]:
            found.append(f"{capital(NAMES[norm])} is one of weights already: it stands alone.")
        if used["groups"] != wanted["groups"]:
            groups = f"{wanted['groups']} groups don’t divide all layers’ channels"
            found.append(f"{groups}: {used['groups']} are used.")
        if used["train_samples"] != wanted["train_samples"]:
            found.append(f"There are {used['train_samples']} training samples, and all are used.")
        if size != wanted["batch_size"]:
            found.append(f"There are no more than {size} training samples: batches of {size} are used.")
        if used["inputs"] != wanted["inputs"]:
            found.append("Data in the plane are centred already: they are used as they are.")
        own = any(name in ("norm_batch", "batch_order") for name, _ in differs)
        concerned = norm in CONCERNS["norm_batch"]
        if not concerned and (own or not batch) and (wanted["norm_batch"] or own):
            found.append("Norm batches concern batch norm alone.")
        elif concerned and wanted["norm_batch"] > size:
            found.append(
                f"A norm batch of {wanted['norm_batch']} is more than a batch of {size}: the whole batch "
                "shares μ and σ."
            )
        elif concerned and norm_batch != _norm_batch(wanted):
            parts = f"Norm batches of {_norm_batch(wanted)} don’t fill a batch of {size}"
            found.append(f"{parts}: {norm_batch} is used.")
        elif concerned and used["batch_order"] != wanted["batch_order"]:
            found.append(
                f"Which samples share μ and σ makes no difference while all do: {wanted['batch_order']} "
                "needs a norm batch."
            )
        for (step, _, value), (_, _, taken) in zip(wanted["edits"], used["edits"], strict=True):
            if taken != value:
                what = f"From step {step} on batches of {taken} are used, not of {value}"
                found.append(f"{what}: they hold whole norm batches, and no more samples than there are.")
    return list(dict.fromkeys(found))


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
        "needs": _NEEDS,
        "run": ("lanes", "edits", *_RUN),
        "noise": NOISE,
        "presets": presets,
    }
