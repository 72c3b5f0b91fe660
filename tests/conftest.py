"""What all tests share."""

from hypothesis import settings

# The same examples at every run, and no stopwatch: a busy machine is not a failure.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
