"""The scene "The light changes": running averages that go on in use, too slow or too noisy."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnlib import RunConfig
from bnlib.experiments.intervals import paired
from bnlib.lessons import streams
from bnlib.norms.running import RunningStats
from book import figure as fig
from book.chapter import Choice, Found, Job, Passage, Scene, View
from book.charts import average, over_seeds, percent, progress
from book.controls import SEEDS, Control, Values, seeds
from book.equations import Equation, row, told
from book.figure import BLUE, COLOURS, GREEN, INK, PAPER, PURPLE, Figure, Trace
from book.words import brief
from pages._sequences_parts import SHADES, first, near
from pages._sequences_scripts import DRIFT, DRIFT_TORCH

MOMENTA = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
ASKED = (0.9, 0.99, 0.999, 1.0)
STEPS, SAMPLES, WINDOW = 300, 400, 50
CHANGES = {"brighter": (1.0, 0.5), "fainter": (0.4, 0.0), "inverted": (-1.0, 1.0), "none": (1.0, 0.0)}
CHANGED = {
    "brighter": "brighter: + 0.5", "fainter": "fainter: × 0.4", "inverted": "inverted: 1 − x",
    "none": "no change",
}  # fmt: skip
ORDERS = {"mixed": "mixed", "sorted": "by class"}
NAMES = {momentum: f"{momentum:g}" for momentum in MOMENTA} | {1.0: "eval()"}

CONTROLS = (
    Control(
        "momentum", "number", 1.0, "momentum ρ", "weight of the old average", MOMENTA[0], 1, MOMENTA,
        marks=(0.8, 0.9, 0.99, 0.999),
        about="How much of the old average each new digit leaves: ρ = 0.99 takes 1% of the new one. 1 leaves "
        "the averages as they are, as eval() does. In PyTorch: momentum = 1 − ρ.",
    ),
    Control(
        "change", "choice", "brighter", "the pixels become", choices=tuple(CHANGES),
        names=tuple(CHANGED.values()),
        about="What happens to all pixels, from the first digit of the stream on. Training has seen pixels "
        "from 0 to 1, as they were.",
    ),
    Control(
        "order", "choice", "mixed", "digits come", choices=tuple(ORDERS), names=tuple(ORDERS.values()),
        look="buttons",
        about="In which order the digits of the stream come: at random, or all zeros first, then all ones, "
        "and so on.",
    ),
)  # fmt: skip


def config_of(values: Values, norm: str) -> RunConfig:
    """Return eight networks that are trained with batches of 32."""
    chosen: dict[str, Any] = {"norm": norm, **seeds(values)}
    return RunConfig(dtype="float64", record_every=10**6, validate_every=10**6, **chosen)


def jobs(values: Values) -> dict[str, Job]:
    """Return the chosen stream with batch norm and layer norm, and two streams on which averages fail."""

    def job(norm: str, change: str, order: str) -> Job:
        momenta = MOMENTA if norm == "batch" else (1.0,)
        given = (STEPS, CHANGES[change], momenta, SAMPLES, order == "sorted")
        return Job(streams.adapted, (config_of(values, norm), *given))

    return {
        "batch": job("batch", values["change"], values["order"]),
        "layer": job("layer", values["change"], values["order"]),
        "sorted": job("batch", "brighter", "sorted"),
        "inverted": job("batch", "inverted", "mixed"),
    }


def wrong(run: Any, momentum: float = 1.0) -> Any:
    """Return the per cent of the stream that was wrong with a momentum, of each seed."""
    at = MOMENTA.index(momentum) if len(run["right"]) > 1 else 0
    return 100 * (1 - run["right"][at].mean(axis=1))


def view(values: Values, found: Found) -> View:
    """Show how the averages follow the stream, and what that does to the answers."""
    hide = values["open"]
    momentum = near(values["momentum"], MOMENTA)
    batch: Any = found.get("batch")
    layer: Any = found.get("layer")
    figures = {
        "lag": _lag(batch, momentum, values["change"] != "none", hide),
        "errors": _errors(batch, layer, momentum, hide),
    }
    if not hide:
        figures["momenta"] = _momenta(batch, layer, momentum)
    figures["light"] = _light(values)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found, "computations done"))
    every = {one: average(wrong(batch, one)) for one in MOMENTA}
    numbers = {
        "best": min(ASKED, key=every.__getitem__), "wrong": every[momentum], "wrong_eval": every[1.0],
        "wrong_90": every[0.9], "wrong_99": every[0.99], "wrong_999": every[0.999],
        "before": 100 * (1 - average(batch["unchanged"])), "wrong_layer": average(wrong(layer)),
        "before_layer": 100 * (1 - average(layer["unchanged"])),
        "late_90": 100 * (1 - average(batch["right"][MOMENTA.index(0.9), :, -100:])),
        "sorted": average(wrong(found["sorted"], 0.99)), "inverted": average(wrong(found["inverted"], 0.99)),
        "half_99": np.log(0.5) / np.log(0.99), "half_999": np.log(0.5) / np.log(0.999),
        "kept": momentum**SAMPLES, "momentum": momentum,
    }  # fmt: skip
    text = f"Before the change {numbers['before']:.1f}% of the digits were wrong. "
    text += f"Now ({CHANGED[values['change']]}; digits {ORDERS[values['order']]}) "
    if hide:
        return View(numbers, f"{text}{every[1.0]:.1f}% of {SAMPLES} are wrong in eval().", figures)
    text += (
        f"{numbers['wrong']:.1f}% of {SAMPLES} are wrong "
        + ("in eval()" if momentum == 1 else f"with momentum {momentum:g}")
        + f". Layer norm: {numbers['wrong_layer']:.1f}%, before the change {numbers['before_layer']:.1f}%."
    )
    gap = paired(wrong(batch, momentum) - wrong(layer))
    numbers["gap"] = gap.mean
    note = f"{NAMES[momentum]} − layer norm: {gap.text()}".replace("-", "−")
    note += "." if gap.clear else ", no evidence of a difference."
    equation = Equation(
        "kept", f"what is left of the old averages after {SAMPLES} digits", row("ρⁿ"), numbers["kept"],
        (row(told(momentum), f" ^ {SAMPLES}"), told(numbers["kept"])),
    )  # fmt: skip
    table = {"momentum": np.array(MOMENTA), "wrong": np.array(list(every.values()))}
    return View(numbers, text, figures, table, (equation,), notes={"momenta": note})


def _lag(run: Any, momentum: float, law: bool, hide: bool) -> Figure:
    """Draw how far the averages are from those of the changed stream; without a change there is no law."""
    n, top = np.arange(SAMPLES), 1.6
    data: list[Trace] = []
    alt = "Nothing is computed yet."
    if run is not None:
        for one, own in zip(MOMENTA, run["left"], strict=True):
            if one != momentum:
                colour = fig.faded(INK, 0.25)
                name = "other momenta" if hide else f"ρ = {one:g}"
                data.append(fig.line(n, own.mean(axis=0), name, colour, width=1, showlegend=False))
        own = run["left"][MOMENTA.index(momentum)]
        data += over_seeds(n, own, f"measured, ρ = {momentum:g}", PURPLE)
        alt = f"A curve from 1 to {brief(float(own[:, -1].mean()))} after {SAMPLES} digits."
        top = max(top, 1.05 * float(own.mean(axis=0).max()))
    if law:
        look = {"dash": "dash", "width": 1.5}
        data.append(fig.line(n, momentum ** n.astype(float), "law ρⁿ", INK, **look))
    return fig.figure(
        data, "How far the running means are from the new ones", alt,
        fig.axis(0, SAMPLES, "digits of the stream"),
        fig.axis(0, top, "distance / distance at the start", [0, 0.5, 1, 1.5] if top <= 1.6 else None),
        showlegend=True, hint=f"First layer. Grey: the other momenta. {SHADES}"
        + ("" if law else " Without a change the distance at the start is small, and chance."),
    )  # fmt: skip


def recent(right: Any) -> Any:
    """Return the share of wrong answers among the last WINDOW samples, (R, n) of (R, n)."""
    total = np.cumsum(1.0 - right, axis=1)
    late = np.concatenate([np.zeros((len(total), WINDOW)), total[:, :-WINDOW]], axis=1)
    return (total - late) / np.minimum(np.arange(1, right.shape[1] + 1), WINDOW)


def _errors(batch: Any, layer: Any, momentum: float, hide: bool) -> Figure:
    """Draw wrong answers along the stream, averages frozen and going on."""
    n, data, said = np.arange(1, SAMPLES + 1), list[Trace](), []
    arms: list[tuple[str, str, Any]] = []
    if batch is not None:
        arms.append(("batch norm in eval()", COLOURS[6], batch["right"][-1]))
        if not hide and momentum < 1:
            arms.append(
                (f"averages go on, ρ = {momentum:g}", PURPLE, batch["right"][MOMENTA.index(momentum)])
            )
    if layer is not None and not hide:
        arms.append(("layer norm", GREEN, layer["right"][0]))
    for name, colour, right in arms:
        y = recent(right)
        data += over_seeds(n[10:], y[:, 10:], name, colour)
        said.append(f"{name}: {y[:, -1].mean():.0%}")
    if batch is not None:
        before = 1 - average(batch["unchanged"])
        more = {"dash": "dot", "width": 1.5}
        data.append(fig.line([0, SAMPLES], [before, before], "batch norm before the change", INK, **more))
    return fig.figure(
        data, f"Wrong among the last {WINDOW} digits",
        f"Curves along the stream. At its end {'; '.join(said) or 'nothing is computed yet'}.",
        fig.axis(0, SAMPLES, "digits of the stream"), percent(title="wrong"), showlegend=True, hint=SHADES,
    )  # fmt: skip


def _momenta(batch: Any, layer: Any, momentum: float) -> Figure:
    """Draw how much of the stream was wrong with each momentum; a column chooses it."""
    names = list(NAMES.values())
    data: list[Trace] = []
    says, notes, alt = names, [], "Nothing is computed yet."
    if batch is not None:
        every = {one: wrong(batch, one) for one in MOMENTA}
        means = [average(own) for own in every.values()]
        says = [f"{name}: {mean:.0f}% wrong" for name, mean in zip(names, means, strict=True)]
        alt = f"Bars: {'; '.join(says)}."
        colours = [PURPLE if one == momentum else COLOURS[9] for one in MOMENTA]
        data.append(fig.bars(names, means, "mean of 8 seeds", colours, alpha=0.8, width=0.7))
        x = [name for name in names for _ in range(len(every[1.0]))]
        data.append(fig.dots(x, np.concatenate(list(every.values())), "one seed", INK, size=4))
        top = [float(own.max()) for own in every.values()]
        notes = [
            fig.label(name, high, f"{mean:.0f}%", yshift=11)
            for name, high, mean in zip(names, top, means, strict=True)
        ]
    if layer is not None:
        mean = average(wrong(layer))
        more: dict[str, Any] = {"dash": "dash", "width": 1.5, "showlegend": False}
        data.append(fig.line(names, [mean] * len(names), "layer norm", GREEN, **more))
        alt += f" Dashed line, layer norm: {mean:.0f}%."
    meta = {"says": says, "click": "momentum", "values": list(MOMENTA)}
    data.insert(0, fig.bars(names, [110.0] * len(names), "momenta", BLUE, alpha=0, width=1, meta=meta,
                            hoverinfo="skip"))  # fmt: skip
    ticks = [0, 25, 50, 75, 100]
    return fig.figure(
        data, f"Wrong among {SAMPLES} digits, over the momentum", alt, fig.category_axis(names, "momentum ρ"),
        fig.axis(0, 112, "wrong", ticks, words=[f"{tick}%" for tick in ticks]), annotations=notes, bargap=0,
        barmode="overlay", place="side", height=250, hint="Click a column. Dashed: layer norm.",
    )  # fmt: skip


def _light(values: Values) -> Figure:
    """Draw three digits as in training, and as the stream has them."""
    images = config_of(values, "batch").data().x_val[[first(values) % 480 + k for k in range(3)]]
    factor, plus = CHANGES[values["change"]]
    grid = np.full((8, 58), np.nan)
    for k, image in enumerate(images.reshape(-1, 8, 8)):
        grid[:, 9 * k : 9 * k + 8] = image
        grid[:, 32 + 9 * k : 40 + 9 * k] = factor * image + plus
    hidden: dict[str, Any] = {"visible": False, "showgrid": False}
    notes = [fig.label(12.5, 9.2, "in training"), fig.label(44.5, 9.2, "in use")]
    return fig.figure(
        [fig.cells(grid, 0, 1.5, ((0.0, PAPER), (1.0, INK)), "digits", hoverinfo="skip")],
        "What comes in", f"Three digits, and the same digits {CHANGED[values['change']]}.",
        fig.axis(-1, 58, ticks=[], **hidden), fig.axis(10.5, -1, ticks=[], **hidden), annotations=notes,
        height=110, margin={"l": 8, "r": 8, "t": 4, "b": 4}, even=True, place="side",
        hint="Darker: a larger number.",
    )  # fmt: skip


SCENE = Scene(
    "drift", "The light changes",
    "A network was trained with batch norm; in eval() about 4% of the digits are wrong. Then the light "
    "changes: all pixels + 0.5. No weight changes any more, but the running averages may go on with each "
    f"digit. With which momentum are the fewest of the next {SAMPLES} digits wrong?",
    (
        Choice("0.9: it follows fastest", 0.9,
               "It does. But an average of about ten digits is noisy, and the noise never ends."),
        Choice("0.99", 0.99),
        Choice("0.999: it is the least noisy", 0.999,
               "It is. But half of the old light is in it for hundreds of digits."),
        Choice("1: the weights were trained with these averages", 1.0,
               "They were. But behind them the numbers must have mean 0 and variance 1, as in training."),
    ),
    "best", {}, {"momentum": 0.99},
    "Wrong were {wrong_90:.0f}% with 0.9, {wrong_99:.0f}% with 0.99, {wrong_999:.0f}% with 0.999, and "
    "{wrong_eval:.0f}% in eval().",
    "After n digits ρⁿ of the old averages is left. Half of them is gone after {half_99:.0f} digits with "
    "0.99, after {half_999:.0f} with 0.999. With 0.9 the lag is soon over. But about ten digits share a mean "
    "then: among the last 100 still {late_90:.0f}% were wrong.",
    "If the digits come sorted by class, the averages follow the class: {sorted:.0f}% wrong with 0.99. "
    "Inverted digits have every x̂ with the other sign, which no average mends: {inverted:.0f}%. Layer norm "
    "keeps no averages: {wrong_layer:.0f}%. It is contested: Schneider et al. 2020 gain from statistics of "
    "new data, Gong et al. 2022 show that they mislead where samples are not mixed.",
    "Choose “no change” and “by class”: what do averages that go on do there?",
    ("momentum", "change", "order", "seed"),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Let PyTorch's running mean follow a change with the chosen momentum."""
    return DRIFT_TORCH.format(take=round(1 - near(values["momentum"], MOMENTA), 6), samples=SAMPLES)


def script(values: Values) -> str:
    """Train again, and use the networks on the changed stream."""
    return DRIFT.format(
        seed=first(values), seeds=SEEDS, steps=STEPS, samples=SAMPLES, momenta=MOMENTA, asked=ASKED,
        change=CHANGES[values["change"]], by_class=values["order"] == "sorted",
        momentum=near(values["momentum"], MOMENTA),
    )  # fmt: skip


PASSAGES = (
    Passage("Use a network on a stream while its averages go on", streams.adapted),
    Passage("Running averages in training", RunningStats.update),
)
