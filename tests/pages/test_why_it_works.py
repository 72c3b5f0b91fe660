"""The chapter "Why does it work?": right answers, reasons, what is lit or hidden, the vote, the board."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from bnlib.experiments.intervals import Interval
from book.predictions import answer, measured_states
from pages import why_it_works as page
from pages._why_it_works_loss import nearest_factor
from pages._why_it_works_parts import FACTORS, LONG, VOTES, early_loss, tells, times, with_vote
from pages._why_it_works_shift import chord
from pages._why_it_works_verdict import TRIALS, cell, factors, student_of
from pages._why_it_works_views import BELL, meaning
from pages.why_it_works import CHAPTER
from tests.figures import words_of
from tests.once import once

SCENES = {scene.name: scene for scene in CHAPTER.scenes}


@cache
def result(job):
    return once(job.function, *job.arguments)


def done(values):
    return {name: result(job) for name, job in page.jobs(values).items()}


def complete(values):
    return CHAPTER.view(values, done(values))


def settings(name, **changes):
    scene = SCENES[name]
    return CHAPTER.settings(scene, {**scene.reveal, **changes}, answered=True)


def opened(name, **changes):
    return CHAPTER.settings(SCENES[name], changes)


def names_of(figure):
    return {trace["name"] for trace in figure["data"] if trace["name"]}


@pytest.mark.parametrize(
    ("name", "right"),
    [("steady", "1 or 2 points more"), ("noise", "less than half"), ("measures", "about 1.4 times: larger"),
     ("smooth", "about 15 times smaller"), ("length", "a ninth as far")],
)  # fmt: skip
def test_the_answer_is_what_is_measured_and_no_close_call(name, right):
    scene = SCENES[name]
    begin, reveal = measured_states(CHAPTER, scene)
    before = complete(begin).numbers
    after = reveal(before)
    numbers = complete(after).numbers
    assert scene.choices[answer(scene, before, after, numbers).right].label == right
    distances = sorted(abs(choice.value - numbers[scene.measured]) for choice in scene.choices)
    assert distances[0] < 0.3 * distances[1]


# --- the vote -----------------------------------------------------------------------------------------------


def test_the_vote_is_in_every_scene_and_changes_no_number():
    assert all("vote" in scene.controls for scene in CHAPTER.scenes)
    for name in SCENES:
        views = [complete(settings(name, vote=vote)) for vote in ("", "smooth")]
        assert views[0].numbers == views[1].numbers
        if name not in ("vote", "verdict"):
            assert "Your vote" not in views[0].text and "Your vote: smoother loss" in views[1].text


def test_the_board_speaks_of_the_vote_that_was_given():
    for vote, name in VOTES.items():
        assert complete(settings("verdict", vote=vote)).text.startswith(
            f"Your vote: {name}. " if vote else "You "
        )


@pytest.mark.parametrize(("vote", "words"), [("steady", "this scene tests it"), ("noise", "“steady inputs”")])
def test_a_scene_says_whether_it_tests_the_vote(vote, words):
    view = complete(opened("noise", vote=vote))
    assert words in view.text.split("Your vote")[1]
    bare = complete(opened("vote"))
    assert with_vote(opened("vote", vote="noise"), bare) is bare


# --- steady inputs ------------------------------------------------------------------------------------------


def test_at_rate_2_inputs_drift_and_the_network_learns_all_the_same():
    numbers = complete(settings("steady")).numbers
    assert numbers["drift"] > 2 and numbers["none_drift"] > 2 * numbers["still"]
    assert numbers["none_right"] > 0.9 and 0 < numbers["gap_low"] <= numbers["gap"] < 3
    slow = complete(settings("steady", lr="0.1")).numbers
    assert slow["drift"] < 1 and slow["none_right"] < 0.3, "steadier than batch norm, and it learns nothing"


def test_the_drift_is_the_medians_and_the_curves_are_the_errors():
    values = settings("steady")
    view, found = complete(values), done(values)
    own = found["none 2"]
    assert view.numbers["none_drift"] == pytest.approx(own["drift"].mean())
    np.testing.assert_allclose(view.table["none"], 1 - own["val_error"].mean(axis=0) / 100)
    assert list(view.table["step"])[-1] == LONG
    ratio = stats.gmean(own["drift"] / found["batch 2"]["drift"])
    assert view.numbers["drift"] == pytest.approx(ratio)
    assert pytest.approx(stats.norm.ppf(0.85)) == BELL


def test_while_the_question_waits_rate_2_is_not_shown():
    for rate in ("0.5", "2"):
        view = complete(opened("steady", lr=rate))
        words = " ".join([view.text, *(w for f in view.figures.values() for w in words_of(f))])
        assert "earning rate 0.5" in words and "rate 2" not in words


# --- noise --------------------------------------------------------------------------------------------------


def test_inputs_move_as_far_as_the_noise_alone_moves_them():
    for strength in (1, 2, 3):
        numbers = complete(settings("noise", strength=strength)).numbers
        assert numbers["noisy_moved"] == pytest.approx(numbers["law"], rel=0.02)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({}, "Less steady, and ahead"), ({"strength": 3}, "costs more"),
     ({"activation": "relu"}, "no less steady")],
)  # fmt: skip
def test_what_is_said_follows_what_is_measured(changes, words):
    assert words in complete(settings("noise", **changes)).text


def test_every_outcome_of_noise_has_its_sentence():
    lower, level, higher = (Interval(m, m - 0.1, m + 0.1, 8) for m in (0.5, 1.0, 2.0))
    assert "Less steady" in meaning(lower, higher) and "tests nothing" in meaning(lower, level)
    assert "costs more" in meaning(higher, higher) and "No clear difference" in meaning(level, higher)


def test_noise_is_hidden_and_then_drawn_as_far_as_it_is_played():
    view = complete(opened("noise"))
    assert not any("nois" in name for figure in view.figures.values() for name in names_of(figure))
    for changes, last in (({"step": 30}, 30), ({"step": 30, "draft": True}, 30)):
        view = complete(settings("noise") | changes)
        (curve,) = (t for t in view.figures["loss"]["data"] if t["name"] == "batch norm, noise × 1")
        assert curve["x"][-1] == last
    (clicked,) = (t for t in view.figures["moved"]["data"] if "click" in t.get("meta", {}))
    assert clicked["meta"]["values"] == [1, 2, 3]
    strength = next(control for control in CHAPTER.controls if control.name == "strength")
    assert strength.plays == "step"


# --- two measures -------------------------------------------------------------------------------------------


def test_the_two_measures_disagree_on_tanh_and_agree_on_relu():
    tanh = complete(settings("measures")).numbers
    assert tanh["factor_low"] > 1 and tanh["batch_angle"] < tanh["none_angle"]
    assert tanh["early"] > 2 > 1.2 > tanh["late"], "as the scene says, most of it is early"
    relu = complete(settings("measures", activation="relu")).numbers
    assert relu["factor_high"] < 1 and relu["batch_angle"] < relu["none_angle"]
    for name in ("factor", "batch_angle"):
        assert relu[name] == pytest.approx(tanh[f"relu_{name}"], rel=1e-5)


def test_an_angle_and_a_length_make_the_distance():
    found = done(settings("measures"))
    for norm in ("none", "batch"):
        own = found[f"tanh {norm}"]
        assert chord(own).mean() == pytest.approx(own["distance"].mean(), rel=0.15)
    g, after = np.array([3.0, 0.0]), 3 * np.array([np.cos(0.5), np.sin(0.5)])
    one = {"cosine": np.cos(0.5), "length": 3.0}
    assert chord(one) == pytest.approx(np.linalg.norm(g - after))


def test_the_length_is_hidden_while_the_question_waits():
    view = complete(opened("measures"))
    assert list(view.figures) == ["angle"] and "length" not in view.text


# --- a smoother loss ----------------------------------------------------------------------------------------


def test_ranges_are_those_of_the_walks_and_only_no_norm_is_shown_first():
    view = complete(opened("smooth"))
    assert all(names_of(figure) <= {"no norm", "step that is looked at"} for figure in view.figures.values())
    values = settings("smooth", look=50)
    own = done(values)["batch"]
    view = complete(values)
    spans = own["ahead"].max(axis=2) - own["ahead"].min(axis=2)
    assert view.numbers["batch_range"] == pytest.approx(np.median(spans, axis=1).mean())
    np.testing.assert_allclose(view.table["batch"], spans.mean(axis=0))
    walk = next(t for t in view.figures["walk"]["data"] if t["name"] == "batch norm")
    np.testing.assert_allclose(walk["y"][1:], own["ahead"][:, 5].mean(axis=0))
    assert walk["y"][0] == pytest.approx(own["loss"][:, 5].mean())


def test_what_the_limit_says_is_measured():
    numbers = complete(settings("smooth")).numbers
    assert numbers["rough"] > 3 and numbers["batch_late"] < numbers["layer_late"] < numbers["none_late"]
    assert numbers["first"] > 2 * numbers["none_first"], "before the first step batch norm is the roughest"
    assert numbers["none_uphill"] > 0.5 > numbers["batch_uphill"] and numbers["edge"] == 20


def test_a_drag_asks_for_nothing_new():
    for name, dragged in (("smooth", {"look": 20}), ("length", {"factor": 5.0}), ("noise", {"strength": 3})):
        still, moved = settings(name), settings(name, **dragged) | {"draft": True}
        assert set(page.jobs(moved).values()) == set(page.jobs(still).values())


# --- length and direction -----------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("follow", ["no", "yes"])
def test_with_batch_norm_a_step_turns_weights_by_the_closed_form(factor, follow):
    view = complete(settings("length", factor=factor, follow=follow))
    assert view.numbers["turned"] == pytest.approx(view.numbers["law"], rel=2e-2)
    assert view.numbers["law"] == (1 if follow == "yes" else factor**-2)
    assert view.numbers["moved"] < 1e-12 and view.numbers["same"] < 1e-9
    assert ("the same training" in view.text) == (follow == "yes" or factor == 1)


def test_factors_between_are_drawn_as_the_nearest():
    assert [FACTORS[nearest_factor(f)] for f in (0.35, 1.5, 9.0)] == [0.3, 2.0, 10.0]
    assert "Nearest measured factor" in complete(settings("length", factor=9.0)).text
    assert "Nearest" not in complete(settings("length")).text


def test_nothing_is_multiplied_while_the_question_waits():
    view = complete(opened("length", factor=3.0, follow="yes"))
    assert (
        list(view.figures) == ["training"] and "×" not in view.figures["training"]["layout"]["meta"]["title"]
    )


# --- what is settled ----------------------------------------------------------------------------------------


def test_factors_are_geometric_means_with_students_interval():
    above, below = np.array([2.0, 3.0, 4.0, 5.0]), np.array([1.0, 1.0, 2.0, 2.0])
    found, logs = times(above, below), np.log(above / below)
    low, high = stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs))
    np.testing.assert_allclose(found[:3], np.exp([logs.mean(), low, high]), rtol=1e-6)
    assert tells(found) == (low > 0) and student_of(8) == pytest.approx(stats.t.ppf(0.975, 7), rel=1e-5)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_cell_says_what_its_interval_says(trial):
    more = {"moved": 2.0, "rough": 9.0, "company": 0.1}
    above, below, level = (cell(trial, Interval(m, m - 0.1, m + 0.1, 8), more) for m in (2.0, 0.5, 1.0))
    good, bad = ("good", "warning") if trial.supports else ("warning", "good")
    assert (above.level, below.level) == (("", "") if trial.supports is None else (good, bad))
    assert level.level == "" and "No clear difference" in level.text
    assert cell(trial, None, more).text == "Being computed."
    assert "2" in above.text and below.text != above.text and "{" not in above.text + below.text


def test_the_board_has_a_row_for_each_explanation_and_links_that_lead_somewhere():
    view = complete(settings("verdict"))
    assert view.board is not None
    assert [row.name.lower() for row in view.board.rows] == [words for vote, words in VOTES.items() if vote]
    for row in view.board.rows:
        assert len(row.cells) == len(view.board.columns) == 3
        for one in row.cells:
            place, _, query = one.address.partition("?")
            assert place in ("why-it-works", "training-lab") and query
            if place == "why-it-works":
                assert query.removeprefix("scene=") in SCENES
    voted = complete(settings("verdict", vote="noise")).board
    assert voted is not None and voted.rows[0].cells[0].address == "why-it-works?scene=steady&vote=noise"
    assert [row.cells[0].level for row in view.board.rows] == ["good", "good", "good", ""]
    assert [row.cells[1].level for row in view.board.rows] == ["warning", "", "", "warning"]


def test_what_is_not_there_yet_has_its_cell():
    values = settings("verdict")
    view = CHAPTER.view(values, dict.fromkeys(page.jobs(values)))
    assert view.waiting and view.board is not None
    texts = [one.text for row in view.board.rows for one in row.cells]
    assert texts.count("Being computed.") == len(texts) - 1


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("asked", [False, True])
def test_whatever_comes_first_the_view_stands_and_waits(name, asked):
    values = opened(name) if asked else settings(name)
    found = done(values)
    for missing in found:
        view = CHAPTER.view(values, found | {missing: None})
        assert view.figures and (view.waiting or view.text)
    for count in range(len(found)):
        early = {job: one if place < count else None for place, (job, one) in enumerate(found.items())}
        assert CHAPTER.view(values, early).figures


def test_tests_are_of_the_right_networks():
    found = done(settings("verdict"))
    known = factors(found)
    assert set(known) == {trial.name for trial in TRIALS}
    expected = stats.gmean(early_loss(found["none"]) / early_loss(found["noisy"]))
    assert known["loss: none / noisy norm"].mean == pytest.approx(expected)
    late = [found[f"whole {norm}"]["loss"][:, 30:].mean(axis=1) for norm in ("none", "batch")]
    assert known["full batch: none / batch norm"].mean == pytest.approx(stats.gmean(late[0] / late[1]))
    assert known["turn: weights × 1 / × 3"].mean == pytest.approx(9, rel=1e-3)


@pytest.mark.parametrize(
    ("vote", "words"),
    [("steady", "a network without it has the lead, too"), ("length", "is not settled"),
     ("", "You have not voted")],
)  # fmt: skip
def test_the_verdict_speaks_of_the_vote(vote, words):
    assert words in complete(settings("verdict", vote=vote)).text


# --- where it is shown otherwise ----------------------------------------------------------------------------


def test_the_lab_has_the_networks_of_the_scene():
    for name, lanes in (("vote", 2), ("steady", 2), ("noise", 3), ("measures", 2), ("smooth", 3)):
        race = CHAPTER.lab(settings(name))
        assert race is not None and len(race.configs) == lanes
    assert CHAPTER.lab(settings("steady")).configs[0].lr == 2
    assert CHAPTER.lab(settings("length")) is None and CHAPTER.lab(settings("verdict")) is None


@pytest.mark.parametrize("size", [1, 32, 256])
def test_the_small_picture_stands_for_every_batch(size):
    assert page.thumbnail({"batch_size": size})["data"]
