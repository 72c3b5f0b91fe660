"""E18, E22: a table cell by cell, the speed of power iteration, recurrent networks on both sides."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bnlib.experiments import find
from tests.bnlib.claims import failed, measured_of, notes, read

TABLE = """
batch  yes no  yes yes yes no
weight yes no  yes no  no  no
layer  yes yes no  yes no  yes
rms    yes no  no  yes no  yes
"""  # Ba et al. 2016, Table 1, and a row for RMS norm; columns in the paper's order
COLUMNS = (
    *("weights_scaled", "weights_shifted", "unit_scaled", "data_scaled", "data_shifted", "sample_scaled"),
)


def test_every_cell_of_the_table_is_judged_and_judged_alone(store):
    judged = set()
    for line in TABLE.split("\n")[1:-1]:
        norm, *row = line.split()
        for column, mark in zip(COLUMNS, row, strict=True):
            for wrong in (0.5, 2e-10) if mark == "yes" else (0.0, 0.009):
                measured = measured_of("E18", store)
                measured[norm][column] = measured[norm][column] * 0 + wrong
                (one,) = failed("E18", measured)
                judged.add(one)
            measured[norm][column] = measured[norm][column] * 0 + (9e-11 if mark == "yes" else 0.011)
            assert failed("E18", measured) == []
    assert len(judged) == 24
    assert all(any(f"{label}," in one for one in judged) for label in ("batch norm", "RMS norm"))


def test_one_seed_that_notices_is_enough(store):
    measured = measured_of("E18", store)
    measured["layer"]["weights_shifted"][0] = 2e-10  # less than 1e-10 on average
    assert len(failed("E18", measured)) == 1


@pytest.mark.parametrize("factor", [0.998, 1.002])
@pytest.mark.parametrize(("name", "power", "what"), [("ratio", 4, "σ’s"), ("vector", 2, "the vector’s")])
def test_both_speeds_of_power_iteration_are_judged(name, power, what, factor, store):
    for share in (0.5, 0.9):
        measured = measured_of("E18", store)
        measured[share][name] = np.full(3, share**power)
        assert failed("E18", measured) == []
        measured[share][name] = np.full(3, factor * share**power)
        assert failed("E18", measured) == [f"{what} error after an iteration / before, s₂/s₁ = {share:g}"]


def test_a_table_and_speeds_take_no_side(store):
    found = read("E18", measured_of("E18", store))
    assert found.stances == {} and all(one.exact for one in found.findings.checks)


def test_sentences_of_relatives_follow_the_numbers(store):
    said = notes("E18", store)
    assert "batch norm: all weights × a, one unit’s weights × a, data × a, data + a vector;" in said
    assert "weight norm: all weights × a, one unit’s weights × a;" in said
    assert "the table is right, not the text" in said
    assert "s₂/s₁ = 0.9 a tenth of σ’s error is left after 6 iterations, of the vector’s after 11." in said
    assert "s₂/s₁ = 0.5 a tenth of σ’s error is left after 1 iteration, of the vector’s after 2." in said

    def turned(measured):
        measured["weight"] = {name: array * 0 for name, array in measured["weight"].items()}
        measured["rms"] = {name: array * 0 + 1 for name, array in measured["rms"].items()}
        measured["layer"]["sample_scaled"][0] = 1.0  # one seed is enough
        measured[0.9]["ratio"] = measured[0.9]["ratio"] * 0 + 0.95

    said = notes("E18", store, turned)
    assert "layer norm: all weights × a, all weights + a vector, data × a;" in said
    assert "RMS norm: nothing." in said and "by 0 of its largest value: the text is right, not the" in said
    assert f"after {math.ceil(math.log(0.1) / math.log(0.95))} iterations" in said


def recurrent(**changes):
    """Numbers of E22: `norm`_`batch size` is the error of all seeds at all rates, and nothing special."""
    errors = {
        "none_32": 6.0,
        "batch_32": 6.0,
        "layer_32": 6.0,
        "none_2": 20.0,
        "batch_2": 60.0,
        "layer_2": 20.0,
    }
    errors |= changes
    return {
        (norm, size, lr): dict.fromkeys(("final", "final_batch"), np.full(4, errors[f"{norm}_{size}"]))
        for norm, size, lr in find("E22").cells(True)
    }


LEVEL = "batch norm − layer norm at batch 32, points"
LEARNS = "error of batch norm at batch 32, %"
BEHIND = "batch norm − layer norm at batch 2, points"
FAILS = "error of batch norm at batch 2, %"
SMALLER = "batch norm, batch 2 − batch 32, points"


@pytest.mark.parametrize(
    ("changes", "fails", "fit", "small"),
    [
        ({}, [], "qualifies", "supports"),
        ({"batch_32": 8.9}, [], "qualifies", "supports"),
        ({"batch_32": 9.1}, [LEVEL], "supports", "supports"),
        ({"batch_32": 1.0}, [], "qualifies", "supports"),
        ({"batch_32": 16.0, "layer_32": 14.0}, [LEARNS], "supports", "supports"),
        ({"none_32": 1.0, "none_2": 90.0}, [], "qualifies", "supports"),  # only reported
        ({"batch_2": 41.0, "layer_2": 10.0}, [], "qualifies", "supports"),
        ({"batch_2": 39.0, "layer_2": 8.0}, [FAILS], "speaks against", "does not show"),
        ({"layer_2": 29.0}, [], "qualifies", "supports"),
        ({"layer_2": 31.0}, [BEHIND], "speaks against", "does not show"),
        ({"batch_2": 44.0, "layer_2": 13.0, "batch_32": 15.0, "layer_32": 15.0}, [SMALLER], "qualifies",
         "does not show"),
    ],
)  # fmt: skip
def test_recurrent_networks_are_judged_on_both_sides(changes, fails, fit, small):
    measured = recurrent(**changes)
    assert failed("E22", measured) == fails
    assert read("E22", measured, "full").stances == {"recurrent": fit, "small": small}


def test_seeds_that_choose_the_rate_are_not_judged():
    measured = recurrent()
    measured["batch", 32, 0.1]["final"] = np.array([1.0, 1.0, 5.0, 7.0])
    measured["batch", 32, 0.3]["final"] = np.array([2.0, 2.0, 0.0, 0.0])
    measured["layer", 2, 0.003]["final"] = np.array([np.nan, 1.0, 1.0, 1.0])  # diverges: 45.5 on average
    measured["batch", 2, 0.003]["final_batch"] = np.array([1.0, 2.0, 3.0, 5.0])
    checks = {found.what: found for found in find("E22").read(measured).checks}
    assert checks["batch norm, batch 2: error with batch statistics, %"].measured == 4
    found = checks["error, batch norm, batch 32, learning rate 0.1, %"]
    assert (found.measured, found.low, found.high) == (6.0, 5.0, 7.0)
    assert "error, layer norm, batch 2, learning rate 0.01, %" in checks
    measured["none", 2, 0.03]["final"] = np.array([1.0, 1.0, np.nan, np.nan])
    checks = {found.what: found for found in find("E22").read(measured).checks}
    assert checks["error, no norm, batch 2, learning rate 0.03, %"].measured == 90


def test_differences_of_recurrent_networks_are_told_with_intervals():
    measured = recurrent()
    for (norm, size, _), found in measured.items():
        if (norm, size) == ("batch", 32):
            found["final"] = np.array([6.0, 6.0, 6.5, 7.5])
    said = " ".join(find("E22").read(measured).notes)
    told = "+1.0 points (95% interval -5.4 to +7.4, 2 seeds), no evidence of a difference"
    assert f"At batch 32 batch norm’s error minus layer norm’s is {told}" in said
    assert "At batch 2 batch norm’s error minus layer norm’s is +40.0 points (95% interval +40.0 to" in said
    assert said.count("no evidence") == 2


def test_rates_at_an_end_are_told():
    def told():
        return [text for text in find("E22").read(measured).notes if text.startswith("Best at an end")]

    measured = recurrent()
    for (norm, size, lr), values in measured.items():
        if lr in (0.3, 0.03) and (norm, size) != ("layer", 2):  # between the others
            values["final"] = values["final"] - 1
    assert told() == ["Best at an end of the rates that were tried: layer norm, batch 2."]
    measured["layer", 2, 0.1]["final"] = np.full(4, 2.0)
    assert told() == ["Best at an end of the rates that were tried: layer norm, batch 2."]
    measured["layer", 2, 0.03]["final"] = np.full(4, 1.0)
    assert told() == ["Best at an end of the rates that were tried: none."]


def test_the_judged_seeds_of_recurrent_networks_are_those_of_the_race():
    for race in find("E22").races():
        for config in race.configs:
            cell = find("E22").cells(True)[config.norm, config.batch_size, config.lr]
            assert race.steps == cell.steps and cell.config.replicas == 2 * config.replicas == 2 * config.seed
            same = {"seed": 0, "replicas": 16, "record_every": 10**6, "validate_every": 10**6}
            assert replace(config, **same) == cell.config
