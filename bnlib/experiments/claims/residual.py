"""E26, E30: residual networks: what batch norm does for them, and where a norm belongs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from ... import theory
from ...config import RunConfig
from ...intervals import paired
from ..findings import Findings, Picture, Results, band, check, mean, predicted
from ..model import NAMES, QUIET, Arms, Cells, Experiment, Sides
from ..nulls import same
from ..probes import Cell

_GUESSING = 90.0  # percent of ten classes
_ARMS: Arms = {"none": {"norm": "none"}, "batch": {}, "skip": {"norm": "none", "skip_init": True}}
_WORDS = {"none": "no norm", "batch": "batch norm", "skip": "SkipInit"}
_LOW, _RATE, _HIGH = 0.03, 0.1, 1.0


def _e26_cells(full: bool) -> Cells:
    steps = 200 if full else 100
    config = RunConfig(residual="pre", cosine_steps=steps, replicas=5 if full else 3, **QUIET)
    labels = [*product(_ARMS, (10, 30, 100) if full else (10, 30), (_RATE,)), ("none", 10, _LOW)]
    labels += product(("batch", "skip"), (30,), (_HIGH,))
    return {
        (arm, layers, rate): Cell("learning", replace(config, depth=layers, lr=rate, **_ARMS[arm]), steps)
        for arm, layers, rate in labels
    }


def _e26_read(results: Results) -> Findings:
    errors = {label: np.nan_to_num(found["final"], nan=_GUESSING) for label, found in results.items()}
    lost = {label: int((found["diverged_at"] >= 0).sum()) for label, found in results.items()}
    depths = [layers for arm, layers, rate in results if (arm, rate) == ("batch", _RATE)]
    checks, notes = [], []
    for layers in depths[1:]:
        behind = errors["skip", layers, _RATE] - errors["batch", layers, _RATE]
        checks += [
            check(f"error without a norm, {layers} layers, %", errors["none", layers, _RATE], 80,
                  seeds=5, null=0, name="fails"),
            check(f"error, SkipInit − batch norm, {layers} layers, points", behind, -3, 3, seeds=5, name="close"),
        ]  # fmt: skip
        found = paired(behind)
        notes.append(
            f"{layers} layers, learning rate {_RATE:g}: SkipInit − batch norm {found.text()}"
            f"{'' if found.clear else ', no evidence of a difference'}."
        )
    high = errors["skip", 30, _HIGH] - errors["batch", 30, _HIGH]
    what = f"error, SkipInit − batch norm, 30 layers, learning rate {_HIGH:g}, points"
    checks.append(check(what, high, 40, seeds=5, null=0, name="rate"))
    for (arm, layers, rate), values in errors.items():
        checks.append(check(f"error, {_WORDS[arm]}, {layers} layers, learning rate {rate:g}, %", values))
    gain, seeds = paired(errors["batch", 30, _HIGH] - errors["skip", 30, _RATE]), len(high)
    lost_of = ", ".join(f"{lost['none', n, _RATE]} of {seeds} with {n} layers" for n in depths)
    notes += [
        f"At learning rate {_HIGH:g}, {lost['skip', 30, _HIGH]} of {seeds} networks with SkipInit and "
        f"{lost['batch', 30, _HIGH]} with batch norm are given up. Batch norm at {_HIGH:g} − SkipInit at "
        f"{_RATE:g}: {gain.text()}{'' if gain.clear else ', no evidence of a difference'}.",
        f"Without a norm and at {_RATE:g} are given up: {lost_of}. At {_LOW:g}, networks with 10 layers have an "
        f"error of {mean(errors['none', 10, _LOW]):.1f}%.",
        "A run that is given up counts as guessing, 90%.",
    ]
    series = (
        band(words, depths, np.stack([errors[arm, n, _RATE] for n in depths], axis=1))
        for arm, words in _WORDS.items()
    )
    picture = Picture(
        f"Residual networks at learning rate {_RATE:g}", "layers", "validation error, %", tuple(series),
        log_x=True, log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), tuple(notes))


E26 = Experiment(
    name="E26",
    title="Branches that start at 0 do for deep residual networks what batch norm does, up to a learning rate",
    claims={"branch": Sides(shows=("fails", "close"), limits=("rate",))},
    setup="""
        Digits, residual networks of 10, 30 and 100 layers of 64 ReLU units, one linear layer a block, He’s
        weights: without a norm, with batch norm inside the branch, and without a norm but with SkipInit, where a
        learned number that starts at 0 multiplies each branch. SGD at 0.1, the same for all, falling along
        half a cosine over 200 steps of 32 samples, 5 seeds; 30 layers at 1, too.
    """,
    theory="""
        Without a norm each block doubles E[h²]; after 29 blocks the logits are about 2¹⁴ times too large. With
        batch norm a block adds 1, so that branches become small beside the stream (E16); with SkipInit they are
        0 at the start.
    """,
    accepted="""
        With 30 and 100 layers no norm errs by at least 80%, and SkipInit is within 3 points of batch norm.
        At a learning rate of 1, SkipInit errs by at least 40 points more than batch norm.
    """,
    sources=("De & Smith 2020, quoted from the abstract", "He et al. 2016"),
    contested="""
        De & Smith explain what batch norm does for depth by small branches, and add that it bears larger
        learning rates, too, which they find to help only in some regimes and hardly in small batches.
    """,
    caveat="""
        A run is given up where its loss is 1,000 times that of guessing; without a norm 30 and 100 layers start
        there, so that no learning rate could have trained them. The rate of 0.1 was not tuned for any arm.
    """,
    cells=_e26_cells,
    read=_e26_read,
    races="The lab has no skip connections.",
    nulls=(
        same("no norm does as well as batch norm", {"none": "batch"}),
        same("SkipInit does no more than no norm", {"skip": "none"}),
        same("SkipInit is like batch norm", {"skip": "batch"}),
    ),
)


_PLACES = {"pre": "norm inside the branch", "post": "norm behind the sum"}
_NORMS = NAMES | {"rms": "RMS norm"}
_DEEP = 48


def _e30_cells(full: bool) -> Cells:
    start = RunConfig(width=128, replicas=32 if full else 12)
    train = RunConfig(norm="layer", batch_size=64, optimizer="adamw", lr=0.003, replicas=4 if full else 2)
    train, steps = replace(train, **QUIET), 100 if full else 60
    cells: Cells = {}
    for place in _PLACES:
        for norm, blocks in product(("layer", "rms"), (12, 24, _DEEP) if full else (12, 24)):
            config = replace(start, norm=norm, residual=place, depth=blocks + 1)
            cells[norm, place, blocks] = Cell("block_gradients", config)
        config = replace(start, residual=place, depth=_DEEP + 1, replicas=8)
        cells["batch", place, _DEEP] = Cell("block_gradients", config)
        config = replace(config, norm="layer", batch_size=64)
        cells["loss", place, _DEEP] = Cell("block_gradients", config, 0, (("source", "loss"),))
        for blocks in (12, _DEEP):
            config = replace(train, residual=place, depth=blocks + 1)
            cells["trained", place, blocks] = Cell("learning", config, steps)
    warm = tuple((step, "lr", train.lr * (step + 5) / 50) for step in range(0, 50, 5))
    config = replace(train, residual="post", depth=_DEEP + 1, edits=warm)
    cells["trained", "warmed up", _DEEP] = Cell("learning", config, steps)
    return cells


def _e30_read(results: Results) -> Findings:
    unit = RunConfig(width=128).width / 2
    squares = {
        label: np.square(found["gradient"]) / unit for label, found in results.items() if "gradient" in found
    }
    checks = []
    for (norm, place, blocks), found in squares.items():
        if norm in ("layer", "rms"):
            inside = place == "pre"
            what = f"‖gradient‖² of the last of {blocks} blocks over theory, {_NORMS[norm]}, {_PLACES[place]}"
            share = found[:, -1] / theory.block_gradient(blocks, inside)
            name = "falls" if inside else "level"
            checks.append(check(what, share, 0.8, 1.2, expected=1.0, seeds=32, name=name))
    return checks
