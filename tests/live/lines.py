"""A small app on the lab's own protocols, and peers that do to it what no page does."""

import asyncio
import contextlib
import socket
import struct
import threading

import uvicorn
from websockets.frames import Frame
from websockets.sync.client import connect

from live.patience import Watch
from live.sockets import EXTENSION, Framed, Guarded, Web
from tests.server import wait_for


class App:
    """Tells back what it is told, or sends what it is asked for; keeps what it received."""

    def __init__(self):
        self.heard, self.ends, self.lines = [], [], []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = [(b"content-length", b"8000000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for more in reversed(range(100)):
                await send({"type": "http.response.body", "body": b"x" * 80000, "more_body": more > 0})
                await asyncio.sleep(0)
            return
        await receive()
        if scope["path"] == "/refused/live":
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"not you"})
            return
        await send({"type": "websocket.accept"})
        line = scope["extensions"][EXTENSION]
        self.lines.append(line)
        while (message := await receive())["type"] != "websocket.disconnect":
            self.heard.append(message.get("text", message.get("bytes")))
            if message.get("text") == "flood":
                while True:
                    await line.deliver(Framed.of(b"x" * 50000))
            elif message.get("text") == "goodbye":
                await send({"type": "websocket.close", "code": 1008, "reason": "goodbye"})
            elif message.get("text") == "trip":
                while not line.disconnected:
                    await asyncio.sleep(0.01)
                raise ValueError("over what is gone")
            else:
                await send(message | {"type": "websocket.send"})
        self.ends.append(message["code"])


class Serving:
    """The app on the protocols under test, in a thread of its own."""

    def __init__(self):
        self.watch, self.app = Watch(), App()
        ws = type("Guarded", (Guarded,), {"watch": self.watch})
        http = type("Web", (Web,), {"watch": self.watch})
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        config = uvicorn.Config(
            self.app, ws=ws, http=http, ws_per_message_deflate=False, log_config=None, access_log=False,
            lifespan="off", timeout_graceful_shutdown=10,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self.failed = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started, "the server")

    def run(self):
        try:
            self.server.run([self.listening])
        except BaseException as error:
            self.failed = error

    def open(self, path="/live", **how):
        return connect(f"ws://127.0.0.1:{self.port}{path}", compression=None, max_size=None, **how)

    def line(self):
        """A line of bytes, whose small buffer is soon full."""
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(60)
        line.connect(("127.0.0.1", self.port))
        return line

    def upgraded(self, path="/live"):
        """A line on which a WebSocket has been opened."""
        line = self.line()
        line.sendall(handshake(path))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += line.recv(1)
        assert answer.startswith(b"HTTP/1.1 101")
        return line

    def stop(self):
        self.server.should_exit = True
        self.thread.join(60)
        assert not self.thread.is_alive() and self.failed is None, self.failed


def handshake(path, more=""):
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    ).encode()


def frame(opcode, data=b"", fin=True):
    return Frame(opcode, data, fin).serialize(mask=True)


def read_all(line):
    """Everything up to the end of a line, however it ends."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while more := line.recv(2**16):
            came += more
    return came


def code_and_reason(came):
    """What the close frame at the end says."""
    start = came.rindex(b"\x88")
    length = came[start + 1]
    assert len(came) == start + 2 + length
    return struct.unpack_from("!H", came, start + 2)[0], came[start + 4 :].decode()
