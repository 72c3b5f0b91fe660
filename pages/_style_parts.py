"""What the scenes of "Style" share: photos in another light, filters, and the first page's picture."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib.experiments.intervals import Interval, paired
from bnlib.lessons import style, style_digits
from bnlib.lessons.style import Light
from book import figure as fig
from book import photos
from book.controls import Values
from book.figure import BLUE, GREEN, ORANGE, PAPER, Figure

WINDOW = 24  # pixels across
TOP = 2  # the row of pixels where windows begin
ENDS = (14, 86)  # of a window's middle, in per cent of the width
FILTERS = tuple(f"{size}_{angle}" for size in ("fine", "coarse") for angle in style.ANGLES)
LINES = {0: "|", 45: "/", 90: "—", 135: "\\"}
FILTER_NAMES = tuple(
    f"{size}, {way}"
    for size in ("fine", "coarse")
    for way in ("vertical |", "rising /", "horizontal —", "falling \\")
)
TICKS = ("fine |", "/", "—", "\\", "coarse |", "/", "—", "\\")  # what fits below eight columns
SHORT = tuple(f"{size} {LINES[angle]}" for size in ("fine", "coarse") for angle in style.ANGLES)
SIGNED = ((0.0, ORANGE), (0.5, PAPER), (1.0, BLUE))
LEFT = ((0.0, PAPER), (1.0, ORANGE))

NORMS = ("none", "batch", "instance")
NORM_NAMES = {"none": "no norm", "batch": "batch norm", "instance": "instance norm"}
TINTS = {"none": ORANGE, "batch": BLUE, "instance": GREEN}
MOVED = 0.05  # σ: from here on an output counts as changed
INKS = style_digits.INKS


def light_of(values: Values, batch: bool = False) -> Light:
    """Return how the settings light a photo; in a ``batch``, without a tone curve and a shadow."""
    light = Light(values["brightness"], values["contrast"], values["cast"])
    return light if batch else light._replace(tone=values["tone"], shadow=values["shadow"] / 100)


def photo_of(values: Values) -> int:
    """Return the number of the photo that is chosen."""
    return photos.NAMES.index(values["photo"])


def left_edge(middle: float) -> int:
    """Return the first column of pixels of a window whose middle is at so many per cent of the width."""
    return int(np.clip(round(middle / photos.PIXEL - WINDOW / 2), 0, photos.COLUMNS - WINDOW))


@lru_cache(maxsize=2)
def responses(photo: int) -> Any:
    """Return each filter’s response at each pixel of a photo, (8, rows, columns)."""
    return style.responses(photos.PHOTOS[photo])


@lru_cache(maxsize=4)
def swap_of(content: int, space: str) -> tuple[Any, Any]:
    """Return the photo with its own gamma and beta, and with the other's, as features (scales, H, W, 3)."""
    own, other = photos.PHOTOS[content], photos.PHOTOS[1 - content]
    if space == "rgb":
        return own[None], style.swapped(own, other)[None]
    parts = style.scales(own)
    return parts, np.stack([style.swapped(a, b) for a, b in zip(parts, style.scales(other), strict=True)])


def near(ink: float) -> float:
    """Return the ink of a test that is nearest by its ratio."""
    return min(INKS, key=lambda one: abs(np.log(one / ink)))


def ahead(first: Any, second: Any) -> Interval:
    """Compare shares of right answers (R,) seed by seed, in points."""
    return paired(100 * (np.asarray(first) - np.asarray(second)))


def signed(number: float) -> str:
    """Write a number with its sign, which is a real minus."""
    return f"{number:+.1f}".replace("-", "−")


# ---- the first page's small picture --------------------------------------------------------------------


@lru_cache(maxsize=1)
def _small() -> tuple[Any, Any]:
    every = np.ascontiguousarray(photos.PHOTOS[0][::2, ::2])
    return photos.levels(every), style.normed(every[None])[0]


def thumbnail(values: Values) -> Figure:
    """Draw a photo, and beside it what instance norm makes of it with the first page's gamma and beta."""
    before, x_hat = _small()
    after = photos.output_levels(values["gamma"] * x_hat + values["beta"])
    data = [photos.photo(before, "photo"), photos.photo(after, "output", photos.WIDE + photos.GAP)]
    alt = (
        "A photo of a pagoda, and its output after instance norm with "
        f"γ = {values['gamma']:g} and β = {values['beta']:g}."
    )
    width = 2 * photos.WIDE + photos.GAP
    made = fig.thumbnail(data, "A photo after instance norm", alt, (0, width), (photos.TALL, 0), even=True)
    return made
