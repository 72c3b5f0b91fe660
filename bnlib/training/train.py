"""Training as a pure function: start(config) -> Run, advance(run, steps) -> Run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from ..data import batches, position_after
from ..networks.config import RunConfig
from ..networks.inference import averaging_weights, batch_moments
from ..networks.layers import cross_entropy
from ..networks.network import Noise, backward, forward
from ..networks.parameters import (
    Layer,
    features,
    in_layers,
    initial_power,
    initialize,
    normalize_weights,
    plan,
    set_affine,
    weights_backward,
)
from ..norms.checks import is_whole
from ..norms.running import RunningStats
from ..norms.statistics import Array
from . import gan, recordings, telemetry
from .learner import Learner, Seen, State
from .optimizer import DIVERGENCE_RATIO

_NOISE = ((-0.5, 0.5), (1.0, 1.25))  # ranges of its means and scales


class Latest(NamedTuple):
    """What was recorded last: ``value`` (R, ...), and at which ``step`` (R,), -1 where nothing was."""

    value: Array
    step: Array


@dataclass(frozen=True, eq=False)
class Run:
    """A training run at one moment: a value that pickles, and that `advance` never changes.

    Attributes
    ----------
    config : RunConfig
    step : int, updates made so far
    samples : int, training samples drawn so far, per replica: the position in the sample stream, in which
        those count that ``last_batch="drop"`` left out
    flat : ndarray (R, size), all parameters; `parameters` shows them by name
    optimizer_state : tuple of ndarrays shaped like ``flat``
    running : RunningStats (R, features) of batch norm and its kin; empty for other norms
    power : ndarray (R, outputs), spectral norm's vectors u; empty for other norms
    diverged_at : integer ndarray (R,), the step whose loss wasn't finite or was a thousand times that of
        guessing; -1 where there is none. Such a replica stays as it was before that step.
    frames : tuple of recorded blocks; `history` joins them

    All arrays are read-only.
    """

    config: RunConfig
    step: int
    samples: int
    flat: Array
    optimizer_state: tuple[Array, ...]
    running: RunningStats
    power: Array
    diverged_at: Array
    frames: tuple[recordings.Frame, ...] = ()

    @property
    def parameters(self) -> dict[str, Array]:
        """Parameters by name, arrays (R, rows, columns): weight0, bias0, gamma0, beta0, ...

        Of a GAN these are the discriminator's; generator_weight0, ... are the generator's.
        """
        if self.config.kind.adversarial:
            return gan.views(self.config, self.flat)
        return plan(self.config).views(self.flat)

    @property
    def layers(self) -> list[Layer]:
        """The layers (a GAN's discriminator's) as `forward` takes them, with the weights that are used."""
        config = self.config.at(self.step)
        layers = in_layers(config, self.parameters, self.running, self.power)
        return normalize_weights(config, layers, iterations=0)[0]

    @property
    def history(self) -> recordings.Frame:
        """Recorded arrays by name, shape (R, frames, ...); ``step`` is (frames,)."""
        blocks = self.frames or (recordings.block(self.config, range(0), self.diverged_at, []),)
        axes = {name: 0 if name == "step" else 1 for name in blocks[0]}
        history = {name: np.concatenate([block[name] for block in blocks], axes[name]) for name in axes}
        return history | {"histogram_edges": recordings.HISTOGRAM_EDGES}

    def latest(self, name: str) -> Latest:
        """Return of each replica the last value of ``history[name]`` that isn't NaN, and its step.

        The last frame itself may hold NaN: validation is rarer than frames, and a diverged replica is not
        recorded. Only where it diverged before its first record, the value is NaN and the step -1. Raises
        ValueError if there is no record of that name, or none at all yet.
        """
        history = self.history
        steps = history.pop("step")
        del history["histogram_edges"]
        if not isinstance(name, str) or name not in history:
            raise ValueError(f"Run.latest: name={name!r} isn't recorded; choose one of {', '.join(history)}")
        if not len(steps):
            raise ValueError("Run.latest: nothing is recorded before the first step; try advance(run, 1)")
        values = history[name]
        known = np.logical_or.reduce(~np.isnan(values), axis=tuple(range(2, values.ndim)))
        last = len(steps) - 1 - known[:, ::-1].argmax(axis=1)
        return Latest(values[np.arange(len(values)), last], np.where(known.any(axis=1), steps[last], -1))


def start(config: RunConfig) -> Run:
    """Return the run of ``config`` before its first step."""
    flat = initialize(config.at(0))
    if config.kind.adversarial:
        flat = np.concatenate([flat, gan.initialize(config)], axis=1)
    moments = {"sgd": 0, "momentum": 1, "adamw": 2}[config.optimizer]
    shape = (config.replicas, features(plan(config).statistics))
    mean, var = _frozen(np.zeros(shape, config.dtype)), _frozen(np.ones(shape, config.dtype))
    weight = _frozen(np.ones((config.replicas, 1)))
    return Run(
        config=config,
        step=0,
        samples=0,
        flat=_frozen(flat),
        optimizer_state=tuple(_frozen(np.zeros_like(flat)) for _ in range(moments)),
        running=RunningStats(mean, var, config.at(0).momentum, 0, weight, weight),
        power=_frozen(initial_power(config.at(0), flat)),
        diverged_at=_frozen(np.full(config.replicas, -1)),
    )


def advance(run: Run, steps: int) -> Run:
    """Return the run ``steps`` updates later; ``run`` itself stays as it is.

    Frames are recorded at every step that ``record_every`` divides, before that step's update and from
    its own batch. Deterministic to the last bit, however the steps are divided among calls. Raises
    ValueError if ``steps`` is negative or not a whole number.
    """
    if not is_whole(steps) or steps < 0:
        raise ValueError(f"advance: steps={steps!r} must be a whole number, 0 or more")
    stop = run.step + int(steps)
    with np.errstate(all="ignore"):  # a divergence is recorded, not warned about
        while run.step < stop:
            edits = [step for step, _, _ in run.config.edits if run.step < step < stop]
            run = _advance_stretch(run, min(edits, default=stop))
    return run


def _advance_stretch(run: Run, stop: int) -> Run:
    """Advance to ``stop``, or to the next divergence, while the configuration doesn't change.

    Only replicas that haven't diverged are computed: the others neither cost time nor disturb.
    """
    config = run.config.at(run.step)
    live = np.flatnonzero(run.diverged_at < 0)
    state = state_of(run, live)
    set_affine(state.flat, config, *(name for step, name, _ in run.config.edits if step == run.step))
    diverged_at = run.diverged_at.copy()
    frames: list[recordings.Frame] = []
    if len(live):
        seeds = tuple((config.seed + live).tolist())
        stop, lost, frames = train(config, seeds, run.samples, range(run.step, stop), state)
        diverged_at[live[lost]] = stop

    recorded = range(-(-run.step // config.record_every) * config.record_every, stop, config.record_every)
    block = (recordings.block(config, recorded, live, frames),) if recorded else ()
    merge, steps = partial(_merge, live), stop - run.step
    averages = (state.statistics[:, 0], state.statistics[:, 1], *state.left)
    mean, var, weight, var_weight = map(merge, _averages(run.running), averages)
    done = run.running.steps + (0 if config.frozen else steps)
    samples = len(config.data().y_train)
    return replace(
        run,
        step=stop,
        samples=position_after(samples, run.samples, config.batch_size, steps, config.last_batch),
        flat=merge(run.flat, state.flat),
        optimizer_state=tuple(map(merge, run.optimizer_state, state.moments)),
        running=RunningStats(mean, var, config.momentum, done, weight, var_weight),
        power=merge(run.power, state.power),
        diverged_at=_frozen(diverged_at),
        frames=run.frames + block,
    )


def _averages(running: RunningStats) -> tuple[Array, Array, Array, Array]:
    """Return means, variances, and what their start still weighs in either, (R, 1)."""
    weights = np.empty((2, len(running.mean), 1))
    weights[0], weights[1] = running.weight, running.var_weight
    return running.mean, running.var, weights[0], weights[1]


def state_of(run: Run, live: Array) -> State:
    """Return copies of what training changes, of the ``live`` replicas."""
    mean, var, *left = (array[live] for array in _averages(run.running))
    moments = tuple(array[live] for array in run.optimizer_state)
    return State(run.flat[live], moments, np.stack([mean, var], axis=1), run.power[live], np.array(left))


class Classifier(Learner):
    """A network that learns the classes of labelled samples."""

    def __init__(self, config: RunConfig, seeds: tuple[int, ...], state: State) -> None:
        super().__init__(config, seeds, state)
        self.outcomes = config.data().classes

    def look(self, step: int, x: Array, labels: Array) -> Array:
        """Return the loss (R,) of a batch; fill ``gradient``."""
        config = self.config
        behind = noise(config, self.seeds, step, x.shape[1]) if config.norm_noise else None
        self.used, self.kept = normalize_weights(config, self.layers)
        self.logits, self.trace, output_cache = forward(
            config, self.used, x, norm_batch=config.statistics_of, noise=behind
        )
        self.labels = labels
        self.loss, dlogits = cross_entropy(self.logits, labels)
        self.dz = backward(config, self.gradients, dlogits, self.trace, output_cache)
        if self.kept:
            weights_backward(config, self.gradients, self.kept)
        return self.loss

    def seen(self) -> Seen:
        """Return what `telemetry.measure` and a frame need of the batch."""
        return Seen(self.trace, self.dz, self.loss, telemetry.accuracy(self.logits, self.labels))

    def moments(self) -> Array:
        """Return the means and variances (R, 2, features) that norms with running statistics used."""
        moments = batch_moments(self.trace)
        if self.config.masks:  # what no sequence has seen stays as it is
            keep, take = averaging_weights(self.config, self.logits.shape[1])
            same = np.divide(1 - keep, take, out=np.zeros_like(take), where=take > 0)
            moments = np.where(np.isnan(moments), self.state.statistics * same, moments)
        return moments

    def validate(self) -> recordings.Frame:
        """Return loss and accuracy on the validation samples, and the decision surface."""
        return telemetry.validate(self.config, self.used, self.running)


def train(
    config: RunConfig, seeds: tuple[int, ...], position: int, steps: range, state: State
) -> tuple[int, Array, list[recordings.Frame]]:
    """Train in place, one batch a step, from ``position`` of each seed's sample stream on.

    Returns the step where it ended, which replicas' loss was divergent there (R,), and the frames recorded.
    """
    learner: Learner = (gan.Players if config.kind.adversarial else Classifier)(config, seeds, state)
    limit = DIVERGENCE_RATIO * np.log(learner.outcomes)
    statistics = state.statistics
    averaging = cache(partial(_averaging, config, len(seeds)))  # by number of samples
    frames: list[recordings.Frame] = []
    stream = batches(config.data(), seeds, position, config.batch_size, len(steps), *config.arrangement)
    for step, (x, labels) in enumerate(stream, start=steps.start):
        loss = learner.look(step, x, labels)
        if not all(one < limit for one in loss.tolist()):  # so written, NaN counts too
            # Nothing has changed in this step yet: the others repeat it among themselves.
            return step, ~(loss < limit), frames
        moments = learner.moments() if learner.plan.statistics else statistics
        recording, frame = step % config.record_every == 0, {}
        if recording:
            frame = learner.record(moments[:, 0])
            if step % config.validate_every == 0:
                frame |= learner.validate()
        learner.update(step)
        if recording:
            update_norm = telemetry.weight_norms(learner.gradients)  # they have become the update
            frame["update_ratio"] = np.log10(update_norm / frame["weight_norm"])
        if learner.plan.statistics and not config.frozen:
            keep, take, left = averaging(x.shape[1])
            statistics *= keep
            moments *= take
            statistics += moments
            np.multiply(state.left, left, out=state.left)
        lost = learner.answer(step, limit, frame)
        if lost is not None:
            return step, lost, frames
        if recording:
            frames.append(frame)
    return steps.stop, np.zeros(len(seeds), bool), frames


def _averaging(config: RunConfig, replicas: int, samples: int) -> tuple[Array, Array, Array]:
    """Return `averaging_weights` of each replica, and by what the weights of the start are multiplied."""
    keep, take = (np.stack([weights] * replicas) for weights in averaging_weights(config, samples))
    left = np.full((2, replicas, 1), config.momentum)
    if not take[:, 1].any():  # one sample says nothing about spread
        left[1] = 1
    return keep, take, left


def noise(config: RunConfig, seeds: tuple[int, ...], step: int, samples: int = 0) -> Noise:
    """Draw the noise behind each norm at ``step``, for `network.forward`; 0 ``samples`` are the batch size.

    Santurkar et al. 2018: each unit has a mean drawn from U(-0.5, 0.5) and a scale drawn from
    U(1, 1.25), new ones at each step; each entry is multiplied by a number from N(scale, 0.1) and increased
    by one from U(mean - 0.1, mean + 0.1). ``norm_noise`` multiplies what these differ from 1 and 0 by.
    """
    strength = config.norm_noise
    shape = (config.depth, samples or config.batch_size, config.width)
    scales, shifts = np.empty((2, len(seeds), *shape), config.dtype)
    for replica, seed in enumerate(seeds):
        rng = np.random.default_rng((seed, 2, step))
        mean, scale = (rng.uniform(low, high, (config.depth, 1, config.width)) for low, high in _NOISE)
        scales[replica] = 1 + strength * (scale - 1 + 0.1 * rng.standard_normal(shape))
        shifts[replica] = strength * (mean + rng.uniform(-0.1, 0.1, shape))
    return [(scales[:, layer], shifts[:, layer]) for layer in range(config.depth)]


def _merge(live: Array, whole: Array, part: Array) -> Array:
    """Return ``whole`` with the rows of the ``live`` replicas replaced."""
    merged = whole.copy()
    merged[live] = part
    return _frozen(merged)


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array
