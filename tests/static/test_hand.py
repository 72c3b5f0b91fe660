"""Hands in the browser: another worker that is called, lost, ended and replaced; and none but this one."""

import asyncio
import operator
import pickle

import numpy as np
import pytest

from live import crew as crew_module
from live.crew import BROKEN_OFF, GOING_AWAY, TOO_LARGE, Crew, Lost, too_long
from live.scheduler import ComputationError
from static import hand
from static.hand import UNABLE, InlineHand, WorkerHand, warm_up
from tests.scheduler import in_a_loop, left, until
from tests.static.shells import Workers


def with_crew(scenario, *fails, **limits):
    """Run a scenario with a crew of one hand, and with its workers."""
    workers = Workers(*fails)
    return in_a_loop(
        lambda: Crew(1, lambda: WorkerHand(workers), **limits), lambda crew: scenario(crew, workers)
    )


def too_large():
    raise MemoryError("4 GiB")


def test_functions_are_called_and_fail_in_the_other_worker():
    async def scenario(crew, workers):
        large = np.arange(10**5)
        assert (await crew.run(np.negative, large)).tobytes() == (-large).tobytes()
        with pytest.raises(ValueError, match="invalid literal"):
            await crew.run(int, "x")
        async with crew.turn() as turn:
            assert await turn.run(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]
        assert [worker.calls for worker in workers.started] == [3]

    with_crew(scenario)


def test_too_little_memory_and_what_can_not_be_sent_lose_no_worker():
    async def scenario(crew, workers):
        with pytest.raises(ComputationError) as error:
            await crew.run(too_large)
        assert str(error.value) == TOO_LARGE
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            await crew.run(lambda: 1)
        assert await crew.run(abs, -3) == 3 and len(workers.started) == 1

    with_crew(scenario)


def test_what_a_lost_worker_did_is_done_again_by_the_next():
    async def scenario(crew, workers):
        assert await crew.run(abs, -1) == 1
        assert [(worker.calls, worker.ended) for worker in workers.started] == [(1, True), (1, False)]

    with_crew(scenario, [RuntimeError("its memory is gone")])


def test_what_loses_every_worker_is_given_up():
    async def scenario(crew, workers):
        with pytest.raises(ComputationError) as error:
            await crew.run(abs, -1)
        assert str(error.value) == BROKEN_OFF and len(workers.started) == crew_module.TRIES
        assert await crew.run(abs, -2) == 2

    with_crew(scenario, *[[RuntimeError("gone")]] * crew_module.TRIES)


def test_a_call_that_nobody_awaits_ends_its_worker_after_a_while():
    async def scenario(crew, workers):
        await crew.run(abs, -1)
        stuck = asyncio.Event()
        workers.started[0].fails.append(stuck)
        task = asyncio.create_task(crew.run(abs, -2))
        await until(lambda: workers.started[0].calls == 2)
        await left(task)
        assert crew.hands[0].is_warm, "it has a moment"
        assert await crew.run(abs, -3) == 3
        assert [worker.ended for worker in workers.started] == [True, False]

    with_crew(scenario, grace=0.05)


def test_the_longest_call_is_as_long_as_the_crew_allows():
    async def scenario(crew, workers):
        await crew.hands[0].ready()
        workers.started[0].fails.append(asyncio.Event())
        with pytest.raises(ComputationError) as error:
            await crew.run(abs, -1)
        assert str(error.value) == too_long(0.05)
        await until(lambda: crew.hands[0].is_warm)
        assert len(workers.started) == 2, "the next begins at once"

    with_crew(scenario, longest=0.05)


def test_a_worker_that_can_not_be_started_is_a_sentence_and_the_next_try_may_succeed():
    async def scenario(crew, workers):
        with pytest.raises(ComputationError) as error:
            await crew.run(abs, -1)
        assert str(error.value) == UNABLE and not crew.hands[0].is_warm
        assert await crew.run(abs, -1) == 1

    none = ReferenceError("Worker is not defined")
    with_crew(scenario, none, none)


def test_a_worker_that_does_not_come_is_ended(monkeypatch):
    monkeypatch.setattr(hand, "STARTING", 0.01)

    async def scenario():
        workers = Workers()

        def start():
            worker = workers()
            worker.ready = asyncio.get_running_loop().create_future()
            return worker

        with pytest.raises(ComputationError, match="second Python"):
            await WorkerHand(start).ready()
        assert workers.started[0].ended

    asyncio.run(scenario())


def test_a_hand_that_was_ended_stays_so():
    async def scenario():
        workers = Workers()
        one = WorkerHand(workers)
        await one.ready()
        one.end()
        assert workers.started[0].ended and not one.is_warm
        with pytest.raises(ComputationError, match=GOING_AWAY):
            await one.ready()
        with pytest.raises(Lost):
            await one.call(abs, (-1,), {})
        early = WorkerHand(workers)
        early.begin()
        early.end()
        with pytest.raises(ComputationError, match=GOING_AWAY):
            await early.ready()
        await until(lambda: early._starting is None)
        assert all(worker.ended for worker in workers.started)

    asyncio.run(scenario())


def test_who_ends_a_hand_while_it_is_called_is_going_away():
    async def scenario():
        workers = Workers([RuntimeError("terminated")])
        one = WorkerHand(workers)
        await one.ready()
        workers.started[0].end = one.end
        one._ended = True
        with pytest.raises(ComputationError, match=GOING_AWAY):
            await one.call(abs, (-1,), {})

    asyncio.run(scenario())


def test_each_call_is_told():
    async def scenario():
        told = []
        one = WorkerHand(Workers(), called=lambda: told.append(1))
        await one.ready()
        assert not told
        await one.call(abs, (-1,), {})
        assert told == [1]

    asyncio.run(scenario())


def test_where_there_is_no_other_worker_messages_have_their_turn_first():
    async def scenario(crew):
        order = []
        asyncio.get_running_loop().call_soon(order.append, "message")
        assert await crew.run(operator.iadd, order, ["call"]) == ["message", "call"]
        with pytest.raises(ValueError, match="invalid literal"):
            await crew.run(int, "x")
        assert await crew.run(abs, -1, heavy=True) == 1

    in_a_loop(lambda: Crew(1, InlineHand), scenario)


def test_warming_up_loads_what_a_step_needs():
    warm_up()
    from bnlib.data import _load

    before = _load.cache_info().misses
    warm_up()
    assert _load.cache_info().misses == before
