"""What is particular about "Weight and spectral norm": laws, bounds and torch's own norms of weights."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations

from bnlib import RunConfig
from bnlib.lessons import weights
from bnlib.networks.parameters import plan
from bnlib.training.train import Run, advance, start
from book.chapter import View
from book.controls import Values
from book.registry import chapters
from pages import _weights_circle as circle
from pages import _weights_length as length
from pages import _weights_parts as parts
from pages import _weights_ratio as ratio
from pages import _weights_spread as spread

CHAPTER = chapters()["weights"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}
SMALL = RunConfig(depth=2, width=64, replicas=2, dtype="float64", lr=0.2)


def settings(name: str, answered: bool = True, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, answered)


# ---- the plane -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(2.0, 0.5), (0.3, 1.7), (1.0, 1.0)])
def test_the_plane_stretches_as_it_says(first: float, second: float) -> None:
    matrix = weights.plane(first, second, 25, 65)
    np.testing.assert_allclose(np.linalg.svd(matrix)[1], sorted((first, second), reverse=True))
    np.testing.assert_allclose(matrix @ parts.at_angle(25), first * parts.at_angle(65), atol=1e-12)
    np.testing.assert_allclose(matrix @ parts.at_angle(115), second * parts.at_angle(155), atol=1e-12)


def test_power_iteration_turns_v_as_the_law_says_and_ends_at_the_singular_vector() -> None:
    matrix = np.random.default_rng(3).standard_normal((5, 4))
    u, values, vt = np.linalg.svd(matrix)
    path = weights.iterated(matrix, vt[0] + vt[1], 200)
    tangent = np.abs(path.v @ vt[1]) / np.abs(path.v @ vt[0])
    np.testing.assert_allclose(tangent[:6], (values[1] / values[0]) ** (2 * np.arange(6)), rtol=1e-9)
    assert abs(path.v[-1] @ vt[0]) == pytest.approx(1) and path.sigma[-1] == pytest.approx(values[0])
    assert (np.diff(path.sigma) > -1e-12).all() and (path.sigma <= values[0] * (1 + 1e-12)).all()
    kept = weights.iterated(np.zeros((2, 2)), np.array([0.0, 2.0]), 3)
    np.testing.assert_array_equal(kept.v, np.array([[0.0, 1.0]] * 4))


def test_the_arrow_of_the_scene_is_torchs_after_as_many_iterations() -> None:
    values = settings("circle", iteration=3, angle=70.0, first=1.2, second=0.9)
    numbers = CHAPTER.view(values).numbers
    layer = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
    matrix = torch.tensor(parts.matrix(1.2, 0.9))
    layer.weight.data = matrix
    parametrizations.spectral_norm(layer)
    norm = layer.parametrizations.weight[0]
    norm._v = torch.tensor(parts.at_angle(70.0))
    norm._power_method(matrix, 3)
    assert numbers["stretch"] == pytest.approx(float((matrix @ norm._v).norm()), rel=1e-12)
    angles = torch.rad2deg(torch.acos(norm._v @ torch.tensor(parts.at_angle(parts.TURN_IN))))
    assert numbers["off"] == pytest.approx(float(angles), rel=1e-9)
    assert numbers["off"] == pytest.approx(numbers["off_law"], rel=1e-9)


def test_what_is_divided_by_sigma_has_a_longest_radius_of_1_and_keeps_its_shape() -> None:
    for first, second in ((2.0, 0.5), (0.4, 1.6), (1.0, 1.0), (0.1, 2.5)):
        numbers = CHAPTER.view(settings("circle", first=first, second=second, divided="normed")).numbers
        assert numbers["longest"] == pytest.approx(1)
        assert numbers["thinnest"] == pytest.approx(min(first, second) / max(first, second))
        plain = CHAPTER.view(settings("circle", first=first, second=second)).numbers
        assert plain["longest"] == max(first, second) and plain["below"] >= -1e-12


def without_biases(run: Run) -> Run:
    """Return the run with biases of 0."""
    flat = run.flat.copy()
    for name, own in plan(run.config).views(flat).items():
        if name.startswith("bias"):
            own[...] = 0
    return replace(run, flat=flat)


def drags(view: View) -> set[str]:
    return {
        trace["meta"]["drag"]
        for figure in view.figures.values()
        for trace in figure["data"]
        if "drag" in trace.get("meta", {})
    }


def test_the_radii_can_be_dragged_where_they_are_what_is_dragged() -> None:
    assert drags(CHAPTER.view(settings("circle"))) == {"angle", "first", "second"}
    assert drags(CHAPTER.view(settings("circle", divided="normed"))) == {"angle"}
    for control, axis in (("angle", "angle"), ("first", "radius"), ("second", "radius")):
        (found,) = (
            trace["meta"]["axis"]
            for figure in CHAPTER.view(settings("circle")).figures.values()
            for trace in figure["data"]
            if trace.get("meta", {}).get("drag") == control
        )
        assert found == axis


# ---- one iteration a step --------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.99])
def test_errors_on_weights_held_still_are_those_of_theory(share: float) -> None:
    measured, law = weights.settling(share, 20), ratio.law(share, np.arange(1, 21))
    np.testing.assert_allclose(measured, law, rtol=1e-6, atol=1e-13)
    if share <= 0.8:  # settled before rounding is reached
        assert ratio._left(measured) == pytest.approx(share**4, rel=1e-3)


def test_iterations_are_counted_as_one_would_by_hand() -> None:
    weight = np.random.default_rng(5).standard_normal((3, 40, 30))
    counted = weights.until(11, weight)
    u = np.random.default_rng((11, 9)).standard_normal((3, 30))
    for replica in range(3):
        w, vector, needed = weight[replica], u[replica], 0
        while True:
            needed += 1
            v = w @ vector / np.linalg.norm(w @ vector)
            vector = w.T @ v / np.linalg.norm(w.T @ v)
            if v @ w @ vector >= 0.99 * np.linalg.svd(w)[1][0]:
                break
        assert counted[replica] == needed


def test_sigma_in_training_is_that_of_the_next_step_with_u_kept() -> None:
    config = replace(SMALL, norm="spectral")
    found = weights.followed(config, 20, 20)
    run = advance(start(weights.quiet(config)), 20)
    for layer in range(2):
        weight = torch.tensor(run.parameters[f"weight{layer}"][0].T.copy())  # torch's are (outputs, inputs)
        u = torch.tensor(run.power[0, 64 * layer : 64 * (layer + 1)])
        v = torch.nn.functional.normalize(weight.T @ u, dim=0)
        sigma = (torch.nn.functional.normalize(weight @ v, dim=0) @ weight @ v).item()
        exact = torch.linalg.matrix_norm(weight, 2).item()
        assert found["kept"][0, 1, layer] == pytest.approx(1 - sigma / exact, abs=1e-12)
        values = torch.linalg.svdvals(weight)
        assert found["share"][0, 1, layer] == pytest.approx((values[1] / values[0]).item())
    assert found["step"].tolist() == [0, 20] and found["kept"].shape == (2, 2, 2)
    assert (found["fresh"] > 0).all() and (found["kept"] > -1e-12).all()


def test_more_iterations_leave_less() -> None:
    found = [weights.followed(replace(SMALL, norm="spectral", iterations=k), 40, 40) for k in (1, 20)]
    assert found[1]["kept"][:, 1].mean() < found[0]["kept"][:, 1].mean() / 2


def run_of(error: float, turned: float = 1.0) -> dict[str, Any]:
    """What a job returns of networks whose sigma is too small by a share."""
    shape = (8, ratio.STEPS // ratio.EVERY + 1, 2)
    return {
        "step": np.arange(0, ratio.STEPS + 1, ratio.EVERY), "kept": np.full(shape, error),
        "fresh": np.full(shape, 0.3), "share": np.full(shape, 0.96), "turned": np.full(shape, turned),
        "needed": np.full((8, 2), 17.0), "error": np.full(8, 20.0),
    }  # fmt: skip


def ratio_view(answered: bool = True, **changes: Any) -> View:
    values = settings("ratio", answered, **changes)
    assert CHAPTER.jobs is not None
    names = CHAPTER.jobs(values)
    found: dict[str, Any] = {name: run_of(0.1 if name == "0.2 1" else 1e-6) for name in names}
    found["settled"] = np.full(len(ratio.SHARES), 3.0)
    return CHAPTER.view(values, found)


def test_the_rate_that_is_chosen_is_the_one_that_is_told_of() -> None:
    large, small = ratio_view(pace=0.2), ratio_view(pace=0.02)
    assert large.numbers["kept"] == pytest.approx(10) and small.numbers["kept"] == pytest.approx(1e-4)
    assert "10.0% below σ" in large.text and "less than 0.1% below σ" in small.text
    assert large.numbers["stretch"] == pytest.approx(1 / 0.9) and ratio_view(pace=0.16).text == large.text
    assert ratio_view(pace=0.2, count=5).numbers["kept"] == pytest.approx(1e-4)
    assert small.numbers["tenfold"] == pytest.approx(10 * small.numbers["kept"])


def test_while_the_question_is_open_only_the_small_rate_is_shown() -> None:
    view = ratio_view(answered=False, pace=0.2, count=5)
    assert (
        "Learning rate 0.02" in view.text and "0.2" not in view.figures["training"]["layout"]["meta"]["alt"]
    )
    assert max(float(np.max(t["y"])) for t in view.figures["training"]["data"]) == pytest.approx(30)
    kept = [t for t in view.figures["training"]["data"] if t["name"].startswith("u kept")]
    assert len(kept) == 1 and float(np.max(kept[0]["y"])) < 1
    assert not [t for t in view.figures["needed"]["data"] if "discriminator" in t["name"]]


# ---- sizes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["spectral", "none"])
def test_no_pair_moves_further_apart_than_the_singular_values_allow(norm: str) -> None:
    config = replace(SMALL, norm=norm, depth=3)
    found = weights.spread(config, 5)
    assert (found["gain"] <= found["bound"]).all() and (found["gain"] > 0).all()
    run = start(config)
    largest = np.stack([np.linalg.norm(layer.weight, 2, axis=(1, 2)) for layer in run.layers[:-1]], axis=1)
    np.testing.assert_allclose(found["bound"][0], np.cumprod(largest, axis=1))
    if norm == "spectral":
        assert (found["values"][..., 0] >= 1 - 1e-9).all() and (found["values"][..., 0] < 1.1).all()


def test_sizes_are_those_of_a_forward_pass_in_torch() -> None:
    config = replace(SMALL, norm="batch", depth=2)
    found = weights.spread(config, 1)
    x = torch.tensor(config.data().x_val)
    run, sizes, gains = start(config), [], []
    h = x
    for layer in range(2):
        z = h @ torch.tensor(run.parameters[f"weight{layer}"][1])
        z = torch.nn.functional.batch_norm(z, None, None, training=True, eps=1e-5)
        sizes.append(z.square().mean().sqrt().item())
        pairs = [(z - z.roll(k, 0)).norm(dim=1) / (x - x.roll(k, 0)).norm(dim=1) for k in range(1, 21)]
        gains.append(torch.stack(pairs).max().item())
        h = torch.relu(z)
    np.testing.assert_allclose(found["rms"][0, 1], sizes)
    np.testing.assert_allclose(found["gain"][0, 1], gains)


def test_where_numbers_grow_again_under_spectral_norm_it_is_by_the_biases() -> None:
    config = spread.config_of(settings("spread"), "spectral")
    run = advance(start(weights.quiet(replace(config, replicas=2))), spread.STEPS)
    sizes = weights._sizes(run)["rms"].mean(axis=0)
    assert sizes[-1] > 2 * sizes[-2]
    last = f"bias{spread.LAYERS - 1}"
    bias = np.sqrt(np.square(run.parameters[last]).mean())
    assert bias == pytest.approx(sizes[-1], rel=0.15)
    assert (np.diff(weights._sizes(without_biases(run))["rms"].mean(axis=0)) < 0).all()
    assert spread._risen(np.array([3.0, 2, 1, 1.5]), np.array([4.0, 3, 2, 1])).startswith(
        "Spectral norm’s numbers grow again in layer 4."
    )
    assert spread._risen(np.array([3.0, 2, 1]), np.array([3.0, 2, 1])) == ""


def test_the_stretches_of_a_gaussian_matrix_are_half_the_largest_in_the_root_mean_square() -> None:
    values = np.linalg.svd(np.random.default_rng(0).standard_normal((4, 600, 600)), compute_uv=False)
    assert spread.share_of(values) == pytest.approx(spread.THEORY, abs=0.01)
    assert spread.share_of(np.ones((2, 3, 8))) == 1


# ---- length ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "size"), [(100.0, 1.5), (37.0, 3.0), (250.0, 1.2)])
def test_the_unit_has_the_gradient_that_torch_says(direction: float, size: float) -> None:
    here = length.unit(direction, size)
    layer = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    parametrizations.weight_norm(layer)
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    g.data, v.data = torch.tensor([[length.GAIN]], dtype=torch.float64), torch.tensor(here.v[None])
    ((layer.weight - torch.tensor(length.TARGET)).square().sum() / 2).backward()
    np.testing.assert_allclose(here.dv, v.grad[0].numpy(), rtol=1e-12)
    np.testing.assert_allclose(here.w, layer.weight[0].detach().numpy(), rtol=1e-12)
    assert here.dv @ here.v == pytest.approx(0, abs=1e-12)
    assert np.linalg.norm(here.after) == pytest.approx(np.hypot(size, np.linalg.norm(here.dv)))


def test_a_v_three_times_as_long_has_the_same_w_and_a_third_of_the_gradient() -> None:
    short, long = length.unit(100, 1), length.unit(100, 3)
    np.testing.assert_allclose(long.w, short.w)
    np.testing.assert_allclose(long.dv, short.dv / 3)


def test_v_grows_by_the_squares_of_its_steps() -> None:
    found = weights.lengthened(replace(SMALL, norm="weight"), 30, 10)
    np.testing.assert_allclose(found["law"], found["length"], rtol=1e-12)
    assert found["step"].tolist() == [0, 10, 20, 30] and (np.diff(found["length"]) > 0).all()
    assert (found["grew"] > 0.99).all() and (found["turned"] > 0).all()
    first = start(replace(SMALL, norm="weight"))
    every = [first.parameters[f"weight{k}"] for k in range(2)]
    squares = np.concatenate([np.square(w).sum(axis=1) for w in every], axis=1)
    np.testing.assert_allclose(found["length"][:, 0], np.sqrt(squares.mean(axis=1)))


def test_weight_decay_breaks_the_law() -> None:
    found = weights.lengthened(replace(SMALL, norm="weight", weight_decay=0.05), 30, 10)
    assert np.abs(found["law"] / found["length"] - 1).max() > 1e-3 and (found["grew"] < 0.9).all()


def test_doubled_data_pass_batch_norm_unnoticed_and_weight_norm_not() -> None:
    batch = weights.learned(replace(SMALL, norm="batch"), 60, 60)
    weight = weights.lengthened(replace(SMALL, norm="weight"), 60, 60)
    assert (batch["differs"] <= 0.002).all() and (weight["differs"] > 0.002).all()


# ---- the chapter -----------------------------------------------------------------------------------------


def test_the_first_pages_picture_is_the_ellipse() -> None:
    for size in (1, 7, 256):
        drawn = parts.thumbnail({"batch_size": size, "eps": 0.0})
        circle_, spokes, ellipse, longest = drawn["data"]
        radii = np.hypot(ellipse["x"], ellipse["y"])
        assert radii.max() == pytest.approx(2, abs=0.01) and radii.min() == pytest.approx(0.7, abs=0.01)
        assert np.isnan(spokes["x"]).sum() == min(size, 24)
        assert np.hypot(longest["x"], longest["y"]).max() == pytest.approx(2)


def test_angles_that_are_rounding_are_not_written_out() -> None:
    view = CHAPTER.view(settings("circle", first=1.0, second=2.0, iteration=30))
    assert "v is less than 0.001° away" in view.text and "10⁻" not in view.text
    told = view.equations[0].describe()
    assert (told["sign"], told["shown"]) == ("<", "0.001°") and "10⁻" not in str(told)
    plain = CHAPTER.view(settings("circle", iteration=1)).equations[0].describe()
    assert plain["shown"].endswith("°") and plain["sign"] in "=≈"


def test_what_makes_v_turn_less_is_shared_out() -> None:
    names = CHAPTER.jobs(settings("length")) if CHAPTER.jobs else {}
    curves: dict[str, Any] = {"step": np.array([0, 300]), "val": np.full((8, 2), 5.0), "differs": np.zeros(8)}
    own = {"length": [1.0, 1.25], "law": [1.0, 1.25], "turned": [2.0, 0.5], "gain": [1.0, 1.0]}
    grown = curves | {name: np.tile(ends, (8, 1)) for name, ends in own.items()} | {"grew": np.ones(8)}
    found = {name: grown if name.startswith("weight") else curves for name in names}
    text = CHAPTER.view(settings("length"), found).text
    assert "That is 75% less. The longer v alone would make it 20.0% less" in text


def test_more_iterations_and_other_norms_are_trained_only_where_they_are_chosen() -> None:
    assert CHAPTER.jobs is not None
    ratios = CHAPTER.jobs(settings("ratio", pace=0.1))
    assert not [name for name in ratios if name.endswith(" 5")]
    assert set(CHAPTER.jobs(settings("ratio", pace=0.1, count=5))) - set(ratios) == {"0.1 5"}
    lengths = set(CHAPTER.jobs(settings("length", rate=0.1)))
    assert {"none 0.1", "batch 0.1"} <= lengths and not {"none 0.2", "batch 0.3"} & lengths


def test_words_in_the_plane_keep_clear_of_each_other() -> None:
    for narrow in (False, True):
        for direction in range(0, 360, 5):
            for size in (1.2, 1.3, 1.7, 2.2):
                values = settings("length", direction=float(direction), length=size) | {"narrow": narrow}
                drawn = length._plane(length.unit(direction, size), values, False)
                unit = (drawn["layout"]["height"] - 60) / (2 * length.MOST)  # pixels
                notes = drawn["layout"]["annotations"]
                places = [(note["x"] * unit, note["y"] * unit, len(note["text"])) for note in notes]
                gaps = [parts.apart(one, other) for one, other in itertools.combinations(places, 2)]
                assert len(gaps) == 6 and min(gaps) > 0, (narrow, direction, size)


def test_dragging_needs_nothing_new() -> None:
    moved: dict[str, dict[str, Any]] = {
        "circle": {"angle": 5.0, "first": 1.0}, "ratio": {"share": 0.61, "pace": 0.1},
        "spread": {"layer": 2, "when": "later"}, "length": {"direction": 5.0, "length": 2.0},
    }  # fmt: skip
    assert CHAPTER.jobs is not None
    for name, changes in moved.items():
        assert CHAPTER.jobs(settings(name, **changes)) == CHAPTER.jobs(settings(name))


def test_rates_and_counts_between_those_that_were_trained_take_the_nearest() -> None:
    assert parts.near(0.12, length.RATES) == 0.1 and parts.near(0.29, length.RATES) == 0.3
    assert circle.path(2.0, 0.5, 100.0).v.shape == (circle.ITERATIONS + 1, 2)
    assert [ratio._count({"count": k}) for k in (1, 2, 4, 5)] == [1, 1, 5, 5]
