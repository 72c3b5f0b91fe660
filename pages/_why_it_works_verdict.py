"""The last scene: what each explanation has for it and against it, measured by the other scenes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bnlib.experiments import found as experiments
from bnlib.experiments.intervals import Interval, paired
from bnlib.experiments.model import Race
from book import figure as fig
from book.chapter import Board, Cell, Found, Numbers, Row, View
from book.charts import average, progress
from book.controls import Values
from book.figure import COLOURS, GREEN, INK, ORANGE, Figure
from book.race.evidence import race_address
from book.words import brief
from pages._why_it_works_loss import late, turned
from pages._why_it_works_parts import (
    FACTORS,
    FULL,
    LONG,
    VOTES,
    early_loss,
    loss_range,
    right,
    tells,
    times,
    typical,
    whole,
)  # fmt: skip

TABLE = ("loss: none / noisy norm", "loss: noisy / batch norm")  # what a script computes in seconds
COLUMNS = ("Does it happen?", "Does the lead need it?", "Where it ends")
HERE = "why-it-works?scene="
LEVELS = (
    ("good", GREEN, "supports it"),
    ("warning", ORANGE, "speaks against it"),
    ("", COLOURS[9], "neither"),
)


class Trial(NamedTuple):
    """A measured factor, and what it says of an explanation.

    why : the explanation; column : of the board
    supports : whether a factor above 1 supports it; None: it does neither, and tells a limit
    name : in the picture; needs : the jobs of what is measured and mentioned
    address : of the scene or the experiment
    above, below : what is said if the factor is clearly above 1, or clearly below
    """

    why: str
    column: int
    supports: bool | None
    name: str
    needs: tuple[str, ...]
    address: str
    above: str
    below: str


TRIALS = (
    Trial("steady", 0, True, "drift: none / batch norm", ("none 0.5", "batch 0.5"), f"{HERE}steady",
         "Yes: at rate 0.5 inputs drift {0} times as far without a norm.",
         "No: inputs drift {0} times as far without a norm."),
    Trial("steady", 1, False, "loss: none / noisy norm", ("none", "noisy"), f"{HERE}noise",
         "No: with noise its inputs move {moved} times as far as without a norm; the loss is still {0} times "
         "lower.",
         "Perhaps: with noise the lead is lost (loss without a norm × {0})."),
    Trial("smooth", 0, True, "range: none / batch norm", ("smooth none", "smooth batch"),
         f"{HERE}smooth",
         "Yes: in training the range is {0} times as large without a norm.",
         "No: in training the range without a norm is {0} times that with one."),
    Trial("smooth", 1, None, "loss: none / layer norm", ("smooth none", "smooth layer", "smooth batch"),
         f"{HERE}smooth",
         "Not settled: layer norm is in between. Its range is {rough} times batch norm’s, its loss {0} times "
         "lower than without a norm.",
         "Not settled: layer norm, {rough} times as rough, has no lead (loss without a norm × {0})."),
    Trial("smooth", 2, False, "range at step 0: batch / none", ("smooth none", "smooth batch"),
         "training-lab?experiment=E7",
         "Before the first step the range is {0} times as large with batch norm. Very deep networks: "
         "experiment E7.",
         "Before the first step the range with batch norm is {0} times that without."),
    Trial("length", 0, True, "turn: weights × 1 / × 3", ("midway batch",), f"{HERE}length",
         "Yes: weights × 3 leave the outputs as they are, and a step turns them {0} times less.",
         "No: a step turns longer weights {0} times less."),
    Trial("length", 2, None, "loss: weights × 3 / × 1", ("midway batch",), f"{HERE}length",
         "The length still sets the speed: with weights × 3 the loss is {0} times as large 60 steps later.",
         "The length still sets the speed: with weights × 3 the loss is {0} times as large 60 steps later."),
    Trial("noise", 0, None, "loss: noisy / batch norm", ("noisy", "batch", "company"), f"{HERE}noise",
         "Yes: a digit’s x̂ varies by {company} from batch to batch. But added noise makes the loss {0} "
         "times as large.",
         "Yes: a digit’s x̂ varies by {company} from batch to batch. Added noise: loss × {0}."),
    Trial("noise", 1, False, "full batch: none / batch norm", ("whole none", "whole batch"), "",
         "No: with the same 256 digits in each step nothing is random; the loss is still {0} times lower.",
         "Perhaps: with the same 256 digits in each step the lead is gone (loss × {0})."),
)  # fmt: skip


def factors(found: Found) -> dict[str, Interval]:
    """Return each test's factor with its interval, by name, where its jobs are done."""
    measured: Mapping[str, Any] = {
        "drift: none / batch norm": lambda a, b: (a["drift"], b["drift"]),
        "loss: none / noisy norm": lambda a, b: (early_loss(a), early_loss(b)),
        "range: none / batch norm": lambda a, b: (typical(a), typical(b)),
        "loss: none / layer norm": lambda a, b, _: (late(a), late(b)),
        "range at step 0: batch / none": lambda a, b: (loss_range(b)[:, 0], loss_range(a)[:, 0]),
        "turn: weights × 1 / × 3": lambda a: (np.ones(1), turned(a, False)[FACTORS.index(3.0)]),
        "loss: weights × 3 / × 1": lambda a: tuple(
            a["stay"][FACTORS.index(factor)][:, -20:].mean(axis=1) for factor in (3.0, 1.0)
        ),
        "loss: noisy / batch norm": lambda a, b, _: (early_loss(a), early_loss(b)),
        "full batch: none / batch norm": lambda a, b: (late_loss(a), late_loss(b)),
    }
    known = {}
    for test in TRIALS:
        jobs = [found.get(name) for name in test.needs]
        if all(job is not None for job in jobs):
            known[test.name] = times(*measured[test.name](*jobs))
    return known


def late_loss(own: Any) -> Any:
    """Return the mean loss over the second half of training (R,)."""
    loss = own["loss"]
    return loss[:, loss.shape[1] // 2 :].mean(axis=1)


def level_gap(found: Found) -> Interval | None:
    """Return by how many points batch norm is ahead at learning rate 2, in the end."""
    pair: list[Any] = [found.get(f"{norm} 2") for norm in ("batch", "none")]
    if any(own is None for own in pair):
        return None
    batch, none = (right(own)[:, -1] for own in pair)
    return paired(100 * (batch - none))


def details(found: Found) -> Numbers:
    """Return what cells mention beside their factor."""
    numbers: Numbers = {}
    if (noisy := found.get("noisy")) is not None and (none := found.get("none")) is not None:
        numbers["moved"] = average(noisy["moved"]) / average(none["moved"])
    if (layer := found.get("smooth layer")) is not None and (batch := found.get("smooth batch")) is not None:
        numbers["rough"] = times(typical(layer), typical(batch)).mean
        numbers["layer_behind"] = times(late(layer), late(batch)).mean
    if (company := found.get("company")) is not None:
        numbers["company"] = average(company)
    return numbers


def cell(test: Trial, factor: Interval | None, more: Numbers) -> Cell:
    """Say what a test found; one that can't tell supports nothing."""
    if factor is None:
        return Cell("Being computed.", "", test.address)
    if not tells(factor):
        low, high = brief(factor.low), brief(factor.high)
        return Cell(f"No clear difference (× {low} to {high}).", "", test.address)
    above = factor.low > 1
    words = test.above if above else test.below
    text = words.format(brief(factor.mean), **{name: brief(value) for name, value in more.items()})
    levels = {None: "", above: "good", not above: "warning"}
    return Cell(text, levels[test.supports], test.address)


def _rate_cell(gap: Interval | None, found: Found) -> Cell:
    address = "training-lab?experiment=E5"
    if gap is None:
        return Cell("Being computed.", "", address)
    drift = times(found["none 2"]["drift"], found["batch 2"]["drift"]).mean
    text = f"At rate 2 inputs drift {brief(drift)} times as far without a norm; after {LONG} steps it is "
    level = abs(gap.mean) < 3
    text += f"{abs(gap.mean):.1f} points {'behind' if gap.mean > 0 else 'ahead'}."
    return Cell(text, "warning" if level and drift > 1 else "", address)


def _layer_cell(more: Numbers, found: Found) -> Cell:
    address = "training-lab?experiment=E19"
    layer, batch = found.get("smooth layer"), found.get("smooth batch")
    if layer is None or batch is None:
        return Cell("Being computed.", "", address)
    behind = times(late(layer), late(batch))
    alike = f"its loss is {brief(behind.mean)} times batch norm’s" if tells(behind) else "it is level here"
    return Cell(
        f"Not settled. Layer norm has it, too; {alike}. Weights of a bad size: experiment E19.", "", address
    )


def _regular_cell() -> Cell:
    """Say what experiment E17 has found of the noise of small norm batches, as it is kept."""
    kept = experiments.found("E17")
    rows = [row for row in kept["rows"] if row["what"] == "error at m=4 / at m=64"] if kept else []
    text = "It may act on what is learned, not on how fast: see experiment E17."
    if rows:
        fewer = f"{rows[0]['measured']:.2g} times the errors of 64 (experiment E17)"
        text = f"It acts on what is learned: with 30% wrong labels, norm batches of 4 have {fewer}."
    return Cell(text, "", "training-lab?experiment=E17")


def board(values: Values, found: Found, known: Mapping[str, Interval]) -> Board:
    """Put the tests side by side, a row for each explanation."""
    more = details(found)
    others = {
        ("steady", 2): _rate_cell(level_gap(found), found),
        ("length", 1): _layer_cell(more, found),
        ("noise", 2): _regular_cell(),
    }
    cells = others | {(one.why, one.column): cell(one, known.get(one.name), more) for one in TRIALS}
    pair = Race("All samples in each step", (whole(values, "none"), whole(values, "batch")), FULL)
    if address := race_address(pair):
        cells["noise", 1] = cells["noise", 1]._replace(address=f"training-lab?{address}")
    if vote := values["vote"]:  # it goes along to the scenes of this chapter
        cells |= {
            place: one._replace(address=f"{one.address}&vote={vote}")
            for place, one in cells.items()
            if one.address.startswith(HERE)
        }
    names = {why: words for why, words in VOTES.items() if why}
    rows = (Row(words.capitalize(), tuple(cells[why, k] for k in range(3))) for why, words in names.items())
    return Board(COLUMNS, tuple(rows))


def _picture(known: Mapping[str, Interval], more: Numbers, narrow: bool) -> Figure:
    """Draw each test's factor with its interval."""
    shown = [(row, test) for row, test in enumerate(reversed(TRIALS)) if test.name in known]
    data, notes = [], []
    for level, colour, words in LEVELS:
        rows = [(row, known[t.name]) for row, t in shown if cell(t, known[t.name], more).level == level]
        ends_x = [value for _, f in rows for value in (f.low, f.high, np.nan)]
        ends_y = [value for row, _ in rows for value in (row, row, np.nan)]
        data.append(fig.line(ends_x, ends_y, "", colour, width=4, showlegend=False))
        data.append(fig.dots([f.mean for _, f in rows], [row for row, _ in rows], words, colour, size=10))
    low, high = 0.03 if narrow else 0.07, 30.0
    for row, test in shown:
        name = test.name if narrow else f"{test.why} · {test.name}"
        notes.append(fig.label(np.log10(low), row, name, INK, 10 if narrow else 12, xanchor="left"))
    told = "; ".join(f"{test.name}: {brief(known[test.name].mean)}" for _, test in reversed(shown))
    return fig.figure(
        data, "What each test found: a factor, with its 95% interval over 8 seeds",
        f"Dots. {told or 'Nothing is computed yet'}.", fig.log_axis(low, high, "factor; 1: no difference",
        (0.5, 1, 2, 5, 10, 20)),
        fig.axis(-0.6, len(TRIALS) - 0.2, "", (), showgrid=False), showlegend=True,
        shapes=[fig.mark(1, -0.6, 1, len(TRIALS) - 0.2, COLOURS[9], 1.5)], annotations=notes,
        hint="Colour: whether a test supports the explanation that it is about; the table says which one.",
        margin={"l": 14, "r": 14, "t": 10, "b": 44},
    )  # fmt: skip


def _ruling(vote: str, found: Board) -> str:
    """Say what the measurements say of an explanation, from its cells."""
    row = found.rows[[why for why in VOTES if why].index(vote)]
    happens, needed = row.cells[0].text.startswith("Yes"), row.cells[1].level
    first = "It happens here" if happens else "It does not show here"
    second = {
        "good": "and the test of whether the lead needs it speaks for it",
        "warning": "but a network without it has the lead, too",
    }.get(needed, "and whether the lead needs it is not settled")
    return f"{first}, {second}."


def verdict(values: Values, found: Found) -> View:
    """Put all measurements side by side, and say what they mean for the vote."""
    known = factors(found)
    shown = board(values, found, known)
    figures = {"tests": _picture(known, details(found), values.get("narrow", False))}
    waiting = progress(found)
    if waiting:
        return View(figures=figures, board=shown, waiting=waiting)
    levels = [one.level for row in shown.rows for one in row.cells]
    vote = values["vote"]
    if vote:
        text = f"Your vote: {VOTES[vote]}. {_ruling(vote, shown)}"
    else:
        text = "You have not voted; you still can, with the buttons “your vote”."
    against = [row.name.lower() for row in shown.rows if row.cells[1].level == "warning"]
    if against:
        text += f" Not needed for the lead in training loss: {', '.join(against)}."
    text += " No test here settles why batch norm works; each can only say what its lead does not need."
    numbers: Numbers = {
        "supports": float(levels.count("good")), "against": float(levels.count("warning")),
        "student": student_of(8), "seeds": 8.0,
    } | details(found)  # fmt: skip
    rows = [(test, known[test.name]) for test in TRIALS if test.name in TABLE]
    table = {
        "test": [test.name for test, _ in rows],
        "factor": np.array([one.mean for _, one in rows]), "low": np.array([one.low for _, one in rows]),
        "high": np.array([one.high for _, one in rows]),
    }  # fmt: skip
    return View(numbers, text, figures, table, board=shown)


def student_of(seeds: int) -> float:
    """Return Student's t of a 95% interval over so many seeds, from the interval of 1, -1, 1, -1, ..."""
    values = np.resize((1.0, -1.0), seeds)
    error = float(values.std(ddof=1)) / float(np.sqrt(seeds))
    return paired(values).high / error
