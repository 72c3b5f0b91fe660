"""What the scenes of "What it costs" share: settings, networks, the clock's words, a small picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.lessons import costs
from book import figure as fig
from book.charts import progress
from book.controls import Control, Values
from book.figure import BLUE, INK, ORANGE, Figure
from book.words import brief

DEPTH = 3
WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
SIZES = (8, 16, 32, 64, 128, 256)
NARROW, WIDE = 64, 1024
COMMON = ("batch", "layer", "group", "rms")  # norms that take means and variances of activations
LATER = " Let go: times are measured then."  # said while a finger moves
NAMES = {
    "batch": "batch norm", "layer": "layer norm", "group": "group norm", "instance": "instance norm",
    "rms": "RMS norm", "dyt": "dynamic tanh", "weight": "weight norm", "spectral": "spectral norm",
}  # fmt: skip

NORM = Control(
    "norm", "choice", "batch", "norm", choices=COMMON, names=tuple(NAMES[name] for name in COMMON),
    about="Which norm comes before each activation. All four subtract a mean, or divide by a root mean "
    "square, or both; they differ in which numbers share them. Group norm has 8 groups.",
)  # fmt: skip
WIDTH = Control(
    "width", "whole", NARROW, "width", "units of each hidden layer", 8, 1024, tuple(map(float, WIDTHS)),
    marks=(16, 64, 256, 1024),
    about=f"How many units each of the {DEPTH} hidden layers has. In PyTorch: the 64s of nn.Linear(64, 64).",
)  # fmt: skip
BATCH = Control(
    "batch", "whole", 32, "batch size", "samples in a step", 8, 256, tuple(map(float, SIZES)), marks=SIZES,
    about="How many samples a training step takes at once. In PyTorch: batch_size of DataLoader.",
)  # fmt: skip
AGAIN = Control(
    "again", "next", 0, "measure again", "takes new times", 0, 10_000,
    about="Takes all times of this scene once more. No two measurements give the same digits: other programs "
    "share the machine. What changes from one to the next isn’t the norm’s doing.",
)  # fmt: skip


def config_of(values: Values, **changes: Any) -> RunConfig:
    """Return the dense network that the settings describe."""
    chosen: dict[str, Any] = {
        "depth": DEPTH, "norm": values["norm"], "width": values["width"], "batch_size": values["batch"],
    }  # fmt: skip
    chosen |= changes
    return RunConfig(**chosen, groups=groups(chosen["width"]))


def groups(width: int) -> int:
    """Return group norm's groups: 8, or fewer where 8 doesn't divide the width."""
    return math.gcd(8, width)


def measured_on(*times: Any) -> str:
    """Say on what times were measured: results of measurements, the shown one first, None if not there yet.

    In the edition without a server, some come along and others are measured in the browser.
    """
    machines = list(dict.fromkeys(one["machine"] for one in times if one is not None))
    others = f" Other times: on {'; '.join(machines[1:])}." if machines[1:] else ""
    return f"Processor time on {machines[0]}.{others}" if machines else "Processor time, one thread."


def share(times: Mapping[str, Any], library: str = "") -> float:
    """Return which part of a training step the norm takes; ``library`` "torch_" for PyTorch's."""
    return float(1 - times[f"{library}training_bare"] / times[f"{library}training"])


def ratio(times: Mapping[str, Any], name: str) -> float:
    """Return a time with the norm over the one without; NaN where it wasn't measured."""
    return float(times[name] / times[f"{name}_bare"]) if name in times else float("nan")


def percent(part: float) -> str:
    """Write a share that a clock has measured: it has no third digit, and noise may put it below 0."""
    return "about 0%" if part < 0.005 else f"{part:.0%}"


def milliseconds(time: float) -> str:
    """Write a time."""
    return f"{brief(float(f'{time:.2g}'))} ms"


def missing(found: Mapping[str, Any], draft: bool) -> str:
    """Say what is still being measured; while a finger moves nothing is, see `LATER`."""
    return "" if draft else progress(found, "measurements done")


def thumbnail(values: Values) -> Figure:
    """Draw which share of a step's operations the norm has, over the width; the batch size is a dot on it."""
    widths = np.geomspace(8, 1024, 40)
    part = 1 / (1 + 6 * widths / costs.NORM_OPERATIONS)
    here = float(np.clip(values["batch_size"], 8, 1024))
    data = [
        fig.line(np.log2(widths), part, "norm’s share", BLUE, width=2.5),
        fig.line(np.log2(widths), 0 * widths, "", INK, width=1),
        fig.dots([np.log2(here)], [1 / (1 + 6 * here / costs.NORM_OPERATIONS)], "here", ORANGE, size=9),
    ]
    alt = "A falling curve: the norm’s share of a step’s operations, over the width of the layers."
    return fig.thumbnail(data, "The norm’s share", alt, (2.8, 10.2), (-0.03, 0.28))
