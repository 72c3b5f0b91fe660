"""`static/products.ts` as a shared library of Pyodide's: compiled from AssemblyScript, and named as one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .bytecode import NODE
from .fetch import BuildError
from .keep import kept

SOURCE = Path(__file__).with_name("products.ts")
COMPILER = "assemblyscript/bin/asc.js"
# Its memory is Python's, which hands it addresses; it has no data and makes no objects of its own.
OPTIONS = [
    *("-O3", "--converge", "--noAssert", "--enable", "simd"),
    *("--runtime", "stub", "--importMemory", "--noExportMemory"),
]
HEAD = 8  # bytes: what WebAssembly begins with
# The section by which a loader knows a shared library: type 1, 4 bytes, no memory and no table of its own.
# https://github.com/WebAssembly/tool-conventions/blob/main/DynamicLinking.md
SECTION = bytes([0, 15, 8]) + b"dylink.0" + bytes([1, 4, 0, 0, 0, 0])


def library(compiler: Path, keep: Path) -> bytes:
    """Return the shared library; what is in ``keep`` already, of the same source, isn't compiled again.

    compiler : COMPILER among npm's packages

    Raises
    ------
    BuildError
        If it can't be compiled.
    """

    def compile_there(folder: Path) -> bytes:
        made = folder / "products.wasm"
        command = [*NODE, str(compiler), str(SOURCE), "--outFile", str(made), *OPTIONS]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode or not made.is_file():
            raise BuildError(f"{SOURCE.name} can't be compiled: {answer.stderr.strip()[-2000:]}")
        content = made.read_bytes()
        return content[:HEAD] + SECTION + content[HEAD:]

    version = (compiler.parents[1] / "package.json").read_bytes()
    return kept(keep, SOURCE.read_bytes() + repr((OPTIONS, SECTION)).encode() + version, compile_there)
