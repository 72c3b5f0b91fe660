"""The edition without a server: one folder of files that any static host serves.

python -m static.build [--to dist]

What was fetched or recorded before is taken as it is while what it was made of is the same.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from filelock import FileLock

from book.registry import pages

from .assembly import COMPILER, library
from .bundle import ROOMS, packed
from .bundle import contents as sources
from .bytecode import compiled
from .document import book_data, document, filled, theme_css
from .fetch import SETTING, BuildError, fetch, only, wanted
from .inline import Call, called
from .measured import FILE as RESULTS
from .notice import notice
from .recordings import FIRST, MEASURED, recordings

ROOT = Path(__file__).resolve().parent.parent
KEEP = ROOT / "build" / "static"  # what is kept from one build to the next
RECORD = "build.json"  # in the folder: of what it was made, and which files it has
# Pyodide's files, and what npm calls them. Many a host doesn't know that .mjs is a script.
PYODIDE = {"pyodide.js": "pyodide.mjs"} | {
    name: name for name in ("pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
}
LOCK = "pyodide-lock.json"
# What the frame loads of others, under the names that static/words.js knows.
OTHERS = {
    "frame/katex.js": "katex/dist/katex.min.js",
    "frame/highlight/core.js": "@highlightjs/cdn-assets/es/core.min.js",
    "frame/highlight/python.js": "@highlightjs/cdn-assets/es/languages/python.min.js",
}
SHIPPED = ("*.js", "*.css", "*.json")  # of assets/
OWN = ("*.js", "*.css")  # of static/
WORKER = "sw.js"  # at the root, so that it may answer for all of it
ENTRY = "frame/book.js"
PACKAGES = ("numpy", "plotly", "scikit-learn", "markdown-it-py")
IMPORT = re.compile(r'^(?:import|export)\b[\w\s*{},$]*"(\.{1,2}/[^"]+\.js)"', re.MULTILINE)

Files = dict[str, bytes]  # by path
Say = Callable[[str], None]


def build(to: Path, keep: Path = KEEP, numpy: str = "", say: Say = print, call: Call = called) -> Path:
    """Build the edition in the folder ``to``, unless it is there already as it would be built.

    keep : where wheels and recordings are kept
    numpy : the path or the address of Pyodide's NumPy; empty: as `fetch` finds it
    call : what the computations of chapters are handed to (`recordings`)

    Raises
    ------
    BuildError
        If something it needs can't be had, or ``to`` holds something else.
    """
    keep.mkdir(parents=True, exist_ok=True)
    with FileLock(keep / "lock"):  # who comes meanwhile finds what this one builds
        made_of = inputs()
        if is_current(to, made_of):
            say(f"{to} is as it would be built; nothing is done")
        else:
            _build(to, made_of, keep, numpy, say, call)
    return to


def _build(to: Path, made_of: str, keep: Path, numpy: str, say: Say, call: Call) -> None:
    if to.exists() and any(to.iterdir()) and not (to / RECORD).is_file():
        raise BuildError(f"{to} holds something that no build has made: remove it, or name another with --to")
    began = time.perf_counter()
    files = contents(keep, numpy, say, call)
    version = _digest(files)[:12]
    folder = {f"{version}/{name}": content for name, content in files.items()}
    whole = folder | around(version, files) | {"NOTICE.txt": notice(ROOT, _wheel(keep, numpy)).encode()}
    record = {
        "version": version,
        "made_of": made_of,
        "files": {name: len(whole[name]) for name in sorted(whole)},
    }
    write(to, whole | {RECORD: json.dumps(record, indent=1).encode()})
    for line in table(files, whole):
        say(line)
    say(f"{to}: version {version}, built in {time.perf_counter() - began:.0f} s")


def is_current(to: Path, made_of: str) -> bool:
    """Say whether a folder was built of just these inputs, and has all its files still."""
    try:
        record = json.loads((to / RECORD).read_text("utf-8"))
        sizes = {name: (to / name).stat().st_size for name in record["files"]}
    except (OSError, ValueError, KeyError):
        return False
    return bool(record["made_of"] == made_of and record["files"] == sizes)


def inputs() -> str:
    """Return a digest of all that a build depends on, without building anything."""
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    found += [path for room in ("assets", "static") for path in (ROOT / room).iterdir() if path.is_file()]
    found += [ROOT / name for name in (".streamlit/config.toml", "LICENSE", "package-lock.json")]
    contents_of = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in found}
    versions = f"{sys.version} {[version_of(name) for name in PACKAGES]}"
    return _digest(contents_of | {"": versions.encode()})


# ---- what is in it ---------------------------------------------------------------------------------------


def contents(keep: Path, numpy: str, say: Say, call: Call = called) -> Files:
    """Return the files below the version: everything but the pages and the service worker."""
    wheel = _wheel(keep, numpy)
    book = sources(ROOT)
    book["static/products.wasm"] = library(_module(COMPILER), keep / "products")
    book |= compiled(packed(book), _module("pyodide/package.json").parent, wheel, keep / "bytecode")
    files = {f"python/{name}": _module(f"pyodide/{theirs}").read_bytes() for name, theirs in PYODIDE.items()}
    files |= {f"python/{wheel.name}": wheel.read_bytes(), "python/book.zip": packed(book)}
    files[f"python/{LOCK}"] = json.dumps(only(_lock(), "numpy"), sort_keys=True).encode()
    files |= _below("frame", ROOT / "static", OWN, leave=(WORKER,))
    files["frame/theme.css"] = theme_css(ROOT / ".streamlit" / "config.toml").encode()
    files |= {name: _module(path).read_bytes() for name, path in OTHERS.items()}
    files |= _below("assets", ROOT / "assets", SHIPPED)
    files["plotly.min.js"] = _plotly().read_bytes()
    computed = recordings(ROOT, keep / "first", say, call)
    files |= {f"first/{name}.bin": content for name, content in computed[FIRST].items()}
    files[f"python/{RESULTS}"] = b"".join(computed[MEASURED].values())
    return files


def around(version: str, files: Files) -> Files:
    """Return the pages, and the service worker that keeps all of it."""
    template = (ROOT / "static" / "page.html").read_text("utf-8")
    book = book_data(pages(), (Path(name).name for name in files if re.match(r"assets/.*\.css$", name)))
    found: Files = {}
    for page in pages().values():
        needed = [(f"{version}/{name}", "script") for name in modules(files)]
        needed.append((f"{version}/first/{page.name}.bin", "fetch"))
        found[f"{page.path}/index.html".lstrip("/")] = document(
            template, page, book, version, needed
        ).encode()
    names = [f"{version}/{name}" for name in sorted(files, key=_rank)]
    kept = [name.removesuffix("index.html") for name in found] + names
    worker = (ROOT / "static" / WORKER).read_text("utf-8")
    found[WORKER] = filled(worker, {"version": version, "files": json.dumps(kept)}).encode()
    return found


def modules(files: Files) -> list[str]:
    """Return the scripts that the first picture needs: what the frame imports, and what that imports."""
    found: list[str] = []
    ahead = [ENTRY]
    while ahead:
        name = ahead.pop(0)
        if name not in found:
            found.append(name)
            for address in IMPORT.findall(files[name].decode()):
                ahead.append(os.path.normpath(PurePosixPath(name).parent / address).replace(os.sep, "/"))
    return sorted(found)


def _rank(name: str) -> tuple[int, str]:
    """Return a file's place in the order in which readers need them."""
    order = ("frame/", "assets/", "first/", "python/", "")
    return next(place for place, start in enumerate(order) if name.startswith(start)), name


def _below(where: str, folder: Path, kinds: tuple[str, ...], leave: tuple[str, ...] = ()) -> Files:
    found = sorted(path for kind in kinds for path in folder.glob(kind) if path.name not in leave)
    return {f"{where}/{path.name}": path.read_bytes() for path in found}


def _module(path: str) -> Path:
    """Return a file of a package that npm has installed."""
    found = ROOT / "node_modules" / path
    if not found.is_file():
        raise BuildError(f"node_modules/{path} is missing: `make static` installs it, from npm's registry")
    return found


def _lock() -> Mapping[str, Mapping[str, object]]:
    lock: Mapping[str, Mapping[str, object]] = json.loads(_module(f"pyodide/{LOCK}").read_text("utf-8"))
    return lock


def _wheel(keep: Path, numpy: str) -> Path:
    return fetch(wanted(_lock()), keep / "wheels", numpy)


def _plotly() -> Path:
    package = find_spec("plotly")
    if package is None or package.origin is None:
        raise BuildError("plotly is missing; install requirements.txt")
    return Path(package.origin).parent / "package_data" / "plotly.min.js"


def _digest(files: Files) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return digest.hexdigest()


# ---- writing and telling ---------------------------------------------------------------------------------


def write(to: Path, files: Files) -> None:
    """Write all files beside the folder, and then put them in its place: nobody meets half of them.

    What somebody has put into the folder besides what a build had made stays there.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as beside:
        new = Path(beside) / "new"
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
        if to.exists():
            for other in set(to.iterdir()) - {to / name.partition("/")[0] for name in _made(to)}:
                if not (new / other.name).exists():
                    shutil.move(other, new / other.name)
            shutil.move(to, Path(beside) / "old")
        shutil.move(new, to)


def _made(to: Path) -> list[str]:
    """Return which files of a folder a build has made."""
    record = to / RECORD
    return [RECORD, *json.loads(record.read_text("utf-8"))["files"]] if record.is_file() else []


def table(files: Files, whole: Files) -> Iterator[str]:
    """Yield lines that say how large the parts are, as they are and as a host may send them."""
    parts = {
        "Pyodide": [f"python/{name}" for name in (*PYODIDE, LOCK)],
        "NumPy": [name for name in files if name.endswith(".whl")],
        "the book's Python": ["python/book.zip"],
        "results": [f"python/{RESULTS}"],
        "Plotly": ["plotly.min.js"],
        "frame": [name for name in files if name.startswith("frame/")],
        "pictures' scripts": [name for name in files if name.startswith("assets/")],
        "first pictures": [name for name in files if name.startswith("first/")],
    }
    yield f"{'':20}{'kB':>8}{'gzip':>8}"
    for what, names in parts.items():
        yield _line(what, [files[name] for name in names])
    yield _line("in all", list(whole.values()), len(whole))


def _line(what: str, contents: list[bytes], files: int = 0) -> str:
    plain = sum(map(len, contents))
    small = sum(min(len(content), len(gzip.compress(content))) for content in contents)
    return f"{what:20}{plain / 1000:8,.0f}{small / 1000:8,.0f}" + (f"  in {files} files" if files else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="the folder (default: dist)")
    arguments = parser.parse_args()
    try:
        build(arguments.to, numpy=os.environ.get(SETTING, ""), say=lambda line: print(line, flush=True))
    except BuildError as error:
        print(f"The edition without a server is not built: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
