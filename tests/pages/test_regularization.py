"""The chapter "Regularization": what is measured, the reasons, what is hidden, what a finger asks for."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bnlib.experiments.intervals import Interval, paired
from bnlib.lessons import regularization as lesson
from book.predictions import answer, measured_states
from pages import regularization as page
from pages._regularization_limits import wrong_count
from pages._regularization_parts import (
    DROPOUT,
    EVERY,
    LABEL_SIZES,
    RATES,
    SMALL,
    STEPS,
    SUSPECTS,
    WRONG,
    dense,
    near,
    said,
)
from pages._regularization_views import best
from pages.regularization import CHAPTER
from tests.figures import words_of
from tests.once import once

SCENES = {scene.name: scene for scene in CHAPTER.scenes}


@cache
def result(job):
    return once(job.function, *job.arguments)


def results(values):
    return {name: result(job) for name, job in page.jobs(values).items()}


def complete(values):
    return CHAPTER.view(values, results(values))


def settings(name, **changes):
    return CHAPTER.settings(SCENES[name], changes, answered=True)


@cache
def answered(name, seed=0):
    begin, reveal = measured_states(CHAPTER, SCENES[name], seed=seed)
    before = complete(begin).numbers
    after = reveal(before)
    return answer(SCENES[name], before, after, complete(after).numbers), before, complete(after)


@pytest.mark.parametrize("seed", [0, 10_000])
@pytest.mark.parametrize(
    ("name", "right"),
    [("company", "2 or 3%"), ("labels", "two thirds fewer"),
     ("why", "adding the noise of norm batches of 4"), ("clean", "no point, or they lose a little"),
     ("dropout", "about twice as large")],
)  # fmt: skip
def test_the_answer_is_what_is_measured_and_no_close_call(name, right, seed):
    found, _, view = answered(name, seed)
    choices = SCENES[name].choices
    assert choices[found.right].label == right
    measured = view.numbers[{"labels": "ratio", "clean": "gain"}.get(name, SCENES[name].measured)]
    distances = sorted(abs(choice.value - measured) for choice in choices)
    assert distances[0] < 0.3 * distances[1], "before it is rounded, too"


# --- the same digit in other company ------------------------------------------------------------------------


def test_the_picture_follows_the_law_and_the_law_its_first_order():
    for m, near_law, near_first in ((128, 0.12, 0.03), (64, 0.12, 0.03), (8, 0.12, 0.2)):
        numbers = complete(settings("company", m=m)).numbers
        assert numbers["spread"] == pytest.approx(numbers["spread_law"], rel=near_law)
        assert numbers["spread_law"] == pytest.approx(numbers["spread_first"], rel=near_first)
        assert numbers["share"] == pytest.approx(numbers["share_law"], rel=0.25)
        assert numbers["share_first"] == 1.5 / m


def test_dropout_has_the_share_that_norm_batches_of_4_have():
    share = lesson.noise_law((SMALL,))["share"][0]
    assert share == pytest.approx(DROPOUT, abs=0.005)
    dropped = np.repeat([0, 1 / (1 - DROPOUT)], [34, 66])
    assert dropped.var() / (dropped**2).mean() == pytest.approx(DROPOUT), "p is the share of dropout's noise"


def test_the_noise_of_64_is_hidden_until_the_question_is_answered():
    begin = measured_states(CHAPTER, SCENES["company"])[0]
    view = CHAPTER.view(begin | {"guesses": ()}, results(begin))
    assert (
        list(view.figures) == ["xhat"] and "mean square" not in view.text and view.table["m"].tolist() == [4]
    )


# --- wrong labels -------------------------------------------------------------------------------------------


def test_the_error_falls_with_the_norm_batch_down_to_4_and_fails_at_2():
    numbers = answered("labels")[2].numbers
    errors = [numbers[f"error_{m}"] for m in sorted(LABEL_SIZES)]
    assert errors[0] > 40 and errors[1:] == sorted(errors[1:])
    repeated = [numbers[f"repeated_{m}"] for m in (4, 8, 16, 64)]
    assert repeated == sorted(repeated) and repeated[0] < 0.1 and repeated[-1] > 0.9
    assert numbers["worse_low"] > 0 and numbers["repeated_none"] < 0.5, "no norm memorizes less than m = 64"


def test_an_open_question_shows_the_curves_it_asks_about_alone():
    for name, figures, words in (
        ("labels", ["curves"], ("m = 4", "no norm")),
        (
            "why",
            ["repeated", "lowest"],
            ("best step ends", "best step:", "noise of 4, gradient of 64:"),
        ),
        ("clean", ["curves"], ("gain",)),
        ("dropout", ["ratio"], ("norms 2 and 3", "computed again")),
    ):
        begin = measured_states(CHAPTER, SCENES[name])[0]
        view = CHAPTER.view(begin | {"guesses": ()}, results(begin))
        shown = " ".join(
            [view.text, *(text for figure in view.figures.values() for text in words_of(figure))]
        )
        assert list(view.figures) == figures and not [word for word in words if word in shown], name


def test_a_size_that_is_not_trained_is_named():
    view = complete(settings("labels", size=11))
    assert "Norm batch 8 (the trained size nearest to 11)" in view.text
    assert view.numbers["m"] == near(11, LABEL_SIZES) == 8 and near(0.19, WRONG) == 0.1


# --- what keeps them out ------------------------------------------------------------------------------------


def test_each_suspect_is_compared_seed_by_seed_at_its_best_step():
    found = results(settings("why"))
    small = found["small"]["val"][:, found["small"]["val"].mean(axis=0).argmin()]
    for suspect in SUSPECTS:
        view = complete(settings("why", suspect=suspect))
        own = found["whole" if suspect == "stop" else suspect]["val"]
        gap = paired(own[:, own.mean(axis=0).argmin()] - small)
        assert f"{gap.mean:+.1f} points".replace("-", "−") in view.text
        assert f"at step {EVERY * own.mean(axis=0).argmin()}" in view.text
    assert best(found["whole"]) < best(found["noise"]), "what memorizes is best early"


def test_each_suspect_changes_one_thing():
    asked = page.jobs(settings("why"))
    config, steps, every = asked["whole"].arguments
    assert config == dense(settings("why")) and (steps, every) == (STEPS, EVERY)
    others = {name: asked[name].arguments for name in ("small", "slow", "noise", "dropout")}
    assert others["small"] == (replace(config, norm_batch=SMALL), steps, every)
    slow = others["slow"][0]
    assert slow.lr == pytest.approx(config.lr / 10) and replace(slow, lr=config.lr) == config
    assert others["noise"] == (config, steps, every, SMALL)
    assert others["dropout"] == (config, steps, every, 0, (DROPOUT,) * 3)


def test_noise_and_dropout_reach_the_error_and_slower_learning_does_not():
    for seed in (0, 10_000):
        numbers = answered("why", seed)[2].numbers
        good, bad = ("low_noise", "low_dropout"), ("low_slow", "low_stop")
        assert max(numbers[name] for name in good) < numbers["low_small"] + 1
        assert min(numbers[name] for name in bad) > numbers["low_small"] + 2
        assert numbers["repeated_dropout"] < 0.15 < numbers["repeated_whole"]


def test_the_winner_is_none_of_them_where_none_comes_near():
    values = settings("why")
    found = results(values)
    for name in ("noise", "slow", "whole"):
        found[name] = found[name] | {"val": found[name]["val"] + 20}
    assert CHAPTER.view(values, found).numbers["winner"] == 3
    found["slow"] = found["slow"] | {"val": found["slow"]["val"] * 0 + 1}
    assert CHAPTER.view(values, found).numbers["winner"] == 1


def test_a_click_on_a_row_chooses_its_suspect():
    figure = complete(settings("why", suspect="slow")).figures["lowest"]
    clicked = [trace["meta"]["values"] for trace in figure["data"] if "click" in trace.get("meta", {})]
    assert sorted(name for (name,) in clicked) == sorted(SUSPECTS)
    chosen = [trace["name"] for trace in figure["data"] if trace["marker"].get("line")]
    assert chosen == [SUSPECTS["slow"][0]]


# --- limits -------------------------------------------------------------------------------------------------


def test_right_labels_gain_nothing_and_wrong_ones_the_more_the_more_there_are():
    gains = [complete(settings("clean", wrong=share)).numbers for share in WRONG]
    assert [numbers["gain"] for numbers in gains] == sorted(numbers["gain"] for numbers in gains)
    assert gains[0]["high"] < 1 and gains[1]["low"] > 0 and gains[2]["low"] > 10


def test_wrong_labels_are_counted():
    assert wrong_count(0.0) == 0
    data = dense(settings("clean")).data()
    labels = replace(dense(settings("clean")), label_noise=0.0).data().y_train
    assert wrong_count(0.3) == np.count_nonzero(data.y_train != labels) == pytest.approx(192, abs=30)


def test_a_difference_is_claimed_where_its_interval_leaves_out_0():
    assert said(Interval(-1.0, -2.0, -0.5, 8), ", more", ", fewer").endswith(", fewer")
    assert said(Interval(1.0, 0.5, 2.0, 8), ", more", ", fewer").endswith(", more")
    assert said(Interval(-1.0, -2.0, 0.5, 8), ", more", ", fewer").endswith(": no clear difference")
    assert "−2.0 to +0.5" in said(Interval(-1.0, -2.0, 0.5, 8), ", more", ", fewer")


def test_a_running_variance_is_too_large_by_what_the_masks_add():
    for p in RATES:
        numbers = complete(settings("dropout", order="before", p=p)).numbers
        assert numbers["ratio_2"] == pytest.approx(numbers["expected_2"], rel=0.05)
        assert numbers["ratio_1"] == pytest.approx(1, abs=0.04) and numbers["ratio"] > numbers["ratio_2"]
        behind = complete(settings("dropout", order="behind", p=p)).numbers
        assert behind["ratio"] == pytest.approx(1, abs=0.04)


# --- fingers and programs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scene", "control", "value"),
    [("company", "m", 16), ("labels", "size", 8), ("clean", "wrong", 0.1), ("dropout", "p", 0.7)],
)
def test_a_moving_finger_waits_for_no_training(scene, control, value):
    begin = page.jobs(settings(scene))
    moving = settings(scene, **{control: value}) | {"draft": True}
    assert page.jobs(moving) == begin
    view = CHAPTER.view(moving, {name: result(job) for name, job in begin.items()})
    dragged = [
        trace
        for figure in view.figures.values()
        for trace in figure["data"]
        if trace.get("meta", {}).get("drag") == control
    ]
    assert len(dragged) == 1 and dragged[0]["x"].tolist() == [value] and not view.waiting


@pytest.mark.parametrize("scene", list(SCENES))
def test_what_is_there_is_drawn_while_the_rest_is_computed(scene):
    values = settings(scene)
    found = results(values)
    view = CHAPTER.view(values, dict.fromkeys(found))
    assert view.figures and "0 of" in view.waiting
    for name in found:
        view = CHAPTER.view(values, found | {name: None})
        assert view.figures and f"{len(found) - 1} of {len(found)}" in view.waiting


def test_a_tiny_program_measures_what_the_view_has_in_closed_form(capsys):
    states = [("company", {"m": m}) for m in (2, 64)] + [("labels", {"size": m}) for m in (2, 4, 64)]
    states += [("why", {})] + [("clean", {"wrong": share}) for share in WRONG]
    states += [("dropout", {"p": p}) for p in RATES]
    for scene, changes in states:
        values = settings(scene, **changes)
        exec(CHAPTER.pytorch(values), {})
        printed = re.findall(r"^(\w+) = (\S+)$", capsys.readouterr().out, re.M)
        numbers = complete(values).numbers
        assert printed
        for name, number in printed:
            assert float(number) == pytest.approx(numbers[name], rel=1e-3, abs=1e-9), (scene, changes, name)


def test_the_lab_has_what_it_can_show():
    assert page.lab(settings("company")) is None and page.lab(settings("dropout")) is None
    race = page.lab(settings("labels", size=8))
    assert [config.norm_batch for config in race.configs] == [0, 8, 4, 0] and race.steps == STEPS
    assert page.lab(settings("clean", wrong=0.1)).configs[1].label_noise == 0.1


def test_the_thumbnail_narrows_as_the_batch_grows():
    widths = []
    for m in (2, 4, 32, 256):
        y = page.thumbnail({"batch_size": m})["data"][2]["y"]
        widths.append((np.asarray(y) > 0.5).sum())
    assert widths == sorted(widths, reverse=True) and page.thumbnail({"batch_size": 1})
