"""What a build has made stays beside the next one, which takes it if it is made of the same."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path


def kept(folder: Path, of: bytes, make: Callable[[Path], bytes]) -> bytes:
    """Return what ``make`` makes of ``of``: made once, and until it is made of something else.

    folder : where it is kept, and nothing besides
    make : is given an empty folder of its own, which is gone afterwards
    """
    there = folder / hashlib.sha256(of).hexdigest()[:24]
    if not there.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            made = make(Path(beside))
            for old in folder.iterdir():
                old.unlink()
            (Path(beside) / there.name).write_bytes(made)
            (Path(beside) / there.name).replace(there)
    return there.read_bytes()
