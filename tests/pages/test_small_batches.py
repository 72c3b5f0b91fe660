"""What is particular about "Small batches": laws, gaps in tables, and sentences that follow the numbers."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from bnlib import theory
from book.chapter import Values, View
from book.registry import chapters
from pages import _small_batches_mend as mending
from pages import _small_batches_parts as parts
from pages import _small_batches_views as views
from pages._small_batches_scripts import kept

CHAPTER = chapters()["small_batches"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}


def settings(name: str, answered: bool = True, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, answered)


def cell(error: float, passed: float = 0.5) -> dict[str, Any]:
    """What a job returns of eight networks that end with so many per cent wrong."""
    curve = np.linspace(90, error, 7) * np.ones((8, 1))
    return {
        "step": np.arange(0, 61, 10), "val": curve, "own": curve, "train": curve[:, -1],
        "passed": np.full((8, 4), passed), "worth": np.full((8, 3), 3.0),
    }  # fmt: skip


def view(name: str, answered: bool = True, changed: dict[str, Any] | None = None, **changes: Any) -> View:
    """A view of cells that all end at 5%, but for those that are ``changed``."""
    values = settings(name, answered, **changes)
    assert CHAPTER.jobs is not None
    found: dict[str, Any] = {name: cell(5.0) for name in CHAPTER.jobs(values)} | (changed or {})
    if "rounding" in found:
        found["rounding"] = {"differs": np.full(8, 0.7)}
    return CHAPTER.view(values, found)


# ---- laws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3, 8, 128])
def test_the_law_of_a_deviation_is_a_density_with_the_known_mean(m):
    s = np.linspace(0, 6, 60_001)
    density = views.std_law(s, m)
    assert np.trapezoid(density, s) == pytest.approx(1, abs=2e-4)
    assert np.trapezoid(s * density, s) == pytest.approx(theory.batch_std_mean(m), abs=2e-4)
    assert np.trapezoid(s**2 * density, s) == pytest.approx(theory.batch_var_mean(m), abs=2e-4)


def test_any_size_between_the_stops_has_its_law():
    shown = CHAPTER.view(settings("spread", m=11), {"law": None})
    assert shown.waiting and shown.numbers["spread"] == pytest.approx(11**-0.5, rel=0.05)
    assert [parts.near(m, parts.CONV_SIZES) for m in (2, 3, 5, 128)] == [2, 2, 8, 32]


def test_the_first_pages_picture_narrows_with_the_batch():
    widths = []
    for m in (1, 16, 256):
        *_, bell = parts.thumbnail({"batch_size": m, "eps": 0.0})["data"]
        widths.append(np.sum(bell["y"] > 0.5))
    assert widths[0] > 3 * widths[1] > 9 * widths[2] > 0


# ---- what is said follows the numbers ----------------------------------------------------------------------


def test_the_level_is_that_of_the_networks_that_are_shown():
    steep = {"m2": cell(70.0, 0.0), "m4": cell(12.0, 0.5), "m8": cell(9.0)}
    numbers = view("cliff", m=2, changed=steep).numbers
    assert numbers["failed"] == 8 and numbers["eval_4"] == 12
    assert numbers["level"] == 0.75 and numbers["passed"] == 0 and numbers["passed_4"] == 0.5
    flat = view("cliff", m=2).numbers
    assert flat["level"] == 0 and flat["failed"] == 0
    assert view("cliff", m=2, changed={"m2": cell(np.nan)}).numbers["eval"] == parts.GUESSED


def test_what_no_other_program_repeats_is_a_gap_in_the_table():
    table = view("cliff", m=2, changed={"m2": cell(70.0)}).table
    assert np.isnan(table["eval"][:2]).all() and np.isfinite(table["eval"][2:]).all()
    assert table["failed"].tolist() == [8, 0, 0, 0, 0, 0, 0]
    assert set(kept()) == set(mending.FIXES) - {"asis", "accumulate", "recompute", "renorm"}


def test_the_pair_that_helps_least_is_the_one_that_does():
    for least, pair in enumerate(mending.PAIRS):
        stuck = {name: cell(68.0) for name in (*pair, "asis")}
        assert view("mend", changed=stuck).numbers["pair"] == least


def test_group_norm_is_better_up_to_where_the_numbers_say():
    for errors, beaten in (({}, 1), ({"asis": 70.0}, 2), ({"asis": 70.0, "m4": 12.0}, 4), ({"m8": 5.1}, 8)):
        changed = {name: cell(error) for name, error in errors.items()}
        assert view("mend", changed=changed).numbers["beaten"] == beaten


def test_rows_can_be_clicked_before_their_networks_are_trained():
    assert CHAPTER.jobs is not None
    values = settings("mend", fix="sync")
    nothing = {name: None for name in CHAPTER.jobs(values)}
    for found in (nothing, nothing | {"asis": cell(70.0)}, {name: cell(5.0) for name in nothing}):
        (rows,) = (
            t for t in CHAPTER.view(values, found).figures["fixes"]["data"] if "click" in t.get("meta", ())
        )
        assert rows["meta"]["values"] == list(mending.FIXES)[::-1] and len(rows["meta"]["says"]) == 10
        assert np.isfinite(rows["x"]).all() and np.shape(rows["z"]) == (10, 1)
        assert np.flatnonzero(np.isfinite(rows["z"])) == rows["meta"]["values"].index("sync")


def test_an_open_question_shows_its_start_alone():
    rows = view("mend", answered=False, fix="group").figures["fixes"]["data"]
    assert [trace["name"] for trace in rows] == ["batches of 2", "mean of 8 seeds"] and len(rows[1]["x"]) == 1
    assert "click" not in rows[1]["meta"]
    assert "of 128" in CHAPTER.view(settings("spread", False, m=8), {"law": None}).text
    usual = view("protocols", answered=False, batch=2).figures["epochs"]["data"]
    assert {float(x) for trace in usual for x in trace["x"]} == {64.0}
    cliff = view("cliff", answered=False, m=2).figures["cliff"]["data"]
    assert {float(x) for trace in cliff for x in trace["x"]} == {128.0}


def test_dragging_needs_nothing_new():
    for name in SCENES:
        assert CHAPTER.jobs is not None
        moved = ({"m": 2, "conv_m": 2, "batch": 2, "draft": True}, {"m": 5, "conv_m": 5, "batch": 5}, {})
        found = [CHAPTER.jobs(settings(name) | one) for one in moved]
        assert found[0] == found[1] == found[2]


def test_a_slider_stops_where_networks_are_trained():
    stops = {control.name: control.stops for control in CHAPTER.controls}
    assert set(stops["conv_m"]) == set(parts.CONV_SIZES) and set(stops["batch"]) == set(parts.EPOCH_SIZES)
    for name, control, shown in (("cliff", "m", 8), ("conv", "conv_m", 8), ("protocols", "batch", 4)):
        off = view(name, **{control: shown + 1}).text
        assert f"{shown} (the trained size nearest to {shown + 1})" in off
        assert "nearest" not in view(name, **{control: shown}).text


def test_the_lab_has_no_seeds_as_late_as_the_pages():
    assert CHAPTER.lab is not None
    assert CHAPTER.lab(settings("cliff")) is not None and CHAPTER.lab(settings("spread")) is None


# ---- PyTorch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fix", mending.FIXES)
def test_the_pytorch_of_each_fix_prints_the_views_numbers(fix):
    out = io.StringIO()
    assert CHAPTER.pytorch is not None
    program = CHAPTER.pytorch(settings("mend", fix=fix))
    with contextlib.redirect_stdout(out):
        exec(compile(program, fix, "exec"), {"__name__": "program"})
    lines = out.getvalue().splitlines()
    numbers = view("mend", fix=fix).numbers
    assert lines
    for line in lines:
        name, value = line.split(" = ")
        assert float(value) == pytest.approx(numbers[name], rel=1e-4, abs=1e-6)
