"""The scene "Four times the decay": how far a step turns weights in front of a norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig, theory
from bnlib.experiments.model import Race
from bnlib.lessons import gradients
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import progress
from book.controls import Control, Values, seeds
from book.equations import Equation, bracketed, root, row, told
from book.figure import BLUE, GREEN, INK, ORANGE, PURPLE, Figure
from book.words import brief

DECAYS = (0.02, 0.04, 0.08, 0.16)
LR, STEPS, EVERY = 0.2, 600, 5
LATE = 40  # looks at the end, over which is averaged
STARTS = {0.3: GREEN, 1.0: BLUE, 3.0: PURPLE}  # times He's initial weights

CONTROLS = (
    Control(
        "weight_decay", "number", 0.04, "weight decay", "on weight matrices", 0.02, 0.16, DECAYS,
        marks=DECAYS,
        about="Each step first shortens the weights by learning rate times this share. In PyTorch: "
        "weight_decay of torch.optim.SGD.",
    ),
)  # fmt: skip


def config_of(values: Values, decay: float, scale: float = 1.0) -> RunConfig:
    """Return networks of two layers with this weight decay and scale of their initial weights."""
    chosen: dict[str, Any] = {"weight_decay": decay, "init_scale": scale, **seeds(values)}
    return RunConfig(depth=2, width=32, lr=LR, dtype="float64", **chosen)


def decays(values: Values) -> tuple[float, ...]:
    """Return the decays that are drawn: those of the slider, and what an address asks for."""
    return tuple(sorted({*DECAYS, values["weight_decay"]}))


def jobs(values: Values) -> dict[str, Job]:
    """Return a training for each decay; of the chosen one also from other starts, once the finger rests."""

    def job(decay: float, scale: float) -> Job:
        return Job(gradients.turning, (config_of(values, decay, scale), STEPS, EVERY))

    chosen = values["weight_decay"]
    found = {f"decay {decay:g}": job(decay, 1.0) for decay in (chosen, *decays(values))}
    if not values.get("draft"):
        found |= {f"start {scale:g}": job(chosen, scale) for scale in STARTS if scale != 1}
    return found


def settled(run: Any) -> float:
    """Return the angle of a step in the end: root mean square over seeds and the last looks, degrees."""
    return float(np.sqrt(np.square(run["angle"][:, -LATE:]).mean()))


def degrees(decay: float) -> float:
    """Return the angle of theory, √(2 · learning rate · decay), in degrees."""
    return float(np.degrees(theory.equilibrium_angle(LR, decay)))


def view(values: Values, found: Found) -> View:
    """Show how far steps turn the weights, and how long the weights become."""
    hide, decay = values["open"], values["weight_decay"]
    runs = {one: found.get(f"decay {one:g}") for one in decays(values)}
    starts = {scale: found.get(f"start {scale:g}") for scale in STARTS if scale != 1}
    figures = {"angles": _angles(runs, decay, hide)}
    if not hide:
        figures["lengths"] = _lengths({1.0: runs[decay]} | starts, decay)
    needed = {f"{one:g}": run for one, run in runs.items()}
    needed |= {f"start {scale:g}": None if values.get("draft") else run for scale, run in starts.items()}
    waiting = "" if values.get("draft") and runs[decay] else progress(needed)
    here = runs[decay]
    if here is None or (waiting and not values.get("draft")):
        return View(figures=figures, waiting=waiting or progress(needed))
    angle = settled(here)
    lengths = [float(run["length"][:, -1].mean()) for run in (here, *starts.values()) if run]
    numbers = {
        "angle": angle, "half": angle / 2, "double": 2 * angle, "fourfold": 4 * angle,
        "theory": degrees(decay), "exact": float(np.degrees(np.arccos(1 - LR * decay))), "decay": decay,
        "length": float(here["length"][:, -LATE:].mean()), "shortest": min(lengths), "longest": max(lengths),
        "loss": float(here["loss"][:, -LATE:].mean()),
        "momentum": float(np.degrees(theory.equilibrium_angle(LR, decay, 0.9))),
        "first_short": 0.3 * float(here["length"][:, 0].mean()),
        "first_long": 3 * float(here["length"][:, 0].mean()),
    }  # fmt: skip
    text = f"Weight decay {decay:g}: in the end a step turns the weights by {angle:.1f}°."
    if hide:
        return View(numbers, text, figures)
    if all(starts.values()):
        text += (
            f" The first layer’s weights start with lengths from {brief(numbers['first_short'])} to "
            f"{brief(numbers['first_long'])}. After {STEPS} steps {_ends(lengths)}."
        )
    known = {one: run for one in DECAYS if (run := runs[one]) is not None}
    table = {
        "weight_decay": list(known), "angle": [settled(run) for run in known.values()],
        "theory": [degrees(one) for one in known],
        "length": [float(run["length"][:, -LATE:].mean()) for run in known.values()],
        "loss": [float(run["loss"][:, -LATE:].mean()) for run in known.values()],
    }  # fmt: skip
    arithmetic = root(row("2 · ", brief(LR), " · ", brief(decay)))
    radians = numbers["theory"] * np.pi / 180
    steps = (arithmetic, row(told(radians), " · 180° / π"), bracketed(numbers["theory"]))
    equation = Equation("angle", "degrees a step, λ: weight decay", root("2ηλ"), numbers["theory"], steps)
    return View(numbers, text, figures, table, (equation,))


def _ends(lengths: list[float]) -> str:
    """Say which lengths the weights have in the end, all the same or not."""
    low, high = brief(min(lengths)), brief(max(lengths))
    return f"the lengths are {low} to {high}" if low != high else f"all have length {low}"


def _angles(runs: Any, chosen: float, hide: bool) -> Figure:
    """Draw the angle of a step over training for each decay, and what theory says it settles at."""
    data, told_ = [], []
    for decay, run in runs.items():
        if run is None or (hide and decay != chosen):
            continue
        here = decay == chosen
        angle = np.sqrt(np.square(run["angle"]).mean(axis=0))
        if here:
            data += fig.band(run["step"], run["angle"].min(axis=0), run["angle"].max(axis=0), BLUE)
        colour = BLUE if here else fig.faded(INK, 0.35)
        data.append(
            fig.line(
                run["step"], angle, f"weight decay {decay:g}" if here else "other decays", colour,
                width=2.5 if here else 1.2, showlegend=here or decay == next(d for d in runs if d != chosen),
            )
        )  # fmt: skip
        told_.append(f"{decay:g}: {settled(run):.1f}°")
        if not hide:
            law = {"dash": "dash", "width": 2 if here else 1, "showlegend": here}
            level = [degrees(decay)] * 2
            colour = ORANGE if here else fig.faded(ORANGE, 0.6)
            data.append(fig.line([0, STEPS], level, "√(2 · learning rate · decay)", colour, **law))
    return fig.figure(
        data, "Angle by which a step turns the hidden weights",
        f"Curves over training. At the end, by weight decay: {'; '.join(told_) or 'nothing is there yet'}.",
        fig.axis(0, STEPS, "step"),
        fig.log_axis(0.5, 40, "degrees", [0.5, 1, 2, 5, 10, 20]), showlegend=True,
        hint="Root mean square over 8 seeds and both hidden layers. Shade: lowest to highest seed.",
    )  # fmt: skip


def _lengths(runs: Any, decay: float) -> Figure:
    """Draw how long the weights are from each start."""
    data, told_ = [], []
    for scale, colour in STARTS.items():
        run = runs.get(scale)
        if run is None:
            continue
        length = run["length"].mean(axis=0)
        data.append(fig.line(run["step"], length, f"initial weights × {scale:g}", colour))
        told_.append(f"from × {scale:g} to {length[-1]:.2f}")
    return fig.figure(
        data, f"Length of the first layer’s weights, weight decay {decay:g}",
        f"Curves over training: {'; '.join(told_) or 'nothing is computed yet'}.",
        fig.axis(0, STEPS, "step"), fig.log_axis(1, 40, "length", [1, 2, 5, 10, 20]), showlegend=True,
        hint="Mean of 8 seeds.",
    )  # fmt: skip


DECAY = Scene(
    "decay", "Four times the decay",
    f"After a few hundred steps with batch norm, learning rate {LR:g} and weight decay 0.04, each step turns "
    "the hidden weights by about the same angle. Weight decay becomes four times as large. What does the "
    "angle become?",
    (
        Choice("the same: norms undo decay", "angle",
               "A norm does undo the length, so decay doesn’t make the function simpler. But the length sets "
               "how far a step turns."),
        Choice("half as large", "half", "The weights do get shorter, but a step turns short weights more."),
        Choice("twice as large", "double"),
        Choice("four times as large", "fourfold",
               "The angle’s square is four times as large: it is 2 · learning rate · decay."),
    ),
    "angle", {"weight_decay": 0.04}, {"weight_decay": 0.16},
    "It went from {before_angle:.1f}° to {angle:.1f}°; theory says {theory:.1f}°.",
    "Each step moves the weights at right angles, which makes them longer; decay makes them shorter. Where "
    "both are equal, a step turns them by √(2 · learning rate · decay). Four "
    "times the decay gives √4 = 2 times the angle.",
    "This holds for weights in front of a norm only. The smaller the decay, the longer it takes. By theory "
    "momentum 0.9 makes it {momentum:.1f}°. Turning faster isn’t learning faster: the loss went from "
    "{before_loss} to {loss}.",
    "Choose the smallest decay: which of the three starts has not settled after 600 steps?",
    ("weight_decay", "seed"),
)  # fmt: skip

PYTORCH = """\
import torch

w = torch.randn(1000, dtype=torch.float64, requires_grad=True)
sgd = torch.optim.SGD([w], lr={lr}, weight_decay={decay!r})
for step in range({steps}):
    old = w.detach().clone()
    g = torch.randn_like(old)
    g -= (g @ old) / (old @ old) * old  # at right angles to w, as behind a norm,
    w.grad = g / g.norm() / old.norm()  # and the smaller the longer w is
    sgd.step()
print("exact =", torch.rad2deg(torch.acos(w @ old / w.norm() / old.norm())).item())
"""

SCRIPT = """\
def late(decay, scale=1.0):
    \"\"\"Over the last looks: degrees a step, length of the first layer, loss.\"\"\"
    nets = Networks(
        range({first}, {first} + 8), depth=2, width=32, batch_size=32, lr={lr}, weight_decay=decay,
        init_scale=scale,
    )
    looks = []
    for step in range(0, {steps}, {every}):
        nets.train(step - nets.step)
        if step < {steps} - {every} * {late}:
            continue
        found, angles, lengths = nets.gradients(), [], []
        for name in ("weight0", "weight1"):
            sides = [a.detach().square().sum((1, 2)).sqrt() for a in (found[name], nets.parameters[name])]
            angles.append(torch.atan({lr} * sides[0] / ((1 - {lr} * decay) * sides[1])))
            lengths.append(sides[1])
        looks.append([torch.stack(angles).square().mean(), lengths[0].mean(), nets.loss().detach().mean()])
    square, length, loss = np.array([[float(v) for v in look] for look in looks]).mean(0)
    return np.degrees(np.sqrt(square)), length, loss


decays = {decays!r}
found = {{decay: late(decay) for decay in sorted({{*decays, {decay!r}}})}}
angle, length, loss = found[{decay!r}]
print("angle =", angle)
print("length =", length)
print("theory =", np.degrees(np.sqrt(2 * {lr} * {decay!r})))
table(
    weight_decay=decays, angle=[found[decay][0] for decay in decays],
    theory=[np.degrees(np.sqrt(2 * {lr} * decay)) for decay in decays],
    length=[found[decay][1] for decay in decays], loss=[found[decay][2] for decay in decays],
)
"""


def pytorch(values: Values) -> str:
    """Let PyTorch's SGD turn one vector of weights."""
    decay = values["weight_decay"]
    return PYTORCH.format(lr=LR, decay=decay, steps=round(6 / (LR * decay)))


def script(values: Values) -> str:
    """Train with each weight decay, and print the angles."""
    return SCRIPT.format(
        first=seeds(values)["seed"], lr=LR, steps=STEPS, every=EVERY, late=LATE, decays=list(DECAYS),
        decay=values["weight_decay"],
    )  # fmt: skip


def lab(values: Values) -> Race:
    """Return the smallest, the chosen and the largest decay as a race."""
    every = sorted({DECAYS[0], values["weight_decay"], DECAYS[-1]})
    configs = tuple(config_of(values, decay) for decay in every)
    return Race("Weight decay in front of batch norm", configs, STEPS)


CODE = (
    Passage("How far a step turns weights in front of a norm", gradients.turning),
    Passage(r"The angle that it settles at, $\sqrt{2 \eta \lambda}$", theory.equilibrium_angle),
)
