"""The app as a process of its own, for tests and benchmarks that need the real thing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
PATIENCE = 60
# No host but our own: a page that asked another one would show it.
CHROMIUM_FLAGS = [
    *["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
    *["--disable-component-update", "--disable-sync"],
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium_path() -> str | None:
    """The Chromium on the PATH; None leaves the choice to Playwright."""
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], T | None], what: str) -> T:
    """The first true value of ``condition()``."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"waited {PATIENCE} s for {what}")


class Server:
    """The app (or a copy) as `make run` starts it, in a process of its own, on a port of its own."""

    def __init__(self, log: Path | None = None, house: Path = ROOT, app: str = "app:app") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.house = house
        self.app = app
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"--host 127.0.0.1 --port {self.port} --http live.sockets:Web --ws live.sockets:Guarded"
        options += " --ws-per-message-deflate false"
        command = [sys.executable, "-m", "uvicorn", self.app, *options.split(), "--no-access-log"]
        command += ["--log-level", "warning", "--timeout-graceful-shutdown", "3"]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        with self.log.open("ab") if self.log else contextlib.nullcontext() as output:
            self.process = subprocess.Popen(
                command, cwd=self.house, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        wait_for(self._answers, "the server")

    def _answers(self) -> dict[str, int] | None:
        assert self.process.poll() is None, self.log.read_text() if self.log else "the server has ended"
        try:
            return self.health()
        except OSError:
            return None

    def health(self) -> dict[str, int]:
        """What the server says of itself."""
        with urllib.request.urlopen(self.url + "/health", timeout=PATIENCE) as answer:
            return json.load(answer)

    def workers(self) -> list[psutil.Process]:
        """All descendants."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> None:
        """End it as Ctrl-C would."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait(PATIENCE)
