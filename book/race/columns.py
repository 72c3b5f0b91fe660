"""Templates of pictures with a column for each lane: histograms, their course, two-dimensional data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bnlib.data import load
from bnlib.training.recordings import HISTOGRAM_EDGES, SURFACE_EDGES
from book.controls import Values
from book.figure import INK, MARGIN, PAPER, Axis, Figure, Trace, axis, cells, dots, faded, figure, line, mark
from book.figure import label as note

from .draw import WIDTH, bind, margin
from .fill import DIVERGED
from .frames import points
from .looks import Race, breadth, headings
from .table import LAB_STEPS

NARROWEST = 300  # pixels: the width of a figure on the smallest screens
GAP = 0.05  # between columns, as a share of the width
APART = 6  # pixels between the headings of two columns
MANY = 8  # layers: more are drawn as ridges that reach into the one above
MIDDLE, PALEST, DARKEST = 0.26, 0.03, 0.6  # of the greys that classes have
# By class a symbol, its colour and that of its edge.
SYMBOLS = (
    ("circle", PAPER, INK), ("square", INK, PAPER), ("x", INK, INK), ("diamond", PAPER, INK),
    ("line-ns", INK, INK), ("circle", INK, PAPER), ("square", PAPER, INK), ("line-ew", INK, INK),
)  # fmt: skip
EDGE = float(SURFACE_EDGES[-1])


def ridges(race: Race, values: Values) -> Figure:
    """Draw a histogram for each layer, lanes side by side."""
    name = f"{values['histogram']}_histogram"
    tall = 0.92 if race.depth <= MANY else 1.9
    layers = np.arange(1, race.depth + 1)
    long = race.depth <= MANY and not values["narrow"]
    words = [f"layer {layer}" if long else str(layer) for layer in layers]
    ends = (race.depth + 0.15, 1 - min(tall, 1.3))
    grid = axis(*ends, "" if long else "layer", [float(layer) for layer in layers], words=words)
    columns = _Columns(race, values, 54 if long else 44)
    traces, edges = [], HISTOGRAM_EDGES
    outline = [edges[0], *np.repeat(edges, 2)[1:-1], edges[-1], np.nan]
    for lane, look in enumerate(race.looks):
        depth = race.configs[lane].depth
        columns.add(lane, _bins(race, values), grid)
        shape = line(np.tile(outline, depth), [], race.names[lane], look.colour, width=1, fill="toself")
        traces.append(
            shape
            | columns.on(lane)
            | {
                "fillcolor": faded(look.colour, 0.45),
                "hoveron": "points",
                "y": bind("ridges", lane=lane, field=name, tall=tall),
                "customdata": bind("shares", lane=lane, field=name),
                "text": np.repeat(np.arange(1.0, depth + 1), len(outline)),
                "hovertemplate": "layer %{text}: %{customdata:.1%} of the values",
            }
        )
    head = "Histograms per layer. Standard deviation of the activations, first to last layer."
    height = max(210, 60 + 14 * race.depth)
    return columns.figure(traces, head, height)


def time(race: Race, values: Values) -> Figure:
    """Draw the histograms of one layer over the steps, lanes side by side."""
    name = f"{values['histogram']}_histogram"
    centres = (HISTOGRAM_EDGES[:-1] + HISTOGRAM_EDGES[1:]) / 2
    rows = 41 if values["narrow"] else 61
    columns = _Columns(race, values, 54)
    traces = []
    for lane, look in enumerate(race.looks):
        depth = race.configs[lane].depth
        layer = (values["layer"] if 1 <= values["layer"] <= depth else depth) - 1
        columns.add(lane, _bins(race, values), bind("step_axis", title="step", reversed=True, most=5))
        cell = cells(np.empty((0, 0)), 0, 0.5, ((0, PAPER), (1, look.colour)), race.names[lane])
        cell |= columns.on(lane) | {"x": centres, "y": bind("matrix_steps", rows=rows)}
        cell["z"] = bind("matrix", lane=lane, field=name, layer=layer, rows=rows)
        traces.append(cell | {"hovertemplate": "√share %{z:.3g}"})
        step = bind("step")
        columns.shapes.append(mark(0, step, 1, step, width=1, xref=columns.ref("x", lane) + " domain",
                                   yref=columns.ref("y", lane), opacity=0.7))  # fmt: skip
    head = (
        "Histograms of one layer over the steps. Standard deviation of the activations, first to last layer."
    )
    return columns.figure(traces, head, 240)


def _bins(race: Race, values: Values) -> Axis:
    count = len(race.names) + 2 * values["narrow"]
    ticks = (-4, -2, 0, 2, 4) if count < 2 else (-2, 0, 2) if count < 5 else (0,)
    return axis(float(HISTOGRAM_EDGES[0]), float(HISTOGRAM_EDGES[-1]), "", ticks)


def surface(race: Race, values: Values) -> Figure:
    """Draw the square of two-dimensional data, lane by lane: decisions, or what a GAN draws."""
    columns = _Columns(race, values, 8, most=2)
    x, labels = points(race.configs[0])
    square = axis(-EDGE, EDGE, "", (-1, 0, 1), showticklabels=False, showgrid=race.gan, showline=False)
    traces: list[Trace] = []
    for lane in range(len(race.names)):
        columns.add(lane, square, square)
        own = _drawn(race, lane, x) if race.gan else _decided(race, lane, x, labels)
        traces += [trace | columns.on(lane) for trace in own]
        if race.gan:
            outside = bind("text", of="outside", lane=lane, beyond=EDGE)
            columns.notes.append(
                columns.note(lane, 0, outside, x=0, xanchor="left", yanchor="bottom", bgcolor=PAPER)
            )
    head = (
        "Generated samples. Share near a Gaussian." if race.gan else "Decision surfaces. Validation accuracy."
    )
    return columns.figure(traces, head, 230, alt=("val_accuracy", False))


def _decided(race: Race, lane: int, x: Any, labels: Any) -> list[Trace]:
    """Make the greys of a lane's decisions, and the training samples over them."""
    centres, size = (SURFACE_EDGES[:-1] + SURFACE_EDGES[1:]) / 2, len(SURFACE_EDGES) - 1
    classes = load(race.configs[0].dataset).classes
    stops = []
    for number in range(classes):
        top = 1.0 if number == classes - 1 else (number + 1) / classes - 1e-6
        stops += [(number / classes, faded(INK, MIDDLE)), (top, faded(INK, _grey(number, classes)))]
    plane = cells(np.empty((0, 0)), 0, classes, stops, race.names[lane], x=centres, y=centres)
    plane |= {"z": bind("surface", lane=lane, size=size), "hovertemplate": "class + confidence: %{z:.3g}"}
    found = [plane]
    for number in range(classes):
        mine = x[labels == number]
        symbol, fill, edge = SYMBOLS[number % len(SYMBOLS)]
        marker = dots(mine[:, 0], mine[:, 1], f"class {number}", fill, size=5, symbol=symbol, edge=edge,
                      alpha=0.9, showlegend=False)  # fmt: skip
        marker["marker"]["line"]["width"] = 1
        found.append(marker | {"hovertemplate": f"class {number}"})
    return found


def _grey(number: int, classes: int) -> float:
    """Choose how dark a class is; of many classes, neighbours on a ring are far apart."""
    rank = 3 * number % classes if classes > 3 else number
    return round(PALEST + (DARKEST - PALEST) * rank / (classes - 1), 4)


def _drawn(race: Race, lane: int, x: Any) -> list[Trace]:
    """Make a GAN's samples over real ones."""
    real = dots(x[:, 0], x[:, 1], "real samples", INK, size=5, alpha=0.3, hoverinfo="skip")
    made = dots([], [], race.names[lane], race.looks[lane].colour, size=5, alpha=0.8)
    return [real, made | {which: bind("cloud", lane=lane, axis=k) for k, which in enumerate("xy")}]


class _Columns:
    """Axes for each lane, side by side or in rows of ``most``, with the lanes' names above."""

    def __init__(self, race: Race, values: Values, left: int, most: int = 4):
        self.race, self.values = race, values
        count = len(race.names)
        self.across = count if count <= most else -(-count // 2)
        self.down = -(-count // self.across)
        wide = (NARROWEST if values["narrow"] else WIDTH) - left - MARGIN["r"]
        room = wide * (1 + GAP) / self.across - APART  # between the middles of two columns
        self.narrow = room < breadth(DIVERGED.format(LAB_STEPS))
        self.heads = headings(race.names, room)
        self.lines = 2 if any(second for _, second in self.heads) else 1
        self.left = left
        self.axes: dict[str, Axis] = {}
        self.shapes: list[Any] = []
        self.notes: list[Any] = []

    def ref(self, letter: str, lane: int) -> str:
        """Name an axis as traces do."""
        return f"{letter}{lane + 1}" if lane else letter

    def on(self, lane: int) -> dict[str, str]:
        """Say which axes a lane's traces are drawn on."""
        return {"xaxis": self.ref("x", lane), "yaxis": self.ref("y", lane)}

    def add(self, lane: int, x: Axis, y: Axis) -> None:
        """Add a lane's axes, its name, and where it diverges."""
        row, column = divmod(lane, self.across)
        head = 0.09 * self.lines
        wide = (1 - GAP * (self.across - 1)) / self.across
        tall = (1 - head * (self.down - 1)) / self.down
        left, top = column * (wide + GAP), 1 - row * (tall + head)
        number = str(lane + 1) if lane else ""
        self.axes[f"xaxis{number}"] = x | {
            "domain": [left, left + wide],
            "anchor": self.ref("y", lane),
        }
        more: Axis = {"domain": [max(0.0, top - tall), top], "anchor": self.ref("x", lane)}
        if column:
            more["showticklabels"] = False
        if "~" in y:
            self.axes[f"yaxis{number}"] = y | {"more": more} | ({"title": ""} if column else {})
        else:
            self.axes[f"yaxis{number}"] = y | more | ({"title": {"text": ""}} if column else {})
        first, second = self.heads[lane]
        self.notes.append(self.note(lane, 1, first, yanchor="bottom", yshift=14 if self.lines == 2 else 0))
        if second:
            self.notes.append(self.note(lane, 1, second, yanchor="bottom"))
        fate = bind("text", of="diverged", lane=lane, brief=self.narrow)
        self.notes.append(self.note(lane, 0.5, fate))

    def note(self, lane: int, y: float, text: Any, x: float = 0.5, **more: Any) -> dict[str, Any]:
        """Write into a lane's column; y is a share of its height."""
        where = {f"{letter}ref": self.ref(letter, lane) + " domain" for letter in "xy"}
        return note(x, y, text) | where | {"xanchor": "center", "yanchor": "middle"} | more

    def figure(
        self,
        traces: Sequence[Trace],
        head: str,
        height: int,
        alt: tuple[str, bool] = ("activation_std", True),
    ) -> Figure:
        """Put the figure together."""
        name, layers = alt
        said = bind("alt", head=head, field=name, layers=layers)
        x, y = self.axes.pop("xaxis"), self.axes.pop("yaxis")
        top = 8 + 15 * self.lines
        return figure(
            traces, " ", said, x, y, shapes=self.shapes, annotations=self.notes,
            height=(height - 40) * self.down + 40 + top,
            margin=margin(self.values, t=top, l=self.left, b=26), **self.axes,
        )  # fmt: skip
