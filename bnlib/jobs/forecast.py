"""What a training step will cost, before it runs: seconds and bytes, from the configuration alone.

Seconds are what `work` counts, times one constant for each kind of work, fitted to processor times of one
BLAS thread; `benchmarks/forecast.py` prints how well. Another machine is off by about one factor. Bytes are
those that arrays hold at once.
"""

from __future__ import annotations

from functools import lru_cache
from math import lcm
from typing import NamedTuple

from ..networks.config import RunConfig
from ..training.recordings import HISTOGRAM_EDGES, has_surface
from . import work
from .work import CELLS, MOMENTS, SIZES, Map, Work, activation, generator_maps, maps, parameters

# Seconds of each kind of work while another process keeps the core's twin busy; twice as many for numbers
# twice as large.
CONSTANTS = {
    "products": 1.6e-11, "near": 1.1e-10, "far": 1.9e-10, "stretches": 2.5e-9, "calls": 1.1e-6,
    "fresh": 1.4e-9, "curves": 2.5e-10, "drawn": 8e-9, "binned": 3.4e-9,
}  # fmt: skip
DOUBLED = ("products", "near", "far", "fresh", "curves")
OWN = 1 << 22  # elements that a process has memory for without asking the system for more
LITTLE = 1 << 18  # bytes of all that is small: what is recorded, blocks of patches, Python's own
# What costs depend on.
COSTING = (
    "dataset", "network", "depth", "width", "activation", "residual", "skip_init", "norm", "placement",
    "weight_norm", "groups", "iterations", "norm_batch", "norm_noise", "batch_size", "optimizer",
    "weight_decay", "frozen", "gradient_penalty", "replicas", "record_every", "validate_every", "dtype",
)  # fmt: skip


class Forecast(NamedTuple):
    """What a step of all replicas costs, where edits make it most.

    seconds : of a step on average, with its share of recording and validation
    longest : of the longest one: the first, which is recorded and validated, and the start before it
    memory : bytes that arrays hold at the peak, which a second step can raise: while it goes there, what the
        first has kept is still held
    """

    seconds: float
    longest: float
    memory: int


class _Alike:
    """A configuration that counts as equal to all that cost as much."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        edits = tuple(edit for edit in config.edits if edit[1] in COSTING)
        self.key = (*(getattr(config, name) for name in COSTING), edits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alike) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def forecast(config: RunConfig) -> Forecast:
    """Forecast what a step of ``config`` will cost, on a core like that of the constants.

    >>> found = forecast(RunConfig(depth=5, width=64, batch_size=32, replicas=4))
    >>> found.seconds < found.longest < 0.1
    True
    """
    return _forecast(_Alike(config))


@lru_cache(maxsize=4096)
def _forecast(alike: _Alike) -> Forecast:
    config = alike.config
    steps = {0} | {step for step, name, _ in config.edits if name in COSTING}
    different = {(now.batch_size, now.weight_decay > 0, now.frozen): now for now in map(config.at, steps)}
    return Forecast(*map(max, zip(*map(_of_step, different.values()), strict=True)))


def _of_step(config: RunConfig) -> Forecast:
    """Forecast a configuration without edits."""
    training = work.training(config)
    training.fresh = max(0.0, config.replicas * config.batch_size * _held(config) - OWN)
    kinds = (training, work.recording(config), work.validation(config), work.start(config))
    step, recorded, validated, before = (_seconds(config, kind) for kind in kinds)
    both = lcm(config.record_every, config.validate_every)
    seconds = step + recorded / config.record_every + validated / both
    return Forecast(seconds, before + step + recorded + validated, _memory(config))


def _seconds(config: RunConfig, counted: Work) -> float:
    wide = 2 if config.dtype == "float64" else 1
    parts = ((name, cost * getattr(counted, name)) for name, cost in CONSTANTS.items())
    return sum((part * (wide if name in DOUBLED else 1) for name, part in parts), 0.0)


# ---- memory ------------------------------------------------------------------------------------------------


def _memory(config: RunConfig) -> int:
    """Return the bytes of arrays at the peak of two steps, the first recorded and validated."""
    size = 8 if config.dtype == "float64" else 4
    replicas, samples, moments = config.replicas, config.batch_size, MOMENTS[config.optimizer]
    each, hidden = replicas * samples, maps(config)[:-1]
    weights, every = (float(replicas * number) for number in parameters(config))
    norm, recurrent = config.on_activations, config.kind.recurrent
    # What is there throughout: parameters before the step and behind it, the gradient, the batch, the frame.
    held: float = every * (3 + 2 * moments)
    held += weights * ({"none": 0, "spectral": 1}.get(config.on_weights, 2) + config.skip_init)
    held += each * (SIZES[config.dataset][0] + 32 // size) + 16 * replicas * config.depth * len(
        HISTOGRAM_EDGES
    )
    kept, gradients = each * _kept(config), float(each * sum(one.after for one in hidden))
    # Beside what is kept, at different moments:
    widest = max(hidden, key=lambda one: one.after)
    passing = each * widest.after * (3 + 2 * _means(config) + recurrent * (2 + widest.rows / widest.columns))
    passing += (config.kind.convolves) * 4 * replicas * max(one.weights for one in hidden)
    alike = [hidden.count(one) * samples * one.after for one in set(hidden)]
    measuring = work.together(replicas, max(alike)) * (6 + 9 / size)
    validating = max(SIZES[config.dataset][2], CELLS * has_surface(config)) * _passing(config, widest)
    validating += weights * (norm is not None and norm.running)
    updating = every * (config.optimizer == "adamw" or config.weight_decay > 0)
    following = kept + passing  # the next step's forward pass
    if config.kind.adversarial:
        passing += 5 * gradients * (config.gradient_penalty > 0)
        made = each * sum(one.after for one in generator_maps(config))
        measuring = 2 * measuring + 6 * gradients
        updating += 7 * gradients + kept + 2 * made + every * (2 + moments)
        following = 2 * kept + 3 * gradients
        kept, gradients, validating = 2 * kept, 2 * gradients, 0
    peak = kept + gradients + max(passing, measuring, validating, updating, following)
    return LITTLE + int(size * (held + max(peak, every * moments)))


def _held(config: RunConfig) -> float:
    """Count the numbers of a sample that a step's arrays hold before their last is gone."""
    batches = 3 if config.kind.adversarial else 1
    return batches * (_kept(config) + sum(one.after for one in maps(config)[:-1]))


def _means(config: RunConfig) -> float:
    """Count, for each number that a norm gets, the means it takes that aren't of the whole batch."""
    positions = config.shapes[0][0] ** 2 if config.kind.convolves else 1
    if config.statistics_of:
        return 1 / (config.statistics_of * positions)
    means = {"instance": config.width, "frn": config.width, "group": config.groups}
    return min(1.0, means.get(config.norm, 0) / (config.width * positions))


def _each(config: RunConfig, settled: bool = False) -> float:
    """Count what a layer keeps of its forward pass for each number that leaves it, beside what came in."""
    each = 2.0 + 2 * (config.norm_noise > 0)
    if config.on_activations and not settled:
        each += {"frn": 1.25}.get(config.norm, 1) + (1 if config.norm == "frn" else 3) * _means(config)
        each += config.norm == "dyt" or config.placement == "after"
    return each


def _kept(config: RunConfig) -> float:
    """Count the numbers of a sample that one network keeps for the backward pass."""
    hidden, recurrent = maps(config)[:-1], config.kind.recurrent
    return sum(_each(config) * one.after + recurrent * one.positions * one.rows for one in hidden)


def _passing(config: RunConfig, one: Map) -> float:
    """Count the numbers of a sample that are there at once where only the layer before is kept."""
    own = {"relu": 2, "gelu": 3, "sigmoid": 2}.get(activation(config), 1)
    norm, deep = config.on_activations, config.depth > 1
    settled = norm is not None and norm.running and norm.pair is not None  # or on few samples at a time
    more = (1 if settled else 2 + 2 * _means(config)) * (norm is not None)
    found = 1 + more + own if config.placement == "before" else max(1 + own, 2 + more)
    before = deep * _each(config, settled)
    if config.kind.convolves and config.depth <= 3:  # one layer is at full size, and twice the next
        return one.after * max(found, found / 2 + before)
    states = (config.kind.recurrent) * (1 + deep) * (2 + one.rows / one.columns)
    return one.after * (found + before + states)
