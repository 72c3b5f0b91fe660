"""The scene "Ten times the weights": a factor that outputs don't notice, and the gradient does."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.lessons import gradients
from book import figure as fig
from book.chapter import Choice, Found, Job, Scene, View
from book.charts import WAITING, over_seeds
from book.controls import Control, Values, log_stops, seeds
from book.equations import Equation, row, told
from book.figure import BLUE, INK, ORANGE, Figure
from book.words import brief

FACTORS = log_stops(-2, 2, 4)
EPS = (0.0, 1e-5, 1e-3, 0.1, 1.0)
STEPS = 100  # that the networks have trained
LOW, HIGH = 1e-4, 300.0  # of the gradient's axis

CONTROLS = (
    Control(
        "factor", "number", 1.0, "factor", "on all hidden weights", 0.01, 100, FACTORS, marks=(0.1, 1, 10),
        about="All hidden weights of the trained networks are multiplied by this. Each of them stands in "
        "front of a batch norm.",
    ),
    Control(
        "eps", "number", 1e-5, "ε eps", "added to the variance", 0, 1, EPS,
        about="Added to the variance before the root is taken. Where the variance is not far above it, "
        "the norm notices the size of the weights. In PyTorch: eps.",
    ),
)  # fmt: skip


def config_of(values: Values) -> RunConfig:
    """Return the networks of this scene and of "The two subtracted terms"."""
    chosen: dict[str, Any] = {"depth": 3, "width": 32, "lr": 0.1, "dtype": "float64", **seeds(values)}
    return RunConfig(**chosen)


def looked_at(values: Values) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the factors and eps that are computed: those of the sliders, and what an address asks for."""
    return tuple(sorted({*FACTORS, values["factor"]})), tuple(sorted({*EPS, values["eps"]}))


def jobs(values: Values) -> dict[str, Job]:
    """Return the one job: all factors and all eps, so that dragging computes nothing."""
    return {"scaled": Job(gradients.scaled, (config_of(values), STEPS, *looked_at(values)))}


def view(values: Values, found: Found) -> View:
    """Show outputs and gradient of networks whose weights have been multiplied."""
    hide, scaled = values["open"], found.get("scaled")
    factors, many = looked_at(values)
    factor, eps = values["factor"], values["eps"]
    if scaled is None:
        figures = {"gradient": _curve(None, values, hide), "outputs": _outputs(None, values)}
        return View(figures=figures, waiting=WAITING)
    here, one, with_eps = factors.index(factor), factors.index(1.0), many.index(eps)
    ratios = scaled["gradient"] / scaled["gradient"][:, [one]]
    ratio, change = ratios[with_eps, here], scaled["change"][with_eps, here]
    std = float(np.sqrt(np.mean(scaled["var"])))
    numbers = {
        "ratio": float(ratio.mean()), "without_eps": float(ratios[many.index(0.0), here].mean()),
        "factor": factor, "eps": eps,
        "change": float(change.max()), "less": float(factor / ratio.mean()),
        "smallest": float(ratios[with_eps, 0].mean()), "smallest_theory": 1 / factors[0],
        "smallest_eps": float(ratios[many.index(EPS[2]), 0].mean()),
        "gradient": float(scaled["gradient"][with_eps, here].mean()), "std": std,
        "bend": float(np.sqrt(eps)) / std,
    }  # fmt: skip
    logits = scaled["logits"][with_eps]
    figures = {
        "gradient": _curve((factors, ratios[with_eps], numbers), values, hide),
        "outputs": _outputs((logits[one], logits[here], logits), values),
    }
    if hide:
        text = "The hidden weights are as they were trained. Their gradient’s length is set to 1 here."
        return View(numbers, text, figures)
    text = (
        f"Weights × {brief(factor)}, ε = {brief(eps)}: gradient × {brief(numbers['ratio'])}. "
        f"The largest change of an output is {brief(numbers['change'])}."
    )
    rows = ratios[with_eps]
    table = {
        "factor": np.array(factors), "gradient": rows.mean(axis=1), "lowest": rows.min(axis=1),
        "highest": rows.max(axis=1), "change": scaled["change"][with_eps].max(axis=1),
    }  # fmt: skip
    steps = (row("1 / ", brief(factor)), told(1 / factor))
    name = "gradient with the factor over gradient without, ε = 0"
    equation = Equation("ratio", name, row("1 / factor"), 1 / factor, steps)
    return View(numbers, text, figures, table, (equation,))


def _curve(measured: Any, values: Values, hide: bool) -> Figure:
    """Draw the gradient's length over the factor, the law over it, and the factor that is chosen."""
    data, shapes, notes = [], [], []
    alt = "The gradient’s length over the factor on the weights; nothing is computed yet."
    if measured is not None:
        factors, ratios, numbers = measured
        if hide:
            data = [fig.dots([1], [1], "as trained", ORANGE, size=12)]
            alt = "The gradient’s length over the factor on the weights: a dot at factor 1 and length 1."
        else:
            seen = np.where((ratios >= LOW) & (ratios <= HIGH), ratios, np.nan)
            some = np.isfinite(seen).all(axis=1)
            x = np.array(factors)
            data = over_seeds(x[some], ratios[some].T, "measured, 8 seeds", BLUE, width=3)
            data.append(fig.line(x, 1 / x, "1 / factor", INK, dash="dash", width=1.5))
            place = min(max(numbers["ratio"], LOW), HIGH)
            hold = {"drag": "factor", "axis": "x"}
            data.append(fig.dots([values["factor"]], [place], "chosen factor", ORANGE, size=13, meta=hold))
            alt = (
                "The gradient’s length over the factor on the weights, beside the line 1 / factor. At factor "
                f"{brief(values['factor'])} it is {brief(numbers['ratio'])}."
            )
            if 0.01 < numbers["bend"] < 100:
                shapes = [fig.mark(numbers["bend"], LOW, numbers["bend"], HIGH, INK, 1, dash="dot")]
                at = float(np.log10(numbers["bend"]))
                notes = [fig.label(at, float(np.log10(2 * LOW)), "variance = ε", xshift=40)]
    ticks = [1e-4, 0.001, 0.01, 0.1, 1, 10, 100]
    return fig.figure(
        data, "Length of the gradient of the hidden weights", alt,
        fig.log_axis(0.008, 125, "factor on the weights", ticks[2:]),
        fig.log_axis(LOW, HIGH, "length, factor 1 = 1", ticks), shapes=shapes, annotations=notes,
        showlegend=True, hint="" if hide else "Drag the orange dot. Shade: lowest to highest seed.",
    )  # fmt: skip


def _outputs(logits: Any, values: Values) -> Figure:
    """Draw the ten outputs for one digit: as trained, and with the weights multiplied."""
    names, data, low, high, told_ = [str(k) for k in range(10)], [], -5.0, 5.0, "Nothing is computed yet."
    if logits is not None:
        before, now, all_of = logits
        low, high = float(all_of.min()), float(all_of.max())
        data.append(fig.bars(names, now, f"weights × {brief(values['factor'])}", BLUE, alpha=0.6, width=0.7))
        if values["factor"] != 1:
            data.append(fig.dots(names, before, "weights × 1", INK, size=8))
        told_ = f"The largest, {brief(float(now.max()))}, is that of class {int(now.argmax())}."
    room = 0.1 * (high - low)
    return fig.figure(
        data, "The ten outputs for one digit", f"Bars of the ten outputs for one digit. {told_}",
        fig.category_axis(names, "class"), fig.axis(min(low, 0) - room, high + room, "output"),
        bargap=0, barmode="overlay", showlegend=True,
    )  # fmt: skip


SCALE = Scene(
    "scale", "Ten times the weights",
    "All weights in front of a batch norm are multiplied by ten. The network’s outputs stay the same. How "
    "long is the gradient of these weights then?",
    (
        Choice("ten times as long", 10.0,
               "What flows back through larger weights does grow. But each norm now divides by ten times as "
               "large a σ."),
        Choice("as long as before", 1.0, "The outputs and the loss are as before, but their slope is not."),
        Choice("a tenth as long", 0.1),
        Choice("a hundredth as long", 0.01,
               "A hundredth is how far a step turns the weights: the step shrinks tenfold, and the weights "
               "are ten times as long."),
    ),
    "ratio", {"factor": 1.0, "eps": 1e-5}, {"factor": 10.0},
    "The gradient was {ratio} times as long.",
    "The norm divides the factor out again, so the loss is the same. Weights that are {factor} times as long "
    "have to move {factor} times as far for the same change, so the slope is 1/{factor}. A step with the "
    "same learning rate turns them by an angle {less:.0f} times smaller.",
    "With small variance ε matters. At factor 0.01 the gradient is {smallest:.0f} times as long, not "
    "{smallest_theory:.0f}; with ε = 0.001 it is {smallest_eps:.0f} times as long. The output layer has no "
    "norm behind it: its weights were not multiplied.",
    "Set ε to 0.1 and drag the factor below 1: where does the curve leave the line?",
    ("factor", "eps", "seed"),
)  # fmt: skip

PYTORCH = """\
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
linear, norm = nn.Linear(64, 32, bias=False), nn.BatchNorm1d(32, eps=1e-12)
x, g = torch.randn(32, 64), torch.randn(32, 32)


def gradient():
    return torch.autograd.grad(norm(linear(x)).mul(g).sum(), linear.weight)[0].norm()


before = gradient()
linear.weight.data *= {factor!r}
print("without_eps =", (gradient() / before).item())
"""

SCRIPT = """\
nets = Networks(range({first}, {first} + 8), depth=3, width=32, batch_size=32, lr=0.1).train({steps})
nets.eps = {eps!r}
hidden = [f"weight{{layer}}" for layer in range(3)]
trained = [nets.parameters[name].detach().clone() for name in hidden]


def look(factor):
    \"\"\"Length of the hidden weights' gradient (seeds,), and the outputs for the next batch.\"\"\"
    for name, weight in zip(hidden, trained):
        nets.parameters[name].data = factor * weight
    found = nets.gradients()
    with torch.no_grad():
        outputs = nets.forward(nets.batch()[0], 32)
    return sum(found[name].square().sum((1, 2)) for name in hidden).sqrt(), outputs


usual, outputs = look(1.0)
factors, rows = {factors!r}, []
for factor in factors:
    length, moved = look(factor)
    ratio = length / usual
    rows.append([factor, *(float(v) for v in (ratio.mean(), ratio.min(), ratio.max()))])
    rows[-1].append(float((moved - outputs).abs().max()))
    if factor == {factor!r}:
        print("ratio =", rows[-1][1])
        print("change =", round(rows[-1][4], 9))
table(**dict(zip(("factor", "gradient", "lowest", "highest", "change"), zip(*rows))))
"""


def pytorch(values: Values) -> str:
    """Multiply a layer's weights in PyTorch."""
    return PYTORCH.format(factor=values["factor"])


def script(values: Values) -> str:
    """Train the networks, multiply their weights, and print the curve."""
    return SCRIPT.format(
        first=seeds(values)["seed"], steps=STEPS, eps=values["eps"], factor=values["factor"],
        factors=looked_at(values)[0],
    )  # fmt: skip
