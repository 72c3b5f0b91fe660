"""The scenes about depth: drafts, what is hidden, cells that open networks, reasons beside numbers."""

import math
from functools import cache

import numpy as np
import pytest

from bnlib import theory
from bnlib.lessons import deep
from book.chapter import Job
from book.race.evidence import race_address
from book.words import brief
from pages import _gradients_depth as page
from pages import _gradients_depth_map as maps
from pages import _gradients_depth_views as views
from pages._gradients_depth_parts import SHOWN, network, power, times
from pages.gradients import CHAPTER
from tests.once import once

SCENES = {scene.name: scene for scene in page.SCENES}


@cache
def result(job):
    return once(job.function, *job.arguments)


def settings(name, answered=True, **changes):
    return CHAPTER.settings(SCENES[name], changes, answered) | {"draft": False}


def seen(values, found=None):
    return CHAPTER.view(values, {n: result(job) for n, job in page.jobs(values).items()} | (found or {}))


def names(figure):
    return {trace["name"] for trace in figure["data"]} - {"", "closed form"}


# ---- twenty layers -----------------------------------------------------------------------------------------


def test_growth_in_one_layer_makes_the_growth_in_all():
    numbers = seen(settings("depth", layers=6)).numbers
    for arm in SHOWN:
        assert numbers[f"growth_{arm}"] ** 5 == pytest.approx(numbers[f"ratio_{arm}"])
    assert numbers["sigma_batch"] == pytest.approx(math.sqrt(1 - 1 / math.pi), rel=0.03)
    assert numbers["large_batch"] == pytest.approx(1 / math.sqrt(1 - 1 / math.pi))
    assert numbers["large_batch"] < numbers["growth_theory"] < numbers["growth_batch"] * 1.05


def test_the_scale_moves_only_the_curve_without_a_norm():
    one, half = (seen(settings("depth", layers=6, init_scale=scale)).numbers for scale in (1.0, 0.5))
    assert half["ratio_none"] == pytest.approx(one["ratio_none"] / 2**5, rel=0.2)
    for arm in SHOWN[1:]:
        assert half[f"ratio_{arm}"] == pytest.approx(one[f"ratio_{arm}"], rel=0.05)
        assert half[f"sigma_{arm}"] == pytest.approx(one[f"sigma_{arm}"], rel=0.01)


def test_smaller_batches_explode_faster():
    small, large = (seen(settings("depth", layers=10, samples=size)).numbers for size in (8, 64))
    assert small["growth_batch"] > 1.05 * large["growth_batch"]
    assert small["growth_theory"] == pytest.approx(small["growth_batch"], rel=0.06)


@pytest.mark.parametrize("name", ["depth", "trains"])
def test_a_draft_is_one_seed_computed_lightly_and_says_so(name):
    values = settings(name, layers=12) | {"draft": True}
    jobs = page.jobs(values)
    assert jobs and all(job.light and job.arguments[0].replicas == 1 for job in jobs.values())
    view = seen(values)
    hints = [figure["layout"]["meta"]["hint"] for figure in view.figures.values()]
    assert "One seed" in view.text + view.waiting
    assert all("One seed" in hint for hint in hints[:2]) and not any("8 seeds" in hint for hint in hints)


def test_while_the_question_is_open_only_networks_without_a_norm_are_drawn():
    view = seen(settings("depth", answered=False))
    assert names(view.figures["growth"]) == {"no norm"} and set(view.figures) == {"growth"}
    assert not view.equations and not view.table


@pytest.mark.parametrize("samples", [8, 32, 128])
@pytest.mark.parametrize("power", [1, 19, 39])
def test_the_base_that_is_shown_has_the_power_that_is_shown(samples, power):
    growth = theory.gradient_growth_relu(samples) ** 0.5
    assert brief(float(views._base(growth, power)) ** power) == brief(growth**power)


# ---- the map -----------------------------------------------------------------------------------------------


def test_an_open_map_shows_shallow_networks_only():
    view = seen(settings("map", answered=False))
    (cells,) = view.figures["map"]["data"]
    shown = np.isfinite(cells["z"]).all(axis=1)
    assert list(shown) == [layers <= maps.EARLY for layers in maps.DEPTHS] and "opened" not in view.figures


def test_a_cell_opens_its_network():
    cell = maps.DEPTHS.index(5) * len(maps.SCALES) + maps.SCALES.index(2.0)
    values = settings("map", cell=cell)
    view = seen(values)
    assert maps.picked(values) == (5, 2.0)
    gradient = view.figures["opened"]["data"][2]
    assert len(gradient["x"]) == 5 and view.numbers["opened"] == pytest.approx(gradient["y"][0])
    assert view.numbers["closed"] == 2.0**4 == pytest.approx(view.numbers["opened"], rel=0.2)
    assert 10 ** view.table["log10_first_over_last"][cell] == pytest.approx(view.numbers["opened"])
    race = page.lab(values)
    assert race and {(c.norm, c.depth, c.init_scale) for c in race.configs} == {
        ("none", 5, 2.0), ("batch", 5, 2.0),
    }  # fmt: skip


def test_the_map_follows_the_networks_that_are_chosen():
    view = seen(settings("map", arm="skip"))
    z = view.figures["map"]["data"][0]["z"]
    assert np.ptp(z, axis=1).max() < 0.1 and (np.diff(z[:, 0]) > 0).all(), "level in scale, rising with depth"
    assert set(view.table["norm"]) == {"batch norm and skip connections"}


def test_the_dashed_lines_run_between_the_cells_on_both_sides_of_the_limit():
    for line, side in zip(maps._limits(), (-1, 1), strict=True):
        for x, y in zip(line["x"][1:], line["y"][1:], strict=True):
            assert (x % 1, y % 1) == (0.5, 0.5), "no cell's number is crossed"
        for row, layers in enumerate(maps.DEPTHS):
            over = [
                side * k for k in range(1, 5) if maps.SCALES[4 + side * k] ** (side * (layers - 1)) > 1000
            ]
            edges = {x - 4 for x, y in zip(line["x"], line["y"], strict=True) if y == row + 0.5 and over}
            assert not over or over[0] - side / 2 in edges


def test_rows_appear_as_they_are_computed():
    values = settings("map")
    jobs = page.jobs(values)
    found = dict.fromkeys(jobs) | {"none 3": result(jobs["none 3"])}
    view = CHAPTER.view(values, found)
    assert view.waiting.startswith(f"1 of {len(jobs)}")
    assert np.isfinite(view.figures["map"]["data"][0]["z"]).all(axis=1).sum() == 1


@pytest.mark.parametrize(
    ("exponent", "words"),
    [(0, "1"), (-0.3, "0.5"), (3.557, "3,600"), (-2.4, "0.004"), (-5.8, "2×10⁻⁶"), (17.02, "10¹⁷")],
)
def test_cells_are_short(exponent, words):
    assert times(10**exponent, 2) == words and power(0) == "1" and power(-12) == "10⁻¹²"


# ---- what trains -------------------------------------------------------------------------------------------


def test_with_ten_layers_all_with_a_norm_learn_as_a_wrong_answer_is_told():
    numbers = seen(settings("trains", layers=10)).numbers
    assert all(numbers[f"right_{arm}"] > 0.5 for arm in SHOWN[1:])
    assert numbers["trained"] == sum(2**k for k, arm in enumerate(SHOWN) if numbers[f"right_{arm}"] > 0.5)
    assert numbers["right_shallow"] == numbers["right_batch"], "the same networks"
    assert numbers["apart_batch"] < 1e-12


def test_a_small_difference_explodes_only_in_deep_plain_batch_norm():
    jobs = page.jobs(settings("trains", seed=3))
    apart = {arm: deep.typical(result(jobs[f"twins {arm}"])[:, -1]) for arm in ("batch", "skip")}
    assert apart["batch"] > 1e-5 and apart["skip"] < 1e-13


def test_what_is_chaotic_is_no_column_of_the_table():
    view = seen(settings("trains", layers=2))
    assert "right" not in view.table and set(view.table["more_than_half_right"]) <= {0.0, 1.0}


# ---- the lab -----------------------------------------------------------------------------------------------


def test_the_lab_gets_what_it_can_show():
    assert race_address(page.lab(settings("trains"))) is None, "40 layers"
    assert race_address(page.lab(settings("depth", seed=10_000))) is None, "seeds beyond the lab's"
    race = page.lab(settings("depth", samples=16, init_scale=0.5))
    assert race and [c.norm for c in race.configs] == ["none", "batch", "layer"]
    assert all((c.batch_size, c.init_scale, c.depth) == (16, 0.5, 20) for c in race.configs)


def test_jobs_are_of_networks_as_the_controls_say():
    values = settings("depth", layers=7, samples=16, seed=2)
    job = page.jobs(values)["skip"]
    assert isinstance(job, Job) and job.arguments[0] == network(values, "skip", 7, batch_size=16)
    assert (job.arguments[0].depth, job.arguments[0].seed, job.arguments[0].replicas) == (8, 16, 8)
