"""The chapter "Learning rate and initialization": what is measured, the reasons given, what is hidden."""

from functools import cache

import numpy as np
import pytest

from bnlib.experiments.intervals import Interval
from book.predictions import answer, measured_states
from pages import _learning_rate_map as table
from pages import _learning_rate_parts as parts
from pages import learning_rate as page
from pages._learning_rate_views import largest
from pages.learning_rate import CHAPTER
from tests.figures import words_of
from tests.once import once

SCENES = {scene.name: scene for scene in CHAPTER.scenes}


def flat(job):
    return job.function, *job.arguments


def complete(values):
    return CHAPTER.view(
        values, {name: once(j.function, *j.arguments) for name, j in page.jobs(values).items()}
    )


def settings(name, answered=True, **changes):
    return CHAPTER.settings(SCENES[name], changes, answered=answered)


@cache
def revealed(name, seed=0):
    begin, reveal = measured_states(CHAPTER, SCENES[name], seed=seed)
    before = complete(begin).numbers
    after = reveal(before)
    return answer(SCENES[name], before, after, complete(after).numbers), complete(after)


@pytest.mark.parametrize("seed", [0, 10_000])
@pytest.mark.parametrize(
    ("name", "right"),
    [("rate", "1, ten times as large"), ("small", "clearly higher"), ("scale", "about 40%"),
     ("map", "in about 6"), ("smooth", "over 1,000 times as large")],
)  # fmt: skip
def test_the_answer_is_what_is_measured_and_no_close_call(name, right, seed):
    found, view = revealed(name, seed)
    choices = SCENES[name].choices
    assert choices[found.right].label == right
    distances = sorted(abs(choice.value - view.numbers[SCENES[name].measured]) for choice in choices)
    assert distances[0] < 0.3 * distances[1]


def test_steps_at_right_angles_make_weights_longer():
    numbers = revealed("rate")[1].numbers
    assert numbers["longer"] == pytest.approx(numbers["longer_theory"], rel=0.01) and numbers["longer"] > 1.05
    assert numbers["later"] < numbers["first"] / 3
    assert numbers["peak"] > 1.2 * numbers["loss_none"] and numbers["peak_batch"] < 1.2 * numbers["loss_none"]


def test_at_a_small_rate_a_gradient_helps_its_own_batch_more_than_others():
    numbers = revealed("small")[1].numbers
    assert numbers["factor"] > 2 and numbers["alike_batch"] < 0.7 * numbers["alike_none"]
    assert numbers["fall_batch"] == pytest.approx(numbers["expected_batch"], rel=0.05)  # first order holds
    assert numbers["fall_none"] == pytest.approx(numbers["expected_none"], rel=0.2)


def test_with_pixels_as_they_are_batch_norm_is_not_behind():
    numbers = revealed("small")[1].numbers
    assert numbers["loss_batch"] > 1.2 * numbers["loss_none"] and numbers["raw_batch"] < numbers["raw_none"]
    for norm in ("none", "batch"):
        raw = parts.plain({"seed": 0}, norm)
        assert (raw.inputs, raw.lr, raw.depth) == ("raw", 0.01, 5)


def test_a_scale_acts_as_a_learning_rate():
    numbers = revealed("scale")[1].numbers
    assert numbers["difference"] < 1e-9
    assert numbers["hidden"] < numbers["hidden_more"]
    assert max(numbers["half_none"], numbers["twice_none"]) < 0.5 < numbers["usual_none"]


def test_the_gradient_grows_as_theory_says_and_no_longer_after_some_steps():
    numbers = revealed("smooth")[1].numbers
    assert numbers["growth"] == pytest.approx(numbers["theory"], rel=0.03)
    assert numbers["growth_later"] < 1.15 < numbers["growth"]
    assert numbers["sign_20_start"] == numbers["sign_20_later"] == 1
    assert numbers["sign_2_start"] == numbers["sign_5_later"] == -1


# --- what is hidden -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SCENES))
def test_nothing_of_batch_norm_is_drawn_while_the_question_is_open(name):
    view = complete(settings(name, answered=False))
    for figure in view.figures.values():
        assert "batch norm" not in " ".join(words_of(figure)).casefold()
        assert not [trace for trace in figure["data"] if "batch norm" in trace.get("name", "").casefold()]
    assert "batch norm" not in view.text


@pytest.mark.parametrize("name", list(SCENES))
def test_a_finger_asks_for_nothing_that_is_not_there_already(name):
    values = settings(name)
    ends = {"lr": 10.0, "small_lr": 0.1, "scale": 0.1, "cell": 3, "depth": 2}
    moved = values | {key: end for key, end in ends.items() if key in SCENES[name].controls} | {"draft": True}
    assert page.jobs(moved) == page.jobs(values)


def test_pictures_are_drawn_from_the_first_job_on():
    for name in SCENES:
        values = settings(name)
        jobs = page.jobs(values)
        found = dict.fromkeys(jobs)
        assert CHAPTER.view(values, found).waiting
        first = next(iter(jobs))
        found[first] = once(jobs[first].function, *jobs[first].arguments)
        view = CHAPTER.view(values, found)
        assert view.figures and view.waiting.startswith(f"1 of {len(jobs)}")


# --- the map ------------------------------------------------------------------------------------------------


def test_a_chosen_cell_is_framed_and_its_runs_grow_with_the_playhead():
    values = settings("map", cell=8, step=20)
    view = complete(values)
    assert table.picked(values) == (0.1, 0.2)
    cells = view.figures["batch"]["data"][0]
    assert cells["meta"]["click"] == "cell" and cells["meta"]["sweep"] is True
    assert len(cells["meta"]["values"]) == len(cells["meta"]["says"]) == table.COUNT
    frame = view.figures["batch"]["layout"]["shapes"][-1]
    assert (frame["x0"] + frame["x1"]) / 2 == 2 and (frame["y0"] + frame["y1"]) / 2 == 1
    runs = view.figures["runs"]["data"]
    assert {len(trace["x"]) for trace in runs} == {20}
    played = complete(values | {"draft": True})
    assert {len(trace["x"]) for trace in played.figures["runs"]["data"]} == {20}, (
        "frames that play are drafts"
    )
    assert played.text.startswith("Step 20, learning rate 0.1, weights × 0.2:")


def test_the_maps_follow_the_playhead_and_frame_cells_at_its_end():
    early, end = (complete(settings("map", step=step)) for step in (20, parts.SHORT))
    for norm in parts.NORMS:
        assert "after 20 steps" in early.figures[norm]["layout"]["meta"]["title"]
        z = [view.figures[norm]["data"][0]["z"] for view in (early, end)]
        own = once(*flat(page.jobs(settings("map"))[f"{norm} 1"]))["right"]
        row = parts.SCALES.index(1.0)
        np.testing.assert_allclose(z[0][row], own[..., 10:20].mean(axis=(1, 2)))
        np.testing.assert_allclose(z[1][row], own[..., -10:].mean(axis=(1, 2)))
        assert len(early.figures[norm]["layout"]["shapes"]) == 1, "the chosen cell"
    assert early.numbers["cells"] == end.numbers["cells"], "the answer is about the end"


def test_on_a_phone_the_runs_of_a_cell_are_between_both_maps():
    for narrow, place in ((False, "side"), (True, "main")):
        figures = complete(settings("map") | {"narrow": narrow}).figures
        assert list(figures) == ["none", "runs", "batch"]
        assert figures["runs"]["layout"]["meta"]["place"] == place


def test_each_bar_of_what_a_step_gains_is_its_mean_and_has_its_name():
    view = complete(settings("small", small_lr=0.01))
    figure, numbers = view.figures["gain"], view.numbers
    *bars, marks = figure["data"]
    assert [bar["name"] for bar in bars] == [parts.NAMES[norm] for norm in parts.NORMS]
    assert figure["layout"]["xaxis"]["ticktext"] == ["own", "other"] * 2
    at = figure["layout"]["xaxis"]["tickvals"]
    assert [x for bar in bars for x in bar["x"]] == at == list(marks["x"])
    for k, norm in enumerate(parts.NORMS):
        np.testing.assert_allclose(bars[k]["y"], [numbers[f"own_fall_{norm}"], numbers[f"fall_{norm}"]])
        np.testing.assert_allclose(
            marks["y"][2 * k : 2 * k + 2], [numbers[f"own_{norm}"], numbers[f"expected_{norm}"]]
        )


def test_cells_are_marked_where_the_paired_interval_has_no_clear_lead():
    view = complete(settings("map"))
    texts = [note["text"] for note in view.figures["batch"]["layout"]["annotations"]]
    assert sum("=" in text or "<" in text for text in texts) == view.numbers["cells"]
    assert sum("<" in text for text in texts) == view.numbers["behind"]
    for norm in parts.NORMS:  # on both, so that they can be compared
        assert len(view.figures[norm]["layout"]["shapes"]) == view.numbers["cells"] + 1


@pytest.mark.parametrize(
    ("gap", "words", "sign"),
    [(Interval(3.0, 1.0, 5.0, 8), "batch norm is ahead by 3 points", 1),
     (Interval(-3.0, -5.0, -1.0, 8), "batch norm is behind by 3 points", -1),
     (Interval(-3.0, -7.0, 1.0, 8), "no clear difference in points", 0)],
)  # fmt: skip
def test_a_difference_is_claimed_where_its_interval_leaves_out_zero(gap, words, sign):
    assert parts.said(gap, "points") == words and parts.verdict(gap) == sign


def test_right_answers_are_averaged_over_the_last_batches():
    right = np.random.default_rng(0).random((2, 25))
    smooth = parts.smooth(right)
    for step in range(25):
        np.testing.assert_allclose(smooth[:, step], right[:, max(step - 9, 0) : step + 1].mean(axis=1))
    np.testing.assert_allclose(parts.final(right), smooth[:, -1])


def test_the_largest_rate_that_trains_has_half_of_the_answers_right():
    right = np.array([[0.6, 0.5], [0.2, 0.9], [0.4, 0.5]])
    assert largest(right, (0.1, 1.0, 10.0)) == 1.0
    assert largest(0.1 * right, (0.1, 1.0, 10.0)) == 0.1
