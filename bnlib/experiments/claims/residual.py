"""E26, E30: residual networks: what batch norm does for them, and where a norm belongs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import sqrt

import numpy as np

from ... import theory
from ...networks.config import RunConfig
from ..findings import Findings, Picture, Results, band, check, mean, predicted
from ..intervals import Interval, paired
from ..model import QUIET, Arms, Cells, Experiment, Sides
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
    at_once = {label: int((found["diverged_at"] == 0).sum()) for label, found in results.items()}
    depths = [layers for arm, layers, rate in results if (arm, rate) == ("batch", _RATE)]
    checks, notes = [], []
    for layers in depths[1:]:
        behind = errors["skip", layers, _RATE] - errors["batch", layers, _RATE]
        checks += [
            check(f"error without a norm, {layers} layers, %", errors["none", layers, _RATE], 80,
                  seeds=5, null=0, name="fails"),
            check(f"error, SkipInit − batch norm, {layers} layers, points", behind, -3, 3,
                  seeds=5, name="close"),
        ]  # fmt: skip
        notes.append(
            f"{layers} layers, learning rate {_RATE:g}: SkipInit − batch norm {_told(paired(behind))}."
        )
    high = errors["skip", 30, _HIGH] - errors["batch", 30, _HIGH]
    what = f"error, SkipInit − batch norm, 30 layers, learning rate {_HIGH:g}, points"
    checks.append(check(what, high, 40, seeds=5, null=0, name="rate"))
    for (arm, layers, rate), values in errors.items():
        checks.append(check(f"error, {_WORDS[arm]}, {layers} layers, learning rate {rate:g}, %", values))
    gain, seeds = paired(errors["batch", 30, _HIGH] - errors["skip", 30, _RATE]), len(high)
    without = "; ".join(
        f"{lost['none', n, _RATE]} of {seeds} with {n} layers, of these {at_once['none', n, _RATE]} at once"
        for n in depths
    )
    notes += [
        f"At learning rate {_HIGH:g}, {lost['skip', 30, _HIGH]} of {seeds} networks with SkipInit and "
        f"{lost['batch', 30, _HIGH]} with batch norm are given up. Batch norm at {_HIGH:g} − SkipInit at "
        f"{_RATE:g}: {_told(gain)}.",
        f"Given up at {_RATE:g} without a norm: {without}. At {_LOW:g}, networks with 10 layers have "
        f"an error of {mean(errors['none', 10, _LOW]):.1f}%.",
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
    title="SkipInit trains deep residual networks as batch norm does, at a moderate learning rate only",
    claims={"branch": Sides(shows=("fails", "close"), limits=("rate",))},
    setup="""
        Digits, residual networks of 10, 30 and 100 layers of 64 ReLU units, one linear layer a block, He’s
        weights: without a norm, with batch norm inside the branch, and without a norm but with SkipInit,
        where a learned number that starts at 0 multiplies each branch. SGD at 0.1 for all, falling along
        half a cosine over 200 steps of 32 samples, 5 seeds; 30 layers at 1, too.
    """,
    theory="""
        Without a norm each block doubles E[h²]: after 29 blocks the logits are 2¹⁴ to 2¹⁵ times as large.
        With batch norm each block adds 1, so that branches become small beside the stream (E16). With
        SkipInit they are 0 at the start.
    """,
    accepted="""
        With 30 and 100 layers, networks without a norm err by at least 80%, and those with SkipInit are
        within 3 points of batch norm. At a learning rate of 1 and 30 layers, SkipInit errs by at least 40
        points more than batch norm.
    """,
    sources=("De & Smith 2020, quoted from the abstract", "He et al. 2016"),
    contested="""
        De & Smith explain by small branches what batch norm does for depth. They add that it allows larger
        learning rates, too, which they find to be of use in some regimes only, and hardly in small batches.
    """,
    caveat="""
        A run is given up where its loss is 1,000 times that of guessing; where that is at once, the learning
        rate plays no role. The rate of 0.1 is tuned for none of the arms.
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
_NORMS = {"layer": "layer norm", "rms": "RMS norm", "batch": "batch norm"}
_DEEP = 48  # blocks, of the networks that are trained
_WARM = 50  # steps over which the learning rate rises, where it does


def _e30_cells(full: bool) -> Cells:
    start = RunConfig(batch_size=16, replicas=64 if full else 12)
    train = RunConfig(
        norm="layer", batch_size=64, optimizer="adamw", lr=0.003, replicas=4 if full else 2, **QUIET
    )
    depths, steps = ((12, 24, 48), 100) if full else ((12, 24), 50)
    few = replace(start, batch_size=64, replicas=16 if full else 4)
    cells: Cells = {}
    for place in _PLACES:
        for norm, blocks in product(("layer", "rms"), depths):
            config = replace(start, norm=norm, residual=place, depth=blocks + 1)
            cells[norm, place, blocks] = Cell("block_gradients", config)
        config = replace(few, residual=place, depth=depths[-1] + 1)
        cells["batch", place, depths[-1]] = Cell("block_gradients", config)
        for blocks in (12, depths[-1]):
            config = replace(few, norm="layer", residual=place, depth=blocks + 1)
            cells["loss", place, blocks] = Cell("block_gradients", config, 0, (("source", "loss"),))
        for blocks in (12, _DEEP):
            config = replace(train, residual=place, depth=blocks + 1)
            cells["trained", place, blocks] = Cell("learning", config, 100 if blocks == 12 else steps)
    rising = tuple((step, "lr", train.lr * (step + 5) / _WARM) for step in range(0, _WARM, 5))
    config = replace(train, residual="post", depth=_DEEP + 1, edits=rising)
    cells["trained", "warmed up", _DEEP] = Cell("learning", config, steps)
    return cells


def _e30_read(results: Results) -> Findings:
    half = RunConfig().width / 2
    squares = {key: np.square(f["gradient"]) / half for key, f in results.items() if "gradient" in f}
    errors = {
        key[1:]: np.nan_to_num(f["final"], nan=_GUESSING) for key, f in results.items() if key[0] == "trained"
    }
    depths = [blocks for norm, place, blocks in results if (norm, place) == ("layer", "pre")]
    deep, checks = depths[-1], []
    arms = list(product(("layer", "rms"), _PLACES))
    for (norm, place), blocks in product(arms, depths):
        form = theory.block_gradient(blocks, place == "pre")
        what = f"‖gradient‖² over theory, last of {blocks} blocks, {_NORMS[norm]}, {_PLACES[place]}"
        share = squares[norm, place, blocks][:, -1] / form
        name = "falls" if place == "pre" else "level"
        checks.append(check(what, share, 0.8, 1.2, expected=1.0, seeds=64, name=name))
    worse = errors["post", _DEEP] - errors["pre", _DEEP]
    what = f"error after training, {_DEEP} blocks, norm behind the sum − inside the branch, points"
    checks.append(check(what, worse, 40, seeds=4, null=0, name="trains"))
    few = errors["post", 12] - errors["pre", 12]
    what = "error after training, 12 blocks, norm behind the sum − inside the branch, points"
    checks.append(check(what, few, -5, 5, seeds=4, name="few"))
    for place in _PLACES:
        less, more = (np.sqrt(squares["loss", place, n][:, -1]) for n in (12, deep))
        what = f"‖gradient‖ of the loss, last of {deep} blocks over last of 12, layer norm, {_PLACES[place]}"
        here, there = (theory.block_gradient(n, place == "pre") for n in (deep, 12))
        checks.append(check(what, more / less.mean(), expected=sqrt(here / there)))
    for norm, place in product(_NORMS, _PLACES):
        known = None if norm == "batch" else theory.block_gradient(1, place == "pre")
        what = f"‖gradient‖², first of {deep} blocks, {_NORMS[norm]}, {_PLACES[place]}"
        checks.append(check(what, squares[norm, place, deep][:, 0], expected=known))
    for (place, blocks), values in errors.items():
        words = _PLACES.get(place, f"{_PLACES['post']}, {place}")
        checks.append(check(f"error after training, {blocks} blocks, {words}, %", values))
    warmed = paired(errors["warmed up", _DEEP] - errors["post", _DEEP])
    first = {key: mean(squares[*key, deep][:, 0]) for key in product(("layer", "batch"), _PLACES)}
    notes = (
        f"At the start the first of {deep} blocks has a ‖gradient‖² of {first['layer', 'pre']:.2f} with "
        f"layer norm inside the branch and of {first['layer', 'post']:.2f} behind the sum, 0.5 each in "
        f"theory; with batch norm it has {first['batch', 'pre']:,.1f} and {first['batch', 'post']:,.1f}.",
        f"Trained with {_DEEP} blocks, layer norm behind the sum − inside the branch: "
        f"{_told(paired(worse))}; with 12 blocks {_told(paired(few))}.",
        f"Behind the sum, {_DEEP} blocks, a learning rate that rises over {_WARM} steps − one that does "
        f"not: {_told(warmed)}.",
    )
    x = range(1, deep + 1)
    ends = {key: np.stack([squares[*key, n][:, -1] for n in depths], axis=1) for key in arms}
    along = {key: squares[*key, deep] for key in product(("layer", "batch"), _PLACES)}
    pictures = []
    for title, axis, places, curves in (
        ("The gradient of the last block’s weights at the start", "blocks", depths, ends),
        (f"The gradients of {deep} blocks’ weights at the start", "block (1 is the first)", x, along),
    ):
        series = [band(f"{_NORMS[n]}, {_PLACES[p]}", places, values) for (n, p), values in curves.items()]
        for place, words in _PLACES.items():
            law = {n: theory.block_gradient(n, place == "pre") for n in places}
            series.append(predicted(f"{_NORMS['layer']}, {words}: theory", places, law.__getitem__))
        pictures.append(
            Picture(title, axis, "‖gradient‖²", tuple(series), log_x=axis == "blocks", log_y=True)
        )
    return Findings(tuple(pictures), tuple(checks), notes)


def _told(found: Interval) -> str:
    return found.text() + ("" if found.clear else ", no evidence of a difference")


E30 = Experiment(
    name="E30",
    title="Inside the branch a norm lets the last gradient fall as 1/√L; untuned, 48 blocks train only so",
    claims={"place": Sides(shows=("trains",), limits=("few",), controls=("falls", "level"))},
    setup="""
        Residual networks of 64 ReLU units, one linear layer a block, He’s weights. At initialization: 12, 24
        and 48 blocks, 16 Gaussian inputs, a random gradient of the logits of length 1; ‖gradient‖² of a
        block’s weights over half the width, 64 seeds. Trained: digits, layer norm, 12 and 48 blocks, AdamW
        at 0.003 without warm-up, 100 steps of 64 samples, 4 seeds.
    """,
    theory="""
        Inside the branch: the last norm divides the gradient’s square by E[h²] = L + 1, to which the stream
        has grown, and on its way down block l multiplies it by 1 + 1/l. So block l has 1/(l+1), and the last
        of L blocks 1/(L+1). Behind the sum: each norm divides by 2 what a block doubles, and every block has
        1/2.
    """,
    accepted="""
        The last block’s ‖gradient‖² is within 20% of theory, ‖gradient‖ within about 10%, for layer and RMS
        norm in both places. Trained with 48 blocks, layer norm behind the sum errs by at least 40 points more
        than inside the branch; with 12 blocks the two are within 5 points.
    """,
    sources=("Xiong et al. 2020 and Takase et al. 2022, quoted from the abstracts",),
    contested="""
        Xiong et al. explain by large gradients near the output why Transformers with layer norm behind the
        sum need a warm-up. Takase et al. hold that norm responsible for gradients that vanish toward the
        input, and find it to be the better place in Transformers of six and fewer layers.
    """,
    caveat="""
        One linear layer a block, no attention; one learning rate, tuned for neither place. Theory is for wide
        networks: toward the input single seeds are far from it. That gradients differ at the start does not
        say why training does.
    """,
    cells=_e30_cells,
    read=_e30_read,
    races="The lab has no skip connections.",
    nulls=(
        same("the norm inside the branch is like the norm behind the sum", {"pre": "post"}),
        same("the norm behind the sum is like the norm inside the branch", {"post": "pre"}),
        same("depth plays no role", {24: 12, 48: 12}),
        same("12 blocks are like 48", {12: 48, 24: 48}),
    ),
)
