"""The house's own rules: which room may import which, what an import may cost, how long a page may be."""

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from book.registry import chapters
from tests.house import copy_of_the_house

ROOT = Path(__file__).resolve().parent.parent


def modules_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- the arrows: contracts in pyproject.toml ------------------------------------------------------------


def linted(house: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a house; what it prints tells the strays."""
    program = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache', '--no-logo'])"
    # -E: no PYTHONPATH, since pages/ of two houses would be one namespace.
    return subprocess.run([sys.executable, "-E", "-c", program], cwd=house, capture_output=True, text=True)


def test_arrows_run_one_way():
    answer = linted(ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr


# Lines that break a contract: the module that they are written into, and what it is then told to import.
STRAYS = {
    "rooms": [
        ("book.words", "from pages import home", "pages.home"),
        ("book.words", "from live.session import Session", "live.session"),
        ("book.words", "import static.shell", "static.shell"),
        ("bnlib.theory", "from book.words import brief", "book.words"),
        ("live.wire", "from static.hand import WorkerHand", "static.hand"),
        ("live.wire", "from pages import home", "pages.home"),
        ("live.wire", "import ui.code", "ui.code"),
        ("static.keep", "from ui import assets", "ui.assets"),
        ("static.keep", "from pages import home", "pages.home"),
        ("ui.code", "import pages.home", "pages.home"),
        ("pages.home", "def f():\n    from static import shell", "static.shell"),
    ],
    "app": [
        ("ui.code", "import app", "app"),
        ("live.desk", "from bnlib.sweep import sweep", "bnlib.sweep"),
        ("bnlib.experiments.report", "from .. import forecast", "bnlib.forecast"),
    ],
    "chapters": [("pages.home", "from live.messages import Request", "live.messages")],
    "messages": [
        ("ui.code", "from live.desk import Desk", "live.desk"),
        ("ui.main", "from live import *", "live"),
    ],
    "screen": [
        ("live.wire", "import plotly.graph_objects as go", "plotly"),
        ("static.keep", "def f():\n    import streamlit", "streamlit"),
    ],
    "torch": [
        ("bnlib.norms.core", "def f():\n    import torch", "torch"),
        ("live.torch_process", "import torch", "torch"),
        ("pages.home", "from torch import nn", "torch"),
    ],
    "numpy": [
        ("bnlib.data", "try:\n    import sklearn\nexcept ImportError:\n    pass", "sklearn"),
        ("bnlib.training.train", "def f():\n    from distributed import Client", "distributed"),
        ("bnlib.experiments.report", "def f():\n    import plotly", "plotly"),
        ("book.export", "import streamlit", "streamlit"),
        ("pages.home", "import pandas", "pandas"),
    ],
    "library": [
        ("bnlib.norms.axes", "from ..networks import config", "bnlib.networks.config"),
        ("bnlib.norms.checks", "from .. import theory", "bnlib.theory"),
        ("bnlib.networks.layers", "import bnlib", "bnlib"),
        ("bnlib.training.gan", "from ..experiments import probes", "bnlib.experiments.probes"),
        ("bnlib.training.gan", "from ..torch_check import check", "bnlib.torch_check.check"),
        ("bnlib.jobs.work", "from ..experiments import model", "bnlib.experiments.model"),
        ("bnlib.jobs.work", "from ..torch_check import twin", "bnlib.torch_check.twin"),
    ],
    "sweeps": [
        ("bnlib.jobs.store", "from ..training.train import Run", "bnlib.training.train"),
        ("bnlib.jobs.store", "from .work import Work", "bnlib.jobs.work"),
        ("bnlib.jobs.sweep", "from ..networks.network import forward", "bnlib.networks.network"),
    ],
    "circles": [("bnlib.norms.statistics", "from .core import normalize", "bnlib.norms.core")],
}  # fmt: skip


def test_arrows_against_the_stream_are_seen(tmp_path):
    """All at once in a copy of the house: each contract is broken, and each stray is told."""
    house = copy_of_the_house(tmp_path)
    (house / "bnlib" / "extra.py").write_text('"""A module that no layer names."""\n')
    for module, lines, _ in itertools.chain(*STRAYS.values()):
        with (house / module.replace(".", "/")).with_suffix(".py").open("a", encoding="utf-8") as file:
            file.write(f"\n{lines}\n")
    told = re.sub(r"([->]) \.", r"\1 bnlib.norms.", linted(house).stdout)  # of circles: last names
    assert f"0 kept, {len(STRAYS)} broken" in told and "bnlib.extra" in told, told
    for module, _, target in itertools.chain(*STRAYS.values()):
        assert re.search(rf"{module} -> {target} \(", told), told


def test_contributing_draws_the_library_as_it_is():
    """Of each room: what stands before an arrow needs some of what stands behind it, and the reverse."""
    graph = grimp.build_graph("bnlib", cache_dir=None)
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (drawing,) = re.findall(r"```\nlessons.*?\n\n(.*?)```", text, re.DOTALL)
    for line in drawing.splitlines():
        room, *chains = re.split(r" {3,}", re.sub(r" \(.*?\)", "", line))
        for chain in chains:
            parts = [re.findall(r"\w+", part) for part in chain.split("──►")]
            steps = [[f"bnlib.{room}.{name}" for name in part] for part in parts]
            for before, behind in itertools.pairwise(steps):
                arrows = [one for one in itertools.product(before, behind) if graph.chain_exists(*one, True)]
                assert set(itertools.chain(*arrows)) == {*before, *behind}, line
        assert chains and all("►" in chain for chain in chains), line


def own_part(importer: str, imported: str) -> bool:
    """Whether a page's module imports a private file of it, as pages/_zoo_views.py is of pages/zoo.py."""
    stem = importer.removeprefix("pages.")
    owners = [path.stem for path in modules_of("pages") if stem.startswith(f"_{path.stem}")]
    page = max(owners, key=len, default=stem)
    return re.match(rf"pages\._{page}(_|$)", imported) is not None


def test_arrows_between_pages_lead_to_their_own_files():
    graph = grimp.build_graph("pages", cache_dir=None)
    arrows = [(page, to) for page in graph.modules for to in graph.find_modules_directly_imported_by(page)]
    assert len(arrows) > 50
    assert not [f"{page} -> {to}" for page, to in arrows if not own_part(page, to)]
    for stray in ("pages.gradients", "pages._gradients_xray"):
        assert not own_part("pages.home", stray) and not own_part("pages._inference_views", stray)


def unguarded(source: str) -> list[str]:
    """What a page imports of Streamlit and its frame although Streamlit doesn't run the file."""
    page = ast.parse(source)
    guarded = [part for part in page.body if isinstance(part, ast.If)]
    for part in guarded:
        if ast.unparse(part.test) == "__name__ == '__main__'":
            part.body = [ast.Pass()]
    imports = [ast.unparse(part) for part in ast.walk(page) if isinstance(part, ast.Import | ast.ImportFrom)]
    return [line for line in imports if re.match(r"(from|import) (ui|streamlit)\b", line)]


def test_arrows_of_pages_to_the_frame_are_guarded():
    strays = {path.name: unguarded(path.read_text("utf-8")) for path in modules_of("pages")}
    assert not any(strays.values()), strays
    guard = "if __name__ == '__main__':\n    import streamlit\n    from ui.page import show"
    strays = ["def f():\n    from ui.page import show", "import streamlit as st", guard.replace("==", "!=")]
    assert unguarded(guard) == []
    assert all(unguarded(stray) for stray in strays)
    assert unguarded(f"{guard}\nelse:\n    import ui.code") == ["import ui.code"]


def test_what_is_imported_by_its_name_is_computed():
    """The contracts don't see ``import_module("torch")``; the package itself hands out two things so."""
    for room in ("bnlib", "book", "live", "pages", "static", "ui"):
        for path in modules_of(room):
            named = re.findall(r"""(?:import_module|__import__)\(\s*["'](.*?)["']""", path.read_text("utf-8"))
            assert all(name_of(path) == "bnlib" and name.startswith("bnlib.") for name in named), path


OWN = re.compile(r"(bnlib|book|live|pages|static|ui)\b")


def private_names(source: str) -> list[str]:
    """Private names of other modules that a module imports, or asks them for."""
    parts = list(ast.walk(ast.parse(source)))
    names = [name for part in parts if isinstance(part, ast.ImportFrom) for name in part.names]
    ours = [
        part for part in parts if isinstance(part, ast.ImportFrom) and (part.level or OWN.match(part.module))
    ]
    known = {name.asname or name.name for part in ours for name in part.names}
    asked = [
        f"{part.value.id}.{part.attr}"
        for part in parts
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in known
    ]
    return [name.name for name in names if name.name.startswith("_")] + [
        name for name in asked if re.search(r"\._(?!replace|fields|asdict|make|_)", name)
    ]


def test_private_names_stay_in_their_module():
    for room in ("bnlib", "live", "static", "ui"):
        for path in modules_of(room):
            found = private_names(path.read_text("utf-8"))
            assert not found, f"{path}: {found}"
    for path in (ROOT / "book").rglob("*.py"):  # modules of book may be private to their folder
        asked = [name for name in private_names(path.read_text("utf-8")) if "." in name]
        assert not asked, f"{path}: {asked}"
    assert private_names("from .norms import _a\nfrom . import b\nb._c()\nb._replace()") == ["_a", "b._c"]


# --- what an import costs -------------------------------------------------------------------------------

WATCH = """
import builtins, importlib, json, sys
missing, names = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(missing))
imports, by = [], builtins.__import__
def watched(name, globals=None, *rest):
    imports.append(((globals or {}).get("__name__"), name))
    return by(name, globals, *rest)
builtins.__import__ = watched
for name in names: importlib.import_module(name)
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items() if module}
print(json.dumps([files, imports]))
"""


def watched(names: list[str], missing: tuple[str, ...] = ()) -> tuple[dict[str, str], list[list[str]]]:
    """Import modules in a fresh interpreter that lacks others.

    Return the files of all modules that are there then, by name, and who has asked for which.
    """
    command = [sys.executable, "-c", WATCH, json.dumps([missing, names])]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    files, imports = json.loads(answer.stdout)
    assert set(names) <= set(files)
    return files, imports


def installed(files: dict[str, str]) -> set[str]:
    """Which of these modules are neither ours nor of the standard library."""
    return {name.partition(".")[0] for name, file in files.items() if file and "site-packages" in file}


def test_library_and_book_import_numpy_only():
    names = [name_of(path) for room in ("bnlib", "book") for path in modules_of(room)]
    files, _ = watched([name for name in names if not name.endswith("__main__")])
    before, _ = watched([])
    assert installed(files) - installed(before) == {"numpy"}


def test_the_channel_imports_no_torch_and_no_screen():
    files, _ = watched([name_of(path) for path in modules_of("live")])
    assert not installed(files) & {"torch", "streamlit", "plotly"}


# The reader's own browser has none of these, or has them without their use.
SERVERS = ("torch", "sklearn", "streamlit", "starlette", "plotly", "multiprocessing", "ssl")
SERVERS += ("concurrent.futures.process", "concurrent.futures.thread")
PROCESSES = ("socket", "subprocess", "concurrent.futures")
PAGES = [name_of(path) for path in modules_of("pages")]


def test_chapters_need_no_server_no_process_and_no_socket():
    watched([*PAGES, *(name_of(path) for path in modules_of("book"))], (*SERVERS, *PROCESSES, "asyncio"))


SESSION = {"live.session", "live.once", "live.outbox", "live.scheduler", "live.share", "live.wire"}
OUTSIDE = {
    *("multiprocessing", "concurrent", "socket", "subprocess", "threading", "ssl", "selectors", "signal"),
    *("starlette", "streamlit", "plotly", "torch", "sklearn"),
}


def outside(imports: list[list[str]]) -> list[str]:
    """Which of our own modules ask for what a browser lacks."""
    rooms = ("bnlib", "book", "live", "pages")
    ours = [(name, target) for name, target in imports if name and name.partition(".")[0] in rooms]
    return [f"{name} imports {target}" for name, target in ours if target.partition(".")[0] in OUTSIDE]


def test_a_session_needs_no_server_no_process_no_thread_and_no_socket():
    """asyncio itself brings sockets along, unused; but nothing else may ask for them."""
    files, imports = watched(["live.session", *PAGES], SERVERS)
    assert {"book.registry", "bnlib", "bnlib.training.train"} <= set(files)
    assert {name for name in files if name.startswith("live.")} == SESSION
    assert not outside(imports)


def test_what_asks_for_processes_and_sockets_is_seen():
    """The measure itself: the route is served with sockets, its desk has processes."""
    _, imports = watched(["live.channel"])
    found = outside(imports)
    assert "live.channel imports starlette.websockets" in found
    assert "bnlib.jobs.workers imports multiprocessing" in found


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
    assert "torch" not in (ROOT / "app.py").read_text("utf-8")


# Folders of bnlib that have a budget together: the library, to be read beside the papers; jobs and the check
# against PyTorch; the evidence; its declarations; what single chapters have measured; what is in no folder.
MOST_LINES = {
    "norms networks training": 4920,
    "jobs torch_check": 1950,
    "experiments": 2350,
    "experiments/claims": 3600,
    "lessons": 3900,
    "": 950,
}


def budget_of(path: Path) -> str:
    folders = [
        folder.as_posix() for folder in path.relative_to(ROOT / "bnlib").parents
    ]  # the innermost first
    return next((floor for folder in folders for floor in MOST_LINES if folder in floor.split()), "")


@pytest.mark.parametrize("budget", MOST_LINES, ids=lambda budget: budget or "beside")
def test_bnlib_stays_compact(budget):
    sizes = {name_of(path): lines_in(path) for path in modules_of("bnlib") if budget_of(path) == budget}
    said = f"{sum(sizes.values())} lines; look for what two rooms say twice: {sizes}"
    assert sizes and sum(sizes.values()) < MOST_LINES[budget], said


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
