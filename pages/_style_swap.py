"""What the middle scenes of "Style" show: gamma and beta of another photo, and two photos in one batch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bnlib.lessons import style
from book import figure as fig
from book import photos
from book.chapter import View
from book.controls import Values
from book.equations import Equation, Term, row, told
from book.figure import BLUE, GREEN, INK, ORANGE, Figure, Trace
from book.words import brief
from pages._style_parts import MOVED, light_of, photo_of, swap_of

STOPS = tuple(range(0, 101, 10))  # per cent, where the course of a swap is measured

# ---- gamma and beta of another photo -----------------------------------------------------------------------


def swap(values: Values) -> View:
    """Show a photo with gamma and beta between its own and the other photo's."""
    hide, content, space = values["open"], photo_of(values), values["space"]
    own, other = photos.PHOTOS[content], photos.PHOTOS[1 - content]
    name, style_name = photos.NAMES[content], photos.NAMES[1 - content]
    parts, full = swap_of(content, space)
    mix = values["mix"] / 100
    made = ((1 - mix) * parts + mix * full).sum(axis=0)
    measured = _measured(content, space, mix)
    stats = {
        which: (x.mean(axis=(0, 1)), x.std(axis=(0, 1))) for which, x in (("own", own), ("other", other))
    }
    beta, gamma = ((1 - mix) * a + mix * b for a, b in zip(stats["own"], stats["other"], strict=True))
    numbers = {
        "mix": float(values["mix"]), "clipped": float(((made < 0) | (made > 1)).mean()),
        "swapped": 2.0 * own.shape[-1] * len(parts), "numbers": float(own.size),
        "gamma_red": float(gamma[0]), "beta_red": float(beta[0]), **measured,
        "edges_grey": style.agreement(*(style.edges(x.mean(axis=-1, keepdims=True)) for x in (made, own))),
        "edges_scales": _measured(content, "scales", 1.0)["edges"],
    }  # fmt: skip
    text = (
        f"γ and β are t = {values['mix']}% of the way from the {name}’s σ, μ to the {style_name}’s σ′, μ′. "
        f"Red: "
        f"γ = {brief(numbers['gamma_red'])}, β = {brief(numbers['beta_red'])}."
    )
    pictures = [(f"the {name}", photos.levels(own)), (f"the {style_name}", photos.levels(other))]
    if not hide:
        pictures.insert(1, (f"γ, β: {values['mix']}% of the way", photos.levels(made)))
        text += (
            f" Edges agree with the {name}’s by {measured['edges']:.3f}, with the {style_name}’s by "
            f"{measured['edges_other']:.2f}."
        )
    more: dict[str, Any] = {"height": 300 if hide else 270}
    if values.get("narrow", False):
        more = {"height": 170 if hide else 300, "across": 2}
    figures = {
        "blend": photos.panels(pictures, "Content and style", f"{len(pictures)} pictures. {text}", **more),
        "course": _course(content, space, values["mix"], hide),
    }
    equations = tuple(
        Equation(
            key, f"{symbol} of red", Term(f"{symbol} of red: (1 − t) {stat} + t {stat}′"), value,
            (row(told(1 - mix), " · ", told(a), " + ", told(mix), " · ", told(b)), told(value)),
        )
        for key, symbol, stat, value, a, b in (
            ("gamma", "γ", "σ", numbers["gamma_red"], float(stats["own"][1][0]), float(stats["other"][1][0])),
            ("beta", "β", "μ", numbers["beta_red"], float(stats["own"][0][0]), float(stats["other"][0][0])),
        )
    )  # fmt: skip
    table: dict[str, Any] = {"channel": list(photos.CHANNEL_NAMES)}
    for which, (mean, std) in stats.items():
        table |= {f"{which}_gamma": std, f"{which}_beta": mean}
    notes = {}
    if not hide:
        table |= {"made_gamma": made.std(axis=(0, 1)), "made_beta": made.mean(axis=(0, 1))}
        notes["course"] = (
            f"Green: 0 where mean and σ are the {name}’s, 1 where they are the {style_name}’s. Edges: the "
            "correlation of gradient magnitudes, pixel by pixel, mean of the channels; before the picture "
            f"is clipped for the screen ({numbers['clipped']:.0%} of its numbers are)."
        )
    return View(numbers, text, figures, table, equations, notes=notes)


@lru_cache(maxsize=512)
def _measured(content: int, space: str, mix: float) -> dict[str, float]:
    """Measure a mixture: how far its six statistics have come, and whose edges it has."""
    own, other = photos.PHOTOS[content], photos.PHOTOS[1 - content]
    parts, full = swap_of(content, space)
    made = ((1 - mix) * parts + mix * full).sum(axis=0)
    at = [np.concatenate([x.mean(axis=(0, 1)), x.std(axis=(0, 1))]) for x in (own, made, other)]
    rest = float(np.linalg.norm(at[2] - at[1]) / np.linalg.norm(at[2] - at[0]))
    steep = [style.edges(x) for x in (own, made, other)]
    return {
        "way": 1 - rest,
        "edges": style.agreement(steep[0], steep[1]),
        "edges_other": style.agreement(steep[2], steep[1]),
    }


def _course(content: int, space: str, mix: float, hide: bool) -> Figure:
    """Draw over the mixture how far the colours have come, and whose edges there are."""
    name, style_name = photos.NAMES[content], photos.NAMES[1 - content]
    found = [_measured(content, space, stop / 100) for stop in STOPS]
    here = _measured(content, space, mix / 100)
    curves = [("way", f"mean and σ: way to the {style_name}’s", GREEN)]
    if not hide:
        curves += [
            ("edges", f"edges: agree with the {name}’s", BLUE),
            ("edges_other", f"edges: agree with the {style_name}’s", ORANGE),
        ]
    data: list[Trace] = [
        fig.line(STOPS, [one[key] for one in found], what, tint) for key, what, tint in curves
    ]
    data.append(
        fig.dots(
            [mix], [here["way"]], "mix", INK, size=15, alpha=0.55, showlegend=False,
            meta={"drag": "mix", "axis": "x"}, cliponaxis=False,
        )
    )  # fmt: skip
    told_ = "; ".join(f"{what}: {found[-1][key]:.0%} at the end" for key, what, _ in curves)
    ticks = [0, 25, 50, 75, 100]
    x = fig.axis(-2, 102, "the other’s γ and β", ticks, words=[f"{tick}%" for tick in ticks])
    return fig.figure(
        data, "From one style to the other", f"Lines over the mixture. {told_}.", x,
        fig.axis(-0.05, 1.08, "way; correlation", [0, 0.5, 1]), showlegend=True,
        hint="Drag the large dot.", place="side", height=270,
    )  # fmt: skip


# ---- two photos in a batch -------------------------------------------------------------------------------

BATCH_NORMS = {"instance": "instance norm", "train": "batch norm, train()", "eval": "batch norm, eval()"}
TINTS = (ORANGE, BLUE)


def _outputs(norm: str, batch: Any) -> Any:
    """Return what a norm makes of a batch of photos; in eval() its statistics are those of both originals."""
    if norm == "instance":
        return style.normed(batch)
    return style.batch_normed(batch, photos.PHOTOS if norm == "eval" else None)


def batch(values: Values) -> View:
    """Show two photos in one batch, one of which is lit anew; once answered, whose output changes."""
    hide, norm = values["open"], values["norm"]
    lit, _ = style.relit(photos.PHOTOS[1], light_of(values, batch=True))
    now = np.stack([photos.PHOTOS[0], lit])
    outputs = {one: (_outputs(one, photos.PHOTOS), _outputs(one, now)) for one in BATCH_NORMS}
    moved = {one: [style.rms(x) for x in after - before] for one, (before, after) in outputs.items()}
    numbers = {
        f"{photo}_{one}": size
        for one, sizes in moved.items()
        for photo, size in zip(photos.NAMES, sizes, strict=True)
    }
    numbers |= {f"changed_{one}": float(sum(size > MOVED for size in sizes)) for one, sizes in moved.items()}
    for one, (before, _) in outputs.items():
        mean, std = before.mean(axis=(1, 2)), before.std(axis=(1, 2))
        numbers[f"apart_{one}"] = style.rms(mean[0] - mean[1])
        numbers[f"contrast_{one}"] = float((std[0] / std[1]).mean())
    std = photos.PHOTOS[1].std(axis=(0, 1))
    change = round(style.rms((lit - photos.PHOTOS[1]) / std), 9)
    numbers["change"] = change
    text = "Both photos are as they were."
    if change:
        text = f"The flower has changed by {brief(change)} σ; the pagoda is as it was."
    # A row for each photo: before and now.
    inputs = [
        (f"{photo}, {when}", photos.levels(pixels[k]))
        for k, photo in enumerate(photos.NAMES)
        for when, pixels in (("before", photos.PHOTOS), ("now", now))
    ]
    figures = {
        "inputs": photos.panels(
            inputs,
            "Inputs: a batch of two photos",
            f"Four pictures. {text}",
            across=2,
            height=320,
            hint="A row for each photo, before and now.",
        )
    }
    before, after = outputs["train" if hide else norm]
    called = BATCH_NORMS["train" if hide else norm]
    shown = [
        (f"{photo}, {when}", photos.output_levels(pixels[k]))
        for k, photo in enumerate(photos.NAMES)
        for when, pixels in (("before", before), ("now", after))
        if when == "before" or not hide
    ]
    table: dict[str, Any] = {"norm": list(BATCH_NORMS)}
    table |= {
        f"{photo}_mean": np.array([outputs[one][0][k].mean() for one in BATCH_NORMS])
        for k, photo in enumerate(photos.NAMES)
    }
    if hide:
        figures["outputs"] = photos.panels(
            shown, f"Outputs before the flower changed: {called}", "Two pictures.", across=1, height=320,
            hint=photos.SHOWN,
        )  # fmt: skip
        return View(numbers, text, figures, table)
    words = ", ".join(
        f"the {photo} by {brief(size)} σ" for photo, size in zip(photos.NAMES, moved[norm], strict=True)
    )
    text += f" With {called}, outputs change: {words}."
    figures["outputs"] = photos.panels(
        shown, f"Outputs: {called}", f"Four pictures. Changes: {words}.", across=2, height=320,
        hint=photos.SHOWN,
    )  # fmt: skip
    figures["moved"] = _moved(moved, norm)
    for k, photo in enumerate(photos.NAMES):
        table[f"{photo}_moved"] = np.array([moved[one][k] for one in BATCH_NORMS])
    return View(numbers, text, figures, table)


def _short(size: float) -> str:
    """Write what stands above a bar: 0 exactly, or two decimals."""
    return "0" if size == 0 else f"{size:.2f}" if size >= 0.005 else "<0.01"


def _moved(moved: dict[str, list[float]], chosen: str) -> Figure:
    """Draw how far each photo's output changed, for each norm; a click shows that norm's pictures."""
    names = list(BATCH_NORMS)
    high = max(0.5, 1.2 * max(max(sizes) for sizes in moved.values()))
    says = [
        f"{BATCH_NORMS[one]}: the pagoda by {brief(a)} σ, the flower by {brief(b)} σ"
        for one, (a, b) in moved.items()
    ]
    meta = {"click": "norm", "values": names, "says": says}
    # Anywhere in a column: many bars have no height.
    columns = fig.bars(
        np.arange(3), [high] * 3, "norms", INK, width=1, alpha=0, showlegend=False, hoverinfo="skip",
        meta=meta,
    )  # fmt: skip
    data: list[Trace] = [columns]
    above = []
    for k, photo in enumerate(photos.NAMES):
        sizes = [moved[one][k] for one in names]
        places = np.arange(3) + 0.23 * (2 * k - 1)
        data.append(fig.bars(places, sizes, f"the {photo}", TINTS[k], alpha=0.8, width=0.36))
        above += [
            fig.label(x, size, _short(size), size=11, yshift=9) for x, size in zip(places, sizes, strict=True)
        ]
    at = names.index(chosen)
    shapes = [fig.area(at - 0.5, 0, at + 0.5, 1, fig.faded(INK, 0.08), yref="y domain", layer="below")]
    told_ = "; ".join(f"{BATCH_NORMS[one]}: {brief(a)} and {brief(b)} σ" for one, (a, b) in moved.items())
    words = ["instance", "batch", "batch"]  # and below them, as there is little room:
    above += [fig.label(k, 0, word, yshift=-31) for k, word in enumerate(("norm", "train()", "eval()"))]
    return fig.figure(
        data, "How far outputs changed", f"Bars for the pagoda and the flower. {told_}.",
        fig.axis(-0.5, 2.5, "", [0, 1, 2], words=words, showgrid=False),
        fig.axis(0, high, "change in σ"),
        place="side", showlegend=True, bargap=0, barmode="overlay", shapes=shapes, height=220,
        annotations=above, hint="Click a column to see its outputs.",
    )  # fmt: skip
