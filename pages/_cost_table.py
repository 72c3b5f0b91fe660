"""The scene "All of them": what each norm adds, counted and measured, in NumPy and in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.experiments.model import Race
from bnlib.lessons import costs
from book import figure as fig
from book.chapter import Board, Cell, Choice, Found, Job, Passage, Row, Scene, View
from book.controls import Control, Values
from book.figure import BLUE, INK, ORANGE, Figure
from pages import _cost_parts as parts
from pages._cost_parts import DEPTH, NAMES, ratio
from pages._cost_table_scripts import TABLE, TABLE_TORCH

UNITS = {"mlp": 64, "cnn": 16}
COLUMNS = ("torch_training", "torch_inference")
SHORTEST = {
    "batch": "BN", "layer": "LN", "group": "GN", "instance": "IN", "rms": "RMS", "dyt": "tanh",
    "weight": "WN", "spectral": "SN",
}  # fmt: skip
LETTERS = " BN, LN, GN, IN, WN, SN: batch, layer, group, instance, weight, spectral norm."

CONTROLS = (
    Control(
        "network", "choice", "mlp", "network", choices=("mlp", "cnn"), names=("dense", "convolutional"),
        look="buttons",
        about=f"Three hidden layers: dense ones of {UNITS['mlp']} units, or convolutions of "
        f"{UNITS['cnn'] // 2} and {UNITS['cnn']} channels with 64 and 16 positions. Instance norm needs "
        "positions.",
    ),
)  # fmt: skip


def names(values: Values) -> tuple[str, ...]:
    """Return the norms that the table has for the chosen network."""
    return costs.norms_for(values["network"], tuple(NAMES))


def config_of(values: Values, norm: str) -> RunConfig:
    """Return the network with a norm."""
    network = values["network"]
    return RunConfig(
        network=network, depth=DEPTH, width=UNITS[network], norm=norm, batch_size=values["batch"]
    )


def jobs(values: Values) -> dict[str, Job]:
    """Return a measurement for each norm."""
    if values["draft"]:
        return {}
    return {n: Job(costs.timed, (config_of(values, n), values["again"])) for n in names(values)}


def counted(values: Values, norm: str) -> dict[str, int]:
    """Count what a norm adds: parameters, numbers kept, and whether its operations vanish in inference."""
    own, bare = (costs.numbers_of(config_of(values, one)) for one in (norm, "none"))
    more = sum(own[kind] - bare[kind] for kind in ("weights", "biases", "affine"))
    return {"parameters": more, "kept": own["kept"], "free": int(costs.vanishes(config_of(values, norm)))}


def view(values: Values, found: Found) -> View:
    """Show all norms side by side."""
    hide, shown = values["open"], names(values)
    counts, narrow = {name: counted(values, name) for name in shown}, bool(values.get("narrow", False))
    times = {name: found.get(name) for name in shown}
    figures = {"training": _ratios(times, "training", narrow)}
    if not hide:
        figures["inference"] = _ratios(times, "inference", narrow)
    notes = {"training": parts.measured_on(*times.values())}
    board = _board(counts, times, hide)
    numbers = {
        "free": float(sum(one["free"] for one in counts.values())), "norms": float(len(shown)),
        "kept": float(counts["batch"]["kept"]), "layer_parameters": float(counts["layer"]["parameters"]),
        "batch_parameters": float(counts["batch"]["parameters"]), "extra_folded": 0.0,
    }  # fmt: skip
    there = {name: one for name, one in times.items() if one is not None}
    text = f"{len(shown)} norms, batch {values['batch']}."
    if len(there) < len(shown):
        waiting = parts.missing(found, values["draft"])
        text += parts.LATER if values["draft"] else ""
        return View(text=text, figures=figures, notes=notes, board=board, waiting=waiting)
    training = {name: ratio(one, "training") for name, one in there.items()}
    inference = {name: ratio(one, "inference") for name, one in there.items()}
    numbers |= {
        "training_batch": training["batch"], "inference_batch": inference["batch"],
        "inference_layer": inference["layer"],
    }  # fmt: skip
    cheap, dear = (NAMES[choose(training, key=training.__getitem__)] for choose in (min, max))
    text += (
        f" In this measurement a training step in NumPy is longest with {dear}, "
        f"{max(training.values()):.2f} times as long as without a norm, and shortest with {cheap}, "
        f"{min(training.values()):.2f} times."
    )
    clocked = ("training_batch", "inference_batch", "inference_layer")
    if hide:
        return View(numbers, text, figures, notes=notes, board=board, clocked=clocked)
    text += f" In inference {numbers['free']:.0f} of {len(shown)} leave the network as it is without a norm."
    text += " RMS norm learns β here, too, in PyTorch only γ; there it is several operations on a processor."
    table: dict[str, Any] = {"norm": list(shown)}
    for kind in ("parameters", "kept", "free"):
        table[kind] = [one[kind] for one in counts.values()]
    for name in COLUMNS:
        table[name] = [ratio(one, name) for one in there.values()]
    return View(numbers, text, figures, table, notes=notes, board=board, clocked=(*clocked, *COLUMNS))


def _ratios(times: Any, what: str, narrow: bool) -> Figure:
    """Draw a step's time with each norm over that without one, for both libraries."""
    short = {name: SHORTEST[name] if narrow else NAMES[name].replace(" norm", "") for name in times}
    short |= {} if narrow or "dyt" not in short else {"dyt": "tanh"}
    data = []
    said = []
    found: list[float] = []
    for prefix, library, colour, symbol in (
        ("", "NumPy", BLUE, "circle"),
        ("torch_", "PyTorch", ORANGE, "diamond"),
    ):
        y = {short[n]: ratio(one, prefix + what) for n, one in times.items() if one is not None}
        y = {name: value for name, value in y.items() if np.isfinite(value)}
        if y:
            data.append(fig.dots(list(y), list(y.values()), library, colour, size=11, symbol=symbol))
            said.append(f"{library}: " + ", ".join(f"{name} {value:.2f}" for name, value in y.items()))
            found += y.values()
    listed = list(short.values())
    high = max([2.5, *(1.08 * one for one in found)])
    title = (
        "A training step with the norm / without"
        if what == "training"
        else "Inference with the norm / without"
    )
    even = fig.mark(-0.5, 1, len(listed) - 0.5, 1, INK, dash="dash")
    ticks = [tick for tick in range(1, 20) if tick <= high]
    hint = "Dashed: as long as without a norm." + (
        ""
        if what == "training"
        else " NumPy: folded where that is possible. PyTorch: eval(), nothing folded."
    )
    hint += LETTERS if narrow else ""
    return fig.figure(
        data, title, f"Dots. {'; '.join(said) or 'Nothing is measured yet'}.",
        fig.category_axis(listed), fig.axis(0.6, high, "times as long", ticks),
        shapes=[even], showlegend=True, height=260, hint=hint,
    )  # fmt: skip


def _board(counts: Any, times: Any, hide: bool) -> Board:
    """List for each norm what it adds; what isn't measured yet has dots."""
    columns = ["more parameters", "kept beside them", "training, NumPy", "training, PyTorch"]
    if not hide:
        columns += ["inference, NumPy", "inference, PyTorch", "vanishes in inference"]
    rows = []
    for name, one in counts.items():
        cells = [Cell(f"{one['parameters']:,}"), Cell(f"{one['kept']:,}")]
        whats = ["training", "torch_training"] + ([] if hide else ["inference", "torch_inference"])
        for what in whats:
            cells.append(Cell(_times_as_long(times[name], what)))
        if not hide:
            cells.append(Cell("yes" if one["free"] else "no", "good" if one["free"] else "warning"))
        rows.append(Row(NAMES[name], tuple(cells)))
    return Board(tuple(columns), tuple(rows))


def _times_as_long(times: Any, what: str) -> str:
    if times is None:
        return "…"
    return f"{ratio(times, what):.2f} ×" if what in times else "not here"


SCENE = Scene(
    "table", "All of them",
    "Seven norms, each in the same dense network: batch, layer, group and RMS norm, dynamic tanh, weight "
    "norm and spectral norm. With how many of them can inference use exactly the network without a norm, "
    "with other weights?",
    (
        Choice("0: a norm is a norm", 0.0, "In training each of them computes at every step."),
        Choice("1: batch norm", 1.0, "It can be folded. Is it the only one with nothing to compute?"),
        Choice("3", 3.0),
        Choice("7: all have fixed parameters then", 7.0,
               "Gamma and beta are fixed. But layer, group and RMS norm look at each sample anew."),
    ),
    "free", {}, {},
    "{free:.0f} of {norms:.0f}: batch norm, weight norm and spectral norm.",
    "Batch norm’s statistics are fixed in inference, and norms of weights give one matrix, whatever the "
    "sample. Layer, group, RMS norm and dynamic tanh compute something else for each sample.",
    "PyTorch does none of it by itself: eval() still computes batch norm, and weight and spectral norm "
    "make their matrix anew at each call. Use fuse_linear_bn_eval, and remove_parametrizations of "
    "torch.nn.utils.parametrize.",
    "Choose the convolutional network: which order do the norms have there? Measure again: which of it "
    "stays?",
    ("network", "batch", "again"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Make weight norm's matrix a plain weight."""
    return TABLE_TORCH


def script(values: Values) -> str:
    """Build the networks in PyTorch, count, and time them."""
    return TABLE.format(
        network=values["network"], width=UNITS[values["network"]], batch=values["batch"], names=names(values)
    )


def lab(values: Values) -> Race:
    """Return the first networks of the table."""
    return Race("Norms side by side", tuple(config_of(values, name) for name in parts.COMMON), 300)


PASSAGES = (Passage("Whether a norm vanishes in inference", costs.vanishes),)
