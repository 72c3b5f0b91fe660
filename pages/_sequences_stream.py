"""The scene "One at a time": learning from a stream, with norms that need a batch and norms that don't."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.data import batch_indices
from bnlib.experiments.intervals import Interval, paired
from bnlib.experiments.model import Race
from bnlib.lessons import streams
from bnlib.norms.public import batch_norm
from bnlib.norms.relatives import running_norm
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, percent, progress
from book.controls import SEEDS, Control, Values
from book.figure import BLUE, GREEN, INK, ORANGE, PAPER, PURPLE, Figure, Trace
from pages._sequences_parts import SHADES, first, near
from pages._sequences_scripts import STREAM, STREAM_TORCH

SAMPLES, LATE = 600, 200  # so many are judged at the end
CHOOSING = 4  # further seeds, on which learning rates are chosen
RATES = (0.003, 0.01, 0.03, 0.1)
RATE, MOMENTUM = 0.01, 0.99
ARMS = {
    "batch": ("batch norm", BLUE), "none": ("no norm", ORANGE), "layer": ("layer norm", GREEN),
    "running": ("running averages", PURPLE),
}  # fmt: skip
LEARNING = tuple(arm for arm in ARMS if arm != "batch")  # whose rate matters
SHOWN = 12  # samples side by side

CONTROLS = (
    Control(
        "pace", "number", RATE, "learning rate", "lr", RATES[0], RATES[-1], RATES, marks=RATES,
        about="How far the step after each sample moves the parameters: lr times the gradient. Networks are "
        "trained at these rates only. In PyTorch: lr of torch.optim.SGD.",
    ),
    Control(
        "seen", "step", SAMPLES, "samples seen", "", 0, SAMPLES,
        about="How many digits have come by. Each is predicted, then learned from, and never kept.",
    ),
)  # fmt: skip


def config_of(values: Values, arm: str, rate: float) -> RunConfig:
    """Return networks that learn from a stream: those of eight seeds, and more on which rates are chosen."""
    chosen: dict[str, Any] = {"norm": arm, "lr": rate, "seed": first(values), "replicas": SEEDS + CHOOSING}
    return RunConfig(batch_size=1, momentum=MOMENTUM, dtype="float64", **chosen)


def jobs(values: Values) -> dict[str, Job]:
    """Return the trainings: at the chosen rate first, then at the others."""
    chosen = near(values["pace"], RATES)
    pairs = [(arm, chosen) for arm in ARMS]
    pairs += [(arm, rate) for rate in RATES for arm in LEARNING if rate != chosen]
    return {
        f"{arm} {rate:g}": Job(streams.streamed, (config_of(values, arm, rate), SAMPLES))
        for arm, rate in pairs
    }


def wrong(run: Any, choosing: bool = False) -> Any:
    """Return the per cent of the last samples that were predicted wrongly, of each seed."""
    some = slice(SEEDS, None) if choosing else slice(SEEDS)
    return 100 * (1 - run["right"][some, -LATE:].mean(axis=1))


def own_best(found: Found, arm: str) -> float:
    """Return the rate at which an arm does best, on seeds that aren't shown."""
    return min(RATES, key=lambda rate: average(wrong(found[f"{arm} {rate:g}"], choosing=True)))


def view(values: Values, found: Found) -> View:
    """Show how many of the last samples were known, up to the playhead, and what rates do."""
    hide, narrow = values["open"], values.get("narrow", False)
    rate = near(values["pace"], RATES)
    seen = values["seen"]
    runs: dict[str, Any] = {
        arm: found.get(f"{arm} {rate:g}") for arm in ARMS if not (hide and arm == "running")
    }
    figures = {"online": _online(runs, seen, rate), "answers": _answers(runs, seen, values, narrow)}
    if not hide:
        figures["rates"] = _rates(found, rate)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found))
    every: dict[str, Any] = {arm: found[f"{arm} {rate:g}"] for arm in ARMS}
    numbers = {f"wrong_{arm}": average(wrong(run)) for arm, run in every.items()} | {
        "rate": rate, "samples": float(SAMPLES), "moved": average(every["batch"]["moved"]),
        "total": float(every["batch"]["total"]), "left": MOMENTUM ** (SAMPLES - LATE),
        "filled": 1 - MOMENTUM ** (SAMPLES - LATE),
    }  # fmt: skip
    said = ", ".join(
        f"{name} {numbers[f'wrong_{arm}']:.1f}%" for arm, (name, _) in ARMS.items() if arm in runs
    )
    text = f"Learning rate {rate:g}, wrong among the last {LATE} of {SAMPLES} samples: {said}."
    if hide:
        return View(numbers, text, figures)
    rates = {arm: own_best(found, arm) for arm in LEARNING}
    best = {arm: wrong(found[f"{arm} {rates[arm]:g}"]) for arm in LEARNING}
    numbers |= {f"best_{arm}": average(own) for arm, own in best.items()}
    numbers |= {f"rate_{arm}": own for arm, own in rates.items()}
    numbers["fast"] = average(wrong(found[f"running {RATES[-1]:g}"]))
    layer, none = (paired(best["running"] - best[arm]) for arm in ("layer", "none"))
    numbers |= {"gap_layer": layer.mean, "gap_none": none.mean}
    note = (
        "Each at its own best rate, chosen on 4 other seeds: "
        + ", ".join(f"{ARMS[arm][0]} {numbers[f'best_{arm}']:.1f}% (rate {rates[arm]:g})" for arm in LEARNING)
        + f". Running averages − layer norm: {_said(layer)}. Running averages − no norm: {_said(none)}."
    )
    text += (
        f" In {SAMPLES} steps batch norm moved {numbers['moved']:.0f} of its {numbers['total']:,.0f} "
        "parameters: the biases of the output."
    )
    at = np.arange(50, SAMPLES + 1, 50)
    table = {"samples": at} | {arm: run["online"][:SEEDS, at - 1].mean(axis=0) for arm, run in every.items()}
    return View(numbers, text, figures, table, notes={"rates": note})


def _said(gap: Interval) -> str:
    return str(gap.text()).replace("-", "−") + ("" if gap.clear else ", no evidence of a difference")


def _online(runs: dict[str, Any], seen: int, rate: float) -> Figure:
    """Draw the share of known samples over the stream, up to the playhead."""
    data, said = list[Trace](), []
    for arm, run in runs.items():
        if run is not None and seen:
            name, colour = ARMS[arm]
            x = np.arange(1, seen + 1)
            data += over_seeds(x, run["online"][:SEEDS, :seen], name, colour)
            said.append(f"{name} {run['online'][:SEEDS, seen - 1].mean():.0%}")
    data.append(fig.line([0, SAMPLES], [0.1, 0.1], "guessing", INK, dash="dot", width=1.5))
    return fig.figure(
        data, f"Known before it was learned from, learning rate {rate:g}",
        f"Shares of right predictions. After {seen} samples: {'; '.join(said) or 'none yet'}.",
        fig.axis(0, SAMPLES * 1.01, "samples seen"), percent(title="right predictions"), showlegend=True,
        hint=f"Earlier predictions weigh less: about the last 100 count. {SHADES}",
    )  # fmt: skip


def _answers(runs: dict[str, Any], seen: int, values: Values, narrow: bool) -> Figure:
    """Draw the latest digits of one stream, and below each whether the networks knew it."""
    count = SHOWN // 2 if narrow else SHOWN
    places = np.arange(max(0, seen - count), seen)
    config = config_of(values, "none", RATE)
    data_set = config.data()
    grid = np.full((8, 9 * count), np.nan)
    if len(places):
        order = batch_indices(len(data_set.y_train), (config.seed,), int(places[0]), len(places))[0]
        for k, image in enumerate(data_set.x_train[order].reshape(-1, 8, 8)):
            grid[:, 9 * k : 9 * k + 8] = image
    data: list[Trace] = [
        fig.cells(grid, 0, 1, ((0.0, PAPER), (1.0, INK)), "digits", y=np.arange(8), hoverinfo="skip")
    ]
    ticks, words, told = [], [], []
    for line, (arm, run) in enumerate(runs.items()):
        y = 11.5 + 4.5 * line
        ticks.append(y)
        words.append(ARMS[arm][0])
        if run is None or not len(places):
            continue
        right = run["right"][0, places]
        for known, symbol, size in ((True, "circle", 12), (False, "x", 8)):
            some = np.flatnonzero(right == known)
            colour = ARMS[arm][1] if known else fig.faded(INK, 0.5)
            data.append(fig.dots(9.0 * some + 3.5, np.full(len(some), y), ARMS[arm][0], colour, size=size,
                                 symbol=symbol, hoverinfo="skip"))  # fmt: skip
        told.append(f"{ARMS[arm][0]}: {int(right.sum())}")
    hidden: dict[str, Any] = {"visible": False, "showgrid": False}
    bottom = 9.5 + 4.5 * len(runs)
    return fig.figure(
        data, "The latest digits of one stream",
        f"The last {len(places)} digits. Known by {', '.join(told) or 'nobody yet'}.",
        fig.axis(-1, 9 * count, ticks=[], **hidden),
        fig.axis(bottom, -1, ticks=ticks, words=words, showgrid=False), height=150 + 14 * len(runs),
        margin={"l": 124, "r": 8, "t": 6, "b": 8},
        hint="Dot: known before it was learned from. Cross: wrong. The newest is on the right; first seed.",
    )  # fmt: skip


def _rates(found: Found, rate: float) -> Figure:
    """Draw over learning rates how many of the last samples were wrong; the columns choose the rate."""
    data, said = list[Trace](), []
    for arm, (name, colour) in ARMS.items():
        there = [one for one in RATES if found.get(f"{arm} {one:g}") is not None]
        if there:
            y = np.stack([wrong(found[f"{arm} {one:g}"]) for one in there], axis=1)
            data += over_seeds(there, y, name, colour)
            data.append(fig.dots(there, y.mean(axis=0), name, colour, size=8, showlegend=False))
            said.append(f"{name}: {', '.join(f'{w:.0f}%' for w in y.mean(axis=0))}")
    height, meta = 50.0, {"drag": "pace", "axis": "x"}
    run = found.get(f"running {rate:g}")
    if run is not None:
        height = average(wrong(run))
    data.append(
        fig.dots([rate], [height], "learning rate", INK, size=16, alpha=0.5, showlegend=False, meta=meta)
    )
    ticks = [0, 25, 50, 75, 100]
    return fig.figure(
        data, f"Wrong among the last {LATE}, over the learning rate",
        f"Curves over {len(RATES)} rates. {'; '.join(said) or 'Nothing is computed yet'}.",
        fig.log_axis(0.0024, 0.125, "learning rate", RATES, words=[f"{one:g}" for one in RATES]),
        fig.axis(0, 100, "wrong", ticks, words=[f"{tick}%" for tick in ticks]), place="side", showlegend=True,
        height=240, hint=f"Drag the large dot. {SHADES}",
    )  # fmt: skip


SCENE = Scene(
    "stream", "One sample at a time",
    "Networks learn from a stream: a digit comes, is predicted, learned from, and gone. Of the last "
    f"{LATE} batch norm gets about 90% wrong. Now it normalizes with running averages of the earlier digits, "
    "in training, too (weight of the old average 0.99; in PyTorch momentum=0.01). How many are wrong?",
    (
        Choice("about 90%: no gradient passes averages", 90.0,
               "None goes into the averages. But they are constants: it goes past them, to the weights."),
        Choice("about 50%: averages are always late", 50.0,
               "They are late. But weights change slowly: an average of about 100 digits still fits."),
        Choice("less than 25%, about as layer norm", 15.0),
    ),
    "wrong_running", {}, {},
    "Wrong were {wrong_running:.0f}% with running averages, {wrong_layer:.0f}% with layer norm, "
    "{wrong_batch:.0f}% with batch norm.",
    "Of one sample batch norm leaves β, and no gradient: {moved:.0f} of {total:,.0f} parameters moved, the "
    "biases of the output. Running averages come from other digits, so x̂ isn’t 0. After "
    f"{SAMPLES - LATE} digits {{filled:.0%}} of them is from the stream.",
    "This small network also learns without a norm: {wrong_none:.0f}% wrong. The averages count as constants "
    "in the gradient, so a step can undo what they do: at rate 0.1 {fast:.0f}% are wrong. PyTorch has no "
    "such layer; “In PyTorch” below writes one.",
    "Drag the learning rate. Which curve is lowest where? Then play the stream.",
    ("pace", "seen", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Write a layer that normalizes one sample by running averages."""
    return STREAM_TORCH.format(keep=MOMENTUM, take=round(1 - MOMENTUM, 6), samples=SAMPLES - LATE)


def script(values: Values) -> str:
    """Learn from the streams again."""
    return STREAM.format(
        seed=first(values), seeds=SEEDS, samples=SAMPLES, late=LATE, rate=near(values["pace"], RATES),
        momentum=MOMENTUM,
    )  # fmt: skip


def lab(values: Values) -> Race:
    """Return the same four networks as a race."""
    rate = near(values["pace"], RATES)
    lanes = tuple(config_of(values, arm, rate) for arm in ARMS)
    return Race("One sample at a time", lanes, SAMPLES)


PASSAGES = (
    Passage("Predict each sample, then learn from it", streams.streamed),
    Passage("Normalize by running averages, in training, too", running_norm),
    Passage("Batch norm", batch_norm),
)
