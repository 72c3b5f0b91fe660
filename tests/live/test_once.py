"""What is made once for all who ask."""

import asyncio

import pytest

from live.once import Once, Packs


class Maker:
    """Makes results when it is told to, and counts."""

    def __init__(self):
        self.made = self.ended = 0
        self.may = asyncio.Event()

    async def __call__(self):
        self.made += 1
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        return self.made


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_asks_meanwhile_or_later_shares_it():
    async def scenario():
        once, make = Once(4), Maker()
        asked = [asyncio.create_task(once.get("a", make)) for _ in range(3)]
        await settle()
        assert once.known("a") is None
        make.may.set()
        assert await asyncio.gather(*asked) == [1, 1, 1]
        assert await once.get("a", make) == once.known("a") == make.made == 1

    asyncio.run(scenario())


def test_who_leaves_takes_nothing_from_the_others_and_the_last_one_ends_it():
    async def scenario():
        once, make = Once(4), Maker()
        first, second = (asyncio.create_task(once.get("a", make)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        assert (make.ended, len(once)) == (0, 1)
        second.cancel()
        await settle()
        assert (make.ended, len(once)) == (1, 0)
        make.may.set()
        assert await once.get("a", make) == 2, "who asks later has it tried again"

    asyncio.run(scenario())


def test_who_asks_while_it_is_being_ended_has_it_made_again():
    async def scenario():
        once, make = Once(4), Maker()
        first = asyncio.create_task(once.get("a", make))
        await settle()
        first.cancel()
        make.may.set()
        assert await once.get("a", make) in (1, 2)
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(scenario())


def test_what_fails_fails_for_all_and_is_tried_again():
    async def scenario():
        once, tries = Once(4), []

        async def fail():
            tries.append(1)
            await asyncio.sleep(0)
            raise ValueError("no")

        found = await asyncio.gather(*(once.get("a", fail) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in found] == ["no"] * 3 and len(tries) == 1
        assert len(once) == 0
        with pytest.raises(ValueError, match="no"):
            await once.get("a", fail)
        assert len(tries) == 2

    asyncio.run(scenario())


def test_the_least_recently_used_result_is_dropped():
    async def scenario():
        once = Once(2)

        async def make():
            return 1

        for key in ("a", "b"):
            await once.get(key, make)
        assert once.known("a") == 1  # and so it was used
        await once.get("c", make)
        assert [once.known(key) for key in "abc"] == [1, None, 1]

    asyncio.run(scenario())


def test_messages_are_packed_once_and_bounded_in_bytes():
    packs, made = Packs(10), []

    def make(key):
        made.append(key)
        return key.encode() * 4

    first = packs.get("a", lambda: make("a"))
    assert packs.get("a", lambda: make("a")) is first
    packs.get("b", lambda: make("b"))
    packs.get("a", lambda: make("a"))
    packs.get("c", lambda: make("c"))
    assert (made, packs.nbytes) == (["a", "b", "c"], 8)
    assert packs.get("a", lambda: make("a")) is first
    packs.get("b", lambda: make("b"))
    assert made == ["a", "b", "c", "b"]


def test_a_message_larger_than_all_room_is_still_sent():
    packs = Packs(2)
    assert packs.get("a", lambda: b"long enough") == b"long enough"
    assert packs.get("b", lambda: b"so is this one") == b"so is this one"
    assert packs.nbytes == len(b"so is this one")
