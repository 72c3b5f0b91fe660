"""`python -m bnlib` in a process of its own: what surrounds it may be broken."""

import os
import subprocess
import sys

import pytest

from bnlib import __main__ as command
from tests.server import PATIENCE, ROOT


def run(*arguments, out=subprocess.PIPE, **environment):
    """Its exit status, output and complaints."""
    answer = subprocess.run(
        [sys.executable, "-m", "bnlib", *arguments],
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"} | environment,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    return answer.returncode, answer.stdout, answer.stderr


@pytest.fixture
def unread():
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_a_list_that_nobody_reads_to_its_end_ends_quietly(unread):
    assert run("experiments", out=unread) == (command.UNREAD, None, "")


def test_a_result_that_nobody_reads_ends_quietly(unread, tmp_path):
    asked = ("experiments", "run", "E1", "--reduced", "--workers", "1")
    status, _, complaints = run(*asked, out=unread, BNLAB_CACHE=str(tmp_path))
    assert status == command.UNREAD
    assert all(line.startswith("E1 ") for line in complaints.splitlines()), complaints


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_output_that_cannot_be_written_is_an_error_in_a_line():
    with open("/dev/full", "w") as full:
        status, _, complaints = run("experiments", out=full)
    assert status == 1 and len(complaints.splitlines()) == 1 and "No space left" in complaints


def test_a_cache_that_cannot_be_is_warned_about_and_what_was_asked_is_done():
    asked = ("experiments", "run", "E1", "--reduced", "--workers", "1")
    status, output, complaints = run(*asked, BNLAB_CACHE="~nosuchuser/x")
    assert status == 0 and output.startswith("E1 "), complaints
    assert (
        complaints.count("StoreWarning: sweep: results can't be kept in ~nosuchuser/x (it begins with") == 1
    )
    assert "Traceback" not in complaints
