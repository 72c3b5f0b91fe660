"""What measures share: a run looked at on its way, and a pass forward and back through its network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...data import batches
from ...networks.config import RunConfig
from ...networks.layers import cross_entropy
from ...networks.network import there_and_back
from ...networks.parameters import in_layers, plan
from ...networks.units import Trace
from ...norms.statistics import Array
from ...training.train import Run, advance, start


def watch(config: RunConfig, steps: int, every: int) -> Iterator[Run]:
    """Yield the run at step 0 and at every so many steps, up to `steps`."""
    run = start(config)
    yield run
    while run.step < steps:
        run = advance(run, min(every, steps - run.step))
        yield run


def next_batch(run: Run) -> tuple[Array, Array]:
    """Return what the run's next step will be made from: x (R, N, features), labels (R, N)."""
    config = run.config.at(run.step)
    seeds = tuple(range(config.seed, config.seed + config.replicas))
    return next(batches(config.data(), seeds, run.samples, config.batch_size, 1, *config.arrangement))


def back(
    config: RunConfig, flat: Array, x: Array, top: Callable[[Array], Array], gradient: Array | None = None
) -> tuple[Array, list[Trace], list[Array]]:
    """Go forward, then backward from ``top(logits)``; return logits, traces, dz, and fill the gradient."""
    gradient = np.zeros_like(flat) if gradient is None else gradient
    layers, gradients = (in_layers(config, plan(config).views(array)) for array in (flat, gradient))
    return there_and_back(config, layers, gradients, x, top, config.statistics_of)


def gradient_at(config: RunConfig, flat: Array, x: Array, labels: Array) -> tuple[Array, Array]:
    """Return the loss (R,) and its gradient (R, size) at the parameters `flat`."""
    gradient = np.zeros_like(flat)
    losses: list[Array] = []

    def top(logits: Array) -> Array:
        loss, dlogits = cross_entropy(logits, labels)
        losses.append(loss)
        return dlogits

    back(config, flat, x, top, gradient)
    return losses[0], gradient
