"""The NumPy that runs in the browser: fetched once, and taken only if it is the one that Pyodide names.

Pyodide itself is a package of npm; its NumPy is a package of no registry. The official wheel lies among the
files of a package of PyPI, which pip finds and of which it reads only that part.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

CARRIER = "open-webui==0.10.2"  # the package of PyPI that brings Pyodide's own wheels along
SETTING = "NUMPY_WHEEL"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# The file is only read: neither what it would run on nor what it would need matters.
ONLY_THE_FILE = ("--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--quiet")
PORTION = 2**20  # bytes that are asked for at once
SECONDS = 120.0  # without an answer


class BuildError(Exception):
    """The edition can't be built; the message says why, and what helps."""


class Wheel(NamedTuple):
    """A wheel by its file's name and its hash."""

    file: str
    sha256: str


def wanted(lock: Mapping[str, Any], package: str = "numpy") -> Wheel:
    """Return the wheel of ``package`` that a pyodide-lock.json names."""
    entry = lock["packages"][package]
    return Wheel(entry["file_name"], entry["sha256"])


def only(lock: Mapping[str, Any], *packages: str) -> dict[str, Any]:
    """Return a pyodide-lock.json that knows no other packages."""
    kept = {name: lock["packages"][name] for name in packages}
    missing = {name for entry in kept.values() for name in entry["depends"]} - set(packages)
    if missing:
        raise BuildError(
            f"{', '.join(packages)} need {', '.join(sorted(missing))} too: keep these in the lock"
        )
    return {**lock, "packages": kept}


def fetch(wheel: Wheel, keep: Path, source: str = "") -> Path:
    """Return the path of a wheel below ``keep``, fetched if it isn't there.

    source : the path or the URL of the wheel itself; empty: the package of PyPI that brings it along

    Raises
    ------
    BuildError
        If it can't be had, or is another one.
    """
    kept = keep / wheel.file
    if kept.is_file() and _sha256(kept.read_bytes()) == wheel.sha256:
        return kept
    content = _given(source) if source else _carried(wheel.file)
    found = _sha256(content)
    if found != wheel.sha256:
        raise BuildError(
            f"{source or CARRIER}: its {wheel.file} has the sha256 {found}, but Pyodide's lock names "
            f"{wheel.sha256}; set {SETTING} to a copy of that very file, from Pyodide's own distribution"
        )
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=keep, delete=False) as file:
        file.write(content)
    os.replace(file.name, kept)
    return kept


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _given(source: str) -> bytes:
    """Read the wheel that the setting names."""
    try:
        if "://" not in source:
            return Path(source).read_bytes()
        with urllib.request.urlopen(source, timeout=SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, ValueError) as error:
        raise BuildError(f"{SETTING}={source} can't be read: {error}") from error


# ---- out of another package ------------------------------------------------------------------------------


def _carried(name: str) -> bytes:
    """Read the file called ``name`` out of the package that carries it."""
    report = json.loads(_pip("install", "--dry-run", "--ignore-installed", "--report=-", CARRIER))
    address = report["install"][0]["download_info"]["url"]
    content = _by_ranges(address, name)
    return _of_the_whole(name) if content is None else content


def _pip(*command: str) -> str:
    """Run pip, as it is set up on this machine, and return what it prints."""
    first, *others = command
    done = subprocess.run([*PIP, first, *ONLY_THE_FILE, *others], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        raise BuildError(
            f"pip can't get {CARRIER}, which brings along Pyodide's NumPy: is its index (PyPI, where pip "
            f"isn't told otherwise) in reach? Or set {SETTING} to the path or the address of the wheel. "
            f"pip: {last}"
        )
    return done.stdout


def _by_ranges(address: str, name: str) -> bytes | None:
    """Have pip read one file of a wheel that stays where it is: a few megabytes of many; None: it can't.

    What reads it is inside pip, and the next pip may have it elsewhere; a server may refuse ranges, too.
    """
    try:
        from pip._internal.commands import create_command
        from pip._internal.network.lazy_wheel import LazyZipOverHTTP

        command: Any = create_command("download")
        options, _ = command.parse_args([])
        with command.main_context():
            session = command.get_default_session(options)
            with LazyZipOverHTTP(address, session, PORTION) as remote:
                return _inside(remote, name)
    except BuildError:
        raise
    except Exception:
        return None


def _of_the_whole(name: str) -> bytes:
    """Download the whole package for one file of it."""
    with tempfile.TemporaryDirectory() as folder:
        _pip("download", f"--dest={folder}", CARRIER)
        (whole,) = Path(folder).iterdir()
        return _inside(whole, name)


def _inside(archive: Path | IO[bytes] | Any, name: str) -> bytes:
    """Read the one file of an archive that is called ``name``, in whichever folder."""
    with zipfile.ZipFile(archive) as opened:
        found = [path for path in opened.namelist() if path.endswith(f"/{name}")]
        if len(found) != 1:
            raise BuildError(f"{CARRIER} brings no {name} along; set {SETTING} to a copy of that file")
        return opened.read(found[0])
