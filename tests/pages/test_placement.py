"""The chapter "Placement": what is measured, the reasons given, what is lit, what a finger asks for."""

import re
from functools import cache

import numpy as np
import pytest

from book.predictions import answer, measured_states
from pages import placement as page
from pages._placement_parts import LOOKS, RATES
from pages._placement_views import active_share, chosen
from pages.placement import CHAPTER
from tests.figures import words_of

SCENES = {scene.name: scene for scene in CHAPTER.scenes}


@cache
def result(job):
    return job.function(*job.arguments)


def complete(values):
    return CHAPTER.view(values, {name: result(job) for name, job in page.jobs(values).items()})


def settings(name, **changes):
    return CHAPTER.settings(SCENES[name], changes, answered=True)


@cache
def answered(name):
    begin, reveal = measured_states(CHAPTER, SCENES[name])
    before = complete(begin).numbers
    after = reveal(before)
    return answer(SCENES[name], before, after, complete(after).numbers), before, complete(after)


@pytest.mark.parametrize(
    ("name", "right"),
    [("count", "2,048: a mean for each channel"), ("bias", "zero, but for rounding"),
     ("order", "after, by about 10 points"), ("start", "one in ten: it guesses"), ("beta", "one in fifty")],
)  # fmt: skip
def test_the_answer_is_what_is_measured_and_no_close_call(name, right):
    found, before, view = answered(name)
    choices = SCENES[name].choices
    assert choices[found.right].label == right
    values = [before[choice.value] if isinstance(choice.value, str) else choice.value for choice in choices]
    distances = sorted(abs(value - view.numbers[SCENES[name].measured]) for value in values)
    assert distances[0] < 0.3 * distances[1]


# --- who shares a mean --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "shared"),
    [({}, 2048), ({"side": "2"}, 128), ({"network": "mlp"}, 32), ({"samples": 1}, 64),
     ({"channels": 1}, 2048), ({"samples": 1, "side": "1"}, 0)],
)  # fmt: skip
def test_what_is_counted_is_a_channel_over_digits_and_positions(changes, shared):
    view = complete(settings("count", **changes))
    assert view.numbers["shared"] == shared and view.numbers["product"] == max(shared, 1)
    learned = 2 * settings("count", **changes)["channels"]
    assert view.numbers["learned"] == view.numbers["kept"] == learned
    if shared:
        assert f"{shared:,} outputs" in view.text
    else:
        assert "its own mean" in view.text


@pytest.mark.parametrize("narrow", [False, True])
def test_every_tile_chooses_its_channel_and_all_that_share_its_mean_are_lit(narrow):
    values = settings("count", samples=4, channels=8, channel=6) | {"narrow": narrow}
    view = complete(values)
    lit, tiles = view.figures["tensor"]["data"][1:]
    assert np.isfinite(lit["z"]).sum() == view.numbers["shared"] == 4 * 64
    assert tiles["meta"]["click"] == "channel" and tiles["meta"]["values"] == 4 * list(range(1, 9))
    columns = np.flatnonzero(np.isfinite(lit["z"]).any(axis=0))
    assert abs(columns.mean() - tiles["x"][5]) < 1e-9, "the sixth column of tiles"


def test_a_channel_beyond_the_last_is_one_that_is_there():
    assert complete(settings("count", channels=4, channel=7)).numbers["channel"] == 3


# --- a bias in front of a norm ------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["batch", "layer", "none", "after"])
def test_a_shift_in_front_of_batch_norm_alone_leaves_no_trace(arm):
    numbers = complete(settings("bias", arm=arm, shift=-2.0)).numbers
    still = complete(settings("bias", arm=arm, shift=0.0)).numbers
    assert still["moved"] == 0
    assert (numbers["moved"] < 1e-12) == (arm == "batch") == (numbers["to_weight"] < 1e-9)


def test_what_the_samples_add_cancels():
    view = answered("bias")[2]
    bars = view.figures["pulls"]["data"][0]["y"]
    assert abs(bars.sum()) < 1e-12 < 1e-3 < np.abs(bars).sum() and len(bars) == 32


def test_the_bias_can_be_dragged_on_the_axis_that_it_moves():
    view = complete(settings("bias", shift=1.5))
    dot = next(trace for trace in view.figures["unit"]["data"] if trace["name"] == "bias")
    assert dot["x"].tolist() == [1.5] and dot["meta"] == {"drag": "shift", "axis": "x"}


# --- before or after the activation -------------------------------------------------------------------------


def test_after_leads_with_sigmoid_and_less_at_the_rate_of_its_own():
    numbers = answered("order")[2].numbers
    assert (
        numbers["low"] > 5
        and 0 < numbers["fair"] < numbers["gain"] / 2
        and numbers["late"] < numbers["gain"] / 2
    )


def test_a_rate_is_chosen_on_the_seeds_that_it_is_not_judged_on():
    right = {"0.1": [0.9] * 4 + [0.2] * 4, "0.3": [0.1] * 4 + [0.8] * 4, "1": [0.0] * 8}
    found = {f"before {rate}": {"right": np.array([right[rate]])} for rate in RATES}
    picked, used = chosen(found, "before", 0)
    assert picked.tolist() == [0.1] * 4 + [0.2] * 4 and used == {"0.1", "0.3"}


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_a_lead_is_claimed_only_where_the_interval_tells(activation):
    view = complete(settings("order", activation=activation, step=100))
    numbers = view.numbers
    clear = numbers["low"] > 0 or numbers["high"] < 0
    first = view.text.split("With the best")[0]
    assert ("no clear difference" in first) != clear and not re.search(r"(?<=[ (])-\d", view.text)


def test_a_norm_before_a_relu_keeps_every_unit_alive():
    numbers = complete(settings("order", activation="relu", step=200)).numbers
    assert numbers["before_dead"] < 0.005 < numbers["after_dead"]


def test_the_step_is_the_last_look_before_it():
    view = complete(settings("order", step=99))
    assert view.numbers["step"] == 50 and view.table["step"].tolist() == list(LOOKS[:4])


# --- starts -------------------------------------------------------------------------------------------------


def test_gradients_shrink_with_gamma_and_are_gone_at_0():
    small = complete(settings("start", gamma=0.05)).numbers
    assert small["ratio"] == pytest.approx(0.05, rel=0.1) and 0.4 < small["right"] < small["right_one"] - 0.1
    view = answered("start")[2]
    assert view.numbers["first"] == 0 and view.numbers["answers"] == 1 and view.numbers["branch"] > 0.85
    assert "γ = 0: 0 in every layer" in words_of(view.figures["gradient"])


def test_what_passes_is_what_the_bell_curve_says():
    for shift in (-2.0, -1.0, 0.0, 1.0):
        numbers = complete(settings("beta", beta=shift)).numbers
        assert numbers["active"] == pytest.approx(active_share(shift), abs=0.01), shift
    assert active_share(0.0) == 0.5 and active_share(1.96) == pytest.approx(0.975, abs=1e-4)
    bars = complete(settings("beta", beta=-2.0)).figures["entering"]["data"]
    assert bars[1]["y"].sum() == pytest.approx(0.0208, abs=0.003)
    assert bars[0]["y"].sum() + bars[1]["y"].sum() == pytest.approx(1)


@pytest.mark.parametrize(("scene", "control", "value"), [("start", "gamma", 0.3), ("beta", "beta", -0.7)])
def test_a_moving_finger_waits_for_no_training(scene, control, value):
    begin = {job for job in page.jobs(settings(scene)).values() if not job.light}
    moving = settings(scene, **{control: value}) | {"draft": True}
    asked = page.jobs(moving)
    assert {job for job in asked.values() if not job.light} <= begin
    view = CHAPTER.view(moving, {name: result(job) for name, job in asked.items()})
    dot = view.figures["right"]["data"][-2 if scene == "start" else -1]
    assert dot["x"].tolist() == [value] and not view.waiting and "seeds" not in view.text
    assert "here" in page.jobs({**moving, "draft": False})


def test_the_lab_has_what_it_can_show():
    assert page.lab(settings("count")) is None and page.lab(settings("bias")) is None
    race = page.lab(settings("order"))
    assert [config.placement for config in race.configs] == ["before", "after"]
    assert page.lab(settings("order", seed=10_000)) is None


def test_the_thumbnail_has_a_row_for_each_doubling():
    rows = [len(page.thumbnail({"batch_size": m})["data"][1]["x"]) for m in (1, 2, 32, 256)]
    assert rows == [1, 2, 6, 9]
