"""Scenes of "Which axes?" about groups between layer and instance norm, and about company in the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import group_norm
from bnlib.lessons import axes
from bnlib.lessons import axes_compared as compared
from bnlib.lessons.axes import CHANNELS, MATES
from bnlib.lessons.axes_compared import GROUPS, NORMS
from book import figure as fig
from book.chapter import Numbers, View
from book.charts import average, over_seeds
from book.controls import Values
from book.equations import Equation, frac, told
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, PURPLE, Axis, Figure, Trace
from book.words import brief
from pages._axes_parts import (
    GREYS_HINT,
    GRID_HEIGHT,
    LIMIT,
    NORM_NAMES,
    SIGNS_HINT,
    changes,
    every,
    first,
    grid,
    listed,
    pixels,
)

COMPANY = (*NORMS, "eval")
LOOKS = ((BLUE, "solid"), (ORANGE, "dash"), (GREEN, "dot"), (PURPLE, "dashdot"))  # of images

# ---- groups ----------------------------------------------------------------------------------------------


def near(groups: int) -> int:
    """Return the number of groups that divides the channels and is nearest."""
    return min(GROUPS, key=lambda size: abs(size - groups))


def left(groups: int) -> float:
    """Return which share of the differences between channel means is inside groups."""
    return (CHANNELS - groups) / (CHANNELS - 1)


def grouped(values: Values) -> dict[str, Any]:
    """Return `compared.grouped` of eight seeds and all numbers of groups: arrays (seeds, groups) by name."""
    found = np.array([[compared.grouped(seed, groups) for groups in GROUPS] for seed in every(values)])
    return {"layer": found[..., 0], "instance": found[..., 1], "left": found[..., 2] / found[:, :1, 2]}


def groups(values: Values) -> View:
    """Show group norm between its ends, layer norm and instance norm."""
    hide, narrow = values["open"], values.get("narrow", False)
    chosen = 1 if hide else near(values["groups"])
    images, _, x = axes.maps(first(values))
    y = group_norm(x, groups=chosen)[0]
    found, at, size = grouped(values), GROUPS.index(chosen), CHANNELS // chosen
    numbers: Numbers = {
        "groups": float(chosen), "size": float(size), "left": average(found["left"][:, at]),
        "theory": left(chosen), "to_layer": average(found["layer"][:, at]),
        "to_instance": average(found["instance"][:, at]), "ends": average(found["instance"][:, 0]),
        "between": float(compared.between(y).mean()), "differences": CHANNELS - 1.0,
        "remain": float(CHANNELS - chosen), "numbers": 16.0 * size,
    }  # fmt: skip
    for count, lefts in zip(GROUPS, found["left"].T, strict=True):
        numbers[f"left_{count}"] = average(lefts)
    name = {1: "Layer norm", CHANNELS: "Instance norm"}.get(chosen, "Group norm")
    sets = f"{chosen} group{'s' * (chosen > 1)} of {size} channel{'s' * (size > 1)}"
    text = f"{name}: {sets}. In an image {16 * size} numbers share a mean."
    figures = {
        "outputs": grid(
            y, images, f"Outputs: {sets}", f"Outputs of group norm with {sets}.", narrow, limit=LIMIT,
            home=False, between=range(size, CHANNELS, size), hint=SIGNS_HINT,
        ),
        "means": _means(y, group_norm(x, groups=1)[0], chosen),
    }  # fmt: skip
    if hide:
        return View(numbers, f"{text} {SIGNS_HINT}", figures)
    text += f" Between channel means {numbers['left']:.0%} of layer norm’s variance is left (8 seeds)."
    figures["remaining"] = _remaining(found["left"], chosen, numbers["left"])
    figures["ends"] = _ends(found, chosen)
    theory = Equation(
        "theory", "share left, if all groups spread alike", frac("C − G", "C − 1"), left(chosen),
        (frac(f"{CHANNELS} − {chosen}", f"{CHANNELS} − 1"), told(left(chosen))),
    )  # fmt: skip
    table = {"groups": np.array(GROUPS)} | {name: own.mean(axis=0) for name, own in found.items()}
    return View(numbers, text, figures, table, (theory,))


def _means(y: Any, whole: Any, groups: int) -> Figure:
    """Draw the mean of each channel, a line for each image; grey: with one group."""
    means, channel = y.mean(axis=(2, 3)), np.arange(1, CHANNELS + 1)
    data: list[Trace] = []
    if groups > 1:
        one = whole.mean(axis=(0, 2, 3))
        data.append(fig.line(channel, one, "G = 1, mean of images", COLOURS[9], width=5))
    for number, (own, (colour, dash)) in enumerate(zip(means, LOOKS, strict=True)):
        data.append(fig.line(channel, own, f"image {number + 1}", colour, dash=dash))
    size = CHANNELS // groups
    shapes = [fig.mark(at + 0.5, -2, at + 0.5, 2, INK, 1, dash="dot") for at in range(size, CHANNELS, size)]
    low, high = brief(float(means.min())), brief(float(means.max()))
    return fig.figure(
        data, "Mean of each channel in the outputs", f"Lines over 6 channels, from {low} to {high}.",
        fig.axis(0.7, CHANNELS + 0.3, "channel", list(range(1, CHANNELS + 1))),
        fig.axis(-2, 2, "mean of 16 numbers", [-2, -1, 0, 1, 2]), shapes=shapes, showlegend=True,
        height=GRID_HEIGHT[False], hint="A line for each image." + " Dotted: between groups." * (groups > 1),
    )  # fmt: skip


def _remaining(lefts: Any, groups: int, now: float) -> Figure:
    """Draw what is left between channels, over the number of groups; the dot can be dragged."""
    theory = [left(size) for size in GROUPS]
    data = over_seeds(GROUPS, lefts, "measured", BLUE)
    data.append(fig.line(GROUPS, theory, "(C − G) / (C − 1)", INK, dash="dash", width=1.5))
    meta = {"drag": "groups", "axis": "x"}
    dot = fig.dots([groups], [now], "groups", INK, size=15, alpha=0.55, showlegend=False, meta=meta)
    data.append(dot)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    y = fig.axis(0, 1.1, "share left", ticks, words=[f"{tick:.0%}" for tick in ticks])
    return fig.figure(
        data, "Variance between channel means", f"A falling curve: {now:.0%} is left, groups: {groups}.",
        _groups_axis(), y, place="side", height=220, showlegend=True,
        hint="Drag the large dot. Mean and range of 8 seeds, 16 orders of channels each.",
    )  # fmt: skip


def _groups_axis() -> Axis:
    return fig.axis(0.7, 6.3, "groups G", GROUPS)


def _ends(found: Any, groups: int) -> Figure:
    """Draw how far group norm is from layer norm and from instance norm."""
    data = over_seeds(GROUPS, found["layer"], "to layer norm", GREEN, dash="dash")
    data += over_seeds(GROUPS, found["instance"], "to instance norm", ORANGE)
    at = GROUPS.index(groups)
    near_, far = (brief(average(found[name][:, at])) for name in ("layer", "instance"))
    return fig.figure(
        data, "Distance of the outputs to both ends",
        f"Two curves. At {groups} groups: {near_} to layer norm, {far} to instance norm.",
        _groups_axis(), fig.axis(0, 1.1, "distance", [0, 0.5, 1]), height=230, showlegend=True,
        shapes=[fig.mark(groups, 0, groups, 1.1, INK, 1, dash="dot")],
        hint="Root mean square difference of all outputs.",
    )  # fmt: skip


# ---- company ---------------------------------------------------------------------------------------------


def company_mate(values: Values) -> int:
    """Return which of the other digits image 4 is exchanged for; 0: none."""
    return min(int(values["mate"]), MATES)


def company(values: Values) -> View:
    """Exchange the last image, and look at the outputs of the first."""
    hide, narrow = values["open"], values.get("narrow", False)
    mate, norm, seed = 0 if hide else company_mate(values), values["norm"], first(values)
    images, _, x = axes.maps(seed, mate)
    found = {name: np.array([compared.company(name, one, mate) for one in every(values)]) for name in COMPANY}
    moved, pulled = ({name: own[:, column] for name, own in found.items()} for column in (0, 1))
    changed = [name for name in NORMS if moved[name].max() > 1e-9]
    numbers: Numbers = {f"moved_{name}": average(own) for name, own in moved.items()}
    numbers |= {f"pulled_{name}": average(own) for name, own in pulled.items()}
    numbers |= {"changed": float(len(changed)), "mate": float(mate), "here": float(moved[norm][0])}
    if hide:
        other = axes.maps(seed, 1).images
        digits, names = np.stack([images[-1, 0], other[-1, 0]]), ("image 4", "the other digit")
        return View(numbers, f"Four digits go through a norm together. {GREYS_HINT}", {
            "maps": grid(
                x, images, "Feature maps before the norm", "4 images, 6 channels of 4 × 4 numbers.",
                narrow, home=False, hint=GREYS_HINT,
            ),
            "digits": pixels(digits, names, "Image 4 is exchanged", "Two digits side by side."),
        })  # fmt: skip
    text = "Image 4 is as at first: nothing has changed."
    if mate:
        noticed = listed([NORM_NAMES[name] for name in changed])
        text = f"Image 4 is another digit. Norms that changed image 1’s outputs: {noticed}."
    change = compared.in_company(norm, seed, mate) - compared.in_company(norm, seed, 0)
    own = brief(float(np.abs(change[0]).max()))
    figures = {
        "maps": grid(
            change, images, f"Changes of the outputs: {NORM_NAMES[norm]}",
            f"Changes of all outputs. Those of image 1 change by at most {own}.", narrow, limit=0.5,
            home=False, hint="Blue: more than before. Orange: less. Strongest at ±0.5.",
        ),
        "moved": changes(
            moved, "Image 1: largest change of an output", "largest change", click="norm", small=narrow,
            steps=(0.4, 0.8, 1.6, 3.2), height=GRID_HEIGHT[False], told=brief,
            hint="Click a column for its grid. eval(): statistics of 500 digits.",
        ),
        "pulled": changes(
            pulled, "Image 4’s gradient, of image 1’s loss", "share", steps=(0.2, 0.4, 0.8, 1.6), small=True,
            place="side", height=190, hint="Its largest number, over the largest of image 1’s own.",
        ),
    }  # fmt: skip
    table = {
        "norm": [NORM_NAMES[name] for name in COMPANY],
        "change": np.array([average(own) for own in moved.values()]),
        "gradient": np.array([average(own) for own in pulled.values()]),
    }
    return View(numbers, text, figures, table)
