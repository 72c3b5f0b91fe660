"""The Python that goes into the browser: book.zip, the sources that a session needs, and what they read."""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from bnlib.data import digits_file

ROOMS = ("bnlib", "book", "live", "pages", "static")
BEGIN = ("static.shell", "static.hand")
# Folders of which all modules go along: they look themselves through, or are taken away as they are.
WHOLE = ("bnlib", "bnlib/experiments/claims", "pages")
DATA = ("assets/digits_batch.bin", "assets/digits_batch.npy", "assets/photos.npy")
DIGITS = "bnlib/digits.csv.gz"
LEVEL = 9


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return an archive; the same files give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as zipped:
        for name in sorted(files):
            zipped.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED, LEVEL)
    return archive.getvalue()


def contents(root: Path) -> dict[str, bytes]:
    """Return what the archive holds besides bytecode, by path."""
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in sources(root)}
    found |= {name: (root / name).read_bytes() for name in DATA}
    return found | {DIGITS: digits_file().read_bytes()}


def sources(root: Path, begin: Iterable[str] = BEGIN, whole: Iterable[str] = WHOLE) -> list[Path]:
    """Return the files of the modules that ``begin`` and the folders ``whole`` import, at once or later.

    And what belongs to a module by its name: ``found.json`` to ``found.py``.
    """
    modules = {_name(path, root): path for room in ROOMS for path in (root / room).rglob("*.py")}
    folders = [root / folder for folder in whole]
    if unknown := set(begin) - set(modules):
        raise ValueError(f"sources: {', '.join(sorted(unknown))} must be modules of {', '.join(ROOMS)}")
    ahead = [*begin, *(name for name, path in modules.items() if path.parent in folders)]
    found: set[str] = set()
    while ahead:
        name = ahead.pop()
        if name in found or name not in modules:
            continue
        found.add(name)
        ahead.append(name.rpartition(".")[0])
        ahead += imported(modules[name].read_text("utf-8"), name, modules[name].name == "__init__.py")
    theirs = {beside for name in found for beside in modules[name].parent.glob(f"{modules[name].stem}.json")}
    return sorted({*(modules[name] for name in found), *theirs})


@cache
def imported(source: str, module: str, package: bool = False) -> frozenset[str]:
    """Return what a module imports, except for type checkers and where it is the program itself.

    Of ``from a import b`` both ``a.b``, which may be a module, and ``a``.
    """
    return frozenset(_imported(source, module, package))


def _imported(source: str, module: str, package: bool) -> Iterator[str]:
    ahead: list[ast.AST] = [ast.parse(source)]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
            ahead += node.orelse
            continue
        ahead += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            above = above[: len(above) - node.level + package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            named = node.args[0]
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                yield named.value


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
