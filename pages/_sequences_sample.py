"""The scene "A batch of one": what batch norm leaves of one sample, and when PyTorch refuses it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from bnlib import theory
from bnlib.lessons import streams
from bnlib.lessons.streams import CHANNELS, MOST, POSITIONS, SIDES
from book import figure as fig
from book.chapter import Board, Cell, Choice, Found, Passage, Row, Scene, View
from book.controls import SEEDS, Control, Values, log_stops
from book.equations import Equation, frac, row, told
from book.figure import BLUE, GREEN, INK, PAPER, Figure, Trace
from book.words import brief
from pages._sequences_parts import SIGNS, first, near
from pages._sequences_scripts import SAMPLE, SAMPLE_TORCH

COUNTS = tuple(range(1, MOST + 1))
TILES, ROWS = 4, 3  # channels and images that are drawn
BEHIND = "behind it: y = x̂ + β"
LIMITS = (1.0, 2.0)  # where colours are strongest: before and after the norm
LAYERS = {  # what a batch of one is, in four layers of a network
    "BatchNorm1d behind Linear": (1, 64),
    "BatchNorm2d on 6 × 6 positions": (1, 16, 6, 6),
    "BatchNorm2d behind global pooling": (1, 16, 1, 1),
    "BatchNorm1d on 10 time steps": (1, 16, 10),
}

CONTROLS = (
    Control(
        "images", "whole", 1, "images N", "in the batch", 1, MOST, tuple(map(float, COUNTS)), marks=COUNTS,
        about="How many digits are in the batch. They share one mean and one variance per channel.",
    ),
    Control(
        "side", "whole", 6, "positions", "pooled to S × S", 1, 6, (1.0, 2.0, 3.0, 6.0), marks=(1, 2, 3, 6),
        says=lambda side: f"{side:g} × {side:g}",
        about="To how many positions each channel is averaged before batch norm. 1 × 1 is global average "
        "pooling. In PyTorch: torch.nn.AdaptiveAvgPool2d.",
    ),
    Control(
        "contrast", "number", 1.0, "contrast of digit 1", "× its pixels", 0.25, 4, log_stops(-1, 1, 10)[4:17],
        marks=(0.25, 1, 4),
        about="What the pixels of the first digit are multiplied by. The other digits stay as they are.",
    ),
    Control(
        "digit", "next", 0, "another digit", "in place of digit 1", 0, 400,
        about="Exchanges the first digit for another one. The filters and the other digits stay.",
    ),
)  # fmt: skip


def per_channel(shape: tuple[int, ...]) -> int:
    """Count the values that share a mean in batch norm: all of a shape (N, C, ...) but its channels."""
    return prod(shape) // shape[1]


def refused(shape: tuple[int, ...]) -> bool:
    """Say whether PyTorch's batch norm refuses the shape (N, C, ...) in train()."""
    return per_channel(shape) == 1


def message(shape: tuple[int, ...]) -> str:
    """Return what PyTorch says then."""
    size = ", ".join(map(str, shape))
    return f"Expected more than 1 value per channel when training, got input size torch.Size([{size}])"


def exchanged(seed: int, images: int, side: int) -> float:
    """Measure how much the outputs of image 1 change if it becomes another digit (root mean square)."""
    one, other = (streams.layer(seed, images, side, digit).y[0] for digit in (0, 1))
    return float(np.sqrt(np.square(one - other).mean()))


def view(values: Values, found: Found) -> View:
    """Show digits, what a layer makes of them, and what batch norm leaves of that."""
    hide, narrow = values["open"], values.get("narrow", False)
    seed, images, side = first(values), values["images"], near(values["side"], SIDES)
    now = streams.layer(seed, images, side, values["digit"], values["contrast"])
    m = images * side * side
    shape = (images, CHANNELS, side, side)
    numbers = {
        "m": float(m), "images": float(images), "side": float(side),
        "refused": float(sum(refused(one) for one in LAYERS.values())),
    }  # fmt: skip
    figures = {"maps": _maps(now, hide, narrow)}
    text = f"{_digits(images)}, {side} × {side} positions: {_values(m)} in each channel."
    if hide:
        return View(numbers, text, figures)
    shares = np.stack([streams.gradient_kept(seed + k, side, COUNTS) for k in range(SEEDS)])
    share = float(shares[:, images - 1].mean())
    size = float(np.abs(now.y - streams.betas().reshape(1, -1, 1, 1)).max())
    numbers |= {
        "share": share, "law": theory.gradient_share(m, 1.0, 0.0), "size": size,
        "changed": exchanged(seed, images, side), "changed_one": exchanged(seed, 1, 1),
        "changed_map": exchanged(seed, 1, POSITIONS), "spread": float(now.y.std()),
    }  # fmt: skip
    figures["gradient"] = _gradient(shares, images, side)
    if m == 1:
        text += " Each value is its own mean, so what leaves is β. "
        text += f"PyTorch raises a ValueError: “{message(shape)}”."
    else:
        text += (
            f" If digit 1 becomes another digit, its outputs change by {brief(numbers['changed'])} (root "
            f"mean square), and {share:.0%} of the gradient’s energy passes back."
        )
    equation = Equation(
        "law", "share of a random gradient’s energy that passes", row(frac("m − 2", "m"), " for m ≥ 2"),
        numbers["law"],
        () if m == 1 else (row(frac(f"{m} − 2", f"{m}")), told(numbers["law"])),
    )  # fmt: skip
    notes = {"maps": _note(m, images, side, size)}
    table = {
        "layer": list(LAYERS), "values_per_channel": [per_channel(one) for one in LAYERS.values()],
        "refused": [int(refused(one)) for one in LAYERS.values()],
    }  # fmt: skip
    return View(numbers, text, figures, table, (equation,), notes=notes, board=_board())


def _digits(count: int) -> str:
    return "1 digit" if count == 1 else f"{count} digits"


def _values(m: int) -> str:
    return "1 value" if m == 1 else f"{m} values"


def _note(m: int, images: int, side: int, size: float) -> str:
    """Say what is left of the first digit."""
    if m == 1:
        return f"Behind the norm there is only β. The largest |y − β| is {brief(size)}."
    if images == 1:
        return "One image, several positions: this is instance norm. The shape is left. The contrast isn’t."
    if m == 2:
        return (
            f"Two values: x̂ is +1 and −1, whatever they are. The largest |x̂| is {brief(size)}. What little "
            "passes of a gradient does so where the two are nearly equal: there ε counts."
        )
    most = brief((m - 1) ** 0.5)
    return f"The largest |x̂| is {brief(size)}; of {m} values none can be above √(m − 1) = {most}."


def _board() -> Board:
    """Say for each layer what PyTorch does with a batch of one."""
    rows = []
    for name, shape in LAYERS.items():
        bad = refused(shape)
        said = "ValueError" if bad else "runs: it is instance norm"
        size = " × ".join(map(str, shape))
        rows.append(
            Row(name, (Cell(size), Cell(str(per_channel(shape))), Cell(said, "warning" if bad else "good")))
        )
    trained = Cell("runs: running averages", "good", "inference?scene=alone")
    rows.append(Row("any of them in eval()", (Cell("any"), Cell("not needed"), trained)))
    return Board(("input", "values per channel", "PyTorch"), tuple(rows))


def _maps(now: streams.Passed, hide: bool, narrow: bool) -> Figure:
    """Draw digits, four channels before the norm and, once the question is answered, behind it."""
    shown, side = min(len(now.images), ROWS - 1 if narrow else ROWS), now.x.shape[2]
    tiles = TILES - 1 if narrow else TILES
    step, high = POSITIONS // side, 9 * shown - 1
    grid = np.full((high, 8), np.nan)
    for k in range(shown):
        grid[9 * k : 9 * k + 8] = now.images[k]
    data: list[Trace] = [
        fig.cells(grid, 0, 1, ((0.0, PAPER), (1.0, INK)), "digits", x=np.arange(8), hoverinfo="skip")
    ]
    notes = [fig.label(3.5, -1.3, "digit" if shown == 1 else "digits")]
    start, wide = 10, 7 * tiles - 1
    for name, maps, limit in (("before the norm", now.x, LIMITS[0]), (BEHIND, now.y, LIMITS[1])):
        grid = np.full((high, wide), np.nan)
        for k in range(shown):
            for c in range(tiles):
                tile = maps[k, c].repeat(step, axis=0).repeat(step, axis=1)
                grid[9 * k + 1 : 9 * k + 7, 7 * c : 7 * c + 6] = tile
        if name == "before the norm" or not hide:
            data.append(
                fig.cells(grid, -limit, limit, SIGNS, name, x=np.arange(wide) + start, hoverinfo="skip")
            )
            notes.append(fig.label(start + wide / 2 - 0.5, -1.3, name))
            start += wide + 3
    hidden: dict[str, Any] = {"visible": False, "showgrid": False}
    more = "" if len(now.images) <= shown else f" The first {shown} of {len(now.images)} digits are shown."
    most = [brief(float(np.abs(maps).max())) for maps in (now.x, now.y)]
    alt = f"{_digits(shown)} and {tiles} channels of {side} × {side} values. Largest value before the norm: "
    alt += f"{most[0]}." if hide else f"{most[0]}, behind it: {most[1]}."
    hint = (
        f"{tiles} of {CHANNELS} channels. Blue: above 0. Orange: below 0. Strongest at ±{LIMITS[0]:g} before "
    )
    hint += "the norm." if hide else f"the norm, at ±{LIMITS[1]:g} behind it. β is 1, −1, 0.5, −0.5 in turn."
    hint += more
    return fig.figure(
        data, "A digit goes through a convolution" + ("" if hide else " and batch norm in train()"),
        alt, fig.axis(-0.5, start - 3.5, ticks=[], **hidden),
        fig.axis(high + 0.5, -2.6, ticks=[], **hidden),
        height=150 if narrow else 260, margin={"l": 6, "r": 6, "t": 6, "b": 6}, even=True, hint=hint,
        annotations=notes,
    )  # fmt: skip


def _gradient(shares: Any, images: int, side: int) -> Figure:
    """Draw over the batch size how much of a gradient passes; the dot sets the batch size."""
    data: list[Trace] = []
    for one in SIDES:
        law = [theory.gradient_share(n * one * one, 1.0, 0.0) for n in COUNTS]
        own = one == side
        more: dict[str, Any] = {"dash": "dash", "width": 1.5} if own else {"width": 1.2, "showlegend": False}
        data.append(fig.line(COUNTS, law, "(m − 2) / m", INK if own else fig.faded(INK, 0.3), **more))
    mean = shares.mean(axis=0)
    data += fig.band(COUNTS, shares.min(axis=0), shares.max(axis=0), BLUE)
    data.append(fig.dots(COUNTS, mean, f"measured, {side} × {side} positions", BLUE, size=7))
    meta = {"drag": "images", "axis": "x", "says": [f"{_digits(images)}: {mean[images - 1]:.0%}"]}
    more = {"alpha": 0.6, "showlegend": False, "meta": meta}
    data.append(fig.dots([images], mean[images - 1 : images], "N", GREEN, size=16, **more))
    ticks = [0, 0.25, 0.5, 0.75, 1]
    return fig.figure(
        data, "How much of the gradient passes back",
        f"Share of the energy over N: {mean[0]:.0%} at 1 image, {mean[images - 1]:.0%} at {images}.",
        fig.axis(0.6, MOST + 0.4, "images N", list(COUNTS)),
        fig.axis(-0.05, 1.08, "share that passes", ticks, words=[f"{tick:.0%}" for tick in ticks]),
        place="side", showlegend=True, height=230,
        hint="Drag the large dot. Random gradients, in units of the standard deviation; mean and range of 8 "
        "seeds. Grey lines: other numbers of positions.",
    )  # fmt: skip


SCENE = Scene(
    "sample", "A batch of one",
    "A batch has one sample. In train(), four batch norms see it behind: a linear layer (1 × 64), a "
    "convolution (1 × 16 × 6 × 6), global pooling (1 × 16 × 1 × 1), and as a time series (1 × 16 × 10). How "
    "many raise an error in PyTorch?",
    (
        Choice("none: the formula gives β", 0.0,
               "The formula does give β. Some libraries return it without a word; PyTorch stops."),
        Choice("one: the linear layer", 1.0, "It is refused. But it isn’t the only one with a single value."),
        Choice("two: linear layer, global pooling", 2.0),
        Choice("all four: one sample has no variance", 4.0,
               "One number has none. But behind a convolution each position counts as a number."),
    ),
    "refused", {}, {"side": 1, "images": 1},
    "PyTorch refused {refused:.0f} of the 4: those with one value per channel.",
    "What counts is m, the values per channel: images × positions. At m = {m:.0f} the mean is the value: "
    "x̂ = 0 and y = β, so another digit changes the outputs by {changed_one:.0f}, and {share:.0%} of the "
    "gradient passes. On 6 × 6 positions another digit changes them by {changed_map:.2f}.",
    "m = 2 raises no error, and is hardly better: x̂ is about ±1 whatever comes in, and almost no gradient "
    "passes. In eval() any batch is fine.",
    "Choose 2 images at 1 × 1. Then one image at 6 × 6, and drag its contrast: what leaves batch norm?",
    ("images", "side", "contrast", "digit", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Give PyTorch's batch norm the batch that is chosen."""
    return SAMPLE_TORCH.format(images=values["images"], channels=CHANNELS, side=near(values["side"], SIDES))


def script(values: Values) -> str:
    """Ask PyTorch about the four layers, and compute the outputs again."""
    return SAMPLE.format(
        seed=first(values), images=values["images"], side=near(values["side"], SIDES), channels=CHANNELS,
        most=MOST, layers=LAYERS,
    )  # fmt: skip


PASSAGES = (
    Passage("A digit through a convolution, pooling and batch norm", streams.layer),
    Passage("The share of a gradient that passes", theory.gradient_share),
)
