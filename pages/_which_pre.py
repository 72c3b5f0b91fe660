"""The scene "Pre-norm or post-norm": gradients of residual blocks before training, and what trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig, theory
from bnlib.experiments.intervals import paired
from bnlib.experiments.probes.initial import block_gradients
from bnlib.lessons import which
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, progress
from book.controls import SEEDS, Control, Values, seeds
from book.figure import BLUE, COLOURS, INK, ORANGE, Figure, Trace
from book.words import brief
from pages._which_scripts import PRE, PRE_TORCH

DEPTHS = (6, 12, 24, 48)  # blocks
FEW = 12  # blocks, up to which they are shown while the question is open
WIDTH, SAMPLES = 64, 16
NARROW, STEPS, RATE, WARM = 32, 100, 0.003, 50  # of what is trained
PLACES = {"pre": ("pre-norm", BLUE), "post": ("post-norm", ORANGE)}
WARMED = ("post-norm, warmed up", COLOURS[5])
ROWS = {"layer": "layer norm", "rms": "RMS norm", "batch": "batch norm"}

CONTROLS = (
    Control(
        "blocks", "whole", 6, "blocks", "residual, one layer each", DEPTHS[0], DEPTHS[-1], DEPTHS,
        marks=DEPTHS,
        about="How many residual blocks the networks have. Each is a norm, a ReLU and one dense layer, added "
        "to the stream.",
    ),
    Control(
        "block_norm", "choice", "layer", "norm", choices=tuple(ROWS), names=tuple(ROWS.values()),
        look="buttons",
        about="Which norm the blocks have on the left. On the right networks with layer norm are trained.",
    ),
)  # fmt: skip


def blocks_of(values: Values) -> int:
    """Return how many blocks are shown; while the question is open, few."""
    chosen = min(DEPTHS, key=lambda depth: abs(depth - values["blocks"]))
    return chosen if "pre" in dict(values.get("guesses", ())) else min(chosen, FEW)


def config_of(values: Values, place: str, norm: str, blocks: int) -> RunConfig:
    """Return networks at initialization."""
    fields: dict[str, Any] = {"norm": norm, "residual": place, "batch_size": SAMPLES, **seeds(values)}
    return RunConfig(depth=blocks + 1, width=WIDTH, dtype="float64", **fields)


def trained(values: Values, place: str, blocks: int) -> RunConfig:
    """Return networks that are trained with AdamW at one rate, or at one that rises at first."""
    edits: Any = tuple((step, "lr", RATE * (step + 5) / WARM) for step in range(0, WARM, 5))
    fields: dict[str, Any] = {"residual": "pre" if place == "pre" else "post", **seeds(values)}
    fields["edits"] = edits if place == "warm" else ()
    return RunConfig(norm="layer", depth=blocks + 1, width=NARROW, lr=RATE, optimizer="adamw", **fields)


def jobs(values: Values) -> dict[str, Job]:
    """Return the gradients of both places, and once the question is answered, the trainings."""
    blocks = blocks_of(values)
    found = {
        place: Job(block_gradients, (config_of(values, place, values["block_norm"], blocks), 0), light=True)
        for place in PLACES
    }
    if "pre" not in dict(values.get("guesses", ())):
        return found
    every = [(place, depth) for depth in DEPTHS for place in PLACES] + [("warm", DEPTHS[-1])]
    return found | {f"{p} {d}": Job(which.ended, (trained(values, p, d), STEPS)) for p, d in every}


def view(values: Values, found: Found) -> View:
    """Show each block's gradient before training, and which depths train."""
    hide, narrow, blocks = values["open"], bool(values.get("narrow")), blocks_of(values)
    norm = values["block_norm"]
    cells = {place: found.get(place) for place in PLACES}
    figures = {"along": _along(cells, norm, blocks, narrow)}
    ended = {key: own for key, own in found.items() if " " in key}
    if not hide:
        figures["ends"] = _ends(ended, blocks, narrow)
    if any(own is None for own in cells.values()) or any(own is None for own in ended.values()):
        return View(figures=figures, waiting=progress(dict(found)))
    lengths = {place: own["gradient"] / (WIDTH / 2) ** 0.5 for place, own in cells.items() if own}
    last = {place: average(own[:, -1]) for place, own in lengths.items()}
    law = {place: theory.block_gradient(blocks, place == "pre") ** 0.5 for place in PLACES}
    numbers = {
        "blocks": float(blocks), "ratio": last["pre"] / last["post"], "theory": law["pre"] / law["post"],
        "times": last["post"] / last["pre"],
    }  # fmt: skip
    text = (
        f"{ROWS[norm][0].upper()}{ROWS[norm][1:]}, {blocks} blocks, before training: the last block’s "
        f"gradient has length {brief(last['pre'])} with pre-norm, {brief(last['post'])} with post-norm."
    )
    if ended:
        numbers |= {f"error_{place}": average(ended[f"{place} {DEPTHS[-1]}"]) for place in (*PLACES, "warm")}
        few = paired(ended[f"post {DEPTHS[0]}"] - ended[f"pre {DEPTHS[0]}"])
        numbers |= {"few": few.mean, "most": float(DEPTHS[-1])}
        warmed = paired(ended[f"warm {DEPTHS[-1]}"] - ended[f"post {DEPTHS[-1]}"])
        helps = warmed.high < -10
        numbers["warmed"] = warmed.mean
        text += (
            f" Trained {STEPS} steps with layer norm and {DEPTHS[-1]} blocks: pre-norm "
            f"{numbers['error_pre']:.0f}% wrong, post-norm {numbers['error_post']:.0f}%, with warm-up "
            f"{numbers['error_warm']:.0f}%. Warm-up {'helps' if helps else 'does not save it here'}."
        )  # fmt: skip
        between = few.text().replace("-", "−")
        text += f" With {DEPTHS[0]} blocks: post-norm minus pre-norm {between}."
    table = {"block": np.arange(1, blocks + 1)} | {place: own.mean(axis=0) for place, own in lengths.items()}
    return View(numbers, text, figures, table)


def _along(cells: dict[str, Any], norm: str, blocks: int, narrow: bool) -> Figure:
    """Draw over blocks how long the gradient of their weights is."""
    x, data, told = np.arange(1, blocks + 1), list[Trace](), []
    for place, (name, tint) in PLACES.items():
        if norm != "batch":
            law = [theory.block_gradient(int(block), place == "pre") ** 0.5 for block in x]
            data.append(fig.line(x, law, f"theory, {name}", tint, width=1.5, dash="dash", showlegend=False))
        own = cells[place]
        if own is not None:
            y = own["gradient"] / (WIDTH / 2) ** 0.5
            data += over_seeds(x, y, name, tint)
            told.append(f"{name} {brief(average(y[:, 0]))} in the first block")
    return fig.figure(
        data, f"Gradient of each block’s weights, {ROWS[norm]}, {blocks} blocks",
        f"Curves over blocks. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0.5, blocks + 0.5, "block; 1 is next to the input"),
        fig.log_axis(0.05, 170 if norm == "batch" else 5, "length / √(width / 2)"), showlegend=True,
        height=250 if narrow else 300,
        hint="Before training, random inputs, a random gradient of length 1 at the logits. Lines: mean of 8 "
        f"seeds, bands: lowest to highest.{' Dashed: theory.' if norm != 'batch' else ''}",
    )  # fmt: skip


def _ends(ended: Found, blocks: int, narrow: bool) -> Figure:
    """Draw over depth how trained networks end; the depth can be dragged."""
    data: list[Trace] = []
    told = []
    for place, (name, tint) in {**PLACES, "warm": WARMED}.items():
        known = [depth for depth in DEPTHS if ended.get(f"{place} {depth}") is not None]
        if not known:
            continue
        own = np.stack([ended[f"{place} {depth}"] for depth in known], axis=1)
        if len(known) > 1:
            data += over_seeds(known, own, name, tint)
        data.append(fig.dots(known, own.mean(axis=0), name, tint, size=8, showlegend=len(known) == 1))
        means = ", ".join(f"{average(e):.0f}% at {d}" for d, e in zip(known, own.T, strict=True))
        told.append(f"{name}: {means}")
    data.append(fig.dots([blocks], [0], "blocks", INK, size=15, alpha=0.55, showlegend=False,
                         meta={"drag": "blocks", "axis": "x"}))  # fmt: skip
    return fig.figure(
        data, "How they end, layer norm", f"Errors over blocks. {'; '.join(told) or 'Nothing computed yet'}.",
        fig.log_axis(5, 58, "blocks", DEPTHS), fig.axis(-4, 102, "wrong answers, %", [0, 25, 50, 75, 100]),
        showlegend=True, height=250 if narrow else 300,
        hint=f"AdamW at {RATE:g}, {STEPS} steps of 32 digits, width {NARROW}. Warmed up: the rate rises over "
        f"{WARM} steps. Drag the grey dot.",
    )  # fmt: skip


def pytorch(values: Values) -> str:
    """Write both places as PyTorch's transformer has them."""
    return PRE_TORCH.format(blocks=blocks_of(values))


def script(values: Values) -> str:
    """Write a script that computes the gradients again."""
    seed = SEEDS * values["seed"]
    return PRE.format(seed=seed, end=seed + SEEDS, blocks=blocks_of(values), norm=values["block_norm"])


SCENE = Scene(
    "pre", "Pre-norm or post-norm",
    "48 residual blocks with layer norm, before the first step. Pre-norm has the norm inside the branch, "
    "h + W φ(norm(h)); post-norm behind the sum. How long is the gradient of the last block’s weights with "
    "pre-norm, next to post-norm?",
    (
        Choice("as long: both have a norm per block", 1.0,
               "Both do have as many norms. What each divides by is not the same."),
        Choice("half as long", 0.5, "With 6 blocks it is about that. The stream grows with each block."),
        Choice("a fifth as long", 0.2),
        Choice("less than a hundredth", 0.005,
               "It does shrink with depth, as 1/√L. That is slow."),
    ),
    "ratio", {"blocks": 6, "block_norm": "layer"}, {"blocks": 48},
    "It is {ratio:.2f} times as long; by theory {theory:.2f}.",
    "With pre-norm the stream grows by 1 a block, in mean square: the last norm divides by √({blocks} + 1). "
    "With post-norm each sum is brought back to 1. Xiong et al. 2020 explain by this why post-norm "
    "transformers need a warm-up.",
    "These blocks have one dense layer and no attention. After training with {most:.0f} blocks, pre-norm "
    "has {error_pre:.0f}% wrong, post-norm {error_post:.0f}%, warmed up {error_warm:.0f}%: so the last "
    "gradient alone doesn’t explain the failure. Here, too, a last norm comes before the output layer.",
    "Drag blocks. From how many on does post-norm fall behind? Then choose batch norm: how fast does its "
    "gradient grow towards the input?",
    ("blocks", "block_norm", "seed"),
)  # fmt: skip

PASSAGES = (Passage("The gradient of every block’s weights, before training", block_gradients),)
