"""What the experiments found is kept in a file: it is complete, and it is what the code finds now."""

import json

import pytest

from bnlib.experiments import CLAIMS, EXPERIMENTS, audit, found, run
from bnlib.experiments.found import keep, plain
from bnlib.experiments.model import NO_SIDE
from tests.bnlib.claims import Here

DECLARED = ("title", "setup", "theory", "accepted", "contested", "caveat")
SMALL = ("E2", "E13")  # a second or two at full size
HOW = "run: python -m bnlib experiments keep"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_kept_belongs_to_the_experiment_as_it_is_declared(name):
    experiment, kept = EXPERIMENTS[name], found.found(name)
    assert kept is not None, HOW
    assert {part: kept[part] for part in DECLARED} == {
        part: getattr(experiment, part) for part in DECLARED
    }, HOW
    assert kept["sources"] == list(experiment.sources), HOW
    said = kept["claims"].split("; ") if experiment.claims else [NO_SIDE]
    assert len(said) == max(1, len(experiment.claims)), HOW
    assert all(CLAIMS[claim] in one for claim, one in zip(experiment.claims, said, strict=False)), HOW
    judged = [row for row in kept["rows"] if row["outcome"] != "reported"]
    audited = audit.kept()[name]["checks"]
    assert {row["what"]: row["misses"] for row in judged} == {
        what: one["misses"] for what, one in audited.items()
    }, f"first python -m bnlib experiments audit --keep, then {HOW}"
    assert judged and all(row["measured"] is not None for row in judged)
    said = "As accepted" if all(row["outcome"] == "holds" for row in judged) else "Not as accepted"
    assert kept["verdict"].startswith(said)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_kept_is_what_the_code_finds(name):
    kept, now = found.found(name), plain(run(name, executor=Here(), store=False))
    assert [row["what"] for row in now["rows"]] == [row["what"] for row in kept["rows"]], HOW
    assert now["claims"] == kept["claims"], HOW
    for row, before in zip(now["rows"], kept["rows"], strict=True):
        assert (row["accepted"], row["outcome"]) == (before["accepted"], before["outcome"]), row["what"]
        near = pytest.approx(before["measured"], rel=0.05, abs=0.5)  # processors round differently
        assert row["measured"] == near, f"{row['what']}; {HOW}"


def test_only_results_at_full_size_are_kept(tmp_path):
    result = run("E2", size="reduced", executor=Here(), store=False)
    with pytest.raises(ValueError, match="E2 ran at reduced size; run them in full"):
        keep([result], tmp_path / "found.json")
    keep([run("E2", workers=1, store=False)], tmp_path / "found.json")
    assert list(json.loads((tmp_path / "found.json").read_text("utf-8"))) == ["E2"]
