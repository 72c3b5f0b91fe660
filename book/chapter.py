"""A chapter as a value: what a page declares, and what the mechanism makes of it.

A chapter is one Python file in ``pages/``. It says which settings it has, which training runs and other long
computations they stand for, how a picture is computed from them, and which scenes lead a reader through it.
Addresses, validation, messages, exports, navigation and tests follow from the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnlib import RunConfig
from bnlib.experiments.model import Race

from .controls import Codec, Control, Values, read
from .equations import Equation
from .figure import Figure

Numbers = dict[str, float]
Found = Mapping[
    str, Any
]  # by name: a recording (arrays by name), what a job returned, or None: not there yet


class Choice(NamedTuple):
    """An answer on offer.

    label : what the button says
    value : the number that it stands for, or the name of one that is measured at the start
    credit : what is right about it, told to those who chose it although another was measured
    """

    label: str
    value: float | str
    credit: str = ""


class Light(NamedTuple):
    """A lamp with a sentence; ``level`` is "good" or "warning" and says what it means that it is on."""

    name: str
    on: bool
    text: str
    level: str = "good"


class Meter(NamedTuple):
    """A share from 0 to 1 as a bar, with the place where theory expects it."""

    name: str
    title: str
    value: float
    expected: float
    text: str


class Job(NamedTuple):
    """A computation for the pool: a function of a module and its arguments, all of which can be hashed.

    ``light``: it takes a tenth of a second at most, and doesn't wait for those that take longer.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    light: bool = False


class Cell(NamedTuple):
    """A cell of a `Board`: "good" supports its row's claim, "warning" speaks against it, "" does neither.

    address : below the root; with one, the cell is a link
    """

    text: str
    level: str = ""
    address: str = ""


class Row(NamedTuple):
    """A row of a `Board`: its name, and a cell for each column."""

    name: str
    cells: tuple[Cell, ...]


class Board(NamedTuple):
    """A table in words, below the figures; ``columns`` are the heads of all but the rows' names."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class View:
    """What one state of a chapter shows.

    numbers : what predictions are measured by and sentences are made of
    text : what is seen, computed from the numbers
    figures : by name, in order, as `book.figure.figure` makes them
    table : columns of one length, by name: the CSV
    notes : by the name of a figure, meter or lamp, a sentence below it
    board : findings side by side in words, below the figures
    waiting : what is still being computed, in words; empty when all is there
    clocked : which numbers and columns a clock has measured: no script computes them again, but it measures
        where it runs and prints them, too. A scene's `measured` is never one of them
    """

    numbers: Numbers = field(default_factory=dict)
    text: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    table: Mapping[str, Any] = field(default_factory=dict)
    equations: tuple[Equation, ...] = ()
    lights: tuple[Light, ...] = ()
    meters: tuple[Meter, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    board: Board | None = None
    waiting: str = ""
    clocked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """One idea: predict, do, see, because, but.

    choices : the answers on offer; the one nearest to what is measured is right
    measured : which of the view's numbers decides, at the settings of the reveal
    start : settings while the question is open, where they aren't the defaults
    reveal : settings that change then; the name of a number stands for that number at the start
    said : what came out, in the past tense, with the numbers at the reveal; where other settings are chosen,
        the page says that it was measured before
    because : the reason, with the numbers at the reveal
    but : the limit, or the side that disagrees
    task : what to try next
    controls : which settings are on the screen
    walk : a choice whose values are stepped through, with the words for each
    """

    name: str
    title: str
    question: str = ""
    choices: tuple[Choice, ...] = ()
    measured: str = ""
    start: Mapping[str, Any] = field(default_factory=dict)
    reveal: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""
    because: str = ""
    but: str = ""
    task: str = ""
    controls: tuple[str, ...] = ()
    walk: Mapping[str, str] = field(default_factory=dict)


class Source(NamedTuple):
    """A reference: who, what, and where to find it."""

    text: str
    address: str = ""


class Passage(NamedTuple):
    """A function that ran, and what it computes in one line of Markdown."""

    what: str
    function: Callable[..., Any]


class Asked(NamedTuple):
    """A question that readers bring along, and the scene in which they find its answer themselves."""

    question: str
    scene: str


@dataclass(frozen=True)
class Page:
    """A place in the book.

    name : of the file in ``pages/``; with hyphens for underscores, its address
    lead : a paragraph of Markdown above the picture
    order : its place in the reading order
    group : under which name it stands in the navigation; without one, by itself
    scenes : in order; those with choices ask for a prediction
    answers : the questions that it answers, as the first page lists them
    thumbnail : the first page's settings -> a small figure that follows them, made within two milliseconds
    """

    name: str
    title: str
    question: str
    lead: str = ""
    icon: str = ":material/menu_book:"
    order: float = 0.0
    group: str = ""
    scenes: tuple[Scene, ...] = ()
    answers: tuple[Asked, ...] = ()
    thumbnail: Callable[[Values], Figure] | None = None

    @property
    def path(self) -> str:
        """The page's address below the root; the home page has none."""
        return "" if self.name == "home" else self.name.replace("_", "-")

    def at(self, scene: str) -> str:
        """Return a scene's address below the root, its question open; the training lab calls one a preset."""
        return f"{self.path}?preset={scene}"


@dataclass(frozen=True)
class Chapter(Page):
    """A page with settings, a picture and scenes.

    controls : the table of settings; the mechanism adds those of the scenes
    compute : values -> View; with ``runs`` or ``jobs``, (values, found) -> View, where what isn't there
        yet is None. ``values["open"]``: the scene's question is unanswered, and nothing shown may answer it;
        ``values["narrow"]``: there is little room; ``values["draft"]``: a finger is moving
        the control ``values["moves"]``
    runs : values -> training runs by name; their recordings are shared, streamed and replayed
    kept : which of the recorded arrays `compute` looks at
    jobs : values -> `Job` by name, for the pool. While a finger moves (``values["draft"]``) only light ones,
        so that the picture follows within a tenth of a second
    code : functions for "Show the code"
    pytorch : values -> a short PyTorch program. What it prints as "name = number" are numbers of the view
    script : values -> a script that computes the view's numbers again where only well-known packages are
    slow : `compute` runs in the pool, not in the server's event loop
    ending : what a reader can say now, what not, and where to go
    experiments : names of those that judge what the chapter shows
    lab : values -> the same networks as a race of the training lab, which is offered where the lab can show
        it; None where there is no such race
    links : further ways on: words and address
    """

    controls: tuple[Control, ...] = ()
    compute: Callable[..., View] = View
    runs: Callable[[Values], Mapping[str, RunConfig]] | None = None
    kept: tuple[str, ...] = ()
    jobs: Callable[[Values], Mapping[str, Job]] | None = None
    code: tuple[Passage, ...] = ()
    pytorch: Callable[[Values], str] | None = None
    script: Callable[[Values], str] | None = None
    slow: bool = False
    ending: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    experiments: tuple[str, ...] = ()
    lab: Callable[[Values], Race | None] | None = None
    links: tuple[tuple[str, str], ...] = ()

    def at(self, scene: str) -> str:
        """Return a scene's address below the root, its question open."""
        return f"{self.path}?scene={scene}"

    @property
    def table(self) -> tuple[Control, ...]:
        """All settings: the chapter's own, which scene is shown, and what was predicted."""
        if not self.scenes:
            return self.controls
        names = tuple(scene.name for scene in self.scenes)
        codec = Codec(self._parse_guesses, _write_guesses)
        return (
            *self.controls,
            Control(
                "scene",
                "choice",
                names[0],
                "scene",
                choices=names,
                names=tuple(scene.title for scene in self.scenes),
                about="The question of this chapter that is shown.",
            ),
            Control(
                "guesses",
                "guesses",
                (),
                "predictions",
                unset="none",
                codec=codec,
                about="Your answers so far, by scene.",
            ),
        )

    @property
    def has_waits(self) -> bool:
        """Whether a view needs recordings or jobs."""
        return self.runs is not None or self.jobs is not None

    def scene(self, values: Values) -> Scene | None:
        """Return the scene that is shown."""
        return next((one for one in self.scenes if one.name == values.get("scene")), None)

    def is_open(self, values: Values) -> bool:
        """Say whether the scene asks and has not been answered."""
        scene = self.scene(values)
        return bool(scene and scene.choices and scene.name not in dict(values.get("guesses", ())))

    def view(self, values: Values, found: Found | None = None) -> View:
        """Compute what ``values`` show; ``found`` holds recordings and results of jobs."""
        given = {"draft": False, **values, "open": self.is_open(values)}
        return self.compute(given, found or {}) if self.has_waits else self.compute(given)

    def settings(self, scene: Scene, changes: Mapping[str, Any], answered: bool = False) -> Values:
        """Return the full settings of a scene at its start with ``changes``; its start is what differs."""
        guesses = ((scene.name, 0),) if answered and scene.choices else ()
        raw = {"scene": scene.name, **scene.start, **changes}
        values, problems = read(self.table, raw)
        assert not problems, f"scene {scene.name}: {'; '.join(problems)}"
        return values | {"guesses": guesses}

    def _parse_guesses(self, raw: Any) -> tuple[tuple[str, int], ...]:
        """Read ``tug:2,undo:0``, or JSON: [["tug", 2], ["undo", 0]]."""
        choices = {scene.name: len(scene.choices) for scene in self.scenes}
        try:
            if isinstance(raw, str):
                raw = [(name, int(guess)) for name, guess in (p.split(":") for p in raw.split(",") if p)]
            guesses = {name: guess for name, guess in raw}
            fine = all(type(guess) is int and 0 <= guess < choices[name] for name, guess in guesses.items())
        except (TypeError, ValueError, KeyError):
            fine = False
        if not fine:
            asked = [scene for scene in self.scenes if scene.choices][:2]
            example = ",".join(f"{scene.name}:{len(scene.choices) - 1}" for scene in asked)
            raise ValueError(f"must be scenes and numbers of their choices, such as {example}")
        return tuple((name, guesses[name]) for name in choices if name in guesses)


def _write_guesses(guesses: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"{name}:{guess}" for name, guess in guesses)


# ---- what leaves the server ------------------------------------------------------------------------------


def packed_figures(figures: Mapping[str, Figure]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Take the arrays out of figures: plain JSON with {"$": number} in their places, and the arrays."""
    arrays: dict[str, NDArray[Any]] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, str | float | int):  # most values: what is asked first is answered fastest
            return value
        if isinstance(value, list | tuple):
            return [plain(inside) for inside in value]
        if isinstance(value, dict | Mapping):
            return {key: plain(inside) for key, inside in value.items()}
        if isinstance(value, np.ndarray):
            number = len(arrays)
            arrays[str(number)] = value
            return {"$": number}
        return value.item() if isinstance(value, np.generic) else value

    return {name: plain(figure) for name, figure in figures.items()}, arrays


def without(view: View, *figures: str) -> View:
    """Return the view without some of its figures."""
    return replace(view, figures={name: one for name, one in view.figures.items() if name not in figures})
