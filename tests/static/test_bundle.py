"""The Python that goes into the browser: all that a session needs there, as sources and as bytecode."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from static import bundle, bytecode
from static.bytecode import compiled
from static.fetch import BuildError

ROOT = Path(__file__).parents[2]

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


def test_the_worker_needs_no_more_than_its_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.packed(bundle.contents(ROOT)))) as archive:
        archive.extractall(tmp_path)
    answer = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-3000:]


def test_the_archive_has_sources_and_what_they_read_but_no_server() -> None:
    found = bundle.contents(ROOT)
    assert {
        "static/shell.py",
        "static/hand.py",
        "live/race.py",
        "pages/home.py",
        "bnlib/norms/relatives.py",
    } <= set(found)
    assert {"bnlib/digits.csv.gz", "bnlib/experiments/found.json", *bundle.DATA} <= set(found)
    servers = ("channel", "gate", "sockets", "torch_process", "hand", "check", "process", "files")
    assert not {f"live/{name}.py" for name in servers} & set(found)
    assert not [name for name in found if name.startswith(("ui/", "tests/", "static/build", "static/first"))]


def test_what_it_begins_with_must_be_there() -> None:
    with pytest.raises(ValueError, match=r"static\.nobody must be"):
        bundle.sources(ROOT, ("static.nobody", "static.hand"))


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
