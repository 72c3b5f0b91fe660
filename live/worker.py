"""What the pool's processes do: advance a run, and make its frames ready to be drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from bnlib import Run, RunConfig, advance, start
from bnlib.data import load
from bnlib.experiments.probes.costs import step_seconds
from bnlib.jobs.forecast import COSTING
from bnlib.networks.network import forward
from bnlib.training.recordings import VALIDATED, Frame, has_surface
from book.race.frames import BANDS, CURVE_COLUMNS, CURVES, picture

P = ParamSpec("P")
T = TypeVar("T")

WATCHED = (*CURVES, *BANDS, "statistics_gap")  # what is kept of each seed, for files and chapters
NEVER = 10**6  # steps between two frames of a run that records none


def ready() -> None:
    """Nothing: a process that has answered is warm."""


def timed(function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> tuple[T, float]:
    """What ``function(*arguments)`` returns, and the seconds that it took."""
    began = time.perf_counter()
    return function(*arguments, **keywords), time.perf_counter() - began


def extend(run: Run | RunConfig, steps: int) -> tuple[Run, Frame]:
    """Advance ``run``: the run without frames, and its new history block with a "picture".

    A configuration stands for its run before the first step. The block holds "step", what each seed has of
    WATCHED, the "picture" (1, frames, numbers) and, of 2-D data, the "surface" (1, frames, cells):
    the decision surface of `bnlib.training.telemetry` in half precision; of a GAN instead the "cloud"
    (1, frames, n, 2). What else single seeds have recorded is dropped: nine tenths of a recording's bytes.
    """
    run = start(run) if isinstance(run, RunConfig) else replace(run, frames=())
    run = advance(run, steps)
    if not run.frames:
        return run, {"step": np.zeros(0, int)}
    history = run.history
    block = {name: history[name] for name in ("step", *WATCHED)} | {"picture": picture(history)[None]}
    if has_surface(run.config):
        block["surface"] = history["decision_surface"].astype(np.float16)
    if "samples" in history:
        block["cloud"] = _cloud(history["samples"])
    return replace(run, frames=()), block


def shown_step_seconds(config: RunConfig) -> float:
    """Return the seconds that a step of all seeds takes with what is recorded and drawn of it.

    Measured for a third of a second after the first steps, or for two steps.
    """
    run, _ = extend(config, 2)
    (run, _), seconds = timed(extend, run, 2)
    steps = int(np.clip(0.3 / max(seconds / 2, 1e-6), 2, 100))
    _, seconds = timed(extend, run, steps)
    return seconds / steps


def skip(run: Run | RunConfig, steps: int) -> Run:
    """Advance ``run`` without recording anything, which takes a third of the time."""
    run = start(run) if isinstance(run, RunConfig) else run
    quiet = replace(run.config, record_every=NEVER, validate_every=NEVER)
    return replace(advance(replace(run, config=quiet, frames=()), steps), config=run.config, frames=())


def thinned(block: Frame, config: RunConfig) -> Frame:
    """Those frames of a block of the same run, recorded more often, that ``config`` records.

    As `extend` makes them: where ``config`` doesn't validate, nothing validated is left.
    """
    kept = block["step"] % config.record_every == 0
    some = {name: array[kept] if name == "step" else array[:, kept] for name, array in block.items()}
    between = some["step"] % config.validate_every != 0
    for name in {*VALIDATED, "surface", "cloud"} & some.keys():
        some[name][:, between] = np.nan
    if "picture" in some:
        some["picture"][:, between, CURVE_COLUMNS - 3 * len(VALIDATED) : CURVE_COLUMNS] = np.nan
    return some


def _cloud(samples: NDArray[np.floating]) -> NDArray[np.float16]:
    """A GAN's samples (R, frames, n, 2), of the first seed left: (1, frames, n, 2) in half precision."""
    first = np.isfinite(samples[:, :, 0, 0]).argmax(axis=0)
    most = np.finfo(np.float16).max
    shown: NDArray[np.floating] = samples[first, np.arange(len(first))].clip(-most, most)
    return shown[None].astype(np.float16)


def cost_alike(config: RunConfig) -> RunConfig:
    """The configuration of a run whose step costs as much: what cannot matter has its default."""
    of_a_step = set(COSTING) - {"record_every", "validate_every"}
    return RunConfig(**{name: getattr(config, name) for name in of_a_step})


def recorded_alike(config: RunConfig) -> RunConfig:
    """The configuration of a run whose recording grows as fast: `cost_alike`, with as many frames."""
    return replace(cost_alike(config), record_every=config.record_every, validate_every=config.validate_every)


def cost(config: RunConfig) -> tuple[int, float]:
    """How many parameters one of the networks has, and the seconds that a step of all seeds takes."""
    return start(config).flat.shape[1], step_seconds(config)


def digits_batch(samples: int) -> NDArray[np.float64]:
    """What one unit of an untrained digits network receives from ``samples`` digits: (samples,).

    The unit of the first hidden layer (He initialization, seed 0) whose inputs lie farthest from zero
    on average, in units of their spread.
    """
    config = RunConfig(norm="none", depth=1, dtype="float64")
    x = load("digits").x_train[:samples]
    _, trace, _ = forward(config, start(config).parameters, x)
    z = trace[0].z[0]
    unit = np.abs(z.mean(axis=0) / z.std(axis=0)).argmax()
    return np.ascontiguousarray(z[:, unit])
