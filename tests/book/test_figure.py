"""Figures: helpers make what Plotly accepts, and every range and tick is said."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from book import figure as fig
from tests.figures import problems_of

SCHEMA = json.loads((Path(__file__).parents[2] / "assets" / "schema.json").read_text("utf-8"))
X = np.arange(3.0)


def ends(axis: dict[str, Any]) -> list[float]:
    return [10**end for end in axis["range"]] if axis["type"] == "log" else axis["range"]


@given(low=st.floats(-1e6, 1e6), size=st.floats(1e-4, 1e6), most=st.integers(2, 12))
def test_ticks_are_round_numbers_within_the_range(low: float, size: float, most: int) -> None:
    high = low + size
    ticks = fig.nice_ticks(low, high, most)
    assert len(ticks) <= most + 1
    slack = 1e-9 * max(abs(low), abs(high), size)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    for first, second in zip(ticks, ticks[1:], strict=False):
        mantissa = float(f"{second - first:.3e}".split("e")[0])
        assert any(mantissa == pytest.approx(round_one) for round_one in (1, 2, 5, 10))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-6.125, 6.125, [-6, -4, -2, 0, 2, 4, 6]),
        (0.1, 0.3, [0.1, 0.15, 0.2, 0.25, 0.3]),
        (0, 7, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_ticks_of_ranges_we_know(low: float, high: float, ticks: list[float]) -> None:
    assert fig.nice_ticks(low, high) == ticks


@pytest.mark.parametrize(
    ("low", "high", "exponents"),
    [
        (1, 1000, [0, 1, 2, 3]),
        (0.5, 2000, [0, 1, 2, 3]),
        (1e-8, 1, [-8, -6, -4, -2, 0]),
        (1e-12, 1e2, [-12, -9, -6, -3, 0]),
        (0.1, 10, [-1, 0, 1]),
    ],
)
def test_logarithmic_ticks_are_powers_of_ten(low: float, high: float, exponents: list[int]) -> None:
    assert fig.log_ticks(low, high) == pytest.approx([10.0**k for k in exponents])


@pytest.mark.parametrize(
    "axis",
    [
        fig.axis(0, 1), fig.axis(-3, 8, "loss"), fig.axis(0, 5, ticks=[1, 4]),
        fig.axis(0, 1, ticks=[0, 1], words=["none", "all"]), fig.axis(0, 1, showgrid=False, zeroline=True),
        fig.log_axis(1e-6, 1), fig.log_axis(1, 256, "batch size", ticks=[1, 8, 64]),
        fig.category_axis(["a", "b"]), fig.category_axis(("batch", "layer", "group"), "norm", side="top"),
    ],
)  # fmt: skip
def test_an_axis_says_its_range_and_its_ticks(axis: dict[str, Any]) -> None:
    assert len(axis["range"]) == 2 and axis["range"][0] < axis["range"][1]
    assert len(axis["tickvals"]) == len(axis["ticktext"]) > 0
    assert all(isinstance(text, str) for text in axis["ticktext"])
    assert set(axis["title"]) == {"text"}
    if axis["type"] != "category":
        low, high = ends(axis)
        assert all(low * (1 - 1e-9) <= tick <= high * (1 + 1e-9) for tick in axis["tickvals"])
    assert not problems_of(fig.figure([], "title", "alt", axis, fig.axis(0, 1)))


def test_a_logarithmic_axis_has_exponents_as_its_range_and_values_as_its_ticks() -> None:
    axis = fig.log_axis(0.01, 100, ticks=[0.1, 1, 10])
    assert axis["range"] == [-2, 2] and axis["tickvals"] == [0.1, 1, 10]
    assert axis["ticktext"] == ["0.1", "1", "10"]


def test_a_category_axis_has_a_place_for_each_name() -> None:
    axis = fig.category_axis(["none", "batch", "layer"])
    assert axis["range"] == [-0.5, 2.5]
    assert axis["categoryarray"] == axis["tickvals"] == axis["ticktext"] == ["none", "batch", "layer"]


TRACES = {
    "line": fig.line(X, X, "loss", fig.ORANGE, dash="dash", width=3, shape="hv", showlegend=False),
    "dots": fig.dots(X, X, "x", fig.faded(fig.BLUE, 0.3), size=[1, 2, 3], symbol="diamond", edge=fig.INK),
    "clicked": fig.dots(X, X, "x", alpha=0.5, meta={"click": "chosen"}, text=["a", "b", "c"]),
    "bars": fig.bars(X, X, "share", fig.GREEN, alpha=0.5, width=0.8, base=[0, 1, 2]),
    "names": fig.bars(["a", "b", "c"], X, "share"),
    "cells": fig.cells(np.eye(3), 0, 1, name="matrix", xgap=1),
}


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
def test_traces_are_what_plotly_and_the_painter_know(trace: dict[str, Any]) -> None:
    x = fig.category_axis(["a", "b", "c"]) if isinstance(trace.get("x"), list) else fig.axis(0, 2)
    one = fig.figure([trace], "title", "alt", x, fig.axis(0, 2))
    assert not problems_of(one)
    go.Figure(one)


def test_numbers_become_float64_and_names_stay_names() -> None:
    made = fig.line([1, 2], np.array([3, 4], np.float32))
    assert made["x"].dtype == made["y"].dtype == np.float64
    assert fig.bars(["a", "b"], [1, 2])["x"] == ["a", "b"]
    assert fig.bars(np.array(["a", "b"]), [1, 2])["x"] == ["a", "b"]
    assert fig.cells([[1, 0]], 0, 1)["z"].dtype == np.float64


def test_a_band_is_filled_down_to_the_lower_curve_and_is_no_line_of_its_own() -> None:
    low, high = fig.band(X, X - 1, X + 1, fig.ORANGE, alpha=0.25)
    assert (
        "fill" not in low and high["fill"] == "tonexty" and high["fillcolor"] == fig.faded(fig.ORANGE, 0.25)
    )
    np.testing.assert_array_equal(high["y"] - low["y"], 2)
    for trace in (low, high):
        assert trace["line"]["width"] == 0 and trace["showlegend"] is False and trace["hoverinfo"] == "skip"
    assert not problems_of(fig.figure([low, high], "t", "a", fig.axis(0, 2), fig.axis(-1, 3)))


def test_shapes_and_annotations_are_what_plotly_and_the_painter_know() -> None:
    shapes = [
        fig.mark(0, 0, 1, 1, fig.GRID, 2, dash="dot", layer="below"),
        fig.area(0, 0, 1, 1, fig.faded(fig.PURPLE, 0.2), xref="paper", opacity=0.5),
    ]
    notes = [fig.label(0.5, 0.5, "here", fig.ORANGE, 13, xanchor="left", yshift=4, bgcolor=fig.PAPER)]
    one = fig.figure(
        [], "t", "a", fig.axis(0, 1), fig.axis(0, 1), shapes=shapes, annotations=notes, height=200
    )
    assert not problems_of(one)
    go.Figure(one)


def test_a_figure_says_what_it_is() -> None:
    second = fig.log_axis(1, 10, anchor="x", side="right")
    one = fig.figure(
        [TRACES["line"]], "Loss", "It falls.", fig.axis(0, 2), fig.axis(0, 2), yaxis2=second,
        hint="lower is better", place="side", showlegend=True,
    )  # fmt: skip
    assert one["layout"]["meta"] == {
        "title": "Loss", "alt": "It falls.", "hint": "lower is better", "place": "side"
    }  # fmt: skip
    assert one["layout"]["yaxis2"] is second and one["layout"]["showlegend"] is True
    plain = fig.figure([], "Loss", "It falls.", fig.axis(0, 2), fig.axis(0, 2))
    assert plain["layout"]["meta"]["place"] == "main" and plain["layout"]["showlegend"] is False


def test_figures_do_not_share_their_margins() -> None:
    one, other = (fig.figure([], "t", "a", fig.axis(0, 1), fig.axis(0, 1)) for _ in range(2))
    one["layout"]["margin"]["l"] = 1
    assert other["layout"]["margin"] == fig.MARGIN and fig.MARGIN["l"] != 1


def test_every_colour_of_the_palette_is_exchanged_for_the_readers() -> None:
    ours = {fig.INK, fig.PAPER, fig.GRID, fig.PRIMARY, *fig.COLOURS}
    assert ours == set(SCHEMA["colours"])
    assert [SCHEMA["colours"][colour] for colour in fig.COLOURS] == list(range(10))
    config = (Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text("utf-8")
    light = config[config.index("theme.light") : config.index("theme.dark")]
    assert all(colour in light.lower() for colour in fig.COLOURS)
    assert fig.faded("#0072b2", 0.25) == "rgba(0,114,178,0.25)"


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_gaps_stay_gaps(number: float) -> None:
    assert not np.isfinite(fig.line([0, 1], [1, number])["y"][1])


def test_a_picture_is_bytes_and_what_plotly_accepts() -> None:
    levels = np.array([[[0.4, 254.6, 300.0], [-3.0, 1.5, 2.5]]])
    photo = fig.picture(levels, "photo", x0=2, dy=0.5)
    assert photo["z"].dtype == np.uint8 and photo["z"].tolist() == [[[0, 255, 255], [0, 2, 2]]]
    axes = fig.axis(-0.5, 1.5), fig.axis(0.5, -0.5)
    shown = fig.figure([photo], "A photograph", "Two pixels.", *axes)
    assert not problems_of(shown)
    assert go.Figure({"data": shown["data"], "layout": {}}).data[0].x0 == 2
    wrong = fig.figure([photo | {"z": levels}], "A photograph", "Two pixels.", *axes)
    assert problems_of(wrong), "pixels are bytes"


def test_in_an_even_figure_each_y_axis_takes_the_scale_of_its_x_axis() -> None:
    x, y = fig.axis(0, 1), fig.axis(0, 2)
    second = {"xaxis2": x | {"anchor": "y2"}, "yaxis2": y | {"anchor": "x2"}}
    layout = fig.figure([], "A circle", "None yet.", x, y, even=True, **second)["layout"]
    assert [layout[name].get("scaleanchor") for name in ("xaxis", "yaxis", "xaxis2", "yaxis2")] == [
        None, "x", None, "x2",
    ]  # fmt: skip
    assert all(layout[name]["constrain"] == "domain" for name in ("xaxis", "yaxis", "xaxis2", "yaxis2"))
    assert (
        "constrain" not in fig.figure([], "A line", "None.", x, y)["layout"]["xaxis"] and "even" not in layout
    )
