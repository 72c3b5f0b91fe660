"""A server of our own, as `make run` starts it, on a free port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from websockets.sync.client import connect

from live import messages

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60


def wait_for(condition, what):
    """The first true value of ``condition()``."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"waited {PATIENCE} s for {what}")


class Client:
    """A page's side of the channel."""

    def __init__(self, address, **how):
        patience = {"open_timeout": PATIENCE, "close_timeout": 1}
        self.opening = connect(address, **patience | {"compression": None, "max_queue": None} | how)

    def send(self, message):
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def receive(self):
        """The next message: its header, and its arrays by name."""
        message = self.socket.recv(timeout=PATIENCE)
        return (json.loads(message), {}) if isinstance(message, str) else messages.unpack(message)

    def ask(self, message):
        self.send(message)
        return self.receive()

    def __enter__(self):
        self.socket = self.opening.__enter__()
        return self

    def __exit__(self, *what):
        self.opening.__exit__(*what)


class Server:
    """`uvicorn app:app` in a process of its own; its workers are its child processes."""

    def __init__(self, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = log
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self.port), "--no-access-log"]
        command += ["--ws", "websockets-sansio", "--log-level", "warning", "--timeout-graceful-shutdown", "3"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        self.origin = f"http://127.0.0.1:{self.port}"
        wait_for(self._answers, f"the server; its log says: {log.read_text()}")

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.health()
        except OSError:
            return None

    def health(self):
        with urllib.request.urlopen(f"{self.origin}/health", timeout=PATIENCE) as answer:
            return json.load(answer)

    def client(self, **how):
        return Client(f"ws://127.0.0.1:{self.port}/live", **{"origin": self.origin} | how)

    def workers(self):
        """Process numbers of all descendants."""
        lines = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = dict(map(int, line.split()) for line in lines.splitlines())
        found = {self.process.pid}
        while more := {child for child, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.process.pid}

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)


def alive(pids):
    """Those that still run; who has ended but isn't collected yet doesn't."""
    lines = subprocess.run(["ps", "-eo", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    states = dict(line.split() for line in lines.splitlines())
    return {pid for pid in pids if not states.get(str(pid), "Z").startswith("Z")}


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """Start servers; whatever is left of them ends with the tests."""
    started = []

    def start():
        started.append(Server(tmp_path_factory.mktemp("server") / "log"))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def server(start_server):
    """One server that tests share; at the end it has nothing to complain about."""
    server = start_server()
    yield server
    assert server.process.poll() is None, server.log.read_text()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client
    wait_for(lambda: server.health()["sockets"] == 0, "the socket's end")


@pytest.fixture(scope="session")
def ended():
    """Wait until none of some processes runs any more."""
    return lambda pids: wait_for(lambda: not alive(pids), f"the end of {pids}")


@pytest.fixture(scope="session")
def patiently():
    return wait_for


@pytest.fixture(scope="session")
def send_signal():
    return {"end": signal.SIGTERM, "interrupt": signal.SIGINT, "kill": signal.SIGKILL}
