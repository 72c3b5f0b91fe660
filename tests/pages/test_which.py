"""What is particular about "Which norm?": its rules and links, PyTorch's modules, laws and torch's norms."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
import torch

from bnlib import RunConfig, theory
from bnlib.data import load
from bnlib.experiments import EXPERIMENTS
from bnlib.experiments.probes.initial import block_gradients
from bnlib.lessons import which
from bnlib.norms.table import NORMS
from bnlib.training.train import advance, start
from book.controls import Values
from book.registry import chapters, pages
from pages import _which_guide as guide
from pages import _which_pre as pre
from pages import _which_rms as rms
from pages import _which_rules as rules
from pages import _which_runs as runs
from pages import _which_table as table

CHAPTER = chapters()["which"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}
PLACES = list(itertools.product(rules.KINDS, rules.BATCHES, rules.DATA))


def settings(name: str, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, True)


def leads_somewhere(address: str) -> bool:
    """Whether an address is a page, one of its scenes, or an experiment."""
    path, _, query = address.partition("?")
    by_path = {page.path: page for page in pages().values()}
    name, _, value = query.partition("=")
    if path not in by_path:
        return False
    if name == "scene":
        return value in {scene.name for scene in by_path[path].scenes}
    return value in EXPERIMENTS if name == "experiment" else not query


# ---- the rules -------------------------------------------------------------------------------------------


def test_every_network_batch_and_data_has_a_norm_and_every_rule_is_reached() -> None:
    found = [rules.rule_of(*place) for place in PLACES]
    assert {id(rule) for rule in found} == {id(rule) for rule in rules.RULES}
    assert all(rule.fits(kind, 1 if data == "online" else batch, data)
               for rule, (kind, batch, data) in zip(found, PLACES, strict=True))  # fmt: skip
    assert {rule.norm for rule in rules.RULES} <= set(guide.MAP)
    with pytest.raises(ValueError, match="no rule for kind='tree'"):
        rules.rule_of("tree", 2, "shuffled")


def test_few_samples_get_no_norm_that_needs_a_batch() -> None:
    for kind, batch, data in PLACES:
        norm = rules.rule_of(kind, batch, data).norm
        needs = norm in NORMS and NORMS[norm].running
        assert not needs or (batch >= 16 and data == "shuffled"), (kind, batch, data)


def test_every_link_leads_to_a_scene_or_an_experiment() -> None:
    assert leads_somewhere("axes?scene=paint") and not leads_somewhere("axes?scene=nowhere")
    assert not leads_somewhere("training-lab?experiment=E99") and not leads_somewhere("nowhere")
    addresses = [address for rule in rules.RULES for _, address in rule.evidence]
    addresses += [address for one in table.LINKS.values() for address in (one.shares, one.use, one.at)]
    for values in (settings("guide"), settings("table")):
        found = {norm: which.traits(norm, replicas=1) for norm in table.EVERY}
        view = table.view(values | {"open": False}, found)
        assert view.board is not None
        addresses += [cell.address for row in view.board.rows for cell in row.cells]
    assert all(map(leads_somewhere, addresses)), [one for one in addresses if not leads_somewhere(one)]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: f"{rule.norm}-{rule.kinds[0]}-{rule.most}")
def test_the_pytorch_of_a_rule_runs_and_its_norm_learns_as_many_numbers(
    rule: rules.Rule, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    exec(rule.code, {})
    assert capsys.readouterr().out == f"learned = {float(rule.learned)}\n"
    lines = [line for line in rule.code.splitlines() if line]
    assert len(lines) <= 12 and max(map(len, lines)) <= 110


def test_the_answer_on_the_map_is_the_rules() -> None:
    values = settings("guide", built="conv", batch=4, data="shuffled") | {"open": False}
    view = guide.view(values, {norm: np.full(8, 10.0 + k) for k, norm in enumerate(runs.NORMS["conv"])})
    said = re.findall(r"(\w+), (\d+) to (\d+): ([\w /]+)", view.figures["answers"]["layout"]["meta"]["alt"])
    kinds = {name: kind for kind, name in rules.KINDS.items()}
    for name, first, last, norm in said:
        for batch in rules.BATCHES:
            inside = int(first) <= batch <= int(last)
            same = rules.rule_of(kinds[name], batch, "shuffled").norm == norm
            assert same or not inside
    assert len(said) == 8


# ---- what small networks say -----------------------------------------------------------------------------


def judged(own: Any, other: Any) -> str:
    cells = {"batch": other, "group": own, "instance": other + 1, "none": other + 2}
    values = settings("guide", built="conv", batch=4) | {"open": False}
    return guide.view(values, cells).text


def test_the_runs_may_support_a_rule_speak_against_it_or_neither() -> None:
    noise = np.array([0.0, 0.2, -0.1, 0.1, 0.3, -0.2, 0.0, 0.1])
    assert "supports the rule" in judged(5 + noise, 9 - noise)
    against = judged(9 + noise, 5 - noise)
    assert "speaks against it" in against and "the rule rests on the evidence" in against
    assert "no clear difference" in judged(5 + noise, 5 + np.roll(noise, 1))


def test_accumulating_gradients_leaves_the_samples_of_a_mean_as_they_are() -> None:
    config = runs.config_of("dense", "accumulated", 2)
    assert (config.batch_size, config.statistics_of) == (16, 2)
    lower, usual = runs.config_of("dense", "lower", 2), runs.config_of("dense", "batch", 2)
    assert lower.lr == usual.lr / 10 and lower.batch_size == usual.batch_size == 2


def test_kept_learning_rates_are_the_best_of_those_that_were_tried() -> None:
    for kind, norm, batch in (("dense", "layer", 4), ("dense", "none", 2)):
        row = runs.swept(kind, norm, batch)
        assert runs.RATES[int(np.argmin(row))] == runs.rate_of(kind, norm, batch)
    for kind, every in runs.BEST.items():
        assert set(every) <= set(runs.NORMS[kind]) and all(
            len(row) == len(runs.STEPS) for row in every.values()
        )


def test_what_is_said_of_small_networks_keeps_to_what_ran() -> None:
    def said(kind: str, size: int, data: str, **errors: float) -> str:
        cells = {norm: np.array([value, value + 1, value + 2]) for norm, value in errors.items()}
        return guide._judged(rules.rule_of(kind, size, data), kind, size, data, cells)

    both = said("transformer", 32, "shuffled", layer=10.0, rms=20.0, batch=40.0)
    assert both.startswith("Small networks, batches of 32: layer norm 11.0% wrong, RMS norm 21.0%; batch")
    assert both.count("supports the rule") == 1, "the rule names both, and neither is its rival"
    assert "speaks against it" in said("dense", 2, "shuffled", layer=30.0, batch=10.0, none=40.0)
    for kind in ("transformer", "rnn", "dense"):
        words = said(kind, 8, "tuned", layer=10.0, batch=20.0)
        assert words.startswith("No small network here is fine-tuned")


def test_an_offset_waits_for_the_answer() -> None:
    open_ = CHAPTER.settings(SCENES["rms"], {"offset": 4.0}) | {"guesses": (("pre", 0),)}
    assert rms.offset_of(open_) == 0 and rms.offset_of(settings("rms", offset=4.0)) == 4


def test_a_layers_share_of_contrast_is_torchs() -> None:
    rng, digits = np.random.default_rng((3, 12)), load("digits").x_val
    weight = np.sqrt(2 / 9) * rng.standard_normal((6, 1, 3, 3))
    chosen = digits[rng.permutation(len(digits))[:16]]
    chosen = chosen * rng.uniform(0.5, 1.5, (16, 1))  # as the figure's words have it
    images = torch.tensor(chosen.reshape(16, 1, 8, 8))
    x = torch.nn.functional.conv2d(images, torch.tensor(weight), stride=2, padding=1)
    spreads = []
    for maps in (x, torch.nn.functional.layer_norm(x, x.shape[1:])):
        std = maps.std((2, 3), correction=0)
        spreads.append(float((std.std(0, correction=0) / std.mean(0)).mean()))
    assert which.contrast_left("layer", 16, 3, 1)[0] == pytest.approx(spreads[1] / spreads[0], rel=1e-6)


def test_instance_norm_leaves_nothing_of_an_images_contrast_and_batch_norm_all() -> None:
    left = {norm: which.contrast_left(norm, 16, 3) for norm in runs.NORMS["style"]}
    np.testing.assert_allclose(left["none"], 1)
    np.testing.assert_allclose(left["batch"], 1, rtol=1e-9)  # one divisor for all images
    assert left["instance"].max() < 1e-3 < left["layer"].min()


# ---- pre-norm and post-norm ------------------------------------------------------------------------------


def test_the_last_gradient_falls_with_depth_as_theory_says() -> None:
    for blocks in (6, 24):
        ends = []
        for place in ("pre", "post"):
            config = RunConfig(norm="layer", residual=place, depth=blocks + 1, batch_size=16, replicas=32)
            ends.append(np.sqrt(np.square(block_gradients(config, 0)["gradient"][:, -1]).mean()))
        law = (theory.block_gradient(blocks) / theory.block_gradient(blocks, False)) ** 0.5
        assert ends[0] / ends[1] == pytest.approx(law, rel=0.15)
        assert law == pytest.approx((2 / (blocks + 1)) ** 0.5)


def test_the_warmed_up_rate_rises_to_the_others() -> None:
    config = pre.trained(settings("pre"), "warm", 6)
    rates = [config.at(step).lr for step in range(0, 60, 5)]
    assert rates == sorted(rates) and rates[0] == pytest.approx(pre.RATE / 10) and rates[-1] == pre.RATE
    assert pre.trained(settings("pre"), "post", 6).edits == ()


# ---- layer and RMS norm ----------------------------------------------------------------------------------


def test_an_offset_reaches_every_norm_and_layer_norm_takes_it_off() -> None:
    for norm, same in (("layer", True), ("rms", False)):
        config = RunConfig(norm=norm, residual="pre", depth=4, width=16, replicas=2, dtype="float64", lr=0.05)
        run = advance(start(config), 5)
        before = which._streams(run, run.layers)
        after = which._streams(run, which.with_offset(run.layers, np.array([1.0, 2.0])))
        moved = [a - b for a, b in zip(after, before, strict=True)]
        np.testing.assert_allclose(moved[0], np.broadcast_to([[[1.0]], [[2.0]]], moved[0].shape))
        if same:
            np.testing.assert_allclose(moved[-1], moved[0], atol=1e-9)
        else:
            assert np.abs(moved[-1] - moved[0]).max() > 0.1


def test_what_a_sample_becomes_is_torchs_norm_of_it() -> None:
    x = rms.sample(3) + 2.0
    for norm, module in (("layer", torch.nn.LayerNorm), ("rms", torch.nn.RMSNorm)):
        there = module(64, eps=1e-5, dtype=torch.float64)(torch.tensor(x)[None])[0].detach()
        np.testing.assert_allclose(rms.outputs(x, norm), there, rtol=1e-9)


# ---- the table -------------------------------------------------------------------------------------------


def test_every_norm_of_the_library_has_a_row() -> None:
    assert set(table.EVERY) == {*NORMS, "none"}


def test_what_is_measured_is_what_the_norms_are_made_of() -> None:
    for norm in table.EVERY:
        found = which.traits(norm, seed=40, replicas=2)
        row = NORMS.get(norm)
        by_batch = row is not None and row.running and norm != "running"
        assert (found["mates"].max() > 1e-6) == by_batch, norm
        assert (found["inference"].max() > 1e-6) == by_batch, norm


@pytest.mark.parametrize(("rows", "kept"), [("alone", "layer norm"), ("same", "dynamic tanh"),
                                            ("free", "spectral norm")])  # fmt: skip
def test_rows_that_do_not_fit_are_left_out(rows: str, kept: str) -> None:
    found = {norm: which.traits(norm, replicas=2) for norm in table.EVERY}
    view = table.view(settings("table", rows=rows) | {"open": False}, found)
    assert view.board is not None
    names = [row.name for row in view.board.rows]
    assert kept in names and "batch norm" not in names
