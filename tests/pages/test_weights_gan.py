"""The GAN's scene of "Weight and spectral norm": what is measured, and what is said of it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from math import exp
from typing import Any

import numpy as np
import pytest
import torch

from bnlib import Run, RunConfig, advance, start
from bnlib.lessons import rings
from bnlib.networks.network import forward
from bnlib.training.gan import quality
from book.chapter import Chapter, View
from book.controls import Values, seed_control
from book.race.evidence import race_address
from live.worker import extend
from pages import _weights_gan as scene
from pages import _weights_gan_parts as parts
from pages import _weights_gan_views as views

CHAPTER = Chapter(
    "weights", "Weights", "A GAN?", controls=(*scene.CONTROLS, seed_control()), compute=scene.view,
    runs=scene.runs, jobs=scene.jobs, kept=scene.KEPT, scenes=(scene.SCENE,), lab=scene.lab,
)  # fmt: skip


def settings(answered: bool = True, **changes: Any) -> Values:
    return CHAPTER.settings(scene.SCENE, changes, answered)


def small(norm: str, **more: Any) -> RunConfig:
    return replace(parts.networks(norm, 0.1, replicas=2, width=8), **more)


def cell(near: Any, covered: Any, steps: int = parts.STEPS) -> dict[str, Any]:
    """A recording whose eight networks all along have these shares, (8,) or a number."""
    at = np.arange(0, steps + 1, parts.EVERY)
    shares = [np.tile(np.reshape(np.broadcast_to(share, 8), (8, 1)), len(at)) for share in (near, covered)]
    for share in shares:
        share[:, 0] *= 0.1 if steps else 1.0  # before training
    return {"step": at, "cloud": np.zeros((1, len(at), 256, 2)), "val_accuracy": shares[0],
            "val_accuracy_batch": shares[1]}  # fmt: skip


def slope(steepest: float = 1.0) -> dict[str, Any]:
    return {
        name: np.full((8, len(parts.LOOKS)), steepest) for name in ("steepest", "bound", "noticed")
    }  # fmt: skip


def view(found: dict[str, Any], answered: bool = True, **changes: Any) -> View:
    values = settings(answered, **changes)
    slopes = {f"slope {norm}": slope() for norm in parts.NORMS} if scene.jobs(values) else {}
    return CHAPTER.view(values, slopes | found)


def equal(near: float = 0.5, covered: float = 0.5) -> dict[str, Any]:
    return {norm: cell(near, covered) for norm in parts.NORMS}


# ---- what is measured ------------------------------------------------------------------------------------


def trained(norm: str) -> Run:
    return advance(start(small(norm)), 20)


@pytest.mark.parametrize("norm", parts.NORMS)
def test_slopes_are_those_that_moving_a_point_shows(norm: str) -> None:
    run = trained(norm)
    points, h = rings.made(run)[:, :6], 1e-6
    expected = np.zeros(points.shape)
    for place in range(6):
        for axis in range(2):
            step = np.zeros_like(points)
            step[:, place, axis] = h
            up, down = (forward(run.config, run.layers, points + s, keep=False)[0] for s in (step, -step))
            expected[:, place, axis] = (up - down).sum(axis=(1, 2)) / (2 * h)
    found = rings.slopes(run.config, run.layers, points)
    np.testing.assert_allclose(found, np.linalg.norm(expected, axis=2), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_the_bound_is_torchs_and_no_slope_exceeds_it(norm: str) -> None:
    run = trained(norm)
    weights = [torch.tensor(layer.weight) for layer in run.layers]
    found = rings.measured(run)
    bound = torch.stack([torch.linalg.matrix_norm(weight, 2) for weight in weights]).prod(0)
    np.testing.assert_allclose(found["bound"], bound.numpy())
    assert (found["steepest"] <= found["bound"]).all() and (found["steepest"] > 0.01 * found["bound"]).all()
    if norm == "spectral":
        np.testing.assert_allclose(found["bound"], 1, atol=0.1)


def test_batch_norm_alone_does_not_notice_that_all_points_moved() -> None:
    noticed = {norm: rings.measured(trained(norm))["noticed"] for norm in parts.NORMS}
    assert noticed["batch"].max() < 1e-12
    assert noticed["none"].min() > 0.01 and noticed["spectral"].min() > 1e-4


def test_points_are_those_that_the_recording_shows() -> None:
    config = small("spectral", record_every=20, validate_every=20)
    run = advance(start(config), 21)
    before = advance(start(config), 20)
    np.testing.assert_allclose(rings.made(before), run.history["samples"][:, 1], rtol=1e-6)
    near, covered = run.history["val_accuracy"][:, 1], run.history["val_accuracy_batch"][:, 1]
    np.testing.assert_allclose(rings.scored(config, 20), near * covered)


def test_what_diverges_scores_nothing_and_is_not_measured() -> None:
    config = small("none", lr=100.0)
    assert rings.scored(config, 60).tolist() == [0, 0]
    found = rings.steepness(config, (0, 60))
    assert np.isfinite(found["steepest"][:, 0]).all() and np.isnan(found["steepest"][:, 1]).all()
    assert rings.score([0.5, np.nan], [1, 1]).tolist() == [0.5, 0]


def test_circles_hold_the_share_of_real_points_that_a_gaussian_has_within_three_deviations() -> None:
    real = parts.networks("none", 0.1).data().x_train
    (near,), (covered,) = quality(real[None], parts.NOISE)
    assert near == pytest.approx(1 - exp(-9 / 2), abs=0.01) and covered == 1
    x, y = views._rings()
    assert np.nanmax(x) == pytest.approx(1.3, abs=1e-3) and np.nanmax(y) == pytest.approx(1.3, abs=1e-3)


def test_rates_are_the_best_of_the_sweep() -> None:
    """A quarter of the sweep's seeds, at the best rates: their means lie as near as so few seeds can say."""
    assert parts.BEST == BEST
    for norm, lr in BEST.items():
        (scores,) = rings.sweep(parts.swept(norm, replicas=8), parts.STEPS, (lr,))
        place = parts.RATES.index(lr)
        assert scores.mean() == pytest.approx(parts.SWEPT[norm][place], abs=0.1), norm
        assert max(parts.SWEPT[norm]) == parts.SWEPT[norm][place]


BEST = {"none": 0.1, "batch": 0.001, "spectral": 3.0}


# ---- what is shown ---------------------------------------------------------------------------------------


def test_an_open_question_has_one_rate_and_no_reasons() -> None:
    values = settings(answered=False, rates="own", common_rate=3.0)
    assert set(parts.rates_of(values).values()) == {parts.COMMON} and not scene.jobs(values)
    shown = CHAPTER.view(values, equal())
    assert set(shown.figures) == {"points", "curves"} and "ahead" not in shown.text
    answered = settings(rates="own")
    assert parts.rates_of(answered) == BEST
    assert [config.lr for config in scene.runs(answered).values()] == list(BEST.values())
    assert parts.rates_of(settings(common_rate=3.0)) == dict.fromkeys(parts.NORMS, 3.0)


@pytest.mark.parametrize(("norm", "leader"), [("none", 0), ("batch", 1), ("spectral", 2)])
def test_the_leader_is_who_is_clearly_ahead(norm: str, leader: int) -> None:
    spread = np.linspace(-0.02, 0.02, 8)
    found = equal() | {norm: cell(0.9 + spread, 1.0)}
    shown = view(found, rates="own")
    assert shown.numbers["leader"] == leader and shown.numbers["gap"] == pytest.approx(65)
    name = parts.NORMS[norm]
    assert f"{name[0].upper()}{name[1:]} is clearly ahead of" in shown.text
    unclear = equal() | {norm: cell(0.55 + 10 * spread, 0.55)}
    shown = view(unclear, rates="own")
    assert shown.numbers["leader"] == 3 and "is not clearly ahead of" in shown.text


def test_points_and_curves_are_those_of_the_playhead() -> None:
    run = cell(0.5, 0.5)
    run["cloud"][0, :, :, 0] = 0.001 * run["step"][:, None]
    shown = view(equal() | {"none": run}, gan_step=45)
    points = shown.figures["points"]["data"][3]
    assert points["name"] == "no norm · 0.1" and np.allclose(points["x"], 0.040)
    assert max(max(trace["x"]) for trace in shown.figures["curves"]["data"]) == 40
    assert "Step 40." in shown.text and shown.table["step"].tolist() == [0]


def test_a_run_that_grows_is_shown_as_far_as_it_has_come() -> None:
    growing = {norm: cell(0.5, 0.5, 200) for norm in parts.NORMS} | {"batch": None}
    shown = view(growing)
    assert shown.waiting and shown.figures["points"]["data"]
    shown = view(growing | {"batch": cell(0.5, 0.5, 100)})
    assert shown.waiting == f"100 of {parts.STEPS} steps are computed."
    shown = view(equal() | {"slope none": None}, rates="own")
    assert "slopes" in shown.waiting and "slopes" in shown.figures


def test_no_leader_is_named_where_nobody_has_learned() -> None:
    assert view(equal(), gan_step=0).text.endswith("All three are the same before training.")
    lost, hardly = cell(np.nan, np.nan), cell(np.linspace(0, 0.2, 8), 0.5)
    for run, before in ((lost, 0.3), (hardly, 0.2)):
        for key in ("val_accuracy", "val_accuracy_batch"):
            run[key][:, 0] = before
    everywhere = dict.fromkeys(parts.NORMS, lost)
    assert "All three failed" in view(everywhere).text and "ahead" not in view(everywhere).text
    shown = view(everywhere | {"none": hardly})
    assert "No score is clearly better" in shown.text and "ahead" not in shown.text


def test_a_dragged_rate_is_drafted_by_the_sweep_and_a_playhead_leaves_what_is_seen() -> None:
    values = settings(common_rate=0.3, seed=991)
    dragged = {"draft": True, "moves": "common_rate"}
    assert not scene.runs(values | dragged)
    shown = CHAPTER.view(values | dragged, {})
    assert "Rate 0.3." in shown.text and "spectral norm 17%" in shown.text and "Let go" in shown.text
    assert set(shown.figures) == FIGURES and not shown.waiting
    between = CHAPTER.view(values | dragged | {"common_rate": 0.2}, {})
    assert between.text == "Rate 0.2. Let go to train these GANs."
    whole = scene.runs(values)
    assert [config.replicas for config in whole.values()] == [8, 8, 8]
    assert scene.runs(values | {"draft": True, "moves": "gan_step", "gan_step": 40}) == whole


FIGURES = {"points", "curves", "over_rates", "slopes"}


def test_no_figure_goes_where_rates_are_in_common() -> None:
    for rates, words in (("own", "no norm from"), ("common", "Measured with each at its own best rate")):
        shown = view(equal(), rates=rates)
        assert set(shown.figures) == FIGURES
        assert words in shown.figures["slopes"]["layout"]["meta"]["alt"]
    (control,) = (one for one in scene.CONTROLS if one.name == "common_rate")
    assert control.resets == ("rates",) and settings()["rates"] == "common"


def test_diverged_networks_are_counted_and_their_points_left_out() -> None:
    lost = cell(np.r_[np.full(5, np.nan), 0.5, 0.5, 0.5], np.r_[np.full(5, np.nan), 1, 1, 1])
    shown = view(equal() | {"none": lost})
    assert "(5 of 8 diverged)" in shown.text and shown.numbers["score_none"] == pytest.approx(3 / 16)
    gone = cell(np.nan, np.nan)
    gone["cloud"][:] = np.nan
    shown = view(equal() | {"none": gone})
    assert shown.numbers["score_none"] == 0 and "diverged" in shown.figures["points"]["layout"]["meta"]["alt"]
    assert not len(shown.figures["points"]["data"][3]["x"])
    assert all(np.isfinite(number) for number in shown.numbers.values())


def test_points_outside_the_square_are_counted() -> None:
    run = cell(0.5, 0.5)
    run["cloud"][0, :, :7] = views.EDGE + 1
    notes = view(equal() | {"batch": run}).figures["points"]["layout"]["annotations"]
    assert [note["text"] for note in notes if "outside" in note["text"]] == ["7 outside"]


def test_the_grey_dot_is_there_to_drag_where_there_is_one_rate() -> None:
    def dragged(**changes: Any) -> list[Any]:
        traces = view(equal(), **changes).figures["over_rates"]["data"]
        return [list(trace["x"]) for trace in traces if trace.get("meta", {}).get("drag") == "common_rate"]

    assert dragged(common_rate=0.3) == [[0.3]] and not dragged(rates="own")


def test_the_lab_has_the_same_race() -> None:
    for changes in ({"rates": "own"}, {"common_rate": 0.3}):
        race = scene.lab(settings(**changes))
        assert race is not None and race_address(race)
        assert [config.norm for config in race.configs[:3]] == list(parts.NORMS)
        later = [config.lr for config in race.configs[3:]]
        assert later == ([parts.LATE["none"][0]] if "rates" in changes else [])


# ---- what is taken away ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("lr", "kept"), [(0.3, ["spectral"]), (0.003, ["none", "batch", "spectral"])])
def test_the_script_finds_the_same_at_one_rate_and_gaps_where_rounding_counts(
    lr: float, kept: list[str]
) -> None:
    values = settings(common_rate=lr, gan_step=100)
    found = {}
    for norm, config in scene.runs(values).items():
        _, block = extend(config, values["gan_step"] + 1)
        found[norm] = {name: block[name] for name in ("step", *scene.KEPT)}
    shown, out = CHAPTER.view(values, found), io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(scene.script(values), {})
    finally:
        torch.set_default_dtype(torch.float32)
    said = dict(line.split(" = ") for line in out.getvalue().splitlines() if " = " in line)
    assert set(said) == {"leader", *(f"score_{norm}" for norm in kept)}
    for name, number in said.items():
        assert shown.numbers[name] == pytest.approx(float(number), rel=1e-6), name
    head, *rows = out.getvalue().splitlines()[len(said) :]
    assert head.split(",") == list(shown.table) and len(rows) == 2
    theirs = [[float(text) if text else np.nan for text in row.split(",")] for row in rows]
    np.testing.assert_allclose(theirs, np.stack(list(shown.table.values()), axis=1), rtol=1e-6)
    for norm in parts.NORMS:
        assert np.isfinite(shown.table[f"near_{norm}"]).tolist() == [True, norm in kept]


@pytest.mark.parametrize(("norm", "lr"), [("none", 0.1), ("batch", 0.003), ("spectral", 10.0)])
def test_what_is_called_repeated_is_so_after_a_change_by_rounding(norm: str, lr: float) -> None:
    assert views.repeated(norm, lr) and not views.repeated(norm, 100.0)
    run = start(parts.networks(norm, lr, replicas=2, record_every=100, validate_every=100))
    noise = np.random.default_rng(0).standard_normal(run.flat.shape)
    ends = [advance(one, 301).history for one in (run, replace(run, flat=run.flat * (1 + 1e-15 * noise)))]
    np.testing.assert_array_equal(ends[0]["val_accuracy"], ends[1]["val_accuracy"])
