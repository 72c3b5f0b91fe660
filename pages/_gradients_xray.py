"""The scene "The two subtracted terms": what batch norm's backward pass subtracts, each with a switch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bnlib.lessons import gradients
from bnlib.norms.core import normalize
from book import figure as fig
from book.chapter import Choice, Found, Job, Meter, Numbers, Scene, View
from book.charts import average, bars, progress
from book.controls import Control, Values, seeds
from book.equations import Equation, Term, frac, row, told, total
from book.figure import BLUE, GREEN, INK, ORANGE, PURPLE, Figure
from book.words import brief
from pages._gradients_scale import config_of

STEPS = 300  # of training
EARLY = 30  # steps behind the network whose gradients are drawn
TRAINED_EPS = 1e-5  # whatever the slider says of the unit that is drawn
SWITCH = ("on", "off")
ARMS = {  # by whether the mean term and the x̂ term are subtracted
    (True, True): "both terms", (False, True): "no mean term", (True, False): "no x̂ term",
    (False, False): "neither term",
}  # fmt: skip
SHORT = ("both", "no mean", "no x̂", "neither")
COLOURS = dict(zip(ARMS, (BLUE, ORANGE, GREEN, PURPLE), strict=True))
FOUR_X, FOUR_G = (1.0, 2.0, 3.0, 4.0), (1.0, 0.0, 0.0, 0.0)  # of the PyTorch program

CONTROLS = (
    Control(
        "mean_term", "choice", "on", "mean term", choices=SWITCH, names=SWITCH, look="buttons",
        about="Whether the backward pass subtracts mean(g), the mean of the gradients over the batch. Off: "
        "the batch’s mean μ counts as a constant. In PyTorch: x.mean(0).detach().",
    ),
    Control(
        "xhat_term", "choice", "on", "x̂ term", choices=SWITCH, names=SWITCH, look="buttons",
        about="Whether the backward pass subtracts x̂ · mean(g · x̂). Off: the standard deviation σ counts as "
        "a constant. In PyTorch: x.std(0, correction=0).detach().",
    ),
    Control(
        "unit", "whole", 31, "unit", "of the second layer", 0, 31, tuple(range(32)),
        about="The unit of the second hidden layer whose gradients are drawn, one arrow a digit.",
    ),
)  # fmt: skip


class Unit(NamedTuple):
    """One unit's batch: x̂, what arrives in units of x (rstd · g), dx, and variance before eps."""

    x_hat: Any
    arriving: Any
    dx: Any
    var: float


def arm_of(values: Values) -> tuple[bool, bool]:
    """Return which terms are subtracted."""
    return values["mean_term"] == "on", values["xhat_term"] == "on"


def jobs(values: Values) -> dict[str, Job]:
    """Return four trainings, one for each way to set the switches, and a batch that is looked at."""
    config = config_of(values)
    found = {"arriving": Job(gradients.arriving, (config, EARLY))}
    return found | {name: Job(gradients.trained_without, (config, STEPS, *arm)) for arm, name in ARMS.items()}


def through(x: Any, g: Any, eps: float, arm: tuple[bool, bool]) -> Unit:
    """Send one unit's gradient g (N,) back through its norm."""
    columns = (np.reshape(array, (1, -1, 1)).astype(float) for array in (x, g))
    z, upstream = columns
    _, cache = normalize(z, (1,), None, None, eps)
    dx = gradients.through_norm(upstream, cache, *arm)
    return Unit(cache.xhat[0, :, 0], (upstream * cache.rstd)[0, :, 0], dx[0, :, 0], float(cache.var[0, 0, 0]))


def shares(unit: Unit) -> tuple[float, float]:
    """Return which part of dx moves all samples alike, and which stretches them: cosines from 0 to 1."""
    ones, length = np.ones_like(unit.dx), float(np.linalg.norm(unit.dx))
    parts = []
    for direction in (ones, unit.x_hat):
        scale = length * float(np.linalg.norm(direction))
        cosine = abs(float(unit.dx @ direction)) / scale if scale > 1e-300 else 0.0
        parts.append(min(cosine, 1.0) if cosine > 1e-12 else 0.0)
    return parts[0], parts[1]


def view(values: Values, found: Found) -> View:
    """Show one unit's gradients with the terms that are on, and what training with them comes to."""
    hide, arm, eps = values["open"], arm_of(values), values["eps"]
    errors = {name: found.get(name) and found[name]["error"] for name in ARMS.values()}
    shown = {name: own for name, own in errors.items() if not hide or name == ARMS[True, True]}
    figures = {"errors": _errors(shown, arm, values.get("narrow", False), hide)}
    seen, names = found.get("arriving"), ("arriving", *ARMS.values())
    waiting = progress({name: found.get(name) for name in names}, "computations are done")
    if seen is None:
        return View(figures=figures, waiting=waiting)
    unit = through(seen["z"][:, values["unit"]], seen["g"][:, values["unit"]], eps, arm)
    figures = {"arrows": _arrows(unit, seen["label"], arm)} | figures
    if waiting:
        return View(figures=figures, waiting=waiting)
    numbers = _unit_numbers(unit, eps, arm) | _training_numbers(found, arm)
    table = {
        "label": seen["label"], "x_hat": unit.x_hat, "arriving": unit.arriving, "dx": unit.dx,
    }  # fmt: skip
    text = (
        f"Unit {values['unit']}, {ARMS[arm]}: over {len(unit.dx)} digits dx sums to {brief(numbers['sum'])}."
    )
    meters, equations = _meters(unit, numbers), _equations(unit, numbers, arm)
    if hide:
        return View(numbers, text, figures, equations=equations, meters=meters)
    figures["weights"] = _growth(found)
    text += (
        f" Trained with {ARMS[arm]} and ε = {brief(TRAINED_EPS)}, the first layer’s bias, in front of its "
        f"norm, reaches length {brief(numbers['bias'])}."
    )
    return View(numbers, text, figures, table, equations, meters=meters)


def _unit_numbers(unit: Unit, eps: float, arm: tuple[bool, bool]) -> Numbers:
    """Measure what is left of dx along both directions, beside what the terms say it is."""
    moved, stretched = shares(unit)
    along = float(unit.arriving @ unit.x_hat)
    left = eps / (unit.var + eps) if arm[1] and unit.var + eps else 1.0
    four = through(FOUR_X, FOUR_G, eps, arm)
    return {
        "sum": _zero(float(unit.dx.sum())), "along": _zero(float(unit.dx @ unit.x_hat)),
        "sum_theory": 0.0 if arm[0] else float(unit.arriving.sum()), "along_theory": left * along,
        "moved": moved, "stretched": stretched, "mean_g": float(unit.arriving.mean()),
        "mean_gx": float((unit.arriving * unit.x_hat).mean()),
        "four_sum": _zero(float(four.dx.sum())), "four_along": _zero(float(four.dx @ four.x_hat)),
    }  # fmt: skip


def _zero(number: float) -> float:
    """Take what rounding leaves for 0."""
    return number if abs(number) > 1e-12 else 0.0


def _training_numbers(found: Found, arm: tuple[bool, bool]) -> Numbers:
    full, here = found[ARMS[True, True]], found[ARMS[arm]]
    numbers = {
        "error": average(here["error"]), "error_full": average(full["error"]),
        "threefold": 3 * average(full["error"]), "growth": _grown(here), "growth_full": _grown(full),
        "bias": _zero(average(here["bias"][:, -1])), "bias_full": _zero(average(full["bias"][:, -1])),
        "angle": average(here["angle"]),
    }  # fmt: skip
    for (mean_term, xhat_term), name in ARMS.items():
        key = f"{'' if mean_term else '_mean'}{'' if xhat_term else '_xhat'}" or "_none"
        numbers |= {
            f"error_without{key}": average(found[name]["error"]),
            f"angle_without{key}": average(found[name]["angle"]),
        }
    return numbers


def _grown(found: Any) -> float:
    return average(found["weight"][:, -1] / found["weight"][:, 0])


def _arrows(unit: Unit, labels: Any, arm: tuple[bool, bool]) -> Figure:
    """Draw a row for each digit: where its x̂ is, what arrives at it, and where dx would move it."""
    order = np.argsort(unit.x_hat)
    longest = max(float(np.abs(array).max()) for array in (unit.arriving, unit.dx))
    scale = 1.2 / longest if longest else 0.0
    rows = np.arange(len(order))
    x = unit.x_hat[order]
    data = [
        _strokes(x, rows + 0.2, -scale * unit.arriving[order], "what arrives, −g/σ", ORANGE, 2),
        _strokes(x, rows - 0.12, -scale * unit.dx[order], "what leaves, −dx", BLUE, 3),
        fig.dots(x, rows, "x̂ of a digit", INK, size=8),
    ]
    end = 1.3 + max(2.0, float(np.abs(x).max()))
    mean, mean_x = float(unit.dx.mean()), float((unit.dx * unit.x_hat).mean())
    alt = (
        f"A row for each of {len(x)} digits: a dot at its x̂ and two arrows, against the gradient that "
        f"arrives and against dx. With {ARMS[arm]} the mean of dx is {brief(_zero(mean))}, that of dx times "
        f"x̂ is {brief(_zero(mean_x))}."
    )
    words = [str(int(label)) for label in labels[order]]
    return fig.figure(
        data, f"Where a step would move {len(x)} digits: {ARMS[arm]}", alt,
        fig.axis(-end, end, "x̂", [-3, -2, -1, 0, 1, 2, 3]),
        fig.axis(-0.7, len(x) - 0.3, "class of the digit", list(rows), words=words),
        showlegend=True,
    )  # fmt: skip


def _strokes(x: Any, y: Any, move: Any, name: str, colour: str, width: float) -> fig.Trace:
    """Draw arrows of these lengths from (x, y) to the right or, below 0, to the left."""
    gap, tip = np.full(len(x), np.nan), np.where(move == 0, np.nan, x + move)
    back = tip - np.sign(move) * np.minimum(np.abs(move), 0.12)
    across = [x, tip, gap, back, tip, back, gap]
    up = [y, y, gap, y + 0.16, y, y - 0.16, gap]
    xs, ys = (np.column_stack(parts).ravel() for parts in (across, up))
    return fig.line(xs, ys, name, colour, width=width, connectgaps=False)


def _errors(errors: dict[str, Any], arm: tuple[bool, bool], narrow: bool, hide: bool) -> Figure:
    """Draw the errors after training with each backward pass; the one that is chosen is not faded."""
    every = {short: errors.get(name) for short, name in zip(SHORT, ARMS.values(), strict=True)}
    known = [float(np.max(own)) for own in every.values() if own is not None]
    top = 102 if hide else 1.15 * max([5.0, *known])
    colours = [COLOURS[one] if one == arm else fig.faded(COLOURS[one], 0.45) for one in ARMS]
    return bars(
        every, "Wrong answers after training with each backward pass",
        fig.axis(0, top, "wrong answers, %"), colours, narrow, form=".1f",
        what="the share of wrong answers in per cent",
        hint=f"After {STEPS} steps with ε = {brief(TRAINED_EPS)}. Dots: 8 seeds.",
    )  # fmt: skip


def _growth(found: Found) -> Figure:
    """Draw how the first layer's weights grow with each backward pass."""
    data, told_, high = [], [], 1.0
    for arm, name in ARMS.items():
        length = found[name]["weight"]
        growth = (length / length[:, :1]).mean(axis=0)
        data.append(fig.line(found[name]["step"], growth, name, COLOURS[arm]))
        told_.append(f"{name}: {growth[-1]:.2f}")
        high = max(high, float(growth.max()))
    return fig.figure(
        data, "Length of the first layer’s weights", f"Curves over training. At the end {'; '.join(told_)}.",
        fig.axis(0, STEPS, "step"), fig.axis(0.9, 1.08 * high, "start = 1"), showlegend=True, place="side",
    )  # fmt: skip


def _meters(unit: Unit, numbers: Numbers) -> tuple[Meter, ...]:
    length = float(np.linalg.norm(unit.dx))
    directions = {"sum": float(len(unit.dx)) ** 0.5, "along": float(np.linalg.norm(unit.x_hat))}
    expected = [
        min(abs(numbers[f"{name}_theory"]) / (length * along), 1.0) if length * along else 0.0
        for name, along in directions.items()
    ]
    meters = []
    for name, title, key, theory in zip(
        ("moved", "stretched"), ("Shift of all: Σ dx", "Stretch of all: Σ dx·x̂"), ("sum", "along"),
        expected, strict=True,
    ):  # fmt: skip
        text = f"{title} = {brief(numbers[key])}"
        meters.append(Meter(name, title, numbers[name], theory if theory > 1e-12 else 0.0, text))
    return tuple(meters)


def _equations(unit: Unit, numbers: Numbers, arm: tuple[bool, bool]) -> tuple[Equation, ...]:
    """Write out both sums over the digits; what rounding leaves of one stands as 0."""
    terms = ["g"] + ["mean(g)"] * arm[0] + ["x̂ · mean(g · x̂)"] * arm[1]
    formula = row("Σ (", " − ".join(terms), ") / √(σ² + ε)") if len(terms) > 1 else row("Σ g / √(σ² + ε)")
    mean = row("mean of ", "g / √(σ² + ε)", " over the batch")
    taken = frac(total(unit.arriving), str(len(unit.arriving)))
    return (
        Equation(
            "dx", "sum over the batch of dx", formula, numbers["sum"],
            (_long(total(unit.dx)), told(numbers["sum"])),
        ),
        Equation(
            "mean_g", "what the mean term takes from each", mean, numbers["mean_g"],
            (_long(taken), told(numbers["mean_g"])),
        ),
    )  # fmt: skip


def _long(term: Term) -> Term:
    """Take a term for rounded: most parts of a long sum have more digits than are shown."""
    return Term(term.node, True)


XRAY = Scene(
    "xray", "The two subtracted terms",
    "Batch norm’s backward pass subtracts two terms, since μ and σ depend on the batch. Trained with both, "
    "networks are wrong on about one digit in twenty. Others train without both, as if μ and σ were "
    "constants. How many digits do they get wrong?",
    (
        Choice("as many: the main term is still there", "error_full",
               "g / σ is there, and the loss does fall. But without the two terms its direction is far off."),
        Choice("about three times as many", "threefold"),
        Choice("half of all digits", 50.0,
               "The direction is far off, but it still points downhill, so the networks do learn."),
        Choice("nine in ten: they guess", 90.0,
               "Ioffe and Szegedy warned of parameters that grow without end while the loss stays. They do "
               "grow here; in 300 steps the loss falls all the same."),
    ),
    "error", {"mean_term": "on", "xhat_term": "on"}, {"mean_term": "off", "xhat_term": "off"},
    "Without both terms {error:.1f}% were wrong, with both {error_full:.1f}%.",
    "A norm undoes a shift or stretch of all its inputs, so neither changes the loss. The two terms take "
    "these directions out of dx. Without them a step of the first layer’s weights points {angle:.0f}° away "
    "from the true gradient, and the weights grow {growth:.1f} times as long.",
    "Without the mean term alone {error_without_mean:.1f}% are wrong, without the x̂ term alone "
    "{error_without_xhat:.1f}%. With a large ε, stretching does change the output, so a part is rightly "
    "left.",
    "Switch one term off at a time: which of the two bars on the right rises?",
    ("mean_term", "xhat_term", "unit", "eps", "seed"),
)  # fmt: skip

PYTORCH = """\
import torch

x = torch.tensor({x}, dtype=torch.float64, requires_grad=True)
g = torch.tensor({g}, dtype=torch.float64)  # arrives at x_hat
mu = x.mean(){mean}
std = ((x - mu).square().mean() + {eps!r}).sqrt(){std}
x_hat = (x - mu) / std
x_hat.backward(g)
print("four_sum =", round(x.grad.sum().item(), 12))
print("four_along =", round((x.grad @ x_hat).item(), 12))
"""

SCRIPT = """\
class Without(Networks):
    \"\"\"Networks whose backward pass may take mean and standard deviation for constants.\"\"\"

    mean_term = xhat_term = True

    def normalize(self, x, layer, size):
        mean = x.mean(1, keepdim=True)
        mean = mean if self.mean_term else mean.detach()
        std = ((x - mean).square().mean(1, keepdim=True) + self.eps).sqrt()
        self.x_hat = (x - mean) / (std if self.xhat_term else std.detach())
        if layer == {layer}:
            self.unit = x, self.x_hat
        return self.parameters[f"gamma{{layer}}"] * self.x_hat + self.parameters[f"beta{{layer}}"]

    def train(self, steps):
        for _ in range(steps):
            for name, gradient in self.gradients().items():
                self.parameters[name].data -= self.lr * gradient
            self.step += 1
        return self


def trained(mean_term, xhat_term, steps):
    nets = Without(range({first}, {first} + 8), depth=3, width=32, batch_size=32, lr=0.1)
    for layer in range(3):  # biases in front of the norms, which do nothing to outputs
        nets.parameters[f"bias{{layer}}"] = torch.zeros(8, 1, 32, requires_grad=True)
    nets.mean_term, nets.xhat_term = mean_term, xhat_term
    return nets.train(steps)


def wrong(nets):
    with torch.no_grad():
        said = nets.forward(VAL_X.expand(8, -1, -1), 500).argmax(2)
    return float(100 * (said != VAL_Y).double().mean())


nets = trained({mean_term}, {xhat_term}, {steps})
print("error =", wrong(nets))
print("error_full =", wrong(trained(True, True, {steps})))
start = Networks([{first} + k for k in range(8)], depth=3, width=32).parameters["weight0"]
lengths = [weight.detach().square().sum((1, 2)).sqrt() for weight in (nets.parameters["weight0"], start)]
print("growth =", float((lengths[0] / lengths[1]).mean()))

nets = trained(True, True, {early})  # and what meets at one unit
logits = nets.forward(X[:{few}].expand(8, -1, -1), {few})
loss = F.cross_entropy(logits[0], Y[:{few}], reduction="sum")
x, x_hat = nets.unit
(g,) = torch.autograd.grad(loss, x_hat)
x, g = x.detach()[0, :, {unit}].clone().requires_grad_(), g[0, :, {unit}]
mean = x.mean() if {mean_term} else x.mean().detach()
std = ((x - mean).square().mean() + {eps!r}).sqrt()
x_hat = (x - mean) / (std if {xhat_term} else std.detach())
(dx,) = torch.autograd.grad(x_hat, x, g)
print("sum =", round(float(dx.sum()), 12))
table(
    label=Y[:{few}].tolist(), x_hat=x_hat.tolist(), arriving=(g / std).tolist(), dx=dx.tolist(),
)
"""


def pytorch(values: Values) -> str:
    """Leave the terms out of autograd's backward pass with ``detach()``."""
    mean_term, xhat_term = arm_of(values)
    return PYTORCH.format(
        x=list(FOUR_X), g=list(FOUR_G), eps=values["eps"],
        mean="" if mean_term else ".detach()  # no mean term",
        std="" if xhat_term else ".detach()  # no x_hat term",
    )  # fmt: skip


def script(values: Values) -> str:
    """Train with the chosen backward pass, and print one unit's gradients."""
    mean_term, xhat_term = arm_of(values)
    return SCRIPT.format(
        first=seeds(values)["seed"], steps=STEPS, early=EARLY, mean_term=mean_term, xhat_term=xhat_term,
        few=gradients.FEW, layer=gradients.LAYER, unit=values["unit"], eps=values["eps"],
    )  # fmt: skip
