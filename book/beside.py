"""What is told beside a picture: its PyTorch program, its code, where to go on, and the evidence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from textwrap import dedent
from typing import Any, NamedTuple

import numpy as np

from bnlib.experiments import EXPERIMENTS

from .chapter import Chapter, Page, Passage
from .controls import Values
from .race.asking import is_open
from .race.code import lab_code
from .race.evidence import race_address
from .registry import after

LAB = "/training-lab"


class Way(NamedTuple):
    """A link that leads on: its words, and its address below the root."""

    words: str
    address: str


class Evidence(NamedTuple):
    """An experiment that judges what a chapter shows, with its race in the lab or its command."""

    title: str
    address: str | None
    command: str | None


class Beside(NamedTuple):
    """What is told beside a picture; while its question is open nothing that would answer it.

    pytorch : a PyTorch program; None where there is none to show
    code : the functions that computed the picture
    open : whether the question is
    """

    pytorch: str | None = None
    code: tuple[Passage, ...] = ()
    ways: tuple[Way, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    open: bool = False

    def told(self) -> dict[str, Any]:
        """Return it as plain JSON, functions as their text."""
        code = [{"what": what, "source": source(function)} for what, function in self.code]
        return self._asdict() | {"code": code, "evidence": [one._asdict() for one in self.evidence]}


def beside(page: Page, values: Values) -> Beside:
    """Return what is told beside a page's picture with these settings."""
    if not isinstance(page, Chapter):
        return Beside(code=tuple(lab_code(values)), open=is_open(values))
    if page.is_open(values):  # programs, code and experiments would give the answer away
        return Beside(ways=_ways_on(page, values, asked=True), open=True)
    program = page.pytorch(values) if page.pytorch is not None else None
    evidence = tuple(map(_evidence, page.experiments))
    return Beside(program, page.code, _ways_on(page, values, asked=False), evidence)


def _ways_on(chapter: Chapter, values: Values, asked: bool) -> tuple[Way, ...]:
    """Return the links that lead on, the next chapter first."""
    ways = [Way(*link) for link in chapter.links]
    if chapter.scenes:
        race = chapter.lab(values) if chapter.lab and not asked else None
        address = race_address(race) if race is not None else None
        if address is not None:
            ways.insert(0, Way("These networks in the training lab", f"{LAB}?{address}"))
        following = after(chapter)
        if following is not None:
            ways.insert(0, Way(f"Next: {following.question}", f"/{following.path}"))
    return tuple(ways)


def _evidence(name: str) -> Evidence:
    experiment = EXPERIMENTS[name]
    title = f"{name}: {experiment.title}"
    if isinstance(experiment.races, str):
        return Evidence(title, None, f"python -m bnlib experiments run {name}")
    return Evidence(title, f"{LAB}?experiment={name}", None)


@lru_cache(maxsize=64)
def source(function: Callable[..., Any]) -> str:
    """Return the text of ``function``; of one that NumPy has in machine code, its name."""
    if isinstance(function, np.ufunc):
        return f"numpy.{function.__name__}"
    return dedent(inspect.getsource(function))  # of a method without its class's indent
