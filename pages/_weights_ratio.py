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
from pages._weights_gan_parts import BEST, networks
from pages._weights_gan_parts import STEPS as GAN_STEPS
from pages._weights_parts import SHADES, log_percent, near
from pages._weights_scripts import RATIO, RATIO_TORCH

STEPS, EVERY = 400, 40
LATE = 5  # looks at the end, over which is averaged
RATES = (0.02, 0.05, 0.1, 0.2)
SMALL, LARGE = RATES[0], RATES[-1]
COUNTS = (1, 5)  # iterations a step
GAN = BEST["spectral"]  # the learning rate of the last scene's discriminator
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
        "pace", "number", SMALL, "learning rate", "lr", SMALL, LARGE, RATES, marks=RATES,
        about="How far a training step moves the weights: lr times the gradient. Networks are trained at "
        "these rates only. In PyTorch: lr of torch.optim.SGD.",
    ),
    Control(
        "count", "whole", 1, "iterations a step", "in training", 1, 5,
        tuple(float(count) for count in COUNTS), marks=COUNTS,
        about="How many power iterations each training step makes. In PyTorch: n_power_iterations of "
        "spectral_norm, 1 by default.",
    ),
)  # fmt: skip


def config_of(values: Values, rate: float, count: int = 1) -> RunConfig:
    """Return eight classifiers with spectral norm, at a learning rate."""
    chosen: dict[str, Any] = {"lr": rate, "iterations": count, **seeds(values)}
    return RunConfig(norm="spectral", dtype="float64", **chosen)


def jobs(values: Values) -> dict[str, Job]:
    """Return what the scene needs of the pool; more iterations a step only once they are chosen."""
    found = {"settled": Job(settled, (SHARES,), light=True)}
    pairs = [(rate, 1) for rate in (SMALL, LARGE, *RATES[1:-1])]
    chosen = (near(values["pace"], RATES), _count(values))
    for rate, count in (*pairs, chosen):
        found[f"{rate:g} {count}"] = Job(weights.followed, (config_of(values, rate, count), STEPS, EVERY))
    discriminators = networks("spectral", GAN, **seeds(values))
    return found | {"gan": Job(weights.followed, (discriminators, GAN_STEPS, GAN_STEPS // 10))}


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
    rate, count = (SMALL, 1) if hide else (near(values["pace"], RATES), _count(values))
    share = values["share"]
    own = weights.settling(share, MOST)
    runs: dict[tuple[float, int], Any] = {(lr, k): found.get(f"{lr:g} {k}") for lr in RATES for k in COUNTS}
    run, gan = runs[rate, count], found.get("gan")
    trained = {} if hide else {"classifier, from a random u": run, "discriminator, from a random u": gan}
    figures = {
        "training": _training(runs, rate, count, hide),
        "needed": _needed(found.get("settled"), own, share, trained),
        "errors": _errors(own, share),
    }
    if run is None or any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found, "computations done"))
    numbers = {
        "rate": rate, "kept": 100 * average(late(run, "kept")), "fresh": 100 * average(late(run, "fresh")),
        "tenfold": 1000 * average(late(run, "kept")), "error": average(run["error"]),
        "share_net": average(late(run, "share")), "stretch": average(1 / (1 - late(run, "kept"))),
        "turned": _turned(run), "left_vector": average(late(run, "share")) ** 2,
        "kept_gan": 100 * average(late(gan, "kept")), "turned_gan": _turned(gan), "rate_gan": GAN,
        "share": share, "left": theory.power_iteration_ratio(1.0, share),
        "left_measured": _left(own), "needed": until(own), "largest": 1.0,
    }  # fmt: skip
    text = (
        f"Learning rate {rate:g}: with u kept from step to step σ̂ is {_small(numbers['kept'])} below σ, "
        f"mean of the last {LATE * EVERY} steps"
    )
    if hide:
        return View(numbers, text + ".", figures)
    text += (
        f"; with a random u it would be {numbers['fresh']:.0f}% below. The largest singular value of the "
        f"weights in use is {numbers['stretch']:.3f} instead of 1. {numbers['error']:.0f}% of the validation "
        "digits are wrong."
    )
    if count > 1:
        text += f" s₂/s₁ is {numbers['share_net']:.2f}: near 1 even {count} iterations a step leave an error."
    equation = Equation(
        "left", f"left of σ̂’s error by an iteration, at s₂/s₁ = {brief(share)}", row("(s₂/s₁)⁴"),
        numbers["left"],
        (row(told(share), "⁴"), told(numbers["left"])),
    )  # fmt: skip
    note = (
        f"s₂/s₁ = {brief(share)}: measured, an iteration leaves {brief(numbers['left_measured'])} of the "
        "error once it is small. A random 64 × 64 matrix; where s₂ is nearly s₁, σ̂ is right before u is."
    )
    table = {
        "rate": np.array(RATES),
        "kept": np.array([100 * average(late(runs[one, 1], "kept")) for one in RATES]),
        "share": np.array([average(late(runs[one, 1], "share")) for one in RATES]),
        "wrong": np.array([average(runs[one, 1]["error"]) for one in RATES]),
    }
    return View(numbers, text, figures, table, (equation,), notes={"errors": note})


def _turned(run: Any) -> float:
    """Return the median angle in degrees by which a late step turns the first singular vector."""
    return float(np.median(run["turned"][:, -LATE:]))


def _count(values: Values) -> int:
    return min(COUNTS, key=lambda count: abs(count - values["count"]))


def _small(percent: float) -> str:
    return f"{percent:.1f}%" if percent >= 0.05 else "less than 0.1%"


def _left(errors: Any) -> float:
    """Measure what an iteration leaves of the error (n,), where it is last far from rounding."""
    last = int(np.sum(errors > 1e-9)) - 1
    return float(errors[last] / errors[last - 1])


def _training(runs: Any, rate: float, count: int, hide: bool) -> Figure:
    """Draw by how much sigma is too small over training: with u kept, and with a random u."""
    data: list[Trace] = []
    said = []
    for lr in () if hide else RATES:
        one = runs[lr, 1]
        if one is not None and lr != rate:
            y = np.maximum(100 * one["kept"].mean(axis=(0, 2)), FLOOR)
            words = f"u kept, 1 iteration a step, rate {lr:g}"
            data.append(fig.line(one["step"], y, words, fig.faded(INK, 0.4), width=1.2, showlegend=False))
    run, single = runs[rate, count], runs[rate, 1] if count > 1 else None
    each = f"{count} iteration{'' if count == 1 else 's'} a step"
    for one, name, words, colour, dash in (
        (run, "fresh", "one iteration from a random u", ORANGE, "solid"),
        (single, "kept", "u kept, 1 iteration a step", COLOURS[6], "dash"),
        (run, "kept", f"u kept, {each}", BLUE, "solid"),
    ):
        if one is not None:
            y = np.maximum(100 * one[name].mean(axis=2), FLOOR)
            data += over_seeds(one["step"], y, words, colour, dash=dash)
            said.append(
                f"{words}: {_small(100 * average(late(one, name)))}, mean of the last {LATE * EVERY} steps"
            )
    others = "" if hide else " Thin: other learning rates, 1 iteration a step."
    return fig.figure(
        data, f"How far σ̂ is below σ, learning rate {rate:g}",
        f"Curves over training. Means of the last {LATE * EVERY} steps: {'; '.join(said) or 'nothing yet'}.",
        fig.axis(0, STEPS, "training step"), log_percent(FLOOR / 2, 100, "below σ"), showlegend=True,
        hint=f"{SHADES}{others} At the bottom: less than {FLOOR:g}%.",
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
    for (name, run), colour, symbol in zip(runs.items(), (BLUE, ORANGE), ("square", "diamond"), strict=False):
        if run is not None:
            x, y = run["share"][:, -1].mean(), average(run["needed"])
            data.append(fig.dots([x], [y], name, colour, size=11, symbol=symbol))
            said.append(f"{name}, after training: {y:.0f}")
    data.append(
        fig.dots([share], [here], "s₂/s₁", INK, size=15, alpha=0.55, showlegend=False,
                 meta={"drag": "share", "axis": "x"})
    )  # fmt: skip
    return fig.figure(
        data, "Iterations until σ̂ is within 1%, weights held still",
        f"A curve over s₂/s₁ that rises up to 0.97 and falls again. {'; '.join(said)}.",
        fig.axis(0.48, 1.0, "s₂/s₁", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        fig.axis(0, 32, "iterations", [1, 5, 10, 20, 30]), showlegend=True,
        hint="Drag the large dot. There u starts halfway between the first two singular vectors. "
        "A random u is nearly at right angles to the first: it needs longer.",
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
    "At each training step spectral norm makes one power iteration, from the vector u of the step before. A "
    f"digit classifier trains at rate {SMALL:g}: the estimate σ̂ is less than 0.1% below σ. Now the rate is "
    f"{LARGE:g}. How far below σ is σ̂?",
    (
        Choice("as little: 400 steps are 400 iterations", 0.05,
               "On weights that are held still it would be so. These move at each step."),
        Choice("ten times as far, less than 1%", "tenfold",
               "Steps are about ten times as long at first. But the weights go elsewhere, too."),
        Choice("about 10%", 10.0),
        Choice("about 25%, as from a random u", "fresh",
               "u is kept: it is better than a random one."),
    ),
    "kept", {}, {"pace": LARGE},
    f"σ̂ was {{kept:.1f}}% below σ, mean of the last {LATE * EVERY} steps; at the small rate "
    "{before_kept:.2g}%.",
    "u has to follow the first singular vector. At rate {rate} this one turns by {turned:.1f}° a step, at "
    "the small rate by {before_turned:.2g}°. An iteration leaves (s₂/s₁)² = {left_vector:.2f} of u’s error.",
    "These weights stretch by {stretch:.2f}, not by 1. At the small rate little is learned: "
    "{before_error:.0f}% wrong, here {error:.0f}%. In the discriminator of scene 5, at its best "
    "rate, σ̂ is only {kept_gan:.1f}% low.",
    "Choose 5 iterations a step: is σ̂ exact then? Drag s₂/s₁: where does σ̂ need the most iterations?",
    ("share", "pace", "count", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Let PyTorch's spectral norm settle on weights that are held still."""
    return RATIO_TORCH.format(share=values["share"])


def script(values: Values) -> str:
    """Train the classifiers again and hold their sigma against the exact one."""
    return RATIO.format(
        seed=SEEDS * values["seed"], seeds=SEEDS, rates=RATES, steps=STEPS, every=EVERY, late=LATE,
        share=values["share"], rate=near(values["pace"], RATES),
    )  # fmt: skip


def lab(values: Values) -> Race:
    """Return classifiers at the smallest and the largest rate, with one iteration a step and with five."""
    lanes = tuple(config_of(values, rate, count) for rate in (SMALL, LARGE) for count in COUNTS)
    return Race("Spectral norm with 1 and 5 power iterations a step, at two rates", lanes, STEPS)


PASSAGES = (
    Passage("σ̂ in training beside the exact σ", weights.followed),
    Passage("What an iteration leaves of an error", theory.power_iteration_ratio),
)
