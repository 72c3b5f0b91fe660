"""The scene "Longer than any seen": steps that training never had, and whose statistics serve there."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib.data import LONGEST
from bnlib.experiments.intervals import Interval, paired
from bnlib.lessons import sequences
from bnlib.lessons.sequences import ASKED, LENGTHS
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, progress
from book.controls import Control, Values
from book.figure import BLUE, COLOURS, INK, PAPER, Figure, Trace
from pages import _sequences_recurrent as nets
from pages._sequences_parts import SHADES, near
from pages._sequences_recurrent import ARMS, WIDTH
from pages._sequences_rscripts import LONGER, LONGER_TORCH, RECURRENT

ORDER = ("none", "layer", "counted", "eased")
MARGIN = 10.0  # points, from which on a difference is called one
TRAINED, END = LENGTHS.index(LONGEST), LENGTHS.index(ASKED)
DIGITS = 6  # that are drawn

CONTROLS = (
    Control(
        "length", "whole", ASKED, "length", "steps", LENGTHS[0], LENGTHS[-1],
        tuple(float(length) for length in LENGTHS), marks=LENGTHS,
        about="How many steps every test sequence has: the 8 rows of a digit, and blank rows between them. "
        "In training no sequence had more than 16.",
    ),
)  # fmt: skip


def jobs(values: Values) -> dict[str, Job]:
    """Return a training of each arm."""
    return nets.jobs(values, *ORDER)


@lru_cache(maxsize=16)
def drawn(length: int) -> Any:
    """Return a few sequences of a length below each other, (9 DIGITS - 1, length); NaN in between."""
    grid = np.full((9 * DIGITS - 1, length), np.nan)
    for k, one in enumerate(sequences.all_of(length)[:DIGITS]):
        grid[9 * k : 9 * k + 8] = one.reshape(length, 8).T
    return grid


def view(values: Values, found: Found) -> View:
    """Show sequences of a length, and how many are answered wrongly."""
    hide, narrow = values["open"], values.get("narrow", False)
    length = near(values["length"], LENGTHS)
    figures = {"samples": _samples(length, narrow)}
    shown = {"none": found.get("none")} if hide else {arm: found.get(arm) for arm in ORDER}
    figures["longer"] = _longer(shown, length)
    if not hide:
        figures["fit"] = _fit({arm: found.get(arm) for arm in ("counted", "eased")})
    text = f"Every test sequence has {length} steps; training had 8 to {LONGEST}."
    if any(found.get(arm) is None for arm in ORDER):
        return View(figures=figures, text=text, waiting=progress(found))
    at = LENGTHS.index(length)
    errors = {arm: found[arm]["longer"] for arm in ORDER}
    gap = paired(errors["counted"][:, at] - errors["layer"][:, at])
    end = paired(errors["counted"][:, END] - errors["layer"][:, END])
    anew = paired(errors["counted"][:, END] - found["counted"]["anew"])
    masked = paired(errors["eased"][:, END] - errors["counted"][:, END])
    numbers = {"length": float(length), "side": side(end), "gap": end.mean, "masked": masked.mean,
               "gap_low": end.low, "gap_high": end.high, "anew": average(found["counted"]["anew"]),
               "anew_eased": average(found["eased"]["anew"]),
               "spread": average(found["counted"]["spread"][:, LONGEST:]),
               "spread_eased": average(found["eased"]["spread"][:, LONGEST:]),
               "offset": average(found["counted"]["offset"][:, LONGEST:]),
               "offset_eased": average(found["eased"]["offset"][:, LONGEST:])}  # fmt: skip
    for arm in ORDER:
        numbers |= {
            f"error_{arm}": average(errors[arm][:, at]), f"end_{arm}": average(errors[arm][:, END]),
            f"trained_{arm}": average(errors[arm][:, TRAINED]),
        }  # fmt: skip
    if hide:
        return View(numbers, text, figures)
    text += f" Batch norm − layer norm: {nets.said(gap)}."
    notes = {
        "longer": f"At {ASKED} steps, padding masked (eps = 0.1) − counted: {nets.said(masked)}.",
        "fit": f"At steps 17 to {ASKED}: mean {numbers['offset']:.2f} and deviation {numbers['spread']:.2f} "
        f"with padding counted, {numbers['offset_eased']:.2f} and {numbers['spread_eased']:.2f} with padding "
        f"masked. Errors with statistics of step 16 − with those of these very sequences: {nets.said(anew)}.",
    }  # fmt: skip
    seen = [int(step <= LONGEST) for step in LENGTHS]
    table = {"length": list(LENGTHS), "seen_in_training": seen}
    return View(numbers, text, figures, table, notes=notes)


def side(gap: Interval) -> float:
    """Return 1 if what comes first errs more by MARGIN points or more, -1 if it errs less, 0 in between."""
    return float(np.sign(gap.mean)) if abs(gap.mean) >= MARGIN else 0.0


def _samples(length: int, narrow: bool) -> Figure:
    """Draw digits as sequences of this length, and where training ended."""
    grid = drawn(length)
    scale = ((0.0, PAPER), (1.0, INK))
    data = [fig.cells(grid, 0, 1, scale, "digits", x=np.arange(1, length + 1), hoverinfo="skip")]
    end = LONGEST + 0.5
    marks = [fig.mark(end, -1, end, len(grid), BLUE, 2.0, dash="dash")]
    notes = [fig.label(end + 0.3, -3.5, "no step in training from here on", BLUE, xanchor="left")]
    notes = notes if not narrow else [fig.label(end, -3.5, "never seen", BLUE, xanchor="left", xshift=4)]
    last = LENGTHS[-1] + 0.7
    return fig.figure(
        data, f"Digits as sequences of {length} steps", f"{DIGITS} digits, each over {length} steps.",
        fig.axis(0.3, last, "step", [1, 8, 16, 24, 32], showgrid=False),
        fig.axis(len(grid) + 0.5, -6, "", [], visible=False, showgrid=False), shapes=marks, annotations=notes,
        height=190 if narrow else 230, margin={"l": 8, "r": 8, "t": 4, "b": 40},
        hint="A column is one row of a digit; blank columns are pauses.",
    )  # fmt: skip


def _longer(found: dict[str, Any], length: int) -> Figure:
    """Draw errors over the length; a dot sets it."""
    data, said, at = list[Trace](), [], LENGTHS.index(length)
    top = 0.0
    for arm, run in found.items():
        if run is not None:
            name, colour, _ = ARMS[arm]
            data += over_seeds(LENGTHS, run["longer"], name, colour)
            said.append(f"{name}: {run['longer'][:, at].mean():.0f}%")
            top = float(run["longer"][:, at].mean())
    meta = {"drag": "length", "axis": "x", "says": [f"{length} steps"]}
    data.append(fig.dots([length], [top], "length", INK, size=15, alpha=0.5, showlegend=False, meta=meta))
    shade = fig.area(LONGEST, 0, LENGTHS[-1] + 1, 100, fig.faded(COLOURS[9], 0.2), layer="below")
    return fig.figure(
        data, "Wrong, by the length of all test sequences",
        f"Rising curves. At {length} steps {'; '.join(said) or 'nothing is computed yet'}.",
        fig.axis(7, LENGTHS[-1] + 1, "steps of each test sequence", list(LENGTHS)),
        nets.percents(0, 100, (0, 20, 40, 60, 80, 100)), shapes=[shade], showlegend=True,
        hint=f"Drag the large dot. Grey: longer than any in training. {SHADES}",
    )  # fmt: skip


def _fit(found: dict[str, Any]) -> Figure:
    """Draw for sequences of ASKED steps how well the statistics fit that inference takes."""
    data, said = list[Trace](), []
    x = np.arange(1, ASKED + 1)
    for arm, run in found.items():
        if run is not None:
            name, colour, _ = ARMS[arm]
            data += over_seeds(x, run["spread"], f"deviation, {name.removeprefix('batch norm, ')}", colour)
            data.append(fig.line(x, run["offset"].mean(axis=0), "size of the mean", colour, dash="dash",
                                 width=1.5, showlegend=False))  # fmt: skip
            said.append(f"{name}: deviation {run['spread'][:, -1].mean():.2f} at step {ASKED}")
    shade = fig.area(LONGEST + 0.5, 0, ASKED + 0.5, 2, fig.faded(COLOURS[9], 0.2), layer="below")
    return fig.figure(
        data, f"x̂ in inference, {ASKED} steps",
        f"Deviations near 1 fit. {'; '.join(said) or 'Nothing is computed yet'}.",
        fig.axis(0.5, ASKED + 0.5, "step", [1, 8, 16, 24]), fig.axis(0, 2, "of x̂"),
        shapes=[shade], showlegend=True, place="side", height=230,
        hint="Statistics that fit give 1 (lines) and 0 (dashed: size of the mean). Means over seeds.",
    )  # fmt: skip


SCENE = Scene(
    "longer", "Longer",
    f"In training no sequence has more than {LONGEST} steps, so batch norm has no statistics for step 17; "
    f"those of step 16 serve. Test sequences have {ASKED}. How often is it wrong, compared with layer norm?",
    (
        Choice("far more often", 1.0,
               "Statistics of step 16 could be wrong at step 17. They fit as long as the state has settled."),
        Choice("about as often, within 10 points", 0.0),
        Choice("far less often", -1.0,
               "Its fixed averages can’t be upset by a blank row. But the state is what forgets."),
    ),
    "side", {}, {"length": ASKED},
    "Batch norm (padding counted): {end_counted:.0f}% wrong. Layer norm: {end_layer:.0f}%. Difference "
    "{gap:+.1f} points (95% interval {gap_low:+.1f} to {gap_high:+.1f}).",
    f"At steps 17 to {ASKED} x̂ has a deviation of {{spread:.2f}} (1 would fit). With the statistics of these "
    "very sequences at each step {anew:.0f}% would be wrong. The task itself is harder: without any norm "
    "{end_none:.0f}% are wrong, at 16 steps {trained_none:.0f}%.",
    "Step 16’s statistics must fit. With padding masked (eps = 0.1) they are of few sequences: "
    f"{{trained_eased:.0f}}% wrong at 16 steps, {{end_eased:.0f}}% at {ASKED}. With statistics of these very "
    "sequences {anew_eased:.0f}% would be wrong.",
    "Drag the length from 8 to 32: where do the curves part?",
    ("length", "sequences", "rate", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Write which module serves at which step."""
    return LONGER_TORCH.format(width=WIDTH, length=near(values["length"], LENGTHS))


def script(values: Values) -> str:
    """Train batch norm and layer norm again, and test them on longer sequences."""
    return RECURRENT + nets.given(values) + LONGER.replace("LENGTHS", str(LENGTHS))


PASSAGES = (
    Passage("Errors at lengths that training may never have had", sequences.longer),
    Passage("How well running statistics fit", sequences.fit),
)
