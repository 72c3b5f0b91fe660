"""The chapter "Placement": what is measured, the reasons given, what is lit, what a finger asks for."""

import re
from functools import cache

import numpy as np
import pytest

from book.predictions import answer, measured_states
from pages import placement as page
from pages._placement_parts import LOOKS, RATES, passed_on
from pages._placement_views import active_share, chosen
from pages.placement import CHAPTER
from tests.figures import words_of
from tests.once import once

SCENES = {scene.name: scene for scene in CHAPTER.scenes}


@cache
def result(job):
    return once(job.function, *job.arguments)


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
    [("count", "2,048: one for each channel"), ("bias", "zero, except for rounding errors"),
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
    [({}, 2048), ({"side": "2"}, 128), ({"side": "dense"}, 32), ({"samples": 1}, 64),
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


def test_an_open_question_says_what_is_drawn_and_framed():
    view = complete(CHAPTER.settings(SCENES["count"], {}))
    assert "8 of 32 digits are drawn" in view.text and "framed tile" in view.text
    (frame,) = view.figures["tensor"]["layout"]["shapes"]
    assert frame["x1"] - frame["x0"] == frame["y1"] - frame["y0"] == 8


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


@pytest.mark.parametrize("arm", ["batch", "layer"])
def test_gradients_are_told_apart_and_errors_of_rounding_have_an_axis_of_their_own(arm):
    view = complete(settings("bias", arm=arm))
    drawn = view.figures["gradients"]
    upper = [trace for trace in drawn["data"] if trace.get("yaxis") != "y2"]
    low, high = drawn["layout"]["yaxis"]["range"]
    assert high - low <= 3 and len(upper) == (9 if arm == "batch" else 12)
    assert all(low <= np.log10(trace["y"]).min() <= np.log10(trace["y"]).max() <= high for trace in upper)
    assert ("except for rounding errors" in view.text) == (arm == "batch")


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


@pytest.mark.parametrize("layer", [1, 2])
def test_a_norm_before_a_relu_keeps_every_unit_alive(layer):
    view = complete(settings("order", activation="relu", step=200, layer=layer))
    before, after = (view.numbers[f"{order}_dead"] for order in ("before", "after"))
    assert before < 0.005 and (after > 0.005) == (layer == 1)
    assert f"layer {layer}: before {before:.1%}, after {after:.1%}" in view.text
    assert f"dead units {after:.1%}" in words_of(view.figures["flow"]), "one number in picture and sentence"


def test_what_a_layer_passes_on_of_a_bell_curve():
    relu = 1 / np.sqrt(2 * np.pi), np.sqrt(1 / 2 - 1 / (2 * np.pi))
    np.testing.assert_allclose(passed_on("relu", "before"), relu, rtol=1e-5)
    np.testing.assert_allclose(passed_on("relu", "after", "none", 3.0, 2.0), relu, rtol=1e-5)
    np.testing.assert_allclose(passed_on("relu", "before", "layer", 2.0), 2 * np.array(relu), rtol=1e-5)
    assert passed_on("tanh", "after", "batch", -0.5, 2.0) == (2, 0.5)
    z = np.random.default_rng(0).standard_normal(400_000)
    out = np.tanh(0.7 * z - 1)
    np.testing.assert_allclose(
        passed_on("tanh", "before", gamma=0.7, beta=-1.0), (out.mean(), out.std()), rtol=5e-3
    )


def test_a_tiny_program_measures_what_the_view_has_in_closed_form(capsys):
    states = [("count", {"side": "dense"}), ("start", {"gamma": 0.05}), ("beta", {"beta": 1.0})]
    states += [("bias", {"arm": arm}) for arm in ("layer", "none", "after")]
    states.append(("order", {"activation": "relu"}))
    states += [
        ("play", {"norm": norm, "order": order, "gamma": 0.5, "beta": 0.3})
        for norm, order in (("batch", "after"), ("layer", "before"), ("none", "after"))
    ]
    for scene, changes in states:
        values = settings(scene, **changes)
        exec(CHAPTER.pytorch(values), {})
        printed = re.findall(r"^(\w+) = (\S+)$", capsys.readouterr().out, re.M)
        numbers = complete(values).numbers
        assert printed
        for name, number in printed:
            assert float(number) == pytest.approx(numbers[name], rel=1e-3, abs=1e-9), (scene, changes, name)


def test_the_step_is_the_last_look_before_it():
    view = complete(settings("order", step=99))
    assert view.numbers["step"] == 50 and view.table["step"].tolist() == list(LOOKS[:4])


def test_the_free_scene_says_what_does_nothing_and_calls_relus_zeros_by_their_name():
    assert "cut to 0" in complete(settings("play")).text
    view = complete(settings("play", norm="none", activation="tanh"))
    assert "saturated" in view.text and "change nothing" in view.text


# --- starts -------------------------------------------------------------------------------------------------


def test_gradients_shrink_with_gamma_and_are_gone_at_0():
    small = complete(settings("start", gamma=0.05)).numbers
    assert small["ratio"] == pytest.approx(0.05, rel=0.1) and 0.4 < small["right"] < small["right_one"] - 0.1
    view = answered("start")[2]
    assert view.numbers["first"] == 0 and view.numbers["answers"] == 1 and view.numbers["branch"] > 0.85
    assert "γ = 0: 0 in every layer" in words_of(view.figures["gradient"])


@pytest.mark.parametrize(("scene", "control", "usual"), [("start", "gamma", 1.0), ("beta", "beta", 0.0)])
def test_a_start_is_compared_with_the_usual_one(scene, control, usual):
    same = complete(settings(scene, **{control: usual}))
    assert f"{same.numbers['right']:.1%} of the digits are right" in same.text
    other = complete(settings(scene, **{control: 2.0}))
    points = 100 * (other.numbers["right"] - same.numbers["right"])
    assert f"{points:+.1f} points".replace("-", "−") in other.text


def test_one_answer_to_all_is_right_as_often_as_its_class_is_there():
    numbers = answered("start")[2].numbers
    assert numbers["common"] == pytest.approx(numbers["right"])


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


def test_the_thumbnail_has_a_row_for_each_doubling():
    rows = [len(page.thumbnail({"batch_size": m})["data"][1]["x"]) for m in (1, 2, 32, 256)]
    assert rows == [1, 2, 6, 9]
