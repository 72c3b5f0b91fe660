"""The chapter "Gradients": the scenes of one norm, and how the chapter is put together."""

from functools import cache

import numpy as np
import pytest

from book.predictions import answer, measured_states
from pages import _gradients_decay as decay
from pages import _gradients_scale as scale
from pages import _gradients_xray as xray
from pages.gradients import CHAPTER, lab, thumbnail
from tests.figures import problems_of
from tests.once import once

SCENES = {scene.name: scene for scene in CHAPTER.scenes}
OWN = ("scale", "xray", "decay")


@cache
def result(job):
    return once(job.function, *job.arguments)


def complete(values):
    given = {"draft": False, **values}
    return CHAPTER.view(values, {name: result(job) for name, job in CHAPTER.jobs(given).items()})


def settings(name, **changes):
    return CHAPTER.settings(SCENES[name], changes, answered=True)


def opened(name):
    return CHAPTER.settings(SCENES[name], {})


@cache
def judged(name):
    begin, reveal = measured_states(CHAPTER, SCENES[name])
    before = complete(begin).numbers
    after = complete(reveal(before)).numbers
    return answer(SCENES[name], before, reveal(before), after), before, after


@pytest.mark.parametrize("name", OWN)
def test_the_right_answer_is_no_close_call(name):
    found, before, after = judged(name)
    choices = SCENES[name].choices
    values = [before[choice.value] if isinstance(choice.value, str) else choice.value for choice in choices]
    first, second = sorted(abs(value - after[SCENES[name].measured]) for value in values)[:2]
    assert first < 0.2 * second
    label = {"scale": "a tenth as long", "xray": "about three times as many", "decay": "twice as large"}
    assert choices[found.right].label == label[name]


def test_the_scenes_stand_in_their_order():
    assert list(SCENES) == ["scale", "xray", "depth", "map", "trains", "decay"]


# ---- ten times the weights -------------------------------------------------------------------------------


def test_the_gradient_leaves_the_law_where_epsilon_is_near_the_variance():
    fine, bent = (complete(settings("scale", factor=0.1, eps=eps)).numbers for eps in (0.0, 0.1))
    assert fine["ratio"] == pytest.approx(10, rel=1e-6) and fine["change"] < 1e-9
    assert bent["ratio"] < 5 and bent["change"] > 0.1
    # The line that is drawn stands where factor² times the variance is eps.
    assert (bent["bend"] * bent["std"]) ** 2 == pytest.approx(0.1)


def test_a_factor_from_an_address_is_measured_too():
    view = complete(settings("scale", factor=3.7))
    assert view.numbers["ratio"] == pytest.approx(1 / 3.7, rel=1e-3)
    assert 3.7 in view.table["factor"] and len(view.table["factor"]) == len(scale.FACTORS) + 1


def test_the_factors_dot_is_dragged_along_the_curve():
    (dot,) = (t for t in complete(settings("scale", factor=10.0)).figures["gradient"]["data"] if "meta" in t)
    assert dot["meta"]["drag"] == "factor" and dot["x"][0] == 10 and dot["y"][0] == pytest.approx(0.1, 1e-3)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("scale", {"factor": 100.0}), ("scale", {"eps": 1.0}), ("xray", {"unit": 3}), ("xray", {"eps": 1.0}),
     ("xray", {"mean_term": "off", "xhat_term": "off"})],
)  # fmt: skip
def test_what_is_dragged_or_switched_needs_no_other_computation(name, changes):
    before = CHAPTER.jobs(settings(name) | {"draft": False})
    assert CHAPTER.jobs(settings(name, **changes) | {"draft": True}) == before


# ---- the two subtracted terms ----------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.1])
@pytest.mark.parametrize("arm", xray.ARMS)
def test_each_term_empties_its_meter(arm, eps):
    switches = {"mean_term": "on" if arm[0] else "off", "xhat_term": "on" if arm[1] else "off"}
    view = complete(settings("xray", eps=eps, **switches))
    moved, stretched = view.meters
    assert (moved.value < 1e-9) == arm[0]
    assert (stretched.value < 1e-3) == (arm[1] and eps < 0.1), "a large eps leaves a part of x-hat"
    for meter in (moved, stretched):
        assert meter.value == pytest.approx(meter.expected, abs=1e-9)
    assert view.numbers["along"] == pytest.approx(view.numbers["along_theory"], abs=1e-9)
    # The CSV's columns are the arrows'.
    assert view.table["dx"].sum() == pytest.approx(view.numbers["sum"], abs=1e-9)
    if not any(arm):
        assert view.table["dx"].tolist() == view.table["arriving"].tolist()


def test_four_numbers_have_the_gradient_of_ioffe_and_szegedys_equations():
    """x = 1, 2, 3, 4 and g = 1, 0, 0, 0 give (.268328, -.357771, -.089443, .178885) with eps = 0."""
    unit = xray.through(xray.FOUR_X, xray.FOUR_G, 0.0, (True, True))
    assert unit.dx == pytest.approx([0.268328, -0.357771, -0.089443, 0.178885], abs=1e-6)


def test_the_mean_term_is_what_training_needs_most():
    numbers = judged("xray")[2]
    assert numbers["error_without_mean"] > 2 * numbers["error_full"]
    assert numbers["error_without_xhat"] < 1.5 * numbers["error_full"]
    assert numbers["angle_without_mean"] > 2 * numbers["angle_without_xhat"] > 10
    assert numbers["bias_full"] == 0 < numbers["bias"] and numbers["growth"] > 1.5 > numbers["growth_full"]


def test_an_open_xray_shows_only_the_error_that_the_question_tells():
    figure = complete(opened("xray")).figures["errors"]
    assert np.isfinite(figure["data"][0]["y"]).tolist() == [True, False, False, False]
    assert figure["layout"]["yaxis"]["range"][1] > 100, "the axis does not tell either"


def test_digits_to_which_nothing_arrives_are_moved_by_the_terms():
    table = complete(settings("xray")).table
    silent = table["arriving"] == 0
    assert silent.sum() >= 4 and (np.abs(table["dx"][silent]) > 0).all()


# ---- weight decay ----------------------------------------------------------------------------------------


def test_the_angle_is_theorys_for_every_decay_and_the_length_is_the_same_from_every_start():
    view = complete(settings("decay", weight_decay=0.08))
    assert view.table["angle"] == pytest.approx(view.table["theory"], rel=0.07)
    numbers = view.numbers
    assert numbers["longest"] < 1.05 * numbers["shortest"]
    assert numbers["first_long"] == pytest.approx(10 * numbers["first_short"])


def test_while_decay_is_dragged_other_starts_are_left_out_and_nothing_is_claimed_of_them():
    values = settings("decay", weight_decay=0.16) | {"draft": True}
    jobs = CHAPTER.jobs(values)
    rest = CHAPTER.jobs(settings("decay") | {"draft": False})
    assert set(jobs.values()) < set(rest.values())
    view = CHAPTER.view(values, {name: result(job) for name, job in jobs.items()})
    assert "0.16" in view.text and "After 600" not in view.text and not view.waiting


def test_a_first_picture_comes_with_the_first_decay():
    values = settings("decay")
    jobs = CHAPTER.jobs(values | {"draft": False})
    found = {name: None for name in jobs} | {"decay 0.04": result(jobs["decay 0.04"])}
    view = CHAPTER.view(values, found)
    assert view.waiting == "1 of 6 networks are trained."
    assert any(trace["name"] == "weight decay 0.04" for trace in view.figures["angles"]["data"])


def test_an_open_question_of_decay_shows_one_decay_and_no_theory():
    figure = complete(opened("decay")).figures["angles"]
    assert {trace["name"] for trace in figure["data"]} == {"", "weight decay 0.04"}


def test_lengths_of_weights_that_have_not_settled_are_told_as_what_they_are():
    rest = complete(settings("decay", weight_decay=0.02))
    assert rest.numbers["longest"] > 1.1 * rest.numbers["shortest"]
    assert "After 600 steps the lengths are" in rest.text and "reach" not in rest.text


# ---- the chapter -----------------------------------------------------------------------------------------


def test_the_lab_shows_decays_only_where_it_has_the_seeds():
    assert len(lab(settings("decay", weight_decay=0.04)).configs) == 3
    assert lab(settings("xray")) is None
    assert decay.config_of({"seed": 2}, 0.04).seed == 16


def test_a_figures_name_stands_for_one_place_in_all_scenes():
    """The browser leaves a figure where it is while its name stays."""
    places = {}
    for scene in CHAPTER.scenes:
        for values in (opened(scene.name), settings(scene.name)):
            for name, figure in complete(values).figures.items():
                places.setdefault(name, set()).add(figure["layout"]["meta"]["place"])
    assert not [name for name, own in places.items() if len(own) > 1]


def test_the_thumbnail_follows_the_batch_size_as_far_as_theory_goes():
    ends = []
    for size in (1, 4, 16, 256):
        figure = thumbnail({"batch_size": size})
        assert not problems_of(figure)
        ends.append(figure["data"][0]["y"][-1])
        assert np.abs(np.concatenate([trace["y"] for trace in figure["data"]])[-1]) < 20
    assert ends[0] == ends[1] > ends[2] > ends[3] > 0
