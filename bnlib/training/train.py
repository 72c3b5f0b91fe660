"""Training as a pure function: start(config) -> Run, advance(run, steps) -> Run."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace

import numpy as np

from ..data import batches
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
    keep_power,
    normalize_weights,
    plan,
    set_affine,
    weights_backward,
)
from ..norms.running import RunningStats
from ..norms.statistics import Array
from . import gan, recordings, telemetry
from .optimizer import DIVERGENCE_RATIO, State, gradient_to_update

_NOISE = ((-0.5, 0.5), (1.0, 1.25))  # ranges of its means and scales


@dataclass(frozen=True, eq=False)
class Run:
    """A training run at one moment: a value that pickles, and that `advance` never changes.

    Attributes
    ----------
    config : RunConfig
    step : int, updates made so far
    samples : int, training samples drawn so far, per replica
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
        if self.config.network == "gan":
            return gan.views(self.config, self.flat)
        return plan(self.config).views(self.flat)

    @property
    def layers(self) -> list[Layer]:
        """The layers as `network.forward` takes them, with the weights that are used.

        Of a GAN they are the discriminator's.
        """
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


def start(config: RunConfig) -> Run:
    """The run of ``config`` before its first step."""
    flat = initialize(config.at(0))
    if config.network == "gan":
        flat = np.concatenate([flat, gan.initialize(config)], axis=1)
    moments = {"sgd": 0, "momentum": 1, "adamw": 2}[config.optimizer]
    shape = (config.replicas, features(plan(config).statistics))
    mean, var = _frozen(np.zeros(shape, config.dtype)), _frozen(np.ones(shape, config.dtype))
    return Run(
        config=config,
        step=0,
        samples=0,
        flat=_frozen(flat),
        optimizer_state=tuple(_frozen(np.zeros_like(flat)) for _ in range(moments)),
        running=RunningStats(mean, var, config.at(0).momentum),
        power=_frozen(initial_power(config.at(0), flat)),
        diverged_at=_frozen(np.full(config.replicas, -1)),
    )


def advance(run: Run, steps: int) -> Run:
    """The run ``steps`` updates later; ``run`` itself stays as it is.

    Frames are recorded at every step that ``record_every`` divides, before that step's update and from
    its own batch. Deterministic to the last bit, however the steps are divided among calls.

    Raises
    ------
    ValueError
        If ``steps`` is negative or not a whole number.
    """
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral) or steps < 0:
        raise ValueError(f"advance: steps={steps!r} must be a whole number, 0 or more")
    stop = run.step + int(steps)
    with np.errstate(all="ignore"):  # a divergence is recorded, not warned about
        while run.step < stop:
            edits = [step for step, _, _ in run.config.edits if run.step < step < stop]
            run = _advance_stretch(run, min(edits, default=stop))
    return run


def _advance_stretch(run: Run, stop: int) -> Run:
    """`advance` to ``stop``, or to the next divergence, while the configuration doesn't change.

    Only replicas that haven't diverged are computed: the others neither cost time nor disturb.
    """
    config = run.config.at(run.step)
    live = np.flatnonzero(run.diverged_at < 0)
    statistics = np.stack([run.running.mean[live], run.running.var[live]], axis=1)
    moments = tuple(array[live] for array in run.optimizer_state)
    state = State(run.flat[live], moments, statistics, run.power[live])
    set_affine(state.flat, config, *(name for step, name, _ in run.config.edits if step == run.step))
    diverged_at = run.diverged_at.copy()
    frames: list[recordings.Frame] = []
    if len(live):
        seeds = tuple((config.seed + live).tolist())
        train = gan.play if config.network == "gan" else _learn
        stop, lost, frames = train(config, seeds, run.samples, range(run.step, stop), state)
        diverged_at[live[lost]] = stop

    recorded = range(-(-run.step // config.record_every) * config.record_every, stop, config.record_every)
    block = recordings.block(config, recorded, live, frames) if recorded else None
    return replace(
        run,
        step=stop,
        samples=run.samples + (stop - run.step) * config.batch_size,
        flat=_merge(run.flat, live, state.flat),
        optimizer_state=tuple(
            _merge(old, live, new) for old, new in zip(run.optimizer_state, moments, strict=True)
        ),
        running=RunningStats(
            _merge(run.running.mean, live, statistics[:, 0]),
            _merge(run.running.var, live, statistics[:, 1]),
            config.momentum,
            run.running.steps + stop - run.step,
        ),
        power=_merge(run.power, live, state.power),
        diverged_at=_frozen(diverged_at),
        frames=run.frames + (block,) if block else run.frames,
    )


def _learn(
    config: RunConfig, seeds: tuple[int, ...], position: int, steps: range, state: State
) -> tuple[int, Array, list[recordings.Frame]]:
    """Train in place, one batch a step, from ``position`` of each seed's sample stream on.

    Returns the step where it ended, which replicas' loss was divergent there (R,), and the frames recorded.
    """
    the_plan, dataset = plan(config), config.data()
    limit = DIVERGENCE_RATIO * np.log(dataset.classes)
    flat, statistics = state.flat, state.statistics
    gradient = np.zeros_like(flat)
    running = RunningStats(statistics[:, 0], statistics[:, 1])  # views: always current
    layers = in_layers(config, the_plan.views(flat), running, state.power)
    gradients = in_layers(config, the_plan.views(gradient))
    keep, take = averaging_weights(config)
    frames: list[recordings.Frame] = []
    order = (config.batch_order, config.norm_batch)
    stream = batches(dataset, seeds, position, config.batch_size, len(steps), *order)
    for step, (x, labels) in enumerate(stream, start=steps.start):
        behind = noise(config, seeds, step) if config.norm_noise else None
        used, kept = normalize_weights(config, layers)
        logits, trace, output_cache = forward(config, used, x, norm_batch=config.statistics_of, noise=behind)
        loss, dlogits = cross_entropy(logits, labels)
        if not np.maximum.reduce(loss) < limit:  # so written, NaN counts too
            # Nothing has changed in this step yet: the others repeat it among themselves.
            return step, ~(loss < limit), frames
        dz = backward(config, gradients, dlogits, trace, output_cache)
        weights_backward(config, gradients, kept)
        moments = batch_moments(trace) if the_plan.statistics else statistics
        recording = step % config.record_every == 0
        if recording:
            frame = telemetry.measure(config, layers, gradients, trace, dz, moments[:, 0], running)
            frame |= {"train_loss": loss, "train_accuracy": telemetry.accuracy(logits, labels)}
            if step % config.validate_every == 0:
                frame |= telemetry.validate(config, used, running)
        gradient_to_update(config, the_plan, flat, gradient, state.moments, step)
        if recording:
            update_norm = telemetry.weight_norms(gradients)  # they have become the update
            frame["update_ratio"] = np.log10(update_norm / frame["weight_norm"])
            frames.append(frame)
        flat -= gradient
        keep_power(layers, kept)
        if the_plan.statistics:
            statistics *= keep
            moments *= take
            statistics += moments
    return steps.stop, np.zeros(len(seeds), bool), frames


def noise(config: RunConfig, seeds: tuple[int, ...], step: int) -> Noise:
    """The noise behind each norm at ``step``, for `network.forward`.

    Santurkar et al. 2018: each unit has a mean drawn from U(-0.5, 0.5) and a scale drawn from
    U(1, 1.25), new ones at each step; each entry is multiplied by a number from N(scale, 0.1) and increased
    by one from U(mean - 0.1, mean + 0.1). ``norm_noise`` multiplies what these differ from 1 and 0 by.
    """
    strength = config.norm_noise
    shape = (config.depth, config.batch_size, config.width)
    scales, shifts = np.empty((2, len(seeds), *shape), config.dtype)
    for replica, seed in enumerate(seeds):
        rng = np.random.default_rng((seed, 2, step))
        mean, scale = (rng.uniform(low, high, (config.depth, 1, config.width)) for low, high in _NOISE)
        scales[replica] = 1 + strength * (scale - 1 + 0.1 * rng.standard_normal(shape))
        shifts[replica] = strength * (mean + rng.uniform(-0.1, 0.1, shape))
    return [(scales[:, layer], shifts[:, layer]) for layer in range(config.depth)]


def _merge(whole: Array, live: Array, part: Array) -> Array:
    """``whole`` with the rows of the ``live`` replicas replaced."""
    merged = whole.copy()
    merged[live] = part
    return _frozen(merged)


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array
