"""Fixtures of the library's tests."""

import pytest


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Return one folder for all tests of a run, whichever process they are in: cells are computed once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / "cells"
