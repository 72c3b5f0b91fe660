"""What the scenes of "Which axes?" are drawn with: a tensor as a grid, sets in colours, bars of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnlib.lessons import axes
from bnlib.lessons.axes import CHANNELS, HEIGHT, HOME, IMAGES, SHAPE, WIDTH
from book import figure as fig
from book.controls import SEEDS, Values
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, PAPER, PURPLE, Figure, Trace
from book.words import brief

CELLS = int(np.prod(SHAPE))
TINTS = (BLUE, ORANGE, GREEN, PURPLE, COLOURS[7], COLOURS[4])  # your set; then other sets
SIGNS = ((0.0, ORANGE), (0.5, PAPER), (1.0, BLUE))
LIMIT = 2.5  # where the colour of an output is strongest
NORM_NAMES = {
    "batch": "batch norm", "layer": "layer norm", "group": "group norm", "instance": "instance norm",
    "rms": "RMS norm", "weight": "weight norm", "eval": "batch norm in eval()",
}  # fmt: skip
NORM_COLOURS = {
    "batch": BLUE, "layer": GREEN, "group": PURPLE, "instance": ORANGE, "rms": COLOURS[5],
    "weight": INK, "eval": COLOURS[6],
}  # fmt: skip
SIGNS_HINT = f"Blue: above 0. Orange: below 0. Strongest at ±{LIMIT}."
DIGITS_AT = -5.0  # where on the axis of cells the first pixel of digits is
GREYS_HINT = "Darker: a larger number."
GRID_HEIGHT = {False: 290, True: 560}  # by narrow


def first(values: Values) -> int:
    """Return the seed of the tensor that is shown; with the next seven it makes eight."""
    return SEEDS * int(values["seed"])


def every(values: Values) -> range:
    """Return the eight seeds."""
    return range(first(values), first(values) + SEEDS)


PLACES = tuple(
    f"image {n + 1}, channel {c + 1}, row {h + 1}, column {w + 1}" for n, c, h, w in np.ndindex(*SHAPE)
)


def cell_names(x: Any) -> list[str]:
    """Say of each cell where it is and which number it holds."""
    return [f"{place}: {brief(value)}" for place, value in zip(PLACES, x.ravel(), strict=True)]


def listed(names: Sequence[str]) -> str:
    """Write names in a row."""
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"


# ---- the grid --------------------------------------------------------------------------------------------


def arranged(array: Any, narrow: bool) -> Any:
    """Put (N, C, H, W) into rows and columns: images down and channels across; if narrow the other way."""
    tiles = np.asarray(array).transpose((1, 2, 0, 3) if narrow else (0, 2, 1, 3))
    return tiles.reshape(tiles.shape[0] * HEIGHT, -1)


def tints_of(how: axes.Partition) -> Any:
    """Return which of `TINTS` each cell has: 0 for the painted set only.

    Six sets or fewer have a colour each. Of more, neighbours differ.
    """
    if not repeats(how):
        return how.sets
    return np.where(how.sets == 0, 0, 1 + how.blocks % (len(TINTS) - 1))


def repeats(how: axes.Partition) -> bool:
    """Say whether there are more sets than colours."""
    return bool(how.sets.max() >= len(TINTS))


def grid(
    x: Any, images: Any, title: str, alt: str, narrow: bool, *, tints: Any = None, limit: float = 0.0,
    paint: str = "", told: bool = True, home: bool = True, between: Sequence[int] = (), **more: Any,
) -> Figure:  # fmt: skip
    """Draw a tensor as tiles, its images beside them.

    tints : (N, C, H, W), the colour of each cell's set, below 0 for none; without, grey
    limit : colours of signs, strongest there, instead of light and dark
    paint : the control that its cells paint
    told : whether a cell says its number
    home : whether the cell that every painted set has is framed
    between : channels before which a line divides groups
    """
    names = cell_names(x) if told else PLACES
    ids = arranged(np.arange(CELLS).reshape(SHAPE), narrow)
    z = arranged(x, narrow)
    says = [names[cell] for cell in ids.ravel()]
    meta: dict[str, Any] = {"says": says}
    if paint:
        at = int(np.flatnonzero(ids.ravel() == np.ravel_multi_index(HOME, SHAPE))[0])
        meta |= {"paint": paint, "ids": [int(cell) for cell in ids.ravel()], "home": at}
    least, high = float(x.min()), max(float(x.max()), float(x.min()) + 1e-9)
    span: tuple[float, float] = (least - 0.15 * (high - least), high)
    colours: Any = ((0.0, PAPER), (1.0, INK if tints is None else COLOURS[9]))
    if limit:
        span, colours = (-limit, limit), SIGNS
    data = [fig.cells(z, *span, colours, "numbers", xgap=1, ygap=1, meta=meta)]
    if tints is not None:
        chosen = arranged(tints, narrow)
        for number, tint in enumerate(TINTS):
            if (chosen == number).any():
                own = np.where(chosen == number, z, np.nan)
                mine = number == 0  # stands out: the smallest number, too, shows whose it is
                bottom = least - (1.5 if mine else 0.6) * (high - least)
                look: dict[str, Any] = {"opacity": 1 if mine else 0.42, "hoverinfo": "skip"}
                scale = ((0.0, PAPER), (1.0, tint))
                data.append(fig.cells(own, bottom, high, scale, "a set", xgap=1, ygap=1, **look))
    rows, columns = z.shape
    data.append(_digits(images, narrow))
    shapes = _gaps(rows, columns, narrow)
    shapes += [_divide(channel, rows, columns, narrow) for channel in between]
    if home:
        shapes.append(_frame(narrow))
    # On a phone a margin on both sides is left to scroll the page: cells take each touch.
    margin = {"l": 44, "r": 40 if narrow else 6, "t": 6, "b": 44}
    return fig.figure(
        data, title, alt, **_axes(rows, columns, narrow), shapes=shapes, height=GRID_HEIGHT[narrow],
        margin=margin, even=True, **more,
    )  # fmt: skip


def _digits(images: Any, narrow: bool) -> Trace:
    """Draw each digit at its row of tiles, or above its column; two pixels are as long as a cell."""
    along = np.arange(IMAGES * HEIGHT * 2) / 2 - 0.25
    across = np.arange(8) / 2 + DIGITS_AT
    z = images[:, 0].transpose(1, 0, 2).reshape(8, -1) if narrow else images[:, 0].reshape(-1, 8)
    x, y = (along, across) if narrow else (across, along)
    return fig.cells(z, 0, 1, ((0.0, PAPER), (1.0, INK)), "digits", hoverinfo="skip", x=x, y=y)


def _axes(rows: int, columns: int, narrow: bool) -> dict[str, Any]:
    """Make the grid's axes; the digits are at places below 0."""
    named = {"image": IMAGES, "channel": CHANNELS}

    def tiles(what: str, low: float, high: float) -> Any:
        words = [str(k + 1) for k in range(named[what])]
        centres = [4 * k + 1.5 for k in range(named[what])]
        return fig.axis(low, high, what, centres, words=words, showgrid=False, showline=False)

    start = DIGITS_AT - 0.25
    if narrow:
        return {"x": tiles("image", -0.5, columns - 0.5), "y": tiles("channel", rows - 0.5, start)}
    return {"x": tiles("channel", start, columns - 0.5), "y": tiles("image", rows - 0.5, -0.5)}


def _gaps(rows: int, columns: int, narrow: bool) -> list[dict[str, Any]]:
    """Draw white lines between tiles, and between the digits."""
    right, bottom, start = columns - 0.5, rows - 0.5, DIGITS_AT - 0.25
    left, top = (-0.5, start) if narrow else (start, -0.5)
    lines = [fig.mark(at - 0.5, top, at - 0.5, bottom, PAPER, 5) for at in range(4, columns, 4)]
    return lines + [fig.mark(left, at - 0.5, right, at - 0.5, PAPER, 5) for at in range(4, rows, 4)]


def _divide(channel: int, rows: int, columns: int, narrow: bool) -> dict[str, Any]:
    at = WIDTH * channel - 0.5
    if narrow:
        return fig.mark(-0.5, at, columns - 0.5, at, INK, 2)
    return fig.mark(at, -0.5, at, rows - 0.5, INK, 2)


def _frame(narrow: bool) -> dict[str, Any]:
    """Frame the cell at home."""
    n, c, h, w = HOME
    row, column = (4 * c + h, 4 * n + w) if narrow else (4 * n + h, 4 * c + w)
    ends = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return {"type": "rect", "line": {"color": INK, "width": 3}, **ends}


def pixels(digits: Any, names: Sequence[str], title: str, alt: str, top: float = 1.0, **more: Any) -> Figure:
    """Draw digits (count, 8, 8) side by side, as dark as a pixel of ``top`` is large."""
    count = len(digits)
    z = np.full((8, 9 * count - 1), np.nan)
    for place, digit in enumerate(digits):
        z[:, 9 * place : 9 * place + 8] = digit
    hidden: dict[str, Any] = {"visible": False, "showgrid": False}
    notes = [fig.label(9 * place + 3.5, 8.4, name) for place, name in enumerate(names)]
    room = 4.5 * (2 - count) if count < 2 else 0
    return fig.figure(
        [fig.cells(z, 0, top, ((0.0, PAPER), (1.0, INK)), "pixels", hoverinfo="skip")], title, alt,
        fig.axis(-0.5 - room, z.shape[1] - 0.5 + room, ticks=[], **hidden),
        fig.axis(9, -0.5, ticks=[], **hidden), annotations=notes, height=GRID_HEIGHT[False],
        margin={"l": 20, "r": 20, "t": 20, "b": 8}, **more,
    )  # fmt: skip


# ---- changes side by side --------------------------------------------------------------------------------

FLOOR, UNNOTICED, NOTHING = 1e-7, 1e-2, 1e-12  # where bars begin; below which a change counts as none; as 0
SHORT = {name: words.replace("batch norm in ", "").replace(" norm", "") for name, words in NORM_NAMES.items()}
SHORTEST = {
    "batch": "BN", "layer": "LN", "group": "GN", "instance": "IN", "rms": "RMS", "weight": "WN",
    "eval": "eval",
}  # fmt: skip


def changes(
    found: Mapping[str, Any], title: str, what: str, *, steps: Sequence[float] = (), small: bool = False,
    **more: Any,
) -> Figure:  # fmt: skip
    """Draw a bar of the change of each norm's output, a mean over seeds, and the seeds as dots.

    found : by name of a norm, an array over seeds
    what : what the bars are, for the axis
    steps : where a linear axis may end, the first that is high enough; without, the axis is logarithmic
    small : norms are called by their letters
    more : ``click``, the control that a bar sets; ``told``, how a change is written; all else is the figure's
    """
    click, told, called = more.pop("click", ""), more.pop("told", amount), SHORTEST if small else SHORT
    if small:
        more["hint"] = f"{more.get('hint', '')} {_letters(list(found))}".strip()
    means = {name: float(np.mean(own)) for name, own in found.items()}
    highest = {name: float(np.max(own)) for name, own in found.items()}
    says = [f"{NORM_NAMES[name]}: {told(mean)}" for name, mean in means.items()]
    floor = 0.0 if steps else FLOOR
    names = [called[name] for name in found]
    tall = [max(mean, floor) for mean in means.values()]
    seen = {called[name]: own[own > max(floor, NOTHING)] for name, own in found.items()}
    x = [name for name, own in seen.items() for _ in own]
    if steps:
        high = next((step for step in steps if step > 1.15 * max(highest.values())), steps[-1])
        y = fig.axis(0, high, what)
    else:
        high = 50.0
        y = fig.log_axis(FLOOR, high, what, [1e-6, 1e-4, 1e-2, 1], words=["0.0001%", "0.01%", "1%", "100%"])
    data = [
        fig.bars(
            names, tall, "mean of 8 seeds", [NORM_COLOURS[name] for name in found], alpha=0.75, width=0.6,
            meta={"says": says},
        ),
        fig.dots(x, np.concatenate(list(seen.values())), "one seed", INK, size=5, hoverinfo="skip"),
    ]  # fmt: skip
    if click:  # anywhere in a column: many bars have no height
        meta = {"says": says, "click": click, "values": list(found)}
        data.insert(0, fig.bars(names, [high] * len(names), "norms", INK, alpha=0, width=1, meta=meta,
                                hoverinfo="skip"))  # fmt: skip
    notes = []
    for name, mean in means.items():
        top = max(highest[name], floor)
        text = "0" if mean <= NOTHING else told(mean)
        notes.append(fig.label(called[name], top if steps else float(np.log10(top)), text, yshift=13))
    alt = f"Bars of {what}. {'; '.join(says)}."
    return fig.figure(
        data, title, alt, fig.category_axis(names), y, annotations=notes, bargap=0, barmode="overlay", **more
    )


def _letters(names: Sequence[str]) -> str:
    """Say what the letters of these norms stand for: BN and its like."""
    norms = [name for name in names if SHORTEST[name].endswith("N")]
    return f"{', '.join(SHORTEST[name] for name in norms)}: {', '.join(SHORT[name] for name in norms)} norm."


def amount(mean: float) -> str:
    """Write a relative change in per cent."""
    if mean <= NOTHING:
        return "not at all"
    if mean < 1e-6:
        return "<0.0001%"
    if mean >= 1e-3:
        return f"{100 * mean:.2g}%" if mean < 0.995 else f"{mean:.0%}"
    return f"{float(f'{100 * mean:.0e}'):.4f}".rstrip("0") + "%"


# ---- the first page's small picture ----------------------------------------------------------------------

ROWS = 6  # at most


def thumbnail(values: Values) -> Figure:
    """Draw images (down) by channels (across) four times, with what shares a mean in four norms."""
    images, channels = min(int(values["batch_size"]), ROWS), CHANNELS
    row, column = (images - 1) // 2, 2
    shared: tuple[Any, ...] = (  # rows and columns of the set
        (slice(None), column), (row, slice(None)), (row, slice(0, channels // 2)), (row, column),
    )  # fmt: skip
    z = np.full((images, 4 * channels + 3), np.nan)
    for k, place in enumerate(shared):
        tile = np.full((images, channels), 0.35)
        tile[place] = 1.0
        z[:, k * (channels + 1) : k * (channels + 1) + channels] = tile
    trace = fig.cells(z, 0, 1, ((0.0, PAPER), (0.35, COLOURS[9]), (1.0, BLUE)), "cells", xgap=1, ygap=1)
    alt = (
        f"Four grids of {images} images by {channels} channels: a column, a row, half a row and a cell share."
    )
    return fig.thumbnail(
        [trace], "What shares a mean in four norms", alt, (-0.5, z.shape[1] - 0.5), (images - 0.5, -0.5)
    )
