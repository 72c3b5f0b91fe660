"""The clinic of "Training and inference": three networks, tests, and what mends which."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib.lessons.clinic import REMEDIES
from bnlib.lessons.inference import expected_gap
from book import figure as fig
from book.chapter import Found, Light, Numbers, View
from book.charts import average, percent
from book.controls import Values
from book.figure import BLUE, INK, ORANGE, PAPER, Figure
from pages._inference_parts import SEEDS, STEP_BATCH, frame, pixels

PATIENTS = ("A", "B", "C")
FIXES = {
    "training": "recomputed on training data", "use": "recomputed on data in use",
    "cumulative": "momentum=None", "sync": "SyncBatchNorm", "group": "GroupNorm",
    "frozen": "trained on with frozen statistics",
}  # fmt: skip
SHORT = ("train", "in use", "None", "Sync", "Group", "frozen")
TESTS = {
    "training": ("eval", "eval_training"),
    "gap": ("gap_training", "gap"),
    "batches": ("train_own", "train"),
    "recalibrate": ("eval", "recomputed"),
}
TESTED = {
    "found": ("train()", "eval()"),
    "training": ("eval(), data in use", "eval(), training data"),
    "gap": ("from training data", "from data in use"),
    "batches": ("train(), own batches", "train(), batches of 64"),
    "recalibrate": ("eval(), as found", "eval(), recomputed"),
}


def picked(values: Values) -> tuple[str, str]:
    """Return patient and remedy of the cell that was clicked; at first those of C and the training data."""
    cell = values["cell"] if values["cell"] >= 0 else 2 * len(FIXES)
    return PATIENTS[cell // len(FIXES)], list(FIXES)[cell % len(FIXES)]


def clinic(values: Values, found: Found) -> View:
    """Show three networks that are good in train() and bad in eval(), tests, and what mends each."""
    hide = values["open"]
    exams: dict[str, Any] = {name: found.get(f"examine {name}") for name in PATIENTS}
    cured: dict[tuple[str, str], Any] = {
        (name, fix): found.get(f"{name} {fix}") for name in PATIENTS for fix in REMEDIES
    }
    for name, exam in exams.items():
        if exam is not None:
            again = cured[name, "training"]
            exams[name] = exam | {"recomputed": again["eval"] if again else np.full(SEEDS, np.nan)}
    # Every test says something about the answer: until it is given, only the complaint is shown.
    test = "found" if hide else values["test"]
    figures = {"test": _test(exams, test)}
    z = np.array(
        [[average(c["eval"]) if (c := cured[name, fix]) else np.nan for fix in REMEDIES] for name in PATIENTS]
    )
    patient, fix = picked(values)
    cell = len(FIXES) * PATIENTS.index(patient) + list(FIXES).index(fix)
    if not hide:
        figures["fixes"] = _fixes(z, cell)
    if any(exam is None for exam in exams.values()) or np.isnan(z).any() or not found.get("usual"):
        return View(
            figures=figures, waiting="The three networks are being tested, and every remedy is tried."
        )
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
        for key in ("gap", "gap_training"):
            numbers[f"{key}_{name}"] = float(np.mean(exams[name][key], axis=0).max())
    numbers |= {
        "pixel_mean": pixels()[0], "pixel_mean_in_use": 0.5 * pixels()[0] + 0.5, "pixel_var": pixels()[1],
        "average": (1 + 2 + 6) / 3, "moved": 0.0, "companions": 0.0,
        "usual_B": average(found["usual"]["eval"]),
    }  # fmt: skip
    kinds = {f"as found, {mode}()": [exams[name][mode] for name in PATIENTS] for mode in ("train", "eval")}
    if hide:
        text = "; ".join(
            f"{name}: {share:.0%} right in train(), {own:.0%} in eval()"
            for name, share, own in zip(PATIENTS, train, bad, strict=True)
        )
        return View(numbers, text + ".", figures, _table(kinds))
    text = f"{verdict(test, numbers)} {patient}, {FIXES[fix]}: {z.flat[cell]:.1%} right in eval()."
    kinds |= {key: [cured[name, key]["eval"] for name in PATIENTS] for key in REMEDIES}
    return View(numbers, text, figures, _table(kinds), lights=_watched(exams))


def _table(kinds: dict[str, list[Any]]) -> dict[str, Any]:
    """Return a row for each patient, remedy and seed."""
    return {
        "patient": [name for name in PATIENTS for _ in range(len(kinds) * SEEDS)],
        "remedy": [kind.replace(",", ":") for _ in PATIENTS for kind in kinds for _ in range(SEEDS)],
        "seed": np.tile(np.arange(SEEDS), len(PATIENTS) * len(kinds)),
        "right": np.concatenate([shares[row_] for row_ in range(len(PATIENTS)) for shares in kinds.values()]),
    }


def verdict(test: str, numbers: Numbers) -> str:
    """Say what a test tells about the three patients."""
    first, second = _findings(test)
    before, after = ({p: numbers[f"{key}_{p}"] for p in PATIENTS} for key in (first, second))
    if test == "gap":
        moved = [p for p in PATIENTS if after[p] > 2 * before[p]]
        late = [p for p in PATIENTS if p not in moved]
        fit, off = _listed(moved, before, ".2f"), _listed(late, before, ".2f")
        return (
            f"On training data the gap is small for {fit} and large for {off}, whose averages are wrong. On "
            f"data in use it is large for {_listed(moved, after, '.2f')}, too: these data have changed."
        )
    gain = [p for p in PATIENTS if after[p] > before[p] + 0.1]
    rest = [p for p in PATIENTS if p not in gain]
    if test == "training":
        return (
            f"On training data eval() is good for {_listed(gain, after)}: the averages are right, the data "
            f"in use differ. {_listed(rest, after)}: the averages are wrong."
        )
    changes = " and ".join(f"{p} improves from {before[p]:.0%} to {after[p]:.0%}" for p in gain)
    if test == "batches":
        own = "its own 4 samples are too noisy" if gain == ["B"] else "their own batches are too noisy"
        return f"With larger batches only {changes}: {own}."
    return f"Recomputed on training data, {changes}: {'their' if len(gain) > 1 else 'its'} averages were " + (
        f"wrong. {_listed(rest, after)}: these averages were right for the training data already."
    )


def _findings(test: str) -> tuple[str, str]:
    """Return the names of a test's two findings among the view's numbers."""
    first, second = TESTS[test]
    return first, "training" if second == "recomputed" else second


def _listed(names: list[str], values: dict[str, float], form: str = ".0%") -> str:
    return " and ".join(f"{name} ({values[name]:{form}})" for name in names)


def _worst_layer(gaps: Any) -> float:
    """Return the mean over seeds of the layer where it is largest."""
    return float(np.mean(gaps, axis=0).max())


def _test(exams: Any, test: str) -> Figure:
    """Draw a test's two findings for each patient."""
    first, second = ("train", "eval") if test == "found" else TESTS[test]
    data, told_, heights = [], [], []
    places = np.arange(len(PATIENTS))
    for key, name, colour, side in zip(
        (first, second), TESTED[test], (BLUE, ORANGE), (-0.2, 0.2), strict=True
    ):
        size = _worst_layer if test == "gap" else average
        own = [np.nan if exams[p] is None else size(exams[p][key]) for p in PATIENTS]
        said = [
            f"{p}, {name}: " + (f"{share:.2f} σ" if test == "gap" else f"{share:.1%} right")
            for p, share in zip(PATIENTS, own, strict=True)
        ]
        data.append(fig.bars(places + side, own, name, colour, alpha=0.75, width=0.36, meta={"says": said}))
        told_ += [one for one, share in zip(said, own, strict=True) if np.isfinite(share)]
        heights += [h for h in own if np.isfinite(h)]
    high = max([1.0, *heights]) * 1.08
    y = fig.axis(0, high, "running σ") if test == "gap" else percent()
    title = "Gap between the data’s means and the running means" if test == "gap" else "Right answers"
    alt = f"{title}. {'; '.join(told_) or 'Nothing is computed yet'}."
    x = fig.axis(-0.6, 2.6, "network", [0, 1, 2], words=list(PATIENTS))
    hint = "Of the layer with the largest gap." if test == "gap" else ""
    return fig.figure(data, title, alt, x, y, bargap=0, barmode="overlay", showlegend=True, hint=hint)


def _fixes(z: Any, cell: int) -> Figure:
    """Draw patients and remedies as a heat map whose cells can be clicked; patient A is on top."""
    order = z[::-1]
    notes = [
        fig.label(x, y, f"{order[y, x]:.0%}", INK if order[y, x] < 0.75 else PAPER, 13)
        for y in range(3)
        for x in range(len(SHORT))
        if np.isfinite(order[y, x])
    ]
    y, x = 2 - cell // len(SHORT), cell % len(SHORT)
    numbers = np.arange(z.size).reshape(z.shape)[::-1].ravel()
    says = [
        f"{name}, {fix}: " + (f"{share:.0%} right" if np.isfinite(share) else "not computed yet")
        for name, own in zip(PATIENTS[::-1], order, strict=True)
        for fix, share in zip(FIXES.values(), own, strict=True)
    ]
    meta = {"click": "cell", "values": [int(n) for n in numbers], "says": says}
    trace = fig.cells(order, 0, 1, [(0, PAPER), (1, BLUE)], "remedies", xgap=2, ygap=2, meta=meta)
    return fig.figure(
        [trace],
        "Right in eval() after each remedy", f"A table of right answers. {'; '.join(says)}.",
        fig.axis(-0.5, len(SHORT) - 0.5, "", list(range(len(SHORT))), words=list(SHORT), showgrid=False),
        fig.axis(-0.5, 2.5, "", [0, 1, 2], words=list(PATIENTS[::-1]), showgrid=False),
        annotations=notes, shapes=[frame(x - 0.5, y - 0.5, x + 0.5, y + 0.5)], margin=dict(fig.MARGIN, l=24),
        hint="train, in use: statistics recomputed on training data, on data in use. Then: momentum=None (a "
        "plain average of all steps), SyncBatchNorm, GroupNorm, 50 more steps with frozen statistics. Click "
        "a cell for its PyTorch.",
    )  # fmt: skip


def _watched(exams: Any) -> tuple[Light, ...]:
    normal = 2 * expected_gap(STEP_BATCH, 0.9)
    sizes = {p: float(np.mean(exams[p]["gap"], axis=0).max()) for p in PATIENTS}
    on = [p for p in PATIENTS if sizes[p] > normal]
    shown = ", ".join(f"{size:.2f} σ in {p}" for p, size in sizes.items())
    text = (
        f"{'Alarm' if on else 'No alarm'}: means of the data in use and running means differ by {shown}; up "
        f"to {normal:.2f} is normal for {STEP_BATCH} samples."
    )
    return (Light("gap", bool(on), text, "warning"),)
