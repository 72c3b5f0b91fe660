"""What is particular about "What it costs": PyTorch's own counts, its fold, and times that are given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bnlib import RunConfig
from bnlib.lessons import costs
from bnlib.networks.inference import inference_layers
from bnlib.norms.table import NORMS
from bnlib.torch_check.twin import twin
from bnlib.training.train import advance, start
from book.chapter import View, packed_figures
from book.controls import Values, read
from book.predictions import answer, measured_states
from book.registry import chapters
from live.session import Shelf
from live.wire import pack
from pages import _cost_fold as fold
from pages import _cost_memory as memory
from pages import _cost_parts as parts
from pages import _cost_share as share
from pages import _cost_table as table
from tests.once import once
from tests.scheduler import Inline

CHAPTER = chapters()["cost"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}
TIMES = ("training", "inference", "torch_training", "torch_inference")


def settings(name: str, answered: bool = True, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, answered) | {"narrow": False}


def times(with_: float, bare: float, torch_there: bool = True) -> dict[str, Any]:
    """What `costs.timed` could have measured."""
    names = TIMES if torch_there else TIMES[:2]
    return (
        {"memory": 0.0, "machine": "a machine"}
        | {name: with_ for name in names}
        | {f"{name}_bare": bare for name in names}
    )


def shares(by_width: Mapping[int, float], torch_there: bool = True) -> dict[str, Any]:
    """What a scene finds if the norm takes such shares of a step."""
    found: dict[str, Any] = {str(w): times(1.0, 1.0 - part, torch_there) for w, part in by_width.items()}
    return found


# ---- the norm's share ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [(0.4, 0.06, 0), (0.25, 0.05, 0), (0.2, 0.2, 1), (0.2, 0.25, 1), (0.1, 0.4, 2), (0.4, -0.02, 0)],
)
def test_shares_are_sorted_by_how_they_change(narrow: float, wide: float, expected: int) -> None:
    assert costs.trend(narrow, wide) == expected
    found = shares({64: narrow, 1024: wide, 16: 0.5, 256: 0.2})
    view = CHAPTER.view(settings("share", width=1024), found)
    assert view.numbers["trend"] == expected and not view.waiting
    assert np.isclose(view.numbers["share"], wide) and np.isclose(view.numbers["share_torch"], wide)


def test_the_answer_follows_the_times() -> None:
    """With times in which the norm's share grows, that choice is right."""
    scene = SCENES["share"]
    start_, reveal = measured_states(CHAPTER, scene)
    for wide, right in ((0.05, 2), (0.4, 1), (0.9, 0)):
        found = shares({64: 0.4, 1024: wide, 16: 0.5, 256: 0.2})
        before = CHAPTER.view(start_, found).numbers
        there = reveal(before)
        assert answer(scene, before, there, CHAPTER.view(there, found).numbers).right == right


def test_operations_are_what_torch_counts() -> None:
    """Of the matrix products, by PyTorch's own counter; a norm's are a part that vanishes as 1 / width."""
    from torch.utils.flop_counter import FlopCounterMode

    config, batch = RunConfig(depth=3, width=48), 8
    net = nn.Sequential(
        nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(),
        nn.Linear(48, 10),
    )  # fmt: skip
    with FlopCounterMode(display=False) as counter:
        net(torch.randn(batch, 64)).sum().backward()
    products, norm = costs.operations(config)
    assert counter.get_total_flops() == batch * products
    assert norm == 15 * 3 * 48
    wide = costs.operations(replace(config, width=2048))
    assert wide[1] / wide[0] < 0.002 < norm / products


def test_a_share_needs_no_pytorch() -> None:
    """Where it isn't installed, the page says so and everything else is there."""
    found = shares({64: 0.4, 1024: 0.05, 16: 0.5, 256: 0.2}, torch_there=False)
    view = CHAPTER.view(settings("share", width=1024), found)
    assert "PyTorch isn’t installed" in view.text and "share_torch" not in view.numbers
    assert np.isnan(view.table["torch"]).all() and np.isfinite(view.table["numpy"]).all()
    sendable(view)
    scene = SCENES["share"]
    start_, reveal = measured_states(CHAPTER, scene)
    before = CHAPTER.view(start_, found).numbers
    there = reveal(before)
    assert answer(scene, before, there, CHAPTER.view(there, found).numbers).right == 2


def sendable(view: View) -> None:
    """A view whose numbers are JSON, with what isn't there yet left out of lists."""
    figures, arrays = packed_figures(view.figures)
    pack({"figures": figures, "board": view.board}, arrays)


@pytest.mark.parametrize("name", SCENES)
def test_pictures_stand_before_anything_is_measured(name: str) -> None:
    for answered in (False, True):
        for draft in (False, True):
            values = settings(name, answered) | {"draft": draft, "moves": ""}
            jobs = CHAPTER.jobs(values) if CHAPTER.jobs else {}
            assert all(job.light for job in jobs.values()) or not draft or name == "fold"
            view = CHAPTER.view(values, dict.fromkeys(jobs))
            assert view.figures and (view.text or view.waiting)
            sendable(view)


def test_while_the_question_is_open_one_width_is_measured() -> None:
    assert set(share.jobs(settings("share", answered=False) | {"draft": False})) == {"64"}
    answered = share.jobs(settings("share") | {"draft": False})
    assert set(answered) == {"64", "1024", "16", "256"}
    again = share.jobs(settings("share", again=1) | {"draft": False})
    assert again["64"] != answered["64"], "measure again does measure again"
    moving = {"draft": True, "moves": "width"}
    assert share.jobs(settings("share", width=32) | moving) == {
        name: job for name, job in answered.items() if name != "32"
    }


def test_timed_gives_times_of_both_libraries() -> None:
    found = once(costs.timed, RunConfig(width=8, batch_size=8), 0)
    assert found.pop("machine") == costs.machine()
    assert set(found) == {"memory", *TIMES, *(f"{name}_bare" for name in TIMES)}
    assert all(np.isfinite(value) and value > 0 for value in found.values())


def test_contestants_take_turns() -> None:
    order: list[int] = []
    found = costs.in_turns([lambda: order.append(0), lambda: order.append(1)], rounds=3, steps=2)
    assert order == 3 * [0, 0, 0, 1, 1, 1] and found.shape == (2,) and (found >= 0).all()


def test_the_machine_is_said() -> None:
    assert f"NumPy {np.__version__}" in costs.machine() and torch.__version__ in costs.machine()


def test_times_from_two_machines_are_told_apart() -> None:
    """As in a browser, where some times were measured when the page was made."""
    found = shares({64: 0.4, 1024: 0.05, 16: 0.5, 256: 0.2})
    found["1024"]["machine"] = "another machine"
    note = CHAPTER.view(settings("share", width=1024), found).notes["halves"]
    assert note == "Processor time on another machine. Other times: on a machine."
    assert parts.measured_on(None) == "Processor time, one thread."


def test_without_torch_the_machine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "find_spec", lambda name: None)
    assert "without PyTorch" in costs.machine() and not costs.has_torch()
    found = costs.timed(RunConfig(width=8, batch_size=8), 0)
    assert set(found) == {"memory", "machine", *TIMES[:2], *(f"{name}_bare" for name in TIMES[:2])}


# ---- parameters ------------------------------------------------------------------------------------------


def test_resnet_50_is_what_is_published() -> None:
    """torchvision's documentation gives 25,557,032 parameters; 53 norms have 26,560 channels."""
    found = costs.resnet50()
    assert found["weights"] + found["biases"] + found["affine"] == 25_557_032
    assert found["affine"] == found["kept"] == 2 * 26_560


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "weight", "spectral"])
def test_numbers_are_those_of_the_twin_in_pytorch(norm: str) -> None:
    config = RunConfig(norm=norm, depth=3, width=24)
    found, own = costs.numbers_of(config), twin(start(config))
    learned = sum(parameter.numel() for parameter in own.parameters())
    assert found["weights"] + found["biases"] + found["affine"] == learned
    kept = sum(moment.numel() for layer in own.running for moment in layer)
    kept += 3 * 24 if norm == "spectral" else 0  # u
    assert found["kept"] == kept


def test_credits_about_other_widths_hold() -> None:
    for width, percent in ((16, 5.0), (256, 1.0)):
        view = CHAPTER.view(settings("numbers", width=width), {})
        assert round(view.numbers["part"]) == percent


def test_a_bias_is_saved_and_gamma_and_beta_are_added() -> None:
    numbers = CHAPTER.view(settings("numbers", width=100), {}).numbers
    assert numbers["more"] == numbers["affine"] - numbers["biases"] == 300


# ---- memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", parts.COMMON)
@pytest.mark.parametrize(("batch", "width"), [(8, 16), (32, 64), (24, 100), (64, 8)])
def test_what_is_held_is_what_a_step_and_pytorch_hold(norm: str, batch: int, width: int) -> None:
    groups = parts.groups(width)
    here, there = costs.held(norm, batch, width, groups)
    config = RunConfig(norm=norm, depth=2, width=width, batch_size=batch, groups=groups)
    assert costs.more_held(config) == memory.BYTES * here
    made = {
        "batch": nn.BatchNorm1d(width), "layer": nn.LayerNorm(width), "group": nn.GroupNorm(groups, width),
        "rms": nn.RMSNorm(width),
    }[norm]  # fmt: skip
    assert saved(made, torch.randn(batch, width, requires_grad=True)) == there


def saved(net: nn.Module, x: torch.Tensor) -> int:
    """Count the numbers PyTorch saves for the backward pass, parameters and buffers aside."""
    found: dict[int, int] = {}
    known = {one.data_ptr() for one in [*net.parameters(), *net.buffers()]}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        net(x)
    return sum(count for at, count in found.items() if at not in known)


def test_in_pytorch_a_layer_goes_from_one_array_to_two() -> None:
    batch, width = 32, 64

    def deep(norm: bool, layers: int) -> int:
        parts_ = [[nn.Linear(width, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]] * layers
        return saved(nn.Sequential(*(one for part in parts_ for one in part)), torch.randn(batch, width))

    bare, normed = (deep(norm, 3) - deep(norm, 2) for norm in (False, True))
    assert bare == batch * width
    assert normed == 2 * batch * width + 2 * width


def test_the_memory_scene_says_what_was_counted() -> None:
    values = settings("memory", norm="group")
    found = {
        norm: job.function(*job.arguments) for norm, job in memory.jobs(values | {"draft": False}).items()
    }
    view = CHAPTER.view(values, found)
    assert view.numbers["extra"] == view.numbers["law"] == 1.375


# ---- folding ---------------------------------------------------------------------------------------------


def test_folding_is_pytorchs() -> None:
    """Each layer of a trained network, folded by fuse_linear_bn_eval; and the maps before that."""
    config = RunConfig(depth=2, width=16, dtype="float64")
    run = advance(start(config), 30)
    whole = inference_layers(config, run.layers, run.running)
    for number, layer in enumerate(run.layers[:2]):
        here = slice(16 * number, 16 * number + 16)
        rows, columns = layer.weight.shape[1:]
        linear = nn.Linear(rows, columns, bias=False, dtype=torch.float64)
        norm = nn.BatchNorm1d(columns, eps=config.eps, dtype=torch.float64)
        assert norm.running_mean is not None and norm.running_var is not None
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer.weight[0].T))
            norm.weight.copy_(torch.tensor(layer.gamma[0, 0]))
            norm.bias.copy_(torch.tensor(layer.beta[0, 0]))
            norm.running_mean.copy_(torch.tensor(run.running.mean[0, here]))
            norm.running_var.copy_(torch.tensor(run.running.var[0, here]))
        linear.eval(), norm.eval()
        fused = torch.nn.utils.fuse_linear_bn_eval(linear, norm)
        np.testing.assert_allclose(whole[number].weight[0].T, fused.weight.detach(), rtol=1e-12)
        np.testing.assert_allclose(whole[number].bias[0, 0], fused.bias.detach(), rtol=1e-12, atol=1e-14)
        x = torch.randn(9, rows, dtype=torch.float64)
        apart = costs.unfolded(config, run)[number]
        mapped = (x.numpy() @ apart.weight[0]) * apart.gamma[0] + apart.beta[0]
        np.testing.assert_allclose(mapped, norm(linear(x)).detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("float64", 1e-13)])
def test_nothing_but_rounding_changes(dtype: str, most: float) -> None:
    """Also for seeds that nobody looked at."""
    found = once(costs.folding, RunConfig(depth=3, dtype=dtype, replicas=4, seed=70_000), 100)
    assert found["difference"].shape == (4, 4) and not found["difference"][0].any()
    assert 0 < found["difference"][1:].max() < most * found["size"].min() * 10
    np.testing.assert_allclose(found["left"], [2, 4 / 3, 2 / 3, 0])
    assert found["changed"][0] == 0 and found["changed"].max() <= 1


def test_the_board_says_what_folding_finds() -> None:
    """PyTorch's fused layers give the same where the board says yes, and no fused layers can elsewhere."""
    assert fold.cases() == (True, True, True, False, False, False, False)
    assert all(("stays" in why) != gone for gone, (*_, why) in zip(fold.cases(), fold.CASES, strict=True))


def test_padding_is_why_a_norm_behind_the_activation_stays() -> None:
    """With zero padding no single bias behind a shifted input does; without padding it does."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    shift = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    for padding, same in ((0, True), (1, False)):
        conv = nn.Conv2d(3, 4, 3, padding=padding, dtype=torch.float64)
        apart = conv(x + shift[:, None, None]) - conv(x)
        spread = apart.flatten(2).std(-1).max().item()
        assert (spread < 1e-12) == same


def test_the_table_counts_what_vanishes() -> None:
    for network, expected in (("mlp", 7), ("cnn", 8)):
        values = settings("table", network=network)
        shown = table.names(values)
        found: dict[str, Any] = {name: times(1.5, 1.0) for name in shown}
        view = CHAPTER.view(values, found)
        assert len(shown) == expected and view.numbers["free"] == 3
        free = [n for n, gone in zip(view.table["norm"], view.table["free"], strict=True) if gone]
        assert free == ["batch", "weight", "spectral"]
        assert view.board is not None and len(view.board.rows) == expected
        assert set(view.table["torch_training"]) == {1.5} and "torch_training" in view.clocked
    assert all(NORMS[name].running or NORMS[name].weights for name in free)


def test_the_table_stands_without_pytorch() -> None:
    values = settings("table")
    found: dict[str, Any] = {name: times(1.5, 1.0, torch_there=False) for name in table.names(values)}
    view = CHAPTER.view(values, found)
    assert not view.waiting and view.board is not None
    assert {row.cells[3].text for row in view.board.rows} == {"not here"}
    sendable(view)


# ---- addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [9, 100, 1023])
def test_any_width_of_an_address_is_shown(width: int) -> None:
    for name in ("numbers", "memory"):
        raw = {"scene": name, "norm": "group", "width": str(width), "guesses": f"{name}:0"}
        values, problems = read(CHAPTER.table, raw)
        assert not problems

        async def shown(values: Values = values) -> View:
            return await Shelf(Inline()).complete(CHAPTER, values | {"narrow": False})

        assert asyncio.run(shown()).table
