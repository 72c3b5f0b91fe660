"""Runs the lab's scenes on the seeds that the lab shows, and on others."""

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
from live.worker import skip
from tests.once import once

FRESH, MANY = 1000, 12  # the first of the seeds by which no setting was chosen, and how many of them are run


def settings(name, **changes):
    return DEFAULTS | dict(SCENES[name].scene.start) | changes


@cache
def frames(config, step):
    """What is recorded at the start and in the last steps up to ``step``, a multiple of ``record_every``."""
    return once(recorded, config, step)


def recorded(config, step):
    """Train a race's lane; what is recorded between its start and its last steps is left out."""
    first = advance(start(config), 1)
    last = skip(first, max(0, step - (RECENT - 1) * config.record_every - 1))
    parts = first.history, advance(last, step + 1 - last.step).history
    return {array: np.concatenate([part[array] for part in parts], axis=1) for array in ARRAYS_NEEDED}


def configs(values, step, every, fresh, many=MANY):
    """The lanes, recorded and validated seldom; with ``fresh``, on other seeds than the lab's."""
    other = {"seed": FRESH, "replicas": many} if fresh else {}
    return [replace(one, record_every=every, validate_every=step) for one in lane_configs(values | other)]


def judged(values, step, every=1, fresh=False, many=MANY):
    """Numbers of a race at ``step``, as the lab's sentences have them."""
    lanes = configs(values, step, every, fresh, many)
    return numbers(lane_names(values), lanes, [frames(one, step) for one in lanes], step)


def measured(values, step):
    """Numbers of a race at ``step``: of the seeds that the lab shows, and of MANY others."""
    return [judged(values, step), judged(values, step, every=5, fresh=True)]


def but(name):
    return SCENES[name].scene.but


def accuracies(name, step, *lanes, many=MANY, **changes):
    """By lane and seed, the accuracies of fresh seeds at other settings than the scene's own, in percent."""
    values = settings(name, **(changes | ({"lanes": lanes} if lanes else {})))
    found = []
    for config in configs(values, step, step, True, many):
        recorded = frames(config, step)
        alive = np.isfinite(recorded["train_loss"][:, -1])
        found.append(np.where(alive, 100 * recorded["val_accuracy"][:, -1].astype(float), np.nan))
    return np.array(found)


def percent(values):
    """A mean over seeds, as it is printed."""
    return f"{np.mean(values):.1f}%"
