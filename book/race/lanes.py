"""Lanes in words: what each is called, what is particular about their race, and what gives way in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bnlib import NORMS, RunConfig
from book.controls import Values
from book.words import brief

from .runs import asked, ghost_of, lane_configs, norm_batch_of, possible
from .table import CONCERNS, NAMES, RUN
from .verdict import capital

__all__ = ["asked", "ghost_of", "lane_configs", "lane_names", "notes", "possible", "settings"]

MOST_IN_A_NAME = 3  # settings in which a lane differs
EXACT = 17  # digits that tell any two numbers apart
# Settings whose choices say by themselves what they are.
_PLAIN = ("network", "activation", "placement", "optimizer", "weight_norm")


def lane_names(values: Values) -> list[str]:
    """What each lane is called: its norm, and what else it differs in; no two lanes have one name."""
    lanes, used = values["lanes"], possible(values)
    own = [
        {name: (value, fields[name]) for name, value in differs}
        for (_, differs), fields in zip(lanes, used, strict=True)
    ]
    alike = {name for name in RUN if len({str(differs.get(name)) for differs in own}) == 1}
    names: list[str] = []
    for digits in (3, 6, EXACT):
        names = [
            _lane_name(norm, differs, alike, digits) for (norm, _), differs in zip(lanes, own, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    before = [names[:number].count(name) for number, name in enumerate(names)]
    return [f"{name} ({count + 1})" if count else name for name, count in zip(names, before, strict=True)]


def _lane_name(norm: str, differs: Mapping[str, tuple[Any, Any]], alike: set[str], digits: int) -> str:
    """A norm, and the first few settings in which the lane differs, those first that not all lanes share."""
    ranked = sorted(differs, key=alike.__contains__)
    told = [difference(name, *differs[name], digits) for name in ranked[:MOST_IN_A_NAME]]
    more = [f"{len(ranked) - MOST_IN_A_NAME} more"] if len(ranked) > MOST_IN_A_NAME else []
    return f"{NAMES[norm]} ({', '.join(told + more)})" if told else NAMES[norm]


def difference(name: str, value: Any, used: Any = None, digits: int = EXACT) -> str:
    """A setting in words, with the value that is used where it isn't the one asked for."""
    instead = "" if used is None or used == value else f" → {plain(name, used, digits)}"
    told = f"{plain(name, value, digits)}{instead}"
    return told if name in _PLAIN else f"{label(name)} {told}"


def label(name: str) -> str:
    """What a setting is called: "ε eps" is ε."""
    return RUN[name].label.removesuffix(f" {name}")


def plain(name: str, value: Any, digits: int = EXACT) -> str:
    """A setting's value as the page writes it, to so many digits."""
    if not isinstance(value, float):
        return RUN[name].called(value)
    if digits < EXACT:
        return brief(value) if digits <= 3 else f"{value:.{digits}g}".replace("-", "−", 1)
    return (f"{value:g}" if float(f"{value:g}") == value else repr(value)).replace("-", "−", 1)


def settings(values: Values) -> str:
    """What was set, in words: what differs from how the lab starts, and the changes in mid-run."""
    words = [difference(name, values[name]) for name in RUN if values[name] != RUN[name].default]
    words += [f"from step {step} on {difference(name, value)}" for step, name, value in values["edits"]]
    said = f"Settings: {', '.join(words)}." if words else "Settings: the lab’s defaults."
    return " ".join([said, *instead(values)])


def notes(values: Values, is_open: bool = False) -> list[str]:
    """What the page has to say about the lanes: what is particular about their race, and what gives way."""
    return list(dict.fromkeys([*particulars(values, is_open), *instead(values)]))


# ---- what is particular ----------------------------------------------------------------------------------


def particulars(values: Values, is_open: bool = False) -> list[str]:
    """What is particular about a race, a sentence each: kind of network, weights, statistics, fairness.

    ``is_open``: its question waits for an answer, so that what follows from it isn't said.
    """
    used, names = possible(values), lane_names(values)
    networks = {fields["network"] for fields in used}
    found = [_NETWORKS[network] for network in _NETWORKS if network in networks]
    found += _by_lane(names, [_weights(fields, is_open) for fields in used])
    found += [
        *_statistics(used, names),
        *_frozen(used, names),
        *_unfair(used, names),
        *_mixed(values, used, names),
    ]
    return found + _idle(values, used, names)


_NETWORKS = {
    "rnn": "A recurrent network reads an image in 8 rows, one after another; norms take their statistics at "
    "each row separately.",
    "gan": "A GAN consists of two networks; the norm is in the discriminator only.",
}


def _by_lane(names: Sequence[str], texts: Sequence[str]) -> list[str]:
    """What is said of lanes, where it is the same of all without their names. ``texts``: "" for nothing."""
    if len(set(texts)) == 1:
        return [capital(text) for text in set(texts) if text]
    return [f"{capital(listed(who))}: {text}" for text, who in _grouped(names, texts).items() if text]


def _grouped(names: Sequence[str], texts: Sequence[str]) -> dict[str, list[str]]:
    """Which names have each text."""
    grouped: dict[str, list[str]] = {}
    for name, text in zip(names, texts, strict=True):
        grouped.setdefault(text, []).append(name)
    return grouped


def listed(names: Sequence[str]) -> str:
    """Join names: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _weights(fields: Mapping[str, Any], is_open: bool) -> str:
    """What is particular about initial weights that aren't He's."""
    scale, width = fields["init_scale"], fields["width"]
    if fields["init"] == "normal":
        text = f"initial weights have standard deviation {brief(scale)} in every layer"
        he = f"; after He et al. (2015) it would be {brief(math.sqrt(2 / width))} for {width} inputs"
        return f"{text}{he if fields['network'] == 'mlp' else ''}."
    if scale == 1:
        return ""
    text = f"initial weights are {brief(scale)} times those of He et al. (2015)"
    if is_open or fields["activation"] != "relu" or fields["network"] not in ("mlp", "cnn"):
        return f"{text}."
    change = f"shrinks to about {brief(100 * scale)}%" if scale < 1 else f"grows about {brief(scale)}-fold"
    return f"{text}: without a norm the signal {change} in each layer."


def _statistics(used: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """How many numbers each mean of a norm over the batch is taken from."""
    counts = {name: count for name, fields in zip(names, used, strict=True) if (count := _count(fields))}
    if not counts:
        return []
    edits = [(name, value) for fields in used for _, name, value in fields["edits"]]
    at_first = any(name == "batch_size" or (name == "frozen" and value) for name, value in edits)
    text = f"{'at first each' if at_first else 'each'} mean and variance is taken over"
    grouped = _grouped(list(counts), list(counts.values()))
    if len(grouped) > 1:
        told = "; ".join(f"{count} with {listed(who)}" for count, who in grouped.items())
        return [f"{capital(text)} {told}."]
    ((count, who),) = grouped.items()
    return [f"With {listed(who)} {text} {count}." if len(who) < len(names) else f"{capital(text)} {count}."]


def _count(fields: Mapping[str, Any]) -> str:
    """How many numbers: in the layer where they are fewest; "" for norms that don't look at the batch."""
    norm = NORMS.get(fields["norm"])
    if norm is None or not norm.running or norm.weighted or fields["frozen"]:
        return ""
    samples = fields["norm_batch"] or fields["batch_size"]
    if fields["network"] == "gan":
        return f"{samples} points, real and generated ones apart"
    if fields["network"] != "cnn":
        return f"{samples} sample{'s' * (samples > 1)}"
    height, width, _ = min(RunConfig(**_shape(fields)).shapes, key=lambda shape: shape[0] * shape[1])
    count = f"{samples} × {height} × {width} = {samples * height * width:,}"
    return f"at least {count} numbers (samples × positions)"


def _frozen(used: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Say what is left of norms whose running statistics never move."""
    who = [name for name, fields in zip(names, used, strict=True) if fields["frozen"]]
    told = "μ and σ stay at 0 and 1, where running averages start: only γ and β are left of the norm."
    return [f"With {listed(who)} {told}"] if who else []


def _shape(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in ("network", "depth", "width")}


def _unfair(used: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """What lanes don't share although a fair race does: their start and their batches."""
    found = []
    if _kinds(used, "batch_size") > 1:
        found.append("Lanes with different batch sizes see different batches.")
    if _kinds(used, "network", "depth", "width") > 1:
        found.append("Networks of different shapes start from different weights.")
    return found


def _kinds(used: Sequence[Mapping[str, Any]], *fields: str) -> int:
    return len({tuple(lane[name] for name in fields) for lane in used})


def _mixed(values: Values, used: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Where lanes differ in several settings at once, so that none of them can be given the credit."""
    wanted = asked(values)

    def differs(one: int, other: int) -> tuple[str, ...]:
        """Settings of both lanes that differ; those that one of two norms lacks belong to the other norm."""
        both = [name for name in RUN if not (idle(name, used[one]) or idle(name, used[other]))]
        lanes = wanted, used
        return tuple(n for n in ("norm", *both) if all(lane[one][n] != lane[other][n] for lane in lanes))

    pairs: dict[tuple[int, int], tuple[str, ...]] = {}
    for number in range(len(used)):
        others = [other for other in range(len(used)) if other != number]
        nearest = min(others, key=lambda other: len(differs(number, other)), default=number)
        found = differs(number, nearest)
        if len(found) > 1 and set(found) != {"norm", "lr"}:
            pairs[min(number, nearest), max(number, nearest)] = found
    told = {settings: listed([_called(name) for name in settings]) for settings in pairs.values()}
    cant = "the race can’t tell which of them matters"
    sentences = [
        f"Between {names[one]} and {names[other]} several settings differ ({told[settings]}): {cant}."
        for (one, other), settings in pairs.items()
    ]
    if len(sentences) > 1 and len(told) == 1:
        sentences = [f"Several settings differ together ({words}): {cant}." for words in told.values()]
    norms, rates = _kinds(used, "norm", "weight_norm"), _kinds(used, "lr")
    every = _kinds(used, "norm", "weight_norm", "lr") == norms * rates  # each norm at each learning rate
    if every or any("lr" in settings for settings in told):
        return sentences
    rate = (
        "Lanes have different learning rates: this compares pairs of norm and learning rate, not norms alone."
    )
    return [rate, *sentences]


def _called(name: str) -> str:
    return {"norm": "norm", "placement": "placement"}.get(name) or label(name)


def idle(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a setting does nothing in a lane, whatever its value."""
    norm = NORMS.get(fields["norm"])
    if name == "activation":
        return bool(norm and norm.activates)
    norms = CONCERNS.get(name)
    if norms is None or fields["norm"] in norms:
        return False
    return name == "weight_norm" or fields["weight_norm"] not in norms


def _idle(values: Values, used: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Where a lane differs in a setting that does nothing there, and lanes that are the same run."""
    found = []
    for (norm, differs), fields in zip(values["lanes"], used, strict=True):
        unused = [label(name) for name, _ in differs if idle(name, fields)]
        if unused:
            have = "have" if len(unused) > 1 else "has"
            found.append(f"With {NAMES[norm]}, {listed(unused)} {have} no effect.")
    runs: dict[str, list[str]] = {}
    for name, fields in zip(names, used, strict=True):
        key = {setting: value for setting, value in fields.items() if not idle(setting, fields)}
        runs.setdefault(repr(key), []).append(name)
    same = [who for who in runs.values() if len(who) > 1]
    return found + [f"The lanes {listed(who)} are the same run: their lines coincide." for who in same]


# ---- what gives way --------------------------------------------------------------------------------------

# Why the data are what they are.
_WHY = {
    "cnn": "Convolutional networks need images",
    "rnn": "Recurrent networks read images row by row",
    "gan": "The GAN draws points like those of a ring of Gaussians",
}


def instead(values: Values) -> list[str]:
    """What is used where settings exclude each other, a sentence each."""
    found = []
    batch = any(norm in CONCERNS["norm_batch"] for norm, _ in values["lanes"])
    for (norm, differs), wanted, used in zip(values["lanes"], asked(values), possible(values), strict=True):
        size, norm_batch = used["batch_size"], used["norm_batch"]
        if used["dataset"] != wanted["dataset"]:
            found.append(f"{_WHY[values['network']]}: the data set is “{plain('dataset', used['dataset'])}”.")
        if used["network"] != wanted["network"]:
            draws = "gan" in (used["network"], wanted["network"])
            why = "Either all lanes are GANs or none is" if draws else _WHY[wanted["network"]]
            kinds = (plain("network", lane["network"]) for lane in (used, wanted))
            found.append(f"{why}: {' is used instead of '.join(kinds)}.")
        if used["label_noise"] != wanted["label_noise"]:
            found.append("A GAN has no labels: label noise has no effect.")
        if used["norm_noise"] != wanted["norm_noise"]:
            found.append("Noise can be injected into dense networks only.")
        if used["weight_norm"] != wanted["weight_norm"]:
            found.append(f"{capital(NAMES[norm])} is a norm of weights itself: no other one is added.")
        if used["groups"] != wanted["groups"]:
            groups = f"{wanted['groups']} groups don’t divide the channels of every layer"
            found.append(f"{groups}: {used['groups']} {'is' if used['groups'] == 1 else 'are'} used.")
        if used["train_samples"] != wanted["train_samples"]:
            found.append(f"There are {used['train_samples']} training samples, and all are used.")
        if size != wanted["batch_size"]:
            found.append(f"There are only {size} training samples: batches of {size} are used.")
        if used["inputs"] != wanted["inputs"]:
            found.append("2-D data are centred already: they are used as they are.")
        own = any(name in ("norm_batch", "batch_order") for name, _ in differs)
        concerned = norm in CONCERNS["norm_batch"]
        if not concerned and not batch and wanted["norm_batch"] and not own:
            found.append("The norm batch has no effect: no lane has batch norm.")
        elif concerned and wanted["norm_batch"] > size:
            found.append(
                f"A norm batch of {wanted['norm_batch']} is more than a batch of {size}: the whole batch "
                "shares μ and σ."
            )
        elif concerned and norm_batch != norm_batch_of(wanted):
            parts = f"Norm batches of {norm_batch_of(wanted)} don’t fill a batch of {size}"
            found.append(f"{parts}: {norm_batch} is used.")
        elif concerned and used["batch_order"] != wanted["batch_order"]:
            found.append(
                "The batch order has no effect while the whole batch shares μ and σ: "
                f"“{plain('batch_order', wanted['batch_order'])}” needs a norm batch."
            )
        for (step, name, value), (_, _, taken) in zip(wanted["edits"], used["edits"], strict=True):
            if taken != value and name == "batch_size":
                what = f"From step {step} on batches of {taken} are used, not of {value}"
                found.append(f"{what}: a batch holds whole norm batches and no more samples than there are.")
    return list(dict.fromkeys(found))
