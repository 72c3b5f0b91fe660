"""The audit of evidence: what can't fail is found, and so is what fails too often."""

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from bnlib.__main__ import main
from bnlib.experiments import EXPERIMENTS, audit, find
from bnlib.experiments.findings import Findings, check
from bnlib.experiments.model import Sides
from bnlib.experiments.nulls import changed, exchanged, same
from bnlib.experiments.probes import Cell
from bnlib.networks.config import RunConfig
from tests.bnlib.claims import Here

ON_DISK = "run: python -m bnlib experiments audit --keep"
GAUSSIAN = RunConfig(eps=0.0, replicas=2, dtype="float64")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_check_of_a_claim_fails_without_its_effect_and_seldom_else(name, store):
    (found,) = audit.audit([name], size="reduced", store=store, executor=Here())
    assert not found.problems, f"{found.problems}\n{found}"
    assert {one.what for one in found.checks if not one.exact} <= set(found.nulls)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_kept_of_the_audit_is_of_the_experiment_as_it_is(name):
    """At full size; that its numbers are still right, only the command itself can tell."""
    kept, judged = audit.kept().get(name), find(name)
    assert kept, ON_DISK
    assert set(kept["stances"]) == set(judged.claims), ON_DISK
    worlds = {null.words for null in judged.nulls}
    assert all(set(elsewhere) == worlds for elsewhere in kept["stances"].values()), ON_DISK
    for what, one in kept["checks"].items():
        assert set(one["nulls"]) <= worlds, ON_DISK
        assert (one["misses"] or 0.0) <= audit.RARE, f"{what} fails on {one['misses']:.1%} of fresh seed sets"


# ---- an experiment made for it -----------------------------------------------------------------------------


def two_arms(**changes):
    """Return an experiment on the mean spread of small and large Gaussian batches, .56 and .90."""

    def cells(full):
        return {m: Cell("gaussian_batches", replace(GAUSSIAN, batch_size=m), 200) for m in (2, 8)}

    def read(results):
        gap = results[8]["s"] - results[2]["s"]
        return Findings((), (check("gap", gap, least=0.2, name="gap"),))

    whole = {
        "claims": {"small": Sides(shows=("gap",))},
        "nulls": (same("both are small", {8: 2}),),
        "cells": cells,
        "read": read,
    }
    return replace(find("E1"), **(whole | changes))


def audited(monkeypatch, size="reduced", **changes):
    monkeypatch.setitem(EXPERIMENTS, "E1", two_arms(**changes))
    (found,) = audit.audit(["E1"], size=size, store=False, executor=Here())
    return found


def reading(*checks_of):
    """Return a reading of these (name, exact, values of results) checks."""
    return lambda results: Findings((), tuple(of(results) for of in checks_of))


def gap(results, **how):
    return check("gap", results[8]["s"] - results[2]["s"], name="gap", **({"least": 0.2} | how))


def test_sound_evidence_has_no_problems(monkeypatch):
    found = audited(monkeypatch)
    assert found.problems == [] and found.nulls == {"gap": ("both are small",)}
    assert found.stances == {"small": ("supports", {"both are small": "does not show"})}
    assert (found.misses, found.seeds, found.draws) == ({"gap": 0.0}, 8, 100)
    assert "fails: both are small" in str(found) and "small: supports; does not show where both" in str(found)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"read": reading(lambda r: gap(r, least=0.0))}, "'gap' holds in every world without an effect"),
        ({"nulls": (exchanged(3, 4),)}, "'gap' holds in every world without an effect"),
        ({"claims": {"small": Sides(shows=("gap", "more"))}}, "no judged check is called 'more'"),
        ({"claims": {}}, "no stance rests on 'gap'"),
        ({"read": reading(lambda r: gap(r, exact=True))}, "a stance rests on 'gap', which is exact"),
        ({"claims": {"small": Sides(limits=("gap",))}, "read": reading(lambda r: gap(r, least=-1.0))},
         "it speaks against 'small' in every world without an effect, too"),
    ],
)  # fmt: skip
def test_evidence_that_can_not_fail_is_found(monkeypatch, changes, problem):
    assert any(problem in one for one in audited(monkeypatch, **changes).problems)


def test_a_check_that_fails_on_fresh_seeds_is_found_and_how_often(monkeypatch):
    """Of pairs of 8 seeds: the share is counted, and compared with all pairs there are."""
    fresh = replace(GAUSSIAN, batch_size=8, seed=audit.FRESH, replicas=8)
    values = audit.measure(Cell("gaussian_batches", fresh, 200))["s"]
    bound = float(np.median(values))
    what = reading(lambda r: check("level", r[8]["s"], least=bound, name="gap"))
    found = audited(monkeypatch, read=what)
    exact = np.mean([values[list(pair)].mean() < bound for pair in permutations(range(8), 2)])
    assert found.misses["level"] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / found.draws))
    assert any("'level' fails on" in one and "of fresh seed sets" in one for one in found.problems)


def test_draws_keep_pairs_and_what_has_no_seeds():
    """Cells that were measured on as many seeds get the same ones, whatever is measured beside them."""
    own, many = {"a": 2, "b": 3, "few": 2}, {"a": 5, "b": 5, "few": 3}
    fresh = {label: {"x": np.arange(seeds) * 10, "step": np.array([[1, 2]])} for label, seeds in many.items()}
    found = audit.drawn(fresh, own, many, np.array([3, 1, 4, 0, 2]))
    assert found["a"]["x"].tolist() == [30, 10] and found["b"]["x"].tolist() == [30, 10, 40]
    assert found["few"]["x"].tolist() == [10, 0], "there is no seed 3 of it"
    assert found["a"]["step"].tolist() == [[1, 2]]


@pytest.mark.parametrize(("size", "seeds"), [("full", (96, 96)), ("reduced", (8, 48))])
def test_at_reduced_size_each_cell_has_as_many_fresh_seeds_as_it_needs(size, seeds):
    cells = {
        count: Cell("gaussian_batches", replace(GAUSSIAN, seed=5, replicas=count), 1) for count in (2, 24)
    }
    fresh = audit.on_fresh_seeds(cells, size)
    assert tuple(cell.config.replicas for cell in fresh.values()) == seeds
    assert {cell.config.seed for cell in fresh.values()} == {audit.FRESH + 5} and list(fresh) == [2, 24]


def test_worlds_without_an_effect():
    results = {("batch", 5): {"x": 1}, ("none", 5): {"x": 2}, ("batch", 6): {"x": 3}, "batch": {"x": 4}}
    alike = same("alike", {"batch": "none"}).of(results)
    assert [one["x"] for one in alike.values()] == [2, 2, 3, 4], "what has no counterpart stays"
    turned = exchanged("batch", "none").of(results)
    assert (turned["batch", 5]["x"], turned["none", 5]["x"]) == (2, 1)
    doubled = changed("twice", lambda label, found: {"x": 2 * found["x"]} if label == "batch" else {}).of(
        results
    )
    assert doubled["batch"]["x"] == 8 and doubled["none", 5]["x"] == 2 and results["batch"]["x"] == 4


def test_audits_at_full_size_are_kept_beside_others(monkeypatch, tmp_path):
    path = tmp_path / "audit.json"
    path.write_text(json.dumps({"E3": {"checks": {}}, "E1": {}}))
    with pytest.raises(ValueError, match="E1 ran at reduced size; audit them in full"):
        audit.keep([audited(monkeypatch)], path)
    audit.keep([audited(monkeypatch, size="full")], path)
    kept = json.loads(path.read_text("utf-8"))
    assert list(kept) == ["E1", "E3"]
    assert kept["E1"]["checks"] == {"gap": {"misses": 0.0, "nulls": ["both are small"]}}
    assert kept["E1"]["stances"] == {"small": {"both are small": "does not show"}}


def test_the_command_prints_and_says_by_its_status(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(EXPERIMENTS, "E1", two_arms())
    asked = ["experiments", "audit", "E1", "--reduced", "--fresh", "--workers", "1"]
    assert main(asked) == 0
    assert "Every check of a claim can fail, and seldom does." in capsys.readouterr().out
    monkeypatch.setitem(EXPERIMENTS, "E1", two_arms(nulls=()))
    assert main(asked) == 1
    assert "'gap' holds in every world without an effect" in capsys.readouterr().out
    assert main([*asked[:2], "E99"]) == 2
