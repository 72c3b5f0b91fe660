"""The scene "Layer or RMS norm": what centring removes, in networks that are trained with either."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib import RunConfig, layer_norm, rms_norm
from bnlib.experiments.intervals import paired
from bnlib.lessons import which
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, progress
from book.controls import SEEDS, Control, Values, seeds
from book.figure import COLOURS, GREEN, INK, Figure, Trace
from book.torch_script import NETWORKS
from book.words import brief
from pages._which_scripts import CENTRED, RMS, RMS_TORCH

DEPTH, WIDTH, STEPS, RATE = 17, 64, 200, 0.1
OFFSETS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
ARMS = {"layer": ("layer norm", GREEN), "rms": ("RMS norm", COLOURS[6])}

CONTROLS = (
    Control(
        "offset", "number", 0.0, "offset", "× typical size of a feature", 0.0, 4.0, OFFSETS,
        marks=(0.0, 1.0, 4.0),
        about="A number that is added to all features of the stream, after training, so that each norm gets "
        "it. 1: as large as the features’ root mean square behind the first layer.",
    ),
)  # fmt: skip


def offset_of(values: Values) -> float:
    """Return the offset, one of OFFSETS; while the question is open, none."""
    if "rms" not in dict(values.get("guesses", ())):
        return 0.0
    return min(OFFSETS, key=lambda stop: abs(stop - values["offset"]))


def config_of(values: Values, norm: str) -> RunConfig:
    """Return pre-norm networks with sixteen blocks."""
    fields: dict[str, Any] = {"norm": norm, "residual": "pre", "dtype": "float64", **seeds(values)}
    return RunConfig(depth=DEPTH, width=WIDTH, lr=RATE, cosine_steps=STEPS, **fields)


def jobs(values: Values) -> dict[str, Job]:
    """Return the trainings with either norm; nothing of them depends on the offset."""
    return {norm: Job(which.shifted, (config_of(values, norm), STEPS, OFFSETS)) for norm in ARMS}


@lru_cache(maxsize=64)
def sample(seed: int) -> Any:
    """Return 64 Gaussian features of one sample."""
    return np.random.default_rng((seed, 13)).standard_normal(64)


def outputs(x: Any, norm: str) -> Any:
    """Return what a norm makes of one sample's features."""
    made = layer_norm if norm == "layer" else rms_norm
    return made(x[None], eps=1e-5)[0][0]


def view(values: Values, found: Found) -> View:
    """Show one sample with an offset behind either norm, and how trained networks take it."""
    hide, narrow, offset = values["open"], bool(values.get("narrow")), offset_of(values)
    shown = float(values["offset"]) if hide else offset
    cells: dict[str, Any] = {norm: found.get(norm) for norm in ARMS}
    figures = {"features": _features(SEEDS * values["seed"], shown, narrow)}
    if not hide:
        figures = {"offsets": _offsets(cells, offset), **figures, "shares": _shares(cells)}
    if any(own is None for own in cells.values()):
        return View(figures=figures, waiting=progress(cells))
    at = OFFSETS.index(offset)
    gap = paired(cells["rms"]["error"][:, 0] - cells["layer"]["error"][:, 0])
    share = average(cells["rms"]["share"])
    numbers = {
        "gap": round(gap.mean, 6) + 0.0, "low": gap.low, "high": gap.high, "offset": shown, "share": share,
        "layer": average(cells["layer"]["error"][:, 0]), "rms": average(cells["rms"]["error"][:, 0]),
        "noticed_layer": 0.0, "apart": 0.0,
    }  # fmt: skip
    numbers |= {f"shifted_{norm}": average(own["error"][:, at]) for norm, own in cells.items()}
    spreads = {norm: float(outputs(sample(SEEDS * values["seed"]) + shown, norm).std()) for norm in ARMS}
    text = f"One sample, offset {brief(shown)}: behind layer norm its features scatter by "
    text += f"{brief(spreads['layer'])} around their mean, behind RMS norm by {brief(spreads['rms'])}."
    if hide:
        return View(numbers, text, figures)
    text += (
        f" Trained networks with this offset: layer norm {numbers['shifted_layer']:.1f}% wrong, RMS norm "
        f"{numbers['shifted_rms']:.1f}%. Without it RMS norm − layer norm is {gap.text().replace('-', '−')}"
        f"{'' if gap.clear else ', no evidence of a difference'}."
    )
    table = {"offset": list(OFFSETS)} | {norm: own["error"].mean(axis=0) for norm, own in cells.items()}
    return View(numbers, text, figures, table)


def _features(seed: int, offset: float, narrow: bool) -> Figure:
    """Draw one sample's features with the offset, and what either norm makes of them."""
    x = sample(seed)
    rows = {"with the offset": x + offset, **{ARMS[n][0]: outputs(x + offset, n) for n in ARMS}}
    tints = (INK, *(tint for _, tint in ARMS.values()))
    data = [
        fig.dots(own, [2 - k] * len(own), name, tint, size=7, alpha=0.5)
        for k, ((name, own), tint) in enumerate(zip(rows.items(), tints, strict=True))
    ]
    told = "; ".join(f"{name}: from {brief(own.min())} to {brief(own.max())}" for name, own in rows.items())
    return fig.figure(
        data, f"64 features of one sample, offset {brief(offset)}", f"Three rows of dots. {told}.",
        fig.axis(-4, 8, "value"), fig.axis(-0.5, 2.5, "", [2, 1, 0], words=list(rows), showgrid=False),
        height=190, margin={"l": 100 if narrow else 120, "r": 14, "t": 10, "b": 44},
        hint="Layer norm takes the offset off first. RMS norm keeps it, and divides by more.",
    )  # fmt: skip


def _offsets(cells: dict[str, Any], offset: float) -> Figure:
    """Draw the errors of trained networks over the offset, which can be dragged."""
    data: list[Trace] = []
    told = []
    for norm, (name, tint) in ARMS.items():
        own = cells[norm]
        if own is not None:
            data += over_seeds(OFFSETS, own["error"], name, tint)
            told.append(
                f"{name} from {average(own['error'][:, 0]):.1f}% to {average(own['error'][:, -1]):.0f}%"
            )
    data.append(fig.dots([offset], [0], "offset", INK, size=15, alpha=0.55, showlegend=False,
                         meta={"drag": "offset", "axis": "x"}))  # fmt: skip
    return fig.figure(
        data, "Trained networks with an offset in their stream",
        f"Errors over the offset. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(-0.1, 4.15, "offset / typical size", [0, 1, 2, 3, 4]),
        fig.axis(-4, 102, "wrong answers, %", [0, 25, 50, 75, 100]), showlegend=True, height=300,
        hint="Drag the grey dot. The offset is added after training. Lines: mean of 8 seeds. Bands: lowest "
        "to highest.",
    )  # fmt: skip


def _shares(cells: dict[str, Any]) -> Figure:
    """Draw over layers how much of the mean square there is for centring to remove."""
    x, data, told = np.arange(1, DEPTH + 1), list[Trace](), []
    for norm, (name, tint) in ARMS.items():
        own = cells[norm]
        if own is not None:
            data += over_seeds(x, 100 * own["share"], name, tint)
            told.append(f"{name}: {average(own['share']):.1%} on average")
    return fig.figure(
        data, "What there is to centre", f"Shares over norms. {'; '.join(told) or 'Nothing computed yet'}.",
        fig.axis(0.5, DEPTH + 0.5, "norm", [1, 5, 9, 13, 17]),
        fig.axis(0, 30, "share, %", [0, 10, 20, 30]), showlegend=True, place="side",
        height=230,
        hint="Squared mean over features / mean square, of what enters each norm; after training, no offset.",
    )  # fmt: skip


def pytorch(values: Values) -> str:
    """Write both norms: what they notice, and how they relate."""
    return RMS_TORCH.format(offset=offset_of(values))


def script(values: Values) -> str:
    """Write a script that trains both networks again."""
    seed = SEEDS * values["seed"]
    given = {"depth": DEPTH, "width": WIDTH, "lr": RATE, "steps": STEPS, "offsets": list(OFFSETS)}
    offset = offset_of(values)
    return NETWORKS + RMS + CENTRED.format(seed=seed, end=seed + SEEDS, offset=offset, **given)


SCENE = Scene(
    "rms", "Layer or RMS norm",
    "RMS norm leaves the mean in: it divides by the root mean square. Two sets of pre-norm networks train on "
    "digits, 16 blocks, one with layer norm, one with RMS norm. How do their errors compare?",
    (
        Choice("RMS norm has 5 points more wrong", 5.0,
               "It does lack something: it doesn’t remove an offset that all features share."),
        Choice("within 2 points of each other", 0.0),
        Choice("RMS norm has 5 points fewer wrong", -5.0,
               "It does keep one number more of each sample, its mean."),
    ),
    "gap", {"offset": 0.0}, {"offset": 1.0},
    "RMS norm {rms:.1f}% wrong, layer norm {layer:.1f}%: a difference of {gap:.1f} points, 95% interval "
    "{low:.1f} to {high:.1f}.",
    "There is little to centre: in the trained networks the mean makes up {share:.1%} of the mean square "
    "that enters a norm. Zhang & Sennrich 2019 argue that dividing is what helps, and centring can go.",
    "The two are not the same. Add {offset:.0f} × their typical size to all features: layer norm subtracts "
    "it exactly ({shifted_layer:.1f}% wrong), RMS norm does not ({shifted_rms:.0f}%). Nothing like that was "
    "in the training data here.",
    "Drag the offset. How small must it be to do no harm?",
    ("offset", "seed"),
)  # fmt: skip

PASSAGES = (Passage("Networks are trained, then given an offset", which.shifted),)
