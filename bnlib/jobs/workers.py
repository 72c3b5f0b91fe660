"""Processes that compute for a parent: on one thread each, deaf to Ctrl-C, and gone when the parent is."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import FrameType, ModuleType
from typing import Any

import numpy as np

# Processes side by side share the cores among them; small matrices are faster on one thread anyway.
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
MOST_ON_WINDOWS = 61  # more the pool refuses there
POLL_SECONDS = 0.1
_starting = threading.Lock()


class WorkerProcess(SpawnProcess):
    """A spawned process that computes on one thread and doesn't run the parent's main module again.

    That module may be a script without a guard. While a page is being made, it is that page's script: a
    worker started then would run the page.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        with _starting, _sigint_blocked():
            main, blank = sys.modules["__main__"], ModuleType("__main__")
            before = {name: os.environ.get(name) for name in ONE_THREAD}
            sys.modules["__main__"] = blank
            os.environ.update(ONE_THREAD)  # the child's NumPy reads it when it is imported
            try:
                return SpawnProcess._Popen(process_obj)
            finally:
                for name, value in before.items():
                    os.environ.pop(name)
                    os.environ.update({} if value is None else {name: value})
                if sys.modules["__main__"] is blank:  # else another page has begun meanwhile
                    sys.modules["__main__"] = main


class WorkerContext(SpawnContext):
    """The ``mp_context`` of a ProcessPoolExecutor whose processes are such."""

    Process = WorkerProcess


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Ignore Ctrl-C meanwhile; a child inherits this, and isn't reached before `follow_parent` has run."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends: for workers."""
    parent = parent_process()
    if parent is None:
        return
    keep_memory()

    def end_with_parent() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def keep_memory(size: int = 30 << 20) -> None:
    """Have this process keep the memory of arrays up to ``size`` bytes when it frees them, for the next ones.

    glibc gives the pages of large arrays back when they are freed, and fetches them again, one fault each,
    in the next training step: a third of the time of a convolutional network's step. Freeing one array this
    large, which never touches its pages, raises the size from which it does so (mallopt(3), M_MMAP_THRESHOLD;
    32 MiB at most). Elsewhere nothing happens.
    """
    np.empty(size, np.uint8)


class _Held:
    """A handler of Ctrl-C that notes it for the handler before it."""

    def __init__(self, before: Callable[[int, FrameType | None], Any]):
        self.before = before
        self.noted: tuple[int, FrameType | None] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.noted = number, frame

    def release(self) -> None:
        """Let a Ctrl-C that was noted happen here."""
        if self.noted is not None:  # asked first: what is noted from here on is the same Ctrl-C
            noted, self.noted = self.noted, None
            self.before(*noted)


@contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """Have Ctrl-C wait until what this yields is called, or for the end.

    In the middle of `concurrent.futures` a KeyboardInterrupt leaves a lock that is never released, or a
    process that no pool knows: whoever waits for them waits for ever. Of two holds, one inside the other, the
    outer one counts. Nothing is held where Ctrl-C is ignored, nor in threads, which it doesn't reach.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: None
        return
    if isinstance(before, _Held):
        yield before.release
        return
    held = _Held(before)
    signal.signal(signal.SIGINT, held)
    try:
        yield held.release
    finally:
        signal.signal(signal.SIGINT, before)
        held.release()


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Run a pool of such processes. None is left afterwards, and an exception ends them in mid-work."""
    count = min(count, MOST_ON_WINDOWS) if sys.platform == "win32" else count
    with interrupts_held():
        pool: Any = ProcessPoolExecutor(count, mp_context=WorkerContext(), initializer=follow_parent)
    workers, results, manager = pool._processes, pool._result_queue, None  # shut down, it forgets them
    try:
        yield pool
        with interrupts_held() as release:
            manager = pool._executor_manager_thread
            pool.shutdown(wait=False)
            while manager is not None and manager.is_alive():
                manager.join(POLL_SECONDS)
                release()
    except BaseException:
        with interrupts_held():
            manager = manager or pool._executor_manager_thread
            for process in list(workers.values()):
                process.kill()
            # The rest of a message that a process was sending would be waited for as long as anybody, which
            # is this process, could send it.
            results._writer.close()
            pool.shutdown(wait=False, cancel_futures=True)
            for ending in (manager, *workers.values()):
                if ending is not None and ending.is_alive():
                    ending.join()
        raise
