"""E5, E6, E7: why does it help? Steady distributions, or a smoother loss."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np

from ...config import RunConfig
from ..findings import Findings, Picture, Results, Series, band, check, curve, mean
from ..model import NAMES, QUIET, Arms, Cells, Experiment, Race
from ..probes import Cell

_E5 = RunConfig(
    inputs="standardized", activation="sigmoid", depth=3, width=100, batch_size=60, init="normal",
    init_scale=0.1, lr=0.1,
    replicas=4, record_every=20, validate_every=100,
)  # fmt: skip


def _e5_cells(full: bool) -> Cells:
    config, steps = replace(_E5, replicas=4 if full else 3), 2000 if full else 1000
    found: Cells = {}
    for norm in ("none", "batch"):
        arm = replace(config, norm=norm)
        found[norm] = Cell("learning", arm, steps)
        found[norm, "drift"] = Cell("input_drift", arm, steps, (("every", 50),))
        found[norm, "tuned"] = Cell("learning", replace(arm, lr=2.0), 500)
        if full:
            found[norm, "tiny"] = Cell("learning", replace(arm, init_scale=0.01), steps)
    return found


def _e5_read(results: Results) -> Findings:
    early = {norm: results[norm]["val_error"][:, 500 // 20] for norm in ("none", "batch")}
    drift = {norm: results[norm, "drift"] for norm in ("none", "batch")}
    checks = [
        check("accuracy gained after 500 steps, points", early["none"] - early["batch"], 50, seeds=4, null=0),
        check(f"accuracy gained after {results['none']['steps'][0]:,} steps, points",
              results["none"]["final"] - results["batch"]["final"], 3, seeds=4, null=0),
        check("input of the last sigmoids, widest / narrowest, no norm", drift["none"]["width"]),
        check("input of the last sigmoids, widest / narrowest, batch norm", drift["batch"]["width"]),
        check("widest / narrowest, no norm over batch norm",
              drift["none"]["width"] / drift["batch"]["width"].mean(), least=10),
        check("drift of its median, no norm", drift["none"]["drift"]),
        check("drift of its median, batch norm", drift["batch"]["drift"]),
        check("drift of the median, no norm over batch norm",
              drift["none"]["drift"] / drift["batch"]["drift"].mean(), least=2),
    ]  # fmt: skip
    tuned = {norm: results[norm, "tuned"]["final"] for norm in ("none", "batch")}
    checks += [check(f"error after 500 steps at lr 2, {NAMES[n]}, %", values) for n, values in tuned.items()]
    notes = [
        f"The gap depends on an untuned baseline: at learning rate 2 it is "
        f"{mean(tuned['none'] - tuned['batch']):.1f} points at step 500 instead of {checks[0].measured:.0f}.",
        "The original has MNIST, of 28 × 28 pixels, and 50,000 steps.",
    ]
    if ("none", "tiny") in results:
        tiny = {norm: results[norm, "tiny"]["final"] for norm in ("none", "batch")}
        checks += [
            check(f"error from weights N(0, 0.01²), {NAMES[n]}, %", values) for n, values in tiny.items()
        ]
    error = Picture(
        "Error on digits, three sigmoid layers", "step", "validation error, %",
        tuple(curve(NAMES[norm], results[norm], "val_error") for norm in ("none", "batch")),
    )  # fmt: skip
    lines = []
    for norm, found in drift.items():
        low, median, high = (tuple(found["quantiles"][0, :, i].tolist()) for i in range(3))
        steps = tuple(found["step"][0].tolist())
        lines.append(Series(NAMES[norm], steps, median, low, high, spread="15% to 85% of inputs"))
    inputs = Picture(
        "What enters a typical sigmoid of the last layer: median, and 15% to 85% (first seed)",
        "step",
        "input",
        tuple(lines),
    )
    return Findings((error, inputs), tuple(checks), tuple(notes))


E5 = Experiment(
    name="E5",
    title="Sigmoid networks train sooner, and their inputs drift less",
    claims={},
    setup="""
        Digits, standardized, 3 × 100 sigmoid units, batch 60, weights N(0, 0.1²), SGD at learning rate
        0.1, 4 seeds (Ioffe & Szegedy’s figure 1).
    """,
    theory="",
    accepted="""
        50 points of accuracy gained after 500 steps, 3 after 2,000; the width of the last layer’s inputs
        is steadier by a factor of 10, their median by 2.
    """,
    sources=("Ioffe & Szegedy 2015, figure 1",),
    contested="""
        How large the gap is depends on how well the network without a norm was tuned: the note repeats
        it at another learning rate. Steadier distributions need not be why training is faster (E6).
    """,
    cells=_e5_cells,
    read=_e5_read,
    races=lambda: (
        Race("Ioffe & Szegedy’s figure 1", (replace(_E5, norm="none"), _E5), 2000),
        Race("The same at learning rate 2", (replace(_E5, norm="none", lr=2.0), replace(_E5, lr=2.0)), 500),
    ),
)

_TANH = RunConfig(
    activation="tanh", depth=10, batch_size=64, lr=0.03, init_scale=0.5**0.5, replicas=6,
    record_every=1, validate_every=10**6,
)  # fmt: skip
_ARMS6: Arms = {
    "batch norm": {},
    "noisy batch norm": {"norm_noise": 1.0},
    "standard": {"norm": "none"},
    "noisy standard": {"norm": "none", "norm_noise": 1.0},
}
_SHIFTS = (("tanh", 0.03), ("tanh", 0.1), ("relu", 0.1))  # activation, learning rate


def _e6_cells(full: bool) -> Cells:
    config, steps = replace(_TANH, replicas=6 if full else 3), 400 if full else 100
    found: Cells = {name: Cell("learning", replace(config, **arm), steps) for name, arm in _ARMS6.items()}
    relu = replace(config, activation="relu", init_scale=1.0, lr=0.1)
    for name in ("noisy batch norm", "standard"):
        found["relu", name] = Cell("learning", replace(relu, **_ARMS6[name]), steps)
    for (activation, lr), norm in product(_SHIFTS, ("none", "batch")):
        arm = replace(config if activation == "tanh" else relu, norm=norm, lr=lr, replicas=3)
        found["shift", activation, lr, norm] = Cell("covariate_shift", arm, 100, (("every", 20),))
    return found


def _e6_read(results: Results) -> Findings:
    early = {name: results[name]["train_loss"][:, 50:100].mean(axis=1) for name in _ARMS6}
    checks = [check(f"loss over steps 50 to 99, {name}", values) for name, values in early.items()]
    for better, worse in zip(list(_ARMS6)[:-1], list(_ARMS6)[1:], strict=True):
        gap = early[worse] - early[better]
        checks.append(check(f"{worse} − {better}", gap, least=0.0, seeds=6, null=0.0))
    notes = []
    relu = {n: results["relu", n]["train_loss"] for n in ("noisy batch norm", "standard")}
    for begin, stop in ((50, 100), (350, 400)):
        spans = {n: loss[:, begin:stop].mean(axis=1) for n, loss in relu.items() if loss.shape[1] >= stop}
        for name, values in spans.items():
            checks.append(check(f"ReLU, loss over steps {begin} to {stop - 1}, {name}", values))
        if spans:
            noisy, standard = spans.values()
            says = "ahead" if noisy.mean() < standard.mean() else "behind"
            if not (noisy.max() < standard.min() or standard.max() < noisy.min()):
                says = f"{says} on average, but seeds overlap"
            numbers = f"{noisy.mean():.2f} against {standard.mean():.2f}"
            best = ""
            if standard.min() < noisy.min() and noisy.mean() < standard.mean():
                best = f" The best seed without it is lower: {standard.min():.2f} against {noisy.min():.2f}."
            notes.append(f"ReLU, steps {begin} to {stop - 1}: noisy batch norm is {says} ({numbers}).{best}")
    told: dict[str, list[str]] = {"smaller": [], "larger": [], "undecided": []}
    for activation, lr in _SHIFTS:
        kind = "ReLU" if activation == "relu" else activation
        for quantity, words in (("distance", "length of G − G′"), ("cosine", "cosine of G and G′")):
            values = {
                n: results["shift", activation, lr, n][quantity].mean(axis=1) for n in ("none", "batch")
            }
            for norm, value in values.items():
                checks.append(check(f"{kind}, lr {lr}: {words}, {NAMES[norm]}", value))
            sign = 1 if quantity == "distance" else -1  # a large cosine is a small shift
            before, after = sign * values["none"], sign * values["batch"]
            says = "smaller" if after.max() < before.min() else "undecided"
            told["larger" if before.max() < after.min() else says].append(f"{kind} at {lr:g} by {quantity}")
    sentence = "; ".join(f"{word} for {', '.join(group)}" for word, group in told.items() if group)
    notes.append(f"The shift of gradients with batch norm is {sentence}.")
    picture = Picture(
        "Noise behind batch norm, new at every step, and it trains all the same", "step",
        "training loss",
        tuple(curve(name, results[name], "train_loss") for name in _ARMS6), log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), tuple(notes))


E6 = Experiment(
    name="E6",
    title="Is it covariate shift? Noise injected behind the norm",
    claims={},
    setup="""
        Digits, 10 × 64 tanh units, SGD at learning rate 0.03, batch 64, 6 seeds. Noise with random mean
        and scale, new at every step, is added behind each norm, or where it would stand. Shift: how far
        a layer’s gradient G is from G′, that on the same batch after the layers before it have moved;
        averages over layers and 100 steps, 3 seeds.
    """,
    theory="If steady distributions were what helps, unsteady ones should not.",
    accepted="Loss in this order: batch norm, noisy batch norm, standard, noisy standard.",
    sources=("Santurkar et al. 2018", "Ioffe & Szegedy 2015"),
    contested="""
        Santurkar et al. report that noisy batch norm matches batch norm, and that batch norm does not
        reduce the shift of gradients; Ioffe & Szegedy see its reduction as the cause. Lengths and angles
        need not agree on it: the notes count where the shift is smaller and where larger.
    """,
    cells=_e6_cells,
    read=_e6_read,
    races=lambda: (
        Race("Noise behind the norm", tuple(replace(_TANH, **arm) for arm in _ARMS6.values()), 400),
    ),
)


def _e7_cells(full: bool) -> Cells:
    config = RunConfig(batch_size=64, lr=0.1, replicas=3, **QUIET)
    steps = 200 if full else 60
    found: Cells = {}
    for depth, norm in product((5, 10, 15) if full else (5,), ("none", "batch")):
        arm = replace(config, depth=depth, norm=norm)
        found[depth, norm] = Cell("landscape", arm, steps, (("every", 10),))
    for depth, norm in product((2, 5, 10, 20, 40) if full else (2, 20), ("none", "batch")):
        arm = replace(config, depth=depth, norm=norm, lr=1e-7, dtype="float64")
        found["start", depth, norm] = Cell("landscape", arm, 0, (("every", 1),))
    return found


def _e7_read(results: Results) -> Findings:
    checks, pictures, betas = [], [], {}
    depths = [label[0] for label in results if label[0] != "start" and label[1] == "none"]
    for depth in depths:
        none, batch = (results[depth, norm] for norm in ("none", "batch"))
        medians = {
            name: (np.median(none[name], axis=1), np.median(batch[name], axis=1))
            for name in ("loss_range", "gradient_change", "smoothness")
        }
        without, with_norm = medians["loss_range"]
        checks.append(
            check(f"loss range, no norm / batch norm, depth {depth}", without / with_norm.mean(), least=3)
        )
        change, calmer = medians["gradient_change"]
        what = f"gradient change, no norm / batch norm, depth {depth}"
        checks.append(check(what, change / calmer.mean()))
        without, with_norm = betas[depth] = medians["smoothness"]
        least = 1.5 if depth == 5 else -inf
        checks.append(
            check(
                f"effective smoothness β, no norm / batch norm, depth {depth}",
                without / with_norm.mean(),
                least=least,
            )
        )
    pictures.append(Picture(
        f"How much the loss varies along the gradient, depth {depths[0]}", "step", "range of the loss",
        tuple(curve(NAMES[norm], results[depths[0], norm], "loss_range") for norm in ("none", "batch")),
        log_y=True,
    ))  # fmt: skip
    starts = [label[1] for label in results if label[0] == "start" and label[2] == "none"]
    roughness = []
    for norm in ("none", "batch"):
        values = np.stack([results["start", depth, norm]["smoothness"][:, 0] for depth in starts], axis=1)
        roughness.append(band(NAMES[norm], starts, values))
        checks += [
            check(f"effective smoothness β at the start, {NAMES[norm]}, depth {depth}", values[:, i])
            for i, depth in enumerate(starts)
        ]
    pictures.append(Picture(
        "Before training, very near the start: smoother when shallow, far rougher when deep", "hidden layers",
        "effective smoothness β: large is rough", tuple(roughness), log_x=True, log_y=True,
    ))  # fmt: skip
    ratios = [b / n for n, b in zip(roughness[0].y, roughness[1].y, strict=True)]
    listed = ", ".join(f"{ratio:.2g} at depth {depth}" for depth, ratio in zip(starts, ratios, strict=True))
    smoother = [str(depth) for depth in depths if betas[depth][0].min() > betas[depth][1].max()]
    shown = f"at depth {', '.join(smoother)} only" if smoother else "at no depth"
    if len(smoother) == len(depths):
        shown = f"at depth {', '.join(smoother)}"
    during = f"In training, batch norm is smoother by effective smoothness in every seed {shown}."
    notes = (
        during,
        "Before training, batch norm’s effective smoothness β (Santurkar et al.) over that of no norm: "
        f"{listed}.",
    )
    return Findings(tuple(pictures), tuple(checks), notes)


E7 = Experiment(
    name="E7",
    title="Smoother in training, rougher at the start of deep networks",
    claims={},
    setup="""
        Digits, ReLU, 5, 10 and 15 layers of 64 units, learning rate 0.1, batch 64, 3 seeds. Every 10 of
        200 steps the loss is probed along its gradient, ½ to 4 learning rates away; medians. β is the
        change of the gradient over the distance. Then β before training, 10⁻⁷ times the gradient away.
    """,
    theory="""
        Santurkar et al. bound the gradient of a normalized layer; Yang et al. show that it explodes with
        depth.
    """,
    accepted="""
        Range of the loss at least 3 times smaller with batch norm; effective smoothness β smaller at depth
        5.
    """,
    sources=("Santurkar et al. 2018", "Yang et al. 2019"),
    contested="""
        Santurkar et al. look at training, Yang et al. at the start of deep plain networks: the two can
        both be right. The note compares the start at several depths.
    """,
    cells=_e7_cells,
    read=_e7_read,
    races=lambda: (
        Race(
            "Depth 5, no norm and batch norm",
            tuple(RunConfig(depth=5, batch_size=64, replicas=3, norm=n) for n in ("none", "batch")),
            200,
        ),
        Race(
            "Depth 15, no norm and batch norm",
            tuple(RunConfig(depth=15, batch_size=64, replicas=3, norm=n) for n in ("none", "batch")),
            200,
        ),
    ),
)
