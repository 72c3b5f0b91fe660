"""What the other scenes of "Placement" show: both orders, what gamma and beta start from, a free scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import erf, sqrt
from typing import Any

import numpy as np

from bnlib.experiments.intervals import Interval, paired
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import average, over_seeds, percent, progress
from book.controls import Values
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, PAPER, Figure
from book.words import brief
from pages._placement_count import bias, count
from pages._placement_parts import (
    ACTIVATIONS,
    BETAS,
    CENTRES,
    DEEP,
    GAMMAS,
    LOOKS,
    ORDERS,
    RATES,
    STEPS,
    TINTS,
    Panel,
    look,
    panels,
    passed_on,
)  # fmt: skip

NAMES = {"before": "before the activation", "after": "after the activation"}
SEEDS_HINT = "Lines: mean of 8 seeds. Shades: lowest to highest seed."
DONE = "measurements are made"
ZERO = 40  # the bin of `EDGES` that begins at 0


def _points(after: Any, before: Any) -> Interval:
    """Compare two orders seed by seed, in points of right answers."""
    return paired(100 * (np.asarray(after) - np.asarray(before)))


def chosen(found: Mapping[str, Any], order: str, at: int) -> tuple[Any, set[str]]:
    """Return right answers (R,) at the best of the rates, each half's chosen on the other half's seeds."""
    right = {rate: found[f"{order} {rate}"]["right"][at] for rate in RATES}
    half = len(right[RATES[0]]) // 2
    parts, used = [], set()
    for own, other in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        rate = RATES[int(np.argmax([right[one][other].mean() for one in RATES]))]
        parts.append(right[rate][own])
        used.add(rate)
    return np.concatenate(parts), used


def _stage_panels(order: str, seen: Any, at: int, layer: int, activation: str) -> list[Panel]:
    """Return the histograms of one order, in the order in which they are passed."""
    linear, middle, out = seen["histograms"][at, layer - 1]
    tint = TINTS[order]
    flat, dead = (average(seen[name][at, :, layer - 1]) for name in ("saturated", "dead"))
    mean, std = (average(seen[name][at, :, layer - 1]) for name in ("mean", "std"))
    phi = ACTIVATIONS[activation]
    names = ("norm", phi) if order == "before" else (phi, "norm")
    off = f"dead units {dead:.1%}" if activation == "relu" else f"saturated {flat:.1%}"
    ends = f"mean {round(mean, 2) + 0.0:.2f}, σ {std:.2f}".replace("-", "−")
    found = [
        Panel(f"{number} {title}", shares, tint, None, "", off if title == phi else "")
        for number, (title, shares) in enumerate(
            zip(("linear map", *names), (linear, middle, out), strict=True), start=1
        )
    ]
    return [*found[:-1], found[-1]._replace(note=ends)]


def _told(column: Sequence[Panel]) -> str:
    return "; ".join(words for panel in column for words in (panel.inside, panel.note) if words)


def _flow(found: Mapping[str, Any], orders: Sequence[str], values: Values, at: int) -> Figure:
    layer, narrow = values["layer"], values.get("narrow", False)
    columns, told = [], []
    for order, seen in zip(orders, found.values(), strict=True):
        column = _stage_panels(order, seen, at, layer, values["activation"])
        columns.append([panel._replace(note="") for panel in column] if narrow else column)
        told.append(f"{NAMES[order]}: {_told(column)}")
    title = f"Layer {layer} at step {LOOKS[at]}: " + (
        "norm before (left) and after the activation" if len(orders) == 2 else f"norm {NAMES[orders[0]]}"
    )
    return panels(
        columns, title, f"Histograms of layer {layer}. {'. '.join(told)}.", "value", narrow,
        hint="500 digits, first seed. The outermost bars hold what lies beyond.",
    )  # fmt: skip


def _curves(shown: Mapping[str, Any], at: int, title: str) -> Figure:
    """Draw right answers over steps, a curve for each name."""
    data, told = [], []
    for name, (right, tint) in shown.items():
        data += over_seeds(LOOKS[: len(right)], right.T, name, tint)
        told.append(f"{name} {average(right[at]):.1%}")
    return fig.figure(
        data, title, f"Curves of right answers over steps; at step {LOOKS[at]}: {', '.join(told)}.",
        fig.axis(0, 208, "step"), percent(), showlegend=True, hint=SEEDS_HINT,
        shapes=[fig.mark(LOOKS[at], 0, LOOKS[at], 1.02, INK, 1, dash="dot")],
    )  # fmt: skip


def order(values: Values, found: Found) -> View:
    """Compare both orders on the same initial weights."""
    hide, rate, at, activation = values["open"], values["lr"], look(values["step"]), values["activation"]
    here: dict[str, Any] = {one: found.get(f"{one} {rate}") for one in ORDERS}
    begin: dict[str, Any] = {one: found.get(f"{one} begin") for one in ORDERS}
    waiting = progress(found, DONE)
    young = hide or any(seen is None for seen in here.values())
    shown = begin if young else here
    if any(seen is None for seen in shown.values()):
        return View(waiting=waiting)
    figures = {"flow": _flow(shown, ORDERS, values, 0 if young else at)}
    if young:
        text = f"Both begin with the same weights. Drawn is layer {values['layer']} before the first step."
        return View({"step": 0.0}, text, figures, waiting=waiting)
    right = {one: seen["right"] for one, seen in here.items()}
    curves = {f"norm {one}": (right[one], TINTS[one]) for one in ORDERS}
    figures["right"] = _curves(curves, at, f"Right answers, {ACTIVATIONS[activation]}, learning rate {rate}")
    gain, late = (_points(right["after"][k], right["before"][k]) for k in (at, -1))
    numbers: Numbers = {
        "gain": gain.mean, "low": gain.low, "high": gain.high, "late": late.mean,
        "step": float(LOOKS[at]), "last": float(LOOKS[-1]), "rate": float(rate),
    }  # fmt: skip
    for one, seen in here.items():
        bell_mean, bell_std = passed_on(activation, one)
        numbers |= {
            f"{one}_right": average(right[one][at]),
            f"{one}_mean": average(seen["mean"][0]), f"{one}_std": average(seen["std"][0]),
            f"{one}_dead": average(seen["dead"][at, :, values["layer"] - 1]),
            f"{one}_bell_mean": bell_mean, f"{one}_bell_std": bell_std,
        }  # fmt: skip
    numbers["times"] = numbers["after_std"] / numbers["before_std"]
    phi = ACTIVATIONS[activation]
    text = (
        f"{phi[0].upper()}{phi[1:]}, step {LOOKS[at]}, learning rate {rate}: after the activation minus "
        f"before it {_said(gain)}."
    )
    table = {"step": np.array(LOOKS[: at + 1])}
    table |= {one: right[one][: at + 1].mean(axis=1) for one in ORDERS}
    if not waiting:
        (before, rates), (after, others) = (chosen(found, one, at) for one in ORDERS)
        fair = _points(after, before)
        numbers |= {"fair": fair.mean, "fair_low": fair.low, "fair_high": fair.high}
        used = "; ".join(
            f"{one}: {' or '.join(sorted(some))}" for one, some in zip(ORDERS, (rates, others), strict=True)
        )
        text += f" With the best of {len(RATES)} rates for each ({used}): {_said(fair)}."
    if activation == "relu":
        text += (
            f" Dead units (never above 0) in layer {values['layer']}: before {numbers['before_dead']:.1%}, "
            f"after {numbers['after_dead']:.1%}."
        )
    return View(numbers, text, figures, table, waiting=waiting)


def _said(gain: Interval, ahead: str = ", after leads", behind: str = ", before leads") -> str:
    """Write a difference, and who is ahead where the interval tells."""
    clear = ahead if gain.mean > 0 else behind
    return f"{gain.text().replace('-', '−')}{clear if gain.clear else ', no clear difference'}"


# ---- what gamma and beta start from ----------------------------------------------------------------------


def _right_at(found: Found, kind: str, value: float, grid: Sequence[float]) -> Any:
    """Return what was learned from a start: one of the grid, or one of its own."""
    return found.get(f"{kind} {value:g}") if value in grid else found.get("here")


def _starts(
    found: Found,
    kind: str,
    grid: Sequence[float],
    value: float,
    x: fig.Axis,
    title: str,
    y: str = "right answers",
) -> tuple[Figure, dict[str, Any]]:
    """Draw right answers by what a parameter starts from; the value that is set can be dragged."""
    known: dict[float, Any] = {start: found.get(f"{kind} {start:g}") for start in grid}
    there = [start for start, one in known.items() if one is not None]
    right = {start: known[start]["right"] for start in there}
    here = _right_at(found, kind, value, grid)
    data, told = [], "Nothing is computed yet"
    if there:
        data += over_seeds(there, np.stack([right[start] for start in there], axis=1), "right answers", BLUE)
        told = "; ".join(f"start {start:g}: {average(right[start]):.0%}" for start in there)
    level = average(here["right"]) if here is not None else float(
        np.interp(value, there, [average(right[start]) for start in there]) if there else 0.5
    )  # fmt: skip
    meta = {"drag": kind, "axis": "x"}
    data.append(fig.dots([value], [level], "here", ORANGE, size=13, symbol="diamond", edge=PAPER, meta=meta))
    table = {"start": np.array(there), "right": np.array([average(right[start]) for start in there])}
    drawn = fig.figure(
        data, title, f"Right answers by the start. {told}.", x, percent(title=y), showlegend=True,
        hint=f"{SEEDS_HINT} Drag the diamond.",
    )  # fmt: skip
    return drawn, table


def _against(here: Any, usual: Any, name: str) -> str:
    """Say how much the start that is set gains or loses against the usual one, seed by seed."""
    if here is usual or np.array_equal(here["right"], usual["right"]):
        return f"After {STEPS} steps {average(here['right']):.1%} of the digits are right."
    gain = _said(_points(here["right"], usual["right"]), "", "")
    return f"Right answers after {STEPS} steps, minus those with {name}: {gain}."


def start(values: Values, found: Found) -> View:
    """Change gamma's start in a plain network: what arrives at its layers, what it learns."""
    hide = values["open"]
    gamma = 1.0 if hide else values["gamma"]
    usual: Any = found.get("usual")
    own: Any = found.get("signal")
    one: Any = found.get("gamma 1")
    lines = {"γ = 1": (usual, BLUE)} | ({} if hide else {f"γ = {gamma:g}": (own, ORANGE)})
    data, told, notes = [], [], []
    for name, (lengths, tint) in lines.items():
        if lengths is None:
            continue
        shown = np.where(lengths > 0, lengths, np.nan)
        told.append(f"{name}: {brief(average(lengths[:, 0]))} in layer 1")
        if (lengths > 0).all():
            data += over_seeds(
                np.arange(1, DEEP + 1), shown, name, tint, dash="dash" if tint == ORANGE else "solid"
            )
        else:
            notes.append(fig.label(5.5, -2.5, f"{name}: 0 in every layer", tint, 13))
    figures = {
        "gradient": fig.figure(
            data, "Length of the gradient of each layer’s weights, before the first step",
            f"Curves over layers. {'; '.join(told)}.", fig.axis(0.5, DEEP + 0.5, "layer", range(1, DEEP + 1)),
            fig.log_axis(1e-3, 30, "length"), showlegend=True, hint=SEEDS_HINT, annotations=notes,
        ),
    }  # fmt: skip
    if hide:
        text = f"A plain network of {DEEP} layers with batch norm in each. The usual start: γ = 1, β = 0."
        waiting = progress({"usual": usual, "one": one}, DONE)
        if waiting:
            return View({}, text, figures, waiting=waiting)
        right = average(one["right"])
        return View(
            {"right_one": right}, f"{text} After {STEPS} steps {right:.0%} of the digits are right.", figures
        )
    axis = fig.axis(-0.05, 2.05, "γ at the start", (0, 0.2, 0.5, 1, 1.5, 2))
    title = f"Right answers after {STEPS} steps, {DEEP} layers"
    figures["right"], table = _starts(found, "gamma", GAMMAS, gamma, axis, title)
    branch = found.get("branch")
    if branch is not None:
        name = "residual, branches × 0"
        dot = fig.dots([0], [average(branch["right"])], name, GREEN, size=11, symbol="square")
        figures["right"]["data"].append(dot)
    here, waiting = _right_at(found, "gamma", gamma, GAMMAS), progress(found, DONE)
    if waiting or here is None:
        waiting = "" if values["draft"] else waiting
        return View({}, f"γ starts at {gamma:g}.", figures, table, waiting=waiting)
    numbers = {
        "gamma": gamma, "right": average(here["right"]), "right_one": average(found["gamma 1"]["right"]),
        "first": average(own[:, 0]), "first_one": average(usual[:, 0]),
        "ratio": average(own[:, 0]) / average(usual[:, 0]), "law": gamma,
        "answers": average(here["answers"]), "common": average(here["common"]),
        "branch": average(found["branch"]["right"]), "whole": average(found["whole"]["right"]),
        "small": average(found["gamma 0.05"]["right"]),
        "steps": float(STEPS), "depth": float(DEEP), "fewer": average(found["gamma 1"]["right"]) - 0.2,
    }  # fmt: skip
    text = f"γ starts at {gamma:g}. {_against(here, found['gamma 1'], 'γ = 1')}"
    if gamma != 1:
        text += (
            f" The first layer’s gradient is {brief(numbers['ratio'])} times that of γ = 1 (if the "
            f"loss were linear: {gamma:g} times)."
        )
    return View(numbers, text, figures, table)


def active_share(beta: float) -> float:
    """Return the share of a standard Gaussian plus beta that lies above 0."""
    return (1 + erf(beta / sqrt(2))) / 2


def beta(values: Values, found: Found) -> View:
    """Change beta's start in front of a ReLU: how much of it is active, what the network learns."""
    hide = values["open"]
    shift = 0.0 if hide else values["beta"]
    plain, entered = found.get("plain"), found.get("entered")
    if plain is None:
        return View(waiting=progress(found, DONE))
    bins = int(round(10 * shift))  # a bin of `EDGES` is 0.1 wide
    moved = np.zeros_like(plain["shares"])
    for place, share in enumerate(plain["shares"]):
        moved[min(max(place + bins, 0), len(moved) - 1)] += share
    up, peak = np.arange(len(moved)) >= ZERO, float(moved.max())
    data = [
        fig.bars(CENTRES[~up], moved[~up], "becomes 0", COLOURS[9], width=0.1),
        fig.bars(CENTRES[up], moved[up], "passes", GREEN, width=0.1),
        fig.dots([shift], [0.0], "β", ORANGE, size=15, symbol="diamond", edge=PAPER,
                 meta={"drag": "beta", "axis": "x"}),
    ]  # fmt: skip
    figures = {
        "entering": fig.figure(
            data, f"What enters the ReLUs of the first layer, β = {brief(shift)}",
            f"A histogram around {brief(shift)}.", fig.axis(-4, 4, "x̂ + β"),
            fig.axis(-0.04 * peak, 1.06 * peak, "share", ()), showlegend=True, bargap=0, barmode="overlay",
            hint="500 digits, first seed. The outermost bars hold what lies beyond."
            + ("" if hide else " Drag the diamond: it is β."),
        ),
    }  # fmt: skip
    if hide:
        return View({"beta": 0.0}, "β starts at 0: the norm’s outputs lie around 0.", figures)
    figures["right"], table = _starts(
        found, "beta", BETAS, shift, fig.axis(-2.1, 2.1, "β at the start", BETAS),
        f"Right answers after {STEPS} steps, and the share that passes", "share",
    )  # fmt: skip
    law = np.linspace(-2, 2, 41)
    figures["right"]["data"].insert(
        0,
        fig.line(
            law, [active_share(b) for b in law], "share that passes, bell curve", INK, dash="dash", width=1.5
        ),
    )
    zero, here, waiting = found.get("beta 0"), _right_at(found, "beta", shift, BETAS), progress(found, DONE)
    if waiting or entered is None or here is None or zero is None:
        return View(
            {}, f"β starts at {brief(shift)}.", figures, table, waiting="" if values["draft"] else waiting
        )
    active, dead = entered["active"], entered["dead"]
    numbers = {
        "beta": shift, "active": average(active[:, 0]), "law": active_share(shift),
        "all_active": average(active), "dead": average(dead), "right": average(here["right"]),
        "right_zero": average(zero["right"]), "steps": float(STEPS), "law_one": active_share(1.0),
        "right_one": average(found["beta 1"]["right"]),
    }  # fmt: skip
    text = (
        f"β starts at {brief(shift)}: {numbers['active']:.1%} pass (bell curve: {numbers['law']:.1%}); "
        f"{numbers['dead']:.1%} of the units are dead (never above 0). {_against(here, zero, 'β = 0')}"
    )
    return View(numbers, text, figures, table)


def play(values: Values, found: Found) -> View:
    """Show one network: its histograms and what it learns."""
    whole: Any = found.get("play")
    seen = found.get("begin") if whole is None else whole
    if seen is None:
        return View(waiting=progress(found, DONE))
    at, one = 0 if whole is None else look(values["step"]), values["order"]
    none = values["norm"] == "none"
    column = _stage_panels(one, seen, at, values["layer"], values["activation"])
    if none:
        column = [panel._replace(title=panel.title.replace("norm", "(no norm)")) for panel in column]
    narrow = values.get("narrow", False)
    figures = {
        "flow": panels(
            [column], f"Layer {values['layer']} at step {LOOKS[at]}",
            f"Histograms of layer {values['layer']}: {_told(column)}.", "value", narrow,
            hint="500 digits, first seed. The outermost bars hold what lies beyond.",
        ),
        "right": _curves({"right answers": (seen["right"], TINTS[one])}, at, "Right answers"),
    }  # fmt: skip
    layer = values["layer"] - 1
    numbers = {
        "right": average(seen["right"][at]), "dead": average(seen["dead"][at, :, layer]),
        "saturated": average(seen["saturated"][at, :, layer]), "mean": average(seen["mean"][at, :, layer]),
        "std": average(seen["std"][at, :, layer]), "step": float(LOOKS[at]),
    }  # fmt: skip
    setting = (values["activation"], one, values["norm"], values["gamma"], values["beta"])
    numbers["bell_mean"], numbers["bell_std"] = passed_on(*setting)
    flat = "cut to 0" if values["activation"] == "relu" else "saturated"
    text = (
        f"Step {LOOKS[at]}: {numbers['right']:.1%} right. Layer {values['layer']}: "
        f"{numbers['saturated']:.1%} of the numbers are {flat}, {numbers['dead']:.1%} of the units are dead. "
        f"It passes on mean {brief(numbers['mean'])}, standard deviation {brief(numbers['std'])}."
    )
    if none:
        text += " Without a norm γ, β and the place of the norm change nothing."
    table = {"step": np.array(LOOKS[: at + 1]), "right": seen["right"][: at + 1].mean(axis=1)}
    waiting = "" if whole is not None or values["draft"] else progress(found, DONE)
    return View(numbers, text, figures, table, waiting=waiting)


VIEWS: dict[str, Callable[[Values, Found], View]] = {
    "count": count, "bias": bias, "order": order, "start": start, "beta": beta, "play": play,
}  # fmt: skip
