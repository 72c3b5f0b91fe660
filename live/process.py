"""What a process of the pool does before its first call: it loads what is needed, and bounds its memory."""

from __future__ import annotations

import os
import re
from multiprocessing import parent_process
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

import numpy as np

from bnlib.data import load
from bnlib.jobs.workers import follow_parent

ROOM = 1536 * 2**20  # bytes that a process may use for its work
STATUS = Path("/proc/self/status")


def warm_up() -> None:
    """Load what a first step would wait for; leave the server's core to the server; end with it."""
    follow_parent()
    if parent_process() is not None:
        os.nice(5)
    load("digits")
    load("digits", dtype="float32")
    np.ones((64, 64)) @ np.ones((64, 64))  # BLAS takes its memory now: refused it, it would end the process
    if parent_process() is not None:
        bound_memory(ROOM)


def bound_memory(room: int) -> None:
    """Have the system refuse this process more than ``room`` bytes besides what it has: a MemoryError.

    On Linux. Elsewhere there is no such bound on all that a process allocates, and nothing happens.
    """
    if resource is None or not STATUS.exists():
        return
    found = re.search(r"^VmData:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    if found is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = 1024 * int(found[1]) + room
    resource.setrlimit(resource.RLIMIT_DATA, (bound if hard < 0 else min(bound, hard), hard))
