"""E5, E6, E7: why does it help? Steady distributions, or a smoother loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ...networks.config import RunConfig
from ...norms.statistics import Array
from ..findings import Check, Findings, Picture, Results, Series, band, check, curve, mean
from ..intervals import LEVEL, Interval, paired
from ..model import NAMES, QUIET, Arms, Cells, Experiment, Race, Sides
from ..nulls import exchanged, same
from ..probes import Cell
from ..probes.arithmetic import Measured

_LIKE_NONE = same("batch norm is like no norm", {"batch": "none"})
_EXCHANGED = exchanged("batch", "none", "batch norm and no norm are exchanged")

_E5 = RunConfig(
    inputs="standardized", activation="sigmoid", depth=3, width=100, batch_size=60, init="normal",
    init_scale=0.1, lr=0.1, replicas=4, record_every=20, validate_every=100,
)  # fmt: skip
_STEPS, _FAST = 500, 2.0  # where the original's gap is looked at again, and at which learning rate


def _e5_cells(full: bool) -> Cells:
    config, steps = replace(_E5, replicas=8 if full else 3), 2000 if full else 1000
    tiny = replace(_E5, replicas=4 if full else 3, init_scale=0.01, **QUIET)
    found: Cells = {}
    for norm in ("none", "batch"):
        for lr, last in ((0.1, steps), (_FAST, _STEPS)):
            found[norm, lr] = Cell("input_drift", replace(config, norm=norm, lr=lr), last, (("every", 100),))
        found[norm, "tiny"] = Cell("learning", replace(tiny, norm=norm), 1000 if full else 300)
    return found


def _e5_read(results: Results) -> Findings:
    slow, fast = ({norm: results[norm, lr] for norm in ("none", "batch")} for lr in (0.1, _FAST))
    steps = {"slow": int(slow["none"]["step"][0][-1]), "tiny": int(results["none", "tiny"]["steps"][0])}

    def gap(found: dict[str, Measured], step: int) -> Array:
        column = found["none"]["step"][0].tolist().index(step)
        gained: Array = (found["none"]["val_error"] - found["batch"]["val_error"])[:, column]
        return gained

    def ratio(found: dict[str, Measured], quantity: str) -> Array:
        times: Array = found["none"][quantity] / found["batch"][quantity].mean()
        return times

    checks = [
        check(f"accuracy gained after {_STEPS} steps, points", gap(slow, _STEPS), 50,
              seeds=8, null=0, name="sooner"),
        check(f"accuracy gained after {steps['slow']:,} steps, points", gap(slow, steps["slow"]), 3,
              seeds=8, null=0, name="sooner"),
        check(f"accuracy gained after {_STEPS} steps at learning rate 2, points", gap(fast, _STEPS), -4, 4,
              seeds=8, name="level"),
        check("error from weights N(0, 0.01²), no norm, %", results["none", "tiny"]["final"], 80,
              seeds=4, null=10, name="start"),
        check("error from weights N(0, 0.01²), batch norm, %", results["batch", "tiny"]["final"], most=10,
              seeds=4, null=80, name="start"),
        check("input of the last sigmoids, widest / narrowest: no norm over batch norm",
              ratio(slow, "width"), 10, seeds=8, null=1, name="steady"),
        check("drift of its median: no norm over batch norm", ratio(slow, "drift"), 2,
              seeds=8, null=1, name="steady"),
        check("drift of its median at learning rate 2: no norm over batch norm", ratio(fast, "drift"), 2,
              seeds=8, null=1, name="unsteady"),
    ]  # fmt: skip
    for lr, found in ((0.1, slow), (_FAST, fast)):
        for norm, values in found.items():
            at = f"{NAMES[norm]}, learning rate {lr:g}"
            checks += [
                check(f"input of the last sigmoids, widest / narrowest, {at}", values["width"]),
                check(f"drift of its median, {at}", values["drift"]),
                check(f"error at the end, {at}, %", values["val_error"][:, -1]),
            ]
    far = mean(fast["none"]["drift"])
    notes = (
        f"The gap after {_STEPS} steps depends on the learning rate: {paired(gap(slow, _STEPS)).text()} at "
        f"0.1, {paired(gap(fast, _STEPS)).text()} at 2.",
        f"At 2 the median input without a norm drifts by {far:.1f}: {far / mean(slow['none']['drift']):.1f} "
        f"times as far as at 0.1, {far / mean(fast['batch']['drift']):.1f} times as far as with batch norm.",
        f"From weights N(0, 0.01²) errors are those after {steps['tiny']:,} steps at learning rate 0.1.",
        "The original has MNIST, of 28 × 28 pixels, and 50,000 steps.",
    )
    error = Picture(
        "Error on digits, three sigmoid layers", "step", "validation error, %",
        tuple(curve(NAMES[norm], found, "val_error") for norm, found in slow.items()),
    )  # fmt: skip
    lines = []
    for norm, own in slow.items():
        low, median, high = (tuple(own["quantiles"][0, :, i].tolist()) for i in range(3))
        lines.append(Series(NAMES[norm], tuple(own["step"][0].tolist()), median, low, high,
                            spread="15% to 85% of inputs"))  # fmt: skip
    title = "What enters a typical sigmoid of the last layer: median, and 15% to 85% (first seed)"
    inputs = Picture(title, "step", "input", tuple(lines))
    return Findings((error, inputs), tuple(checks), notes)


E5 = Experiment(
    name="E5",
    title="At a low learning rate sigmoid networks train sooner, and their inputs drift less",
    claims={
        "faster": Sides(shows=("sooner",), limits=("level",)),
        "initialization": Sides(shows=("start",)),
        "shift": Sides(shows=("steady",), limits=("level", "unsteady")),
    },
    setup="""
        Digits, standardized, 3 × 100 sigmoid units, batch 60, weights N(0, 0.1²), SGD at learning rate
        0.1, 8 seeds (Ioffe & Szegedy’s figure 1). Then 500 steps at learning rate 2, and 1,000 steps from
        weights N(0, 0.01²), 4 seeds.
    """,
    theory="""
        If steady inputs were what trains a network sooner, one whose inputs drift should not be level with
        batch norm.
    """,
    accepted="""
        At learning rate 0.1: 50 points of accuracy gained after 500 steps, 3 after 2,000; the width of the
        last layer’s inputs steadier by a factor of 10, their median by 2. At learning rate 2: errors within
        4 points of each other after 500 steps, although the median drifts at least twice as far without a
        norm. From weights N(0, 0.01²): an error of at least 80% without a norm, of at most 10% with batch
        norm.
    """,
    sources=("Ioffe & Szegedy 2015, figure 1",),
    contested="""
        How large the gap is depends on how well the network without a norm is tuned: it is judged at two
        learning rates. Steadier distributions need not be why training is faster: learning rate 2, and E6,
        tell the two apart.
    """,
    caveat="Learning rate 2 was not searched for: another one may be better for either network.",
    cells=_e5_cells,
    read=_e5_read,
    races=lambda: (
        Race("Ioffe & Szegedy’s figure 1", (replace(_E5, norm="none"), _E5), 2000),
        Race("The same at learning rate 2", (replace(_E5, norm="none", lr=2.0), replace(_E5, lr=2.0)), 500),
    ),
    nulls=(_LIKE_NONE, _EXCHANGED, same("the learning rate plays no role", {_FAST: 0.1})),
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
_GAPS6 = (0.08, 0.3, 0.4)  # between neighbours: half of what seeds 0 to 5 have
_SHIFTS = (("tanh", 0.03), ("tanh", 0.1), ("relu", 0.1))  # activation, learning rate


def _e6_cells(full: bool) -> Cells:
    config, steps = replace(_TANH, replicas=6 if full else 3), 150 if full else 70
    found: Cells = {name: Cell("learning", replace(config, **arm), steps) for name, arm in _ARMS6.items()}
    relu, quiet = replace(config, activation="relu", init_scale=1.0, lr=0.1), replace(config, **QUIET)
    for name in ("batch norm", "noisy batch norm", "standard"):
        arm, looks = replace(quiet, **_ARMS6[name]), 100 if full else 30
        found["moved", name] = Cell("unsteadiness", arm, looks, (("every", 1),))
    for name in ("noisy batch norm", "standard") if full else ():
        found["relu", name] = Cell("learning", replace(relu, **_ARMS6[name]), 400)
    for (activation, lr), norm in product(_SHIFTS if full else _SHIFTS[::2], ("none", "batch")):
        arm = replace(quiet if activation == "tanh" else replace(relu, **QUIET), norm=norm, lr=lr)
        looks = 100 if full else 40
        found["shift", activation, lr, norm] = Cell("covariate_shift", arm, looks, (("every", 20),))
    return found


def _e6_read(results: Results) -> Findings:
    early = {name: results[name]["train_loss"][:, 50:100].mean(axis=1) for name in _ARMS6}
    moved = {name: results["moved", name]["moved"] for name in list(_ARMS6)[:-1]}
    noisy, standard = moved["noisy batch norm"], moved["standard"]
    checks = [
        check("how far mean inputs move in a step, noisy batch norm / standard", noisy / standard, 2,
              seeds=6, null=1, name="unsteady")
    ]  # fmt: skip
    arms = list(_ARMS6)
    for better, worse, least in zip(arms[:-1], arms[1:], _GAPS6, strict=True):
        name = "ahead" if worse == "standard" else "strong"
        gap = early[worse] - early[better]
        checks.append(check(f"loss, {worse} − {better}", gap, least, seeds=6, null=0, name=name))
    checks += [check(f"loss over steps 50 to 99, {name}", values) for name, values in early.items()]
    checks += [check(f"mean inputs move in a step by so many sd, {n}", values) for n, values in moved.items()]
    gains = [_plain(paired(early["standard"] - early[name])) for name in arms[:2]]
    notes = [f"Loss of standard − batch norm over steps 50 to 99: {gains[0]}, with the noise {gains[1]}."]
    for begin, stop in ((50, 100), (350, 400)) if ("relu", "standard") in results else ():
        spans = {
            name: results["relu", name]["train_loss"][:, begin:stop].mean(axis=1)
            for name in ("noisy batch norm", "standard")
        }
        words = f"ReLU, loss over steps {begin} to {stop - 1}"
        checks += [check(f"{words}, {name}", values) for name, values in spans.items()]
        gap = paired(spans["standard"] - spans["noisy batch norm"])
        sign = "" if gap.clear else ", no evidence for either"
        notes.append(f"{words}, standard − noisy batch norm: {_plain(gap)}{sign}.")
    notes += _shifts(results, checks)
    picture = Picture(
        "Noise behind batch norm, new at every step, and it trains all the same", "step",
        "training loss",
        tuple(curve(name, results[name], "train_loss") for name in _ARMS6), log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), tuple(notes))


def _plain(found: Interval) -> str:
    return found.text("", 2).replace("  ", " ")  # of what has no unit


def _shifts(results: Results, checks: list[Check]) -> list[str]:
    """Return sentences on the shift of gradients, by two measures, and add what was measured to `checks`."""
    told: dict[str, list[str]] = {"smaller": [], "larger": [], "undecided": []}
    for activation, lr in (pair for pair in _SHIFTS if ("shift", *pair, "none") in results):
        kind = "ReLU" if activation == "relu" else activation
        for quantity, words in (("distance", "length of G − G′"), ("cosine", "cosine of G and G′")):
            values = {
                n: results["shift", activation, lr, n][quantity].mean(axis=1) for n in ("none", "batch")
            }
            checks += [check(f"{kind}, lr {lr}: {words}, {NAMES[n]}", value) for n, value in values.items()]
            gap = paired(values["batch"] - values["none"])
            grows = (gap.mean > 0) == (quantity == "distance")  # a large cosine is a small shift
            case = f"{kind} at {lr:g} by {quantity}"
            if gap.clear:
                told["larger" if grows else "smaller"].append(case)
            else:
                told["undecided"].append(f"{case}, {_plain(gap)}")
    sentence = "; ".join(f"{word} for {', '.join(group)}" for word, group in told.items() if group)
    return [f"The shift of gradients with batch norm is {sentence}."]


E6 = Experiment(
    name="E6",
    title="Is it covariate shift? Noise injected behind the norm",
    claims={"shift": Sides(limits=("ahead",), controls=("unsteady", "strong"))},
    setup="""
        Digits, 10 × 64 tanh units, SGD at learning rate 0.03, batch 64, 6 seeds. Noise with random mean
        and scale, new at every step, is added behind each norm, or where it would stand. Unsteady: how far
        the mean of a unit’s inputs on the same batch moves from one step to the next, in standard
        deviations, over 100 steps. Shift: how far a layer’s gradient G is from G′, that on the same batch
        after the layers before it have moved; averages over layers and 100 steps.
    """,
    theory="If steady distributions were what helps, unsteady ones should not.",
    accepted="""
        With the noise mean inputs of batch norm move at least twice as far in a step as the standard
        network’s. Mean loss over steps 50 to 99: the noise costs batch norm at least 0.08 and the standard
        network at least 0.4; noisy batch norm is at least 0.3 below standard.
    """,
    sources=("Santurkar et al. 2018", "Ioffe & Szegedy 2015"),
    contested="""
        Santurkar et al. report that noisy batch norm matches batch norm, and that batch norm does not
        reduce the shift of gradients; Ioffe & Szegedy see its reduction as the cause. Here the noise has a
        price. Lengths and angles need not agree on the shift: the notes say where it is smaller and where
        larger.
    """,
    caveat="""
        The noise disturbs gradients, too: what it costs is no measure of what steady distributions are
        worth.
    """,
    cells=_e6_cells,
    read=_e6_read,
    races=lambda: (
        Race("Noise behind the norm", tuple(replace(_TANH, **arm) for arm in _ARMS6.values()), 400),
    ),
    nulls=(
        same("noise changes nothing", {"noisy batch norm": "batch norm", "noisy standard": "standard"}),
        same("batch norm is like no norm", {"batch norm": "standard", "noisy batch norm": "noisy standard"}),
    ),
)


def _e7_cells(full: bool) -> Cells:
    config = RunConfig(batch_size=64, lr=0.1, replicas=3, **QUIET)
    steps = 200 if full else 60
    found: Cells = {}
    for depth, norm in product((5, 10, 15) if full else (5,), ("none", "batch")):
        arm = replace(config, depth=depth, norm=norm)
        found[depth, norm] = Cell("landscape", arm, steps, (("every", 10),))
    start = replace(config, lr=1e-7, dtype="float64", replicas=6 if full else 3)
    for depth, norm in product((2, 5, 10, 20, 40) if full else (2, 20), ("none", "batch")):
        arm = replace(start, depth=depth, norm=norm)
        found["start", depth, norm] = Cell("landscape", arm, 0, (("every", 1),))
    return found


def _e7_read(results: Results) -> Findings:
    checks, betas = [], {}
    depths = [label[0] for label in results if label[0] != "start" and label[1] == "none"]
    for depth in depths:
        none, batch = (results[depth, norm] for norm in ("none", "batch"))
        median = {
            name: (np.median(none[name], axis=1), np.median(batch[name], axis=1))
            for name in ("loss_range", "gradient_change", "smoothness")
        }
        betas[depth] = median["smoothness"]
        for name, words in (
            ("loss_range", "loss range"),
            ("smoothness", "effective smoothness β"),
            ("gradient_change", "gradient change"),
        ):
            least = {"loss_range": 3.0, "smoothness": 1.5 if depth == 5 else None}.get(name)
            what, (without, with_norm) = f"{words}, no norm / batch norm, depth {depth}", median[name]
            judged: dict[str, Any] = {} if least is None else {"least": least, "name": "smoother"}
            checks.append(check(what, without / with_norm.mean(), **judged))
    starts = [label[1] for label in results if label[0] == "start" and label[2] == "none"]
    rough = {
        norm: np.stack([results["start", depth, norm]["smoothness"][:, 0] for depth in starts], axis=1)
        for norm in ("none", "batch")
    }
    powers = np.log10(rough["batch"] / rough["none"])
    for depth, values in zip(starts, powers.T, strict=True):
        what = f"β at the start, batch norm / no norm, depth {depth}, powers of ten"
        judged = {"least": 2.0, "seeds": 6, "null": 0.0, "name": "rougher"} if depth >= 20 else {}
        checks.append(check(what, values, **judged))
    checks += [
        check(f"effective smoothness β at the start, {NAMES[norm]}, depth {depth}", values)
        for norm, table in rough.items()
        for depth, values in zip(starts, table.T, strict=True)
    ]
    pictures = (
        Picture(
            f"How much the loss varies along the gradient, depth {depths[0]}", "step", "range of the loss",
            tuple(curve(NAMES[norm], results[depths[0], norm], "loss_range") for norm in ("none", "batch")),
            log_y=True,
        ),
        Picture(
            "Before training, very near the start: smoother when shallow, far rougher when deep",
            "hidden layers", "effective smoothness β: large is rough",
            tuple(band(NAMES[norm], starts, table) for norm, table in rough.items()), log_x=True, log_y=True,
        ),
    )  # fmt: skip
    training = _factors((depth, np.log10(batch / none)) for depth, (none, batch) in betas.items())
    notes = (
        f"β of batch norm over that of no norm, {len(betas[depths[0]][0])} seeds, in training: {training}.",
        f"The same before training, {len(powers)} seeds: {_factors(zip(starts, powers.T, strict=True))}.",
    )
    return Findings(pictures, tuple(checks), notes)


def _factors(rows: Iterable[tuple[int, Array]]) -> str:
    """Return factors by depth in words, with intervals, from their logarithms to base 10, one a seed."""
    told = []
    for depth, powers in rows:
        found = paired(powers)
        factor, low, high = (10**power for power in found[:3])
        sign = "" if found.clear else ", no evidence for either"
        told.append(f"{factor:.2g} at depth {depth} ({LEVEL:.0%} interval {low:.2g} to {high:.2g}{sign})")
    return ", ".join(told)


def _e7_race(depth: int) -> Race:
    configs = (RunConfig(depth=depth, batch_size=64, replicas=3, norm=norm) for norm in ("none", "batch"))
    return Race(f"Depth {depth}, no norm and batch norm", tuple(configs), 200)


E7 = Experiment(
    name="E7",
    title="Smoother in training, rougher at the start of deep networks",
    claims={
        "smooth": Sides(shows=("smoother",), limits=("rougher",)),
        "depth": Sides(shows=("rougher",)),
    },
    setup="""
        Digits, ReLU, 5, 10 and 15 layers of 64 units, learning rate 0.1, batch 64, 3 seeds. Every 10 of
        200 steps the loss is probed along its gradient, ½ to 4 learning rates away; medians. β is the
        change of the gradient over the distance. Then β before training, 10⁻⁷ times the gradient away,
        6 seeds.
    """,
    theory="""
        Santurkar et al. bound the gradient of a normalized layer; Yang et al. show that it explodes with
        depth.
    """,
    accepted="""
        In training the range of the loss at least 3 times smaller with batch norm at each depth, and
        effective smoothness β at least 1.5 times smaller at depth 5. Before training β at least 100 times
        larger with batch norm at depths 20 and 40 (mean of logarithms).
    """,
    sources=("Santurkar et al. 2018", "Yang et al. 2019"),
    contested="""
        Santurkar et al. look at training, Yang et al. at the start of deep plain networks: the two can
        both be right. The notes compare both at several depths.
    """,
    cells=_e7_cells,
    read=_e7_read,
    races=lambda: (_e7_race(5), _e7_race(15)),
    nulls=(_LIKE_NONE, _EXCHANGED),
)
