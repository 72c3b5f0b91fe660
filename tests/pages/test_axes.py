"""What is particular about "Which axes?": painted cells, names, PyTorch for each, the table of Ba et al."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import Any

import numpy as np
import pytest

from bnlib.lessons import axes
from bnlib.lessons import axes_compared as compared
from bnlib.lessons.axes import HOME, SHAPE
from book.chapter import Numbers, View
from book.controls import Values
from book.predictions import answer, measured_states
from book.registry import chapters
from pages import _axes_paint as painting
from pages import _axes_parts as parts
from pages import _axes_scale as scaling
from pages import _axes_views as views

CHAPTER = chapters()["axes"]
SCENES = {scene.name: scene for scene in CHAPTER.scenes}
FRESH = range(9_000, 9_012)  # of seeds that nobody has looked at


def settings(name: str, answered: bool = True, **changes: Any) -> Values:
    return CHAPTER.settings(SCENES[name], changes, answered)


def viewed(values: Values) -> View:
    """The view, with what its jobs return."""
    assert CHAPTER.jobs is not None
    found = {name: job.function(*job.arguments) for name, job in CHAPTER.jobs(values).items()}
    return CHAPTER.view(values, found)


def view(name: str, answered: bool = True, narrow: bool = False, **changes: Any) -> View:
    return viewed(settings(name, answered, **changes) | {"narrow": narrow})


def printed_by(program: str) -> list[str]:
    """The lines that a program prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(program, "program", "exec"), {"__name__": "program"})
    return out.getvalue().splitlines()


def check_program(name: str, **changes: Any) -> None:
    """Run the scene's PyTorch and its script: numbers and the table are the view's."""
    assert CHAPTER.pytorch is not None and CHAPTER.script is not None
    values = settings(name, **changes)
    shown = viewed(values)
    short, long = printed_by(CHAPTER.pytorch(values)), printed_by(CHAPTER.script(values))
    said = [line.split(" = ") for line in short + long if " = " in line]
    assert len(said) > 2
    for key, value in said:
        assert float(value) == pytest.approx(shown.numbers[key], rel=1e-4, abs=1e-9), key
    names, *rows = csv.reader(line for line in long if " = " not in line)
    assert names == list(shown.table)
    for cells, (key, column) in zip(zip(*rows, strict=True), shown.table.items(), strict=True):
        numeric = np.asarray(column).dtype.kind in "if"
        found = [float(cell) for cell in cells] if numeric else list(cells)
        assert found == (pytest.approx(list(column), rel=1e-4, abs=1e-9) if numeric else list(column)), key


# ---- the painter -----------------------------------------------------------------------------------------

PATTERNS = (
    *painting.KNOWN, (1, 2, 4, 4), (4, 3, 4, 4), (4, 6, 4, 4), (1, 1, 1, 1), (2, 3, 2, 1), (1, 3, 1, 1),
)  # fmt: skip


@pytest.mark.parametrize("runs", PATTERNS)
def test_programs_of_each_pattern_print_the_views_numbers(runs: tuple[int, ...]) -> None:
    check_program("paint", painted=axes.pattern(runs))


@pytest.mark.parametrize("cells", [(0,), (3, 7, 200), tuple(range(0, 384, 2)), tuple(range(1, 384))])
def test_programs_of_a_set_without_a_pattern_do_too(cells: tuple[int, ...]) -> None:
    check_program("paint", painted=cells)


def test_each_pattern_of_the_list_is_painted_and_named_as_the_list_says() -> None:
    meta = view("paint").figures["known"]["data"][0]["meta"]
    said = []
    for words, cells in zip(meta["says"], meta["values"], strict=True):
        shown = view("paint", painted=cells)
        said.append((words.split(",")[0], shown.text.casefold()))
        chosen = shown.figures["known"]["data"][0]["z"].ravel()
        assert [meta["says"][place] for place in np.flatnonzero(chosen == 1)] == [words]
    assert len(said) == len(painting.KNOWN)
    for words, text in said:
        assert text.startswith(words), words


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (axes.pattern((1, 2, 4, 4)), "Group norm with 3 groups: 12 sets of 32."),
        (axes.pattern((4, 6, 4, 4)), "One mean for everything: 1 set of 384."),
        (axes.pattern((2, 3, 2, 1)), "No name in wide use: 32 sets of 12."),
        ((), "A single number: 384 sets of 1."),
        ((0, 300), "Nobody has named this one: 2 sets."),
        (tuple(range(96 + 32, 96 + 96)), "6 channels can’t be divided into runs of 4"),
        (tuple(range(96 + 16, 96 + 48)), "Its 2 channels don’t begin where a run of 2 begins"),
    ],
)
def test_the_page_names_what_is_painted(cells: tuple[int, ...], words: str) -> None:
    assert words in view("paint", painted=cells).text


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_painted_is_the_cell_that_is_seen(narrow: bool) -> None:
    x = axes.maps(0).x
    trace = view("paint", narrow=narrow).figures["maps"]["data"][0]
    meta, z = trace["meta"], trace["z"]
    assert z.shape == ((24, 16) if narrow else (16, 24)) and sorted(meta["ids"]) == list(range(384))
    np.testing.assert_array_equal(z.ravel(), x.ravel()[meta["ids"]])
    assert np.unravel_index(meta["ids"][meta["home"]], SHAPE) == HOME
    frame = view("paint", narrow=narrow).figures["maps"]["layout"]["shapes"][-1]
    middle = (frame["y0"] + frame["y1"]) / 2 * z.shape[1] + (frame["x0"] + frame["x1"]) / 2
    assert middle == meta["home"]
    place = meta["says"][meta["home"]]
    assert place.startswith("image 2, channel 3, row 2, column 2: ")
    # Neighbours on the screen are neighbours in the tensor: a rectangle is a block.
    tall, wide = np.unravel_index(np.reshape(meta["ids"], z.shape), SHAPE), (2, 3)
    assert (np.diff(tall[wide[1]], axis=1) % 4 == 1).all() and (np.diff(tall[wide[0]], axis=0) % 4 == 1).all()


def test_what_is_said_of_a_figure_that_is_painted_stays_as_long() -> None:
    said = {
        view("paint", painted=axes.pattern(runs)).figures["maps"]["layout"]["meta"]["hint"]
        for runs in PATTERNS
    }
    assert len(said) == 1, "or cells move while a finger paints"


@pytest.mark.parametrize("cells", [*(axes.pattern(runs) for runs in PATTERNS), (0, 9)])
def test_every_cell_has_the_colour_of_its_set(cells: tuple[int, ...]) -> None:
    how = axes.partition(cells)
    tints = parts.tints_of(how)
    assert np.array_equal(tints == 0, how.sets == 0) and tints.max() < len(parts.TINTS)
    pairs = set(zip(tints.ravel(), how.sets.ravel(), strict=True))
    assert parts.repeats(how) == (len(pairs) > len(set(tints.ravel()))), "as many colours as sets, if they do"
    for axis in range(4):
        differ, changed = np.diff(how.sets, axis=axis) != 0, np.diff(tints, axis=axis) != 0
        assert np.array_equal(differ, changed), "neighbours"
    layers = view("paint", painted=cells).figures["maps"]["data"][1:-1]
    seen = sum(np.isfinite(layer["z"]).astype(int) for layer in layers)
    assert np.array_equal(seen, np.ones_like(seen)), "each cell has one colour"


def test_standard_deviations_stay_in_proportion() -> None:
    numbers = view("paint").numbers
    x = axes.maps(0).x[:, 2].reshape(4, -1)
    spreads = x.std(axis=1)
    assert numbers["ratio"] == pytest.approx(spreads.max() / spreads.min(), rel=1e-9)
    assert numbers["high_after"] == pytest.approx(spreads.max() / np.sqrt(x.var() + axes.EPS), rel=1e-9)
    alone = view("paint", painted=axes.pattern((1, 1, 4, 4))).numbers
    assert alone["images"] == 1 and alone["high_after"] == pytest.approx(1, abs=1e-4)


def test_an_open_question_shows_what_comes_in_and_no_outputs() -> None:
    shown = view("paint", answered=False)
    assert set(shown.figures) == {"maps", "inside"} and list(shown.table) == ["set", "size", "mean", "std"]
    assert all(":" not in words for words in shown.figures["maps"]["data"][0]["meta"]["says"])
    assert set(view("groups", answered=False, groups=6).figures) == {"outputs", "means"}
    closed = view("groups", answered=False, groups=6).figures["outputs"]["data"][0]["z"]
    np.testing.assert_array_equal(closed, view("groups", groups=1).figures["outputs"]["data"][0]["z"])
    for name in ("company", "scale"):
        assert set(view(name, answered=False).figures) == {"maps", "digits"}
    still = view("two", answered=False, layer="position").numbers
    assert still["shared"] == 96


# ---- the other scenes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_the_right_answer_stays_right_for_a_dozen_fresh_seeds(name: str) -> None:
    scene, rights = SCENES[name], set()
    for seed in (0, *FRESH):
        start, reveal = measured_states(CHAPTER, scene, seed=seed)
        before: Numbers = viewed(start).numbers
        there = reveal(before)
        rights.add(answer(scene, before, there, viewed(there).numbers).right)
    assert len(rights) == 1


@pytest.mark.parametrize("groups", compared.GROUPS)
def test_programs_of_each_number_of_groups(groups: int) -> None:
    check_program("groups", groups=groups)


def test_groups_that_do_not_divide_the_channels_are_the_nearest_that_do() -> None:
    assert [views.near(groups) for groups in range(1, 7)] == [1, 2, 3, 3, 6, 6]
    assert view("groups", groups=4).numbers["groups"] == 3


@pytest.mark.parametrize("norm", views.COMPANY)
def test_programs_of_each_norm_in_company(norm: str) -> None:
    check_program("company", norm=norm, mate=3)


@pytest.mark.parametrize("mate", [0, axes.MATES])
def test_programs_of_the_first_and_the_last_company(mate: int) -> None:
    check_program("company", mate=mate)


def test_the_grid_shows_the_norm_that_is_chosen() -> None:
    for norm in views.COMPANY:
        change = view("company", norm=norm, mate=1).figures["maps"]["data"][0]["z"]
        assert (np.abs(change[:12]).max() > 0.01) == (norm == "batch"), "images 1 to 3"
        assert np.abs(change[12:]).max() > 0.1, "image 4 is another one"
    bars = view("company", mate=1).figures["moved"]["data"][0]
    assert min(bars["y"]) > 0.3, "a norm that changes nothing can be clicked, too"
    assert bars["meta"] | {"says": 0} == {"click": "norm", "values": list(views.COMPANY), "says": 0}


def test_nothing_changes_with_the_same_company_or_the_factor_one() -> None:
    assert view("company").text.endswith("nothing has changed.") and view("company").numbers["changed"] == 0
    same = view("scale", factor=1.0)
    assert "nothing has changed" in same.text and same.numbers["same"] == 6


@pytest.mark.parametrize("what", scaling.WHAT)
@pytest.mark.parametrize("factor", [0.1, 5.0])
def test_programs_of_each_factor(what: str, factor: float) -> None:
    check_program("scale", what=what, factor=factor)


def test_the_table_is_waited_for_and_the_figures_are_not() -> None:
    values = settings("scale")
    early, whole = CHAPTER.view(values, dict.fromkeys(scaling.ROWS)), viewed(values)
    assert early.waiting and early.board is None and not whole.waiting
    assert list(early.figures) == list(whole.figures)


def test_eps_is_what_limits_invariance() -> None:
    usual, less = (view("scale", factor=0.1, eps=eps).numbers for eps in (1e-5, 1e-12))
    for norm in ("layer", "group", "instance", "rms"):
        assert usual[norm] > 1e-4 > 1e-9 > less[norm]


# Ba, Kiros & Hinton 2016, Table 1, as printed there: 1 invariant, 0 not. RMS norm: Zhang & Sennrich 2019.
PRINTED = {
    "batch norm": (1, 0, 1, 1, 1, 0), "weight norm": (1, 0, 1, 0, 0, 0), "layer norm": (1, 1, 0, 1, 0, 1),
    "RMS norm": (1, 0, 0, 1, 0, 1),
}  # fmt: skip


def test_the_table_is_that_of_the_paper() -> None:
    board = view("scale").board
    assert board is not None
    assert {row.name: tuple(int(cell.level == "good") for cell in row.cells) for row in board.rows} == PRINTED
    assert all(("same" in cell.text) == (cell.level == "good") for row in board.rows for cell in row.cells)
    assert view("scale", answered=False).board is None


def test_a_cell_that_is_not_as_printed_is_marked_and_counted() -> None:
    rows = {name: job.function(*job.arguments) for name, job in scaling.table_jobs(0).items()}
    measured = {
        norm: {name: float(row[name].max()) for name in scaling.COLUMNS} for norm, row in rows.items()
    }
    wrong = measured | {"layer": measured["layer"] | {"data_scaled": 0.5, "data_shifted": 0.0}}
    wrong["batch"] = measured["batch"] | {"unit_scaled": 1e-6}  # more than rounding
    board, differs = scaling.board_of(wrong)
    marked = [cell.text for row in board.rows for cell in row.cells if cell.level == "warning"]
    assert differs == 3 and len(marked) == 3 and all("not so in the paper" in text for text in marked)


@pytest.mark.parametrize(
    ("kind", "shared", "learned"), [("group", 96, 12), ("whole", 96, 192), ("position", 6, 12)]
)
def test_the_three_layer_norms(kind: str, shared: int, learned: int) -> None:
    numbers = view("two", layer=kind).numbers
    assert (numbers["shared"], numbers["learned"]) == (shared, learned)
    check_program("two", layer=kind)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (0.0, "not at all"),
        (9e-9, "<0.0001%"),
        (9.26e-6, "0.0009%"),
        (0.0002, "0.02%"),
        (0.0012, "0.12%"),
        (0.48, "48%"),
        (3.68, "368%"),
    ],
)
def test_how_a_change_is_written(change: float, words: str) -> None:
    assert parts.amount(change) == words


def test_the_first_pages_picture_has_a_row_for_each_image() -> None:
    for size in (1, 4, 256):
        trace = parts.thumbnail({"batch_size": size, "eps": 0.0})["data"][0]
        rows = min(size, parts.ROWS)
        assert trace["z"].shape == (rows, 27)
        grids = [trace["z"][:, 7 * k : 7 * k + 6] for k in range(4)]
        assert [int((one == 1).sum()) for one in grids] == [rows, 6, 3, 1]
