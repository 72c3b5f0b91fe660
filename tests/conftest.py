"""What all tests share."""

import os

# One thread a process, as everywhere in the house: before anything imports NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings

# The same examples at every run, and no stopwatch: a busy machine is not a failure.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
