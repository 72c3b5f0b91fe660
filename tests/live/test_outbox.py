"""Files on their way: what is written when, what is sent how, and who is given up for whom."""

from __future__ import annotations

import asyncio
import gzip
import math
from collections.abc import Awaitable, Callable

import pytest

from live import outbox as outboxes
from live.outbox import GivenUp, Outbox, compressed, portions
from live.wire import unpack

LIMIT = 60
ROOM = 1000


class Reader:
    """A socket that takes what it is allowed to."""

    def __init__(self, allowed: float = math.inf) -> None:
        self.got: list[bytes] = []
        self.allowed = allowed
        self.news = asyncio.Event()

    async def send(self, message: str | bytes) -> None:
        assert isinstance(message, bytes)
        while len(self.got) >= self.allowed:
            self.news.clear()
            await self.news.wait()
        await asyncio.sleep(0)
        self.got.append(message)

    def read(self, count: float = math.inf) -> None:
        self.allowed += count
        self.news.set()


def played(scenario: Callable[[Outbox], Awaitable[None]]) -> None:
    """Run a scenario; afterwards nothing waits, and nothing is counted."""

    async def run() -> None:
        outbox = Outbox(ROOM)
        await asyncio.wait_for(scenario(outbox), LIMIT)
        await settle()
        assert outbox.nbytes == 0 and asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Writer:
    """A file that is written until the test says that it is done."""

    def __init__(self, outbox: Outbox, size: int) -> None:
        self.begun, self.done = False, asyncio.Event()
        self.task = asyncio.create_task(self.write(outbox, size))

    async def write(self, outbox: Outbox, size: int) -> None:
        async with outbox.writing(size):
            self.begun = True
            await self.done.wait()


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "PORTION", 64)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is behind may be given up at once."""
    monkeypatch.setattr(outboxes, "PATIENCE", 0.0)
    monkeypatch.setattr(outboxes, "AGAIN", 0.001)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is ever given up."""
    monkeypatch.setattr(outboxes, "PATIENCE", math.inf)
    monkeypatch.setattr(outboxes, "AGAIN", 0.001)


# ---- a file as messages --------------------------------------------------------------------------------


def test_a_compressed_text_is_a_gzip_file_of_it_and_always_the_same() -> None:
    text = "".join(f"{i},μ\n" for i in range(1000))
    content = compressed(iter([text[:700], "", text[700:]]))
    assert gzip.decompress(content).decode() == text and len(content) < len(text) / 2
    assert content == compressed([text[:700], "", text[700:]])
    assert gzip.decompress(compressed([])) == b""


@pytest.mark.parametrize("size", [1, 63, 64, 65, 640])
def test_portions_are_small_and_say_where_they_belong(size: int) -> None:
    content = bytes(i % 251 for i in range(size))
    messages = [unpack(message) for message in portions(7, "a.csv", content)]
    assert len(messages) == math.ceil(size / 64)
    joined = b""
    for header, arrays in messages:
        place = {"kind": "file", "id": 7, "name": "a.csv", "size": size, "start": len(joined), "arrays": []}
        assert header == place | {"bytes": content[len(joined) :][:64]} and arrays == {}
        joined += header["bytes"]
    assert joined == content


# ---- sending -------------------------------------------------------------------------------------------


def test_a_file_goes_as_fast_as_it_is_read_and_counts_until_its_end() -> None:
    async def scenario(outbox: Outbox) -> None:
        reader = Reader(0)
        sending = asyncio.create_task(outbox.send(1, "a", bytes(640), reader.send))
        for count in range(10):
            await settle()
            assert len(reader.got) == count and outbox.nbytes == 640
            reader.read(1)
        await sending
        assert b"".join(unpack(message)[0]["bytes"] for message in reader.got) == bytes(640)

    played(scenario)


def test_a_file_that_several_are_sent_counts_once() -> None:
    async def scenario(outbox: Outbox) -> None:
        content, other = bytes(640), bytes(100)
        readers = [Reader(0) for _ in range(4)]
        contents = [content, content, content, other]
        sending = [
            asyncio.create_task(outbox.send(1, "a", content, reader.send))
            for reader, content in zip(readers, contents, strict=True)
        ]
        await settle()
        assert outbox.nbytes == 740
        for reader in readers[:3]:
            assert outbox.nbytes == 740
            reader.read()
            await settle()
        assert outbox.nbytes == 100
        await end(*sending)

    played(scenario)


def test_who_reads_slowly_falls_behind_and_who_reads_does_not() -> None:
    """By 128 KiB a second: what is read fast at first is no credit for later."""
    rate = outboxes.SLOWEST

    async def scenario(outbox: Outbox) -> None:
        async with asyncio.timeout(None) as limit:
            sent = outboxes._Sent(b"", limit, 100.0)
            for second in range(1, 50):
                sent.read(rate, 100.0 + second)
                assert sent.behind(100.0 + second) == 0
            sent.read(50 * rate, 150.0)
            assert sent.behind(152.0) == 2
            for second in range(1, 9):
                sent.read(rate // 2, 152.0 + second)
                assert sent.behind(152.0 + second) == 2 + second / 2

    played(scenario)


# ---- room ----------------------------------------------------------------------------------------------


def test_nobody_is_given_up_while_there_is_room(impatient: None) -> None:
    async def scenario(outbox: Outbox) -> None:
        sending = asyncio.create_task(outbox.send(1, "a", bytes(600), Reader(0).send))
        writer = Writer(outbox, 400)
        await settle()
        assert writer.begun and not sending.done() and outbox.nbytes == ROOM
        await end(sending, writer.task)

    played(scenario)


def test_who_does_not_read_gives_way_to_who_needs_the_room(impatient: None) -> None:
    async def scenario(outbox: Outbox) -> None:
        lazy, busy = Reader(1), Reader(1)  # the lazy one is first: so it is behind, however slow the machine
        sending = [
            asyncio.create_task(outbox.send(1, f"{name}.csv", content, reader.send))
            for name, content, reader in (("lazy", bytes(500), lazy), ("busy", bytes(499), busy))
        ]
        await settle()
        busy.read(2)
        await settle()
        writer = Writer(outbox, 400)
        await settle()
        with pytest.raises(GivenUp, match=r"lazy\.csv came through at less than 128 KiB .* take it again"):
            await sending[0]
        assert writer.begun and not sending[1].done() and outbox.nbytes == 499 + 400
        busy.read()
        await sending[1]
        assert len(lazy.got) == 1 and len(busy.got) == 8
        await end(writer.task)

    played(scenario)


def test_who_reads_is_waited_for(patient: None) -> None:
    async def scenario(outbox: Outbox) -> None:
        reader = Reader(3)
        sending = asyncio.create_task(outbox.send(1, "a", bytes(700), reader.send))
        await settle()
        writer = Writer(outbox, 400)
        await settle()
        assert not writer.begun
        reader.read()
        await sending
        await settle()
        assert writer.begun
        await end(writer.task)

    played(scenario)


def test_who_falls_behind_later_gives_way_then(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who wait are looked at again, though nothing else happens."""
    behind = 0.0
    monkeypatch.setattr(outboxes._Sent, "behind", lambda sent, now: behind)
    monkeypatch.setattr(outboxes, "PATIENCE", 1.0)

    async def scenario(outbox: Outbox) -> None:
        nonlocal behind
        sending = asyncio.create_task(outbox.send(1, "a", bytes(700), Reader(0).send))
        await settle()
        writer = Writer(outbox, 400)
        await settle()
        assert not writer.begun
        behind = 1.0
        with pytest.raises(GivenUp):
            await sending
        await settle()
        assert writer.begun
        await end(writer.task)

    played(scenario)


def test_a_file_larger_than_the_room_is_written_alone(patient: None) -> None:
    async def scenario(outbox: Outbox) -> None:
        small = Writer(outbox, 10)
        await settle()
        huge = Writer(outbox, 5 * ROOM)
        await settle()
        assert small.begun and not huge.begun
        await end(small.task)
        await settle()
        assert huge.begun
        await end(huge.task)

    played(scenario)


# ---- turns ---------------------------------------------------------------------------------------------


def test_small_files_come_first_and_of_large_ones_few_are_written_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outboxes, "SMALL", 50)

    async def scenario(outbox: Outbox) -> None:
        large = [Writer(outbox, size) for size in (90, 80, 70, 60)]
        await settle()
        assert [writer.begun for writer in large] == [True, True, False, False]
        small = Writer(outbox, 50)
        await settle()
        assert small.begun, "it needn't wait for large ones"
        large[0].done.set()
        await settle()
        assert [writer.begun for writer in large] == [True, True, False, True]
        large[1].done.set()
        await settle()
        assert large[2].begun
        await end(small.task, *(writer.task for writer in large))

    played(scenario)


def test_those_of_one_size_come_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "SMALL", 8)

    async def scenario(outbox: Outbox) -> None:
        writers = [Writer(outbox, 9) for _ in range(6)]
        for count in range(2, 7):
            await settle()
            assert [writer.begun for writer in writers] == [number < count for number in range(6)]
            writers[count - 2].done.set()
        await end(*(writer.task for writer in writers))

    played(scenario)


def test_who_leaves_frees_a_place_and_the_room(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "SMALL", 200)

    async def scenario(outbox: Outbox) -> None:
        large = [Writer(outbox, 300) for _ in range(5)]
        await settle()
        await end(large[2].task)  # in the line
        await end(large[0].task)  # while it is written
        await settle()
        assert [writer.begun for writer in large[1:]] == [True, False, True, False]
        await end(*(writer.task for writer in large))
        sending = asyncio.create_task(outbox.send(1, "a", bytes(900), Reader(0).send))
        await settle()
        waiting = Writer(outbox, 300)
        await settle()
        assert not waiting.begun
        await end(sending)  # while it is sent
        await settle()
        assert waiting.begun
        await end(waiting.task)

    played(scenario)


def test_a_failed_file_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "SMALL", 5)

    async def scenario(outbox: Outbox) -> None:
        for _ in range(3 * outboxes.LARGE_AT_ONCE):
            with pytest.raises(ZeroDivisionError):
                async with outbox.writing(10):
                    raise ZeroDivisionError

    played(scenario)
