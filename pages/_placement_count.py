"""What the first two scenes of "Placement" show: who shares a mean, and a bias in front of a norm."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib import batch_norm, layer_norm
from bnlib.lessons import placement
from book import figure as fig
from book.chapter import Found, View
from book.charts import WAITING, average, over_seeds
from book.controls import Values
from book.equations import Equation, row, told, total
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, PAPER, PURPLE, Figure
from book.words import brief
from pages._placement_parts import KEPT, SIZES, UNIT, Panel, layer_of, panels, shares_of

ARMS = {
    "batch": "batch norm", "layer": "layer norm", "none": "no norm",
    "after": "batch norm after the activation",
}  # fmt: skip
ROUNDING = 1e-12  # what is smaller is an error of rounding


@lru_cache(maxsize=64)
def measured(network: str, side: int, samples: int, channels: int, channel: int) -> tuple[Any, Any]:
    """Return the activations, and which of them move in batch norm's output with the first of a channel."""
    x = placement.pooled(network, side)[:samples, :channels]
    return x, placement.sharers(np.ascontiguousarray(x), 0, channel)


def count(values: Values, found: Found) -> View:
    """Show a tensor, and light the numbers that share a mean."""
    hide, narrow, (network, side) = values["open"], values.get("narrow", False), layer_of(values)
    n, c, dense = values["samples"], values["channels"], network == "mlp"
    channel = (values["channel"] - 1) % c
    x, lit = measured(network, side, n, c, channel)
    shared, product = int(lit.sum()), n * side * side
    numbers = {
        "shared": float(shared), "product": float(product), "samples": float(n), "positions": float(side**2),
        "side": float(side), "channels": float(c), "learned": 2.0 * c, "kept": 2.0 * c,
        "weights": float(KEPT[dense] * c), "all": float(x.size), "channel": channel + 1.0,
    }  # fmt: skip
    kind = "units" if dense else "channels"
    text = f"{n} digits, {c} {kind}, {side} × {side} {'position' if side == 1 else 'positions'} each."
    if not hide:
        text = (
            f"Change one number of {kind[:-1]} {channel + 1}, and {shared:,} outputs of the norm change. The "
            f"norm learns {2 * c} numbers (γ, β) and keeps {2 * c} (running mean and variance); the layer "
            f"has {KEPT[dense] * c:,} weights."
        )
        if product == 1:
            text = "One number is its own mean: x̂ is 0, whatever it is. PyTorch refuses a batch like this."
    figures = {"tensor": _tensor(x, None if hide else lit, channel, kind[:-1], narrow)}
    if hide:  # no hints are shown while a question is open
        meta = figures["tensor"]["layout"]["meta"]
        text, meta["hint"] = f"{text} {meta['hint']}", ""
        return View(numbers, text, figures)
    means = found.get("scatter")
    if means is None:
        return View(numbers, text, figures, waiting=WAITING)
    exact, alone = means["exact"], 1 / side
    ratio = exact * side
    numbers |= {
        "ratio": float(ratio[channel]), "lowest": float(ratio.min()), "highest": float(ratio.max()),
        "layout": float(means["layout"][channel]), "spread": float(exact[channel] / n**0.5),
        "alone": float(alone / n**0.5),
    }  # fmt: skip
    seen = means["measured"][:, channel]
    figures["scatter"] = _scatter(seen, float(exact[channel]), alone, n, channel, kind[:-1])
    parts = row("N · H · W") if not dense else row("N")
    steps = (row(*" · ".join([str(n)] + ([] if dense else [str(side)] * 2)).split("|")), told(float(product)))
    equation = Equation("product", "numbers that share a mean", parts, float(product), steps)
    table = {"samples": np.array(SIZES), "measured": seen, "formula": exact[channel] / np.sqrt(SIZES)}
    return View(numbers, text, figures, table, (equation,))


def _tensor(x: Any, lit: Any, channel: int, kind: str, narrow: bool) -> Figure:
    """Draw samples (down) by channels (across), a tile of positions each; what shares a mean is blue."""
    side = x.shape[-1]
    rows = min(len(x), (6 if narrow else 8) if side > 1 else 32)
    across = 8 if narrow else 16
    first = channel // across * across
    last = min(x.shape[1], first + across)
    pitch, columns = side + (side > 1), last - first
    values, marks = (np.full((rows * pitch, columns * pitch), np.nan) for _ in range(2))
    scale = 2 * float(x.std())
    for sample in range(rows):
        for k in range(columns):
            place = slice((rows - 1 - sample) * pitch, (rows - 1 - sample) * pitch + side)
            tile = x[sample, first + k][::-1]
            values[place, k * pitch : k * pitch + side] = tile
            if lit is not None:
                marks[place, k * pitch : k * pitch + side] = np.where(
                    lit[sample, first + k][::-1], tile, np.nan
                )
    gap = 1 if side == 1 else 0
    data = [fig.cells(values, -scale, scale, [(0, PAPER), (1, COLOURS[9])], "numbers", xgap=gap, ygap=gap)]
    if lit is not None:
        shades = [(0, PAPER), (1, BLUE)]
        data.append(fig.cells(marks, -3 * scale, scale, shades, "shares the mean", xgap=gap, ygap=gap))
    centre = (pitch * np.arange(columns) + (side - 1) / 2, pitch * np.arange(rows) + (side - 1) / 2)
    chosen = [first + k + 1 for _ in range(rows) for k in range(columns)]
    says = [f"digit {rows - r}, {kind} {first + k + 1}" for r in range(rows) for k in range(columns)]
    meta = {"click": "channel", "values": chosen, "says": says}
    blank = np.full((rows, columns), np.nan)
    data.append(fig.cells(blank, 0, 1, name="tiles", x=centre[0], y=centre[1], meta=meta))
    left, top = (channel - first) * pitch - 0.5, rows * pitch - (side > 1) - 0.5
    tile = {"x0": left, "x1": left + side, "y0": top - side, "y1": top}
    shapes = [{"type": "rect", "line": {"color": ORANGE, "width": 2}, **tile}]
    parts = [f"{rows} of {len(x)} digits"] * (len(x) > rows)
    parts += [f"{columns} of {x.shape[1]} {kind}s"] * (x.shape[1] > columns)
    hint = f"{' and '.join(parts)} are drawn. " if parts else ""
    what = "The framed" if side == 1 else "In the framed tile the upper left"
    hint += f"The stronger the colour, the larger the number. {what} number "
    hint += "will be changed." if lit is None else "was changed. Click a tile."
    title = "Numbers in front of the norm" + ("" if lit is None else "; blue ones share the mean")
    alt = f"{rows} digits below each other, {columns} {kind}s side by side, tiles of {side} × {side} numbers."
    ticks = [k for k in range(columns) if (first + k) % (4 if narrow else 2) == 0]
    margin = {"l": 40, "r": 8, "t": 8, "b": 44}
    return fig.figure(
        data, title, alt,
        fig.axis(-0.5, columns * pitch - 0.5, kind, [float(centre[0][k]) for k in ticks],
                 words=[str(first + k + 1) for k in ticks], showgrid=False),
        fig.axis(-0.5, rows * pitch - 0.5, "digit", [float(centre[1][-1]), float(centre[1][0])] if rows > 1
                 else [float(centre[1][0])], words=["1", str(rows)][:rows], showgrid=False),
        shapes=shapes, margin=margin, hint=hint,
    )  # fmt: skip


def _scatter(seen: Any, exact: float, alone: float, n: int, channel: int, kind: str) -> Figure:
    """Draw how far the channel's mean scatters from batch to batch, by the number of digits."""
    sizes = np.array(SIZES, dtype=float)
    data = [
        fig.line(sizes, alone / np.sqrt(sizes), "if all were independent", INK, dash="dash", width=1.5),
        fig.line(sizes, exact / np.sqrt(sizes), "spread of one image’s mean / √N", BLUE),
        fig.dots(sizes, seen, "measured, 400 batches", ORANGE, size=8),
    ]
    return fig.figure(
        data, f"How far the mean of {kind} {channel + 1} scatters", f"Falling lines. For {n} digits the mean "
        f"scatters by {brief(exact / n**0.5)} σ; that of independent numbers by {brief(alone / n**0.5)} σ.",
        fig.log_axis(0.9, 70, "digits in the batch N", SIZES),
        fig.log_axis(0.004, 2, "spread of the mean / σ", (0.01, 0.1, 1)),
        shapes=[fig.mark(n, 0.004, n, 2, INK, 1, dash="dot")], showlegend=True, place="side", height=280,
        hint=f"Spread: standard deviation over batches. σ: that of all numbers of the {kind}.",
    )  # fmt: skip


# ---- a bias in front of a norm ---------------------------------------------------------------------------


def _passed(arm: str, z: Any, seen: Any, shift: float) -> list[tuple[str, Any]]:
    """Return what the shifted unit is on its way: behind the linear map, the norm, the activation."""
    moved = z.copy()
    moved[:, UNIT] += shift
    own = moved[:, UNIT : UNIT + 1]
    gamma, beta = seen.get("own_gamma"), seen.get("own_beta")
    one = {} if gamma is None else {"gamma": gamma[[UNIT]], "beta": beta[[UNIT]]}
    begin = ("linear map + bias", own)
    if arm == "none":
        return [begin, ("ReLU", np.maximum(own, 0))]
    if arm == "after":
        active = np.maximum(own, 0)
        return [begin, ("ReLU", active), ("batch norm", batch_norm(active, **one)[0])]
    if arm == "layer":
        normed = layer_norm(moved, gamma, beta)[0][:, UNIT : UNIT + 1]
    else:
        normed = batch_norm(own, **one)[0]
    return [begin, (ARMS[arm], normed), ("ReLU", np.maximum(normed, 0))]


def bias(values: Values, found: Found) -> View:
    """Shift the numbers in front of a norm, and measure the gradient of such a shift."""
    hide, narrow, arm, shift = values["open"], values.get("narrow", False), values["arm"], values["shift"]
    whole: Any = found.get("bias")
    seen = found.get("begin") if whole is None else whole
    if seen is None:
        return View(waiting=WAITING)
    waiting = WAITING if whole is None else ""
    still, moved = (_passed(arm, seen["z"], seen, by) for by in (0.0, shift))
    away = float(np.sqrt(np.square(moved[-1][1] - still[-1][1]).mean()))
    kinds = ["weight", "gamma", "beta", "bias"]
    last = {kind: average(seen[kind][:, -1]) for kind in kinds if kind in seen}
    pulls = seen["pulls"]
    numbers = {f"{kind}_gradient": value for kind, value in last.items()}
    numbers |= {
        "shift": shift, "moved": away, "sum": float(pulls.sum()), "pull": float(np.abs(pulls).sum()),
        "to_weight": last["bias"] / last["weight"], "batch": float(len(pulls)),
        "counts": float(arm != "batch"),  # the share of biases with a gradient, closed form
    }  # fmt: skip
    if "beta" in last:
        numbers["share"] = last["bias"] / last["beta"]
    text = f"Unit {UNIT} of the first layer: the bias moves what leaves the linear map by {brief(shift)}."
    if hide:
        rows = [Panel(moved[0][0], shares_of(moved[0][1]), PURPLE, shares_of(still[0][1]))]
        figures = {"unit": _shifted(rows, shift, narrow), "gradients": _gradients(seen, kinds[:3])}
        return View(numbers, text, figures, waiting=waiting)
    tints = (PURPLE, BLUE if arm != "none" else GREEN, GREEN)
    rows = [
        Panel(name, shares_of(array), tint, shares_of(before[1]))
        for (name, array), before, tint in zip(moved, still, tints, strict=False)
    ]
    figures = {
        "unit": _shifted(rows, shift, narrow), "gradients": _gradients(seen, kinds),
        "pulls": _pulls(pulls, float(pulls.sum())),
    }  # fmt: skip
    text += f" What leaves the layer changes by {brief(away if away > ROUNDING else 0)} (root mean square)."
    ratio = numbers["to_weight"]
    size = f"{brief(ratio)} times a weight’s" if ratio > ROUNDING else "0, except for rounding errors"
    text += f" {ARMS[arm].capitalize()}: the bias’s gradient is {size}."
    name = f"gradient of unit {UNIT}’s bias, over {len(pulls)} samples"
    equation = Equation(
        "sum", name, row("Σ ∂L/∂z"), float(pulls.sum()),
        (total(pulls), told(float(pulls.sum()))),
    )  # fmt: skip
    table = {"step": seen["step"]} | {kind: seen[kind].mean(axis=0) for kind in kinds if kind in seen}
    return View(numbers, text, figures, table, (equation,), waiting=waiting)


def _shifted(rows: list[Panel], shift: float, narrow: bool) -> Figure:
    """Draw the unit's numbers on their way; the bias itself is a dot that can be dragged."""
    peak = max(float(rows[0].shares.max()), float(rows[0].outline.max()))
    dot = fig.dots([shift], [0.06 * peak], "bias", ORANGE, size=15, symbol="diamond", edge=PAPER,
                   meta={"drag": "shift", "axis": "x"})  # fmt: skip
    return panels(
        [rows], f"Unit {UNIT} for 500 digits, bias {brief(shift)}",
        f"Histograms of {', '.join(row.title for row in rows)}; dashed: without the bias.", "value", narrow,
        hint="Drag the diamond: it is the bias. Dashed: without it.", data=[dot],
    )  # fmt: skip


def _gradients(seen: Any, kinds: list[str]) -> Figure:
    """Draw the size of each kind of gradient over training."""
    names = {"weight": "weights", "gamma": "γ", "beta": "β", "bias": "bias"}
    tints = {"weight": INK, "gamma": GREEN, "beta": PURPLE, "bias": ORANGE}
    dashes = {"weight": "solid", "gamma": "dot", "beta": "dash", "bias": "solid"}
    data, told_ = [], []
    for kind in kinds:
        if kind in seen:
            data += over_seeds(
                seen["step"], np.maximum(seen[kind], 1e-20), names[kind], tints[kind], dash=dashes[kind]
            )
            told_.append(f"{names[kind]} {brief(average(seen[kind][:, -1]))}")
    own = "bias" in kinds and seen["bias"].max() < ROUNDING  # far below: an axis of its own
    for trace in data[-3:] if own else ():
        trace["yaxis"] = "y2"
    high = max(float(seen[kind].max()) for kind in kinds if kind in seen)
    low = min(float(seen[kind].min()) for kind in kinds if kind in seen and not (own and kind == "bias"))
    low, high = 10.0 ** np.floor(np.log10(max(low, 1e-20))), 10.0 ** np.ceil(np.log10(high))
    upper: dict[str, Any] = {"domain": [0.4, 1]} if own else {}
    lower = {"yaxis2": fig.log_axis(1e-20, 1e-14, "", domain=[0, 0.3], anchor="x")} if own else {}
    return fig.figure(
        data, "Gradient per parameter (root mean square)",
        f"Curves over training steps, at the end: {', '.join(told_)}.",
        fig.axis(0, 104, "step", anchor="y2" if own else "y"), fig.log_axis(low, high, "gradient", **upper),
        showlegend=True, hint="Lines: mean of 8 seeds. Shades: lowest to highest seed.", **lower,
    )  # fmt: skip


def _pulls(pulls: Any, total_: float) -> Figure:
    """Draw what each sample of a batch adds to the gradient of the bias."""
    order = np.sort(pulls)
    high = 1.1 * max(float(np.abs(order).max()), 1e-9)
    summed = brief(total_) if abs(total_) > ROUNDING else "0, except for rounding"
    return fig.figure(
        [fig.bars(np.arange(1, len(order) + 1), order, "one sample", PURPLE, width=0.8)],
        f"What {len(order)} samples add to the bias’s gradient: sum {summed}",
        f"Bars from {brief(order[0])} to {brief(order[-1])}, whose sum is {summed}.",
        fig.axis(0, len(order) + 1, "sample, sorted", (1, len(order))), fig.axis(-high, high, "∂L/∂z"),
        bargap=0, place="side",
    )  # fmt: skip
