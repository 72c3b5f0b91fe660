"""What the last scenes of "Small batches" show: fixes of a failing run, and what protocols confound."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import theory
from book import figure as fig
from book.chapter import Found, View
from book.charts import average, progress
from book.controls import Values
from book.figure import BLUE, COLOURS, GREEN, GRID, INK, ORANGE, PAPER, PURPLE, Axis, Figure, Trace
from pages._small_batches_parts import (
    EPOCH_RATE,
    EPOCH_SIZES,
    EPOCHS,
    NORM_COLOURS,
    SHADES,
    SIZES,
    STEP_BATCH,
    STEPS,
    errors_of,
    log_wrong_axis,
    marker,
    near,
    nearest_to,
    of_sizes,
    over_steps,
    size_axis,
    steps_of,
    wrong_axis,
)  # fmt: skip

FIXES = {  # by name: what it is called, and its colour; the order of the rows
    "asis": ("batches of 2", BLUE),
    "accumulate": ("gradients accumulated", BLUE),
    "recompute": ("statistics recomputed", BLUE),
    "renorm": ("batch renorm", COLOURS[7]),
    "frozen": ("statistics frozen", COLOURS[7]),
    "more": ("16 samples a device", BLUE),
    "sync": ("SyncBatchNorm", BLUE),
    "group": ("GroupNorm", PURPLE),
    "layer": ("LayerNorm", GREEN),
    "none": ("no norm", ORANGE),
}
ABOUT = {
    "asis": "64 devices have 2 samples each; every device normalizes with its own two.",
    "accumulate": "A step averages the gradients of four times as many pairs; the learning rate stays.",
    "recompute": "After training, eval() gets statistics of one pass over the training images.",
    "renorm": "Each device corrects its two numbers’ statistics towards the running ones (r ≤ 3, d ≤ 5).",
    "frozen": "Statistics of one pass over the data before training, kept fixed. In practice people take "
    "those of a pretrained network. They fit while weights change little.",
    "more": "Eight devices have 16 samples each: a mean of 16 instead of 2, the same 128 samples a step.",
    "sync": "All devices share one mean and one variance, those of 128 samples.",
    "group": "Each sample normalizes 8 groups of its own units; the batch plays no role.",
    "layer": "Each sample normalizes all of its own units; the batch plays no role.",
    "none": "The norms are left out, and biases take the place of β.",
}
BETWEEN = (4, 8)  # norm batches between those of the rows, which the cliff has trained
PAIRS = (("accumulate", "recompute"), ("more", "sync"), ("group", "none"))
NAMES = 95.0  # how far rows reach to the left of 0, in per cent: over their names
ROW = NAMES + 100.0  # per cent in a row, which is as wide as a cell of one column: 1
UNREPEATED = ("asis", "accumulate", "recompute", "renorm")  # two numbers share: rounding errors grow


def mend(values: Values, found: Found) -> View:
    """Show what each fix makes of the same failing run."""
    hide = values["open"]
    fix = "asis" if hide else values["fix"]
    cells: dict[str, Any] = {name: found.get(name) for name in FIXES}
    figures = {"fixes": _rows(cells, fix, hide), "curve": _learned(cells, fix)}
    between: dict[int, Any] = {m: found.get(f"m{m}") for m in BETWEEN}
    if any(cell is None for cell in (*cells.values(), *between.values())):
        return View(figures=figures, waiting=progress(found))
    at = {name: average(errors_of(cell)) for name, cell in cells.items()}
    gains = [np.mean([at["asis"] - at[name] for name in pair]) for pair in PAIRS]
    shared = {2: at["asis"], 16: at["more"]} | {m: average(errors_of(c)) for m, c in between.items()}
    bare = errors_of(cells["none"]) - errors_of(cells["group"])
    numbers = {f"error_{name}": error for name, error in at.items()} | {
        "pair": float(np.argmin(gains)), "error": at[fix], "gain": at["asis"] - at[fix],
        "gain_accumulate": at["asis"] - at["accumulate"], "gain_recompute": at["asis"] - at["recompute"],
        "passed": float(np.clip(np.mean(cells["asis"]["passed"]), 0, 1)), "bare": float(bare.mean()),
        # Up to which norm batch GroupNorm is better.
        "beaten": float(max((m for m, error in shared.items() if error > at["group"]), default=1)),
        # What the fixes' PyTorch prints.
        "x_hat": float(theory.pair_xhat(np.array(1.0), 1e-5)),
        "slope": float(theory.pair_slope(np.array(1.0), 1e-5)),
        "shared_mean": 3.0, "shared_var": 5.0, "shared": 16.0, "companions": 0.0,
        "moved": 0.0, "gain_relu": float(np.sqrt(2)), "running_mean": 3.0,
        "renorm_mean": 3.0,
    }  # fmt: skip
    name = FIXES[fix][0]
    text = f"{name[0].upper()}{name[1:]}: {at[fix]:.1f}% of the validation digits are wrong. {ABOUT[fix]}"
    if hide:
        return View(numbers, text, figures)
    kept = [name for name in FIXES if name not in UNREPEATED]
    table = {
        "fix": [FIXES[name][0] for name in kept],
        "wrong": np.array([at[name] for name in kept]),
    }
    return View(numbers, text, figures, table)


def _rows(cells: dict[str, Any], fix: str, hide: bool) -> Figure:
    """Draw a row for each fix: the mean, its seeds, and a bar from 0; all of a row can be clicked."""
    names = list(FIXES)
    places = {name: len(names) - 1 - row for row, name in enumerate(names)}
    shown = {n: errors_of(c) for n, c in cells.items() if c is not None and (n == "asis" or not hide)}
    shapes = [
        fig.area(
            0,
            places[name] - 0.3,
            float(errors.mean()) / ROW,
            places[name] + 0.3,
            fig.faded(FIXES[name][1], 0.4),
        )
        for name, errors in shown.items()
    ]
    shapes.append(fig.mark(0, places[fix] - 0.42, 100 / ROW, places[fix] - 0.42, INK, 1))
    shapes.append(fig.mark(0, places[fix] + 0.42, 100 / ROW, places[fix] + 0.42, INK, 1))
    says = [f"{FIXES[name][0]}: {errors.mean():.1f}% wrong" for name, errors in shown.items()]
    data: list[Trace] = [] if hide else [_clickable(shown, places, fix)]
    for name, errors in shown.items():
        dots = fig.dots(
            errors / ROW, [places[name]] * len(errors), FIXES[name][0], INK, size=4, hoverinfo="skip"
        )
        data.append(dots)
    means = [float(errors.mean()) / ROW for errors in shown.values()]
    colours = [FIXES[name][1] for name in shown]
    at = [places[name] for name in shown]
    data.append(fig.dots(means, at, "mean of 8 seeds", colours, size=11, meta={"says": says}))
    notes = []
    for name, errors in shown.items():
        end, shift = (errors.min(), -26) if float(errors.max()) > 80 else (errors.max(), 26)
        notes.append(fig.label(float(end) / ROW, places[name], f"{errors.mean():.0f}%", xshift=shift))
    ticks = list(range(len(names)))
    words = [FIXES[name][0] for name in names[::-1]]
    return fig.figure(
        data, "Wrong validation answers in eval() after training", f"Rows of errors. {'; '.join(says)}.",
        _wide(wrong_axis()), fig.axis(-0.6, len(names) - 0.4, "", ticks, words=words, showgrid=False),
        shapes=shapes, annotations=notes, height=320, margin=dict(fig.MARGIN, l=158),
        hint="Small dots: single seeds." if hide else "Click a row. Small dots: single seeds.",
    )  # fmt: skip


def _clickable(shown: dict[str, Any], places: dict[str, int], fix: str) -> Trace:
    """Make a cell for each row, as wide as its name and its bar: its place doesn't wait for its networks."""
    names = sorted(places, key=places.__getitem__)
    says = [
        f"{FIXES[name][0]}: " + (f"{shown[name].mean():.1f}% wrong" if name in shown else "not trained yet")
        for name in names
    ]
    z = [[1.0 if name == fix else np.nan] for name in names]
    meta = {"click": "fix", "values": names, "says": says}
    # The cell's left edge lies among the names: cells may be clicked beyond the axis.
    middle = [(100 - NAMES) / 2 / ROW]
    return fig.cells(z, 0, 1, [(0, PAPER), (1, GRID)], "fixes", x=middle, opacity=0.5, meta=meta)


def _wide(axis: Axis) -> Axis:
    """Measure an axis of per cent in rows."""
    return axis | {key: [value / ROW for value in axis[key]] for key in ("range", "tickvals")}


def _learned(cells: dict[str, Any], fix: str) -> Figure:
    """Draw how the networks of a fix learned, beside those without one and those of SyncBatchNorm."""
    own, asis = cells[fix], cells["asis"]
    curves = []
    if own is not None:
        curves.append((FIXES[fix][0], FIXES[fix][1], errors_of(own, "val", whole=True), "solid"))
    if asis is not None and fix != "asis":
        curves.append((FIXES["asis"][0], COLOURS[9], errors_of(asis, "val", whole=True), "dash"))
    steps = own["step"] if own is not None else asis["step"] if asis is not None else []
    return over_steps(curves, steps, "Wrong validation answers in eval(), while training")


# ---- two protocols ---------------------------------------------------------------------------------------


def protocols(values: Values, found: Found) -> View:
    """Show errors over the batch where only statistics change, and where steps and rate change, too."""
    hide = values["open"]
    fixed: dict[int, Any] = {size: found.get(f"m{size}") for size in SIZES}
    group = found.get("group")
    usual: dict[tuple[str, int], Any] = {}
    for norm in ("batch", "group"):
        for size in EPOCH_SIZES:
            usual[norm, size] = found.get(f"{norm}{size}")
    m = max(EPOCH_SIZES) if hide else near(values["batch"], EPOCH_SIZES)
    figures = {"fixed": _fixed(fixed, group, m, hide), "epochs": _usual(usual, m, hide)}
    if group is None or any(cell is None for cell in (*fixed.values(), *usual.values())):
        return View(figures=figures, waiting=progress(found))
    at = {key: average(errors_of(cell)) for key, cell in usual.items()}
    still = {size: average(errors_of(cell)) for size, cell in fixed.items()}
    most = max(EPOCH_SIZES)
    numbers = {
        "m": float(m), "steps": float(steps_of(m)), "rate": EPOCH_RATE * m / 64, "times": most / 2,
        "steps_64": float(steps_of(most)), "steps_2": float(steps_of(2)),
        "group": at["group", m], "group_64": at["group", most], "group_2": at["group", 2],
        "ratio": at["group", m] / at["group", most], "batch": at["batch", m],
        "batch_64": at["batch", most], "batch_16": at["batch", 16], "batch_2": at["batch", 2],
        "still": still[m], "still_16": still[16], "still_64": still[64],
        "still_group": average(errors_of(group)),
    }  # fmt: skip
    rate = f"{numbers['rate']:.4g}"
    text = (
        f"Two epochs, batch {m if hide else nearest_to(values['batch'], EPOCH_SIZES)}: "
        f"{numbers['steps']:.0f} steps at learning rate {rate}. GroupNorm is wrong on "
        f"{numbers['group']:.1f}%"
    )
    if hide:
        return View(numbers, text + ".", figures)
    text += (
        f", batch norm on {numbers['batch']:.1f}%. Equal steps of 128 samples, norm batch {m}: "
        f"{numbers['still']:.1f}%."
    )
    kept = [(norm, size) for norm, size in usual if norm == "group" or size > 4]
    table = {
        "norm": [norm for norm, _ in kept],
        "batch": np.array([size for _, size in kept]),
        "steps": np.array([steps_of(size) for _, size in kept]),
        "wrong": np.array([at[key] for key in kept]),
    }
    return View(numbers, text, figures, table)


def _fixed(cells: dict[int, Any], group: Any, m: int, hide: bool) -> Figure:
    """Draw errors where every step has as many samples and only the norm batch shrinks."""
    there = [(size, errors_of(cell)) for size, cell in cells.items() if cell is not None]
    data = of_sizes(there, "batch norm", BLUE)
    if group is not None:
        level = errors_of(group)
        data += of_sizes([(size, level) for size in (2, STEP_BATCH)], "GroupNorm", PURPLE)
    if m in cells and cells[m] is not None and not hide:
        data.append(marker(m, average(errors_of(cells[m])), "norm batch", control="batch"))
    told = "; ".join(f"m = {size}: {errors.mean():.1f}%" for size, errors in there)
    return fig.figure(
        data, f"Only the norm batch shrinks: {STEPS} steps of {STEP_BATCH}",
        f"Wrong answers over the norm batch. Batch norm: {told or 'nothing is computed yet'}.",
        size_axis(), log_wrong_axis(), showlegend=True, hint=SHADES,
    )  # fmt: skip


def _usual(cells: dict[tuple[str, int], Any], m: int, hide: bool) -> Figure:
    """Draw errors where step and norm have the same batch, for equal epochs."""
    data, said = [], []
    for norm, name in (("batch", "batch norm"), ("group", "GroupNorm")):
        there = [
            (size, errors_of(cells[norm, size]))
            for size in EPOCH_SIZES
            if cells[norm, size] is not None and (not hide or (norm == "group" and size == m))
        ]
        data += of_sizes(there, name, NORM_COLOURS[norm])
        said += [f"{name}, batch {size}: {errors.mean():.1f}%" for size, errors in there]
    if cells["group", m] is not None and not hide:
        data.append(marker(m, average(errors_of(cells["group", m])), "batch size", control="batch"))
    return fig.figure(
        data, f"{EPOCHS} epochs, learning rate proportional to the batch",
        f"Wrong answers over the batch size. {'; '.join(said) or 'Nothing is computed yet'}.",
        size_axis("batch size", EPOCH_SIZES), log_wrong_axis(), showlegend=True,
        hint=SHADES if hide else "Drag the large dot.",
    )  # fmt: skip
