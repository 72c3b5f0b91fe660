"""The scene "Length and direction": weight norm on one unit, and how |v| grows while networks train."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bnlib import RunConfig
from bnlib.experiments.intervals import Interval, paired
from bnlib.experiments.model import Race
from bnlib.lessons import weights
from bnlib.norms import weights as norms
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, progress
from book.controls import SEEDS, Control, Values, even_stops, seeds
from book.equations import Equation, frac, root, row, told
from book.figure import BLUE, COLOURS, INK, ORANGE, PURPLE, Figure, Trace
from book.words import brief
from pages._weights_parts import SHADES, arrow, at_angle, near, placed, plane_axes, ring, size_of
from pages._weights_scripts import LENGTH, LENGTH_TORCH

RATES = (0.05, 0.1, 0.2, 0.3)
STEPS, EVERY = 300, 10
ARMS = {"weight": ("weight norm", PURPLE), "none": ("no norm", ORANGE), "batch": ("batch norm", BLUE)}
GAIN = 1.0  # g of the unit in the plane
MOST = 2.5  # how far the plane reaches up and down
TARGET = np.array([1.6, 1.2])  # the loss of the unit is half the squared distance of w from here

CONTROLS = (
    Control(
        "direction", "number", 100.0, "direction of v", "degrees", 0, 360, even_stops(0, 360, 72),
        marks=(0, 90, 180, 270, 360),
        about="Where v points. It alone sets the direction of w = g v / |v|.",
    ),
    Control(
        "length", "number", 1.5, "length of v", "", 1.2, 2.2, even_stops(1.2, 2.2, 10), marks=(1.2, 1.5, 2),
        about="How long v is. It cancels in w = g v / |v|. In PyTorch v is "
        "parametrizations.weight.original1, and g is original0.",
    ),
    Control(
        "rate", "number", 0.2, "learning rate", "lr", RATES[0], RATES[-1], RATES,
        marks=RATES,
        about="How far a step moves the parameters: lr times the gradient. Networks are trained at these "
        "rates only. In PyTorch: lr of torch.optim.SGD.",
    ),
)  # fmt: skip


def config_of(values: Values, rate: float, norm: str = "weight") -> RunConfig:
    """Return eight networks of three layers with a norm, at a learning rate."""
    chosen: dict[str, Any] = {"norm": norm, "lr": rate, **seeds(values)}
    return RunConfig(dtype="float64", **chosen)


def jobs(values: Values) -> dict[str, Job]:
    """Return the trainings: weight norm at every rate, the others at the chosen one."""
    found, chosen = {}, near(values["rate"], RATES)
    for rate in sorted(RATES, key=lambda rate: abs(rate - chosen)):
        found[f"weight {rate:g}"] = Job(weights.lengthened, (config_of(values, rate), STEPS, EVERY))
        for norm in ("none", "batch") if rate == chosen else ():
            found[f"{norm} {rate:g}"] = Job(weights.learned, (config_of(values, rate, norm), STEPS, EVERY))
    return found


class Unit(NamedTuple):
    """One unit with weight norm: v, w = g v / |v|, the gradients for w and for v, and v after a step."""

    v: Any
    w: Any
    dw: Any
    dv: Any
    after: Any


def unit(direction: float, length: float) -> Unit:
    """Return the unit with this v; a step of learning rate 1."""
    v = length * at_angle(direction)
    w, cache = norms.weight_norm(v[None], np.array([GAIN]))
    dw = w[0] - TARGET
    dv = norms.weight_norm_backward(dw[None], cache)[0][0]
    return Unit(v, w[0], dw, dv, v - dv)


def view(values: Values, found: Found) -> View:
    """Show one unit in the plane, and how the lengths of v grow in training."""
    hide = values["open"]
    rate = near(values["rate"], RATES)
    here = unit(values["direction"], values["length"])
    runs: dict[str, Any] = {arm: found.get(f"{arm} {rate:g}") for arm in ARMS}
    figures = {"plane": _plane(here, values, hide)}
    if not hide:
        figures["length"] = _lengths({one: found.get(f"weight {one:g}") for one in RATES}, rate)
    figures["errors"] = _errors({"none": runs["none"]} if hide else runs, rate)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found))
    own = runs["weight"]
    ends = {arm: run["val"][:, -1] for arm, run in runs.items()}
    plain, batch = (paired(ends["weight"] - ends[arm]) for arm in ("none", "batch"))
    numbers = {
        "gradient": float(np.linalg.norm(here.dv)), "gradient_w": float(np.linalg.norm(here.dw)),
        "along": float(here.dv @ here.v), "size": float(np.linalg.norm(here.v)),
        "longer": float(np.linalg.norm(here.after)), "w_1": float(here.w[0]), "w_2": float(here.w[1]),
        "steps": float(STEPS), "grew": average(own["grew"]), "shrank": 1 - average(own["grew"]),
        "start": average(own["length"][:, 0]), "end": average(own["length"][:, -1]),
        "times": average(own["length"][:, -1] / own["length"][:, 0]),
        "law": average(own["law"][:, -1]), "apart": float(np.abs(own["law"] / own["length"] - 1).max()),
        "turned_first": average(own["turned"][:, 0]), "turned_last": average(own["turned"][:, -1]),
        "gain": average(own["gain"][:, -1]), "rate": rate,
        "differs": average(own["differs"]), "differs_batch": average(runs["batch"]["differs"]),
        "gap_none": plain.mean, "gap_batch": batch.mean,
    } | {f"error_{arm}": average(end) for arm, end in ends.items()}  # fmt: skip
    text = f"v is {brief(numbers['size'])} long, w = g v / |v| is {brief(GAIN)} long."
    if hide:
        return View(numbers, text, figures)
    text += (
        f" The gradient with respect to v is {brief(numbers['gradient'])} long and at right angles to v: "
        f"after a step of learning rate 1 v is {brief(numbers['longer'])} long. Networks at learning rate "
        f"{rate:g}: |v| goes from {numbers['start']:.3f} to {numbers['end']:.3f}; a step turns v by "
        f"{numbers['turned_first']:.2f}° at first and by {numbers['turned_last']:.2f}° at the end."
    )
    if numbers["turned_last"] < numbers["turned_first"]:
        fell = 1 - numbers["turned_last"] / numbers["turned_first"]
        text += (
            f" That is {fell:.0%} less. The longer v alone would make it {1 - 1 / numbers['times']:.1%} "
            "less; the rest is a smaller gradient."
        )
    equation = Equation(
        "longer", "|v| after a step of learning rate 1", root(row("|v|² + |∂L/∂v|²")), numbers["longer"],
        (root(row(told(numbers["size"]), "² + ", told(numbers["gradient"]), "²")), told(numbers["longer"])),
    )  # fmt: skip
    size = Equation(
        "gradient", "length of the gradient with respect to v",
        row(frac("g", "|v|"), " · |part of ∂L/∂w at right angles to v|"), numbers["gradient"],
        (row(frac(brief(GAIN), told(numbers["size"])), " · ", told(numbers["gradient"] * numbers["size"])),
         told(numbers["gradient"])),
    )  # fmt: skip
    note = (
        f"Weight norm − no norm: {_said(plain)}. Weight norm − batch norm: {_said(batch)}. All data doubled: "
        f"{numbers['differs']:.1%} of the validation digits get another answer with weight norm, "
        f"{numbers['differs_batch']:.1%} with batch norm (statistics of these digits). Weight norm needs no "
        "batch."
    )
    table = {
        "rate": np.array(RATES),
        "start": np.array([average(found[f"weight {one:g}"]["length"][:, 0]) for one in RATES]),
        "end": np.array([average(found[f"weight {one:g}"]["length"][:, -1]) for one in RATES]),
        "law": np.array([average(found[f"weight {one:g}"]["law"][:, -1]) for one in RATES]),
    }
    return View(numbers, text, figures, table, (size, equation), notes={"errors": note})


def _said(gap: Interval) -> str:
    return str(gap.text()).replace("-", "−") + ("" if gap.clear else ", no evidence of a difference")


def _plane(here: Unit, values: Values, hide: bool) -> Figure:
    """Draw v, whose tip sets its length, w, whose tip turns both, and after the answer a step."""
    size = float(np.linalg.norm(here.v))
    data: list[Trace] = [ring(GAIN, "|w| = g", COLOURS[9], dash="dot", width=1.5)]
    scale = (size_of(values)["height"] - 60) / (2 * MOST)  # pixels of a unit, about
    notes = _words(here, scale, hide)
    if not hide:
        data.append(ring(size, "as long as v", fig.faded(BLUE, 0.45), width=1))
        data += arrow(here.after, "after a step", ORANGE, here.v, width=3, size=8)
        data.append(fig.line([0, here.after[0]], [0, here.after[1]], "v after a step", ORANGE, dash="dash",
                             width=1.5, hoverinfo="skip"))  # fmt: skip
    data += arrow(
        here.v, "v", BLUE, width=3, size=14,
        meta={"drag": "length", "axis": "radius", "says": [f"v is {values['length']:g} long"]},
    )  # fmt: skip
    data += arrow(
        here.w, "w", PURPLE, width=5, size=14,
        meta={"drag": "direction", "axis": "angle", "says": [f"w at {values['direction']:g} degrees"]},
    )  # fmt: skip
    data.append(fig.dots([TARGET[0]], [TARGET[1]], "target of w", INK, symbol="x", size=10))
    alt = f"v is {brief(size)} long at {values['direction']:g} degrees; w has this direction and length 1."
    if not hide:
        alt += f" A step at right angles to v, {brief(float(np.linalg.norm(here.dv)))} long."
    return fig.figure(
        data, "One unit: w = g v / |v|", alt, *plane_axes(MOST, values.get("narrow", False)),
        annotations=notes, **size_of(values),
        hint="Drag the tip of v to change its length, the tip of w to turn both.",
    )  # fmt: skip


def _words(here: Unit, scale: float, hide: bool) -> list[dict[str, Any]]:
    """Name what is in the plane, where there is room; a unit is so many pixels long."""
    names = {"v": BLUE, "w": PURPLE, "target of w": INK} | ({} if hide else {"− ∂L/∂v": ORANGE})
    out = here.v / np.linalg.norm(here.v)
    aside = np.array([-out[1], out[0]]) * (1 if here.dv @ [-out[1], out[0]] > 0 else -1)  # where no step goes
    middle, away = (here.v + here.after) / 2 * scale, np.array([36.0, 16.0])
    target, after = TARGET * scale, here.after * scale
    places: dict[str, list[Any]] = {
        "v": [here.v * scale + 16 * out, here.v * scale + 16 * aside],
        "w": [here.w * scale + 16 * aside],
        "target of w": [target + move for move in ((0, 16), (0, -16), (-50, 0), (0, 24), (0, -24))],
        "− ∂L/∂v": [
            after - away * aside, *(one + k * away * out for one in (after, middle) for k in (1, -1, 1.6)),
        ],
    }  # fmt: skip
    tips = [here.v, here.w, here.w / 3, here.w * 2 / 3, TARGET, *([] if hide else [here.after])]
    taken = [(float(tip[0]) * scale, float(tip[1]) * scale, 1) for tip in tips]
    choices = [[(float(x), float(y), len(name)) for x, y in places[name]] for name in names]
    return [
        fig.label(x / scale, y / scale, name, names[name], 13)
        for name, (x, y, _) in zip(names, placed(taken, *choices), strict=True)
    ]


def _lengths(runs: dict[float, Any], rate: float) -> Figure:
    """Draw the lengths of v over training beside the law of right angles."""
    data, said = list[Trace](), []
    for one, run in runs.items():
        if run is None:
            continue
        y = run["length"] / run["length"][:, :1]
        if one != rate:
            more: dict[str, Any] = {"showlegend": one == next(other for other in runs if other != rate)}
            data.append(fig.line(run["step"], y.mean(axis=0), "other rates", fig.faded(INK, 0.35), width=1.2,
                                 **more))  # fmt: skip
            continue
        data += over_seeds(run["step"], y, f"measured, rate {one:g}", PURPLE)
        law = (run["law"] / run["length"][:, :1]).mean(axis=0)
        data.append(fig.line(run["step"], law, "√(|v₀|² + Σ |step|²)", INK, dash="dash", width=2))
        said.append(f"At rate {one:g} v is {y[:, -1].mean():.3f} times as long at the end")
    return fig.figure(
        data, "Length of v / length at the start",
        f"Rising curves over training. {'; '.join(said) or 'Nothing is computed yet'}.",
        fig.axis(0, STEPS * 1.02, "training step"), fig.axis(0.995, 1.12, "|v| / |v| at the start"),
        showlegend=True, hint=SHADES,
    )  # fmt: skip


def _errors(runs: dict[str, Any], rate: float) -> Figure:
    """Draw wrong answers over training for the arms that are there."""
    data, said = list[Trace](), []
    for arm, run in runs.items():
        if run is not None:
            name, colour = ARMS[arm]
            data += over_seeds(run["step"], run["val"], name, colour)
            said.append(f"{name}: {run['val'][:, -1].mean():.1f}%")
    ticks = [2, 5, 10, 20, 50, 100]
    return fig.figure(
        data, f"Wrong validation digits, learning rate {rate:g}",
        f"Falling curves over training. At the end {'; '.join(said) or 'nothing is computed yet'}.",
        fig.axis(0, STEPS * 1.02, "training step"),
        fig.log_axis(1.5, 110, "wrong", ticks, words=[f"{tick}%" for tick in ticks]), place="side",
        showlegend=True, height=220,
    )  # fmt: skip


SCENE = Scene(
    "length", "Length and direction",
    "Weight norm learns each unit’s weights as w = g v / |v|: g is the length of w, v its direction. "
    "Networks train by SGD without weight decay. In how many steps does |v| grow?",
    (
        Choice("in none: g is the length", 0.0,
               "g is the length of w. But v is a parameter like any other, and its own length is free."),
        Choice("in about half of them", 0.5,
               "Numbers in v do rise and fall. But no step has a part along v."),
        Choice("in all of them", 1.0),
    ),
    "grew", {}, {},
    "v became longer in {grew:.2%} of all steps of all units (the rest is rounding).",
    "|v| cancels in w, so the loss doesn’t change along v: its gradient is at right angles to v. Such a step "
    "makes v longer: |v|² grows by the square of the step. Added up over {steps:.0f} steps this gives "
    "|v| = {law:.3f}; measured {end:.3f}.",
    "The gradient is g/|v| times the part of ∂L/∂w at right angles to v. So a longer v turns less, as if the "
    "learning rate were smaller. "
    "Weight decay keeps |v| down. After {steps:.0f} steps (rate {rate}) weight norm had {error_weight:.1f}% "
    "wrong, no norm {error_none:.1f}%, batch norm {error_batch:.1f}%.",
    "Make v longer, from 1.2 to 2.2: what becomes of w, and of the gradient?",
    ("direction", "length", "rate", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Write the unit in the plane in PyTorch."""
    v = [float(f"{entry:.7g}") for entry in unit(values["direction"], values["length"]).v]
    return LENGTH_TORCH.format(gain=GAIN, v=v, target=TARGET.tolist())


def script(values: Values) -> str:
    """Train with weight norm again and follow the lengths."""
    given = {"seed": SEEDS * values["seed"], "seeds": SEEDS, "steps": STEPS}
    return LENGTH.format(rates=RATES, rate=near(values["rate"], RATES), **given)


def lab(values: Values) -> Race:
    """Return weight norm, no norm and batch norm at one rate as a race."""
    lanes = tuple(config_of(values, near(values["rate"], RATES), norm) for norm in ARMS)
    return Race("Weight norm, no norm, batch norm", lanes, STEPS)


PASSAGES = (
    Passage("Weight norm (Salimans & Kingma 2016, equation 2)", norms.weight_norm),
    Passage("How |v| grows in training", weights.lengthened),
)
