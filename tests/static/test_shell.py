"""What the page talks to in its worker: sessions behind channels, and the hands that compute for them."""

import asyncio
import gzip
import json
import pickle
import time

import pytest

from book.chapter import Job
from book.registry import chapters
from live import messages
from live.race import LabSession
from live.session import jobs_of
from live.share import Share
from static import measured
from static.hand import InlineHand, WorkerHand
from static.shell import FAILED, NO_TORCH, begin
from tests.scheduler import until
from tests.static.shells import Bytes, Page, Workers, nothing_measured, with_shell

HOME = {"kind": "view", "chapter": "home", "values": {}, "draft": True}
RACE = {"guess": -3, "step": 0, "width": 8, "depth": 1, "replicas": 1}


def say(shell, channel=1, **message):
    shell.say(channel, json.dumps(message))


# --- channels -------------------------------------------------------------------------------------------


def test_each_channel_has_a_session_of_its_own_and_they_share_what_was_computed():
    async def scenario(shell, page, workers):
        for channel in (1, 2):
            shell.open(channel)
            say(shell, channel, id=channel, **HOME)
        views = [await page.answer("view", channel) for channel in (1, 2)]
        assert [view["id"] for view in views] == [1, 2] and views[0] | {"id": 2} == views[1]
        one, other = (shell._channels[channel].session for channel in (1, 2))
        assert one is not other and one.shelf is other.shelf

    with_shell(scenario)


def test_messages_are_answered_in_order():
    async def scenario(shell, page, workers):
        shell.open(1)
        for number in range(5):
            say(shell, id=number, **HOME)
        await until(lambda: len(page.kinds()) == 5)
        assert [view["id"] for view in page.got[1]] == list(range(5))

    with_shell(scenario)


def test_a_race_comes_from_the_hand_with_its_frames_and_costs():
    async def scenario(shell, page, workers):
        shell.open(1)
        say(shell, kind="lab", id=3, values=RACE, until=20, draft=False)
        await until(lambda: page.kinds().count("cost") == 2)
        assert page.kinds()[0] == "lab" and page.got[1][0]["refused"] is None
        frames = [header for header in page.got[1] if header["kind"] == "frames"]
        counted = [sum(one["arrays"][0][1][0] for one in frames if one["lane"] == k) for k in (0, 1)]
        assert counted == [21, 21]
        assert sum(worker.calls for worker in workers.started) > 2

    with_shell(scenario)


def test_what_goes_wrong_is_told_and_the_next_message_is_answered(monkeypatch, caplog):
    handle = LabSession.handle

    async def broken(session, text):
        if "broken" in text:
            raise ZeroDivisionError
        await handle(session, text)

    monkeypatch.setattr(LabSession, "handle", broken)

    async def scenario(shell, page, workers):
        shell.open(1)
        for text in ("{", "broken", "x" * (messages.MAX_MESSAGE + 1)):
            shell.say(1, text)
        say(shell, id=4, **HOME)
        await page.answer("view")
        told = [header["message"] for header in page.got[1][:3]]
        assert told[0].startswith("a message must be JSON") and told[1] == FAILED
        assert told[2].endswith("characters exceeds 8192") and page.kinds()[3:] == ["view"]

    with_shell(scenario)
    assert "ZeroDivisionError" in caplog.text


def test_a_page_that_has_left_is_sent_nothing_more():
    async def scenario(shell, page, workers):
        shell.open(1)
        say(shell, kind="lab", id=1, values=RACE, until=10**6, draft=False)
        await page.answer("frames")
        session = shell._channels[1].session
        shell.close(1)
        await until(lambda: not shell._ending)
        assert not session.tasks and session.race is None
        seen = len(page.got[1])
        say(shell, id=2, **HOME)
        shell.close(1)
        await until(lambda: not shell.desk._shows)
        assert len(page.got[1]) == seen

    with_shell(scenario)


def test_there_is_no_torch_and_it_is_said():
    async def scenario(shell, page, workers):
        shell.open(1)
        say(shell, kind="check", id=7, values=RACE, step=5)
        said = await page.answer("problem")
        assert (said["of"], said["id"], said["message"]) == ("check", 7, NO_TORCH)

    with_shell(scenario)


def test_nobody_else_needs_a_part_of_the_event_loop():
    async def pauses(share):
        async with share:
            time.sleep(0.001)
        entering = share.__aenter__()
        try:
            entering.send(None)  # it waits for something
        except StopIteration:
            return False
        entering.close()
        return True

    async def scenario(shell, page, workers):
        assert await pauses(Share()) and not await pauses(shell.track.share)

    with_shell(scenario)


def test_a_time_that_has_just_passed_is_now_for_the_browsers_loop_too():
    class Loop(asyncio.SelectorEventLoop):
        """As Pyodide's."""

        def call_later(self, delay, callback, *arguments, context=None):
            if delay < 0:
                raise ValueError("Can't schedule in the past")
            return super().call_later(delay, callback, *arguments, context=context)

    async def scenario():
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        with pytest.raises(ValueError):
            loop.call_later(-1e-6, done.set)
        begin(Page(), Workers(), nothing_measured, 1).desk.stop()
        loop.call_later(-1e-6, done.set)
        await done.wait()

    loop = Loop()
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


# --- hands ----------------------------------------------------------------------------------------------


def test_who_calls_before_a_hand_has_come_waits_for_it():
    async def scenario(shell, page, workers):
        asked = asyncio.create_task(shell.desk.run(abs, -1))
        await asyncio.sleep(0.01)
        assert not asked.done() and not workers.started
        shell.bring()
        assert await asked == 1

    with_shell(scenario, settle=False)


@pytest.mark.parametrize("cores", [2, 4])
def test_the_second_hand_comes_when_the_first_is_called_or_where_there_are_cores_at_once(cores):
    async def scenario(shell, page, workers):
        await until(lambda: shell.crew.hands)
        await asyncio.sleep(0.01)
        assert len(shell.crew.hands) == (1 if cores == 2 else 2)
        assert await shell.desk.run(abs, -1) == 1
        await until(lambda: len(shell.crew.hands) == 2)
        await asyncio.gather(*(shell.desk.run(abs, -1) for _ in range(8)))
        assert len(workers.started) == 2 and all(type(one) is WorkerHand for one in shell.crew.hands)
        assert shell.crew.most_heavy == 1

    with_shell(scenario, cores=cores)


def test_light_work_is_done_beside_heavy_work():
    async def scenario(shell, page, workers):
        await until(lambda: shell.crew.hands)
        stuck = asyncio.Event()
        workers.started[0].fails.append(stuck)
        heavy = asyncio.create_task(shell.desk.run(abs, -1, heavy=True))
        await until(lambda: workers.started[0].calls == 1)
        assert await shell.desk.run(abs, -2) == 2
        assert not heavy.done()
        stuck.set()
        assert await heavy == 1

    with_shell(scenario)


def test_where_no_worker_can_be_had_it_is_computed_here():
    async def scenario(shell, page, workers):
        assert await shell.desk.run(abs, -1) == 1
        assert [type(one) for one in shell.crew.hands] == [InlineHand] and not workers.started

    with_shell(scenario, ReferenceError("Worker is not defined"))


def test_one_hand_is_enough_where_there_is_no_second():
    async def scenario(shell, page, workers):
        assert await shell.desk.run(abs, -1) == 1
        await until(lambda: all(task.done() for task in shell._coming) and len(shell._coming) == 2)
        assert len(shell.crew.hands) == 1 and await shell.desk.run(abs, -2, heavy=True) == 2

    with_shell(scenario, (), RuntimeError("no memory"))


def test_what_the_build_has_measured_is_computed_by_nobody():
    chapter = chapters()["placement"]
    jobs = jobs_of(chapter, chapter.settings(chapter.scenes[0], {}))
    fetched = []

    async def fetch(name):
        fetched.append(name)
        return Bytes(gzip.compress(pickle.dumps(dict.fromkeys(jobs.values(), "from the build"))))

    async def scenario(shell, page, workers):
        assert jobs
        for job in jobs.values():
            assert await shell.track.job(job) == "from the build"
        assert fetched == [measured.FILE] and not sum(worker.calls for worker in workers.started)

    with_shell(scenario, fetch=fetch)


def test_where_that_can_not_be_had_it_is_computed_here(caplog):
    async def fetch(name):
        raise RuntimeError("404")

    async def scenario(shell, page, workers):
        assert await shell.track.job(Job(abs, (-1,))) == 1

    with_shell(scenario, fetch=fetch)
    assert "404" in caplog.text
