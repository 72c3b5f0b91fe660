"""What the scenes of "Training and inference" are drawn with."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib.data import load
from bnlib.lessons.inference import SHOWN, expected_gap
from bnlib.norms.running import RunningStats
from book import figure as fig
from book.batch import SOURCES
from book.chapter import Light, Numbers
from book.charts import WAITING, percent
from book.charts import bars as seed_bars
from book.controls import Values
from book.equations import Equation, row, told
from book.figure import BLUE, GREEN, INK, ORANGE, PURPLE, Figure

STEP_BATCH, SEEDS, DRAWS = 64, 4, 20
TRAIN, EVAL, ANEW = "train()", "eval()", "recomputed"
# The first that a name holds is its colour.
COLOURS = {
    ANEW: GREEN,
    TRAIN: BLUE,
    EVAL: ORANGE,
    "mixed": ORANGE,
    "layer norm": PURPLE,
    "instance norm": PURPLE,
}


def step_batch(values: Values) -> int:
    """Return how many samples a step has: where classes shall fill whole norm batches, 128."""
    return 2 * STEP_BATCH if values["scene"] == "one_class" else STEP_BATCH


SMALL_STEPS = 48


def small(values: Values) -> Figure:
    """Draw what the first page's unit feeds a running mean: means of batches of the size that is chosen."""
    return _followed(values["batch_size"])


@lru_cache(maxsize=32)
def _followed(size: int) -> Figure:
    steps = np.arange(SMALL_STEPS + 1)
    batches = SOURCES["digits"](np.random.default_rng([20, size]), size, SMALL_STEPS)
    means, variances = batches.mean(axis=0), batches.var(axis=0)
    stats, running = RunningStats.zeros(()), [0.0]
    for mean, variance in zip(means, variances, strict=True):
        stats = stats.update(mean, variance, size)
        running.append(float(stats.mean))
    data = [
        fig.dots(steps[1:], means, "mean of a batch", INK, size=4, alpha=0.5),
        fig.line(steps, running, "running mean", ORANGE, width=3),
    ]
    alt = f"Dots: means of {SMALL_STEPS} batches of {size}. A line that starts at 0: their running mean."
    title = "A running mean follows the means of batches"
    return fig.thumbnail(data, title, alt, (-1, SMALL_STEPS + 1), (-1.9, 0.15))


def conv_steps(step: int) -> int:
    """Return how long convolutional networks train: they learn more slowly, so four times as many steps."""
    return 4 * step


@lru_cache(maxsize=1)
def digits() -> Any:
    return load("digits", dtype="float64")


@lru_cache(maxsize=1)
def pixels() -> tuple[float, float]:
    """Return the mean pixel of the first 1,280 training images, and the variance in the first 64."""
    x = digits().x_train[:1280]
    return float(x.mean()), float(x[:64].var(axis=0).mean())


def bars(shares: dict[str, Any], title: str, narrow: bool, **more: Any) -> Figure:
    """Draw shares of right answers."""
    colours = [next((c for word, c in COLOURS.items() if word in name), BLUE) for name in shares]
    return seed_bars(shares, title, percent(), colours, narrow, **more)


def tiles(images: Any, columns: int, gutter: int = 1) -> Any:
    """Lay images (n, 64) out in rows of so many, ``gutter`` cells apart; row 0 is at the bottom."""
    rows, pitch = -(-len(images) // columns), 8 + gutter
    canvas = np.zeros((rows * 9 + 1, columns * pitch + 1))
    for place, image in enumerate(images):
        y, x = divmod(place, columns)
        canvas[y * 9 + 1 : y * 9 + 9, x * pitch + 1 : x * pitch + 9] = image.reshape(8, 8)
    return canvas[::-1]


def corner(place: int, columns: int, rows: int, gutter: int = 1) -> tuple[float, float]:
    """Return the lower left corner of a tile in cells."""
    y, x = divmod(place, columns)
    return x * (8 + gutter) + 0.5, (rows - 1 - y) * 9 + 0.5


def frame(x0: float, y0: float, x1: float, y1: float, width: float = 3) -> dict[str, Any]:
    """Draw an orange frame."""
    return {
        "type": "rect", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "line": {"color": ORANGE, "width": width},
    }  # fmt: skip


GUTTER = 4  # cells beside a digit, where a wrong answer is written


def answers(said: Any, mode: str, narrow: bool) -> Figure:
    """Draw the first validation digits; a wrong one is framed, and what was said stands beside the frame."""
    data, columns = digits(), 5 if narrow else 8  # a digit is about as wide as high
    rows = -(-SHOWN // columns)
    shapes, notes, wrong = [], [], 0
    for place, answer in enumerate([] if said is None else said):
        if answer != data.y_val[place]:
            x, y = corner(place, columns, rows, GUTTER)
            wrong += 1
            shapes.append(frame(x, y, x + 8, y + 8, 2))
            notes.append(fig.label(x + 10, y + 4, str(int(answer)), ORANGE, 13))
    z = tiles(data.x_val[:SHOWN], columns, GUTTER)
    hidden: Any = {"visible": False, "showgrid": False}
    title = f"{SHOWN} validation digits" + ("" if said is None else f" in {mode}: {wrong} wrong")
    hint = "A wrong digit is framed; the number beside it is the network’s answer." if wrong else ""
    return fig.figure(
        [fig.cells(z, 0, 1, name="digits", hoverinfo="skip")], title, f"{title}.",
        fig.axis(-0.5, z.shape[1] - 0.5, ticks=[], **hidden),
        fig.axis(-0.5, z.shape[0] - 0.5, ticks=[], **hidden),
        shapes=shapes, annotations=notes, margin={"l": 8, "r": 8, "t": 8, "b": 8}, hint=hint,
    )  # fmt: skip


def curves(run: Any, values: Values, hide: bool, low: float = 0.0) -> Figure:
    """Draw validation accuracy over training, with batch and with running statistics, and the playhead."""
    data: list[fig.Trace] = []
    step, told_ = values["step"], []
    names = {"val_accuracy_batch": TRAIN} | ({} if hide else {"val_accuracy": EVAL})
    for key, name in names.items():
        if run is None or key not in run:
            continue
        some = np.isfinite(run[key]).all(axis=0)
        x, y = run["step"][some], run[key][:, some]
        if not len(x):
            continue
        colour = COLOURS[name]
        dash = {"dash": "dash"} if name == EVAL else {}
        data += fig.band(x, y.min(axis=0), y.max(axis=0), colour)
        data.append(fig.line(x, y.mean(axis=0), name, colour, **dash))
        told_.append(f"{name} ends at {y[:, -1].mean():.1%} at step {int(x[-1])}")
    high = max(20, step)
    return fig.figure(
        data, "Right answers on validation digits",
        f"Curves of accuracy over steps. {'; '.join(told_) or 'Nothing is computed yet'}.",
        fig.axis(0, high * 1.04, "step"), percent(low), showlegend=True,
        hint="Lines: mean of 4 seeds. Shades: lowest to highest seed.",
        shapes=[fig.mark(step, low, step, 1.02, INK, 1, dash="dot")],
    )  # fmt: skip


def unfinished(run: Any, step: int) -> str:
    """Say how far a recording has come that has not reached the step of the slider."""
    if run is None or not len(run["step"]):
        return WAITING
    steps = run["step"]
    every, last = int(steps[1] - steps[0]) if len(steps) > 1 else 1, int(steps[-1])
    return f"{last} of {step} steps are computed." if last + every <= step else ""


def gap_light(gap: Any, momentum: float) -> tuple[Light, ...]:
    """Light a lamp where running and batch means differ by more than twice what sampling makes."""
    if gap is None:
        return ()
    size, normal = float(np.mean(gap, axis=0).max()), 2 * expected_gap(STEP_BATCH, momentum)
    on = size > normal
    text = (
        f"{'Alarm' if on else 'No alarm'}: batch and running means differ by {size:.2f} σ; up to "
        f"{normal:.2f} is normal for {STEP_BATCH} samples."
    )
    return (Light("gap", on, text, "warning"),)


def gap_numbers(gap: Any, momentum: float) -> Numbers:
    """Return the lamp's numbers."""
    if gap is None:
        return {}
    return {"gap": float(np.mean(gap, axis=0).max()), "gap_expected": expected_gap(STEP_BATCH, momentum)}


def raised(number: float, power: int) -> str:
    """Write a power: 0.999²⁰."""
    return f"{number:g}{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def start_left(momentum: float, steps: int) -> Equation:
    left, name = momentum**steps, "weight of the start after t steps, m: momentum"
    return Equation("left", name, row("mᵗ"), left, (row(raised(momentum, steps)), told(left)))
