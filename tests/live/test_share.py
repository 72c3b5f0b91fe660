"""The share of the event loop that what is computed in it has."""

import asyncio
import time

import pytest

from live.share import Share

WORK = 0.02  # seconds


def test_as_much_time_as_the_work_took_is_left_for_everything_else():
    async def scenario():
        share, clock = Share(), asyncio.get_running_loop().time
        begun = []

        async def work():
            async with share:
                begun.append(clock())
                time.sleep(WORK)

        await asyncio.gather(*(work() for _ in range(4)))
        return begun

    begun = asyncio.run(scenario())
    apart = [later - before for before, later in zip(begun, begun[1:], strict=False)]
    assert min(apart) >= 2 * WORK - 0.002, "the clock's ticks"


def test_who_asks_first_has_the_first_turn_and_who_leaves_the_line_is_left_out():
    async def scenario():
        share, done = Share(), []

        async def work(number):
            async with share:
                done.append(number)
                time.sleep(WORK / 4)

        tasks = [asyncio.create_task(work(number)) for number in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[1].cancel()  # in its pause
        tasks[3].cancel()  # in the line
        await asyncio.gather(*tasks, return_exceptions=True)
        return done

    assert asyncio.run(scenario()) == [0, 2, 4]


def test_work_that_fails_leaves_the_share_to_the_next():
    async def scenario():
        share = Share()
        with pytest.raises(ValueError, match="no"):
            async with share:
                raise ValueError("no")
        async with share:
            return True

    assert asyncio.run(scenario())
