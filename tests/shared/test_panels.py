"""Templates and what they become, which the browser's filling is tested with (assets/tests/fill.test.js).

``python -m tests.shared.test_panels`` writes that file anew, from the root of the repository.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from book.race.fill import BINDINGS, Frames, fill
from book.race.frames import CURVE_COLUMNS

SHARED = Path(__file__).with_name("panels.json")
BINS, DEPTHS, SIZE = 4, (3, 2), 2
EVERY, VALIDATE_EVERY = 2, 4
NAN = math.nan


def layout(depth: int) -> list[tuple[str, tuple[int, ...]]]:
    """Lay a row out as `frames.layout` does, with a few bins."""
    curves = ("train_loss", "val_loss", "val_accuracy", "val_accuracy_batch")
    return [
        ("step", (1,)), ("seeds_left", (1,)), *[(name, (3,)) for name in curves],
        ("gradient_norm", (depth, 3)), ("update_ratio", (depth, 3)), ("activation_histogram", (depth, BINS)),
    ]  # fmt: skip


def rows_of(lane: int, depth: int, count: int, lost: int = 10**9, moves: bool = True) -> np.ndarray:
    """Make rows of numbers that differ everywhere; from step ``lost`` on no seed is left.

    moves : weights are updated
    """
    rng = np.random.default_rng(lane)
    found = []
    for step in range(0, EVERY * count, EVERY):
        curves = np.sort(rng.uniform(0.05, 0.95, (4, 3)))[:, [1, 0, 2]]
        curves[0] *= 10.0 ** (1 - step / 4)  # a loss over some powers of ten
        if step % VALIDATE_EVERY:
            curves[1:] = NAN
        gradient = np.sort(rng.uniform(0, 2, (depth, 3)) * 10.0 ** -np.arange(depth)[:, None])[:, [1, 0, 2]]
        gradient[0, 1] *= step != 4  # exactly 0 at step 4
        update, known = np.full((depth, 3), -np.inf), (gradient > 0) & moves
        np.log10(gradient * 10.0 ** -rng.uniform(0, 8), where=known, out=update)
        shares = rng.dirichlet(np.ones(BINS), depth)
        parts = [np.array([4.0]), curves.ravel(), gradient.ravel(), update.ravel(), shares.ravel()]
        row = np.concatenate(parts)
        if step >= lost:
            row[:] = NAN
            row[0] = 0
        found.append(np.concatenate([[step], row]))
    return np.array(found, np.float32).reshape(count, _width(depth))


def race(name: str) -> Frames:
    """Make what is known of a small race."""
    counts = {
        "usual": (6, 5),
        "ghosts": (4, 4),
        "lost": (6, 6),
        "nothing": (0, 0),
        "uneven": (3, 0),
        "still": (2, 2),
    }[name]
    lost = (10**9, 4) if name == "lost" else (10**9, 10**9)
    rows = [rows_of(lane, DEPTHS[lane], counts[lane], lost[lane], name != "still") for lane in (0, 1)]
    ghosts = {1: rows_of(7, DEPTHS[1], 5)[:, :CURVE_COLUMNS]} if name == "ghosts" else {}
    rng = np.random.default_rng(3)
    surfaces, clouds = {}, {}
    if name in ("usual", "lost"):
        surfaces = {0: [(step, rng.uniform(0, 2, SIZE * SIZE).astype(np.float32)) for step in (0, 4, 8)]}
        clouds = {1: [(step, rng.normal(0, 1.5, (5, 2)).astype(np.float32)) for step in (4, 8)]}
    names = ("no norm", "batch norm (learning rate 2)")
    return Frames(names, [layout(d) for d in DEPTHS], rows, EVERY, VALIDATE_EVERY, surfaces, clouds, ghosts)


def _width(depth: int) -> int:
    return sum(math.prod(shape) for _, shape in layout(depth))


def curves(lane: int, name: str, index: int, to: str, ghost: bool = False, **more: Any) -> dict[str, Any]:
    of = {"lane": lane, "field": name, "to": to, "ghost": ghost} | more
    return {
        "type": "scatter", "mode": "lines",
        "name": {"~": "text", "of": "name", "lane": lane, "name": f"lane {lane}"},
        "x": {"~": "steps"} | of, "y": {"~": "series", "index": index} | of, "line": {"color": "#0072b2"},
    }  # fmt: skip


def per_layer(lane: int, name: str, index: int, axis: str = "y", **clip: Any) -> dict[str, Any]:
    y = {"~": "layers", "lane": lane, "field": name, "index": index} | clip
    return {"type": "scatter", "x": np.arange(1.0, DEPTHS[lane] + 1), "y": y, "yaxis": axis}


STEP_AXIS = {"~": "step_axis", "title": "step"}
PLAIN = {"type": "linear", "range": [0, 1], "tickvals": [0, 1], "ticktext": ["0", "1"], "title": {"text": ""}}
OUTLINE = [-4.0, *np.repeat(np.linspace(-4, 4, BINS + 1), 2)[1:-1], 4.0, NAN]
TEMPLATES: dict[str, dict[str, Any]] = {
    "curves": {
        "data": [
            curves(0, "train_loss", 0, "reached"),
            curves(0, "train_loss", 1, "step"),
            curves(1, "val_accuracy", 2, "step"),
            curves(1, "val_accuracy_batch", 0, "reached", most=2),
            curves(1, "train_loss", 0, "reached", ghost=True),
            curves(0, "val_accuracy", 0, "reached", ghost=True),
        ],
        "layout": {
            "xaxis": STEP_AXIS | {"most": 4},
            "yaxis": {
                "~": "log_axis", "fields": ["train_loss"], "layers": False, "least": [0.1, 4.0],
                "floor": 0.02, "title": "loss",
            },
            "shapes": [{"type": "line", "x0": {"~": "step"}, "x1": {"~": "horizon"}, "y0": 0, "y1": 1}],
            "annotations": [
                {"text": {"~": "text", "of": "diverged", "lane": 1}},
                {"text": {"~": "text", "of": "diverged", "lane": 1, "brief": True}},
            ],
            "meta": {
                "title": "Loss",
                "alt": {"~": "alt", "head": "Accuracy.", "field": "val_accuracy", "layers": False},
            },
        },
    },
    "layers": {
        "data": [
            per_layer(0, "gradient_norm", 1, low="axis"),
            per_layer(1, "gradient_norm", 0, low="axis", high=0.5),
            per_layer(0, "update_ratio", 1, "y2", low=-6, high=0),
            per_layer(1, "update_ratio", 2, "y2"),
        ],
        "layout": {
            "xaxis": PLAIN,
            "yaxis": {
                "~": "log_axis", "fields": ["gradient_norm"], "layers": True, "least": [0.01, 1.0],
                "floor": 1e-30, "title": "gradient", "most": 2, "more": {"domain": [0, 0.5]},
            },
            "yaxis2": PLAIN,
            "annotations": [
                {"text": {"~": "text", "of": "zero", "field": "gradient_norm"}},
                {"text": {"~": "text", "of": "still", "field": "update_ratio"}},
            ],
            "meta": {"alt": {"~": "alt", "head": "Flow.", "field": "gradient_norm", "layers": True}},
        },
    },
    "histograms": {
        "data": [
            {
                "type": "scatter", "fill": "toself", "name": "no norm",
                "x": np.tile(OUTLINE, DEPTHS[0]),
                "y": {"~": "ridges", "lane": 0, "field": "activation_histogram", "tall": 0.9},
                "customdata": {"~": "shares", "lane": 0, "field": "activation_histogram"},
            },
            {
                "type": "heatmap", "x": np.array([-3.0, -1, 1, 3]), "y": {"~": "matrix_steps", "rows": 4},
                "z": {"~": "matrix", "lane": 1, "field": "activation_histogram", "layer": 1, "rows": 4},
            },
        ],
        "layout": {
            "xaxis": PLAIN, "yaxis": STEP_AXIS | {"reversed": True, "more": {"showticklabels": False}},
        },
    },
    "plane": {
        "data": [
            {"type": "heatmap", "z": {"~": "surface", "lane": 0, "size": SIZE}},
            {
                "type": "scatter", "mode": "markers",
                "x": {"~": "cloud", "lane": 1, "axis": 0}, "y": {"~": "cloud", "lane": 1, "axis": 1},
            },
        ],
        "layout": {
            "xaxis": PLAIN, "yaxis": PLAIN,
            "annotations": [{"text": {"~": "text", "of": "outside", "lane": 1, "beyond": 1.8}}],
        },
    },
}  # fmt: skip
CASES = (
    ("usual", 0, 10), ("usual", 5, 10), ("usual", 8, 10), ("usual", 10, 1000), ("ghosts", 4, 7),
    ("lost", 3, 10), ("lost", 9, 10), ("nothing", 0, 0), ("uneven", 4, 12), ("still", 2, 4),
)  # fmt: skip


def plain(value: Any) -> Any:
    """Make plain JSON: lists, exact numbers, null for what isn't a number."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {name: plain(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inside) for inside in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def written() -> str:
    """Write templates, races, and what the templates become at some of their moments."""
    races = {}
    for name in dict(case[:2] for case in CASES):
        known = race(name)
        kept = {"surfaces": known.surfaces, "clouds": known.clouds}
        races[name] = {
            "every": known.every,
            "validate_every": known.validate_every,
            "lanes": [
                {"name": lane, "norm": "none", "depth": depth, "layout": fields, "colour": "", "dash": ""}
                for lane, depth, fields in zip(known.names, DEPTHS, known.layouts, strict=True)
            ],
            "rows": known.rows,
            "ghosts": {str(lane): rows for lane, rows in known.ghosts.items()},
        } | {
            what: {
                str(lane): [{"step": step, "values": values.ravel()} for step, values in found]
                for lane, found in lanes.items()
            }
            for what, lanes in kept.items()
        }  # fmt: skip
    cases = [
        {"race": name, "step": step, "horizon": horizon, "filled": filled(race(name), step, horizon)}
        for name, step, horizon in CASES
    ]
    about = (
        "What assets/fill.js and book/race/fill.py make of the same templates. null: not a number, in rows, "
        "templates and figures. Written by python -m tests.shared.test_panels; numbers are those of float64."
    )
    content = {"about": about, "templates": TEMPLATES, "races": races, "cases": cases}
    return json.dumps(plain(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def filled(frames: Frames, step: int, horizon: int) -> dict[str, Any]:
    return {name: fill(template, frames, step, horizon) for name, template in TEMPLATES.items()}


def bindings(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        return [node] if "~" in node else [one for inside in node.values() for one in bindings(inside)]
    return [one for inside in node for one in bindings(inside)] if isinstance(node, list) else []


def test_the_shared_file_is_what_python_fills() -> None:
    """The browser's test reads this file: after a change of `fill` it has to be written anew."""
    assert SHARED.read_text("utf-8") == written(), "run: python -m tests.shared.test_panels"


def test_the_shared_file_has_every_binding() -> None:
    used = [one for template in TEMPLATES.values() for one in bindings(template)]
    assert {one["~"] for one in used} == set(BINDINGS)
    texts = {one["of"] for one in used if one["~"] == "text"}
    assert texts == {"diverged", "name", "zero", "still", "outside"}


if __name__ == "__main__":
    SHARED.write_text(written(), "utf-8")
