"""A server of our own, and clients of its channel."""

import json
import logging
import signal

import psutil
import pytest
from websockets.sync.client import connect

from live import messages, sockets
from tests.live.lines import Serving
from tests.server import PATIENCE, Server, wait_for


class Client:
    """A page's side of the channel."""

    def __init__(self, address, **how):
        patience = {"open_timeout": PATIENCE, "close_timeout": 1}
        self.opening = connect(address, **patience | {"compression": None, "max_queue": None} | how)
        self.costs = []  # what came on costs, which come whenever they are measured

    def send(self, message):
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def receive(self):
        """The next message that isn't about costs: its header, and its arrays by name."""
        while (received := self.receive_any())[0]["kind"] == "cost":
            pass
        return received

    def receive_any(self):
        message = self.socket.recv(timeout=PATIENCE)
        header, arrays = (json.loads(message), {}) if isinstance(message, str) else messages.unpack(message)
        if header["kind"] == "cost":
            self.costs.append(header)
        return header, arrays

    def receive_costs(self, count):
        """The first so many messages about costs; others that come meanwhile are dropped."""
        while len(self.costs) < count:
            self.receive_any()
        return self.costs[:count]

    def ask(self, message):
        self.send(message)
        return self.receive()

    def __enter__(self):
        self.socket = self.opening.__enter__()
        return self

    def __exit__(self, *what):
        self.opening.__exit__(*what)


class LiveServer(Server):
    """A server with clients of its channel."""

    def client(self, **how):
        return Client(self.url.replace("http", "ws") + "/live", **{"origin": self.url} | how)


def alive(processes):
    """Those that still run; who has ended but isn't collected yet doesn't."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """Start servers; whatever is left of them ends with the tests."""
    started = []

    def start():
        started.append(LiveServer(tmp_path_factory.mktemp("server") / "log"))
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


@pytest.fixture
def serving(monkeypatch):
    """A small app on the lab's own protocols."""
    monkeypatch.setattr(sockets, "LINGER", 0.5)
    one = Serving()
    yield one
    one.stop()


@pytest.fixture
def silent(caplog):
    """Nothing that peers do is worth a line of the log."""
    caplog.set_level(logging.INFO)
    yield
    told = [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
    assert not told, [record.getMessage() for record in told]
