"""Every chapter, taken through: all that a chapter promises, whatever it is about.

Settings go to their ends, questions get each of their answers, addresses lead there and back, and what is
taken away computes the same numbers where only well-known packages are. A new file in pages/ is taken along.
"""

from __future__ import annotations

import ast
import asyncio
import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import plotly.graph_objects as go
import pytest

from bnlib.experiments import EXPERIMENTS
from book.chapter import Board, Cell, Chapter, Choice, Light, Meter, Row, Scene, View, packed_figures
from book.controls import Control, Values, describe, read, write
from book.equations import Equation, Term
from book.export import csv_text, script_text
from book.predictions import Answer, answer, measured_states, story, told
from book.race.evidence import race_address
from book.race.runs import lane_configs
from book.race.settings import LAB_CONTROLS, LAB_STEPS
from book.registry import chapters, pages
from book.words import brief
from live.session import Shelf
from live.wire import pack
from tests.figures import problems_of, words_of
from tests.scheduler import Sharing

CHAPTERS = chapters()


SCENES = [(name, scene.name) for name, chapter in CHAPTERS.items() for scene in chapter.scenes]
SCENES += [(name, "") for name, chapter in CHAPTERS.items() if not chapter.scenes]
ASKING = [
    (name, scene.name) for name, chapter in CHAPTERS.items() for scene in chapter.scenes if scene.choices
]
SAME = {"rtol": 1e-3, "atol": 1e-9}
PACKAGES = {"numpy", "torch", "sklearn", *sys.stdlib_module_names}
Texts = list[tuple[str, str]]  # where something is written, and what


def scene_of(chapter: Chapter, name: str) -> Scene | None:
    return next((scene for scene in chapter.scenes if scene.name == name), None)


class Reader:
    """Computes views and answers, each once: what chapters ask of a pool is done here and kept."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.run = runner.run
        self.views: dict[str, View] = {}

        async def shelf() -> Shelf:
            return Shelf(Sharing())

        self.shelf = self.run(shelf())

    def view(self, chapter: Chapter, values: Values) -> View:
        key = f"{chapter.name} {sorted(values.items())}"
        if key not in self.views:
            self.views[key] = self.run(self.shelf.complete(chapter, values))
        return self.views[key]

    def answer(self, chapter: Chapter, scene: Scene) -> Answer:
        return self.run(self.shelf.answer(chapter, scene))


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    with asyncio.Runner() as runner:
        yield Reader(runner)


# ---- states --------------------------------------------------------------------------------------------


def ends(control: Control) -> list[Any]:
    """The values that a control is pushed to: all choices, or both ends."""
    if control.kind == "choice":
        return [choice for choice in control.choices if choice != control.default]
    if control.kind == "cells":
        return [(0,), (0, int(control.high)), tuple(range(int(control.high) + 1))]
    if control.kind == "points":
        last = next(place for place in range(10_000) if not accepts(control, [[place, 0]])) - 1
        return [((0, 1e6),), ((last, -1e6),)]
    if control.codec is not None:
        return []
    kind = float if control.kind == "number" else int
    return [end for end in (kind(control.low), kind(control.high)) if end != control.default]


def accepts(control: Control, raw: Any) -> bool:
    try:
        control.parse(raw)
    except ValueError:
        return False
    return True


def start_of(chapter: Chapter, scene: Scene | None, answered: bool = False) -> Values:
    if scene is None:
        return read(chapter.table, {})[0]
    return chapter.settings(scene, {}, answered)


def states(chapter: Chapter, scene: Scene | None) -> Iterator[tuple[str, Values]]:
    """A scene while it is open, and once it is answered with every control on the screen at its ends."""
    start = start_of(chapter, scene)
    for width, narrow in (("wide", False), ("narrow", True)):
        yield f"at the start, {width}", start | {"narrow": narrow}
    answered = start_of(chapter, scene, answered=True)
    yield "answered", answered
    names = scene.controls if scene and scene.controls else [control.name for control in chapter.controls]
    for control in chapter.controls:
        for end in ends(control) if control.name in names else ():
            yield f"{control.name}={end}", answered | {control.name: end}


def reveals(chapter: Chapter, scene: Scene | None, reader: Reader) -> Values:
    """What is shown after the answer, or where nothing is asked, at the start."""
    if scene is None or not scene.choices:
        return start_of(chapter, scene)
    return reader.answer(chapter, scene).reveal | {"guesses": ((scene.name, 0),)}


# ---- what is on the screen -----------------------------------------------------------------------------


def strings(node: Any) -> list[str]:
    """All strings of an equation's plain JSON."""
    if isinstance(node, str):
        return [node]
    return [text for inside in node for text in strings(inside)] if isinstance(node, list | tuple) else []


def written(view: View) -> Texts:
    """Everything that a view says in words or digits, ticks excepted."""
    found: Texts = [("text", view.text), ("waiting", view.waiting)]
    found += [(f"note {name}", text) for name, text in view.notes.items()]
    found += [(f"light {light.name}", light.text) for light in view.lights]
    for row in view.board.rows if view.board else ():
        found += [("board", row.name), *((f"board {row.name}", cell.text) for cell in row.cells)]
    for meter in view.meters:
        found.append((f"meter {meter.name}", f"{meter.title} {meter.text}"))
        found += [
            (f"meter {meter.name}", form)
            for number in (meter.value, meter.expected)
            for form in forms(number)
        ]
    for name, figure in view.figures.items():
        found += [(f"figure {name}", text) for text in words_of(figure)]
    for equation in view.equations:
        shown = equation.describe()
        # Of an equation, what is set in one row is read in one go: "√(" "5" " − 1)".
        rows = [" ".join(strings(shown[part])) for part in ("formula", "steps")]
        found += [(f"equation {equation.key}", text) for text in (shown["name"], shown["shown"], *rows)]
    return [(place, text) for place, text in found if text]


def beside(chapter: Chapter, scene: Scene) -> Texts:
    """What the page says beside the view while a question is open, the question and its choices excepted."""
    found: Texts = [
        ("question of the chapter", chapter.question),
        ("lead", chapter.lead),
        ("title", scene.title),
    ]
    for control in chapter.controls:
        if not scene.controls or control.name in scene.controls:
            found.append((f"control {control.name}", f"{control.label}. {control.hint}"))
            found += [(f"control {control.name}", name) for name in control.names]
    return found


BROKEN = re.compile(r"\bnan\b|(?<!=)\bNone\b|[{}]|\binf\b")  # PyTorch has a momentum=None


def test_broken_words_are_seen() -> None:
    for text in ("a mean of nan", "None of it", "{loss}", "x = inf", "-inf"):
        assert BROKEN.search(text), text
    for text in (
        "a banana, information, finance",
        "NaN, in PyTorch",
        "none of it",
        "infinite",
        "momentum=None",
    ):
        assert not BROKEN.search(text), text


# ---- answers that are given away -----------------------------------------------------------------------

NUMBER = re.compile(r"−?\d+(?:,\d{3})*(?:\.\d+)?(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?(?:\s?%| per cent)?")


def numbers_in(text: str) -> set[str]:
    """The numbers of a text as they are written: 0.3 is not in 0.31, nor 5 in 15."""
    return {re.sub(r"\s?%| per cent", "%", found) for found in NUMBER.findall(text.replace("-", "−"))}


def forms(number: float, share: bool = False) -> list[str]:
    """How a number may be written, shares as percentages too. A single digit is too common to count."""
    found = [brief(number), f"{number:.1f}", f"{number:.2f}"]
    if share:
        found += [f"{100 * number:.0f}%", f"{100 * number:.1f}%"]
    return [form.replace("-", "−") for form in found if not re.fullmatch(r"[-−]?\d", form)]


def hidden_forms(scene: Scene, right: Choice, number: float) -> set[str]:
    """How the right number would be written; what question, other choices and settings mention is known."""
    others = [choice.label for choice in scene.choices if choice is not right]
    share = 0 <= number <= 1 and any(re.search("%|per cent", choice.label) for choice in scene.choices)
    known = numbers_in(" ".join([scene.question, *others]))
    settings = [value for value in scene.start.values() if type(value) in (int, float)]
    return set(forms(number, share)) - known - {form for value in settings for form in forms(value)}


def giveaways(texts: Texts, label: str, hidden: set[str]) -> list[str]:
    """Where the right choice's words or number can be read."""
    phrase = re.compile(rf"(?<!\w){re.escape(label.casefold())}(?!\w)")
    return [
        f"{place}: {text!r} gives {given!r} away"
        for place, text in texts
        for given in [
            *sorted(numbers_in(text) & hidden),
            *([label] if phrase.search(text.casefold()) else []),
        ]
    ]


def right_one(chapter: Chapter, scene: Scene, reader: Reader) -> tuple[Choice, float]:
    """The right choice, and the number that it stands for."""
    right = scene.choices[reader.answer(chapter, scene).right]
    before = reader.view(chapter, chapter.settings(scene, {}, answered=True)).numbers
    return right, before[right.value] if isinstance(right.value, str) else float(right.value)


def given_away(chapter: Chapter, scene: Scene, view: View, reader: Reader) -> list[str]:
    right, number = right_one(chapter, scene, reader)
    texts = [*written(view), *beside(chapter, scene)]
    return giveaways(texts, right.label, hidden_forms(scene, right, number))


@pytest.mark.parametrize(("name", "asked"), ASKING)
def test_an_open_question_is_not_answered_on_the_screen(name: str, asked: str, reader: Reader) -> None:
    chapter = CHAPTERS[name]
    scene = scene_of(chapter, asked)
    assert scene is not None
    for narrow in (False, True):
        view = reader.view(chapter, chapter.settings(scene, {}) | {"narrow": narrow})
        assert not given_away(chapter, scene, view, reader)


SEEDED = [(name, asked) for name, asked in ASKING if any(c.name == "seed" for c in CHAPTERS[name].controls)]
UNSEEN = 10_000  # an end of the button for other seeds: nobody chose a scene by them


@pytest.mark.parametrize(("name", "asked"), SEEDED)
def test_the_right_answer_stays_right_for_seeds_that_nobody_looked_at(
    name: str, asked: str, reader: Reader
) -> None:
    chapter = CHAPTERS[name]
    scene = scene_of(chapter, asked)
    assert scene is not None
    start, reveal = measured_states(chapter, scene, seed=UNSEEN)
    before = reader.view(chapter, start).numbers
    there = reveal(before)
    found = answer(scene, before, there, reader.view(chapter, there).numbers)
    usual = reader.answer(chapter, scene)
    assert there["seed"] == UNSEEN and found.right == usual.right
    assert not [text for text in found[1:4] if BROKEN.search(text)]


def with_words(figure: Mapping[str, Any], place: str, words: str) -> dict[str, Any]:
    """The figure with words of ours in one place."""
    layout = dict(figure["layout"])
    if place == "annotation":
        layout["annotations"] = [*layout.get("annotations", ()), {"x": 0, "y": 0, "text": words}]
    elif place == "axis":
        layout["xaxis"] = layout["xaxis"] | {"title": {"text": words}}
    elif place == "trace":
        return {"data": [*figure["data"], {"type": "scatter", "name": words}], "layout": layout}
    else:
        layout["meta"] = layout["meta"] | {place: words}
    return {"data": figure["data"], "layout": layout}


def slips(view: View, words: str) -> Iterator[tuple[str, View]]:
    """The view with words of ours, in one place after the other."""
    yield "text", replace(view, text=f"{view.text} {words}")
    yield "note", replace(view, notes={**view.notes, "slip": words})
    yield "board", replace(view, board=Board(("",), (Row("slip", (Cell(words),)),)))
    yield "light", replace(view, lights=(*view.lights, Light("slip", True, words)))
    yield "meter", replace(view, meters=(*view.meters, Meter("slip", words, 0, 0, "")))
    yield "meter's text", replace(view, meters=(*view.meters, Meter("slip", "", 0, 0, words)))
    step = Equation("slip", "a slip", Term("x"), 0.0, (Term(["row", "x"]), Term(["frac", words, "1"])))
    yield "equation", replace(view, equations=(*view.equations, step))
    yield "equation's name", replace(view, equations=(*view.equations, replace(step, name=words, steps=())))
    for name, figure in view.figures.items():
        for place in ("title", "hint", "alt", "annotation", "axis", "trace"):
            yield (
                f"{place} of {name}",
                replace(view, figures={**view.figures, name: with_words(figure, place, words)}),
            )


@pytest.mark.parametrize(("name", "asked"), ASKING)
def test_an_answer_that_slips_out_is_noticed(name: str, asked: str, reader: Reader) -> None:
    """The check itself: with the answer put anywhere on the screen, it fails."""
    chapter = CHAPTERS[name]
    scene = scene_of(chapter, asked)
    assert scene is not None
    view = reader.view(chapter, chapter.settings(scene, {}))
    right, number = right_one(chapter, scene, reader)
    hidden = hidden_forms(scene, right, number)
    for words in (right.label, *sorted(hidden)):
        for place, slip in slips(view, f"It is {words}."):
            assert given_away(chapter, scene, slip, reader), f"{words} in the {place}"
    lead = replace(chapter, lead=f"So it is {right.label}!")
    assert given_away(lead, scene, view, reader)
    bar = replace(view, meters=(Meter("slip", "share", number, 0, ""),))
    assert not hidden & set(forms(number)) or given_away(chapter, scene, bar, reader)


def test_numbers_are_told_apart() -> None:
    assert numbers_in("0.31, 15 of 1,000; −2.50 and 3×10⁻⁶, 40 %, 9 per cent, x2") == {
        "0.31", "15", "1,000", "−2.50", "3×10⁻⁶", "40%", "9%", "2",
    }  # fmt: skip
    assert forms(0.4, share=True) == ["0.4", "0.4", "0.40", "40%", "40.0%"] and forms(2) == ["2.0", "2.00"]


# ---- what a chapter declares ---------------------------------------------------------------------------


def test_pages_have_titles_and_places_of_their_own() -> None:
    every = pages().values()
    for what in ("title", "question", "order", "path"):
        values = [getattr(page, what) for page in every]
        assert len(set(values)) == len(values) and all(value != "" for value in values if what != "path"), (
            what
        )
    assert next(iter(every)).path == ""


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_declares_all_that_a_reader_needs(name: str) -> None:
    chapter = CHAPTERS[name]
    assert chapter.controls and chapter.pytorch is not None and chapter.script is not None
    assert all(source.text for source in chapter.sources)
    if chapter.scenes:
        assert chapter.sources and len(chapter.ending) == 3, "what can be said now, what not, where to go"
    for address in [address for _, address in chapter.links]:
        assert address.partition("?")[0].strip("/") in {page.path for page in pages().values()}, address
    texts = [
        chapter.title,
        chapter.question,
        chapter.lead,
        *chapter.ending,
        *(words for words, _ in chapter.links),
    ]
    texts += [text for control in chapter.controls for text in (control.label, control.hint, *control.names)]
    texts += [text for row in describe(chapter.controls) for text in row["shown"]]
    assert not [text for text in texts if BROKEN.search(text)]
    names = [control.name for control in chapter.table]
    assert len(set(names)) == len(names)
    if chapter.runs is not None:
        assert any(control.kind == "step" for control in chapter.controls), "how far runs are watched"
    for control in chapter.controls:
        assert control.label and control.parse(control.write(control.default)) == control.default
        assert all(control.low <= stop <= control.high for stop in (*control.stops, *control.marks))
        assert not control.names or len(control.names) == len(control.choices)
        assert set(control.resets) <= set(names)
        assert not control.plays or chapter.table[names.index(control.plays)].kind == "step"
    assert len({scene.name for scene in chapter.scenes}) == len(chapter.scenes)


@pytest.mark.parametrize(("name", "shown"), SCENES)
def test_a_scene_declares_what_it_needs(name: str, shown: str) -> None:
    chapter = CHAPTERS[name]
    scene = scene_of(chapter, shown)
    if scene is None:
        return
    names = {control.name for control in chapter.controls}
    assert (
        scene.title
        and set(scene.controls) <= names
        and set(scene.start) <= names
        and set(scene.reveal) <= names
    )
    assert not [key for key in ("title", "question", "task") if BROKEN.search(getattr(scene, key))]
    if scene.walk:
        assert any(
            control.kind == "choice" and set(scene.walk) <= set(control.choices)
            for control in chapter.controls
        )
    if scene.choices:
        labels = [choice.label for choice in scene.choices]
        assert 3 <= len(labels) <= 4 and len(set(map(str.casefold, labels))) == len(labels)
        assert len({str(choice.value) for choice in scene.choices}) == len(labels)
        assert scene.question.rstrip().endswith("?") and scene.measured and scene.said
        assert scene.because and scene.but, "the reason, and the limit"
    else:
        assert not scene.measured and not scene.reveal


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_leads_to_its_evidence_and_its_questions_to_scenes(name: str) -> None:
    chapter = CHAPTERS[name]
    assert set(chapter.experiments) <= set(EXPERIMENTS)
    assert {asked.scene for asked in chapter.answers} <= {scene.name for scene in chapter.scenes}


@pytest.mark.parametrize(("name", "shown"), SCENES)
def test_the_lab_shows_the_same_networks(name: str, shown: str, reader: Reader) -> None:
    chapter = CHAPTERS[name]
    values = reveals(chapter, scene_of(chapter, shown), reader)
    race = chapter.lab(values) if chapter.lab else None
    address = race_address(race) if race else None
    if race is None or address is None:
        return
    there, problems = read(LAB_CONTROLS, dict(parse_qsl(address)))
    assert not problems and there["step"] <= LAB_STEPS
    for own, config in zip(lane_configs(there), race.configs, strict=True):
        looks = {name: getattr(own, name) for name in ("record_every", "validate_every", "dtype", "replicas")}
        assert own == replace(config, **looks)


# ---- views ---------------------------------------------------------------------------------------------


def check_view(chapter: Chapter, values: Values, view: View) -> None:
    """All that holds for a view, whatever it shows."""
    assert view.figures and not view.waiting and view.text
    assert view.numbers and all(isinstance(number, float) for number in view.numbers.values())
    assert all(np.isfinite(number) for number in view.numbers.values()), view.numbers
    assert not [(place, text) for place, text in written(view) if BROKEN.search(text)]
    controls = {control.name for control in chapter.table}
    for figure in view.figures.values():
        assert not problems_of(figure)
        go.Figure(figure)
        for trace in figure["data"]:
            meta = trace.get("meta", {})
            hands = ("drag", "click", "paint", "brush", "choose")
            assert {meta[key] for key in hands if key in meta} <= controls
    columns = {name: len(column) for name, column in view.table.items()}
    assert len(set(columns.values())) == 1 or (chapter.is_open(values) and not columns), columns
    figures, arrays = packed_figures(view.figures)
    header = {"figures": figures, "lights": view.lights, "meters": view.meters, "notes": dict(view.notes)}
    pack(header | {"equations": [equation.describe() for equation in view.equations]}, arrays)
    for meter in view.meters:
        assert 0 <= meter.value <= 1 and 0 <= meter.expected <= 1, meter
    assert all(light.level in ("good", "warning") for light in view.lights)
    assert len({equation.key for equation in view.equations}) == len(view.equations)
    assert set(view.clocked) <= {*view.numbers, *view.table}
    scene = chapter.scene(values)
    assert scene is None or scene.measured not in view.clocked, "another machine might answer otherwise"
    if view.board:
        cells = [cell for row in view.board.rows for cell in row.cells]
        assert all(len(row.cells) == len(view.board.columns) for row in view.board.rows)
        assert all(cell.text and cell.level in ("", "good", "warning") for cell in cells)
        paths = {page.path for page in pages().values()}
        assert {cell.address.partition("?")[0] for cell in cells if cell.address} <= paths


def check_address(chapter: Chapter, values: Values) -> None:
    settings = {control.name: values[control.name] for control in chapter.table}
    address = write(chapter.table, settings)
    assert read(chapter.table, address) == (settings, [])
    assert read(chapter.table, json.loads(json.dumps(settings))) == (settings, [])


@pytest.mark.parametrize(("name", "shown"), SCENES)
def test_views_stand_with_every_control_at_its_ends(name: str, shown: str, reader: Reader) -> None:
    chapter = CHAPTERS[name]
    for state, values in states(chapter, scene_of(chapter, shown)):
        try:
            check_address(chapter, values)
            check_view(chapter, values, reader.view(chapter, values))
        except Exception as error:
            raise AssertionError(f"{name}, {shown or 'without scenes'}, {state}: {error}") from error


def playheads(name: str, shown: str) -> list[str]:
    """The names of a scene's playheads."""
    chapter = CHAPTERS[name]
    scene = scene_of(chapter, shown)
    names = scene.controls if scene else [control.name for control in chapter.controls]
    return [control.name for control in chapter.controls if control.kind == "step" and control.name in names]


PLAYED = [(name, shown) for name, shown in SCENES if playheads(name, shown)]


@pytest.mark.parametrize(("name", "shown"), PLAYED)
def test_what_plays_is_seen_while_it_plays(name: str, shown: str, reader: Reader) -> None:
    """Frames that play are drafts: what they show is where the playhead is, as when it rests."""
    chapter = CHAPTERS[name]
    answered = start_of(chapter, scene_of(chapter, shown), answered=True)
    for playhead in playheads(name, shown):
        values = answered | {playhead: 20}
        rests, plays = (reader.view(chapter, values | {"draft": draft}) for draft in (False, True))
        if plays.waiting:
            continue  # what takes long is computed where the playhead rests
        for figure in rests.figures:
            drawn = [repr(packed_figures({figure: view.figures[figure]})) for view in (rests, plays)]
            assert drawn[0] == drawn[1], figure
        assert repr(plays.figures) != repr(reader.view(chapter, values | {playhead: 30}).figures)


@pytest.mark.parametrize(("name", "asked"), ASKING)
def test_every_answer_is_judged_and_told(name: str, asked: str, reader: Reader) -> None:
    chapter = CHAPTERS[name]
    scene = scene_of(chapter, asked)
    assert scene is not None
    found = reader.answer(chapter, scene)
    assert all(found[1:4]) and not [text for text in found[1:4] if BROKEN.search(text)]
    shown = found.reveal | {"guesses": ((asked, found.right),)}
    check_address(chapter, shown)
    check_view(chapter, shown, reader.view(chapter, shown))
    for guess, choice in enumerate(scene.choices):
        values = shown | {"guesses": ((asked, guess),)}
        assert not chapter.is_open(values)
        said = told(chapter, values, found)
        assert said["holds"] and said["said"] == found.said and said["right"] == found.right
        assert said["credit"] == ("" if guess == found.right else choice.credit)
        assert bool(said["credit"]) == (guess != found.right), f"nothing is right about {choice.label!r}?"
        json.dumps(said, allow_nan=False)
    (before,) = (row for row in story(chapter) if row["name"] == asked)
    assert found.said not in json.dumps(before, ensure_ascii=False)


# ---- what is taken away --------------------------------------------------------------------------------


def cells(text: str) -> tuple[list[str], list[list[str]]]:
    """The names and the rows of a CSV file without its comments."""
    names, *rows = csv.reader(line for line in text.splitlines() if not line.startswith("#"))
    return names, rows


def check_table(rows: list[list[str]], view: View, **how: float) -> None:
    """Compare the rows of a CSV with a view's table; an empty cell is a gap.

    With a relative tolerance above 0 the rows were computed elsewhere: of what a clock has measured there,
    only that it is there.
    """
    assert len(rows) == len(next(iter(view.table.values())))
    for place, (name, column) in enumerate(view.table.items()):
        here = [row[place] for row in rows]
        array = np.asarray(column)
        if how["rtol"] and name in view.clocked:
            assert all(ticked(float(text)) for text in here), f"{name}: {here}"
        elif array.dtype.kind in "USO":
            assert here == [str(value) for value in array.tolist()], name
        else:
            numbers = [float(text) if text else np.nan for text in here]
            np.testing.assert_allclose(numbers, array.astype(float), equal_nan=True, **how, err_msg=name)


@pytest.mark.parametrize(("name", "shown"), SCENES)
def test_the_csv_is_the_views_table(name: str, shown: str, reader: Reader) -> None:
    chapter = CHAPTERS[name]
    values = reveals(chapter, scene_of(chapter, shown), reader)
    view = reader.view(chapter, values)
    text = csv_text(chapter, values, view)
    names, rows = cells(text)
    assert names == list(view.table) and rows
    check_table(rows, view, rtol=0)
    assert not BROKEN.search(text.replace("NaN", ""))


# Where nothing of ours is at hand: each file by itself, in one process, since torch takes its time to load.
RUNNER = """
import contextlib, importlib.util, io, json, runpy, sys, traceback
assert importlib.util.find_spec("bnlib") is None and importlib.util.find_spec("book") is None
told = []
for path in sys.argv[1:]:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(path, run_name="__main__")
    except BaseException:
        told.append({"out": out.getvalue(), "error": traceback.format_exc()})
    else:
        told.append({"out": out.getvalue(), "error": ""})
    if "torch" in sys.modules:
        sys.modules["torch"].set_default_dtype(sys.modules["torch"].float32)
print(json.dumps(told))
"""


def run_elsewhere(programs: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What programs print, by name, in an empty folder and without the house on the path."""
    work, files = folder / "empty", []
    work.mkdir()
    (folder / "runner.py").write_text(RUNNER)
    for number, text in enumerate(programs.values()):
        files.append(folder / f"program{number}.py")
        files[-1].write_text(text, encoding="utf-8")
        roots = {root for node in ast.walk(ast.parse(text)) for root in imported(node)}
        assert roots <= PACKAGES, f"imports {roots - PACKAGES}"
    done = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", str(folder / "runner.py"), *map(str, files)],
        cwd=work, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {}
    for (name, text), result in zip(programs.items(), json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert not result["error"], f"{name}:\n{result['error']}\n{text}"
        found[name] = result["out"]
    assert not list(work.iterdir()), "a program leaves nothing behind"
    return found


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) else []


SAID = re.compile(r"^(\w+) = (\S+)$")


def check_numbers(printed: str, view: View, where: str) -> dict[str, float]:
    """Compare every "name = number" with the view's."""
    found = {match[1]: float(match[2]) for line in printed.splitlines() if (match := SAID.match(line))}
    assert found, f"{where} prints no number:\n{printed[:500]}"
    assert set(found) <= set(view.numbers), (
        f"{where}: {sorted(set(found) - set(view.numbers))} aren't the view's"
    )
    for name, number in found.items():
        if name in view.clocked:
            assert ticked(number), f"{where}: {name} = {number}"
        else:
            np.testing.assert_allclose(number, view.numbers[name], **SAME, err_msg=f"{where}: {name}")
    return found


def ticked(number: float) -> bool:
    """Whether a number may be a time."""
    return bool(np.isfinite(number)) and number > 0


@pytest.mark.parametrize("name", CHAPTERS)
def test_scripts_and_pytorch_say_the_same_elsewhere(name: str, reader: Reader, tmp_path: Path) -> None:
    chapter = CHAPTERS[name]
    assert chapter.script is not None and chapter.pytorch is not None
    shown = {}
    for scene in chapter.scenes or (None,):
        place = scene.name if scene else "the start"
        shown[place] = reveals(chapter, scene, reader)
        if not chapter.has_waits:  # what is quick is run at the ends of every control, too
            ended = states(chapter, scene)
            shown |= {f"{place}, {state}": values for state, values in ended if not chapter.is_open(values)}
    programs = {}
    for state, values in shown.items():
        programs[f"script of {state}"] = script_text(chapter, values)
        programs[f"PyTorch of {state}"] = chapter.pytorch(values)
    printed = run_elsewhere(programs, tmp_path)
    for state, values in shown.items():
        view = reader.view(chapter, values)
        check_numbers(printed[f"PyTorch of {state}"], view, f"PyTorch of {state}")
        text = printed[f"script of {state}"]
        found = check_numbers(text, view, f"script of {state}")
        scene = chapter.scene(values)
        if scene is not None and scene.measured:
            asked = view.numbers[scene.measured]
            assert any(np.isclose(number, asked, **SAME) for number in found.values()), (
                f"script of {state} doesn't say {scene.measured}, which the question is about"
            )
        names, rows = cells("\n".join(line for line in text.splitlines() if not SAID.match(line)))
        assert names == list(view.table), f"script of {state}"
        check_table(rows, view, **SAME)


def test_a_program_that_says_something_else_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    view = View({"mean": 2.0})
    printed = run_elsewhere({"good": "print('mean =', 2)", "bad": "print('mean =', 2.1)"}, tmp_path / "a")
    assert check_numbers(printed["good"], view, "good") == {"mean": 2.0}
    with pytest.raises(AssertionError, match="bad: mean"):
        check_numbers(printed["bad"], view, "bad")
    with pytest.raises(AssertionError, match="prints no number"):
        check_numbers("mean: 2", view, "silent")
    timed = View({"mean": 2.0, "seconds": 1.0}, table={"ms": [1.0], "m": [2]}, clocked=("seconds", "ms"))
    assert check_numbers("seconds = 3\nmean = 2", timed, "timed") == {"seconds": 3.0, "mean": 2.0}
    check_table([["7", "2"]], timed, **SAME)
    for printed_there in ("seconds = 0", "seconds = nan", "mean = 3"):
        with pytest.raises(AssertionError, match="timed: "):
            check_numbers(printed_there, timed, "timed")
    for row in (["-1", "2"], ["inf", "2"], ["1", "3"]):
        with pytest.raises(AssertionError):
            check_table([row], timed, **SAME)
    with pytest.raises(AssertionError):  # its own CSV has the view's very numbers
        check_table([["7", "2"]], timed, rtol=0)
    with pytest.raises(AssertionError, match="aren't the view's"):
        check_numbers("average = 2", view, "strange")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import bnlib", "imports {'bnlib'}"),
        ("import importlib\nimportlib.import_module('bnlib')", "No module named 'bnlib'"),
        ("open('left', 'w').close()\nprint('mean =', 2)", "leaves nothing behind"),
        ("1 / 0", "division by zero"),
    ],
)
def test_a_program_that_needs_the_house_is_noticed(program: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=re.escape(words)):
        run_elsewhere({"bad": program}, tmp_path)
