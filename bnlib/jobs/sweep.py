"""sweep: one function over many cells, on this machine's cores or on a cluster, and resumable."""

from __future__ import annotations

import itertools
import numbers
import os
import pickle
import queue
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any, Generic, TextIO, TypeVar

from ..networks.config import RunConfig
from .store import Result, Store, StoreWarning, library_version, plain
from .workers import interrupts_held, processes

__all__ = ["StoreWarning", "SweepCancelled", "SweepError", "grid", "library_version", "progress_bar", "sweep"]

C = TypeVar("C", bound=Hashable)
Progress = Callable[[int, int, float], None]  # cells done, cells in all, seconds since the call
Cancelled = Callable[[], bool]

POLL_SECONDS = 0.1
CLUSTER_SECONDS = 5  # how long a cluster may take to answer
STRIKES = 3  # a cell is given up when so many pools have died with it in flight
DEATHS = 10  # so many pools in a row that died before anything was finished: the next one will too
SHOWN = 5  # failing cells in a message
LONGEST, BAR = 120, 30  # characters: of a cell or an error in a message; of a progress bar
KILLED = "its process was killed (out of memory? Then the system kills the largest; or compiled code crashed)"


class SweepError(RuntimeError):
    """A sweep that couldn't be finished.

    Attributes
    ----------
    results : dict, of the cells that are finished
    failures : dict, of the cells that failed: why in a line, and the traceback
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.results: dict[Any, Result] = {}
        self.failures: dict[Any, str] = {}


class SweepCancelled(SweepError):
    """A sweep that was told to stop."""


def sweep(
    function: Callable[[C], Mapping[str, Any]],
    cells: Iterable[C],
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    store: Path | str | bool | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> dict[C, Result]:
    """Compute ``{cell: function(cell)}`` side by side; keep each result on disk as it comes.

    Interrupted, by Ctrl-C, a cell that fails or a power cut, it is resumed by the same call.

    Parameters
    ----------
    function : of a module that can be imported; returns a dict of arrays and numbers by name
    cells : hashable values whose repr tells all that counts, RunConfigs for instance; equal ones count once
    executor : any `concurrent.futures.Executor`; None: the Dask cluster whose scheduler's address is in
        the environment variable BNLAB_DASK, if that is set, and processes of our own otherwise
    workers : how many processes of our own; None: one for each core that we may use
    store : folder of the results; None: the user's (`bnlib.jobs.store.cache_folder`); False: they aren't kept
    progress : called with (cells done, cells in all, seconds so far) at first and after each cell
    cancelled : asked several times a second; the sweep stops once it says true

    Returns
    -------
    dict, results in the order of ``cells``; what has no axes is a Python number

    Raises
    ------
    ValueError
        For arguments that can't be right.
    SweepError
        If cells failed, after all others have been computed; if there is nothing to compute them with.
    SweepCancelled
        If ``cancelled`` said so.
    """
    began = time.monotonic()
    count = _checked_workers(workers, executor)
    job = _Job(_tasks(function, cells), Store(store, function), progress, began)
    try:
        job.compute(executor, count, cancelled)
        if job.failures:
            raise SweepError(job.failed())
    except KeyboardInterrupt as interrupt:
        job.collect()
        interrupt.add_note(f"sweep: {job.so_far()}")
        raise
    except SweepError as error:
        job.collect()
        error.args = (f"sweep: {error}; {job.so_far()}",)
        error.results, error.failures = job.ordered(), job.failures
        if job.failures:
            error.add_note(f"The first cell that failed:\n{next(iter(job.failures.values()))}")
        raise
    return job.ordered()


class _Job(Generic[C]):
    """The books of one sweep: what is to do, what is in flight, what has come of it."""

    def __init__(self, tasks: dict[C, bytes], store: Store, progress: Progress | None, began: float):
        self.tasks, self.store, self.progress, self.began = tasks, store, progress, began
        found = ((cell, store.load(cell)) for cell in tasks)
        self.results = {cell: result for cell, result in found if result is not None}
        self.failures: dict[C, str] = {}
        self.todo = deque(cell for cell in tasks if cell not in self.results)
        self.flying: dict[Future[Result | str], C] = {}
        self.landed: queue.SimpleQueue[Future[Result | str]] = queue.SimpleQueue()
        self.lost: list[C] = []  # they were in flight when their executor broke
        self.tell()

    @property
    def done(self) -> int:
        return len(self.results) + len(self.failures)

    def tell(self) -> None:
        if self.progress is not None:
            self.progress(self.done, len(self.tasks), time.monotonic() - self.began)

    def compute(self, executor: Executor | None, workers: int, cancelled: Cancelled | None) -> None:
        """Compute all that is left: by the caller's executor, on a cluster or in processes of our own."""
        address = os.environ.get("BNLAB_DASK", "")
        if not self.todo:
            return
        if executor is None and not address:
            with interrupts_held() as release:

                def stopped() -> bool:
                    release()
                    return cancelled is not None and cancelled()

                return self.compute_here(workers, stopped)
        try:
            task = self.tasks[self.todo[0]]
            opened = _cluster(address, task) if executor is None else nullcontext(executor)
            with opened as pool:
                self.compute_in(pool, len(self.tasks), cancelled)
        except BrokenExecutor as error:
            what = f"cluster BNLAB_DASK={address!r} went away" if executor is None else "executor broke"
            raise SweepError(f"the {what} ({error}): have a new one") from error
        finally:
            if executor is not None:  # it lives on, but needn't go on with this
                for future in self.flying:
                    future.cancel()

    def compute_here(self, workers: int, cancelled: Cancelled) -> None:
        """Compute in processes of our own. A pool that loses one is replaced.

        What was in flight then is tried again after all the rest, and for the last time alone: so what
        kills processes is found out, and takes no neighbours along.
        """
        strikes: Counter[C] = Counter()
        deaths = 0
        while self.todo:
            before = self.done
            count = min(workers, len(self.todo))
            try:
                with processes(count) as pool:
                    self.compute_in(pool, count + 1, cancelled, strikes)
            except BrokenExecutor as error:
                deaths = deaths + 1 if self.done == before else 1
                names = ", ".join(map(_show, self.lost))
                strikes.update(self.lost)
                for cell in self.lost:
                    if strikes[cell] < STRIKES:
                        self.todo.append(cell)
                    else:
                        self.failures[cell] = f"{KILLED}, {STRIKES} times"
                        self.tell()
                self.lost = []
                if deaths == DEATHS:
                    raise SweepError(f"{KILLED}, {DEATHS} times in a row; last with {names}") from error

    def compute_in(
        self, pool: Executor, window: int, cancelled: Cancelled | None, strikes: Mapping[C, int] = {}
    ) -> None:
        """Compute in this executor, at most ``window`` cells at a time. BrokenExecutor if it breaks."""
        broken = ""
        while self.flying or (self.todo and not broken):
            while self.todo and not broken:
                cell = self.todo[0]
                if len(self.flying) >= (1 if strikes.get(cell) == STRIKES - 1 else window):
                    break
                try:
                    future = pool.submit(_compute, self.tasks[cell])
                except RuntimeError as error:  # broken, or shut down by somebody
                    broken = str(error)
                except OSError as error:
                    raise SweepError(f"no process can be started ({error}); try fewer workers") from error
                else:
                    self.flying[future] = self.todo.popleft()
                    future.add_done_callback(self.landed.put)
            if cancelled is not None and cancelled():
                raise SweepCancelled("cancelled")
            with suppress(queue.Empty):
                self.take(self.landed.get(timeout=POLL_SECONDS))
            if self.lost:
                broken = broken or "what it had in hand is lost"
        if broken:
            raise BrokenExecutor(broken)

    def take(self, future: Future[Result | str]) -> None:
        """Take the result of a cell that was being computed, or its failure."""
        cell = self.flying.pop(future)
        try:
            outcome = future.result()
        except (BrokenExecutor, CancelledError):
            self.lost.append(cell)
            return
        except Exception as error:  # the executor's own: Dask's KilledWorker, for instance
            outcome = _told(error)
        if isinstance(outcome, str):
            self.failures[cell] = outcome
        else:
            self.results[cell] = outcome
            self.store.save(cell, outcome)
        self.tell()

    def collect(self) -> None:
        """Keep what was finished by the time of the stop."""
        self.progress = None
        while not self.landed.empty():
            self.take(self.landed.get())

    def ordered(self) -> dict[C, Result]:
        return {cell: self.results[cell] for cell in self.tasks if cell in self.results}

    def failed(self) -> str:
        some = [f"{_show(cell)}: {text.splitlines()[0]}" for cell, text in self.failures.items()]
        more = f"; and {len(some) - SHOWN} more" if len(some) > SHOWN else ""
        return f"{len(some)} of {len(self.tasks)} cells failed: {'; '.join(some[:SHOWN])}{more}"

    def so_far(self) -> str:
        count = f"{len(self.results)} of {len(self.tasks)} cells are finished"
        if self.store.folder is None:
            return f"{count}, but not kept on disk: the same call does them again"
        kept = f", all but {self.store.refused} of them kept" if self.store.refused else " and kept"
        return f"{count}{kept} in {self.store.folder}: the same call does the rest"


def _compute(task: bytes) -> Result | str:
    """Compute a cell in a worker, or say why there is no result: not every exception can be pickled."""
    try:
        function, cell = pickle.loads(task)
        return plain(function(cell))
    except (Exception, SystemExit) as error:
        return _told(error)


def _told(error: BaseException) -> str:
    """Say what went wrong in one line, and give its traceback."""
    line = shorten(f"{type(error).__name__}: {error}", LONGEST, placeholder="...")
    return f"{line}\n\n{''.join(traceback.format_exception(error))}"


# --- a cluster ------------------------------------------------------------------------------------------


@contextmanager
def _cluster(address: str, task: bytes) -> Iterator[Executor]:
    """Return Dask's executor, once its workers have shown that they know the task and compute as we do."""
    where, here = f"BNLAB_DASK={address!r}", "or unset BNLAB_DASK to use this machine's cores"
    try:
        from distributed import Client
    except ImportError as error:
        fix = f"pip install 'batchnorm-lab[cluster]', {here}"
        raise SweepError(f"{where}, but the package distributed isn't installed: {fix}") from error
    try:
        client = Client(address, timeout=CLUSTER_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is an OSError
        raise SweepError(f"{where}: no scheduler answers ({error}): start one, {here}") from error
    try:
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=CLUSTER_SECONDS)
        workers = client.run(_probe, task, on_error="return")
        if not workers:
            raise SweepError(f"{where}: there are no workers: start some (dask worker {address}), {here}")
        try:
            scheduler = client.run_on_scheduler(_probe, task)  # it reads every task too
        except Exception as error:
            scheduler = error
        for who, answer in [("scheduler", scheduler), *workers.items()]:
            if answer != library_version():
                problem = "has other versions"
                if isinstance(answer, BaseException):
                    problem = f"can't import what it needs ({type(answer).__name__}: {answer})"
                fix = "the same bnlib, NumPy and modules as here: install them there, or set PYTHONPATH"
                raise SweepError(f"{where}: {who} {problem}; give it {fix}")
        yield client.get_executor(pure=False, retries=STRIKES)
    finally:
        client.close(timeout=CLUSTER_SECONDS)


def _probe(task: bytes) -> str:
    pickle.loads(task)
    return library_version()


# --- what was asked -------------------------------------------------------------------------------------


def _checked_workers(workers: int | None, executor: Executor | None) -> int:
    if executor is not None and not hasattr(executor, "submit"):
        raise ValueError(f"sweep: executor={executor!r} has no submit(); pass a concurrent.futures.Executor")
    if workers is None:
        available = getattr(os, "sched_getaffinity", None)  # not on macOS, not on Windows
        return len(available(0)) if available else os.cpu_count() or 1
    if isinstance(workers, bool) or not isinstance(workers, numbers.Integral) or workers < 1:
        raise ValueError(f"sweep: workers={workers!r} must be a whole number, 1 or more; None: one a core")
    return int(workers)


def _tasks(function: Callable[[C], Mapping[str, Any]], cells: Iterable[C]) -> dict[C, bytes]:
    """Pickle (function, cell) for each cell; raise a ValueError for what another process couldn't read."""
    module = getattr(function, "__module__", None)
    found: Any = None
    if module != "__main__":  # each process has its own; and a file on disk must know whose function it was
        found = sys.modules.get(str(module))
        for part in getattr(function, "__qualname__", "").split("."):
            found = getattr(found, part, None)
    if found is None or found is not function:
        fix = "def it at the top level of a module of its own, a file beside the script or notebook, and"
        raise ValueError(f"sweep: function={function!r} can't be imported by a worker; {fix} import it there")
    if isinstance(cells, str | bytes) or not isinstance(cells, Iterable):
        raise ValueError(f"sweep: cells={_show(cells)} must be a sequence of cells; for one cell, [cell]")
    tasks: dict[C, bytes] = {}
    for cell in cells:
        try:
            if cell in tasks:
                continue
            tasks[cell] = pickle.dumps((function, cell))
            same = repr(pickle.loads(tasks[cell])[1]) == repr(cell) and b"__main__" not in tasks[cell]
        except Exception as error:
            fix = "use numbers, strings, RunConfigs, or tuples and frozen dataclasses of such"
            raise ValueError(
                f"sweep: cell {_show(cell)} must be hashable and pickle ({error}); {fix}"
            ) from error
        if not same:
            fix = "define its class in a module of its own, with a repr of its values"
            raise ValueError(f"sweep: cell {_show(cell)} would be another one in a worker; {fix}")
    if not tasks:
        raise ValueError("sweep: cells is empty; there must be one at least")
    if len(set(map(repr, tasks))) < len(tasks):
        raise ValueError("sweep: cells that differ have the same repr; it must tell all that counts")
    return tasks


def _show(cell: Any) -> str:
    """Write a cell in a message: of a dataclass what isn't its default, and never too much."""
    text = repr(cell)
    if is_dataclass(cell):
        own = [(f.name, getattr(cell, f.name)) for f in fields(cell) if getattr(cell, f.name) != f.default]
        text = f"{type(cell).__name__}({', '.join(f'{name}={value!r}' for name, value in own)})"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def grid(base: RunConfig, **axes: Iterable[Any]) -> list[RunConfig]:
    """Return all combinations of the axes' values as changes to ``base``, the last axis fastest.

    >>> [(c.norm, c.lr) for c in grid(RunConfig(), norm=("batch", "layer"), lr=(0.1, 1.0))]
    [('batch', 0.1), ('batch', 1.0), ('layer', 0.1), ('layer', 1.0)]

    Raises
    ------
    ValueError
        For a field that there isn't, an axis without values, a combination that can't be.
    """
    names = [field.name for field in fields(RunConfig)]
    values: dict[str, list[Any]] = {}
    for name, axis in axes.items():
        if name not in names:
            raise ValueError(f"grid: there is no field {name!r}; the fields are {', '.join(names)}")
        if isinstance(axis, str | bytes) or not isinstance(axis, Iterable):
            raise ValueError(f"grid: {name}={axis!r} must be a sequence; for one value, {name}=({axis!r},)")
        values[name] = list(axis)
        if not values[name]:
            raise ValueError(f"grid: {name}={axis!r} has no values; give it one or leave it out")
    rows = itertools.product(*values.values())
    return [replace(base, **dict(zip(values, row, strict=True))) for row in rows]


# --- how far it is --------------------------------------------------------------------------------------


def progress_bar(stream: TextIO | None = None, label: str = "") -> Progress:
    """Return a ``progress`` for `sweep` that writes to ``stream``, the standard error if None.

    On a terminal one line that is drawn again and again, elsewhere a line each tenth of the way.
    """
    found = tenth = -1
    start = f"{label} " if label else ""

    def show(done: int, total: int, seconds: float) -> None:
        nonlocal found, tenth
        found = done if found < 0 else found  # what was on disk says nothing about the pace
        end = f"{done}/{total}, {_span(seconds)}"
        if found < done < total:
            end += f", about {_span(seconds / (done - found) * (total - done))} left"
        with suppress(OSError, ValueError, AttributeError):  # a closed stream, a broken pipe, no stream
            out = stream or sys.stderr
            if out.isatty():
                bar = ("#" * (BAR * done // total)).ljust(BAR, ".")
                out.write(f"\r{start}[{bar}] {end}\x1b[K" + "\n" * (done == total))
            elif 10 * done // total > tenth:
                out.write(f"{start}{end}\n")
            out.flush()
        tenth = 10 * done // total
        if done == total:
            found = tenth = -1  # ready for another sweep

    return show


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02} min"
