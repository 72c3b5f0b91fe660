"""The chapter "Training and inference": what is measured, the reasons given, what is shown, its programs."""

import contextlib
import io
import json
import math
import re
from dataclasses import replace
from functools import cache

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from bnlib import advance, start
from bnlib.lessons import inference
from book.chapter import packed_figures
from book.controls import read, write
from book.predictions import answer, measured_states, story
from pages import inference as page
from pages._inference_clinic import FIXES, PATIENTS, verdict
from pages._inference_parts import unfinished
from pages.inference import CHAPTER
from tests.figures import problems_of, words_of
from tests.once import once

SCENES = {scene.name: scene for scene in CHAPTER.scenes}
ASKED = [name for name, scene in SCENES.items() if scene.choices]
SEEDS = 4


@cache
def result(job):
    return once(job.function, *job.arguments)


@cache
def recording(config, step):
    history = advance(start(config), step + 1).history
    return {name: history[name] for name in ("step", *CHAPTER.kept)}


def complete(values):
    """A view with everything that it needs."""
    found = {name: recording(config, values["step"]) for name, config in page.runs(values).items()}
    found |= {name: result(job) for name, job in page.jobs(values).items()}
    return CHAPTER.view(values, found)


@cache
def answered(name):
    begin, reveal = measured_states(CHAPTER, SCENES[name])
    before = complete(begin).numbers
    after = reveal(before)
    return answer(SCENES[name], before, after, complete(after).numbers), before, complete(after), after


def settings(name, **changes):
    return CHAPTER.settings(SCENES[name], changes, answered=True)


def opened(name):
    return CHAPTER.settings(SCENES[name], {})


def everything_said(view):
    parts = [view.text, *view.notes.values(), *(light.text for light in view.lights)]
    for figure in view.figures.values():
        parts += words_of(figure)
    parts += [json.dumps(one.describe(), ensure_ascii=False) for one in view.equations]
    return "\n".join(parts)


def each_seed(job, name):
    return np.atleast_1d(result(job)[name])


# --- the answers, and the reasons -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "right"),
    [("stale", "fewer than half of them"), ("lag", "about 7"), ("recalibrate", "it is as good as train()"),
     ("one_class", "no: it stays where it was"), ("roulette", "about a third"),
     ("alone", "1: the same for all"),
     ("clinic", "C: its camera is another one")],
)  # fmt: skip
def test_the_answer_is_what_is_measured_and_no_close_call(name, right):
    found, before, view, _ = answered(name)
    choices = SCENES[name].choices
    assert choices[found.right].label == right
    values = [before[choice.value] if isinstance(choice.value, str) else choice.value for choice in choices]
    distances = sorted(abs(value - view.numbers[SCENES[name].measured]) for value in values)
    assert distances[0] < 0.2 * distances[1]
    for wrong in (choice for number, choice in enumerate(choices) if number != found.right):
        assert len(wrong.credit) > 30, "who was wrong is told what is right about it"
    for text in (found.said, found.because, found.but, view.text):
        assert text and "{" not in text and "nan" not in text


def test_stale_averages_are_the_reason_on_every_seed():
    """Without their start the same averages of the same batches are as good as train(), within 3 points."""
    modes = result(page.jobs(settings("stale"))["modes"])
    assert (modes["train"] > 0.85).all() and (modes["eval"] < 0.6).all()
    assert (modes["corrected"] > modes["train"] - 0.03).all()
    numbers = answered("stale")[2].numbers
    assert numbers["left"] == 0.999**20 and numbers["gone"] == pytest.approx(4602.87, abs=0.01)
    assert numbers["running_var"] == pytest.approx(
        numbers["left"] + (1 - numbers["left"]) * numbers["batch_var"], rel=0.02
    )


def test_with_the_usual_momentum_or_many_steps_it_is_gone():
    usual = complete(settings("stale", mode="eval", momentum=0.9)).numbers
    assert abs(usual["right"] - usual["right_train"]) < 0.02
    later = complete(settings("stale", mode="eval", step=400)).numbers
    assert later["right"] > answered("stale")[2].numbers["right"] + 0.2


def test_half_of_a_lag_is_gone_after_the_time_of_the_formula():
    view, values = answered("lag")[2], answered("lag")[3]
    assert view.numbers["half"] == math.log(0.5) / math.log(0.9)
    # Where all batches are alike, the average itself has crossed half of the way after so many steps.
    crossed = np.argmax(inference.moving(np.ones(50), 0.9, 0.0) >= 0.5) + 1
    assert crossed == math.ceil(view.numbers["half"])
    running = view.table["running_mean"]
    now = 0.0
    for batch in view.table["batch_mean"]:
        now = 0.9 * now + 0.1 * batch
    assert running[-1] == pytest.approx(now, abs=1e-12) and len(running) == values["step"]


def test_a_jump_is_seen_before_the_way_of_the_running_mean_is():
    figure = complete(opened("lag")).figures["following"]
    seen, begin, half = figure["data"]
    numbers = answered("lag")[2].numbers
    assert begin["x"].tolist() == [0] and begin["y"].tolist() == [0]
    assert (seen["y"] < half["y"][0]).all() and half["y"][0] == numbers["population_mean"] / 2
    assert opened("lag")["momentum"] == 0.9, "the slider stands where the question is"


def test_the_noise_of_a_running_mean_is_the_formulas_but_for_epochs():
    """Independent batches scatter as the formula says; ours share no digit within an epoch, and less so."""
    noises = [complete(settings("lag", momentum=a, step=400)).numbers["noise"] for a in (0.0, 0.5, 0.9, 0.98)]
    assert noises[0] == pytest.approx(1, abs=0.1)
    assert all(np.diff(noises) < 0) and 0.5 < noises[2] < 0.85


def test_the_formula_is_drawn_only_where_the_weights_stay():
    names = lambda view: {trace["name"] for trace in view.figures["following"]["data"]}  # noqa: E731
    formula = "formula, ± 2 standard deviations"
    assert formula in names(complete(settings("lag", momentum=0.9)))
    moving = complete(settings("lag", momentum=0.9, lr=0.3))
    assert formula not in names(moving) and "weights that don’t change" in moving.notes["following"]


def test_a_pass_brings_every_seed_back():
    modes = result(page.jobs(settings("recalibrate"))["modes"])
    assert (modes["precise"] > modes["train"] - 0.02).all() and (modes["precise"] > modes["eval"] + 0.3).all()


def test_one_class_takes_the_signal_and_a_pass_does_not_bring_it_back():
    jobs = page.jobs(settings("one_class"))
    own, mixed, layer = (result(jobs[name]) for name in ("grouped", "mixed", "layer"))
    assert own["classes"] < 2 < mixed["classes"]
    assert (np.abs(own["precise"] - own["eval"]) < 0.06).all()
    assert (mixed["eval"] > own["eval"] + 0.15).all() and (layer["eval"] > own["eval"] + 0.15).all()
    assert (own["own"] < own["eval"] - 0.2).all(), "in training it doesn't cheat: there it is worse"


def test_company_decides_in_train_and_never_in_eval():
    view, values = answered("roulette")[2], answered("roulette")[3]
    jobs = page.jobs(values)
    changed = {m: result(page.jobs({**values, "batch_size": m})["roulette"])["changed"] for m in (4, 16, 64)}
    assert (
        (changed[4] > changed[16]).all() and (changed[16] > changed[64]).all() and (changed[64] > 0.03).all()
    )
    assert not result(jobs["layer"])["changed"].any() and view.numbers["layer_changed"] == 0
    still = complete({**values, "mode": "eval"})
    assert still.numbers["right"] == 0 and still.numbers["classes"] == 1
    columns = still.figures["chances"]["data"][0]["z"]
    assert (columns == columns[:, :1]).all(), "the same at every draw"
    assert view.numbers["classes"] > 1, "the pinned digit is one whose class depends on company"


def test_the_pinned_digit_stands_first_and_a_companion_can_be_pinned():
    view, values = answered("roulette")[2], answered("roulette")[3]
    cells, points = view.figures["company"]["data"]
    images = page.config_of(values).data().x_val
    assert cells["z"][::-1][1:9, 1:9].ravel().tolist() == images[149].tolist()
    assert points["meta"]["click"] == "pin" and points["meta"]["values"][0] == 149
    other = points["meta"]["values"][3]
    z = complete({**values, "pin": other}).figures["company"]["data"][0]["z"]
    assert z[::-1][1:9, 1:9].ravel().tolist() == images[other].tolist()


def test_a_batch_of_one_is_nothing_in_a_dense_network_and_instance_norm_in_a_convolution():
    dense, conv = (complete(settings("alone", network=kind)).numbers for kind in ("mlp", "cnn"))
    assert (dense["distinct"], dense["classes"]) == (1, 1) and dense["right"] < 0.15 < 0.9 < dense[
        "right_eval"
    ]
    assert conv["distinct"] == 500 and conv["right"] < conv["right_eval"] - 0.2
    assert conv["instance"] > 0.7 > 0.3 > conv["right"], "trained with it, a network works"
    text = complete(settings("alone", network="cnn")).text
    assert text.startswith("Convolutional, 400 steps, one seed.") and f"{conv['instance']:.1%}" in text
    assert "needs more steps" in complete(settings("alone", network="cnn", step=10)).text


@pytest.mark.parametrize(("name", "bound"), [("A", 0.6), ("B", 0.78), ("C", 0.65)])
def test_each_patient_is_good_in_train_and_bad_in_eval_on_every_seed(name, bound):
    exam = result(page.jobs(settings("clinic"))[f"examine {name}"])
    assert (exam["train"] > 0.8).all() and (exam["eval"] < bound).all()
    assert (exam["train"] > exam["eval"] + 0.1).all()


def test_the_tests_tell_the_patients_apart():
    numbers = answered("clinic")[2].numbers
    assert (
        numbers["eval_training_C"] > 0.95 > 0.8 > max(numbers["eval_training_A"], numbers["eval_training_B"])
    )
    assert numbers["train_B"] > numbers["train_own_B"] + 0.1 and numbers["train_A"] == numbers["train_own_A"]
    assert min(numbers[f"gap_{name}"] for name in "ABC") > 2 * inference.expected_gap(64, 0.9)


def test_each_remedy_mends_what_it_can():
    numbers = answered("clinic")[2].numbers
    for name in "AB":
        assert numbers[f"training_{name}"] > numbers[f"train_{name}"] - 0.03
    assert numbers["training_C"] < 0.6 < 0.9 < numbers["use_C"]
    assert numbers["sync_A"] == numbers["eval_A"] and numbers["sync_C"] == numbers["eval_C"]
    assert numbers["sync_B"] > numbers["eval_B"] + 0.1 and numbers["usual_B"] > numbers["eval_B"] + 0.1


def test_a_click_chooses_a_remedy_and_its_program():
    values = settings("clinic", cell=7)  # the second row, the second column
    view = complete(values)
    assert view.text.endswith(f"B, {FIXES['use']}: {view.numbers['use_B']:.1%} right in eval().")
    assert view.numbers["right"] == view.numbers["use_B"] and "in_use" in CHAPTER.pytorch(values)
    (trace,) = view.figures["fixes"]["data"]
    flat = dict(zip(trace["meta"]["values"], trace["z"].ravel(), strict=True))
    assert flat[7] == view.numbers["use_B"] and flat[17] == view.numbers["frozen_C"]
    said = dict(zip(trace["meta"]["values"], trace["meta"]["says"], strict=True))
    assert said[7] == f"B, {FIXES['use']}: {view.numbers['use_B']:.0%} right" and len(said) == 18
    assert said[12].startswith(f"C, {FIXES['training']}")


@pytest.mark.parametrize("test", ["gap", "training", "batches", "recalibrate"])
def test_a_test_shows_two_findings_of_each_patient(test):
    view = complete(settings("clinic", test=test))
    figure = view.figures["test"]
    assert [len(trace["y"]) for trace in figure["data"]] == [3, 3]
    assert figure["layout"]["xaxis"]["ticktext"] == ["A", "B", "C"], "names that give no cause away"
    assert view.text.startswith(verdict(test, view.numbers))


def test_each_test_has_a_verdict_that_names_the_patients():
    numbers = answered("clinic")[2].numbers
    training, gap, batches, anew = (
        verdict(test, numbers) for test in ("training", "gap", "batches", "recalibrate")
    )
    assert "good for C (100%)" in training and "A (44%) and B (66%)" in training
    assert f"small for C ({numbers['gap_training_C']:.2f})" in gap and numbers["gap_training_C"] < 0.26
    assert batches == (
        f"With larger batches only B improves from {numbers['train_own_B']:.0%} to {numbers['train_B']:.0%}: "
        "its own 4 samples are too noisy."
    )
    assert "A improves from 41% to 92%" in anew and "C (43%)" in anew


def test_until_the_answer_the_clinic_shows_train_and_eval_alone():
    for test in ("training", "gap", "batches", "recalibrate"):
        view = complete(CHAPTER.settings(SCENES["clinic"], {"test": test}))
        found = {trace["name"]: trace["y"].tolist() for trace in view.figures["test"]["data"]}
        assert set(view.figures) == {"test"} and set(found) == {"train()", "eval()"} and not view.lights
        assert found["eval()"] == [view.numbers[f"eval_{name}"] for name in PATIENTS]


def test_the_lamp_watches_staleness():
    stale = complete(settings("recalibrate", momentum=0.999, step=20))
    anew = complete(settings("recalibrate", momentum=0.999, step=20, statistics="precise"))
    assert stale.lights[0].on and not anew.lights[0].on and stale.lights[0].level == "warning"
    assert stale.numbers["gap"] > 2 * stale.numbers["gap_expected"] > anew.numbers["gap"]
    assert complete(settings("free", momentum=0.999, step=40)).lights[0].on
    assert not complete(settings("free", step=40)).lights[0].on
    normal = f"up to {2 * stale.numbers['gap_expected']:.2f} is normal"
    assert stale.lights[0].text.startswith("Alarm:") and normal in stale.lights[0].text
    assert anew.lights[0].text.startswith("No alarm:")


def test_an_unfinished_recording_says_so_and_lights_no_lamp():
    values = settings("free", momentum=0.999, step=200)
    run = recording(page.runs(values)["run"], 40)
    view = CHAPTER.view(values, {"run": run})
    assert view.waiting == "40 of 200 steps are computed." and not view.lights
    assert unfinished(run, 40) == "" and unfinished({"step": np.arange(0, 201, 10)}, 205) == ""


def test_with_momentum_099_eval_catches_up_within_the_slider():
    """What the first scene's task asks for can be found: a point at most between both from some step on."""
    run = recording(page.runs(settings("stale", momentum=0.99, step=400))["run"], 400)
    behind = (run["val_accuracy_batch"] - run["val_accuracy"]).mean(axis=0)
    caught = run["step"][np.isfinite(behind) & (behind < 0.01)]
    some = caught[caught > 20].min()
    assert 100 < some < 250, some


def test_the_files_have_the_curves_the_cells_and_the_draws():
    stale, clinic, roulette = (answered(name)[2].table for name in ("stale", "clinic", "roulette"))
    assert list(stale) == ["step", "seed", "train", "eval"] and len(stale["step"]) == 5 * SEEDS
    cured = [r for p, f, r in zip(clinic["patient"], clinic["remedy"], clinic["right"], strict=True)
             if (p, f) == ("C", "use")]  # fmt: skip
    assert len(cured) == SEEDS and np.mean(cured) == pytest.approx(answered("clinic")[2].numbers["use_C"])
    assert roulette["draw"].tolist() == list(range(1, 21))
    assert np.mean(roulette["differs"]) == pytest.approx(answered("roulette")[2].numbers["differs"], rel=0.02)


def test_a_wrong_answer_stands_beside_its_digit():
    figure = complete(settings("stale", mode="eval")).figures["digits"]
    z, shapes = figure["data"][0]["z"], figure["layout"]["shapes"]
    assert len(shapes) == len(figure["layout"]["annotations"]) > 0
    for note, box in zip(figure["layout"]["annotations"], shapes, strict=True):
        assert note["x"] > box["x1"] and box["y0"] < note["y"] < box["y1"]
        assert not z[
            round(box["y0"] + 0.5) : round(box["y1"]), round(note["x"]) - 1 : round(note["x"]) + 2
        ].any()


def test_play_draws_both_curves_and_the_gap_of_each_layer():
    view = complete(settings("free", step=40))
    names = [trace["name"] for trace in view.figures["curves"]["data"] if trace["name"]]
    assert names == ["train()", "eval()"]
    assert len([t for t in view.figures["gap"]["data"] if t["name"].startswith("layer")]) == 3
    assert view.table["step"].tolist() == list(range(0, 41, 5))
    run = inference.trained(replace(page.config_of(settings("free", step=40)), momentum=0.9), 40)
    assert view.numbers["right_eval"] == pytest.approx(inference.accuracy(run).mean(), abs=1e-9)


# --- what a view gives away, and what it lacks ----------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_nothing_answers_an_open_question(name):
    found, _, shown, _ = answered(name)
    view = complete(opened(name))
    said = everything_said(view)
    decisive = shown.numbers[SCENES[name].measured]
    for text in (f"{decisive:.1%}", f"{decisive:.0%}") if decisive < 1 else ("same output", "C, recompute"):
        if name != "one_class":  # there the question is whether this number moves
            assert text not in said, text
    if name != "clinic":  # there eval() is the complaint
        assert "eval()" not in [trace["name"] for f in view.figures.values() for trace in f["data"]]
    assert "recomputed" not in said and "formula" not in said and "differs" not in view.table
    assert "fixes" not in view.figures and not view.equations
    assert SCENES[name].choices[found.right].label not in said


@pytest.mark.parametrize(
    ("name", "changes"),
    [("stale", {"mode": "eval"}), ("recalibrate", {"statistics": "precise"}), ("roulette", {"mode": "eval"}),
     ("one_class", {"statistics": "precise"}), ("clinic", {"test": "recalibrate", "cell": 12})],
)  # fmt: skip
def test_no_switch_answers_an_open_question(name, changes):
    plain, switched = complete(opened(name)), complete(CHAPTER.settings(SCENES[name], changes))
    assert switched.text == plain.text and set(switched.figures) == set(plain.figures)
    assert "recomputed" not in everything_said(switched)
    for figure, other in zip(plain.figures.values(), switched.figures.values(), strict=True):
        if name != "clinic":
            assert words_of(figure) == words_of(other)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("narrow", [False, True])
def test_figures_are_ones_that_the_painter_and_plotly_draw(name, narrow):
    values = answered(name)[3] if name in ASKED else settings(name, step=40)
    for shown in (complete(values | {"narrow": narrow}), CHAPTER.view(values | {"narrow": narrow}, {})):
        for figure in shown.figures.values():
            assert problems_of(figure) == []
            go.Figure(figure)
        json.dumps(packed_figures(shown.figures)[0], allow_nan=False)


@pytest.mark.parametrize("name", SCENES)
def test_a_view_says_what_it_waits_for(name):
    view = CHAPTER.view(opened(name), {})
    assert view.waiting and not view.numbers
    done = complete(answered(name)[3] if name in ASKED else settings(name, step=40))
    assert not done.waiting and all(math.isfinite(value) for value in done.numbers.values())
    assert len({len(column) for column in done.table.values()}) == 1
    assert "nan" not in everything_said(done)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("stale", {"step": 0}), ("stale", {"momentum": 0.0, "step": 5}), ("stale", {"batch_size": 1, "step": 5}),
     ("lag", {"step": 0}), ("lag", {"step": 1, "momentum": 0.999}),
     ("lag", {"lr": 1.0, "step": 30, "unit": 63}),
     ("recalibrate", {"eps": 1.0, "step": 10}),
     ("one_class", {"order": "pairs", "batch_size": 64, "step": 5}),
     ("one_class", {"order": "shuffled", "batch_size": 1, "step": 5}),
     ("roulette", {"batch_size": 1, "step": 5}),
     ("roulette", {"batch_size": 64, "draw": 10_000, "pin": 499, "step": 5}), ("alone", {"step": 0}),
     ("free", {"step": 0}), ("free", {"order": "sorted", "batch_size": 2, "eps": 0.0, "step": 10}),
     ("stale", {"batch_size": 1, "eps": 0.0, "step": 5})],
)  # fmt: skip
def test_the_ends_of_the_settings_have_views(name, changes):
    view = complete(settings(name, **changes))
    assert not view.waiting and all(math.isfinite(value) for value in view.numbers.values())
    assert all(problems_of(figure) == [] for figure in view.figures.values())


def test_settings_survive_an_address():
    for name in SCENES:
        values = settings(name)
        assert read(CHAPTER.table, write(CHAPTER.table, values)) == (values, [])
    assert [one["name"] for one in story(CHAPTER)] == list(SCENES)


# --- programs -------------------------------------------------------------------------------------------


def printed(program):
    """What a program prints: numbers by name, and the lines of its table."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(program, "program", "exec"), {"__name__": "program"})
    finally:
        torch.set_default_dtype(torch.float32)
    return taken(out.getvalue())


def taken(text):
    lines = text.splitlines()
    named = [line.split(" = ") for line in lines if " = " in line]
    rows = [line.split(",") for line in lines if "," in line and " = " not in line]
    return [(name, float(value)) for name, value in named], rows


# Over 400 steps with instance norm rounding grows: a few of the 500 digits may differ.
NEAR = {"instance": 0.012}


def same_table(rows, table):
    head, *body = rows
    for name, column in zip(head, zip(*body, strict=True), strict=True):
        assert name in table, name
        expected = list(table[name])
        if isinstance(expected[0], str):
            assert [one.strip("'") for one in column] == expected
        else:
            np.testing.assert_allclose(np.array(column, float), expected, rtol=1e-3, atol=1e-9)


CELLS = [("clinic", {"cell": cell}) for cell in range(12, 18)]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, {}) for name in SCENES if name != "clinic"),
        *CELLS,
        ("stale", {"momentum": 0.0}),
        ("lag", {"momentum": 0.95}),
    ],
)
def test_the_pytorch_on_the_page_prints_the_views_numbers(name, changes):
    values = settings(name, **changes)
    numbers, _ = printed(CHAPTER.pytorch(values))
    known = complete(values).numbers
    assert numbers and len(CHAPTER.pytorch(values).splitlines()) <= 26
    for one, value in numbers:
        assert value == pytest.approx(known[one], rel=1e-3, abs=1e-12), one


@pytest.mark.parametrize(("name", "changes"), [("alone", {"network": "cnn"}), ("free", {"step": 40})])
def test_the_script_computes_numbers_and_table_again(name, changes):
    """Where it isn't the scene's own state, for which `tests/test_chapters.py` asks it."""
    values = dict(answered(name)[3]) if name in ASKED else settings(name)
    values |= changes
    view = complete(values)
    numbers, rows = printed(CHAPTER.script(values))
    assert len(numbers) >= 2 and "bnlib" not in CHAPTER.script(values)
    for one, value in numbers:
        assert value == pytest.approx(view.numbers[one], rel=1e-3, abs=NEAR.get(one, 1e-9)), one
    same_table(rows, view.table)


@pytest.mark.parametrize("name", SCENES)
def test_a_script_prints_more_than_one_number(name):
    printing = re.findall(r"^ *print\((?:name, \"=|\"\w+ =)", CHAPTER.script(settings(name)), re.MULTILINE)
    assert len(printing) >= 2
