"""What the GAN's scene shows: points on the ring, how they came there, and how steep discriminators are."""

from __future__ import annotations

from functools import lru_cache
from math import log10
from typing import Any

import numpy as np

from bnlib.data import ring_centres
from bnlib.experiments.intervals import Interval, paired
from bnlib.lessons.rings import score
from bnlib.training.gan import NEAR
from bnlib.training.recordings import SHOWN
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import WAITING, average, over_seeds, percent
from book.controls import Values
from book.figure import COLOURS, INK, Figure, Trace
from book.words import brief
from pages._weights_gan_parts import (
    BEST,
    COMMON,
    JUDGED,
    LOOKS,
    NOISE,
    NORMS,
    RATES,
    STEPS,
    SWEPT,
    TINTS,
    hidden,
    networks,
    rates_of,
)

EDGE = 1.9  # of the square that points are drawn in
BANDS = "Lines: mean of 8 seeds. Bands: lowest to highest."
Own = dict[str, dict[str, Any] | None]  # what was judged, by norm


def view(values: Values, found: Found) -> View:
    """Show the three GANs at the playhead, and once the question is answered, why they differ."""
    hide, rates, step = hidden(values), rates_of(values), int(values["gan_step"])
    narrow = bool(values.get("narrow"))
    own: Own = {norm: judged(found.get(norm), step) for norm in NORMS}
    steep = {norm: found.get(f"slope {norm}") for norm in NORMS}
    figures = {"points": _points(own, rates, narrow), "curves": _curves(own, step, narrow)}
    if not hide:
        figures["over_rates"] = _over_rates(own, values, narrow)
        figures["slopes"] = _slopes(steep, values["rates"] == "own", narrow)
    if not any(norm in found for norm in NORMS):
        return View({}, _drafted(values), figures)
    waiting = _unfinished(found, step)
    if waiting:
        return View(figures=figures, waiting=waiting)
    numbers = _numbers(own, rates, steep)
    return View(numbers, _told(own, rates, hide), figures, _table(own, rates))


# ---- what is there at the playhead -----------------------------------------------------------------------


def judged(run: Any, step: int) -> dict[str, Any] | None:
    """Return what was judged up to the playhead; None if nothing is there yet.

    step (n,); near, covered and score (R, n), 0 where a network has diverged; the last points (SHOWN, 2) of
    the first network that has not; and which ones have diverged there, (R,)
    """
    if run is None or not len(run["step"]):
        return None
    here = (run["step"] <= step) & (run["step"] % JUDGED == 0)
    near, covered = (run[key][:, here] for key in ("val_accuracy", "val_accuracy_batch"))
    return {
        "step": run["step"][here], "near": np.nan_to_num(near), "covered": np.nan_to_num(covered),
        "score": score(near, covered), "points": run["cloud"][0][here][-1].astype(float),
        "lost": ~np.isfinite(near[:, -1]),
    }  # fmt: skip


def last(cell: dict[str, Any] | None, key: str) -> Any:
    """Return what was judged last, (R,); nothing of what isn't there."""
    return np.zeros(0) if cell is None else cell[key][:, -1]


def lead(own: Own) -> tuple[str, str, Interval]:
    """Return the norms with the highest and the second highest score, and the interval between them."""
    first, second, _ = sorted(NORMS, key=lambda norm: -average(last(own[norm], "score")))
    return first, second, paired(100 * (last(own[first], "score") - last(own[second], "score")))


def _unfinished(found: Found, step: int) -> str:
    """Say how far runs have come that have not reached the playhead, or that measurements are missing."""
    ends = [0 if found.get(norm) is None else int(found[norm]["step"][-1]) for norm in NORMS]
    if any(found.get(norm) is None for norm in NORMS):
        return WAITING
    every = JUDGED // 2
    if min(ends) + every <= step:
        return f"{min(ends)} of {step} steps are computed."
    missing = [name for name, one in found.items() if one is None]
    return "The discriminators’ slopes are being measured." if missing else ""


def _numbers(own: Own, rates: dict[str, float], steep: dict[str, Any]) -> Numbers:
    """Return shares and scores of each arm, who leads, and what was measured of the discriminators."""
    first, _, gap = lead(own)
    names = list(NORMS)
    numbers = {
        "leader": float(names.index(first) if gap.clear else len(names)), "gap": gap.mean,
        "limit": 1.0,
    }  # fmt: skip
    for norm, lr in rates.items():
        numbers |= {f"rate_{norm}": lr, f"best_{norm}": BEST[norm]}
        numbers |= {f"{key}_{norm}": average(last(own[norm], key)) for key in ("near", "covered", "score")}
        cell = own[norm]
        assert cell is not None
        numbers |= {f"begin_{norm}": average(cell["score"][:, 0]), f"lost_{norm}": float(cell["lost"].sum())}
        measured = steep[norm]
        for key in () if measured is None else ("steepest", "bound", "noticed"):
            numbers |= {f"{key}_{norm}": average(measured[key][:, -1])}
            numbers |= {f"{key}_start_{norm}": average(measured[key][:, 0])}
    if steep["spectral"] is not None:
        numbers["gentler"] = numbers["steepest_start_none"] / numbers["steepest_start_spectral"]
    return {name: number for name, number in numbers.items() if np.isfinite(number)}


def _told(own: Own, rates: dict[str, float], hide: bool) -> str:
    """Say what each arm has reached, and whether the best is clearly ahead."""
    parts = []
    for norm, lr in rates.items():
        cell = own[norm]
        assert cell is not None
        lost = int(cell["lost"].sum())
        gone = f" ({lost} of {len(cell['lost'])} diverged)" if lost else ""
        parts.append(
            f"{NORMS[norm]} (rate {brief(lr)}) {average(last(cell, 'near')):.0%} and "
            f"{average(last(cell, 'covered')):.0%}{gone}"
        )
    cell = own["none"]
    assert cell is not None
    text = f"Step {int(cell['step'][-1])}. Points near a Gaussian, and Gaussians covered: {'; '.join(parts)}."
    if hide:  # hints of figures aren't shown yet
        return f"{text} Until you answer, all three have this one learning rate."
    return f"{text} {_compared(own)}"


def _compared(own: Own) -> str:
    """Say which score is ahead, unless none of them is better than before training."""
    first, second, gap = lead(own)
    cell = own[first]
    assert cell is not None
    scores = cell["score"]
    if scores.shape[1] == 1:
        return "All three are the same before training."
    gained = paired(100 * (scores[:, -1] - scores[:, 0]))
    if gained.mean <= 0:
        return "All three failed: none scores better than before training."
    if not gained.clear:
        return "No score is clearly better than before training."
    clear = "clearly ahead of" if gap.clear else "not clearly ahead of"
    name = NORMS[first][0].upper() + NORMS[first][1:]
    return f"{name} is {clear} {NORMS[second]}: score {gap.text()}."


def _drafted(values: Values) -> str:
    """Say what the sweep found at a rate that a finger passes."""
    there = _swept(values["common_rate"])
    scores = ", ".join(f"{NORMS[norm]} {score:.0%}" for norm, score in there.items())
    told = f"Scores of 32 other seeds after {STEPS} steps: {scores}. " if there else ""
    return f"Rate {brief(values['common_rate'])}. {told}Let go to train these GANs."


def _swept(lr: float) -> dict[str, float]:
    """Return each norm's mean score at a rate of the sweep; nothing at others."""
    return {norm: means[RATES.index(lr)] for norm, means in SWEPT.items()} if lr in RATES else {}


def _table(own: Own, rates: dict[str, float]) -> dict[str, Any]:
    """Return a row for each tenth of the steps up to the playhead: means over seeds."""
    cell = own["none"]
    assert cell is not None
    rows = cell["step"] % (STEPS // 10) == 0
    table: dict[str, Any] = {"step": cell["step"][rows]}
    for norm, lr in rates.items():
        for key in ("near", "covered"):
            one = own[norm]
            assert one is not None
            column = one[key].mean(axis=0)[rows]
            kept = repeated(norm, lr) | (table["step"] == 0)
            table[f"{key}_{norm}"] = np.where(kept, column, np.nan)
    return table


def repeated(norm: str, lr: float) -> bool:
    """Say whether another program's rounding leads to the same points; at larger rates it is multiplied."""
    return lr <= {"none": 0.1, "batch": 0.003, "spectral": 10.0}[norm]


# ---- figures ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _rings() -> tuple[Any, Any]:
    """Return the circles within which points count as near, one after the other with gaps between."""
    angle = np.append(np.linspace(0, 2 * np.pi, 33), np.nan)
    circle = NEAR * NOISE * np.stack([np.cos(angle), np.sin(angle)])
    every = ring_centres()[:, :, None] + circle
    return every[:, 0].ravel(), every[:, 1].ravel()


def _points(own: Own, rates: dict[str, float], narrow: bool) -> Figure:
    """Draw real points, and those of the first seed that hasn't diverged, a square for each discriminator."""
    squares = [("real points", COLOURS[9], "", real_points())]
    for norm, name in NORMS.items():
        called = name if narrow else f"{name} · {brief(rates[norm])}"
        squares.append((called, TINTS[norm], *_drawn(own[norm])))
    data: list[Trace] = []
    axes: dict[str, Any] = {}
    notes, told = [], []
    for place, (name, colour, words, points) in enumerate(squares):
        number, (row, column) = str(place + 1) if place else "", divmod(place, 2)
        across = [0.5 * column + 0.01, 0.5 * column + 0.49]
        down = [0.51 - 0.5 * row, 0.94 - 0.5 * row]
        for way, domain, other in (("x", across, "y"), ("y", down, "x")):
            edge = {"domain": domain, "anchor": f"{other}{number}", "showgrid": False, "showline": False}
            axes[f"{way}axis{number}"] = fig.axis(-EDGE, EDGE, "", [], **edge)
        on = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        data.append(fig.line(*_rings(), "", COLOURS[9], width=1.5, hoverinfo="skip", **on))
        data.append(fig.dots(points[:, 0], points[:, 1], name, colour, size=3, alpha=0.7, **on))
        above: dict[str, Any] = {"xref": on["xaxis"], "yref": on["yaxis"], "yanchor": "bottom"}
        size = 11 if narrow else 13
        tint = colour if place else INK
        notes.append(fig.label(-EDGE, EDGE, name, tint, size, xanchor="left", **above))
        if words:
            notes.append(fig.label(EDGE, EDGE, words, INK, 10 if narrow else 11, xanchor="right", **above))
        told.append(f"{name[0].upper()}{name[1:]}: {words or 'all in sight'}.")
    x, y = axes.pop("xaxis"), axes.pop("yaxis")
    return fig.figure(
        data, "Real and generated points",
        f"Four squares with eight circles on a ring, and points in them. {' '.join(told)}",
        x, y, **axes, annotations=notes, height=370 if narrow else 480, even=True,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        hint=f"{SHOWN} points of one seed{'' if narrow else ' each, and the learning rate'}. Circles: within "
        f"3 σ of a Gaussian, where a point counts as near.",
    )  # fmt: skip


@lru_cache(maxsize=1)
def real_points() -> Any:
    """Return the first real points, as many as generated ones are shown, (SHOWN, 2)."""
    return networks("none", COMMON).data().x_train[:SHOWN]


def _drawn(cell: dict[str, Any] | None) -> tuple[str, Any]:
    """Return the points of a seed (n, 2) that are in the square, and what is said of the others."""
    if cell is None:
        return "to come", np.zeros((0, 2))
    if cell["lost"].all():
        return "diverged", np.zeros((0, 2))
    points = cell["points"]
    inside = (np.abs(points) <= EDGE).all(axis=1)
    outside = int((~inside).sum())
    return f"{outside} outside" if outside else "", points[inside]


def _curves(own: Own, step: int, narrow: bool) -> Figure:
    """Draw the shares of near points and of covered Gaussians up to the playhead, one above the other."""
    data: list[Trace] = []
    told = []
    for norm, name in NORMS.items():
        cell = own[norm]
        if cell is None:
            continue
        for key, axis in (("near", "y"), ("covered", "y2")):
            more: dict[str, Any] = {} if key == "near" else {"showlegend": False}
            traces = over_seeds(cell["step"], cell[key], name, TINTS[norm], **more)
            data += [trace | {"yaxis": axis} for trace in traces]
        told.append(f"{name} {average(last(cell, 'near')):.0%} and {average(last(cell, 'covered')):.0%}")
    upper, lower = percent(title="near"), percent(title="covered")
    return fig.figure(
        data, "Points near a Gaussian, Gaussians covered",
        f"Curves over steps. Near and covered: {'; '.join(told) or 'nothing is computed yet'}.",
        fig.axis(0, 1.02 * STEPS, "step", anchor="y2"), upper | {"domain": [0.54, 1]},
        yaxis2=lower | {"domain": [0, 0.46], "anchor": "x"}, showlegend=True, height=300 if narrow else 480,
        shapes=[fig.mark(step, 0, step, 1, INK, 1, dash="dot", yref="paper")],
        hint=f"A Gaussian is covered if at least 8 of {SHOWN} points are near it. {BANDS}",
    )  # fmt: skip


def _over_rates(own: Own, values: Values, narrow: bool) -> Figure:
    """Draw the score over the learning rate: as it was swept, and of the networks shown here."""
    rates, common, lr = rates_of(values), values["rates"] == "common", values["common_rate"]
    data: list[Trace] = []
    told, shapes = [], []
    if common:  # it comes first: what has the focus of the keyboard keeps its place while others come in
        shapes = [fig.mark(lr, 0, lr, 1, INK, 1, dash="dot")]
        meta = {"drag": "common_rate", "axis": "x"}
        data.append(
            fig.dots([lr], [1.0], "rate in common", INK, size=15, alpha=0.55, showlegend=False, meta=meta)
        )
    for norm, name in NORMS.items():
        data.append(fig.line(RATES, SWEPT[norm], name, TINTS[norm], width=1.5, dash="dash"))
        cell = own[norm]
        if cell is None and common and lr in RATES:  # until these seeds are there
            data.append(fig.dots([lr], [_swept(lr)[norm]], f"{name}, 32 other seeds", TINTS[norm], size=8,
                                 showlegend=False))  # fmt: skip
            told.append(f"{name} at {brief(lr)}: {_swept(lr)[norm]:.0%} of 32 other seeds")
        if cell is not None:
            scores = last(cell, "score")
            data.append(fig.dots([rates[norm]] * len(scores), scores, "one seed", TINTS[norm], size=5,
                                 alpha=0.5, showlegend=False))  # fmt: skip
            data.append(fig.dots([rates[norm]], [scores.mean()], f"{name}, here", TINTS[norm], size=12,
                                 showlegend=False))  # fmt: skip
            told.append(f"{name} at {brief(rates[norm])}: {scores.mean():.0%}")
    return fig.figure(
        data, "Score: share near × share covered",
        f"Score over learning rate. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.log_axis(RATES[0] / 1.5, RATES[-1] * 1.5, "learning rate", [0.001, 0.01, 0.1, 1, 10]),
        percent(title="score"), showlegend=True, shapes=shapes, height=280 if narrow else 340,
        hint=("Drag the grey dot. " if common else "")
        + f"Dashed: 32 other seeds after {STEPS} steps; they chose the best rate. Dots: these seeds.",
    )  # fmt: skip


def _slopes(steep: dict[str, Any], own_rates: bool, narrow: bool) -> Figure:
    """Draw how steep each discriminator is at its steepest, over steps, and spectral norm's bound."""
    nothing = "Nothing is computed yet" if own_rates else "Measured with each at its own best rate"
    data: list[Trace] = []
    told = []
    for norm in ("none", "spectral"):
        cell, name = steep[norm], NORMS[norm]
        if cell is not None:
            data += over_seeds(LOOKS, cell["steepest"], name, TINTS[norm])
            told.append(f"{name} from {brief(average(cell['steepest'][:, 0]))} "
                        f"to {brief(average(cell['steepest'][:, -1]))}")  # fmt: skip
    empty = [] if own_rates else [fig.label(LOOKS[-1] / 2, log10(0.1), nothing, INK, 13)]
    data.append(fig.line([0, LOOKS[-1]], [1, 1], "bound, if σ were exact", INK, dash="dash", width=1.5))
    return fig.figure(
        data, "How steep is the discriminator?",
        f"The steepest slope over steps. {'; '.join(told) or nothing}.",
        fig.axis(0, 1.02 * LOOKS[-1], "step"), fig.log_axis(0.01, 30, "steepest slope", [0.01, 0.1, 1, 10]),
        showlegend=True, height=280 if narrow else 340, annotations=empty,
        hint="Largest change of its output, a logit, per unit of distance, at real and at generated points. "
        f"{BANDS}",
    )  # fmt: skip
