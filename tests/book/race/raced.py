"""Runs the lab's scenes with more seeds than the lab shows."""

from dataclasses import replace
from functools import cache

import numpy as np

from bnlib import advance, start
from book.race._lane import RECENT
from book.race.lanes import lane_names
from book.race.runs import lane_configs
from book.race.scenes import SCENES
from book.race.settings import DEFAULTS
from book.race.verdict import ARRAYS_NEEDED, numbers

SEEDS, SHOWN = 12, 4  # seeds that are run; of which the lab shows so many, the first ones


def settings(name, **changes):
    return DEFAULTS | dict(SCENES[name].scene.start) | changes


@cache
def frames(config, step, every=1):
    """What is recorded at the start and in the last steps up to ``step``, a multiple of ``every``."""
    run = advance(start(replace(config, record_every=every, validate_every=step)), step + 1)
    count = step // every + 1
    kept = [0, *range(max(1, count - RECENT), count)]
    return {array: run.history[array][:, kept] for array in ARRAYS_NEEDED}


def measured(values, step, every=1):
    """Numbers of a race at ``step``: of the seeds that the lab shows, and of eight others, four by four."""
    names, configs = lane_names(values), lane_configs(values | {"replicas": SEEDS})
    found = [frames(config, step, every) for config in configs]
    return [
        numbers(names, configs, [seeds(frame, first) for frame in found], step)
        for first in range(0, SEEDS, SHOWN)
    ]


def seeds(frame, first):
    return {k: v if k == "step" else v[first : first + SHOWN] for k, v in frame.items()}


def but(name):
    return SCENES[name].scene.but


def accuracies(name, step, *lanes, **changes):
    """By lane, the mean accuracies of each four of the seeds at other settings than the scene's own."""
    changes |= {"lanes": lanes} if lanes else {}
    found = measured(settings(name, **changes), step, every=step)
    count = len(settings(name, **changes)["lanes"])
    return np.array([[one[f"accuracy_{lane}"] for one in found] for lane in range(count)])


def percent(values):
    """A mean over all seeds, as it is printed."""
    return f"{np.mean(values):.1f}%"
