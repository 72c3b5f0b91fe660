"""Copies of the house, with CONTRIBUTING's examples put into them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.once import FOLDER

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("assets", "bnlib", "book", "live", "pages", "static", "tests", "ui", ".streamlit")
FILES = ("app.py", "pyproject.toml")


def copy_of_the_house(folder: Path) -> Path:
    """Copy all that the app and the generic tests need."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, folder)
    return folder


def example(start: str) -> str:
    """Return the one example in CONTRIBUTING.md that begins so."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (found,) = re.findall(rf"```python\n({re.escape(start)}.*?)```", text, re.DOTALL)
    return str(found)


def house_with_a_chapter(folder: Path) -> Path:
    """Copy the house and add the example of a chapter."""
    house = copy_of_the_house(folder)
    (house / "pages" / "scatter.py").write_text(example('"""Scatter'), encoding="utf-8")
    return house


def attempt(house: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a copy of the house, which computes all by itself: it isn't this house."""
    environment = {name: value for name, value in os.environ.items() if name != FOLDER}
    return subprocess.run(
        [sys.executable, *command], cwd=house, capture_output=True, text=True,
        env=environment | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(house)},
    )  # fmt: skip


def run(house: Path, *command: str) -> str:
    """Run Python in a copy of the house; return what it prints, and fail where it fails."""
    answer = attempt(house, *command)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    return answer.stdout
