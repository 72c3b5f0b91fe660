"""Two real photographs, small and in colours, and how numbers without a natural range are shown as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import INK, Figure, Trace, axis, figure, label, picture

# (2, 61, 91, 3): averages over squares of 7 x 7 pixels of the photographs that ship with scikit-learn.
LEVELS: NDArray[np.uint8] = np.load(Path(__file__).parent.parent / "assets" / "photos.npy")
PHOTOS: NDArray[np.float64] = LEVELS / 255
ROWS, COLUMNS = LEVELS.shape[1:3]
NAMES = ("pagoda", "flower")
FILES = ("china.jpg", "flower.jpg")
CHANNEL_NAMES = ("red", "green", "blue")

WIDE, GAP = 100.0, 6.0  # of a picture in a figure's units: so that a place in it is a percentage
EDGE, HEAD = 4.0, 12.0  # around pictures, and for the name above one
PIXEL = WIDE / COLUMNS
TALL = ROWS * PIXEL
GREY, STEP = 128, 51  # how an output is shown: 0 is the middle grey, and 2.5 σ are 127 levels

SHOWN = "Shown as 128 + 51 · output: black is −2.5, full colour 2.5."


def levels(photo: ArrayLike) -> NDArray[np.uint8]:
    """Make levels from 0 to 255 of a photo from 0 to 1; what lies beyond is clipped."""
    return _bytes(255 * np.asarray(photo))


def output_levels(x_hat: ArrayLike) -> NDArray[np.uint8]:
    """Make levels of a norm's output by the rule `SHOWN`."""
    return _bytes(GREY + STEP * np.asarray(x_hat))


def _bytes(values: Any) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return found


def photo(pixels: NDArray[np.uint8], name: str = "", left: float = 0.0, top: float = 0.0) -> Trace:
    """Draw a photo that is WIDE units wide, and TALL ones tall where it has the photos' shape."""
    pixel = WIDE / pixels.shape[1]
    return picture(pixels, name, x0=left + pixel / 2, y0=top + pixel / 2, dx=pixel, dy=pixel)


def panels(
    pictures: list[tuple[str, NDArray[np.uint8]]],
    title: str,
    alt: str,
    before: int = 0,
    across: int = 0,
    **more: Any,
) -> Figure:
    """Put pictures beside each other, each with its name above it.

    before : so many pictures lie left of x = 0, so that a place in the next one, from 0 to 100, is its x
    across : pictures in a row; 0: all of them
    more : ``traces`` and ``notes`` are drawn over the pictures; all else is the figure's
    """
    across = across or len(pictures)
    data, words = [], []
    for number, (name, pixels) in enumerate(pictures):
        left = (number % across - before) * (WIDE + GAP)
        top = (number // across) * (TALL + HEAD)
        data.append(photo(pixels, name, left, top))
        words.append(label(left + WIDE / 2, top - 1, name, INK, 12, yanchor="bottom"))
    rows = -(-len(pictures) // across)
    hidden: dict[str, Any] = {"ticks": (), "visible": False, "showgrid": False}
    start = -before * (WIDE + GAP) - EDGE
    x = axis(start, start + across * (WIDE + GAP) - GAP + 2 * EDGE, **hidden)
    y = axis(rows * (TALL + HEAD) - HEAD + EDGE, -HEAD, **hidden)
    data += more.pop("traces", [])
    words += more.pop("notes", [])
    more = {"even": True, "margin": {"l": 4, "r": 4, "t": 4, "b": 4}} | more
    return figure(data, title, alt, x, y, annotations=words, **more)
