"""What the scenes of "Regularization" show."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from bnlib import theory
from bnlib.experiments.intervals import paired
from bnlib.lessons import regularization as lesson
from book import figure as fig
from book.chapter import Found, Numbers, View
from book.charts import average, over_seeds, percent, progress
from book.controls import SEEDS, Values
from book.figure import BLUE, COLOURS, INK, ORANGE, Figure, Trace
from pages._regularization_limits import clean, dropout
from pages._regularization_parts import (
    ARMS,
    DROPOUT,
    EVERY,
    LABEL_SIZES,
    REPEATED,
    SHADES,
    SIZES,
    SMALL,
    STEP_BATCH,
    STEPS,
    SUSPECTS,
    UNIT,
    by_size,
    law_of,
    marker,
    near,
    of,
    over_steps,
    said,
    tabled,
    wrong_axis,
)  # fmt: skip

WHOLE = STEP_BATCH
ROWS = {name: words for name, (words, _) in ARMS.items()} | {"whole": f"m = {WHOLE}, at the end"}

# ---- the same digit in other company ---------------------------------------------------------------------

EDGES = np.linspace(-4, 4, 81)


def company(values: Values, found: Found) -> View:
    """Show x̂ of one digit in many batches, and which share of x̂ is noise by the size of the batch."""
    hide, m, digit, seed = values["open"], near(values["m"], SIZES), values["digit"], SEEDS * values["seed"]
    xhat = lesson.company(seed, UNIT, m)[:, digit]
    z = float(lesson.standard(seed, UNIT)[digit])
    mean, spread = law_of(z, m)
    first = sqrt((1 + z**2 / 2) / m)
    figures = {"xhat": _scattered(xhat, z, mean, spread, m)}
    numbers = {
        "m": float(m), "z": z, "spread": float(xhat.std()), "spread_law": spread, "spread_first": first,
        "mean": float(xhat.mean()),
    }  # fmt: skip
    text = (
        f"Batches of {m}: x̂ of this digit scatters by {numbers['spread']:.2f} around "
        f"{_plain(numbers['mean'])}. In eval() it would always be {_plain(z)}."
    )
    measured, law = found.get("share"), found.get("law")
    if not hide:
        text += f" Gaussian companions: {spread:.2f}; √((1 + z²/2)/m) = {first:.2f}."
        figures["share"] = _shares(measured, law, m)
    if measured is None or law is None:
        return View(numbers, text, figures, waiting=progress(found, "laws are computed"))
    at = SIZES.index(m)
    numbers |= {
        "share": average(measured["share"][:, at]), "share_law": float(law["share"][at]),
        "share_first": 1.5 / m, "share_small": float(law["share"][SIZES.index(SMALL)]),
        "share_most": float(law["share"][-1]), "most": float(SIZES[-1]), "small": float(SMALL),
    }  # fmt: skip
    table = {"m": np.array([m]), "spread": np.array([numbers["spread"]])}
    if not hide:
        text += f" Over all digits and 8 networks, {numbers['share']:.1%} of x̂’s mean square is noise."
        table = {
            "m": np.array(SIZES), "share": measured["share"].mean(axis=0), "share_law": law["share"],
            "share_first": 1.5 / np.array(SIZES),
        }  # fmt: skip
    return View(numbers, text, figures, table)


def _plain(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def _scattered(xhat: Any, z: float, mean: float, spread: float, m: int) -> Figure:
    """Draw a histogram of one digit's x̂, where eval() puts it, and how far the law lets it scatter."""
    shares = np.histogram(np.clip(xhat, -3.99, 3.99), EDGES)[0] / len(xhat)
    high = 1.15 * float(shares.max())
    data = [
        fig.bars((EDGES[1:] + EDGES[:-1]) / 2, shares, f"{len(xhat):,} batches", BLUE, alpha=0.6, width=0.1),
        fig.line([z, z], [0, high], "eval()", INK, width=1.5, dash="dash"),
        fig.line(
            [mean - spread, mean + spread], [0.94 * high] * 2, "law: mean ± spread", ORANGE, width=4
        ),
    ]  # fmt: skip
    alt = f"A histogram of x̂ of one digit in {len(xhat):,} batches of {m}: it scatters by {xhat.std():.2f}."
    return fig.figure(
        data, f"x̂ of one digit in one unit, in other batches of {m}", alt, fig.axis(-4, 4, "x̂"),
        fig.axis(0, high, "share of batches", ()), bargap=0, barmode="overlay", showlegend=True,
        hint="First seed. Each batch has other companions. The law is that of Gaussian companions.",
    )  # fmt: skip


def _shares(measured: Any, law: Any, m: int) -> Figure:
    """Draw which share of x̂'s mean square is noise over m; it is the p of a dropout with as much."""
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    data: list[Trace] = [fig.line(SIZES, [1.5 / size for size in SIZES], "1.5 / m", ORANGE, dash="dot")]
    height = 1.5 / m
    if law is not None:
        data.append(fig.line(SIZES, law["share"], "law, Gaussian", INK, dash="dash", width=1.5))
    if measured is not None:
        height = average(measured["share"][:, SIZES.index(m)])
        data += over_seeds(SIZES, measured["share"], "measured", BLUE)
    data.append(marker(m, height, "m", "batch"))
    return fig.figure(
        data, "Noise in x̂: the p of dropout with as much noise",
        f"A falling curve over m. At m = {m} it is {height:.1%}.",
        fig.log_axis(1.7, 150, "batch m", SIZES),
        fig.log_axis(0.008, 1, "share = p", ticks, words=[f"{tick:.0%}" for tick in ticks]),
        showlegend=True, hint=f"Drag the large dot. {SHADES}",
    )  # fmt: skip


# ---- three labels in ten are wrong -----------------------------------------------------------------------


def labels(values: Values, found: Found) -> View:
    """Show errors on clean digits over the norm batch, and over training."""
    hide = values["open"]
    m = WHOLE if hide else near(values["size"], LABEL_SIZES)
    cells: dict[int, Any] = {size: found.get(f"m{size}") for size in LABEL_SIZES}
    ends = {
        size: cell["val"][:, -1]
        for size, cell in cells.items()
        if cell is not None and (not hide or size == m)
    }
    curves = [(f"m = {WHOLE}", BLUE, of(cells[WHOLE], "val"), "solid")]
    if m != WHOLE:
        curves.append((f"m = {m}", ORANGE, of(cells[m], "val"), "solid"))
    figures = {
        "curves": over_steps(curves, "Wrong validation answers in eval(), while training", wrong_axis(100))
    }
    if not hide:
        figures["ends"] = _ends(ends, of(found.get("none"), "val"), m)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found))
    at = {size: average(cell["val"][:, -1]) for size, cell in cells.items()}
    bare = found["none"]["val"][:, -1]
    memorized = average(found["none"]["repeated"][:, -1])
    repeated = {size: average(cell["repeated"][:, -1]) for size, cell in cells.items()}
    worse = paired(cells[WHOLE]["val"][:, -1] - bare)
    numbers = {
        "m": float(m), "error": at[m], "level": round(3 * at[m] / at[WHOLE]) / 3, "ratio": at[m] / at[WHOLE],
        "repeated": repeated[m], "bare": average(bare), "repeated_none": memorized,
        "worse": worse.mean, "worse_low": worse.low, "worse_high": worse.high,
        "groups": WHOLE / m, "bound": theory.xhat_bound(m), "steps": float(STEPS),
    }  # fmt: skip
    for size in LABEL_SIZES:
        numbers |= {f"error_{size}": at[size], f"repeated_{size}": repeated[size]}
    name = f"{m}" if hide or m == values["size"] else f"{m} (the trained size nearest to {values['size']})"
    text = f"Norm batch {name}: after {STEPS} steps {at[m]:.1f}% of the validation digits are wrong."
    if hide:
        return View(numbers, text, figures)
    text += f" The network gives {repeated[m]:.0%} of the wrongly labelled training digits their wrong label."
    if m != WHOLE:
        gain = paired(cells[m]["val"][:, -1] - cells[WHOLE]["val"][:, -1])
        text += f" Error minus that of m = {WHOLE}: {said(gain, ', more', ', fewer')}."
    return View(numbers, text, figures, _label_table(at, m))


def _ends(ends: dict[int, Any], bare: Any, m: int) -> Figure:
    """Draw the errors at the end over the norm batch, and those without a norm."""
    data = by_size(ends, "batch norm", BLUE)
    if bare is not None:
        data += over_seeds([1.7, 75], np.repeat(bare[:, -1:], 2, axis=1), "no norm", COLOURS[9], dash="dash")
    if m in ends:
        data.append(marker(m, average(ends[m]), "size", "norm batch"))
    told = "; ".join(f"m = {size}: {average(errors):.1f}%" for size, errors in ends.items())
    return fig.figure(
        data, f"The same after {STEPS} steps", f"Errors over the norm batch. {told or 'Nothing yet'}.",
        fig.log_axis(1.7, 75, "norm batch m", LABEL_SIZES), wrong_axis(100), showlegend=True,
        hint=f"Drag the large dot. {SHADES}",
    )  # fmt: skip


def _label_table(at: dict[int, float], m: int) -> dict[str, Any]:
    """Return errors of three sizes, gaps where rounding decides, and the same in thirds of that of 64."""
    sizes = tabled(m)
    return {
        "m": np.array(sizes),
        "error": np.array([at[size] if size > SMALL else np.nan for size in sizes]),
        "thirds": np.array([round(3 * at[size] / at[WHOLE]) for size in sizes]),
    }


# ---- what keeps them out ---------------------------------------------------------------------------------


def best(cell: Any) -> int:
    """Return the look at which the mean error is lowest."""
    return int(cell["val"].mean(axis=0).argmin())


def why(values: Values, found: Found) -> View:
    """Compare what could keep wrong labels out, each alone."""
    hide, suspect = values["open"], values["suspect"]
    cells: dict[str, Any] = dict(found) | {"stop": found.get("whole")}
    shown = ["whole", "small"] + ([] if hide or suspect == "stop" else [suspect])
    dash = {"whole": "solid", "small": "solid"}
    tables = {
        key: [(*ARMS[name], of(cells[name], key), dash.get(name, "dash")) for name in shown]
        for key in ("repeated", "val")
    }
    more: dict[str, Any] = {}
    whole = cells["whole"]
    if not hide and suspect == "stop" and whole is not None:
        at = EVERY * best(whole)
        more = {"shapes": [fig.mark(at, 0, at, 1000, SUSPECTS["stop"][1], 2, dash="dash")]}
        more["hint"] = f"Dashed: the step at which m = {WHOLE} has its lowest error. {SHADES}"
    figures = {
        "repeated": over_steps(
            tables["repeated"], "Wrong training labels that eval() repeats",
            percent(title="share of wrong labels"), 100, **more,
        ),
        "lowest": _lowest({name: cell for name, cell in cells.items() if not hide or name in shown}, suspect),
    }  # fmt: skip
    if not hide:  # its curve of m = 64 shows what stopping early does
        title = "Wrong validation answers in eval()"
        figures["val"] = over_steps(tables["val"], title, wrong_axis(60), **more)
    if any(one is None for one in found.values()):
        return View(figures=figures, waiting=progress(found))
    numbers = _why_numbers(cells)
    text = (
        f"At the end, m = {WHOLE} repeats {numbers['repeated_whole']:.0%} of the wrong labels, m = {SMALL} "
        f"{numbers['repeated_small']:.0%}."
    )
    if hide:
        return View(numbers, text, figures)
    one, small = cells[suspect], cells["small"]
    gap = paired(one["val"][:, best(one)] - small["val"][:, best(small)])
    name = SUSPECTS[suspect][0]
    text += (
        f" {name[0].upper()}{name[1:]}: the lowest error is {numbers[f'low_{suspect}']:.1f}%, at step "
        f"{EVERY * best(one)}, where {numbers[f'then_{suspect}']:.0%} of the wrong labels are repeated. The "
        f"error minus that of m = {SMALL}: {said(gap, ', more', ', fewer')}."
    )
    return View(numbers, text, figures, _why_table(cells))


def _why_numbers(cells: dict[str, Any]) -> Numbers:
    """Return the lowest errors, what was memorized there and at the end, and which change wins."""
    numbers: Numbers = {
        "passed": theory.gradient_share(SMALL, 1.0, 0.0),
        "passed_whole": theory.gradient_share(WHOLE, 1.0, 0.0), "p": DROPOUT,
    }  # fmt: skip
    for name, cell in cells.items():
        at = best(cell)
        numbers |= {
            f"step_{name}": float(EVERY * at), f"low_{name}": average(cell["val"][:, at]),
            f"end_{name}": average(cell["val"][:, -1]), f"undone_{name}": average(cell["undone"][:, at]),
            f"then_{name}": average(cell["repeated"][:, at]),
            f"repeated_{name}": average(cell["repeated"][:, -1]),
        }  # fmt: skip
    asked = ("noise", "slow", "stop")
    lowest = min(asked, key=lambda name: numbers[f"low_{name}"])
    reached = numbers[f"low_{lowest}"] < numbers["low_small"] + 2  # else none of them alone
    return numbers | {"winner": float(asked.index(lowest) if reached else len(asked))}


def _lowest(cells: dict[str, Any], suspect: str) -> Figure:
    """Draw the lowest error of each arm, and of m = 64 the last one, a row each; a suspect is clicked."""
    names = list(ARMS)[::-1]
    data: list[Trace] = []
    told = []
    for row, name in enumerate(names):
        cell = cells.get(name)
        if cell is None:
            continue
        errors = cell["val"][:, -1 if name == "whole" else best(cell)]
        words, colour = ROWS[name], ARMS[name][1]
        told.append(f"{words}: {errors.mean():.1f}%")
        data.append(fig.dots(errors, [row] * len(errors), "one seed", colour, size=5, alpha=0.5))
        meta = {"click": "suspect", "values": [name]} if name in SUSPECTS else {}
        edge = {"edge": INK} if name == suspect else {}
        data.append(fig.dots([errors.mean()], [row], words, colour, size=14, meta=meta, **edge))
    ticks = list(range(len(names)))
    return fig.figure(
        data, "Lowest error in eval(), while training", f"A row each. {'; '.join(told) or 'Nothing yet'}.",
        wrong_axis(45), fig.axis(-0.6, len(names) - 0.4, "", ticks, words=[ROWS[one] for one in names]),
        height=270, margin=dict(fig.MARGIN, l=190),
        hint="Large dots: means of 8 seeds. Click one to see its curves.",
    )  # fmt: skip


def _why_table(cells: dict[str, Any]) -> dict[str, Any]:
    """Return lowest errors and their steps, of the arms that another program finds again."""
    kept = REPEATED
    return {
        "arm": list(kept),
        "lowest": np.array([average(cells[name]["val"][:, best(cells[name])]) for name in kept]),
        "step": np.array([EVERY * best(cells[name]) for name in kept]),
        "end": np.array([average(cells[name]["val"][:, -1]) for name in kept]),
        "repeated": np.array([average(cells[name]["repeated"][:, -1]) for name in kept]),
    }


VIEWS: dict[str, Callable[[Values, Found], View]] = {
    "company": company, "labels": labels, "why": why, "clean": clean, "dropout": dropout,
}  # fmt: skip
