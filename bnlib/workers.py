"""Processes that compute for a parent: on one thread each, deaf to Ctrl-C, and gone when the parent is."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import numpy as np

# Processes side by side share the cores among them; small matrices are faster on one thread anyway.
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
MOST_ON_WINDOWS = 61  # more the pool refuses there
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
    """A child inherits this: Ctrl-C doesn't reach it before `follow_parent` has run either."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end with it, however it ends."""
    parent = parent_process()
    if parent is None:
        return
    keep_memory()

    def end_with_parent() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def keep_memory() -> None:
    """Have this process keep memory that it frees, for the next training step.

    glibc gives the pages of large arrays back when they are freed, and fetches them again, one fault each,
    in the next step: a third of the time of a convolutional network's step. Freeing one array this large,
    which never touches its pages, raises the size from which it does so (mallopt(3), M_MMAP_THRESHOLD).
    Elsewhere nothing happens.
    """
    np.empty(30 << 20, np.uint8)


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """A pool of such processes. None is left afterwards, and an exception ends them in mid-work."""
    count = min(count, MOST_ON_WINDOWS) if sys.platform == "win32" else count
    pool = ProcessPoolExecutor(count, mp_context=WorkerContext(), initializer=follow_parent)
    try:
        yield pool
    except BaseException:
        for process in list(pool._processes.values()):
            process.kill()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()
