"""What a figure may be, for all tests: the table of assets/schema.json, read as the painter reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = json.loads((Path(__file__).parents[1] / "assets" / "schema.json").read_text("utf-8"))
AXIS = re.compile(r"[xy]axis\d*$")
_RGBA = re.compile(r"rgba\((\d+),(\d+),(\d+),([\d.e-]+)\)$")
_PLACES = re.compile(r"%\{[^{}]*\}|<extra></extra>")  # what Plotly fills in
_MISSING = object()


def problems_of(figure: Mapping[str, Any]) -> list[str]:
    """What is wrong with a figure, one sentence each."""
    if set(figure) != {"data", "layout"}:
        return [f"a figure has data and layout, not {sorted(figure)}"]
    return [*_strangers(figure), *_bad_axes(figure), *_bad_traces(figure), *_bad_meta(figure)]


# ---- attributes ----------------------------------------------------------------------------------------


def _strangers(figure: Mapping[str, Any]) -> Iterator[str]:
    """Attributes and values that aren't in the table."""
    for number, trace in enumerate(figure["data"]):
        kind = trace.get("type")
        if kind not in SCHEMA["traces"]["every"]["type"]:
            yield f"data[{number}]: type {kind!r} isn't one of {SCHEMA['traces']['every']['type']}"
            continue
        yield from _checked(trace, SCHEMA["traces"]["every"] | SCHEMA["traces"][kind], f"data[{number}]")
    for name, value in figure["layout"].items():
        if AXIS.match(name):
            yield from _checked(value, SCHEMA["axes"], f"layout.{name}")
        else:
            yield from _checked({name: value}, SCHEMA["layout"], "layout")
    for name in ("shapes", "annotations"):
        for number, value in enumerate(figure["layout"].get(name, ())):
            yield from _checked(value, SCHEMA[name], f"{name}[{number}]")


def _checked(given: Mapping[str, Any], table: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, value in given.items():
        rule = table.get(name)
        if rule is None:
            yield f"{where}.{name} isn't in assets/schema.json"
        elif isinstance(rule, Mapping):
            yield from _checked(value, rule, f"{where}.{name}")
        elif not (value in rule if isinstance(rule, list) else _is(value, rule)):
            yield f"{where}.{name}: {str(value)[:60]!r} is not {rule}"


def _is(value: Any, kind: str) -> bool:
    if kind.endswith("s") and kind not in ("cells", "pixels"):  # one or a list
        return all(_is(one, kind[:-1]) for one in (value if _is_list(value) else [value]))
    if kind == "cells":
        return isinstance(value, np.ndarray) and value.ndim == 2
    if kind == "pixels":
        return isinstance(value, np.ndarray) and value.dtype.name == "uint8" and value.shape[2:] == (3,)
    if kind == "list":
        return _is_list(value)
    if kind == "number":
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        return number and bool(np.isfinite(value))
    kinds = {"text": lambda: isinstance(value, str), "flag": lambda: isinstance(value, bool)}
    return {**kinds, "any": lambda: True, "colour": lambda: _is_colour(value)}[kind]()


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _is_colour(value: Any) -> bool:
    """Whether a colour is one that the browser exchanges for the reader's."""
    if not isinstance(value, str):
        return False
    if found := _RGBA.match(value):
        red, green, blue = (int(part) for part in found.groups()[:3])
        return f"#{red:02x}{green:02x}{blue:02x}" in SCHEMA["colours"] and 0 <= float(found[4]) <= 1
    return value in SCHEMA["colours"]


# ---- axes and data -------------------------------------------------------------------------------------


def axes_of(figure: Mapping[str, Any]) -> dict[str, Any]:
    """The axes by their names in the layout."""
    return {name: value for name, value in figure["layout"].items() if AXIS.match(name)}


def axis_of(figure: Mapping[str, Any], trace: Mapping[str, Any], which: str) -> Any:
    """The axis that a trace is drawn on."""
    return figure["layout"].get(which + "axis" + trace.get(which + "axis", which)[1:], _MISSING)


def _bad_axes(figure: Mapping[str, Any]) -> Iterator[str]:
    for name, axis in axes_of(figure).items():
        missing = {"type", "range", "tickvals", "ticktext"} - set(axis)
        if missing:
            yield f"layout.{name} lacks {sorted(missing)}"
            continue
        ends = [float(end) for end in axis["range"]]
        if len(ends) != 2 or not np.isfinite(ends).all() or ends[0] == ends[1]:
            yield f"layout.{name}.range is {ends}"
            continue
        if len(axis["tickvals"]) != len(axis["ticktext"]):
            yield f"layout.{name}: {len(axis['tickvals'])} tickvals, {len(axis['ticktext'])} ticktext"
        if axis["type"] == "category":
            if not set(axis["tickvals"]) <= set(axis.get("categoryarray", ())):
                yield f"layout.{name}: ticks {axis['tickvals']} aren't all among the categories"
        else:
            yield from _far_ticks(name, axis, min(ends), max(ends))


def _far_ticks(name: str, axis: Mapping[str, Any], low: float, high: float) -> Iterator[str]:
    ticks = np.asarray(axis["tickvals"], dtype=float)
    if axis["type"] == "log":
        if not (ticks > 0).all():
            yield f"layout.{name}: a logarithmic axis has ticks above 0, not {ticks.tolist()}"
            return
        ticks = np.log10(ticks)
    slack = 1e-6 * (high - low)
    if not ((ticks >= low - slack) & (ticks <= high + slack)).all():
        yield f"layout.{name}: ticks {ticks.tolist()} lie outside {low} to {high}"


def _bad_traces(figure: Mapping[str, Any]) -> Iterator[str]:
    for number, trace in enumerate(figure["data"]):
        where = f"data[{number}]"
        for which in "xy":
            axis = axis_of(figure, trace, which)
            if axis is _MISSING:
                yield f"{where} is drawn on an axis that isn't there"
            elif which in trace:
                yield from _bad_numbers(trace[which], axis, f"{where}.{which}")
        if trace["type"] == "heatmap":
            yield from _bad_cells(trace, where)
            continue
        if trace["type"] == "image":
            continue
        sizes = {which: len(trace.get(which, ())) for which in "xy"}
        if len(set(sizes.values())) != 1:
            yield f"{where}: {sizes['x']} x, {sizes['y']} y"
        lists = {f"marker.{name}": value for name, value in trace.get("marker", {}).items()}
        lists |= {name: trace[name] for name in ("text", "width", "base", "customdata") if name in trace}
        for name, value in lists.items():
            if _is_list(value) and len(value) != sizes["x"]:
                yield f"{where}.{name}: {len(value)} for {sizes['x']} points"


def _bad_numbers(values: Any, axis: Mapping[str, Any], where: str) -> Iterator[str]:
    if axis.get("type") == "category":
        if (
            len(values)
            and isinstance(values[0], str)
            and not set(values) <= set(axis.get("categoryarray", ()))
        ):
            yield f"{where}: {list(values)[:4]} aren't all among the axis's categories"
        return
    numbers = np.asarray(values, dtype=float)
    if np.isinf(numbers).any():
        yield f"{where} holds an infinite number"
    if axis.get("type") == "log" and (numbers <= 0).any():
        yield f"{where}: {numbers[numbers <= 0][:3].tolist()} can't be on a logarithmic axis"


def _bad_cells(trace: Mapping[str, Any], where: str) -> Iterator[str]:
    z = trace.get("z")
    if z is None or np.isinf(z).any():
        yield f"{where}.z is missing or holds an infinite number"
        return
    scale = trace.get("colorscale", ())
    shares = [share for share, _ in scale]
    if shares != sorted(shares) or shares[:1] != [0] or shares[-1:] != [1]:
        yield f"{where}.colorscale: shares go from 0 to 1, not {shares}"
    for _, colour in scale:
        if not _is_colour(colour):
            yield f"{where}.colorscale: {colour!r} is not a colour of assets/schema.json"
    for which, size in (("x", z.shape[1]), ("y", z.shape[0])):
        if which in trace and len(trace[which]) != size:
            yield f"{where}: {len(trace[which])} {which} for {size} cells"


def _bad_meta(figure: Mapping[str, Any]) -> Iterator[str]:
    meta = figure["layout"].get("meta", {})
    for name in ("title", "alt"):
        if not isinstance(meta.get(name), str) or not meta[name].strip():
            yield f"layout.meta.{name} is missing"
    if meta.get("place") not in ("main", "side", "contents"):
        yield f"layout.meta.place is {meta.get('place')!r}, not main, side or contents"
    if strange := set(meta) - {"title", "alt", "hint", "place"}:
        yield f"layout.meta holds {sorted(strange)}"


# ---- words ---------------------------------------------------------------------------------------------


def words_of(figure: Mapping[str, Any]) -> list[str]:
    """Everything that is written in or beside a figure, but for its ticks."""
    layout = figure["layout"]
    found = [str(layout["meta"].get(name, "")) for name in ("title", "alt", "hint")]
    found += [axis.get("title", {}).get("text", "") for axis in axes_of(figure).values()]
    found += [note["text"] for note in layout.get("annotations", ())]
    for trace in figure["data"]:
        text = trace.get("text", ())
        said = trace.get("meta", {}).get("says", ())
        template = _PLACES.sub("", trace.get("hovertemplate", ""))
        texts = [text] if isinstance(text, str) else [one for one in text if isinstance(one, str)]
        found += [trace.get("name", ""), template, *texts]
        found += [str(one) for one in said]
    return [text for text in found if text]
