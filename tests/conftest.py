"""What all tests share."""

import os
import signal
import threading

# One thread a process, as everywhere in the house: before anything imports NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings

# What a shell starts in the background is deaf to Ctrl-C, and so would be what the tests start and interrupt.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples at every run, and no stopwatch: a busy machine is not a failure.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
