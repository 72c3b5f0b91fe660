"""What learns in a run: the arrays that training changes in place, and the part of a step that all share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..networks.config import RunConfig
from ..networks.parameters import Kept, Plan, in_layers, keep_power, plan
from ..networks.units import Trace
from ..norms.running import RunningStats
from ..norms.statistics import Array
from . import telemetry
from .optimizer import gradient_to_update
from .recordings import Frame


class State(NamedTuple):
    """What training changes in place, the rows of the replicas that are left.

    flat : (R, size), all parameters
    moments : the optimizer's, each shaped like ``flat``
    statistics : (R, 2, features), running means and variances
    power : (R, outputs), spectral norm's vectors u
    left : (2, R, 1), what their start still weighs in running means and variances
    """

    flat: Array
    moments: tuple[Array, ...]
    statistics: Array
    power: Array
    left: Array


class Seen(NamedTuple):
    """What a network made of a batch: by layer traces and gradients, of each replica loss and accuracy."""

    trace: list[Trace]
    dz: list[Array]
    loss: Array
    accuracy: Array


class Learner:
    """A network whose parameters are the first of a run's, with what a step needs.

    layers, gradients : its parameters, views of ``state.flat``, and their gradients, views of ``gradient``
    outcomes : how many answers it can guess among
    """

    outcomes: int
    kept: Kept

    def __init__(self, config: RunConfig, seeds: tuple[int, ...], state: State) -> None:
        self.config, self.seeds, self.state, self.plan = config, seeds, state, plan(config)
        self.gradient = np.zeros_like(state.flat)
        self.running = RunningStats(state.statistics[:, 0], state.statistics[:, 1])  # views: always current
        flat, gradient, _ = self._own = self.part(slice(0, self.plan.size))
        self.layers = in_layers(config, self.plan.views(flat), self.running, state.power)
        self.gradients = in_layers(config, self.plan.views(gradient))

    def part(self, here: slice) -> tuple[Array, Array, tuple[Array, ...]]:
        """Return views of some parameters, of their gradient and of the optimizer's moments."""
        return self.state.flat[:, here], self.gradient[:, here], tuple(a[:, here] for a in self.state.moments)

    def look(self, step: int, x: Array, labels: Array) -> Array:
        """Return the loss (R,) of a batch; fill ``gradient``."""
        raise NotImplementedError

    def seen(self) -> Seen:
        """Return what `telemetry.measure` and a frame need of the batch."""
        raise NotImplementedError

    def moments(self) -> Array:
        """Return the means and variances (R, 2, features) that norms with running statistics used."""
        raise NotImplementedError

    def validate(self) -> Frame:
        """Return what a frame with validation holds besides."""
        raise NotImplementedError

    def record(self, batch_mean: Array) -> Frame:
        """Return a frame of what was seen, before the update."""
        trace, dz, loss, accuracy = self.seen()
        layers = (self.layers, self.gradients)
        frame = telemetry.measure(self.config, *layers, trace, dz, batch_mean, self.running)
        return frame | {"train_loss": loss, "train_accuracy": accuracy}

    def update(self, step: int) -> None:
        """Turn ``gradient`` into the update and make it."""
        self.change(self.plan, *self._own, step)
        keep_power(self.layers, self.kept)

    def change(
        self, the_plan: Plan, flat: Array, change: Array, moments: tuple[Array, ...], step: int
    ) -> None:
        """Turn the gradient of a `part` into its update, in place, and make it."""
        gradient_to_update(self.config, the_plan, flat, change, moments, step)
        flat -= change

    def answer(self, step: int, limit: float, frame: Frame) -> Array | None:
        """Do what follows the update, if anything.

        If a loss is divergent there, take the whole step back and return whose it was, (R,).
        """
        return None
