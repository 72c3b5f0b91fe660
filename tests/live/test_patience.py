"""Whom the server doesn't wait for: peers that don't read, and peers that don't finish what they began."""

import asyncio
import contextlib
import struct

import pytest
from websockets.frames import Opcode

from live import patience, sockets
from live.patience import Watch
from tests.live.lines import code_and_reason, frame, read_all
from tests.server import wait_for


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "EVERY", 0.02)
    monkeypatch.setattr(patience, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(patience, "UNFINISHED_SECONDS", 0.3)


def test_who_reads_nothing_is_let_go_and_others_are_not(serving, silent, impatient):
    with serving.open() as other, contextlib.closing(serving.upgraded()) as line:
        line.sendall(frame(Opcode.TEXT, b"flood"))
        wait_for(lambda: serving.watch.unread() > 0, "unread bytes")
        wait_for(lambda: len(serving.watch) == 1, "the end of who doesn't read")
        assert serving.watch.unread() == 0
        other.send("still here")
        assert other.recv() == "still here"
    wait_for(lambda: not serving.server.server_state.tasks, "the sessions' end")


def test_answers_to_pings_that_nobody_reads_do_not_pile_up(serving, silent, monkeypatch):
    unlimited = sockets.limits_of("/live")._replace(rate=1e9, burst=10**9)
    monkeypatch.setattr(sockets, "limits_of", lambda path: unlimited)
    highest = 0
    with contextlib.closing(serving.upgraded()) as line:
        line.settimeout(0.5)
        for _ in range(200):
            line.sendall(frame(Opcode.PING, b"x" * 125) * 100)
            highest = max(highest, serving.watch.unread())
        wait_for(lambda: serving.watch.unread() > 0, "unread answers")
        assert max(highest, serving.watch.unread()) < 2**18  # of 2.5 MB


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_that_never_ends_is_let_go(serving, silent, impatient, begun):
    with contextlib.closing(serving.line()) as line:
        line.sendall(begun)
        assert read_all(line) == b""
    wait_for(lambda: not len(serving.watch), "the end")


@pytest.mark.parametrize(
    "begun",
    [frame(Opcode.TEXT, b"x" * 100)[:-1], frame(Opcode.TEXT, b"x", fin=False)],
    ids=["half a frame", "a fragment"],
)
def test_a_message_that_never_ends_is_let_go_and_a_silent_socket_stays(serving, silent, impatient, begun):
    with serving.open() as idle, contextlib.closing(serving.upgraded()) as line:
        line.sendall(begun)
        assert read_all(line) == b""
        idle.send("still here")
        assert idle.recv() == "still here"


def test_lines_beyond_the_most_are_closed(serving, silent, monkeypatch):
    monkeypatch.setattr(sockets, "MOST_LINES", 1)
    monkeypatch.setattr(patience, "UNFINISHED_SECONDS", 10**6)
    with serving.open() as first:
        with contextlib.closing(serving.line()) as line:
            assert read_all(line) == b""
        first.send("still here")
        assert first.recv() == "still here"


class FakePeer:
    """A line with so many bytes that wait."""

    def __init__(self, size):
        self.size, self.aborted, self.unfinished = size, False, None
        self.transport = self

    def get_write_buffer_size(self):
        return self.size

    def abort(self):
        self.aborted = True


def watching(*peers, most=10**9):
    async def watched():
        watch = Watch(most)
        for peer in peers:
            watch.add(peer)
        watch._timer.cancel()
        return watch, asyncio.get_running_loop().time()

    return asyncio.run(watched())


def test_only_who_reads_nothing_at_all_is_let_go():
    stuck, slow, empty, growing = (FakePeer(1000) for _ in range(4))
    watch, now = watching(stuck, slow, empty, growing)
    empty.size = 0
    for second in range(1, 30):
        slow.size = 1000 - second % 5  # less now and then
        growing.size += 10
        watch.look(now + second)
        let_go = [peer for peer in (stuck, slow, empty, growing) if peer.aborted]
        assert let_go == ([stuck, growing] if second >= patience.UNREAD_SECONDS else [])


def test_of_too_much_for_all_those_with_most_go_first():
    peers = [FakePeer(size) for size in (10, 40, 0, 30, 20)]
    watch, now = watching(*peers, most=60)
    assert watch.unread() == 100
    watch.look(now)
    assert [peer.aborted for peer in peers] == [False, True, False, False, False]
    watch, now = watching(*peers, most=25)
    watch.look(now)
    assert [peer.aborted for peer in peers] == [False, True, False, True, True]


def test_there_is_one_timer_for_all_and_none_for_nobody():
    async def scenario():
        watch, peers = Watch(), [FakePeer(0) for _ in range(1000)]
        for peer in peers:
            watch.add(peer)
        timer = watch._timer
        assert timer is not None and len(watch) == 1000
        for peer in peers:
            watch.remove(peer)
        assert watch._timer is None and timer.cancelled()

    asyncio.run(scenario())


# --- the end --------------------------------------------------------------------------------------------


def test_the_server_ends_quietly_whatever_its_peers_are_at(serving, silent):
    lines = [serving.upgraded() for _ in range(3)]
    for line in lines[:2]:
        line.sendall(frame(Opcode.TEXT, b"flood"))
    wait_for(lambda: serving.app.heard == ["flood", "flood"], "the questions")
    lines[1].sendall(frame(Opcode.CLOSE, struct.pack("!H", 1000)))  # and it never reads the answer
    lines += [serving.line() for _ in range(2)]
    lines[3].sendall(b"GET / HT")
    lines[4].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # nor this one
    wait_for(lambda: len(serving.watch) == 5, "five lines")
    serving.stop()
    assert code_and_reason(read_all(lines[2])) == (1012, "")
    for line in lines:
        line.close()
