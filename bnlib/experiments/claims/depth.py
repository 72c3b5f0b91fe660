"""E3, E4, E16: deep networks before any training."""

from __future__ import annotations

from dataclasses import replace
from math import exp, inf, sqrt

import numpy as np

from ... import theory
from ...networks.config import RunConfig
from ...norms.statistics import Array
from ..findings import Findings, Picture, Results, band, check, mean, near, points, predicted, whole_numbers
from ..intervals import paired
from ..model import NAMES, Arms, Cells, Experiment, Null, Sides
from ..nulls import changed, exchanged, same
from ..probes import Cell

_FEATURES = "64 features"


def _e3_cells(full: bool) -> Cells:
    sizes, width = ((5, 6, 8, 16, 32, 64, 128, 256), 512) if full else ((6, 8, 32), 256)
    config = RunConfig(depth=31, width=width, eps=0.0, replicas=3)  # the first layer is left out
    layers = (("first", 5), ("last", 24))
    options = (*layers, ("source", "isotropic"))
    found: Cells = {
        (kind, m): Cell("gradient_growth", replace(config, activation=kind, batch_size=m), 0, options)
        for kind in ("linear", "relu")
        for m in sizes
    }
    if full:
        few = replace(config, depth=30, activation="linear", batch_size=sizes[-1])
        found[_FEATURES, sizes[-1]] = Cell("gradient_growth", few, 0, layers)
    return found


def _e3_tolerance(kind: str, m: int) -> float:
    """Return by which share of theory's growth − 1 the measured one may be off; None: it is only reported."""
    if kind == "linear":
        return 0.2 if m < 32 else 0.5 if m <= 64 else 0.0
    return 0.15 if m < 8 else 0.1 if m < 32 else 0.04


def _e3_read(results: Results) -> Findings:
    sizes = [m for kind, m in results if kind == "linear"]
    width = int(results["linear", sizes[0]]["width"][0])
    forms = {
        "linear": lambda m: theory.gradient_growth_linear(m, width),
        "relu": theory.gradient_growth_relu,
    }
    checks, series = [], []
    for kind, form in forms.items():
        name = "ReLU" if kind == "relu" else kind
        for m in sizes:
            what, excess, expected = (
                f"{name}, batch {m}, growth − 1",
                results[kind, m]["growth"] - 1,
                form(m) - 1,
            )
            if tolerance := _e3_tolerance(kind, m) * sqrt(512 / width):
                checks.append(near(what, excess, expected, tolerance, name="growth"))
            else:
                checks.append(check(what, excess, expected=expected))
        series.append(points(name, results, {m: (kind, m) for m in sizes}, "growth"))
        series.append(predicted(f"{name}, theory", whole_numbers(sizes[0], sizes[-1]), form))
    most, depth = sizes[-1], theory.trainable_depth(theory.RELU_GROWTH)
    wide, here = (theory.gradient_growth_linear(most, n) - 1 for n in (inf, width))
    notes = [
        f"With ReLU and the largest batches here the squared gradient grows by "
        f"{mean(results['relu', most]['growth']):.3f} a layer, in the limit by {theory.RELU_GROWTH:.3f}, "
        f"π/(π−1). By Yang et al.’s rule of thumb, 16 over its logarithm, about {depth:.0f} layers can be "
        "trained.",
        f"The linear network’s growth − 1 at a batch of {most} is "
        f"{paired(results['linear', most]['growth'] - 1).text('a layer', 4)}. Theory says "
        f"{wide:.4f} for infinite width and {here:.4f} for {width} units.",
    ]
    if (_FEATURES, most) in results:
        few = results[_FEATURES, most]["growth"] - 1
        checks.append(check(f"linear, batch {most}, growth − 1, {_FEATURES}", few))
        notes.append(
            f"If {most} samples of 64 Gaussian features enter instead, no more than 64 of them are linearly "
            f"independent, and it is {paired(few).text('a layer', 4)}."
        )
    picture = Picture(
        "Gradients grow toward the input, the more so the smaller the batch", "batch size",
        "growth of ‖gradient‖² per layer", tuple(series), log_x=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), tuple(notes))


def _e3_as_at_eight(results: Results) -> Results:
    return {(kind, m): results.get((kind, 8), found) for (kind, m), found in results.items()}


E3 = Experiment(
    name="E3",
    title="Batch norm makes gradients explode with depth",
    claims={"depth": Sides(shows=("growth",))},
    setup="""
        30 layers of 512 units at initialization; slope of log ‖gradient‖² over layers 5 to 24, 3 seeds. As in
        theory, the samples that enter are at right angles to each other and of the same length, and the
        gradient at the top is Gaussian.
    """,
    theory="""
        Per layer (B−2)/(B−3) for linear networks; for ReLU a closed form that falls to π/(π−1) ≈ 1.467. No
        choice of the initial variance removes it. Both are for infinite width; a linear network of N units
        has 1 − 2/N times that, since the weights that the gradient meets have made the variance.
    """,
    accepted="""
        Growth − 1, as a share of theory’s: ReLU within 4% for batches of 32 and more, 10% for 8 and 16, 15%
        for 5 and 6 (heavy tails); linear within 20%, and 50% for 32 and 64.
    """,
    sources=("Yang et al. 2019, Theorem 8", "elementary: the linear network of finite width"),
    contested="""
        Ioffe & Szegedy 2015 (3.3) conjectured singular values near 1; this disproves it. Yang et al. also
        report that one step of training brings gradients to a stable balance.
    """,
    caveat="""
        At 128 and 256 samples the linear network’s growth is only reported: finite width takes away about as
        much as its excess over 1, and the samples don’t stay at right angles to each other. Inputs of fewer
        features than samples are another case, with a larger growth.
    """,
    cells=_e3_cells,
    read=_e3_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
    nulls=(
        changed("gradients don’t grow", lambda _, found: {"growth": np.ones_like(found["growth"])}),
        Null("the batch size plays no role", _e3_as_at_eight),
    ),
)

_HALF = ", weights × ½"
_E4_ARMS: Arms = {
    "batch norm": {},
    "layer norm": {"norm": "layer"},
    "no norm": {"norm": "none"},
    "batch norm, residual": {"residual": "pre"},
    f"batch norm{_HALF}": {"init_scale": 0.5},
    f"no norm{_HALF}": {"norm": "none", "init_scale": 0.5},
}
_E4 = RunConfig(depth=40, width=384, batch_size=64, replicas=3)


def _e4_cells(full: bool) -> Cells:
    config, last = (_E4, 34) if full else (replace(_E4, depth=30, width=192), 24)
    options = (("first", 5), ("last", last), ("source", "loss"))
    return {
        name: Cell("gradient_growth", replace(config, **arm), 0, options) for name, arm in _E4_ARMS.items()
    }


def _e4_residual(layers: int) -> Array:
    """Return theory's squared gradients in the residual network by layer, that of the last being 1."""
    start = 2 * float(_E4.data().x_train.var(axis=0).mean()) * theory.RELU_GROWTH
    growth = [theory.residual_gradient_growth(_E4.batch_size, n, start) for n in range(2, layers + 1)]
    return np.append(np.cumprod(growth[::-1])[::-1], 1.0)


def _e4_read(results: Results) -> Findings:
    found = results["no norm"]
    layers, last = found["energy"].shape[1], int(found["last"][0])
    looser = sqrt(384 / found["width"][0])
    squares = _e4_residual(layers)
    slope = np.polyfit(np.arange(5, last + 1), np.log(squares[4:last]), 1)[0]
    explodes = theory.gradient_growth_relu(_E4.batch_size)
    judged = {  # theory, tolerance as a share, what it is evidence for
        "batch norm": (explodes, 0.04, "explodes"),
        "layer norm": (1.0, 0.05, "level"),
        "no norm": (1.0, 0.05, "level"),
        "batch norm, residual": (exp(-slope), 0.01, "tamed"),
        f"batch norm{_HALF}": (explodes, 0.04, "rescued"),
        f"no norm{_HALF}": (0.25, 0.05, "rescued"),
    }
    checks = [
        near(f"growth a layer, {arm}", results[arm]["growth"], growth, share * looser, name=name)
        for arm, (growth, share, name) in judged.items()
    ]
    depth = range(1, layers + 1)
    curves = [band(n, depth, f["energy"] / f["energy"][:, last - 1, None]) for n, f in results.items()]
    curves.append(
        predicted("batch norm, residual, theory", depth, lambda n: squares[n - 1] / squares[last - 1])
    )
    picture = Picture(
        "The gradient on its way from the last layer to the first", "layer (1 is nearest to the input)",
        f"‖gradient‖², layer {last} = 1", tuple(curves), log_y=True,
    )  # fmt: skip
    ways = {
        arm: round(mean(np.log10(f["energy"][:, 4] / f["energy"][:, last - 1])), 1)
        for arm, f in results.items()
    }
    notes = (
        f"From layer {last} to layer 5 the squared gradient changes by a factor of "
        + ", ".join(f"10^{ways[arm] + 0.0:.1f} ({arm})" for arm in judged) + ".",
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


E4 = Experiment(
    name="E4",
    title="Batch norm rescues small weights, not depth; skip connections tame exploding gradients",
    claims={
        "flow": Sides(shows=("rescued",), limits=("explodes", "level")),
        "depth": Sides(shows=("explodes", "level", "tamed")),
    },
    setup="""
        40 ReLU layers of 384 units at initialization, with He’s weights or with half of them, 64 digits,
        gradient of the loss; growth per layer of ‖gradient‖² toward the input from the slope over layers 5 to
        34, 3 seeds.
    """,
    theory="""
        Batch norm: Yang’s factor for a batch of 64, whatever the weights’ scale. No norm: 1 with He’s
        weights, a² with a times them. Residual blocks: 1 + Yang’s factor times the share that one branch has
        in the variance of the stream that the norm sees.
    """,
    accepted="""
        Batch norm within 4% of theory, also with half the weights; layer norm and no norm 1 ± 0.05; no norm
        with half the weights within 5% of 1/4; residual within 1% of theory.
    """,
    sources=("Yang et al. 2019", "He et al. 2015, 2016", "elementary: residual blocks, from Yang’s factor"),
    contested="""
        Better gradient flow is claimed of batch norm as such. At initialization of a plain deep network with
        He’s weights it is the other way round: there batch norm’s gradients explode, and those without a norm
        are level. Batch norm makes up for weights of the wrong scale (E19), not for depth.
    """,
    caveat="""
        Of the residual network the topmost layer stands apart: its gradient comes from the output layer. The
        others’ curve is bent, as a stream’s that grows by one a block (E16); the slope is its average. Theory
        takes the samples for independent Gaussians; the digits are not.
    """,
    cells=_e4_cells,
    read=_e4_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
    nulls=(
        same("batch norm is like no norm", {f"batch norm{end}": f"no norm{end}" for end in ("", _HALF)}),
        exchanged(
            f"batch norm{_HALF}",
            f"no norm{_HALF}",
            "with half the weights batch norm and no norm are exchanged",
        ),
        same(
            "no norm and layer norm are like batch norm", {n: "batch norm" for n in ("no norm", "layer norm")}
        ),
        same("skip connections change nothing", {"batch norm, residual": "batch norm"}),
    ),
)


def _e16_cells(full: bool) -> Cells:
    width, samples = (512, 256) if full else (256, 128)
    config = RunConfig(depth=31, width=width, batch_size=samples, residual="pre", replicas=3)
    return {norm: Cell("residual_stream", replace(config, norm=norm)) for norm in ("batch", "none")}


def _e16_read(results: Results) -> Findings:
    batch, none = (results[norm]["stream"] for norm in ("batch", "none"))
    checks = [
        near("batch norm, after 1 block", batch[:, 1], theory.residual_second_moment(1), 0.05, exact=True)
    ]
    checks += [
        near(
            f"batch norm, after {n} blocks", batch[:, n], theory.residual_second_moment(n), 0.05, name="small"
        )
        for n in (5, 10, 30)
    ]
    doubled = theory.residual_second_moment(1, False)
    what = "no norm, factor per block over 30 blocks"
    checks.append(near(what, none[:, 30] ** (1 / 30), doubled, 0.04, name="doubles"))
    x = range(31)
    series = []
    for norm, found in results.items():
        series.append(band(NAMES[norm], x, found["stream"]))
        formula = "l + 1" if norm == "batch" else "2ˡ"
        form = {n: theory.residual_second_moment(n, norm == "batch") for n in x}
        series.append(predicted(f"{NAMES[norm]}, theory {formula}", x, form.__getitem__))
    picture = Picture(
        "The residual stream grows by one a block, or doubles", "block", "E[h²]", tuple(series), log_y=True
    )
    shares = [1 - mean(s[:, 29] / s[:, 30]) for s in (batch, none)]
    notes = (
        f"What block 30 adds is {shares[0]:.1%} of the stream’s second moment with batch norm and "
        f"{shares[1]:.1%} without a norm.",
    )
    return Findings((picture,), tuple(checks), notes)


E16 = Experiment(
    name="E16",
    title="In residual networks batch norm makes the branch small",
    claims={"branch": Sides(shows=("small", "doubles"))},
    setup="30 pre-activation residual blocks of 512 units at initialization, Gaussian inputs, 3 seeds.",
    theory="E[h²] after l blocks: l + 1 with batch norm, so that a branch’s share is 1/(l+1); 2ˡ without.",
    accepted="""
        Batch norm within 5% of l + 1; without a norm E[h²] grows by 2 ± 4% a block, the geometric mean over
        30 blocks.
    """,
    sources=("De & Smith 2020 (abstract)", "He et al. 2015, 2016"),
    contested="",
    caveat="""
        That the branch is small at initialization is shown here, not that training needs it: E26 asks that.
    """,
    cells=_e16_cells,
    read=_e16_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
    nulls=(exchanged("batch", "none", "batch norm and no norm are exchanged"),),
)
