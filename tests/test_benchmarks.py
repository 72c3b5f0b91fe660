"""Each benchmark in its reduced form: it ends, and prints each of its figures."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.server import PATIENCE, ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("[!_]*.py"))
NO_NUMBER = re.compile(r"\b(nan|none|inf)\b", re.IGNORECASE)


def script(path: Path) -> object:
    browser = "playwright" in path.read_text("utf-8")
    return pytest.param(path, id=path.stem, marks=[pytest.mark.browser] if browser else [])


def printed(command: list[str | Path]) -> str:
    """What a benchmark prints; nothing of it may go on when it has ended."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=3 * PATIENCE)  # until what it started has ended, too
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    return output


def missing(figures: tuple[str, ...], output: str) -> list[str]:
    """The figures that no line begins with, or whose lines lack a number."""
    lines = [" ".join(line.split()) for line in output.splitlines()]

    def is_there(figure: str) -> bool:
        rests = [line.removeprefix(figure) for line in lines if re.match(rf"{re.escape(figure)}(?!\w)", line)]
        return bool(rests) and all(re.search(r"\d", rest) and not NO_NUMBER.search(rest) for rest in rests)

    return [figure for figure in figures if not is_there(figure)]


@pytest.mark.parametrize("path", [script(path) for path in SCRIPTS])
def test_a_benchmark_prints_its_figures(path):
    with patch.dict(os.environ):  # a script settles its number of threads in it
        figures = importlib.import_module(f"benchmarks.{path.stem}").FIGURES
    assert figures, "it says in FIGURES what its lines of figures begin with"
    output = printed([sys.executable, path, "--reduced"])
    assert not missing(figures, output), output


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_hides_no_package(path):
    """Its folder is the first in which a running script's imports are looked for."""
    assert not (ROOT / path.stem).is_dir()


def test_figures_that_are_missing_are_seen():
    output = (
        "update  latency, ms   3 4\nanswers nan\nframes: none\nload 7\nloads\nwaits\n 1    2  3.5\n1 25 4"
    )
    figures = ("update latency, ms", "load", "1 2", "1 25")
    assert missing(figures, output) == []
    unprinted = ("answers", "frames", "loads", "waits", "update", "1 3", "latency")
    assert missing(unprinted, output) == ["answers", "frames", "loads", "waits", "1 3", "latency"]


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(1)",
        "1 / 0",
        "import logging\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.exception('it goes on')",
    ],
)
def test_a_benchmark_that_fails_is_seen(program):
    with pytest.raises(AssertionError):
        printed([sys.executable, "-c", program])
