"""Functions that the sweeps of the tests call: in a module of their own, since workers import it."""

import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


def folder():
    """Where cells leave their traces, and look for what they wait for."""
    return Path(os.environ["CELLS_FOLDER"])


def value(cell):
    with (folder() / "log").open("a") as log:
        log.write(f"{cell} {os.getpid()}\n")
    return {"square": cell * cell, "mean": np.float32(cell), "row": np.arange(3, dtype="float32") * cell}


def other(cell):
    return value(-cell)


def gated(cell):
    """From 10 on, a cell waits until the gate is open."""
    result = value(cell)
    while cell >= 10 and not (folder() / "open").exists():
        time.sleep(0.01)
    return result


def lingering(cell):
    """A thread outlives the process's work until the gate is open."""

    def linger():
        threading.main_thread().join()
        (folder() / "lingers").touch()
        while not (folder() / "open").exists():
            time.sleep(0.01)

    threading.Thread(target=linger).start()
    return value(cell)


def killed_once(cell):
    result = value(cell)
    if cell == 3 and not (folder() / "killed").exists():
        (folder() / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def killed(cell):
    """Negative ones are killed, and so is their process."""
    result = value(cell)
    if cell < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


FAILURES = {
    1: lambda: {}["missing"],
    2: lambda: sys.exit("the cell wants to leave"),
    3: lambda: {"thing": object()},
    4: lambda: [1, 2],
    5: lambda: (_ for _ in ()).throw(Unpicklable("this", "that")),
    6: lambda: np.zeros(2).reshape(3),
}


def failing(cell):
    return FAILURES.get(cell, lambda: value(cell))()


def wide(cell):
    """Results of so many numbers."""
    return {"row": np.arange(float(cell))}


def vanishing(cell):
    """The store isn't there any more when this cell has been computed."""
    shutil.rmtree(folder() / "store")
    return value(cell)


def process(cell):
    """What its process is like."""
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    os.kill(os.getpid(), signal.SIGINT)
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    return {"threads": np.array(blas), "blocked": blocked, "ignored": ignored}


def text(cell):
    return {"text": str(cell)}


@dataclass(frozen=True)
class Cell:
    number: int
    scale: float = 1.0
    unseen: int = field(default=0, repr=False)


class Nameless:
    pass


class Trap:
    """Whoever unpickles it leaves a trace."""

    def __reduce__(self):
        return Path.touch, (folder() / "sprung",)
