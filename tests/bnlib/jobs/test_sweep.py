"""Sweeps: whatever happens on the way, what is finished stays, and the same call does the rest."""

import contextlib
import errno
import importlib
import io
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections import Counter
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grimp
import numpy as np
import psutil
import pytest

from bnlib import RunConfig
from bnlib.jobs import store, sweep, workers
from bnlib.jobs.sweep import SweepCancelled, SweepError, grid, progress_bar
from tests.bnlib import cells
from tests.server import PATIENCE, ROOT, free_port, wait_for

GATE = 10  # `cells.gated` waits from here on


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder of a test: its cells' traces, its store, its cache."""
    monkeypatch.setenv("CELLS_FOLDER", str(tmp_path))
    monkeypatch.setenv("BNLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BNLAB_DASK", raising=False)
    return tmp_path


@pytest.fixture
def run(place):
    """A sweep on two processes that keeps its results in the test's folder."""
    return partial(sweep.sweep, workers=2, store=place / "store")


def log(place):
    """(cell, process) of all that was begun, in order."""
    path = place / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def begun(place):
    """How often each cell was begun."""
    return Counter(cell for cell, _ in log(place))


def kept(place):
    return sorted((place / "store").glob("*.npz"))


def check(results, asked):
    assert list(results) == list(asked)
    for cell, result in results.items():
        assert list(result) == ["square", "mean", "row"]
        assert type(result["square"]) is int and result["square"] == cell * cell
        assert type(result["mean"]) is float and result["mean"] == cell
        assert result["row"].dtype == np.float32 and result["row"].tolist() == [0, cell, 2 * cell]


def ended(processes):
    """Wait until none of them runs any more."""

    def running():
        return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    with contextlib.suppress(psutil.NoSuchProcess):
        wait_for(lambda: not running(), f"the end of {processes}")


# --- what comes out -------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_cells_and_equal_cells_count_once(run, place):
    check(run(cells.value, [3, 1, 2, 3, 1.0]), [3, 1, 2])
    assert begun(place) == {1: 1, 2: 1, 3: 1}
    assert run(cells.text, ["b", "a"]) == {"b": {"text": "b"}, "a": {"text": "a"}}


def test_runs_of_bnlib_are_cells(run):
    configs = grid(RunConfig(dataset="blobs", depth=1, width=4), norm=("none", "batch"), seed=(0, 1))
    found = run(cells.text, configs)
    assert found == {config: {"text": str(config)} for config in configs}


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_will_do_and_is_left_open(run, kind):
    how = {} if kind is ThreadPoolExecutor else {"mp_context": workers.WorkerContext()}
    with kind(2, **how) as pool:
        check(run(cells.value, range(5), executor=pool), range(5))
        assert pool.submit(math.sqrt, 4.0).result() == 2


def test_a_thread_can_sweep(run):
    with ThreadPoolExecutor(1) as pool:
        check(pool.submit(run, cells.value, [1, 2]).result(), [1, 2])


def test_workers_compute_on_one_thread_and_are_deaf_to_ctrl_c(run, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    main = sys.modules["__main__"]
    result = run(cells.process, [1])[1]
    assert result["threads"].tolist() == [1] * len(result["threads"]) and len(result["threads"])
    assert result["blocked"] is result["ignored"] is True
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2" and "OMP_NUM_THREADS" not in os.environ
    assert sys.modules["__main__"] is main
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


# --- what is kept ---------------------------------------------------------------------------------------


def test_what_is_kept_is_not_computed_again(run, place):
    first = run(cells.value, [1, 2])
    seen = []
    again = run(cells.value, [3, 2, 1], progress=lambda *now: seen.append(now))
    check(again, [3, 2, 1])
    assert begun(place) == {1: 1, 2: 1, 3: 1}
    assert [(done, total) for done, total, _ in seen] == [(2, 3), (3, 3)]
    assert all(again[c]["row"].tobytes() == first[c]["row"].tobytes() for c in first)
    assert len(kept(place)) == 3 == len(list((place / "store").iterdir()))


def test_without_a_store_nothing_is_kept(run, place):
    for _ in range(2):
        check(run(cells.value, [1], store=False), [1])
    assert begun(place) == {1: 2} and not list(place.rglob("*.npz"))


def test_the_users_cache_is_where_the_system_keeps_caches(monkeypatch, place):
    check(sweep.sweep(cells.value, [1], workers=1), [1])
    assert len(list((place / "cache").glob("*.npz"))) == 1
    monkeypatch.delenv("BNLAB_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "xdg"))
    assert store.cache_folder() == place / "xdg" / "batchnorm-lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert store.cache_folder() == Path.home() / ".cache" / "batchnorm-lab"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(place / "local"))
    assert store.cache_folder() == place / "local" / "batchnorm-lab"


def test_another_version_function_or_cell_is_another_file(run, place, monkeypatch):
    run(cells.value, [1])
    run(cells.other, [1])
    assert begun(place) == {1: 1, -1: 1}
    run(cells.text, [cells.Cell(1), cells.Cell(1, 2.0)])
    assert len(kept(place)) == 4
    monkeypatch.setattr(store, "library_version", lambda: "another")
    run(cells.value, [1])
    assert begun(place) == {1: 2, -1: 1}


def test_a_function_that_was_edited_is_another_one(run, place, monkeypatch):
    """Its name alone would bring back what it returned before the edit."""
    monkeypatch.syspath_prepend(place)
    found = []
    for factor in (2, 3, 2):
        (place / "edited_cells.py").write_text(
            f"def f(cell):\n    return {{'y': {factor} * cell}}  # {factor}\n"
        )
        importlib.invalidate_caches()
        sys.modules.pop("edited_cells", None)
        shutil.rmtree(place / "__pycache__", ignore_errors=True)
        function = importlib.import_module("edited_cells").f
        with ThreadPoolExecutor(1) as pool:
            found.append(run(function, [1], executor=pool)[1]["y"])
    assert found == [2, 3, 2] and len(kept(place)) == 2


def test_the_version_is_of_the_sources_that_results_depend_on(place):
    shutil.copytree(ROOT / "bnlib", place / "bnlib", ignore=shutil.ignore_patterns("__pycache__"))

    def version(*edited, numpy=np.__version__, edit=lambda text: text + b"# edited\n"):
        for name in edited:
            path = place / "bnlib" / name
            path.write_bytes(edit(path.read_bytes()))
        program = f"import numpy; numpy.__version__ = {numpy!r}\n"
        program += "from bnlib.jobs.sweep import library_version; print(library_version())"
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout.strip()

    first = version()
    assert first == store.library_version()
    assert first == version("jobs/sweep.py", "jobs/store.py", "experiments/report.py", "sweep.py")
    assert first == version("norms/core.py", edit=lambda text: text.replace(b"\n", b"\r\n"))
    edited = ("norms/core.py", "training/train.py", "training/evaluation.py", "experiments/probes/along.py")
    assert len({first, version(numpy="1.0"), *map(version, edited)}) == 6


def test_nothing_that_measuring_needs_is_left_out_of_the_version():
    """What the probes import, and what that imports; the other experiments only ask and read."""
    graph, probes = grimp.build_graph("bnlib"), "bnlib.experiments.probes"
    needed = graph.find_upstream_modules(probes, as_package=True) | graph.find_descendants(probes)
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in store.makers()}
    known |= {name.removesuffix(".__init__") for name in known}
    assert {"bnlib.training.train", "bnlib.norms.core", "bnlib.theory"} <= needed <= known


def damage(path, how, another):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "a bit flipped":
        at = content.index(np.arange(3, dtype="float32").tobytes())
        path.write_bytes(content[:at] + b"\1" + content[at + 1 :])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another's":
        shutil.copy(another, path)
    elif how == "pickled":
        np.savez(path, about=np.array(cells.Trap(), object))
    elif how == "a text":
        path.write_text("not a result\n")


@pytest.mark.parametrize("how", ["truncated", "a bit flipped", "empty", "another's", "pickled", "a text"])
def test_a_damaged_file_is_computed_again_and_replaced(run, place, how):
    with ThreadPoolExecutor(1) as pool:
        run(cells.value, [2], executor=pool)
        (another,) = kept(place)
        run(cells.value, [1], executor=pool)
        (path,) = set(kept(place)) - {another}
        damage(path, how, another)
        check(run(cells.value, [1], executor=pool), [1])
        check(run(cells.value, [1, 2], executor=pool), [1, 2])
    assert begun(place) == {1: 2, 2: 1} and len(kept(place)) == 2
    assert not (place / "sprung").exists(), "what a file says was executed"


def test_a_file_says_what_it_is(run, place):
    run(cells.value, [7])
    with np.load(kept(place)[0], allow_pickle=False) as found:
        version, function, cell = found["about"].item().splitlines()
        assert version == f"bnlib {store.library_version()}" and cell == "7"
        assert function.split()[0] == "tests.bnlib.cells.value"
        assert found["result.row"].tolist() == [0, 7, 14]


# --- stops ----------------------------------------------------------------------------------------------


def test_a_cancelled_sweep_keeps_what_is_finished_and_goes_on_from_there(run, place):
    asked = [1, GATE, 2, GATE + 1, 3]
    started = psutil.Process().children()

    def cancelled():
        return {GATE, GATE + 1} <= set(begun(place)) and len(kept(place)) == 2

    with pytest.raises(
        SweepCancelled, match="cancelled; 2 of 5 cells are finished and kept in .*store"
    ) as stop:
        run(cells.gated, asked, cancelled=cancelled)
    check(stop.value.results, [1, 2])
    left = [p for p in psutil.Process().children() if p not in started and "spawn_main" in p.cmdline()[-1]]
    assert not left
    (place / "open").touch()
    check(run(cells.gated, asked), asked)
    assert begun(place) == {1: 1, 2: 1, 3: 1, GATE: 2, GATE + 1: 2}


def test_what_was_finished_when_the_sweep_was_cancelled_is_kept(run, place):
    class AtOnce(Executor):
        def submit(self, function, *arguments):
            future = Future()
            future.set_result(function(*arguments))
            return future

    with pytest.raises(SweepCancelled, match="2 of 2 cells are finished and kept"):
        run(cells.value, [1, 2], executor=AtOnce(), cancelled=lambda: True)
    assert len(kept(place)) == 2


def test_cancelling_leaves_the_callers_executor_alone(run, place):
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(SweepCancelled, match="1 of 9 cells are finished, but not kept on disk"):
            asked = [1, *range(GATE, GATE + 8)]
            run(
                cells.gated,
                asked,
                executor=pool,
                store=False,
                workers=None,
                cancelled=lambda: GATE in begun(place),
            )
        (place / "open").touch()
        assert pool.submit(math.sqrt, 4.0).result() == 2
    assert begun(place) == {1: 1, GATE: 1}, "what nobody waits for was computed"


SCRIPT = """
from bnlib.jobs.sweep import sweep
from tests.bnlib import cells

print("the script runs", flush=True)
results = sweep(cells.gated, [1, 10, 2, 11, 3], workers=2, store={store!r})
print(*(result["square"] for result in results.values()))
"""


@pytest.fixture
def script(place):
    """A script without a guard, in a process group of its own; whatever is left of it ends with the test."""
    path, started = place / "script.py", []

    def start(text=None):
        path.write_text(text or SCRIPT.format(store=str(place / "store")))
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, path],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=place,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until_it_waits(process, place):
    """Its processes, once two cells are kept and two wait for the gate."""

    def waits():
        assert process.poll() is None, process.communicate()
        return len(kept(place)) == 2 and {GATE, GATE + 1} <= set(begun(place))

    wait_for(waits, "cells that wait")
    processes = psutil.Process(process.pid).children(recursive=True)
    assert {pid for _, pid in log(place)} <= {p.pid for p in processes}
    return processes


def goes_on(script, place):
    (place / "open").touch()
    output, complaints = script().communicate(timeout=PATIENCE)
    assert (output, complaints) == ("the script runs\n1 100 4 121 9\n", "")
    assert begun(place) == {1: 1, 2: 1, 3: 1, GATE: 2, GATE + 1: 2}
    assert len(list((place / "store").iterdir())) == 5


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_process(script, place):
    process = script()
    processes = until_it_waits(process, place)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    output, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT and output == "the script runs\n"
    ended(processes)
    assert complaints.count("Traceback") == 1, complaints
    assert "KeyboardInterrupt\nsweep: 2 of 5 cells are finished and kept in" in complaints
    goes_on(script, place)


INTERRUPTED = """
import importlib, signal, threading
from bnlib import sweep
from tests.bnlib import cells

*module, kind, name = {point!r}.split(".")
owner, calls = getattr(importlib.import_module(".".join(module)), kind), 0
whole = getattr(owner, name)

def interrupted(*arguments):
    global calls
    found = whole(*arguments)
    if threading.get_ident() == threading.main_thread().ident:
        calls += 1
        if calls == {turn}:
            signal.raise_signal(signal.SIGINT)
    return found

setattr(owner, name, staticmethod(interrupted) if name == "_Popen" else interrupted)
sweep.sweep(cells.gated, [10, 11, 12], workers=2, store={store!r})
"""


@pytest.mark.parametrize(
    ("point", "turn"),
    [
        ("threading.Condition.__enter__", 3),  # the pool's thread is being started
        ("threading.Condition.__enter__", 4),  # a future is locked
        ("threading.Condition.__enter__", 5),  # the pool's queue is locked
        ("bnlib.jobs.workers.WorkerProcess._Popen", 2),  # the pool doesn't know of its process yet
    ],
)
def test_ctrl_c_comes_when_nothing_is_half_done(script, place, point, turn):
    """Raised just there, it would leave locks that are never released, and processes that nobody ends."""
    process = script(INTERRUPTED.format(point=point, turn=turn, store=str(place / "store")))
    _, complaints = process.communicate(timeout=PATIENCE)  # until its processes have closed the pipes, too
    assert process.returncode == -signal.SIGINT, complaints
    assert "KeyboardInterrupt\nsweep: 0 of 3 cells are finished and kept in" in complaints
    assert complaints.count("Traceback") == 1, complaints


def test_ctrl_c_is_held_and_comes_once():
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append("outer"))
    try:
        with workers.interrupts_held() as release, workers.interrupts_held() as inner:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            assert came == []
            inner()
            assert came == ["outer"]
            release()
            assert came == ["outer"]
            signal.raise_signal(signal.SIGINT)
        assert came == ["outer", "outer"]
        with ThreadPoolExecutor(1) as pool, workers.interrupts_held():
            signal.raise_signal(signal.SIGINT)
            pool.submit(workers.interrupts_held().__enter__).result()()
            assert came == ["outer", "outer"], "a thread took what the main thread held"
        assert came == ["outer"] * 3
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with workers.interrupts_held() as release:
            signal.raise_signal(signal.SIGINT)
            release()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_process_that_is_killed_while_it_answers_holds_nobody_up(script):
    """What it has sent ends in the middle of a message."""
    process = script("""
import math, os
from bnlib.jobs.workers import processes

with processes(1) as pool:
    pool.submit(math.sqrt, 4.0).result()
    os.write(pool._result_queue._writer.fileno(), bytes([0, 0, 1, 0]) + b"half of it")
    raise KeyError("stop")
""")
    _, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and complaints.endswith("KeyError: 'stop'\n"), complaints


def test_ctrl_c_ends_processes_that_do_not_end_by_themselves(script, place):
    """A cell has left a thread behind, and its process waits for that."""
    process = script(f"""
from bnlib.jobs.sweep import sweep
from tests.bnlib import cells

sweep(cells.lingering, [10], workers=1, store={str(place / "store")!r})
""")
    wait_for((place / "lingers").exists, "the end of the process's main thread")
    os.killpg(process.pid, signal.SIGINT)
    _, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT, complaints
    assert "sweep: 1 of 1 cells are finished and kept in" in complaints


def test_a_killed_sweep_keeps_what_is_finished_and_its_workers_end(script, place):
    process = script()
    processes = until_it_waits(process, place)
    process.kill()
    process.communicate(timeout=PATIENCE)
    ended(processes)
    goes_on(script, place)


# --- accidents ------------------------------------------------------------------------------------------


def test_a_killed_worker_loses_nothing(run, place):
    """Killed from outside, while it computes one cell and others are finished."""
    victims = []

    def kill():
        waiting = dict(log(place))
        if not victims and len(kept(place)) == 2 and {GATE, GATE + 1} <= set(waiting):
            victims.append(waiting[GATE])
            (place / "open").touch()
            os.kill(waiting[GATE], signal.SIGKILL)
        return False

    asked = [1, GATE, 2, GATE + 1, 3]
    check(run(cells.gated, asked, cancelled=kill), asked)
    assert victims and begun(place)[1] == begun(place)[2] == 1 and begun(place)[GATE] == 2


def test_a_cell_that_is_killed_once_is_tried_again(run, place):
    check(run(cells.killed_once, range(8)), range(8))
    assert begun(place)[3] == 2


def test_what_keeps_killing_its_process_is_named_and_all_others_are_finished(run, place):
    asked = [-1, *range(6), -2, *range(6, 9)]
    with pytest.raises(
        SweepError, match="2 of 11 cells failed: .*-1: its process was killed .*memory"
    ) as error:
        run(cells.killed, asked)
    assert "-2: its process was killed" in str(error.value)
    check(error.value.results, range(9))
    assert set(error.value.failures) == {-1, -2}
    assert len(kept(place)) == 9
    assert all(1 <= begun(place)[cell] <= sweep.STRIKES for cell in (-1, -2))


def test_where_no_process_lives_the_sweep_gives_up(run, place, monkeypatch):
    monkeypatch.setattr(sweep, "DEATHS", 2)
    with pytest.raises(SweepError, match="killed .*, 2 times in a row; last with -.*0 of 40 cells"):
        run(cells.killed, range(-40, 0))


def test_processes_that_cannot_be_started_are_an_error_with_a_fix(run, monkeypatch):
    def refused(_):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(workers.WorkerProcess, "_Popen", staticmethod(refused))
    with pytest.raises(SweepError, match="no process can be started .*try fewer workers"):
        run(cells.value, [1])


def test_a_broken_executor_of_the_callers_is_an_error_and_what_is_finished_is_kept(run, place):
    said = "the executor broke .*: have a new one; 1 of 3 cells are finished and kept"
    broken = ProcessPoolExecutor(1, mp_context=workers.WorkerContext())
    with broken, pytest.raises(SweepError, match=said):
        run(cells.killed, [1, -1, 2], executor=broken)
    shut = ThreadPoolExecutor(1)
    shut.shutdown()
    for executor in (broken, shut):
        with pytest.raises(SweepError, match="the executor broke .*: have a new one; 0 of 1 cells"):
            run(cells.killed, [2], executor=executor)
    check(run(cells.killed, [1, 2]), [1, 2])
    assert begun(place)[1] == 1


def test_cells_that_fail_are_listed_and_all_others_are_finished(run, place):
    with pytest.raises(SweepError) as error:
        run(cells.failing, range(9))
    text = str(error.value)
    assert (
        text.startswith("sweep: 6 of 9 cells failed: ") and "; and 1 more; 3 of 9 cells are finished" in text
    )
    assert set(error.value.failures) == {1, 2, 3, 4, 5, 6}
    for cell, said in {
        1: "KeyError: 'missing'",
        2: "SystemExit: the cell wants to leave",
        3: "TypeError: returned 'thing' of type object; return arrays and numbers by name",
        4: "TypeError: returned list; return a dict of arrays and numbers by name",
        5: "Unpicklable: this and that",
        6: "ValueError: cannot reshape",
    }.items():
        assert said in error.value.failures[cell]
    assert any("in failing" in note for note in error.value.__notes__)
    check(error.value.results, [0, 7, 8])
    assert len(kept(place)) == 3


# --- disks ----------------------------------------------------------------------------------------------

LARGE = """
import resource, sys, warnings
from bnlib.jobs.sweep import sweep
from tests.bnlib import cells

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
results = sweep(cells.wide, [10, 20, 9_000, 30, 8_000], workers=1, store={store!r})
print(*(len(result["row"]) for result in results.values()))
"""


def test_files_that_are_too_large_are_warned_about_once_and_the_others_kept(place):
    """A real limit, which refuses in mid-write."""
    (place / "large.py").write_text(LARGE.format(store=str(place / "store")))
    answer = subprocess.run(
        [sys.executable, place / "large.py"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert answer.stdout == "10 20 9000 30 8000\n", answer.stderr
    assert answer.stderr.count("StoreWarning: sweep: a cell's result can't be kept in") == 1
    assert "large.py:7: StoreWarning" in answer.stderr and os.strerror(errno.EFBIG) in answer.stderr
    assert len(kept(place)) == 3 == len(list((place / "store").iterdir()))


def test_what_stands_in_the_way_of_one_cell_is_warned_about_and_the_others_are_kept(run, place):
    (place / "store").mkdir()
    in_the_way = [store.Store(place / "store", cells.failing).path(cell) for cell in (0, 7)]
    for path in in_the_way:
        path.mkdir()
    with (
        pytest.warns(store.StoreWarning, match=f"can't be kept in .*{os.strerror(errno.EISDIR)}") as warned,
        pytest.raises(SweepError, match="3 of 4 cells are finished, all but 2 of them kept in .*store"),
    ):
        run(cells.failing, [0, 7, 8, 1])
    assert len(warned) == 1
    assert len(kept(place)) == 3 == len(list((place / "store").iterdir())), "no part of a file is left"
    with pytest.warns(store.StoreWarning):
        check(run(cells.failing, [0, 7, 8]), [0, 7, 8])
    assert begun(place) == {0: 2, 7: 2, 8: 1}
    for path in in_the_way:
        path.rmdir()
    run(cells.failing, [0, 7])
    assert len(kept(place)) == 3 and all(path.is_file() for path in in_the_way)


def test_a_disk_that_fills_up_leaves_no_half_a_file_and_spoils_none(run, place, monkeypatch):
    whole = Path.write_bytes

    def half(path, content):
        whole(path, bytes(content)[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    run(cells.value, [1])
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.warns(store.StoreWarning, match="store .No space left on device.*another store") as warned:
        check(run(cells.value, [1, 2, 3]), [1, 2, 3])
    assert len(warned) == 1 and len(list((place / "store").iterdir())) == 1
    with pytest.raises(SweepError, match="not kept on disk"), pytest.warns(store.StoreWarning):
        run(cells.failing, [1, 7])
    monkeypatch.undo()
    monkeypatch.setenv("CELLS_FOLDER", str(place))
    check(run(cells.value, [1, 2]), [1, 2])
    assert begun(place) == {1: 1, 2: 2, 3: 1, 7: 1}


def test_a_store_that_vanishes_is_warned_about(run, place):
    with pytest.warns(store.StoreWarning) as warned, ThreadPoolExecutor(1) as pool:
        check(run(cells.vanishing, [1], executor=pool), [1])
    assert warned[0].filename == __file__


def test_a_store_that_may_not_be_written_is_warned_about(run, place):
    """Permissions don't stop every user; a file where the folder was does."""

    def replaced(done, *_):
        if done == 0:
            (place / "store").rmdir()
            (place / "store").touch()

    with pytest.warns(store.StoreWarning, match="Not a directory") as warned:
        check(run(cells.value, [1, 2], progress=replaced), [1, 2])
    assert len(warned) == 1


def test_a_store_is_made_and_one_that_cannot_be_made_is_refused(run, place, monkeypatch):
    with ThreadPoolExecutor(1) as pool:
        check(run(cells.value, [1], executor=pool, store=str(place / "deep" / "down")), [1])
        assert len(list((place / "deep" / "down").iterdir())) == 1
        (place / "file").touch()
        for unfit in (place / "file", place / "file" / "below"):
            with pytest.raises(ValueError, match=r"store='.*file.*' is no folder .*; name one that"):
                run(cells.value, [1], executor=pool, store=unfit)
        monkeypatch.setenv("BNLAB_CACHE", str(place / "file"))
        with pytest.warns(store.StoreWarning):  # nobody asked for it: no reason to refuse
            check(run(cells.value, [2], executor=pool, store=None), [2])


NO_FOLDERS = {
    "~nosuchuser/x": "it begins with the home of a user that there isn't",
    "x" * 5000: os.strerror(errno.ENAMETOOLONG),
    "x/" * 5000: os.strerror(errno.ENAMETOOLONG),
    "file": os.strerror(errno.EEXIST),
    "file/below": os.strerror(errno.ENOTDIR),
    "/dev/null": os.strerror(errno.EEXIST),
}


@pytest.mark.parametrize("folder", NO_FOLDERS, ids=lambda folder: folder[:15])
def test_nonsense_for_a_folder_is_refused_and_the_users_only_warned_about(run, place, monkeypatch, folder):
    monkeypatch.chdir(place)
    (place / "file").touch()
    said = NO_FOLDERS[folder]
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(
            ValueError, match=r"^sweep: store='.{1,210}' is no folder \(.*\); name one"
        ) as error:
            run(cells.value, [1], executor=pool, store=folder)
        assert said in str(error.value) and not log(place)
        monkeypatch.setenv("BNLAB_CACHE", folder)
        with pytest.warns(store.StoreWarning, match="^sweep: results can't be kept in ") as warned:
            check(run(cells.value, [1], executor=pool, store=None), [1])
        (warning,) = warned
        assert said in str(warning.message) and len(str(warning.message)) < 600
        assert warning.filename == __file__


def test_characters_that_no_path_has_are_refused(run, place):
    for folder in ("a\0b", "\ud800"):
        with pytest.raises(ValueError, match="sweep: store=.* is no folder .*; name one that"):
            run(cells.value, [1], store=folder)
    assert not log(place)


def test_without_a_home_results_are_not_kept(run, place, monkeypatch):
    """In a container whose user has no entry among the users."""

    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("BNLAB_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with ThreadPoolExecutor(1) as pool, pytest.warns(store.StoreWarning, match="kept in ~.*home of a user"):
        check(run(cells.value, [1], executor=pool, store=None), [1])


# --- arguments ------------------------------------------------------------------------------------------


def local_function():
    def inside(cell):
        return {}

    return inside


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"function": lambda cell: {}}, "can't be imported by a worker; def it at the top level"),
        ({"function": local_function()}, "can't be imported"),
        ({"function": partial(cells.value)}, "can't be imported"),
        ({"function": "value"}, "function='value' can't be imported"),
        ({"cells": []}, "cells is empty"),
        ({"cells": "abc"}, r"cells='abc' must be a sequence of cells; for one cell, \[cell\]"),
        ({"cells": 3}, "cells=3 must be a sequence"),
        ({"cells": [[1]]}, r"cell \[1\] must be hashable and pickle .*; use numbers"),
        ({"cells": [threading.Lock()]}, "must be hashable and pickle"),
        ({"cells": [cells.Nameless()]}, "would be another one in a worker; define its class"),
        ({"cells": [cells.Cell(1), cells.Cell(1, unseen=2)]}, "same repr; it must tell all"),
        ({"workers": 0}, "workers=0 must be a whole number, 1 or more"),
        ({"workers": 1.5}, "workers=1.5"),
        ({"workers": True}, "workers=True"),
        ({"executor": 3}, r"executor=3 has no submit\(\)"),
        ({"store": ""}, "store='' must be a folder"),
        ({"store": True}, "store=True must be a folder"),
        ({"store": 3}, "store=3 must be a folder"),
    ],
)
def test_arguments_that_cannot_be_right_are_refused_at_once(run, place, wrong, said):
    asked = {"function": cells.value, "cells": [1], "executor": None} | wrong
    with pytest.raises(ValueError, match=said):
        run(asked.pop("function"), asked.pop("cells"), **asked)
    assert not log(place)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("def f(cell): return {}\nsweep(f, [1])", "can't be imported by a worker"),
        (
            "from dataclasses import make_dataclass\nfrom tests.bnlib.cells import text\n"
            "Mine = make_dataclass('Mine', ['x'], frozen=True)\nMine.__module__ = '__main__'\n"
            "sweep(text, [Mine(1)])",
            "would be another one in a worker",
        ),
    ],
)
def test_what_a_script_defines_itself_is_refused_at_once(place, program, said):
    (place / "script.py").write_text(f"from bnlib.jobs.sweep import sweep\n{program}")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, place / "script.py"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert answer.returncode == 1 and "ValueError: sweep: " in answer.stderr and said in answer.stderr


def test_a_grid_is_the_product_of_its_axes_in_order():
    base = RunConfig(depth=1)
    found = grid(base, norm=("batch", "layer"), lr=np.array([0.1, 1.0]), edits=[((5, "lr", 0.5),)])
    assert [(c.norm, c.lr, c.depth) for c in found] == [
        ("batch", 0.1, 1),
        ("batch", 1.0, 1),
        ("layer", 0.1, 1),
        ("layer", 1.0, 1),
    ]
    assert found[0].edits == ((5, "lr", 0.5),) and grid(base) == [base]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"speed": (1, 2)}, "there is no field 'speed'; the fields are dataset, "),
        ({"norm": "batch"}, r"norm='batch' must be a sequence; for one value, norm=\('batch',\)"),
        ({"lr": 0.1}, r"for one value, lr=\(0.1,\)"),
        ({"lr": ()}, r"lr=\(\) has no values; give it one or leave it out"),
        ({"lr": (0.1, -1.0)}, "lr=-1.0 must be a number from 0"),
        ({"norm": ("batch", "group"), "width": (12,)}, "groups=8 does not divide width=12"),
    ],
)
def test_a_grid_refuses_axes_that_cannot_be_right(axes, said):
    with pytest.raises(ValueError, match=said):
        grid(RunConfig(), **axes)


# --- progress -------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_line_with_a_bar_and_an_estimate():
    screen = Terminal()
    show = progress_bar(screen, "runs")
    show(10, 40, 0.0)
    show(20, 40, 100.0)
    *_, line = screen.getvalue().split("\r")
    assert line == "runs [" + "#" * 15 + "." * 15 + "] 20/40, 1 min 40 s, about 3 min 20 s left\x1b[K"
    show(40, 40, 7260.0)
    assert screen.getvalue().endswith("] 40/40, 2 h 01 min\x1b[K\n") and screen.getvalue().count("\n") == 1


def test_a_file_gets_a_line_each_tenth_of_the_way():
    page = io.StringIO()
    show = progress_bar(page)
    for _ in range(2):  # for two sweeps, one after another
        for done in range(1001):
            show(done, 1000, done / 10)
    lines = page.getvalue().splitlines()
    assert len(lines) == 22 and lines[:11] == lines[11:]
    assert lines[:2] == ["0/1000, 0 s", "100/1000, 10 s, about 1 min 30 s left"]
    assert lines[10] == "1000/1000, 1 min 40 s" and "\r" not in page.getvalue()


def test_a_stream_that_is_closed_or_broken_or_not_there_does_no_harm(monkeypatch):
    class Broken(Terminal):
        def write(self, text):
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (closed, Broken()):
        progress_bar(stream)(1, 2, 3.0)
    monkeypatch.setattr(sys, "stderr", None)
    progress_bar()(1, 2, 3.0)


# --- a cluster ------------------------------------------------------------------------------------------


class Cluster:
    """Dask's scheduler and workers, each in a process of its own."""

    def __init__(self, place):
        self.place, self.started = place, []

    def scheduler(self, path=ROOT):
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        return self._start("scheduler", path, "--port", str(port))

    def worker(self, path=ROOT):
        return self._start("worker", path, self.address, "--nthreads", "1", "--no-nanny")

    def _start(self, what, path, *options):
        with (self.place / f"{what}{len(self.started)}").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *options, "--no-dashboard"]
                + ["--host", "127.0.0.1"],
                env=os.environ | {"PYTHONPATH": str(path), "DASK_TEMPORARY_DIRECTORY": str(self.place)},
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.started.append(process)
        return process

    def have(self, workers):
        """Wait until the scheduler knows of so many workers."""
        from distributed import Client

        with Client(self.address, timeout=PATIENCE, set_as_default=False) as client:
            wait_for(lambda: len(client.scheduler_info()["workers"]) == workers, f"{workers} workers")


@pytest.fixture
def cluster(place):
    """No cluster yet; whatever is started of it ends with the test."""
    cluster = Cluster(place)
    yield cluster
    for process in reversed(cluster.started):
        process.kill()
        process.wait()


def test_a_cluster_computes_the_same_though_a_worker_is_killed(run, place, cluster, monkeypatch):
    cluster.scheduler()
    both = [cluster.worker(), cluster.worker()]
    cluster.have(2)
    asked, victims = [1, GATE, 2, GATE + 1, 3, 4], {}

    def kill():
        running = {cell: pid for cell, pid in log(place) if cell >= GATE}
        if not victims and running and kept(place):
            victims.update(list(running.items())[:1])
            (victim,) = [process for process in both if process.pid in victims.values()]
            victim.kill()
            (place / "open").touch()
        return False

    monkeypatch.setenv("BNLAB_DASK", cluster.address)
    found = run(cells.gated, asked, cancelled=kill)
    assert [begun(place)[cell] for cell in victims] == [2]
    assert {pid for _, pid in log(place)} == {process.pid for process in both}
    check(found, asked)
    check(run(cells.gated, [*asked, 5]), [*asked, 5])
    monkeypatch.delenv("BNLAB_DASK")
    here = run(cells.gated, asked, store=False)
    assert all(here[c]["row"].tobytes() == found[c]["row"].tobytes() for c in asked)


def test_a_cell_that_kills_the_workers_of_a_cluster_fails(run, place, cluster, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    cluster.scheduler()
    for _ in range(3):
        cluster.worker()
    cluster.have(3)
    monkeypatch.setenv("BNLAB_DASK", cluster.address)
    check(run(cells.killed, [1, 2]), [1, 2])
    with pytest.raises(
        SweepError, match="1 of 3 cells failed: -1: KilledWorker: .*2 of 3 cells are finished"
    ):
        run(cells.killed, [-1, 1, 2])
    assert begun(place) == {1: 1, 2: 1, -1: 2}


def test_a_cluster_that_is_not_there_or_not_ready_is_an_error_with_a_fix(run, place, cluster, monkeypatch):
    def refuses(said, patience=PATIENCE):
        monkeypatch.setenv("BNLAB_DASK", cluster.address)
        monkeypatch.setattr(sweep, "CLUSTER_SECONDS", patience)
        with pytest.raises(SweepError, match=f"BNLAB_DASK='tcp://127.0.0.1:.*{said}.*0 of 1 cells"):
            run(cells.value, [1])
        assert not log(place)

    ignorance = "can't import what it needs .*No module named 'bnlib'.*give it the same .*PYTHONPATH"
    scheduler = cluster.scheduler(path="")
    scheduler.kill()
    scheduler.wait()
    refuses("no scheduler answers .*start one, or unset BNLAB_DASK", patience=0.3)

    cluster.scheduler(path="")
    cluster.worker()
    refuses(f"scheduler {ignorance}")

    cluster.scheduler()
    cluster.have(0)
    refuses("there are no workers: start some .dask worker tcp:", patience=1)
    worker = cluster.worker(path="")
    refuses(f"tcp://127.0.0.1:.* {ignorance}")
    worker.kill()
    cluster.have(0)
    for name in ("bnlib", "tests"):
        shutil.copytree(ROOT / name, place / "old" / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (place / "old" / "bnlib" / "norms" / "core.py").open("a") as source:
        source.write("# another version\n")
    cluster.worker(place / "old")
    refuses("has other versions; give it the same bnlib")


def test_without_the_package_a_cluster_is_an_error_with_a_fix(run, monkeypatch):
    monkeypatch.setenv("BNLAB_DASK", "tcp://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        SweepError, match=r"distributed isn't installed: pip install 'batchnorm-lab\[cluster\]'"
    ):
        run(cells.value, [1])


def test_no_warning_of_our_own_on_the_way(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(cells.value, [1])
