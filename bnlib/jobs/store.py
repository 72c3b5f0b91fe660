"""Results on disk, one file a cell, so that an interrupted sweep goes on where it stopped."""

from __future__ import annotations

import errno
import hashlib
import inspect
import io
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Result = dict[str, Any]  # arrays and Python numbers by name

LIBRARY = Path(__file__).parent.parent
# The folders that results depend on, and the modules beside them.
MAKERS = ("norms", "networks", "training", "torch_check", "experiments/probes")

LONGEST = 200  # characters of a path in a message
KEEPS_NONE = "returns all of them, but what isn't kept yet can't be resumed. Make room"
KEEPS_OTHERS = "keeps the others. Remove what is there"


class StoreWarning(RuntimeWarning):
    """Results can't be kept on disk."""


@cache
def library_version() -> str:
    """Return a short digest of what results depend on: bnlib's sources and NumPy's version."""
    digest = hashlib.sha256(f"numpy {np.__version__}\n".encode())
    for path in makers():
        # As text: a checkout with other line ends is the same library.
        name = path.relative_to(LIBRARY).as_posix()
        digest.update(f"{name}\n{path.read_text('utf-8')}\n".encode())
    return digest.hexdigest()[:16]


def makers() -> list[Path]:
    """Return the files that results depend on: those of some folders, and data and theory beside them."""
    inside = (path for folder in MAKERS for path in (LIBRARY / folder).rglob("*.py"))
    return sorted([*inside, LIBRARY / "data.py", LIBRARY / "theory.py"])


def cache_folder() -> Path:
    """Return the user's folder for results: BNLAB_CACHE, or batchnorm-lab where the system keeps caches.

    Raises
    ------
    RuntimeError
        If it is in the home of a user that there isn't.
    """
    return _chosen_folder().expanduser()


def _chosen_folder() -> Path:
    if chosen := os.environ.get("BNLAB_CACHE"):
        return Path(chosen)
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or "~/.cache", "batchnorm-lab")


def plain(result: Any) -> Result:
    """Return a cell's result in the form it has on disk: arrays, and Python numbers for what has no axes.

    Raises
    ------
    TypeError
        If it holds anything else.
    """
    if not isinstance(result, Mapping) or not all(isinstance(name, str) for name in result):
        raise TypeError(f"returned {type(result).__name__}; return a dict of arrays and numbers by name")
    arrays = {name: np.asarray(value) for name, value in result.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufcUS":
            kind = type(result[name]).__name__
            raise TypeError(f"returned {name!r} of type {kind}; return arrays and numbers by name")
    return {name: array if array.ndim else array.item() for name, array in arrays.items()}


class Store:
    """The finished cells of one function in ``folder``: a path, None for the user's, False for none.

    A file is named after the library's version, the function (its name, and its module's source) and the
    cell's repr: whatever changes one of them makes another file. Files of earlier versions stay; deleting
    the folder loses nothing but time.

    Raises
    ------
    ValueError
        If the folder isn't one and can't be made. The user's folder is only warned about.
    """

    def __init__(self, folder: Path | str | bool | None, function: Callable[..., Any]):
        self.folder = None if folder is False else _made(folder)
        self.refused = 0  # cells whose files can't be written, though others can
        source = ""
        with suppress(OSError, TypeError):  # written in C, or its file is gone
            source = inspect.getsource(sys.modules[function.__module__])
        digest = hashlib.sha256(source.encode()).hexdigest()[:16]
        name = f"{function.__module__}.{function.__qualname__}"
        self._heading = f"bnlib {library_version()}\n{name} {digest}\n"

    def _about(self, cell: Hashable) -> str:
        return self._heading + repr(cell)

    def path(self, cell: Hashable) -> Path:
        """Return where a cell's result is, or would be."""
        name = f"{hashlib.sha256(self._about(cell).encode()).hexdigest()}.npz"
        return Path(name) if self.folder is None else self.folder / name

    def load(self, cell: Hashable) -> Result | None:
        """Return a cell's result, if it is there and whole."""
        if self.folder is None:
            return None
        try:
            content = io.BytesIO(self.path(cell).read_bytes())
            with np.load(content, allow_pickle=False) as found:
                if found["about"].item() != self._about(cell):
                    return None
                return plain({n.removeprefix("result."): found[n] for n in found.files if n != "about"})
        except Exception:
            # Damaged, it can fail in any of zipfile's, zlib's and NumPy's ways; then it is computed again.
            return None

    def save(self, cell: Hashable, result: Result) -> None:
        """Write a cell's file as a whole or not at all.

        If the system refuses, warn. If it would refuse other files too, keep no more.
        """
        if self.folder is None:
            return
        content, path = io.BytesIO(), self.path(cell)
        np.savez(content, about=self._about(cell), **{f"result.{n}": value for n, value in result.items()})
        part, written = path.with_suffix(f".{secrets.token_hex(4)}.part"), False
        try:
            try:
                part.write_bytes(content.getbuffer())
                written = True
                part.replace(path)
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
        except OSError as error:
            if written or error.errno == errno.EFBIG:
                self.refused += 1
                if self.refused == 1:
                    _warn(f"a cell's result can't be kept in {path}", error, KEEPS_OTHERS)
            else:
                _warn(f"results can't be kept in {_shown(self.folder)}", error, KEEPS_NONE)
                self.folder = None


def _made(folder: Path | str | bool | None) -> Path | None:
    if folder is not None and (not isinstance(folder, str | Path) or not str(folder)):
        raise ValueError(f"sweep: store={folder!r} must be a folder, None for the user's, or False for none")
    path = _chosen_folder() if folder is None else Path(folder)
    try:
        path = path.expanduser()
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:  # nobody's home, or characters that no path has
        if folder is None:
            _warn(f"results can't be kept in {_shown(path)}", error, KEEPS_NONE)
            return None
        fix = "name one that is there or can be made, or store=False to keep nothing"
        raise ValueError(f"sweep: store={_shown(path)!r} is no folder ({_reason(error)}); {fix}") from error
    return path


def _shown(path: Path) -> str:
    return str(path) if len(str(path)) <= LONGEST else f"{str(path)[:LONGEST]}..."


def _reason(error: Exception) -> str:
    if isinstance(error, RuntimeError):
        return "it begins with the home of a user that there isn't"
    return getattr(error, "strerror", None) or str(error)


def _warn(what: str, error: Exception, so: str) -> None:
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals["__name__"].startswith("bnlib."):
        level, frame = level + 1, frame.f_back  # the line to blame is the sweep's caller's
    warnings.warn(
        f"sweep: {what} ({_reason(error)}). The sweep goes on, and {so}, or name another store "
        "(BNLAB_CACHE, or store= in a program)",
        StoreWarning,
        stacklevel=level,
    )
