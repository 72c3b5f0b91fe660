"""What is computed once is computed once, and nothing else is taken for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnlib import RunConfig
from tests.once import FOLDER, name_of, once
from tests.server import ROOT, wait_for

PROGRAM = """
import sys
from tests.once import once
from tests.test_once import slowly
print("asking", flush=True)
print(once(slowly, sys.argv[1], 7))
"""


def slowly(folder: str, number: int) -> list[int]:
    """Leave a trace, and wait for a word."""
    with Path(folder, "log").open("a") as log:
        log.write(f"{os.getpid()}\n")
    wait_for(Path(folder, "go").exists, "a word")
    return [number]


def failing(folder: str) -> None:
    with Path(folder, "log").open("a") as log:
        log.write("failed\n")
    raise ValueError("no result")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of this test's own for what is kept, and for traces."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return str(tmp_path)


def log(folder: str) -> list[str]:
    return Path(folder, "log").read_text().splitlines()


def ask(folder: str) -> subprocess.Popen[str]:
    """Start a process that asks."""
    command = [sys.executable, "-c", PROGRAM, folder]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "asking\n"
    return process


def test_who_asks_while_it_is_computed_waits_for_it_and_gets_a_copy(folder: str) -> None:
    asking = [ask(folder) for _ in range(2)]
    Path(folder, "go").touch()
    assert [process.communicate()[0] for process in asking] == ["[7]\n"] * 2
    assert len(log(folder)) == 1
    first, second = (once(slowly, folder, 7) for _ in range(2))
    assert first == second == [7] and first is not second and len(log(folder)) == 1
    assert once(slowly, folder, 8) == [8] and len(log(folder)) == 2


def test_what_was_computed_by_a_process_that_was_killed_is_computed_by_the_next(folder: str) -> None:
    with ask(folder) as process:
        wait_for(lambda: Path(folder, "log").exists() and log(folder), "a trace")
        process.kill()
    Path(folder, "go").touch()
    assert once(slowly, folder, 7) == [7] and log(folder) == [str(process.pid), str(os.getpid())]


def test_a_failure_is_not_kept(folder: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="no result"):
            once(failing, folder)
    assert log(folder) == ["failed"] * 2


def test_without_a_folder_each_call_is_computed(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER)
    Path(folder, "go").touch()
    assert once(slowly, folder, 7) == once(slowly, folder, 7) == [7] and len(log(folder)) == 2


def test_calls_that_differ_have_names_that_differ() -> None:
    near = float(np.nextafter(0.1, 1))
    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (slowly, ("a", 1)), (slowly, ("a", 1.0)), (slowly, ("a", True)), (slowly, ("a", None)),
        (failing, ("a", 1)), (slowly, (RunConfig(lr=0.1), 1)), (slowly, (RunConfig(lr=near), 1)),
    ]  # fmt: skip
    assert len({name_of(*call) for call in calls}) == len(calls)
    assert name_of(slowly, (RunConfig(lr=0.1),)) == name_of(slowly, (RunConfig(lr=1 / 10),))


@pytest.mark.parametrize("argument", [np.zeros(2000), [1], {"a": 1}])
def test_what_has_no_hash_is_refused(argument: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        name_of(slowly, (argument,))


@pytest.mark.parametrize("call", [(lambda: 1, ()), (slowly, (object(),))])
def test_what_another_process_would_call_otherwise_is_refused(call: Any) -> None:
    with pytest.raises(AssertionError, match="means nothing elsewhere"):
        name_of(*call)
