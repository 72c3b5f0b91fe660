"""Moved: `bnlib.jobs.forecast`."""

from .jobs.forecast import *  # noqa: F403
