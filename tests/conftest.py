"""What all tests share."""

import os
import signal
import tempfile
import threading

# One thread a process, as everywhere in the house: before anything imports NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings

from tests.once import FOLDER

# What a shell starts in the background is deaf to Ctrl-C, and so would be what the tests start and interrupt.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples at every run, and no stopwatch: a busy machine is not a failure.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


def pytest_configure(config):
    """Make the folder of what is computed once, unless the process that has started this one has one."""
    if FOLDER not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="bnlab-tests-")
        os.environ[FOLDER] = folder.name
        config.add_cleanup(folder.cleanup)
