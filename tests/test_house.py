"""The house's own rules: which room may import which, what an import may cost, how long a page may be."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from book.registry import chapters

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("app", "pages", "ui", "static", "live", "book", "bnlib")

ARROWS = {
    "app": {"pages", "ui", "live", "book", "bnlib"},
    "pages": {"book", "bnlib"},  # and ui where Streamlit runs the file
    "ui": {"ui", "book", "bnlib"},  # and live.messages, nothing else of live
    "static": {"static", "live", "book", "bnlib"},  # nobody needs it
    "live": {"live", "book", "bnlib"},
    "book": {"book", "bnlib"},
    "bnlib": {"bnlib"},
}
NUMPY_ONLY = {"pages", "book", "bnlib"}
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
    alone: bool = False  # under a test for "__main__": runs where the file is the program, nowhere else
    typing: bool = False  # for type checkers only


GUARDS = {"__name__ == '__main__'": "alone", "TYPE_CHECKING": "typing"}


def how_inside(node: ast.AST, child: ast.AST, how: dict[str, bool]) -> dict[str, bool]:
    """Say when a part of ``node`` runs, given when ``node`` does."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return how | {"lazy": True}
    if isinstance(node, ast.If) and child in node.body and (guard := GUARDS.get(ast.unparse(node.test))):
        return how | {guard: True}
    return how


def imports_in(source: str, module: str, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, whether it runs at once, lazily, for type checkers or by name."""

    def visit(node: ast.AST, how: dict[str, bool]) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, **how)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                package = package[: len(package) - node.level + is_package]
                base = ".".join([*package, *([base] if base else [])])
            for alias in node.names:
                yield Import(base if alias.name == "*" else f"{base}.{alias.name}", node.lineno, **how)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield Import(node.args[0].value, node.lineno, **how)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, how_inside(node, child, how))

    yield from visit(ast.parse(source), {"lazy": False})


def own_part(module: str, target: str) -> bool:
    """Whether a page's module imports a private file of it, as pages/_zoo_views.py is of pages/zoo.py."""
    stem = module.removeprefix("pages.")
    pages = [path.stem for path in modules_of("pages") if stem.startswith(f"_{path.stem}")]
    page = max(pages, key=len, default=stem)
    return re.match(rf"pages\._{page}(_\w+)?(\.|$)", target) is not None


def stray_arrows(source: str, module: str, is_package: bool = False) -> list[str]:
    """What this module imports against the stream, one sentence each."""
    room = module.partition(".")[0]
    strays = []
    for found in imports_in(source, module, is_package):
        top = found.target.partition(".")[0]
        reason = None
        if room == "pages" and (found.alone and top in ("ui", "streamlit") or own_part(module, found.target)):
            pass
        elif top in ROOMS and top not in ARROWS[room]:
            if (room, top) != ("ui", "live"):
                reason = "pages never import pages" if room == top else f"{room} must not know {top}"
            elif found.target != "live.messages" and not found.target.startswith("live.messages."):
                reason = "ui and live meet only in live.messages"
        elif room in NUMPY_ONLY and top not in {*ROOMS, *sys.stdlib_module_names, "numpy"}:
            if not (found.lazy and top in GUESTS.get(module, ())):
                reason = f"{room} is NumPy only"
        elif room in ("live", "static") and top in SCREEN:
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
        ("live.session", "from static.hand import WorkerHand"),
        ("book.chapter", "from static import shell"),
        ("static.build", "import streamlit"),
        ("static.build", "def f():\n    import plotly"),
        ("static.build", "from ui import assets"),
        ("static.first", "from pages import one_batch"),
        ("static.hand", "import torch"),
        ("live.session", "from pages import one_batch"),
        ("live.session", "import pages.one_batch"),
        ("pages.batch", "from pages import gradients"),
        ("pages.batch", "from . import gradients"),
        ("pages.batch", "from pages._gradients import compute"),
        ("pages.batch", "from . import _batches"),
        ("pages.batch", "from live.messages import Request"),
        ("pages.batch", "from ui.page import show"),
        ("pages.batch", "import streamlit as st"),
        ("pages.batch", "def show():\n    from ui.page import show"),
        ("pages.batch", "def show():\n    import streamlit"),
        ("pages.batch", "def code():\n    import torch"),
        ("pages.batch", "import sklearn.datasets"),
        ("pages.batch", "if __name__ == '__main__':\n    from live.session import Session"),
        ("pages.batch", "if __name__ == '__main__':\n    import plotly"),
        ("pages.batch", "if __name__ == '__main__':\n    pass\nelse:\n    from ui.page import show"),
        ("pages.batch", "if __name__ != '__main__':\n    from ui.page import show"),
        ("book.chapter", "from pages import one_batch"),
        ("book.registry", "import importlib\nimportlib.import_module('pages.one_batch')"),
        ("book.chapter", "from live.session import Session"),
        ("book.figure", "import plotly.graph_objects as go"),
        ("book.figure", "def check():\n    import plotly"),
        ("book.chapter", "if __name__ == '__main__':\n    from ui.page import show"),
        ("book.chapter", "if __name__ == '__main__':\n    import streamlit"),
        ("bnlib.train", "from book.words import brief"),
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
        ("ui.figures", "from book.chapter import Chapter"),
        ("live.session", "from book.registry import chapters\nfrom .scheduler import Viewer"),
        ("static.shell", "import asyncio\nfrom live.race import LabSession\nfrom book.registry import pages"),
        ("static.document", "from markdown_it import MarkdownIt\nfrom .fetch import BuildError"),
        ("pages.batch", "from ._batch import compute\nfrom pages import _batch_views"),
        ("pages.batch", "import math\nimport numpy as np\nfrom bnlib import advance\nfrom book import batch"),
        ("pages.batch", "if __name__ == '__main__':\n    from ui.page import show\n    import streamlit"),
        ("book.chapter", "import numpy as np\nfrom bnlib import RunConfig\nfrom .words import brief"),
        ("book.registry", "from importlib import import_module\nimport_module(f'pages.{name}')"),
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
    names = [name_of(path) for path in modules_of(room)]
    imported = importing(names)
    assert room in imported
    assert not unwanted & imported


def importing(names: list[str], *missing: str) -> set[str]:
    """What modules are there once some have been imported, by a fresh interpreter that lacks others."""
    program = (
        f"import importlib, sys\nsys.modules.update(dict.fromkeys({missing!r}))\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*(name for name, module in sys.modules.items() if module))"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.split())


# The reader's own browser has none of these, or has them without their use.
SERVERS = ("torch", "sklearn", "streamlit", "starlette", "plotly", "multiprocessing", "ssl")
SERVERS += ("concurrent.futures.process", "concurrent.futures.thread")
PROCESSES = ("socket", "subprocess", "concurrent.futures")


def test_chapters_need_no_server_no_process_and_no_socket():
    pages = [name_of(path) for path in modules_of("pages")]
    book = [name_of(path) for path in modules_of("book")]
    imported = importing([*pages, *book], *SERVERS, *PROCESSES, "asyncio")
    assert {*pages, *book} <= imported


def test_a_session_needs_no_server_and_no_process():
    """asyncio itself brings sockets along, unused; but nothing else may ask for them."""
    pages = [name_of(path) for path in modules_of("pages")]
    imported = importing(["live.session", *pages], *SERVERS)
    assert {"live.session", *pages} <= imported
    assert not {name for name in imported if name.startswith("live.")} - SESSION


SESSION = {"live.session", "live.once", "live.outbox", "live.scheduler", "live.share", "live.wire"}
OUTSIDE = {
    *("multiprocessing", "concurrent", "socket", "subprocess", "threading", "ssl", "selectors", "signal"),
    *("starlette", "streamlit", "plotly", "torch", "sklearn"),
}


def reached_from(*names: str) -> dict[str, list[str]]:
    """Our own modules that importing some runs, each with what it imports."""
    modules = {name_of(path): path for room in ROOMS for path in modules_of(room)}
    found: dict[str, list[str]] = {}
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        path = modules[name]
        imports = imports_in(path.read_text("utf-8"), name, path.name == "__init__.py")
        found[name] = [one.target for one in imports if not (one.lazy or one.alone or one.typing)]
        for target in [name, *found[name]]:
            parts = target.split(".")
            ahead += [above for k in range(len(parts)) if (above := ".".join(parts[: k + 1])) in modules]
    return found


def test_nothing_that_a_session_reaches_asks_for_processes_threads_or_sockets():
    pages = [name_of(path) for path in modules_of("pages")]
    reached = reached_from("live.session", *pages)
    assert {"live", "live.scheduler", "live.wire", "book.registry", "bnlib", "bnlib.train"} <= set(reached)
    strays = {
        f"{name} imports {target}"
        for name, targets in reached.items()
        for target in targets
        if target.partition(".")[0] in OUTSIDE
    }
    assert not strays, strays
    assert {name for name in reached if name.startswith("live.")} == SESSION


def test_what_is_reached_is_seen():
    """The measure itself: the route is served with sockets, its desk has processes."""
    reached = reached_from("live.channel")
    assert {"live.session", "live.desk", "bnlib.workers", "book.chapter"} <= set(reached)
    assert "starlette.websockets.WebSocket" in reached["live.channel"]
    assert "multiprocessing.parent_process" in reached["bnlib.workers"]


# --- budgets --------------------------------------------------------------------------------------------


def lines_in(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_pages_stay_short():
    chaptered = (*chapters(), *(f"_{name}" for name in chapters()))
    most = {path: 450 if path.stem.startswith(chaptered) else 150 for path in modules_of("pages")}
    long = {path.name: lines_in(path) for path in most if lines_in(path) > most[path]}
    assert not long, f"a chapter has at most 450 lines; move what two chapters share to book/: {long}"


def test_files_of_the_edition_without_a_server_stay_short():
    files = [path for path in (ROOT / "static").iterdir() if path.suffix in (".py", ".js", ".mjs", ".css")]
    long = {path.name: lines_in(path) for path in files if lines_in(path) > 400}
    assert files and not long, long


def test_app_stays_small():
    assert lines_in(ROOT / "app.py") <= 60


# bnlib has five floors: the library, to be read beside the papers; the relatives of batch norm and what
# they are put to; the evidence, which only calls both; its declarations, one an experiment; and what single
# chapters have measured.
RELATIVES = {"bnlib.conv", "bnlib.gan", "bnlib.streaming", "bnlib.weights", "bnlib.zoo"}
EVIDENCE = {
    *("bnlib.__main__", "bnlib.costs", "bnlib.evaluation", "bnlib.experiments", "bnlib.forecast"),
    *(
        "bnlib.intervals",
        "bnlib.store",
        "bnlib.referee",
        "bnlib.sweep",
        "bnlib.theory",
        "bnlib.twin",
        "bnlib.work",
    ),
    *("bnlib.workers",),
}
LESSONS = {"bnlib.lessons"}
MOST_LINES = {"library": 3000, "relatives": 1250, "evidence": 4800, "claims": 3600, "lessons": 2400}


def floor_of(module: str) -> str:
    if module.startswith("bnlib.experiments.claims"):
        return "claims"
    top = ".".join(module.split(".")[:2])
    floors = {"evidence": EVIDENCE, "relatives": RELATIVES, "lessons": LESSONS}
    return next((floor for floor, modules in floors.items() if top in modules), "library")


def is_evidence(module: str) -> bool:
    return floor_of(module) in ("evidence", "claims", "lessons")


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
    "an index's address": r"py" + r"pi\.org|python" + r"hosted\.org|download\.py" + r"torch\.org"
    r"|registry\.npm" + r"js\.org",
}
CACHES = {"__pycache__", "node_modules"}


def house_files() -> list[Path]:
    """What is tracked or about to be; without git, everything but caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / name for name in listing.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        tops = [p for p in ROOT.iterdir() if not p.name.startswith(".") or p.name in (".ci", ".streamlit")]
        inside = [path for top in tops for path in (top, *top.rglob("*"))]
        paths = [path for path in inside if not CACHES & set(path.parts)]
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
        '"resolved": "https://registry.npm' + 'js.org/typescript"',
    ],
    ids=["file", "folder", "root", "marker", "merge", "debugger", "index", "npm"],
)
def test_a_blemish_is_seen(line):
    assert len(blemishes(f"fine\n{line}\n")) == 1


@pytest.mark.parametrize(
    "line", ["and/or work/home", "see ../work/notes", "https://example.org/home", "x /tmpl"]
)
def test_ordinary_lines_are_left_alone(line):
    assert blemishes(line) == []


def test_pins_are_exact():
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-static.txt"):
        for line in (ROOT / name).read_text("utf-8").splitlines():
            assert not line or line.startswith(("#", "-r ")) or re.fullmatch(r"[\w-]+==[\w.]+", line), line


def test_make_finds_every_test_that_drives_a_browser():
    (line,) = re.findall(r"^BROWSER := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    known = [ROOT / place for place in line.split()]
    mark = "pytest.mark." + "browser"  # written in pieces, so that this file does not match itself
    driving = [path for path in (ROOT / "tests").rglob("test_*.py") if mark in path.read_text("utf-8")]
    assert driving and all(any(path.is_relative_to(place) for place in known) for path in driving)
