"""Pyodide's NumPy: where it comes from, and that no other is taken."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from static import fetch
from static.fetch import BuildError, Wheel

CONTENT = bytes(range(256)) * 4000
WHEEL = Wheel("numpy-1.whl", hashlib.sha256(CONTENT).hexdigest())


def carrier(padding: int = 0) -> bytes:
    """A package that brings the wheel along, among much else."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("carrier/big.bin", bytes(padding))
        zipped.writestr(f"carrier/frontend/{WHEEL.file}", CONTENT)
    return archive.getvalue()


class Files(BaseHTTPRequestHandler):
    """Serves one file, by ranges where they are asked for and known."""

    address = ""
    content = b""
    ranges = True
    sent = 0

    def do_HEAD(self) -> None:
        self.answer(b"", len(self.content), 200)

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        if asked and self.ranges:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            part = self.content[first : last + 1]
            self.answer(part, len(part), 206)
        else:
            self.answer(self.content, len(self.content), 200)

    def answer(self, part: bytes, length: int, status: int) -> None:
        type(self).sent += len(part)
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes" if self.ranges else "none")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Files]]:
    """A server on this machine, whose files can be set."""
    monkeypatch.setattr(Files, "sent", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Files.address = f"http://127.0.0.1:{server.server_port}/carrier-1-py3-none-any.whl"
    yield Files
    server.shutdown()
    server.server_close()


def pip_that(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have pip be a program of a few lines."""
    monkeypatch.setattr(fetch, "PIP", (sys.executable, "-c", program))


def finds(address: str) -> str:
    """Return a pip that says where the package is, and downloads it to no place."""
    report = {"install": [{"download_info": {"url": address}}]}
    return f"print({json.dumps(json.dumps(report))})"


# ---- the setting -----------------------------------------------------------------------------------------


def test_a_path_or_an_address_can_be_named(tmp_path: Path, files: type[Files]) -> None:
    copy = tmp_path / "copy.whl"
    copy.write_bytes(CONTENT)
    files.content = CONTENT
    for number, source in enumerate((str(copy), files.address)):
        found = fetch.fetch(WHEEL, tmp_path / str(number), source)
        assert found.name == WHEEL.file and found.read_bytes() == CONTENT


def test_another_wheel_is_refused_with_both_hashes(tmp_path: Path) -> None:
    other = tmp_path / "other.whl"
    other.write_bytes(b"another one")
    with pytest.raises(BuildError, match=r"other\.whl") as refusal:
        fetch.fetch(WHEEL, tmp_path / "kept", str(other))
    words = str(refusal.value)
    assert WHEEL.sha256 in words and hashlib.sha256(b"another one").hexdigest() in words
    assert "NUMPY_WHEEL" in words
    assert not (tmp_path / "kept").exists()


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for source in (str(tmp_path / "nowhere.whl"), "http://127.0.0.1:9/nowhere.whl", "nonsense://x"):
        with pytest.raises(BuildError, match="NUMPY_WHEEL=.*nowhere|nonsense"):
            fetch.fetch(WHEEL, tmp_path, source)


def test_what_is_kept_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / WHEEL.file).write_bytes(CONTENT)
    assert fetch.fetch(WHEEL, tmp_path, "nowhere at all") == tmp_path / WHEEL.file
    (tmp_path / WHEEL.file).write_bytes(b"half of it")
    with pytest.raises(BuildError, match="nowhere at all"):
        fetch.fetch(WHEEL, tmp_path, "nowhere at all")


# ---- out of another package ------------------------------------------------------------------------------


def test_only_a_part_of_the_package_is_read(
    tmp_path: Path, files: type[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    files.content = carrier(padding=20 * fetch.PORTION)
    pip_that(monkeypatch, finds(files.address))
    assert fetch.fetch(WHEEL, tmp_path).read_bytes() == CONTENT
    assert files.sent < 5 * fetch.PORTION


def test_where_ranges_are_refused_the_whole_is_downloaded(
    tmp_path: Path, files: type[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ranges", False)
    files.content = carrier()
    address = files.address
    program = f"""
import sys, urllib.request
if sys.argv[1] == "install":
    {finds(address)}
else:
    (folder,) = (one.partition("=")[2] for one in sys.argv if one.startswith("--dest="))
    urllib.request.urlretrieve({address!r}, folder + "/carrier-1-py3-none-any.whl")
"""
    pip_that(monkeypatch, program)
    assert fetch.fetch(WHEEL, tmp_path).read_bytes() == CONTENT


def test_a_package_without_the_wheel_is_named(
    tmp_path: Path, files: type[Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    files.content = carrier()
    pip_that(monkeypatch, finds(files.address))
    with pytest.raises(BuildError, match=r"open-webui.* brings no numpy-2\.whl along"):
        fetch.fetch(WHEEL._replace(file="numpy-2.whl"), tmp_path)


def test_a_registry_out_of_reach_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip_that(monkeypatch, "import sys; sys.exit('ERROR: No matching distribution found')")
    with pytest.raises(BuildError) as refusal:
        fetch.fetch(WHEEL, tmp_path)
    words = str(refusal.value)
    assert "open-webui==" in words and "PyPI" in words and "NUMPY_WHEEL" in words
    assert words.endswith("pip: ERROR: No matching distribution found")


# ---- the lock --------------------------------------------------------------------------------------------

LOCK = {
    "info": {"python": "3.13.2"},
    "packages": {
        "numpy": {"file_name": "numpy-1.whl", "sha256": "00", "depends": []},
        "scipy": {"file_name": "scipy-1.whl", "sha256": "11", "depends": ["numpy", "openblas"]},
    },
}


def test_the_lock_keeps_what_is_shipped() -> None:
    assert fetch.wanted(LOCK) == Wheel("numpy-1.whl", "00")
    kept = fetch.only(LOCK, "numpy")
    assert list(kept["packages"]) == ["numpy"] and kept["info"] == LOCK["info"]
    with pytest.raises(BuildError, match="openblas"):
        fetch.only(LOCK, "numpy", "scipy")
