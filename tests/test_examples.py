"""The examples in the library's docstrings print what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "bnlib").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_of(module: str) -> None:
    found = doctest.testmod(import_module(module))  # what differs is printed, and pytest shows it
    assert found.attempted and not found.failed


def test_the_package_begins_with_an_example() -> None:
    assert "bnlib" in WITH_EXAMPLES
