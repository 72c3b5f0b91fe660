"""E5, E6, E7: why does it help? Steady distributions, or a smoother loss."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np

from ..config import RunConfig
from .findings import Findings, Picture, Results, Series, band, check, curve
from .model import NAMES, QUIET, Arms, Cells, Experiment, Race, mean
from .probes import Cell

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
        check("accuracy gained after 500 steps, points", early["none"] - early["batch"], 50, seeds=4),
        check(f"accuracy gained after {results['none']['steps'][0]:,} steps, points",
              results["none"]["final"] - results["batch"]["final"], 3, seeds=4),
        check("input of the last sigmoids, widest / narrowest, no norm", drift["none"]["width"]),
        check("input of the last sigmoids, widest / narrowest, batch norm", drift["batch"]["width"],
              most=float(drift["none"]["width"].min() / 3)),
        check("how far its median wanders, no norm", drift["none"]["drift"]),
        check("how far its median wanders, batch norm", drift["batch"]["drift"],
              most=float(drift["none"]["drift"].min())),
    ]  # fmt: skip
    tuned = {norm: results[norm, "tuned"]["final"] for norm in ("none", "batch")}
    checks += [check(f"error after 500 steps at lr 2, {NAMES[n]}, %", values) for n, values in tuned.items()]
    notes = [
        f"The gap depends on an untuned baseline: at learning rate 2 it is "
        f"{mean(tuned['none'] - tuned['batch']):.1f} points instead of {checks[0].measured:.0f}."
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
        low, median, high = (tuple(found["quantiles"][:, :, i].mean(axis=0).tolist()) for i in range(3))
        steps = tuple(found["step"][0].tolist())
        lines.append(Series(NAMES[norm], steps, median, low, high, spread="15% to 85% of inputs"))
    inputs = Picture(
        "What enters the last layer’s sigmoids: median, and 15% to 85%", "step", "input", tuple(lines)
    )
    return Findings((error, inputs), tuple(checks), tuple(notes))


E5 = Experiment(
    name="E5",
    title="Sigmoid networks train sooner, and their inputs stay put",
    claims={"faster": "qualifies", "shift": "qualifies", "initialization": "supports"},
    setup="""
        Digits, standardized, 3 × 100 sigmoid units, batch 60, weights N(0, 0.1²), SGD at learning rate
        0.1, 4 seeds (Ioffe & Szegedy’s figure 1).
    """,
    theory="",
    accepted="""
        50 points of accuracy gained after 500 steps, 3 after 2,000; the distribution of the last layer’s
        inputs is several times steadier.
    """,
    sources=("Ioffe & Szegedy 2015, figure 1",),
    contested="""
        The size of the gap is that of an untuned baseline. That distributions are steadier does show;
        that steadiness is why training is faster does not follow (E6).
    """,
    cells=_e5_cells,
    read=_e5_read,
    races=lambda: (
        Race("Figure 1", (replace(_E5, norm="none"), _E5), 2000),
        Race("Figure 1 at learning rate 2", (replace(_E5, norm="none", lr=2.0), replace(_E5, lr=2.0)), 500),
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


def _e6_cells(full: bool) -> Cells:
    config, steps = replace(_TANH, replicas=6 if full else 3), 400 if full else 100
    found: Cells = {name: Cell("learning", replace(config, **arm), steps) for name, arm in _ARMS6.items()}
    relu = replace(config, activation="relu", init_scale=1.0, lr=0.1)
    for name in ("noisy batch norm", "standard"):
        found["relu", name] = Cell("learning", replace(relu, **_ARMS6[name]), steps)
    for activation, norm in product(("tanh", "relu"), ("none", "batch")):
        arm = replace(config if activation == "tanh" else relu, norm=norm, lr=0.1, replicas=3)
        found["shift", activation, norm] = Cell("covariate_shift", arm, 100, (("every", 20),))
    return found


def _e6_read(results: Results) -> Findings:
    early = {name: results[name]["train_loss"][:, 50:100].mean(axis=1) for name in _ARMS6}
    checks = [check(f"loss over steps 50 to 99, {name}", values) for name, values in early.items()]
    for better, worse in zip(list(_ARMS6)[:-1], list(_ARMS6)[1:], strict=True):
        gap = early[worse] - early[better]
        checks.append(check(f"{worse} − {better}", gap, least=0.0, seeds=6))
    relu = {n: results["relu", n]["train_loss"] for n in ("noisy batch norm", "standard")}
    for span in ((50, 100), (350, 400)):
        for name, loss in relu.items():
            if loss.shape[1] >= span[1]:
                values = loss[:, slice(*span)].mean(axis=1)
                checks.append(check(f"ReLU, loss over steps {span[0]} to {span[1] - 1}, {name}", values))
    notes = []
    for activation, kind in (("tanh", "tanh"), ("relu", "ReLU")):
        none, batch = (results["shift", activation, norm] for norm in ("none", "batch"))
        for quantity, words, larger in (
            ("distance", "‖G − G′‖", "more"), ("cosine", "the angle between G and G′", "less"),
        ):  # fmt: skip
            before, after = none[quantity].mean(axis=1), batch[quantity].mean(axis=1)
            for name, values in (("no norm", before), ("batch norm", after)):
                what = (
                    f"{activation}: {'distance' if quantity == 'distance' else 'cosine'} of gradients, {name}"
                )
                checks.append(check(what, values))
            apart = before.max() < after.min() or after.max() < before.min()
            smaller = "less" if larger == "more" else "more"
            says = larger if after.mean() > before.mean() else smaller
            notes.append(
                f"Covariate shift, {kind} at learning rate 0.1, by {words}: "
                + (f"{says} with batch norm." if apart else "seeds overlap, no difference shows.")
            )
    picture = Picture(
        "Noise behind batch norm makes distributions unsteady, and it trains all the same", "step",
        "training loss",
        tuple(curve(name, results[name], "train_loss") for name in _ARMS6), log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), tuple(notes))


E6 = Experiment(
    name="E6",
    title="Is it covariate shift? Noise injected behind the norm",
    claims={"shift": "speaks against"},
    setup="""
        Digits, 10 × 64 tanh units, SGD at learning rate 0.03, batch 64, 6 seeds. Noise with random mean
        and scale, new at every step, is added behind each norm, or where it would stand.
    """,
    theory="If steady distributions were what helps, unsteady ones should not.",
    accepted="Loss in this order: batch norm, noisy batch norm, standard, noisy standard.",
    sources=("Santurkar et al. 2018, section 2", "Ioffe & Szegedy 2015"),
    contested="""
        With ReLU noisy batch norm is ahead at first and behind later (the noise is a floor), so that
        “matches batch norm” does not show here. The shift of gradients has no universal sign: it depends
        on the activation and on whether lengths or angles are compared. Both are listed.
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
    checks, pictures = [], []
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
        without, with_norm = medians["smoothness"]
        least = 1.5 if depth == 5 else -inf
        checks.append(
            check(f"β, no norm / batch norm, depth {depth}", without / with_norm.mean(), least=least)
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
            check(f"β at the start, {NAMES[norm]}, depth {depth}", values[:, i])
            for i, depth in enumerate(starts)
        ]
    pictures.append(Picture(
        "The same property before training: smoother when shallow, far rougher when deep", "hidden layers",
        "β, local smoothness along the gradient", tuple(roughness), log_x=True, log_y=True,
    ))  # fmt: skip
    ratios = [b / n for n, b in zip(roughness[0].y, roughness[1].y, strict=True)]
    listed = ", ".join(f"{ratio:.2g} at depth {depth}" for depth, ratio in zip(starts, ratios, strict=True))
    notes = (f"Before training, batch norm’s β over that of no norm: {listed}.",)
    return Findings(tuple(pictures), tuple(checks), notes)


E7 = Experiment(
    name="E7",
    title="Smoother in training, rougher at the start of deep networks",
    claims={"smooth": "qualifies", "depth": "supports"},
    setup="""
        Digits, ReLU, 5, 10 and 15 layers of 64 units, learning rate 0.1, batch 64, 3 seeds. Every 10 of
        200 steps the loss is probed along its gradient, ½ to 4 learning rates away; medians. Then, at
        initialization, very near.
    """,
    theory="""
        Santurkar et al. bound the gradient of a normalized layer; Yang et al. show that it explodes with
        depth.
    """,
    accepted="Range of the loss at least 3 times smaller with batch norm; β smaller at depth 5.",
    sources=("Santurkar et al. 2018, section 3", "Yang et al. 2019"),
    contested="""
        Both are right in their regimes: in training the landscape is smoother, at initialization of a
        deep plain network it is rougher by orders of magnitude.
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
