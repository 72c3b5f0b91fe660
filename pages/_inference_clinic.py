"""The clinic of "Training and inference": three networks, tests, and what mends which."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib.clinic import REMEDIES
from bnlib.inference import expected_gap
from book import figure as fig
from book.chapter import Found, Light, View
from book.controls import Values
from book.figure import BLUE, INK, ORANGE, PAPER, Figure
from pages._inference_parts import SEEDS, STEP_BATCH, average, percent, pixels

PATIENTS = ("A", "B", "C")
HISTORIES = {"A": "20 steps", "B": "4 a device", "C": "washed out"}
FIXES = {
    "training": "recompute: training data", "use": "recompute: data in use", "cumulative": "momentum=None",
    "sync": "SyncBatchNorm", "group": "GroupNorm", "frozen": "frozen statistics",
}  # fmt: skip
TICKS = ("training data", "data in use", "None", "SyncBN", "GroupNorm", "frozen")
SHORT = ("train.", "in use", "None", "Sync", "Group", "frozen")
TESTS = {
    "gap": ("gap_training", "gap"),
    "training": ("eval", "eval_training"),
    "batches": ("train_own", "train"),
    "recalibrate": ("eval", "recomputed"),
}
TESTED = {
    "gap": ("from training data", "from data in use"),
    "training": ("eval(), data in use", "eval(), training data"),
    "batches": ("train(), own batches", "train(), batches of 64"),
    "recalibrate": ("eval(), as found", "eval(), recomputed"),
}


def picked(values: Values) -> tuple[str, str]:
    """Return patient and remedy of the cell that was clicked; at first those of C and the training data."""
    cell = values["cell"] if values["cell"] >= 0 else 2 * len(FIXES)
    return PATIENTS[cell // len(FIXES)], list(FIXES)[cell % len(FIXES)]


def clinic(values: Values, found: Found) -> View:
    """Show three networks that are good in train() and bad in eval(), tests, and what mends each."""
    hide, narrow = values["open"], values.get("narrow", False)
    exams: dict[str, Any] = {name: found.get(f"examine {name}") for name in PATIENTS}
    cured: dict[tuple[str, str], Any] = {
        (name, fix): found.get(f"{name} {fix}") for name in PATIENTS for fix in REMEDIES
    }
    for name, exam in exams.items():
        if exam is not None:
            again = cured[name, "training"]
            exams[name] = exam | {"recomputed": again["eval"] if again else np.full(SEEDS, np.nan)}
    test = "training" if hide and values["test"] == "recalibrate" else values["test"]
    figures = {"test": _test(exams, test, narrow)}
    z = np.array(
        [[average(c["eval"]) if (c := cured[name, fix]) else np.nan for fix in REMEDIES] for name in PATIENTS]
    )
    patient, fix = picked(values)
    cell = len(FIXES) * PATIENTS.index(patient) + list(FIXES).index(fix)
    if not hide:
        figures["fixes"] = _fixes(z, cell, narrow)
    if any(exam is None for exam in exams.values()) or np.isnan(z).any() or not found.get("usual"):
        return View(figures=figures, waiting="The patients are being examined, and every remedy is tried.")
    train, bad = (np.array([average(exams[name][key]) for name in PATIENTS]) for key in ("train", "eval"))
    worst = int(z[:, 0].argmin())
    numbers = {
        "uncured": float(worst) if z[worst, 0] < 0.8 * train[worst] else 3.0,
        "right": float(z.flat[cell]),
    }
    for row_, name in enumerate(PATIENTS):
        numbers |= {f"train_{name}": float(train[row_]), f"eval_{name}": float(bad[row_])}
        numbers |= {f"{fix_}_{name}": float(z[row_, k]) for k, fix_ in enumerate(REMEDIES)}
        numbers |= {f"{key}_{name}": average(exams[name][key]) for key in ("eval_training", "train_own")}
        numbers[f"gap_{name}"] = float(np.mean(exams[name]["gap"], axis=0).max())
    numbers |= {
        "pixel_mean": pixels()[0], "pixel_mean_in_use": 0.5 * pixels()[0] + 0.5, "pixel_var": pixels()[1],
        "average": (1 + 2 + 6) / 3, "moved": 0.0, "companions": 0.0,
        "usual_B": average(found["usual"]["eval"]),
    }  # fmt: skip
    text = "; ".join(
        f"{name}: {share:.0%} right in train(), {own:.0%} in eval()"
        for name, share, own in zip(PATIENTS, train, bad, strict=True)
    )
    table: dict[str, Any] = {"patient": list(PATIENTS), "train": train, "eval": bad}
    if not hide:
        text = f"{patient}, {FIXES[fix]}: {z.flat[cell]:.1%} right in eval() afterwards. " + text
        table |= {name: z[:, k] for k, name in enumerate(REMEDIES)}
    return View(numbers, text + ".", figures, table, lights=_watched(exams))


def _test(exams: Any, test: str, narrow: bool) -> Figure:
    """Draw a test's two findings for each patient."""
    first, second = TESTS[test]
    data = []
    told_, heights = [], []
    places = np.arange(len(PATIENTS))
    for key, name, colour, side in zip(
        (first, second), TESTED[test], (BLUE, ORANGE), (-0.2, 0.2), strict=True
    ):
        own = [np.nan if exams[p] is None else average(np.asarray(exams[p][key])) for p in PATIENTS]
        if test == "gap":
            own = [
                np.nan if exams[p] is None else float(np.mean(exams[p][key], axis=0).max()) for p in PATIENTS
            ]
        data.append(fig.bars(places + side, own, name, colour, alpha=0.75, width=0.36))
        told_ += [
            f"{p}, {name}: {share:.2f}" for p, share in zip(PATIENTS, own, strict=True) if np.isfinite(share)
        ]
        heights += [h for h in own if np.isfinite(h)]
    words = [p if narrow else f"{p}: {HISTORIES[p]}" for p in PATIENTS]
    high = max([1.0, *heights]) * 1.08
    y = fig.axis(0, high, "running σ") if test == "gap" else percent()
    title = {"gap": "Distance of the data's means from the running means, worst layer"}.get(
        test, "Right answers"
    )
    alt = f"{title}. {'; '.join(told_) or 'Nothing is computed yet'}."
    x = fig.axis(-0.6, 2.6, "", [0, 1, 2], words=words)
    return fig.figure(data, title, alt, x, y, bargap=0, barmode="overlay", showlegend=True)


def _fixes(z: Any, cell: int, narrow: bool) -> Figure:
    """Draw patients and remedies as a heat map whose cells can be clicked; patient A is on top."""
    names = SHORT if narrow else TICKS
    order = z[::-1]
    notes = [
        fig.label(x, y, f"{order[y, x]:.0%}", INK if order[y, x] < 0.75 else PAPER, 13)
        for y in range(3)
        for x in range(len(names))
        if np.isfinite(order[y, x])
    ]
    y, x = 2 - cell // len(names), cell % len(names)
    frame = {
        "type": "rect",
        "x0": x - 0.5,
        "x1": x + 0.5,
        "y0": y - 0.5,
        "y1": y + 0.5,
        "line": {"color": ORANGE, "width": 3},
    }
    numbers = np.arange(z.size).reshape(z.shape)[::-1].ravel()
    trace = fig.cells(order, 0, 1, [(0, "#ffffff"), (1, "#0072b2")], "remedies", xgap=2, ygap=2)
    done = "; ".join(
        f"{p}: {', '.join(f'{share:.0%}' for share in own)}" for p, own in zip(PATIENTS, z, strict=True)
    )
    return fig.figure(
        [trace | {"meta": {"click": "cell", "values": [int(n) for n in numbers]}}],
        "Right answers in eval() after each remedy, tried on each network",
        f"A table of right answers; columns {', '.join(FIXES.values())}. {done}.",
        fig.axis(-0.5, len(names) - 0.5, "", list(range(len(names))), words=list(names), showgrid=False),
        fig.axis(-0.5, 2.5, "", [0, 1, 2], words=list(PATIENTS[::-1]), showgrid=False),
        annotations=notes, shapes=[frame],
        hint="The first two recompute the statistics. Click a cell: its PyTorch stands below.",
    )  # fmt: skip


def _watched(exams: Any) -> tuple[Light, ...]:
    sampling = 2 * expected_gap(STEP_BATCH, 0.9)
    on = [p for p in PATIENTS if float(np.mean(exams[p]["gap"], axis=0).max()) > sampling]
    text = (
        f"The monitor: means of the data in use differ from the running means by more than {sampling:.2f} "
        f"running σ, twice what batches of 64 scatter, in {', '.join(on) or 'none of them'}."
    )
    return (Light("gap", bool(on), text, "warning"),)
