"""What the first scenes of "Small batches" show: laws of statistics, the cliff, and convolutions."""

from __future__ import annotations

from functools import lru_cache
from math import lgamma, log, sqrt
from typing import Any

import numpy as np

from bnlib import theory
from bnlib.lessons import small
from book import figure as fig
from book.chapter import Found, Meter, Numbers, View
from book.charts import average, progress
from book.controls import SEEDS, Values
from book.equations import Equation, frac, root, row, told
from book.figure import BLUE, COLOURS, GREEN, INK, ORANGE, Figure, Trace
from book.words import brief
from pages._small_batches_parts import (
    CONV_BATCH,
    CONV_SIZES,
    FAILED,
    SHADES,
    SIZES,
    STEP_BATCH,
    UNIT,
    convolutional,
    errors_of,
    marker,
    near,
    nearest_to,
    of_sizes,
    over_steps,
    size_axis,
    wrong_axis,
)  # fmt: skip

# ---- how far off is a mean of m? -------------------------------------------------------------------------

MEANS, STDS = np.linspace(-2, 2, 101), np.linspace(0, 2.4, 81)


@lru_cache(maxsize=64)
def _histogram(seed: int, m: int) -> tuple[Any, Any]:
    """Return densities of means and standard deviations in the bins of MEANS and STDS."""
    numbers = small.drawn(seed, UNIT, m)
    pairs = ((numbers.mean, MEANS), (numbers.std, STDS))
    counts = [np.histogram(values, edges)[0] / len(values) / (edges[1] - edges[0]) for values, edges in pairs]
    return counts[0], counts[1]


def std_law(s: Any, m: int) -> Any:
    """Return the density of m Gaussian numbers’ biased standard deviation s: m s² is chi-squared, m - 1."""
    k, s = m - 1, np.maximum(s, 1e-9)
    logs = log(2) + k / 2 * log(m / 2) - lgamma(k / 2) + (k - 1) * np.log(s) - m * s**2 / 2
    return np.exp(logs)


Words = tuple[str, str, str]  # title, axis, name of the law


def _law(edges: Any, bars: Any, curve: Any, words: Words, means: dict[str, tuple[float, str]]) -> Figure:
    """Draw a histogram with a law over it; means: by name, where they are and their colours."""
    title, axis, name = words
    middle, high = (edges[1:] + edges[:-1]) / 2, max(1.0, float(np.max(bars)), float(np.max(curve))) * 1.08
    data = [
        fig.bars(middle, bars, f"{small.BATCHES:,} batches", BLUE, alpha=0.55, width=edges[1] - edges[0]),
        fig.line(edges, curve, name, INK, dash="dash", width=1.5),
    ]
    data += [
        fig.line([at, at], [0, high], what, colour, dash="dot", width=1.5, hoverinfo="skip")
        for what, (at, colour) in means.items()
    ]
    alt = f"{title}: a histogram with its law. Its highest bar is {brief(float(np.max(bars)))} high."
    x = fig.axis(float(edges[0]), float(edges[-1]), axis)
    y = fig.axis(0, high, "density")
    return fig.figure(data, title, alt, x, y, bargap=0, barmode="overlay", showlegend=True)


def spread(values: Values, found: Found) -> View:
    """Show means and standard deviations of many batches of m, and their laws."""
    hide, seed = values["open"], SEEDS * values["seed"]
    m = small.MOST if hide else values["m"]
    own, most = small.drawn(seed, UNIT, m), small.drawn(seed, UNIT, small.MOST)
    means, stds = _histogram(seed, m)
    bell = sqrt(m / (2 * np.pi)) * np.exp(-m * MEANS**2 / 2)
    scatter, bias = float(own.mean.std()), float(own.std.mean())
    numbers = {
        "m": float(m), "fewer": small.MOST / m, "root": sqrt(small.MOST / m),
        "spread": scatter, "spread_theory": theory.batch_mean_variance(m) ** 0.5,
        "ratio": scatter / float(most.mean.std()), "std": bias, "std_theory": theory.batch_std_mean(m),
        "var_share": theory.batch_var_mean(m),
    }  # fmt: skip
    figures = {
        "means": _law(MEANS, means, bell, (f"Means μ of batches of {m}", "(μ of the batch − μ of all) / σ",
                                           "Gaussian law"), {"mean of all digits": (0.0, INK)}),
        "stds": _law(STDS, stds, std_law(STDS, m), (f"Standard deviations of batches of {m}",
                                                   "σ of the batch / σ of all", "law for Gaussian numbers"),
                     {"σ of all digits": (1.0, INK), "mean of the batches’ σ": (bias, ORANGE)}),
    }  # fmt: skip
    text = f"Batches of {m}: their means scatter by {brief(scatter)} σ around the mean of all digits."
    if hide:
        return View(numbers, text, figures, {"m": np.array([m]), "spread": np.array([scatter])})
    laws = found.get("law")
    text += f" 1/√{m} is {brief(numbers['spread_theory'])}. On average σ of a batch is {brief(bias)} σ"
    text += f" (Gaussian numbers: {brief(numbers['std_theory'])})."
    if m > 3:
        inverse = float((1 / own.std[own.std > 0]).mean())
        numbers |= {"inverse": inverse, "inverse_theory": theory.inverse_std_mean(m)}
        text += f" The factor 1/σ is {brief(inverse)} times the true one on average."
    figures["law"] = _fall(laws, m, scatter)
    equations = (
        Equation("spread", "how far means scatter", frac("σ", root("m")), numbers["spread_theory"],
                 (row("σ / ", root(str(m))), row(told(numbers["spread_theory"]), " σ"))),
        Equation("bias", "mean of σ² of a batch", row("(m − 1) / m · σ²"), numbers["var_share"],
                 (row(f"{m - 1}/{m} σ²"), row(told(numbers["var_share"]), " σ²"))),
    )  # fmt: skip
    table = {
        "m": np.array(SIZES),
        "spread_theory": np.array([theory.batch_mean_variance(s) ** 0.5 for s in SIZES]),
    }
    if laws is not None:
        table |= {"spread": laws["spread"], "std": laws["std"]}
    table["std_theory"] = np.array([theory.batch_std_mean(s) for s in SIZES])
    return View(numbers, text, figures, table, equations, waiting=progress(found, "laws are drawn"))


def _fall(laws: Any, m: int, scatter: float) -> Figure:
    """Draw how far means scatter over the batch size; the dot can be dragged."""
    data = [fig.line(SIZES, [s**-0.5 for s in SIZES], "1 / √m", INK, dash="dash", width=1.5)]
    if laws is not None:
        data.append(fig.dots(SIZES, laws["spread"], "measured", BLUE, size=7))
    data.append(marker(m, scatter, "batch size", ORANGE))
    y = fig.log_axis(0.06, 1, "scatter / σ", [0.1, 0.2, 0.5, 1])
    alt = f"A falling line on logarithmic axes. At {m} means scatter by {brief(scatter)} σ."
    return fig.figure(
        data, "How far means scatter", alt, size_axis("batch size m"), y, place="side", showlegend=True,
        hint="Drag the large dot.",
    )  # fmt: skip


# ---- the cliff -------------------------------------------------------------------------------------------

LINES = {  # by what is measured: its name and colour
    "val": ("validation digits, eval()", BLUE),
    "own": ("validation digits, train()", ORANGE),
    "train": ("training digits, train()", GREEN),
}


def cliff(values: Values, found: Found) -> View:
    """Show errors over the norm batch, and how the chosen network learned."""
    hide = values["open"]
    m = STEP_BATCH if hide else near(values["m"], SIZES)
    cells: dict[int, Any] = {size: found.get(f"m{size}") for size in SIZES}
    there = {size: cell for size, cell in cells.items() if cell is not None and (not hide or size == m)}
    data: list[Trace] = []
    for key, (name, colour) in LINES.items():
        data += of_sizes([(size, errors_of(cell, key)) for size, cell in there.items()], name, colour)
    chosen, largest = there.get(m), cells[STEP_BATCH]
    if chosen is not None and not hide:
        data.append(marker(m, average(errors_of(chosen)), "norm batch"))
    told_ = "; ".join(f"m = {size}: {average(errors_of(cell)):.1f}%" for size, cell in there.items())
    title = "Wrong answers; every step has 128 samples"
    if hide and chosen is not None:
        title = f"One mean of {m}: {average(errors_of(chosen)):.1f}% wrong in eval()"
    figures = {
        "cliff": fig.figure(
            data, title,
            f"Errors of eight networks each. In eval() {told_ or 'nothing is computed yet'}.",
            size_axis(), wrong_axis(), showlegend=True,
            hint=SHADES if hide else f"Drag the large dot. {SHADES}",
        ),
        "training": _training(chosen, largest, m),
    }  # fmt: skip
    if any(cell is None for cell in cells.values()) or found.get("rounding") is None:
        return View(figures=figures, waiting=progress(found))
    assert chosen is not None
    numbers = _cliff_numbers(cells, m) | {"differs": average(found["rounding"]["differs"])}
    text = (
        f"Norm batch {m if hide else nearest_to(values['m'], SIZES)}: {numbers['eval']:.1f}% of the "
        "validation digits are wrong in eval(). In train() "
        f"{numbers['own']:.1f}% of them are wrong, and {numbers['train']:.1f}% of the training digits."
    )
    if hide:
        return View(numbers, text, figures)
    meter = Meter(
        "passed", "share of the gradient’s squared length that passes a norm", numbers["passed"],
        numbers["passed_theory"], f"passes a norm: {numbers['passed']:.1%}",
    )  # fmt: skip
    note = (
        f"So much of the gradient’s squared length gets through: {numbers['passed']:.1%}, mean of the four "
        f"norms. Line across the bar: what theory says for a random gradient, (m − 2)/m = "
        f"{numbers['passed_theory']:.1%}."
    )
    pair = Equation(
        "pair", "x̂ of two numbers at a distance d", frac("± d", root("d² + 4 ε")), numbers["x_hat"],
        (frac("1", root(row("1 + 4 · ", told(1e-5)))), told(numbers["x_hat"])),
    )  # fmt: skip
    slope = Equation(
        "slope", "how far x̂ moves with its x, at d = 1",
        frac("4 ε", row("(d² + 4 ε) ", root("d² + 4 ε"))), numbers["slope"],
        (told(numbers["slope"]),),
    )  # fmt: skip
    return View(
        numbers, text, figures, _cliff_table(cells), (pair, slope), meters=(meter,), notes={"passed": note}
    )


def _cliff_numbers(cells: Any, m: int) -> Numbers:
    """Return errors at m, and what passes there and elsewhere."""
    at = {key: {size: average(errors_of(cell, key)) for size, cell in cells.items()} for key in LINES}
    passes = {size: float(np.clip(np.mean(cell["passed"]), 0, 1)) for size, cell in cells.items()}
    numbers = {
        "m": float(m), "eval": at["val"][m], "own": at["own"][m], "train": at["train"][m],
        "level": round(at["val"][m] / 25) / 4, "failed": float(np.sum(errors_of(cells[m]) > FAILED)),
        "passed": passes[m], "passed_theory": theory.gradient_share(m, 1.0, 0.0), "refused": 1.0,
        "x_hat": float(theory.pair_xhat(np.array(1.0), 1e-5)),
        "slope": float(theory.pair_slope(np.array(1.0), 1e-5)),
    }  # fmt: skip
    for size in SIZES:
        numbers |= {f"eval_{size}": at["val"][size], f"passed_{size}": passes[size]}
    return numbers


def _training(cell: Any, largest: Any, m: int) -> Figure:
    """Draw how the networks of one norm batch learned, beside those of the whole batch."""
    curves = []
    if cell is not None:
        curves = [("eval()", BLUE, errors_of(cell, "val", whole=True), "solid")]
        curves.append(("train()", ORANGE, errors_of(cell, "own", whole=True), "solid"))
        if m != STEP_BATCH and largest is not None:
            curves.append(
                (f"eval(), m = {STEP_BATCH}", COLOURS[9], errors_of(largest, "val", whole=True), "dash")
            )
    step = [] if cell is None else cell["step"]
    return over_steps(curves, step, f"Wrong validation answers while training, m = {m}")


def _cliff_table(cells: Any) -> dict[str, Any]:
    """Return a row for each size; gaps where another program's rounding would lead elsewhere."""
    table: dict[str, Any] = {"m": np.array(SIZES)}
    for key in LINES:
        own = [average(errors_of(cells[size], key)) if size > 4 else np.nan for size in SIZES]
        table[{"val": "eval"}.get(key, key)] = np.array(own)
    table["failed"] = np.array([int(np.sum(errors_of(cells[size]) > FAILED)) for size in SIZES])
    return table


# ---- convolutions ----------------------------------------------------------------------------------------


def conv(values: Values, found: Found) -> View:
    """Show a convolutional network beside a dense one, and how many numbers share each mean."""
    hide = values["open"]
    m = CONV_BATCH if hide else near(values["conv_m"], CONV_SIZES)
    cells: dict[int, Any] = {size: found.get(f"conv{size}") for size in CONV_SIZES}
    flat: dict[int, Any] = {size: found.get(f"dense{size}") for size in CONV_SIZES}
    there = {size: cell for size, cell in cells.items() if cell is not None and (not hide or size == m)}
    data = of_sizes(
        [(size, errors_of(cell)) for size, cell in flat.items() if cell is not None],
        "dense",
        ORANGE,
        dash="dash",
    )
    data += of_sizes([(size, errors_of(cell)) for size, cell in there.items()], "convolutional", BLUE)
    if m in there and not hide:
        data.append(marker(m, average(errors_of(there[m])), "norm batch", control="conv_m"))
    told_ = "; ".join(f"m = {size}: {average(errors_of(cell)):.1f}%" for size, cell in there.items())
    figures = {
        "cliffs": fig.figure(
            data, "Wrong validation answers in eval(); every step has 32 images",
            f"Errors of eight networks each. Convolutional: {told_ or 'nothing is computed yet'}.",
            size_axis(sizes=CONV_SIZES), wrong_axis(), showlegend=True,
            hint="" if hide else f"Drag the large dot. {SHADES}",
        ),
        "shared": _shared(values, m),
    }  # fmt: skip
    if any(cell is None for cell in (*cells.values(), *flat.values())):
        return View(figures=figures, waiting=progress(found))
    cell = cells[m]
    positions = _positions(values)
    numbers = {
        "m": float(m), "conv": average(errors_of(cell)), "dense": average(errors_of(flat[m])),
        "conv_train": average(errors_of(cell, "train")), "dense_2": average(errors_of(flat[2])),
        "half": average(errors_of(flat[2])) / 2, "conv_32": average(errors_of(cells[CONV_BATCH])),
        "first": float(m * positions[0]), "last": float(m * positions[-1]), "positions": float(positions[-1]),
        "worth_last": float(cell["worth"][:, -1].mean()),
        "passed_last": float(cell["passed"][:, -1].mean()),
        "passed_theory": theory.gradient_share(int(m * positions[-1]), 1.0, 0.0), "one_dense": float(m),
    }  # fmt: skip
    name = m if hide else nearest_to(values["conv_m"], CONV_SIZES)
    text = f"Norm batch {name}: the convolutional network is wrong on {numbers['conv']:.1f}%"
    if hide:
        return View(numbers, text + ".", figures)
    text += (
        f", the dense one on {numbers['dense']:.1f}%. A mean of the first layer is over "
        f"{numbers['first']:.0f} numbers, of the last one over {numbers['last']:.0f}; in a dense layer over "
        f"{m}."
    )
    meter = Meter(
        "passed", "share of the gradient’s squared length that passes the last norm", numbers["passed_last"],
        numbers["passed_theory"], f"passes the last norm: {numbers['passed_last']:.0%}",
    )  # fmt: skip
    note = (
        f"So much of the gradient’s squared length gets through: {numbers['passed_last']:.0%}. Line across "
        "the bar: what theory says for a random gradient, (n − 2)/n = "
        f"{numbers['passed_theory']:.1%}, where n = {numbers['last']:.0f} numbers share a mean."
    )
    alike = (
        "Neighbouring positions are alike: for how far a mean scatters, the "
        f"{numbers['positions']:.0f} positions of an image in the last layer count as "
        f"{numbers['worth_last']:.1f} independent numbers."
    )
    sizes = list(CONV_SIZES)
    table = {
        "m": np.array(sizes),
        "eval": np.array([average(errors_of(cells[size])) for size in sizes]),
        "train": np.array([average(errors_of(cells[size], "train")) for size in sizes]),
        "numbers_first": np.array([size * positions[0] for size in sizes]),
        "numbers_last": np.array([size * positions[-1] for size in sizes]),
    }
    notes = {"passed": note, "shared": alike}
    return View(numbers, text, figures, table, meters=(meter,), notes=notes)


def _positions(values: Values) -> list[int]:
    return [int(np.prod(shape[:-1])) for shape in convolutional(values, 2).shapes]


def _shared(values: Values, m: int) -> Figure:
    """Draw by layer how many numbers share a mean, and how many do in a dense layer."""
    positions = _positions(values)
    layers = np.arange(1, len(positions) + 1)
    counted = [m * p for p in positions]
    said = [f"layer {k}: {n} numbers" for k, n in zip(layers, counted, strict=True)]
    data = [
        fig.line([0.4, 3.6], [m, m], "dense layer", ORANGE, dash="dash"),
        fig.dots(layers, counted, "convolutional layer", BLUE, symbol="square", size=11, meta={"says": said}),
    ]
    high = 3 * counted[0]
    ticks = [tick for tick in (1, 10, 100, 1000, 10_000) if tick <= high]
    alt = f"Squares by layer. {'; '.join(said)}; dense layer: {m}."
    return fig.figure(
        data, f"Numbers in a mean, m = {m}", alt,
        fig.axis(0.4, 3.6, "layer", [1, 2, 3]), fig.log_axis(1, float(high), "numbers", ticks),
        showlegend=True, place="side",
    )  # fmt: skip
