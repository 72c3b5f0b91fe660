"""Moved: `bnlib.jobs.sweep`."""

from .jobs.sweep import *  # noqa: F403
