"""The folder that is published: what is in it, that it is whole, and that nothing in it asks another host."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest

from book.chapter import Chapter
from book.registry import pages
from static import build as building
from static import bundle, bytecode, document, fetch
from static.bytecode import compiled
from static.fetch import BuildError, Wheel

ROOT = Path(__file__).parents[2]
OTHERS = ("http://www.w3.org/", "http://127.0.0.1:8000/")  # a name of XML, and what a hint says


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as it is built, but for the wheel and the recordings: these take a network, and time."""
    with pytest.MonkeyPatch.context() as patch:
        return quickly(patch, tmp_path_factory.mktemp("quick"))


def quickly(patch: pytest.MonkeyPatch, folder: Path) -> Path:
    wheel = folder / "numpy-1.whl"
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("numpy-1.dist-info/LICENSE.txt"), "NumPy's licence")
    known = Wheel(wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest())
    patch.setattr(building, "wanted", lambda lock: known)
    patch.setattr(building, "compiled", lambda *_: {"static/__pycache__/shell.cpython-313.pyc": b"bytecode"})
    patch.setattr(
        building.recordings, "all_first_pictures", lambda *_: {name: name.encode() for name in pages()}
    )
    return building.build(folder / "dist", folder / "keep", str(wheel), say=lambda line: None)


def version_in(folder: Path) -> str:
    return str(json.loads((folder / "build.json").read_text())["version"])


def page_files(folder: Path) -> dict[str, Path]:
    return {name: folder / page.path / "index.html" for name, page in pages().items()}


class Reader(HTMLParser):
    """What a document refers to, and what is written in some of its elements."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []  # by itself, when it is opened
        self.linked: list[str] = []
        self.written: dict[str, str] = {}
        self.base = ""
        self.policy = ""
        self._within = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._within = tag if tag in ("title", "h1") else given.get("id", tag)
        if tag == "base":
            self.base = given["href"]
        elif tag == "a":
            self.linked.append(given["href"])
        elif given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        else:
            self.loaded += [given[name] for name in ("src", "href") if name in given]

    def handle_data(self, data: str) -> None:
        self.written[self._within] = self.written.get(self._within, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


# ---- pages -----------------------------------------------------------------------------------------------


def test_every_page_is_there_with_its_data(quick: Path) -> None:
    version = version_in(quick)
    assert re.fullmatch(r"[0-9a-f]{12}", version)
    for name, path in page_files(quick).items():
        page, read = pages()[name], Reader(path)
        data = json.loads(read.written["book"])
        assert data["version"] == version and data["here"] == name
        assert data["root"] == (".." if page.path else "")
        assert list(data["pages"]) == list(pages())
        listed = [one["name"] for _, some in data["groups"] for one in some]
        assert listed == list(pages())
        told = data["pages"][name]
        assert told["question"] == page.question == read.written["h1"]
        assert told["picture"] == (name if isinstance(page, Chapter) else "lab")
        assert data["styles"] == sorted(path.name for path in (ROOT / "assets").glob("*.css"))
        assert data["edition"]["what"].endswith(".")
        if isinstance(page, Chapter):
            assert told["sources"].count("<li>") == len(page.sources)


def test_what_pages_refer_to_is_there(quick: Path) -> None:
    for name, path in page_files(quick).items():
        read = Reader(path)
        assert read.base == ("../" if pages()[name].path else "./")
        here = urljoin(
            f"https://host/sub/{pages()[name].path}/".replace("//", "/").replace(":/", "://"), read.base
        )
        for address in (*read.loaded, *read.linked):
            if address.startswith("data:"):
                continue
            if address in read.linked and address.startswith("https://"):
                continue
            url = urlsplit(urljoin(here, address))
            assert url.netloc == "host" and url.path.startswith("/sub/"), address
            file = quick / url.path.removeprefix("/sub/")
            assert (file / "index.html" if url.path.endswith("/") else file).is_file(), address


def test_nothing_asks_another_host(quick: Path) -> None:
    version = version_in(quick)
    for path in page_files(quick).values():
        read = Reader(path)
        assert not [address for address in read.loaded if re.match(r"\w+:(?!image/)", address)]
        assert "default-src 'none'" in read.policy and "connect-src 'self'" in read.policy
        assert not re.search(r"https?:|\*|'unsafe-eval'", read.policy)
        for loaded in re.findall(r"script-src ([^;]+)", read.policy):
            assert loaded == "'self' 'wasm-unsafe-eval'"
    ours = [path for room in ("frame", "assets") for path in (quick / version / room).glob("*.[jc]s*")]
    for path in (*ours, quick / "sw.js"):
        if path.name != "katex.js":
            found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`]*|https?://\S+", path.read_text("utf-8"))
            assert not [one for one in found if not one.startswith((*OTHERS, "//#", "// "))], path.name


def test_scripts_find_what_they_import(quick: Path) -> None:
    folder = quick / version_in(quick)
    found = 0
    for path in (path for room in ("frame", "assets") for path in (folder / room).glob("*.js")):
        text = path.read_text("utf-8")
        for address in re.findall(r'(?:^(?:import|export)\b[\w\s*{},$]*|\bimport\()"(\.[^"]+)"', text, re.M):
            assert (path.parent / address).is_file(), f"{path.name}: {address}"
            found += 1
    assert found > 50


def test_what_the_first_picture_needs_is_preloaded(quick: Path) -> None:
    version = version_in(quick)
    read = Reader(page_files(quick)["gradients"])
    assert f"{version}/first/gradients.bin" in read.loaded
    for needed in ("frame/book.js", "assets/component.js", "assets/chapter.js", "assets/painter.js"):
        assert f"{version}/{needed}" in read.loaded
    for later in ("assets/explore.js", "frame/katex.js", "plotly.min.js", "first/home.bin"):
        assert f"{version}/{later}" not in read.loaded


def test_the_service_worker_keeps_all_of_it(quick: Path) -> None:
    worker = (quick / "sw.js").read_text("utf-8")
    version = version_in(quick)
    assert f'"{version}"' in worker and "{{" not in worker
    (listed,) = re.findall(r"JSON\.parse\(`(.*)`\)", worker)
    files = json.loads(listed)
    there = {path.relative_to(quick).as_posix() for path in quick.rglob("*") if path.is_file()}
    kept = {f"{file}index.html" if file == "" or file.endswith("/") else file for file in files}
    assert kept == there - {"sw.js", "build.json", "NOTICE.txt"}
    assert files[: len(pages())] == [f"{page.path}/".lstrip("/") for page in pages().values()]


# ---- Python ----------------------------------------------------------------------------------------------


def test_python_is_whole(quick: Path) -> None:
    python = quick / version_in(quick) / "python"
    there = {path.name for path in python.iterdir()}
    assert there == {*building.PYODIDE, "pyodide-lock.json", "book.zip", "numpy-1.whl"}
    lock = json.loads((python / "pyodide-lock.json").read_text())
    assert list(lock["packages"]) == ["numpy"]


# A reader's browser has none of these.
SERVERS = (
    "sklearn",
    "torch",
    "streamlit",
    "starlette",
    "plotly",
    "multiprocessing",
    "ssl",
    "scipy",
    "pandas",
)
PROGRAM = f"""
import importlib, json, pkgutil, sys
sys.modules.update(dict.fromkeys({SERVERS!r}))
sys.path[:] = [sys.argv[1], *(path for path in sys.path if path.endswith("site-packages") or "lib" in path)]
from bnlib.data import load
from book.registry import pages
from static import shell
assert load("digits").x_train.shape == (1297, 64)
for name, page in pages().items():
    found = shell.arrive(name, {{}})
    json.dumps([found, shell.beside(name, found["values"])])
import live.race, live.track, live.desk, live.crew, static.hand
beside = shell.beside("training_lab", shell.arrive("training_lab", {{}})["values"])
assert any(one["source"].startswith("def ") for one in beside["code"])
ours = [module for name, module in sys.modules.items() if name.partition(".")[0] in {bundle.ROOMS!r}]
elsewhere = {{module.__file__ for module in ours if getattr(module, "__file__", None)}}
assert all(file.startswith(sys.argv[1]) for file in elsewhere), elsewhere
"""


def test_the_worker_needs_no_more_than_its_archive(quick: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(quick / version_in(quick) / "python" / "book.zip") as archive:
        archive.extractall(tmp_path)
    answer = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-3000:]


def test_the_archive_has_sources_and_what_they_read_but_no_server() -> None:
    found = bundle.contents(ROOT)
    assert {"static/shell.py", "static/hand.py", "live/race.py", "pages/home.py", "bnlib/zoo.py"} <= set(
        found
    )
    assert {"bnlib/digits.csv.gz", "bnlib/experiments/found.json", *bundle.DATA} <= set(found)
    servers = ("channel", "gate", "sockets", "torch_process", "hand", "check", "process", "files")
    assert not {f"live/{name}.py" for name in servers} & set(found)
    assert not [name for name in found if name.startswith(("ui/", "tests/", "static/build", "static/first"))]


def test_what_pyodide_cannot_import_is_told(tmp_path: Path) -> None:
    broken = bundle.packed({"static/shell.py": b"import nothing_of_that_name"})
    pyodide = ROOT / "node_modules" / "pyodide"
    empty = tmp_path / "empty-1-py3-none-any.whl"
    empty.write_bytes(bundle.packed({"empty.py": b"", "empty-1.dist-info/METADATA": b"Name: empty"}))
    with pytest.raises(BuildError, match="(?s)can't be imported in Pyodide: .*static.hand|nothing_of"):
        compiled(broken, pyodide, empty, tmp_path / "keep")


def test_bytecode_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    program = "import shutil, sys; open({!r}, 'a').write('.'); shutil.copy(sys.argv[-2], sys.argv[-1])"
    monkeypatch.setattr(bytecode, "NODE", (sys.executable, "-c", program.format(str(calls))))
    (tmp_path / "package.json").write_text("{}")
    for text, count in ((b"one", 1), (b"one", 1), (b"two", 2)):
        files = {"a.py": text}
        assert compiled(bundle.packed(files), tmp_path, tmp_path / "numpy.whl", tmp_path / "keep") == files
        assert calls.read_text() == "." * count


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b as c", {"a.b"}),
        ("from . import x", {"room.inner", "room.inner.x"}),
        ("from ..other import x", {"room.other", "room.other.x"}),
        ("def f():\n    from book import words", {"book", "book.words"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
        ("if __name__ == '__main__':\n    import a", set()),
        ("import_module('bnlib.costs')", {"bnlib.costs"}),
    ],
)
def test_imports_are_seen(source: str, names: set[str]) -> None:
    assert bundle.imported(source, "room.inner.module") == names


# ---- building --------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_sources_give_the_same_bytes(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert contents(quickly(monkeypatch, tmp_path)) == contents(quick)


def test_what_is_there_already_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = quickly(monkeypatch, tmp_path)
    made_of = building.inputs()
    said: list[str] = []
    building.build(folder, tmp_path / "keep", "nowhere", say=said.append)
    assert len(said) == 1 and building.is_current(folder, made_of)
    (folder / "index.html").write_text("shorter")
    assert not building.is_current(folder, made_of)
    quickly(monkeypatch, tmp_path)
    assert building.is_current(folder, made_of)
    assert not building.is_current(folder, "of other sources")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BuildError, match="--to"):
        building.build(tmp_path, tmp_path / "keep")
    assert (tmp_path / "thesis.tex").is_file()


def test_a_wrong_wheel_is_one_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "numpy.whl"
    wrong.write_bytes(b"something else")
    command = [sys.executable, "-m", "static.build", "--to", str(tmp_path / "dist")]
    program = "import sys, static.build as b; b.KEEP = None; "
    program += f"b.build.__defaults__ = (__import__('pathlib').Path({str(tmp_path / 'keep')!r}), '', print); "
    program += f"sys.argv = {command[2:]!r}; sys.exit(b.main())"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {fetch.SETTING: str(wrong)},
    )  # fmt: skip
    assert answer.returncode == 1
    assert (
        answer.stderr.startswith("The edition without a server is not built: ") and "sha256" in answer.stderr
    )
    assert "Traceback" not in answer.stderr and not (tmp_path / "dist").exists()


def test_modules_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(building, "ROOT", tmp_path)
    with pytest.raises(BuildError, match=r"node_modules/pyodide/pyodide\.mjs.*make static"):
        building._module("pyodide/pyodide.mjs")


# ---- documents -------------------------------------------------------------------------------------------


def test_links_below_the_root_are_folders() -> None:
    assert document.near("/") == "./"
    assert document.near("/one-batch") == "one-batch/"
    assert document.near("/training-lab?preset=deep") == "training-lab/?preset=deep"
    shown = document.html("[lab](/training-lab?a=1&b=2) [paper](https://example.org/x)", document.near)
    assert 'href="training-lab/?a=1&amp;b=2"' in shown
    assert '<a href="https://example.org/x" target="_blank" rel="noopener noreferrer">' in shown


def test_markup_is_no_html() -> None:
    assert "<script>" not in document.html("a <script>alert(1)</script> **b**")
    assert document.html("a **b** `c`") == "<p>a <strong>b</strong> <code>c</code></p>"


def test_an_unknown_place_is_an_error() -> None:
    assert document.filled("{{a}} {{ b }} {c}", {"a": "1"}) == "1 {{ b }} {c}"
    with pytest.raises(KeyError, match="nobody"):
        document.filled("{{nobody}}", {})


def test_the_theme_is_streamlits() -> None:
    css = document.theme_css(ROOT / ".streamlit" / "config.toml")
    used = "".join(path.read_text("utf-8") for path in (ROOT / "assets").glob("*.[jc]s*"))
    names = set(re.findall(r"--st-[a-z-]+", used)) - {"--st-green-text-color"}  # frame.css has that one
    assert names and names <= set(re.findall(r"--st-[a-z-]+", css))
    light, dark = re.findall(r"\[data-theme=(?:light|dark)\] \{\n(.*?)\n\}", css, re.DOTALL)
    assert light.count("--st-") == dark.count("--st-") == 7 and light != dark
    assert "prefers-color-scheme: dark" in css


# ---- as it is published ----------------------------------------------------------------------------------


def test_the_published_folder_is_whole(dist: Path) -> None:
    """With Pyodide's own NumPy and the recordings; it takes a network, once."""
    record = json.loads((dist / "build.json").read_text())
    assert {name: (dist / name).stat().st_size for name in record["files"]} == record["files"]
    python = dist / record["version"] / "python"
    entry = json.loads((python / "pyodide-lock.json").read_text())["packages"]["numpy"]
    wheel = (python / entry["file_name"]).read_bytes()
    assert hashlib.sha256(wheel).hexdigest() == entry["sha256"]
    with zipfile.ZipFile(io.BytesIO(wheel)) as opened:
        assert "numpy/__init__.py" in opened.namelist()
    words = (dist / "NOTICE.txt").read_text("utf-8")
    for name in (
        "Pyodide",
        "Mozilla Public License",
        "NumPy",
        "KaTeX",
        "highlight.js",
        "plotly",
        "scikit-learn",
    ):
        assert name in words
    assert int(np.sum(list(record["files"].values()))) < 30e6
