"""The scenes "Twenty layers" and "What trains": gradients and samples on their way through many layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import theory
from bnlib.lessons import deep
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import average, over_seeds, percent, progress
from book.controls import SEEDS, Values
from book.equations import Equation, Term, frac, root, row, told
from book.figure import INK, Figure
from book.words import brief
from pages._gradients_depth_parts import (
    COLOURS,
    LEGEND,
    SAMPLES,
    SHORT,
    SHOWN,
    WORDS,
    closed_form,
    layer_axis,
    over_factors,
    power,
    power_axis,
    relative,
    times,
    variance,
)  # fmt: skip

STEPS, EVERY, RATE = 50, 10, 0.2  # of the training in "What trains"
SHALLOW = 10  # layers that plain batch norm is compared at
TWINS, TWIN_STEPS, CHANGE = ("batch", "skip"), 6, 1e-15
LATER, LATER_RATE = (1, 5), 0.1  # steps after which the gradient is measured again in "Twenty layers"
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST = 3  # powers of ten that the axis of gradients shows at least


# ---- twenty layers ---------------------------------------------------------------------------------------


def depth(values: Values, found: Found) -> View:
    """Show how the gradient's norm changes from the last layer to the first, before any training."""
    hide, draft, layers = values["open"], values["draft"], values["layers"]
    scale, samples = values["init_scale"], values["samples"]
    profiles: dict[str, Any] = {arm: found.get(arm) for arm in SHOWN}
    shown = {arm: own for arm, own in profiles.items() if not hide or arm == "none"}
    figures = {"growth": _growth(shown, values, scale, samples)}
    if not hide:
        figures["sigma"] = _sigma(shown, layers, scale, draft)
    if any(own is None for own in profiles.values()):
        return View(figures=figures, waiting=progress(profiles, "kinds of networks are computed"))
    numbers = _depth_numbers(profiles, layers, scale, samples)
    later = found.get("later")
    if later is not None:
        numbers |= {f"after_{n}": deep.typical(later[:, k]) for k, n in enumerate(LATER)}
        numbers |= {f"after_{n}_steps": float(n) for n in LATER}
    who = "One seed, as a draft: " if draft else f"{layers} layers: "
    plain = (
        f"without a norm the first layer’s gradient is {times(numbers['ratio_none'])} times the last one’s"
    )
    if hide:
        return View(numbers, f"{who}{plain}.", figures)
    text = f"{who}first layer’s gradient over the last one’s: " + "; ".join(
        f"{LEGEND[arm]} {times(numbers[f'ratio_{arm}'])}" for arm in SHOWN
    )
    table: dict[str, Any] = {
        "layer": np.tile(np.arange(1, layers + 1), len(SHOWN)),
        "norm": [WORDS[arm].replace(",", " and") for arm in SHOWN for _ in range(layers)],
    }
    curves = {arm: relative(own["gradient"]) for arm, own in profiles.items()}
    table["gradient"] = np.concatenate([np.exp(np.log(c).mean(axis=0)) for c in curves.values()])
    table["sigma"] = np.concatenate([own["sigma"].mean(axis=0) for own in profiles.values()])
    waiting = "" if later is not None or draft else "A few training steps are being made."
    return View(numbers, f"{text}.", figures, table, _equations(numbers, layers, samples), waiting=waiting)


def _depth_numbers(profiles: Any, layers: int, scale: float, samples: int) -> Numbers:
    numbers = {
        "layers": float(layers), "scale": scale, "samples": float(samples),
        "large_batch": theory.RELU_GROWTH**0.5, "sigma_theory": theory.RELU_GROWTH**-0.5,
        "growth_theory": theory.gradient_growth_relu(samples) ** 0.5,
    }  # fmt: skip
    for arm, own in profiles.items():
        ratio = deep.typical(deep.ratio(own["gradient"]))
        inner = own["sigma"][:, 1:]
        numbers |= {
            f"ratio_{arm}": ratio, f"growth_{arm}": ratio ** (1 / (layers - 1)),
            f"theory_{arm}": float(deep.expected_gradients(arm, layers, scale, samples, variance())[0]),
            f"sigma_{arm}": average(inner) / (1.0 if arm == "none" else scale),
        }  # fmt: skip
    return numbers


def _equations(numbers: Numbers, layers: int, samples: int) -> tuple[Equation, ...]:
    """Write out batch norm's growth in one layer and in all."""
    one, growth = numbers["large_batch"], numbers["growth_theory"]
    left = 1 - 1 / np.pi
    all_of = numbers["theory_batch"]
    return (
        Equation(
            "large_batch", "growth in one layer, very large batches", frac("1", root("1 − 1/π")), one,
            (frac("1", root(told(left))), told(one)),
        ),
        Equation(
            "all", f"growth in {layers - 1} layers; g: in one layer, {samples} samples", row("gᴸ⁻¹"), all_of,
            (Term(f"{_base(growth, layers - 1)}{str(layers - 1).translate(RAISED)}", True), told(all_of)),
        ),
    )  # fmt: skip


def _base(growth: float, power: int) -> str:
    """Write a base in as many digits as its power needs to be what is shown of it."""
    written = (f"{growth:.{digits}f}" for digits in range(3, 9))
    fine = (base for base in written if brief(float(base) ** power) == brief(growth**power))
    return next(fine, f"{growth:.8f}")


def _growth(
    profiles: Any, values: Values, scale: float, samples: int, drag: bool = True, place: str = "main"
) -> Figure:
    """Draw each layer's gradient in units of the last one's, and theory over it."""
    layers, seen = values["layers"], {arm: own for arm, own in profiles.items() if own is not None}
    x, data, highest = np.arange(1, layers + 1), [], float(MOST)
    told_ = []
    for arm in profiles:
        expected = deep.expected_gradients(arm, layers, scale, samples, variance())
        highest = max(highest, abs(float(np.log10(expected[0]))))
        if arm in seen:
            curves = relative(seen[arm]["gradient"])
            data += over_factors(x, curves, LEGEND[arm], COLOURS[arm], width=3)
            highest = max(highest, float(np.abs(np.log10(curves)).max()))
            told_.append(f"{WORDS[arm]} {times(deep.typical(curves[:, 0]))}")
        data.append(closed_form(x, expected, arm == list(profiles)[-1]))
    if drag and not values["open"]:
        hold = {"drag": "layers", "axis": "x"}
        data.append(fig.dots([layers], [1], "last layer", INK, size=12, showlegend=False, meta=hold))
    seeds = f"{_seeds(values['draft'])} Dashed: closed form."
    hint = f"Drag the dot for another depth. {seeds}" if drag and not values["open"] else seeds
    return fig.figure(
        data, "Gradient of each layer, the last one’s = 1",
        f"Curves of the gradient’s norm over the layers, in units of the last layer’s. In the first layer: "
        f"{'; '.join(told_) or 'nothing is computed yet'}.",
        layer_axis(layers), power_axis(int(np.ceil(highest)), "gradient"), showlegend=place == "main",
        hint=hint, place=place,
    )  # fmt: skip


def _seeds(draft: bool) -> str:
    return "One seed, as a draft." if draft else f"Shades: {SEEDS} seeds."


def _sigma(profiles: Any, layers: int, scale: float, draft: bool) -> Figure:
    """Draw what each norm divides by, in units of the weights' scale, and theory over it."""
    x, data, told_ = np.arange(1, layers + 1), [], []
    high = 1.5
    for arm in SHOWN[1:]:
        own = profiles[arm]
        if own is None:
            continue
        sigma = own["sigma"][:, 1:] / scale
        data += over_seeds(x[1:], sigma, LEGEND[arm], COLOURS[arm], width=3)
        data.append(closed_form(x[1:], deep.expected_sigma(arm, layers, variance())[1:], False))
        high = max(high, float(sigma.max()) * 1.1)
        told_.append(f"{WORDS[arm]} {average(sigma):.2f}")
    return fig.figure(
        data, "σ that each norm divides by" if scale == 1 else "σ divided by the scale of the weights",
        f"Curves of the standard deviation over the layers. On average: "
        f"{'; '.join(told_) or 'nothing is computed yet'}.",
        layer_axis(layers), fig.axis(0, high, "σ"), place="side",
        shapes=[fig.mark(0.5, 1, layers + 0.5, 1, INK, 1, dash="dot")],
        hint=f"Below 1 a gradient grows. {_seeds(draft)}",
    )  # fmt: skip


# ---- what trains -----------------------------------------------------------------------------------------


def trains(values: Values, found: Found) -> View:
    """Show which of four deep networks learns, and what gets through them before training."""
    hide, draft, layers = values["open"], values["draft"], values["layers"]
    profiles = {arm: found.get(f"profile {arm}") for arm in SHOWN}
    learned = {arm: found.get(f"learning {arm}") for arm in (*SHOWN, "skip_layer", "skip_none")}
    copies = {arm: found.get(f"twins {arm}") for arm in TWINS}
    if hide:
        figures = {"start": _growth(profiles, values, 1.0, SAMPLES, drag=False)}
    else:
        figures = {
            "curves": _curves(learned, draft), "similarity": _similarity(profiles, layers, draft),
            "before": _growth(profiles, values, 1.0, SAMPLES, drag=False, place="side"),
            "twins": _twins(copies),
        }  # fmt: skip
    waiting = progress(found, "computations are done")
    if draft:
        waiting = waiting or f"One seed, as a draft. Networks of {layers} layers train when you let go."
    if waiting:
        return View(figures=figures, waiting=waiting)
    numbers = _trains_numbers(profiles, learned, copies) | {"layers": float(layers)}
    numbers |= {"right_shallow": average(found["ten"]["right"][:, -1]), "shallow": float(SHALLOW)}
    if hide:
        text = f"{layers} layers before training, first layer’s gradient over the last one’s: " + "; ".join(
            f"{WORDS[arm]} {times(numbers[f'ratio_{arm}'])}" for arm in SHOWN
        )
        return View(numbers, f"{text}.", figures)
    text = (
        f"{layers} layers, two copies of a network whose weights differ by {power(np.log10(CHANGE))}: after "
        f"{TWIN_STEPS} steps they differ by {times(numbers['apart_batch'], 2)} with batch norm, by "
        f"{times(numbers['apart_skip'], 2)} with skip connections."
    )
    return View(numbers, text, figures, _trains_table(profiles, learned, values))


def _trains_numbers(profiles: Any, learned: Any, copies: Any) -> Numbers:
    numbers = {
        "trained": 0.0, "steps": float(STEPS), "twin_steps": float(TWIN_STEPS), "rate": RATE,
        "seeds": float(SEEDS),
    }  # fmt: skip
    for place, arm in enumerate(SHOWN):
        own = profiles[arm]
        numbers |= {
            f"ratio_{arm}": deep.typical(deep.ratio(own["gradient"])),
            f"similarity_{arm}": average(own["similarity"][:, -1]),
        }
        numbers["trained"] += 2.0**place if average(learned[arm]["right"][:, -1]) > 0.5 else 0.0
    numbers["alike"] = min(numbers["similarity_none"], numbers["similarity_layer"])
    numbers |= {f"apart_{arm}": deep.typical(own[:, -1]) for arm, own in copies.items()}
    numbers |= {f"right_{arm}": average(own["right"][:, -1]) for arm, own in learned.items()}
    alone = deep.similarities(np.eye(2)[None], profiles["none"]["similarity"].shape[1])
    return numbers | {"similarity_from_0": float(alone[0, -1])}


def _trains_table(profiles: Any, learned: Any, values: Values) -> dict[str, Any]:
    """Return a row for each kind and seed. Which answers are right after training is no column: see the
    script."""
    seeds = SEEDS * values["seed"] + np.arange(SEEDS)
    return {
        "norm": [WORDS[arm].replace(",", " and") for arm in SHOWN for _ in seeds],
        "seed": np.tile(seeds, len(SHOWN)),
        "first_over_last_gradient": np.concatenate([deep.ratio(profiles[a]["gradient"]) for a in SHOWN]),
        "similarity": np.concatenate([profiles[a]["similarity"][:, -1] for a in SHOWN]),
        "more_than_half_right": np.concatenate(
            [(learned[a]["right"][:, -1] > 0.5).astype(float) for a in SHOWN]
        ),
    }


def _curves(learned: Any, draft: bool) -> Figure:
    """Draw right answers over training."""
    data, told_ = [], []
    for arm in SHOWN:
        if learned[arm] is not None:
            data += over_seeds(
                learned[arm]["step"], learned[arm]["right"], LEGEND[arm], COLOURS[arm], width=3
            )
            told_.append(f"{WORDS[arm]} {average(learned[arm]['right'][:, -1]):.0%}")
    data.append(fig.line([0, STEPS], [0.1, 0.1], "guessing", INK, dash="dot", width=1.5))
    return fig.figure(
        data, "Right answers on validation digits",
        f"Curves of right answers over training steps. At the end: "
        f"{'; '.join(told_) or 'nothing is computed yet'}.",
        fig.axis(0, STEPS * 1.02, "training step"), percent(), showlegend=True,
        hint=f"Norms use the statistics of {SAMPLES} samples, as in training. {_seeds(draft)}",
    )  # fmt: skip


def _similarity(profiles: Any, layers: int, draft: bool) -> Figure:
    """Draw the mean cosine between two samples behind each layer, and theory over it."""
    x, data, told_ = np.arange(1, layers + 1), [], []
    for arm in SHOWN:
        own = profiles[arm]
        if own is None:
            continue
        data += over_seeds(x, own["similarity"], LEGEND[arm], COLOURS[arm], width=3)
        told_.append(f"{WORDS[arm]} {average(own['similarity'][:, -1]):.2f}")
    if profiles["none"] is not None:
        data.append(closed_form(x, profiles["none"]["expected"].mean(axis=0), True))
    return fig.figure(
        data, "How alike two digits are, before training",
        f"Curves of the mean cosine between two samples over the layers. Behind the last: "
        f"{'; '.join(told_) or 'nothing is computed yet'}.",
        layer_axis(layers), fig.axis(0, 1.05, "cosine"), showlegend=True,
        hint=f"At 1 all look the same. Closed form: no norm or layer norm. {_seeds(draft)}",
    )  # fmt: skip


def _twins(copies: Any) -> Figure:
    """Draw how far two copies of a network drift apart."""
    data, told_ = [], []
    for arm, own in copies.items():
        if own is not None:
            data += over_factors(np.arange(TWIN_STEPS + 1), own, SHORT[arm], COLOURS[arm], width=3)
            told_.append(f"{WORDS[arm]} {brief(deep.typical(own[:, -1]))}")
    exponents = (-15, -10, -5, 0)
    return fig.figure(
        data, f"Two copies whose weights differ by {power(np.log10(CHANGE))}",
        f"Curves of the distance between two copies over training steps. After {TWIN_STEPS} steps: "
        f"{'; '.join(told_) or 'nothing is computed yet'}.",
        fig.axis(0, TWIN_STEPS, "training step", list(range(0, TWIN_STEPS + 1, 2))),
        fig.log_axis(1e-17, 10, "distance", [10.0**k for k in exponents],
                     words=[power(k) for k in exponents]),
        showlegend=True, place="side",
    )  # fmt: skip
