"""What the recurrent scenes share: their networks, arms and trainings, and figures of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnlib import RunConfig
from bnlib.experiments.intervals import Interval
from bnlib.lessons import sequences
from book import figure as fig
from book.chapter import Job
from book.charts import over_seeds
from book.controls import SEEDS, Control, Values, seeds
from book.figure import BLUE, GREEN, INK, ORANGE, PURPLE, Figure, Trace
from pages._sequences_parts import SHADES, near

STEPS, EVERY, WIDTH, SCALE = 400, 50, 32, 0.7
SIZES, RATES = (8, 16, 32), (0.005, 0.01, 0.02)
LOW_EPS, EASED = 1e-5, 0.1
ARMS: dict[str, tuple[str, str, dict[str, Any]]] = {  # by name: words, colour, fields of the configuration
    "none": ("no norm", ORANGE, {"norm": "none"}),
    "layer": ("layer norm", GREEN, {"norm": "layer"}),
    "counted": ("batch norm, padding counted", BLUE, {"norm": "batch", "padding": "counted"}),
    "masked": ("batch norm, padding masked", PURPLE, {"norm": "batch", "padding": "masked"}),
    "eased": ("masked, eps = 0.1", INK, {"norm": "batch", "padding": "masked", "eps": EASED}),
}

CONTROLS = (
    Control(
        "sequences", "whole", 16, "batch size", "sequences", SIZES[0], SIZES[-1],
        tuple(float(size) for size in SIZES), marks=SIZES,
        about="How many sequences are in a batch. Networks are trained with batches of 8, 16 and 32.",
    ),
    Control(
        "rate", "number", 0.01, "learning rate", "lr", RATES[0], RATES[-1], RATES, marks=RATES,
        about="The learning rate of AdamW at the start. It falls to 0 along a cosine. Networks are trained "
        "at these rates only. In PyTorch: lr of torch.optim.AdamW.",
    ),
)  # fmt: skip


def config_of(values: Values, arm: str) -> RunConfig:
    """Return eight recurrent networks of an arm."""
    chosen: dict[str, Any] = {
        "batch_size": near(values["sequences"], SIZES), "lr": near(values["rate"], RATES), **seeds(values),
        **ARMS[arm][2],
    }  # fmt: skip
    return RunConfig(
        dataset="pauses", network="rnn", depth=1, width=WIDTH, activation="tanh", init_scale=SCALE,
        optimizer="adamw", cosine_steps=STEPS, dtype="float64", **chosen,
    )  # fmt: skip


def jobs(values: Values, *arms: str) -> dict[str, Job]:
    """Return the trainings of these arms; while a finger moves over what they depend on, none."""
    if values.get("draft") and values.get("moves") in ("sequences", "rate"):
        return {}
    return {arm: Job(sequences.learned, (config_of(values, arm), STEPS, EVERY)) for arm in arms}


def given(values: Values) -> str:
    """Write the settings that a script begins with."""
    first = SEEDS * int(values["seed"])
    return (
        f"seeds, size, lr = list(range({first}, {first + SEEDS})), {near(values['sequences'], SIZES)}, "
        f"{near(values['rate'], RATES)}\nsteps, width = {STEPS}, {WIDTH}\n"
    )


def said(gap: Interval) -> str:
    """Write an interval, and whether it is evidence."""
    return gap.text().replace("-", "−") + ("" if gap.clear else ", no evidence of a difference")


def percents(low: float, high: float, ticks: tuple[float, ...], title: str = "wrong") -> Any:
    """Make a linear axis of errors in per cent."""
    return fig.axis(low, high, title, ticks, words=[f"{tick:g}%" for tick in ticks])


def curves(found: Mapping[str, Any], **more: Any) -> Figure:
    """Draw errors over training, of the arms that are there."""
    data, told = list[Trace](), []
    for arm, run in found.items():
        if run is not None:
            name, colour, _ = ARMS[arm]
            data += over_seeds(run["step"], run["val"], name, colour)
            told.append(f"{name}: {run['val'][:, -1].mean():.0f}%")
    return fig.figure(
        data, "Wrong validation sequences",
        f"Falling curves over training. At the end {'; '.join(told) or 'nothing is computed yet'}.",
        fig.axis(0, STEPS * 1.02, "training step"), percents(0, 100, (0, 20, 40, 60, 80, 100)),
        showlegend=True, hint=SHADES, **more,
    )  # fmt: skip
