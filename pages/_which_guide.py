"""The scene "Your network": a few choices, and a norm with its reasons, evidence and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib.experiments.intervals import Interval, paired
from bnlib.experiments.model import Race
from bnlib.lessons import which
from book import figure as fig
from book.chapter import Board, Cell, Choice, Found, Job, Numbers, Passage, Row, Scene, View
from book.charts import average, progress
from book.controls import Control, Values, seeds
from book.figure import BLUE, COLOURS, GREEN, INK, PAPER, PURPLE, Figure
from pages._which_rules import BATCHES, DATA, KINDS, Rule, rule_of
from pages._which_runs import (
    ACCUMULATED,
    BEST,
    NAMES,
    REMEDIES,
    TINTS,
    arms_of,
    chaotic,
    config_of,
    jobs_of,
    rate_of,
    steps_of,
)
from pages._which_scripts import GUIDE, GUIDE_TORCH

ASKED = ("batch", "lower", "accumulated", "layer")  # what the question compares
ENOUGH = 16  # samples, from which on nothing is given away
MAP = {
    "batch": BLUE, "layer": GREEN, "layer / RMS": GREEN, "group": PURPLE, "instance": COLOURS[5],
    "spectral": COLOURS[7], "frozen": COLOURS[6],
}  # fmt: skip

CONTROLS = (
    Control(
        "built", "choice", "dense", "you build", choices=tuple(KINDS), names=tuple(KINDS.values()),
        look="buttons",
        about="What kind of network it is. Transformer: blocks that add to a residual stream. GAN: its "
        "discriminator, which tells real from generated. Style: style transfer, or a generator whose style "
        "is chosen.",
    ),
    Control(
        "batch", "whole", 32, "batch per device", "samples", 1, 64, BATCHES,
        marks=(1, 2, 8, 64),
        about="How many samples of a step are on one device; 64 means 64 or more. Only they share "
        "statistics: accumulating gradients over steps, or over devices, doesn’t change that.",
    ),
    Control(
        "data", "choice", "shuffled", "your batches", choices=tuple(DATA), names=tuple(DATA.values()),
        look="buttons",
        about="Shuffled: a batch is a fair sample of what inference will see. One by one: online learning, "
        "one sample at a time. Of one kind: sorted by class, patient, day or camera. Fine-tuning: few new "
        "samples for a pretrained network.",
    ),
)  # fmt: skip


def place(values: Values) -> tuple[str, int, str]:
    """Return kind, batch and data; while the question is open, batches that are large enough."""
    kind, batch, data = values["built"], int(values["batch"]), values["data"]
    batch = max(stop for stop in BATCHES if stop <= batch)
    if values.get("scene") == "guide" and "guide" not in dict(values.get("guesses", ())):
        return kind, max(batch, ENOUGH), "shuffled"
    return kind, 1 if data == "online" else batch, data


def jobs(values: Values) -> dict[str, Job]:
    """Return the trainings of the reader's situation."""
    kind, batch, _ = place(values)
    return jobs_of(values, kind, batch)


def lab(values: Values) -> Race | None:
    """Return the same networks as lanes of the training lab."""
    kind, batch, _ = place(values)
    if kind == "style":
        return None
    arms = [norm for norm in arms_of(kind, batch) if norm not in REMEDIES]
    lanes = tuple(config_of(kind, norm, batch, **seeds(values)) for norm in arms)
    return Race(f"{KINDS[kind]}, batches of {batch}", lanes, steps_of(kind, batch))


def errors_of(kind: str, found: Found, arms: tuple[str, ...]) -> dict[str, Any]:
    """Return by arm what is compared, (R,): errors in per cent, or for style what is left; or None."""
    cells = {norm: found.get(norm) for norm in arms}
    if kind == "gan":  # the share that is missing to the best score, so that less is better, as elsewhere
        return {norm: None if own is None else 100 * (1 - own[0]) for norm, own in cells.items()}
    if kind == "style":
        return {norm: None if own is None else 100 * own for norm, own in cells.items()}
    return cells


WHAT = {"gan": "missing to the best score, %", "style": "contrast left, %"}


def view(values: Values, found: Found) -> View:
    """Show the answer, what small networks say of it, and where its evidence is."""
    hide, narrow = values["open"], bool(values.get("narrow"))
    kind, batch, data = place(values)
    arms = arms_of(kind, batch)
    cells = errors_of(kind, found, arms)
    figures = {"errors": _errors(kind, batch, cells, narrow)}
    if not hide:
        figures = {"answers": _map(kind, batch, data, narrow)} | figures
    rule = rule_of(kind, batch, data)
    numbers: Numbers = {"learned": float(rule.learned), "batch": float(batch)}
    board = None if hide else board_of(rule)
    if any(own is None for own in cells.values()):
        waiting = progress(cells)
        said = "" if hide else f"{rule.answer} {rule.because} "
        return View({}, "", figures, board=board, waiting=f"{said}{waiting}")
    numbers |= {f"error_{norm}": average(own) for norm, own in cells.items()}
    if kind != "style":
        numbers |= {f"rate_{n}": rate_of(kind, n, batch) for n in arms if n not in REMEDIES}
    if set(ASKED) <= set(cells):
        numbers["leader"] = float(np.argmin([average(cells[norm]) for norm in ASKED]))
        numbers["behind"] = min(average(cells[n]) for n in ASKED[:3]) - average(cells["layer"])
        numbers["fed"] = float(batch)
    text = _told(kind, batch, cells) if hide else f"{rule.answer} {_judged(rule, kind, batch, data, cells)}"
    return View(numbers, text, figures, _table(kind, batch, cells), board=board)


def board_of(rule: Rule) -> Board:
    """Put a rule's sentences beside the links to their evidence."""
    heads = ("Because", "But", "Second choice", "What would change it")
    says = (rule.because, rule.limit, rule.second, rule.change)
    levels = ("good", "warning", "", "")
    rows = [
        Row(head, (Cell(said, level), Cell(words[0].upper() + words[1:], "", address)))
        for head, said, level, (words, address) in zip(heads, says, levels, rule.evidence, strict=True)
    ]
    return Board(("The rule says", "See for yourself"), tuple(rows))


def _table(kind: str, batch: int, cells: dict[str, Any]) -> dict[str, Any]:
    means = [np.nan if chaotic(kind, norm, batch) else average(own) for norm, own in cells.items()]
    return {"norm": [NAMES[norm] for norm in cells], "percent": np.array(means)}


def _told(kind: str, batch: int, cells: dict[str, Any]) -> str:
    """Say what came out, without a judgement."""
    parts = ", ".join(f"{NAMES[norm]} {average(own):.1f}%" for norm, own in cells.items())
    what = {"gan": "Missing to the best score", "style": "Contrast left"}.get(kind, "Wrong answers")
    return f"{what} with batches of {batch}: {parts}. A smaller batch is shown once you have answered."


def _judged(rule: Rule, kind: str, batch: int, data: str, cells: dict[str, Any]) -> str:
    """Say whether the small networks support the rule: against batch norm, and against the best other arm."""
    own = {"layer / RMS": "layer"}.get(rule.norm, rule.norm)
    if own not in cells or data == "tuned":
        return (
            "No small network here is fine-tuned: the bars show networks that are trained from "
            f"the start with batches of {batch}."
        )
    what = {"style": "contrast left", "gan": "short of the best score"}.get(kind, "wrong")
    who = "Feature maps of digits" if kind == "style" else "Small networks"
    said = f"{who}, batches of {batch}: {NAMES[own]} {average(cells[own]):.1f}% {what}"
    named = (own, "rms") if rule.norm == "layer / RMS" else (own,)
    others = sorted((norm for norm in cells if norm not in named), key=lambda norm: average(cells[norm]))
    rivals = dict.fromkeys(norm for norm in ("batch", others[0]) if norm in others)
    if "rms" in named and "rms" in cells:
        said += f", {NAMES['rms']} {average(cells['rms']):.1f}%"
    for rival in rivals:
        lead = paired(cells[rival] - cells[own])
        said += f"; {NAMES[rival]} {average(cells[rival]):.1f}%, {_compared(lead)}"
    against = [norm for norm in rivals if paired(cells[norm] - cells[own]).high < 0]
    return f"{said}.{_doubts(kind) if against else ''}"


def _compared(lead: Interval) -> str:
    """Say how far a rival is behind the rule's norm, in points."""
    if not lead.clear:
        return f"no clear difference ({lead.low:+.1f} to {lead.high:+.1f} points)".replace("-", "−")
    low, high = sorted((abs(lead.low), abs(lead.high)))
    if high - low < 0.1:
        return "which supports the rule" if lead.mean > 0 else "which speaks against it"
    side = "which supports the rule" if lead.mean > 0 else "which speaks against it"
    return f"{side} (by {low:.1f} to {high:.1f} points)"


def _doubts(kind: str) -> str:
    early = "" if kind in ("gan", "style") else " and this is early in training"
    return f" These networks are small{early}: the rule rests on the evidence below."


def _errors(kind: str, batch: int, cells: dict[str, Any], narrow: bool) -> Figure:
    """Draw the errors of each norm: mean, its 95% interval, and the seeds."""
    rows = list(reversed(list(cells)))
    data, notes, told = [], [], []
    for row, norm in enumerate(rows):
        own = cells[norm]
        if own is None:
            notes.append(fig.label(2, row, "to come", COLOURS[9], 11, xanchor="left"))
            continue
        spread = paired(own)
        mean, low, high = spread.mean, max(spread.low, 0), min(spread.high, 100)
        data.append(fig.line([0, mean], [row, row], NAMES[norm], TINTS[norm], width=12 if narrow else 16))
        data.append(fig.line([low, high], [row, row], "95% interval", INK, width=2, hoverinfo="skip"))
        data.append(fig.dots(own, [row] * len(own), "one seed", INK, size=4, alpha=0.6))
        right = max(high, float(own.max()))
        notes.append(fig.label(right + 1.5, row, f"{mean:.1f}%", INK, 12, xanchor="left"))
        told.append(f"{NAMES[norm]}: {mean:.1f}%")
    title = "What is left of each image’s own contrast" if kind == "style" else "How small networks end"
    hint = {
        "style": "Feature maps of digits whose contrast is multiplied by 0.5 to 1.5; nothing is trained.",
        "gan": "A GAN on a ring of Gaussians; the norm is the discriminator’s, each at its best rate. Score: "
        "share of points near a Gaussian × share of Gaussians covered.",
    }.get(
        kind,
        f"Digits, {steps_of(kind, batch)} steps, each norm at its best rate among 6, chosen on 8 other "
        "seeds. Dots: 8 seeds. Lines: 95% intervals." if kind in BEST else "",
    )  # fmt: skip
    if any(norm in REMEDIES for norm in cells):
        hint += f" Grey: batch norm at a tenth of its rate; gradients of {ACCUMULATED} batches a step."
    margin = {"l": 92 if narrow else 112, "r": 14, "t": 10, "b": 44}
    return fig.figure(
        data, f"{title}, batches of {batch}", f"Bars. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, 108, WHAT.get(kind, "wrong answers, %"), [0, 20, 40, 60, 80, 100]),
        fig.axis(-0.6, len(rows) - 0.4, "", list(range(len(rows))), words=[NAMES[norm] for norm in rows],
                 showgrid=False), annotations=notes, margin=margin,
        height=70 + 40 * len(rows), hint=hint,
    )  # fmt: skip


def _map(kind: str, batch: int, data: str, narrow: bool) -> Figure:
    """Draw the answers of all networks and batches; the reader's place can be dragged."""
    rows = {name: len(KINDS) - 1 - k for k, name in enumerate(KINDS)}
    shapes, notes, told = [], [], []
    half = 2**0.5
    for name, row in rows.items():
        starts = [b for b in BATCHES if b == 1 or _answer(name, b, data) != _answer(name, b // 2, data)]
        for start in starts:
            same = [b for b in BATCHES if b >= start and _answer(name, b, data) == _answer(name, start, data)]
            end, answer = same[-1], _answer(name, start, data)
            tint = fig.faded(MAP[answer], 0.85 if name == kind else 0.45)
            shapes.append(fig.area(start / half, row - 0.44, end * half, row + 0.44, tint, layer="below"))
            middle = _beside(start, end, batch if name == kind else 0)
            notes.append(fig.label(middle, row, answer, INK if name != kind else PAPER, 11 if narrow else 13))
            told.append(f"{KINDS[name]}, {start} to {end}: {answer}")
    here = fig.dots(
        [batch], [rows[kind]], "you are here", INK, size=16, edge=PAPER,
        meta={} if data == "online" else {"drag": "batch", "axis": "x"},
    )  # fmt: skip
    words = [KINDS[name] for name in rows]
    return fig.figure(
        [here], f"Map of answers, batches: {DATA[data]}", f"A map. {'; '.join(told)}.",
        fig.log_axis(1 / half, 64 * half, "samples per device", BATCHES),
        fig.axis(-0.55, len(KINDS) - 0.45, "", list(rows.values()), words=words, showgrid=False),
        shapes=shapes, annotations=notes, height=250 if narrow else 280,
        margin={"l": 92 if narrow else 100, "r": 14, "t": 10, "b": 44},
        hint="Drag the dot. One sample at a time is always a batch of 1." if data == "online"
        else "Drag the dot along its row.",
    )  # fmt: skip


def _beside(start: int, end: int, batch: int) -> float:
    """Return where a word stands between two sizes, as a logarithm: in the middle, or clear of the dot."""
    low, high = np.log2(start), np.log2(end)
    middle = (low + high) / 2
    if batch and abs(np.log2(batch) - middle) < 1.2:
        middle += 1.6 if np.log2(batch) <= middle else -1.6
        middle = float(np.clip(middle, low, high))
    return float(middle * np.log10(2))


def _answer(kind: str, batch: int, data: str) -> str:
    return rule_of(kind, batch, data).norm


def pytorch(values: Values) -> str:
    """Write the PyTorch of the answer."""
    kind, batch, data = place(values)
    hidden = "guide" not in dict(values.get("guesses", ()))
    return GUIDE_TORCH if hidden else rule_of(kind, batch, data).code


def script(values: Values) -> str:
    """Write a script that trains the dense networks again."""
    kind, batch, _ = place(values)
    return GUIDE(values, kind, batch)


SCENE = Scene(
    "guide", "Your network",
    "A dense network with batch norm and batches of 32 does well. Now only 2 samples fit on the device. "
    "Which change gives the fewest wrong answers?",
    (
        Choice("none: noise averages out over the steps", 0.0,
               "Noise in a gradient does average out. Here the gradient is missing, not noisy."),
        Choice("batch norm at a tenth of the learning rate", 1.0,
               "Smaller steps do average over more batches. Each mean is still of 2 samples."),
        Choice("gradients of 8 batches added up, then a step", 2.0,
               "A step then sees 16 samples. Each mean and variance is still of 2."),
        Choice("a layer norm in its place", 3.0),
    ),
    "leader", {"batch": 32}, {"built": "dense", "batch": 2, "data": "shuffled"},
    "Wrong with batches of 2: layer norm {error_layer:.1f}%, batch norm {error_batch:.0f}%, at a tenth of "
    "its rate {error_lower:.0f}%, with 8 batches a step {error_accumulated:.0f}%.",
    "Two samples are normalized to about −1 and 1, whatever they are: almost no gradient passes. A lower "
    "rate or accumulated gradients don’t change how many samples share a mean. In layer norm the features of "
    "one sample share it.",
    "The map is a rule of thumb from papers and this lab. Small networks can’t settle what large ones "
    "need: the bars say where they support it and where not.",
    "Set your own network. Then find a place where the bars speak against the map.",
    ("built", "batch", "data", "seed"),
)  # fmt: skip

PASSAGES = (Passage("A network is trained, and its validation error taken", which.ended),)
