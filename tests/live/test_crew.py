"""The line for worker processes: heavy work leaves room, and what nobody awaits is ended."""

import asyncio
import threading

import pytest

from live.crew import HEAVY_ONCE, LONGEST, Crew, too_long
from live.scheduler import ComputationError
from tests.scheduler import ThreadHand, in_a_loop, left, until

PATIENCE = 60


def with_threads(scenario, hands=2):
    return in_a_loop(lambda: Crew(hands, ThreadHand), scenario)


def in_line(crew):
    return sum(map(len, crew._lines.values()))


# --- the line -------------------------------------------------------------------------------------------


class Work:
    """Calls that last as long as a test wants; ``begun`` has their names in order."""

    def __init__(self):
        self.begun, self.gates = [], {}

    def __call__(self, name):
        self.begun.append(name)
        assert self.gates.setdefault(name, threading.Event()).wait(PATIENCE)
        return name

    def finish(self, *names):
        for name in names:
            self.gates.setdefault(name, threading.Event()).set()


@pytest.fixture
def work():
    work = Work()
    yield work
    for gate in work.gates.values():
        gate.set()


def asked(crew, work, name, heavy=False):
    return asyncio.create_task(crew.run(work, name, heavy=heavy))


async def turns(crew, work, name, heavy):
    """Come again and again, as a recording does."""
    for number in range(100):
        async with crew.turn(heavy) as turn:
            await turn.run(work, f"{name}{number}")


def test_who_waits_is_served_in_order(work):
    async def scenario(crew):
        tasks = [asked(crew, work, number) for number in range(6)]
        await asyncio.sleep(0)
        work.finish(*range(6))
        assert await asyncio.gather(*tasks) == list(range(6))
        assert work.begun == list(range(6))

    with_threads(scenario, hands=1)


@pytest.mark.parametrize("hands", [2, 3])
def test_heavy_work_leaves_a_hand_for_light_work(work, hands):
    async def scenario(crew):
        heavy = [asked(crew, work, f"heavy {number}", heavy=True) for number in range(5)]
        await until(lambda: len(work.begun) == hands - 1)
        work.finish("light", "lighter")
        assert await asked(crew, work, "light") == "light"
        assert await asked(crew, work, "lighter") == "lighter"
        assert len(work.begun) == hands - 1 + 2
        work.finish(*(f"heavy {number}" for number in range(5)))
        await asyncio.gather(*heavy)

    with_threads(scenario, hands)


def test_a_single_hand_does_heavy_work_too(work):
    async def scenario(crew):
        work.finish("heavy")
        assert await asked(crew, work, "heavy", heavy=True) == "heavy"

    with_threads(scenario, hands=1)


def test_heavy_work_gets_its_turn_among_light_work_that_never_ends(work):
    async def scenario(crew):
        light = [asyncio.create_task(turns(crew, work, name, heavy=False)) for name in "abcdef"]
        work.finish(*(f"{name}{number}" for name in "abcdef" for number in range(100)), "heavy")
        await until(lambda: "a1" in work.begun)
        before = len(work.begun)
        assert await asked(crew, work, "heavy", heavy=True) == "heavy"
        assert len(work.begun) - before < 20
        for task in light:
            await left(task)

    with_threads(scenario)


def test_what_is_asked_once_does_not_wait_for_all_heavy_recordings(work):
    async def scenario(crew):
        heavy = [asyncio.create_task(turns(crew, work, name, heavy=True)) for name in "abcdef"]
        await until(lambda: work.begun == ["a0"])
        jobs = [asked(crew, work, f"job {number}", heavy=True) for number in range(2)]
        await until(lambda: in_line(crew) == 7)
        work.finish("a0", "b0", "c0", "job 0", "job 1")
        await asyncio.gather(*jobs)
        await until(lambda: len(work.begun) == 6)
        assert work.begun[1:] == ["job 0", "b0", "job 1", "c0", "d0"]
        for task in heavy:
            task.cancel()
        work.finish("d0")
        await asyncio.wait(heavy)

    with_threads(scenario)


def test_who_leaves_the_line_leaves_nothing_behind(work):
    async def scenario(crew):
        busy = [asked(crew, work, name, heavy=name == "heavy") for name in ("heavy", "light")]
        waiting = [asked(crew, work, number, heavy=number % 2 == 0) for number in range(300)]
        await until(lambda: in_line(crew) == 300)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert in_line(crew) == 0
        work.finish("heavy", "light")
        await asyncio.gather(*busy)
        assert len(crew._free) == 2 and len(work.begun) == 2 and crew._heavy == 0

    with_threads(scenario)


def test_who_leaves_in_the_moment_of_being_served_gives_the_hand_back(work):
    async def scenario(crew):
        busy, waiting = asked(crew, work, "busy"), asked(crew, work, "waiting", heavy=True)
        await until(lambda: in_line(crew) == 1 and work.begun)
        (served,) = crew._lines[HEAVY_ONCE].values()
        hand_out = crew._hand_out

        def and_leave():
            hand_out()
            if served.done():
                waiting.cancel()

        crew._hand_out = and_leave
        work.finish("busy")
        await busy
        await asyncio.wait([waiting])
        assert waiting.cancelled() and len(crew._free) == 1 and crew._heavy == 0
        work.finish("next")
        assert await asked(crew, work, "next", heavy=True) == "next"

    with_threads(scenario, hands=1)


# --- time -----------------------------------------------------------------------------------------------


def test_a_call_that_nobody_awaits_has_a_moment_to_end_by_itself(work):
    async def scenario(crew):
        await left_while_computing(crew, work, "left")
        assert not crew._free, "others have it when it is free"
        next_one = asked(crew, work, "next")
        work.finish("left", "next")
        assert await next_one == "next" and crew.hands[0].lost == 0

    with_threads(scenario, hands=1)


async def left_while_computing(crew, work, name):
    task = asked(crew, work, name)
    await until(lambda: name in work.begun)
    await left(task)
    assert task.cancelled()


def test_a_call_that_nobody_awaits_is_ended_then(work):
    async def scenario(crew):
        crew.grace = 0.05
        await left_while_computing(crew, work, "left")
        work.finish("next")
        assert await asked(crew, work, "next") == "next", "it never ends by itself"
        assert crew.hands[0].lost == 1

    with_threads(scenario, hands=1)


def test_a_call_may_not_take_for_ever(work):
    async def scenario(crew):
        crew.longest = 0.05
        with pytest.raises(ComputationError) as error:
            await asked(crew, work, "endless")
        assert str(error.value) == too_long(0.05) and "longer than 20 s" in too_long(LONGEST)
        work.finish("next")
        crew.longest = PATIENCE
        assert await asked(crew, work, "next") == "next"

    with_threads(scenario, hands=1)


def test_a_limit_can_be_lifted(work):
    async def scenario(crew):
        async with crew.turn() as turn:
            call = asyncio.create_task(turn.run(work, "back again"))
            await until(lambda: work.begun)
            turn.limit(0.2)
            turn.limit(PATIENCE)
            await asyncio.sleep(0.4)
            assert not call.done()
            work.finish("back again")
            assert await call == "back again"

    with_threads(scenario, hands=1)


def test_a_limit_holds_for_what_has_yet_to_begin(work):
    async def scenario(crew):
        async with crew.turn() as turn:
            turn.limit(0.05)
            with pytest.raises(ComputationError, match="took longer"):
                await turn.run(work, "nobody waits for it")

    with_threads(scenario, hands=1)


def test_a_function_may_run_into_a_time_limit_of_its_own():
    def run_out():
        raise TimeoutError("of its own")

    async def scenario(crew):
        with pytest.raises(TimeoutError, match="of its own"):
            await crew.run(run_out)

    with_threads(scenario)


def test_a_crew_that_grows_has_more_done_at_once_and_leaves_more_to_heavy_work(work):
    async def scenario(crew):
        heavy = [asked(crew, work, f"heavy {number}", heavy=True) for number in range(3)]
        light = asked(crew, work, "light")
        await until(lambda: work.begun == ["heavy 0"])
        assert crew.most_heavy == 1
        crew.join(ThreadHand())
        await until(lambda: len(work.begun) == 2)
        assert work.begun[1] == "light" and crew.most_heavy == 1, "of two hands one is for light work"
        crew.join(ThreadHand())
        await until(lambda: len(work.begun) == 3)
        assert work.begun[2] == "heavy 1" and crew.most_heavy == 2
        work.finish("light", "heavy 0", "heavy 1", "heavy 2")
        await asyncio.gather(light, *heavy)
        assert len(crew._free) == 3 and crew._heavy == 0

    with_threads(scenario, hands=1)


def test_a_hand_that_comes_too_late_is_not_taken():
    async def scenario(crew):
        crew.stop()
        crew.join(ThreadHand())
        assert not crew._free

    with_threads(scenario, hands=1)


def test_a_crew_that_stops_ends_those_who_wait(work):
    async def scenario(crew):
        busy, waiting = asked(crew, work, "busy"), asked(crew, work, "waiting")
        await until(lambda: in_line(crew) == 1)
        crew.stop()
        for late in (waiting, asked(crew, work, "late")):
            with pytest.raises(ComputationError, match="going away"):
                await late
        await left(busy)

    with_threads(scenario, hands=1)
