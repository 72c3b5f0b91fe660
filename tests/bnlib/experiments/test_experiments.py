"""The named experiments: complete, honest in both directions, and right at reduced size.

In full: `python -m bnlib experiments run all`.
"""

import math
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bnlib import experiments
from bnlib.__main__ import main
from bnlib.experiments import CLAIMS, EXPERIMENTS, LIMITS, find, run, run_all
from bnlib.experiments.findings import Check, Findings, Picture, band, check, curve, near, points, predicted
from bnlib.experiments.model import EXPLANATIONS, RELATIVES, Result, Sides
from bnlib.experiments.probes import MEASURES
from bnlib.jobs.sweep import SweepCancelled
from tests.bnlib.claims import Here

PLANNED = [f"E{number}" for number in range(1, 31)]
every_experiment = pytest.mark.parametrize("name", EXPERIMENTS)


# --- declarations -------------------------------------------------------------------------------------------


def test_all_that_were_planned_are_there_in_order():
    assert list(EXPERIMENTS) == PLANNED
    assert all(EXPERIMENTS[name].name == name for name in EXPERIMENTS)


@every_experiment
def test_a_declaration_is_complete(name):
    experiment = EXPERIMENTS[name]
    assert experiment.title and experiment.setup and experiment.accepted and experiment.sources
    assert set(experiment.claims) <= set(CLAIMS)
    assert all(sides.names for sides in experiment.claims.values()), "a stance rests on checks"
    assert bool(experiment.nulls) == bool(experiment.claims), "a world without each effect"
    for text in (
        experiment.title,
        experiment.setup,
        experiment.theory,
        experiment.contested,
        experiment.caveat,
    ):
        assert "  " not in text and "\n" not in text
    if isinstance(experiment.races, str):
        assert experiment.races.endswith(".")
    else:
        assert all(1 <= len(race.configs) <= 4 and race.steps > 0 for race in experiment.races())


@every_experiment
def test_its_cells_are_values_and_the_reduced_ones_are_cheaper(name):
    experiment = EXPERIMENTS[name]
    full, reduced = experiment.cells(True), experiment.cells(False)
    assert full == experiment.cells(True)
    assert len(set(full.values())) == len(full)
    assert all(cell.measure in MEASURES for cell in (*full.values(), *reduced.values()))

    def work(cells):
        return sum(cell.config.replicas * cell.config.width * max(cell.steps, 1) for cell in cells.values())

    assert work(reduced) <= work(full)


def test_every_claim_is_tested():
    tested = {claim for experiment in EXPERIMENTS.values() for claim in experiment.claims}
    assert tested == set(CLAIMS)
    assert {*LIMITS, *EXPLANATIONS, *RELATIVES} <= set(CLAIMS)


# --- the statistical claims at reduced size -----------------------------------------------------------------


@every_experiment
def test_it_comes_out_as_accepted_at_reduced_size(name, store):
    result = run(name, size="reduced", store=store, executor=Here())
    assert not result.failed, f"\n{result}"
    assert re.match(r"As accepted at reduced size: \d+ .* holds?\.$", result.verdict)
    judged = [found for found in result.findings.checks if not found.reported]
    assert judged and result.findings.pictures
    for picture in result.findings.pictures:
        assert picture.series and all(len(series.x) == len(series.y) > 0 for series in picture.series)
    text = str(result)
    assert all(found.what in text for found in result.findings.checks)
    assert result.verdict in text and max(map(len, text.splitlines())) < 160


# --- readings -----------------------------------------------------------------------------------------------


def test_a_check_is_of_the_mean_and_shows_its_seeds():
    found = check("error", [1.0, 2.0, 6.0], 2.5, 3.5)
    assert (found.measured, found.low, found.high, found.slack) == (3.0, 1.0, 6.0, 0.0)
    assert found.holds and not found.reported and found.accepted == "2.5 to 3.5"
    assert not check("error", [1.0, 2.0], 2.5).holds and check("error", [1.0, 2.0], 2.5).accepted == "≥ 2.5"
    assert not check("error", [3.0], most=2.0).holds and check("error", [3.0], most=2.0).accepted == "≤ 2"
    assert check("error", [1.0, 2.0, 6.0], most=5.0).holds
    assert not check("error", [1.0, 2.0, 6.0], most=5.0, worst=True).holds
    assert not check("error", [math.nan], most=5.0).holds
    assert (
        check("error", [7.0]).reported and check("error", [7.0]).holds and not check("error", [7.0]).accepted
    )
    assert check("count", [1.0], 1, 1).accepted == "1"
    close = near("slope", [1.02], 1.0, 0.05)
    assert close.expected == 1.0 and close.holds and not near("slope", [1.06], 1.0, 0.05).holds


def test_fewer_seeds_widen_the_bounds_as_far_as_they_must():
    """By four standard errors of (mean of n) - (mean of all), the n among them."""
    rng = np.random.default_rng(0)
    n, seeds = 3, 12
    draws = rng.standard_normal((20_000, seeds))
    spread = (draws[:, :n].mean(axis=1) - draws.mean(axis=1)).std()
    values = np.array([1.0, 2.0, 3.0])
    found = check("error", values, most=2.0, seeds=seeds)
    assert found.slack == pytest.approx(4 * values.std(ddof=1) * spread, rel=0.02)
    assert check("error", values, most=2.0, seeds=3).slack == 0
    # But not past the value that says nothing.
    assert check("gain", values, 0.3, seeds=seeds, null=0).slack == pytest.approx(0.3)
    assert check("gain", values, 0.0, seeds=seeds, null=0).slack == 0
    assert check("ratio", values, most=0.9, seeds=seeds, null=1).slack == pytest.approx(0.1)


def test_bands_leave_out_what_has_diverged():
    series = band("loss", (1, 2, 3), np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]]))
    assert series.y[:2] == (2.0, 5.0) and series.low[:2] == (1.0, 5.0) and series.high[:2] == (3.0, 5.0)
    assert math.isnan(series.y[2]) and math.isnan(series.low[2]) and math.isnan(series.high[2])
    assert predicted("square", (1, 2), lambda x: x * x).y == (1.0, 4.0)
    drawn = curve("error", {"step": np.array([[0, 5, 10]]), "e": np.array([[1.0, np.nan, 3.0]])}, "e")
    assert drawn.x == (0, 10) and drawn.y == (1.0, 3.0)
    found = points(
        "error", {"a": {"e": np.array([1.0, 2.0])}, "b": {"e": np.array([4.0, 4.0])}}, {8: "a", 4: "b"}, "e"
    )
    assert found.x == (8, 4) and found.y == (1.5, 4.0)


def fabricated(*checks, **texts):
    picture = Picture("p", "x", "y", (predicted("s", (1, 2), float),))
    experiment = replace(find("E9"), **({"contested": "", "caveat": ""} | texts))
    return Result(experiment, "full", Findings((picture,), checks, ("A note.",)))


def test_verdicts_are_computed():
    good, bad = Check("a", 1.0, 1.0, 1.0, most=2.0), Check("b", 3.0, 2.5, 3.5, most=2.0)
    only = Check("c", 3.0, 3.0, 3.0)
    exact = replace(good, exact=True)
    assert fabricated(good, only).verdict == "As accepted: 1 check of claims holds."
    assert fabricated(good, good).verdict == "As accepted: 2 checks of claims hold."
    assert (
        fabricated(good, exact, exact).verdict
        == "As accepted: 1 check of claims and 2 identities, moments or counts hold."
    )
    assert fabricated(good, Check("c", math.nan, math.nan, math.nan)).failed == []  # nobody judges it
    verdict = fabricated(good, bad, only).verdict
    assert verdict == "Not as accepted: 1 of 2 checks fail (b: 3, accepted ≤ 2)."
    text = str(fabricated(good, bad, contested="Some say no.", caveat="Small print."))
    assert re.search(r"^b +3 +2.5 to 3.5 +≤ 2 +FAILS$", text, re.MULTILINE)
    assert re.search(r"^a +1 +≤ 2 +holds$", text, re.MULTILINE)
    assert "Contested: Some say no." in text and "Caveat: Small print." in text and "A note." in text
    assert "theory" not in text  # nothing was predicted


GOOD, BAD = (Check("", value, value, value, most=2.0) for value in (1.0, 3.0))


@pytest.mark.parametrize(
    ("shown", "limited", "stance"),
    [
        ((GOOD, GOOD), (), "supports"),
        ((GOOD, BAD), (), "does not show"),
        ((GOOD,), (GOOD,), "qualifies"),
        ((GOOD,), (GOOD, BAD), "supports"),
        ((BAD,), (GOOD,), "speaks against"),
        ((), (GOOD,), "speaks against"),
        ((BAD,), (BAD,), "does not show"),
        ((), (), "does not show"),
    ],
)
def test_a_stance_is_computed_from_its_checks(shown, limited, stance):
    checks = [replace(one, name="shown") for one in shown] + [replace(one, name="limit") for one in limited]
    checks += [replace(BAD, name="of another claim"), Check("", 9.0, 9.0, 9.0, name="shown")]
    assert Sides(("shown",), ("limit",)).stance(checks) == stance
    result = fabricated(*checks, claims={"flow": Sides(("shown",), ("limit",))})
    assert result.stances == {"flow": stance} and result.claimed == f"{stance} “{CLAIMS['flow']}”"


def test_a_stance_needs_its_controls():
    shown, control = replace(GOOD, name="shown"), replace(GOOD, name="control")
    sides = Sides(("shown",), controls=("control",))
    assert sides.stance([shown, control]) == "supports" and sides.names == ("shown", "control")
    assert sides.stance([shown, replace(BAD, name="control")]) == "does not show"


def test_without_claims_it_takes_no_side():
    assert fabricated(GOOD, claims={}).claimed == "takes no side"


def test_a_figure_that_there_isnt():
    with pytest.raises(ValueError, match=r"figure: number=3 is none of the pictures 0 to 0"):
        fabricated().figure(3)


# --- running ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["E0", "", "all", None, 3, "E1; E2", ["E1"]])
def test_unknown_experiments_are_named_with_those_there_are(name):
    with pytest.raises(ValueError, match="there is no experiment .*; there are E1, E2, E3"):
        run(name)


def test_names_are_read_kindly():
    assert find(" e3 ") is EXPERIMENTS["E3"]


def test_unknown_sizes():
    with pytest.raises(ValueError, match="size='tiny' is not one of full, reduced"):
        run("E2", size="tiny")


def test_several_experiments_are_one_sweep_and_resume(store):
    seen = []
    results = run_all(["E9", "E2"], size="reduced", store=store, progress=lambda *now: seen.append(now[:2]))
    assert [result.experiment.name for result in results] == ["E9", "E2"]
    assert seen[-1] == (15, 15)
    again = []
    run_all(["E9", "E2"], size="reduced", store=store, progress=lambda *now: again.append(now[:2]))
    assert again == [(15, 15)]  # all of it was on disk


def test_a_cancelled_experiment_keeps_what_is_finished(tmp_path):
    done = []
    with pytest.raises(SweepCancelled, match="resume|same call"):
        run("E2", size="reduced", store=tmp_path, workers=1, progress=lambda now, *_: done.append(now),
            cancelled=lambda: done[-1] >= 3)  # fmt: skip
    first = []
    run("E2", size="reduced", store=tmp_path, workers=1, progress=lambda now, *_: first.append(now))
    assert first[0] >= 3 and first[-1] == 12


# --- the command line ---------------------------------------------------------------------------------------


def test_the_list(capsys):
    assert main(["experiments"]) == 0
    printed = capsys.readouterr().out
    assert all(
        re.search(rf"^{e.name} +{re.escape(e.title)}$", printed, re.MULTILINE) for e in EXPERIMENTS.values()
    )


def test_a_run_prints_theory_measured_tolerance_and_verdict(capsys, monkeypatch, store):
    monkeypatch.setenv("BNLAB_CACHE", str(store))
    assert main(["experiments", "run", "e16", "--reduced", "--workers", "1"]) == 0
    printed = capsys.readouterr()
    assert "theory" in printed.out and "measured" in printed.out and "accepted" in printed.out
    assert re.search(r"batch norm, after 30 blocks +31 ", printed.out)
    assert "As accepted at reduced size: " in printed.out
    assert "It supports “In residual networks it works by keeping branches small”." in printed.out
    assert "2/2" in printed.err  # the progress, apart from the result


def test_a_check_that_fails_is_an_exit_status(capsys, monkeypatch, store):
    monkeypatch.setenv("BNLAB_CACHE", str(store))
    strict = replace(find("E2"), read=lambda results: Findings((), (Check("a", 3.0, 3.0, 3.0, most=2.0),)))
    monkeypatch.setitem(experiments.EXPERIMENTS, "E2", strict)
    assert main(["experiments", "run", "E2", "E9", "--reduced"]) == 1
    printed = capsys.readouterr()
    assert "E2: Not as accepted at reduced size: 1 of 1 checks fail" in printed.err
    assert re.search(r"2 experiments, \d+ checks? of claims and .*: \d+ of \d+ hold\.$", printed.out.rstrip())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "E99"], "there is no experiment 'E99'; there are E1"),
        (["run", "E2", "--workers", "0"], "workers=0 must be a whole number, 1 or more"),
        (["report", "E99"], "there is no experiment 'E99'"),
    ],
)
def test_bad_requests_say_what_is_wrong(arguments, message, capsys):
    assert main(["experiments", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err


def test_ctrl_c_says_what_is_kept(capsys, monkeypatch):
    def interrupted(*_, **__):
        stop = KeyboardInterrupt()
        stop.add_note("sweep: 3 of 9 cells are finished and kept in cells: the same call does the rest")
        raise stop

    monkeypatch.setattr(experiments, "run_all", interrupted)
    assert main(["experiments", "run", "E2"]) == 130
    printed = capsys.readouterr().err
    assert "Stopped." in printed and "3 of 9 cells are finished" in printed and "Traceback" not in printed


@pytest.mark.parametrize("arguments", [["run"], ["walk"], ["run", "E2", "--workers", "two"]])
def test_usage(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(["experiments", *arguments])
    assert left.value.code == 2 and "usage" in capsys.readouterr().err


def test_a_report_that_cant_be_written_says_so(capsys, monkeypatch, store, tmp_path):
    monkeypatch.setenv("BNLAB_CACHE", str(store))
    target = tmp_path / "no such folder" / "report.html"
    assert main(["experiments", "report", "E2", "--reduced", "--out", str(target)]) == 1
    printed = capsys.readouterr().err
    assert "report.html" in printed and "Traceback" not in printed


def test_the_report_of_all_experiments_at_reduced_size(capsys, monkeypatch, store, tmp_path):
    monkeypatch.setenv("BNLAB_CACHE", str(store))
    target = tmp_path / "experiments.html"
    assert main(["experiments", "report", "--reduced", "--out", str(target)]) == 0
    page = target.read_text("utf-8")
    assert all(f'id="{name.lower()}"' in page for name in EXPERIMENTS)
    assert page.count("As accepted at reduced size:") >= len(EXPERIMENTS)


def test_only_the_report_imports_plotly():
    program = (
        "import sys; from bnlib.__main__ import main; main(['experiments']);"
        "main(['experiments', 'run', 'E2', '--reduced', '--fresh', '--workers', '1']);"
        "print('plotly' in sys.modules, 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "False False", answer.stderr
