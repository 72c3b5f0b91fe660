"""The house's own rules: which room may import which, what an import may cost, how long a page may be."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("app", "pages", "ui", "live", "bnlib")

ARROWS = {
    "app": {"pages", "ui", "live", "bnlib"},
    "pages": {"ui", "bnlib"},
    "ui": {"ui", "bnlib"},  # and live.messages, nothing else of live
    "live": {"live", "bnlib"},
    "bnlib": {"bnlib"},
}
SCREEN = {"streamlit", "plotly"}
# What a module of bnlib may call in when it is asked for more than NumPy can: inside a function only.
GUESTS = {
    **dict.fromkeys(["bnlib.costs", "bnlib.referee", "bnlib.twin"], {"torch"}),
    **{"bnlib.sweep": {"distributed"}, "bnlib.experiments.figures": {"plotly"}},
}


def modules_of(room: str) -> list[Path]:
    if room == "app":
        return [ROOT / "app.py"]
    return sorted((ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- the arrows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    target: str  # dotted; "from live import messages" counts as live.messages
    line: int
    lazy: bool  # inside a function, so that importing the module does not cost it


def imports_in(source: str, module: str, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, whether it runs at once, lazily, for type checkers or by name."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                package = package[: len(package) - node.level + is_package]
                base = ".".join([*package, *([base] if base else [])])
            for alias in node.names:
                yield Import(base if alias.name == "*" else f"{base}.{alias.name}", node.lineno, lazy)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield Import(node.args[0].value, node.lineno, lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(source), lazy=False)


def stray_arrows(source: str, module: str, is_package: bool = False) -> list[str]:
    """What this module imports against the stream, one sentence each."""
    room = module.partition(".")[0]
    strays = []
    for found in imports_in(source, module, is_package):
        top = found.target.partition(".")[0]
        reason = None
        if top in ROOMS and top not in ARROWS[room]:
            if (room, top) != ("ui", "live"):
                reason = "pages never import pages" if room == top else f"{room} must not know {top}"
            elif found.target != "live.messages" and not found.target.startswith("live.messages."):
                reason = "ui and live meet only in live.messages"
        elif room == "bnlib" and top not in ROOMS and top not in sys.stdlib_module_names and top != "numpy":
            if not (found.lazy and top in GUESTS.get(module, ())):
                reason = "bnlib is NumPy only"
        elif room == "live" and top in SCREEN:
            reason = "the channel knows nothing of the screen"
        elif top == "torch" and not found.lazy:
            reason = "torch is imported lazily, where a reader asks for it"
        if reason:
            strays.append(f"{module}, line {found.line}: imports {found.target}: {reason}")
    return strays


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_run_one_way(room):
    paths = modules_of(room)
    assert paths and all(path.is_file() for path in paths), f"the room {room} has no module"
    strays = [
        stray
        for path in paths
        for stray in stray_arrows(path.read_text("utf-8"), name_of(path), path.name == "__init__.py")
    ]
    assert not strays, "\n".join(strays)


def test_torch_has_one_room():
    rooms = {
        room
        for room in ROOMS
        for path in modules_of(room)
        for found in imports_in(path.read_text("utf-8"), name_of(path), path.name == "__init__.py")
        if found.target.partition(".")[0] == "torch"
    }
    assert len(rooms) <= 1, f"torch is imported in {sorted(rooms)}; choose one room"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bnlib.norms", "import streamlit as st"),
        ("bnlib.norms", "def f():\n    import torch"),
        ("bnlib.norms", "from ui import figures"),
        ("bnlib.norms", "from ..live import pool"),
        ("bnlib.norms", "import scipy.special"),
        ("bnlib.norms", "import importlib\nimportlib.import_module('pandas')"),
        ("bnlib.data", "def f():\n    from sklearn.datasets import load_digits"),
        ("bnlib.sweep", "from distributed import Client"),
        ("bnlib.sweep", "class Cluster:\n    import distributed"),
        ("bnlib.sweep", "def f():\n    import plotly"),
        ("bnlib.train", "def f():\n    from distributed import Client"),
        ("bnlib.referee", "import torch"),
        ("bnlib.twin", "class Twin:\n    import torch"),
        ("bnlib.referee", "def f():\n    import plotly"),
        ("bnlib.experiments.figures", "import plotly"),
        ("bnlib.experiments.report", "def f():\n    import plotly"),
        ("bnlib.experiments.figures", "def f():\n    import distributed"),
        ("bnlib.norms", "def f():\n    import plotly.graph_objects as go"),
        ("bnlib.data", "try:\n    import sklearn\nexcept ImportError:\n    pass"),
        ("live.pool", "import plotly.graph_objects as go"),
        ("live.pool", "def f():\n    import streamlit"),
        ("live.pool", "from ui.figures import curve"),
        ("live.pool", "class Arm:\n    import torch"),
        ("ui.figures", "import live"),
        ("ui.figures", "from live import messages, pool"),
        ("ui.figures", "from live.pool import Pool"),
        ("ui.figures", "from live import *"),
        ("ui.figures", "import pages.batch"),
        ("ui.figures", "import app"),
        ("ui.figures", "import torch"),
        ("pages.batch", "from pages import gradients"),
        ("pages.batch", "from . import gradients"),
        ("pages.batch", "from live.messages import Request"),
        ("app", "import torch"),
    ],
)
def test_a_stray_arrow_is_seen(module, source):
    """The checker itself: each of these modules breaks one rule, and exactly one stray is reported."""
    (stray,) = stray_arrows(source, module)
    assert stray.startswith(f"{module}, line ")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bnlib.norms", "import math\nimport numpy as np\nfrom . import stats\nfrom .stats import moments"),
        ("bnlib.sweep", "def f():\n    from distributed import Client"),
        ("bnlib.twin", "def f():\n    import torch"),
        ("bnlib.referee", "def f():\n    from torch.nn import functional"),
        ("bnlib.experiments.figures", "def f():\n    import plotly.graph_objects as go"),
        ("live.pool", "import bnlib\nfrom starlette.routing import Route\nfrom .messages import Request"),
        ("ui.figures", "import plotly\nimport streamlit\nimport live.messages\nfrom live import messages"),
        ("ui.figures", "from live.messages import Request\nfrom ui import theme\nimport bnlib"),
        ("pages.batch", "import streamlit as st\nimport bnlib\nfrom ui import figures"),
        ("pages.batch", "def code():\n    import torch"),
        ("app", "import streamlit as st\nfrom live import routes\nfrom ui import navigation"),
    ],
)
def test_arrows_with_the_stream_are_left_alone(module, source):
    assert stray_arrows(source, module) == []


def test_relative_imports_in_a_package_start_at_the_package():
    assert [found.target for found in imports_in("from . import stats", "bnlib", is_package=True)] == [
        "bnlib.stats"
    ]


# --- what an import costs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "unwanted"),
    [
        ("bnlib", {"torch", "streamlit", "plotly", "pandas", "sklearn", "scipy", "distributed", "dask"}),
        ("live", {"torch", "streamlit", "plotly"}),
    ],
)
def test_a_room_imports_light(room, unwanted):
    """In a fresh interpreter, since this one has long imported half the world."""
    names = [name_of(path) for path in modules_of(room)]
    program = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert room in answer.stdout.split()
    assert not unwanted & set(answer.stdout.split())


# --- budgets --------------------------------------------------------------------------------------------


def lines_in(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_pages_stay_thin():
    long = {path.name: lines_in(path) for path in modules_of("pages") if lines_in(path) > 150}
    assert not long, f"a page has at most 150 lines; move what two pages share to ui/: {long}"


def test_app_stays_small():
    assert lines_in(ROOT / "app.py") <= 60


# bnlib has three floors: the library, to be read beside the papers; the relatives of batch norm and what
# they are put to; and the evidence, which only calls both.
RELATIVES = {"bnlib.conv", "bnlib.gan", "bnlib.streaming", "bnlib.weights", "bnlib.zoo"}
EVIDENCE = {
    *("bnlib.__main__", "bnlib.costs", "bnlib.evaluation", "bnlib.experiments", "bnlib.store"),
    *("bnlib.referee", "bnlib.sweep", "bnlib.theory", "bnlib.twin", "bnlib.workers"),
}
MOST_LINES = {"library": 3000, "relatives": 1250, "evidence": 5000}


def floor_of(module: str) -> str:
    top = ".".join(module.split(".")[:2])
    return "evidence" if top in EVIDENCE else "relatives" if top in RELATIVES else "library"


def is_evidence(module: str) -> bool:
    return floor_of(module) == "evidence"


@pytest.mark.parametrize("floor", MOST_LINES)
def test_bnlib_stays_compact(floor):
    modules = {name_of(path): path for path in modules_of("bnlib")}
    sizes = {name: lines_in(path) for name, path in modules.items() if floor_of(name) == floor}
    assert sum(sizes.values()) <= MOST_LINES[floor], f"look for what two rooms say twice: {sizes}"


def test_the_library_does_not_know_the_evidence():
    for path in modules_of("bnlib"):
        module = name_of(path)
        if module != "bnlib" and not is_evidence(module):  # the package itself hands out both
            found = imports_in(path.read_text("utf-8"), module, path.name == "__init__.py")
            assert not [f"{module}: {one.target}" for one in found if is_evidence(one.target)]


# --- every file -----------------------------------------------------------------------------------------

# Written in pieces, so that this file does not match itself.
UNWANTED = {
    "a path of somebody's machine": r"(?<![\w.~)\]}$-])/(?:home|root|tmp|work|Users)\b|\b[A-Z]:\\Users\b",
    "a marker somebody left": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b",
    "an unfinished merge": r"^(?:<{7}|>{7}) ",
    "a debugger's stop": r"\bbreak" + r"point\(\)|\bpdb\.set_" + r"trace\(",
    "an index's address": r"py" + r"pi\.org|python" + r"hosted\.org|download\.py" + r"torch\.org",
}


def house_files() -> list[Path]:
    """What is tracked or about to be; without git, everything but caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / name for name in listing.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        tops = [p for p in ROOT.iterdir() if not p.name.startswith(".") or p.name in (".ci", ".streamlit")]
        inside = [path for top in tops for path in (top, *top.rglob("*"))]
        paths = [path for path in inside if "__pycache__" not in path.parts]
    return sorted(path for path in paths if path.is_file())


def blemishes(text: str) -> list[str]:
    return [
        f"line {number}: {what}: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in UNWANTED.items()
        if re.search(pattern, line)
    ]


def test_files_are_clean():
    found = []
    for path in house_files():
        content = path.read_bytes()
        if b"\0" not in content:
            text = content.decode("utf-8", errors="replace")
            found += [f"{path.relative_to(ROOT)}, {blemish}" for blemish in blemishes(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "open('/" + "tmp/run.npz')",
        "cd /" + "home/ada/lab",
        "root = '/" + "work'",
        "# TO" + "DO: later",
        "<<<<" + "<<< HEAD",
        "    break" + "point()",
        "https://py" + "pi.org/simple",
    ],
    ids=["file", "folder", "root", "marker", "merge", "debugger", "index"],
)
def test_a_blemish_is_seen(line):
    assert len(blemishes(f"fine\n{line}\n")) == 1


@pytest.mark.parametrize(
    "line", ["and/or work/home", "see ../work/notes", "https://example.org/home", "x /tmpl"]
)
def test_ordinary_lines_are_left_alone(line):
    assert blemishes(line) == []


def test_pins_are_exact():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text("utf-8").splitlines():
            assert not line or line.startswith(("#", "-r ")) or re.fullmatch(r"[\w-]+==[\w.]+", line), line
