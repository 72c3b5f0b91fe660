"""The scene "Memory": what a norm makes a training step hold from its forward to its backward pass."""

from __future__ import annotations

from bnlib.experiments.model import Race
from bnlib.lessons import costs
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.controls import Values
from book.equations import Equation, row, told
from book.figure import BLUE, INK, ORANGE, Figure
from pages import _cost_parts as parts
from pages._cost_parts import COMMON, NAMES
from pages._cost_scripts import MADE, MEMORY, MEMORY_TORCH

BARE = 2  # a layer without a norm: what enters its activation, and what leaves it
BYTES = 4


def jobs(values: Values) -> dict[str, Job]:
    """Return the counts of what a step really holds, for each norm."""
    if values["draft"]:
        return {}
    return {norm: Job(costs.more_held, (parts.config_of(values, norm=norm),)) for norm in COMMON}


def view(values: Values, found: Found) -> View:
    """Show what norms hold, as counted in a step, beside the law."""
    hide, norm, width, batch = values["open"], values["norm"], values["width"], values["batch"]
    activation = batch * width
    laws = {name: costs.held(name, batch, width, parts.groups(width)) for name in COMMON}
    own, torch = laws[norm]
    figures = {"layer": _layer(values, laws, found, hide)}
    if not hide:
        figures["growth"] = _growth(values)
    waiting = parts.missing(found, values["draft"])
    numbers = {
        "activation": float(activation), "law": own / activation, "torch": torch / activation,
        "statistics": float(own - activation), "bare": float(BARE), "megabytes": BYTES * own / 1e6,
        "whole": (BARE + own / activation) / BARE, "means": (own - activation) / costs.KEPT_NUMBERS,
    }  # fmt: skip
    text = f"A layer of {width:,} units, {batch} samples: an activation is {activation:,} numbers."
    if hide:
        return View(numbers, text, figures, waiting=waiting)
    text += f" With {NAMES[norm]} a step holds {own:,} numbers more, {own / activation:.2f} activations"
    if not values["draft"] and found.get(norm) is not None:
        numbers["extra"] = found[norm] / BYTES / activation
        text += f"; counted in a step: {found[norm] / BYTES:,.0f}"
    text += f". In PyTorch it holds {torch:,} more."
    equation = Equation(
        "law", f"activations that {NAMES[norm]} adds", row("(N · W + 3 · means) / (N · W)"), numbers["law"],
        (
            row("(", told(numbers["activation"]), " + 3 · ", told(numbers["means"]), ") / ",
                told(numbers["activation"])),
            told(numbers["law"]),
        ),
    )  # fmt: skip
    table = {
        "norm": list(COMMON), "numbers": [laws[name][0] for name in COMMON],
        "torch": [laws[name][1] for name in COMMON],
        "activations": [laws[name][0] / activation for name in COMMON],
    }  # fmt: skip
    return View(numbers, text, figures, table, (equation,), waiting=waiting)


def _layer(values: Values, laws: dict[str, tuple[int, int]], found: Found, hide: bool) -> Figure:
    """Draw what a layer holds, in activations: without a norm, and what each norm adds."""
    activation = values["batch"] * values["width"]
    names = ["no norm", *(NAMES[name].replace(" norm", "") for name in COMMON)]
    data = [fig.bars(names, [BARE] * len(names), "in and out of the activation", fig.COLOURS[9], width=0.55)]
    said = f"Without a norm a layer holds {BARE} activations"
    above = [fig.label(names[1], BARE, "?", yshift=18, size=22)] if hide else []
    if not hide:
        whole = [law / activation for law, _ in laws.values()]
        data.append(
            fig.bars(names[1:], whole, "x̂ and statistics: the norm", ORANGE, width=0.55, base=[BARE] * 4)
        )
        counts = [found.get(name) for name in COMMON]
        there = [
            (n, BARE + c / BYTES / activation)
            for n, c in zip(names[1:], counts, strict=True)
            if c is not None
        ]
        data.append(fig.dots([n for n, _ in there], [y for _, y in there], "counted in a step", INK, size=8))
        above = [
            fig.label(n, BARE + y, f"+ {y:.2f}", yshift=13) for n, y in zip(names[1:], whole, strict=True)
        ]
        said += "; more " + ", ".join(f"with {n} norm {y:.2f}" for n, y in zip(names[1:], whole, strict=True))
    top = 3.6 if hide else max(3.6, 1.12 * (BARE + max(law / activation for law, _ in laws.values())))
    return fig.figure(
        data, f"What a layer holds until the backward pass, {values['batch']} × {values['width']}",
        f"{said}.",
        fig.category_axis(names), fig.axis(0, top, "activations (N · W numbers)"),
        annotations=above, barmode="overlay", bargap=0, showlegend=True,
        hint="Forward passes leave what backward passes need. Counted in this library; PyTorch’s ReLU "
             "keeps its "
        "output only.",
    )  # fmt: skip


def _growth(values: Values) -> Figure:
    """Draw the megabytes that the norm adds over the batch size."""
    sizes = parts.SIZES
    norm, width = values["norm"], values["width"]
    held = [costs.held(norm, one, width, parts.groups(width)) for one in sizes]
    own = costs.held(norm, values["batch"], width, parts.groups(width))[0]
    data = [
        fig.line(sizes, [BYTES * one / 1e3 for one, _ in held], "here", BLUE),
        fig.line(sizes, [BYTES * one / 1e3 for _, one in held], "PyTorch", ORANGE, dash="dash", width=1.5),
        fig.dots([values["batch"]], [BYTES * own / 1e3], "this batch", INK, size=14, alpha=0.6,
                 showlegend=False,
                 meta={"drag": "batch", "axis": "x"}),
    ]  # fmt: skip
    top = 1.05 * BYTES * held[-1][0] / 1e3
    return fig.figure(
        data, f"What {NAMES[norm]} adds to a layer, {width:,} units",
        f"Lines that rise with the batch size: {BYTES * own / 1e3:,.0f} kB at {values['batch']}.",
        fig.axis(0, 265, "batch size", [8, 64, 128, 256]), fig.axis(0, top, "kB, float32"),
        showlegend=True, place="side", height=250,
    )  # fmt: skip


SCENE = Scene(
    "memory", "Memory",
    "A layer without a norm holds two arrays from the forward to the backward pass: what enters the "
    "activation and what leaves it. What does batch norm add?",
    (
        Choice("2 numbers for each unit: mean and variance", 0.0,
               "They are held, too. But the gradient goes through x̂, too, and each sample has its own."),
        Choice("about one array as large as these", 1.0),
        Choice("about two: before and after it", 2.0,
               "The backward pass needs one of them: from x, mean and variance x̂ can be computed."),
    ),
    "law", {}, {},
    "{law:.2f} arrays: x̂, {activation:,.0f} numbers, and {statistics:,.0f} numbers about means and "
    "variances.",
    "Its gradient, rstd · (g − mean(g) − x̂ · mean(g · x̂)), needs x̂ of each sample and unit. A layer now "
    "holds {whole:.2f} times what it held.",
    "It needn’t be so: the activation’s output can be inverted to x̂. Bulò et al. (2018) report up to 50% "
    "less memory in training for 0.8 to 2% more time. In PyTorch ReLU keeps its output only: there a layer "
    "goes from one array to two. In inference nothing is held.",
    "Group norm with 8 groups holds more statistics: from which width on is that below 10% of an activation?",
    ("norm", "width", "batch"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Have PyTorch say what a batch norm saves for its backward pass."""
    width = values["width"]
    made = MADE[values["norm"]].format(width, parts.groups(width))
    return MEMORY_TORCH.format(made=made, width=values["width"], batch=values["batch"])


def script(values: Values) -> str:
    """Count what PyTorch saves, and what x̂ and its statistics are in NumPy."""
    return MEMORY.format(
        norm=values["norm"], width=values["width"], batch=values["batch"], names=COMMON,
        groups=parts.groups(values["width"]),
    )  # fmt: skip


def lab(values: Values) -> Race:
    """Return the network with the norms of the figure."""
    return Race("Four norms", tuple(parts.config_of(values, norm=norm) for norm in COMMON), 300)


PASSAGES = (Passage("What a norm’s backward pass needs", costs.held),)
