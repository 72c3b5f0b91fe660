"""The scenes "A smoother loss?" and "Length and direction"."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib.experiments.intervals import Interval
from bnlib.lessons.why import AHEAD
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import average, over_seeds, progress
from book.controls import Values
from book.figure import INK, PAPER, Figure, Trace
from book.words import brief
from pages._why_it_works_parts import (
    AFTER,
    BEFORE,
    EVERY,
    FACTORS,
    NAMES,
    SEEDS_HINT,
    SHORT,
    TINTS,
    factor_text,
    loss_range,
    tells,
    times,
    typical,
)

NORMS = ("none", "layer", "batch")
RATE = 0.1  # of these networks
OFF = 1e3  # drawn where a network has diverged: beyond the axis


# ---- along the gradient ----------------------------------------------------------------------------------


def _ranges(values: Values, known: dict[str, Any], at: int) -> Figure:
    """Draw the loss's range over training steps; the step that is looked at can be dragged."""
    data: list[Trace] = []
    told = []
    for norm, own in known.items():
        ranges = loss_range(own)
        data += over_seeds(own["step"], ranges, NAMES[norm], TINTS[norm])
        told.append(f"{NAMES[norm]} {brief(average(typical(own)))}")
    step = at * EVERY
    data.append(fig.dots([step], [0.04], "step that is looked at", INK, size=15, symbol="diamond", edge=PAPER,
                         showlegend=False, meta={"drag": "look", "axis": "x"}))  # fmt: skip
    return fig.figure(
        data, "Range of the loss along the gradient: highest minus lowest",
        f"Curves over steps; medians: {', '.join(told) or 'nothing is computed yet'}.",
        fig.axis(-2, SHORT + 2, "step"), fig.log_axis(0.03, 30, "range", (0.1, 1, 10)), showlegend=True,
        shapes=[fig.mark(step, 0.04, step, 30, INK, 1, dash="dot")],
        hint=f"{SEEDS_HINT} Drag the diamond to another step.",
    )  # fmt: skip


def _walk(known: dict[str, Any], at: int) -> Figure:
    """Draw the loss along the gradient at one step of training, over what the gradient promises."""
    data: list[Trace] = []
    told = []
    x, fine = np.array((0.0, *AHEAD)), np.linspace(0, 4, 161)
    for norm, own in known.items():
        loss = np.column_stack([own["loss"][:, at], own["ahead"][:, at]])
        data += over_seeds(x, loss, NAMES[norm], TINTS[norm])
        promised = average(own["loss"][:, at]) - fine * RATE * average(own["squared"][:, at])
        kept = promised > 0.02
        data.append(
            fig.line(fine[kept], promised[kept], "", TINTS[norm], width=1.5, dash="dash", showlegend=False)
        )
        told.append(f"{NAMES[norm]} from {brief(average(loss[:, 0]))} to {brief(average(loss[:, -1]))}")
    return fig.figure(
        data, f"Loss of one batch along its gradient, at step {at * EVERY}",
        f"Curves over the step’s size. {', '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, 4.1, "step along the gradient, in learning rates", (0, 1, 2, 3, 4)),
        fig.log_axis(0.02, 40, "loss", (0.1, 1, 10)), showlegend=True,
        hint="A training step goes to 1. Dashed: what the gradient at 0 promises.",
    )  # fmt: skip


def smooth(values: Values, found: Found) -> View:
    """Show how far the loss keeps what its gradient promises, with batch norm, layer norm and without."""
    hide, at = values["open"], round(values["look"] / EVERY)
    shown = NORMS[:1] if hide else NORMS
    known = {norm: own for norm in shown if (own := found.get(norm)) is not None}
    figures = {"range": _ranges(values, known, at), "walk": _walk(known, at)}
    if "none" not in known:
        return View(figures=figures, waiting=progress(found))
    plain = average(typical(known["none"]))
    if hide:
        text = f"Five ReLU layers without a norm. In training, the loss’s range is typically {brief(plain)}."
        return View({"none_range": plain, "edge": 2 / RATE}, text, figures)
    waiting = progress(found)
    if waiting:
        return View(figures=figures, waiting=waiting)
    none, layer, batch = (found[norm] for norm in NORMS)
    factor, less = times(typical(none), typical(batch)), times(typical(none), typical(layer))
    layer_lead, batch_lead = (times(late(none), late(other)) for other in (layer, batch))
    numbers: Numbers = {
        "factor": factor.mean, "factor_low": factor.low, "factor_high": factor.high,
        "layer_factor": less.mean, "rough": times(typical(layer), typical(batch)).mean,
        "edge": 2 / RATE, "rate": RATE, "step": float(at * EVERY),
        "first": average(loss_range(batch)[:, 0]), "none_first": average(loss_range(none)[:, 0]),
        "layer_gain": layer_lead.mean, "batch_gain": batch_lead.mean,
        "none_relative": relative(none), "batch_relative": relative(batch),
    }  # fmt: skip
    for norm, own in found.items():
        numbers |= {
            f"{norm}_range": average(typical(own)), f"{norm}_late": average(late(own)),
            f"{norm}_beta": average(np.median(own["smoothness"], axis=1)),
            f"{norm}_uphill": average(own["ahead"][:, :, -1] > own["loss"]),
        }  # fmt: skip
    text = (
        f"Without a norm the range is {factor_text(factor)} times that with batch norm, and "
        f"{factor_text(less)} times that with layer norm. Relative to the loss itself it is "
        f"{brief(numbers['none_relative'])} without a norm, {brief(numbers['batch_relative'])} with batch "
        f"norm. Loss over the last looks, no norm / layer norm: {lead_text(layer_lead)}; no norm / batch "
        f"norm: {lead_text(batch_lead)}."
    )
    table = {"step": np.asarray(none["step"])}
    table |= {norm: loss_range(found[norm]).mean(axis=0) for norm in NORMS}
    return View(numbers, text, figures, table)


def late(own: Any) -> Any:
    """Return each seed's mean loss over the last five looks (R,)."""
    return own["loss"][:, -5:].mean(axis=1)


def lead_text(lead: Interval) -> str:
    """Write a factor, and that it is none where its interval can't tell."""
    return factor_text(lead) + ("" if tells(lead) else ", no clear difference")


def relative(own: Any) -> float:
    """Return the loss's range over the loss itself, the median over looks."""
    return average(np.median(loss_range(own) / own["loss"], axis=1))


# ---- weights that are multiplied -------------------------------------------------------------------------


def nearest_factor(factor: float) -> int:
    """Return the place of the measured factor that is nearest by its ratio."""
    return min(range(len(FACTORS)), key=lambda place: abs(np.log(FACTORS[place] / factor)))


def _training(found: Found, place: int, follow: bool, hide: bool) -> Figure:
    """Draw the losses before and after the weights are multiplied."""
    factor, one = FACTORS[place], FACTORS.index(1.0)
    data: list[Trace] = []
    told = []
    before, after = np.arange(BEFORE), np.arange(BEFORE, BEFORE + AFTER)
    for norm in ("batch",) if hide else ("none", "batch"):
        own = found.get(norm)
        if own is None:
            continue
        data += over_seeds(before, own["first"], NAMES[norm], TINTS[norm])
        losses = own["follow" if follow else "stay"][place]
        loss = np.nan_to_num(losses, nan=OFF)
        data += over_seeds(after, loss, NAMES[norm], TINTS[norm], showlegend=False)
        lost = int(np.isnan(losses[:, -1]).sum())
        end = f"diverged in {lost} of {len(losses)} seeds" if lost else brief(average(losses[:, -1]))
        told.append(f"{NAMES[norm]}: {end} at the end")
    if found.get("batch") is not None and not hide:
        usual = found["batch"]["stay"][one].mean(axis=0)
        data.append(fig.line(after, usual, "batch norm, weights as they were", INK, dash="dash", width=1.5))
    words = f"all hidden weights × {brief(factor)}"
    return fig.figure(
        data, "Training loss" if hide else f"Training loss; at step {BEFORE} {words}",
        f"Curves over steps. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, BEFORE + AFTER, "step"), fig.log_axis(0.05, 100, "loss", (0.1, 1, 10, 100)),
        showlegend=True, shapes=[fig.mark(BEFORE, 0.05, BEFORE, 100, INK, 1, dash="dot")], hint=SEEDS_HINT,
    )  # fmt: skip


def turned(own: Any, follow: bool) -> Any:
    """Return the angles of the step behind each factor, relative to those of factor 1: (F, R)."""
    angles = own["turn_follow" if follow else "turn"]
    return angles / own["turn"][FACTORS.index(1.0)]


def _turning(found: Found, values: Values, place: int, follow: bool) -> Figure:
    """Draw by what angle the next step turns the weights, over the closed form; the factor can be dragged."""
    data: list[Trace] = []
    told = []
    law = np.array([FACTORS[0], FACTORS[-1]])
    name = "closed form: 1" if follow else "closed form: 1 / factor²"
    data.append(fig.line(law, law**0 if follow else law**-2, name, INK, dash="dash", width=1.5))
    for norm in ("none", "batch"):
        own = found.get(norm)
        if own is None:
            continue
        angles = turned(own, follow)
        data += over_seeds(FACTORS, angles.T, NAMES[norm], TINTS[norm], showlegend=False, width=1)
        data.append(fig.dots(FACTORS, angles.mean(axis=1), NAMES[norm], TINTS[norm], size=8))
        told.append(f"{NAMES[norm]}: {brief(average(angles[place]))} at factor {brief(FACTORS[place])}")
    here = found.get("batch")
    height = 1.0 if here is None else average(turned(here, follow)[place])
    drag = {"drag": "factor", "axis": "x"}
    data.append(fig.dots([FACTORS[place]], [height], "factor", INK, size=16, symbol="diamond", alpha=0.6,
                         edge=PAPER, showlegend=False, meta=drag))  # fmt: skip
    return fig.figure(
        data, "How far the next step turns the hidden weights", f"Dots over the factor. {'; '.join(told)}.",
        fig.log_axis(0.25, 12, "weights × factor", FACTORS),
        fig.log_axis(0.005, 200, "angle, × that at factor 1", (0.01, 0.1, 1, 10, 100)),
        showlegend=True, hint="Drag the diamond.",
    )  # fmt: skip


def as_far(turned_: float) -> str:
    """Write how far a step turns the weights, compared with before."""
    return "as far as before" if abs(turned_ - 1) < 1e-3 else f"{brief(turned_)} times as far"


def length(values: Values, found: Found) -> View:
    """Multiply all hidden weights in mid-training, with and without a norm."""
    hide, follow = values["open"], values["follow"] == "yes"
    place = FACTORS.index(1.0) if hide else nearest_factor(values["factor"])
    follow = follow and not hide
    figures = {"training": _training(found, place, follow, hide)}
    if not hide:
        figures["turning"] = _turning(found, values, place, follow)
    waiting = progress(found)
    if waiting:
        return View(figures=figures, waiting=waiting)
    none, batch, one = found["none"], found["batch"], FACTORS.index(1.0)
    angles = average(np.degrees(batch["turn"][one]))
    if hide:
        text = "Two ReLU layers with batch norm (eps = 0). "
        text += f"At step {BEFORE} a step turns the weights by {angles:.2g}°."
        return View({"degrees": angles}, text, figures)
    factor = FACTORS[place]
    losses = batch["follow" if follow else "stay"][place]
    apart = float(np.abs(losses - batch["stay"][one]).max())
    bare = none["follow" if follow else "stay"][place][:, 1:11]
    numbers: Numbers = {
        "turned": average(turned(batch, follow)[place]), "law": 1.0 if follow else factor**-2,
        "factor": factor, "square": factor**2, "degrees": angles,
        "gradient": average(batch["gradient"][place] / batch["gradient"][one]),
        "loss": average(batch["loss"][place]), "loss_before": average(batch["loss"][one]),
        "moved": float(np.abs(batch["loss"][place] - batch["loss"][one]).max()),
        "same": float(np.abs(batch["follow"][place] - batch["stay"][one]).max()), "apart": apart,
        "end": average(losses[:, -20:]), "end_before": average(batch["stay"][one][:, -20:]),
        "bare_loss": average(none["loss"][place]), "bare_before": average(none["loss"][one]),
        "bare_next": average(np.nan_to_num(bare, nan=OFF)), "grown": factor**2.0,
        "lost": float(np.isnan(none["stay"][place][:, -1]).sum()),
    }  # fmt: skip
    rate = "the learning rate multiplied by factor²" if follow else "the learning rate as it was"
    text = (
        f"Weights × {brief(factor)}, {rate}. With batch norm the loss is at once {brief(numbers['loss'])} "
        f"(before: {brief(numbers['loss_before'])}), and the next step turns the weights "
        f"{as_far(numbers['turned'])}. Without a norm the loss is at once "
        f"{brief(numbers['bare_loss'])} (before: {brief(numbers['bare_before'])})."
    )
    same = apart < 1e-9
    text += (
        " With batch norm it is the same training from there on, to rounding."
        if same
        else " With batch norm it is another training from there on."
    ) + ("" if values["factor"] == factor else f" (Nearest measured factor to {brief(values['factor'])}.)")
    table = {"factor": np.array(FACTORS)}
    table |= {norm: turned(found[norm], follow).mean(axis=1) for norm in ("batch", "none")}
    return View(numbers, text, figures, table)
