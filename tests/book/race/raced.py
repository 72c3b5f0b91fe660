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
from live.worker import NEVER, skip
from tests.once import once

STOPS = tuple(step - RECENT + 1 for step in (200, 400))  # where the last steps of a short race begin
FRESH, MANY = 1000, 12  # the first of the seeds by which no setting was chosen, and how many of them are run
SELDOM = 5  # steps from one record of theirs to the next: as often for all who ask, so that they share runs


def settings(name, **changes):
    return DEFAULTS | dict(SCENES[name].scene.start) | changes


@cache
def frames(config, step):
    """What is recorded at the start and in the last steps up to ``step``, a multiple of ``record_every``."""
    return once(recorded, config, step)


def whole(config, step):
    """What a run has recorded up to ``step``."""
    history = advance(start(config), step + 1).history
    return {name: history[name].copy() for name in ("step", *ARRAYS_NEEDED)}


def seldom(config, step):
    """The same run without its validations in between: only the last one up to ``step`` is looked at."""
    last = step // config.validate_every * config.validate_every
    return replace(config, validate_every=last or config.validate_every)


@cache
def shown():
    """The lanes of the scenes as the lab has them, and where they are judged."""
    return {
        (seldom(one, s.until), s.until) for name, s in SCENES.items() for one in lane_configs(settings(name))
    }


def at(config, stop):
    """A run at one of STOPS, where some are judged, and others go on."""
    before = [one for one in STOPS if one < stop]
    run = once(at, config, before[-1]) if before else start(config)
    return advance(run, stop - run.step)


def recorded(config, step):
    """Train a race's lane; what is recorded between its start and its last steps is left out."""
    if (config, step) in shown():  # how it ends is told by the whole of it (`test_ends`)
        every = once(whole, config, step)
        return {array: np.delete(every[array], slice(1, -RECENT), axis=1) for array in ARRAYS_NEEDED}
    first = advance(start(config), 1)
    begin = max(first.step, step - RECENT + 1)
    passed = [stop for stop in STOPS if stop <= begin]
    quiet = replace(config, record_every=NEVER, validate_every=NEVER)
    last = replace(once(at, quiet, passed[-1]), config=config, frames=()) if passed else first
    last = skip(last, begin - last.step)
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
    return [judged(values, step), judged(values, step, SELDOM, fresh=True)]


def but(name):
    return SCENES[name].scene.but


def accuracies(name, step, *lanes, many=MANY, **changes):
    """By lane and seed, the accuracies of fresh seeds at other settings than the scene's own, in percent."""
    values = settings(name, **(changes | ({"lanes": lanes} if lanes else {})))
    found = []
    for config in configs(values, step, SELDOM, True, many):
        recorded = frames(config, step)
        alive = np.isfinite(recorded["train_loss"][:, -1])
        found.append(np.where(alive, 100 * recorded["val_accuracy"][:, -1].astype(float), np.nan))
    return np.array(found)


def percent(values):
    """A mean over seeds, as it is printed."""
    return f"{np.mean(values):.1f}%"
