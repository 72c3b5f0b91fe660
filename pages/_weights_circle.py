"""The scene "The circle through W": an ellipse, its longest radius, and the arrow that finds it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib.lessons import weights
from bnlib.norms import weights as norms
from book import figure as fig
from book.chapter import Choice, Found, Passage, Scene, View
from book.controls import Control, Values, even_stops
from book.equations import Equation, row, told
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, Figure
from book.words import brief
from pages._weights_parts import (
    CIRCLE,
    TURN_IN,
    TURN_OUT,
    arrow,
    at_angle,
    matrix,
    plane_axes,
    ring,
    size_of,
)  # fmt: skip

ITERATIONS = 30
LISTED = 10  # iterations in the table
STRETCHES = even_stops(0.1, 2.5, 24)
ANGLE, FIRST, SECOND = 100.0, 2.0, 0.5
FINEST = 0.001  # degrees: what is less is rounding

CONTROLS = (
    Control(
        "angle", "number", ANGLE, "direction of v", "degrees", 0, 360, even_stops(0, 360, 72),
        marks=(0, 90, 180, 270, 360), resets=("iteration",),
        about="Where v points, a vector of length 1. Drag its tip around the circle. The power iteration "
        "starts from here.",
    ),
    Control(
        "first", "number", FIRST, "first stretch", "of W", 0.1, 2.5, STRETCHES, marks=(0.1, 1, 2),
        about="How far W stretches one direction: the first radius of the ellipse. The longer one of both "
        "radii is σ, the largest singular value of W.",
    ),
    Control(
        "second", "number", SECOND, "second stretch", "of W", 0.1, 2.5, STRETCHES, marks=(0.1, 1, 2),
        about="How far W stretches the direction at right angles to the first: the second radius of the "
        "ellipse, the other singular value of W.",
    ),
    Control(
        "divided", "choice", "W", "weights in use", choices=("W", "normed"), names=("W", "W / σ"),
        look="buttons",
        about="The matrix W as it is, or divided by its largest singular value σ: spectral norm. In PyTorch: "
        "torch.nn.utils.parametrizations.spectral_norm.",
    ),
    Control(
        "iteration", "step", 0, "iteration", "", 0, ITERATIONS,
        about="How many power iterations v has made: v goes through W, then back through W transposed, and "
        "is made length 1 again. In PyTorch: n_power_iterations.",
    ),
)  # fmt: skip


class Angle(Equation):
    """An angle in degrees; where it is tiny the formula says so instead of showing rounding."""

    def describe(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        tiny = self.value is not None and self.value < FINEST
        said = {"sign": "<", "shown": f"{FINEST}°"} if tiny else {}
        found = super().describe()
        return found | {"shown": f"{found['shown']}°"} | said


@lru_cache(maxsize=64)
def path(first: float, second: float, angle: float) -> weights.Path:
    """Return the power iteration from v at an angle."""
    return weights.iterated(matrix(first, second), at_angle(angle), ITERATIONS)


def view(values: Values, _: Found) -> View:
    """Show v on the unit circle, and where W takes circle and v."""
    hide = values["open"]
    first, second, k = values["first"], values["second"], values["iteration"]
    sigma, least = max(first, second), min(first, second)
    divisor = sigma if values["divided"] == "normed" and not hide else 1.0
    found = path(first, second, values["angle"])
    v = found.v[k]
    image = matrix(first, second) @ v / divisor
    share = least / sigma
    off = np.degrees(_off(found, first, second))
    law = np.degrees(np.arctan(np.tan(np.radians(off[0])) * share ** (2 * np.arange(ITERATIONS + 1))))
    numbers = {
        "first": first / divisor, "second": second / divisor, "sigma": sigma, "share": share,
        "longest": sigma / divisor, "thinnest": least / divisor, "area_kept": float(np.sqrt(share)),
        "stretch": float(found.sigma[k]) / divisor, "below": 100 * (1 - float(found.sigma[k]) / sigma),
        "before": float(found.sigma[0]), "off": float(off[k]), "off_start": float(off[0]),
        "off_law": float(law[k]), "left": share**2, "needed": _needed(found, sigma),
        "after_1": 100 * (1 - float(found.sigma[1]) / sigma),
        "after_2": 100 * (1 - float(found.sigma[2]) / sigma),
    }  # fmt: skip
    name = "W" if divisor == 1 and values["divided"] == "W" or hide else "W / σ"
    text = f"v has length 1, {name} v has length {brief(numbers['stretch'])}."
    figures = {"circle": _circle(found, k, hide, values), "ellipse": _ellipse(values, image, divisor, name)}
    if hide:
        return View(numbers, text, figures)
    text += (
        f" After {k} iteration{'' if k == 1 else 's'} v is {_degrees(numbers['off'])} away from the "
        f"direction that W stretches most, and |W v| is {brief(numbers['below'])}% below σ = {brief(sigma)}."
    )
    equation = Angle(
        "tangent", "angle φₙ between v and the direction stretched most, after n iterations",
        row("φₙ = arctan((s₂/s₁)²ⁿ tan φ₀)"), numbers["off_law"],
        (row("arctan(", told(share), f"²·{k}" if k else "⁰", " · tan ", told(float(off[0])), "°)"),
         *([row(told(numbers["off_law"]), "°")] if numbers["off_law"] >= FINEST else [])),
    )  # fmt: skip
    n = LISTED + 1
    table = {
        "iteration": np.arange(n), "v_1": found.v[:n, 0], "v_2": found.v[:n, 1],
        "length_of_Wv": found.sigma[:n],
    }  # fmt: skip
    note = (
        "σ is the longest radius of the ellipse, the largest singular value of W. |W v| comes within 1% of "
        f"it after {numbers['needed']:.0f} iteration{'' if numbers['needed'] == 1 else 's'} from this start. "
        "It is never above σ."
        if numbers["needed"] <= ITERATIONS
        else f"From this start |W v| isn’t within 1% of σ after {ITERATIONS} iterations: v starts at right "
        "angles to the long direction."
    )
    return View(numbers, text, figures, table, (equation,), notes={"ellipse": note})


def _degrees(angle: float) -> str:
    return f"{brief(angle)}°" if angle >= FINEST else f"less than {FINEST}°"


def _off(found: weights.Path, first: float, second: float) -> np.ndarray:
    """Return the angle in radians between each v and the direction that W stretches most; 0 for a circle."""
    if first == second:
        return np.zeros(len(found.v))
    along = at_angle(TURN_IN if first > second else TURN_IN + 90)
    across = np.array([-along[1], along[0]])
    angles: np.ndarray = np.arctan2(np.abs(found.v @ across), np.abs(found.v @ along))
    return angles


def _needed(found: weights.Path, sigma: float) -> float:
    """Count iterations until |W v| is within 1% of sigma; one more than there are, if it isn't."""
    near = np.flatnonzero(found.sigma >= 0.99 * sigma)
    return float(near[0]) if len(near) else float(ITERATIONS + 1)


def _circle(found: weights.Path, k: int, hide: bool, values: Values) -> Figure:
    """Draw v on the unit circle, where it came from, and the direction that is stretched most."""
    data, notes, narrow = [ring(1, "unit circle", COLOURS[9])], list[dict[str, Any]](), values.get("narrow")
    tip = found.v[k]
    first, second = values["first"], values["second"]
    if not hide and first != second:
        long = at_angle(TURN_IN if first > second else TURN_IN + 90)
        data.append(fig.line(
            [-1.25 * long[0], 1.25 * long[0]], [-1.25 * long[1], 1.25 * long[1]], "stretched most", ORANGE,
            dash="dash", width=1.5, hoverinfo="skip",
        ))  # fmt: skip
        end = (-1.3 if long @ tip > 0 else 1.3) * long  # away from v
        right, up = end[0] > 0, end[1] > 0
        notes.append(fig.label(
            (1.5 if right else -1.5) if narrow else end[0], end[1], "stretched most", ORANGE, 12,
            xanchor="left" if right != bool(narrow) else "right", yshift=10 if up else -10,
        ))  # fmt: skip
    start = found.v[0]
    if k:
        before = found.v[1:k]
        data.append(fig.dots(before[:, 0], before[:, 1], "iterations", BLUE, size=6, alpha=0.45))
        data += arrow(found.v[k], "v", BLUE, width=3, size=8)
    colour = fig.faded(BLUE, 0.5) if k else BLUE
    data += arrow(
        start, "start" if k else "v", colour, width=1.5 if k else 3, size=14,
        meta={"drag": "angle", "axis": "angle", "says": [f"v at {values['angle']:g} degrees"]},
    )  # fmt: skip
    notes.append(fig.label(1.22 * tip[0], 1.22 * tip[1], "v", BLUE, 14))
    title = f"v, after {k} iteration{'' if k == 1 else 's'}" if k else "v, of length 1"
    alt = f"A circle with the arrow v at ({brief(tip[0])}, {brief(tip[1])})."
    return fig.figure(
        data, title, alt, *plane_axes(1.4, bool(narrow)), annotations=notes, **size_of(values),
        hint="Drag the tip of v.",
    )  # fmt: skip


def _ellipse(values: Values, image: np.ndarray, divisor: float, name: str) -> Figure:
    """Draw what W makes of the unit circle; the ends of its two radii can be dragged while W is in use."""
    most = 2.8 if divisor == 1 and name == "W" else 1.4
    first, second = values["first"], values["second"]
    across = matrix(first, second) @ CIRCLE / divisor
    long = at_angle(TURN_OUT if first >= second else TURN_OUT + 90) * max(first, second) / divisor
    long = -long if long @ image > 0 else long  # beside the arrow, not under it
    data = [
        ring(1, "unit circle", COLOURS[9], dash="dot", width=1.5),
        fig.line(across[0], across[1], f"{name} times the circle", GREEN, hoverinfo="skip"),
        fig.line([0, long[0]], [0, long[1]], "longest radius", ORANGE, dash="dash", width=1.5,
                 hoverinfo="skip"),
        *arrow(image, f"{name} v", BLUE, width=3, size=8),
    ]  # fmt: skip
    for control, turn in (("first", TURN_OUT), ("second", TURN_OUT + 90)) if name == "W" else ():
        end = at_angle(turn) * values[control]
        meta = {"drag": control, "axis": "radius", "says": [f"the {control} radius: {values[control]:g}"]}
        more: dict[str, Any] = {"size": 13, "symbol": "square", "alpha": 0.7, "meta": meta}
        data.append(fig.dots([end[0]], [end[1]], f"{control} radius", INK, **more))
    longest, least = max(first, second) / divisor, min(first, second) / divisor
    alt = (
        f"An ellipse with radii {brief(longest)} and {brief(least)}, and the arrow {name} v, "
        f"{brief(float(np.linalg.norm(image)))} long."
    )
    out = image / max(float(np.linalg.norm(image)), 1e-12)
    wide = 22 if name == "W" else 34  # pixels from the tip to the middle of the words
    notes = [
        fig.label(
            long[0], long[1], f"longest: {brief(longest)}", ORANGE, 13, yshift=14 if long[1] > 0 else -14
        ),
        fig.label(image[0], image[1], f"{name} v", BLUE, 14, xshift=wide * out[0], yshift=20 * out[1]),
    ]
    hint = "Drag the squares, the ends of the radii." if name == "W" else "Choose W to drag its radii again."
    return fig.figure(
        data, f"{name} times the circle", alt, *plane_axes(most, values.get("narrow", False)),
        annotations=notes, hint=hint, **size_of(values),
    )  # fmt: skip


SCENE = Scene(
    "circle", "The circle through W",
    "W makes an ellipse of the unit circle, with radii 2 and 0.5. Spectral norm divides W by σ, its largest "
    "singular value: the longest radius. What does it make of the circle then?",
    (
        Choice("a circle: every direction keeps its length", 1.0,
               "That is what “normalized” sounds like. But one number divides all directions alike."),
        Choice("an ellipse with the circle’s area", "area_kept",
               "Some norms keep a size on average. This one looks at one direction only."),
        Choice("an ellipse whose longest radius is 1", 0.25),
    ),
    "thinnest", {}, {"divided": "normed"},
    "The radii became {longest} and {thinnest}: the longest is 1, the other one shrank, too.",
    "σ is the most that W stretches any direction. Divided by it, none is stretched by more than 1. The "
    "ellipse keeps its shape: {before_second} / {before_first} = {share}.",
    "σ has to be found first. A power iteration sends v through W and back through Wᵀ, and makes its length "
    "1 again; on the way W v has a direction, called u. The tangent of v’s angle to the direction stretched "
    "most falls to (s₂/s₁)² = {left} of itself. After one iteration |W v| is {after_1:.1f}% below σ, after "
    "two {after_2:.1g}%. If the radii are equal, v doesn’t turn; but then any v gives σ.",
    "Press play: v settles where W stretches most. Choose W, make the radii equal and play again.",
    ("angle", "first", "second", "divided", "iteration"),
)  # fmt: skip

PYTORCH = """\
import torch
from torch.nn.utils.parametrizations import spectral_norm

layer = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
layer.weight.data = torch.tensor({weight})
print("sigma =", torch.linalg.matrix_norm(layer.weight, 2).item())  # exact
spectral_norm(layer)  # 15 power iterations at once, one more at each call in train(), none in eval()
print("longest =", torch.linalg.svdvals(layer.weight)[0].item())
print("thinnest =", torch.linalg.svdvals(layer.weight)[1].item())
"""
PLAIN = """\
import torch

W = torch.tensor({weight}, dtype=torch.float64)
print("longest =", torch.linalg.svdvals(W)[0].item())  # also torch.linalg.matrix_norm(W, 2)
print("thinnest =", torch.linalg.svdvals(W)[1].item())
"""
SCRIPT = """\
import numpy as np


def turn(degrees):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


W = turn({turn_out}) @ np.diag([{first!r}, {second!r}]) @ turn({turn_in}).T
sigma, least = np.linalg.svd(W, compute_uv=False)
v, rows = turn({angle!r})[:, 0], []
for iteration in range({last} + 1):
    rows.append((iteration, *v, np.linalg.norm(W @ v)))
    u = W @ v / np.linalg.norm(W @ v)
    v = W.T @ u / np.linalg.norm(W.T @ u)
print("sigma =", sigma)
print("longest =", sigma / {divisor})
print("thinnest =", least / {divisor})
print("after_1 =", 100 * (1 - rows[1][3] / sigma))
print("iteration,v_1,v_2,length_of_Wv")
for row in rows[: {listed} + 1]:
    print(*row, sep=",")
"""


def pytorch(values: Values) -> str:
    """Write spectral norm of the scene's W in PyTorch."""
    weight = [[float(f"{entry:.6g}") for entry in line] for line in matrix(values["first"], values["second"])]
    return (PYTORCH if values["divided"] == "normed" else PLAIN).format(weight=weight)


def script(values: Values) -> str:
    """Write the ellipse and the power iteration with NumPy."""
    given = {name: values[name] for name in ("first", "second", "angle")}
    return SCRIPT.format(
        turn_in=TURN_IN, turn_out=TURN_OUT, last=ITERATIONS, listed=LISTED,
        divisor="sigma" if values["divided"] == "normed" else "1", **given,
    )  # fmt: skip


PASSAGES = (
    Passage("Power iteration: through W, back through W transposed", weights.iterated),
    Passage("Spectral norm (Miyato et al. 2018, Algorithm 1)", norms.spectral_norm),
)
