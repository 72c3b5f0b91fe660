"""What the first scenes of "Style" show: a photo in another light, and textures in two windows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from bnlib.lessons import style
from bnlib.lessons.style import Light
from book import figure as fig
from book import photos
from book.chapter import View
from book.controls import Values
from book.figure import BLUE, GRID, INK, ORANGE, PAPER, Figure, Trace
from book.words import brief
from pages._style_parts import (
    FILTER_NAMES,
    FILTERS,
    LEFT,
    SHORT,
    SIGNED,
    TICKS,
    TOP,
    WINDOW,
    left_edge,
    light_of,
    photo_of,
    responses,
)

FAR = 1.5  # σ: where the colour of a difference ends
DEEP = 3.0  # σ: where the colour of a response ends
WEAK, STRONG = 0.0005, 3.0  # σ of responses: the ends of an axis

# ---- light -----------------------------------------------------------------------------------------------


def light(values: Values) -> View:
    """Show the photo in another light; once the question is answered, what instance norm makes of both."""
    hide, photo = values["open"], photo_of(values)
    own = photos.PHOTOS[photo]
    lit, clipped = style.relit(own, light_of(values))
    both = np.stack([own, lit])
    mean, std = both.mean(axis=(1, 2)), both.std(axis=(1, 2))  # (2, channels)
    pixels = (lit - own) / std[0]
    centred = ((lit - mean[1]) - (own - mean[0])) / std[0]
    out = style.normed(both)
    left = out[1] - out[0]
    before, after = (round(style.rms(x), 12) for x in (pixels, left))  # what is rounding alone is 0
    numbers = {
        "before": before, "after": after, "clipped": clipped,
        "kept": after / before if before else 0.0,
        "kept_mean": style.rms(centred) / before if before else 0.0,
        "lost": 2.0 * own.shape[-1], "numbers": float(own.size),
    }  # fmt: skip
    for what, other in (("half", Light(shadow=0.5)), ("bent", Light(tone=2.0))):
        one = style.normed(np.stack([own, style.relit(own, other)[0]]))
        numbers[what] = style.rms(one[1] - one[0])
    numbers["var"] = float(std[1].min() ** 2)
    numbers |= {f"std_{name}": float(std[1, k]) for k, name in enumerate(photos.CHANNEL_NAMES)}
    name = photos.NAMES[photo]
    text = f"The relit {name} differs from the {name} by {brief(before)} σ of the {name}’s channels."
    if clipped:
        text += f" {clipped:.1%} of its numbers are clipped to black or full colour."
    figures = {"photos": _relit(values, own, lit, text, 300 if hide else 240)}
    shown, what = (pixels, "photos") if hide else (left, "outputs")
    if not hide:
        text += f" The outputs differ by {_tiny(after)} σ: {numbers['kept']:.2%} of it."
        pictures = [("output of the photo", photos.output_levels(out[0]))]
        pictures.append(("output of the relit photo", photos.output_levels(out[1])))
        figures["outputs"] = photos.panels(
            pictures, "After instance norm", f"Two pictures. They differ by {_tiny(after)} σ.",
            hint=photos.SHOWN, height=_tall(values, 240),
        )  # fmt: skip
    figures["differences"] = _difference(shown, what)
    table: dict[str, Any] = {"channel": list(photos.CHANNEL_NAMES)}
    for row, which in enumerate(("photo", "relit")):
        table |= {f"{which}_mean": mean[row], f"{which}_std": std[row]}
    if hide:
        return View(numbers, text, figures, table)
    table["left"] = np.sqrt(np.square(left).mean(axis=(0, 1)))
    return View(numbers, text, figures, table)


def _tiny(number: float) -> str:
    """Write a difference with four decimals at most, unless all of them were 0."""
    return brief(round(number, 4) or number)


def _tall(values: Values, height: int) -> int:
    """Return the height of two pictures side by side, which is less where there is little room."""
    return 170 if values.get("narrow", False) else height


def _relit(values: Values, own: Any, lit: Any, text: str, height: int) -> Figure:
    """Draw both photos; the shadow's edge can be dragged."""
    edge = values["shadow"]
    says = [f"the shadow’s edge, at {edge:g}% of the width"]
    handle = fig.dots(
        [edge], [photos.TALL / 2], "shadow’s edge", PAPER, size=16, edge=INK,
        meta={"drag": "shadow", "axis": "x", "says": says}, cliponaxis=False,
    )  # fmt: skip
    line = fig.mark(edge, 0, edge, photos.TALL, PAPER, 2)
    return photos.panels(
        [("the photo", photos.levels(own)), ("relit", photos.levels(lit))],
        "A photo in two lights", f"Two pictures. {text}", before=1, traces=[handle], shapes=[line],
        hint="Drag the dot: a shadow falls from the left.", height=_tall(values, height),
    )  # fmt: skip


def _difference(difference: Any, what: str) -> Figure:
    """Draw where two pictures differ, over all channels."""
    z = np.sqrt(np.square(difference).mean(axis=2))
    total = round(style.rms(difference), 9)
    middle = photos.PIXEL * (np.arange(photos.COLUMNS) + 0.5)
    trace = fig.cells(z, 0, FAR, LEFT, "difference in σ", x=middle, y=middle[: photos.ROWS], hoverinfo="skip")
    hidden: dict[str, Any] = {"ticks": (), "visible": False, "showgrid": False}
    ends = fig.axis(-1, photos.WIDE + 1, **hidden), fig.axis(photos.TALL + 1, -1, **hidden)
    corners = [(0, 0), (photos.WIDE, 0), (photos.WIDE, photos.TALL), (0, photos.TALL), (0, 0)]
    frame = [fig.mark(*a, *b, GRID, 1) for a, b in pairwise(corners)]
    return fig.figure(
        [trace], f"Where the {what} differ: by {_tiny(total)} σ",
        f"A map of the difference, {brief(float(z.min()))} to {brief(float(z.max()))} σ.", *ends,
        hint=f"Blank: not at all. Orange: {FAR:g} σ and more.", place="side", even=True, height=160,
        shapes=frame, margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )  # fmt: skip


# ---- textures --------------------------------------------------------------------------------------------

TINTS = {"first": ORANGE, "second": BLUE}


def texture(values: Values) -> View:
    """Show eight filters’ responses in two windows; once answered, after instance norm, too."""
    hide, photo = values["open"], photo_of(values)
    found = responses(photo)
    edges = {name: left_edge(values[name]) for name in TINTS}
    raw = np.stack([found[:, TOP : TOP + WINDOW, e : e + WINDOW] for e in edges.values()])  # (2, 8, 24, 24)
    out = np.moveaxis(style.normed(np.moveaxis(raw, 1, -1)), -1, 1)
    before, after = raw.std(axis=(2, 3)), out.std(axis=(2, 3))  # (2, filters)
    at = FILTERS.index(values["filter"])
    flat = [x.reshape(2, len(FILTERS), -1) for x in (raw, out)]
    alike = [np.stack([np.corrcoef(one) for one in x]) for x in flat]
    ratio = float(before[0, at] / before[1, at])
    centred = [x - x.mean(axis=2, keepdims=True) for x in flat]
    stays = np.vecdot(*centred) / (np.linalg.norm(centred[0], axis=2) * np.linalg.norm(centred[1], axis=2))
    numbers = {
        "ratio": ratio, "root": float(np.sqrt(ratio)), "ratio_after": float(after[0, at] / after[1, at]),
        "first": float(before[0, at]), "second": float(before[1, at]),
        "first_after": float(after[0, at]), "second_after": float(after[1, at]),
        "louder": float(after[1, at] / before[1, at]), "same": float(stays.min()),
        "together": float(np.abs(alike[1] - alike[0]).max()), "lost": 2.0 * len(FILTERS),
        "tied": float(np.abs(alike[0][0] - alike[0][1]).max()),
    }  # fmt: skip
    # The two filters whose correlation differs most between both windows.
    pair = divmod(int(np.abs(alike[0][0] - alike[0][1]).argmax()), len(FILTERS))
    name = FILTER_NAMES[at]
    text = (
        f"Filter “{name}”: its responses spread by {brief(numbers['first'])} in the first window and by "
        f"{brief(numbers['second'])} in the second, {brief(ratio)} times as much."
    )
    figures = {
        "windows": _windows(values, photo, edges, text),
        "strength": _strengths(before, None if hide else after, values["filter"]),
        "maps": _maps(raw[:, at] if hide else out[:, at], at, hide),
    }
    table: dict[str, Any] = {"filter": list(FILTERS), "first": before[0], "second": before[1]}
    if hide:
        return View(numbers, text, figures, table)
    text += f" After instance norm: {brief(numbers['first_after'])} and {brief(numbers['second_after'])}."
    table |= {"first_after": after[0], "second_after": after[1]}
    notes = {
        "maps": "Both windows in the colours of one scale. Where a filter responds stays: the correlation of "
        f"responses before and after the norm is {numbers['same']:.3f} for every filter. Responses of "
        f"“{FILTER_NAMES[pair[0]]}” and “{FILTER_NAMES[pair[1]]}” correlate by {_two(alike[0][0][pair])} in "
        f"the first window and by {_two(alike[0][1][pair])} in the second; after the norm by "
        f"{_two(alike[1][0][pair])} and {_two(alike[1][1][pair])}.",
    }
    return View(numbers, text, figures, table, notes=notes)


def _two(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def _windows(values: Values, photo: int, edges: dict[str, int], text: str) -> Figure:
    """Draw the photo with both windows, whose middles can be dragged."""
    traces: list[Trace] = []
    shapes: list[dict[str, Any]] = []
    low, high = TOP * photos.PIXEL, (TOP + WINDOW) * photos.PIXEL
    for number, (name, edge) in enumerate(edges.items()):
        left, right = edge * photos.PIXEL, (edge + WINDOW) * photos.PIXEL
        shapes += [
            fig.mark(*ends, TINTS[name], 3)
            for ends in (
                (left, low, right, low), (left, high, right, high), (left, low, left, high),
                (right, low, right, high),
            )
        ]  # fmt: skip
        says = [f"the {name} window, {left:.0f}% to {right:.0f}% of the width"]
        meta = {"drag": name, "axis": "x", "says": says}
        # Each has a height of its own: where windows overlap, both dots can be taken.
        height = (low + high) / 2 + 10 * number - 5
        traces.append(
            fig.dots([values[name]], [height], f"{name} window", TINTS[name], size=16, edge=PAPER, meta=meta)
        )
    return photos.panels(
        [(photos.NAMES[photo], photos.levels(photos.PHOTOS[photo]))], "Two windows", text, traces=traces,
        shapes=shapes, hint="Drag the dots: each moves its window.",
        height=250 if values.get("narrow", False) else 320,
    )  # fmt: skip


def _strengths(before: Any, after: Any, chosen: str) -> Figure:
    """Draw the spread of each filter's responses in both windows; a click in its column chooses a filter."""
    says = [f"{what}: {brief(a)} and {brief(b)}" for what, a, b in zip(FILTER_NAMES, *before, strict=True)]
    count = len(SHORT)
    meta = {"click": "filter", "values": list(FILTERS), "says": says}
    columns = fig.bars(
        list(SHORT), [STRONG - WEAK] * count, "filters", INK, base=[WEAK] * count, width=1, alpha=0,
        showlegend=False, hoverinfo="skip", meta=meta,
    )  # fmt: skip
    data: list[Trace] = [columns]
    for row, (name, tint) in enumerate(TINTS.items()):
        faint = 1 if after is None else 0.35
        data.append(fig.dots(list(SHORT), before[row], f"{name} window", tint, size=11, alpha=faint))
        if after is not None:
            data.append(
                fig.dots(
                    list(SHORT), after[row], f"{name}, after the norm", tint, size=11, symbol="diamond",
                    hoverinfo="skip",
                )
            )  # fmt: skip
    at = FILTERS.index(chosen)
    shapes = [fig.area(at - 0.5, 0, at + 0.5, 1, fig.faded(INK, 0.08), yref="y domain", layer="below")]
    told = "; ".join(f"{name}: {brief(a)} and {brief(b)}" for name, a, b in zip(SHORT, *before, strict=True))
    ticks = [0.001, 0.01, 0.1, 1.0]
    return fig.figure(
        data, "How strongly filters respond: σ in each window",
        f"Dots by filter, in the first and the second window. {told}.",
        fig.category_axis(SHORT, "filter", ticktext=list(TICKS)),
        fig.log_axis(WEAK, STRONG, "σ of a filter’s responses", ticks),
        showlegend=True, shapes=shapes, bargap=0, barmode="overlay", height=320,
        hint="Click a column to choose its filter: fine or coarse lines in four directions.",
    )  # fmt: skip


def _maps(shown: Any, at: int, hide: bool) -> Figure:
    """Draw a filter, and its responses in both windows, on one scale of colours."""
    kernel = style.filters()[at]
    most = float(np.abs(shown).max()) if hide else DEEP
    data, words = [], []
    size, gap = 100.0, 10.0
    for number, (name, z, high) in enumerate(
        (
            ("filter", kernel, float(np.abs(kernel).max())),
            ("first", shown[0], most),
            ("second", shown[1], most),
        )
    ):
        left, cell = number * (size + gap), size / len(z)
        middle = cell * (np.arange(len(z)) + 0.5)
        trace = fig.cells(
            np.clip(z, -high, high), -high, high, SIGNED, name, x=left + middle, y=middle, hoverinfo="skip"
        )
        data.append(trace)
        words.append(fig.label(left + size / 2, -2, name, INK, 12, yanchor="bottom"))
    hidden: dict[str, Any] = {"ticks": (), "visible": False, "showgrid": False}
    ends = fig.axis(-2, 3 * size + 2 * gap + 2, **hidden), fig.axis(size + 2, -24, **hidden)
    which = "Responses" if hide else "Responses after instance norm"
    alt = f"The filter “{FILTER_NAMES[at]}” and maps of its responses, from {-most:.2g} to {most:.2g}."
    return fig.figure(
        data, f"{which}: {FILTER_NAMES[at]}", alt.replace("-", "−"), *ends, place="side", even=True,
        height=130, annotations=words, margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )  # fmt: skip
