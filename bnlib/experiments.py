"""The named experiments: what is claimed of batch norm, as something that anyone can run.

Each is a declaration: which cells are measured (`probes.Cell`), what is read from them (pictures, checks
against accepted outcomes, sentences), where the claim comes from and what is contested. One runner,
`run`, sends all cells through `sweep`, and a `Result` says what came out. At size "reduced" grids, seeds or
widths are smaller, and tolerances wider by what that size costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product
from math import inf, pi, sqrt
from typing import Any

import numpy as np

from . import theory
from .config import RunConfig
from .findings import Check, Findings, Label, Picture, Results, band, check, curve, near, points, predicted
from .probes import Cell, measure
from .sweep import sweep

SIZES = ("full", "reduced")
Cells = dict[Label, Cell]

CLAIMS = {
    "faster": "Training is faster",
    "rates": "Higher learning rates",
    "flow": "Gradients flow better",
    "smooth": "The loss is smoother",
    "regularization": "It regularizes",
    "initialization": "Less depends on the initial weights",
    "accuracy": "Accuracy is higher",
    "small": "Small batches fail",
    "discrepancy": "Training and inference differ",
    "online": "Learning from one sample at a time fails",
    "depth": "Without skip connections depth is limited",
    "cost": "It costs parameters and time",
    "recurrent": "Recurrent networks don’t fit",
}
LIMITS = ("small", "discrepancy", "online", "depth", "cost", "recurrent")


@dataclass(frozen=True)
class Race:
    """Runs of an experiment that the training lab can show side by side, up to a step."""

    title: str
    configs: tuple[RunConfig, ...]
    steps: int


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    claims : keys of CLAIMS that it bears on
    cells : of size "full" (True) or "reduced"
    read : what the measured cells say; gets the results and the seeds of the full size
    races : for the training lab; or why it can't show this, in words
    """

    name: str
    title: str
    claims: tuple[str, ...]
    setup: str
    theory: str
    accepted: str
    sources: tuple[str, ...]
    contested: str
    cells: Callable[[bool], Cells]
    read: Callable[[Results], Findings]
    races: Callable[[], tuple[Race, ...]] | str


@dataclass(frozen=True)
class Result:
    """What an experiment found. `print` it for a table, `figure()` it for a Plotly figure."""

    experiment: Experiment
    size: str
    findings: Findings

    @property
    def failed(self) -> list[Check]:
        return [found for found in self.findings.checks if not found.holds]

    @property
    def verdict(self) -> str:
        """One sentence, computed from the checks."""
        judged = [found for found in self.findings.checks if not found.reported]
        size = "" if self.size == "full" else " at reduced size"
        if not self.failed:
            return f"As accepted{size}: all {len(judged)} checks hold."
        failed = "; ".join(
            f"{found.what}: {found.measured:.4g}, accepted {found.accepted}" for found in self.failed
        )
        return f"Not as accepted{size}: {len(self.failed)} of {len(judged)} checks fail ({failed})."

    def figure(self, number: int = 0) -> Any:
        """Picture `number` as a Plotly figure (needs plotly)."""
        from .report import figure

        pictures = self.findings.pictures
        if not 0 <= number < len(pictures):
            raise ValueError(f"figure: number={number!r} must be 0 to {len(pictures) - 1}")
        return figure(pictures[number])

    def __str__(self) -> str:
        experiment, rows = self.experiment, [("", "theory", "measured", "lowest to highest", "accepted", "")]
        for found in self.findings.checks:
            expected = "" if found.expected is None else f"{found.expected:.4g}"
            spread = "" if found.low == found.high else f"{found.low:.4g} to {found.high:.4g}"
            mark = "" if found.reported else "holds" if found.holds else "FAILS"
            rows.append((found.what, expected, f"{found.measured:.4g}", spread, found.accepted, mark))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        lines = [f"{experiment.name}  {experiment.title}", experiment.setup, "", *table, "", self.verdict]
        lines += self.findings.notes
        if experiment.contested:
            lines.append(f"Contested: {experiment.contested}")
        return "\n".join([*lines, f"Sources: {'; '.join(experiment.sources)}"])


def run(name: str, *, size: str = "full", progress: Any = None, **how: Any) -> Result:
    """Run experiment `name` ("E1" ...); `how` is what `sweep` takes besides cells (executor, store ...).

    Raises
    ------
    ValueError
        If there is no such experiment or size.
    SweepError
        If cells could not be computed; what is finished is kept, and the same call resumes.
    """
    return run_all([name], size=size, progress=progress, **how)[0]


def run_all(names: Iterable[str], *, size: str = "full", progress: Any = None, **how: Any) -> list[Result]:
    """Run several experiments as one sweep, which keeps all processes busy; results in the order of `names`."""
    chosen = [find(name) for name in names]
    if size not in SIZES:
        raise ValueError(f"run: size={size!r} is not one of {', '.join(SIZES)}")
    cells = {experiment.name: experiment.cells(size == "full") for experiment in chosen}
    everything = [cell for group in cells.values() for cell in group.values()]
    measured = sweep(measure, everything, progress=progress, **how)
    return [
        Result(e, size, e.read({label: measured[cell] for label, cell in cells[e.name].items()}))
        for e in chosen
    ]


def find(name: str) -> Experiment:
    """The experiment called `name`, in capitals or not; a ValueError lists the names there are."""
    wanted = name.strip().upper() if isinstance(name, str) else name
    if wanted not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[wanted]


QUIET = {"record_every": 10**6, "validate_every": 10**6}
NAMES = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "group": "group norm"}
EXPERIMENTS: dict[str, Experiment] = {}


def _declare(**fields: Any) -> None:
    experiment = Experiment(**fields)
    EXPERIMENTS[experiment.name] = experiment


def _mean(values: Any) -> float:
    return float(np.nanmean(np.asarray(values, float)))


# ---- E1, E2: one batch ---------------------------------------------------------------------------------


def _e1_cells(full: bool) -> Cells:
    sizes, batches, seeds = (
        ((2, 3, 4, 5, 8, 16, 32, 64), 100_000, 3) if full else ((2, 3, 4, 8, 32), 20_000, 2)
    )
    config = RunConfig(eps=0.0, replicas=seeds, dtype="float64")
    return {m: Cell("gaussian_batches", replace(config, batch_size=m), batches) for m in sizes}


def _e1_read(results: Results) -> Findings:
    checks = []
    forms = (
        ("s", "E[s_b]", theory.batch_std_mean, 2),
        ("mean2", "Var(mean)", theory.batch_mean_variance, 2),
        ("s2", "E[s_b^2]", theory.batch_var_mean, 2),
        ("inverse_s", "E[1/s_b]", theory.inverse_std_mean, 4),
        ("inverse_s2", "E[1/s_b^2]", theory.inverse_var_mean, 6),
        ("kurtosis", "kurtosis of x-hat", theory.xhat_kurtosis, 2),
    )
    for name, words, form, least in forms:
        for m, found in results.items():
            if m >= least:  # elsewhere the sample mean has no finite variance
                error = sqrt(np.square(found[f"{name}_se"]).sum()) / len(found["s"]) + 1e-12
                known = form(m)
                bounds = (known - 4 * error, known + 4 * error)
                checks.append(check(f"{words}, m={m}", found[name], *bounds, expected=known))
    for m, found in results.items():
        # Kolmogorov's limit at the probability that 0.008 has for 100,000 numbers.
        limit = 0.008 * sqrt(1e5 / found["batches"][0])
        checks.append(check(f"shape of x-hat, largest gap, m={m}", found["distance"], most=limit, worst=True))
        bound = theory.xhat_bound(m)
        checks.append(
            check(f"largest |x-hat|, m={m}", found["largest"], most=bound + 1e-9, expected=bound, worst=True)
        )
    sizes = [m for m in results if m >= 4]
    labels = {m: m for m in sizes}
    inverse = Picture(
        "How much larger than 1/σ the factor 1/s is on average", "samples in the batch, m", "E[1/s] · σ",
        (
            points("measured", results, labels, "inverse_s"),
            predicted("√(m/2) Γ((m−2)/2) / Γ((m−1)/2)", sizes, theory.inverse_std_mean),
        ),
        log_x=True,
    )  # fmt: skip
    centres = np.linspace(-3.95, 3.95, 80)
    shapes = []
    for m in (3, 4, 8):
        shapes.append(band(f"m={m}", centres.tolist(), results[m]["density"]))
        cdf = theory.xhat_cdf(np.linspace(-4, 4, 81), m)
        shapes.append(
            predicted(f"m={m}, theory", centres, dict(zip(centres, np.diff(cdf) / 0.1, strict=True)).get)
        )
    shape = Picture("What comes out of Gaussian batches is not Gaussian", "x̂", "density", tuple(shapes))
    return Findings(
        (inverse, shape), tuple(checks), ("For m=2 the mean of 1/s is infinite: it never settles.",)
    )


_declare(
    name="E1",
    title="Statistics of a small batch are noisy, and x̂ has a shape of its own",
    claims=("small",),
    setup="Gaussian batches of m numbers, normalized without ε.",
    theory="Moments of the χ distribution; x̂ has density ∝ (1 − x²/(m−1))^((m−4)/2) and |x̂| ≤ √(m−1).",
    accepted="Moments within 4 standard errors where their variance is finite; distance of the distribution "
    "functions below 0.008 at 100,000 batches.",
    sources=("elementary: χ distribution", "Thompson 1935, distribution of a studentized deviation"),
    contested="",
    cells=_e1_cells,
    read=_e1_read,
    races="Nothing is trained here: the chapter One batch shows it under the finger.",
)


def _e2_cells(full: bool) -> Cells:
    shapes = list(product((2, 3, 8, 32), (0.0, 1e-5, 0.3)))
    config = RunConfig(replicas=5 if full else 2, dtype="float64")
    return {
        (m, eps): Cell("jacobian", replace(config, batch_size=m, eps=eps), 200 if full else 20)
        for m, eps in shapes
    }


def _e2_read(results: Results) -> Findings:
    words = {
        "spectrum": "eigenvalues of ∂x̂/∂x",
        "projector": "s ∂x̂/∂x is a projector, ε=0",
        "santurkar": "Theorem 4.1 as an equality, ε=0",
        "pair": "∂x̂₁/∂x₁ of two numbers",
    }
    checks = [
        check(f"largest error: {text}", [found[name].max() for found in results.values()], most=1e-10,
              expected=0.0, worst=True)
        for name, text in words.items()
    ]  # fmt: skip
    pairs = results[2, 0.0]["gradient"]
    checks.append(
        check("m=2, ε=0: share of a gradient that passes", pairs, most=1e-10, expected=0.0, worst=True)
    )
    eigenvalues = results[8, 0.3]["eigenvalues"]
    picture = Picture(
        "Of m directions one is lost, one keeps ε / (σ² + ε), all others pass", "direction",
        "eigenvalue of ∂x̂/∂x · √(σ² + ε)",
        (band("m=8, ε=0.3", range(1, 9), eigenvalues), band("m=8, ε=0", range(1, 9), results[8, 0.0]["eigenvalues"])),
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


_declare(
    name="E2",
    title="What batch norm lets pass of a gradient",
    claims=("smooth", "small"),
    setup="The Jacobian of one feature’s batch norm, random upstream gradients, float64.",
    theory="Without ε the Jacobian is a projector divided by s: it removes the mean and the part along x̂, so "
    "that of two samples nothing is left. Santurkar’s bound is then an equality.",
    accepted="Errors below 1e-10.",
    sources=("Ioffe & Szegedy 2015, section 3", "Santurkar et al. 2018, Theorem 4.1"),
    contested="Copies of Theorem 4.1 disagree on its last term; 1/m is right, 1/√m is violated by random draws.",
    cells=_e2_cells,
    read=_e2_read,
    races="Nothing is trained here: the chapter One batch shows it under the finger.",
)


# ---- E3, E4, E16: depth, before any training -----------------------------------------------------------


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
        for m in sizes:
            found = results[activation, m]
            # Finite width: the tolerance is that of 512 units.
            tolerance = (0.10 if m < 8 else 0.04) * sqrt(512 / found["width"][0])
            checks.append(near(f"{activation}, batch {m}", found["growth"], form(m), tolerance))
        series.append(points(activation, results, {m: (activation, m) for m in sizes}, "growth"))
        series.append(predicted(f"{activation}, theory", sizes, form))
    growth = checks[-1].measured
    notes = (
        f"With ReLU and the largest batches here the squared gradient grows by {growth:.3f} a layer, in the limit "
        f"by π/(π−1) = {pi / (pi - 1):.3f}: about {theory.trainable_depth(pi / (pi - 1)):.0f} layers can be trained.",
    )
    picture = Picture(
        "Gradients grow toward the input, the more so the smaller the batch", "batch size",
        "growth of ‖gradient‖² per layer", tuple(series), log_x=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


_declare(
    name="E3",
    title="Batch norm makes gradients explode with depth",
    claims=("depth", "flow"),
    setup="30 layers of 512 units at initialization, Gaussian inputs, a random gradient at the top; slope of log "
    "‖gradient‖² over layers 5 to 24, 3 seeds.",
    theory="Per layer (B−2)/(B−3) for linear networks; for ReLU a closed form that falls to π/(π−1) ≈ 1.467. No "
    "choice of the initial variance removes it.",
    accepted="Within 4% for batches of 8 and more, 10% for 5 and 6 (heavy tails).",
    sources=("Yang et al. 2019, Theorem 8",),
    contested="Ioffe & Szegedy 2015 (3.3) conjectured singular values near 1; this disproves it. Yang et al. also "
    "report that one step of training brings gradients to a stable balance.",
    cells=_e3_cells,
    read=_e3_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
)


def _e4_cells(full: bool) -> Cells:
    depth, width, last = (40, 384, 34) if full else (30, 192, 24)
    config = RunConfig(depth=depth, width=width, batch_size=64, replicas=3)
    arms = {
        "batch norm": {},
        "layer norm": {"norm": "layer"},
        "no norm": {"norm": "none"},
        "batch norm, residual": {"residual": True},
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
    curves = [band(n, depth, found["energy"] / found["energy"][:, -1:]) for n, found in results.items()]
    picture = Picture(
        "The gradient on its way from the last layer to the first", "layer (1 is nearest to the input)",
        "‖gradient‖², last layer = 1", tuple(curves), log_y=True,
    )  # fmt: skip
    return Findings((picture,), checks)


_declare(
    name="E4",
    title="Skip connections tame it; without a norm He’s weights keep gradients level",
    claims=("depth", "flow"),
    setup="40 ReLU layers of 384 units at initialization, 64 digits, gradient of the loss; slope over layers 5 to "
    "34, 3 seeds.",
    theory="Batch norm: Yang’s factor for a batch of 64. No norm with He’s weights: 1.",
    accepted="Batch norm within 4% of theory, layer norm and no norm 1 ± 0.05, residual below 1.1.",
    sources=("Yang et al. 2019", "He et al. 2015, 2016"),
    contested="Better gradient flow is claimed of batch norm as such; at initialization of a plain deep network it is "
    "the other way round. It rescues badly scaled weights (E19), not depth.",
    cells=_e4_cells,
    read=_e4_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
)


def _e16_cells(full: bool) -> Cells:
    config = RunConfig(depth=31, width=512 if full else 256, batch_size=256, residual=True, replicas=3)
    return {norm: Cell("residual_stream", replace(config, norm=norm)) for norm in ("batch", "none")}


def _e16_read(results: Results) -> Findings:
    looser = sqrt(512 / results["none"]["width"][0])
    blocks = (1, 5, 10, 30)
    checks = [
        near(f"batch norm, after {n} blocks", results["batch"]["stream"][:, n],
             theory.residual_second_moment(n), 0.05 * looser)
        for n in blocks
    ]  # fmt: skip
    none = results["none"]["stream"][:, 30]
    checks.append(
        near("no norm, after 30 blocks", none, theory.residual_second_moment(30, False), 0.3 * looser)
    )
    x = range(31)
    series = []
    for norm, found in results.items():
        series.append(band(NAMES[norm], x, found["stream"]))
        formula = "l + 1" if norm == "batch" else "2^l"
        form = {n: theory.residual_second_moment(n, norm == "batch") for n in x}
        series.append(predicted(f"{NAMES[norm]}, theory {formula}", x, form.__getitem__))
    picture = Picture(
        "The residual stream grows by one a block, or doubles", "block", "E[h²]", tuple(series), log_y=True
    )
    return Findings((picture,), tuple(checks))


_declare(
    name="E16",
    title="In residual networks batch norm makes the branch small",
    claims=("flow", "depth"),
    setup="30 pre-activation residual blocks of 512 units at initialization, 3 seeds.",
    theory="E[h²] after l blocks: l + 1 with batch norm, so that a branch’s share is 1/(l+1); 2^l without.",
    accepted="Batch norm within 5% of l + 1, no norm within 30% of 2^30.",
    sources=("De & Smith 2020", "He et al. 2015, 2016"),
    contested="",
    cells=_e16_cells,
    read=_e16_read,
    races="Only the start is looked at, at a width and depth beyond the lab’s.",
)


# ---- E5, E6, E7: why does it help? ---------------------------------------------------------------------

_E5 = RunConfig(
    activation="sigmoid", depth=3, width=100, batch_size=60, init="normal", init_scale=0.1, lr=0.1,
    replicas=4, record_every=20, validate_every=100,
)  # fmt: skip


def _e5_cells(full: bool) -> Cells:
    config, steps = replace(_E5, replicas=4 if full else 3), 2000
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
        check("accuracy gained after 2,000 steps, points", results["none"]["final"] - results["batch"]["final"],
              3, seeds=4),
        check("input of the last sigmoids, widest / narrowest, no norm", drift["none"]["width"]),
        check("the same, batch norm", drift["batch"]["width"], most=float(drift["none"]["width"].min() / 3)),
        check("how far its median wanders, no norm", drift["none"]["drift"]),
        check("the same, batch norm", drift["batch"]["drift"], most=float(drift["none"]["drift"].min())),
    ]  # fmt: skip
    tuned = {norm: results[norm, "tuned"]["final"] for norm in ("none", "batch")}
    checks += [check(f"error after 500 steps at lr 2, {NAMES[n]}, %", values) for n, values in tuned.items()]
    notes = [
        f"The gap depends on an untuned baseline: at learning rate 2 it is "
        f"{_mean(tuned['none'] - tuned['batch']):.1f} points instead of {checks[0].measured:.0f}."
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
    lines = [
        band(f"{NAMES[norm]}, {share}%", drift[norm]["step"][0].tolist(), drift[norm]["quantiles"][:, :, i])
        for norm in ("none", "batch")
        for i, share in enumerate((15, 50, 85))
    ]
    inputs = Picture("What enters the last layer’s sigmoids: percentiles", "step", "input", tuple(lines))
    return Findings((error, inputs), tuple(checks), tuple(notes))


_declare(
    name="E5",
    title="Sigmoid networks train sooner, and their inputs stay put",
    claims=("faster", "initialization"),
    setup="Digits, 3 × 100 sigmoid units, batch 60, weights N(0, 0.1²), SGD at learning rate 0.1, 4 seeds (Ioffe & "
    "Szegedy’s figure 1).",
    theory="",
    accepted="50 points of accuracy gained after 500 steps, 3 after 2,000; the distribution of the last layer’s "
    "inputs is several times steadier.",
    sources=("Ioffe & Szegedy 2015, figure 1",),
    contested="The size of the gap is that of an untuned baseline. That distributions are steadier does show; that "
    "steadiness is why training is faster does not follow (E6).",
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
_ARMS6 = {
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
    for activation in ("tanh", "relu"):
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
                f"Covariate shift, {activation} at learning rate 0.1, by {words}: "
                + (f"{says} with batch norm." if apart else "seeds overlap, no difference shows.")
            )
    loss = Picture(
        "Noise behind batch norm makes distributions unsteady, and it trains all the same", "step", "training loss",
        tuple(curve(name, results[name], "train_loss") for name in _ARMS6), log_y=True,
    )  # fmt: skip
    return Findings((loss,), tuple(checks), tuple(notes))


_declare(
    name="E6",
    title="Is it covariate shift? Noise injected behind the norm",
    claims=("faster",),
    setup="Digits, 10 × 64 tanh units, SGD at learning rate 0.03, batch 64, 6 seeds. Noise with random mean and scale, "
    "new at every step, is added behind each norm, or where it would stand.",
    theory="If steady distributions were what helps, unsteady ones should not.",
    accepted="Loss in this order: batch norm, noisy batch norm, standard, noisy standard.",
    sources=("Santurkar et al. 2018, section 2", "Ioffe & Szegedy 2015"),
    contested="With ReLU noisy batch norm is ahead at first and behind later (the noise is a floor), so that "
    "“matches batch norm” does not show here. The shift of gradients has no universal sign: it depends on the "
    "activation and on whether lengths or angles are compared. Both are listed.",
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
        arm = replace(config, depth=depth, norm=norm, lr=1e-4, dtype="float64")
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
        checks.append(check(f"gradient change, no norm / batch norm, depth {depth}",
                            medians["gradient_change"][0] / medians["gradient_change"][1].mean()))  # fmt: skip
        without, with_norm = medians["smoothness"]
        least = 1.5 if depth == 5 else -inf
        checks.append(
            check(f"β, no norm / batch norm, depth {depth}", without / with_norm.mean(), least=least)
        )
    pictures.append(Picture(
        f"How much the loss varies along the gradient, depth {depths[0]}", "step", "range of the loss",
        tuple(curve(NAMES[norm], results[depths[0], norm], "loss_range") for norm in ("none", "batch")), log_y=True,
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
    notes = [
        f"At initialization batch norm’s β is {ratio:.2g} times that of no norm at depth {depth}."
        for depth, ratio in zip(starts, ratios, strict=True)
    ]
    return Findings(tuple(pictures), tuple(checks), tuple(notes))


_declare(
    name="E7",
    title="Smoother in training, rougher at the start of deep networks",
    claims=("smooth", "depth"),
    setup="Digits, ReLU, 5, 10 and 15 layers of 64 units, learning rate 0.1, batch 64, 3 seeds. Every 10 of 200 steps "
    "the loss is probed along its gradient, ½ to 4 learning rates away; medians. Then, at initialization, very near.",
    theory="Santurkar et al. bound the gradient of a normalized layer; Yang et al. show that it explodes with depth.",
    accepted="Range of the loss at least 3 times smaller with batch norm; β smaller at depth 5.",
    sources=("Santurkar et al. 2018, section 3", "Yang et al. 2019"),
    contested="Both are right in their regimes: in training the landscape is smoother, at initialization of a deep "
    "plain network it is rougher by orders of magnitude.",
    cells=_e7_cells,
    read=_e7_read,
    races=lambda: (
        Race(
            "Depth 5",
            tuple(RunConfig(depth=5, batch_size=64, replicas=3, norm=n) for n in ("none", "batch")),
            200,
        ),
        Race(
            "Depth 15",
            tuple(RunConfig(depth=15, batch_size=64, replicas=3, norm=n) for n in ("none", "batch")),
            200,
        ),
    ),
)


# ---- E8, E9, E10, E19: learning rates and scales of weights ---------------------------------------------

_LEARNS = 0.5  # training loss; guessing has 2.30


def _e8_cells(full: bool) -> Cells:
    rates = (0.003, 0.0055, 0.01, 0.018, 0.03, 0.055, 0.1, 0.18, 0.3, 0.55, 1.0, 1.8, 3.0, 5.5, 10.0)
    depths, seeds = ((5, 10, 20), 3) if full else ((5,), 2)
    config = RunConfig(batch_size=64, replicas=seeds, record_every=1, validate_every=10**6)
    return {
        (depth, norm, lr): Cell("learning", replace(config, depth=depth, norm=norm, lr=lr), 300)
        for depth, norm, lr in product(depths, ("none", "batch"), rates if full else rates[::2])
    }


def _e8_read(results: Results) -> Findings:
    checks, pictures, notes = [], [], []
    rates = sorted({lr for _, _, lr in results})
    for depth in sorted({depth for depth, _, _ in results}):
        loss = {
            norm: np.stack([results[depth, norm, lr]["final_loss"] for lr in rates], axis=1)
            for norm in ("none", "batch")
        }
        largest = {}
        for norm, values in loss.items():
            learned = np.where(values < _LEARNS, rates, 0.0).max(axis=1)
            failed = int((learned == 0).sum())
            if failed:
                notes.append(
                    f"Depth {depth}, {NAMES[norm]}: {failed} of {len(learned)} seeds learn at no rate."
                )
            # A seed that learns at no rate counts as if it did at the smallest, in favour of no norm.
            largest[norm] = np.maximum(learned, rates[0])
            checks.append(check(f"largest rate that learns, {NAMES[norm]}, depth {depth}", largest[norm]))
        ratio = largest["batch"] / np.exp(np.log(largest["none"]).mean())
        checks.append(check(f"batch norm / no norm, depth {depth}", ratio, least=3 if depth == 5 else 10))
        slow = {norm: values[:, rates.index(0.01)] for norm, values in loss.items()}
        if slow["none"].max() < slow["batch"].min():
            notes.append(f"At learning rate 0.01 batch norm is slower at depth {depth}, in every seed.")
        best = {
            norm: np.nanmin([results[depth, norm, lr]["final"] for lr in rates], axis=0)
            for norm in ("none", "batch")
        }
        for norm, values in best.items():
            checks.append(check(f"error at the best rate, {NAMES[norm]}, depth {depth}, %", values))
        gain = _mean(best["none"]) - _mean(best["batch"])
        words = (
            f"{gain:.1f} points better"
            if gain > 1.5
            else "no difference beyond 1.5 points, which is no evidence"
        )
        notes.append(
            f"Accuracy at each one’s best rate, depth {depth}: batch norm is {words}.".replace(
                "is no", "shows no"
            )
        )
        pictures.append(Picture(
            f"Training loss after 300 steps, depth {depth}", "learning rate", "training loss",
            tuple(band(NAMES[norm], rates, values) for norm, values in loss.items()), log_x=True,
        ))  # fmt: skip
    return Findings(tuple(pictures), tuple(checks), tuple(notes))


_declare(
    name="E8",
    title="Higher learning rates",
    claims=("rates", "faster", "accuracy"),
    setup="Digits, ReLU, 5, 10 and 20 layers of 64 units, SGD, batch 64, 300 steps, learning rates from 0.003 to 10, 3 "
    f"seeds. A rate learns if the training loss over the last 20 steps is below {_LEARNS}.",
    theory="",
    accepted="The largest rate that learns is at least 3 times higher with batch norm at depth 5, 10 times at 10 and 20.",
    sources=("Ioffe & Szegedy 2015, section 3.3", "Bjorck et al. 2018"),
    contested="At the same small rate batch norm is not faster (Bjorck et al. see none at 1e-4; here it is slower in deep "
    "networks): what helps is that larger steps don’t diverge.",
    cells=_e8_cells,
    read=_e8_read,
    races=lambda: tuple(
        Race(
            f"Depth {depth}: learning rate {low} and {high}",
            tuple(
                RunConfig(depth=depth, batch_size=64, replicas=3, norm=norm, lr=lr)
                for norm, lr in product(("none", "batch"), (low, high))
            ),
            300,
        )
        for depth, low, high in ((5, 0.1, 3.0), (20, 0.01, 1.0))
    ),
)

_TWO = RunConfig(
    depth=2, width=48, batch_size=32, eps=0.0, lr=0.1, rest_lr=0.1, replicas=4, dtype="float64", **QUIET
)  # fmt: skip


def _e9_cells(full: bool) -> Cells:
    config, steps = replace(_TWO, replicas=4 if full else 2), 200 if full else 60
    return {
        follow: Cell("rescaled", config, steps, (("factor", 10.0), ("follow", follow)))
        for follow in (True, False)
    }


def _e9_read(results: Results) -> Findings:
    follow, stay = results[True], results[False]
    checks = (
        check(
            "largest difference of the loss, (100η, 10W)",
            follow["loss_difference"],
            most=1e-9,
            expected=0.0,
            worst=True,
        ),
        check("error of ‖W⁺‖² = ‖W‖² + η²‖∇‖²", follow["recursion"], most=1e-9, expected=0.0, worst=True),
        check("largest difference of the loss, (η, 10W)", stay["loss_difference"]),
    )
    picture = Picture(
        "Weights ten times as large: the loss follows only if the learning rate grows a hundredfold", "step",
        "training loss",
        (
            curve("η, W", follow, "train_loss"),
            curve("100η, 10W", follow, "other_loss"),
            curve("η, 10W", stay, "other_loss"),
        ),
    )  # fmt: skip
    return Findings((picture,), checks)


_declare(
    name="E9",
    title="The scale of weights is a learning rate in disguise",
    claims=("rates", "initialization"),
    setup="Digits, 2 × 48 units with batch norm, ε = 0, float64, batch 32, 200 steps; hidden weights times 10, their "
    "learning rate times 100 or not; all else keeps its rate.",
    theory="The loss doesn’t depend on the weights’ length, so that (η, W) and (a²η, aW) are the same training, the "
    "gradient is at right angles to W, and ‖W⁺‖² = ‖W‖² + η²‖∇‖².",
    accepted="Differences below 1e-9.",
    sources=("van Laarhoven 2017", "Ioffe & Szegedy 2015, section 3.3"),
    contested="",
    cells=_e9_cells,
    read=_e9_read,
    races="Layers with learning rates of their own, and float64, are not among the lab’s settings.",
)


def _e10_cells(full: bool) -> Cells:
    config = replace(_TWO, rest_lr=0.05, learn_affine=False)
    pairs = ((0.5, 0.01), (0.2, 0.01), (0.5, 0.004), (0.2, 0.025)) if full else ((0.5, 0.01), (0.2, 0.025))
    found: Cells = {}
    for lr, decay in pairs:
        arm = replace(config, lr=lr, weight_decay=decay)
        steps = round(6 / (lr * decay))
        for scale in (0.3, 1.0, 3.0) if full else (1.0,):
            found["sgd", lr, decay, scale] = Cell("equilibrium", replace(arm, init_scale=scale), steps)
        if full:
            found["momentum", lr, decay, 1.0] = Cell("equilibrium", replace(arm, optimizer="momentum"), steps)
    return found


def _e10_read(results: Results) -> Findings:
    checks = []
    for kind, lr, decay in dict.fromkeys(label[:3] for label in results):
        found = [value for label, value in results.items() if label[:3] == (kind, lr, decay)]
        name = f"{'SGD' if kind == 'sgd' else 'momentum 0.9'}, η={lr}, λ={decay}"
        angle = np.concatenate([value["angle"] for value in found])
        checks.append(
            near(f"angle a step / theory, {name}", angle, 1.0, 0.05, seeds=12 if kind == "sgd" else 4)
        )
        norm4 = np.concatenate([value["norm4"] for value in found])
        if kind == "sgd":
            checks.append(near(f"‖W‖⁴ / theory, {name}", norm4, 1.0, 0.05, seeds=12))
        else:
            checks.append(check(f"‖W‖⁴ / theory, {name}", norm4, expected=1.0))
    shown = [label for label in results if label[:3] == ("sgd", 0.5, 0.01)]
    picture = Picture(
        "From any start the weights reach the length where decay and gradients balance", "step",
        "‖W‖ of the first hidden layer",
        tuple(curve(f"initial weights × {label[3]:g}", results[label], "weight_norm") for label in shown), log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


_declare(
    name="E10",
    title="With weight decay weights turn at a rate set by ηλ, wherever they start",
    claims=("rates", "initialization"),
    setup="As E9, with weight decay λ on the hidden weights (all else at 0.05, without), initial weights × 0.3, 1 and 3, "
    "6/(ηλ) steps, of which the last quarter counts, 4 seeds.",
    theory="Angle a step √(2ηλ), or √(2ηλ/(1+μ)) with momentum μ; ‖W‖⁴ = η(‖∇‖‖W‖)²/2λ.",
    accepted="Within 5%; the length under momentum, whose gradients are not independent, is only reported.",
    sources=("van Laarhoven 2017", "Wan et al. 2020"),
    contested="",
    cells=_e10_cells,
    read=_e10_read,
    races="Layers with learning rates of their own, and float64, are not among the lab’s settings.",
)

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 10.0)
_E19 = RunConfig(depth=10, batch_size=64, replicas=4)


def _e19_cells(full: bool) -> Cells:
    config = replace(_E19, replicas=4 if full else 3, **QUIET)
    return {
        (norm, scale): Cell("learning", replace(config, norm=norm, init_scale=scale), 300)
        for norm, scale in product(("none", "layer", "batch"), _SCALES if full else (0.1, 1.0, 10.0))
    }


def _e19_read(results: Results) -> Findings:
    scales = list(dict.fromkeys(scale for _, scale in results))
    checks, series = [], []
    for norm in ("none", "layer", "batch"):
        labels = {scale: (norm, scale) for scale in scales}
        errors = {scale: np.nan_to_num(results[label]["final"], nan=90.0) for scale, label in labels.items()}
        most = 35.0 if norm == "batch" else inf
        checks += [
            check(f"error, {NAMES[norm]}, weights × {s:g}, %", e, most=most, seeds=4)
            for s, e in errors.items()
        ]
        series.append(band(NAMES[norm], scales, np.stack(list(errors.values()), axis=1)))
    failing = sum(y > 50 for y in series[0].y) / len(scales)
    checks.append(check("share of scales at which no norm fails (error over 50%)", failing, least=0.5))
    picture = Picture(
        "Ten layers from weights of every size", "initial weights, × He et al. 2015", "validation error after 300 steps, %",
        tuple(series), log_x=True,
    )  # fmt: skip
    notes = ("A run that diverges counts as guessing, 90%.",)
    return Findings((picture,), tuple(checks), notes)


_declare(
    name="E19",
    title="Badly scaled initial weights don’t matter",
    claims=("initialization",),
    setup="Digits, 10 × 64 ReLU units, SGD at learning rate 0.1, batch 64, 300 steps, initial weights from a tenth to ten "
    "times He’s, 4 seeds.",
    theory="A layer’s scale doesn’t reach what follows its norm; it acts as a learning rate (E9).",
    accepted="Batch norm learns (error below 35%) at every scale; no norm fails at half of them or more.",
    sources=("Ioffe & Szegedy 2015, section 3.3",),
    contested="At He’s scale no norm learns as well: initialization by He et al. 2015 solves the same problem.",
    cells=_e19_cells,
    read=_e19_read,
    races=lambda: tuple(
        Race(
            f"Weights × {scale:g}",
            tuple(replace(_E19, norm=n, init_scale=scale) for n in ("none", "layer", "batch")),
            300,
        )
        for scale in (0.1, 4.0)
    ),
)


# ---- E11, E12, E20: small batches -----------------------------------------------------------------------

_E11 = RunConfig(
    depth=4, batch_size=64, lr=0.2, optimizer="momentum", weight_decay=1e-4, cosine_steps=240, groups=4,
    replicas=6,
)  # fmt: skip
_E11_OTHERS = {"group": {"norm": "group"}, "layer": {"norm": "layer"}, "none": {"norm": "none", "lr": 0.05}}


def _e11_cells(full: bool) -> Cells:
    config = replace(_E11, replicas=6 if full else 3, **QUIET)
    sizes = (64, 32, 16, 8, 4, 2) if full else (64, 16, 4, 2)
    found: Cells = {m: Cell("learning", replace(config, norm_batch=m), 240) for m in sizes}
    others = _E11_OTHERS if full else {"group": _E11_OTHERS["group"]}
    return found | {name: Cell("learning", replace(config, **arm), 240) for name, arm in others.items()}


def _e11_read(results: Results) -> Findings:
    sizes = [m for m in results if isinstance(m, int)]
    final = {label: found["final"] for label, found in results.items()}
    checks = [
        check("error at m=64, %", final[64], most=4, seeds=6),
        check("error at m=4 / at m=16", final[4] / final[16].mean(), least=1.5, seeds=6),
        check("error at m=2, %", final[2], least=40, seeds=6),
        check("error of group norm, %", final["group"], 2, 5, seeds=6),
    ]
    rest = [label for label in results if label not in (64, 2, "group")]
    checks += [check(f"error, {NAMES.get(label, f'm={label}')}, %", final[label]) for label in rest]
    labels = {m: m for m in sizes}
    series = [
        points("validation, running statistics", results, labels, "final"),
        points("validation, batch statistics", results, labels, "final_batch"),
        points("training, batch statistics", results, labels, "final_train_batch"),
    ]
    for name in ("group", "layer", "none"):
        if name in results:
            values = np.repeat(final[name][:, None], len(sizes), axis=1)
            series.append(band(NAMES[name], sizes, values))
    picture = Picture(
        "Error against the samples that share a mean and a variance; every step sees 64", "norm batch, m", "error, %",
        tuple(series), log_x=True, log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


_declare(
    name="E11",
    title="Small norm batches alone, at a fixed batch of SGD",
    claims=("small", "accuracy"),
    setup="Digits, 4 × 64 ReLU units, batch 64, momentum SGD at learning rate 0.2 (no norm: 0.05), weight decay 1e-4, "
    "cosine over 240 steps (12 epochs), 6 seeds. Statistics come from m samples at a time; group norm has 4 groups.",
    theory="At m=2 no gradient passes the norm (E2): the collapse is a closed form, not noise.",
    accepted="m=64 below 4%; m=4 at least 1.5 times m=16; m=2 above 40%; group norm 2 to 5%.",
    sources=("Wu & He 2018, Figure 5, with the batch of SGD held fixed",),
    contested="ImageNet’s 34.7% at 2 images a worker (Wu & He) is another, milder regime: convolutions average over "
    "space as well, and digits conv nets do not show the rise.",
    cells=_e11_cells,
    read=_e11_read,
    races=lambda: (
        Race(
            "Norm batches of 64, 8, 4 and 2",
            tuple(replace(_E11, groups=8, norm_batch=m) for m in (64, 8, 4, 2)),
            240,
        ),
    ),
)

_E12 = replace(_E11, lr=0.1, replicas=3)


def _e12_config(norm: str, size: int) -> RunConfig:
    return replace(_E12, norm=norm, batch_size=size, lr=0.1 * size / 64, cosine_steps=160 * 64 // size)


def _e12_cells(full: bool) -> Cells:
    sizes, norms = (
        ((64, 32, 16, 8, 4, 2), ("batch", "group", "layer")) if full else ((64, 8, 4, 2), ("batch", "group"))
    )
    found: Cells = {}
    for norm, size in product(norms, sizes):
        config = replace(_e12_config(norm, size), replicas=3 if full else 2, **QUIET)
        found[norm, size] = Cell("learning", config, config.cosine_steps)
    return found


def _e12_read(results: Results) -> Findings:
    norms, sizes = (list(dict.fromkeys(label[i] for label in results)) for i in (0, 1))
    final = {label: found["final"] for label, found in results.items()}
    group = [final["group", size].mean() for size in sizes]
    checks = [
        check(
            "batch norm − group norm at batch 4, points",
            final["batch", 4] - final["group", 4],
            least=0,
            seeds=3,
        ),
        check("error of batch norm at batch 2, %", final["batch", 2], least=40, seeds=3),
        check("group norm, highest − lowest over batch sizes, points", max(group) - min(group), most=2.0),
    ]
    checks += [check(f"error, {NAMES[norm]}, batch {size}, %", final[norm, size]) for norm, size in results]
    picture = Picture(
        "Error against the batch size, everything else scaled with it", "batch size", "validation error, %",
        tuple(points(NAMES[norm], results, {size: (norm, size) for size in sizes}, "final") for norm in norms),
        log_x=True, log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


_declare(
    name="E12",
    title="Small batches by Wu and He’s protocol",
    claims=("small",),
    setup="Network of E11, 8 epochs, learning rate 0.1 · B/64 on half a cosine, 3 seeds; batch and norm batch are both B.",
    theory="",
    accepted="At B=4 batch norm errs more than group norm; at B=2 above 40%; group norm varies by less than 2 points.",
    sources=("Wu & He 2018, Table 2 and Figure 4",),
    contested="The protocol changes the number of steps and the learning rate with B, so that it can’t tell which of them "
    "hurts; E11 holds them fixed.",
    cells=_e12_cells,
    read=_e12_read,
    races=lambda: (
        Race(
            "Batches of 64, 8, 4 and 2",
            tuple(replace(_e12_config("batch", b), groups=8) for b in (64, 8, 4, 2)),
            2000,
        ),
    ),
)

_E20 = RunConfig(depth=3, batch_size=1, lr=0.01, replicas=4, record_every=100, validate_every=200)


def _e20_cells(full: bool) -> Cells:
    config, steps = replace(_E20, replicas=4 if full else 3), 2000 if full else 1400
    return {norm: Cell("learning", replace(config, norm=norm), steps) for norm in ("none", "layer", "batch")}


def _e20_read(results: Results) -> Findings:
    final = {norm: found["final"] for norm, found in results.items()}
    checks = (
        check("error of batch norm, %", final["batch"], least=80, seeds=4),
        check("error of layer norm, %", final["layer"], most=15, seeds=4),
        check("error of no norm, %", final["none"], most=15, seeds=4),
        check(
            "batch norm: error with batch statistics, %", results["batch"]["final_batch"], least=80, seeds=4
        ),
    )
    picture = Picture(
        "Learning from one sample at a time", "samples seen", "validation error, %",
        tuple(curve(NAMES[norm], found, "val_error") for norm, found in results.items()),
    )  # fmt: skip
    return Findings((picture,), checks)


_declare(
    name="E20",
    title="One sample at a time: batch norm learns nothing",
    claims=("online", "small"),
    setup="Digits, 3 × 64 ReLU units, batches of one sample, SGD at learning rate 0.01, 2,000 samples, 4 seeds.",
    theory="With m=1 the output is β whatever comes in, and no gradient passes.",
    accepted="Batch norm above 80% error, layer norm and no norm below 15%.",
    sources=("Ioffe & Szegedy 2015, Algorithm 1 with m=1",),
    contested="Frameworks differ: PyTorch refuses a training batch of one with an error; here it is normalized to 0.",
    cells=_e20_cells,
    read=_e20_read,
    races=lambda: (
        Race("Batches of one", tuple(replace(_E20, norm=n) for n in ("none", "layer", "batch")), 2000),
    ),
)


# ---- E13, E14, E15: training and inference differ -------------------------------------------------------

_E13 = RunConfig(depth=3, batch_size=640, train_samples=1280, lr=1.0, replicas=6)


def _e13_cells(full: bool) -> Cells:
    config = replace(_E13, replicas=6 if full else 3, **QUIET)
    return {m: Cell("precision", replace(config, momentum=m), 24, (("every", 2),)) for m in (0.9, 0.99)}


def _e13_read(results: Results) -> Findings:
    checks = []
    for momentum, found in results.items():
        gap = found["running"] - found["precise"]
        checks.append(
            check(
                f"smallest gain of an epoch’s mean, momentum {momentum}, points",
                gap.mean(axis=0).min(),
                least=0,
            )
        )
        for epoch in (0, -1):
            words = "first" if epoch == 0 else "last"
            for name in ("running", "precise"):
                checks.append(
                    check(f"error, {words} epoch, {name}, momentum {momentum}, %", found[name][:, epoch])
                )
    series = [
        curve(f"running averages, momentum {momentum}", found, "running")
        for momentum, found in results.items()
    ]
    series.append(curve("computed anew (precise)", results[0.9], "precise"))
    picture = Picture(
        "The same weights, evaluated with different statistics", "step", "validation error, %", tuple(series), log_y=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks))


_declare(
    name="E13",
    title="Running averages lag; statistics computed anew don’t",
    claims=("discrepancy",),
    setup="Digits, 3 × 64 ReLU units, two batches of 640 an epoch, learning rate 1, 12 epochs, 6 seeds; after each epoch "
    "validation with running averages and with statistics from one pass over the training samples.",
    theory="A running average of momentum α spans (1+α)/(1−α) batches: 19 for 0.9, 199 for 0.99.",
    accepted="Precise statistics are better after every epoch, on average over seeds.",
    sources=("Wu & Johnson 2021, section 3",),
    contested="",
    cells=_e13_cells,
    read=_e13_read,
    races=lambda: (Race("Momentum 0.9 and 0.99", tuple(replace(_E13, momentum=m) for m in (0.9, 0.99)), 24),),
)

_E14 = RunConfig(
    depth=3, batch_size=160, norm_batch=8, lr=0.1, optimizer="momentum", cosine_steps=300, replicas=6
)  # fmt: skip
_E14_ORDERS = {"shuffled": "mixed classes", "pairs": "two classes", "sorted": "one class"}


def _e14_cells(full: bool) -> Cells:
    config = replace(_E14, replicas=6 if full else 3, **QUIET)
    return {
        (norm, order): Cell("learning", replace(config, norm=norm, batch_order=order), 300)
        for norm, order in product(("batch", "layer"), _E14_ORDERS)
    }


def _e14_read(results: Results) -> Findings:
    final = {label: found["final"] for label, found in results.items()}
    mixed = final["batch", "shuffled"]
    spread = np.stack([final["layer", order] for order in _E14_ORDERS])
    checks = [
        check("batch norm, one class / mixed", final["batch", "sorted"] / mixed.mean(), least=3, seeds=6),
        check("layer norm, highest − lowest, points", np.ptp(spread, axis=0), most=1.5),
    ]
    checks += [
        check(f"error, {NAMES[norm]}, {_E14_ORDERS[order]}, %", values)
        for (norm, order), values in final.items()
    ]
    checks += [
        check(f"error with batch statistics, batch norm, {words}, %", results["batch", order]["final_batch"])
        for order, words in _E14_ORDERS.items()
    ]
    picture = Picture(
        "Who meets in a norm batch of eight, and the error in inference", "classes in a norm batch", "validation error, %",
        tuple(
            band(NAMES[norm], _E14_ORDERS.values(), np.stack([final[norm, order] for order in _E14_ORDERS], axis=1))
            for norm in ("batch", "layer")
        ),
    )  # fmt: skip
    notes = (
        "Batches of SGD are the same in all cases; only who shares a mean and a variance differs. Error with batch "
        "statistics rises too: the norm removes signal, it doesn’t only cheat.",
    )
    return Findings((picture,), tuple(checks), notes)


_declare(
    name="E14",
    title="Norm batches of one class ruin inference",
    claims=("discrepancy",),
    setup="Digits, 3 × 64 ReLU units, batch 160, statistics from 8 samples at a time that are mixed, of two classes or of "
    "one; momentum SGD at 0.1 on half a cosine, 300 steps, 6 seeds.",
    theory="Layer norm doesn’t look at other samples.",
    accepted="One class at least 3 times the error of mixed; layer norm flat within 1.5 points.",
    sources=("Wu & Johnson 2021, section 5",),
    contested="Batches of SGD with few classes hurt every norm, since the network forgets; therefore only the norm batches "
    "differ here.",
    cells=_e14_cells,
    read=_e14_read,
    races=lambda: (
        Race(
            "Mixed, two classes, one class",
            tuple(replace(_E14, batch_order=order) for order in _E14_ORDERS),
            300,
        ),
    ),
)


def _e15_cells(full: bool) -> Cells:
    config = RunConfig(
        dataset="groups", depth=2, width=32, batch_size=64, norm_batch=8, replicas=4 if full else 3, **QUIET
    )
    return {
        (norm, order): Cell("leakage", replace(config, norm=norm, batch_order=order), 600 if full else 300)
        for norm, order in product(("batch", "layer"), ("grouped", "shuffled"))
    }


def _e15_read(results: Results) -> Findings:
    batch = results["batch", "grouped"]
    checks = [
        check(
            "AUC, statistics of groups − running statistics",
            batch["grouped"] - batch["running"],
            least=0.15,
            seeds=4,
        ),
        check(
            "AUC, statistics of groups − shuffled", batch["grouped"] - batch["shuffled"], least=0.15, seeds=4
        ),
    ]
    for (norm, order), found in results.items():
        for name in ("grouped", "running", "shuffled") if norm == "batch" else ("running",):
            what = f"AUC, {NAMES[norm]} trained on {order} batches"
            checks.append(check(what + (f", {name}" if norm == "batch" else ""), found[name]))
    gain = _mean(results["batch", "shuffled"]["running"]) - _mean(batch["running"])
    notes = (
        f"Training on shuffled groups changes the AUC in inference by {gain:+.3f}: it removes the temptation, but there is "
        "nothing else to learn from here.",
    )
    kinds = ("grouped", "running", "shuffled")
    picture = Picture(
        "Groups of eight with one positive each: how well it is found", "statistics in evaluation", "area under the ROC curve",
        tuple(
            band(f"{NAMES[norm]}, trained on {order}", kinds, np.stack([found[k] for k in kinds], axis=1))
            for (norm, order), found in results.items()
        ),
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


_declare(
    name="E15",
    title="Batch-mates leak the answer",
    claims=("discrepancy",),
    setup="Synthetic groups of eight that share an offset, one of each eight is positive; 2 × 32 ReLU units, norm batches "
    "of eight: a group, or strangers; SGD at 0.1, 600 steps, 4 seeds.",
    theory="Subtracting the group’s mean removes the offset: whoever is normalized with its group stands out.",
    accepted="AUC at least 0.15 higher with the group’s statistics than in inference.",
    sources=("Wu & Johnson 2021, section 5",),
    contested="",
    cells=_e15_cells,
    read=_e15_read,
    races="The lab draws accuracies, and here seven of eight samples are negative; it has no ROC curve.",
)


# ---- E17: regularization -------------------------------------------------------------------------------

_E17 = RunConfig(
    depth=3, batch_size=64, train_samples=640, label_noise=0.3, lr=0.05, optimizer="momentum", replicas=6
)  # fmt: skip


def _e17_cells(full: bool) -> Cells:
    config = replace(_E17, replicas=6 if full else 3, **QUIET)
    precise = (("precise", True),)
    sizes = (64, 16, 8, 4) if full else (64, 4)
    found: Cells = {m: Cell("learning", replace(config, norm_batch=m), 400, precise) for m in sizes}
    return found | {
        norm: Cell("learning", replace(config, norm=norm), 400, precise) for norm in ("layer", "none")
    }


def _e17_read(results: Results) -> Findings:
    sizes = [m for m in results if isinstance(m, int)]
    final = {label: found["final_precise"] for label, found in results.items()}
    checks = [check("error at m=4 / at m=64", final[4] / final[64].mean(), most=0.5, seeds=6)]
    checks += [
        check(f"clean validation error, {NAMES.get(label, f'm={label}')}, %", values)
        for label, values in final.items()
    ]
    series = [points("batch norm", results, {m: m for m in sizes}, "final_precise")]
    series += [
        band(NAMES[norm], sizes, np.repeat(final[norm][:, None], len(sizes), axis=1))
        for norm in ("layer", "none")
    ]
    gain = _mean(final["none"]) - _mean(final[64])
    words = f"{abs(gain):.1f} points {'below' if gain > 0 else 'above'}" if abs(gain) > 1.5 else "level with"
    notes = (
        f"With statistics of the whole batch batch norm is {words} no norm: what regularizes is small norm batches.",
    )
    picture = Picture(
        "Three labels in ten are wrong; error on clean samples", "norm batch, m", "validation error, %", tuple(series),
        log_x=True,
    )  # fmt: skip
    return Findings((picture,), tuple(checks), notes)


_declare(
    name="E17",
    title="Noise of small norm batches regularizes",
    claims=("regularization",),
    setup="640 digits, 30% of their labels wrong, 3 × 64 ReLU units, batch 64, momentum SGD at 0.05, 400 steps (40 epochs), "
    "statistics from m samples at a time, precise statistics in validation, 6 seeds.",
    theory="",
    accepted="Error at m=4 at most half of that at m=64.",
    sources=("Ioffe & Szegedy 2015, section 3.4", "Luo et al. 2019"),
    contested="Only with label noise: without it smaller norm batches gave no significant gain in three settings, and on "
    "conv nets the effect is weaker.",
    cells=_e17_cells,
    read=_e17_read,
    races=lambda: (
        Race("Norm batches of 64, 8 and 4, and no norm",
             (*(replace(_E17, norm_batch=m) for m in (64, 8, 4)), replace(_E17, norm="none")), 400),
    ),
)  # fmt: skip


# ---- E21: cost -----------------------------------------------------------------------------------------


def _e21_cells(full: bool) -> Cells:
    config = RunConfig(depth=4, **QUIET)
    return {m: Cell("cost", replace(config, batch_size=m), 200 if full else 40) for m in (8, 32, 128)}


def _e21_read(results: Results) -> Findings:
    parameters = next(iter(results.values()))["parameters"]
    checks = [
        check("more parameters per unit with batch norm than without", parameters, 1, 1, expected=1.0),
        check(
            "numbers kept per unit for inference",
            next(iter(results.values()))["statistics"],
            2,
            2,
            expected=2.0,
        ),
    ]
    checks += [
        check(f"time of a training step / without norm, batch {m}", found["training"])
        for m, found in results.items()
    ]
    checks += [
        check(f"time in inference / without norm, batch {m}", found["inference"])
        for m, found in results.items()
    ]
    labels = {m: m for m in results}
    picture = Picture(
        "What batch norm adds to a step", "batch size", "time with batch norm / without",
        (points("training", results, labels, "training"), points("inference", results, labels, "inference")), log_x=True,
    )  # fmt: skip
    notes = (
        "Times are of this library on this machine, medians of rounds that take turns; inference is folded.",
    )
    return Findings((picture,), tuple(checks), notes)


_declare(
    name="E21",
    title="What it costs",
    claims=("cost",),
    setup="4 × 64 ReLU units: training steps and inference with batch norm and without, in turns in one process.",
    theory="γ and β instead of a bias: one parameter more per unit, and two running statistics. In inference the norm is an "
    "affine map, which folds into its linear layer and vanishes.",
    accepted="The counts exactly; times are only reported.",
    sources=("Ioffe & Szegedy 2015, Algorithm 2",),
    contested="Shares of time depend on the library and the network: wide layers spend theirs in products.",
    cells=_e21_cells,
    read=_e21_read,
    races="The lab’s clock is the training step, not the second.",
)
