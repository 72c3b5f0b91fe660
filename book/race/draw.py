"""Templates of curves and layers: figures with bindings in the places of what is recorded (see `fill`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from book.controls import Values
from book.figure import (
    MARGIN,
    PAPER,
    Axis,
    Figure,
    Trace,
    axis,
    band,
    dots,
    faded,
    figure,
    line,
    mark,
)
from book.figure import label as note

from .fill import DIVERGED
from .looks import Race, brief_name
from .verdict import guessing

PERCENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
WIDTH, NARROW_WIDTH = 300, 340  # pixels that a figure may count on
CHARACTER = 6.6  # pixels of an average one
FATE = ", " + DIVERGED.format(100)
OPEN = faded(PAPER, 0)


def bind(kind: str, **more: Any) -> Any:
    """Make a binding; it may stand where a figure has an array, a number, a text or an axis."""
    return {"~": kind} | more


# ---- curves --------------------------------------------------------------------------------------------


def accuracy(race: Race, values: Values) -> Figure:
    """Draw validation accuracy over the steps."""
    traces = _curves(race, values, "val_accuracy", "%{y:.1%}")
    second = "Gaussians reached" if race.gan else "batch statistics"
    for lane, (name, look) in enumerate(zip(race.names, race.looks, strict=True)):
        if race.rings(lane):
            ring = dots([], [], f"{name}, {second}", OPEN, size=7, edge=look.colour, showlegend=False)
            ring["marker"]["line"]["width"] = 1.3
            more = {"hovertemplate": "%{y:.1%}", "cliponaxis": False} | _over_time(
                lane, "val_accuracy_batch", most=40
            )
            traces.append(ring | more)
    shapes, notes = _moments(race, values)
    if share := guessing(race.configs[0]):
        shapes.insert(0, mark(0, share, 1, share, width=1, dash="dot", xref="paper", opacity=0.6))
        notes.append(note(1, share, "guessing", xref="paper", xanchor="right",
                          yanchor="bottom" if values["narrow"] else "top"))  # fmt: skip
    title = "" if values["narrow"] else "share of samples" if race.gan else "accuracy"
    words = [f"{share:.0%}" for share in PERCENTS]
    head = "Samples near a Gaussian" if race.gan else "Validation accuracy"
    alt = f"{head} over the steps, a line for each lane, up to the playhead."
    y = axis(0, 1, title, PERCENTS, words=words)
    return _over_steps(race, values, traces, bind("alt", head=alt, field="val_accuracy", layers=False), y,
                       shapes, notes)  # fmt: skip


def loss(race: Race, values: Values) -> Figure:
    """Draw the loss over the steps: of training or of validation; of a GAN, of either network."""
    training = values["loss"] == "training"
    name = "train_loss" if training else "val_loss"
    traces = _curves(race, values, name, "%{y:.3g}")
    of = ("Discriminator’s" if training else "Generator’s") if race.gan else values["loss"].capitalize()
    alt = bind("alt", head=f"{of} loss over the steps, a line for each lane, up to the playhead.", field=name,
                layers=False)  # fmt: skip
    title = "" if values["narrow"] else "loss"
    y = bind("log_axis", fields=[name], layers=False, least=[0.1, 4.0], floor=1e-6, title=title)
    return _over_steps(race, values, traces, alt, y, *_moments(race, values))


def _over_steps(
    race: Race, values: Values, traces: list[Trace], alt: Any, y: Axis, shapes: Any, notes: Any
) -> Figure:
    height = (190 if values["narrow"] else 210) + _legend_height(race, values) + 18 * bool(race.edits)
    x = bind("step_axis", title="step", most=4 if values["narrow"] else 6)
    return figure(traces, " ", alt, x, y, shapes=shapes, annotations=notes, showlegend=True, height=height,
                  margin=margin(values, t=28 if race.edits else 10))  # fmt: skip


def _curves(race: Race, values: Values, name: str, read: str) -> list[Trace]:
    """Make the traces of a curve: ghosts, what is ahead, bands, and the lines up to the playhead."""
    quiet: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip"}
    ghosts, ahead, bands, lines = [], [], [], []
    for lane, look in enumerate(race.looks):
        style = {"colour": look.colour, "dash": look.dash}
        if values["ghost"] == "on":
            faint = line([], [], colour=look.colour, dash="dot", width=1.5, opacity=0.75, **quiet)
            ghosts.append(faint | _over_time(lane, name, to="reached", ghost=True))
        # The faint line has the name, since it can be read where the playhead isn't yet.
        known = line([], [], width=1.5, opacity=0.55, hovertemplate=read, **style)
        words = brief_name(race.names[lane], characters(values, 48) - len(FATE))
        known["name"] = bind("text", of="name", lane=lane, name=words)
        known |= _over_time(lane, name, to="reached")
        if lane == 0 and values["playhead"]:
            known["meta"] = {"scrub": values["playhead"]}
        ahead.append(known)
        for number, edge in enumerate(band([], [], [], look.colour), start=1):
            bands.append(edge | _over_time(lane, name, number))
        lines.append(line([], [], **style, **quiet) | _over_time(lane, name))
    return [*ghosts, *ahead, *bands, *lines]


def _over_time(
    lane: int, name: str, index: int = 0, to: str = "step", ghost: bool = False, **more: Any
) -> dict[str, Any]:
    of = {"lane": lane, "field": name, "to": to, "ghost": ghost} | more
    return {"x": bind("steps", **of), "y": bind("series", index=index, **of)}


def _moments(race: Race, values: Values) -> tuple[list[Any], list[Any]]:
    """Mark the playhead, and the changes in mid-run."""
    step = bind("step")
    shapes = [mark(step, 0, step, 1, width=1.5, yref="paper", opacity=0.7)]
    notes = []
    for at, words in race.edits:
        shapes.append(mark(at, 0, at, 1, width=1, dash="dash", yref="paper", opacity=0.6))
        text = f"▾ {words}" if len(race.edits) < 3 and not values["narrow"] else "▾"
        notes.append(note(at, 1, text, yref="paper", yanchor="bottom", yshift=9))  # above the top tick
    return shapes, notes


# ---- a number per layer --------------------------------------------------------------------------------


def flow(race: Race, values: Values) -> Figure:
    """Draw each layer's gradient norm."""
    traces = _per_layer(race, "gradient_norm", "%{customdata:.3g}", low="axis")
    title = "" if values["narrow"] else "gradient norm"
    y = bind("log_axis", fields=["gradient_norm"], layers=True, least=[1e-2, 1.0], floor=1e-30, title=title,
              most=5)  # fmt: skip
    zero = note(1, 0, bind("text", of="zero", field="gradient_norm"), xref="paper", yref="paper",
                xanchor="right", yanchor="bottom", yshift=8)  # fmt: skip
    return _over_layers(race, values, traces, "Gradient norm", "gradient_norm", y, annotations=[zero])


def ratio(race: Race, values: Values) -> Figure:
    """Draw each layer's update:data ratio as a logarithm, with the rule of thumb."""
    traces = _per_layer(race, "update_ratio", "%{customdata:.3g}", low=-6.0, high=0.0)
    y = axis(-6, 0, "" if values["narrow"] else "log₁₀ ratio")
    rule = mark(0, -3, 1, -3, width=1, dash="dash", xref="paper", opacity=0.7)
    still = note(0.5, 0.62, bind("text", of="still", field="update_ratio"), xref="paper", yref="paper")
    head = "Logarithm to base 10 of update to weights"
    return _over_layers(race, values, traces, head, "update_ratio", y, shapes=[rule], annotations=[still])


def saturation(race: Race, values: Values) -> Figure:
    """Draw each layer's share of saturated activations, and of dead units."""
    traces = _per_layer(race, "saturation", "%{y:.1%}")
    for lane, (name, look) in enumerate(zip(race.names, race.looks, strict=True)):
        layers = np.arange(1.0, race.configs[lane].depth + 1)
        dead = dots(layers, [], f"{name}, dead units", OPEN, size=11, edge=look.colour, showlegend=False)
        dead["marker"]["line"]["width"] = 1.5
        traces.append(dead | {"y": _at(lane, "dead"), "hovertemplate": "%{y:.1%}", "cliponaxis": False})
    y = axis(0, 1, "" if values["narrow"] else "share", PERCENTS, words=[f"{p:.0%}" for p in PERCENTS])
    return _over_layers(race, values, traces, "Share of saturated activations", "saturation", y)


def _per_layer(race: Race, name: str, read: str, **clip: Any) -> list[Trace]:
    bands, lines = [], []
    for lane, look in enumerate(race.looks):
        layers = np.arange(1.0, race.configs[lane].depth + 1)
        for number, edge in enumerate(band(layers, [], [], look.colour), start=1):
            bands.append(edge | {"y": _at(lane, name, number, **clip)})
        mean = line(layers, [], race.names[lane], look.colour, dash=look.dash, mode="lines+markers")
        mean |= {
            "y": _at(lane, name, **clip),
            "marker": {"color": look.colour, "size": 7},
            "cliponaxis": False,
        }
        lines.append(mean | {"hovertemplate": read} | ({"customdata": _at(lane, name)} if clip else {}))
    return [*bands, *lines]


def _at(lane: int, name: str, index: int = 0, **clip: Any) -> Any:
    return bind("layers", lane=lane, field=name, index=index, **clip)


def _over_layers(
    race: Race, values: Values, traces: list[Trace], head: str, name: str, y: Axis, **more: Any
) -> Figure:
    every = -(-race.depth // (7 if values["narrow"] else 10))
    x = axis(0.6, race.depth + 0.4, "layer (1 is next to the input)", range(1, race.depth + 1, every))
    alt = bind("alt", head=f"{head}, first to last layer.", field=name, layers=True)
    legend = bool(values.get("legend"))
    height = (210 if values["narrow"] else 230) + (_legend_height(race, values) if legend else 0)
    return figure(traces, " ", alt, x, y, showlegend=legend, margin=margin(values),
                  height=height, **more)  # fmt: skip


# ---- room -----------------------------------------------------------------------------------------------


def margin(values: Values, **more: int) -> dict[str, int]:
    """Return the margins of a figure."""
    return MARGIN | ({"l": 44} if values["narrow"] else {}) | more


def _width(values: Values) -> int:
    return NARROW_WIDTH if values["narrow"] else WIDTH


def characters(values: Values, taken: int, columns: int = 1) -> int:
    """Count the characters for which there is room beside so many pixels."""
    return int((_width(values) - taken) / columns / CHARACTER)


def _legend_height(race: Race, values: Values) -> int:
    """Return the pixels that a legend takes, about as the painter lays it out."""
    rows, used = 1, 0.0
    for name in race.names:
        wide = 48 + CHARACTER * len(name)
        if used and used + wide > _width(values):
            rows, used = rows + 1, 0.0
        used += wide
    return 22 * rows
