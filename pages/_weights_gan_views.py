"""What the GAN's scene shows: points on the ring, how they came there, and how steep discriminators are."""

from __future__ import annotations

from functools import lru_cache
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
from book.controls import SEEDS, Values
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
SHADES = "Lines: mean of 8 seeds. Shades: lowest to highest."
Own = dict[str, dict[str, Any] | None]  # what was judged, by norm


def view(values: Values, found: Found) -> View:
    """Show the three GANs at the playhead, and once the question is answered, why they differ."""
    hide, rates, step = hidden(values), rates_of(values), int(values["gan_step"])
    own: Own = {norm: judged(found.get(norm), step) for norm in NORMS}
    steep = {norm: found.get(f"slope {norm}") for norm in NORMS}
    figures = {"points": _points(own, rates, bool(values.get("narrow"))), "curves": _curves(own, step)}
    if not hide:
        figures["over_rates"] = _over_rates(own, values)
    if not hide and values["rates"] == "own":
        figures["slopes"] = _slopes(steep)
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
        gone = f" ({lost} of {SEEDS} diverged)" if lost else ""
        parts.append(
            f"{NORMS[norm]} (rate {brief(lr)}) {average(last(cell, 'near')):.0%} and "
            f"{average(last(cell, 'covered')):.0%}{gone}"
        )
    cell = own["none"]
    assert cell is not None
    text = f"Step {int(cell['step'][-1])}. Points near a Gaussian, and Gaussians covered: {'; '.join(parts)}."
    if hide:
        return text
    first, second, gap = lead(own)
    clear = "clearly ahead of" if gap.clear else "not clearly ahead of"
    name = NORMS[first][0].upper() + NORMS[first][1:]
    return f"{text} {name} is {clear} {NORMS[second]}: score {gap.text()}."


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
    real = real_points()
    squares = [("real points", COLOURS[9], "", real)]
    for norm, name in NORMS.items():
        squares.append((f"{name} · rate {brief(rates[norm])}", TINTS[norm], *_drawn(own[norm])))
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
        on_paper: dict[str, Any] = {"xref": "paper", "yref": "paper", "yanchor": "bottom"}
        tint = INK if place == 0 else colour
        size, middle = 11 if narrow else 13, sum(across) / 2
        notes.append(fig.label(middle, down[1], name, tint, size, xanchor="center", **on_paper))
        if words:
            notes.append(fig.label(across[1], down[0], words, INK, 11, xanchor="right", **on_paper))
        told.append(f"{name}: {words or 'all in sight'}")
    x, y = axes.pop("xaxis"), axes.pop("yaxis")
    return fig.figure(
        data, "Real and generated points",
        f"Four squares with eight circles on a ring, and points in them. {'; '.join(told)}.",
        x, y, **axes, annotations=notes, height=390 if narrow else 480,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        hint=f"{SHOWN} points of one seed. Circles: within 3 σ of a Gaussian, where a point counts as near.",
    )  # fmt: skip


@lru_cache(maxsize=1)
def real_points() -> Any:
    """Return the first real points, as many as generated ones are shown, (SHOWN, 2)."""
    return networks("none", COMMON).data().x_train[:SHOWN]


def _drawn(cell: dict[str, Any] | None) -> tuple[str, Any]:
    """Return the points of a seed (n, 2) that are in the square, and what is said of the others."""
    if cell is None:
        return "not computed yet", np.zeros((0, 2))
    if cell["lost"].all():
        return "diverged", np.zeros((0, 2))
    points = cell["points"]
    inside = (np.abs(points) <= EDGE).all(axis=1)
    outside = int((~inside).sum())
    return f"{outside} outside" if outside else "", points[inside]


def _curves(own: Own, step: int) -> Figure:
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
        yaxis2=lower | {"domain": [0, 0.46], "anchor": "x"}, showlegend=True, height=480,
        shapes=[fig.mark(step, 0, step, 1, INK, 1, dash="dot", yref="paper")],
        hint=f"A Gaussian is covered if at least 8 of {SHOWN} points are near it. {SHADES}",
    )  # fmt: skip


def _over_rates(own: Own, values: Values) -> Figure:
    """Draw the score over the learning rate: as it was swept, and of the networks shown here."""
    rates, common = rates_of(values), values["rates"] == "common"
    data: list[Trace] = []
    told, shapes = [], []
    if common:  # it comes first: what has the focus of the keyboard keeps its place while others come in
        lr = values["common_rate"]
        shapes = [fig.mark(lr, 0, lr, 1, INK, 1, dash="dot")]
        meta = {"drag": "common_rate", "axis": "x"}
        data.append(
            fig.dots([lr], [1.0], "rate in common", INK, size=15, alpha=0.55, showlegend=False, meta=meta)
        )
    for norm, name in NORMS.items():
        data.append(fig.line(RATES, SWEPT[norm], name, TINTS[norm], width=1.5, dash="dash"))
        cell = own[norm]
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
        percent(title="score"), showlegend=True, shapes=shapes, height=340,
        hint=("Drag the grey dot. " if common else "")
        + f"Dashed: 32 other seeds after {STEPS} steps; they chose the best rate. Dots: these seeds.",
    )  # fmt: skip


def _slopes(steep: dict[str, Any]) -> Figure:
    """Draw how steep each discriminator is at its steepest, over steps, and spectral norm's bound."""
    data: list[Trace] = []
    told = []
    for norm in ("none", "spectral"):
        cell, name = steep[norm], NORMS[norm]
        if cell is not None:
            data += over_seeds(LOOKS, cell["steepest"], name, TINTS[norm])
            told.append(f"{name} from {brief(average(cell['steepest'][:, 0]))} "
                        f"to {brief(average(cell['steepest'][:, -1]))}")  # fmt: skip
    data.append(fig.line([0, STEPS], [1, 1], "bound with spectral norm", INK, dash="dash", width=1.5))
    return fig.figure(
        data, "How steep is the discriminator?",
        f"The steepest slope over steps. {'; '.join(told) or 'Nothing is computed yet'}.",
        fig.axis(0, 1.02 * STEPS, "step"), fig.log_axis(0.01, 30, "steepest slope", [0.01, 0.1, 1, 10]),
        showlegend=True, height=340,
        hint="Largest change of its output, a logit, per unit of distance, at real and at generated points. "
        f"{SHADES}",
    )  # fmt: skip
