"""The training runs of a lab's settings, and what is used where settings exclude each other."""

from __future__ import annotations

import math
from typing import Any

from bnlib import NORMS, RunConfig
from bnlib.data import PLANE, TRAIN_SIZES
from bnlib.networks.kinds import NETWORKS
from book.controls import Values

from .table import CONCERNS, NEEDS, RUN

VALIDATE_EVERY = 5
# While a finger moves, the race is recorded at every tenth step: the same run, some three times sooner.
DRAFT_EVERY, DRAFT_VALIDATE_EVERY = 10, 20


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
    the batch that is no larger than asked for; without it there is no order to speak of. Where norm batches
    don't fill a smaller last batch, it straddles epochs. Only running statistics can be frozen. A batch size
    that is changed in mid-run holds whole norm batches of every lane, since what came before must stay.
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
            shapes = NETWORKS[fields["network"]].shapes(fields["depth"], fields["width"])
            channels = math.gcd(*(shape[-1] for shape in shapes))
            fields["groups"] = _part(channels, fields["groups"])
        fields["train_samples"] = samples
        fields["batch_size"] = min(fields["batch_size"], most)
        wanted = norm_batch_of(fields)
        own = fields["norm"] in CONCERNS["norm_batch"]
        fields["norm_batch"] = _part(fields["batch_size"], wanted) if own else 0
        if not fields["norm_batch"]:
            fields["batch_order"] = "shuffled"
        if fields["last_batch"] == "keep" and most % (fields["norm_batch"] or 1):
            fields["last_batch"] = "straddle"
        if fields["norm"] not in CONCERNS["frozen"]:
            fields["frozen"] = False
            fields["edits"] = tuple(
                (step, name, value if name != "frozen" else False) for step, name, value in fields["edits"]
            )
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


def norm_batch_of(fields: dict[str, Any]) -> int:
    """How many samples are wanted to share their statistics; 0: all."""
    norm = NORMS.get(fields["norm"])
    return fields["norm_batch"] or (norm.together if norm else 0)


def _part(whole: int, wanted: int) -> int:
    """The largest divisor of ``whole`` up to ``wanted``; 0 if nothing is wanted."""
    return max((size for size in range(1, wanted + 1) if whole % size == 0), default=0)


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
