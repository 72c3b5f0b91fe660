"""The library as text, so that a script that is taken away runs where bnlib isn't installed."""

from __future__ import annotations

import base64
import io
import textwrap
import zipfile
from functools import lru_cache
from pathlib import Path

import bnlib

WIDTH = 100
ENGINE = ("", "norms", "networks", "training")  # the folders of bnlib that a run needs


@lru_cache(maxsize=1)
def packed_library() -> str:
    """Return bnlib's training engine, zipped, in lines of base 85 (without ``"`` and ``\\``): some 110 kB.

    The same bytes at every call: files in order of their names, without dates.
    """
    folder = Path(bnlib.__file__).parent
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for path in sorted(path for room in ENGINE for path in (folder / room).glob("*.py")):
            name = zipfile.ZipInfo(f"bnlib/{path.relative_to(folder).as_posix()}")
            zipped.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return "\n".join(textwrap.wrap(base64.b85encode(archive.getvalue()).decode(), WIDTH))
