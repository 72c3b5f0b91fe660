"""How lanes, changes in mid-run and earlier settings are written in an address, and read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from bnlib.networks.config import LAYER_NORMS
from book.controls import Codec, PartlyBroken, number, shown

from .table import EDIT_FIELDS, LAB_STEPS, LANE_FIELDS, MAX_EDITS, MAX_LANES, RUN, Edit, Lane, Pairs

MOST_NAMED = 12  # settings in a sentence about one that doesn't exist

Part = TypeVar("Part")


def _each(raw: Iterable[Any], noun: str, parse: Callable[[Any], Part]) -> tuple[list[Part], list[str]]:
    """Return the parts that can be read, and a clause for each other one; if none can, raise an error."""
    found, dropped, errors = [], [], []
    for place, part in enumerate(raw, start=1):
        try:
            found.append(parse(part))
        except ValueError as error:
            errors.append(error)
            dropped.append(f"{noun} {place}, “{shown(part)}”, {error}")
    if errors and not found:
        raise errors[0]
    return found, dropped


def _kept(value: Part, dropped: list[str]) -> Part:
    if dropped:
        raise PartlyBroken(value, dropped)
    return value


def _parse_lanes(raw: Any) -> tuple[Lane, ...]:
    """``none,batch~lr:1.0``, or JSON: [["none", []], ["batch", [["lr", 1.0]]]]."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, (list, tuple)):
        raise ValueError("must name norms, such as none,batch or batch,batch~lr:1")
    if not parts:
        raise ValueError(f"must name one to {MAX_LANES} lanes, such as none,batch")
    taken: set[Lane] = set()

    def lane(part: Any) -> Lane:
        found = _parse_lane(part)
        if found in taken:
            raise ValueError("is there already; let it differ, such as batch,batch~lr:1")
        if len(taken) == MAX_LANES:
            raise ValueError(f"is one too many: at most {MAX_LANES} lanes race")
        taken.add(found)
        return found

    found, dropped = _each(parts, "lane", lane)
    return _kept(tuple(found), dropped)


def _parse_lane(raw: Any) -> Lane:
    try:
        norm, pairs = raw.partition("~")[::2] if isinstance(raw, str) else raw
        pairs = (pairs.split("~") if "~" in raw else []) if isinstance(raw, str) else list(pairs)
    except (TypeError, ValueError):
        raise ValueError("must be a norm and what differs, such as batch or batch~lr:1") from None
    if not isinstance(norm, str) or norm not in LAYER_NORMS:
        near = get_close_matches(norm[:20].lower(), LAYER_NORMS, 1) if isinstance(norm, str) else []
        likely = near[0] if near else "batch"
        raise ValueError(f"must be a norm, such as {likely}; there are {', '.join(LAYER_NORMS)}")
    return norm, _in_order((_parse_pair(pair, LANE_FIELDS) for pair in pairs), LANE_FIELDS)


def _write_lanes(lanes: tuple[Lane, ...]) -> str:
    return ",".join("~".join([norm, *_written(pairs)]) for norm, pairs in lanes)


def _in_order(pairs: Iterable[tuple[str, Any]], allowed: tuple[str, ...]) -> Pairs:
    """Return settings in the order of the table; of two for one setting the later counts."""
    found = dict(pairs)
    return tuple((name, found[name]) for name in allowed if name in found)


def _parse_pair(raw: Any, allowed: tuple[str, ...]) -> tuple[str, Any]:
    """``lr:1``, or JSON: ["lr", 1]: a setting and its value, checked by its own control."""
    try:
        name, value = raw.split(":") if isinstance(raw, str) else raw
        hash(name)
    except (TypeError, ValueError):
        raise ValueError("needs pairs such as lr:1") from None
    if name not in allowed:
        some = ", ".join(allowed[:MOST_NAMED]) + (", …" if len(allowed) > MOST_NAMED else "")
        raise ValueError(f"can't set {shown(name)[:20]}; it can set {some}")
    return name, _parse_value(name, value)


def _parse_value(name: str, raw: Any) -> Any:
    try:
        return RUN[name].parse(raw)
    except ValueError as error:
        raise ValueError(f"gives {name} a value that {error}") from None


def _written(pairs: Pairs) -> list[str]:
    return [f"{name}:{RUN[name].write(value)}" for name, value in pairs]


def _parse_before(raw: Any) -> Pairs:
    """``lr:0.1,activation:relu``, or JSON: [["lr", 0.1], ["activation", "relu"]]."""
    parts = [part for part in raw.split(",") if part] if isinstance(raw, str) else raw
    if not isinstance(parts, (list, tuple)):
        raise ValueError("needs pairs such as lr:1")
    found, dropped = _each(parts, "pair", lambda part: _parse_pair(part, tuple(RUN)))
    return _kept(_in_order(found, tuple(RUN)), dropped)


def _write_before(pairs: Pairs) -> str:
    return ",".join(_written(pairs))


def _parse_edits(raw: Any) -> tuple[Edit, ...]:
    """``120:lr:0.5,300:eps:0.1``, or JSON: [[120, "lr", 0.5], [300, "eps", 0.1]]."""
    parts = [part for part in raw.split(",") if part] if isinstance(raw, str) else raw
    if not isinstance(parts, (list, tuple)):
        raise ValueError("must be changes such as 120:lr:0.5")
    places: set[tuple[int, str]] = set()

    def edit(part: Any) -> Edit:
        step, name, value = found = _parse_edit(part)
        if len(places | {(step, name)}) > MAX_EDITS:
            raise ValueError(f"is one too many: at most {MAX_EDITS} changes can be")
        places.add((step, name))
        return found

    found, dropped = _each(parts, "change", edit)
    values = {(step, name): value for step, name, value in found}
    return _kept(tuple((*place, values[place]) for place in sorted(values)), dropped)


def _parse_edit(raw: Any) -> Edit:
    try:
        step, name, value = raw.split(":") if isinstance(raw, str) else raw
        step = number(step)
        hash(name)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be changes such as 120:lr:0.5") from None
    if not (step.is_integer() and 1 <= step <= LAB_STEPS):
        raise ValueError(f"needs steps that are whole numbers from 1 to {LAB_STEPS}")
    if not isinstance(name, str) or name not in EDIT_FIELDS:
        raise ValueError(
            f"can't change {shown(name)[:20]} in mid-run; it can change {', '.join(EDIT_FIELDS)}"
        )
    return int(step), name, _parse_value(name, value)


def _write_edits(edits: tuple[Edit, ...]) -> str:
    return ",".join(f"{step}:{name}:{RUN[name].write(value)}" for step, name, value in edits)


LANES_CODEC = Codec(_parse_lanes, _write_lanes)
EDITS_CODEC = Codec(_parse_edits, _write_edits)
BEFORE_CODEC = Codec(_parse_before, _write_before)
