"""The first scene of "Which axes?": cells that are painted share a mean, and the page names the norm."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from bnlib.lessons import axes
from bnlib.lessons.axes import EPS, HOME, Partition
from book import figure as fig
from book.chapter import Numbers, View
from book.controls import Values
from book.equations import Equation, bracketed, frac, root, row, told
from book.figure import BLUE, COLOURS, INK, PAPER, Figure, Trace
from book.words import brief
from pages._axes_parts import (
    GREYS_HINT,
    GRID_HEIGHT,
    LIMIT,
    SIGNS_HINT,
    TINTS,
    first,
    grid,
    repeats,
    tints_of,
)

AXES = ("images", "channels", "rows", "columns")
KNOWN = {  # by runs along N, C, H, W: what the list of patterns calls them
    (4, 1, 4, 4): "batch norm",
    (1, 6, 4, 4): "layer norm",
    (1, 1, 4, 4): "instance norm",
    (1, 3, 4, 4): "group norm, 2 groups",
    (1, 6, 1, 1): "layer norm, each position",
    (2, 1, 4, 4): "ghost batch norm",
    (4, 1, 1, 1): "batch norm, flattened",
}
CALLED = {
    "batch": "Batch norm", "layer": "Layer norm", "instance": "Instance norm",
    "group": "Group norm with {groups} groups", "position": "Layer norm at each position",
    "ghost": "Ghost batch norm", "flat": "Batch norm of flattened maps",
    "mixed": "Batch and group norm in one", "everything": "One mean for everything",
    "alone": "A single number",
}  # fmt: skip
ABOUT = {
    "batch": "Each channel shares one mean over all images and positions.",
    "layer": "Each image shares one mean over its channels and positions: group norm with one group.",
    "instance": "Each channel of each image shares a mean over its positions.",
    "group": "{size} numbers of one image share a mean: {channels} channels and all positions.",
    "position": "The channels at one position share a mean, as in ConvNeXt and in transformers. It was "
    "published as positional normalization, too (Li et al. 2019).",
    "ghost": "Half of the batch shares a mean: what one of two devices does without SyncBatchNorm.",
    "flat": "BatchNorm1d after flatten(): each position has its own mean over the images.",
    "mixed": "A group of channels shares a mean over all images; Summers & Dinneen (2020) combine both.",
    "everything": "The whole tensor is shifted and scaled as one. As a layer this has no name in wide use.",
    "alone": "Each number is its own mean: x̂ is 0 everywhere, and every output is β.",
}
# The same for each set: a hint that grows would move the cells away from a finger that paints.
PAINT_HINT = "Drag to paint; begin on a blue cell to erase."


def called(how: Partition) -> str:
    """Name the norm whose sets these are, or say that there is no name."""
    name = axes.named(how.runs)
    if not name:
        return "No name in wide use" if how.runs else "Nobody has named this one"
    return CALLED[name].format(groups=axes.CHANNELS // (how.runs or (1, 1))[1])


def explained(how: Partition) -> str:
    """Say in words what shares a mean, and where the other sets come from."""
    name = axes.named(how.runs)
    if how.runs:
        words = [f"{run} of {n} {axis}" for run, n, axis in zip(how.runs, axes.SHAPE, AXES, strict=True)]
        size, own = int(np.prod(how.runs)), f"What shares a mean: {', '.join(words)}."
        if name:
            own = ABOUT[name].format(size=size, channels=how.runs[1])
        return f"{own} The other sets are the same pattern, shifted." if how.sets.any() else own
    run = len(np.unique(np.nonzero(how.sets == 0)[how.axis]))
    axis, n = AXES[how.axis], axes.SHAPE[how.axis]
    reason = {
        "shape": "It is no block of images × channels × rows × columns",
        "length": f"{n} {axis} can’t be divided into runs of {run}",
        "start": f"Its {run} {axis} don’t begin where a run of {run} begins",
    }[how.obstacle]
    return (
        f"{reason}: shifted copies of this set don’t fill the tensor. So there are two: yours and the rest."
    )


def parts(x: Any, how: Partition) -> dict[int, Any]:
    """Return what each image has in the painted set, by its place; images without any are left out."""
    mine = how.sets == 0
    return {n: x[n][mine[n]] for n in range(axes.IMAGES) if mine[n].any()}


def measured(x: Any, y: Any, how: Partition) -> Numbers:
    """Return what is said of the painted set, before and after."""
    count, mean, std = axes.moments(x, how.sets)
    _, mean_after, std_after = axes.moments(y, how.sets)
    numbers: Numbers = {
        "sets": float(len(count)), "size": float(count[0]), "mean": float(mean[0]), "std": float(std[0]),
        "mean_after": float(mean_after[0]), "std_after": float(std_after[0]), "x": float(x[HOME]),
        "home": float(y[HOME]), "largest": float(np.abs(y).max()), "images": float(len(parts(x, how))),
    }  # fmt: skip
    for suffix, array in (("", x), ("_after", y)):
        spreads = [float(part.std()) for part in parts(array, how).values() if part.std() > 1e-12]
        numbers[f"low{suffix}"] = min(spreads, default=0.0)
        numbers[f"high{suffix}"] = max(spreads, default=0.0)
        numbers[f"times{suffix}"] = max(spreads) / min(spreads) if spreads else 1.0
    return numbers | {"ratio": numbers["times_after"], "less": numbers["times"] ** 0.5}


def paint(values: Values) -> View:
    """Show the painted set, the sets that follow from it, and what all of them become."""
    hide, narrow = values["open"], values.get("narrow", False)
    images, _, x = axes.maps(first(values))
    how = axes.partition(values["painted"])
    y = axes.normalized(x, how)
    numbers, name = measured(x, y, how), called(how)
    size, sets = int(numbers["size"]), int(numbers["sets"])
    some = f"{sets} set{'s' * (sets > 1)}" + f" of {size}" * (how.runs is not None)
    text = f"{name}: {some}. {explained(how)}"
    if repeats(how):
        text += " Neighbouring sets differ in colour; the same colour doesn’t mean the same set."
    tints = tints_of(how)
    if hide:
        text = (
            f"{name}: the {size} blue numbers share one mean and one standard deviation. {GREYS_HINT} Each "
            "dot is one of them; the bars are mean ± standard deviation."
        )
        tints = np.where(tints == 0, 0, -1)
    figures = {
        "maps": grid(
            x, images, f"Painted: {name[0].lower()}{name[1:]}",
            f"4 images, 6 channels of 4 × 4 numbers. {size} numbers are painted. {name}.", narrow,
            tints=tints, paint="painted", told=not hide,
            hint=GREYS_HINT if hide else PAINT_HINT,
        ),
    }  # fmt: skip
    count, mean, std = axes.moments(x, how.sets)
    table = {"set": np.arange(len(count)), "size": count, "mean": mean, "std": std}
    if hide:
        figures["inside"] = _inside(x, None, how)
        return View(numbers, text, figures, table)
    low, high = brief(float(y.min())), brief(float(y.max()))
    figures["outputs"] = grid(
        y, images, "Outputs", f"The same cells after normalization, from {low} to {high}.", narrow,
        limit=LIMIT, hint=SIGNS_HINT,
    )  # fmt: skip
    figures["inside"] = _inside(x, y, how)
    figures["moments"] = _moments(x, y, how, tints)
    figures["known"] = _known(how)
    sigma = root(row(told(numbers["std"] ** 2), " + 10⁻⁵"))
    home = Equation(
        "home", "the framed number, afterwards", frac("x − μ", root("σ² + ε")), numbers["home"],
        (frac(row(told(numbers["x"]), " − ", bracketed(numbers["mean"])), sigma), told(numbers["home"])),
    )  # fmt: skip
    _, mean_after, std_after = axes.moments(y, how.sets)
    table |= {"mean_after": mean_after, "std_after": std_after}
    return View(numbers, f"{text} {_told(numbers, count, std_after)}", figures, table, (home,))


def _told(numbers: Numbers, count: Any, std: Any) -> str:
    """Say what became of your set, and whether other sets, of so many numbers, have less afterwards."""
    text = (
        f"Your set: mean {brief(numbers['mean'])}, standard deviation {brief(numbers['std'])}; afterwards "
        f"{brief(round(numbers['mean_after'], 6))} and {brief(numbers['std_after'])}."
    )
    if ((std < 0.99) & (count > 1)).any():
        text += " Sets with hardly any spread stay below 1, since ε is added."
    return text


def _inside(x: Any, y: Any, how: Partition) -> Figure:
    """Draw the numbers of the painted set, image by image, with mean ± standard deviation as a bar."""
    data: list[Trace] = []
    over: list[Trace] = []  # the bars, above all dots
    alts = []
    high = max(3.0, float(np.ceil(np.abs(x).max())))
    stages = [("before", x, COLOURS[9], 0.0 if y is None else -0.17)]
    if y is not None:
        stages.append(("after", y, BLUE, 0.17))
    for name, array, colour, shift in stages:
        own = parts(array, how)
        rows = {n: n + 1 + shift for n in own}
        values = np.concatenate(list(own.values()))
        places = np.concatenate([np.full(len(part), rows[n]) for n, part in own.items()])
        data.append(fig.dots(values, places, name, colour, size=5, alpha=0.7, hoverinfo="skip"))
        ends = [[part.mean() - part.std(), part.mean() + part.std(), np.nan] for part in own.values()]
        lines = [[rows[n], rows[n], np.nan] for n in own]
        look: dict[str, Any] = {"width": 3, "hoverinfo": "skip", "showlegend": False}
        over.append(fig.line(np.ravel(ends), np.ravel(lines), "", INK, **look))
        spreads = ", ".join(f"image {n + 1}: {brief(float(part.std()))}" for n, part in own.items())
        alts.append(f"Standard deviations {name}, {spreads}.")
    if y is None:
        alts = ["Dots in a row for each image, with a bar."]
    more: dict[str, Any] = {"height": GRID_HEIGHT[False]} if y is None else {"place": "side", "height": 230}
    return fig.figure(
        data + over, "Your set, image by image", " ".join(alts), fig.axis(-high, high, "number"),
        fig.axis(4.6, 0.4, "image", [1, 2, 3, 4]), showlegend=y is not None,
        hint="Dots: numbers. Bars: mean ± standard deviation.", **more,
    )  # fmt: skip


def _moments(x: Any, y: Any, how: Partition, tints: Any) -> Figure:
    """Draw a dot for each set at its mean and standard deviation, and a cross where it is afterwards."""
    count, mean, std = axes.moments(x, how.sets)
    _, mean_after, std_after = axes.moments(y, how.sets)
    tint = np.zeros(len(count), dtype=int)
    tint[how.sets.ravel()] = tints.ravel()
    before, after = (
        [f"set {k + 1}, {n} numbers, {when}: {brief(m)}, {brief(s)}" for k, (n, m, s) in enumerate(rows)]
        for when, rows in (
            ("before", zip(count, mean, std, strict=True)),
            ("after", zip(count, np.round(mean_after, 12), std_after, strict=True)),
        )
    )
    colours = [TINTS[number] for number in tint]
    data = [
        fig.dots(mean, std, "before", colours, size=9, alpha=0.7, meta={"says": before}),
        fig.dots(mean_after.round(12), std_after, "after", INK, size=10, symbol="x", meta={"says": after}),
    ]
    wide = next((step for step in (1.0, 2.0, 4.0) if step > np.abs(mean).max()), 8.0)
    spread = 1.5 if std.max() < 1.4 else 3.0
    alone = int((std_after < 0.5).sum())
    alt = f"{len(count)} dots before. Afterwards all are at mean 0, standard deviation 1" + (
        f", but for {alone} of hardly any spread." if alone else "."
    )
    return fig.figure(
        data, "Mean and standard deviation of every set", alt,
        fig.axis(-wide, wide, "mean", [-wide, 0, wide]),
        fig.axis(-0.08, spread, "standard deviation", [0, 0.5, 1, 1.5] if spread < 2 else [0, 1, 2, 3]),
        height=230, showlegend=True, hint="Dots: before. Crosses: afterwards.",
    )  # fmt: skip


def _known(how: Partition) -> Figure:
    """List patterns that have a name: a click paints one."""
    names, runs = list(KNOWN.values())[::-1], list(KNOWN)[::-1]
    z = [[1.0 if one == how.runs else 0.25] for one in runs]
    meta = {"click": "painted", "values": [list(axes.pattern(one)) for one in runs], "says": names}
    words = [fig.label(0, place, name) for place, name in enumerate(names)]
    hidden: dict[str, Any] = {"visible": False, "showgrid": False}
    return fig.figure(
        [fig.cells(z, 0, 2.5, [(0, PAPER), (1, BLUE)], "patterns", ygap=3, meta=meta)],
        "Patterns with a name", f"A list: {', '.join(names[::-1])}. Now painted: {called(how)}.",
        fig.axis(-0.5, 0.5, ticks=[], **hidden), fig.axis(-0.5, len(names) - 0.5, ticks=[], **hidden),
        annotations=words, height=230, margin={"l": 4, "r": 4, "t": 4, "b": 4},
        hint="Click a name: its set is painted.",
    )  # fmt: skip


# ---- PyTorch ---------------------------------------------------------------------------------------------

MODULES = {
    "batch": "torch.nn.BatchNorm2d(6, dtype=x.dtype)(x)",
    "layer": "torch.nn.GroupNorm(1, 6, dtype=x.dtype)(x)  # the same numbers: LayerNorm([6, 4, 4])",
    "instance": "torch.nn.InstanceNorm2d(6, dtype=x.dtype)(x)",
    "group": "torch.nn.GroupNorm({groups}, 6, dtype=x.dtype)(x)",
    "position": "torch.nn.LayerNorm(6, dtype=x.dtype)(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)",
    "ghost": "torch.cat([torch.nn.BatchNorm2d(6, dtype=x.dtype)(half) for half in x.split(2)])",
    "flat": "torch.nn.BatchNorm1d(6 * 4 * 4, dtype=x.dtype)(x.flatten(1)).reshape(x.shape)",
}
SHARED = """\
parts = x.reshape({split})
shared = dict(dim=(1, 3, 5, 7), keepdim=True)
y = (parts - parts.mean(**shared)) / (parts.var(correction=0, **shared) + {eps}).sqrt()
y = y.reshape(x.shape)
"""
MASKED = """\
mine = torch.zeros(x.numel(), dtype=torch.bool)
mine[[{cells}]] = True
y = torch.empty_like(x)
for some in (mine.reshape(x.shape), ~mine.reshape(x.shape)):
    y[some] = (x[some] - x[some].mean()) / (x[some].var(correction=0) + {eps}).sqrt()
"""


def torch_norm(how: Partition) -> str:
    """Write in PyTorch what gives each set mean 0 and variance 1: from x to y."""
    name = axes.named(how.runs)
    if how.runs is None:
        return MASKED.format(cells=_runs(np.flatnonzero(how.sets == 0)), eps=EPS)
    if name in MODULES:
        return "y = " + MODULES[name].format(groups=axes.CHANNELS // how.runs[1]) + "\n"
    split = [part for n, run in zip(axes.SHAPE, how.runs, strict=True) for part in (n // run, run)]
    return SHARED.format(split=", ".join(map(str, split)), eps=EPS)


def _runs(cells: Any) -> str:
    """Write cells as Python does: ``*range(0, 16), 20``, in lines."""
    found = []
    for run in np.split(cells, np.flatnonzero(np.diff(cells) > 1) + 1):
        found.append(f"*range({run[0]}, {run[-1] + 1})" if len(run) > 2 else ", ".join(map(str, run)))
    return textwrap.fill(", ".join(found), 88, subsequent_indent="      ", break_on_hyphens=False)
