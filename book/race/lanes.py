"""The training runs that a lab's settings stand for, and what gives way where settings exclude each other."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from bnlib import NORMS, RunConfig
from bnlib.config import hidden_shapes
from bnlib.data import PLANE, TRAIN_SIZES
from book.controls import Values

from .settings import CONCERNS, DEFAULTS, NAMES, NEEDS, RUN
from .verdict import capital

VALIDATE_EVERY = 5
# While a finger moves, the race is recorded at every tenth step: the same run, some three times sooner.
DRAFT_EVERY, DRAFT_VALIDATE_EVERY = 10, 20

_WORDS: dict[Any, str] = {"mlp": "dense", "cnn": "convolutional", "rnn": "recurrent", "gan": "GAN"}
_WORDS |= {name: norm.label for name, norm in NORMS.items() if norm.weights}


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
        lanes.append({name: values[name] for name in RUN} | own | {"norm": norm, "edits": edits})
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
    dataset: str = NEEDS.get(values["network"]) or values["dataset"]
    most = TRAIN_SIZES[dataset]
    samples = min(values["train_samples"], most)
    most = samples or most
    for fields in lanes:
        fields["dataset"] = dataset
        if "gan" in (values["network"], fields["network"]):
            fields["network"] = "gan" if values["network"] == "gan" else "mlp"
        elif NEEDS.get(fields["network"], dataset) != dataset:
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
    label = RUN[name].label.removesuffix(f" {name}")  # "ε eps" is called ε
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


# Why the data are what they are.
_WHY = {
    "cnn": "Convolutions look at images",
    "rnn": "Recurrent networks read images row by row",
    "gan": "The GAN draws points from a ring of Gaussians",
}


def settings(values: Values) -> str:
    """What was set, in words: what differs from how the lab starts, and the changes in mid-run."""
    words = [_difference(name, values[name]) for name in RUN if values[name] != DEFAULTS[name]]
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
