"""The folder that is published: what is in it, that it is whole, and that nothing in it asks another host."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest

from book.chapter import Chapter
from book.registry import pages
from static import assembly, document, fetch
from static import build as building
from static.fetch import BuildError, Wheel
from tests.once import once

ROOT = Path(__file__).parents[2]
OTHERS = ("http://www.w3.org/", "http://127.0.0.1:8000/")  # a name of XML, and what a hint says


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as it is built, but for the wheel and the recordings: these take a network, and time."""
    with pytest.MonkeyPatch.context() as patch:
        return quickly(patch, tmp_path_factory.mktemp("quick"))


def multiplied() -> bytes:
    """The library of matrix products; a compiler takes its time."""
    with tempfile.TemporaryDirectory() as folder:
        return assembly.library(building._module(assembly.COMPILER), Path(folder) / "products")


def quickly(patch: pytest.MonkeyPatch, folder: Path, anew: bool = False) -> Path:
    """``anew``: nothing is taken from another build."""
    wheel = folder / "numpy-1.whl"
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("numpy-1.dist-info/LICENSE.txt"), "NumPy's licence")
    known = Wheel(wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest())
    patch.setattr(building, "wanted", lambda lock: known)
    patch.setattr(building, "compiled", lambda *_: {"static/__pycache__/shell.cpython-313.pyc": b"bytecode"})
    patch.setattr(building, "table", lambda *_: [])  # it compresses everything, and nobody reads it
    if not anew:
        patch.setattr(building, "library", lambda *_: once(multiplied))
    each = {name: name.encode() for name in pages()}
    patch.setattr(building, "recordings", lambda *_: {".first": each, ".measured": each})
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
    assert there == {*building.PYODIDE, "pyodide-lock.json", "book.zip", "numpy-1.whl", building.RESULTS}
    lock = json.loads((python / "pyodide-lock.json").read_text())
    assert list(lock["packages"]) == ["numpy"]


# ---- building --------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_sources_give_the_same_bytes(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert contents(quickly(monkeypatch, tmp_path, anew=True)) == contents(quick)


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


def test_what_somebody_has_added_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = quickly(monkeypatch, tmp_path)
    (folder / "CNAME").write_text("lab.example.org")
    (folder / "notes").mkdir()
    (folder / "notes" / "week1.html").write_text("notes")
    (folder / "old").mkdir()
    (folder / "index.html").unlink()
    quickly(monkeypatch, tmp_path)
    there = {path.name for path in folder.iterdir()}
    assert {"CNAME", "notes", "old", "index.html", version_in(folder)} <= there
    assert (folder / "notes" / "week1.html").read_text() == "notes"
    # A version before this one goes.
    record = json.loads((folder / "build.json").read_text())
    record["files"]["0123456789ab/frame/book.js"] = 1
    (folder / "build.json").write_text(json.dumps(record))
    (folder / "0123456789ab").mkdir()
    quickly(monkeypatch, tmp_path)
    assert not (folder / "0123456789ab").exists() and (folder / "CNAME").is_file()


def test_a_wrong_wheel_is_one_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "numpy.whl"
    wrong.write_bytes(b"something else")
    command = [sys.executable, "-m", "static.build", "--to", str(tmp_path / "dist")]
    program = "import sys, static.build as b; b.KEEP = None; "
    program += f"keep = __import__('pathlib').Path({str(tmp_path / 'keep')!r}); "
    program += "b.build.__defaults__ = (keep, *b.build.__defaults__[1:]); "
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


def test_a_build_tells_how_large_its_parts_are_and_what_a_host_may_send() -> None:
    names = (*building.PYODIDE, building.LOCK, "book.zip", building.RESULTS)
    files = dict.fromkeys(
        [*(f"python/{name}" for name in names), "plotly.min.js", "frame/book.js"], b"x" * 2000
    )
    head, *lines = building.table(files, files | {"index.html": b"<p>" * 1000})
    assert head.split() == ["kB", "gzip"]
    told = {line[:20].strip(): line[20:].split() for line in lines}
    assert told["Pyodide"] == ["10", "0"] and told["frame"] == ["2", "0"] and told["NumPy"] == ["0", "0"]
    assert told["in all"] == [f"{2 * len(files) + 3}", "0", "in", f"{len(files) + 1}", "files"]


def test_modules_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(building, "ROOT", tmp_path)
    with pytest.raises(BuildError, match=r"node_modules/pyodide/pyodide\.mjs.*make static"):
        building._module("pyodide/pyodide.mjs")


# ---- documents -------------------------------------------------------------------------------------------


def test_the_code_has_the_same_caption_with_and_without_a_server() -> None:
    (here,) = re.findall(r'const CODE =\s*"(.+)";', (ROOT / "static" / "below.js").read_text("utf-8"))
    (there,) = re.findall(
        r"st\.caption\((.+?)\n        \)", (ROOT / "ui" / "code.py").read_text("utf-8"), re.S
    )
    assert here == "".join(re.findall(r'"([^"]+)"', there))


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
