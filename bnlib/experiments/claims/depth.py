"""E3, E4, E16: deep networks before any training."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

from ... import theory
from ...config import RunConfig
from ..findings import Findings, Picture, Results, band, check, mean, near, points, predicted, whole_numbers
from ..model import NAMES, Arms, Cells, Experiment
from ..probes import Cell


def _e3_cells(full: bool) -> Cells:
    sizes, width = ((5, 6, 8, 16, 32, 64, 128, 256), 512) if full else ((6, 8, 32), 256)
    config = RunConfig(depth=30, width=width, eps=0.0, replicas=3)
    layers = (("first", 5), ("last", 24))
    return {
        (activation, m): Cell(
            "gradient_growth", replace(config, activation=activation, batch_size=m), 0, layers
        )
        for activation in ("linear", "relu")
        for m in sizes
    }


def _e3_read(results: Results) -> Findings:
    forms = {"linear": theory.gradient_growth_linear, "relu": theory.gradient_growth_relu}
    checks, series = [], []
    for activation, form in forms.items():
        sizes = [m for kind, m in results if kind == activation]
        name = "ReLU" if activation == "relu" else activation
        for m in sizes:
            found = results[activation, m]
            # Finite width: the tolerance is that of 512 units.
            tolerance = (0.10 if m < 8 else 0.04) * sqrt(512 / found["width"][0])
            checks.append(near(f"{name}, batch {m}", found["growth"], form(m), tolerance))
        series.append(points(name, results, {m: (activation, m) for m in sizes}, "growth"))
        series.append(predicted(f"{name}, theory", whole_numbers(sizes[0], sizes[-1]), form))
    growth, sizes = checks[-1].measured, [m for kind, m in results if kind == "linear"]
    excess = mean(results["linear", sizes[-1]]["growth"]) - 1
    depth = theory.trainable_depth(theory.RELU_GROWTH)
    notes = (
        f"With ReLU and the largest batches here the squared gradient grows by {growth:.3f} a layer, in the "
        f"limit by {theory.RELU_GROWTH:.3f}, π/(π−1). By Yang et al.’s rule of thumb, 16 over its logarithm, "
        f"about {depth:.0f} layers can be trained.",
        f"The linear network at a batch of {sizes[-1]} grows by {excess:.3f} a layer, theory says "
        f"{theory.gradient_growth_linear(sizes[-1]) - 1:.3f}.",
    )
    picture = Picture(
        "Gradients grow toward the input, the more so the smaller the batch", "batch size",
        "growth of ‖gradient‖² per layer", tuple(series), log_x=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


E3 = Experiment(
    name="E3",
    title="Batch norm makes gradients explode with depth",
    claims={},
    setup="""
        30 layers of 512 units at initialization, Gaussian inputs, a random gradient at the top; slope of
        log ‖gradient‖² over layers 5 to 24, 3 seeds.
    """,
    theory="""
        Per layer (B−2)/(B−3) for linear networks; for ReLU a closed form that falls to π/(π−1) ≈ 1.467.
        No choice of the initial variance removes it.
    """,
    accepted="Within 4% for batches of 8 and more, 10% for 5 and 6 (heavy tails).",
    sources=("Yang et al. 2019, Theorem 8",),
    contested="""
        Ioffe & Szegedy 2015 (3.3) conjectured singular values near 1; this disproves it. Yang et al. also
        report that one step of training brings gradients to a stable balance.
    """,
    caveat="""
        Theory is for infinite width. The 4% that are accepted do not tell a linear network’s growth at
        batches of 32 and more from none.
    """,
    cells=_e3_cells,
    read=_e3_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
)


def _e4_cells(full: bool) -> Cells:
    depth, width, last = (40, 384, 34) if full else (30, 192, 24)
    config = RunConfig(depth=depth, width=width, batch_size=64, replicas=3)
    arms: Arms = {
        "batch norm": {},
        "layer norm": {"norm": "layer"},
        "no norm": {"norm": "none"},
        "batch norm, residual": {"residual": "pre"},
    }
    options = (("first", 5), ("last", last), ("source", "loss"))
    return {name: Cell("gradient_growth", replace(config, **arm), 0, options) for name, arm in arms.items()}


def _e4_read(results: Results) -> Findings:
    width = results["no norm"]["width"][0]
    looser = sqrt(384 / width)
    growth = {name: found["growth"] for name, found in results.items()}
    checks = (
        near("batch norm", growth["batch norm"], theory.gradient_growth_relu(64), 0.04 * looser),
        near("layer norm", growth["layer norm"], 1.0, 0.05 * looser),
        near("no norm", growth["no norm"], 1.0, 0.05 * looser),
        check("batch norm, residual", growth["batch norm, residual"], most=1 + 0.1 * looser),
    )
    depth = range(1, results["no norm"]["energy"].shape[1] + 1)
    last = results["no norm"]["last"][0]
    curves = [band(n, depth, f["energy"] / f["energy"][:, last - 1, None]) for n, f in results.items()]
    picture = Picture(
        "The gradient on its way from the last layer to the first", "layer (1 is nearest to the input)",
        f"‖gradient‖², layer {last} = 1", tuple(curves), log_y=True,
    )  # fmt: skip
    return Findings((picture,), checks)


E4 = Experiment(
    name="E4",
    title="Skip connections tame exploding gradients; without a norm He’s weights keep them level",
    claims={},
    setup="""
        40 ReLU layers of 384 units at initialization, 64 digits, gradient of the loss; slope over layers
        5 to 34, 3 seeds.
    """,
    theory="Batch norm: Yang’s factor for a batch of 64. No norm with He’s weights: 1.",
    accepted="Batch norm within 4% of theory, layer norm and no norm 1 ± 0.05, residual below 1.1.",
    sources=("Yang et al. 2019", "He et al. 2015, 2016"),
    contested="""
        Better gradient flow is claimed of batch norm as such; at initialization of a plain deep network
        it is the other way round. It rescues badly scaled weights (E19), not depth.
    """,
    caveat="""
        Of the residual network the topmost layer stands apart: its gradient comes from the output layer.
        The others’ curve is bent, as a stream’s that grows by one a block (E16); the slope is its average.
    """,
    cells=_e4_cells,
    read=_e4_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
)


def _e16_cells(full: bool) -> Cells:
    config = RunConfig(depth=31, width=512, batch_size=256 if full else 128, residual="pre", replicas=3)
    return {norm: Cell("residual_stream", replace(config, norm=norm)) for norm in ("batch", "none")}


def _e16_read(results: Results) -> Findings:
    blocks = (1, 5, 10, 30)
    checks = [
        near(f"batch norm, after {n} block{'s' * (n > 1)}", results["batch"]["stream"][:, n],
             theory.residual_second_moment(n), 0.05)
        for n in blocks
    ]  # fmt: skip
    none = results["none"]["stream"][:, 30]
    checks.append(near("no norm, after 30 blocks", none, theory.residual_second_moment(30, False), 0.3))
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
    return Findings((picture,), tuple(checks))


E16 = Experiment(
    name="E16",
    title="In residual networks batch norm makes the branch small",
    claims={},
    setup="30 pre-activation residual blocks of 512 units at initialization, 3 seeds.",
    theory="E[h²] after l blocks: l + 1 with batch norm, so that a branch’s share is 1/(l+1); 2ˡ without.",
    accepted="Batch norm within 5% of l + 1, no norm within 30% of 2³⁰.",
    sources=("De & Smith 2020", "He et al. 2015, 2016"),
    contested="",
    cells=_e16_cells,
    read=_e16_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
)
