"""NOTICE.txt: what in the folder is others' work, and under which licence."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

RULE = "=" * 78
PYODIDE = """\
Python itself (pyodide.asm.wasm, pyodide.asm.js, pyodide.js, python_stdlib.zip): Pyodide {version}.
Mozilla Public License 2.0, whose text is at https://www.mozilla.org/MPL/2.0/. The files are unchanged
(pyodide.js is its pyodide.mjs); their source is at https://github.com/pyodide/pyodide, tag {version}. They
contain CPython {python}, under the licence of the Python Software Foundation,
https://docs.python.org/3/license.html, and what Emscripten's libraries add to it.
"""
DIGITS = """\
The digits (in book.zip): UCI "Optical Recognition of Handwritten Digits", Alpaydin & Kaynak 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0, https://creativecommons.org/licenses/by/4.0/, as scikit-learn
ships them.
"""


def notice(root: Path, wheel: Path) -> str:
    """Return the text: who made what, each with its licence."""
    return f"\n{RULE}\n\n".join(_parts(root, wheel))


def _parts(root: Path, wheel: Path) -> Iterator[str]:
    yield "BatchNorm Lab: the pages, their scripts and the sources in book.zip.\n\n" + _text(root / "LICENSE")
    modules = root / "node_modules"
    lock = json.loads(_text(modules / "pyodide" / "pyodide-lock.json"))
    yield PYODIDE.format(version=_version(modules / "pyodide"), python=lock["info"]["python"])
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/LICENSE.txt"))
        yield f"NumPy, {wheel.name}, unchanged.\n\n" + opened.read(name).decode()
    for title, package in (("KaTeX", "katex"), ("highlight.js", "@highlightjs/cdn-assets")):
        yield f"{title} {_version(modules / package)}.\n\n" + _text(modules / package / "LICENSE")
    for name in ("plotly", "scikit-learn"):
        theirs = distribution(name)
        (file,) = (file for file in theirs.files or () if file.parent.name == "licenses")
        used = (
            "plotly.min.js, as the package plotly brings it along" if name == "plotly" else "the digits' file"
        )
        yield f"{name} {theirs.version}: {used}.\n\n" + file.read_text("utf-8")
    yield DIGITS


def _version(package: Path) -> str:
    version: str = json.loads(_text(package / "package.json"))["version"]
    return version


def _text(path: Path) -> str:
    return path.read_text("utf-8")
