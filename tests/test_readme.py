"""What the README shows runs, and what it names exists."""

from __future__ import annotations

import inspect
import json
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bnlib.norms import plain

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNLAB_CACHE", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_its_norm_is_the_plain_one() -> None:
    for function in (plain.forward, plain.backward):
        assert inspect.getsource(function) in README


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_what_it_names_of_the_library_exists(document: str) -> None:
    names = set(re.findall(r"\bbnlib(?:\.\w+)+", (ROOT / document).read_text("utf-8")))
    assert names
    for name in names:
        assert pydoc.locate(name) is not None, name


def test_its_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_addresses_that_it_once_named_still_lead_there() -> None:
    from bnlib import forecast, referee, sweep
    from bnlib.jobs import forecast as forecasts
    from bnlib.jobs import sweep as sweeps
    from bnlib.torch_check import check

    assert forecast.forecast is forecasts.forecast and referee.check is check.check
    assert all(getattr(sweep, name) is getattr(sweeps, name) for name in sweeps.__all__)


@pytest.mark.parametrize("module", ["torch_check", "referee"])
def test_its_comparison_with_pytorch_answers_in_json(module: str) -> None:
    command = [sys.executable, "-m", f"bnlib.{module}"]
    told = subprocess.run(command, cwd=ROOT, input="{}", capture_output=True, text=True)
    assert json.loads(told.stdout)["error"].startswith("torch_check: the question must be JSON"), told.stderr
