"""The chapter "One batch": what its scenes say is what is measured, and links keep their meaning."""

import contextlib
import io
import json
import math
import re
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest

from bnlib import norms
from bnlib.norms import plain
from book import batch, measures
from book.batch import OPERATIONS
from book.chapter import packed_figures
from book.controls import read, write
from book.predictions import answer, measured_states, nearest, story, told
from live.wire import MAX_MESSAGE, pack
from pages import one_batch
from pages.one_batch import CHAPTER
from tests.figures import problems_of, words_of

SCENES = {scene.name: scene for scene in CHAPTER.scenes}
STORY = {one["name"]: one for one in story(CHAPTER)}
ASKED = [name for name, scene in SCENES.items() if scene.choices]
GAUSSIAN_SIZES = (3, 4, 5, 6, 8, 16, 33, 64, 128, 256)


def answered(name):
    start, reveal = measured_states(CHAPTER, SCENES[name])
    before = CHAPTER.view(start).numbers
    after = reveal(before)
    numbers = CHAPTER.view(after).numbers
    return answer(SCENES[name], before, after, numbers), before, numbers


def settings(scene, **more):
    guesses = f"{scene}:0" if SCENES[scene].choices else ""
    values, problems = read(CHAPTER.table, {"scene": scene, "guesses": guesses, **more})
    assert problems == []
    return values


def view(scene, **more):
    return CHAPTER.view(settings(scene, **more))


def everything_said(shown):
    """All words of a view, while a question is open too."""
    parts = [shown.text, *shown.notes.values(), *(light.text for light in shown.lights)]
    parts += [meter.text for meter in shown.meters]
    for figure in shown.figures.values():
        parts += words_of(figure)
    parts += [json.dumps(one.describe(), ensure_ascii=False) for one in shown.equations]
    return "\n".join(parts)


# --- predictions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_a_reveal_measures_its_right_choice(name):
    scene = SCENES[name]
    found, before, numbers = answered(name)
    measured = numbers[scene.measured]
    values = [before[one.value] if isinstance(one.value, str) else one.value for one in scene.choices]
    distances = [abs(value - measured) for value in values]
    assert distances[found.right] == min(distances)
    assert min(distances) < 0.1 * sorted(distances)[1], "what is measured is no close call"
    assert STORY[name]["choices"] == [choice.label for choice in scene.choices]


@pytest.mark.parametrize(
    ("name", "right"),
    [("tug", "at 2"), ("steps", "at 1"), ("shape", "flat"), ("undo", "yes, exactly"), ("cliff", "nothing"),
     ("microscope", "0.3")],
)  # fmt: skip
def test_the_known_answers_come_out(name, right):
    """√(5−1), β, the uniform law of batches of four, the identity, (2−2)/2, and .001/√(.001² + .00001)."""
    assert STORY[name]["choices"][answered(name)[0].right] == right


@pytest.mark.parametrize(
    ("name", "words"),
    [("tug", "ended at 2."), ("steps", "of y was 1."), ("shape", "of four had kurtosis 1.8"),
     ("undo", "was 0.000 σ"), ("cliff", "0.0% of its energy"), ("microscope", "fell to 0.302")],
)  # fmt: skip
def test_the_answer_has_the_number_in_it(name, words):
    found = answered(name)[0]
    assert words in found.said
    for part in (found.said, found.because, found.but):
        assert part and "{" not in part and "nan" not in part


def test_another_measurement_has_another_right_choice(monkeypatch):
    monkeypatch.setitem(
        measures.MEASURES, "share", lambda found: measures.share(found)._replace(numbers={"share": 0.6})
    )
    found = answered("cliff")[0]
    assert STORY["cliff"]["choices"][found.right] == "half of it" and "60.0% of its energy" in found.said
    assert nearest([1, 0.5, 0], 0.6) == 1


@pytest.mark.parametrize("name", ASKED)
def test_every_wrong_answer_is_given_credit(name):
    found = answered(name)[0]
    for guess, choice in enumerate(SCENES[name].choices):
        shown = told(CHAPTER, found.reveal | {"guesses": ((name, guess),)}, found)
        assert choice.credit.endswith(".")
        assert shown["credit"] == ("" if guess == found.right else choice.credit)
        assert shown["said"] == found.said


def test_what_credit_says_is_so():
    """The numbers in what is told to those who chose another answer, each measured."""
    assert CHAPTER.view(settings("tug", source="gaussian", batch_size=5, moved="2:1000")).numbers[
        "normalized_std"
    ] == pytest.approx(1, abs=1e-3), "x̂ spreads 1 on the whole"
    found = view("steps", batch_size=12, gamma=2, beta=1)
    assert 2 * 1 + 1 == 3 and found.numbers["y_mean"] == pytest.approx(1)
    assert view("steps", batch_size=12, gamma=2, beta=found.numbers["x_mean"]).numbers[
        "y_mean"
    ] == pytest.approx(found.numbers["x_mean"]), "with β = μ the mean is where it was"
    assert view("shape", source="gaussian", batch_size=2, eps=0).numbers["kurtosis"] == pytest.approx(1)
    assert view("shape", source="gaussian", batch_size=256).numbers["kurtosis"] == pytest.approx(3, abs=0.1)
    assert view("cliff", source="gaussian", batch_size=4).numbers["share"] == pytest.approx(0.5, abs=0.01)
    assert view("cliff", source="gaussian", batch_size=256).numbers["share"] > 0.98
    tiny = {"source": "gaussian", "draw": 88, "batch_size": 100, "scale": 0.001}
    assert view("microscope", **tiny, eps=0).numbers["normalized_std"] == pytest.approx(1)
    assert 0.001 / math.sqrt(0.001**2 + 0.00001) == pytest.approx(0.3, abs=0.005)


def test_the_next_batch_takes_back_what_was_said_of_this_one():
    found = answered("undo")[0]
    assert found.said.startswith("The lamp came on: y was ") and "lamp" not in found.because
    there = found.reveal | {"guesses": (("undo", 0),)}
    shown = told(CHAPTER, there | {"draw": 1}, found)
    assert not shown["holds"] and shown["said"] == found.said, "of the past, as the frame says before it"
    assert shown["because"] == found.because, "the reason stays true"
    assert "The lamp is off" in everything_said(CHAPTER.view(there | {"draw": 1}))


# --- nothing is given away ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_an_open_question_is_not_answered_by_the_picture(name):
    start = STORY[name]["start"] | {"guesses": ()}
    _, reveal = measured_states(CHAPTER, SCENES[name])
    for values in (start, reveal(CHAPTER.view(start | {"guesses": ((name, 0),)}).numbers) | {"guesses": ()}):
        shown = CHAPTER.view(values)
        words = everything_said(shown)
        assert not re.search(r"√\(N−1\)|stays within|wall|farthest|kurtosis|gradients|lamp", words)
        assert shown.notes == {} and shown.lights == () and shown.meters == ()
        assert set(shown.figures) <= {"dots", "digit"}
        dots = shown.figures["dots"]
        assert not [one for one in dots["layout"]["shapes"] if one["type"] == "rect" and one["xref"] == "x"]
        assert not any(one["name"] in ("many batches", "theory for Gaussian x") for one in dots["data"])
    assert SCENES[name].measured not in STORY[name]


def test_the_open_walk_is_at_its_beginning():
    start = STORY["steps"]["start"] | {"guesses": (), "operation": "beta"}
    shown = CHAPTER.view(start)
    assert shown.text == "These numbers arrive."
    assert [one.describe()["shown"] for one in shown.equations] == ["?"] * 5
    assert ", y " not in everything_said(shown)


# --- sentences ------------------------------------------------------------------------------------------


def sentences(text):
    return re.findall(r"[^.?!]+(?:[.](?=\d)[^.?!]*)*[.?!]", text)


@pytest.mark.parametrize("name", ASKED)
def test_answers_are_short_and_each_sentence_stands_alone(name):
    """What was measured stands after "Measured then:", or before the reason; the limit after "But:"."""
    found, task = answered(name)[0], SCENES[name].task
    assert len(sentences(found.said)) == len(sentences(task)) == 1
    assert len(sentences(found.because)) <= 2 and len(sentences(found.but)) <= 2
    for text in (found.said, found.because, found.but, task):
        assert text == "".join(sentences(text)) and not text[0].islower() or text[0] in "γ"
    assert re.search(r"\b(was|had|ended|came|fell|got)\b", found.said), "in the past tense"
    assert not re.match(r"(It|That|This)\b", found.because), "the reason doesn't lean on what was measured"


def test_sentences_are_counted():
    assert sentences("It ended at 2.5. So √(5−1) = 2.00. Why?") == [
        "It ended at 2.5.", " So √(5−1) = 2.00.", " Why?",
    ]  # fmt: skip


# --- scenes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_shows_settings_that_exist(name):
    scene = SCENES[name]
    names = {control.name for control in CHAPTER.table}
    assert {*scene.controls, *scene.start, *scene.reveal} <= names
    states = [STORY[name]["start"] | {"guesses": ()}]
    if scene.choices:
        start, reveal = measured_states(CHAPTER, scene)
        after = reveal(CHAPTER.view(start).numbers)
        states += [start, after]
        changed = {key for key in start if start[key] != after[key]}
        assert changed == set(scene.reveal)
    for values in states:
        again, problems = read(CHAPTER.table, json.loads(json.dumps(values)))
        assert problems == [] and again["scene"] == name
        shown = CHAPTER.view(again)
        is_open = CHAPTER.is_open(again)
        assert set(shown.notes) == (set() if is_open else set(one_batch.MEASURED.get(name, ())))
        assert all(note and "nan" not in note for note in shown.notes.values())
        assert len(packed(shown)) < 24_000, "60 a second"


def packed(shown):
    figures, arrays = packed_figures(shown.figures)
    header = {
        "figures": figures, "text": shown.text, "notes": dict(shown.notes),
        "equations": [one.describe() for one in shown.equations],
    }  # fmt: skip
    return pack(header, arrays)


def test_settings_of_all_scenes_fit_into_a_message():
    everything = {name: len(SCENES[name].choices) - 1 for name in ASKED}
    values, _ = read(CHAPTER.table, {"guesses": list(everything.items())})
    message = {"kind": "view", "id": 2**53, "values": values | {"moved": [[255, -123456.789]] * 8}}
    assert len(json.dumps(message)) < MAX_MESSAGE / 2


@pytest.mark.parametrize("batch_size", [1, 2, 3, 256])
@pytest.mark.parametrize("extreme", [{}, {"eps": 0}, {"scale": 1e-8, "eps": 0}, {"moved": "0:1e6,1:-1e6"}])
@pytest.mark.parametrize("name", SCENES)
def test_extremes_are_pictures_too(name, extreme, batch_size):
    for source in ("digits", "outlier"):
        for narrow in (False, True):
            values = settings(name, batch_size=batch_size, source=source, **extreme)
            shown = CHAPTER.view(values | {"narrow": narrow})
            assert packed(shown)  # which takes no NaN outside of arrays
            assert all(type(value) is float and math.isfinite(value) for value in shown.numbers.values())
            for figure in shown.figures.values():
                assert problems_of(figure) == []
                go.Figure(figure)
            said = everything_said(shown)
            assert "nan" not in said and "{" not in shown.text


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_measures_what_it_is_about(name):
    shown = view(name, source="gaussian", batch_size=8)
    parts = {"shape": {"shape"}, "undo": {"undo"}, "cliff": {"share"}, "microscope": {"spread"}}
    assert set(shown.notes) == parts.get(name, {"shape", "share"} if name == "free" else set())
    assert [light.name for light in shown.lights] == (["undo"] if name == "undo" else [])
    assert [meter.name for meter in shown.meters] == (["share"] if name in ("cliff", "free") else [])
    assert set(shown.figures) == {"dots"} | ({"share", "spread"} & parts.get(name, set()))
    many = [one["name"] for one in shown.figures["dots"]["data"] if one["name"] == "many batches"]
    theory = [one for one in shown.figures["dots"]["data"] if one["name"] == "theory for Gaussian x"]
    assert (len(many), len(theory)) == {"shape": (1, 1), "free": (0, 1)}.get(name, (0, 0))


@pytest.mark.parametrize("name", SCENES)
def test_the_table_holds_what_the_scene_is_about(name):
    shown = view(name, batch_size=9, gamma=2, beta=1, moved="0:4")
    x, x_hat, y = (shown.table[column] for column in ("x", "x_hat", "y"))
    more = {
        "steps": {"centred": x - np.mean(x), "scaled": 2 * x_hat}, "undo": {"y_minus_x": y - x},
    }.get(name, {})  # fmt: skip
    assert list(shown.table) == ["index", "x", "x_hat", "y", *more]
    for column, expected in more.items():
        np.testing.assert_allclose(shown.table[column], expected, atol=1e-12)


def test_the_digit_behind_the_dot_is_there_where_there_is_one():
    assert "digit" in view("undo").figures and "digit" not in view("undo", source="skewed").figures
    assert "digit" not in view("free").figures, "there is no room"


# --- links ----------------------------------------------------------------------------------------------


def test_links_from_before_open_the_same_picture():
    link = {"scene": "tug", "guesses": "tug:2", "source": "gaussian", "batch_size": "5", "moved": "2:1000.0"}
    values, problems = read(CHAPTER.table, link)
    assert problems == []
    assert (values["source"], values["batch_size"], values["moved"]) == ("gaussian", 5, ((2, 1000.0),))
    shown = CHAPTER.view(values)
    x = batch.sample("gaussian", 0)[0][:5].copy()
    x[2] = 1000
    np.testing.assert_array_equal(shown.table["x"], x)
    assert "stays within √(5−1) = 2.00 of 0; the farthest now is 2.00" in shown.text
    assert told(CHAPTER, values, answered("tug")[0])["holds"]
    walk = {"scene": "steps", "guesses": "steps:2", "batch_size": "12", "gamma": "2.0", "beta": "1.0"}
    values, problems = read(CHAPTER.table, walk | {"operation": "x"})
    assert problems == [] and CHAPTER.view(values).text == "These numbers arrive."


def test_choices_keep_their_places_and_scenes_their_names():
    """Predictions are written into addresses as numbers."""
    assert {name: STORY[name]["choices"] for name in STORY} == {
        "tug": ["at 1,000", "at about 31", "at 2", "at 1"],
        "steps": ["at 0", "where it was before", "at 1", "at 3"],
        "shape": ["a bell", "flat", "two spikes"],
        "undo": ["yes, exactly", "only roughly", "no, y keeps mean 0 and spread 1"],
        "cliff": ["all of it", "half of it", "nothing"],
        "microscope": ["1, as always", "0.9", "0.3", "0.001"],
        "free": [],
    }


def test_guesses_are_kept_in_an_address():
    values, problems = read(CHAPTER.table, {"guesses": "undo:0,tug:2"})
    assert problems == [] and values["guesses"] == (("tug", 2), ("undo", 0))
    assert write(CHAPTER.table, values) == {"guesses": "tug:2,undo:0"}
    again, problems = read(CHAPTER.table, json.loads(json.dumps(values)))
    assert problems == [] and again == values


@pytest.mark.parametrize(
    "raw",
    ["tug", "tug:9", "tug:-1", "tug:x", "tugs:1", "free:0", ":", "tug:1:2", 7, {"tug": 1}, [["tug", 1.0]],
     [["tug", True]], [[[], 1]], [["tug"]], None],
)  # fmt: skip
def test_a_broken_guess_is_named_and_dropped(raw):
    values, (problem,) = read(CHAPTER.table, {"guesses": raw, "scene": "undo"})
    assert values["guesses"] == () and values["scene"] == "undo"
    assert "must be scenes and numbers of their choices, such as tug:3,steps:3; none is used" in problem


# --- the walk -------------------------------------------------------------------------------------------


def test_the_walk_tells_what_it_has_come_to_and_no_more():
    said = []
    for operation in OPERATIONS:
        shown = CHAPTER.view(settings("steps", batch_size=12, gamma=2.0, beta=1.0, operation=operation))
        said.append(shown.text)
    numbers = shown.numbers
    assert f"μ = −{-numbers['x_mean']:.3g}." in said[1] and f"σ² = {numbers['x_var']:.3g}." in said[3]
    assert "mean 0 and standard deviation 1." in said[5] and "mean 0 and standard deviation 2." in said[6]
    assert said[7].startswith("12 numbers") and len(set(said)) == len(OPERATIONS)
    assert "{" not in "".join(said)


def test_the_walk_says_where_it_would_divide_by_nothing():
    shown = view("steps", operation="divide", batch_size=1, eps=0)
    assert "0/0, which is undefined (bnlib returns 0)" in shown.text


def test_operations_are_those_of_the_walk():
    assert tuple(SCENES["steps"].walk) == OPERATIONS == tuple(one_batch.STEPS)
    (control,) = (one for one in CHAPTER.controls if one.name == "operation")
    assert control.choices == OPERATIONS, "the frame finds the setting by the words' names"
    start, reveal = measured_states(CHAPTER, SCENES["steps"])
    assert start["operation"] == OPERATIONS[0]
    assert reveal(CHAPTER.view(start).numbers)["operation"] == OPERATIONS[-1]


# --- what scenes measure --------------------------------------------------------------------------------


def measured(name, **raw):
    values, problems = read(batch.BATCH_CONTROLS + batch.SOURCE_CONTROLS, raw)
    assert problems == []
    return measures.MEASURES[name](batch.transform(values))


@pytest.mark.parametrize("size", GAUSSIAN_SIZES)
def test_gaussian_batches_agree_with_theory(size):
    found = measured("shape", source="gaussian", batch_size=size)
    assert found.numbers["distance"] <= found.numbers["chance"] and "They agree." in found.note
    assert f"batches of {size}:" in found.note and "chance alone would give up to" in found.note


def test_batches_of_one_and_two_have_no_distribution_to_compare():
    one = measured("shape", source="skewed", batch_size=1).note
    two = measured("shape", source="skewed", batch_size=2, eps=0).note
    kept = measured("shape", source="skewed", batch_size=2, eps=0.1).note
    assert one == "16,384 batches of 1: every x̂ is 0, whatever the source; there is no shape."
    assert two.endswith("100.0% of all x̂ are that far out.") and "(2+1) = 1.00. " in two
    assert kept.endswith("the others are kept from it by ε.") and "theory of" not in one + two + kept


@pytest.mark.parametrize("size", [2, 3, 4, 5, 16])
def test_pooled_kurtosis_is_that_of_the_closed_form(size):
    found = measured("shape", source="gaussian", batch_size=size, eps=0)
    kurtosis = found.numbers["kurtosis"]
    assert f"kurtosis {kurtosis:.2f}; theory: 3·({size}−1)/({size}+1) " in found.note
    assert kurtosis == pytest.approx(3 * (size - 1) / (size + 1), rel=0.03)


@pytest.mark.parametrize("source", ["skewed", "outlier"])
def test_other_sources_differ_and_the_page_says_so(source):
    found = measured("shape", source=source, batch_size=32)
    assert found.numbers["distance"] > 3 * found.numbers["chance"]
    assert "assumes Gaussian numbers; these are not, and it shows" in found.note


def test_a_large_eps_is_seen():
    found = measured("shape", source="gaussian", batch_size=16, eps=1)
    assert found.numbers["distance"] > found.numbers["chance"]
    assert "They differ: theory has no ε." in found.note


@pytest.mark.parametrize("size", [2, 3, 4, 16, 32])
def test_measured_and_theoretical_bars_have_one_scale(size):
    """Both say how many dots of a batch of this size a bar holds."""
    pooled = measured("shape", source="gaussian", batch_size=size).pooled
    assert pooled.counts.sum() == pytest.approx(size)
    assert pooled.theory.sum() == pytest.approx(size)
    np.testing.assert_allclose(pooled.counts, pooled.theory, atol=0.025 * size)


def test_batches_of_four_look_like_a_box():
    """Equal bars from wall to wall, in theory exactly; a batch of two fills the bars at its walls."""
    four = measured("shape", source="gaussian", batch_size=4).pooled
    np.testing.assert_allclose(four.theory, 4 / len(four.theory), rtol=1e-6)
    two = measured("shape", source="gaussian", batch_size=2, eps=0).pooled
    for bars in two:
        np.testing.assert_allclose(bars[[0, -1]], 1, atol=0.02)
        assert not bars[1:-1].any()


def test_chance_is_an_upper_bound_of_what_chance_does(monkeypatch):
    """Kolmogorov's limit is for independent numbers; batches under other seeds stay below it as often."""
    for size in (3, 4, 16):
        beyond = 0
        for seed in range(60):
            x = np.random.default_rng([seed, 5]).normal(size=(size, 2048 // size))
            monkeypatch.setattr(measures, "_many_batches", lambda *_, x=x: x)
            measures._pooled.cache_clear()
            numbers = measured("shape", source="gaussian", batch_size=size, eps=0).numbers
            beyond += numbers["distance"] > numbers["chance"]
        assert beyond <= 3
    measures._pooled.cache_clear()


@pytest.mark.parametrize("size", [1, 2, 3, 8, 64, 256])
def test_the_gauge_is_the_closed_form(size):
    found = measured("share", source="gaussian", batch_size=size)
    theory = max(size - 2, 0) / size
    assert found.numbers["share_theory"] == pytest.approx(theory, abs=1e-3)
    assert found.numbers["share"] == pytest.approx(theory, abs=0.01)
    sign = "=" if 1000 * (size - 2) % size == 0 else "≈"
    assert size == 1 or f"theory: ({size}−2)/{size} {sign} {theory:.1%}." in found.note
    curve, _, point = found.figure["data"]
    at = curve["x"].tolist()
    assert at[0] == 1 and at[-1] == 256 and at == sorted(at)
    np.testing.assert_allclose(curve["y"], np.maximum(np.array(at) - 2, 0) / at, rtol=1e-12)
    assert (point["x"], point["y"]) == ([size], [found.numbers["share"]])
    (meter,) = found.meters
    assert (meter.value, meter.expected) == (found.numbers["share"], found.numbers["share_theory"])
    assert meter.text == f"{found.numbers['share']:.1%}"


def test_eps_lets_part_of_a_gradient_through():
    found = measured("share", source="gaussian", batch_size=2, eps=1, moved="0:-1,1:1")
    assert found.numbers["share_theory"] == pytest.approx(0.5**2 / 2)
    assert found.numbers["share"] == pytest.approx(0.125, rel=0.05)
    assert found.note.endswith("theory: (2−2 + ε²/(σ² + ε)²)/2 = 12.5%.") and found.note.count("theory") == 1


@pytest.mark.parametrize("constant", [{"batch_size": 1}, {"batch_size": 2, "moved": "0:3,1:3"}])
def test_what_is_divided_by_nothing_is_said_to_be(constant):
    words = measured("spread", eps=0, **constant).note
    assert "0/0, which is undefined (bnlib returns 0)" in words and "Standard deviation" not in words
    found = measured("share", eps=0, **constant)
    assert found.numbers["share"] == found.numbers["share_theory"] == 0
    assert "0/0" in found.note or "none can" in found.note
    assert "no unit to measure in" in measured("undo", eps=0, **constant).note


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-8])
def test_the_spread_and_its_curve(scale):
    found = measured("spread", source="gaussian", scale=scale, batch_size=64, eps=1e-5)
    std = np.std(batch.sample("gaussian", 0)[0][:64]) * scale
    spread = found.numbers["spread_theory"]
    assert spread == pytest.approx(std / math.sqrt(std**2 + 1e-5), rel=1e-9)
    assert f"Standard deviation of x̂: {spread:.2f};" in found.note
    curve, _, point = found.figure["data"]
    np.testing.assert_allclose(curve["y"], curve["x"] / np.sqrt(curve["x"] ** 2 + 1e-5), rtol=1e-9)
    assert point["x"] == pytest.approx([std]) and point["y"] == pytest.approx([spread])


def test_the_lamp_is_lit_near_the_undo_and_nowhere_else():
    x = batch.sample("skewed", 0)[0][:32]
    mean, root = x.mean(), math.sqrt(x.var() + 1e-5)
    for gamma, beta, lit in [
        (root, mean, True),
        (1.09 * root, mean, True),
        (1.12 * root, mean, False),
        (root, mean + 0.09 * root, True),
        (root, mean + 0.12 * root, False),
        (-root, mean, False),
    ]:
        found = measured("undo", source="skewed", gamma=gamma, beta=beta)
        exact = (gamma, beta) == (root, mean)
        assert found.numbers["lamp"] == lit and found.numbers["exact"] == exact
        distance = math.hypot(gamma / root - 1, (beta - mean) / root)
        assert found.numbers["undo_distance"] == pytest.approx(distance, abs=1e-4)
        assert "0.1 or less" in found.note
        (light,) = found.lights
        told_of = "The lamp is on: y = x" if exact else "The lamp is on: y ≈ x" if lit else "The lamp is off"
        assert (light.on, light.text) == (lit, told_of)


def test_a_batch_without_spread_has_no_unit_to_measure_in():
    same = "0:2,1:2"
    away = measured("undo", batch_size=2, eps=0, moved=same).numbers
    there = measured("undo", batch_size=2, eps=0, moved=same, beta=2).numbers
    assert (away["lamp"], there["lamp"], there["undo_distance"]) == (0, 1, 0)


# --- the same elsewhere ---------------------------------------------------------------------------------


def printed(text):
    """What a program prints: numbers by name, and lines of CSV."""
    lines = text.splitlines()
    numbers = {line.split(" = ")[0]: float(line.split(" = ")[1]) for line in lines if " = " in line}
    return numbers, [line for line in lines if " = " not in line]


def run(program, folder):
    path = folder / "program.py"
    path.write_text(program, "utf-8")
    answer = subprocess.run([sys.executable, "-I", path], cwd=folder, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return printed(answer.stdout)


STATES = [
    *({"scene": name} for name in SCENES),
    {"scene": "tug", "source": "gaussian", "batch_size": 5, "moved": "2:1000.0"},
    {"scene": "steps", "batch_size": 12, "gamma": 2.0, "beta": 1.0},
    {"scene": "shape", "source": "gaussian", "batch_size": 4},
    {"scene": "shape", "source": "outlier", "batch_size": 3, "eps": 0.1, "scale": 0.5},
    {"scene": "undo", "source": "skewed", "gamma": 1.2, "beta": 0.5},
    {"scene": "cliff", "source": "gaussian", "batch_size": 2},
    {"scene": "cliff", "batch_size": 1, "eps": 0},
    {"scene": "microscope", "source": "gaussian", "draw": 88, "batch_size": 100, "scale": 0.001},
    {"scene": "free", "source": "skewed", "batch_size": 7, "scale": 1e-8, "eps": 0},
    {"scene": "free", "batch_size": 2, "eps": 0, "moved": "0:3,1:3", "beta": 0.5},
]
WORDS = [" ".join(f"{key}={value}" for key, value in state.items()) for state in STATES]


@pytest.mark.parametrize("state", STATES, ids=WORDS)
def test_the_script_computes_the_view_again(state, tmp_path):
    values = settings(**state)
    shown = CHAPTER.view(values)
    program = CHAPTER.script(values)
    assert "bnlib." not in program and "import bnlib" not in program
    numbers, (header, *lines) = run(program, tmp_path)
    assert set(shown.numbers) - set(numbers) <= {"kurtosis", "distance", "chance"}
    for name, number in numbers.items():
        assert number == pytest.approx(shown.numbers[name], rel=1e-6, abs=1e-12), name
    assert header == ",".join(shown.table) and header.startswith("index,x,x_hat,y")
    rows = np.array([line.split(",") for line in lines], dtype=float)
    np.testing.assert_allclose(rows, np.column_stack(list(shown.table.values())), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("state", STATES, ids=WORDS)
def test_pytorch_says_the_same(state):
    values = settings(**state)
    shown = CHAPTER.view(values)
    program, output = CHAPTER.pytorch(values), io.StringIO()
    with contextlib.redirect_stdout(output):  # in this process: torch takes seconds to come
        exec(compile(program, "program", "exec"), {})
    numbers, rest = printed(output.getvalue())
    assert numbers and not rest and len(program.rpartition("\n]")[2].splitlines()) <= 12
    for name, number in numbers.items():
        assert number == pytest.approx(shown.numbers[name], rel=1e-3, abs=1e-12), name


def test_the_code_that_is_shown_ran():
    first, second, *shown = [passage.function for passage in CHAPTER.code]
    assert [first, second] == [plain.forward, plain.backward]  # for reading
    assert shown == [norms.batch_norm, norms.norm_backward, norms.normalize, norms.normalize_backward]
    called = set()
    measures._passed.cache_clear()
    sys.setprofile(lambda frame, event, _: called.add(frame.f_code) if event == "call" else None)
    try:
        view("cliff", source="gaussian", batch_size=9)
    finally:
        sys.setprofile(None)
    assert {function.__code__ for function in shown} <= called


def test_the_chapter_ends_and_leads_on():
    assert len(CHAPTER.ending) == 3 and all(sentence.endswith(".") for sentence in CHAPTER.ending)
    assert [address for _, address in CHAPTER.links] == ["/training-lab"]
    assert all(source.address in source.text for source in CHAPTER.sources)
