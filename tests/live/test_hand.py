"""A worker process and its socket: calls, losses, starts, ends and the bound of its memory."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children
from types import ModuleType

import numpy as np
import psutil
import pytest

from live import hand, process, worker
from live.crew import BROKEN_OFF, TOO_LARGE, TRIES, Crew
from live.scheduler import ComputationError
from tests.scheduler import in_a_loop, left, until

PATIENCE = 60
LARGE = process.ROOM + 2**26  # bytes


def with_crew(scenario, hands=2):
    return in_a_loop(lambda: Crew(hands, hand.ProcessHand), scenario)


@pytest.fixture
def quick_processes(monkeypatch):
    """Processes that needn't load the digits: these tests start many."""
    monkeypatch.setattr(process, "warm_up", worker.ready)


def pids(crew):
    return [hand.pid for hand in crew.hands]


async def warm(crew):
    await asyncio.gather(*(hand.ready() for hand in crew.hands))
    return pids(crew)


def is_alive(pid):
    return any(child.pid == pid for child in active_children())


def test_functions_are_called_and_fail_in_a_process(quick_processes):
    async def scenario(crew):
        await warm(crew)
        assert {await crew.run(os.getpid) for _ in range(4)} <= set(pids(crew))
        large = np.arange(10**6)
        found = await crew.run(np.negative, large)
        assert found.tobytes() == (-large).tobytes()
        with pytest.raises(ValueError, match="invalid literal"):
            await crew.run(int, "x")
        assert await crew.run(abs, -3) == 3

    with_crew(scenario)


def test_what_can_not_be_passed_on_is_an_error_and_no_loss(quick_processes):
    async def scenario(crew):
        (pid,) = await warm(crew)
        with pytest.raises(Exception, match="pickle"):
            await crew.run(len, lambda: None)
        with pytest.raises(Exception, match="pickle"):
            await crew.run(threading.Lock)
        assert await crew.run(os.getpid) == pid

    with_crew(scenario, hands=1)


def test_a_lost_process_takes_no_neighbour_along(quick_processes, caplog):
    async def scenario(crew):
        await warm(crew)
        bad, neighbour = crew.run(os._exit, 1, heavy=True), crew.run(slowly, 1.0)
        found, failure = await asyncio.gather(neighbour, bad, return_exceptions=True)
        assert found == 1.0
        assert isinstance(failure, ComputationError) and str(failure) == BROKEN_OFF
        assert f"{TRIES} times" in BROKEN_OFF
        assert caplog.text.count("ended unexpectedly") == TRIES
        assert await asyncio.gather(*(crew.run(abs, -n) for n in range(6))) == list(range(6))

    with_crew(scenario)


def slowly(seconds):
    time.sleep(seconds)
    return seconds


def test_a_killed_process_is_replaced_and_its_work_done_again(quick_processes):
    async def scenario(crew):
        before = await warm(crew)
        calls = [asyncio.create_task(crew.run(slowly, 0.5)) for _ in range(2)]
        await asyncio.sleep(0.1)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert await asyncio.gather(*calls) == [0.5, 0.5]
        assert not set(before) & set(pids(crew))

    with_crew(scenario)


def test_a_process_that_is_killed_while_idle_costs_nobody_anything(quick_processes):
    async def scenario(crew):
        (pid,) = await warm(crew)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not is_alive(pid))
        assert await crew.run(abs, -1) == 1

    with_crew(scenario, hands=1)


def test_what_nobody_awaits_is_killed_and_the_next_finds_a_process(quick_processes):
    async def scenario(crew):
        crew.grace = 0.1
        before = set(await warm(crew))
        task = asyncio.create_task(crew.run(time.sleep, 10 * PATIENCE, heavy=True))
        await until(lambda: crew._heavy)
        await asyncio.sleep(0.1)
        await left(task)
        assert await crew.run(abs, -1) == 1, "a neighbour goes on"
        assert await crew.run(abs, -2, heavy=True) == 2
        await until(lambda: crew._heavy == 0 and all(hand.is_warm for hand in crew.hands))
        assert len(before & set(pids(crew))) == 1

    with_crew(scenario)


def test_the_event_loop_goes_on_while_processes_start(quick_processes, monkeypatch):
    gate, spawn = threading.Event(), hand.ProcessHand._spawn

    def late(self):
        assert gate.wait(PATIENCE)
        return spawn(self)

    async def scenario(crew):
        call = asyncio.create_task(crew.run(abs, -1))
        await asyncio.sleep(0.1)
        gate.set()  # only who isn't held up gets here
        assert await call == 1

    monkeypatch.setattr(hand.ProcessHand, "_spawn", late)
    with_crew(scenario)


def test_who_leaves_while_a_process_starts_has_nothing_computed(quick_processes, tmp_path):
    async def scenario(crew):
        call = asyncio.create_task(crew.run(os.mkdir, tmp_path / "computed"))
        await asyncio.sleep(0)
        assert not crew._free and not crew.hands[0].is_warm
        await left(call)
        assert await crew.run(os.listdir, tmp_path) == []

    with_crew(scenario, hands=1)


def test_a_crew_that_stops_kills_what_computes_and_what_starts(quick_processes):
    async def scenario(crew):
        before = await warm(crew)
        calls = [asyncio.create_task(crew.run(time.sleep, 10 * PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0.1)
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: pids(crew)[0] not in (None, before[0]) or not crew.hands[0].is_warm)
        crew.stop()
        assert not any(map(is_alive, before)) and pids(crew) == [None, None]
        for call in calls:
            with pytest.raises(ComputationError, match="going away"):
                await call
        assert not active_children()

    with_crew(scenario)


def test_a_process_that_can_not_be_started_is_tried_again(quick_processes, monkeypatch):
    async def scenario(crew):
        (pid,) = await warm(crew)
        os.kill(pid, signal.SIGKILL)
        with monkeypatch.context() as poor:
            poor.setattr(hand.socket, "socketpair", no_room)
            with pytest.raises(ComputationError, match="can't start its worker processes"):
                await crew.run(abs, -1)
        assert await crew.run(abs, -1) == 1

    with_crew(scenario, hands=1)


def no_room():
    raise OSError("too many open files")


def test_a_process_that_ends_while_it_starts_is_given_up(monkeypatch, caplog):
    async def scenario(crew):
        with pytest.raises(ComputationError, match=f"{TRIES} times"):
            await crew.run(abs, -1)
        assert pids(crew) == [None]

    monkeypatch.setattr(process, "warm_up", end_at_once)
    with_crew(scenario, hands=1)
    assert "before it could do anything" in caplog.text


def end_at_once():
    os._exit(1)


def test_processes_do_not_run_the_page_that_is_being_made(quick_processes, monkeypatch, tmp_path):
    """Streamlit makes the page's script the main module, and a spawned process would run it again."""
    script, ran = tmp_path / "page.py", tmp_path / "ran"
    script.write_text(f"open({str(ran)!r}, 'w')")
    page = ModuleType("__main__")
    page.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", page)

    async def scenario(crew):
        await crew.run(worker.ready)
        assert sys.modules["__main__"] is page and not ran.exists()

    with_crew(scenario)


# --- memory ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds what a process allocates")
def test_who_needs_too_much_memory_is_told_and_the_neighbour_goes_on(caplog):
    async def scenario(crew):
        before = await warm(crew)
        large, neighbour = crew.run(fill, LARGE, heavy=True), crew.run(slowly, 1.0)
        found, failure = await asyncio.gather(neighbour, large, return_exceptions=True)
        assert found == 1.0
        assert isinstance(failure, ComputationError) and str(failure) == TOO_LARGE
        assert await crew.run(fill, LARGE - 2**27, heavy=True) == LARGE - 2**27, "what is legal fits again"
        assert pids(crew) == before, "no process is lost"

    with_crew(scenario)
    assert "too much memory" in caplog.text


def fill(size):
    """Have so many bytes of memory, and compute with BLAS while there is no more."""
    kept = np.empty(size, np.uint8)
    ones = np.ones((64, 64))
    assert (ones @ ones).sum() == 64**3
    return len(kept)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds what a process allocates")
def test_blas_has_its_memory_before_there_is_a_bound():
    """Refused memory later, OpenBLAS ends the process."""

    async def scenario(crew):
        (pid,) = await warm(crew)
        assert await crew.run(fill_to_the_brim) > process.ROOM - 2**27
        assert pids(crew) == [pid]

    with_crew(scenario, hands=1)


def fill_to_the_brim():
    kept = []
    try:
        while True:
            kept.append(np.empty(2**20, np.uint8))
    except MemoryError:
        kept.pop()
    for dtype in (np.float32, np.float64):
        ones = np.ones((128, 128), dtype)
        assert (ones @ ones).sum() == 128**3
    return len(kept) * 2**20


# --- the end of the server ------------------------------------------------------------------------------

SERVER = """
import asyncio, time
from live.crew import Crew
from live.hand import ProcessHand

async def serve():
    crew = Crew(2, ProcessHand)
    crew.start()
    await asyncio.gather(*(hand.ready() for hand in crew.hands))
    print(*(hand.pid for hand in crew.hands), flush=True)
    await crew.run(time.sleep, 1000)

asyncio.run(serve())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_is_ended_at_once_leaves_no_process_and_no_complaint(how, ended):
    """Nothing of it runs any more: no clean-up, so there must be nothing to clean up."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids = list(map(int, server.stdout.readline().split()))
    server.send_signal(how)
    _, complaints = server.communicate(timeout=PATIENCE)
    assert len(pids) == 2 and server.returncode == -how and complaints == ""
    ended([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)])
