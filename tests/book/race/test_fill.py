"""Templates are filled with what a race recorded: each binding, against numbers that can be counted."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from book.race.fill import Frames, fill
from tests.shared.test_panels import DEPTHS, NAN, PLAIN, TEMPLATES, filled, plain, race


def counted(lanes: int = 1, frames: int = 5) -> Frames:
    """Make a race of depth 2 and 2 bins, recorded at 0, 10, 20, …, validated at 0, 20, 40, …

    At row k the training loss is 1 / (k + 1), the accuracy k / 10; layer 1 has a gradient of 10^-k, layer 2
    of 1; the left bin has a share of 1/4 in layer 1, of 1 in layer 2.
    """
    fields = [
        ("step", (1,)), ("seeds_left", (1,)), ("train_loss", (3,)), ("val_accuracy", (3,)),
        ("gradient_norm", (2, 3)), ("update_ratio", (2, 3)), ("activation_histogram", (2, 2)),
    ]  # fmt: skip
    rows = [
        [10 * k, 4] + [1 / (k + 1)] * 3 + [NAN if k % 2 else k / 10] * 3
        + [10.0**-k] * 3 + [1.0] * 3 + [-2.0, -7.0, 1.0] * 2 + [0.25, 0.75, 1, 0]
        for k in range(frames)
    ]  # fmt: skip
    table = np.array(rows, np.float32).reshape(frames, 24)
    names = [f"lane {lane}" for lane in range(lanes)]
    return Frames(names, [fields] * lanes, [table] * lanes, 10, 20)


def bound(frames: Frames, binding: dict[str, Any], step: int, horizon: int = 100, **layout: Any) -> Any:
    """Fill a single binding, which is a trace's y."""
    template = {"data": [{"y": binding}], "layout": {"yaxis": PLAIN} | layout}
    return fill(template, frames, step, horizon)["data"][0]["y"]


def series(name: str, to: str, **more: Any) -> dict[str, Any]:
    return {"~": "series", "lane": 0, "field": name, "index": 0, "to": to} | more


def steps_like(binding: dict[str, Any]) -> dict[str, Any]:
    return binding | {"~": "steps"}


@pytest.mark.parametrize(
    ("binding", "step", "horizon", "steps", "values"),
    [
        (series("train_loss", "step"), 0, 100, [0], [1]),
        (series("train_loss", "step"), 25, 100, [0, 10, 20], [1, 1 / 2, 1 / 3]),
        (series("train_loss", "reached"), 0, 100, [0, 10, 20, 30, 40], [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
        (series("train_loss", "reached"), 0, 19, [0, 10], [1, 1 / 2]),
        (series("val_accuracy", "step"), 39, 100, [0, 20], [0, 0.2]),
        (series("val_accuracy", "reached"), 0, 100, [0, 20, 40], [0, 0.2, 0.4]),
        (series("train_loss", "reached", most=2), 0, 40, [0, 30], [1, 1 / 4]),
        (series("train_loss", "reached", ghost=True), 0, 40, [], []),
        (series("train_loss", "step", low=0.4, high=0.9), 20, 100, [0, 10, 20], [0.9, 0.5, 0.4]),
    ],
)
def test_series_are_the_recorded_steps(
    binding: dict[str, Any], step: int, horizon: int, steps: list[float], values: list[float]
) -> None:
    assert bound(counted(), steps_like(binding), step, horizon).tolist() == steps
    assert bound(counted(), binding, step, horizon).tolist() == pytest.approx(values)


def test_a_ghost_is_read_from_its_own_rows() -> None:
    frames = counted()
    ghost = 3 * frames.rows[0][:2, :8]
    haunted = Frames(frames.names, frames.layouts, frames.rows, 10, 20, ghosts={0: ghost})
    asked = series("train_loss", "reached", ghost=True)
    assert bound(haunted, asked, 0).tolist() == pytest.approx([3, 1.5])
    assert bound(haunted, steps_like(asked), 0).tolist() == [0, 10]


def test_layers_are_of_the_playhead_and_stay_within_their_ends() -> None:
    layers = {"~": "layers", "lane": 0, "field": "gradient_norm", "index": 0}
    assert bound(counted(), layers, 39).tolist() == pytest.approx([1e-3, 1])
    log = {"~": "log_axis", "fields": ["gradient_norm"], "layers": True, "least": [0.1, 1.0], "title": ""}
    at_least = log | {"floor": 0.02}
    assert bound(counted(), layers | {"low": "axis"}, 39, yaxis=at_least).tolist() == pytest.approx([1e-2, 1])
    update = {"~": "layers", "lane": 0, "field": "update_ratio", "index": 1, "low": -6, "high": 0}
    assert bound(counted(), update, 0).tolist() == [-6, -6]
    assert bound(counted(), update | {"index": 2}, 0).tolist() == [0, 0]


def test_a_ridge_is_a_closed_outline_for_each_layer() -> None:
    ridges = {"~": "ridges", "lane": 0, "field": "activation_histogram", "tall": 1.0}
    root = math.sqrt(0.75)
    outlines = [1, 0.5, 0.5, 1 - root, 1 - root, 1, NAN, 2, 1, 1, 2, 2, 2, NAN]
    assert bound(counted(), ridges, 0).tolist() == pytest.approx(outlines, nan_ok=True)
    shares = [0, 0.25, 0.25, 0.75, 0.75, 0, NAN, 0, 1, 1, 0, 0, 0, NAN]
    assert bound(counted(), ridges | {"~": "shares"}, 0).tolist() == pytest.approx(shares, nan_ok=True)


def test_a_matrix_ends_at_the_playhead() -> None:
    matrix = {"~": "matrix", "lane": 0, "field": "activation_histogram", "layer": 0, "rows": 5}
    z = bound(counted(), matrix, 55, 100)  # at 0, 25, 50 (not recorded: the last one is 40), 75, 100
    assert z[:2].tolist() == [[0.5, pytest.approx(math.sqrt(0.75))]] * 2
    assert np.isnan(z[2:]).all()
    assert np.isnan(bound(counted(), matrix, 24, 100)[1:]).all()
    assert bound(counted(), {"~": "matrix_steps", "rows": 5}, 0, 100).tolist() == [0, 25, 50, 75, 100]


def test_a_logarithmic_axis_grows_to_whole_powers_of_ten() -> None:
    log = {"~": "log_axis", "fields": ["gradient_norm"], "layers": True, "least": [0.2, 1.5], "title": "g"}
    for step, floor, low in ((0, 1e-9, -1), (39, 1e-9, -3), (40, 1e-9, -4), (40, 0.02, -2)):
        template = {"data": [], "layout": {"yaxis": log | {"floor": floor}}}
        axis = fill(template, counted(), step, 10)["layout"]["yaxis"]
        assert axis["range"] == [low, 1], (step, floor)
        assert axis["ticktext"][-1] == "10"


def test_where_nothing_is_recorded_arrays_keep_their_size() -> None:
    nothing = race("nothing")
    for name, figure in filled(nothing, 0, 0).items():
        for number, trace in enumerate(figure["data"]):
            expected = TEMPLATES[name]["data"][number]
            static = [key for key in "xy" if isinstance(expected.get(key), np.ndarray)]
            assert len({len(trace[key]) for key in "xy" if key in trace}) == 1 or trace["type"] == "heatmap"
            for key in ("y", "z", "customdata"):
                values = np.asarray(trace.get(key, ()), float)
                if key == "y" and trace["type"] == "heatmap":
                    continue
                floors = static and values[np.isfinite(values)].size <= 2 * DEPTHS[0]  # of the outlines
                assert floors or np.isnan(values).all(), (name, number, key)


def test_sentences_say_the_moment() -> None:
    known = race("lost")
    lost = {"~": "text", "of": "diverged", "lane": 1}
    named = {"~": "text", "of": "name", "lane": 1, "name": "batch norm"}
    said = [(bound(known, lost, step), bound(known, named, step)) for step in (3, 4, 9)]
    assert said == [("", "batch norm")] + [("diverged at step 4", "batch norm, diverged at step 4")] * 2
    alt = {"~": "alt", "head": "Loss.", "field": "train_loss", "layers": False}
    assert bound(counted(2), alt, 15) == "Loss. Step 15. lane 0: 0.5; lane 1: 0.5."
    alt |= {"field": "val_accuracy"}
    assert bound(counted(), alt, 39) == "Loss. Step 39. lane 0: 0.2.", "the latest validation"
    alt |= {"field": "gradient_norm", "layers": True}
    assert bound(counted(), alt, 20) == "Loss. Step 20. lane 0: 0.01, 1."
    assert bound(counted(frames=0), alt, 20) == "Loss. Step 20. lane 0: none, none."


def test_a_template_is_left_as_it_was() -> None:
    before = json.dumps(plain(TEMPLATES))
    made = filled(race("usual"), 4, 10)
    assert json.dumps(plain(TEMPLATES)) == before
    assert "~" not in json.dumps(plain(made))
    static = TEMPLATES["histograms"]["data"][0]["x"]
    assert made["histograms"]["data"][0]["x"] is static, "what isn't bound is not copied"
