"""The scene "What it does not do": how large numbers are after eight layers with spectral norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.experiments.model import Race
from bnlib.lessons import weights
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, progress
from book.controls import SEEDS, Control, Values, seeds
from book.equations import Equation, frac, root, row, told
from book.figure import BLUE, GREEN, INK, ORANGE, Figure, Trace
from book.words import brief
from pages._weights_parts import SHADES
from pages._weights_scripts import SPREAD, SPREAD_TORCH

LAYERS, STEPS, RATE, WIDTH = 8, 300, 0.1, 64
ARMS = {"spectral": ("spectral norm", GREEN), "none": ("no norm", ORANGE), "batch": ("batch norm", BLUE)}
WHEN = {"start": "before training", "later": f"after {STEPS} steps"}
THEORY = 0.5  # root mean square over largest singular value of a large square Gaussian matrix

CONTROLS = (
    Control(
        "layer", "whole", LAYERS, "layer", "of 8", 1, LAYERS, tuple(float(k) for k in range(1, LAYERS + 1)),
        about="Which layer’s numbers and singular values are shown, counted from the input.",
    ),
    Control(
        "when", "choice", "start", "measured", choices=tuple(WHEN), names=tuple(WHEN.values()),
        look="buttons",
        about=f"Whether the networks are looked at before training, or after {STEPS} steps at learning rate "
        f"{RATE:g}.",
    ),
)  # fmt: skip


def config_of(values: Values, arm: str) -> RunConfig:
    """Return eight networks of eight layers with a norm."""
    chosen: dict[str, Any] = {"norm": arm, **seeds(values)}
    return RunConfig(depth=LAYERS, lr=RATE, dtype="float64", **chosen)


def jobs(values: Values) -> dict[str, Job]:
    """Return a training for each arm."""
    return {
        arm: Job(weights.spread, (config_of(values, arm), STEPS)) for arm in ("none", "batch", "spectral")
    }


def share_of(values: Any) -> float:
    """Return the root mean square over the largest singular value (..., n), mean over all matrices."""
    return float((np.sqrt(np.square(values).mean(axis=-1)) / values[..., 0]).mean())


def view(values: Values, found: Found) -> View:
    """Show how large numbers are, layer by layer, and how steep the networks are."""
    hide = values["open"]
    layer, when = values["layer"], 0 if hide else list(WHEN).index(values["when"])
    cells: dict[str, Any] = {arm: found.get(arm) for arm in ARMS}
    own = cells["spectral"]
    figures = {"rms": _rms(cells, when, layer, hide)}
    if not hide:
        figures["gain"] = _gain(cells, when, layer)
    figures["values"] = _values(own, when, layer)
    if any(cell is None for cell in cells.values()):
        return View(figures=figures, waiting=progress(found))
    sizes = {arm: cell["rms"][when].mean(axis=0) for arm, cell in cells.items()}
    share = share_of(own["values"][0])
    at = layer - 1
    numbers = {
        "layer": float(layer), "rms": float(sizes["spectral"][at]), "first": float(sizes["spectral"][0]),
        "ratio": float(sizes["spectral"][-1] / sizes["spectral"][0]),
        "times": float(sizes["spectral"][0] / sizes["spectral"][-1]),
        "share": share, "factor": share / 2**0.5, "power": (share / 2**0.5) ** (LAYERS - 1),
        "power_times": (2**0.5 / share) ** (LAYERS - 1), "theory": THEORY, "largest": 1.0, "smallest": 1.0,
    }  # fmt: skip
    for arm, cell in cells.items():
        numbers |= {
            f"rms_{arm}": float(sizes[arm][at]), f"gain_{arm}": float(cell["gain"][when, :, -1].max()),
            f"error_{arm}": average(cell["error"][1]), f"ratio_{arm}": float(sizes[arm][-1] / sizes[arm][0]),
        }  # fmt: skip
    numbers["bound"] = float(own["bound"][when, :, -1].max())
    text = f"Layer {layer}, {list(WHEN.values())[when]}: "
    if hide:
        text += f"without a norm ReLU gets numbers of size {brief(numbers['rms_none'])}"
        text += f", with batch norm {brief(numbers['rms_batch'])} (root mean square)."
        return View(numbers, text, figures)
    text += (
        f"with spectral norm ReLU gets numbers of size {brief(numbers['rms_spectral'])}, without a norm "
        f"{brief(numbers['rms_none'])}, with batch norm {brief(numbers['rms_batch'])} (root mean square)."
    )
    equation = Equation(
        "factor", "what a layer leaves of the size, before training",
        frac(row("rms singular value / σ"), root("2")), numbers["factor"],
        (frac(told(share), root("2")), told(numbers["factor"])),
    )  # fmt: skip
    note = "If no layer has a singular value above 1, the network moves no two inputs further apart."
    if numbers["bound"] >= 1.005:
        note += (
            f" σ̂ is a little too small, so the product of the {LAYERS} largest ones is up to "
            f"{numbers['bound']:.2f} here."
        )
    gain = own["gain"][when]
    note += f" The largest change among the pairs in layer {layer}: {brief(float(gain[:, at].max()))}."
    risen = _risen(sizes["spectral"], gain.mean(axis=0)) if when else ""
    notes = {"gain": note} | ({"rms": risen} if risen else {})
    table = {"layer": np.arange(1, LAYERS + 1)} | {arm: sizes[arm] for arm in ARMS}
    return View(numbers, text, figures, table, (equation,), notes=notes)


def _risen(sizes: Any, gain: Any) -> str:
    """Say in which layers the numbers (L,) are larger than one before, and why; gains (L,) fall there."""
    after = np.flatnonzero(np.diff(sizes) > 0) + 2
    if not len(after):
        return ""
    layers = f"layer {after[0]}" if len(after) == 1 else f"layers {after[0]} to {after[-1]}"
    said = (
        f"Spectral norm’s numbers grow again in {layers}. W / σ can’t do that; the biases do, which were 0 "
        "before training. They are the same for all digits."
    )
    falls = bool((np.diff(gain)[after - 2] < 0).all())
    return said + (" What differs between digits still shrinks." if falls else "")


def _rms(cells: dict[str, Any], when: int, layer: int, hide: bool) -> Figure:
    """Draw over layers how large the numbers are that enter ReLU; while the question is open, not all."""
    x, data, said = np.arange(1, LAYERS + 1), list[Trace](), []
    for arm, (name, colour) in ARMS.items():
        cell = cells[arm]
        if cell is None:
            continue
        y = np.maximum(cell["rms"][when], 1e-7)
        some = slice(0, 1) if hide and arm == "spectral" else slice(None)
        data += over_seeds(x[some], y[:, some], name, colour)
        size = 10 if hide and arm == "spectral" else 6
        data.append(fig.dots(x[some], y.mean(axis=0)[some], name, colour, size=size, showlegend=False))
        said.append(f"{name}: {brief(float(y[:, some].mean(axis=0)[-1]))} in layer {x[some][-1]}")
    notes, own = [], cells["spectral"]
    if own is not None and not hide and not when:
        law = own["rms"][0].mean(axis=0)[0] * (THEORY / 2**0.5) ** (x - 1.0)
        data.append(fig.line(x, law, "theory", INK, dash="dash", width=1.5, showlegend=False))
        notes.append(fig.label(3.3, float(np.log10(law[3] / 12)), "theory: × 0.354 a layer", size=12))
    shown = cells["none"] if hide else own
    if shown is not None:
        height = np.maximum(shown["rms"][when].mean(axis=0)[layer - 1], 1e-7)
        meta = {"drag": "layer", "axis": "x"}
        data.append(
            fig.dots([layer], [height], "layer", INK, size=15, alpha=0.55, showlegend=False, meta=meta)
        )
    return fig.figure(
        data, f"Size of what enters ReLU, {list(WHEN.values())[when]}",
        f"Root mean squares over layers. {'; '.join(said) or 'Nothing is computed yet'}.",
        fig.axis(0.5, LAYERS + 0.5, "layer", list(range(1, LAYERS + 1))),
        fig.log_axis(1e-5, 20, "root mean square", [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10]), showlegend=True,
        annotations=notes,
        hint=f"Drag the large dot. {SHADES}",
    )  # fmt: skip


def _gain(cells: dict[str, Any], when: int, layer: int) -> Figure:
    """Draw over layers by how much the distance of two digits can grow."""
    x, data, said = np.arange(1, LAYERS + 1), list[Trace](), []
    for arm, (name, colour) in ARMS.items():
        cell = cells[arm]
        if cell is not None:
            y = np.maximum(cell["gain"][when], 1e-7)
            data += over_seeds(x, y, name, colour)
            said.append(f"{name}: {brief(float(y[:, -1].max()))} in layer {LAYERS}")
    more: dict[str, Any] = {"dash": "dash", "width": 1.5, "showlegend": False}
    data.append(fig.line([0.5, LAYERS + 0.5], [1, 1], "bound, if σ̂ were exact", INK, **more))
    return fig.figure(
        data, "Largest change / change of the input, of pairs of digits",
        f"Largest ratios over layers. {'; '.join(said) or 'Nothing is computed yet'}.",
        fig.axis(0.5, LAYERS + 0.5, "layer", list(range(1, LAYERS + 1))),
        fig.log_axis(1e-4, 100, "largest gain", [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100]), showlegend=True,
        annotations=[fig.label(6.4, 0, "bound, if σ̂ were exact", yshift=-12)],
        hint=SHADES,
    )  # fmt: skip


def _values(own: Any, when: int, layer: int) -> Figure:
    """Draw all singular values of the weights in use of a layer, and their root mean square."""
    place = np.arange(1, WIDTH + 1)
    data: list[Trace] = []
    alt = "Nothing is computed yet."
    if own is not None:
        values = own["values"][when, :, layer - 1]
        size = float(np.sqrt(np.square(values).mean()))
        data = over_seeds(place, values, "singular values", GREEN)
        data.append(fig.line([1, WIDTH], [size, size], "root mean square", INK, dash="dash", width=1.5))
        alt = f"A curve that falls from {brief(float(values[:, 0].mean()))} to "
        alt += f"{brief(float(values[:, -1].mean()))}; root mean square {brief(size)}."
    return fig.figure(
        data, f"Singular values of W / σ, layer {layer}", alt,
        fig.axis(0, WIDTH + 1, "from the largest", [1, 16, 32, 48, 64]),
        fig.axis(0, 1.12, "stretch", [0, 0.25, 0.5, 0.75, 1]), place="side", showlegend=True, height=220,
    )  # fmt: skip


SCENE = Scene(
    "spread", "What it does not do",
    f"Digits pass {LAYERS} layers of ReLU units. Each matrix is divided by its largest singular value. How "
    "large are the numbers that enter ReLU in layer 8, compared with those in layer 1?",
    (
        Choice("as large: that is what a norm is for", 1.0,
               "Batch norm does that. It looks at the activations; spectral norm looks at the weights only."),
        Choice("half as large", 0.5,
               "About what one layer does, before its ReLU. But there are seven more layers."),
        Choice("a tenth as large", 0.1, "That is so after two or three layers."),
        Choice("a thousandth as large, about", 0.001),
    ),
    "ratio", {}, {},
    "They were {times:,.0f} times smaller in layer 8 than in layer 1.",
    "One direction keeps its length; the root mean square of all stretches is {share:.2f} (theory for large "
    "Gaussian matrices: 1/2). ReLU removes half of the squares. So a layer leaves {share:.2f} / √2 = "
    "{factor:.2f} of the size, and seven leave 1/{power_times:,.0f}.",
    "What it does give is a bound: a change of the input grows at most {bound:.2f}-fold (1-fold if σ̂ "
    "were exact). Without a norm it grew up to {gain_none:.1f} times among pairs of digits, with batch norm "
    "{gain_batch:.0f} times. But where signals fade, nothing is learned: after 300 steps "
    "{error_spectral:.0f}% are wrong, without a norm {error_none:.0f}%, with batch norm {error_batch:.0f}%.",
    "Drag the layer: how many of its 64 stretches are above one half?",
    ("layer", "when", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Compare the singular values of spectral norm with those of orthogonal weights."""
    return SPREAD_TORCH


def script(values: Values) -> str:
    """Send the digits through the networks again."""
    steps = STEPS if values["when"] == "later" else 0
    return SPREAD.format(
        seed=SEEDS * values["seed"], seeds=SEEDS, layers=LAYERS, lr=RATE, steps=steps, layer=values["layer"]
    )  # fmt: skip


def lab(values: Values) -> Race:
    """Return the three arms as a race."""
    return Race("Eight layers: spectral norm, no norm, batch norm",
                tuple(config_of(values, arm) for arm in ARMS), STEPS)  # fmt: skip


PASSAGES = (Passage("Sizes, gains and singular values, layer by layer", weights.spread),)
