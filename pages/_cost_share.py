"""The scene "The norm's share": what part of a training step is the norm, and what makes it small?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bnlib.experiments.model import Race
from bnlib.lessons import costs
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.controls import Values
from book.equations import Equation, row, told
from book.figure import BLUE, INK, ORANGE, Figure, Trace
from book.words import brief
from pages import _cost_parts as parts
from pages._cost_parts import NAMES, NARROW, WIDE, milliseconds, percent
from pages._cost_scripts import MADE, SHARE, SHARE_TORCH

GRID = (NARROW, WIDE, 16, 256)  # widths that are measured in any case, the two of the question first
TIMES = ("numpy_bare", "numpy", "torch_bare", "torch")


def widths(values: Values) -> tuple[int, ...]:
    """Return the widths that are measured; while the question is open, the first one alone."""
    if values["open"]:
        return (NARROW,)
    return tuple(dict.fromkeys((values["width"], *GRID)))


def jobs(values: Values) -> dict[str, Job]:
    """Return a measurement for each width; while the width moves, those that are there already."""
    shown = widths(values | {"open": "share" not in dict(values["guesses"])})
    if values["draft"]:
        shown = GRID if values.get("moves") == "width" else ()
    configs = {width: parts.config_of(values, width=width) for width in shown}
    return {f"{width}": Job(costs.timed, (one, values["again"])) for width, one in configs.items()}


def counted(values: Values, width: int) -> float:
    """Return the norm's share of a training step's operations."""
    products, norm = costs.operations(parts.config_of(values, width=width))
    return norm / (products + norm)


def view(values: Values, found: Found) -> View:
    """Show which share of a step the norm takes, by time and by operations."""
    hide = values["open"]
    width = NARROW if hide else values["width"]
    every = sorted(widths(values))
    times = {one: found[f"{one}"] for one in every if found.get(f"{one}") is not None}
    own = times.get(width)
    figures = {
        "shares": _shares(values, times, width, hide),
        "halves": _step(values, own, width),
    }
    note = {"halves": parts.measured_on(own, *times.values())}
    if own is None or len(times) < len(every):
        text = f"Width {width:,}, batch {values['batch']}."
        if not hide:
            text += f" Of a step’s operations the norm has {counted(values, width):.2%}."
        text += parts.LATER if values["draft"] else ""
        return View(text=text, figures=figures, notes=note, waiting=parts.missing(found, values["draft"]))
    numbers = {"numpy_bare": own["training_bare"], "numpy": own["training"], "share": parts.share(own)}
    clocked = ["numpy_bare", "numpy", "share"]
    said = f"{percent(numbers['share'])} in NumPy"
    if "torch_training" in own:
        numbers |= {"torch_bare": own["torch_training_bare"], "torch": own["torch_training"]}
        numbers["share_torch"] = parts.share(own, "torch_")
        clocked += ["torch_bare", "torch", "share_torch"]
        said += f" and {percent(numbers['share_torch'])} in PyTorch"
    else:
        said += " (PyTorch isn’t installed here)"
    name = NAMES[values["norm"]]
    text = f"Width {width:,}, batch {values['batch']}: {name} takes {said} of a training step."
    if hide:
        return View(numbers, text, figures, notes=note, clocked=tuple(clocked))
    products = [costs.operations(parts.config_of(values, width=one))[0] for one in (NARROW, WIDE)]
    numbers |= {
        "operations": counted(values, width), "wider": WIDE / NARROW, "products": products[1] / products[0],
        "trend": float(costs.trend(parts.share(times[NARROW]), parts.share(times[WIDE]))),
    }  # fmt: skip
    text += f" Of the operations it has {numbers['operations']:.2%}."
    equation = Equation(
        "share", "the norm’s share of a step, NumPy", row("(with − without) / with"), numbers["share"],
        (
            row("(", told(numbers["numpy"]), " ms − ", told(numbers["numpy_bare"]), " ms) / ",
                told(numbers["numpy"]), " ms"),
            told(numbers["share"]),
        ),
    )  # fmt: skip
    table: dict[str, Any] = {"width": list(times), "operations": [counted(values, one) for one in times]}
    for name, key in zip(
        TIMES, ("training_bare", "training", "torch_training_bare", "torch_training"), strict=True
    ):
        table[name] = [one.get(key, float("nan")) for one in times.values()]
    return View(numbers, text, figures, table, (equation,), notes=note, clocked=(*clocked, *TIMES))


def _shares(values: Values, times: Any, width: int, hide: bool) -> Figure:
    """Draw the share over the width: of time, in both libraries, and of operations."""
    data: list[Trace] = []
    said = []
    if not hide:
        every = (8, *parts.WIDTHS)
        counts = [counted(values, one) for one in every]
        data.append(fig.line(every, counts, "of operations", INK, dash="dash", width=1.5))
        said.append(f"of operations {counted(values, width):.2%}")
    for library, name, colour in (("", "of time, NumPy", BLUE), ("torch_", "of time, PyTorch", ORANGE)):
        x = [one for one, found in times.items() if f"{library}training" in found]
        y = [max(parts.share(times[one], library), 0.0) for one in x]
        if x:
            data += [fig.line(x, y, name, colour), fig.dots(x, y, name, colour, size=7, showlegend=False)]
        if width in x:
            said.append(f"{name} {percent(y[x.index(width)])}")
    highest = max([0.5, *(1.1 * max(trace["y"]) for trace in data if len(trace["y"]))])
    if not hide:
        hand = {"drag": "width", "axis": "x"}
        data.append(fig.dots([width], [0.0], "width", INK, size=15, alpha=0.55, showlegend=False, meta=hand))
    words = []
    if hide:  # a place for the answer
        words = [fig.label(math.log10(t["x"][0]), t["y"][0], f"{t['name']}: {percent(t['y'][0])}", xshift=75)
                 for t in data if t["mode"] == "markers"]  # fmt: skip
        words.append(fig.label(math.log10(WIDE), 0.25, "?", size=28))
    ticks = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    shown = [tick for tick in ticks if tick <= highest]
    return fig.figure(
        data, f"The norm’s share of a training step, batch {values['batch']}",
        f"Width {width:,}: {'; '.join(said) or 'nothing is measured yet'}.",
        fig.log_axis(7, 1400, "width of the hidden layers", [16, 64, 256, 1024]),
        fig.axis(-0.02, highest, "share of a step", shown, words=[f"{tick:.0%}" for tick in shown]),
        showlegend=True, annotations=words,
        hint="Time is measured, operations are counted: a multiplication or an addition each."
        + ("" if hide else " Drag the dot on the axis."),
    )  # fmt: skip


def _step(values: Values, own: Any, width: int) -> Figure:
    """Draw a step's milliseconds without the norm, and what the norm adds."""
    names = ["NumPy", "PyTorch"]
    keys = ["training", "torch_training"]
    times = own or {}
    bare = [times.get(f"{key}_bare", float("nan")) for key in keys]
    whole = [times.get(key, float("nan")) for key in keys]
    more = [max(with_ - without, 0.0) for with_, without in zip(whole, bare, strict=True)]
    data = [
        fig.bars(names, bare, "without the norm", fig.COLOURS[9], width=0.55),
        fig.bars(names, more, f"{NAMES[values['norm']]} adds", ORANGE, width=0.55, base=np.array(bare)),
    ]
    there = [(name, one, top) for name, one, top in zip(names, bare, whole, strict=True) if one == one]
    above = [fig.label(n, top, f"+ {milliseconds(max(top - one, 0.0))}", yshift=12) for n, one, top in there]
    told_ = "; ".join(
        f"{n}: {milliseconds(one)} without, {milliseconds(top)} with it" for n, one, top in there
    )
    highest = 1.2 * max([top for _, _, top in there], default=1.0)
    return fig.figure(
        data, f"One training step, width {width:,}", f"Bars. {told_ or 'Nothing is measured yet'}.",
        fig.category_axis(names), fig.axis(0, highest, "milliseconds"),
        annotations=above, barmode="overlay", bargap=0, showlegend=True, place="side", height=260,
    )  # fmt: skip


SCENE = Scene(
    "share", "The norm’s share",
    f"A network of three hidden layers, {NARROW} units each, trains with batch norm. You make the layers 16 "
    "times wider. What becomes of the norm’s share of a step’s time?",
    (
        Choice("it grows: there are 16 times as many numbers to normalize", 2.0,
               "It has, and its own time does grow. But a share is a comparison."),
        Choice("it stays: everything is 16 times as large", 1.0,
               "The activations are. The weight matrices grow both ways."),
        Choice("it shrinks", 0.0),
    ),
    "trend", {}, {"width": WIDE},
    "It shrank: in NumPy the norm took {before_share:.0%} of a step at width 64, {share:.0%} at width 1,024.",
    "With {wider:.0f} times the width the norm has {wider:.0f} times as many numbers, but the matrix "
    "products have {products:.0f} times as many operations: a weight matrix grows with inputs × outputs.",
    "Counting operations alone misleads: at width 64 the norm has {before_operations:.0%} of them and took "
    "{before_share:.0%} of the time. It does little with each number that it loads, and in small layers "
    "most time is the overhead of calls. GPUs have other ratios.",
    "Which norm has the largest share at width 64? Does the batch size change that? Then measure again.",
    ("norm", "width", "batch", "again"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Ask PyTorch's profiler what a step spends its time on."""
    width = values["width"]
    made = MADE[values["norm"]].format(width, parts.groups(width))
    return SHARE_TORCH.format(made=made, width=values["width"], batch=values["batch"])


def script(values: Values) -> str:
    """Time the same networks in NumPy and PyTorch where the script runs."""
    return SHARE.format(
        norm=values["norm"], batch=values["batch"], width=values["width"], grid=GRID, narrow=NARROW,
        wide=WIDE, depth=parts.DEPTH, operations=costs.NORM_OPERATIONS,
    )  # fmt: skip


def lab(values: Values) -> Race:
    """Return the network with the norm and without it."""
    lanes = tuple(parts.config_of(values, norm=norm) for norm in (values["norm"], "none"))
    return Race(f"{brief(values['width'])} units with {NAMES[values['norm']]} and without a norm", lanes, 300)


PASSAGES = (
    Passage("A training step’s time with the norm and without it", costs.timed),
    Passage("A training step’s operations, counted", costs.operations),
)
