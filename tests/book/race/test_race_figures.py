"""A chapter's view can show a race with some of its pictures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import pytest

from bnlib import RunConfig
from book.chapter import Chapter, View, packed_figures
from book.controls import Control, Values, read
from book.figure import Figure
from book.race.panels import race_figures
from live.session import Shelf
from live.wire import pack, unpack
from tests.figures import axes_of, problems_of
from tests.scheduler import Inline


def accepted(figure: Figure) -> None:
    """Fail where the table of attributes, the painter's needs or Plotly are broken."""
    assert problems_of(figure) == []
    go.Figure(figure)


def a_chapter(kept: tuple[str, ...], only: tuple[str, ...], dataset: str = "digits") -> Chapter:
    """Declare a chapter whose picture is a race."""

    def runs(values: Values) -> Mapping[str, RunConfig]:
        every = {"record_every": 5, "validate_every": 10, "replicas": 2}
        shared = {"dataset": dataset, "depth": 2, "width": 8} | every
        return {name: RunConfig(norm=norm, **shared) for name, norm in (("no norm", "none"), ("BN", "batch"))}

    def compute(values: Values, found: Mapping[str, Any]) -> View:
        made = race_figures(runs(values), found, values["now"], 40, only, values.get("narrow", False),
                            playhead="now")  # fmt: skip
        return View({}, "A race.", made)

    now = Control("now", "step", 20, "step", "", 0, 40)
    return Chapter(
        name="a_race",
        title="A race",
        question="Who wins?",
        controls=(now,),
        compute=compute,
        runs=runs,
        kept=kept,
    )


@pytest.mark.parametrize(
    ("kept", "only", "dataset"),
    [
        (("picture",), ("accuracy", "flow"), "digits"),
        (("picture", "surface"), ("loss", "surface", "time"), "moons"),
        (("picture",), ("flow",), "digits"),
    ],
)
def test_a_chapter_shows_a_race(kept: tuple[str, ...], only: tuple[str, ...], dataset: str) -> None:
    chapter = a_chapter(kept, only, dataset)
    values = read(chapter.table, {})[0]

    async def complete() -> View:
        return await Shelf(Inline()).complete(chapter, values)

    view = asyncio.run(complete())
    assert set(view.figures) == set(only)
    for figure in view.figures.values():
        accepted(figure)
    plain, arrays = packed_figures(view.figures)
    header, _ = unpack(pack({"kind": "view", "figures": plain}, arrays))
    assert set(header["figures"]) == set(only) and "~" not in json.dumps(header)
    waiting = chapter.compute(values, dict.fromkeys(("no norm", "BN")))
    for figure in waiting.figures.values():
        accepted(figure)
    curves = [figure for name, figure in view.figures.items() if name in ("accuracy", "loss")]
    for figure in curves or view.figures.values():
        assert figure["layout"]["showlegend"] is True, "one of the pictures names the lanes"
    if curves and "flow" in only:
        assert view.figures["flow"]["layout"]["showlegend"] is False, "the curves name them"
    for figure in curves:
        traces = [trace for trace in figure["data"] if trace.get("showlegend", True)]
        assert [trace["name"] for trace in traces] == ["no norm", "BN"]
        assert traces[0]["meta"] == {"scrub": "now"}
        assert traces[0]["x"].max() == 20, "as far as the recordings go"
        assert axes_of(figure)["xaxis"]["range"] == [0, 40]


def test_runs_of_a_race_are_recorded_at_the_same_steps() -> None:
    configs = {"one": RunConfig(record_every=5), "other": RunConfig(record_every=10)}
    with pytest.raises(ValueError, match="must be recorded at the same steps; give all of them the same"):
        race_figures(configs, {}, 0, 10)
