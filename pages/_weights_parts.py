"""What the scenes of "Weight and spectral norm" share: plane, arrows, and the first page's picture."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np

from bnlib.lessons import weights
from book import figure as fig
from book.controls import Values
from book.figure import BLUE, COLOURS, INK, ORANGE, Axis, Figure, Trace

SHADES = "Lines: mean of 8 seeds. Bands: lowest to highest."
TURN_IN, TURN_OUT = 25.0, 65.0  # degrees: which direction W stretches most, and where that one arrives
TALL, LOW = 310, 240  # pixels, of figures in the plane; on a phone
Words = tuple[float, float, int]  # where words are, in pixels, and how many letters they have

ROUND = np.radians(np.arange(0, 361, 3))
CIRCLE = np.stack([np.cos(ROUND), np.sin(ROUND)])


def at_angle(degrees: float) -> Any:
    """Return the vector of length 1 at an angle, (2,)."""
    turn = np.radians(degrees)
    return np.array([np.cos(turn), np.sin(turn)])


@lru_cache(maxsize=512)
def matrix(first: float, second: float) -> Any:
    """Return W of the first scene, (2, 2)."""
    return weights.plane(first, second, TURN_IN, TURN_OUT)


def ring(radius: float, name: str, colour: str, **more: Any) -> Trace:
    """Draw a circle around 0."""
    return fig.line(radius * CIRCLE[0], radius * CIRCLE[1], name, colour, hoverinfo="skip", **more)


def arrow(tip: Any, name: str, colour: str, start: Any = (0.0, 0.0), **more: Any) -> list[Trace]:
    """Draw an arrow as a line with a dot at its tip; ``meta`` and ``size`` are of the dot."""
    dot = {key: more.pop(key) for key in ("meta", "size", "symbol") if key in more}
    shaft = fig.line([start[0], tip[0]], [start[1], tip[1]], name, colour, hoverinfo="skip", **more)
    return [shaft, fig.dots([tip[0]], [tip[1]], name, colour, showlegend=False, **dot)]


def plane_axes(most: float, narrow: bool = False) -> tuple[Axis, Axis]:
    """Make axes around 0 for a figure with even scales; where there is room, the one across is longer."""
    wide = most * (1.1 if narrow else 1.45)
    axes = [fig.axis(-end, end, "", range(-int(end), int(end) + 1)) for end in (wide, most)]
    return axes[0], axes[1]


def size_of(values: Values) -> dict[str, Any]:
    """Return what figures in the plane share; on a phone they are low, for Play is below them."""
    return {"height": LOW if values.get("narrow", False) else TALL, "even": True}


def apart(one: Words, other: Words) -> float:
    """Return how far apart two words are drawn, in pixels; 0 or less where they overlap."""
    across = abs(one[0] - other[0]) - 3.5 * (one[2] + other[2])
    return max(across, abs(one[1] - other[1]) - 12)


def placed(taken: list[Words], *choices: list[Words]) -> tuple[Words, ...]:
    """Choose one of each list's places: no words on each other first, then as far as can be from the rest."""

    def clear(chosen: tuple[Words, ...]) -> tuple[float, float]:
        among = min(apart(one, other) for one, other in itertools.combinations(chosen, 2))
        rest = min(apart(one, other) for one in chosen for other in taken)
        return min(among, 1), min(among, rest)

    return max(itertools.product(*choices), key=clear)


def near(value: float, stops: tuple[float, ...]) -> float:
    """Return the stop that is nearest to the value."""
    return min(stops, key=lambda stop: abs(stop - value))


def log_percent(low: float, high: float, title: str) -> Axis:
    """Make a logarithmic axis of per cent."""
    ticks = [10.0**k for k in range(int(np.ceil(np.log10(low))), int(np.log10(high)) + 1)]
    return fig.log_axis(low, high, title, ticks, words=[f"{tick:g}%" for tick in ticks])


# ---- the first page's small picture --------------------------------------------------------------------


def thumbnail(values: Values) -> Figure:
    """Draw the unit circle and the ellipse that it becomes; the batch size is how many arrows are drawn."""
    across, up = matrix(2.0, 0.7) @ CIRCLE
    every = np.radians(np.arange(min(values["batch_size"], 24)) * 360 / min(values["batch_size"], 24))
    tips = matrix(2.0, 0.7) @ np.stack([np.cos(every), np.sin(every)])
    spokes = [np.stack([np.zeros_like(tip), tip, np.full_like(tip, np.nan)], axis=1).ravel() for tip in tips]
    data = [
        fig.line(CIRCLE[0], CIRCLE[1], "unit circle", INK, width=1.5, dash="dash"),
        fig.line(spokes[0], spokes[1], "", fig.faded(COLOURS[0], 0.45), width=1),
        fig.line(across, up, "ellipse", BLUE, width=2),
        fig.line([0, 2 * at_angle(TURN_OUT)[0]], [0, 2 * at_angle(TURN_OUT)[1]], "σ", ORANGE, width=2.5),
    ]
    alt = "A dashed circle, and the ellipse that a matrix makes of it: twice as long one way, 0.7 the other."
    return fig.thumbnail(data, "A circle becomes an ellipse", alt, (-3.6, 3.6), (-2.1, 2.1), even=True)
