"""The scene "One iteration a step": what is left of sigma's error, on weights held still and in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig, theory
from bnlib.experiments.model import Race
from bnlib.lessons import weights
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, progress
from book.controls import SEEDS, Control, Values, even_stops, seeds
from book.equations import Equation, row, told
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, Figure, Trace
from book.words import brief
from pages._weights_parts import SHADES, log_percent
from pages._weights_scripts import RATIO, RATIO_TORCH

STEPS, EVERY = 400, 20
LATE = 10  # looks at the end, over which is averaged
RATES = {"gan": 0.05, "digits": 0.2}
NETS = {"gan": "GAN’s discriminator", "digits": "digit classifier"}
COUNTS = (1, 2, 5)  # iterations a step
SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
MOST = 40  # iterations on weights held still
FLOOR = 1e-4  # per cent: what is below is drawn there
WITHIN = 0.01

CONTROLS = (
    Control(
        "share", "number", 0.8, "s₂/s₁", "second / first singular value", SHARES[0], SHARES[-1],
        even_stops(0.5, 0.99, 49), marks=(0.5, 0.6, 0.7, 0.8, 0.9),
        about="How near the second singular value of a matrix is to the first. The nearer, the longer power "
        "iteration takes to tell their directions apart.",
    ),
    Control(
        "net", "choice", "gan", "network", choices=tuple(NETS), names=tuple(NETS.values()), look="buttons",
        about="Which network is watched while it trains: the discriminator of a GAN that learns a ring of "
        "eight Gaussians, or a network that learns digits. Both have three hidden layers with spectral norm.",
    ),
    Control(
        "count", "whole", 1, "iterations a step", "in training", 1, 5,
        tuple(float(count) for count in COUNTS), marks=COUNTS,
        about="How many power iterations each training step makes. In PyTorch: n_power_iterations of "
        "spectral_norm, 1 by default.",
    ),
)  # fmt: skip


def config_of(values: Values, net: str, count: int = 1) -> RunConfig:
    """Return eight networks of a kind with spectral norm."""
    more: dict[str, Any] = {"network": "gan", "dataset": "ring"} if net == "gan" else {}
    more |= seeds(values)
    return RunConfig(norm="spectral", lr=RATES[net], iterations=count, dtype="float64", **more)


def jobs(values: Values) -> dict[str, Job]:
    """Return what the scene needs of the pool; nothing of it depends on what is dragged."""
    found = {"settled": Job(settled, (SHARES,), light=True)}
    for count in COUNTS:
        for net in NETS:
            found[f"{net} {count}"] = Job(weights.followed, (config_of(values, net, count), STEPS, EVERY))
    return found


def settled(shares: tuple[float, ...]) -> Any:
    """Count for each share the iterations until sigma is within 1%, (shares,)."""
    return np.array([until(weights.settling(share, MOST)) for share in shares])


def until(errors: Any) -> float:
    """Count iterations until the errors (n,) are below 1%."""
    return 1.0 + float(np.sum(errors > WITHIN))


def law(share: float, iterations: Any) -> Any:
    """Return what `lessons.weights.settling` is by theory.

    The tangent of u's angle falls by ``share^2`` an iteration. sigma is ``sqrt((1 + share^2 t) / (1 + t))``
    with ``t = share^(4 n - 2)``; its error falls by ``share^4``, `theory.power_iteration_ratio`, once t is
    small.
    """
    t = share ** (4.0 * iterations - 2)
    return 1 - np.sqrt((1 + share**2 * t) / (1 + t))


def late(run: Any, name: str) -> Any:
    """Return the mean over layers and the last looks, (R,)."""
    return run[name][:, -LATE:].mean(axis=(1, 2))


def view(values: Values, found: Found) -> View:
    """Show by how much sigma is too small in training, and on weights that are held still."""
    hide = values["open"]
    net, count = ("gan", 1) if hide else (values["net"], _count(values))
    share = values["share"]
    own = weights.settling(share, MOST)
    runs = {(one, k): found.get(f"{one} {k}") for one in NETS for k in COUNTS}
    run = runs[net, count]
    figures = {
        "training": _training(run, runs[net, 1] if count > 1 else None, net, count),
        "needed": _needed(found.get("settled"), own, share, {} if hide else runs),
        "errors": _errors(own, share),
    }
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found, "computations are made"))
    gan, digits = runs["gan", 1], runs["digits", 1]
    turned = {one: float(np.median(runs[one, 1]["turned"][:, -LATE:])) for one in NETS}  # type: ignore[index]
    most = runs["digits", COUNTS[-1]]
    numbers = {
        "kept": 100 * average(late(run, "kept")), "fresh": 100 * average(late(run, "fresh")),
        "worst": 100 * float(run["kept"][:, -LATE:].max()),  # type: ignore[index]
        "share_net": average(late(run, "share")), "stretch": average(1 / (1 - late(run, "kept"))),
        "turned": turned[net], "turned_gan": turned["gan"], "turned_digits": turned["digits"],
        "kept_gan": 100 * average(late(gan, "kept")), "kept_digits": 100 * average(late(digits, "kept")),
        "kept_5": 100 * average(late(most, "kept")), "share_5": average(late(most, "share")),
        "left_vector": average(late(run, "share")) ** 2,
        "first_looks": 100 * average(digits["kept"][:, 1:3]),  # type: ignore[index]
        "needed_gan": average(gan["needed"]), "needed_digits": average(digits["needed"]),  # type: ignore[index]
        "share_gan": average(late(gan, "share")), "share": share,
        "left": theory.power_iteration_ratio(1.0, share),
        "left_measured": _left(own), "needed": until(own), "largest": 1.0,
    }  # fmt: skip
    text = (
        f"{NETS[net][0].upper()}{NETS[net][1:]}: with u kept from step to step σ̂ is "
        f"{_small(numbers['kept'])} below σ, mean of the last {LATE * EVERY} steps"
    )
    if hide:
        return View(numbers, text + ".", figures)
    text += (
        f"; with a random u it would be {numbers['fresh']:.0f}% below. The largest singular value of the "
        f"weights in use is {numbers['stretch']:.3f} instead of 1."
    )
    equation = Equation(
        "left", "what an iteration leaves of σ’s error", row("(s₂/s₁)⁴"), numbers["left"],
        (row(told(share), "⁴"), told(numbers["left"])),
    )  # fmt: skip
    note = (
        f"s₂/s₁ = {brief(share)}: measured, an iteration leaves {brief(numbers['left_measured'])} of the "
        "error once it is small. A random 64 × 64 matrix; where s₂ is nearly s₁, σ̂ is right before u is."
    )
    table = {
        "step": digits["step"],  # type: ignore[index]
        "kept": 100 * digits["kept"].mean(axis=(0, 2)),  # type: ignore[index]
        "share": digits["share"].mean(axis=(0, 2)),  # type: ignore[index]
    }
    return View(numbers, text, figures, table, (equation,), notes={"errors": note})


def _count(values: Values) -> int:
    return min(COUNTS, key=lambda count: abs(count - values["count"]))


def _small(percent: float) -> str:
    return f"{percent:.1f}%" if percent >= 0.05 else "less than 0.1%"


def _left(errors: Any) -> float:
    """Measure what an iteration leaves of the error (n,), where it is last far from rounding."""
    last = int(np.sum(errors > 1e-9)) - 1
    return float(errors[last] / errors[last - 1])


def _training(run: Any, single: Any, net: str, count: int) -> Figure:
    """Draw by how much sigma is too small over training: with u kept, and with a random u."""
    data: list[Trace] = []
    told_ = []
    lines = [(run, "fresh", "one iteration from a random u", ORANGE, "solid")]
    lines += [(single, "kept", "u kept, 1 iteration a step", COLOURS[6], "dash")] if single else []
    words = f"u kept, {count} iteration{'' if count == 1 else 's'} a step"
    lines.append((run, "kept", words, BLUE, "solid"))
    for one, name, words, colour, dash in lines:
        if one is not None:
            y = np.maximum(100 * one[name].mean(axis=2), FLOOR)
            data += over_seeds(one["step"], y, words, colour, dash=dash)
            told_.append(f"{words}: {_small(100 * average(late(one, name)))} at the end")
    return fig.figure(
        data, f"How far σ̂ is below σ: {NETS[net]}",
        f"Curves over training. {'; '.join(told_) or 'Nothing is computed yet'}.",
        fig.axis(0, STEPS, "training step"), log_percent(FLOOR / 2, 100, "below σ"), showlegend=True,
        hint=f"{SHADES} Less than {FLOOR:g}% is drawn at {FLOOR:g}%.",
    )  # fmt: skip


def _needed(grid: Any, own: Any, share: float, runs: Any) -> Figure:
    """Draw how many iterations bring sigma within 1% on weights held still, over s2/s1."""
    fine = np.linspace(0.5, 0.995, 199)
    counts = [until(law(one, np.arange(1, MOST + 1))) for one in fine]
    data: list[Trace] = [fig.line(fine, counts, "theory", INK, dash="dash", width=1.5, shape="hv")]
    here = until(own)
    said = [f"s₂/s₁ = {brief(share)}: {here:.0f} iterations"]
    if grid is not None:
        data.append(fig.dots(SHARES, grid, "measured", GREEN, size=7))
    for net, colour, symbol in (("gan", ORANGE, "diamond"), ("digits", BLUE, "square")):
        run = runs.get((net, 1))
        if run is not None:
            x, y = run["share"][:, -1].mean(), average(run["needed"])
            data.append(fig.dots([x], [y], f"trained {NETS[net]}", colour, size=11, symbol=symbol))
            said.append(f"{NETS[net]} after training, from a random u: {y:.0f}")
    data.append(
        fig.dots([share], [here], "s₂/s₁", INK, size=15, alpha=0.55, showlegend=False,
                 meta={"drag": "share", "axis": "x"})
    )  # fmt: skip
    return fig.figure(
        data, "Iterations until σ̂ is within 1%, weights held still",
        f"A curve over s₂/s₁ that rises up to 0.97 and falls again. {'; '.join(said)}.",
        fig.axis(0.48, 1.0, "s₂/s₁", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        fig.axis(0, 32, "iterations", [1, 5, 10, 15, 20, 25, 30]), showlegend=True,
        hint="Drag the large dot. u starts halfway between the first two singular vectors.",
    )  # fmt: skip


def _errors(own: Any, share: float) -> Figure:
    """Draw sigma's error over iterations, and what theory says."""
    shown = np.arange(1, MOST + 1)
    curve = np.maximum(100 * law(share, shown), 1e-8)
    data = [
        fig.line(shown, curve, "theory", INK, dash="dash", width=1.5),
        fig.dots(shown, np.maximum(100 * own, 1e-8), "measured", GREEN, size=5),
    ]
    ticks = [1e-8, 1e-6, 1e-4, 1e-2, 1, 100]
    words = ["10⁻⁸%", "10⁻⁶%", "10⁻⁴%", "0.01%", "1%", "100%"]
    return fig.figure(
        data, f"σ̂ below σ, s₂/s₁ = {brief(share)}",
        f"Falling dots: {brief(100 * float(own[0]))}% after one iteration, {brief(100 * float(own[9]))}% "
        "after ten.",
        fig.axis(0, MOST + 1, "iteration", [1, 10, 20, 30, 40]),
        fig.log_axis(1e-8, 100, "below σ", ticks, words=words), place="side", showlegend=True, height=230,
    )  # fmt: skip


SCENE = Scene(
    "ratio", "One iteration a step",
    "In training, spectral norm makes one power iteration a step and keeps u for the next. In a GAN’s "
    "discriminator that is enough: σ̂ is less than 0.1% below σ. A digit classifier has the same norm. How "
    "far below σ is its σ̂?",
    (
        Choice("less than 0.1%, too: 400 steps are 400 iterations", 0.05,
               "On weights that are held still it would be so. These move at each step."),
        Choice("about 10%", 10.0),
        Choice("about 25%, as after one iteration from a random u", "fresh",
               "u is kept: it is much better than a random one."),
    ),
    "kept", {}, {"net": "digits"},
    "σ̂ was {kept:.1f}% below σ; in the discriminator {kept_gan}%.",
    "u has to follow the first singular vector. In both networks s₂/s₁ is about {share_net:.2f}, so that an "
    "iteration leaves {left_vector:.2f} of u’s error. But in the classifier this vector turns by "
    "{turned_digits:.1f}° a step, in the discriminator by {turned_gan:.1g}°.",
    "So the classifier’s weights stretch by {stretch:.2f}, not by 1. More iterations help slowly: with 5 a "
    "step {kept_5:.1f}%, since s₂/s₁ rises to {share_5:.2f}. At first one is enough here, too: "
    "{first_looks:.1f}% in steps 20 to 40, where little is learned.",
    "Drag s₂/s₁: where does σ̂ need the most iterations? Where are the trained layers, which start from a "
    "random u?",
    ("share", "net", "count", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Let PyTorch's spectral norm settle on weights that are held still."""
    return RATIO_TORCH.format(share=values["share"])


def script(values: Values) -> str:
    """Train the classifiers again and hold their sigma against the exact one."""
    return RATIO.format(
        seed=SEEDS * values["seed"], seeds=SEEDS, lr=RATES["digits"], steps=STEPS, every=EVERY, late=LATE,
        share=values["share"],
    )  # fmt: skip


def lab(values: Values) -> Race:
    """Return classifiers with one, two and five iterations a step as a race."""
    lanes = tuple(config_of(values, "digits", count) for count in COUNTS)
    return Race("Spectral norm with 1, 2 and 5 power iterations a step", lanes, STEPS)


PASSAGES = (
    Passage("σ̂ in training beside the exact σ", weights.followed),
    Passage("What an iteration leaves of an error", theory.power_iteration_ratio),
)
