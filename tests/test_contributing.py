"""CONTRIBUTING's examples, added to a copy of the house: all picks them up, and notices their mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.house import attempt, copy_of_the_house, example, house_with_a_chapter, run

PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")


def swapped(file: Path, right: str, wrong: str) -> str:
    """Put a mistake into a file; return what it was before."""
    before = file.read_text("utf-8")
    assert before.count(right) == 1, right
    file.write_text(before.replace(right, wrong), encoding="utf-8")
    return before


# ---- a norm --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house with the example's lines at the end of bnlib/norms/relatives.py."""
    folder = copy_of_the_house(tmp_path_factory.mktemp("norm"))
    with (folder / "bnlib" / "norms" / "relatives.py").open("a", encoding="utf-8") as module:
        module.write(f"\n\n{example('def l1_forward')}")
    return folder


PROGRAM = """
import json
import bnlib
from bnlib import l1_norm
from bnlib.networks.config import LAYER_NORMS
from book.race.settings import CONCERNS, LAB_CONTROLS, extras
from book.race.lanes import lane_configs, lane_names
from book.controls import read
values, problems = read(LAB_CONTROLS, {"lanes": "none,l1~eps:0.1"})
norms = [row["name"] for row in extras()["norms"] if row["norm"] == "l1"]
for network, dataset in (("mlp", "digits"), ("cnn", "digits"), ("rnn", "digits"), ("gan", "ring")):
    config = bnlib.RunConfig(norm="l1", network=network, dataset=dataset, width=8, depth=2, record_every=1)
    assert bnlib.advance(bnlib.start(config), 3).history["train_loss"].shape == (1, 3)
print(json.dumps({"problems": problems, "names": lane_names(values), "offered": norms,
    "concerns": [name for name, of in CONCERNS.items() if "l1" in of], "eps": lane_configs(values)[1].eps}))
"""


def test_a_pair_and_a_row_are_a_norm_in_the_library_and_in_the_lab(house: Path) -> None:
    found = json.loads(run(house, "-c", PROGRAM))
    assert found == {
        "problems": [],
        "names": ["no norm", "L1 layer norm (ε 0.1)"],
        "offered": ["L1 layer norm"],
        "concerns": ["placement", "eps", "gamma", "beta", "weight_norm", "decay_affine"],
        "eps": 0.1,
    }


def passed(out: str) -> int:
    found = re.search(r"(\d+) passed", out)
    return int(found[1]) if found else 0


def test_the_generic_tests_run_over_a_norm(house: Path) -> None:
    chosen = "l1 and (gradients or replica or pickle or fixed)"
    out = run(house, *PYTEST, "-k", chosen, "tests/bnlib/training/test_engine.py")
    assert passed(out) >= 20, out


def test_they_find_a_mistake_in_it(house: Path) -> None:
    module = house / "bnlib" / "norms" / "relatives.py"
    right = swapped(module, "np.sign(xhat) * ", "")
    try:
        answer = attempt(
            house, *PYTEST, "-x", "-k", "l1 and gradients", "tests/bnlib/training/test_engine.py"
        )
        assert answer.returncode == 1 and "1 failed" in answer.stdout, answer.stdout[-2000:]
    finally:
        module.write_text(right, encoding="utf-8")


# ---- a chapter -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house with the example as a page."""
    return house_with_a_chapter(tmp_path_factory.mktemp("chapter"))


VISIT = """
import json
from streamlit.testing.v1 import AppTest
from book.registry import chapters
app = AppTest.from_file("ui/main.py", default_timeout=60).run()
app.switch_page("../pages/scatter.py").run()
assert not app.exception, app.exception
(picture,) = app.get("bidi_component")
told = json.loads(picture.proto.json)
links = " ".join(part.proto.body for part in app.get("html"))
print(json.dumps({
    "chapters": list(chapters()), "linked": 'href="/scatter"' in links,
    "title": [one.value for one in app.title], "picture": told["picture"],
    "scenes": [scene["name"] for scene in told["story"]],
    "controls": [control["name"] for control in told["controls"]],
}))
"""


def test_a_file_is_a_chapter_in_the_registry_and_in_the_navigation(book: Path) -> None:
    found = json.loads(run(book, "-c", VISIT).splitlines()[-1])
    assert "scatter" in found.pop("chapters")
    assert found == {
        "linked": True,
        "title": ["How far is a batch’s mean from the mean of all?"],
        "picture": "scatter",
        "scenes": ["four"],
        "controls": ["batch_size", "scene", "guesses"],
    }


GENERIC = ("-k", "scatter", "tests/test_chapters.py", "tests/live/test_session.py")


def test_the_generic_test_takes_it_through(book: Path) -> None:
    assert passed(run(book, *PYTEST, *GENERIC)) >= 10
    run(book, *PYTEST, "-k", "arrows or short or session or chapters", "tests/test_house.py")


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("theory.batch_mean_variance(size) ** 0.5", "theory.batch_mean_variance(size)", "scatter"),
        ('f"Means of {m} numbers', 'f"Soon half as far. Means of {m} numbers', "gives 'half as far' away"),
        ('measured="scatter"', 'measured="spread"', "KeyError"),
        ("torch.full(({m},), 1 / {m})", "torch.full(({m},), 2 / {m})", "PyTorch of four"),
        ('"drag": "batch_size"', '"drag": "size"', "size"),
        ("axis(0, 1,", "axis(0, float('inf'),", "inf"),
        ('"That is the variance; its root scatters."', '""', "nothing is right about"),
    ],
    ids=["law", "giveaway", "measured", "pytorch", "control", "range", "credit"],
)
def test_the_generic_test_finds_a_mistake_in_it(book: Path, right: str, wrong: str, told: str) -> None:
    page = book / "pages" / "scatter.py"
    before = swapped(page, right, wrong)
    try:
        answer = attempt(book, *PYTEST, "-x", "-k", "scatter", "tests/test_chapters.py")
        assert answer.returncode == 1 and "1 failed" in answer.stdout, answer.stdout[-2000:]
        assert told in answer.stdout
    finally:
        page.write_text(before, encoding="utf-8")
