"""What a peer may send, and how what it is sent leaves: a small app on the lab's own protocols."""

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from live import sockets
from live.once import Shared
from live.sockets import MOST_FRAGMENTS, Allowance, Framed
from live.wire import MAX_MESSAGE
from tests.live.lines import code_and_reason, frame, handshake, read_all
from tests.server import ROOT, wait_for

LIVE = sockets.limits_of("/live")
STREAM = sockets.limits_of("/_stcore/stream")


# --- messages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_a_framed_message_is_the_frame_that_websockets_makes(size):
    for message, opcode in ((b"\x7e" * size, Opcode.BINARY), ("ü" * (size // 2), Opcode.TEXT)):
        framed = Framed.of(message)
        payload = message if isinstance(message, bytes) else message.encode()
        assert framed == Frame(opcode, payload).serialize(mask=False)
        assert framed.message == message
        assert Framed.of(framed) is framed
    shared = Shared(b"x" * size)
    assert Framed.of(shared) is Framed.of(shared)


def test_messages_arrive_whole_and_in_order(serving):
    with serving.open() as client:
        sent = ["", "a", "ü" * 8000, b"", b"\x00" * 126, b"x" * 30000]
        for message in sent:
            client.send(message)
        assert [client.recv() for _ in sent] == sent
    assert serving.app.heard == sent


def test_pings_are_answered_and_the_close_is_told(serving):
    with serving.open() as client:
        assert client.ping(b"well?").wait(60)
    wait_for(lambda: serving.app.ends == [1000], "the app's end")


def test_what_is_sent_to_who_has_left_is_told_to_the_sender(serving):
    with serving.open() as client:
        client.send("hello")
        client.recv()
    (line,) = serving.app.lines
    wait_for(lambda: line.disconnected, "the end")
    for send in (line.deliver("late"), line.send({"type": "websocket.close"})):
        with pytest.raises(ClientDisconnected):
            asyncio.run(send)


# --- limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "limits"), [("/live", LIVE), ("/lab/live", LIVE), ("/_stcore/stream", STREAM)]
)
def test_a_message_has_a_greatest_size_in_one_frame_or_many(serving, silent, path, limits):
    assert LIVE.size == 4 * MAX_MESSAGE
    half = b"x" * (limits.size // 2)
    for pieces in ([half + half], [half, half]):
        with serving.open(path) as client:
            client.send(pieces)
            assert client.recv() == half + half
        with serving.open(path) as client, pytest.raises(ConnectionClosed) as end:
            client.send([*pieces, b"x"] if len(pieces) > 1 else pieces[0] + b"x")
            client.recv()
        assert end.value.rcvd.code == 1009 and str(limits.size) in end.value.rcvd.reason or len(pieces) > 1


FLOODS = {
    "pings": frame(Opcode.PING, b"x" * 100),
    "pongs": frame(Opcode.PONG),
    "messages": frame(Opcode.BINARY, b"{}"),
    "empty messages": frame(Opcode.BINARY),
    "empty fragments": frame(Opcode.CONT, fin=False),
}


@pytest.mark.parametrize("path", ["/live", "/_stcore/stream"])
@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_frames_of_any_kind_is_ended(serving, silent, kind, path):
    limits = sockets.limits_of(path)
    with serving.open() as other, contextlib.closing(serving.upgraded(path)) as line:
        first = frame(Opcode.BINARY, fin=False) if kind == "empty fragments" else b""
        with contextlib.suppress(ConnectionError):
            line.sendall(first + FLOODS[kind] * 20 * limits.burst)
        code, reason = code_and_reason(read_all(line))
        if kind == "empty fragments":
            assert code == 1009 and "fragments" in reason or code == 1008
        else:
            assert code == 1008 and f"{limits.rate:.0f} frames a second" in reason
        other.send("still here")
        assert other.recv() == "still here"
    assert len(serving.app.heard) <= limits.burst + 1


def test_a_flood_after_the_apps_goodbye_is_thrown_away_and_the_goodbye_read(serving, silent):
    with contextlib.closing(serving.upgraded()) as line:
        line.sendall(frame(Opcode.TEXT, b"goodbye"))
        wait_for(lambda: serving.app.lines and serving.app.lines[0].close_sent, "the app's goodbye")
        for _ in range(20):
            line.sendall(FLOODS["pings"] * LIVE.burst)  # fails where the line is reset
        wait_for(lambda: serving.app.lines[0]._refused, "the flood")
        assert not serving.app.lines[0].transport.is_closing()
        line.shutdown(socket.SHUT_WR)
        assert code_and_reason(read_all(line)) == (1008, "goodbye")


def test_fragments_are_counted_however_slowly_they_come(serving, silent, monkeypatch):
    monkeypatch.setattr(sockets, "limits_of", lambda path: LIVE._replace(rate=1e6, burst=10**6))
    with contextlib.closing(serving.upgraded()) as line:
        line.sendall(frame(Opcode.BINARY, fin=False) + frame(Opcode.CONT, fin=False) * MOST_FRAGMENTS)
        assert code_and_reason(read_all(line))[0] == 1009
    assert serving.app.heard == []


def test_an_allowance_comes_back_with_time():
    allowance = Allowance(rate=10, burst=5, now=0.0)
    assert allowance.take(5, 0.0) and not allowance.take(1, 0.0)
    assert allowance.take(4, 0.5) and not allowance.take(6, 100.0)


BROKEN = {
    "invalid UTF-8": (frame(Opcode.TEXT, b"\xff"), 1007),
    "UTF-8 that is cut off": (frame(Opcode.TEXT, "ü".encode()[:1], fin=False) + frame(Opcode.CONT), 1007),
    "an unknown opcode": (b"\x85\x80\x00\x00\x00\x00", 1002),
    "no mask": (b"\x81\x01a", 1002),
    "a long ping": (b"\x89\xfe\x00\xff\x00\x00\x00\x00", 1002),
    "a fragment of nothing": (frame(Opcode.CONT, b"x"), 1002),
    "a close of one byte": (frame(Opcode.CLOSE, b"x"), 1002),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_breaks_the_protocol_ends_the_socket_and_fills_no_log(serving, silent, what):
    content, code = BROKEN[what]
    with contextlib.closing(serving.upgraded()) as line:
        if what == "a long ping":
            content += b"x" * 255
        line.sendall(content + frame(Opcode.TEXT, b"more") * 3)
        assert code_and_reason(read_all(line))[0] == code
    assert serving.app.heard == []
    wait_for(lambda: serving.app.ends == [code], "the app's end")


def test_streamlit_is_sent_no_text(serving, silent):
    with serving.open("/_stcore/stream") as client, pytest.raises(ConnectionClosed) as end:
        client.send("text")
        client.recv()
    assert end.value.rcvd.code == 1003


def test_a_header_that_is_too_long_is_answered(serving, silent):
    with contextlib.closing(serving.line()) as line:
        line.sendall(handshake("/live", f"X: {'a' * 9000}\r\n"))
        assert read_all(line).startswith(b"HTTP/1.1 431")


def test_an_answer_in_place_of_a_socket_is_no_complaint(serving, silent):
    with pytest.raises(InvalidStatus) as refusal, serving.open("/refused/live"):
        pass
    assert refusal.value.response.status_code == 403 and refusal.value.response.body == b"not you"
    wait_for(lambda: not serving.server.server_state.tasks, "the session's end")


def test_what_is_no_request_fills_no_log(serving, silent):
    for content in (
        b"\x16\x03\x01nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        handshake("/").replace(b"websocket", b"h2c"),
    ):
        with contextlib.closing(serving.line()) as line:
            line.sendall(content)
            assert line.recv(100).startswith(b"HTTP/1.1 ")


def test_who_leaves_in_mid_answer_is_no_error(serving, silent):
    for word in ("trip", "flood"):
        line = serving.upgraded()
        line.sendall(frame(Opcode.TEXT, word.encode()))
        wait_for(lambda word=word: word in serving.app.heard, "the question")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        line.close()
    wait_for(lambda: not serving.server.server_state.tasks, "the sessions' end")


def test_an_error_of_the_apps_own_is_still_told(serving, caplog):
    async def fails(scope, receive, send):
        await send({"type": "websocket.accept"})
        raise ValueError("of its own")

    serving.server.config.loaded_app = fails
    with serving.open() as client, pytest.raises(ConnectionClosed):
        client.recv()
    wait_for(lambda: "of its own" in caplog.text, "the log")


# --- how it is started ----------------------------------------------------------------------------------


def test_numpy_waits_for_the_app_to_choose_its_threads():
    program = "import sys, live.sockets; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_make_run_starts_the_server_with_these_protocols():
    line = (ROOT / "Makefile").read_text("utf-8")
    assert "--http live.sockets:Web --ws live.sockets:Guarded" in line and 'BNLAB_HOST="$(HOST)"' in line


@pytest.mark.skipif(os.name != "posix", reason="there is no such limit")
def test_a_full_house_may_open_its_files():
    program = (
        "import resource as r, live.sockets as s\n"
        "hard = r.getrlimit(r.RLIMIT_NOFILE)[1]\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (256, hard))\ns.make_room()\n"
        "print(r.getrlimit(r.RLIMIT_NOFILE)[0], hard)"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    soft, hard = map(int, answer.stdout.split())
    assert soft == min(hard if hard > 0 else soft, sockets.MOST_LINES + sockets.OTHER_FILES)


def test_the_labs_own_server_has_these_limits(server):
    with server.client() as client, pytest.raises(ConnectionClosed) as end:
        client.send(b"x" * (LIVE.size + 1))
        client.socket.recv(timeout=60)
    assert end.value.rcvd.code == 1009
