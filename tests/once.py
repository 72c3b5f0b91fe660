"""What many tests need is computed once in a run of tests, whichever of its processes asks first.

The processes share a folder. The first of them makes it (`tests/conftest.py`), unless somebody has made one
before, as `make test` does for its two runs, and named it in the environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

FOLDER = "BNLAB_TESTS_ONCE"

T = TypeVar("T")


def once(function: Callable[..., T], *arguments: Hashable) -> T:
    """Return what a pure function of a module returns; who asks while it is computed waits for it.

    The reprs of its arguments must tell all that counts. What it raises isn't kept.
    """
    if FOLDER not in os.environ:
        return function(*arguments)
    path = Path(os.environ[FOLDER], name_of(function, arguments))
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system takes it from who dies
        if path.exists():
            found: T = pickle.loads(path.read_bytes())
            return found
        result = function(*arguments)
        part = path.with_suffix(".part")
        part.write_bytes(pickle.dumps(result, protocol=5))
        part.replace(path)
        return result


def name_of(function: Callable[..., object], arguments: tuple[Hashable, ...]) -> str:
    """Return the name of a call's file."""
    hash(arguments)  # of an array, which has no hash, a repr shows only a part
    about = f"{function.__module__}.{function.__qualname__}{arguments!r}"
    assert " at 0x" not in about and "<" not in function.__qualname__, f"{about} means nothing elsewhere"
    return hashlib.sha256(about.encode()).hexdigest()
