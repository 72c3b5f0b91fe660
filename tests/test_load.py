"""The benchmarks' visitors: their WebSocket beside another one, what they ask, and what they count."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from benchmarks import _visitor, load, openings
from benchmarks._visitor import LOOK_EVERY, Visitor
from benchmarks._websocket import ROOM, Socket
from book.race.settings import LAB_CONTROLS
from live.wire import pack
from tests.server import ROOT

CAME, WINDOW, END = 100.0, (105.0, 125.0), 127.0


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.sent, self.closed = b"", False

    def write(self, data):
        self.sent += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


class Listener:
    """Keeps what is heard."""

    def __init__(self):
        self.heard, self.why = [], ""

    def opened(self, socket):
        socket.send({"kind": "lab"})

    def hear(self, header):
        self.heard.append(header)

    def lost(self, why):
        self.why = why


class Line:
    """A socket of ours and a server's protocol of websockets', wired by hand."""

    def __init__(self):
        self.listener, self.transport, self.server = Listener(), Transport(), ServerProtocol()
        self.socket = Socket("http://127.0.0.1:8501", self.listener)
        self.socket.connection_made(self.transport)
        (request,) = self.told()
        assert isinstance(request, Request) and request.headers["Origin"] == "http://127.0.0.1:8501"
        self.server.send_response(self.server.accept(request))

    def told(self):
        """What the server understands of what we have sent."""
        self.server.receive_data(self.transport.sent)
        self.transport.sent = b""
        return self.server.events_received()

    def deliver(self, piece=2**16):
        """Bring what the server has sent, in pieces; return what was kept of it at most."""
        data, most = b"".join(self.server.data_to_send()), 0
        for start in range(0, len(data), piece):
            part = data[start : start + piece]
            self.socket.get_buffer(-1)[: len(part)] = part
            self.socket.buffer_updated(len(part))
            most = max(most, len(self.socket.rest))
        return most


@pytest.mark.parametrize("piece", [1, 2, 7, 100, 2**16])
def test_a_socket_hears_what_websockets_sends_in_any_pieces(piece):
    line = Line()
    server = line.server
    frames = {"kind": "frames", "lane": 0}
    server.send_binary(pack(frames, {"rows": np.arange(600.0).reshape(3, 200)}))
    server.send_text(json.dumps({"kind": "cost", "seconds": 0.5}).encode())
    server.send_ping(b"alive?")
    server.send_text(b'{"kind": "ver', fin=False)
    server.send_ping(b"between")
    server.send_continuation(b'dict", "step": 5}', fin=True)
    server.send_binary(pack(frames | {"lane": 1}, {})[:9], fin=False)
    server.send_continuation(pack(frames | {"lane": 1}, {})[9:], fin=True)
    server.send_text(json.dumps({"kind": "long", "text": "x" * 70_000}).encode())
    line.deliver(piece)
    assert [header["kind"] for header in line.listener.heard] == [
        "frames", "cost", "verdict", "frames", "long",
    ]  # fmt: skip
    assert line.listener.heard[0]["arrays"] == [["rows", [3, 200]]]
    assert line.listener.heard[2] == {"kind": "verdict", "step": 5}
    assert line.listener.heard[3]["lane"] == 1
    asked, *pongs = line.told()
    assert json.loads(asked.data) == {"kind": "lab"}
    assert [(pong.opcode, bytes(pong.data)) for pong in pongs] == [
        (Opcode.PONG, b"alive?"), (Opcode.PONG, b"between"),
    ]  # fmt: skip
    server.send_close(1008, "goodbye")
    line.deliver(piece)
    (close,) = line.told()
    assert close.opcode is Opcode.CLOSE and line.transport.closed
    line.socket.connection_lost(None)
    assert line.listener.why == "closed by the server, code 1008 goodbye"


def test_arrays_are_passed_over_and_told_once_they_are_complete():
    line = Line()
    message = pack({"kind": "frames"}, {"rows": np.zeros((1000, 1000))})
    line.server.send_binary(message)
    assert line.deliver(1000) < 1000
    assert [header["kind"] for header in line.listener.heard] == ["frames"]
    line.server.send_binary(message)
    whole = b"".join(line.server.data_to_send())
    for data, heard in ((whole[:-1], 1), (whole[-1:], 2)):
        for start in range(0, len(data), len(ROOM)):
            part = data[start : start + len(ROOM)]
            line.socket.get_buffer(-1)[: len(part)] = part
            line.socket.buffer_updated(len(part))
        assert len(line.listener.heard) == heard


def test_every_size_that_is_sent_is_understood():
    line = Line()
    line.deliver()
    line.told()
    for size in (0, 125, 126, 65_535, 65_536):
        line.socket.write(b"x" * size)
        (frame,) = line.told()
        assert bytes(frame.data) == b"x" * size


def test_a_server_that_refuses_is_named():
    line = Line()
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    line.socket.get_buffer(-1)[: len(answer)] = answer
    line.socket.buffer_updated(len(answer))
    line.socket.connection_lost(None)
    assert line.listener.why == "the server answered HTTP/1.1 403 Forbidden"


# ---- what a visitor asks and counts ------------------------------------------------------------------------


class Course:
    """A visitor whose clock and whose server are the test."""

    def __init__(self, monkeypatch):
        self.now, self.sent = CAME, []
        monkeypatch.setattr(_visitor, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.visitor = Visitor({"seed": 7}, WINDOW)
        self.visitor.begin(self.now)
        self.visitor.opened(SimpleNamespace(send=self.sent.append, leave=lambda: None))

    def frames(self, count):
        """Bring so many frames of both lanes."""
        for lane in range(2):
            shape = [["rows", [count, 10]]]
            self.visitor.hear({"kind": "frames", "lane": lane, "ghost": False, "arrays": shape})

    def start(self, count):
        """Answer the question for the race."""
        self.visitor.hear({"kind": "lab", "lanes": [{}, {}], "validate_every": 5})
        self.frames(count)

    def go(self, until, answer=("verdict",)):
        """Let time pass, with the looks at the clock; questions of these kinds are answered at once."""
        while self.now + LOOK_EVERY <= until:
            self.now += LOOK_EVERY
            before = len(self.sent)
            self.visitor.look(self.now)
            for asked in self.sent[before:]:
                if asked["kind"] == "verdict" and "verdict" in answer:
                    self.visitor.hear({"kind": "verdict", "step": asked["step"]})
                if asked["kind"] == "until" and "until" in answer:
                    self.frames(asked["step"] - self.visitor.reached)
        self.now = until

    def asked(self, kind):
        return [message["step"] for message in self.sent if message["kind"] == kind]

    def leave(self):
        self.go(END)
        return self.visitor.leave(self.now)


def test_a_dark_screen_counts_with_its_age(monkeypatch):
    course = Course(monkeypatch)
    seen = course.leave()
    assert seen.dark and seen.steps == 0 and seen.verdicts == seen.unanswered == []
    assert len(seen.latency) == (WINDOW[1] - WINDOW[0]) / LOOK_EVERY
    assert set(seen.latency) == {END - CAME} == {seen.first_picture} == set(seen.standstill)
    half = Course(monkeypatch)  # one lane of two is no picture
    half.visitor.hear({"kind": "lab", "lanes": [{}, {}], "validate_every": 5})
    half.visitor.hear({"kind": "frames", "lane": 0, "ghost": False, "arrays": [["rows", [9, 10]]]})
    half.visitor.hear({"kind": "frames", "lane": 1, "ghost": True, "arrays": [["rows", [9, 10]]]})
    assert half.leave().dark


def test_a_dark_screen_that_ends_counts_until_then(monkeypatch):
    course = Course(monkeypatch)
    course.go(110.0)
    course.start(1000)
    seen = course.leave()
    waited = [latency for latency in seen.latency if latency > 0.04]
    assert not seen.dark and seen.first_picture == 10 and seen.standstill == [10]
    assert waited == [10.0] * 21  # looks from 105 to 110
    assert len(seen.latency) == 80 and max(set(seen.latency) - {10.0}) <= 1 / 30
    assert seen.steps == pytest.approx(30 * 15)


def test_a_standstill_counts_until_the_next_step_is_shown(monkeypatch):
    course = Course(monkeypatch)
    course.start(181)  # up to step 180, which is shown at 106
    course.go(112.1)
    course.frames(1000)
    seen = course.leave()
    assert seen.standstill == [pytest.approx(6.1)]
    assert max(seen.latency) == pytest.approx(6.1 + 1 / 30)
    assert seen.steps == pytest.approx(30 * (1 + 12.9))


def test_a_standstill_and_looks_that_never_end_have_their_age(monkeypatch):
    course = Course(monkeypatch)
    course.start(181)
    seen = course.leave()
    assert seen.standstill == [pytest.approx(END - 106)]
    assert max(seen.latency) == pytest.approx(END - 106) and len(seen.latency) == 80


def test_verdicts_are_asked_one_after_another_and_those_without_an_answer_have_their_age(monkeypatch):
    course = Course(monkeypatch)
    course.start(1000)
    course.go(110.0)
    steps = course.asked("verdict")
    assert steps[0] == 25 and all(step % 5 == 0 for step in steps)  # half a second ahead of 7.5
    apart = np.diff(steps)
    assert min(apart) >= 15 and max(apart) <= 30  # none before the last one's step is shown
    answered = len(course.visitor.seen.verdicts)
    assert answered == len([step for step in steps if step > 150])  # those of the window
    while course.asked("verdict") == steps:
        course.go(course.now + LOOK_EVERY, answer=())
    first = course.now
    course.go(first + 9.75, answer=())
    assert len(course.asked("verdict")) == len(steps) + 1  # nothing more before it counts as lost
    course.go(END, answer=())
    seen = course.visitor.leave(END)
    assert len(seen.verdicts) == answered
    assert seen.unanswered == [pytest.approx(END - asked) for asked in (first, first + 10)]


def test_more_steps_are_asked_for_in_the_portions_of_the_page(monkeypatch):
    course = Course(monkeypatch)
    opening = course.sent[0]
    assert (opening["kind"], opening["until"], opening["values"]) == ("lab", 120, {"seed": 7, "step": 0})
    course.start(121)
    course.go(CAME + 65, answer=("verdict", "until"))
    assert course.asked("until")[-1] == 1980  # no smaller portion while there is enough
    course.go(CAME + 70, answer=("verdict", "until"))
    assert course.asked("until") == [*range(180, 2000, 60), 2000]
    assert course.asked("verdict")[-1] == course.visitor.place == 2000
    assert course.visitor.stands is None  # the end is no wait


def test_problems_and_refused_races_are_errors(monkeypatch):
    course = Course(monkeypatch)
    course.visitor.hear({"kind": "problem", "message": "too much"})
    course.visitor.hear({"kind": "lab", "lanes": [], "validate_every": 5, "refused": {"text": "too large"}})
    course.visitor.hear({"kind": "line", "sharing": 9, "before": 3})
    seen = course.leave()
    assert seen.errors == ["too much", "too large"] and seen.dark and seen.queued


def test_visitors_ask_at_the_times_of_the_page():
    exchange = (ROOT / "assets" / "exchange.js").read_text()
    playhead = (ROOT / "assets" / "playhead.js").read_text()

    def constant(name, text):
        found = re.search(rf"const {name} = ([\d_]+);", text)
        assert found, f"{name} has gone: look at what the page does now"
        return int(found[1].replace("_", ""))

    assert constant("PORTION", exchange) == _visitor.PORTION
    assert constant("VERDICT_EVERY_MS", exchange) == 1000 * _visitor.VERDICT_EVERY
    assert constant("VERDICT_LOST_MS", exchange) == 1000 * _visitor.VERDICT_LOST
    assert constant("LAST", playhead) == _visitor.LAST
    speed = next(control for control in LAB_CONTROLS if control.name == "speed")
    assert speed.default == _visitor.SPEED


def test_the_report_counts_who_saw_nothing(monkeypatch, capsys):
    course = Course(monkeypatch)
    told = [load.Told([course.leave()], 0.1, 1e-5)]
    used = load.Used(1.0, {1: 2.0}, 2**20, 2**20)
    later = load.Used(3.0, {1: 2.5, 2: 1.5}, 3 * 2**20, 2**20)
    load.report("1 visitor", told, [used, used, later], load.Phases())
    said = capsys.readouterr().out.splitlines()
    assert "visitors without a picture 1 of 1; told their place in the line 0" in said
    for figure in ("update latency, ms", "first picture, ms", "longest standstill of a visitor, ms"):
        (line,) = [line for line in said if line.startswith(figure)]
        assert line.split()[-3:] == ["27000"] * 3
    assert any("server 10%, workers 10%" in line for line in said)  # a worker that is new counts, too
    assert all(any(line.startswith(figure) for line in said) for figure in load.FIGURES)


# ---- opening pages -----------------------------------------------------------------------------------------


def test_files_are_fetched_whatever_the_form_of_the_answer():
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"",  # the server closes the line: the file is asked for again
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    ]
    asked, lines = [], []

    async def answer(reader, writer):
        lines.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):  # the other side has closed the line
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head.decode())
                if not (said := answers.pop(0)):
                    break
                writer.write(said)
        writer.close()

    async def fetch():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            kept = openings.Kept(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            file = openings.File("/a.js", 200, '"tag"', immutable=False, late=False)
            for again in (False, False, True, False):
                await kept.get(file, again)
            with pytest.raises(OSError, match="answered 500; a browser got 200"):
                await kept.get(file, False)
            kept.close()
            for line in lines:
                await line.wait_closed()

    asyncio.run(fetch())
    assert len(asked) == 6 and len(lines) == 2
    assert ["If-None-Match" in head for head in asked] == [False, False, True, False, False, False]
    assert all("Accept-Encoding: gzip" in head for head in asked)
